"""What the programs here have in common: options, a folder for pictures, penguins, and a quiet end on Ctrl-C."""

import argparse
import csv
import math
import sys
import textwrap
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def parser(documentation):
    """A parser of the command line with --out, the folder to save pictures in."""
    new = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    new.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        default=Path("pictures"),
        help="the folder for the pictures (default: %(default)s)",
    )
    return new


def options(parser):
    """What the command line says or, in Jupyter, the defaults; the folder for pictures is there afterwards."""
    chosen = parser.parse_args([] if "ipykernel" in sys.modules else None)
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        parser.error(f"--out: {chosen.out} is a file, not a folder")
    except OSError as error:
        parser.error(f"--out: {error}")
    return chosen


def at_least(least):
    """The type of an option: a whole number, not below the least."""

    def number(text):
        if not text.strip().lstrip("-+").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number, {least} or more, but is {text}")
        return int(text)

    return number


def rate(text):
    """The type of an option: a learning rate."""
    try:
        lr = float(text)
    except ValueError:
        lr = math.nan
    if not 0 < lr < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, and finite, but is {text}")
    return lr


def say(*sentences):
    """Print a paragraph."""
    print(textwrap.fill(" ".join(sentences), 96), end="\n\n")


def save(figure, path):
    """Write the picture, in 256 colours, which makes a small file, and say where it is."""
    with BytesIO() as file:
        figure.savefig(file, dpi=120)
        Image.open(file).convert("RGB").quantize(256).save(path, optimize=True)
    print(f"picture: {path}\n")


def penguins(*columns):
    """A row for each penguin that has all of these measured, a column for each; and its species."""
    with open(Path(__file__).parent / "data" / "penguins.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row[column] != "NA" for column in columns)]
    return np.array([[float(row[column]) for column in columns] for row in rows]), [row["species"] for row in rows]


def _quietly(kind, error, trace):
    if issubclass(kind, KeyboardInterrupt):
        print("\nstopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _quietly
