"""For each operation: a strategy that draws operands where it is smooth, and NumPy's result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

from microgd import nn
from microgd import operations as ops

MOST_ELEMENTS = 24  # each element is moved up and down in turn, so a few are enough


@dataclass
class Domain:
    """A function of operands and options, a strategy for both, and the same function in NumPy."""

    function: Callable[..., Any]
    cases: st.SearchStrategy[tuple[list[Any], dict[str, Any]]]
    reference: Callable[..., Any]
    elementwise: bool = False
    numpys: Any = None  # NumPy's own function, if the reference is just a call of it


def numbers(draw, shape, low=-2.0, high=2.0):
    """Numbers between the bounds; a Python float if the shape is ()."""
    drawn = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).uniform(low, high, shape)
    return drawn if shape else float(drawn)


def distinct(draw, shape, offset=0.0):
    """Numbers that all differ, by more than the step of a difference quotient."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drawn = 0.5 * rng.permutation(int(np.prod(shape))).reshape(shape) - 2 + offset
    return drawn if shape else float(drawn)


def shapes(min_dims=0, max_dims=4, min_side=0):
    """Shapes with `min_dims` to `max_dims` axes, some of length 1 or empty."""
    any_shape = hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4
    )
    return any_shape.filter(lambda shape: np.prod(shape) <= MOST_ELEMENTS)


@st.composite
def broadcasting(draw, *intervals, draws=numbers):
    """Operands whose shapes broadcast together, one for each interval."""
    drawn = hnp.mutually_broadcastable_shapes(
        num_shapes=len(intervals), max_dims=4, min_side=0, max_side=3
    )
    found = draw(drawn.filter(lambda s: np.prod(s.result_shape) <= MOST_ELEMENTS))
    return [
        draws(draw, shape, *interval)
        for shape, interval in zip(found.input_shapes, intervals, strict=True)
    ], {}


@st.composite
def reduced(draw, draws=numbers, min_side=0, with_keepdims=True):
    """One operand, some of its axes, and whether they are kept."""
    shape = draw(shapes(min_side=min_side))
    axes = (
        st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda a: a % len(shape))
        if shape
        else st.just([])
    )
    axis = draw(
        st.one_of(
            st.none(),
            axes.map(tuple),
            *([st.integers(-len(shape), len(shape) - 1)] if shape else []),
        )
    )
    if not with_keepdims:  # softmax needs at least one axis
        axis = -1 if axis is None or (shape and axis == ()) else axis
        return [draws(draw, shape)], {"axis": axis}
    return [draws(draw, shape)], {"axis": axis, "keepdims": draw(st.booleans())}


@st.composite
def matrices(draw):
    """Two operands for @: vectors, matrices, or stacks of matrices that broadcast."""
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    stacks = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=0, max_side=2)
    )
    x_stack, y_stack = stacks.input_shapes
    x = draw(st.sampled_from([(k,), (n, k), (*x_stack, n, k)]))
    y = draw(st.sampled_from([(k,), (k, m), (*y_stack, k, m)]))
    return [numbers(draw, x), numbers(draw, y)], {}


@st.composite
def reshaped(draw):
    shape = draw(shapes())
    target = list(draw(st.permutations(shape))) + [1] * draw(st.integers(0, 2))
    if target and all(target) and draw(st.booleans()):
        target[draw(st.integers(0, len(target) - 1))] = -1
    return [numbers(draw, shape)], {"shape": tuple(target)}


@st.composite
def transposed(draw):
    shape = draw(shapes())
    orders = st.permutations(range(len(shape))).map(
        lambda axes: tuple(a - draw(st.sampled_from([0, len(shape)])) for a in axes)
    )
    return [numbers(draw, shape)], {"axes": draw(st.one_of(st.none(), orders))}


@st.composite
def stretched(draw):
    found = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)
    )
    return [numbers(draw, found.input_shapes[0])], {"shape": found.result_shape}


@st.composite
def indexed(draw):
    shape = draw(shapes(min_dims=1, max_dims=3, min_side=1))
    picks = st.one_of(
        hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True),
        hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)),
        hnp.arrays(bool, shape),
        st.lists(st.integers(-shape[0], shape[0] - 1), max_size=4).map(
            lambda rows: np.array(rows, int)
        ),
    )
    return [numbers(draw, shape)], {"index": draw(picks)}


@st.composite
def scattered(draw):
    (x,), options = draw(indexed())
    picked = np.asarray(x)[options["index"]]
    return [numbers(draw, picked.shape)], {"index": options["index"], "shape": np.shape(x)}


def _add_at(x, index, shape):
    zeros = np.zeros(shape, np.asarray(x).dtype)
    np.add.at(zeros, index, x)
    return zeros


@st.composite
def joined(draw, new_axis):
    shape = list(draw(shapes(min_dims=0 if new_axis else 1, max_dims=3)))
    axis = draw(st.integers(-len(shape) - new_axis, len(shape) - 1 + new_axis))
    count = draw(st.integers(1, 3))
    operands = []
    for _ in range(count):
        if not new_axis:
            shape[axis] = draw(st.integers(0, 3))
        operands.append(numbers(draw, tuple(shape)))
    return operands, {"axis": axis}


@st.composite
def chosen(draw):
    (x, y), _ = draw(broadcasting((), ()))
    shape = np.broadcast_shapes(np.shape(x), np.shape(y))
    return [draw(hnp.arrays(bool, shape)), x, y], {}


@st.composite
def clipped(draw):
    x = distinct(draw, draw(shapes()), 0.25)
    bounds = draw(st.sampled_from([(None, 1.0), (-1.0, None), (-1.0, 1.0), (1.0, -1.0), (0, 1)]))
    return [x], dict(zip(("min", "max"), bounds, strict=True))


@st.composite
def powers(draw):
    """A positive base with any exponent, or any base with a whole exponent.

    `_power` keeps the whole exponent constant.
    """
    return draw(broadcasting((0.3, 2.0), (-2.0, 2.0)))


@st.composite
def layered(draw):
    batch, inputs, outputs = (
        draw(shapes(max_dims=2)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
    )
    return [
        numbers(draw, (*batch, inputs)),
        numbers(draw, (outputs, inputs)),
        numbers(draw, (outputs,)),
    ], {}


@st.composite
def classified(draw):
    examples, classes = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    labels = draw(hnp.arrays(np.int64, examples, elements=st.integers(0, classes - 1)))
    return [numbers(draw, (examples, classes)), labels], {}


@st.composite
def of_two_classes(draw):
    shape = draw(shapes(min_side=1))
    return [numbers(draw, shape), numbers(draw, shape, 0.05, 0.95)], {}


def _binary_cross_entropy(x, targets):
    of_one, of_zero = np.log1p(np.exp(-x)), np.log1p(np.exp(x))
    return np.mean(targets * of_one + (1 - targets) * of_zero)


def _log_softmax(x, axis):
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


def _logsumexp(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def _join(function):
    return lambda *arrays, axis: function(list(arrays), axis=axis)


DOMAINS: dict[str, Domain] = {
    name: Domain(getattr(ops, name), broadcasting(*intervals), getattr(np, name), elementwise=True)
    for name, *intervals in [
        ("add", (), ()),
        ("subtract", (), ()),
        ("multiply", (), ()),
        ("divide", (), (0.5, 2)),
        ("negative", ()),
        ("positive", ()),
        ("square", ()),
        ("sqrt", (0.1, 2)),
        ("exp", ()),
        ("exp2", ()),
        ("expm1", ()),
        ("log", (0.1, 2)),
        ("log2", (0.1, 2)),
        ("log10", (0.1, 2)),
        ("log1p", (-0.8, 2)),
        ("logaddexp", (), ()),
        ("sin", ()),
        ("cos", ()),
        ("tan", (-1, 1)),
        ("arcsin", (-0.8, 0.8)),
        ("arccos", (-0.8, 0.8)),
        ("arctan", ()),
        ("sinh", ()),
        ("cosh", ()),
        ("tanh", ()),
        ("arcsinh", ()),
        ("arccosh", (1.3, 3)),
        ("arctanh", (-0.8, 0.8)),
    ]
}
DOMAINS |= {
    "power": Domain(ops.power, powers(), np.power, elementwise=True),
    "_sech": Domain(ops._sech, broadcasting(()), lambda x: 1 / np.cosh(x), elementwise=True),
    "_one_minus_square": Domain(
        ops._one_minus_square, broadcasting(()), lambda x: 1 - x * x, elementwise=True
    ),
    "_half_sech": Domain(
        ops._half_sech, broadcasting(()), lambda x: 0.5 / np.cosh(x / 2), elementwise=True
    ),
    "_hypotenuse": Domain(
        ops._hypotenuse, broadcasting(()), lambda x: np.sqrt(1 + x * x), elementwise=True
    ),
    "sigmoid": Domain(
        ops.sigmoid, broadcasting(()), lambda x: 1 / (1 + np.exp(-x)), elementwise=True
    ),
    "relu": Domain(
        ops.relu,
        broadcasting((0.25,), draws=distinct),
        lambda x: np.where(x > 0, x, 0),
        elementwise=True,
    ),
    "sign": Domain(ops.sign, broadcasting((0.25,), draws=distinct), np.sign, elementwise=True),
    "absolute": Domain(
        ops.absolute, broadcasting((0.25,), draws=distinct), np.absolute, elementwise=True
    ),
    "maximum": Domain(
        ops.maximum, broadcasting((), (0.25,), draws=distinct), np.maximum, elementwise=True
    ),
    "minimum": Domain(
        ops.minimum, broadcasting((), (0.25,), draws=distinct), np.minimum, elementwise=True
    ),
    "where": Domain(ops.where, chosen(), np.where),
    "clip": Domain(ops.clip, clipped(), lambda x, min, max: np.clip(x, min, max)),
    "sum": Domain(ops.sum, reduced(), np.sum),
    "mean": Domain(ops.mean, reduced(min_side=1), np.mean),
    "max": Domain(ops.max, reduced(distinct, min_side=1), np.max),
    "min": Domain(ops.min, reduced(distinct, min_side=1), np.min),
    "logsumexp": Domain(ops.logsumexp, reduced(min_side=1), _logsumexp),
    "softmax": Domain(
        ops.softmax,
        reduced(min_side=1, with_keepdims=False),
        lambda x, axis: np.exp(_log_softmax(x, axis)),
    ),
    "log_softmax": Domain(ops.log_softmax, reduced(min_side=1, with_keepdims=False), _log_softmax),
    "matmul": Domain(ops.matmul, matrices(), np.matmul),
    "reshape": Domain(ops.reshape, reshaped(), lambda x, shape: np.reshape(x, shape)),
    "transpose": Domain(ops.transpose, transposed(), np.transpose),
    "broadcast_to": Domain(ops.broadcast_to, stretched(), np.broadcast_to),
    "astype": Domain(
        ops.astype,
        broadcasting(()).map(lambda c: (c[0], {"dtype": np.float64})),
        lambda x, dtype: np.asarray(x).astype(dtype),
    ),
    "getitem": Domain(ops.getitem, indexed(), lambda x, index: np.asarray(x)[index]),
    "scatter": Domain(ops.scatter, scattered(), _add_at),
    "concatenate": Domain(_join(ops.concatenate), joined(False), _join(np.concatenate)),
    "stack": Domain(_join(ops.stack), joined(True), _join(np.stack)),
    "linear": Domain(nn.linear, layered(), lambda x, weight, bias: x @ weight.T + bias),
    "cross_entropy": Domain(
        nn.cross_entropy,
        classified(),
        lambda x, labels: -_log_softmax(x, 1)[np.arange(len(labels)), labels].mean(),
    ),
    "binary_cross_entropy_with_logits": Domain(
        nn.binary_cross_entropy_with_logits, of_two_classes(), _binary_cross_entropy
    ),
}

# Functions composed of operations, checked in the same way.
COMPOSED: dict[str, Domain] = {
    "var": Domain(ops.var, reduced(min_side=1), np.var),
    "squeeze": Domain(ops.squeeze, broadcasting(()), np.squeeze),
    "ravel": Domain(ops.ravel, broadcasting(()), np.ravel),
    "mse_loss": Domain(
        lambda x: nn.mse_loss(x, np.ones(np.shape(x) if isinstance(x, float) else x.shape)),
        reduced(min_side=1).map(lambda case: (case[0], {})),
        lambda x: np.mean((x - 1) ** 2),
    ),
}

# It draws with the functions above, and adds to both tables. So it comes last.
import numpy_domains  # noqa: E402, F401
