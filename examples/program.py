"""What the programs here have in common: a folder for pictures, penguins, and a quiet end on Ctrl-C."""

import argparse
import csv
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def options(parser, arguments=None):
    """The command line's options and --out, the folder to save pictures in, which is made; in Jupyter, the defaults."""
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for the pictures (default: %(default)s)")
    chosen = parser.parse_args([] if arguments is None and "ipykernel" in sys.modules else arguments)
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out: {error}")
    sys.excepthook = _quietly
    return chosen


def at_least(least):
    """A whole number of the command line."""

    def number(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, but is {value}")
        return value

    return number


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
