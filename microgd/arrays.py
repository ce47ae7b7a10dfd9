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
        raise ValueError(
            f"expected numbers below 9e307, but got an integer of {x.bit_length()} bits"
        )
    if isinstance(x, (float, int, np.float32)):
        return float(x)
    array = as_plain_array(x)
    if array.dtype.kind in "biu":
        array = array.astype(np.float64 if isinstance(like, float) else like.dtype)
    elif array.dtype.kind == "f" and array.dtype.itemsize in (4, 8):
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    else:
        raise TypeError(
            f"expected a number or an array of float32, float64, integers or booleans, but got {_kind(x, array)}"
        )
    return array if array.ndim else float(array)


def as_plain_array(x: Any) -> NDArray[Any]:
    """`x` as NumPy's own kind of array, of any dtype; a `TypeError` where that would lose something.

    A masked array would lose its mask, a matrix its `*`, an array with a unit its unit. NumPy
    makes nothing of a sparse matrix, and nothing of rows of different lengths.
    """
    kind = type(x)
    if kind is ndarray:
        return x  # type: ignore[no-any-return]
    expected = "expected a number or an array of numbers, but got"
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{expected} a masked array, whose mask would be lost: x.filled(0.0) gives masked "
            "elements a number, x.compressed() leaves them out"
        )
    if isinstance(x, np.matrix):
        raise TypeError(
            f"{expected} a numpy.matrix, whose * is the matrix product: "
            "np.asarray(x) makes it an array, whose matrix product is @"
        )
    if isinstance(x, ndarray) and kind.__array_ufunc__ not in _PLAIN_ARITHMETIC:
        raise TypeError(
            f"{expected} {_named(kind)}, whose own arithmetic would be lost: np.asarray(x) makes it an array"
        )
    if callable(getattr(x, "toarray", None)):
        raise TypeError(f"{expected} {_named(kind)}: x.toarray() makes it an array")
    try:
        return np.asarray(x)
    except ValueError:  # rows of different lengths
        raise TypeError(f"{expected} a ragged {kind.__name__}") from None


def _kind(x: Any, array: NDArray[Any]) -> str:
    """What came, in an error: its type, its dtype and, if there is one, an element to blame."""
    kind = type(x).__name__
    if array.dtype != object:
        return f"{kind} of dtype {array.dtype}"
    if not array.ndim and not isinstance(x, ndarray):  # NumPy knows no dtype for such an object
        return kind
    strange = [each for each in array.flat if not isinstance(each, (int, float, np.number))]
    if strange:
        return f"{kind} of dtype object, with {shown(strange[0])} in it"
    return f"{kind} of dtype object: np.asarray(x, float) makes it an array of numbers"


def _named(kind: type) -> str:
    """An article and a type's name."""
    name = kind.__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


class ReadOnly(ndarray):
    """The array of a computed value, as `Value.data` gives it: writing into it says why it can't be.

    Whatever is computed from it is a plain array again.
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        outs = options.get("out", ())
        for x in outs:  # `array += 1` comes here
            if isinstance(x, ReadOnly):
                x._refuse()
        plain = {name: _plain(x) for name, x in options.items()}
        if outs:
            plain["out"] = tuple(map(_plain, outs))
        result = getattr(ufunc, method)(*map(_plain, operands), **plain)
        return outs[0] if len(outs) == 1 else result

    def __setitem__(self, index: Any, new: Any) -> None:
        self._refuse()
        super().__setitem__(index, new)

    def _refuse(self) -> None:
        if not self.flags.writeable:  # a copy of it may be written into
            raise ValueError(COMPUTED)

    def __repr__(self) -> str:
        return repr(_plain(self))

    def __reduce__(self) -> Any:
        return _plain(self).__reduce__()


COMPUTED = (
    "the data of a computed value is read-only: it belongs to the recorded computation. "
    "To make first weights, compute with arrays, as in Value(rng.normal(size=3) * 0.1); "
    "to go on with its numbers alone, take value.detach()"
)


def _plain(x: Any) -> Any:
    return x.view(ndarray) if isinstance(x, ReadOnly) else x


_PLAIN_ARITHMETIC = (ndarray.__array_ufunc__, ReadOnly.__array_ufunc__)


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
