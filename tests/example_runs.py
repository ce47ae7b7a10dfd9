"""Run the programs in examples/ as a learner does, and look at what they print and draw."""

import io
import re
import runpy
import signal
import sys
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
needs_tqdm = pytest.mark.skipif(find_spec("tqdm") is None, reason="tqdm is not installed")
needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="Matplotlib is not installed"
)


def run(name, *arguments, text=None):
    """Run a program like `python examples/name.py`, in a new folder.

    Return its names, what it printed, its figures and its pictures. If `text` is given, run that
    instead of the program's own text.
    """
    before = sys.argv, sys.path[:], sys.excepthook
    sys.path.insert(0, str(EXAMPLES))
    printed = io.StringIO()
    with TemporaryDirectory() as folder, redirect_stdout(printed), np.errstate():
        import program

        path = EXAMPLES / f"{name}.py"
        if text is not None:
            path = Path(folder) / f"{name}.py"
            path.write_text(text)

        figures, save = {}, program.save

        def kept(figure, path):
            figures[path.name] = figure
            save(figure, path)

        program.save = kept
        sys.argv = [f"{name}.py", "--out", f"{folder}/new/pictures", *map(str, arguments)]
        try:
            names = {}
            with suppress(SystemExit) if "--train-only" in arguments else nullcontext():
                names = runpy.run_path(str(path), run_name="__main__")
            made = {
                path.name: path.read_bytes()
                for path in Path(folder).rglob("*.*")
                if path.suffix != ".py"
            }
        finally:
            program.save = save
            sys.argv, sys.path[:], sys.excepthook = before
    return SimpleNamespace(**names), printed.getvalue(), figures, made


@contextmanager
def at_most(seconds):
    """Raise TimeoutError if the block computes for longer, since a program may hang in a loop.

    The work of other processes does not count.
    """

    def stop(*_):
        raise TimeoutError(f"it computes for more than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def run_edited(name, edits, *arguments):
    """Run a program as a learner edited it: `edits` says which text to replace by which."""
    text = (EXAMPLES / f"{name}.py").read_text()
    for old, new in edits.items():
        assert text.count(old) == 1, f"{old} occurs {text.count(old)} times in {name}.py"
        text = text.replace(old, new)
    with at_most(240):
        return run(name, *arguments, text=text)


def edited(name, edits, *arguments):
    """What a program printed, as a learner edited it, and its figures."""
    _, printed, figures, _ = run_edited(name, edits, *arguments)
    return printed, figures


# In the order of the learner's path, which the table in examples/README.md lists.
NUMBERED = re.findall(
    r"^\| \d+ \| \[(\w+)\.py\]", (EXAMPLES / "README.md").read_text(), re.MULTILINE
)
# The others are run, and looked at, in test_written_out.py and test_example_parallel.py.
ELSEWHERE = ("written_out", "written_network", "parallel")
WITH_PICTURES = [name for name in NUMBERED if name not in ELSEWHERE]
SMALL = {
    "baskets": ["--examples", 600],
    "crescents": ["--steps", 100],
    "digits": ["--epochs", 5],
    "losses": ["--networks", 2, "--epochs", 2],
}
# Several tests look at the same run, so tests of a program share a worker: `of(name)`.
small = cache(lambda name: run(name, *SMALL.get(name, [])))


def of(name):
    """The mark that keeps tests of a program in one worker."""
    return pytest.mark.xdist_group(name)


def check_pictures(figures):
    """Check that each picture has a title and labelled axes, and that nothing is cut off."""
    for path, figure in figures.items():
        figure.canvas.draw()
        # Images have no axes.
        shown = [on for on in figure.axes if on.axison and len(on.get_yticks())]
        panels = [on for on in shown if on.get_label() != "<colorbar>"]
        assert figure.get_suptitle() or all(on.get_title() for on in panels), path
        assert all(on.get_ylabel() for on in shown), path
        # Of panels stacked on each other only the last one needs an x label.
        assert all(on.get_xlabel() for on in panels[-1:]), path
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(drawn.x0, drawn.y0) > -0.02, path
        assert drawn.x1 < width + 0.02, path
        assert drawn.y1 < height + 0.02, path
        titles = [on.title.get_window_extent() for on in figure.axes if on.get_title()]
        assert not any(
            one.overlaps(other) for i, one in enumerate(titles) for other in titles[:i]
        ), path


def run_cells(name):
    """Run the cells of a program one by one."""
    names = {"__name__": "__main__"}
    for n, cell in enumerate((EXAMPLES / f"{name}.py").read_text().split("# %% ")):
        exec("# " + cell if n else cell, names)


def example(name):
    """The program, imported as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        patch.setattr(sys, "excepthook", sys.excepthook)
        return SimpleNamespace(**runpy.run_path(str(EXAMPLES / f"{name}.py")))
