"""Large graphs: deep, wide and many-pathed. Linear time, no recursion, and all memory back at once, without the collector."""

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


def wide(x, n):
    """n operations on the same value, joined by one."""
    return operations.stack([x * 2.0 for _ in range(n)]).sum()


def summed(x, n):
    """A sum of n terms, one after the other."""
    total = Value(0.0)
    for _ in range(n // 2):
        total = total + x * 2.0
    return total


def diamond(x, n):
    """n layers, each of which uses the one before it twice: 2**n paths."""
    y = x
    for _ in range(n):
        y = 0.5 * y + 0.5 * y
    return y


SHAPES = {"deep": (deep, lambda n: 1.0), "wide": (wide, lambda n: 2.0 * n), "summed": (summed, lambda n: 2.0 * (n // 2))}
every_shape = pytest.mark.parametrize("name", SHAPES)


@pytest.fixture
def shallow_stack():
    """No more than a few calls within each other, from here on."""
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 150)
    yield
    sys.setrecursionlimit(before)


@every_shape
def test_a_million_operations_go_forward_backward_and_away(name, shallow_stack, no_collector, size, record_property):
    build, slope = SHAPES[name]
    n = size(200_000 if name != "deep" else 1_000_000, 1_000_000)
    x = Value(1.5)
    y = build(x, n)
    last = weakref.ref(y.inputs[0])
    y.backward()
    assert x.grad == slope(n)
    assert gradients(y, [x]) == [slope(n)]
    del y
    assert last() is None
    record_property("operations in large graphs", n)


@every_shape
def test_a_graph_of_gradients_of_a_large_graph_goes_back_and_away_too(name, shallow_stack, no_collector, size, record_property):
    build, n = SHAPES[name][0], size(50_000, 300_000)
    x = Value(0.5)
    y = build(x, n) ** 2
    (first,) = gradients(y, [x], create_graph=True)
    (second,) = gradients(first, [x])
    assert second == pytest.approx(2.0 * SHAPES[name][1](n) ** 2)
    last = weakref.ref(first)
    del y, first
    assert last() is None
    record_property("operations in large graphs", n)


def test_ten_thousand_diamonds_on_top_of_each_other_have_2_to_the_10000_paths_and_take_no_time(shallow_stack, no_collector):
    x = Value(3.0)
    y = diamond(x, 10_000)
    last = weakref.ref(y)
    y.backward()
    assert (x.grad, gradients(y * y, [x])) == (1.0, [6.0])
    (first,) = gradients(y * y, [x], create_graph=True)
    assert gradients(first, [x]) == [2.0]
    del y, first
    assert last() is None


def test_grad_of_grad_of_a_long_loop(shallow_stack):
    def f(x):
        y = x
        for _ in range(3_000):
            y = 0.999 * y + 0.001 * x * x
        return y

    at = 0.5
    assert grad(grad(f))(at) == pytest.approx((grad(f)(at + 1e-5) - grad(f)(at - 1e-5)) / 2e-5, rel=1e-6)


@every_shape
def test_memory_is_back_where_it_was(name, no_collector):
    build = SHAPES[name][0]

    def work(n=20_000):
        x = Value(1.0)
        y = build(x, n)
        y.backward()
        gradients(y, [x], create_graph=True)

    tracemalloc.start()
    work()  # what Python keeps from the first time, such as its lists of free tuples, is no cost of the second
    before = tracemalloc.get_traced_memory()[0]
    work()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 10_000  # the graph holds more than 3,000,000


def test_the_collector_finds_nothing(no_collector):
    def work():
        x, w = Value(np.ones((3, 2))), Value(np.ones((2, 4)))
        y = operations.concatenate([(x @ w).tanh(), (x @ w)[:1]]).softmax().sum()
        y.backward()
        (slope,) = gradients(y, [w], create_graph=True)
        slope.sum().backward()
        grad(grad(lambda x: x**3))(2.0)

    work()
    gc.collect()
    work()
    assert gc.collect() == 0


@every_shape
def test_ten_times_as_many_operations_take_about_ten_times_as_long(name, no_collector):
    build, times = SHAPES[name][0], {5_000: [], 50_000: []}
    for _ in range(5):
        for n, found in times.items():
            start = time.perf_counter()
            build(Value(1.0), n).backward()
            found.append((time.perf_counter() - start) / n)
    few, many = (statistics.median(found) for found in times.values())
    assert many < 4 * few  # a time that grew with the square would be ten times as long for each


def test_within_no_grad_nothing_of_a_long_chain_is_kept(no_collector):
    x = Value(1.0)
    with no_grad():
        y = x + 1.0
        first = weakref.ref(y)
        y = deep(y, 1_000)
    assert (y.data, first()) == (1002.0, None)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("create_graph", [False, True])
def test_an_error_on_the_way_back_leaves_no_memory_and_no_gradient(registry, no_collector, error, create_graph):
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

    done, before = [], threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done == [True]
