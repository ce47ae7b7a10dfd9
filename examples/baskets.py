"""Does stochastic gradient descent (SGD) take a small basket of weights and improve those?

No: the basket holds examples, and all weights move at every step. Such a basket is called a
mini-batch. Here four ways race, each at the best of eleven learning rates.
"""

# %% The data: handwritten digits. The network: 784 pixels to 10 outputs, 7,850 weights and biases.
import sys
from functools import partial

import numpy as np
import program

from microgd import Value, data, gradients, nn, no_grad, optim, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--examples",
    type=program.at_least(300),
    default=2000,
    help="digits to learn from, 300 to 6,000 (default: %(default)s)",
)
parser.add_argument(
    "--seed",
    type=program.at_least(0),
    default=0,
    help="for first weights and mini-batches (default: %(default)s)",
)
options = program.options(parser)

(x, y), _ = data.digits()
chosen = np.random.default_rng(0).permutation(len(x))[: options.examples]
x, y = x[chosen], y[chosen]
GOAL = 0.4  # the loss (cross-entropy, in nats) to get down to; pure guessing gives log(10) = 2.3


def start():
    """The same weights for every run."""
    return nn.Linear(784, 10, rng=np.random.default_rng(options.seed))


def loss_of(model):
    """The loss over all examples."""
    with no_grad():
        return nn.cross_entropy(model(x), y).item()


# %% Ways to descend, as generators: each `yield` is a step, and says what it cost:
# how many examples were looked at, and how many multiply-adds (a multiplication, and an addition to
# a sum) its matrix products took.
FORWARD = 784 * 10  # multiply-adds for one example: each pixel times each weight
BATCH = 32  # examples in a mini-batch
# A block of weights: those from a tenth of the pixels to all outputs, a tenth of all weights.
PIXELS = 78


def all_weights_all_examples(model, lr, rng):
    """Full-batch gradient descent."""
    optimizer = optim.SGD(model.parameters(), lr=lr)
    while True:
        optimizer.zero_grad()
        nn.cross_entropy(model(x), y).backward()
        optimizer.step()
        yield len(x), 2 * len(x) * FORWARD  # to compute the loss, and as much again for the slopes


def all_weights_some_examples(model, lr, rng):
    """Stochastic gradient descent: a step for every mini-batch, in a new order in each epoch."""
    optimizer = optim.SGD(model.parameters(), lr=lr)
    while True:
        for a, b in data.minibatches(x, y, BATCH, rng):
            optimizer.zero_grad()
            nn.cross_entropy(model(a), b).backward()
            optimizer.step()
            yield len(a), 2 * len(a) * FORWARD


def some_weights_all_examples(model, lr, rng, times):
    """Block coordinate descent: so many steps for a basket of weights (from some pixels to all
    outputs), then another one.

    (The ten biases stay as they are.)
    """
    outputs = model(x).data
    first = len(x) * FORWARD
    while True:
        pixels = rng.choice(784, PIXELS, replace=False)
        part = x[:, pixels]
        for _ in range(times):
            # What all other weights contribute to the outputs is known from before, so only this
            # block is computed.
            nudge = Value(np.zeros((10, PIXELS), np.float32))
            (slope,) = gradients(nn.cross_entropy(outputs + part @ nudge.T, y), [nudge])
            weights = model.weight.data
            weights[:, pixels] -= lr * slope
            model.weight.data = weights
            outputs = outputs - part @ (lr * slope).T
            yield len(x), first + 2 * len(x) * PIXELS * 10
            first = 0


FULL = "all weights, all examples"
SGD = "all weights, a mini-batch (SGD)"
BLOCK = "a tenth of the weights, all examples"
WAYS = {
    FULL: all_weights_all_examples,
    SGD: all_weights_some_examples,
    BLOCK: partial(some_weights_all_examples, times=1),
    "the same, 10 steps with each tenth": partial(some_weights_all_examples, times=10),
}
RATES = [2.0**n for n in range(5, -6, -1)]  # from 32 to 0.03
MOST = 100 * len(x)  # examples to look at


def run(way, lr, most):
    """Examples looked at, multiply-adds, and loss over all examples, until the goal, or at most so
    many examples.
    """
    model = start()
    history = [(0, 0, loss_of(model))]
    visits = work = 0
    for examples, multiply_adds in way(model, lr, np.random.default_rng(options.seed)):
        visits, work = visits + examples, work + multiply_adds
        since = visits - history[-1][0]
        # the loss over all takes longer than a step of SGD: now and then will do
        if since < len(x) / 8:
            continue
        loss = loss_of(model)
        history.append((visits, work, loss))
        if loss <= GOAL or visits >= most or loss > 100 or not np.isfinite(loss):
            break
    return np.array(history)


BEST = {}
print(
    f"Down to a loss of {GOAL} over all {len(x):,} examples, each way at the best of {len(RATES)} "
    "learning rates:\n"
)
print(f"{'':40s} {'rate':>6s} {'examples looked at':>19s} {'multiply-adds':>14s} {'as SGD':>16s}")
for name, way in WAYS.items():
    most = MOST
    for lr in RATES:
        history = run(way, lr, most)
        if history[-1][2] <= GOAL:
            BEST[name] = (lr, history)
            most = history[-1][0]  # who takes longer than the best need not go on
sgd = BEST[SGD][1][-1] if SGD in BEST else None
for name in WAYS:
    if name not in BEST:
        print(f"{name:40s} not within {MOST:,} examples looked at, at any of the rates")
        continue
    lr, history = BEST[name]
    visits, work, _ = history[-1]
    times = "–" if sgd is None else f"{visits / sgd[0]:.0f} and {work / sgd[1]:.1f} times"
    print(f"{name:40s} {lr:6.3g} {int(visits):19,d} {int(work):14,d} {times:>16s}")
print()
if not BEST:
    sys.exit(f"no way gets down to a loss of {GOAL}: try a higher GOAL, or other RATES")
highest = BEST[FULL][1][:, 2].max() if FULL in BEST else 0.0
if highest > 1.05 * loss_of(start()):
    program.say(
        f"(With all examples the loss goes up to {highest:.1f} on the way: the fastest of these "
        "rates overshoots at first.)"
    )
program.say(
    "(A step of a tenth of the weights is cheap in multiply-adds, since only these are computed.)"
)

figure, axes = plots.panels(2, width=10.0, height=4.6)
for on, column, unit in zip(axes, (0, 1), ("examples looked at", "multiply-adds"), strict=True):
    plots.losses(
        {name: (history[1:, column], history[1:, 2]) for name, (_, history) in BEST.items()}, ax=on
    )
    on.axhline(loss_of(start()), color="0.6", linewidth=1)
    # above is only the title
    beneath = all(history[1:, 2].max() < loss_of(start()) for _, history in BEST.values())
    place = (0, -12 if beneath else 3)
    on.annotate(
        "all start at this loss",
        (0.02, loss_of(start())),
        place,
        on.get_yaxis_transform(),
        "offset points",
    )
    title = f"{unit.capitalize()} until the loss is {GOAL}"
    if sgd is not None:
        names = {FULL: "all examples", BLOCK: "a tenth of the weights"}
        times = [
            f"{said} {BEST[way][1][-1][column] / sgd[column]:.1f}"
            for way, said in names.items()
            if way in BEST
        ]
        title += ", SGD's = 1:\n" + ", ".join(times)
    on.set(xscale="log", xlabel=unit, ylabel="loss over all examples (nats)", title=title)
    on.get_legend().remove()
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
program.save(figure, options.out / "baskets.png")
