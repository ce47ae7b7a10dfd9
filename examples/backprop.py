"""How does backpropagation find the slope of every weight?

For one neuron, in three ways: by the chain rule on paper, by `backward`, and by moving each weight
a little. Then it prints the backward pass as a program, and films it.
"""

# %% A neuron multiplies each input by a weight, adds the products and a bias, and bends the sum.
# Its output should be the target. The loss is the square of how far it is off.
import sys

import figures.backprop
import numpy as np
import program

from microgd import Value, operations, source

options = program.options(program.parser(__doc__))
INPUTS = [2.0, -1.0]
TARGET = 1.0
WEIGHTS = {"w1": 0.3, "w2": 0.8, "b": 0.1}


def bend(z):
    """What bends the sum: tanh. Another function needs another slope in `slope_of_bend`."""
    return operations.tanh(z)


def slope_of_bend(z):
    """The slope of tanh at z, on paper."""
    return 1 - np.tanh(z) ** 2


def neuron(w1, w2, b):
    """The loss of the neuron, step by step."""
    x1, x2 = INPUTS
    z = w1 * x1 + w2 * x2 + b
    out = bend(z)
    error = out - TARGET
    loss = error**2
    return loss  # noqa: RET504 (the program below has the name)


# %% First way: the chain rule on paper. A weight moves z, z moves out, and out moves the loss.
# So the slope of the loss is the product of three slopes. Only the last factor differs from weight
# to weight: it is the weight's input. (The bias has none; it moves z by as much as itself.)
x1, x2 = INPUTS
z = WEIGHTS["w1"] * x1 + WEIGHTS["w2"] * x2 + WEIGHTS["b"]
out = bend(z)
loss_by_out = 2 * (out - TARGET)  # the slope of (out − target)²
out_by_z = slope_of_bend(z)
z_by_weight = {"w1": x1, "w2": x2, "b": 1.0}
PAPER = {}
print(f"z = {z:.4f}, out = {out:.4f}, loss = {neuron(**WEIGHTS):.4f}\n")
if not np.isfinite(neuron(**WEIGHTS)):
    sys.exit(f"the loss has no value at z = {z:.4f}: try other WEIGHTS, or another bend")
for name, factor in z_by_weight.items():
    PAPER[name] = loss_by_out * out_by_z * factor
    product = f"{loss_by_out:z.6f} · {out_by_z:z.6f} · {factor:g}"
    print(f"slope of {name} on paper = {product} = {PAPER[name]:z.6f}")
print()

# %% Second way: backward. The values remember how they were computed.
values = {name: Value(number, name=name) for name, number in WEIGHTS.items()}
loss = neuron(**values)
loss.backward()
BACKWARD = {name: value.grad or 0.0 for name, value in values.items()}  # None if it is not used

# %% Third way: move one weight a little, and see by how much the loss changes.
# The smaller the move, the better, until rounding spoils it: 16 digits are not enough to tell two
# losses apart that are nearly the same.


def moved(name, by):
    """How much the loss changes for each unit by which one weight moves."""
    weights = dict(WEIGHTS)
    weights[name] += by
    return (neuron(**weights) - neuron(**WEIGHTS)) / by


MOVES = [0.1, 1e-3, 1e-5, 1e-7, 1e-11, 1e-14]
DIFFERENCES = {}
print("a weight moves by    this differs from backward by at most")
for move in MOVES:
    DIFFERENCES[move] = max(abs(moved(name, move) - BACKWARD[name]) for name in WEIGHTS)
    print(f"{move:17g} {DIFFERENCES[move]:23.1g}")
BEST = min(DIFFERENCES, key=DIFFERENCES.get)
print(f"Of these moves, {BEST:g} comes closest.\n")

# %% The three ways side by side
print("weight      on paper     by backward    by moving it")
for name in WEIGHTS:
    print(f"{name:6s} {PAPER[name]:z#13.9g} {BACKWARD[name]:z#15.9g} {moved(name, BEST):z#15.9g}")
SIZE = max(1e-12, abs(loss_by_out), *(abs(slope) for slope in BACKWARD.values()))
OFF_PAPER = max(abs(PAPER[name] - BACKWARD[name]) for name in WEIGHTS)
OFF_MOVED = DIFFERENCES[BEST]
print()
if OFF_MOVED > max(1e-3 * SIZE, 0.1 * max(DIFFERENCES.values())):
    program.say(
        f"Paper and backward differ by {OFF_PAPER:.2g}. Moving the weights comes no closer to",
        f"backward than {OFF_MOVED:.2g}: no number in MOVES will do, or z = {z:.4f} is at a kink",
        "of bend, where it has no slope.",
    )
elif OFF_PAPER < 1e-9 * SIZE:
    program.say(
        f"The largest difference between paper and backward is {OFF_PAPER:.1g}, since both use the",
        f"chain rule. Moving the weights is off by up to {OFF_MOVED:.1g}, and computes the loss",
        "once more for each weight. backward goes back through the neuron once, for all weights",
        "together.",
    )
else:
    program.say(
        f"Paper and backward differ by up to {OFF_PAPER:.2g}. Moving the weights agrees with",
        f"backward, up to {OFF_MOVED:.1g}: so the paper does not belong to this neuron. (If you",
        "have put in another bend, put its slope into slope_of_bend.)",
    )

# %% What backward computes, as a program: forward first, and then the chain rule, line by line.
written = source(neuron, *values.values())
print(written)

# %% The same as a picture and as a film, with the factors of the chain rule in the boxes.
figures.backprop.save(loss, {**values, "loss": loss}, written, options.out)
