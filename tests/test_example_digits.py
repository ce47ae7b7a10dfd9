"""digits.py, photo.py, landscape.py and losses.py do what they say, on their real output."""

import re
import runpy
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from example_runs import (
    EXAMPLES,
    check_pictures,
    edited,
    needs_matplotlib,
    needs_tqdm,
    of,
    run,
    run_edited,
    small,
)
from PIL import Image

from microgd import Value, data, gradients, nn, optim, plots, train

pytestmark = needs_matplotlib


@needs_tqdm
def test_the_digit_networks_learn_the_sample_and_are_saved(tmp_path):
    _, printed, _, _ = run(
        "digits", "--train-only", "--epochs", 4, "--save", tmp_path / "learned.npz"
    )
    accuracies = [float(x) for x in re.findall(r"^ +4 .* (\S+)%$", printed, re.MULTILINE)]
    garbage = [
        float(x) for x in re.findall(r"before training: (\S+)% of the test digits right", printed)
    ]
    assert len(accuracies) == len(garbage) == 2
    assert min(accuracies) > 80
    assert max(garbage) < 25
    assert "7,850 weights and biases" in printed
    assert "13,002 weights and biases" in printed
    assert re.search(r"the network says \d \(\d+%\)", printed)
    with np.load(tmp_path / "learned.npz") as saved:
        assert saved["networks.784-10.0.weight"].shape == (10, 784)
        assert sum(saved[name].size for name in saved) == 7_850 + 13_002


@needs_tqdm
def test_the_digit_networks_are_the_same_for_the_same_seed():
    runs = [run("digits", "--train-only", "--epochs", 1, "--seed", seed)[1] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@needs_tqdm
def test_ctrl_c_ends_training_cleanly_and_saves_what_was_learned(tmp_path, monkeypatch):
    fit, calls = train.fit, []

    def interrupted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:  # the second network
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    monkeypatch.setattr(train, "fit", interrupted)
    with pytest.raises(SystemExit) as caught:
        run("digits", "--epochs", 1, "--save", tmp_path / "learned.npz")
    assert caught.value.code == 130
    with np.load(tmp_path / "learned.npz") as saved:
        assert "networks.784-10.0.weight" in saved


@needs_tqdm
def test_training_goes_on_from_what_was_saved(tmp_path):
    path = tmp_path / "learned.npz"
    first = re.findall(
        r"^ +3 .* (\S+)%$",
        run("digits", "--train-only", "--epochs", 3, "--save", path)[1],
        re.MULTILINE,
    )
    before = re.findall(
        r"before these epochs: (\S+)% of",
        run("digits", "--train-only", "--epochs", 1, "--load", path)[1],
    )
    assert before == [f"{float(accuracy):.1f}" for accuracy in first]


@needs_tqdm
def test_a_file_that_cannot_be_loaded_is_not_overwritten(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, something=np.ones(2))
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        run("digits", "--epochs", 1, "--load", path, "--save", path)
    assert path.read_bytes() == before


@needs_tqdm
@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "nowhere"],
        ["--load", "nowhere.npz"],
        ["--save", "nowhere/learned.npz"],
    ],
)
def test_a_file_that_is_not_there_is_one_clear_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run("digits", *arguments)
    assert "nowhere" in str(caught.value.code) + capsys.readouterr().err


@needs_tqdm
@pytest.mark.parametrize(
    "arguments", [["--epochs", "0"], ["--epochs", "x"], ["--sed", "1"], ["--seed", "-1"]]
)
def test_a_wrong_argument_is_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run("digits", *arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@of("digits")
@needs_tqdm
def test_what_it_says_is_wrong_is_wrong():
    its, printed, figures, _ = small("digits")
    said = its.learned.networks["784-16-16-10"](its.digits.test.x).data.argmax(axis=1)
    (x, y), wrong = its.digits.test, np.flatnonzero(said != its.digits.test.y)
    assert f"784→16→16→10 names {len(wrong)} of 1,000 test digits wrongly; most often" in printed
    axes = [on for on in figures["digits_wrong.png"].axes if on.images]
    assert len(axes) == 16
    for on in axes:
        label, answer = map(int, re.findall(r"\d", on.get_title()))
        [i] = [i for i in wrong if np.array_equal(x[i], on.images[0].get_array().ravel())]
        assert (y[i], said[i]) == (label, answer)
    counts = [text.get_text() for text in figures["digits_confusion.png"].axes[0].texts]
    right = [int(counts[11 * digit].replace("·", "0")) for digit in range(10)]
    assert sum(right) == 1000 - len(wrong)


@needs_tqdm
@pytest.mark.parametrize("option", ["--save", "--source"])
def test_a_folder_to_save_in_is_an_error_before_training(option, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("digits", option, tmp_path)
    assert f"error: {option} {tmp_path}: is a folder\n" in capsys.readouterr().err


@needs_tqdm
@pytest.mark.parametrize("option", ["--save", "--source"])
def test_a_file_in_no_folder_is_an_error_before_training(option, tmp_path, capsys):
    path = tmp_path / "none" / "file"
    with pytest.raises(SystemExit):
        run("digits", option, path)
    expected = f"error: {option} {path}: there is no folder {path.parent}\n"
    assert expected in capsys.readouterr().err


@needs_tqdm
def test_source_writes_the_training_step_of_the_first_network_before_training(tmp_path):
    path = tmp_path / "step.py"
    _, printed, _, _ = run("digits", "--train-only", "--epochs", 1, "--source", path)
    said = printed.index(f"a step of training 784→10, as a program: {path}\n")
    assert said < printed.index("before training")

    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = (array[-64:] for array in data.digits().train)
    weight, bias = (p.data for p in model.parameters())
    loss, *state = runpy.run_path(str(path))["step"](
        x=x,
        y=y,
        weight_0=weight,
        bias_0=bias,
        lr=0.05,
        velocity_weight_0=np.zeros_like(weight),
        velocity_bias_0=np.zeros_like(bias),
    )
    own_loss = nn.cross_entropy(model(x), y)
    own_loss.backward()
    optimizer.step()
    assert loss == own_loss.item()
    # each parameter twice: itself and its velocity, which is the gradient after the first step
    parameters = {p.shape: p for p in model.parameters()}
    assert len(state) == 4
    for p in parameters.values():
        found = [x for x in state if x.shape == p.shape]
        assert sum(np.array_equal(x, p.data) for x in found) == 1
        assert sum(np.array_equal(x, p.grad) for x in found) == 1


@needs_tqdm
def test_with_source_training_is_the_same_as_without(tmp_path):
    arguments = ["digits", "--train-only", "--epochs", 1]
    lines_without = run(*arguments)[1].splitlines()
    lines_with = run(*arguments, "--source", tmp_path / "step.py")[1].splitlines()
    [said] = [line for line in lines_with if line.startswith("a step of training")]
    lines_with.remove(said)
    assert lines_with == lines_without


@needs_tqdm
@pytest.mark.parametrize(
    ("networks", "caption"),
    [
        (["784,10"], "The 7,840 weights after training"),
        (
            ["784,32,10"],
            "784→32→10: the weights from the pixels to 10 of 32 hidden units\nafter training",
        ),
        (["784,8,10", "784,10", "784,8,8,10"], "The 7,840 weights after training"),
        (
            ["784,6,10", "784,12,10"],
            "784→6→10: the weights from the pixels to 6 of 6 hidden units\nafter training",
        ),
    ],
)
def test_of_any_networks_the_weights_are_shown_for_what_they_are(networks, caption):
    options = [part for sizes in networks for part in ("--network", sizes)]
    its, printed, figures, _ = run("digits", "--epochs", 1, *options)
    assert figures["digits_weights_after.png"].get_suptitle().startswith(caption + ": ")
    assert list(its.learned.networks) == [sizes.replace(",", "-") for sizes in networks]
    for sizes in networks:
        numbers = [int(part) for part in sizes.split(",")]
        count = sum((a + 1) * b for a, b in pairwise(numbers))
        assert f"\n{count:,} weights and biases, before training" in printed
    shown = next((each for each in networks if each.count(",") > 1), networks[0])
    assert re.search(f"{shown.replace(',', '→')} names .* wrongly; most often", printed)
    check_pictures(figures)


@of("digits")
@needs_tqdm
def test_the_weights_are_shown_before_and_after_training():
    its, _, figures, _ = small("digits")
    rng = np.random.default_rng(0)
    first = nn.Linear(784, 10, rng=rng).weight.data
    after = its.learned.networks["784-10"][0].weight.data
    for when, weights in (("before", first), ("after", after)):
        axes = figures[f"digits_weights_{when}.png"].axes
        images = [on.images[0].get_array().ravel() for on in axes if on.images]
        np.testing.assert_array_equal(images[:10], weights.astype(float))


@needs_tqdm
@pytest.mark.parametrize(
    "sizes", ["784,32", "32,10", "784", "784,,10", "784,0,10", "784,-3,10", "784,x,10", "784;16;10"]
)
def test_a_network_from_other_than_784_pixels_to_10_outputs_is_one_clear_line(sizes, capsys):
    with pytest.raises(SystemExit) as caught:
        run("digits", "--network", sizes)
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.search(rf"--network: .* first 784 .*last 10 .*this is {re.escape(sizes)}$", last)


@needs_tqdm
@pytest.mark.parametrize(
    ("activation", "layer"), [("relu", nn.ReLU), ("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid)]
)
def test_the_activation_stands_between_all_layers_and_is_named(activation, layer):
    options = ["--activation", activation, "--network", "784,8,8,10"]
    its, printed, figures, _ = run("digits", "--epochs", 1, *options)
    [(name, model)] = its.learned.networks.items()
    kinds = [type(part) for part in model]
    assert kinds == [nn.Linear, layer, nn.Linear, layer, nn.Linear]
    assert name == ("784-8-8-10" if activation == "relu" else f"784-8-8-10-{activation}")
    assert f"{layer.__name__}()" in printed
    check_pictures(figures)


@needs_tqdm
def test_weights_of_other_networks_are_not_loaded_and_one_line_says_which_they_are(tmp_path):
    path = tmp_path / "learned.npz"
    options = ["--epochs", 1, "--network", "784,8,10"]
    run("digits", "--train-only", *options, "--activation", "tanh", "--save", path)
    for arguments in ([], options):
        with pytest.raises(
            SystemExit, match="holds the networks 784-8-10-tanh, not 784-"
        ) as caught:
            run("digits", *arguments, "--load", path)
        assert "\n" not in caught.value.code


@needs_tqdm
def test_what_was_loaded_is_shown_without_more_training(tmp_path):
    path = tmp_path / "learned.npz"
    its, _, _, _ = run("digits", "--network", "784,8,10", "--epochs", 1, "--save", path)
    again, _, figures, _ = run("digits", "--network", "784,8,10", "--epochs", 0, "--load", path)
    assert np.array_equal(again.said, its.said)
    title = figures["digits_confusion.png"].axes[0].get_title()
    assert title.startswith(f"784→8→10: {1000 - its.errors} of 1,000 test digits")


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_training_that_diverges_is_one_clear_line():
    with pytest.raises(
        SystemExit, match=r"the network cannot learn: the loss became \w+ in epoch 1, batch"
    ):
        run("digits", "--epochs", 1, "--rate", 1e5)


@needs_tqdm
def test_the_rate_is_that_of_the_first_epoch_and_falls_in_equal_steps(monkeypatch):
    fit, rates = train.fit, []

    def recorded(*arguments, **options):
        for epoch in fit(*arguments, **options):
            rates.append(epoch.lr)
            yield epoch

    monkeypatch.setattr(train, "fit", recorded)
    run("digits", "--train-only", "--network", "784,10", "--rate", 0.4, "--epochs", 4)
    np.testing.assert_allclose(rates, [0.4, 0.3, 0.2, 0.1])


# ── Edits of digits.py ───────────────────────────────────────────────────────────────────────────

BUILT = "networks.network(sizes, options.activation, rng)"
SGD = "optim.SGD(model.parameters(), lr=options.rate, momentum=networks.MOMENTUM)"
ONE = {"[(784, 10), (784, 16, 16, 10)]": "[(784, 8, 10)]"}
SQUARES = "lambda outputs, y: ((outputs - np.eye(10, dtype=np.float32)[y]) ** 2).mean()"


def eight(rng, between=nn.ReLU):
    """The network 784→8→10."""
    return [nn.Sequential(nn.Linear(784, 8, rng=rng), between(), nn.Linear(8, 10, rng=rng))]


def plain(rng):
    """Two layers with nothing between them."""
    return [nn.Sequential(nn.Linear(784, 12, rng=rng), nn.Linear(12, 10, rng=rng))]


def without_bias(rng):
    """A layer without biases."""
    return [nn.Sequential(nn.Linear(784, 10, bias=False, rng=rng))]


def swapped(rng):
    """The first weights are drawn in the order of the networks."""
    return [*eight(rng), nn.Sequential(nn.Linear(784, 10, rng=rng))]


# What a learner may edit; the networks after that, how they are called, how they train by hand.
EDITS = {
    "one network": (ONE, eight, "784→8→10", {}),
    "the other order": (
        {"[(784, 10), (784, 16, 16, 10)]": "[(784, 8, 10), (784, 10)]"},
        swapped,
        "784→8→10",
        {},
    ),
    "another activation": (
        {**ONE, BUILT: 'networks.network(sizes, "tanh", rng)'},
        lambda rng: eight(rng, nn.Tanh),
        "784→8→10 with tanh",
        {},
    ),
    "a network of one's own": (
        {BUILT: "nn.Sequential(nn.Linear(784, 12, rng=rng), nn.Linear(12, 10, rng=rng))", **ONE},
        plain,
        "784→12→10",
        {},
    ),
    "no biases": (
        {BUILT: "nn.Sequential(nn.Linear(784, 10, bias=False, rng=rng))", **ONE},
        without_bias,
        "784→10",
        {},
    ),
    "another optimizer": (
        {**ONE, SGD: "optim.Adam(model.parameters(), lr=0.001)"},
        eight,
        "784→8→10",
        {"optimizer": optim.Adam, "lr": 0.001},
    ),
    "no momentum": (
        {**ONE, "momentum=networks.MOMENTUM": "momentum=0"},
        eight,
        "784→8→10",
        {"momentum": 0.0},
    ),
    "no step": ({**ONE, "lr=options.rate": "lr=0"}, eight, "784→8→10", {"lr": 0.0}),
    "another loss": (
        {**ONE, "LOSS = nn.cross_entropy": f"LOSS = {SQUARES}"},
        eight,
        "784→8→10",
        {"squares": True},
    ),
    "all digits a step": (
        {**ONE, "batch_size=networks.BATCH_SIZE": "batch_size=6000"},
        eight,
        "784→8→10",
        {"batch": 6000},
    ),
}


def forward(model, x):
    """The outputs of a network, in NumPy alone, in double precision."""
    for part in model:
        if isinstance(part, nn.Linear):
            bias = 0.0 if part.bias is None else part.bias.data
            x = x.astype(float) @ part.weight.data.T.astype(float) + bias
        else:
            x = np.maximum(x, 0) if isinstance(part, nn.ReLU) else np.tanh(x)
    return x


def by_hand(models, rng, *, epochs=2, optimizer=optim.SGD, lr=0.05, batch=64, **others):
    """Train each network. Yield for each what there is to see of it, before and after."""
    (x, y), (test_x, test_y) = data.digits()
    momentum = {"momentum": others.get("momentum", 0.9)} if optimizer is optim.SGD else {}

    def loss_of(outputs, y):
        if others.get("squares"):
            return ((outputs - np.eye(10, dtype=np.float32)[y]) ** 2).mean()
        return nn.cross_entropy(outputs, y)

    def seen(model):
        outputs = forward(model, test_x)
        return SimpleNamespace(
            weights=model.parameters()[0].data.copy(),
            outputs=outputs,
            loss=loss_of(Value(outputs), test_y).item(),
            right=np.mean(outputs.argmax(axis=1) == test_y),
        )

    for model in models:
        before = seen(model)
        moves = optimizer(model.parameters(), lr=lr, **momentum)
        for epoch in range(epochs):
            moves.lr = lr * (1 - epoch / epochs)
            for batch_x, batch_y in data.minibatches(x, y, batch, rng):
                moves.zero_grad()
                loss_of(model(batch_x), batch_y).backward()
                moves.step()
        yield before, seen(model)


@needs_tqdm
@pytest.mark.parametrize(("edits", "built", "name", "how"), EDITS.values(), ids=EDITS)
def test_digits_after_an_edit(edits, built, name, how):
    its, printed, figures, made = run_edited("digits", edits, "--epochs", 2)
    rng = np.random.default_rng(0)
    parts = re.split(r"weights and biases, before training: ", printed)[1:]
    runs = list(by_hand(built(rng), rng, **how))
    assert len(parts) == len(runs) == len(its.learned.networks)
    for part, model, (before, after) in zip(
        parts, its.learned.networks.values(), runs, strict=True
    ):
        assert part.startswith(f"{before.right:.1%} of the test digits right.")
        loss, accuracy = re.search(r"^ +2 +\S+ +(\S+) +(\S+)%$", part, re.MULTILINE).groups()
        assert float(loss) == pytest.approx(after.loss, rel=5e-3)
        assert float(accuracy) == pytest.approx(100 * after.right, abs=0.4)
        outputs = forward(model, data.digits().test.x)
        np.testing.assert_allclose(outputs, after.outputs, rtol=0.02, atol=0.02)
    # In "the other order" the last network is the one without hidden layers.
    for when, seen in (("before", before), ("after", after)):
        figure = figures[f"digits_weights_{when}.png"]
        image = figure.axes[0].images[0].get_array().ravel()
        np.testing.assert_allclose(image, seen.weights[0], atol=5e-3)
        share = re.search(rf"{when} training: (\d+)% of the test", figure.get_suptitle())[1]
        assert float(share) == pytest.approx(100 * seen.right, abs=0.6)
    check_the_errors(next(iter(its.learned.networks.values())), name, printed, figures)
    assert ("digits.html" in made) == (built is not without_bias)
    assert ("no page: the page shows layers with a bias" in printed) == (built is without_bias)
    check_pictures(figures)


def check_the_errors(model, name, printed, figures):
    """Check what is said of the errors of a network that is called so."""
    x, labels = data.digits().test
    said = forward(model, x).argmax(axis=1)
    wrong = int(np.sum(said != labels))
    assert f"{name} names {wrong} of 1,000 test digits wrongly; most often it takes" in printed
    counts = {}
    for label, answer in zip(labels.tolist(), said.tolist(), strict=True):
        if label != answer:
            counts[label, answer] = counts.get((label, answer), 0) + 1
    most = max(counts.values())
    pairs = [pair for pair, count in sorted(counts.items()) if count == most]
    a = {digit: f"an {digit}" if digit == 8 else f"a {digit}" for digit in range(10)}
    told = [f"{a[label]} for {a[answer]}" for label, answer in pairs]
    often = re.search(r"most often it takes (.*) \((\d+) times?( each)?\)\.", printed)
    if len(pairs) <= 3:
        assert re.split(", | and ", often[1]) == told
    else:
        assert often[1].startswith(", ".join(told[:3]) + f" and {len(pairs) - 3} other pair")
    assert (int(often[2]), bool(often[3])) == (most, len(pairs) > 1)
    title = " ".join(figures["digits_confusion.png"].axes[0].get_title().split())
    assert title == f"{name}: {1000 - wrong} of 1,000 test digits named rightly; {often[0][:-1]}"
    assert figures["digits_wrong.png"].get_suptitle().startswith(f"Of {wrong} errors, the ")


@needs_tqdm
@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"[(784, 10), (784, 16, 16, 10)]": "[]"}, "there are no networks"),
        ({"[(784, 10), (784, 16, 16, 10)]": "[(784,)]"}, "needs 784 inputs and 10 outputs"),
        ({"[(784, 10), (784, 16, 16, 10)]": "[(784, 12)]"}, "needs 784 inputs and 10 outputs"),
        ({"lr=options.rate": "lr=-1"}, "cannot learn: expected lr to be 0 or more"),
        ({"batch_size=networks.BATCH_SIZE": "batch_size=0"}, "cannot learn: expected a batch size"),
        ({"LOSS = nn.cross_entropy": "LOSS = nn.mse_loss"}, "cannot learn: expected a prediction"),
        ({"*digits.train,": "digits.train.x[:0], digits.train.y[:0],"}, "at least one example"),
    ],
)
def test_digits_after_an_edit_that_will_not_do_is_one_clear_line(edits, said):
    with pytest.raises(SystemExit, match=said) as caught:
        run_edited("digits", edits, "--epochs", 1)
    assert "\n" not in caught.value.code


@of("digits")
@needs_tqdm
def test_errors_that_are_equally_frequent_are_all_told():
    its, _, _, _ = small("digits")
    told = its.figures.digits.most_frequent_errors
    labels = np.array([8, 8, 3, 0, 1, 2, 9, 7])
    said = {
        (8, 4, 3, 0, 1, 2, 9, 7): "an 8 for a 4 (1 time)",
        (4, 4, 3, 8, 1, 2, 9, 7): "an 8 for a 4 (2 times)",
        (8, 4, 8, 0, 1, 2, 9, 7): "a 3 for an 8 and an 8 for a 4 (1 time each)",
        (8, 8, 3, 6, 6, 6, 9, 7): "a 0 for a 6, a 1 for a 6 and a 2 for a 6 (1 time each)",
        (8, 8, 6, 6, 6, 6, 6, 6): (
            "a 0 for a 6, a 1 for a 6, a 2 for a 6 and 3 other pairs (1 time each)"
        ),
    }
    for answers, expected in said.items():
        assert told(labels, np.array(answers)) == f"most often it takes {expected}"


# ── photo.py ─────────────────────────────────────────────────────────────────────────────────────

QUICK = ["--network", "784,16,16,10", "--epochs", 5]
photographed = cache(lambda: run("photo", *QUICK))
in_one_worker = pytest.mark.xdist_group("photo")


def photo(image, rng, dark_on_light=True, tilt=0.0):
    """An MNIST digit as a photo: enlarged, somewhere on grey paper, in uneven light, with noise."""
    big = np.asarray(
        Image.fromarray((255 * image.reshape(28, 28)).astype(np.uint8)).resize(
            (336, 336), Image.Resampling.BICUBIC
        )
    )
    page = (
        (210.0 if dark_on_light else 40.0)
        + np.linspace(-tilt, tilt, 600)
        + rng.normal(0, 3, (800, 600))
    )
    top, left = rng.integers(0, 460), rng.integers(0, 260)
    page[top : top + 336, left : left + 336] += big / 255 * (-160 if dark_on_light else 180)
    return Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))


def prepared(its, path):
    """The 784 pixels that photo.py makes of the picture in a file."""
    ink = its.ink_of(its.opened(path))
    return its.centred(its.in_box_of_20(its.cropped(ink))).reshape(784)


@in_one_worker
@pytest.mark.parametrize("dark_on_light", [True, False])
def test_a_photo_of_a_digit_becomes_what_it_is_in_mnist(dark_on_light, tmp_path):
    its, _, _, _ = photographed()
    model, rng = its.model, np.random.default_rng(0)
    images, originals, labels = [], *(part[:50] for part in data.digits().test)
    for image in originals:
        photo(image, rng, dark_on_light, tilt=8.0).save(tmp_path / "photo.png")
        images.append(prepared(its, tmp_path / "photo.png"))
    images = np.array(images)
    assert images.shape == (50, 784)
    assert images.dtype == np.float32
    likeness = (
        np.sum(images * originals, axis=1)
        / np.linalg.norm(images, axis=1)
        / np.linalg.norm(originals, axis=1)
    )
    assert np.median(likeness) > 0.8  # a shift by one pixel alone gives 0.81
    named, named_before = (
        np.mean(model(x).data.argmax(axis=1) == labels) for x in (images, originals)
    )
    assert named > named_before - 0.15


@in_one_worker
def test_a_prepared_digit_is_in_a_box_of_20_with_its_centre_of_mass_in_the_middle(tmp_path):
    its, _, _, _ = photographed()
    # Drawing programs save a transparent background.
    drawing = Image.new("RGBA", (300, 500), (0, 0, 0, 0))
    drawing.paste("black", (40, 60, 60, 460))
    drawing.paste("black", (40, 430, 200, 460))
    drawing.save(tmp_path / "L.png")
    image = prepared(its, tmp_path / "L.png").reshape(28, 28)
    down, across = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert down[-1] - down[0] + 1 == 20
    assert across[-1] - across[0] + 1 == 8
    rows, columns = np.indices(image.shape)
    assert abs(np.average(rows, weights=image) - 13.5) <= 0.5
    assert abs(np.average(columns, weights=image) - 13.5) <= 0.5


@pytest.mark.parametrize("content", ["text", "blank"])
def test_a_picture_with_no_digit_on_it_is_one_clear_line(content, tmp_path):
    path = tmp_path / "digit.png"
    if content == "blank":
        Image.new("L", (100, 100), 200).save(path)
    else:
        path.write_text("no picture")
    with pytest.raises(SystemExit, match=r"--image .*digit\.png.*(stands out|cannot identify)"):
        run("photo", "--image", path)


@needs_tqdm
def test_the_last_network_of_a_file_names_a_digit_without_more_training(tmp_path):
    path = tmp_path / "learned.npz"
    networks = ["--network", "784,10", "--network", "784,16,10", "--activation", "tanh"]
    trained, _, _, _ = run("digits", "--epochs", 2, *networks, "--save", path)
    photo(data.digits().test.x[3], np.random.default_rng(0)).save(tmp_path / "mine.jpg")
    its, printed, _, _ = run("photo", "--load", path, "--image", tmp_path / "mine.jpg")
    image = prepared(its, tmp_path / "mine.jpg")
    answer = trained.learned.networks["784-16-10-tanh"](image[None]).data.argmax()
    said = f"mine.jpg: the network 784-16-10-tanh says {answer}, with a probability of "
    assert said in " ".join(printed.split())


@in_one_worker
@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ((0, 140, 0), (220, 30, 30)),
        ((255, 255, 255, 0), (255, 255, 255, 255)),
        ((10, 10, 60), (255, 240, 0)),
    ],
)
def test_ink_is_what_is_unlike_the_paper(paper, ink, tmp_path):
    its, _, _, _ = photographed()
    drawing = Image.new("RGBA" if len(paper) == 4 else "RGB", (200, 300), paper)
    drawing.paste(ink, (90, 50, 110, 250))
    drawing.save(tmp_path / "1.png")
    image = prepared(its, tmp_path / "1.png").reshape(28, 28)
    assert image[4:24, 13:15].min() > 0.9
    np.testing.assert_allclose(image.sum(), 40, rtol=0.1)


@in_one_worker
def test_a_drawn_seven_becomes_a_seven_and_the_bars_are_what_the_network_says():
    its, printed, figures, _ = photographed()
    logits = its.model(np.stack([its.image.ravel(), its.shrunk.ravel()])).data.astype(float)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = powers / powers.sum(axis=1, keepdims=True)
    heights = [bar.get_height() for bar in figures["photo.png"].axes[5].patches]
    np.testing.assert_allclose(np.reshape(heights, (2, 10)), 100 * p, atol=1e-3)
    assert f"says 7, with a probability of {p[0, 7]:.0%}." in " ".join(printed.split())
    assert f"it says {p[1].argmax()} ({p[1].max():.0%})" in " ".join(printed.split())
    check_pictures(figures)


@in_one_worker
def test_each_picture_of_a_step_is_what_the_step_before_it_leads_to():
    its, _, figures, _ = photographed()
    axes = figures["photo.png"].axes
    images = [on.images[0].get_array() for on in axes[1:4]]
    np.testing.assert_allclose(images[0], its.ink_of(its.picture))
    np.testing.assert_allclose(images[1], its.in_box_of_20(its.cropped(images[0])), atol=1e-6)
    np.testing.assert_allclose(images[2], its.centred(np.asarray(images[1])), atol=1e-6)
    assert max(images[1].shape) == 20
    [cross] = axes[3].lines
    rows, columns = np.indices((28, 28))
    ink = np.asarray(images[2], float)
    centre = [np.sum(columns * ink) / ink.sum(), np.sum(rows * ink) / ink.sum()]
    np.testing.assert_allclose(cross.get_xydata()[0], centre, atol=1e-4)


@pytest.mark.parametrize("options", [["--network", "784,10"], ["--activation", "tanh"]])
def test_another_network_reads_the_drawing_too(options):
    its, printed, _, _ = run("photo", "--epochs", 3, *options)
    name = "784-10" if "784,10" in options else "784-16-16-10-tanh"
    assert f"The drawing: the network {name} says {its.SAYS}, with" in printed


@pytest.mark.parametrize("path", ["nowhere.npz", __file__])
def test_a_network_that_cannot_be_loaded_is_one_clear_line(path):
    with pytest.raises(SystemExit, match=f"--load {re.escape(path)}: ") as caught:
        run("photo", "--load", path)
    assert "\n" not in caught.value.code


# ── landscape.py ─────────────────────────────────────────────────────────────────────────────────


@cache
def landscape(epochs=5, *options):
    """Run landscape.py with a coarser plane."""
    text = (EXAMPLES / "landscape.py").read_text()
    assert text.count("POINTS = 25 ") == 1
    text = text.replace("POINTS = 25 ", "POINTS = 9 ")
    return run("landscape", "--epochs", epochs, *options, text=text)


in_a_worker = pytest.mark.xdist_group("landscape")


@in_a_worker
def test_the_path_of_training_lies_nearly_in_a_plane():
    its, printed, figures, _ = landscape()
    points = its.path - its.path.mean(axis=0)
    variances = np.linalg.eigvalsh(points @ points.T)[::-1]
    held = variances[:2].sum() / variances.sum()
    np.testing.assert_allclose(its.HELD, held, rtol=1e-4)
    assert held > 0.9
    assert its.path.shape == (6, 13_002)
    assert f"Of the path of training through 13,002 dimensions, two hold {held:.1%}" in printed
    assert f"{held:.1%} of its variance" in figures["landscape.png"].axes[1].get_title()
    check_pictures(figures)


@in_a_worker
def test_the_walk_has_steps_as_long_as_those_of_training():
    its, _, _, _ = landscape()
    lengths = np.linalg.norm(np.diff(its.walk, axis=0), axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(np.diff(its.path, axis=0), axis=1))
    points = its.walk - its.walk.mean(axis=0)
    variances = np.linalg.eigvalsh(points @ points.T)[::-1]
    np.testing.assert_allclose(its.BY_CHANCE, variances[:2].sum() / variances.sum())
    assert its.BY_CHANCE < its.HELD < 0.9999


@in_a_worker
def test_the_star_is_where_training_ended_and_the_model_is_there_again():
    its, printed, _, _ = landscape()
    x, y = data.digits().train
    loss = nn.cross_entropy(its.model(x[:1000]), y[:1000]).item()
    np.testing.assert_allclose(its.END, loss, rtol=1e-5)
    np.testing.assert_array_equal(nn.parameters_to_vector(its.parameters), its.path[-1])
    words = " ".join(printed.split())
    assert f"At the end of training the loss of 1,000 training digits is {loss:.4f}." in words


@in_a_worker
def test_the_gradient_at_the_end_says_whether_that_is_a_minimum():
    its, printed, _, _ = landscape()
    x, y = data.digits().train
    lengths = []
    for weights in (its.path[0], its.path[-1]):
        nn.vector_to_parameters(weights, its.parameters)
        loss = nn.cross_entropy(its.model(x[:1000]), y[:1000])
        parts = [part.ravel() for part in gradients(loss, its.parameters)]
        lengths.append(np.linalg.norm(np.concatenate(parts)))
    words = " ".join(printed.split())
    length, share = re.search(r"has the length (\S+) there, (\S+)% of that at the", words).groups()
    np.testing.assert_allclose(float(length), lengths[1], rtol=1e-3)
    np.testing.assert_allclose(float(share), 100 * lengths[1] / lengths[0], atol=0.06)
    assert "so the end of training is not a minimum of this loss." in words


def test_where_the_gradient_is_0_the_end_may_be_a_minimum():
    edits = {"END_LENGTH = gradient_length(start)": "END_LENGTH = 1.0, 0.0 #"}
    edits["POINTS = 25"] = "POINTS = 3"
    printed, _ = edited("landscape", edits, "--network", "784,10", "--epochs", 2)
    assert "the end of training may be a minimum of this loss." in " ".join(printed.split())


def losses_on(its, on, directions, loss=nn.cross_entropy):
    """The losses at the points of a plane, found one by one."""
    across, up = (np.linspace(*span, its.POINTS) for span in (on.get_xlim(), on.get_ylim()))
    found = []
    for a in across:
        for b in up:
            moved = its.path[-1] + a * directions[0] + b * directions[1]
            nn.vector_to_parameters(moved, its.parameters)
            found.append(float(loss(its.model(its.x).data, its.y)))
    nn.vector_to_parameters(its.path[-1], its.parameters)
    return np.array(found)


@pytest.mark.parametrize("options", [["--network", "784,10"], ["--activation", "sigmoid"]])
def test_of_any_network_the_points_below_the_end_are_counted(options):
    its, printed, figures, _ = landscape(2, *options)
    directions, _ = plots.principal_directions(its.path)
    found = losses_on(its, its.right, directions)
    lower = int(np.sum(found < (1 - 1e-5) * its.END))
    said = re.search(r"On the plane of the path, (\w+) of 81 points (is|are) lower", printed)[1]
    assert said == ("none" if lower == 0 else str(lower))
    marked = [line for line in its.right.lines if "lower" in str(line.get_label())]
    places = [place for line in marked for place in line.get_xydata()]
    assert len(places) == lower
    x, y = data.digits().train
    for a, b in places:
        moved = its.path[-1] + a * directions[0] + b * directions[1]
        nn.vector_to_parameters(moved, its.parameters)
        assert nn.cross_entropy(its.model(x[:1000]), y[:1000]).item() < its.END
    assert "3 points always lie in a plane" in " ".join(printed.split())
    check_pictures(figures)


def test_a_path_of_one_epoch_is_one_clear_line():
    with pytest.raises(SystemExit, match="needs more epochs"):
        landscape(1, "--network", "784,10")


def test_a_rate_at_which_training_diverges_is_one_clear_line():
    with pytest.raises(SystemExit, match="training has diverged"), np.errstate(all="ignore"):
        landscape(2, "--rate", 1e6)


@pytest.mark.parametrize(("shift", "said"), [(0.0, "about as flat"), (0.5, "less flat")])
def test_the_verdict_on_the_path_has_other_answers(shift, said):
    held = "HELD, BY_CHANCE = VARIANCE.sum(), WALK.sum()"
    other = f"HELD, BY_CHANCE = WALK.sum() - {shift}, WALK.sum()"
    printed, _ = edited("landscape", {held: other, "POINTS = 25": "POINTS = 3"}, "--epochs", 3)
    assert f"the path of training is {said}" in " ".join(printed.split())


def entropy(outputs, labels):
    """Cross-entropy, by NumPy alone."""
    largest = outputs.max(axis=1)
    sums = np.exp(outputs - largest[:, None]).sum(axis=1)
    return np.mean(np.log(sums) + largest - outputs[np.arange(len(labels)), labels])


def squares(outputs, labels):
    """The mean squared error, by NumPy alone."""
    return np.mean((outputs - np.eye(10)[labels]) ** 2)


def said_of(losses, end):
    """What is said of the points of a plane, and of the end of training."""
    lower = losses < end - 1e-5 * abs(end)
    if not lower.any():
        return f"none of {losses.size} points is lower than the end of training."
    verb = "is" if lower.sum() == 1 else "are"
    return f"{lower.sum()} of {losses.size} points {verb} lower, down to {as_text(losses.min())}."


def as_text(loss):
    return f"{loss:.4f}" if abs(loss) >= 0.001 else f"{loss:.3g}"


TRAIN = "x, y = digits.train.x[:1000], digits.train.y[:1000]"
EACH_EPOCH = "    for _ in training:\n"
CHOSEN = "LOSS = nn.cross_entropy  # its unit is the nat\n"
MSE = "def LOSS(outputs, labels):\n    return nn.mse_loss(outputs, data.one_hot(labels, 10))\n"
HAND_MADE = "nn.Sequential(nn.Linear(784, 6, rng=rng), nn.Tanh(), nn.Linear(6, 10, rng=rng))"
LANDSCAPES = {
    "four points": ({"POINTS = 25": "POINTS = 2"}, "1,000 training digits", entropy),
    "ten digits": ({TRAIN: TRAIN.replace("1000", "10")}, "10 training digits", entropy),
    "one digit": ({TRAIN: TRAIN.replace("1000", "1")}, "1 training digit", entropy),
    "test digits": ({TRAIN: "x, y = digits.test"}, "1,000 digits", entropy),
    "another loss": ({CHOSEN: MSE}, "1,000 training digits", squares),
    "a tiny loss": (
        {CHOSEN: "LOSS = lambda x, y: 1e-9 * nn.cross_entropy(x, y)\n"},
        "1,000 training digits",
        lambda outputs, labels: 1e-9 * entropy(outputs, labels),
    ),
    "another loss, but not to train with": (
        {"return LOSS(model(x), y)": "return nn.mse_loss(model(x), data.one_hot(y, 10))"},
        "1,000 training digits",
        squares,
    ),
    "another network": (
        {"networks.network(options.network, options.activation, rng)": HAND_MADE},
        "1,000 training digits",
        entropy,
    ),
    "closer": ({"across = plots": "across = 0.1 * plots"}, "1,000 training digits", entropy),
    "every second epoch": (
        {EACH_EPOCH: f"{EACH_EPOCH}        if _.number == 2:\n            continue\n"},
        "1,000 training digits",
        entropy,
    ),
    "without the first epoch": (
        {"path = np.array(path)": "path = np.array(path)[1:]"},
        "1,000 training digits",
        entropy,
    ),
}


@pytest.mark.parametrize(("edits", "whose", "own"), LANDSCAPES.values(), ids=LANDSCAPES)
def test_the_landscape_after_an_edit(edits, whose, own):
    edits = {"POINTS = 25": "POINTS = 5", **edits}
    its, printed, figures, _ = run_edited(
        "landscape", edits, "--network", "784,10", "--epochs", 4, "--rate", 0.2
    )
    said = " ".join(printed.split())
    shapes = [p.shape for p in its.parameters]
    count = sum(int(np.prod(shape)) for shape in shapes)
    name = "→".join(str(n) for n in (784, *(shape[0] for shape in shapes[::2])))
    assert f"The loss of {name} depends on {count:,} numbers" in said
    digits = int(re.search(r"a number of ([\d,]+) digits", said)[1].replace(",", ""))
    assert 10 ** (digits - 1) <= its.POINTS**count < 10**digits

    end = own(its.model(its.x).data, its.y)
    planes = (its.left, [its.across, its.up]), (its.right, plots.principal_directions(its.path)[0])
    around, along = (losses_on(its, on, directions, own) for on, directions in planes)
    assert f"the loss of {whose} is {as_text(end)}. On a plane of two" in said
    assert f"random directions, {said_of(around, end)}" in said
    assert f"On the plane of the path, {said_of(along, end)}" in said
    title, of_path = (on.get_title() for on in (its.left, its.right))
    assert title.endswith(f"from {min(end, *around):.2g} to {max(end, *around):.2g}")
    steps = len(its.path) - 1
    assert ("an arrow an epoch" if steps == 4 else f", {steps} arrows:") in of_path
    labels = [on.get_ylabel() for on in figures["landscape.png"].axes[2:]]
    assert labels == ["loss (nats)" if own is entropy else "loss"] * 2
    check_unit(its)
    check_gradient(its, said, own)
    check_pictures(figures)


def check_unit(its):
    """Check what is said of a distance of 1 on the plane of random directions."""
    weights = np.concatenate([p.data.ravel() for p in its.parameters if p.ndim == 2])
    labels = its.left.get_xlabel(), its.left.get_ylabel()
    for direction, label in zip((its.across, its.up), labels, strict=True):
        times = re.search(r"1 is (?:([\d.]+) × )?the length of the weights", label)[1] or 1
        longer = np.linalg.norm(direction) / np.linalg.norm(weights)
        assert float(times) == pytest.approx(longer, rel=5e-3)


def check_gradient(its, said, own):
    """Check the gradient's length at the end by a small move along it, and what is said of it."""
    slopes = []
    for weights in (its.start, its.path[-1]):
        nn.vector_to_parameters(weights, its.parameters)
        parts = gradients(its.loss(), its.parameters)
        along = np.concatenate([np.ravel(part) for part in parts]).astype(float)
        along /= np.linalg.norm(along)
        losses = []
        for far in (-0.01, 0.01):
            nn.vector_to_parameters(weights + far * along, its.parameters)
            losses.append(own(its.model(its.x).data.astype(float), its.y))
        slopes.append((losses[1] - losses[0]) / 0.02)
    length, share = re.search(r"has the length (\S+) there, (\S+)% of that", said).groups()
    assert float(length) == pytest.approx(slopes[1], rel=0.01)
    assert float(share) == pytest.approx(100 * slopes[1] / slopes[0], rel=0.01, abs=0.06)
    assert "the end of training is not a minimum" in said


@pytest.mark.parametrize(
    "edits", [{"POINTS = 25": "POINTS = 1"}, {TRAIN: TRAIN.replace("1000", "0")}]
)
def test_a_landscape_of_too_little_is_one_clear_line(edits):
    with pytest.raises(SystemExit, match="at least 2 POINTS along each direction, and at least"):
        run_edited("landscape", edits)


# ── losses.py ────────────────────────────────────────────────────────────────────────────────────


def losses(*arguments, edits=()):
    text = (EXAMPLES / "losses.py").read_text()
    for old, new in {"[:3000]": "[:600]", **dict(edits)}.items():
        assert old in text
        text = text.replace(old, new)
    return run("losses", *arguments, text=text)


raced = cache(lambda: losses("--epochs", 3))
in_this_worker = pytest.mark.xdist_group("losses")


@in_this_worker
def test_each_loss_runs_at_its_best_rate_which_the_training_digits_choose():
    its, printed, figures, _ = raced()
    for what, known in its.KNOWN.items():
        best = max(known, key=known.get)
        end = its.CURVES[what][best][:, -1]
        said = f"{what}: best at {best:g}; {end.mean():.1%} of the test digits right "
        assert said + f"(from {end.min():.1%} to {end.max():.1%})" in printed
    check_pictures(figures)


@in_this_worker
def test_a_curve_is_that_of_the_network_trained_by_hand():
    its, _, _, _ = raced()
    x, y = data.digits().train
    for loss in ("cross-entropy", "mean squared error"):
        rng = np.random.default_rng(0)
        layers = [nn.Linear(784, 16, rng=rng), nn.ReLU(), nn.Linear(16, 16, rng=rng), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(16, 10, rng=rng))
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for epoch in range(3):
            optimizer.lr = 0.1 * (1 - epoch / 3)
            for batch_x, batch_y in data.minibatches(x[:600], y[:600], 64, rng):
                outputs = model(batch_x)
                if loss == "cross-entropy":
                    value = nn.cross_entropy(outputs, batch_y)
                else:
                    value = ((outputs - np.eye(10, dtype=np.float32)[batch_y]) ** 2).mean()
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
        test = data.digits().test
        right = np.mean(model(test.x).data.argmax(axis=1) == test.y)
        np.testing.assert_allclose(its.CURVES[loss][0.1][0, -1], right, atol=0.003)


@in_this_worker
def test_the_table_holds_both_losses_of_one_answer_and_their_slopes():
    its, printed, _, _ = raced()
    for output, entropy, entropy_slope, square, square_slope in its.TABLE:
        p = np.exp(output) / (np.exp(output) + 9)
        np.testing.assert_allclose(entropy, -np.log(p), rtol=1e-5)
        np.testing.assert_allclose(entropy_slope, p - 1, rtol=1e-4)
        np.testing.assert_allclose(square, (output - 1) ** 2 / 10, rtol=1e-5)
        np.testing.assert_allclose(square_slope, 2 * (output - 1) / 10, rtol=1e-5)
        assert f"{output:12.0f}    {entropy:18.4f}" in printed


def test_only_the_rates_that_are_named_are_tried():
    its, printed, figures, _ = losses("--epochs", 1, "--rates", 0.2, 0.02, "--networks", 2)
    assert all(list(rates) == [0.02, 0.2] for rates in its.CURVES.values())
    assert "best at 0.2; " in printed
    assert printed.count("No rate beyond it was tried") == 2
    assert list(figures["losses.png"].axes[1].lines[0].get_xdata()) == [0.02, 0.2]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ([0.8, 0.9], [0.6, 0.7], "Cross-entropy leads higher"),
        ([0.6, 0.7], [0.8, 0.9], "Mean squared error leads higher"),
        ([0.6, 0.8], [0.7, 0.9], "Level: "),
        ([0.7, 0.9], [0.6, 0.8], "Level: "),
        ([0.6, 0.8], [0.6, 0.8], "Level: "),
        ([0.6, 0.7], [0.7, 0.8], "Level: "),
    ],
)
def test_a_loss_leads_higher_only_if_its_worst_network_beats_the_others_best(one, other, said):
    edits = {
        "\nif not ENDS:": f"\nENDS.update(zip(ENDS, np.array([{one}, {other}])))\nif not ENDS:"
    }
    options = ["--epochs", 1, "--rates", 0.1, "--networks", 2]
    _, printed, figures, _ = losses(*options, edits=edits)
    assert f"\n{said}" in printed
    assert figures["losses.png"].get_suptitle().startswith(said)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_learning_rate_that_diverges_is_a_result_and_not_the_end():
    _, printed, figures, _ = losses("--epochs", 1, "--rates", 0.1, 1e6, "--networks", 2)
    assert "cross-entropy: diverged at the learning rate 1e+06\n" in printed
    assert "cross-entropy: best at 0.1; " in printed
    check_pictures(figures)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_if_every_learning_rate_diverges_the_program_says_so(capsys):
    with pytest.raises(SystemExit, match="Every learning rate diverged, so there is nothing"):
        losses("--epochs", 1, "--rates", 1e6, "--networks", 2)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_losses_are_compared_with_another_activation(activation):
    options = ["--activation", activation, "--epochs", 1, "--rates", 0.1, 0.3, "--networks", 2]
    its, _, figures, _ = losses(*options)
    assert set(its.ENDS) == {"cross-entropy", "mean squared error"}
    check_pictures(figures)


PAIR = '{"cross-entropy": nn.cross_entropy, "mean squared error": squared_error}'
THIRD = '"absolute error": lambda x, y: abs(x - data.one_hot(y, 10)).mean()}'
DIGITS = "digits.train.x[:3000], digits.train.y[:3000]"
RATES = "RATES = sorted(set(options.rates))"
OUTPUTS = "(-1.0, 0.0, 1.0, 2.0, 5.0, 10.0)"
LAYERS = "SIZES = (784, 16, 16, 10)"
RACES = {
    "three losses": {PAIR: f"{PAIR[:-1]}, {THIRD}"},
    "one loss": {PAIR: '{"mean squared error": squared_error}'},
    "the same loss twice": {PAIR: '{"one": nn.cross_entropy, "the other": nn.cross_entropy}'},
    "other names and order": {PAIR: '{"MSE": squared_error, "CE, in nats": nn.cross_entropy}'},
    "a long name": {PAIR: '{"CE": nn.cross_entropy, "the mean of all ten squares": squared_error}'},
    "seven losses, of which none leads": {PAIR: 'dict.fromkeys("abcdefg", squared_error)'},
    "other outputs": {OUTPUTS: "(0.5, -20, 100.0)"},
    "another right digit": {"np.eye(10)[:1]": "np.eye(10)[3:4]"},
    "no hidden layer": {LAYERS: "SIZES = (784, 10)"},
    "unsorted rates": {RATES: "RATES = [0.03, 0.3, 0.1]"},
    "one digit": {DIGITS: DIGITS.replace("3000", "1")},
    "one network": {"range(options.networks)": "range(1)"},
    "another target": {"data.one_hot(labels, 10)": "2 * data.one_hot(labels, 10) - 1"},
}


@pytest.mark.parametrize("edits", RACES.values(), ids=RACES)
def test_the_losses_after_an_edit(edits):
    options = ["--networks", 2, "--epochs", 1, "--rates", 0.1, 0.3]
    edits = {DIGITS: DIGITS.replace("3000", "300"), **edits}
    its, printed, figures, _ = run_edited("losses", edits, *options)
    count = len(its.TRAIN[0])
    assert f"learns from {count} digit{'s' if count > 1 else ''}.\n" in printed
    check_table(its, printed)
    ends, notes = {}, 0
    for what, by_rate in its.KNOWN.items():
        best = max(by_rate, key=by_rate.get)
        ends[what] = its.CURVES[what][best][:, -1]
        is_last = best in (min(its.RATES), max(its.RATES))
        notes += is_last
        line = f"{what}: best at {best:g}; {ends[what].mean():.1%} of the test digits right "
        line += f"(from {ends[what].min():.1%} to {ends[what].max():.1%})\n"
        assert line + "   (No rate beyond it was tried" * is_last in printed
    assert printed.count("No rate beyond it was tried") == notes
    said = printed.split("\n\npicture")[0].splitlines()[-1]
    leads = [
        what
        for what, mine in ends.items()
        if all(mine.min() > other.max() for name, other in ends.items() if name != what)
    ]
    if len(ends) == 1:
        assert said == f"Only {next(iter(ends))} was tried."
    elif leads:
        assert said.lower().startswith(f"{leads[0].lower()} leads higher: its worst network beats")
        assert said.startswith(leads[0][1:], 1)
    else:
        assert said.startswith("Level: " if len(ends) == 2 else "None leads higher: ")
    figure = figures["losses.png"]
    assert figure.get_suptitle() + "." == said
    check_lines(its, figure)
    check_pictures(figures)


def check_table(its, printed):
    """Check the values and slopes of each loss, by the loss of plain numbers around an output."""
    _, *rows = printed.split("\n\n")[0].splitlines()
    assert re.split(" {2,}", rows[0])[1::2] == list(its.LOSSES)
    right = int(its.RIGHT.argmax())

    def value(loss, output):
        outputs = np.zeros((1, 10))
        outputs[0, right] = output
        return float(loss(outputs, [right]))

    for row in rows[1:]:
        output, *numbers = map(float, row.split())
        for n, loss in enumerate(its.LOSSES.values()):
            shown, slope = numbers[2 * n : 2 * n + 2]
            assert shown == pytest.approx(value(loss, output), abs=6e-5, rel=1e-5)
            around = [value(loss, output + move) for move in (-1e-4, 1e-4)]
            assert slope == pytest.approx((around[1] - around[0]) / 2e-4, abs=1e-4, rel=1e-4)
    shown = [float(row.split()[0]) for row in rows[1:]]
    assert shown == [row[0] for row in its.TABLE]


def check_lines(its, figure):
    """Check that the picture shows each loss by a look of its own, from left to right, and whole."""
    left, right = figure.axes
    networks, points = next(iter(its.CURVES[next(iter(its.BEST))].values())).shape
    assert f"{networks} network{'s' if networks > 1 else ''}\n" in left.get_title()
    assert right.get_title().startswith(f"After {points - 1} epoch, at all rates")
    names = [" ".join(text.get_text().split()) for text in right.get_legend().get_texts()]
    assert names == list(its.LOSSES)
    looks = [(line.get_color(), line.get_linestyle()) for line in right.lines]
    assert len(set(looks)) == len(its.LOSSES)
    for line, curves in zip(right.lines, its.CURVES.values(), strict=True):
        assert list(line.get_xdata()) == sorted(curves)
        ends = [100 * curves[rate][:, -1].mean() for rate in sorted(curves)]
        np.testing.assert_allclose(line.get_ydata(), ends)


@pytest.mark.parametrize(
    "edits",
    [
        {LAYERS: "SIZES = (784, 16, 5)"},
        {LAYERS: "SIZES = (28, 10)"},
        {RATES: "RATES = [0.1, 0.0]"},
        {DIGITS: DIGITS.replace("3000", "0")},
    ],
)
def test_a_race_that_cannot_be_run_is_one_clear_line(edits):
    with pytest.raises(SystemExit, match="expected SIZES from 784 to 10, rates above 0, and at"):
        run_edited("losses", edits)
