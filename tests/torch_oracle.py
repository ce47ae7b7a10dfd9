"""Programs that run on microgd and on PyTorch alike, and how far their results may be apart.

How much rounding may do to a result depends on the program. So a program also runs, on microgd in float64, with its leaves and
the result of every operation that rounds changed at random by up to one part in 1/eps, eps being that of the coarsest dtype in
it, and sums by as much of the sum of their terms' sizes: forwards, and in both reverse passes, whose rules are operations too.
How far the results move says how far two right libraries may be apart. (Parker, Monte Carlo arithmetic, 1997.)
"""

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import torch

from microgd import Value, backprop, gradients, nn, operations

RUNS = 4  # with rounding at random
SAFETY = 8.0  # by how much the worst of so few runs may fall short of the worst case
DIGITS = 0.01  # of a result's size: what may move by more cannot be judged
EXACT = [  # they move or select numbers, and round nothing
    "negative", "positive", "sign", "absolute", "maximum", "minimum", "relu", "where", "clip", "max", "min", "reshape",
    "transpose", "broadcast_to", "getitem", "concatenate", "stack",
]  # fmt: skip


def _all(x, axis):
    return tuple(range(x.ndim)) if axis is None else axis


def _reduction(function, **fixed):
    def reduce(x, axis=None, keepdims=False):
        axis = _all(x, axis)
        return function(x, dim=axis, keepdim=keepdims, **fixed) if axis != () else x  # PyTorch takes () for all axes

    return reduce


def _over(function):
    """A softmax, which PyTorch has along one axis only."""

    def apply(x, axis=-1):
        if isinstance(axis, int):
            return function(x, dim=axis)
        logs = x - torch.logsumexp(x, dim=_all(x, axis), keepdim=True)
        return logs if function is torch.log_softmax else torch.exp(logs)

    return apply


def _places(shape, index):
    return torch.from_numpy(np.asarray(np.arange(int(np.prod(shape))).reshape(shape)[index], np.int64))


def _scatter(x, index, shape):
    flat = torch.zeros(int(np.prod(shape)), dtype=x.dtype)
    return flat.index_add(0, _places(shape, index).reshape(-1), x.reshape(-1)).reshape(shape)


def _promoted(function):
    """PyTorch's products want operands of one dtype."""

    def apply(*arrays):
        return function(*(x.to(max((y.dtype for y in arrays), key=lambda dtype: dtype.itemsize)) for x in arrays))

    return apply


def _var(x, axis=None, ddof=0, keepdims=False):
    return _reduction(torch.var, correction=ddof)(x, axis, keepdims) if _all(x, axis) != () else x * 0.0


def _clip(x, min=None, max=None):
    return torch.clamp(x, min, max)


SAME_NAME = [
    "add", "subtract", "multiply", "divide", "negative", "positive", "square", "sqrt", "exp", "exp2", "expm1", "log", "log2",
    "log10", "log1p", "logaddexp", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh",
    "arccosh", "arctanh", "sign", "absolute", "maximum", "minimum", "sigmoid", "relu", "where",
]  # fmt: skip
TORCH: dict[str, Any] = {name: getattr(torch, name) for name in SAME_NAME} | {
    "power": torch.pow,
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
    "transpose": lambda x, axes=None: x.permute(*(range(x.ndim)[::-1] if axes is None else axes)) if x.ndim else x,
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
    "mse_loss": lambda x: torch.nn.functional.mse_loss(x, torch.ones_like(x)),
}


@dataclass
class Step:
    """An operation, where its operands stand (constants as they are), and its options."""

    name: str
    operands: list[Any]  # an index among leaves and results, or ("constant", x)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Program:
    """Leaves, steps, and results that are weighed and added up. `functions` are microgd's, by name."""

    leaves: list[Any]  # arrays, and Python floats
    steps: list[Step]
    outputs: list[int]
    functions: dict[str, Any]

    @property
    def eps(self):
        """The rounding error of the coarsest dtype."""
        return max(np.finfo(np.asarray(x).dtype).eps for x in self.leaves)

    def __str__(self):
        leaves = [f"x{i} = {x!r}" for i, x in enumerate(self.leaves)]
        steps = []
        for i, step in enumerate(self.steps, len(self.leaves)):
            operands = [repr(x[1]) if isinstance(x, tuple) else f"x{x}" for x in step.operands]
            steps.append(f"x{i} = {step.name}({', '.join(operands)}, {step.options})")
        return "\n".join([*leaves, *steps, f"outputs: {self.outputs}"])


def _weights(seed, shape):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape)


def terms(name, data, a, b):
    """The size of what an operation has added up, in the shape of its result; that result's own size, if it adds nothing up."""
    if name in ("sum", "mean"):
        return getattr(np, name)(np.abs(a[0]), axis=a[1], keepdims=a[2])
    if name == "matmul":
        return np.abs(a) @ np.abs(b)
    if name == "linear":
        return np.abs(a[0]) @ np.abs(a[1].T) + np.abs(a[2])
    return np.abs(data)


@contextmanager
def rounding(eps, rng):
    """Within this context operations that round, round at random."""
    record = backprop._record

    def noisy(kind, data, op, x, y, a, b):
        if op.name not in EXACT:
            data = data + eps * rng.uniform(-1.0, 1.0, np.shape(data)) * terms(op.name, data, a, b)
        return record(kind, data, op, x, y, a, b)

    with mock.patch.object(backprop, "_record", noisy):
        yield


def on_microgd(program, wide=False, rng=None):
    """The output, its gradients, and those of their weighed sum; in float64, if `wide`; with `rng`, rounded at random."""

    def widened(x):
        return x.astype(np.float64) if wide and isinstance(x, np.ndarray) and x.dtype == np.float32 else x

    def weighed(x, seed):
        weights = Value(_weights(seed, x.shape))  # Values, for then no gradient is a constant, and every step back is recorded
        return (x * (weights if rng is not None else weights.data)).sum()

    leaves = [Value(widened(x)) for x in program.leaves]
    for leaf in leaves if rng is not None else ():
        leaf.data = leaf.data * (1.0 + program.eps * rng.uniform(-1.0, 1.0, leaf.shape))
    with nullcontext() if rng is None else rounding(program.eps, rng):
        values = list(leaves)
        for step in program.steps:
            operands = [widened(x[1]) if isinstance(x, tuple) else values[x] for x in step.operands]
            values.append(program.functions[step.name](*operands, **step.options))
        total = sum((weighed(values[i], i) for i in program.outputs), Value(0.0))
        first = gradients(total, leaves, create_graph=True)
        second = gradients(sum((weighed(g, 100 + i) for i, g in enumerate(first)), Value(0.0)), leaves, create_graph=True)
    return [[np.asarray(x.data, np.float64) for x in part] for part in ([total], first, second)]


def numbers(x):
    """A tensor as an array. (Some gradients that are zero have no memory, and no array may be made of those.)"""
    return np.zeros(tuple(x.shape)) if x._is_zerotensor() else x.detach().numpy()


def on_torch(program, table=TORCH):
    """The same by PyTorch."""

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
    return [[numbers(x).astype(np.float64) for x in part] for part in ([total], first, second)]


def compare(program, table=TORCH):
    """ "the same", or, if it cannot be judged, why; `AssertionError` where the two differ by more than rounding does."""
    with np.errstate(all="ignore"):
        ours, theirs = on_microgd(program), on_torch(program, table)
        exact = on_microgd(program, wide=True)
        runs = [on_microgd(program, wide=True, rng=np.random.default_rng(seed)) for seed in range(RUNS)]
    if not all(np.isfinite(x).all() for found in (ours, theirs, *runs) for part in found for x in part):
        return "not finite"
    verdict = "the same"
    for order, name in enumerate(("value", "gradient", "gradient of the gradient")):
        size = max(np.abs(x).max(initial=0.0) for x in exact[order])
        for i, (mine, other) in enumerate(zip(ours[order], theirs[order], strict=True)):
            assert mine.shape == other.shape, f"{name} {i}: {mine.shape} and {other.shape}\n{program}"
            moved = max(np.abs(run[order][i] - exact[order][i]).max(initial=0.0) for run in runs)
            allowed = SAFETY * (moved + program.eps * np.abs(exact[order][i]).max(initial=0.0))
            if allowed > DIGITS * size > 0:
                verdict = "ill-conditioned"
            elif np.abs(mine - other).max(initial=0.0) > allowed:
                raise AssertionError(f"{name} {i}: microgd {mine}, PyTorch {other}, allowed {allowed:.2g}\n{program}")
    return verdict


# ── Random programs ──────────────────────────────────────────────────────────────────────────────────────────────────

MOST_ELEMENTS, LARGEST = 24, 30.0
UNARY = {  # and where it is smooth enough
    "negative": None, "positive": None, "square": None, "sin": None, "cos": None, "tanh": None, "sigmoid": None, "arctan": None,
    "arcsinh": None, "relu": None, "absolute": None, "exp": lambda x: x < 3, "exp2": lambda x: x < 4, "expm1": lambda x: x < 3,
    "sinh": lambda x: abs(x) < 3, "cosh": lambda x: abs(x) < 3, "sqrt": lambda x: x > 0.2, "log": lambda x: x > 0.2,
    "log2": lambda x: x > 0.2, "log10": lambda x: x > 0.2, "log1p": lambda x: x > -0.7, "tan": lambda x: abs(np.cos(x)) > 0.3,
    "arcsin": lambda x: abs(x) < 0.9, "arccos": lambda x: abs(x) < 0.9, "arccosh": lambda x: x > 1.2,
    "arctanh": lambda x: abs(x) < 0.9, "sign": None,
}  # fmt: skip
BINARY = ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "logaddexp", "matmul"]
REDUCTIONS = ["sum", "mean", "max", "min", "var", "logsumexp"]
FUNCTIONS = {name: getattr(operations, name) for name in TORCH if hasattr(operations, name)} | {
    "concatenate": lambda *arrays, axis: operations.concatenate(arrays, axis),
    "stack": lambda *arrays, axis: operations.stack(arrays, axis),
    "linear": nn.linear,
}


class Writer:
    """Writes a program by chance, computing it in float64 as it goes: what would leave the domain is not written."""

    def __init__(self, seed, number):
        self.rng = np.random.default_rng([seed, number])
        dtypes = [[np.float32], [np.float64], [np.float32, np.float64]][self.rng.integers(3)]
        shape = self._shape()
        self.leaves = [self._leaf(shape, dtypes) for _ in range(self.rng.integers(1, 5))]
        self.dtype = max((x.dtype for x in self.leaves if isinstance(x, np.ndarray)), default=np.dtype(np.float64))
        self.data = [np.float64(x) if isinstance(x, float) else x.astype(np.float64) for x in self.leaves]
        self.steps: list[Step] = []

    def _shape(self):
        return tuple(int(n) for n in self.rng.choice([0, 1, 2, 3], self.rng.integers(0, 4), p=[0.02, 0.18, 0.4, 0.4]))

    def _leaf(self, shape, dtypes):
        like = [n if self.rng.random() < 0.8 else 1 for n in shape[self.rng.integers(0, len(shape) + 1) :]]
        if not like:
            return float(self.rng.uniform(-2, 2))
        return self.rng.uniform(-2, 2, like).astype(dtypes[self.rng.integers(len(dtypes))])

    def _pick(self):
        """One of the values so far, the later ones more often."""
        n = len(self.data)
        return int(n - 1 - min(self.rng.geometric(0.3) - 1, n - 1)) if self.rng.random() < 0.6 else int(self.rng.integers(n))

    def _axes(self, ndim):
        kind = self.rng.integers(3)
        if kind == 0 or not ndim:
            return None
        axis = int(self.rng.integers(-ndim, ndim))
        return axis if kind == 1 else tuple(int(a) for a in np.flatnonzero(self.rng.random(ndim) < 0.6))

    def _propose(self):
        rng, i = self.rng, self._pick()
        x = self.data[i]
        kind = rng.choice(["unary", "binary", "constant", "reduce", "shape", "index", "join", "choose", "softmax", "linear"],
                          p=[0.2, 0.26, 0.1, 0.1, 0.09, 0.07, 0.06, 0.06, 0.04, 0.02])  # fmt: skip
        if kind == "unary":
            name = str(rng.choice(list(UNARY)))
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
            return Step(name, [i], {"axis": self._axes(x.ndim), "keepdims": bool(rng.integers(2))}) if x.size else None
        if kind == "shape":
            choice = rng.integers(4)
            if choice == 0:
                return Step("reshape", [i], {"shape": (-1,) if rng.integers(2) and x.size else (*x.shape, 1)})
            if choice == 1:
                axes = None if rng.integers(2) else tuple(int(a) for a in rng.permutation(x.ndim))
                return Step("transpose", [i], {"axes": axes})
            if choice == 2:
                return Step("broadcast_to", [i], {"shape": (2, *x.shape)})
            return Step(str(rng.choice(["squeeze", "ravel"])), [i])
        if kind == "index" and x.ndim and x.shape[0]:
            n = x.shape[0]
            index = [
                int(rng.integers(-n, n)), slice(None, None, 2), (..., 0) if x.shape[-1] else 0, (None, slice(0, 1)),
                rng.integers(-n, n, rng.integers(1, 4)), rng.random(n) < 0.6,
            ][rng.integers(6)]  # fmt: skip
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
                return Step("clip", [i], [{"min": low, "max": high}, {"min": low}, {"max": high}][rng.integers(3)])
            return Step("where", [("constant", rng.random(x.shape) < 0.5), i, self._pick()])
        if kind == "softmax" and x.ndim and x.size:
            return Step(str(rng.choice(["softmax", "log_softmax"])), [i], {"axis": int(rng.integers(-x.ndim, x.ndim))})
        if kind == "linear":
            fits = [(a, w, b) for a, p in enumerate(self.data) for w, q in enumerate(self.data) for b, r in enumerate(self.data)
                    if p.ndim and q.ndim == 2 and r.ndim == 1 and p.shape[-1] == q.shape[1] and len(q) == len(r)]  # fmt: skip
            return Step("linear", list(fits[rng.integers(len(fits))])) if fits else None
        return None

    def write(self):
        """The program."""
        for _ in range(self.rng.integers(3, 26)):
            step = self._propose()
            if step is None:
                continue
            operands = [x[1] if isinstance(x, tuple) else self.data[x] for x in step.operands]
            operands = [float(x) if np.ndim(x) == 0 and np.asarray(x).dtype.kind == "f" else x for x in operands]
            try:
                with np.errstate(all="ignore"):
                    result = np.asarray(FUNCTIONS[step.name](*operands, **step.options), np.float64)
            except ValueError:
                continue  # shapes that do not match
            if np.isfinite(result).all() and np.abs(result).max(initial=0.0) < LARGEST and result.size <= MOST_ELEMENTS:
                self.steps.append(step)
                self.data.append(result)
        used = {x for step in self.steps for x in step.operands if isinstance(x, int)}
        outputs = [i for i in range(len(self.data)) if i not in used] or [len(self.data) - 1]
        return Program(self.leaves, self.steps, outputs, FUNCTIONS)
