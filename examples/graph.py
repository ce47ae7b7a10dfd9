"""Why is this gradient this number? Five computation graphs, drawn with what flows back, and played
step by step.
"""

import sys

import numpy as np
import program

from microgd import Value, data, draw, film, nn

# %% Each function computes a value, and gives it with what there is to say of its picture.


def expression():
    """L = (a * b + c) * f: the chain rule multiplies the local derivatives along the path from
    L.
    """
    a, b, c, f = Value(2.0), Value(-3.0), Value(10.0), Value(-2.0)
    e = a * b
    d = e + c
    L = d * f  # noqa: N806 (a loss is called so)
    return L, {"names": locals()}


def used_twice():
    """y = x * x + 3x: x moves y in three ways, and its gradient is their sum."""
    x = Value(4.0, name="x")
    y = x * x + 3 * x
    y.name = "y"
    return y, {}


def neuron():
    """A neuron: a weighted sum of its inputs, bent by tanh."""
    x1, x2, w1, w2 = Value(2.0), Value(0.5), Value(-0.6), Value(1.0)
    b = Value(1.2)
    total = x1 * w1 + x2 * w2 + b
    o = total.tanh()
    return o, {"names": locals()}


def xor():
    """A network of two layers, for "one or the other, but not both", and its loss on the four
    examples there are.
    """
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = np.array([[0.0], [1.0], [1.0], [0.0]])
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(2, 3, rng=rng), nn.Tanh(), nn.Linear(3, 1, rng=rng))
    loss = nn.mse_loss(model(x), target)
    return loss, {"names": locals(), "model": model}


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
    return loss, {"names": locals(), "model": model, "depth": 1}


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
        for make in (expression, used_twice, neuron, xor, digits):
            value, how = make()
            value.backward()
            picture = options.out / f"{make.__name__}.{options.format}"
            drawing = draw(value, **how)
            picture.write_bytes(drawing.pipe(options.format))
            how.pop("depth", None)  # a film shows every operation
            direction = "TB" if make is xor else "LR"
            played = film(value, options.out / f"{make.__name__}.html", **how, direction=direction)
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
