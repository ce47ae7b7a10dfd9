"""What users give, checked: errors say what was expected, and what came."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd.arrays import as_data, as_plain_array, shown
from microgd.value import Value


def check_type(expected: str, kind: Any, *given: Any) -> None:
    """A `TypeError` unless all that is given is of this type, or of one of these."""
    for x in given:
        if not isinstance(x, kind):
            raise TypeError(f"expected {expected}, but got {shown(x)}")


def check_list(what: str, given: Any, kind: Any = Value, kinds: str = "Values") -> list[Any]:
    """The items of a list of Values, or of another kind; a `TypeError` unless that is what it is."""
    if not isinstance(given, Iterable) or isinstance(given, Value | str | dict):
        raise TypeError(f"expected a list of {what}, but got {shown(given)}")
    items = list(given)
    check_type(f"{what} that are {kinds}", kind, *items)
    return items


def check_count(what: str, n: Any, least: float = -np.inf, most: float = np.inf) -> int:
    """Python's integer (in computing with them, NumPy's small ones overflow); an error unless n is one, within these bounds."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"expected a {what} that is an integer, but got {shown(n)}")
    if not least <= n <= most:
        bound = f"at least {least}" if n < least else f"at most {most}"
        raise ValueError(f"expected a {what} of {bound}, but got {shown(n)}")
    return int(n)


def check_number(what: str, x: Any) -> float:
    """The number as a float; an error unless it is real, finite, and 0 or more."""
    if isinstance(x, bool) or not isinstance(x, (int, float, np.integer, np.floating)):
        raise TypeError(f"expected {what} to be a number, but got {shown(x)}")
    number = float(as_data(x))
    if not 0 <= number < np.inf:
        raise ValueError(f"expected {what} to be 0 or more, and finite, but got {number}")
    return number


def check_labels(labels: ArrayLike, examples: int, classes: int) -> NDArray[np.int64]:
    """The labels as an int64 array, one per example, each from 0 to classes - 1; else an error that says why."""
    array = as_plain_array(labels)
    given = "labels" if isinstance(labels, np.ndarray) else "np.asarray(labels)"
    if array.ndim == 2 and array.shape[1:] != (1,) and array.dtype.kind in "biuf":
        raise (ValueError if array.dtype.kind in "iu" else TypeError)(
            f"expected labels of shape ({examples},), an integer for each example, but got shape {array.shape}: "
            f"if they are one-hot, {given}.argmax(axis=1) makes integers of them"
        )
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"expected labels that are integers, but got dtype {array.dtype}{_label_hint(array, given)}"
        )
    if array.shape != (examples,):
        hint = f": {given}[:, 0] is that" if array.shape == (examples, 1) else ""
        raise ValueError(
            f"expected labels of shape ({examples},), a number for each example, but got shape {array.shape}{hint}"
        )
    array = array.astype(np.int64, copy=False)
    # As unsigned integers negative ones are huge, so one comparison finds those and the ones that are too large.
    if examples and np.maximum.reduce(array.view(np.uint64)) >= classes:
        wrong = np.asarray(labels)[(array < 0) | (array >= classes)][0]
        hint = _range_hint(np.asarray(labels), classes)
        raise ValueError(f"expected labels from 0 to {classes - 1}, but got {wrong}{hint}")
    return array


def _range_hint(labels: NDArray[Any], classes: int) -> str:
    """How to make labels that begin at 0 of those that begin elsewhere."""
    if classes == 1:
        return ": the logits need a column for each class"
    if set(labels.tolist()) <= {-1, 1}:
        return ": (labels + 1) // 2 makes 0 and 1 of -1 and 1"
    if labels.min() == 1 and labels.max() == classes:
        return ": labels - 1 begin at 0"
    return ""


def _label_hint(labels: NDArray[Any], given: str) -> str:
    """How to make integers of these labels, if that is to be had without losing anything."""
    texts = labels.dtype.kind == "U" or (
        labels.dtype == object and all(isinstance(x, str) for x in labels.flat)
    )
    if texts:
        return "; data.encode_labels turns text into integers"
    if labels.ndim != 1:
        return ""
    whole = labels.dtype.kind == "f" and bool(np.all(labels == np.rint(labels)))
    if labels.dtype == object:
        whole = all(isinstance(x, int | np.integer) for x in labels)
    return f"; {given}.astype(int) makes them so" if whole or labels.dtype.kind == "b" else ""
