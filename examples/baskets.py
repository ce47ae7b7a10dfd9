"""Does stochastic gradient descent (SGD) take a small basket of weights and improve those?

No: the basket holds examples, and all weights move at every step. Such a basket is called a
mini-batch. Here four ways to descend race, each at the best of several learning rates.
"""

# %% The data: handwritten digits. The network: 784 pixels to 10 outputs, 7,850 weights and biases.
import sys
from functools import partial

import numpy as np
import program

from microgd import Value, data, gradients, nn, no_grad, optim, plots

parser = program.parser(__doc__)
parser.add_argument("--examples", type=program.at_least(300), default=2000, help="up to 6,000")
parser.add_argument("--seed", type=program.at_least(0), default=0, help="for all that is random")
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


# %% Ways to descend, as generators: each `yield` is a step, and says what it cost, in examples
# looked at and in multiply-adds (a multiplication, and an addition to a sum) of matrix products.
FORWARD = 784 * 10  # multiply-adds for one example: each pixel times each weight
BATCH = 32  # examples in a mini-batch
PIXELS = 78  # a block of weights: those from so many pixels, at random, to all outputs
TIMES = 10  # steps with one block before the next, in the last way


def all_weights(model, lr, rng, batch):
    """A step for every mini-batch of this many examples, in a new order in each epoch.

    That is stochastic gradient descent or, if `batch` is all examples, plain gradient descent.
    """
    optimizer = optim.SGD(model.parameters(), lr=lr)
    while True:
        for a, b in data.minibatches(x, y, batch, rng):
            optimizer.zero_grad()
            nn.cross_entropy(model(a), b).backward()
            optimizer.step()
            yield len(a), 2 * len(a) * FORWARD  # for the loss, and as much again for the slopes


def some_weights(model, lr, rng, times):
    """Block coordinate descent: this many steps for one block of weights, then another block.

    What all other weights contribute to the outputs is known from before, so only the block is
    computed, and a step is cheap in multiply-adds. (The ten biases stay as they are.)
    """
    outputs = model(x).data
    first = len(x) * FORWARD
    while True:
        pixels = rng.choice(784, PIXELS, replace=False)
        part = x[:, pixels]
        for _ in range(times):
            change = Value(np.zeros((10, PIXELS), np.float32))
            (slope,) = gradients(nn.cross_entropy(outputs + part @ change.T, y), [change])
            weights = model.weight.data
            weights[:, pixels] -= lr * slope
            model.weight.data = weights
            outputs = outputs - part @ (lr * slope).T
            yield len(x), first + 2 * len(x) * PIXELS * 10
            first = 0


# %% The race: down to the goal, at each of the rates.
GOAL = 0.4  # a loss
RATES = [2.0**n for n in range(5, -6, -1)]  # from 32 to 0.03
MOST = 100 * len(x)  # examples to look at
batch_said = "1 example" if BATCH == 1 else f"{BATCH} examples"
WAYS = {
    "all weights, all examples": partial(all_weights, batch=len(x)),
    f"all weights, {batch_said}: SGD": partial(all_weights, batch=BATCH),
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
    for examples, multiply_adds in way(model, lr, np.random.default_rng(options.seed)):
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

# %% Who needs least, and the picture
figure, axes = plots.panels(2, width=10.0, height=4.8)
for column, unit in enumerate(["examples looked at", "multiply-adds"]):
    lines, needed = {}, {}
    for name, (_, history) in BEST.items():
        lines[name] = (history[1:, column], history[1:, 2])
        needed[name] = history[-1, column]
    winner, *others = sorted(needed, key=needed.get)
    print(f"\nThe fewest {unit}: {winner}.")
    for name in others:
        print(f"    {needed[name] / needed[winner]:6.1f} times as many: {name}")
    plots.losses(lines, ax=axes[column])
    axes[column].get_legend().remove()
    axes[column].set(xscale="log", xlabel=unit, ylabel="loss over all examples (nats)")
    axes[column].set_title(f"The fewest {unit}:\n{winner}")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
program.save(figure, options.out / "baskets.png")
