"""Every operation: what it computes and, beside it, its derivative rule. Read this file second, as a table.

In a rule, `g` is the upstream gradient (d output / d result), `out` the result, and `x`, `y` are the operands. There is
one rule for each operand, and it returns d output / d operand, the upstream gradient times the local derivative: that
of sin is g * cos(x). All may be numbers, arrays or Values, so rules are written with operators and operations.

Rules leave to the engine (`fit` in backprop.py) summing the gradient of an operand that was broadcast, its dtype, and
repeating a number that holds for all elements. Where there is a choice of slopes they give what PyTorch gives, and say so.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from math import exp as _exp
from math import hypot
from math import log as _ln
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgd.arrays import as_data, check_dtype, check_flag
from microgd.backprop import NUMPY, Node
from microgd.registry import operation

Number: TypeAlias = Any  # a float, an array or a Value: operations take and give all three
Axis: TypeAlias = int | tuple[int, ...] | None


def _shape(x: Number) -> tuple[int, ...]:
    return () if isinstance(x, float) else tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


# ── Elementwise, with broadcasting ───────────────────────────────────────────────────────────────────────────────────
def elementwise(function: np.ufunc, *rules: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that is a function of NumPy's, which treats numbers as it treats arrays."""
    return operation(*rules)(function)


def _tanh_x(g: Number, out: Number, x: Number) -> Number:
    """g * (1 - out²), as sech(x)²: the difference would be 0 as soon as out rounds to 1."""
    return _times_square(g, _sech(x))


def _times_square(g: Number, factor: Number) -> Number:
    """g * factor², in two steps: the square alone could be too small to be told from 0."""
    return g * factor * factor


def _arctan_x(g: Number, out: Number, x: Number) -> Number:
    """g / (1 + x²), in two steps: the square would overflow."""
    root = _hypotenuse(x)
    return divide(divide(g, root), root)


# fmt: off
# The first four are Python's operators: on arrays these are NumPy's functions, and on floats they are faster.
add        = operation(lambda g, out, x, y: g,     lambda g, out, x, y: g,     name="add")(operator.add)
subtract   = operation(lambda g, out, x, y: g,     lambda g, out, x, y: -g,    name="subtract")(operator.sub)
multiply   = operation(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x, name="multiply")(operator.mul)
negative   = operation(lambda g, out, x: -g,                                   name="negative")(operator.neg)
positive   = elementwise(np.positive,    lambda g, out, x: g)
square     = elementwise(np.square,      lambda g, out, x: 2.0 * (g * x))
sqrt       = elementwise(np.sqrt,        lambda g, out, x: divide(g, 2.0 * out))
exp        = elementwise(np.exp,         lambda g, out, x: g * out)
exp2       = elementwise(np.exp2,        lambda g, out, x: g * out * _ln(2))
expm1      = elementwise(np.expm1,       lambda g, out, x: g * exp(x))
log        = elementwise(np.log,         lambda g, out, x: divide(g, x))
log2       = elementwise(np.log2,        lambda g, out, x: divide(g / _ln(2), x))
log10      = elementwise(np.log10,       lambda g, out, x: divide(g / _ln(10), x))
log1p      = elementwise(np.log1p,       lambda g, out, x: divide(g, 1.0 + x))
logaddexp  = elementwise(np.logaddexp,   lambda g, out, x, y: g * sigmoid(x - y), lambda g, out, x, y: g * sigmoid(y - x))
sin        = elementwise(np.sin,         lambda g, out, x: g * cos(x))
cos        = elementwise(np.cos,         lambda g, out, x: -g * sin(x))
tan        = elementwise(np.tan,         lambda g, out, x: g * (1.0 + out * out))
arcsin     = elementwise(np.arcsin,      lambda g, out, x: divide(g, sqrt(_one_minus_square(x))))
arccos     = elementwise(np.arccos,      lambda g, out, x: -divide(g, sqrt(_one_minus_square(x))))
arctan     = elementwise(np.arctan,      _arctan_x)
sinh       = elementwise(np.sinh,        lambda g, out, x: g * cosh(x))
cosh       = elementwise(np.cosh,        lambda g, out, x: g * sinh(x))
tanh       = elementwise(np.tanh,        _tanh_x)
arcsinh    = elementwise(np.arcsinh,     lambda g, out, x: divide(g, _hypotenuse(x)))
arccosh    = elementwise(np.arccosh,     lambda g, out, x: divide(divide(g, sqrt(x - 1.0)), sqrt(x + 1.0)))
arctanh    = elementwise(np.arctanh,     lambda g, out, x: divide(g, _one_minus_square(x)))
sign       = elementwise(np.sign,        lambda g, out, x: 0.0)
# The kink of abs: on the left of 0 the slope is -1, on the right 1; at 0 the rule says 0, between them.
absolute   = elementwise(np.absolute,    lambda g, out, x: g * sign(x))
# At a tie each operand gets half: its slopes on the two sides are 0 and 1, and this is their mean.
maximum    = elementwise(np.maximum,     lambda g, out, x, y: where(x == y, 0.5 * g, where(x < y, 0.0, g)),
                                        lambda g, out, x, y: where(x == y, 0.5 * g, where(y < x, 0.0, g)))
minimum    = elementwise(np.minimum,     lambda g, out, x, y: where(x == y, 0.5 * g, where(x > y, 0.0, g)),
                                        lambda g, out, x, y: where(x == y, 0.5 * g, where(y > x, 0.0, g)))
# fmt: on


def _divide_y(g: Number, out: Number, x: Number, y: Number) -> Number:
    """-g * out / y, in an order in which no step is out of range unless the result is."""
    if _is_moderate(g) and _is_moderate(out):
        return -divide(g * out, y)
    # A large g first meets the smaller one of out and 1 / y, a small g the larger one. As out is
    # x * (1 / y), out is the smaller one where |x| < 1.
    out_first = (abs(g) >= 1.0) == (abs(x) < 1.0)
    before = where(out_first, out, 1.0)
    after = where(out_first, 1.0, out)
    return -(divide(g * before, y) * after)


def _is_moderate(x: Number) -> bool:
    """Whether no number is so large, or so small, that the product of two such is out of range."""
    numbers = x._numbers if isinstance(x, Node) else x
    if isinstance(numbers, float):
        return numbers == 0 or 1e-145 <= abs(numbers) <= 1e145
    size = np.abs(numbers)
    most = 1e15 if size.dtype == np.float32 else 1e145
    return bool(np.all(((size >= 1 / most) | (size == 0)) & (size <= most)))


@operation(lambda g, out, x, y: divide(g, y), _divide_y)
def divide(x: Number, y: Number) -> Number:
    """x / y; by zero it is infinite or nan, as IEEE 754 has it, for numbers as for arrays."""
    try:
        return x / y
    except ZeroDivisionError:  # only Python's floats raise
        return np.divide(x, y)


def _exp_minus_abs(x: Number) -> Number:
    """exp(-|x|), which cannot overflow."""
    if isinstance(x, float):
        return _exp(-abs(x))
    small = np.abs(x)
    np.negative(small, out=small)
    return np.exp(small, out=small)


# The next four stand in rules further up. Written out there, 1 - tanh(x)² would be 0 as soon as
# tanh(x) rounds to 1, 1 - x² would lose its digits near x = 1, and in sqrt(1 + x²) the square would
# overflow. Each has a rule of its own, so that second derivatives keep their digits, too.
@operation(lambda g, out, x: -g * tanh(x) * out, name="_sech")
def _sech(x: Number) -> Number:
    """1 / cosh(x), elementwise. Its square is the slope of tanh."""
    out = _exp_minus_abs(x)
    below = out * out
    below += 1.0
    out *= 2.0  # in place: in new arrays, all of this would take twice as long
    out /= below
    return out


@operation(lambda g, out, x: -0.5 * g * tanh(0.5 * x) * out, name="_half_sech")
def _half_sech(x: Number) -> Number:
    """sech(x / 2) / 2, elementwise. Its square is the slope of sigmoid."""
    return 0.5 * _sech(0.5 * x)


@operation(lambda g, out, x: -2.0 * (g * x), name="_one_minus_square")
def _one_minus_square(x: Number) -> Number:
    """1 - x², as a product: 1 - x and 1 + x are exact where they are small."""
    return (1.0 - x) * (1.0 + x)


@operation(lambda g, out, x: g * divide(x, out), name="_hypotenuse")
def _hypotenuse(x: Number) -> Number:
    """sqrt(1 + x²), also where x² would overflow: there it is |x|."""
    if isinstance(x, float):
        return hypot(x, 1.0)
    size = np.abs(x)
    inside = np.minimum(size, 1e9)  # from here on 1 is less than the rounding of x²
    return np.maximum(np.sqrt(1.0 + inside * inside), size)


# x**0 is 1 everywhere, so its derivative is 0. With the exponent y - 1 it would be 0 * inf, nan, at x = 0, so where y is 0
# the exponent stays y (if y is a Value, only at x = 0: elsewhere y * x**(y - 1) has a derivative by y itself). For the
# exponent, 0**y is 0 for all y > 0, and so is its derivative, not 0 * log(0); at 0**0 it is 0 by convention.
@operation(
    lambda g, out, x, y: g * (y * power(x, y - ((y != 0) | ((x != 0) & isinstance(y, Node))))),
    lambda g, out, x, y: g * out * log(where((x == 0) & (y >= 0), 1.0, x)),
)
def power(x: Number, y: Number) -> Number:
    """x ** y; nan where it would be complex, infinite where it is too large, for numbers as for arrays."""
    try:
        out = x**y
    except (ZeroDivisionError, OverflowError):  # Python's floats raise here, and turn complex below
        return np.power(x, y)
    return np.power(x, y) if isinstance(out, complex) else out


# out * (1 - out), as sech(x / 2)² / 4: the difference would be 0 as soon as out rounds to 1.
@operation(lambda g, out, x: _times_square(g, _half_sech(x)))
def sigmoid(x: Number) -> Number:
    """1 / (1 + exp(-x)), elementwise, computed from exp(-|x|), which cannot overflow."""
    small = _exp_minus_abs(x)
    out = where(x >= 0, 1.0, small)
    small += 1.0
    out /= small
    return out


# The kink: at 0 the slope is 0 on the left and 1 on the right. Any number between would do for descent; 0 is the custom.
@operation(lambda g, out, x: where(x <= 0, 0.0, g))
def relu(x: Number) -> Number:
    """The larger of x and 0, elementwise."""
    if isinstance(x, float):
        return 0.0 if x <= 0 else x  # written so that nan stays nan
    return np.maximum(x, 0.0)


# The gradient is selected, not multiplied by a mask: 0 * inf would be nan in the branch that was not taken.
@operation(None, lambda g, out, c, x, y: where(c, g, 0.0), lambda g, out, c, x, y: where(c, 0.0, g))
def where(condition: Any, x: Number, y: Number) -> Number:
    """x where the condition holds, else y, elementwise with broadcasting."""
    if isinstance(condition, bool) and isinstance(x, float) and isinstance(y, float):
        return x if condition else y
    return np.where(condition, x, y)


# Where clipping left x as it was, the derivative is 1; so it is at the bounds, to let descent leave them again. (If the lower
# one is above the upper one, all results are the upper one, and x may happen to be.)
@operation(
    lambda g, out, x, min, max: where(
        (x == out) & (True if min is None else x >= as_data(min)), g, 0.0
    )
)
def clip(x: Number, min: Any = None, max: Any = None) -> Number:
    """x, but no less than `min` and no more than `max`, elementwise; either may be None, or an array."""
    low, high = (bound if bound is None else as_data(bound, as_data(x)) for bound in (min, max))
    return np.clip(x, low, high)


# ── Reductions: along `axis` (one, several, negative ones, or None for all), `keepdims` as in NumPy ──────────────────
def _spread(g: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    """A reduction's result, or its gradient, in the shape of x: each element gets its group's."""
    shape = _shape(x)
    if axis is not None and shape and not keepdims:
        reduced = normalize_axis_tuple(axis, len(shape))
        g = reshape(g, tuple(1 if i in reduced else n for i, n in enumerate(shape)))
    return broadcast_to(g, shape) if shape else g


def _count(x: Number, out: Number) -> float:
    """How many elements of x went into each one of the result."""
    return float(np.prod(_shape(x)) // (np.prod(_shape(out)) or 1))


def _to_ties(g: Number, out: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    """The gradient of a maximum or minimum: the elements that tie for it share it equally."""
    ties = (x == _spread(out, x, axis, keepdims)) | (
        x != x
    )  # a nan, unequal to itself, is the result where there is one
    share = divide(g, np.maximum(np.sum(ties, axis=axis, keepdims=keepdims), 1.0))
    return where(ties, _spread(share, x, axis, keepdims), 0.0)


def reduction(function: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that is NumPy's reduction of that name."""

    def reduce(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
        check_flag("keepdims", keepdims)
        return function(x, axis=axis, keepdims=keepdims)

    reduce.__name__ = reduce.__qualname__ = function.__name__
    reduce.__doc__ = f"Along `axis`, as `numpy.{function.__name__}`."
    return operation(rule)(reduce)


sum = reduction(np.sum, lambda g, out, x, axis, keepdims: _spread(g, x, axis, keepdims))
mean = reduction(
    np.mean, lambda g, out, x, axis, keepdims: _spread(divide(g, _count(x, out)), x, axis, keepdims)
)
max, min = (
    reduction(np.max, _to_ties),
    reduction(np.min, _to_ties),
)  # from here on not Python's own, and nor is sum


def var(x: Number, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Number:
    """The mean squared distance from the mean; `ddof=1` divides by n - 1 instead of n."""
    squares = square(x - mean(x, axis=axis, keepdims=True))
    total = sum(squares, axis=axis, keepdims=keepdims)
    return divide(total, float(np.maximum(_count(squares, total) - ddof, 0)))


def _shifted(x: Number, axis: Axis) -> Any:
    """x minus its largest element along `axis`: softmax is the same for it, and exp cannot overflow."""
    return x - np.max(as_data(x), axis=axis, keepdims=True, initial=-np.inf)


@operation(
    lambda g, out, x, axis, keepdims: (
        _spread(g, x, axis, keepdims) * exp(x - _spread(out, x, axis, keepdims))
    )
)
def logsumexp(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
    """log(sum(exp(x))), finite wherever x is."""
    check_flag("keepdims", keepdims)
    largest = np.max(
        as_data(x), axis=axis, keepdims=True, initial=-np.inf
    )  # of nothing, the logarithm of 0
    largest = np.where(
        np.isinf(largest), 0.0, largest
    )  # an infinite one is not taken off: inf - inf is nan
    out = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=keepdims))
    return out + np.reshape(largest, np.shape(out))


# Each output depends on every input: d out_i / d x_j = out_i * ((i == j) - out_j). The rule is this Jacobian's product
# with g, multiplied out by hand: two passes over n elements in place of a matrix of n * n.
@operation(lambda g, out, x, axis: out * (g - sum(g * out, axis=axis, keepdims=True)))
def softmax(x: Number, axis: Axis = -1) -> Number:
    """exp(x) / sum(exp(x)): positive, and summing to 1 along `axis`."""
    powers = np.exp(_shifted(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True)


# Likewise, with d out_i / d x_j = (i == j) - exp(out_j).
@operation(lambda g, out, x, axis: g - exp(out) * sum(g, axis=axis, keepdims=True))
def log_softmax(x: Number, axis: Axis = -1) -> Number:
    """log(softmax(x)), finite wherever x is."""
    shifted = _shifted(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


# ── Matrix product ───────────────────────────────────────────────────────────────────────────────────────────────────
def _swapped(x: Number) -> Number:
    """Every matrix in a stack transposed."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


# Where the transposes come from: out_ij = sum_k x_ik y_kj, so x_ik reaches all of row i, each out_ij with the factor
# y_kj. Its gradient is sum_j g_ij y_kj, a product of g and y with y's indices turned round, g @ yᵀ. For y_kj it is
# sum_i x_ik g_ij, xᵀ @ g. A vector is a matrix of one row on the left, and of one column on the right.
def _matmul_x(g: Number, out: Number, x: Number, y: Number) -> Number:
    if y.ndim < 2:
        return reshape(g, (*_shape(g), 1)) * y  # each row of x met the one column y
    if x.ndim < 2:
        g = reshape(g, (*_shape(g)[:-1], 1, y.shape[-1]))
    return g @ _swapped(y)


def _matmul_y(g: Number, out: Number, x: Number, y: Number) -> Number:
    if x.ndim < 2 and y.ndim < 2:
        return g * x
    if x.ndim < 2:
        return reshape(x, (*_shape(x), 1)) * reshape(g, (*_shape(g)[:-1], 1, y.shape[-1]))
    if y.ndim < 2:
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


@operation(
    lambda g, out, x, axes: transpose(
        g, axes if axes is None else np.argsort(np.mod(axes, len(axes)))
    )
)
def transpose(x: Number, axes: tuple[int, ...] | None = None) -> Number:
    """The axes in another order, or in reverse. (`argsort`, in the rule, finds the order that undoes an order.)"""
    return np.transpose(x, axes)


@operation(lambda g, out, x, shape: g)
def broadcast_to(x: Number, shape: int | tuple[int, ...]) -> Number:
    """x repeated to a larger shape, without a copy."""
    return np.broadcast_to(x, shape)


@operation(lambda g, out, x, dtype: g)
def astype(x: Number, dtype: Any) -> Number:
    """x in float32 or float64, else `TypeError`; a number stays the number it is."""
    check_dtype(dtype)
    return x if isinstance(x, float) else np.asarray(x).astype(dtype, copy=False)


# A place that was picked twice was used twice, so both gradients add up there; what was not picked gets 0.
@operation(lambda g, out, x, index: scatter(g, index, _shape(x)))
def getitem(x: Number, index: Any) -> Number:
    """x[index]: integers, slices, None, `...`, boolean and integer arrays."""
    return np.asarray(x)[index]


@operation(lambda g, out, x, index, shape: getitem(g, index))
def scatter(x: Number, index: Any, shape: tuple[int, ...]) -> Number:
    """Zeros of the given shape with x added at the index: the transpose of indexing."""
    zeros = np.zeros(shape, getattr(x, "dtype", np.float64))
    parts = index if isinstance(index, tuple) else (index,)
    if all(isinstance(part, (int, slice, type(None), type(...))) for part in parts):
        zeros[index] = x  # no place can be picked twice
    else:
        np.add.at(zeros, index, x)
    return zeros


def _parts(g: Number, axis: int, places: Iterable[Any]) -> list[Number]:
    """What g has at each of these places along the axis."""
    before = (slice(None),) * (axis % len(_shape(g)))
    return [getitem(g, (*before, place)) for place in places]


def _lengthwise(g: Number, out: Number, *arrays: Number, axis: int) -> list[Number]:
    ends = np.cumsum([_shape(array)[axis] for array in arrays])
    return _parts(g, axis, map(slice, (0, *ends), ends))


@operation(jointly=_lengthwise, name="concatenate")
def _concatenate(*arrays: Number, axis: int) -> Number:
    return np.concatenate(arrays, axis)


def concatenate(arrays: Sequence[Number], axis: int | None = 0) -> Number:
    """The arrays joined along an axis that they have; with None, flattened first."""
    return (
        _concatenate(*map(ravel, arrays), axis=0)
        if axis is None
        else _concatenate(*arrays, axis=axis)
    )


@operation(jointly=lambda g, out, *arrays, axis: _parts(g, axis, range(len(arrays))), name="stack")
def _stack(*arrays: Number, axis: int) -> Number:
    return np.stack(arrays, axis)


def stack(arrays: Sequence[Number], axis: int = 0) -> Number:
    """The arrays, all of one shape, joined along a new axis: numbers become a vector."""
    return _stack(*arrays, axis=axis)


def squeeze(x: Number, axis: Axis = None) -> Number:
    """x without its axes of length 1, or without those that `axis` names."""
    return reshape(
        x, np.squeeze(np.broadcast_to(0.0, _shape(x)), axis).shape
    )  # NumPy finds the shape on a dummy


def ravel(x: Number) -> Number:
    """x flattened."""
    return reshape(x, -1)


# NumPy's functions of these names, too, lead here. (np.concatenate and np.stack take a list, as the functions above do.)
NUMPY.update(
    {getattr(np, f.__name__): f for f in (concatenate, stack, squeeze, ravel, var)}
    | {np.amax: max, np.amin: min}
)
