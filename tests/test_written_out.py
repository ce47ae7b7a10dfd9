"""written_out.py and written_network.py, and the programs that they wrote into examples/programs."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import microgd
from microgd import Value, data, nn, optim, train

pytest.importorskip("PIL")

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAMS = [EXAMPLES / "written_out.py", EXAMPLES / "written_network.py"]
COMMITTED = EXAMPLES / "programs"
NAMES = ["digits", "expression", "neuron"]
RENEW = [f".venv/bin/python examples/{path.name} --out examples/programs" for path in PROGRAMS]
each_program = pytest.mark.parametrize("name", NAMES)
each_writer = pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
# Several tests look at the same run, so they share a worker.
pytestmark = pytest.mark.xdist_group("written_out")


@cache
def run(*arguments):
    """Run both programs: what they printed, one after the other, and the texts of their files."""
    printed = ""
    with TemporaryDirectory() as folder:
        for path in PROGRAMS:
            done = subprocess.run(
                [sys.executable, path, "--out", f"{folder}/new/programs", *arguments],
                capture_output=True,
                encoding="utf-8",
                cwd=folder,
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            )
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
            printed += done.stdout
        files = {path: path.read_text() for path in Path(folder).rglob("*.*")}
    return printed, {path.name: text for path, text in files.items()}


def in_one_line(printed):
    return " ".join(printed.split())


# ── The committed programs ───────────────────────────────────────────────────────────────────────


def test_the_committed_programs_are_those_that_are_written_today():
    committed = {path.name: path.read_text() for path in COMMITTED.iterdir() if path.is_file()}
    assert committed == run()[1], f"examples/programs is not current. This renews it: {RENEW}"
    assert sorted(committed) == [f"{name}.py" for name in NAMES]


def test_the_readme_says_how_to_renew_the_committed_programs():
    page = (EXAMPLES / "README.md").read_text()
    assert all(f"\n{command}\n" in page for command in RENEW)


@each_program
def test_a_program_imports_nothing_but_numpy_and_math(name):
    tree = ast.parse((COMMITTED / f"{name}.py").read_text())
    imports = [each for each in ast.walk(tree) if isinstance(each, (ast.Import, ast.ImportFrom))]
    assert all(isinstance(each, ast.Import) for each in imports)
    assert {alias.name for each in imports for alias in each.names} <= {"numpy", "math"}


# Its arguments are those in arguments.npz, by name, and its results go into results.npz.
ALONE = """
import runpy, sys
sys.path.append(sys.argv[1])
names = runpy.run_path(sys.argv[2])
import numpy as np
function = names[sys.argv[3]]
arguments = dict(np.load("arguments.npz"))
results = function(**{name: x if x.ndim else x.item() for name, x in arguments.items()})
np.savez("results.npz", *results)
assert not [name for name in sys.modules if name.split(".")[0] == "microgd"]
"""


def run_alone(path, function, folder, **arguments):
    """Call a program's function in a new process without microgd: what it returns.

    -I and -S leave out the current folder, the user's packages, and those that are installed as
    links, as microgd is here. NumPy's folder is added again.
    """
    np.savez(folder / "arguments.npz", **arguments)
    packages = Path(np.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ALONE, packages, path, function],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / "results.npz") as results:
        return [results[f"arr_{i}"] for i in range(len(results))]


def same_bits(x, y):
    return x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes()


def test_the_expression_runs_alone_and_has_the_gradients_on_paper(tmp_path):
    found = run_alone(
        COMMITTED / "expression.py", "expression", tmp_path, a=2.0, b=-3.0, c=10.0, f=-2.0
    )
    assert found == [-8.0, 6.0, -4.0, -2.0, 4.0]


def test_the_neuron_runs_alone_and_has_the_gradients_on_paper(tmp_path):
    x1, x2, w1, w2, b = 2.0, 0.0, -3.0, 1.0, 6.8813735870195432
    found = run_alone(COMMITTED / "neuron.py", "neuron", tmp_path, x1=x1, x2=x2, w1=w1, w2=w2, b=b)
    o = np.tanh(x1 * w1 + x2 * w2 + b)
    slope = 1 - o**2
    expected = [o, slope * w1, slope * w2, slope * x1, slope * x2, slope]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(expected, [0.5**0.5, -1.5, 0.5, 1.0, 0.0, 0.5], rtol=1e-12)


def test_the_step_with_digits_runs_alone_and_is_microgds_own_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(1)
    x, y = (array[100:132] for array in data.digits().train)
    network = nn.Sequential(nn.Linear(784, 16, rng=rng), nn.ReLU(), nn.Linear(16, 10, rng=rng))
    optimizer = optim.SGD(network.parameters(), lr=0.03, momentum=0.9)

    state = {}
    for name, layer in (("0", network[0]), ("2", network[2])):
        for kind in ("weight", "bias"):
            numbers = getattr(layer, kind).data
            state[f"{kind}_{name}"] = numbers
            state[f"velocity_{kind}_{name}"] = np.zeros_like(numbers)
    names_of_results = returned("step", (COMMITTED / "digits.py").read_text())
    for _ in range(3):
        loss, *results = run_alone(
            COMMITTED / "digits.py", "step", tmp_path, x=x, y=y, lr=0.03, **state
        )
        state = dict(zip(names_of_results[1:], results, strict=True))
        optimizer.zero_grad()
        own_loss = nn.cross_entropy(network(x), y)
        own_loss.backward()
        optimizer.step()
        assert loss == own_loss.item()
        for name, layer in (("0", network[0]), ("2", network[2])):
            assert same_bits(state[f"weight_{name}"], layer.weight.data)
            assert same_bits(state[f"bias_{name}"], layer.bias.data)
    assert len(state) == 8


def returned(function, text):
    """The names that a program's function returns."""
    definition = next(
        each
        for each in ast.parse(text).body
        if isinstance(each, ast.FunctionDef) and each.name == function
    )
    return [each.id for each in definition.body[-1].value.elts]


# ── What the program prints ──────────────────────────────────────────────────────────────────────


def without_first_line(text):
    """A saved program as it is printed: in the file, a line above it says what it is."""
    first, _, rest = text.partition("\n\n")
    assert first.startswith('"""A program that microgd wrote: ')
    return rest


def test_each_saved_program_is_printed_and_its_path_is_said():
    printed, files = run()
    assert all(without_first_line(text) in printed for text in files.values())
    said = re.findall(r"^program: .*?(\w+\.py)$", printed, re.MULTILINE)
    assert said == ["expression.py", "neuron.py", "digits.py"]


def test_each_line_that_is_explained_is_in_the_program_above_it():
    printed, _ = run()
    *parts, _ = printed.split("What to look at:\n")
    explanations = printed.split("What to look at:\n")[1:]
    assert len(explanations) == 4
    for above, explanation in zip(parts, explanations, strict=True):
        quoted = re.findall(r"^    (\S.*)$", explanation.split("\n\n")[0], re.MULTILINE)
        assert quoted
        program = above[above.rindex("\ndef ") :]
        for line in quoted:
            assert re.search(rf"\n    {re.escape(line)}(  # .*)?\n", program), line


def test_the_chain_rule_an_alias_and_a_sum_of_contributions_are_explained():
    printed, _ = run()
    for line in ("d_a = d_e * b", "d_e = d_d", "d_x = d_x + d_y * x"):
        assert re.search(rf"^    {re.escape(line)}\n {{8}}\S", printed, re.MULTILINE)


def test_the_saved_expression_with_other_numbers_agrees_with_backward():
    a, b, c, f = (Value(number) for number in (1.0, 4.0, -2.0, 3.0))
    L = (a * b + c) * f  # noqa: N806
    L.backward()
    slopes = f"d_a = {a.grad:g}, d_b = {b.grad:g}, d_c = {c.grad:g}, d_f = {f.grad:g}"
    text = f"L is {L.item():g}, and the slopes are {slopes}. microgd's backward() finds the same."
    assert text in in_one_line(run()[0])


def test_training_with_a_program_has_the_same_bits_and_its_speed_is_a_ratio():
    printed = in_one_line(run()[0])
    assert "The losses and the weights are the same, to the last bit." in printed
    found = re.search(r"the first epoch was (\d+\.\d) times .* and the second (\d+\.\d) t", printed)
    assert float(found[1]) > 0.3  # it includes the time for writing the program
    assert float(found[2]) > 0.5


# ── Options ──────────────────────────────────────────────────────────────────────────────────────


def notes(printed):
    """What is printed beside each assignment."""
    return dict(re.findall(r"^ +(\w+) = .*?  # (.*)$", printed, re.MULTILINE))


def test_with_numbers_each_line_has_its_number_or_its_shape_beside_it():
    printed, _ = run("--numbers")
    expression = notes(printed.split("program: ")[0])
    wanted = {"e": "-6", "d": "4", "L": "-8", "d_d": "-2", "d_f": "4", "d_a": "6", "d_b": "-4"}
    assert expression.items() >= wanted.items()
    neuron = notes(printed.split("A neuron")[1].split("program: ")[0])
    assert neuron.items() >= {"o": "0.707107", "d_w1": "1", "d_x1": "-1.5", "d_w2": "0"}.items()
    digits = notes(printed.split("The network")[1])
    assert digits["logits"] == "(32, 16) @ (16, 10) -> (32, 10)"
    assert digits["d_weight_0"].endswith("-> (784, 16), then (16, 784)")
    assert digits["relu_1"] == "shape (32, 16)"
    assert digits["p"] == "shape (10, 32): a column for each example: a few long rows add up faster"


def test_without_numbers_no_line_has_a_number_beside_it():
    printed, _ = run()
    assert not re.search(r"  # (shape |-?[\d.]+$)", printed, re.MULTILINE)


def test_the_files_are_the_same_with_each_option():
    assert run()[1] == run("--numbers")[1] == run("--fast")[1]


def test_fast_also_shows_each_program_that_runs_for_speed():
    shown, shown_with_fast = (printed.count("\ndef ") for printed in (run()[0], run("--fast")[0]))
    assert shown == 4
    assert shown_with_fast == 8
    printed, files = run("--fast")
    assert all(without_first_line(text) in printed for text in files.values())
    assert printed.count("For speed these calls are made") == 4


@each_writer
def test_help_says_what_the_program_does_and_what_is_saved(path):
    done = subprocess.run(
        [sys.executable, path, "--help"], capture_output=True, text=True, check=True
    )
    assert "line by line" in done.stdout
    assert "the folder for the programs (default: programs)" in done.stdout
    for option in ("--numbers", "--fast", "--out"):
        assert option in done.stdout


@each_writer
def test_a_file_in_place_of_the_folder_is_one_clear_line(path):
    done = subprocess.run([sys.executable, path, "--out", __file__], capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search(r"error: --out: .*test_written_out\.py is a file, not a folder$", done.stderr)


def test_in_jupyter_the_cells_write_the_same_programs_and_train_both_ways(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    compiled = []
    fit = train.fit

    def remembered(*arguments, **options):
        compiled.append(options["compiled"])
        return fit(*arguments, **options)

    monkeypatch.setattr(train, "fit", remembered)
    for path in PROGRAMS:
        namespace = ModuleType("cells").__dict__
        for n, cell in enumerate(path.read_text(encoding="utf-8").split("# %% ")):
            exec("# " + cell if n else cell, namespace)
    written = {path.name: path.read_text() for path in (tmp_path / "programs").iterdir()}
    assert written == run()[1]
    assert "to the last bit" in capsys.readouterr().out
    assert compiled == [False, True]


# ── In its place among the programs ──────────────────────────────────────────────────────────────


@each_writer
def test_it_opens_with_a_question_and_has_cells(path):
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source)).splitlines()[0].endswith("?")
    assert source.count("\n# %% ") >= 3


@each_writer
def test_it_uses_public_names_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)]
    assert {each.module for each in imports} == {"microgd"}
    assert {alias.name for each in imports for alias in each.names} <= set(microgd.__all__)
    attributes = [each.attr for each in ast.walk(tree) if isinstance(each, ast.Attribute)]
    assert not [name for name in attributes if name.startswith("_")]


def test_the_readme_has_its_question_and_the_text_of_the_shortest_program():
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    text = PROGRAMS[0].read_text(encoding="utf-8")
    question = ast.get_docstring(ast.parse(text)).splitlines()[0]
    section = re.search(
        rf"^## \d+\. {re.escape(question)}\n(.*?)^## ", page, re.MULTILINE | re.DOTALL
    )
    shortest = without_first_line((COMMITTED / "expression.py").read_text())
    assert f"\n```python\n{shortest}" in section[1]
    assert "[written_out.py](written_out.py)" in page
