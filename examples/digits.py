"""How can a network that begins with random weights name handwritten digits: 784 pixels in,
10 numbers out?

It trains networks on MNIST, 28 × 28 pixels each in shades of grey, shows what their weights become,
and reads a digit of your own with --image FILE.
"""

# %% What may be asked for on the command line
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import program
from PIL import Image, ImageOps
from tqdm import tqdm

from microgd import data, nn, no_grad, operations, optim, plots, source, train

NETWORKS = [(784, 10), (784, 16, 16, 10)]
ON_ALL_DIGITS = [(784, 128, 10)]  # takes more digits than the sample has to be better than those
# The rate falls in equal steps; with momentum a nudge keeps 0.9 of the last one; an epoch is one
# pass over all digits.
LEARNING_RATE, MOMENTUM, BATCH_SIZE, EPOCHS = 0.05, 0.9, 64, 20

parser = program.parser(__doc__)
parser.add_argument(
    "--full",
    action="store_true",
    help="use all 70,000 digits, not the sample of 7,000; a third network",
)
parser.add_argument(
    "--data",
    metavar="FOLDER",
    help="where MNIST's files lie; means --full (default: download them once)",
)
parser.add_argument(
    "--epochs",
    type=program.at_least(0),
    default=EPOCHS,
    help="passes over the training digits (default: %(default)s)",
)
parser.add_argument(
    "--seed",
    type=program.at_least(0),
    default=0,
    help="for the first weights and the order of digits (default: %(default)s)",
)
parser.add_argument(
    "--save",
    metavar="PATH",
    help="at the end, or on Ctrl-C, write what was learned to this .npz file",
)
parser.add_argument("--load", metavar="PATH", help="begin with what --save has written")
parser.add_argument(
    "--image",
    metavar="FILE",
    help="a photo or drawing of one digit, to be named by the last network",
)
parser.add_argument(
    "--source",
    metavar="FILE",
    help="write a step of training the first network into this .py file, as a program for NumPy",
)
parser.add_argument(
    "--train-only", action="store_true", help="no pictures of what has been learned"
)
options = program.options(parser)
if not options.epochs and not options.load:
    parser.error("--epochs 0 is for networks that --load has read")
for option, path in (("--save", options.save), ("--source", options.source)):
    if not path:
        continue
    folder = Path(path).resolve().parent
    if Path(path).is_dir():
        parser.error(f"{option} {path}: is a folder")
    if not folder.is_dir():
        parser.error(f"{option} {path}: there is no folder {folder}")
if hasattr(sys.stdout, "reconfigure"):
    # not every terminal can show the blocks that the pictures are made of
    sys.stdout.reconfigure(errors="replace")


def prepared(path):
    """A picture of a digit as MNIST's are: ink 1 on 0, in a box of 20 × 20, its centre of mass in
    the middle of 28 × 28.
    """
    with Image.open(path) as file:
        drawing = ImageOps.exif_transpose(file).convert("RGBA")
    drawing.thumbnail((400, 400))
    colours = np.asarray(drawing, float)
    edge = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]])
    # Whatever is unlike the edge of the picture is ink, be it darker, lighter, of another colour,
    # or less transparent.
    ink = np.linalg.norm(colours - np.median(edge, axis=0), axis=2)
    if ink.max() < 60:  # of 510
        raise ValueError("there is nothing on it that stands out")
    # what is faint, an eighth of the strongest or less, is shadow
    ink = np.clip(1.3 * ink / ink.max() - 0.15, 0, 1)
    down, across = (np.flatnonzero(ink.max(axis=axis) > 0.3) for axis in (1, 0))
    digit = Image.fromarray(
        ink[down[0] : down[-1] + 1, across[0] : across[-1] + 1].astype(np.float32)
    )
    scale = 20 / max(digit.size)
    small = np.asarray(
        digit.resize(
            [max(1, round(side * scale)) for side in digit.size], Image.Resampling.BILINEAR
        )
    )
    rows, columns = np.indices(small.shape)
    top, left = (round(13.5 - np.sum(at * small) / np.sum(small)) for at in (rows, columns))
    top, left = np.clip([top, left], 0, 28 - np.array(small.shape))
    image = np.zeros((28, 28), np.float32)
    image[top : top + small.shape[0], left : left + small.shape[1]] = small
    return drawing, image.reshape(784)


own = None
if options.image:
    try:
        own = prepared(options.image)
    except (OSError, ValueError) as error:
        sys.exit(f"--image {options.image}: {error}")

# %% The digits, and networks for them. It is their weights that begin at random.
# 784 is the number of pixels, which are given.
try:
    digits = data.mnist(options.data) if options.full or options.data else data.digits()
except (OSError, ValueError, ModuleNotFoundError) as error:
    hint = (
        ""
        if options.data
        else "\n(where MNIST's files lie in a folder already, --data FOLDER takes them from there)"
    )
    sys.exit(f"{error}{hint}")
print(f"{len(digits.train.x):,} digits to train with, {len(digits.test.x):,} to test with")


def network(sizes, rng):
    """Linear layers of these sizes, with a ReLU between each two."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, rng=rng), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


rng = np.random.default_rng(options.seed)
learned = nn.Module()
SIZES = [*NETWORKS, *(ON_ALL_DIGITS if options.full or options.data else [])]
if not SIZES:
    sys.exit("there is no network to train: NETWORKS is empty")
SIZES = {"-".join(map(str, layers)): layers for layers in SIZES}
learned.networks = {name: network(layers, rng) for name, layers in SIZES.items()}
if options.load:
    try:
        learned.load(options.load)
    except (OSError, ValueError) as error:
        sys.exit(f"--load {options.load}: {error}")


def new_optimizer(model):
    """What moves the weights: SGD with momentum."""
    return optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)


# %% What training computes, line by line: python examples/digits.py --source FILE
if options.source:
    name, model = next(iter(learned.networks.items()))

    def digits_loss(x, y):
        """The network's loss on images x with labels y."""
        loss = nn.cross_entropy(model(x), y)
        return loss  # noqa: RET504 (the program has its name)

    x, y = digits.train
    step = source(
        digits_loss, x[:BATCH_SIZE], y[:BATCH_SIZE], model=model, optimizer=new_optimizer(model)
    )
    step.save(options.source)
    print(f"a step of training the network {name}, as a program: {options.source}")

# %% Train. The largest of the ten outputs names the digit: ten numbers, but a classification.


def learn(model, epochs):
    """Train, and print a line an epoch; the weights, all in one vector, before and after each
    epoch, and accuracies.

    The loss is cross-entropy: of the probability of the right digit the negative logarithm, in
    nats.
    """
    count = sum(p.size for p in model.parameters())
    _, garbage = train.evaluate(model, nn.cross_entropy, *digits.test)
    when = "before these epochs" if options.load else "before training"
    print(
        f"\n{model}\n{count:,} weights and biases, {when}: {garbage:.1%} of the test digits "
        "right.\n"
    )
    print("epoch    loss    test loss    test accuracy")
    optimizer = new_optimizer(model)
    training = train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        *digits.train,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        rng=rng,
        test=digits.test,
    )
    path, accuracies = [nn.parameters_to_vector(model.parameters())], [garbage]
    for epoch in tqdm(training, total=epochs, unit="epoch", leave=False, disable=None):
        # large leaps first; small ones, where baskets scatter, last
        optimizer.lr = LEARNING_RATE * (1 - epoch.number / epochs)
        path.append(nn.parameters_to_vector(model.parameters()))
        accuracies.append(epoch.test_accuracy)
        tqdm.write(
            f"{epoch.number:5d} {epoch.loss:7.4f} {epoch.test_loss:12.4f} "
            f"{epoch.test_accuracy:16.2%}"
        )
    return path, accuracies


def probabilities(model, x):
    """For each image the ten outputs as probabilities: softmax makes them positive, and 1 in
    sum.
    """
    with no_grad():
        return operations.softmax(model(x)).data


def blocks(image):
    """28 × 28 pixels as 14 lines of text, two pixels in each character."""
    ink = image.reshape(14, 2, 28) > 0.4
    # For two pixels, one above the other: 0 none, 1 the upper, 2 the lower, 3 both.
    return [
        "".join(" ▀▄█"[upper + 2 * lower] for upper, lower in zip(*rows, strict=True))
        for rows in ink
    ]


def show(model, examples):
    """Print a few digits, one that the network gets wrong among them, and what it takes
    each for.
    """
    # as many as fit side by side
    count = max(1, min(4, (shutil.get_terminal_size().columns + 1) // 29))
    p = probabilities(model, examples.x)
    said = p.argmax(axis=1)
    right, wrong = np.flatnonzero(said == examples.y), np.flatnonzero(said != examples.y)
    chosen = [*right[: max(1, count - 1)], *wrong[:1]][:count]
    print()
    for lines in zip(*(blocks(examples.x[i]) for i in chosen), strict=True):
        print(" ".join(lines))
    print(" ".join(f"it is: {examples.y[i]}".center(28) for i in chosen))
    print(" ".join(f"the network says {said[i]} ({p[i, said[i]]:.0%})".center(28) for i in chosen))


PATHS, ACCURACIES = {}, {}
try:
    for name, model in learned.networks.items():
        PATHS[name], ACCURACIES[name] = learn(model, options.epochs)
        show(model, digits.test)
except KeyboardInterrupt:
    print("\nstopped")
    sys.exit(130)
except train.DivergedError as error:
    sys.exit(f"the network {name} has diverged: {error}")
finally:
    if options.save:
        learned.save(options.save)
        print(f"saved in {options.save}")
print()

# %% A digit of your own: python examples/digits.py --image FILE
if own:
    drawing, image = own
    name, model = list(learned.networks.items())[-1]
    p = probabilities(model, image[None])[0]
    print("\n".join(blocks(image)))
    print(
        f"{options.image}: the network {name} says {p.argmax()}, with a probability of "
        f"{p.max():.0%}."
    )
    print(
        "(It has an answer for anything. Above there should be one digit, no frame, 20 pixels high "
        "or wide.)\n"
    )
    figure, (left, middle, right) = plots.panels(3, width=10.0, height=3.6)
    left.imshow(drawing)
    middle.imshow(image.reshape(28, 28), cmap="Greys", vmin=0, vmax=1)
    left.set(title="The picture", xlabel="pixels", ylabel="pixels")
    middle.set(title="What it became: 28 × 28", xlabel="pixels", ylabel="pixels")
    right.bar(range(10), 100 * p, color=plots.BLUE)
    right.set(
        title=f"It says {p.argmax()}: {p.max():.0%}",
        xlabel="digit",
        ylabel="probability (%)",
        xticks=range(10),
    )
    program.save(figure, options.out / "digits_image.png")

if options.train_only or not options.epochs:
    sys.exit()
# %% What each output looks for: its 784 weights as an image.
# They begin as noise, and become what tells the digits apart. Where no network leads from the
# pixels straight to the outputs, it is what hidden units look for, the first ten of them.
name = next((name for name, layers in SIZES.items() if len(layers) == 2), next(iter(SIZES)))
units = SIZES[name][1]
unit, these = "output", f"The {784 * units:,} weights"
if len(SIZES[name]) > 2:
    unit, these = (
        "hidden unit",
        f"{name}: the weights from the pixels to {min(units, 10)} of {units} hidden units",
    )
for when, n in (("before", 0), ("after", -1)):
    weights, accuracy = PATHS[name][n][: 784 * units].reshape(units, 784)[:10], ACCURACIES[name][n]
    figure = plots.images(
        weights, [f"{unit} {i}" for i in range(len(weights))], columns=5, signed=True, unit="weight"
    )
    what = "these epochs" if options.load else "training"
    separator = " " if unit == "output" else "\n"
    figure.suptitle(
        f"{these}{separator}{when} {what}: {accuracy:.0%} of the test digits are named rightly"
    )
    program.save(figure, options.out / f"digits_weights_{when}.png")

# %% One nudge:
# an arrow in a space of 7,850 dimensions, here from random weights, by the first digits of the
# data.
model = network((784, 10), np.random.default_rng(options.seed))
optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE)
basket = digits.train.x[:BATCH_SIZE], digits.train.y[:BATCH_SIZE]
nn.cross_entropy(model(basket[0]), basket[1]).backward()
nudge = optimizer.nudges()[0]
squares = np.sort(nudge.ravel() ** 2)[::-1]
SHARE = {
    share: squares[: round(share * squares.size)].sum() / squares.sum()
    for share in (0.01, 0.1, 0.25)
}
NEVER = int(np.sum(nudge == 0))
program.say(
    "One nudge of 784→10, as 7,840 numbers:",
    "their squares add up to its length squared, and of that",
    ", ".join(f"the largest {share:.0%} of them hold {held:.0%}" for share, held in SHARE.items())
    + ".",
    f"{NEVER:,} are 0: their pixels are blank in all of these {len(basket[0])} digits. That is",
    "what a small element says: not that a weight will never matter, but that here and now, for",
    "these digits, moving it changes the loss little.",
)
figure = plots.images(
    nudge, [f"output {i}" for i in range(10)], columns=5, signed=True, unit="nudge"
)
figure.suptitle(
    f"A nudge at the start: the largest 10% of its elements hold {SHARE[0.1]:.0%} of its length "
    "squared"
)
program.save(figure, options.out / "digits_nudge.png")

# %% The landscape of the loss,
# of which a picture can show only a plane through its many dimensions: 13,002 for 784→16→16→10.
name = next((name for name, layers in SIZES.items() if len(layers) > 2), next(iter(SIZES)))
model, path = learned.networks[name], np.array(PATHS[name])
parameters = model.parameters()
x, y = digits.train.x[:1000], digits.train.y[:1000]
rng = np.random.default_rng(options.seed)
chance = [plots.random_direction(parameters, rng) for _ in range(2)]
own_directions, VARIANCE = plots.principal_directions(path)
steps = np.linalg.norm(np.diff(path, axis=0), axis=1, keepdims=True)
at_random = rng.normal(size=(len(steps), path.shape[1]))
# steps as long as those of the path
at_random *= steps / np.linalg.norm(at_random, axis=1, keepdims=True)
_, WALK = plots.principal_directions(np.cumsum([0 * path[0], *at_random], axis=0))
figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
plots.landscape(
    lambda: nn.cross_entropy(model(x), y),
    parameters,
    chance,
    points=31,
    ax=left,
    xlabel="first direction (1: as long as the weights)",
    ylabel="second direction (1: as long as the weights)",
    zlabel="loss (nats)",
)
lowest, highest = left.collections[0].levels[[0, -1]]
left.set_title(
    f"Two random directions from the solution:\nthe loss goes from {lowest:.2f} to {highest:.1f}"
)
if len(path) > 2:  # with fewer points there is no second direction
    plots.landscape(
        lambda: nn.cross_entropy(model(x), y),
        parameters,
        own_directions,
        path=path,
        points=31,
        ax=right,
        title="The path of training, an arrow an epoch, in its\ntwo main directions: "
        f"{VARIANCE.sum():.1%} of its variance",
        xlabel=f"first main direction, {VARIANCE[0]:.1%} (distance)",
        ylabel=f"second main direction, {VARIANCE[1]:.1%} (distance)",
        zlabel="loss (nats)",
    )
    program.say(
        f"Of the path through {path.shape[1]:,} dimensions two hold {VARIANCE.sum():.1%} of the",
        f"variance. (Of as many steps, as long as these but at random, they hold {WALK.sum():.1%}:",
        "any path looks flatter than the space that it is in.)",
    )
else:
    right.axis("off")
    right.text(0.5, 0.5, "a path needs two epochs", ha="center")
program.save(figure, options.out / "digits_landscape.png")

# %% What it gets wrong
p = probabilities(model, digits.test.x)
said = p.argmax(axis=1)
wrong = np.flatnonzero(said != digits.test.y)
surest = wrong[np.argsort(-p[wrong, said[wrong]])][:16]
pairs = np.zeros((10, 10), int)
np.add.at(pairs, (digits.test.y[wrong], said[wrong]), 1)
often = ", ".join(f"{is_} for {said_}" for is_, said_ in np.argwhere(pairs == pairs.max())[:3])
if len(wrong):
    print(f"{len(wrong)} of {len(said):,} test digits are named wrongly;", end=" ")
    print(f"most often taken: {often}, {pairs.max()} times.\n")
    program.save(
        plots.confusion_matrix(
            digits.test.y,
            said,
            title=f"{np.mean(said == digits.test.y):.1%} right; most often taken: {often} "
            f"({pairs.max()} times)",
            xlabel="the network says (· is none)",
            ylabel="it is",
        ),
        options.out / "digits_confusion.png",
    )
    figure = plots.images(
        digits.test.x[surest], [f"{digits.test.y[i]}, says {said[i]}" for i in surest], columns=8
    )
    least = p[surest, said[surest]].min()
    figure.suptitle(
        f"The {len(surest)} of {len(wrong)} errors of which it is surest ({least:.0%} or more)"
    )
    program.save(figure, options.out / "digits_wrong.png")
else:
    print("No test digit is named wrongly, so there are no errors to show.\n")

# %% Which loss?
# The mean squared error of the outputs, from 1 for the right digit and 0 for the others, or
# cross-entropy?


def squared_error(outputs, labels):
    """The difference between what the labels dictate and what came, squared, on average."""
    return nn.mse_loss(outputs, data.one_hot(labels, 10))


@no_grad
def accuracy_on(examples, model):
    """The share of them that are named rightly."""
    return np.mean(model(examples.x).data.argmax(axis=1) == examples.y)


LOSSES = {"cross-entropy": nn.cross_entropy, "mean squared error": squared_error}
SEEDS, COMPARED_EPOCHS = range(options.seed, options.seed + 3), min(options.epochs, 10)
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
COMPARED = (784, 16, 16, 10)
sample = data.digits()
BY_LOSS = {}
print(f"{'→'.join(map(str, COMPARED))} with either loss on the sample,", end=" ")
print(f"at the best of {len(RATES)} learning rates; epochs: {COMPARED_EPOCHS}")


def compare(loss, lr, seed):
    """Train the network of this seed: accuracies on the test digits, before and after each epoch,
    and on those it knows.
    """
    rng = np.random.default_rng(seed)
    model = network(COMPARED, rng)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM)
    curve = [accuracy_on(sample.test, model)]
    for epoch in train.fit(
        model,
        loss,
        optimizer,
        *sample.train,
        epochs=COMPARED_EPOCHS,
        batch_size=BATCH_SIZE,
        rng=rng,
    ):
        optimizer.lr = lr * (1 - epoch.number / COMPARED_EPOCHS)
        curve.append(accuracy_on(sample.test, model))
    return curve, accuracy_on(sample.train, model)


for what, loss in LOSSES.items():
    diverged = []
    for lr in RATES:
        try:
            runs = [compare(loss, lr, seed) for seed in SEEDS]
        except train.DivergedError:  # that a rate is too large is a result, too
            diverged.append(f"{lr:g}")
            continue
        score = np.mean([known for _, known in runs])  # the test digits do not choose the rate
        if what not in BY_LOSS or score > BY_LOSS[what][0]:
            BY_LOSS[what] = (score, lr, np.array([curve for curve, _ in runs]))
    if what in BY_LOSS:
        _, lr, curves = BY_LOSS[what]
        first, last = curves[:, 1].mean(), curves[:, -1].mean()
        print(
            f"   {what:18s}: rate {lr:4.2f}; {first:.1%} of the test digits right after 1 epoch, "
            f"{last:.1%} after the last"
        )
    if diverged:
        print(
            f"   {what:18s}: diverged at "
            f"{'all rates, ' if what not in BY_LOSS else ''}{', '.join(diverged)}"
        )
print()
if BY_LOSS:
    figure, [on] = plots.panels(height=4.2)
    for (what, (_, lr, curves)), colour, line in zip(
        BY_LOSS.items(), plots.COLOURS, ("o-", "s--"), strict=False
    ):
        on.plot(
            100 * curves.mean(axis=0),
            line,
            color=colour,
            label=f"{what}, learning rate {lr:g}: mean of {len(curves)} networks",
        )
        on.fill_between(
            range(curves.shape[1]),
            100 * curves.min(axis=0),
            100 * curves.max(axis=0),
            color=colour,
            alpha=0.2,
        )
    final = {what: curves[:, -1].mean() for what, (_, _, curves) in BY_LOSS.items()}
    better = max(final, key=final.get)
    higher = 100 * (max(final.values()) - min(final.values()))
    # by chance 0.1 is right
    learns = "learns from both" if min(final.values()) > 0.2 else "does not learn from both"
    title = f"The same network {learns}; {better} ends\n{higher:.1f} percentage points higher"
    if len(final) < len(LOSSES):
        title = f"Only {better} leads anywhere: the other loss diverged at all rates"
    on.set(
        title=title,
        xlabel="epoch",
        ylabel="test digits named rightly (%)",
        xticks=range(0, COMPARED_EPOCHS + 1, max(1, COMPARED_EPOCHS // 5)),
    )
    on.legend(loc="lower right")
    program.save(figure, options.out / "digits_losses.png")
else:
    print("Every learning rate diverged, so there is nothing to compare.")
