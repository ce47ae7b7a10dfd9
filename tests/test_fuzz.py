"""Every public function gets odd arguments: the result is right, or the error is made for people.

In a call that works, one or two arguments are replaced by something odd, left out, or doubled. Then
only a `TypeError`, `ValueError`, `IndexError`, one of the package's own errors or, for a path, an
`OSError` may be raised. It must have a message, and the message must not be about an attribute, a
length or an item that something deep inside lacks. And nothing may have changed.
"""

import re
import warnings
from fractions import Fraction

import numpy as np
import pytest

import microgd
from microgd import Value, data, nn, operations, optim, plots, train
from microgd.numpy_functions.plain import PLAIN
from microgd.registry import NUMPY, OPERATIONS
from microgd.train import DivergedError

CHUNKS = 8
ALLOWED = (TypeError, ValueError, IndexError, microgd.GradientError, DivergedError)
# What Python says when an unchecked argument reaches code deep inside.
DEEP = re.compile(
    r"has no attribute|not subscriptable|has no len\(|cannot unpack|not iterable|not callable|local variable|__\w+__ "
)


class Strange:
    """An object of a class that nothing knows."""

    def __repr__(self):
        return "Strange()"


def as_objects(*parts):
    """An array of objects. NumPy makes one from Values only if told to."""
    array = np.empty(len(parts), object)
    for i, part in enumerate(parts):
        array[i] = part
    return array


def odd():
    """Odd arguments by name, made anew each time."""
    return {
        "None": None,
        "True": True,
        "0": 0,
        "-1": -1,
        "2**70": 2**70,
        "10**400": 10**400,
        "nan": np.nan,
        "inf": np.inf,
        "1e308": 1e308,
        "complex": 1j,
        "text": "text",
        "empty text": "",
        "bytes": b"12",
        "fraction": Fraction(1, 3),
        "object": Strange(),
        "type": int,
        "ellipsis": ...,
        "function": np.tanh,
        "generator": (i for i in range(3)),
        "set": {1, 2},
        "dictionary": {"a": 1.0},
        "()": (),
        "[]": [],
        "[None]": [None],
        "ragged": [[1.0], [1.0, 2.0]],
        "list": [1.0, 2.0],
        "texts": ["a", "b"],
        "nested": [[[[1]]]],
        "float16": np.ones(2, np.float16),
        "longdouble": np.ones(2, np.longdouble),
        "complex array": np.ones(2, complex),
        "objects": np.array([Strange(), None]),
        "dates": np.array(["2020-01-01"], "M8[D]"),
        "masked": np.ma.array([1.0, 2.0], mask=[0, 1]),
        "0-d": np.array(2.0),
        "empty": np.ones((0, 3)),
        "int8": np.array([1, -1], np.int8),
        "bool": np.array([True, False]),
        "uint64": np.array([2**63], np.uint64),
        "big-endian": np.ones(2, ">f8"),
        "float32": np.ones((2, 3), np.float32),
        "matrix of nan": np.full((2, 3), np.nan),
        "strided": np.ones((4, 6))[::2, ::2],
        "30 axes": np.ones((1,) * 30),
        "int64": np.int64(3),
        "float64": np.float64(0.5),
        "structured": np.zeros(2, [("a", float)]),
        "Value": Value(0.5),
        "vector": Value([1.0, 2.0]),
        "empty Value": Value(np.ones((0, 2))),
        "computed": Value([1.0, 2.0]) * 2.0,
        "Linear": nn.Linear(3, 2),
        "Module": nn.Module,
        "optimizer": optim.SGD([Value(1.0)], lr=0.1),
        "slice": slice(None),
        "rng": np.random.default_rng(0),
        "object text": np.array(["a", None], object),
        "Values as objects": as_objects(Value(1.0), Value(2.0)),
        "[Value, None]": [Value(1.0), None],
        "one bool": np.array([True]),
        "np.True_": np.True_,
        "1": 1,
        "uint8": np.uint8(200),
        "-inf": -np.inf,
        "2**63": 2**63,
        "-2**70": -(2**70),
        "(0, 0)": (0, 0),
        "(1.0,)": (1.0,),
        "subclass": np.ones((1, 2)).view(np.recarray),
        "big integers": [10**400],
        "nan in a list": [1.0, np.nan],
        "huge": [1e300, 1e300],
        "NUL": "a\0b",
        "int pairs": np.array([1, 0]),
        "-3.7": -3.7,
    }


def network():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng))


X, Y, LABELS = np.ones((4, 3)), np.ones((4, 2)), np.array([0, 1, 1, 0])


def fitted(model, loss, optimizer, x, y, **options):
    return list(train.fit(model, loss, optimizer, x, y, **options))


def calls(folder):
    """A working call of everything public, by name: the function, its arguments and its options."""
    x, model = Value([1.0, 2.0], name="x"), network()
    y = (x * x).sum()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    path, rng = folder / "file", np.random.default_rng(0)
    out = nn.mse_loss(model(X), Y)
    matrix = Value(np.ones((2, 3)))
    found = {
        "Value": (Value, ([1.0, 2.0],), {"name": "x"}),
        "grad": (microgd.grad(lambda x, y: (x * y).sum(), argnums=(0, 1)), ([1.0, 2.0], 2.0), {}),
        "grad of": (lambda f, **o: microgd.grad(f, **o)(2.0), (lambda x: x**2,), {"argnums": 0}),
        "value_and_grad": (lambda f, **o: microgd.value_and_grad(f, **o)(2.0), (lambda x: x**2,), {"argnums": [0]}),
        "jacobian": (lambda f, **o: microgd.jacobian(f, **o)([1.0, 2.0]), (lambda x: x**2,), {"argnums": 0}),
        "jacobian of": (microgd.jacobian(lambda p: p), ({"a": [1.0, 2.0], "b": 3.0},), {}),
        "hessian": (lambda f, **o: microgd.hessian(f, **o)(2.0), (lambda x: x**3,), {"argnums": [0]}),
        "gradients": (lambda y, xs, flag: microgd.gradients(y, xs, flag), (y, [x], False), {}),
        "hvp": (microgd.hvp, (y, [x], [[1.0, 0.0]]), {}),
        "no_grad": (microgd.no_grad, (lambda x: x,), {}),
        "operation": (lambda *r, **o: microgd.operation(*r, **o)(lambda x: x), (lambda g, out, x: g,), {"name": "fuzzed"}),
        "check_gradients": (microgd.check_gradients, (lambda x, y: x * y, [0.5, 1.0], 2.0), {"order": 1, "tolerance": 1e-6}),
        "compiled": (lambda f, **o: microgd.compiled(f, **o)(2.0), (lambda x: x * 3.0,), {}),
        "source": (lambda f, *x, **o: microgd.source(f, *x, **o), (lambda x, y: nn.mse_loss(model(x), y), X, Y),
                   {"model": model, "optimizer": optimizer}),
        "draw": (microgd.draw, (out,), {"names": {"x": x}, "model": model, "depth": 1, "direction": "LR",
                  "constants": True, "gradients": True, "limit": 100}),
        "film": (microgd.film, (y, folder / "film.html"), {"names": {"x": x}, "direction": "LR"}),
        "backward": ((x * 2.0).backward, ([1.0, 2.0],), {}),
        "data": (lambda new: setattr(Value([1.0, 2.0]), "data", new), ([3.0, 4.0],), {}),
        "getitem": (lambda i: matrix[i], ((0, slice(None)),), {}),
        "reshape method": (matrix.reshape, (3, 2), {}),
        "transpose method": (matrix.transpose, (1, 0), {}),
        "item": (lambda x: Value(x).item(), (1.0,), {}),
        "compared": (lambda x: matrix <= x, (1.0,), {}),
        "to array": (lambda *o, **more: np.array(matrix, *o, **more), (float,), {"copy": True}),
        "operators": (lambda a, b: a * b - b / a + a**b, (x, [1.0, 2.0]), {}),
        "format": (Value(1.0).__format__, (".2f",), {}),
        "nn.Linear": (nn.Linear, (3, 2), {"bias": True, "rng": rng, "dtype": np.float32}),
        "nn.Linear.forward": (nn.Linear(3, 2), (X,), {}),
        "nn.Sequential": (lambda *layers: nn.Sequential(*layers)(X), (nn.Linear(3, 2), nn.ReLU()), {}),
        "nn.ReLU": (nn.ReLU(), (x,), {}),
        "nn.Sigmoid": (nn.Sigmoid(), (x,), {}),
        "nn.Tanh": (nn.Tanh(), (x,), {}),
        "nn.mse_loss": (nn.mse_loss, (matrix, np.ones((2, 3))), {}),
        "nn.cross_entropy": (nn.cross_entropy, (matrix, [0, 2]), {}),
        "nn.binary_cross_entropy_with_logits": (nn.binary_cross_entropy_with_logits, (matrix, [[0, 1, 1], [1, 0, 0.5]]), {}),
        "nn.Dropout": (lambda *a, **more: nn.Dropout(*a, **more)(matrix), (0.5,), {"rng": rng}),
        "nn.linear": (nn.linear, (X, np.ones((2, 3)), Value([1.0, 2.0])), {}),
        "nn.parameters_to_vector": (nn.parameters_to_vector, (model.parameters(),), {}),
        "nn.vector_to_parameters": (nn.vector_to_parameters, (np.ones(2), [Value([1.0, 2.0])]), {}),
        "Module.load_state_dict": (model.load_state_dict, (model.state_dict(),), {}),
        "Module.load_state_dict bias": (lambda b: nn.Linear(1, 1).load_state_dict({"weight": [[1]], "bias": b}), ([1.0],), {}),
        "Module.save": (model.save, (path,), {}),
        "Module.load": (model.load, (folder / "saved",), {}),
        "optim.SGD": (optim.SGD, ([Value(1.0)],), {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
        "optim.Adam": (optim.Adam, ([Value(1.0)],), {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}),
        "optim.AdamW": (optim.AdamW, ([Value(1.0)],), {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}),
        "optim.clip_grad_norm": (optim.clip_grad_norm, ([x], 1.0), {}),
        "SGD.lr": (lambda lr: setattr(optim.SGD([Value(1.0)], lr=0.1), "lr", lr), (0.2,), {}),
        "SGD.step": (stepped, ([1.0, 2.0],), {}),
        "SGD.load_state_dict": (optimizer.load_state_dict, (optimizer.state_dict(),), {}),
        # No folder would mean a download.
        "data.mnist": (lambda folder: data.mnist("" if folder is None else folder), (folder,), {}),
        "data.idx": (data.idx, (folder,), {}),
        "data.standardize": (data.standardize, ([[1.0, 2.0], [3.0, 2.0]], [[2.0, 2.0]]), {}),
        "data.minibatches": (lambda *a: list(data.minibatches(*a)), (X, LABELS, 2, rng), {}),
        "data.encode_labels": (data.encode_labels, (["a", "b"],), {}),
        "data.one_hot": (data.one_hot, (LABELS, 2), {}),
        "train.fit": (fitted, (network(), nn.cross_entropy, optimizer, X, LABELS), {"epochs": 1, "batch_size": 2, "rng": rng,
                      "test": (X, LABELS), "initial_epoch": 0}),
        "train.evaluate": (train.evaluate, (network(), nn.cross_entropy, X, LABELS), {"batch_size": 3}),
        "train.has_converged": (train.has_converged, ([1.0] * 9,), {"tolerance": 1e-3, "window": 5}),
        "train.save_checkpoint": (train.save_checkpoint, (path, model, optimizer, rng, 3), {}),
        "train.load_checkpoint": (train.load_checkpoint, (folder / "checkpoint", model, optimizer, rng), {}),
        "plots.curve": (plots.curve, (lambda x: x**2, [0.0, 1.0]), {"span": (0.0, 1.0), "ax": None}),
        "plots.contours": (plots.contours, (lambda a, b: a * b, [[0.0, 1.0]]), {"points": 5, "span": ((0, 1), (0, 1)),
                           "ax": None}),
        "plots.losses": (plots.losses, ([3.0, 2.0, 1.0],), {"tolerance": 1e-3, "ax": None}),
        "plots.images": (plots.images, (np.ones((2, 4)), ["a", "b"]), {"columns": 2, "signed": True}),
        "plots.confusion_matrix": (plots.confusion_matrix, (LABELS, LABELS), {"names": ["a", "b"], "ax": None}),
        "plots.landscape": (plots.landscape, (lambda: 1.0, [x], [[1.0, 0.0], [0.0, 1.0]]), {"points": 3}),
        "plots.random_direction": (plots.random_direction, ([x], rng), {}),
        "plots.principal_directions": (plots.principal_directions, (np.eye(3),), {}),
        "plots.panels": (plots.panels, (2, 1), {"width": 4.0, "height": 3.0}),
    }  # fmt: skip
    for name, (given, options) in further_operands(x, matrix).items():
        function = next(f for f in NUMPY if f.__name__ == name)
        found[f"numpy.{name} of a Value"] = function, given, options
        if name in METHODS:
            found[f"Value.{name}"] = getattr(given[0], name), given[1:], options
    for name, (given, options) in operands(x, matrix).items():
        first, *others = given
        found[f"operations.{name}"] = getattr(operations, name), given, options
        if hasattr(np, name):
            found[f"numpy.{name} of a Value"] = getattr(np, name), given, options
        if isinstance(first, Value) and hasattr(Value, name) and (others or options):
            found[f"Value.{name}"] = getattr(first, name), others, options
    return found


def stepped(g):
    p = Value([1.0, 2.0])
    p.grad = g
    optim.SGD([p], lr=0.1, momentum=0.5).step()


def operands(x, matrix):
    """Operands and options that work, for every operation."""
    two = ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "logaddexp"]
    reductions = dict.fromkeys(
        ["sum", "mean", "max", "min", "logsumexp", "var"],
        ((matrix,), {"axis": 1, "keepdims": True}),
    )
    given = {
        "matmul": ((matrix, np.ones((3, 2))), {}),
        "where": (([True, False], x, 0.0), {}),
        "clip": ((x,), {"min": 0.0, "max": 1.5}),
        "softmax": ((matrix,), {"axis": 1}),
        "log_softmax": ((matrix,), {"axis": -1}),
        "reshape": ((matrix, (3, 2)), {}),
        "transpose": ((matrix, (1, 0)), {}),
        "broadcast_to": ((x, (2, 2)), {}),
        "astype": ((x, np.float32), {}),
        "getitem": ((matrix, 1), {}),
        "scatter": ((x, [0, 1], (3,)), {}),
        "concatenate": (([x, x],), {"axis": 0}),
        "stack": (([x, x],), {"axis": 0}),
        "squeeze": ((matrix[None],), {"axis": 0}),
        "ravel": ((matrix,), {}),
    } | reductions
    given |= {name: ((x, x), {}) for name in two}
    single = [
        name for name in public(operations) if name not in given and name not in NO_OPERATIONS
    ]
    return given | {
        name: ((Value([0.25, 0.5]) + (1.0 if name == "arccosh" else 0.0),), {}) for name in single
    }


METHODS = ["round", "dot", "diagonal", "trace", "std", "prod", "cumsum", "swapaxes", "repeat", "take", "argmax", "argmin",
           "argsort", "any", "all"]  # fmt: skip


def further_operands(x, matrix):
    """Operands and options that work, for each of NumPy's functions that is no operation."""
    along, among = {"axis": 1}, {"offset": 1, "axis1": 0, "axis2": 1}
    given = {
        "dot": ((matrix, np.ones((3, 2))), {}),
        "inner": ((matrix, matrix), {}),
        "outer": ((x, matrix), {}),
        "tensordot": ((matrix, matrix), {"axes": ([0, 1], [0, 1])}),
        "einsum": (("ij,kj,k->i", matrix, matrix, x), {"optimize": True}),
        "norm": ((matrix,), {"ord": "fro", "axis": (0, 1), "keepdims": True}),
        "trace": ((matrix,), among),
        "diagonal": ((matrix,), among),
        "diag": ((x,), {"k": 1}),
        "std": ((matrix,), {"axis": 1, "ddof": 1, "keepdims": True}),
        "prod": ((matrix,), {"axis": 1, "keepdims": True}),
        "cumsum": ((matrix,), along),
        "cumprod": ((matrix,), along),
        "sort": ((matrix,), along),
        "average": ((matrix,), {"axis": 1, "weights": [1.0, 2.0, 3.0], "keepdims": False}),
        "expand_dims": ((matrix,), {"axis": (0, 1)}),
        "swapaxes": ((matrix, 0, 1), {}),
        "moveaxis": ((matrix, (0, 1), (1, 0)), {}),
        "repeat": ((matrix, [1, 0, 2]), along),
        "flip": ((matrix,), along),
        "roll": ((matrix, 1), along),
        "tile": ((matrix, (2, 1)), {}),
        "split": ((matrix, [1, 2]), along),
        "take": ((matrix, [0, 1]), along),
        "take_along_axis": ((matrix, np.zeros((2, 1), int)), along),
        "vstack": (([x, x],), {}),
        "hstack": (([x, 1.0, x],), {}),
        "column_stack": (([x, x],), {}),
        "pad": ((matrix, ((1, 0), (0, 1))), {"mode": "constant", "constant_values": 0.5}),
        "tril": ((matrix,), {"k": 1}),
        "triu": ((matrix,), {"k": 1}),
        "sliding_window_view": ((matrix, (2, 2)), {"axis": (0, 1)}),
        "round": ((x,), {"decimals": 1}),
        "around": ((x,), {"decimals": 1}),
        "isclose": ((x, [1.0, 2.0]), {"rtol": 0.1, "atol": 0.1, "equal_nan": True}),
        "allclose": ((x, [1.0, 2.0]), {"rtol": 0.1, "atol": 0.1, "equal_nan": True}),
        "full_like": ((x, 2.0), {}),
        "argsort": ((matrix,), along),
        "argmax": ((matrix,), {"axis": 1, "keepdims": True}),
        "argmin": ((matrix,), {"axis": 1, "keepdims": True}),
        "any": ((matrix,), {"axis": 1, "keepdims": True}),
        "all": ((matrix,), {"axis": 1, "keepdims": True}),
        "amax": ((matrix,), {"axis": 1, "keepdims": True}),
        "amin": ((matrix,), {"axis": 1, "keepdims": True}),
    }
    one = [np.isfinite, np.isinf, np.isnan, np.logical_not, np.nonzero, np.count_nonzero, np.shape, np.ndim, np.size,
           np.zeros_like, np.ones_like, np.empty_like, np.floor, np.ceil, np.rint, np.trunc, np.cbrt, np.reciprocal]  # fmt: skip
    given |= {function.__name__: ((x,), {}) for function in one}
    two = [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.array_equal, np.logical_and,
           np.logical_or, np.logical_xor, np.arctan2, np.hypot]  # fmt: skip
    return given | {function.__name__: ((x, [1.0, 2.0]), {}) for function in two}


FLAGS = {"keepdims"}
NO_OPERATIONS = {"operation", "elementwise", "reduction"}


def public(module):
    """The names of the public callables that a module defines itself."""
    own = {name: x for name, x in vars(module).items() if not name.startswith("_") and callable(x)}
    return [
        name
        for name, x in own.items()
        if getattr(x, "__module__", None) == module.__name__
        or (name in OPERATIONS and x.__module__.startswith("microgd."))
    ]


def test_everything_public_is_among_the_calls(tmp_path):
    named = {name.split(" ")[0] for name in calls(tmp_path)}
    offered = {name for name in microgd.__all__ if callable(getattr(microgd, name))} - {
        "GradientError"
    }
    for module in (nn, optim, data, train, plots, operations):
        short = module.__name__.removeprefix("microgd.")
        offered |= {f"{short}.{name}" for name in public(module)}
    offered -= {
        "nn.Module",
        "nn.softmax",
        "nn.square",
        "nn.mean",
        "nn.reshape",
        "operations.elementwise",
        "operations.group_size",
        "operations.reduction",
        "operations.repeated",
        "operations.shape_of",
        "optim.Optimizer",
    }
    offered -= {
        "data.check_rng",
        "data.Examples",
        "data.Digits",
        "data.Minibatches",
        "data.Encoded",
        "data.digits",
        "train.Epoch",
        "train.DivergedError",
        "plots.Figure",
    }
    assert offered <= named
    walked = {name.removeprefix("numpy.").partition(" ")[0] for name in calls(tmp_path)}
    assert {
        f.__name__ for f, ours in NUMPY.items() if ours.__module__.startswith("microgd.")
    } <= walked


def state(arguments):
    """What the Values and modules among the arguments hold, to check that it does not change."""
    held = []
    for x in arguments:
        for part in x if isinstance(x, (list, tuple)) else [x]:
            for value in part.parameters() if isinstance(part, nn.Module) else [part]:
                if isinstance(value, Value):
                    held.append(
                        (
                            np.asarray(value._numbers).tobytes(),
                            None if value.grad is None else np.asarray(value.grad).tobytes(),
                        )
                    )
    return held


def wrong_number(name, result, arguments, options):
    """An error if NumPy's function of that name takes the same call and returns something else."""
    numpys = next((f for f in NUMPY if f.__name__ == name), getattr(np, name, None))
    parts = result if isinstance(result, (list, tuple)) else [result]
    is_plain = numpys in PLAIN and numpys is not np.empty_like
    if numpys is None or not (is_plain or any(isinstance(part, Value) for part in parts)):
        return None
    if (
        not is_plain
        and set(options) & FLAGS
        and not all(isinstance(x, bool | np.bool_) for key, x in options.items() if key in FLAGS)
    ):
        return ArithmeticError(f"{options} has a flag that is neither True nor False")
    given = [
        [part.data if isinstance(part, Value) else part for part in x] if isinstance(x, list) else x
        for x in arguments
    ]
    try:
        expected = numpys(*(x.data if isinstance(x, Value) else x for x in given), **options)
    except Exception:
        return None
    expected_parts = expected if isinstance(expected, (list, tuple)) else [expected]
    if len(parts) != len(expected_parts) or not all(map(same_numbers, parts, expected_parts)):
        return ArithmeticError(f"{result} is not NumPy's {expected!r}")
    return next(filter(None, (wrong_gradient(part, arguments) for part in parts)), None)


def same_numbers(x, y):
    """Whether a result holds the same numbers as NumPy's; a plain result also has its dtype."""
    if not isinstance(x, Value):
        return np.asarray(x).dtype == np.asarray(y).dtype and np.array_equal(x, y, equal_nan=True)
    return x.shape == np.shape(y) and np.allclose(x.data, y, rtol=1e-6, equal_nan=True)


def wrong_gradient(result, arguments):
    """An error if an operand's gradient does not have the operand's shape and dtype."""
    if not isinstance(result, Value):
        return None
    operands = [
        part
        for x in arguments
        for part in (x if isinstance(x, list) else [x])
        if isinstance(part, Value)
    ]
    for x, g in zip(operands, microgd.gradients(result.sum(), operands), strict=True):
        if np.shape(g) != x.shape or np.asarray(g).dtype != x.dtype:
            return ArithmeticError(f"{g!r} is not a gradient of {x!r}")
    return None


class Odd:
    """Random calls with something odd in them."""

    def __init__(self, seed, folder):
        self.rng, self.folder = np.random.default_rng(seed), folder
        network().save(folder / "saved")
        model = network()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
        train.save_checkpoint(folder / "checkpoint", model, optimizer, np.random.default_rng(0), 1)
        self.names = sorted(calls(folder))

    def call(self):
        """Make one call: what it was, and what was wrong with it, or None."""
        rng, pool = self.rng, odd()
        name = str(rng.choice(self.names))
        function, arguments, options = calls(self.folder)[name]
        joins = any(isinstance(x, list) for x in arguments[:1])
        arguments, options, what = list(arguments), dict(options), [name]
        for _ in range(rng.integers(1, 3)):
            place = rng.integers(len(arguments) + len(options))
            key = int(place) if place < len(arguments) else list(options)[place - len(arguments)]
            kind = rng.random()
            if kind < 0.08 and arguments:
                what.append(f"without the last of {len(arguments)}")
                arguments.pop()
            elif kind < 0.14:
                what.append("one more")
                arguments.append(1.0)
            else:
                odd_name = str(rng.choice(list(pool)))
                what.append(f"{key} = {odd_name}")
                (arguments if isinstance(key, int) and key < len(arguments) else options)[key] = (
                    pool[odd_name]
                )
            if not arguments and not options:
                break
        options = {key: x for key, x in options.items() if isinstance(key, str)}
        # Without a Value the call concerns NumPy alone.
        is_list = joins and any(isinstance(x, list) for x in arguments[:1])
        parts = arguments[0] if is_list else arguments
        if name.startswith("numpy.") and not any(isinstance(part, Value) for part in parts):
            return what, None
        before = state([*arguments, *options.values()])
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=RuntimeWarning)
            # From older versions of NumPy, as is the next one.
            warnings.filterwarnings(
                "ignore", "The truth value of an empty array", DeprecationWarning
            )
            warnings.filterwarnings(
                "ignore", "In future, it will be an error for 'np.bool'", DeprecationWarning
            )
            # From Matplotlib, about axes with a span of 0.
            warnings.filterwarnings("ignore", "Attempting to set identical", UserWarning)
            # From np.maximum, about a third argument.
            warnings.filterwarnings("ignore", "Passing more than 2 positional", DeprecationWarning)
            try:
                result = function(*arguments, **options)
                kind, _, called = name.split(" ")[0].partition(".")
                itself = [function.__self__] if kind == "Value" and called else []
                judged = itself or kind in ("operations", "numpy")
                return what, wrong_number(
                    called, result, [*itself, *arguments], options
                ) if judged else None
            except Exception as error:
                same = name == "train.fit" or state([*arguments, *options.values()]) == before
                return what, error if same else RuntimeError(
                    f"there was a change, and then {error!r}"
                )


def fit_for_a_person(what, error):
    """Whether the type and the message of an error help a person."""
    if "dtype = dictionary" in what or (what[0] == "to array" and "0 = dictionary" in what):
        return True  # NumPy reads a dictionary as the fields of a structured dtype
    # From Python and NumPy, for integers of more than 63 bits.
    if isinstance(error, OverflowError):
        return re.search(r"2\*\*|10\*\*|big integers|uint", str(what))
    # The generator was used up before NumPy got it.
    if isinstance(error, ArithmeticError) and "generator" in str(what):
        return True
    # NumPy itself judges their operands and options.
    if re.match(r"operations\.|numpy\.|Value\.", what[0]) and isinstance(error, TypeError):
        return "has no attribute" not in str(error)
    # NumPy's own, of an array and an object that knows no such method.
    if isinstance(error, AttributeError) and "logical_xor" in what[0]:
        return True
    # Python's message for something that is not a path.
    if isinstance(error, TypeError) and "os.PathLike" in str(error):
        return True
    takes_a_path = re.search("film|save|load|mnist|idx", what[0])
    return (
        isinstance(error, (*ALLOWED, OSError) if takes_a_path else ALLOWED)
        and str(error)
        and not DEEP.search(str(error))
    )


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_is_odd_is_refused_in_words_for_a_person_or_taken_rightly(
    chunk, tmp_path, registry, size, record_property, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    calls_with_odd, refused, wrong = Odd(chunk, tmp_path), 0, []
    n = size(250, 12_500)
    for _ in range(n):
        what, error = calls_with_odd.call()
        refused += error is not None
        if error is not None and not fit_for_a_person(what, error):
            wrong.append(f"{what}: {error!r}")
    record_property("odd calls", n)
    record_property("odd calls refused", refused)
    assert not wrong, "\n".join(wrong)
