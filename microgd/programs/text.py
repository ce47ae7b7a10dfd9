"""A trace as a program for readers: the forward pass, and then the chain rule, block by block.

Each line is one that a person might write who knows NumPy. It computes the same operations as the
engine, in the same order, and the same bits. Only the way they are written is chosen for reading:

- Names are the user's own (names.py). The gradient of NAME is d_NAME.
- What is used once is written where it is used, if the line stays short.
- Each block of the backward pass is headed by the line or the layer that it goes back through.
- Remarks say once why a derivative is what it is. Beside a product stand its shapes.
"""

from __future__ import annotations

import textwrap
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from microgd.backprop import Node
from microgd.programs.fast import needed_calls, written_by
from microgd.programs.names import (
    LOCAL,
    LONG_OPERATIONS,
    NOUNS,
    RANGE_REMARK,
    SLOPES,
    SLOPES_OF_SECOND,
    Names,
    Place,
    Pool,
)
from microgd.programs.phrasing import (
    Phrasing,
    is_product,
    is_round_trip,
    is_transposition,
    range_checked,
    rewritten,
)
from microgd.programs.stand_ins import Call, StandIn, stand_ins_in
from microgd.programs.trace import Trace, literal
from microgd.programs.writing import ATOM

COLUMNS = 90


@dataclass
class Pending:
    """An expression that is not written yet, because it will be a part of another."""

    call: StandIn
    text: str
    binding: int
    reads: set[StandIn]  # the memory that it is computed from
    parts: list[StandIn] = field(default_factory=list)  # what else is written in it
    is_part: bool = False  # whether it is written in another one


class Passage(NamedTuple):
    """Where a program does an operation, and where it goes back through it: numbers of lines."""

    operation: str
    forward: list[int]
    backward: list[int]


class Text:
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
        self._rate = rate
        self._about_update = about_update
        self._gradients = gradients
        results = [*results, *(x for _, x in gradients)]
        self.made = made
        self.title = title
        self.writes_products = writes_products
        self._position = {call: i for i, call in enumerate(made.calls)}
        calls = needed_calls(made.calls, results)
        self.calls = self._with_ranges(self._without_round_trips(calls))
        self.results = results
        self.pending: dict[StandIn, Pending] = {}
        self.lines: list[str] = []
        self._start = 0  # how many lines stand above them
        self.objects: dict[str, Any] = {}
        self.line_of: dict[StandIn, str] = {}  # the line in which a result is computed
        self._object_names: dict[int, str] = {}
        self._names = names
        self._pool = Pool()
        self._taken_names: dict[StandIn, str] = {}
        self._writer = Phrasing(self)
        self._uses = self._count_uses()
        targets = [written_by(call) for call in self.calls]
        self._writings = Counter(targets)
        self._changed = {target._owner for target in targets if type(target) is StandIn}
        self._gradient_names: dict[StandIn, str] = {}
        self._final_names = final_names
        self._operations: dict[StandIn, Node] = {}
        self._used_parts: list[StandIn] = []
        self._early_aliases: dict[Node, list[tuple[str, StandIn]]] = {}
        self._reserved: dict[StandIn, str] = {}  # names of what is computed forward
        self._aliases: dict[Node, list[tuple[str, StandIn]]] = {}
        self._block_starts: list[int] = []  # the lines that head the blocks of the way back
        self._block_of: dict[Node, int] = {}
        self._place_of: dict[str, range] = {}  # of an assignment, in `lines`
        self._inner_names: dict[StandIn, str] = {}  # of gradients of what has no name
        self._computed: dict[int, StandIn] = {}  # what a line computes, by its place in `lines`
        self._remarks_made: set[str] = set()
        self._is_in_range_check = False
        self.left_names: dict[StandIn, str] = {}  # of what a sum adds to
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

    # ── Names ────────────────────────────────────────────────────────────────────────────────────
    def name_of(self, x: StandIn) -> tuple[str, int]:
        """The text of a stand-in: its name, or the expression in its place."""
        name = self._taken_names.get(x)
        if name is not None:
            return name, ATOM
        if x in self.pending:
            self._used_parts.append(x)
            return self.pending[x].text, self.pending[x].binding
        if x._kind == "constant":
            return self._writer.plain(x._name)
        raise AssertionError(f"{x._kind} {x._name} has no name")

    def name_of_object(self, x: Any) -> str:
        """An array that is written as it is, or the name of an argument."""
        name = self._object_names.get(id(x))
        if name is None and isinstance(x, ndarray):
            written = literal(x)
            if written is not None and (x.ndim < 2 or x.flags.c_contiguous):
                return written
        if name is None:
            source = self.made.constants.get(id(x))
            wanted = (source[1] if source else None) or "constant"
            name = self._pool.take(getattr(x, "__name__", wanted))
            self._object_names[id(x)] = name
            self.objects[name] = x
        return name

    def _name(self, x: StandIn) -> str:
        """The name of a result that gets a line of its own."""
        final = self._final_names.get(x)
        if final is not None:
            return final
        if x in self._gradient_names:
            return self._gradient_names[x]
        found = self._names.found.get(x)
        node = self._operations.get(x)
        if node is not None and node.name:
            return self._pool.take(node.name)
        if found is not None and found[0] <= LOCAL:
            return self._pool.take(found[1])
        place: Place | None = x._place
        output = self.made.output
        if output is not None and x is output._numbers:
            return self._pool.take("result")
        if x in self._inner_names:
            return self._pool.take(self._inner_names[x])
        part_name = self._name_of_part(x)
        if part_name is not None:
            return self._pool.take(part_name)
        if node is not None and node._operation is not None:
            wanted = _noun(node)
            title = self._names.titles.get(id(place.module)) if place else None
            if title and title[0]:
                wanted = f"{wanted}_{title[0]}"
            return self._pool.take(wanted)
        name = _described(x) if found is None else found[1]
        return self._pool.take(NOUNS.get(name, name))

    def _name_of_part(self, x: StandIn) -> str | None:
        """x_0 for x[0], and x_T for x.T."""
        whole = x._arguments[0] if x._arguments else None
        name = self._taken_names.get(whole) if type(whole) is StandIn else None
        if name is None:
            return None
        if is_transposition(x) or (x._kind == "attribute" and x._name == "T"):
            return f"{name}_T"
        if x._kind == "item" and type(x._arguments[1]) is int and x._arguments[1] >= 0:
            return f"{name}_{x._arguments[1]}"
        return None

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
                    self._comment(_HEADINGS.get(title, title))
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
        return place.operation if place.operation in _LONG else None

    def _write_backward(self) -> None:
        made = self.made
        self._end_block()
        output = self._taken_names.get(made.output._numbers, "output")
        self.lines.append(f"    # Backward: d_NAME is d {output} / d NAME.")
        if any(type(each.stand_in._value) is ndarray for each in self.inputs):
            self.lines.append("    # It has the shape of NAME: a slope for each element.")
        gradients = dict(made.totals)
        bounds = [place for place, _ in made.blocks]
        update = made.update_from if made.update_from is not None else len(made.calls)
        backward = [c for c in self.calls if self._position[c] >= made.forward]
        positions = [self._position[c] for c in backward]
        heading: str | None = None
        renamed: dict[Any, str] = {}
        first = [c for c in backward if self._position[c] < bounds[0]]
        for call in first:
            self._write(call, force=True)
        if made.seed is not None and made.seed not in self._taken_names:
            self._assign(made.seed, *self._writer.plain(made.seed._name), [])
        for i, (begin, node) in enumerate(made.blocks):
            end = bounds[i + 1] if i + 1 < len(bounds) else update
            calls = backward[bisect_left(positions, begin) : bisect_left(positions, end)]
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
        after = [c for c in backward if self._position[c] >= update]
        if after:
            self._end_block()
            for line in self._about_update.splitlines():
                self._comment(line)
            if self._rate is not None:
                name = self._taken_names[self._rate]
                self._comment(
                    "lr becomes Python's float: NumPy's float64 would make float64 of weights."
                )
                self.lines.append(f"    {name} = float({name})")
            self._write_update(after)

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

    def _comment(self, text: str) -> None:
        indent = " " * (len(text) - len(text.lstrip()))
        for line in textwrap.wrap(text, COLUMNS - 6, subsequent_indent=indent):
            self.lines.append(f"    # {line}")

    def _remark(self, text: str) -> None:
        """A comment that a program has once."""
        if text not in self._remarks_made:
            self._remarks_made.add(text)
            self._comment(text)

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
                self._inner_names.setdefault(total, f"d_{_noun(node)}")
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

    # ── Lines ────────────────────────────────────────────────────────────────────────────────────
    def _write(self, call: Call, force: bool = False) -> None:
        is_range_check = call._place is not None and call._place.is_range_check
        if is_range_check and not self._is_in_range_check:
            self._remark(RANGE_REMARK)
        self._is_in_range_check = is_range_check
        if type(call) is not StandIn:
            self._write_statement(call)
            return
        if call._kind == "input" or (call._kind == "constant" and call is not self.made.seed):
            return
        if call._kind == "constant":
            self._assign(call, *self._writer.plain(call._name), [])
            return
        text, binding, parts = self._expression(call)
        is_short = len(text) < COLUMNS - 20
        if self.may_wait(call) and is_short and not force:
            reads = {x._owner for x in stand_ins_in((call._arguments, call._options))}
            for part in parts:
                reads |= self.pending[part].reads
                self.pending[part].is_part = True
            self.pending[call] = Pending(call, text, binding, reads, parts)
            return
        self._assign(call, text, binding)

    def may_wait(self, call: StandIn) -> bool:
        """Whether a call may be written where its result is used."""
        if self._uses.get(call, 0) != 1 or call in self._final_names:
            return False
        if call in self._gradient_names:
            return False
        node = self._operations.get(call)
        if node is not None and node.name:
            return False
        return not self._is_named(call)

    def is_changed(self, x: Any) -> bool:
        """Whether something is written into its memory."""
        return type(x) is StandIn and x._owner in self._changed

    def _is_named(self, x: StandIn) -> bool:
        """Whether it has a name of the user's, or of the operation's own."""
        return x in self._names.found and self._names.found[x][0] <= LOCAL

    def _expression(self, call: StandIn) -> tuple[str, int, list[StandIn]]:
        """A call as an expression that fits into a line; and what else is written in it."""
        while True:
            self._used_parts = []
            text, binding = self._writer.expression(call)
            parts = list(dict.fromkeys(self._used_parts))
            if len(text) + len(self._hint(call)) <= COLUMNS - 4 or not parts:
                return text, binding, parts
            gradients = [part for part in parts if part in self._inner_names]
            if not gradients and len(text) <= COLUMNS - 8:  # in brackets, it has a line of its own
                return text, binding, parts
            parts = gradients or parts
            longest = max(parts, key=lambda part: len(self.pending[part].text))
            self._release(longest)

    def _hint(self, call: StandIn) -> str:
        return f"{self._final_names.get(call) or self._gradient_names.get(call) or 'name'} = "

    def _release(self, x: StandIn) -> None:
        """Write a pending expression as a line of its own."""
        waiting = self.pending.pop(x)
        self._assign(x, waiting.text, waiting.binding, waiting.parts)

    def _assign(
        self, call: StandIn, text: str, binding: int, parts: list[StandIn] | None = None
    ) -> None:
        parts = list(dict.fromkeys(self._used_parts)) if parts is None else parts
        self._used_parts = []
        name = self._name(call)
        self._taken_names[call] = name
        line = f"{name} = {text}"
        if len(line) + 4 <= COLUMNS:
            remark = self._beside(call, parts) or self._shapes_beside(call, parts, line)
            self._line_with_remark(line, remark)
            height = 1
        else:
            self.lines += [f"    {name} = (", f"        {text}", "    )"]
            height = 3
        first = len(self.lines) - height
        self._computed[first] = call
        self._place_of[line] = range(first, len(self.lines))
        self.line_of[call] = line
        for part in parts:
            self._consume(part, line)

    def _line_with_remark(self, line: str, remark: str | None) -> None:
        """A line with a comment beside it, or above it if there is no room."""
        if remark is None:
            self.lines.append(f"    {line}")
        elif _fits(line, remark):
            self.lines.append(f"    {line}  # {remark}")
        else:
            self._comment(remark)
            self.lines.append(f"    {line}")

    # ── Remarks beside lines ─────────────────────────────────────────────────────────────────────
    def _beside(self, call: StandIn, parts: Sequence[StandIn]) -> str | None:
        """What is said beside a line."""
        remark = self._own_remark(call, self._local_name(call))
        if remark is not None:
            return remark
        calls = [call, *self._all_parts(parts)]
        is_summed = any(_is_sum_of_uses(each) for each in calls)
        return "summed over what was broadcast" if is_summed else None

    def _shapes_beside(self, call: StandIn, parts: Sequence[StandIn], line: str) -> str | None:
        """The shapes of the product in a line, if there is one, and room for them."""
        products = [each for each in [call, *self._all_parts(parts)] if is_product(each)]
        text = _shapes(products[0], call) if len(products) == 1 else None
        return text if text and _fits(line, text) else None

    def _all_parts(self, parts: Sequence[StandIn]) -> list[StandIn]:
        """What is written in a line, and in the parts of it."""
        found = list(parts)
        for part in parts:
            found += self._all_parts(self.pending[part].parts)
        return found

    def _local_name(self, x: StandIn) -> str:
        """What an operation's own code calls it."""
        rank, name = self._names.found.get(x, (LOCAL, ""))
        return name if rank == LOCAL else ""

    def _own_remark(self, call: Call, what: str) -> str | None:
        """What a long operation says about a line of its own."""
        long = _LONG.get(call._place.operation) if call._place else None
        return long.remarks.get(what) if long else None

    def _consume(self, part: StandIn, line: str | None = None) -> None:
        """A pending expression has been written in this line, and so has what is written in it."""
        waiting = self.pending.pop(part)
        if line is not None:
            self.line_of[part] = line
        for each in waiting.parts:
            self._consume(each, line)

    def _flush(self, owner: StandIn | None = None, without: Sequence[StandIn] = ()) -> None:
        """Write what is pending: all of it, or what reads memory that is about to change."""
        for x in list(self.pending):
            if x not in self.pending or self.pending[x].is_part or x in set(without):
                continue
            if owner is None or owner in self.pending[x].reads:
                self._release(x)

    def _end_block(self) -> None:
        if self.lines and self.lines[-1] != "":
            self.lines.append("")

    def _write_statement(self, call: Call) -> None:
        self._used_parts = []
        lines = self._statement(call)
        parts = list(dict.fromkeys(self._used_parts))
        target = written_by(call)
        if target is not None:
            self._flush(target._owner, without=parts)
        if len(lines) == 1 and target is not None:
            self._line_with_remark(lines[0], self._own_remark(call, self._changes(call, target)))
        else:
            self.lines += [f"    {line}" for line in lines]
        for part in parts:
            self._consume(part)

    def _changes(self, call: Call, target: StandIn) -> str:
        """How remarks name a line that changes an array: "p -=", or "exp(p)"."""
        name = self._local_name(target)
        if call._kind == "function":
            return f"{getattr(call._name, '__name__', '')}({name})"
        return f"{name} {call._name}"

    def _statement(self, call: Call) -> list[str]:
        writer = self._writer
        kind = call._kind
        if kind == "guard":
            return self._guard(call)
        if kind == "range":
            least, most = call._name
            text = writer.within(call._arguments[0], 4)
            return [
                f"if {text} != 0 and not {least!r} <= abs({text}) <= {most!r}:",
                f'    raise ValueError("{_quoted(text)} is too large or too small")',
            ]
        if kind == "form":
            (x,) = call._arguments
            shape, _ = call._name
            name = writer.within(x, ATOM)
            return [
                f"if {name}.shape != {shape}:",
                f'    raise ValueError(f"this program is for {{{name}.shape}}")',
            ]
        if kind == "in place":
            x, y = call._arguments
            return [f"{writer.within(x, ATOM)} {call._name} {writer.within(y, 0)}"]
        if kind == "in place item":
            x, index, y = call._arguments
            place = f"{writer.within(x, ATOM)}[{writer.index(index)}]"
            return [f"{place} {call._name} {writer.within(y, 0)}"]
        if kind == "set":
            x, index, new = call._arguments
            return [f"{writer.within(x, ATOM)}[{writer.index(index)}] = {writer.within(new, 0)}"]
        return [writer.expression(call)[0]]

    def _guard(self, call: Call) -> list[str]:
        """A check that the numbers lead the same way as when the program was written."""
        (condition,) = call._arguments
        labels = _labels_in(condition)
        if labels is not None:
            x, count = labels
            name = self._writer.within(x, ATOM)
            self._used_parts = [condition]
            return [
                f"if {name}.min() < 0 or {name}.max() >= {count}:",
                f'    raise ValueError("expected labels from 0 to {count - 1}")',
            ]
        text = self._writer.within(condition, 3)
        if call._place is not None and call._place.is_range_check:
            test = f"not {text}" if call._name else text
            return [f"if {test}:", '    raise ValueError("numbers are too large or too small")']
        if call._name:
            return [f"if not {text}:", f'    raise ValueError("expected {_quoted(text)}")']
        return [f"if {text}:", f'    raise ValueError("expected that not {_quoted(text)}")']

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


_LONG = {function.__name__: long for function, long in LONG_OPERATIONS.items()}
_HEADINGS = {name: long.heading for name, long in _LONG.items()}


def _fits(line: str, remark: str) -> bool:
    """Whether there is room for a comment beside a line."""
    return len(f"    {line}  # {remark}") <= COLUMNS


def _is_sum_of_uses(call: StandIn) -> bool:
    """Whether it sums a gradient over what broadcasting has repeated."""
    if call._place is None or not call._place.is_unbroadcast or call._name != "sum":
        return False
    return bool(np.size(call._arguments[0]._value) != np.size(call._value))


def _summary(x: Any) -> str:
    return f"{x:.6g}" if np.ndim(x) == 0 else f"shape {x.shape}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


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


def _described(x: StandIn) -> str:
    """What is called, for a result that nobody has named."""
    if x._kind == "function":
        name = x._name[0] if isinstance(x._name, tuple) else x._name
        return str(name.__name__)
    if x._kind == "operator":
        if len(x._arguments) == 1:
            return "negative"
        return x._name if x._name in NOUNS else "number"
    if x._kind == "method":
        return str(x._name)
    return {"item": "part", "choice": "choice", "attribute": "view"}.get(x._kind, "number")


def _noun(node: Node) -> str:
    """What the result of a node without a name is called."""
    name = node._operation.name.lstrip("_") if node._operation else "number"
    return NOUNS.get(name, name)


def _shapes(product: StandIn, result: StandIn) -> str | None:
    """What is said beside a product: (32, 784) @ (784, 16) -> (32, 16)."""
    x, y = (each._value if type(each) is StandIn else each for each in product._arguments)
    if not np.ndim(product._value) or not np.ndim(result._value):
        return None
    if type(product._arguments[0]) is ndarray and x.ndim == 1 and np.all(x == 1):
        return f"the sum of the {len(x)} rows"
    text = f"{x.shape} @ {y.shape} -> {product._value.shape}"
    shape = np.shape(result._value)
    return text if shape == product._value.shape else f"{text}, then {shape}"


def _labels_in(condition: Any) -> tuple[StandIn, int] | None:
    """The labels and the number of classes, if the condition is checks.check_labels's."""
    if type(condition) is not StandIn or condition._kind != "operator" or condition._name != ">=":
        return None
    largest, count = condition._arguments
    if type(largest) is not StandIn or largest._name != (np.maximum, "reduce"):
        return None
    (unsigned,) = largest._arguments
    if unsigned._kind != "method" or unsigned._name != "view":
        return None
    return unsigned._arguments[0], count


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
