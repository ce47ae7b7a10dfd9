"""Large graphs: deep, wide, or with many paths. They take linear time and no recursion, and all
their memory is freed at once, without the garbage collector.
"""

import gc
import statistics
import sys
import threading
import time
import tracemalloc
import weakref

import numpy as np
import pytest

from microgd import Value, grad, gradients, no_grad, operation, operations


def deep(x, n):
    """A chain of n operations."""
    y = x
    for _ in range(n):
        y = y + 1.0
    return y


def stacked(x, n):
    """n operations on the same value, joined by one stack."""
    return operations.stack([x * 2.0 for _ in range(n)]).sum()


def concatenated(x, n):
    """The same with vectors, joined by one concatenate."""
    vector = x.broadcast_to((1,))
    return operations.concatenate([vector * 2.0 for _ in range(n)]).sum()


def summed(x, n):
    """n / 2 operations on the same value, and n / 2 more that add them up one by one."""
    total = Value(0.0)
    for _ in range(n // 2):
        total = total + x * 4.0
    return total


def diamond(x, n, uses=2):
    """n layers, each of which uses the one before it `uses` times: uses**n paths."""
    y = x
    for _ in range(n):
        y = sum((y / uses for _ in range(uses - 1)), y / uses)
    return y


SHAPES = {shape.__name__: shape for shape in (deep, stacked, concatenated, summed)}
SLOPES = {"deep": lambda n: 1.0} | dict.fromkeys(
    ["stacked", "concatenated", "summed"], lambda n: 2.0 * n
)
JOINED = ("stacked", "concatenated")
every_shape = pytest.mark.parametrize("name", SHAPES)


@pytest.fixture
def shallow_stack():
    """From here on only a few more nested calls are allowed."""
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 150)
    yield
    sys.setrecursionlimit(before)


@every_shape
def test_a_million_operations_go_forward_backward_and_away(
    name, shallow_stack, no_collector, size, record_property
):
    n = size(50_000 if name in JOINED else 1_000_000, 1_000_000)
    x = Value(1.5)
    y = SHAPES[name](x, n)
    last = weakref.ref(y.inputs[0])
    y.backward()
    assert x.grad == SLOPES[name](n)
    assert gradients(y, [x]) == [SLOPES[name](n)]
    del y
    assert last() is None
    record_property("operations in large graphs", n)


@every_shape
def test_a_graph_of_gradients_of_a_large_graph_goes_back_and_away_too(
    name, shallow_stack, no_collector, size, record_property
):
    # Second derivatives of an operation that joins n parts take n**2: an index picked out each
    # part's gradient, and the gradient of an index has the size of the whole.
    n = 5_000 if name in JOINED else size(50_000, 1_000_000)
    x = Value(0.5)
    y = SHAPES[name](x, n) ** 2
    (first,) = gradients(y, [x], create_graph=True)
    (second,) = gradients(first, [x])
    assert second == pytest.approx(2.0 * SLOPES[name](n) ** 2)
    first.backward()
    assert x.grad == second
    last = weakref.ref(first)
    del y, first
    assert last() is None
    record_property("operations in large graphs", n)


@pytest.mark.parametrize("uses", [2, 3])
def test_ten_thousand_diamonds_on_top_of_each_other_have_2_to_the_10000_paths_and_take_no_time(
    uses, shallow_stack, no_collector
):
    x = Value(3.0)
    y = diamond(x, 10_000, uses)
    last = weakref.ref(y)
    y.backward()
    assert x.grad == pytest.approx(1.0)
    (first,) = gradients(y * y, [x], create_graph=True)
    assert gradients(first, [x]) == [pytest.approx(2.0)]
    del y, first
    assert last() is None


def test_grad_of_grad_of_a_long_loop(shallow_stack, size):
    steps = size(25_000, 250_000)  # of four operations each

    def f(x):
        y = x
        for _ in range(steps):
            y = (1.0 - 1.0 / steps) * y + (1.0 / steps) * x * x
        return y

    kept = (1.0 - 1.0 / steps) ** steps  # f(x) = kept * x + (1 - kept) * x**2
    assert grad(grad(f))(0.5) == pytest.approx(2.0 * (1.0 - kept), rel=1e-9)


@every_shape
def test_memory_is_back_where_it_was(name, no_collector):
    def held():
        return tracemalloc.get_traced_memory()[0]

    def work():
        x = Value(1.0)
        y = SHAPES[name](x, 5_000)
        y.backward()
        graph = gradients(y, [x], create_graph=True)
        return held() if graph else 0

    tracemalloc.start()
    # What Python keeps after the first run, such as its free lists, is not a cost of the second.
    work()
    before = held()
    during, after = work(), held()
    tracemalloc.stop()
    assert after - before < (during - before) / 100


def test_the_collector_finds_nothing(no_collector):
    def work():
        x, w = Value(np.ones((3, 2))), Value(np.ones((2, 4)))
        y = operations.concatenate([(x @ w).tanh(), (x @ w)[:1]]).softmax().sum()
        y.backward()
        (slope,) = gradients(y, [w], create_graph=True)
        slope.sum().backward()
        grad(grad(lambda x: x**3))(2.0)
        for build in (*SHAPES.values(), diamond):
            x = Value(1.0)
            (slope,) = gradients(build(x, 1_000) ** 2, [x], create_graph=True)
            slope.backward()

    work()
    gc.collect()
    work()
    assert gc.collect() == 0


@every_shape
def test_ten_times_as_many_operations_take_about_ten_times_as_long(name, no_collector, size):
    few, many = size((2_000, 20_000), (100_000, 1_000_000))
    found = {few: [], many: []}
    for _ in range(5):
        for n, times in found.items():
            start = time.thread_time()  # counts this thread alone, however busy the machine is
            x = Value(1.0)
            y = SHAPES[name](x, n)
            y.backward()
            gradients(y, [x], create_graph=True)
            times.append((time.thread_time() - start) / n)
    # If the time grew with the square, each operation would take ten times as long.
    assert statistics.median(found[many]) < 3 * statistics.median(found[few])


def test_within_no_grad_nothing_of_a_long_chain_is_kept(no_collector, size):
    n = size(100_000, 1_000_000)
    with no_grad():
        y = Value(1.0) + 1.0
        first = weakref.ref(y)
        y = deep(y, n)
    assert (y.data, first()) == (n + 2.0, None)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("create_graph", [False, True])
def test_an_error_on_the_way_back_leaves_no_memory_and_no_gradient(
    registry, no_collector, error, create_graph
):
    def failing(g, out, x):
        raise error

    @operation(failing)
    def trap(x):
        return x * 1.0

    x = Value(1.0)
    y = deep(trap(deep(x, 100)), 100)
    seen = weakref.ref(y.inputs[0])
    with pytest.raises(error):
        gradients(y, [x], create_graph=True) if create_graph else y.backward()
    assert (x.grad, y.grad, y.inputs[0].grad) == (None, None, None)
    del y
    assert seen() is None


def test_a_deep_graph_goes_in_a_thread_with_a_small_stack():
    def work():
        y = deep(Value(1.0), 100_000)
        y.backward()
        del y
        done.append(True)

    # Python 3.13 frees nested objects, even lists, in thousands of nested calls. With half of this
    # stack it crashes.
    done, before = [], threading.stack_size(1024 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done == [True]
