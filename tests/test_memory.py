"""Who may write into which array, also for interpreters that count references differently."""

import itertools
import sys

import numpy as np
import pytest
from test_in_place import failures

from microgd import Value, memory, nn, optim


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

    monkeypatch.setattr("microgd.backprop.keep", keep)
    model, x, y = network
    weight, _ = linear_step(model, x, y)
    assert weight is not model.weight._numbers
