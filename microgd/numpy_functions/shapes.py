"""NumPy's functions that only move elements: each gradient moves back to where its element was.

Most of these are made of `reshape`, `transpose`, `broadcast_to`, indexing and `concatenate`, whose
rules are in operations.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple
from numpy.lib.stride_tricks import sliding_window_view as _numpys_sliding_window_view
from numpy.typing import ArrayLike

from microgd.arrays import as_array, shown
from microgd.numpy_functions.plain import numbers_in
from microgd.operations import (
    Axis,
    Operand,
    broadcast_to,
    concatenate,
    getitem,
    multiply,
    ravel,
    reshape,
    shape_of,
    transpose,
    where,
)
from microgd.registry import NUMPY, operation

__all__ = [
    "column_stack",
    "expand_dims",
    "flip",
    "hstack",
    "moveaxis",
    "pad",
    "repeat",
    "roll",
    "sliding_window_view",
    "split",
    "swapaxes",
    "take",
    "take_along_axis",
    "tile",
    "tril",
    "triu",
    "vstack",
]


# ── Axes ─────────────────────────────────────────────────────────────────────────────────────────
def expand_dims(x: Operand, axis: int | tuple[int, ...]) -> Operand:
    """x with new axes of length 1 at these places."""
    dummy = np.broadcast_to(0.0, shape_of(x))  # NumPy finds the new shape on it
    return reshape(x, np.expand_dims(dummy, axis).shape)


def swapaxes(x: Operand, axis1: int, axis2: int) -> Operand:
    """x with two axes exchanged."""
    ndim = len(shape_of(x))
    first, second = normalize_axis_index(axis1, ndim), normalize_axis_index(axis2, ndim)
    order = list(range(ndim))
    order[first], order[second] = second, first
    return transpose(x, tuple(order))


def moveaxis(x: Operand, source: Axis, destination: Axis) -> Operand:
    """x with some axes moved to other places; the others keep their order."""
    ndim = len(shape_of(x))
    moved = normalize_axis_tuple(source, ndim, "source")  # type: ignore[arg-type]
    places = normalize_axis_tuple(destination, ndim, "destination")  # type: ignore[arg-type]
    if len(moved) != len(places):
        raise ValueError(
            f"expected as many axes in source as in destination, but got {shown(source)} and "
            f"{shown(destination)}"
        )
    order = [axis for axis in range(ndim) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return transpose(x, tuple(order))


# ── Reordering and repeating ─────────────────────────────────────────────────────────────────────
@operation(lambda g, out, x, axis: flip(g, axis))
def flip(x: Operand, axis: Axis = None) -> Operand:
    """x backwards along an axis, several, or all (None)."""
    return np.flip(x, axis)


def _roll_rule(g: Operand, out: Operand, x: Operand, shift: Any, axis: Axis) -> Operand:
    """g moved back by as many places."""
    back = tuple(-places for places in _pythons_integers(shift))
    return roll(g, back, axis)


def _pythons_integers(shift: Any) -> tuple[int, ...]:
    """How far to move, in integers that can be negated: -np.uint8(1) would be 255."""
    return tuple(int(places) for places in np.ravel(shift))


@operation(_roll_rule)
def roll(x: Operand, shift: int | tuple[int, ...], axis: Axis = None) -> Operand:
    """x moved along an axis; what leaves at one end comes back at the other.

    With None, x is flattened, moved, and brought back to its shape.
    """
    return np.roll(x, _pythons_integers(shift), axis)


def take(x: Operand, indices: ArrayLike, axis: int | None = None) -> Operand:
    """The elements of x at these places along an axis; with None, of x flattened."""
    if axis is None:
        x = ravel(x)
        axis = 0
    return getitem(x, (*_before(x, axis), _integers("indices", indices)))


def _integers(name: str, x: ArrayLike) -> Any:
    """x as an array of integers; `TypeError` for anything else."""
    array = as_array(x)
    if not array.size:
        return array.astype(int)  # an empty list has the dtype float64
    if array.dtype.kind not in "iu":
        raise TypeError(f"expected {name} that are integers, but got {shown(x)}")
    return array


def _before(x: Operand, axis: int) -> tuple[slice, ...]:
    """The part of an index that takes all of the axes before this one."""
    return (slice(None),) * normalize_axis_index(axis, len(shape_of(x)))


def take_along_axis(x: Operand, indices: ArrayLike, axis: int | None = -1) -> Operand:
    """The elements of x at these places along an axis, for each place along the others.

    `indices` has as many axes as x. The other axes broadcast. With None, x is flattened.
    """
    if axis is None:
        x = ravel(x)
        axis = 0
    places = _integers("indices", indices)
    shape = shape_of(x)
    axis = normalize_axis_index(axis, len(shape))
    if places.ndim != len(shape):
        raise ValueError(
            f"expected indices with as many axes as x, {len(shape)}, but got {places.ndim}"
        )
    index: list[Any] = list(np.ix_(*map(np.arange, shape)))
    index[axis] = places
    return getitem(x, tuple(index))


def repeat(x: Operand, repeats: int | Sequence[int], axis: int | None = None) -> Operand:
    """Each element as often as `repeats` says, next to each other; with None, of x flattened.

    `repeats` is one number, or a number for each place along the axis.
    """
    if axis is None:
        x = ravel(x)
        axis = 0
    shape = shape_of(x)
    axis = normalize_axis_index(axis, len(shape))
    before, length, after = shape[:axis], shape[axis], shape[axis + 1 :]
    counts = _integers("repeats", repeats)
    if counts.ndim:
        return take(x, np.repeat(np.arange(length), counts), axis)
    times = int(counts)
    copies = broadcast_to(expand_dims(x, axis + 1), (*before, length, times, *after))
    return reshape(copies, (*before, length * times, *after))


def tile(x: Operand, reps: int | Sequence[int]) -> Operand:
    """Copies of all of x, side by side along each axis: `reps` says how many."""
    counts = tuple(np.atleast_1d(np.asarray(reps)).tolist())
    shape = shape_of(x)
    axes = max(len(shape), len(counts))
    lengths = (1,) * (axes - len(shape)) + shape
    counts = (1,) * (axes - len(counts)) + counts
    # Before each axis comes a new one, which is stretched to the number of copies.
    apart = [part for length in lengths for part in (1, length)]
    stretched = [part for pair in zip(counts, lengths, strict=True) for part in pair]
    joined = tuple(n * length for n, length in zip(counts, lengths, strict=True))
    return reshape(broadcast_to(reshape(x, tuple(apart)), tuple(stretched)), joined)


# ── Splitting and joining ────────────────────────────────────────────────────────────────────────
def split(
    x: Operand, indices_or_sections: int | Sequence[int], axis: SupportsIndex = 0
) -> list[Operand]:
    """x cut along an axis: into so many equal parts, or before each of these places."""
    before = _before(x, axis)  # type: ignore[arg-type]
    length = shape_of(x)[len(before)]
    cuts = _integers("indices_or_sections", indices_or_sections).tolist()
    if cuts == 0:
        raise ValueError("expected at least one section, but got 0")
    pieces = []
    for places in np.split(np.arange(length), cuts):
        part = slice(places[0], places[-1] + 1) if len(places) else slice(0, 0)
        pieces.append(getitem(x, (*before, part)))
    return pieces


def vstack(arrays: Sequence[Operand]) -> Operand:
    """The arrays on top of each other: vectors become the rows of a matrix."""
    return concatenate([_as_row(x) for x in _with_axes(arrays)], axis=0)


def hstack(arrays: Sequence[Operand]) -> Operand:
    """The arrays side by side: vectors become one longer vector."""
    vectors = _with_axes(arrays)
    return concatenate(vectors, axis=0 if len(shape_of(vectors[0])) == 1 else 1)


def column_stack(arrays: Sequence[Operand]) -> Operand:
    """The arrays side by side: vectors become the columns of a matrix."""
    columns = []
    for x in _with_axes(arrays):
        columns.append(transpose(_as_row(x)) if len(shape_of(x)) == 1 else x)
    return concatenate(columns, axis=1)


def _as_row(x: Operand) -> Operand:
    return expand_dims(x, 0) if len(shape_of(x)) == 1 else x


def _with_axes(arrays: Sequence[Operand]) -> list[Operand]:
    """The arrays, in which numbers become vectors of one element.

    Such a vector has the dtype of the other arrays, because a number widens nothing that it meets.
    (Neither do integers and booleans: they take the dtype of the Values.)
    """
    arrays = list(arrays)
    dtypes = [as_array(numbers_in(x)).dtype for x in arrays if shape_of(x)]
    float_dtypes = [dtype for dtype in dtypes if dtype.kind == "f"]
    if not float_dtypes:
        return [reshape(x, 1) if not shape_of(x) else x for x in arrays]
    one = np.ones(1, np.result_type(*float_dtypes))
    return [x if shape_of(x) else multiply(x, one) for x in arrays]


# ── Padding and triangles ────────────────────────────────────────────────────────────────────────
@operation(
    lambda g, out, x, pad_width, constant_values: getitem(g, _inside(x, pad_width)), name="pad"
)
def _pad_with_constants(x: Operand, pad_width: Any, constant_values: Any) -> Operand:
    return np.pad(x, pad_width, constant_values=constant_values)


def _inside(x: Operand, pad_width: Any) -> tuple[slice, ...]:
    """Where x is within its padded array."""
    lengths = shape_of(x)
    pairs = zip(pad_width, lengths, strict=True)
    return tuple(slice(before, before + length) for (before, _), length in pairs)


def pad(
    x: Operand, pad_width: ArrayLike, mode: str = "constant", *, constant_values: ArrayLike = 0.0
) -> Operand:
    """x with elements added at its edges: constants, or ("edge") copies of its outermost elements.

    `pad_width` says how many: one number for all edges, a pair (before, after) for each axis, or a
    pair for all axes. `ValueError` for NumPy's other modes.
    """
    shape = shape_of(x)
    if not shape:
        return x  # it has no edges
    widths = np.broadcast_to(np.asarray(pad_width), (len(shape), 2)).tolist()
    if mode == "constant":
        return _pad_with_constants(x, widths, constant_values)
    if mode != "edge":
        raise ValueError(f"pad of a Value takes mode 'constant' or 'edge', but got {mode!r}")
    np.pad(np.broadcast_to(0.0, shape), widths, mode="edge")  # raises NumPy's errors
    for axis, (before, after) in enumerate(widths):
        places = np.arange(-before, shape[axis] + after)
        x = take(x, np.clip(places, 0, shape[axis] - 1), axis)
    return x


def tril(x: Operand, k: int = 0) -> Operand:
    """Each matrix up to the k-th diagonal above the main one, and 0 beyond."""
    return where(np.tril(np.ones(shape_of(x), bool), k), x, 0.0)


def triu(x: Operand, k: int = 0) -> Operand:
    """Each matrix from the k-th diagonal above the main one on, and 0 before."""
    return where(np.triu(np.ones(shape_of(x), bool), k), x, 0.0)


# ── Windows ──────────────────────────────────────────────────────────────────────────────────────
# An element is in several windows, so it gets the sum of the gradients that it has in each. Taking
# windows and adding them up are the derivative rules of each other.
@operation(
    lambda g, out, x, window_shape, axis: _sum_of_windows(g, window_shape, axis, shape_of(x)),
    name="sliding_window_view",
)
def _windows(x: Operand, window_shape: tuple[int, ...], axis: tuple[int, ...]) -> Operand:
    return _numpys_sliding_window_view(x, window_shape, axis)


@operation(lambda g, out, x, window_shape, axis, shape: _windows(g, window_shape, axis))
def _sum_of_windows(
    x: Operand, window_shape: tuple[int, ...], axis: tuple[int, ...], shape: tuple[int, ...]
) -> Operand:
    """All windows added up, each at its place in an array of this shape."""
    x = as_array(x)
    total = np.zeros_like(x, order="C", shape=shape)
    counts = np.shape(x)[: len(shape)]  # of windows along each axis
    for offsets in np.ndindex(*window_shape):
        starts = [0] * len(shape)
        for one_axis, offset in zip(axis, offsets, strict=True):
            starts[one_axis] += offset
        places = [slice(start, start + n) for start, n in zip(starts, counts, strict=True)]
        total[tuple(places)] += x[(..., *offsets)]
    return total


def sliding_window_view(
    x: Operand, window_shape: int | tuple[int, ...], axis: Axis = None
) -> Operand:
    """All windows of this shape that fit into x, one at each place; the new axes come last.

    `axis` says along which axes the windows slide: as many as the window has, or all (None). With
    `einsum` this is a convolution in one line: windows (h, w, 3, 3) of an image, times a kernel
    (3, 3), are `np.einsum("hwij,ij->hw", windows, kernel)`.
    """
    window = tuple(np.atleast_1d(np.asarray(window_shape)).tolist())
    ndim = len(shape_of(x))
    axes = (
        tuple(range(ndim))
        if axis is None
        else normalize_axis_tuple(axis, ndim, allow_duplicate=True)
    )
    return _windows(x, window, axes)


for _function in (
    column_stack,
    expand_dims,
    hstack,
    moveaxis,
    pad,
    repeat,
    split,
    swapaxes,
    take,
    take_along_axis,
    tile,
    tril,
    triu,
    vstack,
):
    NUMPY[getattr(np, _function.__name__)] = _function
NUMPY[_numpys_sliding_window_view] = sliding_window_view
