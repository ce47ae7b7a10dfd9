"""The training loop: what an epoch does and reports, what it leaves behind, when training stops."""

import inspect
import math
import re
import weakref
from itertools import islice, pairwise

import numpy as np
import pytest

from microgd import Value, data, nn, no_grad, optim, train
from microgd.optim import SGD
from microgd.recording import recording

X = np.linspace(-1, 1, 10)[:, None]
Y = 3 * X - 2


def line(seed=0):
    """A model that fits points on a line."""
    return nn.Linear(1, 1, rng=np.random.default_rng(seed), dtype=np.float64)


def fit(model, **options):
    """Train on points on a line. `options` replace the default settings."""
    settings = {
        "loss": nn.mse_loss,
        "x": X,
        "y": Y,
        "epochs": 3,
        "batch_size": 4,
        "rng": np.random.default_rng(0),
    } | options
    return train.fit(
        model,
        optimizer=settings.pop("optimizer", None) or SGD(model.parameters(), lr=0.1),
        **settings,
    )


def weights(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


class Noted:
    """A function that remembers the results of its calls."""

    def __init__(self, function):
        self.function, self.results = function, []

    def __call__(self, *arguments):
        result = self.function(*arguments)
        self.results.append(result.item())
        return result


# ── Epochs and their records ──────────────────────────────────────────────────────────────────────


def test_fit_is_a_generator():
    epochs = fit(line())
    assert inspect.isgenerator(epochs)
    list(epochs)


def test_nothing_is_trained_before_the_first_record_is_asked_for():
    model = line()
    epochs = fit(model)
    assert weights(model) == weights(line())
    list(epochs)


def test_epochs_are_numbered_from_1():
    assert [epoch.number for epoch in fit(line(), epochs=4)] == [1, 2, 3, 4]


def test_no_epochs_give_no_records():
    assert list(fit(line(), epochs=0)) == []


def test_training_is_the_loop_that_one_would_write_by_hand():
    model, by_hand = line(), line()
    list(fit(model))
    optimizer, rng = SGD(by_hand.parameters(), lr=0.1), np.random.default_rng(0)
    for _ in range(3):
        for x, y in data.minibatches(X, Y, 4, rng):
            optimizer.zero_grad()
            nn.mse_loss(by_hand(x), y).backward()
            optimizer.step()
    assert weights(model) == weights(by_hand)


def test_the_loss_is_the_mean_over_the_examples_of_what_the_batches_had():
    loss = Noted(nn.mse_loss)
    (epoch,) = fit(line(), loss=loss, epochs=1)
    assert epoch.loss == pytest.approx(np.average(loss.results, weights=[4, 4, 2]), rel=1e-12)


def test_a_record_holds_the_learning_rate_that_the_epoch_had():
    model = line()
    optimizer = SGD(model.parameters(), lr=0.1)
    rates = []
    for epoch in fit(model, optimizer=optimizer):
        rates.append(epoch.lr)
        optimizer.lr /= 2
    assert rates == [0.1, 0.05, 0.025]


def test_a_learning_rate_changed_between_epochs_holds_in_the_next():
    model = line()
    optimizer = SGD(model.parameters(), lr=0.1)
    epochs = fit(model, optimizer=optimizer)
    next(epochs)
    after_one, optimizer.lr = weights(model), 0.0
    next(epochs)
    assert weights(model) == after_one


def test_a_loop_that_is_broken_off_trains_no_further():
    model, one_epoch = line(), line()
    list(fit(one_epoch, epochs=1))
    for _ in fit(model, epochs=100):
        break
    assert weights(model) == weights(one_epoch)


def test_the_seconds_are_those_of_the_training_without_the_test(monkeypatch):
    now = 0.0

    def loss(prediction, target):
        nonlocal now
        # Each mini-batch of training takes a second, and the test much longer.
        now += 1.0 if len(target) <= 4 else 1000.0
        return nn.mse_loss(prediction, target)

    monkeypatch.setattr(train, "perf_counter", lambda: now)
    assert [epoch.seconds for epoch in fit(line(), loss=loss, test=(X, Y))] == [3.0] * 3


def test_every_epoch_uses_every_example_once_in_another_order():
    model, seen = line(), []

    def noting(x):
        seen.extend(x.ravel().tolist())
        return model(x)

    list(fit(noting, optimizer=SGD(model.parameters(), lr=0.1)))
    orders = [seen[i : i + 10] for i in (0, 10, 20)]
    assert [sorted(order) for order in orders] == [X.ravel().tolist()] * 3
    assert all(first != second for first, second in pairwise([X.ravel().tolist(), *orders]))


def test_the_same_seed_gives_the_same_weights_bit_for_bit():
    models = line(), line()
    for model in models:
        list(fit(model, rng=np.random.default_rng(5)))
    assert weights(models[0]) == weights(models[1])


@pytest.mark.parametrize("seeds", [(5, 6), (None, None)])
def test_another_seed_or_none_gives_other_weights(seeds):
    models = line(), line()
    for model, seed in zip(models, seeds, strict=True):
        list(fit(model, rng=seed and np.random.default_rng(seed)))
    assert weights(models[0]) != weights(models[1])


def test_a_model_may_be_any_function_with_parameters_of_its_own():
    slope, intercept = Value(0.0), Value(0.0)
    list(fit(lambda x: slope * x + intercept, optimizer=SGD([slope, intercept], lr=0.3), epochs=60))
    assert (slope.data, intercept.data) == pytest.approx((3, -2), abs=1e-6)


def test_gradients_left_from_before_do_not_count():
    model = line()
    for p in model.parameters():
        p.grad = np.full(p.shape, 1e6)
    list(fit(model))
    clean = line()
    list(fit(clean))
    assert weights(model) == weights(clean)


# ── Evaluation on test examples ───────────────────────────────────────────────────────────────────


def classes(n=10, seed=0):
    """Points in the plane, each with one of three labels."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)), rng.integers(3, size=n)


def classifier():
    return nn.Linear(2, 3, rng=np.random.default_rng(0), dtype=np.float64)


def test_the_test_comes_after_the_epochs_training():
    model, tested = line(), (X[:3] + 0.1, Y[:3])
    for epoch in fit(model, test=tested):
        assert epoch.test_loss == pytest.approx(
            nn.mse_loss(model(tested[0]), tested[1]).item(), rel=1e-12
        )


def test_the_test_accuracy_is_the_share_of_examples_named_rightly():
    model, tested = classifier(), classes(7, seed=1)
    for epoch in fit(model, loss=nn.cross_entropy, x=classes()[0], y=classes()[1], test=tested):
        assert epoch.test_accuracy == np.mean(model(tested[0]).data.argmax(1) == tested[1])


def test_testing_does_not_change_training():
    with_test, without = line(), line()
    list(fit(with_test, test=(X, Y)))
    list(fit(without))
    assert weights(with_test) == weights(without)


def test_without_a_test_there_are_no_results_of_one():
    assert [(epoch.test_loss, epoch.test_accuracy) for epoch in fit(line(), epochs=1)] == [
        (None, None)
    ]


@pytest.mark.parametrize("y", [Y, Y.ravel(), np.arange(10)[:, None], np.arange(10) > 4])
def test_a_regression_has_no_accuracy(y):
    def loss(prediction, target):
        return nn.mse_loss(prediction.reshape(target.shape), target)

    assert train.evaluate(line(), loss, X, y)[1] is None


def test_a_regression_on_whole_numbers_has_no_accuracy():
    model = line()
    assert train.evaluate(lambda x: model(x).ravel(), nn.mse_loss, X, np.arange(10))[1] is None


# What a model gives for ten examples, and the correct targets.
TEN = np.arange(10)
# From the sixth row on, the second is larger.
TWO_COLUMNS = np.stack([-TEN + 4.5, TEN - 4.5], axis=1)
CLASSLESS = {
    "one column and two classes": ((TEN - 4.5)[:, None], (TEN > 4).astype(int)),
    "one column and labels -1 and 1": ((TEN - 4.5)[:, None], np.where(TEN > 4, 1, -1)),
    "one column and one class": (TEN[:, None] * 1.0, TEN * 0),
    "two columns and labels -1 and 1": (TWO_COLUMNS, np.where(TEN > 4, 1, -1)),
    "one column and whole numbers": (TEN[:, None] * 1.0, TEN),
    "two columns, a mean and a spread, and whole numbers": (TWO_COLUMNS, TEN),
    "two columns and labels from 1": (TWO_COLUMNS, (TEN > 4) + 1),
    "no column and two classes": (TEN - 4.5, (TEN > 4).astype(int)),
    "several columns and one-hot labels": (
        TWO_COLUMNS,
        np.eye(2, dtype=int)[(TEN > 4).astype(int)],
    ),
    "several columns and float labels": (TWO_COLUMNS, (TEN > 4) * 1.0),
    "a column of labels": (TWO_COLUMNS, (TEN > 4).astype(int)[:, None]),
    "a sequence for each example": (TWO_COLUMNS[:, None, :], (TEN > 4).astype(int)),
    "no columns at all": (np.zeros((10, 0)), np.zeros(10, int)),
}


def told(outputs):
    """A model that looks up its outputs by the number of the example."""
    return lambda x: Value(np.asarray(outputs, float)[np.asarray(x, int)])


def no_loss(output, target):
    return Value(0.0)


@pytest.mark.parametrize("batch_size", [3, 1000])
@pytest.mark.parametrize("case", CLASSLESS)
def test_where_there_are_no_classes_there_is_no_accuracy(case, batch_size):
    outputs, labels = CLASSLESS[case]
    assert train.evaluate(told(outputs), no_loss, TEN, labels, batch_size)[1] is None


def test_a_label_out_of_range_in_the_last_batch_leaves_no_accuracy():
    labels = (TEN > 4).astype(int)
    labels[-1] = 2
    assert train.evaluate(told(TWO_COLUMNS), no_loss, TEN, labels, 3)[1] is None


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_two_columns_and_two_classes_have_an_accuracy(dtype):
    labels = (TEN > 3).astype(dtype)
    assert train.evaluate(told(TWO_COLUMNS), no_loss, TEN, labels, 3)[1] == 0.9


def test_an_output_of_nan_names_no_class():
    outputs = np.array(TWO_COLUMNS)
    # argmax takes nan for the largest, so in one of the two rows the second column would be right.
    outputs[[0, 9], 1] = np.nan
    assert train.evaluate(told(outputs), no_loss, TEN, (TEN > 4).astype(int))[1] == 0.8
    assert train.evaluate(told(outputs * np.nan), no_loss, TEN, np.zeros(10, int))[1] == 0.0


def test_a_model_that_gives_arrays_has_an_accuracy_too():
    labels = (TEN > 4).astype(int)
    assert train.evaluate(lambda x: TWO_COLUMNS[x], no_loss, TEN, labels)[1] == 1.0


@pytest.mark.parametrize("batch_size", [1, 3, 10, 1000])
def test_evaluating_in_batches_is_evaluating_at_once(batch_size):
    model, (x, y) = classifier(), classes()
    logits = model(x)
    loss, accuracy = train.evaluate(model, nn.cross_entropy, x, y, batch_size)
    assert (loss, accuracy) == (
        pytest.approx(nn.cross_entropy(logits, y).item(), rel=1e-12),
        np.mean(logits.data.argmax(1) == y),
    )


def test_evaluating_records_nothing():
    operations = []

    def model(x):
        out = line()(x)
        operations.append(out.op)
        return out

    train.evaluate(model, nn.mse_loss, X, Y)
    assert operations == [None]


def test_evaluating_leaves_gradients_and_weights_alone():
    model = line()
    train.evaluate(model, nn.mse_loss, X, Y)
    assert (weights(model), [p.grad for p in model.parameters()]) == (weights(line()), [None, None])


@pytest.mark.parametrize(("x", "y"), [(X, Y[:-1]), (X[:0], Y[:0])])
def test_evaluating_refuses_what_cannot_be_batched(x, y):
    with pytest.raises(ValueError, match="example"):
        train.evaluate(line(), nn.mse_loss, x, y)


# ── Refused at once ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "number of epochs of at least 0, but got -1"),
        ({"epochs": 1.5}, TypeError, "number of epochs that is an integer, but got 1.5"),
        ({"epochs": True}, TypeError, "number of epochs that is an integer, but got True"),
        ({"epochs": "3"}, TypeError, "number of epochs that is an integer, but got '3'"),
        ({"epochs": None}, TypeError, "number of epochs that is an integer, but got None"),
        ({"batch_size": 0}, ValueError, "batch size of at least 1, but got 0"),
        ({"batch_size": 2.0}, TypeError, "batch size that is an integer, but got 2.0"),
        ({"y": Y[:-1]}, ValueError, r"examples of shape \(10, 1\) and labels of \(9, 1\)"),
        ({"x": X[:0], "y": Y[:0]}, ValueError, "at least one example"),
        ({"test": (X, Y[:-1])}, ValueError, r"examples of shape \(10, 1\) and labels of \(9, 1\)"),
        ({"test": (X[:0], Y[:0])}, ValueError, "at least one example"),
        ({"test": (X,)}, TypeError, r"the pair \(x, y\), but got tuple"),
        ({"test": X[:2]}, TypeError, r"the pair \(x, y\), but got ndarray"),
        ({"rng": 0}, TypeError, r"such as np\.random\.default_rng\(0\), but got 0"),
    ],
    ids=str,
)
def test_fit_refuses_when_it_is_called_what_it_cannot_train_with(options, error, message):
    with pytest.raises(error, match=message):
        fit(line(), **options)


@pytest.mark.parametrize(
    "made", [lambda prediction: prediction, lambda prediction: 1.0, lambda prediction: None]
)
def test_a_loss_that_is_no_value_of_one_element_is_refused(made):
    with pytest.raises(TypeError, match="a loss that is a Value of one element"):
        next(fit(line(), loss=lambda prediction, target: made(prediction)))


def test_an_optimizer_of_another_model_is_refused():
    with pytest.raises(ValueError, match="depends on no parameter of the optimizer"):
        next(fit(line(), optimizer=SGD(line().parameters(), lr=0.1)))


def test_a_parameter_that_the_loss_does_not_use_stays_where_it_is():
    model, unused = line(), Value(5.0)
    list(fit(model, optimizer=SGD([unused, *model.parameters()], lr=0.1)))
    assert unused.data == 5.0


def test_training_where_nothing_is_recorded_is_refused():
    with no_grad(), pytest.raises(ValueError, match=r"nothing was recorded: .* no_grad"):
        next(fit(line()))


# ── Divergence ────────────────────────────────────────────────────────────────────────────────────


def breaking(at, number, model):
    """A loss that is `number` in call number `at`, and the list of the weights before each call."""
    before = []

    def loss(prediction, target):
        before.append(weights(model))
        return nn.mse_loss(prediction, target) * (number if len(before) == at else 1.0)

    return loss, before


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_training_and_says_where_and_what_to_do(number):
    model = line()
    loss, _ = breaking(5, number, model)
    with pytest.raises(
        train.DivergedError, match=rf"became {number} in epoch 2, batch 2: .* smaller than 0\.1"
    ):
        list(fit(model, loss=loss))


def test_a_loss_that_is_not_finite_from_the_beginning_says_to_look_at_the_data():
    with pytest.raises(train.DivergedError, match=r"became nan in epoch 1, batch 1: .* the data"):
        next(fit(line(), x=X * math.nan))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_does_not_reach_the_weights(number):
    model = line()
    loss, before = breaking(5, number, model)
    with pytest.raises(train.DivergedError):
        list(fit(model, loss=loss))
    assert weights(model) == before[-1]


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("lr", [3.0, 30.0])
def test_a_learning_rate_that_is_too_large_ends_with_finite_weights(lr):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(1, 8, rng=rng), nn.ReLU(), nn.Linear(8, 1, rng=rng))
    with pytest.raises(train.DivergedError):
        list(
            fit(
                model,
                optimizer=SGD(model.parameters(), lr=lr),
                x=X.astype(np.float32),
                y=Y.astype(np.float32),
                epochs=500,
            )
        )
    assert all(np.isfinite(p.data).all() for p in model.parameters())


def test_divergence_is_an_arithmetic_error():
    assert issubclass(train.DivergedError, ArithmeticError)


# ── What training leaves behind ───────────────────────────────────────────────────────────────────


def test_what_the_caller_computes_between_epochs_is_recorded():
    assert [(Value(2.0) ** 2).op for _ in fit(line(), test=(X, Y))] == ["power"] * 3


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("test", [None, (X, Y)])
def test_no_graph_survives_its_step(test):
    losses, alive = [], []

    def loss(prediction, target):
        alive.extend(each() for each in losses if each() is not None)
        out = nn.mse_loss(prediction, target)
        losses.extend(map(weakref.ref, (prediction, out)))
        return out

    for _ in fit(line(), loss=loss, test=test):
        alive.extend(each() for each in losses if each() is not None)
    assert (len(losses) >= 18, alive) == (True, [])


# ── Convergence ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("losses", "options", "expected"),
    [
        ([], {}, False),
        ([1.0] * 5, {}, False),  # five numbers make only four steps
        ([1.0] * 6, {}, True),
        (np.ones(6), {}, True),
        ([1.0] * 3, {"window": 2}, True),
        ([9.0, 8.0, 7.0, 1.0, 1.0, 1.0], {"window": 2}, True),
        ([9.0, 8.0, 7.0, 1.0, 1.0, 1.0], {"window": 3}, False),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.002], {}, False),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0005], {}, True),
        # The change counts relative to the loss.
        ([1000.0, 1000.0, 1000.0, 1000.0, 1000.0, 1000.5], {}, True),
        ([1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 2e-9], {}, False),
        ([1.0, 1.1, 1.0, 1.1, 1.0, 1.1], {}, False),  # it swings back and forth
        ([1.0, 1.1, 1.0, 1.1, 1.0], {"window": 4}, False),
        ([1.0, 1.1, 1.0, 1.1, 1.0, 1.1], {"tolerance": 0.1}, True),
        ([1.0, 0.9995, 0.999, 0.9985, 0.998, 0.9975], {}, False),  # small changes that add up
        ([0.0] * 6, {}, True),
        ([0.0] * 6, {"tolerance": 0}, True),
        ([-2.0] * 6, {}, True),
        ([math.nan] * 6, {}, False),
        ([math.inf] * 6, {}, False),
        ([math.nan] + [1.0] * 6, {}, True),  # the nan was long ago
    ],
)
def test_descent_has_converged_when_the_loss_stays_within_a_narrow_band(losses, options, expected):
    assert train.has_converged(losses, **options) is expected


@pytest.mark.parametrize(
    "options",
    [{"window": 0}, {"window": -1}, {"tolerance": -1e-3}, {"tolerance": math.nan}],
    ids=str,
)
def test_convergence_within_no_window_or_no_band_is_refused(options):
    with pytest.raises(
        ValueError, match=r"(a window of at least 1|tolerance to be 0 or more, and finite), but got"
    ):
        train.has_converged([1.0] * 6, **options)


def test_a_loop_can_stop_when_the_loss_has_converged():
    losses = []
    for epoch in fit(line(), y=Y + 0.1 * np.sin(20 * X), batch_size=10, epochs=1000):
        losses.append(epoch.loss)
        if train.has_converged(losses):
            break
    assert 10 < len(losses) < 500


# ── It learns ─────────────────────────────────────────────────────────────────────────────────────


def test_a_line_is_found():
    model = line()
    list(fit(model, optimizer=SGD(model.parameters(), lr=0.3), epochs=60))
    assert (model.weight.item(), model.bias.item()) == pytest.approx((3, -2), abs=1e-6)


def test_the_loss_falls_from_epoch_to_epoch():
    losses = [epoch.loss for epoch in islice(fit(line(), epochs=10), 10)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize(
    ("sizes", "epochs", "settings"),
    [((784, 10), 2, {"lr": 0.1}), ((784, 16, 16, 10), 5, {"lr": 0.02, "momentum": 0.9})],
    ids=lambda x: "→".join(map(str, x)) if isinstance(x, tuple) else "",
)
def test_a_network_learns_to_read_digits(sizes, epochs, settings):
    rng = np.random.default_rng(0)
    layers = [layer for ends in pairwise(sizes) for layer in (nn.Linear(*ends, rng=rng), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    (x, y), tested = data.digits()
    optimizer = SGD(model.parameters(), **settings)
    *_, last = train.fit(
        model, nn.cross_entropy, optimizer, x, y, epochs=epochs, rng=rng, test=tested
    )
    assert last.test_accuracy >= 0.80


@pytest.mark.parametrize("rng", [0, 1, np.random, np.random.RandomState(0)])
def test_a_random_generator_of_another_kind_is_a_type_error(rng):
    with pytest.raises(TypeError, match="default_rng"):
        train.fit(line(), nn.mse_loss, SGD([Value(0.0)], lr=0.1), X, Y, epochs=1, rng=rng)


def test_a_gradient_that_overflows_stops_training_before_it_reaches_the_weights():
    rng = np.random.default_rng(26)
    # The model is float32, the data float64.
    model = nn.Sequential(nn.Linear(1, 8, rng=rng), nn.ReLU(), nn.Linear(8, 1, rng=rng))
    with np.errstate(all="ignore"), pytest.raises(train.DivergedError, match=r"gradient .* epoch"):
        list(
            train.fit(
                model,
                nn.mse_loss,
                SGD(model.parameters(), lr=30.0),
                X,
                Y,
                epochs=3,
                batch_size=4,
                rng=rng,
            )
        )
    assert all(np.isfinite(p.data).all() for p in model.parameters())


class _Still(train.Optimizer):
    """Moves nothing, and keeps the numbers as they are."""

    def nudge(self, number, gradient, state):
        return 0.0 * number, state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [None, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_a_gradient_whose_squares_overflow_is_finite_unless_an_element_is_not(dtype, bad, layout):
    gradient = np.full((20, 30), np.finfo(dtype).max, dtype, order=layout)
    gradient[::2] *= -1
    if bad is not None:
        gradient[3, 4] = bad
    weight = Value(np.ones((20, 30), dtype))

    def put(optimizer):
        weight.grad = gradient.copy("K")

    training = train.fit(
        lambda x: x * weight.sum(),
        nn.mse_loss,
        _Still([weight], lr=1.0),
        np.ones(2, dtype),
        np.ones(2, dtype),
        epochs=1,
        before_step=put,
    )
    if bad is None:
        assert [epoch.number for epoch in training] == [1]
    else:
        with pytest.raises(train.DivergedError, match="a gradient became infinite or nan"):
            next(training)


def test_a_result_that_a_module_keeps_is_no_parameter_even_when_it_was_not_recorded():
    class Keeping(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1, rng=np.random.default_rng(0))

        def forward(self, x):
            self.hidden = self.layer(x)
            return self.hidden

    model = Keeping()
    train.evaluate(model, nn.mse_loss, X, Y)
    assert list(model.state_dict()) == ["layer.weight", "layer.bias"]


def test_a_window_of_a_small_integer_type_is_the_window_it_says():
    assert train.has_converged([1.0] * 9, window=np.uint8(5))


@pytest.mark.parametrize("loss", [lambda out, y: 1.0, lambda out, y: None, lambda out, y: out])
def test_evaluating_takes_a_loss_that_is_one_value(loss):
    with pytest.raises(TypeError, match="expected a loss that is a Value of one element"):
        train.evaluate(nn.Linear(3, 2), loss, np.ones((4, 3)), np.zeros(4, int))


def test_a_nan_in_the_data_is_looked_for_in_the_data():
    x, y = np.ones((40, 3), np.float32), np.zeros(40, int)
    x[33] = np.nan
    model = nn.Linear(3, 2)
    with pytest.raises(train.DivergedError, match="look at the data, because there is nan"):
        list(
            train.fit(
                model,
                nn.cross_entropy,
                SGD(model.parameters(), lr=0.1),
                x,
                y,
                epochs=1,
                batch_size=4,
                rng=np.random.default_rng(0),
            )
        )
    model = nn.Linear(3, 2)
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            train.DivergedError, match=r"inf in epoch 1, batch 1: scale the data, .* 1e\+30$"
        ),
    ):
        list(
            train.fit(
                model,
                nn.mse_loss,
                SGD(model.parameters(), lr=0.1),
                x[:4] * 1e30,
                x[:4, :2],
                epochs=1,
            )
        )


@pytest.mark.parametrize("moment", ["__enter__", "__exit__"])
def test_ctrl_c_at_the_moment_when_no_grad_begins_or_ends_leaves_recording_on_after_an_evaluation(
    moment, monkeypatch
):
    def interrupted(self, *exception):
        if moment == "__enter__":
            enter(self)  # now the mode is switched, and nothing will switch it back
        raise KeyboardInterrupt

    enter = recording.__enter__
    monkeypatch.setattr(recording, moment, interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.evaluate(nn.Linear(3, 2), nn.cross_entropy, np.ones((4, 3)), np.zeros(4, int))
    assert (Value(1.0) * 2.0).op == "multiply"


# ── What fit says ─────────────────────────────────────────────────────────────────────────────────


def test_training_that_nobody_loops_over_warns_at_the_line_that_asked_for_it():
    def forgotten():
        train.fit(line(), nn.mse_loss, SGD(line().parameters(), lr=0.1), X, Y, epochs=1)

    with pytest.warns(
        RuntimeWarning, match=r"train\.fit has trained nothing: it trains while you loop over it"
    ) as warned:
        forgotten()
    assert [(w.filename, w.lineno) for w in warned] == [
        (__file__, forgotten.__code__.co_firstlineno + 1)
    ]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("loop", [list, next, lambda epochs: [next(epochs), epochs.close()]])
def test_training_that_is_looped_over_does_not_warn(loop):
    model = line()
    loop(fit(model, epochs=2))
    assert weights(model) != weights(line())


@pytest.mark.filterwarnings("error")
def test_training_that_is_refused_at_once_does_not_warn():
    with pytest.raises(ValueError, match="example"):
        fit(line(), x=X[:0], y=Y[:0])


class Halving:
    """A custom optimizer that has what fit needs."""

    def __init__(self, parameters):
        self.parameters, self.lr = parameters, 0.1

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        for p in self.parameters:
            p.data -= self.lr * np.sign(p.grad)


def test_an_optimizer_of_ones_own_trains():
    model = line()
    first, *_, last = fit(model, optimizer=Halving(model.parameters()), epochs=20)
    assert last.loss < first.loss


@pytest.mark.parametrize(
    ("lacks", "named"),
    [(["parameters"], "parameters"), (["lr"], "lr"), (["zero_grad", "step"], "zero_grad, step")],
)
def test_an_optimizer_that_lacks_something_is_told_what_fit_needs(lacks, named):
    everything = {
        "parameters": [],
        "lr": 0.1,
        "zero_grad": lambda self: None,
        "step": lambda self: None,
    }
    kind = type("Adam", (), {name: x for name, x in everything.items() if name not in lacks})
    with pytest.raises(
        TypeError, match=rf"a list of parameters, a number lr, .* got .*, which lacks {named}$"
    ):
        fit(line(), optimizer=kind())


def test_a_class_in_place_of_an_optimizer_is_told_to_be_called():
    with pytest.raises(TypeError, match="got the class SGD: call it, with the parameters"):
        fit(line(), optimizer=SGD)


@pytest.mark.parametrize("where", ["x", "y"])
def test_masked_examples_are_refused(where):
    masked = {where: np.ma.array(X, mask=X > 0.5)}
    with pytest.raises(TypeError, match="masked array, whose mask would be lost"):
        fit(line(), **masked)


def logarithm_of_nothing(prediction, target):
    return np.log(nn.mse_loss(prediction, target) * 0.0)


def words(lr=0.1, **options):
    """What training says when it diverges."""
    model = line()
    with np.errstate(all="ignore"), pytest.raises(train.DivergedError) as refused:
        list(fit(model, optimizer=SGD(model.parameters(), lr=lr), **options))
    return str(refused.value)


def test_a_logarithm_of_0_at_the_first_step_is_not_laid_to_the_learning_rate():
    said = words(loss=logarithm_of_nothing)
    assert "learning rate" not in said
    assert "look in the model, the loss and the data for a log or a division of 0" in said


def test_a_logarithm_of_0_with_small_parameters_comes_before_the_learning_rate():
    calls = []

    def loss(prediction, target):
        calls.append(1)
        return (
            nn.mse_loss(prediction, target)
            if len(calls) < 5
            else logarithm_of_nothing(prediction, target)
        )

    said = words(loss=loss)
    assert said.index("a log or a division of 0") < said.index("learning rate smaller than 0.1")
    assert "no parameter is larger than" in said


def test_parameters_that_have_run_away_are_laid_to_the_learning_rate():
    assert re.search(
        r"the largest parameter is \S+e\+\d+, so try a learning rate smaller than 10$",
        words(lr=10.0, epochs=1000),
    )


def test_features_that_are_not_scaled_are_named():
    said = words(x=X * 1e5, epochs=100, batch_size=10)
    assert said.endswith(
        "try a learning rate smaller than 0.1, or scale the data, in which the largest number is 1e+05"
    )


def test_a_second_training_that_diverges_is_laid_to_the_learning_rate():
    model = line()
    optimizer = SGD(model.parameters(), lr=200.0)

    def again_and_again():
        while True:
            list(fit(model, optimizer=optimizer, epochs=1))

    with (
        np.errstate(all="ignore"),
        pytest.raises(train.DivergedError, match="so try a learning rate smaller than 200"),
    ):
        again_and_again()


def test_training_on_booleans_that_goes_wrong_says_so():
    model = nn.Linear(2, 1)
    x = np.array([[False, True], [True, False]])
    with (
        np.errstate(all="ignore"),
        pytest.raises(train.DivergedError, match="no step was made yet"),
    ):
        list(
            train.fit(
                model,
                lambda out, y: out.sum() * math.inf,
                SGD(model.parameters(), lr=0.1),
                x,
                x[:, 0],
                epochs=1,
                batch_size=2,
            )
        )


def test_a_nan_among_targets_that_are_floats_is_named():
    assert "infinity in the targets" in words(y=Y * math.nan)


def test_a_model_that_gives_several_outputs_is_evaluated():
    w = Value(2.0)
    loss, accuracy = train.evaluate(
        lambda x: (w * x, w), lambda out, y: nn.mse_loss(out[0], y), X, 2.0 * X
    )
    assert (loss, accuracy) == (0.0, None)


def test_outputs_for_other_examples_than_there_are_have_no_accuracy():
    labels = (TEN > 4).astype(int)
    assert train.evaluate(lambda x: Value(TWO_COLUMNS[:1]), no_loss, TEN, labels)[1] is None


def test_a_model_that_returns_nothing_is_named():
    model = line()
    with pytest.raises(
        TypeError, match="the model returned None: its forward has to return what it computes"
    ):
        list(
            train.fit(lambda x: None, nn.mse_loss, SGD(model.parameters(), lr=0.1), X, Y, epochs=1)
        )


def test_a_loss_that_pairs_each_output_with_all_targets_warns_once():
    def own(prediction, target):
        return np.mean((prediction - target) ** 2)

    with pytest.warns(
        RuntimeWarning, match=r"subtract of shapes \(5, 1\) and \(5,\), which broadcast to \(5, 5\)"
    ) as warned:
        list(fit(line(), loss=own, y=Y.ravel(), batch_size=5, epochs=2))
    assert len(warned) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "loss",
    [
        lambda out, y: nn.mse_loss(out[:, 0], y),
        lambda out, y: ((out[:, 0] - y) ** 2).mean(),
        lambda out, y: ((out - out.T) ** 2).mean(),  # differences between all pairs
        lambda out, y: (out * y.sum()).mean(),
    ],
)
def test_a_loss_that_pairs_outputs_with_targets_rightly_does_not_warn(loss):
    (epoch,) = fit(line(), loss=loss, y=Y.ravel(), batch_size=5, epochs=1)
    assert math.isfinite(epoch.loss)


def test_an_optimizer_whose_step_changes_nothing_is_warned_of():
    class Renaming(Halving):
        def step(self):
            for p in self.parameters:
                p = p - self.lr * p.grad

    model = line()
    with pytest.warns(
        RuntimeWarning,
        match=r"step\(\) changed no parameter in epoch 1, batch 1: to change one, write p\.data",
    ):
        list(fit(model, optimizer=Renaming(model.parameters()), epochs=1))


@pytest.mark.filterwarnings("error")
def test_a_learning_rate_of_0_changes_nothing_and_is_not_warned_of():
    model = line()
    list(fit(model, optimizer=SGD(model.parameters(), lr=0.0), epochs=1))
    assert weights(model) == weights(line())


def test_an_optimizer_whose_zero_grad_leaves_gradients_is_refused():
    class Adding(Halving):
        def zero_grad(self):
            pass

    model = line()
    with pytest.raises(ValueError, match=r"zero_grad\(\) left gradients"):
        list(fit(model, optimizer=Adding(model.parameters()), epochs=1))


def test_training_a_model_that_is_in_evaluation_warns():
    with pytest.warns(
        RuntimeWarning,
        match=r"the model is in evaluation, as after eval\(\): model\.train\(\) ends that",
    ):
        list(fit(line().eval(), epochs=1))


# ── Two classes ──────────────────────────────────────────────────────────────────────────────────
BINARY = nn.binary_cross_entropy_with_logits


@pytest.mark.parametrize("dtype", [int, bool, np.uint8, np.float32, float])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_two_classes_are_told_apart_at_logit_0(dtype, shape):
    logits = np.array([2.0, -3.0, 0.5, -0.5, 0.0, 0.0]).reshape(shape)
    targets = np.array([1, 0, 0, 1, 0, 1]).astype(dtype).reshape(shape)
    loss, accuracy = train.evaluate(lambda x: Value(logits), BINARY, logits, targets)
    assert accuracy == 3 / 6  # a logit of 0 says class 0
    assert loss == BINARY(logits, targets)


def test_a_logit_that_is_nan_is_wrong_whatever_the_target():
    logits = np.array([np.nan, np.nan, 1.0])
    _, accuracy = train.evaluate(lambda x: Value(x), BINARY, logits, np.array([0, 1, 1]))
    assert accuracy == 1 / 3


def test_the_accuracy_of_two_classes_is_over_all_mini_batches():
    logits = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    targets = np.array([1, 0, 0, 1, 1])
    _, accuracy = train.evaluate(lambda x: Value(x), BINARY, logits, targets, batch_size=2)
    assert accuracy == 3 / 5


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        ([1.0, -1.0], [0.5, 1.0]),  # probabilities
        ([[1.0, -1.0], [1.0, 1.0]], [[0, 1], [1, 0]]),  # several answers for each example
    ],
)
def test_without_two_classes_the_binary_loss_has_no_accuracy(logits, targets):
    loss, accuracy = train.evaluate(lambda x: Value(x), BINARY, logits, targets)
    assert accuracy is None
    assert loss == BINARY(logits, targets)


def test_another_loss_of_the_same_targets_has_no_accuracy_of_two_classes():
    def loss(logits, targets):
        return nn.mse_loss(logits, targets)

    assert train.evaluate(lambda x: Value(x), loss, [1.0, 2.0], [1.0, 0.0])[1] is None


def test_fit_gives_the_accuracy_of_two_classes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2))
    y = (x[:, :1] > x[:, 1:]).astype(int)
    model = nn.Linear(2, 1, rng=rng)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    fit = train.fit(model, BINARY, optimizer, x, y, epochs=20, rng=rng, test=(x, y))
    accuracies = [epoch.test_accuracy for epoch in fit]
    assert accuracies[-1] > 0.95


# ── before_step ──────────────────────────────────────────────────────────────────────────────────
def linear_fit(**options):
    x = np.linspace(-1, 1, 10)[:, None]
    model = nn.Linear(1, 1, rng=np.random.default_rng(0), dtype=np.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    rng = np.random.default_rng(0)
    records = train.fit(
        model, nn.mse_loss, optimizer, x, 3 * x, epochs=2, batch_size=5, rng=rng, **options
    )
    return model, optimizer, records


def test_before_step_is_called_with_the_optimizer_between_backward_and_step():
    seen = []

    def look(given):
        nudges = [np.array(nudge) for nudge in given.nudges()]
        seen.append((given, [p.data.copy() for p in given.parameters], nudges))

    model, optimizer, records = linear_fit(before_step=look)
    list(records)
    assert len(seen) == 4
    assert all(given is optimizer for given, _, _ in seen)
    ends = [*(weights for _, weights, _ in seen[1:]), [p.data for p in model.parameters()]]
    for (_, weights, nudges), after in zip(seen, ends, strict=True):
        for old, nudge, new in zip(weights, nudges, after, strict=True):
            assert np.any(nudge)
            np.testing.assert_array_equal(old + nudge, new)


def test_gradients_that_before_step_clips_make_the_step():
    norms = []

    def clip(given):
        optim.clip_grad_norm(given.parameters, 0.01)
        norms.append(np.sqrt(sum(np.sum(p.grad**2) for p in given.parameters)))

    model, _, records = linear_fit(before_step=clip)
    before = nn.parameters_to_vector(model.parameters())
    list(records)
    moved = nn.parameters_to_vector(model.parameters()) - before
    assert norms == pytest.approx([0.01] * 4, rel=1e-4)
    assert 0 < np.linalg.norm(moved) <= 4 * 0.1 * 0.01


def test_before_step_may_mend_a_gradient_that_is_nan_and_one_left_is_found():
    def broken(given):
        given.parameters[0].grad[...] = np.nan

    def mend(given):
        broken(given)
        for p in given.parameters:
            p.grad = np.nan_to_num(p.grad)

    list(linear_fit(before_step=mend)[2])
    model, _, records = linear_fit(before_step=broken)
    before = nn.parameters_to_vector(model.parameters())
    with pytest.raises(train.DivergedError, match="a gradient became infinite or nan"):
        list(records)
    np.testing.assert_array_equal(nn.parameters_to_vector(model.parameters()), before)


@pytest.mark.parametrize("wrong", [1.0, "clip", [len]])
def test_before_step_that_is_no_function_is_refused_at_once(wrong):
    with pytest.raises(TypeError, match="before_step to be a function of the optimizer"):
        linear_fit(before_step=wrong)


# ── Features of different sizes ──────────────────────────────────────────────────────────────────
def fit_on(x):
    model = nn.Linear(np.shape(x)[-1], 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    list(train.fit(model, nn.mse_loss, optimizer, x, np.ones((len(x), 1)), epochs=0))


@pytest.mark.parametrize("dtype", [float, np.float32, int])
@pytest.mark.parametrize("sign", [1, -1])
def test_features_that_differ_by_more_than_a_thousand_in_size_are_said_once(dtype, sign):
    x = np.array([[1, 0, 1001], [-1, 0, -5]]).astype(dtype) * sign
    message = "the largest number is 1e\\+03 in one column of x, and 1 in another. data.standardize"
    with pytest.warns(RuntimeWarning, match=message) as warned:
        fit_on(x)
    assert len(warned) == 1
    assert "\n" not in str(warned[0].message)
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    "x",
    [
        [[1.0, 1000.0], [0.5, 2.0]],  # a thousand, and not more
        [[0.0, 5000.0], [0.0, 1.0]],  # a column of zeros
        [[1e9, 2e9], [1e9, 2e9]],
        [[0.0, 0.0]],
        [[np.inf, 1.0]],
        [[np.nan, 1.0]],
        np.ones((2, 3, 4)) * [1.0, 2.0, 3.0, 1e5],  # not columns of features
    ],
)
def test_other_features_give_no_warning(x, recwarn):
    fit_on(x)
    assert list(recwarn) == []


def test_the_digits_give_no_warning(recwarn):
    fit_on(data.digits().train.x)
    assert list(recwarn) == []
