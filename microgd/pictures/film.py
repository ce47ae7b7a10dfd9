"""`film`: a page that plays a computation, forward and then backward, one step at a time."""

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
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


def film(value: Value, path: StrPath, *, names: Mapping[str, Any] | None = None, model: Any = None,
         direction: str = "LR") -> "Film":  # fmt: skip
    """Write a page that plays the computation of `value`, first forward in the order of recording, then backward.

    It is one HTML file that needs no network, for any browser. Each step lights what is computed and says it in words and
    numbers: those of the time of recording, and of a reverse pass of its own, which writes no `grad`. That pass starts with
    the `grad` of `value` or, where it is None, with 1 (`ValueError` if there is more than one element). Names are those of
    `draw`.

    Returns the path, as text, which in Jupyter shows the film. More than 200 operations, or leaves, are a `ValueError`.
    Graphviz's `dot` or `graphviz-pure` lays the graph out (`RuntimeError` where there is neither); `OSError` where the file
    cannot be written.
    """
    check_type("a Value to film", Value, value)
    graph = Graph(value)
    operations, leaves = len(graph.steps), len(graph.held) - len(graph.steps)
    if max(operations, leaves) > LIMIT:
        size = f"at most {LIMIT} operations, and as many leaves, but the graph has {operations:,} and {leaves:,}"
        raise ValueError(
            f"a film shows {size}: film a part of the computation, or one example in place of a batch"
        )
    layers = Layers(model)
    layers.places(graph.steps)  # an error where it is another model's
    graph.go_back()
    sketch = Sketch(graph, Layers(), None, constants=True)
    script = _Script(graph, names, layers, sketch)
    svg = paint(sketch, script, direction).pipe("svg", encoding="utf-8")
    page = _page(f"Backpropagation of {script.name(value)}", list(script.steps()), svg)
    write_whole(path, lambda file: file.write(page.encode()))
    return Film(os.fspath(path))


class Film(str):
    """The path of a film, which in Jupyter shows itself."""

    def _repr_html_(self) -> str | None:
        try:
            page = Path(self).read_text(encoding="utf-8")
        except OSError:  # it was moved away, or this is a path made of that one
            return None
        look = "border: 0; width: 100%; height: 34rem"
        return f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" title="Film" style="{look}"></iframe>'


class _Script(Words):
    """What the film tells, step by step, and what is written on its picture."""

    def __init__(
        self, graph: Graph, names: Mapping[str, Any] | None, layers: Layers, sketch: Sketch
    ):
        super().__init__(graph, names, layers, gradients=False)
        self._sketch, self._key, self._ellipse = sketch, sketch.keys["v"], sketch.keys["o"]
        # What has no name gets a number, for the sentences to speak of.
        nameless = [x for x in self._key if not self.known(x)]
        self._number = {x: f"v{n}".translate(_SUBSCRIPTS) for n, x in enumerate(nameless, 1)}

    def caption(self, collapsed: bool) -> Rows:
        """Nothing: the page says it."""
        return []

    def value(self, x: Value) -> Rows:
        """In a box for a value: three lines, for the page to fill in."""
        yield "name", self.known(x) or self._number[x]
        for _, row, said in (self._data(x), self._grad(x, self.graph.gradient[x])):
            yield row, f"{row} {said}"

    def name(self, x: Any, held: Any = None) -> str:
        """How the sentences call it: constants without a name go by what they held, a number or a shape."""
        known = self.known(x)
        if known:
            return text.within(known)
        return self._number[x] if isinstance(x, Value) else _said(held)

    def steps(self) -> Iterator[dict[str, Any]]:
        """Each step's phase, its sentence, the parts of the picture that it lights, and the lines that it writes."""
        graph, leaves = self.graph, {x: key for x, key in self._key.items() if not x.op}
        name, start = self.name(graph.output), graph.gradient[graph.output]
        given = _listed(f"{self.name(x)} = {_said(graph.held[x][0])}" for x in leaves)
        lit = [*leaves.values(), *self._sketch.keys["c"].values()]
        yield _step("forward", f"Given: {given}.", lit, [self._data(x) for x in leaves])
        yield from map(self._forward, graph.steps)
        one = np.size(start) == 1 and np.all(start == 1)
        why = (
            f"∂{name}/∂{name} = 1"
            if one
            else f"{text.gradient(start)}, which is what its grad holds"
        )
        say = f"Now backward, from the end. {name}'s gradient is {why}."
        yield _step("backward", say, [self._key[graph.output]], [self._grad(graph.output, start)])
        yield from map(self._backward, graph.contributions.values())
        results = [(self.name(x), text.gradient(graph.gradient[x])) for x in leaves]
        result = _listed(f"∂{name}/∂{x} = {g}" if one else f"{g} for {x}" for x, g in results)
        yield _step("backward", f"That is the gradient: {result}.", list(leaves.values()), [])

    def _forward(self, step: Value) -> dict[str, Any]:
        """c = a × b = 2 × −3 = −6"""
        symbol, held = SYMBOLS.get(step.op or ""), step.saved[: len(step.inputs)]
        said = [self.name(step)]
        for first, *others in (map(self.name, step.inputs, held), map(_said, held)):
            first = (
                f"({first})" if symbol == "**" and first.startswith("−") else first
            )  # −2 ** 2 would be −4
            terms = [first, *others]
            if symbol:
                said.append(f" {symbol} ".join(terms))
            else:
                said.append(f"{_operation(step)}({', '.join([*terms, *options(step)])})")
        if any(np.size(x) > text.FEW for x in held):  # no numbers to compute with
            said.pop()
        key, ellipse, large = self._key[step], self._ellipse[step], step.size > text.FEW
        say = (
            " = ".join(dict.fromkeys(said))
            + (", of shape " if large else " = ")
            + _said(step._numbers)
        )
        edges = [edge_key(*edge) for edge in self._sketch.edges if ellipse in edge]
        return _step("forward", say, [key, ellipse, *edges], [self._data(step)])

    def _backward(self, c: Contribution) -> dict[str, Any]:
        """b gets c's gradient × ∂c/∂b = 0.5 × 2 = 1; it had 0.25 from before, so 1.25"""
        result, operand, operands = self.name(c.result), self.name(c.operand), c.result.inputs
        repeated = sum(x is c.operand for x in operands) > 1
        which = f", as operand {c.position + 1} of {len(operands)}," if repeated else ""
        if c.slope is not None and np.isclose(
            c.upstream * c.slope, c.share
        ):  # a rule that selects has no inf * 0
            slope = (
                f"the local derivative {text.number(c.slope)}:"
                if repeated
                else f"∂{result}/∂{operand} ="
            )
            product = (
                f"{text.numbers(c.upstream)} × {text.number(c.slope)} = {text.numbers(c.share)}"
            )
            say = f"{operand}{which} gets {result}'s gradient × {slope} {product}"
        else:
            shape = f"{np.shape(c.share)}, " if np.ndim(c.share) else ""
            how = f"by the rule of {_operation(c.result)}: {shape}"
            say = f"{operand}{which} gets its share of {result}'s gradient, {how}{text.gradient(c.share)}"
        if c.before is not None:
            say += f"; it had {text.gradient(c.before)} from before, so {text.gradient(c.total)}"
            say += (
                f": {operand} moves {self.name(self.graph.output)} in several ways, and they add up"
            )
        key, head = self._key[c.operand], self._ellipse[c.result]
        return _step(
            "backward",
            f"{say}.",
            [key, edge_key(key, head, c.position), head],
            [self._grad(c.operand, c.total)],
        )

    def _data(self, x: Value) -> tuple[str, str, str]:
        return self._key[x], "data", ", then ".join(map(text.data, self.graph.held[x]))

    def _grad(self, x: Value, gradient: Any) -> tuple[str, str, str]:
        return self._key[x], "grad", text.gradient(gradient)


def _listed(items: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    said = list(items)
    return ", ".join(said[:12]) + (f" and {len(said) - 12} more" if len(said) > 12 else "")


def _step(
    phase: str, say: str, lit: list[str], write: list[tuple[str, str, str]]
) -> dict[str, Any]:
    return {"phase": phase, "say": say, "lit": lit, "write": write}


def _operation(step: Value) -> str:
    """How the sentences call a step's operation, which may have been given any name."""
    return text.within(text.short(step.op or ""))


def _said(x: Any) -> str:
    """A number, or the numbers of a small array, or the shape of a larger one."""
    return text.numbers(x) if np.size(x) <= text.FEW else str(np.shape(x))


def _page(title: str, told: list[dict[str, Any]], svg: str) -> str:
    """The page, in one piece. Its policy lets no other script and no other style in, and nothing out."""
    files = {
        kind: Path(__file__).with_name(f"film.{kind}").read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
    }
    allowed = [
        base64.b64encode(hashlib.sha256(files[kind].encode()).digest()).decode()
        for kind in ("css", "js")
    ]
    policy = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
    picture = re.sub(
        r"<!--.*?-->\n?|<title>.*?</title>\n?", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    lines = "\n".join(
        f'<li><a href="#{i}">{html.escape(step["say"])}</a></li>' for i, step in enumerate(told)
    )
    steps = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")
    parts = {"policy": policy.format(*allowed), "title": html.escape(title), "last": len(told) - 1}
    return Template(files["html"]).substitute(
        files, picture=picture, lines=lines, steps=steps, **parts
    )
