"""The table of operations: what each one computes and, beside it, its derivative rule.

Read this file second, as a table. In a rule, `x` and `y` are the operands, `out` is the result that
was computed from them, and `g` is the upstream gradient: how fast the output of the whole graph
changes when `out` does. (In the first file that output was called y.) There is one rule for each
operand. It returns what this operation contributes to the operand's gradient: the upstream gradient
times the local derivative. The derivative of sin is cos, so its rule is g * cos(x).

A rule gets numbers and arrays. For a second derivative it gets Values instead: then the gradient
that it computes is recorded, and can be differentiated again. So no operation needs a second rule.
But whatever depends on `g`, `out` and the operands must be written with operators and operations,
which work on numbers, arrays and Values.

Rules leave three things to the engine (`unbroadcast` in backprop.py). They may return a gradient
in the shape of the result: if the operand was broadcast, the engine sums it to the operand's shape.
They may return one number, if it is the same for all elements. And they may ignore the dtype.

A function has no derivative at a kink, such as relu at 0. There a rule has to choose a slope. The
rules here choose the same as PyTorch: see `absolute`, `maximum`, `relu`, `clip`, `max` and `power`.

How do we know that a rule is right? A derivative is the limit of a difference quotient. So
`check_gradients` (gradcheck.py) compares each gradient with (f(x + h) - f(x - h)) / 2h for a small
h, and each second derivative with the same quotient of gradients. The tests do this for every
operation in this file, over many shapes.

To add an operation of your own, do as this file does. From then on it can be differentiated twice,
drawn by `microgd.draw`, and checked by `check_gradients`:

    import numpy as np
    from microgd import operation, operations

    @operation(lambda g, out, x: g * operations.cos(x) + g)
    def sine_plus_x(x):
        return np.sin(x) + x

A function that is made of operations, such as `var` below, needs no rule.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from math import copysign
from math import log as _ln
from types import EllipsisType
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import NDArray

from microgd.arrays import as_array, as_data, check_dtype, check_flag, of_floats
from microgd.backprop import Node
from microgd.registry import NUMPY, operation

# fmt: off
__all__ = [
    "absolute",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "astype",
    "broadcast_to",
    "clip",
    "concatenate",
    "cos",
    "cosh",
    "divide",
    "exp",
    "exp2",
    "expm1",
    "getitem",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "multiply",
    "negative",
    "positive",
    "power",
    "ravel",
    "relu",
    "reshape",
    "scatter",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "tan",
    "tanh",
    "transpose",
    "var",
    "where",
]
# fmt: on

Operand = Any  # a number, an array or a Value
Axis = int | tuple[int, ...] | None


def shape_of(x: Operand) -> tuple[int, ...]:
    if isinstance(x, float):
        return ()
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


_BOOL = np.dtype(np.bool)
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_UNSIGNED: dict[Any, Any] = {  # integers of the same width
    _FLOAT32: np.dtype(np.uint32),
    _FLOAT64: np.dtype(np.uint64),
}
_FEW = 512  # for fewer elements, np.where is as fast as `_masked`


# ── Elementwise, with broadcasting ───────────────────────────────────────────────────────────────
def elementwise(
    function: Callable[..., Any], *rules: Callable[..., Any], name: str | None = None
) -> Callable[..., Any]:
    """Like `operation`, but with the function first and then its rules, for the table below.

    `operation` (registry.py) makes an Operation of them, and returns a function that does it.
    """
    return operation(*rules, name=name)(function)


# Rules call divide(g, x), because g / x raises an error where x is the float 0.0. Functions such as
# _sech keep all digits, and are at the end of this file: the slope of tanh is 1 - tanh(x)², which
# is the square of sech(x). The first four operations are Python's operators, which are faster for
# floats than NumPy's functions; `name` says what NumPy calls them, where Python differs.
# fmt: off
add       = elementwise(operator.add,  lambda g, out, x, y: g,
                                       lambda g, out, x, y: g)
subtract  = elementwise(operator.sub,  lambda g, out, x, y: g,
                                       lambda g, out, x, y: -g,     name="subtract")
multiply  = elementwise(operator.mul,  lambda g, out, x, y: g * y,
                                       lambda g, out, x, y: g * x,  name="multiply")
negative  = elementwise(operator.neg,  lambda g, out, x: -g,        name="negative")
positive  = elementwise(np.positive,   lambda g, out, x: g)
square    = elementwise(np.square,     lambda g, out, x: 2.0 * (g * x))
sqrt      = elementwise(np.sqrt,       lambda g, out, x: divide(g, 2.0 * out))
exp       = elementwise(np.exp,        lambda g, out, x: g * out)
exp2      = elementwise(np.exp2,       lambda g, out, x: g * out * _ln(2))
expm1     = elementwise(np.expm1,      lambda g, out, x: g * exp(x))
log       = elementwise(np.log,        lambda g, out, x: divide(g, x))
log2      = elementwise(np.log2,       lambda g, out, x: divide(g / _ln(2), x))
log10     = elementwise(np.log10,      lambda g, out, x: divide(g / _ln(10), x))
log1p     = elementwise(np.log1p,      lambda g, out, x: divide(g, 1.0 + x))
logaddexp = elementwise(np.logaddexp,  lambda g, out, x, y: g * sigmoid(x - y),
                                       lambda g, out, x, y: g * sigmoid(y - x))
sin       = elementwise(np.sin,        lambda g, out, x: g * cos(x))
cos       = elementwise(np.cos,        lambda g, out, x: -g * sin(x))
tan       = elementwise(np.tan,        lambda g, out, x: g * (1.0 + out * out))
arcsin    = elementwise(np.arcsin,     lambda g, out, x: divide(g, sqrt(_one_minus_square(x))))
arccos    = elementwise(np.arccos,     lambda g, out, x: -divide(g, sqrt(_one_minus_square(x))))
arctan    = elementwise(np.arctan,     lambda g, out, x: _over_square(g, _hypotenuse(x)))
sinh      = elementwise(np.sinh,       lambda g, out, x: g * cosh(x))
cosh      = elementwise(np.cosh,       lambda g, out, x: g * sinh(x))
tanh      = elementwise(np.tanh,       lambda g, out, x: _times_square(g, _sech(x)))
arcsinh   = elementwise(np.arcsinh,    lambda g, out, x: divide(g, _hypotenuse(x)))
arccosh   = elementwise(np.arccosh,    lambda g, out, x: _over_both(g, sqrt(x - 1), sqrt(x + 1)))
arctanh   = elementwise(np.arctanh,    lambda g, out, x: divide(g, _one_minus_square(x)))
sign      = elementwise(np.sign,       lambda g, out, x: 0.0)
# abs has a kink at 0: the slope is -1 on the left and 1 on the right. At 0 it is taken to be 0, as
# in PyTorch.
absolute  = elementwise(np.absolute,   lambda g, out, x: g * sign(x))
maximum   = elementwise(np.maximum,    lambda g, out, x, y: _where_larger(g, x, y),
                                       lambda g, out, x, y: _where_larger(g, y, x))
minimum   = elementwise(np.minimum,    lambda g, out, x, y: _where_larger(g, y, x),
                                       lambda g, out, x, y: _where_larger(g, x, y))
# fmt: on


def _where_larger(g: Operand, x: Operand, y: Operand) -> Operand:
    """g where x is larger than y, and 0 where it is smaller; half of g where they are equal.

    At such a tie the slope is 0 on one side and 1 on the other. One half is their mean, and what
    PyTorch takes.
    """
    return where(x == y, 0.5 * g, where(x < y, 0.0, g))


def _divide_y(g: Operand, out: Operand, x: Operand, y: Operand) -> Operand:
    """g times the derivative of x / y with respect to y, which is -x / y² = -out / y.

    The product g * out / y may be in range when g * out, or g / y, is not. So for very large and
    very small numbers the order matters.
    """
    if _is_moderate(g) and _is_moderate(out):
        return -divide(g * out, y)
    # A large g is multiplied by the smaller of the two factors first, and a small g by the larger.
    # The factors are out and 1 / y. Since out = x * (1 / y), out is the smaller one where |x| < 1.
    is_large = abs(g) >= 1.0
    is_out_smaller = abs(x) < 1.0
    by_out_first = is_large == is_out_smaller  # both, or neither
    before = where(by_out_first, out, 1.0)
    after = where(by_out_first, 1.0, out)
    return -(divide(g * before, y) * after)


def _is_moderate(x: Operand) -> bool:
    """Whether the product of any two such numbers is in the range of their dtype.

    That range is 1e-38 to 1e38 for float32, and 1e-308 to 1e308 for float64.
    """
    numbers = x._numbers if isinstance(x, Node) else x
    if isinstance(numbers, float):
        return numbers == 0 or 1e-145 <= abs(numbers) <= 1e145
    size = np.abs(numbers)
    most = 1e15 if size.dtype == np.float32 else 1e145
    is_small = (size < 1 / most) & (size != 0)
    return bool(np.all(~is_small & (size <= most)))


@operation(lambda g, out, x, y: divide(g, y), _divide_y)
def divide(x: Operand, y: Operand) -> Operand:
    """x / y; infinite or nan where y is 0 (IEEE 754), for numbers as for arrays."""
    try:
        return x / y
    except ZeroDivisionError:  # only Python's floats raise
        return np.divide(x, y)


def _power_x(g: Operand, out: Operand, x: Operand, y: Operand) -> Operand:
    """g * y * x**(y - 1).

    x**0 is 1 everywhere, so its derivative is 0. But at x = 0 the formula says 0 * 0**-1, which is
    nan. So where y is 0, the exponent stays 0. (In a second derivative y may be a Value. Then it
    stays 0 only where x is 0, too: elsewhere the formula has a derivative with respect to y.)
    """
    is_lowered = y != 0
    if isinstance(y, Node):
        is_lowered = is_lowered | (x != 0)
    return g * (y * power(x, y - is_lowered))  # True counts as 1


def _power_y(g: Operand, out: Operand, x: Operand, y: Operand) -> Operand:
    """g * x**y * log(x). As 0**y is 0 for all y > 0, its derivative is 0, not 0 * log(0).

    At 0**0 it is 0, as in PyTorch.
    """
    return g * out * log(where((x == 0) & (y >= 0), 1.0, x))


@operation(_power_x, _power_y)
def power(x: Operand, y: Operand) -> Operand:
    """x ** y; nan where it would be complex, and infinite where it is too large."""
    try:
        out = x**y
    except (ZeroDivisionError, OverflowError):  # Python's floats raise; NumPy's give inf
        return np.power(x, y)
    return np.power(x, y) if isinstance(out, complex) else out


# The slope is out * (1 - out). The rule uses an equal form, (sech(x / 2) / 2)²: in the first one,
# 1 - out would become 0 as soon as out rounds to 1.
@operation(lambda g, out, x: _times_square(g, _half_sech(x)))
def sigmoid(x: Operand) -> Operand:
    """1 / (1 + exp(-x)), elementwise, computed from exp(-|x|), which cannot overflow."""
    small = _exp_minus_abs(x)
    out = where(x >= 0, 1.0, small)
    small += 1.0  # now it is the denominator; in place, since a new array would take longer
    out /= small
    return out


# relu has a kink at 0: the slope is 0 on the left and 1 on the right. Gradient descent would work
# with any number between them. The convention is 0, and PyTorch follows it.
@operation(lambda g, out, x: where(x <= 0, 0.0, g))
def relu(x: Operand) -> Operand:
    """The larger of x and 0, elementwise."""
    if isinstance(x, float):
        return where(x <= 0, 0.0, x)  # in this order nan stays nan
    return np.maximum(x, 0.0)


# A condition has no derivative, so its rule is None. The gradient is selected, not multiplied by 0
# and 1: if it is infinite in the branch that was not taken, 0 * inf would be nan.
@operation(
    None,
    lambda g, out, condition, x, y: where(condition, g, 0.0),
    lambda g, out, condition, x, y: where(condition, 0.0, g),
)
def where(condition: Any, x: Operand, y: Operand) -> Operand:
    """x where the condition holds, else y, elementwise with broadcasting."""
    if type(condition) is bool and isinstance(x, float) and isinstance(y, float):
        return x if condition else y
    if type(condition) is ndarray and condition.size >= _FEW and condition.dtype is _BOOL:
        if _is_zero(x) and _is_maskable(y):
            return _masked(y, ~condition)
        if _is_zero(y) and _is_maskable(x):
            return _masked(x, condition)
    return np.where(condition, x, y)


def _is_zero(x: Any) -> bool:
    """Whether it is Python's 0.0, and not -0.0."""
    return type(x) is float and x == 0 and copysign(1, x) == 1


def _is_maskable(x: Any) -> bool:
    """Whether `_masked` takes it."""
    return type(x) is ndarray and x.dtype in _UNSIGNED


def _masked(x: NDArray[Any], is_kept: NDArray[Any]) -> Any:
    """x where it is kept, and elsewhere 0.0, as most rules want it that use `where`.

    np.where decides for each element, and a processor can't foresee random decisions. This takes a
    fifth of the time: the bits of x, read as an unsigned integer, are multiplied by 1 or 0. (With
    the floats it would not do: inf * 0 is nan, and -1 * 0 is -0.0.)
    """
    bits = x.view(_UNSIGNED[x.dtype])
    return (bits * is_kept).view(x.dtype)


def _clip_x(g: Operand, out: Operand, x: Operand, min: Any, max: Any) -> Operand:
    """g where clipping left x as it was: there the slope is 1, and elsewhere 0.

    At the bounds it is 1, as in PyTorch, so that gradient descent can leave them again. (If the
    lower bound is above the upper one, every result is the upper bound. Then x may equal it by
    chance, so x must also be above the lower one.)
    """
    is_inside = x == out
    if min is not None:
        is_inside = is_inside & (x >= as_data(min))
    return where(is_inside, g, 0.0)


@operation(_clip_x)
def clip(x: Operand, min: Any = None, max: Any = None) -> Operand:
    """x, but at least `min` and at most `max`, elementwise. A bound may be an array, or None."""
    low, high = (None if bound is None else as_data(bound, as_data(x)) for bound in (min, max))
    return np.clip(x, low, high)


# ── Reductions, along one axis, several, or all (None); `keepdims` is NumPy's ────────────────────
def repeated(g: Operand, x: Operand, axis: Axis, keepdims: bool) -> Operand:
    """A reduction's result, or its gradient, repeated to the shape of x.

    A reduction makes one number from each group of elements. Here each element gets the number of
    its group.
    """
    shape = shape_of(x)
    if not shape:
        return g
    if axis is not None and not keepdims:
        reduced = normalize_axis_tuple(axis, len(shape))
        g = reshape(g, tuple(1 if i in reduced else n for i, n in enumerate(shape)))
    return broadcast_to(g, shape)


def group_size(x: Operand, out: Operand) -> float:
    """How many elements of x each element of the result was computed from."""
    return float(np.prod(shape_of(x)) // (np.prod(shape_of(out)) or 1))


def _extremum_x(g: Operand, out: Operand, x: Operand, axis: Axis, keepdims: bool) -> Operand:
    """The largest (or smallest) element gets g. If several tie, each gets an equal part."""
    ties = x == repeated(out, x, axis, keepdims)
    ties = ties | (x != x)  # if there is a nan, which is unequal to itself, it is the result
    count = np.sum(ties, axis=axis, keepdims=keepdims)
    part = divide(g, np.maximum(count, 1.0))
    return where(ties, repeated(part, x, axis, keepdims), 0.0)


def _sum_x(g: Operand, out: Operand, x: Operand, axis: Axis, keepdims: bool) -> Operand:
    return repeated(g, x, axis, keepdims)


def _mean_x(g: Operand, out: Operand, x: Operand, axis: Axis, keepdims: bool) -> Operand:
    return repeated(divide(g, group_size(x, out)), x, axis, keepdims)


def reduction(function: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that is one of NumPy's reductions."""

    def reduce(x: Operand, axis: Axis = None, keepdims: bool = False) -> Operand:
        check_flag("keepdims", keepdims)
        return function(x, axis=axis, keepdims=keepdims)

    reduce.__name__ = reduce.__qualname__ = function.__name__
    reduce.__doc__ = f"Along `axis`, as `numpy.{function.__name__}`."
    return operation(rule)(reduce)


# From here on, sum, max and min are no longer Python's own.
sum = reduction(np.sum, _sum_x)
mean = reduction(np.mean, _mean_x)
max = reduction(np.max, _extremum_x)
min = reduction(np.min, _extremum_x)


def var(x: Operand, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Operand:
    """The mean squared distance from the mean; `ddof=1` divides by n - 1 instead of n."""
    squares = square(x - mean(x, axis=axis, keepdims=True))
    total = sum(squares, axis=axis, keepdims=keepdims)
    return divide(total, float(np.maximum(group_size(squares, total) - ddof, 0)))


def _logsumexp_x(g: Operand, out: Operand, x: Operand, axis: Axis, keepdims: bool) -> Operand:
    """g * softmax(x)."""
    softmax_of_x = exp(x - repeated(out, x, axis, keepdims))
    return repeated(g, x, axis, keepdims) * softmax_of_x


@operation(_logsumexp_x)
def logsumexp(x: Operand, axis: Axis = None, keepdims: bool = False) -> Operand:
    """log(sum(exp(x))), finite wherever x is."""
    check_flag("keepdims", keepdims)
    largest = _largest(x, axis)
    largest = np.where(np.isinf(largest), 0.0, largest)  # inf - inf would be nan
    out = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=keepdims))
    return out + np.reshape(largest, np.shape(out))


def _largest(x: Any, axis: Axis) -> Any:
    """The largest element along `axis`; of no elements, -inf.

    Subtracting it keeps exp from overflowing, and changes no softmax.
    """
    return np.max(as_data(x), axis=axis, keepdims=True, initial=-np.inf)


# Each output depends on every input: d out_i / d x_j = out_i * ((i == j) - out_j). The rule is the
# product of g and this Jacobian, multiplied out by hand: it passes over n elements twice, and never
# makes a matrix of n * n.
@operation(lambda g, out, x, axis: out * (g - sum(g * out, axis=axis, keepdims=True)))
def softmax(x: Operand, axis: Axis = -1) -> Operand:
    """exp(x) / sum(exp(x)): positive, and summing to 1 along `axis`."""
    powers = np.exp(x - _largest(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True)


# In the same way, with d out_i / d x_j = (i == j) - exp(out_j).
@operation(lambda g, out, x, axis: g - exp(out) * sum(g, axis=axis, keepdims=True))
def log_softmax(x: Operand, axis: Axis = -1) -> Operand:
    """log(softmax(x)), finite wherever x is."""
    shifted = x - _largest(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


# ── Matrix product ───────────────────────────────────────────────────────────────────────────────
# Where do the transposes come from? out_ij = sum_k x_ik y_kj, so x_ik takes part in row i of the
# result: in each out_ij, with the factor y_kj. Its gradient is the sum over these uses,
# sum_j g_ij y_kj. That is a matrix product of g and y with y's indices swapped: g @ yᵀ. In the same
# way the gradient of y_kj is sum_i x_ik g_ij, which is xᵀ @ g.
# A vector counts as a matrix: of one row if it is on the left, of one column if on the right.
def _matmul_x(g: Operand, out: Operand, x: Operand, y: Operand) -> Operand:
    if x.ndim >= 2 and y.ndim >= 2:  # matrix @ matrix
        return g @ _transposed(y)
    if y.ndim < 2:  # anything @ vector
        return reshape(g, (*shape_of(g), 1)) * y
    # vector @ matrix
    return reshape(g, (*shape_of(g)[:-1], 1, y.shape[-1])) @ _transposed(y)


def _matmul_y(g: Operand, out: Operand, x: Operand, y: Operand) -> Operand:
    if x.ndim >= 2 and y.ndim >= 2:  # matrix @ matrix
        return _transposed(x) @ g
    if x.ndim < 2 and y.ndim < 2:  # vector @ vector
        return g * x
    if x.ndim < 2:  # vector @ matrix
        return reshape(x, (*shape_of(x), 1)) * reshape(g, (*shape_of(g)[:-1], 1, y.shape[-1]))
    # matrix @ vector
    return getitem(_transposed(x) @ reshape(g, (*shape_of(g), 1)), (..., 0))


def _transposed(x: Operand) -> Operand:
    """Each matrix in a stack, transposed."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@operation(_matmul_x, _matmul_y)
def matmul(x: Operand, y: Operand) -> Operand:
    """x @ y of vectors, matrices, or stacks of matrices with broadcasting, as `numpy.matmul`."""
    return np.matmul(x, y)


# ── Shape and place: nothing is computed, so the gradient only has to find its way back ──────────
@operation(lambda g, out, x, shape: reshape(g, shape_of(x)))
def reshape(x: Operand, shape: int | tuple[int, ...]) -> Operand:
    """The same elements in another shape; one length may be -1."""
    return np.reshape(x, shape)


def _transpose_x(g: Operand, out: Operand, x: Operand, axes: tuple[int, ...] | None) -> Operand:
    if axes is None:
        return transpose(g)
    order_that_undoes_it = np.argsort(np.mod(axes, len(axes)))
    return transpose(g, order_that_undoes_it)


@operation(_transpose_x)
def transpose(x: Operand, axes: tuple[int, ...] | None = None) -> Operand:
    """The axes in another order, or in reverse."""
    return np.transpose(x, axes)


@operation(lambda g, out, x, shape: g)  # the engine sums over the axes that were repeated
def broadcast_to(x: Operand, shape: int | tuple[int, ...]) -> Operand:
    """x repeated to a larger shape, without a copy."""
    return np.broadcast_to(x, shape)


@operation(lambda g, out, x, dtype: g)
def astype(x: Operand, dtype: Any) -> Operand:
    """x in float32 or float64; `TypeError` for other dtypes. A Python float stays one."""
    check_dtype(dtype)
    return x if isinstance(x, float) else as_array(x).astype(dtype, copy=False)


# An element that was picked twice was used twice, so its gradients add up; one that was not picked
# gets 0.
@operation(lambda g, out, x, index: scatter(g, index, shape_of(x)))
def getitem(x: Operand, index: Any) -> Operand:
    """x[index]: integers, slices, None, `...`, boolean and integer arrays."""
    return as_array(x)[index]


@operation(lambda g, out, x, index, shape: getitem(g, index))
def scatter(x: Operand, index: Any, shape: tuple[int, ...]) -> Operand:
    """Zeros of the given shape, with x added at the index: the way back from indexing."""
    zeros = np.zeros_like(x, order="C", shape=shape)
    parts = index if isinstance(index, tuple) else (index,)
    if all(isinstance(part, int | slice | None | EllipsisType) for part in parts):
        zeros[index] = x  # such an index picks no element twice
    else:
        np.add.at(zeros, index, x)
    return zeros


def _pieces(g: Operand, axis: int, places: Iterable[Any]) -> list[Operand]:
    """What g holds at each of these places along the axis."""
    before = (slice(None),) * (axis % len(shape_of(g)))
    return [getitem(g, (*before, place)) for place in places]


def _concatenate_rule(g: Operand, out: Operand, *arrays: Operand, axis: int) -> list[Operand]:
    lengths = [shape_of(array)[axis] for array in arrays]
    ends = np.cumsum(lengths)
    places = [slice(end - length, end) for length, end in zip(lengths, ends, strict=True)]
    return _pieces(g, axis, places)


# There may be any number of operands, so one rule gives the gradients of all of them, in a list.
@operation(jointly=_concatenate_rule, name="concatenate")
def _concatenate(*arrays: Operand, axis: int) -> Operand:
    return np.concatenate(arrays, axis)


def concatenate(arrays: Sequence[Operand], axis: int | None = 0) -> Operand:
    """The arrays joined along an axis that they have; with None, flattened first."""
    if axis is None:
        return _concatenate(*map(ravel, arrays), axis=0)
    return _concatenate(*arrays, axis=axis)


def _stack_rule(g: Operand, out: Operand, *arrays: Operand, axis: int) -> list[Operand]:
    return _pieces(g, axis, range(len(arrays)))


@operation(jointly=_stack_rule, name="stack")
def _stack(*arrays: Operand, axis: int) -> Operand:
    return np.stack(arrays, axis)


def stack(arrays: Sequence[Operand], axis: int = 0) -> Operand:
    """The arrays, all of one shape, joined along a new axis: numbers become a vector."""
    return _stack(*arrays, axis=axis)


def squeeze(x: Operand, axis: Axis = None) -> Operand:
    """x without its axes of length 1, or without those that `axis` names."""
    dummy = np.broadcast_to(0.0, shape_of(x))  # NumPy finds the new shape on it
    return reshape(x, np.squeeze(dummy, axis).shape)


def ravel(x: Operand) -> Operand:
    """x flattened."""
    return reshape(x, -1)


# NumPy's functions of these names lead here. (The decorator does this for operations.)
for _function in (concatenate, stack, squeeze, ravel, var):
    NUMPY[getattr(np, _function.__name__)] = _function
NUMPY[np.amax] = max
NUMPY[np.amin] = min


# ── Accuracy: functions that rules above are made of ─────────────────────────────────────────────
# Written out in a rule, 1 - tanh(x)² would be 0 as soon as tanh(x) rounds to 1, 1 - x² would lose
# its digits near x = 1, and in sqrt(1 + x²) the square would overflow. The four operations below
# avoid these losses. They have rules of their own, so that second derivatives keep their digits.
@operation(lambda g, out, x: -g * tanh(x) * out)
def _sech(x: Operand) -> Operand:
    """1 / cosh(x), elementwise. Its square is the slope of tanh."""
    out = _exp_minus_abs(x)
    denominator = out * out
    denominator += 1.0
    out *= 2.0  # in place: with new arrays, all of this would take twice as long
    out /= denominator
    return out


@operation(lambda g, out, x: -0.5 * g * tanh(0.5 * x) * out)
def _half_sech(x: Operand) -> Operand:
    """sech(x / 2) / 2, elementwise. Its square is the slope of sigmoid."""
    return 0.5 * _sech(0.5 * x)


@operation(lambda g, out, x: -2.0 * (g * x))
def _one_minus_square(x: Operand) -> Operand:
    """1 - x², as a product. Near x = ±1 the difference 1 - x, or the sum 1 + x, is exact."""
    return (1.0 - x) * (1.0 + x)


@operation(lambda g, out, x: g * divide(x, out))
def _hypotenuse(x: Operand) -> Operand:
    """sqrt(1 + x²), also where x² would overflow: there it is |x|."""
    if isinstance(x, float):
        return _hypot(x, 1.0)
    size = np.abs(x)
    inside = np.minimum(size, 1e9)  # beyond this, adding 1 to x² does not change it
    return np.maximum(np.sqrt(1.0 + inside * inside), size)


_exp = of_floats(math.exp)
_hypot = of_floats(math.hypot)


def _exp_minus_abs(x: Operand) -> Operand:
    """exp(-|x|), which cannot overflow."""
    if isinstance(x, float):
        return _exp(-abs(x))
    small = np.abs(x)
    np.negative(small, out=small)
    return np.exp(small, out=small)


def _times_square(g: Operand, factor: Operand) -> Operand:
    """g * factor², in two steps: the square alone may be too small for a float, and become 0."""
    return g * factor * factor


def _over_square(g: Operand, divisor: Operand) -> Operand:
    """g / divisor², in two steps: the square alone may overflow."""
    return _over_both(g, divisor, divisor)


def _over_both(g: Operand, first: Operand, second: Operand) -> Operand:
    """g / (first * second), in two steps: the product alone may overflow."""
    return divide(divide(g, first), second)
