"""backprop.py and one_step.py do what they say, on their real output."""

import re

import numpy as np
import pytest
from example_runs import check_pictures, edited, needs_matplotlib, of, run, small
from rendered import needs_program

from microgd import data, nn, optim

pytestmark = needs_matplotlib


# ── backprop.py ──────────────────────────────────────────────────────────────────────────────────


def table(printed):
    """The three slopes of each weight: on paper, by backward, and by moving it."""
    rows = re.findall(r"^(w1|w2|b) +(\S+) +(\S+) +(\S+)$", printed, re.MULTILINE)
    return {name: tuple(float(number) for number in numbers) for name, *numbers in rows}


@of("backprop")
def test_the_slopes_of_the_neuron_are_those_worked_out_by_hand():
    _, printed, _, _ = small("backprop")
    z = 0.3 * 2 + 0.8 * -1 + 0.1
    d_z = 2 * (np.tanh(z) - 1) / np.cosh(z) ** 2
    for name, slope in {"w1": 2 * d_z, "w2": -d_z, "b": d_z}.items():
        paper, backward, moved = table(printed)[name]
        assert paper == backward == pytest.approx(slope, abs=1e-8)
        assert moved == pytest.approx(slope, abs=1e-5)
    assert "both use the chain rule" in " ".join(printed.split())
    assert "def neuron(w1, w2, b):" in printed


@of("backprop")
def test_too_small_a_move_is_as_bad_as_too_large_a_one():
    its, _, _, _ = small("backprop")
    off = list(its.DIFFERENCES.values())
    assert off[0] > off[1] > off[2] > off[3] < off[4] < off[5]


@of("backprop")
def test_the_program_that_is_printed_computes_the_slopes_that_are_printed():
    _, printed, _, _ = small("backprop")
    written = printed[printed.index("import math") : printed.index("picture: ")]
    names = {}
    exec(written, names)
    _, *slopes = names["neuron"](0.3, 0.8, 0.1)
    found = [backward for _, backward, _ in table(printed).values()]
    np.testing.assert_allclose(slopes, found, atol=1e-8)


@needs_program
@of("backprop")
def test_the_neuron_is_drawn_and_filmed_beside_its_program():
    _, printed, _, made = small("backprop")
    assert set(made) == {"backprop.svg", "backprop.html"}
    assert {name for name in made if f"{name}\n" in printed} == set(made)
    assert b'id="program"' in made["backprop.html"]


def test_without_a_program_for_graphs_it_says_so_in_one_line_and_all_else_is_there(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    _, printed, _, made = run("backprop")
    assert not made
    assert "graphviz" in printed.splitlines()[-1].lower()
    assert len(table(printed)) == 3


WEIGHTS = '{"w1": 0.3, "w2": 0.8, "b": 0.1}'
TANH, ITS_SLOPE = "operations.tanh(z)", "return 1 - np.tanh(z) ** 2"
AGREE = "both use the chain rule"
FOREIGN = "the paper does not belong to this neuron"
NEURONS = {
    "other inputs": ({"INPUTS = [2.0, -1.0]": "INPUTS = [0.0, 30.0]"}, AGREE),
    "the right output": ({"TARGET = 1.0": "TARGET = -0.09966799462495582"}, AGREE),
    "a far target": ({"TARGET = 1.0": "TARGET = 1e6"}, AGREE),
    "other weights": ({WEIGHTS: '{"w1": 3, "w2": -8, "b": 1}'}, AGREE),
    "a flat tanh": ({WEIGHTS: '{"w1": -8, "w2": 0.8, "b": 0.1}'}, AGREE),
    "a sigmoid, and not on paper": ({TANH: "operations.sigmoid(z)"}, FOREIGN),
    "a ReLU, and not on paper": ({TANH: "operations.relu(z)"}, FOREIGN),
    "another loss, and not on paper": ({"loss = error**2": "loss = error**4"}, FOREIGN),
    "no bend, and not on paper": ({TANH: "z"}, FOREIGN),
    "a sigmoid, on paper too": (
        {
            TANH: "operations.sigmoid(z)",
            ITS_SLOPE: "s = 1 / (1 + np.exp(-z)); return s * (1 - s)",
        },
        AGREE,
    ),
    "a ReLU, on paper too": ({TANH: "operations.relu(z)", ITS_SLOPE: "return float(z > 0)"}, AGREE),
}


@pytest.mark.parametrize(("edits", "said"), NEURONS.values(), ids=NEURONS)
def test_another_neuron_is_told_of_as_it_is(edits, said):
    printed, _ = edited("backprop", edits)
    assert said in " ".join(printed.split())
    for paper, backward, moved in table(printed).values():
        assert backward == pytest.approx(moved, rel=1e-4, abs=1e-4)
        if said == AGREE:
            assert paper == pytest.approx(backward, rel=1e-6, abs=1e-8)
    shown = float(re.search(r"loss = (\S+)", printed)[1])
    start = re.search(r"^(import|def) ", printed, re.MULTILINE).start()
    names = {}
    exec(re.split(r"^picture: ", printed[start:], flags=re.MULTILINE)[0], names)
    weights = eval(edits.get(WEIGHTS, WEIGHTS))
    assert shown == pytest.approx(names["neuron"](**weights)[0], abs=1e-4, rel=1e-4)


def test_at_a_kink_the_verdict_is_on_neither_way():
    edits = {WEIGHTS: '{"w1": 0.0, "w2": 0.0, "b": 0.0}', TANH: "operations.relu(z)"}
    printed, _ = edited("backprop", edits)
    said = " ".join(printed.split())
    assert "z = 0.0000 is at a kink of bend" in said
    assert AGREE not in said
    assert FOREIGN not in said


# ── one_step.py ──────────────────────────────────────────────────────────────────────────────────


def network(seed):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Linear(784, 16, rng=rng),
        nn.ReLU(),
        nn.Linear(16, 16, rng=rng),
        nn.ReLU(),
        nn.Linear(16, 10, rng=rng),
    )


def step_by_step(digit, rate, steps, seed):
    """The losses for the digit and for the first one with another label, by a loop of our own."""
    model = network(seed)
    x, y = data.digits().train
    other = next(i for i in range(len(y)) if y[i] != y[digit])
    optimizer = optim.SGD(model.parameters(), lr=rate)
    losses = []
    for _ in range(steps + 1):
        loss = nn.cross_entropy(model(x[[digit]]), y[[digit]])
        losses.append((loss.item(), nn.cross_entropy(model(x[[other]]), y[[other]]).item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.array(losses)


def what_became_of(first, last):
    if abs(first - last) < 0.0005:
        return f"stays at {first:.3f}"
    return f"{'falls' if last < first else 'rises'} from {first:.3f} to {last:.3f}"


SETTINGS = {
    "default": (0, 0.1, 11, 0),
    "another digit": (4, 0.1, 11, 0),
    "a tiny rate": (0, 1e-5, 3, 0),
    "a single step": (7, 0.05, 1, 2),
    "far too large a rate": (2, 20.0, 5, 0),
}


@of("one_step")
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_the_losses_are_those_of_a_loop_of_ones_own_and_said_to_go_where_they_go(setting):
    digit, rate, steps, seed = setting
    options = ["--digit", digit, "--rate", rate, "--steps", steps, "--seed", seed]
    its, printed, figures, _ = (
        small("one_step") if setting == SETTINGS["default"] else run("one_step", *options)
    )
    losses = step_by_step(*setting)
    np.testing.assert_allclose(its.LOSSES, losses[:, 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(its.OTHERS, losses[:, 1], rtol=1e-4, atol=1e-6)
    said = " ".join(printed.split())
    label = data.digits().train.y[digit]
    mine, others = its.LOSSES, its.OTHERS
    assert f"the loss for this {label} is {mine[0]:.3f}" in said
    assert f"for this {label} {what_became_of(mine[0], mine[1])} in one step" in said
    assert f"{what_became_of(mine[0], mine[-1])} in {steps}." in said
    assert f"no step has looked at, {what_became_of(others[0], others[-1])}." in said
    assert ("the price of one example" in said) == (others[-1] > others[0] + 0.0005)
    assert figures["one_step.png"].axes[-1].get_title().startswith(f"After {steps} step")
    check_pictures({"one_step.png": figures["one_step.png"]})


@of("one_step")
def test_the_outputs_and_probabilities_are_those_of_numpy():
    _, printed, figures, _ = small("one_step")
    w1, b1, w2, b2, w3, b3 = (p.data for p in network(0).parameters())
    hidden = np.maximum(data.digits().train.x[0] @ w1.T + b1, 0)
    outputs = np.maximum(hidden @ w2.T + b2, 0) @ w3.T + b3
    probabilities = np.exp(outputs) / np.exp(outputs).sum()
    rows = re.findall(r"^    \d +(\S+) → +([\d.]+)%", printed, re.MULTILINE)
    np.testing.assert_allclose([float(output) for output, _ in rows], outputs, atol=6e-4)
    np.testing.assert_allclose([float(p) for _, p in rows], 100 * probabilities, atol=0.06)
    bars = [bar.get_height() for bar in figures["one_step.png"].axes[1].patches]
    np.testing.assert_allclose(bars, 100 * probabilities, rtol=1e-4)


@of("one_step")
def test_the_update_is_minus_the_rate_times_every_slope():
    its, printed, figures, _ = small("one_step")
    model = network(0)
    x, y = data.digits().train
    nn.cross_entropy(model(x[:1]), y[:1]).backward()
    update = -0.1 * np.concatenate([p.grad.ravel() for p in model.parameters()])
    assert its.update.shape == (13_002,)
    np.testing.assert_allclose(its.update, update, rtol=1e-5, atol=1e-9)
    said = " ".join(printed.split())
    assert f"{np.count_nonzero(update):,} are not 0" in said
    assert f"Its length is {np.sqrt(np.sum(update**2)):.3g}." in said
    largest = sorted(update**2)[-100:]
    assert f"hold {sum(largest) / np.sum(update**2):.0%} of the length" in said
    # The three layers have 784 · 16 + 16, 16 · 16 + 16 and 16 · 10 + 10 elements.
    parts = np.split(np.abs(update), [12_560, 12_832])
    counts = [int(np.sum(part >= largest[0] ** 0.5)) for part in parts]
    assert sum(counts) == 100
    told = ", ".join(f"{count} in layer {n}" for n, count in enumerate(counts, 1))
    assert f"The 100 largest ({told}) hold" in said
    tops = [part.max() for part in parts]
    layer = np.argmax(tops) + 1
    assert f"The largest element is {max(tops):.3g}, in layer {layer} of 3." in said
    drawn = f"largest of these is {parts[0][:12_544].max():.2g}; that of all 13,002 elements is "
    title = figures["one_step_update.png"].get_suptitle()
    assert f"{drawn}{max(tops):.2g}, in layer {layer})" in title


@of("one_step")
def test_pixels_without_ink_have_weights_that_stay_exactly_as_they_are():
    its, printed, _, _ = small("one_step")
    blank = data.digits().train.x[0] == 0
    before, after = network(0)[0].weight.data, its.model[0].weight.data
    np.testing.assert_array_equal(before[:, blank], after[:, blank])
    count = int(blank.sum())
    assert f"{count} of the 784 pixels have no ink; of these, {count}" in " ".join(printed.split())


LAYERS = """    nn.ReLU(),
    nn.Linear(16, 16, rng=rng),
    nn.ReLU(),
    nn.Linear(16, 10, rng=rng),
"""
NETWORKS = {
    "tanh": ({LAYERS: LAYERS.replace("ReLU", "Tanh")}, 13_002, 16),
    "no hidden layer": ({LAYERS: "", "Linear(784, 16,": "Linear(784, 10,"}, 7_850, 10),
    "one wide layer": (
        {LAYERS: "nn.ReLU(), nn.Linear(32, 10, rng=rng)", "Linear(784, 16,": "Linear(784, 32,"},
        784 * 32 + 32 + 32 * 10 + 10,
        32,
    ),
}


@pytest.mark.parametrize(("edits", "count", "units"), NETWORKS.values(), ids=NETWORKS)
def test_another_network_is_told_of_as_it_is(edits, count, units):
    printed, figures = edited("one_step", edits)
    said = " ".join(printed.split())
    assert f"The {count:,} weights and biases began at random" in said
    terms, total = re.search(r"at random: (784 · [\d ·+]+) = ([\d,]+),", said).groups()
    products = [np.prod([int(factor) for factor in term.split("·")]) for term in terms.split("+")]
    assert sum(products) == count == int(total.replace(",", ""))
    images = [on for on in figures["one_step_update.png"].axes if on.images]
    assert len(images) == units
    assert f"of all {count:,} elements" in figures["one_step_update.png"].get_suptitle()


def test_a_digit_that_is_not_there_is_one_clear_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        run("one_step", "--digit", 6000)
    assert stopped.value.code == 2
    assert "there are 6,000 digits, from 0 to 5,999" in capsys.readouterr().err


def test_a_loss_without_end_is_one_clear_line():
    message = r"the loss after step 1 is nan: try a smaller --rate"
    with np.errstate(all="ignore"), pytest.raises(SystemExit, match=message):
        edited("one_step", {"lr=options.rate)": "lr=1e30)"})
