"""`gradients`, `grad`, `value_and_grad`, `jacobian` and `hessian`: derivatives as results, of any order.

How they take structures is in test_structures.py.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgd import (
    Value,
    check_gradients,
    grad,
    gradients,
    hessian,
    hvp,
    jacobian,
    nn,
    no_grad,
    operation,
    operations,
    value_and_grad,
)


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


def test_the_innermost_of_three_grads_may_use_only_the_outermost_argument():
    # d/dx d/dy of y * d/dz (x z) = d/dx d/dy (y x) = 1
    assert grad(lambda x: grad(lambda y: y * grad(lambda z: x * z)(1.0))(2.0))(3.0) == 1.0


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


# ── jacobian ─────────────────────────────────────────────────────────────────────────────────────
A = np.array([[2.0, 1.0, 0.0], [1.0, 5.0, -1.0], [0.0, -1.0, 4.0]])
X = np.array([1.0, -1.0, 2.0])


def differences(f, x, h=1e-5):
    """The Jacobian by central differences, of a function of an array."""
    columns = []
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        columns.append((f(x + step) - f(x - step)) / (2 * h))
    return np.reshape(np.stack(columns, axis=-1), (*np.shape(columns[0]), *x.shape))


def test_the_jacobian_of_a_matrix_times_a_vector_is_the_matrix():
    np.testing.assert_array_equal(jacobian(lambda x: A[:2] @ x)(X), A[:2])


def test_the_jacobian_of_a_function_of_each_element_is_diagonal():
    np.testing.assert_allclose(jacobian(np.tanh)(X), np.diag(1 - np.tanh(X) ** 2))


def test_the_jacobian_of_softmax_is_its_closed_form():
    p = operations.softmax(X)
    np.testing.assert_allclose(jacobian(operations.softmax)(X), np.diag(p) - np.outer(p, p))


def test_the_jacobian_of_the_argument_itself_is_the_identity():
    got = jacobian(lambda x: x)(np.ones((2, 3)))
    np.testing.assert_array_equal(got, np.eye(6).reshape(2, 3, 2, 3))


def test_the_jacobian_of_a_reordering_reorders():
    got = jacobian(lambda x: x.T[::-1])(np.arange(6.0).reshape(2, 3))
    for i, j in np.ndindex(3, 2):
        expected = np.zeros((2, 3))
        expected[j, 2 - i] = 1.0
        np.testing.assert_array_equal(got[i, j], expected)


def test_the_jacobian_of_a_number_is_its_gradient():
    def f(x):
        return (x**3).sum()

    got = jacobian(f)(X)
    np.testing.assert_array_equal(got, grad(f)(X))
    assert got.flags.writeable


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**32 - 1), st.lists(st.integers(1, 3), max_size=2), st.sampled_from([(), (2,)])
)
def test_a_jacobian_is_what_finite_differences_say(seed, shape, more):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(*more, *shape))

    def f(x):
        return np.sin(weights * x) * (x**2).sum()

    x = rng.normal(size=shape)
    got = np.asarray(jacobian(f)(x))
    assert got.shape == (*more, *shape, *shape)
    np.testing.assert_allclose(got, differences(f, x), rtol=1e-5, atol=1e-7)


def test_the_jacobian_of_numbers_is_a_float():
    got = jacobian(lambda x: x**3)(2)
    assert type(got) is float
    assert got == 12.0
    zero = jacobian(lambda x: 3)(2)
    assert type(zero) is float
    assert zero == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_jacobian_has_the_arguments_dtype(dtype):
    x = np.array([1, 2], dtype)
    for f in [
        lambda x: x**2,
        lambda x: (x**2).sum(),
        lambda x: x * np.ones(2, np.float64),
        lambda x: x.astype(np.float64),
        lambda x: 3.0,
        lambda x: np.ones((2, 2)),
        lambda x: x[:0],
    ]:
        got = jacobian(f)(x)
        assert type(got) is np.ndarray
        assert got.dtype == dtype


def test_a_jacobian_with_respect_to_a_number_has_the_shape_of_the_result():
    got = jacobian(lambda x: x * np.array([[1.0, 2.0, 3.0]], np.float32))(2.0)
    assert got.tolist() == [[1.0, 2.0, 3.0]]
    assert got.dtype == np.float64


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda x: x, (2, 0, 2, 0)),
        (lambda x: x.sum(axis=1), (2, 2, 0)),
        (lambda x: x.sum(), (2, 0)),
        (lambda x: 1.0, (2, 0)),
        (lambda x: x.T @ np.ones((2, 3)), (0, 3, 2, 0)),
    ],
)
def test_jacobians_of_empty_arrays_have_the_right_shape(f, shape):
    got = jacobian(f)(np.ones((2, 0), np.float32))
    assert (got.shape, got.dtype) == (shape, np.float32)
    assert np.count_nonzero(got) == 0
    as_value = jacobian(f)(Value(np.ones((2, 0), np.float32)))
    assert (as_value.shape, as_value.dtype) == (shape, np.float32)


def test_an_empty_result_of_an_argument_with_elements_has_an_empty_jacobian():
    assert jacobian(lambda x: x[:0])(np.ones((3, 2))).shape == (0, 2, 3, 2)
    assert jacobian(lambda x: np.ones((0, 4)))(2.0).shape == (0, 4)


@pytest.mark.parametrize(
    "constant", [3, 2.5, True, np.float32(1), np.ones(2), np.ones((2, 2), int)]
)
def test_the_jacobian_of_a_constant_is_zero(constant):
    got = jacobian(lambda x: constant)(X)
    assert got.shape == (*np.shape(constant), 3)
    assert np.count_nonzero(got) == 0


def test_the_jacobian_of_what_depends_on_other_values_only_is_zero():
    w = Value([1.0, 2.0])
    assert jacobian(lambda x: w)(3.0).tolist() == [0.0, 0.0]
    assert jacobian(lambda x: w * 2)(3.0).tolist() == [0.0, 0.0]
    assert jacobian(lambda x: x.detach() * w)(3.0).tolist() == [0.0, 0.0]


def test_values_that_the_function_keeps_are_constants():
    kept = []

    def f(x):
        kept.append(x * x)
        return x * kept[0]  # at the first call x³, and later the old square times x

    square = jacobian(f)
    assert square(np.array([2.0])).tolist() == [[12.0]]
    got = square(np.array([3.0]))
    assert type(got) is np.ndarray
    assert got.tolist() == [[4.0]]


def test_a_recorded_value_of_the_outside_stays_a_constant():
    w = Value([1.0, 2.0])
    twice = w * 2
    got = jacobian(lambda x: x * twice + twice)(np.array([5.0, 7.0]))
    assert type(got) is np.ndarray
    assert got.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert w.grad is twice.grad is None


def test_jacobians_by_position():
    def f(x, y, scale=1.0):
        return x * y * scale

    x, y = np.array([1.0, 2.0]), 3.0
    by_x, by_y = jacobian(f, argnums=(0, 1))(x, y, scale=2.0)
    assert by_x.tolist() == [[6.0, 0.0], [0.0, 6.0]]
    assert by_y.tolist() == [2.0, 4.0]
    assert jacobian(f, argnums=-1)(x, y).tolist() == [1.0, 2.0]
    assert type(jacobian(f, argnums=[1])(x, y)) is tuple
    with pytest.raises(TypeError, match="argument 2"):
        jacobian(f, argnums=2)(x, y)


def test_a_jacobian_takes_one_call_of_the_function_and_a_reverse_pass_for_each_element(registry):
    calls, passes = [], []

    def rule(g, out, x):
        passes.append(g)
        return g * 2

    @operation(rule, name="doubled")
    def doubled(x):
        return x * 2

    def f(x):
        calls.append(x)
        return doubled(x)

    assert jacobian(f)(np.ones(3)).tolist() == (2 * np.eye(3)).tolist()
    assert len(calls) == 1
    assert [g.tolist() for g in passes] == np.eye(3).tolist()


def test_jacobians_for_one_argument_twice_do_not_share_memory():
    one, other = jacobian(lambda x: x, argnums=(0, 0))(X)
    assert one.tolist() == other.tolist() == np.eye(3).tolist()
    assert not np.shares_memory(one, other)
    first, second = jacobian(lambda x: (x.sum(), x.sum()))(X)
    assert not np.shares_memory(first, second)
    assert first.flags.writeable


def test_a_jacobian_leaves_every_grad_alone():
    x = Value(X)
    jacobian(lambda x: x**2)(x)
    hessian(lambda x: (x**2).sum())(x)
    assert x.grad is None


def test_the_jacobian_of_a_value_is_a_value_that_leads_on():
    x = Value([1.0, 2.0])
    got = jacobian(lambda x: x**3)(x)
    assert isinstance(got, Value)
    assert got.data.tolist() == [[3.0, 0.0], [0.0, 12.0]]
    assert gradients(got.sum(), [x])[0].tolist() == [6.0, 12.0]
    constant = jacobian(lambda x: 2 * x)(x)
    assert isinstance(constant, Value)
    assert constant.data.tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_a_jacobian_may_have_recorded_and_constant_rows():
    x = Value([1.0, 2.0])
    got = jacobian(lambda x: np.stack([x[0] ** 2, 3 * x[1]]))(x)
    assert got.data.tolist() == [[2.0, 0.0], [0.0, 3.0]]
    assert gradients(got.sum(), [x])[0].tolist() == [2.0, 0.0]


def test_jacobians_of_values_pass_the_check_of_gradients():
    def f(x):
        return np.tanh(A @ x) * (x**2).sum()

    check_gradients(jacobian(f), X, order=2)
    check_gradients(lambda x, y: jacobian(lambda z: np.sin(z * y))(x), X, 0.3, order=2)
    check_gradients(jacobian(lambda x: np.exp(x * np.array([1.0, 2.0]))), 0.5, order=2)


def test_a_jacobian_within_a_grad_depends_on_the_outer_argument():
    # The elements of the Jacobian of x y² are 2 x y, on the diagonal.
    def f(x):
        return jacobian(lambda y: x * y**2)(np.array([1.0, 2.0])).sum()

    assert grad(f)(3.0) == 6.0
    assert jacobian(f)(3.0) == 6.0


def test_if_any_result_depends_on_the_outer_argument_the_whole_jacobian_is_values():
    def f(x):
        constant, by_x = jacobian(lambda y: (2 * y, x * y))(np.ones(2))
        assert [type(constant), type(by_x)] == [Value, Value]
        return (constant * by_x).sum()

    assert grad(f)(3.0) == 4.0


def test_a_jacobian_within_a_grad_at_the_outer_argument_tells_the_two_uses_apart():
    # d/dy (x y) at y = x is x on the diagonal, so the sum's derivative is 1 for each element
    got = grad(lambda x: jacobian(lambda y: x * y)(x).sum())(X)
    assert got.tolist() == [1.0, 1.0, 1.0]


def test_a_jacobian_within_a_jacobian_has_the_shapes_of_both():
    got = jacobian(lambda x: jacobian(lambda y: x * y)(np.ones(3)))(X)
    expected = np.zeros((3, 3, 3))
    expected[range(3), range(3), range(3)] = 1.0
    np.testing.assert_array_equal(got, expected)


def test_a_grad_within_a_jacobian_is_a_row_of_the_hessian():
    def f(x):
        return (x @ A @ x) * 0.5 + (x**3).sum()

    np.testing.assert_allclose(jacobian(grad(f))(X), A + np.diag(6 * X))


def test_a_jacobian_works_within_no_grad_and_gives_no_record():
    with no_grad():
        assert jacobian(lambda x: x**2)(3.0) == 6.0
        got = jacobian(lambda x: x**2)(Value([3.0]))
    assert isinstance(got, Value)
    assert (got.data.tolist(), got.op) == ([[6.0]], None)


def test_the_jacobian_of_a_function_that_records_nothing_is_a_value_error():
    with pytest.raises(ValueError, match="nothing was recorded"):
        jacobian(no_grad(lambda x: x**2))(X)


def test_an_error_during_a_jacobian_does_not_stay_behind():
    with pytest.raises(ZeroDivisionError):
        jacobian(lambda x: 1 / 0)(1.0)
    assert type(jacobian(lambda x: x * 2)(1.0)) is float


@pytest.mark.parametrize("transform", [jacobian, hessian])
@pytest.mark.parametrize("result", ["text", 1j, np.ones(2, complex), nn, {1.0}])
def test_a_result_without_derivatives_is_a_type_error(transform, result):
    with pytest.raises(TypeError, match=r"^result: expected a number or an array"):
        transform(lambda x: result)(1.0)


@pytest.mark.parametrize("transform", [jacobian, hessian])
def test_what_is_not_a_function_or_not_a_position_is_a_type_error(transform):
    with pytest.raises(TypeError, match="expected a function, but got 3"):
        transform(3)
    with pytest.raises(TypeError, match="expected a position in argnums that is an integer"):
        transform(np.sin, argnums=0.5)


# ── hessian ──────────────────────────────────────────────────────────────────────────────────────
def test_the_hessian_of_a_quadratic_form_is_its_matrix():
    got = hessian(lambda x: (x @ A @ x) * 0.5 + (x**3).sum())(X)
    np.testing.assert_allclose(got, A + np.diag(6 * X))


def test_the_hessian_of_a_number_is_a_float():
    got = hessian(lambda x: x**4)(2)
    assert type(got) is float
    assert got == 48.0


def test_the_hessian_of_a_vectors_function_has_the_results_shape_first():
    got = hessian(lambda x: np.stack([(x**2).sum(), x[0] * x[1]]))(np.array([1.0, 2.0]))
    assert got.tolist() == [[[2.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]]]


def test_the_hessian_of_a_matrix_has_four_axes():
    w = np.arange(6.0).reshape(2, 3)
    got = hessian(lambda w: (w**3).sum())(w)
    assert got.shape == (2, 3, 2, 3)
    np.testing.assert_array_equal(got.reshape(6, 6), np.diag(6 * w.ravel()))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["tanh", "exp", "sigmoid", "square", "sin"]))
def test_a_hessian_is_symmetric_and_what_finite_differences_of_the_gradient_say(seed, name):
    rng, g = np.random.default_rng(seed), getattr(operations, name)
    weights = rng.normal(size=(3, 4))

    def f(x):
        return g(weights @ g(x)).sum()

    x = rng.normal(size=4)
    got = hessian(f)(x)
    np.testing.assert_allclose(got, got.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got, differences(grad(f), x), rtol=1e-5, atol=1e-6)


def test_a_hessian_times_a_vector_is_hvp():
    vector = np.array([1.0, 2.0, -1.0])
    x = Value(X)

    def f(x):
        return np.exp(np.sin(A @ x)).sum()

    (expected,) = hvp(f(x), [x], [vector])
    np.testing.assert_allclose(hessian(f)(X) @ vector, expected)


def test_the_hessian_for_several_argnums_has_the_mixed_derivatives():
    def f(x, y):
        return (x**2).sum() * y**3

    (xx, xy), (yx, yy) = hessian(f, argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    assert xx.tolist() == [[54.0, 0.0], [0.0, 54.0]]
    assert xy.tolist() == yx.tolist() == [54.0, 108.0]
    assert yy == 90.0
    assert hessian(f, argnums=1)(np.array([1.0, 2.0]), 3.0) == 90.0


def test_the_hessian_of_a_structure_has_it_twice():
    got = hessian(lambda p: (p["w"] ** 2).sum() * p["b"][0])(
        {"w": np.array([1.0, 2.0]), "b": [3.0]}
    )
    assert got["w"]["w"].tolist() == [[6.0, 0.0], [0.0, 6.0]]
    assert got["w"]["b"][0].tolist() == got["b"][0]["w"].tolist() == [2.0, 4.0]
    assert got["b"][0]["b"] == [0.0]


@pytest.mark.parametrize(
    "f", [lambda x: 3.0, lambda x: x.sum(), lambda x: x, lambda x: np.ones((2, 1))]
)
def test_a_hessian_without_curvature_is_zero_and_keeps_the_dtype(f):
    x = np.ones(3, np.float32)
    got = hessian(f)(x)
    assert got.shape == (*np.shape(f(x)), 3, 3)
    assert got.dtype == np.float32
    assert np.count_nonzero(got) == 0


def test_hessians_of_empty_arrays_have_the_right_shape():
    assert hessian(lambda x: (x**2).sum())(np.ones((2, 0))).shape == (2, 0, 2, 0)
    assert hessian(lambda x: x[:0] ** 2)(np.ones(3)).shape == (0, 3, 3)


def test_a_hessian_keeps_float32():
    got = hessian(lambda x: np.exp(x).sum())(np.ones(2, np.float32))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.diag(np.exp([1, 1])), rtol=1e-6)


def test_the_hessian_of_a_value_is_a_value_that_leads_on():
    x = Value([1.0, 2.0])
    got = hessian(lambda x: (x**4).sum())(x)
    assert isinstance(got, Value)
    assert got.data.tolist() == [[12.0, 0.0], [0.0, 48.0]]
    assert gradients(got.sum(), [x])[0].tolist() == [24.0, 48.0]
    check_gradients(hessian(lambda x: np.sin(x).sum() ** 2), X)


def test_the_cost_of_a_hessian_is_one_call_and_a_pass_for_each_number_and_one_more(registry):
    calls, passes = [], []

    def rule(g, out, x):
        passes.append(g)
        return 2 * g * x

    @operation(rule, name="squared")
    def squared(x):
        return x * x

    def f(x):
        calls.append(x)
        return squared(x).sum()

    assert hessian(f)(np.ones(4)).tolist() == (2 * np.eye(4)).tolist()
    assert len(calls) == 1
    assert (
        len(passes) == 1
    )  # the gradient; the other four go back through the rule's own operations


def test_newtons_method_finds_the_minimum_of_rosenbrocks_function():
    # Rosenbrock, An automatic method for finding the greatest or least value of a function, 1960.
    def f(x):
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    x = np.array([-1.2, 1.0])
    for _ in range(7):
        x = x - np.linalg.solve(hessian(f)(x), grad(f)(x))
    np.testing.assert_allclose(x, [1.0, 1.0], rtol=1e-9)


def test_jacobians_and_hessians_in_threads_are_what_each_is_alone():
    def work(seed):
        x = np.random.default_rng(seed).normal(size=4)
        w = Value(np.random.default_rng(seed + 1).normal(size=(3, 4)))

        def f(p):
            return np.tanh(w.data @ p["x"]) * p["scale"]

        def inner(scale):
            return jacobian(f)({"x": x, "scale": scale})["x"].sum()

        argument = {"x": x, "scale": 2.0}
        hessians = hessian(lambda p: f(p).sum())(argument)
        with no_grad():
            rows = jacobian(f)(argument)
        return [rows["x"].tobytes(), hessians["x"]["x"].tobytes(), grad(inner)(3.0)]

    threads = 6
    alone = [work(seed) for seed in range(threads)]
    barrier = threading.Barrier(threads)

    def together(seed):
        barrier.wait()
        return [work(seed) for _ in range(5)]

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(together, range(threads)))
    assert results == [[expected] * 5 for expected in alone]


# ── As PyTorch ───────────────────────────────────────────────────────────────────────────────────
def network(p, x):
    """A network that microgd and PyTorch both compute, and a result with a structure."""
    hidden = (x @ p["layers"][0][0] + p["layers"][0][1]).tanh()
    out = hidden @ p["layers"][1][0] + p["layers"][1][1]
    return {"out": out * p["scale"], "size": [(out**2).sum(), hidden.sum()]}


def network_arguments(dtype):
    rng = np.random.default_rng(0)

    def array(*shape):
        return rng.normal(size=shape).astype(dtype)

    layers = [(array(3, 4), array(4)), (array(4, 2), array(2))]
    return {"layers": layers, "scale": array(1)}, array(2, 3)


def in_torch(torch, structure):
    """The structure with tensors as its leaves."""
    if isinstance(structure, dict):
        return {key: in_torch(torch, x) for key, x in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)(in_torch(torch, x) for x in structure)
    return torch.tensor(structure)


def assert_same_as_torch(got, expected, tolerance):
    """The same structure, shapes, dtypes and, up to rounding, numbers; how many arrays there are."""
    if isinstance(expected, dict):
        assert list(got) == list(expected)
        return sum(assert_same_as_torch(got[key], expected[key], tolerance) for key in expected)
    if isinstance(expected, list | tuple):
        assert type(got) is type(expected)
        return sum(
            assert_same_as_torch(x, y, tolerance) for x, y in zip(got, expected, strict=True)
        )
    assert got.shape == tuple(expected.shape)
    assert got.dtype == expected.numpy().dtype
    np.testing.assert_allclose(got, expected.numpy(), rtol=tolerance, atol=tolerance)
    return 1


TOLERANCE = {np.float32: 1e-4, np.float64: 1e-11}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_jacobian_of_a_structure_is_pytorchs(dtype):
    torch = pytest.importorskip("torch")
    p, x = network_arguments(dtype)
    theirs = in_torch(torch, p), in_torch(torch, x)
    got = jacobian(network)(p, x)
    assert assert_same_as_torch(got, torch.func.jacrev(network)(*theirs), TOLERANCE[dtype]) == 15
    got = jacobian(network, argnums=(1, 0))(p, x)
    expected = torch.func.jacrev(network, argnums=(1, 0))(*theirs)
    assert assert_same_as_torch(got, expected, TOLERANCE[dtype]) == 18


# PyTorch's own use of what it has deprecated itself.
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_hessian_of_a_structure_is_pytorchs(dtype):
    torch = pytest.importorskip("torch")
    p, x = network_arguments(dtype)
    theirs = in_torch(torch, p), in_torch(torch, x)

    def size(p, x):
        return network(p, x)["size"][0]

    expected = torch.func.hessian(size)(*theirs)
    assert assert_same_as_torch(hessian(size)(p, x), expected, TOLERANCE[dtype]) == 25
    expected = torch.func.hessian(network)(*theirs)
    assert assert_same_as_torch(hessian(network)(p, x), expected, TOLERANCE[dtype]) == 75
    expected = torch.func.hessian(size, argnums=(0, 1))(*theirs)
    got = hessian(size, argnums=(0, 1))(p, x)
    assert assert_same_as_torch(got, expected, TOLERANCE[dtype]) == 36


def test_jacobians_and_hessians_are_those_of_torch_autograd_functional():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3)), rng.normal(size=3)

    def f(x, y):
        return (x * y).tanh() @ y

    def total(x, y):
        return (f(x, y) ** 2).sum()

    theirs = torch.tensor(x), torch.tensor(y)
    expected = torch.autograd.functional.jacobian(f, theirs)
    assert assert_same_as_torch(jacobian(f, argnums=(0, 1))(x, y), expected, 1e-11) == 2
    expected = torch.autograd.functional.hessian(total, theirs)
    assert assert_same_as_torch(hessian(total, argnums=(0, 1))(x, y), expected, 1e-11) == 4
