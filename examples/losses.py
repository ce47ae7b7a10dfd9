"""Which loss should say how far the outputs are off?

The mean squared error of the ten outputs, from 1 for the right digit and 0 for the others? Or
cross-entropy, the negative logarithm of the right digit's probability? A network learns from each.
"""

# %% The two losses. Only these tell training what a good answer is.
import sys

import figures.losses
import networks
import numpy as np
import program

from microgd import data, nn, no_grad, train, value_and_grad

SIZES = (784, 16, 16, 10)  # first the pixels, last the outputs
parser = program.parser(__doc__)
add = parser.add_argument
about = "learning rates to try with each loss (default: %(default)s)"
add("--rates", type=program.rate, nargs="+", default=[0.03, 0.1, 0.3, 1.0], help=about)
default = "(default: %(default)s)"
add("--networks", type=program.at_least(2), default=3, help=f"at each rate {default}")
add("--epochs", type=program.at_least(1), default=6, help=default)
add("--seed", type=program.at_least(0), default=0, help=f"of the first network {default}")
add("--activation", choices=networks.ACTIVATIONS, default="relu", help=default)
options = program.options(parser)
RATES = sorted(set(options.rates))
digits = data.digits()
TRAIN = digits.train.x[:3000], digits.train.y[:3000]  # half of them, since many networks learn
COUNT = len(TRAIN[0])
if (SIZES[0], SIZES[-1]) != (784, 10) or min(RATES) <= 0 or not COUNT:
    sys.exit("expected SIZES from 784 to 10, rates above 0, and at least one digit to learn from")


def squared_error(outputs, labels):
    """The mean square of the differences from 1 for the right digit and 0 for the others."""
    return nn.mse_loss(outputs, data.one_hot(labels, 10))


LOSSES = {"cross-entropy": nn.cross_entropy, "mean squared error": squared_error}

# %% What does each say of one answer? The output of the right digit grows; the other nine are 0.
RIGHT = np.eye(10)[:1]
LABEL = [RIGHT.argmax()]
TABLE = []
for output in (-1.0, 0.0, 1.0, 2.0, 5.0, 10.0):
    row = [output]
    for loss in LOSSES.values():
        row += value_and_grad(lambda right, loss=loss: loss(right * RIGHT, LABEL))(output)
    TABLE.append([float(number) for number in row])
print(figures.losses.table(TABLE, LOSSES))


# %% The race: the same first weights and the same digits; only the loss and the rate differ.
@no_grad
def accuracy(model, x, y):
    """The share of digits that are named rightly."""
    return np.mean(model(x).data.argmax(axis=1) == y)


def race(loss, rate, seed):
    """Train a network. Return its accuracy on the test digits before training and after each
    epoch, and in the end on the digits that it has learned from.
    """
    rng = np.random.default_rng(seed)
    model = networks.network(SIZES, options.activation, rng)
    curve = [accuracy(model, *digits.test)]
    for _ in networks.training(model, loss, TRAIN, rate, options.epochs, rng):
        curve.append(accuracy(model, *digits.test))
    return curve, accuracy(model, *TRAIN)


print(f"Each network learns from {program.counted(COUNT, 'digit')}.\n")
CURVES, KNOWN = {}, {}  # by loss, and then by rate
for what, loss in LOSSES.items():
    CURVES[what], KNOWN[what] = {}, {}
    for rate in RATES:
        try:
            runs = [race(loss, rate, options.seed + n) for n in range(options.networks)]
        except train.DivergedError:  # that a rate is too large is a result, too
            print(f"{what}: diverged at the learning rate {rate:g}")
            continue
        CURVES[what][rate] = np.array([curve for curve, _ in runs])
        KNOWN[what][rate] = np.mean([known for _, known in runs])

# %% Each loss at its best rate: the one with which the networks know the training digits best.
# (If the test digits chose it, they would no longer be new.)
BEST, ENDS = {}, {}
for what in LOSSES:
    if not KNOWN[what]:
        print(f"{what}: diverged at all learning rates")
        continue
    BEST[what] = max(KNOWN[what], key=KNOWN[what].get)
    ENDS[what] = CURVES[what][BEST[what]][:, -1]
    mean, worst, best = ENDS[what].mean(), ENDS[what].min(), ENDS[what].max()
    print(f"{what}: best at {BEST[what]:g}; {mean:.1%} of the test digits right", end=" ")
    print(f"(from {worst:.1%} to {best:.1%})")
    if len(RATES) > 1 and BEST[what] in (min(RATES), max(RATES)):
        print("   (No rate beyond it was tried, and one there may be better.)")


def verdict():
    """Which loss leads higher: one, if its worst network is better than the best of the others."""
    first = max(ENDS, key=lambda what: ENDS[what].min())
    others = [ENDS[what].max() for what in ENDS if what != first]
    if not others:
        why = "was tried" if len(LOSSES) == 1 else "has not diverged at all rates"
        return f"Only {first} {why}"
    best = "the other's best" if len(others) == 1 else "the best of all others"
    if ENDS[first].min() > max(others):
        return f"{first[0].upper() + first[1:]} leads higher: its worst network beats {best}"
    if len(others) == 1:
        return f"Level: the ends of the {len(ENDS[first])} networks with either loss overlap"
    return f"None leads higher: no loss has a worst network that beats {best}"


if not ENDS:
    sys.exit("Every learning rate diverged, so there is nothing to compare.")
print(f"{verdict()}.\n")

# %% The picture: the accuracy with each loss at its best rate, and at all rates.
figure = figures.losses.draw(CURVES, BEST, RATES, verdict())
program.save(figure, options.out / "losses.png")
