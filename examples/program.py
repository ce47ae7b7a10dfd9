"""What the programs here have in common: options, a folder for pictures, penguins, and a quiet end
on Ctrl-C.
"""

import argparse
import ast
import csv
import inspect
import math
import re
import sys
import textwrap
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def parser(documentation, saved="pictures"):
    """A parser of the command line with --out, the folder to save pictures in, or what else is
    saved.
    """
    new = argparse.ArgumentParser(
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    new.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        default=Path(saved),
        help=f"the folder for the {saved} (default: %(default)s)",
    )
    return new


def in_jupyter():
    """Whether this runs in a notebook's kernel."""
    return "ipykernel" in sys.modules


def arguments():
    """What a parser is to read: none in Jupyter, where the command line is the kernel's; None for
    the command line.

    But `%run slope.py --out here` puts the program's own arguments there.
    """
    started = Path(sys.argv[0]).name
    is_a_program = (Path(__file__).parent / started).is_file()
    return [] if in_jupyter() and not is_a_program else None


def options(parser):
    """What the command line says or, in Jupyter, the defaults; the folder of --out is there
    afterwards.
    """
    chosen = parser.parse_args(arguments())
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
            raise argparse.ArgumentTypeError(
                f"must be a whole number, {least} or more, but is {text}"
            )
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


def show(picture):
    """In Jupyter, show it below the cell; nothing elsewhere."""
    if in_jupyter():
        from IPython.display import display

        display(picture)


def save(figure, path):
    """Write the picture, in 256 colours, which makes a small file, say where it is, and in Jupyter
    show it.
    """
    with BytesIO() as file:
        figure.savefig(file, dpi=120)
        Image.open(file).convert("RGB").quantize(256).save(path, optimize=True)
    print(f"picture: {path}\n")
    show(figure)


def formula(function):
    """What a function of x returns, as one writes it on paper: 3x² − 1 for 3 * x**2 - 1. "" if that
    cannot be told.

    It is read from the text of the program, so it stays true when another function is put in.
    """
    if hasattr(function, "__wrapped__"):
        return ""  # the text would be that of the function inside
    try:
        definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError):
        return ""
    if not isinstance(definition, ast.FunctionDef) or [
        each.arg for each in definition.args.args
    ] != ["x"]:
        return ""
    # all but the docstring
    statements = [each for each in definition.body if not isinstance(each, ast.Expr)]
    if (
        len(statements) != 1
        or not isinstance(statements[0], ast.Return)
        or statements[0].value is None
    ):
        return ""
    text = ast.unparse(statements[0].value)
    text = re.sub(r"\b(np|operations)\.", "", text)
    raised = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    text = re.sub(r" \*\* (\d+)\b(?!\.)", lambda power: power[1].translate(raised), text)
    # 3 * x is 3x. But x / 2 * x is not x / 2x, nor x ** 0.5 * x another power.
    text = re.sub(r"(?<![/*] )(?<![\w.])(\d+(?:\.\d+)?) \* (?=[a-z(])", r"\1", text)
    return text.replace(" ** ", "^").replace("*", "·").replace("-", "−")


def penguins(*columns):
    """A row for each penguin that has all of these measured, a column for each; and its species."""
    with open(Path(__file__).parent / "data" / "penguins.csv", newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if all(row[column] != "NA" for column in columns)
        ]
    return np.array([[float(row[column]) for column in columns] for row in rows]), [
        row["species"] for row in rows
    ]


def _quietly(kind, error, trace):
    if issubclass(kind, KeyboardInterrupt):
        print("\nstopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _quietly
