"""What the engine computes with: Python floats, and arrays of float32 or float64."""

import reprlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray
from numpy.typing import DTypeLike, NDArray

Data: TypeAlias = float | NDArray[Any]

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


class StandIn:
    """The base class of what stands for numbers while a computation is written out (programs/).

    It behaves as the float or the array that it stands for, but is neither. So the functions here
    pass it on, where NumPy's own would try to make an array of it.
    """

    __slots__ = ()

    def as_data(self, like: Data) -> Any:
        """As the function of this name."""
        raise NotImplementedError

    def applied(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """The function of these arguments, of which this is one."""
        raise NotImplementedError


def as_data(x: Any, like: Data = 0.0) -> Data:
    """`x` as the engine computes with it: a Python float, or a float32 or float64 array.

    A Python float, or a plain array of one of these dtypes, is returned itself, not as a copy.
    Integers and booleans become floats: an array of them gets the dtype of `like`. An array
    without axes becomes a float. An integer of more than 1,023 bits is a `ValueError`, and
    anything else is a `TypeError`.
    """
    if type(x) is float:
        return x
    # NumPy normally has only one object for each dtype, so `is` is enough. An array whose dtype
    # is a copy of that object takes the longer path below, to the same result.
    if type(x) is ndarray and (x.dtype is _FLOAT32 or x.dtype is _FLOAT64) and x.ndim:
        return x
    if isinstance(x, StandIn):
        data: Data = x.as_data(like)
        return data
    if isinstance(x, int) and x.bit_length() > 1023:
        raise ValueError(
            f"expected numbers below 9e307, but got an integer of {x.bit_length()} bits"
        )
    if isinstance(x, (float, int, np.float32)):
        return float(x)
    array = as_plain_array(x)
    dtype = array.dtype
    if dtype.kind in "biu":
        float_dtype = np.float64 if isinstance(like, float) else like.dtype
        array = array.astype(float_dtype)
    elif dtype.kind == "f" and dtype.itemsize in (4, 8):
        native_dtype = dtype.newbyteorder("=")
        array = array.astype(native_dtype, copy=False)
    else:
        raise TypeError(
            "expected a number or an array of float32, float64, integers or booleans, "
            f"but got {_type_and_dtype(x, array)}"
        )
    return array if array.ndim else float(array)


def as_plain_array(x: Any) -> NDArray[Any]:
    """`x` as a plain NumPy array of any dtype; a `TypeError` if that would lose something.

    A masked array would lose its mask, a matrix its `*`, and an array with a unit its unit.
    NumPy cannot make an array of numbers from a sparse matrix, or from rows of different lengths.
    """
    cls = type(x)
    if cls is ndarray or isinstance(x, StandIn):
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
    if isinstance(x, ndarray) and cls.__array_ufunc__ not in _PLAIN_ARITHMETIC:
        raise TypeError(
            f"{expected} {_with_article(cls)}, whose own arithmetic would be lost: "
            "np.asarray(x) makes it an array"
        )
    if callable(getattr(x, "toarray", None)):
        raise TypeError(f"{expected} {_with_article(cls)}: x.toarray() makes it an array")
    try:
        return np.asarray(x)
    except ValueError:  # rows of different lengths
        raise TypeError(f"{expected} a ragged {cls.__name__}") from None


def as_array(x: Any) -> Any:
    """`x` as an array, as by `numpy.asarray`; a stand-in for an array is returned itself."""
    return x if isinstance(x, StandIn) else np.asarray(x)


def of_floats(function: Callable[..., float]) -> Callable[..., float]:
    """A function of the module `math`, which takes a stand-in as its first argument, too."""

    def apply(x: Any, *others: Any) -> Any:
        if isinstance(x, StandIn):
            return x.applied(function, (x, *others))
        return function(x, *others)

    return apply


def _type_and_dtype(x: Any, array: NDArray[Any]) -> str:
    """`x` for an error message: its type, its dtype and, if there is one, an element to blame."""
    type_name = type(x).__name__
    if array.dtype != object:
        return f"{type_name} of dtype {array.dtype}"
    if not array.ndim and not isinstance(x, ndarray):  # an object that has no dtype of its own
        return type_name
    for element in array.flat:
        if not isinstance(element, (int, float, np.number)):
            return f"{type_name} of dtype object, with {shown(element)} in it"
    return f"{type_name} of dtype object: np.asarray(x, float) makes it an array of numbers"


def _with_article(cls: type) -> str:
    """The name of a class after "a" or "an"."""
    name = cls.__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return f"{article} {name}"


class ReadOnly(ndarray):
    """The array of a computed value, as `Value.data` gives it: writing into it is an error.

    The error says why. Results computed from such an array are plain arrays again.
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        outs = options.get("out", ())
        for out in outs:  # `array += 1` comes here, with the array as its `out`
            if isinstance(out, ReadOnly):
                out._check_writeable()
        plain_operands = map(_plain, operands)
        plain_options = {name: _plain(option) for name, option in options.items()}
        if outs:
            plain_options["out"] = tuple(map(_plain, outs))
        compute = getattr(ufunc, method)
        result = compute(*plain_operands, **plain_options)
        return outs[0] if len(outs) == 1 else result

    def __setitem__(self, index: Any, new: Any) -> None:
        self._check_writeable()
        super().__setitem__(index, new)

    def _check_writeable(self) -> None:
        if not self.flags.writeable:  # a copy of this array is writeable, and may be changed
            raise ValueError(COMPUTED)

    def __repr__(self) -> str:
        return repr(_plain(self))

    def __reduce__(self) -> Any:
        return _plain(self).__reduce__()


COMPUTED = (
    "the data of a computed value is read-only: it belongs to the recorded computation. "
    "To make initial weights, compute with arrays, as in Value(rng.normal(size=3) * 0.1); "
    "to go on with its numbers alone, take value.detach()"
)


def _plain(x: Any) -> Any:
    return x.view(ndarray) if isinstance(x, ReadOnly) else x


_PLAIN_ARITHMETIC = (ndarray.__array_ufunc__, ReadOnly.__array_ufunc__)


def shown(x: Any) -> str:
    """`x` for an error message: as Python writes it if that is short, otherwise its type."""
    text = reprlib.repr(x)  # reprlib abbreviates what is long or deeply nested
    is_short = len(text) <= 40 and "\n" not in text
    return text if is_short else f"a {type(x).__name__}"


def check_dtype(dtype: DTypeLike) -> None:
    """Raise a `TypeError` unless the dtype is float32 or float64."""
    if np.dtype(dtype) not in (_FLOAT32, _FLOAT64):
        raise TypeError(f"expected the dtype float32 or float64, but got {np.dtype(dtype)}")


def check_flag(name: str, x: Any) -> None:
    """Raise a `TypeError` unless `x` is True or False.

    Another number, even 0 or 1, was probably meant for another argument.
    """
    if not isinstance(x, bool | np.bool):
        raise TypeError(f"expected {name} to be True or False, but got {shown(x)}")


def same(x: Data, y: Data) -> bool:
    """Whether `x` and `y` have the same shape and the same numbers; nan counts as equal to nan."""
    return x is y or np.array_equal(x, y, equal_nan=True)
