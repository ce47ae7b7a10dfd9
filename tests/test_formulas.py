"""Operations and the rules that send gradients back, written as formulas."""

import re

import numpy as np
import pytest

from microgd import Value, nn, operation, operations
from microgd.graph import Graph
from microgd.pictures.formulas import Formulas
from microgd.pictures.layers import Layers
from microgd.pictures.names import Names

ops = operations


def leaves():
    rng = np.random.default_rng(3)
    shapes = {
        "X": (2, 3),
        "Y": (2, 3),
        "W": (3, 4),
        "v": (3,),
        "u": (2,),
        "c": (2, 1),
        "T": (4, 2, 3),
        "s": (),
        "t": (),
    }
    made = {}
    for name, shape in shapes.items():
        numbers = rng.uniform(0.2, 0.9, shape)
        made[name] = Value(numbers if shape else float(numbers), name=name)
    return made


FORMULAS = Formulas(Names({}, Layers()))


def written(code):
    """The title of what this code computes, and the rule for each operand."""
    result = eval(code, {"ops": ops, "np": np, "nn": nn, **leaves()})
    rules = [FORMULAS.rule(result, i) for i, x in enumerate(result.inputs) if isinstance(x, Value)]
    return FORMULAS.title(result), rules


# ── Titles ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("X + v", "X + v"),
        ("X - Y", "X − Y"),
        ("X * s", "X × s"),
        ("2 * X", "2 × X"),
        ("X / Y", "X ÷ Y"),
        ("2 / X", "2 ÷ X"),
        ("X @ W", "X @ W"),
        ("X ** 2", "X²"),
        ("X ** 12", "X¹²"),
        ("X ** -1", "X⁻¹"),
        ("X ** 0.5", "X ** 0.5"),
        ("X ** Y", "X ** Y"),
        ("2 ** X", "2 ** X"),
        ("ops.square(X)", "X²"),
        ("-X", "−X"),
        ("abs(X)", "|X|"),
        ("X.sqrt()", "√X"),
        ("X.exp()", "exp(X)"),
        ("X.T", "Xᵀ"),
        ("ops.transpose(X, (1, 0))", "Xᵀ"),
        ("v[0]", "v[0]"),
        ("X[1:, ::2]", "X[1:, ::2]"),
        ("X[[0, 0]]", "X[[0, 0]]"),
        ("X[..., None]", "X[..., None]"),
        ("X.sum()", "sum(X)"),
        ("X.sum(axis=1)", "sum(X, axis=1)"),
        ("X.mean(axis=0, keepdims=True)", "mean(X, axis=0)"),
        ("ops.softmax(X)", "softmax(X)"),
        ("ops.softmax(X, axis=0)", "softmax(X, axis=0)"),
        ("X.reshape(3, 2)", "reshape(X, shape=(3, 2))"),
        ("ops.maximum(X, 0.5)", "maximum(X, 0.5)"),
        ("ops.clip(X, 0, 1)", "clip(X, min=0, max=1)"),
        ("nn.cross_entropy(X, [0, 1])", "cross_entropy(X, …)"),
        # An operand without a name is written out, if that is short
        ("X - X.exp()", "X − exp(X)"),
        ("X.exp() * X.exp()", "exp(X) × exp(X)"),
        ("-(X + Y)", "−(X + Y)"),
        ("(X + Y) ** 2", "(X + Y)²"),
        ("X - (Y - X)", "X − (Y − X)"),
        ("X - Y - X", "X − Y − X"),
        ("X / (Y * X)", "X ÷ (Y × X)"),
        ("(X + Y) * X", "(X + Y) × X"),
        ("X * Y + X", "X × Y + X"),
        ("ops.logaddexp(X, Y).sigmoid()", "sigmoid(logaddexp(X, Y))"),
        ("ops.log_softmax(ops.logaddexp(X, Y)).exp()", "exp(…)"),
        ("X.sin().sin().sin().sin()", "sin(…)"),
        # Brackets where a number is negative
        ("s * -2.0", "s × (−2)"),
        ("-2.0 * s", "−2 × s"),
        ("s + (-2.0)", "s + (−2)"),
        ("s - (-2.0)", "s − (−2)"),
        ("s / -2.0", "s ÷ (−2)"),
        ("-2.0 + s", "−2 + s"),
        ("ops.power(-2.0, 2 * abs(s) / s)", "(−2) ** …"),
        ("s ** -0.5", "s ** (−0.5)"),
    ],
)
def test_an_operation_is_written_as_in_mathematics(code, title):
    assert written(code)[0] == title


def test_a_name_stands_before_the_formula():
    a, b = Value(2.0, name="a"), Value(3.0, name="b")
    e = a * b
    e.name = "e"
    assert FORMULAS.title(e) == "e = a × b"
    assert FORMULAS.title(a) == "a"


@pytest.mark.parametrize("axes", [(0, 1), (1, 2, 0), (0, 2, 1)])
def test_only_the_last_two_axes_swapped_is_written_with_a_t(axes):
    x = Value(np.ones((2, 3, 4)[: len(axes)]), name="x")
    title = FORMULAS.title(ops.transpose(x, axes))
    assert title == "xᵀ" if axes == (0, 2, 1) else title.startswith("transpose(x, axes=(")


# ── Rules ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "rules"),
    [
        ("X + Y", ["g", "g"]),
        ("X + v", ["g", "sum(g, axis=0)"]),
        ("X - Y", ["g", "−g"]),
        ("X - v", ["g", "sum(−g, axis=0)"]),
        ("X * Y", ["g × Y", "g × X"]),
        ("X * s", ["g × s", "sum(g × X)"]),
        ("2 * X", ["g × 2"]),
        ("-2.0 * X", ["g × (−2)"]),
        ("X / Y", ["g ÷ Y", "−g × result ÷ Y"]),
        ("X / s", ["g ÷ s", "sum(−g × result ÷ s)"]),
        ("X / v", ["g ÷ v", "sum(−g × result ÷ v, axis=0)"]),
        ("X ** 2", ["g × 2 × X"]),
        ("X ** 3", ["g × 3 × X²"]),
        ("X ** Y", ["g × Y × X ** (Y − 1)", "g × result × log(X)"]),
        ("-X", ["−g"]),
        ("abs(X)", ["g × sign(X)"]),
        ("X.exp()", ["g × result"]),
        ("X.log()", ["g ÷ X"]),
        ("X.sqrt()", ["g ÷ (2 × result)"]),
        ("X.sin()", ["g × cos(X)"]),
        ("X.tanh()", ["g × (1 − result²)"]),
        ("X.sigmoid()", ["g × result × (1 − result)"]),
        ("X.relu()", ["g where X > 0"]),
        ("X.sum()", ["g, to each"]),
        ("X.sum(axis=0)", ["g, to each"]),
        ("X.mean()", ["g ÷ 6, to each"]),
        ("X.max()", ["g where largest"]),
        ("X.min(axis=0)", ["g where smallest"]),
        ("ops.maximum(X, Y)", ["g where X > Y", "g where Y > X"]),
        ("ops.maximum(X, s)", ["g where X > s", "sum(g where s > X)"]),
        ("ops.where(X.data > 0.5, X, Y)", ["g where true", "g where false"]),
        ("X @ W", ["g @ Wᵀ", "Xᵀ @ g"]),
        ("X @ v", ["outer(g, v)", "Xᵀ @ g"]),
        ("v @ W", ["g @ Wᵀ", "outer(v, g)"]),
        ("v @ v", ["g × v", "g × v"]),
        ("X.T", ["gᵀ"]),
        ("v[0]", ["g at [0]"]),
        ("X[1:, ::2]", ["g at [1:, ::2]"]),
        ("X.reshape(3, 2)", ["g"]),
        ("ops.broadcast_to(v, (2, 3))", ["sum(g, axis=0)"]),
        ("ops.stack([X, Y])", ["g[0]", "g[1]"]),
        ("ops.concatenate([X, Y])", ["g[0:2]", "g[2:4]"]),
        ("ops.softmax(X)", ["result × (g − sum(g × result, axis=-1))"]),
        ("ops.log_softmax(X)", ["g − exp(result) × sum(g, axis=-1)"]),
        ("ops.logsumexp(X)", ["g × exp(X − result)"]),
        ("nn.cross_entropy(X, [0, 1])", ["g × (softmax − one-hot) ÷ n"]),
        # An operand without a name
        ("X.exp() * Y.exp()", ["g × exp(Y)", "g × exp(X)"]),
        ("X.exp().sin()", ["g × cos(exp(X))"]),
        ("(X + Y).relu()", ["g where (X + Y) > 0"]),
        ("X * ops.log_softmax(ops.logaddexp(X, Y))", ["g × …", "g × X"]),
        # Too long to be read
        ("np.prod(v)", [""]),
    ],
)
def test_a_rule_is_written_as_one_says_it(code, rules):
    assert written(code)[1] == rules


def test_a_rule_has_the_names_of_the_operands_and_of_the_result():
    w, x = Value(np.ones((2, 3)), name="layer.weight"), Value(np.ones((4, 2)), name="x")
    out = x @ w
    bent = out.tanh()
    bent.name = "h"
    assert [FORMULAS.rule(out, 0), FORMULAS.rule(bent, 0)] == ["g @ weightᵀ", "g × (1 − h²)"]


def test_a_layers_rule_is_that_of_its_products():
    layer = nn.Linear(3, 2)
    x = Value(np.ones((4, 3)), name="x")
    formulas = Formulas(Names({}, Layers(layer)))
    rules = [formulas.rule(layer(x), i) for i in range(3)]
    assert rules == ["g @ weight", "gᵀ @ x", "sum(g, axis=0)"]


def test_an_operation_of_ones_own_has_a_rule_too(registry):
    @operation(lambda g, out, x: g * 3 * x * x)
    def cube(x):
        return x * x * x

    @operation(lambda g, out, x, y: g * (y - x), lambda g, out, x, y: -(g * x))
    def odd(x, y):
        return x + y

    x, y = Value(np.array([1.0, 2.0]), name="x"), Value(np.array([3.0, 4.0]), name="y")
    assert FORMULAS.rule(cube(x), 0) == "g × 3 × x²"
    assert FORMULAS.title(cube(x)) == "cube(x)"
    assert [FORMULAS.rule(odd(x, y), i) for i in range(2)] == ["g × (y − x)", "−(g × x)"]


def test_a_rule_that_works_for_numbers_alone_is_left_out(registry):
    @operation(lambda g, out, x: g * np.asarray(x.tolist()))
    def odd(x):
        return x

    assert FORMULAS.rule(odd(Value(np.array([1.0, 2.0]), name="x")), 0) == ""


def test_writing_a_rule_changes_neither_the_graph_nor_its_gradients():
    x = Value([1.0, 2.0], name="x")
    out = (x * x).tanh().sum()
    out.backward()
    before, grad = len(Graph(out).steps), x.grad.copy()
    for step in Graph(out).steps:
        for i in range(len(step.inputs)):
            assert FORMULAS.rule(step, i)
    assert len(Graph(out).steps) == before
    np.testing.assert_array_equal(x.grad, grad)


# ── What a rule says is what the engine does ──────────────────────────────────────────────────────

_EXPONENTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def in_python(formula):
    """A formula as an expression of NumPy's."""
    code = formula.removesuffix(", to each")
    selected = re.fullmatch(r"(sum\()?(.*?) where (.*?)(, axis=.*)?(\))?", code)
    if selected:
        opened, what, condition, axis, closed = (part or "" for part in selected.groups())
        code = f"{opened}where({condition}, {what}, 0.0){axis}{closed}"
    at = re.fullmatch(r"(.*) at \[(.*)\]", code)
    if at:
        code = f"put({at[1]}, s_[{at[2]}])"
    code = code.replace("−", "-").replace("×", "*").replace("÷", "/").replace("ᵀ", ".T")
    code = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda match: f"**({match[0].translate(_EXPONENTS)})", code)
    return re.sub(r"√(\w+)", r"√(\1)", code).replace("√(", "sqrt(")


def test_formulas_are_translated_for_the_tests_below_as_they_are_meant():
    assert in_python("g × 3 × X²") == "g * 3 * X**(2)"
    assert in_python("−g ÷ √X") == "-g / sqrt(X)"
    assert in_python("g @ Wᵀ") == "g @ W.T"
    assert in_python("sum(g × X, axis=0)") == "sum(g * X, axis=0)"
    assert in_python("sum(g where s > X)") == "sum(where(s > X, g, 0.0))"
    assert in_python("g where X > 0") == "where(X > 0, g, 0.0)"


OPERATIONS = """
X+Y X+v X+s s+X X-Y v-X X-2 2-X s-t X*Y X*v X*s s*X 3*X -2.0*X s*t X/Y X/v X/s s/X 2/X X/-2.0 s/t
X**2 X**3 X**1 X**0 X**-1 X**-2 X**0.5 X**-0.5 X**Y X**v X**s s**X 2**X s**t s**2 -X -s abs(X)
X.exp() X.log() X.sqrt() X.sin() X.cos() X.tanh() X.sigmoid() X.relu() (-X).relu() s.tanh()
ops.square(X) ops.logaddexp(X,Y) ops.logaddexp(X,s) ops.maximum(X,Y) ops.maximum(X,s)
ops.maximum(v,X) ops.minimum(X,Y) ops.minimum(X,0.5) np.expm1(X) np.log1p(X) np.sinh(X) np.cosh(X)
np.tan(X) np.arctan(X) np.arcsin(X) np.arccos(X) np.arcsinh(X) np.arctanh(X) np.cbrt(X) np.log2(X)
np.log10(X) np.exp2(X) np.hypot(X,Y) np.reciprocal(X)
X+c c-X X*c X/c X**c ops.minimum(X,c) T+X T*v T/X v/T T**v ops.maximum(T,c)
X@W W.T@X.T X@v u@X v@W v@v X.T X.reshape(3,2) X.sum() X.sum(axis=0) X.mean() X.mean(axis=0) v[0] v[1:]
X[1:,::2] X[:,0] ops.broadcast_to(v,(2,3)) ops.broadcast_to(s,(2,)) ops.stack([X,Y])
ops.concatenate([X,Y]) ops.logsumexp(X) ops.softmax(v) ops.log_softmax(v) np.linalg.norm(v)
"""


def share_by_the_text(formula, x, result, g, values):
    """What an operand gets by the text of the rule, in the operand's shape."""

    def add_up(summand, axis=None):
        is_per_row = result.op in ("softmax", "log_softmax")
        return np.sum(summand, axis=axis, keepdims=is_per_row)

    def put(g, index):
        placed = np.zeros(x.shape)
        placed[index] = g
        return placed

    known = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")}
    known["sigmoid"] = lambda a: 1 / (1 + np.exp(-a))
    known |= {name: held.data for name, held in values.items()}
    known |= {"g": g, "result": result.data, "sum": add_up, "put": put}
    computed = np.asarray(eval(in_python(formula), known))
    if computed.size == x.size:
        return computed.reshape(x.shape)  # a rule does not say what only changes the shape
    assert formula.endswith(", to each")
    return np.broadcast_to(computed, x.shape)


@pytest.mark.parametrize("code", OPERATIONS.split())
def test_a_rule_as_text_is_what_the_engine_computes(code):
    values = leaves()
    result = eval(code, {"ops": ops, "np": np, **values})
    for i, x in enumerate(result.inputs):
        if isinstance(x, Value) and not x.name:
            x.name = f"inner{i}"
            values[x.name] = x
    g = np.random.default_rng(1).normal(size=result.shape) if result.shape else 1.0
    result.backward(g if result.shape else None)
    graph = Graph(result)
    graph.go_back()
    for (_, i), c in graph.contributions.items():
        if c.result is not result:
            continue
        formula = FORMULAS.rule(result, i)
        has_rounded_numbers = re.search(r"\d\.\d{3}", formula)
        computed = share_by_the_text(formula, c.operand, result, g, values)
        np.testing.assert_allclose(
            computed, c.share, rtol=3e-4 if has_rounded_numbers else 1e-12, err_msg=formula
        )


def test_the_comparison_above_would_notice_a_wrong_rule():
    values = leaves()
    x = values["s"]
    result = x.tanh()
    assert share_by_the_text("g × (1 − result)", x, result, 1.0, values) != pytest.approx(
        1 - result.data**2
    )


@pytest.mark.parametrize(
    ("code", "slopes"),
    [
        ("s * t", ["t", "s"]),
        ("s + t", ["", ""]),
        ("s ** 3", ["3 × s²"]),
        ("s.tanh()", ["1 − result²"]),
        ("s.sigmoid()", ["result × (1 − result)"]),
        ("s.exp()", ["result"]),
        ("s / t", ["", ""]),
        ("s.relu()", [""]),
    ],
)
def test_the_slope_of_a_number_is_the_factor_of_its_rule(code, slopes):
    result = eval(code, leaves())
    assert [FORMULAS.slope(result, i) for i in range(len(slopes))] == slopes


def test_a_slope_in_numbers_has_the_numbers_that_were_recorded():
    x = Value(0.5, name="x")
    out = x.tanh()
    y = Value(3.0, name="y")
    product = y * -2.0
    y.data = 7.0
    assert FORMULAS.slope(out, 0, in_numbers=True) == "1 − 0.4621²"
    assert FORMULAS.rule(product, 0, in_numbers=True) == "g × (−2)"
    assert FORMULAS.slope(product, 0, in_numbers=True) == "−2"
    assert FORMULAS.rule(y * x, 1, in_numbers=True) == "g × 7"


def rule_of(result, position):
    """A rule with the Values' own names."""
    return Formulas(Names({}, Layers())).rule(result, position)


def test_where_an_operand_is_called_g_the_gradient_is_called_grad():
    x, g = Value([1.0, 2.0], name="x"), Value([3.0, 4.0], name="g")
    assert rule_of(x * g, 0) == "grad × g"
    assert rule_of(x * g, 1) == "grad × x"


def test_a_value_called_1_is_no_factor_to_leave_out():
    x, one = Value([1.0, 2.0], name="x"), Value([3.0, 4.0], name="1")
    assert rule_of(x * one, 0) == "g × 1"


@pytest.mark.parametrize(
    ("shape", "rules"),
    [
        ((2,), ["g @ W", "outer(g, x)", "g"]),
        ((5, 2), ["g @ W", "gᵀ @ x", "sum(g, axis=0)"]),
    ],
)
def test_the_rules_of_a_layer_are_those_for_the_dimensions_of_its_input(shape, rules):
    rng = np.random.default_rng(0)
    x = Value(rng.normal(size=shape), name="x")
    layer = nn.Linear(2, 3, rng=rng)
    layer.weight.name, layer.bias.name = "W", "b"
    assert [rule_of(layer(x), i) for i in range(3)] == rules


def test_a_product_with_a_constant_matrix_names_it_transposed():
    a, k = Value(np.ones((2, 2)), name="A"), np.ones((2, 3))
    names = Names({"K": k}, Layers())
    assert Formulas(names).rule(a @ k, 0) == "g @ Kᵀ"


def test_half_of_a_gradient_at_a_tie_is_said():
    t = Value([1.0, 2.0], name="t")
    assert rule_of(np.maximum(t, 1.0), 0) == "g where t > 1, half where equal"
    assert rule_of(np.maximum(t, 0.5), 0) == "g where t > 0.5"


def test_an_einsum_that_repeats_nothing_sends_nothing_to_each():
    b = Value([1.0, 2.0], name="b")
    assert not rule_of(np.einsum("i,j->ij", b, Value([3.0, 4.0], name="c")), 0).endswith("to each")
