"""The READMEs: their Python runs and prints what they say, their links lead somewhere, their names exist."""

import ast
import importlib
import math
import re
from pathlib import Path

import numpy as np
import numpy_table
import pytest

from microgd import Value, nn, no_grad, optim
from microgd.registry import OPERATIONS

ROOT = Path(__file__).parents[1]
READMES = [
    "README.md",
    "microgd/README.md",
    "microgd/numpy_functions/README.md",
    "microgd/programs/README.md",
    "examples/README.md",
    "tests/README.md",
]
PAGES = [
    *READMES,
    "tests/accuracy.md",
    "tests/survivors.md",
    "examples/data/README.md",
    "microgd/sample/README.md",
]


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def section(page, heading):
    """The lines under a heading, up to the next heading of the same level."""
    return re.split(r"^## ", text_of(page).split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]


def rows(text):
    """The cells of the tables in the text, row by row, without the rows of the head."""
    found = [re.split(r" \| ", line.strip("| ")) for line in text.splitlines() if line[:1] == "|"]
    heads = [i for i, cells in enumerate(found) if cells[0] == "---"]
    return [cells for i, cells in enumerate(found) if i not in heads and i + 1 not in heads]


# ── Code ─────────────────────────────────────────────────────────────────────────────────────────
BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in READMES
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)
    )
]


def test_the_readmes_have_blocks_to_run():
    assert len(BLOCKS) >= 10
    assert len([block for block in BLOCKS if block.id.startswith("README.md")]) >= 6


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs_and_prints_what_it_says(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    expected = re.findall(r"^ *print\(.*\) +# (.*)$", block, re.MULTILINE)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(expected)
    for line, pattern in zip(printed, expected, strict=True):
        escaped = re.escape(pattern.rstrip()).replace(r"\.\.\.", ".*")
        assert re.fullmatch(escaped, line.rstrip()), (line, pattern)


def test_each_of_the_two_commands_is_one_line():
    """CI runs the first line that ends like this."""
    lines = text_of("README.md").splitlines()
    for end in ("examples/digits.py", "-m pytest"):
        first = next(line for line in lines if line.endswith(end))
        assert first.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e ")


# ── Length and links ─────────────────────────────────────────────────────────────────────────────
def test_the_front_page_is_short():
    assert len(text_of("README.md").splitlines()) <= 200


def anchors(page):
    """The names that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(text_of(page)), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_images_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(page))):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_all_readmes_can_be_reached_from_the_front_page():
    front = text_of("README.md")
    reached = re.findall(r"\]\(([^)#]+)", front)  # the anchor is of no interest here
    assert set(READMES[1:]) <= set(reached)


@pytest.mark.parametrize("page", PAGES)
def test_the_rows_of_a_table_have_as_many_cells_as_its_head(page):
    text = without_code(text_of(page))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table


# ── Names ────────────────────────────────────────────────────────────────────────────────────────
def test_every_promise_names_tests_that_there_are():
    promises = re.split(
        r"^- ", section("tests/README.md", "What microgd promises"), flags=re.MULTILINE
    )
    assert len(promises[1:]) >= 19
    sources = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")
    )
    for promise in promises[1:]:
        names = re.findall(r"`(test_\w+)`", promise)
        assert names, promise
        assert [name for name in names if f"def {name}(" not in sources] == []


def test_what_is_said_to_be_there_is_there():
    listed = {}
    for place, names in rows(section("microgd/README.md", "What is there")):
        module = re.match(r"`(\w+)`", place)[1]
        listed.setdefault(module, []).extend(re.findall(r"`(\w+)`", names))
    for module, names in listed.items():
        path = "microgd" if module == "microgd" else f"microgd.{module}"
        home = importlib.import_module(path)
        assert [name for name in names if not hasattr(home, name)] == []
    public = {
        name
        for name, operation in OPERATIONS.items()
        if operation.module == "microgd.operations" and not name.startswith("_")
    }
    assert public <= set(listed["operations"])


def files_listed(readme, before=""):
    """The files, and the folders of modules, that a README's table of files lists, in order."""
    lines = text_of(readme).split(before)[1] if before else text_of(readme)
    named = re.findall(r"^\| \[`(\w+(?:\.py|/))`\]", lines, re.MULTILINE)
    return list(dict.fromkeys(named))


def files_in_order():
    """All files of the engine, each as its path, in the order of the READMEs' tables."""
    for name in files_listed("microgd/README.md", before="\nAll files"):
        if name.endswith("/"):
            for inner in files_listed(f"microgd/{name}README.md"):
                yield f"{name}{inner}"
            yield f"{name}__init__.py"
        else:
            yield name


def test_the_list_of_files_is_complete():
    engine = ROOT / "microgd"
    folders = (engine, engine / "numpy_functions", engine / "programs")
    paths = [path for folder in folders for path in folder.glob("*.py")]
    modules = {path.relative_to(engine).as_posix() for path in paths} - {"__init__.py"}
    assert set(files_in_order()) == modules


def test_a_file_imports_only_from_files_above_it():
    above = set()
    for name in files_in_order():
        for node in ast.parse((ROOT / "microgd" / name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module == "microgd":
                imported = {f"microgd.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module.startswith("microgd."):
                imported = {node.module}
            else:
                imported = set()
            assert imported <= above, (name, imported - above)
        above.add(f"microgd.{name.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}")


def test_the_table_of_numpys_functions_is_what_is_registered():
    expected = numpy_table.text_with_table("## All of them\n").splitlines()
    listed = text_of("microgd/numpy_functions/README.md").splitlines()
    rows_listed = [line for line in listed if line.startswith("| `np.")]
    missing_in_numpy_2_0 = [] if hasattr(np, "astype") else ["np.astype"]
    expected_rows = [line for line in expected if line.startswith("| `np.")]
    assert [
        r for r in rows_listed if not any(n in r for n in missing_in_numpy_2_0)
    ] == expected_rows
    assert len(expected_rows) > 100


# ── What the front page tells newcomers from micrograd and PyTorch ───────────────────────────────
def test_dtypes_are_as_newcomers_are_told():
    assert type(Value(2).data) is float
    assert Value([1, 2]).dtype == np.float64
    single = Value(np.ones(2, np.float32))
    assert single.dtype == np.float32
    assert nn.Linear(2, 3, rng=np.random.default_rng(0)).weight.dtype == np.float32
    for narrow in (2, 2.0, np.float64(2.0), Value(2.0), np.arange(2), single):
        assert (single * narrow).dtype == np.float32
    assert (single * np.ones(2)).dtype == np.float64


def test_axes_are_as_newcomers_are_told():
    x = Value(np.ones((2, 3, 4)))
    assert x.transpose(1, 0, 2).shape == (3, 2, 4)
    with pytest.raises(ValueError, match="axes"):
        x.transpose(0, 1)
    assert type(x.max(axis=1)) is Value
    with pytest.raises(TypeError, match="dim"):
        x.sum(dim=1)


def test_in_place_operators_are_as_newcomers_are_told():
    p = Value([1.0, 2.0])
    (p * p).sum().backward()
    with pytest.raises(TypeError, match=r"write p\.data -= "):
        p -= 0.1 * p.grad
    with no_grad(), pytest.raises(TypeError, match=r"write p\.data -= "):
        p -= 0.1 * p.grad
    p.data -= 0.1 * p.grad
    assert p.data.tolist() == [0.8, 1.6]

    number = other_name = Value(3.0)
    (number * number).backward()
    with no_grad(), pytest.raises(TypeError, match=r"write p\.data -= "):
        number -= 0.1 * number.grad
    number -= 0.1 * number.grad
    assert other_name.item() == 3.0
    assert number is not other_name

    x = old = Value(1.0)
    x += Value(2.0)
    assert (x.item(), old.item()) == (3.0, 1.0)


def test_a_value_is_no_number_as_newcomers_are_told():
    v = Value(2.0)
    for function in (float, math.sin, np.asarray):
        with pytest.raises(TypeError, match=r"np\.sin|value\.data"):
            function(v)
    assert (v.item(), v.data, np.sin(v).item()) == (2.0, 2.0, math.sin(2.0))
    assert v == 2.0
    assert v == Value(2.0)
    assert v in [Value(2.0)]
    assert v not in {Value(2.0)}
    assert not hasattr(v, "requires_grad")


def test_grads_are_as_newcomers_are_told():
    layer = nn.Linear(2, 1, rng=np.random.default_rng(0))
    assert layer.weight.grad is None
    layer(np.ones((1, 2))).sum().backward()
    assert layer.weight.grad is not None
    optim.SGD(layer.parameters(), lr=0.1).zero_grad()
    assert layer.weight.grad is None

    a = Value(2.0)
    b = a * 3
    c = b * b
    c.backward()
    assert (a.grad, b.grad, c.grad) == (36.0, 12.0, 1.0)
    c.backward()
    assert (a.grad, b.grad, c.grad) == (72.0, 12.0, 1.0)
