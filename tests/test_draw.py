"""Pictures of graphs, read back from the SVG that Graphviz makes."""

import html
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import graphviz
import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered import SVG, Rendered, find_program, needs_program
from test_graphs import LEAVES, build, recipes

from microgd import Value, draw, nn, no_grad, operation, operations, optim
from microgd.graph import Graph
from microgd.pictures import diagram, text
from microgd.pictures.draw import options

pytestmark = needs_program


def expression():
    a, b, c, f = (
        Value(2.0, name="a"),
        Value(-3.0, name="b"),
        Value(10.0, name="c"),
        Value(-2.0, name="f"),
    )
    out = (a * b + c) * f
    out.name = "L"
    return out


def network(sizes=(3, 4, 2), activation=nn.ReLU, seed=0):
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, rng=rng, dtype=np.float64), activation()]
    return nn.Sequential(*layers[:-1])


# ── What a reverse pass sends along each edge ─────────────────────────────────────────────────────


@settings(max_examples=150, deadline=None, derandomize=True)
@given(recipes())
def test_contributions_of_any_graph_add_up_to_the_gradients_that_backward_stores(steps):
    out = build(steps, [Value(x) for x in LEAVES])
    graph = Graph(out)
    graph.go_back()
    so_far = {}
    for c in graph.contributions.values():
        assert c.result.inputs[c.position] is c.operand
        assert (c.before is None) == (c.operand not in so_far)
        so_far[c.operand] = c.share if c.before is None else c.before + c.share
        np.testing.assert_array_equal(c.total, so_far[c.operand])
        # The gradient is complete before it is passed on.
        np.testing.assert_array_equal(c.upstream, graph.gradient[c.result])
        if c.slope is not None:
            np.testing.assert_allclose(c.share, c.upstream * c.slope, rtol=1e-12)
    out.backward()
    for value, total in graph.gradient.items():
        np.testing.assert_array_equal(value.grad, total)


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


def test_options_are_those_that_are_not_the_default():
    x = Value(np.ones((2, 3)))
    summed, plain = x.sum(axis=1), x.sum()
    assert options(summed) == ["axis=1"]
    assert options(plain) == []


# ── Boxes and edges ───────────────────────────────────────────────────────────────────────────────


def test_before_backward_a_picture_shows_the_forward_pass_alone():
    shown = Rendered(draw(expression()))
    assert shown.box("a") == ["data 2"]
    assert shown.box("L") == ["data −8"]
    assert {label for labels in shown.edges.values() for label in labels} == {""}
    assert shown.caption == []


def test_after_backward_each_edge_shows_the_local_derivative_and_what_flowed_back():
    out = expression()
    out.backward()
    shown = Rendered(draw(out))
    assert shown.box("a") == ["data 2", "grad 6"]
    assert shown.box("f") == ["data −2", "grad 4"]
    assert shown.labels("a") == ["× −3 → 6"]
    assert shown.labels("b") == ["× 2 → −4"]
    assert shown.labels("f") == ["× 4 → 4"]
    assert shown.labels("c") == ["× 1 → −2"]
    assert shown.box("L") == ["data −8", "grad 1"]
    assert shown.caption == [
        "× local derivative → gradient that flows back; those of all uses add up"
    ]


def test_a_value_used_three_times_shows_three_contributions_and_their_sum():
    x = Value(4.0, name="x")
    out = x * x + 3 * x
    out.backward()
    shown = Rendered(draw(out))
    assert shown.box("x") == ["data 4", "grad 11 = 3 + 4 + 4"]
    assert shown.labels("x") == ["× 3 → 3", "× 4 → 4", "× 4 → 4"]


def test_more_uses_than_fit_are_counted():
    x = Value(2.0, name="x")
    out = x + x + x + x + x
    out.backward()
    assert Rendered(draw(out)).box("x") == ["data 2", "grad 5 (sum of 5)"]


def test_leaves_constants_computed_values_and_the_output_look_different():
    a = Value(2.0, name="a")
    out = (a * 3.0 + 1.5).tanh()
    shown = Rendered(draw(out))
    assert [shown.looks[shown.key(line)] for line in ("a", "3", "data 6", "tanh")] == [
        "leaf",
        "constant",
        "computed",
        "operation",
    ]
    assert len(shown.of("output")) == 1
    source = draw(out).source
    assert (
        len(
            {
                line.split("fillcolor=")[1].split()[0]
                for line in source.splitlines()
                if "fillcolor=" in line
            }
        )
        == 4
    )
    assert source.count("dashed") == 2


def test_operands_of_an_operation_are_drawn_in_their_order():
    a, b = Value(1.0, name="a"), Value(2.0, name="b")
    for out, upper in ((a - b, "a"), (b - a, "b")):
        picture = draw(out)
        text = picture.pipe("plain", encoding="utf-8")
        height = {
            line.split()[1]: float(line.split()[3])
            for line in text.splitlines()
            if line.startswith("node v")
        }
        key = Rendered(picture).key(upper)
        assert height[key] == max(h for k, h in height.items() if k in ("v0", "v1"))


def test_a_leaf_alone_is_a_picture():
    assert Rendered(draw(Value(3.0, name="x"))).boxes == {"v0": ["x", "data 3"]}


def test_tensors_show_their_shape_and_small_ones_their_numbers():
    x = Value([1.0, -2.5], name="x")
    w = Value(np.linspace(-1, 1, 20).reshape(2, 10), name="w")
    out = (x @ w).sum()
    out.backward()
    shown = Rendered(draw(out))
    assert shown.box("x") == ["data (2,) [1, −2.5]", "grad [−5.26, 5.26]"]
    size = np.linalg.norm(w.grad)
    assert shown.box("w") == ["data (2, 10) −1 … 1", f"grad size {size:.4g}"]
    assert shown.labels("w") == [f"→ size {size:.4g}"]
    assert shown.labels("x") == ["→ [−5.26, 5.26]"]
    assert any("root of the sum of the squares" in line for line in shown.caption)


def test_options_that_are_not_the_default_are_shown():
    assert "sum axis=1" in [
        shown[0] for shown in Rendered(draw(Value(np.ones((2, 3))).sum(axis=1))).of("operation")
    ]


@pytest.mark.parametrize("name", ["add", "multiply", "tanh"])
def test_an_ellipse_says_the_operation_in_full_to_who_points_at_it(name):
    a = Value(1.0)
    assert f"tooltip={name} " in draw((a + 1.0).tanh() * a).source


def test_an_array_that_is_used_twice_is_one_constant_and_numbers_are_one_each():
    data = np.array([1.0, 2.0])
    a = Value(1.0)
    shown = Rendered(draw(((a * data + data) * 2.0 + 2.0).sum()))
    assert sorted(shown.of("constant")) == [["(2,) [1, 2]"], ["2"], ["2"]]


def test_constants_can_be_left_out():
    a = Value(1.0)
    shown = Rendered(draw((a * 3.0).sum() + np.ones(3), constants=False))
    assert shown.of("constant") == []
    assert len(shown.edges) == 6


def test_gradients_can_be_left_out():
    out = expression()
    out.backward()
    again = expression()
    assert draw(out, gradients=False).source == draw(again).source


def test_an_operation_of_ones_own_is_drawn_at_once(registry):
    @operation(lambda g, out, x: g * 3 * x * x)
    def cube(x):
        return x * x * x

    x = Value(2.0, name="x")
    out = cube(x)
    out.backward()
    shown = Rendered(draw(out))
    assert shown.labels("x") == ["× 12 → 12"]
    assert ["cube"] in shown.of("operation")


def test_a_picture_can_be_laid_out_from_top_to_bottom():
    assert "rankdir=TB" in draw(expression(), direction="TB").source
    assert "rankdir=LR" in draw(expression()).source
    model = network()
    assert "rankdir=TB" in draw(model(np.ones((1, 3))), model=model).source
    assert "rankdir=LR" in draw(model(np.ones((1, 3))), model=model, depth=1).source


# ── Stored gradients, changed leaves ──────────────────────────────────────────────────────────────


def test_where_several_passes_added_up_the_box_says_both():
    out = expression()
    out.backward()
    out.backward()
    shown = Rendered(draw(out))
    assert shown.box("a") == ["data 2", "grad 6", "stored grad 12"]
    assert shown.box("L") == ["data −8", "grad 1"]


def test_a_gradient_that_was_cleared_is_said_to_be():
    a = Value(2.0, name="a")
    out = a * 3.0
    out.backward()
    a.grad = None
    assert Rendered(draw(out)).box("a") == ["data 2", "grad 3", "stored grad None"]


def test_a_gradient_stored_by_another_graph_is_not_taken_for_this_ones():
    a = Value(2.0, name="a")
    (a * 5.0).backward()
    assert Rendered(draw(a * 3.0)).box("a") == ["data 2", "stored grad 5"]


def test_a_pass_that_began_with_another_gradient_is_drawn_as_it_was():
    a = Value([1.0, 2.0], name="a")
    out = a * 3.0
    out.backward(np.array([1.0, -1.0]))
    assert Rendered(draw(out)).box("a") == ["data (2,) [1, 2]", "grad [3, −3]"]


def test_a_leaf_that_has_moved_since_is_shown_as_it_was_and_as_it_is():
    a, b = Value(2.0, name="a"), Value(3.0, name="b")
    out = a * b
    out.backward()
    a.data -= 0.5
    shown = Rendered(draw(out))
    assert shown.box("a") == ["data 2", "now 1.5", "grad 3"]
    assert shown.box("b") == ["data 3", "grad 2"]  # d (a * b) / db, with the recorded a
    assert any("changed since" in line and line.endswith(": a") for line in shown.caption)


def test_arrays_that_have_moved_are_shown_as_they_were_and_as_they_are():
    w, b = Value([1.0, 2.0], name="w"), Value([1.0, 2.0], name="b")
    out = (w * 3.0 + b).sum()
    out.backward()
    w.data -= 0.5
    b.data = [1.0, 2.0]
    shown = Rendered(draw(out))
    assert shown.box("w") == ["data (2,) [1, 2]", "now (2,) [0.5, 1.5]", "grad [3, 3]"]
    assert shown.box("b") == ["data (2,) [1, 2]", "grad [1, 1]"]


def test_a_leaf_that_holds_what_another_has_moved_to_has_not_moved():
    a, b = Value(2.0, name="a"), Value(5.0, name="b")
    out = a * b
    a.data = 5.0
    shown = Rendered(draw(out))
    assert [shown.box("a"), shown.box("b")] == [["data 2", "now 5"], ["data 5"]]


def test_a_network_is_drawn_after_a_step_of_training():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loss = nn.mse_loss(model(np.ones((2, 3))), np.zeros((2, 2)))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    shown = Rendered(draw(loss, model=model))
    assert all(
        box[2].startswith("now ") and box[4] == "stored grad None" for box in shown.of("leaf")
    )
    assert shown.caption[-1].startswith("changed since this was computed")


def test_drawing_changes_nothing():
    model = network()
    loss = nn.mse_loss(model(np.ones((2, 3))), np.zeros((2, 2)))
    loss.backward()
    arrays = [(p._numbers, p.grad, p.grad.copy()) for p in model.parameters()]
    draw(loss, model=model)
    for p, (held, grad, numbers) in zip(model.parameters(), arrays, strict=True):
        assert p._numbers is held
        assert p.grad is grad
        np.testing.assert_array_equal(grad, numbers)


# ── Names ─────────────────────────────────────────────────────────────────────────────────────────


def test_names_are_found_among_local_variables():
    first, x = Value(2.0), np.array([1.0, 2.0])
    out = (first * x).sum()
    shown = Rendered(draw(out, names=locals()))
    assert shown.box("first") == ["data 2"]
    assert shown.box("x") == ["(2,) [1, 2]"]
    assert shown.looks[shown.key("out")] == "output"


def test_a_values_own_name_comes_first_then_the_models_then_the_callers():
    model = network((3, 2))
    model[0].bias.name = "offset"
    w = model[0].weight
    shown = Rendered(draw(model(np.ones((1, 3))), model=model, names={"w": w, "b": model[0].bias}))
    assert {line for box in shown.of("leaf") for line in box[:1]} == {"0.weight", "offset"}


def test_names_that_begin_with_an_underscore_are_left_to_jupyter():
    a = Value(2.0)
    out = a * 3.0
    assert Rendered(draw(out, names={"_12": a, "_": out})).of("leaf") == [["data 2"]]


STRANGE = [
    '"quoted"',
    "'single'",
    "{braces|and|bars}",
    "<b>bold</b>",
    "<script>alert(1)</script>",
    r"back\slash \N \G \l \n",
    "&amp; &lt;",
    "line\nbreak",
    "tab\there",
    "emoji 🙂 é ∂",
    "]]>",
    "]",
    "-->",
    "nul\x00l",
    "\ud800",
    "\u202ebackwards",
    "-> x; }",
    "<>",
    "%s {0}",
    "[a=b]",
    "#",
    "0",
    "\\",
    "\\\\",
    "\\\\\\",
    r"\\N \\\N",
    r"ends in two \\",
    "&#92; &bsol; &nbsp;",
    "$x$ ${x}",
    "e\u0301",
    "שלום عدد",
    "می\u200cخواهم",
    "👨\u200d👩\u200d👧 🇩🇪 ❤️",
]


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
def test_any_text_may_be_a_name(name, program, only):
    only(program)
    a = Value(2.0, name=name)
    shown = Rendered(draw(a * 3.0))
    expected = " ".join(
        name.replace("\x00", "�").replace("\ud800", "�").replace("\u202e", "�").split()
    )
    assert shown.of("leaf") == [[expected, "data 2"]]
    assert len(shown.boxes) == 4


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(min_size=1))
def test_no_text_breaks_the_picture(name):
    shown = Rendered(draw(Value(2.0, name=name) * 3.0))
    assert len(shown.boxes) == 4
    assert shown.of("leaf")[0][-1] == "data 2"


@pytest.mark.parametrize("name", ["\\\\", r"\\N", "&amp;", "]]>", "שלום"])
@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
def test_any_text_may_name_a_variable(name, program, only):
    only(program)
    a = Value(2.0)
    shown = Rendered(draw(a * 3.0, names={name: a}))
    assert shown.of("leaf") == [[name, "data 2"]]


@pytest.mark.parametrize("name", ["\\\\", r"\\N", "&amp;", "]]>", "שלום"])
@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
def test_any_text_may_name_a_module(name, program, only):
    only(program)
    model = nn.Module()
    model.parts = {name: nn.Linear(1, 1)}
    shown = Rendered(draw(model.parts[name](np.ones((1, 1))), model=model))
    assert shown.frames == [f"parts.{name} Linear(1, 1)"]


@pytest.mark.parametrize("blank", [" ", "\n\t", "\N{NO-BREAK SPACE}"])
def test_a_name_of_spaces_gives_way_to_the_variables(blank):
    a = Value(2.0, name=blank)
    assert Rendered(draw(a * 3.0, names={"a": a})).of("leaf") == [["a", "data 2"]]


# Each piece has a meaning in one of the languages that a name passes through.
PIECES = [
    *("\\", "\\\\", r"\N", r"\G", r"\E", r"\T", r"\H", r"\L", r"\n", r"\l", r"\r", r"\x41"),
    *("&", "&amp;", "&#92;", "&#x5c;", "&bsol;", "&lt", "&nbsp;"),
    *("<b>", "</b>", "<br/>", "<", ">", "<!--", "-->", "]]>", "<![CDATA[", "->", "--"),
    *('"', "'", "[", "]", "{", "|", "}", "%", "%s", "#", "$x$", "${x}", "{0}"),
    *(";", ":", "=", "/*", "*/", "//", "+", "`", "a", "N", "n", "l", "0", "_"),
    *("é", "e\u0301", "∂", "שלום", "عدد", "می\u200cخواهم", "日本語", "𝕏"),
    *("🙂", "👨\u200d👩\u200d👧", "🇩🇪"),
]
NASTY = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)


def parts(picture):
    """The root element of the picture, and its parts by id."""
    root = ET.fromstring(picture.pipe("svg"))
    return root, {group.get("id"): group for group in root.iter(f"{SVG}g")}


def written(group):
    """The lines of text in a part of the picture, exactly as they are."""
    return [line.text for line in group.iter(f"{SVG}text")]


def in_boxes(names):
    picture = diagram.picture("LR")
    for i, name in enumerate(names):
        picture.place(f"v{i}", "leaf", [("name", name)])
    _, drawn = parts(picture)
    return [written(drawn[f"v{i}"]) for i in range(len(names))]


def in_hints(names):
    picture = diagram.picture("LR")
    for i, name in enumerate(names):
        picture.place(f"v{i}", "leaf", [("name", "x")], hint=name)
    _, drawn = parts(picture)
    links = [next(drawn[f"v{i}"].iter(f"{SVG}a")) for i in range(len(names))]
    return [[link.get("{http://www.w3.org/1999/xlink}title")] for link in links]


def on_arrows(names):
    picture = diagram.picture("LR")
    for i, name in enumerate(names):
        picture.arrow(f"a{i}", f"b{i}", [("grad", name)], f"e{i}")
    _, drawn = parts(picture)
    lines = [written(drawn[f"e{i}"]) for i in range(len(names))]
    return [[line.removeprefix("\N{NO-BREAK SPACE}") for line in each] for each in lines]


def on_frames(names):
    picture = diagram.picture("TB")
    for i, name in enumerate(names):
        with picture.frame(i, name) as frame:
            frame.place(f"v{i}", "leaf", [])
    root, _ = parts(picture)
    frames = [group for group in root.iter(f"{SVG}g") if group.get("class") == "cluster"]
    titles = {frame.findtext(f"{SVG}title"): written(frame) for frame in frames}
    return [titles[f"cluster_{i}"] for i in range(len(names))]


def in_a_caption(names):
    picture = diagram.picture("LR", caption=[("note", name) for name in names])
    root, _ = parts(picture)
    return [[line] for line in written(root)]


@pytest.mark.parametrize("place", [in_boxes, in_hints, on_arrows, on_frames, in_a_caption])
@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
def test_a_text_is_drawn_character_by_character(program, place, only, size):
    only(program)

    @settings(max_examples=size(20, 300), deadline=None, derandomize=True)
    @given(st.lists(NASTY, min_size=10, max_size=40))
    def drawn(names):
        assert place(names) == [[name] for name in names]

    drawn()


def test_a_long_name_is_shortened():
    (name, _), *_ = Rendered(draw(Value(2.0, name="x" * 10_000) * 3.0)).of("leaf")
    assert name == "x" * 39 + "…"


@pytest.mark.parametrize("name", ["<script>&", *STRANGE])
def test_any_text_may_name_an_operation(name, registry):
    @operation(lambda g, out, x: g, name=name)
    def odd(x):
        return x

    assert [text.short(name)] in Rendered(draw(odd(Value(1.0)))).of("operation")


def test_names_of_operations_and_modules_are_escaped_too(registry):
    @operation(lambda g, out, x: g, name="<script>&")
    def odd(x):
        return x

    class Odd(nn.Module):
        def __init__(self):
            self.parts = {"<b>\\N": nn.Linear(1, 1)}

        def forward(self, x):
            return odd(self.parts["<b>\\N"](x))

    model = Odd()
    out = model(np.ones((1, 1)))
    shown = Rendered(draw(out, model=model))
    assert ["<script>&"] in shown.of("operation")
    assert shown.frames == ["parts.<b>\\N Linear(1, 1)"]
    assert len(Rendered(draw(out, model=model, depth=1)).of("layer")) == 1


# ── Networks ──────────────────────────────────────────────────────────────────────────────────────


def test_a_models_layers_are_frames_with_their_activations():
    model = network((3, 4, 2))
    loss = nn.mse_loss(model(np.ones((5, 3))), np.zeros((5, 2)))
    shown = Rendered(draw(loss, model=model))
    assert shown.frames == ["0 Linear(3, 4) → 1 ReLU()", "2 Linear(4, 2)"]
    source = draw(loss, model=model).source
    first = source[source.index("subgraph") : source.rindex("subgraph")]
    assert ["linear" in first, "relu" in first, "square" in first] == [True, True, False]
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
    assert (shown.frames or [box[0] for box in shown.of("layer")]) == [
        "first Linear(2, 3)",
        "second Linear(3, 1)",
    ]


def test_a_last_activation_belongs_to_the_model_and_the_loss_does_not():
    model = nn.Sequential(nn.Linear(2, 1), nn.Tanh())
    loss = nn.mse_loss(model(np.ones((3, 2))), np.zeros((3, 1)))
    shown = Rendered(draw(loss, model=model, depth=1))
    assert shown.of("layer") == [["0 Linear(2, 1) → 1 Tanh()", "linear, tanh", "3 parameters"]]
    assert sorted(shown.of("operation")) == [["mean"], ["square"], ["−"]]


def test_an_activation_in_forward_belongs_to_the_module_and_the_loss_does_not():
    class Bent(nn.Module):
        def __init__(self):
            self.weights, self.bias = Value(np.ones(3)), Value(0.0)

        def forward(self, x):
            return operations.tanh(x @ self.weights + self.bias)

    model = Bent()
    loss = nn.mse_loss(model(np.ones((4, 3))), np.zeros(4))
    shown = Rendered(draw(loss, model=model, depth=0))
    assert shown.of("layer") == [["Bent", "matmul, add, tanh", "4 parameters"]]
    assert sorted(shown.of("operation")) == [["mean"], ["square"], ["−"]]


def test_a_residual_block_keeps_its_sum_and_the_graph_has_no_loop():
    class Block(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return x + self.inner(x).tanh()

    model = nn.Sequential(nn.Linear(3, 4), Block(), Block(), nn.Linear(4, 1))
    shown = Rendered(draw(model(np.ones((2, 3))).sum(), model=model, depth=1))
    assert [box[:2] for box in shown.of("layer")] == [
        ["0 Linear(3, 4)", "linear"],
        ["1 Block", "linear, tanh, add"],
        ["2 Block", "linear, tanh, add"],
        ["3 Linear(4, 1)", "linear"],
    ]
    assert all(tail < head for tail, head in shown.edges if {tail[0], head[0]} == {"l"})


def test_the_network_with_13002_weights_fits_a_page_with_a_box_a_layer():
    model = network((784, 16, 16, 10))
    images, labels = np.random.default_rng(0).random((32, 784)), np.arange(32) % 10
    loss = nn.cross_entropy(model(images), labels)
    loss.backward()
    picture = draw(loss, model=model, depth=1, names={"images": images})
    shown = Rendered(picture)
    assert [box[0] for box in shown.of("layer")] == [
        "0 Linear(784, 16) → 1 ReLU()",
        "2 Linear(16, 16) → 3 ReLU()",
        "4 Linear(16, 10)",
    ]
    assert [box[2] for box in shown.of("layer")] == [
        "12,560 parameters",
        "272 parameters",
        "170 parameters",
    ]
    grads = [p.grad for p in model.parameters()]
    size = np.sqrt((grads[0] ** 2).sum() + (grads[1] ** 2).sum())
    assert shown.of("layer")[0][3] == f"grad size {size:.4g}"
    (between,) = shown.edges["l0", "l1"]
    assert between.startswith("(32, 16) → size ")
    assert len(shown.boxes) == 7
    page = picture.pipe("plain", encoding="utf-8").split()
    assert float(page[2]) < 20  # inches, at full size


def test_weights_that_are_transposed_first_are_still_the_layers():
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    shown = Rendered(
        draw(nn.mse_loss(model(np.ones((4, 2))), np.zeros((4, 1))), model=model, depth=1)
    )
    assert [box[:2] for box in shown.of("layer")] == [
        ["0 Linear(2, 3, bias=False) → 1 ReLU()", "transpose, matmul, relu"],
        ["2 Linear(3, 1, bias=False)", "transpose, matmul"],
    ]


def test_what_one_value_gets_from_a_layer_that_uses_it_twice_is_added_up():
    class First(nn.Module):
        def __init__(self):
            self.w = Value(2.0)

        def forward(self, x):
            return self.w * x

    class Difference(nn.Module):
        def __init__(self):
            self.a, self.b = Value(1.0), Value(1.0)

        def forward(self, x):
            return self.a * x - self.b * x

    model = nn.Sequential(First(), Difference())
    out = model(Value(3.0))
    out.backward()
    assert Rendered(draw(out, model=model, depth=1)).edges["l0", "l1"] == ["1 number → 0"]


def test_a_layers_box_says_what_has_changed():
    model = nn.Sequential(nn.Linear(2, 3))
    loss = nn.mse_loss(model(np.ones((4, 2))), np.zeros((4, 3)))
    loss.backward()
    loss.backward()
    (box,) = Rendered(draw(loss, model=model, depth=1)).of("layer")
    once, twice = (float(line.split()[-1]) for line in box[3:])
    assert [line.rpartition(" ")[0] for line in box[3:]] == ["grad size", "stored grad size"]
    assert twice == pytest.approx(2 * once, rel=1e-3)
    optim.SGD(model.parameters(), lr=0.1).step()
    model.zero_grad()
    (box,) = Rendered(draw(loss, model=model, depth=1)).of("layer")
    assert box[3] == "changed since"
    assert box[5] == "stored grad None"


def test_an_index_is_written_as_one_writes_it():
    x = Value(np.ones((4, 3)))
    out = x[1:, ::2].sum() + x[:, 0].sum() + x[[0, 1]].sum() + x[..., None].sum()
    shown = [box[0] for box in Rendered(draw(out)).of("operation") if box[0].startswith("getitem")]
    assert shown == [
        "getitem index=(1:, ::2)",
        "getitem index=(:, 0)",
        "getitem index=[0, 1]",
        "getitem index=(..., None)",
    ]


def test_constants_are_shown_as_they_were_recorded():
    a, c = Value([1.0, 1.0]), np.array([1, 2])
    out = (a * c).sum()
    c[:] = 100
    assert Rendered(draw(out, names=locals())).box("c") == ["(2,) [1, 2]"]


def test_a_leaf_that_changed_between_two_uses_shows_what_each_saw():
    x = Value(2.0, name="x")
    y = x * 1.0
    x.data = 3.0
    z = y + x * x
    x.data = 5.0
    assert Rendered(draw(z)).box("x") == ["data 2, then 3", "now 5"]


def test_small_gradients_are_told_apart_too():
    x = Value(1.0, name="x")
    out = x * 1e-9
    out.backward()
    out.backward()
    assert Rendered(draw(out)).box("x") == ["data 1", "grad 1e−9", "stored grad 2e−9"]


@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
def test_graphs_of_many_crossings_are_laid_out_in_seconds(program, only):
    only(program)
    v = [Value(float(i)) for i in range(14)]
    out = sum((v[i] * v[j] for i in range(14) for j in range(i)), 0.0)
    out.backward()
    assert len(Rendered(draw(out)).boxes) == 379


def test_the_gradient_between_layers_is_the_one_that_went_that_way():
    model = network((3, 4, 2))
    hidden = model[1](model[0](np.ones((5, 3))))
    loss = nn.mse_loss(model[2](hidden), np.zeros((5, 2)))
    loss.backward()
    (between,) = Rendered(draw(loss, model=model, depth=1)).edges["l0", "l1"]
    assert between == f"(5, 4) → size {np.linalg.norm(hidden.grad):.4g}"


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
    assert len(shown.boxes) == 6
    assert shown.of("layer")[0][:3] == [
        "layers.0 Layer",
        "multiply (120 times), add (120 times), tanh (60 times)",
        "9 parameters",
    ]
    assert shown.of("layer")[1][:3] == [
        "layers.1 Layer",
        "multiply (60 times), add (60 times)",
        "4 parameters",
    ]
    assert shown.of("computed") == [
        ["subtract (20 times), power (20 times), add (20 times), divide"]
    ]
    (between,) = shown.edges["l0", "l1"]
    assert between.startswith("60 numbers → size ")
    assert shown.caption[1] == "size: the root of the sum of the squares of the elements"


def test_the_output_of_a_model_stands_beside_its_layers_box_without_a_frame():
    model = network()
    shown = Rendered(draw(model(np.ones((1, 3))), model=model, depth=1))
    assert shown.frames == []
    assert len(shown.of("output")) == 1


def test_depth_says_which_modules_are_boxes(scalars):
    model, loss = scalars
    count = [
        len(Rendered(draw(loss, model=model, depth=depth)).of("layer")) for depth in (0, 1, 2, 9)
    ]
    assert count == [1, 2, 4, 4]


def test_frames_are_nested_as_modules_are():
    model = Scalars(np.random.default_rng(0))
    shown = Rendered(draw(model([1.0, 2.0]), model=model))
    assert shown.frames == [
        "layers.0 Layer",
        *(f"layers.0.neurons.{i} Neuron" for i in range(3)),
        "layers.1 Layer",
        "layers.1.neurons.0 Neuron",
    ]


def test_a_model_that_is_one_module_is_one_frame():
    neuron = Neuron(2, np.random.default_rng(0), True)
    assert Rendered(draw(neuron([1.5, 2.5]), model=neuron)).frames == ["Neuron"]
    assert Rendered(draw(neuron([1.5, 2.5]), model=neuron, depth=0)).of("constant") == [
        ["2 numbers"]
    ]


def test_a_parameter_that_two_layers_share_stays_with_its_owner():
    model = network((3, 3, 3), seed=1)
    model[2].weight = model[0].weight
    shown = Rendered(draw(model(np.ones((2, 3))).sum(), model=model, depth=1))
    assert ("l0", "l1") in shown.edges
    assert [box[2] for box in shown.of("layer")] == ["12 parameters", "3 parameters"]


# ── Limits, and bad input ─────────────────────────────────────────────────────────────────────────


def long_chain(length):
    x = out = Value(1.0)
    for _ in range(length):
        out = out + x
    return out


def test_a_graph_too_large_to_look_at_is_an_error_that_says_how_large_and_what_to_do():
    with pytest.raises(
        ValueError, match=r"60,001 boxes.*limit=500.*depth=1.*constants=False.*limit="
    ) as caught:
        draw(long_chain(30_000))
    assert "model=" in str(caught.value)
    draw(long_chain(249))
    with pytest.raises(ValueError, match="501 boxes"):
        draw(long_chain(250))
    draw(long_chain(250), limit=501)


@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
def test_500_boxes_and_ellipses_are_laid_out(program, only):
    only(program)
    out = long_chain(249)  # x leads to every second one, and most of those are far away
    out.backward()
    assert len(Rendered(draw(out)).boxes) == 499


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"value": 3.0}, TypeError, "expected a Value to draw, but got 3.0"),
        ({"value": None}, TypeError, "expected a Value to draw, but got None"),
        ({"direction": "RL"}, ValueError, "direction .* but got 'RL'"),
        ({"depth": 1}, ValueError, "a model"),
        ({"depth": -1, "model": network()}, ValueError, "depth of at least 0, but got -1"),
        ({"depth": True, "model": network()}, TypeError, "depth that is an integer, but got True"),
        ({"depth": 1.5, "model": network()}, TypeError, "depth that is an integer, but got 1.5"),
        ({"model": network()}, ValueError, "not computed with this model"),
        ({"model": [1]}, TypeError, r"nn.Module, but got .1."),
        ({"names": ["a"]}, TypeError, "a dictionary, such as locals.., but got ..a.."),
        ({"limit": "many"}, TypeError, "limit .* but got 'many'"),
        ({"limit": 0}, ValueError, "limit of at least 1, but got 0"),
    ],
)
def test_bad_input_is_an_error_at_once(arguments, error, said):
    with pytest.raises(error, match=said):
        draw(**{"value": expression(), **arguments})


def test_a_value_computed_without_recording_is_drawn_alone():
    with no_grad():
        out = expression()
    assert Rendered(draw(out)).boxes == {"v0": ["L", "data −8"]}


# ── Files, Jupyter and programs ───────────────────────────────────────────────────────────────────


@pytest.fixture
def only(monkeypatch, tmp_path):
    """A function that hides all layout programs except one, or all of them if given None."""

    def leave(name):
        path = find_program(name) if name else None
        if name and not path:
            pytest.skip(f"{name} is not installed")
        folder = tmp_path / "programs"
        folder.mkdir()
        if name == "dot":
            monkeypatch.setenv("PATH", path.rpartition("/")[0])
        else:
            monkeypatch.setenv("PATH", str(folder))
        if name != "graphviz-pure":
            monkeypatch.setattr(diagram.sysconfig, "get_path", lambda kind: str(folder))

    return leave


@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
@pytest.mark.parametrize("format", ["svg", "png"])
def test_pictures_are_rendered_by_whichever_program_there_is(
    program, format, only, tmp_path, capfd
):
    only(program)
    out = expression()
    out.backward()
    path = draw(out).render(tmp_path / "graph", format=format)
    assert path == str(tmp_path / f"graph.{format}")
    assert (tmp_path / "graph").read_text() == draw(out).source
    if format == "svg":
        assert b"grad 6" in (tmp_path / "graph.svg").read_bytes()
    else:
        pixels = matplotlib.image.imread(path)[..., :3].reshape(-1, 3)
        assert pixels.shape[0] > 100_000
        blue, yellow = (
            np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) / 255
            for c in ("#d3e9f8", "#fff3c9")
        )
        for colour in (blue, yellow):  # of the leaves and of the output
            assert (np.abs(pixels - colour).max(1) < 0.01).mean() > 0.005
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
def test_graphvizs_own_options_work(program, only, tmp_path):
    only(program)
    path = draw(expression()).render(outfile=tmp_path / "small.svg", cleanup=True)
    assert [p.name for p in tmp_path.glob("small*")] == ["small.svg"]
    assert path == str(tmp_path / "small.svg")


def test_jupyter_is_shown_svg_without_a_step_by_the_user(only):
    only("graphviz-pure")
    bundle = draw(expression())._repr_mimebundle_()
    assert list(bundle) == ["image/svg+xml"]
    assert "data −8" in bundle["image/svg+xml"]
    assert (
        draw(expression())
        ._repr_mimebundle_(include=["image/png"])["image/png"]
        .startswith(b"\x89PNG")
    )


def test_without_any_program_there_is_one_clear_error_that_names_both(only, tmp_path):
    only(None)
    picture = draw(expression())  # drawing needs no program
    for ask in (
        lambda: picture.pipe("svg"),
        lambda: picture.render(tmp_path / "graph"),
        lambda: picture.view(),
    ):
        with pytest.raises(
            RuntimeError, match=r"install Graphviz .*pip install graphviz-pure"
        ) as caught:
            ask()
        assert caught.value.__cause__ is None
    assert picture._repr_mimebundle_() == {"text/plain": diagram.NO_PROGRAM}
    assert not list(tmp_path.glob("graph*"))


@pytest.mark.parametrize("program", ["dot", "graphviz-pure"])
def test_a_program_that_fails_is_one_clear_error(program, only):
    only(program)
    picture = draw(expression())
    picture.body.append("this is no DOT [[[")
    with pytest.raises(
        RuntimeError, match=f"{program} could not draw the graph: .*syntax error"
    ) as caught:
        picture.pipe("svg")
    assert caught.value.__suppress_context__


def test_graphviz_pure_writes_no_pdf_and_says_what_it_writes(only):
    only("graphviz-pure")
    with pytest.raises(RuntimeError, match=r'"pdf" not recognized.*png.*svg'):
        draw(expression()).pipe("pdf")


def test_dot_writes_pdf(only):
    only("dot")
    assert draw(expression()).pipe("pdf").startswith(b"%PDF")


def test_an_unknown_format_is_graphvizs_own_error():
    with pytest.raises(ValueError, match="unknown format: 'pgn'"):
        draw(expression()).pipe("pgn")


def test_other_pictures_of_graphviz_are_left_as_they_were(only):
    only("graphviz-pure")
    draw(expression()).pipe("svg")
    with pytest.raises(graphviz.ExecutableNotFound):
        graphviz.Digraph().pipe("svg")


def test_the_same_graph_gives_the_same_source_in_every_process():
    program = """
import numpy as np
from microgd import Value, draw, nn
rng = np.random.default_rng(0)
model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng))
loss = nn.cross_entropy(model(np.ones((2, 3))), [0, 1]) + sum((p**2).sum() for p in model.parameters())
loss.backward()
print(draw(loss, model=model, names=locals()).source, draw(loss, model=model, depth=1).source)
"""
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert html.unescape(runs.pop().decode()).count("linear") >= 4


# ── How numbers are shown ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (0.1 + 0.2, "0.3"),
        (-3.0, "−3"),
        (-0.0, "0"),
        (1 / 3, "0.3333"),
        (12345.678, "12346"),
        (9999.6, "10000"),
        (13002.0, "13002"),
        (1e6, "1e6"),
        (1.23456e8, "1.235e8"),
        (-2.5e-7, "−2.5e−7"),
        (0.00012345, "0.0001234"),
        (float("nan"), "nan"),
        (float("-inf"), "−inf"),
    ],
)
def test_a_number_has_four_significant_digits(x, shown):
    assert text.number(x) == shown


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.floats(-1e300, 1e300))
def test_what_is_shown_of_a_number_is_close_to_it(x):
    shown = float(text.number(x).replace("−", "-"))
    assert shown == pytest.approx(x, rel=6e-4)


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (np.zeros((0, 3)), "(0, 3) empty"),
        (np.array([[1.0, 2.0]]), "(1, 2) [[1, 2]]"),
        (np.array([True, False]), "(2,) [1, 0]"),
        (np.full(10, np.nan), "(10,) 10 nan"),
        (np.arange(10), "(10,) 0 … 9"),
        (None, "None"),
    ],
)
def test_an_array_is_shown_in_short(x, shown):
    assert text.data(x) == shown


def test_a_value_that_goes_into_a_layer_twice_has_one_edge():
    class Twice(nn.Module):
        def __init__(self):
            self.w = Value([1.0, 2.0], name="w")

        def forward(self, x):
            return x * self.w + self.w * x

    x, model = Value([3.0, 4.0], name="x"), Twice()
    source = draw(model(x).sum(), model=model, depth=0).source
    assert len(re.findall(r"^\s*v\d+ -> l\d+", source, re.MULTILINE)) == 1


def test_a_layers_title_names_no_activation_from_another_level():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.Tanh(), nn.Linear(3, 1))
    source = draw(model(np.ones((4, 2))).sum(), model=model, depth=2).source
    assert "0.0 Linear(2, 3)" in source
    assert "Linear(2, 3) →" not in source
