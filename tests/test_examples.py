"""The programs in examples/ do what they say, on their real output."""

import ast
import csv
import io
import os
import re
import runpy
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rendered import lines, needs_program

import microgd
from microgd import Value, data, draw, gradients, hvp, nn, optim, train

EXAMPLES = Path(__file__).parents[1] / "examples"
SEVEN = ["slope", "line", "learning_rate", "two_weights", "baskets", "digits", "words"]
needs_tqdm = pytest.mark.skipif(find_spec("tqdm") is None, reason="tqdm is not installed")
pytestmark = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="Matplotlib is not installed"
)


def run(name, *arguments, text=None):
    """Run a program like `python examples/name.py`, in a new folder.

    Return its names, what it printed, its figures and its pictures. If `text` is given, run that
    instead of the program's own text.
    """
    before = sys.argv, sys.path[:], sys.excepthook
    sys.path.insert(0, str(EXAMPLES))
    printed = io.StringIO()
    with TemporaryDirectory() as folder, redirect_stdout(printed), np.errstate():
        import program

        path = EXAMPLES / f"{name}.py"
        if text is not None:
            path = Path(folder) / f"{name}.py"
            path.write_text(text)

        figures, save = {}, program.save

        def kept(figure, path):
            figures[path.name] = figure
            save(figure, path)

        program.save = kept
        sys.argv = [f"{name}.py", "--out", f"{folder}/new/pictures", *map(str, arguments)]
        try:
            names = {}
            with suppress(SystemExit) if "--train-only" in arguments else nullcontext():
                names = runpy.run_path(str(path), run_name="__main__")
            made = {
                path.name: path.read_bytes()
                for path in Path(folder).rglob("*.*")
                if path.suffix != ".py"
            }
        finally:
            program.save = save
            sys.argv, sys.path[:], sys.excepthook = before
    return SimpleNamespace(**names), printed.getvalue(), figures, made


@contextmanager
def at_most(seconds):
    """Raise TimeoutError if the block computes for longer, since a program may hang in a loop.

    The work of other processes does not count.
    """

    def stop(*_):
        raise TimeoutError(f"it computes for more than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def edited(name, edits, *arguments):
    """Run a program as a learner edited it: `edits` says which text to replace by which.

    Return what it printed, and its figures.
    """
    text = (EXAMPLES / f"{name}.py").read_text()
    for old, new in edits.items():
        assert text.count(old) == 1, f"{old} occurs {text.count(old)} times in {name}.py"
        text = text.replace(old, new)
    with at_most(60):
        _, printed, figures, _ = run(name, *arguments, text=text)
    return printed, figures


SMALL = {
    "learning_rate": ["--steps", 40, "--rates", 20],
    "baskets": ["--examples", 600],
    "digits": ["--epochs", 5],
}
# Several tests look at the same run, so they share a worker.
small = cache(lambda name: run(name, *SMALL.get(name, [])))
of = {name: pytest.mark.xdist_group(name) for name in SEVEN}
seven = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[of[name], needs_tqdm] if name == "digits" else of[name])
        for name in SEVEN
    ],
)


# ── All seven programs with figures (test_written_out.py is about the ninth) ──────────────────────

with_lecture = pytest.mark.parametrize("name", [*SEVEN, "lecture"])


@with_lecture
def test_a_program_opens_with_a_question_and_runs_cell_by_cell(name):
    source = (EXAMPLES / f"{name}.py").read_text()
    assert (
        ast.get_docstring(ast.parse(source)).split("\n\n")[0].splitlines()[0].endswith(("?", ","))
    )
    assert "?" in ast.get_docstring(ast.parse(source)).split("\n\n")[0]
    assert source.count("\n# %% ") >= 4


@with_lecture
def test_a_program_uses_public_names_only(name):
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text())
    imported = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("microgd")
    ]
    assert {alias.name for node in imported for alias in node.names} <= set(microgd.__all__)
    assert {node.module for node in imported} == {"microgd"}
    assert not [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
    ]


@seven
def test_each_picture_is_saved_and_small(name):
    _, printed, figures, made = small(name)
    assert (
        set(made)
        == set(figures)
        == set(re.findall(r"^picture: .*?([\w.]+)$", printed, re.MULTILINE))
    )
    assert all(
        picture.startswith(b"\x89PNG") and len(picture) < 150_000 for picture in made.values()
    )
    committed = {path.name for path in (EXAMPLES / "pictures").iterdir()}
    assert set(made) <= committed


def check_pictures(figures):
    """Check that each picture has a title and labelled axes, and that nothing is cut off."""
    for path, figure in figures.items():
        figure.canvas.draw()
        # Images have no axes.
        shown = [on for on in figure.axes if on.axison and len(on.get_yticks())]
        panels = [on for on in shown if on.get_label() != "<colorbar>"]
        assert figure.get_suptitle() or all(on.get_title() for on in panels), path
        assert all(on.get_ylabel() for on in shown), path
        # Of panels stacked on each other only the last one needs an x label.
        assert all(on.get_xlabel() for on in panels[-1:]), path
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) > -0.02, path
        assert drawn.x1 < width + 0.02, path
        assert drawn.y1 < height + 0.02, path
        titles = [on.title.get_window_extent() for on in figure.axes if on.get_title()]
        assert not any(
            one.overlaps(other) for i, one in enumerate(titles) for other in titles[:i]
        ), path


@seven
def test_each_picture_has_a_title_and_labelled_axes_and_nothing_is_cut_off(name):
    check_pictures(small(name)[2])


@pytest.fixture
def jupyter(tmp_path, monkeypatch):
    """Pretend to be a Jupyter kernel, in a new folder: a list of what is shown below the cells."""
    shown = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    # These arguments are the kernel's, not options of the program.
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    display = ModuleType("IPython.display")
    display.display = shown.append
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    with np.errstate():
        yield shown


def run_cells(name):
    """Run the cells of a program one by one."""
    names = {"__name__": "__main__"}
    for n, cell in enumerate((EXAMPLES / f"{name}.py").read_text().split("# %% ")):
        exec("# " + cell if n else cell, names)


@pytest.mark.parametrize("name", ["slope", "two_weights", "words"])
def test_in_jupyter_the_cells_run_one_by_one(name, jupyter, tmp_path, capsys):
    run_cells(name)
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [f"{name}.png"]


@pytest.mark.parametrize("name", ["slope", "line", "two_weights", "words"])
def test_in_jupyter_each_figure_shows_itself(name, jupyter, capsys):
    run_cells(name)
    assert len(jupyter) == capsys.readouterr().out.count("picture: ") > 0
    assert all(figure._repr_png_().startswith(b"\x89PNG") for figure in jupyter)


def test_on_the_command_line_no_figure_is_shown(monkeypatch, jupyter, tmp_path, capsys):
    monkeypatch.delitem(sys.modules, "ipykernel")
    monkeypatch.setattr(sys, "argv", ["slope.py", "--out", str(tmp_path)])
    run_cells("slope")
    assert not jupyter


@pytest.mark.parametrize("name", ["slope.py", "/somewhere/examples/digits.py"])
def test_in_jupyter_the_arguments_of_percent_run_are_the_programs(name, jupyter, monkeypatch):
    import program

    assert program.arguments() == []
    monkeypatch.setattr(sys, "argv", [name, "--out", "here"])
    assert program.arguments() is None


@pytest.mark.parametrize(
    "arguments",
    [["--out", __file__], ["--seed", "-1"], ["--splits", "0"], ["--splits", "x"], ["--split", "3"]],
)
def test_an_option_that_will_not_do_is_one_clear_line(arguments):
    program = [sys.executable, EXAMPLES / "words.py", *arguments]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search(
        r"words.py: error: .*(--out: .* is a file|--se.*0 or more|--splits.*2 or more|--split 3)",
        done.stderr,
    )


def test_ctrl_c_ends_a_program_without_a_traceback(tmp_path):
    # A shell starts what runs in the background with Ctrl-C switched off, and so might these tests.
    code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code += "; sys.argv = ['x']; import program; program.options(program.parser('Why?'))"
    code += "; os.kill(os.getpid(), signal.SIGINT)"
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode != 0
    assert done.stderr == "\nstopped\n"


@seven
def test_the_learners_path_has_its_question_and_its_pictures(name):
    page = (EXAMPLES / "README.md").read_text()
    question = " ".join(
        ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text())).split("\n\n")[0].split()
    )
    section = re.search(
        rf"^## \d\. {re.escape(question)}\n(.*?)^## ", page, re.MULTILINE | re.DOTALL
    )
    assert set(small(name)[2]) == set(re.findall(r"!\[[^]]+\]\(pictures/(.*?)\)", section[1]))
    assert f"[{name}.py]({name}.py)" in page
    assert f" {name} " in re.search(r"^for program in .*$", page, re.MULTILINE)[0]


def test_all_links_of_the_learners_path_lead_somewhere():
    links = re.findall(r"\]\((.*?)\)", (EXAMPLES / "README.md").read_text())
    assert len(links) > 20
    assert all((EXAMPLES / link).is_file() for link in links)


# ── slope.py ──────────────────────────────────────────────────────────────────────────────────────


@of["slope"]
def test_the_slope_is_the_one_on_paper_and_2_at_0():
    its, printed, _, _ = small("slope")
    assert its.slope(0.0) == 2
    assert its.error < 1e-12
    for x in np.linspace(-3, 3, 13).tolist():
        np.testing.assert_allclose(its.slope(x), 9 * x**2 - 12 * x + 2)
        np.testing.assert_allclose(its.curvature(x), 18 * x - 12)
    assert re.search(r"^ +0\.0 +0\.000 +2\.000 .* ascends$", printed, re.MULTILINE)


@of["slope"]
def test_the_slope_says_whether_the_curve_ascends_and_how_steeply():
    its, printed, _, _ = small("slope")
    for x in its.POINTS:
        assert (its.f(x + 1e-4) > its.f(x)) == (its.slope(x) > 0)
        np.testing.assert_allclose(its.f(x + 1e-4) - its.f(x), 1e-4 * its.slope(x), rtol=0.01)
    assert printed.count("ascends") == sum(its.slope(x) > 0 for x in its.POINTS)
    for x, row in zip(
        its.POINTS, re.findall(r"^ +(-?\d\.\d) (.*)scends$", printed, re.MULTILINE), strict=True
    ):
        slope, *quotients = map(float, row[1].split()[1:5])
        errors = [abs(quotient - slope) for quotient in quotients]
        assert errors == sorted(errors, reverse=True), x  # a smaller step comes nearer to the slope


@of["slope"]
def test_the_curve_is_level_at_a_maximum_and_at_a_minimum_that_is_only_local():
    its, printed, _, _ = small("slope")
    np.testing.assert_allclose(its.LEVEL, [(12 - 72**0.5) / 18, (12 + 72**0.5) / 18])
    assert its.KINDS == ["maximum", "minimum"]
    around = np.linspace(its.lowest - 0.3, its.lowest + 0.3, 61)
    assert min(its.f(x) for x in around) >= its.f(its.lowest) - 1e-12
    assert its.f(its.lower) < its.f(its.lowest) < its.f(its.lower + 0.002)
    assert its.f(-10) < its.f(-1) < its.f(its.lowest)
    assert "f(-100) = -3,060,200" in printed


@of["slope"]
def test_descent_from_right_of_the_maximum_ends_at_the_minimum_and_from_left_of_it_nowhere():
    its, printed, _, _ = small("slope")
    for start, end in zip(its.STARTS, its.ENDS, strict=True):
        assert (end < -10) if start < its.LEVEL[0] else abs(end - its.lowest) < 1e-6
    assert printed.count("without end") == 1 + sum(start < its.LEVEL[0] for start in its.STARTS)


CURVE = "return 3 * x**3 - 6 * x**2 + 2 * x"
NO_LOWER = r"and at 20,000 places within 10 of it f is nowhere lower"
NOTHING = r"finds no level point from x = -1, 0, 1, 2\.\s+Newton's method has found no minimum"
CURVES = {
    "x**2": rf"At x = 0\.0000 .* a bowl \(\+2\.00\), a minimum\.\s+f\(0\.000\) = 0\.000, {NO_LOWER}",
    "x**4 - x**2": rf"At x = -0\.7071 .*minimum\.\sAt x = 0\.0000 .*maximum\.\sAt x = 0\.7071 .*minimum\.\s+f.*{NO_LOWER}",
    "np.sin(3 * x)": rf"no level point from x = 0\.\s(.|\n)*At x = 1\.5708 .*a minimum\.\s+f\(1\.571\) = -1\.000, {NO_LOWER}",
    "x**3 - x": r"a minimum\.\s+f\(0\.577\) = -0\.385, but left of x = -1\.156 f is lower still, and falls without end",
    "x - x**3": r"f\(-0\.577\) = -0\.385, but right of x = 1\.156 .* without end:\sf\(1\) = 0   f\(10\) = -990 ",
    # Far to the left, at −75, it turns.
    "x**3 - x + 0.01 * x**4": r"f\(0\.57\d\) = -0\.38\d, but at x = -1\.1\d\d f is lower still\.",
    "abs(x)": rf"At x = 0\.0000 f has a kink: the slope jumps from -1\.00 to 1\.00\.\s+f\(0\.000\) = 0\.000, {NO_LOWER}",
    "np.exp(-(x**2))": r"a hill \(-2\.00\), a maximum\.\s+Newton's method has found no minimum",
    "x**3": r"At x = 0\.0000 the slope is 0\. On both sides it is above 0: a terrace, no minimum and no maximum\.",
    "x**4": r"At x = 0\.0000 .* a bowl \(\+0\.00\), a minimum\.",
    "3.0": r"At x = 2\.0000 the slope is 0\. It stays 0 beside it: a plain\.\s+Newton's method has found no minimum",
    "2 * x + 1": NOTHING,
    "1 / x": rf"0\.0 +has no value(.|\n)*{NOTHING}",
    "np.sqrt(x)": rf"-0\.3 +has no value(.|\n)*{NOTHING}",
    "np.log(x)": rf"{NOTHING}(.|\n)*from -0\.2 to -0\.2, where f has no value",
    "np.tanh(x)": NOTHING,
    "-(x**2)": r"a maximum\.\s+Newton's method has found no minimum(.|\n)*from  2\.0 down the right side, without end",
    "x**5 - 3 * x": r"At x = 0\.8801 .*a minimum\.\s+f\(0\.880\) = -2\.112, but left of x = -1\.453 .* without end",
    "np.maximum(x, 0)": r"0\.0 +0\.000 +none .* has a kink",
}


@pytest.fixture(scope="module")
def other_curve():
    """slope.py with another curve: what it prints, and its figures."""
    return cache(lambda curve: edited("slope", {CURVE: f"return {curve}"}))


@of["slope"]
@pytest.mark.parametrize(("curve", "said"), CURVES.items(), ids=CURVES)
def test_another_curve_is_told_of_as_it_is(curve, said, other_curve):
    printed, figures = other_curve(curve)
    assert re.search(said, printed), printed
    assert list(figures) == ["slope.png"]


@of["slope"]
@pytest.mark.parametrize("curve", CURVES)
def test_another_curve_is_not_said_to_have_the_derivative_on_paper(curve, other_curve):
    assert "on_paper is not the derivative" in other_curve(curve)[0].replace("\n", " ")


@of["slope"]
def test_a_derivative_on_paper_that_was_changed_with_the_curve_is_said_to_agree():
    printed, _ = edited(
        "slope",
        {CURVE: "return x**4 - x**2", "return 9 * x**2 - 12 * x + 2": "return 4 * x**3 - 2 * x"},
    )
    assert re.search(r"grad\(f\) and 4x³ − 2x differ by at most \S+ between", printed)


@of["slope"]
@pytest.mark.parametrize(
    "curve",
    [
        "x**2",
        "x**4 - x**2",
        "np.sin(3 * x)",
        "x**3 - x + 0.01 * x**4",
        "abs(x)",
        "np.exp(-(x**2))",
        "3.0",
        "1 / x",
        "np.sqrt(x)",
        "np.tanh(x)",
    ],
)
def test_a_curve_that_does_not_fall_without_end_is_not_said_to(curve, other_curve):
    assert "without end" not in other_curve(curve)[0]


@of["slope"]
def test_a_curve_from_which_every_start_leads_to_one_place_is_not_said_to_depend_on_it(other_curve):
    assert "to the same place from every start" in other_curve("x**2")[0]
    assert "depends on where it starts" in other_curve("x**4 - x**2")[0]


@of["slope"]
@pytest.mark.parametrize("curve", CURVES)
def test_in_the_picture_of_another_curve_nothing_is_cut_off(curve, other_curve):
    figures = other_curve(curve)[1]
    check_pictures(figures)
    for on in figures["slope.png"].axes:
        texts = [text.get_window_extent() for text in on.texts]
        assert not any(one.overlaps(other) for n, one in enumerate(texts) for other in texts[:n]), (
            curve
        )
        assert all(text.y1 <= on.bbox.y1 for text in texts)


@of["slope"]
def test_near_a_pole_the_picture_shows_what_is_beside_it(other_curve):
    for on in other_curve("1 / x")[1]["slope.png"].axes:
        low, high = on.get_ylim()
        assert high - low < 120  # not 10³¹, the slope at 6e-16 from the pole


@of["slope"]
def test_the_axis_bears_the_formula_of_the_curve_that_was_put_in(other_curve):
    assert small("slope")[2]["slope.png"].axes[0].get_ylabel() == "f(x) = 3x³ − 6x² + 2x"
    assert other_curve("x**5 - 3 * x")[1]["slope.png"].axes[0].get_ylabel() == "f(x) = x⁵ − 3x"


@of["slope"]
def test_the_title_says_where_the_curve_that_was_put_in_is_level(other_curve):
    above = other_curve("x**3 - x")[1]["slope.png"].axes[0]
    assert (
        above.get_title()
        == "At x = 0 the slope is −1: f falls 1 times as fast as x grows.\nIt is level at −0.58 and 0.58"
    )


@of["slope"]
def test_a_curve_without_a_value_anywhere_in_the_picture_is_one_clear_line():
    with pytest.raises(SystemExit, match=r"f has no value between -0\.65 and 1\.9"):
        edited("slope", {CURVE: "return np.log(x - 50)"})


def formula_of(definition, tmp_path, monkeypatch):
    """What `program.formula` returns for the last function in `definition`, put in a file."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import program

    path = tmp_path / "defined.py"
    path.write_text(definition)
    return program.formula(runpy.run_path(str(path))["f"])


@pytest.mark.parametrize(
    ("code", "formula"),
    [
        ("3 * x**3 - 6 * x**2 + 2 * x", "3x³ − 6x² + 2x"),
        ("-(x**2)", "−x²"),
        ("x**10 / 2", "x¹⁰ / 2"),
        ("x**0.5 * x", "x^0.5 · x"),
        ("x / 2 * x", "x / 2 · x"),
        ("2 * (x + 1) ** 2", "2(x + 1)²"),
        ("np.exp(-(x**2))", "exp(−x²)"),
        ("operations.sin(3 * x)", "sin(3x)"),
        ("2**x", "2^x"),
    ],
)
def test_a_formula_is_read_from_the_program_as_one_writes_it_on_paper(
    code, formula, tmp_path, monkeypatch
):
    assert (
        formula_of(f'def f(x):\n    """The curve."""\n    return {code}\n', tmp_path, monkeypatch)
        == formula
    )


@pytest.mark.parametrize(
    "definition",
    [
        "def f(x):\n    if x > 0:\n        return x\n    return -x\n",
        "def f(t):\n    return t**2\n",
        "from microgd import grad\ndef g(x):\n    return x**2\nf = grad(g)\n",
        "import numpy\nf = numpy.tanh\n",
        "f = abs\n",
    ],
)
def test_a_function_that_is_not_one_formula_of_x_has_none(definition, tmp_path, monkeypatch):
    assert formula_of(definition, tmp_path, monkeypatch) == ""


# ── line.py ───────────────────────────────────────────────────────────────────────────────────────


@of["line"]
def test_the_line_is_that_of_least_squares_to_four_digits():
    _, printed, _, _ = small("line")
    descent, exact = (
        [
            float(x)
            for x in re.search(rf"{who}: +mass = (\S+) g/mm \* length (\S+) g", printed).groups()
        ]
        for who in ("gradient descent", "least squares")
    )
    with open(EXAMPLES / "data" / "penguins.csv", newline="") as file:
        rows = [(row["flipper_length_mm"], row["body_mass_g"]) for row in csv.DictReader(file)]
    length, mass = np.array([row for row in rows if "NA" not in row], float).T
    columns = np.stack([length, np.ones_like(length)], axis=1)
    np.testing.assert_allclose(exact, np.linalg.lstsq(columns, mass)[0], atol=0.01)
    np.testing.assert_allclose(descent, exact, rtol=5e-5)


@pytest.mark.parametrize("lr", [0.03, 0.3, 0.9])
def test_the_line_converges_from_several_learning_rates(lr):
    its, _, _, _ = run("line", "--lr", lr)
    np.testing.assert_allclose((its.w, its.b), np.polyfit(its.length, its.mass, 1), rtol=5e-5)


@pytest.mark.parametrize(
    ("lr", "said"),
    [
        ("5", "diverges: try a smaller"),
        ("1e30", "diverges: try a smaller"),
        ("1e-7", "still falling: try a larger"),
    ],
)
def test_the_line_says_when_it_has_not_converged(lr, said):
    with pytest.raises(SystemExit, match=said):
        run("line", "--lr", lr)


@pytest.mark.parametrize("name", ["line", "two_weights"])
@pytest.mark.parametrize("lr", [-1.0, 0.0, np.nan, np.inf, "fast"])
def test_a_learning_rate_that_leads_nowhere_is_an_error(name, lr, capsys):
    with pytest.raises(SystemExit):
        run(name, f"--lr={lr}")
    assert "--lr: must be a number above 0, and finite" in capsys.readouterr().err


def test_a_line_that_has_stopped_far_from_the_minimum_is_not_said_to_have_arrived():
    # It jumps back and forth between two places of equal height.
    its, printed, figures, _ = run("line", "--lr", 1.0)
    assert not its.ARRIVED
    assert "These differ." in printed
    assert "but that of least squares has 49.7" in figures["line.png"].axes[0].get_title()


@of["line"]
@pytest.mark.parametrize("start", [-2.0, 0.0, 0.69, 5.0])
def test_the_slopes_alone_tell_whether_a_shot_has_come_nearer(start):
    its, _, _, _ = small("line")
    np.testing.assert_allclose(its.slope(its.nearest), 0, atol=1e-12)
    np.testing.assert_allclose(its.ENDS, its.nearest, atol=1e-6)
    for lr in (0.01, 0.3, 0.6, 0.99, 1.01, 1.5):
        tried = its.shots(start, lr, 6)
        distances = [abs(w - its.nearest) for w in tried]
        nearer = ["toward" if now < before else "away" for before, now in pairwise(distances)]
        assert its.verdicts(tried) == ["start", *nearer]
        assert set(nearer) == ({"toward"} if lr < 1 else {"away"})


@of["line"]
def test_with_a_tiny_learning_rate_the_loss_has_converged_far_from_the_minimum():
    its, printed, figures, _ = small("line")
    (slow, slow_lines), (fast, fast_lines) = its.CONVERGED[its.TINY], its.CONVERGED[0.1]
    assert train.has_converged(slow, its.TOLERANCE)
    assert train.has_converged(fast, its.TOLERANCE)
    assert slow[-1] > 100 * its.lowest > 99 * fast[-1]
    assert np.hypot(*slow_lines[-1][2:]) > 0.99 * np.hypot(*slow_lines[0][2:])
    assert np.hypot(*fast_lines[-1][2:]) < 0.01 * np.hypot(*fast_lines[0][2:])
    assert f"{slow[-1] / its.lowest:.3f} times the smallest loss" in printed.replace("\n", " ")
    legend = [text.get_text() for text in figures["line.png"].axes[1].get_legend().get_texts()]
    assert [f"nearly stops changing: step {len(run) - 1}" for run in (fast, slow)] == legend[1::2]


@pytest.mark.parametrize("rates", ["(0.5,)", "(0.15, 1.0)", "(0.01, 0.15, 0.8, 1.04, 3.0)"])
def test_any_number_of_learning_rates_has_a_picture_each(rates):
    _, figures = edited("line", {"(0.15, 0.8, 1.04)": rates})
    assert len(figures["line_one_weight.png"].axes) == len(ast.literal_eval(rates))
    check_pictures(figures)


def test_shots_that_jump_to_and_fro_at_one_height_are_said_to_go_neither_nearer_nor_farther():
    printed, figures = edited("line", {"(0.15, 0.8, 1.04)": "(1.0,)"})
    assert (
        figures["line_one_weight.png"]
        .axes[0]
        .get_title()
        .endswith("the shots go\nneither nearer nor farther")
    )
    assert printed.count("as far") == 6


def test_a_loss_that_still_changes_is_not_said_to_have_stopped():
    printed, figures = edited(
        "line", {"TINY, TOLERANCE = 1e-5, 1e-3": "TINY, TOLERANCE = 1e-5, 1e-8"}
    )
    said = printed.replace("\n", " ")
    assert (
        "Learning rate 0.1: within 5 steps the loss changes by less than 1 part in 100,000,000 at step"
        in said
    )
    assert (
        "Learning rate 1e-05: within 5 steps the loss still changes by more than 1 part in 100,000,000 at step 9999"
        in said
    )
    assert figures["line.png"].axes[1].get_title().startswith("Not all stop changing")


# ── learning_rate.py ──────────────────────────────────────────────────────────────────────────────


@of["learning_rate"]
def test_the_goldilocks_zone_ends_where_the_largest_curvature_says():
    its, _, _, _ = small("learning_rate")
    for name, feature in its.BOWLS.items():
        columns = np.stack([feature, np.ones_like(feature)])
        np.testing.assert_allclose(
            its.LIMIT[name], 2 / np.linalg.eigvalsh(2 * columns @ columns.T / feature.size)[-1]
        )
        np.testing.assert_allclose(its.ZONE[name], its.LIMIT[name], rtol=0.02)
        assert np.isinf(its.STEPS[name][its.RATES > its.LIMIT[name]]).all()
        assert np.isfinite(
            its.STEPS[name][(its.RATES > 1e-3) & (its.RATES < 0.95 * its.LIMIT[name])]
        ).all()
    np.testing.assert_allclose(its.ZONE["flat"] / its.ZONE["steep"], 100, rtol=0.02)
    assert np.isfinite(its.far[0.9])
    assert not np.isfinite(its.far[1.1])


@of["learning_rate"]
def test_the_rate_multiplies_the_slope_and_not_the_weight():
    its, _, _, _ = small("learning_rate")
    exact = np.polyfit(its.flat, its.mass, 1)[0]
    assert abs(its.shots(-0.2, 0.2, 30)[-1] - exact) < 1e-6
    assert its.loss_at((its.PRODUCTS[-1], its.b), its.flat) > 4 * its.loss_at(
        (exact, its.b), its.flat
    )


@of["learning_rate"]
def test_the_shots_are_called_what_they_are():
    titles = [on.get_title() for on in small("learning_rate")[2]["learning_rate_shots.png"].axes]
    for title, verdict in zip(titles, ("too small", "fine", "too large"), strict=True):
        left = float(re.search(r"([\d.]+)% left after 6 steps", title)[1])
        assert f"is {verdict}:" in title
        assert {"too small": 10 < left < 100, "fine": left < 10, "too large": left > 100}[verdict]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_step_in_a_network_breaks_even_at_2_by_its_curvature(seed):
    its, printed, _, _ = run("learning_rate", "--steps", 40, "--rates", 10, "--seed", seed)
    assert list(its.BREAK_EVEN) == [0, 10, 40]
    np.testing.assert_allclose(list(its.BREAK_EVEN.values()), 1, atol=0.1)
    # The program made one more step after its last measurement.
    turned = hvp(its.network_loss(), its.weights, its.vector)
    along = [np.sum(t * v) for t, v in zip(turned, its.vector, strict=True)]
    np.testing.assert_allclose(sum(along), its.curvature_at[40], rtol=0.1)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        other = [rng.normal(size=p.shape) for p in its.weights]
        curvature = sum(
            np.sum(h * v)
            for h, v in zip(hvp(its.network_loss(), its.weights, other), other, strict=True)
        )
        assert abs(curvature) < its.curvature_at[40] * sum(np.sum(v**2) for v in other)
    assert f"{its.BREAK_EVEN[40]:.1%} of 2/λ" in printed


def test_a_bowl_in_which_no_rate_arrives_is_one_clear_line():
    with pytest.raises(
        SystemExit, match=r"steep bowl: none of the rates from 0\.0001 to 1 arrives"
    ):
        edited("learning_rate", {"MOST = 3000": "MOST = 20"}, "--rates", 20)


# ── two_weights.py ────────────────────────────────────────────────────────────────────────────────


@of["two_weights"]
def test_each_next_point_is_the_point_and_the_nudge():
    its, printed, _, _ = small("two_weights")
    for point, nudge, after in zip(its.path, its.nudges, its.path[1:], strict=False):
        np.testing.assert_array_equal(point + nudge, after)
        loss = Value(point)
        np.testing.assert_allclose(nudge, -0.2 * gradients(its.loss(loss), [loss])[0])
    np.testing.assert_allclose(its.path[-1], its.lowest, atol=1e-3)
    first = [
        float(x)
        for x in re.search(r"   0  \[(.*?)\]  \+  \[(.*?)\]  =  \[(.*?)\]", printed).groups()
    ]
    np.testing.assert_allclose(first, [its.path[0][0], its.nudges[0][0], its.path[1][0]], atol=1e-4)
    assert min(its.ASIDE) > 5  # degrees: a nudge points straight downhill, not to the lowest point


def test_a_network_that_diverges_is_one_clear_line():
    with pytest.raises(SystemExit, match=r"the network's loss is .* try a smaller --network-rate"):
        run("learning_rate", "--rates", 10, "--steps", 400, "--network-rate", 3)


def test_a_descent_that_runs_away_is_one_clear_line():
    with pytest.raises(
        SystemExit, match=r"the loss has grown from 2\.453 to .* try a smaller --lr"
    ):
        run("two_weights", "--lr", 0.9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_direction_is_steeper_than_the_gradients(seed):
    its, printed, _, _ = run("two_weights", "--seed", seed)
    assert len(its.BEST) == 24
    for best, length in its.BEST:
        assert 0.9999 * length < best < length * (1 + 1e-6)
    assert its.beaten == 0
    assert "At none of 24 points was a direction steeper" in printed.replace("\n", " ")
    np.testing.assert_allclose(its.slopes, its.DIRECTIONS @ its.gradient, atol=1e-6)


@of["two_weights"]
def test_the_larger_element_of_the_gradient_is_another_one_in_other_units():
    its, _, _, _ = small("two_weights")
    larger = {name: abs(g[0]) > abs(g[1]) for name, g in its.GRADIENTS.items()}
    assert set(larger.values()) == {True, False}
    np.testing.assert_allclose(list(its.LOSSES.values()), its.LOSSES["both in standard deviations"])
    assert max(its.RATIOS) > 1.5 * min(its.RATIOS)
    assert min(its.WITHOUT) > its.loss(its.lowest)


@pytest.mark.parametrize("start", ["[0.0, 0.0], 3", "[3.0, 0.0], 1"])
def test_the_arrows_are_told_of_from_any_start(start):
    printed, figures = edited("two_weights", {"[-0.4, 0.6], 40": start})
    assert "nan" not in printed
    check_pictures(figures)


def test_a_start_at_the_lowest_point_is_one_clear_line():
    there = "np.linalg.lstsq(np.stack([length, depth], axis=1), mass)[0], 4"
    with pytest.raises(SystemExit, match=r"START is the lowest point, so there is no descent"):
        edited("two_weights", {"[-0.4, 0.6], 40": there})


# ── baskets.py ────────────────────────────────────────────────────────────────────────────────────


@of["baskets"]
@pytest.mark.parametrize("seed", [0, 1])
def test_baskets_of_examples_need_a_third_of_the_visits_or_fewer_each_way_at_its_best_rate(seed):
    its, printed, _, _ = (
        small("baskets") if seed == 0 else run("baskets", "--examples", 600, "--seed", seed)
    )
    full, sgd, block, longer = (its.BEST[name][1] for name in its.WAYS)
    for history in (full, sgd, block, longer):
        assert history[0][2] > 2 > its.GOAL >= history[-1][2]
    assert 3 * sgd[-1][0] <= full[-1][0]
    assert 3 * sgd[-1][0] <= min(block[-1][0], longer[-1][0])
    assert f"{int(sgd[-1][0]):,d}" in printed
    for _, (lr, _) in its.BEST.items():
        assert min(its.RATES) < lr < max(its.RATES)  # the best rate is not at the edge of the grid


@of["baskets"]
def test_the_basket_of_weights_descends_as_its_formula_says():
    its, _, _, _ = small("baskets")
    model = its.start()
    before = model.weight.data.copy()
    steps = its.some_weights_all_examples(model, 0.5, np.random.default_rng(0), times=2)
    pixels = np.random.default_rng(0).choice(784, its.PIXELS, replace=False)
    (slope,) = gradients(nn.cross_entropy(model(its.x), its.y), [model.weight])
    next(steps)
    moved = model.weight.data - before
    np.testing.assert_allclose(moved[:, pixels], -0.5 * slope[:, pixels], rtol=1e-3, atol=1e-6)
    assert not np.delete(moved, pixels, axis=1).any()
    next(steps)
    # This is the slope before the third step.
    (slope,) = gradients(nn.cross_entropy(model(its.x), its.y), [model.weight])
    before = model.weight.data.copy()
    next(steps)
    moved = np.flatnonzero((model.weight.data - before).any(axis=0))
    assert 0 < len(set(moved) - set(pixels))  # a different basket
    np.testing.assert_allclose(
        (model.weight.data - before)[:, moved], -0.5 * slope[:, moved], rtol=1e-3, atol=1e-6
    )


@of["baskets"]
def test_all_slopes_cost_at_most_four_times_the_loss_whatever_the_number_of_weights():
    its, printed, _, _ = small("baskets")
    assert [count for count, *_ in its.COSTS.values()] == [7_850, 13_002, 101_770, 669_706]
    for count, forward, reverse, differences in its.COSTS.values():
        assert 0.5 * forward < reverse <= 4 * forward
        assert differences == count * forward
        assert f"{differences:,}" in printed
    rng = np.random.default_rng(0)
    for depth in (1, 2, 5, 20):
        for width in (1, 10, 100):
            layers = [nn.Linear(width, width, rng=rng) for _ in range(depth)]
            network = nn.Sequential(*(part for layer in layers for part in (layer, nn.Sigmoid())))
            loss = nn.mse_loss(network(np.ones((4, width))), np.zeros((4, width)))
            forward = its.multiply_adds(loss)
            both = its.multiply_adds(
                loss, *gradients(loss, network.parameters(), create_graph=True)
            )
            assert both - forward <= 4 * forward


@of["baskets"]
def test_multiply_adds_are_counted_once_each():
    its, _, _, _ = small("baskets")
    x, w = Value(np.ones((5, 7))), Value(np.ones((7, 3)))
    product = x @ w
    assert its.multiply_adds(product) == 5 * 7 * 3
    assert its.multiply_adds(product, product + 1, x) == 5 * 7 * 3 + 15
    assert its.multiply_adds(nn.Linear(7, 3)(np.ones((5, 7)))) == 5 * 7 * 3


@of["baskets"]
@pytest.mark.parametrize("seed", [0, 1])
def test_the_scatter_of_a_baskets_gradient_falls_with_the_root_of_its_size(seed):
    its, _, _, _ = (
        small("baskets") if seed == 0 else run("baskets", "--examples", 300, "--seed", seed)
    )
    np.testing.assert_allclose(its.EXPONENT, -0.5, atol=0.05)
    each = np.stack([its.slopes(np.array([i])) for i in range(len(its.x))])
    np.testing.assert_allclose(each.mean(axis=0), its.exact, atol=1e-5)
    expected = np.sqrt(np.mean(np.sum((each - its.exact) ** 2, axis=1))) / np.linalg.norm(its.exact)
    np.testing.assert_allclose(its.SCATTER[0], expected, rtol=0.2)


def test_a_way_that_does_not_get_down_to_the_goal_is_said_not_to():
    edits = {"[2.0**n for n in range(5, -6, -1)]": "[0.1]", "[784, 512, 512, 10]": "[784, 10]"}
    printed, figures = edited("baskets", edits, "--examples", 300)
    assert re.search(
        r"a basket of weights, all examples +not within 30,000 examples looked at", printed
    )
    assert re.search(
        r"SGD's = 1:\nall examples [\d.]+$", figures["baskets.png"].axes[0].get_title()
    )


def test_a_goal_that_no_way_gets_down_to_is_one_clear_line():
    with pytest.raises(SystemExit, match=r"no way gets down to a loss of 0\.4: try a higher GOAL"):
        edited(
            "baskets",
            {
                "[2.0**n for n in range(5, -6, -1)]": "[1e-6]",
                "MOST = 100 * len(x)": "MOST = 5 * len(x)",
            },
            "--examples",
            300,
        )


# ── digits.py ─────────────────────────────────────────────────────────────────────────────────────


@needs_tqdm
def test_the_digit_networks_learn_the_sample_and_are_saved(tmp_path):
    _, printed, _, _ = run(
        "digits", "--train-only", "--epochs", 4, "--save", tmp_path / "learned.npz"
    )
    accuracies = [float(x) for x in re.findall(r"^ +4 .* (\S+)%$", printed, re.MULTILINE)]
    garbage = [
        float(x) for x in re.findall(r"before training: (\S+)% of the test digits right", printed)
    ]
    assert len(accuracies) == len(garbage) == 2
    assert min(accuracies) > 80
    assert max(garbage) < 25
    assert "7,850 weights and biases" in printed
    assert "13,002 weights and biases" in printed
    assert re.search(r"the network says \d \(\d+%\)", printed)
    with np.load(tmp_path / "learned.npz") as saved:
        assert saved["networks.784-10.0.weight"].shape == (10, 784)
        assert sum(saved[name].size for name in saved) == 7_850 + 13_002


@needs_tqdm
def test_the_digit_networks_are_the_same_for_the_same_seed():
    runs = [run("digits", "--train-only", "--epochs", 1, "--seed", seed)[1] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@needs_tqdm
def test_ctrl_c_ends_training_cleanly_and_saves_what_was_learned(tmp_path, monkeypatch):
    fit, calls = train.fit, []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:  # the second network
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    monkeypatch.setattr(train, "fit", interrupted)
    with pytest.raises(SystemExit) as caught:
        run("digits", "--epochs", 1, "--save", tmp_path / "learned.npz")
    assert caught.value.code == 130
    with np.load(tmp_path / "learned.npz") as saved:
        assert "networks.784-10.0.weight" in saved


@needs_tqdm
def test_training_goes_on_from_what_was_saved(tmp_path):
    path = tmp_path / "learned.npz"
    first = re.findall(
        r"^ +3 .* (\S+)%$",
        run("digits", "--train-only", "--epochs", 3, "--save", path)[1],
        re.MULTILINE,
    )
    before = re.findall(
        r"before these epochs: (\S+)% of",
        run("digits", "--train-only", "--epochs", 1, "--load", path)[1],
    )
    assert before == [f"{float(accuracy):.1f}" for accuracy in first]


@needs_tqdm
def test_a_file_that_cannot_be_loaded_is_not_overwritten(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, something=np.ones(2))
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        run("digits", "--epochs", 1, "--load", path, "--save", path)
    assert path.read_bytes() == before


@needs_tqdm
@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "nowhere"],
        ["--load", "nowhere.npz"],
        ["--save", "nowhere/learned.npz"],
        ["--image", "nowhere.png"],
    ],
)
def test_a_file_that_is_not_there_is_one_clear_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run("digits", *arguments)
    assert "nowhere" in str(caught.value.code) + capsys.readouterr().err


@needs_tqdm
@pytest.mark.parametrize(
    "arguments", [["--epochs", "0"], ["--epochs", "x"], ["--sed", "1"], ["--seed", "-1"]]
)
def test_a_wrong_argument_is_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run("digits", *arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@of["digits"]
@needs_tqdm
def test_a_nudge_is_held_mostly_by_its_largest_elements_and_blank_pixels_get_none():
    its, printed, _, _ = small("digits")
    x = its.digits.train.x[: its.BATCH_SIZE]
    blank = np.flatnonzero(~x.any(axis=0))
    assert (
        10 * blank.size
        == its.NEVER
        == int(re.search(r" ([\d,]+) are 0", printed)[1].replace(",", ""))
    )
    assert not its.nudge[:, blank].any()
    share = np.sort(np.abs(its.nudge).ravel())[::-1][:784]
    np.testing.assert_allclose(its.SHARE[0.1], np.sum(share**2) / np.sum(its.nudge**2), rtol=1e-5)
    assert its.SHARE[0.1] > 0.5


@of["digits"]
@needs_tqdm
def test_the_path_of_training_lies_nearly_in_a_plane():
    its, printed, _, _ = small("digits")
    points = its.path - its.path.mean(axis=0)
    held = np.sum((points @ its.own_directions.T) ** 2) / np.sum(points**2)
    np.testing.assert_allclose(its.VARIANCE.sum(), held, rtol=1e-4)
    assert held > 0.9
    assert its.WALK.sum() < held < 0.9999  # a path of up to three points always lies in a plane
    assert f"Of the path through 13,002 dimensions two hold {held:.1%}" in printed.replace(
        "\n", " "
    )


@of["digits"]
@needs_tqdm
def test_what_it_says_is_wrong_is_wrong():
    its, printed, figures, _ = small("digits")
    said = its.learned.networks["784-16-16-10"](its.digits.test.x).data.argmax(axis=1)
    assert np.array_equal(its.wrong, np.flatnonzero(said != its.digits.test.y))
    assert f"{len(its.wrong)} of 1,000 test digits are named wrongly" in printed
    shown = [
        on.images[0].get_array().ravel() for on in figures["digits_wrong.png"].axes if on.images
    ]
    np.testing.assert_array_equal(shown, its.digits.test.x[its.surest].astype(float))
    counts = [text.get_text() for text in figures["digits_confusion.png"].axes[0].texts]
    right = [int(counts[11 * digit].replace("·", "0")) for digit in range(10)]
    assert sum(right) == 1000 - len(its.wrong)


@of["digits"]
@needs_tqdm
def test_both_losses_teach_the_network_and_the_one_that_ends_higher_is_named():
    its, printed, figures, _ = small("digits")
    ends = {what: curves[:, -1].mean() for what, (_, _, curves) in its.BY_LOSS.items()}
    assert min(ends.values()) > 0.6
    assert f"{max(ends, key=ends.get)} ends" in figures["digits_losses.png"].axes[0].get_title()
    for what, end in ends.items():
        assert re.search(rf"{what} *: .*{end:.1%} after the last", printed)


def photo(image, rng, dark_on_light=True, tilt=0.0):
    """An MNIST digit as a photo: enlarged, somewhere on grey paper, in uneven light, with noise."""
    big = np.asarray(
        Image.fromarray((255 * image.reshape(28, 28)).astype(np.uint8)).resize(
            (336, 336), Image.Resampling.BICUBIC
        )
    )
    page = (
        (210.0 if dark_on_light else 40.0)
        + np.linspace(-tilt, tilt, 600)
        + rng.normal(0, 3, (800, 600))
    )
    top, left = rng.integers(0, 460), rng.integers(0, 260)
    page[top : top + 336, left : left + 336] += big / 255 * (-160 if dark_on_light else 180)
    return Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))


@of["digits"]
@needs_tqdm
@pytest.mark.parametrize("dark_on_light", [True, False])
def test_a_photo_of_a_digit_becomes_what_it_is_in_mnist(dark_on_light, tmp_path):
    its, _, _, _ = small("digits")
    model, rng = its.learned.networks["784-16-16-10"], np.random.default_rng(0)
    prepared, originals, labels = [], its.digits.test.x[:100], its.digits.test.y[:100]
    for image in originals:
        photo(image, rng, dark_on_light, tilt=8.0).save(tmp_path / "photo.png")
        prepared.append(its.prepared(tmp_path / "photo.png")[1])
    prepared = np.array(prepared)
    assert prepared.shape == (100, 784)
    assert prepared.dtype == np.float32
    likeness = (
        np.sum(prepared * originals, axis=1)
        / np.linalg.norm(prepared, axis=1)
        / np.linalg.norm(originals, axis=1)
    )
    assert np.median(likeness) > 0.8  # a shift by one pixel alone gives 0.81
    named, named_before = (
        np.mean(model(x).data.argmax(axis=1) == labels) for x in (prepared, originals)
    )
    assert named > named_before - 0.15


@of["digits"]
@needs_tqdm
def test_a_prepared_digit_is_in_a_box_of_20_with_its_centre_of_mass_in_the_middle(tmp_path):
    its, _, _, _ = small("digits")
    # Drawing programs save a transparent background.
    drawing = Image.new("RGBA", (300, 500), (0, 0, 0, 0))
    drawing.paste("black", (40, 60, 60, 460))
    drawing.paste("black", (40, 430, 200, 460))
    drawing.save(tmp_path / "L.png")
    image = its.prepared(tmp_path / "L.png")[1].reshape(28, 28)
    down, across = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert down[-1] - down[0] + 1 == 20
    assert across[-1] - across[0] + 1 == 8
    rows, columns = np.indices(image.shape)
    assert abs(np.average(rows, weights=image) - 13.5) <= 0.5
    assert abs(np.average(columns, weights=image) - 13.5) <= 0.5


@needs_tqdm
@pytest.mark.parametrize("content", ["text", "blank"])
def test_a_picture_with_no_digit_on_it_is_one_clear_line(content, tmp_path):
    path = tmp_path / "digit.png"
    if content == "blank":
        Image.new("L", (100, 100), 200).save(path)
    else:
        path.write_text("no picture")
    with pytest.raises(SystemExit, match=r"--image .*digit\.png.*(stands out|cannot identify)"):
        run("digits", "--image", path)


@needs_tqdm
def test_a_saved_network_names_a_digit_without_more_training(tmp_path):
    path = tmp_path / "learned.npz"
    trained = re.findall(
        r"^ +2 .* (\S+)%$",
        run("digits", "--train-only", "--epochs", 2, "--save", path)[1],
        re.MULTILINE,
    )
    photo(data.digits().test.x[3], np.random.default_rng(0)).save(tmp_path / "mine.jpg")
    printed = run(
        "digits", "--train-only", "--epochs", 0, "--load", path, "--image", tmp_path / "mine.jpg"
    )[1]
    assert re.findall(r"before these epochs: (\S+)% of", printed) == [
        f"{float(accuracy):.1f}" for accuracy in trained
    ]
    assert re.search(r"mine\.jpg: the network 784-16-16-10 says \d", printed)


@needs_tqdm
@pytest.mark.parametrize("option", ["--save", "--source"])
def test_a_folder_to_save_in_is_an_error_before_training(option, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("digits", option, tmp_path)
    assert f"error: {option} {tmp_path}: is a folder\n" in capsys.readouterr().err


@needs_tqdm
@pytest.mark.parametrize("option", ["--save", "--source"])
def test_a_file_in_no_folder_is_an_error_before_training(option, tmp_path, capsys):
    path = tmp_path / "none" / "file"
    with pytest.raises(SystemExit):
        run("digits", option, path)
    expected = f"error: {option} {path}: there is no folder {path.parent}\n"
    assert expected in capsys.readouterr().err


@needs_tqdm
def test_source_writes_the_training_step_of_the_first_network_before_training(tmp_path):
    path = tmp_path / "step.py"
    _, printed, _, _ = run("digits", "--train-only", "--epochs", 1, "--source", path)
    said = printed.index(f"a step of training the network 784-10, as a program: {path}\n")
    assert said < printed.index("before training")

    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = (array[-64:] for array in data.digits().train)
    weight, bias = (p.data for p in model.parameters())
    loss, *state = runpy.run_path(str(path))["step"](
        x=x,
        y=y,
        weight_0=weight,
        bias_0=bias,
        lr=0.05,
        velocity_weight_0=np.zeros_like(weight),
        velocity_bias_0=np.zeros_like(bias),
    )
    own_loss = nn.cross_entropy(model(x), y)
    own_loss.backward()
    optimizer.step()
    assert loss == own_loss.item()
    # each parameter twice: itself and its velocity, which is the gradient after the first step
    parameters = {p.shape: p for p in model.parameters()}
    assert len(state) == 4
    for p in parameters.values():
        found = [x for x in state if x.shape == p.shape]
        assert sum(np.array_equal(x, p.data) for x in found) == 1
        assert sum(np.array_equal(x, p.grad) for x in found) == 1


@needs_tqdm
def test_with_source_training_is_the_same_as_without(tmp_path):
    arguments = ["digits", "--train-only", "--epochs", 1]
    lines_without = run(*arguments)[1].splitlines()
    lines_with = run(*arguments, "--source", tmp_path / "step.py")[1].splitlines()
    [said] = [line for line in lines_with if line.startswith("a step of training")]
    lines_with.remove(said)
    assert lines_with == lines_without


@of["digits"]
@needs_tqdm
@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ((0, 140, 0), (220, 30, 30)),
        ((255, 255, 255, 0), (255, 255, 255, 255)),
        ((10, 10, 60), (255, 240, 0)),
    ],
)
def test_ink_is_what_is_unlike_the_paper(paper, ink, tmp_path):
    its, _, _, _ = small("digits")
    drawing = Image.new("RGBA" if len(paper) == 4 else "RGB", (200, 300), paper)
    drawing.paste(ink, (90, 50, 110, 250))
    drawing.save(tmp_path / "1.png")
    image = its.prepared(tmp_path / "1.png")[1].reshape(28, 28)
    assert image[4:24, 13:15].min() > 0.9
    np.testing.assert_allclose(image.sum(), 40, rtol=0.1)


@needs_tqdm
def test_a_digit_of_ones_own_is_named(tmp_path):
    photo(data.digits().test.x[3], np.random.default_rng(0)).save(tmp_path / "mine.jpg")
    its, printed, figures, _ = run("digits", "--epochs", 1, "--image", tmp_path / "mine.jpg")
    assert re.search(
        r"mine\.jpg: the network 784-16-16-10 says \d, with a probability of \d+%", printed
    )
    p = its.probabilities(its.learned.networks["784-16-16-10"], its.own[1][None])[0]
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    assert f"It says {p.argmax()}: {p.max():.0%}" == figures["digits_image.png"].axes[2].get_title()


SWEEP = "RATES = (0.03, 0.1, 0.3, 1.0, 3.0)"
QUICK = {
    "RATES = (0.03, 0.1, 0.3, 1.0, 3.0)": "RATES = (0.1,)",
    "range(options.seed, options.seed + 3)": "range(options.seed, options.seed + 1)",
    "    chance,\n    points=31": "    chance,\n    points=7",
    "        path=path,\n        points=31": "        path=path,\n        points=7",
}
SETTINGS = "= 0.05, 0.9, 64, 20"


@needs_tqdm
@pytest.mark.parametrize(
    ("networks", "caption"),
    [
        ("[(784, 10)]", "The 7,840 weights after training"),
        (
            "[(784, 32, 10)]",
            "784-32-10: the weights from the pixels to 10 of 32 hidden units\nafter training",
        ),
        ("[(784, 8, 10), (784, 10), (784, 8, 8, 10)]", "The 7,840 weights after training"),
        (
            "((784, 6, 10), (784, 12, 10))",
            "784-6-10: the weights from the pixels to 6 of 6 hidden units\nafter training",
        ),
    ],
)
def test_of_any_networks_the_weights_are_shown_for_what_they_are(networks, caption):
    edits = {"[(784, 10), (784, 16, 16, 10)]": networks, **QUICK}
    _, figures = edited("digits", edits, "--epochs", 1)
    assert figures["digits_weights_after.png"].get_suptitle().startswith(caption + ": ")
    assert "digits_losses.png" in figures
    check_pictures(figures)


@needs_tqdm
def test_no_network_at_all_is_one_clear_line():
    with pytest.raises(SystemExit, match="NETWORKS is empty"):
        edited("digits", {"[(784, 10), (784, 16, 16, 10)]": "[]"}, "--epochs", 1)


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("activation", ["nn.Tanh()", "nn.Sigmoid()"])
def test_with_another_activation_the_program_comes_to_its_end(activation):
    edits = {**QUICK, "nn.ReLU()]": f"{activation}]", SWEEP: "RATES = (0.1, 3.0)"}
    _, figures = edited("digits", edits, "--epochs", 1)
    assert list(figures)[-1] == "digits_losses.png"


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_learning_rate_that_diverges_is_a_result_and_not_the_end():
    printed, figures = edited("digits", {**QUICK, SWEEP: "RATES = (0.1, 1e6)"}, "--epochs", 1)
    assert re.search(
        r"cross-entropy *: rate 0\.10; .* after the last\n *cross-entropy *: diverged at 1e\+06",
        printed,
    )
    assert "learns from both" in figures["digits_losses.png"].axes[0].get_title()


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_if_every_learning_rate_diverges_the_program_says_so():
    printed, figures = edited("digits", {**QUICK, SWEEP: "RATES = (1e6,)"}, "--epochs", 1)
    assert "mean squared error: diverged at all rates, 1e+06" in printed
    assert printed.endswith("Every learning rate diverged, so there is nothing to compare.\n")
    assert "digits_losses.png" not in figures


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_training_that_diverges_is_one_clear_line():
    with pytest.raises(
        SystemExit, match=r"the network 784-16-16-10 has diverged: .* in epoch 1, batch"
    ):
        edited("digits", {SETTINGS: "= 1e5, 0.9, 64, 20"}, "--epochs", 1)


@needs_tqdm
@pytest.mark.parametrize(
    "settings", ["= 0.05, 0.9, 64, 2", "= 0.05, 0.9, 100_000, 3", "= 0.05, 0, 64, 1"]
)
def test_other_settings_lead_to_the_last_picture(settings):
    printed, figures = edited("digits", {**QUICK, SETTINGS: settings})
    assert list(figures)[-1] == "digits_losses.png"
    assert (
        f"blank in all of these {min(6000, int(settings.split(', ')[2]))} digits"
        in printed.replace("\n", " ")
    )


# ── words.py ──────────────────────────────────────────────────────────────────────────────────────


@of["words"]
@pytest.mark.parametrize("seed", [0, 100])
def test_the_species_of_birds_held_out_are_named_rightly_over_ten_splits(seed):
    its, printed, _, _ = small("words") if seed == 0 else run("words", "--seed", seed)
    assert len(its.ACCURACY["four measurements"]) == 10
    assert np.mean(its.ACCURACY["four measurements"]) >= 0.97
    assert (
        np.mean(its.ACCURACY["four measurements"]) > np.mean(its.ACCURACY["the bill alone"]) > 0.9
    )
    assert (
        f"{np.mean(its.ACCURACY['four measurements']):.1%} of the birds held out named rightly"
        in printed
    )


@of["words"]
def test_birds_held_out_take_no_part_in_learning():
    its, _, _, _ = small("words")
    _, standardized, held_out = its.learn(its.ALL, 0)
    assert len(held_out) == 85 == len(set(held_out.tolist()))
    known = np.delete(np.arange(len(its.species)), held_out)
    np.testing.assert_allclose(standardized(its.sizes[known]).mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(standardized(its.sizes[known]).std(axis=0), 1)


@of["words"]
def test_words_come_out_that_went_in_with_probabilities_that_add_up_to_1():
    its, printed, _, _ = small("words")
    assert [its.names[label] for label in its.labels] == its.species
    p = its.probabilities(its.network, its.standardized(its.sizes[:, its.PAIR]))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert its.names == ["Adelie", "Chinstrap", "Gentoo"]
    assert "For a bird of the species Adelie (0) the best answer is [1. 0. 0.]." in printed


@pytest.mark.parametrize("pair", ["[2, 3]", "[0, 2]"])
def test_the_map_of_other_measurements_bears_their_names(pair):
    _, figures = edited("words", {"PAIR = [0, 1]": f"PAIR = {pair}"}, "--splits", 2)
    on = figures["words.png"].axes[0]
    labels = {
        "[2, 3]": ("flipper length (mm)", "body mass (g)"),
        "[0, 2]": ("bill length (mm)", "flipper length (mm)"),
    }[pair]
    assert (on.get_xlabel(), on.get_ylabel()) == labels
    assert on.get_title().startswith(
        f"By {labels[0].split(' (')[0]} and {labels[1].split(' (')[0]} alone "
    )


def test_fewer_measurements_are_learned_from_alone():
    printed, _ = edited("words", {"ALL = [0, 1, 2, 3]": "ALL = [0, 3]"}, "--splits", 2)
    assert re.search(r"^two measurements +: \d", printed, re.MULTILINE)


# ── graph.py ──────────────────────────────────────────────────────────────────────────────────────


def example(name):
    """The program, imported as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        patch.setattr(sys, "excepthook", sys.excepthook)
        return SimpleNamespace(**runpy.run_path(str(EXAMPLES / f"{name}.py")))


@pytest.mark.parametrize(
    "name",
    [
        "graph",
        *(name for name in SEVEN if name != "digits"),
        pytest.param("digits", marks=needs_tqdm),
    ],
)
def test_help_says_what_the_program_does(name):
    shown = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage:" in shown.stdout


@needs_program
def test_the_ten_graphs_are_drawn_and_filmed(tmp_path, capsys):
    graph = example("graph")
    assert graph.main(["--out", str(tmp_path / "new" / "folder")]) is None
    made = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    names = [make.__name__ for make in graph.GRAPHS]
    assert names == GRAPHS
    assert made == sorted(f"{name}.{kind}" for name in names for kind in ("html", "svg"))
    assert all(name in capsys.readouterr().out for name in ["expression.html"])


def check_same_picture(name, today):
    """Check that a committed picture says the same as one of today."""
    committed, made = (
        " ".join(sorted(lines(root))).replace("−", "-")
        for root in (
            ET.parse(EXAMPLES / "pictures" / f"{name}.svg").getroot(),
            ET.fromstring(today),
        )
    )
    # Another processor may round the last digit differently.
    numbers = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
    assert re.sub(numbers, "0", committed) == re.sub(numbers, "0", made)
    shown, expected = (
        [float(number) for number in re.findall(numbers, text)] for text in (committed, made)
    )
    np.testing.assert_allclose(shown, expected, rtol=0.01, atol=0.001)


GRAPHS = ["expression", "used_twice", "neuron", "softmax", "second"]
GRAPHS += ["regression", "rnn", "attention", "xor", "digits"]


@needs_program
@pytest.mark.parametrize("name", GRAPHS)
def test_the_committed_pictures_say_what_is_drawn_today(name):
    value, how = getattr(example("graph"), name)()
    value.backward()
    check_same_picture(name, draw(value, **how).pipe("svg"))


@needs_program
@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--format", "pgn"], "unknown format: 'pgn'"), (["--out", __file__], "test_examples.py")],
)
def test_a_picture_that_cannot_be_made_is_one_clear_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in example("graph").main(arguments)


@needs_program
def test_in_jupyter_the_graphs_and_films_show_themselves(jupyter, tmp_path, capsys):
    assert example("graph").main() is None
    drawings, films = jupyter[::2], jupyter[1::2]
    assert len(drawings) == 10
    assert all("image/svg+xml" in drawing._repr_mimebundle_() for drawing in drawings)
    assert [type(film).__name__ for film in films] == ["Film"] * 10
    assert len(list((tmp_path / "pictures").iterdir())) == 20


@needs_program
def test_in_jupyter_the_cells_of_graph_end_without_an_exit(jupyter, capsys):
    run_cells("graph")
    assert "Open the .html files" in capsys.readouterr().out


# ── lecture.py ────────────────────────────────────────────────────────────────────────────────────

lecture = cache(lambda: run("lecture", "--steps", 100))


@pytest.mark.xdist_group("lecture")
def test_the_neuron_of_the_lecture_has_the_gradients_worked_out_by_hand():
    its, printed, _, _ = lecture()
    assert its.o.item() == pytest.approx(0.5**0.5)  # b was chosen so
    # The slope of tanh is 1 - o² = 0.5; times the other factor of each product.
    expected = {"x1": -1.5, "w1": 1.0, "x2": 0.5, "w2": 0.0, "b": 0.5, "n": 0.5}
    for name, gradient in expected.items():
        assert getattr(its, name).grad == pytest.approx(gradient), name
    assert "the output grows by 1.0 times as much" in printed


@pytest.mark.xdist_group("lecture")
def test_the_network_of_the_lecture_learns_its_four_examples_and_fits_on_a_line():
    _, printed, _, _ = lecture()
    losses = re.findall(r"^step +\d+: the loss is (\d\.\d{4})$", printed, re.MULTILINE)
    assert float(losses[-1]) < 0.01 < 1 < float(losses[0])
    assert "MLP(layers.0: 16 numbers, layers.1: 20 numbers, layers.2: 5 numbers)\n" in printed


@pytest.mark.xdist_group("lecture")
def test_the_network_of_the_lecture_tells_the_crescents_apart():
    its, printed, figures, _ = lecture()
    assert its.loss_of_moons is not None
    assert f"{its.right} of the 100 points" in printed
    assert its.right >= 98
    check_pictures(figures)


@needs_program
@pytest.mark.xdist_group("lecture")
def test_the_lectures_pictures_and_film_are_made_and_shown_in_the_learners_path():
    _, printed, figures, made = lecture()
    graphs = {f"lecture_{name}.svg" for name in ("neuron", "network", "neurons", "layers")}
    assert set(made) == {*graphs, "lecture_film.html", "lecture_moons.png"}
    assert set(figures) == {"lecture_moons.png"}
    assert {name for name in made if f"{name}\n" in printed} == set(made)
    page = (EXAMPLES / "README.md").read_text()
    for name in {*graphs, "lecture_moons.png"}:
        assert f"(pictures/{name})" in page
        assert (EXAMPLES / "pictures" / name).is_file()
    for name in graphs:
        check_same_picture(name.removesuffix(".svg"), made[name])
