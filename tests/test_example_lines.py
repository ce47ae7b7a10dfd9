"""one_weight.py, line.py, learning_rate.py, curvature.py and two_weights.py do what they say."""

import csv
import re
from functools import cache

import numpy as np
import pytest
from example_runs import EXAMPLES, at_most, check_pictures, edited, example, needs_matplotlib, run

from microgd import Value, gradients, hvp, train

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


@pytest.mark.parametrize("name", FIVE)
def test_a_program_has_at_most_160_lines(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 160


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


@together("line")
def test_the_line_is_that_of_least_squares_to_four_digits():
    _, printed, _, _ = once("line")
    descent, exact = (
        [
            float(x)
            for x in re.search(
                rf"{who}: +body mass = (\S+) g/mm \* flipper length (\S+) g", printed
            ).groups()
        ]
        for who in ("gradient descent", "least squares")
    )
    with open(EXAMPLES / "data" / "penguins.csv", newline="") as file:
        rows = [(row["flipper_length_mm"], row["body_mass_g"]) for row in csv.DictReader(file)]
    length, mass = np.array([row for row in rows if "NA" not in row], float).T
    columns = np.stack([length, np.ones_like(length)], axis=1)
    np.testing.assert_allclose(exact, np.linalg.lstsq(columns, mass)[0], atol=0.01)
    np.testing.assert_allclose(descent, exact, rtol=5e-5)


@pytest.mark.parametrize("lr", [0.03, 0.5, 0.97])
def test_the_line_converges_from_several_learning_rates(lr):
    its, printed, figures, _ = run("line", "--rate", lr)
    np.testing.assert_allclose((its.w, its.b), np.polyfit(its.x, its.Y, 1), rtol=5e-5)
    assert "These agree: we have arrived." in printed
    assert figures["line.png"].axes[0].get_title().endswith("the line is that of least squares")


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        ("5", "the loss grows, from .*: try a smaller"),
        ("1e300", "the loss grows, from .*: try a smaller"),
        ("1e-7", "still falling: try a larger"),
        ("0.9999", "still falling: try a smaller"),
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
    assert f" {ratio} * {x_label.split(' (')[0]} " in printed
    np.testing.assert_allclose(its.found, np.polyfit(its.X, its.Y, 1), rtol=1e-3)
    check_pictures(figures)


@pytest.mark.parametrize("column", ["species", "flipper_length"])
def test_a_wrong_column_of_the_penguins_is_one_line(column):
    with pytest.raises(SystemExit, match=rf"'{column}' .* bill_length_mm, .*body_mass_g, year$"):
        run("line", "--x", column)


def test_a_line_through_one_column_and_itself_is_an_error(capsys):
    with pytest.raises(SystemExit):
        run("line", "--x", "body_mass_g")
    assert "--x and --y are the same column" in capsys.readouterr().err


def test_a_loss_that_still_changes_is_not_said_to_have_stopped():
    printed, figures = edited(
        "line", {"TINY, TOLERANCE = 1e-5, 1e-3": "TINY, TOLERANCE = 1e-5, 1e-8"}
    )
    assert "Learning rate 1e-05: at step 9999 the loss has changed by more than 1e-06%" in said(
        printed
    )
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
    assert "by less than 1e-10 of itself in 5 steps." in said(printed)
    assert "What does a common one say, 0.1% in 5 steps" in said(printed)


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
        exact = np.linalg.eigvalsh(2 * columns @ columns.T / feature.size)
        np.testing.assert_allclose(its.CURVATURES[name], exact)
        np.testing.assert_allclose(its.LIMIT[name], 2 / exact[-1])
        np.testing.assert_allclose(its.ZONE[name], its.LIMIT[name], rtol=0.02)
        assert np.isinf(its.STEPS[name][its.RATES > its.LIMIT[name]]).all()
        assert not np.isinf(its.STEPS[name][its.RATES < its.LIMIT[name]]).any()
        assert f"2/λ = 2/{exact[-1]:.4g} = {2 / exact[-1]:.4g}" in printed
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
    factor = 1 - 2 * share
    assert its.verdict(abs(factor) ** 6, factor < 0) == name


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
    assert f"At {above} of {len(its.CURVATURE)} places the rate, {rate:g}, is above" in said(
        printed
    )
    assert f"The limit is 2/rate = {2 / rate:.3g}: the largest curvature" in said(printed)
    assert "curvature.png" in figures
    check_pictures(figures)


def test_a_network_that_diverges_is_one_clear_line():
    with pytest.raises(SystemExit, match=r"the loss is .* at step \d+: try a smaller --rate"):
        run("curvature", "--rate", 30)


def test_other_examples_and_moments_leave_the_program_running():
    printed, _ = edited("curvature", {"EXAMPLES = 200": "EXAMPLES = 20"}, "--steps", 43)
    assert printed.count("leaves the loss as it was") == 3


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
    columns = "x1, x2, y = ((table - table.mean(axis=0)) / deviations).T"
    apart = "; x2 = x2 - x1 * np.mean(x1 * x2)"
    printed, _ = edited("two_weights", {columns: columns + apart})
    assert re.search(DEPENDS, said(printed))[5] == "does not depend"


@together("two_weights")
def test_the_directions_change_the_loss_as_the_gradient_says():
    its, _, _, _ = once("two_weights")
    np.testing.assert_allclose(its.RISES, its.DIRECTIONS @ its.gradient, atol=1e-6)
    assert its.degrees[its.RISES.argmax()] == round(its.ANGLE)


@together("two_weights")
def test_the_larger_element_of_the_gradient_is_another_one_in_other_units():
    its, printed, _, _ = once("two_weights")
    larger = {unit: abs(g[0]) > abs(g[1]) for unit, g in its.GRADIENTS.items()}
    assert larger == {"x1 in sd": True, "x1 in mm": True, "x1 in 1000 mm": False}
    assert printed.count(f"loss {its.loss(its.path[0]):.4f}") == 3
    assert min(its.WITHOUT) > its.loss(its.LOWEST)


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


@pytest.mark.parametrize("start", ["[0.0, 0.0], 3", "[3.0, 0.0], 1"])
def test_the_arrows_are_told_of_from_any_start(start):
    printed, figures = edited("two_weights", {"[-0.4, 0.6], 40": start})
    assert "nan" not in printed
    check_pictures(figures)


def test_a_start_at_the_lowest_point_is_one_clear_line():
    there = "np.linalg.lstsq(np.stack([x1, x2], axis=1), y)[0], 4"
    with at_most(60), pytest.raises(SystemExit, match=r"START is the lowest point, so there is no"):
        edited("two_weights", {"[-0.4, 0.6], 40": there})
