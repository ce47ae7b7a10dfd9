"""How `Value` behaves in Python and with NumPy."""

import copy
import math
import operator
import pickle
import re

import numpy as np
import pytest

from microgd import Value, nn, no_grad, operations, train


@pytest.mark.parametrize(
    "number", [2, 2.0, True, np.float32(2), np.float64(2), np.int8(2), np.array(2), np.array(2.0)]
)
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


@pytest.mark.parametrize(
    "data",
    [Value(1.0), [Value(1.0), Value(2.0)], [1.0, Value([2.0])], [Value([1.0]), Value([2.0])]],
)
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


@pytest.mark.parametrize(
    ("value", "new"),
    [(Value(1.0), [1.0]), (Value([1.0]), 1.0), (Value([1.0, 2.0]), [1.0, 2.0, 3.0])],
)
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


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
)
@pytest.mark.parametrize(
    "other", [3, 3.0, np.float64(3), np.float32(3), np.array([3.0, 4.0]), [3, 4], Value(3.0)]
)
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
    # NumPy asked the Value for a number, and the error has NumPy's words.
    with pytest.raises(ValueError, match="array element"):
        array[0] = Value(1.0)
    assert array.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "op", [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
)
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


@pytest.mark.parametrize(
    "convert",
    [np.asarray, np.array, np.float64, lambda v: np.array([v]), lambda v: np.isin(v, 1.0)],
)
def test_a_value_never_turns_into_an_array_by_itself(convert):
    for value in (Value(1.0), Value([1.0, 2.0])):
        with pytest.raises(TypeError, match=r"\.data"):
            convert(value)


@pytest.mark.parametrize(
    "call",
    [
        lambda v: np.diff(v),
        lambda v: np.linalg.inv(v),
        lambda v: np.add.reduce(v),
        lambda v: np.multiply.outer(v, v),
        lambda v: np.add(v, v, out=np.zeros(2)),
        lambda v: np.modf(v),
        lambda v: np.unique(v),
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
    for name in (
        "exp",
        "log",
        "sqrt",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "relu",
        "softmax",
        "log_softmax",
        "logsumexp",
        "var",
    ):
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
        (lambda v: np.diff(v), r"^numpy\.diff is not supported for Values: write "),
        (lambda v: np.linalg.inv(v), r"^numpy\.linalg\.inv is not supported for Values: write "),
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


@pytest.mark.parametrize(
    ("other", "error"), [(10**400, ValueError), ([[1.0], [1.0, 2.0]], TypeError), ([1j], TypeError)]
)
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


# ── In-place operators ────────────────────────────────────────────────────────────────────────────

IN_PLACE = [
    (operator.iadd, "+="),
    (operator.isub, "-="),
    (operator.imul, "*="),
    (operator.itruediv, "/="),
    (operator.ipow, "**="),
]
in_place = pytest.mark.parametrize(
    ("op", "symbol"), IN_PLACE, ids=[symbol for _, symbol in IN_PLACE]
)


@in_place
@pytest.mark.parametrize("step", [0.5, 2, np.array([0.5, 0.5]), [1.0, 1.0]])
def test_a_step_within_no_grad_that_would_only_rename_a_leaf_is_refused_with_the_cure(
    op, symbol, step
):
    p = Value([1.0, 2.0], name="w")
    with (
        no_grad(),
        pytest.raises(
            TypeError, match=rf"^w {re.escape(symbol)} .* write w\.data {re.escape(symbol)} \.\.\.$"
        ),
    ):
        op(p, step)
    assert p.data.tolist() == [1.0, 2.0]


def test_a_matrix_product_in_place_is_refused_likewise():
    with no_grad(), pytest.raises(TypeError, match=r"write p\.data @= "):
        operator.imatmul(Value(np.ones((2, 2))), np.ones((2, 2)))


@pytest.mark.parametrize(
    ("op", "symbol", "factor"), [(*IN_PLACE[1], 1.0), (*IN_PLACE[1], 1e-3), (*IN_PLACE[0], -0.1)]
)
def test_so_is_a_step_against_a_gradient_outside_of_no_grad(op, symbol, factor):
    p = Value([1.0, 2.0])
    (p * p).sum().backward()
    with pytest.raises(TypeError, match=re.escape(f"write p.data {symbol} ...")):
        op(p, factor * p.grad)


@in_place
@pytest.mark.parametrize("start", [[1.0, 2.0], 3.0])
def test_other_numbers_go_on_from_a_leaf_with_a_gradient(op, symbol, start):
    weight = Value(start)
    for _ in range(2):  # the second time, the gradient of the first is there
        out = weight
        out = op(out, [3.0, 1.5])
        out.sum().backward()
    assert weight.grad is not None


def test_so_is_a_step_where_the_steepest_slope_is_negative():
    p = Value([1.0, 2.0])
    (p * [-3.0, 1.0]).sum().backward()
    with pytest.raises(TypeError, match=r"write p\.data -= \.\.\."):
        p -= 0.1 * p.grad


def test_a_step_of_zeros_goes_nowhere_and_may_be_computed():
    p = Value([1.0, 2.0])
    (p * p).sum().backward()
    assert operator.isub(p, 0.0 * p.grad).op == "subtract"


def test_one_element_outside_of_no_grad_may_be_anything_so_it_is_computed():
    p = Value([2.0])
    (p * p).sum().backward()
    assert operator.isub(p, 0.1 * p.grad).op == "subtract"


def test_a_gradient_of_0_makes_no_step():
    bias = Value([1.0, 2.0])
    (bias * 0.0).sum().backward()
    out = bias
    out -= [0.0, 0.0]
    assert out.op == "subtract"


def test_what_goes_up_along_a_gradient_is_no_step():
    bias = Value([1.0, 2.0])
    for _ in range(2):
        out = bias
        out += [0.5, 0.5]  # which happens to be a multiple of the gradient
        out.sum().backward()
    assert bias.grad.tolist() == [2.0, 2.0]


def test_a_forward_that_goes_on_from_a_leaf_with_numbers_is_evaluated():
    class Scaling(nn.Module):
        def __init__(self):
            self.weight = Value([2.0])

        def forward(self, x):
            out = self.weight
            out *= x
            return out

    model = Scaling()
    assert train.evaluate(model, nn.mse_loss, [[1.0], [2.0]], [[2.0], [4.0]]) == (0.0, None)


@in_place
def test_a_leaf_without_a_gradient_may_start_a_sum(op, symbol):
    x = start = Value([1.0, 2.0])
    x = op(x, 3.0)
    assert (x.op is not None, start.data.tolist()) == (True, [1.0, 2.0])


@in_place
def test_a_forward_that_adds_up_values_in_place_works_within_no_grad_and_leaves_the_leaf_alone(
    op, symbol
):
    bias, w = Value([1.0, 2.0]), Value([3.0, 4.0])
    (bias * w).sum().backward()  # gradients from an earlier step

    def forward(x):
        act = bias
        act = op(act, w * x)
        return op(act, 2.0)  # by now it is a result, so any number is allowed

    with no_grad():
        evaluated = [forward(2.0).data.tolist() for _ in range(2)]
    assert evaluated == [forward(2.0).data.tolist()] * 2
    assert bias.data.tolist() == [1.0, 2.0]


def test_a_number_on_the_left_takes_in_a_value():
    total = 0.0
    with no_grad():
        total += Value(2.0)
    assert total.item() == 2.0


@pytest.mark.parametrize(
    "change",
    [
        lambda w: exec("w.data += 1.0", {"w": w}),
        lambda w: exec("w.data[0] = 1.0", {"w": w}),
        lambda w: exec("w.data[:1] *= 2.0", {"w": w}),
        lambda w: exec("w.data.T[...] = 0.0", {"w": w}),
        lambda w: np.add(w.data, 1.0, out=w.data),
    ],
)
def test_writing_into_what_was_computed_says_what_to_write(change):
    w = Value([[1.0, 2.0]]) * 0.1
    with pytest.raises(
        ValueError,
        match=r"^the data of a computed value is read-only: .*Value\(rng\.normal\(size=3\) \* 0\.1\)",
    ):
        change(w)
    assert w.data.tolist() == [[0.1, 0.2]]


def test_the_data_of_a_computed_value_is_an_array_like_any_other_to_read():
    x = np.array([[3.0, 1.0], [2.0, 4.0]], np.float32)
    data = (Value(x) * 1).data
    assert isinstance(data, np.ndarray)
    assert repr(data) == repr(x)
    assert str(data) == str(x)
    for f in (
        np.exp,
        np.sum,
        np.sort,
        lambda a: a @ a,
        lambda a: a + 1,
        lambda a: np.add.reduce(a),
        lambda a: a.max(0),
    ):
        np.testing.assert_array_equal(f(data), f(x), strict=True)
    assert (
        type(data + 1)
        is type(np.asarray(data))
        is type(pickle.loads(pickle.dumps(data)))
        is np.ndarray
    )
    copied = data.copy()
    copied += 1
    copied[0] = 7.0
    assert copied.tolist() == [[7.0, 7.0], [3.0, 5.0]]
    fresh = alias = data.copy()
    fresh += 1
    assert alias is fresh
    assert np.mean(x, where=(Value(x) * 1).data > 2.0) == 3.5
    assert np.mean(data, where=data.astype(bool)) == np.mean(x)
    assert (data * Value(2.0)).op == (Value(2.0) * data).op == "multiply"


def test_elements_of_a_value_cannot_be_assigned_and_the_message_says_what_to_write():
    v = Value([1.0, 2.0])
    with pytest.raises(TypeError, match=r"write value\.data\[index\] = "):
        v[0] = 3.0


# ── Objects from pandas and SciPy ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv])
def test_a_series_and_a_data_frame_are_constants_on_either_side(op):
    pandas = pytest.importorskip("pandas")
    for plain, theirs in (
        (np.array([1.0, 2.0]), pandas.Series([1.0, 2.0], index=[7, 3])),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), pandas.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]})),
    ):
        for value in (Value(2.0), Value([3.0, 5.0])):
            for got, expected in (
                (op(theirs, value), op(plain, value)),
                (op(value, theirs), op(value, plain)),
            ):
                assert isinstance(got, Value)
                np.testing.assert_array_equal(got.data, expected.data)


def test_a_matrix_product_with_a_data_frame_on_the_left_says_to_numpy():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]})
    with pytest.raises(TypeError, match=r"x\.to_numpy\(\) and x\.toarray\(\) turn"):
        frame @ Value([1.0, 2.0])
    assert (frame.to_numpy() @ Value([1.0, 2.0])).data.tolist() == [5.0, 11.0]


def test_a_column_of_text_is_named():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match="got DataFrame of dtype object, with 'x' in it"):
        Value(pandas.DataFrame({"a": [1.0, 2.0], "b": np.array(["x", "y"], object)}))


def test_an_array_of_objects_that_are_numbers_is_told_how_to_become_one_of_numbers():
    with pytest.raises(TypeError, match=r"got ndarray of dtype object: np\.asarray\(x, float\)"):
        Value(np.array([1, 2.5], object))


@pytest.mark.parametrize("form", ["csr_matrix", "csr_array", "coo_array"])
def test_a_sparse_matrix_is_told_to_become_an_array(form):
    sparse = pytest.importorskip("scipy.sparse")
    matrix, v = getattr(sparse, form)(np.eye(2)), Value([1.0, 2.0])
    for use in (
        lambda: Value(matrix),
        lambda: v @ matrix,
        lambda: matrix @ v,
        lambda: nn.Linear(2, 1)(matrix),
    ):
        with pytest.raises(TypeError, match=r"x\.toarray\(\)"):
            use()


@pytest.mark.parametrize(
    ("op", "left"),
    [(op, left) for op in (operator.mul, operator.matmul, operator.add) for left in (True, False)],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_numpy_matrix_is_refused_since_its_product_is_another(op, left):
    matrix, value = np.matrix(np.eye(2)), Value(np.eye(2))
    with pytest.raises(
        TypeError,
        match=r"a numpy\.matrix, whose \* is the matrix product: np\.asarray\(x\) makes it an array",
    ):
        op(matrix, value) if left else op(value, matrix)


def test_an_array_with_an_arithmetic_of_its_own_is_refused():
    class Metres(np.ndarray):
        """An array that has a unit."""

        def __array_ufunc__(self, ufunc, method, *operands, **options):
            return NotImplemented

    with pytest.raises(TypeError, match="a Metres, whose own arithmetic would be lost"):
        Value(1.0) * np.ones(2).view(Metres)


@pytest.mark.parametrize("kind", [np.recarray, np.memmap])
def test_other_kinds_of_numpys_own_arrays_are_taken(kind, tmp_path):
    array = (
        np.ones(2).view(kind)
        if kind is np.recarray
        else np.memmap(tmp_path / "array", float, "w+", shape=(2,))
    )
    assert (Value(2.0) * array).shape == (2,)


def test_a_condition_with_a_mask_is_refused():
    with pytest.raises(TypeError, match="mask would be lost"):
        np.where(np.ma.array([True, False], mask=[True, False]), Value([1.0, 2.0]), 0.0)


# ── NumPy functions that are not supported ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (np.shape, (2,)),
        (np.ndim, 1),
        (np.size, 2),
        (np.zeros_like, [0.0, 0.0]),
        (np.ones_like, [1.0, 1.0]),
        (lambda v: np.ones_like(v, dtype=int), [1, 1]),
        (lambda v: np.empty_like(v).shape, (2,)),
        (np.isnan, [False, False]),
    ],
)
def test_what_asks_for_no_derivative_is_a_plain_result(function, expected):
    result = function(Value(np.array([3.0, 4.0], np.float32)))
    assert not isinstance(result, Value)
    assert np.array_equal(result, expected)


def test_zeros_like_a_value_has_its_dtype():
    assert np.zeros_like(Value(np.ones(2, np.float32))).dtype == np.float32


n = 3
x = np.array([[2.0, 1.0, 3.0], [1.0, 5.0, 2.0], [4.0, 1.0, 2.5]])
v, weights = x[0], np.array([1.0, 2.0, 3.0])
# For each NumPy function the replacement that the message recommends, which gives the same result.
ADVICE = {
    "vdot": (lambda x: np.vdot(x, weights), "np.dot(x, y)", v),
    "median": (np.median, "np.sort(x)[n // 2]", v),
    "ptp": (np.ptp, "np.max(x) - np.min(x)", x),
    "diff": (np.diff, "x[1:] - x[:-1]", v),
    "matrix_transpose": (np.matrix_transpose, "np.swapaxes(x, -1, -2)", x),
    "array_split": (lambda x: np.array_split(x, [2])[0], "x[:n]", v),
    "hsplit": (lambda x: np.hsplit(x, [1])[1], "np.split(x, sections, axis=1)", x),
    "vsplit": (lambda x: np.vsplit(x, [1])[1], "np.split(x, sections)", x),
    "dstack": (lambda x: np.dstack([x, x]), "np.stack([x, y], axis=-1)", x),
    "append": (lambda x: np.append(x, x), "np.concatenate", v),
    "atleast_1d": (np.atleast_1d, "x.reshape(-1)", 2.0),
    "atleast_2d": (np.atleast_2d, "x[None]", v),
    "copy": (np.copy, "+x", x),
    "float_power": (lambda x: np.float_power(x, 2.0), "x ** y", x),
    "fmax": (lambda x: np.fmax(x, 2.0), "np.maximum", x),
    "fmin": (lambda x: np.fmin(x, 2.0), "np.minimum", x),
    "fabs": (np.fabs, "np.abs", x),
}
BY_HAND = {  # recommendations that are not expressions of x and n
    "vdot": "np.dot(x, weights)",
    "array_split": "x[:2]",
    "hsplit": "np.split(x, [1], axis=1)[1]",
    "vsplit": "np.split(x, [1])[1]",
    "dstack": "np.stack([x, x], axis=-1)",
    "append": "np.concatenate([x, x])",
    "float_power": "x ** 2.0",
    "fmax": "np.maximum(x, 2.0)",
    "fmin": "np.minimum(x, 2.0)",
    "fabs": "np.abs(x)",
}


@pytest.mark.parametrize("name", ADVICE)
def test_what_is_advised_in_place_of_numpys_function_gives_the_same_and_has_a_gradient(name):
    function, advised, at = ADVICE[name]
    value = Value(at)
    with pytest.raises(
        TypeError,
        match=rf"^numpy\.{re.escape(name)} is not supported for Values: .*{re.escape(advised)}",
    ):
        function(value)
    names = {"np": np, "x": value, "n": n, "weights": weights}
    result = eval(BY_HAND.get(name, advised), names)
    np.testing.assert_allclose(result.data, function(at), rtol=1e-12)
    result.sum().backward()
    assert np.any(value.grad)


@pytest.mark.parametrize(
    "function", [np.unique, np.argwhere, np.flatnonzero, np.bincount, lambda v: np.isin(v, 1.0)]
)
def test_where_no_derivative_is_wanted_the_advice_is_the_numbers_alone(function):
    with pytest.raises(
        TypeError,
        match=r"it has no derivative, so give it the numbers alone, x\.data in place of x$",
    ):
        function(Value([1.0, 2.0]))


@pytest.mark.parametrize(
    "function", [np.fft.fft, np.linalg.inv, np.nanmean, np.interp, np.modf, np.cross]
)
def test_of_any_other_function_no_advice_loses_a_gradient(function):
    with pytest.raises(
        TypeError,
        match=r"add it with microgd\.operation; where no derivative is needed, use x\.data$",
    ):
        function(
            Value([1.0, 2.0]),
            *(
                [[1.0], [2.0]]
                if function is np.interp
                else [Value([1.0, 2.0])][: function is np.cross]
            ),
        )


@pytest.mark.parametrize("name", ["copy", "cumprod", "nonzero", "sort"])
def test_a_method_that_arrays_have_and_values_lack_gets_the_same_advice(name):
    with pytest.raises(
        AttributeError, match=rf"^a Value has no attribute '{name}': (write|it has no derivative)"
    ):
        getattr(Value([1.0, 2.0]), name)


def test_a_method_that_is_missing_is_missing_to_hasattr_too():
    assert not hasattr(Value([1.0, 2.0]), "cumprod")


# ── Pickling ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("holder", [lambda y: y, lambda y: [y], lambda y: {"loss": y}])
def test_a_computed_value_cannot_be_pickled_and_the_message_says_what_can(holder):
    with pytest.raises(
        TypeError,
        match=r"a computed Value cannot be pickled, .*: pickle value\.detach\(\) or, of a model, ",
    ):
        pickle.dumps(holder(Value(2.0) * 3.0))


def test_a_module_that_keeps_a_result_is_pickled_without_it():
    layer = nn.Linear(2, 2)
    layer.kept = layer(np.ones(2))
    with pytest.raises(TypeError, match="computed Value"):
        pickle.dumps(layer)
    layer.kept = layer.kept.detach().data
    assert pickle.loads(pickle.dumps(layer)).kept.tolist() == layer.kept.tolist()


def test_a_computed_value_can_still_be_copied():
    x = Value(2.0)
    y = x * x
    for twin in (copy.copy(y), copy.deepcopy(y)):
        assert (twin.data, twin.op) == (4.0, "multiply")
