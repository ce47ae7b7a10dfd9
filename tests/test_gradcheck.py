"""The checker itself: it accepts right rules, and finds every kind of wrong one."""

import pickle

import numpy as np
import pytest

from microgd import GradientError, Value, check_gradients, no_grad, operation, operations

X = np.array([[0.5, -1.5], [2.0, 0.25]])


pytestmark = pytest.mark.usefixtures("registry")


def squared(rule):
    """x * x with this rule. The right rule would be 2 x g."""
    return operation(rule, name="squared")(lambda x: x * x)


def one_element_wrong(g, out, x):
    return g * 2 * x * np.where(np.arange(x.size).reshape(x.shape) == 2, 1.001, 1.0)


def right_for_numbers_only(g, out, x):
    # The graph loses x, so the second derivative is 0.
    return g * 2 * (x if isinstance(x, np.ndarray) else Value(x.data))


def wrong_in_graphs_only(g, out, x):
    return g * 2 * x if isinstance(x, np.ndarray) else g * 3 * x


WRONG = {
    "a sign": lambda g, out, x: -2 * g * x,
    "a factor": lambda g, out, x: g * x,
    "a factor of 999": lambda g, out, x: 999 * 2 * g * x,
    "one element in a thousandth": one_element_wrong,
    "the upstream gradient forgotten": lambda g, out, x: 2 * x,
    "a term": lambda g, out, x: 2 * g * x + 1e-4,
    "another element": lambda g, out, x: 2 * g * operations.transpose(x),
    "zero": lambda g, out, x: 0.0,
    "nan": lambda g, out, x: g * np.nan,
}


@pytest.mark.parametrize("rule", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_rule_is_found(rule):
    with pytest.raises((GradientError, ValueError)):
        check_gradients(squared(rule), X)


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0, 1e6])
def test_a_rule_that_is_wrong_by_a_factor_is_found_whatever_the_size_of_the_gradient(size):
    def shrunk(rule):
        return lambda x: squared(rule)(x) * size

    check_gradients(shrunk(lambda g, out, x: 2 * g * x), X, order=2)
    with pytest.raises(GradientError):
        check_gradients(shrunk(lambda g, out, x: 2.0001 * g * x), X)


@pytest.mark.parametrize("rule", [right_for_numbers_only, wrong_in_graphs_only])
def test_a_rule_that_is_wrong_in_the_second_order_only_is_found(rule):
    check_gradients(squared(rule), X, order=1)
    with pytest.raises(GradientError):
        check_gradients(squared(rule), X, order=2)


def test_the_error_names_operand_index_expected_and_got():
    add = operation(lambda g, out, x, y: g, one_element_wrong_in_y, name="add_wrongly")(
        lambda x, y: x + y
    )
    with pytest.raises(
        GradientError, match=r"operand 1 at index \(1, 0\).* expect .* got "
    ) as caught:
        check_gradients(add, X, X)
    error = caught.value
    assert (error.order, error.operand, error.index) == (1, 1, (1, 0))
    np.testing.assert_allclose(error.got, -error.expected, rtol=1e-6)
    assert isinstance(error, AssertionError)


def one_element_wrong_in_y(g, out, x, y):
    return g * np.array([[1.0, 1.0], [-1.0, 1.0]])


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x: x**3, [0.0]),
        (lambda x: operations.log(x), [1e-4]),
        (lambda x: operations.sqrt(x), [[1e-3, 1e3]]),
        (lambda x: operations.exp(x), [[-30.0, 30.0]]),
        (lambda x: operations.cos(x * 50), [[0.0, 1.0]]),
        (lambda x, y: x @ y, [X, X]),
        (lambda x: x * 0.0 + 1.0, [X]),
        (lambda x: Value(3.0), [X]),
        (lambda x: x, [np.zeros((0, 2))]),
        (lambda x: operations.tanh(x), [np.float32(0.3)]),
        (lambda x, n: x * n, [Value(X), 2]),
    ],
)
def test_a_right_rule_passes(function, inputs):
    assert check_gradients(function, *inputs, order=2) is None


def test_the_check_leaves_its_inputs_alone():
    given, value = X.copy(), Value(X)
    check_gradients(lambda x, y: x * y, given, value)
    np.testing.assert_array_equal(given, X)
    assert value.grad is None


def test_a_kink_is_no_place_to_check():
    with pytest.raises(GradientError):
        check_gradients(operations.relu, 0.0)


def test_a_function_that_is_not_finite_is_a_value_error():
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="not finite"):
        check_gradients(operations.log, -1.0)


@pytest.mark.parametrize("x", [1e-3, 1000.0, 2026.0, 1e4, 1e5])
@pytest.mark.parametrize(
    "function", [np.sin, np.cos, np.tanh, np.sqrt, np.log, operations.logsumexp]
)
def test_right_gradients_far_from_1_are_not_called_wrong(function, x):
    check_gradients(function, x)
    check_gradients(function, [x, x + 1.0])


def test_a_number_beyond_all_waves_is_checked_too():
    check_gradients(lambda x: 2.0 * x, 2.0**63)
    with pytest.raises(GradientError):
        check_gradients(squared(lambda g, out, x: 2.1 * g * x), 2.0**63)


def test_gradients_are_checked_within_no_grad_too():
    with no_grad():
        check_gradients(np.exp, 1.0, order=2)


@pytest.mark.parametrize("order", [0, 3, "2"])
def test_another_order_is_a_value_error(order):
    with pytest.raises(ValueError, match="order"):
        check_gradients(operations.exp, 1.0, order=order)


def test_a_rule_that_forgets_the_upstream_gradient_is_found_for_one_element_too():
    forgetful = operation(lambda g, out, x: 2.0 * x, name="forgetful")(
        lambda x: np.sum(np.square(x))
    )
    with pytest.raises(GradientError):
        check_gradients(forgetful, [1.0, 2.0])


def test_the_error_shows_the_derivative_itself_for_one_element():
    with pytest.raises(GradientError) as caught:
        check_gradients(squared(lambda g, out, x: g * x), 3.0)
    np.testing.assert_allclose((caught.value.expected, caught.value.got), (6.0, 3.0))


def test_the_error_names_the_order():
    def rule(g, out, x):
        return g * 2 * x if isinstance(x, np.ndarray) else g * 3 * x

    for wrong, order in (
        (rule, 1),
        (lambda g, out, x: g * 2 * (x if isinstance(x, np.ndarray) else Value(x.data)), 2),
    ):
        with pytest.raises(GradientError) as caught:
            check_gradients(
                operation(wrong, name=f"sq{order}")(lambda x: x * x), [1.0, 2.0], order=2
            )
        assert caught.value.order == order


def test_a_function_that_gives_no_value_is_checked_too():
    check_gradients(lambda x: 3.0, [1.0, 2.0], order=2)
    check_gradients(lambda x: [1.0, 2.0], [1.0, 2.0], order=2)


@pytest.mark.parametrize(
    ("order", "said"),
    [(1, "the gradient for operand"), (2, "the gradient of the gradient for operand")],
)
def test_the_error_says_which_gradient_is_wrong(order, said):
    assert str(GradientError(order, 0, (1,), 2.0, 3.0)).startswith(said)


def test_only_the_first_order_is_checked_unless_the_second_is_asked_for():
    check_gradients(squared(wrong_in_graphs_only), X)
    with pytest.raises(GradientError):
        check_gradients(squared(wrong_in_graphs_only), X, order=2)


@pytest.mark.parametrize(("i", "j"), [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_errors_that_cancel_in_a_plain_sum_are_found(registry, i, j, sign):
    wrong = np.zeros(4)
    wrong[i], wrong[j] = 1.0, sign

    @operation(lambda g, out, x: (g * (1.0 + wrong)).sum())
    def four_times(x):
        return x * np.ones(4)

    with pytest.raises(GradientError):
        check_gradients(four_times, 1.5)


def test_a_rule_that_loses_the_sign_of_the_upstream_gradient_is_found(registry):
    @operation(lambda g, out, x: operations.absolute(g))
    def same(x):
        return x * 1.0

    with pytest.raises(GradientError):
        check_gradients(same, [1.0, 2.0, 3.0, 4.0])


def test_a_right_slope_that_is_small_beside_the_value_passes():
    check_gradients(lambda x: 1e-4 * x + 1e6, 2.0)


def test_elements_are_weighed_with_either_sign_and_none_counts_more_than_three_times_another():
    weights = []
    for i in range(24):
        # Wrong in one element. The error reports that element times its weight.
        wrong = np.where(np.arange(24) == i, 2.0, 1.0)
        with pytest.raises(GradientError) as caught:
            check_gradients(
                operation(lambda g, out, x, wrong=wrong: g * wrong, name="same")(lambda x: x * 1.0),
                np.ones(24),
            )
        weights.append(caught.value.expected)
    assert min(weights) < 0 < max(weights)
    assert max(np.abs(weights)) <= 3 * min(np.abs(weights))
    assert 0.5 <= min(np.abs(weights)) <= 1 <= max(np.abs(weights)) <= 1.5


def test_an_error_of_the_check_survives_the_way_out_of_another_process():
    with pytest.raises(GradientError) as found:
        check_gradients(squared(lambda g, out, x: g * x), X)
    twin = pickle.loads(pickle.dumps(found.value))
    assert (str(twin), vars(twin)) == (str(found.value), vars(found.value))
    assert (twin.order, twin.operand, twin.index) == (1, 0, (0, 0))
