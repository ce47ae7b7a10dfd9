"""The programs in examples/ do what they say, on their real output."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from rendered import lines, needs_program

from microgd import draw

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name):
    """A program as a module."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


needs_tqdm = pytest.mark.skipif(find_spec("tqdm") is None, reason="tqdm is not installed")


def test_the_line_is_that_of_least_squares_to_four_digits(capsys):
    line = example("line")
    line.main([])
    printed = capsys.readouterr().out
    descent, exact = (
        [float(x) for x in re.search(rf"{who}: +mass = (\S+) g/mm \* length (\S+) g", printed).groups()]
        for who in ("gradient descent", "least squares")
    )
    length, mass = line.read_penguins()
    columns = np.stack([length, np.ones_like(length)], axis=1)
    np.testing.assert_allclose(exact, np.linalg.lstsq(columns, mass, rcond=None)[0], atol=1e-3)
    np.testing.assert_allclose(descent, exact, rtol=5e-5)


def test_the_line_converges_from_several_learning_rates_and_not_with_one_too_large():
    line = example("line")
    length, mass = line.read_penguins()
    feature = (length - length.mean()) / length.std()
    for lr in (0.03, 0.3, 0.9):
        w, b, losses = line.fit_line(feature, mass, lr)
        assert len(losses) < 1000
        np.testing.assert_allclose((w, b), np.polyfit(feature, mass, 1), rtol=5e-5)
    _, _, losses = line.fit_line(feature, mass, 1.1, most_steps=50)
    assert losses[-1] > 10 * losses[0]


@pytest.mark.parametrize(("lr", "said"), [("5", "diverges: try a smaller"), ("1e-7", "still falling: try a larger")])
def test_the_line_says_when_it_has_not_converged(lr, said, capsys):
    with np.errstate(all="ignore"):
        assert said in example("line").main(["--lr", lr])
    assert "converged after" not in capsys.readouterr().out


def test_the_bowl_is_round_only_when_the_feature_is_standardized():
    line = example("line")
    length, _ = line.read_penguins()
    assert line.stretch(length) > 1e6
    np.testing.assert_allclose(line.stretch((length - length.mean()) / length.std()), 1.0)


@needs_tqdm
def test_the_digit_networks_learn_the_sample_and_are_saved(tmp_path, capsys):
    digits = example("digits")
    assert digits.main(["--epochs", "4", "--save", str(tmp_path / "learned.npz")]) == 0
    printed = capsys.readouterr().out
    accuracies = [float(x) for x in re.findall(r"^ +4 .* (\S+)%$", printed, re.MULTILINE)]
    garbage = [float(x) for x in re.findall(r"before training: (\S+)% of the test digits right", printed)]
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
def test_the_digit_networks_are_the_same_for_the_same_seed(capsys):
    digits = example("digits")
    runs = []
    for seed in ("1", "1", "2"):
        digits.main(["--epochs", "1", "--seed", seed])
        runs.append(capsys.readouterr().out)
    assert runs[0] == runs[1] != runs[2]


@needs_tqdm
def test_ctrl_c_ends_training_cleanly_and_saves_what_was_learned(tmp_path, monkeypatch, capsys):
    digits = example("digits")

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(digits, "show", interrupted)  # after the first network
    assert digits.main(["--epochs", "1", "--save", str(tmp_path / "learned.npz")]) == 130
    assert "stopped" in capsys.readouterr().out
    with np.load(tmp_path / "learned.npz") as saved:
        assert "networks.784-10.0.weight" in saved


@needs_tqdm
def test_training_goes_on_from_what_was_saved(tmp_path, capsys):
    digits, path = example("digits"), str(tmp_path / "learned.npz")
    digits.main(["--epochs", "3", "--save", path])
    first = re.findall(r"^ +3 .* (\S+)%$", capsys.readouterr().out, re.MULTILINE)
    digits.main(["--epochs", "1", "--load", path])
    before = re.findall(r"before training: (\S+)% of", capsys.readouterr().out)
    assert before == [f"{float(accuracy):.1f}" for accuracy in first]


@needs_tqdm
def test_a_file_that_cannot_be_loaded_is_not_overwritten(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, something=np.ones(2))
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        example("digits").main(["--epochs", "1", "--load", str(path), "--save", str(path)])
    assert path.read_bytes() == before


@needs_tqdm
@pytest.mark.parametrize("arguments", [["--data", "nowhere"], ["--load", "nowhere.npz"], ["--save", "nowhere/learned.npz"]])
def test_a_file_that_is_not_there_is_one_clear_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        example("digits").main(arguments)
    assert "nowhere" in str(caught.value.code) + capsys.readouterr().err


@needs_tqdm
@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--epochs", "x"], ["--sed", "1"]])
def test_a_wrong_argument_is_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        example("digits").main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["line", "graph", pytest.param("digits", marks=needs_tqdm)])
def test_help_says_what_the_program_does(name):
    shown = subprocess.run([sys.executable, EXAMPLES / f"{name}.py", "--help"], capture_output=True, text=True, check=True)
    assert "usage:" in shown.stdout


@needs_program
def test_the_five_graphs_are_drawn_and_filmed(tmp_path, capsys):
    graph = example("graph")
    assert graph.main(["--out", str(tmp_path / "new" / "folder")]) is None
    made = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    names = ["digits", "expression", "neuron", "used_twice", "xor"]
    assert made == sorted(f"{name}.{kind}" for name in names for kind in ("html", "svg"))
    assert all(name in capsys.readouterr().out for name in ["expression.html"])


@needs_program
@pytest.mark.parametrize("name", ["digits", "expression", "neuron", "used_twice", "xor"])
def test_the_committed_pictures_say_what_is_drawn_today(name):
    value, how = getattr(example("graph"), name)()
    value.backward()
    committed, today = (
        " ".join(sorted(lines(root))).replace("−", "-")
        for root in (ET.parse(EXAMPLES / "pictures" / f"{name}.svg").getroot(), ET.fromstring(draw(value, **how).pipe("svg")))
    )
    numbers = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"  # of which another processor may round the last digit otherwise
    assert re.sub(numbers, "0", committed) == re.sub(numbers, "0", today)
    shown, expected = ([float(number) for number in re.findall(numbers, text)] for text in (committed, today))
    np.testing.assert_allclose(shown, expected, rtol=0.01)


@needs_program
@pytest.mark.parametrize(
    ("arguments", "said"), [(["--format", "pgn"], "unknown format: 'pgn'"), (["--out", __file__], "test_examples.py")]
)
def test_a_picture_that_cannot_be_made_is_one_clear_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in example("graph").main(arguments)
