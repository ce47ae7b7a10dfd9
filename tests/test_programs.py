"""Programs that are written of computations: they compute the engine's bits, and read well."""

import ast
import re
import subprocess
import sys
import weakref

import numpy as np
import pytest
from domains import COMPOSED, DOMAINS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgd import Value, compiled, gradients, nn, operation, optim, source
from microgd.programs.trace import trace, without_collector
from microgd.programs.watch import Watch

EXAMPLES = DOMAINS | COMPOSED
every_operation = pytest.mark.parametrize("name", sorted(EXAMPLES))
a_few = settings(
    max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def as_bytes(x):
    """Numbers as text that tells apart what differs in a bit, in dtype or in shape; nan is nan."""
    if x is None or isinstance(x, bool):
        return repr(x)
    array = np.asarray(x)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return type(x).__name__, array.dtype.str, array.shape, array.tobytes()


def values_of(operands, dtype, factor=1.0):
    """Values in place of floats and arrays of floats, scaled; other operands as they are."""
    values = []
    for x in operands:
        if np.asarray(x).dtype.kind != "f":
            values.append(x)
        elif isinstance(x, float):
            values.append(Value(x * factor))
        else:
            values.append(Value((x * factor).astype(dtype)))
    return values


def function_of(name, options, order):
    """The operation or, of second order, a function of its gradients."""
    apply = EXAMPLES[name].function

    def first(*operands):
        return apply(*operands, **options)

    def second(*operands):
        out = first(*operands)
        values = [x for x in operands if isinstance(x, Value)]
        if not values or not out.inputs:
            return out
        slopes = gradients((out * out * 0.5).sum(), values, create_graph=True)
        total = 0.0
        for slope in slopes:
            total = total + (slope * slope).sum()
        return total

    return first if order == 1 else second


def outcome(function, operands):
    """The result and all gradients, as bytes."""
    out = function(*operands)
    values = [x for x in operands if isinstance(x, Value)]
    if isinstance(out, Value) and out.inputs:
        out.backward(1.0 if not out.shape else np.ones_like(out.data))
    number = out._numbers if isinstance(out, Value) else out
    return [as_bytes(number), *(as_bytes(v.grad) for v in values)]


@every_operation
@pytest.mark.parametrize("order", [1, 2])
@a_few
@given(st.data())
@np.errstate(all="ignore")
def test_the_fast_program_of_every_operation_computes_the_engines_bits(name, order, data):
    operands, options = data.draw(EXAMPLES[name].cases)
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    function = function_of(name, options, order)
    program = compiled(function)
    for factor in (1.0, 0.93, 1.0, 0.86):  # the numbers it was written with, and others
        expected = outcome(function, values_of(operands, dtype, factor))
        assert outcome(program, values_of(operands, dtype, factor)) == expected
    assert program._reason is None
    assert program.differences == 0


@every_operation
@pytest.mark.parametrize("order", [1, 2])
@a_few
@given(st.data())
@np.errstate(all="ignore")
def test_the_printed_program_of_every_operation_computes_the_engines_bits(name, order, data):
    operands, options = data.draw(EXAMPLES[name].cases)
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    function = function_of(name, options, order)
    program = source(function, *values_of(operands, dtype))
    for factor in (1.0, 0.93):
        values = values_of(operands, dtype, factor)
        expected = outcome(function, values)
        numbers = {f"x{i}": x._numbers for i, x in enumerate(values) if isinstance(x, Value)}
        numbers |= {f"x{i}": x for i, x in enumerate(values) if isinstance(x, np.ndarray)}
        names = [argument.arg for argument in ast.parse(str(program)).body[-1].args.args]
        given_ones = [numbers[argument] for argument in names if argument in numbers]
        try:
            found = program(*given_ones)
        except ValueError as error:  # other numbers lead another way
            if factor == 1.0 or not re.search("expected|too large", str(error)):
                raise
            continue
        found = found if isinstance(found, tuple) else (found,)
        reached = [x for x in expected if x != "None"]
        assert [as_bytes(x) for x in found] == reached


# ── The text ─────────────────────────────────────────────────────────────────────────────────────
def expression(a, b, c, f):
    e = a * b
    d = e + c
    L = d * f  # noqa: N806 (its name is in the text)
    return L  # noqa: RET504


def test_the_chain_rule_stands_there_line_by_line():
    program = source(expression, Value(2.0), Value(-3.0), Value(10.0), Value(-2.0))
    assert str(program) == (
        "def expression(a, b, c, f):\n"
        "    e = a * b\n"
        "    d = e + c\n"
        "    L = d * f\n"
        "\n"
        "    # Backward: d_NAME is d L / d NAME.\n"
        "    d_L = 1.0\n"
        "\n"
        "    # back through L = d * f\n"
        "    d_d = d_L * f\n"
        "    d_f = d_L * d\n"
        "\n"
        "    # back through d = e + c\n"
        "    d_e = d_d\n"
        "    d_c = d_d\n"
        "\n"
        "    # back through e = a * b\n"
        "    d_a = d_e * b\n"
        "    d_b = d_e * a\n"
        "\n"
        "    return L, d_a, d_b, d_c, d_f\n"
    )
    assert program(2.0, -3.0, 10.0, -2.0) == (-8.0, 6.0, -4.0, -2.0, 4.0)


def test_beside_each_line_stands_what_it_computes():
    program = source(expression, Value(2.0), Value(-3.0), Value(10.0), Value(-2.0))
    lines = program.with_numbers().splitlines()
    assert re.fullmatch(r"    L = d \* f +# -8", lines[3])
    assert re.fullmatch(r"    d_a = d_e \* b +# 6", lines[17])


def digit_network():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(784, 16, rng=rng), nn.ReLU(), nn.Linear(16, 10, rng=rng))


def mini_batch(rng):
    return rng.random((32, 784), np.float32), rng.integers(0, 10, 32)


def code_of(text):
    """The lines of a program, without what is said beside them."""
    return [re.sub(r"(?<=\S)  # .*", "", line) for line in text.splitlines()]


def test_a_whole_step_has_parameters_names_layers_and_the_update():
    model = digit_network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = mini_batch(np.random.default_rng(1))

    def loss_of(x, y):
        loss = nn.cross_entropy(model(x), y)
        return loss  # noqa: RET504 (its name is in the text)

    text = str(source(loss_of, x, y, model=model, optimizer=optimizer))
    for line in (
        "    # 0: Linear(784, 16)",
        "    # back through 0: Linear(784, 16)",
        "    d_linear_0 = np.where(linear_0 <= 0, 0.0, d_relu_1)",
        "    d_weight_0 = (x.T @ d_linear_0).T",
        "    if y.min() < 0 or y.max() >= 10:",
        "    velocity_weight_0 = 0.9 * velocity_weight_0 + d_weight_0",
        "    weight_0 = weight_0 - lr * velocity_weight_0",
    ):
        assert line in code_of(text)


def written(function, *examples, **options):
    """The text of a program, which has no line that is too long."""
    text = str(source(function, *examples, **options))
    assert max(map(len, text.splitlines())) <= 90
    return text


def test_beside_a_product_stand_the_shapes_of_its_arrays():
    model = digit_network()
    x, y = mini_batch(np.random.default_rng(1))
    text = written(lambda x, y: nn.cross_entropy(model(x), y), x, y, model=model)
    for line in (
        "linear_0 = x @ weight_0.T  # (32, 784) @ (784, 16) -> (32, 16)",
        "d_weight_2 = d_linear_2.T @ relu_1  # (10, 32) @ (32, 16) -> (10, 16)",
        "d_weight_0 = (x.T @ d_linear_0).T  # (784, 32) @ (32, 16) -> (784, 16), then (16, 784)",
        "d_bias_2 = np.ones(32, np.float32) @ d_linear_2  # the sum of the 32 rows",
    ):
        assert f"\n    {line}\n" in text


def test_shapes_that_have_no_room_beside_their_line_are_left_out():
    names = [f"{letter * 33}" for letter in "abc"]
    weights = [Value(np.ones((2, 2)), name=name) for name in names[:2]]

    def product():
        return weights[0] @ weights[1] * 2.0

    text = written(lambda: product().sum())
    assert f"{names[0]} @ {names[1]}" in text
    assert "->" not in text.partition("# Backward")[0]


def test_a_product_that_is_a_number_has_no_shapes():
    text = written(lambda x, y: x @ y, Value([1.0, 2.0]), Value([3.0, 4.0]))
    assert "x @ y" in text
    assert "->" not in text
    text = written(lambda x: (x @ np.ones((2, 2))).sum(), Value([1.0, 2.0]))
    assert "->" not in text.partition("# Backward")[0]


def test_a_sum_over_what_broadcasting_repeated_says_so():
    text = written(lambda x, y: (x * y).sum(), Value(np.ones((2, 3))), Value(np.ones(3)))
    assert "    d_y = (d_product * x).sum(axis=0)  # summed over what was broadcast\n" in text
    # A vector on the left is a matrix of one row: nothing is added up.
    text = written(lambda x: (x @ np.ones((2, 2))).sum(), Value(np.ones(2)))
    assert ".sum(axis=0)" in text
    assert "broadcast\n" not in text


def test_the_lines_of_cross_entropy_say_what_they_compute():
    text = written(nn.cross_entropy, Value(np.zeros((2, 3)), name="z"), np.array([0, 2]))
    comments = " ".join(line.strip(" #") for line in text.splitlines() if line.startswith("    #"))
    assert "The derivative of log(sum(exp(z))) with respect to z[j] is exp(z[j]) / sum" in comments
    assert "So the slope is softmax - one-hot." in comments
    for line in (
        "p = z.T.copy()  # a column for each example: a few long rows add up faster",
        "np.exp(p, out=p)  # now p is exp(z)",
        "p /= sums  # now p is softmax(z)",
        "flat[label_places] -= 1.0  # in p's memory, so now p is softmax(z) - one-hot",
    ):
        assert f"\n    {line}\n" in text


def test_what_there_is_to_say_about_a_derivative_is_said_once():
    text = written(lambda x: np.tanh(np.tanh(x)).sum(), Value([1.0, 2.0]))
    assert text.count("np.tanh(") > 2
    assert text.count("The slope of tanh is 1 - tanh², which is sech².") == 1
    assert "    sech /= denominator\n" in text


def test_what_nobody_has_named_is_called_by_a_noun():
    def attention(q, k):
        return (nn.softmax(q @ k.T / 2.0) * q[0]).sum()

    text = written(attention, Value(np.ones((3, 3))), Value(np.ones((3, 3))))
    for name in ("k_T", "q_0", "d_k_T", "d_product", "result", "d_result"):
        assert f"\n    {name} = " in text
    verbs = "add|subtract|multiply|divide|negative|transpose|broadcast_to|astype|reshape|getitem|t"
    assert not re.search(rf"\n    (d_)?({verbs})(_\d+)? = ", text)


def test_numbers_are_written_as_they_were_computed():
    numbers = (1 / 32, 1 - 0.9, 1 - 0.999, 5**0.5, 1 / 1e15, 0.1, 1 / 3 + 1e-16)
    text = written(lambda x: sum(x * number for number in numbers), Value(3.0))
    for written_number in ("1 / 32", "1 - 0.9", "1 - 0.999", "math.sqrt(5)", "1e-15", "0.1"):
        assert written_number in text
    assert "1 / 10)" not in text


def test_a_power_has_a_whole_number_as_its_exponent_and_none_if_that_is_1():
    text = written(lambda x: x**3.0 + x**2, Value(np.array([1.0, 2.0])).sum())
    assert "x ** 3 + x ** 2" in text
    assert "2.0 * x)" in text
    assert "** 1" not in text


def test_a_first_power_of_what_changes_afterwards_is_computed_before():
    def changed(x):
        numbers = x.data.copy()
        powers = [numbers**1.0]  # in a list it has no name of its own
        numbers += 1.0
        return x.sum() * powers[0].sum() + (x * numbers).sum()

    result, _ = source(changed, Value([1.0, 2.0]))(np.array([3.0, 4.0]))
    assert result == (3.0 + 4.0) * (3.0 + 4.0) + 3.0 * 4.0 + 4.0 * 5.0


def test_the_way_back_from_indexing_begins_with_zeros():
    text = written(lambda x: x[np.array([0, 0, 1])].sum(), Value(np.ones(4, np.float32)))
    assert "    d_x = np.zeros(4, np.float32)\n    np.add.at(d_x, " in text


def test_contributions_are_added_to_the_zeros_under_the_name_of_their_sum():
    text = written(lambda x: (x * 2.0).sum() + x[1:3].sum(), Value(np.ones(4)))
    assert re.search(
        r"\n    d_x = np\.zeros\(4\)\n    d_x\[1:3\] = .*\n(.*\n)*    d_x = d_x \+ ", text
    )


def test_a_formula_that_fits_into_no_line_has_a_line_of_its_own_in_brackets():
    layer = nn.Linear(2, 2, rng=np.random.default_rng(0))
    model = nn.Sequential(layer)
    optimizer = optim.Adam(model.parameters())
    text = written(lambda x: model(x).sum(), np.ones((3, 2)), model=model, optimizer=optimizer)
    squares = "0.999 * exp_avg_sq_weight_0 + (1 - 0.999) * d_weight_0 * d_weight_0"
    assert f"\n    exp_avg_sq_weight_0 = (\n        {squares}\n    )\n" in text


def test_the_update_is_headed_by_what_its_optimizer_says_about_itself():
    class Plain(optim.Optimizer):
        """Against the gradient.

        And more.
        """

        def nudge(self, number, gradient, state):
            return -self.lr * gradient, state

    x = Value([1.0, 2.0], name="x")
    text = written(lambda: (x * x).sum(), optimizer=Plain([x], lr=0.1))
    heading = "    # update by Plain\n    # Against the gradient.\n"
    assert f"{heading}    # Here p is x, for example, and g is d_x.\n" not in text
    assert heading in text
    text = written(lambda: (x * x).sum(), optimizer=optim.AdamW([x], lr=0.1))
    for line in (
        "# update by AdamW",
        "#     m = beta1 * m + (1 - beta1) * g          (a running mean of the gradients)",
        "#     p = p - lr * m' / (sqrt(v') + eps) - lr * weight_decay * p",
        "# Here p is x, for example, and g is d_x.",
    ):
        assert f"\n    {line}\n" in text


def moves(optimizer, *values):
    """The lines that move the parameters."""
    text = written(lambda: values[0] * values[1], optimizer=optimizer)
    return text.partition("lr = float(lr)\n")[2].partition("\n    return")[0]


def test_the_many_lines_that_move_a_parameter_are_a_block_and_a_few_are_none():
    values = [Value(2.0, name="a"), Value(3.0, name="b")]
    few = moves(optim.SGD(values, lr=0.1, momentum=0.9), *values)
    many = moves(optim.Adam(values, lr=0.1), *values)
    assert few.strip().count("\n\n") == 0
    first, second = many.strip().split("\n\n")
    assert first.splitlines()[-1].strip().startswith("a = a + ")
    assert second.splitlines()[-1].strip().startswith("b = b + ")


def test_with_numbers_remarks_stay_and_shapes_are_not_said_twice():
    labels = np.array([0, 1])
    weight = Value(np.ones((3, 2)), name="weight")
    program = source(lambda x: nn.cross_entropy(x @ weight, labels), np.ones((2, 3)))
    text = program.with_numbers()
    assert re.search(r"\.T\.copy\(\) +# shape \(2, 2\): a column for each example: ", text)
    assert re.search(r"x @ weight +# \(2, 3\) @ \(3, 2\) -> \(2, 2\)\n", text)
    assert "now p is softmax(z)" in text


def test_a_saved_step_needs_numpy_alone_and_trains_as_the_engine_does(tmp_path):
    model = digit_network()
    rng = np.random.default_rng(1)
    x, y = mini_batch(rng)
    program = source(
        lambda x, y: nn.cross_entropy(model(x), y),
        x,
        y,
        model=model,
        optimizer=optim.SGD(model.parameters(), lr=0.1),
    )
    program.save(tmp_path / "step.py")
    names = ("weight_0", "bias_0", "weight_2", "bias_2")
    weights = [p.data.copy("K") for p in model.parameters()]
    # The order in memory decides how BLAS rounds, so it is kept.
    arrays = {name: w.T for name, w in zip(names, weights, strict=True)}
    np.savez(tmp_path / "given.npz", x=x, y=y, **arrays)
    code = (
        "import sys, numpy as np; sys.modules['microgd'] = None\n"
        "from step import step\n"
        "given = np.load('given.npz')\n"
        f"weights = [given[name].T for name in {names}]\n"
        "for _ in range(5):\n"
        "    loss, *weights = step(given['x'], given['y'], *weights, 0.1)\n"
        "np.savez('found.npz', loss, *weights)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        loss = nn.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with np.load(tmp_path / "found.npz") as found:
        arrays = list(found.values())
    assert arrays[0] == loss.item()
    for array, p in zip(arrays[1:], model.parameters(), strict=True):
        np.testing.assert_array_equal(array, p.data)


def test_a_program_refuses_other_shapes_dtypes_and_labels():
    model = digit_network()
    x, y = mini_batch(np.random.default_rng(1))
    program = source(lambda x, y: nn.cross_entropy(model(x), y), x, y, model=model)
    weights = [p.data for p in model.parameters()]
    with pytest.raises(ValueError, match=r"expected x of shape \(32, 784\) and float32"):
        program(x[:10], y[:10], *weights)
    with pytest.raises(ValueError, match=r"expected shape \(32, 784\) of float32"):  # when saved
        program.function(x[:10], y[:10], *weights)
    with pytest.raises(ValueError, match=r"but got .* float64"):
        program(x.astype(np.float64), y, *weights)
    with pytest.raises(TypeError, match="expected x to be an array, but got"):
        program(x.tolist(), y, *weights)
    with pytest.raises(ValueError, match="expected labels from 0 to 9"):
        program(x, y + 1, *weights)


def test_an_array_in_place_of_a_number_is_refused():
    program = source(expression, Value(2.0), Value(-3.0), Value(10.0), Value(-2.0))
    with pytest.raises(TypeError, match="expected b to be a number"):
        program(2.0, np.ones(2), 10.0, -2.0)


def test_contributions_add_up_under_the_names_of_their_own_blocks():
    def twice(a, b):
        c = a * b
        d = c + a
        return d  # noqa: RET504

    lines = str(source(twice, Value(2.0), Value(3.0))).splitlines()
    assert lines.index("    d_a = d_d") < lines.index("    d_a = d_a + d_c * b")


def test_a_step_returns_what_the_next_one_takes():
    model = digit_network()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = mini_batch(np.random.default_rng(1))
    program = source(
        lambda x, y: nn.cross_entropy(model(x), y), x, y, model=model, optimizer=optimizer
    )
    weights = [p.data for p in model.parameters()]
    state = [*weights, *map(np.zeros_like, weights)]
    for _ in range(3):
        loss, *state = program(x, y, *state, np.float64(0.1))
        expected = nn.cross_entropy(model(x), y)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        assert as_bytes(loss) == as_bytes(expected.item())
    for array, p in zip(state, model.parameters(), strict=False):
        assert as_bytes(array) == as_bytes(p.data)


def test_weights_come_back_in_the_order_of_the_arguments_whatever_the_optimizers_order():
    class Model(nn.Module):
        def __init__(self):
            self.hidden = nn.Linear(1, 1, rng=np.random.default_rng(0), dtype=np.float64)
            self.gate = Value(np.ones(1))
            self.scale = Value(np.full(1, 2.0))

        def forward(self, x):
            return self.gate * self.hidden(x) * self.scale

    model = Model()
    x = np.linspace(-1.0, 1.0, 5)[:, None]
    parameters = [model.scale, model.hidden.bias, model.gate, model.hidden.weight]
    optimizer = optim.SGD(parameters, lr=0.1, momentum=0.5)

    def loss_of(x, y):
        return nn.mse_loss(model(x), y)

    program = source(loss_of, x, 3 * x, model=model, optimizer=optimizer)
    state = [p.data.copy() for p in parameters] + [np.zeros(p.shape) for p in parameters]
    for _ in range(4):
        loss, *state = program(x, 3 * x, *state, 0.1)
        expected = loss_of(x, 3 * x)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        assert as_bytes(loss) == as_bytes(expected.item())


def test_an_optimizer_of_another_model_is_refused():
    optimizer = optim.SGD([Value(1.0)], lr=0.1)
    with pytest.raises(ValueError, match="is it the optimizer of this model"):
        source(lambda x: x * 2.0, Value(1.0), optimizer=optimizer)


@pytest.mark.parametrize("result", [None, "text"])
def test_a_function_that_returns_nothing_is_refused_or_runs_as_it_is(result):
    def forgets(x):
        x * x
        return result

    with pytest.raises(TypeError, match="expected a function that returns what it computes"):
        source(forgets, Value(2.0))
    program = compiled(forgets)
    assert [program(Value(2.0)) for _ in range(5)] == [result] * 5


def test_a_refused_function_leaves_the_random_generators_where_they_were():
    layer = nn.Dropout(0.5, rng=np.random.default_rng(0))
    with pytest.raises(TypeError, match="random numbers"):
        source(lambda x: layer(x).sum(), Value(np.ones(8)))
    np.testing.assert_array_equal(layer.rng.random(3), np.random.default_rng(0).random(3))


def test_operations_of_ones_own_are_written_with_their_rules():
    @operation(lambda g, out, x: g * 3 * x * x, name="cube_of_this_test")
    def cube(x):
        return x * x * x

    program = source(lambda x: cube(x).sum(), Value([1.0, 2.0]))
    _, slope = program(np.array([2.0, 3.0]))
    np.testing.assert_array_equal(slope, [12.0, 27.0])


def test_a_name_that_is_taken_or_no_name_in_python_gets_another():
    first, second = Value(2.0, name="np"), Value(3.0, name="a b")
    text = str(source(lambda: first * second * Value(1.0)))
    assert "def program(np_2, a_b):" in text


def test_brackets_stay_where_they_decide_about_a_bit():
    def product(x):
        return 0.1 * (0.2 * (x + 0.3))

    assert "0.1 * (0.2 * (x + 0.3))" in str(source(product, Value(0.1)))


def test_an_if_on_numbers_becomes_a_check():
    def absolute(x):
        if x < 0:
            return -x
        return x * 1.0

    program = source(absolute, Value(2.0))
    assert program(3.0) == (3.0, 1.0)
    with pytest.raises(ValueError, match="x"):
        program(-3.0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * float(x.data), "float"),
        (lambda x: x * np.asarray(x.data), "asarray"),
        (lambda x: x * np.random.default_rng(0).normal(size=3), "an array of shape"),
    ],
)
def test_what_cannot_be_followed_is_a_type_error_at_once(function, message):
    with pytest.raises(TypeError, match=message):
        source(function, Value(2.0))


def test_the_fast_program_can_be_printed_and_run_too():
    model = digit_network()
    x, y = mini_batch(np.random.default_rng(1))
    program = source(lambda x, y: nn.cross_entropy(model(x), y), x, y, model=model)
    weights = [p.data for p in model.parameters()]
    namespace = {}
    exec(program.fast, namespace)
    pairs = zip(namespace["program"](x, y, *weights), program(x, y, *weights), strict=True)
    for found, expected in pairs:
        assert as_bytes(found) == as_bytes(expected)
    assert "putmask_(" in program.fast  # relu's slope, in place


def test_a_maximum_is_put_into_an_array_by_name():
    # NumPy warns of a third argument by position, and warnings are errors here.
    weight = Value(2.0)

    def function(x):
        return weight * np.sum(np.maximum(x * 2.0, x + 1.0) * np.minimum(x * 3.0, x + 2.0))

    x = np.array([-2.0, 0.5, 3.0])
    program = source(function, x)
    assert len(re.findall(r"(maximum|minimum)_\(.*, out=", program.fast)) == 2
    namespace = {}
    exec(program.fast, namespace)
    found, *_ = namespace["function"](x, 2.0)
    assert found == function(x).item()


def test_a_trace_lets_go_of_its_calls_and_its_graph_at_once():
    weight = Value([1.0, 2.0])
    made_inside = []

    def function(x):
        y = x * weight
        made_inside.append(weakref.ref(y))
        return weight, (y * y).sum()

    made = trace(
        function, (np.ones(2),), {}, {weight: "weight"}, Watch(function), backward=True, seeded=True
    )
    with without_collector():
        made.forget()
        assert made_inside[0]() is None
    assert not made.calls
    given, total = made.result
    assert given is weight
    assert total._operands  # it is still one that was computed
    assert total._numbers._value == 5.0
    np.testing.assert_array_equal(weight.data, [1.0, 2.0])


def test_a_trace_leaves_the_record_of_a_value_that_it_was_given():
    x = Value([1.0, 2.0])
    y = x * 3.0
    made = trace(lambda y: y, (y,), {}, {}, Watch(), backward=True)
    made.forget()
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 3.0])


def test_source_and_compiled_are_functions_also_after_their_modules_are_imported():
    import microgd
    import microgd.programs.program
    import microgd.programs.run

    assert callable(microgd.source)
    assert callable(microgd.compiled)


def test_a_function_of_arrays_alone_is_written_forward_alone():
    program = source(lambda x: np.tanh(x) + 1.0, np.zeros(3))
    assert program(np.array([0.0, 1.0, -1.0])).tolist() == [1.0, np.tanh(1) + 1, np.tanh(-1) + 1]
    assert "Backward" not in program.text


def test_passages_are_the_lines_of_each_operation_in_the_order_of_recording():
    def f(a, b):
        e = a * b
        L = e + a  # noqa: N806
        return L  # noqa: RET504 (the program has its name)

    program = source(f, Value(2.0), Value(3.0))
    lines = program.text.splitlines()
    shown = [
        (name, [lines[i].strip() for i in forward], [lines[i].strip() for i in backward])
        for name, forward, backward in program.passages
    ]
    assert [(name, forward) for name, forward, _ in shown] == [
        ("multiply", ["e = a * b"]),
        ("add", ["L = e + a"]),
    ]
    for (_, (line,), backward), name in zip(shown, "eL", strict=True):
        assert backward[0] == f"# back through {line}"
        assert all(line.startswith("d_") for line in backward[1:]), name
