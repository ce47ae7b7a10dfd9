"""How good is the gradient of a mini-batch?

It is the gradient on a few examples, in place of that on all. So it is the full gradient, plus
chance. This measures how far it is off, for mini-batches of several sizes.
"""

# %% The data: handwritten digits. The network: 784 pixels to 10 outputs, 7,850 weights and biases.
import sys

import numpy as np
import program

from microgd import data, gradients, nn, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--examples",
    type=program.at_least(300),
    default=2000,
    help="digits in all, 300 to 6,000 (default: %(default)s)",
)
parser.add_argument(
    "--seed",
    type=program.at_least(0),
    default=0,
    help="for the weights and the mini-batches (default: %(default)s)",
)
options = program.options(parser)
rng = np.random.default_rng(options.seed)
x, y = data.digits().train
chosen = np.random.default_rng(0).permutation(len(x))[: options.examples]
x, y = x[chosen], y[chosen]
model = nn.Linear(784, 10, rng=rng)

# %% The gradient on some of the examples, as one vector, and on all of them.


def gradient(examples):
    """The gradient on these examples: a number for each weight and bias."""
    loss = nn.cross_entropy(model(x[examples]), y[examples])
    slopes = gradients(loss, model.parameters())
    return np.concatenate([np.ravel(slope) for slope in slopes])


full = gradient(np.arange(len(x)))
LENGTH = np.linalg.norm(full)

# %% How far off is the gradient of a mini-batch? That is the length of the difference of the two.
# (Here an example may be in a mini-batch twice, so that 1,024 of 2,000 are not half of all.)
SIZES = [1, 4, 16, 64, 256, 1024]
TIMES = 100  # mini-batches of each size
SCATTER = []
if len(set(SIZES)) < 2:
    sys.exit("SIZES must name two sizes or more, so that they can be compared")
print("examples in the mini-batch    its gradient is off by, as a share of the full one's length")
for size in SIZES:
    squares = []
    for _ in range(TIMES):
        difference = gradient(rng.integers(len(x), size=size)) - full
        squares.append(np.sum(difference**2))
    SCATTER.append(np.sqrt(np.mean(squares)) / LENGTH)
    print(f"{size:26,d} {SCATTER[-1]:16.2f}")

# %% By what power of the size does it fall? In logarithms a power is the slope of a line.
EXPONENT = np.polyfit(np.log(SIZES), np.log(SCATTER), 1)[0]
print()
program.say(
    f"It falls as the size to the power of {EXPONENT:.2f}. So a mini-batch 4 times as large, which",
    f"costs 4 times as much, is {4**-EXPONENT:.1f} times as good.",
    "That is why small mini-batches pay." if EXPONENT > -0.9 else "",
)

# %% Then why do steps with such gradients descend? Because their errors cancel.
found = [gradient(rng.integers(len(x), size=SIZES[0])) for _ in range(TIMES)]
TOGETHER = np.linalg.norm(np.mean(found, axis=0) - full) / LENGTH
program.say(
    f"A gradient on {SIZES[0]:,} example{'s' if SIZES[0] > 1 else ''} is off by {SCATTER[0]:.2f}"
    f" times the full one's length. The mean of {TIMES} of them is off by {TOGETHER:.2f} times:",
    "their errors point in different directions, and cancel. Over many small steps they do, too."
    if TOGETHER < SCATTER[0] and TIMES > 1
    else "that says nothing of whether errors cancel.",
)

# %% The picture
figure, [on] = plots.panels(height=4.2)
measured = f"measured, {TIMES} mini-batches of each size"
on.loglog(SIZES, SCATTER, "o", color=plots.BLUE, label=measured)
root = SCATTER[0] * np.sqrt(SIZES[0] / np.array(SIZES))
on.loglog(SIZES, root, "--", color=plots.VERMILION, label="1 / √size, through the first point")
low = np.floor(np.log2(min(SCATTER)))
high = np.ceil(np.log2(max(SCATTER)))
TICKS = 2.0 ** np.arange(low, high + 1)  # 0.25, 0.5, 1, …
on.set(
    title=f"A mini-batch 4 times as large is {4**-EXPONENT:.1f} times as close",
    xlabel="examples in the mini-batch",
    ylabel="distance from the full gradient\n(as a multiple of its length)",
    xticks=SIZES,
    xticklabels=SIZES,
    yticks=TICKS,
    yticklabels=[f"{tick:g}" for tick in TICKS],
)
on.minorticks_off()
on.legend()
program.save(figure, options.out / "scatter.png")
