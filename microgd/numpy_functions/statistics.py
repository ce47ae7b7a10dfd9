"""NumPy's sums and products along an axis, its spread and average, and sorting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgd.arrays import as_data, check_flag
from microgd.backprop import Node
from microgd.numpy_functions.plain import numbers_in
from microgd.numpy_functions.products import euclidean_norm
from microgd.numpy_functions.shapes import flip, roll, take_along_axis
from microgd.operations import (
    Axis,
    Operand,
    concatenate,
    divide,
    getitem,
    group_size,
    mean,
    multiply,
    ravel,
    repeated,
    reshape,
    shape_of,
    sum,
    transpose,
)
from microgd.registry import NUMPY, operation

__all__ = ["average", "cumprod", "cumsum", "prod", "sort", "std"]


# ── Cumulative sums and products ─────────────────────────────────────────────────────────────────
# An element is in its own partial sum and in all later ones: its gradient is the sum of theirs.
@operation(lambda g, out, x, axis: flip(cumsum(flip(g, axis), axis), axis), name="cumsum")
def _cumsum(x: Operand, axis: int) -> Operand:
    return np.cumsum(x, axis)


def cumsum(x: Operand, axis: int | None = None) -> Operand:
    """The sum of each element and all before it along an axis; with None, of x flattened."""
    return _cumsum(*_along(x, axis))


def _along(x: Operand, axis: int | None) -> tuple[Operand, int]:
    """x and an axis of it: with None, x flattened. As in NumPy, a number counts as a vector."""
    if axis is None:
        return ravel(x), 0
    return (x if shape_of(x) else ravel(x)), axis


# One could divide each partial product by x to get its derivative, but not where x is 0. So this
# rule does not divide. It does what backprop.py does: out[i] = x[i] * out[i-1] is used twice, in
# the result and in out[i+1]. Let total[i] be the gradient of out[i], the sum of both contributions.
# From the last element to the first,
#
#     total[i] = g[i] + x[i+1] * total[i+1]
#
# and the gradient of x[i] is total[i] * out[i-1], or total[0] for the first.
@operation(lambda g, out, x, axis: _totals(g, x, axis) * _shifted(out, 1.0, axis), name="cumprod")
def _cumprod(x: Operand, axis: int) -> Operand:
    return np.cumprod(x, axis)


def cumprod(x: Operand, axis: int | None = None) -> Operand:
    """The product of each element and all before it along an axis; with None, of x flattened.

    Its gradient is right where elements are 0, too. It takes a step of Python for each place along
    the axis.
    """
    return _cumprod(*_along(x, axis))


def _shifted(x: Operand, first: float, axis: int) -> Operand:
    """x moved on by one place along the axis: `first` comes in, and the last element goes."""
    axis = axis % len(shape_of(x))
    before = (slice(None),) * axis
    if not shape_of(x)[axis]:
        return x
    start = np.full_like(getitem(numbers_in(x), (*before, slice(0, 1))), first)
    return concatenate([start, getitem(x, (*before, slice(0, -1)))], axis)


def _totals(g: Operand, x: Operand, axis: int) -> Operand:
    """g[i] + x[i+1] * (g[i+1] + x[i+2] * (g[i+2] + …)), along the axis."""
    # Rolled by 1, so that place i meets x[i+1]. The first factor is not used.
    factors = roll(flip(x, axis), 1, axis)
    return flip(_recurrence(flip(g, axis), factors, axis), axis)


# The derivative of this recurrence is the same recurrence, from the last element to the first.
@operation(
    lambda g, out, x, y, axis: _totals(g, y, axis),
    lambda g, out, x, y, axis: _totals(g, y, axis) * _shifted(out, 0.0, axis),
)
def _recurrence(x: Operand, y: Operand, axis: int) -> Operand:
    """out[i] = x[i] + y[i] * out[i-1] along the axis, where out[0] = x[0]."""
    out = np.copy(x)
    rows = np.moveaxis(out, axis, 0)
    factors = np.moveaxis(y, axis, 0)
    for i in range(1, len(rows)):
        rows[i] += factors[i] * rows[i - 1]
    return out


# ── Product ──────────────────────────────────────────────────────────────────────────────────────
def _prod_rule(g: Operand, out: Operand, x: Operand, axis: Axis, keepdims: bool) -> Operand:
    """g times the product of all other elements.

    That is out / x, but not where x is 0. So it is the product of all elements before, times the
    product of all after.
    """
    shape = shape_of(x)
    if not shape:
        return repeated(g, x, axis, keepdims)
    axes = tuple(range(len(shape))) if axis is None else normalize_axis_tuple(axis, len(shape))
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    order = kept + axes
    in_order = transpose(x, order)
    # As one last axis, along which the product goes.
    groups = reshape(in_order, (*(shape[i] for i in kept), math.prod(shape[i] for i in axes)))
    before = _shifted(cumprod(groups, -1), 1.0, -1)
    after = flip(_shifted(cumprod(flip(groups, -1), -1), 1.0, -1), -1)
    others = transpose(reshape(before * after, shape_of(in_order)), tuple(np.argsort(order)))
    return repeated(g, x, axis, keepdims) * others


@operation(_prod_rule)
def prod(x: Operand, axis: Axis = None, keepdims: bool = False) -> Operand:
    """The product along `axis`, as `numpy.prod`. Its gradient is right for zeros, too."""
    check_flag("keepdims", keepdims)
    return np.prod(x, axis=axis, keepdims=keepdims)


# ── Spread, average, order ───────────────────────────────────────────────────────────────────────
def std(x: Operand, axis: Axis = None, *, ddof: int = 0, keepdims: bool = False) -> Operand:
    """The standard deviation: the square root of `var`, with `ddof` as there.

    It is computed as the length of x - mean(x), over the square root of n - ddof. Where all
    elements are equal it is 0, and so is its gradient, as in PyTorch. (That of sqrt(var(x)) would
    be nan, because the slope of sqrt is infinite at 0.)
    """
    check_flag("keepdims", keepdims)
    distances = x - mean(x, axis=axis, keepdims=True)
    length = euclidean_norm(distances, axis, keepdims)
    degrees_of_freedom = np.maximum(group_size(x, length) - ddof, 0)
    return divide(length, float(np.sqrt(degrees_of_freedom)))


def average(
    x: Operand, axis: Axis = None, weights: Any = None, *, keepdims: bool = False
) -> Operand:
    """The mean or, with weights, sum(x * weights) / sum(weights).

    The weights have the shape of x, or that of x along `axis` alone. `ZeroDivisionError` if they
    sum to 0.
    """
    if weights is None:
        return mean(x, axis=axis, keepdims=keepdims)
    if not isinstance(weights, Node):
        weights = as_data(weights, as_data(numbers_in(x)))  # integers get the dtype of x
    shape = shape_of(x)
    weights_shape = shape_of(weights)
    if weights_shape != shape:
        if axis is None:
            raise TypeError(
                f"expected weights of shape {shape}, or an axis that they belong to, but got "
                f"shape {weights_shape}"
            )
        axes = normalize_axis_tuple(axis, len(shape))
        if weights_shape != tuple(shape[i] for i in axes):
            raise ValueError(
                f"expected weights with the lengths of x along {axis}, of shape {shape}, but got "
                f"shape {weights_shape}"
            )
        in_order = transpose(weights, tuple(np.argsort(axes)))
        weights = reshape(in_order, tuple(n if i in axes else 1 for i, n in enumerate(shape)))
    weighted = multiply(x, weights)
    everywhere = multiply(weights, np.ones_like(numbers_in(weighted)))
    total = sum(everywhere, axis=axis, keepdims=keepdims)
    if np.any(numbers_in(total) == 0):
        raise ZeroDivisionError("the weights sum to 0")
    return divide(sum(weighted, axis=axis, keepdims=keepdims), total)


def sort(x: Operand, axis: int | None = -1) -> Operand:
    """The elements in ascending order along an axis; with None, of x flattened."""
    if axis is None:
        x = ravel(x)
        axis = 0
    return take_along_axis(x, np.argsort(numbers_in(x), axis, kind="stable"), axis)


for _function in (average, cumprod, cumsum, sort, std):
    NUMPY[getattr(np, _function.__name__)] = _function
