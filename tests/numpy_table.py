"""The table of NumPy's functions that Values support, as it stands in its README.

`python tests/numpy_table.py` writes it anew. A test holds it to what is registered.
"""

import inspect
from pathlib import Path

from microgd import Value
from microgd.kinds import OperationOfOne, OperationOfTwo
from microgd.numpy_functions.plain import PLAIN
from microgd.registry import NUMPY, OPERATIONS

README = Path(__file__).parents[1] / "microgd" / "numpy_functions" / "README.md"
HEADING = "## All of them\n"
NO_DERIVATIVE = "none: a plain result"


def numpys_name(function):
    """The name that users call it by, such as np.linalg.norm."""
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


def arguments(ours):
    """What it takes, without annotations."""
    made = OPERATIONS.get(ours.__name__)
    if isinstance(made, OperationOfOne | OperationOfTwo):
        parameters = list(inspect.signature(made.rules[0]).parameters.values())[2:]  # after g, out
    else:
        parameters = inspect.signature(ours).parameters.values()
    bare = [p.replace(annotation=p.empty) for p in parameters]
    text = str(inspect.Signature(bare))
    return text[1:-1].removesuffix(", /")


def methods(ours):
    """The methods of Value that are this function."""
    names = [name for name, x in vars(Value).items() if x is ours and not name.startswith("_")]
    if ours in (NUMPY_BY_NAME["np.reshape"], NUMPY_BY_NAME["np.transpose"]):
        names.append(ours.__name__)  # with other arguments, as NumPy's methods have them
    return ", ".join(f"`.{name}`" for name in sorted(names))


def derivative(function, ours):
    """Where the derivative comes from."""
    if function in PLAIN:
        return NO_DERIVATIVE
    return "a rule of its own" if ours.__name__ in OPERATIONS else "made of operations"


def row(function, ours):
    """The line of the table about one of NumPy's functions."""
    if function in PLAIN:
        call = f"{numpys_name(function)}(…)"
    else:
        call = f"{numpys_name(function)}({arguments(ours)})"
    return f"| `{call}` | {methods(ours)} | {derivative(function, ours)} |"


NUMPY_BY_NAME = {numpys_name(function): ours for function, ours in NUMPY.items()}


def table():
    """All rows: first the functions that have a derivative, in alphabetical order."""
    ours = {f: g for f, g in NUMPY.items() if g.__module__.startswith("microgd.")}
    rows = sorted((row(f, g) for f, g in ours.items()), key=lambda r: (NO_DERIVATIVE in r, r))
    return "\n".join(
        ["| NumPy's function | as a method | derivative |", "| --- | --- | --- |", *rows]
    )


def text_with_table(text):
    """The README's text, with the table as it is now."""
    before, heading, _ = text.partition(HEADING)
    return f"{before}{heading}\n{table()}\n"


if __name__ == "__main__":
    README.write_text(text_with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
