"""NumPy's further functions: claims that the walk over all domains in test_operations.py can't make."""

import math
import pickle
import re
import tracemalloc
import warnings
from itertools import pairwise, permutations, product

import numpy as np
import pytest
from numpy.exceptions import AxisError
from numpy.lib.stride_tricks import sliding_window_view

import microgd
from microgd import (
    Value,
    check_gradients,
    gradients,
    hessian,
    jacobian,
    numpy_functions,
    operations,
)
from microgd.functional import ancestors
from microgd.numpy_functions import products
from microgd.numpy_functions.plain import PLAIN
from microgd.registry import NUMPY, OPERATIONS

rng = np.random.default_rng(0)
X = np.array([[1.0, 0.0, -2.0], [np.nan, np.inf, 3.0]])
Y = np.array([[1.0, 2.0, -2.0], [np.nan, 1.0, 4.0]])
M = Value(np.arange(6.0).reshape(2, 3))
V = Value([1.0, 2.0, 3.0])


def slope(f, x):
    """The gradient of the sum of f's elements."""
    value = Value(x)
    (found,) = gradients(f(value).sum(), [value])
    return found


def second(f, x):
    """The gradient of the sum of the slopes' elements."""
    value = Value(x)
    (first,) = gradients(f(value).sum(), [value], create_graph=True)
    (found,) = gradients((first * 1.0).sum(), [value])
    return found


# ── Plain results ─────────────────────────────────────────────────────────────────────────────────
# Calls with `v`, which makes a Value of numbers, or leaves them as they are.
PLAIN_CASES = {
    "equal": [lambda v: np.equal(v(X), v(Y)), lambda v: np.equal(2, v(2.0))],
    "not_equal": [lambda v: np.not_equal(v(X), Y), lambda v: np.not_equal(v(1.0), v(2.0))],
    "less": [lambda v: np.less(X, v(Y)), lambda v: np.less(v(1.0), [1, 2])],
    "less_equal": [lambda v: np.less_equal(v(X), 1), lambda v: np.less_equal(v(1.0), v(2.0))],
    "greater": [lambda v: np.greater(v(X), v(2.0)), lambda v: np.greater(v(1.0), 2)],
    "greater_equal": [lambda v: np.greater_equal(v(X), v(Y)), lambda v: np.greater_equal(1, v(2.0))],
    "allclose": [
        lambda v: np.allclose(v(X), v(X), equal_nan=True), lambda v: np.allclose(v(1.0), 1.1),
        lambda v: np.allclose(a=v(1.0), b=v(1.1), rtol=v(0.2), atol=v(0.0)),
    ],
    "isclose": [
        lambda v: np.isclose(v(X), v(Y)), lambda v: np.isclose(X, b=v(Y), equal_nan=True),
        lambda v: np.isclose(v(1.0), v(1.0)),
    ],
    "array_equal": [
        lambda v: np.array_equal(v(X), v(X)), lambda v: np.array_equal(a1=v(Y), a2=v(Y), equal_nan=True),
        lambda v: np.array_equal(v(1.0), 1),
    ],
    "isfinite": [lambda v: np.isfinite(v(X)), lambda v: np.isfinite(v(1.0))],
    "isinf": [lambda v: np.isinf(v(X)), lambda v: np.isinf(v(-np.inf))],
    "isnan": [lambda v: np.isnan(v(X)), lambda v: np.isnan(v(np.nan))],
    "any": [lambda v: np.any(v(X)), lambda v: np.any(a=v(X), axis=1, keepdims=True), lambda v: np.any(v(0.0))],
    "all": [lambda v: np.all(v(X)), lambda v: np.all(a=v(X), axis=0), lambda v: np.all(v(1.0))],
    "logical_and": [lambda v: np.logical_and(v(X), v(Y)), lambda v: np.logical_and(v(1.0), [0, 1])],
    "logical_or": [lambda v: np.logical_or(v(X), False), lambda v: np.logical_or(v(0.0), v(0.0))],
    "logical_xor": [lambda v: np.logical_xor([True, False, True], v(X)), lambda v: np.logical_xor(v(1.0), v(2.0))],
    "logical_not": [lambda v: np.logical_not(v(X)), lambda v: np.logical_not(v(0.0))],
    "argmax": [lambda v: np.argmax(v(X)), lambda v: np.argmax(a=v(X), axis=1, keepdims=True), lambda v: np.argmax(v(1.0))],
    "argmin": [lambda v: np.argmin(v(Y)), lambda v: np.argmin(a=v(Y), axis=0), lambda v: np.argmin(v(1.0))],
    "argsort": [
        lambda v: np.argsort(v(X)), lambda v: np.argsort(a=v(Y), axis=None, kind="stable"),
        lambda v: np.argsort(v(X), axis=0),
    ],
    "nonzero": [lambda v: np.nonzero(v(X)), lambda v: np.nonzero(a=v(Y))],
    "count_nonzero": [
        lambda v: np.count_nonzero(v(X)), lambda v: np.count_nonzero(a=v(X), axis=0), lambda v: np.count_nonzero(v(2.0)),
    ],
    "shape": [lambda v: np.shape(v(X)), lambda v: np.shape(a=v(2.0))],
    "ndim": [lambda v: np.ndim(v(X)), lambda v: np.ndim(a=v(2.0))],
    "size": [lambda v: np.size(v(X)), lambda v: np.size(a=v(X), axis=1), lambda v: np.size(v(2.0))],
    "zeros_like": [
        lambda v: np.zeros_like(v(X)), lambda v: np.zeros_like(a=v(X), dtype=int, shape=(2,)), lambda v: np.zeros_like(v(2.0)),
    ],
    "ones_like": [lambda v: np.ones_like(v(X)), lambda v: np.ones_like(a=v(X)), lambda v: np.ones_like(v(2.0))],
    "empty_like": [lambda v: 0 * np.empty_like(v(X), int), lambda v: 0 * np.empty_like(prototype=v(X[:, :1]), dtype=int)],
    "full_like": [
        lambda v: np.full_like(v(X), 2), lambda v: np.full_like(a=v(X), fill_value=v(2.5)), lambda v: np.full_like(v(2.0), 3),
    ],
}  # fmt: skip


def assert_the_same(mine, numpys):
    """Check that two plain results have the same types, dtypes and numbers."""
    assert type(mine) is type(numpys)
    if isinstance(numpys, tuple):
        assert len(mine) == len(numpys)
        for one, other in zip(mine, numpys, strict=True):
            assert_the_same(one, other)
    elif isinstance(numpys, np.ndarray):
        np.testing.assert_array_equal(mine, numpys, strict=True)
    else:
        assert mine == numpys


def test_every_function_with_plain_results_has_a_case():
    assert set(PLAIN_CASES) == {function.__name__ for function in PLAIN}


@pytest.mark.parametrize("name", PLAIN_CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract:RuntimeWarning")
def test_a_plain_result_is_numpys_in_type_dtype_and_numbers(name, dtype):
    def numbers(x):
        return x if isinstance(x, float) else np.asarray(x, dtype)

    for call in PLAIN_CASES[name]:
        assert_the_same(call(lambda x: Value(numbers(x))), call(numbers))


def test_a_plain_result_shares_no_memory_with_the_value():
    value = Value(X)
    for call in (np.zeros_like, np.ones_like, np.argsort, np.isnan):
        assert not np.shares_memory(call(value), value.data)


# ── Products of many ──────────────────────────────────────────────────────────────────────────────
FACTORS = [
    [2.0, 3.0, 4.0, 5.0],
    [0.0, 3.0, 4.0, 5.0],
    [2.0, 0.0, 4.0, 0.0],
    [0.0, 0.0, 0.0, 5.0],
    [0.0] * 4,
]


def product_without(x, *places):
    return math.prod(n for i, n in enumerate(x) if i not in places)


@pytest.mark.parametrize("x", FACTORS)
def test_the_slope_of_a_product_is_the_product_of_the_other_factors_also_where_some_are_0(x):
    expected = [product_without(x, i) for i in range(4)]
    np.testing.assert_array_equal(slope(np.prod, x), expected)


@pytest.mark.parametrize("x", FACTORS)
def test_the_second_derivatives_of_a_product_are_those_of_the_other_factors(x):
    expected = [[0.0 if i == j else product_without(x, i, j) for j in range(4)] for i in range(4)]
    np.testing.assert_array_equal(hessian(np.prod)(np.array(x)), expected)


@pytest.mark.parametrize("x", FACTORS)
def test_the_slopes_of_partial_products_are_right_where_factors_are_0(x):
    expected = [[product_without(x[: i + 1], j) * (j <= i) for j in range(4)] for i in range(4)]
    np.testing.assert_array_equal(jacobian(np.cumprod)(np.array(x)), expected)


@pytest.mark.parametrize("x", FACTORS)
def test_the_second_derivatives_of_partial_products_are_right_where_factors_are_0(x):
    weights = [1.0, 10.0, 100.0, 1000.0]
    expected = np.zeros((4, 4))
    for n, weight in enumerate(weights, 1):
        for i in range(n):
            for j in range(n):
                expected[i, j] += weight * (i != j) * product_without(x[:n], i, j)
    found = hessian(lambda v: (np.cumprod(v) * weights).sum())(np.array(x))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
@pytest.mark.parametrize("zeros", [1, 2, 6])
def test_products_along_axes_with_zeros_have_the_derivatives_that_are_measured(axis, zeros):
    x = np.random.default_rng(zeros).uniform(0.5, 2.0, (2, 3, 2))
    x.ravel()[::2][:zeros] = 0.0
    check_gradients(lambda v: np.prod(v, axis=axis), x, order=2)
    for one_axis in (None, 0, 1, 2):
        check_gradients(lambda v, axis=one_axis: np.cumprod(v, axis), x, order=2)


def test_a_factor_that_is_infinite_or_nan_has_the_product_of_the_others_as_its_slope():
    x = [np.inf, 2.0, 3.0]
    np.testing.assert_array_equal(slope(np.prod, x), [6.0, np.inf, np.inf])
    np.testing.assert_array_equal(slope(np.prod, [np.nan, 2.0, 3.0]), [6.0, np.nan, np.nan])
    np.testing.assert_array_equal(slope(np.cumprod, x), [1.0 + 2.0 + 6.0, np.inf, np.inf])


def test_partial_products_of_a_long_vector_have_exact_slopes():
    n = 3000
    x = np.random.default_rng(0).uniform(0.9, 1.1, n)
    expected = np.cumsum(np.cumprod(x)[::-1])[::-1] / x
    np.testing.assert_allclose(slope(np.cumprod, x), expected, rtol=1e-11)
    assert np.isfinite(second(np.cumprod, x[:500])).all()


def test_a_product_that_overflows_on_the_way_is_no_worse_than_numpys():
    x = [1e200, 1e-200, 1e200, 1e-200]
    assert np.prod(Value(x)).data == np.prod(x)
    np.testing.assert_allclose(slope(np.prod, x), [1e-200, 1e200, 1e-200, 1e200], rtol=1e-14)


def test_partial_sums_pass_back_what_all_later_ones_get():
    x = Value([1.0, 2.0, 3.0])
    np.cumsum(x).backward(np.array([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [111.0, 110.0, 100.0]


@pytest.mark.parametrize("function", [np.cumsum, np.cumprod])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_a_number_has_itself_as_its_only_partial_sum_and_product(function, axis):
    x = Value(2.0)
    out = function(x, axis=axis)
    assert (out.shape, out.data.tolist()) == ((1,), [2.0])
    assert gradients(out.sum(), [x]) == [1.0]
    with pytest.raises(AxisError):
        function(x, axis=1)


# ── Norms and spreads ─────────────────────────────────────────────────────────────────────────────
AT_THE_TIP = [
    (np.linalg.norm, [0.0, 0.0]),
    (lambda x: np.linalg.norm(x, axis=1), [[0.0, 0.0], [0.0, 0.0]]),
    (lambda x: np.linalg.norm(x, "fro", (0, 1)), [[0.0, 0.0], [0.0, 0.0]]),
    (lambda x: np.linalg.norm(x, 1), [0.0, 0.0]),
    (lambda x: np.linalg.norm(x, np.inf), [0.0, 0.0]),
    (np.linalg.norm, 0.0),
    (np.std, [2.0, 2.0, 2.0]),
    (lambda x: np.std(x, axis=0, keepdims=True), [[1.0, 2.0], [1.0, 2.0]]),
    (lambda x: np.std(x, ddof=1), [0.0, 0.0]),
    (np.std, 3.0),
]


@pytest.mark.parametrize(("function", "x"), AT_THE_TIP)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_where_a_norm_or_a_spread_is_0_so_are_its_first_and_second_derivatives(function, x, dtype):
    x = np.asarray(x, dtype) if np.ndim(x) else x
    assert not np.any(function(Value(x)).data)
    for derivative in (slope, second):
        found = derivative(function, x)
        assert np.asarray(found).dtype == np.asarray(x).dtype
        np.testing.assert_array_equal(found, np.zeros(np.shape(x)))


def test_a_vector_of_zeros_among_others_does_not_disturb_their_norms():
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    rows = lambda v: np.linalg.norm(v, axis=1)  # noqa: E731
    assert rows(Value(x)).data.tolist() == [5.0, 0.0]
    np.testing.assert_allclose(slope(rows, x), [[0.6, 0.8], [0.0, 0.0]])


@pytest.mark.parametrize(
    "x", [[1e200, 1e200], [1e-200, 1e-200], [np.inf, 1.0], [np.nan, 1.0], [1e154, 1e154]]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", [None, 2, 1, np.inf])
def test_the_norm_of_huge_tiny_and_infinite_numbers_is_numpys(x, dtype, order):
    with np.errstate(all="ignore"):
        x = np.array(x).astype(dtype)
        found, expected = np.linalg.norm(Value(x), order), np.linalg.norm(x, order)
    np.testing.assert_allclose(found.data, expected, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("ddof", [0, 1, 2, 3])
def test_a_spread_divides_by_the_number_of_elements_less_ddof_but_by_no_negative_number(ddof):
    x = np.array([1.0, 3.0])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(np.std(Value(x), ddof=ddof).data, np.std(x, ddof=ddof))


def test_the_slope_of_a_norm_is_a_unit_vector():
    np.testing.assert_allclose(slope(np.linalg.norm, [3.0, -4.0]), [0.6, -0.8], rtol=1e-15)
    np.testing.assert_allclose(
        slope(np.linalg.norm, [[2.0, 4.0], [4.0, 0.0]]), [[1 / 3, 2 / 3], [2 / 3, 0.0]]
    )


@pytest.mark.parametrize(
    ("x", "order", "axis"),
    [
        (np.ones((2, 3)), 2, None),
        (np.ones(3), 3, None),
        (np.ones((2, 3)), "nuc", None),
        (np.ones((2, 3)), -1, None),
        (np.ones(3), "fro", None),
        (np.ones((2, 3, 4)), 1, None),
        (np.ones((2, 3, 4)), None, (0, 1, 2)),
        (np.ones((2, 3)), 2, ()),
    ],
)
def test_a_norm_of_another_order_or_of_other_axes_is_a_value_error(x, order, axis):
    with pytest.raises(ValueError, match="norm of a Value takes ord None, 2"):
        np.linalg.norm(Value(x), order, axis)


# ── Sorting ───────────────────────────────────────────────────────────────────────────────────────
def test_sorted_elements_pass_their_gradients_back_to_where_they_came_from():
    x = Value([3.0, 1.0, 2.0])
    np.sort(x).backward(np.array([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [100.0, 1.0, 10.0]


def test_of_equal_elements_the_first_stays_first_and_nan_comes_last_as_in_numpy():
    numbers = [2.0, np.nan, 1.0, 2.0, -0.0, 0.0, np.inf, np.nan, -np.inf]
    x = Value(numbers)
    out = np.sort(x)
    np.testing.assert_array_equal(out.data, np.sort(numbers))
    out.backward(np.arange(9.0))
    assert x.grad.tolist() == [4.0, 7.0, 3.0, 5.0, 1.0, 2.0, 6.0, 8.0, 0.0]


def test_of_many_equal_elements_each_gets_the_gradient_of_its_own_place():
    numbers = np.repeat([2.0, 1.0, 2.0, 0.0], 50)
    x = Value(numbers)
    g = np.arange(200.0)
    np.sort(x).backward(g)
    np.testing.assert_array_equal(x.grad[np.argsort(numbers, kind="stable")], g)


# ── Kinks of elementwise functions ────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("y", [0.0, -0.0])
@pytest.mark.parametrize("x", [0.0, -0.0])
@pytest.mark.parametrize(
    "make", [lambda n: n, lambda n: [n, n], lambda n: np.array([n, n], np.float32)]
)
def test_at_the_origin_arctan2_has_the_slope_0_and_hypot_nan(y, x, make):
    values = Value(make(y)), Value(make(x))
    for g in gradients(np.arctan2(*values).sum(), values):
        np.testing.assert_array_equal(g, np.zeros(np.shape(g)))
    with np.errstate(invalid="ignore"):
        for g in gradients(np.hypot(*values).sum(), values):
            assert np.isnan(g).all()


def test_an_angle_next_to_an_infinite_leg_does_not_change():
    y, x = Value([1.0, 1.0, np.inf, -np.inf]), Value([np.inf, -np.inf, 2.0, 2.0])
    out = np.arctan2(y, x)
    np.testing.assert_array_equal(out.data, np.arctan2(y.data, x.data))
    for g in gradients(out.sum(), [y, x]):
        np.testing.assert_array_equal(g, np.zeros(4))


def test_an_angle_of_nan_has_the_slope_nan():
    for y, x in [(0.0, np.nan), (np.nan, 0.0), (1.0, np.nan)]:
        value = Value(y)
        with np.errstate(invalid="ignore"):
            assert np.isnan(gradients(np.arctan2(value, x), [value])).all()


def test_a_hypotenuse_with_an_infinite_leg_follows_the_finite_one_nowhere():
    x, y = Value([np.inf, 2.0]), Value([1.0, -np.inf])
    with np.errstate(invalid="ignore"):
        slopes = gradients(np.hypot(x, y).sum(), [x, y])
    np.testing.assert_array_equal(slopes, [[np.nan, 0.0], [0.0, np.nan]])


@pytest.mark.parametrize("function", [np.floor, np.ceil, np.trunc, np.rint, np.round, np.around])
def test_what_rounds_has_the_slope_0_also_at_its_steps(function):
    x = [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, np.inf, np.nan]
    np.testing.assert_array_equal(function(Value(x)).data, function(x))
    np.testing.assert_array_equal(slope(function, x), np.zeros(9))
    np.testing.assert_array_equal(second(function, x), np.zeros(9))


def test_a_cube_root_is_vertical_at_0_and_real_below():
    assert np.cbrt(Value(-8.0)).data == -2.0
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(
            slope(np.cbrt, [-8.0, 0.0, 8.0]), [1 / 12, np.inf, 1 / 12], rtol=1e-15
        )


# ── Einstein's sums ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij", [(2, 3), (3, 2)], "subscripts for 2 operands, as many as there are"),
        ("ij,jk,k", [(2, 3), (3, 2)], "subscripts for 2 operands, as many as there are"),
        ("ijk", [(2, 3)], "'ijk' do not fit an operand of 2 axes"),
        ("i", [(2, 3)], "'i' do not fit an operand of 2 axes"),
        ("...ijk", [(2, 3)], "'...ijk' do not fit an operand of 2 axes"),
        ("ij->ijk", [(2, 3)], "a letter of the result is in no operand: 'ij->ijk'"),
        ("ij->ii", [(2, 3)], "each letter of the result once, but got 'ij->ii'"),
        ("...i->i", [(2, 3)], "the result has no '...' for the axes of the operands"),
        ("i1->i", [(2, 3)], "expected letters, commas, '...' and '->', but got 'i1->i'"),
        ("ij-", [(2, 3)], "expected letters, commas, '...' and '->'"),
        ("ij->i->j", [(2, 3)], "expected letters, commas, '...' and '->'"),
        ("..ij", [(2, 3)], "expected letters, commas, '...' and '->'"),
        ("......ij", [(2, 3)], "expected letters, commas, '...' and '->'"),
        ("ij->i,j", [(2, 3)], "expected letters, commas, '...' and '->'"),
        ("íj", [(2, 3)], "expected letters, commas, '...' and '->'"),
    ],
)  # fmt: skip
def test_subscripts_that_are_not_well_formed_are_a_value_error_that_shows_them(
    subscripts, shapes, message
):
    operands = [np.ones(shape) for shape in shapes]
    with pytest.raises(ValueError, match=r"."):
        np.einsum(subscripts, *operands)  # NumPy refuses them, too
    with pytest.raises(ValueError, match=re.escape(message)):
        np.einsum(subscripts, *map(Value, operands))


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (2, 3)]),
        ("ii", [(2, 3)]),
        ("ii->i", [(1, 3)]),
        ("...i,...i", [(2, 3), (4, 3)]),
        ("i,i,i", [(2,), (3,), (2,)]),
    ],
)
def test_axes_of_one_letter_and_different_lengths_are_a_value_error(subscripts, shapes):
    with pytest.raises(ValueError, match=r"dimension|shape|broadcast"):
        np.einsum(subscripts, *(Value(np.ones(shape)) for shape in shapes))


@pytest.mark.parametrize("numbers", [[-1, 1], [52, 1]])
def test_a_number_of_an_axis_out_of_range_is_a_value_error(numbers):
    with pytest.raises(ValueError, match="numbers of axes from 0 to 51"):
        np.einsum(M, numbers)


def test_numbers_in_place_of_letters_are_in_order_across_small_and_capital_letters():
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    for lists in ([30, 1], [1, 2]), ([25, 26], [26, 27]), ([51, 0], [0, 10]):
        found = np.einsum(Value(x), lists[0], y, lists[1])
        np.testing.assert_allclose(found.data, np.einsum(x, lists[0], y, lists[1]), rtol=1e-15)


def test_nothing_is_computed_for_a_constant_of_an_einstein_sum(monkeypatch):
    places = []
    rule = products._einsum_rule

    def counted(g, operands, place, *options):
        places.append(place)
        return rule(g, operands, place, *options)

    monkeypatch.setattr(products, "_einsum_rule", counted)
    x, y = np.ones((2, 3)), np.ones((3, 4))
    np.einsum("ij,jk", Value(x), y).sum().backward()
    np.einsum("ij,jk", x, Value(y)).sum().backward()
    assert places == [0, 1]


def test_constants_of_an_einstein_sum_are_multiplied_without_a_record():
    x, y, z = Value(np.ones((2, 50))), np.ones((50, 3)), np.ones((3, 2))
    out = np.einsum("ij,jk,kl->il", x, y, z)
    recorded = [node for node in ancestors(out) if node.op == "einsum"]
    assert all(any(isinstance(operand, Value) for operand in node.inputs) for node in recorded)
    assert slope(lambda v: np.einsum("ij,jk,kl->il", v, y, z), x.data).tolist() == [[6.0] * 50] * 2


def sizes(out):
    return [node.size for node in ancestors(out) if node.op == "einsum"]


def test_of_three_operands_those_with_the_smallest_product_are_multiplied_first():
    b = Value(rng.normal(size=(60, 40)))
    c, w = Value(rng.normal(size=(60, 30))), Value(rng.normal(size=(40, 30)))
    out = np.einsum("bi,bj,ij->b", b, c, w)
    # The product of all three has 72,000 elements.
    assert max(sizes(out)) <= 60 * 40
    np.testing.assert_allclose(out.data, ((b.data @ w.data) * c.data).sum(1), rtol=1e-12)


def test_a_bilinear_layer_takes_no_memory_for_the_product_of_all_three_forward_or_backward():
    n = 120  # n³ numbers would be 14 MB
    operands = [Value(np.ones((n, n))) for _ in range(3)]
    tracemalloc.start()
    try:
        np.einsum("bi,bj,ij->b", *operands).sum().backward()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4e6


def test_a_chain_of_matrices_is_multiplied_from_its_thin_end():
    x, y, z, v = (Value(np.ones(shape)) for shape in [(30, 30), (30, 30), (30, 30), (30,)])
    assert max(sizes(np.einsum("ij,jk,kl,l->i", x, y, z, v))) == 30


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, bool, np.int64])
@pytest.mark.parametrize("subscripts", ["i,i,i->i", "ij,ij,i->i", "ij,jk,i->k", "i,i,->"])
def test_constants_of_small_integers_do_not_overflow_and_booleans_are_counted(dtype, subscripts):
    shapes = {"i": (3,), "ij": (3, 3), "jk": (3, 3), "": ()}
    *constants, last = subscripts.split("->")[0].split(",")
    given = [np.full(shapes[term], 100).astype(dtype) for term in constants]
    x = np.ones(shapes[last]) if shapes[last] else 1.0
    expected = np.einsum(subscripts, *(c.astype(float) for c in given), x)
    np.testing.assert_array_equal(np.einsum(subscripts, *given, Value(x)).data, expected)
    narrow = Value(np.ones(3, np.float32))
    assert np.einsum("ij,ij,i->i", *[np.ones((3, 3), dtype)] * 2, narrow).dtype == np.float32


@pytest.mark.parametrize(
    "optimize", [True, "greedy", "optimal", ["einsum_path", (0, 1), (0, 1)], ("greedy", 1000)]
)
def test_the_result_of_an_einstein_sum_is_the_same_however_it_is_optimized(optimize):
    x, y, z = (rng.normal(size=(3, 3)) for _ in range(3))
    call = lambda *v: np.einsum("ij,jk,kl->li", *v, optimize=optimize)  # noqa: E731
    np.testing.assert_allclose(call(*map(Value, (x, y, z))).data, (x @ y @ z).T, rtol=1e-12)
    check_gradients(call, x, y, z, order=2)


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,ij->", [(2, 1), (1, 3)]),
        ("ii,ij->j", [(3, 3), (3, 2)]),
        ("...i,ij->...j", [(2, 1, 3), (3, 2)]),
        ("ij,k->ki", [(2, 3), (4,)]),
        ("hwij,ij->hw", [(2, 3, 2, 2), (2, 2)]),
        ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 4)]),
        (",ij->ji", [(), (2, 3)]),
        ("ij->j", [(2, 3)]),
        ("ij,jk->ik", [(2, 0), (0, 3)]),
    ],
)
def test_large_sums_of_products_are_computed_in_another_way_to_the_same_results(
    subscripts, shapes, is_large, monkeypatch
):
    monkeypatch.setattr(products, "_MANY", -1 if is_large else 10**9)
    operands = [rng.normal(size=shape) for shape in shapes]
    operands = [x if x.ndim else float(x) for x in map(np.asarray, operands)]
    found = np.einsum(subscripts, *map(Value, operands))
    np.testing.assert_allclose(found.data, np.einsum(subscripts, *operands), rtol=1e-12)
    check_gradients(lambda *v: np.einsum(subscripts, *v), *operands, order=2)
    narrow = [Value(np.float32(x)) for x in operands]
    out = np.einsum(subscripts, *narrow)
    assert out.dtype == (np.float32 if out.shape else np.float64)
    for x, g in zip(narrow, gradients(out.sum(), narrow), strict=True):
        assert (np.shape(g), np.asarray(g).dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize(
    ("subscripts", "plain"),
    [
        ("ij,jk->ik", lambda x, y: x @ y),
        ("ij,ij->", lambda x, y: (x * y).sum()),
        ("ij,kl->ikjl", lambda x, y: x[:, None, :, None] * y[None, :, None, :]),
        ("ii,jj->ij", lambda x, y: np.diagonal(x)[:, None] * np.diagonal(y)),
        ("ij,ji->i", lambda x, y: np.diagonal(x @ y)),
    ],
)
def test_an_einstein_sum_has_the_derivatives_of_what_it_abbreviates(subscripts, plain):
    x, y = rng.normal(size=(2, 3, 3))
    weights = rng.normal(size=plain(x, y).shape)

    def derivatives(f):
        values = Value(x), Value(y)
        first = gradients((f(*values) * weights).sum(), values, create_graph=True)
        total = (first[0] * y).sum() + (first[1] * x).sum()
        return [g.data for g in first] + gradients(total, values)

    found = derivatives(lambda *v: np.einsum(subscripts, *v))
    for one, other in zip(found, derivatives(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("...i,...i", [(2, 3, 4), (3, 4)]),
        ("...,...", [(3,), (2, 3)]),
        ("i...,...i->...", [(4, 3), (2, 3, 4)]),
        ("...i,i", [(2, 3), (3,)]),
        ("...,...,...", [(2, 1, 3), (3,), (5, 1)]),
    ],
)
def test_the_axes_that_three_dots_stand_for_are_matched_from_the_last_one(subscripts, shapes):
    operands = [rng.normal(size=shape) for shape in shapes]
    found = np.einsum(subscripts, *map(Value, operands))
    np.testing.assert_allclose(found.data, np.einsum(subscripts, *operands), rtol=1e-12)
    check_gradients(lambda *v: np.einsum(subscripts, *v), *operands)


# ── Windows ───────────────────────────────────────────────────────────────────────────────────────
def convolution(image, kernel):
    return np.einsum("hwij,ij->hw", sliding_window_view(image, np.shape(kernel)), kernel)


def test_windows_and_an_einstein_sum_are_a_convolution_with_the_gradients_that_scipy_computes():
    signal = pytest.importorskip("scipy.signal")
    image, kernel = rng.normal(size=(7, 6)), rng.normal(size=(3, 2))
    x, w = Value(image), Value(kernel)
    out = convolution(x, w)
    np.testing.assert_allclose(out.data, signal.correlate2d(image, kernel, "valid"), rtol=1e-12)
    g = rng.normal(size=out.shape)
    out.backward(g)
    np.testing.assert_allclose(x.grad, signal.convolve2d(g, kernel, "full"), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(
        w.grad, signal.correlate2d(image, g, "valid"), rtol=1e-12, atol=1e-14
    )


def test_a_convolution_of_channels_has_the_derivatives_that_are_measured():
    def f(images, kernels):
        windows = sliding_window_view(
            np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
        )
        return np.tanh(np.einsum("nchwij,ocij->nohw", windows, kernels))

    check_gradients(f, rng.normal(size=(1, 2, 2, 2)), rng.normal(size=(2, 2, 3, 3)), order=2)


def test_a_moving_average_passes_back_how_often_each_element_was_averaged():
    found = slope(lambda v: np.mean(sliding_window_view(v, 3), axis=-1), np.arange(6.0))
    np.testing.assert_allclose(found, np.array([1, 2, 3, 3, 2, 1]) / 3, rtol=1e-15)


def test_windows_of_windows_along_one_axis_have_the_derivatives_that_are_measured():
    x = rng.normal(size=(5, 2))
    for window, axis in [((2, 2), (0, 0)), ((2, 3), (0, 0)), ((2, 1, 2), (0, 1, 0))]:
        call = lambda v, w=window, a=axis: sliding_window_view(v, w, a)  # noqa: E731
        np.testing.assert_array_equal(call(Value(x)).data, call(x))
        check_gradients(call, x, order=2)


def test_a_number_has_one_window_itself():
    x = Value(2.0)
    assert gradients(sliding_window_view(x, ()), [x]) == [1.0]


# ── Places and shapes ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "shift", [np.uint8(2), np.uint8(200), True, np.int8(-3), 2, -7, 2**70, (1, 2), np.array([1, 1], np.uint8)]
)  # fmt: skip
def test_the_gradient_is_rolled_back_by_whatever_kind_of_integer(shift):
    x, g = Value(np.arange(5.0)), np.arange(5.0)
    out = np.roll(x, shift)
    np.testing.assert_array_equal(out.data, np.roll(x.data, int(np.sum(shift)) % 5))
    out.backward(g)
    assert (x.grad * x.data).sum() == (out.data * g).sum()
    assert sorted(x.grad) == g.tolist()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.swapaxes(x, 0, -1),
        lambda x: np.moveaxis(x, 0, -1),
        lambda x: np.expand_dims(x, 3),
        lambda x: np.flip(x, 2),
        lambda x: np.repeat(x, 2, 5),
        lambda x: np.tile(x, 2),
    ],
)
def test_arrays_of_thirty_axes_are_arranged_as_by_numpy(call):
    x = np.ones((2,) + (1,) * 29)
    assert call(Value(x)).shape == call(x).shape
    assert slope(call, x).shape == x.shape


def test_two_axes_move_anywhere_as_in_numpy():
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    value = Value(x)
    for source, destination in product(permutations(range(4), 2), repeat=2):
        moved = np.moveaxis(value, source, destination)
        np.testing.assert_array_equal(moved.data, np.moveaxis(x, source, destination))
    moved = np.moveaxis(value, (0, 3), (2, 1))
    moved.backward(moved.data)
    np.testing.assert_array_equal(value.grad, x)


def test_a_number_has_no_edges_to_pad():
    x = Value(2.0)
    for mode in ("constant", "edge"):
        assert gradients(np.pad(x, 1, mode) * 3.0, [x]) == [3.0]


@pytest.mark.parametrize(
    "indices", [True, [True, False, True], None, slice(2), ..., [1.0], "a", [[None]]]
)
def test_indices_to_take_are_integers(indices):
    for call in (np.take, lambda x, i: np.take_along_axis(x, i, 0)):
        with pytest.raises(TypeError, match="expected indices that are integers, but got"):
            call(V, indices)


def test_no_indices_take_nothing():
    assert np.take(V, []).shape == np.take(V, ()).shape == (0,)
    assert slope(lambda v: np.take(v, []), [1.0, 2.0]).tolist() == [0.0, 0.0]


def test_elements_that_come_several_times_get_all_their_gradients():
    x = [1.0, 2.0]
    g = np.array([1.0, 10.0, 100.0, 1000.0])
    for call, expected in [
        (lambda v: np.repeat(v, 2), [11.0, 1100.0]),
        (lambda v: np.repeat(v, [3, 1]), [111.0, 1000.0]),
        (lambda v: np.tile(v, 2), [101.0, 1010.0]),
        (lambda v: np.take(v, [0, 0, 1, 0]), [1011.0, 100.0]),
        (lambda v: np.pad(v, 1, mode="edge"), [11.0, 1100.0]),
        (lambda v: sliding_window_view(np.pad(v, (0, 1)), 2).ravel(), [1.0, 110.0]),
    ]:
        value = Value(x)
        call(value).backward(g)
        assert value.grad.tolist() == expected


def test_what_lies_beyond_a_triangle_is_left_out_not_multiplied_by_0():
    x = np.array([[1.0, np.inf], [np.nan, 2.0]])
    np.testing.assert_array_equal(np.tril(Value(x)).data, np.tril(x))
    value = Value(x)
    np.triu(value).backward(np.array([[1.0, 2.0], [np.inf, 4.0]]))
    assert value.grad.tolist() == [[1.0, 2.0], [0.0, 4.0]]


def test_pieces_of_a_split_come_in_a_list_and_get_their_own_gradients():
    x = Value(np.arange(5.0))
    pieces = np.split(x, [1, 3])
    assert isinstance(pieces, list)
    assert [piece.data.tolist() for piece in pieces] == [[0.0], [1.0, 2.0], [3.0, 4.0]]
    (pieces[1].sum() + 2.0 * pieces[2].sum()).backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 2.0, 2.0]


def test_a_matrix_is_split_along_other_axes_and_joined_again():
    x = rng.normal(size=(2, 4))
    for split, join in [
        (lambda v: np.split(v, 2, axis=1), np.hstack),
        (lambda v: np.split(v, 2), np.vstack),
    ]:
        value = Value(x)
        joined = join(split(value))
        np.testing.assert_array_equal(joined.data, x)
        joined.backward(x)
        np.testing.assert_array_equal(value.grad, x)


@pytest.mark.parametrize(
    "call",
    [
        lambda v: np.flip(v, 0),
        lambda v: np.swapaxes(v, 0, 1),
        lambda v: np.moveaxis(v, 0, 1),
        lambda v: np.expand_dims(v, 0),
        lambda v: np.split(v, 3)[1],
        lambda v: np.diagonal(v),
        lambda v: sliding_window_view(v, (2, 2)),
        lambda v: np.einsum("ij->ji", v),
        lambda v: np.einsum("ii->i", v),
        lambda v: np.tile(v, 1),
        lambda v: np.repeat(v, 1, 0),
        lambda v: np.take(v, 1, 0),
    ],
)
def test_a_leaf_that_is_changed_later_changes_no_result(call):
    leaf = Value(np.arange(9.0).reshape(3, 3))
    held = leaf.data
    out = call(leaf)
    before = np.array(out.data)
    held[...] = -1.0
    leaf.data[...] = -2.0
    np.testing.assert_array_equal(out.data, before)
    out.backward(before)
    assert (leaf.grad * np.arange(9.0).reshape(3, 3)).sum() == (before * before).sum()
    with pytest.raises(ValueError, match="read-only"):
        out.data[...] = 0.0


# ── Weights ───────────────────────────────────────────────────────────────────────────────────────
def test_the_slope_of_an_average_is_each_elements_share_of_the_weights():
    x, w = Value([1.0, 2.0, 6.0]), Value([1.0, 2.0, 1.0])
    out = np.average(x, weights=w)
    assert out.data == 11 / 4
    out.backward()
    np.testing.assert_allclose(x.grad, [0.25, 0.5, 0.25], rtol=1e-15)
    np.testing.assert_allclose(w.grad, (x.data - 11 / 4) / 4, rtol=1e-15)


def test_weights_that_sum_to_0_are_numpys_error():
    for weights in ([1.0, -1.0, 0.0], Value([1.0, -1.0, 0.0])):
        with pytest.raises(ZeroDivisionError, match="sum to 0"):
            np.average(V, weights=weights)
    with pytest.raises(ZeroDivisionError, match="sum to 0"):
        np.average(M, axis=1, weights=[[1.0, 1.0, 1.0], [1.0, -2.0, 1.0]])  # only those of one row


def test_weights_alone_may_be_values():
    w = Value([1.0, 2.0, 1.0])
    out = np.average([1, 2, 6], weights=w)
    assert out.data == 11 / 4
    assert gradients(out, [w])[0].tolist() == [-7 / 16, -3 / 16, 13 / 16]


# ── dtypes ────────────────────────────────────────────────────────────────────────────────────────
NARROW = np.array([1.0, 2.0], np.float32)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, n: np.dot(x, n),
        lambda x, n: np.inner(n, x),
        lambda x, n: np.outer(x, n),
        lambda x, n: np.tensordot(n, x, 0),
        lambda x, n: np.einsum(",i->i", n, x),
        lambda x, n: np.einsum("i,,i->i", x, n, x),
        lambda x, n: np.hstack([x, n]),
        lambda x, n: np.hstack([n, x, np.array([1, 2]), True]),
        lambda x, n: np.vstack([x[:1], n, [1]]),
        lambda x, n: np.column_stack([n, x[:1]]),
        lambda x, n: np.arctan2(x, n),
        lambda x, n: np.hypot(n, x),
        lambda x, n: np.average(x * n, weights=[1, 2], keepdims=True),
        lambda x, n: np.average(x[None] * n, axis=1, weights=np.array([1, 2])),
        lambda x, n: np.pad(x * n, 1, constant_values=0.5),
        lambda x, n: np.cumprod(x * n),
        lambda x, n: np.linalg.norm(x * n, axis=0, keepdims=True),
    ],
)
def test_float32_stays_float32_next_to_a_number_that_is_a_value_and_to_integers(call):
    x, n = Value(NARROW), Value(2.0)
    out = call(x, n)
    assert out.dtype == np.float32
    slopes = gradients(out.sum(), [x, n], create_graph=True)
    assert slopes[0].dtype == np.float32
    assert type(slopes[1].data) is float


@pytest.mark.parametrize("join", [np.hstack, np.vstack, np.column_stack])
def test_numbers_alone_are_joined_as_by_numpy(join):
    x, y = Value(1.0), Value(2.0)
    out = join([x, y, 3])
    np.testing.assert_array_equal(out.data, join([1.0, 2.0, 3.0]), strict=True)
    assert gradients((out * 2.0).sum(), [x, y]) == [2.0, 2.0]


# ── Wrong arguments ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "call",
    [
        lambda: np.std(M, axis=2),
        lambda: np.prod(M, axis=(0, 2)),
        lambda: np.cumsum(M, axis=-3),
        lambda: np.cumprod(M, 2),
        lambda: np.sort(M, 2),
        lambda: np.sort(Value(1.0)),
        lambda: np.average(M, 2),
        lambda: np.average(M, 2, [1.0]),
        lambda: np.linalg.norm(M, axis=2),
        lambda: np.trace(M, axis1=2),
        lambda: np.diagonal(M, 0, 0, 5),
        lambda: np.swapaxes(M, 0, 2),
        lambda: np.moveaxis(M, 2, 0),
        lambda: np.moveaxis(M, 0, -3),
        lambda: np.expand_dims(M, 3),
        lambda: np.flip(M, 2),
        lambda: np.roll(M, 1, 2),
        lambda: np.repeat(M, 2, 2),
        lambda: np.split(M, 1, 2),
        lambda: np.take(M, 0, 2),
        lambda: np.take_along_axis(M, np.zeros((1, 1), int), 2),
        lambda: np.tensordot(M, M, ([0], [2])),
        lambda: sliding_window_view(M, 1, axis=2),
        lambda: np.argmax(M, 2),
    ],
)
def test_an_axis_that_is_not_there_is_numpys_axis_error(call):
    with pytest.raises(AxisError, match=r"axis|out of bounds"):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: np.dot(M, M), "mismatch"),
        (lambda: np.dot(M, np.ones((2, 2, 2))), "axes of the same lengths, but got shapes"),
        (lambda: np.inner(M, np.ones(2)), "axes of the same lengths, but got shapes"),
        (lambda: np.tensordot(M, M, 1), "axes of the same lengths, but got shapes"),
        (lambda: np.tensordot(M, M, 3), "at most the number of axes, 2 and 2, but got 3"),
        (lambda: np.tensordot(M, M, ([0], [0, 1])), "as many axes of x as of y"),
        (lambda: np.tensordot(M, M, ([0, 0], [1, 1])), "repeated axis"),
        (lambda: np.arctan2(M, np.ones(2)), "broadcast"),
        (lambda: np.hypot(M, np.ones(2)), "broadcast"),
        (lambda: np.vstack([M, np.ones(2)]), "dimension"),
        (lambda: np.hstack([M, np.ones((3, 1))]), "dimension"),
        (lambda: np.hstack([V, M]), "dimension"),
        (lambda: np.column_stack([M, np.ones(3)]), "dimension"),
        (lambda: np.split(M, 2, 1), "equal division"),
        (lambda: np.split(M, 0), "at least one section"),
        (lambda: np.split(M, -1), "sections must be larger than 0"),
        (lambda: np.average(M, 0, [1.0, 2.0, 3.0]), r"lengths of x along 0, of shape \(2, 3\), but got shape \(3,\)"),
        (lambda: np.take_along_axis(M, np.zeros(2, int), 0), "as many axes as x, 2, but got 1"),
        (lambda: np.repeat(M, [1, 2], 1), "broadcast"),
        (lambda: np.repeat(M, -1), "negative"),
        (lambda: np.tile(M, -1), "negative"),
        (lambda: np.pad(M, -1), "negative"),
        (lambda: np.pad(M, ((1, 1),) * 3), "broadcast"),
        (lambda: np.pad(M, 1, "reflect"), "mode 'constant' or 'edge', but got 'reflect'"),
        (lambda: np.pad(Value(np.ones((0, 2))), 1, "edge"), "empty axis"),
        (lambda: sliding_window_view(M, (3, 1)), "window shape cannot be larger"),
        (lambda: sliding_window_view(M, 2), "must provide window_shape for all dimensions|window_shape"),
        (lambda: sliding_window_view(M, -1, 0), "negative"),
        (lambda: np.diag(M[None]), r"a vector or a matrix, but got shape \(1, 2, 3\)"),
        (lambda: np.diag(Value(1.0)), r"a vector or a matrix, but got shape \(\)"),
        (lambda: np.moveaxis(M, (0, 1), 0), "as many axes in source as in destination"),
        (lambda: np.moveaxis(M, (0, 0), (0, 1)), "repeated axis"),
        (lambda: np.diagonal(M, 0, 1, 1), "repeated axis"),
        (lambda: np.expand_dims(M, (0, 0)), "repeated axis"),
        (lambda: np.prod(M, (0, 0)), "duplicate"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_match_are_a_value_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: np.take(M, 3, 1),
        lambda: np.take(M, [-4], 1),
        lambda: np.take(M, 6),
        lambda: np.take_along_axis(M, np.full((2, 1), 3), 1),
    ],
)
def test_a_place_that_is_not_there_is_an_index_error(call):
    with pytest.raises(IndexError, match="out of bounds"):
        call()


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: np.dot(V, V, out=np.ones(())), "out"),
        (lambda: np.outer(V, V, out=np.ones((3, 3))), "out"),
        (lambda: np.einsum("i->", V, out=np.ones(())), "out"),
        (lambda: np.einsum("i->", V, dtype=float), "dtype"),
        (lambda: np.trace(M, dtype=float), "dtype"),
        (lambda: np.std(M, dtype=float), "dtype"),
        (lambda: np.std(M, where=[True]), "where"),
        (lambda: np.prod(M, initial=1.0), "initial"),
        (lambda: np.cumsum(M, dtype=float), "dtype"),
        (lambda: np.cumprod(M, out=np.ones(6)), "out"),
        (lambda: np.sort(M, kind="stable"), "kind"),
        (lambda: np.average(M, returned=True), "returned"),
        (lambda: np.round(M, out=np.ones((2, 3))), "out"),
        (lambda: np.take(M, 0, mode="clip"), "mode"),
        (lambda: np.vstack([M], dtype=float), "dtype"),
        (lambda: np.hstack([M], casting="safe"), "casting"),
        (lambda: np.pad(M, 1, stat_length=1), "stat_length"),
        (lambda: sliding_window_view(M, (1, 1), writeable=True), "writeable"),
        (lambda: np.floor(M, out=np.ones((2, 3))), "out"),
        (lambda: np.arctan2(M, 1.0, where=[True]), "where"),
        (lambda: np.hypot.reduce(M), "reduce"),
    ],
)  # fmt: skip
def test_an_option_that_values_do_not_take_is_a_type_error_that_names_it(call, word):
    with pytest.raises(TypeError, match=rf"\b{word}\b"):
        call()


@pytest.mark.parametrize("number", [Value(0.0), Value(1.0), Value([0.0, 1.0])], ids=str)
@pytest.mark.parametrize(
    "call",
    [
        lambda n: np.expand_dims(M, n),
        lambda n: np.swapaxes(M, n, 1),
        lambda n: np.moveaxis(M, n, 0),
        lambda n: np.moveaxis(M, 0, n),
        lambda n: np.take(M, n),
        lambda n: np.take(M, 0, n),
        lambda n: np.take_along_axis(M, n, 0),
        lambda n: np.repeat(M, n),
        lambda n: np.repeat(M, 2, n),
        lambda n: np.tile(M, n),
        lambda n: np.split(M, n),
        lambda n: np.split(M, 1, n),
        lambda n: np.pad(M, n),
        lambda n: np.pad(M, 1, constant_values=n),
        lambda n: sliding_window_view(M, n),
        lambda n: sliding_window_view(M, 1, n),
        lambda n: np.tensordot(M, M, n),
        lambda n: np.linalg.norm(M, axis=n),
        lambda n: np.linalg.norm(M, keepdims=n),
        lambda n: np.diag(M, n),
        lambda n: np.diagonal(M, n),
        lambda n: np.diagonal(M, 0, n, 1),
        lambda n: np.trace(M, n),
        lambda n: np.std(M, n),
        lambda n: np.std(M, ddof=n),
        lambda n: np.average(M, n),
        lambda n: np.sort(M, n),
        lambda n: np.cumsum(M, n),
        lambda n: np.cumprod(M, n),
        lambda n: np.prod(M, n),
        lambda n: np.flip(M, n),
        lambda n: np.roll(M, n),
        lambda n: np.roll(M, 1, n),
        lambda n: np.round(M, n),
        lambda n: np.einsum(M, [n, 1]),
        lambda n: np.einsum("ij->i", M, optimize=n),
    ],
)
def test_a_value_in_place_of_an_index_or_an_axis_is_a_type_error(call, number):
    with pytest.raises(TypeError):
        call(number)


@pytest.mark.parametrize("offset", [1.0, "1", None])
def test_the_offset_of_a_diagonal_is_an_integer(offset):
    for call in (np.diag, np.diagonal, np.trace):
        with pytest.raises(TypeError):
            call(M, offset)


def test_after_an_error_nothing_has_changed():
    x = Value([1.0, 2.0])
    (x * 2.0).sum().backward()
    for call in (lambda: np.einsum("ij", x), lambda: np.split(x, 3), lambda: np.norm(x)):
        with pytest.raises((ValueError, AttributeError)):
            call()
    assert (x.data.tolist(), x.grad.tolist()) == ([1.0, 2.0], [2.0, 2.0])


# ── Methods ───────────────────────────────────────────────────────────────────────────────────────
GRID = np.array([[3.25, -1.5, 2.125], [0.5, 4.75, -2.0]])


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("dot", (np.ones((3, 2)),), {}),
        ("dot", ([1.0, 2.0, 3.0],), {}),
        ("std", (), {}),
        ("std", (0,), {}),
        ("std", (), {"axis": 1, "ddof": 1, "keepdims": True}),
        ("prod", (), {}),
        ("prod", (1,), {"keepdims": True}),
        ("prod", (), {"axis": (0, 1)}),
        ("cumsum", (), {}),
        ("cumsum", (1,), {}),
        ("cumsum", (), {"axis": 0}),
        ("argmax", (), {}),
        ("argmax", (1,), {}),
        ("argmax", (), {"axis": 0, "keepdims": True}),
        ("argmin", (), {}),
        ("argmin", (0,), {}),
        ("argsort", (), {}),
        ("argsort", (0,), {}),
        ("argsort", (), {"axis": None, "kind": "stable"}),
        ("swapaxes", (0, 1), {}),
        ("swapaxes", (-1, 0), {}),
        ("repeat", (2,), {}),
        ("repeat", ([1, 0, 2], 1), {}),
        ("repeat", (2,), {"axis": 0}),
        ("take", ([0, -1],), {}),
        ("take", ([[0, 1]], 1), {}),
        ("take", (1,), {"axis": 0}),
        ("diagonal", (), {}),
        ("diagonal", (1,), {}),
        ("diagonal", (-1, 1, 0), {}),
        ("diagonal", (), {"offset": 1, "axis1": 1, "axis2": 0}),
        ("trace", (), {}),
        ("trace", (1, 1, 0), {}),
        ("trace", (), {"offset": -1}),
        ("round", (), {}),
        ("round", (1,), {}),
        ("round", (), {"decimals": -1}),
        ("any", (), {}),
        ("any", (0,), {}),
        ("all", (), {"axis": 1, "keepdims": True}),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_method_takes_what_that_of_an_array_takes_and_gives_the_same(
    name, arguments, options, dtype
):
    grid = GRID.astype(dtype)
    if name == "dot":
        arguments = [np.asarray(x, dtype) for x in arguments]
    found = getattr(Value(grid), name)(*arguments, **options)
    expected = getattr(grid, name)(*arguments, **options)
    by_numpy = getattr(np, name)(Value(grid), *arguments, **options)
    if getattr(np, name) in PLAIN:
        assert_the_same(found, expected)
        assert_the_same(by_numpy, expected)
    else:
        assert isinstance(found, Value)
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found.data, expected, rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(found.data, by_numpy.data)
        assert not found.shape or found.dtype == dtype


# ── What is recorded ──────────────────────────────────────────────────────────────────────────────
RECORDED = {
    "arctan2": lambda: np.arctan2(M, 1.0),
    "hypot": lambda: np.hypot(M, 1.0),
    "cbrt": lambda: np.cbrt(M),
    "floor": lambda: np.floor(M),
    "ceil": lambda: np.ceil(M),
    "trunc": lambda: np.trunc(M),
    "rint": lambda: np.rint(M),
    "round": lambda: np.around(M, 1),
    "divide": lambda: np.reciprocal(V),
    "flip": lambda: np.flip(M),
    "roll": lambda: np.roll(M, 1),
    "pad": lambda: np.pad(M, 1),
    "sliding_window_view": lambda: sliding_window_view(M, (2, 2)),
    "einsum": lambda: np.einsum("ij->", M),
    "norm": lambda: np.linalg.norm(M),
    "cumsum": lambda: np.cumsum(M),
    "cumprod": lambda: np.cumprod(M),
    "prod": lambda: np.prod(M),
    "matmul": lambda: np.dot(M, V),
    "concatenate": lambda: np.vstack([M, V]),
    "where": lambda: np.tril(M),
    "transpose": lambda: np.swapaxes(M, 0, 1),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_result_records_the_operation_and_can_be_drawn(name):
    out = RECORDED[name]()
    assert out.op == name
    assert name in OPERATIONS
    source = microgd.draw(out).source
    as_in_mathematics = {"divide": "÷", "matmul": "@", "transpose": "ᵀ"}
    assert as_in_mathematics.get(name, name) in source
    assert "lambda" not in source


@pytest.mark.parametrize("name", numpy_functions.__all__)
def test_every_public_function_can_be_pickled_and_has_a_documentation(name):
    function = getattr(numpy_functions, name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert function.__name__ == name
    assert function.__doc__


def test_every_public_function_is_reached_by_numpys_name():
    reached = set(NUMPY.values())
    names = numpy_functions.__all__
    assert [name for name in names if getattr(numpy_functions, name) not in reached] == []


def test_no_function_is_both_in_the_table_of_operations_and_among_the_further_ones():
    assert not set(operations.__all__) & set(numpy_functions.__all__)


# ── Several at once ───────────────────────────────────────────────────────────────────────────────
def test_attention_written_with_numpys_names_has_the_derivatives_that_are_measured():
    def attention(x, query, key, value):
        queries, keys, values = (np.tensordot(x, w, 1) for w in (query, key, value))
        scores = np.einsum("bqi,bki->bqk", queries, keys) / np.linalg.norm(key)
        shares = operations.softmax(np.tril(scores) + np.triu(np.full((3, 3), -9.0), 1))
        return np.einsum("bqk,bki->bqi", shares, values)

    weights = (rng.normal(size=(2, 2)) for _ in range(3))
    check_gradients(attention, rng.normal(size=(2, 3, 2)), *weights, order=2)


def test_a_normalized_layer_has_the_derivatives_that_are_measured():
    def normalized(x, scale):
        centred = x - np.average(x, axis=-1, keepdims=True)
        return np.expand_dims(scale, 0) * centred / (np.std(x, axis=-1, keepdims=True) + 0.1)

    check_gradients(normalized, rng.normal(size=(3, 4)), rng.normal(size=4), order=2)


def test_the_area_of_a_polygon_changes_with_its_corners_as_it_should():
    def area(x, y):
        return 0.5 * (np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))

    x, y = np.array([0.0, 2.0, 2.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
    values = Value(x), Value(y)
    assert area(*values).data == 2.0
    np.testing.assert_array_equal(gradients(area(*values), values)[0], [-0.5, 0.5, 0.5, -0.5])
    check_gradients(area, x, y, order=2)


def test_differences_of_partial_sums_are_the_elements_again():
    x = rng.normal(size=5)

    def f(v):
        sums = np.pad(np.cumsum(v), (1, 0))
        return np.hstack([after - before for before, after in pairwise(sums)])

    np.testing.assert_allclose(f(Value(x)).data, x, rtol=1e-12)
    np.testing.assert_allclose(jacobian(f)(x), np.eye(5), atol=1e-15)
