"""Against PyTorch: every operation, edge values, random graphs, optimizer, layers and losses."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from domains import COMPOSED, DOMAINS
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from microgd import Value, gradients, nn, optim, train
from microgd.registry import OPERATIONS

torch = pytest.importorskip("torch")
from torch_oracle import BINARY, FUNCTIONS, TORCH, UNARY, Program, Step, Writer, compare, numbers  # noqa: E402 (it imports torch)

EXAMPLES = DOMAINS | COMPOSED
REGISTERED = {name for name, op in OPERATIONS.items() if op.module.startswith("microgd.")}
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Give PyTorch one thread. More would only wait for each other and for the other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def program_of(name, operands, function, **options):
    """A program of one operation. Floating-point operands are leaves, the others are constants."""
    leaves, places = [], []
    for x in operands:
        is_leaf = np.asarray(x).dtype.kind == "f"
        places.append(len(leaves) if is_leaf else ("constant", x))
        leaves += [x] * is_leaf
    return Program(leaves, [Step(name, places, options)], [len(leaves)], {name: function})


# ── Every operation ───────────────────────────────────────────────────────────────────────────────


def test_every_operation_there_is_has_its_equal_in_pytorch():
    assert REGISTERED | set(COMPOSED) == set(TORCH)


# The spread of two elements, and the average of one, whatever its weight, are straight lines. Their
# second derivatives are nothing but rounding errors, which cannot be judged. Those of a logarithm of
# two shares may cancel.
SOMETIMES_STRAIGHT = {"std", "average", "logsumexp", "softmax", "log_softmax"}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@every_dtype
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_an_operation_and_its_derivatives_of_both_orders_are_pytorchs(name, dtype, data):
    operands, options = data.draw(EXAMPLES[name].cases)
    given = [
        np.asarray(x, dtype) if np.ndim(x) and np.asarray(x).dtype.kind == "f" else x
        for x in operands
    ]
    verdict = compare(program_of(name, given, EXAMPLES[name].function, **options))
    if name in SOMETIMES_STRAIGHT and verdict == "ill-conditioned":
        reject()
    assert verdict == "the same"


# ── Edge values ───────────────────────────────────────────────────────────────────────────────────

INF, NAN = np.inf, np.nan
EDGES = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, INF, -INF, NAN]
FAR = {np.float32: [1e-30, -1e-30, 1e30, -1e30], np.float64: [1e-300, -1e-300, 1e300, -1e300]}
ELEMENTWISE = [*UNARY, *(name for name in BINARY if name != "matmul")]


def parts(out, inputs, slopes):
    """The parts to compare: `value`, its slopes `x` and `y`, and theirs: `xx`, `xy`, `yx`, `yy`."""
    found = {"value": out}
    for name, g in zip("xy", slopes(out), strict=False):
        found[name] = g
        found |= {name + other: h for other, h in zip("xy", slopes(g), strict=False)}
    assert len(found) == 1 + len(inputs) + len(inputs) ** 2
    return found


def on_microgd(function, *inputs, **options):
    values = [Value(x) for x in inputs]

    out = function(*values, **options)

    def slopes(of):
        return gradients((of * 1.0).sum(), values, create_graph=of is out)

    return {
        part: x.data if isinstance(x, Value) else x
        for part, x in parts(out, values, slopes).items()
    }


def on_torch(function, *inputs, **options):
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]

    def slopes(of):
        found = (
            torch.autograd.grad(of.sum(), tensors, create_graph=True, allow_unused=True)
            if of.requires_grad
            else [None] * 2
        )
        return [
            torch.zeros_like(x) if g is None else g for x, g in zip(tensors, found, strict=False)
        ]

    return {
        part: numbers(x)
        for part, x in parts(function(*tensors, **options), tensors, slopes).items()
    }


def assert_same(mine, theirs, expected=None):
    """Check that all parts agree. Where microgd differs on purpose, `expected` says what it gives.

    `expected` has for each part pairs of where, and what microgd gives there.
    """
    for part, other in theirs.items():
        for where, gives in (expected or {}).get(part, []):
            other = np.where(where, gives, other)
        eps = np.finfo(other.dtype).eps
        np.testing.assert_allclose(mine[part], other, rtol=32 * eps, atol=2 * eps, err_msg=part)


def on_purpose(name, x, y=None):
    """Where microgd differs from PyTorch on purpose: pairs of where and what, for each part."""
    if name in ("absolute", "sign"):  # the sign of nan is nan, as in NumPy; PyTorch has 0
        return {"value" if name == "sign" else "x": [(np.isnan(x), NAN)]}
    # Below 1 arccosh is not real and has no slope. PyTorch has a slope below -1, from x² - 1.
    if name == "arccosh":
        return {"x": [(x < 1, NAN)], "xx": [(x < 1, NAN), (x == INF, 0.0)]}
    # PyTorch computes 1 / cosh(x), whose slope is nan where cosh(x) is infinite.
    if name in ("_sech", "_half_sech"):
        return {part: [(np.abs(x) > 200, 0.0)] for part in ("x", "xx")}
    # Where one operand is much larger, the function is straight. PyTorch has nan there.
    if name == "logaddexp":
        far = ~np.isnan(x) & ~np.isnan(y) & (np.abs(x - y) > 100)
        return {part: [(far, 0.0)] for part in ("xx", "xy", "yx", "yy")}
    # A cube root is vertical at 0. PyTorch has no cube root, so this is the power of a size there.
    if name == "cbrt":
        return {"x": [(x == 0, INF)], "xx": [(x == 0, -np.copysign(INF, x))]}
    # At an infinite distance the angle changes no more: PyTorch has nan there. At (0, 0), where both
    # have the slope 0, PyTorch's second derivative is nan.
    if name == "arctan2":
        far = (np.isinf(x) & np.isfinite(y)) | (np.isfinite(x) & np.isinf(y))
        flat = far | ((x == 0) & (y == 0))
        first, second = ("x", "y"), ("xx", "xy", "yx", "yy")
        return {part: [(far, 0.0)] for part in first} | {part: [(flat, 0.0)] for part in second}
    if name == "power":
        return {
            "x": [(np.isnan(x) & (y == 0), NAN)],
            # x**0 is 1 everywhere, even at 0. PyTorch's second derivative there is nan.
            "xx": [((x == 0) & (y == 0), 0.0)],
            # The slope y * x**(y - 1) grows with y, even where y is 0. PyTorch has 0 there,
            # although its own `yx` is 1 / x.
            "xy": [((x > 0) & (x < INF) & (y == 0), 1 / x), ((x == 0) & (y == 0), 1.0)],
            # The slope of 0**y by y is 0, as in PyTorch, so the slope of that is 0; PyTorch has
            # nan. Where x is negative, there is no slope by y.
            "yx": [
                ((x == 0) & ((y == 0) | (y >= 1) & (y < INF)), 0.0),
                (((x < 0) | (x == INF)) & (y == 0), NAN),
            ],
            "yy": [((x == 0) & (y >= 0), 0.0)],
        }
    return {}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ELEMENTWISE)
@every_dtype
def test_elementwise_operations_of_edge_values_have_pytorchs_values_and_derivatives(name, dtype):
    # If the square of an exponent overflows, 0 * inf gives nan or not, depending on the order of
    # the factors. So power gets no exponents from FAR. For arctan2, and for a cube root made of a
    # power, numbers from there are too much for PyTorch. (test_accuracy.py has them.)
    far = FAR[dtype] * (name not in ("cbrt", "arctan2"))
    operands = [EDGES + far]
    if name not in UNARY:
        operands = [EDGES + far, EDGES + far * (name != "power")]
    points = [np.array(x, dtype) for x in zip(*product(*operands), strict=True)]
    assert_same(
        on_microgd(FUNCTIONS[name], *points),
        on_torch(TORCH[name], *points),
        on_purpose(name, *points),
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_numbers_have_pytorchs_values_and_derivatives_at_edge_values(name):
    for point in product(EDGES, repeat=1 if name in UNARY else 2):
        arrays = [np.array(x) for x in point]
        assert_same(
            on_microgd(FUNCTIONS[name], *point),
            on_torch(TORCH[name], *arrays),
            on_purpose(name, *arrays),
        )


ROWS = [
    [INF, 1, 2], [-INF, 1, 2], [-INF, -INF, -INF], [INF, INF, 1], [INF, -INF, 0], [NAN, 1, 2], [NAN, NAN, 1], [NAN, INF, 1],
    [1, 1, 1], [0.0, -0.0, -1], [2, 1, 2], [1, 2, 1], [1e15, -1e15, 1e15], [800, -800, 800],
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "name",
    ["sum", "mean", "max", "min", "var", "std", "norm", "logsumexp", "softmax", "log_softmax"],
)
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@every_dtype
def test_reductions_of_ties_infinities_and_nan_have_pytorchs_values_and_derivatives(
    name, axis, dtype
):
    rows = np.array(ROWS, dtype)
    for x in {0: [rows.T], 1: [rows]}.get(axis, rows[:, None]):
        mine, expected = on_microgd(FUNCTIONS[name], x, axis=axis), {}
        # A nan among the elements is the result, so it alone gets the slope. In PyTorch all are
        # nan.
        if name in ("max", "min"):
            nans = np.isnan(x)
            expected = {
                "x": [
                    (
                        nans.any(axis, keepdims=True),
                        nans / np.maximum(nans.sum(axis, keepdims=True), 1),
                    )
                ]
            }
        # At an infinite distance from the mean the result and every slope are nan. In PyTorch some
        # slopes are infinite.
        if name == "var":
            expected = {"x": [(np.isnan(np.var(x, axis, keepdims=True)), NAN)]}
        assert_same(mine, on_torch(TORCH[name], x, axis=axis), expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["cumsum", "sort", "flip", "tril", "triu"])
@pytest.mark.parametrize("axis", [None, 0, 1])
@every_dtype
def test_along_an_axis_ties_infinities_and_nan_have_pytorchs_values_and_derivatives(
    name, axis, dtype
):
    rows = np.array(ROWS, dtype)
    options = {"k": axis or 0} if name in ("tril", "triu") else {"axis": axis}
    for x in (rows, rows.T):
        assert_same(on_microgd(FUNCTIONS[name], x, **options), on_torch(TORCH[name], x, **options))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("subscripts", ["ij->i", "ij->", "ij,ij->i", "ij,jk->ik", "ij,kj->ik"])
@every_dtype
def test_sums_of_products_of_infinities_and_nan_have_pytorchs_values_and_derivatives(
    subscripts, dtype
):
    shapes = {"jk": (3, 2)}
    for row in ROWS:
        x = np.array([row, [1.0, 2.0, 3.0]], dtype)
        operands = [x] + [np.resize(x, shapes.get(term, (2, 3))) for term in
                          subscripts.split("->")[0].split(",")[1:]]  # fmt: skip
        assert_same(
            on_microgd(FUNCTIONS["einsum"], *operands, subscripts=subscripts, as_lists=False),
            on_torch(TORCH["einsum"], *operands, subscripts=subscripts),
        )


BOUNDS = [
    {"min": 0.0, "max": 1.0}, {"min": 1.0}, {"max": 0.0}, {"min": 2.0, "max": 1.0}, {"min": -INF, "max": INF}, {"min": NAN},
    {"max": NAN}, {"min": np.array([0.0, 1.0, 2.0]), "max": np.array([2.0, 1.0, 1.0])}, {"max": np.array([[1.0], [2.0]])},
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("options", BOUNDS, ids=str)
@every_dtype
def test_clip_has_pytorchs_values_and_slopes_at_its_bounds(options, dtype):
    x = np.array([[[1, 1, 0], [2, 1, 2]], [[-0.0, INF, -INF], [NAN, 1.5, 0.5]]], dtype)
    assert_same(on_microgd(FUNCTIONS["clip"], x, **options), on_torch(TORCH["clip"], x, **options))


TAKEN = np.array([True, False, True])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("x", [[1.0, NAN, 2.0], [1.0, INF, NAN], [0.0, 1.0, 0.0]])
@pytest.mark.parametrize("y", [[NAN, 1.0, INF], [NAN, NAN, 0.0], [1.0, 0.0, 1.0]])
@pytest.mark.parametrize("after", ["positive", "sqrt"])  # sqrt has an infinite slope at 0
def test_where_gives_a_branch_not_taken_the_slopes_that_pytorch_gives_it(x, y, after):
    mine = on_microgd(
        lambda x, y: FUNCTIONS[after](FUNCTIONS["where"](TAKEN, x, y)), np.array(x), np.array(y)
    )
    theirs = on_torch(
        lambda x, y: TORCH[after](torch.where(torch.tensor(TAKEN), x, y)), np.array(x), np.array(y)
    )
    assert_same(mine, theirs)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["log", "sqrt", "square"])
@pytest.mark.parametrize(
    "x", [[4.0, -1.0, 1.0], [4.0, 0.0, 1.0], [NAN, 1.0, INF], [1.0, INF, -INF]]
)
def test_what_was_computed_in_vain_for_where_has_the_slopes_that_it_has_in_pytorch(name, x):
    mine = on_microgd(lambda x: FUNCTIONS["where"](TAKEN, FUNCTIONS[name](x), x), np.array(x))
    assert_same(
        mine, on_torch(lambda x: torch.where(torch.tensor(TAKEN), TORCH[name](x), x), np.array(x))
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("x", [[INF, 1.0, NAN], [-INF, 0.0, 0.0]])
@pytest.mark.parametrize("y", [[[0.0], [1.0], [2.0]], [[NAN], [INF], [0.0]]])
def test_products_of_infinities_and_nan_are_pytorchs(x, y):
    x, y = np.array([x, [1.0, 2.0, 3.0]]), np.array(y)
    assert_same(on_microgd(FUNCTIONS["matmul"], x, y), on_torch(TORCH["matmul"], x, y))


LOGITS = [
    [0.0, 0.0, 0.0],
    [1e4, 0.0, -1e4],
    [-INF, 1.0, 2.0],
    [INF, 1.0, 2.0],
    [NAN, 1.0, 2.0],
    [-INF, -INF, -INF],
    [700, 800, 900],
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("logits", LOGITS, ids=str)
@pytest.mark.parametrize("label", [0, 1, 2])
@every_dtype
def test_cross_entropy_of_extreme_logits_has_pytorchs_value_and_derivatives(logits, label, dtype):
    logits, labels = np.array([logits, [1.0, 2.0, 3.0]], dtype), np.array([label, 0])
    mine = on_microgd(lambda x: nn.cross_entropy(x, labels), logits)
    assert_same(mine, on_torch(lambda x: TORCH["cross_entropy"](x, torch.tensor(labels)), logits))


def empty_cases():
    """Operations on operands without elements."""
    for name in [*UNARY, "ravel", "squeeze", "transpose"]:
        yield from ((name, [shape], {}) for shape in [(0,), (0, 2), (2, 0)])
    for name in ELEMENTWISE[len(UNARY) :]:
        yield from (
            (name, shapes, {}) for shapes in [[(0, 2), (1,)], [(1, 2), (0, 1)], [(0,), (0,)]]
        )
    for name, shape, axis in product(
        ["sum", "mean", "var", "logsumexp", "prod", "std", "norm"],
        [(0,), (0, 2), (2, 0)],
        [None, 0, -1],
    ):
        yield from (
            (name, [shape], {"axis": axis, "keepdims": keepdims}) for keepdims in (False, True)
        )
    for name in ("max", "min"):  # only along an axis that has elements
        yield from [(name, [(2, 0)], {"axis": 0}), (name, [(0, 2)], {"axis": 1, "keepdims": True})]
    for name, axis in product(["softmax", "log_softmax"], [0, -1]):
        yield from ((name, [shape], {"axis": axis}) for shape in [(0,), (0, 2), (2, 0)])
    for name, axis in product(["cumsum", "cumprod", "sort", "flip"], [None, 0, -1]):
        yield from ((name, [shape], {"axis": axis}) for shape in [(0,), (0, 2), (2, 0)])
    for name in ("tril", "triu", "diagonal", "trace", "diag"):
        yield from ((name, [shape], {}) for shape in [(0, 2), (2, 0), (0, 0)])
    yield from (("roll", [shape], {"shift": 2, "axis": -1}) for shape in [(0,), (0, 2), (2, 0)])
    yield from [("diag", [(0,)], {"k": 0}), ("diag", [(0,)], {"k": -2})]
    yield from [("repeat", [(0, 2)], {"repeats": 3, "axis": 1}), ("tile", [(0, 2)], {"reps": 2})]
    yield from [("repeat", [(3, 2)], {"repeats": 0, "axis": 0}), ("tile", [(3, 2)], {"reps": 0})]
    yield from [("pad", [(0, 2)], {"pad_width": 1}), ("round", [(0, 2)], {"decimals": 1})]
    yield "take", [(3, 2)], {"indices": np.zeros((0, 2), int), "axis": 1}
    yield "take_along_axis", [(3, 2)], {"indices": np.zeros((0, 2), int), "axis": 0}
    yield "sliding_window_view", [(0, 3)], {"window_shape": 2, "axis": 1}
    yield from (
        ("split", [(0, 2)], {"indices_or_sections": 3, "axis": 0, "piece": n}) for n in (0, 2)
    )
    for name in ("vstack", "hstack", "column_stack"):
        yield from [(name, [(0, 2), (0, 2)], {}), (name, [(2, 0), (2, 0)], {})]
    for subscripts, shapes in [
        ("ij->i", [(2, 0)]),
        ("ij->ji", [(2, 0)]),
        ("ii", [(0, 0)]),
        ("ij,jk->ik", [(2, 0), (0, 3)]),
        ("i,j->ij", [(0,), (2,)]),
    ]:
        yield "einsum", shapes, {"subscripts": subscripts, "as_lists": False}
    yield "tensordot", [(2, 0), (0, 3)], {"axes": 1}
    for name in ("dot", "inner", "outer"):
        yield from [(name, [(0,), (0,)], {}), (name, [(2, 0), (0,)], {})]
    for name in ("concatenate", "stack"):
        yield from [(name, [(0, 2), (0, 2)], {"axis": axis}) for axis in (0, 1)]
    yield "concatenate", [(0, 2), (3, 2)], {"axis": 0}
    products = [
        [(2, 0), (0, 3)],
        [(0, 2), (2, 3)],
        [(0,), (0,)],
        [(2, 0), (0,)],
        [(0,), (0, 2)],
        [(0, 2, 2), (2, 2)],
        [(2, 2), (2, 0)],
    ]
    yield from (("matmul", shapes, {}) for shapes in products)
    yield "clip", [(0, 2)], {"min": 0.0, "max": 1.0}
    yield "getitem", [(0, 2)], {"index": (slice(None), 0)}
    yield "getitem", [(3, 2)], {"index": np.zeros(0, int)}
    yield "scatter", [(0,)], {"index": np.zeros(0, int), "shape": (3,)}
    yield "reshape", [(0, 2)], {"shape": (3, 0)}
    yield "broadcast_to", [(1, 0)], {"shape": (3, 0)}
    yield "mse_loss", [(1, 1), (1, 1)], {}


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:.*degrees of freedom:UserWarning")
@pytest.mark.parametrize(("name", "shapes", "options"), list(empty_cases()))
@every_dtype
def test_empty_arrays_have_pytorchs_values_and_derivatives(name, shapes, options, dtype):
    inputs = [np.ones(shape, dtype) for shape in shapes]
    assert_same(
        on_microgd(FUNCTIONS[name], *inputs, **options), on_torch(TORCH[name], *inputs, **options)
    )


@pytest.mark.parametrize(
    "shapes",
    [
        [(0, 2), (3, 2), (3,)],
        [(2, 0), (3, 0), (3,)],
        [(2, 2), (0, 2), (0,)],
        [(2, 0, 2), (3, 2), (3,)],
    ],
)
@every_dtype
def test_empty_layers_have_pytorchs_values_and_derivatives_of_both_orders(shapes, dtype):
    assert (
        compare(program_of("linear", [np.ones(shape, dtype) for shape in shapes], nn.linear))
        == "the same"
    )


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("axis", [None, 0])
def test_the_largest_of_nothing_is_refused_as_in_pytorch(name, axis):
    for function, x in (
        (FUNCTIONS[name], Value(np.ones((0, 2)))),
        (TORCH[name], torch.ones((0, 2))),
    ):
        with pytest.raises((ValueError, IndexError)):
            function(x, axis=axis)


# ── Random graphs ─────────────────────────────────────────────────────────────────────────────────

SEEDS = 20


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_graphs_have_pytorchs_values_and_derivatives_of_both_orders(
    seed, size, record_property
):
    found, graphs = Counter(), size(20, 1000)
    for number in range(graphs):
        try:
            found[compare(Writer(seed, number).write())] += 1
        except AssertionError as error:
            raise AssertionError(f"Writer({seed}, {number}), {error}") from None
    record_property("graphs compared with PyTorch", found["the same"])
    record_property("graphs not judged: ill-conditioned", found["ill-conditioned"])
    record_property("graphs not judged: not finite", found["not finite"])
    assert found["the same"] >= 0.95 * graphs


def test_random_graphs_contain_every_operation_that_there_is():
    steps = [step.name for number in range(600) for step in Writer(0, number).write().steps]
    assert set(steps) == set(TORCH)


# Their slope is 0, and a wrong factor leaves it 0.
FLAT = {"sign", "floor", "ceil", "trunc", "rint", "round"}


@pytest.mark.parametrize(("order", "name"), [(1, "slope"), (2, "second derivative")])
def test_a_slightly_wrong_rule_is_found_in_most_graphs_that_use_it(
    order, name, size, record_property
):
    rng, used, found = np.random.default_rng(0), Counter(), Counter()
    for number in range(size(60, 2000)):
        program = Writer(SEEDS + 1, number).write()
        names = [step.name for step in program.steps if step.name not in FLAT]
        wrong = str(rng.choice(names or ["sum"]))
        error = 1e-4 if program.eps > 1e-10 else 1e-9

        def rule(*operands, wrong=wrong, error=error, **options):
            out = TORCH[wrong](*operands, **options)
            # The value is right, and so are the derivatives of lower order.
            return out + error * (out - out.detach()) ** order

        used[wrong] += 1
        try:
            compare(program, TORCH | {wrong: rule})
        except AssertionError:
            found[wrong] += 1
    record_property(f"graphs with a {name} that is slightly wrong", used.total())
    record_property(f"graphs with a {name} that is slightly wrong: found", found.total())
    assert found.total() > 0.5 * used.total()
    assert {
        name for name, times in used.items() if times >= 20 and found[name] < 0.25 * times
    } == set()


def test_a_nan_that_only_one_of_the_two_has_is_found():
    program = program_of("sin", [np.ones(3)], FUNCTIONS["sin"])
    with pytest.raises(AssertionError, match="value 0"):
        compare(program, TORCH | {"sin": lambda x: torch.sin(x) * NAN})


# ── Optimizer ─────────────────────────────────────────────────────────────────────────────────────

STEPS = 50
SETTINGS = [
    {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
    for momentum, weight_decay, nesterov in product([0.0, 0.9], [0.0, 0.05], [False, True])
    if momentum or not nesterov
]
every_setting = pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items())
)


def assert_close_after_steps(mine, theirs, dtype):
    """Check equality up to rounding. Each step rounds four times: decay, momentum, rate and sum."""
    for p, q in zip(mine, theirs, strict=True):
        expected = q.detach().numpy()
        assert (np.asarray(p.data).dtype, np.shape(p.data)) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(
            p.data, expected, rtol=0, atol=4 * STEPS * np.finfo(dtype).eps * np.abs(expected).max()
        )


@every_setting
@every_dtype
def test_fifty_steps_with_gradients_that_come_and_go_and_a_rate_that_falls_are_pytorchs(
    settings, dtype
):
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape).astype(dtype) for shape in ((3, 2), (4,), (1,))]
    mine, theirs = [Value(x) for x in starts], [torch.tensor(x) for x in starts]
    ours, other = optim.SGD(mine, lr=0.1, **settings), torch.optim.SGD(theirs, lr=0.1, **settings)
    for _ in range(STEPS):
        for p, q in zip(mine, theirs, strict=True):
            g = None if rng.random() < 0.2 else rng.normal(size=p.shape).astype(dtype)
            p.grad, q.grad = g, None if g is None else torch.tensor(g)
        ours.step()
        other.step()
        ours.lr *= 0.97
        other.param_groups[0]["lr"] *= 0.97
    assert_close_after_steps(mine, theirs, dtype)


@every_setting
@every_dtype
def test_fifty_steps_of_training_lead_where_pytorchs_do(settings, dtype):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(20, 3)).astype(dtype), rng.normal(size=(20, 2)).astype(dtype)
    layer, theirs = (
        nn.Linear(3, 2, rng=rng, dtype=dtype),
        torch.nn.Linear(3, 2, dtype=torch.from_numpy(x).dtype),
    )
    theirs.load_state_dict({name: torch.tensor(data) for name, data in layer.state_dict().items()})
    ours, other = (
        optim.SGD(layer.parameters(), lr=0.05, **settings),
        torch.optim.SGD(theirs.parameters(), lr=0.05, **settings),
    )
    for _ in range(STEPS):
        for each in (ours, other):
            each.zero_grad()
        nn.mse_loss(layer(x), y).backward()
        torch.nn.functional.mse_loss(theirs(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        for each in (ours, other):
            each.step()
    assert_close_after_steps(layer.parameters(), theirs.parameters(), dtype)


@pytest.mark.parametrize(
    ("optimizer", "parameter"), [(optim.SGD, Value([1.0])), (torch.optim.SGD, torch.ones(1))]
)
def test_nesterov_without_momentum_is_refused_as_in_pytorch(optimizer, parameter):
    with pytest.raises(ValueError, match="momentum"):
        optimizer([parameter], lr=0.1, nesterov=True)


# ── Losses ────────────────────────────────────────────────────────────────────────────────────────


@every_dtype
@pytest.mark.parametrize("examples", [1, 5])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 10.0])
def test_cross_entropy_and_its_derivatives_of_both_orders_are_pytorchs(dtype, examples, scale):
    rng = np.random.default_rng(0)
    logits, labels = (
        (scale * rng.normal(size=(examples, 10))).astype(dtype),
        rng.integers(0, 10, examples),
    )
    assert compare(program_of("cross_entropy", [logits, labels], nn.cross_entropy)) == "the same"


@every_dtype
@pytest.mark.parametrize("shape", [(), (1,), (5, 1), (5, 3)])
def test_the_mean_squared_error_and_its_derivatives_of_both_orders_by_both_operands_are_pytorchs(
    dtype, shape
):
    rng = np.random.default_rng(0)
    operands = [
        rng.normal(size=shape).astype(dtype) if shape else float(rng.normal()) for _ in range(2)
    ]
    assert compare(program_of("mse_loss", operands, nn.mse_loss)) == "the same"


@every_dtype
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse_loss"])
def test_a_networks_loss_and_its_derivatives_of_both_orders_by_all_weights_are_pytorchs(
    dtype, activation, loss
):
    rng = np.random.default_rng(0)
    leaves = [rng.normal(size=shape).astype(dtype) for shape in ((5, 4), (5,), (3, 5), (3,))]
    x = ("constant", rng.normal(size=(6, 4)).astype(dtype))
    target = (
        "constant",
        rng.integers(0, 3, 6) if loss == "cross_entropy" else rng.normal(size=(6, 3)).astype(dtype),
    )
    steps = [
        Step("linear", [x, 0, 1]),
        Step(activation, [4]),
        Step("linear", [5, 2, 3]),
        Step(loss, [6, target]),
    ]
    assert compare(Program(leaves, steps, [7], FUNCTIONS)) == "the same"


# ── Layers and weights ────────────────────────────────────────────────────────────────────────────


def networks(dtype=np.float32):
    """The same layers, in microgd and in PyTorch, with different weights."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    mine = nn.Sequential(
        nn.Linear(5, 20, rng=rng, dtype=dtype), nn.Tanh(), nn.Linear(20, 3, rng=rng, dtype=dtype)
    )
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 20), torch.nn.Tanh(), torch.nn.Linear(20, 3))
    return mine, theirs.to(getattr(torch, np.dtype(dtype).name))


def described(state):
    return [
        (name, tuple(data.shape), str(data.dtype).removeprefix("torch."))
        for name, data in state.items()
    ]


@pytest.mark.parametrize("part", ["weight", "bias"])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 2000), (7, 1500), (784, 64)])
def test_linear_starts_distributed_as_in_pytorch(part, inputs, outputs):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layers = (
        [nn.Linear(inputs, outputs, rng=rng) for _ in range(4)],
        [torch.nn.Linear(inputs, outputs) for _ in range(4)],
    )
    mine = np.sort(np.concatenate([getattr(layer, part).data.ravel() for layer in layers[0]]))
    theirs = np.sort(
        np.concatenate([getattr(layer, part).detach().numpy().ravel() for layer in layers[1]])
    )
    # Kolmogorov-Smirnov: the largest distance between the two distribution functions. The bound has
    # a chance of 1 in 1,000.
    at = np.concatenate([mine, theirs])
    distance = np.abs(
        np.searchsorted(mine, at) / mine.size - np.searchsorted(theirs, at) / theirs.size
    ).max()
    assert distance < 1.95 * np.sqrt(2 / mine.size)


@every_dtype
def test_the_states_names_shapes_and_dtypes_are_pytorchs(dtype):
    mine, theirs = networks(dtype)
    assert described(mine.state_dict()) == described(theirs.state_dict())


def test_the_names_of_an_own_nested_module_are_pytorchs():
    def build(nn):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(2, 1, bias=False)
                self.body = nn.Sequential(
                    nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
                )

        return Net()

    assert list(build(nn).state_dict()) == list(build(torch.nn).state_dict())


@every_dtype
def test_pytorchs_weights_can_be_loaded_and_compute_the_same(dtype):
    mine, theirs = networks(dtype)
    mine.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(dtype)
    np.testing.assert_allclose(
        mine(x).data,
        theirs(torch.from_numpy(x)).detach().numpy(),
        rtol=0,
        atol=32 * np.finfo(dtype).eps,
    )


@every_dtype
@pytest.mark.parametrize("through", ["state_dict", "npz"])
def test_weights_go_to_pytorch_and_come_back_bit_for_bit(dtype, through, tmp_path):
    model, theirs = networks(dtype)
    state = model.state_dict()
    if through == "npz":
        model.save(tmp_path / "model.npz")
        with np.load(tmp_path / "model.npz") as arrays:
            state = dict(arrays)
    theirs.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    torch.save(theirs.state_dict(), tmp_path / "model.pt")
    back, _ = networks(dtype)
    back.load_state_dict({name: np.zeros_like(array) for name, array in state.items()})
    back.load_state_dict(torch.load(tmp_path / "model.pt"))
    for name, data in model.state_dict().items():
        np.testing.assert_array_equal(back.state_dict()[name], data, strict=True)
        np.testing.assert_array_equal(theirs.state_dict()[name].numpy(), data, strict=True)


def test_five_epochs_of_training_lead_where_pytorchs_do():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    model, theirs = networks(np.float64)
    theirs.load_state_dict({name: torch.tensor(data) for name, data in model.state_dict().items()})
    ours, other = (
        optim.SGD(model.parameters(), 0.1, 0.9),
        torch.optim.SGD(theirs.parameters(), 0.1, 0.9),
    )
    for epoch in train.fit(model, nn.cross_entropy, ours, x, y, epochs=5, batch_size=60, rng=rng):
        other.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        other.step()
        np.testing.assert_allclose(epoch.loss, loss.item(), rtol=1e-12)
