"""Programs that a reader has edited still end, and say nothing false."""

import re
from itertools import pairwise

import numpy as np
import pytest
from example_runs import check_pictures, needs_matplotlib, run_edited

pytestmark = needs_matplotlib


# ── lecture.py ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "edits",
    [
        {"x1, x2 = Value(2.0), Value(0.0)": "x1, x2 = Value(-1.0), Value(3.0)"},
        {"Value(6.8813735870195432)": "Value(0.0)"},
        {"[4, 4, 1]": "[3, 1]"},
        {"0.02 * p.grad": "0.05 * p.grad"},
        {"0.02 * p.grad": "-0.02 * p.grad"},
        {"ys = [1.0, -1.0, -1.0, 1.0]": "ys = [0.5, 0.0, 2.0, -1.0]"},
        {"range(20)": "range(3)"},
    ],
)
def test_the_lecture_after_an_edit(edits):
    its, printed, _, _ = run_edited("lecture", edits)
    for by_hand, by_backward in re.findall(r"= (\S+); backward\(\) says (\S+)", printed):
        assert float(by_hand) == pytest.approx(float(by_backward), rel=1e-2)
    said = re.search(r"and says (.*?)\.\n", printed)[1]
    outputs = [its.model(x).item() for x in its.xs]
    assert [float(text) for text in said.split(", ")] == pytest.approx(outputs, abs=0.006)
    count = sum(p.size for p in its.model.parameters())
    assert f"A network of {count} weights and biases" in its.title
    assert "step  0: the loss is" in printed


# ── crescents.py ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "edits",
    [
        {"HALF = 50": "HALF = 10"},
        {"rng.normal(0, 0.1": "rng.normal(0, 0.5"},
        {"[16, 16, 1]": "[6, 1]"},
        {"1e-4 * squares": "0.1 * squares"},
        {"rate = 1.0 - 0.9": "rate = 0.1 - 0.09"},
        {"MLP(2, [16, 16, 1])": "MLP(2, [1])"},
    ],
)
def test_the_crescents_after_an_edit(edits):
    its, printed, _, _ = run_edited("crescents", {"HALF = 50": "HALF = 12", **edits}, "--steps", 8)
    right = sum(
        its.model(point).item() * side > 0 for point, side in zip(its.points, its.side, strict=True)
    )
    assert its.right == right
    assert f"For {right} of the {len(its.points)} points" in printed


# ── written_out.py and written_network.py ─────────────────────────────────────────────────────────


def check_what_is_explained(printed):
    """Check that each line that is explained is in the program above it."""
    parts = printed.split("What to look at:\n")
    for above, explanation in pairwise(parts):
        program = above[above.rindex("\ndef ") :]
        for line in re.findall(r"^    (\S.*)$", explanation.split("\n\n")[0], re.MULTILINE):
            assert re.search(rf"\n    {re.escape(line)}(  # .*)?\n", program), line


@pytest.mark.parametrize(
    "edits",
    [
        {"    e = a * b\n    d": "    e = a + b\n    d"},
        {"    L = d * f\n": "    L = d * f * f\n"},
        {"y = x * x": "y = x * x * x"},
        {"y = x * x": "y = 3 * x"},
        {"o = np.tanh(n)": "o = np.exp(-n * n)"},
        {'OTHERS = {"a": 1.0': 'OTHERS = {"a": -7.5'},
    ],
)
def test_the_written_programs_after_an_edit(edits):
    its, printed, _, _ = run_edited("written_out", edits)
    assert its.SAME
    assert "microgd's backward() finds the same." in " ".join(printed.split())
    check_what_is_explained(printed)


@pytest.mark.parametrize(
    "edits",
    [
        {"BATCH_SIZE = 32": "BATCH_SIZE = 500"},
        {"nn.ReLU()": "nn.Tanh()"},
        {"lr=0.1, momentum=0.9": "lr=0.1"},
        {"SGD(network.parameters(), lr=0.1, momentum=0.9)": "Adam(network.parameters())"},
        {"loss = nn.cross_entropy(logits, y)": "loss = (logits**2).mean()"},
    ],
)
def test_the_written_network_after_an_edit(edits):
    its, printed, _, _ = run_edited("written_network", edits)
    assert its.LOSSES[0] == its.LOSSES[1]
    assert "the same, to the last bit" in printed
    check_what_is_explained(printed)


# ── photo.py ──────────────────────────────────────────────────────────────────────────────────────

SEVEN = "[(60, 205), (150, 200), (100, 340)]"
BLOB = "    pen.ellipse([20, 20, 120, 120], fill=60)\n    return page"


@pytest.mark.parametrize(
    "edits",
    [
        {SEVEN: "[(150, 60), (150, 340)]"},
        {"fill=60": "fill=250"},
        {"width=14": "width=40"},
        {
            "light = np.linspace(190, 230, 300)": "light = np.linspace(20, 40, 300)",
            "fill=60": "fill=200",
        },
        {SEVEN: "[(60, 80), (240, 80), (240, 330), (60, 330), (60, 80)]"},
        {SEVEN: "[(60, 60), (290, 390)]", "    return page": BLOB},
        {"scale = 20 /": "scale = 28 /"},
        {"scale = 20 /": "scale = 0 /"},
        {"nn.cross_entropy": "lambda x, y: nn.mse_loss(x, data.one_hot(y, 10))"},
    ],
)
def test_the_photo_after_an_edit(edits):
    its, printed, figures, _ = run_edited("photo", edits, "--epochs", 1)
    image = its.image
    assert image.shape == (28, 28)
    powers = np.exp(its.model(np.stack([image, its.shrunk]).reshape(2, 784)).data)
    p, p_shrunk = powers / powers.sum(axis=1, keepdims=True)
    said = " ".join(printed.split())
    assert f"says {p.argmax()}, with a probability of {p.max():.0%}. Of the same" in said
    assert f"only made smaller, it says {p_shrunk.argmax()} ({p_shrunk.max():.0%})" in said
    titles = [on.get_title() for on in figures["photo.png"].axes]
    assert titles[5] == f"It says {p.argmax()}; made smaller, {p_shrunk.argmax()}"
    height, width = its.small.shape
    assert titles[2] == f"3. Cut out, {width} × {height} pixels"
    rows, columns = np.indices(image.shape)
    centre = np.array([np.sum(rows * image), np.sum(columns * image)]) / image.sum()
    if titles[3] == "4. Centre of mass (+) in the middle":
        np.testing.assert_allclose(centre, 13.5, atol=1.0)
    else:  # nearer to the middle there is no room
        assert titles[3] == "4. Centre of mass (+) near the middle"
        ends = [np.flatnonzero(image.any(axis=axis))[[0, -1]] for axis in (1, 0)]
        for off, (first, last) in zip(centre - 13.5, ends, strict=True):
            assert abs(off) <= 0.51 or (first <= 1 if off > 0 else last >= 26)
    check_pictures(figures)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"fill=60": "fill=200"}, "the drawing: there is nothing on it that stands out"),
        ({SEVEN: "[(500, 500), (600, 600)]"}, "the drawing: there is nothing on it"),
        ({"scale = 20 /": "scale = 40 /"}, "the drawing: 26 × 40 pixels do not fit into 28 × 28"),
        ({"1.3 * difference": "0.2 * difference"}, "the drawing: the ink on it is too faint"),
        ({"ink.max(axis=0) > 0.3": "ink.max(axis=0) > 1"}, "the ink on it is too faint"),
    ],
)
def test_the_photo_after_an_edit_that_leaves_nothing_is_one_clear_line(edits, said):
    with pytest.raises(SystemExit, match=said) as caught:
        run_edited("photo", edits, "--epochs", 1)
    assert "\n" not in caught.value.code
