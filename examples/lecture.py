"""How does a network learn, from a single neuron up?

As in Andrej Karpathy's lecture on micrograd: first one neuron, backpropagated by hand and by the
engine; then a small network, on four examples. Every weight is a Value of its own, so the graphs
show all there is.
"""

# %% One neuron: a weighted sum of its inputs, bent by tanh.
import random

import program
from neurons import MLP, count

from microgd import Value, draw, film

options = program.options(program.parser(__doc__))
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
if abs(w1.grad - slope * x1.item()) > 1e-6:
    print("These differ: 1 − o² is the slope of tanh, and of no other function.")
print()
keep(draw(o, names=locals(), title="A neuron of two inputs"), "lecture_neuron.svg")

# %% A network: three layers of such neurons, which neurons.py defines.
# It sees four examples, each a list of numbers, and should answer each with the number in ys.
xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
ys = [1.0, -1.0, -1.0, 1.0]
model = MLP(len(xs[0]), [4, 4, 1])
print(f"{model}\n")


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
