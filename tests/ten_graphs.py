"""Ten graphs that learners draw, from one expression to attention, each with the options of `draw`.

`TEN["neuron"]()` is the value after `backward()`, and the options.
"""

import random

import numpy as np

from microgd import Value, gradients, nn, operations


def expression():
    """(a * b + c) * f, with a name for each result."""
    a, b, c, f = Value(2.0), Value(-3.0), Value(10.0), Value(-2.0)
    e = a * b
    d = e + c
    L = d * f  # noqa: N806 (the name that lectures give it)
    names = {"a": a, "b": b, "c": c, "f": f, "e": e, "d": d, "L": L}
    return L, {"names": names}


def used_twice():
    """x² + 3x, written with products."""
    x = Value(4.0, name="x")
    y = x * x + 3 * x
    return y, {"names": {"y": y}}


def neuron():
    """One neuron, with its weights in a list."""
    w = [Value(0.4), Value(0.3), Value(-0.6)]
    b = Value(0.2)
    x = [1.0, -2.0, 0.5]
    s = sum((wi * xi for wi, xi in zip(w, x, strict=True)), b)
    out = s.tanh()
    return out, {"names": {"w": w, "b": b, "s": s, "out": out}}


def softmax_by_hand():
    """The cross-entropy of a softmax over three numbers."""
    z = [Value(2.0), Value(1.0), Value(0.1)]
    e = [zi.exp() for zi in z]
    total = sum(e[1:], e[0])
    p = [ei / total for ei in e]
    loss = -p[0].log()
    return loss, {"names": {"z": z, "e": e, "total": total, "p": p, "loss": loss}}


def xor():
    """A network of two layers that is to learn XOR, in the frames of its layers."""
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = np.array([[0.0], [1.0], [1.0], [0.0]])
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(2, 3, rng=rng), nn.Tanh(), nn.Linear(3, 1, rng=rng))
    loss = nn.mse_loss(model(x), target)
    return loss, {"names": {"x": x, "target": target, "loss": loss}, "model": model}


def rnn():
    """A recurrent network of one number, over three steps."""
    wx, wh, b = Value(0.5), Value(0.8), Value(0.1)
    h = [Value(0.0)]
    for x in (1.0, -1.0, 0.5):
        h.append((wx * x + wh * h[-1] + b).tanh())
    loss = (h[-1] - 1) ** 2
    return loss, {"names": {"wx": wx, "wh": wh, "b": b, "h": h, "loss": loss}}


def attention():
    """Attention of three tokens to each other."""
    rng = np.random.default_rng(0)
    X = Value(rng.normal(size=(3, 4)) * 0.6)  # noqa: N806 (matrices have capitals)
    Wq, Wk, Wv = (Value(rng.normal(size=(4, 4)) * 0.6) for _ in range(3))  # noqa: N806
    Q, K, V = X @ Wq, X @ Wk, X @ Wv  # noqa: N806
    scores = Q @ K.T / 2
    A = operations.softmax(scores)  # noqa: N806
    out = A @ V
    loss = (out**2).mean()
    names = {"X": X, "Wq": Wq, "Wk": Wk, "Wv": Wv, "Q": Q, "K": K, "V": V}
    names |= {"scores": scores, "A": A, "out": out, "loss": loss}
    return loss, {"names": names}


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


def second_derivative():
    """The graph of the derivative of x³, which can be differentiated again."""
    x = Value(2.0, name="x")
    y = x**3
    (dy,) = gradients(y, [x], create_graph=True)
    return dy, {"names": {"x": x, "y": y, "dy": dy}}


def regression():
    """A line through five points."""
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    y = np.array([2.1, 3.9, 6.2, 7.8, 10.1])
    w, b = Value(1.5), Value(0.0)
    prediction = w * x + b
    error = prediction - y
    loss = (error**2).mean()
    names = {"x": x, "y": y, "w": w, "b": b, "prediction": prediction}
    return loss, {"names": {**names, "error": error, "loss": loss}}


def _after_backward(graph):
    def build():
        value, options = graph()
        value.backward()
        return value, options

    build.__doc__ = graph.__doc__
    return build


# The ten graphs by name; micrograd's network three times.
TEN = {
    graph.__name__: _after_backward(graph)
    for graph in (
        expression,
        used_twice,
        neuron,
        softmax_by_hand,
        xor,
        rnn,
        attention,
        micrograd,
        micrograd_layers,
        micrograd_neurons,
        second_derivative,
        regression,
    )
}
