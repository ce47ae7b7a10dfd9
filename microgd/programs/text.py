"""A trace as a program for readers: the forward pass, and then the chain rule, block by block.

Each line is one that a person might write who knows NumPy. It computes the same operations as the
engine, in the same order, and the same bits. Only the way they are written is chosen for reading:

- Names are the user's own (names.py). The gradient of NAME is d_NAME.
- What is used once is written where it is used, if the line stays short.
- Each block of the backward pass is headed by the line or the layer that it goes back through.
- Remarks say once why a derivative is what it is. Beside a product stand its shapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from microgd.backprop import Node
from microgd.programs.fast import needed_calls, written_by
from microgd.programs.lines import COLUMNS, LONG, Lines, noun
from microgd.programs.names import SLOPES, SLOPES_OF_SECOND, Names, Place
from microgd.programs.phrasing import is_round_trip, range_checked, rewritten
from microgd.programs.stand_ins import Call, StandIn, stand_ins_in
from microgd.programs.trace import Trace


class Passage(NamedTuple):
    """Where a program does an operation, and where it goes back through it: numbers of lines."""

    operation: str
    forward: list[int]
    backward: list[int]


class Text(Lines):
    """Writes a trace as a function."""

    def __init__(
        self,
        made: Trace,
        names: Names,
        title: str,
        results: Sequence[StandIn],
        gradients: Sequence[tuple[Any, StandIn]],
        final_names: dict[StandIn, str],
        writes_products: bool = True,
        rate: StandIn | None = None,
        order: Mapping[StandIn, int] | None = None,
        about_update: str = "update",
    ) -> None:
        self.made = made
        self.title = title
        self._rate = rate
        self._about_update = about_update
        self._gradients = gradients
        self._position = {call: i for i, call in enumerate(made.calls)}
        results = [*results, *(x for _, x in gradients)]
        self.results = results
        calls = needed_calls(made.calls, results)
        self.calls = self._with_ranges(self._without_round_trips(calls))
        super().__init__(made, names, self._count_uses(), final_names, writes_products)
        targets = [written_by(call) for call in self.calls]
        self._writings = Counter(targets)
        self._changed = {target._owner for target in targets if type(target) is StandIn}
        self._start = 0  # how many lines stand above `lines`
        self._early_aliases: dict[Node, list[tuple[str, StandIn]]] = {}
        self._reserved: dict[StandIn, str] = {}  # names of what is computed forward
        self._aliases: dict[Node, list[tuple[str, StandIn]]] = {}
        self._block_starts: list[int] = []  # the lines that head the blocks of the way back
        self._block_of: dict[Node, int] = {}
        self._gradient_of: dict[Any, str] = {}  # the names of gradients, by node
        inputs = _used_inputs(made, self.calls, results)
        self.inputs = sorted(inputs, key=lambda each: _rank(each, rate, order or {}))

    def _without_round_trips(self, calls: list[Call]) -> list[Call]:
        """The calls, with x[i] -= y in place of taking x[i], changing it, and putting it back."""
        found: list[Call] = []
        i = 0
        while i < len(calls):
            three = calls[i : i + 3]
            if len(three) == 3 and is_round_trip(*three):
                item, change, _ = three
                arguments = (*item._arguments, change._arguments[1])
                call = rewritten(change, "in place item", change._name, arguments)
                self._position[call] = self._position[change]
                found.append(call)
                i += 3
            else:
                found.append(calls[i])
                i += 1
        return found

    def _with_ranges(self, calls: list[Call]) -> list[Call]:
        """The calls, with one check in place of three that a number has a moderate size."""
        found: list[Call] = []
        i = 0
        while i < len(calls):
            size = range_checked(calls[i : i + 7])
            if size is None:
                found.append(calls[i])
                i += 1
            else:
                bounds = calls[i + 3]._arguments[1], calls[i + 5]._arguments[1]
                check = rewritten(calls[i + 1], "range", bounds, (size,))
                self._position[check] = self._position[calls[i + 1]]
                found.append(check)
                i += 7
        return found

    def _count_uses(self) -> dict[StandIn, int]:
        uses: dict[StandIn, int] = {}
        for call in self.calls:
            for x in stand_ins_in((call._arguments, call._options)):
                uses[x] = uses.get(x, 0) + 1
        for x in self.results:
            uses[x] = uses.get(x, 0) + 1
        return uses

    # ── The program ──────────────────────────────────────────────────────────────────────────────
    def write(self) -> str:
        """The text of the function."""
        made = self.made
        for each in self.inputs:
            self._taken_names[each.stand_in] = self._pool.take(each.name)
        self._find_nodes()
        self._name_gradients()
        self._write_forward()
        if made.seed is not None and made.blocks:
            self._write_backward()
        self._flush()
        count = len(self.results) - len(self._gradients)
        returned = [self._writer.within(x, 1) for x in self.results[:count]]
        for value, x in self._gradients:
            returned.append(self._gradient_of.get(value) or self._writer.within(x, 1))
        self._end_block()
        if len(", ".join(returned)) > COLUMNS - 11:
            self.lines += _wrapped("    return (", returned, ")")
        else:
            self.lines.append(f"    return {', '.join(returned)}")
        arguments = [self._taken_names[each.stand_in] for each in self.inputs]
        head = _wrapped(f"def {self.title}(", [*arguments, *self.objects], "):")
        start = [*head, *self._checks()]
        self._start = len(start)
        return "\n".join([*start, *self.lines])

    def forms(self) -> dict[str, Any]:
        """The forms of the arguments, by name: float, or a shape and a dtype."""
        forms: dict[str, Any] = {}
        for each in self.inputs:
            value = each.stand_in._value
            form = (value.shape, value.dtype) if type(value) is ndarray else None
            forms[self._taken_names[each.stand_in]] = float if type(value) is float else form
        return forms

    def notes(self) -> dict[int, str]:
        """What the lines of the text compute, by their numbers: a number, or a shape."""
        return {self._start + i: _summary(x._value) for i, x in self._computed.items()}

    def passages(self) -> list[Passage]:
        """Where the text does each operation, and goes back through it, as they were recorded."""
        nodes: list[Any] = [node for _, node in self.made.blocks if node._operation is not None]
        nodes.sort(key=lambda node: node._order)
        passages = []
        for node in nodes:
            numbers = node._numbers
            written = self.line_of.get(numbers) if type(numbers) is StandIn else None
            forward = [self._start + i for i in self._place_of.get(written or "", ())]
            backward: list[int] = []
            block = self._block_of.get(node)
            if block is not None:
                start, end = self._block_starts[block : block + 2]
                backward = [self._start + i for i in range(start, end) if self.lines[i]]
            passages.append(Passage(node._operation.name, forward, backward))
        return passages

    def _find_nodes(self) -> None:
        for _, node in self.made.blocks:
            numbers: Any = node._numbers
            if type(numbers) is StandIn and numbers._kind not in ("input", "constant"):
                self._operations.setdefault(numbers, node)

    def _write_forward(self) -> None:
        heading = None
        for call in self.calls:
            if self._position[call] >= self.made.forward:
                break
            title = self._title(call)
            if title != heading and not (type(call) is StandIn and call._kind == "constant"):
                self._flush()
                if self.lines and (title or heading):
                    self._end_block()
                if title:
                    self._comment(LONG[title].heading if title in LONG else title)
                heading = title
            self._write(call)
        self._flush()

    def _title(self, call: Call) -> str | None:
        """The layer, or the operation of several lines, that a call of the forward pass is in."""
        place: Place | None = call._place
        if place is None:
            return None
        if place.module is not None:
            title = self._names.titles.get(id(place.module))
            if title and title[1]:
                return title[1]
        return place.operation if place.operation in LONG else None

    def _write_backward(self) -> None:
        made = self.made
        self._end_block()
        output = self._taken_names.get(made.output._numbers, "output")
        self.lines.append(f"    # Backward: d_NAME is d {output} / d NAME.")
        if any(type(each.stand_in._value) is ndarray for each in self.inputs):
            self.lines.append("    # It has the shape of NAME: a slope for each element.")
        backward = [c for c in self.calls if self._position[c] >= made.forward]
        first_block, _ = made.blocks[0]
        for call in backward:
            if self._position[call] < first_block:
                self._write(call, force=True)
        if made.seed is not None and made.seed not in self._taken_names:
            self._assign(made.seed, *self._writer.plain(made.seed._name), [])
        end = made.update_from if made.update_from is not None else len(made.calls)
        self._write_blocks(backward, end)
        after = [c for c in backward if self._position[c] >= end]
        if after:
            self._write_heading_of_update()
            self._write_update(after)

    def _write_blocks(self, backward: Sequence[Call], end: int) -> None:
        """Write the way back: a block for each line or layer that it goes back through."""
        gradients = dict(self.made.totals)
        positions = [self._position[c] for c in backward]
        bounds = [*(place for place, _ in self.made.blocks), end]
        heading: str | None = None
        renamed: dict[Any, str] = {}
        for i, (_, node) in enumerate(self.made.blocks):
            first, last = (bisect_left(positions, bound) for bound in bounds[i : i + 2])
            calls = backward[first:last]
            aliases = self._aliases.get(node, [])
            early_aliases = self._early_aliases.get(node, [])
            if not calls and not aliases and not early_aliases:
                continue
            title = self._head(node)
            if title != heading:
                self._flush()
                self._end_block()
                self._block_starts.append(len(self.lines))
                self._comment(f"back through {title}")
                heading = title
                self._restore_names(renamed)
            self._block_of[node] = len(self._block_starts) - 1
            for remark in self._about_slope(node):
                self._remark(remark)
            # Within its block, the gradient of e has the name d_e, even if it is d_d as well.
            total = gradients.get(node)
            if node in self._gradient_of and total in self._taken_names:
                renamed.setdefault(total, self._taken_names[total])
                self._taken_names[total] = self._gradient_of[node]
            self._write_aliases(early_aliases)
            for call in calls:
                self._write(call)
            self._write_aliases(aliases)
        self._flush()
        self._block_starts.append(len(self.lines))
        self._restore_names(renamed)

    def _write_heading_of_update(self) -> None:
        self._end_block()
        for line in self._about_update.splitlines():
            self._comment(line)
        if self._rate is not None:
            name = self._taken_names[self._rate]
            self._comment(
                "lr becomes Python's float: NumPy's float64 would make float64 of weights."
            )
            self.lines.append(f"    {name} = float({name})")

    def _write_update(self, calls: Sequence[Call]) -> None:
        """Write how each parameter is moved. If that takes many lines, they are a block."""
        leaves = [each for each in self.inputs if each.value is not None and each.path is None]
        parameters = {self._taken_names[each.stand_in] for each in leaves}
        start = len(self.lines)
        is_moved = False
        for call in calls:
            if is_moved:
                if len(self.lines) - start > 2:
                    self._end_block()
                start = len(self.lines)
            self._write(call)
            is_moved = type(call) is StandIn and self._final_names.get(call) in parameters
        self._flush()

    def _write_aliases(self, aliases: Sequence[tuple[str, StandIn]]) -> None:
        """Write that a gradient is that of another, as d_e = d_d: the local derivative is 1."""
        if aliases:
            self._flush()
        for name, x in aliases:
            self._computed[len(self.lines)] = x
            self.lines.append(f"    {name} = {self._writer.within(x, 0)}")

    def _restore_names(self, renamed: dict[Any, str]) -> None:
        self._taken_names.update(renamed)
        renamed.clear()

    def _about_slope(self, node: Node) -> list[str]:
        """What there is to say about the derivatives of an operation."""
        name = node._operation.name if node._operation else ""
        remarks = [SLOPES[name]] if name in SLOPES else []
        has_second = len(node._operands) > 1 and isinstance(node._operands[1], Node)
        if has_second and name in SLOPES_OF_SECOND:
            remarks.append(SLOPES_OF_SECOND[name])
        return remarks

    def _head(self, node: Node) -> str:
        """What a block of the backward pass goes back through."""
        numbers: Any = node._numbers
        title = self._title(numbers) if type(numbers) is StandIn else None
        if title:
            return title
        line = self.line_of.get(numbers)
        if line is not None:
            return line
        return node._operation.name if node._operation else "a constant"

    def _name_gradients(self) -> None:
        """Names such as d_NAME for the gradients of all that has a name."""
        made = self.made
        consumer: dict[Node, Node] = {}
        first_consumer: dict[Node, Node] = {}
        for _, node in made.blocks:
            for operand in node._operands:
                if isinstance(operand, Node):
                    consumer[operand] = node
                    first_consumer.setdefault(operand, node)
        named = {each.value: each for each in self.inputs if each.value is not None}
        in_order = sorted(made.totals, key=lambda pair: pair[0]._order)
        for node, _ in in_order:  # the first has the name without a number
            self._own_name(node, named)
        for node, total in made.totals:
            name = self._own_name(node, named)
            if type(total) is not StandIn:
                continue
            if name is None:
                self._inner_names.setdefault(total, f"d_{noun(node)}")
                continue
            gradient_name = f"d_{name}"
            is_new = self._position.get(total, -1) >= made.forward or total is made.seed
            if is_new and total not in self._gradient_names:
                taken = self._pool.take(gradient_name)
                self._gradient_names[total] = taken
                self._gradient_of[node] = taken
                self._name_partial_sums(total, taken, first_consumer.get(node))
            elif node in consumer:
                taken = self._pool.take(gradient_name)
                self._gradient_of[node] = taken
                self._aliases.setdefault(consumer[node], []).append((taken, total))

    def _own_name(self, node: Node, named: dict[Any, Any]) -> str | None:
        """The name of a node, if it has one forward."""
        if node in named:
            return self._taken_names[named[node].stand_in]
        numbers: Any = node._numbers
        if type(numbers) is not StandIn or numbers._kind in ("input", "constant"):
            return None
        is_visible = self._uses.get(numbers, 0) > 1 or self._is_named(numbers)
        is_visible = is_visible or node is self.made.output
        if not is_visible and not node.name and not self._title(numbers):
            return None
        if numbers not in self._reserved:
            self._reserved[numbers] = self._name(numbers)
            self._final_names[numbers] = self._reserved[numbers]
        return self._reserved[numbers]

    def _name_partial_sums(self, total: StandIn, name: str, first: Node | None) -> None:
        """The contributions so far have the name of their sum: d_a = ..., and then d_a = d_a + ...

        The first may be the gradient of another, as that of a in a + b. Then it is written as a
        line in the block of the node that made it: d_a = d_c.
        """
        part: Any = total
        while type(part) is StandIn and part._place is not None and part._place.is_sum:
            whole = part
            part = whole._arguments[0]
            if type(part) is not StandIn:
                return
            is_new = self._position.get(part, -1) >= self.made.forward
            is_own = is_new and self._readings(part) == 1 and part not in self._gradient_names
            if is_own:
                self._gradient_names[part] = name
                continue
            if first is not None and self._is_known_before(part, first):
                self._early_aliases.setdefault(first, []).append((name, part))
                self.left_names[whole] = name
            return

    def _readings(self, x: StandIn) -> int:
        """How often it is used, apart from being written into."""
        return self._uses.get(x, 0) - self._writings.get(x, 0)

    def _is_known_before(self, x: StandIn, node: Node) -> bool:
        """Whether a gradient is computed before the contributions of this node."""
        start = next(place for place, each in self.made.blocks if each is node)
        return x is self.made.seed or self._position.get(x, start) < start

    def _checks(self) -> list[str]:
        """The check of shapes and dtypes that a program begins with."""
        arrays = []
        for each in self.inputs:
            value = each.stand_in._value
            if type(value) is ndarray:
                name = self._taken_names[each.stand_in]
                arrays.append(f"({name}, {value.shape}, np.{value.dtype.name})")
        if not arrays:
            return []
        return [
            *_wrapped("    for array, shape, dtype in [", arrays, "]:"),
            "        if array.shape != shape or array.dtype != dtype:",
            "            raise ValueError(",
            '                f"expected shape {shape} of {dtype.__name__}, "',
            '                f"but got shape {array.shape} of {array.dtype}"',
            "            )",
            "",
        ]


def _summary(x: Any) -> str:
    return f"{x:.6g}" if np.ndim(x) == 0 else f"shape {x.shape}"


def _wrapped(head: str, parts: list[str], tail: str) -> list[str]:
    """Parts with commas between them, in one line or in several."""
    one_line = f"{head}{', '.join(parts)}{tail}"
    if len(one_line) <= COLUMNS:
        return [one_line]
    indent = " " * (len(head) - len(head.lstrip()) + 4)
    lines = [head]
    line = indent
    for part in parts:
        if len(line) + len(part) + 1 > COLUMNS and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += f"{part}, "
    lines.append(line.rstrip())
    lines.append(f"{indent[4:]}{tail}")
    return lines


def _rank(each: Any, rate: StandIn | None, order: Mapping[StandIn, int]) -> tuple[int, int]:
    """Where an argument stands: the function's own, others, weights and states, and the rate."""
    if each.stand_in is rate:
        return 3, 0
    if each.stand_in in order:
        return 2, order[each.stand_in]
    return (0 if each.path is not None else 1), 0


def _used_inputs(made: Trace, calls: Sequence[Call], results: Sequence[StandIn]) -> list[Any]:
    used = set(results)
    for call in calls:
        used.update(stand_ins_in((call._arguments, call._options)))
    return [each for each in made.inputs if each.stand_in in used]
