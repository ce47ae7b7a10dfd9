"""Train networks to name handwritten digits: 784 pixels in, 10 numbers out, the largest of them names the digit."""

import argparse
import sys
from itertools import pairwise

import numpy as np
from tqdm import tqdm

from microgd import data, nn, no_grad, operations, optim, train

# Layers, the learning rate that the first epoch has (it falls to 0 in equal steps), and the epochs on the sample and on
# all of MNIST.
NETWORKS = [
    ((784, 10), 0.5, 20, 20),
    ((784, 16, 16, 10), 0.1, 20, 20),
]


def network(sizes, rng):
    """Linear layers of these sizes, with a ReLU between each two."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, rng=rng), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def learn(model, digits, lr, epochs, rng):
    """Train, and print a line an epoch; the records of all epochs."""
    weights = sum(p.size for p in model.parameters())
    _, garbage = train.evaluate(model, nn.cross_entropy, *digits.test)
    print(f"\n{model}\n{weights:,} weights and biases, at random: names {garbage:.1%} of the test digits rightly.\n")
    print("epoch    loss    test loss    test accuracy")
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    records = []
    epochs_left = train.fit(
        model, nn.cross_entropy, optimizer, *digits.train, epochs=epochs, batch_size=32, rng=rng, test=digits.test
    )
    for epoch in tqdm(epochs_left, total=epochs, unit="epoch", leave=False, disable=None):
        optimizer.lr = lr * (1 - epoch.number / epochs)
        records.append(epoch)
        tqdm.write(f"{epoch.number:5d} {epoch.loss:7.4f} {epoch.test_loss:12.4f} {epoch.test_accuracy:16.2%}")
    return records


def picture(image):
    """28 × 28 pixels as 14 lines of text, two pixels in each character."""
    ink = image.reshape(14, 2, 28) > 0.4
    return ["".join(" ▀▄█"[upper + 2 * lower] for upper, lower in zip(*rows, strict=True)) for rows in ink]


def show(model, examples, count=4):
    """Print a few digits, wrongly named ones among them, and what the network says of each."""
    with no_grad():
        probabilities = operations.softmax(model(examples.x)).data
    said = probabilities.argmax(axis=1)
    right, wrong = np.flatnonzero(said == examples.y), np.flatnonzero(said != examples.y)
    chosen = [*right[: count - 1], *wrong[:1]]
    print()
    for lines in zip(*(picture(examples.x[i]) for i in chosen), strict=True):
        print(" ".join(lines))
    print(" ".join(f"it is a {examples.y[i]}".center(28) for i in chosen))
    print(" ".join(f"the network says {said[i]} ({probabilities[i, said[i]]:.0%})".center(28) for i in chosen))


def main(arguments=None):
    """Train one network after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="use all 70,000 digits instead of the sample of 7,000")
    parser.add_argument("--data", metavar="FOLDER", help="where MNIST's four files lie (default: download them once)")
    parser.add_argument("--epochs", type=int, help="passes over the training digits (default: what the README's results took)")
    parser.add_argument("--seed", type=int, default=0, help="for the weights at the start and the order of the digits")
    parser.add_argument("--save", metavar="PATH", help="write what was learned to this file (.npz)")
    options = parser.parse_args(arguments)
    if options.epochs is not None and options.epochs < 1:
        parser.error(f"--epochs must be at least 1, but is {options.epochs}")

    digits = data.mnist(options.data) if options.full or options.data else data.digits()
    print(f"{len(digits.train.x):,} digits to train with, {len(digits.test.x):,} to test with")
    learned = nn.Module()
    learned.networks = {}
    try:
        for sizes, lr, on_sample, on_all in NETWORKS:
            rng = np.random.default_rng(options.seed)
            model = learned.networks["-".join(map(str, sizes))] = network(sizes, rng)
            learn(model, digits, lr, options.epochs or (on_all if options.full else on_sample), rng)
            show(model, digits.test)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    finally:
        if options.save and learned.parameters():
            learned.save(options.save)
            print(f"saved in {options.save}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
