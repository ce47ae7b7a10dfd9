"""What the programs here have in common: options, a folder for pictures, penguins, and a quiet end
on Ctrl-C.
"""

import argparse
import ast
import atexit
import csv
import inspect
import math
import os
import re
import sys
import textwrap
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from microgd import grad, hessian


class _Parser(argparse.ArgumentParser):
    """A parser that checks the defaults, too, since a reader may edit one in the program."""

    def add_argument(self, *names, **how):
        default = how.get("default")
        listed = default if isinstance(default, list) else [default]
        if not listed:
            self.error(f"the default of {names[0]}: must be one number or more")
        for number in listed:
            if "type" in how and isinstance(number, int | float):
                try:
                    how["type"](str(number))
                except argparse.ArgumentTypeError as error:
                    self.error(f"the default of {names[0]}: {error}")
        if how.get("nargs") == "+" and default is not None:
            how["default"] = listed  # a single number is a list of one
        return super().add_argument(*names, **how)


def parser(documentation, saved="pictures"):
    """A parser of the command line with --out, the folder to save pictures in, or what else is
    saved.
    """
    new = _Parser(
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
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # not every terminal can show λ, →, or ▄
    chosen = parser.parse_args(arguments())
    try:
        chosen.out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        parser.error(f"--out: {chosen.out} is a file, not a folder")
    except OSError as error:
        parser.error(f"--out: {error}")
    if not os.access(chosen.out, os.W_OK):
        parser.error(f"--out: nothing can be written in {chosen.out}")
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


def rate_to_draw(text):
    """The type of an option: a learning rate whose steps a picture can show."""
    lr = rate(text)
    if lr > 1000:
        raise argparse.ArgumentTypeError(f"must be at most 1000, but is {text}")
    return lr


def say(*sentences):
    """Print a paragraph."""
    print(textwrap.fill(" ".join(sentences), 96), end="\n\n")


def counted(number, noun):
    """1 step, but 2 steps and 1,000 steps."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def with_article(word):
    """A word or a digit with its article: a minimum, an 8."""
    return f"an {word}" if str(word)[0] in "aeiou8" else f"a {word}"


def last(holds, low, high, within=0.003):
    """The largest number for which something holds: it does for `low`, and does not for `high`.

    It is found up to a share of itself, `within`.
    """
    while high > (1 + within) * low:  # it is between these two; halve that
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


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
        picture = Image.open(file).convert("RGB").quantize(256)
    try:
        picture.save(path, optimize=True)
    except OSError as error:
        sys.exit(f"{path}: {error}")
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


PENGUINS = Path(__file__).parent / "data" / "penguins.csv"
MISSING = ("", "NA", "N/A", "nan", "NaN", "NULL", "null", "None", "?")  # not measured
UNITS = ("mm", "cm", "m", "km", "mg", "g", "kg", "ml", "ms", "s")


def table(path, columns=None, label=None):
    """The columns of numbers of a CSV file; its first line names the columns.

    Return the numbers, (rows, columns); the names of these columns, which are all the columns of
    numbers if `columns` is None; and the text in the column `label` for each row, or None without
    one. Rows in which one of these was not measured are left out. If the file will not do, the
    program ends with one line that says why.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
            names = list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        sys.exit(f"{path}: cannot be read as a table: {error}")
    numeric = [name for name in names if name != label and _numbers_in(rows, name)]
    if label is not None and label not in names:
        sys.exit(f"there is no column {label!r}: the columns are {', '.join(names)}")
    columns = numeric if columns is None else list(columns)
    for column in columns:
        if column not in numeric:
            why = "has no numbers" if column in names else "is not there"
            listed = ", ".join(numeric) or "none"
            sys.exit(f"the column {column!r} {why}: the columns of numbers are {listed}")
    numbers, labels = [], []
    for row in rows:
        text = "" if label is None else row[label].strip()
        measured = [row[column].strip() for column in columns]
        if any(each in MISSING for each in measured) or (label is not None and text in MISSING):
            continue
        numbers.append([float(each) for each in measured])
        labels.append(text)
    if len(numbers) < 2 or not columns:
        sys.exit(f"{path}: {len(numbers)} rows of {len(columns)} columns of numbers are too few")
    return np.array(numbers), columns, None if label is None else labels


def rows_in(path):
    """How many rows a CSV file has, apart from its first line; blank lines do not count."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        return sum(1 for _ in csv.DictReader(file))


def _numbers_in(rows, column):
    """Whether a column holds finite numbers alone, apart from what was not measured."""
    measured = [row[column].strip() for row in rows if row[column].strip() not in MISSING]
    try:
        return bool(measured) and all(math.isfinite(float(each)) for each in measured)
    except ValueError:
        return False


def name_and_unit(column):
    """What a column is called, and its unit: ("flipper length", "mm") for flipper_length_mm.

    The unit is "" if the name has none, as in ("year", "") for year.
    """
    in_brackets = re.fullmatch(r"(.+?)[ _]*[(\[](.+)[)\]]", column)
    if in_brackets:
        name, unit = in_brackets.groups()
    else:
        name, _, unit = column.rpartition("_")
        if unit not in UNITS or not name:
            name, unit = column, ""
    return name.replace("_", " "), unit


def with_unit(column):
    """The text for an axis: flipper length (mm) for flipper_length_mm."""
    name, unit = name_and_unit(column)
    return f"{name} ({unit})" if unit else name


def check_descent(loss, lowest, start, steps=1):
    """End the program if a descent from `start` cannot show its way to `lowest`, the weights that
    least squares finds: a reader may have put in another loss, start or number of steps.
    """
    lowest = np.asarray(lowest)
    if np.shape(start) != lowest.shape or not np.abs(start).max() <= 1e6:
        sys.exit(f"START should be {lowest.size} numbers from -1e6 to 1e6")
    if steps < 1:
        sys.exit("STEPS should be 1 or more")
    if np.linalg.norm(start - lowest) < 1e-9:
        sys.exit("START is the lowest point, so there is no descent to show: try another")
    if abs(loss(lowest)) < 1e-12 * abs(loss(0 * lowest)):
        sys.exit("the smallest loss is as good as 0, and no other can be compared with it")
    second = hessian(loss)(lowest)
    curvatures = np.linalg.eigvalsh(second)
    is_only_one = curvatures[0] > 1e-12 * abs(curvatures[-1])
    if is_only_one:
        off = np.linalg.norm(np.linalg.solve(second, grad(loss)(lowest)))
    if not is_only_one or off > 1e-6 * max(1, np.linalg.norm(lowest)):
        sys.exit("least squares does not find the lowest point of this loss, or not the only one")


def _quietly(kind, error, trace):
    if issubclass(kind, KeyboardInterrupt):
        print("\nstopped", file=sys.stderr)
    elif issubclass(kind, BrokenPipeError):
        print_no_more()
    else:
        sys.__excepthook__(kind, error, trace)


def print_no_more():
    """Let what is printed from now on vanish: nobody reads on, as after `| head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


def _print_the_rest():
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        print_no_more()


sys.excepthook = _quietly
atexit.register(_print_the_rest)
