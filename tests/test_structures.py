"""Structures: nested lists, tuples and dictionaries, taken apart and put together, and as arguments of `grad`."""

from collections import OrderedDict, defaultdict, deque, namedtuple
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from microgd import (
    Value,
    grad,
    gradients,
    hessian,
    jacobian,
    nn,
    no_grad,
    operations,
    value_and_grad,
)
from microgd.structures import as_structure, flatten, unflatten

Pair = namedtuple("Pair", ["weight", "bias"])


class Layer(NamedTuple):
    weight: object
    bias: object = None


class Layers(list):
    """A list with an attribute of its own."""


def params():
    return "params"


def a_number():
    return st.floats(-2, 2) | st.integers(-3, 3) | st.floats(-2, 2).map(np.float64)


def an_array():
    shapes = hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=3)
    dtypes = st.sampled_from([np.float32, np.float64])
    return hnp.arrays(dtypes, shapes, elements=st.floats(-2, 2, width=32))


def containers(part):
    """A list, a tuple, a named tuple or a dictionary of such parts."""
    parts = st.lists(part, max_size=3)
    keys = st.text("abc", max_size=2) | st.integers(0, 3)
    named = st.dictionaries(keys, part, max_size=3)
    return st.one_of(
        parts,
        parts.map(tuple),
        st.builds(Pair, part, part),
        part.map(Layer),
        named,
        named.map(OrderedDict),
    )


LEAVES = a_number() | an_array()
STRUCTURES = st.recursive(LEAVES | st.none(), containers, max_leaves=8)


def pairs(one, other):
    """Each leaf of one structure with the leaf in the same place of another; an error if their forms differ."""
    if isinstance(one, list | tuple):
        assert type(other) is type(one)
        assert len(other) == len(one)
        return [pair for x, y in zip(one, other, strict=True) for pair in pairs(x, y)]
    if isinstance(one, dict):
        assert type(other) is type(one)
        assert list(other) == list(one)
        return [pair for key in one for pair in pairs(one[key], other[key])]
    if one is None:
        assert other is None
        return []
    return [(one, other)]


@settings(deadline=None)
@given(STRUCTURES)
def test_a_structure_that_is_taken_apart_can_be_put_together_again(structure):
    leaves = flatten(structure, params)
    again = unflatten(structure, leaves)
    matched = pairs(structure, again)
    assert len(matched) == len(leaves)
    assert all(x is y for x, y in matched)


@settings(deadline=None)
@given(STRUCTURES)
def test_the_leaves_come_in_the_order_in_which_they_are_put_back(structure):
    n = len(flatten(structure, params))
    numbered = unflatten(structure, range(n))
    assert [number for _, number in pairs(structure, numbered)] == list(range(n))
    assert flatten(numbered, params) == list(range(n))


def test_putting_together_makes_new_containers_and_leaves_the_old_ones_alone():
    structure = {"layers": [[1.0], (2.0,)]}
    new = unflatten(structure, [3.0, 4.0])
    assert structure == {"layers": [[1.0], (2.0,)]}
    assert new == {"layers": [[3.0], (4.0,)]}
    new["layers"][0].append(5.0)
    assert structure["layers"][0] == [1.0]


def test_none_is_no_leaf_and_stays():
    structure = [None, {"bias": None, "weight": 1.0}]
    assert flatten(structure, params) == [1.0]
    assert unflatten(structure, ["w"]) == [None, {"bias": None, "weight": "w"}]
    assert flatten(None, params) == []
    assert unflatten(None, []) is None


@pytest.mark.parametrize("structure", [[], (), {}, [[], {}, ()]])
def test_a_structure_may_be_empty(structure):
    assert flatten(structure, params) == []
    assert unflatten(structure, []) == structure


@pytest.mark.parametrize("leaf", [1.0, 2, True, np.float32(1), np.ones(2), Value(1.0), range(3)])
def test_whatever_a_value_takes_is_a_leaf(leaf):
    (got,) = flatten({"a": leaf}, params)
    assert got is leaf


def test_an_array_in_two_places_is_two_leaves():
    array = np.ones(2)
    assert len(flatten([array, array], params)) == 2


def test_a_container_in_two_places_is_no_circle():
    shared = [1.0, 2.0]
    structure = (shared, {"again": shared})
    assert flatten(structure, params) == [1.0, 2.0, 1.0, 2.0]
    assert unflatten(structure, "abcd") == (["a", "b"], {"again": ["c", "d"]})


def test_named_tuples_keep_their_class():
    new = unflatten([Pair(1.0, None), Layer(2.0, 3.0)], "abc")
    assert new == [Pair("a", None), Layer("b", "c")]
    assert [type(x) for x in new] == [Pair, Layer]


def test_a_named_tuple_may_have_a_constructor_of_its_own():
    class Checked(Layer):
        def __new__(cls, weight):
            assert isinstance(weight, float)
            return super().__new__(cls, weight, 0.0)

    new = unflatten(Checked(1.0), "ab")
    assert type(new) is Checked
    assert tuple(new) == ("a", "b")


def test_dictionaries_keep_their_order():
    assert flatten({"b": 1.0, "a": 2.0}, params) == [1.0, 2.0]
    assert list(unflatten({"b": 1.0, "a": 2.0}, "xy").items()) == [("b", "x"), ("a", "y")]


def test_dictionaries_keep_their_class_and_what_belongs_to_it():
    ordered = OrderedDict(b=1.0, a=2.0)
    ordered.move_to_end("b")
    assert unflatten(ordered, "xy") == OrderedDict(a="x", b="y")
    new = unflatten(defaultdict(list, a=1.0), "x")
    assert type(new) is defaultdict
    assert new.default_factory is list
    assert dict(new) == {"a": "x"}


def test_lists_of_a_subclass_keep_it():
    layers = Layers([1.0, 2.0])
    layers.activation = "tanh"
    new = unflatten(layers, "xy")
    assert type(new) is Layers
    assert new == ["x", "y"]
    assert new.activation == "tanh"
    assert layers == [1.0, 2.0]


NUMBER = "expected a number or an array of float32, float64, integers or booleans, but got "
REFUSED = {
    "text": ({"layers": [{"name": "x"}]}, rf"params\['layers'\]\[0\]\['name'\]: {NUMBER}str"),
    "text alone": ("x", f"params: {NUMBER}str"),
    "bytes": ([b"x"], rf"params\[0\]: {NUMBER}bytes"),
    "a module": ([1.0, nn.Linear(2, 1)], rf"params\[1\]: {NUMBER}Linear"),
    "a set": ([[1.0], {1.0}], rf"params\[1\]: {NUMBER}set"),
    "a complex number": ([1j, 2.0], rf"params\[0\]: {NUMBER}complex"),
    "complex numbers": ((np.ones(2, complex),), rf"params\[0\]: {NUMBER}ndarray of dtype complex128"),
    "half precision": ([np.ones(2, np.float16)], rf"params\[0\]: {NUMBER}ndarray of dtype float16"),
    "an object": (Layer(object()), rf"params\.weight: {NUMBER}object"),
    "a function": (Layer([1.0, len]), rf"params\.weight\[1\]: {NUMBER}builtin"),
    "another mapping": ([MappingProxyType({"a": 1.0})], rf"params\[0\]: {NUMBER}mappingproxy"),
    "a tuple as a key": ({("a", 1): "x"}, rf"params\[\('a', 1\)\]: {NUMBER}str"),
    "a masked array": ([np.ma.array([1.0])], r"params\[0\]: expected a number or an array of numbers, but got a masked array"),
    "Values in a deque": ([deque([Value(1.0)])], r"params\[0\]: a Value does not turn into an array"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_neither_a_leaf_nor_a_container_is_a_type_error_that_says_where_it_is(name):
    structure, message = REFUSED[name]
    with pytest.raises(TypeError, match=f"^{message}"):
        flatten(structure, params)


def test_a_number_that_is_too_large_is_a_value_error_that_says_where_it_is():
    with pytest.raises(ValueError, match=r"^params\['a'\]: expected numbers below 9e307"):
        flatten({"a": 10**400}, params)


def test_a_tuple_of_an_unknown_class_is_a_type_error():
    class Version(tuple):
        __slots__ = ()

    with pytest.raises(TypeError, match=r"^params\[0\]: expected a list, a tuple, .* Version"):
        flatten([Version([1.0, 2.0])], params)


def test_a_structure_that_contains_itself_is_a_value_error():
    circle = [1.0, {"a": 2.0}]
    circle[1]["b"] = circle
    with pytest.raises(ValueError, match=r"contains itself: params\[1\]\['b'\] is params$"):
        flatten(circle, params)
    with pytest.raises(ValueError, match=r"params\[0\]\[1\]\['b'\] is params\[0\]$"):
        flatten((circle,), params)


def test_the_name_is_asked_for_only_if_there_is_an_error():
    def unknown():
        raise AssertionError("asked for")

    assert flatten([1.0], unknown) == [1.0]
    assert as_structure([1.0], unknown).tolist() == [1.0]


@pytest.mark.parametrize(
    ("argument", "shape"),
    [
        ([1.0, 2], (2,)),
        ([[1, 2], [3, 4.0], [5, 6]], (3, 2)),
        ([True, np.float64(1), np.int8(2)], (3,)),
        ([], (0,)),
        ([[], []], (2, 0)),
        (Layers([1.0]), (1,)),
    ],
)
def test_an_argument_that_is_a_list_of_numbers_is_one_array(argument, shape):
    array = as_structure(argument, params)
    assert type(array) is np.ndarray
    assert array.shape == shape
    assert array.dtype == np.float64
    assert array.tolist() == argument


@pytest.mark.parametrize(
    "argument",
    [
        (1.0, 2.0),
        ([1.0, 2.0], [3.0, 4.0]),
        [(1.0, 2.0), (3.0, 4.0)],
        [1.0, None],
        [[1.0], {"a": 2.0}],
        [[1.0], Value(2.0)],
        [np.ones(2), np.ones(2)],
        [[1.0, np.ones(())]],
        {"a": [1.0, 2.0]},
        Layer([1.0, 2.0]),
        ["a", 1.0],
        np.ones(2),
        1.0,
        None,
    ],
)
def test_any_other_argument_is_the_structure_that_it_is(argument):
    assert as_structure(argument, params) is argument


def test_rows_of_different_lengths_are_still_a_type_error():
    with pytest.raises(TypeError, match=r"^params: .* ragged list"):
        as_structure([[1.0], [2.0, 3.0]], params)
    rows = ([1.0], [2.0, 3.0])
    assert as_structure(rows, params) is rows


def test_a_list_of_numbers_that_contains_itself_is_found_to_be_endless():
    circle = [1.0]
    circle.append(circle)
    structure = as_structure(circle, params)
    with pytest.raises(ValueError, match=r"contains itself: params\[1\] is params$"):
        flatten(structure, params)


# ── Derivatives with respect to structures ───────────────────────────────────────────────────────
def weighted_squares(structure):
    """The sum of the squares of all leaves, those of leaf i with the weight i + 1."""
    total = 0.0
    for i, (leaf, _) in enumerate(pairs(structure, structure)):
        total = total + (i + 1) * (leaf**2).sum()
    return total


def numbers(x):
    """A number as a float, and an array as an array of floats."""
    return np.asarray(x, getattr(x, "dtype", float) if np.ndim(x) else float)


@settings(deadline=None)
@given(STRUCTURES)
def test_the_gradient_has_the_structure_of_the_argument_and_each_leaf_its_shape_and_dtype(leaves):
    value, (gradient,) = value_and_grad(lambda p: weighted_squares(p[0]))((leaves,))
    assert value == pytest.approx(
        sum((i + 1) * (numbers(x) ** 2).sum() for i, (x, _) in enumerate(pairs(leaves, leaves)))
    )
    for i, (leaf, slope) in enumerate(pairs(leaves, gradient)):
        assert type(slope) is (np.ndarray if isinstance(leaf, np.ndarray) else float)
        assert np.shape(slope) == np.shape(leaf)
        assert numbers(slope).dtype == numbers(leaf).dtype
        np.testing.assert_allclose(slope, 2 * (i + 1) * numbers(leaf), rtol=1e-6)


@settings(deadline=None)
@given(STRUCTURES)
def test_given_values_as_leaves_the_gradient_is_that_structure_of_values(leaves):
    given_values = unflatten((leaves,), [Value(leaf) for leaf in flatten((leaves,), params)])
    gradient = grad(weighted_squares)(given_values)
    for i, (value, slope) in enumerate(pairs(given_values, gradient)):
        assert type(slope) is Value
        assert (slope.shape, slope.dtype) == (value.shape, value.dtype)
        np.testing.assert_allclose(slope.data, 2 * (i + 1) * numbers(value.data), rtol=1e-6)
        assert value.grad is None


@settings(deadline=None, max_examples=30)
@given(STRUCTURES, STRUCTURES)
def test_a_jacobian_has_the_results_structure_of_the_arguments_structures(leaves, others):
    def scaled(p):
        """The other structure, with each leaf times a number that depends on p."""
        total = weighted_squares(p)
        return unflatten((others,), [numbers(x) * total for x in flatten((others,), params)])

    found = jacobian(scaled)((leaves,))
    gradient = grad(weighted_squares)((leaves,))
    blocks = 0
    for out, part in zip(flatten((others,), params), found_at(found, (others,)), strict=True):
        for slope, block in pairs(gradient, part):
            assert type(block) is (float if np.ndim(out) == np.ndim(slope) == 0 else np.ndarray)
            assert numbers(block).dtype == numbers(slope).dtype
            np.testing.assert_allclose(
                block, np.multiply.outer(numbers(out), numbers(slope)), rtol=1e-5, atol=1e-30
            )
            blocks += 1
    assert blocks == len(flatten((leaves,), params)) * len(flatten((others,), params))


def found_at(structure, form):
    """What is in a structure at the places of the leaves of another."""
    if isinstance(form, list | tuple):
        assert type(structure) is type(form)
        return [x for part, f in zip(structure, form, strict=True) for x in found_at(part, f)]
    if isinstance(form, dict):
        assert list(structure) == list(form)
        return [x for key in form for x in found_at(structure[key], form[key])]
    if form is None:
        assert structure is None
        return []
    return [structure]


def test_the_function_gets_the_same_structure_with_values_in_it():
    got = []

    def f(layers):
        got.append(layers)
        return layers[0].weight.sum()

    argument = [Layer(np.ones((2, 1), np.float32)), {"b": [1.0], "a": None}]
    gradient = grad(f)(argument)
    (inner,) = got
    assert type(inner[0]) is Layer
    assert inner[0].bias is inner[1]["a"] is None
    assert [type(x) for x in (inner[0].weight, inner[1]["b"][0])] == [Value, Value]
    assert inner[0].weight.dtype == np.float32
    assert gradient[0].weight.tolist() == [[1.0], [1.0]]
    assert gradient[1] == {"b": [0.0], "a": None}
    assert argument[1] == {"b": [1.0], "a": None}


def test_a_function_that_changes_its_structure_changes_nothing_outside():
    def f(p):
        p["layers"].append(p.pop("scale"))
        return p["layers"][0] * p["layers"][1]

    argument = {"scale": 3.0, "layers": [2.0]}
    assert grad(f)(argument) == {"scale": 2.0, "layers": [3.0]}
    assert argument == {"scale": 3.0, "layers": [2.0]}


def test_a_list_of_numbers_is_one_array_as_an_argument():
    value, gradient = value_and_grad(lambda x: (x**2).sum())([1.0, 2.0])
    assert (value, gradient.tolist()) == (5.0, [2.0, 4.0])
    assert grad(lambda x: (x @ x).sum())([[1.0, 2.0], [3.0, 4.0]]).shape == (2, 2)
    assert jacobian(lambda x: x * 2)([1, 2]).tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert hessian(lambda x: (x**2).sum())([1, 2]).tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_a_list_of_numbers_inside_a_structure_is_a_list_of_numbers():
    assert grad(lambda p: p["x"][0] * p["x"][1])({"x": [2.0, 3.0]}) == {"x": [3.0, 2.0]}
    assert grad(lambda p: p[0] * p[1])((2.0, 3.0)) == (3.0, 2.0)


def test_a_list_of_arrays_is_a_structure_even_if_their_shapes_are_equal():
    w = np.array([[1.0, 2.0], [3.0, 4.0]])
    one, other = grad(lambda ws: (ws[0] @ ws[1]).sum())([w, w])
    assert one.tolist() == [[3.0, 7.0], [3.0, 7.0]]
    assert other.tolist() == [[4.0, 4.0], [6.0, 6.0]]
    assert not np.shares_memory(one, other)


def test_a_list_of_values_is_a_structure():
    x, y = Value(2.0), Value([3.0, 4.0])
    one, other = grad(lambda p: (p[0] * p[1] ** 2).sum())([x, y])
    assert (one.data, other.data.tolist()) == (25.0, [12.0, 16.0])
    assert gradients(one, [x, y])[1].tolist() == [6.0, 8.0]


def test_one_value_in_two_places_is_two_leaves():
    x = Value(3.0)
    assert [slope.data for slope in grad(lambda p: p[0] ** 2 * p[1])([x, x])] == [18.0, 9.0]


def test_one_value_makes_all_gradients_values():
    gradient = grad(lambda p: p["a"] * p["b"])({"a": 2.0, "b": Value(3.0)})
    assert [(type(x), x.data) for x in gradient.values()] == [(Value, 3.0), (Value, 2.0)]


def test_a_value_in_one_argument_makes_the_gradients_for_the_others_values_too():
    one, other = grad(lambda x, p: x * p["a"], argnums=(0, 1))(2.0, {"a": Value(3.0)})
    assert [(type(x), x.data) for x in (one, other["a"])] == [(Value, 3.0), (Value, 2.0)]


def test_several_argnums_each_have_their_arguments_structure():
    def f(layer, x, scale):
        return ((x @ layer["w"] + layer["b"]) * scale[0]).sum()

    layer, x, scale = {"w": np.ones(2), "b": 1.0}, np.array([[3.0, 4.0]]), (2.0,)
    assert type(grad(f, argnums=(0,))(layer, x, scale)) is tuple
    by_scale, by_x, by_layer = grad(f, argnums=(2, 1, 0))(layer, x, scale)
    assert by_scale == (8.0,)
    assert by_x.tolist() == [[2.0, 2.0]]
    assert by_layer["w"].tolist() == [6.0, 8.0]
    assert by_layer["b"] == 2.0


def test_one_structure_at_two_argnums_is_differentiated_once_for_each():
    one, other = grad(lambda p: p["a"] ** 2, argnums=(0, -1))({"a": 3.0})
    assert one == other == {"a": 6.0}
    assert one is not other


@pytest.mark.parametrize("empty", [None, {}, (), [None], {"a": ()}])
def test_the_gradient_for_nothing_is_nothing(empty):
    assert grad(lambda p: Value(3.0) ** 2)(empty) == empty
    assert jacobian(lambda p: Value([1.0, 2.0]))(empty) == empty
    assert grad(lambda p, x: x**2, argnums=(0, 1))(empty, 3.0) == (empty, 6.0)


def test_within_no_grad_the_gradients_of_a_structure_have_no_record():
    with no_grad():
        assert grad(lambda p: p[0] ** 2)((3.0,)) == (6.0,)
        (slope,) = grad(lambda p: p[0] ** 2)((Value(3.0),))
        ((curvature,),) = hessian(lambda p: p[0] ** 3)((Value(3.0),))
    assert (slope.data, slope.op) == (6.0, None)
    assert (curvature.data, curvature.op) == (18.0, None)


def test_an_inner_grad_may_use_the_outer_structure():
    # d/da and d/db of a * d/dq (q * a² * b at q = 1) = a³ b
    def f(p):
        inner = grad(lambda q: q["q"] * p["a"] ** 2 * p["b"][0])({"q": 1.0})
        return p["a"] * inner["q"]

    assert grad(f)({"a": 2.0, "b": [5.0]}) == {"a": 60.0, "b": [8.0]}


def test_an_inner_grad_at_the_outer_structure_tells_the_two_uses_apart():
    # d/dq (p q) at q = p is p, not 2p
    assert grad(lambda p: grad(lambda q: p["a"] * q["a"])(p)["a"])({"a": 3.0}) == {"a": 1.0}


def test_an_inner_grad_may_use_only_a_part_of_the_outer_structure():
    assert grad(lambda p: p[0] * grad(lambda y: p[1] * y)(1.0))((5.0, 3.0)) == (3.0, 5.0)


def test_a_step_of_descent_can_be_differentiated():
    # w - 0.1 * 2 (w - t) at w = 1, squared: its derivative by t is 2 (0.8 w + 0.2 t) * 0.2
    def after_a_step(p):
        slope = grad(lambda q: (q["w"] - p["t"]) ** 2)({"w": p["w"]})
        return (p["w"] - 0.1 * slope["w"]) ** 2

    gradient = grad(after_a_step)({"w": 1.0, "t": 3.0})
    assert gradient == pytest.approx({"w": 2 * 1.4 * 0.8, "t": 2 * 1.4 * 0.2})


def test_grads_nest_over_structures():
    def f(p):
        return p["x"] ** 4 * p["y"][0]

    def slope(p):
        return grad(f)(p)["x"]

    assert grad(slope)({"x": 2.0, "y": [3.0]}) == {"x": 144.0, "y": [32.0]}
    assert grad(lambda p: grad(slope)(p)["x"])({"x": 2.0, "y": [3.0]}) == {"x": 144.0, "y": [48.0]}


class Account:
    """A function with a name for its argument."""

    def loss(self, weights, *more):
        return 0.0


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda: grad(lambda params: 0.0)({"layers": [{"name": "x"}]}), r"params\['layers'\]\[0\]\['name'\]"),
        (lambda: grad(lambda x, p: 0.0, argnums=(0, -1))(1.0, ["x"]), r"p\[0\]"),
        (lambda: grad(grad(lambda x: x))("x"), "x"),
        (lambda: grad(Account().loss, argnums=0)(Layer(1.0, "x")), r"weights\.bias"),
        (lambda: grad(Account().loss, argnums=1)(1.0, ("x",), 2.0), r"argument 1\[0\]"),
        (lambda: grad(max)(("x",)), r"argument 0\[0\]"),
        (lambda: jacobian(lambda params: 0.0)({"a": "x"}), r"params\['a'\]"),
        (lambda: hessian(lambda params: 0.0)({"a": "x"}), r"params\['a'\]"),
        (lambda: jacobian(lambda x: {"a": [x, "x"]})(1.0), r"result\['a'\]\[1\]"),
    ],
)  # fmt: skip
def test_an_error_about_an_argument_calls_it_what_the_function_calls_it(call, where):
    with pytest.raises(TypeError, match=f"^{where}: expected a number .*, but got str"):
        call()


def test_a_structure_that_is_refused_never_reaches_the_function():
    def never(p, q):
        raise AssertionError("called")

    with pytest.raises(TypeError, match=r"q\[0\]"):
        grad(never, argnums=(0, 1))([np.ones(2)], ["x"])
    circle = {}
    circle["again"] = circle
    with pytest.raises(ValueError, match=r"p\['again'\] is p$"):
        grad(never)(circle, 1.0)


def test_a_result_that_is_a_structure_has_a_jacobian_but_no_gradient():
    with pytest.raises(TypeError, match=r"a function that computes one number, but it returned \{"):
        grad(lambda x: {"a": x})(1.0)


def moved(params, slopes, lr):
    """The structure after a step down the slopes: a user's own function."""
    if params is None:
        return None
    if isinstance(params, list | tuple):
        return type(params)(moved(p, g, lr) for p, g in zip(params, slopes, strict=True))
    return params - lr * slopes


def test_a_network_written_as_plain_functions_learns():
    rng = np.random.default_rng(0)
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = np.array([0, 1, 1, 0])
    sizes = [2, 8, 2]
    params = [(rng.normal(size=(n, m)), np.zeros(m)) for n, m in pairwise(sizes)]

    def logits(params, x):
        *hidden, (last_weight, last_bias) = params
        for weight, bias in hidden:
            x = np.tanh(x @ weight + bias)
        return x @ last_weight + last_bias

    def loss(params, x, labels):
        return nn.cross_entropy(logits(params, x), labels)

    step = value_and_grad(loss)
    first, _ = step(params, x, labels)
    for _ in range(300):
        _, slopes = step(params, x, labels)
        params = moved(params, slopes, lr=0.5)
    last, _ = step(params, x, labels)
    assert [type(layer) for layer in params] == [tuple, tuple]
    assert last < 0.05 < 0.5 < first
    assert logits(params, x).argmax(axis=1).tolist() == labels.tolist()


def test_a_network_written_as_plain_functions_has_the_gradients_of_the_same_module():
    model = nn.Sequential(
        nn.Linear(3, 4, rng=np.random.default_rng(0)),
        nn.Tanh(),
        nn.Linear(4, 2, rng=np.random.default_rng(1)),
    )
    x, labels = np.random.default_rng(2).normal(size=(5, 3)), [0, 1, 1, 0, 1]

    def loss(state):
        hidden = operations.tanh(nn.linear(x, state["0.weight"], state["0.bias"]))
        return nn.cross_entropy(nn.linear(hidden, state["2.weight"], state["2.bias"]), labels)

    slopes = grad(loss)(model.state_dict())
    nn.cross_entropy(model(x), labels).backward()
    for name, p in model.named_parameters():
        assert slopes[name].dtype == np.float32
        np.testing.assert_array_equal(slopes[name], p.grad)
