"""Modules, layers and losses: what they hold, what they compute, and what they refuse."""

import math
import re

import numpy as np
import pytest

from microgd import Value, check_gradients, gradients, nn, no_grad, optim, train


class Holding(nn.Module):
    """A module with the given attributes only: it does not even call Module's constructor."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def network(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(4, 5, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(5, 3, rng=rng, dtype=dtype)
    )


def assert_same_state(got, expected):
    assert got.keys() == expected.keys()
    for name, data in expected.items():
        np.testing.assert_array_equal(got[name], data, err_msg=name, strict=True)


# ── What a module holds ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ({"w": Value(1.0), "b": Value([1.0])}, ["w", "b"]),
        ({"w": [Value(1.0), Value(2.0)]}, ["w.0", "w.1"]),
        ({"w": (Value(1.0), Value(2.0))}, ["w.0", "w.1"]),
        ({"w": {"left": Value(1.0), 7: Value(2.0)}}, ["w.left", "w.7"]),
        ({"w": [({"deep": Value(1.0)},), Value(2.0)]}, ["w.0.0.deep", "w.1"]),
        ({"layer": nn.Linear(2, 3)}, ["layer.weight", "layer.bias"]),
        ({"layer": nn.Linear(2, 3, bias=False)}, ["layer.weight"]),
        (
            {"layers": [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]},
            [f"layers.{i}.{w}" for i in (0, 2) for w in ("weight", "bias")],
        ),
        ({"parts": {"a": (Holding(w=Value(1.0)),)}}, ["parts.a.0.w"]),
        ({"net": Holding(inner=Holding(w=Value(1.0)))}, ["net.inner.w"]),
        (
            {
                "n": 3,
                "text": "w",
                "array": np.ones(2),
                "nothing": None,
                "function": np.tanh,
                "w": Value(1.0),
            },
            ["w"],
        ),
        ({}, []),
    ],
    ids=lambda x: ",".join(x) if isinstance(x, list) else "",
)
def test_every_value_that_a_module_holds_is_a_parameter_named_by_its_path(attributes, names):
    assert [name for name, _ in Holding(**attributes).named_parameters()] == names


def test_parameters_are_the_values_themselves_in_the_order_in_which_they_were_set():
    first, second, third = Value(1.0), Value(1.0), Value(1.0)
    assert [id(p) for p in Holding(z=first, a=[second], m=third).parameters()] == [
        id(first),
        id(second),
        id(third),
    ]


def test_a_parameter_that_is_held_twice_is_listed_once():
    shared = nn.Linear(2, 2)
    model = Holding(first=shared, second=[shared], again=shared.weight)
    assert [name for name, _ in model.named_parameters()] == ["first.weight", "first.bias"]


def test_parameters_that_hold_equal_numbers_are_different_parameters():
    assert len(Holding(a=Value([1.0, 2.0]), b=Value([1.0, 2.0])).parameters()) == 2


def test_what_a_subclass_of_sequential_holds_besides_is_a_parameter():
    class Scaled(nn.Sequential):
        def __init__(self, *layers):
            super().__init__(*layers)
            self.scale = Value(2.0)

    assert {name for name, _ in Scaled(nn.Linear(1, 1)).named_parameters()} == {
        "scale",
        "0.weight",
        "0.bias",
    }


def test_a_computed_value_in_an_attribute_is_no_parameter():
    w = Value(2.0)
    with no_grad():
        unrecorded = w * 3
    model = Holding(w=w)
    model.squared, model.more, model.unrecorded = w**2, [w + 1], unrecorded
    assert [name for name, _ in model.named_parameters()] == ["w"]


def test_the_modules_are_named_by_their_paths_and_the_whole_has_no_name():
    inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model = Holding(inner=inner, more=[nn.Tanh()], again=inner, w=Value(1.0))
    modules = {
        "": model,
        "inner": inner,
        "inner.0": inner[0],
        "inner.1": inner[1],
        "more.0": model.more[0],
    }
    assert dict(model.named_modules()) == modules


@pytest.mark.parametrize(
    "other", [np.ones((2, 3)), 3.0, lambda w: w - 0.1, [Value(1.0)], nn.Linear(3, 2)]
)
def test_a_parameter_is_not_lost_by_setting_something_else(other):
    layer = nn.Linear(3, 2)
    weight = layer.weight
    with pytest.raises(TypeError, match="weight is a parameter, and would be lost"):
        layer.weight = (
            other(weight) if callable(other) and not isinstance(other, nn.Module) else other
        )
    assert layer.weight is weight


def test_a_parameter_may_be_replaced_by_another_or_taken_out():
    layer, other = nn.Linear(3, 2), Value(np.zeros((2, 3)))
    layer.weight = other
    layer.bias = None
    assert [(name, p is other) for name, p in layer.named_parameters()] == [("weight", True)]
    layer.weight.data -= 1.0
    layer.result = layer.weight * 2.0
    layer.result = layer.weight * 3.0  # an attribute that is not a parameter may be anything


def test_a_module_that_holds_itself_lists_its_parameters_once():
    model = Holding(w=Value(1.0))
    model.children = [model]
    assert [name for name, _ in model.named_parameters()] == ["w"]


def test_a_module_that_defines_forward_can_be_called():
    class Scale(nn.Module):
        def __init__(self):
            self.factor = Value(3.0)

        def forward(self, x, offset=0.0):
            return self.factor * x + offset

    assert Scale()(2.0, offset=1.0).item() == 7.0


def test_a_module_may_define_call_instead_of_forward():
    class Scale(nn.Module):
        def __init__(self):
            self.factor = Value(3.0)

        def __call__(self, x):
            return self.factor * x

    assert nn.Sequential(Scale(), Scale())(2.0).item() == 18.0


def test_a_module_that_defines_neither_says_so():
    with pytest.raises(TypeError, match=r"Holding defines neither forward nor __call__"):
        Holding()(1.0)


def test_a_backward_pass_reaches_the_parameters_of_an_own_module():
    class Line(nn.Module):
        def __init__(self):
            self.slope, self.rest = Value(2.0), {"intercept": Value(1.0)}

        def forward(self, x):
            return self.slope * x + self.rest["intercept"]

    line = Line()
    line(5.0).backward()
    assert [p.grad for p in line.parameters()] == [5.0, 1.0]


def test_zero_grad_sets_every_gradient_to_none():
    model = network()
    model(np.ones((2, 4))).sum().backward()
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [None] * 4


# ── state_dict and load_state_dict ────────────────────────────────────────────────────────────────


def test_the_state_holds_every_parameters_numbers():
    state = Holding(w=Value(2.0), b=[Value([1.0, 2.0])]).state_dict()
    assert_same_state(state, {"w": 2.0, "b.0": np.array([1.0, 2.0])})


def test_a_shared_parameter_is_in_the_state_under_both_names():
    shared = Value(1.0)
    assert list(Holding(a=shared, b=(shared,)).state_dict()) == ["a", "b.0"]


@pytest.mark.parametrize(
    "parts", [{1: Value(1.0), "1": Value(2.0)}, {"a.b": Value(1.0), "a": {"b": Value(2.0)}}]
)
def test_two_parameters_of_one_name_are_refused_since_one_of_them_would_be_lost(parts):
    with pytest.raises(ValueError, match="same name"):
        Holding(parts=parts).state_dict()


def test_the_state_is_a_copy():
    model = network()
    state = model.state_dict()
    before = {name: data.copy() for name, data in state.items()}
    for p in model.parameters():
        p.data += 1
    assert_same_state(state, before)


def test_writing_into_the_state_leaves_the_model_alone():
    model = network()
    for data in model.state_dict().values():
        data += 1
    assert_same_state(model.state_dict(), network().state_dict())


def test_a_loaded_state_is_the_state_bit_for_bit():
    model = network(seed=1)
    model.load_state_dict(network(seed=2).state_dict())
    assert_same_state(model.state_dict(), network(seed=2).state_dict())


def test_loading_copies():
    model, state = network(seed=1), network(seed=2).state_dict()
    model.load_state_dict(state)
    for data in state.values():
        data += 1
    assert_same_state(model.state_dict(), network(seed=2).state_dict())


def test_loading_keeps_the_parameters_dtype():
    model = network()
    model.load_state_dict(network(seed=2, dtype=np.float64).state_dict())
    assert {p.dtype for p in model.parameters()} == {np.dtype(np.float32)}


def test_loading_takes_lists_and_integers():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": [[1, 2]], "bias": [3]})
    np.testing.assert_array_equal(layer([[10.0, 100.0]]).data, [[213.0]])


def test_a_parameter_that_is_a_number_is_loaded_as_one():
    model = Holding(w=Value(1.0))
    model.load_state_dict({"w": np.float32(2.5)})
    assert (model.w.data, type(model.w.data)) == (2.5, float)


def test_loading_keeps_what_was_computed_before():
    layer = nn.Linear(1, 1, dtype=np.float64)
    layer.load_state_dict({"weight": [[3.0]], "bias": [0.0]})
    loss = (layer([[1.0]]) ** 2).sum()
    layer.load_state_dict({"weight": [[100.0]], "bias": [0.0]})
    loss.backward()
    np.testing.assert_array_equal(layer.weight.grad, [[6.0]])


# For a Linear(2, 1). The faulty bias comes after the weight, and the weight must not have changed.
REFUSED_STATES = [
    ({"weight": [[7.0, 7.0]]}, ValueError, r"missing \['bias'\]"),
    ({}, ValueError, r"missing \['bias', 'weight'\]"),
    ({"weight": [[7.0, 7.0]], "bias": [7.0], "scale": [7.0]}, ValueError, r"unknown \['scale'\]"),
    (
        {"weight": [[7.0, 7.0]], "Bias": [7.0]},
        ValueError,
        r"missing \['bias'\], unknown \['Bias'\]",
    ),
    ({"weight": [[7.0, 7.0]], "bias": [7.0], 3: [7.0]}, ValueError, r"unknown \['3'\]"),
    (
        {"weight": [[7.0, 7.0]], "bias": [7.0, 7.0]},
        ValueError,
        r"expected bias to have shape \(1,\), but got shape \(2,\)",
    ),
    (
        {"weight": [[7.0, 7.0]], "bias": 7.0},
        ValueError,
        r"expected bias to have shape \(1,\), but got shape \(\)",
    ),
    (
        {"weight": [[7.0, 7.0]], "bias": [[7.0]]},
        ValueError,
        r"expected bias to have shape \(1,\), but got shape \(1, 1\)",
    ),
    ({"weight": [[7.0, 7.0]], "bias": ["seven"]}, TypeError, "expected a number or an array"),
    ({"weight": [[7.0, 7.0]], "bias": [7j]}, TypeError, "complex"),
    ({"weight": [[7.0, 7.0]], "bias": None}, TypeError, "NoneType"),
]


@pytest.mark.parametrize(("state", "error", "message"), REFUSED_STATES)
def test_a_state_that_does_not_fit_is_refused_with_the_reason(state, error, message):
    with pytest.raises(error, match=message):
        nn.Linear(2, 1).load_state_dict(state)


@pytest.mark.parametrize(("state", "error", "message"), REFUSED_STATES)
def test_a_state_that_is_refused_has_changed_nothing(state, error, message):
    layer = nn.Linear(2, 1)
    before = layer.state_dict()
    with pytest.raises(error):
        layer.load_state_dict(state)
    assert_same_state(layer.state_dict(), before)


# ── Linear ────────────────────────────────────────────────────────────────────────────────────────


def test_linears_weight_has_a_row_for_each_output():
    layer = nn.Linear(7, 3)
    assert (layer.weight.shape, layer.bias.shape) == ((3, 7), (3,))


def test_linears_parameters_are_float32():
    layer = nn.Linear(7, 3)
    assert (layer.weight.dtype, layer.bias.dtype) == (np.float32, np.float32)


def test_linear_takes_another_dtype():
    layer = nn.Linear(7, 3, dtype=np.float64)
    assert (layer.weight.dtype, layer.bias.dtype) == (np.float64, np.float64)


@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.parametrize("features", [1, 25])
def test_linear_starts_uniformly_within_one_over_the_root_of_the_inputs(name, features):
    drawn = (
        getattr(nn.Linear(features, 20_000, rng=np.random.default_rng(1)), name)
        .data.ravel()
        .astype(np.float64)
    )
    bound = 1 / math.sqrt(features)
    # Kolmogorov-Smirnov: how far the share of numbers below x is from that of the uniform
    # distribution.
    expected = (np.sort(drawn) + bound) / (2 * bound)
    distance = np.abs(expected - (np.arange(drawn.size) + 0.5) / drawn.size).max()
    assert np.abs(drawn).max() <= bound * (1 + 1e-6)
    assert distance < 1.63 / math.sqrt(drawn.size)


def test_the_same_seed_gives_the_same_layer():
    assert_same_state(network(seed=3).state_dict(), network(seed=3).state_dict())


@pytest.mark.parametrize("seeds", [(3, 4), (None, None)])
def test_another_seed_or_none_gives_another_layer(seeds):
    first, second = (nn.Linear(4, 3, rng=seed and np.random.default_rng(seed)) for seed in seeds)
    assert not np.any(first.weight.data == second.weight.data)


def test_weight_and_bias_are_drawn_independently():
    layer = nn.Linear(1, 100, rng=np.random.default_rng(0))
    assert not np.any(layer.weight.data[:, 0] == layer.bias.data)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "wrap", [np.asarray, Value, np.ndarray.tolist], ids=["array", "Value", "list"]
)
@pytest.mark.parametrize("shape", [(3,), (4, 3), (1, 3), (2, 4, 3)])
def test_linear_is_the_weighed_sum_of_the_inputs_plus_the_bias(shape, wrap, bias):
    rng = np.random.default_rng(0)
    layer, x = nn.Linear(3, 2, bias=bias, rng=rng, dtype=np.float64), rng.normal(size=shape)
    expected = np.empty((*shape[:-1], 2))
    for index in np.ndindex(expected.shape):
        *example, output = index
        terms = [layer.weight.data[output, i] * x[(*example, i)] for i in range(3)]
        expected[index] = sum(terms) + (layer.bias.data[output] if bias else 0.0)
    np.testing.assert_allclose(layer(wrap(x)).data, expected, rtol=1e-12, atol=1e-15, strict=True)


def test_linear_of_no_examples_gives_none():
    assert nn.Linear(3, 2)(np.ones((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linears_gradients_are_right_once_and_twice(shape, bias):
    def apply(x, weight, *rest):
        layer = nn.Linear(3, 2)
        layer.weight, layer.bias = weight, rest[0] if rest else None
        return layer(x).tanh()

    rng = np.random.default_rng(0)
    check_gradients(
        apply,
        rng.normal(size=shape),
        rng.normal(size=(2, 3)),
        *[rng.normal(size=2)] * bias,
        order=2,
    )


def test_linear_keeps_float32():
    out = nn.Linear(3, 2)(np.ones((4, 3), np.float32))
    out.sum().backward()
    assert out.dtype == np.float32


def test_linears_gradients_have_the_dtype_of_the_parameters_whatever_the_inputs():
    layer = nn.Linear(3, 2)
    layer(np.ones((4, 3), np.float64)).sum().backward()
    assert (layer.weight.grad.dtype, layer.bias.grad.dtype) == (np.float32, np.float32)


def test_linear_leaves_its_input_as_it_was():
    x = np.ones((4, 3), np.float32)
    nn.Linear(3, 2)(x)
    np.testing.assert_array_equal(x, np.ones((4, 3), np.float32))


def test_linear_without_recording_leaves_its_bias_as_it_was():
    layer = nn.Linear(3, 2)
    before = layer.state_dict()
    with no_grad():
        layer(np.ones((4, 3), np.float32))
    assert_same_state(layer.state_dict(), before)


@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (3, 4), (0,)])
def test_linear_refuses_inputs_with_other_columns(shape):
    with pytest.raises(
        ValueError, match=r"Linear\(3, 2\) takes shape \(\.\.\., 3\), but got shape \(.*\)"
    ):
        nn.Linear(3, 2)(np.ones(shape))


@pytest.mark.parametrize(("sizes", "error"), [
    ((0, 2), ValueError), ((2, 0), ValueError), ((-1, 2), ValueError),
    ((2.0, 2), TypeError), ((2, "2"), TypeError), ((True, 2), TypeError), ((2, None), TypeError),
])  # fmt: skip
def test_linear_refuses_sizes_that_are_no_positive_integers(sizes, error):
    with pytest.raises(error, match="feature"):
        nn.Linear(*sizes)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, bool, complex, object, str])
def test_linear_refuses_a_dtype_that_is_neither_float32_nor_float64(dtype):
    with pytest.raises(TypeError, match="float32 or float64, but got"):
        nn.Linear(3, 2, dtype=dtype)


@pytest.mark.parametrize(
    "bias",
    [np.random.default_rng(0), 0, 1.0, None, np.ones(2)],
    ids=lambda bias: type(bias).__name__,
)
def test_linear_refuses_a_bias_that_is_neither_true_nor_false(bias):
    with pytest.raises(TypeError, match=r"bias to be True or False .*, but got"):
        nn.Linear(3, 2, bias)


@pytest.mark.parametrize("rng", [0, 42, np.random])
def test_linear_refuses_what_is_no_generator(rng):
    with pytest.raises(TypeError, match=r"such as np\.random\.default_rng\(0\), but got"):
        nn.Linear(3, 2, rng=rng)


def test_linear_takes_numpys_integers_as_sizes():
    assert nn.Linear(np.int64(3), np.uint8(2)).weight.shape == (2, 3)


def test_an_own_module_shows_its_parameters():
    assert (
        repr(Holding(w=Value(1.0), layers=[nn.Linear(3, 2, bias=False)]))
        == "Holding(w (), layers.0.weight (2, 3))"
    )


def test_a_network_shows_what_it_is_made_of():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3, bias=False))
    assert repr(model) == "Sequential(Linear(4, 5), ReLU(), Linear(5, 3, bias=False))"


def test_a_module_of_many_parameters_says_how_many_numbers_its_parts_hold():
    class Neuron(nn.Module):
        def __init__(self, inputs):
            self.w = [Value(1.0) for _ in range(inputs)]
            self.b = Value(0.0)

    class Network(nn.Module):
        def __init__(self, *layers):
            self.layers = [[Neuron(inputs) for _ in range(n)] for inputs, n in layers]

    assert repr(Network((2, 1))) == (
        "Network(layers.0.0.w.0 (), layers.0.0.w.1 (), layers.0.0.b ())"
    )
    network = Network((3, 4), (4, 4), (4, 1))
    assert (
        repr(network) == "Network(layers.0: 16 numbers, layers.1: 20 numbers, layers.2: 5 numbers)"
    )
    wide = Network((1200, 1))
    assert repr(wide) == "Network(layers.0.0.w: 1,200 numbers, layers.0.0.b: 1 number)"


# ── Sequential and activations ────────────────────────────────────────────────────────────────────


def test_sequential_applies_its_layers_in_order():
    assert nn.Sequential(lambda x: x + 1, lambda x: x * 10)(2.0) == 30.0


def test_sequential_without_layers_gives_back_what_came():
    assert nn.Sequential()(2.0) == 2.0


def test_sequential_can_be_indexed_and_counted():
    layers = nn.Linear(2, 2), nn.Tanh()
    model = nn.Sequential(*layers)
    assert (len(model), model[0], model[-1]) == (2, *layers)


def test_functions_between_layers_leave_the_numbering_of_names_as_in_torch():
    model = nn.Sequential(
        np.tanh, nn.Linear(2, 2), np.tanh, nn.Sequential(nn.Linear(2, 2, bias=False))
    )
    assert list(model.state_dict()) == ["1.weight", "1.bias", "3.0.weight"]


@pytest.mark.parametrize("layer", [3, None, [nn.Tanh()], Value(1.0), "tanh", nn.Tanh])
def test_sequential_refuses_what_cannot_be_called(layer):
    with pytest.raises(TypeError, match=r"expected modules.* or functions, but got"):
        nn.Sequential(nn.Linear(2, 2), layer)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (nn.ReLU(), lambda x: max(x, 0.0)),
        (nn.Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
        (nn.Tanh(), math.tanh),
    ],
    ids=["ReLU", "Sigmoid", "Tanh"],
)
def test_an_activation_is_its_function_of_each_element(activation, function):
    x = [[-2.0, -0.5, 0.0], [0.5, 2.0, 3.0]]
    np.testing.assert_allclose(
        activation(Value(x)).data, [[function(element) for element in row] for row in x], rtol=1e-15
    )


@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.Sigmoid(), nn.Tanh()], ids=["ReLU", "Sigmoid", "Tanh"]
)
def test_an_activation_has_no_parameters(activation):
    assert activation.parameters() == []


# ── mse_loss ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrap", [np.asarray, Value, np.ndarray.tolist], ids=["array", "Value", "list"]
)
def test_mse_loss_is_the_mean_of_the_squared_differences(wrap):
    prediction, target = [[1.0, 2.0], [3.0, 4.0]], np.array([[0.0, 4.0], [3.0, 1.0]])
    assert nn.mse_loss(Value(prediction), wrap(target)).item() == (1.0 + 4.0 + 0.0 + 9.0) / 4


@pytest.mark.parametrize("target", [[0, 1], np.array([0, 1]), [False, True]])
def test_whole_numbers_as_targets_do_not_widen_float32(target):
    assert nn.mse_loss(Value(np.ones(2, np.float32)), target).inputs[0].dtype == np.float32


def test_mse_loss_of_two_numbers_is_their_squared_difference():
    assert nn.mse_loss(Value(5.0), 2).item() == 9.0


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_mse_losss_gradients_are_right_once_and_twice(shape):
    rng = np.random.default_rng(0)
    check_gradients(
        lambda *both: 3 * nn.mse_loss(*both),
        rng.normal(size=shape),
        rng.normal(size=shape),
        order=2,
    )


def test_mse_losss_gradient_is_twice_the_mean_difference():
    prediction = Value([1.0, 5.0])
    nn.mse_loss(prediction, [2.0, 2.0]).backward()
    np.testing.assert_array_equal(prediction.grad, [-1.0, 3.0])


@pytest.mark.parametrize("wrap", [np.asarray, Value])
@pytest.mark.parametrize(
    ("left", "right"),
    [((4, 1), (4,)), ((4,), (4, 1)), ((4,), (1, 4)), ((2, 3), (3, 2)), ((1,), ()), ((4,), (3,))],
)
def test_mse_loss_refuses_another_shape_even_one_that_broadcasts(left, right, wrap):
    with pytest.raises(ValueError, match="same shape") as refused:
        nn.mse_loss(Value(np.ones(left)), wrap(np.ones(right)))
    assert f"{left} and {right}" in str(refused.value)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_mse_loss_refuses_an_empty_batch(shape):
    with pytest.raises(ValueError, match="empty"):
        nn.mse_loss(Value(np.ones(shape)), np.ones(shape))


# ── cross_entropy ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, list])
def test_cross_entropy_is_the_mean_negative_log_of_the_labels_probability(dtype):
    logits, labels = (
        [[0.5, -1.0, 2.0], [1.0, 0.0, -3.0], [0.2, 0.3, 0.1], [2.0, 2.0, 2.0]],
        [2, 1, 0, 1],
    )
    probabilities = [
        math.exp(row[y]) / sum(map(math.exp, row)) for row, y in zip(logits, labels, strict=True)
    ]
    expected = -sum(map(math.log, probabilities)) / 4
    given = labels if dtype is list else np.array(labels, dtype)
    assert nn.cross_entropy(Value(logits), given).item() == pytest.approx(expected, rel=1e-14)


def test_cross_entropys_gradient_is_the_probabilities_minus_one_at_the_label():
    logits = Value([[math.log(1.0), math.log(3.0)], [math.log(6.0), math.log(2.0)]])
    nn.cross_entropy(logits, [0, 0]).backward()
    np.testing.assert_allclose(
        logits.grad, np.array([[0.25 - 1, 0.75], [0.75 - 1, 0.25]]) / 2, rtol=1e-14
    )


@pytest.mark.parametrize("labels", [[0], [2, 2, 1, 0]])
def test_cross_entropys_gradients_are_right_once_and_twice(labels):
    logits = np.random.default_rng(0).normal(size=(len(labels), 3))
    # Times 3, so that the upstream gradient matters.
    check_gradients(lambda x: 3 * nn.cross_entropy(x, labels), logits, order=2)


def test_a_second_backward_through_cross_entropy_adds_the_same_gradient_again():
    logits = Value([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
    loss = nn.cross_entropy(logits, [2, 0])
    loss.backward()
    once = logits.grad.copy()
    loss.backward()
    np.testing.assert_array_equal(logits.grad, 2 * once)


def test_writing_into_logits_leaves_the_gradient_of_an_earlier_cross_entropy_right():
    logits, same = Value([[1.0, 2.0, 3.0]]), Value([[1.0, 2.0, 3.0]])
    loss = nn.cross_entropy(logits, [0])
    logits.data[...] = 100.0
    loss.backward()
    nn.cross_entropy(same, [0]).backward()
    np.testing.assert_array_equal(logits.grad, same.grad)


@pytest.mark.parametrize(("label", "expected"), [(0, 0.0), (1, 1000.0), (2, 2000.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_huge_logits_is_exact(label, expected, dtype):
    assert (
        nn.cross_entropy(Value(np.array([[1000.0, 0.0, -1000.0]], dtype)), [label]).item()
        == expected
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropys_gradient_at_huge_logits_is_exact(dtype):
    logits = Value(np.array([[1000.0, 0.0, -1000.0]], dtype))
    nn.cross_entropy(logits, [2]).backward()
    np.testing.assert_array_equal(logits.grad, np.array([[1.0, 0.0, -1.0]], dtype), strict=True)


def test_cross_entropy_shows_the_numbers_of_its_operands_and_nothing_else():
    logits = Value(np.array([[0.5, 1.0, -2.0], [0.0, 0.0, 3.0]]))
    loss = nn.cross_entropy(logits, [2, 0])
    _, labels = loss.inputs
    numbers, same_labels = loss.saved
    assert loss.inputs[0] is logits
    assert numbers.tolist() == logits.data.tolist()
    assert labels.tolist() == same_labels.tolist() == [2, 0]
    assert nn.cross_entropy(logits, [1, 1]).saved[1].tolist() == [1, 1]


def test_two_losses_of_the_same_logits_have_gradients_of_their_own():
    logits = Value(np.array([[0.5, 1.0, -2.0]]))
    first = nn.cross_entropy(logits, [0])
    second = nn.cross_entropy(logits, [1])
    second.backward()
    probabilities = np.exp(logits.data) / np.exp(logits.data).sum()
    np.testing.assert_allclose(logits.grad, probabilities - [[0, 1, 0]], rtol=1e-14)
    logits.grad = None
    first.backward()
    np.testing.assert_allclose(logits.grad, probabilities - [[1, 0, 0]], rtol=1e-14)


def test_cross_entropy_of_arrays_is_a_number():
    assert nn.cross_entropy([[0.0, 0.0]], [1]) == pytest.approx(math.log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 3], ValueError, "labels from 0 to 2, but got 3"),
        ([0, -1], ValueError, "labels from 0 to 2, but got -1"),
        ([-2, 9], ValueError, "labels from 0 to 2, but got -2"),
        (np.array([0, 200], np.uint8), ValueError, "labels from 0 to 2, but got 200"),
        ([0], ValueError, r"shape \(2,\).*, but got shape \(1,\)"),
        ([0, 1, 2], ValueError, r"shape \(2,\).*, but got shape \(3,\)"),
        ([[0], [1]], ValueError, r"shape \(2,\).*, but got shape \(2, 1\)"),
        (1, ValueError, r"shape \(2,\).*, but got shape \(\)"),
        ([0.0, 1.0], TypeError, "integers, but got dtype float64"),
        ([True, False], TypeError, "integers, but got dtype bool"),
        (["0", "1"], TypeError, "encode_labels"),
        ([None, 1], TypeError, "integers, but got dtype object"),
        (Value([0.0, 1.0]), TypeError, "integers, but got a Value"),
    ],
)
def test_cross_entropy_refuses_labels_that_are_none(labels, error, message):
    with pytest.raises(error, match=message):
        nn.cross_entropy(Value(np.zeros((2, 3))), labels)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (), (2, 3, 1)])
def test_cross_entropy_refuses_logits_without_examples_in_rows(shape):
    with pytest.raises(ValueError, match=r"at least one example, but got shape \(.*\)"):
        nn.cross_entropy(Value(np.zeros(shape)), np.zeros(shape[:1], int))


def test_a_float32_network_with_cross_entropy_has_float32_gradients():
    model = network()
    nn.cross_entropy(model(np.ones((2, 4), np.float32)), [0, 2]).backward()
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(np.float32)}


def test_a_mean_squared_error_of_nothing_is_a_value_error():
    with pytest.raises(ValueError, match="not empty"):
        nn.mse_loss(Value(np.zeros((0, 2))), np.zeros((0, 2)))


def test_integer_targets_do_not_widen_the_loss():
    x = Value(np.ones((2, 1), np.float32))
    assert nn.mse_loss(x, np.array([[1], [2]])).inputs[0].dtype == np.float32


def test_a_sequential_of_ones_own_keeps_its_other_parameters():
    class Scaled(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 1, bias=False))
            self.scale = Value(1.0)

    assert [name for name, _ in Scaled().named_parameters()] == ["scale", "0.weight"]


def test_two_parameters_of_one_name_are_a_value_error():
    model = nn.Module()
    model.parts = {1: Value(1.0), "1": Value(2.0)}
    with pytest.raises(ValueError, match="same name"):
        model.state_dict()


@pytest.mark.parametrize(
    "options", [{"dtype": int}, {"bias": np.random.default_rng(0)}, {"rng": 0}]
)
def test_a_linear_layer_refuses_options_of_another_kind(options):
    with pytest.raises(TypeError, match="expected"):
        nn.Linear(2, 3, **options)


@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 5, 3)])
def test_linears_gradients_are_those_of_the_operations_it_is_made_of_for_any_number_of_outputs(
    outputs, shape
):
    rng = np.random.default_rng(0)
    layer, x = nn.Linear(3, outputs, rng=rng, dtype=np.float64), Value(rng.normal(size=shape))
    layer(x).tanh().sum().backward()
    got = [x.grad, layer.weight.grad, layer.bias.grad]
    inputs = [Value(x.data), Value(layer.weight.data), Value(layer.bias.data)]
    (inputs[0] @ inputs[1].T + inputs[2]).tanh().sum().backward()
    for g, expected in zip(got, inputs, strict=True):
        np.testing.assert_allclose(g, expected.grad, rtol=1e-13, atol=1e-15, strict=True)


@pytest.mark.parametrize("outputs", [2, 15, 16, 40])
def test_linears_weight_keeps_its_order_in_memory_through_training(outputs):
    layer = nn.Linear(30, outputs)
    strides = layer.weight.data.strides
    optimizer = optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        layer(np.ones((4, 30), np.float32)).sum().backward()
        assert layer.weight.grad.strides == strides
        optimizer.step()
        assert layer.weight.data.strides == strides


def test_a_weights_rows_are_kept_together_below_16_outputs_and_its_columns_from_16_on():
    assert [nn.Linear(3, n).weight.data.flags.c_contiguous for n in (2, 15, 16, 40)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "labels", [np.array([2, 0, 1, 2, 9, 9])[-3::-1], np.array([2, 1, 0, 2], np.int8)]
)
def test_cross_entropy_takes_logits_and_labels_in_any_order_in_memory(order, labels):
    logits = Value(np.asarray(np.random.default_rng(0).normal(size=(4, 3)), order=order))
    loss = nn.cross_entropy(logits, labels)
    loss.backward()
    same = Value(logits.data)
    expected = -same.log_softmax()[np.arange(4), np.asarray(labels, np.int64)].mean()
    expected.backward()
    np.testing.assert_allclose(loss.data, expected.data, rtol=1e-14)
    np.testing.assert_allclose(logits.grad, same.grad, rtol=1e-13, atol=1e-16)


def test_what_linear_keeps_from_call_to_call_cannot_be_written_to():
    layer, x = nn.Linear(3, 2), np.ones((4, 3), np.float32)
    for _ in range(2):
        layer.zero_grad()
        layer(x).sum().backward()
        layer.bias.grad += 1.0
    layer.zero_grad()
    layer(x).sum().backward()
    assert layer.bias.grad.tolist() == [4.0, 4.0]


def test_what_linear_keeps_cannot_be_written_to_by_way_of_the_graph_of_its_gradients_either():
    layer = nn.Linear(3, 2)
    (slope,) = gradients(
        (layer(np.ones((4, 3), np.float32)) ** 2).sum(), [layer.bias], create_graph=True
    )
    with pytest.raises(ValueError, match="read-only"):
        slope.inputs[0][0] = 7.0


# ── All parameters as one vector ──────────────────────────────────────────────────────────────────


def test_parameters_go_into_a_vector_and_back():
    model, other = network(0), network(1)
    vector = nn.parameters_to_vector(model.parameters())
    assert vector.shape == (4 * 5 + 5 + 5 * 3 + 3,)
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(vector[:20].reshape(5, 4), model[0].weight.data)
    nn.vector_to_parameters(vector, other.parameters())
    assert_same_state(other.state_dict(), model.state_dict())


def test_a_vector_may_hold_numbers_too_and_keeps_each_parameters_dtype():
    parameters = [Value(1.5), Value(np.ones((2, 1), np.float32))]
    assert nn.parameters_to_vector(parameters).tolist() == [1.5, 1, 1]
    nn.vector_to_parameters([3, 4, 5], parameters)
    assert type(parameters[0].data) is float
    assert parameters[1].dtype == np.float32
    assert nn.parameters_to_vector(parameters).tolist() == [3, 4, 5]


def test_a_vector_and_the_parameters_share_no_memory():
    model = network()
    vector = nn.parameters_to_vector(model.parameters())
    before = vector.copy()
    nn.vector_to_parameters(vector, model.parameters())
    vector += 1
    np.testing.assert_array_equal(nn.parameters_to_vector(model.parameters()), before)


def test_a_vector_of_no_parameters_is_empty():
    assert nn.vector_to_parameters([], []) is None
    assert nn.vector_to_parameters(np.ones(0, np.float32), nn.ReLU().parameters()) is None
    with pytest.raises(ValueError, match=r"a vector of shape \(0,\), but got shape \(1,\)"):
        nn.vector_to_parameters([1.0], [])


@pytest.mark.parametrize("size", [0, 42, 44])
def test_a_vector_of_another_length_changes_nothing(size):
    model = network()
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"a vector of shape \(43,\)"):
        nn.vector_to_parameters(np.zeros(size), model.parameters())
    assert_same_state(model.state_dict(), before)


def test_a_vector_of_no_numbers_changes_nothing():
    model = network()
    before = model.state_dict()
    with pytest.raises(TypeError, match="expected a number or an array"):
        nn.vector_to_parameters(np.full(43, "x"), model.parameters())
    assert_same_state(model.state_dict(), before)


def test_a_computed_parameter_changes_nothing():
    a, b = Value([1.0, 2.0]), Value([3.0])
    with pytest.raises(ValueError, match="multiply"):
        nn.vector_to_parameters([9.0, 9, 9], [a, b * 2])
    with pytest.raises(TypeError, match="masked"):
        nn.vector_to_parameters(np.ma.array([9.0, 9], mask=[0, 1]), [a])
    assert a.data.tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_an_error_inside_a_layer_that_is_not_about_its_inputs_columns_stays_what_it_is(shape):
    layer = nn.Linear(3, 2)
    layer.bias = Value(np.ones(5))
    with pytest.raises(ValueError, match="broadcast"):
        layer(np.ones(shape))


@pytest.mark.parametrize("name", ["alpha", "layered", "scale"])
def test_whatever_a_sequential_holds_besides_its_layers_keeps_its_name(name):
    class Own(nn.Sequential):
        def __init__(self, *layers):
            setattr(self, name, Value(1.0))
            super().__init__(*layers)

    assert list(Own(nn.Linear(1, 1)).state_dict()) == [name, "0.weight", "0.bias"]


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 0), (3, 0), (3,)),
        ((2, 4), (0, 4), (0,)),
        ((4,), (0, 4), (0,)),
        ((0, 2, 4), (3, 4), (3,)),
    ],
)
def test_the_operation_linear_takes_empty_operands_forwards_and_backwards(shapes):
    x, weight, bias = operands = [Value(np.ones(shape)) for shape in shapes]
    nn.linear(x, weight, bias).sum().backward()
    assert [value.grad.shape for value in operands] == list(shapes)


# ── binary_cross_entropy_with_logits ──────────────────────────────────────────────────────────────


def bce(logits, targets):
    return nn.binary_cross_entropy_with_logits(logits, targets)


def exact_bce(x, t):
    """The loss of one logit and its derivative with respect to that logit, with 1,000 digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(1000):
        x, t = mpmath.mpf(float(x)), mpmath.mpf(float(t))
        loss = t * mpmath.log1p(mpmath.exp(-x)) + (1 - t) * mpmath.log1p(mpmath.exp(x))
        return float(loss), float(1 / (1 + mpmath.exp(-x)) - t)


def first_and_second(x, t):
    """The derivatives of first and second order with respect to one logit."""
    logit = Value(x)
    (slope,) = gradients(bce(logit, t), [logit], create_graph=True)
    (curvature,) = gradients(slope, [logit])
    return slope.item(), curvature


def test_binary_cross_entropy_is_the_mean_negative_log_of_the_targets_probability():
    logits, targets = [[0.5, -1.0], [2.0, 0.0]], [[1, 0], [0.25, 1.0]]
    p = [1 / (1 + math.exp(-x)) for x in (0.5, -1.0, 2.0, 0.0)]
    losses = [
        -math.log(p[0]),
        -math.log(1 - p[1]),
        -0.25 * math.log(p[2]) - 0.75 * math.log(1 - p[2]),
        -math.log(p[3]),
    ]
    assert bce(Value(logits), targets).item() == pytest.approx(sum(losses) / 4, rel=1e-14)


def test_binary_cross_entropys_gradient_is_the_probability_minus_the_target():
    logits = Value([math.log(3.0), math.log(1 / 4)])
    bce(logits, [1, 0]).backward()
    np.testing.assert_allclose(logits.grad, [(0.75 - 1) / 2, 0.2 / 2], rtol=1e-14)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 2)])
def test_binary_cross_entropys_gradients_are_right_once_and_twice(shape):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=shape), rng.uniform(0.1, 0.9, size=shape)
    # Times 3, so that the upstream gradient matters.
    check_gradients(lambda *both: 3 * bce(*both), logits, targets, order=2)
    check_gradients(lambda x: 3 * bce(x, np.rint(targets)), logits, order=2)


@pytest.mark.parametrize(
    "targets",
    [
        [0, 1, 1],
        [False, True, True],
        (0.0, 1.0, 1.0),
        np.array([0, 1, 1], np.uint8),
        np.array([False, True, True]),
        np.array([0.0, 1.0, 1.0], np.float32),
        Value([0.0, 1.0, 1.0]),
    ],
    ids=str,
)
def test_targets_may_be_integers_booleans_floats_or_a_value(targets):
    logits, same = Value([1.0, -2.0, 3.0]), Value([1.0, -2.0, 3.0])
    loss = bce(logits, targets)
    expected = (math.log1p(math.exp(1)) + math.log1p(math.exp(2)) + math.log1p(math.exp(-3))) / 3
    assert loss.item() == pytest.approx(expected, rel=1e-14)
    loss.backward()
    bce(same, np.array([0.0, 1.0, 1.0])).backward()
    np.testing.assert_array_equal(logits.grad, same.grad)


def test_a_value_as_target_gets_minus_the_logit_over_the_number_of_elements():
    targets = Value([0.5, 0.0, 1.0, 0.25])
    bce(np.array([2.0, -4.0, 0.0, 1000.0]), targets).backward()
    np.testing.assert_array_equal(targets.grad, [-0.5, 1.0, 0.0, -250.0])


def test_binary_cross_entropy_of_numbers_and_of_arrays_alone_is_a_float():
    assert type(bce(0.0, 1)) is float
    assert bce(0.0, 1) == pytest.approx(math.log(2), rel=1e-15)
    loss = bce(np.zeros((2, 1), np.float32), [[True], [False]])
    assert type(loss) is float
    assert loss == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize("target", [0.0, 1.0, 0.5, 1e-300, 1 - 2**-53])
@pytest.mark.parametrize(
    "logit",
    [0.0, 1e-300, -1e-9, 0.3, -5.0, 20.0, 37.0, -37.0, 40.0, -100.0, 700.0, 1000.0, -1000.0],
)
def test_binary_cross_entropy_keeps_all_digits_at_any_logit(logit, target):
    loss, slope = exact_bce(logit, target)
    value = Value(logit)
    result = bce(value, target)
    assert result.item() == pytest.approx(loss, rel=1e-15, abs=1e-320)
    result.backward()
    # The smaller of the two differences that the slope is made of may be lost beside the larger.
    assert value.grad == pytest.approx(slope, rel=4e-16, abs=1e-320 if target in (0, 1) else 2e-16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_of_huge_logits_is_exact(dtype):
    logits = Value(np.array([1000.0, -1000.0, 1000.0, -1000.0], dtype))
    loss = bce(logits, [1, 0, 0, 1])
    assert loss.item() == 500.0
    loss.backward()
    np.testing.assert_array_equal(logits.grad, np.array([0, 0, 0.25, -0.25], dtype), strict=True)


@pytest.mark.parametrize(
    ("logit", "target", "loss", "slope"),
    [
        (np.inf, 1, 0.0, 0.0),
        (np.inf, 0, np.inf, 1.0),
        (np.inf, 0.25, np.inf, 0.75),
        (-np.inf, 0, 0.0, 0.0),
        (-np.inf, 1, np.inf, -1.0),
        (-np.inf, 0.25, np.inf, -0.25),
    ],
)
def test_at_an_infinite_logit_loss_and_derivatives_are_their_limits(logit, target, loss, slope):
    assert bce(Value(logit), target).item() == loss
    assert first_and_second(logit, target) == (slope, 0.0)
    # Beside others, the infinite logit leaves their derivatives as they are.
    logits = Value([logit, 0.0])
    (slopes,) = gradients(bce(logits, [target, 1]), [logits], create_graph=True)
    assert slopes.data.tolist() == [slope / 2, -0.25]
    (curvatures,) = gradients(slopes.sum(), [logits])
    assert curvatures.tolist() == [0.0, 0.125]


@pytest.mark.parametrize("logit", [0.0, 3.0, -800.0, np.inf, -np.inf])
@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
def test_logit_and_target_together_have_the_mixed_derivative_minus_one(logit, target):
    x, t = Value(logit), Value(target)
    (slope,) = gradients(bce(x, t), [x], create_graph=True)
    assert gradients(slope, [t])[0] == pytest.approx(-1.0, rel=1e-15)
    (other,) = gradients(bce(x, t), [t], create_graph=True)
    assert other.item() == -logit
    assert gradients(other, [x]) == [-1.0]


def test_a_logit_of_nan_makes_the_loss_and_its_own_gradient_nan():
    logits = Value([np.nan, 0.0])
    loss = bce(logits, [1, 1])
    loss.backward()
    assert math.isnan(loss.item())
    np.testing.assert_array_equal(logits.grad, [np.nan, -0.25])


@pytest.mark.parametrize("targets", [[0, 1, 1], np.array([0.0, 1.0, 1.0]), np.ones(3, np.float32)])
def test_float32_logits_have_float32_gradients(targets):
    logits = Value(np.array([1.0, -2.0, 3.0], np.float32))
    bce(logits, targets).backward()
    assert logits.grad.dtype == np.float32
    (slope,) = gradients(bce(logits, targets), [logits], create_graph=True)
    assert slope.dtype == np.float32


def test_the_sum_of_huge_float32_losses_does_not_overflow():
    logits = np.full(10, 1e38, np.float32)
    assert bce(Value(logits), np.zeros(10, np.float32)).item() == np.float32(1e38)


def test_binary_cross_entropy_is_one_operation_and_keeps_what_was_given():
    logits, targets = Value([0.0, 1.0]), np.array([0.0, 1.0])
    loss = bce(logits, targets)
    assert loss.op == "binary_cross_entropy_with_logits"
    assert loss.inputs[0] is logits
    assert loss.inputs[1] is targets
    np.testing.assert_array_equal(targets, [0.0, 1.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (7,), (5, 1), (4, 3)])
def test_binary_cross_entropy_and_its_derivatives_of_both_orders_are_pytorchs(shape, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits = np.asarray(rng.normal(0, 4, size=shape), dtype)
    targets = np.asarray(rng.uniform(size=shape), dtype)
    direction = np.asarray(rng.normal(size=shape), dtype)
    ours, our_targets = Value(logits), Value(targets)
    loss = bce(ours, our_targets)
    slopes = gradients(loss, [ours, our_targets], create_graph=True)
    (curvature,) = gradients((slopes[0] * direction).sum(), [ours])
    theirs, their_targets = (torch.tensor(x, requires_grad=True) for x in (logits, targets))
    their_loss = torch.nn.functional.binary_cross_entropy_with_logits(theirs, their_targets)
    their_slopes = torch.autograd.grad(their_loss, [theirs, their_targets], create_graph=True)
    (their_curvature,) = torch.autograd.grad(
        (their_slopes[0] * torch.tensor(direction)).sum(), [theirs]
    )
    rtol = 1e-12 if dtype is np.float64 else 2e-5
    for our, their in (
        (loss.data, their_loss),
        (slopes[0].data, their_slopes[0]),
        (slopes[1].data, their_slopes[1]),
        (curvature, their_curvature),
    ):
        np.testing.assert_allclose(our, their.detach().numpy(), rtol=rtol, atol=rtol / 100)


@pytest.mark.parametrize(
    ("left", "right", "hint"),
    [
        ((4, 1), (4,), r": targets\[:, None\] makes it a column"),
        ((4,), (4, 1), r": logits\[:, None\] makes it a column"),
        ((2, 3, 1), (2, 3), r": targets\[\.\.\., None\] has that shape"),
        ((4,), (1, 4), ""),
        ((2, 3), (3, 2), ""),
        ((1,), (), ""),
        ((4,), (3,), ""),
        ((0,), (0,), ""),
        ((3, 0), (3, 0), ""),
    ],
)
@pytest.mark.parametrize("wrap", [np.asarray, Value])
def test_binary_cross_entropy_refuses_another_shape_with_the_cure(left, right, hint, wrap):
    shapes = re.escape(f"{left} and {right}")
    with pytest.raises(ValueError, match=f"same shape, not empty, but got {shapes}{hint}$"):
        bce(wrap(np.ones(left)), wrap(np.ones(right)))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            [-1, 1, 1],
            r"but got -1: \(np\.asarray\(targets\) \+ 1\) / 2 turns -1 and 1 into 0 and 1",
        ),
        (np.array([1.0, -1.0, 1.0]), r"but got -1\.0: \(targets \+ 1\) / 2 turns -1 and 1"),
        ([1, 2, 1], r"but got 2: np\.asarray\(targets\) - 1 turns 1 and 2 into 0 and 1"),
        (Value([1.0, 2.0, 1.0]), r"but got 2\.0: targets - 1 turns 1 and 2 into 0 and 1"),
        ([2, 2, 2], r"but got 2: np\.asarray\(targets\) - 1 turns 1 and 2 into 0 and 1"),
        ([0, 1, 2], "but got 2$"),
        ([0.5, -0.25, 1.0], r"but got -0\.25$"),
        ([0.5, 1.0, np.nextafter(1, 2)], r"but got 1\.0000000000000002$"),
        ([0.0, np.nan, 1.0], "but got nan$"),
        ([np.nan, 2.0, 1.0], "but got nan$"),
        ([0.0, np.inf, 1.0], "but got inf$"),
    ],
    ids=str,
)
def test_binary_cross_entropy_refuses_targets_outside_0_to_1_with_the_cure(targets, message):
    with pytest.raises(ValueError, match=f"expected targets from 0 to 1, {message}"):
        bce(Value(np.zeros(3)), targets)


def test_binary_cross_entropy_refuses_a_single_target_outside_0_to_1():
    with pytest.raises(
        ValueError, match=r"expected targets from 0 to 1, but got -1: .* \+ 1\) / 2"
    ):
        bce(Value(0.5), -1)


@pytest.mark.parametrize("targets", [["a", "b"], [None, 1], [1j, 0]], ids=str)
def test_binary_cross_entropy_refuses_targets_that_are_not_numbers(targets):
    with pytest.raises(TypeError, match="expected a number or an array"):
        bce(Value(np.zeros(2)), targets)


def test_a_network_learns_a_yes_or_no_by_binary_cross_entropy():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    is_inside = (x**2).sum(axis=1, keepdims=True) < 1
    model = nn.Sequential(nn.Linear(2, 16, rng=rng), nn.Tanh(), nn.Linear(16, 1, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    run = train.fit(
        model, nn.binary_cross_entropy_with_logits, optimizer, x, is_inside, epochs=40, rng=rng
    )
    losses = [epoch.loss for epoch in run]
    assert losses[-1] < losses[0] / 3
    assert np.mean((model(x).data > 0) == is_inside) > 0.95


# ── Dropout ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_zeroes_each_element_with_probability_p_and_scales_the_others(p):
    layer = nn.Dropout(p, rng=np.random.default_rng(0))
    out = layer(np.full((100, 200), 3.0))
    n = out.size
    np.testing.assert_allclose(np.unique(out), [0.0, 3.0 / (1 - p)], rtol=1e-15)
    dropped = np.count_nonzero(out == 0)
    assert abs(dropped - n * p) < 4 * math.sqrt(n * p * (1 - p))


def test_dropout_drops_each_element_by_itself():
    layer = nn.Dropout(0.5, rng=np.random.default_rng(0))
    kept = np.array([layer(np.ones((3, 4))).ravel() > 0 for _ in range(4000)])
    correlations = np.corrcoef(kept.T) - np.eye(12)
    assert np.abs(correlations).max() < 5 / math.sqrt(4000)


def test_dropout_lets_the_gradient_through_where_it_let_the_element_through():
    x = Value(np.arange(1.0, 1001.0))
    out = nn.Dropout(0.2, rng=np.random.default_rng(0))(x)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad, np.where(out.data == 0, 0.0, 1 / 0.8))
    np.testing.assert_allclose(out.data, x.data * x.grad, rtol=1e-15)


@pytest.mark.parametrize("x", [Value([1.0, 2.0]), np.array([1, 2]), [1.0, 2.0], 3.0], ids=repr)
def test_dropout_gives_the_input_itself_back_in_evaluation(x):
    layer = nn.Dropout(0.5)
    assert layer.eval()(x) is x
    assert nn.Dropout(1).eval()(x) is x


@pytest.mark.parametrize("x", [Value([1.0, -2.0]), np.array([1.0, -2.0])], ids=repr)
def test_dropout_of_probability_0_is_the_input_and_of_probability_1_zeros(x):
    same, zeros = nn.Dropout(0)(x), nn.Dropout(1)(x)
    assert type(same) is type(zeros) is type(x)
    assert same.tolist() == [1.0, -2.0] if isinstance(x, np.ndarray) else same is x
    assert not np.any(zeros.data if isinstance(x, Value) else zeros)


def test_the_gradient_through_a_dropout_of_probability_1_is_0():
    x = Value([1.0, -2.0])
    nn.Dropout(1)(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("p", [0, 0.3, 1])
@pytest.mark.parametrize("wrap", [np.asarray, Value])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_keeps_the_dtype(dtype, wrap, p):
    x = wrap(np.ones((5, 3), dtype))
    out = nn.Dropout(p)(x)
    assert (out.dtype, out.shape) == (dtype, (5, 3))
    if wrap is Value:
        (out.sum() * 1.0).backward()
        assert x.grad.dtype == dtype


def test_dropout_takes_numbers_and_lists():
    layer = nn.Dropout(0.5, rng=np.random.default_rng(0))
    assert {layer(Value(3.0)).item() for _ in range(50)} == {0.0, 6.0}
    assert {layer(3) for _ in range(50)} == {0.0, 6.0}
    assert layer([1, 2, 3]).shape == (3,)
    assert layer(np.ones((0, 3))).shape == (0, 3)


def test_dropout_is_one_operation_and_leaves_its_input_as_it_was():
    x = np.ones((4, 3))
    value = Value(x)
    out = nn.Dropout(0.5)(value)
    assert out.op == "multiply"
    assert out.inputs[0] is value
    nn.Dropout(0.5)(x)
    np.testing.assert_array_equal(x, np.ones((4, 3)))


def test_the_same_seed_drops_the_same_elements_and_each_call_others():
    first, second = (nn.Dropout(0.5, rng=np.random.default_rng(7)) for _ in range(2))
    x = np.ones(100)
    masks = [first(x) for _ in range(3)]
    for mask in masks:
        np.testing.assert_array_equal(second(x), mask)
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(nn.Dropout()(x), nn.Dropout()(x))  # each has a generator of its own


def test_dropout_keeps_the_generator_that_it_is_given_and_draws_from_it_in_training_only():
    rng = np.random.default_rng(0)
    layer = nn.Dropout(0.5, rng=rng)
    assert layer.rng is rng
    before = rng.bit_generator.state
    layer.eval()(np.ones(3))
    assert rng.bit_generator.state == before
    layer.train()(np.ones(3))
    assert rng.bit_generator.state != before


def test_dropout_has_no_parameters_and_no_state():
    layer = nn.Dropout(0.5, rng=np.random.default_rng(0))
    assert layer.parameters() == []
    assert layer.state_dict() == {}
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 1))
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_dropout_shows_its_probability():
    assert repr(nn.Dropout()) == "Dropout(p=0.5)"
    assert repr(nn.Sequential(nn.Dropout(0.25))) == "Sequential(Dropout(p=0.25))"


def test_dropout_is_switched_off_while_a_model_is_evaluated():
    x, y = np.ones((20, 4), np.float32), np.zeros(20, int)
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2, rng=np.random.default_rng(0)))
    expected = nn.cross_entropy(model[1](x), y).item()
    for _ in range(3):
        assert train.evaluate(model, nn.cross_entropy, x, y)[0] == pytest.approx(expected, rel=1e-6)
    assert model[0].training


def test_a_run_with_dropout_is_repeated_by_the_same_seed():
    def run(seed):
        rng = np.random.default_rng(seed)
        x, y = np.eye(6), np.arange(6) % 2
        model = nn.Sequential(nn.Linear(6, 8, rng=rng), nn.Dropout(0.3, rng=rng), nn.Linear(8, 2))
        model[2].load_state_dict(nn.Linear(8, 2, rng=rng).state_dict())
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        options = {"epochs": 3, "batch_size": 2, "rng": rng}
        return [e.loss for e in train.fit(model, nn.cross_entropy, optimizer, x, y, **options)]

    assert run(3) == run(3)
    assert run(3) != run(4)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, math.inf, -1])
def test_dropout_refuses_a_probability_outside_0_to_1(p):
    with pytest.raises(ValueError, match=f"expected .*probability p .*but got {float(p)}"):
        nn.Dropout(p)


@pytest.mark.parametrize("p", ["0.5", None, True, [0.5], np.random.default_rng(0)], ids=str)
def test_dropout_refuses_a_probability_that_is_not_a_number(p):
    with pytest.raises(TypeError, match="expected the probability p to be a number, but got"):
        nn.Dropout(p)


@pytest.mark.parametrize("rng", [0, 42, np.random])
def test_dropout_refuses_what_is_no_generator(rng):
    with pytest.raises(TypeError, match=r"such as np\.random\.default_rng\(0\), but got"):
        nn.Dropout(0.5, rng=rng)


def test_dropout_has_pytorchs_scale_in_training_and_in_evaluation():
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Dropout(0.3), torch.nn.Dropout(0.3)
    x = np.ones(200, np.float32)
    for mode in ("train", "eval"):
        getattr(ours, mode)()
        getattr(theirs, mode)()
        np.testing.assert_array_equal(np.unique(ours(x)), np.unique(theirs(torch.from_numpy(x))))
