"""How does a network learn, from a single neuron up?

As in Andrej Karpathy's lecture on micrograd: first one neuron, backpropagated by hand and by the
engine; then a small network, on four examples; then one that tells two crescents apart.
Every weight is a Value of its own, so the graphs show all there is.
"""

# %% One neuron: a weighted sum of its inputs, bent by tanh.
import random
from itertools import pairwise

import numpy as np
import program

import microgd
from microgd import Value, draw, film, nn, no_grad, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--steps",
    type=program.at_least(4),
    default=200,
    help="of gradient descent on the two crescents (default: %(default)s)",
)
options = program.options(parser)
random.seed(1337)


def keep(picture, name):
    """Save a picture of a graph, unless there is no program to lay it out."""
    path = options.out / name
    try:
        path.write_bytes(picture.pipe())
    except RuntimeError as error:
        print(error)
        return
    print(f"picture: {path}\n")
    program.show(picture)


x1, x2 = Value(2.0), Value(0.0)
w1, w2 = Value(-3.0), Value(1.0)
b = Value(6.8813735870195432)  # chosen so that the output is 0.7071
n = x1 * w1 + x2 * w2 + b
o = n.tanh()
o.backward()
slope = 1 - o.item() ** 2
program.say(
    f"The neuron's output is {o.item():.4f}. By hand: tanh has the slope 1 − o² = {slope:.3g}",
    "there, and a weight's own slope is that times its input.",
)
for name, w, x in (("w1", w1, x1), ("w2", w2, x2)):
    print(
        f"{name}: {slope:.3g} · {x.item():g} = {slope * x.item():.3g}; backward() says {w.grad:.3g}"
    )
print()
keep(draw(o, names=locals(), title="A neuron of two inputs"), "lecture_neuron.svg")

# %% Layers of neurons, and a network of layers.


class Neuron(nn.Module):
    """A weighted sum of its inputs, which tanh may bend."""

    def __init__(self, inputs, bends):
        self.bends = bends
        self.w = [Value(random.uniform(-1, 1)) for _ in range(inputs)]
        self.b = Value(0.0)

    def forward(self, x):
        """One number; from -1 to 1, if it is bent."""
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return act.tanh() if self.bends else act


class Layer(nn.Module):
    """Neurons which all see the same inputs."""

    def __init__(self, inputs, outputs, bends):
        self.neurons = [Neuron(inputs, bends) for _ in range(outputs)]

    def forward(self, x):
        """A number for each neuron; of one neuron, just its number."""
        outs = [neuron(x) for neuron in self.neurons]
        return outs[0] if len(outs) == 1 else outs


class MLP(nn.Module):
    """Layers, each of which sees the outputs of the one before; the last is not bent."""

    def __init__(self, inputs, outputs):
        sizes = list(pairwise([inputs, *outputs]))
        self.layers = [Layer(*each, bends=each is not sizes[-1]) for each in sizes]

    def forward(self, x):
        """What the last layer says."""
        for layer in self.layers:
            x = layer(x)
        return x


# %% A few examples, each a list of numbers, and what the network should say to them.
xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
ys = [1.0, -1.0, -1.0, 1.0]
model = MLP(len(xs[0]), [4, 4, 1])
print(f"{model}\n")


def count(model):
    """How many numbers a model learns: its weights and biases."""
    return sum(p.size for p in model.parameters())


def loss_of(x, y):
    """The squared error for one example."""
    out = model(x)
    return out, (out - y) ** 2


out, loss = loss_of(xs[0], ys[0])
loss.backward()
names = {"model": model, "out": out, "loss": loss}
program.say(
    "The whole network for the first example, with all of its weights and their gradients;",
    "then with a box for each neuron, and with one for each layer:",
)
inputs = ", ".join(f"{x:g}" for x in xs[0]).replace("-", "−")
title = f"A network of {count(model)} weights and biases, and the inputs {inputs}"
keep(draw(loss, names=names, title=title), "lecture_network.svg")
keep(draw(loss, names=names, title=title, model=model, depth=2), "lecture_neurons.svg")
keep(draw(loss, names=names, title=title, model=model, depth=1), "lecture_layers.svg")

# %% Gradient descent: a step against the gradient, again and again.
for step in range(20):
    losses = [loss_of(x, y)[1] for x, y in zip(xs, ys, strict=True)]
    total = sum(losses)
    model.zero_grad()
    total.backward()
    for p in model.parameters():
        p.data -= 0.02 * p.grad
    if step % 5 == 0 or step == 19:
        print(f"step {step:2}: the loss is {total.item():.4f}")
said = ", ".join(f"{model(x).item():.2f}" for x in xs)
print()
program.say(f"It should say {', '.join(map(str, ys))}, and says {said}.")
path = options.out / "lecture_film.html"
try:
    played = film(total, path, names={"loss": total}, model=model)
    print(f"film: {path}\n")
    program.show(played)
except RuntimeError as error:
    print(error)

# %% Two crescents. In each step the network is computed for every point.
rng = np.random.default_rng(0)
HALF = 50  # points in each crescent
angle = rng.random(2 * HALF) * np.pi
side = np.repeat([1, -1], HALF)
is_lower = side < 0
points = np.stack([np.cos(angle) * side + is_lower, np.sin(angle) * side + 0.5 * is_lower], axis=1)
points += rng.normal(0, 0.1, points.shape)
model = MLP(2, [16, 16, 1])


@microgd.compiled  # written out once, then run as NumPy calls, which is much faster
def loss_of_moons():
    """A point counts unless the network is sure of its side; large weights cost a little."""
    total = 0.0
    for point, sign in zip(points.tolist(), side.tolist(), strict=True):
        total = total + (1.0 - sign * model(point)).relu()
    squares = sum(p * p for p in model.parameters())
    return total / len(points) + 1e-4 * squares


for step in range(options.steps):
    loss = loss_of_moons()
    model.zero_grad()
    loss.backward()
    rate = 1.0 - 0.9 * step / options.steps  # large steps first, then smaller ones
    for p in model.parameters():
        p.data -= rate * p.grad
    if step % (options.steps // 4) == 0:
        print(f"step {step:3}: the loss is {loss.item():.3f}")

# %% What the network says everywhere.


def says(x, y):
    """The network's output at (x, y), or at many places at once, if x and y are arrays."""
    with no_grad():
        return model([x, y]).data


right = np.sum(says(*points.T) * side > 0)
print()
program.say(f"{right} of the {len(points)} points are on the right side of the line.")
across, up = np.linspace(-1.5, 2.5, 81), np.linspace(-1.0, 1.5, 51)
heights = says(*np.meshgrid(across, up))
figure, [ax] = plots.panels(1, 1, width=7, height=4.8)
filled = ax.contourf(across, up, heights, levels=np.linspace(-1, 1, 11), cmap="RdBu")
ax.contour(across, up, heights, levels=[0.0], colors="black", linewidths=1.5)
for sign, marker, name in ((1, "o", "upper"), (-1, "s", "lower")):
    chosen = points[side == sign]
    colour = "#0b6fa8" if sign > 0 else "#a63c00"
    ax.scatter(*chosen.T, c=colour, marker=marker, edgecolors="white", label=f"{name} crescent")
ax.set(
    xlabel="x",
    ylabel="y",
    title=f"What a network of {count(model)} numbers says; the line is where it says 0",
)
ax.legend(loc="upper right")
figure.colorbar(filled, label="the network's output")
program.save(figure, options.out / "lecture_moons.png")
