"""digits.py does what it says, on its real output."""

import re
import runpy

import numpy as np
import pytest
from example_runs import check_pictures, edited, needs_matplotlib, needs_tqdm, of, run, small
from PIL import Image

from microgd import data, nn, optim, train

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
        ["--image", "nowhere.png"],
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
def test_a_nudge_is_held_mostly_by_its_largest_elements_and_blank_pixels_get_none():
    its, printed, _, _ = small("digits")
    x = its.digits.train.x[: its.BATCH_SIZE]
    blank = np.flatnonzero(~x.any(axis=0))
    assert (
        10 * blank.size
        == its.NEVER
        == int(re.search(r" ([\d,]+) are 0", printed)[1].replace(",", ""))
    )
    assert not its.nudge[:, blank].any()
    share = np.sort(np.abs(its.nudge).ravel())[::-1][:784]
    np.testing.assert_allclose(its.SHARE[0.1], np.sum(share**2) / np.sum(its.nudge**2), rtol=1e-5)
    assert its.SHARE[0.1] > 0.5


@of("digits")
@needs_tqdm
def test_the_path_of_training_lies_nearly_in_a_plane():
    its, printed, _, _ = small("digits")
    points = its.path - its.path.mean(axis=0)
    held = np.sum((points @ its.own_directions.T) ** 2) / np.sum(points**2)
    np.testing.assert_allclose(its.VARIANCE.sum(), held, rtol=1e-4)
    assert held > 0.9
    assert its.WALK.sum() < held < 0.9999  # a path of up to three points always lies in a plane
    assert f"Of the path through 13,002 dimensions two hold {held:.1%}" in printed.replace(
        "\n", " "
    )


@of("digits")
@needs_tqdm
def test_what_it_says_is_wrong_is_wrong():
    its, printed, figures, _ = small("digits")
    said = its.learned.networks["784-16-16-10"](its.digits.test.x).data.argmax(axis=1)
    assert np.array_equal(its.wrong, np.flatnonzero(said != its.digits.test.y))
    assert f"{len(its.wrong)} of 1,000 test digits are named wrongly" in printed
    shown = [
        on.images[0].get_array().ravel() for on in figures["digits_wrong.png"].axes if on.images
    ]
    np.testing.assert_array_equal(shown, its.digits.test.x[its.surest].astype(float))
    counts = [text.get_text() for text in figures["digits_confusion.png"].axes[0].texts]
    right = [int(counts[11 * digit].replace("·", "0")) for digit in range(10)]
    assert sum(right) == 1000 - len(its.wrong)


@of("digits")
@needs_tqdm
def test_both_losses_teach_the_network_and_the_one_that_ends_higher_is_named():
    its, printed, figures, _ = small("digits")
    ends = {what: curves[:, -1].mean() for what, (_, _, curves) in its.BY_LOSS.items()}
    assert min(ends.values()) > 0.6
    assert f"{max(ends, key=ends.get)} ends" in figures["digits_losses.png"].axes[0].get_title()
    for what, end in ends.items():
        assert re.search(rf"{what} *: .*{end:.1%} after the last", printed)


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


@of("digits")
@needs_tqdm
@pytest.mark.parametrize("dark_on_light", [True, False])
def test_a_photo_of_a_digit_becomes_what_it_is_in_mnist(dark_on_light, tmp_path):
    its, _, _, _ = small("digits")
    model, rng = its.learned.networks["784-16-16-10"], np.random.default_rng(0)
    prepared, originals, labels = [], its.digits.test.x[:100], its.digits.test.y[:100]
    for image in originals:
        photo(image, rng, dark_on_light, tilt=8.0).save(tmp_path / "photo.png")
        prepared.append(its.prepared(tmp_path / "photo.png")[1])
    prepared = np.array(prepared)
    assert prepared.shape == (100, 784)
    assert prepared.dtype == np.float32
    likeness = (
        np.sum(prepared * originals, axis=1)
        / np.linalg.norm(prepared, axis=1)
        / np.linalg.norm(originals, axis=1)
    )
    assert np.median(likeness) > 0.8  # a shift by one pixel alone gives 0.81
    named, named_before = (
        np.mean(model(x).data.argmax(axis=1) == labels) for x in (prepared, originals)
    )
    assert named > named_before - 0.15


@of("digits")
@needs_tqdm
def test_a_prepared_digit_is_in_a_box_of_20_with_its_centre_of_mass_in_the_middle(tmp_path):
    its, _, _, _ = small("digits")
    # Drawing programs save a transparent background.
    drawing = Image.new("RGBA", (300, 500), (0, 0, 0, 0))
    drawing.paste("black", (40, 60, 60, 460))
    drawing.paste("black", (40, 430, 200, 460))
    drawing.save(tmp_path / "L.png")
    image = its.prepared(tmp_path / "L.png")[1].reshape(28, 28)
    down, across = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert down[-1] - down[0] + 1 == 20
    assert across[-1] - across[0] + 1 == 8
    rows, columns = np.indices(image.shape)
    assert abs(np.average(rows, weights=image) - 13.5) <= 0.5
    assert abs(np.average(columns, weights=image) - 13.5) <= 0.5


@needs_tqdm
@pytest.mark.parametrize("content", ["text", "blank"])
def test_a_picture_with_no_digit_on_it_is_one_clear_line(content, tmp_path):
    path = tmp_path / "digit.png"
    if content == "blank":
        Image.new("L", (100, 100), 200).save(path)
    else:
        path.write_text("no picture")
    with pytest.raises(SystemExit, match=r"--image .*digit\.png.*(stands out|cannot identify)"):
        run("digits", "--image", path)


@needs_tqdm
def test_a_saved_network_names_a_digit_without_more_training(tmp_path):
    path = tmp_path / "learned.npz"
    trained = re.findall(
        r"^ +2 .* (\S+)%$",
        run("digits", "--train-only", "--epochs", 2, "--save", path)[1],
        re.MULTILINE,
    )
    photo(data.digits().test.x[3], np.random.default_rng(0)).save(tmp_path / "mine.jpg")
    printed = run(
        "digits", "--train-only", "--epochs", 0, "--load", path, "--image", tmp_path / "mine.jpg"
    )[1]
    assert re.findall(r"before these epochs: (\S+)% of", printed) == [
        f"{float(accuracy):.1f}" for accuracy in trained
    ]
    assert re.search(r"mine\.jpg: the network 784-16-16-10 says \d", printed)


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
    said = printed.index(f"a step of training the network 784-10, as a program: {path}\n")
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


@of("digits")
@needs_tqdm
@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ((0, 140, 0), (220, 30, 30)),
        ((255, 255, 255, 0), (255, 255, 255, 255)),
        ((10, 10, 60), (255, 240, 0)),
    ],
)
def test_ink_is_what_is_unlike_the_paper(paper, ink, tmp_path):
    its, _, _, _ = small("digits")
    drawing = Image.new("RGBA" if len(paper) == 4 else "RGB", (200, 300), paper)
    drawing.paste(ink, (90, 50, 110, 250))
    drawing.save(tmp_path / "1.png")
    image = its.prepared(tmp_path / "1.png")[1].reshape(28, 28)
    assert image[4:24, 13:15].min() > 0.9
    np.testing.assert_allclose(image.sum(), 40, rtol=0.1)


@needs_tqdm
def test_a_digit_of_ones_own_is_named(tmp_path):
    photo(data.digits().test.x[3], np.random.default_rng(0)).save(tmp_path / "mine.jpg")
    its, printed, figures, _ = run("digits", "--epochs", 1, "--image", tmp_path / "mine.jpg")
    assert re.search(
        r"mine\.jpg: the network 784-16-16-10 says \d, with a probability of \d+%", printed
    )
    p = its.probabilities(its.learned.networks["784-16-16-10"], its.own[1][None])[0]
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    assert f"It says {p.argmax()}: {p.max():.0%}" == figures["digits_image.png"].axes[2].get_title()


SWEEP = "RATES = (0.03, 0.1, 0.3, 1.0, 3.0)"
QUICK = {
    "RATES = (0.03, 0.1, 0.3, 1.0, 3.0)": "RATES = (0.1,)",
    "range(options.seed, options.seed + 3)": "range(options.seed, options.seed + 1)",
    "    chance,\n    points=31": "    chance,\n    points=7",
    "        path=path,\n        points=31": "        path=path,\n        points=7",
}
SETTINGS = "= 0.05, 0.9, 64, 20"


@needs_tqdm
@pytest.mark.parametrize(
    ("networks", "caption"),
    [
        ("[(784, 10)]", "The 7,840 weights after training"),
        (
            "[(784, 32, 10)]",
            "784-32-10: the weights from the pixels to 10 of 32 hidden units\nafter training",
        ),
        ("[(784, 8, 10), (784, 10), (784, 8, 8, 10)]", "The 7,840 weights after training"),
        (
            "((784, 6, 10), (784, 12, 10))",
            "784-6-10: the weights from the pixels to 6 of 6 hidden units\nafter training",
        ),
    ],
)
def test_of_any_networks_the_weights_are_shown_for_what_they_are(networks, caption):
    edits = {"[(784, 10), (784, 16, 16, 10)]": networks, **QUICK}
    _, figures = edited("digits", edits, "--epochs", 1)
    assert figures["digits_weights_after.png"].get_suptitle().startswith(caption + ": ")
    assert "digits_losses.png" in figures
    check_pictures(figures)


@needs_tqdm
def test_no_network_at_all_is_one_clear_line():
    with pytest.raises(SystemExit, match="NETWORKS is empty"):
        edited("digits", {"[(784, 10), (784, 16, 16, 10)]": "[]"}, "--epochs", 1)


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("activation", ["nn.Tanh()", "nn.Sigmoid()"])
def test_with_another_activation_the_program_comes_to_its_end(activation):
    edits = {**QUICK, "nn.ReLU()]": f"{activation}]", SWEEP: "RATES = (0.1, 3.0)"}
    _, figures = edited("digits", edits, "--epochs", 1)
    assert list(figures)[-1] == "digits_losses.png"


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_learning_rate_that_diverges_is_a_result_and_not_the_end():
    printed, figures = edited("digits", {**QUICK, SWEEP: "RATES = (0.1, 1e6)"}, "--epochs", 1)
    assert re.search(
        r"cross-entropy *: rate 0\.10; .* after the last\n *cross-entropy *: diverged at 1e\+06",
        printed,
    )
    assert "learns from both" in figures["digits_losses.png"].axes[0].get_title()


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_if_every_learning_rate_diverges_the_program_says_so():
    printed, figures = edited("digits", {**QUICK, SWEEP: "RATES = (1e6,)"}, "--epochs", 1)
    assert "mean squared error: diverged at all rates, 1e+06" in printed
    assert printed.endswith("Every learning rate diverged, so there is nothing to compare.\n")
    assert "digits_losses.png" not in figures


@needs_tqdm
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_training_that_diverges_is_one_clear_line():
    with pytest.raises(
        SystemExit, match=r"the network 784-16-16-10 has diverged: .* in epoch 1, batch"
    ):
        edited("digits", {SETTINGS: "= 1e5, 0.9, 64, 20"}, "--epochs", 1)


@needs_tqdm
@pytest.mark.parametrize(
    "settings", ["= 0.05, 0.9, 64, 2", "= 0.05, 0.9, 100_000, 3", "= 0.05, 0, 64, 1"]
)
def test_other_settings_lead_to_the_last_picture(settings):
    printed, figures = edited("digits", {**QUICK, SETTINGS: settings})
    assert list(figures)[-1] == "digits_losses.png"
    assert (
        f"blank in all of these {min(6000, int(settings.split(', ')[2]))} digits"
        in printed.replace("\n", " ")
    )
