"""Pictures in files and in Jupyter, by both layout programs: their size, their words, the dark."""

import html
import re
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import graphviz
import matplotlib.image
import numpy as np
import pytest
from rendered import (
    PROGRAMS,
    SVG,
    Rendered,
    leave_only,
    needs_program,
    size_of_png,
)
from ten_graphs import TEN

import microgd.pictures
from microgd import Value, draw, nn
from microgd.pictures import diagram, svg

pytestmark = needs_program
LOOKS = tomllib.loads(
    Path(microgd.pictures.__file__).with_name("looks.toml").read_text(encoding="utf-8")
)


@pytest.fixture
def only(monkeypatch, tmp_path):
    return leave_only(monkeypatch, tmp_path)


def expression():
    a, b = Value(2.0, name="a"), Value(-3.0, name="b")
    out = a * b + 2.0
    out.name = "L"
    out.backward()
    return out


def network():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng))
    loss = nn.mse_loss(model(rng.normal(size=(5, 3))), np.zeros((5, 2)))
    loss.backward()
    return loss, model


# ── The ten graphs fit ────────────────────────────────────────────────────────────────────────────

CELL = 1078  # pixels, the width of a notebook's cell
# Text that may shrink below 12 pixels, and by how much.
SMALLEST = {"micrograd": 11.5}


def font():
    """The font that stands for Arial on this machine, or "" where nobody can say."""
    try:
        found = subprocess.run(["fc-match", "Arial"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout


needs_font = pytest.mark.skipif(
    not re.search("Liberation ?Sans|Arial", font()),
    reason=f"the font in place of Arial may be wider: {font() or 'unknown'}",
)


@needs_font
@pytest.mark.parametrize("name", TEN)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_ten_graphs_fit_a_notebooks_cell_with_text_of_12_pixels(name, program, only):
    only(program)
    value, options = TEN[name]()
    shown = Rendered(draw(value, **options))
    scale = min(1.0, CELL / shown.width)
    assert scale * shown.smallest_text >= SMALLEST.get(name, 12) - 0.02  # (widths are rounded)
    assert shown.width <= CELL or name in SMALLEST or scale * shown.smallest_text >= 12


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("format", ["svg", "png"])
def test_a_name_without_a_suffix_is_that_of_the_graph_and_the_picture_stands_beside_it(
    program, format, only, tmp_path, capfd
):
    only(program)
    out = expression()
    path = draw(out).render(tmp_path / "graph", format=format)
    assert path == str(tmp_path / f"graph.{format}")
    source = (tmp_path / "graph").read_text(encoding="utf-8")
    assert source.replace(" dpi=144", "") == draw(out).source
    if format == "svg":
        shown = Rendered((tmp_path / "graph.svg").read_text(encoding="utf-8"))
        assert shown.box("a").lines == ["2", "grad −3"]
        assert shown.svg == draw(out).pipe("svg", encoding="utf-8")
    else:
        pixels = matplotlib.image.imread(path)[..., :3].reshape(-1, 3)
        assert pixels.shape[0] > 100_000
        for name in ("leaf", "output", "socket"):
            light = LOOKS["colours"][name][0]
            colour = np.array([int(light[i : i + 2], 16) for i in (1, 3, 5)]) / 255
            assert (np.abs(pixels - colour).max(1) < 0.01).mean() > 0.005
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("suffix", ["svg", "png", "SVG"])
def test_a_name_with_a_suffix_is_that_of_the_picture_and_nothing_else_is_written(
    program, suffix, only, tmp_path, capfd
):
    only(program)
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = draw(expression())
    for path in (folder / f"expr.{suffix}", str(folder / f"again.{suffix}")):
        assert picture.render(path) == str(path)
        data = Path(path).read_bytes()
        assert data == picture.pipe(suffix.lower())
    assert len(list(folder.iterdir())) == 2
    if suffix == "png":
        size_of_png(data)
    else:
        assert Rendered(data.decode()).box("a").lines == ["2", "grad −3"]
    assert capfd.readouterr() == ("", "")


def test_a_pdf_is_written_by_dot(only, tmp_path):
    only("dot")
    assert draw(expression()).render(tmp_path / "expr.pdf") == str(tmp_path / "expr.pdf")
    assert (tmp_path / "expr.pdf").read_bytes().startswith(b"%PDF")
    assert list(tmp_path.glob("expr*")) == [tmp_path / "expr.pdf"]
    assert draw(expression()).pipe("pdf").startswith(b"%PDF")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ["expression", "attention"])
def test_a_png_has_three_pixels_for_two_of_the_svg(program, name, only):
    only(program)
    value, options = TEN[name]()
    picture = draw(value, **options)
    shown = Rendered(picture)
    width, height = size_of_png(picture.pipe("png"))
    assert width == pytest.approx(1.5 * shown.width, abs=4)
    assert height == pytest.approx(1.5 * shown.height, abs=4)
    assert "dpi" not in picture.source  # so an SVG after it is as large as before
    assert Rendered(picture).width == shown.width


def test_a_name_with_an_unknown_suffix_is_as_graphviz_takes_it(tmp_path):
    path = draw(expression()).render(tmp_path / "graph.gv")
    assert path == str(tmp_path / "graph.gv.svg")
    assert (tmp_path / "graph.gv").read_text(encoding="utf-8").startswith("digraph")


@pytest.mark.parametrize("program", PROGRAMS)
def test_graphvizs_own_options_work(program, only, tmp_path):
    only(program)
    path = draw(expression()).render(outfile=tmp_path / "small.svg", cleanup=True)
    assert [p.name for p in tmp_path.glob("small*")] == ["small.svg"]
    assert path == str(tmp_path / "small.svg")
    path = draw(expression()).render("graph", directory=tmp_path, format="png")
    assert Path(path) == tmp_path / "graph.png"
    size_of_png(Path(path).read_bytes())
    path = draw(expression()).render("deep.svg", directory=tmp_path, cleanup=True)
    assert Path(path) == tmp_path / "deep.svg"
    assert [p.name for p in tmp_path.glob("deep*")] == ["deep.svg"]
    assert ET.parse(path).getroot().tag == f"{SVG}svg"


def test_options_beside_an_ending_and_other_endings_are_errors_and_leave_a_picture_alone(tmp_path):
    picture = tmp_path / "graph.png"
    picture.write_text("an old picture")
    with pytest.raises(TypeError, match="without options, since its ending says all"):
        draw(expression()).render(picture, view=True)
    with pytest.raises(ValueError, match=r"ends in .svg, .png or .pdf"):
        draw(expression()).render(tmp_path / "graph.jpg")
    assert picture.read_text() == "an old picture"
    assert [path.name for path in tmp_path.iterdir()] == ["graph.png"]


def test_a_resolution_of_ones_own_stays(only):
    only("dot")
    picture = draw(expression())
    picture.graph_attr["dpi"] = "50"
    small = size_of_png(picture.pipe("png"))
    picture.pipe("svg")
    assert picture.graph_attr["dpi"] == "50"
    assert small < size_of_png(draw(expression()).pipe("png"))


def test_a_file_that_cannot_be_written_is_an_oserror_and_an_old_one_stays(tmp_path, only):
    with pytest.raises(OSError, match="no-such-folder"):
        draw(expression()).render(tmp_path / "no-such-folder" / "expr.png")
    old = tmp_path / "expr.svg"
    old.write_text("old")
    only(None)
    with pytest.raises(RuntimeError, match="no program"):
        draw(expression()).render(old)
    assert old.read_text() == "old"


# ── Inside an SVG ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_svg_says_its_title_and_the_graph_in_words(program, only):
    only(program)
    shown = Rendered(draw(expression(), title="Two & <more>"))
    assert shown.root.get("role") == "img"
    assert shown.root.findtext(f"{SVG}title") == "Two & <more>"
    words = shown.root.findtext(f"{SVG}desc")
    sentences = words.removesuffix(".").split(". ")
    assert sorted(sentences) == [
        "L = a × b + 2: −4, grad 1",
        "a × b: −6, grad 1",
        "a: 2, grad −3",
        "b: −3, grad 2",
    ]
    # A key such as v0, which Graphviz takes for a title, would show to who points at the box.
    assert len(list(shown.root.iter(f"{SVG}title"))) == 1
    assert "<!--" not in shown.svg
    assert not shown.svg.startswith("<?xml")


def test_without_a_title_an_svg_is_called_what_it_is():
    assert Rendered(draw(expression())).root.findtext(f"{SVG}title") == "A computation graph"


def test_the_words_of_a_large_graph_end_with_how_many_boxes_there_are_more():
    out = Value(0.5, name="x")
    for _ in range(80):
        out = out.sin()
    words = draw(out, compact=False).description
    assert len(words.split(". ")) == 61
    assert words.endswith("And 21 more boxes.")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ["expression", "micrograd"])
def test_an_svg_scales_with_its_place_down_to_text_of_9_pixels(program, name, only):
    only(program)
    value, options = TEN[name]()
    shown = Rendered(draw(value, **options))
    _, _, width, height = map(float, shown.root.get("viewBox").split())
    assert shown.width == pytest.approx(width * 4 / 3, abs=2)  # a point is 4/3 pixels
    assert shown.height == pytest.approx(height * 4 / 3, abs=2)
    style = dict(part.split(": ") for part in shown.root.get("style").split("; "))
    assert (style["max-width"], style["height"]) == ("100%", "auto")
    least = float(style["min-width"].removesuffix("px"))
    smallest_points = min(looks["size"] for looks in LOOKS["text"].values())
    assert smallest_points * least / width == pytest.approx(9, abs=0.1)


def luminance(colour):
    """The relative luminance of a colour, by WCAG 2."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    brighter, darker = sorted([luminance(one), luminance(other)], reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", ["micrograd_neurons", "xor", "attention", "rnn"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_fill_and_each_stroke_of_a_picture_has_a_dark_colour(program, name, only):
    only(program)
    value, options = TEN[name]()
    drawn = Rendered(draw(value, **options, highlight=[value])).svg
    assert "@media (prefers-color-scheme: dark)" in drawn
    for attribute in ("fill", "stroke"):
        rules = dict(re.findall(rf'\[{attribute}="(#\w+)"\] {{{attribute}: (#\w+)}}', drawn))
        body = drawn[drawn.index("</style>") :]
        occurring = set(re.findall(rf'{attribute}="([^"]+)"', body)) - {"none", "transparent"}
        assert len(occurring) >= 4
        assert occurring <= set(rules)


def test_texts_can_be_read_on_what_they_stand_on_in_the_light_and_in_the_dark():
    colours, shades = LOOKS["colours"], LOOKS["shades"]
    for i, theme in enumerate(("light", "dark")):
        grounds = [colours[name][i] for name in ("page", "box", "leaf", "output", "layer", "frame")]
        for ground in (*grounds, *shades[theme]):
            assert contrast(colours["ink"][i], ground) >= 7
        for text in ("quiet", "back"):
            for ground in grounds:
                assert contrast(colours[text][i], ground) >= 4.5, (theme, text, ground)
        assert contrast(colours["back"][i], colours["socket"][i]) >= 4.5


def test_the_colours_for_the_light_are_all_different_so_that_each_has_one_for_the_dark():
    lights = [light for light, _ in LOOKS["colours"].values()]
    assert len({*lights, *LOOKS["shades"]["light"]}) == len(lights) + 9
    assert svg.dark_rules().count("fill: ") == len(lights) + 9


# ── Jupyter ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("program", PROGRAMS)
def test_jupyter_is_shown_html_that_scrolls_an_svg_and_words(program, only):
    only(program)
    picture = draw(expression())
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/html", "image/svg+xml", "text/plain"]
    page = bundle["text/html"]
    box = ET.fromstring(page)
    assert (box.tag, box.get("style")) == ("div", "overflow-x: auto")
    (inline,) = box
    assert inline.tag == f"{SVG}svg"
    assert "grad −3" in page
    # A notebook has a theme of its own, whatever the system's is.
    assert "prefers-color-scheme" not in page
    assert "[data-jp-theme-light=false]" in page
    assert bundle["image/svg+xml"] == picture.pipe("svg", encoding="utf-8")
    assert bundle["text/plain"] == picture.description
    assert "a: 2, grad −3" in bundle["text/plain"]


def test_in_a_notebook_every_dark_rule_waits_for_a_dark_theme():
    page = draw(expression())._repr_mimebundle_()["text/html"]
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    rules = [rule for rule in style.split("}") if rule.strip()]
    assert len(rules) == 2 * (len(LOOKS["colours"]) + 9)
    assert all(rule.strip().startswith(":is([data-jp-theme-light=false]") for rule in rules)


def test_without_any_program_there_is_one_clear_error_that_names_both(only, tmp_path):
    only(None)
    picture = draw(expression())  # drawing needs no program
    for ask in (
        lambda: picture.pipe("svg"),
        lambda: picture.render(tmp_path / "graph"),
        lambda: picture.render(tmp_path / "graph.png"),
        lambda: picture.view(),
    ):
        with pytest.raises(
            RuntimeError, match=r"install Graphviz .*pip install graphviz-pure"
        ) as caught:
            ask()
        assert caught.value.__cause__ is None
    assert picture._repr_mimebundle_() == {"text/plain": diagram.NO_PROGRAM}
    assert not list(tmp_path.glob("graph*"))


# ── Layout programs ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_fails_is_one_clear_error(program, only, tmp_path):
    only(program)
    picture = draw(expression())
    picture.body.append("this is no DOT [[[")
    for ask in (
        lambda: picture.pipe("svg"),
        lambda: picture.render(tmp_path / "graph.svg"),
    ):
        with pytest.raises(
            RuntimeError, match=f"{program} could not draw the graph: .*syntax error"
        ) as caught:
            ask()
        assert caught.value.__suppress_context__
    assert not list(tmp_path.glob("graph*"))


def test_graphviz_pure_writes_no_pdf_and_says_what_it_writes(only, tmp_path):
    only("graphviz-pure")
    for ask in (
        lambda: draw(expression()).pipe("pdf"),
        lambda: draw(expression()).render(tmp_path / "graph.pdf"),
    ):
        with pytest.raises(RuntimeError, match=r'"pdf" not recognized.*png.*svg'):
            ask()
    assert not list(tmp_path.glob("graph*"))


def test_an_unknown_format_is_graphvizs_own_error():
    with pytest.raises(ValueError, match="unknown format: 'pgn'"):
        draw(expression()).pipe("pgn")


def test_other_pictures_of_graphviz_are_left_as_they_were(only):
    only("graphviz-pure")
    draw(expression()).pipe("svg")
    with pytest.raises(graphviz.ExecutableNotFound):
        graphviz.Digraph().pipe("svg")


@pytest.mark.parametrize("program", PROGRAMS)
def test_both_programs_show_the_same_words(program, only):
    loss, model = network()
    pictures = [draw(loss, model=model), draw(loss, model=model, depth=1)]
    pictures += [draw(value, **options) for value, options in (TEN["micrograd"](),)]
    before = [Rendered(picture) for picture in pictures]  # by dot, where there is one
    only(program)
    for picture, shown in zip(pictures, before, strict=True):
        again = Rendered(picture)
        assert {key: box.texts for key, box in again.boxes.items()} == {
            key: box.texts for key, box in shown.boxes.items()
        }
        assert sorted(again.edges) == sorted(shown.edges)
        assert (again.frames, again.caption) == (shown.frames, shown.caption)


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_edges_end_at_their_sockets(program, direction, only):
    only(program)
    names = "abcd"
    terms = [Value(float(i), name=name) for i, name in enumerate(names, 1)]
    out = terms[0] * 10.0 + terms[1] * 20.0 + terms[2] * 30.0 + terms[3] * 40.0
    out.backward()
    shown = Rendered(draw(out, direction=direction))
    across, along = (1, 0) if direction == "LR" else (0, 1)
    (output,) = [key for key, box in shown.boxes.items() if box.look == "output"]
    groups = {group.get("id"): group for group in shown.root.iter(f"{SVG}g")}
    texts = list(groups[output].iter(f"{SVG}text"))[:4]
    assert [text.text for text in texts] == ["× 1 → 1"] * 4
    for tail, head, socket in shown.edges:
        if head != output:
            continue
        (tip,) = groups[f"{tail}-{head}-{socket}"].iter(f"{SVG}polygon")
        points = np.array([point.split(",") for point in tip.get("points").split()], float)
        place = float(texts[socket].get("xy"[across]))
        others = [abs(float(text.get("xy"[across])) - points[:, across].mean()) for text in texts]
        if direction == "LR":
            assert min(others) == abs(place - points[:, across].mean())
        assert points[:, along].max() <= float(texts[socket].get("xy"[along]))


@pytest.mark.parametrize("program", PROGRAMS)
def test_graphs_of_many_crossings_are_laid_out_in_seconds(program, only):
    only(program)
    v = [Value(float(i)) for i in range(14)]
    out = sum((v[i] * v[j] for i in range(14) for j in range(i)), 0.0)
    out.backward()
    started = time.perf_counter()
    assert len(Rendered(draw(out, compact=False)).boxes) == 14 + 91 + 1
    assert len(Rendered(draw(out)).boxes) <= 15
    assert time.perf_counter() - started < 60


@pytest.mark.parametrize(("program", "length"), [("dot", 125), ("graphviz-pure", 249)])
def test_a_long_chain_of_boxes_is_laid_out(program, length, only):
    only(program)
    x = out = Value(1.0)  # x leads to every second box, and most of those are far away
    for _ in range(length):
        out = out.sin() * x
    out.backward()
    assert len(Rendered(draw(out)).boxes) == 2 * length + 1


# ── The same graph, the same source ───────────────────────────────────────────────────────────────


def test_the_same_graph_gives_the_same_source_in_every_process():
    program = """
import random
import numpy as np
from microgd import Value, draw, nn
rng = np.random.default_rng(0)
model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng))
loss = nn.cross_entropy(model(np.ones((2, 3))), [0, 1]) + sum((p**2).sum() for p in model.parameters())
loss.backward()
print(draw(loss, model=model, names=locals()).source, draw(loss, model=model, depth=1).source)
w = [Value(float(i)) for i in range(40)]
out = sum((w[i] * w[(i * 7 + 1) % 40] for i in range(40)), 0.0).tanh()
out.backward()
picture = draw(out, names=locals(), highlight=[w[0], w[3], out])
print(picture.source, picture.description)
"""
    runs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(runs) == 1
    assert html.unescape(runs.pop().decode()).count("linear") >= 2


def test_drawing_twice_gives_the_same_source():
    for build in TEN.values():
        value, options = build()
        assert draw(value, **options).source == draw(value, **options).source
        again, options_again = build()
        assert draw(again, **options_again).source == draw(value, **options).source
