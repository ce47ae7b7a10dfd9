"""How can a network that begins with random weights name handwritten digits: 784 pixels in,
10 numbers out?

It learns from MNIST: handwritten digits, 28 × 28 pixels each, in shades of grey.
"""

# %% What may be asked for on the command line
import sys

import digits_files
import digits_page
import figures.digits
import networks
import numpy as np
import program
from tqdm import tqdm

from microgd import nn, optim, train

NETWORKS = [(784, 10), (784, 16, 16, 10)]
FOR_ALL_DIGITS = (784, 128, 10)  # needs more digits than the sample has to beat the others
parser = program.parser(__doc__)
digits_files.add_options(parser)
networks.add_options(parser, epochs=20, least=0, several=True)
options = program.options(parser)
digits_files.check(parser, options)

# %% The digits: 784 pixels each, from 0 for paper to 1 for ink. They are given, and never change.
digits = digits_files.mnist(options.full, options.data)
print(f"{len(digits.train.x):,} digits to train with, {len(digits.test.x):,} to test with")

# %% The networks: it is their weights that begin at random.
# A layer computes each of its outputs as a weighted sum of all its inputs, plus a bias. A ReLU
# between two layers passes on what is above 0, and makes 0 of the rest.
rng = np.random.default_rng(options.seed)
larger = [FOR_ALL_DIGITS] if options.full or options.data else []
chosen = options.network or [*NETWORKS, *larger]
models = [networks.network(sizes, options.activation, rng) for sizes in chosen]
learned = networks.by_name(models, options.load)


def new_optimizer(model):
    """What moves the weights: stochastic gradient descent (SGD), with momentum.

    With momentum each update is −rate · gradient plus 0.9 of the update before. So what successive
    mini-batches agree on adds up, and their differences cancel.
    """
    return optim.SGD(model.parameters(), lr=options.rate, momentum=networks.MOMENTUM)


# %% Train: in each epoch, take all digits in a random order, a mini-batch for each step.
# The loss, cross-entropy, is the negative logarithm of the probability of the right digit.
LOSS = nn.cross_entropy
START = "these epochs" if options.load else "training"
if options.source:  # what a step of training computes, line by line
    optimizer = new_optimizer(models[0])
    digits_files.write_step(options.source, models[0], optimizer, LOSS, digits.train)


def learn(model):
    """Train, and print a line an epoch. Return the first layer's weights and the accuracy on the
    test digits, each before and after.
    """
    count = sum(p.size for p in model.parameters())
    _, accuracy = train.evaluate(model, LOSS, *digits.test)
    before = networks.first_weights(model), accuracy
    print(f"\n{model}\n{count:,} weights and biases, ", end="")
    print(f"before {START}: {accuracy:.1%} of the test digits right.\n")
    print("epoch    loss    test loss    test accuracy")
    optimizer = new_optimizer(model)
    rate = optimizer.lr
    training = train.fit(
        model,
        LOSS,
        optimizer,
        *digits.train,
        epochs=options.epochs,
        batch_size=networks.BATCH_SIZE,
        rng=rng,
        test=digits.test,
    )
    for epoch in tqdm(training, total=options.epochs, unit="epoch", leave=False, disable=None):
        # Large steps first. Mini-batches scatter, so the last steps are small.
        optimizer.lr = rate * (1 - epoch.number / options.epochs)
        accuracy = epoch.test_accuracy
        tqdm.write(f"{epoch.number:5d} {epoch.loss:7.4f} {epoch.test_loss:12.4f} {accuracy:16.2%}")
    return before, (networks.first_weights(model), accuracy)


BEFORE, AFTER = {}, {}
with digits_files.saved_at_the_end(learned, options.save):
    for name, model in learned.networks.items():
        BEFORE[name], AFTER[name] = learn(model)
        networks.show(model, digits.test)
print()
if options.train_only:
    sys.exit()

# %% The page: draw a digit, see the network read it, and teach it.
# What is shown from here on is of the first network with hidden layers, or of the first.
name = networks.first(learned, has_hidden=True)
model = learned.networks[name]
digits_page.save(options.out / "digits.html", model, digits.test, options.rate)

# %% What the first layer looks for: the 784 weights of each output, as an image.
# They begin as noise, and become what tells the digits apart. Best seen in a network without
# hidden layers. In others these weights lead to hidden units, of which the first ten are shown.
shown = networks.first(learned, has_hidden=False)
for when, (weights, accuracy) in (("before", BEFORE[shown]), ("after", AFTER[shown])):
    said = f"{when} {START}: {accuracy:.0%} of the test digits are named rightly"
    figure = figures.digits.first_layer(learned.networks[shown], weights, said)
    program.save(figure, options.out / f"digits_weights_{when}.png")

# %% What it gets wrong
p = networks.probabilities(model, digits.test.x)
said = p.argmax(axis=1)
errors = np.sum(said != digits.test.y)
network = networks.in_words(model)
if not errors:
    sys.exit(f"{network} names all test digits rightly: there are no errors to show.")
often = figures.digits.most_frequent_errors(digits.test.y, said)
print(f"{network} names {errors} of {len(said):,} test digits wrongly; {often}.\n")
right = f"{network}: {len(said) - errors} of {len(said):,} test digits named rightly;"
figure = figures.digits.confusion(digits.test.y, said, right, often)
program.save(figure, options.out / "digits_confusion.png")
figure = figures.digits.surest_errors(digits.test.x, digits.test.y, p)
program.save(figure, options.out / "digits_wrong.png")
