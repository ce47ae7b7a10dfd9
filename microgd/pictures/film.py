"""`film`: a page that plays a computation, forward and then backward, one step at a time."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from microgd.arrays import Data
from microgd.checks import check_count, check_type
from microgd.graph import Graph
from microgd.page import as_json, assemble
from microgd.pictures import svg, text
from microgd.pictures.draw import paint
from microgd.pictures.formulas import SIGN, Formula, constant, mentions_g
from microgd.pictures.layers import Layers
from microgd.pictures.names import Names
from microgd.pictures.sketch import Box, NumberedNames, Sketch, Use
from microgd.pictures.words import ROWS, Words, formula_of, is_product
from microgd.programs.names import parameter_name
from microgd.programs.program import Program
from microgd.programs.text import Passage
from microgd.storage import StrPath, write_whole
from microgd.value import Value

LIMIT = 1000  # operations
LONGEST = 160  # characters of a formula with all its terms


def film(
    value: Value,
    path: StrPath | None = None,
    *,
    names: Mapping[str, Any] | None = None,
    model: Any = None,
    title: str = "",
    direction: str | None = None,
    compact: bool | None = None,
    elements: int | None = None,
    program: Program | None = None,
) -> Film:
    """Write a page that plays how `value` was computed, and then how its gradient flows back.

    The page is one HTML file for any browser, and needs no network. The boxes are those of `draw`.
    They play in the order of recording, and then the reverse pass follows. Each step lights up what
    is computed, and says it in words and numbers.

    The numbers are those of the time of recording, and of a reverse pass that is done for the film
    and writes no `grad`. This pass starts with the `grad` of `value` or, if it is None, with 1
    (`ValueError` if `value` has more than one element). Names and options are those of `draw`.

    `program` is what `microgd.source` made of the function that computed `value`: it stands beside
    the graph, and the lines that do a step are lit. A program that does other operations is a
    `ValueError`.

    Returns the path as text, which in Jupyter shows the film. Without a path nothing is written,
    and the film shows itself. More than 1,000 operations, or as many leaves, are a `ValueError`.
    Graphviz's `dot` or `graphviz-pure` lays the graph out (`RuntimeError` if neither is installed).
    `OSError` if the file cannot be written.
    """
    check_type("a Value to film", Value, value)
    check_type("a title that is a text", str, title)
    if elements is not None:
        check_count("number of elements", elements, 0)
    graph = Graph(value)
    operations = len(graph.steps)
    leaves = len(graph.held) - operations
    if max(operations, leaves) > LIMIT:
        raise ValueError(
            f"a film shows at most {LIMIT:,} operations, and as many leaves, but the graph has "
            f"{operations:,} and {leaves:,}: film a part of the computation, or one example "
            "instead of a mini-batch"
        )
    layers = Layers(model)
    layers.locate(graph.steps)  # an error if the graph was computed with another model
    graph.go_back()
    sketch = Sketch(graph, Layers(), Names(names, layers), compact=compact)
    script = _Script(sketch, NumberedNames(names, layers, sketch), elements, program)
    steps = list(script.steps())
    links: dict[str, str] = {}
    for number, step in enumerate(steps):
        for part in step.show:
            links.setdefault(part, f"#{number}")
    picture = paint(
        sketch, script, sketch.direction() if direction is None else direction, links=links
    )
    page = _page(
        text.short(title, 80) or f"Backpropagation of {script.refer_to(value)}",
        steps,
        picture.drawn(),
        program,
    )
    if path is None:
        return Film("", page)
    write_whole(path, lambda file: file.write(page.encode()))
    return Film(os.fspath(path))


class Film(str):
    """The path of a film. In Jupyter it shows the film."""

    def __new__(cls, path: str, page: str | None = None) -> Film:
        """A film in a file or, with the text of a page, one that is in no file."""
        film = super().__new__(cls, path)
        film._page = page
        return film

    _page: str | None

    def _repr_html_(self) -> str | None:
        page = self._page
        if page is None:
            try:
                page = Path(self).read_text(encoding="utf-8")
            except OSError:  # the file was moved, or this text was made from another film's path
                return None
        look = "border: 0; width: 100%; height: 40rem"
        return (
            f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" title="Film" '
            f'style="{look}"></iframe>'
        )


def _passages(graph: Graph, program: Program | None) -> dict[Any, Passage]:
    """Where the program does the operation of each computed value, and goes back through it."""
    if program is None:
        return {}
    check_type("a program of microgd.source", Program, program)
    written = [passage.operation for passage in program.passages]
    recorded = [step.op for step in graph.steps]
    if written != recorded:
        pairs = enumerate(zip(written, recorded, strict=False))
        other = next((i for i, (mine, theirs) in pairs if mine != theirs), None)
        does = f"{len(written)} operations, not {len(recorded)}"
        if other is not None:
            does = f"{written[other]} as operation {other + 1}, not {recorded[other]}"
        raise ValueError(
            "expected the program of the function that computed the value, but the program "
            f"{program.name} does {does}: call source(…) with that function and its arguments"
        )
    return dict(zip(graph.steps, program.passages, strict=True))


class Step(NamedTuple):
    """A step of the film: what it says, the parts of the picture that it lights and first shows.

    `code` has the numbers of the program's lines that do it.
    """

    phase: str  # "forward" or "backward"
    say: str
    lit: Sequence[str]
    show: Sequence[str]
    code: Sequence[int] = ()


class _Script(Words):
    """What the film says, step by step, and what is written on its picture."""

    def __init__(
        self,
        sketch: Sketch,
        names: Names,
        elements: int | None,
        program: Program | None,
    ) -> None:
        super().__init__(sketch, names, gradients=False, elements=elements)
        self._passages = _passages(self.graph, program)
        self._program_lines = program.text.splitlines() if program else []
        self._so_far: dict[Any, Data] = {}  # what each Value has got up to a step
        shared = sketch.boxes.get("t0")
        # Where in the table of those that several boxes use a leaf is.
        self._place = {x: i for i, x in enumerate(shared.leaves)} if shared else {}
        self._still: dict[Any, int] = {x: len(s) for x, s in self.graph.shares.items()}

    def refer_to(self, x: Value) -> str:
        """What the sentences call a Value."""
        return text.within(self.names.of(x))

    def _lines_forward(self, steps: Iterable[Any]) -> list[int]:
        """The lines of the program that do these operations."""
        found = [self._passages[step] for step in steps if step in self._passages]
        return sorted({i for passage in found for i in passage.forward})

    def _lines_backward(self, operand: Any, uses: Iterable[Use]) -> list[int]:
        """The lines that compute what an operand gets; the whole block, if they can't be told."""
        found = [self._passages[step] for step, _ in uses if step in self._passages]
        block = sorted({i for passage in found for i in passage.backward})
        name = self.names.of(operand)
        written = re.sub(r"\W+", "_", name).strip("_")
        gradient = re.compile(rf"\s*d_({re.escape(written)}|{re.escape(parameter_name(name))})\b")
        chosen = []
        is_inside = False  # an assignment that is wrapped in brackets
        for i in block:
            line = self._program_lines[i]
            if is_inside or gradient.match(line):
                chosen.append(i)
                is_inside = line.endswith("(") or (is_inside and line.strip() != ")")
        return chosen or block

    def steps(self) -> Iterator[Step]:
        """The steps in the order in which they play."""
        boxes = self._sketch.boxes
        ordered = [boxes[key] for key in self._sketch.in_order()]
        given = [box for box in boxes.values() if not box.steps]
        yield self._given(given, ordered)
        for box in ordered:
            yield self._forward(box)
        yield self._start()
        for box in reversed(ordered):
            yield from self._backward(box)
        yield self._end(given, ordered)

    def _given(self, given: Sequence[Box], boxes: Sequence[Box]) -> Step:
        """What there is before anything is computed."""
        leaves = _leaves(given, boxes)
        said = _listed(f"{self.refer_to(x)} = {_in_short(self.graph.held[x][0])}" for x in leaves)
        keys = [box.key for box in given]
        with_rows = [box.key for box in boxes if box.leaves]
        lit = [*keys, *with_rows]
        return Step("forward", f"Given: {said}.", lit, [f"{key}-data" for key in keys])

    def _forward(self, box: Box) -> Step:
        """A box is computed, such as "c = a × b = 2 × −3 = −6"."""
        value = box.value

        def in_numbers(x: Any, held: Any) -> Formula:
            return constant(held)

        all_terms = len(box.steps) + 1
        formula = formula_of(box, self.formulas.operand, all_terms).text
        if len(formula) > LONGEST:
            formula = formula_of(box, self.formulas.operand, most_terms=0).text
        sides = [self.refer_to(value), formula]
        held = [x for step in box.steps for x in step.saved]
        if all(np.size(x) <= text.FEW and np.asarray(x).dtype.kind in "fiub" for x in held):
            sides.append(
                formula_of(box, in_numbers, all_terms).text
            )  # larger arrays show no numbers
        is_small = value.size <= text.FEW
        if is_small:
            sides.append(_in_short(value._numbers))
        equation = " = ".join(dict.fromkeys(side for side in sides if len(side) <= LONGEST))
        say = equation if is_small else f"{equation}, of shape {_in_short(value._numbers)}"
        code = self._lines_forward(box.steps)
        edges = [f"{s.source}-{box.key}-{i}" for i, s in enumerate(box.sockets)]
        return Step("forward", say, [box.key, *edges], [f"{box.key}-data"], code)

    def _start(self) -> Step:
        """The gradient of the output, which the reverse pass starts with."""
        output = self.graph.output
        name = self.refer_to(output)
        start = self.graph.gradient[output]
        self._so_far[output] = start
        if self.starts_with_one():
            why = f"∂{name}/∂{name} = 1"
        else:
            why = f"{text.gradient(start)}, which is what its grad holds"
        say = f"Now backward, from the end. {name}'s gradient is {why}."
        (key,) = self._sketch.keys_of(output)
        return Step("backward", say, [key], [f"{key}-grad", f"{key}-terms"])

    def _backward(self, box: Box) -> Iterator[Step]:
        """A box sends shares of its gradient to its operands, one by one."""
        slopes = self._slopes(box)
        for i, socket in enumerate(box.sockets):
            uses = [use for use in socket.uses if use in self.graph.contributions]
            if uses:
                operand = self.graph.contributions[uses[0]].operand
                source = self._sketch.boxes[socket.source]
                lit = [source.key, f"{source.key}-{box.key}-{i}", box.key]
                show = [f"{box.key}-s{i}"]
                if self._is_complete(operand, len(uses)):
                    show += [f"{source.key}-grad", f"{source.key}-terms"]
                code = self._lines_backward(operand, uses)
                yield Step("backward", self._share(box, operand, uses, slopes), lit, show, code)
        is_summary = len(box.leaves) > ROWS
        for i, (leaf, uses) in enumerate(box.leaves.items()):
            show = [f"{box.key}-r{i}", f"{box.key}-q{i}"]
            if is_summary:  # one row for all: it is there when the last leaf has its gradient
                show = [f"{box.key}-q0"] if i == len(box.leaves) - 1 else []
            if self._is_complete(leaf, len(uses)) and leaf in self._place:
                show.append(f"t0-q{self._place[leaf]}")
            code = self._lines_backward(leaf, uses)
            yield Step("backward", self._share(box, leaf, uses, slopes), [box.key], show, code)

    def _is_complete(self, operand: Any, uses: int) -> bool:
        """Whether an operand has all of its gradient, after these uses."""
        self._still[operand] -= uses
        return self._still[operand] == 0

    def _share(self, box: Box, operand: Any, uses: Sequence[Use], slopes: dict[Any, float]) -> str:
        """What an operand gets, and what it has now."""
        contributions = [self.graph.contributions[use] for use in uses]
        share = contributions[0].share
        for c in contributions[1:]:
            share = share + c.share
        say = self._how(box, operand, uses, slopes, share)
        before = self._so_far.get(operand)
        now = share if before is None else before + share
        self._so_far[operand] = now
        if before is not None:
            name = self.refer_to(operand)
            output = self.refer_to(self.graph.output)
            say += f"; it had {text.gradient(before)} already, so now {text.gradient(now)}"
            say += f": {name} affects {output} along several paths, and they add up"
        return f"{say}."

    def _how(
        self, box: Box, x: Any, uses: Sequence[Use], slopes: dict[Any, float], share: Data
    ) -> str:
        """What an operand gets, such as "b gets c's gradient × ∂c/∂b = 0.5 × 2 = 1"."""
        operand = self.refer_to(x)
        result = self.refer_to(box.value)
        upstream = self.graph.gradient[box.value]
        step, position = uses[0]
        places = [i for i, s in enumerate(box.sockets) if _operand_of(s.uses[0]) is x]
        is_repeated = len(places) > 1  # then each use has a socket of its own
        which = ""
        if is_repeated:
            place = next(i for i in places if uses[0] in box.sockets[i].uses)
            which = f", as operand {place + 1} of {len(box.sockets)},"
        first = self.graph.contributions[uses[0]]
        slope = first.slope
        if slopes:
            slope = sum(slopes.get(use, 0.0) for use in uses)
        is_factor = slope is not None and not np.ndim(share)
        if is_factor and (slopes or is_product(first)):
            shown = text.number(float(slope or 0.0))
            derivative = f"∂{result}/∂{text.within(self.names.last_part(x))}"
            factor = f"the local derivative {shown}:" if is_repeated else f"{derivative} ="
            second = constant(slope).within(SIGN + 1)
            product = f"{text.numbers(upstream)} × {second} = {text.numbers(share)}"
            why = "" if slopes else self._why(step, position, derivative, shown)
            return f"{operand}{which} gets {result}'s gradient × {factor} {product}{why}"
        rule = self.formulas.rule(step, position) if not slopes else ""
        got = text.numbers(share)
        if np.ndim(share):
            got = f"{np.shape(share)}, {text.gradient(share)}"
        if rule:
            where = f", where g is {result}'s gradient" if mentions_g(rule) else ""
            return f"{operand}{which} gets {rule}{where}: {got}"
        operation = text.within(text.short(step.op or ""))
        share_of = f"{operand}{which} gets its share of {result}'s gradient"
        return f"{share_of}, by the rule of {operation}: {got}"

    def _why(self, step: Any, position: int, derivative: str, shown: str) -> str:
        """Where the local derivative comes from, such as "∂o/∂n = 1 − o² = 1 − 0.7071² = 0.5"."""
        formula = self.formulas.slope(step, position)
        numbers = self.formulas.slope(step, position, in_numbers=True)
        sides = [side for side in dict.fromkeys([formula, numbers]) if side and side != shown]
        if not sides or numbers in ("", shown):
            return ""
        return f", since {derivative} = {' = '.join(sides)} = {shown}"

    def _end(self, given: Sequence[Box], boxes: Sequence[Box]) -> Step:
        """The gradient: what has come back to each leaf."""
        leaves = _leaves(given, boxes)
        name = self.refer_to(self.graph.output)
        results = []
        for x in leaves:
            leaf = self.refer_to(x)
            gradient = text.gradient(self.graph.gradient[x])
            # Only a pass that starts with 1 computes derivatives of this output.
            if self.starts_with_one():
                joint = " has " if gradient.startswith("size") else " = "
                results.append(f"∂{name}/∂{leaf}{joint}{gradient}")
            else:
                results.append(f"{gradient} for {leaf}")
        keys = [box.key for box in given if box.value is not None or box.leaves]
        with_rows = [box.key for box in boxes if box.leaves]
        lit = [*keys, *with_rows]
        return Step("backward", f"That is the gradient: {_listed(results)}.", lit, [])


def _leaves(given: Sequence[Box], boxes: Sequence[Box]) -> list[Any]:
    """The leaves of the film: those with a box of their own, then those in rows."""
    own = [box.value for box in given if box.value is not None]
    in_rows = dict.fromkeys(x for box in boxes for x in box.leaves)
    return [*own, *in_rows]


def _operand_of(use: Use) -> Any:
    step, position = use
    return step.inputs[position]


def _listed(items: Iterable[str]) -> str:
    """The first 12 of the items, and how many more there are."""
    texts = list(items)
    listed = ", ".join(texts[:12])
    more = len(texts) - 12
    return f"{listed} and {more} more" if more > 0 else listed


def _in_short(x: Any) -> str:
    """A number, the numbers of a small array, or the shape of a larger one."""
    return text.numbers(x) if np.size(x) <= text.FEW else str(np.shape(x))


def _page(title: str, steps: Sequence[Step], picture: str, program: Program | None) -> str:
    """The page as one text."""
    links = []
    for number, step in enumerate(steps):
        links.append(f'<li><a href="#{number}">{html.escape(step.say)}</a></li>')
    dark = f"@media screen and (prefers-color-scheme: dark) {{ {svg.dark_rules()} }}\n"
    return assemble(
        Path(__file__).with_name("film"),
        style=dark,
        title=html.escape(title),
        picture=svg.bare(picture),
        last=len(steps) - 1,
        lines="\n".join(links),
        program=_listing(program),
        steps=as_json([step._asdict() for step in steps]),
    )


def _listing(program: Program | None) -> str:
    """The program as HTML, a line in each element, or nothing."""
    if program is None:
        return ""
    lines = [f"<code>{html.escape(line)}\n</code>" for line in program.text.splitlines()]
    return f'<pre id="program" tabindex="0" aria-label="The program">{"".join(lines)}</pre>'
