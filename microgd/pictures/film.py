"""`film`: a page that plays a computation, forward and then backward, one step at a time."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from microgd.checks import check_type
from microgd.graph import Contribution, Graph
from microgd.pictures import text
from microgd.pictures.draw import SYMBOLS, Sketch, Words, edge_key, options, paint
from microgd.pictures.layers import Layers
from microgd.pictures.text import Rows
from microgd.storage import StrPath, write_whole
from microgd.value import Value

LIMIT = 200  # operations
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def film(
    value: Value,
    path: StrPath,
    *,
    names: Mapping[str, Any] | None = None,
    model: Any = None,
    direction: str = "LR",
) -> Film:
    """Write a page that plays how `value` was computed, and then how its gradient flows back.

    The page is one HTML file for any browser, and needs no network. The operations play in the
    order of recording, and then the reverse pass follows. Each step lights up what is computed, and
    says it in words and numbers.

    The numbers are those of the time of recording, and of a reverse pass that is done for the film
    and writes no `grad`. This pass starts with the `grad` of `value` or, if it is None, with 1
    (`ValueError` if `value` has more than one element). Names are those of `draw`.

    Returns the path as text, which in Jupyter shows the film. More than 200 operations, or more
    than 200 leaves, are a `ValueError`. Graphviz's `dot` or `graphviz-pure` lays the graph out
    (`RuntimeError` if neither is installed). `OSError` if the file cannot be written.
    """
    check_type("a Value to film", Value, value)
    graph = Graph(value)
    operations = len(graph.steps)
    leaves = len(graph.held) - operations
    if max(operations, leaves) > LIMIT:
        raise ValueError(
            f"a film shows at most {LIMIT} operations, and as many leaves, but the graph has "
            f"{operations:,} and {leaves:,}: film a part of the computation, or one example "
            "instead of a mini-batch"
        )
    layers = Layers(model)
    layers.locate(graph.steps)  # an error if the graph was computed with another model
    graph.go_back()
    sketch = Sketch(graph, Layers(), None, constants=True)
    script = _Script(graph, names, layers, sketch)
    svg = paint(sketch, script, direction).pipe("svg", encoding="utf-8")
    page = _page(f"Backpropagation of {script.refer_to(value)}", list(script.steps()), svg)
    write_whole(path, lambda file: file.write(page.encode()))
    return Film(os.fspath(path))


class Film(str):
    """The path of a film. In Jupyter it shows the film."""

    def _repr_html_(self) -> str | None:
        try:
            page = Path(self).read_text(encoding="utf-8")
        except OSError:  # the file was moved, or this text was made from the path of another film
            return None
        look = "border: 0; width: 100%; height: 34rem"
        return (
            f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" title="Film" '
            f'style="{look}"></iframe>'
        )


class _Script(Words):
    """What the film says, step by step, and what is written on its picture."""

    def __init__(
        self, graph: Graph, names: Mapping[str, Any] | None, layers: Layers, sketch: Sketch
    ) -> None:
        super().__init__(graph, names, layers, gradients=False)
        self._sketch = sketch
        self._box = sketch.keys["v"]
        self._ellipse = sketch.keys["o"]
        # Values without a name get a number, so that the sentences can refer to them.
        nameless = [x for x in self._box if not self.name(x)]
        self._number = {x: f"v{n}".translate(_SUBSCRIPTS) for n, x in enumerate(nameless, 1)}

    def caption(self, collapsed: bool) -> Rows:
        """Nothing: the page explains the picture."""
        return []

    def value(self, x: Value) -> Rows:
        """In the box of a value: three lines, which the page fills in."""
        yield "name", self.name(x) or self._number[x]
        for _, row, content in (self._data(x), self._grad(x, self.graph.gradient[x])):
            yield row, f"{row} {content}"

    def refer_to(self, x: Any, held: Any = None) -> str:
        """What the sentences call an operand.

        This is its name or, without one, the number of a Value and what a constant held.
        """
        name = self.name(x)
        if name:
            return text.within(name)
        return self._number[x] if isinstance(x, Value) else _in_short(held)

    def steps(self) -> Iterator[dict[str, Any]]:
        """The steps in the form that film.js reads: see `_step`."""
        graph = self.graph
        leaves = [x for x in self._box if not x.op]
        leaf_boxes = [self._box[x] for x in leaves]
        constant_boxes = list(self._sketch.keys["c"].values())

        # Forward.
        given = _listed(f"{self.refer_to(x)} = {_in_short(graph.held[x][0])}" for x in leaves)
        lit = leaf_boxes + constant_boxes
        yield _step("forward", f"Given: {given}.", lit, [self._data(x) for x in leaves])
        yield from map(self._forward, graph.steps)

        # Backward.
        name = self.refer_to(graph.output)
        start = graph.gradient[graph.output]
        starts_with_one = np.size(start) == 1 and np.all(start == 1)
        if starts_with_one:
            why = f"∂{name}/∂{name} = 1"
        else:
            why = f"{text.gradient(start)}, which is what its grad holds"
        say = f"Now backward, from the end. {name}'s gradient is {why}."
        yield _step("backward", say, [self._box[graph.output]], [self._grad(graph.output, start)])
        yield from map(self._backward, graph.contributions.values())

        # The result.
        results = []
        for x in leaves:
            leaf = self.refer_to(x)
            gradient = text.gradient(graph.gradient[x])
            # Only a pass that starts with 1 computes derivatives of this output.
            if starts_with_one:
                results.append(f"∂{name}/∂{leaf} = {gradient}")
            else:
                results.append(f"{gradient} for {leaf}")
        yield _step("backward", f"That is the gradient: {_listed(results)}.", leaf_boxes, [])

    def _forward(self, step: Value) -> dict[str, Any]:
        """The step of an operation, such as "c = a × b = 2 × −3 = −6"."""
        held = step.saved
        names = list(map(self.refer_to, step.inputs, held))
        sides = [self.refer_to(step), _computation(step, names)]
        if all(np.size(x) <= text.FEW for x in held):  # larger arrays show no numbers
            sides.append(_computation(step, list(map(_in_short, held))))
        equation = " = ".join(dict.fromkeys(sides))  # without repeating a side
        joint = ", of shape " if step.size > text.FEW else " = "
        say = f"{equation}{joint}{_in_short(step._numbers)}"

        ellipse = self._ellipse[step]
        edges = [edge_key(*edge) for edge in self._sketch.edges if ellipse in edge]
        return _step("forward", say, [self._box[step], ellipse, *edges], [self._data(step)])

    def _backward(self, c: Contribution) -> dict[str, Any]:
        """The step of a contribution, which says what the operand gets and what it has now."""
        say = self._share(c)
        if c.before is not None:
            operand = self.refer_to(c.operand)
            output = self.refer_to(self.graph.output)
            say += f"; it had {text.gradient(c.before)} already, so now {text.gradient(c.total)}"
            say += f": {operand} affects {output} along several paths, and they add up"
        box = self._box[c.operand]
        ellipse = self._ellipse[c.result]
        edge = edge_key(box, ellipse, c.position)
        return _step("backward", f"{say}.", [box, edge, ellipse], [self._grad(c.operand, c.total)])

    def _share(self, c: Contribution) -> str:
        """What the operand gets, such as "b gets c's gradient × ∂c/∂b = 0.5 × 2 = 1"."""
        operand = self.refer_to(c.operand)
        result = self.refer_to(c.result)
        operands = c.result.inputs
        is_repeated = sum(x is c.operand for x in operands) > 1
        which = f", as operand {c.position + 1} of {len(operands)}," if is_repeated else ""
        # The share is not always the product: where a rule such as that of maximum selects, the
        # share is 0 even if the product is inf × 0, which is nan.
        if c.slope is None or not np.isclose(c.upstream * c.slope, c.share):
            shape = f"{np.shape(c.share)}, " if np.ndim(c.share) else ""
            how = f"by the rule of {_operation(c.result)}: {shape}{text.gradient(c.share)}"
            return f"{operand}{which} gets its share of {result}'s gradient, {how}"
        slope = text.number(c.slope)
        factor = f"the local derivative {slope}:" if is_repeated else f"∂{result}/∂{operand} ="
        product = f"{text.numbers(c.upstream)} × {slope} = {text.numbers(c.share)}"
        return f"{operand}{which} gets {result}'s gradient × {factor} {product}"

    def _data(self, x: Value) -> tuple[str, str, str]:
        return self._box[x], "data", ", then ".join(map(text.data, self.graph.held[x]))

    def _grad(self, x: Value, gradient: Any) -> tuple[str, str, str]:
        return self._box[x], "grad", text.gradient(gradient)


def _step(
    phase: str, say: str, lit: Sequence[str], write: Sequence[tuple[str, str, str]]
) -> dict[str, Any]:
    """A step: its phase, its sentence, the parts of the picture that it lights, and what it writes.

    It writes lines into boxes, each as the key of the box, "data" or "grad", and the text.
    """
    return {"phase": phase, "say": say, "lit": lit, "write": write}


def _listed(items: Iterable[str]) -> str:
    """The first 12 of the items, and how many more there are."""
    texts = list(items)
    listed = ", ".join(texts[:12])
    more = len(texts) - 12
    return f"{listed} and {more} more" if more > 0 else listed


def _computation(step: Value, operands: list[str]) -> str:
    """How the operation is written with these operands, such as a × b or sum(a, axis=1)."""
    symbol = SYMBOLS.get(step.op or "")
    if not symbol:
        return f"{_operation(step)}({', '.join([*operands, *options(step)])})"
    first, *others = operands
    if symbol == "**" and first.startswith("−"):
        first = f"({first})"  # −2 ** 2 would be −4
    return f" {symbol} ".join([first, *others])


def _operation(step: Value) -> str:
    """What the sentences call the operation of a step. Its name may be any text."""
    return text.within(text.short(step.op or ""))


def _in_short(x: Any) -> str:
    """A number, the numbers of a small array, or the shape of a larger one."""
    return text.numbers(x) if np.size(x) <= text.FEW else str(np.shape(x))


def _page(title: str, steps: list[dict[str, Any]], svg: str) -> str:
    """The page as one text. Its policy lets no other script or style in, and nothing out."""
    files = {name: _read(f"film.{name}") for name in ("html", "css", "js")}
    policy = (
        f"default-src 'none'; style-src '{_hash(files['css'])}'; "
        f"script-src '{_hash(files['js'])}'; base-uri 'none'; form-action 'none'"
    )
    comments_and_titles = r"<!--.*?-->\n?|<title>.*?</title>\n?"
    picture = re.sub(comments_and_titles, "", svg[svg.index("<svg") :], flags=re.DOTALL)
    links = []
    for number, step in enumerate(steps):
        links.append(f'<li><a href="#{number}">{html.escape(step["say"])}</a></li>')
    return Template(files["html"]).substitute(
        files,
        policy=policy,
        title=html.escape(title),
        picture=picture,
        last=len(steps) - 1,
        lines="\n".join(links),
        steps=json.dumps(steps, ensure_ascii=False).replace("<", "\\u003c"),
    )


def _read(name: str) -> str:
    """The text of a file beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """The hash by which the policy of the page recognizes a script or a style."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
