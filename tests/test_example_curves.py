"""slope.py and minimum.py do what they say, on their real output."""

import re
import runpy
from functools import cache

import numpy as np
import pytest
from example_runs import EXAMPLES, check_pictures, edited, needs_matplotlib, of, small

pytestmark = needs_matplotlib


@of("slope")
def test_the_slope_is_the_one_on_paper_and_2_at_0():
    its, printed, _, _ = small("slope")
    assert its.slope(0.0) == 2
    assert its.error < 1e-12
    for x in np.linspace(-3, 3, 13).tolist():
        np.testing.assert_allclose(its.slope(x), 9 * x**2 - 12 * x + 2)
        np.testing.assert_allclose(its.curve.curvature(x), 18 * x - 12)
    assert re.search(r"^ +0\.0 +0\.000 +2\.000 .* ascends$", printed, re.MULTILINE)


@of("slope")
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


@of("minimum")
def test_the_curve_is_level_at_a_maximum_and_at_a_minimum_that_is_only_local():
    its, printed, _, _ = small("minimum")
    np.testing.assert_allclose(its.LEVEL, [(12 - 72**0.5) / 18, (12 + 72**0.5) / 18])
    assert its.KINDS == ["maximum", "minimum"]
    around = np.linspace(its.lowest - 0.3, its.lowest + 0.3, 61)
    assert min(its.f(x) for x in around) >= its.f(its.lowest) - 1e-12
    assert its.f(its.lower) < its.f(its.lowest) < its.f(its.lower + 0.002)
    assert its.f(-10) < its.f(-1) < its.f(its.lowest)
    assert "f(-100) = -3,060,200" in printed


@of("minimum")
def test_descent_from_right_of_the_maximum_ends_at_the_minimum_and_from_left_of_it_nowhere():
    its, printed, _, _ = small("minimum")
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
    "x**4 - 3 * x**2 + x": rf"At x = -1\.3008 .*minimum\.\sAt x = 0\.1699 .*maximum\.\sAt x = 1\.1309 .*minimum\.\s+f\(-1\.301\) = -3\.514, {NO_LOWER}",
    "1 / (1 + x**2)": r"At x = 0\.0000 .*a maximum\.\s+Newton's method has found no minimum",
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
    """Both programs with another curve: what they print, and their figures."""

    def run_both(curve):
        printed, figures = edited("slope", {CURVE: f"return {curve}"})
        more, more_figures = edited("minimum", {CURVE: f"return {curve}"})
        return printed + more, {**figures, **more_figures}

    return cache(run_both)


@of("slope")
@pytest.mark.parametrize(("curve", "said"), CURVES.items(), ids=CURVES)
def test_another_curve_is_told_of_as_it_is(curve, said, other_curve):
    printed, figures = other_curve(curve)
    assert re.search(said, printed), printed
    assert list(figures) == ["slope.png", "minimum.png"]


@of("slope")
@pytest.mark.parametrize("curve", CURVES)
def test_another_curve_is_not_said_to_have_the_derivative_on_paper(curve, other_curve):
    assert "on_paper is not the derivative" in other_curve(curve)[0].replace("\n", " ")


@of("slope")
def test_a_derivative_on_paper_that_was_changed_with_the_curve_is_said_to_agree():
    printed, _ = edited(
        "slope",
        {CURVE: "return x**4 - x**2", "return 9 * x**2 - 12 * x + 2": "return 4 * x**3 - 2 * x"},
    )
    assert re.search(r"grad\(f\) and 4x³ − 2x differ by at most \S+ between", printed)


@of("slope")
@pytest.mark.parametrize(
    "curve",
    [
        "x**2",
        "x**4 - x**2",
        "np.sin(3 * x)",
        "x**3 - x + 0.01 * x**4",
        "abs(x)",
        "x**4 - 3 * x**2 + x",
        "1 / (1 + x**2)",
        "np.exp(-(x**2))",
        "3.0",
        "1 / x",
        "np.sqrt(x)",
        "np.tanh(x)",
    ],
)
def test_a_curve_that_does_not_fall_without_end_is_not_said_to(curve, other_curve):
    assert "without end" not in other_curve(curve)[0]


@of("slope")
def test_a_curve_from_which_every_start_leads_to_one_place_is_not_said_to_depend_on_it(other_curve):
    assert "to the same place from every start" in other_curve("x**2")[0]
    assert "depends on where it starts" in other_curve("x**4 - x**2")[0]


@of("slope")
@pytest.mark.parametrize("curve", CURVES)
def test_what_is_said_of_each_point_is_so(curve, other_curve):
    f = eval(f"lambda x: np.float64({curve})", {"np": np})
    printed, _ = other_curve(curve)
    rows = re.findall(r"^ +(-?\d\.\d) .* (ascends|descends|is level)$", printed, re.MULTILINE)
    for text, way in rows:
        x = float(text)
        with np.errstate(all="ignore"):
            change = f(x + 1e-4) - f(x if np.isnan(f(x - 1e-4)) else x - 1e-4)
        sign = 0 if abs(change) < 1e-9 else np.sign(change)
        assert sign == {"ascends": 1, "descends": -1, "is level": 0}[way], x
    for text, kind in re.findall(
        r"^At x = (-?\d\.\d+) the .* a (minimum|maximum)\.$", printed, re.M
    ):
        x = float(text)
        around = [f(x - 0.01), f(x + 0.01)]
        assert min(around) > f(x) if kind == "minimum" else max(around) < f(x)


@of("slope")
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


@of("slope")
def test_near_a_pole_the_picture_shows_what_is_beside_it(other_curve):
    for on in other_curve("1 / x")[1]["slope.png"].axes:
        low, high = on.get_ylim()
        assert high - low < 120  # not 10³¹, the slope at 6e-16 from the pole


@of("slope")
def test_the_axis_bears_the_formula_of_the_curve_that_was_put_in(other_curve):
    assert small("slope")[2]["slope.png"].axes[0].get_ylabel() == "f(x) = 3x³ − 6x² + 2x"
    assert other_curve("x**5 - 3 * x")[1]["slope.png"].axes[0].get_ylabel() == "f(x) = x⁵ − 3x"


@of("slope")
def test_the_title_says_where_the_curve_that_was_put_in_is_level(other_curve):
    above = other_curve("x**3 - x")[1]["slope.png"].axes[0]
    assert (
        above.get_title()
        == "At x = 0 the slope is −1: f falls 1 times as fast as x grows.\nIt is level at −0.58 and 0.58"
    )


@of("slope")
@pytest.mark.parametrize("program", ["slope", "minimum"])
def test_a_curve_without_a_value_anywhere_in_the_picture_is_one_clear_line(program):
    with pytest.raises(SystemExit, match=r"f has no value between -0\.65 and 1\.9"):
        edited(program, {CURVE: "return np.log(x - 50)"})


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
