"""The looks of boxes, ellipses and arrows in Graphviz's language, and the layout program."""

import html
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import graphviz
from graphviz.backend import dot_command

from microgd.pictures.text import Rows

_LOOKS = tomllib.loads(Path(__file__).with_name("looks.toml").read_text(encoding="utf-8"))
_ONE_AT_A_TIME = RLock()
_PURE = "graphviz-pure"
GRAPHVIZ = "Graphviz (https://graphviz.org/download)"
NO_PROGRAM = (
    f"no program to lay out graphs was found: install {GRAPHVIZ} or, for SVG and PNG, "
    f"`pip install {_PURE}`"
)


def label(rows: Rows) -> str:
    """A label made of the lines that are not empty. No character in them works as markup."""
    # Graphviz reads a label for escapes once: \N would be the node's name, and \\ one backslash.
    lines = [_LOOKS["row"][kind].format(_escaped(text, readings=1)) for kind, text in rows if text]
    if len(lines) == 1:
        return f"<{lines[0]}>"
    return "<" + "".join(f'{line}<br align="left"/>' for line in lines) + ">"


def _escaped(text: str, readings: int) -> str:
    """The text in Graphviz's language, so that it still reads the same after this many readings.

    Each time that Graphviz reads a text for escapes, it turns two backslashes into one.
    """
    backslashes = "\\" * 2**readings
    # Some versions stumble over a ] that stands alone.
    return html.escape(text).replace("\\", backslashes).replace("]", "&#93;")


def picture(direction: str, caption: Rows = (), hurry: bool = False) -> "Picture":
    """An empty picture, laid out from left to right ("LR") or from top to bottom ("TB").

    Another direction is a `ValueError`. With `hurry` the edges are straight, whatever they cross,
    and the search for better places ends sooner.
    """
    if not (isinstance(direction, str) and direction in ("LR", "TB")):
        raise ValueError(f'expected the direction "LR" or "TB", but got {direction!r}')
    looks = {"rankdir": direction, **_LOOKS["picture"]}
    if hurry:
        looks |= _LOOKS["hurry"]
    lines = list(caption)
    if lines:
        looks |= {"label": label(lines), "labelloc": "b", "labeljust": "l"}
    return Picture(
        format="svg", graph_attr=looks, node_attr=_LOOKS["box"], edge_attr=_LOOKS["arrow"]
    )


class Picture(graphviz.Digraph):
    """A graph of boxes and ellipses.

    Rendering runs the system's `dot` or, if that is not installed, `graphviz-pure`.
    """

    def place(self, key: str, look: str, rows: Rows, hint: str | None = None) -> None:
        """Add a box or an ellipse with its lines of text. The hint shows below a mouse pointer."""
        # A hint is read for escapes twice: for ends of lines, and for the node's name.
        tooltip = hint and _escaped(hint, readings=2)
        looks = {"class": look, **_LOOKS["look"][look]}
        self.node(key, label(rows), id=key, tooltip=tooltip, **looks)

    def frame(self, number: int, title: str) -> "AbstractContextManager[Picture]":
        """A part of the picture with a frame around it, to be filled within this context."""
        looks = {"label": label([("name", title)]), **_LOOKS["frame"]}
        return self.subgraph(name=f"cluster_{number}", graph_attr=looks)

    def arrow(self, tail: str, head: str, rows: Rows, key: str) -> None:
        """Add an arrow from an operand to an operation, or from an operation to its result.

        The lines say what flows back along it.
        """
        # The space keeps the text off the arrow that it stands beside.
        spaced = [(kind, f"\N{NO-BREAK SPACE}{text}") for kind, text in rows]
        self.edge(tail, head, label(spaced) if spaced else None, id=key)

    def pipe(self, format: str | None = None, **options: Any) -> Any:
        """The picture in memory, as by `graphviz.Digraph.pipe`.

        `RuntimeError` if no program can write the format.
        """
        with _program() as program_options:
            return super().pipe(format, **{**program_options, **options})

    def render(self, filename: Any = None, **options: Any) -> str:
        """Write the picture to a file, as `graphviz.Digraph.render` does.

        `RuntimeError` if no program can write the format.
        """
        with _program() as program_options:
            return super().render(filename, **{**program_options, **options})

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What Jupyter shows: the picture or, without a layout program, how to install one."""
        try:
            return super()._repr_mimebundle_(*arguments, **options)
        except RuntimeError as error:
            return {"text/plain": str(error)}


@contextmanager
def _program() -> Iterator[dict[str, bool]]:
    """Within this context the graphviz package runs `graphviz-pure` if there is no `dot`.

    Yields options for the graphviz package. Errors of the program are a `RuntimeError`, and so is
    a missing program.
    """
    program = _find_program()
    if not program:
        raise RuntimeError(NO_PROGRAM)
    name = Path(program).stem
    with _ONE_AT_A_TIME:  # the graphviz package keeps the name of its program in a global variable
        previous = dot_command.DOT_BINARY
        dot_command.DOT_BINARY = Path(program)
        try:
            # graphviz-pure would warn of each letter whose width it does not know.
            yield {"quiet": name == _PURE}
        except subprocess.CalledProcessError as error:
            hint = f" ({GRAPHVIZ} writes other formats too)" if name == _PURE else ""
            message = f"{name} could not draw the graph: {_message(error)}{hint}"
            raise RuntimeError(message) from None
        finally:
            dot_command.DOT_BINARY = previous


def _find_program() -> str | None:
    """The path of the layout program: `dot` or, if that is not installed, `graphviz-pure`."""
    # The programs of an environment that is not activated are not on the search path.
    scripts = sysconfig.get_path("scripts")
    return shutil.which("dot") or shutil.which(_PURE) or shutil.which(_PURE, path=scripts)


def _message(error: subprocess.CalledProcessError) -> str:
    """What the program wrote to its standard error."""
    written = error.stderr
    if isinstance(written, bytes):
        return written.decode(errors="replace").strip()
    return str(written or "").strip()
