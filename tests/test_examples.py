"""What all programs in examples/ have in common."""

import ast
import os
import re
import subprocess
import sys
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from example_runs import (
    EXAMPLES,
    NUMBERED,
    SMALL,
    WITH_PICTURES,
    check_pictures,
    edited,
    needs_matplotlib,
    needs_tqdm,
    of,
    run,
    run_cells,
    small,
)

import microgd
from microgd import nn, optim

pytestmark = needs_matplotlib
with_pictures = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[of(name), needs_tqdm] if name == "digits" else of(name))
        for name in WITH_PICTURES
    ],
)
numbered = pytest.mark.parametrize("name", NUMBERED)


def question_of(name):
    """The question that a program's docstring opens with."""
    docstring = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text()))
    return " ".join(docstring.split("\n\n")[0].split())


@numbered
def test_a_program_is_short_and_has_one_question(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 130
    assert question_of(name).count("?") >= 1


@numbered
def test_a_program_opens_with_a_question_and_runs_cell_by_cell(name):
    source = (EXAMPLES / f"{name}.py").read_text()
    assert question_of(name).endswith(("?", "?)")) or "? " in question_of(name)
    assert source.count("\n# %% ") >= 3


@numbered
def test_a_program_uses_public_names_only(name):
    tree = ast.parse((EXAMPLES / f"{name}.py").read_text())
    imported = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("microgd")
    ]
    assert {alias.name for node in imported for alias in node.names} <= set(microgd.__all__)
    assert {node.module for node in imported} == {"microgd"}
    assert not [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
    ]


@with_pictures
def test_each_picture_is_saved_and_small(name):
    _, printed, figures, made = small(name)
    said = set(
        re.findall(r"^(?:picture|film|page): \S*?([\w.]+)(?: \(.*\))?$", printed, re.MULTILINE)
    )
    assert set(figures) <= set(made) == said
    for path, content in made.items():
        if path.endswith(".png"):
            assert content.startswith(b"\x89PNG")
            assert len(content) < 150_000
    committed = {path.name for path in (EXAMPLES / "pictures").iterdir()}
    assert {path for path in made if not path.endswith(".html")} <= committed


@with_pictures
def test_each_picture_has_a_title_and_labelled_axes_and_nothing_is_cut_off(name):
    check_pictures(small(name)[2])


@pytest.mark.parametrize("name", ["slope", "two_weights", "words"])
def test_in_jupyter_the_cells_run_one_by_one(name, jupyter, tmp_path, capsys):
    run_cells(name)
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [f"{name}.png"]


@pytest.mark.parametrize("name", ["slope", "line", "two_weights", "words"])
def test_in_jupyter_each_figure_shows_itself(name, jupyter, capsys):
    run_cells(name)
    assert len(jupyter) == capsys.readouterr().out.count("picture: ") > 0
    assert all(figure._repr_png_().startswith(b"\x89PNG") for figure in jupyter)


def test_on_the_command_line_no_figure_is_shown(monkeypatch, jupyter, tmp_path, capsys):
    monkeypatch.delitem(sys.modules, "ipykernel")
    monkeypatch.setattr(sys, "argv", ["slope.py", "--out", str(tmp_path)])
    run_cells("slope")
    assert not jupyter


@pytest.mark.parametrize("name", ["slope.py", "/somewhere/examples/digits.py"])
def test_in_jupyter_the_arguments_of_percent_run_are_the_programs(name, jupyter, monkeypatch):
    import program

    assert program.arguments() == []
    monkeypatch.setattr(sys, "argv", [name, "--out", "here"])
    assert program.arguments() is None


@pytest.mark.parametrize(
    "arguments",
    [["--out", __file__], ["--seed", "-1"], ["--splits", "0"], ["--splits", "x"], ["--split", "3"]],
)
def test_an_option_that_will_not_do_is_one_clear_line(arguments):
    program = [sys.executable, EXAMPLES / "words.py", *arguments]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search(
        r"words.py: error: .*(--out: .* is a file|--se.*0 or more|--splits.*2 or more|--split 3)",
        done.stderr,
    )


def test_ctrl_c_ends_a_program_without_a_traceback(tmp_path):
    # A shell starts what runs in the background with Ctrl-C switched off, and so might these tests.
    code = "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code += "; sys.argv = ['x']; import program; program.options(program.parser('Why?'))"
    code += "; os.kill(os.getpid(), signal.SIGINT)"
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode != 0
    assert done.stderr == "\nstopped\n"


@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_a_program_that_nobody_reads_any_more_ends_without_a_traceback(unbuffered, tmp_path):
    command = [sys.executable, str(EXAMPLES / "slope.py"), "--out", str(tmp_path)]
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment)
    os.close(writing)
    assert done.stderr == b""


def test_a_folder_that_cannot_be_written_is_an_error_before_all_else(monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(SystemExit) as caught:
        run("slope")
    assert caught.value.code == 2
    assert "--out: nothing can be written in" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "slope.png").mkdir()
    command = [sys.executable, EXAMPLES / "slope.py", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "slope.png: " in done.stderr
    assert "Traceback" not in done.stderr


def section_of(name):
    """A program's section in the learners' path."""
    page = (EXAMPLES / "README.md").read_text()
    heading = rf"^## {NUMBERED.index(name) + 1}\. {re.escape(question_of(name))}\n"
    found = re.search(heading + r"(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section with the question of {name}.py"
    return found[1]


@numbered
def test_the_learners_path_has_its_question_and_its_place_in_the_table(name):
    page = (EXAMPLES / "README.md").read_text()
    row = f"| {NUMBERED.index(name) + 1} | [{name}.py]({name}.py): {question_of(name)} |"
    assert row in page
    assert section_of(name)


def test_the_pages_count_the_programs_rightly():
    assert f" in {len(NUMBERED)} short programs;" in (EXAMPLES.parent / "README.md").read_text()
    assert len(NUMBERED) == 22
    assert "Twenty-two programs" in (EXAMPLES / "README.md").read_text()


@with_pictures
def test_the_learners_path_shows_its_pictures(name):
    shown = set(re.findall(r"!\[[^]]+\]\(pictures/(.*?)\)", section_of(name)))
    _, _, figures, made = small(name)
    assert set(figures) <= shown <= set(made)
    page = (EXAMPLES / "README.md").read_text()
    assert f" {name} " in re.search(r"^for program in .*$", page, re.MULTILINE)[0]


def figures_in(text):
    """The numbers in a text that can only be results: 0.35, 1,792 and 20.3%, but not 784 or 10."""
    found = re.findall(r"[-−]?\d[\d,]*\.?\d*(?:e-?\d+)?%?", text)
    results = {each.strip(",.") for each in found if re.search(r"[.,]\d|%|e-", each.strip(",."))}
    return {each: float(re.sub("[,%]", "", each.replace("−", "-"))) for each in results}


def printed_numbers(text):
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.replace("−", "-"))
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def is_among(number, numbers):
    """Whether a number is among others, but for what another processor may compute."""
    return any(abs(abs(number) - abs(each)) <= 0.03 * abs(number) + 1e-12 for each in numbers)


# Numbers in the text that the program is given, or that follow from what it prints.
GIVEN = {
    "digits": {"0.9"},
    "learning_rate": {"0.1"},  # for x⁴, which the reader may try
    "line": {"13,002"},
    "one_weight": {"0.5"},
    "two_weights": {"13,002"},
}


@with_pictures
def test_the_numbers_in_the_learners_path_are_the_programs_own(name):
    text = re.sub(r"`[^`]*`|!\[[^]]*\]\([^)]*\)", "", section_of(name))
    results = figures_in(text)
    _, printed, _, _ = run(name) if name in SMALL else small(name)
    numbers = printed_numbers(printed)
    missing = {
        each
        for each, number in results.items()
        if each not in GIVEN.get(name, ()) and not is_among(number, numbers)
    }
    assert not missing


@needs_tqdm
@of("the story of the page")
def test_the_story_of_the_page_of_digits_is_what_the_engine_computes():
    its, _, _, _ = run("digits")
    x, y = its.digits.test
    model, digit = its.model, 8
    trained = model.state_dict()

    def after(rate):
        """What it says of the digit, and how many it reads, after a step on this digit."""
        model.load_state_dict(trained)
        model.zero_grad()
        nn.cross_entropy(model(x[digit : digit + 1]), y[digit : digit + 1]).backward()
        optim.SGD(model.parameters(), lr=rate).step()
        said = model(x).data.argmax(axis=1)
        return said[digit], np.sum(said == y)

    _, text = " ".join(section_of("digits").split()).split("Test digit 8 is a 5")
    told = re.search(r"read (\d+) of the test digits before, and reads (\d+) after", text)
    told_of_a_short_step = re.search(r"a tenth as large: it says 5, and still reads (\d+)", text)
    rates = (0, its.options.rate, its.options.rate / 10)
    found = [after(rate) for rate in rates]
    assert [said for said, _ in found] == [4, 5, 5]
    assert y[digit] == 5
    # Another processor may compute a little else, and the longer step is sensitive to that.
    counts = [int(count) for count in (*told.groups(), told_of_a_short_step[1])]
    np.testing.assert_allclose([count for _, count in found], counts, rtol=0.1)


def test_all_links_of_the_learners_path_lead_somewhere():
    links = re.findall(r"\]\((.*?)\)", (EXAMPLES / "README.md").read_text())
    assert len(links) > 20
    headings = re.findall(r"^#+ (.*)$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    for link in links:
        path, _, part = link.partition("#")
        assert (EXAMPLES / path).exists(), link
        assert not part or part in [heading.lower() for heading in headings], link


@pytest.mark.parametrize(
    "name",
    [
        "graph",
        *(name for name in WITH_PICTURES if name != "digits"),
        pytest.param("digits", marks=needs_tqdm),
    ],
)
def test_help_says_what_the_program_does(name):
    shown = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage:" in shown.stdout


# ── Exercises ────────────────────────────────────────────────────────────────────────────────────


def parts_of(page):
    """What a page says of each program, by the program's name."""
    text = (EXAMPLES / page).read_text()
    parts = re.split(r"^## \d+\. \[(\w+)\.py\]\(\w+\.py\)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def answers():
    """Each answer: the program, the text, and how to check it, a command or an edit."""
    found = []
    for name, part in parts_of("answers.md").items():
        for number, text in enumerate(re.split(r"^\d\. ", part, flags=re.MULTILINE)[1:], 1):
            found.append(
                pytest.param(name, text, id=f"{name}-{number}", marks=of(f"{name} {number}"))
            )
    return found


@numbered
def test_each_program_has_three_exercises_and_their_answers(name):
    for page in ("exercises.md", "answers.md"):
        assert list(parts_of(page)) == NUMBERED
        numbers = re.findall(r"^(\d)\. ", parts_of(page)[name], re.MULTILINE)
        assert numbers == ["1", "2", "3"]


@needs_tqdm
@pytest.mark.parametrize(("name", "text"), answers())
def test_an_answer_is_what_its_command_or_edit_prints(name, text):
    answer = re.sub(r"`[^`]*`", "", text.split("```")[0])  # what is in backticks was typed in
    command = re.search(rf"\.venv/bin/python examples/{name}\.py ?(.*)", text)
    edit = re.search(r"```diff\n(.*?)   ```", text, re.DOTALL)
    if "mpiexec" in text or not (command or edit):
        pytest.skip("it needs several processes, a file of one's own, or thought")
    if edit:
        lines = [line[3:] for line in edit[1].splitlines()]
        old = "\n".join(line[2:] for line in lines if line.startswith("- "))
        new = "\n".join(line[2:] for line in lines if line.startswith("+ "))
        if name in ("written_out", "written_network"):
            assert (EXAMPLES / f"{name}.py").read_text().count(old) == 1
            return
        printed, _ = edited(name, {old: new})
    else:
        program = [sys.executable, str(EXAMPLES / f"{name}.py"), *command[1].split()]
        with TemporaryDirectory() as folder:
            done = subprocess.run(
                [*program, "--out", folder], capture_output=True, text=True, timeout=300
            )
        printed = done.stdout + done.stderr
    numbers = printed_numbers(printed)
    results = figures_in(answer)
    missing = {each for each, number in results.items() if not is_among(number, numbers)}
    assert not missing, printed
