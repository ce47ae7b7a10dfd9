"""Who may write into which array, also for interpreters that count references differently."""

import copy
import itertools
import sys
import tracemalloc
import weakref

import numpy as np
import pytest
from test_in_place import failures

from microgd import Value, memory, nn, optim, train


def linear_step(model, x, y):
    """One step of training; returns the arrays that the record kept of the parameters."""
    hidden = model(x)
    loss = nn.cross_entropy(hidden, y)
    loss.backward()
    return hidden.saved[1:]


@pytest.fixture
def network():
    rng = np.random.default_rng(0)
    model = nn.Linear(6, 3, rng=rng)
    return model, rng.random((4, 6), dtype=np.float32), np.array([0, 1, 2, 0])


def test_in_a_record_linear_shares_its_weight_and_bias_with_the_layer(network):
    model, x, y = network
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        weight, bias = linear_step(model, x, y)
        assert weight is model.weight._numbers
        assert bias is model.bias._numbers
        optimizer.step()


@pytest.mark.parametrize(
    "use",
    [
        lambda p: p * 2.0,
        lambda p: 2.0 * p,
        lambda p: np.exp(p),
        lambda p: p.sum(axis=0),
        lambda p: p @ np.ones(2),
        lambda p: p[0:1],
        lambda p: np.concatenate([p, np.ones(2)]),
        lambda p: np.where([True, False], p, 0.0),
    ],
)
def test_a_record_shares_an_array_that_only_the_leaf_holds(use):
    p = Value([1.0, 2.0])
    assert any(saved is p._numbers for saved in use(p).saved)


def test_a_record_keeps_a_copy_of_an_array_that_somebody_else_holds():
    p = Value([1.0, 2.0])
    taken = p.data
    y = p * 2.0
    assert not np.shares_memory(y.saved[0], taken)
    assert taken.flags.writeable


# ── Interpreters that count differently ──────────────────────────────────────────────────────────


def counting(change):
    """A count of references that differs from this interpreter's. (The call itself adds two.)"""
    return lambda array: change(sys.getrefcount(array) - 2)


COUNTS = {
    "one less": counting(lambda n: n - 1),
    "one more": counting(lambda n: n + 1),
    "many more": counting(lambda n: n + 2**32),
}
_calls = itertools.count()
USELESS = {
    "none at all": lambda array: 0,
    "always the same": lambda array: 2,
    "another one each time": lambda array: next(_calls),
    "doubled": counting(lambda n: 2 * n),
}


@pytest.fixture
def count(request, monkeypatch):
    """Make the interpreter count in another way, and have microgd measure its count again."""
    monkeypatch.setattr(memory, "getrefcount", request.param)
    monkeypatch.setattr(memory, "_SOLE_OWNER", memory._references_of_a_sole_owner())


@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS, indirect=True)
def test_where_references_are_counted_differently_a_record_still_shares_the_weight(count, network):
    model, x, y = network
    weight, _ = linear_step(model, x, y)
    assert weight is model.weight._numbers


@pytest.mark.parametrize("count", USELESS.values(), ids=USELESS, indirect=True)
def test_where_the_count_is_of_no_use_a_record_keeps_a_copy(count, network):
    model, x, y = network
    weight, bias = linear_step(model, x, y)
    assert not np.shares_memory(weight, model.weight._numbers)
    assert not np.shares_memory(bias, model.bias._numbers)


EVERY_COUNT = COUNTS | USELESS


@pytest.mark.parametrize("count", EVERY_COUNT.values(), ids=EVERY_COUNT, indirect=True)
def test_whatever_the_count_the_gradient_of_what_was_recorded_is_right(count):
    assert failures(range(40), moments=25) == []


def test_a_path_of_calls_that_holds_the_array_once_more_would_be_noticed(monkeypatch, network):
    """If `keep` held the array under a name of its own, it would copy: this shows that we'd see."""

    def keep(node):
        numbers = node._numbers
        kept = memory.keep(node)
        assert numbers is not None
        return kept

    monkeypatch.setattr("microgd.kinds.keep", keep)
    model, x, y = network
    weight, _ = linear_step(model, x, y)
    assert weight is not model.weight._numbers


# ── A step writes into an array that nobody holds any more ───────────────────────────────────────


class Momentum(optim.Optimizer):
    momentum = 0.5

    def nudge(self, number, gradient, state):
        velocity = self.momentum * state.get("velocity", 0.0) + gradient
        return -self.lr * velocity, {"velocity": velocity}


OPTIMIZERS = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.1),
    "SGD with all settings": lambda parameters: optim.SGD(parameters, 0.1, 0.9, 0.01, True),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.1),
    "AdamW": lambda parameters: optim.AdamW(parameters, lr=0.1),
    "one's own": lambda parameters: Momentum(parameters, lr=0.1),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


def make_steps(p, optimizer, count):
    """Make steps down the slope of the sum of p**3, as a loop of training does."""
    for _ in range(count):
        loss = (p * p * p).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def arrays_after_steps(p, optimizer, count):
    """Weak references to the arrays that the parameter has after each of these steps."""
    arrays = []
    for _ in range(count):
        make_steps(p, optimizer, 1)
        arrays.append(weakref.ref(p._numbers))
    return arrays


def are_two_in_turn(arrays):
    """Whether, from the third step on, each array is the one that there was two steps before."""
    pairs = zip(arrays[2:], arrays, strict=False)
    return all(new() is not None and new() is old() for new, old in pairs)


@every_optimizer
def test_from_the_third_step_on_two_arrays_take_turns(make):
    p = Value([1.0, 2.0, 3.0])
    optimizer = make([p])
    arrays = arrays_after_steps(p, optimizer, 8)
    assert are_two_in_turn(arrays)
    assert arrays[-1]() is not arrays[-2]()


@every_optimizer
def test_in_fit_two_arrays_take_turns(make, network):
    model, x, y = network
    arrays = []

    def look(optimizer):
        arrays.append([weakref.ref(p._numbers) for p in optimizer.parameters])

    optimizer = make(model.parameters())
    list(
        train.fit(
            model, nn.cross_entropy, optimizer, x, y, epochs=4, batch_size=2, before_step=look
        )
    )
    for of_one_parameter in zip(*arrays, strict=True):
        # The first array is the one that there was before the first step.
        assert are_two_in_turn(of_one_parameter[1:])


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.1}], ids=["plain", "weight decay"])
def test_a_step_of_sgd_allocates_no_array_as_large_as_the_weights(settings):
    p = Value(np.ones(100_000, np.float32))
    optimizer = optim.SGD([p], lr=0.1, **settings)
    p.grad = np.ones_like(p.data)
    allowed = 1.1 if settings else 0.1  # the sum of the gradient and the decay is an array
    optimizer.step()
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < allowed * p._numbers.nbytes


HOLDERS = {
    "the array": lambda p: p.data,
    "a slice": lambda p: p.data[1:],
    "transposed": lambda p: p.data.T,
    "a view of a view": lambda p: p.data[::-1][1:],
    "other strides": lambda p: np.lib.stride_tricks.as_strided(p.data),
    "a memoryview": lambda p: memoryview(p.data),
    "an array in a list": lambda p: [p.data],
    "an iterator": lambda p: np.nditer(p.data).itviews[0],
    "a graph": lambda p: (p * 2.0).saved[0],
    "a graph of a view": lambda p: (p.T * 2.0).saved[0],
}


@every_optimizer
@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
@pytest.mark.parametrize("steps_before", [0, 1, 2, 3])
def test_an_array_that_somebody_holds_is_not_written_into(make, hold, steps_before):
    p = Value([1.0, 2.0, 3.0])
    optimizer = make([p])
    make_steps(p, optimizer, steps_before)
    held = hold(p)
    before = np.array(held)
    make_steps(p, optimizer, 4)
    np.testing.assert_array_equal(np.array(held), before)


@every_optimizer
def test_an_array_that_is_let_go_is_written_into_again(make):
    p = Value([1.0, 2.0, 3.0])
    optimizer = make([p])
    held = p.data
    make_steps(p, optimizer, 3)
    assert held.tolist() == [1.0, 2.0, 3.0]
    del held
    assert are_two_in_turn(arrays_after_steps(p, optimizer, 6)[1:])


@every_optimizer
def test_the_losses_of_earlier_steps_keep_the_gradients_of_their_own_weights(make):
    p = Value([1.0, 2.0, 3.0])
    optimizer = make([p])
    losses = []
    for _ in range(6):
        losses.append(((p**3).sum(), 3 * p.data**2))
        make_steps(p, optimizer, 1)
    for loss, expected in losses:
        p.grad = None
        loss.backward()
        np.testing.assert_allclose(p.grad, expected, rtol=1e-15)


def test_memory_that_belongs_to_something_else_is_not_written_into():
    owner = bytearray(np.array([1.0, 2.0, 3.0]).tobytes())
    p = Value([1.0, 2.0, 3.0])
    p._numbers = np.frombuffer(owner)
    make_steps(p, optim.SGD([p], lr=0.1), 4)
    assert np.frombuffer(owner).tolist() == [1.0, 2.0, 3.0]


@every_optimizer
def test_after_a_step_the_parameters_array_is_its_users_to_change(make):
    p = Value([1.0, 2.0, 3.0])
    optimizer = make([p])
    make_steps(p, optimizer, 4)
    p.data[0] = 7.0
    assert p.data[0] == 7.0
    make_steps(p, optimizer, 1)
    assert p.data[0] != 7.0


@every_optimizer
def test_a_copy_of_an_optimizer_moves_the_copies_of_its_parameters_alone(make):
    p = Value([1.0, 2.0, 3.0])
    optimizer = make([p])
    make_steps(p, optimizer, 3)
    other_p, other = copy.deepcopy((p, optimizer))
    here = p.data.copy()
    make_steps(other_p, other, 3)
    np.testing.assert_array_equal(p.data, here)
    make_steps(p, optimizer, 3)
    np.testing.assert_array_equal(p.data, other_p.data)


def test_a_copy_of_an_optimizer_begins_without_the_array_for_the_next_step():
    p = Value([1.0, 2.0, 3.0])
    optimizer = optim.SGD([p], lr=0.1)
    make_steps(p, optimizer, 3)
    other_p, other = copy.deepcopy((p, optimizer))
    assert optimizer._kept[p]._numbers is not None
    assert other._kept[other_p]._numbers is None


def test_two_optimizers_of_one_parameter_do_not_write_into_each_others_way():
    p = Value([1.0, 2.0])
    first, second = optim.SGD([p], lr=0.5), optim.SGD([p], lr=0.25)
    expected = np.array([1.0, 2.0])
    for _ in range(5):
        for optimizer in (first, second):
            p.grad = np.ones(2)
            optimizer.step()
            expected = expected - optimizer.lr
            np.testing.assert_array_equal(p.data, expected)


@pytest.mark.parametrize("count", COUNTS.values(), ids=COUNTS, indirect=True)
def test_where_references_are_counted_differently_two_arrays_still_take_turns(count):
    p = Value([1.0, 2.0, 3.0])
    optimizer = optim.SGD([p], lr=0.1)
    assert are_two_in_turn(arrays_after_steps(p, optimizer, 6))


@pytest.mark.parametrize("count", USELESS.values(), ids=USELESS, indirect=True)
def test_where_the_count_is_of_no_use_each_step_takes_a_new_array(count):
    p = Value([1.0, 2.0, 3.0])
    optimizer = optim.SGD([p], lr=0.1)
    arrays = arrays_after_steps(p, optimizer, 6)
    assert len({id(x()) for x in arrays if x() is not None}) == 2  # the present one and the last
    assert [x() is None for x in arrays] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("count", EVERY_COUNT.values(), ids=EVERY_COUNT, indirect=True)
@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_whatever_the_count_an_array_that_somebody_holds_is_not_written_into(count, hold):
    p = Value([1.0, 2.0, 3.0])
    optimizer = optim.SGD([p], lr=0.1)
    make_steps(p, optimizer, 2)
    held = hold(p)
    before = np.array(held)
    make_steps(p, optimizer, 4)
    np.testing.assert_array_equal(np.array(held), before)
