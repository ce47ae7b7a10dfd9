"""`Value` as Python and NumPy see it."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest

from microgd import Value, operations


@pytest.mark.parametrize("number", [2, 2.0, True, np.float32(2), np.float64(2), np.int8(2), np.array(2), np.array(2.0)])
def test_a_scalar_holds_a_python_float(number):
    value = Value(number)
    assert type(value.data) is float
    assert value.data == float(number)
    assert (value.shape, value.ndim, value.size, value.dtype) == ((), 0, 1, np.float64)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([1, 2], np.float64),
        (np.array([True]), np.float64),
        (np.ones((2, 0), np.int32), np.float64),
        (np.ones(3, np.float32), np.float32),
        (np.ones(3, ">f4"), np.float32),
        (((1.0, 2.0), (3.0, 4.0)), np.float64),
    ],
)
def test_a_tensor_holds_an_array_of_float32_or_float64(data, dtype):
    value = Value(data)
    assert type(value.data) is np.ndarray
    assert value.dtype == value.data.dtype == dtype
    assert value.data.dtype.isnative
    np.testing.assert_array_equal(value.data, data)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (1j, "complex"),
        ("text", "str"),
        (None, "NoneType"),
        (object(), "object"),
        ([[1], [1, 2]], "ragged list"),
        (np.float16(1), "float16"),
        (np.ones(2, np.longdouble), "float128|longdouble|float96"),
        ({"a": 1}, "dict"),
        (b"bytes", "bytes"),
        (np.array(["2020-01-01"], "M8[D]"), "datetime64"),
        ([1.0, None], "list"),
    ],
)
def test_anything_else_is_a_type_error_that_names_it(data, named):
    with pytest.raises(TypeError, match=named):
        Value(data)


@pytest.mark.parametrize("data", [Value(1.0), [Value(1.0), Value(2.0)], [1.0, Value([2.0])], [Value([1.0]), Value([2.0])]])
def test_a_value_of_values_is_a_type_error(data):
    with pytest.raises(TypeError, match="Value"):
        Value(data)


def test_a_value_copies_what_it_is_given():
    given = np.array([1.0, 2.0])
    value = Value(given)
    given[0] = 9.0
    value.data[1] = 7.0
    assert value.data.tolist() == [1.0, 7.0]
    assert given.tolist() == [9.0, 2.0]


def test_assigning_data_copies_and_keeps_shape_and_dtype():
    value, new = Value(np.ones(2, np.float32)), np.array([3.0, 4.0])
    value.data = new
    new[0] = 9.0
    assert value.dtype == np.float32
    assert value.data.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(("value", "new"), [(Value(1.0), [1.0]), (Value([1.0]), 1.0), (Value([1.0, 2.0]), [1.0, 2.0, 3.0])])
def test_assigning_data_of_another_shape_is_a_value_error_and_changes_nothing(value, new):
    before = np.array(value.data)
    with pytest.raises(ValueError, match="shape"):
        value.data = new
    np.testing.assert_array_equal(value.data, before)


def test_assigning_data_that_is_no_number_is_a_type_error():
    value = Value(1.0)
    with pytest.raises(TypeError, match="str"):
        value.data = "a"
    assert value.data == 1.0


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow])
@pytest.mark.parametrize("other", [3, 3.0, np.float64(3), np.float32(3), np.array([3.0, 4.0]), [3, 4], Value(3.0)])
def test_operators_work_from_both_sides(op, other):
    x, data = Value([1.5, 2.5]), np.array([1.5, 2.5])
    plain = other.data if isinstance(other, Value) else np.asarray(other)
    left, right = op(x, other), op(other, x)
    assert type(left) is type(right) is Value
    np.testing.assert_allclose(left.data, op(data, plain))
    np.testing.assert_allclose(right.data, op(plain, data))


def test_matrix_products_work_from_both_sides():
    x, a = Value([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal((x @ a).data, x.data @ a)
    np.testing.assert_array_equal((a @ x).data, a @ x.data)


def test_in_place_operators_make_a_new_value():
    x = y = Value(1.0)
    y += 2
    assert (x.data, y.data, y.op) == (1.0, 3.0, "add")


def test_writing_a_value_into_an_array_is_refused():
    array = np.ones(2)
    with pytest.raises(TypeError):
        array += Value([1.0, 2.0])
    with pytest.raises(ValueError, match="array element"):  # NumPy's own words; it asked the Value for a number
        array[0] = Value(1.0)
    assert array.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("op", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge])
@pytest.mark.parametrize("other", [2, 2.0, Value(2.0), np.float64(2)])
def test_comparisons_of_numbers_are_booleans(op, other):
    number = other.data if isinstance(other, Value) else other
    for x in (1.0, 2.0, 3.0):
        assert op(Value(x), other) is op(x, float(number))


@pytest.mark.parametrize("other", [[2.0, 2.0], np.array([2.0, 2.0]), Value([2.0, 2.0]), 2])
def test_comparisons_of_arrays_are_arrays(other):
    x = Value([1.0, 2.0])
    assert (x == other).tolist() == [False, True]
    assert (x < other).tolist() == [True, False]
    assert type(x >= other) is np.ndarray


def test_an_array_on_the_left_compares_too():
    assert (np.array([1.0, 3.0]) < Value(2.0)).tolist() == [True, False]
    assert np.isnan(Value([np.nan, 1.0])).tolist() == [True, False]


def test_a_value_equals_nothing_that_is_no_number():
    x = Value(1.0)
    assert x != None  # noqa: E711
    assert x != "a"


def test_hash_is_identity():
    a, b = Value(1.0), Value(1.0)
    assert a == b
    assert len({a, b, a}) == 2


@pytest.mark.parametrize("convert", [float, int, complex, math.sin, math.floor, operator.index])
def test_a_value_never_turns_into_a_number_by_itself(convert):
    with pytest.raises(TypeError, match=r"item|np\.sin|floor"):
        convert(Value(1.0))


@pytest.mark.parametrize("convert", [np.asarray, np.array, np.float64, lambda v: np.array([v]), lambda v: np.isin(v, 1.0)])
def test_a_value_never_turns_into_an_array_by_itself(convert):
    for value in (Value(1.0), Value([1.0, 2.0])):
        with pytest.raises(TypeError, match=r"\.data"):
            convert(value)


@pytest.mark.parametrize(
    "call",
    [
        lambda v: np.cumsum(v),
        lambda v: np.linalg.norm(v),
        lambda v: np.add.reduce(v),
        lambda v: np.multiply.outer(v, v),
        lambda v: np.add(v, v, out=np.zeros(2)),
        lambda v: np.floor(v),
        lambda v: np.argmax(v),
    ],
)
def test_a_numpy_function_without_a_rule_is_a_type_error(call):
    with pytest.raises(TypeError, match="numpy"):
        call(Value([1.0, 2.0]))


def test_the_truth_of_one_element_is_its_own_and_of_several_a_value_error():
    assert Value(2.0)
    assert not Value([[0.0]])
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        bool(Value([1.0, 2.0]))


def test_length_and_iteration_go_along_the_first_axis():
    x = Value([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = list(x)
    assert len(x) == len(rows) == 3
    assert rows[1].data.tolist() == [3.0, 4.0]
    assert [element.data for element in rows[2]] == [5.0, 6.0]
    rows[0].sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_a_number_has_neither_length_nor_elements():
    with pytest.raises(TypeError, match="no length"):
        len(Value(1.0))
    with pytest.raises(TypeError, match="no length"):
        iter(Value(1.0))


def test_formatting_shows_the_number():
    assert f"{Value(1.23456):.3f}" == "1.235"
    assert f"{Value([[2.0]]):.1f}" == "2.0"
    assert f"{Value(2.0)}" == "Value(2.0)"
    with pytest.raises(ValueError, match="one element"):
        format(Value([1.0, 2.0]), ".1f")


def test_repr_shows_data_name_and_any_gradient():
    x = Value(np.array([1.0, 2.0], np.float32), name="x")
    assert repr(x) == "Value([1., 2.], dtype=float32, name='x')"
    x.sum().backward()
    assert repr(x) == "Value([1., 2.], dtype=float32, name='x', grad=[1., 1.])"


def test_item_is_the_one_number():
    assert type(Value([[2.5]]).item()) is float
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        Value([1.0, 2.0]).item()


def test_detach_gives_a_leaf_with_its_own_data():
    x = Value([1.0, 2.0])
    y = (x * 2).detach()
    y.data[0] = 9.0
    assert (y.op, y.inputs) == (None, ())
    y.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    ("method", "shape"),
    [
        (lambda x: x.reshape(3, 2), (3, 2)),
        (lambda x: x.reshape((3, 2)), (3, 2)),
        (lambda x: x.reshape(-1), (6,)),
        (lambda x: x.reshape([6, 1]), (6, 1)),
        (lambda x: x.T, (3, 2)),
        (lambda x: x.transpose(), (3, 2)),
        (lambda x: x.transpose(1, 0), (3, 2)),
        (lambda x: x.transpose((1, 0)), (3, 2)),
        (lambda x: x.flatten(), (6,)),
        (lambda x: x[None].squeeze(), (2, 3)),
        (lambda x: x.sum(0), (3,)),
        (lambda x: x.max(1), (2,)),
        (lambda x: x.var(0), (3,)),
        (lambda x: x.logsumexp(1), (2,)),
        (lambda x: x.mean(axis=(0, 1), keepdims=True), (1, 1)),
    ],
)
def test_methods_take_arguments_as_numpy_and_pytorch_do(method, shape):
    assert method(Value(np.arange(6.0).reshape(2, 3))).shape == shape


def test_methods_are_the_operations():
    x = Value([0.5, 0.25])
    for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu", "softmax", "log_softmax", "logsumexp", "var"):
        np.testing.assert_array_equal(getattr(x, name)().data, getattr(operations, name)(x).data)


def test_leaves_can_be_copied_and_pickled():
    x = Value([1.0, 2.0], name="x")
    x.sum().backward()
    for twin in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert (twin.data.tolist(), twin.name, twin.grad.tolist()) == ([1.0, 2.0], "x", [1.0, 1.0])


def test_an_assignment_that_fails_changes_nothing():
    x = Value(np.ones(2, np.float32))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        x.data = [1e300, 2.0]
    assert x.data.tolist() == [1.0, 1.0]


def test_nothing_has_no_item():
    with pytest.raises(ValueError, match=r"shape \(0,\)"):
        Value([]).item()


def test_reshaping_to_no_axes_gives_a_number():
    assert Value([[5.0]]).reshape().data == Value([5.0]).reshape(()).data == 5.0


def test_axes_may_be_numpys_integers():
    x = Value(np.zeros((2, 3, 4)))
    assert x.transpose(np.int64(1), np.int64(2), np.int64(0)).shape == (3, 4, 2)
    assert x.reshape(np.int64(6), np.int64(4)).shape == (6, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: np.cumsum(v), r"^numpy\.cumsum is not supported for Values: write "),
        (lambda v: np.linalg.norm(v), r"^numpy\.linalg\.norm is not supported for Values: write "),
        (lambda v: np.add.reduce(v), r"^numpy\.add does not take Values as \.reduce$"),
        (
            lambda v: np.add(v, v, out=np.zeros(2)),
            r"^numpy\.add can't write a Value into an array, .* write array = array \+ value in place of array \+= value$",
        ),
    ],
)
def test_a_refusal_names_numpys_function(call, message):
    with pytest.raises(TypeError, match=message):
        call(Value([1.0, 2.0]))


@pytest.mark.parametrize(("other", "error"), [(10**400, ValueError), ([[1.0], [1.0, 2.0]], TypeError), ([1j], TypeError)])
def test_a_comparison_with_what_no_value_can_hold_says_so(other, error):
    with pytest.raises(error, match="expected"):
        _ = Value([1.0, 2.0]) == other


def test_an_odd_grad_is_shown():
    x = Value(1.0, name="x")
    x.grad = "odd"
    assert repr(x) == "Value(1.0, name='x', grad='odd')"


@pytest.mark.parametrize("name", [3, 2.0, (), Value(1.0), b"x"])
def test_a_name_that_is_no_text_is_a_type_error(name):
    with pytest.raises(TypeError, match="expected a name that is text"):
        Value(1.0, name)
