"""Is a program ever silently wrong?

Each scenario runs in two worlds that are made alike: in one, everything runs as it is; in the other
it is compiled. Results, gradients, errors, warnings, the weights and the random generators are
compared after each call, bit for bit. A scenario is right if the worlds agree and a program ran; or
if the function runs as it is, and one `RuntimeWarning` has said why.

All of it is done twice: as for users, where some calls are compared with the function itself, and
without these comparisons, which would hide a program that is wrong in other calls.
"""

# ruff: noqa: NPY002 (functions that draw from NumPy's global generator are among the scenarios)

from __future__ import annotations

import asyncio
import collections
import contextvars
import copy
import dataclasses
import enum
import functools
import itertools
import math
import operator
import random
import sys
import threading
import time
import types
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import microgd
from microgd import Value, nn, no_grad, optim, train
from microgd.programs import step as programs_step
from microgd.programs import version as programs_version
from microgd.programs.run import Compiled, compiled
from microgd.programs.step import CompiledSteps


@pytest.fixture(autouse=True, params=["compared", "alone"])
def comparisons(request, monkeypatch):
    """With the comparisons that a user has, and without any."""
    if request.param == "alone":
        monkeypatch.setattr(programs_version, "is_compared", lambda call: False)
        monkeypatch.setattr(programs_step, "is_compared", lambda call: False)
    return request.param


# ── Two worlds ───────────────────────────────────────────────────────────────────────────────────
def bits(x):
    """Anything as something that == compares to the last bit."""
    if isinstance(x, Value):
        return "Value", bits(x._numbers)
    if isinstance(x, np.ndarray):
        return x.dtype.str, x.shape, x.tobytes()
    if isinstance(x, np.generic):
        return type(x).__name__, x.tobytes()
    if isinstance(x, float):
        return "float", repr(x)
    if isinstance(x, list | tuple):
        return type(x).__name__, [bits(each) for each in x]
    if isinstance(x, dict):
        return [(key, bits(each)) for key, each in x.items()]
    if isinstance(x, bool | int | str | None):
        return type(x).__name__, x
    return type(x).__name__


def first_value(x):
    if isinstance(x, Value):
        return x if x._operands else None
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, list | tuple):
        return next((found for found in map(first_value, x) if found is not None), None)
    return None


def attempted(action):
    """What it returns, or the error, with the warnings that it gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = action()
        except Exception as error:
            result = "error", type(error).__name__, str(error)
    found = {(each.category.__name__, str(each.message)) for each in caught}
    ours = [each for each in caught if "compiled" in str(each.message)]
    return result, {each for each in found if "compiled" not in each[1]}, ours


def states():
    return repr((random.getstate(), np.random.get_state()))


def outcomes(make, arguments, change, calls, is_compiled, backward=True):
    """What happens in one world: a list with the outcome of each call; and its function."""
    random.seed(0)
    np.random.seed(0)
    world = make()
    function = world.f
    if is_compiled:
        function = world.f if isinstance(world.f, Compiled) else compiled(world.f)
    values = getattr(world, "values", [])
    found = []
    all_ours = []
    for i in range(calls):
        if change is not None:
            change(world, i)
        given = arguments(world, i) if arguments is not None else ()
        options = {}
        if isinstance(given, dict):
            given, options = (), given

        def call(given=given, options=options):
            result = function(*given, **options)
            output = first_value(result) if backward else None
            if output is not None:
                gradient = None if output.size == 1 else np.full(output.shape, 0.5, output.dtype)
                output.backward(gradient)
            return result

        result, warned, ours = attempted(call)
        all_ours += ours
        known = {id(p) for p in values}
        leaves = [*values, *(x for x in leaves_of((given, options)) if id(x) not in known)]
        found.append((bits(result), sorted(warned), [bits(p.grad) for p in leaves], states()))
        for p in leaves:
            if p.grad is not None and not p._operands:
                p.data = p.data - 0.125 * np.asarray(p.grad)
            p.grad = None
        found.append([bits(p.data) for p in values])
    found.append([repr(rng.bit_generator.state) for rng in getattr(world, "rngs", [])])
    return found, function, all_ours


def leaves_of(x):
    if isinstance(x, Value):
        yield x
    elif isinstance(x, list | tuple):
        for each in x:
            yield from leaves_of(each)
    elif isinstance(x, dict):
        for each in x.values():
            yield from leaves_of(each)


def beside(make, arguments=None, change=None, *, calls=14, reason=None, ran=True, backward=True):
    """Compare the two worlds. `reason` is what the one warning says; None: there is none."""
    expected, _, _ = outcomes(make, arguments, change, calls, False, backward)
    found, function, ours = outcomes(make, arguments, change, calls, True, backward)
    for i, (x, y) in enumerate(zip(expected, found, strict=True)):
        assert x == y, f"call {i / 2}"
    if reason is None:
        assert not ours, [str(each.message) for each in ours]
        assert function._reason is None
        if ran:
            runs = [version.runs for each in function._versions.values() for version in each]
            assert sum(runs) > len(runs)
            assert function.differences == 0
    else:
        assert len(ours) == 1
        assert reason in str(ours[0].message)
        assert ours[0].filename == __file__
        assert not function._versions
    return function


def data(seed=0, n=8, features=3, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(n, features)).astype(dtype)


def network(seed=0, **options):
    """A world with weights w, b, and a function of x that uses them."""
    rng = np.random.default_rng(seed)
    world = SimpleNamespace(**options)
    world.w = Value(rng.normal(size=(3, 4)), "w")
    world.b = Value(rng.normal(size=4), "b")
    world.values = [world.w, world.b]
    return world


def each_x(world, i):
    return (data(i),)


# ── Shapes, dtypes, numbers ──────────────────────────────────────────────────────────────────────
def test_another_shape_gets_a_program_at_its_third_call():
    def make():
        world = network()
        world.f = lambda x: (np.tanh(x @ world.w + world.b) ** 2).mean()
        return world

    function = beside(make, lambda world, i: (data(i, n=3 if i % 4 == 3 else 8),), calls=24)
    assert len(function._versions) == 2


def test_a_program_takes_square_roots_of_arrays_and_of_numbers():
    function = compiled(lambda x: np.sqrt(np.sqrt(x * x + 1.0).sum()))
    x = Value(data())
    expected = function(x)
    ((version,),) = function._versions.values()
    found, *_ = version.forward(*version._numbers((x,), {}))
    assert bits(found) == bits(expected._numbers)


def fails_on_purpose(*arguments):
    raise TypeError("on purpose")


def test_a_program_that_fails_where_the_function_does_not_is_given_up_and_said_to_be():
    w = Value(2.0)
    function = compiled(lambda x: x * w)
    function(1.0)
    ((version,),) = function._versions.values()
    version.forward = fails_on_purpose
    assert [function(3.0).item(), function(4.0).item()] == [6.0, 8.0]
    with pytest.warns(RuntimeWarning, match="runs as it is: its program fails: TypeError: on purp"):
        assert function(5.0).item() == 10.0
    assert function(6.0).item() == 12.0


def test_errors_of_the_function_itself_are_no_failures_of_its_program():
    w = Value(np.ones((3, 2)))
    function = compiled(lambda x, y: nn.cross_entropy(x @ w, y))
    x = data(n=4)[:, :3]
    function(x, np.array([0, 1, 1, 0]))
    for _ in range(5):
        with pytest.raises(ValueError, match="labels"):
            function(x, np.array([0, 1, 2, 0]))
    assert function._reason is None


def test_a_step_whose_program_fails_is_made_as_without_compiling():
    world = step_world()
    steps = CompiledSteps(world.model, world.loss, world.optimizer, None)
    batch_of_fit = train._Batch(world.model, world.loss, world.optimizer, None)
    batch_of_fit.epoch = 1
    batch_of_fit.number = 5
    batch_of_fit.is_first_epoch = False
    batch_of_fit.x, batch_of_fit.y = batch(0)
    losses = [steps.step(batch_of_fit), steps.step(batch_of_fit)]
    ((version,),) = steps._versions.values()
    version.compute = fails_on_purpose
    losses += [steps.step(batch_of_fit), steps.step(batch_of_fit)]
    with pytest.warns(RuntimeWarning, match="steps are not compiled: its program fails: TypeError"):
        losses.append(steps.step(batch_of_fit))
    losses.append(steps.step(batch_of_fit))
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 6  # each step was made once


def test_shapes_that_come_once_or_twice_get_no_program():
    def make():
        world = network()
        world.f = lambda x: (x @ world.w).sum()
        return world

    function = beside(make, lambda world, i: (data(i, n=max(2, i // 2)),), calls=24, ran=False)
    assert len(function._versions) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
def test_dtypes_of_x(dtype):
    def make():
        world = network()
        world.f = lambda x: (x / 255 @ world.w + world.b).mean()
        return world

    beside(make, lambda world, i: ((data(i) * 100).astype(dtype),))


def test_changed_dtypes():
    def make():
        world = network()
        world.f = lambda x: (x @ world.w).mean()
        return world

    kinds = [np.float64, np.float32, np.int32]
    function = beside(make, lambda world, i: ((data(i) * 9).astype(kinds[i % 3]),), calls=30)
    assert len(function._versions) == 3


@pytest.mark.parametrize(
    "scaled",
    [
        lambda x: x / 255,
        lambda x: x / x.max(),
        lambda x: (x - x.mean(0)) / (x.std(0) + 1e-6),
        lambda x: np.where(x > 0, x, -x),
        lambda x: np.clip(x, -1, 1),
        lambda x: np.maximum(x, 0.0) ** 2,
        lambda x: x[::-1, [0, 2, 1]],
        lambda x: x.astype(np.float32).astype(np.float64),
        lambda x: np.concatenate([x[:2], x[2:]]),
        lambda x: np.argsort(x, axis=0) * 0.1,
        lambda x: (x > x.mean()) * x,
        lambda x: x - x[np.arange(len(x)), np.argmax(x, axis=1)][:, None],
        lambda x: np.einsum("ij,ij->ij", x, x),
        lambda x: np.linalg.norm(x, axis=1, keepdims=True) * x,
        lambda x: np.cumsum(x, axis=0) + np.sort(x, axis=0),
    ],
)
def test_arithmetic_of_x(scaled):
    def make():
        world = network()
        world.f = lambda x: (scaled(x) @ world.w + world.b).mean()
        return world

    beside(make, each_x)
    beside(make, lambda world, i: (np.asfortranarray(data(i)),))
    beside(make, lambda world, i: (data(i, n=16)[::2],))


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, np.array, np.int64])
def test_scalars_of_every_kind(kind):
    def make():
        world = SimpleNamespace(a=Value(2.0), b=Value(-3.0))
        world.values = [world.a, world.b]
        world.f = lambda x: (world.a * x + world.b * world.a) ** 2 + world.a / (x + 7)
        return world

    beside(make, lambda world, i: (kind(i + 1),))


def test_nan_infinity_and_overflow():
    def make():
        world = network()
        world.f = lambda x: (np.exp(x @ world.w) / (x @ world.w)).sum()
        return world

    def x(world, i):
        array = data(i)
        array[0, 0] = [1.0, np.nan, np.inf, -np.inf, 1e308, 0.0, 800.0][i % 7]
        return (array,)

    beside(make, x)


@pytest.mark.filterwarnings("always")
def test_numpys_warnings_are_those_of_the_function():
    def make():
        world = SimpleNamespace(w=Value(np.ones(3)))
        world.f = lambda x: (np.log(x) * world.w / x).sum()
        world.values = [world.w]
        return world

    beside(make, lambda world, i: (np.array([1.0, 2.0, 0.0 if i > 4 else 1.0]),))


def test_empty_arrays():
    def make():
        world = network()
        world.f = lambda x: (x @ world.w).sum()
        return world

    beside(make, lambda world, i: (np.zeros((0, 3)),))


# ── Ways through the function ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "factor",
    [
        lambda h, x: 2.0 if x.max() > 1.5 else 1.0,
        lambda h, x: 2.0 if (h.sum() > 0) else 1.0,
        lambda h, x: 2.0 if h.data[0, 0] > 0 else 1.0,
        lambda h, x: 2.0 if np.any(x > 2) else 1.0,
        lambda h, x: 2.0 if h.mean().item() > 0 and not np.all(x < 1.9) else 1.0,
        lambda h, x: max(x[0, 0], x[0, 1], 0.25),
        lambda h, x: sorted([x[0, 0], x[0, 1], 0.25])[1],
        lambda h, x: abs(x[0, 0]) if x[0, 0] < 0 else x[0, 0] ** 2,
        lambda h, x: (x[0, 0] > 0 and x[1, 0]) or x[2, 0],
    ],
)
def test_if_on_numbers(factor):
    def make():
        world = network()

        def f(x):
            h = x @ world.w
            return (h * factor(h, x)).mean()

        world.f = f
        return world

    beside(make, each_x, calls=40)


def test_early_return():
    def make():
        world = network()

        def f(x):
            loss = (x @ world.w).mean()
            if loss > 0:
                return loss
            return (loss * 2 + world.b.sum()) ** 2

        world.f = f
        return world

    beside(make, each_x, calls=40)


def test_a_while_loop_on_data():
    def make():
        world = SimpleNamespace(a=Value(1.5))
        world.values = [world.a]

        def f(x):
            y = abs(world.a) * x + 0.1
            while y < 10:
                y = y * 2
            return y

        world.f = f
        return world

    beside(make, lambda world, i: (0.5 + i % 3,), calls=40)


def test_where_on_comparisons_and_masks():
    def make():
        world = network()

        def f(x):
            h = x @ world.w
            h = np.where(h > 0, h, 0.1 * h)
            return np.where(np.isnan(x[:, :1]), 0.0, h).sum() + (h * (h.data > 0.5)).sum()

        world.f = f
        return world

    beside(make, each_x)


def test_labels_by_index():
    def make():
        world = network()

        def f(x, y):
            logp = (x @ world.w).log_softmax(axis=1)
            return -logp[np.arange(len(y)), y].mean()

        world.f = f
        return world

    beside(make, lambda world, i: (data(i), np.random.default_rng(i).integers(0, 4, 8)))


def test_labels_out_of_range_have_the_engines_message():
    def make():
        world = network()
        world.f = lambda x, y: nn.cross_entropy(x @ world.w, y)
        return world

    def arguments(world, i):
        y = np.random.default_rng(i).integers(0, 4, 8)
        if i in (5, 7):
            y[3] = 4 if i == 5 else -1
        return data(i), y

    beside(make, arguments)


def test_one_hot_and_the_table_of_it():
    def make():
        world = network()
        world.f = lambda x, y: (nn.one_hot(y, 4) * (x @ world.w)).sum()
        return world

    beside(make, lambda world, i: (data(i), np.random.default_rng(i).integers(0, 4, 8)))


def test_np_eye_of_labels_runs_as_it_is():
    def make():
        world = network()
        world.f = lambda x, y: (np.eye(4)[y] * (x @ world.w)).sum()
        return world

    labels = lambda world, i: (data(i), np.random.default_rng(i).integers(0, 4, 8))  # noqa: E731
    beside(make, labels, reason="can't be followed")


@pytest.mark.parametrize(
    "shape_of",
    [
        lambda h, x: h[x[:, 0] > 0],
        lambda h, x: h[np.nonzero(x[:, 0] > 0)],
        lambda h, x: h[np.flatnonzero(x[:, 0] > 0)],
        lambda h, x: h * np.unique(np.round(x[:, 0])).sum(),
        lambda h, x: h * len(np.unique(np.round(x[:, 0]))),
        lambda h, x: h * x[x > 0].mean(),
        lambda h, x: h * x[x > 0].size,
        lambda h, x: h * np.compress(x[:, 0] > 0, x, axis=0).shape[0],
    ],
)
def test_shapes_that_depend_on_numbers(shape_of):
    def make():
        world = network()
        world.f = lambda x: shape_of(x @ world.w, x).sum()
        return world

    beside(make, each_x, calls=40)


def test_detach_no_grad_data_and_item_inside():
    def make():
        world = network()

        def f(x):
            h = np.tanh(x @ world.w)
            with no_grad():
                scale = (h * h).mean()
            h = h * (1 + h.detach()) / scale.item()
            return (h + h.data.max() + world.b.data[0]).sum() * scale

        world.f = f
        return world

    beside(make, each_x)


def test_within_no_grad_and_evaluation():
    def make():
        world = network()
        function = lambda x: (x @ world.w).mean()  # noqa: E731
        world.f = function
        return world

    expected = [bits(make().f(data(i))) for i in range(12)]
    world = make()
    function = compiled(world.f)
    found = []
    for i in range(12):
        if i % 2:
            with no_grad():
                result = function(data(i))
            with pytest.raises(ValueError, match="within no_grad"):
                result.backward()
        else:
            result = function(data(i))
            result.backward()
        found.append(bits(result))
    assert found == expected


# ── What can't be followed ───────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "number",
    [
        lambda x: np.asarray(x).max(),
        lambda x: float(x.max()),
        lambda x: int(x.sum()),
        lambda x: math.exp(x[0, 0]),
        lambda x: x.tolist()[0][0],
        lambda x: np.array([x[0, 0], x[0, 1]])[0],
        lambda x: round(x[0, 0]),
        lambda x: len(f"{x[0, 0]:.5f}"),
        lambda x: len(str(x[0, 0])),
        lambda x: "%.1f" % x[0, 0] and 2.0,  # noqa: UP031
        lambda x: math.floor(x[0, 0]),
        lambda x: (range(int(x[0, 0] > 0))[0:1] and 2.0) or 1.0,
        lambda x: [1.0, 2.0][x[0, 0] > 0],
        lambda x: {True: 1.0, False: 2.0}[x[0, 0] > 0],
        lambda x: 2.0 if x[0, 0] in {0.5, 0.25} else 1.0,
        lambda x: x.tobytes()[0],
        lambda x: memoryview(x)[0, 0],
        lambda x: functools.reduce(operator.add, x.tolist()[0]),
        lambda x: np.float32(x[0, 0]),
        lambda x: np.fromiter((each[0] for each in x), float).max(),
        lambda x: hash(x[0, 0].item()) % 7,
        lambda x: math.fsum(x[:, 0]),
        lambda x: np.vectorize(lambda e: e * 2)(x).sum(),
        lambda x: np.apply_along_axis(sum, 0, x).sum(),
        lambda x: np.zeros(int(abs(x[0, 0])) + 1).size,
        lambda x: statistics_mean(x),
    ],
)
def test_numbers_taken_out_run_as_it_is(number):
    def make():
        world = network()
        world.f = lambda x: (x @ world.w * number(x)).mean()
        return world

    expected, _, _ = outcomes(make, each_x, None, 14, False)
    found, function, ours = outcomes(make, each_x, None, 14, True)
    assert found == expected
    assert len(ours) == (function._reason is not None)
    assert function.differences == 0


def statistics_mean(x):
    import statistics

    return statistics.mean(x[:, 0].tolist())


def test_printing_runs_as_it_is_and_prints_each_time(capsys):
    def make():
        world = network()

        def f(x):
            loss = (x @ world.w).mean()
            print(f"loss {loss.item():.4f}")
            return loss

        world.f = f
        return world

    beside(make, each_x, calls=6, reason="formatting")
    assert len(capsys.readouterr().out.splitlines()) >= 12


def test_try_and_except_that_swallow_an_error():
    def make():
        world = network()

        def f(x):
            h = x @ world.w
            try:
                factor = float(x[0, 0])
            except TypeError:
                factor = 100.0
            return (h * factor).mean()

        world.f = f
        return world

    beside(make, each_x, reason="float(x)")


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_an_error_of_the_numbers_that_is_caught(first):
    def make():
        world = SimpleNamespace(a=Value(2.0))
        world.values = [world.a]

        def f(x):
            try:
                factor = 1.0 / x
            except ZeroDivisionError:
                factor = 50.0
            return world.a * factor

        world.f = f
        return world

    reason = "ZeroDivisionError" if first == 0 else None
    beside(make, lambda world, i: (first if i < 3 else float(i % 3),), reason=reason)


@pytest.mark.parametrize("first", [2, 9])
def test_an_index_error_that_is_caught(first):
    def make():
        world = SimpleNamespace(a=Value(np.arange(4.0)))
        world.values = [world.a]

        def f(x, rows):
            try:
                return (world.a * x[rows]).sum()
            except IndexError:
                return world.a.sum()

        world.f = f
        return world

    def arguments(world, i):
        return np.arange(4.0), np.array([0, 1, 2, first if i < 3 else [1, 9][i % 2]])

    beside(make, arguments, reason="IndexError" if first == 9 else None)


def test_floating_point_errors_that_are_raised_inside():
    def make():
        world = SimpleNamespace(a=Value(np.ones(2)))
        world.values = [world.a]

        def f(x):
            try:
                with np.errstate(all="raise"):
                    y = np.log(x)
            except FloatingPointError:
                y = x
            return (world.a * y).sum()

        world.f = f
        return world

    arguments = lambda world, i: (np.array([1.0, 0.0 if i > 4 else 2.0]),)  # noqa: E731
    beside(make, arguments, reason="how NumPy treats errors")


def test_warnings_that_are_errors_inside():
    def make():
        world = SimpleNamespace(a=Value(np.ones(2)))
        world.values = [world.a]

        def f(x):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    y = np.log(x)
            except RuntimeWarning:
                y = x
            return (world.a * y).sum()

        world.f = f
        return world

    arguments = lambda world, i: (np.array([1.0, 0.0 if i > 4 else 2.0]),)  # noqa: E731
    beside(make, arguments, reason="how warnings are treated")


def test_exceptions_of_the_function_in_some_calls():
    def make():
        world = network()

        def f(x):
            if x.max() > 1.8:
                raise KeyError("too large")
            return (x @ world.w).mean()

        world.f = f
        return world

    beside(make, each_x, calls=40, ran=False)


def test_an_exception_at_the_first_call():
    def make():
        world = network(bad=True)

        def f(x):
            if world.bad:
                raise ValueError("not yet")
            return (x @ world.w).mean()

        world.f = f
        return world

    def change(world, i):
        world.bad = i == 0

    beside(make, each_x, change)


# ── Randomness, time and state ───────────────────────────────────────────────────────────────────
GENERATOR = np.random.default_rng(3)


def random_worlds():
    rng = np.random.default_rng(3)
    legacy = np.random.RandomState(3)
    pythons = random.Random(3)
    holder = SimpleNamespace(rng=np.random.default_rng(3))
    return {
        "numpy": lambda: np.random.normal(),
        "numpy array": lambda: np.random.normal(size=(8, 4)),
        "python": random.random,
        "closure": lambda: rng.normal(),
        "closure array": lambda: rng.normal(size=(8, 4)),
        "attribute": lambda: holder.rng.random(),
        "legacy": lambda: legacy.normal(),
        "pythons own": lambda: pythons.random(),
        "choice": lambda: pythons.choice([1.0, 2.0, 3.0]),
        "now and then": lambda: 2.0 if rng.random() < 0.1 else 1.0,
        "shuffled": lambda: rng.permutation(4)[None] * 1.0,
    }


@pytest.mark.parametrize("name", list(random_worlds()))
def test_random_numbers_run_as_it_is_and_are_the_same(name):
    def make():
        world = network()
        draw = random_worlds()[name]
        world.f = lambda x: (x @ world.w * draw()).mean()
        return world

    beside(make, each_x, reason="it draws random numbers")


def test_a_context_variable_runs_as_it_is():
    variable = contextvars.ContextVar("factor", default=2.0)

    def make():
        world = network()
        world.f = lambda x: (x @ world.w * variable.get()).mean()
        return world

    beside(make, each_x, reason="different in each thread")


@pytest.mark.parametrize(
    "number",
    [
        lambda: np.random.default_rng().normal(),
        lambda: time.perf_counter() % 1.0,
        random.SystemRandom().random,
    ],
)
def test_what_comes_from_outside_is_found_out_by_comparing(number, comparisons):
    if comparisons == "alone":
        pytest.skip("that is what comparisons are for")
    world = network()

    def function(x):
        return (x @ world.w).mean() * number()

    function = compiled(function)
    with pytest.warns(RuntimeWarning, match="something besides its arguments") as caught:
        results = [function(data(1)).item() for i in range(14)]
    assert len(caught) == 1
    assert len(set(results)) == 14  # none comes from a program


def test_dropout_runs_as_it_is_and_draws_the_same_numbers():
    def make():
        world = network()
        world.rng = np.random.default_rng(5)
        world.rngs = [world.rng]
        world.dropout = nn.Dropout(0.4, rng=world.rng)
        world.f = lambda x: world.dropout(x @ world.w).mean()
        return world

    beside(make, each_x, reason="it draws random numbers")


def test_dropout_in_evaluation_is_compiled_until_training_begins():
    def make():
        world = network()
        world.rng = np.random.default_rng(5)
        world.rngs = [world.rng]
        world.dropout = nn.Dropout(0.4, rng=world.rng).eval()
        world.f = lambda x: world.dropout(x @ world.w).mean()
        return world

    def change(world, i):
        if i == 6:
            world.dropout.train()

    beside(make, each_x, change, reason="it draws random numbers")


def test_training_and_evaluation_in_turn():
    class Scale(nn.Module):
        def __init__(self):
            self.w = Value(np.arange(3.0))

        def forward(self, x):
            return x * self.w * (2.0 if self.training else 1.0)

    def make():
        model = Scale()
        return SimpleNamespace(model=model, values=[model.w], f=lambda x: model(x).sum())

    def change(world, i):
        world.model.train() if i % 3 else world.model.eval()

    beside(make, each_x, change)


def test_running_means_run_as_it_is():
    class Norm(nn.Module):
        def __init__(self):
            self.mean = np.zeros(3)
            self.w = Value(np.ones(3))

        def forward(self, x):
            self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
            return (x - self.mean) * self.w

    def make():
        model = Norm()
        return SimpleNamespace(model=model, values=[model.w], f=lambda x: model(x).sum())

    beside(make, each_x, reason="it changes")


def test_running_means_in_place_run_as_it_is():
    class Norm(nn.Module):
        def __init__(self):
            self.mean = np.zeros(3)
            self.w = Value(np.ones(3))

        def forward(self, x):
            self.mean *= 0.9
            self.mean += 0.1 * x.mean(axis=0)
            return (x - self.mean) * self.w

    def make():
        model = Norm()
        return SimpleNamespace(model=model, values=[model.w], f=lambda x: model(x).sum())

    beside(make, each_x, reason="it")


COUNT = 0


def changing_worlds():
    def attribute(world):
        world.n += 1
        return world.n

    def listed(world):
        world.log.append(1.0)
        return len(world.log)

    def queued(world):
        world.queue.append(1.0)
        return len(world.queue)

    def keyed(world):
        world.keys["n"] = world.keys.get("n", 0) + 1
        return world.keys["n"]

    def by_global(world):
        global COUNT
        COUNT += 1
        return COUNT

    def iterated(world):
        return next(world.iterator)

    def cycled(world):
        return next(world.cycle)

    def of_generator(world):
        return next(world.generator)

    def of_function(world):
        of_function.n = getattr(of_function, "n", 0) + 1
        return of_function.n

    return [attribute, listed, queued, keyed, by_global, iterated, cycled, of_generator]


@pytest.mark.parametrize("change_of", changing_worlds(), ids=lambda f: f.__name__)
def test_what_a_call_changes_outside_runs_as_it_is(change_of):
    def make():
        global COUNT
        COUNT = 0
        world = network(n=0, log=[], queue=collections.deque(), keys={})
        world.iterator = itertools.count()
        world.cycle = itertools.cycle([1.0, 2.0, 3.0])
        world.generator = (float(i) for i in range(1000))
        world.f = lambda x: (x @ world.w * change_of(world)).mean()
        return world

    beside(make, each_x, reason="it ")


def test_a_parameter_that_is_changed_inside():
    def make():
        world = network()

        def f(x):
            world.w.data -= 0.01
            return (x @ world.w).mean()

        world.f = f
        return world

    beside(make, each_x, reason="it ")


def test_backward_inside():
    def make():
        world = network()

        def f(x):
            loss = (x @ world.w).mean()
            loss.backward()
            return loss * 2

        world.f = f
        return world

    beside(make, each_x, reason="backward")


def test_a_gradient_that_is_read_inside():
    def make():
        world = SimpleNamespace(a=Value(2.0))
        world.values = [world.a]

        def f(x):
            factor = 1.0 if world.a.grad is None else world.a.grad
            return world.a * x * factor

        world.f = f
        return world

    def change(world, i):
        world.a.grad = None if i < 3 else float(i)

    beside(make, lambda world, i: (float(i),), change, reason="grad")


def test_a_nonlocal_counter_and_one_that_begins_late():
    def make():
        world = network(steps=0)
        count = 0

        def f(x):
            nonlocal count
            if world.steps > 5:
                count += 1
            return (x @ world.w * (1 + count)).mean()

        world.f = f
        return world

    def change(world, i):
        world.steps = 0 if i < 8 else 9

    beside(make, each_x, change, reason="it changes count")


# ── What the function reaches by names ───────────────────────────────────────────────────────────
SCALE = 2.0
TABLE = np.array([1.0, 2.0, 3.0, 4.0])


def scaled_by_a_global(x):
    return x * SCALE


def test_a_global_redefined():
    def make():
        world = network()
        world.f = lambda x: (scaled_by_a_global(x) @ world.w).mean()
        return world

    def change(world, i):
        global SCALE
        SCALE = 2.0 if i < 6 else 3.0

    beside(make, each_x, change)


def test_a_global_function_redefined():
    def make():
        world = network()
        world.f = lambda x: (activation(x @ world.w)).mean()
        return world

    def change(world, i):
        global activation
        if i % 5 == 0:
            activation = [np.tanh, lambda h: h * 2, np.square][i // 5]

    beside(make, each_x, change, calls=15)


def test_a_builtin_hidden_by_a_global():
    def make():
        world = network()
        world.f = lambda x: (x @ world.w).mean() * max(1.0, 2.0)
        return world

    def change(world, i):
        if i == 6:
            globals()["max"] = lambda x, y: 7.0
        elif i < 6:
            globals().pop("max", None)

    try:
        beside(make, each_x, change)
    finally:
        globals().pop("max", None)


class Plain:
    rate = 1.0

    def __init__(self):
        self.factor = 2.0
        self.flag = False
        self.inner = SimpleNamespace(bias=0.5)


class Slotted:
    __slots__ = ("factor",)

    def __init__(self):
        self.factor = 2.0


@dataclasses.dataclass
class Settings:
    factor: float = 2.0
    layers: list = dataclasses.field(default_factory=lambda: [1.0, 2.0])


class WithProperty:
    def __init__(self):
        self._factor = 2.0

    @property
    def factor(self):
        return self._factor * GLOBAL_OF_PROPERTY

    @staticmethod
    def static(x):
        return x * GLOBAL_OF_STATIC

    @classmethod
    def of_class(cls, x):
        return x * cls.factor_of_class

    factor_of_class = 1.0


class Mode(enum.Enum):
    PLAIN = 1
    DOUBLE = 2


@dataclasses.dataclass(frozen=True)
class Frozen:
    factor: float = 2.0


class OtherPlain(Plain):
    rate = 9.0


class WithCached:
    number = 2.0

    @functools.cached_property
    def factor(self):
        return self.number * 2


GLOBAL_OF_PROPERTY = 1.0
GLOBAL_OF_STATIC = 1.0


def set_global(name):
    return lambda world, value: globals().__setitem__(name, value)


REACHED = {
    "attribute": (Plain, lambda o, x: x * o.factor, lambda o, v: setattr(o, "factor", v)),
    "flag": (Plain, lambda o, x: -x if o.flag else x, lambda o, v: setattr(o, "flag", v > 2)),
    "inner": (Plain, lambda o, x: x * o.inner.bias, lambda o, v: setattr(o.inner, "bias", v)),
    "new attribute": (
        Plain,
        lambda o, x: x * getattr(o, "extra", 1.0),
        lambda o, v: setattr(o, "extra", v) if v > 2 else None,
    ),
    "class attribute": (Plain, lambda o, x: x * o.rate, lambda o, v: setattr(Plain, "rate", v)),
    "slot": (Slotted, lambda o, x: x * o.factor, lambda o, v: setattr(o, "factor", v)),
    "dataclass": (Settings, lambda o, x: x * o.factor, lambda o, v: setattr(o, "factor", v)),
    "list in it": (
        Settings,
        lambda o, x: x * o.layers[1],
        lambda o, v: operator.setitem(o.layers, 1, v),
    ),
    "length of a list": (
        Settings,
        lambda o, x: x * len(o.layers),
        lambda o, v: o.layers.append(1.0) if v > 2 else None,
    ),
    "property": (
        WithProperty,
        lambda o, x: x * o.factor,
        lambda o, v: globals().__setitem__("GLOBAL_OF_PROPERTY", v),
    ),
    "static method": (
        WithProperty,
        lambda o, x: o.static(x),
        lambda o, v: globals().__setitem__("GLOBAL_OF_STATIC", v),
    ),
    "class method": (
        WithProperty,
        lambda o, x: o.of_class(x),
        lambda o, v: setattr(WithProperty, "factor_of_class", v),
    ),
    "dictionary": (
        lambda: {"factor": 2.0},
        lambda o, x: x * o["factor"],
        lambda o, v: o.__setitem__("factor", v),
    ),
    "key of a dictionary": (
        lambda: {"plus": 1.0},
        lambda o, x: x * 2 if "plus" in o else x,
        lambda o, v: o.__setitem__("minus", o.pop("plus")) if v > 2 and "plus" in o else None,
    ),
    "set": (set, lambda o, x: x * 2 if "big" in o else x, lambda o, v: v > 2 and o.add("big")),
    "deque": (
        lambda: collections.deque([1.0]),
        lambda o, x: x * o[0],
        lambda o, v: o.__setitem__(0, v),
    ),
    "counter": (
        lambda: collections.Counter(a=1),
        lambda o, x: x * o["a"],
        lambda o, v: o.__setitem__("a", int(v)),
    ),
    "user dict": (
        lambda: collections.UserDict(a=1.0),
        lambda o, x: x * o["a"],
        lambda o, v: o.__setitem__("a", v),
    ),
    "namespace": (
        lambda: SimpleNamespace(a=1.0),
        lambda o, x: x * o.a,
        lambda o, v: setattr(o, "a", v),
    ),
    "partial": (
        lambda: functools.partial(operator.mul, 2.0),
        lambda o, x: o(x),
        lambda o, v: o.keywords and None,
    ),
    "attribute of a function": (
        lambda: function_with_attribute,
        lambda o, x: x * o.factor,
        lambda o, v: setattr(o, "factor", v),
    ),
    "default argument": (
        lambda: function_with_default,
        lambda o, x: o(x),
        lambda o, v: setattr(o, "__defaults__", (v,)),
    ),
    "keyword default": (
        lambda: function_with_keyword_default,
        lambda o, x: o(x),
        lambda o, v: setattr(o, "__kwdefaults__", {"factor": v}),
    ),
    "enumeration": (
        lambda: SimpleNamespace(mode=Mode.PLAIN),
        lambda o, x: x * 2 if o.mode is Mode.DOUBLE else x,
        lambda o, v: setattr(o, "mode", Mode.DOUBLE) if v > 2 else None,
    ),
    "frozen settings": (
        lambda: [Frozen()],
        lambda o, x: x * o[0].factor,
        lambda o, v: o.__setitem__(0, dataclasses.replace(o[0], factor=v)),
    ),
    "attribute that is deleted": (
        Plain,
        lambda o, x: x * getattr(o, "factor", 1.0),
        lambda o, v: delattr(o, "factor") if v > 2 else None,
    ),
    "attribute of the class deleted from the object": (
        Plain,
        lambda o, x: x * o.rate,
        lambda o, v: setattr(o, "rate", 5.0) if v < 3 else delattr(o, "rate"),
    ),
    "attribute that is renamed": (
        Plain,
        lambda o, x: x * 2 if hasattr(o, "flag") else x,
        lambda o, v: setattr(o, "other", vars(o).pop("flag")) if v > 2 else None,
    ),
    "class replaced": (
        Plain,
        lambda o, x: x * o.rate,
        lambda o, v: setattr(o, "__class__", OtherPlain) if v > 2 else None,
    ),
    "cached property": (
        lambda: WithCached(),
        lambda o, x: x * o.factor,
        lambda o, v: (setattr(o, "number", v), vars(o).pop("factor", None), o.factor),
    ),
    "list of functions": (
        lambda: [np.tanh],
        lambda o, x: functools.reduce(lambda h, f: f(h), o, x),
        lambda o, v: o.append(np.exp) if v > 2 else None,
    ),
    "numpy number": (
        lambda: SimpleNamespace(a=np.float32(2.0)),
        lambda o, x: x * o.a,
        lambda o, v: setattr(o, "a", np.float32(v)),
    ),
    "signed zero": (
        lambda: SimpleNamespace(a=0.0),
        lambda o, x: x * math.copysign(1.0, o.a),
        lambda o, v: setattr(o, "a", -0.0) if v > 2 else None,
    ),
    "number of another type": (
        lambda: SimpleNamespace(a=2),
        lambda o, x: x * (2.0 if isinstance(o.a, float) else 1.0),
        lambda o, v: setattr(o, "a", 2.0) if v > 2 else None,
    ),
    "method replaced": (
        WithMethod := type("WithMethod", (), {"scaled": lambda self, x: x * 2.0}),
        lambda o, x: o.scaled(x),
        lambda o, v: setattr(WithMethod, "scaled", lambda self, x, v=v: x * v),
    ),
}


def function_with_attribute():
    """It holds a number."""


function_with_attribute.factor = 2.0


def function_with_default(x, factor=2.0):
    return x * factor


def function_with_keyword_default(x, *, factor=2.0):
    return x * factor


@pytest.mark.parametrize("name", list(REACHED))
def test_what_is_reached_by_names(name):
    make_object, use, set_to = REACHED[name]

    def make():
        world = network(o=make_object())
        set_to(world.o, 2.0)
        o = world.o
        world.f = lambda x: use(o, x @ world.w).mean()
        return world

    def change(world, i):
        if i == 6:
            set_to(world.o, 3.0)

    beside(make, each_x, change)


def test_modules_and_their_attributes():
    package = types.ModuleType("users_package")
    package.settings = types.ModuleType("users_package.settings")
    package.settings.rate = 2.0

    def use(x, module):
        return x * module.settings.rate

    def make():
        package.settings.rate = 2.0
        world = network(module=package)
        module = package
        world.f = lambda x: use(x @ world.w, module).mean()
        return world

    def change(world, i):
        package.settings.rate = 2.0 if i < 6 else 3.0

    beside(make, each_x, change)


def test_a_module_that_is_imported_inside(monkeypatch):
    module = types.ModuleType("users_settings")
    module.rate = 2.0
    monkeypatch.setitem(sys.modules, "users_settings", module)

    def make():
        module.rate = 2.0
        world = network()

        def f(x):
            import users_settings

            return (x @ world.w).mean() * getattr(users_settings, "rate")  # noqa: B009

        world.f = f
        return world

    def change(world, i):
        module.rate = 2.0 if i < 6 else 3.0

    beside(make, each_x, change)


def test_a_different_value_in_each_thread_runs_as_it_is():
    def make():
        world = network(local=threading.local())
        local = world.local
        local.rate = 2.0
        world.f = lambda x: (x @ world.w).mean() * local.rate
        return world

    beside(make, each_x, reason="different in each thread")


def test_replaced_layers_parameters_activations_and_lists_of_layers():
    class Net(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.layers = [nn.Linear(3, 4, rng=rng), nn.Linear(4, 4, rng=rng)]
            self.activation = np.tanh
            self.scale = Value(np.ones(4))

        def forward(self, x):
            for layer in self.layers:
                x = self.activation(layer(x))
            return x * self.scale

    def make():
        model = Net()
        world = SimpleNamespace(model=model, f=lambda x: model(x).mean())
        world.values = model.parameters()
        return world

    def change(world, i):
        rng = np.random.default_rng(i)
        model = world.model
        if i == 5:
            model.layers[1] = nn.Linear(4, 4, rng=rng)
        if i == 7:
            model.activation = np.square
        if i == 9:
            model.scale = Value(np.full(4, 2.0))
        if i == 11:
            model.layers.append(nn.Linear(4, 4, rng=rng))
        if i == 13:
            model.layers = [nn.Linear(3, 4, rng=rng)]
        world.values[:] = model.parameters()

    beside(make, each_x, change, calls=20)


def test_a_float_that_changes_at_every_call_runs_as_it_is_after_some_programs():
    def make():
        world = network(rate=0.0)
        world.f = lambda x: (x @ world.w).mean() * world.rate
        return world

    def change(world, i):
        world.rate = float(i)

    beside(make, each_x, change, calls=20, reason="rate changes again and again")


def test_an_integer_argument_that_counts_writes_no_programs():
    def make():
        world = network()
        world.f = lambda x, step: (x @ world.w).mean() * step
        return world

    function = beside(make, lambda world, i: (data(i), i), calls=40, ran=False)
    assert len(function._versions) == 1


# ── Arrays that are reached by names ─────────────────────────────────────────────────────────────
USES_OF_AN_ARRAY = {
    "product": lambda a, h: h * a,
    "element": lambda a, h: h * float(a[1]),
    "numpy element": lambda a, h: h * a[1],
    "largest": lambda a, h: h * a.max(),
    "if": lambda a, h: h * 2 if a[1] > 4 else h,
    "listed": lambda a, h: h * a.tolist()[1],
    "loop": lambda a, h: sum((h * float(each) for each in a), h),
    "condition": lambda a, h: np.where(a > 4, h, -h),
    "operation": lambda a, h: h * microgd.exp(a * 0.1),
    "concatenated": lambda a, h: np.concatenate([h, np.broadcast_to(a, (1, 4))], axis=0),
    "stacked": lambda a, h: h * np.stack([a, a])[1],
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("kind", ["array", "view", "reversed", "read-only view"])
@pytest.mark.parametrize("use", list(USES_OF_AN_ARRAY))
def test_an_array_that_is_changed_in_place(use, kind, dtype):
    compute = USES_OF_AN_ARRAY[use]

    def make():
        whole = np.arange(8).astype(dtype)
        a = {
            "array": whole[:4].copy(),
            "view": whole[:4],
            "reversed": whole[:4][::-1],
            "read-only view": whole[:4].view(),
        }[kind]
        if kind == "read-only view":
            a.setflags(write=False)
        world = network(whole=whole if kind != "array" else a)
        world.f = lambda x: compute(a, x @ world.w).mean()
        return world

    def change(world, i):
        if i in (5, 8, 9):
            world.whole[1] = 0 if dtype is np.bool_ and i != 8 else i
            world.whole[2] = i * 2

    expected, _, _ = outcomes(make, each_x, change, 14, False)
    found, function, ours = outcomes(make, each_x, change, 14, True)
    assert found == expected
    assert len(ours) == (function._reason is not None)
    assert function.differences == 0


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_a_large_array_that_is_changed_in_place(dtype):
    def make():
        a = np.arange(40_000).astype(dtype).reshape(10_000, 4)
        world = network(a=a)
        world.f = lambda x: (x @ world.w * a).mean()
        return world

    def change(world, i):
        if i in (5, 8, 9):
            world.a[77] = i

    beside(make, lambda world, i: (data(i, n=10_000),), change)


def test_an_array_that_changes_at_every_call_is_right():
    def make():
        a = np.arange(4.0)
        world = network(a=a)
        world.f = lambda x: (x @ world.w * a).mean()
        return world

    def change(world, i):
        world.a[:] = i

    beside(make, each_x, change, calls=20, reason="changes again and again")


def test_labels_of_a_closure_that_are_changed_in_place():
    def make():
        y = np.arange(8) % 4
        world = network(y=y)
        world.f = lambda x: nn.cross_entropy(x @ world.w, y)
        return world

    def change(world, i):
        if i in (5, 9):
            world.y[:] = (world.y + 1) % 4

    beside(make, each_x, change)


def test_an_array_given_another_shape_in_place():
    def make():
        a = np.arange(4.0)
        world = network(a=a)
        world.f = lambda x: (x @ world.w * a).sum()
        return world

    def change(world, i):
        if i == 6:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                world.a.shape = (1, 4)

    beside(make, each_x, change)


# ── Weights ──────────────────────────────────────────────────────────────────────────────────────
def test_weights_assigned_loaded_and_changed_in_place_and_held():
    def make():
        world = network()
        world.f = lambda x: (np.tanh(x @ world.w) + world.b).mean()
        world.held = world.w.data
        return world

    def change(world, i):
        if i == 3:
            world.w.data = np.ones((3, 4))
        if i == 5:
            world.w.data[0] = 7.0
        if i == 6:
            world.held = world.w.data
        if i == 7 and world.held.flags.writeable:
            world.held[1] = 5.0
        if i == 9:
            world.b.data += 1.0

    beside(make, each_x, change)


def test_writing_into_a_weight_between_forward_and_backward():
    def run(is_compiled):
        world = network()
        function = lambda x: (np.tanh(x @ world.w) ** 2).mean()  # noqa: E731
        if is_compiled:
            function = compiled(function)
        found = []
        for i in range(12):
            held = world.w.data
            loss = function(data(i))
            if held.flags.writeable:
                held[:] = held * 0.5
            world.w.data[0] += 1.0
            loss.backward()
            found.append((bits(loss), bits(world.w.grad), bits(world.w.data)))
            world.w.grad = None
        return found

    assert run(True) == run(False)


def test_backward_twice_and_gradients_written_into():
    def run(is_compiled):
        a = Value(np.arange(3.0))
        b = Value(np.arange(3.0) + 1)
        function = lambda x: ((a + b) * x + np.exp(a)).sum()  # noqa: E731
        if is_compiled:
            function = compiled(function)
        found = []
        for i in range(8):
            loss = function(np.arange(3.0) + i)
            for _ in range(3):
                loss.backward()
                a.grad += 1.0
                b.grad *= 2.0
                found.append((bits(a.grad), bits(b.grad)))
            a.grad = b.grad = None
        return found

    assert run(True) == run(False)


def test_accumulating_over_calls_gives_the_same_bits():
    def run(is_compiled):
        world = network()

        def function(x):
            h = np.tanh(x @ world.w)
            return (h * world.w.sum() + world.w.mean()).sum() * world.w.max()

        if is_compiled:
            function = compiled(function)
        found = []
        for i in range(10):
            loss = function(data(i)) + function(data(i + 1)) * 0.3 + (world.w**2).sum()
            loss.backward()
            found.append((bits(loss), bits(world.w.grad)))
        return found

    assert run(True) == run(False)


def test_a_graph_that_lives_longer_than_others():
    world = network()
    function = lambda x: (np.tanh(x @ world.w) ** 2 @ np.ones(4)).sum()  # noqa: E731
    compiled_function = compiled(function)
    for i in range(6):
        compiled_function(data(i))
    losses = [compiled_function(data(i)) for i in range(5)]
    world.w.data = world.w.data * 1.0
    for i, loss in enumerate(losses):
        loss.backward()
        found, world.w.grad = world.w.grad, None
        function(data(i)).backward()
        assert bits(found) == bits(world.w.grad)
        world.w.grad = None


# ── Arguments ────────────────────────────────────────────────────────────────────────────────────
def values_of(i, n=2):
    rng = np.random.default_rng(i)
    return [Value(rng.normal(size=3)) for _ in range(n)]


def pair_world():
    world = SimpleNamespace(values=[])
    world.f = lambda a, b: (np.tanh(a) * b * a + b * 0.3).sum()
    return world


def test_the_same_value_given_twice_and_then_two():
    def arguments(world, i):
        a, b = values_of(i)
        return (a, b) if i % 2 else (a, a)

    beside(pair_world, arguments, calls=30)


def test_two_values_and_then_the_same_twice():
    def arguments(world, i):
        a, b = values_of(i)
        return (a, b) if i < 6 else (a, a)

    beside(pair_world, arguments, calls=30)


def test_a_value_that_is_an_argument_and_in_the_closure():
    def make():
        world = SimpleNamespace(w=Value(np.arange(3.0)))
        world.values = [world.w]
        world.f = lambda a: (a * world.w + np.exp(a)).sum()
        return world

    def arguments(world, i):
        return (world.w if i % 3 == 0 else values_of(i)[0],)

    beside(make, arguments, calls=30)
    beside(make, lambda world, i: (world.w if i > 7 else values_of(i)[0],), calls=30)


def test_identity_of_arguments():
    def make():
        world = network()
        world.f = lambda x, y: (x @ world.w).mean() if x is y else (y @ world.w).sum()
        return world

    def arguments(world, i):
        x = data(i)
        return (x, x) if i % 2 else (x, data(i + 1))

    beside(make, arguments, calls=30)


def test_computed_values_as_arguments():
    def run(is_compiled):
        function = lambda a, b: (np.tanh(a) * b * a + b * 0.3).sum()  # noqa: E731
        if is_compiled:
            function = compiled(function)
        found = []
        for i in range(12):
            a, b = values_of(i)
            h = np.exp(b) * a
            loss = function(h, b) + function(a, h) * 2.0
            loss.backward()
            found.append([bits(x) for x in (loss, a.grad, b.grad, h.grad)])
        return found

    assert run(True) == run(False)


def test_a_computed_value_of_the_closure():
    def run(is_compiled):
        a, b = values_of(1)
        found = []
        holder = SimpleNamespace(h=a * b)
        function = lambda x: (holder.h * x * a).sum()  # noqa: E731
        if is_compiled:
            function = compiled(function)
        for i in range(14):
            if i == 6:
                holder.h = np.exp(a) * b
            loss = function(np.arange(3.0) + i)
            loss.backward()
            found.append([bits(x) for x in (loss, a.grad, b.grad)])
            a.grad = b.grad = None
        return found

    assert run(True) == run(False)


def test_values_made_inside():
    def make():
        world = network()

        def f(x):
            ones = Value(np.ones(4))
            scale = Value(2.0)
            return (x @ world.w * ones * scale).mean() + Value(x).sum()

        world.f = f
        return world

    beside(make, each_x)


def test_a_value_made_inside_and_returned_has_its_gradient():
    def run(is_compiled):
        world = network()

        def function(x):
            extra = Value(np.ones(4))
            return (x @ world.w * extra).mean(), extra

        if is_compiled:
            function = compiled(function)
        found = []
        for i in range(5):
            loss, extra = function(data(i))
            loss.backward()
            found.append(bits(extra.grad))
        return found

    expected = run(False)
    with pytest.warns(RuntimeWarning, match="returns a Value that it has made"):
        assert run(True) == expected


def test_nested_structures_as_arguments_and_results():
    def make():
        world = network()

        def f(batch, *, options):
            h = np.tanh(batch["x"] @ world.w)
            loss = nn.cross_entropy(h, batch["y"]) * options["scales"][1]
            return {"loss": loss, "parts": [h.detach(), (loss.item(), h.shape)], "x": batch["x"]}

        world.f = f
        return world

    def arguments(world, i):
        batch = {"x": data(i), "y": np.random.default_rng(i).integers(0, 4, 8)}
        return {"batch": batch, "options": {"scales": [1.0, 2.0 + i]}}

    beside(make, arguments)


def test_keyword_and_default_arguments():
    def make():
        world = network()

        def f(x, scale=2.0, *, shift=0.5, mode="plain"):
            h = x @ world.w * scale + shift
            return h.mean() if mode == "plain" else h.sum()

        world.f = f
        return world

    def arguments(world, i):
        given = [{}, {"scale": float(i)}, {"shift": i * 0.1}, {"mode": "sum"}, {"scale": 3}]
        return {"x": data(i), **given[i % 5]}

    beside(make, arguments, calls=40)


@pytest.mark.parametrize("kind", [complex, str, bytes, bool, int, np.str_, np.complex128, tuple])
def test_arguments_that_are_no_real_numbers(kind):
    def make():
        world = network()

        def f(x, other):
            factor = len(repr(other)) * 0.1 + (abs(other) if kind is complex else 0.0)
            return (x @ world.w).mean() * factor + hash(str(other)[-1]) % 3

        world.f = f
        return world

    def other(i):
        if kind is bytes:
            return b"a" * (i % 4)
        if kind in (str, np.str_):
            return kind("a" * (i % 4))
        if kind is tuple:
            return ((i % 4), ("a", None, ...))
        return kind(i % 4)

    beside(make, lambda world, i: (data(i), other(i)), calls=40)


def test_objects_as_arguments():
    def make():
        world = network(settings=[Settings(), Settings(3.0)])
        world.f = lambda x, settings, use: use(x @ world.w).mean() * settings.factor
        return world

    def change(world, i):
        if i == 8:
            world.settings[0].factor = 9.0

    def arguments(world, i):
        return data(i), world.settings[i % 2], [np.tanh, np.exp][i % 2]

    beside(make, arguments, change, calls=24)


def test_new_objects_as_arguments_at_each_call():
    def make():
        world = network()
        world.f = lambda x, settings, use: use(x @ world.w).mean() * settings.factor
        return world

    def arguments(world, i):
        factor = float(i)
        return data(i), Settings(factor), lambda h: h * factor

    beside(make, arguments, calls=24, ran=False)


def test_a_list_that_is_used_again_for_other_arguments():
    def make():
        world = network(batch=[None])
        w = world.w
        world.f = lambda batch: (batch[0] @ w).mean()
        return world

    def arguments(world, i):
        world.batch[0] = data(i)
        return (world.batch,)

    beside(make, arguments, calls=24)


def test_an_argument_that_is_written_into_runs_as_it_is():
    def make():
        world = network()

        def f(x):
            x *= 2
            return (x @ world.w).mean()

        world.f = f
        return world

    beside(make, each_x, reason="writes into")


def test_x_changed_between_forward_and_backward_acts_as_without_compiling():
    def run(is_compiled):
        world = network()
        function = lambda x: (x @ world.w).sum()  # noqa: E731
        if is_compiled:
            function = compiled(function)
        found = []
        for i in range(8):
            x = data(i)
            loss = function(x)
            x[:] = 1.0
            loss.backward()
            found.append(bits(world.w.grad))
            world.w.grad = None
        return found

    assert run(True) == run(False)


# ── Results ──────────────────────────────────────────────────────────────────────────────────────
def test_results_that_are_no_values():
    def make():
        world = network()

        def f(x):
            h = x @ world.w
            return x.sum(), x * 2, h.data.max(), 3, "text", None, (x > 0), h.shape, np.zeros(2)

        world.f = f
        return world

    beside(make, each_x)


def test_results_can_be_written_into():
    table = np.arange(3.0)

    def function(x):
        y = x * 2
        return y, np.zeros(3), (y * y).sum(), y

    compiled_function = compiled(function)
    for i in range(12):
        found = compiled_function(table + i)
        expected = function(table + i)
        assert bits(found) == bits(expected)
        assert found[0] is found[3]
        found[0][:] = 99.0
        found[1][:] = 99.0


def test_an_argument_or_a_parameter_returned_is_itself():
    w = Value(np.arange(3.0))
    function = compiled(lambda a, x: (w, a, x, (w * a).sum()))
    for _ in range(8):
        a = Value(np.ones(3))
        x = np.ones(2)
        found = function(a, x)
        assert found[0] is w
        assert found[1] is a
        assert found[2] is x
        found[3].backward()
        assert bits(a.grad) == bits(w._numbers)


def test_only_an_argument_returned_takes_its_gradient():
    function = compiled(lambda a, x: a)
    for i in range(6):
        a = Value(float(i))
        function(a, np.ones(2)).backward()
        assert a.grad == 1.0


def test_a_second_output_has_its_numbers_and_no_wrong_gradient():
    world = network()

    def function(x):
        h = x @ world.w
        return h.mean(), h

    compiled_function = compiled(function)
    for i in range(8):
        loss, h = compiled_function(data(i))
        expected_loss, expected_h = function(data(i))
        assert bits((loss, h)) == bits((expected_loss, expected_h))
        loss.backward()
        found, world.w.grad = world.w.grad, None
        expected_loss.backward()
        assert bits(found) == bits(world.w.grad)
        world.w.grad = None
    with pytest.raises(RuntimeError, match="gradients of the first Value"):
        (loss + h.sum()).backward()
    assert world.w.grad is None


def test_leaves_and_names_of_results():
    world = network()

    def function(x):
        loss = (x @ world.w).mean()
        loss.name = "loss"
        return loss, loss.detach()

    compiled_function = compiled(function)
    for i in range(6):
        loss, detached = compiled_function(data(i))
        assert loss.name == "loss"
        assert detached.op is None
        assert detached.inputs == ()
        detached.backward()
        assert detached.grad == 1.0
        assert world.w.grad is None


@pytest.mark.parametrize(
    "result_of",
    [
        lambda loss: iter([loss]),
        lambda loss: (each for each in [loss]),
        lambda loss: {loss},
        lambda loss: SimpleNamespace(loss=loss),
        lambda loss: lambda: loss,
        lambda loss: collections.OrderedDict(loss=loss),
        lambda loss: collections.deque([loss]),
    ],
)
def test_results_that_hold_something_out_of_sight_run_as_it_is(result_of):
    world = network()
    function = compiled(lambda x: result_of((x @ world.w).mean()))
    with pytest.warns(RuntimeWarning, match="it returns an object of type") as caught:
        results = [function(data(i)) for i in range(6)]
    assert len(caught) == 1
    assert len({id(each) for each in results}) == 6


def test_a_named_tuple_as_the_result():
    class Result(collections.namedtuple("Result", ["loss", "h"])):
        pass

    def make():
        world = network()

        def f(x):
            h = x @ world.w
            return Result(h.mean(), h.detach())

        world.f = f
        return world

    expected, _, _ = outcomes(make, each_x, None, 8, False)
    found, _, _ = outcomes(make, each_x, None, 8, True)
    assert found == expected


def test_generator_functions_and_coroutines_run_as_they_are():
    world = network()

    def stepwise(x):
        yield (x @ world.w).mean()

    async def later(x):
        return (x @ world.w).mean()

    function = compiled(stepwise)
    with pytest.warns(RuntimeWarning, match="it returns an object of type generator"):
        first = list(function(data(1)))
    assert bits(list(function(data(2)))) == bits(list(stepwise(data(2))))
    assert bits(first) == bits(list(stepwise(data(1))))
    function = compiled(later)
    with pytest.warns(RuntimeWarning, match="it returns an object of type coroutine"):
        asyncio.run(function(data(1)))


# ── Kinds of functions ───────────────────────────────────────────────────────────────────────────
def test_methods_partials_callable_objects_and_models():
    class Model:
        def __init__(self, seed):
            self.w = Value(data(seed, 3, 4))
            self.function = "an attribute with an awkward name"
            self._versions = "another"

        @compiled
        def method(self, x):
            return (x @ self.w).mean() * self.rate

        def __call__(self, x):
            return (x @ self.w).sum() * self.rate

        rate = 2.0

    first, second = Model(1), Model(2)
    whole = compiled(first)
    bound = compiled(second.__call__)
    part = compiled(functools.partial(Model.__call__, first))
    for i in range(24):
        Model.rate = 2.0 if i < 12 else 3.0
        x = data(i)
        for model in (first, second):
            expected = (x @ model.w).mean() * model.rate
            assert bits(model.method(x)) == bits(expected)
        assert bits(whole(x)) == bits(first(x)) == bits(part(x))
        assert bits(bound(x)) == bits(second(x))


def test_recursion_and_compiled_functions_in_others():
    w = Value(1.5)

    @compiled
    def power(x, n):
        return x if n == 0 else power(x, n - 1) * w

    @compiled
    def outer(x):
        return power(x, 3) + inner(x) * 2.0

    @compiled
    def inner(x):
        return np.tanh(x * w)

    def plain(x):
        return x * w * w * w + np.tanh(x * w) * 2.0

    for i in range(12):
        x = Value(0.1 * i)
        found = outer(x)
        found.backward()
        gradients = x.grad, w.grad
        x.grad = w.grad = None
        expected = plain(x)
        expected.backward()
        assert bits(found) == bits(expected)
        assert bits(gradients) == bits((x.grad, w.grad))
        w.grad = None
    assert outer._reason is None


def test_an_operation_of_ones_own_whose_rule_is_redefined():
    def make():
        world = SimpleNamespace(w=Value(np.arange(3.0)), factor=2.0)
        world.values = [world.w]

        def rule(g, out, x):
            return g * world.factor

        @microgd.operation(rule)
        def safety_scaled(x):
            return x * world.factor

        world.f = lambda x: (safety_scaled(world.w) * x).sum()
        return world

    def change(world, i):
        world.factor = 2.0 if i < 6 else 3.0

    beside(make, lambda world, i: (np.arange(3.0) + i,), change)


def test_an_operation_that_is_made_again_with_another_rule():
    def make():
        world = SimpleNamespace(w=Value(np.arange(3.0)))
        world.values = [world.w]
        world.f = lambda x: (world.op(world.w) * x).sum()
        return world

    def change(world, i):
        factor = 1.0 if i < 6 else 5.0
        if i in (0, 6):
            rule = lambda g, out, x: g * factor  # noqa: E731
            world.op = microgd.operation(rule, name=f"safety_own_{i}")(lambda x: x * 2.0)

    beside(make, lambda world, i: (np.arange(3.0) + i,), change)


def test_lambdas_in_modules():
    class Net(nn.Module):
        def __init__(self):
            self.w = Value(np.arange(3.0))
            self.activation = lambda x: np.tanh(x) * 2

        def forward(self, x):
            return self.activation(x * self.w)

    def make():
        model = Net()
        return SimpleNamespace(model=model, values=[model.w], f=lambda x: model(x).sum())

    def change(world, i):
        if i == 6:
            world.model.activation = lambda x: x

    beside(make, each_x, change)


# ── Derivatives inside and outside ───────────────────────────────────────────────────────────────
def curvature(function, x):
    value = Value(x)
    return microgd.hvp(function(value), [value], [1.5])


def cubic(x):
    return 3 * x**3 - 6 * x**2 + 2 * x


@pytest.mark.parametrize(
    "outside",
    [
        lambda f: microgd.grad(f),
        lambda f: microgd.grad(microgd.grad(f)),
        lambda f: microgd.grad(microgd.grad(microgd.grad(f))),
        lambda f: microgd.value_and_grad(f),
        lambda f: microgd.jacobian(f),
        lambda f: functools.partial(curvature, f),
    ],
)
@pytest.mark.parametrize("order", ["compiled inside", "compiled outside"])
def test_derivatives_of_compiled_functions(outside, order):
    expected = outside(cubic)
    found = outside(compiled(cubic)) if order == "compiled inside" else compiled(outside(cubic))
    for i in range(12):
        x = 0.3 * i - 1.0
        assert bits(found(x)) == bits(expected(x))


def test_create_graph_through_a_compiled_function():
    def run(is_compiled):
        world = network()
        function = lambda x: (np.tanh(x @ world.w) ** 2).sum()  # noqa: E731
        if is_compiled:
            function = compiled(function)
        found = []
        for i in range(8):
            loss = function(data(i))
            (g,) = microgd.gradients(loss, [world.w], create_graph=True)
            penalty = (g**2).sum()
            penalty.backward()
            found.append((bits(loss), bits(g), bits(world.w.grad)))
            world.w.grad = None
        return found

    assert run(True) == run(False)


def test_create_graph_after_something_has_changed_is_an_error():
    world = network(rate=2.0, flag=True)

    def function(x):
        h = np.tanh(x @ world.w)
        return ((h if world.flag else h.detach()) * world.rate).sum()

    function = compiled(function)
    for i in range(4):
        function(data(i))
    loss = function(data(1))
    world.flag = False
    with pytest.raises(RuntimeError, match=r"has changed since"):
        microgd.gradients(loss, [world.w], create_graph=True)
    world.flag = True
    loss = function(data(1))
    world.w.data = world.w.data + 1.0
    with pytest.raises(RuntimeError, match=r"has changed"):
        microgd.gradients(loss, [world.w], create_graph=True)


def test_grad_inside():
    def make():
        world = SimpleNamespace(a=Value(1.5))
        world.values = [world.a]

        def f(x):
            slope = microgd.grad(lambda t: np.tanh(t * 2.0) * t)(x)
            return world.a * slope

        world.f = f
        return world

    expected, _, _ = outcomes(make, lambda world, i: (0.1 * i,), None, 14, False)
    found, function, ours = outcomes(make, lambda world, i: (0.1 * i,), None, 14, True)
    assert found == expected
    assert len(ours) == (function._reason is not None)


def test_gradients_with_create_graph_inside():
    def make():
        world = network()

        def f(x):
            h = (np.tanh(x @ world.w) ** 2).sum()
            (g,) = microgd.gradients(h, [world.w], create_graph=True)
            return h + (g**2).sum()

        world.f = f
        return world

    expected, _, _ = outcomes(make, each_x, None, 14, False)
    found, function, ours = outcomes(make, each_x, None, 14, True)
    assert found == expected
    assert len(ours) == (function._reason is not None)


# ── Threads and tasks ────────────────────────────────────────────────────────────────────────────
def in_threads(work, count=4):
    errors = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def test_four_threads_on_one_compiled_function():
    world = network()
    function = lambda x, a: (np.tanh(x @ world.w) * a).mean()  # noqa: E731
    compiled_function = compiled(function)

    def work(thread):
        for i in range(60):
            x = data(thread * 100 + i, n=8 + i % 2)
            a = Value(np.arange(4.0))
            found = compiled_function(x, a)
            (gradient,) = microgd.gradients(found, [a])
            (expected,) = microgd.gradients(function(x, a), [a])
            assert bits(gradient) == bits(expected)
            assert type(found) is Value

    in_threads(work)
    assert compiled_function._reason is None


def test_eager_work_on_the_same_weights_while_programs_are_written():
    world = network()
    function = lambda x: (np.tanh(x @ world.w) + world.b).mean()  # noqa: E731
    expected = bits(function(data(1)))
    stop = threading.Event()
    failures = []

    def eager():
        while not stop.is_set():
            try:
                loss = function(data(1))
                if bits(loss) != expected or type(loss) is not Value:
                    failures.append(type(loss))
            except Exception as error:
                failures.append(error)

    thread = threading.Thread(target=eager)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        for _ in range(30):
            assert bits(compiled(function)(data(1))) == expected
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert not failures
    assert type(world.w) is Value


def test_asyncio_tasks_on_one_compiled_function():
    world = network()
    function = lambda x: (np.tanh(x @ world.w)).mean()  # noqa: E731
    compiled_function = compiled(function)

    async def work(task):
        found = []
        for i in range(10):
            if (task + i) % 2:
                with no_grad():
                    result = compiled_function(data(i))
                    await asyncio.sleep(0)
                    assert not result._operands
            else:
                result = compiled_function(data(i))
                await asyncio.sleep(0)
                assert result._operands
            found.append(bits(result))
        return found

    async def main():
        return await asyncio.gather(*(work(i) for i in range(4)))

    expected = [bits(function(data(i))) for i in range(10)]
    assert asyncio.run(main()) == [expected] * 4


# ── Whole steps ──────────────────────────────────────────────────────────────────────────────────
def step_world(make_optimizer=None, *, seed=0, **options):
    rng = np.random.default_rng(seed)
    world = SimpleNamespace(before_step=None, **options)
    first, second = nn.Linear(3, 5, rng=rng), nn.Linear(5, 4, rng=rng)
    world.model = nn.Sequential(first, nn.Tanh(), second)
    world.loss = nn.cross_entropy
    world.make_optimizer = make_optimizer or (lambda p: optim.SGD(p, lr=0.1))
    world.optimizer = world.make_optimizer(world.model.parameters())
    world.leaves = list(world.model.parameters())
    return world


def batch(i, n=8):
    return data(i, n=n), np.random.default_rng(i).integers(0, 4, n)


def steps_of(make, change, batches, count, is_compiled, checked=()):
    random.seed(0)
    np.random.seed(0)
    world = make()
    given = (world.model, world.loss, world.optimizer, world.before_step)
    steps = CompiledSteps(*given)
    batch_of_fit = train._Batch(*given)
    batch_of_fit.epoch = 1
    found = []
    all_ours = []
    for i in range(count):
        if change is not None:
            change(world, i)
        batch_of_fit.x, batch_of_fit.y = batches(i)
        batch_of_fit.is_first_epoch = i == 0
        batch_of_fit.number = 1 if i in checked else i + 1

        def one_step():
            return steps.step(batch_of_fit) if is_compiled else batch_of_fit.step()

        result, warned, ours = attempted(one_step)
        all_ours += ours
        state = world.optimizer.state_dict() if hasattr(world.optimizer, "state_dict") else None
        leaves = [(bits(p.data), bits(p.grad)) for p in world.leaves]
        found.append((bits(result), sorted(warned), leaves, bits(state), states()))
    return found, steps, all_ours


def steps_beside(make, change=None, batches=batch, *, count=14, reason=None, parts=False, ran=True):
    for checked in ((), (0, 7)):
        expected, _, _ = steps_of(make, change, batches, count, False, checked)
        found, steps, ours = steps_of(make, change, batches, count, True, checked)
        for i, (x, y) in enumerate(zip(expected, found, strict=True)):
            assert x == y, f"step {i}"
        assert steps.differences == 0
        if reason is not None:
            assert len(ours) == 1
            assert reason in str(ours[0].message)
            assert ours[0].filename == __file__
            continue
        assert not ours, [str(each.message) for each in ours]
        assert steps.reason is None
        programs = steps._loss_alone._versions if parts else steps._versions
        assert parts == "some" or (steps._loss_alone is not None) == parts
        if ran:
            runs = [version.runs for each in programs.values() for version in each]
            assert sum(runs) > len(runs)
    return steps


class WithHistory(optim.Optimizer):
    """An optimizer of one's own, with a state of numbers and arrays."""

    decay = 0.9

    def nudge(self, number, gradient, state):
        mean = self.decay * state.get("mean", 0.0) + gradient
        step = state.get("step", 0.0) + 1
        return -self.lr * mean / (1 + np.abs(mean)) / step**0.5, {"mean": mean, "step": step}


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "own": lambda p: WithHistory(p, lr=0.1),
}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_steps_of_every_optimizer(name):
    last = lambda i: batch(i, n=3 if i % 4 == 3 else 8)  # noqa: E731
    steps = steps_beside(lambda: step_world(OPTIMIZERS[name]), batches=last, count=52)
    assert len(steps._versions) == 2


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_settings_changed_between_steps(name):
    def change(world, i):
        if i == 4:
            world.optimizer.lr = 0.05
        if i == 6 and hasattr(world.optimizer, "momentum"):
            world.optimizer.momentum = 0.5
        if i == 8 and hasattr(world.optimizer, "betas"):
            world.optimizer.betas = (0.8, 0.9)
        if i == 9 and hasattr(world.optimizer, "weight_decay"):
            world.optimizer.weight_decay = 0.1
        if i == 10 and hasattr(world.optimizer, "decay"):
            world.optimizer.decay = 0.5

    steps_beside(lambda: step_world(OPTIMIZERS[name]), change, count=20)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_states_loaded_between_steps(name):
    def change(world, i):
        if i == 5:
            world.saved = world.optimizer.state_dict(), world.model.state_dict()
        if i == 9:
            world.optimizer.load_state_dict(world.saved[0])
            world.model.load_state_dict(world.saved[1])
        if i == 12:
            fresh = world.make_optimizer(world.model.parameters())
            world.optimizer.load_state_dict(fresh.state_dict())

    steps_beside(lambda: step_world(OPTIMIZERS[name]), change, count=20)


def test_weights_changed_held_and_gradients_written_between_steps():
    def change(world, i):
        p = world.leaves[0]
        if i == 3:
            p.data = np.ones_like(p.data)
        if i == 5:
            p.data[0] = 3.0
        if i == 6:
            world.held = p.data
        if i == 7 and world.held.flags.writeable:
            world.held[:] = 9.0
        if i == 8:
            p.grad = np.full_like(p.data, 7.0)
            world.leaves[1].grad += 1.0
        if i == 10:
            world.leaves[2].grad = "rubbish"

    steps_beside(lambda: step_world(OPTIMIZERS["momentum"]), change, count=20)


def test_replaced_layers_and_parameters_between_steps():
    def change(world, i):
        rng = np.random.default_rng(i)
        if i == 5:
            world.model.layers[0].weight.data *= 0.5
        if i == 7:
            world.model.layers[0] = nn.Linear(3, 5, rng=rng)
        if i == 9:
            world.optimizer.parameters = world.model.parameters()
        if i == 11:
            world.optimizer.parameters.pop()

    steps_beside(step_world, change, count=20, parts="some")


def test_frozen_parameters_accumulate_gradients():
    def make():
        world = step_world()
        world.optimizer = optim.SGD(world.model.parameters()[2:], lr=0.1)
        return world

    def change(world, i):
        if i == 6:
            world.leaves[0].grad = None
        if i == 8:
            world.leaves[1].grad = np.ones_like(world.leaves[1].data)

    steps_beside(make, change, parts=True)


def test_a_gradient_of_a_frozen_parameter_with_a_wrong_shape():
    def make():
        world = step_world()
        world.optimizer = optim.SGD(world.model.parameters()[2:], lr=0.1)
        return world

    def change(world, i):
        if i == 6:
            world.leaves[0].grad = np.ones(3)
        if i == 8:
            world.leaves[0].grad = None

    steps_beside(make, change, parts=True)


def test_parameters_without_a_gradient_and_used_twice():
    def make():
        world = step_world()
        extra = Value(np.ones(3), "extra")
        first = world.leaves[0]
        model = world.model
        world.loss = lambda output, y: nn.cross_entropy(output, y) + 0.01 * (first**2).sum()
        world.optimizer = optim.SGD([*model.parameters(), extra], lr=0.1, momentum=0.9)
        world.leaves.append(extra)
        return world

    def change(world, i):
        world.leaves[-1].grad = np.ones(3)

    steps_beside(make, change)


def test_scalar_parameters_and_models_that_are_functions():
    def make():
        world = step_world()
        a, b = Value(2.0, "a"), Value(-1.0, "b")
        w = Value(np.ones((3, 4), np.float32), "w")
        world.model = lambda x: (x @ w) * a + b
        world.optimizer = optim.Adam([a, b, w], lr=0.1)
        world.leaves = [a, b, w]
        return world

    steps_beside(make)
    steps_beside(make, batches=lambda i: (data(i).astype(np.float32), batch(i)[1]))
    steps_beside(make, batches=lambda i: (np.asfortranarray(data(i)), batch(i, n=16)[1][::2]))


class Foreign:
    """An optimizer that is no Optimizer."""

    def __init__(self, parameters, lr=0.1):
        self.parameters = parameters
        self.lr = lr
        self.calls = 0

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        self.calls += 1
        for p in self.parameters:
            p.data = p.data - self.lr / self.calls * p.grad


class ForeignInPlace(Foreign):
    def step(self):
        for p in self.parameters:
            p.data -= self.lr * p.grad


class LeavesGradients(Foreign):
    def zero_grad(self):
        self.calls += 1
        if self.calls != 7:
            super().zero_grad()


class Warmup(optim.SGD):
    def step(self):
        self.lr = self.lr * 0.9
        super().step()


class ZeroesSome(optim.SGD):
    def zero_grad(self):
        for p in self.parameters[1:]:
            p.grad = None


@pytest.mark.parametrize("cls", [Foreign, ForeignInPlace, LeavesGradients, Warmup, ZeroesSome])
def test_optimizers_whose_step_is_the_users(cls):
    steps_beside(lambda: step_world(lambda p: cls(p, lr=0.1)), parts=True)


class CountsInNudge(optim.Optimizer):
    _count = 0

    def nudge(self, number, gradient, state):
        self._count += 1
        return -self.lr / self._count * gradient, {}


class RemembersList(optim.Optimizer):
    def nudge(self, number, gradient, state):
        self._seen.append(1.0)
        return -self.lr / len(self._seen) * gradient, {}


class DrawsInNudge(optim.Optimizer):
    def nudge(self, number, gradient, state):
        return -self.lr * gradient * np.random.normal(), {}


class Grows(optim.Optimizer):
    def nudge(self, number, gradient, state):
        history = state.get("history")
        one = gradient[None]
        history = one if history is None else np.concatenate([history, one])[-9:]
        return -self.lr * history.mean(axis=0) / len(history), {"history": history}


class OtherNames(optim.Optimizer):
    def nudge(self, number, gradient, state):
        n = len(state)
        return -self.lr * gradient / (1 + n), {**state, f"g{n}": gradient}


RATE_OF_NUDGE = 1.0


class UsesGlobal(optim.Optimizer):
    def nudge(self, number, gradient, state):
        return -self.lr * RATE_OF_NUDGE * gradient, {}


class Branches(optim.Optimizer):
    def nudge(self, number, gradient, state):
        if np.abs(gradient).max() > 0.2:
            gradient = gradient / np.abs(gradient).max()
        return -self.lr * gradient, {}


class OutOfNumPy(optim.Optimizer):
    def nudge(self, number, gradient, state):
        return -self.lr * gradient / max(1.0, float(np.sum(gradient * gradient))), {}


class ChangesRate(optim.Optimizer):
    def nudge(self, number, gradient, state):
        self.lr = self.lr * 0.9
        return -self.lr * gradient, {}


class SettingIsProperty(optim.Optimizer):
    @property
    def rate(self):
        return 0.1 * RATE_OF_NUDGE

    def nudge(self, number, gradient, state):
        return -self.rate * gradient, {}


class ChangesState(optim.Optimizer):
    def nudge(self, number, gradient, state):
        state["t"] = state.get("t", 0.0) + 1
        state["last"] = gradient
        return -self.lr * gradient / state["t"], state


NUDGES = {
    CountsInNudge: "it changes",
    RemembersList: "it changes",
    DrawsInNudge: "it draws random numbers",
    Grows: "the optimizer remembers something else",
    OtherNames: "remembers something else",
    UsesGlobal: None,
    Branches: None,
    OutOfNumPy: "float(x)",
    SettingIsProperty: None,
    ChangesRate: "it changes the learning rate",
    ChangesState: None,
}


@pytest.mark.parametrize("cls", list(NUDGES))
def test_optimizers_of_ones_own(cls):
    def make():
        globals()["RATE_OF_NUDGE"] = 1.0
        world = step_world(lambda p: cls(p, lr=0.1))
        world.optimizer._seen = []
        return world

    def change(world, i):
        if i == 7:
            globals()["RATE_OF_NUDGE"] = 2.0
        if cls is ChangesState and i:
            for p in world.leaves:
                p.grad *= 100.0  # which is no part of the state

    steps_beside(make, change, reason=NUDGES[cls])


def test_nan_and_infinity_raise_the_same_error_and_change_nothing():
    def batches(i):
        x, y = batch(i)
        if i in (5, 8, 11):
            x[0, 0] = {5: np.nan, 8: np.inf, 11: 1e300}[i]
        return x, y

    steps_beside(step_world, batches=batches)


def test_a_gradient_that_overflows_while_the_loss_is_finite():
    def make():
        world = step_world()
        w = Value(np.ones(3))
        world.model = lambda x: x * w
        world.loss = lambda output, y: np.sqrt(output * output).sum() * 1e-3
        world.optimizer = optim.SGD([w], lr=1e-3)
        world.leaves = [w]
        return world

    def batches(i):
        x, y = batch(i)
        if i in (6, 9):
            x[0] = 0.0 if i == 6 else 1e160
        return x, y

    steps_beside(make, batches=batches)


def test_large_finite_gradients_whose_squares_overflow_make_a_step():
    def make():
        world = step_world()
        w = Value(np.ones(3))
        world.model = lambda x: x * w
        world.loss = lambda output, y: output.sum()
        world.optimizer = optim.SGD([w], lr=1e-200)
        world.leaves = [w]
        return world

    steps_beside(make, batches=lambda i: (data(i) * (1e200 if i % 5 == 4 else 1.0), batch(i)[1]))


def test_labels_out_of_range_in_a_step():
    def batches(i):
        x, y = batch(i)
        if i in (6, 9):
            y[2] = 4 if i == 6 else -1
        return x, y

    steps_beside(step_world, batches=batches)


def test_steps_with_dropout_and_noise_run_as_they_are():
    def make():
        world = step_world()
        rng = np.random.default_rng(0)
        world.model.layers.append(nn.Dropout(0.3, rng=rng))
        return world

    steps_beside(make, reason="it draws random numbers")


def test_a_loss_that_changes_its_way_and_its_flags():
    def make():
        world = step_world(flag=False, scale=1.0)

        def loss(output, y):
            value = nn.cross_entropy(output, y) * world.scale
            if value > 1.4:
                value = value * 2
            return value * value if world.flag else value

        world.loss = loss
        return world

    def change(world, i):
        world.flag = i > 6
        world.scale = 1.0 if i < 9 else 1.5

    steps_beside(make, change, count=24)


@pytest.mark.parametrize("kind", ["counter", "running mean", "list", "backward", "eye", "float"])
def test_losses_that_run_as_they_are(kind):
    def make():
        world = step_world(n=0, mean=np.zeros(4), log=[])

        def loss(output, y):
            value = nn.cross_entropy(output, y)
            if kind == "counter":
                world.n += 1
                return value * world.n
            if kind == "running mean":
                world.mean = 0.9 * world.mean + output.data.mean(axis=0)
                return value + (output * world.mean).mean()
            if kind == "list":
                world.log.append(value.item())
                return value
            if kind == "backward":
                value.backward()
                return nn.cross_entropy(output, y)
            if kind == "eye":
                return -(np.eye(4)[y] * output.log_softmax(axis=1)).mean()
            return value * float(output.data.max())

        world.loss = loss
        return world

    reasons = {"eye": "np.asarray", "float": "float(x)"}
    steps_beside(make, reason=reasons.get(kind, "it "))


def begun_steps(make, count=4):
    """Steps of which some are made; and a mini-batch for the next ones."""
    world = make()
    given = (world.model, world.loss, world.optimizer, None)
    steps = CompiledSteps(*given)
    following = train._Batch(*given)
    following.x, following.y = batch(1)
    following.epoch = 1
    for i in range(count):
        following.is_first_epoch = i == 0
        following.number = i + 1
        steps.step(following)
    return world, steps, following


def everything(world):
    leaves = [(bits(p.data), bits(p.grad)) for p in world.leaves]
    return leaves, bits(world.optimizer.state_dict())


def test_a_step_within_no_grad_is_an_error():
    world, steps, following = begun_steps(step_world)
    before = [bits(p.data) for p in world.leaves]
    with no_grad(), pytest.raises(ValueError, match="no_grad"):
        steps.step(following)
    assert [bits(p.data) for p in world.leaves] == before


def test_an_interruption_in_the_middle_of_a_step_changes_nothing():
    world, steps, following = begun_steps(lambda: step_world(OPTIMIZERS["momentum"]))
    ((version,),) = steps._versions.values()
    before = everything(world)
    computed = []
    compute = version.compute

    def interrupted(x, y):
        computed.append(compute(x, y))
        raise KeyboardInterrupt

    version.compute = interrupted
    with pytest.raises(KeyboardInterrupt):
        steps.step(following)
    assert computed
    assert everything(world) == before


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_between_comparisons_a_step_of_every_optimizer_is_made_by_its_program(name, monkeypatch):
    _, steps, following = begun_steps(lambda: step_world(OPTIMIZERS[name]), count=5)

    def refused(*arguments):
        raise AssertionError("the engine makes this step")

    monkeypatch.setattr(train, "_step", refused)
    steps.step(following)


# ── fit ──────────────────────────────────────────────────────────────────────────────────────────
def fitted(is_compiled, make, between=None, epochs=5, **options):
    np.random.seed(0)
    world = make()
    rng = np.random.default_rng(7)
    x = data(0, n=53)
    y = np.random.default_rng(1).integers(0, 4, 53)
    found = []
    run = train.fit(
        world.model, world.loss, world.optimizer, x, y, epochs=epochs, batch_size=8, rng=rng,
        test=(x[:10], y[:10]), before_step=world.before_step, compiled=is_compiled, **options,
    )  # fmt: skip

    def consume():
        for epoch in run:
            record = dataclasses.asdict(epoch)
            record.pop("seconds")
            leaves = [(bits(p.data), bits(p.grad)) for p in world.leaves]
            found.append((record, leaves, repr(rng.bit_generator.state)))
            if between is not None:
                between(world, epoch.number)

    result, warned, ours = attempted(consume)
    found.append((bits(result), sorted(warned), states()))
    return found, ours


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_fit(name):
    make = functools.partial(step_world, OPTIMIZERS[name])
    expected, _ = fitted(False, make)
    found, ours = fitted(True, make)
    assert found == expected
    assert not ours


def test_fit_with_checkpoints_evaluation_and_changes_between_epochs(tmp_path):
    def between(world, epoch):
        path = tmp_path / "checkpoint.npz"
        if epoch == 2:
            train.save_checkpoint(path, world.model, world.optimizer, epoch=epoch)
        if epoch == 4:
            train.load_checkpoint(path, world.model, world.optimizer)
        if epoch == 5:
            world.model.layers[1] = nn.ReLU()
        if epoch == 6:
            world.model.eval()
        if epoch == 7:
            world.model.train()
            world.optimizer.lr = 0.01

    make = functools.partial(step_world, OPTIMIZERS["momentum"])
    expected, _ = fitted(False, make, between, epochs=9)
    found, ours = fitted(True, make, between, epochs=9)
    assert found == expected
    assert not ours


def test_fit_that_diverges_has_the_same_message():
    def between(world, epoch):
        if epoch == 3:
            world.optimizer.lr = 1e200

    expected, _ = fitted(False, step_world, between, epochs=9)
    found, _ = fitted(True, step_world, between, epochs=9)
    assert found == expected
    assert "DivergedError" in repr(expected[-1])


def test_fit_says_once_at_the_users_line_why_it_is_not_compiled():
    def make():
        world = step_world()
        world.model.layers.append(nn.Dropout(0.2, rng=np.random.default_rng(0)))
        return world

    expected, _ = fitted(False, make)
    found, ours = fitted(True, make)
    assert found == expected
    assert len(ours) == 1
    assert ours[0].filename == __file__


def test_fit_of_a_compiled_model():
    def make():
        world = step_world()
        world.inner = world.model
        world.model = compiled(world.model)
        return world

    def make_plain():
        world = step_world()
        inner = world.model
        world.model = lambda x: inner(x)
        return world

    expected, _ = fitted(False, make_plain)
    for is_compiled in (False, True):
        found, ours = fitted(is_compiled, make)
        assert found == expected
        assert not ours


def test_four_threads_that_train_models_of_their_own():
    expected = {i: fitted_quietly(i, False) for i in range(4)}
    found = {}
    in_threads(lambda i: found.__setitem__(i, fitted_quietly(i, True)))
    assert found == expected


def fitted_quietly(seed, is_compiled):
    world = step_world(OPTIMIZERS["momentum"], seed=seed)
    x, y = batch(seed, n=45)
    run = train.fit(
        world.model, world.loss, world.optimizer, x, y, epochs=4, batch_size=8,
        rng=np.random.default_rng(seed), compiled=is_compiled,
    )  # fmt: skip
    losses = [epoch.loss for epoch in run]
    return losses, [bits(p.data) for p in world.leaves]


# ── More ways to go wrong ────────────────────────────────────────────────────────────────────────
class Tagged(Value):
    """A Value with an attribute."""

    __slots__ = ("scale",)


class Noted(Value):
    """A Value with a dictionary."""


@pytest.mark.parametrize("cls", [Tagged, Noted])
@pytest.mark.parametrize("where", ["argument", "closure"])
def test_attributes_of_values(cls, where):
    def make():
        world = SimpleNamespace(v=cls(np.arange(3.0)), w=cls(np.arange(3.0)))
        world.v.scale, world.w.scale = 2.0, 3.0
        world.values = [world.v, world.w]
        if where == "argument":
            world.f = lambda x, v: (v * x * v.scale).sum()
        else:
            v = world.v
            world.f = lambda x: (v * x * v.scale).sum()
        return world

    def change(world, i):
        if i == 8:
            world.v.scale = 7.0

    def arguments(world, i):
        x = np.arange(3.0) + i
        return (x, [world.v, world.w][i % 2]) if where == "argument" else (x,)

    beside(make, arguments, change, calls=24)


def test_names_of_values_that_matter():
    def make():
        world = SimpleNamespace()
        world.f = lambda v: (v * (2.0 if v.name == "a" else 3.0)).sum()
        return world

    beside(make, lambda world, i: (Value(np.arange(3.0), "ab"[i % 2]),), calls=24)


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (lambda x: np.clip(x, -1, 1) if type(x) is np.ndarray else x, "what type(x) is"),
        (lambda x: np.clip(x, -1, 1) if type(x) in (np.ndarray, float) else x, "what type(x) is"),
        (lambda x: np.clip(x, -1, 1) if isinstance(x, np.ndarray) else x, None),
        (lambda x: np.clip(x, -1, 1) if x.__class__ is np.ndarray else x, None),
    ],
)
def test_questions_about_types(use, reason):
    def make():
        world = network()
        world.f = lambda x: (use(x) @ world.w).mean()
        return world

    beside(make, lambda world, i: (data(i) * (0.1 if i < 4 else 3.0),), reason=reason)


def test_an_argument_that_is_also_reached_by_a_name():
    def make():
        known = data(1)
        world = network(known=known)
        w = world.w
        world.f = lambda x: (x @ w).mean() if x is known else (x @ w).sum()
        return world

    def arguments(world, i):
        return (world.known if i % 3 == 1 else data(i),)

    beside(make, arguments, calls=24)


def test_weak_references_and_bytes_that_change_run_as_it_is():
    import array
    import weakref

    settings = Settings()
    for reached, use in [
        (weakref.ref(settings), lambda r: r().factor),
        (bytearray(b"abc"), lambda r: r[0]),
        (array.array("d", [1.0, 2.0]), lambda r: r[0]),
    ]:
        world = network()
        function = compiled(lambda x, w=world.w, r=reached, use=use: (x @ w).mean() * use(r))
        with pytest.warns(RuntimeWarning, match="it reaches"):
            function(data(1))


IN_PLACE = {
    "views": lambda h: [operator.iadd(h[0], 1.0), operator.imul(h[:, 1], 2.0)],
    "transposed": lambda h: operator.iadd(h.T, np.arange(4.0)[:, None] * 0 + 2.0),
    "split": lambda h: operator.iadd(np.split(h, 2)[0], 1.0),
    "split twice": lambda h: [operator.iadd(each, 1.0) for each in np.array_split(h, 3)],
    "rows": lambda h: [operator.iadd(row, i) for i, row in enumerate(h)],
    "unpacked": lambda h: operator.iadd(np.hsplit(h, 2)[1], 0.5),
    "raveled": lambda h: operator.iadd(h.ravel(), 1.0),
    "reshaped": lambda h: operator.imul(h.reshape(2, -1), 3.0),
    "assigned": lambda h: operator.setitem(h, (slice(None), 0), h[:, 1]),
    "masked": lambda h: operator.setitem(h, h > 0.5, 0.0),
    "out": lambda h: np.exp(h, out=h),
    "copied": lambda h: np.copyto(h, h[::-1].copy()),
    "put": lambda h: np.putmask(h, h > 0, -h),
    "sorted": lambda h: h.sort(axis=0),
    "filled": lambda h: h[1].fill(2.0),
    "at": lambda h: np.add.at(h, np.array([0, 0, 1]), 1.0),
    "overlapping": lambda h: operator.iadd(h[1:], h[:-1]),
}


@pytest.mark.parametrize("name", list(IN_PLACE))
@pytest.mark.parametrize("of", ["own", "argument", "view of an argument", "kept"])
def test_writing_in_place(name, of):
    write = IN_PLACE[name]

    def make():
        world = network()

        def f(x):
            if of == "own":
                h = np.tanh(x)
            elif of == "kept":
                h = x * 2
                before = h + 0
            else:
                h = x if of == "argument" else x[:, :]
            other = h * 3
            first = h[0]
            write(h)
            total = (h @ world.w[:3]).sum() if h.shape[1] == 3 else (h * world.b).sum()
            total = total + first.sum() + other.sum()
            return (total + before.sum() if of == "kept" else total), h, first

        world.f = f
        return world

    given = []

    def arguments(world, i):
        given.append(data(i, features=4))
        return (given[-1],)

    expected, _, _ = outcomes(make, arguments, None, 8, False)
    expected_x = bits(given)
    given.clear()
    found, function, ours = outcomes(make, arguments, None, 8, True)
    assert found == expected
    assert bits(given) == expected_x
    assert len(ours) == (function._reason is not None)
    assert function.differences == 0


def test_copies_of_results():
    w = Value(np.arange(3.0))
    function = compiled(lambda a: (np.tanh(a) * w).sum())
    for i in range(4):
        a = Value(np.arange(3.0) + i)
        loss = function(a)
    twin, twin_a = copy.deepcopy((loss, a))
    twin.backward()
    assert a.grad is None
    loss.backward()
    assert bits(twin_a.grad) == bits(a.grad)
    with pytest.raises(RuntimeError, match="a copy"):
        microgd.gradients(twin, [twin_a], create_graph=True)


def test_a_rule_that_raises_an_error_for_some_numbers():
    def rule(g, out, x):
        if np.any(x > 1.5):
            raise ValueError("no derivative there")
        return g * 2.0

    @microgd.operation(rule)
    def safety_partly(x):
        return x * 2.0

    def make():
        world = SimpleNamespace(values=[])
        world.f = lambda a: safety_partly(a).sum()
        return world

    beside(make, lambda world, i: (Value(data(i)[0]),), calls=24)


def test_a_compiled_forward_method_of_a_module():
    class Net(nn.Module):
        def __init__(self, seed):
            self.layer = nn.Linear(3, 4, rng=np.random.default_rng(seed))

        def plain(self, x):
            h = np.tanh(self.layer(x))
            return h if self.training else h * 2

        forward = compiled(plain)

    model, other = Net(0), Net(1)
    for i in range(24):
        model.train() if i % 2 else model.eval()
        for each in (model, other):
            loss = each(data(i)).sum()
            expected = each.plain(data(i)).sum()
            assert bits(loss) == bits(expected)
            loss.backward()
            found = [bits(p.grad) for p in each.parameters()]
            for p in each.parameters():
                p.grad = None
            expected.backward()
            assert found == [bits(p.grad) for p in each.parameters()]
            for p in each.parameters():
                p.data = p.data - 0.1 * p.grad
                p.grad = None


def test_parameters_in_a_compiled_part_of_a_module_are_not_lost_silently():
    class Net(nn.Module):
        def __init__(self):
            self.part = compiled(nn.Linear(3, 4))

    with pytest.raises(TypeError):
        Net()


def test_two_compiled_functions_that_share_a_parameter():
    def run(is_compiled):
        w = Value(np.arange(3.0))
        first = lambda x: (np.tanh(w * x) * w).sum()  # noqa: E731
        second = lambda x: (np.exp(w * 0.1) * x).sum()  # noqa: E731
        if is_compiled:
            first, second = compiled(first), compiled(second)
        found = []
        for i in range(12):
            x = data(i)[0]
            h = first(x)
            loss = second(x * 0.5) * h + first(x + 1) + h * h
            loss.backward()
            found.append((bits(loss), bits(w.grad)))
        return found

    assert run(True) == run(False)


def test_gradients_of_arrays_as_results():
    def run(is_compiled):
        w = Value(np.arange(12.0).reshape(3, 4) * 0.1)
        function = lambda x: np.tanh(x @ w)  # noqa: E731
        if is_compiled:
            function = compiled(function)
        found = []
        for i in range(12):
            h = function(data(i).astype(np.float32 if i % 2 else np.float64))
            g = np.asfortranarray(np.random.default_rng(i).normal(size=h.shape).astype(h.dtype))
            h.backward(g)
            found.append((bits(h), bits(w.grad)))
            loss = (function(data(i)).T * 2.0)[1:].sum()
            loss.backward()
            found.append((bits(loss), bits(w.grad)))
        return found

    assert run(True) == run(False)


def test_second_derivatives_after_a_change_that_the_result_does_not_show():
    w = Value(np.array([1.0, 2.0]))
    function = compiled(lambda x: (w**2 * x).sum())
    for i in range(4):
        loss = function(np.ones(2) * i)
    w.data = -w.data  # the result would be the same, and the gradient another
    with pytest.raises(RuntimeError, match="has changed since"):
        microgd.gradients(loss, [w], create_graph=True)
    (g,) = microgd.gradients(loss, [w])
    assert bits(g) == bits(np.array([1.0, 2.0]) * 2 * 3)


def test_a_rule_that_returns_an_operand():
    # The engine stores it as the gradient, and its user may write into that.
    @microgd.operation(lambda g, out, x, y: y, lambda g, out, x, y: x)
    def safety_product(x, y):
        return x * y

    function = lambda a, b: safety_product(a, np.exp(b)).sum()  # noqa: E731
    compiled_function = compiled(function)
    for i in range(5):
        a, b = values_of(i)
        loss = compiled_function(a, b)
        for _ in range(3):
            loss.backward()
            assert bits(a.grad) == bits(np.exp(b.data))
            a.grad[:] = 100.0
            a.grad = b.grad = None
