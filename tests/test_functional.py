"""`gradients`, `grad` and `value_and_grad`: derivatives as results, of any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgd import Value, grad, gradients, hvp, nn, no_grad, operations, value_and_grad


def test_gradients_are_numbers_and_arrays_and_write_no_grad():
    x, w = Value(2.0), Value([1.0, 3.0])
    slopes = gradients((x * w**2).sum(), [x, w])
    assert slopes[0] == 10.0
    assert slopes[1].tolist() == [4.0, 12.0]
    assert x.grad is w.grad is None


def test_gradients_can_be_asked_for_at_computed_values():
    x = Value(2.0)
    y = x * 3
    assert gradients(y**2, [y, x]) == [12.0, 36.0]


def test_gradients_of_what_the_output_does_not_depend_on_are_zero():
    x, y = Value(2.0), Value(np.ones((2, 1), np.float32))
    slopes = gradients(x * 2, [x, y])
    assert slopes[1].tolist() == [[0.0], [0.0]]
    assert slopes[1].dtype == np.float32


def test_gradients_for_one_value_twice_do_not_share_memory():
    x = Value([1.0, 2.0])
    one, other = gradients(x.sum(), [x, x])
    assert one.tolist() == other.tolist() == [1.0, 1.0]
    assert not np.shares_memory(one, other)


def test_gradients_with_a_graph_are_values_and_lead_on():
    x = Value([1.0, 2.0])
    (slope,) = gradients((x**3).sum(), [x], create_graph=True)
    assert isinstance(slope, Value)
    assert gradients(slope.sum(), [x])[0].tolist() == [6.0, 12.0]


def test_a_constant_gradient_with_a_graph_is_still_a_value():
    x, y = Value(2.0), Value(1.0)
    slopes = gradients(x * 3, [x, y], create_graph=True)
    assert [type(slope) for slope in slopes] == [Value, Value]
    assert [slope.data for slope in slopes] == [3.0, 0.0]


def test_backward_stores_numbers_even_after_a_graph_of_gradients():
    x = Value(2.0)
    (slope,) = gradients(x**3, [x], create_graph=True)
    slope.backward()
    assert type(x.grad) is float
    assert x.grad == 12.0


@pytest.mark.parametrize(
    "call",
    [lambda x: gradients(x, x), lambda x: gradients(x, [1.0]), lambda x: gradients(2.0, [x])],
)
def test_gradients_of_anything_but_values_is_a_type_error(call):
    with pytest.raises(
        TypeError,
        match=r"expected (a list of inputs|inputs that are Values|an output that is a Value), but got",
    ):
        call(Value(1.0))


def test_gradients_of_several_elements_is_a_value_error():
    x = Value([1.0, 2.0])
    with pytest.raises(ValueError, match="no gradient by itself"):
        gradients(x * 2, [x])


def test_grad_of_numbers_is_a_number():
    result = grad(lambda x: 9 * x**2 - 12 * x + 2)(0)
    assert type(result) is float
    assert result == -12.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_grad_of_an_array_is_an_array_of_its_shape_and_dtype(dtype):
    result = grad(lambda x: (x**2).sum())(np.array([[1, 2]], dtype))
    assert type(result) is np.ndarray
    assert result.dtype == dtype
    assert result.tolist() == [[2.0, 4.0]]


def test_grad_of_a_value_is_a_value_that_leads_on():
    x = Value(3.0)
    slope = grad(lambda y: y**3)(x)
    assert isinstance(slope, Value)
    assert gradients(slope, [x]) == [18.0]


def test_grad_by_position():
    def f(x, y, scale=1.0):
        return (x**2 * y).sum() * scale

    assert grad(f, argnums=1)(3.0, 2.0) == 9.0
    assert grad(f, argnums=(1, 0))(3.0, 2.0, scale=10.0) == (90.0, 120.0)
    assert grad(f, argnums=-1)(3.0, 2.0) == 9.0
    assert value_and_grad(f, argnums=(0,))(3.0, 2.0) == (18.0, (12.0,))
    with pytest.raises(TypeError, match="argument 2"):
        grad(f, argnums=2)(3.0, 2.0)


@settings(deadline=None)
@given(st.floats(-2, 2), st.integers(1, 5))
def test_grad_nests_to_any_depth(x, depth):
    f, expected = np.sin, [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)][depth % 4]
    for _ in range(depth):
        f = grad(f)
    np.testing.assert_allclose(f(x), expected(x), atol=1e-12)


def test_an_inner_grad_may_use_the_outer_argument():
    # d/dx [x * d/dy (x * y²) at y = 3] = d/dx [6 x²] = 12 x
    assert grad(lambda x: x * grad(lambda y: x * y**2)(3.0))(2.0) == 24.0


def test_an_inner_grad_may_use_only_the_outer_argument():
    # d/dx of d/dy (x + y) at y = 1, which is 1 whatever x is
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(5.0) == 1.0


def test_an_inner_grad_at_the_outer_argument_tells_the_two_uses_apart():
    # d/dy (x * y) at y = x is x, not 2x
    assert grad(lambda x: grad(lambda y: x * y)(x))(3.0) == 1.0


def test_three_grads_deep_across_two_arguments():
    # d/dx d/dy d/dz of x² y³ z⁴ at (2, 3, 5) = 2x * 3y² * 4z³
    result = grad(lambda x: grad(lambda y: grad(lambda z: x**2 * y**3 * z**4)(5.0))(3.0))(2.0)
    assert result == 4 * 27 * 500


def test_the_mixed_derivatives_agree():
    def f(x, y):
        return operations.sin(x * y) + x**2 * y**3

    one = grad(lambda x: grad(f, argnums=1)(x, 0.7))(0.4)
    other = grad(lambda y: grad(f, argnums=0)(0.4, y))(0.7)
    np.testing.assert_allclose(one, other, rtol=1e-14)


def test_grad_of_a_function_with_a_value_of_its_own_gives_numbers_and_leaves_that_alone():
    w = Value([1.0, 2.0])
    result = grad(lambda x: (w * x).sum())(np.array([3.0, 4.0]))
    assert result.tolist() == [1.0, 2.0]
    assert w.grad is None


def test_grad_of_a_constant_function_is_zero():
    assert grad(lambda x: 3.0)(2.0) == 0.0
    assert grad(lambda x: 3.0)(np.ones(2)).tolist() == [0.0, 0.0]


def test_grad_wants_one_element():
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        grad(lambda x: x * 2)(np.ones(2))


def test_grad_works_within_no_grad_and_gives_no_record():
    with no_grad():
        assert grad(lambda x: x**2)(3.0) == 6.0
        slope = grad(lambda x: x**2)(Value(3.0))
    assert (slope.data, slope.op) == (6.0, None)


def test_value_and_grad_gives_both():
    value, slope = value_and_grad(lambda x: (x**2).sum())(np.array([1.0, 2.0]))
    assert type(value) is float
    assert (value, slope.tolist()) == (5.0, [2.0, 4.0])


def test_an_error_in_the_function_does_not_stay_behind():
    with pytest.raises(ZeroDivisionError):
        grad(lambda x: 1 / 0)(1.0)
    assert type(grad(lambda x: x * 2)(1.0)) is float


def test_a_hessian_by_two_grads():
    a = np.array([[2.0, 1.0], [1.0, 5.0]])

    def slope(x, i):
        return grad(lambda y: (y @ a @ y) * 0.5 + (y**3).sum())(x)[i]

    rows = [grad(slope)(np.array([1.0, -1.0]), i) for i in range(2)]
    np.testing.assert_allclose(rows, a + np.diag([6.0, -6.0]))


def test_inputs_may_come_from_a_generator():
    x, y = Value(2.0), Value(3.0)
    assert gradients(x * y, (v for v in (x, y))) == [3.0, 2.0]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["tanh", "exp", "sigmoid", "square", "sin"]))
def test_a_hessian_times_a_vector_is_what_finite_differences_of_the_gradient_say(seed, name):
    rng, f = np.random.default_rng(seed), getattr(operations, name)
    inputs = [Value(rng.normal(size=(3, 2))), Value(rng.normal(size=2)), Value(rng.normal())]
    vectors = [rng.normal(size=x.shape) if x.shape else rng.normal() for x in inputs]

    def output(step):
        moved = [Value(x.data + step * v) for x, v in zip(inputs, vectors, strict=True)]
        return f(moved[0] @ moved[1] * moved[2]).sum() * moved[2], moved

    up, down = gradients(*output(1e-5)), gradients(*output(-1e-5))
    out, same = output(0.0)
    for got, above, below in zip(hvp(out, same, vectors), up, down, strict=True):
        np.testing.assert_allclose(got, (above - below) / 2e-5, rtol=1e-5, atol=1e-6)


def test_a_hessian_column_by_column():
    a = np.array([[2.0, 1.0, 0.0], [1.0, 5.0, -1.0], [0.0, -1.0, 4.0]])
    x = Value([1.0, -1.0, 2.0])
    loss = (x @ a @ x) * 0.5
    columns = [hvp(loss, [x], [unit])[0] for unit in np.eye(3)]
    np.testing.assert_allclose(columns, a)
    assert x.grad is None


def test_a_hessian_where_there_is_no_curvature_is_zero():
    x, y = Value([1.0, 2.0]), Value(3.0)
    first, second = hvp((2 * x).sum() + y, [x, y], [np.ones(2), 1.0])
    assert first.tolist() == [0, 0]
    assert second == 0


def test_a_hessian_times_a_vector_keeps_float32():
    model = nn.Linear(3, 2)
    loss = nn.cross_entropy(model(np.ones((4, 3))), [0, 1, 1, 0])
    parts = hvp(loss, model.parameters(), [np.ones((2, 3), np.float32), np.ones(2, np.float32)])
    assert [part.dtype for part in parts] == [np.float32, np.float32]
    assert [part.shape for part in parts] == [(2, 3), (2,)]


@pytest.mark.parametrize(
    "vectors", [[np.ones(3)], [np.ones((1, 2))], [1.0], [np.ones(2), np.ones(2)], []]
)
def test_a_vector_that_does_not_fit_the_hessian_is_an_error(vectors):
    x = Value([1.0, 2.0])
    with pytest.raises(ValueError, match=r"of shape|one for each input"):
        hvp((x**2).sum(), [x], vectors)


def test_a_hessian_inside_no_grad():
    x = Value(3.0)
    out = x**3
    with no_grad():
        assert hvp(out, [x], [1.0]) == [18.0]


def test_a_hessian_with_respect_to_nothing():
    assert hvp(Value(3.0) ** 3, [], []) == []
