"""The lines of a program for readers: names, expressions and the remarks beside them.

What is used once is written where it is used, if the line stays short. So an expression waits, as
`Pending`, until the line that it is a part of is written.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.backprop import Node
from microgd.programs.fast import written_by
from microgd.programs.names import LOCAL, LONG_OPERATIONS, NOUNS, RANGE_REMARK, Names, Place, Pool
from microgd.programs.phrasing import Phrasing, is_product, is_transposition
from microgd.programs.stand_ins import Call, StandIn, stand_ins_in
from microgd.programs.trace import Trace, literal
from microgd.programs.writing import ATOM

COLUMNS = 90
LONG = {function.__name__: long for function, long in LONG_OPERATIONS.items()}


@dataclass
class Pending:
    """An expression that is not written yet, because it will be a part of another."""

    call: StandIn
    text: str
    binding: int
    reads: set[StandIn]  # the memory that it is computed from
    parts: list[StandIn] = field(default_factory=list)  # what else is written in it
    is_part: bool = False  # whether it is written in another one


class Lines:
    """Writes calls as lines, one after the other.

    `uses` says how often each result is used, and `final_names` holds names that are given.
    """

    def __init__(
        self,
        made: Trace,
        names: Names,
        uses: dict[StandIn, int],
        final_names: dict[StandIn, str],
        writes_products: bool,
    ) -> None:
        self.made = made
        self.writes_products = writes_products
        self.pending: dict[StandIn, Pending] = {}
        self.lines: list[str] = []
        self.objects: dict[str, Any] = {}
        self.line_of: dict[StandIn, str] = {}  # the line in which a result is computed
        self.left_names: dict[StandIn, str] = {}  # of what a sum adds to
        self._object_names: dict[int, str] = {}
        self._names = names
        self._pool = Pool()
        self._taken_names: dict[StandIn, str] = {}
        self._writer = Phrasing(self)
        self._uses = uses
        self._changed: set[StandIn] = set()
        self._gradient_names: dict[StandIn, str] = {}
        self._final_names = final_names
        self._operations: dict[StandIn, Node] = {}
        self._used_parts: list[StandIn] = []
        self._place_of: dict[str, range] = {}  # of an assignment, in `lines`
        self._inner_names: dict[StandIn, str] = {}  # of gradients of what has no name
        self._computed: dict[int, StandIn] = {}  # what a line computes, by its place in `lines`
        self._remarks_made: set[str] = set()
        self._is_in_range_check = False

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
            wanted = noun(node)
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
        long = LONG.get(call._place.operation) if call._place else None
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

    def _comment(self, text: str) -> None:
        indent = " " * (len(text) - len(text.lstrip()))
        for line in textwrap.wrap(text, COLUMNS - 6, subsequent_indent=indent):
            self.lines.append(f"    # {line}")

    def _remark(self, text: str) -> None:
        """A comment that a program has once."""
        if text not in self._remarks_made:
            self._remarks_made.add(text)
            self._comment(text)


def _fits(line: str, remark: str) -> bool:
    """Whether there is room for a comment beside a line."""
    return len(f"    {line}  # {remark}") <= COLUMNS


def _is_sum_of_uses(call: StandIn) -> bool:
    """Whether it sums a gradient over what broadcasting has repeated."""
    if call._place is None or not call._place.is_unbroadcast or call._name != "sum":
        return False
    return bool(np.size(call._arguments[0]._value) != np.size(call._value))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


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


def noun(node: Node) -> str:
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
