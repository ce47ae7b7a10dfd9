"""What Values and arrays are called in pictures, and that any text may be a name."""

import xml.etree.ElementTree as ET
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered import PROGRAMS, SVG, XLINK, Rendered, leave_only, needs_program
from ten_graphs import MLP, Neuron

from microgd import Value, draw, nn, operation
from microgd.pictures import diagram, markup, text
from microgd.pictures.grids import Cell, Grid
from microgd.pictures.layers import Layers
from microgd.pictures.names import DEEPEST, MOST, Names
from microgd.pictures.words import Content, Row

pytestmark = needs_program


@pytest.fixture
def only(monkeypatch, tmp_path):
    return leave_only(monkeypatch, tmp_path)


def name_of(x, names, model=None):
    return Names(names, Layers(model)).of(x)


# ── Where names come from ─────────────────────────────────────────────────────────────────────────


def test_names_are_found_among_local_variables():
    first, x = Value(2.0), np.array([1.0, 2.0])
    out = (first * x).sum()
    shown = Rendered(draw(out, names=locals()))
    assert shown.box("first").lines == ["2"]
    assert shown.box("x").grids == [["1", "2"]]
    assert shown.titles("output") == ["out = sum(first × x)"]
    assert "first × x" in shown.titles()


def test_a_values_own_name_comes_first_then_the_models_then_the_callers():
    model = nn.Sequential(nn.Linear(3, 2))
    model[0].bias.name = "offset"
    names = {"w": model[0].weight, "b": model[0].bias}
    shown = Rendered(draw(model(np.ones((1, 3))), model=model, names=names))
    assert sorted(shown.titles("leaf")) == ["0.weight", "offset"]
    shown = Rendered(draw(model(np.ones((1, 3))), names=names))
    assert sorted(shown.titles("leaf")) == ["offset", "w"]


class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("w",)

    def __init__(self):
        self.w = Value(1.0)


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("container", "name"),
    [
        (lambda x: [Value(1.0), x], "it[1]"),
        (lambda x: (x,), "it[0]"),
        (lambda x: {"height": x}, "it['height']"),
        (lambda x: {3: x}, "it[3]"),
        (lambda x: {("a", 1): x}, "it[('a', 1)]"),
        (lambda x: [[x]], "it[0][0]"),
        (lambda x: {"layers": [{"w": x}]}, "it['layers'][0]['w']"),
        (lambda x: Plain(w=x), "it.w"),
        (lambda x: Plain(w=[Value(1.0), x]), "it.w[1]"),
        (lambda x: [Plain(w=x)], "it[0].w"),
        (lambda x: Point(Value(1.0), x), "it[1]"),
    ],
)
def test_a_name_says_how_python_reaches_what_is_in_a_container(container, name):
    x = Value(2.0)
    assert name_of(x, {"it": container(x)}) == name
    array = np.ones(2)
    assert name_of(array, {"it": container(array)}) == name


def test_a_modules_parameters_have_the_names_of_named_parameters():
    neuron = Neuron(2, np.random.default_rng(0))
    assert name_of(neuron.w[1], {"n": neuron}) == "n.w.1"
    model = MLP(np.random.default_rng(0))
    assert name_of(model.layers[1].neurons[2].b, {"m": model}) == "m.layers.1.neurons.2.b"
    assert name_of(model.layers[1].neurons[2].b, {"n": neuron}, model) == "layers.1.neurons.2.b"


def test_the_shortest_way_gives_the_name():
    x = Value(2.0)
    assert name_of(x, {"deep": [[x]], "list": [x]}) == "list[0]"
    assert name_of(x, {"list": [x], "y": x}) == "y"
    assert name_of(x, {"a": x, "b": x}) == "a"


def test_a_value_without_a_name_has_none():
    assert name_of(Value(2.0), {"y": Value(2.0), "z": [2.0]}) == ""
    assert name_of(np.ones(2), {"y": np.ones(2)}) == ""


def test_equal_numbers_do_not_lend_each_other_a_name():
    x, y = Value(2.0), Value(2.0)
    names = Names({"x": x}, Layers())
    assert (names.of(x), names.of(y)) == ("x", "")


@pytest.mark.parametrize("name", ["_", "_12", "__", "_x"])
def test_names_that_begin_with_an_underscore_are_left_to_jupyter(name):
    x = Value(2.0)
    assert name_of(x, {name: x}) == ""
    assert name_of(x, {name: [x]}) == ""
    assert name_of(x, {"it": Plain(_x=x)}) == ""


def test_lists_that_contain_themselves_end():
    x = Value(2.0)
    loop = []
    loop += [loop, {"loop": loop}, x]
    assert name_of(x, {"loop": loop}) == "loop[2]"


def test_only_so_deep_and_so_much_is_looked_at():
    x = Value(2.0)
    deep = [x]
    for _ in range(DEEPEST - 1):
        deep = [deep]
    assert name_of(x, {"deep": deep}) == "deep" + DEEPEST * "[0]"
    assert name_of(x, {"deep": [deep]}) == ""
    assert name_of(x, {"many": [0] * 10 * MOST + [x], "x": x}) == "x"
    assert name_of(x, {"many": [0] * 10 * MOST + [x]}) == ""


def test_classes_functions_and_packages_are_not_searched():
    x = Value(2.0)

    class Holder:
        held = x

    def function():
        pass

    function.held = x
    assert name_of(x, {"Holder": Holder, "np": np, "slots": Slotted()}) == ""


def test_looking_for_names_calls_no_code_of_the_user():
    x = Value(2.0)

    class Touchy:
        def __init__(self):
            self.x = x

        @property
        def bad(self):
            raise AssertionError

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            raise AssertionError(name)

        def __iter__(self):
            raise AssertionError

    assert name_of(x, {"touchy": Touchy()}) == "touchy.x"


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("layers[1].w[0]", "w[0]"),
        ("layers.1.w.0", "w.0"),
        ("0.weight", "weight"),
        ("w", "w"),
        ("w[0]", "w[0]"),
        ("layers.0", "layers.0"),
        ("0.1", "0.1"),
    ],
)
def test_the_last_part_of_a_name_is_what_a_rule_calls_it(name, last):
    assert Names({}, Layers()).last_part(Value(1.0, name=name)) == last


# ── Any text ──────────────────────────────────────────────────────────────────────────────────────

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
@pytest.mark.parametrize("program", PROGRAMS)
def test_any_text_may_be_a_name(name, program, only):
    only(program)
    a = Value(2.0, name=name)
    out = a * 3.0
    out.backward()
    shown = Rendered(draw(out))
    expected = " ".join(
        name.replace("\x00", "�").replace("\ud800", "�").replace("\u202e", "�").split()
    )
    assert [(box.title, box.lines) for box in shown.of("leaf")] == [(expected, ["2", "grad 3"])]
    isolated = text.within(expected)
    assert shown.titles("output") == [f"{isolated} × 3"]
    assert len(shown.boxes) == 2


def test_a_name_that_runs_from_right_to_left_is_isolated_within_a_formula():
    a, b = Value(2.0, name="שלום"), Value(3.0, name="b")
    shown = Rendered(draw(a * b))
    assert shown.titles("output") == ["\u2068שלום\u2069 × b"]
    assert shown.titles("leaf") == ["שלום", "b"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(min_size=1))
def test_no_text_breaks_the_picture(name):
    out = Value(2.0, name=name) * Value([3.0])
    out.backward()
    picture = draw(out, title=name)
    shown = Rendered(picture)
    assert len(shown.boxes) == 3
    assert shown.of("leaf")[0].lines == ["2", "grad 3"]
    ET.fromstring(picture._repr_mimebundle_()["text/html"])


@pytest.mark.parametrize("name", ["\\\\", r"\\N", "&amp;", "]]>", "שלום"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_any_text_may_name_a_variable_and_a_key(name, program, only):
    only(program)
    a = Value(2.0)
    assert Rendered(draw(a * 3.0, names={name: a})).titles("leaf") == [name]
    shown = Rendered(draw(a * 3.0, names={"d": {name: a}}))
    assert shown.titles("leaf") == [f"d[{name!r}]"]


@pytest.mark.parametrize("name", ["\\\\", r"\\N", "&amp;", "]]>", "שלום"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_any_text_may_name_a_module(name, program, only):
    only(program)
    model = nn.Module()
    model.parts = {name: nn.Linear(1, 1)}
    out = model.parts[name](np.ones((1, 1)))
    assert Rendered(draw(out, model=model)).frames == [f"parts.{name} Linear(1, 1)"]
    shown = Rendered(draw(out, model=model, depth=9))
    assert shown.titles("layer") == [f"parts.{name} Linear(1, 1)"]


@pytest.mark.parametrize("blank", [" ", "\n\t", "\N{NO-BREAK SPACE}"])
def test_a_name_of_spaces_gives_way_to_the_variables(blank):
    a = Value(2.0, name=blank)
    assert Rendered(draw(a * 3.0, names={"a": a})).titles("leaf") == ["a"]


def test_a_long_name_is_shortened():
    (title,) = Rendered(draw(Value(2.0, name="x" * 10_000) * 3.0)).titles("leaf")
    assert title == "x" * 39 + "…"


@pytest.mark.parametrize("name", ["<script>&", *STRANGE])
def test_any_text_may_name_an_operation(name, registry):
    @operation(lambda g, out, x: g, name=name)
    def odd(x):
        return x

    (title,) = Rendered(draw(odd(Value(1.0, name="x")))).titles("output")
    assert title.endswith("(x)")
    shown = text.within(text.short(name.lstrip("_")))
    assert title == f"{shown}(x)"


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
    assert shown.titles("output") == ["<script>&(…)"]
    assert shown.frames == ["parts.<b>\\N Linear(1, 1)"]
    assert len(Rendered(draw(out, model=model, depth=1)).of("layer")) == 1


# ── Character by character ────────────────────────────────────────────────────────────────────────

# Each piece has a meaning in one of the languages that a text passes through.
PIECES = [
    *("\\", "\\\\", r"\N", r"\G", r"\E", r"\T", r"\H", r"\L", r"\n", r"\l", r"\r", r"\x41"),
    *("&", "&amp;", "&#92;", "&#x5c;", "&bsol;", "&lt", "&nbsp;"),
    *("<b>", "</b>", "<br/>", "<", ">", "<!--", "-->", "]]>", "<![CDATA[", "->", "--"),
    *("<title>", "</title>", 'fill="#fefefe"', "<svg", 'font-family="x"'),
    *('"', "'", "[", "]", "{", "|", "}", "%", "%s", "#", "$x$", "${x}", "{0}"),
    *(";", ":", "=", "/*", "*/", "//", "+", "`", "a", "N", "n", "l", "0", "_"),
    *("é", "e\u0301", "∂", "שלום", "عدد", "می\u200cخواهم", "日本語", "𝕏"),
    *("🙂", "👨\u200d👩\u200d👧", "🇩🇪"),
]
NASTY = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)


def written(picture):
    """The texts in the parts of a picture by id; those of the whole under ""."""
    root = ET.fromstring(picture.pipe("svg"))
    found = {"": [line.text for line in root.iter(f"{SVG}text")]}
    for group in root.iter(f"{SVG}g"):
        found[group.get("id")] = [line.text for line in group.iter(f"{SVG}text")]
    return root, found


def in_boxes(direction, content):
    """What boxes with these contents show."""

    def drawn(names):
        picture = diagram.picture(direction)
        for i, name in enumerate(names):
            label = markup.label(content(name), "leaf", direction, markup.Parts(), False)
            picture.place(f"v{i}", "leaf", label)
        _, found = written(picture)
        return [found[f"v{i}"] for i in range(len(names))]

    return drawn


def on_frames(names):
    picture = diagram.picture("TB")
    for i, name in enumerate(names):
        with picture.frame(i, name) as frame:
            label = markup.label(Content("x", []), "leaf", "TB", markup.Parts(), False)
            frame.place(f"v{i}", "leaf", label)
    root, _ = written(picture)
    frames = [group for group in root.iter(f"{SVG}g") if group.get("class") == "cluster"]
    titles = [group.findtext(f"{SVG}text") for group in frames]
    assert sorted(titles) == sorted(names)
    return [[name] for name in names]


def in_a_caption(names):
    _, found = written(diagram.picture("LR", caption=names))
    return [[line] for line in found[""]]


def in_a_title(names):
    titles = []
    for name in names[:3]:
        root, found = written(diagram.picture("LR", name))
        assert root.findtext(f"{SVG}title") == name
        titles.append(found[""])
    return [*titles, *([name] for name in names[3:])]


def in_a_description(names):
    picture = diagram.picture("LR")
    picture.description = " ".join(names)
    root, _ = written(picture)
    assert root.findtext(f"{SVG}desc") == " ".join(names)
    return [[name] for name in names]


def in_links(names):
    picture = diagram.picture("LR")
    for i, name in enumerate(names):
        parts = markup.Parts("v", {"v-data": f"#{i}"})
        label = markup.label(Content("x", [("data", name)]), "leaf", "LR", parts, False)
        picture.place(f"v{i}", "leaf", label)
    root, found = written(picture)
    links = {link.get(f"{XLINK}href") for link in root.iter(f"{SVG}a")}
    assert links == {f"#{i}" for i in range(len(names))}
    return [found[f"v{i}"][1:] for i in range(len(names))]


CELLS = [[Cell("1", 2)]]
PLACES = {
    "titles": in_boxes("LR", lambda name: Content(name, [])),
    "lines": in_boxes("TB", lambda name: Content("", [("note", name)])),
    "sockets": in_boxes("TB", lambda name: Content("", [], sockets=[name])),
    "sockets at the left": in_boxes("LR", lambda name: Content("", [], sockets=[name])),
    "rows": in_boxes("LR", lambda name: Content("", [], rows=[Row("", name, "1", "2")])),
    "heads": in_boxes("LR", lambda name: Content("", [], data=Grid(name, CELLS, ""))),
    "frames": on_frames,
    "captions": in_a_caption,
    "the title": in_a_title,
    "the description": in_a_description,
    "links": in_links,
}
BESIDE = {"\N{NO-BREAK SPACE}", "1", "2"}  # what stands beside the text in these boxes


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_text_is_drawn_character_by_character(program, place, only, size):
    only(program)

    @settings(max_examples=size(15, 300), deadline=None, derandomize=True)
    @given(st.lists(NASTY, min_size=10, max_size=40))
    def drawn(names):
        for shown, name in zip(PLACES[place](names), names, strict=True):
            assert [line for line in shown if line not in BESIDE or line == name] == [name]

    drawn()
