"""What `draw` shows: boxes, sockets and edges, compared with what the engine computes."""

import operator
import re
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered import SPACE, Rendered, needs_program, value
from ten_graphs import MLP, TEN
from test_graphs import LEAVES, build, recipes

from microgd import Value, draw, nn, no_grad, operation, operations, optim
from microgd.graph import Graph
from microgd.pictures import text
from microgd.pictures.markup import LOOKS

pytestmark = needs_program


def expression():
    a = Value(2.0, name="a")
    b = Value(-3.0, name="b")
    c = Value(10.0, name="c")
    f = Value(-2.0, name="f")
    out = (a * b + c) * f
    out.name = "L"
    return out


def network(sizes=(3, 4, 2), activation=nn.ReLU, seed=0):
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, rng=rng, dtype=np.float64), activation()]
    return nn.Sequential(*layers[:-1])


def numbers(grid):
    return [value(cell) for cell in grid]


# ── What a reverse pass sends along each edge ─────────────────────────────────────────────────────


@settings(max_examples=150, deadline=None, derandomize=True)
@given(recipes())
def test_contributions_of_any_graph_add_up_to_the_gradients_that_backward_stores(steps):
    out = build(steps, [Value(x) for x in LEAVES])
    graph = Graph(out)
    graph.go_back()
    so_far = {}
    for (result, position), c in graph.contributions.items():
        assert (c.result, c.position) == (result, position)
        assert c.result.inputs[c.position] is c.operand
        assert (c.before is None) == (c.operand not in so_far)
        so_far[c.operand] = c.share if c.before is None else c.before + c.share
        np.testing.assert_array_equal(c.total, so_far[c.operand])
        # The gradient is complete before it is passed on.
        np.testing.assert_array_equal(c.upstream, graph.gradient[c.result])
        if c.slope is not None:
            np.testing.assert_allclose(c.share, c.upstream * c.slope, rtol=1e-12)
    for x, shares in graph.shares.items():
        if x is not out:
            # (The sum of Python 3.12 and later compensates for rounding.)
            added = reduce(operator.add, shares)
            np.testing.assert_array_equal(added, graph.gradient[x])
    out.backward()
    for x, total in graph.gradient.items():
        np.testing.assert_array_equal(x.grad, total)


def test_steps_are_in_the_order_of_recording_and_hold_what_the_operands_held_then():
    a = Value(2.0)
    first = a * 3
    second = a + first
    a.data = 7.0
    graph = Graph(second * first)
    assert [step.op for step in graph.steps] == ["multiply", "add", "multiply"]
    assert [step.saved for step in graph.steps] == [(2.0, 3.0), (2.0, 6.0), (8.0, 6.0)]
    assert list(graph.moved) == [a]
    assert graph.held[a] == [2.0]


def test_the_local_derivatives_of_several_steps_are_the_chain_rule_within_them():
    a, b = Value(2.0), Value(3.0)
    product = a * b
    total = product + a
    out = total.tanh()
    graph = Graph(out * 5.0)
    slope = 1 - np.tanh(8.0) ** 2
    derivatives = graph.local_derivatives(out, [product, total, out])
    assert derivatives[product, 0] == pytest.approx(3.0 * slope)
    assert derivatives[product, 1] == pytest.approx(2.0 * slope)
    assert derivatives[total, 1] == pytest.approx(slope)
    assert derivatives[total, 0] == derivatives[total, 1]


# ── A picture says what the engine computes ───────────────────────────────────────────────────────


def is_near(shown, x, digits=4):
    """Whether a text is the number, rounded to so many digits."""
    return value(shown) == pytest.approx(float(x), rel=6 * 10.0**-digits, nan_ok=True)


def assert_grid(cells, head, x):
    """That the cells of a grid are an array's numbers, up to half a unit of the last decimal."""
    power = re.search("10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)$", head)
    exponent = power[1].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")) if power else "0"
    matrix = np.reshape(x, (-1, np.shape(x)[-1]))
    if "…" in cells:  # the corners
        row = matrix[0]
        before = cells[: cells.index("…")]
        pairs = list(zip(before, row, strict=False))
        assert len(pairs) == 2
    else:
        pairs = list(zip(cells, matrix.ravel(), strict=True))
    for shown, number in pairs:
        decimals = len(shown.partition(".")[2])
        half = 0.501 * 10.0 ** (int(exponent) - decimals)
        assert value(shown) * 10.0 ** int(exponent) == pytest.approx(number, abs=half, rel=1e-9)


def terms_of(x, names, uses):
    """The operands that lead to a box: those of the sums without a name are its own."""
    terms = []
    for position, operand in enumerate(x.inputs):
        if isinstance(operand, Value):
            is_part = (
                x.op == operand.op == "add"
                and uses[operand] == 1
                and operand not in names
                and operand.shape == x.shape
            )
            terms += terms_of(operand, names, uses) if is_part else [(x, position)]
        elif np.ndim(operand):
            terms.append((x, position))
    return terms


def assert_shows(shown, out, names):
    """That a picture of numbers and arrays, read back, is what the engine says of the graph.

    The picture is walked from the box of the result, and the graph beside it.
    """
    graph = Graph(out)
    graph.go_back()
    uses = {}
    for step in graph.steps:
        for x in step.inputs:
            if isinstance(x, Value):
                uses[x] = uses.get(x, 0) + 1
    sources = {(head, socket): tail for tail, head, socket in shown.edges}
    assert len(sources) == len(shown.edges)
    (output,) = [key for key, box in shown.boxes.items() if box.look == "output"]
    key_of = {out: output}
    waiting = [out]
    while waiting:
        x = waiting.pop()
        box = shown.boxes[key_of[x]]
        if x in names:
            assert box.title.split(" = ")[0] == names[x]
        total = graph.gradient[x]
        if x.shape:
            heads = [text for kind, text in box.texts if kind in ("note", "head", "grad_head")]
            assert heads[0].startswith(str(x.shape))
            head_of_grad = next(text for text in heads if text.startswith("grad"))
            data, grad = box.grids
            assert_grid(data, heads[0], x.data)
            assert_grid(grad, head_of_grad, total)
        else:
            assert is_near(box.lines[0], x.data)
            (line,) = [line for line in box.lines if line.startswith("grad ")]
            assert is_near(line.removeprefix("grad "), total)
        shares = [
            graph.contributions[step, i].share
            for step in graph.steps
            for i, operand in enumerate(step.inputs)
            if operand is x
        ]
        sums = [line for line in box.lines if line.startswith(("= ", "the sum of "))]
        assert len(sums) == (len(shares) > 1)
        if sums and sums[0].startswith("= "):
            written = [part.strip("()") for part in sums[0].removeprefix("= ").split(" + ")]
            assert all(map(is_near, written, shares))
            assert len(written) == len(shares)
        elif sums:
            assert sums[0] == f"the sum of {len(shares)} shares"
        terms = terms_of(x, names, uses)
        assert len(box.sockets) == len(terms)
        for socket, (step, position) in enumerate(terms):
            operand = step.inputs[position]
            c = graph.contributions[step, position]
            assert_socket(box.sockets[socket], c)
            source = sources.pop((key_of[x], socket))
            if operand not in key_of:
                assert source not in key_of.values()
                key_of[operand] = source
                waiting.append(operand)
            assert key_of[operand] == source
    assert not sources
    assert sorted(key_of.values()) == sorted(shown.boxes)


def assert_socket(text, c):
    rule, arrow, share = text.rpartition("→ ")
    if c.slope is not None:
        assert arrow
        slope = re.fullmatch(r"× (\S+) ", rule)
        assert slope, text
        assert is_near(slope[1], c.slope)
        assert is_near(share, c.share)
    elif np.ndim(c.share):
        assert text
        assert "→" not in text or share.startswith(("[", "size"))
    else:
        assert is_near(share, c.share)


@pytest.mark.parametrize("program", ["dot"])
def test_a_random_graph_read_back_from_its_picture_is_what_the_engine_computed(program, size):
    @settings(max_examples=size(300, 10_000), deadline=None, derandomize=True)
    @given(recipes(), st.sets(st.integers(0, 40)))
    def read_back(steps, unnamed):
        leaves = [Value(x) for x in LEAVES]
        out = build(steps, leaves)
        graph = Graph(out)
        values = [*graph.held]
        names = {x: f"n{i}" for i, x in enumerate(values) if i not in unnamed}
        out.backward()
        picture = draw(out, names={name: x for x, name in names.items()}, compact=False)
        assert_shows(Rendered(picture), out, names)

    read_back()


LEAF_NUMBERS = [0.7, -1.3, 0.4, 2.1]
ON_NUMBERS = [
    lambda x, y: x * y,
    lambda x, y: x + y,
    lambda x, y: x * 2.0 + y,
    lambda x, y: x - y,
    lambda x, y: (x * y + x).tanh(),
    lambda x, y: (x + y).relu(),
    lambda x, y: x.sigmoid(),
    lambda x, y: x * 0.5 - 1.0,
]


@st.composite
def compact_recipes(draw):
    """Sums of products with activations, of few leaves."""
    count = draw(st.integers(3, 12))
    steps = []
    for i in range(len(LEAF_NUMBERS), len(LEAF_NUMBERS) + count):
        operands = draw(st.tuples(*2 * [st.integers(0, i - 1)]))
        steps.append((draw(st.sampled_from(ON_NUMBERS)), operands))
    return steps


@pytest.mark.parametrize("form", ["compact"])
def test_in_a_random_compact_picture_slope_times_gradient_of_the_box_is_the_gradient(form, size):
    @settings(max_examples=size(150, 5000), deadline=None, derandomize=True)
    @given(compact_recipes())
    def read_back(steps):
        values = [Value(x) for x in LEAF_NUMBERS]
        for function, (i, j) in steps:
            values.append(function(values[i], values[j]))
        out = values[-1] + values[-2]
        graph = Graph(out)
        leaves = {f"n{i}": x for i, x in enumerate(graph.held) if not x.op}
        out.backward()
        shown = Rendered(draw(out, names=leaves, compact=True))
        seen, shares, arrived = set(), {}, {}
        for key, box in shown.boxes.items():
            rows = rows_of(box)
            if box.title == "used several times":
                for _, name, data, grad in rows:
                    seen.add(name)
                    assert is_near(data, leaves[name].data, 3)
                    assert is_near(grad, leaves[name].grad, 3)
                continue
            if box.look == "leaf":
                seen.add(box.title)
                x = leaves[box.title]
                assert is_near(box.lines[0], x.data)
                assert is_near(box.lines[1].removeprefix("grad "), x.grad)
                continue
            gradient = gradient_in(box)
            for slope, name, data, grad in rows:
                assert is_near(data, leaves[name].data, 3)
                if "→" in grad:  # a share of several
                    parts = shares.setdefault(name, [])
                    parts.append(value(grad.removeprefix("→ ")))
                else:
                    seen.add(name)
                    assert is_near(grad, leaves[name].grad, 3)
                share = value(grad.removeprefix("→ "))
                assert value(slope) * gradient == pytest.approx(share, rel=0.02, abs=1e-12)
            for tail, head, i in shown.edges:
                if head == key:
                    factor = re.match(r"(?:.*: )?× (\S+)", box.sockets[i])
                    part = value(factor[1]) * gradient if factor else value(box.sockets[i][2:])
                    arrived.setdefault(tail, []).append(part)
        assert seen == set(leaves)
        for name, parts in shares.items():
            assert_sum(parts, leaves[name].grad)
        for key, parts in arrived.items():
            assert_sum(parts, gradient_in(shown.boxes[key]))

    read_back()


def gradient_in(box):
    (line,) = [line for line in box.lines if line.startswith("grad ")]
    return value(line.removeprefix("grad "))


def assert_sum(parts, total):
    """That numbers rounded to three digits add up to this."""
    assert sum(parts) == pytest.approx(total, abs=0.02 * sum(map(abs, parts)) + 1e-12)


def rows_of(box):
    """The rows of leaves in a box, each slope (or ""), name, data and gradient (or "").

    (The kinds "terms" and "row_grad" look the same.)
    """
    return [row for _, rows in groups_of(box) for row in rows]


def groups_of(box):
    """The rows of a box below each of its results, which are a name, data and gradient.

    Rows without a result stand below None.
    """
    groups = [(None, [])]
    kinds = [kind for kind, _ in box.texts]
    texts = [shown.strip(SPACE) for _, shown in box.texts]
    for i, kind in enumerate(kinds):
        if kinds[i : i + 3] == ["result", "result", "socket"]:  # (as large as a socket's text)
            groups.append((texts[i : i + 3], []))
        elif kind == "row" and kinds[i + 1] == "row":
            assert kinds[i + 2] == "terms"
            # What stands before it is its slope, or the gradient of the row above.
            is_after_a_row = i > 1 and kinds[i - 2] == "row"
            has_slope = i > 0 and kinds[i - 1] == "terms" and not is_after_a_row
            slope = texts[i - 1].removeprefix("× ") if has_slope else ""
            groups[-1][1].append([slope, *texts[i : i + 3]])
    return [group for group in groups if group[0] or group[1]]


# ── Boxes, sockets and edges ──────────────────────────────────────────────────────────────────────


def test_before_backward_a_picture_shows_the_forward_pass_alone():
    shown = Rendered(draw(expression()))
    assert shown.box("a").lines == ["2"]
    assert shown.box("L").lines == ["−8"]
    assert {socket for box in shown.boxes.values() for socket in box.sockets} == {""}
    assert not any("Shaded" in line for line in shown.caption)


def test_a_box_is_a_value_with_its_operation_and_its_sockets_show_what_flows_back():
    out = expression()
    out.backward()
    shown = Rendered(draw(out))
    assert sorted(shown.titles()) == [
        "L = (a × b + c) × f",
        "a",
        "a × b",
        "a × b + c",
        "b",
        "c",
        "f",
    ]
    assert shown.box("a").lines == ["2", "grad 6"]
    assert shown.box("f").lines == ["−2", "grad 4"]
    assert shown.box("a × b").sockets == ["× −3 → 6", "× 2 → −4"]
    assert shown.box("a × b + c").sockets == ["× 1 → −2", "× 1 → −2"]
    assert shown.box("L").sockets == ["× −2 → −2", "× 4 → 4"]
    assert shown.sockets_of("a") == ["× −3 → 6"]
    assert shown.sockets_of("b") == ["× 2 → −4"]
    assert shown.box("L").lines == ["−8", "grad 1"]
    assert any("× local derivative → share" in line for line in shown.caption)


def test_a_value_used_three_times_shows_three_shares_and_their_sum_on_a_line_of_its_own():
    x = Value(4.0, name="x")
    out = x * x + 3 * x
    out.backward()
    shown = Rendered(draw(out))
    assert shown.box("x").lines[:2] == ["4", "grad 11"]
    (line,) = shown.box("x").lines[2:]
    assert line.startswith("= ")
    assert sorted(line[2:].split(" + ")) == ["3", "4", "4"]
    assert shown.sockets_of("x") == ["× 3 → 3", "× 4 → 4", "× 4 → 4"]


def test_a_negative_share_stands_in_brackets():
    x = Value(4.0, name="x")
    out = 5 * x - 2 * x
    out.backward()
    (line,) = Rendered(draw(out)).box("x").lines[2:]
    assert sorted(line[2:].split(" + ")) == ["(−2)", "5"]


def test_more_uses_than_fit_are_counted():
    x = Value(2.0, name="x")
    out = x + x + x + x
    out.backward()
    assert Rendered(draw(out)).box("x").lines == ["2", "grad 4", "= 1 + 1 + 1 + 1"]
    x.grad = None
    out = x + x + x + x + x
    out.backward()
    assert Rendered(draw(out)).box("x").lines == ["2", "grad 5", "the sum of 5 shares"]


def test_leaves_constant_arrays_computed_values_and_the_output_look_different():
    a = Value(2.0, name="a")
    out = (a * np.array([3.0, 4.0])).sum()
    source = draw(out).source
    shown = Rendered(draw(out))
    assert [box.look for box in map(shown.box, ["a", "a × …"])] == ["leaf", "computed"]
    assert [len(shown.of(look)) for look in ("constant", "output")] == [1, 1]
    nodes = re.findall(r'color="(\S+)" bgcolor="(\S+)"[^>]*>.*class=(\w+)', source)
    backgrounds = {look: background for _, background, look in nodes}
    assert len({backgrounds[look] for look in ("leaf", "computed", "output")}) == 3
    assert re.search(r"style=.rounded,dashed.", source)  # the constant's border
    assert source.count("style=dashed") == 1  # its edge


def test_operands_are_drawn_in_their_order():
    a, b = Value(1.0, name="a"), Value(2.0, name="b")
    assert [box.title for box in Rendered(draw(a - b)).sources_of("a − b")] == ["a", "b"]
    assert [box.title for box in Rendered(draw(b - a)).sources_of("b − a")] == ["b", "a"]


@pytest.mark.parametrize(("direction", "axis"), [("LR", "y"), ("TB", "x")])
def test_sockets_stand_in_the_order_of_operands(direction, axis):
    a, b = Value(1.0, name="a"), Value(20.0, name="b")
    out = b * a
    out.backward()
    shown = Rendered(draw(out, direction=direction))
    drawn = shown.root.findall(".//{http://www.w3.org/2000/svg}text")
    place = {text.text: float(text.get(axis)) for text in drawn}
    assert place["× 1 → 1"] < place["× 20 → 20"]  # b gets a = 1; a gets b = 20


def test_a_leaf_alone_is_a_picture():
    (box,) = Rendered(draw(Value(3.0, name="x"))).boxes.values()
    assert (box.title, box.lines, box.look) == ("x", ["3"], "output")


def test_tensors_are_grids_with_their_gradients_and_sockets_show_rules():
    x = Value([1.0, -2.5], name="x")
    w = Value(np.linspace(-1, 1, 6).reshape(2, 3), name="w")
    out = (x @ w).sum()
    out.backward()
    shown = Rendered(draw(out))
    assert shown.box("x").lines == ["(2,)", "grad"]
    assert shown.box("x").grids == [["1.00", "−2.50"], ["−1.80", "1.80"]]
    assert shown.box("w").lines == ["(2, 3)", "grad"]
    assert shown.box("w").grids[1] == ["1.00", "1.00", "1.00", "−2.50", "−2.50", "−2.50"]
    assert shown.box("sum(x @ w)").sockets == ["g, to each"]
    assert any("g is the gradient of the box" in line for line in shown.caption)


def test_a_number_that_arrays_use_has_the_rule_and_its_share():
    s = Value(2.0, name="s")
    x = Value([1.0, 2.0], name="x")
    out = (x * s).sum()
    out.backward()
    assert Rendered(draw(out)).sockets_of("s") == ["sum(g × x) → 3"]


def test_a_scalar_constant_stands_in_the_title_and_has_no_box():
    a = Value(1.0, name="a")
    out = a * 3.0
    out.backward()
    shown = Rendered(draw(out))
    assert shown.titles() == ["a × 3", "a"]
    assert shown.box("a × 3").sockets == ["× 3 → 3"]


def test_an_array_that_is_used_twice_is_one_constant():
    data = np.array([1.0, 2.0])
    a = Value(1.0)
    shown = Rendered(draw(((a * data + data) * 2.0 + 2.0).sum()))
    assert [box.grids for box in shown.of("constant")] == [[["1", "2"]]]
    (key,) = [key for key, box in shown.boxes.items() if box.look == "constant"]
    assert [tail for tail, _, _ in shown.edges].count(key) == 2


def test_a_constant_gets_nothing():
    a = Value([1.0, 1.0], name="a")
    data = np.array([1.0, 2.0])
    out = (a * data).sum()
    out.backward()
    assert Rendered(draw(out, names={"data": data})).sockets_of("data") == ["—"]


def test_constants_can_be_left_out():
    a = Value(1.0, name="a")
    out = (a * 3.0).sum() + np.ones(3)
    shown = Rendered(draw(out, constants=False))
    assert shown.of("constant") == []
    assert len(shown.edges) == 3
    assert len(Rendered(draw(out)).of("constant")) == 1


def test_gradients_can_be_left_out():
    out = expression()
    out.backward()
    again = expression()
    assert draw(out, gradients=False).source == draw(again).source
    assert draw(out).source != draw(again).source


def test_an_operation_of_ones_own_is_drawn_at_once(registry):
    @operation(lambda g, out, x: g * 3 * x * x)
    def cube(x):
        return x * x * x

    x = Value(2.0, name="x")
    out = cube(x)
    out.backward()
    shown = Rendered(draw(out))
    assert shown.sockets_of("x") == ["× 12 → 12"]
    assert shown.titles("output") == ["cube(x)"]


def test_where_a_rule_selects_the_socket_shows_no_product_that_is_not_the_share():
    x = Value(-1.0, name="x")
    out = x.relu() * np.inf
    out.backward()
    assert Rendered(draw(out)).sockets_of("x") in (["→ 0"], ["× 0 → 0"], ["× 0 → nan"])


# ── Sums ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_sum_without_a_name_is_one_box_with_a_socket_for_each_term_in_order():
    a, b, c, d = (Value(float(i), name=name) for i, name in enumerate("abcd"))
    out = (a + (b + c)) + d
    out.backward()
    shown = Rendered(draw(out))
    assert shown.titles("output") == ["a + b + c + d"]
    assert [box.title for box in shown.sources_of("a + b + c + d")] == ["a", "b", "c", "d"]
    assert shown.box("a + b + c + d").sockets == ["× 1 → 1"] * 4
    assert len(shown.boxes) == 5


def test_a_sum_with_a_name_is_a_box_of_its_own():
    a, b, c = (Value(float(i), name=name) for i, name in enumerate("abc"))
    s = a + b
    shown = Rendered(draw(s + c, names={"s": s}))
    assert sorted(shown.titles()) == ["a", "b", "c", "s + c", "s = a + b"]


def test_a_sum_that_is_used_twice_is_a_box_of_its_own():
    a, b, c = (Value(float(i), name=name) for i, name in enumerate("abc"))
    s = a + b
    shown = Rendered(draw((s + c) * s))
    assert sorted(shown.titles()) == ["(a + b + c) × (a + b)", "a", "a + b", "a + b + c", "b", "c"]


def test_a_sum_that_is_broadcast_is_a_box_of_its_own():
    a, b = Value(1.0, name="a"), Value(2.0, name="b")
    v = Value([1.0, 2.0], name="v")
    shown = Rendered(draw(a + b + v))
    assert sorted(shown.titles()) == ["a", "a + b", "a + b + v", "b", "v"]


def test_a_term_that_is_used_twice_in_a_sum_has_two_sockets():
    a, b = Value(1.0, name="a"), Value(2.0, name="b")
    out = a + b + a
    out.backward()
    shown = Rendered(draw(out))
    assert [box.title for box in shown.sources_of("a + b + a")] == ["a", "b", "a"]
    assert shown.box("a").lines == ["1", "grad 2", "= 1 + 1"]


def test_a_constant_in_a_sum_stands_in_its_title_without_a_socket():
    a, b = Value(1.0, name="a"), Value(2.0, name="b")
    shown = Rendered(draw(a + 2.0 + b + (-3.0)))
    assert len(shown.box("a + 2 + b + (−3)").sockets) == 2


def test_a_long_sum_is_a_sigma():
    terms = [Value(float(i), name=f"t{i}") for i in range(7)]
    six, seven = sum(terms[1:6], terms[0]), sum(terms[1:], terms[0])
    assert Rendered(draw(six)).titles("output") == ["t0 + t1 + t2 + t3 + t4 + t5"]
    shown = Rendered(draw(seven))
    assert shown.titles("output") == ["Σ"]
    assert [box.title for box in shown.sources_of("Σ")] == [f"t{i}" for i in range(7)]


# ── The direction ─────────────────────────────────────────────────────────────────────────────────


def direction_of(value, **options):
    return re.search("rankdir=(..)", draw(value, **options).source)[1]


def test_a_picture_can_be_laid_out_from_top_to_bottom_or_from_left_to_right():
    assert direction_of(expression(), direction="TB") == "TB"
    assert direction_of(expression()) == "LR"
    long = expression().tanh().tanh().tanh()
    assert direction_of(long) == "TB"
    assert direction_of(long, direction="LR") == "LR"


def test_by_default_numbers_and_layers_run_to_the_right_and_what_is_long_or_wide_downwards():
    model = network()
    out = model(np.ones((1, 3)))
    assert direction_of(out) == "TB"
    assert direction_of(out, model=model) == "TB"
    assert direction_of(out, model=model, depth=1) == "TB"
    loss, options = TEN["micrograd_layers"]()
    assert direction_of(loss, **options) == "LR"
    assert direction_of(Value([1.0, 2.0]).sum()) == "TB"
    assert direction_of(expression().tanh().tanh().tanh(), compact=True) == "LR"


# ── Stored gradients, changed leaves ──────────────────────────────────────────────────────────────


def test_where_several_passes_added_up_the_box_says_both():
    out = expression()
    out.backward()
    out.backward()
    shown = Rendered(draw(out))
    assert shown.box("a").lines == ["2", "grad 6", "stored grad 12"]
    assert shown.box("L").lines == ["−8", "grad 1"]


def test_a_gradient_that_was_cleared_is_said_to_be():
    a = Value(2.0, name="a")
    out = a * 3.0
    out.backward()
    a.grad = None
    assert Rendered(draw(out)).box("a").lines == ["2", "grad 3", "stored grad None"]


def test_a_gradient_stored_by_another_graph_is_not_taken_for_this_ones():
    a = Value(2.0, name="a")
    (a * 5.0).backward()
    assert Rendered(draw(a * 3.0)).box("a").lines == ["2", "stored grad 5"]


def test_a_pass_that_began_with_another_gradient_is_drawn_as_it_was():
    a = Value([1.0, 2.0], name="a")
    out = a * 3.0
    out.backward(np.array([1.0, -1.0]))
    assert Rendered(draw(out)).box("a").grids == [["1", "2"], ["3", "−3"]]


def test_a_leaf_that_has_moved_since_is_shown_as_it_was_and_as_it_is():
    a, b = Value(2.0, name="a"), Value(3.0, name="b")
    out = a * b
    out.backward()
    a.data -= 0.5
    shown = Rendered(draw(out))
    assert shown.box("a").lines == ["2", "now 1.5", "grad 3"]
    assert shown.box("b").lines == ["3", "grad 2"]  # d (a * b) / db, with the recorded a
    assert " ".join(shown.caption).endswith(
        "Changed since this was computed, and shown as of then: a"
    )


def test_arrays_that_have_moved_are_shown_as_they_were_and_as_they_are():
    w, b = Value([1.0, 2.0], name="w"), Value([1.0, 2.0], name="b")
    out = (w * 3.0 + b).sum()
    out.backward()
    w.data -= 0.5
    b.data = [1.0, 2.0]
    shown = Rendered(draw(out))
    assert shown.box("w").grids == [["1", "2"], ["3", "3"]]
    assert "now (2,) [0.5, 1.5]" in shown.box("w").lines
    assert shown.box("b").grids == [["1", "2"], ["1", "1"]]
    assert shown.box("b").lines == ["(2,)", "grad"]


def test_a_leaf_that_holds_what_another_has_moved_to_has_not_moved():
    a, b = Value(2.0, name="a"), Value(5.0, name="b")
    out = a * b
    a.data = 5.0
    shown = Rendered(draw(out))
    assert [shown.box("a").lines, shown.box("b").lines] == [["2", "now 5"], ["5"]]


def test_a_network_is_drawn_after_a_step_of_training():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loss = nn.mse_loss(model(np.ones((2, 3))), np.zeros((2, 2)))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    shown = Rendered(draw(loss, model=model))
    assert len(shown.of("leaf")) == 4
    for box in shown.of("leaf"):
        assert box.lines[-1] == "stored grad None"
        assert any(line.startswith("now ") for line in box.lines)
    said = " ".join(shown.caption)
    assert "Changed since this was computed" in said
    assert said.endswith("0.weight, 0.bias, 2.weight, 2.bias")


def test_drawing_changes_nothing():
    model = network()
    loss = nn.mse_loss(model(np.ones((2, 3))), np.zeros((2, 2)))
    loss.backward()
    arrays = [(p._numbers, p.grad, p.grad.copy()) for p in model.parameters()]
    for options in ({}, {"depth": 1}, {"compact": True}, {"highlight": [loss]}):
        Rendered(draw(loss, model=model, **options))
    for p, (held, grad, numbers) in zip(model.parameters(), arrays, strict=True):
        assert p._numbers is held
        assert p.grad is grad
        np.testing.assert_array_equal(grad, numbers)
        assert p.name is None


def test_constants_are_shown_as_they_were_recorded():
    a, c = Value([1.0, 1.0]), np.array([1, 2])
    out = (a * c).sum()
    c[:] = 100
    assert Rendered(draw(out, names={"c": c})).box("c").grids == [["1", "2"]]


def test_a_leaf_that_changed_between_two_uses_shows_what_each_saw():
    x = Value(2.0, name="x")
    y = x * 1.0
    x.data = 3.0
    z = y + x * x
    x.data = 5.0
    assert Rendered(draw(z)).box("x").lines == ["2", "then 3", "now 5"]


def test_small_gradients_are_told_apart_too():
    x = Value(1.0, name="x")
    out = x * 1e-9
    out.backward()
    out.backward()
    assert Rendered(draw(out)).box("x").lines == ["1", "grad 1e−9", "stored grad 2e−9"]


# ── The compact form ──────────────────────────────────────────────────────────────────────────────


def test_microgradss_network_of_41_parameters_is_10_boxes():
    loss, options = TEN["micrograd"]()
    shown = Rendered(draw(loss, **options))
    assert len(shown.boxes) == 10
    assert sum(len(rows_of(box)) for box in shown.boxes.values()) == 41
    assert shown.of("leaf") == []
    assert len(Rendered(draw(loss, **options, compact=False)).boxes) > 41


def test_with_a_box_for_each_neuron_the_rows_have_slopes_too():
    loss, options = TEN["micrograd_neurons"]()
    shown = Rendered(draw(loss, **options))
    rows = 0
    for box in shown.of("layer"):
        (line,) = [line for line in box.lines if line.startswith("grad ")]
        gradient = value(line.removeprefix("grad "))
        for slope, _, _, grad in rows_of(box):
            assert value(slope) * gradient == pytest.approx(value(grad), rel=0.02)
            rows += 1
    assert rows == 41


def test_the_rows_of_a_neuron_have_its_parameters_with_their_slopes_and_gradients():
    loss, options = TEN["micrograd"]()
    model = options["names"]["model"]
    neuron = model.layers[2].neurons[0]
    shown = Rendered(draw(loss, **options))
    (box,) = [box for box in shown.boxes.values() if "model.layers.2.neurons.0" in box.lines]
    rows = rows_of(box)
    held = {name: (value(slope), value(data), value(grad)) for slope, name, data, grad in rows}
    assert list(held) == ["b", "w.0", "w.1", "w.2", "w.3"]
    (line,) = [line for line in box.lines if line.startswith("grad ")]
    gradient = value(line.removeprefix("grad "))
    for name, p in [("b", neuron.b), *((f"w.{i}", w) for i, w in enumerate(neuron.w))]:
        slope, data, grad = held[name]
        assert (data, grad) == pytest.approx((p.data, p.grad), rel=6e-3)
        assert slope * gradient == pytest.approx(p.grad, rel=0.02)


def test_above_40_boxes_a_picture_is_compact_by_default():
    def chain(length):
        out = Value(0.5)
        for i in range(length):
            out = (out * Value(1.0 + i) + Value(0.5)).tanh()
        return out

    for length, is_compact in ((7, False), (8, True)):  # of 36 and of 41 boxes
        count = len(Rendered(draw(chain(length))).boxes)
        assert count == len(Rendered(draw(chain(length), compact=is_compact)).boxes)
        assert count != len(Rendered(draw(chain(length), compact=not is_compact)).boxes)


def test_a_leaf_that_several_sums_use_is_a_row_of_each_and_stands_in_a_table_with_its_gradient():
    a, b, c, d = (Value(i / 10, name=name) for i, name in enumerate("abcd", 1))
    p = (a * b + c).tanh()
    out = (a * d + p).tanh()
    out.backward()
    shown = Rendered(draw(out, names={"p": p}, compact=True))
    (table,) = shown.of("leaf")
    assert table.title == "used several times"
    ((slope, name, data, grad),) = rows_of(table)
    assert (slope, name, data) == ("", "a", "0.1")
    assert is_near(grad, a.grad, 3)
    shares = []
    for box in (shown.box("p"), *shown.of("output")):
        (row,) = [row for row in rows_of(box) if row[1] == "a"]
        assert row[3].startswith("→ ")
        shares.append(value(row[3].removeprefix("→ ")))
    assert sum(shares) == pytest.approx(a.grad, rel=6e-3)


def test_a_leaf_that_one_sum_uses_twice_is_one_row_with_the_sum_of_its_slopes():
    a, b, c = (Value(float(i) / 10, name=name) for i, name in enumerate("abc", 1))
    out = (a * b + a * c).tanh()
    out.backward()
    (row,) = [
        row for row in rows_of(*Rendered(draw(out, compact=True)).of("output")) if row[1] == "a"
    ]
    assert value(row[0]) == pytest.approx(a.grad, rel=6e-3)


def test_a_leaf_that_something_else_than_a_sum_uses_keeps_its_box_in_the_compact_form():
    a, b, c = (Value(float(i), name=name) for i, name in enumerate("abc", 1))
    shown = Rendered(draw((a * b + c).tanh() * a.exp(), compact=True))
    assert shown.titles("leaf") == ["a"]


def test_a_named_or_shared_value_is_not_swallowed_in_the_compact_form():
    a, b, c = (Value(float(i), name=name) for i, name in enumerate("abc", 1))
    p, s = a * b, a + c
    out = (p + s * b + s).tanh()
    shown = Rendered(draw(out, names={"p": p}, compact=True))
    assert "p = a × b" in shown.titles()
    assert len(shown.of("computed")) == 2  # p, and the sum that is used twice


# ── Networks ──────────────────────────────────────────────────────────────────────────────────────


def test_a_models_layers_are_frames_with_their_activations():
    model = network((3, 4, 2))
    loss = nn.mse_loss(model(np.ones((5, 3))), np.zeros((5, 2)))
    shown = Rendered(draw(loss, model=model))
    assert shown.frames == ["0 Linear(3, 4) → 1 ReLU()", "2 Linear(4, 2)"]
    source = draw(loss, model=model).source
    first = source[source.index("subgraph") : source.rindex("subgraph")]
    assert ["0.weightᵀ + 0.bias" in first, "relu(" in first, "mean(" in first] == [
        True,
        True,
        False,
    ]
    out = draw(model(np.ones((1, 3))), model=model).source
    assert "class=output" in out[out.rindex("subgraph") : out.rindex("\t}")]


@pytest.mark.parametrize("depth", [None, 1])
def test_a_module_is_not_followed_by_an_activation_that_is_used_elsewhere(depth):
    class Network(nn.Module):
        def __init__(self):
            self.first, self.second, self.relu = nn.Linear(2, 3), nn.Linear(3, 1), nn.ReLU()

        def forward(self, x):
            return self.second(self.relu(self.first(x)))

    model = Network()
    shown = Rendered(draw(model(np.ones((4, 2))).sum(), model=model, depth=depth))
    assert (shown.frames or shown.titles("layer")) == [
        "first Linear(2, 3)",
        "second Linear(3, 1)",
    ]


def test_a_last_activation_belongs_to_the_model_and_the_loss_does_not():
    model = nn.Sequential(nn.Linear(2, 1), nn.Tanh())
    loss = nn.mse_loss(model(np.ones((3, 2))), np.zeros((3, 1)))
    shown = Rendered(draw(loss, model=model, depth=1))
    assert shown.titles("layer") == ["0 Linear(2, 1) → 1 Tanh()"]
    assert sorted(shown.titles("computed", "output")) == ["mean(…)", "… − …", "…²"]


def test_an_activation_in_forward_belongs_to_the_module_and_the_loss_does_not():
    class Bent(nn.Module):
        def __init__(self):
            self.weights, self.bias = Value(np.ones(3)), Value(0.0)

        def forward(self, x):
            return operations.tanh(x @ self.weights + self.bias)

    model = Bent()
    loss = nn.mse_loss(model(np.ones((4, 3))), np.zeros(4))
    shown = Rendered(draw(loss, model=model, depth=0))
    assert shown.titles("layer") == ["Bent"]
    assert sorted(shown.titles("computed", "output")) == ["mean(…)", "… − …", "…²"]


def test_a_residual_block_keeps_its_sum_and_the_graph_has_no_loop():
    class Block(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return x + self.inner(x).tanh()

    model = nn.Sequential(nn.Linear(3, 4), Block(), Block(), nn.Linear(4, 1))
    shown = Rendered(draw(model(np.ones((2, 3))).sum(), model=model, depth=1))
    assert shown.titles("layer") == ["0 Linear(3, 4)", "1 Block", "2 Block", "3 Linear(4, 1)"]
    assert shown.titles("computed", "output") == ["sum(…)"]
    layered = [(tail, head) for tail, head, _ in shown.edges if {tail[0], head[0]} == {"l"}]
    assert layered == [("l0", "l1"), ("l1", "l2"), ("l2", "l3")]


def test_the_network_with_13002_weights_fits_a_page_with_a_box_a_layer():
    model = network((784, 16, 16, 10))
    images, labels = np.random.default_rng(0).random((32, 784)), np.arange(32) % 10
    loss = nn.cross_entropy(model(images), labels)
    loss.backward()
    shown = Rendered(draw(loss, model=model, depth=1, names={"images": images}))
    assert shown.titles("layer") == [
        "0 Linear(784, 16) → 1 ReLU()",
        "2 Linear(16, 16) → 3 ReLU()",
        "4 Linear(16, 10)",
    ]
    first = shown.box("0 Linear(784, 16) → 1 ReLU()")
    weight, bias = list(model.parameters())[:2]
    for name, p, written in (("weight", weight, "(16, 784)"), ("bias", bias, "(16,)")):
        row = first.lines.index(name)
        assert first.lines[row + 1] == written
        size = np.linalg.norm(p.grad)
        assert is_near(first.lines[row + 2].removeprefix("size "), size)
    assert len(shown.boxes) == 6
    assert [box.title for box in shown.sources_of("0 Linear(784, 16) → 1 ReLU()")] == ["images"]
    assert shown.width < 1920  # 20 inches


def test_weights_that_are_transposed_first_are_still_the_layers():
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    loss = nn.mse_loss(model(np.ones((4, 2))), np.zeros((4, 1)))
    shown = Rendered(draw(loss, model=model, depth=1))
    assert shown.titles("layer") == [
        "0 Linear(2, 3, bias=False) → 1 ReLU()",
        "2 Linear(3, 1, bias=False)",
    ]


class Neuron(nn.Module):
    def __init__(self, inputs, rng, bent):
        self.w = [Value(rng.uniform(-1, 1)) for _ in range(inputs)]
        self.b, self.bent = Value(0.0), bent

    def forward(self, x):
        total = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return total.tanh() if self.bent else total


class Layer(nn.Module):
    def __init__(self, inputs, outputs, rng, bent):
        self.neurons = [Neuron(inputs, rng, bent) for _ in range(outputs)]

    def forward(self, x):
        return [neuron(x) for neuron in self.neurons]


class Scalars(nn.Module):
    """A network of scalar Values, neuron by neuron."""

    def __init__(self, rng):
        self.layers = [Layer(2, 3, rng, True), Layer(3, 1, rng, False)]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x[0]


@pytest.fixture
def scalars():
    rng = np.random.default_rng(0)
    model, x = Scalars(rng), rng.normal(size=(20, 2))
    loss = sum(((model(list(map(float, row))) - 1.0) ** 2 for row in x), 0.0) / 20
    loss.backward()
    return model, loss


def test_a_mini_batch_of_scalars_is_no_hairball(scalars):
    model, loss = scalars
    shown = Rendered(draw(loss, model=model, depth=1))
    assert len(shown.boxes) <= 6
    assert shown.titles("layer") == ["layers.0 Layer", "layers.1 Layer"]
    first, second = shown.of("layer")
    assert [line for line in first.lines if line.startswith("neurons.")] == [
        f"neurons.{i}.{p}" for i in range(3) for p in ("w.0", "w.1", "b")
    ]
    assert "out: 60 numbers" in first.lines
    assert "out: 20 numbers" in second.lines
    assert len([edge for edge in shown.edges if edge[:2] == ("l0", "l1")]) == 1


def test_depth_says_which_modules_are_boxes(scalars):
    model, loss = scalars
    count = [
        len(Rendered(draw(loss, model=model, depth=depth)).of("layer")) for depth in (0, 1, 2, 9)
    ]
    assert count == [1, 2, 4, 4]


def test_the_parameters_of_a_layer_are_rows_in_their_order_with_their_gradients():
    loss, options = TEN["micrograd_layers"]()
    model = options["model"]
    shown = Rendered(draw(loss, **options))
    assert shown.titles("layer") == ["layers.0 Layer", "layers.1 Layer", "layers.2 Layer"]
    for box, layer in zip(shown.of("layer"), model.layers, strict=True):
        named = dict(layer.named_parameters())
        names = []
        for result, rows in groups_of(box):
            module = f"{result[0].split(':')[0]}." if result else ""
            names += [f"{module}{name}" for _, name, _, _ in rows]
        assert names == list(named)
        for (slope, _, data, grad), p in zip(rows_of(box), named.values(), strict=True):
            assert slope
            assert is_near(data, p.data, 3)
            assert is_near(grad, p.grad, 3)


def test_below_each_result_of_a_layer_stand_the_parameters_that_get_their_gradients_from_it():
    loss, options = TEN["micrograd_layers"]()
    model = options["model"]
    shown = Rendered(draw(loss, **options))
    bent = [step for step in Graph(loss).steps if step.op == "tanh"]
    for number, outputs in ((0, bent[:4]), (1, bent[4:8])):
        groups = groups_of(shown.box(f"layers.{number} Layer"))
        names = [name for (name, _, _), _ in groups]
        assert names == ["neurons.0: out₁", "neurons.1: out₂", "neurons.2: out₃", "neurons.3: out₄"]
        neurons = model.layers[number].neurons
        for ((_, data, grad), rows), out, neuron in zip(groups, outputs, neurons, strict=True):
            assert (value(data), value(grad)) == pytest.approx((out.data, out.grad), rel=6e-3)
            parameters = [*neuron.w, neuron.b]
            for (slope, _, _, _), p in zip(rows, parameters, strict=True):
                assert value(slope) * value(grad) == pytest.approx(p.grad, rel=0.02)


def test_the_derivatives_of_a_layer_send_the_gradients_of_its_results_to_those_of_the_layer_before():
    loss, options = TEN["micrograd_layers"]()
    shown = Rendered(draw(loss, **options))
    bent = [step for step in Graph(loss).steps if step.op == "tanh"]
    first, second, out = (np.array([x.grad for x in xs]) for xs in (bent[:4], bent[4:8], bent[8:]))
    for number, before, after in ((1, first, second), (2, second, out)):
        box = shown.box(f"layers.{number} Layer")
        assert "d out / d in" in box.lines
        (cells,) = box.grids
        matrix = np.reshape(numbers(cells), (len(after), len(before)))
        assert after @ matrix == pytest.approx(before, abs=3e-3)


class Both(nn.Module):
    """Two numbers, made of three parameters; one of these is used for both."""

    def __init__(self):
        self.a, self.b, self.shared = Value(2.0), Value(3.0), Value(5.0)

    def forward(self, x):
        return x * self.a * self.shared, x * self.b + self.shared


def test_a_parameter_that_several_results_depend_on_has_a_share_from_each_and_their_sum():
    model = Both()
    first, second = model(Value(0.5, name="x"))
    loss = first * 7 + second * 11
    loss.backward()
    shown = Rendered(draw(loss, model=model, depth=0))
    groups = groups_of(shown.box("Both"))
    assert groups == [
        (["out₁", "5", "7"], [["2.5", "a", "2", "17.5"], ["1", "shared", "5", "→ 7"]]),
        (["out₂", "6.5", "11"], [["0.5", "b", "3", "5.5"], ["1", "shared", "5", "→ 11"]]),
        (["used several times", "", ""], [["", "shared", "5", "18"]]),
    ]


def test_a_result_that_another_result_uses_passes_nothing_on_twice():
    class Chain(nn.Module):
        def __init__(self):
            self.a, self.b = Value(2.0), Value(3.0)

        def forward(self, x):
            first = x * self.a
            return first, first * self.b

    model = Chain()
    first, second = model(5.0)
    loss = first * 7 + second * 11
    loss.backward()
    groups = groups_of(Rendered(draw(loss, model=model, depth=0)).box("Chain"))
    # d loss / d first = 7 + 11 × 3
    assert groups == [
        (["out₁", "10", "40"], [["5", "a", "2", "200"]]),
        (["out₂", "30", "11"], [["10", "b", "3", "110"]]),
    ]


def test_without_gradients_a_layer_of_several_results_shows_them_as_a_grid():
    loss, options = TEN["micrograd_layers"]()
    first = Rendered(draw(loss, **options, gradients=False)).box("layers.0 Layer")
    assert "out: 4 numbers" in first.lines
    (data,) = first.grids
    outputs = [step for step in Graph(loss).steps if step.op == "tanh"][:4]
    assert numbers(data) == pytest.approx([x.data for x in outputs], abs=6e-4)


def computed(rule, **arrays):
    """What a rule such as "δᵀ @ x" makes of these arrays."""
    code = rule.replace("ᵀ", ".T").replace("²", "**2").replace("×", "*").replace("−", "-")
    code = re.sub(r"g where (\w+) > 0", r"np.where(\1 > 0, g, 0)", code)
    return eval(code, {"np": np, "sum": np.sum, **arrays})


@pytest.mark.parametrize("activation", [None, nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_the_rows_of_a_layer_of_arrays_say_the_rules_of_their_gradients(activation):
    rng = np.random.default_rng(0)
    middle = [activation()] if activation else []
    model = nn.Sequential(nn.Linear(2, 3, rng=rng), *middle, nn.Linear(3, 1, rng=rng))
    x = rng.normal(size=(4, 2))
    loss = nn.mse_loss(model(x), np.ones((4, 1)))
    loss.backward()
    shown = Rendered(draw(loss, model=model, depth=1, names={"x": x}))
    graph = Graph(loss)
    linears = [step for step in graph.steps if step.op == "linear"]
    results = [linears[1].inputs[0], linears[1]]
    for box, out, came_in in zip(shown.of("layer"), results, (x, results[0].data), strict=True):
        arrays = {"g": out.grad, "out": out.data, "x": x}
        for line in box.lines:
            if line.startswith("δ = "):
                arrays["δ"] = computed(line.removeprefix("δ = "), **arrays)
        layer = model[0] if out is results[0] else model[-1]
        (weight, *_), (bias, *_) = rows_of(box)
        weight = weight.replace(" in", " came_in")
        assert computed(weight, came_in=came_in, **arrays) == pytest.approx(layer.weight.grad)
        assert computed(bias, **arrays) == pytest.approx(layer.bias.grad)
    assert any(line.startswith("δ = ") for line in shown.of("layer")[0].lines) == bool(activation)


def test_a_parameter_of_arrays_that_is_used_several_times_says_that_its_gradient_is_a_sum():
    model = nn.Linear(2, 2)
    out = model(model(np.ones((3, 2)))).sum()
    out.backward()
    (box,) = Rendered(draw(out, model=model, depth=0)).of("layer")
    assert [row[0] for row in rows_of(box)] == ["sum of 2 shares"] * 2


def test_a_row_has_no_rule_about_what_the_picture_does_not_show():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    loss = nn.mse_loss(model(np.ones((4, 2))), np.zeros((4, 1)))
    loss.backward()
    (box,) = Rendered(draw(loss, model=model, depth=0)).of("layer")
    assert [(slope, name) for slope, name, _, _ in rows_of(box)] == [
        ("", "0.weight"),
        ("", "0.bias"),
        ("", "2.weight"),
        ("sum(g, axis=0)", "2.bias"),
    ]


def test_a_layer_of_more_parameters_than_fit_says_how_many_and_the_size_of_their_gradient():
    model = MLP(np.random.default_rng(0))
    out = model([1.0, 2.0, 3.0])
    out.backward()
    (box,) = Rendered(draw(out, model=model, depth=0)).of("layer")
    size = np.linalg.norm([p.grad for p in model.parameters()])
    assert "41 parameters" in box.lines
    (line,) = [line for line in box.lines if line.startswith("grad size ")]
    assert is_near(line.removeprefix("grad size "), size)


def test_the_same_constants_are_one_box():
    loss, options = TEN["micrograd_neurons"]()
    shown = Rendered(draw(loss, **options))
    (box,) = shown.of("constant")
    assert box.lines == ["[2, 3, −1]"]
    (key,) = [key for key, box in shown.boxes.items() if box.look == "constant"]
    assert len([tail for tail, _, _ in shown.edges if tail == key]) == 4


def test_frames_are_nested_as_modules_are():
    model = Scalars(np.random.default_rng(0))
    shown = Rendered(draw(model([1.0, 2.0]), model=model))
    assert shown.frames == [
        "layers.0 Layer",
        *(f"neurons.{i} Neuron" for i in range(3)),
        "layers.1 Layer",
        "neurons.0 Neuron",
    ]


def test_a_model_that_is_one_module_is_one_frame():
    neuron = Neuron(2, np.random.default_rng(0), True)
    assert Rendered(draw(neuron([1.5, 2.5]), model=neuron)).frames == ["Neuron"]
    (box,) = Rendered(draw(neuron([1.5, 2.5]), model=neuron, depth=0)).of("constant")
    assert box.lines == ["[1.5, 2.5]"]


def test_the_output_of_a_model_is_that_of_its_last_layers_box_without_a_frame():
    model = network()
    out = model(np.array([[1.0, 2.0, 3.0]]))
    shown = Rendered(draw(out, model=model, depth=1))
    assert shown.frames == []
    last = shown.box("2 Linear(4, 2)")
    assert numbers(last.grids[0]) == pytest.approx(out.data[0], rel=0.01)


def test_a_parameter_that_two_layers_share_stays_with_its_owner():
    model = network((3, 3, 3), seed=1)
    model[2].weight = model[0].weight
    shown = Rendered(draw(model(np.ones((2, 3))).sum(), model=model, depth=1))
    assert ("l0", "l1") in [edge[:2] for edge in shown.edges]
    first, second = shown.of("layer")
    assert ["weight" in box.lines for box in (first, second)] == [True, False]
    assert ["bias" in box.lines for box in (first, second)] == [True, True]


def test_a_value_that_goes_into_a_layer_twice_has_one_edge():
    class Twice(nn.Module):
        def __init__(self):
            self.w = Value([1.0, 2.0], name="w")

        def forward(self, x):
            return x * self.w + self.w * x

    x, model = Value([3.0, 4.0], name="x"), Twice()
    shown = Rendered(draw(model(x).sum(), model=model, depth=0))
    assert len([1 for tail, head, _ in shown.edges if head == "l0"]) == 1


def test_a_layers_title_names_no_activation_from_another_level():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.Tanh(), nn.Linear(3, 1))
    shown = Rendered(draw(model(np.ones((4, 2))).sum(), model=model, depth=2))
    assert any("Linear(2, 3)" in title for title in shown.titles("layer"))
    assert not any("Linear(2, 3) →" in title for title in shown.titles("layer"))


def test_what_one_value_gets_from_a_layer_that_uses_it_twice_is_added_up():
    class First(nn.Module):
        def __init__(self):
            self.w = Value(2.0)

        def forward(self, x):
            return self.w * x

    class Difference(nn.Module):
        def __init__(self):
            self.a, self.b = Value(5.0), Value(1.0)

        def forward(self, x):
            return self.a * x - self.b * x

    model = nn.Sequential(First(), Difference())
    out = model(Value(3.0))
    out.backward()
    shown = Rendered(draw(out, model=model, depth=1))
    (socket,) = [shown.boxes[h].sockets[s] for t, h, s in shown.edges if (t, h) == ("l0", "l1")]
    assert socket == "× 4 → 4"


def test_the_gradient_between_layers_is_that_of_the_result_of_the_first():
    model = network((3, 4, 2), nn.Tanh)
    hidden = model[1](model[0](np.ones((2, 3))))
    loss = nn.mse_loss(model[2](hidden), np.zeros((2, 2)))
    loss.backward()
    first = Rendered(draw(loss, model=model, depth=1)).of("layer")[0]
    data, grad = first.grids
    assert numbers(data) == pytest.approx(hidden.data.ravel(), abs=6e-3)
    head = next(line for line in first.lines if line.startswith("grad") and "size" not in line)
    assert_grid(grad, head, hidden.grad)


def test_a_box_with_rows_says_if_the_stored_gradients_are_others():
    model = nn.Sequential(nn.Linear(2, 3))
    loss = nn.mse_loss(model(np.ones((4, 2))), np.zeros((4, 3)))
    loss.backward()
    (box,) = Rendered(draw(loss, model=model, depth=1)).of("layer")
    assert not any("stored" in line for line in box.lines)
    loss.backward()
    (box,) = Rendered(draw(loss, model=model, depth=1)).of("layer")
    (line,) = [line for line in box.lines if line.startswith("stored")]
    size = np.linalg.norm(np.concatenate([p.grad.ravel() for p in model.parameters()]))
    assert is_near(line.removeprefix("stored grad of the rows: size "), size)
    model.zero_grad()
    (box,) = Rendered(draw(loss, model=model, depth=1)).of("layer")
    assert "stored grad of the rows: None" in box.lines
    loss, options = TEN["micrograd"]()
    loss.backward()
    shown = Rendered(draw(loss, **options))
    neurons = [box for box in shown.boxes.values() if "tanh" in box.title]
    assert len(neurons) == 9
    for box in neurons:
        assert any(line.startswith("stored grad of the rows: size") for line in box.lines)


def test_a_layers_box_says_what_has_changed():
    model = nn.Sequential(nn.Linear(2, 3))
    loss = nn.mse_loss(model(np.ones((4, 2))), np.zeros((4, 3)))
    loss.backward()
    optim.SGD(model.parameters(), lr=0.1).step()
    shown = Rendered(draw(loss, model=model, depth=1))
    (box,) = shown.of("layer")
    assert len([line for line in box.lines if ", changed" in line]) == 2
    assert "Changed since this was computed" in " ".join(shown.caption)


# ── Highlights, titles, elements ──────────────────────────────────────────────────────────────────


def diamond():
    a = Value(2.0, name="a")
    b = Value(3.0, name="b")
    p = (a * b).tanh()
    q = a * 4.0
    r = b * 5.0
    out = p * q - r
    names = {"p": p, "q": q, "r": r, "out": out}
    return a, b, names


def marked(shown):
    """The titles of the boxes with a thick border, and the ends of the thick edges."""
    path = LOOKS["colours"]["path"][0]
    boxes = {box.title for box in shown.boxes.values() if path in box.colours}
    edges = {(shown.boxes[tail].title, shown.boxes[head].title) for tail, head in shown.marked}
    return boxes, edges


def test_highlight_marks_exactly_the_paths_between_the_values():
    a, _b, names = diamond()
    shown = Rendered(draw(names["out"], names=names, highlight=[a, names["out"]]))
    boxes, edges = marked(shown)
    assert boxes == {"a", "a × b", "p = tanh(a × b)", "q = a × 4", "p × q", "out = p × q − r"}
    assert edges == {
        ("a", "a × b"),
        ("a", "q = a × 4"),
        ("a × b", "p = tanh(a × b)"),
        ("p = tanh(a × b)", "p × q"),
        ("q = a × 4", "p × q"),
        ("p × q", "out = p × q − r"),
    }


def test_highlight_between_inner_values_leaves_all_else_alone():
    _a, b, names = diamond()
    shown = Rendered(draw(names["out"], names=names, highlight=[b, names["p"]]))
    assert marked(shown) == (
        {"b", "a × b", "p = tanh(a × b)"},
        {("b", "a × b"), ("a × b", "p = tanh(a × b)")},
    )


def test_values_without_a_path_between_them_are_marked_alone():
    a, b, names = diamond()
    assert marked(Rendered(draw(names["out"], names=names, highlight=[a, b]))) == (
        {"a", "b"},
        set(),
    )
    assert marked(Rendered(draw(names["out"], names=names))) == (set(), set())


def test_highlight_finds_a_leaf_that_is_a_row():
    loss, options = TEN["micrograd"]()
    weight = options["names"]["model"].layers[1].neurons[2].w[0]
    shown = Rendered(draw(loss, **options, highlight=[weight, loss]))
    assert len(set(shown.marked)) == 2
    formulas = [title.partition(" = ")[2] for title in marked(shown)[0]]
    assert len(formulas) == 3
    assert formulas.count("tanh(Σ)") == 2
    assert "loss" in "".join(marked(shown)[0])


def test_highlight_finds_a_leaf_in_all_the_boxes_whose_row_it_is():
    a, b, c = (Value(i / 10, name=name) for i, name in enumerate("abc", 1))
    p, q = (a * b + 1.0).tanh(), (a * c + 1.0).tanh()
    out = p * q
    picture = draw(out, names={"p": p, "q": q, "out": out}, compact=True, highlight=[a, out])
    boxes, edges = marked(Rendered(picture))
    assert boxes == {"used several times", "p = tanh(Σ)", "q = tanh(Σ)", "out = p × q"}
    assert edges == {("p = tanh(Σ)", "out = p × q"), ("q = tanh(Σ)", "out = p × q")}


def test_a_title_stands_above_the_picture():
    shown = Rendered(draw(expression(), title="A <first> & small expression"))
    assert shown.caption[0] == "A <first> & small expression"


def test_elements_says_how_large_an_array_is_shown_whole():
    x = Value(np.arange(30.0).reshape(6, 5), name="x")
    out = x.sum()
    assert len(Rendered(draw(out, elements=30)).box("x").grids[0]) == 30
    few = Rendered(draw(out, elements=29)).box("x")
    assert "…" in few.grids[0]
    assert few.lines[-1] == "min 0, max 29"
    assert "…" not in Rendered(draw(out)).box("x").grids[0]  # in a small picture there is room


def test_in_a_larger_picture_arrays_of_24_elements_are_shown_whole_and_no_larger_ones():
    out = Value(np.arange(24.0).reshape(6, 4), name="x")
    y = Value(np.arange(28.0).reshape(7, 4), name="y")
    for _ in range(6):
        out = out.tanh()
    shown = Rendered(draw(out.sum() + y.sum()))
    assert "…" not in shown.box("x").grids[0]
    assert "…" in shown.box("y").grids[0]


# ── Limits, and bad input ─────────────────────────────────────────────────────────────────────────


def long_chain(length):
    x = out = Value(1.0)
    for _ in range(length):
        out = out.sin() * x
    return out


def test_a_graph_too_large_to_look_at_is_an_error_that_says_how_large_and_what_to_do():
    with pytest.raises(
        ValueError, match=r"20,001 boxes.*limit=500.*depth=1.*constants=False.*limit="
    ) as caught:
        draw(long_chain(10_000))
    assert "model=" in str(caught.value)
    draw(long_chain(249))
    with pytest.raises(ValueError, match="501 boxes"):
        draw(long_chain(250))
    draw(long_chain(250), limit=501)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"value": 3.0}, TypeError, "expected a Value to draw, but got 3.0"),
        ({"value": None}, TypeError, "expected a Value to draw, but got None"),
        ({"direction": "RL"}, ValueError, "direction .* but got 'RL'"),
        ({"direction": 1}, ValueError, "direction .* but got 1"),
        ({"depth": 1}, ValueError, "a model"),
        ({"depth": -1, "model": network()}, ValueError, "depth of at least 0, but got -1"),
        ({"depth": True, "model": network()}, TypeError, "depth that is an integer, but got True"),
        ({"depth": 1.5, "model": network()}, TypeError, "depth that is an integer, but got 1.5"),
        ({"model": network()}, ValueError, "not computed with this model"),
        ({"model": [1]}, TypeError, r"nn.Module, but got .1."),
        ({"names": ["a"]}, TypeError, "a dictionary, such as locals.., but got ..a.."),
        ({"limit": "many"}, TypeError, "limit .* but got 'many'"),
        ({"limit": 0}, ValueError, "limit of at least 1, but got 0"),
        ({"title": 3}, TypeError, "title that is a text, but got 3"),
        ({"elements": -1}, ValueError, "number of elements of at least 0, but got -1"),
        ({"elements": 2.5}, TypeError, "number of elements .* but got 2.5"),
        ({"highlight": 3}, TypeError, "a list of values to highlight, but got 3"),
        ({"highlight": [3.0]}, TypeError, "values to highlight that are Values, but got 3.0"),
        ({"highlight": [Value(1.0, name="q")]}, ValueError, "of this graph .* but got q"),
        ({"compact": "yes"}, TypeError, "compact.* but got 'yes'"),
    ],
)
def test_bad_input_is_an_error_at_once(arguments, error, said):
    with pytest.raises(error, match=said):
        draw(**{"value": expression(), **arguments})


def test_a_value_computed_without_recording_is_drawn_alone():
    with no_grad():
        out = expression()
    (box,) = Rendered(draw(out)).boxes.values()
    assert (box.title, box.lines) == ("L", ["−8"])


# ── Boxes of several operations say nothing that is true of one of them alone ─────────────────────


class Twice(nn.Module):
    def __init__(self):
        self.a, self.w = Value(3.0), Value(np.array([1.0, 2.0]))

    def forward(self, x):
        return (x * self.a).exp() * self.w


def test_a_layer_of_numbers_and_arrays_shows_no_slope_of_its_first_operation():
    x = Value(0.1, name="x")
    model = Twice()
    out = model(x).sum()
    out.backward()
    shown = Rendered(draw(out, model=model, depth=0))
    (box,) = shown.of("layer")
    assert box.sockets == [f"→ {text.numbers(x.grad)}"]


def test_a_layer_of_several_results_is_drawn():
    class Many(nn.Module):
        def __init__(self):
            self.w = [Value(float(i)) for i in (1, 2, 3)]

        def forward(self, x):
            return [w * x for w in self.w]

    class Added(nn.Module):
        def __init__(self):
            self.many, self.b = Many(), Value(1e-6)

        def forward(self, x):
            return sum(self.many(x), self.b)

    model = Added()
    out = model(Value(1e-6, name="x"))
    out.backward()
    shown = Rendered(draw(out, model=model, depth=1))
    many = shown.box("many Many")
    assert [result for result, _ in groups_of(many)] == [
        ["out₁", "1e−6", "1"],
        ["out₂", "2e−6", "1"],
        ["out₃", "3e−6", "1"],
    ]
    assert many.grids == [["1", "2", "3"]]  # d out / d x


def test_in_the_compact_form_a_sum_hides_no_function():
    a, b = Value(2.0, name="a"), Value(3.0, name="b")
    out = 2 * np.exp(a) + b * 3
    out.backward()
    titles = [box.title for box in Rendered(draw(out, compact=True)).boxes.values()]
    assert any("exp(a)" in title for title in titles)


def test_a_model_with_boxes_for_its_layers_has_no_compact_form():
    model = network()
    loss = nn.mse_loss(model(np.ones((1, 3))), np.zeros((1, 2)))
    one, other = (draw(loss, model=model, depth=1, compact=each).source for each in (True, None))
    assert one == other


@pytest.mark.parametrize("direction", ["", 0, "lr"])
def test_a_direction_that_is_none_is_an_error(direction):
    with pytest.raises(ValueError, match='expected the direction "LR" or "TB"'):
        draw(Value(1.0) * 2, direction=direction)
