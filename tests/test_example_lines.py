"""line.py, learning_rate.py and two_weights.py do what they say, on their real output."""

import ast
import csv
import re
from itertools import pairwise

import numpy as np
import pytest
from example_runs import EXAMPLES, check_pictures, edited, needs_matplotlib, of, run, small

from microgd import Value, gradients, hvp, train

pytestmark = needs_matplotlib


# ── line.py ───────────────────────────────────────────────────────────────────────────────────────


@of("line")
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


@of("line")
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


@of("line")
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


@of("learning_rate")
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


@of("learning_rate")
def test_the_rate_multiplies_the_slope_and_not_the_weight():
    its, _, _, _ = small("learning_rate")
    exact = np.polyfit(its.flat, its.mass, 1)[0]
    assert abs(its.shots(-0.2, 0.2, 30)[-1] - exact) < 1e-6
    assert its.loss_at((its.PRODUCTS[-1], its.b), its.flat) > 4 * its.loss_at(
        (exact, its.b), its.flat
    )


@of("learning_rate")
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


@of("two_weights")
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


@of("two_weights")
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
