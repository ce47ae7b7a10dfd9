"""Why is this gradient this number? Ten computation graphs, drawn with what flows back, and played
step by step.
"""

import sys

import numpy as np
import program

from microgd import Value, data, draw, film, gradients, nn, operations

# %% Each function returns a value, and the arguments to draw it with.


def expression():
    """L = (a * b + c) * f: the chain rule multiplies the local derivatives along the path from
    L.
    """
    a, b, c, f = Value(2.0), Value(-3.0), Value(10.0), Value(-2.0)
    e = a * b
    d = e + c
    L = d * f  # noqa: N806 (a loss is called so)
    return L, {"names": locals(), "title": "L = (a * b + c) * f"}


def used_twice():
    """y = x * x + 3x: x moves y in three ways, and its gradient is their sum."""
    x = Value(4.0, name="x")
    y = x * x + 3 * x
    y.name = "y"
    return y, {"title": "y = x * x + 3x"}


def neuron():
    """A neuron: a weighted sum of its inputs, bent by tanh."""
    x = [1.0, -2.0, 0.5]
    w = [Value(0.4), Value(0.3), Value(-0.6)]
    b = Value(0.2)
    s = b
    for weight, number in zip(w, x, strict=True):
        s = s + weight * number
    out = s.tanh()
    names = {"w": w, "b": b, "s": s, "out": out}
    return out, {"names": names, "title": "A neuron with the inputs 1, −2 and 0.5"}


def softmax():
    """Cross-entropy by hand: three scores become probabilities, and the loss is the first one's
    -log.
    """
    z = [Value(2.0), Value(1.0), Value(0.1)]
    e = [score.exp() for score in z]
    total = e[0] + e[1] + e[2]
    p = [power / total for power in e]
    loss = -p[0].log()
    return loss, {"names": locals(), "title": "The cross-entropy of three scores z"}


def second():
    """The second derivative of x³: the derivative is a graph like any other."""
    x = Value(3.0)
    y = x**3
    (dy,) = gradients(y, [x], create_graph=True)
    return dy, {
        "names": locals(),
        "title": "dy, the derivative of x³ at x = 3, and the slope of dy",
    }


def regression():
    """A line through five points: the slope's gradient is a sum over all of them."""
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    y = np.array([2.1, 3.9, 6.2, 7.8, 10.1])
    w, b = Value(1.5), Value(0.0)
    pred = w * x + b
    error = pred - y
    loss = (error**2).mean()
    return loss, {"names": locals(), "title": "A line through five points"}


def rnn():
    """A recurrent network that reads three numbers: each weight is used three times."""
    wx, wh, b = Value(0.5), Value(0.8), Value(0.1)
    h = [Value(0.0)]
    for number in [1.0, -1.0, 0.5]:
        h.append((wx * number + wh * h[-1] + b).tanh())
    loss = (h[-1] - 1) ** 2
    return loss, {"names": locals(), "title": "A recurrent network reads 1, −1 and 0.5"}


def attention():
    """Attention of three tokens to each other, and the mean square of what it gives."""
    rng = np.random.default_rng(0)
    X, Wq, Wk, Wv = (  # noqa: N806 (matrices are called so)
        Value(rng.normal(0, 0.6, shape)) for shape in ((3, 4), (4, 4), (4, 4), (4, 4))
    )
    Q, K, V = X @ Wq, X @ Wk, X @ Wv  # noqa: N806
    scores = Q @ K.T / 2
    A = operations.softmax(scores)  # noqa: N806
    out = A @ V
    loss = (out**2).mean()
    return loss, {"names": locals(), "title": "Attention of three tokens to each other"}


def xor():
    """A network of two layers, for "one or the other, but not both", and its loss on the four
    examples there are.
    """
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = np.array([[0.0], [1.0], [1.0], [0.0]])
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(2, 3, rng=rng), nn.Tanh(), nn.Linear(3, 1, rng=rng))
    loss = nn.mse_loss(model(x), target)
    title = "A network for one or the other, but not both"
    return loss, {"names": locals(), "model": model, "title": title}


def digits():
    """The network 784→16→16→10, with 13,002 weights and biases, on 32 digits: a box for each
    layer.
    """
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(784, 16, rng=rng),
        nn.ReLU(),
        nn.Linear(16, 16, rng=rng),
        nn.ReLU(),
        nn.Linear(16, 10, rng=rng),
    )
    images, labels = (array[:32] for array in data.digits().train)
    loss = nn.cross_entropy(model(images), labels)
    title = "784→16→16→10 and 32 digits"
    return loss, {"names": locals(), "model": model, "depth": 1, "title": title}


GRAPHS = [expression, used_twice, neuron, softmax, second, regression, rnn, attention, xor, digits]

# %% Draw each, and film it.


def main(arguments=None):
    """Write a picture and a film of each, and in Jupyter show them; what went wrong, if
    anything.
    """
    parser = program.parser(__doc__)
    parser.add_argument(
        "--format",
        default="svg",
        help="svg, png, or whatever else your Graphviz writes (default: %(default)s)",
    )
    options = parser.parse_args(program.arguments() if arguments is None else arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for make in GRAPHS:
            value, how = make()
            value.backward()
            picture = options.out / f"{make.__name__}.{options.format}"
            drawing = draw(value, **how)
            picture.write_bytes(drawing.pipe(options.format))
            how.pop("depth", None)  # a film shows every operation
            played = film(value, options.out / f"{make.__name__}.html", **how)
            said = " ".join(make.__doc__.split())
            print(f"{said}\n    {picture}\n    {played}")
            program.show(drawing)
            program.show(played)
    # a folder that cannot be written, no program, an unknown format
    except (OSError, RuntimeError, ValueError) as error:
        return str(error)
    except KeyboardInterrupt:
        return "stopped"
    print(
        "\nOpen the .html files in a browser: they play the computation forward, and then backward."
    )
    return None


if __name__ == "__main__":
    problem = main()
    if problem:
        sys.exit(problem)
