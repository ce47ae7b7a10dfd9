"""Pictures in Graphviz's language, and the program that lays them out."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import wrap
from threading import RLock
from typing import Any

import graphviz
from graphviz.backend import dot_command

from microgd.pictures import svg
from microgd.pictures.markup import COLOURS, styled
from microgd.storage import write_whole

_FONT = "Arial"  # dot takes Helvetica for wider than it is
_LAYOUT = {"nodesep": "0.15", "pad": "0.05", "fontname": _FONT}
# Added for large graphs: otherwise their layout would take minutes.
_HURRY = {"splines": "line", "nslimit": "0.5", "mclimit": "0.1"}
_BOX = {"shape": "plain", "fontname": _FONT}
_ARROW = {"color": COLOURS["arrow"], "arrowsize": "0.6"}
_FRAME = {
    "color": COLOURS["layer_line"],
    "bgcolor": COLOURS["frame"],
    "style": "rounded",
    "labelloc": "t",
    "labeljust": "l",
    "margin": "4",
}
_CAPTION = 72  # characters in a line
_SUFFIXES = (".svg", ".png", ".pdf")
_OTHER_SUFFIXES = (".jpg", ".jpeg", ".gif", ".webp", ".eps", ".bmp", ".tif", ".tiff", ".html")
_DPI = "144"
_ONE_AT_A_TIME = RLock()
_PURE = "graphviz-pure"
GRAPHVIZ = "Graphviz (https://graphviz.org/download)"
NO_PROGRAM = (
    f"no program to lay out graphs was found: install {GRAPHVIZ} or, for SVG and PNG, "
    f"`pip install {_PURE}`"
)


def picture(
    direction: str, title: str = "", caption: Sequence[str] = (), hurry: bool = False
) -> "Picture":
    """An empty picture, laid out from left to right ("LR") or from top to bottom ("TB").

    Another direction is a `ValueError`. With `hurry` the edges are straight, whatever they cross,
    and the search for better places ends sooner.
    """
    if not (isinstance(direction, str) and direction in ("LR", "TB")):
        raise ValueError(f'expected the direction "LR" or "TB", but got {direction!r}')
    gap = "0.2" if direction == "LR" else "0.25"  # inches between columns, or between rows
    looks = {"rankdir": direction, "ranksep": gap, "bgcolor": COLOURS["page"], **_LAYOUT}
    if hurry:
        looks |= _HURRY
    lines = [f"<b>{styled('title', title)}</b>"] if title else []
    for paragraph in caption:
        lines += [styled("caption", line) for line in wrap(paragraph, _CAPTION)]
    if lines:
        left = '<br align="left"/>'
        looks |= {"label": f"<{left.join(lines)}{left}>", "labelloc": "t", "labeljust": "l"}
    made = Picture(format="svg", graph_attr=looks, node_attr=_BOX, edge_attr=_ARROW)
    made.title = title
    return made


class Picture(graphviz.Digraph):
    """A graph of boxes, which shows itself in Jupyter.

    Rendering runs the system's `dot` or, if that is not installed, `graphviz-pure`.
    """

    title = ""
    description = ""

    def place(self, key: str, look: str, label: str) -> None:
        """Add a box. Its label is one of `markup`."""
        self.node(key, label, id=key, **{"class": look})

    def frame(self, number: int, title: str) -> "AbstractContextManager[Picture]":
        """A part of the picture with a frame around it, to be filled within this context."""
        looks = {"label": f"<<b>{styled('title', title)}</b>>", **_FRAME}
        return self.subgraph(name=f"cluster_{number}", graph_attr=looks)

    def arrow(self, tail: str, head: str, socket: int, end: str, **looks: str) -> None:
        """Add an arrow from a box to a socket of another, or to the box, if there is no `end`."""
        key = f"{tail}-{head}-{socket}"
        self.edge(tail, f"{head}:{end}" if end else head, id=key, **looks)

    def pipe(self, format: str | None = None, **options: Any) -> Any:
        """The picture in memory, as by `graphviz.Digraph.pipe`.

        `RuntimeError` if no program can write the format.
        """
        with _program() as program_options, self._resolution(format or self.format):
            drawn = super().pipe(format, **{**program_options, **options})
        if (format or self.format) != "svg":
            return drawn
        is_text = isinstance(drawn, str)
        finished = svg.finished(drawn if is_text else drawn.decode(), self._title, self.description)
        return finished if is_text else finished.encode()

    def drawn(self) -> str:
        """The SVG as the layout program makes it."""
        with _program() as program_options:
            drawn: str = super().pipe("svg", encoding="utf-8", **program_options)
        return drawn

    def render(self, filename: Any = None, *arguments: Any, **options: Any) -> str:
        """Write the picture to a file, and return its path.

        A name that ends in .svg, .png or .pdf is that of the picture. Otherwise it is as by
        `graphviz.Digraph.render`: the graph in Graphviz's language is written to that file, and
        the picture to another, which has the format as its suffix.
        Options together with such an ending are a `TypeError`, other endings of pictures a
        `ValueError`.
        `RuntimeError` if no program can write the format, `OSError` if the file can't be written.
        """
        suffix = Path(filename).suffix if isinstance(filename, str | os.PathLike) else ""
        if suffix.lower() in _SUFFIXES:
            folder = options.pop("directory", None) or ""
            options.pop("cleanup", None)  # nothing else is written
            if arguments or options:
                raise TypeError(
                    f"expected {os.fspath(filename)!r} without options, since its ending says all: "
                    "for options of graphviz.Digraph.render, give a name without an ending"
                )
            drawn = self.pipe(suffix[1:].lower())
            path = os.path.join(folder, filename)
            write_whole(path, lambda file: file.write(drawn))
            return path
        if suffix.lower() in _OTHER_SUFFIXES:
            raise ValueError(
                f"expected a name that ends in .svg, .png or .pdf, but got {filename!r}"
            )
        format = options.get("format") or self.format
        with _program() as program_options, self._resolution(format):
            path = super().render(filename, *arguments, **{**program_options, **options})
        if path.endswith(".svg"):
            file = Path(path)
            drawn = file.read_text(encoding="utf-8")
            finished = svg.finished(drawn, self._title, self.description)
            file.write_text(finished, encoding="utf-8")
        return path

    @contextmanager
    def _resolution(self, format: str) -> Iterator[None]:
        """Within this context pixels are as fine as screens show them."""
        is_added = format == "png" and "dpi" not in self.graph_attr
        if is_added:
            self.graph_attr["dpi"] = _DPI
        try:
            yield
        finally:
            if is_added:
                del self.graph_attr["dpi"]

    @property
    def _title(self) -> str:
        return self.title or "A computation graph"

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What Jupyter shows: the picture or, without a layout program, how to install one.

        It is also there as HTML, since JupyterLab scales no SVG by itself.
        """
        try:
            drawn = self.drawn()
        except RuntimeError as error:
            return {"text/plain": str(error)}
        inline = svg.finished(drawn, self._title, self.description, in_notebook=True)
        return {
            "text/html": svg.in_a_box(inline),
            "image/svg+xml": svg.finished(drawn, self._title, self.description),
            "text/plain": self.description,
        }


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
