"""baskets.py, scatter.py and all_slopes.py do what they say, on their real output."""

import re
import subprocess
import sys
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from example_runs import EXAMPLES, edited, needs_matplotlib, of, run, run_edited, small

from microgd import Value, data, gradients, nn

pytestmark = needs_matplotlib


def said(printed):
    """What was printed, as one line."""
    return " ".join(printed.split())


# ── baskets.py ───────────────────────────────────────────────────────────────────────────────────


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
    assert "The fewest examples looked at: all weights, 32 examples: SGD." in printed
    for _, (lr, _) in its.BEST.items():
        assert min(its.RATES) < lr < max(its.RATES)  # the best rate is not at the edge of the grid


def softmax_regression(x, y, weight, bias, lr, batch, rng):
    """The loss after each step, in NumPy alone: the slopes are the outputs' errors times pixels."""
    right = np.eye(10)[y]

    def probabilities(these):
        outputs = np.exp(these @ weight.T + bias)
        return outputs / outputs.sum(axis=1, keepdims=True)

    while True:
        for a, targets in data.minibatches(x, right, batch, rng):
            error = (probabilities(a) - targets) / len(a)
            weight, bias = weight - lr * error.T @ a, bias - lr * error.sum(axis=0)
            yield len(a), -np.mean(np.log(probabilities(x)[np.arange(len(y)), y]))


@of("baskets")
@pytest.mark.parametrize(("way", "batch"), [(0, 600), (1, 32)])
def test_all_weights_descend_as_numpy_does(way, batch):
    its, _, _, _ = small("baskets")
    lr, history = its.BEST[list(its.WAYS)[way]]
    model = its.start()
    weight, bias = model.weight.data.astype(float), model.bias.data.astype(float)
    rng = np.random.default_rng(0)
    steps = softmax_regression(its.x.astype(float), its.y, weight, bias, lr, batch, rng)
    losses, visits = {}, 0
    while visits < history[-1, 0]:
        examples, loss = next(steps)
        visits += examples
        losses[visits] = loss
    expected = [losses[int(visits)] for visits in history[1:, 0]]
    np.testing.assert_allclose(history[1:, 2], expected, rtol=1e-3)
    np.testing.assert_array_equal(history[:, 1], 2 * 7840 * history[:, 0])


@of("baskets")
def test_the_basket_of_weights_descends_as_its_formula_says():
    its, _, _, _ = small("baskets")
    model = its.start()
    before = model.weight.data.copy()
    steps = its.some_weights(model, 0.5, times=2)
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


@of("baskets")
def test_a_block_at_its_best_is_not_at_its_best_after_another_block_moved():
    its, printed, _, _ = small("baskets")
    model = its.start()
    steps = its.some_weights(model, 4.0, times=its.LONG)
    pixels = np.random.default_rng(0).choice(784, its.PIXELS, replace=False)
    lengths = []
    for count in (0, its.LONG, its.LONG):
        for _ in range(count):
            next(steps)
        (slope,) = gradients(nn.cross_entropy(model(its.x), its.y), [model.weight])
        lengths.append(np.linalg.norm(slope[:, pixels]))
    first, done, later = lengths
    np.testing.assert_allclose([its.DONE, its.LATER], [done / first, later / first], rtol=1e-2)
    assert its.DONE < 0.05
    assert its.LATER > 1.3 * its.DONE
    assert f"Its slopes are {its.DONE:.1%} of those at the start." in said(printed)
    assert f"with another block they are {its.LATER:.1%}: its best values moved" in said(printed)


@of("baskets")
def test_a_loss_that_rises_first_is_told_and_marked():
    its, printed, figures, _ = small("baskets")
    tops = {name: max(history[:, 2]) for name, (_, history) in its.BEST.items()}
    highest = max(tops, key=tops.get)
    assert tops[highest] > its.levels["before any step"]
    assert f"“{highest}” rises to {tops[highest]:.2f} on its way." in said(printed)
    for on in figures["baskets.png"].axes:
        texts = [text.get_text() for text in on.texts]
        assert texts == [
            f"before any step: {its.levels['before any step']:.3g}",
            "the goal: 0.4",
            "steps too long",
        ]
        assert on.get_ylim()[0] < its.GOAL < tops[highest] < on.get_ylim()[1]


def test_a_loss_that_falls_from_the_first_step_on_is_not_said_to_rise():
    edits = {**FEW, RATES: "[0.25]", "BATCH = 32": "BATCH = 250", "GOAL = 0.4": "GOAL = 1.2"}
    printed, figures = edited("baskets", edits, "--examples", 300)
    assert "on its way" not in printed
    assert "steps too long" not in [
        text.get_text() for text in figures["baskets.png"].axes[0].texts
    ]


LINEAR = "nn.Linear(784, 10, rng=np.random.default_rng(options.seed))"
RATES = "[2.0**n for n in range(5, -6, -1)]"
FEW = {RATES: "[4.0, 1.0]"}
RACES = {
    "another goal": {**FEW, "GOAL = 0.4": "GOAL = 0.8"},
    "a large mini-batch": {**FEW, "BATCH = 32": "BATCH = 250", "GOAL = 0.4": "GOAL = 1.2"},
    "half of the weights": {**FEW, "PIXELS = 78": "PIXELS = 392", "GOAL = 0.4": "GOAL = 0.8"},
    "three steps with each block": {**FEW, "TIMES = 10": "TIMES = 3", "GOAL = 0.4": "GOAL = 0.8"},
    "a mini-batch of one": {
        RATES: "[0.125, 0.03]",
        "BATCH = 32": "BATCH = 1",
        "GOAL = 0.4": "GOAL = 1.6",
    },
    "a mini-batch of all": {**FEW, "BATCH = 32": "BATCH = 300", "GOAL = 0.4": "GOAL = 1.2"},
    "a block of four pixels": {**FEW, "PIXELS = 78": "PIXELS = 4", "GOAL = 0.4": "GOAL = 1.7"},
    "a goal that one step gets to": {**FEW, "GOAL = 0.4": "GOAL = 1.9", "TIMES = 10": "TIMES = 1"},
}


@pytest.mark.parametrize("edits", RACES.values(), ids=RACES)
def test_who_needs_least_is_told_as_the_table_has_it(edits):
    printed, figures = edited("baskets", edits, "--examples", 300)
    assert not re.search(r"\b1 (examples|steps)|\b0% of the weights", printed)
    rows = re.findall(r"^(\S.*?)  +[\d.]+ +([\d,]+) +([\d,]+)$", printed, re.MULTILINE)
    assert rows
    titles = [on.get_title() for on in figures["baskets.png"].axes]
    for column, unit in enumerate(["examples looked at", "multiply-adds"]):
        needed = {name: int(costs[column].replace(",", "")) for name, *costs in rows}
        told, others = re.search(rf"The fewest {unit}: (.*)\.\n((?:    .*\n)*)", printed).groups()
        assert needed[told] == min(needed.values())
        assert titles[column] == f"The fewest {unit}:\n{told}"
        for times, name in re.findall(r"(just|[\d.]+ times) as many: (.*)", others):
            ratio = needed.pop(name) / needed[told]
            assert times == ("just" if ratio == 1 else f"{ratio:.1f} times")
        assert list(needed) == [told]


def test_a_way_that_does_not_get_down_to_the_goal_is_said_not_to():
    edits = {RATES: "[0.1]"}
    printed, figures = edited("baskets", edits, "--examples", 300)
    name = "10% of the weights, all examples"
    assert re.search(rf"{name} +not within 30,000 examples looked at", printed)
    assert f"times as many: {name}" not in printed
    drawn = figures["baskets.png"].legends[0].get_texts()
    assert name not in [text.get_text() for text in drawn]


def test_a_goal_that_no_way_gets_down_to_is_one_clear_line():
    edits = {
        RATES: "[1e-6]",
        "MOST = 100 * len(x)": "MOST = 5 * len(x)",
    }
    with pytest.raises(SystemExit, match=r"no way gets down to a loss of 0\.4: try a higher GOAL"):
        edited("baskets", edits, "--examples", 300)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"BATCH = 32": "BATCH = 0"}, "BATCH must be 1 to 300"),
        ({"BATCH = 32": "BATCH = 301"}, "BATCH must be 1 to 300"),
        ({"PIXELS = 78": "PIXELS = 785"}, "PIXELS 1 to 784"),
        ({"TIMES = 10": "TIMES = 0"}, "TIMES and LONG 1 or more"),
        ({"LONG = 300": "LONG = 0"}, "TIMES and LONG 1 or more"),
        ({RATES: "[0.0, 1.0]"}, "RATES must be above 0"),
        ({RATES: "[]"}, "no way gets down to a loss of 0.4: try .*other RATES"),
        ({"nn.Linear(784, 10, rng": "nn.Linear(784, 16, rng"}, "must be nn.Linear"),
        ({LINEAR: "nn.Sequential(nn.Linear(784, 16), nn.Linear(16, 10))"}, "must be nn.Linear"),
    ],
)
def test_baskets_after_an_edit_that_will_not_do_is_one_clear_line(edits, said):
    with pytest.raises(SystemExit, match=said) as caught:
        edited("baskets", edits, "--examples", 300)
    assert "\n" not in caught.value.code


def test_baskets_after_an_edit_of_the_steps_with_a_block():
    its, printed, _, _ = run_edited(
        "baskets", {**FEW, "LONG = 300": "LONG = 1", "GOAL = 0.4": "GOAL = 1.9"}, "--examples", 300
    )
    assert "after 1 step?" in said(printed)
    assert its.DONE > its.LATER
    assert f"After 1 step with another block they are {its.LATER:.1%}: they did not" in said(
        printed
    )
    model = its.start()
    steps = its.some_weights(model, 4.0, times=1)
    next(steps)
    next(steps)
    p = np.exp(its.x @ model.weight.data.T + model.bias.data)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.mean(np.log(p[np.arange(300), its.y]))
    assert f"The loss is {loss:.2f} now, after 600 examples looked at." in said(printed)


def test_a_goal_above_the_start_is_one_clear_line():
    with pytest.raises(SystemExit, match=r"is not above the goal, 2\.5: try a lower GOAL"):
        edited("baskets", {"GOAL = 0.4": "GOAL = 2.5"}, "--examples", 300)


# ── all_slopes.py ────────────────────────────────────────────────────────────────────────────────


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
def test_the_work_is_that_of_the_matrix_products_and_little_else():
    its, _, _, _ = small("all_slopes")
    for name, (_, forward, reverse, _) in its.COSTS.items():
        sizes = [int(size) for size in name.split("→")]
        products = [32 * sizes[i] * sizes[i + 1] for i in range(len(sizes) - 1)]
        assert sum(products) <= forward < 1.02 * sum(products)
        # The first layer's inputs are pixels, which need no slopes.
        backward = 2 * sum(products) - products[0]
        assert backward <= reverse < 1.02 * backward + 2 * its.COSTS[name][0]


@of("all_slopes")
def test_multiply_adds_are_counted_once_each():
    its, _, _, _ = small("all_slopes")
    x, w = Value(np.ones((5, 7))), Value(np.ones((7, 3)))
    product = x @ w
    assert its.multiply_adds(product) == 5 * 7 * 3
    assert its.multiply_adds(product, product + 1, x) == 5 * 7 * 3 + 15
    assert its.multiply_adds(nn.Linear(7, 3)(np.ones((5, 7)))) == 5 * 7 * 3


@of("all_slopes")
def test_the_time_that_is_told_is_the_one_that_was_measured():
    its, printed, _, _ = small("all_slopes")
    loss, reverse = its.TIMES
    assert f"takes {reverse / loss:.1f} times as long as the loss" in said(printed)
    _, forward, backward, _ = list(its.COSTS.values())[-1]
    assert f"for {backward / forward:.1f} times the multiply-adds" in said(printed)
    assert 0 < loss < 1


def test_the_time_that_is_told_is_steady():
    def told():
        program = [sys.executable, str(EXAMPLES / "all_slopes.py"), "--out", folder]
        done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
        return float(re.search(r"takes ([\d.]+) times as long", said(done.stdout))[1])

    with TemporaryDirectory() as folder:
        times = [told() for _ in range(3)]
    assert max(times) < 2 * min(times)


ALL = "[[784, 10], [784, 16, 16, 10], [784, 128, 10], [784, 512, 512, 10]]"


ITS_LOSS = "nn.cross_entropy(model(x), y)"
COUNTED = {
    "other networks": {ALL: "[[784, 8, 10], [784, 16, 16, 10]]"},
    "a single network": {ALL: "[[784, 10]]"},
    "a single hidden unit, and more outputs": {ALL: "[[784, 1, 26], [784, 26]]"},
    "the largest first, and one twice": {ALL: "[[784, 64, 10], [784, 10], [784, 64, 10]]"},
    "many layers": {ALL: "[[784, 50, 40, 30, 20, 10], [784, 10]]"},
    "ReLU": {"nn.Tanh()": "nn.ReLU()"},
    "nothing between the layers": {"[nn.Tanh(), nn.Linear": "[nn.Linear"},
    "another loss": {ITS_LOSS: "(model(x) ** 2).mean()"},
    "a single digit": {"default=32": "default=1"},
    "more digits than there are": {"default=32": "default=7000", ALL: "[[784, 10]]"},
    "no turn but one": {"range(50)": "range(0)"},
}


@pytest.mark.parametrize("edits", COUNTED.values(), ids=COUNTED)
def test_all_slopes_after_an_edit(edits):
    its, printed, figures, _ = run_edited("all_slopes", edits)
    networks = eval(edits.get(ALL, ALL))
    rows = re.findall(r"^(784\S+) +([\d,. ]+)$", printed, re.MULTILINE)
    assert [name for name, _ in rows] == ["→".join(map(str, sizes)) for sizes in networks]
    digits = {"default=1": 1, "default=7000": 6000}.get(edits.get("default=32"), 32)
    ratios = []
    for sizes, (_, numbers) in zip(networks, rows, strict=True):
        weights, loss, reverse, times, one_by_one = (
            float(number.replace(",", "")) for number in numbers.split()
        )
        layers = np.array([sizes[:-1], sizes[1:]]).T
        assert weights == sum(inputs * outputs + outputs for inputs, outputs in layers)
        assert one_by_one == weights
        products = digits * layers.prod(axis=1)
        # What is not a matrix product is small beside them: at most 10 operations on each output.
        others = 10 * digits * layers[:, 1].sum()
        assert products.sum() < loss <= products.sum() + others
        # Of the first layer only the slopes of the weights; and adding those up, for the biases.
        least = 2 * products.sum() - products[0]
        assert least < reverse <= least + others + 2 * weights
        assert times == pytest.approx(reverse / loss, abs=0.006)
        ratios.append(reverse / loss)
    low, high = re.search(r"takes ([\d.]+)(?: to ([\d.]+))? times the work", printed).groups()
    assert low == f"{min(ratios):.1f}"
    assert high == (f"{max(ratios):.1f}" if f"{max(ratios):.1f}" != low else None)
    measured = f"Measured with {rows[-1][0]}, the reverse pass takes"
    assert measured in said(printed)
    assert f"the loss, for {ratios[-1]:.1f} times the multiply-adds" in said(printed)
    assert sum(p.size for p in its.model.parameters()) == weights  # the model that was measured
    [on] = figures["all_slopes.png"].axes
    assert f"at most {max(ratios):.3g} times the work" in on.get_title()
    assert on.get_ylabel() == f"multiply-adds for {digits:,} digit{'' if digits == 1 else 's'}"
    for line in on.lines:
        x, y = line.get_data()
        assert len(x) == len({tuple(sizes) for sizes in networks})
        assert (np.diff(x) > 0).all()
        assert min(y) >= 0.9 * digits * min(x)


@pytest.mark.parametrize(
    "networks",
    ["[[10, 10]]", "[[784, 5]]", "[]", "[[784]]", "[[784, 10], []]", "[[784, 0, 10]]", "[784, 16]"],
)
def test_a_network_that_does_not_fit_the_digits_is_one_clear_line(networks):
    message = "NETWORKS must begin with 784 pixels, have no 0, and end with 10 outputs or more"
    with pytest.raises(SystemExit, match=rf"^{message}$"):
        edited("all_slopes", {ALL: networks})


def test_no_digits_by_default_is_one_clear_line(capsys):
    with pytest.raises(SystemExit):
        edited("all_slopes", {"default=32": "default=0"})
    message = "all_slopes.py: error: the default of --examples: must be a whole number, 1 or more"
    assert message in capsys.readouterr().err


# ── scatter.py ───────────────────────────────────────────────────────────────────────────────────


def scattered(seed):
    """Run the program with smaller mini-batches, which takes a tenth of the time."""
    text = (EXAMPLES / "scatter.py").read_text()
    text = text.replace("[1, 4, 16, 64, 256, 1024]", "[1, 4, 16, 64]")
    return run("scatter", "--examples", 300, "--seed", seed, text=text)


@of("scatter")
@pytest.mark.parametrize("seed", [0, 1])
def test_the_scatter_of_a_mini_batchs_gradient_falls_with_the_root_of_its_size(seed):
    its, printed, _, _ = small("scatter") if seed == 0 else scattered(seed)
    np.testing.assert_allclose(its.EXPONENT, -0.5, atol=0.05)
    assert f"to the power of {its.EXPONENT:.2f}" in printed
    # For one example the slopes of a linear layer are the outputs' errors times the inputs.
    outputs = np.exp(its.x @ its.model.weight.data.T + its.model.bias.data).astype(float)
    error = outputs / outputs.sum(axis=1, keepdims=True) - np.eye(10)[its.y]
    inputs = np.c_[its.x, np.ones(len(its.x))].astype(float)
    full = error.T @ inputs / len(inputs)
    np.testing.assert_allclose(its.LENGTH, np.linalg.norm(full), rtol=1e-4)
    squares = np.sum(error**2, axis=1) * np.sum(inputs**2, axis=1)
    variance = np.mean(squares) - np.sum(full**2)
    expected = np.sqrt(variance / np.array(its.SIZES)) / np.linalg.norm(full)
    np.testing.assert_allclose(its.SCATTER, expected, rtol=0.2)


@of("scatter")
def test_the_gradients_of_all_examples_have_the_full_gradient_as_their_mean():
    its = scattered(0)[0]
    each = [its.gradient(np.array([i])) for i in range(len(its.x))]
    np.testing.assert_allclose(np.mean(each, axis=0), its.full, atol=1e-5)


@of("scatter")
def test_the_errors_of_many_gradients_cancel():
    its, printed, _, _ = small("scatter")
    found = re.search(r"on 1 example is off by ([\d.]+) .* is off by ([\d.]+) times", said(printed))
    alone, together = float(found[1]), float(found[2])
    assert f"{its.SCATTER[0]:.2f}" == found[1]
    # The scatter of a mean is that of one, divided by the root of their number.
    assert together == pytest.approx(alone / np.sqrt(its.TIMES), rel=0.3)
    rng = np.random.default_rng(5)
    others = [its.gradient(rng.integers(len(its.x), size=1)) for _ in range(its.TIMES)]
    again = np.linalg.norm(np.mean(others, axis=0) - its.full) / its.LENGTH
    assert together == pytest.approx(again, rel=0.3)


SIZES = "[1, 4, 16, 64, 256, 1024]"
ANY = {"SIZES = " + SIZES: "SIZES = [1, 4, 16, 64]"}
CHANGES = {
    "other sizes": ({SIZES: "[2, 8, 32]"}, []),
    "two sizes": ({SIZES: "[5, 50]"}, []),
    "fewer mini-batches": ({**ANY, "TIMES = 100": "TIMES = 40"}, []),
    "other digits and weights": (ANY, ["--examples", 300, "--seed", 1]),
    "a hidden layer": (
        {
            **ANY,
            "nn.Linear(784, 10, rng=rng)": (
                "nn.Sequential(nn.Linear(784, 16, rng=rng), nn.Tanh(), nn.Linear(16, 10, rng=rng))"
            ),
        },
        [],
    ),
}


@pytest.mark.parametrize(("edits", "arguments"), CHANGES.values(), ids=CHANGES)
def test_after_an_edit_the_scatter_is_told_as_it_is(edits, arguments):
    printed, figures = edited("scatter", edits, *arguments)
    rows = re.findall(r"^ +([\d,]+) +([\d.]+)$", printed, re.MULTILINE)
    sizes, off = np.array([[float(size), float(found)] for size, found in rows]).T
    power = np.polyfit(np.log(sizes), np.log(off), 1)[0]
    told = float(re.search(r"to the power of (-\d\.\d+)", printed)[1])
    assert told == pytest.approx(power, abs=0.01)
    assert told == pytest.approx(-0.5, abs=0.09)
    [on] = figures["scatter.png"].axes
    times = float(re.search(r"4 times as large is ([\d.]+) times as close", on.get_title())[1])
    assert times == pytest.approx(4**-told, abs=0.06)
    low, high = on.get_ylim()
    assert low < off.min() < off.max() < high
    ticks = on.get_yticks()
    assert off.min() / 2 < min(ticks) <= off.min() * 1.01
    assert off.max() / 1.01 <= max(ticks) < off.max() * 2  # the first and the last can be read


def test_a_single_size_can_be_compared_with_nothing():
    with pytest.raises(SystemExit, match="SIZES must name two sizes or more"):
        edited("scatter", {SIZES: "[64]"})
