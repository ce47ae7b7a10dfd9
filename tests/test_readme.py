"""Every block of Python in the README runs, and prints what the comments beside its prints say."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


def test_the_readme_has_blocks_to_run():
    assert len(BLOCKS) >= 6


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_runs_and_prints_what_it_says(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    expected = re.findall(r"^ *print\(.*\) +# (.*)$", block, re.MULTILINE)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(expected)
    for line, pattern in zip(printed, expected, strict=True):
        assert re.fullmatch(re.escape(pattern.rstrip()).replace(r"\.\.\.", ".*"), line.rstrip()), (
            line,
            pattern,
        )


def test_every_promise_names_tests_that_there_are():
    text = README.read_text(encoding="utf-8")
    section = text[text.index("## What microgd promises") : text.index("## How to read the source")]
    promised = [
        re.findall(r"`(test_\w+)`", line) for line in section.splitlines() if line.startswith("| ")
    ][2:]
    sources = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")
    )
    assert all(promised)
    assert [name for names in promised for name in names if f"def {name}(" not in sources] == []
