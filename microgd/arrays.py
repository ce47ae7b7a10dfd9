"""What the engine computes with: Python floats, and arrays of float32 or float64."""

import reprlib
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray
from numpy.typing import DTypeLike, NDArray

Data: TypeAlias = float | NDArray[Any]

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def as_data(x: Any, like: Data = 0.0) -> Data:
    """`x` as the engine computes with it: a Python float, or a float32 or float64 array (itself, if it is one).

    Integers and booleans become floats, in an array of the dtype of `like`. Anything else is a `TypeError`.
    """
    if type(x) is float:
        return x
    # There is only one object for each of NumPy's dtypes, as a rule; a copy of one takes the long way, to the same end.
    if type(x) is ndarray and (x.dtype is _FLOAT32 or x.dtype is _FLOAT64) and x.ndim:
        return x
    if isinstance(x, int) and x.bit_length() > 1023:
        raise ValueError(f"expected numbers below 9e307, but got an integer of {x.bit_length()} bits")
    if isinstance(x, (float, int, np.float32)):
        return float(x)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("expected a number or an array of numbers, but got a masked array, whose mask would be lost")
    try:
        array = np.asarray(x)
    except ValueError:  # rows of different lengths
        raise TypeError(f"expected a number or an array of numbers, but got a ragged {type(x).__name__}") from None
    if array.dtype.kind in "biu":
        array = array.astype(np.float64 if isinstance(like, float) else like.dtype)
    elif array.dtype.kind == "f" and array.dtype.itemsize in (4, 8):
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    else:
        what = type(x).__name__ + ("" if array.dtype == object else f" of dtype {array.dtype}")
        raise TypeError(f"expected a number or an array of float32, float64, integers or booleans, but got {what}")
    return array if array.ndim else float(array)


def shown(x: Any) -> str:
    """What came, in an error: as Python writes it, if that is short, or else its type."""
    text = reprlib.repr(x)  # which leaves out what is long or deep
    return text if len(text) <= 40 and "\n" not in text else f"a {type(x).__name__}"


def check_dtype(dtype: DTypeLike) -> None:
    """A `TypeError` unless it is float32 or float64."""
    if np.dtype(dtype) not in (_FLOAT32, _FLOAT64):
        raise TypeError(f"expected the dtype float32 or float64, but got {np.dtype(dtype)}")


def check_flag(name: str, x: Any) -> None:
    """A `TypeError` unless it is True or False: other numbers were meant for something else."""
    if not isinstance(x, bool | np.bool):
        raise TypeError(f"expected {name} to be True or False, but got {shown(x)}")


def same(x: Data, y: Data) -> bool:
    """Whether both are the same numbers; nan is the same as nan."""
    return x is y or np.array_equal(x, y, equal_nan=True)
