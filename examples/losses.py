"""Which loss should say how far the outputs are off?

The mean squared error of the ten outputs, from 1 for the right digit and 0 for the others? Or
cross-entropy, the negative logarithm of the right digit's probability? A network learns from each.
"""

# %% The two losses. Only these tell training what a good answer is.
import networks
import numpy as np
import program

from microgd import data, nn, no_grad, plots, train, value_and_grad

SIZES = (784, 16, 16, 10)
parser = program.parser(__doc__)
parser.add_argument(
    "--rates",
    type=program.rate,
    nargs="+",
    default=[0.03, 0.1, 0.3, 1.0],
    metavar="RATE",
    help="learning rates to try with each loss (default: 0.03 0.1 0.3 1)",
)
parser.add_argument(
    "--networks", type=program.at_least(2), default=3, help="at each rate (default: 3)"
)
parser.add_argument("--epochs", type=program.at_least(1), default=6, help="(default: 6)")
parser.add_argument("--seed", type=program.at_least(0), default=0, help="of the first network")
parser.add_argument(
    "--activation", choices=networks.ACTIVATIONS, default="relu", help="(default: relu)"
)
options = program.options(parser)
RATES = sorted(set(options.rates))
digits = data.digits()
TRAIN = digits.train.x[:3000], digits.train.y[:3000]  # half of them, since many networks learn


def squared_error(outputs, labels):
    """The mean square of the differences from 1 for the right digit and 0 for the others."""
    return nn.mse_loss(outputs, data.one_hot(labels, 10))


LOSSES = {"cross-entropy": nn.cross_entropy, "mean squared error": squared_error}

# %% What does each say of one answer? The output of the right digit grows; the other nine are 0.
RIGHT = np.eye(10)[:1]
print("right output    " + "    ".join(f"{name:>18s}     slope" for name in LOSSES))
TABLE = []
for output in (-1.0, 0.0, 1.0, 2.0, 5.0, 10.0):
    row = [output]
    for loss in LOSSES.values():
        row += value_and_grad(lambda right, loss=loss: loss(right * RIGHT, [0]))(output)
    TABLE.append([float(number) for number in row])
    print("{:12.0f}    {:18.4f} {:9.4f}    {:18.4f} {:9.4f}".format(*TABLE[-1]))
print()


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


print(f"Each network learns from {len(TRAIN[0]):,} digits.\n")
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
    at_the_end = len(RATES) > 1 and BEST[what] in (RATES[0], RATES[-1])
    end = f"from {ENDS[what].min():.1%} to {ENDS[what].max():.1%}"
    print(
        f"{what}: best at {BEST[what]:g}; {ENDS[what].mean():.1%} of the test digits right ({end})"
    )
    if at_the_end:
        print("   (No rate beyond it was tried, and one there may be better.)")


def verdict():
    """Which loss leads higher: one, if its worst network is better than the other's best."""
    if len(ENDS) < 2:
        return f"Only {next(iter(ENDS))} has not diverged at all rates"
    (one, its), (other, others) = ENDS.items()
    if its.min() > others.max():
        return f"{one.capitalize()} leads higher: its worst network beats the other's best"
    if others.min() > its.max():
        return f"{other.capitalize()} leads higher: its worst network beats the other's best"
    return f"Level: the ends of the {options.networks} networks with either loss overlap"


if not ENDS:
    raise SystemExit("Every learning rate diverged, so there is nothing to compare.")
print(f"{verdict()}.\n")

# %% The picture: the accuracy with each loss at its best rate, and at all rates.
figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
for what, colour, line in zip(LOSSES, plots.COLOURS, ("o-", "s--"), strict=False):
    if what not in ENDS:
        continue
    curves = 100 * CURVES[what][BEST[what]]
    epochs = range(options.epochs + 1)
    left.plot(epochs, curves.mean(axis=0), line, color=colour, label=f"{what}: {BEST[what]:g}")
    left.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.2)
    ends = [100 * each[:, -1].mean() for each in CURVES[what].values()]
    right.plot(list(CURVES[what]), ends, line, color=colour, label=what)
figure.suptitle(verdict())
left.set(title=f"Each at its best rate: {options.networks} networks\n(line: mean; band: all)")
left.set(xlabel="epoch", ylabel="test digits named rightly (%)")
left.legend(title="loss, and learning rate", loc="lower right")
right.set(title=f"After {options.epochs} epochs, at all rates\n(mean; none where it diverged)")
right.set(
    xlabel="learning rate", ylabel="test digits named rightly (%)", xscale="log", xticks=RATES
)
right.xaxis.set(minor_formatter="", major_formatter="{x:g}")
right.legend()
program.save(figure, options.out / "losses.png")
