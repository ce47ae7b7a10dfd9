"""baskets.py, scatter.py and all_slopes.py do what they say, on their real output."""

import re

import numpy as np
import pytest
from example_runs import edited, needs_matplotlib, of, run, small

from microgd import Value, gradients, nn

pytestmark = needs_matplotlib


@of("baskets")
@pytest.mark.parametrize("seed", [0, 1])
def test_mini_batches_need_a_third_of_the_visits_or_fewer_each_way_at_its_best_rate(seed):
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


@of("baskets")
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


@of("all_slopes")
def test_all_slopes_cost_at_most_four_times_the_loss_whatever_the_number_of_weights():
    its, printed, _, _ = small("all_slopes")
    assert [count for count, *_ in its.COSTS.values()] == [7_850, 13_002, 101_770, 669_706]
    for count, forward, reverse, differences in its.COSTS.values():
        assert 0.5 * forward < reverse <= 4 * forward
        assert differences == count * forward
        assert f" {count:,}\n" in printed  # one by one takes as many times the loss
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


@of("all_slopes")
def test_multiply_adds_are_counted_once_each():
    its, _, _, _ = small("all_slopes")
    x, w = Value(np.ones((5, 7))), Value(np.ones((7, 3)))
    product = x @ w
    assert its.multiply_adds(product) == 5 * 7 * 3
    assert its.multiply_adds(product, product + 1, x) == 5 * 7 * 3 + 15
    assert its.multiply_adds(nn.Linear(7, 3)(np.ones((5, 7)))) == 5 * 7 * 3


@of("scatter")
@pytest.mark.parametrize("seed", [0, 1])
def test_the_scatter_of_a_mini_batchs_gradient_falls_with_the_root_of_its_size(seed):
    its, _, _, _ = (
        small("scatter") if seed == 0 else run("scatter", "--examples", 300, "--seed", seed)
    )
    np.testing.assert_allclose(its.EXPONENT, -0.5, atol=0.05)
    each = np.stack([its.gradient(np.array([i])) for i in range(len(its.x))])
    np.testing.assert_allclose(each.mean(axis=0), its.full, atol=1e-5)
    expected = np.sqrt(np.mean(np.sum((each - its.full) ** 2, axis=1))) / np.linalg.norm(its.full)
    np.testing.assert_allclose(its.SCATTER[0], expected, rtol=0.2)


def test_a_way_that_does_not_get_down_to_the_goal_is_said_not_to():
    edits = {"[2.0**n for n in range(5, -6, -1)]": "[0.1]"}
    printed, figures = edited("baskets", edits, "--examples", 300)
    assert re.search(
        r"a tenth of the weights, all examples +not within 30,000 examples looked at", printed
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


@pytest.mark.parametrize(
    "edits",
    [
        {"NETWORKS = [[784, 10], [784, 16, 16, 10],": "NETWORKS = [[784, 10], [784, 8, 10],"},
        {"[[784, 10], [784, 16, 16, 10], [784, 128, 10], [784, 512, 512, 10]]": "[[784, 10]]"},
        {"nn.Tanh()": "nn.ReLU()"},
        {"nn.cross_entropy(model(x), y)\n    forward": "(model(x) ** 2).mean()\n    forward"},
    ],
)
def test_other_networks_and_losses_are_counted_too(edits):
    printed, figures = edited("all_slopes", edits)
    low, high = re.search(r"takes ([\d.]+) to ([\d.]+) times the work", printed).groups()
    rows = re.findall(r"^784\S+ +[\d,]+ +([\d,]+) +([\d,]+) ", printed, re.MULTILINE)
    counted = [[int(text.replace(",", "")) for text in row] for row in rows]
    ratios = [reverse / forward for forward, reverse in counted]
    assert (f"{min(ratios):.1f}", f"{max(ratios):.1f}") == (low, high)
    assert f"at most {high} times" in figures["all_slopes.png"].axes[0].get_title()


@pytest.mark.parametrize(
    "arguments", [["--examples", 300], ["--seed", 5], ["--examples", 300, "--seed", 1]]
)
def test_for_other_digits_the_scatter_is_told_as_it_is(arguments):
    its, printed, figures, _ = run("scatter", *arguments)
    assert f"to the power of {its.EXPONENT:.2f}" in printed
    title = figures["scatter.png"].axes[0].get_title()
    assert title == f"A mini-batch 100 times as large is {100**-its.EXPONENT:.1f} times as close"


def test_a_mini_batch_of_other_sizes_scatters_as_the_root_says():
    printed, _ = edited("scatter", {"[1, 4, 16, 64, 256, 1024]": "[2, 8, 32]"})
    found = float(re.search(r"to the power of (-\d\.\d+)", printed)[1])
    assert found == pytest.approx(-0.5, abs=0.06)
