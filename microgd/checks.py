"""Checks of what users pass in: each error says what was expected, and what came instead.

Warnings are given at the user's line.
"""

import sys
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd.arrays import as_data, as_plain_array, shown
from microgd.value import Value

_INT64 = np.dtype(np.int64)


def check_type(expected: str, types: Any, *objects: Any) -> None:
    """Raise a `TypeError` unless every object is of this type, or of one of these types."""
    for x in objects:
        if not isinstance(x, types):
            raise TypeError(f"expected {expected}, but got {shown(x)}")


def check_list(
    what: str, items: Any, item_type: Any = Value, type_name: str = "Values"
) -> list[Any]:
    """The items as a list; a `TypeError` unless they come in a list and are all of this type.

    Any other iterable will do in place of a list, except a Value, a string or a dictionary.
    """
    if not isinstance(items, Iterable) or isinstance(items, Value | str | dict):
        raise TypeError(f"expected a list of {what}, but got {shown(items)}")
    checked = list(items)
    if "," in what:
        what += ","  # ends an insertion: "parameters, such as model.parameters(), that are Values"
    check_type(f"{what} that are {type_name}", item_type, *checked)
    return checked


def check_count(what: str, n: Any, least: float = -np.inf, most: float = np.inf) -> int:
    """`n` as Python's int; an error unless it is an integer within these bounds.

    Python's int never overflows; NumPy's small integers do.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise TypeError(f"expected a {what} that is an integer, but got {shown(n)}")
    if n < least:
        raise ValueError(f"expected a {what} of at least {least}, but got {shown(n)}")
    if n > most:
        raise ValueError(f"expected a {what} of at most {most}, but got {shown(n)}")
    return int(n)


def check_number(what: str, x: Any) -> float:
    """`x` as a float; an error unless it is a real number, finite, and 0 or more."""
    if isinstance(x, bool) or not isinstance(x, (int, float, np.integer, np.floating)):
        raise TypeError(f"expected {what} to be a number, but got {shown(x)}")
    number = float(as_data(x))
    if not 0 <= number < np.inf:
        raise ValueError(f"expected {what} to be 0 or more, and finite, but got {number}")
    return number


def check_labels(labels: ArrayLike, examples: int, classes: int) -> NDArray[np.int64]:
    """The labels as an int64 array, one for each example, each from 0 to classes - 1.

    Labels of another dtype, such as floats or text, are a `TypeError`. Integers of another shape
    or outside this range are a `ValueError`. The message says how to repair common mistakes.
    """
    array = as_plain_array(labels)
    if array.dtype.kind not in "iu" or array.shape != (examples,):
        raise _wrong_kind_of_labels(labels, array, examples)
    if array.dtype is not _INT64:
        array = array.astype(_INT64)
    # Read as unsigned integers, negative labels are huge. So one comparison finds both the
    # negative labels and those that are too large.
    if examples and np.maximum.reduce(array.view(np.uint64)) >= classes:
        original = np.asarray(labels)
        is_outside = (array < 0) | (array >= classes)
        first_wrong = original[is_outside][0]
        hint = _range_hint(original, classes)
        raise ValueError(f"expected labels from 0 to {classes - 1}, but got {first_wrong}{hint}")
    return array


def _wrong_kind_of_labels(labels: ArrayLike, array: NDArray[Any], examples: int) -> Exception:
    """The error for labels that are not integers, or not one for each example."""
    name = "labels" if isinstance(labels, np.ndarray) else "np.asarray(labels)"
    is_integer = array.dtype.kind in "iu"
    may_be_one_hot = array.ndim == 2 and array.shape[1] != 1 and array.dtype.kind in "biuf"
    if may_be_one_hot:
        error_type = ValueError if is_integer else TypeError
        return error_type(
            f"expected labels of shape ({examples},), an integer for each example, "
            f"but got shape {array.shape}: if they are one-hot, {name}.argmax(axis=1) "
            "turns them into integers"
        )
    if not is_integer:
        hint = _integer_hint(array, name)
        return TypeError(f"expected labels that are integers, but got dtype {array.dtype}{hint}")
    is_column = array.shape == (examples, 1)
    hint = f": {name}[:, 0] has that shape" if is_column else ""
    return ValueError(
        f"expected labels of shape ({examples},), a number for each example, "
        f"but got shape {array.shape}{hint}"
    )


def _range_hint(labels: NDArray[Any], classes: int) -> str:
    """How to turn labels that begin elsewhere into labels that begin at 0."""
    if classes == 1:
        return ": the logits need a column for each class"
    if set(labels.tolist()) <= {-1, 1}:
        return ": (labels + 1) // 2 turns -1 and 1 into 0 and 1"
    if labels.min() == 1 and labels.max() == classes:
        return ": labels - 1 begin at 0"
    return ""


def _integer_hint(labels: NDArray[Any], name: str) -> str:
    """How to turn these labels into integers, if that is possible without losing anything."""
    kind = labels.dtype.kind  # NumPy's letter: U for text, O for objects, f for floats
    if kind == "U" or (kind == "O" and all(isinstance(x, str) for x in labels.flat)):
        return "; data.encode_labels turns text into integers"
    if labels.ndim != 1:
        return ""
    if kind == "O":
        is_whole = all(isinstance(x, int | np.integer) for x in labels)
    elif kind == "f":
        is_whole = bool(np.all(labels == np.rint(labels)))
    else:
        is_whole = kind == "b"
    return f"; {name}.astype(int) turns them into integers" if is_whole else ""


def warn_user(message: str) -> None:
    """Give a `RuntimeWarning` at the user's line: the innermost one that is not microgd's."""
    level = 1
    frame: Any = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("microgd."):
        frame = frame.f_back
        level += 1
    warnings.warn(message, RuntimeWarning, stacklevel=level)
