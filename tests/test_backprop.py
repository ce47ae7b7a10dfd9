"""The engine: what it records, what the reverse pass does with that, and when memory is freed."""

import asyncio
import copy
import inspect
import math
import pickle
import pydoc
import re
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from microgd import Value, grad, gradients, hvp, nn, no_grad, operation, operations
from microgd.backprop import reverse_pass
from microgd.graph import Graph
from microgd.optim import SGD
from microgd.registry import NUMPY, OPERATIONS

# ── The reverse pass ──────────────────────────────────────────────────────────────────────────────


def test_the_gradients_of_all_uses_add_up():
    a, b = Value(2.0), Value(3.0)
    (a * b + a).backward()
    assert (a.grad, b.grad) == (4.0, 2.0)


def test_a_value_used_twice_by_one_operation_gets_both_gradients():
    a = Value(3.0)
    (a * a).backward()
    assert a.grad == 6.0


def test_a_node_passes_on_only_what_is_complete():
    # `early` is used by the last operation and by an earlier one. A pass that goes depth first, or
    # in the order of first use, passes its gradient on before all shares have arrived.
    a = Value(2.0)
    early = a * 3
    late = early * early
    for _ in range(3):
        late = late + early
    (late * early).backward()
    x = 6.0
    assert a.grad == (3 * x**2 + 6 * x) * 3


def test_sixty_doublings_visit_each_node_once():
    x = y = Value(1.0)
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2.0**60


def test_backward_twice_adds_the_same_gradient_to_each_leaf_again():
    a, w = Value(2.0), Value([1.0, 2.0])
    out = ((a * w).exp() * a).sum()
    out.backward()
    once = a.grad, w.grad.copy()
    out.backward()
    assert a.grad == 2 * once[0]
    np.testing.assert_array_equal(w.grad, 2 * once[1])


def test_an_inner_gradient_is_set_afresh():
    a = Value(2.0)
    inner = a * 3
    out = inner * 5
    out.backward()
    out.backward()
    assert (inner.grad, out.grad) == (5.0, 1.0)


def test_grad_is_none_before_backward():
    a = Value(2.0)
    assert (a * 2).grad is None
    assert a.grad is None


def test_grad_has_the_shape_and_dtype_of_data():
    x = Value(np.ones((2, 1, 3), np.float32))
    y = Value(np.ones((4, 1)))
    s = Value(2.0)
    (x * y * s).sum().backward()
    assert (x.grad.shape, x.grad.dtype) == ((2, 1, 3), np.float32)
    assert (y.grad.shape, y.grad.dtype) == ((4, 1), np.float64)
    assert type(s.grad) is float


def test_no_gradients_and_no_data_share_memory():
    x, y = Value(np.arange(6.0).reshape(2, 3)), Value(np.ones((2, 3)))
    nodes = [x, y, x + y, (x + y).reshape(3, 2), (x + y).T, x[0], x.broadcast_to((2, 2, 3)), -x, +y]
    total = sum((n.sum() for n in nodes[2:]), Value(0.0)) + operations.concatenate([x, y]).sum()
    total.backward()
    seen = [total, *nodes]
    arrays = [n.grad for n in seen if isinstance(n.grad, np.ndarray)] + [n.data for n in (x, y)]
    assert len(arrays) >= 4
    for i, one in enumerate(arrays):
        assert one.flags.writeable
        for other in arrays[i + 1 :]:
            assert not np.shares_memory(one, other)


def test_the_gradient_of_the_output_does_not_share_memory_with_the_callers():
    x, given = Value([1.0, 2.0]), np.array([1.0, 1.0])
    out = x + 0.0
    out.backward(given)
    given[:] = 7
    assert out.grad.tolist() == x.grad.tolist() == [1.0, 1.0]


def test_accumulating_does_not_write_into_a_gradient_that_somebody_holds():
    x = Value([1.0, 2.0])
    x.sum().backward()
    held = x.grad
    x.sum().backward()
    assert held.tolist() == [1.0, 1.0]


def test_a_leaf_is_its_own_gradient_of_one():
    x = Value(3.0)
    x.backward()
    assert x.grad == 1.0


def test_an_error_in_a_rule_leaves_every_grad_as_it_was(registry):
    @operation(lambda g, out, x: 1 / 0)
    def broken(x):
        return x * 1.0

    a, b = Value(2.0), Value(3.0)
    (a * b).backward()
    before = a.grad, b.grad
    out = broken(a) + b
    with pytest.raises(ZeroDivisionError):
        out.backward()
    assert (a.grad, b.grad, out.grad) == (*before, None)


def test_a_rule_that_gives_another_shape_is_an_error_that_names_the_operation(registry):
    @operation(lambda g, out, x: np.ones(2))
    def crooked(x):
        return x * 1.0

    with pytest.raises(ValueError, match=r"crooked .* shape \(2,\) .* shape \(3,\)"):
        crooked(Value([1.0, 2.0, 3.0])).sum().backward()


def test_the_gradient_of_an_empty_operand_that_was_broadcast_is_empty():
    x = Value(np.ones((0, 1)))
    (x + np.ones((0, 3))).sum().backward()
    assert x.grad.shape == (0, 1)


@pytest.mark.parametrize("shape", [(3,), (2, 1), (0,)])
def test_backward_without_an_argument_wants_one_element(shape):
    x = Value(np.ones(shape))
    with pytest.raises(ValueError, match="has no gradient by itself"):
        (x * 2).backward()
    assert x.grad is None


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_backward_of_one_element_begins_with_one(shape):
    x = Value(np.full(shape, 3.0))
    (x * 2).backward()
    np.testing.assert_array_equal(x.grad, np.full(shape, 2.0))


@pytest.mark.parametrize("gradient", [1.0, np.ones(2), np.ones((3, 1)), [1.0]])
def test_a_gradient_of_another_shape_is_a_value_error(gradient):
    x = Value([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        (x * 2).backward(gradient)
    assert x.grad is None


def test_a_gradient_that_is_a_value_is_a_type_error():
    with pytest.raises(TypeError, match=r"\.data"):
        Value(2.0).backward(Value(1.0))


# ── Constants ─────────────────────────────────────────────────────────────────────────────────────


def test_no_rule_is_ever_called_for_a_constant(registry):
    called = []

    @operation(
        lambda g, out, x, y: called.append("x") or g, lambda g, out, x, y: called.append("y") or g
    )
    def join(x, y):
        return x + y

    join(Value(1.0), 2.0).backward()
    join(3.0, Value(1.0)).backward()
    join(np.ones(2), Value([1.0, 2.0])).sum().backward()
    assert called == ["x", "y", "y"]


def test_constants_are_recorded_as_operands():
    x, table = Value([1.0, 2.0]), np.array([3.0, 4.0])
    assert (x * table).inputs[1] is table
    assert (x**2).inputs == (x, 2)


@pytest.mark.parametrize("constant", [np.array([1, 2]), np.array([True, False]), [1, 2], 2, True])
def test_integer_and_boolean_constants_take_the_dtype_of_what_they_meet(constant):
    x = Value(np.ones(2, np.float32))
    assert (
        (x * constant).dtype
        == (constant * x).dtype
        == operations.where([True, False], x, constant).dtype
        == np.float32
    )
    assert (
        (Value(np.ones(2)) * constant).dtype == (Value(1.0) * np.array([1, 2])).dtype == np.float64
    )


@pytest.mark.parametrize("number", [2.0, np.float64(2), np.float32(2), np.array(2.0), Value(2.0)])
def test_a_number_widens_nothing_that_it_meets(number):
    x = Value(np.ones(2, np.float32))
    assert (x * number).dtype == (number * x).dtype == np.float32


@pytest.mark.parametrize("other", ["a", None, 1j, [1, "b"], {}, object()])
def test_an_operand_of_another_kind_is_a_type_error(other):
    with pytest.raises(TypeError):
        Value(1.0) + other
    with pytest.raises(TypeError):
        other * Value([1.0, 2.0])


# ── The recorded numbers count ────────────────────────────────────────────────────────────────────


def assign(p):
    p.data = np.full(2, 9.0)


def subtract(p):
    p.data -= 5.0


def write(p):
    p.data[0] = 7.0


def write_through_numpy(p):
    np.multiply(p.data, 3.0, out=p.data)


@pytest.mark.parametrize("change", [assign, subtract, write, write_through_numpy])
@pytest.mark.parametrize("read_before", [False, True])
def test_changing_a_leaf_leaves_the_recorded_gradients_right(change, read_before):
    p = Value([1.0, 2.0])
    if read_before:
        assert p.data[0] == 1.0
    out = (p**3 + p.reshape(2, 1)[:, 0]).sum()
    change(p)
    out.backward()
    np.testing.assert_array_equal(p.grad, [4.0, 13.0])
    assert not np.array_equal(p.data, [1.0, 2.0])


@pytest.mark.parametrize(
    "view", [lambda data: data, lambda data: data[:1], lambda data: data.T.reshape(2, 1)[:, 0]]
)
def test_an_array_or_a_view_taken_before_it_was_recorded_is_still_the_leafs_and_not_the_records(
    view,
):
    p = Value([1.0, 2.0])
    taken = view(p.data)
    out = (p**2).sum()
    taken[0] = 7.0
    out.backward()
    assert p.grad.tolist() == [2.0, 4.0]
    assert p.data.tolist() == [7.0, 2.0]


def test_a_record_keeps_the_leafs_own_array_where_nobody_else_has_it():
    p = Value([1.0, 2.0])
    p.data[0] = 3.0  # nothing holds the array that `data` returned any more
    assert (p * 2.0).saved[0] is p._numbers


def test_a_rule_that_gives_what_was_recorded_does_not_give_it_away(registry):
    @operation(lambda g, out, x: out)
    def own(x):
        return x * 1.0

    @operation(lambda g, out, x: x)
    def operand(x):
        return x * 1.0

    for function in (own, operand):
        computed = Value([1.0, 2.0]) * 1.0
        result = function(computed)
        result.sum().backward()
        computed.grad[0] = 9.0
        assert result.data.tolist() == computed.data.tolist() == [1.0, 2.0]


def test_an_operation_that_writes_into_its_operand_is_refused(registry):
    @operation(lambda g, out, x: g)
    def careless(x):
        x += 1.0
        return x

    for x in (Value([1.0, 2.0]), Value([1.0, 2.0]) * 1.0):
        with pytest.raises(ValueError, match="read-only"):
            careless(x)
        assert x.data.tolist() == [1.0, 2.0]


def test_what_somebody_writes_into_data_is_never_lost():
    p = Value([1.0, 2.0])
    p.data[0] = 5.0
    p.sum()
    p.data[1] = 6.0
    p.sum()
    assert p.data.tolist() == [5.0, 6.0]
    assert p.data is p.data


def test_a_changed_leaf_does_not_change_a_scalar_record():
    p = Value(3.0)
    out = p * p
    p.data = 10.0
    out.backward()
    assert p.grad == 6.0


def test_the_data_of_a_computed_value_cannot_be_changed():
    y = Value([1.0, 2.0]) * 2
    with pytest.raises(AttributeError, match="computed"):
        y.data = [1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        y.data -= 1.0
    assert y.data.tolist() == [2.0, 4.0]


def test_a_graph_of_gradients_from_a_changed_leaf_is_refused():
    p = Value([1.0, 2.0], name="p")
    out = (p**3).sum()
    assert p.data.tolist() == [1.0, 2.0]  # reading changes nothing
    (slope,) = gradients(out, [p], create_graph=True)
    assert slope.data.tolist() == [3.0, 12.0]
    p.data[0] = 5.0
    with pytest.raises(RuntimeError, match="p has changed"):
        gradients(out, [p], create_graph=True)


def test_results_without_a_record_do_not_share_memory_with_their_operands():
    p = Value([1.0, 2.0])
    y = p * 2
    with no_grad():
        from_leaf, from_computed = p.reshape(2, 1), y.reshape(2, 1)
    from_leaf.data[0] = 9.0
    from_computed.data[0] = 9.0
    assert p.data.tolist() == [1.0, 2.0]
    assert y.data.tolist() == [2.0, 4.0]


def test_changing_the_condition_of_where_leaves_the_recorded_gradients_right():
    condition, x = Value([1.0, 0.0]), Value([5.0, 6.0])
    out = operations.where(condition, x, 0.0).sum()
    condition.data[:] = [0.0, 1.0]
    out.backward()
    assert x.grad.tolist() == [1.0, 0.0]
    assert condition.grad is None


def test_an_old_array_cannot_be_written_to_after_another_has_taken_its_place():
    p = Value([1.0, 2.0])
    old = p.data
    p.data = [3.0, 4.0]
    with pytest.raises(ValueError, match="read-only"):
        old[0] = 9.0


# ── Depth and memory ──────────────────────────────────────────────────────────────────────────────


def test_a_graph_goes_at_once_when_its_output_goes(no_collector):
    w = Value(np.ones((3, 2)))
    hidden = (np.ones((4, 3)) @ w).tanh()
    out = operations.concatenate([hidden, hidden[:1]]).softmax().sum()
    watched = [weakref.ref(hidden), weakref.ref(out)]
    out.backward()
    gradients(out, [w], create_graph=True)
    del hidden, out
    assert [ref() for ref in watched] == [None, None]


# ── no_grad ───────────────────────────────────────────────────────────────────────────────────────


def test_no_grad_records_nothing():
    x = Value(2.0)
    with no_grad():
        y = x * 3
    assert (y.data, y.op, y.inputs) == (6.0, None, ())
    assert (x * 3).op == "multiply"


def test_no_grad_decorates_a_function_with_and_without_parentheses():
    def triple(x):
        return x * 3

    assert no_grad(triple)(Value(2.0)).op is no_grad()(triple)(Value(2.0)).op is None
    assert triple(Value(2.0)).op == "multiply"


def test_no_grad_nests_and_ends_with_an_exception():
    x, context = Value(2.0), no_grad()
    with pytest.raises(ZeroDivisionError), context, context:
        1 / 0
    assert (x * 3).op == "multiply"


def test_no_grad_refuses_what_would_run_after_it():
    def numbers():
        yield Value(1.0) * 2

    async def number():
        return Value(1.0) * 2

    async def stream():
        yield Value(1.0) * 2

    for function in (numbers, number, stream):
        with pytest.raises(TypeError, match="with no_grad"):
            no_grad(function)
        with pytest.raises(TypeError, match="with no_grad"):
            no_grad()(function)


def test_one_no_grad_may_be_used_by_several_threads_at_once():
    context, barrier, seen = no_grad(), threading.Barrier(4), []

    def work():
        for _ in range(50):
            barrier.wait()
            with context:
                inside = (Value(1.0) * 2).op
            seen.append((inside, (Value(1.0) * 2).op))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {(None, "multiply")}
    assert len(seen) == 200


def test_no_grad_holds_for_its_own_thread_alone():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((Value(1.0) * 2).op))
        thread.start()
        thread.join()
    assert seen == ["multiply"]


def test_no_grad_holds_for_its_own_task_alone():
    async def without(started, finish):
        with no_grad():
            started.set()
            await finish.wait()
            return (Value(1.0) * 2).op

    async def both():
        started, finish = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(without(started, finish))
        await started.wait()
        here = (Value(1.0) * 2).op
        finish.set()
        return here, await task

    assert asyncio.run(both()) == ("multiply", None)


# ── Adding an operation ───────────────────────────────────────────────────────────────────────────


def test_an_operation_of_ones_own_is_differentiated_twice_and_called_through_numpy(registry):
    # This is not the real sinc: only the name matters here.
    @operation(lambda g, out, x: g * operations.cos(x), name="sinc")
    def mine(x):
        return np.sin(x)

    x = Value(0.5)
    y = np.sinc(x)
    assert y.op == "sinc"
    (slope,) = gradients(y, [x], create_graph=True)
    np.testing.assert_allclose(slope.data, np.cos(0.5))
    np.testing.assert_allclose(gradients(slope, [x]), [-np.sin(0.5)])
    assert mine(0.5) == np.sin(0.5)


def test_an_operation_says_what_it_computed_and_from_what():
    x = Value([[1.0, 2.0]])
    y = x.sum(axis=1)
    assert (y.op, y.inputs) == ("sum", (x,))
    assert operations.concatenate([x, x], axis=1).inputs == (x, x)
    assert (x.op, x.inputs) == (None, ())


def test_a_result_that_is_no_number_is_a_type_error(registry):
    @operation(lambda g, out, x: g)
    def spell(x):
        return str(x)

    with pytest.raises(TypeError, match="str"):
        spell(Value(1.0))


@pytest.mark.parametrize("gradient", [None, "text", 1j, Value(1.0)])
def test_a_rule_that_gives_no_number_is_an_error_that_names_the_operation(registry, gradient):
    @operation(lambda g, out, x: gradient)
    def silent(x):
        return x * 1.0

    x = Value(1.0)
    with pytest.raises(TypeError, match="a rule of silent"):
        silent(x).backward()
    assert x.grad is None


@pytest.mark.parametrize("misuse", [lambda f: operation(f)(Value(1.0)), lambda f: operation()(f)])
def test_an_operation_without_rules_is_a_type_error(registry, misuse):
    with pytest.raises(TypeError, match="@operation"):
        misuse(lambda x: x)


def test_operands_given_by_name_or_left_out_are_a_type_error(registry):
    @operation(lambda g, out, x, w, *options: g * w, lambda g, out, x, w, *options: g * x)
    def scale(x, w, a=2.0):
        return x * w

    for call in (
        lambda: scale(Value(3.0), w=5.0),
        lambda: scale(Value(3.0)),
        lambda: operations.where([True], Value([1.0])),
    ):
        with pytest.raises(TypeError, match="operands, all by position"):
            call()
    assert scale(Value(3.0), 5.0, a=1.0).data == 15.0


def test_a_masked_array_is_a_type_error_from_both_sides():
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    for call in (
        lambda: Value(masked),
        lambda: Value([1.0, 2.0]) * masked,
        lambda: masked * Value([1.0, 2.0]),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError):
        np.ma.getdata(Value([1.0, 2.0]))


def test_an_integer_constant_takes_the_dtype_of_the_array_even_when_a_number_comes_first(registry):
    @operation(*[lambda g, out, x, y, z: g * 1.0] * 3)
    def total(x, y, z):
        return x + y + z

    out = total(Value(1.0), np.array([1, 2]), Value(np.ones(2, np.float32)))
    assert out.dtype == np.float32


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_computed_value_is_another_value(copied):
    x = Value([1.0, 2.0])
    y = x * 2.0
    (y * copied(y)).sum().backward()
    # A deep copy has its own x.
    assert x.grad.tolist() == ([8.0, 16.0] if copied is copy.copy else [4.0, 8.0])


def test_a_grad_of_another_shape_that_somebody_set_leaves_all_grads_as_they_were():
    x, z = Value([1.0, 2.0]), Value([1.0, 2.0])
    z.grad = np.ones(3)
    with pytest.raises(
        ValueError, match=r"expected a gradient of shape \(2,\), .* got shape \(3,\)"
    ):
        (x * z).sum().backward()
    assert x.grad is None
    assert z.grad.tolist() == [1.0, 1.0, 1.0]


def test_operands_of_small_operations_have_no_names(registry):
    @operation(lambda g, out, z: g)
    def same(z):
        return z + 0.0

    for named in ({"x": Value(2.0)}, {"z": Value(2.0)}):
        with pytest.raises(TypeError, match="same"):
            same(**named)


def test_the_gradient_of_a_number_is_a_python_float_at_both_ends():
    x = Value(2.0)
    y = x * 3.0
    y.backward()
    assert (type(x.grad), type(y.grad)) == (float, float)


def test_one_number_from_a_rule_holds_for_every_element(registry):
    @operation(lambda g, out, x: 2.5)
    def slope(x):
        return x * 2.5

    x = Value([[1.0, 2.0], [3.0, 4.0]])
    slope(x).sum().backward()
    assert x.grad.tolist() == [[2.5, 2.5], [2.5, 2.5]]


@pytest.mark.parametrize(("dtype", "other"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_a_rule_may_compute_in_another_dtype_and_the_gradient_is_still_the_operands(
    registry, dtype, other
):
    @operation(lambda g, out, x: np.full(x.shape, 0.5, other))
    def half(x):
        return x * 0.5

    @operation(
        lambda g, out, x, y: np.full(x.shape, 0.5, other),
        lambda g, out, x, y: np.full(y.shape, 0.5, other),
    )
    def middle(x, y):
        return 0.5 * (x + y)

    x, y = Value(np.ones(2, dtype)), Value(np.ones(2, dtype))
    middle(half(x), y).sum().backward()
    for value in (x, y):
        np.testing.assert_array_equal(value.grad, np.full(2, 0.5, dtype), strict=True)


@pytest.mark.parametrize("shape", [(3,), (1, 2), (2, 3, 3), (4, 3), (3, 2)])
def test_a_gradient_that_does_not_fit_the_operand_is_never_stretched_to_it(registry, shape):
    @operation(lambda g, out, x: np.ones(shape))
    def crooked(x):
        return x * 1.0

    x = Value(np.ones((2, 3)))
    with pytest.raises(
        ValueError, match=r"crooked gave a gradient of shape .* for an operand of shape \(2, 3\)"
    ):
        crooked(x).sum().backward()


def test_an_operand_without_a_rule_may_stand_anywhere(registry):
    @operation(lambda g, out, x, c, y: g * y, None, lambda g, out, x, c, y: g * x)
    def product(x, c, y):
        return x * y

    x, c, y = Value(2.0), Value(5.0), Value(3.0)
    product(x, c, y).backward()
    assert (x.grad, c.grad, y.grad) == (3.0, None, 2.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: operations.sum(np.ones(2), axis=Value(0.0)),
        lambda: operations.sum(Value([1.0, 2.0]), Value(0.0)),
        lambda: operations.where([True], 1.0, y=Value(1.0)),
    ],
)
def test_a_value_as_an_option_is_a_type_error(call):
    with pytest.raises(TypeError, match="by position"):
        call()


@pytest.mark.parametrize("x", [Value([1.0, 2.0]), np.ones(2)])
def test_an_option_that_there_is_not_is_a_type_error(x, registry):
    @operation(*[lambda g, out, x, y, z: g] * 3)
    def total(x, y, z):
        return x + y + z

    with pytest.raises(TypeError, match="unexpected keyword argument"):
        total(x, 1.0, 2.0, axis=0)


def test_an_operation_of_ones_own_may_give_integers_but_nothing_narrower_than_float32(registry):
    @operation(lambda g, out, x: g * 0.0)
    def rounded(x):
        return np.rint(x).astype(int)

    @operation(lambda g, out, x: g)
    def narrow(x):
        return x.astype(np.float16)

    assert rounded(Value([1.4, 2.6])).dtype == np.float64
    with pytest.raises(TypeError, match="float16"):
        narrow(Value([1.0, 2.0]))


@pytest.mark.parametrize("view", [lambda x: x.reshape(2, 1), lambda x: x.T, lambda x: +x])
def test_a_gradient_that_is_passed_on_as_it_is_is_stored_in_memory_of_its_own(view):
    x = Value([1.0, 2.0])
    y = view(x)
    y.backward(np.ones(y.shape))
    y.grad[...] = 7.0
    assert x.grad.tolist() == [1.0, 1.0]


def test_both_operands_of_a_sum_get_a_gradient_of_their_own():
    x, y = Value([1.0, 2.0]), Value([1.0, 2.0])
    (x + y).backward(np.ones(2))
    x.grad[...] = 7.0
    assert y.grad.tolist() == [1.0, 1.0]


def test_a_rule_that_gives_the_copy_that_the_record_keeps_does_not_give_it_away(registry):
    @operation(lambda g, out, x: x)
    def odd(x):
        return x * 1.0

    p = Value([1.0, 2.0])
    taken = p.data[:]
    out = odd(p).sum()
    out.backward()
    p.grad[...] = 7.0
    p.grad = None
    out.backward()
    assert p.grad.tolist() == taken.tolist() == [1.0, 2.0]


def test_what_is_remembered_of_an_operation_cannot_be_changed():
    with pytest.raises(AttributeError):
        OPERATIONS["exp"].rules = ()


def test_the_first_value_that_a_program_computes_is_no_leaf():
    program = "from microgd import Value, nn; model = nn.Module(); model.y = Value(1.0) * 2.0; print(model.parameters())"
    assert (
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_an_array_without_axes_that_an_operation_gives_is_a_number(registry):
    @operation(lambda g, out, x: g)
    def only(x):
        return x.reshape(())

    assert type(only(Value([2.0])).data) is float


def test_what_flows_along_each_edge_is_numbers():
    x, w = Value(3.0), Value([1.0, 2.0])
    graph = Graph((x * w).sum())
    graph.go_back()
    assert graph.gradient[x] == 3.0
    assert graph.gradient[w].tolist() == [3.0, 3.0]
    assert {type(flow.share) for flow in graph.contributions.values()} == {float, np.ndarray}


def test_a_rule_that_gives_a_value_is_an_error_step_by_step_too(registry):
    @operation(lambda g, out, x: Value(1.0))
    def lost(x):
        return x * 1.0

    with pytest.raises(TypeError, match="a rule of lost"):
        Graph(lost(Value(1.0))).go_back()


@pytest.mark.parametrize("rule", [3.0, "g", [lambda g, out, x: g]])
def test_a_rule_that_is_no_function_is_a_type_error_at_once(rule, registry):
    known = dict(registry)
    with pytest.raises(TypeError, match="with a derivative rule for each operand"):
        operation(rule)(lambda x: x)
    assert registry == known


def test_operations_take_lists_for_arrays_and_not_as_python_does():
    assert operations.add([1.0, 2.0], [3.0]).tolist() == [4.0, 5.0]
    assert operations.multiply([1, 2], 2).tolist() == [2.0, 4.0]
    assert operations.negative([1, 2]).tolist() == [-1.0, -2.0]


# ── Values without a record, and gradients set by hand ────────────────────────────────────────────


def unrecorded(x):
    with no_grad():
        return (x * x).sum()


@pytest.mark.parametrize(
    "use",
    [
        lambda x: unrecorded(x).backward(),
        lambda x: unrecorded(x).backward(1.0),
        lambda x: gradients(unrecorded(x), [x]),
        lambda x: gradients(unrecorded(x), [x], create_graph=True),
        lambda x: hvp(unrecorded(x), [x], [x.data]),
        lambda x: grad(unrecorded)(x.data),
    ],
)
def test_what_was_computed_within_no_grad_has_no_way_back_and_says_so(use):
    x = Value([1.0, 2.0])
    with pytest.raises(
        ValueError, match=r"^nothing was recorded: this value was computed within no_grad"
    ):
        use(x)
    assert x.grad is None


def test_what_was_computed_within_no_grad_is_a_leaf_of_what_is_computed_from_it():
    x = Value([1.0, 2.0])
    with no_grad():
        start = x * 0.5
    (start**2).sum().backward()
    assert (x.grad, start.grad.tolist()) == (None, [1.0, 2.0])
    start.data -= start.grad
    assert start.data.tolist() == [-0.5, -1.0]


def test_backward_of_a_leaf_is_1():
    x = Value(3.0)
    x.backward()
    assert x.grad == 1.0


@pytest.mark.parametrize(
    "nothing", [0, 0.0, -0.0, np.float32(0), np.zeros(2), np.zeros(2, int), [0, 0]]
)
def test_a_grad_set_to_0_is_zeros(nothing):
    w = Value(np.ones(2, np.float32))
    w.grad = nothing
    (w * 3.0).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]
    assert w.grad.dtype == np.float32


@pytest.mark.parametrize("odd", [1.0, np.zeros(3), np.zeros((1, 2))])
def test_a_grad_that_was_set_by_hand_to_another_shape_is_named_as_that(odd):
    w = Value([1.0, 2.0])
    w.grad = odd
    with pytest.raises(
        ValueError,
        match="since grad was set by hand: set it to None, and backward starts a new sum",
    ):
        (w * 3.0).sum().backward()


def test_a_grad_set_to_0_is_no_step():
    w = Value([1.0, 2.0])
    w.grad = 0
    SGD([w], lr=1.0).step()
    assert w.data.tolist() == [1.0, 2.0]


# ── Operations by name ────────────────────────────────────────────────────────────────────────────

OF_THE_TABLE = sorted(
    name
    for name, op in OPERATIONS.items()
    if op.module == "microgd.operations" and not name.startswith("_")
)


@pytest.mark.parametrize("name", OF_THE_TABLE)
def test_an_operation_is_microgds_own_by_module_name_signature_and_one_line(name):
    function = getattr(operations, name)
    assert (function.__module__, function.__name__, function.__qualname__) == (
        "microgd.operations",
        name,
        name,
    )
    assert inspect.getdoc(function).splitlines()[0].endswith((".", ".)"))
    assert len(inspect.getdoc(function).splitlines()[0]) < 110
    assert not {"out", "where", "casting", "order", "subok"} & set(
        inspect.signature(function).parameters
    )
    assert pickle.loads(pickle.dumps(function)) is function


def test_help_lists_every_operation():
    text = pydoc.plain(pydoc.render_doc(operations))
    assert not [
        name for name in OF_THE_TABLE if not re.search(rf"^    {name}\(", text, re.MULTILINE)
    ]


def test_a_sequential_with_operations_can_be_pickled():
    model = nn.Sequential(nn.Linear(2, 3), operations.tanh, operations.softmax)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin(np.ones(2)).data, model(np.ones(2)).data)


@operation(lambda g, out, x: g * 3.0, name="a name of its own")
def tripled(x):
    """Three times x."""
    return x * 3.0


def test_an_operation_of_ones_own_is_pickled_by_the_name_of_its_function():
    assert pickle.loads(pickle.dumps(tripled)) is tripled
    assert tripled.__doc__ == "Three times x."
    assert tripled(Value(1.0)).op == "a name of its own"


def test_a_function_of_numpys_that_is_made_an_operation_belongs_to_where_that_is_done(registry):
    made = operation(lambda g, out, x: g, name="whole_part")(np.trunc)
    assert (made.__module__, made.__name__) == (__name__, "whole_part")
    assert list(inspect.signature(made).parameters) == ["x"]


TAKEN = [
    "exp",
    "add",
    "sum",
    "relu",
    "softmax",
    "matmul",
    "var",
    "concatenate",
    "ravel",
    "shape",
    "zeros_like",
    "isnan",
    "equal",
]


@pytest.mark.parametrize("name", TAKEN)
def test_an_operation_with_the_name_of_one_of_microgds_own_is_refused_with_the_cure(name, registry):
    numpys, known = dict(NUMPY), dict(OPERATIONS)
    with pytest.raises(
        ValueError,
        match=rf"^{name} is the name of one of microgd's own functions: .* such as my_{name}$",
    ):
        operation(lambda g, out, x: g, name=name)(lambda x: x)
    assert (known, numpys) == (OPERATIONS, NUMPY)


def test_a_first_try_at_exp_with_a_wrong_rule_leaves_numpys_exp_right(registry):
    with pytest.raises(ValueError, match="my_exp"):

        @operation(lambda g, out, x: g)
        def exp(x):
            return np.exp(x)

    x = Value(1.0)
    np.exp(x).backward()
    assert x.grad == math.exp(1.0)


@pytest.mark.filterwarnings("error")
def test_a_cell_that_defines_an_operation_again_goes_on_working_and_says_nothing(registry):
    for factor in (2.0, 3.0):
        # NumPy has a sinc, and microgd does not.
        @operation(lambda g, out, x, factor: g * factor, name="sinc")
        def stretched(x, factor=factor):
            return x * factor

    assert np.sinc(Value(1.0)).item() == 3.0


@pytest.mark.parametrize("name", ["float64", "pi", "random", "typecodes", "newaxis", "ndarray"])
def test_a_name_that_numpy_has_for_something_else_than_a_function_is_free(name, registry):
    before = dict(NUMPY)
    made = operation(lambda g, out, x: g, name=name)(lambda x: x)
    assert made(Value(2.0)).op == name
    assert before == NUMPY


# ── Your own rules and functions ──────────────────────────────────────────────────────────────────


def test_a_rule_that_writes_into_the_upstream_gradient_is_refused_with_the_cure(registry):
    def rule(g, out, x):
        g *= 2.0 * x
        return g

    squared = operation(rule, name="squared")(lambda x: x * x)
    x = Value([1.0, 2.0])
    with pytest.raises(
        ValueError, match=r"a rule can't write into g and operands, .* g \* x in place of g \*= x"
    ):
        squared(x).backward([1.0, 1.0])
    assert x.grad is None


def test_a_joint_rule_may_not_write_into_it_either(registry):
    def rule(g, out, *parts):
        g[0] = 0.0
        return [g for _ in parts]

    total = operation(jointly=rule, name="total")(lambda *parts: parts[0] + parts[1])
    with pytest.raises(ValueError, match="a rule can't write into g"):
        total(Value([1.0, 2.0]), Value([3.0, 4.0])).backward([1.0, 1.0])


def test_a_rule_may_return_the_upstream_gradient_as_it_came(registry):
    same = operation(lambda g, out, x: g, name="same")(lambda x: x + 0.0)
    x = Value([1.0, 2.0])
    y = same(x) * 1.0
    y.backward([3.0, 4.0])
    x.grad[0] = 7.0
    assert (x.grad.tolist(), y.grad.tolist()) == ([7.0, 4.0], [3.0, 4.0])


@pytest.mark.parametrize("rule", [lambda g, x: g * 2.0 * x, lambda g: g, lambda g, out, x, y: g])
def test_a_rule_of_another_number_of_arguments_is_refused_where_the_operation_is_made(
    rule, registry
):
    with pytest.raises(
        TypeError,
        match=r"a rule of this operation takes \(g, out, x\): the upstream gradient, the result, ",
    ):
        operation(rule, name="doubled")(lambda x: x * x)


@pytest.mark.parametrize(
    "rule", [lambda g, out, x, axis: g, lambda *everything: everything[0], lambda g, out, *rest: g]
)
def test_a_rule_takes_the_options_of_its_operation(rule, registry):
    @operation(rule, name="summed")
    def summed(x, axis=0):
        return x.sum(axis=axis)

    x = Value([1.0, 2.0])
    summed(x).backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_rules_of_a_function_of_any_number_of_operands_are_taken_as_they_are(registry):
    @operation(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x, name="product of all")
    def product(*factors):
        return factors[0] * factors[1]

    x = Value(3.0)
    product(x, 5.0).backward()
    assert x.grad == 5.0


# ── Operations of one's own with unusual arguments, and copies ───────────────────────────────────


def test_a_value_may_be_the_only_one_and_a_condition():
    chosen = np.where(Value([1.0, 0.0]), 1, 0)
    assert isinstance(chosen, Value)
    assert chosen.data.tolist() == [1.0, 0.0]
    assert chosen.inputs[1:] == (1, 0)


def test_a_condition_gives_its_dtype_to_constants():
    single = Value(np.ones(3, np.float32))
    assert operations.where(single, Value(2.0), np.arange(3)).dtype == np.float32


def test_further_arguments_reach_a_function_that_takes_any_number_of_them(registry):
    def rule(g, out, *_):
        return g

    @operation(rule, rule, rule)
    def total(a, b, c, *more, scale=1.0):
        return (a + b + c + sum(more)) * scale

    assert total(Value(2.0), 1.0, 1.0, 5.0, 6.0).item() == total(2.0, 1.0, 1.0, 5.0, 6.0) == 15.0
    assert total(Value(2.0), 1.0, 1.0, scale=3.0).item() == 12.0


def test_options_by_position_only_and_by_any_name(registry):
    @operation(lambda g, out, x, n: g * n, name="repeated sum")
    def times(x, n, /):
        return x * n

    @operation(lambda g, out, x, *options: g, name="renamed")
    def same(x, **options):
        assert all(type(option) is float for option in options.values())
        return x + len(options)

    x = Value(3.0)
    times(x, 4).backward()
    assert x.grad == 4.0
    assert same(Value(1.0)).item() == 1.0
    assert same(Value(1.0), a=1.0, b=2.0).item() == 3.0


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_of_what_was_computed_within_no_grad_have_no_way_back_either(again):
    with no_grad():
        result = Value(2.0) * 3.0
    twin = again(result)
    assert twin.item() == 6.0
    with pytest.raises(ValueError, match="nothing was recorded"):
        twin.backward()


def test_a_deep_graph_that_is_pickled_says_what_to_pickle_instead():
    y = Value(1.0)
    for _ in range(3_000):
        y = y * 0.999
    with pytest.raises(TypeError, match=r"pickle value\.detach\(\)"):
        pickle.dumps(y)


def test_results_are_of_the_class_of_their_operands():
    class Length(Value):
        def in_feet(self):
            return self / 0.3048

    length = Length([1.0, 2.0])
    assert type((2.0 * length).sum()) is Length
    assert type(operations.where(True, Length(0.0), Value(1.0))) is Length
    assert (3.0 * length).in_feet().shape == (2,)


@pytest.mark.parametrize("seed", range(20))
def test_copies_mixed_with_their_originals_get_the_gradients_of_both(seed):
    rng = np.random.default_rng(seed)
    x = Value(1.5)
    nodes, slopes = [x], [1.0]  # of each node, its derivative by x and all copies of x
    leaves = [x]
    for _ in range(12):
        i, j = rng.integers(len(nodes), size=2)
        if rng.random() < 0.3:
            if rng.random() < 0.5:
                nodes.append(copy.copy(nodes[i]))
            else:
                nodes.append(copy.deepcopy(nodes[i]))
            slopes.append(slopes[i])
        else:
            nodes.append(nodes[i] + 2.0 * nodes[j])
            slopes.append(slopes[i] + 2.0 * slopes[j])
    seen = {id(node) for node in nodes}
    assert len({node._order for node in nodes}) == len(seen)
    found = dict(reverse_pass(nodes[-1], 1.0))
    leaves = [node for node in found if not node.inputs]
    assert sum(found[leaf] for leaf in leaves) == slopes[-1]
    for node in found:
        assert all(node._order > x._order for x in node.inputs if isinstance(x, Value))


def test_a_rule_may_give_one_number_for_all_elements_of_any_operand(registry):
    single = operation(lambda g, out, x: 2.0, name="single")(lambda x: 2.0 * x)
    double = operation(lambda g, out, x, y: 2.0, lambda g, out, x, y: 3.0, name="double")(
        lambda x, y: 2.0 * x + 3.0 * y
    )
    x, y = Value(np.ones((2, 1), np.float32)), Value([1.0, 1.0])
    for result in (single(x), double(x, y)):
        result.backward(np.ones(result.shape))
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [[4.0], [4.0]]
    assert y.grad.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("number", [1, 3])
def test_a_joint_rule_gives_a_gradient_for_each_operand(number, registry):
    total = operation(jointly=lambda g, out, *parts: [g] * number, name="total")(
        lambda *parts: parts[0] + parts[1]
    )
    with pytest.raises(
        ValueError, match=f"^the rule of total gave {number} gradients for 2 operands$"
    ):
        total(Value(1.0), Value(2.0)).backward()


@pytest.mark.parametrize("grad", [-1.0, 1.0])
def test_one_number_other_than_0_is_no_gradient_of_an_array(grad):
    p = Value([1.0, 2.0])
    p.grad = grad
    with pytest.raises(ValueError, match="since grad was set by hand"):
        (p * p).sum().backward()


def test_an_operation_made_of_a_built_in_function_says_what_it_does(registry):
    assert operations.exp.__doc__ == "Elementwise, as `numpy.exp`."
    made = operation(lambda g, out, x: g, name="not NumPy's")(math.floor)
    assert made.__doc__ == "As `floor`."


def test_operations_are_compared_by_identity():
    assert OPERATIONS["exp"] != OPERATIONS["log"]
    assert len({OPERATIONS["exp"], OPERATIONS["sum"]}) == 2
