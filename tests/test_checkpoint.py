"""Checkpoints: stopped training continues bit for bit, and a failed load changes nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import microgd
from microgd import Value, nn, optim, train
from microgd.optim import SGD
from microgd.storage import load_arrays, save_arrays

EPOCHS = 4
X = np.random.default_rng(1).normal(size=(30, 6)).astype(np.float32)
Y = np.random.default_rng(2).integers(0, 4, 30)


class Model(nn.Module):
    """Layers with more and with fewer than 16 outputs (whose weights lie in memory in different
    orders), a number, and a parameter that is not used.
    """

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.layers = nn.Sequential(nn.Linear(6, 20, rng=rng), nn.Tanh(), nn.Linear(20, 5, rng=rng))
        # Its gradient has another memory order.
        self.own = Value(rng.normal(size=(4, 5)).astype(np.float32, order="F"))
        self.scale, self.unused = Value(1.5), Value(np.ones(3))

    def forward(self, x):
        return self.layers(x) @ self.own.T * self.scale


SETTINGS = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.1, "weight_decay": 0.1},
]


def parts(seed, generator=np.random.PCG64, **settings):
    model = Model(seed)
    return model, optim.SGD(model.parameters(), **settings), np.random.Generator(generator(seed))


def bits(model, optimizer, rng):
    """Everything that training depends on, as bytes."""
    state = {**model.state_dict(), **optimizer.state_dict()}
    arrays = {
        name: (np.asarray(x).tobytes("A"), np.asarray(x).strides) for name, x in state.items()
    }
    return arrays, str(rng.bit_generator.state)


def epochs(model, optimizer, rng, done=0):
    """Train with a falling learning rate; yield each epoch's record (without time) and the bits."""
    for epoch in train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        X,
        Y,
        epochs=EPOCHS,
        batch_size=7,
        rng=rng,
        test=(X, Y),
        initial_epoch=done,
    ):
        optimizer.lr *= 0.9
        yield (
            (epoch.number, epoch.loss, epoch.test_loss, epoch.test_accuracy, epoch.lr),
            bits(model, optimizer, rng),
        )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


@pytest.mark.parametrize(
    "generator", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64]
)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("stop", range(EPOCHS + 1))
def test_training_stopped_after_any_epoch_goes_on_as_if_it_had_not_stopped(
    path, settings, stop, generator, record_property
):
    whole = list(epochs(*parts(0, generator, **settings)))
    first = parts(0, generator, **settings)
    for _ in zip(range(stop), epochs(*first), strict=False):
        pass
    train.save_checkpoint(path, *first, stop)
    second = parts(7, generator, lr=9.0, momentum=0.5)
    done = train.load_checkpoint(path, *second)
    assert (done, bits(*second)) == (stop, bits(*first))
    assert list(epochs(*second, done)) == whole[stop:]
    record_property("trainings stopped and resumed", 1)


KILLED = """
import sys
sys.path[:0] = sys.argv[2].split("\\n")
from test_checkpoint import parts, epochs, train
run = parts(0, lr=0.1, momentum=0.9)
done = train.load_checkpoint(sys.argv[1], *run) if sys.argv[3] == "again" else 0
print("begun", flush=True)
for (number, *_), _ in epochs(*run, done):
    train.save_checkpoint(sys.argv[1], *run, number)
    print(number, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_process_killed_after_a_checkpoint_goes_on_in_another_as_if_it_had_not_been(path):
    search = "\n".join([str(Path(microgd.__file__).parents[1]), str(Path(__file__).parent)])
    command = [sys.executable, "-c", KILLED, str(path), search]
    with subprocess.Popen([*command, "first"], stdout=subprocess.PIPE) as process:
        while process.stdout.readline().strip() != b"2":
            pass
        process.send_signal(signal.SIGKILL)
    subprocess.run([*command, "again"], check=True, stdout=subprocess.DEVNULL)
    last = parts(3, lr=1.0)
    assert train.load_checkpoint(path, *last) == EPOCHS
    whole = parts(0, lr=0.1, momentum=0.9)
    assert bits(*last) == list(epochs(*whole))[-1][1]


def test_the_weights_of_a_checkpoint_are_in_it_by_name(path):
    model, optimizer, rng = parts(0, lr=0.1)
    train.save_checkpoint(path, model, optimizer, rng, 3)
    arrays = load_arrays(path)
    np.testing.assert_array_equal(
        arrays["model.layers.0.weight"], model.layers[0].weight.data, strict=True
    )
    assert (arrays["epoch"], arrays["optimizer.lr"]) == (3, 0.1)


def broken(path, **changes):
    """The checkpoint with some of its parts replaced, or left out where None is given."""
    arrays = {**load_arrays(path), **{name.replace("_", ".", 1): x for name, x in changes.items()}}
    save_arrays(path, {name: x for name, x in arrays.items() if x is not None})


WRONG = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "text": lambda path: path.write_text("epoch 3"),
    "without an epoch": lambda path: broken(path, epoch=None),
    "of several epochs": lambda path: broken(path, epoch=np.ones(2)),
    "without a random state": lambda path: broken(path, rng=None),
    "of no random state": lambda path: broken(path, rng=np.frombuffer(b'{"state": 1}', np.uint8)),
    "of text that is no JSON": lambda path: broken(path, rng=np.frombuffer(b"\xff[", np.uint8)),
    "without a weight": lambda path: broken(path, model_scale=None),
    "with another weight": lambda path: broken(path, model_more=np.ones(2)),
    "with a weight of another shape": lambda path: broken(path, model_own=np.ones(2)),
    "without a learning rate": lambda path: broken(path, optimizer_lr=None),
    "with a negative learning rate": lambda path: broken(path, optimizer_lr=np.array(-1.0)),
    "with a velocity of another shape": lambda path: broken(
        path, **{"optimizer_velocity.0": np.ones(2)}
    ),
    "of a network alone": lambda path: Model(0).save(path),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_no_checkpoint_of_these_is_refused_by_its_path_and_changes_nothing(
    path, kind
):
    train.save_checkpoint(path, *parts(0, lr=0.1, momentum=0.9), 3)
    WRONG[kind](path)
    here = parts(5, lr=0.2, momentum=0.3)
    list(zip(range(1), epochs(*here), strict=False))
    before = bits(*here)
    with pytest.raises(ValueError, match=r"run\.npz is not a"):
        train.load_checkpoint(path, *here)
    assert bits(*here) == before


@pytest.mark.parametrize("order", [lambda p: p[::-1], lambda p: p[1:], lambda p: p[:-1]])
def test_a_checkpoint_of_an_optimizer_of_other_parameters_is_refused_and_changes_nothing(
    path, order
):
    model, _, rng = parts(0, lr=0.1)
    for p in model.parameters():
        p.data = np.ones(p.shape) if p.shape else 1.0
    train.save_checkpoint(path, model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9), rng, 1)
    other, _, rng = parts(1, lr=0.1)
    optimizer = optim.SGD(order(other.parameters()), lr=0.1, momentum=0.9)
    before = bits(other, optimizer, rng)
    with pytest.raises(ValueError, match="its optimizer moves"):
        train.load_checkpoint(path, other, optimizer, rng)
    assert bits(other, optimizer, rng) == before


def test_a_checkpoint_of_another_dtype_would_be_rounded_and_is_refused(path):
    def layer(dtype):
        model = nn.Linear(2, 2, rng=np.random.default_rng(0), dtype=dtype)
        return model, optim.SGD(model.parameters(), lr=0.1), np.random.default_rng(0)

    train.save_checkpoint(path, *layer(np.float64), 1)
    with pytest.raises(ValueError, match="another dtype"):
        train.load_checkpoint(path, *layer(np.float32))
    assert train.load_checkpoint(path, *layer(np.float64)) == 1


def test_a_checkpoint_for_another_kind_of_generator_is_refused_and_changes_nothing(path):
    train.save_checkpoint(path, *parts(0, lr=0.1), 3)
    here = parts(5, np.random.Philox, lr=0.2)
    before = bits(*here)
    with pytest.raises(ValueError, match="Philox"):
        train.load_checkpoint(path, *here)
    assert bits(*here) == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": np.tanh}, TypeError, "expected a Module, but got"),
        ({"optimizer": None}, TypeError, "expected an optimizer, such as optim.SGD, but got None"),
        ({"rng": 0}, TypeError, "expected a Generator, but got 0"),
        ({"epoch": -1}, ValueError, "number of epochs of at least 0, but got -1"),
        ({"epoch": 1.5}, TypeError, "number of epochs that is an integer, but got 1.5"),
    ],
)
def test_what_is_no_training_is_not_saved(path, change, error, message):
    given = (
        dict(zip(("model", "optimizer", "rng"), parts(0, lr=0.1), strict=True))
        | {"epoch": 3}
        | change
    )
    with pytest.raises(error, match=message):
        train.save_checkpoint(path, **given)
    assert not path.exists()
    if "epoch" not in change:
        train.save_checkpoint(path, *parts(0, lr=0.1), 3)
        del given["epoch"]
        with pytest.raises(error, match=message):
            train.load_checkpoint(path, **given)


def test_training_begins_after_the_initial_epochs():
    model, optimizer, rng = parts(0, lr=0.1)
    numbers = [
        e.number
        for e in train.fit(
            model, nn.cross_entropy, optimizer, X, Y, epochs=5, rng=rng, initial_epoch=3
        )
    ]
    assert numbers == [4, 5]
    assert (
        list(train.fit(model, nn.cross_entropy, optimizer, X, Y, epochs=3, initial_epoch=3)) == []
    )


@pytest.mark.parametrize(
    ("initial_epoch", "error"), [(-1, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_initial_epochs_that_are_no_number_of_them_are_refused(initial_epoch, error):
    model, optimizer, _ = parts(0, lr=0.1)
    with pytest.raises(error, match="initial epochs"):
        train.fit(model, nn.cross_entropy, optimizer, X, Y, epochs=3, initial_epoch=initial_epoch)


# ── The optimizer's state ─────────────────────────────────────────────────────────────────────────


def moved(**settings):
    parameters = [Value([1.0, 2.0]), Value(3.0), Value([4.0])]
    optimizer = optim.SGD(parameters, **settings)
    parameters[0].grad, parameters[1].grad = np.array([1.0, -1.0]), 2.0
    optimizer.step()
    return optimizer


def test_an_optimizers_state_holds_its_settings_and_the_velocities_that_there_are():
    state = moved(lr=0.5, momentum=0.25, nesterov=True).state_dict()
    assert list(state) == ["lr", "momentum", "weight_decay", "nesterov", "velocity.0", "velocity.1"]
    assert [state[name] for name in list(state)[:4]] == [0.5, 0.25, 0.0, 1.0]
    assert (state["velocity.0"].tolist(), state["velocity.1"]) == ([1.0, -1.0], 2.0)


def test_an_optimizers_state_is_a_copy_and_so_is_what_is_loaded():
    optimizer, other = moved(lr=0.5, momentum=0.5), moved(lr=0.5, momentum=0.5)
    state = optimizer.state_dict()
    other.load_state_dict(state)
    state["velocity.0"][:] = 9.0
    for each in (optimizer, other):
        assert each.state_dict()["velocity.0"].tolist() == [1.0, -1.0]


def test_a_velocity_that_is_not_in_the_state_is_gone():
    optimizer = moved(lr=0.5, momentum=0.5)
    optimizer.load_state_dict({"lr": 1, "momentum": 0.5, "weight_decay": 0, "nesterov": True})
    assert optimizer.state_dict() == {
        "lr": 1.0,
        "momentum": 0.5,
        "weight_decay": 0.0,
        "nesterov": 1.0,
    }
    assert (type(optimizer.lr), optimizer.nesterov) == (float, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"velocity.3": 1.0}, r"unknown \['velocity\.3'\]"),
        ({"rate": 1.0}, r"unknown \['rate'\]"),
        ({"momentum": 0.0, "nesterov": 1.0}, "nesterov needs a momentum"),
        ({"lr": float("nan")}, "expected lr to be 0 or more"),
        ({"lr": [0.1, 0.2]}, r"expected lr to have shape \(\), but got shape \(2,\)"),
        ({"velocity.0": 1.0}, r"expected velocity\.0 to have shape \(2,\), but got shape \(\)"),
    ],
)
def test_an_optimizers_state_that_does_not_fit_is_refused_and_changes_nothing(change, message):
    optimizer = moved(lr=0.5, momentum=0.5)
    before = repr(optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(optimizer.state_dict() | change)
    assert repr(optimizer.state_dict()) == before


class Tied(nn.Module):
    """A number with two names, and an array in a tuple."""

    def __init__(self, array):
        self.a = Value(1.0)
        self.b, self.held = self.a, (array,)


def test_a_number_that_a_model_holds_twice_comes_back_from_a_checkpoint(tmp_path):
    model, fresh = Tied(np.ones(2)), Tied(np.zeros(2))
    model.a.data = 5.0
    train.save_checkpoint(
        tmp_path / "run.npz", model, SGD([model.a], lr=0.1), np.random.default_rng(0), 1
    )
    train.load_checkpoint(
        tmp_path / "run.npz", fresh, SGD([fresh.a], lr=0.1), np.random.default_rng(0)
    )
    assert (fresh.a.item(), fresh.b is fresh.a, fresh.held[0].tolist()) == (5.0, True, [1.0, 1.0])


def test_a_checkpoint_with_an_array_that_cannot_be_set_is_refused_and_changes_nothing(tmp_path):
    model, fresh = Tied(np.ones(2)), Tied(np.zeros(2, np.float32))
    model.a.data = 5.0
    train.save_checkpoint(
        tmp_path / "run.npz", model, SGD([model.a], lr=0.7), np.random.default_rng(0), 1
    )
    optimizer, rng = SGD([fresh.a], lr=0.1), np.random.default_rng(1)
    before = str(rng.bit_generator.state)
    with pytest.raises(
        ValueError,
        match=r"run\.npz is not a checkpoint of this model, optimizer and generator: .*held\.0 is in a tuple",
    ):
        train.load_checkpoint(tmp_path / "run.npz", fresh, optimizer, rng)
    assert (fresh.a.item(), optimizer.lr, str(rng.bit_generator.state) == before) == (
        1.0,
        0.1,
        True,
    )


# ── Other kinds of optimizers, and a model with generators of its own ────────────────────────────


class Heavy(optim.Optimizer):
    """Has the settings and the state of an SGD, under its own name."""

    momentum = 0.5
    weight_decay = 0.0
    nesterov = False

    def nudge(self, number, gradient, state):
        velocity = self.momentum * state.get("velocity", 0.0) + gradient
        return -self.lr * velocity, {"velocity": velocity}


def heavy(model):
    return Heavy(model.parameters(), lr=0.1)


def sgd(model):
    return optim.SGD(model.parameters(), lr=0.1, momentum=0.5)


def adam(model):
    return optim.Adam(model.parameters(), lr=0.01)


def adamw(model):
    return optim.AdamW(model.parameters(), lr=0.01)


KINDS = [heavy, sgd, adam, adamw]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("stop", [0, 1, 3])
def test_training_by_any_optimizer_goes_on_as_if_it_had_not_stopped(make, stop, path):
    model = Model(0)
    whole = list(epochs(model, make(model), np.random.default_rng(0)))

    model, rng = Model(0), np.random.default_rng(0)
    optimizer = make(model)
    training = epochs(model, optimizer, rng)
    for _ in range(stop):
        next(training)
    train.save_checkpoint(path, model, optimizer, rng, stop)

    model, rng = Model(7), np.random.default_rng(7)
    optimizer = make(model)
    done = train.load_checkpoint(path, model, optimizer, rng)
    assert list(epochs(model, optimizer, rng, done)) == whole[stop:]


@pytest.mark.parametrize("saved", KINDS)
@pytest.mark.parametrize("loaded", KINDS)
def test_a_checkpoint_of_another_kind_of_optimizer_is_refused_and_changes_nothing(
    saved, loaded, path
):
    if saved is loaded:
        return
    model, rng = Model(0), np.random.default_rng(0)
    optimizer = saved(model)
    next(epochs(model, optimizer, rng))
    train.save_checkpoint(path, model, optimizer, rng, 1)
    model = Model(1)
    here = model, loaded(model), rng
    before = bits(*here)
    expected = f"its optimizer is {type(optimizer).__name__}, not {type(here[1]).__name__}"
    with pytest.raises(ValueError, match=expected):
        train.load_checkpoint(path, *here)
    assert bits(*here) == before


def with_dropout(seed, dropout_rngs):
    rng = np.random.default_rng(seed)
    first, second = dropout_rngs
    model = nn.Sequential(
        nn.Linear(6, 8, rng=rng), nn.Dropout(0.5, rng=first or rng),
        nn.Linear(8, 4, rng=rng), nn.Dropout(0.2, rng=second or rng),
    )  # fmt: skip
    return model, optim.SGD(model.parameters(), lr=0.1), rng


def shared():
    rng = np.random.default_rng(3)
    return rng, rng


GENERATORS = {
    "the training's": lambda: (None, None),
    "one of their own": shared,
    "two of their own": lambda: (
        np.random.default_rng(3),
        np.random.Generator(np.random.Philox(4)),
    ),
    "the training's and another": lambda: (None, np.random.default_rng(3)),
}


@pytest.mark.parametrize("generators", GENERATORS.values(), ids=GENERATORS)
def test_dropouts_go_on_with_the_numbers_that_they_would_have_drawn(generators, path):
    whole = list(epochs(*with_dropout(0, generators())))
    here = with_dropout(0, generators())
    next(epochs(*here))
    train.save_checkpoint(path, *here, 1)
    here = with_dropout(5, generators())
    done = train.load_checkpoint(path, *here)
    assert list(epochs(*here, done)) == whole[1:]


def test_a_checkpoint_of_a_model_with_other_generators_is_refused_and_changes_nothing(path):
    saved = with_dropout(0, GENERATORS["two of their own"]())
    train.save_checkpoint(path, *saved, 1)
    for name in ("the training's", "one of their own"):
        here = with_dropout(5, GENERATORS[name]())
        before = bits(*here)
        with pytest.raises(ValueError, match="states of 3 random generators, but there are"):
            train.load_checkpoint(path, *here)
        assert bits(*here) == before


def test_a_checkpoint_of_before_there_were_other_optimizers_is_one_of_an_sgd(path):
    model, optimizer, rng = parts(0, lr=0.1, momentum=0.9)
    next(epochs(model, optimizer, rng))
    train.save_checkpoint(path, model, optimizer, rng, 1)
    arrays = load_arrays(path)
    names = [name for name, _ in model.named_parameters()]
    state = json.dumps([rng.bit_generator.state, names])
    assert bytes(arrays["rng"]) == state.encode()  # as it was
    del arrays["optimizer"], arrays["generators"]
    save_arrays(path, arrays)
    here = parts(5, lr=0.2)
    assert train.load_checkpoint(path, *here) == 1
    assert bits(*here) == bits(model, optimizer, rng)
    model = Model(5)
    with pytest.raises(ValueError, match="its optimizer is SGD, not Heavy"):
        train.load_checkpoint(path, model, heavy(model), rng)
