"""Ten graphs that learners draw, from one expression to attention, each with the options of `draw`.

`TEN["neuron"]()` is the value after `backward()`, and the options. Most are those of
examples/graph.py, whose pictures are committed.
"""

import random
import runpy
import sys
from pathlib import Path

import pytest

from microgd import Value, nn

EXAMPLES = Path(__file__).parent.parent / "examples"


def _graphs_of_the_examples():
    """The functions of examples/graph.py, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        patch.setattr(sys, "excepthook", sys.excepthook)  # examples/program.py replaces it
        names = runpy.run_path(str(EXAMPLES / "graph.py"))
    return {graph.__name__: graph for graph in names["GRAPHS"]}


class Neuron(nn.Module):
    """The hyperbolic tangent of a weighted sum, of scalar Values."""

    def __init__(self, inputs, rng):
        """A neuron with random weights."""
        self.w = [Value(rng.uniform(-1, 1)) for _ in range(inputs)]
        self.b = Value(0.0)

    def forward(self, x):
        """Its output, a number."""
        return sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b).tanh()


class Layer(nn.Module):
    """Several neurons with the same inputs."""

    def __init__(self, inputs, outputs, rng):
        """A layer of random neurons."""
        self.neurons = [Neuron(inputs, rng) for _ in range(outputs)]

    def forward(self, x):
        """The outputs of its neurons; of a single one, the number."""
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out


class MLP(nn.Module):
    """micrograd's network of 41 parameters: 3 inputs, two layers of 4 neurons, 1 output."""

    def __init__(self, rng):
        """A network with random weights."""
        self.layers = [Layer(3, 4, rng), Layer(4, 4, rng), Layer(4, 1, rng)]

    def forward(self, x):
        """Its output, a number."""
        for layer in self.layers:
            x = layer(x)
        return x


def micrograd():
    """micrograd's network on one example, each neuron a box."""
    loss, model, _ = _of_micrograd()
    return loss, {"names": {"loss": loss, "model": model}}


def micrograd_layers():
    """The same with a box for each layer."""
    loss, model, out = _of_micrograd()
    return loss, {"names": {"loss": loss, "out": out}, "model": model, "depth": 1}


def micrograd_neurons():
    """The same with a box for each neuron, in the frames of the layers."""
    loss, model, out = _of_micrograd()
    return loss, {"names": {"loss": loss, "out": out}, "model": model, "depth": 2}


def _of_micrograd():
    model = MLP(random.Random(1337))
    out = model([2.0, 3.0, -1.0])
    return (out - 1) ** 2, model, out


def _after_backward(graph):
    def build():
        value, options = graph()
        value.backward()
        return value, options

    build.__doc__ = graph.__doc__
    return build


# The ten graphs by name; micrograd's network three times. (The network of digits is no part of
# them: it takes the sample of MNIST.)
TEN = {
    name: _after_backward(graph)
    for name, graph in _graphs_of_the_examples().items()
    if name != "digits"
}
for _graph in (micrograd, micrograd_layers, micrograd_neurons):
    TEN[_graph.__name__] = _after_backward(_graph)
