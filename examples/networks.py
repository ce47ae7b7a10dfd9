"""The networks of digits.py, photo.py, landscape.py and losses.py, and what they share."""

import argparse
import os
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import program

from microgd import nn, no_grad, operations, optim, train

# What stands between two layers.
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
# After a step an optimizer keeps this share of its update, and adds it to the next one.
MOMENTUM = 0.9
BATCH_SIZE = 64


def network(sizes, activation, rng):
    """Linear layers of these sizes, with an activation between each two; random weights."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers.append(nn.Linear(inputs, outputs, rng=rng))
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers[:-1])  # the outputs come straight from the last linear layer


def sizes(text):
    """The type of an option: (784, 16, 10) for 784,16,10."""
    numbers = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    right = len(numbers) == text.count(",") + 1 >= 2 and min(numbers) > 0
    if not right or numbers[0] != 784 or numbers[-1] != 10:
        raise argparse.ArgumentTypeError(
            f"a network is given by its sizes, first 784 pixels, last 10 outputs, as in "
            f"784,32,10, but this is {text}"
        )
    return tuple(numbers)


def name_of(sizes, activation):
    """The name in a file: 784-16-10, or 784-16-10-tanh."""
    name = "-".join(map(str, sizes))
    has_one = len(sizes) > 2 and activation not in ("relu", "")
    return f"{name}-{activation}" if has_one else name


def arrows(sizes, activation="relu"):
    """The name in texts and on pictures: 784→16→10, or 784→16→10 with tanh."""
    name = "→".join(map(str, sizes))
    has_one = len(sizes) > 2 and activation not in ("relu", "")
    return f"{name} with {activation}" if has_one else name


def parts_of(model):
    """The sizes of a network's layers, and what stands between them: [784, 16, 10] and "relu".

    The activation is "" if it is none of `ACTIVATIONS`.
    """
    weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    layers = [weight.shape[1] for weight in weights[:1]] + [weight.shape[0] for weight in weights]
    kinds = {type(part) for _, part in model.named_modules()}
    return layers, " and ".join(name for name, kind in ACTIVATIONS.items() if kind in kinds)


def in_words(model):
    """What a network is called in texts and on pictures."""
    return arrows(*parts_of(model))


def first_weights(model):
    """A copy of the weights of the first layer, (outputs, inputs)."""
    return next(weight for weight in model.parameters() if weight.ndim == 2).data.copy()


def by_name(models, load=None):
    """These networks by their names, in a module that can be saved; with the weights from a file
    that `digits.py --save` has written, if `load` is its path.
    """
    learned = nn.Module()
    learned.networks = {}
    for model in models:
        layers, activation = parts_of(model)
        if layers[:1] != [784] or layers[-1:] != [10]:
            sys.exit(f"each network needs 784 inputs and 10 outputs, but there is {model}")
        learned.networks[name_of(layers, activation)] = model
    if not models:
        sys.exit("there are no networks, so there is nothing to train")
    if load:
        load_weights(learned, load)
    return learned


def first(learned, has_hidden):
    """The name of the first network that has hidden layers, or has none; or else of the first."""
    for name, model in learned.networks.items():
        if (len(parts_of(model)[0]) > 2) == has_hidden:
            return name
    return next(iter(learned.networks))


def add_options(parser, epochs, least=1, several=False):
    """Let the command line choose the network, or several, and how to train."""
    about = "train this network instead, such as 784,32,10; may be given several times"
    chosen = {"action": "append", "help": about} if several else {"default": (784, 16, 16, 10)}
    if not several:
        chosen["help"] = "the network (default: 784,16,16,10)"
    add = parser.add_argument
    add("--network", metavar="SIZES", type=sizes, **chosen)
    about = "between two layers (default: %(default)s)"
    add("--activation", choices=ACTIVATIONS, default="relu", help=about)
    about = "the learning rate at the start (default: %(default)s)"
    add("--rate", type=program.rate, default=0.05, help=about)
    about = "passes over the training digits (default: %(default)s)"
    add("--epochs", type=program.at_least(least), default=epochs, help=about)
    about = "for the first weights and the order of digits (default: %(default)s)"
    add("--seed", type=program.at_least(0), default=0, help=about)


def check_writable(parser, option, path):
    """A usage error now, not after training, if a file cannot be written at this path."""
    if path is None:
        return
    folder = Path(path).resolve().parent
    if Path(path).is_dir():
        parser.error(f"{option} {path}: is a folder")
    if not folder.is_dir():
        parser.error(f"{option} {path}: there is no folder {folder}")
    if not os.access(path if Path(path).exists() else folder, os.W_OK):
        parser.error(f"{option} {path}: it cannot be written")


def training(model, loss, examples, rate, epochs, rng, test=None):
    """Train with SGD and momentum, and yield a record after each epoch.

    The learning rate falls in equal steps, so that the noise of mini-batches fades at the end.
    """
    optimizer = optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)
    for epoch in train.fit(
        model,
        loss,
        optimizer,
        *examples,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        rng=rng,
        test=test,
    ):
        optimizer.lr = rate * (1 - epoch.number / epochs)
        yield epoch


def trained(options, loss, examples):
    """A network that has learned as the options say."""
    rng = np.random.default_rng(options.seed)
    model = network(options.network, options.activation, rng)
    try:
        for _ in training(model, loss, examples, options.rate, options.epochs, rng):
            pass
    except (ValueError, train.DivergedError) as error:
        sys.exit(f"the network cannot learn: {error}")
    return model


def probabilities(model, x):
    """For each image the ten outputs as probabilities: softmax makes them positive, and 1 in
    sum.
    """
    with no_grad():
        return operations.softmax(model(x)).data


def as_text(image):
    """28 × 28 pixels as 14 lines of text, two pixels in each character, one above the other."""
    lines = []
    for upper, lower in (image.reshape(14, 2, 28) > 0.4).astype(int):
        # 0: neither pixel has ink; 1: the upper one has; 2: the lower one; 3: both
        lines.append("".join(" ▀▄█"[which] for which in upper + 2 * lower))
    return lines


def load_weights(learned, path):
    """Set the weights of all networks to those in a file that `digits.py --save` has written.

    If they are other networks, the program ends with a line that says which.
    """
    try:
        held = _names_in(path)
        if set(held) != set(learned.networks):
            mine = ", ".join(learned.networks)
            raise ValueError(f"holds the networks {', '.join(held)}, not {mine}")
        learned.load(path)
    except (OSError, ValueError, AttributeError, IndexError, BadZipFile) as error:
        sys.exit(f"--load {path}: {error}")


def last_in(path):
    """The last network in a file that `digits.py --save` has written."""
    saved = nn.Module()
    try:
        names = _names_in(path)
        saved.networks = {name: _named(name) for name in names}
    except (OSError, ValueError, AttributeError, IndexError, BadZipFile) as error:
        sys.exit(f"--load {path}: {error}")
    load_weights(saved, path)
    return saved.networks[names[-1]]


def _names_in(path):
    with ZipFile(path) as file:  # as np.savez writes it: a file for each array
        keys = [key.split(".") for key in file.namelist()]
    names = [key[1] for key in keys if key[0] == "networks"]
    if not names:
        raise ValueError("there are no networks of digits.py in it")
    return list(dict.fromkeys(names))  # each of them once


def _named(name):
    """A network with a name such as 784-16-10 or 784-16-10-tanh."""
    found = re.fullmatch(r"(784(?:-\d+)*-10)(?:-(\w+))?", name)
    if not found or (found[2] or "relu") not in ACTIVATIONS:
        raise ValueError(f"{name} is not a network of digits.py")
    layers = tuple(int(part) for part in found[1].split("-"))
    return network(layers, found[2] or "relu", np.random.default_rng(0))


def show(model, examples):
    """Print a few digits and what the network takes them for; the last one wrongly, if any is."""
    columns = max(1, min(4, (shutil.get_terminal_size().columns + 1) // 29))  # side by side
    p = probabilities(model, examples.x)
    said = p.argmax(axis=1)
    right = np.flatnonzero(said == examples.y)[: max(1, columns - 1)]
    wrong = np.flatnonzero(said != examples.y)[:1]
    shown = [*right, *wrong][:columns]
    drawn = [as_text(examples.x[i]) for i in shown]
    print()
    for line in range(14):
        print(" ".join(digit[line] for digit in drawn))
    print(" ".join(f"it is: {examples.y[i]}".center(28) for i in shown))
    print(" ".join(f"the network says {said[i]} ({p[i, said[i]]:.0%})".center(28) for i in shown))
