"""The network of lecture.py and crescents.py: each of its weights is a Value of its own."""

import random
from itertools import pairwise

from microgd import Value, nn


class Neuron(nn.Module):
    """A weighted sum of its inputs plus a bias. If it bends, tanh of that."""

    def __init__(self, inputs, bends):
        self.bends = bends
        self.w = [Value(random.uniform(-1, 1)) for _ in range(inputs)]
        self.b = Value(0.0)

    def forward(self, x):
        """One number. If the neuron bends, it is between -1 and 1."""
        act = self.b
        for wi, xi in zip(self.w, x, strict=True):
            act = act + wi * xi
        return act.tanh() if self.bends else act


class Layer(nn.Module):
    """Neurons that all see the same inputs."""

    def __init__(self, inputs, outputs, bends):
        self.neurons = [Neuron(inputs, bends) for _ in range(outputs)]

    def forward(self, x):
        """A list with a number for each neuron; if there is only one neuron, its number."""
        outs = [neuron(x) for neuron in self.neurons]
        return outs[0] if len(outs) == 1 else outs


class MLP(nn.Module):
    """A multi-layer perceptron: layers, each of which sees the outputs of the one before.

    The neurons of the last layer do not bend, so that the outputs may be any numbers.
    """

    def __init__(self, inputs, outputs):
        sizes = list(pairwise([inputs, *outputs]))
        self.layers = [Layer(*each, bends=each is not sizes[-1]) for each in sizes]

    def forward(self, x):
        """The outputs of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x


def count(model):
    """How many numbers a model learns: its weights and biases."""
    return sum(p.size for p in model.parameters())
