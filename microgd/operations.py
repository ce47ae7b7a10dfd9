"""Every operation: what it computes and, beside it, its derivative rule. Read this file second, as a table.

In a rule, `g` is the upstream gradient (d output / d result), `out` the result, and `x`, `y` the operands. A rule
returns d output / d operand: the upstream gradient times the local derivative. So `sin` reads: its operand's
gradient is g * cos(x). Numbers, arrays and Values may all come here, which is why a rule is written with operators and
with the operations themselves.

Rules may leave three things to the engine (`_fit` in backprop.py): summing the gradient of an operand that was
broadcast, its dtype, and a number that holds for all elements. They compute what PyTorch would at a point where there
is no derivative, or more than one slope; each says what that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log as _ln
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgd.backprop import NUMPY, operation

Number: TypeAlias = Any  # a float, an array or a Value: operations take and give all three
Axis: TypeAlias = int | tuple[int, ...] | None


# Rules speak of these before they are made; the type checker wants to know what they will be.
log: Callable[..., Any]
sign: Callable[..., Any]
cos: Callable[..., Any]
cosh: Callable[..., Any]


def _shape(x: Number) -> tuple[int, ...]:
    return () if isinstance(x, float) else tuple(x.shape)


# ── Arithmetic, elementwise with broadcasting ────────────────────────────────────────────────────────────────────────


@operation(
    lambda g, out, x, y: g,
    lambda g, out, x, y: g,
)
def add(x: Number, y: Number) -> Number:
    """x + y."""
    return x + y


@operation(
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g,
)
def subtract(x: Number, y: Number) -> Number:
    """x - y."""
    return x - y


@operation(
    lambda g, out, x, y: g * y,
    lambda g, out, x, y: g * x,
)
def multiply(x: Number, y: Number) -> Number:
    """x * y."""
    return x * y


@operation(
    lambda g, out, x, y: divide(g, y),
    lambda g, out, x, y: -divide(g * out, y),
)
def divide(x: Number, y: Number) -> Number:
    """x / y; by zero it is infinite or nan, as IEEE 754 has it, for numbers as for arrays."""
    try:
        return x / y
    except ZeroDivisionError:  # Python's floats alone raise
        return np.divide(x, y)


# x**0 is 1 everywhere, so its derivative is 0 everywhere: y - (y != 0) keeps the exponent 0 there, where y - 1 would
# give 0 * inf = nan at x = 0. As for the exponent, 0**y is 0 for all y > 0, so its derivative is 0 and not 0 * log(0).
@operation(
    lambda g, out, x, y: g * y * power(x, y - (y != 0)),
    lambda g, out, x, y: g * out * log(where((x == 0) & (y >= 0), 1.0, x)),
)
def power(x: Number, y: Number) -> Number:
    """x ** y; nan where it would be complex, infinite where it is too large, for numbers as for arrays."""
    try:
        out = x**y
    except (ZeroDivisionError, OverflowError):  # Python's floats raise here, and turn complex below
        return np.power(x, y)
    return np.power(x, y) if isinstance(out, complex) else out


@operation(lambda g, out, x: -g)
def negative(x: Number) -> Number:
    """-x."""
    return -x


# ── Functions of one operand, elementwise: NumPy's own, so that a number gets what an array would ────────────────────


def elementwise(function: np.ufunc, rule: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that is a function of NumPy's, by its name there."""
    made = operation(rule)(function)
    made.__doc__ = f"Elementwise {function.__name__}, as `numpy.{function.__name__}`."
    return made


# fmt: off
positive = elementwise(np.positive,     lambda g, out, x: g)
absolute = elementwise(np.absolute,     lambda g, out, x: g * sign(x))  # 0 at 0, between the slopes -1 and 1
sign = elementwise(np.sign,             lambda g, out, x: 0.0)
square = elementwise(np.square,         lambda g, out, x: g * (2.0 * x))
sqrt = elementwise(np.sqrt,             lambda g, out, x: divide(g, 2.0 * out))
cbrt = elementwise(np.cbrt,             lambda g, out, x: divide(g, 3.0 * out * out))
reciprocal = elementwise(np.reciprocal, lambda g, out, x: -g * out * out)
exp = elementwise(np.exp,               lambda g, out, x: g * out)
exp2 = elementwise(np.exp2,             lambda g, out, x: g * out * _ln(2))
expm1 = elementwise(np.expm1,           lambda g, out, x: g * (out + 1.0))
log = elementwise(np.log,               lambda g, out, x: divide(g, x))
log2 = elementwise(np.log2,             lambda g, out, x: divide(g, x * _ln(2)))
log10 = elementwise(np.log10,           lambda g, out, x: divide(g, x * _ln(10)))
log1p = elementwise(np.log1p,           lambda g, out, x: divide(g, 1.0 + x))
sin = elementwise(np.sin,               lambda g, out, x: g * cos(x))
cos = elementwise(np.cos,               lambda g, out, x: -g * sin(x))
tan = elementwise(np.tan,               lambda g, out, x: g * (1.0 + out * out))
arcsin = elementwise(np.arcsin,         lambda g, out, x: divide(g, sqrt(1.0 - x * x)))
arccos = elementwise(np.arccos,         lambda g, out, x: -divide(g, sqrt(1.0 - x * x)))
arctan = elementwise(np.arctan,         lambda g, out, x: divide(g, 1.0 + x * x))
sinh = elementwise(np.sinh,             lambda g, out, x: g * cosh(x))
cosh = elementwise(np.cosh,             lambda g, out, x: g * sinh(x))
tanh = elementwise(np.tanh,             lambda g, out, x: g * (1.0 - out * out))
arcsinh = elementwise(np.arcsinh,       lambda g, out, x: divide(g, sqrt(x * x + 1.0)))
arccosh = elementwise(np.arccosh,       lambda g, out, x: divide(g, sqrt(x * x - 1.0)))
arctanh = elementwise(np.arctanh,       lambda g, out, x: divide(g, 1.0 - x * x))
# fmt: on


@operation(lambda g, out, x: g * out * (1.0 - out))
def sigmoid(x: Number) -> Number:
    """1 / (1 + exp(-x)), elementwise, computed from exp(-|x|), which cannot overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


# The kink: at 0 the slope is 0 on the left and 1 on the right. Any number between would do for descent; 0 is the custom.
@operation(lambda g, out, x: where(x <= 0, 0.0, g))
def relu(x: Number) -> Number:
    """The larger of x and 0, elementwise."""
    if isinstance(x, float):
        return 0.0 if x <= 0 else x  # written so that nan stays nan
    return np.maximum(x, 0.0)


# ── Choosing: the gradient goes to whom the result was taken from ────────────────────────────────────────────────────


# The gradient is selected, not multiplied by a mask: 0 * inf would be nan in the branch that was not taken.
@operation(
    None,
    lambda g, out, condition, x, y: where(condition, g, 0.0),
    lambda g, out, condition, x, y: where(condition, 0.0, g),
)
def where(condition: Any, x: Number, y: Number) -> Number:
    """x where the condition holds, else y, elementwise with broadcasting."""
    if isinstance(condition, bool) and isinstance(x, float) and isinstance(y, float):
        return x if condition else y
    return np.where(condition, x, y)


# At a tie each operand gets half: moving either alone raises the result on one side only.
@operation(
    lambda g, out, x, y: where(x == y, 0.5 * g, where(x < y, 0.0, g)),
    lambda g, out, x, y: where(x == y, 0.5 * g, where(y < x, 0.0, g)),
)
def maximum(x: Number, y: Number) -> Number:
    """The larger of x and y, elementwise with broadcasting."""
    return np.maximum(x, y)


@operation(
    lambda g, out, x, y: where(x == y, 0.5 * g, where(x > y, 0.0, g)),
    lambda g, out, x, y: where(x == y, 0.5 * g, where(y > x, 0.0, g)),
)
def minimum(x: Number, y: Number) -> Number:
    """The smaller of x and y, elementwise with broadcasting."""
    return np.minimum(x, y)


@operation(lambda g, out, x, low, high: where(_within(x, low, high), g, 0.0))
def clip(x: Number, min: Any = None, max: Any = None) -> Number:
    """x, but no less than `min` and no more than `max`, elementwise; either may be None, or an array."""
    return np.clip(x, min, max)


def _within(x: Number, low: Any, high: Any) -> Any:
    """Where clipping left x alone; the bounds belong to it, so there the derivative is 1."""
    return (x >= (-np.inf if low is None else low)) & (x <= (np.inf if high is None else high))


# ── Reductions: along `axis` (one, several, negative ones, or None for all), `keepdims` as in NumPy ──────────────────


def _spread(g: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    """What belongs to a reduction's result, back in the shape of what was reduced: each element gets its group's."""
    shape = _shape(x)
    if axis is not None and shape and not keepdims:
        reduced = normalize_axis_tuple(axis, len(shape))
        g = reshape(g, tuple(1 if i in reduced else n for i, n in enumerate(shape)))
    return broadcast_to(g, shape) if shape else g


@operation(lambda g, out, x, axis, keepdims: _spread(g, x, axis, keepdims))
def sum(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
    """The sum."""
    return np.sum(x, axis=axis, keepdims=keepdims)


@operation(lambda g, out, x, axis, keepdims: _spread(divide(g, _count(out, x)), x, axis, keepdims))
def mean(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
    """The arithmetic mean."""
    return np.mean(x, axis=axis, keepdims=keepdims)


def _count(out: Number, x: Number) -> float:
    """How many elements of x went into each one of the result."""
    return float(np.prod(_shape(x)) // (np.prod(_shape(out)) or 1))


def _among_extremes(g: Number, out: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    """A maximum's or minimum's gradient: elements that tie for it share it equally, since each could give way alone."""
    ties = x == _spread(out, x, axis, keepdims)
    shared = divide(g, np.maximum(np.sum(ties, axis=axis, keepdims=keepdims), 1.0))
    return where(ties, _spread(shared, x, axis, keepdims), 0.0)


@operation(_among_extremes)
def max(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
    """The largest element."""
    return np.max(x, axis=axis, keepdims=keepdims)


@operation(_among_extremes)
def min(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
    """The smallest element."""
    return np.min(x, axis=axis, keepdims=keepdims)


# The three below subtract the largest element first, which changes nothing but keeps exp from overflowing.


def _shifted(x: Number, axis: Axis) -> tuple[Any, Any]:
    """x minus its largest element along `axis`, and that element (0 if it is infinite: inf - inf would be nan)."""
    largest = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, np.zeros_like(largest))
    return x - largest, largest


@operation(lambda g, out, x, axis, keepdims: _spread(g, x, axis, keepdims) * exp(x - _spread(out, x, axis, keepdims)))
def logsumexp(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
    """log(sum(exp(x))), finite wherever x is."""
    shifted, largest = _shifted(x, axis)
    out = np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)) + largest
    return out if keepdims else np.squeeze(out, axis)


# Each output depends on every input: d out_i / d x_j = out_i * ((i == j) - out_j). The rule is this Jacobian's product
# with g, multiplied out by hand: two passes over n elements in place of a matrix of n * n.
@operation(lambda g, out, x, axis: out * (g - sum(g * out, axis=axis, keepdims=True)))
def softmax(x: Number, axis: Axis = -1) -> Number:
    """exp(x) / sum(exp(x)): positive, and 1 in sum along `axis`."""
    powers = np.exp(_shifted(x, axis)[0])
    return powers / np.sum(powers, axis=axis, keepdims=True)


@operation(lambda g, out, x, axis: g - exp(out) * sum(g, axis=axis, keepdims=True))
def log_softmax(x: Number, axis: Axis = -1) -> Number:
    """log(softmax(x)), finite wherever x is."""
    shifted = _shifted(x, axis)[0]
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def var(x: Number, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Number:
    """The mean squared distance from the mean; `ddof=1` divides by n - 1 instead of n."""
    squares = square(x - mean(x, axis=axis, keepdims=True))
    total = sum(squares, axis=axis, keepdims=keepdims)
    return divide(total, float(np.maximum(_count(total, squares) - ddof, 0)))


# ── Matrix product ───────────────────────────────────────────────────────────────────────────────────────────────────


def _swapped(x: Number) -> Number:
    """Every matrix in a stack transposed."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


# Where the transposes come from: out_ij = sum_k x_ik y_kj, so x_ik reaches all of row i, each out_ij with the factor
# y_kj. Its gradient sums those up: sum_j g_ij y_kj, a product of g and y with y's indices turned round. Shapes tell
# the same: (n, m) for g, (k, m) for y, and only g @ yᵀ has x's (n, k). A vector is a matrix with one row, or column.
def _matmul_x(g: Number, out: Number, x: Number, y: Number) -> Number:
    if y.ndim == 1:
        return reshape(g, (*_shape(g), 1)) * y  # each row of x met the one column y
    if x.ndim == 1:
        g = reshape(g, (*_shape(g)[:-1], 1, y.shape[-1]))
    return g @ _swapped(y)


def _matmul_y(g: Number, out: Number, x: Number, y: Number) -> Number:
    if x.ndim == 1 and y.ndim == 1:
        return g * x
    if x.ndim == 1:
        return reshape(x, (-1, 1)) * reshape(g, (*_shape(g)[:-1], 1, y.shape[-1]))
    if y.ndim == 1:
        return getitem(_swapped(x) @ reshape(g, (*_shape(g), 1)), (..., 0))
    return _swapped(x) @ g


@operation(_matmul_x, _matmul_y)
def matmul(x: Number, y: Number) -> Number:
    """x @ y of vectors, matrices, or stacks of matrices with broadcasting, by the rules of `numpy.matmul`."""
    return np.matmul(x, y)


# ── Shape and place: nothing is computed, so the gradient only has to find its way back ──────────────────────────────


@operation(lambda g, out, x, shape: reshape(g, _shape(x)))
def reshape(x: Number, shape: int | tuple[int, ...]) -> Number:
    """The same elements in another shape; one length may be -1."""
    return np.reshape(x, shape)


@operation(lambda g, out, x, axes: transpose(g, axes and tuple(np.argsort([axis % len(axes) for axis in axes]))))
def transpose(x: Number, axes: tuple[int, ...] | None = None) -> Number:
    """The axes in another order, or in reverse."""
    return np.transpose(x, axes)


@operation(lambda g, out, x, shape: g)
def broadcast_to(x: Number, shape: int | tuple[int, ...]) -> Number:
    """x repeated to a larger shape, without a copy."""
    return np.broadcast_to(x, shape)


@operation(lambda g, out, x, dtype: g)
def astype(x: Number, dtype: Any) -> Number:
    """x in float32 or float64; a number stays the number it is."""
    return x if isinstance(x, float) else x.astype(dtype, copy=False)


# A place that was picked twice was used twice, so both gradients add up there; what was not picked gets 0.
@operation(lambda g, out, x, index: scatter(g, index, _shape(x)))
def getitem(x: Number, index: Any) -> Number:
    """x[index]: integers, slices, None, `...`, boolean and integer arrays."""
    return np.asarray(x)[index]


@operation(lambda g, out, x, index, shape: getitem(g, index))
def scatter(x: Number, index: Any, shape: tuple[int, ...]) -> Number:
    """Zeros of the given shape with x added at the index: indexing, the other way round."""
    zeros = np.zeros(shape, getattr(x, "dtype", np.float64))
    parts = index if isinstance(index, tuple) else (index,)
    if all(isinstance(part, int | slice | None | type(...)) for part in parts):
        zeros[index] = x  # no place can be picked twice
    else:
        np.add.at(zeros, index, x)
    return zeros


def _pieces(g: Number, out: Number, *arrays: Number, axis: int) -> list[Number]:
    ends = np.cumsum([_shape(array)[axis] for array in arrays])
    before = (slice(None),) * (axis % len(_shape(out)))
    return [getitem(g, (*before, slice(end - _shape(array)[axis], end))) for array, end in zip(arrays, ends, strict=True)]


@operation(jointly=_pieces, name="concatenate")
def _concatenate(*arrays: Number, axis: int) -> Number:
    return np.concatenate(arrays, axis)


def concatenate(arrays: Sequence[Number], axis: int | None = 0) -> Number:
    """The arrays joined along an axis that they have; with None, flattened first."""
    if axis is None:
        return _concatenate(*(reshape(array, -1) for array in arrays), axis=0)
    return _concatenate(*arrays, axis=axis)


def _layers(g: Number, out: Number, *arrays: Number, axis: int) -> list[Number]:
    before = (slice(None),) * (axis % len(_shape(out)))
    return [getitem(g, (*before, i)) for i in range(len(arrays))]


@operation(jointly=_layers, name="stack")
def _stack(*arrays: Number, axis: int) -> Number:
    return np.stack(arrays, axis)


def stack(arrays: Sequence[Number], axis: int = 0) -> Number:
    """The arrays, all of one shape, joined along a new axis: numbers become a vector."""
    return _stack(*arrays, axis=axis)


def squeeze(x: Number, axis: Axis = None) -> Number:
    """x without its axes of length 1, or without those that `axis` names."""
    return reshape(x, np.squeeze(np.broadcast_to(0.0, _shape(x)), axis).shape)


def expand_dims(x: Number, axis: int | tuple[int, ...]) -> Number:
    """x with new axes of length 1."""
    return reshape(x, np.expand_dims(np.broadcast_to(0.0, _shape(x)), axis).shape)


def ravel(x: Number) -> Number:
    """x in one axis."""
    return reshape(x, -1)


# NumPy's functions of these names work on Values too, like those that `operation` has entered itself.
NUMPY.update({getattr(np, f.__name__): f for f in (concatenate, stack, squeeze, expand_dims, ravel, var)})
NUMPY.update({np.amax: max, np.amin: min})
