"""slope.py and minimum.py say only what is true, of their own curve and of others put in."""

import re
import runpy
from functools import cache

import numpy as np
import pytest
from example_runs import (
    EXAMPLES,
    check_pictures,
    edited,
    needs_matplotlib,
    of,
    run,
    run_edited,
    small,
)

pytestmark = needs_matplotlib

CURVE = "return 3 * x**3 - 6 * x**2 + 2 * x"
PAPER = "return 9 * x**2 - 12 * x + 2"
# A curve as it is put in: its derivative on paper, where its slope is 0 between −2 and 2 (or where
# it has a kink with a minimum or a maximum), and the sides to which it falls without end.
CURVES = {
    "3 * x**3 - 6 * x**2 + 2 * x": (
        "9 * x**2 - 12 * x + 2",
        {(12 - 72**0.5) / 18: "maximum", (12 + 72**0.5) / 18: "minimum"},
        ["left"],
    ),
    "x**2": ("2 * x", {0: "minimum"}, []),
    "x**4": ("4 * x**3", {0: "minimum"}, []),
    "x**4 - x**2": (
        "4 * x**3 - 2 * x",
        {-(0.5**0.5): "minimum", 0: "maximum", 0.5**0.5: "minimum"},
        [],
    ),
    "x**4 - 3 * x**2 + x": (
        "4 * x**3 - 6 * x + 1",
        dict(zip(np.sort(np.roots([4, 0, -6, 1])), ["minimum", "maximum", "minimum"], strict=True)),
        [],
    ),
    "np.sin(3 * x)": (
        "3 * np.cos(3 * x)",
        {
            -np.pi / 2: "maximum",
            -np.pi / 6: "minimum",
            np.pi / 6: "maximum",
            np.pi / 2: "minimum",
        },
        [],
    ),
    "np.exp(-(x**2))": ("-2 * x * np.exp(-(x**2))", {0: "maximum"}, []),
    "abs(x)": ("np.sign(x)", {0: "minimum"}, []),
    "1 / (1 + x**2)": ("-2 * x / (1 + x**2) ** 2", {0: "maximum"}, []),
    "np.tanh(x)": ("1 / np.cosh(x) ** 2", {}, []),
    "np.sqrt(x)": ("0.5 / np.sqrt(x)", {}, []),
    "x**3": ("3 * x**2", {0: "terrace"}, ["left"]),
    "x**3 - x": ("3 * x**2 - 1", {-(3**-0.5): "maximum", 3**-0.5: "minimum"}, ["left"]),
    "x - x**3": ("1 - 3 * x**2", {-(3**-0.5): "minimum", 3**-0.5: "maximum"}, ["right"]),
    # Far to the left, at −75, it turns.
    "x**3 - x + 0.01 * x**4": (
        "3 * x**2 - 1 + 0.04 * x**3",
        dict(zip(np.sort(np.roots([0.04, 3, 0, -1]))[1:], ["maximum", "minimum"], strict=True)),
        [],
    ),
    "x**5 - 3 * x": ("5 * x**4 - 3", {-(0.6**0.25): "maximum", 0.6**0.25: "minimum"}, ["left"]),
    "-(x**2)": ("-2 * x", {0: "maximum"}, ["left", "right"]),
    "x**2 - 0.02 * x**4": ("2 * x - 0.08 * x**3", {0: "minimum"}, ["left", "right"]),
    "2 * x + 1": ("2", {}, ["left"]),
    "1 / x": ("-1 / x**2", {}, []),
    "np.log(x)": ("np.where(x < 0, np.nan, 1 / x)", {}, []),
    "np.sqrt(abs(x - 0.3))": (
        "0.5 * np.sign(x - 0.3) / np.sqrt(abs(x - 0.3))",
        {0.3: "minimum"},
        [],
    ),
    "np.maximum(x, 0)": ("np.where(x > 0, 1.0, 0.0)", {}, []),
    "np.floor(x)": ("0 * x", {}, ["left"]),
    "3.0": ("0", {}, []),
}
KINKS = {"abs(x)": [0], "np.maximum(x, 0)": [0], "np.sqrt(abs(x - 0.3))": [0.3]}
PLAINS = {
    "np.maximum(x, 0)": [(-2, 0)],
    "np.floor(x)": [(-2, -1), (-1, 0), (0, 1), (1, 2)],
    "3.0": [(-2, 2)],
}
every_curve = pytest.mark.parametrize("curve", CURVES)
# slope.py looks at no level points, so it needs fewer smooth ones.
for_slope = [*list(CURVES)[:11], *list(CURVES)[-7:]]
every_curve_for_slope = pytest.mark.parametrize("curve", for_slope)


def function(formula):
    """The function with this formula, computed by NumPy alone."""
    code = compile(formula, formula, "eval")

    def computed(x):
        with np.errstate(all="ignore"):
            return np.float64(eval(code, {"np": np, "x": np.float64(x)}))

    return computed


@cache
def other_curve(name, curve):
    """A program with this curve, and its derivative on paper: what it printed, and its figures."""
    edits = {CURVE: f"return {curve}"}
    if name == "slope":
        edits[PAPER] = f"return {CURVES[curve][0]}"
    return edited(name, edits)


def numbers(text):
    """All numbers in a text."""
    return [
        float(each) for each in re.findall(r"-?\d[\d,]*\.?\d*(?:e[+-]\d+)?", text.replace(",", ""))
    ]


# slope.py


@of("slope")
def test_the_slope_is_the_one_on_paper_and_2_at_0():
    its, printed, _, _ = small("slope")
    assert its.slope(0.0) == 2
    assert its.error < 1e-12
    for x in np.linspace(-3, 3, 13).tolist():
        np.testing.assert_allclose(its.slope(x), 9 * x**2 - 12 * x + 2)
    assert "grad(f) and 9x² − 12x + 2 agree" in printed
    assert re.search(r"^ +0 +0 +2 .* f ascends$", printed, re.MULTILINE)
    assert "At x = 0 the value of f is 0, and the slope is 2: f ascends there, 2 times" in printed


@of("slope")
def test_a_smaller_step_comes_nearer_to_the_slope():
    its, printed, _, _ = small("slope")
    rows = re.findall(r"^( +-?[\d.]+ .*) f \w+scends$", printed, re.MULTILINE)
    assert len(rows) == len(its.points) == 5
    for row in rows:
        _, _, slope, *quotients = numbers(row)
        errors = [abs(quotient - slope) for quotient in quotients]
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.02


@of("slope")
@every_curve_for_slope
def test_what_is_said_of_each_point_is_true_of_the_curve(curve):
    printed, _ = other_curve("slope", curve)
    f, derivative = function(curve), function(CURVES[curve][0])
    rows = re.findall(r"^ +(\S+) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+) +f (.*)$", printed, re.M)
    assert [float(row[0]) for row in rows] == [-0.3, 0, 0.5, 0.8, 1.5]
    for x, *cells, does in rows:
        x = float(x)
        cells = [np.nan if cell == "-" else float(cell) for cell in cells]
        quotients = [(f(x + h) - f(x)) / h for h in (0.1, 0.01, 0.001)]
        right, left = (f(x + 1e-6) - f(x)) / 1e-6, (f(x) - f(x - 1e-6)) / 1e-6
        if not np.isfinite(f(x)):
            assert does == "has no value"
            assert np.isnan(cells).all()
            continue
        np.testing.assert_allclose(cells[0], f(x), rtol=1e-3, atol=1e-12)
        np.testing.assert_allclose(cells[2:], quotients, rtol=1e-3, atol=1e-9)
        if curve == "np.floor(x)" and x == 0:
            assert does == "jumps"
        elif x in KINKS.get(curve, []):
            assert does == "has a kink"
        elif x == 0 and curve == "np.sqrt(x)":
            assert (does, cells[1]) == ("ascends", np.inf)
        else:
            np.testing.assert_allclose(cells[1], derivative(x), rtol=1e-3, atol=1e-12)
            np.testing.assert_allclose([left, right], derivative(x), rtol=1e-3, atol=1e-4)
            expected = "ascends" if derivative(x) > 0 else "descends"
            assert does == ("is level" if derivative(x) == 0 else expected)


@of("slope")
@every_curve_for_slope
def test_what_is_said_of_x_0_and_its_picture_is_true_of_the_curve(curve):
    printed, figures = other_curve("slope", curve)
    f, derivative = function(curve)(0), function(CURVES[curve][0])(0)
    said = re.search(r"^At x = 0 .*?\.$", printed, re.MULTILINE | re.DOTALL)[0].replace("\n", " ")
    title = figures["slope.png"].axes[0].get_title()
    assert title.replace("−", "-").replace("\n", " ") == said
    if not np.isfinite(f):
        assert said == "At x = 0 f has no value."
        return
    assert said.startswith(f"At x = 0 the value of f is {f:z.4g}, and ")
    if 0 in KINKS.get(curve, []):
        assert said.endswith("f has a kink there, so it has no slope.")
    elif curve == "np.floor(x)":
        assert said.endswith("f jumps there, so it has no slope.")
    elif curve == "np.sqrt(x)":
        assert said.endswith("the slope is infinite: f ascends there, and is vertical.")
    elif derivative == 0:
        assert said.endswith("the slope is 0: f is level there.")
    elif derivative > 0:
        times = f"{derivative:.4g}"
        many = "" if times == "1" else f"{times} times "
        assert said.endswith(f"slope is {times}: f ascends there, {many}as fast as x.")
    else:
        times = f"{-derivative:.4g}"
        many = "" if times == "1" else f"{times} times "
        assert said.endswith(f"slope is -{times}: f descends there, {many}as fast as x grows.")


@of("slope")
@every_curve_for_slope
def test_the_derivative_on_paper_that_was_put_in_with_the_curve_is_said_to_agree(curve):
    printed = other_curve("slope", curve)[0].replace("\n", " ")
    compared, error = re.search(
        r"At (\d+) points .* agree: they differ by at most (\S+)\.", printed
    ).groups()
    assert 190 < int(compared) <= 301
    assert float(error) < 1e-4  # near a pole the slopes are large


@of("slope")
@pytest.mark.parametrize("curve", ["x**2", "abs(x)", "np.sqrt(x)", "3.0"])
def test_another_curve_is_not_said_to_have_the_derivative_on_paper(curve):
    printed, _ = edited("slope", {CURVE: f"return {curve}"})
    assert "on_paper is not the derivative of f" in printed.replace("\n", " ")


@of("slope")
def test_a_derivative_on_paper_without_a_value_is_not_said_to_agree():
    printed, _ = edited("slope", {PAPER: "return np.log(x - 50)"})
    assert "Nowhere from -1 to 2 do both" in printed


@of("slope")
def test_the_sentence_is_about_a_point_that_is_looked_at():
    printed = run("slope", "--points", 2, -1)[1]
    assert "At x = -1 the value of f is -11, and the slope is 23: f ascends there" in printed
    assert re.findall(r"^ +(\S+).* f ascends$", printed, re.MULTILINE) == ["-1", "2"]


@pytest.mark.parametrize("name", ["slope", "minimum"])
def test_a_place_that_is_not_a_number_up_to_10_is_one_clear_line(name, capsys):
    option = {"slope": "--points", "minimum": "--starts"}[name]
    for wrong in ("nan", "11", "here"):
        with pytest.raises(SystemExit):
            run(name, option, wrong)
        assert "must be a number from -10 to 10" in capsys.readouterr().err


# minimum.py


@of("minimum")
def test_the_minimum_of_the_cubic_is_only_local_for_it_falls_without_end_to_the_left():
    its, printed, _, _ = small("minimum")
    np.testing.assert_allclose(its.points, [(12 - 72**0.5) / 18, (12 + 72**0.5) / 18], rtol=1e-12)
    assert list(its.KINDS.values()) == ["maximum", "minimum"]
    assert "the minimum is only local" in printed
    assert (
        "To the left f falls without end: f(-1) = -11, f(-10) = -3,620, f(-100) = -3,060,200"
        in printed
    )


@of("minimum")
def test_where_a_descent_leads_depends_on_which_side_of_the_maximum_it_starts():
    its, printed, _, _ = small("minimum")
    maximum, minimum = its.points
    for start in its.starts:
        place, _ = its.OUTCOMES[start]
        assert place == ("left" if start < maximum else minimum)
    assert "Where a descent leads depends on where it starts." in printed


@of("minimum")
@every_curve
def test_each_level_point_that_is_said_is_one_and_none_is_missing(curve):
    printed, _ = other_curve("minimum", curve)
    lines = re.findall(r"^x = (-?[\d.]+): (.*)$", printed, re.MULTILINE)
    _, level, _ = CURVES[curve]
    np.testing.assert_allclose([float(x) for x, _ in lines], list(level), atol=1e-4)
    for (_, said), (x, kind) in zip(lines, level.items(), strict=True):
        assert said.endswith(f": a {kind}")
        if x in KINKS.get(curve, []):
            assert said.startswith("a kink, the slope jumps from -")
            continue
        slope = function(CURVES[curve][0])
        second = (slope(x + 1e-5) - slope(x - 1e-5)) / 2e-5
        shown = float(re.search(r"second derivative ([^,:]+)", said)[1])
        np.testing.assert_allclose(shown, second, rtol=1e-3, atol=1e-6)
        assert ("the slopes beside it decide" in said) == (abs(second) < 1e-6)
    plains = re.findall(r"^x = (\S+) to (\S+): slope 0 all the way", printed, re.MULTILINE)
    expected = PLAINS.get(curve, [])
    assert [(float(start), float(end)) for start, end in plains] == expected
    assert ("no level point was found" in printed) == (not level and not expected)


@of("minimum")
@every_curve
def test_a_minimum_is_said_to_be_the_lowest_point_only_where_it_is(curve):
    printed, _ = other_curve("minimum", curve)
    f = function(curve)
    lowest = np.nanmin([f(x) for x in np.linspace(-10, 10, 2001)])
    minima = [x for x, kind in CURVES[curve][1].items() if kind == "minimum"]
    lines = re.findall(r"^f\((\S+)\) = (\S+), (and|but) f(.*)$", printed, re.MULTILINE)
    np.testing.assert_allclose([float(line[0]) for line in lines], minima, atol=1e-4)
    for x, (_, height, word, rest) in zip(minima, lines, strict=True):
        np.testing.assert_allclose(float(height), f(x), rtol=1e-5, atol=1e-9)
        if word == "and":
            assert "lower at none of 2,001 points from -10 to 10" in rest
            assert lowest >= f(x) - 1e-9
        else:
            place, lower = re.match(
                r"\((\S+)\) = (\S+) is lower: the minimum is only", rest
            ).groups()
            np.testing.assert_allclose(float(lower), f(float(place)), rtol=1e-5)
            assert f(float(place)) < f(x)
    assert ("was found to be a minimum" in printed) == (not minima)


@of("minimum")
@every_curve
def test_a_curve_is_said_to_fall_without_end_only_where_it_does(curve):
    printed, _ = other_curve("minimum", curve)
    falls = re.findall(r"^To the (\w+) f falls without end: (.*)$", printed, re.MULTILINE)
    assert [side for side, _ in falls] == CURVES[curve][2]
    for _, shown in falls:
        for x, height in re.findall(r"f\((\S+)\) = (\S+?)(?:, |$)", shown):
            exact = function(curve)(float(x))
            np.testing.assert_allclose(float(height.replace(",", "")), exact, rtol=1e-6)
    for side in re.findall(r"goes down the (\w+) side, without end", printed):
        assert side in CURVES[curve][2]


def descent(curve, x):
    """Each x of a descent along the derivative on paper."""
    f, derivative = function(curve), function(CURVES[curve][0])
    path = [x]
    while len(path) <= 200 and abs(x) <= 100 and np.isfinite([f(x), derivative(x)]).all():
        x = float(x - 0.1 * derivative(x))
        path.append(x)
    return path


@of("minimum")
@every_curve
def test_each_descent_leads_where_it_is_said_to_lead(curve):
    printed, _ = other_curve("minimum", curve)
    f, derivative = function(curve), function(CURVES[curve][0])
    lines = re.findall(r"^ +from +(\S+): (.*)$", printed, re.MULTILINE)
    assert [float(start) for start, _ in lines] == [-0.5, 0, 0.5, 1.5]
    minima = [x for x, kind in CURVES[curve][1].items() if kind == "minimum"]
    smooth = [x for x in minima if x not in KINKS.get(curve, [])]
    for text, said in lines:
        start = float(text)
        if curve in PLAINS or KINKS.get(curve) == [0]:
            continue  # at the kink, the derivative on paper is not that of grad: see below
        path = descent(curve, start)
        end = path[-1]
        if not np.isfinite(f(start)):
            assert said == "f has no value there"
        elif not np.isfinite(f(end)):
            place = re.search(r"is at (\S+), where f has no finite value", said)[1]
            np.testing.assert_allclose(float(place), end, rtol=1e-3)
        elif len(path) == 1:
            assert said == "no step was taken: the slope is inf there"
        elif abs(end) > 100:
            assert said == f"it goes down the {'left' if end < 0 else 'right'} side, without end"
        elif end == start and start not in minima:
            assert said.startswith(f"it stays at {start:.4f}, because the slope is 0 there: a ")
        elif any(abs(end - x) < 1e-6 for x in smooth):
            assert numbers(said) == [round(end, 4) + 0.0]
            assert said.startswith("it leads to the minimum at")
        elif "jumps back and forth" in said:
            assert derivative(path[-2]) * derivative(end) < 0
            _, before, now, minimum = numbers(said)
            np.testing.assert_allclose([before, now], path[-2:], rtol=1e-2)
            assert min(before, now) <= minimum <= max(before, now)
        elif "without end" in said:
            assert abs(end) > 10
            assert f(end) < f(start)
        else:
            steps, place, slope = numbers(said)
            assert steps == 200
            np.testing.assert_allclose(place, end, atol=1e-4)
            np.testing.assert_allclose(slope, derivative(end), rtol=0.06)


@of("minimum")
def test_where_the_slope_jumps_a_descent_is_not_said_to_arrive_unless_it_stays():
    printed, _ = other_curve("minimum", "abs(x)")
    assert printed.count("still jumps back and forth") == 3
    assert printed.count("across the minimum at 0.0000") == 3
    assert "from    0: it leads to the minimum at 0.0000" in printed
    printed, _ = other_curve("minimum", "np.floor(x)")
    assert "it stays at 0.0000, where f jumps, but grad gives 0" in printed
    printed, _ = other_curve("minimum", "np.maximum(x, 0)")
    assert printed.count("because the slope is 0 there: a plain") == 3


@of("minimum")
@pytest.mark.parametrize(
    ("curve", "said"),
    {
        "x**2": "Every start leads to the same minimum.",
        "x**4 - x**2": "Where a descent leads depends on where it starts.",
        "x**4 - 3 * x**2 + x": "Where a descent leads depends on where it starts.",
        "np.sin(3 * x)": "Where a descent leads depends on where it starts.",
        "-(x**2)": "Where a descent leads depends on where it starts.",
        "2 * x + 1": "Every start leads the same way.",
        "3.0": "Every descent ends on a plain.",
        "x**4": "Not every descent has arrived at a minimum.",
        "abs(x)": "Not every descent has arrived at a minimum.",
        "np.exp(-(x**2))": "Not every descent has arrived at a minimum.",
        "1 / (1 + x**2)": "Not every descent has arrived at a minimum.",
        "np.tanh(x)": "Not every descent has arrived at a minimum.",
        "np.sqrt(x)": "Not every descent has arrived at a minimum.",
        "np.maximum(x, 0)": "Not every descent has arrived at a minimum or on a plain.",
    }.items(),
)
def test_whether_it_depends_on_the_start_is_said_as_it_is(curve, said):
    printed, _ = other_curve("minimum", curve)
    assert re.search(r"^Descent with learning rate 0\.1\. (.*)$", printed, re.MULTILINE)[1] == said


@of("minimum")
def test_steps_that_are_too_large_or_too_small_are_not_said_to_arrive():
    edits = {CURVE: "return x**2"}
    assert "has run away to" in edited("minimum", edits, "--rate", 1.5)[0]
    assert (
        "still jumps back and forth, from 0.5 to -0.5" in edited("minimum", edits, "--rate", 1)[0]
    )
    tiny, _ = edited("minimum", edits, "--rate", 1e-12, "--starts", 0.5, 1.5)
    assert "leads to" not in tiny
    assert "after 200 steps it is at 0.5000, where the slope is still 1" in tiny


@of("minimum")
def test_a_slope_that_is_nearly_0_far_out_is_no_minimum_and_no_stop():
    printed, _ = edited("minimum", {CURVE: "return np.exp(-(x**2))"}, "--starts", 6)
    assert "after 200 steps it is at 6.0000, where the slope is still -2.8e-15" in printed


SEARCH = "FAR = np.linspace(-10, 10, 2001)"
SPAN = {
    "LOW = min(-2, math.floor(min(starts)))": "LOW = 1",
    "HIGH = max(2, math.ceil(max(starts)))": "HIGH = 3",
}


@of("minimum")
@pytest.mark.parametrize(
    "edits",
    [
        {SEARCH: "FAR = np.linspace(0, 4, 401)"},
        {SEARCH: "FAR = np.linspace(-0.27, 100, 1001)"},
        {"STEPS = 200": "STEPS = 5"},
        {"STEPS = 200": "STEPS = 1"},
        {"abs(x) > 100": "abs(x) > 2"},
        SPAN,
        {"[-0.5, 0.0, 0.5, 1.5]": "[1.0]"},
        {"default=0.1": "default=0.02"},
    ],
)
def test_the_minimum_after_an_edit_of_a_number(edits):
    its, printed, figures, _ = run_edited("minimum", edits)
    f, derivative = function(CURVE.removeprefix("return ")), function(PAPER.removeprefix("return "))
    level = [x for x in its.points if its.LOW <= x <= its.HIGH]
    on_paper = [(12 - 72**0.5) / 18, (12 + 72**0.5) / 18]
    np.testing.assert_allclose(level, [x for x in on_paper if its.LOW <= x <= its.HIGH])
    title, of_descents = (on.get_title() for on in figures["minimum.png"].axes)
    np.testing.assert_allclose(numbers(title), level, atol=0.005)
    assert of_descents.endswith(f"against the slope, learning rate {its.options.rate:g}")
    minimum = on_paper[1]
    lower = [x for x in its.FAR if f(x) < f(minimum) - 1e-9]
    if lower:
        assert re.search(r"is lower: the minimum is only local\.$", printed, re.MULTILINE)
    else:
        first, last = its.FAR[[0, -1]]
        said = f"f is lower at none of {len(its.FAR):,} points from {first:g} to {last:g}.\n"
        assert said in printed
    for start, said in re.findall(r"^ +from +(\S+): (.*)$", printed, re.MULTILINE):
        x, steps = float(start), 0
        while steps < its.STEPS and abs(x) <= (2 if "abs(x) > 100" in edits else 100):
            x, steps = x - its.options.rate * derivative(x), steps + 1
        if "without end" in said:
            assert x < -10
        elif "leads to" in said:
            np.testing.assert_allclose([x, numbers(said)[0]], minimum, atol=1e-4)
        elif "jumps back and forth" in said:
            np.testing.assert_allclose(numbers(said)[2], x, rtol=1e-3)
        else:
            expected = [steps, x, derivative(x)]
            np.testing.assert_allclose(numbers(said), expected, rtol=0.06, atol=1e-4)
    check_pictures(figures)


# The pictures of both


@pytest.mark.parametrize(
    ("name", "curve"),
    [("slope", curve) for curve in for_slope] + [("minimum", curve) for curve in CURVES],
)
def test_in_the_picture_of_another_curve_nothing_is_cut_off_or_over_other_text(name, curve):
    figures = other_curve(name, curve)[1]
    assert list(figures) == [f"{name}.png"]
    check_pictures(figures)
    for on in figures[f"{name}.png"].axes:
        texts = [text.get_window_extent() for text in on.texts]
        for n, one in enumerate(texts):
            assert not any(one.overlaps(other) for other in texts[:n])
        assert all(text.y1 <= on.bbox.y1 for text in texts)
        legend = on.get_legend()
        assert legend is None or len(legend.get_texts()) <= 4


@of("minimum")
@every_curve
def test_the_title_says_where_the_curve_is_level(curve):
    title = other_curve("minimum", curve)[1]["minimum.png"].axes[0].get_title().replace("−", "-")
    _, level, _ = CURVES[curve]
    smooth = [x for x in level if x not in KINKS.get(curve, [])]
    if curve == "np.floor(x)":
        assert title == "f is level on 4 plains."
    elif curve in PLAINS:
        [(start, end)] = PLAINS[curve]
        assert title == f"f is level from x = {start:.2f} to {end:.2f}."
    elif smooth:
        np.testing.assert_allclose(numbers(title), smooth, atol=0.005)
    else:
        assert title == "No point from -2 to 2 was found at which f is level."


@of("slope")
@every_curve_for_slope
def test_where_the_picture_says_that_the_curve_ascends_its_derivative_is_above_0(curve):
    below = other_curve("slope", curve)[1]["slope.png"].axes[1]
    across = np.linspace(-0.65, 1.9, 256)
    slopes = np.array([function(CURVES[curve][0])(x) for x in across])
    labels = below.get_legend_handles_labels()[1]
    assert ("above 0: f ascends" in labels) == bool((slopes > 0).any())
    assert ("below 0: f descends" in labels) == bool((slopes < 0).any())


@of("slope")
def test_near_a_pole_the_picture_shows_what_is_beside_it():
    for on in other_curve("slope", "1 / x")[1]["slope.png"].axes:
        low, high = on.get_ylim()
        assert high - low < 120  # not 10³¹, the slope at 6e-16 from the pole


@of("slope")
def test_no_line_joins_the_two_sides_of_a_kink_in_the_derivative():
    below = other_curve("slope", "abs(x)")[1]["slope.png"].axes[1]
    for line in below.lines:
        heights = np.asarray(line.get_ydata(), float)
        assert not (heights.min() < 0 < heights.max())


@pytest.mark.parametrize("name", ["slope", "minimum"])
def test_the_axis_bears_the_formula_of_the_curve_that_was_put_in(name):
    label = small(name)[2][f"{name}.png"].axes[0].get_ylabel()
    assert label == "f(x) = 3x³ − 6x² + 2x"
    label = other_curve(name, "x**5 - 3 * x")[1][f"{name}.png"].axes[0].get_ylabel()
    assert label == "f(x) = x⁵ − 3x"


@pytest.mark.parametrize("name", ["slope", "minimum"])
def test_a_curve_without_a_value_anywhere_in_the_picture_is_one_clear_line(name):
    with pytest.raises(SystemExit, match=r"f has no value from -0\.\d+ to 1\.\d+, so there is no"):
        edited(name, {CURVE: "return np.log(x - 50)"})


@pytest.mark.parametrize("name", ["slope", "minimum"])
def test_a_program_is_short_and_says_how_to_put_in_another_curve(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 150
    assert "edit what f returns" in " ".join(text.split())


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
