"""The files of digits.py, apart from its pictures: MNIST, the weights, and a step of training."""

import sys
from contextlib import contextmanager

import networks

from microgd import data, source, train


def add_options(parser):
    """Let the command line choose what to read and write."""
    add = parser.add_argument
    add("--full", action="store_true", help="all 70,000 digits, not 7,000, and a third network")
    about = "where MNIST's files are (otherwise --full downloads them)"
    add("--data", metavar="FOLDER", help=about)
    add("--save", metavar="PATH", help="at the end, or on Ctrl-C, write all weights to this file")
    add("--load", metavar="PATH", help="begin with the weights that --save has written")
    add("--source", metavar="FILE", help="write a step of training into this .py file")
    add("--train-only", action="store_true", help="no pictures of what has been learned")


def check(parser, options):
    """A usage error if one of these cannot be written, or if there would be nothing to show."""
    if not options.epochs and not options.load:
        parser.error("--epochs 0 is for networks that --load has read")
    networks.check_writable(parser, "--save", options.save)
    networks.check_writable(parser, "--source", options.source)


def mnist(is_full, folder):
    """The digits: all of MNIST, from a folder or downloaded, or else a sample of it.

    If they cannot be read, the program ends with one line that says why.
    """
    try:
        return data.mnist(folder) if is_full or folder else data.digits()
    except (OSError, ValueError, ModuleNotFoundError) as error:
        hint = "" if folder else " (--data FOLDER takes MNIST's files from a folder)"
        sys.exit(f"{error}{hint}")


def write_step(path, model, optimizer, loss_of, examples):
    """Write what a step of training computes, line by line, into a .py file."""
    x, y = (part[: networks.BATCH_SIZE] for part in examples)

    def digits_loss(x, y):
        """The network's loss on images x with labels y."""
        loss = loss_of(model(x), y)
        return loss  # noqa: RET504 (the program has its name)

    source(digits_loss, x, y, model=model, optimizer=optimizer).save(path)
    print(f"a step of training {networks.in_words(model)}, as a program: {path}")


@contextmanager
def saved_at_the_end(learned, path):
    """When the block ends, also by Ctrl-C or an error, write all weights into the file at `path`,
    if there is one.

    Ctrl-C ends the program, and so does a network that cannot learn, with a line that says why.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("\nstopped")
        sys.exit(130)
    except (ValueError, train.DivergedError) as error:
        sys.exit(f"the network cannot learn: {error}")
    finally:
        if path:
            learned.save(path)
            print(f"saved in {path}")
