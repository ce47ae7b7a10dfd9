"""One call of a function, written down with stand-ins: forward, and back by the chain rule.

The function is run as it is, and so is the reverse pass of backprop.py. They get stand-ins
(stand_ins.py) in place of numbers and arrays, and these write down what is computed.

Values are the engine's own. For the time of the trace, those that exist already show a stand-in in
place of their numbers: the class of each is replaced by a subclass in which `_numbers` is a
property. The property asks a context variable, so other threads and tasks see the numbers.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from heapq import heappop, heappush
from threading import RLock
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.backprop import Node, reverse_pass
from microgd.programs.stand_ins import Record, StandIn
from microgd.programs.watch import Watch, flattened
from microgd.recording import recording

# One trace at a time: two threads that replace the class of the same Value would disturb each
# other.
_ONE_AT_A_TIME = RLock()

# What Values show in place of their numbers, in this thread and task.
_stand_ins: ContextVar[dict[Any, Any] | None] = ContextVar("stand_ins", default=None)
_numbers_slot: Any = vars(Node)["_numbers"]
_operands_slot: Any = vars(Node)["_operands"]
_grad_slot: Any = vars(Node)["grad"]


@cache
def _traced_class(value_class: Any) -> Any:
    """The subclass whose Values show a stand-in, while they are traced."""

    def read_numbers(self: Any) -> Any:
        replaced = _stand_ins.get()
        stand_in = None if replaced is None else replaced.get(self)
        return _numbers_slot.__get__(self) if stand_in is None else stand_in

    def write_numbers(self: Any, numbers: Any) -> None:
        replaced = _stand_ins.get()
        if replaced is not None and self in replaced:
            replaced[self]._record.cannot("it changes the data of a Value")
        _numbers_slot.__set__(self, numbers)
        if not hasattr(self, "_order"):  # it is new, and got its class from a Value that is traced
            self.__class__ = value_class

    def read_grad(self: Any) -> Any:
        replaced = _stand_ins.get()
        if replaced is not None and self in replaced:
            replaced[self]._record.cannot("it calls backward(), or uses the grad of a Value")
        return _grad_slot.__get__(self)

    def write_grad(self: Any, grad: Any) -> None:
        read_grad(self)
        _grad_slot.__set__(self, grad)

    def read_operands(self: Any) -> Any:
        replaced = _stand_ins.get()
        if replaced is not None and self in replaced:
            return ()  # the reverse pass ends here
        return _operands_slot.__get__(self)

    attributes = {
        "__slots__": (),
        "_own_class": value_class,
        "__module__": value_class.__module__,
        "_numbers": property(read_numbers, write_numbers),
        "_operands": property(read_operands, _operands_slot.__set__),
        "grad": property(read_grad, write_grad),
    }
    return type(value_class.__name__, (value_class,), attributes)


def is_tracing() -> bool:
    """Whether a function is being called with stand-ins, in this thread and task."""
    return _stand_ins.get() is not None


@contextmanager
def without_collector() -> Iterator[None]:
    """A context without Python's garbage collector.

    It would go through a hundred thousand new calls again and again, and find no cycle.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _replaced(stand_ins: dict[Any, Any]) -> Iterator[None]:
    """A context in which these Values show their stand-ins."""
    classes: dict[Any, Any] = {value: type(value) for value in stand_ins}
    token = _stand_ins.set(stand_ins)
    try:
        for value, value_class in classes.items():
            value.__class__ = _traced_class(value_class)
        yield
    finally:
        for value, value_class in classes.items():
            value.__class__ = value_class
        _stand_ins.reset(token)


@dataclass
class Input:
    """An argument of the program."""

    stand_in: StandIn
    name: str
    path: Any = None  # where it is in the arguments of the function, or None
    value: Any = None  # the Value, or the array, that the function finds by itself


@dataclass
class Trace:
    """What a call has computed.

    calls         in their order, forward and then backward
    forward       how many of them are forward
    blocks        (place, node): from this place on, the calls are the node's contributions
    inputs        all that the program may need
    result        what the function returned
    output        the Value in it that gradients are of, or None
    gradients     (Value, stand-in): the gradient of each input that is a Value
    """

    record: Record
    inputs: list[Input]
    result: Any = None
    output: Any = None
    forward: int = 0
    blocks: list[tuple[int, Node]] = field(default_factory=list)
    gradients: list[tuple[Any, StandIn]] = field(default_factory=list)
    totals: list[tuple[Node, Any]] = field(default_factory=list)  # the gradient of every node
    update_from: int | None = None  # where the calls of the optimizer begin
    seed: StandIn | None = None  # the gradient that the reverse pass begins with
    constants: dict[int, tuple[ndarray, str | None]] = field(default_factory=dict)

    @property
    def calls(self) -> list[Any]:
        """All calls, in their order."""
        return self.record.calls

    def forget(self) -> None:
        """Let go of the calls, and of the graph, once the program is written.

        Otherwise the stand-ins in the result would keep all of it as long as there is the program,
        and Python's garbage collector would go through it again and again. What the result itself
        says is left: its stand-ins, what they stand for, and which of its Values have operands.
        """
        given = {each.value for each in self.inputs if each.value is not None}
        for x in flattened(self.result):
            if isinstance(x, Node) and x not in given and x._operands:
                x._operands = (None,)
                x._saved = (None,)
        for call in self.record.calls:
            call._arguments = ()
            if type(call) is StandIn:
                del call._owner  # most stand-ins own themselves, which is a cycle
        self.record.calls.clear()
        self.blocks.clear()
        self.gradients.clear()
        self.totals.clear()


def trace(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    values: Mapping[Any, str],
    watch: Watch,
    *,
    backward: bool,
    seeded: bool = False,
    argument_names: Sequence[str] = (),
    find_place: Callable[[], Any] | None = None,
    finish: Callable[[Trace], None] | None = None,
) -> Trace:
    """Call the function with stand-ins, and go back from its result.

    `values` are the Values that it finds by itself, with their names. With `seeded`, the reverse
    pass begins with a gradient that is an argument of the program, and otherwise with 1.
    """
    # (Warnings of Python are not switched off: that would be for all threads.)
    with _ONE_AT_A_TIME, np.errstate(all="ignore"):
        record = Record()
        record.find_place = find_place
        made = Trace(record, [])
        record.check_constant = _check_of_constants(made, watch)
        stand_ins: dict[Any, StandIn] = {}
        inner_arguments, inner_options = _with_stand_ins(
            made, arguments, options, stand_ins, argument_names
        )
        for value, name in values.items():
            if value not in stand_ins:
                stand_ins[value] = _add_input(made, name, value._numbers, value=value)
        try:
            with _replaced(stand_ins):
                made.result = function(*inner_arguments, **inner_options)
                made.output = first_value(made.result)
                made.forward = len(record.calls)
                if backward and made.output is not None:
                    _go_back(made, seeded)
                if finish is not None:
                    made.update_from = len(record.calls)
                    finish(made)
        finally:
            record.is_open = False
        if record.failure is not None:  # somebody has caught it, and gone another way
            raise record.failure
        return made


def _add_input(made: Trace, name: str, numbers: Any, path: Any = None, value: Any = None) -> Any:
    stand_in = made.record.input(name, numbers)
    made.inputs.append(Input(stand_in, name, path, value))
    return stand_in


def _go_back(made: Trace, seeded: bool) -> None:
    """Run the reverse pass, and note which node's contributions begin where."""
    output = made.output
    record = made.record
    numbers = output._numbers
    if type(numbers) is not StandIn:  # it is the same in every run
        numbers = record.result("constant", numbers, (), None, numbers)
        output._numbers = numbers
    if seeded:
        shape = np.shape(numbers)
        like = np.ones(shape, numbers.dtype) if shape else 1.0
        seed = _add_input(made, "g", like)
    elif isinstance(numbers, float):
        seed = record.constant(1.0)
    else:
        seed = np.ones_like(numbers)
    made.seed = seed
    replaced = _stand_ins.get() or {}
    if seeded:
        for value, term in contributions(output, seed, replaced):
            if type(term) is not StandIn:
                term = record.result("constant", term, (), None, term)
            made.gradients.append((value, term))
        if len(made.gradients) > MOST_TERMS:
            made.gradients = summed(made.gradients)
        return
    for node, gradient in reverse_pass(output, seed):
        made.totals.append((node, gradient))
        if node in replaced:
            if type(gradient) is not StandIn:
                gradient = record.result("constant", gradient, (), None, gradient)
            made.gradients.append((node, gradient))
        else:
            made.blocks.append((len(record.calls), node))


# A graph of numbers may use each leaf a hundred times. Then its terms are added up in the program:
# going through all of them would take longer than the program.
MOST_TERMS = 1000


def summed(terms: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The sum of each Value's terms, in their order."""
    sums: dict[Any, Any] = {}
    for value, term in terms:
        sums[value] = sums[value] + term if value in sums else term
    return list(sums.items())


def contributions(
    output: Any, gradient: Any, ends: Container[Any], create_graph: bool = False
) -> Iterator[tuple[Any, Any]]:
    """Yield what goes back from an output to the Values in `ends`, and no further.

    These are the terms of their gradients, in the order in which the reverse pass comes to them. It
    adds them up one by one, and so the caller's reverse pass has to, for a sum of the same bits.
    """
    if output in ends:
        yield output, gradient
        return
    sums = {output: gradient}
    waiting = [(-output._order, output)]
    while waiting:
        _, node = heappop(waiting)
        total = sums.pop(node)
        for operand, term in node._operation.contributions(node, total, create_graph):
            if operand in ends:
                yield operand, term
            elif operand in sums:
                sums[operand] = sums[operand] + term
            else:
                sums[operand] = term
                if operand._operands:
                    heappush(waiting, (-operand._order, operand))


def contributions_of_a_call(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    operands: Sequence[Any],
    like: Any,
    gradient: Any,
    create_graph: bool,
) -> list[tuple[Any, Any]]:
    """Call the function as it is, and go back from its result to these operands, and no further.

    `like` is what the result was before: if it is another now, that is a `RuntimeError`.
    """
    with recording(True):
        result = function(*arguments, **options)
        output = first_value(result)
    if output is None or not same_bits(output._numbers, like):
        raise RuntimeError(
            "something has changed since the compiled function was called: call it again, "
            "then differentiate"
        )
    return list(contributions(output, gradient, set(operands), create_graph))


def first_value(result: Any) -> Any:
    """The first Value in a result that was recorded."""
    if isinstance(result, Node):
        return result if result._operands else None
    parts: Iterable[Any] = ()
    if isinstance(result, list | tuple):
        parts = result
    elif isinstance(result, dict):
        parts = result.values()
    for part in parts:
        found = first_value(part)
        if found is not None:
            return found
    return None


def same_bits(x: Any, y: Any) -> bool:
    """Whether two results are the same, to the last bit; nan counts as equal to nan."""
    if isinstance(x, ndarray) or isinstance(y, ndarray):
        if type(x) is not type(y) or x.dtype != y.dtype or x.shape != y.shape:
            return False
        if x.tobytes() == y.tobytes():
            return True
        if x.dtype.kind != "f":
            return False
        is_nan = np.isnan(x)
        x = np.where(is_nan, 0, x)
        return (
            np.array_equal(is_nan, np.isnan(y)) and x.tobytes() == np.where(is_nan, 0, y).tobytes()
        )
    if isinstance(x, float) and isinstance(y, float):
        return repr(x) == repr(y)
    return type(x) is type(y) and bool(x == y)


# ── Arguments ────────────────────────────────────────────────────────────────────────────────────
def _with_stand_ins(
    made: Trace,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
    stand_ins: dict[Any, StandIn],
    names: Sequence[str],
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments, with stand-ins in place of arrays and floats. Values stay, and show theirs."""

    arrays: dict[int, StandIn] = {}

    def replace(path: tuple[Any, ...], x: Any) -> Any:
        name = _argument_name(path, names)
        if isinstance(x, Node):
            if x not in stand_ins:
                stand_ins[x] = _add_input(made, x.name or name, x._numbers, path, x)
            return x
        if type(x) is ndarray and id(x) in arrays:  # it is given twice
            return arrays[id(x)]
        stand_in = _add_input(made, name, x, path)
        arrays[id(x)] = stand_in
        return stand_in

    inner = [mapped(replace, x, (i,)) for i, x in enumerate(arguments)]
    inner_options = {name: mapped(replace, x, (name,)) for name, x in options.items()}
    return inner, inner_options


def mapped(function: Callable[[Any, Any], Any], x: Any, path: tuple[Any, ...]) -> Any:
    """x, with a function's results in place of the numbers, arrays and Values in it."""
    if is_number(x):
        return function(path, x)
    if type(x) is list or type(x) is tuple:
        return type(x)(mapped(function, each, (*path, i)) for i, each in enumerate(x))
    if type(x) is dict:
        return {key: mapped(function, each, (*path, key)) for key, each in x.items()}
    return x


def is_number(x: Any) -> bool:
    """Whether it is an argument of the program. An integer is not: it may be a size or a count."""
    if type(x) is float or type(x) is ndarray or isinstance(x, Node):
        return True
    return isinstance(x, np.generic) and x.dtype.kind in "fiub"


def _argument_name(path: tuple[Any, ...], names: Sequence[str]) -> str:
    """What the program calls an argument: as the function does, or x0, x1, … ."""
    first, *inside = path
    if isinstance(first, int):
        first = names[first] if first < len(names) else f"x{first}"
    return "_".join([first, *map(str, inside)])


# ── Constant arrays ──────────────────────────────────────────────────────────────────────────────
def _check_of_constants(made: Trace, watch: Watch) -> Callable[[ndarray], None]:
    """A function that finds out where an array comes from that is not computed from arguments.

    Arrays that the function reaches by names are arguments of the program, and so are views of
    them. Arrays of equal elements, and counts such as 0, 1, 2, are written as they are, and so is
    what operations make for themselves. Any other array was made by the function, from numbers that
    can't be followed: that is an error.
    """

    def check(array: ndarray) -> None:
        if id(array) in made.constants:
            return
        name: str | None = None
        owner = array
        while owner is not None and id(owner) not in watch.arrays:
            owner = owner.base  # type: ignore[assignment]
        if owner is not None:
            name = watch.arrays[id(owner)][1] or "constant"
        elif literal(array) is None and not _was_made_by_microgd(array):
            made.record.cannot(
                f"it makes an array of shape {array.shape}, from numbers that can't be followed: "
                "give it as an argument"
            )
        made.constants[id(array)] = array, name

    return check


def literal(array: ndarray) -> str | None:
    """How an array is written that is a plain fill or a range; None if it is neither."""
    dtype = "" if array.dtype == np.float64 else f", np.{array.dtype.name}"
    if not array.size:
        return f"np.zeros({array.shape}{dtype})"
    first = array.flat[0]
    if np.array_equal(array, np.full_like(array, first), equal_nan=array.dtype.kind == "f"):
        shape = str(array.shape[0]) if array.ndim == 1 else str(array.shape)
        if first == 0 and not np.signbit(first):
            return f"np.zeros({shape}{dtype})"
        if first == 1 and array.dtype.kind != "b":
            return f"np.ones({shape}{dtype})"
        item = first.item()
        written = "np." + repr(item) if item != item or abs(item) == np.inf else repr(item)
        written = written.replace("np.-inf", "-np.inf")
        return f"np.full({shape}, {written}{dtype})"
    is_range = array.ndim == 1 and array.dtype == np.int64
    if is_range and np.array_equal(array, np.arange(len(array))):
        return f"np.arange({len(array)})"
    return None


def _was_made_by_microgd(array: ndarray) -> bool:
    """Whether code of microgd's made the array, and not code of the user's.

    It is an argument of all functions that were called with it. So the function that made it, or
    called something that did, is the innermost of the active ones of which it is no argument.
    """
    frame: Any = sys._getframe(3)
    while frame is not None:
        if not _is_argument(array, frame):
            module = frame.f_globals.get("__name__", "")
            return bool(
                module.startswith("microgd.") and not module.startswith("microgd.programs.")
            )
        frame = frame.f_back
    return False


def _is_argument(array: ndarray, frame: Any) -> bool:
    """Whether a function got this array, or something that it is in, as an argument."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + 2
    names = code.co_varnames[:count]
    found = frame.f_locals
    return any(_contains(found.get(name), array) for name in names)


def _contains(x: Any, array: ndarray) -> bool:
    if x is array:
        return True
    if isinstance(x, list | tuple):
        return any(_contains(each, array) for each in x)
    if type(x) is dict:
        return any(_contains(each, array) for each in x.values())
    if isinstance(x, Node):
        return _numbers_slot.__get__(x) is array
    return False
