"""The table of operations: what each one computes and, beside it, its derivative rule.

Read this file second, as a table. In a rule, `g` is the upstream gradient (d output / d result),
`out` is the result, and `x` and `y` are the operands. There is one rule for each operand. It
returns the operand's share, d output / d operand: the upstream gradient times the local derivative.
The derivative of sin is cos, so its rule is g * cos(x).

A rule gets numbers and arrays. For a second derivative it gets Values instead: then the gradient
that it computes is recorded, and can be differentiated again. So no operation needs a second rule,
but a rule must be written with operators and operations, which work on all three.

Rules leave three things to the engine (`unbroadcast` in backprop.py). They may return a gradient
in the shape of the result: if the operand was broadcast, the engine sums it to the operand's shape.
They may return one number, if it is the same for all elements. And they need not mind the dtype.

A function has no derivative at a kink, such as relu at 0. There a rule has to choose a slope: the
rules here choose as PyTorch does, and say so.

How do we know that a rule is right? A derivative is the limit of a difference quotient, so
`check_gradients` compares each rule with (f(x + h) - f(x - h)) / 2h for a small h; and the rule's
own derivative, too. The tests do this for each operation in this file, over many shapes.

You add an operation of your own as it is done here: write `@operation(rule, ...)` above a function,
with a rule for each operand. From then on it can be differentiated twice, drawn, and checked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from math import exp as _exp
from math import hypot
from math import log as _ln
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgd.arrays import as_data, check_dtype, check_flag
from microgd.backprop import NUMPY, Node
from microgd.registry import operation

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

Number = Any  # a float, an array or a Value: operations take and return all three
Axis = int | tuple[int, ...] | None


def _shape(x: Number) -> tuple[int, ...]:
    if isinstance(x, float):
        return ()
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


# ── Elementwise, with broadcasting ───────────────────────────────────────────────────────────────
def elementwise(
    function: Callable[..., Any], *rules: Callable[..., Any], name: str | None = None
) -> Callable[..., Any]:
    """An operation that is one of NumPy's functions, or of Python's operators."""
    return operation(*rules, name=name)(function)


# For arrays, Python's operators are NumPy's functions. For floats, they are faster.
# fmt: off
add       = elementwise(operator.add,  lambda g, out, x, y: g,
                                       lambda g, out, x, y: g,      name="add")
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
# At the kink of abs, 0, the slope is -1 on the left and 1 on the right. The rule says 0.
absolute  = elementwise(np.absolute,   lambda g, out, x: g * sign(x))
maximum   = elementwise(np.maximum,    lambda g, out, x, y: _where_larger(g, x, y),
                                       lambda g, out, x, y: _where_larger(g, y, x))
minimum   = elementwise(np.minimum,    lambda g, out, x, y: _where_larger(g, y, x),
                                       lambda g, out, x, y: _where_larger(g, x, y))
# fmt: on


def _where_larger(g: Number, x: Number, y: Number) -> Number:
    """g where x is larger than y, and 0 where it is smaller; half of g where they are equal.

    At such a tie the slope is 0 on one side and 1 on the other, and one half is their mean.
    """
    return where(x == y, 0.5 * g, where(x < y, 0.0, g))


def _divide_y(g: Number, out: Number, x: Number, y: Number) -> Number:
    """-g * out / y, in an order in which no step is out of range unless the result is."""
    if _is_moderate(g) and _is_moderate(out):
        return -divide(g * out, y)
    # A large g first meets the smaller one of out and 1 / y, a small g the larger one. Since out is
    # x * (1 / y), out is the smaller one where |x| < 1.
    out_first = (abs(g) >= 1.0) == (abs(x) < 1.0)
    before = where(out_first, out, 1.0)
    after = where(out_first, 1.0, out)
    return -(divide(g * before, y) * after)


def _is_moderate(x: Number) -> bool:
    """Whether the product of any two such numbers is in range: none is very large or very small."""
    numbers = x._numbers if isinstance(x, Node) else x
    if isinstance(numbers, float):
        return numbers == 0 or 1e-145 <= abs(numbers) <= 1e145
    size = np.abs(numbers)
    most = 1e15 if size.dtype == np.float32 else 1e145
    is_small = (size < 1 / most) & (size != 0)
    return bool(np.all(~is_small & (size <= most)))


@operation(lambda g, out, x, y: divide(g, y), _divide_y)
def divide(x: Number, y: Number) -> Number:
    """x / y; infinite or nan where y is 0 (IEEE 754), for numbers as for arrays."""
    try:
        return x / y
    except ZeroDivisionError:  # only Python's floats raise
        return np.divide(x, y)


def _power_x(g: Number, out: Number, x: Number, y: Number) -> Number:
    """g * y * x**(y - 1).

    x**0 is 1 everywhere, so its derivative is 0. But at x = 0 the formula says 0 * 0**-1, nan. So
    where y is 0 the exponent stays 0. (If y is a Value, that is so only at x = 0. Elsewhere the
    formula is needed as it stands, since it has a derivative with respect to y.)
    """
    is_lowered = (y != 0) | ((x != 0) & isinstance(y, Node))
    return g * (y * power(x, y - is_lowered))


def _power_y(g: Number, out: Number, x: Number, y: Number) -> Number:
    """g * x**y * log(x). As 0**y is 0 for all y > 0, its derivative is 0, not 0 * log(0).

    At 0**0 it is 0, as in PyTorch.
    """
    return g * out * log(where((x == 0) & (y >= 0), 1.0, x))


@operation(_power_x, _power_y)
def power(x: Number, y: Number) -> Number:
    """x ** y; nan where it would be complex, and infinite where it is too large."""
    try:
        out = x**y
    except (ZeroDivisionError, OverflowError):  # Python's floats raise; NumPy's give inf
        return np.power(x, y)
    return np.power(x, y) if isinstance(out, complex) else out


# The slope out * (1 - out), as sech(x / 2)² / 4: the difference is 0 as soon as out rounds to 1.
@operation(lambda g, out, x: _times_square(g, _half_sech(x)))
def sigmoid(x: Number) -> Number:
    """1 / (1 + exp(-x)), elementwise, computed from exp(-|x|), which cannot overflow."""
    small = _exp_minus_abs(x)
    out = where(x >= 0, 1.0, small)
    small += 1.0
    out /= small
    return out


# The kink: at 0 the slope is 0 on the left and 1 on the right. Descent would work with any number
# between them; the custom is 0, which is PyTorch's choice too.
@operation(lambda g, out, x: where(x <= 0, 0.0, g))
def relu(x: Number) -> Number:
    """The larger of x and 0, elementwise."""
    if isinstance(x, float):
        return 0.0 if x <= 0 else x  # in this order nan stays nan
    return np.maximum(x, 0.0)


# A condition has no derivative, so its rule is None. The gradient is selected, not multiplied by 0
# and 1: if it is infinite in the branch that was not taken, 0 * inf would be nan.
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


def _clip_x(g: Number, out: Number, x: Number, min: Any, max: Any) -> Number:
    """g where clipping left x as it was: there the slope is 1.

    It is 1 at the bounds, too, so that descent can leave them again. (If the lower bound is above
    the upper one, every result is the upper bound. Then x may equal it by chance.)
    """
    is_inside = x == out
    if min is not None:
        is_inside = is_inside & (x >= as_data(min))
    return where(is_inside, g, 0.0)


@operation(_clip_x)
def clip(x: Number, min: Any = None, max: Any = None) -> Number:
    """x, but at least `min` and at most `max`, elementwise. A bound may be an array, or None."""
    low, high = (None if bound is None else as_data(bound, as_data(x)) for bound in (min, max))
    return np.clip(x, low, high)


# ── Reductions, along one axis, several, or all (None); `keepdims` is NumPy's ────────────────────
def _to_groups(g: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    """A reduction's result, or its gradient, in the shape of x.

    A reduction makes one number of each group of elements. Each element gets its group's number.
    """
    shape = _shape(x)
    if not shape:
        return g
    if axis is not None and not keepdims:
        reduced = normalize_axis_tuple(axis, len(shape))
        g = reshape(g, tuple(1 if i in reduced else n for i, n in enumerate(shape)))
    return broadcast_to(g, shape)


def _group_size(x: Number, out: Number) -> float:
    """How many elements of x each element of the result was computed from."""
    return float(np.prod(_shape(x)) // (np.prod(_shape(out)) or 1))


def _extremum_x(g: Number, out: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    """The largest (or smallest) element gets the gradient; if several tie, they share equally."""
    ties = x == _to_groups(out, x, axis, keepdims)
    ties = ties | (x != x)  # if there is a nan, which is unequal to itself, it is the result
    count = np.sum(ties, axis=axis, keepdims=keepdims)
    share = divide(g, np.maximum(count, 1.0))
    return where(ties, _to_groups(share, x, axis, keepdims), 0.0)


def _sum_x(g: Number, out: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    return _to_groups(g, x, axis, keepdims)


def _mean_x(g: Number, out: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    return _to_groups(divide(g, _group_size(x, out)), x, axis, keepdims)


def reduction(function: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that is one of NumPy's reductions."""

    def reduce(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
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


def var(x: Number, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Number:
    """The mean squared distance from the mean; `ddof=1` divides by n - 1 instead of n."""
    squares = square(x - mean(x, axis=axis, keepdims=True))
    total = sum(squares, axis=axis, keepdims=keepdims)
    return divide(total, float(np.maximum(_group_size(squares, total) - ddof, 0)))


def _logsumexp_x(g: Number, out: Number, x: Number, axis: Axis, keepdims: bool) -> Number:
    """g * softmax(x)."""
    softmax_of_x = exp(x - _to_groups(out, x, axis, keepdims))
    return _to_groups(g, x, axis, keepdims) * softmax_of_x


@operation(_logsumexp_x)
def logsumexp(x: Number, axis: Axis = None, keepdims: bool = False) -> Number:
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
def softmax(x: Number, axis: Axis = -1) -> Number:
    """exp(x) / sum(exp(x)): positive, and summing to 1 along `axis`."""
    powers = np.exp(x - _largest(x, axis))
    return powers / np.sum(powers, axis=axis, keepdims=True)


# In the same way, with d out_i / d x_j = (i == j) - exp(out_j).
@operation(lambda g, out, x, axis: g - exp(out) * sum(g, axis=axis, keepdims=True))
def log_softmax(x: Number, axis: Axis = -1) -> Number:
    """log(softmax(x)), finite wherever x is."""
    shifted = x - _largest(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


# ── Matrix product ───────────────────────────────────────────────────────────────────────────────
# Where do the transposes come from? out_ij = sum_k x_ik y_kj, so x_ik takes part in row i of the
# result: in each out_ij, with the factor y_kj. Its gradient is the sum over these uses,
# sum_j g_ij y_kj. That is a matrix product of g and y with y's indices swapped: g @ yᵀ. In the same
# way the gradient of y_kj is sum_i x_ik g_ij, which is xᵀ @ g.
# A vector counts as a matrix: of one row if it is on the left, of one column if on the right.
def _matmul_x(g: Number, out: Number, x: Number, y: Number) -> Number:
    if y.ndim < 2:
        return reshape(g, (*_shape(g), 1)) * y  # each row of x met the one column y
    if x.ndim < 2:
        g = reshape(g, (*_shape(g)[:-1], 1, y.shape[-1]))
    return g @ _transposed(y)


def _matmul_y(g: Number, out: Number, x: Number, y: Number) -> Number:
    if x.ndim < 2 and y.ndim < 2:
        return g * x
    if x.ndim < 2:
        return reshape(x, (*_shape(x), 1)) * reshape(g, (*_shape(g)[:-1], 1, y.shape[-1]))
    if y.ndim < 2:
        return getitem(_transposed(x) @ reshape(g, (*_shape(g), 1)), (..., 0))
    return _transposed(x) @ g


def _transposed(x: Number) -> Number:
    """Each matrix in a stack, transposed."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@operation(_matmul_x, _matmul_y)
def matmul(x: Number, y: Number) -> Number:
    """x @ y of vectors, matrices, or stacks of matrices with broadcasting, as `numpy.matmul`."""
    return np.matmul(x, y)


# ── Shape and place: nothing is computed, so the gradient only has to find its way back ──────────
@operation(lambda g, out, x, shape: reshape(g, _shape(x)))
def reshape(x: Number, shape: int | tuple[int, ...]) -> Number:
    """The same elements in another shape; one length may be -1."""
    return np.reshape(x, shape)


def _transpose_x(g: Number, out: Number, x: Number, axes: tuple[int, ...] | None) -> Number:
    if axes is None:
        return transpose(g)
    order_that_undoes_it = np.argsort(np.mod(axes, len(axes)))
    return transpose(g, order_that_undoes_it)


@operation(_transpose_x)
def transpose(x: Number, axes: tuple[int, ...] | None = None) -> Number:
    """The axes in another order, or in reverse."""
    return np.transpose(x, axes)


@operation(lambda g, out, x, shape: g)
def broadcast_to(x: Number, shape: int | tuple[int, ...]) -> Number:
    """x repeated to a larger shape, without a copy."""
    return np.broadcast_to(x, shape)


@operation(lambda g, out, x, dtype: g)
def astype(x: Number, dtype: Any) -> Number:
    """x in float32 or float64; `TypeError` for other dtypes. A Python float stays one."""
    check_dtype(dtype)
    return x if isinstance(x, float) else np.asarray(x).astype(dtype, copy=False)


# An element that was picked twice was used twice, so its gradients add up; one that was not picked
# gets 0.
@operation(lambda g, out, x, index: scatter(g, index, _shape(x)))
def getitem(x: Number, index: Any) -> Number:
    """x[index]: integers, slices, None, `...`, boolean and integer arrays."""
    return np.asarray(x)[index]


@operation(lambda g, out, x, index, shape: getitem(g, index))
def scatter(x: Number, index: Any, shape: tuple[int, ...]) -> Number:
    """Zeros of the given shape with x added at the index: the transpose of indexing."""
    zeros = np.zeros(shape, getattr(x, "dtype", np.float64))
    parts = index if isinstance(index, tuple) else (index,)
    if all(isinstance(part, int | slice | None | type(...)) for part in parts):
        zeros[index] = x  # such an index picks no element twice
    else:
        np.add.at(zeros, index, x)
    return zeros


def _pieces(g: Number, axis: int, places: Iterable[Any]) -> list[Number]:
    """What g holds at each of these places along the axis."""
    before = (slice(None),) * (axis % len(_shape(g)))
    return [getitem(g, (*before, place)) for place in places]


def _concatenate_rule(g: Number, out: Number, *arrays: Number, axis: int) -> list[Number]:
    ends = np.cumsum([_shape(array)[axis] for array in arrays])
    return _pieces(g, axis, map(slice, (0, *ends), ends))


@operation(jointly=_concatenate_rule, name="concatenate")
def _concatenate(*arrays: Number, axis: int) -> Number:
    return np.concatenate(arrays, axis)


def concatenate(arrays: Sequence[Number], axis: int | None = 0) -> Number:
    """The arrays joined along an axis that they have; with None, flattened first."""
    if axis is None:
        return _concatenate(*map(ravel, arrays), axis=0)
    return _concatenate(*arrays, axis=axis)


def _stack_rule(g: Number, out: Number, *arrays: Number, axis: int) -> list[Number]:
    return _pieces(g, axis, range(len(arrays)))


@operation(jointly=_stack_rule, name="stack")
def _stack(*arrays: Number, axis: int) -> Number:
    return np.stack(arrays, axis)


def stack(arrays: Sequence[Number], axis: int = 0) -> Number:
    """The arrays, all of one shape, joined along a new axis: numbers become a vector."""
    return _stack(*arrays, axis=axis)


def squeeze(x: Number, axis: Axis = None) -> Number:
    """x without its axes of length 1, or without those that `axis` names."""
    dummy = np.broadcast_to(0.0, _shape(x))  # NumPy finds the new shape on it
    return reshape(x, np.squeeze(dummy, axis).shape)


def ravel(x: Number) -> Number:
    """x flattened."""
    return reshape(x, -1)


# NumPy's functions lead here as well. (np.concatenate and np.stack take a list, as these do.)
for _function in (concatenate, stack, squeeze, ravel, var):
    NUMPY[getattr(np, _function.__name__)] = _function
NUMPY[np.amax] = max
NUMPY[np.amin] = min


# ── Right to the last digits: what some rules above are made of ──────────────────────────────────
# Written out in a rule, 1 - tanh(x)² would be 0 as soon as tanh(x) rounds to 1, 1 - x² would lose
# its digits near x = 1, and in sqrt(1 + x²) the square would overflow. The four operations below
# avoid it. They have rules of their own, so that second derivatives keep their digits, too.
@operation(lambda g, out, x: -g * tanh(x) * out, name="_sech")
def _sech(x: Number) -> Number:
    """1 / cosh(x), elementwise. Its square is the slope of tanh."""
    out = _exp_minus_abs(x)
    below = out * out
    below += 1.0
    out *= 2.0  # in place: with new arrays, all of this would take twice as long
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
    inside = np.minimum(size, 1e9)  # beyond this, adding 1 to x² does not change it
    return np.maximum(np.sqrt(1.0 + inside * inside), size)


def _exp_minus_abs(x: Number) -> Number:
    """exp(-|x|), which cannot overflow."""
    if isinstance(x, float):
        return _exp(-abs(x))
    small = np.abs(x)
    np.negative(small, out=small)
    return np.exp(small, out=small)


def _times_square(g: Number, factor: Number) -> Number:
    """g * factor², in two steps: the square alone may be too small for a float, and become 0."""
    return g * factor * factor


def _over_square(g: Number, divisor: Number) -> Number:
    """g / divisor², in two steps: the square alone may overflow."""
    return _over_both(g, divisor, divisor)


def _over_both(g: Number, first: Number, second: Number) -> Number:
    """g / (first * second), in two steps: the product alone may overflow."""
    return divide(divide(g, first), second)
