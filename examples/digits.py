"""Train networks to name handwritten digits: 784 pixels in, 10 numbers out, the largest of them names the digit."""

import argparse
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from microgd import data, nn, no_grad, operations, optim, train

NETWORKS = [(784, 10), (784, 16, 16, 10)]
ON_ALL_DIGITS = [(784, 128, 10)]  # takes more digits than the sample has to be better than those
LEARNING_RATE, MOMENTUM, BATCH_SIZE, EPOCHS = 0.05, 0.9, 64, 20


def network(sizes, rng):
    """Linear layers of these sizes, with a ReLU between each two."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, rng=rng), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def learn(model, digits, epochs, rng):
    """Train, and print a line an epoch. The learning rate falls in equal steps: large leaps first, then small ones."""
    weights = sum(p.size for p in model.parameters())
    _, garbage = train.evaluate(model, nn.cross_entropy, *digits.test)
    print(f"\n{model}\n{weights:,} weights and biases, before training: {garbage:.1%} of the test digits right.\n")
    print("epoch    loss    test loss    test accuracy")
    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    training = train.fit(
        model, nn.cross_entropy, optimizer, *digits.train, epochs=epochs, batch_size=BATCH_SIZE, rng=rng, test=digits.test
    )
    for epoch in tqdm(training, total=epochs, unit="epoch", leave=False, disable=None):
        optimizer.lr = LEARNING_RATE * (1 - epoch.number / epochs)
        tqdm.write(f"{epoch.number:5d} {epoch.loss:7.4f} {epoch.test_loss:12.4f} {epoch.test_accuracy:16.2%}")


def picture(image):
    """28 × 28 pixels as 14 lines of text, two pixels in each character."""
    ink = image.reshape(14, 2, 28) > 0.4
    return ["".join(" ▀▄█"[upper + 2 * lower] for upper, lower in zip(*rows, strict=True)) for rows in ink]


def show(model, examples):
    """Print a few digits, one that the network gets wrong among them, and what it takes each for."""
    count = max(1, min(4, (shutil.get_terminal_size().columns + 1) // 29))  # as many as fit side by side
    with no_grad():
        probabilities = operations.softmax(model(examples.x)).data
    said = probabilities.argmax(axis=1)
    right, wrong = np.flatnonzero(said == examples.y), np.flatnonzero(said != examples.y)
    chosen = [*right[: max(1, count - 1)], *wrong[:1]][:count]
    print()
    for lines in zip(*(picture(examples.x[i]) for i in chosen), strict=True):
        print(" ".join(lines))
    print(" ".join(f"it is a {examples.y[i]}".center(28) for i in chosen))
    print(" ".join(f"the network says {said[i]} ({probabilities[i, said[i]]:.0%})".center(28) for i in chosen))


def load_digits(options):
    """The digits that the command line asks for."""
    if not options.full:
        return data.digits()
    try:
        return data.mnist(options.data)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        hint = "" if options.data else "\n(where MNIST's files lie in a folder already, --data FOLDER takes them from there)"
        sys.exit(f"{error}{hint}")


def main(arguments=None):
    """Train one network after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="use all 70,000 digits, not the sample of 7,000; a third network")
    parser.add_argument("--data", metavar="FOLDER", help="where MNIST's files lie; means --full (default: download them once)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the training digits (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="for the weights at the start and the order of the digits")
    parser.add_argument("--save", metavar="PATH", help="at the end, or on Ctrl-C, write what was learned to this file (.npz)")
    parser.add_argument("--load", metavar="PATH", help="begin with what --save has written")
    options = parser.parse_args(arguments)
    options.full = options.full or options.data is not None
    if options.epochs < 1 or options.seed < 0:
        parser.error("--epochs must be at least 1, and --seed at least 0")
    if options.save and not Path(options.save).resolve().parent.is_dir():
        parser.error(f"--save: there is no folder {Path(options.save).resolve().parent}")
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # not every terminal can show the blocks that the pictures are made of

    digits = load_digits(options)
    print(f"{len(digits.train.x):,} digits to train with, {len(digits.test.x):,} to test with")
    learned = nn.Module()
    rng = np.random.default_rng(options.seed)
    sizes = NETWORKS + (ON_ALL_DIGITS if options.full else [])
    learned.networks = {"-".join(map(str, layers)): network(layers, rng) for layers in sizes}
    if options.load:
        try:
            learned.load(options.load)
        except (OSError, ValueError) as error:
            sys.exit(f"--load {options.load}: {error}")
    try:
        for model in learned.networks.values():
            learn(model, digits, options.epochs, rng)
            show(model, digits.test)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    finally:
        if options.save:
            learned.save(options.save)
            print(f"saved in {options.save}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
