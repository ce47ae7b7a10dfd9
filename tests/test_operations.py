"""Every registered operation: values against NumPy, derivatives against finite differences, and
edge cases against a table.
"""

import warnings

import numpy as np
import pytest
from domains import COMPOSED, DOMAINS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgd import Value, check_gradients, gradients, nn, numpy_functions, operations
from microgd.arrays import as_data
from microgd.backprop import Operation
from microgd.kinds import OperationOfOne, OperationOfThree, OperationOfTwo, RegisteredOperation
from microgd.numpy_functions.plain import PLAIN
from microgd.registry import NUMPY, OPERATIONS

REGISTERED = sorted(name for name, op in OPERATIONS.items() if op.module.startswith("microgd."))
EXAMPLES = DOMAINS | COMPOSED
some = settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
every_operation = pytest.mark.parametrize("name", sorted(EXAMPLES))


def as_values(operands, dtype=np.float64):
    """Turn the operands that can have a gradient into Values; leave conditions and labels alone."""
    return [
        Value(x if isinstance(x, float) else x.astype(dtype))
        if np.asarray(x).dtype.kind == "f"
        else x
        for x in operands
    ]


def test_every_operation_has_an_example_of_its_domain():
    assert set(REGISTERED) <= set(DOMAINS)


@every_operation
@some
@given(st.data())
def test_values_agree_with_numpy(name, data):
    domain = EXAMPLES[name]
    operands, options = data.draw(domain.cases)
    result, expected = (
        domain.function(*as_values(operands), **options),
        domain.reference(*operands, **options),
    )
    assert isinstance(result, Value)
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(result.data, expected, rtol=1e-12, atol=1e-12)


@every_operation
@some
@given(st.data())
def test_gradients_of_first_and_second_order_agree_with_finite_differences(name, data):
    domain = EXAMPLES[name]
    operands, options = data.draw(domain.cases)
    places = [i for i, x in enumerate(operands) if np.asarray(x).dtype.kind == "f"]

    def function(*values):
        given = list(operands)
        for place, value in zip(places, values, strict=True):
            given[place] = value
        return domain.function(*given, **options)

    check_gradients(function, *(operands[i] for i in places), order=2)


FUNCTIONS = {name: getattr(operations, name, None) for name in REGISTERED}
FUNCTIONS |= {name: getattr(numpy_functions, name) for name in ("arctan2", "hypot", "cbrt")}
FUNCTIONS |= {name: getattr(numpy_functions, name) for name in ("floor", "ceil", "trunc", "rint")}
FUNCTIONS["binary_cross_entropy_with_logits"] = nn._binary_cross_entropy
FUNCTIONS["linear"] = nn.linear
FAST = [
    name
    for name in REGISTERED
    if isinstance(OPERATIONS[name], OperationOfOne | OperationOfTwo | OperationOfThree)
]


def same_bits(x, y):
    """Whether two numbers, arrays or Values are of one type and dtype, and the same bits."""
    assert type(x) is type(y)
    x, y = (z._numbers if isinstance(z, Value) else z for z in (x, y))
    assert type(x) is type(y)
    assert np.asarray(x).dtype == np.asarray(y).dtype
    assert np.shape(x) == np.shape(y)
    return np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_most_operations_have_a_fast_form():
    assert {"add", "multiply", "power", "matmul", "exp", "relu", "linear"} <= set(FAST)


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@some
@given(st.data())
@np.errstate(all="ignore")  # a constant of 0 may be divided by
def test_the_fast_form_computes_and_records_what_the_plain_one_does(name, dtype, data):
    domain = DOMAINS[name]
    op = OPERATIONS[name]
    drawn, _ = data.draw(domain.cases)
    operands = as_values(drawn, dtype)
    constant = data.draw(st.sampled_from([None, *range(len(operands))] if operands[1:] else [None]))
    if constant is not None:
        x = drawn[constant]
        operands[constant] = data.draw(st.sampled_from([x, np.rint(x).astype(int), np.float32(x)]))
    fast = FUNCTIONS[name](*operands)
    plain = RegisteredOperation.as_function(op)(*operands)
    assert same_bits(fast, plain)
    assert fast.op == plain.op == name
    for x, y in zip(fast.inputs, plain.inputs, strict=True):
        assert x is y
    for x, y in zip(fast.saved, plain.saved, strict=True):
        assert x is y or same_bits(x, y)
    g = 0.5 if isinstance(fast.data, float) else np.full(fast.shape, 0.5, fast.dtype)
    for create_graph in (False, True):
        upstream = Value(g) if create_graph else g
        both = (
            op.contributions(fast, upstream, create_graph),
            Operation.contributions(op, fast, upstream, create_graph),
        )
        for (x, contribution), (y, other) in zip(*map(list, both), strict=True):
            assert x is y
            assert same_bits(contribution, other)


@pytest.mark.parametrize("name", FAST)
def test_the_fast_form_takes_numbers_and_arrays_as_the_plain_one_does(name):
    op = OPERATIONS[name]
    for x in (2, 0.75, np.float32(0.75), np.array([0.75, 0.5], np.float32)):
        operands = [x] * len(op.rules)
        with np.errstate(all="ignore"):
            try:
                expected = op.forward(*map(as_data, operands))
            except ValueError:  # a matrix product of numbers
                continue
            assert same_bits(FUNCTIONS[name](*operands), expected)


@every_operation
@some
@given(st.data())
def test_float32_stays_float32_forwards_and_backwards(name, data):
    domain = EXAMPLES[name]
    operands, options = data.draw(
        domain.cases.filter(lambda case: any(np.ndim(x) for x in case[0]))
    )
    if name == "astype":
        return  # its purpose is to change the dtype
    narrow, wide = as_values(operands, np.float32), as_values(operands)
    results = [domain.function(*values, **options) for values in (narrow, wide)]
    assert results[0].dtype == (
        np.float32
        if results[0].shape and any(v.shape for v in narrow if isinstance(v, Value))
        else float
    )
    for result in results:
        (result * 1.0).sum().backward()
    for x, y in zip(narrow, wide, strict=True):
        if isinstance(x, Value):
            assert np.asarray(x.grad).dtype == x.dtype
            assert np.shape(x.grad) == x.shape
            np.testing.assert_allclose(x.grad, y.grad, rtol=1e-3, atol=1e-3)


@every_operation
@some
@given(st.data())
def test_constants_get_no_gradient_and_leave_the_others_the_same(name, data):
    domain = EXAMPLES[name]
    operands, options = data.draw(domain.cases)
    values = as_values(operands)
    domain.function(*values, **options).sum().backward()
    for i, value in enumerate(values):
        if isinstance(value, Value):
            alone = [Value(x) if j == i else x for j, x in enumerate(operands)]
            domain.function(*alone, **options).sum().backward()
            np.testing.assert_array_equal(alone[i].grad, value.grad)


@every_operation
@some
@given(st.data())
def test_arrays_alone_give_arrays(name, data):
    domain = EXAMPLES[name]
    operands, options = data.draw(domain.cases)
    result = domain.function(*operands, **options)
    assert not isinstance(result, Value)
    np.testing.assert_allclose(
        result, domain.reference(*operands, **options), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    "name",
    sorted(
        {getattr(f, "__name__", "") for f in NUMPY} & set(EXAMPLES) - {"astype"}
        | {name for name, domain in EXAMPLES.items() if domain.numpys}
    ),
)
@some
@given(st.data())
def test_numpys_own_function_is_the_operation(name, data):
    domain = EXAMPLES[name]
    operands, options = data.draw(domain.cases)
    values, by_place = as_values(operands), ()
    function = domain.reference if domain.numpys else getattr(np, name)
    if name in ("clip", "reshape"):  # NumPy 2.0 names their options differently
        by_place, options = options.values(), {}
    result, expected = (
        function(given, **options)
        if name in ("concatenate", "stack")
        else function(*given, *by_place, **options)
        for given in (values, operands)
    )
    assert isinstance(result, Value)
    assert name not in OPERATIONS or result.op == name
    np.testing.assert_allclose(result.data, expected, rtol=1e-12, atol=1e-12)


def test_every_numpy_function_that_takes_values_has_an_example_or_gives_plain_results():
    walked = {NUMPY[domain.numpys] for domain in EXAMPLES.values() if domain.numpys}
    walked |= {NUMPY.get(getattr(np, name, None)) for name in EXAMPLES}
    left_out = [f.__name__ for f, ours in NUMPY.items() if f not in PLAIN and ours not in walked]
    assert not left_out


def test_softmax_of_no_examples_is_empty():
    assert (
        operations.softmax(Value(np.zeros((0, 3)))).shape
        == operations.log_softmax(Value(np.zeros((0, 3)))).shape
        == (0, 3)
    )


@pytest.mark.parametrize("ddof", [0, 1, 2, 3])
def test_a_variance_is_divided_by_the_number_of_elements_less_ddof_but_by_no_negative_number(ddof):
    x = np.array([1.0, 2.0])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(
            operations.var(Value(x), ddof=ddof).data, np.var(x, ddof=ddof)
        )


# ── IEEE 754: a number gets what an array of one element gets ─────────────────────────────────────

SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -8.0,
    3.0,
    1 / 3,
    1e-320,
    1e308,
    -1e308,
    400.0,
    1000.0,
    np.inf,
    -np.inf,
    np.nan,
]


@pytest.mark.parametrize(
    "name", sorted(name for name, domain in DOMAINS.items() if domain.elementwise)
)
def test_a_number_gets_what_an_array_of_one_element_gets(name):
    arity = len(OPERATIONS[name].rules)
    with np.errstate(all="ignore"):
        for x in SPECIAL:
            for y in SPECIAL if arity == 2 else [0.0]:
                numbers = [Value(x), Value(y)][:arity]
                arrays = [Value([x]), Value([y])][:arity]
                number, array = DOMAINS[name].function(*numbers), DOMAINS[name].function(*arrays)
                assert type(number.data) is float
                np.testing.assert_allclose(
                    number.data, array.data[0], rtol=1e-14, err_msg=f"{name}({x}, {y})"
                )
                number.backward()
                array.sum().backward()
                for one, many in zip(numbers, arrays, strict=True):
                    assert type(one.grad) is float
                    np.testing.assert_allclose(
                        one.grad, many.grad[0], rtol=1e-13, err_msg=f"gradient of {name}({x}, {y})"
                    )


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda x: x / 0.0, np.inf),
        (lambda x: -x / 0, -np.inf),
        (lambda x: 1 / (x - 1.0), np.inf),
        (lambda x: (x * -8.0) ** (1 / 3), np.nan),
        (lambda x: (x * 10.0) ** 400, np.inf),
        (lambda x: (x * 0.0) ** -1, np.inf),
        (lambda x: np.log(x - 1.0), -np.inf),
        (lambda x: np.exp(x * 1000.0), np.inf),
        (lambda x: (x * 1e308) * 10, np.inf),
        (lambda x: 2.0 ** (x * 5000), np.inf),
    ],
)
def test_a_number_never_raises_or_turns_complex_where_ieee_754_has_a_value(compute, expected):
    with np.errstate(all="ignore"):
        result = compute(Value(1.0)).data
    assert type(result) is float
    np.testing.assert_equal(result, expected)


def test_warnings_are_left_to_numpys_settings():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        Value(1.0) / 0.0
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (Value(1.0) / 0.0).data == np.inf


@pytest.mark.parametrize(
    "function",
    [operations.sigmoid, operations.softmax, operations.log_softmax, operations.logsumexp],
)
@pytest.mark.parametrize(
    "numbers",
    [[-1000, 1000, 0, 999, -1000], [-1000, -1001]],
    ids=["to both sides", "all below zero"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_inputs_stay_finite_forwards_and_backwards(function, numbers, dtype):
    x = Value(np.array(numbers, dtype))
    result = function(x)
    result.sum().backward()
    assert np.isfinite(result.data).all()
    assert np.isfinite(x.grad).all()


def test_logsumexp_of_infinities_is_what_the_limit_is():
    with np.errstate(divide="ignore"):
        assert operations.logsumexp(Value([-np.inf, -np.inf])).data == -np.inf
    assert operations.logsumexp(Value([np.inf, 1.0])).data == np.inf
    assert operations.logsumexp(Value([-np.inf, 1.0])).data == 1.0


@pytest.mark.parametrize("exponent", [-1.0, -0.5])
def test_the_slope_of_a_power_of_zero_by_a_negative_exponent_is_minus_infinity(exponent):
    y = Value(exponent)
    with np.errstate(all="ignore"):
        (0.0**y).backward()
    assert y.grad == -np.inf


@pytest.mark.parametrize("x", [-2.0, -0.5, -1e-300, -0.0, 0.0, 1e-300, 0.5])
def test_relu_of_a_number_is_what_it_is_of_an_array(x):
    assert (
        operations.relu(Value(x)).item()
        == operations.relu(Value([x])).item()
        == (x if x > 0 else 0.0)
    )


def test_sigmoid_keeps_its_relative_precision_far_to_the_left():
    np.testing.assert_allclose(operations.sigmoid(Value(-40.0)).data, np.exp(-40.0), rtol=1e-15)


# ── Where there is no derivative, or a choice: exact values, as PyTorch has them ──────────────────

CONVENTIONS = [
    ("relu at its kink", lambda x: operations.relu(x), [0.0], [0.0]),
    ("relu of nan", lambda x: operations.relu(x), [np.nan], [1.0]),
    ("abs at its kink", lambda x: abs(x), [0.0], [0.0]),
    ("sign is flat", lambda x: operations.sign(x), [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0]),
    (
        "max shares a tie equally",
        lambda x: x.max(),
        [3.0, 1.0, 3.0, 3.0],
        [1 / 3, 0.0, 1 / 3, 1 / 3],
    ),
    ("min shares a tie equally", lambda x: x.min(), [3.0, 1.0, 1.0], [0.0, 0.5, 0.5]),
    (
        "maximum gives half at a tie",
        lambda x: operations.maximum(x, [1.0, 1.0, 1.0]),
        [0.0, 1.0, 2.0],
        [0.0, 0.5, 1.0],
    ),
    (
        "minimum gives half at a tie",
        lambda x: operations.minimum(x, [1.0, 1.0, 1.0]),
        [0.0, 1.0, 2.0],
        [1.0, 0.5, 0.0],
    ),
    (
        "maximum, right operand",
        lambda x: operations.maximum([1.0, 1.0, 1.0], x),
        [0.0, 1.0, 2.0],
        [0.0, 0.5, 1.0],
    ),
    (
        "minimum, right operand",
        lambda x: operations.minimum([1.0, 1.0, 1.0], x),
        [0.0, 1.0, 2.0],
        [1.0, 0.5, 0.0],
    ),
    ("max of nan", lambda x: x.max(), [1.0, np.nan, 3.0], [0.0, 1.0, 0.0]),
    (
        "clip passes 1 at its bounds",
        lambda x: x.clip(-1, 1),
        [-2.0, -1.0, 0.0, 1.0, 2.0],
        [0.0, 1.0, 1.0, 1.0, 0.0],
    ),
    ("x**0 is constant", lambda x: x**0, [0.0, -1.0, 2.0], [0.0, 0.0, 0.0]),
    ("x**1 at 0", lambda x: x**1, [0.0, -1.0], [1.0, 1.0]),
    ("x**2 at 0 and below", lambda x: x**2, [0.0, -3.0], [0.0, -6.0]),
    ("x**3 at 0 and below", lambda x: x**3, [0.0, -2.0], [0.0, 12.0]),
    ("x**1.5 at 0", lambda x: x**1.5, [0.0], [0.0]),
    ("x**-1 below 0", lambda x: x**-1, [-2.0], [-0.25]),
    (
        "a negative base has no slope for its exponent",
        lambda x: operations.power([-2.0], x),
        [2.0],
        [np.nan],
    ),
    (
        "0**x for the exponent",
        lambda x: operations.power([0.0, 0.0, 2.0], x),
        [0.0, 2.0, 1.0],
        [0.0, 0.0, 2 * np.log(2)],
    ),
]


@pytest.mark.parametrize(
    ("function", "x", "slope"), [c[1:] for c in CONVENTIONS], ids=[c[0] for c in CONVENTIONS]
)
def test_conventions_at_kinks_ties_and_limits(function, x, slope):
    with np.errstate(divide="ignore", invalid="ignore"):
        value = Value(x)
        (function(value) * -8.0).sum().backward()
    np.testing.assert_array_equal(value.grad, np.multiply(slope, -8.0))


@pytest.mark.parametrize(
    ("n", "x", "second"),
    [(0, 0.0, 0.0), (1, 0.0, 0.0), (2, 0.0, 2.0), (3, 0.0, 0.0), (2, -1.0, 2.0)],
)
def test_second_derivative_of_a_power_at_zero_and_below(n, x, second):
    value = Value(x)
    (slope,) = gradients(value**n, [value], create_graph=True)
    assert gradients(slope, [value]) == [second]


def test_a_power_with_a_huge_exponent_has_the_derivatives_0_where_it_is_0():
    x, n = Value([0.5, 0.25]), Value(1e300)
    slopes = gradients((x**n).sum(), [x, n], create_graph=True)
    for slope in slopes:
        for second in gradients(slope.sum(), [x, n]):
            np.testing.assert_array_equal(second, np.zeros(np.shape(second)))


def test_the_mixed_derivatives_of_a_power_are_right_where_the_exponent_is_zero():
    x, y = Value(2.0), Value(0.0)
    # The slope is y * x**(y - 1), and at y = 0 its slope by y is 1 / x.
    (slope,) = gradients(x**y, [x], create_graph=True)
    assert gradients(slope, [y]) == [0.5]
    check_gradients(lambda x, y: x**y, [0.5, 2.0, 3.0], 0.0, order=2)


def test_the_slope_of_a_power_of_zero_is_zero_where_the_exponent_is_a_value_that_is_zero():
    x, y = Value(0.0), Value(0.0)
    assert gradients(x**y, [x]) == [0.0]
    (slope,) = gradients(x**y, [x], create_graph=True)
    assert slope.data == 0.0


@pytest.mark.parametrize(("dtype", "other"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_astype_changes_the_dtype_and_its_gradient_changes_it_back(dtype, other):
    x = Value(np.ones(2, dtype))
    y = x.astype(other)
    y.sum().backward()
    assert (y.dtype, y.grad.dtype, x.grad.dtype) == (other, other, dtype)


def test_astype_leaves_a_number_a_number():
    assert type(Value(2.0).astype(np.float32).data) is float


@pytest.mark.parametrize("bound", [np.float64(0.5), np.array([0, 1]), 1, True])
def test_the_bounds_of_clip_widen_nothing(bound):
    assert Value(np.ones(2, np.float32)).clip(bound, None).dtype == np.float32


def test_transpose_takes_as_many_axes_as_there_are():
    x = Value(np.ones((2, 3)))
    for axes in [(0,), (0, 1, 2)]:
        with pytest.raises(ValueError, match="axes"):
            x.transpose(*axes)


def test_a_transposes_gradient_finds_its_way_back_where_axes_are_negative():
    x, g = Value(np.zeros((2, 3, 4))), np.arange(24.0).reshape(4, 2, 3)
    x.transpose(-1, 0, 1).backward(g)
    np.testing.assert_array_equal(x.grad, g.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((3,), (2, 3, 4)),
        ((2, 4, 3), (3,)),
        ((3,), (2, 1, 3, 4)),
        ((2, 1, 4, 3), (3,)),
    ],
)
def test_vectors_and_stacks_of_matrices_get_their_gradients(left, right):
    rng = np.random.default_rng(0)
    check_gradients(operations.matmul, rng.normal(size=left), rng.normal(size=right), order=2)


@pytest.mark.parametrize("shapes", [((2, 3), (1, 2)), ((), (2,)), ((3,),)])
def test_concatenated_along_no_axis_arrays_are_flattened_first(shapes):
    rng = np.random.default_rng(0)
    arrays = [Value(rng.normal(size=shape)) for shape in shapes]
    joined = operations.concatenate(arrays, axis=None)
    np.testing.assert_array_equal(joined.data, np.concatenate([np.ravel(x.data) for x in arrays]))
    check_gradients(lambda *xs: operations.concatenate(xs, axis=None), *arrays)


def test_arrays_are_stacked_along_a_new_first_axis_and_joined_along_the_first():
    x, y = Value([[1.0, 2.0]]), Value([[3.0, 4.0]])
    assert (operations.stack([x, y]).shape, operations.concatenate([x, y]).shape) == (
        (2, 1, 2),
        (2, 2),
    )


def test_every_matrix_in_a_stack_of_stacks_gets_its_own_gradient():
    rng = np.random.default_rng(0)
    check_gradients(operations.matmul, rng.normal(size=(2, 2, 1, 3)), rng.normal(size=(2, 2, 3, 2)))


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "backward": lambda x: np.flip(np.flip(x).copy()),
    "spread out": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "axes swapped": lambda x: np.swapaxes(np.swapaxes(x, 0, -1).copy(), 0, -1),
    "one row again and again": lambda x: np.broadcast_to(x[:1], x.shape),
}
shapes = st.sampled_from(
    [(512,), (511,), (7,), (0,), (32, 16), (1, 600), (600, 1), (0, 600), (3, 4), (4, 15, 11)]
)


@st.composite
def conditions_and_branches(draw):
    """A condition, and an array that it broadcasts with, in any layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(shapes)
    dtype = draw(st.sampled_from(["f4", "f8", "f4", "f8", ">f4", "f2", "i8", "?"]))
    x = rng.standard_normal(shape)
    nan_with_a_payload = np.array(0xFFF8_1234_5678_9ABC, np.uint64).view(np.float64)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, nan_with_a_payload, 1e-310, 1e-40, 1.0]
    if dtype in ("f4", "f8", ">f4", "f2"):
        x = np.where(rng.random(shape) < 0.5, x, rng.choice(special, shape))
    x = x.astype(dtype)
    condition_shape = draw(
        st.sampled_from([shape, shape[1:], (1, *shape[1:]), (*shape[:-1], 1), (3, *shape), (1, 1)])
    )
    condition = rng.random(condition_shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    if condition.ndim:
        condition = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](condition)
    return condition, LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](x)


@settings(some, max_examples=1000)
@given(conditions_and_branches(), st.sampled_from([0.0, 0.0, -0.0, 1.0, 0, np.float32(0)]))
def test_where_gives_the_bits_and_the_layout_that_numpys_gives(drawn, number):
    condition, x = drawn
    for branches in ((number, x), (x, number)):
        result = operations.where(condition, *branches)
        expected = np.where(condition, *branches)
        assert type(result) is type(expected)
        assert result.dtype == expected.dtype
        assert result.shape == expected.shape
        assert result.strides == expected.strides
        assert result.tobytes() == expected.tobytes()
        assert result.flags.writeable
        assert not np.shares_memory(result, x)


def test_where_selects_the_upstream_gradient_and_never_multiplies_it():
    x = Value([1.0, 2.0])
    operations.where([True, False], x, 0.0).backward(np.array([3.0, np.inf]))
    np.testing.assert_array_equal(x.grad, [3.0, 0.0])


def test_a_place_picked_twice_gets_both_gradients():
    x = Value([1.0, 2.0, 3.0])
    x[[0, 0, 2]].backward(np.array([1.0, 10.0, 100.0]))
    np.testing.assert_array_equal(x.grad, [11.0, 0.0, 100.0])


@pytest.mark.parametrize("index", [3, -4, (0, 0), [5], "a", 1.5])
def test_an_index_that_does_not_fit_is_an_index_error(index):
    with pytest.raises(IndexError):
        Value([1.0, 2.0, 3.0])[index]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.sum(axs=0), "unexpected keyword argument 'axs'"),
        (lambda x: x.sum(0, axis=0), "multiple values for argument 'axis'"),
        (lambda x: x.sum(0, False, 1), "positional arguments"),
        (lambda x: operations.var(x, 0, 1), "positional arguments"),
        (lambda x: operations.getitem(x), "missing 1 required positional argument"),
        (lambda x: operations.exp(x, np.zeros(3)), "takes 1 positional argument but 2 were given"),
        (lambda x: operations.add(x), "missing 1 required positional argument"),
        (lambda x: x.clip(Value(0.0), 1.0), "takes Values by position, as operands"),
        (lambda x: operations.softmax(x=x), "takes Values by position, as operands"),
        (lambda x: operations.clip(np.zeros(3), x, 1.0), "takes Values by position, as operands"),
        (lambda x: x[Value(1.0)], "takes Values by position, as operands"),
        (lambda x: x.astype(int), "float32 or float64"),
        (lambda x: x.logsumexp(0, "yes"), "keepdims to be True or False"),
        (lambda x: x.sum(0, 1), "keepdims to be True or False, but got 1"),
    ],
)
def test_a_call_that_does_not_fit_the_operation_is_a_type_error(call, message):
    with pytest.raises(TypeError, match=message):
        call(Value([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x + np.ones(4),
        lambda x: x @ np.ones(4),
        lambda x: x.reshape(2, 2),
        lambda x: x.transpose(0, 1),
        lambda x: operations.concatenate([x, np.ones((1, 1))]),
        lambda x: operations.stack([x, np.ones(2)]),
        lambda x: x.broadcast_to((2, 2)),
    ],
)
def test_shapes_that_do_not_match_are_a_value_error(call):
    with pytest.raises(ValueError, match=r"shape|axes|dimension"):
        call(Value([1.0, 2.0, 3.0]))


def test_an_axis_too_large_for_an_integer_of_numpys_is_a_value_error():
    with pytest.raises(ValueError, match=r"sum: .*too large"):
        Value(np.ones((2, 3))).sum(2**70)


def test_an_axis_that_is_not_there_is_numpys_axis_error():
    with pytest.raises(np.exceptions.AxisError):
        Value([1.0, 2.0]).sum(axis=1)


def test_a_value_that_is_the_condition_too_keeps_its_gradient():
    v = Value([1.0, 0.0, 2.0])
    operations.where(v, v, 5.0).sum().backward()
    assert v.grad.tolist() == [1.0, 0.0, 1.0]
    x = Value([1.0, 0.0, 2.0])
    (slope,) = gradients(operations.where(x, x * x, x).sum(), [x], create_graph=True)
    assert slope.data.tolist() == [2.0, 1.0, 4.0]


@pytest.mark.parametrize("surplus", [(7,), (7, 8)])
def test_a_surplus_argument_is_a_type_error(surplus):
    x = Value([1.0, 2.0])
    for call in (operations.where, nn.linear):
        with pytest.raises(TypeError, match="positional arguments but"):
            call(np.ones((1, 2)), Value(np.ones((2, 2))), x, *surplus)


@pytest.mark.parametrize("function", [operations.maximum, operations.minimum])
@pytest.mark.parametrize("number", [lambda x: x, lambda x: [x, x]])
def test_both_operands_of_a_tie_get_half_of_the_upstream_gradient(function, number):
    x, y = Value(number(2.0)), Value(number(2.0))
    (3.0 * function(x, y)).sum().backward()
    np.testing.assert_array_equal(x.grad, number(1.5))
    np.testing.assert_array_equal(y.grad, number(1.5))


@pytest.mark.parametrize("ddof", [0, 1, 2])
def test_the_variance_divides_by_as_much_as_numpys(ddof):
    x = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(Value(x).var(ddof=ddof).data, x.var(ddof=ddof), rtol=1e-15)
