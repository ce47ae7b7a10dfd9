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

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.programs.stand_ins import Call, StandIn, parts_of
from microgd.programs.trace import literal
from microgd.programs.writing import ATOM, PRODUCT, SUM, Writer, number

_LONGEST_EXPRESSION = 60  # operations; the compiler of Python goes into them recursively
_NUMBERS = (float, bool)  # what operators give of Python's numbers
_ARITHMETIC = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT}  # how tightly they bind


def needed_calls(calls: Sequence[Call], results: Iterable[StandIn]) -> list[Call]:
    """The calls that the results depend on, and the checks."""
    is_needed = [False] * len(calls)
    is_memory_needed = [False] * len(calls)
    fixed = constants_among(calls)
    for x in results:
        is_needed[x._index] = True
        is_memory_needed[x._owner._index] = True
    kept = []
    for call in reversed(calls):
        if type(call) is not StandIn:
            target = written_by(call)
            if target is not None:
                is_needed[call._index] = is_memory_needed[target._owner._index]
            else:
                is_needed[call._index] = not all(x._index in fixed for x in parts_of(call))
        if not is_needed[call._index]:
            continue
        kept.append(call)
        if call._kind == "operator" and type(call._value) is float:  # type: ignore[attr-defined]
            for x in call._arguments:
                if type(x) is StandIn:
                    is_needed[x._index] = True
            continue
        for x in parts_of(call):
            is_needed[x._index] = True
            is_memory_needed[x._owner._index] = True
    kept.reverse()
    return kept


def written_by(call: Call) -> Any:
    """The stand-in that a statement writes into; None if there is none."""
    if type(call) is StandIn or call._kind in ("guard", "form"):
        return None
    if call._options and "out" in call._options:
        return call._options["out"]
    return call._arguments[0]


def constants_among(calls: Iterable[Call]) -> set[int]:
    """The places of numbers that are the same in every run: constants alone lead to them."""
    fixed: set[int] = set()
    for call in calls:
        if call._kind == "constant":
            if type(call._value) is float:  # type: ignore[attr-defined]
                fixed.add(call._index)
        elif fixed and (call._kind == "operator" or call._name is abs):
            # A number of Python's is fixed, an array may be changed.
            for x in call._arguments:
                if x._index not in fixed if type(x) is StandIn else type(x) is ndarray:
                    break
            else:
                fixed.add(call._index)
    return fixed


class Code:
    """The text of a function, and the objects that it refers to by names."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []
        self.objects: dict[str, Any] = {}
        self.origins: dict[str, str] = {}  # of functions: their own names, such as np.exp
        self.held: list[Any] = []  # so that nothing else gets the ids by which they are known

    def text(self) -> str:
        """The function, after the objects that it refers to."""
        head = ["import math", "", "import numpy as np", "", ""]
        head += ["class OtherWay(Exception):", f'    """{OtherWayError.__doc__}"""', "", ""]
        for name, x in self.objects.items():
            if x is not OtherWayError:
                head.append(f"{name} = {self.origins.get(name) or _written(x)}")
        body = [re.sub("^ +", lambda indent: 4 * indent[0], line) for line in self.lines]
        return "\n".join([*head, "", "", *body]) + "\n"

    def compiled(self) -> Any:
        """The function."""
        namespace: dict[str, Any] = {"np": np, **self.objects}
        code = compile("\n".join(self.lines), f"<{self.name}>", "exec")
        exec(code, namespace)
        return namespace[self.name]


def _written(x: Any) -> str:
    """How an object is written that a program refers to."""
    if isinstance(x, np.dtype):
        return f"np.dtype(np.{x.name})"
    if isinstance(x, ndarray) and not x.ndim:
        return f"np.array({number(x.item())[0]}, np.{x.dtype.name})"
    found = literal(x) if isinstance(x, ndarray) else None
    return found or f"...  # {'an array' if isinstance(x, ndarray) else 'an object'} from outside"


class _ShortWriter(Writer):
    """Writes dtypes as objects: looking up np.float32 takes time, and making a dtype of it more."""

    def plain(self, x: Any) -> tuple[str, int]:
        if isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
            return self.name_of_object(np.dtype(x)), ATOM
        return super().plain(x)


class OtherWayError(Exception):
    """With these numbers, the function goes another way than the one written down."""


class Fast:
    """Writes a part of a trace as a function."""

    def __init__(self, calls: Sequence[Call], name: str, arguments: Sequence[StandIn]) -> None:
        self.calls = calls
        self.program = Code(name)
        # All of these are by the places of calls in the record.
        self.names: dict[int, str] = {x._index: f"a{i}" for i, x in enumerate(arguments)}
        self.inlined: dict[int, tuple[str, int, int]] = {}  # text, binding, operations
        self.fixed = constants_among(calls)
        self.object_names: dict[int, str] = {}
        self.function_names: dict[str, str] = {}
        self.scalars: dict[tuple[Any, Any], str] = {}  # numbers as arrays without axes
        self.writer = _ShortWriter(self._name_of, self._name_of_object, self._name_of_function)
        self.lines: list[str] = []
        self.size = 0  # operations in the expression that is being written
        self.arguments = list(self.names.values())
        self.counter = 0
        self.program.objects["OtherWay"] = OtherWayError

    def write(
        self,
        results: Sequence[StandIn],
        kept: Iterable[StandIn] = (),
        finite: Iterable[StandIn] = (),
    ) -> Code:
        """The code that returns the results. Those in `kept` may not be written into.

        If one of those in `finite` is not, the program raises an `OtherWayError`.
        """
        self._write_body([*results, *kept])
        self._check_finite(list(finite))
        returned = ", ".join(self._written(x) for x in results)
        comma = "," if len(results) == 1 else ""
        self.program.lines = [
            f"def {self.program.name}({', '.join(self.arguments)}):",
            *self.lines,
            f" return ({returned}{comma})",
        ]
        return self.program

    def _written(self, x: StandIn) -> str:
        self.size = 0
        return self._name_of(x)[0]

    def _line(self, text: str) -> None:
        self.lines.append(f" {text}")

    # ── Names ────────────────────────────────────────────────────────────────────────────────────
    def _name_of(self, x: StandIn) -> tuple[str, int]:
        name = self.names.get(x._index)
        if name is not None:
            return name, ATOM
        if x._kind == "constant":
            return self.writer.plain(x._name)
        text, binding, size = self.inlined.pop(x._index)
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
            # Adam needs both: np.sqrt of arrays, and math.sqrt of numbers.
            short = dotted if dotted.startswith("math.") else dotted.partition(".")[2]
            name = short.replace(".", "_") + "_"
            self.function_names[dotted] = name
            function: Any = math if dotted.startswith("math.") else np
            for part in dotted.split(".")[1:]:
                function = getattr(function, part)
            self.program.objects[name] = function
            self.program.origins[name] = dotted
        return name

    def _new_name(self) -> str:
        self.counter += 1
        return f"v{self.counter}"

    # ── Lines ────────────────────────────────────────────────────────────────────────────────────
    def _write_body(self, kept: Sequence[StandIn]) -> None:
        last_use, uses = self._uses()
        for x in kept:
            last_use[x._owner._index] = len(self.calls)  # it is used at the end
            uses[x._index] = 2
        for place, call in enumerate(self.calls):
            self.size = 0
            if type(call) is not StandIn:
                self._line(self._statement(call))
                continue
            if call._kind == "operator" and type(call._value) in _NUMBERS:
                self._write_number(call, uses.get(call._index) == 1)
                continue
            if call._kind in ("input", "constant"):
                continue
            target = self._target(call, place, last_use)
            if target is not None:
                self._write_in_place(call, target)
                continue
            text, binding = self._expression(call)
            size = self.size + 1
            is_used_once = uses.get(call._index) == 1
            if is_used_once and size < _LONGEST_EXPRESSION and _is_of_numbers(call):
                self.inlined[call._index] = text, binding, size
                continue
            name = self._new_name()
            self.names[call._index] = name
            self._line(f"{name} = {text}")

    def _write_number(self, call: StandIn, is_used_once: bool) -> None:
        """Write an operator of numbers. A graph of numbers has a hundred thousand of them."""
        binding = _ARITHMETIC.get(call._name)
        if binding is None or len(call._arguments) == 1 or call._index in self.fixed:
            text, binding = self._expression(call)
        else:
            x, y = call._arguments
            text = f"{self._part(x, binding)} {call._name} {self._part(y, binding + 1)}"
        size = self.size + 1
        if is_used_once and size < _LONGEST_EXPRESSION:
            self.inlined[call._index] = text, binding, size
            return
        self.counter += 1
        name = f"v{self.counter}"
        self.names[call._index] = name
        self.lines.append(f" {name} = {text}")

    def _uses(self) -> tuple[dict[int, int], dict[int, int]]:
        """For the memory of each array, the place of its last use; for each result, how many."""
        last: dict[int, int] = {}
        uses: dict[int, int] = {}
        for place, call in enumerate(self.calls):
            if call._kind == "operator" and type(call._value) is float:  # type: ignore[attr-defined]
                for x in call._arguments:
                    if type(x) is StandIn:
                        index = x._index
                        uses[index] = uses.get(index, 0) + 1
                continue  # numbers have no memory
            for x in parts_of(call):
                uses[x._index] = uses.get(x._index, 0) + 1
                last[x._owner._index] = place
        return last, uses

    def _expression(self, call: StandIn) -> tuple[str, int]:
        """A call as an expression."""
        if call._index in self.fixed:
            return self.writer.plain(call._value)
        if type(call._value) in _NUMBERS:
            return self.writer.expression(call)
        ufunc = _ufunc_of(call)
        if ufunc is not None and _is_of_array_and_number(call):
            arguments = [self._operand(x, call) for x in call._arguments]
            return f"{self.writer.function(ufunc)}({', '.join(arguments)})", ATOM
        if isinstance(call._name, tuple) and list(call._options) == ["axis"]:
            arguments = [self.writer.within(x, 0) for x in call._arguments]
            axis = self.writer.within(call._options["axis"], 0)
            return f"{self.writer.function(call._name)}({', '.join(arguments)}, {axis})", ATOM
        return self.writer.expression(call)

    def _part(self, x: Any, binding: int) -> str:
        """An operand of an operator of numbers, as Writer writes it, in a third of the time."""
        if type(x) is StandIn:
            name = self.names.get(x._index)
            if name is not None:
                return name
            inlined = self.inlined.pop(x._index, None)
            if inlined is not None:
                text, own_binding, size = inlined
                self.size += size
                return f"({text})" if own_binding < binding else text
        return self.writer.within(x, binding)

    def _operand(self, x: Any, call: Call) -> str:
        """An operand of an elementwise operation of arrays.

        A number becomes an array without axes, of the dtype that NumPy would convert it to. NumPy
        takes such an array in less than half the time.
        """
        value = x._value if type(x) is StandIn else x
        if type(value) not in (float, int):
            return self.writer.within(x, 0)
        dtype = _dtype_of_arrays(call)
        if type(x) is not StandIn or x._index in self.fixed or x._kind == "constant":
            return self._number_as_array(value, dtype)
        text = self.writer.within(x, 0)
        name = self.scalars.get((text, dtype))
        if name is None:
            name = self.scalars[text, dtype] = self._new_name()
            dtype_name = self._name_of_object(dtype)
            self._line(f"{name} = {self._name_of_function('np.array')}({text}, {dtype_name})")
        return name

    def _number_as_array(self, value: Any, dtype: Any) -> str:
        """The name of a number that is the same in every run, as an array without axes."""
        key = (repr(value), dtype)
        name = self.scalars.get(key)
        if name is None:
            array = np.array(value, dtype)
            name = self.scalars[key] = self._name_of_object(array)
            self.program.held.append(array)
        return name

    def _target(self, call: StandIn, place: int, last_use: dict[int, int]) -> StandIn | None:
        """An operand in whose memory the result may be put, or None."""
        value = call._value
        if type(value) is not ndarray or call._owner is not call:
            return None
        if _ufunc_of(call) is None and not _selects_zero(call):
            return None
        for x in call._arguments:
            if type(x) is not StandIn or type(x._value) is not ndarray:
                continue
            owner = x._owner
            is_own = owner._kind in ("operator", "function", "method")
            is_own = is_own and owner._index in self.names and x._index in self.names
            is_alike = (
                x._value.shape == value.shape
                and x._value.dtype == value.dtype
                and x._value.strides == value.strides
                and x._value.size == owner._value.size
            )
            is_last = last_use[owner._index] == place
            is_writable = owner._value.flags.writeable and owner._value.base is None
            if is_own and is_alike and is_last and is_writable:
                return x
        return None

    def _write_in_place(self, call: StandIn, target: StandIn) -> None:
        """Write a call whose result goes into the memory of an operand."""
        name = self.names[target._index]
        self.names[call._index] = name
        if _selects_zero(call):
            self._write_selection(call, name)
            return
        arguments = [self._operand(x, call) for x in call._arguments]
        self._line(self._call_into(_ufunc_of(call), arguments, name))

    def _call_into(self, ufunc: np.ufunc, arguments: list[str], name: str) -> str:
        """A call of a ufunc that puts its result into an array.

        By position it is faster, but NumPy is about to take more operands of these two.
        """
        out = f"out={name}" if ufunc in (np.maximum, np.minimum) else name
        return f"{self.writer.function(ufunc)}({', '.join([*arguments, out])})"

    def _write_selection(self, call: StandIn, name: str) -> None:
        """np.where(condition, 0.0, x) or np.where(condition, x, 0.0), in the memory of x.

        Few elements are set to 0 one by one. Of many, the bits are multiplied by 0 or 1, as
        integers: that is exact for infinity and nan, too, and needs no jumps.
        """
        condition, if_true, _ = call._arguments
        sets_where_true = not (type(if_true) is StandIn and type(if_true._value) is ndarray)
        condition_text = self.writer.within(condition, ATOM)
        value = call._value
        is_small = value.size <= _FEW_ELEMENTS
        if is_small == sets_where_true:
            mask = condition_text
        else:
            mask = self._new_name()
            self._line(f"{mask} = {self._name_of_function('np.logical_not')}({condition_text})")
        if is_small:
            zero = self._number_as_array(0.0, value.dtype)
            self._line(f"{self._name_of_function('np.putmask')}({name}, {mask}, {zero})")
            return
        unsigned = self._name_of_object(_UNSIGNED[value.dtype.itemsize])
        bits = self._new_name()
        self._line(f"{bits} = {name}.view({unsigned})")
        multiply = self._name_of_function("np.multiply")
        self._line(f"{multiply}({bits}, {mask}, {bits})")

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
            is_number = _is_of_array_and_number(call) and call._name[:-1] in _UFUNCS
            y_text = self._operand(y, call) if is_number else writer.within(y, 0)
            return f"{writer.within(x, ATOM)} {call._name} {y_text}"
        if kind == "set":
            x, index, new = call._arguments
            return f"{writer.within(x, ATOM)}[{writer.index(index)}] = {writer.within(new, 0)}"
        options = dict(call._options or {})
        if kind == "function" and type(call._name) is np.ufunc and list(options) == ["out"]:
            arguments = [writer.within(x, 0) for x in call._arguments]
            return self._call_into(call._name, arguments, writer.within(options["out"], 0))
        return writer.expression(call)[0]

    def _check_finite(self, results: Sequence[StandIn]) -> None:
        """Check numbers and arrays.

        The sum of the squares is finite only if all elements are, and BLAS computes it in a
        fraction of the time of looking at each. (If it is infinite because the squares are too
        large, the engine makes this step, and looks at each. `vdot` does not warn of it.)
        """
        isfinite = self._name_of_function("math.isfinite")
        conditions = []
        for x in results:
            name = self._written(x)
            if type(x._value) is ndarray:
                row = self._in_a_row(x, name)
                name = f"{self._name_of_function('np.vdot')}({row}, {row})"
            conditions.append(f"{isfinite}({name})")
        if conditions:
            self._line(f"if not ({' and '.join(conditions)}): raise OtherWay")

    def _in_a_row(self, x: StandIn, name: str) -> str:
        """An array whose elements are in memory in their order: vdot would copy any other."""
        value = x._value
        owner = x._owner
        is_whole = owner._index in self.names and owner._value.size == value.size
        if is_whole and owner._value.flags.c_contiguous:
            return self.names[owner._index]
        if value.flags.f_contiguous and not value.flags.c_contiguous:
            return f"{name}.T"
        return name


_FEW_ELEMENTS = 1000
_UNSIGNED = {4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}

_UFUNCS = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def _ufunc_of(call: StandIn) -> Any:
    """The ufunc that an elementwise operation on arrays is, or None."""
    if type(call._value) is not ndarray:
        return None
    if call._kind == "operator":
        is_negative = call._name == "-" and len(call._arguments) == 1
        return np.negative if is_negative else _UFUNCS.get(call._name)
    is_ufunc = call._kind == "function" and type(call._name) is np.ufunc
    if is_ufunc and not call._options and call._name.nout == 1 and call._name is not np.matmul:
        return call._name
    return None


def _selects_zero(call: StandIn) -> bool:
    """Whether it is np.where of an array and the number 0.0."""
    if call._kind != "function" or call._name is not np.where or len(call._arguments) != 3:
        return False
    _, x, y = call._arguments
    value = call._value
    if type(value) is not ndarray or value.dtype.itemsize not in _UNSIGNED:
        return False
    condition = call._arguments[0]
    if type(condition) is not StandIn or np.asarray(condition._value).dtype != bool:
        return False
    if condition._value.shape != value.shape:
        return False
    zeros = [z for z in (x, y) if type(z) is float and z == 0 and math.copysign(1.0, z) > 0]
    return len(zeros) == 1


def _is_of_array_and_number(call: Call) -> bool:
    """Whether one operand is an array, and the other a Python number that takes its dtype."""
    if len(call._arguments) != 2:
        return False
    values = [x._value if type(x) is StandIn else x for x in call._arguments]
    x, y = values if type(values[0]) is ndarray else values[::-1]
    if type(x) is not ndarray:
        return False
    is_small = type(y) is int and abs(y) < 2**24
    if x.dtype.kind == "f":
        return type(y) is float or is_small
    return x.dtype == np.int64 and is_small and call._kind != "function"


def _dtype_of_arrays(call: Call) -> Any:
    for x in call._arguments:
        value = x._value if type(x) is StandIn else x
        if type(value) is ndarray:
            return value.dtype
    return None


def _is_of_numbers(call: StandIn) -> bool:
    """Whether a call has numbers alone, so that it may be written where its result is used.

    An array has to be computed at once: what it is computed from may be written into.
    """
    if type(call._value) is ndarray:
        return False
    return all(type(x._value) is not ndarray for x in parts_of(call))
