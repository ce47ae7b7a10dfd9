"""Fixtures that several files of tests use; the option `--sweep`; and the figures that tests give, summed up at the end."""

import gc
from collections import Counter

import pytest

from microgd.backprop import NUMPY, OPERATIONS


def pytest_addoption(parser):
    parser.addoption(
        "--sweep",
        action="store_true",
        help="as many graphs, kills and inputs as the README reports, not a few",
    )


@pytest.fixture
def size(request):
    """How much of something to try: `size(few, many)`, many with `--sweep`."""
    return lambda few, many: many if request.config.getoption("sweep") else few


def pytest_terminal_summary(terminalreporter):
    """Print what tests have counted with `record_property`, added up by name, of all workers."""
    counts = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if (
                getattr(report, "when", None) == "call"
            ):  # and not what went before and came after, which say the same
                for name, n in report.user_properties:
                    counts[name] += n
    if counts:
        terminalreporter.section("counts")
        for name, n in sorted(counts.items()):
            terminalreporter.write_line(f"{n:>9,} {name}")


@pytest.fixture
def registry():
    """The registry of operations, to which a test may add, also under names of NumPy's functions."""
    known, numpys = dict(OPERATIONS), dict(NUMPY)
    yield OPERATIONS
    OPERATIONS.clear()
    OPERATIONS.update(known)
    NUMPY.clear()
    NUMPY.update(numpys)


@pytest.fixture
def no_collector():
    """Python without its garbage collector: what is freed is freed by counting references."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
