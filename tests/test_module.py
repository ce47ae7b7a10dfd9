"""What a module holds: arrays are part of its state, computed Values are not parameters, and it
knows whether it is in training.
"""

import copy
import inspect
import pickle
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest

from microgd import Value, nn, no_grad, operations, optim, train

rng = np.random.default_rng(0)


class Holding(nn.Module):
    """A module with the given attributes."""

    def __init__(self, **attributes):
        for name, x in attributes.items():
            setattr(self, name, x)

    def forward(self, x):
        return x


class Norm(nn.Module):
    """Batch norm as a newcomer writes it: by the mini-batch in training, else by running means."""

    def __init__(self, n):
        self.scale = Value(np.ones(n))
        self.running_mean = np.zeros(n)
        self.running_var = np.ones(n)
        self.batches = np.array(0)

    def forward(self, x):
        if self.training:
            mean, var = x.mean(axis=0), x.var(axis=0)
            self.running_mean = 0.9 * self.running_mean + 0.1 * mean.data
            self.running_var = 0.9 * self.running_var + 0.1 * var.data
            self.batches = self.batches + 1
        else:
            mean, var = self.running_mean, self.running_var
        return (x - mean) / np.sqrt(var + 1e-5) * self.scale


class Dropout(nn.Module):
    """Dropout as a newcomer writes it."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)

    def forward(self, x):
        if not self.training:
            return x
        return x * (self.rng.random(x.shape) < 0.5) * 2.0


def network(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(3, 8, rng=rng), Norm(8), nn.ReLU(), Dropout(), nn.Linear(8, 2, rng=rng)
    )


X = rng.normal(size=(40, 3)) * [1.0, 5.0, 0.1] + 2.0
Y = (X[:, 0] > 2).astype(int)


def trained(seed=0):
    model = network(seed)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    list(
        train.fit(
            model,
            nn.cross_entropy,
            optimizer,
            X,
            Y,
            epochs=2,
            batch_size=8,
            rng=np.random.default_rng(0),
        )
    )
    return model


# ── Computed Values are not parameters ────────────────────────────────────────────────────────────

START = Value([1.0, 2.0, 3.0], name="start")


def within_no_grad():
    with no_grad():
        return START * 0.1


@pytest.mark.parametrize(
    ("attributes", "path", "how"),
    [
        ({"w": START * 0.1}, r"self\.w", "computed by multiply"),
        ({"w": START.astype(np.float32)}, r"self\.w", "computed by astype"),
        ({"w": START.reshape(3, 1)}, r"self\.w", "computed by reshape"),
        ({"w": -START}, r"self\.w", "computed by negative"),
        ({"w": START.T}, r"self\.w", "computed by transpose"),
        ({"w": within_no_grad()}, r"self\.w", "computed within no_grad"),
        ({"ws": [Value(1.0), START * 0.1]}, r"ws\.1", "computed by multiply"),
        ({"ws": {"first": (START / 3,)}}, r"ws\.first\.0", "computed by divide"),
        ({"_w": START * 0.1}, r"self\._w", "computed by multiply"),
    ],
)
def test_a_new_module_with_a_computed_value_is_refused_by_the_attribute_the_operation_and_the_cure(
    attributes, path, how
):
    cure = r"make a leaf of the result, as in Value\(rng\.normal\(size=3\) \* 0\.1\)$"
    with pytest.raises(
        TypeError, match=rf"^Holding: {path} was {how}, so it is not a parameter: .* {cure}"
    ):
        Holding(**attributes)


def test_a_computed_weight_in_a_module_within_a_module_is_refused_where_that_is_made():
    class Outer(nn.Module):
        def __init__(self):
            self.inner = Holding(w=START * 2)

    with pytest.raises(TypeError, match=r"^Holding: self\.w"):
        Outer()


def test_a_new_module_with_a_leaf_made_of_computed_numbers_is_fine():
    model = Holding(
        w=(START * 0.1).detach(), v=Value((START * 0.1).data), u=Value(START.data * 0.1)
    )
    assert [name for name, _ in model.named_parameters()] == ["w", "v", "u"]


def test_a_module_that_a_class_of_another_metaclass_makes_is_looked_at_too():
    class Abstract(nn.Module, ABC):
        @abstractmethod
        def size(self): ...

    class Concrete(Abstract):
        def __init__(self):
            self.w = START * 0.1

        def size(self):
            return 3

    with pytest.raises(TypeError, match="abstract"):
        Abstract()
    with pytest.raises(TypeError, match=r"self\.w was computed"):
        Concrete()


def test_a_dataclass_of_a_module_is_looked_at_too():
    @dataclass(eq=False)
    class Scaled(nn.Module):
        w: Value = field(default_factory=lambda: START * 0.1)

    with pytest.raises(TypeError, match=r"self\.w was computed"):
        Scaled()


def test_a_module_keeps_what_its_forward_computes():
    class Recurrent(nn.Module):
        def __init__(self):
            self.weight, self.state, self.states = Value(0.5), None, []

        def forward(self, x):
            self.state = np.tanh(x if self.state is None else self.weight * self.state + x)
            self.states.append(self.state)
            return self.state

    model = Recurrent()
    out = model(1.0) + model(2.0)  # the first call computes without a Value
    with no_grad():
        model(3.0)
    assert [name for name, _ in model.named_parameters()] == ["weight"]
    out.backward()
    assert model.weight.grad is not None
    assert isinstance(model.states[1], Value)
    assert isinstance(copy.deepcopy(model).state, Value)


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        ({START}, "set"),
        (frozenset([nn.Linear(2, 2)]), "frozenset"),
        (deque([nn.Linear(2, 2)]), "deque"),
        (MappingProxyType({"w": START}), "mappingproxy"),
    ],
)
def test_a_new_module_that_holds_parameters_where_they_are_not_found_is_refused(held, kind):
    with pytest.raises(
        TypeError, match=rf"Holding: self\.parts is a {kind}, .* a list, a tuple or a dictionary"
    ):
        Holding(parts=held)


@pytest.mark.parametrize(
    "once",
    [map(nn.Linear, [2], [3]), zip([START], strict=True), (nn.Linear(2, 2) for _ in range(2))],
)
def test_a_new_module_that_holds_its_layers_in_an_iterator_is_refused(once):
    with pytest.raises(
        TypeError, match=r"self\.layers is a \w+, which is empty after the first time"
    ):
        Holding(layers=once)


class Layer:
    """A layer as a newcomer writes it without nn.Module."""

    def __init__(self):
        self.w = Value(1.0)

    def __call__(self, x):
        return x * self.w


def closure():
    w = Value(1.0)
    return lambda x: x * w


@pytest.mark.parametrize(
    ("held", "cure"),
    [
        (Layer(), "make Layer a subclass of nn.Module"),
        ([Layer(), nn.ReLU()], "make Layer a subclass of nn.Module"),
        (SimpleNamespace(parts=[nn.Linear(2, 2)]), "make SimpleNamespace a subclass"),
        (closure(), "write it as a subclass of nn.Module"),
        (partial(operations.multiply, Value(2.0)), "write it as a subclass of nn.Module"),
        (nn.Linear(2, 2).forward, "give the module itself"),
    ],
)
def test_a_new_module_that_holds_parameters_in_what_is_no_module_is_refused(held, cure):
    with pytest.raises(TypeError, match=rf"parameters are not found|not found there.*{cure}"):
        Holding(held=held)
    if callable(held):
        with pytest.raises(TypeError, match=rf"^Sequential: 1 .*{cure}"):
            nn.Sequential(nn.ReLU(), held)


def test_a_module_with_slots_is_refused():
    class Slotted(nn.Module):
        __slots__ = ("w",)

        def __init__(self):
            self.w = Value(1.0)

    with pytest.raises(TypeError, match="Slotted has __slots__, in which parameters are not found"):
        Slotted()


def test_helpers_that_refer_to_what_the_module_holds_itself_are_fine():
    class Whole(nn.Module):
        def __init__(self):
            self.layer, self.scale = nn.Linear(2, 2), Value(2.0)
            self.net = nn.Sequential(self.layer, self.scaled, lambda x: self.scale * x)
            self.helper = SimpleNamespace(model=self, layer=self.layer, last=self.scale * 2)

        def scaled(self, x):
            return x * self.scale

    assert sorted(name for name, _ in Whole().named_parameters()) == [
        "layer.bias",
        "layer.weight",
        "scale",
    ]


@pytest.mark.parametrize(
    "replace",
    [lambda m: m.ws.__setitem__(0, m.ws[0] * 0.1), lambda m: m.by_name.update(w=-m.by_name["w"])],
)
@pytest.mark.parametrize(
    "use", [lambda m: m.parameters(), lambda m: m.state_dict(), lambda m: m.zero_grad()]
)
def test_a_parameter_in_a_list_or_a_dictionary_that_was_replaced_by_a_result_is_found_out(
    replace, use
):
    model = Holding(ws=[Value(1.0)], by_name={"w": Value(1.0)})
    replace(model)
    with pytest.raises(
        TypeError,
        match=r"(ws\.0|by_name\.w) was computed by (multiply|negative), so it is not a parameter",
    ):
        use(model)


def test_a_state_that_began_as_an_array_is_saved_as_the_array_was(tmp_path):
    class Recurrent(nn.Module):
        def __init__(self):
            self.weight, self.state = Value(0.5), np.zeros(2)

        def forward(self, x):
            self.state = np.tanh(self.weight * self.state + x)
            return self.state

    model, fresh = Recurrent(), Recurrent()
    out = model(np.array([1.0, 2.0]))
    assert model.state is out
    assert list(model.state_dict()) == ["weight", "state"]
    model.save(tmp_path / "model.npz")
    fresh.load(tmp_path / "model.npz")
    assert fresh.state.tolist() == out.data.tolist()
    model.load(tmp_path / "model.npz")
    assert isinstance(model.state, np.ndarray)


@pytest.mark.parametrize(
    "held", [{1, 2}, deque([1.0]), OrderedDict(w=Value(1.0)), np.array([None, "text"]), range(3)]
)
def test_other_containers_without_parameters_are_fine(held):
    assert Holding(held=held).held is held


@pytest.mark.parametrize("shared", [Value(1.0), nn.Linear(2, 2), Norm(2)])
def test_a_parameter_that_is_an_attribute_of_the_class_is_refused(shared):
    shares = type("Shares", (nn.Module,), {"w": shared})
    with pytest.raises(
        TypeError, match=r"w is an attribute of the class Shares, .*: set self\.w in __init__"
    ):
        shares()


def test_a_module_without_parameters_may_be_an_attribute_of_the_class():
    assert type("Bent", (nn.Module,), {"act": nn.ReLU()})().act(-1.0) == 0.0


def test_the_signature_of_a_module_is_that_of_its_init():
    assert list(inspect.signature(nn.Linear).parameters) == [
        "in_features",
        "out_features",
        "bias",
        "rng",
        "dtype",
    ]
    assert list(inspect.signature(nn.ReLU).parameters) == []
    assert list(inspect.signature(Norm).parameters) == ["n"]
    assert list(inspect.signature(nn.Sequential).parameters) == ["layers"]
    assert (
        str(inspect.signature(type("Any", (nn.Module,), {"__init__": lambda *a: None}))) == "(*a)"
    )


# ── Arrays are part of the state ──────────────────────────────────────────────────────────────────


def test_every_array_is_in_the_state_under_its_path():
    model = Holding(
        w=Value(1.0),
        mean=np.zeros(2),
        more=[np.ones(1), {"count": np.array(3)}],
        inner=Holding(mask=np.array([True, False])),
        _cache=np.ones(5),
        _lists=[np.ones(5)],
        _inner=Holding(mean=np.ones(1), _cache=np.ones(2)),
        number=3.0,
    )
    expected = ["w", "mean", "more.0", "more.1.count", "inner.mask", "_inner.mean"]
    assert list(model.state_dict()) == expected


def test_the_state_is_a_copy_of_the_arrays():
    model = Holding(mean=np.zeros(2))
    model.state_dict()["mean"][:] = 7.0
    assert model.mean.tolist() == [0.0, 0.0]


def test_arrays_are_no_parameters():
    model = network()
    assert all(
        "running" not in name and "batches" not in name for name, _ in model.named_parameters()
    )


@pytest.mark.parametrize(
    "dtype", ["f4", "f8", "f2", "i1", "i8", "u2", "?", "c16", "U3", "M8[D]", ">f8"]
)
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3)])
def test_an_array_comes_back_from_a_file_with_its_dtype_and_bits(dtype, shape, tmp_path):
    array = np.array(np.arange(np.prod(shape, dtype=int)).reshape(shape), "i8").astype(dtype)
    Holding(array=array).save(tmp_path / "model.npz")
    fresh = Holding(array=np.zeros_like(array))
    fresh.load(tmp_path / "model.npz")
    assert fresh.array.dtype == array.dtype
    assert fresh.array.tobytes() == array.tobytes()


@pytest.mark.parametrize(("old", "new"), [("f4", "f8"), ("f8", "f4"), ("i8", "f8"), ("f8", "i8")])
def test_an_array_takes_the_dtype_that_was_saved(old, new):
    model = Holding(mean=np.zeros(2, old))
    model.load_state_dict({"mean": np.array([1, 2], new)})
    assert model.mean.dtype == np.dtype(new)
    assert model.mean.tolist() == [1, 2]


def test_an_array_is_written_into_where_it_can_be():
    mean = np.zeros(2)
    model = Holding(mean=mean, again=mean, pair=(mean,))
    model.load_state_dict({"mean": [1.0, 2.0], "again": [1.0, 2.0], "pair.0": [1.0, 2.0]})
    assert model.mean is mean
    assert mean.tolist() == [1.0, 2.0]


def test_an_array_that_is_read_only_is_replaced():
    fixed = np.broadcast_to(0.0, (2,))
    model = Holding(mean=fixed, more=[fixed], by_name={"a": fixed})
    model.load_state_dict({"mean": [1.0, 2.0], "more.0": [3.0, 4.0], "by_name.a": [5.0, 6.0]})
    assert [model.mean.tolist(), model.more[0].tolist(), model.by_name["a"].tolist()] == [
        [1, 2],
        [3, 4],
        [5, 6],
    ]


def test_an_array_in_a_tuple_that_cannot_be_set_is_refused_before_anything_changes():
    model = Holding(mean=np.zeros(2), pair=(np.broadcast_to(0.0, (2,)),))
    with pytest.raises(ValueError, match=r"pair\.0 is in a tuple"):
        model.load_state_dict({"mean": [1.0, 2.0], "pair.0": [1.0, 2.0]})
    assert model.mean.tolist() == [0.0, 0.0]


def test_an_array_without_axes_stays_an_array_when_numpy_makes_a_number_of_it():
    model = Holding(count=np.array(0), mean=np.zeros(()))
    for _ in range(3):
        model.count = model.count + 1
        model.mean = 0.9 * model.mean + 0.1
    assert list(model.state_dict()) == ["count", "mean"]
    assert model.state_dict()["count"] == 3
    assert model.count.dtype == np.int64


def test_a_batch_norm_of_ones_own_predicts_the_same_after_saving_and_loading(tmp_path):
    model = trained()
    model.save(tmp_path / "model.npz")
    fresh = network(seed=1)
    fresh.load(tmp_path / "model.npz")
    assert fresh[1].running_mean.any()
    assert train.evaluate(fresh, nn.cross_entropy, X, Y) == train.evaluate(
        model, nn.cross_entropy, X, Y
    )


def test_a_file_that_lacks_an_array_is_refused_by_its_name(tmp_path):
    model, path = Holding(w=Value(1.0)), tmp_path / "old.npz"
    model.save(path)
    fresh = Holding(w=Value(2.0), running_mean=np.zeros(2))
    with pytest.raises(ValueError, match=r"missing \['running_mean'\]"):
        fresh.load(path)
    assert fresh.w.item() == 2.0


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros(3), ValueError, r"expected mean to have shape \(2,\), but got shape \(3,\)"),
        (np.array(["a", "b"]), TypeError, "expected mean to be of dtype float64, but got <U1"),
        (
            np.array([None, 1.0], object),
            TypeError,
            "expected mean to be of dtype float64, but got object",
        ),
        (np.ma.array([1.0, 2.0]), TypeError, "masked array"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_and_changes_nothing(array, error, message):
    model = Holding(w=Value(1.0), mean=np.zeros(2))
    with pytest.raises(error, match=message):
        model.load_state_dict({"w": 2.0, "mean": array})
    assert model.w.item() == 1.0


def test_an_array_of_objects_is_not_loaded_into_one_of_objects():
    model = Holding(odd=np.array([None, None]))
    with pytest.raises(TypeError, match="expected odd to be of dtype object, but got object"):
        model.load_state_dict({"odd": np.array([{}, {}])})


def test_what_was_loaded_is_a_copy():
    fixed, new = np.broadcast_to(0.0, (2,)), np.ones(2)
    model = Holding(mean=fixed)
    model.load_state_dict({"mean": new})
    new[:] = 7.0
    assert model.mean.tolist() == [1.0, 1.0]


def test_a_list_of_numbers_takes_the_dtype_of_the_array():
    model = Holding(mean=np.zeros(2, np.float32))
    model.load_state_dict({"mean": [0, 1]})
    assert model.mean.dtype == np.float32


def test_a_file_from_before_a_module_held_an_array_says_how_to_leave_it_out():
    model = Holding(w=Value(1.0), mean=np.zeros(2))
    with pytest.raises(
        ValueError,
        match=r"missing \['mean'\], unknown \[\]\. These are arrays of the module; a leading underscore",
    ):
        model.load_state_dict({"w": 1.0})


@pytest.mark.parametrize(
    "array", [np.array([None, {}]), np.ma.array([1.0, 2.0], mask=[True, False])]
)
def test_an_array_that_cannot_be_saved_whole_is_named_with_the_cure(array):
    model = Holding(more=Holding(odd=array))
    with pytest.raises(TypeError, match=r"^more\.odd: .*\. Rename it to _odd to leave it out$"):
        model.state_dict()
    assert Holding(_odd=array).state_dict() == {}


def test_a_checkpoint_holds_the_arrays(tmp_path):
    def parts(seed):
        model = network(seed)
        return (
            model,
            optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
            np.random.default_rng(seed),
        )

    def fit(model, optimizer, rng, **options):
        list(train.fit(model, nn.cross_entropy, optimizer, X, Y, batch_size=8, rng=rng, **options))

    def bits(model):
        return {name: np.asarray(array).tobytes() for name, array in model.state_dict().items()}

    whole, stopped, later = parts(0), parts(0), parts(3)
    for model, *_ in (whole, stopped, later):
        model.layers.pop(3)  # a checkpoint does not hold the generator of a dropout
    fit(*whole, epochs=3)
    fit(*stopped, epochs=1)
    train.save_checkpoint(tmp_path / "run.npz", *stopped, 1)
    done = train.load_checkpoint(tmp_path / "run.npz", *later)
    fit(*later, epochs=3, initial_epoch=done)
    assert bits(later[0]) == bits(whole[0])


def test_weights_and_arrays_go_to_pytorch_and_come_back():
    torch = pytest.importorskip("torch")
    model = Holding(
        weight=Value(np.ones(4)),
        bias=Value(np.zeros(4)),
        running_mean=np.zeros(4),
        running_var=np.ones(4),
    )
    theirs = torch.nn.BatchNorm1d(4, dtype=torch.float64)
    theirs(torch.tensor(rng.normal(size=(5, 4))))
    state = {
        name: array.numpy()
        for name, array in theirs.state_dict().items()
        if name != "num_batches_tracked"
    }
    model.load_state_dict(state)
    assert model.running_mean.tolist() == theirs.running_mean.tolist()
    back = torch.nn.BatchNorm1d(4, dtype=torch.float64)
    back.load_state_dict(
        {name: torch.tensor(array) for name, array in model.state_dict().items()}, strict=False
    )
    assert back.running_var.tolist() == theirs.running_var.tolist()


# ── Training and evaluation ───────────────────────────────────────────────────────────────────────


def test_a_new_module_is_in_training():
    assert all(module.training for _, module in network().named_modules())


def test_train_and_eval_switch_every_module_that_is_held_and_return_the_module():
    model = Holding(layers=[network(), {"more": Norm(2)}])
    assert model.eval() is model
    assert not any(module.training for _, module in model.named_modules())
    assert model.train() is model
    assert all(module.training for _, module in model.named_modules())
    model.train(False)
    assert not any(module.training for _, module in model.named_modules())


def test_training_set_by_hand_switches_that_module_alone():
    model = network()
    model.training = False
    assert not model.training
    assert model[1].training


@pytest.mark.parametrize("mode", [1, "yes", None, 0.0])
def test_a_mode_that_is_neither_true_nor_false_is_a_type_error(mode):
    model = network()
    with pytest.raises(TypeError, match="to be True or False"):
        model.train(mode)
    with pytest.raises(TypeError, match="to be True or False"):
        model.training = mode
    assert model.training


def test_a_module_that_keeps_a_part_in_evaluation_has_the_last_word_on_it():
    class Frozen(nn.Module):
        def __init__(self):
            self.norm = Norm(2)

        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()
            return self

    model = nn.Sequential(nn.Linear(2, 2), Frozen()).train()
    assert model[1].training
    assert not model[1].norm.training


def test_modules_that_hold_each_other_are_switched():
    inner = Holding()
    outer = Holding(inner=inner)
    inner.outer = outer
    outer.eval()
    assert not inner.training


def test_a_mode_is_kept_by_copies_and_pickles():
    model = nn.Sequential(nn.Linear(2, 2), operations.tanh).eval()
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert not same.training
        assert not same[0].training


def test_the_mode_is_no_part_of_the_state():
    assert list(nn.Linear(2, 2).eval().state_dict()) == ["weight", "bias"]


class Watching(nn.Module):
    """At each call it notes whether it is in training."""

    def __init__(self):
        self.layer, self.seen = nn.Linear(3, 2), []

    def forward(self, x):
        self.seen.append(self.training)
        return self.layer(x)


def test_a_model_is_not_in_training_while_it_is_evaluated_whatever_its_flag_says():
    model = Watching()
    train.evaluate(model, nn.cross_entropy, X, Y)
    assert model.seen == [False]
    assert model.training


def test_a_model_in_evaluation_is_still_that_after_evaluating():
    model = Watching().eval()
    train.evaluate(model, nn.cross_entropy, X, Y)
    assert not model.training


def test_fit_tests_without_training():
    model = Watching()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    list(train.fit(model, nn.cross_entropy, optimizer, X, Y, epochs=1, batch_size=20, test=(X, Y)))
    assert model.seen == [True, True, False]


def test_an_error_while_evaluating_leaves_the_model_in_training():
    model = Watching()

    def loss(out, y):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train.evaluate(model, loss, X, Y)
    assert model.training


def test_a_model_that_is_evaluated_in_one_thread_is_in_training_in_another():
    model, inside, done = Watching(), threading.Event(), threading.Event()

    def loss(out, y):
        inside.set()
        assert done.wait(10)
        return nn.cross_entropy(out, y)

    thread = threading.Thread(target=train.evaluate, args=(model, loss, X, Y))
    thread.start()
    assert inside.wait(10)
    elsewhere = model.training
    done.set()
    thread.join()
    assert elsewhere
    assert model.seen == [False]


def test_test_examples_do_not_leak_into_a_running_mean_nor_are_they_dropped():
    model = trained()
    before = {name: np.array(array) for name, array in model.state_dict().items()}
    once, again = (train.evaluate(model, nn.cross_entropy, X + 100.0, Y) for _ in range(2))
    assert once == again
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_sequential_cut_by_a_slice_is_a_sequential_of_the_same_layers():
    model = network()
    head = model[:2]
    assert isinstance(head, nn.Sequential)
    assert head.layers == model.layers[:2]
    assert head(Value(X)).shape == (40, 8)
    assert list(head.state_dict())[:2] == ["0.weight", "0.bias"]
