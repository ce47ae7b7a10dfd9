"""A trace as a program that runs fast: in place where nobody needs the old numbers any more.

It does the same operations as the program that is printed for readers (text.py), in the same order,
and computes the same bits. It differs in where results are put:

- The result of an elementwise operation goes into the memory of an operand that is not needed after
  it, if that has the same shape, dtype and order in memory, and belongs to the program.
- What is used once is written where it is used.
- Functions have short names of their own: looking up np.exp in np takes time at every call.

A program never writes into its arguments, and keeps no array for its next run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.programs.stand_ins import Call, StandIn, stand_ins_in
from microgd.programs.writing import ATOM, Writer

_IN_PLACE_SYMBOLS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
_LONGEST_EXPRESSION = 60  # operations; the compiler of Python goes into them recursively


def needed_calls(calls: Sequence[Call], results: Iterable[StandIn]) -> list[Call]:
    """The calls that the results depend on, and the checks."""
    needed = set(results)
    owners = {x._owner for x in needed}
    kept = []
    for call in reversed(calls):
        if type(call) is StandIn:
            is_needed = call in needed
        elif call._kind in ("guard", "form"):
            is_needed = not _is_settled(call)
        else:
            target = written_by(call)
            is_needed = target is not None and target._owner in owners
        if not is_needed:
            continue
        kept.append(call)
        for x in stand_ins_in((call._arguments, call._options)):
            needed.add(x)
            owners.add(x._owner)
    kept.reverse()
    return kept


def written_by(call: Call) -> Any:
    """The stand-in that a statement writes into; None if there is none."""
    if type(call) is StandIn or call._kind in ("guard", "form"):
        return None
    if call._options and "out" in call._options:
        return call._options["out"]
    return call._arguments[0]


def _is_settled(guard: Call) -> bool:
    """Whether the answer is the same in every run, since it was computed from constants."""
    return all(map(_is_constant, guard._arguments))


def _is_constant(x: Any) -> bool:
    if type(x) is not StandIn:
        return not isinstance(x, ndarray)
    if x._kind == "constant":
        return True
    return x._kind in ("operator", "function") and all(map(_is_constant, x._arguments))


class Program:
    """The text of a function, and the objects that it refers to by names."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []
        self.objects: dict[str, Any] = {}

    def compiled(self) -> Any:
        """The function."""
        namespace: dict[str, Any] = {"np": np, **self.objects}
        code = compile("\n".join(self.lines), f"<{self.name}>", "exec")
        exec(code, namespace)
        return namespace[self.name]


class OtherWayError(Exception):
    """With these numbers, the function goes another way than the one written down."""


class Fast:
    """Writes a part of a trace as a function."""

    def __init__(self, calls: Sequence[Call], name: str, arguments: Sequence[StandIn]) -> None:
        self.calls = calls
        self.program = Program(name)
        self.names: dict[StandIn, str] = {}
        self.inlined: dict[StandIn, tuple[str, int, int]] = {}  # text, binding, operations
        self.object_names: dict[int, str] = {}
        self.function_names: dict[str, str] = {}
        self.writer = Writer(self._name_of, self._name_of_object, self._name_of_function)
        self.size = 0  # operations in the expression that is being written
        for i, x in enumerate(arguments):
            self.names[x] = f"a{i}"
        self.arguments = [self.names[x] for x in arguments]
        self.counter = 0
        self.program.objects["OtherWay"] = OtherWayError

    def write(self, results: Sequence[StandIn], kept: Iterable[StandIn] = ()) -> Program:
        """The program that returns the results. Those in `kept` may not be written into."""
        body = self._body(results, {*results, *kept})
        returned = ", ".join(self._written(x) for x in results)
        comma = "," if len(results) == 1 else ""
        self.program.lines = [
            f"def {self.program.name}({', '.join(self.arguments)}):",
            *body,
            f" return ({returned}{comma})",
        ]
        return self.program

    def _written(self, x: StandIn) -> str:
        self.size = 0
        return self._name_of(x)[0]

    # ── Names ────────────────────────────────────────────────────────────────────────────────────
    def _name_of(self, x: StandIn) -> tuple[str, int]:
        name = self.names.get(x)
        if name is not None:
            return name, ATOM
        if x._kind == "constant":
            return self.writer.plain(x._name)
        text, binding, size = self.inlined.pop(x)
        self.size += size
        return text, binding

    def _name_of_object(self, x: Any) -> str:
        name = self.object_names.get(id(x))
        if name is None:
            name = f"c{len(self.object_names)}"
            self.object_names[id(x)] = name
            self.program.objects[name] = x
        return name

    def _name_of_function(self, dotted: str) -> str:
        if "." not in dotted:
            return dotted
        name = self.function_names.get(dotted)
        if name is None:
            name = dotted.partition(".")[2].replace(".", "_") + "_"
            self.function_names[dotted] = name
            home = __import__("math") if dotted.startswith("math.") else np
            function: Any = home
            for part in dotted.split(".")[1:]:
                function = getattr(function, part)
            self.program.objects[name] = function
        return name

    def _new_name(self) -> str:
        self.counter += 1
        return f"v{self.counter}"

    # ── Lines ────────────────────────────────────────────────────────────────────────────────────
    def _body(self, results: Sequence[StandIn], kept: set[StandIn]) -> list[str]:
        last_use, uses = self._uses(kept)
        last_write = self._last_writes()
        kept_owners = {x._owner for x in kept}
        lines = []
        for place, call in enumerate(self.calls):
            self.size = 0
            if type(call) is not StandIn:
                lines.append(f" {self._statement(call)}")
                continue
            if call._kind in ("input", "constant"):
                continue
            target = self._target(call, place, last_use, kept_owners)
            if target is not None:
                name = self.names[target]
                lines.append(f" {self._in_place(call, target, name)}")
                self.names[call] = name
                continue
            text, binding = self.writer.expression(call)
            size = self.size + 1
            is_used_once = uses.get(call, 0) == 1 and call not in kept
            if is_used_once and size < _LONGEST_EXPRESSION and self._may_move(
                call, last_use[call], last_write
            ):
                self.inlined[call] = text, binding, size
                continue
            name = self._new_name()
            self.names[call] = name
            lines.append(f" {name} = {text}")
        return lines or [" pass"]

    def _uses(self, kept: set[StandIn]) -> tuple[dict[StandIn, int], dict[StandIn, int]]:
        """For each memory, and each stand-in, the place of its last use; and how many uses."""
        last: dict[StandIn, int] = {}
        uses: dict[StandIn, int] = {}
        for place, call in enumerate(self.calls):
            for x in stand_ins_in((call._arguments, call._options)):
                last[x] = place
                last[x._owner] = place
                uses[x] = uses.get(x, 0) + 1
        return last, uses

    def _last_writes(self) -> dict[StandIn, list[int]]:
        """For each memory, the places where something is written into it."""
        places: dict[StandIn, list[int]] = {}
        for place, call in enumerate(self.calls):
            target = written_by(call)
            if target is not None:
                places.setdefault(target._owner, []).append(place)
        return places

    def _may_move(self, call: StandIn, to: int, writes: dict[StandIn, list[int]]) -> bool:
        """Whether a call may be written where its result is used: numbers only.

        An array would have to be computed at once: what it is computed from may be written into.
        """
        if type(call._value) is ndarray:
            return False
        for x in stand_ins_in((call._arguments, call._options)):
            if type(x._value) is ndarray:
                return False
        return True

    def _target(
        self, call: StandIn, place: int, last_use: dict[StandIn, int], kept_owners: set[StandIn]
    ) -> StandIn | None:
        """An operand in whose memory the result may be put, or None."""
        value = call._value
        if type(value) is not ndarray or call._owner is not call:
            return None
        if call._kind == "operator":
            if call._name not in _IN_PLACE_SYMBOLS or len(call._arguments) != 2:
                return None
        elif call._kind != "function" or type(call._name) is not np.ufunc or call._options:
            return None
        elif call._name.nout != 1:
            return None
        for x in call._arguments:
            if type(x) is not StandIn or type(x._value) is not ndarray:
                continue
            is_own = x._owner is x and x._kind in ("operator", "function", "method")
            is_alike = (
                x._value.shape == value.shape
                and x._value.dtype == value.dtype
                and x._value.strides == value.strides
            )
            is_last = last_use[x] == place
            if is_own and is_alike and is_last and x not in kept_owners and x in self.names:
                if x._value.flags.writeable and x._value.base is None:
                    return x
        return None

    def _in_place(self, call: StandIn, target: StandIn, name: str) -> str:
        ufunc = call._name
        if call._kind == "operator":
            ufunc = getattr(np, _IN_PLACE_SYMBOLS[call._name])
        function = self.writer.function(ufunc)
        arguments = [self.writer.within(x, 0) for x in call._arguments]
        return f"{function}({', '.join(arguments)}, {name})"

    def _statement(self, call: Call) -> str:
        writer = self.writer
        kind = call._kind
        if kind == "guard":
            (condition,) = call._arguments
            negation = "not " if call._name else ""
            return f"if {negation}{writer.within(condition, 3)}: raise OtherWay"
        if kind == "form":
            (x,) = call._arguments
            shape, dtype = call._name
            text = writer.within(x, ATOM)
            dtype_text = writer.plain(dtype)[0]
            return f"if {text}.shape != {shape} or {text}.dtype != {dtype_text}: raise OtherWay"
        if kind == "in place":
            x, y = call._arguments
            return f"{writer.within(x, ATOM)} {call._name} {writer.within(y, 0)}"
        if kind == "set":
            x, index, new = call._arguments
            return f"{writer.within(x, ATOM)}[{writer.index(index)}] = {writer.within(new, 0)}"
        return writer.expression(call)[0]
