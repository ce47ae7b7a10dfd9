"""What is written in the boxes, in their sockets and above the picture."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from microgd.arrays import Data, same
from microgd.graph import Contribution, Graph
from microgd.pictures import text
from microgd.pictures.formulas import (
    ATOM,
    SIGN,
    SUM,
    UNNAMED,
    Formula,
    Formulas,
    Written,
    mentions_g,
    written,
)
from microgd.pictures.grids import Grid, grid, shape
from microgd.pictures.names import Names
from microgd.pictures.sketch import ACTIVATIONS, Box, Sketch, Socket, Use
from microgd.value import Value

NOTHING = "—"  # flows back to a constant
WHOLE = "→ grad"  # the whole gradients of several values, which stand in their box
LOOKS_IN_WORDS = {
    "leaf": "blue: leaves",
    "constant": "dashed: constants (—)",
    "output": "yellow: the result",
}
TERMS = 6  # a longer sum is written as Σ: each of its terms has a socket or a row
ROWS = 24  # a layer of more parameters says how many there are
SHARED_ROWS = 60  # and so does a table of more
ELEMENTS = 24  # arrays of at most this many elements are shown whole, if nobody says otherwise
ROOM = 64  # so many, in a picture of few boxes
FEW_BOXES = 6
MOST_RESULTS = 8  # a layer of more results shows them without their local derivatives
DELTA = "δ"
SEVERAL = "used several times"
DERIVATIVES = "d out / d in"
MOST_SENTENCES = 60  # of the description for those who can't see a picture


class Row(NamedTuple):
    """A parameter in a box: what flows back to it, its name, what it holds, and its gradient.

    Or, in a layer of several results, one of these, above the parameters that it depends on.
    """

    back: str
    name: str
    data: str
    grad: str
    is_result: bool = False


class Content(NamedTuple):
    """What is written in a box.

    title        its first line
    under        what it computes, or where its parameters are
    lines        further lines, each of a kind: "data", "grad", "terms" or "note"
    data         its numbers as a grid, if it is an array
    grad         its gradient as a grid
    delta        what the rules of a layer call δ
    rows         its parameters, and the results that they are for
    derivatives  those of the results of a layer of numbers, by the numbers that come in
    sockets      what flows back to each operand; "" for one that gets nothing
    """

    title: str
    lines: list[tuple[str, str]]
    under: str = ""
    data: Grid | None = None
    grad: Grid | None = None
    delta: str = ""
    rows: Sequence[Row] = ()
    derivatives: Grid | None = None
    sockets: Sequence[str] = ()


class Chain(NamedTuple):
    """The operation that a layer's rules are those of, and what they call its gradient.

    `delta` says what that is, and `others` what operands without names are called, by their ids.
    """

    step: Any
    upstream: str = "g"
    delta: str = ""
    others: Mapping[int, str] = {}


class Words:
    """Writes the boxes of a sketch."""

    def __init__(
        self, sketch: Sketch, names: Names, gradients: bool = True, elements: int | None = None
    ) -> None:
        self.graph: Graph = sketch.graph
        self.names = names
        self.formulas = Formulas(names)
        self._sketch = sketch
        self._gradients = gradients
        if elements is None:
            elements = ROOM if len(sketch.boxes) <= FEW_BOXES else ELEMENTS
        self._elements = elements
        self._is_crowded = sketch.is_layered or sketch.is_compact
        self._digits = 3 if self._is_crowded else 4
        self._shares = self._shares_in_order()
        self._contents: dict[str, Content] = {}  # by the keys of the boxes

    def _shares_in_order(self) -> dict[Any, list[Data]]:
        """The shares of each gradient, in the order in which the value was used."""
        shares = defaultdict[Any, list[Data]](list)
        for step in self.graph.steps:
            for use in enumerate(step.inputs):
                c = self.graph.contributions.get((step, use[0]))
                if c is not None:
                    shares[c.operand].append(c.share)
        return shares

    # ── Boxes ────────────────────────────────────────────────────────────────────────────────────
    def content(self, box: Box) -> Content:
        """What is written in a box."""
        content = self._contents.get(box.key)
        if content is None:
            content = self._contents[box.key] = self._content(box)
        return content

    def _content(self, box: Box) -> Content:
        slopes = self._slopes(box)
        sockets = [self._socket(box, socket, slopes) for socket in box.sockets]
        if box.constants:
            return self._constants(box)
        lines: list[tuple[str, str]] = []
        data = grad = None
        if box.value is not None:
            lines, data, grad = self._numbers(box.value)
        elif box.results:
            lines, data, grad = self._results(list(box.results))
        of_results = self._slopes_of_results(box)
        rows = self._rows_by_result(box, of_results)
        if rows:
            # The results are rows too.
            lines = [line for line in lines if line[0] == "note"]
            data = grad = None
        else:
            rows = self._rows(box, slopes)
        if self._sketch.is_layered and all(shown in (NOTHING, WHOLE) for shown in sockets):
            sockets = []  # such a strip would say nothing
        return Content(
            title=self.title(box),
            lines=[*lines, *self._stored(box.leaves)],
            under=self._under(box),
            data=data,
            grad=grad,
            delta=self._chain(box).delta,
            rows=rows,
            derivatives=self._derivatives(box, of_results),
            sockets=sockets,
        )

    def _under(self, box: Box) -> str:
        """Below the title: what a layer computes, or where the weights of a neuron are."""
        if box.look == "layer":
            return text.short(", ".join(dict.fromkeys(str(step.op) for step in box.steps)), 28)
        if self._sketch.is_compact and box.steps and box.leaves and not box.module:
            return _common_path([self.names.of(x) for x in box.leaves])
        return ""

    def title(self, box: Box) -> str:
        """The first line of a box."""
        value = box.value
        if box.look == "layer" or (box.is_layer and box.module is not None):
            path = box.module or ""
            return self._sketch.layers.title(path, box.steps, within=self._sketch.frame_of(box))
        if box.is_table:
            return SEVERAL
        if value is None:
            return _operations(box.steps)
        if len(box.steps) > 1 and not box.is_layer:
            return self.formulas.title(value, self._formula_of(box))
        return self.formulas.title(value)

    def _formula_of(self, box: Box) -> Formula:
        """What a box of several operations computes; Σ stands for a long sum, or one with rows."""
        most_terms = 0 if self._sketch.is_compact else TERMS
        return self.formulas.fitting(lambda operand: formula_of(box, operand, most_terms))

    def _constants(self, box: Box) -> Content:
        """A constant, with what it held, or several that go into a layer."""
        (x, held), *others = box.constants
        name = self.names.of(x)
        if others:
            numbers = [held for _, held in box.constants]
            if all(not np.ndim(x) for x in numbers) and len(numbers) <= text.FEW:
                return Content("", [("data", text.numbers(np.array(numbers)))])
            return Content("", [("data", _counted(numbers))])
        if np.ndim(held) and np.asarray(held).dtype.kind in "fiub":
            return Content(name, [], data=self._grid(held))
        return Content(name, [("data", text.data(held))])

    def _numbers(self, x: Value) -> tuple[list[tuple[str, str]], Grid | None, Grid | None]:
        """A value's numbers and its gradient, as lines and, of an array, as grids."""
        first, *others = self.graph.held[x]
        total = self.graph.gradient.get(x)
        lines = []
        data = grad = None
        if np.ndim(first):
            data = self._grid(first)
        else:
            lines.append(("data", text.numbers(first)))
        for held in others:
            lines.append(("note", f"then {text.data(held)}"))
        if x in self.graph.moved and not same(x._numbers, self.graph.held[x][-1]):
            lines.append(("note", f"now {text.data(x._numbers)}"))
        if total is not None:
            if np.ndim(total):
                grad = self._grid(total)
            else:
                lines.append(("grad", f"grad {text.numbers(total)}"))
            lines += self._terms(total, self._shares.get(x, []))
        if self._gradients and not _agree(total, x.grad):
            lines.append(("note", f"stored grad {text.gradient(x.grad)}"))
        return lines, data, grad

    def _terms(self, total: Data, shares: Sequence[Data]) -> list[tuple[str, str]]:
        """On a line of its own, the shares of which a gradient is the sum."""
        if len(shares) <= 1:
            return []
        if len(shares) <= 4 and not np.ndim(total) and not self._is_crowded:
            return [("terms", "= " + " + ".join(map(_in_brackets, shares)))]
        return [("terms", f"the sum of {len(shares)} shares")]

    def _results(
        self, results: Sequence[Any]
    ) -> tuple[list[tuple[str, str]], Grid | None, Grid | None]:
        """What a layer sends on, if that is several values."""
        if any(x.shape for x in results) or len(results) > text.FEW + 2:
            return [("note", f"out: {_counted(x._numbers for x in results)}")], None, None
        data = self._grid(np.array([x._numbers for x in results]))
        scale = f", {data.scale}" if data.scale else ""
        data = data._replace(head=f"out: {len(results)} numbers{scale}")
        totals = [self.graph.gradient.get(x) for x in results]
        has_all = all(total is not None for total in totals)
        return [], data, self._grid(np.array(totals)) if has_all else None

    def _grid(self, x: Any) -> Grid:
        return grid(x, self._elements)

    def _rows(self, box: Box, slopes: dict[Any, float]) -> list[Row]:
        """The parameters of a layer, or the leaves of a sum, a row each."""
        leaves = self._leaves_in_order(box)
        if len(leaves) > (SHARED_ROWS if box.is_table else ROWS):
            return [self._summary(leaves)]
        rows = []
        for x in leaves:
            uses = box.leaves[x]
            total = self.graph.gradient.get(x)
            gradient = _gradient_in_short(total)
            back = ""
            if uses and slopes and all(use in slopes for use in uses):
                back = f"× {text.number(_added(slopes, uses), 3)}"
                if len(self.graph.shares[x]) > len(uses):
                    flows = [self.graph.contributions[use].share for use in uses]
                    gradient = f"→ {text.number(float(sum(flows)), 3)}"
            elif box.is_layer and total is not None:
                back = self._back(box, x)
            rows.append(Row(back, self._name_in(box, x), self._held_in_short(x), gradient))
        return rows

    def _leaves_in_order(self, box: Box) -> list[Any]:
        """The leaves of a box, those of a layer in the order of its parameters."""
        leaves = list(box.leaves)
        if box.is_layer:
            order = {x: i for i, x in enumerate(self._sketch.layers.names)}
            leaves.sort(key=lambda x: order.get(x, 0))
        return leaves

    def _held_in_short(self, x: Any) -> str:
        """What a leaf held, a number or a shape, and whether it has changed since."""
        held = self.graph.held.get(x, [x._numbers])[0]
        shown = shape(held) if np.ndim(held) else text.number(float(held), 3)
        if x in self.graph.moved:
            now = "changed" if np.ndim(held) else f"now {text.number(float(x._numbers), 3)}"
            shown = f"{shown}, {now}"
        return shown

    def _back(self, box: Box, x: Any) -> str:
        """How a layer of arrays makes the gradient of a parameter, such as "gᵀ @ x"."""
        shares = self.graph.shares[x]
        if len(shares) > 1:
            return f"sum of {len(shares)} shares"
        chain = self._chain(box)
        for step, position in box.leaves[x]:
            if step is chain.step:
                rule = self.formulas.rule(
                    step, position, upstream=chain.upstream, others=chain.others
                )
                return "" if UNNAMED in rule else rule
        return ""

    def _chain(self, box: Box) -> Chain:
        """What the rules of a layer of arrays begin with: its last operation or, if that is an
        activation, the one before it.
        """
        step = box.value
        if not box.is_layer or step is None or not step.shape:
            return Chain(None)
        if step not in self.graph.gradient:
            return Chain(None)
        out = self.names.last_part(step) or "out"
        delta = ""
        upstream = "g"
        inside = {id(each) for each in box.steps}
        if step.op in ACTIVATIONS and id(step.inputs[0]) in inside:
            before = step.inputs[0]
            if len(self.graph.shares[before]) > 1:
                return Chain(None)
            rule = f"g where {out} > 0"
            if step.op != "relu":
                rule = self.formulas.rule(step, 0, others={id(step): out})
            delta = f"{DELTA} = {rule}"
            upstream = DELTA
            step = before
        others = {id(x): "in" for x in step.inputs if id(x) not in inside}
        return Chain(step, upstream, delta, others)

    # ── Layers of several results ────────────────────────────────────────────────────────────────
    def _slopes_of_results(self, box: Box) -> dict[Any, dict[Use, float]]:
        """For each result of a layer of numbers, d result / d operand for each use of an operand.

        A result that another one uses is held still there: what flows back through it is in its
        own gradient already.
        """
        results = dict.fromkeys(box.results)
        if not box.is_layer or not 0 < len(results) <= MOST_RESULTS:
            return {}
        if any(x not in self.graph.gradient for x in results) or not _is_of_numbers(box.steps):
            return {}
        slopes = {}
        for result in results:
            steps = [step for step in box.steps if step is result or step not in results]
            slopes[result] = self.graph.local_derivatives(result, steps)
        return slopes

    def _rows_by_result(self, box: Box, slopes: dict[Any, dict[Use, float]]) -> list[Row]:
        """The results of a layer of numbers, each with the parameters that it depends on.

        Parameters that several results depend on stand below each of them and, with their whole
        gradient, at the end. There are no such rows if they would be too many, nor for a single
        result, unless a module in that of the box computes it.
        """
        leaves = self._leaves_in_order(box)
        if not slopes or not leaves or len(leaves) > ROWS:
            return []
        if len(slopes) == 1 and not self._module_of(leaves, box):
            return []
        affected: dict[Any, list[Any]] = {}  # the results that depend on a parameter
        for x in leaves:
            affected[x] = [
                result
                for result, derivatives in slopes.items()
                if any(use in derivatives for use in box.leaves[x])
            ]
        is_long = sum(map(len, affected.values())) > 2 * ROWS
        if is_long or not all(affected.values()):
            return []
        rows = []
        for i, (result, derivatives) in enumerate(slopes.items()):
            own = [x for x in leaves if result in affected[x]]
            module = self._module_of([x for x in own if len(affected[x]) == 1], box)
            number = text.subscript(i + 1) if len(slopes) > 1 else ""
            name = self.names.of(result) or f"out{number}"
            if module:
                name = f"{self._within(box.module, module)}: {name}"
            g = float(self.graph.gradient[result])
            data = text.number(float(result._numbers), 3)
            rows.append(Row("", name, data, text.number(g, 3), is_result=True))
            for x in own:
                slope = _added(derivatives, box.leaves[x])
                is_all = len(affected[x]) == 1 and len(self.graph.shares[x]) == len(box.leaves[x])
                if is_all:
                    gradient = _gradient_in_short(self.graph.gradient[x])
                else:
                    gradient = f"→ {text.number(slope * g, 3)}"
                shown = self._within(module or box.module, self.names.of(x))
                back = f"× {text.number(slope, 3)}"
                rows.append(Row(back, shown, self._held_in_short(x), gradient))
        several = [x for x in leaves if len(affected[x]) > 1]
        if several:
            rows.append(Row("", SEVERAL, "", "", is_result=True))
        for x in several:
            gradient = _gradient_in_short(self.graph.gradient[x])
            rows.append(Row("", self._name_in(box, x), self._held_in_short(x), gradient))
        return rows

    def _module_of(self, leaves: Sequence[Any], box: Box) -> str:
        """The path of a module in that of the box which has all these parameters; "" if none."""
        layers = self._sketch.layers
        owners = [layers.owner[x] for x in leaves if x in layers.owner]
        if not owners:
            return ""
        path = layers.innermost(owners)
        is_inside = path != box.module and box.module in layers.nesting[path]
        return path if is_inside else ""

    def _within(self, module: str | None, name: str) -> str:
        """A path or a name from within a module."""
        return name.removeprefix(f"{module}.") if module else name

    def _derivatives(self, box: Box, slopes: dict[Any, dict[Use, float]]) -> Grid | None:
        """A row for each result of a layer of numbers, and a column for each number that comes in.

        Only where all these come from one box: the columns are in the order of its results.
        """
        sockets = []
        for socket in box.sockets:
            if any(use in self.graph.contributions for use in socket.uses):
                sockets.append(socket)
        if not slopes or len(sockets) != 1:
            return None
        (socket,) = sockets
        uses = defaultdict[Any, list[Use]](list)
        for step, position in socket.uses:
            uses[step.inputs[position]].append((step, position))
        source = self._sketch.boxes[socket.source]
        operands = [x for x in source.results or [source.value] if x in uses]
        if len(operands) < len(uses) or not 1 < max(len(operands), len(slopes)) <= MOST_RESULTS:
            return None
        matrix = []
        for derivatives in slopes.values():
            matrix.append([_added(derivatives, uses[x]) for x in operands])
        made = grid(np.array(matrix), MOST_RESULTS**2)
        scale = f", {made.scale}" if made.scale else ""
        return made._replace(head=f"{DERIVATIVES}{scale}")

    def _summary(self, leaves: Sequence[Any]) -> Row:
        """Of many parameters: how many there are, and the size of their gradient."""
        totals = [self.graph.gradient[x] for x in leaves if x in self.graph.gradient]
        count = sum(x.size for x in leaves)
        return Row("", f"{count:,} parameters", "", f"grad {_size(totals)}" if totals else "")

    def _name_in(self, box: Box, x: Any) -> str:
        """The name of a parameter within its layer, whose path is the title of the box."""
        name = self.names.of(x)
        if box.is_table:
            return name
        if box.is_layer:
            prefix = f"{box.module}."
            return name.removeprefix(prefix) if box.module else name
        return self.names.last_part(x)

    def _stored(self, leaves: Iterable[Any]) -> list[tuple[str, str]]:
        """The size of the stored gradients of rows, if these are not the ones in the picture."""
        gradient = self.graph.gradient
        if not self._gradients or all(_agree(gradient.get(x), x.grad) for x in leaves):
            return []
        stored = [x.grad for x in leaves if x.grad is not None]
        return [("note", f"stored grad of the rows: {_size(stored) if stored else None}")]

    # ── Sockets ──────────────────────────────────────────────────────────────────────────────────
    def _slopes(self, box: Box) -> dict[Any, float]:
        """d value / d operand for each use in a box of several operations on numbers."""
        has_gradient = box.value in self.graph.gradient if box.value is not None else False
        if not has_gradient or len(box.steps) < 2 or not _is_of_numbers(box.steps):
            return {}
        return self.graph.local_derivatives(box.value, box.steps)

    def _socket(self, box: Box, socket: Socket, slopes: dict[Any, float]) -> str:
        """What flows back to an operand."""
        contributions = self.graph.contributions
        flows = [contributions[use] for use in socket.uses if use in contributions]
        if not flows:
            return NOTHING if contributions else ""
        totals = defaultdict[Any, Data](float)  # what each value gets by all its uses
        for c in flows:
            totals[c.operand] = totals[c.operand] + c.share
        if len(totals) > 1:
            # Where these are their whole gradients, the box that they come from shows them.
            is_all = sum(len(self.graph.shares[x]) for x in totals) == len(flows)
            return WHOLE if is_all else f"→ {_size(totals.values())}"
        [(operand, total)] = totals.items()
        slope = None
        if slopes:
            slope = _added(slopes, socket.uses)
        elif len(flows) == 1 and flows[0].result is box.value:
            slope = flows[0].slope
        if slope is None or np.ndim(total):
            return self._rule(box, flows, total)
        if not slopes and not is_product(flows[0]):
            return f"→ {text.numbers(total)}"
        factor = self._factor(operand, slope, total)
        name = self.names.of(operand)
        return f"{name}: {factor}" if self._sketch.is_compact and name else factor

    def _factor(self, operand: Any, slope: float, share: Data) -> str:
        """A local derivative and the share of the operand's gradient that it makes.

        In a crowded picture the share is left out where it is the operand's whole gradient.
        """
        factor = f"× {text.number(slope, self._digits)}"
        if self._is_crowded and len(self.graph.shares[operand]) == 1:
            return factor
        return f"{factor} → {text.number(float(share), self._digits)}"

    def _rule(self, box: Box, flows: Sequence[Contribution], total: Data) -> str:
        """The rule by which an array's gradient flows back."""
        step = flows[0].result
        is_a_sum = all(each.op == "add" for each in box.steps)
        chain = self._chain(box)
        rule = ""
        if len(flows) == 1 and (step is box.value or is_a_sum):
            rule = self.formulas.rule(step, flows[0].position)
        elif len(flows) == 1 and step is chain.step:
            rule = self.formulas.rule(step, flows[0].position, upstream=chain.upstream)
        if not rule:
            return f"→ {text.gradient(total)}"
        return rule if np.ndim(total) else f"{rule} → {text.numbers(total)}"

    def starts_with_one(self) -> bool:
        """Whether the reverse pass has started with 1, so that it computes derivatives."""
        start = self.graph.gradient.get(self.graph.output)
        return start is not None and bool(np.size(start) == 1 and np.all(start == 1))

    # ── Above the picture ────────────────────────────────────────────────────────────────────────
    def caption(self) -> list[str]:
        """How to read the sockets, and which leaves have changed."""
        boxes = self._sketch.boxes.values()
        contents = [self.content(box) for box in boxes]
        sockets = [socket for content in contents for socket in content.sockets]
        rows = [row for content in contents for row in content.rows]
        looks = {box.look for box in boxes}
        kinds = [said for look, said in LOOKS_IN_WORDS.items() if look in looks]
        said = [", ".join(kinds).capitalize() + "."] if len(kinds) > 1 else []
        has_slopes = any(socket.startswith("×") or ": ×" in socket for socket in sockets)
        if self.starts_with_one():
            output = self.names.of(self.graph.output) or "result"
            said.append(f"grad: d {text.within(text.short(output, 24))} / d box.")
        if has_slopes:
            said.append("Shaded: the box's gradient × local derivative → share for the operand.")
        rules = [*sockets, *(row.back for row in rows), *(content.delta for content in contents)]
        if any(map(mentions_g, rules)):
            shaded = "" if has_slopes else "Shaded: what flows back to the operand. "
            said.append(f"{shaded}g is the gradient of the box.")
        if any(content.delta for content in contents):
            said.append(f"{DELTA}: the gradient before the activation.")
        if any(re.search(r"\bin\b", row.back) for row in rows):
            said.append("in: what comes in.")
        if any("Σ" in content.title for content in contents):
            said.append("Σ: the sum of what comes in and of the rows, weights times inputs.")
        if any(row.back.startswith("×") for row in rows):
            said.append(_how_to_read([content.rows for content in contents]))
        if any(content.derivatives is not None for content in contents):
            said.append(
                f"{DERIVATIVES}: a column for each number that comes in; "
                "times the grads of out, it adds up to what flows back to it."
            )
        if any("size " in shown for shown in (*sockets, *(row.grad for row in rows))):
            said.append("size: the root of the sum of the squares of all elements.")
        if any(content.data or content.derivatives for content in contents):
            said.append("Tints: blue above 0, orange below, on a scale for each array.")
        if self.graph.moved:
            names = ", ".join(self.names.of(x) or "a leaf" for x in self.graph.moved)
            said.append(
                f"Changed since this was computed, and shown as of then: {text.short(names)}"
            )
        return said

    def description(self) -> str:
        """The graph in words, for those who can't see it."""
        sentences = []
        for box in self._sketch.boxes.values():
            content = self.content(box)
            details = [line for kind, line in content.lines if kind != "terms"]
            if content.data is not None:
                details.append(content.data.head)
            parts = [content.title, ", ".join(detail for detail in details if detail)]
            sentences.append(": ".join(part for part in parts if part))
        shown = [sentence for sentence in sentences if sentence][:MOST_SENTENCES]
        more = len(sentences) - len(shown)
        return ". ".join([*shown, f"And {more} more boxes" if more else ""]).rstrip(". ") + "."


def _how_to_read(tables: Iterable[Sequence[Row]]) -> str:
    """How the rows of these boxes that have a local derivative are read."""
    with_slopes = [rows for rows in tables if any(row.back.startswith("×") for row in rows)]
    below_results = [rows for rows in with_slopes if rows[0].is_result]
    if not below_results:
        said = "d box / d row; times the box's grad, it is the row's grad"
    elif len(below_results) == len(with_slopes):
        said = "d out / d row, for the out above; times its grad, it is the row's grad"
    else:
        said = "d out / d row, for the out above or the box; times its grad, it is the row's grad"
    if any(row.grad.startswith("→") for rows in with_slopes for row in rows):
        said += ", or → a share of it"
    return f"× in a row: {said}."


def formula_of(box: Box, operand: Written, most_terms: int) -> Formula:
    """What a box of one operation or several computes. Σ is a sum of more than `most_terms`."""
    inside = {id(step) for step in box.steps}

    def inner(x: Any, held: Any) -> Formula:
        if id(x) not in inside:
            return operand(x, held)
        if x.op == "add" and len(box.steps) > 1:
            return a_sum(x)
        return written(x, inner)

    def a_sum(x: Any) -> Formula:
        terms: list[str] = []
        waiting = [(x, None)]
        while waiting:
            part, held = waiting.pop()
            if id(part) in inside and part.op == "add":
                waiting += reversed(list(zip(part.inputs, part.saved, strict=True)))
            else:
                term = inner(part, held)
                needs_brackets = term.binding == SUM or (terms and term.binding == SIGN)
                terms.append(f"({term.text})" if needs_brackets else term.text)
        if len(terms) > most_terms:
            return Formula("Σ", ATOM)
        return Formula(" + ".join(terms), SUM)

    return inner(box.value, None)


def _gradient_in_short(total: Any) -> str:
    """A gradient in a row: a number, or the size of an array."""
    if total is None:
        return ""
    return _size([total]) if np.ndim(total) else text.number(float(total), 3)


def is_product(c: Contribution) -> bool:
    """Whether a share is the product of the upstream gradient and the local derivative.

    Where a rule such as that of maximum selects, the share is 0 even if the product is inf × 0,
    which is nan.
    """
    with np.errstate(all="ignore"):
        return c.slope is not None and bool(
            np.isclose(c.upstream * c.slope, c.share, equal_nan=True)
        )


def _is_of_numbers(steps: Iterable[Any]) -> bool:
    """Whether these operations have neither arrays as operands nor as results."""
    return not any(np.ndim(held) for step in steps for held in (*step.saved, step._numbers))


def _added(slopes: dict[Any, float], uses: Iterable[Any]) -> float:
    return sum(slopes.get(use, 0.0) for use in uses)


def _in_brackets(share: Data) -> str:
    shown = text.numbers(share)
    return f"({shown})" if shown.startswith("−") else shown


def _common_path(names: Sequence[str]) -> str:
    """What all these names begin with, up to a dot: the object that these are parts of."""
    first, *others = (name.split(".") for name in names)
    common = []
    for i, part in enumerate(first[:-1]):
        if all(len(other) > i + 1 and other[i] == part for other in others):
            common.append(part)
        else:
            break
    return ".".join(common)


def _operations(steps: Sequence[Any]) -> str:
    """Which operations there are, and how many of each."""
    counts = Counter(step.op for step in steps)
    counted = [name if n == 1 else f"{name} ({n} times)" for name, n in counts.items()]
    return text.short(", ".join(counted), 80)


def _size(gradients: Iterable[Data]) -> str:
    """The size of several gradients taken together."""
    sizes = [text.size(g) for g in gradients]
    return f"size {text.number(text.size(sizes))}"


def _counted(data: Iterable[Data]) -> str:
    """How many arrays there are of each shape, and how many numbers."""
    shapes = Counter(shape(x) if np.ndim(x) else "" for x in data)
    numbers = shapes.pop("", 0)
    counted = [one if n == 1 else f"{n} of {one}" for one, n in shapes.items()]
    if numbers:
        counted.append(f"{numbers} number{'s' * (numbers > 1)}")
    return text.short(", ".join(counted))


def _agree(total: Any, stored: Any) -> bool:
    """Whether the gradient in the picture is the stored one, up to rounding."""
    if total is None or stored is None or np.shape(total) != np.shape(stored):
        return total is stored
    return np.allclose(total, stored, rtol=1e-5, atol=0, equal_nan=True)
