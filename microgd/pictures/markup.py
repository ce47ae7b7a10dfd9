"""The boxes of a picture in Graphviz's language, which has tables of HTML."""

import html
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from microgd.pictures.grids import SHADES, Cell, Grid
from microgd.pictures.words import Content, Row

LOOKS: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("looks.toml").read_text(encoding="utf-8")
)
COLOURS: dict[str, str] = {name: light for name, (light, _) in LOOKS["colours"].items()}
_INSIDE = 'border="0" cellborder="0" cellspacing="0" cellpadding="2"'
_SIDE_BY_SIDE = 3  # columns up to which data and gradient stand side by side
_PIXEL = 4  # points
_SPACE = "\N{NO-BREAK SPACE}"


def escaped(text: str) -> str:
    """The text in Graphviz's language, so that it still reads the same.

    Graphviz reads a label for escapes, such as \\N for a node's name, and turns two backslashes
    into one.
    """
    # Some versions stumble over a ] that stands alone.
    return html.escape(text).replace("\\", "\\" * 2).replace("]", "&#93;")


def label(content: Content, look: str, direction: str, parts: "Parts", strong: bool) -> str:
    """The label of a box: its sockets, where edges come in, and what is written in it."""
    looks = LOOKS["look"][look]
    background = COLOURS[looks["background"]]
    inner = _table(_INSIDE, _contents(content, parts))
    attributes = {
        "border": looks["width"] + 2 * strong,
        "cellborder": 0,
        "cellspacing": 0,
        "cellpadding": 0 if content.sockets else 1,
        "color": COLOURS["path" if strong else looks["line"]],
        "bgcolor": background,
    }
    if looks["style"]:
        attributes["style"] = looks["style"]
    if not content.sockets:
        rows = [_row(_cell(inner))]
    elif direction == "TB":
        rows = [_row(_sockets(content, "B", parts)), _row(_cell(inner, bgcolor=background))]
    else:
        rows = [_row(_sockets(content, "R", parts), _cell(inner, bgcolor=background))]
    return f"<{_table(_written(attributes), rows)}>"


class Parts:
    """The parts of a box that a film lights up: each is a link, or Graphviz would give it no id."""

    def __init__(self, key: str = "", links: Mapping[str, str] | None = None) -> None:
        self._key = key
        self._links = links or {}

    def attributes(self, part: str) -> dict[str, str]:
        """The attributes of a cell."""
        name = f"{self._key}-{part}"
        link = self._links.get(name)
        return {} if link is None else {"id": name, "href": link, "title": link.lstrip("#")}


def _sockets(content: Content, side: str, parts: Parts) -> str:
    """A strip with a cell for each operand, where its edge ends."""
    kind = "row_grad" if content.rows else "socket"
    cells = []
    for i, text in enumerate(content.sockets):
        shown = styled(kind, text or _SPACE)
        # A line keeps a cell apart from the one before it.
        before = {"border": "1", "sides": "L" if side == "B" else "T", "color": COLOURS["line"]}
        line = before if i else {}
        cells.append(_cell(shown, port=f"p{i}", **line, **parts.attributes(f"s{i}")))
    rows = [_row(*cells)] if side == "B" else [_row(cell) for cell in cells]
    strip = 'border="0" cellborder="0" cellspacing="0" cellpadding="3"'
    return _cell(
        _table(strip, rows),
        border="1",
        sides=side,
        color=COLOURS["line"],
        bgcolor=COLOURS["socket"],
    )


def _contents(content: Content, parts: Parts) -> list[str]:
    """The rows of what is written in a box."""
    rows = []
    if content.title:
        title = f"<b>{styled('title', content.title)}</b>"
        rows.append(_row(_cell(title, cellpadding="4")))
    if content.under:
        rows.append(_row(_cell(styled("note", content.under))))
    if content.delta:
        rows.append(_row(_cell(styled("row_grad", content.delta), bgcolor=COLOURS["socket"])))
    if content.rows:
        rows.append(_row(_cell(_parameters(content.rows, parts))))
    if content.derivatives is not None:
        grid = content.derivatives
        rows.append(_row(_cell(_grid(grid, grid.head, "grad_head"))))
    if content.data is not None:
        rows += _grids(content.data, content.grad, parts)
    for kind, text in content.lines:
        rows.append(_row(_cell(styled(kind, text), **parts.attributes(kind))))
    return rows or [_row(_cell(_SPACE))]


def _grids(data: Grid, grad: Grid | None, parts: Parts) -> list[str]:
    """The numbers and the gradient of an array, side by side if they are narrow."""
    first = _cell(_grid(data, data.head, "head"), **parts.attributes("data"))
    if grad is None:
        return [_row(first)]
    # The shape is that of the data.
    head = f"grad, {grad.scale}" if grad.scale else "grad"
    second = _cell(_grid(grad, head, "grad_head"), **parts.attributes("grad"))
    is_narrow = max(map(len, data.rows), default=0) <= _SIDE_BY_SIDE and not data.is_image
    if not is_narrow:
        return [_row(first), _row(second)]
    return [_row(_cell(_table('border="0" cellborder="0" cellspacing="2"', [_row(first, second)])))]


def _grid(grid: Grid, head: str, kind: str) -> str:
    rows = [_row(_cell(styled(kind, head)))]
    if grid.is_image:
        pixels = [_row(*map(_pixel, row)) for row in grid.rows]
        rows.append(_row(_cell(_table(_fixed(grid), pixels))))
    elif grid.rows:
        cells = [_row(*map(_number, row)) for row in grid.rows]
        rows.append(_row(_cell(_table('border="0" cellspacing="1" cellpadding="2"', cells))))
    if grid.foot:
        rows.append(_row(_cell(styled("head", grid.foot))))
    return _table('border="0" cellborder="0" cellspacing="0" cellpadding="1"', rows)


def _fixed(grid: Grid) -> str:
    """The attributes of an image, which keeps its size in a wider box."""
    size = {
        "border": 0,
        "cellborder": 0,
        "cellspacing": 0,
        "cellpadding": 0,
        "fixedsize": "true",
        "width": _PIXEL * len(grid.rows[0]),
        "height": _PIXEL * len(grid.rows),
    }
    return _written(size)


def _number(cell: Cell) -> str:
    return _cell(styled("cell", cell.text), align="right", bgcolor=_shade(cell), border="0")


def _pixel(cell: Cell) -> str:
    size = str(_PIXEL)
    return _cell("", width=size, height=size, fixedsize="true", bgcolor=_shade(cell), border="0")


def _shade(cell: Cell) -> str:
    shade: str = LOOKS["shades"]["light"][cell.shade + SHADES]
    return shade


def _parameters(rows: Sequence[Row], parts: Parts) -> str:
    """A table of parameters: what flows back, name, what it holds, and gradient."""
    lines = []
    has_backs = any(row.back for row in rows)
    if len(rows) > 1:
        lines.append(_heads(rows))
    for i, row in enumerate(rows):
        if row.is_result:
            lines.append(_result(row))
            continue
        cells = []
        if has_backs:
            link = parts.attributes(f"r{i}") if row.back else {}
            shaded = {"bgcolor": COLOURS["socket"]} if row.back else {}
            back = styled("row_grad", row.back or _SPACE)
            cells.append(_cell(back, align="left", **shaded, **link))
        leaf = COLOURS["leaf"]
        cells.append(_cell(styled("row", row.name or _SPACE), align="left", bgcolor=leaf))
        cells.append(_cell(styled("row", row.data or _SPACE), align="right", bgcolor=leaf))
        link = parts.attributes(f"q{i}")
        grad = styled("row_grad", row.grad or _SPACE)
        cells.append(_cell(grad, align="right", bgcolor=leaf, **link))
        lines.append(_row(*cells))
    return _table('border="0" cellborder="0" cellspacing="0" cellpadding="2"', lines)


def _heads(rows: Sequence[Row]) -> str:
    """The heads of the columns."""
    parameters = [row for row in rows if not row.is_result]
    held = "shape" if all(row.data.startswith("(") for row in parameters) else "value"
    heads = ["", held, "grad"]
    backs = [row.back for row in parameters if row.back]
    if backs:
        are_numbers = all(back.startswith("×") for back in backs)
        heads.insert(0, "×" if are_numbers else "grad =")
    return _row(*(_cell(styled("row_head", head or _SPACE)) for head in heads))


def _result(row: Row) -> str:
    """A result of a layer, above its parameters."""
    return _row(
        _cell(styled("result", row.name), colspan="2", align="left"),
        _cell(styled("result", row.data or _SPACE), align="right"),
        _cell(styled("result_grad", row.grad or _SPACE), align="right"),
    )


def styled(kind: str, text: str) -> str:
    """A text in the size and the colour of its kind."""
    looks = LOOKS["text"][kind]
    colour = COLOURS[looks["colour"]]
    return f'<font point-size="{looks["size"]}" color="{colour}">{escaped(text)}</font>'


def _table(attributes: str, rows: Iterable[str]) -> str:
    return f"<table {attributes}>{''.join(rows)}</table>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _cell(content: str, **attributes: str) -> str:
    written = _written(attributes)
    return f"<td {written}>{content}</td>" if written else f"<td>{content}</td>"


def _written(attributes: Mapping[str, Any]) -> str:
    return " ".join(f'{name}="{x}"' for name, x in attributes.items())
