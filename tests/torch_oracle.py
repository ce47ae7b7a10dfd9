"""Programs that run on both microgd and PyTorch, and how far their results may differ.

How much rounding can change a result depends on the program. So each program also runs on microgd
in float64, with random rounding: its leaves, and the result of every operation that rounds, change
at random by up to one part in 1/eps, where eps is that of the coarsest dtype in the program. Sums
change by the same share of the sum of their terms' sizes. This happens in the forward pass and in
both reverse passes, since their rules are operations too. How far the results move shows how far
two correct libraries may differ. (Parker, Monte Carlo arithmetic, 1997.)

A result is an array and is judged as a whole: its largest error relative to its largest element.
"""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from math import prod
from typing import Any
from unittest import mock

import numpy as np
import pytest
from domains import COMPOSED, DOMAINS
from numpy.lib.stride_tricks import sliding_window_view

from microgd import Value, backprop, gradients, kinds, nn, operation, operations, registry

torch = pytest.importorskip("torch")

RUNS = 4  # with random rounding
# In so few runs the largest move may fall short of how far two correct libraries differ: a factor
# for that. Of 19,000 results of random programs none differed by more than 1.7 times that move
# (plus eps), and 1 in 1,000 by more than 0.9 times.
SAFETY = 8.0
DIGITS = 0.01  # as a share of a result's size: a result that may move by more cannot be judged
EXACT = [  # they only move or select numbers, without rounding
    "negative", "positive", "sign", "absolute", "maximum", "minimum", "relu", "where", "clip", "max", "min", "reshape",
    "transpose", "broadcast_to", "getitem", "concatenate", "stack", "floor", "ceil", "trunc", "rint", "round", "flip", "roll",
    "pad", "sliding_window_view",
]  # fmt: skip


def _all(x, axis):
    return tuple(range(x.ndim)) if axis is None else axis


def _reduction(function, **fixed):
    def reduce(x, axis=None, keepdims=False):
        axis = _all(x, axis)
        # PyTorch takes () to mean all axes.
        return function(x, dim=axis, keepdim=keepdims, **fixed) if axis != () else x

    return reduce


def _over(function):
    """A softmax over several axes. PyTorch has it along one axis only."""

    def apply(x, axis=-1):
        if isinstance(axis, int):
            return function(x, dim=axis)
        axes = [a % x.ndim for a in _all(x, axis)]
        # The axes are joined into one, the last.
        order = [*(a for a in range(x.ndim) if a not in axes), *axes]
        moved = x.permute(order)
        rows = moved.flatten(x.ndim - len(axes)) if axes else moved[..., None]
        return function(rows, dim=-1).reshape(moved.shape).permute(np.argsort(order).tolist())

    return apply


def _places(shape, index):
    return torch.from_numpy(
        np.array(np.arange(prod(shape)).reshape(shape)[index], np.int64, order="C")
    )


def _scatter(x, index, shape):
    flat = torch.zeros(prod(shape), dtype=x.dtype)
    return flat.index_add(0, _places(shape, index).reshape(-1), x.reshape(-1)).reshape(shape)


def _in_one_dtype(tensors):
    """The tensors in the widest dtype among them, where numbers widen nothing."""
    dtypes = [x.dtype for x in tensors if x.ndim] or [torch.float64]
    return [x.to(max(dtypes, key=lambda dtype: dtype.itemsize)) for x in tensors]


def _promoted(function):
    """Promote the operands to one dtype, as PyTorch's products require."""

    def apply(*arrays, **options):
        return function(*_in_one_dtype(arrays), **options)

    return apply


def _var(x, axis=None, ddof=0, keepdims=False):
    return (
        _reduction(torch.var, correction=ddof)(x, axis, keepdims)
        if _all(x, axis) != ()
        else x * 0.0
    )


def _clip(x, min=None, max=None):
    # PyTorch needs both bounds to be of the same kind.
    if isinstance(min, np.ndarray) or isinstance(max, np.ndarray):
        min, max = (
            bound if bound is None else torch.as_tensor(bound, dtype=x.dtype)
            for bound in (min, max)
        )
    return torch.clamp(x, min, max)


def _mse_loss(x, target=None):
    return _promoted(torch.nn.functional.mse_loss)(
        x, torch.ones_like(x) if target is None else target
    )


# ── NumPy's further functions ─────────────────────────────────────────────────────────────────────
def _with_axes_last(x, axis):
    """The elements along these axes as one last axis, and the shape of the axes that are left."""
    axes = [a % x.ndim for a in np.atleast_1d(_all(x, axis)).astype(int)]
    kept = [a for a in range(x.ndim) if a not in axes]
    lengths = [x.shape[a] for a in kept]
    return x.permute([*kept, *axes]).reshape([*lengths, prod(x.shape[a] for a in axes)])


def _kept(out, x, axis, keepdims):
    """A reduction's result, with the axes that it went along if they are to be kept."""
    axes = [a % x.ndim for a in np.atleast_1d(_all(x, axis)).astype(int)]
    if not keepdims:
        return out
    return out.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])


def _prod(x, axis=None, keepdims=False):
    rows = _with_axes_last(x, axis)
    # PyTorch's second derivative of a product of one factor is 0 only up to rounding.
    out = rows[..., 0] if rows.shape[-1] == 1 else torch.prod(rows, dim=-1)
    return _kept(out, x, axis, keepdims)


def _norm(x, ord=None, axis=None, keepdims=False):
    if not x.ndim:
        return x.abs()
    if ord in (None, 2, "fro", "f"):
        out = torch.linalg.vector_norm(_with_axes_last(x, axis), dim=-1)
        return _kept(out, x, axis, keepdims)
    axes = _all(x, axis)
    if isinstance(axes, int) or len(axes) == 1:
        return torch.linalg.vector_norm(x, ord, dim=axes, keepdim=keepdims)
    return torch.linalg.matrix_norm(x, ord, dim=axes, keepdim=keepdims)


def _std(x, axis=None, ddof=0, keepdims=False):
    out = torch.std(_with_axes_last(x, axis), dim=-1, correction=ddof) if x.ndim else x * 0.0
    return _kept(out, x, axis, keepdims)


def _average(x, weights=None, axis=None, keepdims=False):
    if weights is None:
        return TORCH["mean"](x, axis=axis, keepdims=keepdims)
    if weights.shape != x.shape:
        axes = [a % x.ndim for a in ([axis] if isinstance(axis, int) else axis)]
        shape = [x.shape[a] if a in axes else 1 for a in range(x.ndim)]
        weights = weights.permute(np.argsort(axes).tolist()).reshape(shape)
    total = torch.broadcast_to(weights, x.shape)
    return TORCH["sum"](x * weights, axis, keepdims) / TORCH["sum"](total, axis, keepdims)


def _along(function):
    """A function along one axis, with None along that of the tensor flattened."""

    def apply(x, axis=None):
        return function(x.reshape(-1), 0) if axis is None else function(x, axis)

    return apply


def _einsum(*operands, subscripts, as_lists=False):
    return torch.einsum(subscripts, *operands)


def _dot(x, y):
    if not x.ndim or not y.ndim:
        return x * y
    return torch.matmul(x, y) if y.ndim <= 2 else torch.tensordot(x, y, dims=([-1], [-2]))


def _tensordot(x, y, axes=2):
    if not isinstance(axes, int):
        axes = [[a] if isinstance(a, int) else list(a) for a in axes]
    return torch.tensordot(x, y, dims=axes)


def _roll(x, shift, axis=None):
    if not x.ndim:
        return x
    shifts = [shift] if isinstance(shift, int) else list(shift)
    axes = [] if axis is None else [axis] if isinstance(axis, int) else list(axis)
    for one_shift, one_axis in zip(shifts * (len(axes) or 1), axes or [None], strict=False):
        x = torch.roll(x, one_shift, one_axis)
    return x


def _flip(x, axis=None):
    return torch.flip(x, (axis,) if isinstance(axis, int) else tuple(_all(x, axis)))


def _repeat(x, repeats, axis=None):
    repeats = torch.tensor(repeats, dtype=torch.int64)
    return (
        torch.repeat_interleave(x.reshape(-1), repeats, 0)
        if axis is None
        else (torch.repeat_interleave(x, repeats, axis))
    )


def _take(x, indices, axis=None):
    indices = np.asarray(indices, np.int64)
    rows = x.reshape(-1) if axis is None else x
    axis = (axis or 0) % rows.ndim
    picked = torch.index_select(rows, axis, torch.tensor(indices % rows.shape[axis]).reshape(-1))
    return picked.reshape([*rows.shape[:axis], *indices.shape, *rows.shape[axis + 1 :]])


def _take_along_axis(x, indices, axis=-1):
    rows = x.reshape(-1) if axis is None else x
    axis = 0 if axis is None else axis
    return torch.take_along_dim(rows, torch.tensor(indices % rows.shape[axis]), axis)


def _split(x, indices_or_sections, axis, piece):
    if isinstance(indices_or_sections, int):
        return torch.tensor_split(x, indices_or_sections, axis)[piece]
    ends = [
        slice(*pair).indices(x.shape[axis])[:2]
        for pair in zip(
            [0, *indices_or_sections], [*indices_or_sections, x.shape[axis]], strict=True
        )
    ]
    start, end = ends[piece]
    return torch.narrow(x, axis, start, max(end - start, 0))


def _stacked(function):
    """A function that joins tensors, as vectors at least, in one dtype."""
    return lambda *tensors: function(_in_one_dtype(tensors))


def _pad(x, pad_width, constant_values=0.0):
    zeros = np.zeros(tuple(x.shape))
    around = np.pad(zeros, pad_width, constant_values=constant_values)
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    inside = torch.nn.functional.pad(x, widths[::-1].ravel().tolist())
    return inside + torch.from_numpy(around).to(x.dtype)


def _pad_with_edges(x, pad_width, mode):
    places = np.arange(prod(x.shape)).reshape(tuple(x.shape))
    return x.reshape(-1)[torch.from_numpy(np.pad(places, pad_width, mode))]


def _triangle(function):
    return lambda x, k=0: function(x.expand(len(x), len(x)) if x.ndim == 1 else x, k)


def _windows(x, window_shape, axis=None):
    axes = np.atleast_1d(_all(x, axis)) % x.ndim
    for one_axis, length in zip(axes.tolist(), np.atleast_1d(window_shape).tolist(), strict=True):
        x = x.unfold(one_axis, length, 1)
    return x


def _sum_of_windows(x, window_shape, axis, shape):
    places = sliding_window_view(np.arange(prod(shape)).reshape(shape), window_shape, axis)
    flat = torch.zeros(prod(shape), dtype=x.dtype)
    return flat.index_add(0, torch.tensor(places.ravel()), x.reshape(-1)).reshape(shape)


def _recurrence(x, y, axis):
    rows = []
    for x_row, y_row in zip(x.unbind(axis), y.unbind(axis), strict=True):
        rows.append(x_row + y_row * rows[-1] if rows else x_row)
    return torch.stack(rows, axis) if rows else x * y


FURTHER: dict[str, Any] = {
    "arctan2": torch.arctan2,
    "hypot": _promoted(torch.hypot),
    "cbrt": lambda x: torch.sign(x) * torch.abs(x) ** (1 / 3),
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "rint": torch.round,
    "round": lambda x, decimals=0: torch.round(x, decimals=decimals),
    "reciprocal": torch.reciprocal,
    "flip": _flip,
    "roll": _roll,
    "pad": _pad,
    "pad_with_edges": _pad_with_edges,
    "sliding_window_view": _windows,
    "_sum_of_windows": _sum_of_windows,
    "einsum": _promoted(_einsum),
    "norm": _norm,
    "norm_of_another_order": _norm,
    "cumsum": _along(torch.cumsum),
    "cumprod": _along(torch.cumprod),
    "sort": _along(lambda x, axis: torch.sort(x, dim=axis, stable=True).values),
    "_recurrence": _recurrence,
    "prod": _prod,
    "std": _std,
    "average": _average,
    "dot": _promoted(_dot),
    "inner": _promoted(torch.inner),
    "outer": _promoted(lambda x, y: torch.outer(x.reshape(-1), y.reshape(-1))),
    "tensordot": _promoted(_tensordot),
    "trace": lambda x, offset=0, axis1=0, axis2=1: torch.diagonal(x, offset, axis1, axis2).sum(-1),
    "diagonal": lambda x, offset=0, axis1=0, axis2=1: torch.diagonal(x, offset, axis1, axis2),
    "diag": lambda x, k=0: torch.diag(x, k),
    "expand_dims": lambda x, axis: x.reshape(np.expand_dims(np.empty(tuple(x.shape)), axis).shape),
    "swapaxes": lambda x, axis1, axis2: torch.swapaxes(x, axis1, axis2),
    "moveaxis": lambda x, source, destination: torch.moveaxis(x, source, destination),
    "repeat": _repeat,
    "tile": lambda x, reps: torch.tile(x, (reps,) if isinstance(reps, int) else reps),
    "split": _split,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "vstack": _stacked(torch.vstack),
    "hstack": _stacked(torch.hstack),
    "column_stack": _stacked(torch.column_stack),
    "tril": _triangle(torch.tril),
    "triu": _triangle(torch.triu),
}


SAME_NAME = [
    "add", "subtract", "multiply", "divide", "negative", "positive", "square", "sqrt", "exp", "exp2", "expm1", "log", "log2",
    "log10", "log1p", "logaddexp", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh",
    "arccosh", "arctanh", "sign", "absolute", "maximum", "minimum", "sigmoid", "relu", "where",
]  # fmt: skip
TORCH: dict[str, Any] = {name: getattr(torch, name) for name in SAME_NAME} | {
    "power": torch.pow,
    "_sech": lambda x: 1 / torch.cosh(x),
    "_half_sech": lambda x: 0.5 / torch.cosh(x / 2),
    "_hypotenuse": lambda x: torch.hypot(x, torch.ones_like(x)),
    "_one_minus_square": lambda x: 1 - x * x,
    "clip": _clip,
    "sum": _reduction(torch.sum),
    "mean": _reduction(torch.mean),
    "max": _reduction(torch.amax),
    "min": _reduction(torch.amin),
    "var": _var,
    "logsumexp": _reduction(torch.logsumexp),
    "softmax": _over(torch.softmax),
    "log_softmax": _over(torch.log_softmax),
    "reshape": lambda x, shape: torch.reshape(x, (shape,) if isinstance(shape, int) else shape),
    "transpose": lambda x, axes=None: (
        x.permute(*(range(x.ndim)[::-1] if axes is None else axes)) if x.ndim else x
    ),
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "astype": lambda x, dtype: x.to(getattr(torch, np.dtype(dtype).name)) if x.ndim else x,
    "getitem": lambda x, index: x.reshape(-1)[_places(tuple(x.shape), index)],
    "scatter": _scatter,
    "concatenate": lambda *arrays, axis: torch.cat(arrays, dim=axis),
    "stack": lambda *arrays, axis: torch.stack(arrays, dim=axis),
    "squeeze": torch.squeeze,
    "ravel": lambda x: x.reshape(-1),
    "matmul": _promoted(torch.matmul),
    "linear": _promoted(torch.nn.functional.linear),
    "cross_entropy": torch.nn.functional.cross_entropy,
    "binary_cross_entropy_with_logits": _promoted(
        torch.nn.functional.binary_cross_entropy_with_logits
    ),
    "mse_loss": _mse_loss,
}
TORCH |= FURTHER


@dataclass
class Step:
    """An operation, the places of its operands or the constants themselves, and its options."""

    name: str
    operands: list[Any]  # an index into leaves and results, or ("constant", x)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Program:
    """Leaves, steps, and results to be weighted and added up. `functions` are microgd's."""

    leaves: list[Any]  # arrays and Python floats
    steps: list[Step]
    outputs: list[int]
    functions: dict[str, Any]

    @property
    def eps(self):
        """The machine epsilon of the coarsest dtype."""
        dtypes = [np.asarray(x).dtype for x in self.leaves] + [
            s.options["dtype"] for s in self.steps if s.name == "astype"
        ]
        return max(np.finfo(dtype).eps for dtype in dtypes)

    def __str__(self):
        with np.printoptions(floatmode="unique"):
            lines = [repr(x) for x in self.leaves]
            for step in self.steps:
                operands = [repr(x[1]) if isinstance(x, tuple) else f"x{x}" for x in step.operands]
                options = [f"{name}={option!r}" for name, option in step.options.items()]
                lines.append(f"{step.name}({', '.join(operands + options)})")
        return "\n".join(
            [f"x{i} = {line}" for i, line in enumerate(lines)] + [f"outputs: {self.outputs}"]
        )


def _weights(seed, shape):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape)


def terms(name, data, saved, options):
    """The sum of the sizes of the terms that an operation adds up, in the shape of its result.

    If it adds nothing up, that is the size of the result.
    """
    if name in ("sum", "mean"):
        return getattr(np, name)(np.abs(saved[0]), **options)
    if name == "scatter":
        return operations.scatter(np.abs(saved[0]), **options)
    # A logarithm is added to the larger operand. The next three are similar.
    if name == "logaddexp":
        return np.abs(data) + np.maximum(np.abs(saved[0]), np.abs(saved[1]))
    if name in ("logsumexp", "log_softmax", "cross_entropy", "binary_cross_entropy_with_logits"):
        return np.abs(data) + np.abs(saved[0]).max(initial=0.0)
    if name == "matmul":
        return np.abs(saved[0]) @ np.abs(saved[1])
    if name in ("cumsum", "_recurrence", "_sum_of_windows", "einsum"):
        forward = registry.OPERATIONS[name].forward
        if name == "einsum" and len(saved) == 1:
            return np.einsum(options["subscripts"], np.abs(saved[0]))
        return forward(*map(np.abs, saved), **options)
    if name == "linear":
        return np.abs(saved[0]) @ np.abs(saved[1].T) + np.abs(saved[2])
    return np.abs(data)


def _var_rule(g, out, x, axis, keepdims):
    slope = operations.repeated(
        operations.divide(2.0 * g, operations.group_size(x, out)), x, axis, keepdims
    )
    return slope * (x - operations.mean(x, axis=axis, keepdims=True))


# Some of PyTorch's rules lose more digits than microgd's, so the runs with random rounding use
# those. The rule for `var` leaves out the path through the mean, on which the distances add up to 0
# up to rounding. The rule for `expm1` adds 1 to a result near -1. The rules for `tanh` and
# `sigmoid` subtract a result near 1 from 1, and those for the inverse functions a square near 1.
with mock.patch.dict(registry.OPERATIONS), mock.patch.dict(registry.NUMPY):
    ROUNDED = {
        "var": operations.reduction(np.var, _var_rule),
        "expm1": operations.elementwise(np.expm1, lambda g, out, x: g * (out + 1.0)),
        "tanh": operations.elementwise(np.tanh, lambda g, out, x: g * (1.0 - out * out)),
        "sigmoid": operation(lambda g, out, x: g * out * (1.0 - out), name="rounded sigmoid")(
            lambda x: operations.sigmoid(x)
        ),
        "arcsin": operations.elementwise(
            np.arcsin, lambda g, out, x: operations.divide(g, operations.sqrt(1.0 - x * x))
        ),
        "arccos": operations.elementwise(
            np.arccos, lambda g, out, x: -operations.divide(g, operations.sqrt(1.0 - x * x))
        ),
        "arctanh": operations.elementwise(
            np.arctanh, lambda g, out, x: operations.divide(g, 1.0 - x * x)
        ),
    }


@contextmanager
def rounding(eps, rng):
    """Within this context, operations that round do so at random."""
    record = backprop.record

    def noisy(value_class, data, op, operands, saved):
        if op.name not in EXACT:
            size = terms(op.name, data, saved, op.options)
            data = data + eps * rng.uniform(-1.0, 1.0, np.shape(data)) * size
        return record(value_class, data, op, operands, saved)

    with (
        mock.patch.object(backprop, "record", noisy),
        mock.patch.object(kinds, "record", noisy),
    ):
        yield


def on_microgd(program, wide=False, rng=None):
    """The output, its gradients, and the gradients of their weighted sum.

    In float64 if `wide`; with random rounding if there is an `rng`.
    """

    def widened(x):
        return (
            x.astype(np.float64)
            if wide and isinstance(x, np.ndarray) and x.dtype == np.float32
            else x
        )

    def weighed(x, seed):
        # As Values, so that no gradient is a constant and every backward step is recorded.
        weights = Value(_weights(seed, x.shape))
        return (x * (weights if rng is not None else weights.data)).sum()

    functions = program.functions if rng is None else program.functions | ROUNDED
    leaves = [Value(widened(x)) for x in program.leaves]
    for leaf in leaves if rng is not None else ():
        leaf.data = leaf.data * (1.0 + program.eps * rng.uniform(-1.0, 1.0, leaf.shape))
    with nullcontext() if rng is None else rounding(program.eps, rng):
        values = list(leaves)
        for step in program.steps:
            operands = [widened(x[1]) if isinstance(x, tuple) else values[x] for x in step.operands]
            options = {"dtype": np.float64} if wide and step.name == "astype" else step.options
            values.append(functions[step.name](*operands, **options))
        total = sum((weighed(values[i], i) for i in program.outputs), Value(0.0))
        first = gradients(total, leaves, create_graph=True)
        second = gradients(
            sum((weighed(g, 100 + i) for i, g in enumerate(first)), Value(0.0)),
            leaves,
            create_graph=True,
        )
    return [[np.asarray(x.data) for x in part] for part in ([total], first, second)]


def numbers(x):
    """A tensor as an array. (Some zero gradients have no memory, and cannot become arrays.)"""
    return np.zeros(tuple(x.shape)) if x._is_zerotensor() else x.detach().numpy()


def on_torch(program, table=TORCH):
    """The same on PyTorch."""

    def tensor(x, **options):
        return torch.tensor(x, dtype=torch.float64 if isinstance(x, float) else None, **options)

    leaves = [tensor(x, requires_grad=True) for x in program.leaves]
    values = list(leaves)
    for step in program.steps:
        operands = [tensor(x[1]) if isinstance(x, tuple) else values[x] for x in step.operands]
        values.append(table[step.name](*operands, **step.options))

    def weighed(x, seed):
        return (x * torch.from_numpy(np.asarray(_weights(seed, tuple(x.shape))))).sum()

    def slopes(of):
        if not of.requires_grad:
            return [torch.zeros_like(x) for x in leaves]
        found = torch.autograd.grad(of, leaves, create_graph=True, allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]

    zero = torch.zeros((), dtype=torch.float64)
    total = sum((weighed(values[i], i) for i in program.outputs), zero)
    first = slopes(total)
    second = slopes(sum((weighed(g, 100 + i) for i, g in enumerate(first)), zero))
    return [[numbers(x) for x in part] for part in ([total], first, second)]


def compare(program, table=TORCH):
    """Run the program on both: "the same", or why its results cannot be judged.

    AssertionError if they differ by more than rounding can explain.
    """
    with np.errstate(all="ignore"):
        ours, theirs = on_microgd(program), on_torch(program, table)
        exact = on_microgd(program, wide=True)
        runs = [
            on_microgd(program, wide=True, rng=np.random.default_rng(seed)) for seed in range(RUNS)
        ]
    if not _finite(exact):
        return "not finite"
    if not all(map(_finite, runs)):  # rounding decides whether the result is finite
        return "ill-conditioned"
    verdict = "the same"
    for order, name in enumerate(("value", "gradient", "gradient of the gradient")):
        size = max(np.abs(x).max(initial=0.0) for x in exact[order])
        for i, (mine, other) in enumerate(zip(ours[order], theirs[order], strict=True)):
            # The dtype of PyTorch's second gradients may differ.
            like = np.asarray(program.leaves[i]) if order else other
            kind, wanted = (mine.shape, mine.dtype), (like.shape, like.dtype)
            assert kind == wanted, f"{name} {i}: {kind} in place of {wanted}\n{program}"
            moved = max(np.abs(run[order][i] - exact[order][i]).max(initial=0.0) for run in runs)
            allowed = SAFETY * (moved + program.eps * np.abs(exact[order][i]).max(initial=0.0))
            if allowed > DIGITS * size > 0:
                verdict = "ill-conditioned"
            elif not np.abs(mine - other).max(initial=0.0) <= allowed:  # false for nan, too
                raise AssertionError(
                    f"{name} {i}: microgd {mine}, PyTorch {other}, allowed ±{allowed:.2g}\n{program}"
                )
    return verdict


def _finite(results):
    return all(np.isfinite(x).all() for part in results for x in part)


# ── Random programs ───────────────────────────────────────────────────────────────────────────────

MOST_ELEMENTS, LARGEST = 24, 30.0
UNARY = {  # and where each is smooth enough
    "negative": None, "positive": None, "square": None, "sin": None, "cos": None, "tanh": None, "sigmoid": None, "arctan": None,
    "arcsinh": None, "relu": None, "absolute": None, "exp": lambda x: x < 3, "exp2": lambda x: x < 4, "expm1": lambda x: x < 3,
    "sinh": lambda x: abs(x) < 3, "cosh": lambda x: abs(x) < 3, "sqrt": lambda x: x > 0.2, "log": lambda x: x > 0.2,
    "log2": lambda x: x > 0.2, "log10": lambda x: x > 0.2, "log1p": lambda x: x > -0.7, "tan": lambda x: abs(np.cos(x)) > 0.3,
    "arcsin": lambda x: abs(x) < 0.9, "arccos": lambda x: abs(x) < 0.9, "arccosh": lambda x: x > 1.2,
    "arctanh": lambda x: abs(x) < 0.9, "sign": None,
    "_sech": None, "_half_sech": None, "_hypotenuse": None, "_one_minus_square": None,
    "cbrt": lambda x: abs(x) > 0.3, "reciprocal": lambda x: abs(x) > 0.3, "floor": lambda x: abs(x - np.rint(x)) > 0.02,
    "ceil": lambda x: abs(x - np.rint(x)) > 0.02, "trunc": lambda x: abs(x - np.rint(x)) > 0.02,
    "rint": lambda x: abs(abs(x - np.rint(x)) - 0.5) > 0.02,
}  # fmt: skip
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "maximum",
    "minimum",
    "logaddexp",
    "arctan2",
    "hypot",
    "matmul",
]
REDUCTIONS = ["sum", "mean", "max", "min", "var", "logsumexp"]
FUNCTIONS = {name: getattr(operations, name) for name in TORCH if hasattr(operations, name)}
FUNCTIONS |= {name: (DOMAINS | COMPOSED)[name].function for name in FURTHER}
FUNCTIONS |= {
    "_sech": operations._sech,
    "_half_sech": operations._half_sech,
    "_hypotenuse": operations._hypotenuse,
    "_one_minus_square": operations._one_minus_square,
    "concatenate": lambda *arrays, axis: operations.concatenate(arrays, axis),
    "stack": lambda *arrays, axis: operations.stack(arrays, axis),
    "linear": nn.linear,
    "cross_entropy": nn.cross_entropy,
    "binary_cross_entropy_with_logits": nn.binary_cross_entropy_with_logits,
    "mse_loss": nn.mse_loss,
}
KINDS = {  # of steps, and how often each is proposed
    "unary": 0.17, "binary": 0.19, "constant": 0.08, "reduce": 0.07, "shape": 0.07, "index": 0.06, "join": 0.05, "choose": 0.05,
    "softmax": 0.03, "linear": 0.02, "loss": 0.03, "further": 0.12, "further product": 0.06,
}  # fmt: skip


def _one_axis(rng, x):
    return int(rng.integers(-x.ndim, x.ndim)) if x.ndim and rng.random() < 0.8 else None


def _axis_and_keepdims(rng, x):
    return {"axis": _one_axis(rng, x), "keepdims": bool(rng.integers(2))}


def _is_between_steps(x, decimals):
    """Whether no number is near one half, where rounding jumps."""
    return np.all(np.abs(np.abs(x * 10.0**decimals % 1) - 0.5) > 0.02)


def _is_apart(x):
    """Whether no two numbers are so near each other that rounding could exchange them."""
    return np.all(np.diff(np.sort(x, axis=None)) > 1e-3)


def _windows_of(rng, x):
    axis = int(rng.integers(x.ndim))
    return {"window_shape": int(rng.integers(1, x.shape[axis] + 1)), "axis": axis}


def _split_of(rng, x):
    sections = [int(rng.integers(0, 3))]
    axis = int(rng.integers(-x.ndim, x.ndim))
    return {"indices_or_sections": sections, "axis": axis, "piece": int(rng.integers(2))}


def _take_of(rng, x):
    axis = _one_axis(rng, x)
    length = x.size if axis is None else x.shape[axis]
    return {"indices": rng.integers(-length, length, (2,)), "axis": axis}


# How to draw options for functions of one operand. None: it is not in the function's domain.
OPTIONS: dict[str, Any] = {
    "round": lambda rng, x: {"decimals": 1} if _is_between_steps(x, 1) else None,
    "flip": lambda rng, x: {"axis": _one_axis(rng, x)},
    "roll": lambda rng, x: {"shift": int(rng.integers(-3, 4)), "axis": _one_axis(rng, x)},
    "pad": lambda rng, x: {"pad_width": (0, 1), "constant_values": 2.0} if x.ndim else None,
    "pad_with_edges": lambda rng, x: {"pad_width": (1, 0), "mode": "edge"} if x.ndim and x.size else None,
    "sliding_window_view": lambda rng, x: _windows_of(rng, x) if x.ndim and x.size else None,
    "_sum_of_windows": lambda rng, x: (
        {"window_shape": x.shape[1:], "axis": (0,), "shape": (sum(x.shape) - 1,)} if x.ndim == 2 and x.size else None
    ),
    "norm": _axis_and_keepdims,
    "norm_of_another_order": lambda rng, x: (
        {"ord": [1, np.inf][rng.integers(2)], "axis": int(rng.integers(x.ndim))}
        if x.ndim and x.size and _is_apart(np.abs(x)) else None
    ),
    "cumsum": lambda rng, x: {"axis": _one_axis(rng, x)},
    "cumprod": lambda rng, x: {"axis": _one_axis(rng, x)},
    "sort": lambda rng, x: {"axis": _one_axis(rng, x)} if _is_apart(x) else None,
    "prod": _axis_and_keepdims,
    "std": lambda rng, x: _axis_and_keepdims(rng, x) if x.size else None,
    "trace": lambda rng, x: {"offset": int(rng.integers(-1, 2))} if x.ndim >= 2 else None,
    "diagonal": lambda rng, x: {"offset": int(rng.integers(-1, 2))} if x.ndim >= 2 else None,
    "diag": lambda rng, x: {"k": int(rng.integers(-1, 2))} if x.ndim in (1, 2) else None,
    "expand_dims": lambda rng, x: {"axis": int(rng.integers(x.ndim + 1))},
    "swapaxes": lambda rng, x: {"axis1": 0, "axis2": -1} if x.ndim else None,
    "moveaxis": lambda rng, x: {"source": 0, "destination": -1} if x.ndim else None,
    "repeat": lambda rng, x: {"repeats": 2, "axis": _one_axis(rng, x)},
    "tile": lambda rng, x: {"reps": (2, 1)[: rng.integers(1, 3)]},
    "split": lambda rng, x: _split_of(rng, x) if x.ndim else None,
    "take": lambda rng, x: _take_of(rng, x) if x.size else None,
    "take_along_axis": lambda rng, x: (
        {"indices": np.argsort(x, 0)[:2], "axis": 0} if x.ndim and x.size else None
    ),
    "tril": lambda rng, x: {"k": int(rng.integers(-1, 2))} if x.ndim else None,
    "triu": lambda rng, x: {"k": int(rng.integers(-1, 2))} if x.ndim else None,
}  # fmt: skip
# Near 0 these have a kink, or a pole.
AWAY_FROM_ZERO = {"norm", "std", "hypot", "arctan2"}


class Writer:
    """Writes a random program for a seed and a number.

    It computes along in float64, and leaves out steps whose results would be outside the domain.
    """

    def __init__(self, seed, number):
        self.rng = np.random.default_rng([seed, number])
        dtypes = [[np.float32], [np.float64], [np.float32, np.float64]][self.rng.integers(3)]
        shape = self._shape()
        self.leaves = [self._leaf(shape, dtypes) for _ in range(self.rng.integers(1, 5))]
        self.dtype = max(
            (x.dtype for x in self.leaves if isinstance(x, np.ndarray)),
            default=np.dtype(np.float64),
        )
        self.data = [
            np.float64(x) if isinstance(x, float) else x.astype(np.float64) for x in self.leaves
        ]
        self.steps: list[Step] = []

    def _shape(self):
        axes = self.rng.choice(4, p=[0.1, 0.25, 0.4, 0.25])
        return tuple(int(n) for n in self.rng.choice([0, 1, 2, 3], axes, p=[0.03, 0.17, 0.4, 0.4]))

    def _leaf(self, shape, dtypes):
        first = 0 if self.rng.random() < 0.5 else self.rng.integers(len(shape) + 1)
        like = [n if self.rng.random() < 0.8 else 1 for n in shape[first:]]
        if not like:
            return float(self.rng.uniform(-2, 2))
        return self.rng.uniform(-2, 2, like).astype(dtypes[self.rng.integers(len(dtypes))])

    def _pick(self):
        """The index of a value so far. Later ones are more likely."""
        n = len(self.data)
        return (
            int(n - 1 - min(self.rng.geometric(0.3) - 1, n - 1))
            if self.rng.random() < 0.6
            else int(self.rng.integers(n))
        )

    def _axes(self, ndim):
        kind = self.rng.integers(3)
        if kind == 0 or not ndim:
            return None
        axis = int(self.rng.integers(-ndim, ndim))
        return (
            axis
            if kind == 1
            else tuple(int(a) for a in np.flatnonzero(self.rng.random(ndim) < 0.6))
        )

    def _propose(self):
        rng, i = self.rng, self._pick()
        x = self.data[i]
        kind = rng.choice(list(KINDS), p=list(KINDS.values()))
        if kind == "unary":
            # Operations that are not smooth everywhere are twice as likely.
            name = str(rng.choice([*UNARY, *filter(UNARY.get, UNARY)]))
            return Step(name, [i]) if UNARY[name] is None or np.all(UNARY[name](x)) else None
        if kind in ("binary", "constant"):
            name, operands = str(rng.choice(BINARY)), [i, self._pick()]
            if kind == "constant":
                constant = (
                    rng.uniform(-2, 2, x.shape).astype(self.dtype)
                    if x.ndim and rng.random() < 0.6
                    else float(rng.integers(1, 4))
                )
                operands[rng.integers(2)] = ("constant", constant)
            a, b = (np.asarray(o[1] if isinstance(o, tuple) else self.data[o]) for o in operands)
            if name == "divide" and not np.all(np.abs(b) > 0.3):
                return None
            if name == "power" and not (np.all(a > 0.3) and np.all(np.abs(b) < 3)):
                return None
            return Step(name, operands)
        if kind == "reduce":
            name = str(rng.choice(REDUCTIONS))
            return (
                Step(name, [i], {"axis": self._axes(x.ndim), "keepdims": bool(rng.integers(2))})
                if x.size
                else None
            )
        if kind == "shape":
            choice = rng.integers(5)
            if choice == 0:
                return Step(
                    "reshape",
                    [i],
                    {"shape": (-1,) if rng.integers(2) and x.size else (*x.shape, 1)},
                )
            if choice == 1:
                axes = None if rng.integers(2) else tuple(int(a) for a in rng.permutation(x.ndim))
                return Step("transpose", [i], {"axes": axes})
            if choice == 2:
                return Step(
                    "broadcast_to",
                    [i],
                    {"shape": (2, *(3 if n == 1 and rng.integers(2) else n for n in x.shape))},
                )
            if choice == 3 and x.ndim:
                return Step("astype", [i], {"dtype": [np.float32, np.float64][rng.random() < 0.8]})
            return Step(str(rng.choice(["squeeze", "ravel"])), [i])
        if kind == "index" and x.ndim and x.shape[0]:
            n, picks = x.shape[0], rng.integers(1, 4)
            if x.ndim == 1 and rng.random() < 0.2:
                return Step("scatter", [i], {"index": rng.integers(-n, n, n), "shape": (n,)})
            index = [
                int(rng.integers(-n, n)), slice(None, None, -2), (..., 0) if x.shape[-1] else 0, (None, slice(0, 1)),
                rng.integers(-n, n, picks), rng.random(n) < 0.6, rng.random(x.shape) < 0.6,
                (rng.integers(-n, n, picks), ..., rng.integers(x.shape[-1], size=picks)) if x.ndim > 1 and x.shape[-1] else [0],
            ][rng.integers(8)]  # fmt: skip
            return Step("getitem", [i], {"index": index})
        if kind == "join":
            same = [j for j, y in enumerate(self.data) if y.shape == x.shape]
            operands = [int(rng.choice(same)) for _ in range(rng.integers(1, 4))]
            if x.ndim and rng.integers(2):
                return Step("concatenate", operands, {"axis": int(rng.integers(-x.ndim, x.ndim))})
            return Step("stack", operands, {"axis": int(rng.integers(-x.ndim - 1, x.ndim + 1))})
        if kind == "choose":
            if rng.integers(2):
                low, high = sorted(rng.uniform(-2, 2, 2).tolist())
                return Step(
                    "clip",
                    [i],
                    [{"min": low, "max": high}, {"min": low}, {"max": high}][rng.integers(3)],
                )
            return Step("where", [("constant", rng.random(x.shape) < 0.5), i, self._pick()])
        if kind == "further":
            name = str(rng.choice(list(OPTIONS)))
            options = OPTIONS[name](rng, x)
            return None if options is None else Step(name, [i], options)
        if kind == "further product":
            return self._propose_product(i, x)
        if kind == "loss" and x.size:
            if rng.integers(3) == 0:
                targets = rng.uniform(0.05, 0.95, x.shape) if x.ndim else float(rng.uniform())
                return Step("binary_cross_entropy_with_logits", [i, ("constant", targets)])
            if x.ndim == 2 and rng.integers(2):
                return Step("cross_entropy", [i, ("constant", rng.integers(0, x.shape[1], len(x)))])
            same = [j for j, y in enumerate(self.data) if y.shape == x.shape]
            return Step("mse_loss", [i, int(rng.choice(same))])
        if kind == "softmax" and x.ndim and x.size:
            return Step(
                str(rng.choice(["softmax", "log_softmax"])),
                [i],
                {"axis": int(rng.integers(-x.ndim, x.ndim))},
            )
        if kind == "linear":
            fits = [(a, w, b) for a, p in enumerate(self.data) for w, q in enumerate(self.data) for b, r in enumerate(self.data)
                    if p.ndim and q.ndim == 2 and r.ndim == 1 and p.shape[-1] == q.shape[1] and len(q) == len(r)]  # fmt: skip
            return Step("linear", list(fits[rng.integers(len(fits))])) if fits else None
        return None

    def _propose_product(self, i, x):
        """A step that multiplies or joins operands, by one of NumPy's further functions."""
        rng = self.rng
        name = str(rng.choice(["dot", "inner", "outer", "tensordot", "einsum", "average", "_recurrence", "vstack", "hstack",
                               "column_stack"]))  # fmt: skip
        same = [j for j, y in enumerate(self.data) if y.shape == x.shape]
        j = int(rng.choice(same))
        if name in ("dot", "inner", "outer"):
            return Step(name, [i, self._pick()])
        if name == "tensordot":
            axes = [0, 1, (-1, 0), ([0], [-1])][rng.integers(4)]
            return Step(name, [i, self._pick()], {"axes": axes}) if x.ndim else None
        if name == "average":
            heavy = np.all(self.data[j] > 0.2) and x.size
            return (
                Step(name, [i, j] if heavy else [i], _axis_and_keepdims(rng, x)) if x.size else None
            )
        if name == "_recurrence":
            return Step(name, [i, j], {"axis": int(rng.integers(x.ndim))}) if x.ndim else None
        if name == "einsum":
            operands = [i, *(self._pick() for _ in range(rng.integers(0, 3)))]
            # There are two letters for each length, so axes of one length often get the same.
            lengths = [self.data[k].shape for k in operands]
            terms = [
                "".join("AbCdEfGh"[2 * n + rng.integers(2)] for n in shape if n < 4)
                for shape in lengths
            ]
            used = sorted(set("".join(terms)))
            result = "".join(letter for letter in rng.permutation(used) if rng.random() < 0.5)
            return Step(
                name, operands, {"subscripts": f"{','.join(terms)}->{result}", "as_lists": False}
            )
        return Step(name, [i, j])

    def write(self):
        """Write the program."""
        length = self.rng.integers(3, 26)
        while len(self.steps) < length:
            step = self._propose()
            if step is None:
                continue
            operands = [x[1] if isinstance(x, tuple) else self.data[x] for x in step.operands]
            operands = [
                float(x) if np.ndim(x) == 0 and np.asarray(x).dtype.kind == "f" else x
                for x in operands
            ]
            try:
                with np.errstate(all="ignore"):
                    result = np.asarray(FUNCTIONS[step.name](*operands, **step.options), np.float64)
            except ValueError:
                continue  # the shapes do not match
            if (
                np.isfinite(result).all()
                and not (step.name in AWAY_FROM_ZERO and np.any(np.abs(result) < 0.2))
                and np.abs(result).max(initial=0.0) < LARGEST
                and result.size <= MOST_ELEMENTS
            ):
                self.steps.append(step)
                self.data.append(result)
        used = {x for step in self.steps for x in step.operands if isinstance(x, int)}
        outputs = [i for i in range(len(self.data)) if i not in used] or [len(self.data) - 1]
        return Program(self.leaves, self.steps, outputs, FUNCTIONS)
