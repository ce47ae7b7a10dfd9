"""NumPy's products of vectors, matrices and larger arrays, norms, and diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import prod
from operator import index
from string import ascii_letters, ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from microgd.arrays import as_data, check_flag, shown
from microgd.backprop import Node, leading_node
from microgd.numpy_functions.shapes import moveaxis
from microgd.operations import (
    Axis,
    Operand,
    absolute,
    broadcast_to,
    divide,
    getitem,
    matmul,
    max,
    multiply,
    ravel,
    repeated,
    reshape,
    scatter,
    shape_of,
    sum,
    transpose,
    where,
)
from microgd.registry import NUMPY, operation

__all__ = [
    "diag",
    "diagonal",
    "dot",
    "einsum",
    "inner",
    "norm",
    "outer",
    "tensordot",
    "trace",
]


# ── Products of two arrays, made of the matrix product ───────────────────────────────────────────
def dot(x: Operand, y: Operand) -> Operand:
    """x @ y for vectors and matrices; x * y if either is a number.

    In general, the sum over the last axis of x and the second to last of y.
    """
    x_axes, y_axes = len(shape_of(x)), len(shape_of(y))
    if not x_axes or not y_axes:
        return multiply(x, y)
    if y_axes <= 2:
        return matmul(x, y)
    return tensordot(x, y, (-1, -2))


def inner(x: Operand, y: Operand) -> Operand:
    """The sum of products over the last axes; x * y if either is a number."""
    if not shape_of(x) or not shape_of(y):
        return multiply(x, y)
    return tensordot(x, y, (-1, -1))


def outer(x: Operand, y: Operand) -> Operand:
    """The matrix of all products of an element of x and an element of y."""
    if not shape_of(x):
        return reshape(multiply(x, y), (1, -1))
    return multiply(reshape(x, (-1, 1)), ravel(y) if shape_of(y) else y)


def tensordot(x: Operand, y: Operand, axes: int | Sequence[int | Sequence[int]] = 2) -> Operand:
    """The sum of products over some axes of x and as many of y.

    `axes` is a number n, for the last n axes of x and the first n of y; or a pair, which says which
    axes of x and which of y.
    """
    x_shape, y_shape = shape_of(x), shape_of(y)
    x_summed, y_summed = _summed_axes(axes, len(x_shape), len(y_shape))
    lengths = [x_shape[axis] for axis in x_summed]
    if lengths != [y_shape[axis] for axis in y_summed]:
        raise ValueError(
            "expected axes of the same lengths, but got shapes "
            f"{x_shape} and {y_shape} with axes {x_summed} and {y_summed}"
        )
    if not x_shape or not y_shape:
        return multiply(x, y)
    x_kept = [axis for axis in range(len(x_shape)) if axis not in x_summed]
    y_kept = [axis for axis in range(len(y_shape)) if axis not in y_summed]
    rows = [x_shape[axis] for axis in x_kept]
    columns = [y_shape[axis] for axis in y_kept]
    # As matrices, so that one matrix product sums over all these axes.
    count = prod(lengths)
    left = reshape(transpose(x, (*x_kept, *x_summed)), (prod(rows), count))
    right = reshape(transpose(y, (*y_summed, *y_kept)), (count, prod(columns)))
    return reshape(matmul(left, right), (*rows, *columns))


def _summed_axes(axes: Any, x_ndim: int, y_ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of x and of y to sum over, as numbers from 0."""
    if not isinstance(axes, Sequence) and np.ndim(axes) == 0:
        if not 0 <= axes <= x_ndim or axes > y_ndim:
            raise ValueError(
                f"expected axes to be at most the number of axes, {x_ndim} and {y_ndim}, "
                f"but got {shown(axes)}"
            )
        return tuple(range(x_ndim - axes, x_ndim)), tuple(range(axes))
    x_axes, y_axes = axes
    both = normalize_axis_tuple(x_axes, x_ndim), normalize_axis_tuple(y_axes, y_ndim)
    if len(both[0]) != len(both[1]):
        raise ValueError(f"expected as many axes of x as of y, but got axes {shown(axes)}")
    return both


# ── Einstein's sums ──────────────────────────────────────────────────────────────────────────────
# In "ij,jk->ik" each letter names an axis. Elements with the same letters are multiplied, and what
# is missing on the right is summed over: out_ik = sum_j x_ij y_jk. As for the matrix product, the
# gradient of x_ij is the sum over all products that it takes part in, sum_k g_ik y_jk. That is
# another such sum, "ik,jk->ij": the subscripts of x and of the result have changed places.
def _einsum_rule(
    g: Operand, operands: tuple[Operand, ...], place: int, subscripts: str, optimize: Any
) -> Operand:
    """The contribution to the operand at this place."""
    given, result = subscripts.split("->")
    others = given.split(",")
    own = others.pop(place)
    letters = "".join(dict.fromkeys(own))  # each once
    known = "".join(letter for letter in letters if letter in result or letter in "".join(others))
    exchanged = f"{','.join([result, *others])}->{known}"
    other_operands = operands[:place] + operands[place + 1 :]
    gradient = einsum(exchanged, g, *other_operands, optimize=optimize)
    # A letter that only this operand has was summed over, so all elements along it have the same
    # gradient.
    shape = shape_of(operands[place])
    length_of = dict(zip(own, shape, strict=True))
    found = dict(zip(known, shape_of(gradient), strict=True))
    gradient = reshape(gradient, tuple(found.get(letter, 1) for letter in letters))
    own_lengths = [length_of[letter] for letter in letters]
    gradient = broadcast_to(gradient, np.broadcast_shapes(shape_of(gradient), tuple(own_lengths)))
    if letters == own:
        return gradient
    # With a letter that comes twice, as in "ii->i", only the elements on the diagonal were used.
    # (An axis of length 1 that was broadcast has only the place 0: the remainder is 0.)
    pairs = zip(shape_of(gradient), own_lengths, strict=True)
    grid = np.ix_(*(np.arange(length) % own_length for length, own_length in pairs))
    places = dict(zip(letters, grid, strict=True))
    return scatter(gradient, tuple(places[letter] for letter in own), shape)


@operation(
    lambda g, out, x, subscripts, optimize: _einsum_rule(g, (x,), 0, subscripts, optimize),
    name="einsum",
)
def _einsum_of_one(x: Operand, subscripts: str, optimize: Any = None) -> Operand:
    return np.einsum(subscripts, x, optimize=bool(optimize))


@operation(
    lambda g, out, x, y, subscripts, optimize: _einsum_rule(g, (x, y), 0, subscripts, optimize),
    lambda g, out, x, y, subscripts, optimize: _einsum_rule(g, (x, y), 1, subscripts, optimize),
    name="einsum",
)
def _einsum_of_two(x: Operand, y: Operand, subscripts: str, optimize: Any = None) -> Operand:
    if isinstance(x, float) and not isinstance(y, float):
        x = x * np.ones((), y.dtype)  # a number widens nothing that it meets
    elif isinstance(y, float) and not isinstance(x, float):
        y = y * np.ones((), x.dtype)
    if optimize is None:
        optimize = _multiplications(subscripts, [np.shape(x), np.shape(y)]) > _MANY
    return np.einsum(subscripts, x, y, optimize=optimize)


# `optimize=True` multiplies by BLAS where it can. Preparing that takes as long as this many
# multiplications without it.
_MANY = 50_000


def _multiplications(subscripts: str, shapes: list[tuple[int, ...]]) -> int:
    """How many products of elements there are to add up."""
    given, _ = subscripts.split("->")
    return prod(_lengths(given.split(","), shapes).values())


def einsum(subscripts: Any, *operands: Any, optimize: Any = None) -> Operand:
    """Sums of products in Einstein's notation: `np.einsum("ij,jk->ik", x, y)` is x @ y.

    As in NumPy, a letter may come twice ("ii" is the trace), `...` stands for any axes, and axes of
    length 1 broadcast. Of three operands and more, two are multiplied at a time: those with the
    smallest product come first. `optimize` is NumPy's, for each of these products, and by default
    True for large ones. (A path counts as True: it would say in which order to multiply.)
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    if isinstance(optimize, list | tuple):
        optimize = True
    terms, result = _explicit(subscripts, [len(shape_of(x)) for x in operands])
    if len(operands) == 1:
        return _einsum_of_one(*operands, f"{terms[0]}->{result}", optimize)
    remaining = _as_floats(operands) if len(operands) > 2 else list(operands)
    while len(remaining) > 2:
        first, second, kept = _smallest_product(terms, result, [shape_of(x) for x in remaining])
        y, y_term = remaining.pop(second), terms.pop(second)
        x, x_term = remaining.pop(first), terms.pop(first)
        remaining.append(_einsum_of_two(x, y, f"{x_term},{y_term}->{kept}", optimize))
        terms.append(kept)
    return _einsum_of_two(*remaining, f"{','.join(terms)}->{result}", optimize)


def _as_floats(operands: tuple[Any, ...]) -> list[Operand]:
    """The operands, in which constants of integers or booleans have become floats.

    A product of two constants is computed in their own dtype: int8 could overflow, and a sum of
    booleans would be True.
    """
    leading = leading_node(operands)
    like = 0.0 if leading is None else leading._numbers
    return [x if isinstance(x, Node) else as_data(x, like) for x in operands]


def _smallest_product(
    terms: list[str], result: str, shapes: list[tuple[int, ...]]
) -> tuple[int, int, str]:
    """Of all pairs of operands, the one with the fewest elements in its product.

    Returns the places of the two operands, and the letters of their product: those that the result
    or another operand needs.
    """
    length_of = _lengths(terms, shapes)
    pairs = []
    for first, second in combinations(range(len(terms)), 2):
        others = [term for place, term in enumerate(terms) if place not in (first, second)]
        needed = set(result).union(*others)
        both = dict.fromkeys(terms[first] + terms[second])  # each letter once
        kept = "".join(letter for letter in both if letter in needed)
        size = prod(length_of[letter] for letter in kept)
        pairs.append((size, first, second, kept))
    return min(pairs)[1:]


def _lengths(terms: list[str], shapes: list[tuple[int, ...]]) -> dict[str, int]:
    """How long the axis is that each letter names."""
    length_of: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, length in zip(term, shape, strict=True):
            if length_of.get(letter, 1) == 1:  # axes of length 1 broadcast
                length_of[letter] = length
    return length_of


def _explicit(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with letters in place of `...`.

    `ValueError` if the subscripts are not well formed, or do not fit the operands.
    """
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != len(ndims):
        raise ValueError(
            f"expected subscripts for {len(ndims)} operands, as many as there are, "
            f"but got {subscripts!r}"
        )
    for term in (*terms, result):
        letters = term.replace("...", "", 1)
        if not set(letters) <= set(ascii_letters):
            raise ValueError(f"expected letters, commas, '...' and '->', but got {subscripts!r}")
    widths = []  # how many axes `...` stands for, in each operand
    for term, ndim in zip(terms, ndims, strict=True):
        width = ndim - len(term.replace("...", ""))
        if width < 0 or (width > 0 and "..." not in term):
            raise ValueError(f"the subscripts {term!r} do not fit an operand of {ndim} axes")
        widths.append(width)
    if not arrow:  # then the result has the letters that come once, in alphabetical order
        all_letters = given.replace("...", "").replace(",", "")
        result = "".join(sorted(x for x in all_letters if all_letters.count(x) == 1))
        result = f"...{result}"
    widest = np.max(widths, initial=0)
    if widest and "..." not in result:
        raise ValueError(f"the result has no '...' for the axes of the operands: {subscripts!r}")
    if len(set(result) - {"."}) < len(result.replace("...", "")):
        raise ValueError(f"expected each letter of the result once, but got {subscripts!r}")
    if not set(result) <= {*given, "."}:
        raise ValueError(f"a letter of the result is in no operand: {subscripts!r}")
    unused = [letter for letter in ascii_letters if letter not in subscripts]
    axes = "".join(unused[:widest])
    pairs = zip(terms, widths, strict=True)
    terms = [term.replace("...", axes[widest - width :]) for term, width in pairs]
    return terms, result.replace("...", axes)


def _from_lists(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Subscripts and operands from NumPy's other form: `einsum(x, [0, 1], y, [1, 2], [0, 2])`."""
    operands = arguments[0 : len(arguments) // 2 * 2 : 2]
    lists = arguments[1::2]
    subscripts = ",".join(map(_as_letters, lists))
    if len(arguments) % 2:
        subscripts += f"->{_as_letters(arguments[-1])}"
    return subscripts, operands


def _as_letters(numbers: Any) -> str:
    """A letter for each number, such that the numbers' order is that of sorted letters."""
    letters = ascii_uppercase + ascii_lowercase
    subscripts = []
    for n in numbers:
        if n is Ellipsis:
            subscripts.append("...")
        elif 0 <= index(n) < len(letters):
            subscripts.append(letters[n])
        else:
            raise ValueError(f"expected numbers of axes from 0 to 51, but got {shown(n)}")
    return "".join(subscripts)


# ── Norms ────────────────────────────────────────────────────────────────────────────────────────
def _norm_rule(g: Operand, out: Operand, x: Operand, axis: Axis, keepdims: bool) -> Operand:
    """g * x / out. At x = 0, where the norm has a kink, the slope is taken to be 0."""
    length = repeated(out, x, axis, keepdims)
    is_zero = length == 0
    direction = divide(x, where(is_zero, 1.0, length))
    return where(is_zero, 0.0, repeated(g, x, axis, keepdims) * direction)


@operation(_norm_rule, name="norm")
def euclidean_norm(x: Operand, axis: Axis = None, keepdims: bool = False) -> Operand:
    """The square root of the sum of squares, along axes."""
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


def norm(x: Operand, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Operand:
    """The norm of a vector or a matrix, as `numpy.linalg.norm`.

    | ord         | of a vector                       | of a matrix                      |
    | ----------- | --------------------------------- | -------------------------------- |
    | None        | the root of the sum of squares    | the same                         |
    | 2 or "fro"  | the root of the sum of squares, 2 | the same, "fro"                  |
    | 1           | the sum of absolute values        | the largest such sum of a column |
    | inf         | the largest absolute value        | the largest such sum of a row    |

    With `axis`, x holds many vectors (one axis) or matrices (two).

    At 0 the gradient is 0, as in PyTorch, and so is the second derivative. Other orders are a
    `ValueError`.
    """
    check_flag("keepdims", keepdims)
    ndim = len(shape_of(x))
    axes = tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)
    if ord is None and (axis is None or len(axes) in (1, 2)):
        return euclidean_norm(x, axes, keepdims)
    if len(axes) == 1:
        if ord == 2:
            return euclidean_norm(x, axes, keepdims)
        if ord == 1:
            return sum(absolute(x), axes, keepdims)
        if ord == np.inf:
            return max(absolute(x), axes, keepdims)
    if len(axes) == 2:
        if ord in ("fro", "f"):
            return euclidean_norm(x, axes, keepdims)
        if ord in (1, np.inf):
            rows, columns = axes
            summed, compared = (rows, columns) if ord == 1 else (columns, rows)
            largest = max(sum(absolute(x), summed, True), compared, True)
            return largest if keepdims else sum(largest, axes)
    raise ValueError(
        "the norm of a Value takes ord None, 2 (vectors), 'fro' (matrices), 1 or inf, along one "
        f"axis or two, but got ord={shown(ord)} for {len(axes)} axes"
    )


# ── Diagonals ────────────────────────────────────────────────────────────────────────────────────
def _places(rows: int, columns: int, offset: int) -> tuple[Any, Any]:
    """The rows and the columns of a diagonal's elements, in a matrix of this size."""
    offset = index(offset)  # `TypeError` unless it is an integer
    first_row = -offset if offset < 0 else 0
    first_column = offset if offset > 0 else 0
    length = np.clip(min(rows - first_row, columns - first_column), 0, None)
    steps = np.arange(length)
    return first_row + steps, first_column + steps


def diagonal(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Operand:
    """The diagonal of each matrix in x, `offset` places above the main one, as the last axis."""
    matrices = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = shape_of(matrices)[-2:]
    return getitem(matrices, (..., *_places(rows, columns, offset)))


def trace(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Operand:
    """The sum along the diagonal."""
    return sum(diagonal(x, offset, axis1, axis2), axis=-1)


def diag(x: Operand, k: int = 0) -> Operand:
    """A matrix's diagonal; or, of a vector, the matrix with this diagonal and zeros elsewhere.

    It is `k` places above the main diagonal.
    """
    shape = shape_of(x)
    if len(shape) == 2:
        return diagonal(x, k)
    if len(shape) != 1:
        raise ValueError(f"expected a vector or a matrix, but got shape {shape}")
    size = shape[0] + abs(k)
    return scatter(x, _places(size, size, k), (size, size))


for _function in (diag, diagonal, dot, einsum, inner, outer, tensordot, trace):
    NUMPY[getattr(np, _function.__name__)] = _function
NUMPY[np.linalg.norm] = norm
