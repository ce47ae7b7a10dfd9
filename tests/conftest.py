"""Fixtures for several test files, the option `--sweep`, and a summary of the tests' counts."""

import gc
import sys
from collections import Counter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from chromium import BROWSER, QUIET
from example_runs import EXAMPLES

from microgd.registry import NUMPY, OPERATIONS


def pytest_addoption(parser):
    parser.addoption(
        "--sweep",
        action="store_true",
        help="try as many graphs, kills and inputs as tests/README.md reports, not a few",
    )


@pytest.fixture
def size(request):
    """How much of something to try: `size(few, many)` is `few`, or `many` with `--sweep`."""
    return lambda few, many: many if request.config.getoption("sweep") else few


def pytest_terminal_summary(terminalreporter):
    """Print what the tests counted with `record_property`: totals by name, over all workers."""
    counts = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            # The reports on setup and teardown repeat the same properties.
            if getattr(report, "when", None) == "call":
                for name, n in report.user_properties:
                    counts[name] += n
    if counts:
        terminalreporter.section("counts")
        for name, n in sorted(counts.items()):
            terminalreporter.write_line(f"{n:>9,} {name}")


@pytest.fixture
def registry():
    """The registry of operations. A test may add to it, also under names of NumPy functions."""
    known, numpys = dict(OPERATIONS), dict(NUMPY)
    yield OPERATIONS
    OPERATIONS.clear()
    OPERATIONS.update(known)
    NUMPY.clear()
    NUMPY.update(numpys)


@pytest.fixture
def no_collector():
    """Python without its garbage collector, so that only reference counting frees memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def jupyter(tmp_path, monkeypatch):
    """Pretend to be a Jupyter kernel, in a new folder: a list of what is shown below the cells."""
    shown = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    # These arguments are the kernel's, not options of the program.
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    display = ModuleType("IPython.display")
    display.display = shown.append
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    with np.errstate():
        yield shown


@pytest.fixture(scope="module")
def browser():
    """A Chromium that runs until the file's last test."""
    from playwright.sync_api import sync_playwright

    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=BROWSER, args=QUIET) as running,
    ):
        yield running
