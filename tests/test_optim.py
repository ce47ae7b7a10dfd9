"""Optimizers: where a step leads, what it leaves unchanged, which settings it refuses; one's own."""

import copy
import inspect
import math

import numpy as np
import pytest

from microgd import Value, nn, optim, train
from microgd.optim import SGD

SETTINGS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.05},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.05},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    {"lr": 0.05, "momentum": 0.5, "nesterov": True, "weight_decay": 0.05},
]
every_setting = pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items())
)
every_dtype = pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)]
)


def some_parameters(dtype="float64"):
    """A vector, a matrix and a number."""
    rng = np.random.default_rng(0)
    return [Value(rng.normal(size=shape).astype(dtype)) for shape in ((3,), (2, 3), ())]


def give_gradients(parameters, rng):
    for p in parameters:
        p.grad = rng.normal(size=p.shape).astype(p.dtype) if p.shape else rng.normal()


def copies(parameters):
    return [np.array(p.data) for p in parameters]


def assert_close(got, expected, tolerance):
    for mine, reference in zip(got, expected, strict=True):
        assert np.abs(mine - reference).max() <= tolerance * np.abs(reference).max()


# ── Where a step leads ────────────────────────────────────────────────────────────────────────────


def by_hand(p, gradients, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
    """Where SGD takes one number, in plain Python. A gradient of None is a step without one."""
    velocity = None
    for g in gradients:
        if g is None:
            continue
        g += weight_decay * p
        velocity = g if velocity is None else momentum * velocity + g
        p -= lr * (g + momentum * velocity) if nesterov else lr * velocity
    return p


@every_setting
@every_dtype
def test_fifty_steps_lead_where_the_formula_says(settings, dtype, tolerance):
    rng = np.random.default_rng(1)
    parameters = some_parameters(dtype)
    starts = copies(parameters)
    optimizer = SGD(parameters, **settings)
    given = [[] for _ in parameters]
    for _ in range(50):
        give_gradients(parameters, rng)
        for p, gradients in zip(parameters, given, strict=True):
            p.grad = None if rng.random() < 0.2 else p.grad
            gradients.append(p.grad)
        if any(p.grad is not None for p in parameters):
            optimizer.step()
    for p, start, gradients in zip(parameters, starts, given, strict=True):
        expected = np.empty(p.shape)
        for index in np.ndindex(p.shape):
            numbers = [None if g is None else float(np.asarray(g)[index]) for g in gradients]
            expected[index] = by_hand(float(start[index]), numbers, **settings)
        assert_close([p.data], [expected], tolerance)


def test_a_learning_rate_set_between_steps_holds_from_the_next_one():
    p = Value(0.0)
    optimizer = SGD([p], lr=0.5)
    way = []
    for optimizer.lr in (0.5, 0.25, 0):
        p.grad = 1.0
        optimizer.step()
        way.append(p.data)
    assert way == [-0.5, -0.75, -0.75]


@pytest.mark.parametrize("settings", SETTINGS[1::2])
def test_a_parameter_without_a_gradient_stays_where_it_is(settings):
    moved, resting = Value([1.0, 2.0]), Value([1.0, 2.0])
    optimizer = SGD([resting, moved], **settings)
    for _ in range(3):
        moved.grad = np.ones(2)
        optimizer.step()
    np.testing.assert_array_equal(resting.data, [1.0, 2.0])


def test_a_step_before_any_gradient_is_an_error_and_moves_nothing():
    parameters = some_parameters()
    before = copies(parameters)
    with pytest.raises(
        ValueError, match=r"no parameter has a gradient: call loss\.backward\(\) before step\(\)"
    ):
        SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1).step()
    assert_close(copies(parameters), before, 0.0)


@every_dtype
def test_a_step_keeps_dtypes_whatever_dtype_the_gradients_have(dtype, tolerance):
    parameters = some_parameters(dtype)
    for p in parameters:
        p.grad = np.ones(p.shape, np.float64) if p.shape else np.float32(1.0)
    SGD(
        parameters,
        lr=np.float64(0.1),
        momentum=np.float64(0.9),
        weight_decay=np.float64(0.1),
        nesterov=True,
    ).step()
    assert [(type(p.data), p.dtype) for p in parameters] == [
        (np.ndarray, dtype),
        (np.ndarray, dtype),
        (float, "float64"),
    ]


# ── What a step leaves unchanged ──────────────────────────────────────────────────────────────────


@every_setting
def test_a_step_does_not_disturb_what_was_computed_before(settings):
    p = Value([1.0, 2.0, 3.0])
    loss = (p**3).sum()
    p.grad = np.ones(3)
    SGD([p], **settings).step()
    p.grad = None
    loss.backward()
    np.testing.assert_allclose(p.grad, 3 * np.array([1.0, 4.0, 9.0]), rtol=1e-15)


def test_a_step_does_not_write_into_an_array_that_was_taken_from_a_parameter():
    p = Value([1.0, 2.0])
    taken = p.data
    p.grad = np.ones(2)
    SGD([p], lr=0.1).step()
    np.testing.assert_array_equal(taken, [1.0, 2.0])


def test_an_array_that_was_taken_from_a_parameter_cannot_be_written_into_in_vain_after_a_step():
    p = Value([1.0, 2.0])
    taken = p.data
    p.grad = np.ones(2)
    SGD([p], lr=0.1).step()
    with pytest.raises(ValueError, match="read-only"):
        taken[0] = 7.0


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((3, 4), (0, 1)), ((3, 4), (1, 0)), ((1, 4), (1, 0)), ((2, 3, 4), (2, 0, 1))],
)
def test_a_parameter_keeps_its_order_in_memory_whatever_its_gradients_order(shape, axes):
    p = Value(np.arange(float(np.prod(shape))).reshape(shape).transpose(axes))
    before = p.data.strides
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    for _ in range(2):
        (p.T**2).sum().backward()
        optimizer.step()
        assert p.data.strides == before


@every_setting
def test_steps_leave_the_gradients_as_they_are(settings):
    p = Value([1.0, 2.0])
    p.grad = np.array([3.0, 4.0])
    optimizer = SGD([p], **settings)
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(p.grad, [3.0, 4.0])


def test_writing_into_a_gradient_leaves_the_velocity_alone():
    p = Value([0.0])
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    p.grad = np.array([1.0])
    optimizer.step()
    p.grad[...] = 0.0
    optimizer.step()
    np.testing.assert_array_equal(p.data, [-1.5])


def test_zero_grad_sets_every_gradient_to_none():
    parameters = some_parameters()
    give_gradients(parameters, np.random.default_rng(0))
    SGD(parameters, lr=0.1).zero_grad()
    assert [p.grad for p in parameters] == [None] * 3


@pytest.mark.parametrize("shape", [(2,), (1,), (3, 1), ()])
@pytest.mark.parametrize("move", [SGD.step, SGD.nudges])
def test_a_gradient_of_another_shape_is_refused(shape, move):
    p = Value([1.0, 2.0, 3.0])
    p.grad = np.ones(shape)
    with pytest.raises(ValueError, match=r"a gradient of shape \(3,\), .* but got shape \(.*\)"):
        move(SGD([p], lr=0.1))


def test_a_refused_step_moves_no_parameter_and_no_velocity():
    first, second = Value(0.0), Value([0.0])
    optimizer = SGD([first, second], lr=1.0, momentum=0.5)
    first.grad, second.grad = 1.0, np.ones(2)
    with pytest.raises(ValueError, match="shape"):
        optimizer.step()
    second.grad = np.ones(1)
    optimizer.step()
    assert (first.data, second.data) == (-1.0, [-1.0])


# ── nudges ────────────────────────────────────────────────────────────────────────────────────────


@every_setting
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nudges_are_what_the_next_step_adds_bit_for_bit(settings, dtype):
    rng = np.random.default_rng(3)
    parameters = some_parameters(dtype)
    optimizer = SGD(parameters, **settings)
    for _ in range(3):
        give_gradients(parameters, rng)
        expected = [
            before + nudge
            for before, nudge in zip(copies(parameters), optimizer.nudges(), strict=True)
        ]
        optimizer.step()
        for p, after in zip(parameters, expected, strict=True):
            np.testing.assert_array_equal(p.data, after)


@every_setting
def test_asking_for_nudges_changes_no_step(settings):
    ways = []
    for asked in (0, 3):
        rng, parameters = np.random.default_rng(4), some_parameters()
        optimizer = SGD(parameters, **settings)
        for _ in range(4):
            give_gradients(parameters, rng)
            for _ in range(asked):
                optimizer.nudges()
            optimizer.step()
        ways.append(copies(parameters))
    assert_close(*ways, 0.0)


@every_setting
def test_writing_into_nudges_changes_no_step(settings):
    ways = []
    for spoiled in (False, True):
        rng, parameters = np.random.default_rng(5), some_parameters()
        optimizer = SGD(parameters, **settings)
        for _ in range(4):
            give_gradients(parameters, rng)
            for nudge in optimizer.nudges()[:2]:
                nudge += 1000.0 * spoiled
            optimizer.step()
        ways.append(copies(parameters))
    assert_close(*ways, 0.0)


def test_nudges_have_the_parameters_shapes_and_dtypes():
    parameters = some_parameters("float32")
    give_gradients(parameters[::2], np.random.default_rng(0))  # the middle one has no gradient
    nudges = SGD(parameters, lr=0.1, momentum=0.9).nudges()
    assert [(type(n), np.shape(n), getattr(n, "dtype", None)) for n in nudges] == [
        (np.ndarray, (3,), np.float32),
        (np.ndarray, (2, 3), np.float32),
        (float, (), None),
    ]


def test_the_nudge_of_a_parameter_without_a_gradient_is_zero():
    nudges = SGD([Value([1.0, -2.0]), Value(3.0)], lr=0.1, weight_decay=0.1).nudges()
    assert ([*nudges[0]], nudges[1]) == ([0.0, 0.0], 0.0)


def test_a_nudge_points_down_the_slope():
    p = Value([3.0, -2.0])
    (p**2).sum().backward()
    np.testing.assert_allclose(SGD([p], lr=0.1).nudges(), [[-0.6, 0.4]], rtol=1e-15)


# ── Refused settings ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
@pytest.mark.parametrize("number", [-0.1, -math.inf, math.inf, math.nan, np.float32(math.nan), -1])
def test_a_setting_that_is_negative_or_not_finite_is_refused_by_name(name, number):
    with pytest.raises(
        ValueError, match=f"expected {name} to be 0 or more, and finite, but got {number}"
    ):
        SGD([Value(1.0)], **{"lr": 0.1, name: number})


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
@pytest.mark.parametrize("number", ["0.1", None, True, [0.1], Value(0.1), 1j])
def test_a_setting_that_is_no_number_is_refused_by_name(name, number):
    with pytest.raises(TypeError, match=f"expected {name} to be a number"):
        SGD([Value(1.0)], **{"lr": 0.1, name: number})


@pytest.mark.parametrize(
    ("number", "error"),
    [(-0.1, ValueError), (math.nan, ValueError), (math.inf, ValueError), ("1", TypeError)],
)
def test_a_learning_rate_is_checked_when_it_is_set_and_the_old_one_stays(number, error):
    optimizer = SGD([Value(1.0)], lr=0.25)
    with pytest.raises(error, match="expected lr"):
        optimizer.lr = number
    assert optimizer.lr == 0.25


@pytest.mark.parametrize("number", [0, 1, 0.5, np.float32(0.5), np.int64(2)])
def test_any_real_number_that_is_not_negative_is_a_learning_rate(number):
    assert SGD([Value(1.0)], lr=number).lr == number


def test_a_setting_that_there_is_not_cannot_be_set():
    with pytest.raises(AttributeError, match="learning_rate"):
        SGD([Value(1.0)], lr=0.1).learning_rate = 0.2


@pytest.mark.parametrize("nesterov", ["no", 1, 0.0, None, np.array([True, False]), Value(1.0)])
def test_nesterov_is_true_or_false(nesterov):
    with pytest.raises(TypeError, match="nesterov to be True or False"):
        SGD([Value(1.0)], lr=0.1, momentum=0.9, nesterov=nesterov)
    optimizer = SGD([Value(1.0)], lr=0.1, momentum=0.9)
    with pytest.raises(TypeError, match="nesterov to be True or False"):
        optimizer.nesterov = nesterov
    assert optimizer.nesterov is False


def test_nesterov_may_be_numpys_true():
    assert SGD([Value(1.0)], lr=0.1, momentum=0.9, nesterov=np.True_).nesterov


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        SGD([Value(1.0)], lr=0.1, nesterov=True)


W = Value([1.0, 2.0])


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ([], ValueError, "at least one parameter"),
        (iter(()), ValueError, "at least one parameter"),
        ([W, W], ValueError, "one of them came again"),
        ([W, W * 2], ValueError, "leaves, but got one that multiply computed"),
        (W, TypeError, r"model\.parameters\(\), but got Value"),
        (nn.Linear(2, 1), TypeError, r"model\.parameters\(\), but got Linear"),
        (nn.Sequential(nn.Linear(2, 1)), TypeError, r"model\.parameters\(\), but got Sequential"),
        (nn.Linear(2, 1).state_dict(), TypeError, r"model\.parameters\(\), but got a dict"),
        (None, TypeError, r"model\.parameters\(\), but got None"),
        (nn.Linear(2, 1).named_parameters(), TypeError, "Values, but got a tuple"),
        ([W, np.ones(2)], TypeError, "Values, but got array"),
        ([[W]], TypeError, "Values, but got .Value"),
    ],
)
def test_what_are_no_parameters_is_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        SGD(parameters, lr=0.1)


def test_parameters_with_equal_numbers_are_no_duplicates():
    assert len(SGD([Value([1.0]), Value([1.0])], lr=0.1).parameters) == 2


def test_parameters_may_come_from_a_generator():
    p = Value(1.0)
    p.grad = 1.0
    SGD((each for each in [p]), lr=0.5).step()
    assert p.data == 0.5


def test_an_optimizer_shows_its_settings():
    shown = repr(SGD(nn.Linear(2, 1).parameters(), lr=0.1, momentum=0.9, nesterov=True))
    assert shown == "SGD(parameters=2, lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=True)"


def test_a_masked_array_as_a_grad_is_a_type_error_and_changes_nothing():
    p = Value([1.0, 2.0])
    p.grad = np.ma.array([1.0, 1.0], mask=[True, False])
    with pytest.raises(TypeError, match="masked"):
        SGD([p], lr=0.1).step()
    assert p.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("order", "other"), [("C", "F"), ("F", "C")])
def test_a_gradient_in_another_order_in_memory_moves_the_right_numbers_and_not_the_order(
    order, other
):
    numbers = np.arange(6.0).reshape(2, 3)
    p = Value(np.asarray(numbers, order=order))
    before = p.data.strides
    p.grad = np.asarray(numbers + 1.0, order=other)
    SGD([p], lr=1.0).step()
    np.testing.assert_array_equal(p.data, np.full((2, 3), -1.0))
    assert p.data.strides == before


@pytest.mark.parametrize(("dtype", "other"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_a_gradient_of_another_dtype_does_not_change_the_parameters(dtype, other):
    p = Value(np.ones(3, dtype))
    p.grad = np.ones(3, other)
    SGD([p], lr=0.5).step()
    np.testing.assert_array_equal(p.data, np.full(3, 0.5, dtype), strict=True)


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
@pytest.mark.parametrize(
    ("number", "error"),
    [(math.nan, ValueError), (-1.0, ValueError), ("a", TypeError), (None, TypeError)],
)
def test_a_setting_that_will_not_do_is_refused_after_the_beginning_too(name, number, error):
    optimizer = SGD([Value(1.0)], lr=0.1, momentum=0.5)
    before = repr(optimizer)
    with pytest.raises(error, match=f"expected {name} to be"):
        setattr(optimizer, name, number)
    assert repr(optimizer) == before


# ── Bit for bit what SGD was before it was an Optimizer ──────────────────────────────────────────


def step_of_old(numbers, gradient, velocity, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
    """SGD in NumPy's operations, in the order in which they were always made."""
    g = gradient
    if weight_decay:
        g = g + weight_decay * numbers
    if momentum:
        velocity = 1.0 * g if velocity is None else momentum * velocity + g
        g = g + momentum * velocity if nesterov else velocity
    nudge = g * -lr
    nudge += numbers
    return nudge, velocity


def bits(x):
    return np.asarray(x).tobytes("A")


@every_setting
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_sgd_computes_the_same_bits_as_ever(settings, dtype, order):
    rng = np.random.default_rng(6)
    other = "float32" if dtype == "float64" else "float64"
    shapes_and_dtypes = [((5, 7), dtype), ((9,), other), ((2,), dtype)]
    starts = [rng.normal(size=shape).astype(kind) for shape, kind in shapes_and_dtypes]
    starts.append(0.3)
    parameters = [Value(np.asarray(x, order=order)) for x in starts]
    optimizer = SGD(parameters, **settings)
    expected = [np.asarray(x, order=order) if np.ndim(x) else x for x in starts]
    velocities = [None] * 4
    for _ in range(6):
        give_gradients(parameters, rng)
        for i, p in enumerate(parameters):
            if p.shape:
                p.grad = np.asarray(p.grad, order=order)
                p.grad[..., :2] = -0.0  # the sign of 0 counts, too
            expected[i], velocities[i] = step_of_old(expected[i], p.grad, velocities[i], **settings)
        optimizer.step()
        for i, p in enumerate(parameters):
            assert bits(p.data) == bits(expected[i])
            if velocities[i] is not None:
                assert bits(optimizer.state_dict()[f"velocity.{i}"]) == bits(velocities[i])


# ── An optimizer of one's own ────────────────────────────────────────────────────────────────────


class Momentum(optim.Optimizer):
    """As in the documentation."""

    momentum = 0.9

    def nudge(self, number, gradient, state):
        velocity = self.momentum * state.get("velocity", 0.0) + gradient
        return -self.lr * velocity, {"velocity": velocity}


class Everything(optim.Optimizer):
    """Has every kind of setting, and in its state numbers and arrays of several shapes."""

    betas = (0.5, 0.25)
    signed = False
    power = 1

    def nudge(self, number, gradient, state):
        beta, other = self.betas
        count = state.get("count", 0) + 1
        mean = beta * state.get("mean", 0.0) + other * gradient
        largest = np.maximum(state.get("largest", 0.0), np.max(np.abs(gradient)))
        g = np.sign(mean) if self.signed else mean
        nudge = -self.lr * g * np.abs(g) ** (self.power - 1) / (count + largest)
        return nudge, {"count": count, "mean": mean, "largest": largest}


def with_nudge(nudge, **settings):
    """A class of optimizers with this method and these settings."""
    return type("Mine", (optim.Optimizer,), {"nudge": nudge, **settings})


def returning(make):
    """A class whose `nudge` returns what `make` makes of the number, the gradient and the state."""
    return with_nudge(lambda self, number, gradient, state: make(number, gradient, state))


ALL = {
    "SGD": lambda parameters: SGD(parameters, lr=0.1),
    "SGD with all settings": lambda parameters: SGD(parameters, 0.1, 0.9, 0.01, True),
    "Adam": lambda parameters: optim.Adam(parameters, weight_decay=0.1),
    "AdamW": lambda parameters: optim.AdamW(parameters, lr=0.1),
    "Momentum": lambda parameters: Momentum(parameters, lr=0.1),
    "Everything": lambda parameters: Everything(parameters, lr=0.1, signed=True, power=2),
}
every_optimizer = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def run(parameters, optimizer, steps, seed=0):
    """Make steps with gradients drawn at random; now and then a parameter has none."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        give_gradients(parameters, rng)
        parameters[rng.integers(len(parameters))].grad = None
        optimizer.step()


def state_bits(optimizer):
    return {name: bits(x) for name, x in optimizer.state_dict().items()}


@every_setting
@every_dtype
def test_an_optimizer_of_ones_own_steps_where_its_method_says(settings, dtype, tolerance):
    mine, theirs = some_parameters(dtype), some_parameters(dtype)
    run(mine, Momentum(mine, lr=0.1, momentum=0.5), 10)
    run(theirs, SGD(theirs, lr=0.1, momentum=0.5), 10)
    assert_close(copies(mine), copies(theirs), tolerance)


def test_a_state_is_empty_before_a_parameters_first_step_and_each_parameter_has_its_own():
    seen = []

    def nudge(self, number, gradient, state):
        seen.append((number, dict(state)))
        return -self.lr * gradient, {"count": state.get("count", 0.0) + 1, "last": gradient}

    first, second = Value(1.0), Value(2.0)
    optimizer = with_nudge(nudge)([first, second], lr=0.0)
    first.grad = 3.0
    optimizer.step()
    second.grad = 4.0
    optimizer.step()
    assert seen == [
        (1.0, {}),
        (1.0, {"count": 1.0, "last": 3.0}),
        (2.0, {}),
    ]


@every_optimizer
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_nudges_of_every_optimizer_are_what_step_adds_bit_for_bit(make, dtype):
    rng = np.random.default_rng(3)
    parameters = some_parameters(dtype)
    optimizer = make(parameters)
    for _ in range(4):
        give_gradients(parameters, rng)
        nudges = optimizer.nudges()
        expected = [
            before + nudge for before, nudge in zip(copies(parameters), nudges, strict=True)
        ]
        assert [(type(x), np.asarray(x).dtype) for x in nudges] == [
            (type(p.data), p.dtype) for p in parameters
        ]
        optimizer.step()
        for p, after in zip(parameters, expected, strict=True):
            assert bits(p.data) == bits(after)


@every_optimizer
def test_asking_any_optimizer_for_nudges_and_writing_into_them_changes_nothing(make):
    ways = []
    for asked in (0, 3):
        rng, parameters = np.random.default_rng(4), some_parameters()
        optimizer = make(parameters)
        for _ in range(4):
            give_gradients(parameters, rng)
            for _ in range(asked):
                for nudge in optimizer.nudges()[:2]:
                    nudge += 1000.0
            optimizer.step()
        ways.append((list(map(bits, copies(parameters))), state_bits(optimizer)))
    assert ways[0] == ways[1]


@every_optimizer
def test_a_step_of_any_optimizer_keeps_dtypes_and_leaves_gradients_and_old_losses_alone(make):
    parameters = some_parameters("float32")
    optimizer = make(parameters)
    for _ in range(3):
        losses = [(p**2).sum() for p in parameters]
        slopes = [2 * np.array(p.data) for p in parameters]
        give_gradients(parameters, np.random.default_rng(0))
        gradients = [np.array(p.grad) for p in parameters]
        optimizer.step()
        for p, gradient, loss, slope in zip(parameters, gradients, losses, slopes, strict=True):
            np.testing.assert_array_equal(p.grad, gradient)
            p.grad = None
            loss.backward()
            np.testing.assert_array_equal(p.grad, slope)
    assert [(type(p.data), p.dtype) for p in parameters] == [
        (np.ndarray, "float32"),
        (np.ndarray, "float32"),
        (float, "float64"),
    ]


@pytest.mark.parametrize(
    "gradient",
    [
        np.ones((2, 3)),
        np.ones((2, 3), np.float32),
        np.asfortranarray(np.ones((2, 3))),
        np.asfortranarray(np.ones((2, 3), np.int32)),
        np.ones((4, 6), np.float32)[::2, ::2],
        0,
    ],
    ids=["float64", "C", "F float64", "F int32", "strided", "0"],
)
def test_a_method_gets_the_gradient_in_the_parameters_dtype_and_order_in_memory(gradient):
    seen = []

    def nudge(self, number, gradient, state):
        seen.append((number.strides, gradient.strides, gradient.dtype))
        return -gradient, {}

    p = Value(np.asfortranarray(np.ones((2, 3), np.float32)))
    p.grad = gradient
    with_nudge(nudge)([p], lr=0.1).step()
    assert seen == [((4, 8), (4, 8), np.float32)]
    np.testing.assert_array_equal(p.data, 1 - np.ones((2, 3)) * gradient)


RETURNED = {
    "the gradient": lambda number, gradient, state: (gradient, {"kept": gradient}),
    "views": lambda number, gradient, state: (gradient[::-1], {"kept": gradient[1:]}),
    "the number": lambda number, gradient, state: (number, {"kept": number}),
    "a view of the number": lambda number, gradient, state: (number[:], {"kept": number[:2]}),
    "one array as both": lambda number, gradient, state: (lambda x: (x, {"kept": x}))(2 * gradient),
    "the state": lambda number, gradient, state: (
        state.get("kept", gradient),
        {"kept": state.get("kept", gradient)},
    ),
}


@pytest.mark.parametrize("make", RETURNED.values(), ids=RETURNED)
def test_a_state_shares_memory_with_nothing_else(make):
    p = Value([1.0, 2.0, 3.0])
    optimizer = returning(make)([p], lr=0.1)
    for _ in range(4):
        p.grad = np.array([4.0, 5.0, 6.0])
        number, gradient = p.data.copy(), p.grad
        nudge, new_state = make(number, gradient, dict(optimizer._kept[p].state))
        nudge, kept = nudge.copy(), new_state["kept"].copy()
        (given,) = optimizer.nudges()
        optimizer.step()
        np.testing.assert_array_equal(p.data, number + nudge)
        given[...] = 7.0
        gradient[...] = 8.0
        p.data[...] = 9.0
        np.testing.assert_array_equal(optimizer.state_dict()["kept.0"], kept)
        optimizer.state_dict()["kept.0"][...] = 10.0
        np.testing.assert_array_equal(optimizer.state_dict()["kept.0"], kept)


def written(self, number, gradient, state):
    number -= self.lr * gradient


def clipped(self, number, gradient, state):
    gradient[gradient > 0.0] = 0.0


def counted(self, number, gradient, state):
    state["velocity"] *= 0.5


@pytest.mark.parametrize("write", [written, clipped, counted])
def test_writing_into_what_a_method_gets_is_an_error_that_says_why_and_changes_nothing(write):
    def nudge(self, number, gradient, state):
        if "velocity" in state:
            write(self, number, gradient, state)
        return -self.lr * gradient, {"velocity": 2 * gradient}

    p = Value([1.0, 2.0])
    p.grad = np.ones(2)
    optimizer = with_nudge(nudge)([p], lr=0.5)
    optimizer.step()
    before = state_bits(optimizer)
    for move in (optimizer.step, optimizer.nudges):
        with pytest.raises(
            ValueError,
            match=r"Mine\.nudge can't write into the number, .* in place of gradient \*= 2",
        ):
            move()
    assert p.data.tolist() == [0.5, 1.5]
    assert p.grad.tolist() == [1.0, 1.0]
    assert state_bits(optimizer) == before


def test_a_method_may_put_new_entries_into_the_dictionary_that_it_gets():
    def nudge(self, number, gradient, state):
        state["count"] = state.get("count", 0.0) + 1
        return -gradient * state["count"], state

    p = Value(0.0)
    optimizer = with_nudge(nudge)([p], lr=0.1)
    for _ in range(3):
        p.grad = 1.0
        optimizer.nudges()
        optimizer.step()
    assert (p.data, optimizer.state_dict()["count.0"]) == (-6.0, 3.0)


def test_another_error_of_a_method_comes_as_it_is():
    def nudge(self, number, gradient, state):
        raise ValueError("not today")

    p = Value(1.0)
    p.grad = 1.0
    with pytest.raises(ValueError, match=r"^not today$"):
        with_nudge(nudge)([p], lr=0.1).step()


WRONG = {
    "the nudge alone": (
        lambda number, gradient, state: -gradient,
        TypeError,
        r"expected Mine\.nudge to return the nudge and the new state, as in .*, but it returned",
    ),
    "an array of two rows alone": (
        lambda number, gradient, state: np.ones((2, 3)),
        TypeError,
        "to return the nudge and the new state",
    ),
    "nothing": (lambda number, gradient, state: None, TypeError, "but it returned None"),
    "no state": (
        lambda number, gradient, state: (-gradient, None),
        TypeError,
        "to return the nudge and the new state",
    ),
    "a state that is an array": (
        lambda number, gradient, state: (-gradient, gradient),
        TypeError,
        "to return the nudge and the new state",
    ),
    "three things": (
        lambda number, gradient, state: (-gradient, {}, 1.0),
        TypeError,
        "to return the nudge and the new state",
    ),
    "a number for an array": (
        lambda number, gradient, state: (0.0, {}),
        ValueError,
        r"expected the nudge of Mine\.nudge to have the parameter's shape \(3,\), but got shape \(\)",
    ),
    "an array of another shape": (
        lambda number, gradient, state: (np.ones((1, 3)), {}),
        ValueError,
        r"the parameter's shape \(3,\), but got shape \(1, 3\)",
    ),
    "text": (
        lambda number, gradient, state: ("down", {}),
        TypeError,
        r"the nudge of Mine\.nudge: expected a number or an array",
    ),
    "complex numbers": (
        lambda number, gradient, state: (gradient * 1j, {}),
        TypeError,
        r"the nudge of Mine\.nudge: expected .*complex",
    ),
    "a Value": (
        lambda number, gradient, state: (Value(gradient), {}),
        TypeError,
        r"the nudge of Mine\.nudge: a Value does not turn into an array",
    ),
    "text in the state": (
        lambda number, gradient, state: (-gradient, {"phase": "warm"}),
        TypeError,
        r"phase in the state of Mine\.nudge: expected a number or an array",
    ),
    "nothing in the state": (
        lambda number, gradient, state: (-gradient, {"last": None}),
        TypeError,
        r"last in the state of Mine\.nudge: .* got NoneType",
    ),
    "a name that is no text": (
        lambda number, gradient, state: (-gradient, {1: gradient}),
        TypeError,
        "names in the state of Mine.nudge that are text, but got 1",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_a_method_may_not_return_is_refused_and_changes_nothing(make, error, message):
    good, bad = Value([1.0, 2.0, 3.0]), Value([4.0, 5.0, 6.0])

    def both(number, gradient, state):
        is_good = number[0] == 1.0
        return (-gradient, {"mean": gradient}) if is_good else make(number, gradient, state)

    optimizer = returning(both)([good, bad], lr=0.1)
    good.grad, bad.grad = np.ones(3), np.ones(3)
    before = state_bits(optimizer)
    for move in (optimizer.step, optimizer.nudges):
        with pytest.raises(error, match=message):
            move()
    assert (good.data.tolist(), bad.data.tolist()) == ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert state_bits(optimizer) == before


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_a_step_that_is_interrupted_changes_nothing_and_the_next_is_as_if_it_had_not_been(
    interruption,
):
    ways = []
    for is_interrupted in (False, True):
        calls = []

        def nudge(self, number, gradient, state, calls=calls, is_interrupted=is_interrupted):
            calls.append(number)
            if is_interrupted and len(calls) == 6:
                raise interruption
            velocity = self.momentum * state.get("velocity", 0.0) + gradient
            return -self.lr * velocity, {"velocity": velocity}

        parameters = some_parameters()
        optimizer = with_nudge(nudge, momentum=0.5)(parameters, lr=0.1)
        rng = np.random.default_rng(0)
        for step in range(4):
            give_gradients(parameters, rng)
            if is_interrupted and step == 1:
                before = copies(parameters), state_bits(optimizer)
                with pytest.raises(interruption):
                    optimizer.step()
                assert_close(copies(parameters), before[0], 0.0)
                assert state_bits(optimizer) == before[1]
            optimizer.step()
        ways.append((list(map(bits, copies(parameters))), state_bits(optimizer)))
    assert ways[0] == ways[1]


@pytest.mark.parametrize("kind", [SGD, optim.Adam, optim.AdamW, Momentum])
def test_a_sum_that_overflows_where_that_is_an_error_changes_nothing(kind):
    first, second = Value([1.0]), Value(np.array([3e38], np.float32))
    optimizer = kind([first, second], lr=3e38)  # Adam's steps are as long as lr
    first.grad = np.ones(1)
    second.grad = np.array([-1.0], np.float32)
    before = state_bits(optimizer)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        optimizer.step()
    assert (first.data.tolist(), second.data.tolist()) == ([1.0], [np.float32(3e38)])
    assert state_bits(optimizer) == before


def test_numbers_of_other_types_become_floats():
    def nudge(self, number, gradient, state):
        kept = {"int": 1, "numpy": np.float64(2.0), "0d": np.array(3.0), "flag": True}
        return np.float64(-0.5), kept | {"array": np.array([1, 2])}

    p = Value(1.0)
    p.grad = 1.0
    optimizer = with_nudge(nudge)([p], lr=0.1)
    assert type(optimizer.nudges()[0]) is float
    optimizer.step()
    assert type(p.data) is float
    state = optimizer.state_dict()
    assert [type(state[f"{name}.0"]) for name in ("int", "numpy", "0d", "flag")] == [float] * 4
    assert state["array.0"].dtype == np.float64


def test_a_nudge_of_another_dtype_is_rounded_before_it_is_added():
    p = Value(np.array([1.0], np.float32))
    p.grad = np.ones(1, np.float32)
    tiny = (
        2.0**-25 + 2.0**-26
    )  # rounding the sum once gives 1 + 2**-23 at best; it is less than half
    optimizer = returning(lambda number, gradient, state: (np.array([tiny]) * 2, {}))([p], lr=0.1)
    (nudge,) = optimizer.nudges()
    assert nudge.dtype == np.float32
    optimizer.step()
    assert (p.data.dtype, p.data[0]) == (np.float32, np.float32(1.0) + nudge[0])


# ── Settings of one's own ────────────────────────────────────────────────────────────────────────


def test_settings_are_the_classs_and_lr_comes_first():
    optimizer = Everything([Value(1.0)], 0.5, (0.25, 0.125), True, power=2)
    assert repr(optimizer) == (
        "Everything(parameters=1, lr=0.5, betas=(0.25, 0.125), signed=True, power=2.0)"
    )


@pytest.mark.parametrize(
    ("kind", "signature"),
    [
        (SGD, "(parameters, lr, momentum=0.0, weight_decay=0.0, nesterov=False)"),
        (optim.Adam, "(parameters, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)"),
        (optim.AdamW, "(parameters, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)"),
        (Momentum, "(parameters, lr, momentum=0.9)"),
    ],
)
def test_a_class_shows_how_it_is_called(kind, signature):
    assert str(inspect.signature(kind)) == signature


def test_an_init_of_ones_own_is_shown_as_it_is_written():
    class Warm(Momentum):
        def __init__(self, parameters, steps):
            super().__init__(parameters, lr=1.0 / steps)
            self._steps_left = steps

    assert str(inspect.signature(Warm)) == "(parameters, steps)"
    optimizer = Warm([Value(1.0)], 4)
    assert (optimizer.lr, optimizer.momentum, optimizer._steps_left) == (0.25, 0.9, 4)


def test_a_subclass_inherits_settings_and_may_give_them_other_defaults():
    class Heavier(SGD):
        momentum = 0.95
        extra = 2

    optimizer = Heavier([Value(1.0)], lr=0.1)
    assert repr(optimizer) == (
        "Heavier(parameters=1, lr=0.1, momentum=0.95, weight_decay=0.0, nesterov=False, extra=2.0)"
    )


def test_a_class_may_give_the_learning_rate_a_default():
    optimizer = with_nudge(Momentum.nudge, lr=0.25, momentum=0.5)([Value(1.0)])
    assert optimizer.lr == 0.25


@pytest.mark.parametrize("base", [SGD, optim.Adam, Momentum])
def test_a_subclass_that_defines_another_nudge_steps_by_it(base):
    class Raw(base):
        def nudge(self, number, gradient, state):
            return -gradient, {"count": state.get("count", 0.0) + 1}

    class Twice(SGD):
        def nudge(self, number, gradient, state):
            nudge, state = super().nudge(number, gradient, state)
            return 2 * nudge, state

    p, q = Value([3.0]), Value([3.0])
    optimizer, twice = Raw([p], lr=0.1), Twice([q], lr=0.1, momentum=0.5)
    for _ in range(2):
        p.grad = q.grad = np.ones(1)
        optimizer.step()
        twice.step()
    assert p.data.tolist() == [1.0]
    np.testing.assert_allclose(q.data, [3.0 - 0.2 - 0.3], rtol=1e-15)
    state = optimizer.state_dict()
    assert state["count.0"] == 2.0
    optimizer.load_state_dict(state)
    assert state_bits(optimizer) == {name: bits(x) for name, x in state.items()}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"momentun": 0.5},
            TypeError,
            "Mine has no setting momentun: its settings are lr, momentum",
        ),
        ({"b": 1, "a": 2}, TypeError, "no setting a, b"),
        ({"momentum": -1.0}, ValueError, "momentum to be 0 or more"),
        ({"lr": math.nan}, ValueError, "expected lr to be 0 or more"),
        ({"lr": None}, TypeError, "expected lr to be a number, but got None"),
        ({"betas": 0.9}, TypeError, "expected betas to be a tuple of 2 numbers, but got 0.9"),
        ({"betas": (0.9,)}, ValueError, "expected betas to be a tuple of 2 numbers, but got 1"),
        ({"betas": (0.9, -0.1)}, ValueError, r"expected betas\[1\] to be 0 or more"),
        ({"betas": (0.9, "a")}, TypeError, r"expected betas\[1\] to be a number"),
        ({"signed": 1}, TypeError, "expected signed to be True or False, but got 1"),
    ],
)
def test_a_setting_that_will_not_do_is_refused(settings, error, message):
    made = with_nudge(Momentum.nudge, momentum=0.9, betas=(0.5, 0.5), signed=False)
    with pytest.raises(error, match=message):
        made([Value(1.0)], **{"lr": 0.1, **settings})
    optimizer = made([Value(1.0)], lr=0.1)
    before = repr(optimizer)
    for name, value in settings.items():
        with pytest.raises(error if hasattr(optimizer, name) else AttributeError):
            setattr(optimizer, name, value)
    assert repr(optimizer) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), r"^Mine\(parameters, lr, momentum=0.9\): missing a required argument: 'lr'"),
        ((0.1, 0.2, 0.3), "too many positional arguments"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_the_signature(arguments, message):
    with pytest.raises(TypeError, match=message):
        with_nudge(Momentum.nudge, momentum=0.9)([Value(1.0)], *arguments)


def test_settings_are_kept_as_pythons_numbers():
    optimizer = Everything([Value(1.0)], np.float32(0.5), [np.int64(0), 0.5], np.True_, 3)
    assert repr(optimizer).endswith("lr=0.5, betas=(0.0, 0.5), signed=True, power=3.0)")
    assert type(optimizer.signed) is bool
    assert type(optimizer.lr) is float


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"mode": "fast"},
            TypeError,
            r"expected Mine\.mode to be a number, True or False, or a tuple",
        ),
        ({"betas": [0.9]}, TypeError, r"Mine\.betas"),
        ({"rate": None}, TypeError, r"Mine\.rate"),
        ({"rate": -1.0}, ValueError, r"Mine\.rate to be 0 or more"),
        ({"betas": (0.9, "a")}, TypeError, r"Mine\.betas\[1\] to be a number"),
        ({"step": 0.1}, TypeError, r"Mine\.step can't be a setting: every optimizer has step"),
        ({"parameters": 3}, TypeError, r"Mine\.parameters can't be a setting"),
    ],
)
def test_what_is_no_setting_is_refused_with_the_class(settings, error, message):
    with pytest.raises(error, match=message):
        with_nudge(Momentum.nudge, **settings)


def test_names_with_an_underscore_and_methods_are_no_settings():
    made = with_nudge(
        Momentum.nudge, momentum=0.5, _mode="fast", helper=len, decay=property(lambda self: 1)
    )
    assert repr(made([Value(1.0)], lr=0.1)) == "Mine(parameters=1, lr=0.1, momentum=0.5)"


@pytest.mark.parametrize(
    "nudge", [lambda self, number, gradient: None, lambda number: None, staticmethod(max), 3 * [0]]
)
def test_a_nudge_that_takes_something_else_is_refused_with_the_class(nudge):
    with pytest.raises(TypeError, match="nudge"):
        with_nudge(nudge)


@pytest.mark.parametrize("kind", [optim.Optimizer, type("Empty", (optim.Optimizer,), {})])
def test_an_optimizer_without_a_nudge_is_refused(kind):
    with pytest.raises(TypeError, match=rf"expected {kind.__name__} to define the method nudge\("):
        kind([Value(1.0)], lr=0.1)
    with pytest.raises(TypeError, match="to define the method nudge"):
        kind.nudge(SGD([Value(1.0)], lr=0.1), 1.0, 1.0, {})


def test_what_is_no_parameter_cannot_be_set_later_either():
    optimizer = SGD([W], lr=0.1)
    with pytest.raises(ValueError, match="at least one parameter"):
        optimizer.parameters = []
    assert optimizer.parameters == [W]


def test_parameters_that_are_set_later_keep_their_states():
    first, second, third = some_parameters()
    optimizer = SGD([first, second], lr=0.1, momentum=0.5)
    give_gradients([first, second, third], np.random.default_rng(0))
    optimizer.step()
    velocity = optimizer.state_dict()["velocity.1"]
    optimizer.parameters = [second, third]
    optimizer.step()
    np.testing.assert_allclose(
        optimizer.state_dict()["velocity.0"], 0.5 * velocity + second.grad, rtol=1e-15
    )
    assert optimizer.state_dict()["velocity.1"] == third.grad


# ── The state of any optimizer ───────────────────────────────────────────────────────────────────


@every_optimizer
@pytest.mark.parametrize("stop", [0, 1, 5])
def test_with_the_state_of_another_an_optimizer_goes_on_bit_for_bit(make, stop):
    whole = some_parameters("float32")
    optimizer = make(whole)
    run(whole, optimizer, stop)
    parameters = some_parameters("float32")
    for p, other in zip(parameters, whole, strict=True):
        p.data = other.data
    resumed = make(parameters)
    resumed.lr = 9.0
    resumed.load_state_dict(optimizer.state_dict())
    assert state_bits(resumed) == state_bits(optimizer)
    run(whole, optimizer, 5, seed=1)
    run(parameters, resumed, 5, seed=1)
    assert list(map(bits, copies(parameters))) == list(map(bits, copies(whole)))
    assert state_bits(resumed) == state_bits(optimizer)


def test_a_state_has_each_setting_and_each_part_of_each_parameters_state_by_name():
    parameters = [Value([1.0, 2.0]), Value(3.0)]
    optimizer = Everything(parameters, lr=0.5, signed=True)
    parameters[1].grad = 2.0
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state) == ["lr", "betas", "signed", "power", "count.1", "mean.1", "largest.1"]
    assert state["betas"].tolist() == [0.5, 0.25]
    assert (state["signed"], state["count.1"], state["mean.1"]) == (1.0, 1.0, 0.5)


BAD_STATES = {
    "an unknown setting": ({"rate": 1.0}, ValueError, r"unknown \['rate'\]"),
    "an unknown name": ({"velocity.0": np.ones(3)}, ValueError, r"unknown \['velocity\.0'\]"),
    "an unknown parameter": ({"mean.3": 1.0}, ValueError, r"unknown \['mean\.3'\]"),
    "an array of another shape": (
        {"mean.0": np.ones(2)},
        ValueError,
        r"expected mean\.0 to have shape \(3,\), but got shape \(2,\)",
    ),
    "a number for an array": ({"mean.0": 1.0}, ValueError, r"expected mean\.0 to have shape"),
    "an array for a number": ({"count.0": [1.0, 2.0]}, ValueError, r"expected count\.0 to have"),
    "text": ({"mean.0": np.array(["a", "b", "c"])}, TypeError, "expected a number or an array"),
    "complex numbers": ({"mean.0": np.ones(3) * 1j}, TypeError, "complex128"),
    "a tuple of another length": (
        {"betas": np.ones(3)},
        ValueError,
        "expected betas to have shape",
    ),
    "a negative number in a tuple": (
        {"betas": [0.5, -1.0]},
        ValueError,
        r"betas\[1\] to be 0 or more",
    ),
    "half a flag": ({"signed": 0.5}, TypeError, "signed to be True or False, but got 0.5"),
    "a learning rate of nan": ({"lr": math.nan}, ValueError, "expected lr to be 0 or more"),
    "no learning rate": ({"lr": ...}, ValueError, r"missing \['lr'\]"),
    "part of a state": (
        {"mean.1": ...},
        ValueError,
        r"the state of parameter 1 is not complete: it lacks \['mean'\]",
    ),
}


@pytest.mark.parametrize(("change", "error", "message"), BAD_STATES.values(), ids=BAD_STATES)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, error, message):
    parameters = some_parameters()
    optimizer = Everything(parameters, lr=0.1)
    run(parameters, optimizer, 6)
    before = state_bits(optimizer)
    state = {**optimizer.state_dict(), "lr": 0.7, **change}
    with pytest.raises(error, match=message):
        optimizer.load_state_dict({name: x for name, x in state.items() if x is not ...})
    assert state_bits(optimizer) == before


def test_what_is_no_state_is_refused():
    with pytest.raises(TypeError, match=r"arrays by name, such as a state_dict\(\), but got None"):
        SGD([Value(1.0)], lr=0.1).load_state_dict(None)


def test_the_settings_that_are_loaded_are_checked_as_by_the_constructor():
    optimizer = optim.Adam([Value(1.0)])
    with pytest.raises(ValueError, match="expected betas below 1"):
        optimizer.load_state_dict({**optimizer.state_dict(), "betas": [0.9, 1.0]})
    assert optimizer.betas == (0.9, 0.999)
    optimizer = SGD([Value(1.0)], lr=0.1)
    with pytest.raises(ValueError, match="nesterov needs a momentum above 0"):
        optimizer.load_state_dict({**optimizer.state_dict(), "nesterov": 1.0})
    assert optimizer.nesterov is False


class History(optim.Optimizer):
    """Its state grows, and from the second step on it has an entry that it lacked before."""

    def nudge(self, number, gradient, state):
        history = np.concatenate([state.get("history", np.zeros((0, 3))), gradient[None]])
        new = {"history": history}
        if "history" in state:
            new["change"] = gradient - state["history"][-1]
        return -self.lr * history.mean(axis=0), new


def test_a_state_that_grows_goes_on_too():
    p, q = Value([1.0, 2.0, 3.0]), Value([1.0, 2.0, 3.0])
    whole, resumed = History([p], lr=0.1), History([q], lr=0.3)
    rng = np.random.default_rng(0)
    for step in range(6):
        p.grad = rng.normal(size=3)
        whole.step()
        if step == 3:
            q.data = p.data
            resumed.load_state_dict(whole.state_dict())
        if step > 3:
            q.grad = p.grad
            resumed.step()
    assert bits(q.data) == bits(p.data)
    assert state_bits(resumed) == state_bits(whole)


class Switched(optim.Optimizer):
    """Keeps its state while its momentum is 0, and has none if that is so from the beginning."""

    momentum = 0.9

    def nudge(self, number, gradient, state):
        if not self.momentum:
            return -self.lr * gradient, state
        velocity = self.momentum * state.get("velocity", 0.0) + gradient
        return -self.lr * velocity, {"velocity": velocity}


class Decaying(SGD):
    weight_decay = 0.1


@pytest.mark.parametrize(
    ("kind", "other_momentum"), [(Switched, 0.5), (SGD, 0.5), (SGD, 0.0), (Decaying, 0.0)]
)
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_a_state_that_is_kept_while_it_is_not_used_can_be_loaded(kind, other_momentum, momentum):
    p = Value([1.0, 2.0])
    optimizer = kind([p], lr=0.1, momentum=0.9)
    p.grad = np.ones(2)
    optimizer.step()
    optimizer.momentum = momentum
    optimizer.step()
    other = kind([Value([1.0, 2.0])], lr=0.1, momentum=other_momentum)
    other.load_state_dict(optimizer.state_dict())
    assert state_bits(other) == state_bits(optimizer)
    assert "velocity.0" in other.state_dict()


@pytest.mark.parametrize("kind", [Switched, SGD])
def test_a_state_that_goes_with_the_settings_that_are_loaded_fits(kind):
    p = Value([1.0, 2.0])
    optimizer = kind([p], lr=0.1, momentum=0.9)
    p.grad = np.ones(2)
    optimizer.step()
    other = kind([Value([1.0, 2.0])], lr=0.1, momentum=0.0)
    other.load_state_dict(optimizer.state_dict())
    assert state_bits(other) == state_bits(optimizer)


def test_finding_out_what_a_state_looks_like_changes_nothing_and_warns_of_nothing():
    def nudge(self, number, gradient, state):
        size = state.get("size", 0.0 * gradient) + gradient - 1.0
        return gradient / size, {"size": size}

    p = Value([1.0, 2.0])
    optimizer = with_nudge(nudge)([p], lr=0.1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert list(optimizer.state_dict()) == ["lr"]
    assert p.grad is None


@every_optimizer
def test_a_copy_of_an_optimizer_goes_on_by_itself(make):
    parameters = some_parameters()
    optimizer = make(parameters)
    run(parameters, optimizer, 3)
    other_parameters, other = copy.deepcopy((parameters, optimizer))
    before = state_bits(optimizer)
    run(other_parameters, other, 3, seed=1)
    assert state_bits(optimizer) == before
    run(parameters, optimizer, 3, seed=1)
    assert state_bits(optimizer) == state_bits(other)
    assert_close(copies(parameters), copies(other_parameters), 0.0)


def test_fit_trains_with_an_optimizer_of_ones_own():
    x = np.linspace(-1, 1, 10)[:, None]
    model = nn.Linear(1, 1, rng=np.random.default_rng(0), dtype=np.float64)
    optimizer = Momentum(model.parameters(), lr=0.1)
    rng = np.random.default_rng(0)
    list(train.fit(model, nn.mse_loss, optimizer, x, 3 * x - 2, epochs=60, batch_size=5, rng=rng))
    assert (model.weight.item(), model.bias.item()) == pytest.approx((3, -2), abs=1e-2)


# ── Adam and AdamW ───────────────────────────────────────────────────────────────────────────────


def adam_by_hand(p, gradients, lr, betas, eps, weight_decay=0.0, decoupled=False):
    """Where Adam takes one number: algorithm 1 of its paper, in plain Python."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        if not decoupled:
            g += weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        corrected_m = m / (1 - betas[0] ** t)
        corrected_v = v / (1 - betas[1] ** t)
        decay = lr * weight_decay * p if decoupled else 0.0
        p = p - decay - lr * corrected_m / (math.sqrt(corrected_v) + eps)
    return p


@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
def test_adam_steps_where_the_algorithm_of_its_paper_says(kind):
    settings = {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.05}
    gradients = np.random.default_rng(0).normal(size=20).tolist()
    number, vector = Value(0.5), Value([0.5, 0.5])
    optimizer = kind([number, vector], **settings)
    for g in gradients:
        number.grad, vector.grad = g, np.array([g, g])
        optimizer.step()
    expected = adam_by_hand(0.5, gradients, decoupled=kind is optim.AdamW, **settings)
    assert number.data == pytest.approx(expected, rel=1e-12)
    assert vector.data.tolist() == pytest.approx([expected] * 2, rel=1e-12)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


ADAM_SETTINGS = {
    "defaults": {},
    "a large lr": {"lr": 0.1},
    "other betas": {"lr": 0.01, "betas": (0.5, 0.75)},
    "betas of 0": {"lr": 0.01, "betas": (0.0, 0.0)},
    "a large eps": {"lr": 0.01, "eps": 0.1},
    "weight decay": {"lr": 0.01, "weight_decay": 0.3},
    "no weight decay": {"lr": 0.01, "weight_decay": 0.0},
}


@pytest.mark.parametrize("settings", ADAM_SETTINGS.values(), ids=ADAM_SETTINGS)
@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
@every_dtype
def test_fifty_steps_of_adam_are_pytorchs(kind, settings, dtype, tolerance, torch):
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape).astype(dtype) for shape in ((3, 2), (4,), (1,))]
    mine, theirs = [Value(x) for x in starts], [torch.tensor(x) for x in starts]
    ours, other = (
        getattr(optim, kind)(mine, **settings),
        getattr(torch.optim, kind)(theirs, **settings),
    )
    for _ in range(50):
        for p, q in zip(mine, theirs, strict=True):
            g = None if rng.random() < 0.2 else rng.normal(size=p.shape).astype(dtype)
            p.grad, q.grad = g, None if g is None else torch.tensor(g)
        ours.step()
        other.step()
        ours.lr *= 0.97
        other.param_groups[0]["lr"] *= 0.97
    assert [p.dtype for p in mine] == [dtype] * 3
    assert_close(copies(mine), [q.numpy() for q in theirs], tolerance)


def test_adams_state_has_pytorchs_names():
    p = Value([1.0, 2.0])
    optimizer = optim.Adam([p])
    p.grad = np.array([1.0, -2.0])
    optimizer.step()
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state) == [
        "lr", "betas", "eps", "weight_decay", "step.0", "exp_avg.0", "exp_avg_sq.0"
    ]  # fmt: skip
    assert state["step.0"] == 2.0
    np.testing.assert_allclose(state["exp_avg.0"], [0.19, -0.38], rtol=1e-12)


@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW])
@pytest.mark.parametrize("betas", [(1.0, 0.999), (0.9, 1.0), (0.9, 2.0)])
def test_betas_of_1_and_more_are_refused(kind, betas):
    with pytest.raises(ValueError, match="expected betas below 1, but got"):
        kind([Value(1.0)], betas=betas)
    optimizer = kind([Value(1.0)])
    with pytest.raises(ValueError, match="expected betas below 1, but got"):
        optimizer.betas = betas
    assert optimizer.betas == (0.9, 0.999)


# ── clip_grad_norm ───────────────────────────────────────────────────────────────────────────────


def test_gradients_that_are_too_long_together_are_made_as_long_as_the_limit():
    first, second, third = Value([0.0, 0.0]), Value(0.0), Value([1.0])
    first.grad, second.grad = np.array([3.0, 0.0]), -4.0
    assert optim.clip_grad_norm([first, second, third], 0.5) == 5.0
    np.testing.assert_allclose(first.grad, [0.3, 0.0], rtol=1e-6)
    assert second.grad == pytest.approx(-0.4, rel=1e-6)
    assert third.grad is None


def test_gradients_that_are_short_enough_stay_as_they_are():
    p = Value([0.0, 0.0])
    gradient = p.grad = np.array([3.0, 4.0])
    assert optim.clip_grad_norm([p], 5.1) == 5.0
    assert p.grad is gradient
    assert gradient.tolist() == [3.0, 4.0]


def test_clipping_makes_new_arrays():
    p = Value([0.0, 0.0])
    gradient = p.grad = np.array([3.0, 4.0])
    optim.clip_grad_norm([p], 1.0)
    assert gradient.tolist() == [3.0, 4.0]
    assert not np.shares_memory(p.grad, gradient)


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 3.0, 100.0, math.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_clipping_is_pytorchs(max_norm, dtype, torch):
    rng = np.random.default_rng(0)
    mine = [Value(np.zeros(shape, dtype)) for shape in ((3, 4), (5,), (2,))]
    theirs = [torch.zeros(p.shape, dtype=getattr(torch, dtype)) for p in mine]
    for p, q in zip(mine[:2], theirs[:2], strict=True):
        p.grad = rng.normal(size=p.shape).astype(dtype)
        q.grad = torch.tensor(p.grad)
    norm = optim.clip_grad_norm(mine, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    assert type(norm) is float
    assert norm == pytest.approx(expected.item(), rel=tolerance)
    for p, q in zip(mine[:2], theirs[:2], strict=True):
        assert p.grad.dtype == dtype
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=tolerance)
    assert mine[2].grad is None


def test_the_norm_of_float32_is_summed_in_float64():
    p = Value(np.zeros(1000, np.float32))
    p.grad = np.full(1000, 1e30, np.float32)  # its square is too large for float32
    assert optim.clip_grad_norm([p], 1.0) == pytest.approx(1e30 * math.sqrt(1000), rel=1e-6)
    assert np.linalg.norm(p.grad) == pytest.approx(1.0, rel=1e-5)


def test_a_gradient_in_another_order_in_memory_is_clipped_too():
    p = Value(np.zeros((2, 3)))
    p.grad = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    optim.clip_grad_norm([p], 1.0)
    np.testing.assert_allclose(p.grad, np.arange(6.0).reshape(2, 3) / math.sqrt(55), rtol=1e-6)


@pytest.mark.parametrize("broken", [math.inf, math.nan])
@pytest.mark.parametrize("max_norm", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_is_not_hidden_by_clipping(broken, max_norm, torch):
    p = Value([0.0, 0.0])
    p.grad = np.array([broken, 1.0])
    q = torch.zeros(2, dtype=torch.float64)
    q.grad = torch.tensor(p.grad)
    assert not math.isfinite(optim.clip_grad_norm([p], max_norm))
    torch.nn.utils.clip_grad_norm_([q], max_norm)
    assert not np.isfinite(p.grad).all()
    np.testing.assert_array_equal(p.grad, q.grad.numpy())


@pytest.mark.parametrize("large", [1.0, 1e300, math.inf])
def test_a_limit_of_infinity_only_measures(large):
    p = Value([0.0, 0.0])
    gradient = p.grad = np.array([large, 0.0])
    with np.errstate(over="ignore"):
        assert optim.clip_grad_norm([p], math.inf) == (1.0 if large == 1.0 else math.inf)
    assert p.grad is gradient


def test_without_gradients_the_norm_is_0():
    p = Value([1.0])
    assert optim.clip_grad_norm([p], 1.0) == 0.0
    assert p.grad is None


@pytest.mark.parametrize(
    ("parameters", "max_norm", "error", "message"),
    [
        ([W], -1.0, ValueError, "expected max_norm to be 0 or more"),
        ([W], math.nan, ValueError, "expected max_norm to be 0 or more"),
        ([W], "1", TypeError, "expected max_norm to be a number"),
        (W, 1.0, TypeError, r"such as model\.parameters\(\), but got Value"),
        ([np.ones(2)], 1.0, TypeError, "that are Values"),
    ],
)
def test_what_cannot_be_clipped_is_refused(parameters, max_norm, error, message):
    with pytest.raises(error, match=message):
        optim.clip_grad_norm(parameters, max_norm)


def test_a_refused_clipping_changes_no_gradient():
    first, second = Value([0.0, 0.0]), Value([0.0, 0.0])
    first.grad, second.grad = np.array([3.0, 4.0]), np.ones(3)
    with pytest.raises(ValueError, match="expected a gradient of shape"):
        optim.clip_grad_norm([first, second], 1.0)
    assert first.grad.tolist() == [3.0, 4.0]
