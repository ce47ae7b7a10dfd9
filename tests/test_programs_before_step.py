"""`train.fit(..., compiled=True, before_step=...)`: a step is two programs, and the user's function
runs between them.

As in test_programs_safety.py, each scenario runs in two worlds, one of which is compiled, with
comparisons and without. After each step everything is compared bit for bit.
"""

# ruff: noqa: NPY002 (functions that draw from NumPy's global generator are among the scenarios)

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest
from test_programs_safety import (
    OPTIMIZERS,
    DrawsInNudge,
    Foreign,
    Grows,
    OutOfNumPy,
    UsesGlobal,
    batch,
    bits,
    data,
    fitted,
    step_world,
    steps_beside,
    steps_of,
)

from microgd import Value, nn, optim, train
from microgd.programs import step as programs_step
from microgd.programs import version as programs_version
from microgd.programs.step import CompiledSteps


@pytest.fixture(autouse=True, params=["compared", "alone"])
def comparisons(request, monkeypatch):
    """With the comparisons that a user has, and without any."""
    if request.param == "alone":
        monkeypatch.setattr(programs_version, "is_compared", lambda call: False)
        monkeypatch.setattr(programs_step, "is_compared", lambda call: False)
    return request.param


def with_before_step(make_before_step, make_optimizer=None, **options):
    """A function that makes a world: the same function between the parts would keep its counts."""

    def make():
        world = step_world(make_optimizer, **options)
        world.before_step = make_before_step(world)
        return world

    return make


def counted(change):
    """A function that makes a `before_step`, which calls change(world, optimizer, i) in step i."""

    def make_before_step(world):
        steps = itertools.count()
        return lambda optimizer: change(world, optimizer, next(steps))

    return make_before_step


def runs_of(versions):
    return sum(version.runs - 1 for version in versions)


def in_two_parts(make, change=None, batches=batch, *, runs=8, count=14, **options):
    """Compare the two worlds, and make sure that programs have made that many updates."""
    steps = steps_beside(make, change, batches, count=count, **options)
    assert steps._updates.reason is None
    assert steps._updates.differences == 0
    assert runs_of(steps._updates.versions) >= runs
    return steps


# ── What before_step does ────────────────────────────────────────────────────────────────────────
def clip(world):
    return lambda optimizer: optim.clip_grad_norm(optimizer.parameters, 0.1)


def clip_rarely(world):
    return lambda optimizer: optim.clip_grad_norm(optimizer.parameters, 0.5)


def look(world):
    return lambda optimizer: None


def in_place(world):
    return lambda optimizer: operator.imul(optimizer.parameters[0].grad, 0.5)


def new_arrays(world):
    def before_step(optimizer):
        for p in optimizer.parameters:
            p.grad = np.sign(p.grad)

    return before_step


def noise(world):
    def before_step(optimizer):
        for p in optimizer.parameters:
            p.grad = p.grad + 0.01 * np.random.normal(size=p.shape)

    return before_step


def rate(world):
    def before_step(optimizer):
        optimizer.lr *= 0.9

    return before_step


def weights(world):
    def before_step(optimizer):
        for p in optimizer.parameters:
            p.data = p.data * 0.99
        optimizer.parameters[0].data[0] += 0.01

    return before_step


@counted
def written_gradients(world, optimizer, i):
    """Gradients of other dtypes, shapes that broadcast, and orders in memory."""
    kind = i % 9
    p, q = optimizer.parameters[0], optimizer.parameters[2]
    if kind == 1:
        p.grad = np.asfortranarray(p.grad) if p.grad.flags.c_contiguous else p.grad.copy()
    if kind == 2:
        p.grad = p.grad.astype(np.float64)
    if kind == 3:
        p.grad = np.ones(p.shape, int)
    if kind == 4:
        p.grad = np.broadcast_to(np.arange(float(p.shape[1])), p.shape)
    if kind == 5:
        p.grad = 0
    if kind == 6:
        p.grad = p.data
        q.grad = q.data[::-1]
    if kind == 7:
        p.grad = (p.grad * 2).tolist()
    if kind == 8:
        p.grad = p.grad.astype(">f4")


BEFORE_STEPS = {
    each.__name__: each
    for each in (
        clip, clip_rarely, look, in_place, new_arrays, noise, rate, weights, written_gradients,
    )
}  # fmt: skip


@pytest.mark.parametrize("before_step", list(BEFORE_STEPS))
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_steps_with_a_function_between_their_parts(optimizer, before_step):
    make = with_before_step(BEFORE_STEPS[before_step], OPTIMIZERS[optimizer])
    last = lambda i: batch(i, n=3 if i % 4 == 3 else 8)  # noqa: E731
    steps = in_two_parts(make, batches=last, count=30, runs=20)
    assert len(steps._updates.versions) == 1  # for mini-batches of all lengths


@pytest.mark.parametrize("before_step", list(BEFORE_STEPS))
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_fit_with_a_function_between_the_parts_of_steps(optimizer, before_step):
    make = with_before_step(BEFORE_STEPS[before_step], OPTIMIZERS[optimizer])
    expected, _ = fitted(False, make)
    found, ours = fitted(True, make)
    assert found == expected
    assert not ours


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "own"])
def test_gradients_of_none_leave_a_parameter_where_it_is(optimizer):
    @counted
    def make_before_step(world, optimizer, i):
        if i % 3 == 1:
            optimizer.parameters[0].grad = None
        if i in (5, 7, 11):
            optimizer.parameters[3].grad = None

    make = with_before_step(make_before_step, OPTIMIZERS[optimizer])
    steps = in_two_parts(make, count=30, runs=15)
    assert len(steps._updates.versions) == 4  # one for each choice of parameters


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "own"])
def test_gradients_for_parameters_that_the_loss_does_not_depend_on(optimizer):
    def make():
        world = step_world()
        extra = Value(np.ones(3), "extra")
        world.optimizer = OPTIMIZERS[optimizer]([extra, *world.leaves])
        world.leaves.append(extra)
        count = iter(range(1000))

        def before_step(optimizer):
            if next(count) > 5:
                extra.grad = np.arange(3.0)

        world.before_step = before_step
        return world

    steps = in_two_parts(make, lambda world, i: setattr(world.leaves[-1], "grad", np.ones(3)))
    assert len(steps._updates.versions) == 2


def test_no_gradient_at_all_is_the_same_error():
    @counted
    def make_before_step(world, optimizer, i):
        if i in (4, 7):
            optimizer.zero_grad()

    make = with_before_step(make_before_step)
    in_two_parts(make)
    found, _, _ = steps_of(make, None, batch, 6, True)
    assert "no parameter has a gradient: call loss.backward() before step()" in repr(found[4])


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "own"])
def test_settings_and_states_changed_between_the_parts(optimizer):
    def make_before_step(world):
        count = iter(range(1000))
        saved = []

        def before_step(optimizer):
            i = next(count)
            if i == 4:
                optimizer.lr = 0.05
            if i == 5:
                saved.append(optimizer.state_dict())
            if i == 6 and hasattr(optimizer, "momentum"):
                optimizer.momentum = 0.5
            if i == 8 and hasattr(optimizer, "betas"):
                optimizer.betas = (0.8, 0.9)
            if i == 9 and hasattr(optimizer, "decay"):
                optimizer.decay = 0.5
            if i == 13:
                optimizer.load_state_dict(saved[0])
            if i == 15:
                fresh = world.make_optimizer(optimizer.parameters)
                optimizer.load_state_dict(fresh.state_dict())

        return before_step

    make = with_before_step(make_before_step, OPTIMIZERS[optimizer])
    in_two_parts(make, count=26, runs=10)


def test_parameters_frozen_replaced_and_added_between_the_parts():
    @counted
    def make_before_step(world, optimizer, i):
        if i == 4:
            optimizer.parameters = world.leaves[1:]
        if i == 9:
            optimizer.parameters = world.leaves

    make = with_before_step(make_before_step, OPTIMIZERS["momentum"])
    steps_beside(make, count=24, parts="some")


def test_a_parameter_taken_out_of_the_list_between_the_parts():
    @counted
    def make_before_step(world, optimizer, i):
        if i == 6:
            optimizer.parameters.pop()

    make = with_before_step(make_before_step, OPTIMIZERS["momentum"])
    steps_beside(make, count=14, parts="some")


def test_layers_replaced_between_the_parts():
    @counted
    def make_before_step(world, optimizer, i):
        if i in (0, 6):
            layer = nn.Linear(3, 5, rng=np.random.default_rng(i))
            world.model.layers[0] = layer
            optimizer.parameters = world.model.parameters()
        if i == 10:
            world.model.layers[1] = nn.ReLU()

    in_two_parts(with_before_step(make_before_step), count=24)


def test_a_function_that_changes_the_loss_in_every_step_is_the_reason_why_none_is_compiled():
    def make():
        world = step_world(scale=1.0)
        world.loss = lambda output, y: nn.cross_entropy(output, y) * world.scale

        def before_step(optimizer):
            world.scale *= 0.99

        world.before_step = before_step
        return world

    steps_beside(make, count=20, reason="before_step changes world.scale again and again")


def test_a_function_that_draws_random_numbers_and_counts_is_no_reason_against_programs():
    def make():
        world = step_world(OPTIMIZERS["momentum"])
        world.calls = 0

        def before_step(optimizer):
            world.calls += 1
            optimizer.parameters[1].grad += np.random.normal()

        world.before_step = before_step
        return world

    in_two_parts(make, runs=12)


# ── What before_step sees ────────────────────────────────────────────────────────────────────────
def shared(world):
    """Some gradients are one array, or views of one; some come from sums over broadcast axes."""
    a = Value(data(1, n=8, features=4), "a")
    b = Value(data(2, n=8, features=4), "b")
    c = Value(np.asfortranarray(data(3, n=3, features=4)), "c")
    d = Value(np.ones(4, np.float32), "d")
    scale = Value(0.5, "scale")
    world.leaves = [a, b, c, d, scale]
    world.model = lambda x: (a + b) + ((x @ c) + d).T.T * scale
    world.optimizer = world.make_optimizer(world.leaves)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("prepare", [None, shared])
def test_gradients_lie_in_memory_as_without_compiling(optimizer, prepare):
    def make():
        world = step_world(OPTIMIZERS[optimizer])
        if prepare is not None:
            prepare(world)
        world.seen = []

        def before_step(given):
            assert given is world.optimizer
            world.seen.append(
                [(bits(p.grad), np.ndim(p.grad) and p.grad.strides) for p in given.parameters]
            )
            owners = []
            for p in given.parameters:
                if p.shape:
                    assert p.grad.flags.writeable
                    assert type(p.grad) is np.ndarray
                    owners.append(p.grad)
                    owners.append(p.data)
            assert not any(np.shares_memory(x, y) for i, x in enumerate(owners) for y in owners[:i])
            factor = 1.0 + 0.01 * float(sum(np.ravel(p.grad, "K").sum() for p in given.parameters))
            for p in given.parameters:
                p.grad *= factor

        world.before_step = before_step
        worlds.append(world)
        return world

    worlds = []
    in_two_parts(make, runs=12)
    for plain, compiled in zip(worlds[::2], worlds[1::2], strict=True):
        assert plain.seen == compiled.seen


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "own"])
def test_gradients_held_by_the_user_are_never_written_into(optimizer):
    def make():
        world = step_world(OPTIMIZERS[optimizer])
        world.held = []

        def before_step(given):
            for p in given.parameters:
                world.held.append((p.grad, p.grad.copy()))
                if p.shape == (4,):
                    p.grad = p.grad * 2
                    world.held.append((p.grad, p.grad.copy()))

        world.before_step = before_step
        worlds.append(world)
        return world

    worlds = []
    in_two_parts(make, runs=12)
    for world in worlds:
        assert all(bits(x) == bits(y) for x, y in world.held)


class UsesLastGradient(optim.Optimizer):
    """Its state is a gradient as it was given, which the user may write into later."""

    def nudge(self, number, gradient, state):
        last = state.get("last", 0.0 * gradient)
        return -self.lr * (gradient + 0.5 * last), {"last": gradient}


def test_writing_into_a_gradient_after_the_step_changes_no_state():
    def change(world, i):
        if i:
            world.leaves[0].grad *= 100.0

    in_two_parts(with_before_step(look, lambda p: UsesLastGradient(p, lr=0.1)), change)
    in_two_parts(with_before_step(look, OPTIMIZERS["momentum"]), change)


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "own"])
def test_an_error_in_the_fifth_step_comes_through_and_moves_nothing(optimizer):
    @counted
    def make_before_step(world, given, i):
        if i == 4:
            given.parameters[0].grad = None
            raise KeyError("stop")

    make = with_before_step(make_before_step, OPTIMIZERS[optimizer])
    in_two_parts(make)
    expected, _ = fitted(False, make)
    found, _ = fitted(True, make)
    assert found == expected
    assert "KeyError" in repr(found[-1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200, -1e308])
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_a_bad_gradient_put_in_raises_the_same_error(optimizer, bad):
    @counted
    def make_before_step(world, given, i):
        if i in (6, 9):
            p = given.parameters[i % 4]
            p.grad = p.grad.copy()
            p.grad.flat[-1] = bad

    make = with_before_step(make_before_step, OPTIMIZERS[optimizer])
    in_two_parts(make)
    expected, _ = fitted(False, make)
    found, _ = fitted(True, make)
    assert found == expected
    if not np.isfinite(bad):
        assert "a gradient became infinite or nan in epoch 1, batch 7" in repr(found[-1])


@pytest.mark.parametrize(
    "bad", ["rubbish", np.ones(3), np.ones((5, 3), complex), [[1.0], [1.0, 2.0]]]
)
def test_a_gradient_that_is_none_raises_the_same_error(bad):
    @counted
    def make_before_step(world, given, i):
        if i in (6, 9):
            given.parameters[0].grad = bad

    in_two_parts(with_before_step(make_before_step, OPTIMIZERS["momentum"]))


def test_a_gradient_that_overflows_in_the_dtype_of_its_parameter():
    def make_before_step(world):
        assert world.leaves[0].dtype == np.float32
        count = iter(range(1000))

        def before_step(given):
            if next(count) == 6:
                p = given.parameters[0]
                p.grad = np.full(p.shape, 1e300)

        return before_step

    single = lambda i: (data(i).astype(np.float32), batch(i)[1])  # noqa: E731
    in_two_parts(with_before_step(make_before_step, OPTIMIZERS["momentum"]), batches=single, runs=4)


def test_large_gradients_whose_squares_overflow_make_a_step_and_need_no_program_of_their_own():
    def make_before_step(world):
        world.optimizer.lr = 1e-30
        count = iter(range(1000))

        def before_step(given):
            if next(count) in (5, 7, 9):
                given.parameters[0].grad = np.full(given.parameters[0].shape, 1e30, np.float32)

        return before_step

    steps = in_two_parts(with_before_step(make_before_step))
    assert len(steps._updates.versions) == 1


def test_a_function_may_mend_what_is_nan():
    def make_before_step(world):
        w = Value(np.ones(3))
        world.model = lambda x: x * w
        world.loss = lambda output, y: np.sqrt(output * output).sum() * 1e-3
        world.leaves = [w]
        world.optimizer = optim.Adam([w], lr=1e-3)

        def before_step(given):
            w.grad = np.nan_to_num(w.grad)

        return before_step

    def batches(i):
        x, y = batch(i)
        if i in (6, 9):
            x[0] = 0.0
        return x, y

    in_two_parts(with_before_step(make_before_step), batches=batches)


def test_nan_in_the_data_and_labels_out_of_range():
    def batches(i):
        x, y = batch(i)
        if i in (5, 8):
            x[0, 0] = np.nan
        if i == 10:
            y[2] = 4
        return x, y

    in_two_parts(with_before_step(clip, OPTIMIZERS["adam"]), batches=batches, runs=6)


def begun(make, count=4):
    """Steps of which some are made, and a mini-batch for the next one."""
    world = make()
    given = (world.model, world.loss, world.optimizer, world.before_step)
    steps = CompiledSteps(*given)
    following = train._Batch(*given)
    following.epoch = 1
    for i in range(count):
        following.x, following.y = batch(i)
        following.is_first_epoch = i == 0
        following.number = i + 1
        steps.step(following)
    return world, steps, following


def test_an_interruption_in_the_second_part_moves_nothing():
    world, steps, following = begun(with_before_step(clip, OPTIMIZERS["momentum"]))
    (version,) = steps._updates.versions
    compute = version.compute

    def interrupted():
        compute()
        raise KeyboardInterrupt

    version.compute = interrupted
    before = [bits(p.data) for p in world.leaves], bits(world.optimizer.state_dict())
    with pytest.raises(KeyboardInterrupt):
        steps.step(following)
    assert before == ([bits(p.data) for p in world.leaves], bits(world.optimizer.state_dict()))


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_between_comparisons_the_engine_makes_no_part_of_a_step(optimizer, monkeypatch):
    _, steps, following = begun(with_before_step(clip, OPTIMIZERS[optimizer]), count=5)

    def refused(*arguments):
        raise AssertionError("the engine makes this step")

    monkeypatch.setattr(train, "_step", refused)
    steps.step(following)


# ── Comparisons ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("part", ["first", "second"])
def test_a_program_that_is_wrong_is_dropped_when_it_is_compared(part):
    world, steps, following = begun(with_before_step(clip, OPTIMIZERS["momentum"]))
    beside, _, same = begun(with_before_step(clip, OPTIMIZERS["momentum"]))
    ((first,),) = steps._versions.values()
    (second,) = steps._updates.versions
    version = first if part == "first" else second
    compute = version.compute

    def wrong(*arguments):
        results = list(compute(*arguments))
        results[1] = results[1] * 1.001
        return results

    version.compute = wrong
    following.number = same.number = 1  # the first step of an epoch is compared
    assert steps.step(following) == same.step()
    assert [bits(p.data) for p in world.leaves] == [bits(p.data) for p in beside.leaves]
    assert [bits(p.grad) for p in world.leaves] == [bits(p.grad) for p in beside.leaves]
    if part == "first":
        assert not steps._versions
        assert steps.differences == 1
        assert steps._updates.versions == [second]
    else:
        assert not steps._updates.versions
        assert steps._updates.differences == 1
        assert list(steps._versions.values()) == [[first]]


def test_the_first_part_is_compared_before_the_function_changes_gradients():
    _, steps, following = begun(with_before_step(new_arrays))
    ((first,),) = steps._versions.values()
    compute = first.compute

    def wrong(x, y):
        results = list(compute(x, y))
        results[1] = results[1] * 1.5  # of the same sign
        return results

    first.compute = wrong
    following.number = 1
    steps.step(following)
    assert steps.differences == 1


# ── Optimizers that are not compiled ─────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (OutOfNumPy, "the steps of the optimizer are not compiled: "),
        (DrawsInNudge, "it draws random numbers"),
        (Grows, "the optimizer remembers something else"),
    ],
)
def test_an_optimizer_that_cannot_be_followed_makes_its_steps_and_the_loss_is_compiled(cls, reason):
    make = with_before_step(clip, lambda p: cls(p, lr=0.1))
    steps = steps_beside(make, reason=reason)
    assert steps.reason is None
    assert reason in f"the steps of the optimizer are not compiled: {steps._updates.reason}"
    assert all(version.runs > 5 for each in steps._versions.values() for version in each)


def test_a_setting_that_changes_in_every_step_leaves_the_loss_compiled():
    def make_before_step(world):
        def before_step(optimizer):
            optimizer.momentum *= 0.99

        return before_step

    make = with_before_step(make_before_step, OPTIMIZERS["momentum"])
    steps = steps_beside(make, count=20, reason="momentum changes again and again")
    assert steps.reason is None
    assert runs_of(each for versions in steps._versions.values() for each in versions) > 10


def test_a_global_of_the_users_nudge_that_changes():
    import test_programs_safety

    def make_before_step(world):
        test_programs_safety.RATE_OF_NUDGE = 1.0
        count = iter(range(1000))

        def before_step(optimizer):
            if next(count) == 7:
                test_programs_safety.RATE_OF_NUDGE = 2.0

        return before_step

    in_two_parts(with_before_step(make_before_step, lambda p: UsesGlobal(p, lr=0.1)))
    test_programs_safety.RATE_OF_NUDGE = 1.0


def test_frozen_parameters_and_foreign_optimizers_with_a_function_before_the_step():
    def frozen():
        world = step_world()
        world.optimizer = optim.SGD(world.model.parameters()[2:], lr=0.1)
        world.before_step = clip(world)
        return world

    steps_beside(frozen, parts=True)
    steps_beside(with_before_step(clip, lambda p: Foreign(p, lr=0.1)), parts=True)
