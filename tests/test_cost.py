"""What computing costs: bytes, and operations. examples/benchmark.py measures the seconds."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import microgd
from microgd import Value, data, grad, gradients, nn, operation, optim, train

BENCHMARK = Path(__file__).parents[1] / "examples" / "benchmark.py"


@pytest.fixture
def traced():
    """A function that returns how many bytes Python holds now."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


@pytest.mark.parametrize("length", [1_000, 10_000, 100_000])
def test_a_node_of_a_scalar_graph_holds_at_most_280_bytes(length, traced):
    def chain(length):
        y = Value(1.0)
        for _ in range(length // 2):
            y = y * 0.999 + 0.001
        return y

    # Python keeps some freed objects for later. That is no cost of the next graph, so first let it
    # keep as many as it ever does.
    chain(10_000).backward()
    before = traced()
    y = chain(length)
    assert traced() - before <= 280 * length
    y.backward()
    assert traced() - before <= 280 * length  # each node now has a gradient
    del y
    assert traced() - before < 1_000


def epochs(count, images, batch_size=32):
    """Train a network on the first `images` digits: a generator of `count` epochs."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, 16, rng=rng), nn.ReLU(), nn.Linear(16, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = (array[:images] for array in data.digits().train)
    return train.fit(
        model, nn.cross_entropy, optimizer, x, y, epochs=count, batch_size=batch_size, rng=rng
    )


def test_memory_does_not_grow_from_epoch_to_epoch(traced):
    held = [traced() for _ in epochs(16, images=256)]
    # By then Python's own free lists are full. The graph of one mini-batch holds 100,000 bytes.
    assert max(held[8:]) - held[7] < 5_000


def test_an_epoch_of_twice_the_examples_records_twice_the_operations():
    def recorded(images):
        x = Value(1.0)
        first = (x + 1.0)._order
        list(epochs(1, images))
        parameters = 4  # they are nodes as well
        return (x + 1.0)._order - first - 1 - parameters

    # Each mini-batch records two layers, a ReLU and the loss.
    assert recorded(640) == 2 * recorded(320) == 2 * 10 * 4


@pytest.fixture
def counted(registry):
    """An operation, and a list of the operands that its rule was called with."""
    calls = []

    def rule(g, out, x):
        calls.append(x)
        return g * 2.0

    @operation(rule)
    def doubled(x):
        return x * 2.0

    return doubled, calls


def test_a_gradient_does_not_run_back_beyond_what_it_is_asked_for(counted):
    doubled, calls = counted
    x = Value(1.0)
    for _ in range(10):
        x = doubled(x)
    y = doubled(doubled(x))
    assert gradients(y, [x]) == [4.0]
    assert len(calls) == 2


def test_unrolled_descent_within_a_grad_costs_as_much_each_step(counted):
    doubled, calls = counted

    def descend(steps):
        def last(start):
            x = start
            for _ in range(steps):
                x = x - 0.1 * grad(lambda w: doubled(w) ** 2)(x)
            return x

        calls.clear()
        grad(last)(1.0)
        return len(calls)

    assert descend(20) == 2 * descend(10)


def test_no_gradient_is_computed_for_a_constant(registry):
    @operation(
        lambda g, out, x, y: pytest.fail("a constant got a gradient"), lambda g, out, x, y: g * x
    )
    def times(x, y):
        return x * y

    y = Value([1.0, 2.0])
    times(np.array([3.0, 4.0]), y).sum().backward()
    assert y.grad.tolist() == [3.0, 4.0]


def test_the_benchmark_runs_and_finds_that_both_steps_compute_the_same():
    pytest.importorskip("tqdm")
    shown = subprocess.run(
        [sys.executable, BENCHMARK, "--quick"], capture_output=True, text=True, check=True
    ).stdout
    assert "784→10" in shown
    assert "microgd / by hand" in shown
    assert "fit eager / by hand" in shown


def test_the_benchmark_says_why_a_library_is_left_out(tmp_path):
    pytest.importorskip("tqdm")
    (tmp_path / "jax.py").write_text("raise ImportError('no such processor')")
    folders = [str(tmp_path), str(BENCHMARK.parent)]
    shown = subprocess.run(
        [sys.executable, "-c", "import benchmark; print(benchmark.why_left_out('jax'))"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown == "ImportError: no such processor\n"


def test_the_benchmark_refuses_a_step_that_computes_something_else(tmp_path):
    pytest.importorskip("tqdm")
    for name in ("benchmark.py", "benchmark_tables.py", "benchmark_steps.py", "workloads.py"):
        source = BENCHMARK.with_name(name).read_text(encoding="utf-8")
        changed = source.replace("p[rows, y] -= 1\n", "p[rows, y] -= 1.01\n")
        (tmp_path / name).write_text(changed, encoding="utf-8")
    failed = subprocess.run(
        [sys.executable, tmp_path / "benchmark.py", "--quick"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "hand arrived at a loss of" in failed.stderr


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_microgd_loads_little_more_than_numpy():
    loaded = "import sys, {}; print(*sys.modules)"
    extra = set(run_python(loaded.format("microgd")).split()) - set(
        run_python(loaded.format("numpy")).split()
    )
    slow = {
        "pathlib",
        "tempfile",
        "json",
        "zipfile",
        "gzip",
        "hashlib",
        "graphviz",
        "matplotlib",
        "pooch",
        "tqdm",
    }
    assert extra.isdisjoint(
        slow
        | {f"microgd.{name}" for name in ("nn", "optim", "data", "train", "storage", "gradcheck")}
    )


def test_what_loads_later_is_there_by_every_way_of_asking():
    names = sorted(microgd.__all__)
    assert (
        run_python(
            "import microgd; print(*[n for n in dir(microgd) if getattr(microgd, n) is not None])"
        ).split()
        == names
    )
    assert run_python("from microgd import *; print(nn.Linear(1, 1), check_gradients)").startswith(
        "Linear(1, 1) <function"
    )
    assert "GradientError" in run_python(
        "from microgd import GradientError, data, train; print(GradientError)"
    )
    with pytest.raises(AttributeError, match="has no attribute 'nm'"):
        _ = microgd.nm
