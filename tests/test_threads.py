"""Threads and tasks: each gets exactly what it would get alone, and `no_grad` affects only one."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from domains import COMPOSED, DOMAINS
from hypothesis import given, settings
from hypothesis import strategies as st

from microgd import (
    Value,
    check_gradients,
    grad,
    gradients,
    hvp,
    nn,
    no_grad,
    operation,
    operations,
    optim,
    train,
)

THREADS = 8


@pytest.fixture(autouse=True)
def often():
    """Make threads switch as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(*works):
    """The results of functions that start together and run at once, each in its own thread."""
    barrier = threading.Barrier(len(works))

    def begin(work):
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(begin, work) for work in works]]


def training(seed, epochs=6):
    """Train a network: yield its bits after each epoch."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(48, 20)).astype(np.float32), rng.integers(0, 4, 48)
    model = nn.Sequential(nn.Linear(20, 24, rng=rng), nn.ReLU(), nn.Linear(24, 4, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for epoch in train.fit(
        model, nn.cross_entropy, optimizer, x, y, epochs=epochs, batch_size=16, rng=rng, test=(x, y)
    ):
        yield epoch.loss, epoch.test_loss, [p.data.tobytes() for p in model.parameters()]


def test_eight_models_trained_at_once_are_what_each_is_alone(size, record_property):
    epochs = size(6, 200)
    alone = [list(training(seed, epochs)) for seed in range(THREADS)]
    together = at_once(*(lambda seed=seed: list(training(seed, epochs)) for seed in range(THREADS)))
    assert together == alone
    record_property("models trained in threads at once", THREADS)


def test_eight_models_trained_in_tasks_that_take_turns_are_what_each_is_alone():
    async def train_one(seed):
        steps = []
        for step in training(seed):
            steps.append(step)
            await asyncio.sleep(0)
        return steps

    async def use_another(seed):
        model = nn.Linear(3, 2, rng=np.random.default_rng(seed))
        with no_grad():
            for _ in range(8):
                assert model(np.ones(3)).op is None
                await asyncio.sleep(0)

    async def together():
        return await asyncio.gather(
            *(f(seed) for seed in range(THREADS) for f in (train_one, use_another))
        )

    assert asyncio.run(together())[::2] == [list(training(seed)) for seed in range(THREADS)]


def derivatives(k):
    x = Value(np.linspace(0.1, 1.0, 5) * k)
    (slope,) = gradients((x**3).sum(), [x], create_graph=True)
    return [
        grad(grad(lambda v: v**3 * grad(lambda w: w * v)(1.0)))(float(k)),
        gradients(slope.sum(), [x])[0].tolist(),
        hvp((x**3).sum(), [x], [np.ones(5)])[0].tolist(),
        check_gradients(operations.softmax, [0.1, 0.2, 0.3 * k], order=2),
    ]


def test_derivatives_of_derivatives_computed_at_once_are_what_each_is_alone():
    works = [lambda k=k: [derivatives(k) for _ in range(3)] for k in range(1, THREADS + 1)]
    assert at_once(*works) == [work() for work in works]


@pytest.mark.parametrize("name", sorted(DOMAINS | COMPOSED))
@settings(max_examples=5, deadline=None, derandomize=True)
@given(data=st.data())
def test_an_operation_gives_in_a_thread_what_it_gives_in_the_first(name, data):
    # NumPy itself may behave differently in a thread: 2.1.0 lets a NumPy scalar decide the dtype of
    # the result there.
    domain = (DOMAINS | COMPOSED)[name]
    operands, options = data.draw(domain.cases)
    narrow = [np.float32(x) if np.asarray(x).dtype.kind == "f" else x for x in operands]

    def work():
        found = []
        for those in (operands, narrow):
            leaves = [Value(x) if np.asarray(x).dtype.kind == "f" else x for x in those]
            out = domain.function(*leaves, **options)
            taken = gradients((out * out).sum(), [x for x in leaves if isinstance(x, Value)])
            found += [(np.asarray(x).dtype, np.asarray(x).tobytes()) for x in (out.data, *taken)]
        return found

    assert at_once(work) == [work()]


def test_threads_that_use_the_same_model_without_training_it_get_what_one_gets():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(20, 24, rng=rng), nn.Tanh(), nn.Linear(24, 4, rng=rng))
    x = rng.normal(size=(16, 20)).astype(np.float32)

    def use():
        with no_grad():
            return [model(x).data.tobytes() for _ in range(50)]

    assert at_once(*[use] * THREADS) == [use()] * THREADS


def test_threads_that_take_gradients_of_shared_leaves_without_storing_them_get_what_one_gets():
    w = Value(np.arange(12.0).reshape(3, 4))

    def work():
        return [gradients(((w * k).tanh() @ np.ones(4)).sum(), [w])[0].tobytes() for k in range(30)]

    assert at_once(*[work] * THREADS) == [work()] * THREADS


def test_threads_that_take_gradients_of_the_same_output_get_what_one_gets():
    w = Value(np.arange(12.0).reshape(3, 4))
    y = ((w * 0.3).tanh() @ np.ones(4) * w.sum()).sum()

    def work():
        (slope,) = gradients(y, [w], create_graph=True)
        return [(gradients(y, [w])[0].tobytes(), slope.data.tobytes()) for _ in range(30)]

    assert at_once(*[work] * THREADS) == [work()] * THREADS


def recorded():
    return (Value(1.0) * 2.0).op is not None


def test_no_grad_in_one_thread_is_in_no_other():
    def without():
        with no_grad():
            return [recorded() for _ in range(300)]

    def within_each_other():
        seen = []
        for _ in range(100):
            with no_grad(), no_grad():
                seen.append(recorded())
            seen.append(not recorded())
        return seen

    def with_it():
        return [not recorded() for _ in range(300)]

    found = at_once(*[without, within_each_other, with_it] * 3)
    assert not any(any(seen) for seen in found)


def test_a_thread_of_its_own_begins_recording_and_one_that_is_handed_the_context_as_its_caller():
    with no_grad():
        assert at_once(recorded) == [True]
        # asyncio gives the thread a copy of the context.
        assert asyncio.run(asyncio.to_thread(recorded)) is False


def test_a_task_goes_on_as_it_was_when_it_was_made():
    async def later(event):
        await event.wait()
        return recorded()

    async def make_two():
        event = asyncio.Event()
        with no_grad():
            within = asyncio.create_task(later(event))
        without = asyncio.create_task(later(event))
        event.set()
        return await within, await without, recorded()

    assert asyncio.run(make_two()) == (False, True, True)


def test_a_pool_of_threads_records_whatever_its_caller_does():
    async def hand_over():
        with no_grad():
            return await asyncio.get_running_loop().run_in_executor(None, recorded)

    assert asyncio.run(hand_over()) is True
    with no_grad(), ThreadPoolExecutor(2) as pool:
        assert set(pool.map(lambda _: recorded(), range(8))) == {True}


def test_no_grad_in_one_task_is_in_no_other_that_is_not_its_own():
    async def without():
        with no_grad():
            seen = []
            for _ in range(20):
                seen.append(recorded())
                await asyncio.sleep(0)
            return seen

    async def with_it():
        seen = []
        for _ in range(20):
            seen.append(not recorded())
            await asyncio.sleep(0)
        return seen

    async def both():
        return await asyncio.gather(*[without(), with_it()] * 4)

    assert not any(any(seen) for seen in asyncio.run(both()))


def test_an_operation_may_be_added_while_others_compute(registry):
    def add():
        for i in range(50):
            operation(lambda g, out, x: g, name=f"added_{i}")(lambda x: x * 1.0)
        return True

    def work():
        return [derivatives(2)[0] for _ in range(5)] == [derivatives(2)[0]] * 5

    assert all(at_once(add, work, work))
