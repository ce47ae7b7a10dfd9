"""one_weight.py, line.py, learning_rate.py, curvature.py and two_weights.py do what they say."""

import csv
import re
from collections import namedtuple
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from example_runs import (
    EXAMPLES,
    at_most,
    check_pictures,
    edited,
    example,
    needs_matplotlib,
    run,
    run_edited,
)

from microgd import Value, gradients, hvp, nn, optim, train

pytestmark = needs_matplotlib
# Several tests look at the same run.
once = cache(lambda name, *arguments: run(name, *arguments))
FIVE = ["one_weight", "line", "learning_rate", "curvature", "two_weights"]


def together(name):
    """The mark that keeps tests of a program in one worker."""
    return pytest.mark.xdist_group(name)


def said(printed):
    """What was printed, as one line."""
    return " ".join(printed.split())


@pytest.mark.parametrize("name", [pytest.param(name, marks=together(name)) for name in FIVE])
def test_a_picture_has_titles_and_labels_and_at_most_four_entries_in_a_legend(name):
    figures = once(name)[2]
    check_pictures(figures)
    for figure in figures.values():
        for on in figure.axes:
            legend = on.get_legend()
            assert legend is None or len(legend.get_texts()) <= 4


# ── tables ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("column", "name", "unit"),
    [
        ("flipper_length_mm", "flipper length", "mm"),
        ("body_mass_g", "body mass", "g"),
        ("year", "year", ""),
        ("sepal width (cm)", "sepal width", "cm"),
        ("g", "g", ""),
        ("number_of_eggs", "number of eggs", ""),
    ],
)
def test_a_columns_name_and_unit_come_from_its_title(column, name, unit):
    assert example("program").name_and_unit(column) == (name, unit)


def test_a_table_keeps_the_rows_in_which_everything_was_measured(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("kind,a,b\nx,1,2\ny,NA,3\n,4,5\nz,6,7\n")
    numbers, columns, labels = example("program").table(path, label="kind")
    np.testing.assert_array_equal(numbers, [[1, 2], [6, 7]])
    assert columns == ["a", "b"]
    assert labels == ["x", "z"]


@pytest.mark.parametrize(
    ("columns", "label", "message"),
    [
        (["c"], None, r"the column 'c' is not there: the columns of numbers are a, b$"),
        (["kind"], None, r"the column 'kind' has no numbers: the columns of numbers are a, b$"),
        (None, "sort", r"there is no column 'sort': the columns are kind, a, b$"),
    ],
)
def test_a_wrong_column_is_one_line_that_lists_the_columns(columns, label, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("kind,a,b\nx,1,2\nz,6,7\n")
    with pytest.raises(SystemExit, match=message):
        example("program").table(path, columns, label)


# ── one_weight.py ─────────────────────────────────────────────────────────────────────────────────


def expected_verdict(before, now):
    """What a step did, by the true distances."""
    if now < 1e-8:
        return "arrived"
    if abs(now / before - 1) < 1e-9:
        return "stays as far"
    return "toward" if now < before else "away"


@pytest.mark.parametrize("start", [-0.6, 0.0, 0.69, 5.0, -1e5])
def test_a_step_is_called_what_the_distance_says(start):
    rates = (0.01, 0.15, 0.5, 0.8, 0.99, 1.0, 1.04, 3.0, 800.0)
    its, _, figures, _ = run("one_weight", "--start", start, "--rates", *rates)
    minimum = np.polyfit(its.length, its.mass, 1)[0]
    for lr, on in zip(rates, figures["one_weight.png"].axes, strict=True):
        distances = [abs(w1 - minimum) for w1 in its.TRIED[lr]]
        if abs(start) < 1e3:  # further out, the numbers are rounded more
            for n, verdict in enumerate(its.VERDICTS[lr][1:]):
                assert verdict == expected_verdict(distances[n], distances[n + 1])
        in_theory = expected_verdict(1.0, abs(1 - 2 * lr))
        if start != -1e5:
            assert its.VERDICTS[lr][1] == in_theory
            assert in_theory in on.get_title()


def test_at_the_perfect_rate_the_weight_arrives_and_stays():
    _, printed, figures, _ = run("one_weight", "--rates", 0.5)
    assert printed.count("arrived") == 6
    assert "away" not in printed
    assert figures["one_weight.png"].axes[0].get_title() == "Learning rate 0.5: arrived"


def test_steps_to_and_fro_at_one_height_stay_as_far():
    _, printed, figures, _ = run("one_weight", "--rates", 1)
    assert printed.count("stays as far") == 6
    assert figures["one_weight.png"].axes[0].get_title().endswith(": stays as far")


def test_a_start_at_the_minimum_goes_nowhere():
    printed, figures = edited(
        "one_weight", {"descend(options.start, lr": "descend(MINIMUM, lr"}, "--rates", 0.3
    )
    assert printed.count("arrived") == 6
    check_pictures(figures)


def test_a_step_out_of_the_picture_is_named():
    its, _, figures, _ = run("one_weight", "--rates", 3)
    far = np.abs(np.array(its.TRIED[3.0]) - its.MINIMUM)
    first = int(np.argmax(far > 30 * far[0]))
    assert f"(step {first} leaves the picture)" in figures["one_weight.png"].axes[0].get_title()


@pytest.mark.parametrize("edit", [("B = mass.mean()", "B = 1.0"), ("grams / 1000", "grams * 1.0")])
def test_another_bias_or_unit_leaves_the_verdicts_true(edit):
    printed, _ = edited("one_weight", dict([edit]), "--rates", 0.5, 0.8, 1)
    verdicts = [printed.count(each) for each in ("arrived", "toward", "stays as far", "away")]
    assert verdicts == [6, 6, 6, 0]


def lowest_point(loss):
    """Where a bowl over one number is lowest, by cutting off thirds."""
    low, high = -1e4, 1e4
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        with np.errstate(over="ignore"):
            low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return (low + high) / 2


def slope_of(loss, x):
    """The slope, from two values of the loss."""
    tiny = 1e-5 * max(1, abs(x))
    return (loss(x + tiny) - loss(x - tiny)) / (2 * tiny)


def squares(length, mass):
    return lambda w1: np.mean((w1 * length + mass.mean() - mass) ** 2)


ITS_LOSS, ITS_STEP = "return nn.mse_loss(w1 * length + B, mass)", "- lr * slope(tried[-1])"
BOWLS = {
    "half the loss": (
        {ITS_LOSS: "return 0.5 * nn.mse_loss(w1 * length + B, mass)"},
        lambda length, mass: lambda w1: squares(length, mass)(w1) / 2,
    ),
    "absolute errors": (
        {ITS_LOSS: "return np.abs(w1 * length + B - mass).mean()"},
        lambda length, mass: lambda w1: np.mean(abs(w1 * length + mass.mean() - mass)),
    ),
    "a lopsided bowl": (
        {ITS_LOSS: "return np.exp(w1) - w1", "[0.15, 0.8, 1.04]": "[0.15, 1.5, 2.0]"},
        lambda length, mass: lambda w1: np.exp(w1) - w1,
    ),
    "a bowl below 0": (
        {ITS_LOSS: "return nn.mse_loss(w1 * length + B, mass) - 30"},
        lambda length, mass: lambda w1: squares(length, mass)(w1) - 30,
    ),
    "a bias far off": (
        {"B = mass.mean()": "B = -100"},
        lambda length, mass: lambda w1: np.mean((w1 * length - 100 - mass) ** 2),
    ),
    "in grams": ({"mass = grams / 1000  # in kg": "mass = grams"}, squares),
    "another column": ({'"flipper_length_mm"': '"bill_depth_mm"'}, squares),
    "in millimetres": (
        {"(millimetres - millimetres.mean()) / millimetres.std()": "millimetres - 200.0"},
        squares,
    ),
    "uphill": ({ITS_STEP: "+ lr * slope(tried[-1])"}, squares),
    "all steps of one length": ({ITS_STEP: "- lr * np.sign(slope(tried[-1]))"}, squares),
}


def tables(printed):
    """The columns of the tables by learning rate: loss, slope, side, verdict, and distance."""
    parts = re.split(r"^learning rate (\S+)\n", printed, flags=re.MULTILINE)[1:]
    row = r"^ +\d+ +\S+ +(\S+) +(\S+)  (here|on the \w+) +(\w+(?: as far)?) +(\S+)$"
    found = {}
    for lr, part in zip(parts[::2], parts[1::2], strict=True):
        found[float(lr)] = list(zip(*re.findall(row, part, re.MULTILINE), strict=True))
    return found


@pytest.mark.parametrize(("edits", "loss_of"), BOWLS.values(), ids=BOWLS)
def test_one_weight_after_an_edit(edits, loss_of):
    its, printed, figures, _ = run_edited("one_weight", edits)
    loss = loss_of(its.length, its.mass)
    minimum = lowest_point(loss)
    misled = 0
    axes = figures["one_weight.png"].axes
    for (lr, table), on in zip(tables(printed).items(), axes, strict=True):
        tried = its.TRIED[lr]
        slopes = [slope_of(loss, w1) for w1 in tried]
        distances = [abs(w1 - minimum) for w1 in tried]
        nearer = [now < before for before, now in pairwise(distances)]
        less_steep = [abs(now) < abs(before) for before, now in pairwise(slopes)]
        misled += sum(np.not_equal(nearer, less_steep))
        verdicts = ["toward" if each else "away" for each in nearer]

        its_losses, its_slopes, sides, its_verdicts, its_distances = table
        np.testing.assert_allclose(np.float64(its_losses), [loss(w1) for w1 in tried], rtol=1e-3)
        np.testing.assert_allclose(np.float64(its_slopes), slopes, rtol=0.02, atol=1e-3)
        np.testing.assert_allclose(np.float64(its_distances), distances, rtol=0.01, atol=1e-4)
        assert list(sides) == [f"on the {'right' if w1 < minimum else 'left'}" for w1 in tried]
        assert list(its_verdicts) == ["start", *verdicts]
        title = " ".join(on.get_title().split()).split(" (")[0]
        assert title == f"Learning rate {lr:g}: {', '.join(dict.fromkeys(verdicts))}"
    told = re.findall(r"In (\d+) steps? the slopes alone would mislead: this", said(printed))
    assert told == ([str(misled)] if misled else [])
    check_pictures(figures)
    low, high = axes[0].get_ylim()
    assert low < loss(minimum) < low + 0.4 * (high - low)  # the bowl fills most of the picture


@pytest.mark.parametrize(
    ("edits", "head", "label"),
    [
        ({}, "w1 (kg/sd)  loss (kg²)", "w1 (kg per sd of length)"),
        (BOWLS["in grams"][0], "w1 (g/sd)  loss (g²)", "w1 (g per sd of length)"),
        (BOWLS["another column"][0], "w1 (kg/sd)  loss (kg²)", "w1 (kg per sd of depth)"),
        (BOWLS["in millimetres"][0], "w1 (kg/unit)  loss (kg²)", "w1 (kg per unit of length)"),
        ({"grams / 1000  #": "grams / 3  #"}, "w1 (units/sd)  ", "w1 (units per sd of length)"),
        ({'"body_mass_g"': '"year"'}, "w1 (units/sd)  ", "w1 (units per sd of length)"),
    ],
)
def test_the_units_of_the_weight_are_those_of_the_edited_columns(edits, head, label):
    printed, figures = edited("one_weight", edits, "--rates", 0.15)
    assert f"\n  step  {head}" in printed
    (on,) = figures["one_weight.png"].axes
    assert on.get_xlabel() == label
    unit = re.search(r"\((.*?)[/ ]", head)[1]
    assert on.get_ylabel() == f"loss ({unit}²)"


NO_BOWL = r"^this loss is no bowl with one minimum, so"


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({ITS_LOSS: "return -nn.mse_loss(w1 * length + B, mass)"}, NO_BOWL),
        ({ITS_LOSS: "return 2 * w1"}, NO_BOWL),
        ({ITS_LOSS: "return w1**4 - 2 * w1**2"}, NO_BOWL),
        ({"millimetres, grams = table.T": "millimetres, grams = table[:1].T"}, "same number in"),
        ({"default=-0.6": "default=1e9"}, "--start should be between -1e6 and 1e6"),
    ],
)
def test_an_edit_that_leaves_no_bowl_is_one_clear_line(edits, message):
    with pytest.raises(SystemExit, match=message):
        edited("one_weight", edits)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("default=[]", "the default of --rates: must be one number or more"),
        ("default=[0.3, -0.1]", "the default of --rates: must be a number above 0"),
        ("default=[1e30]", "the default of --rates: must be at most 1000"),
    ],
)
def test_a_default_that_will_not_do_is_one_clear_line(edit, message, capsys):
    with pytest.raises(SystemExit):
        edited("one_weight", {"default=[0.15, 0.8, 1.04]": edit})
    assert f"one_weight.py: error: {message}" in capsys.readouterr().err


def test_a_single_rate_may_be_the_default():
    printed, figures = edited("one_weight", {"default=[0.15, 0.8, 1.04]": "default=0.3"})
    assert printed.count("learning rate ") == 1
    assert figures["one_weight.png"].axes[0].get_title() == "Learning rate 0.3: toward"


@pytest.mark.parametrize("start", ["nan", "1e300"])
def test_a_start_that_is_no_place_is_one_clear_line(start):
    with pytest.raises(SystemExit, match=r"--start should be between -1e6 and 1e6, but is"):
        run("one_weight", "--start", start)


def test_a_rate_too_large_to_draw_is_one_clear_line(capsys):
    with pytest.raises(SystemExit):
        run("one_weight", "--rates", "1e30")
    assert "--rates: must be at most 1000, but is 1e30" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("one_weight", ["--rates", 0.01, 0.15, 0.5, 0.7, 0.8]),
        ("one_weight", ["--rates", 0.97, 1, 1.01, 1.04, 1.2]),
        ("one_weight", ["--rates", 0.15, 0.9, "--steps", 40]),
        ("learning_rate", []),
        ("two_weights", []),
        ("two_weights", ["--rate", 0.02]),
        ("two_weights", ["--rate", 0.6]),
    ],
)
def test_no_number_of_a_step_is_over_another_and_the_first_and_the_last_are_there(name, arguments):
    figures = once(name, *arguments)[2]
    figure = figures.get(f"{name}_steps.png") or figures[f"{name}.png"]
    figure.canvas.draw()
    numbered = [on.texts for on in figure.axes if on.texts]
    assert numbered
    for texts in numbered:
        boxes = [text.get_window_extent() for text in texts]
        assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])
        numbers = [number for text in texts for number in text.get_text().split("–")]
        assert "0" in numbers
        assert {"6", "40"} & set(numbers)


def test_points_close_to_the_last_one_share_its_number():
    _, _, figures, _ = run("one_weight", "--rates", 0.5, 1.04)
    arrived, away = (
        {text.get_text() for text in on.texts} for on in figures["one_weight.png"].axes
    )
    assert arrived == {"0", "1–6"}
    assert away == set("0123456")


# ── line.py ───────────────────────────────────────────────────────────────────────────────────────


Equation = namedtuple("Equation", "y factor factor_unit x constant unit")


def equations(printed):
    """The lines that are printed, by who found them: y = factor * x + constant."""
    found = {}
    for who in ("gradient descent", "least squares"):
        y, factor, factor_unit, x, constant, unit = re.search(
            rf"^{who}: +(.*) = (\S+) (\S+) \* (.*) (\S+) (\S+)$", printed, re.MULTILINE
        ).groups()
        found[who] = Equation(y, float(factor), factor_unit, x, float(constant), unit)
    return found


@together("line")
def test_the_line_is_that_of_least_squares_to_four_digits():
    _, printed, _, _ = once("line")
    descent, exact = ((line.factor, line.constant) for line in equations(printed).values())
    with open(EXAMPLES / "data" / "penguins.csv", newline="") as file:
        rows = [(row["flipper_length_mm"], row["body_mass_g"]) for row in csv.DictReader(file)]
    length, mass = np.array([row for row in rows if "NA" not in row], float).T
    columns = np.stack([length, np.ones_like(length)], axis=1)
    np.testing.assert_allclose(exact, np.linalg.lstsq(columns, mass)[0], atol=0.01)
    np.testing.assert_allclose(descent, exact, rtol=5e-5)


@pytest.mark.parametrize("lr", [0.03, 0.5, 0.97])
def test_the_line_converges_from_several_learning_rates(lr):
    its, printed, figures, _ = run("line", "--rate", lr)
    np.testing.assert_allclose(its.places[-1, :2], np.polyfit(its.x, its.Y, 1), rtol=5e-5)
    assert "These agree: we have arrived." in printed
    assert figures["line.png"].axes[0].get_title().endswith("the line is that of least squares")


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        ("5", "the loss grows, from .*: try a smaller"),
        ("1e300", "the loss grows, from .*: try a smaller"),
        ("1e-7", "the loss still changes, from .*: try a larger"),
        ("0.9999", "the loss still changes, from .*: try a smaller"),
    ],
)
def test_the_line_says_when_it_has_not_converged(lr, message):
    with pytest.raises(SystemExit, match=message):
        run("line", "--rate", lr)


@pytest.mark.parametrize("lr", [1.0, 1e-12])
def test_a_line_that_has_stopped_far_from_the_minimum_is_not_said_to_have_arrived(lr):
    its, printed, figures, _ = run("line", "--rate", lr)
    assert its.losses[-1] > 100 * its.LOWEST
    assert "These differ: this is no minimum." in printed
    assert "not that of least squares" in figures["line.png"].axes[0].get_title()


@together("line")
def test_with_a_tiny_learning_rate_the_loss_has_converged_far_from_the_minimum():
    its, printed, figures, _ = once("line")
    (fast, fast_places), (slow, slow_places) = its.RUNS[0.1], its.RUNS[its.TINY]
    assert train.has_converged(slow, its.TOLERANCE)
    assert train.has_converged(fast, its.TOLERANCE)
    assert slow[-1] > 100 * its.LOWEST > 99 * fast[-1]
    steep = [
        np.hypot(*places[-1][2:]) / np.hypot(*places[0][2:])
        for places in (fast_places, slow_places)
    ]
    assert steep[0] < 0.01
    assert steep[1] > 0.99
    assert f"{slow[-1] / its.LOWEST:.2f} times the smallest loss" in said(printed)
    legend = [text.get_text() for text in figures["line.png"].axes[1].get_legend().get_texts()]
    assert [f"nearly stops changing: step {len(run) - 1}" for run in (fast, slow)] == legend[1::2]


@pytest.mark.parametrize(
    ("x", "y", "x_label", "y_label", "ratio"),
    [
        ("bill_length_mm", "flipper_length_mm", "bill length (mm)", "flipper length (mm)", "mm/mm"),
        ("body_mass_g", "bill_depth_mm", "body mass (g)", "bill depth (mm)", "mm/g"),
        ("year", "body_mass_g", "year", "body mass (g)", "g/year"),
        ("body_mass_g", "year", "body mass (g)", "year", "year/g"),
    ],
)
def test_names_and_units_are_those_of_the_columns(x, y, x_label, y_label, ratio):
    its, printed, figures, _ = run("line", "--x", x, "--y", y)
    left, right = figures["line.png"].axes
    assert (left.get_xlabel(), left.get_ylabel()) == (x_label, y_label)
    assert right.get_ylabel() == f"loss ({ratio.split('/')[0]}²)"
    found = equations(printed)["gradient descent"]
    assert found.factor_unit == ratio
    assert (found.y, found.x) == (y_label.split(" (")[0], x_label.split(" (")[0])
    exact = np.polyfit(its.X, its.Y, 1)
    np.testing.assert_allclose((found.factor, found.constant), exact, rtol=1e-3)
    check_pictures(figures)


@pytest.mark.parametrize("column", ["species", "flipper_length"])
def test_a_wrong_column_of_the_penguins_is_one_line(column):
    with pytest.raises(SystemExit, match=rf"'{column}' .* bill_length_mm, .*body_mass_g, year$"):
        run("line", "--x", column)


def test_a_line_through_one_column_and_itself_is_one_line():
    with pytest.raises(SystemExit, match=r"^--x and --y should be two columns, "):
        run("line", "--x", "body_mass_g")


def test_a_loss_that_still_changes_is_not_said_to_have_stopped():
    printed, figures = edited(
        "line", {"TINY, TOLERANCE = 1e-5, 1e-3": "TINY, TOLERANCE = 1e-5, 1e-8"}
    )
    told = "Learning rate 1e-05, step 9999: the last steps changed the loss by more than 1e-06%."
    assert told in said(printed)
    title = figures["line.png"].axes[1].get_title()
    assert title == "A loss that hardly changes may be\nthe smallest"


@pytest.mark.parametrize(
    ("lr", "ends"),
    [(0.1, "the smallest, or 118 times the smallest"), (1.0, "118 times the smallest")],
)
def test_the_title_says_where_losses_that_hardly_change_may_be(lr, ends):
    _, _, figures, _ = once("line", "--rate", lr)
    title = figures["line.png"].axes[1].get_title()
    assert title == f"A loss that hardly changes may be\n{ends}"


def test_each_threshold_is_said_with_its_learning_rate():
    _, printed, _, _ = run("line", "--rate", 0.3)
    assert said(printed).count("The learning rate is 0.3. The descent stops when") == 1
    assert "by at most 1e-10 of itself in 5 steps." in said(printed)
    assert "A threshold of 0.1% in 5 steps, at the rates 0.3 and 1e-05:" in said(printed)


SQUARES, SGD = "return nn.mse_loss(w * x + b, Y)", "optim.SGD([w, b], lr=lr)"
LINES = {
    "half the loss": {SQUARES: "return 0.5 * nn.mse_loss(w * x + b, Y)"},
    "another start": {"START = [0.0, 0.0]": "START = [-3000.0, 9000.0]"},
    "a loose threshold": {"STRICT = 1e-10": "STRICT = 1e-2"},
    "a threshold of 0": {"STRICT = 1e-10": "STRICT = 0"},
    "another x": {"x = (X - X.mean()) / X.std()": "x = (X - 200) / 10"},
    "another tiny rate": {"TINY, TOLERANCE = 1e-5, 1e-3": "TINY, TOLERANCE = 2e-3, 0.1"},
    "a tiny rate that is large": {"TINY, TOLERANCE = 1e-5, 1e-3": "TINY, TOLERANCE = 5.0, 0"},
    "momentum": {SGD: "optim.SGD([w, b], lr=lr, momentum=0.8)"},
    "b stays": {SGD: "optim.SGD([w], lr=lr)"},
    "three penguins": {"X, Y = table.T": "X, Y = table[:3].T"},
    "another column": {'default="body_mass_g"': 'default="bill_depth_mm"'},
}


def band(losses):
    """By which part of itself a loss changed in the last 5 steps."""
    recent = losses[-6:]
    return np.ptp(recent) / np.max(recent) if len(recent) == 6 else np.inf


@cache
def edited_line(name):
    """A run of line.py as it was edited, and its loss at (w, b), by other means."""
    its, printed, figures, _ = run_edited("line", LINES[name])
    scale = 0.5 if name == "half the loss" else 1.0

    def loss(place):
        return scale * np.mean((place[0] * its.x + place[1] - its.Y) ** 2)

    return its, printed, figures["line.png"], loss


after_an_edit = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=together(f"line, {name}")) for name in LINES]
)


@after_an_edit
def test_line_after_an_edit(name):
    its, printed, figure, loss = edited_line(name)
    np.testing.assert_allclose(its.losses, [loss(place) for place in its.places])
    last = len(its.losses) - 1
    threshold = float(re.search(r"by at most (\S+) of itself in 5 steps", said(printed))[1])
    assert f"At step {last} it changes by no more than that" in printed
    assert band(its.losses) <= threshold < band(its.losses[:-1])
    descent, exact = equations(printed).values()
    best = np.polyfit(its.X, its.Y, 1)
    np.testing.assert_allclose((exact.factor, exact.constant), best, rtol=1e-4)
    heights = its.places[last, 0] * its.x + its.places[last, 1]
    near = 1e-3 * its.Y.std()
    np.testing.assert_allclose(descent.factor * its.X + descent.constant, heights, atol=near)
    has_arrived = abs(heights - np.polyval(best, its.X)).max() < near
    assert ("These agree: we have arrived." in printed) == has_arrived
    assert ("These differ: this is no minimum." in printed) == (not has_arrived)
    title = f"At step {last} the line is {'' if has_arrived else 'not '}that of least squares"
    assert figure.axes[0].get_title() == title
    per = "sd" if np.isclose(its.x.std(), 1) else "unit"
    assert f"w ({exact.unit}/{per})" in printed
    assert f" instead of per {per}, that is w / {its.X.std() / its.x.std():.3g}," in printed


@after_an_edit
def test_what_a_threshold_says_after_an_edit(name):
    its, printed, figure, loss = edited_line(name)
    lowest = loss(np.polyfit(its.x, its.Y, 1))

    def steepness(place):  # exact, since the loss is a parabola
        slopes = [loss(place + one) - loss(place - one) for one in np.eye(2)]
        return np.hypot(*slopes) / 2

    told = re.findall(
        r"Learning rate (\S+), step (\d+): the last steps changed the loss by (at most|more than) "
        r"(\S+)%\. It is (\S+) times the smallest loss of any line, and the slopes are (\S+)% of",
        said(printed),
    )
    assert len(told) == len(its.RUNS) == 2
    ends = []
    for lr, step, which, percent, times, part in told:
        run, where = its.RUNS[float(lr)]
        first, last = where[0, :2], where[-1, :2]
        assert int(step) == len(run) - 1
        assert (which == "at most") == (band(run) <= float(percent) / 100)
        expected = [loss(last) / lowest, 100 * steepness(last) / steepness(first)]
        np.testing.assert_allclose([float(times), float(part)], expected, rtol=1e-6, atol=0.006)
        if which == "at most":
            ends.append(expected[0])
    title = figure.axes[1].get_title()
    is_smallest = "the smallest" in title.replace("times the smallest", "")
    assert is_smallest == (min(ends) < 1.005)
    assert set(re.findall(r"\d\S*", title)) == {f"{end:.3g}" for end in ends if end >= 1.005}
    check_pictures({"line.png": figure})


NOT_LOWEST = "least squares does not find the lowest point of this loss"


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({SQUARES: "return np.abs(w * x + b - Y).mean()"}, NOT_LOWEST),
        ({SQUARES: "return nn.mse_loss(w * x + b, Y) + w**2"}, NOT_LOWEST),
        ({SQUARES: "return -nn.mse_loss(w * x + b, Y)"}, NOT_LOWEST),
        ({"START = [0.0, 0.0]": "START = [1.0]"}, "START should be 2 numbers from -1e6 to 1e6"),
        ({"START = [0.0, 0.0]": "START = [0, 1e300]"}, "START should be 2 numbers"),
        ({"START = [0.0, 0.0]": "START = np.polyfit(x, Y, 1)"}, "START is the lowest point"),
        ({"STRICT = 1e-10": "STRICT = -1"}, "rates and thresholds should be 0 or more"),
        ({"TINY, TOLERANCE = 1e-5": "TINY, TOLERANCE = -1e-5"}, "rates and thresholds should"),
        ({"most=10_000": "most=0"}, "the loss still changes, from .*: try a larger --rate"),
        ({"most=10_000": "most=40"}, "the loss still changes, from .*: try a larger --rate"),
        ({"x = (X - X.mean()) / X.std()": "x = X"}, "the loss grows, from .*: try a smaller"),
        ({"        optimizer.zero_grad()\n": ""}, "the loss still changes, from "),
        ({"X, Y = table.T": "X, Y = table[:2].T"}, "the smallest loss is as good as 0"),
        ({"X, Y = table.T": "X, Y = table[:1].T"}, "--x and --y should be two columns"),
    ],
)
def test_a_line_that_cannot_be_shown_is_one_clear_line(edits, message):
    with pytest.raises(SystemExit, match=message):
        edited("line", edits)


@pytest.mark.parametrize("name", ["line", "two_weights", "curvature"])
@pytest.mark.parametrize("lr", [-1.0, 0.0, np.nan, np.inf, "fast"])
def test_a_learning_rate_that_leads_nowhere_is_an_error(name, lr, capsys):
    option = "--rate"
    with pytest.raises(SystemExit):
        run(name, f"{option}={lr}")
    assert f"{option}: must be a number above 0, and finite" in capsys.readouterr().err


# ── learning_rate.py ──────────────────────────────────────────────────────────────────────────────


@together("learning_rate")
def test_the_goldilocks_zone_ends_where_the_largest_curvature_says():
    its, printed, _, _ = once("learning_rate")
    for name, feature in its.BOWLS.items():
        columns = np.stack([feature, np.ones_like(feature)])
        largest = np.linalg.eigvalsh(2 * columns @ columns.T / feature.size)[-1]
        limit, steps = 2 / largest, np.array(its.STEPS[name])
        np.testing.assert_allclose(its.CURVATURE[name], largest)
        np.testing.assert_allclose(its.ZONE[name], limit, rtol=0.02)
        assert np.isinf(steps[its.RATES > limit]).all()
        assert not np.isinf(steps[its.RATES < limit]).any()
        assert f"2/λ = 2/{largest:.4g} = {limit:.4g}" in printed
    np.testing.assert_allclose(its.ZONE["flat"] / its.ZONE["steep"], 100, rtol=0.02)


@together("learning_rate")
def test_the_steps_that_are_printed_are_those_that_a_descent_takes():
    its, printed, _, _ = once("learning_rate")
    lines = re.findall(r"^  steps to within 1% of the smallest loss: (.*)$", printed, re.MULTILINE)
    for feature, line in zip(its.BOWLS.values(), lines, strict=True):
        said = re.findall(r"(\d+) at rate (\S+?)(?:,|$)", line)
        assert len(said) == 3
        for steps, rate in said:
            lr = its.RATES[np.abs(its.RATES - float(rate)).argmin()]
            assert its.descend(feature, lr) == int(steps)


@together("learning_rate")
@pytest.mark.parametrize(
    ("share", "name"),
    [
        (0.04, "too small"),
        (1e-9, "too small"),
        (0.3, "arrives soon"),
        (0.5, "arrives soon"),
        (0.97, "nearly too large"),
        (1.0, "neither nearer nor farther"),
        (1.0001, "too large"),
        (1.5, "too large"),
    ],
)
def test_a_rate_is_called_what_theory_says(share, name):
    its, _, _, _ = once("learning_rate")
    assert its.verdict(share) == name


def test_the_titles_tell_of_the_shares_that_were_chosen():
    shares = (0.04, 0.3, 0.97, 1.0, 1.05, 900.0)
    edits = {"np.geomspace(1e-3, 1, 25), 1000": "np.geomspace(4e-3, 1, 10), 700"}
    printed, figures = edited("learning_rate", edits, "--shares", *shares)
    names = ("too small", "arrives soon", "nearly too large", "neither nearer nor farther")
    axes = figures["learning_rate_steps.png"].axes
    for share, name, on in zip(shares, (*names, "too large", "too large"), axes, strict=True):
        first, second = on.get_title().split("\n", 1)
        assert first == f"{share:g} · 2/λ: {name}"
        tells = r"after (\d+) steps the distance is\s(\S+) times the first"
        steps, left = re.fullmatch(rf"\({tells}\)", second).groups()
        np.testing.assert_allclose(float(left), abs(1 - 2 * share) ** int(steps), rtol=0.05)
        line = re.search(rf"^{share:g} · 2/λ, a rate of (\S+): {name}; {tells}$", printed, re.M)
        np.testing.assert_allclose(float(line[1]), share * 0.5072, rtol=1e-3)
        assert line.groups()[1:] == (steps, left)
    check_pictures(figures)


@together("learning_rate")
def test_the_rate_multiplies_the_slope_and_not_the_weight():
    its, _, _, _ = once("learning_rate")
    assert abs(its.w - its.TARGET) < 0.01 * abs(its.START - its.TARGET)
    assert abs(its.product) < 1e-4
    assert its.loss_of(its.product) > 4 * its.loss_of(its.w)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ("np.geomspace(1e-6, 1e-5, 10), 20", r"flat bowl: none of the rates .* arrives"),
        ("np.geomspace(0.1, 0.4, 10), 500", r"flat bowl: none of the rates .* diverges"),
        ("np.geomspace(0.1, 1, 10), 500", r"steep bowl: none of the rates from 0\.1 to 1 arrives"),
    ],
)
def test_rates_that_do_not_enclose_the_end_of_the_zone_are_one_clear_line(rates, message):
    with pytest.raises(SystemExit, match=message):
        edited("learning_rate", {"np.geomspace(1e-3, 1, 25), 1000": rates})


ITS_RATES, A_FEW = "np.geomspace(1e-3, 1, 25), 1000", "[0.004, 0.1, 0.3, 1.1], 700"
ITS_COLUMNS = '["flipper_length_mm", "body_mass_g"]'
ITS_BOWLS = '{"flat": (length - length.mean()) / 10, "steep": length - length.mean()}'
ITS_LINE = "nn.mse_loss(weights[0] * feature + weights[1], mass)"
ITS_START = "BOWL, START, COUNT = flat, -0.2, 6"
ZONES = {  # an edit, and what the bowls, w and the loss are said to be measured in
    "another column": (
        {ITS_COLUMNS: '["bill_length_mm", "body_mass_g"]', ITS_RATES: "[0.02, 0.3, 1.1], 700"},
        ("flat bowl, length in cm:", "steep bowl, length in mm:", "kg per cm", "kg²"),
    ),
    "a column that is no length": (
        {ITS_COLUMNS: '["year", "bill_depth_mm"]'},
        ("flat bowl, year in 10 year:", "steep bowl, year in year:", "m per", "m²"),
    ),
    "grams": (
        {"table[:, 1] / 1000": "table[:, 1]"},
        ("flat bowl, length in cm:", "steep bowl, length in mm:", "g per cm", "g²"),
    ),
    "steps of 30 mm": (
        {ITS_BOWLS: ITS_BOWLS.replace("/ 10", "/ 30"), ITS_RATES: "[0.0045, 0.3, 1.1], 1600"},
        ("flat bowl, length in 30 mm:", "steep bowl, length in mm:", "kg per 30 mm", "kg²"),
    ),
    "a third bowl, other names and another order": (
        {ITS_BOWLS: ITS_BOWLS.replace('{"flat"', '{"deep": feet, "wide"').replace("steep", "x")}
        | {"BOWLS = ": "feet = (length - length.mean()) / 2\nBOWLS = "}
        | {ITS_RATES: "[0.004, 0.01, 0.3, 1.1], 700"},
        ("deep bowl, length in 2 mm:", "wide bowl, length in cm:", "kg per cm", "kg²"),
    ),
    "half the loss": (
        {ITS_LINE: f"0.5 * {ITS_LINE}", ITS_RATES: "[0.008, 0.3, 1.2], 700"},
        ("flat bowl, length in cm:", "steep bowl, length in mm:", "kg per cm", "kg²"),
    ),
    "a line without b": (
        {ITS_LINE: ITS_LINE.replace(" + weights[1]", "")},
        ("flat bowl, length in cm:", "steep bowl, length in mm:", "kg per cm", "kg²"),
    ),
    "another start, and less close": (
        {"{}, np.zeros(2)": "{}, np.full(2, 20.0)", "CLOSE = 0.01": "CLOSE = 0.05"},
        ("flat bowl, length in cm:", "steep bowl, length in mm:", "kg per cm", "kg²"),
    ),
    "rates in any order, one below 0": (
        {ITS_RATES: "[1, 0.2, 0.004, -0.1], 700"},
        ("flat bowl, length in cm:", "steep bowl, length in mm:", "kg per cm", "kg²"),
    ),
    "few steps in the steep bowl, from far": (
        {ITS_START: "BOWL, START, COUNT = steep, 5e6, 1"},
        ("flat bowl, length in cm:", "steep bowl, length in mm:", "kg per mm", "kg²"),
    ),
}


def bowl_of(loss, size):
    """The second derivatives of a parabola, and its lowest point, from values of the loss alone."""
    at = np.eye(size)
    zero = loss(np.zeros(size))
    second = [[loss(i + j) - loss(i) - loss(j) + zero for j in at] for i in at]
    slopes = [(loss(i) - loss(-i)) / 2 for i in at]
    return np.array(second), np.linalg.lstsq(np.array(second), -np.array(slopes))[0]


def steps_in(bowl, loss, start, close, most, lr):
    """How many steps a descent takes, with the slopes of the parabola, second · distance."""
    second, lowest = bowl
    far, least = start - lowest, loss(lowest)
    for step in range(most + 1):
        rise = far @ second @ far / 2
        if rise <= close * least:
            return step
        if least + rise > 2 * loss(start):
            return np.inf
        far = far - lr * second @ far
    return np.nan


@pytest.mark.parametrize(("edits", "told"), ZONES.values(), ids=ZONES)
def test_learning_rate_after_an_edit(edits, told):
    its, printed, figures, made = run_edited("learning_rate", {ITS_RATES: A_FEW, **edits})
    limits, ends = {}, {}
    for name, feature in its.BOWLS.items():

        def loss(weights, feature=feature):
            return its.loss_at(weights, feature)

        bowl = bowl_of(loss, 2)
        largest = np.linalg.eigvalsh(bowl[0])[-1]
        limits[name] = 2 / largest
        line = rf"{name} bowl, .* in .*: 2/λ = 2/{largest:.4g} = {limits[name]:.4g}\n"
        says = rf"{line}  measured: the zone ends at (\S+), or (\S+)% of 2/λ .*\n"
        counts = r"  steps to within (\S+)% of the smallest loss: (.*)\n"
        end, share, close, steps = re.search(says + counts, printed).groups()
        ends[name] = its.ZONE[name]
        assert float(end) == pytest.approx(ends[name], rel=1e-3)
        assert float(share) == pytest.approx(100 * ends[name] / limits[name], abs=0.06)
        assert float(close) == 100 * its.CLOSE
        descent = bowl, loss, its.start, its.CLOSE, its.MOST
        assert np.isfinite(steps_in(*descent, lr=ends[name] * 0.9999))
        assert not np.isfinite(steps_in(*descent, lr=ends[name] * 1.004))
        for count, lr in re.findall(r"(\d+) at rate (\S+?)(?:,|$)", steps):
            assert int(count) == steps_in(*descent, lr=float(lr))
    for text in told[:2]:
        assert text in printed
    [on] = figures["learning_rate.png"].axes
    tells = r"The rate may be (\S+) times as large in the (\w+) bowl"
    times, best = re.fullmatch(tells, on.get_title()).groups()
    assert ends[best] == max(ends.values())
    assert times == f"{ends[best] / min(ends.values()):.3g}"
    assert on.get_ylabel() == f"steps to within {100 * its.CLOSE:g}% of the smallest loss"
    legend = [text.get_text() for text in figures["learning_rate.png"].legends[0].get_texts()]
    for name, limit in limits.items():
        assert f"2/λ = {limit:.3g}, predicted end" in legend
        feature = re.search(rf"^{name} bowl, (.* in .*): ", printed, re.MULTILINE)[1]
        assert f"{name} bowl ({feature})" in legend
    ticks = on.get_yticks()
    assert (np.diff(ticks) > 0).all()
    assert ticks[-3] == its.MOST
    # The few steps of w alone.
    second, lowest = bowl_of(lambda w: its.loss_of(w[0]), 1)
    assert f"The minimum is at w = {lowest[0]:.4f}, " in printed
    panels = figures["learning_rate_steps.png"].axes
    names = {0.04: "too small", 0.3: "arrives soon", 1.05: "too large"}
    for (share, name), panel in zip(names.items(), panels, strict=True):
        first, second_line, last = panel.get_title().split("\n")
        assert first == f"{share} · 2/λ: {name}"
        count = "1 step" if its.COUNT == 1 else f"{its.COUNT} steps"
        assert second_line == f"(after {count} the distance is"
        left = re.fullmatch(r"(\S+) times the first\)", last)[1]
        assert float(left) == pytest.approx(abs(1 - 2 * share) ** its.COUNT, rel=0.06)
        rate = share * 2 / second[0, 0]
        assert f"{share} · 2/λ, a rate of {rate:.4g}: {name}; after {count} the distance" in printed
        assert told[2] in panel.get_xlabel()
        assert panel.get_ylabel() == f"loss ({told[3]})"
    check_pictures(figures)
    page = made["descent.html"].decode()
    x, y = (
        re.sub(r"_(mm|g)$", "", column).replace("_", " ")
        for column in eval(edits.get(ITS_COLUMNS, ITS_COLUMNS))
    )
    assert f"{y} = w · {x} + b" in page
    assert f'"yUnit":"{told[3][:-1]}"' in page.replace(": ", ":")


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({ITS_LINE: f"{ITS_LINE} ** 0.5"}, "this loss is not a bowl"),
        ({ITS_LINE: f"({ITS_LINE} + weights[0] ** 2)"}, "this loss is not a bowl"),
        (
            {ITS_LINE: "abs(weights[0] * feature + weights[1] - mass).mean()"},
            "this loss is not a bowl",
        ),
        ({ITS_BOWLS: '{"flat": length - length.mean()}'}, "BOWLS should be two or more"),
        ({ITS_RATES: "[0.01, 0.1, 1.1], 5"}, "flat bowl: none of the rates .* arrives in 5 steps"),
        (
            {"flat, -0.2, 6": 'flat, np.polyfit(BOWLS["flat"], mass, 1)[0], 6'},
            "START is the lowest",
        ),
        ({ITS_COLUMNS: '["island", "body_mass_g"]'}, "the column 'island' has no numbers"),
    ],
)
def test_learning_rate_after_an_edit_that_will_not_do_is_one_clear_line(edits, message):
    with pytest.raises(SystemExit, match=message) as caught:
        edited("learning_rate", {ITS_RATES: A_FEW, **edits})
    assert "\n" not in caught.value.code


@pytest.mark.parametrize("default", ["[0.04, 0, 1.05]", "[-0.3]", "[5000]", "[]"])
def test_a_default_that_will_not_do_is_one_clear_line_too(default, capsys):
    with pytest.raises(SystemExit):
        edited("learning_rate", {'"default": [0.04, 0.3, 1.05]': f'"default": {default}'})
    assert "learning_rate.py: error: the default of --shares: must be " in capsys.readouterr().err


# ── curvature.py ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_step_in_a_network_leaves_the_loss_as_it_was_at_2_by_its_curvature(seed):
    its, printed, _, _ = run("curvature", "--steps", 40, "--seed", seed)
    assert list(its.UNCHANGED) == [0, 10, 40]
    np.testing.assert_allclose(list(its.UNCHANGED.values()), 1, atol=0.1)
    assert f"a step at {its.UNCHANGED[40]:.1%} of 2/λ leaves the loss as it was" in printed
    # The program made one more step after its last measurement.
    turned = hvp(its.network_loss(), its.weights, its.unit)
    along = sum(np.sum(t * u) for t, u in zip(turned, its.unit, strict=True))
    np.testing.assert_allclose(along, its.CURVATURE[40], rtol=0.1)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        other = [rng.normal(size=p.shape) for p in its.weights]
        turned = hvp(its.network_loss(), its.weights, other)
        curvature = sum(np.sum(t * o) for t, o in zip(turned, other, strict=True))
        assert abs(curvature) < its.CURVATURE[40] * sum(np.sum(o**2) for o in other)


@pytest.mark.parametrize("rate", [0.05, 0.7])
def test_what_is_said_about_the_curvature_is_what_was_measured(rate):
    its, printed, figures, _ = run("curvature", "--rate", rate, "--steps", 60)
    above = sum(curvature > 2 / rate for curvature in its.CURVATURE.values())
    assert f"At {above} of {len(its.CURVATURE)} steps the rate, {rate:g}, is above" in said(printed)
    limit = f"The limit is 2/rate = {2 / rate:.3g}: in a bowl, that is the largest curvature"
    assert limit in said(printed)
    assert "curvature.png" in figures
    check_pictures(figures)


def test_a_network_that_diverges_is_one_clear_line():
    with pytest.raises(SystemExit, match=r"the loss is .* at step \d+: try a smaller --rate"):
        run("curvature", "--rate", 30)


def test_the_network_is_trained_by_plain_sgd():
    its, _, _, _ = run("curvature", "--steps", 40)
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(784, 16, rng=rng, dtype=float), nn.Tanh(), nn.Linear(16, 10, rng=rng, dtype=float)
    )
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    for step in range(41):
        loss = nn.mse_loss(model(its.images), its.wanted)
        if step in its.LOSS:
            assert loss.item() == pytest.approx(its.LOSS[step], rel=1e-9)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


ITS_LAYERS = (
    "nn.Linear(784, 16, rng=rng, dtype=float), nn.Tanh(), nn.Linear(16, 10, rng=rng, dtype=float)"
)
ITS_SHARES, ITS_MOMENTS = "np.linspace(0, 1.6, 33)", "(options.steps // 4, options.steps)"
ONE_HOT = "data.one_hot(labels, 10).astype(float)"
CURVED = {  # an edit, the rate, and the steps after which one step is tried
    "a single digit": ({"EXAMPLES = 200": "EXAMPLES = 1"}, 0.5, [0, 10, 40]),
    "sigmoid": ({"nn.Tanh()": "nn.Sigmoid()"}, 0.5, [0, 10, 40]),
    "no hidden layer": ({ITS_LAYERS: "nn.Linear(784, 10, rng=rng, dtype=float)"}, 0.1, [0, 10, 40]),
    "cross-entropy": (
        {"nn.mse_loss(model(images), wanted)": "nn.cross_entropy(model(images), labels)"}
        | {"EXAMPLES = 200": "EXAMPLES = 20"},
        0.5,
        [0, 10, 40],
    ),
    "a sum of squares": (
        {"nn.mse_loss(model(images), wanted)": "((model(images) - wanted) ** 2).sum()"},
        0.0002,
        [0, 10, 40],
    ),
    "-1 in place of 0": ({ONE_HOT: f"2 * {ONE_HOT} - 1"}, 0.5, [0, 10, 40]),
    "a push the other way, and a few shares": (
        {"PUSH = 0.02": "PUSH = -0.03", ITS_SHARES: "[2.5, 1.3, 0]"},
        0.5,
        [0, 10, 40],
    ),
    "more moments, and steps between them": (
        {ITS_MOMENTS: "(0, 3, 5, 11, 35, 99)", "step % 20": "step % 7"},
        0.5,
        [0, 3, 5, 11, 35],
    ),
}


@pytest.mark.parametrize(("edits", "rate", "moments"), CURVED.values(), ids=CURVED)
def test_curvature_after_an_edit(edits, rate, moments):
    edits = {"EXAMPLES = 200": "EXAMPLES = 30", **edits}
    its, printed, figures, _ = run_edited("curvature", edits, "--steps", 40, "--rate", rate)
    # The last measurement was made before the last step, so take that back.
    for p, slope in zip(its.weights, gradients(its.loss, its.weights), strict=True):
        p.data = p.data + rate * slope
    here = nn.parameters_to_vector(its.weights)
    along = np.concatenate([part.ravel() for part in its.unit])

    def loss_at(where):
        nn.vector_to_parameters(where, its.weights)
        return its.network_loss()

    def slopes_at(where):
        return np.concatenate([g.ravel() for g in gradients(loss_at(where), its.weights)])

    def turned(vector):
        return (slopes_at(here + 1e-4 * vector) - slopes_at(here - 1e-4 * vector)) / 2e-4

    last = its.CURVATURE[40]
    assert its.LOSS[40] == pytest.approx(loss_at(here).item())
    assert along @ turned(along) == pytest.approx(last, rel=1e-4)
    along = np.random.default_rng(3).normal(size=len(here))  # the largest of all directions?
    for _ in range(60):
        along = turned(along) / np.linalg.norm(turned(along))
    assert 0.97 * along @ turned(along) < last < 1.03 * along @ turned(along)
    # A step at the share that is told leaves the loss as it was.
    rows = re.findall(r"step +(\d+): loss (\S+), λ (\S+), 2/λ (\S+); a step at (\S+)% of", printed)
    assert [int(step) for step, *_ in rows] == moments
    for step, *numbers in rows:
        loss, curvature, limit, share = map(float, numbers)
        assert loss == pytest.approx(its.LOSS[int(step)], abs=6e-5)
        assert curvature == pytest.approx(its.CURVATURE[int(step)], rel=6e-3)
        assert limit == pytest.approx(2 / its.CURVATURE[int(step)], rel=6e-3)
        assert share == pytest.approx(100 * its.UNCHANGED[int(step)], abs=0.06)
    if 40 in moments:
        along = np.concatenate([part.ravel() for part in its.unit])
        pushed = here + its.PUSH * along
        slope = along @ slopes_at(pushed)
        changes = [
            loss_at(pushed - share * 2 / last * slope * along).item() - loss_at(pushed).item()
            for share in (0.5, its.UNCHANGED[40], 1.5)
        ]
        assert changes[0] < 0 < changes[2]
        assert abs(changes[1]) < 1e-4 * max(np.abs(changes))
    above = sum(rate > 2 / curvature for curvature in its.CURVATURE.values())
    places = f"At {above} of {len(its.CURVATURE)} steps the rate, {rate:g}, is above"
    assert places in said(printed)
    first, final = its.LOSS[0], its.LOSS[40]
    assert f"The loss goes from {first:.4f} to {final:.4f}." in said(printed)
    late = np.mean([curvature for step, curvature in its.CURVATURE.items() if step >= 20])
    left, right = figures["curvature.png"].axes
    told = ", ".join(f"{its.UNCHANGED[step]:.1%}" for step in moments)
    assert f"At {told} of 2/λ a step along" in said(left.get_title())
    assert [line.get_label() for line in left.lines[:-1]] == [f"at step {n}" for n in moments]
    assert f"loss goes from {first:.3f} to {final:.3f};\nin the second half" in right.get_title()
    average = float(re.search(r"λ is (\S+) on average", right.get_title())[1])
    assert average == pytest.approx(late, rel=6e-3)
    check_pictures(figures)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"EXAMPLES = 200": "EXAMPLES = 0"}, "EXAMPLES must be 1 or more, but is 0"),
        ({"PUSH = 0.02": "PUSH = 100.0"}, "a step at 0.5 of 2/λ should lower .* smaller PUSH"),
        ({ITS_SHARES: "np.linspace(0, 0.8, 9)"}, "and one at 0.8 should not: try .* larger SHARES"),
        ({"times=60": "times=5"}, "after 5 products the vector still turns"),
        ({"times=60": "times=0"}, "after 0 products the vector still turns"),
        (
            {"nn.mse_loss(model(images), wanted)": "-nn.mse_loss(model(images), wanted)"},
            "after 60 products the vector still turns",
        ),
    ],
)
def test_curvature_after_an_edit_that_will_not_do_is_one_clear_line(edits, message):
    with pytest.raises(SystemExit, match=message) as caught:
        edited("curvature", edits, "--steps", 40)
    assert "\n" not in caught.value.code


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("default=0.5", "default=0", "--rate: must be a number above 0, and finite, but is 0"),
        ("default=400", "default=5", "--steps: must be a whole number, 40 or more, but is 5"),
        ("at_least(0), default=0", "at_least(0), default=-1", "--seed: must be a whole number, 0"),
    ],
)
def test_a_default_of_curvature_that_will_not_do_is_one_clear_line(old, new, message, capsys):
    with pytest.raises(SystemExit):
        edited("curvature", {old: new})
    assert f"curvature.py: error: the default of {message}" in capsys.readouterr().err


# ── two_weights.py ────────────────────────────────────────────────────────────────────────────────


@together("two_weights")
def test_each_next_point_is_the_point_and_the_update():
    its, printed, _, _ = once("two_weights")
    for point, update, after in zip(its.path[:-1], its.updates, its.path[1:], strict=True):
        np.testing.assert_array_equal(point + update, after)
        weights = Value(point)
        np.testing.assert_allclose(update, -0.2 * gradients(its.loss(weights), [weights])[0])
    np.testing.assert_allclose(its.path[-1], its.LOWEST, atol=1e-3)
    first = re.search(r"   0 +[\d.]+  \[(.*?)\]  \+  \[(.*?)\]  =  \[(.*?)\]", printed).groups()
    expected = [its.path[0][0], its.updates[0][0], its.path[1][0]]
    np.testing.assert_allclose([float(x) for x in first], expected, atol=1e-4)
    assert min(its.ASIDE) > 5  # degrees: an update points straight downhill, not to the minimum


def test_a_descent_that_runs_away_is_one_clear_line():
    with pytest.raises(SystemExit, match=r"the loss has grown from 3\.06\d* to .* smaller --rate"):
        run("two_weights", "--rate", 0.9)


@pytest.mark.parametrize("start", ["[-0.4, 0.6]", "[2.0, 3.0]", "[-1e6, 5e5]", "[0.9037, 0.0557]"])
def test_no_direction_is_steeper_than_the_gradients(start):
    printed, figures = edited("two_weights", {"[-0.4, 0.6], 40": f"{start}, 2"})
    assert "none of 360 directions is steeper than the gradient." in said(printed)
    title = figures["two_weights.png"].axes[1].get_title()
    assert title.startswith("None of 360 directions is steeper\nthan the gradient's")
    check_pictures(figures)


@pytest.mark.parametrize(
    ("steeper", "told"),
    [(1, "1 of 360 directions is steeper"), (7, "7 of 360 directions are steeper")],
)
def test_steeper_directions_would_be_counted(steeper, told):
    count = "int(np.sum(RISES > steepness * (1 + 1e-6)))"
    printed, figures = edited("two_weights", {count: str(steeper)})
    assert told in said(printed)
    assert figures["two_weights.png"].axes[1].get_title().startswith(told)


DEPENDS = r"w1 is (\S+) if w2 is (\S+), and (\S+) if w2 is (\S+): it (.*) on where the other"


@together("two_weights")
def test_the_slope_of_one_weight_depends_on_where_the_other_is():
    its, printed, _, _ = once("two_weights")
    first, w2, second, other, verb = re.search(DEPENDS, said(printed)).groups()
    assert verb == "depends"
    assert float(w2) != float(other)
    for slope, at in ((first, w2), (second, other)):
        errors = -0.4 * its.x1 + float(at) * its.x2 - its.y
        np.testing.assert_allclose(float(slope), 2 * np.mean(errors * its.x1), atol=1e-4)


def test_without_a_correlation_the_slope_is_said_not_to_depend_on_the_other_weight():
    columns = "x1, x2, y = ((table - table.mean(axis=0)) / table.std(axis=0)).T"
    apart = "; x2 = x2 - x1 * np.mean(x1 * x2)"
    printed, _ = edited("two_weights", {columns: columns + apart})
    assert re.search(DEPENDS, said(printed))[5] == "does not depend"


@together("two_weights")
def test_the_directions_change_the_loss_as_the_gradient_says():
    its, _, _, _ = once("two_weights")
    np.testing.assert_allclose(its.RISES, its.DIRECTIONS @ its.slopes, atol=1e-6)
    assert its.degrees[its.RISES.argmax()] == round(its.ANGLE)


def in_units(printed):
    """The gradient that is printed for x1 in each unit, and the loss."""
    rows = re.findall(r"^x1 in (.*?) +gradient \[(.*), (.*)\] +loss (.*)$", printed, re.MULTILINE)
    return {unit: (np.array([float(a), float(b)]), float(loss)) for unit, a, b, loss in rows}


@together("two_weights")
def test_the_larger_element_of_the_gradient_is_another_one_in_other_units():
    its, printed, _, _ = once("two_weights")
    found = in_units(printed)
    larger = {unit: abs(g[0]) > abs(g[1]) for unit, (g, _) in found.items()}
    assert larger == {"sd": True, "mm": True, "1000 mm": False}
    assert [loss for _, loss in found.values()] == 3 * [round(its.loss(its.path[0]), 4)]
    without = re.search(r"(\S+) with w1 = 0 instead, and (\S+) with w2 = 0", printed).groups()
    assert min(map(float, without)) > its.loss(its.LOWEST)


def test_other_columns_bring_their_names_and_units():
    edits = {
        '("flipper_length_mm", "bill_depth_mm", "body_mass_g")': '("body_mass_g", "year", "bill_length_mm")'
    }
    printed, figures = edited("two_weights", edits)
    left = figures["two_weights.png"].axes[0]
    assert left.get_xlabel() == "w1, for body mass (sd per sd)"
    assert left.get_ylabel() == "w2, for year (sd per sd)"
    assert "x1 in 1000 g " in printed
    assert "y: bill length, x1: body mass, x2: year" in printed


PLANE = "return nn.mse_loss(w[0] * x1 + w[1] * x2, y)"
START, UPDATE = "[-0.4, 0.6], 40", "updates.append(-options.rate * gradient(path[-1]))"
MEASURED = "((table - table.mean(axis=0)) / table.std(axis=0)).T"
ARROWS = {
    "half the loss": {PLANE: "return 0.5 * nn.mse_loss(w[0] * x1 + w[1] * x2, y)"},
    "from 0": {START: "[0, 0], 3"},
    "one step": {START: "(3.0, 0.0), 1"},
    "momentum": {UPDATE: UPDATE[:-1] + " + (0.9 * updates[-1] if updates else 0))"},
    "uphill": {UPDATE: "updates.append(options.rate / 20 * gradient(path[-1]))"},
    "one weight": {UPDATE: "updates.append(-options.rate * gradient(path[-1]) * [1, 0])"},
    "another place of w2": {"moved = w2 + 1": "moved = w2 - 3"},
    "fewer directions": {"np.arange(-180, 180)": "np.arange(-180, 180, 40)"},
    "a quarter of the directions": {"np.arange(-180, 180)": "np.arange(0, 90)"},
    "columns that change places": {
        '"flipper_length_mm", "bill_depth_mm"': '"bill_depth_mm", "flipper_length_mm"'
    },
    "a year": {'"flipper_length_mm", "bill_depth_mm"': '"year", "bill_depth_mm"'},
    "in units of one's own": {MEASURED: "(table - table.mean(axis=0)).T / [[20], [3], [801]]"},
    "a round bowl": {
        MEASURED: f"{MEASURED}; x2 -= x1 * np.mean(x1 * x2); x2 /= x2.std()",
        "default=0.2": "default=0.5",
    },
}


@cache
def arrows(name):
    """A run of two_weights.py as it was edited; and its loss and gradient, by other means."""
    its, printed, figures, _ = run_edited("two_weights", ARROWS[name])
    scale = 0.5 if name == "half the loss" else 1.0

    def loss(w, size=1.0):
        return scale * np.mean((w[0] * its.x1 * size + w[1] * its.x2 - its.y) ** 2)

    def gradient(w, size=1.0):  # exact but for rounding, since the loss is a parabola
        return np.array([loss(w + one, size) - loss(w - one, size) for one in np.eye(2)]) / 2

    return SimpleNamespace(
        its=its,
        printed=printed,
        told=said(printed),
        loss=loss,
        gradient=gradient,
        lowest=np.linalg.lstsq(np.stack([its.x1, its.x2], axis=1), its.y)[0],
        unit="sd" if np.allclose(np.std([its.x1, its.x2, its.y], axis=1), 1) else "units",
        axes=figures["two_weights.png"].axes,
        figures=figures,
    )


def numbers(text):
    return [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", text)]


after_each_edit = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=together(f"two_weights, {name}")) for name in ARROWS]
)


@after_each_edit
def test_two_weights_after_an_edit(name):
    run = arrows(name)
    path = run.its.path
    rows = re.findall(r"^ +\d+ +(\S+) +\[(.*)\n +\[(.*)$", run.printed, re.MULTILINE)
    assert len(rows) == min(run.its.STEPS, 4)
    steps = np.diff(path, axis=0)[:4]
    for (height, *sums), point, step, after in zip(rows, path, steps, path[1:], strict=False):
        assert float(height) == pytest.approx(run.loss(point), abs=1e-4)
        columns = np.transpose([numbers(each) for each in sums])
        np.testing.assert_allclose(columns, [point, step, after], atol=1e-4)
    aside = []
    for point, step in zip(path, steps, strict=False):
        there = run.lowest - point
        if np.linalg.norm(there) > 1e-6:
            cosine = there @ step / np.linalg.norm(there) / np.linalg.norm(step)
            aside.append(np.degrees(np.arccos(min(cosine, 1.0))))
    pattern = r"lowest point by (.*?)\. Their lengths are (.*?)[:.] "
    angles, lengths = map(numbers, re.search(pattern, run.told).groups())
    np.testing.assert_allclose(angles, aside, atol=0.51)
    np.testing.assert_allclose(lengths, np.linalg.norm(steps, axis=1), atol=6e-4)
    rate = run.its.options.rate
    plain = [-rate * run.gradient(point) for point in path[: len(steps)]]
    is_plain = np.allclose(steps, plain, rtol=1e-6, atol=1e-9)
    claim = f": the learning rate, {rate:g}, times the lengths of the gradients. "
    assert (claim in run.told) == is_plain


@after_each_edit
def test_the_directions_are_told_of_rightly_after_an_edit(name):
    run = arrows(name)
    gradient = run.gradient(run.its.path[0])
    steepness = np.linalg.norm(gradient)
    rises = {}
    for degree in run.its.degrees.tolist():
        angle = np.radians(degree)
        rises[degree] = gradient @ [np.cos(angle), np.sin(angle)]
    count, most, rise, least = re.search(
        r"Of (\d+) directions the loss rises most along (\S+)°, by (\S+) per unit of length, "
        r"and falls most along (\S+)°: none of \1 directions is steeper than the gradient",
        run.told,
    ).groups()
    assert int(count) == len(rises)
    assert rises[int(most)] == pytest.approx(max(rises.values()))
    assert rises[int(least)] == pytest.approx(min(rises.values()))
    assert float(rise) == pytest.approx(max(rises.values()), rel=1e-4)
    assert run.axes[1].get_title().startswith(f"None of {count} directions is steeper\nthan the")
    update = np.diff(run.its.path, axis=0)[0]
    is_opposite = np.allclose(update / np.linalg.norm(update), -gradient / steepness)
    assert [text.get_text() for text in run.axes[1].get_legend().get_texts()] == [
        f"{count} directions, tried",
        "the gradient: angle and length",
        "the update: the opposite" if is_opposite else "the first update",
    ]


@after_each_edit
def test_the_elements_of_the_gradient_are_told_of_rightly_after_an_edit(name):
    run = arrows(name)
    start = run.its.path[0]
    first, w2, second, other, verb = re.search(DEPENDS, run.told).groups()
    for slope, at in ((first, w2), (second, other)):
        expected = run.gradient(np.array([start[0], float(at)]))[0]
        assert float(slope) == pytest.approx(expected, abs=1e-4)
    is_apart = abs(np.mean(run.its.x1 * run.its.x2)) < 1e-9
    assert verb == ("does not depend" if is_apart else "depends")
    what = "year" if name == "a year" else "mm"
    one = np.std(run.its.table[:, 0]) / np.std(run.its.x1)
    sizes = {run.unit: 1.0, what: one, f"1000 {what}": one / 1000}
    found = in_units(run.printed)
    assert list(found) == list(sizes)
    for unit, (gradient, height) in found.items():
        expected = run.gradient(start / [sizes[unit], 1], sizes[unit])
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)
        assert height == pytest.approx(run.loss(start), abs=1e-4)
    pattern = r"The loss is (\S+) there, (\S+) with w1 = 0 instead, and (\S+) with w2 = 0"
    heights = [float(each) for each in re.search(pattern, run.told).groups()]
    expected = [run.loss(run.lowest * keep) for keep in ([1, 1], [0, 1], [1, 0])]
    np.testing.assert_allclose(heights, expected, atol=1e-4)


@after_each_edit
def test_the_picture_of_two_weights_tells_of_its_path_after_an_edit(name):
    run = arrows(name)
    left, _, colours = run.axes
    start, end = (np.linalg.norm(point - run.lowest) for point in run.its.path[[0, -1]])
    steps = "1 step" if run.its.STEPS == 1 else f"{run.its.STEPS} steps"
    title = " ".join(left.get_title().split())
    assert title.startswith(f"{steps} from the circle, {start:.2g} away from the lowest point, to")
    shown = float(re.search(r"to the star, (\S+) away from it$", title)[1])
    assert shown == pytest.approx(end, rel=0.05, abs=1e-12)
    assert f"After {steps} w is [" in run.told
    assert left.get_xlabel().endswith(f" ({run.unit} per {run.unit})")
    assert left.get_ylabel().endswith(f" ({run.unit} per {run.unit})")
    assert colours.get_ylabel() == f"loss ({run.unit}²)"
    check_pictures(run.figures)


NO_LOWEST = "least squares does not find the lowest point of this loss, or not the only one"


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({START: "np.linalg.lstsq(np.stack([x1, x2], axis=1), y)[0], 4"}, "START is the lowest"),
        ({START: "[1.0], 40"}, "START should be 2 numbers from -1e6 to 1e6"),
        ({START: "[np.nan, 1.0], 40"}, "START should be 2 numbers from -1e6 to 1e6"),
        ({START: "[-0.4, 0.6], 0"}, "STEPS should be 1 or more"),
        ({'"flipper_length_mm", ': ""}, "COLUMNS should be three, for x1, x2 and y, but are 2"),
        ({'"bill_depth_mm"': '"flipper_length_mm"'}, NO_LOWEST),
        ({MEASURED: MEASURED.replace(".T", "[:1].T")}, "the smallest loss is as good as 0"),
        ({PLANE: "return np.abs(w[0] * x1 + w[1] * x2 - y).mean()"}, NO_LOWEST),
        ({PLANE: "return w[0] ** 2 + 3 * w[1] ** 2"}, NO_LOWEST),
        ({PLANE: "return -nn.mse_loss(w[0] * x1 + w[1] * x2, y)"}, NO_LOWEST),
        ({"tiny = 1e-6": "tiny = 1e-15"}, "a step of 1e-15 is too small or too large"),
    ],
)
def test_arrows_that_cannot_be_shown_are_one_clear_line(edits, message):
    with at_most(60), pytest.raises(SystemExit, match=message):
        edited("two_weights", edits)
