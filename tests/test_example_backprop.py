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
    "another loss, on paper too": (
        {
            "loss = error**2": "loss = error**4",
            "loss_by_out = 2 * (out - TARGET)": "loss_by_out = 4 * (out - TARGET) ** 3",
        },
        AGREE,
    ),
    "moves to the left": (
        {"MOVES = [0.1, 1e-3, 1e-5, 1e-7, 1e-11, 1e-14]": "MOVES = [-1e-5, -0.1]"},
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


def test_a_weight_that_the_neuron_does_not_use_has_the_slope_0():
    printed, _ = edited("backprop", {"x1 + w2 * x2 + b\n    out": "x1 + w2 * x2\n    out"})
    assert FOREIGN in " ".join(printed.split())
    z = 0.3 * 2 + 0.8 * -1
    d_z = 2 * (np.tanh(z) - 1) / np.cosh(z) ** 2
    for name, slope in {"w1": 2 * d_z, "w2": -d_z, "b": 0.0}.items():
        _, backward, moved = table(printed)[name]
        assert backward == pytest.approx(slope, abs=1e-8)
        assert moved == pytest.approx(slope, abs=1e-5)


def test_a_loss_without_a_value_is_one_clear_line():
    with np.errstate(all="ignore"), pytest.raises(SystemExit, match=r"no value at z = -0\.1000"):
        edited("backprop", {TANH: "operations.log(z)"})


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
    if steps > 1:
        assert f", and {what_became_of(mine[0], mine[-1])} in {steps}." in said
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


def squared_error(outputs, labels):
    return nn.mse_loss(outputs, data.one_hot(labels, 10))


CROSS_ENTROPY = "nn.cross_entropy(model(x), y)"
SGD = "optim.SGD(model.parameters(), lr=options.rate)"
IMAGE = "image = digits.x[[options.digit]]\n"
OTHER = "np.flatnonzero(digits.y != DIGIT)[:1]"
STEPS = {
    "another loss": (
        {CROSS_ENTROPY: "nn.mse_loss(model(x), data.one_hot(y, 10))"},
        {"loss": squared_error},
    ),
    "Adam": ({SGD: "optim.Adam(model.parameters(), lr=options.rate)"}, {"optimizer": optim.Adam}),
    "weight decay": ({SGD: f"{SGD[:-1]}, weight_decay=0.1)"}, {"weight_decay": 0.1}),
    "more steps shown": (
        {"if step in (1, options.steps)": "if step in (1, 2, 5, options.steps)"},
        {"shown": (0, 1, 2, 5, 6)},
    ),
    "five other digits": ({OTHER: OTHER.replace(":1", ":5")}, {"others": [1, 2, 3, 4, 5]}),
    "another 5": ({OTHER: "np.flatnonzero(digits.y == DIGIT)[1:2]"}, {"others": [11]}),
    "an 8": ({OTHER: "np.flatnonzero(digits.y == 8)[:1]"}, {"others": [17]}),
    "the ten largest": ({"TOP = min(100, COUNT)": "TOP = 10"}, {"top": 10}),
    "all elements": ({"TOP = min(100, COUNT)": "TOP = COUNT"}, {"top": 13_002}),
    "white on black": ({IMAGE: f"{IMAGE}image = 1 - image\n"}, {"inverted": True}),
    "no ink": ({IMAGE: f"{IMAGE}image = 0 * image\n"}, {"blank": True}),
    "steps of no length": ({"lr=options.rate": "lr=0.0"}, {"lr": 0.0}),
}


def steps_of_ones_own(
    image, others, loss=nn.cross_entropy, optimizer=optim.SGD, lr=0.1, weight_decay=0.0
):
    """What six steps do: the losses for the 5 and for others, its probabilities, the update of the
    first step, and how far each element of it would be from 0 before it is rounded.
    """
    model, (x, y) = network(0), data.digits().train
    optimizer = optimizer(model.parameters(), lr=lr, weight_decay=weight_decay)
    losses, probabilities, weights = [], [], []
    for step in range(7):
        outputs = model(image)
        value = loss(outputs, [5])
        losses.append((value.item(), loss(model(x[others]), y[others]).item()))
        powers = np.exp(outputs.data[0] - outputs.data.max())
        probabilities.append(powers / powers.sum())
        weights.append(nn.parameters_to_vector(model.parameters()))
        optimizer.zero_grad()
        value.backward()
        if step == 0:
            slopes = np.concatenate([p.grad.ravel() for p in model.parameters()])
        optimizer.step()
    moves = lr * (slopes + weight_decay * weights[0]) != 0
    return np.array(losses), probabilities, weights[1] - weights[0], moves


@pytest.mark.parametrize(("edits", "setting"), STEPS.values(), ids=STEPS)
def test_one_step_after_an_edit(edits, setting):
    printed, figures = edited("one_step", edits, "--steps", 6)
    said = " ".join(printed.split())
    x, y = data.digits().train
    own = dict(setting)
    shown, top = own.pop("shown", (0, 1, 6)), own.pop("top", 100)
    image = 1 - x[:1] if own.pop("inverted", False) else x[:1]
    image = image * (not own.pop("blank", False))
    others = own.pop("others", [1])
    losses, probabilities, update, moves = steps_of_ones_own(image, others, **own)

    assert ("The loss is cross-entropy" in said) == ("loss" not in own)
    assert f"the loss for this 5 is {losses[0, 0]:.3f}." in said
    mine, theirs = losses.T
    words = " and ".join(f"an {each}" if each == 8 else f"a {each}" for each in y[others])
    assert f"for this 5 {what_became_of(*mine[:2])} in one step" in said
    assert f"and {what_became_of(mine[0], mine[-1])} in 6. Meanwhile the loss for {words}," in said
    assert f"no step has looked at, {what_became_of(theirs[0], theirs[-1])}." in said
    check_update(said, update, moves, top)

    still = (np.abs(moves[:12_544].reshape(16, 784)).sum(axis=0) == 0) & (image[0] == 0)
    ink = f"{np.sum(image == 0)} of the 784 pixels have no ink; of these, {still.sum()} have"
    reason = ": such a slope has its pixel, 0, as a factor." if still.any() else "."
    assert f"{ink} weights that stay exactly as they are{reason}" in said

    when = ["before any step", "after 1 step", *(f"after {n} steps" for n in range(2, 7))]
    heading = re.search(r"^digit +(.*?) +\(output", printed, re.MULTILINE)[1]
    assert re.split(" {2,}", heading) == [when[step] for step in shown]
    rows = re.findall(r"^    \d (.*%)", printed, re.MULTILINE)
    for digit, row in enumerate(rows):
        shares = [float(share) for share in re.findall(r"([\d.]+)%", row)]
        expected = [100 * probabilities[step][digit] for step in shown]
        np.testing.assert_allclose(shares, expected, atol=0.06)
    assert len(rows) == 10
    digit, *axes = figures["one_step.png"].axes
    assert digit.get_title() == "It is a 5"
    for on, step in zip(axes, shown, strict=True):
        named, share = re.match(r"(.*): (\d+)%\nfor the 5, in orange$", on.get_title()).groups()
        assert named == when[step].capitalize()
        assert float(share) == pytest.approx(100 * probabilities[step][5], abs=0.51)
        bars = [bar.get_height() for bar in on.patches]
        np.testing.assert_allclose(bars, 100 * probabilities[step], atol=1e-3)
    check_pictures(figures)


def check_update(said, update, moves, top):
    """Check what is said of the update, (13,002,); of elements of one size any may be named."""
    sizes = np.abs(update).astype(float)
    assert f"element for each of the 13,002: {moves.sum():,} are not 0" in said
    pattern = r"length is (\S+)\. The largest element is (\S+), in layer (\d) of 3"
    length, most, layer = map(float, re.search(pattern, said).groups())
    assert length == pytest.approx(np.linalg.norm(sizes), rel=6e-3)
    assert most == pytest.approx(sizes.max(), rel=6e-3)
    parts = np.split(sizes, [12_560, 12_832])  # 784 · 16 + 16, 16 · 16 + 16 and 16 · 10 + 10
    assert parts[int(layer) - 1].max() == pytest.approx(sizes.max(), rel=1e-3)
    found = re.search(rf"The {top:,} largest \((.*?)\) hold (\d+)% of", said)
    counts = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) in layer \d", found[1])]
    assert sum(counts) == top
    least = np.sort(sizes)[-top]
    for count, part in zip(counts, parts, strict=True):
        assert np.sum(part > 1.001 * least + 1e-7) <= count <= np.sum(part >= 0.999 * least - 1e-7)
    largest = np.sum(np.sort(sizes)[-top:] ** 2)
    assert int(found[2]) == pytest.approx(100 * largest / max(np.sum(sizes**2), 1e-30), abs=0.6)


def test_a_network_without_ten_outputs_is_one_clear_line():
    with pytest.raises(SystemExit, match="needs 10 outputs, one for each digit: it has 12"):
        edited("one_step", {"nn.Linear(16, 10, rng=rng)": "nn.Linear(16, 12, rng=rng)"})


def test_a_digit_that_is_not_there_is_one_clear_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        run("one_step", "--digit", 6000)
    assert stopped.value.code == 2
    assert "there are 6,000 digits, from 0 to 5,999" in capsys.readouterr().err


def test_a_loss_without_end_is_one_clear_line():
    message = r"the loss after step 1 is nan: try a smaller --rate"
    with np.errstate(all="ignore"), pytest.raises(SystemExit, match=message):
        edited("one_step", {"lr=options.rate)": "lr=1e30)"})
