"""Domains of NumPy's further functions, which `domains.py` adds to its own.

Each is called in the same way in NumPy and in microgd, so its reference is NumPy's function itself.
Given Values, that reference leads to microgd's function through NumPy's protocols.
"""

from collections.abc import Callable
from functools import partial
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np
from domains import (
    COMPOSED,
    DOMAINS,
    MOST_ELEMENTS,
    Domain,
    broadcasting,
    distinct,
    numbers,
    reduced,
    shapes,
)
from hypothesis import assume
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from microgd import numpy_functions
from microgd.numpy_functions import shapes as shape_functions
from microgd.numpy_functions import statistics
from microgd.registry import NUMPY


def numpys(
    function: Callable[..., Any],
    cases: st.SearchStrategy[tuple[list[Any], dict[str, Any]]],
    call: Callable[..., Any] | None = None,
) -> Domain:
    """The domain of one of NumPy's functions.

    `call(function, *operands, **options)` says how to call it, if not with just these.
    """
    ours = NUMPY[function]
    if call is None:
        return Domain(ours, cases, function, numpys=function)
    return Domain(partial(call, ours), cases, partial(call, function), numpys=function)


def elementwise(name: str, cases: Any) -> Domain:
    function = getattr(np, name)
    return Domain(
        getattr(numpy_functions, name), cases, function, elementwise=True, numpys=function
    )


def signed(draw, shape):
    """Numbers that are not near 0."""
    sizes = numbers(draw, shape, 0.3, 2.0)
    signs = np.where(np.asarray(numbers(draw, shape, -1.0, 1.0)) < 0, -1.0, 1.0)
    return sizes * signs if shape else float(sizes * signs)


def axes_of(draw, shape):
    """One of the axes, counted from the front or from the back."""
    return draw(st.integers(-len(shape), len(shape) - 1))


@st.composite
def arrays(draw, min_dims=0, max_dims=3, min_side=0, draws=numbers, **options):
    """One operand, and each option from its own strategy."""
    shape = draw(shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side))
    drawn = {name: draw(strategy) for name, strategy in options.items()}
    return [draws(draw, shape)], drawn


@st.composite
def along(draw, draws=numbers, min_dims=0, min_side=0):
    """One operand, and one of its axes or None."""
    shape = draw(shapes(min_dims=min_dims, max_dims=3, min_side=min_side))
    axis = axes_of(draw, shape) if shape and draw(st.integers(0, 3)) else None
    return [draws(draw, shape)], {"axis": axis}


# ── Products ──────────────────────────────────────────────────────────────────────────────────────
@st.composite
def dotted(draw):
    n, k, m, p = (draw(st.integers(0, 3)) for _ in range(4))
    x = draw(st.sampled_from([(), (k,), (n, k), (p, n, k)]))
    y = draw(st.sampled_from([(), (k,), (k, m), (2, k, m)]))
    return [numbers(draw, x), numbers(draw, y)], {}


@st.composite
def inside(draw):
    n, k, m, p = (draw(st.integers(0, 3)) for _ in range(4))
    x = draw(st.sampled_from([(), (k,), (n, k), (p, n, k)]))
    y = draw(st.sampled_from([(), (k,), (m, k), (2, m, k)]))
    return [numbers(draw, x), numbers(draw, y)], {}


@st.composite
def outside(draw):
    x, y = (draw(shapes(max_dims=2)) for _ in range(2))
    assume(np.prod(x) * np.prod(y) <= MOST_ELEMENTS)
    return [numbers(draw, x), numbers(draw, y)], {}


@st.composite
def contracted(draw):
    """Two operands, and the axes of each to sum over."""
    sides = st.lists(st.integers(0, 3), max_size=2)
    summed, x_kept, y_kept = draw(sides), draw(sides), draw(sides)
    assume(np.prod(x_kept + y_kept) <= MOST_ELEMENTS)
    if draw(st.booleans()):
        operands = [numbers(draw, (*x_kept, *summed)), numbers(draw, (*summed, *y_kept))]
        return operands, {"axes": len(summed)}
    x_order = draw(st.permutations(range(len(x_kept + summed))))
    y_order = draw(st.permutations(range(len(summed + y_kept))))
    x_shape = tuple((x_kept + summed)[i] for i in x_order)
    y_shape = tuple((summed + y_kept)[i] for i in y_order)
    x_axes = [x_order.index(len(x_kept) + i) for i in range(len(summed))]
    y_axes = [
        y_order.index(i) - draw(st.sampled_from([0, len(y_order)])) for i in range(len(summed))
    ]
    axes = (x_axes[0], y_axes[0]) if len(summed) == 1 and draw(st.booleans()) else (x_axes, y_axes)
    return [numbers(draw, x_shape), numbers(draw, y_shape)], {"axes": axes}


LETTERS = ascii_uppercase + ascii_lowercase


@st.composite
def summed_products(draw):
    """One to four operands, and subscripts for them: any that NumPy takes.

    Letters come several times, also in one operand; axes of length 1 broadcast; `...` stands for up
    to two axes; the result is explicit or not.
    """
    length_of = {letter: draw(st.sampled_from([0, 1, 2, 2, 2, 3])) for letter in "iBj"}
    has_dots = draw(st.booleans())
    more = draw(st.lists(st.sampled_from([1, 2, 3]), max_size=2)) if has_dots else []
    operands, terms = [], []
    for _ in range(draw(st.integers(1, 4))):
        letters = draw(st.lists(st.sampled_from("iBj"), max_size=3))
        broadcast = {letter for letter in letters if draw(st.integers(0, 5)) == 5}
        shape = [1 if letter in broadcast else length_of[letter] for letter in letters]
        if has_dots and draw(st.booleans()):
            place = draw(st.integers(0, len(letters)))
            width = draw(st.integers(0, len(more)))
            shape[place:place] = [
                1 if draw(st.integers(0, 3)) == 3 else n for n in more[len(more) - width :]
            ]
            letters.insert(place, "...")
        assume(np.prod(shape) <= MOST_ELEMENTS)
        operands.append(numbers(draw, tuple(shape)))
        terms.append("".join(letters))
    subscripts = ",".join(terms)
    if draw(st.booleans()):
        used = sorted(set(subscripts) & set("iBj"))
        result = draw(st.lists(st.sampled_from(used), unique=True)) if used else []
        if "..." in subscripts:
            result.insert(draw(st.integers(0, len(result))), "...")
        subscripts += f"->{''.join(result)}"
    assume(np.einsum(subscripts, *operands).size <= MOST_ELEMENTS)
    return operands, {"subscripts": subscripts, "as_lists": draw(st.booleans())}


def as_list(term):
    """NumPy's other way to write a term: "i..." as [34, Ellipsis]."""
    return [... if part == "." else LETTERS.index(part) for part in term.replace("...", ".")]


def call_einsum(function, *operands, subscripts, as_lists):
    if not as_lists:
        return function(subscripts, *operands)
    terms, arrow, result = subscripts.partition("->")
    arguments = []
    for operand, term in zip(operands, terms.split(","), strict=True):
        arguments += [operand, as_list(term)]
    return function(*arguments, *([as_list(result)] if arrow else []))


@st.composite
def measured(draw):
    """An operand for a Euclidean norm: of all, of vectors or of matrices."""
    shape = draw(shapes())
    axis, order = None, None
    if shape and draw(st.booleans()):
        axis = axes_of(draw, shape)
        order = draw(st.sampled_from([None, 2]))
    elif len(shape) >= 2 and draw(st.booleans()):
        axis = tuple(draw(st.permutations(range(len(shape))))[:2])
        order = draw(st.sampled_from([None, "fro", "f"]))
    elif len(shape) in (1, 2):
        order = draw(st.sampled_from([None, [2, "fro"][len(shape) - 1]]))
    options = {"ord": order, "axis": axis, "keepdims": draw(st.booleans())}
    return [signed(draw, shape)], options


@st.composite
def measured_otherwise(draw):
    """An operand for a norm that adds up sizes (1) or takes the largest (inf)."""
    shape = draw(shapes(min_dims=1, max_dims=3, min_side=1))
    axis = None
    if len(shape) == 3 or draw(st.booleans()):
        count = draw(st.integers(1, min(2, len(shape))))
        axes = tuple(draw(st.permutations(range(len(shape))))[:count])
        axis = axes[0] if count == 1 and draw(st.booleans()) else axes
    x = signed(draw, shape)
    sums = [np.abs(x).sum(axes) for axes in range(len(shape))]
    gaps = [np.diff(np.unique(part)) for part in (np.abs(x), *sums)]
    assume(all(np.all(part > 1e-3) for part in gaps))
    options = {"ord": draw(st.sampled_from([1, np.inf])), "axis": axis}
    return [x], options | {"keepdims": draw(st.booleans())}


@st.composite
def diagonals(draw):
    shape = draw(shapes(min_dims=2, max_dims=4))
    axis1, axis2 = draw(st.permutations(range(len(shape))))[:2]
    options = {"offset": draw(st.integers(-4, 4)), "axis1": axis1 - len(shape), "axis2": axis2}
    return [numbers(draw, shape)], options if draw(st.booleans()) else {}


# ── Statistics ────────────────────────────────────────────────────────────────────────────────────
@st.composite
def spreads(draw):
    (x,), options = draw(reduced(distinct, min_side=1))
    mean = np.mean(x, options["axis"])
    several = np.size(x) > np.size(mean)
    return [x], options | {"ddof": draw(st.sampled_from([0, 1])) if several else 0}


@st.composite
def factors(draw):
    """Factors, of which one may be 0."""
    return draw(reduced(draw(st.sampled_from([signed, distinct]))))


@st.composite
def averaged(draw):
    """An operand, or an operand and its weights, and an axis."""
    (x,), options = draw(reduced(min_side=1))
    shape, axis = np.shape(x), options["axis"]
    kind = draw(st.sampled_from(["none", "all", "along"]))
    if kind == "none":
        return [x], options
    if kind == "all" or axis is None or axis == ():
        return [x, numbers(draw, shape, 0.5, 2.0)], options
    axes = axis if isinstance(axis, tuple) else (axis,)
    return [x, numbers(draw, tuple(shape[i] for i in axes), 0.5, 2.0)], options


def call_average(function, x, weights=None, **options):
    return function(x, weights=weights, **options)


@st.composite
def recurrences(draw):
    shape = draw(shapes(min_dims=1, max_dims=3))
    return [numbers(draw, shape), numbers(draw, shape)], {"axis": axes_of(draw, shape)}


def recurrence(x, y, axis):
    x, y = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
    rows = list(x[:1])
    for x_row, y_row in zip(x[1:], y[1:], strict=True):
        rows.append(x_row + y_row * rows[-1])
    return np.moveaxis(np.array(rows).reshape(x.shape), 0, axis)


# ── Shapes ────────────────────────────────────────────────────────────────────────────────────────
@st.composite
def expanded(draw):
    shape = draw(shapes(max_dims=3))
    count = draw(st.integers(0, 2))
    ndim = len(shape) + count
    axes = tuple(
        i - draw(st.sampled_from([0, ndim])) for i in draw(st.permutations(range(ndim)))[:count]
    )
    return [numbers(draw, shape)], {"axis": axes[0] if count == 1 else axes}


@st.composite
def swapped(draw):
    shape = draw(shapes(min_dims=1))
    return [numbers(draw, shape)], {"axis1": axes_of(draw, shape), "axis2": axes_of(draw, shape)}


@st.composite
def moved(draw):
    shape = draw(shapes(min_dims=1))
    if draw(st.booleans()):
        options = {"source": axes_of(draw, shape), "destination": axes_of(draw, shape)}
        return [numbers(draw, shape)], options
    count = draw(st.integers(0, len(shape)))
    source, destination = (
        tuple(draw(st.permutations(range(len(shape))))[:count]) for _ in range(2)
    )
    return [numbers(draw, shape)], {"source": source, "destination": destination}


@st.composite
def flipped(draw):
    (x,), options = draw(reduced())
    return [x], {"axis": options["axis"]}


@st.composite
def rolled(draw):
    shape = draw(shapes())
    shift = st.integers(-5, 5)
    if not shape or draw(st.booleans()):
        axis = axes_of(draw, shape) if shape and draw(st.booleans()) else None
        return [numbers(draw, shape)], {"shift": draw(shift), "axis": axis}
    axes = draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=3))
    shifts = draw(st.one_of(shift, st.tuples(*[shift] * len(axes))))
    return [numbers(draw, shape)], {"shift": shifts, "axis": tuple(axes)}


@st.composite
def repeated(draw):
    (x,), options = draw(along())
    axis = options["axis"]
    length = np.size(x) if axis is None else np.shape(x)[axis]
    each = st.integers(0, 2)
    repeats = draw(st.one_of(each, st.lists(each, min_size=length, max_size=length)))
    return [x], {"repeats": repeats, "axis": axis}


@st.composite
def tiled(draw):
    shape = draw(shapes(max_dims=2))
    reps = draw(st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=3).map(tuple)))
    assume(np.tile(np.zeros(shape), reps).size <= 2 * MOST_ELEMENTS)
    return [numbers(draw, shape)], {"reps": reps}


@st.composite
def cut(draw):
    shape = draw(shapes(min_dims=1))
    axis = axes_of(draw, shape)
    length = shape[axis]
    whole = [n for n in range(1, length + 1) if length % n == 0] or [1]
    places = st.lists(st.integers(-length, length + 1), max_size=3)
    sections = draw(st.one_of(st.sampled_from(whole), places))
    count = sections if isinstance(sections, int) else len(sections) + 1
    options = {"indices_or_sections": sections, "axis": axis}
    return [numbers(draw, shape)], options | {"piece": draw(st.integers(0, count - 1))}


def call_split(function, x, piece, **options):
    return function(x, **options)[piece]


@st.composite
def taken(draw):
    (x,), options = draw(along(min_side=1))
    axis = options["axis"]
    length = np.size(x) if axis is None else np.shape(x)[axis]
    index_shape = draw(shapes(max_dims=2))
    places = np.random.default_rng(draw(st.integers(0, 99))).integers(-length, length, index_shape)
    indices = places if draw(st.booleans()) else places.tolist()
    return [x], {"indices": indices, "axis": axis}


@st.composite
def taken_along(draw):
    (x,), options = draw(along(min_dims=1, min_side=1))
    axis = options["axis"]
    shape = [np.size(x)] if axis is None else list(np.shape(x))
    place = axis or 0
    length = shape[place]
    shape = [1 if n > 1 and draw(st.integers(0, 3)) == 3 else n for n in shape]
    shape[place] = draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return [x], {"indices": rng.integers(-length, length, shape), "axis": axis}


@st.composite
def on_top(draw):
    """For vstack: rows, and matrices with such rows, or numbers."""
    n = draw(st.integers(0, 3))
    shape = st.sampled_from([(n,), (1, n), (2, n), (0, n)] + [()] * (n == 1))
    return [numbers(draw, draw(shape)) for _ in range(draw(st.integers(1, 3)))], {}


@st.composite
def side_by_side(draw):
    """For hstack: vectors and numbers, or matrices of as many rows, or larger arrays."""
    n = draw(st.integers(0, 3))
    kinds = [[(n,), (2,), ()], [(n, 2), (n, 0), (n, 1)], [(n, 1, 2), (n, 2, 2)]]
    shape = st.sampled_from(draw(st.sampled_from(kinds)))
    return [numbers(draw, draw(shape)) for _ in range(draw(st.integers(1, 3)))], {}


@st.composite
def columns(draw):
    """For column_stack: columns, and matrices with such columns, or numbers."""
    n = draw(st.integers(0, 3))
    shape = st.sampled_from([(n,), (n, 1), (n, 2), (n, 0)] + [()] * (n == 1))
    return [numbers(draw, draw(shape)) for _ in range(draw(st.integers(1, 3)))], {}


def call_with_list(function, *operands, **options):
    return function(list(operands), **options)


@st.composite
def padded(draw, min_side=0):
    shape = draw(shapes(min_dims=1, max_dims=3, min_side=min_side))
    width = st.integers(0, 2)
    pair = st.tuples(width, width)
    widths = draw(st.one_of(width, pair, st.tuples(*[pair] * len(shape))))
    return [numbers(draw, shape)], {"pad_width": widths}


@st.composite
def padded_with_constants(draw):
    (x,), options = draw(padded())
    number = st.sampled_from([0.0, 2.0, -1])
    pairs = st.tuples(*[st.tuples(number, number)] * np.ndim(x))
    more = st.one_of(
        st.just({}), st.fixed_dictionaries({"constant_values": st.one_of(number, pairs)})
    )
    return [x], options | draw(more)


@st.composite
def windows(draw):
    shape = draw(shapes(min_dims=1, max_dims=3, min_side=1))
    if draw(st.booleans()):
        window = tuple(draw(st.integers(1, n)) for n in shape)
        options = {"window_shape": window[0] if len(shape) == 1 and draw(st.booleans()) else window}
    else:
        axis = axes_of(draw, shape)
        first = draw(st.integers(0, shape[axis]))
        if draw(st.integers(0, 3)) == 3:  # the same axis twice
            second = draw(st.integers(0, shape[axis] - max(first - 1, 0)))
            options = {"window_shape": (first, second), "axis": (axis, axis)}
        else:
            options = {"window_shape": first, "axis": axis}
    assume(sliding_window_view(np.zeros(shape), **options).size <= 2 * MOST_ELEMENTS)
    return [numbers(draw, shape)], options


@st.composite
def sums_of_windows(draw):
    (x,), options = draw(windows())
    shape = np.shape(x)
    axis = options.get("axis", tuple(range(len(shape))))
    axes = tuple(i % len(shape) for i in np.atleast_1d(axis).tolist())
    window = tuple(np.atleast_1d(options["window_shape"]).tolist())
    view = sliding_window_view(x, window, axes)
    return [numbers(draw, view.shape)], {"window_shape": window, "axis": axes, "shape": shape}


def sum_of_windows(x, window_shape, axis, shape):
    places = sliding_window_view(np.arange(np.prod(shape)).reshape(shape), window_shape, axis)
    total = np.zeros(int(np.prod(shape)), np.asarray(x).dtype)
    np.add.at(total, places.ravel(), np.ravel(x))
    return total.reshape(shape)


between_steps = partial(distinct, offset=0.23)
some_offset = st.integers(-4, 4)

DOMAINS |= {
    "arctan2": elementwise("arctan2", broadcasting((), (), draws=signed)),
    "hypot": elementwise("hypot", broadcasting((), (), draws=signed)),
    "cbrt": elementwise("cbrt", broadcasting((), draws=signed)),
    "floor": elementwise("floor", broadcasting((), draws=between_steps)),
    "ceil": elementwise("ceil", broadcasting((), draws=between_steps)),
    "trunc": elementwise("trunc", broadcasting((), draws=between_steps)),
    "rint": elementwise("rint", broadcasting((), draws=between_steps)),
    "round": numpys(np.round, arrays(draws=between_steps, decimals=st.integers(-1, 2))),
    "flip": numpys(np.flip, flipped()),
    "roll": numpys(np.roll, rolled()),
    "pad": numpys(np.pad, padded_with_constants()),
    "sliding_window_view": numpys(sliding_window_view, windows()),
    "_sum_of_windows": Domain(shape_functions._sum_of_windows, sums_of_windows(), sum_of_windows),
    "einsum": numpys(np.einsum, summed_products(), call_einsum),
    "norm": numpys(np.linalg.norm, measured()),
    "cumsum": numpys(np.cumsum, along()),
    "cumprod": numpys(np.cumprod, along(draws=distinct)),
    "_recurrence": Domain(statistics._recurrence, recurrences(), recurrence),
    "prod": numpys(np.prod, factors()),
}

COMPOSED |= {
    "reciprocal": numpys(np.reciprocal, broadcasting((), draws=signed)),
    "dot": numpys(np.dot, dotted()),
    "inner": numpys(np.inner, inside()),
    "outer": numpys(np.outer, outside()),
    "tensordot": numpys(np.tensordot, contracted()),
    "norm_of_another_order": numpys(np.linalg.norm, measured_otherwise()),
    "trace": numpys(np.trace, diagonals()),
    "diagonal": numpys(np.diagonal, diagonals()),
    "diag": numpys(np.diag, arrays(min_dims=1, max_dims=2, k=some_offset)),
    "std": numpys(np.std, spreads()),
    "average": numpys(np.average, averaged(), call_average),
    "sort": numpys(np.sort, along(draws=distinct)),
    "expand_dims": numpys(np.expand_dims, expanded()),
    "swapaxes": numpys(np.swapaxes, swapped()),
    "moveaxis": numpys(np.moveaxis, moved()),
    "repeat": numpys(np.repeat, repeated()),
    "tile": numpys(np.tile, tiled()),
    "split": numpys(np.split, cut(), call_split),
    "take": numpys(np.take, taken()),
    "take_along_axis": numpys(np.take_along_axis, taken_along()),
    "vstack": numpys(np.vstack, on_top(), call_with_list),
    "hstack": numpys(np.hstack, side_by_side(), call_with_list),
    "column_stack": numpys(np.column_stack, columns(), call_with_list),
    "pad_with_edges": numpys(
        np.pad, padded(min_side=1).map(lambda case: (case[0], case[1] | {"mode": "edge"}))
    ),
    "tril": numpys(np.tril, arrays(min_dims=1, k=some_offset)),
    "triu": numpys(np.triu, arrays(min_dims=1, k=some_offset)),
}
