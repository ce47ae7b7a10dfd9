"""Does stochastic gradient descent (SGD) take a small basket of weights and improve those?

No: the basket holds examples, and all weights move at every step. Such a basket is called a
mini-batch. Here four ways to descend race, each at the best of several learning rates.
"""

# %% The data: handwritten digits. The network: 784 pixels to 10 outputs, 7,850 weights and biases.
import os
import sys
from functools import partial

# On a busy machine, several threads of a matrix product wait for each other longer than it takes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import descents
import numpy as np
import program

from microgd import data, gradients, nn, no_grad, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--examples",
    type=program.at_least(300),
    default=2000,
    help="digits in all, 300 to 6,000 (default: %(default)s)",
)
parser.add_argument(
    "--seed", type=program.at_least(0), default=0, help="for what is random (default: %(default)s)"
)
options = program.options(parser)
(x, y), _ = data.digits()
chosen = np.random.default_rng(0).permutation(len(x))[: options.examples]
x, y = x[chosen], y[chosen]


def start():
    """The same weights for every run."""
    return nn.Linear(784, 10, rng=np.random.default_rng(options.seed))


def loss_of(model):
    """The loss over all examples: cross-entropy, in nats."""
    with no_grad():
        return nn.cross_entropy(model(x), y).item()


# %% The settings of the four ways to descend, which descents.py holds.
BATCH = 32  # examples in a mini-batch
PIXELS = 78  # a block of weights: those from so many pixels, at random, to all outputs
TIMES = 10  # steps with one block before the next, in the last way

# %% The race: down to the goal, at each of the rates.
GOAL = 0.4  # a loss
RATES = [2.0**n for n in range(5, -6, -1)]  # from 32 to 0.03
MOST = 100 * len(x)  # examples to look at
some_weights = partial(descents.some_weights, pixels=PIXELS)
batch_said = "1 example" if BATCH == 1 else f"{BATCH} examples"
WAYS = {
    "all weights, all examples": partial(descents.all_weights, batch=len(x)),
    f"all weights, {batch_said}: SGD": partial(descents.all_weights, batch=BATCH),
    f"{PIXELS / 784:.0%} of the weights, all examples": partial(some_weights, times=1),
    f"the same, {TIMES} steps with each block": partial(some_weights, times=TIMES),
}
FIRST = loss_of(start())
if FIRST <= GOAL:
    sys.exit(f"the first loss, {FIRST:.3g}, is not above the goal, {GOAL}: try a lower GOAL")


def run(way, lr, most):
    """Examples looked at, multiply-adds, and the loss, until the goal or at most so many examples.

    The loss over all examples takes longer than a step of SGD, so it is computed now and then.
    """
    model = start()
    history = [(0, 0, FIRST)]
    visits = work = 0
    for examples, multiply_adds in way(model, (x, y), lr, np.random.default_rng(options.seed)):
        visits += examples
        work += multiply_adds
        if visits - history[-1][0] < len(x) / 8:
            continue
        loss = loss_of(model)
        history.append((visits, work, loss))
        if loss <= GOAL or visits >= most or not loss < 100:
            break
    return np.array(history)


BEST = {}  # for each way its best rate, and what happened
print(f"From a loss of {FIRST:.2f} over all {len(x):,} examples down to {GOAL}:\n")
print(f"{'':36s} {'best rate':>9s} {'examples looked at':>20s} {'multiply-adds':>15s}")
for name, way in WAYS.items():
    most = MOST
    for lr in RATES:
        history = run(way, lr, most)
        if history[-1, 2] <= GOAL:
            BEST[name] = (lr, history)
            most = history[-1, 0]  # a rate that takes longer than the best need not go on
    if name in BEST:
        lr, history = BEST[name]
        print(f"{name:36s} {lr:9.3g} {history[-1, 0]:20,.0f} {history[-1, 1]:15,.0f}")
    else:
        print(f"{name:36s} not within {MOST:,} examples looked at, at any of the rates")
if not BEST:
    sys.exit(f"no way gets down to a loss of {GOAL}: try a higher GOAL, or other RATES")

# %% Why not improve a block until it is perfect? Its best values depend on the other weights.
LONG = 300  # steps with a block, until its slopes are nearly 0


def slopes_of_block(model):
    """The length of the gradient, of the weights in the first block alone."""
    (slope,) = gradients(nn.cross_entropy(model(x), y), [model.weight])
    return np.linalg.norm(slope[:, block])


model = start()
steps = some_weights(model, (x, y), 4.0, np.random.default_rng(options.seed), times=LONG)
for _ in range(LONG):
    next(steps)
block = (model.weight.data != start().weight.data).any(axis=0)  # the pixels whose weights moved
SLOPES = [slopes_of_block(start()), slopes_of_block(model)]
for _ in range(LONG):
    next(steps)
SLOPES = np.array([*SLOPES, slopes_of_block(model)])
_, DONE, LATER = SLOPES / SLOPES[0]
print()
program.say(
    f"Is a block of weights perfect after {LONG} steps? Its slopes are {DONE:.1%} of those at the",
    f"start. After {LONG} steps with another block they are {LATER:.1%}:",
    "its best values moved, because other weights did." if LATER > DONE else "they did not rise.",
    f"The loss is {loss_of(model):.2f} now, after {2 * LONG * len(x):,} examples looked at.",
)

# %% Who needs least, and the picture
figure, axes = plots.panels(2, width=10.0, height=4.8)
for column, unit in enumerate(["examples looked at", "multiply-adds"]):
    lines, needed = {}, {}
    for name, (_, history) in BEST.items():
        lines[name] = (history[1:, column], history[1:, 2])
        needed[name] = history[-1, column]
    winner, *others = sorted(needed, key=needed.get)
    print(f"The fewest {unit}: {winner}.")
    for name in others:
        print(f"    {needed[name] / needed[winner]:6.1f} times as many: {name}")
    print()
    on = axes[column]
    plots.losses(lines, ax=on)
    on.get_legend().remove()
    on.set(xscale="log", xlabel=unit, ylabel="loss over all examples (nats)")
    on.set_title(f"The fewest {unit}:\n{winner}")
    for height, text in [(FIRST, "before any step"), (GOAL, "the goal")]:
        on.axhline(height, color="grey", lw=0.8)
        place = {"xycoords": ("axes fraction", "data"), "va": "bottom"}
        on.annotate(f"{text}: {height:.3g}", (0.01, height), **place)

# %% A loss that rises first looks like a mistake. But that rate is the fastest all the same.
highest = max(BEST, key=lambda name: BEST[name][1][:, 2].max())
lr, history = BEST[highest]
top = history[np.argmax(history[:, 2])]
if top[2] > FIRST:
    program.say(
        f"The loss of “{highest}” rises to {top[2]:.2f} on its way. Its best rate, {lr:.3g},",
        "is too large for the first steps, which jump past the minimum. But no lower rate that was",
        "tried gets to the goal with fewer examples.",
    )
    look = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center"}
    for column, on in enumerate(axes):
        on.annotate("steps too long", top[[column, 2]], **look)
        on.set_ylim(top=1.3 * top[2])
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
program.save(figure, options.out / "baskets.png")
