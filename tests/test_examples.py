"""What all programs in examples/ have in common."""

import ast
import os
import re
import subprocess
import sys

import pytest
from example_runs import (
    EXAMPLES,
    SEVEN,
    check_pictures,
    needs_matplotlib,
    needs_tqdm,
    of,
    run_cells,
    small,
)

import microgd

pytestmark = needs_matplotlib
seven = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[of(name), needs_tqdm] if name == "digits" else of(name))
        for name in SEVEN
    ],
)
with_lecture = pytest.mark.parametrize("name", [*SEVEN, "lecture"])


@with_lecture
def test_a_program_opens_with_a_question_and_runs_cell_by_cell(name):
    source = (EXAMPLES / f"{name}.py").read_text()
    assert (
        ast.get_docstring(ast.parse(source)).split("\n\n")[0].splitlines()[0].endswith(("?", ","))
    )
    assert "?" in ast.get_docstring(ast.parse(source)).split("\n\n")[0]
    assert source.count("\n# %% ") >= 4


@with_lecture
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


@seven
def test_each_picture_is_saved_and_small(name):
    _, printed, figures, made = small(name)
    assert (
        set(made)
        == set(figures)
        == set(re.findall(r"^picture: .*?([\w.]+)$", printed, re.MULTILINE))
    )
    assert all(
        picture.startswith(b"\x89PNG") and len(picture) < 150_000 for picture in made.values()
    )
    committed = {path.name for path in (EXAMPLES / "pictures").iterdir()}
    assert set(made) <= committed


@seven
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


@seven
def test_the_learners_path_has_its_question_and_its_pictures(name):
    page = (EXAMPLES / "README.md").read_text()
    question = " ".join(
        ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text())).split("\n\n")[0].split()
    )
    section = re.search(
        rf"^## \d\. {re.escape(question)}\n(.*?)^## ", page, re.MULTILINE | re.DOTALL
    )
    assert set(small(name)[2]) == set(re.findall(r"!\[[^]]+\]\(pictures/(.*?)\)", section[1]))
    assert f"[{name}.py]({name}.py)" in page
    assert f" {name} " in re.search(r"^for program in .*$", page, re.MULTILINE)[0]


def test_all_links_of_the_learners_path_lead_somewhere():
    links = re.findall(r"\]\((.*?)\)", (EXAMPLES / "README.md").read_text())
    assert len(links) > 20
    assert all((EXAMPLES / link).is_file() for link in links)


@pytest.mark.parametrize(
    "name",
    [
        "graph",
        *(name for name in SEVEN if name != "digits"),
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
