"""Does stochastic gradient descent (SGD) take a small basket of weights and improve those?

No: the basket holds examples, and all weights move at every step. Such a basket is called a
mini-batch. Here four ways to descend race, each at the best of several learning rates.
"""

# %% The data: handwritten digits. The network: 784 pixels to 10 outputs, 7,850 weights and biases.
import sys
from functools import partial

import descents
import figures.baskets
import numpy as np
import program

from microgd import data, gradients, nn, no_grad

parser = program.parser(__doc__)
add = parser.add_argument
about = "digits in all, 300 to 6,000 (default: %(default)s)"
add("--examples", type=program.at_least(300), default=2000, help=about)
add("--seed", type=program.at_least(0), default=0, help="for what is random (default: 0)")
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


# %% The race: four ways to descend, which descents.py holds, from the same start down to the goal.
BATCH = 32  # examples in a mini-batch
PIXELS = 78  # a block of weights: those from so many pixels, at random, to all outputs
TIMES = 10  # steps with one block before the next, in the last way
LONG = 300  # steps with one block, until its slopes are nearly 0
GOAL = 0.4  # a loss
RATES = [2.0**n for n in range(5, -6, -1)]  # from 32 to 0.03
MOST = 100 * len(x)  # examples to look at
descents.check(start(), len(x), BATCH, PIXELS, min(TIMES, LONG), RATES)
some_weights = partial(descents.some_weights, pixels=PIXELS)
share = f"{PIXELS / 784:.0%}" if PIXELS > 7 else f"{PIXELS / 784:.1%}"
batch_said = program.counted(BATCH, "example")
times_said, long_said = program.counted(TIMES, "step"), program.counted(LONG, "step")
WAYS = {
    "all weights, all examples": partial(descents.all_weights, batch=len(x)),
    f"all weights, {batch_said}: SGD": partial(descents.all_weights, batch=BATCH),
    f"{share} of the weights, all examples": partial(some_weights, times=1),
    f"the same, {times_said} with each block": partial(some_weights, times=TIMES),
}
FIRST = loss_of(start())
if FIRST <= GOAL:
    sys.exit(f"the first loss, {FIRST:.3g}, is not above the goal, {GOAL}: try a lower GOAL")

BEST = {}  # for each way its best rate, and what happened
print(f"From a loss of {FIRST:.2f} over all {len(x):,} examples down to {GOAL}:\n")
print(f"{'':36s} {'best rate':>9s} {'examples looked at':>20s} {'multiply-adds':>15s}")
for name, way in WAYS.items():
    most = MOST
    for lr in RATES:
        model = start()
        descent = way(model, (x, y), lr, np.random.default_rng(options.seed))
        history = descents.record(descent, partial(loss_of, model), GOAL, most, every=len(x) / 8)
        if history[-1, 2] <= GOAL:
            BEST[name] = (lr, history)
            most = history[-1, 0]  # a rate that takes longer than the best need not go on
    if name in BEST:
        lr, history = BEST[name]
        print(f"{name:36s} {lr:9.3g} {history[-1, 0]:20,.0f} {history[-1, 1]:15,.0f}")
    else:
        print(f"{name:36s} not within {MOST:,} examples looked at, at any of the rates")
if not BEST:
    sys.exit(f"no way gets down to a loss of {GOAL}: try a higher GOAL or MOST, or other RATES")

# %% Why not improve a block until it is perfect? Its best values depend on the other weights.
model = start()
descent = some_weights(model, (x, y), 4.0, np.random.default_rng(options.seed), times=LONG)
SLOPES, WEIGHTS = [], []
for count in (0, LONG, LONG):  # at the start, after the first block, and after another
    for _ in range(count):
        next(descent)
    SLOPES.append(gradients(nn.cross_entropy(model(x), y), [model.weight])[0])
    WEIGHTS.append(model.weight.data.copy())
block = (WEIGHTS[1] != WEIGHTS[0]).any(axis=0)  # the pixels whose weights moved first
first, done, later = (np.linalg.norm(slope[:, block]) for slope in SLOPES)
DONE, LATER = done / first, later / first
print()
program.say(
    f"Is a block of weights perfect after {long_said}? Its slopes are {DONE:.1%} of those at the",
    f"start. After {long_said} with another block they are {LATER:.1%}:",
    "its best values moved, because other weights did." if LATER > DONE else "they did not rise.",
    f"The loss is {loss_of(model):.2f} now, after {2 * LONG * len(x):,} examples looked at.",
)

# %% Who needs least?
FEWEST = {}
for column, unit in enumerate(["examples looked at", "multiply-adds"]):
    needed = {name: history[-1, column] for name, (_, history) in BEST.items()}
    FEWEST[unit], *others = sorted(needed, key=needed.get)
    print(f"The fewest {unit}: {FEWEST[unit]}.")
    for name in others:
        ratio = needed[name] / needed[FEWEST[unit]]
        many = f"{ratio:6.1f} times as many" if ratio > 1 else "just as many"
        print(f"    {many}: {name}")
    print()

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
levels = {"before any step": FIRST, "the goal": GOAL}
figure = figures.baskets.draw(BEST, FEWEST, levels, top if top[2] > FIRST else None)
program.save(figure, options.out / "baskets.png")
