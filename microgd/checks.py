"""What users give, checked: errors say what was expected, and what came."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd.value import Value


def check_type(expected: str, x: Any, kind: Any) -> None:
    """A `TypeError` unless x is of this type, or of one of these."""
    if not isinstance(x, kind):
        raise TypeError(f"expected {expected}, but got {shown(x)}")


def shown(x: Any) -> str:
    """What came, in an error: as Python writes it, if that is short, or else its type."""
    try:
        text = repr(x)
    except Exception:  # of a list that is nested too deep, say
        text = "\n"
    return text if len(text) <= 40 and "\n" not in text else f"a {type(x).__name__}"


def check_values(what: str, given: Any) -> list[Value]:
    """The Values of a list; a `TypeError` unless that is what it is."""
    if not isinstance(given, Iterable) or isinstance(given, Value | dict):
        raise TypeError(f"expected a list of {what}, but got {shown(given)}")
    values = list(given)
    for x in values:
        check_type(f"{what} that are Values", x, Value)
    return values


def check_count(what: str, n: Any, least: float = -np.inf, most: float = np.inf) -> int:
    """Python's integer (in computing with them, NumPy's small ones overflow); an error unless n is one, within these bounds."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"expected a {what} that is an integer, but got {shown(n)}")
    if not least <= n <= most:
        bound = f"at least {least}" if n < least else f"at most {most}"
        raise ValueError(f"expected a {what} of {bound}, but got {shown(n)}")
    return int(n)


_INT64, _UINT64 = np.dtype(np.int64), np.dtype(np.uint64)


def check_labels(labels: ArrayLike, examples: int, classes: int) -> NDArray[np.int64]:
    """The labels as an int64 array, one per example, each from 0 to classes - 1; else an error that says why."""
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        hint = "data.encode_labels turns text into integers" if array.dtype.kind in "UO" else "labels.astype(int) makes them so"
        raise TypeError(f"expected labels that are integers, but got dtype {array.dtype}; {hint}")
    if array.shape != (examples,):
        raise ValueError(f"expected labels of shape ({examples},), a number for each example, but got shape {array.shape}")
    if array.dtype is not _INT64:
        array = array.astype(_INT64)
    # As unsigned integers negative ones are huge, so one comparison finds those and the ones that are too large.
    if examples and np.maximum.reduce(array.view(_UINT64)) >= classes:
        wrong = np.asarray(labels)[(array < 0) | (array >= classes)][0]
        raise ValueError(f"expected labels from 0 to {classes - 1}, but got {wrong}")
    return array
