"""Does stochastic gradient descent (SGD) take a small basket of weights and improve those?

No: the basket holds examples, and all weights move at every step. Such a basket is called a
mini-batch. Here four ways to descend race, each at the best of several learning rates.
"""

# %% The data: handwritten digits. The network: 784 pixels to 10 outputs, 7,850 weights and biases.
import os
from functools import partial

# On a busy machine, several threads of a matrix product wait for each other longer than it takes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import figures.baskets
import numpy as np
import program
import race

from microgd import Value, data, gradients, nn, no_grad, optim

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


@no_grad
def loss_of(model):
    """The loss over all examples: cross-entropy, in nats."""
    return nn.cross_entropy(model(x), y).item()


# %% Four ways to descend. Each `yield` is a step, and says what it cost: in examples looked at, and
# in multiply-adds (a multiplication, and an addition to a sum) of matrix products.
BATCH = 32  # examples in a mini-batch
PIXELS = 78  # a block of weights: those from so many pixels, at random, to all outputs
TIMES = 10  # steps with one block before the next, in the last way
FORWARD = 784 * 10  # multiply-adds for one example: each pixel times each weight


def all_weights(model, lr, batch):
    """A step of all weights for every mini-batch, in a new order in each epoch.

    That is SGD or, if the mini-batch is all examples, plain gradient descent.
    """
    rng = np.random.default_rng(options.seed)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    while True:
        for a, b in data.minibatches(x, y, batch, rng):
            optimizer.zero_grad()
            nn.cross_entropy(model(a), b).backward()
            optimizer.step()
            yield len(a), 2 * len(a) * FORWARD  # for the loss, and as much again for the slopes


def some_weights(model, lr, times):
    """So many steps for one block of weights, then for another: block coordinate descent.

    What all other weights contribute to the outputs is known from before, so only the block is
    computed, and a step is cheap in multiply-adds. (The ten biases stay as they are.)
    """
    rng = np.random.default_rng(options.seed)
    outputs, first = model(x).data, len(x) * FORWARD
    while True:
        block = rng.choice(784, PIXELS, replace=False)
        for _ in range(times):
            change = Value(np.zeros((10, PIXELS), np.float32))  # of the weights in the block
            loss = nn.cross_entropy(outputs + x[:, block] @ change.T, y)
            (slope,) = gradients(loss, [change])
            weights = model.weight.data
            weights[:, block] -= lr * slope
            model.weight.data = weights
            outputs = outputs - x[:, block] @ (lr * slope).T
            yield len(x), first + 2 * len(x) * PIXELS * 10
            first = 0


# %% The race from the same start down to the goal, each way at each of the rates.
GOAL = 0.4  # a loss
RATES = [2.0**n for n in range(5, -6, -1)]  # from 32 to 0.03
MOST = 100 * len(x)  # examples to look at
LONG = 300  # steps with one block, until its slopes are nearly 0
race.check(start(), len(x), BATCH, PIXELS, min(TIMES, LONG), RATES)
share = f"{PIXELS / 784:.0%}" if PIXELS > 7 else f"{PIXELS / 784:.1%}"
times_said = program.counted(TIMES, "step")
WAYS = {
    "all weights, all examples": partial(all_weights, batch=len(x)),
    f"all weights, {program.counted(BATCH, 'example')}: SGD": partial(all_weights, batch=BATCH),
    f"{share} of the weights, all examples": partial(some_weights, times=1),
    f"the same, {times_said} with each block": partial(some_weights, times=TIMES),
}
print(f"{len(x):,} examples.", end=" ")
BEST = race.run(WAYS, RATES, start, loss_of, GOAL, MOST, every=len(x) / 8)

# %% Why not improve a block until it is perfect? Its best values depend on the other weights.
model = start()
descent = some_weights(model, lr=4.0, times=LONG)  # a rate at which the loss falls steadily
SLOPES, WEIGHTS = [], []
for count in (0, LONG, LONG):  # at the start, after the first block, and after another
    for _ in range(count):
        next(descent)
    SLOPES.append(gradients(nn.cross_entropy(model(x), y), [model.weight])[0])
    WEIGHTS.append(model.weight.data.copy())
block = (WEIGHTS[1] != WEIGHTS[0]).any(axis=0)  # the pixels whose weights moved first
first, done, later = (np.linalg.norm(slope[:, block]) for slope in SLOPES)
DONE, LATER = done / first, later / first
for_long = program.counted(LONG, "step")
program.say(
    f"Is a block of weights perfect after {for_long}? Its slopes are {DONE:.1%} of those at the",
    f"start. After {for_long} with another block they are {LATER:.1%}:",
    "its best values moved, because other weights did." if LATER > DONE else "they did not rise.",
    f"The loss is {loss_of(model):.2f} now, after {2 * LONG * len(x):,} examples looked at.",
)

# %% Who needs least?
FEWEST = race.say_fewest(BEST)
TOP = race.say_rise(BEST)  # what costs the fewest examples may begin with steps that are too long
levels = {"before any step": loss_of(start()), "the goal": GOAL}
figure = figures.baskets.draw(BEST, FEWEST, levels, TOP)
program.save(figure, options.out / "baskets.png")
