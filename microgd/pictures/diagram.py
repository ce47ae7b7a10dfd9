"""What boxes, ellipses and arrows look like in Graphviz's language, and the program that lays them out."""

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
GRAPHVIZ = "Graphviz (https://graphviz.org/download)"
NO_PROGRAM = f"no program to lay out graphs was found: install {GRAPHVIZ} or, for SVG and PNG, `pip install graphviz-pure`"


def label(rows: Rows) -> str:
    """The lines that are not empty as a label in which no character is markup."""
    # Graphviz reads the text for escapes once: \N would be the node's name, \\ is one backslash.
    lines = [_LOOKS["row"][kind].format(_plain(text, readings=1)) for kind, text in rows if text]
    if len(lines) == 1:
        return f"<{lines[0]}>"
    return "<" + "".join(f'{line}<br align="left"/>' for line in lines) + ">"


def _plain(text: str, readings: int) -> str:
    """The text in Graphviz's language.

    Each time that Graphviz reads it for escapes, of two backslashes one is left.
    """
    backslashes = "\\" * 2**readings
    # Some versions stumble over a ] that stands alone.
    return html.escape(text).replace("\\", backslashes).replace("]", "&#93;")


def picture(direction: str, caption: Rows = (), hurry: bool = False) -> "Picture":
    """An empty picture, to be laid out from left to right ("LR") or from top to bottom ("TB"); else `ValueError`.

    In a hurry edges are straight, whatever they cross, and the search for better places ends sooner.
    """
    if not (isinstance(direction, str) and direction in ("LR", "TB")):
        raise ValueError(f'expected the direction "LR" or "TB", but got {direction!r}')
    looks = {"rankdir": direction, **_LOOKS["picture"], **(_LOOKS["hurry"] if hurry else {})}
    if rows := list(caption):
        looks |= {"label": label(rows), "labelloc": "b", "labeljust": "l"}
    return Picture(
        format="svg", graph_attr=looks, node_attr=_LOOKS["box"], edge_attr=_LOOKS["arrow"]
    )


class Picture(graphviz.Digraph):
    """A graph of boxes and ellipses. Rendering takes the system's `dot` or, where there is none, `graphviz-pure`."""

    def place(self, key: str, look: str, rows: Rows, hint: str | None = None) -> None:
        """A box or an ellipse, with what there is to say of it. The hint is for who points at it."""
        # A hint is read for escapes twice: for ends of lines, and for the node's name.
        hint = hint and _plain(hint, readings=2)
        self.node(key, label(rows), id=key, tooltip=hint, **{"class": look}, **_LOOKS["look"][look])

    def frame(self, number: int, title: str) -> "AbstractContextManager[Picture]":
        """Within this context, the part of the picture that has a frame around it."""
        return self.subgraph(
            name=f"cluster_{number}",
            graph_attr={"label": label([("name", title)]), **_LOOKS["frame"]},
        )

    def arrow(self, tail: str, head: str, rows: Rows, key: str) -> None:
        """From an operand to an operation, with what flows back along it; or from that to its result."""
        rows = [
            (kind, f"\N{NO-BREAK SPACE}{text}") for kind, text in rows
        ]  # off the line that it stands beside
        self.edge(tail, head, label(rows) if rows else None, id=key)

    def pipe(self, format: str | None = None, **options: Any) -> Any:
        """As `graphviz.Digraph.pipe`: the picture in memory. `RuntimeError` where no program can write the format."""
        with _program() as quiet:
            return super().pipe(format, **{**quiet, **options})

    def render(self, filename: Any = None, **options: Any) -> str:
        """As `graphviz.Digraph.render`: the picture in a file. `RuntimeError` where no program can write the format."""
        with _program() as quiet:
            return super().render(filename, **{**quiet, **options})

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What Jupyter shows: the picture or, where there is no program to lay it out, how to get one."""
        try:
            return super()._repr_mimebundle_(*arguments, **options)
        except RuntimeError as error:
            return {"text/plain": str(error)}


@contextmanager
def _program() -> Iterator[dict[str, bool]]:
    """While this lasts, the graphviz package runs `graphviz-pure` in place of a `dot` that is not there.

    Gives the options for that. Errors of the program, and there being none, are a `RuntimeError`.
    """
    pure = "graphviz-pure"  # in an environment that is not activated, its programs are not on the search path
    program = (
        shutil.which("dot")
        or shutil.which(pure)
        or shutil.which(pure, path=sysconfig.get_path("scripts"))
    )
    if not program:
        raise RuntimeError(NO_PROGRAM)
    name = Path(program).stem
    with _ONE_AT_A_TIME:
        before = dot_command.DOT_BINARY
        dot_command.DOT_BINARY = Path(program)
        try:
            yield {"quiet": name == pure}  # it warns of letters whose width it does not know
        except subprocess.CalledProcessError as error:
            said = (
                error.stderr.decode(errors="replace")
                if isinstance(error.stderr, bytes)
                else str(error.stderr or "")
            )
            hint = f" ({GRAPHVIZ} writes other formats too)" if name == pure else ""
            raise RuntimeError(f"{name} could not draw the graph: {said.strip()}{hint}") from None
        finally:
            dot_command.DOT_BINARY = before
