"""SGD: where a step leads, what it leaves unchanged, and which settings it refuses."""

import math

import numpy as np
import pytest

from microgd import Value, nn
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
        ValueError, match=r"no parameter has a gradient: before step\(\) comes loss\.backward\(\)"
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
