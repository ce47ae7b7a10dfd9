"""backprop.py and one_step.py do what they say, on their real output."""

import re

import numpy as np
import pytest
from example_runs import edited, needs_matplotlib, of, run, small
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
    assert "both use the chain rule" in printed
    assert "def neuron(w1, w2, b):" in printed


@of("backprop")
def test_too_small_a_move_is_as_bad_as_too_large_a_one():
    its, _, _, _ = small("backprop")
    off = list(its.DIFFERENCES.values())
    assert off[0] > off[1] > off[2] > off[3] < off[4] < off[5]


@needs_program
@of("backprop")
def test_the_neuron_is_drawn_and_filmed_beside_its_program():
    _, printed, _, made = small("backprop")
    assert set(made) == {"backprop.svg", "backprop.html"}
    assert {name for name in made if f"{name}\n" in printed} == set(made)
    assert b'id="program"' in made["backprop.html"]


NEURONS = {
    "other inputs": ({"INPUTS = [2.0, -1.0]": "INPUTS = [0.0, 30.0]"}, "both use the chain rule"),
    "the right output": ({"TARGET = 1.0": "TARGET = -0.09966799462495582"}, "chain rule"),
    "other weights": ({'{"w1": 0.3, "w2": 0.8, "b": 0.1}': '{"w1": 3, "w2": -8, "b": 1}'}, "chain"),
    "a sigmoid, and not on paper": (
        {"operations.tanh(z)": "operations.sigmoid(z)"},
        "not the slope",
    ),
    "a ReLU, and not on paper": ({"operations.tanh(z)": "operations.relu(z)"}, "is not the slope"),
    "a sigmoid, on paper too": (
        {
            "operations.tanh(z)": "operations.sigmoid(z)",
            "return 1 - np.tanh(z) ** 2": "s = 1 / (1 + np.exp(-z)); return s * (1 - s)",
        },
        "both use the chain rule",
    ),
}


@pytest.mark.parametrize(("edits", "said"), NEURONS.values(), ids=NEURONS)
def test_another_neuron_is_told_of_as_it_is(edits, said):
    printed, _ = edited("backprop", edits)
    assert said in " ".join(printed.split())
    for paper, backward, moved in table(printed).values():
        assert backward == pytest.approx(moved, abs=1e-4)
        if "chain rule." in printed:
            assert paper == pytest.approx(backward, rel=1e-6, abs=1e-8)


# ── one_step.py ──────────────────────────────────────────────────────────────────────────────────


def step_by_step(digit, rate, steps, seed):
    """The losses for the digit and for the first one with another label, by a loop of our own."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Linear(784, 16, rng=rng),
        nn.ReLU(),
        nn.Linear(16, 16, rng=rng),
        nn.ReLU(),
        nn.Linear(16, 10, rng=rng),
    )
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


SETTINGS = {
    "default": (0, 0.1, 11, 0),
    "another digit": (4, 0.1, 11, 0),
    "a tiny rate": (0, 1e-5, 3, 0),
    "a single step": (7, 0.05, 1, 2),
    "far too large a rate": (2, 20.0, 5, 0),
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_the_losses_are_those_of_a_loop_of_ones_own_and_said_to_go_where_they_go(setting):
    digit, rate, steps, seed = setting
    its, printed, figures, _ = run(
        "one_step", "--digit", digit, "--rate", rate, "--steps", steps, "--seed", seed
    )
    losses = step_by_step(*setting)
    np.testing.assert_allclose(its.LOSSES, losses[:, 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(its.OTHERS, losses[:, 1], rtol=1e-4, atol=1e-6)
    said = " ".join(printed.split())
    label = data.digits().train.y[digit]
    for first, last in ((losses[0, 0], losses[1, 0]), (losses[0, 0], losses[-1, 0])):
        if abs(first - last) < 0.0005:
            assert "stays at" in said
        else:
            way = "falls" if last < first else "rises"
            assert f"{way} from {first:.3f} to {last:.3f}" in said
    assert f"the loss for this {label} is {losses[0, 0]:.3f}" in said
    title = figures["one_step.png"].axes[-1].get_title()
    assert title.startswith(f"After {steps} step")


def test_pixels_without_ink_have_weights_that_do_not_move():
    its, printed, _, _ = run("one_step")
    blank = int(np.sum(data.digits().train.x[0] == 0))
    assert f"{blank} of the 784 pixels have no ink; of these, {blank}" in " ".join(printed.split())
    assert its.COUNT == 13_002
    assert its.update.shape == (13_002,)


def test_a_digit_that_is_not_there_is_one_clear_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        run("one_step", "--digit", 6000)
    assert stopped.value.code == 2
    assert "there are 6,000 digits, from 0 to 5,999" in capsys.readouterr().err
