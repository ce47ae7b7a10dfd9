"""How can a network that begins with random weights name handwritten digits: 784 pixels in,
10 numbers out?

It learns from MNIST: handwritten digits, 28 × 28 pixels each, in shades of grey.
"""

# %% What may be asked for on the command line
import sys

import digits_page
import figures.digits
import networks
import numpy as np
import program
from tqdm import tqdm

from microgd import data, nn, optim, source, train

NETWORKS = [(784, 10), (784, 16, 16, 10)]
FOR_ALL_DIGITS = (784, 128, 10)  # needs more digits than the sample has to beat the others
parser = program.parser(__doc__)
add = parser.add_argument
add("--full", action="store_true", help="all 70,000 digits, not 7,000, and a third network")
add("--data", metavar="FOLDER", help="where MNIST's files are (otherwise --full downloads them)")
add("--save", metavar="PATH", help="at the end, or on Ctrl-C, write all weights to this file")
add("--load", metavar="PATH", help="begin with the weights that --save has written")
add("--source", metavar="FILE", help="write a step of training into this .py file")
add("--train-only", action="store_true", help="no pictures of what has been learned")
networks.add_options(parser, epochs=20, least=0, several=True)
options = program.options(parser)
if not options.epochs and not options.load:
    parser.error("--epochs 0 is for networks that --load has read")
networks.check_writable(parser, "--save", options.save)
networks.check_writable(parser, "--source", options.source)
if hasattr(sys.stdout, "reconfigure"):
    # not every terminal can show the blocks that digits are printed with
    sys.stdout.reconfigure(errors="replace")

# %% The digits: 784 pixels each, from 0 for paper to 1 for ink. They are given, and never change.
try:
    is_full = options.full or options.data
    digits = data.mnist(options.data) if is_full else data.digits()
except (OSError, ValueError, ModuleNotFoundError) as error:
    hint = "" if options.data else " (--data FOLDER takes MNIST's files from a folder)"
    sys.exit(f"{error}{hint}")
print(f"{len(digits.train.x):,} digits to train with, {len(digits.test.x):,} to test with")

# %% The networks: it is their weights that begin at random.
# A layer computes each of its outputs as a weighted sum of all its inputs, plus a bias. A ReLU
# between two layers passes on what is above 0, and makes 0 of the rest.
rng = np.random.default_rng(options.seed)
chosen = options.network or ([*NETWORKS, FOR_ALL_DIGITS] if is_full else NETWORKS)
SIZES = {networks.name_of(sizes, options.activation): sizes for sizes in chosen}
SHOWN_AS = {name: networks.arrows(sizes, options.activation) for name, sizes in SIZES.items()}
learned = nn.Module()
learned.networks = {}
for name, sizes in SIZES.items():
    learned.networks[name] = networks.network(sizes, options.activation, rng)
if options.load:
    networks.load(learned, options.load)


def new_optimizer(model):
    """What moves the weights: stochastic gradient descent (SGD), with momentum.

    With momentum each update is −rate · gradient plus 0.9 of the update before. So what successive
    mini-batches agree on adds up, and their differences cancel.
    """
    return optim.SGD(model.parameters(), lr=options.rate, momentum=networks.MOMENTUM)


# %% What training computes, line by line: python examples/digits.py --source FILE
if options.source:
    name, model = next(iter(learned.networks.items()))

    def digits_loss(x, y):
        """The network's loss on images x with labels y."""
        loss = nn.cross_entropy(model(x), y)
        return loss  # noqa: RET504 (the program has its name)

    x, y = digits.train.x[: networks.BATCH_SIZE], digits.train.y[: networks.BATCH_SIZE]
    source(digits_loss, x, y, model=model, optimizer=new_optimizer(model)).save(options.source)
    print(f"a step of training {SHOWN_AS[name]}, as a program: {options.source}")

# %% Train: in each epoch, take all digits in a random order, a mini-batch for each step.
# The loss, cross-entropy, is the negative logarithm of the probability of the right digit.
START = "these epochs" if options.load else "training"


def learn(model, epochs):
    """Train, and print a line an epoch. Return the first layer's weights and the accuracy on the
    test digits, each before and after.
    """
    count = sum(p.size for p in model.parameters())
    before = model[0].weight.data.copy()
    _, accuracy_before = train.evaluate(model, nn.cross_entropy, *digits.test)
    accuracy = accuracy_before
    print(f"\n{model}\n{count:,} weights and biases, ", end="")
    print(f"before {START}: {accuracy:.1%} of the test digits right.\n")
    print("epoch    loss    test loss    test accuracy")
    optimizer = new_optimizer(model)
    training = train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        *digits.train,
        epochs=epochs,
        batch_size=networks.BATCH_SIZE,
        rng=rng,
        test=digits.test,
    )
    for epoch in tqdm(training, total=epochs, unit="epoch", leave=False, disable=None):
        # Large steps first. Mini-batches scatter, so the last steps are small.
        optimizer.lr = options.rate * (1 - epoch.number / epochs)
        accuracy = epoch.test_accuracy
        tqdm.write(f"{epoch.number:5d} {epoch.loss:7.4f} {epoch.test_loss:12.4f} {accuracy:16.2%}")
    return (before, accuracy_before), (model[0].weight.data.copy(), accuracy)


BEFORE, AFTER = {}, {}
try:
    for name, model in learned.networks.items():
        BEFORE[name], AFTER[name] = learn(model, options.epochs)
        networks.show(model, digits.test)
except KeyboardInterrupt:
    print("\nstopped")
    sys.exit(130)
except train.DivergedError as error:
    sys.exit(f"the network {SHOWN_AS[name]} has diverged: {error}")
finally:
    if options.save:
        learned.save(options.save)
        print(f"saved in {options.save}")
print()
if options.train_only:
    sys.exit()

# %% The page: draw a digit, see the network read it, and teach it.
# What is shown from here on is of the first network with hidden layers, or of the first.
name = next((name for name, sizes in SIZES.items() if len(sizes) > 2), next(iter(SIZES)))
model = learned.networks[name]
path = options.out / "digits.html"
digits_page.write(path, model, digits.test, options.rate)
print(f"page: {path} (open it in a browser)\n")

# %% What the first layer looks for: the 784 weights of each output, as an image.
# They begin as noise, and become what tells the digits apart. Best seen in a network without
# hidden layers. In others these weights lead to hidden units, of which the first ten are shown.
shown = next((name for name, sizes in SIZES.items() if len(sizes) == 2), name)
units, is_hidden = SIZES[shown][1], len(SIZES[shown]) > 2
these = f"The {784 * units:,} weights "
if is_hidden:
    some = f"{min(units, 10)} of {units} hidden units"
    these = f"{SHOWN_AS[shown]}: the weights from the pixels to {some}\n"
for when, (weights, accuracy) in (("before", BEFORE[shown]), ("after", AFTER[shown])):
    title = f"{these}{when} {START}: {accuracy:.0%} of the test digits are named rightly"
    figure = figures.digits.first_layer(weights, is_hidden, title)
    program.save(figure, options.out / f"digits_weights_{when}.png")

# %% What it gets wrong
p = networks.probabilities(model, digits.test.x)
said = p.argmax(axis=1)
errors = np.sum(said != digits.test.y)
if not errors:
    sys.exit(f"{SHOWN_AS[name]} names all test digits rightly: there are no errors to show.")
often = figures.digits.most_frequent_errors(digits.test.y, said)
print(f"{SHOWN_AS[name]} names {errors} of {len(said):,} test digits wrongly; {often}.\n")
right = f"{len(said) - errors} of {len(said):,} test digits named rightly"
figure = figures.digits.confusion(digits.test.y, said, f"{SHOWN_AS[name]}: {right};", often)
program.save(figure, options.out / "digits_confusion.png")
figure = figures.digits.surest_errors(digits.test.x, digits.test.y, p)
program.save(figure, options.out / "digits_wrong.png")
