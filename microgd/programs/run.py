"""`compiled`: a function that is run as the program that was written of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import update_wrapper
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.backprop import Node, Operation, next_order, record, reverse_pass
from microgd.checks import check_type
from microgd.memory import keep
from microgd.programs.fast import Fast, Program, needed_calls
from microgd.programs.stand_ins import CannotFollow, StandIn, stand_ins_in
from microgd.programs.trace import (
    Input,
    Trace,
    gradients_of_a_call,
    same_bits,
    trace,
)
from microgd.programs.watch import RandomStatesKept, Surroundings, Watch
from microgd.recording import is_evaluating, is_recording
from microgd.value import Value

MOST_PROGRAMS = 8  # of one function, for arguments of the same shapes
_COMPARED = {2, 3, *(10**n for n in range(1, 19))}  # calls that are compared with the function's


def is_compared(call: int) -> bool:
    """Whether this call of a program, counted from 1, is compared with the function itself."""
    return call in _COMPARED


class Compiled:
    """A function of Values, run as a program."""

    def __init__(self, function: Callable[..., Any]) -> None:
        check_type("a function", Callable, function)
        self.function = function
        self._versions: dict[Any, list[_Version]] = {}
        self.differences = 0
        self._reason: str | None = None  # why it runs as it is
        update_wrapper(self, function)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The function's result."""
        if self._reason is not None:
            return self.function(*arguments, **options)
        key = key_of_call(arguments, options)
        versions = self._versions.setdefault(key, [])
        for version in versions:
            if version.watch.is_unchanged():
                return version.run(self, arguments, options)
        return self._first_run(versions, arguments, options)

    def __get__(self, instance: Any, owner: type) -> Any:
        # As a decorator of a method.
        if instance is None:
            return self
        return lambda *arguments, **options: self(instance, *arguments, **options)

    def _first_run(
        self, versions: list[_Version], arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """Run the function itself, and write down a program for the next time."""
        watch = Watch(self.function, arguments, options)
        surroundings = Surroundings(watch)
        before = next_order()
        result = self.function(*arguments, **options)
        change = surroundings.change()
        if change is not None:
            self.give_up(change)
            return result
        if len(versions) >= MOST_PROGRAMS:
            name = versions[-1].watch.change()
            self.give_up(f"{name} changes again and again: give it as an argument")
            return result
        try:
            made = self._trace(watch, before, result, arguments, options)
            versions.insert(0, _Version(self.function, made, watch))
        except CannotFollow as error:
            self.give_up(str(error))
        return result

    def _trace(
        self,
        watch: Watch,
        before: int,
        result: Any,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> Trace:
        values = values_found(watch, result, before)
        with RandomStatesKept(watch.generators):
            return trace(
                self.function,
                arguments,
                options,
                values,
                watch,
                backward=is_recording(),
                seeded=True,
            )

    def give_up(self, reason: str) -> None:
        """From now on, run the function as it is, and say why."""
        self._reason = reason
        self._versions.clear()
        name = getattr(self.function, "__qualname__", "the function")
        warnings.warn(f"{name} is not compiled, but runs as it is: {reason}", RuntimeWarning, 4)


def values_found(watch: Watch, result: Any, before: int) -> dict[Any, str]:
    """The Values that a function has found by itself, with their names.

    These are the ones that are reached by names, and those that its result was computed from and
    that are older than the call.
    """
    values = dict(watch.values)
    waiting = [x for x in _parts(result) if isinstance(x, Node)]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node._order < before:
            values.setdefault(node, node.name or "value")
            continue
        for x in node._operands:
            if isinstance(x, Node) and x not in seen:
                seen.add(x)
                waiting.append(x)
    return values


def _parts(result: Any) -> Iterable[Any]:
    """The results in nested lists, tuples and dictionaries."""
    if isinstance(result, list | tuple):
        for each in result:
            yield from _parts(each)
    elif isinstance(result, dict):
        for each in result.values():
            yield from _parts(each)
    else:
        yield result


# ── What a program belongs to ────────────────────────────────────────────────────────────────────
def key_of_call(arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Shapes and dtypes of the arguments, and everything in them that is no number."""
    keys = tuple(map(key_of, arguments))
    if options:
        keys += tuple((name, key_of(x)) for name, x in options.items())
    return keys, is_recording(), is_evaluating()


def key_of(x: Any) -> Any:
    """What all arguments that one program takes have in common with this one."""
    cls = type(x)
    if cls is ndarray:
        return x.shape, x.dtype, x.strides
    if cls is float:
        return cls
    if isinstance(x, Node):
        return cls, key_of(x._numbers)
    if isinstance(x, np.generic):
        return cls
    if cls is list or cls is tuple:
        return cls, tuple(map(key_of, x))
    if cls is dict:
        return cls, tuple((name, key_of(each)) for name, each in x.items())
    if isinstance(x, int | str | bytes | None):
        return cls, x
    return cls, id(x)


# ── A program and how it is run ──────────────────────────────────────────────────────────────────
def used_inputs(made: Trace, calls: Iterable[Any], results: Iterable[StandIn]) -> list[Input]:
    """The arguments that these calls need."""
    used = set(results)
    for call in calls:
        used.update(stand_ins_in((call._arguments, call._options)))
    return [each for each in made.inputs if each.stand_in in used]


class _Version:
    """A function written as two programs: forward, and backward from a gradient of the result."""

    def __init__(self, function: Callable[..., Any], made: Trace, watch: Watch) -> None:
        self.function = function
        self.watch = watch
        self.runs = 1
        self.differences = 0
        self.watch_of_contents = made.converted
        self.structure = made.result
        forward_calls = made.calls[: made.forward]
        backward_calls = made.calls[made.forward :]
        self._results = [x for x in _numbers_in_result(made.result) if type(x) is StandIn]
        gradients = [x for _, x in made.gradients]
        calls = needed_calls(made.calls, [*self._results, *gradients])
        needed = set(calls)
        forward_calls = [call for call in forward_calls if call in needed]
        backward_calls = [call for call in backward_calls if call in needed]
        self._residuals = _residuals(forward_calls, made, backward_calls, gradients)
        outputs = [*self._results, *self._residuals]
        self.inputs = used_inputs(made, forward_calls, outputs)
        arguments = [each.stand_in for each in self.inputs]
        self.forward_program = Fast(forward_calls, "forward", arguments).write(outputs)
        self.forward = self.forward_program.compiled()
        self.backward: Any = None
        self.backward_program: Program | None = None
        self.operands: list[Input] = []
        if made.seed is not None:
            inputs = {each.value: each for each in made.inputs if each.value is not None}
            self.operands = [inputs[value] for value, _ in made.gradients]
            fast = Fast(backward_calls, "backward", [made.seed, *self._residuals])
            self.backward_program = fast.write(gradients, kept=self._residuals)
            self.backward = self.backward_program.compiled()
        self.output = made.output
        self.count = len(self._results)

    def run(self, compiled: Compiled, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """The function's result."""
        self.runs += 1
        numbers = [_numbers(each, arguments, options) for each in self.inputs]
        try:
            found = self.forward(*numbers)
        except Exception:
            return self.function(*arguments, **options)  # whose messages are the engine's
        if is_compared(self.runs):
            return self._compared(compiled, found, arguments, options)
        return self._as_result(found, arguments, options)

    def _as_result(
        self, found: Any, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """What the program has computed, in the form in which the function returns it."""
        numbers = iter(found[: self.count])
        operands = tuple(_value(each, arguments, options) for each in self.operands)

        def replace(path: Any, x: Any) -> Any:
            if not isinstance(x, Node):
                return next(numbers) if type(x) is StandIn else x
            if type(x._numbers) is not StandIn:
                return Value(x._numbers)
            result = next(numbers)
            if x is self.output:
                saved = tuple(map(_now, operands))
                residuals = found[self.count :]
                operation = _CompiledOperation.of(self, residuals, (arguments, options))
                return record(type(x), result, operation, operands, saved)
            return record(Value, result, _NOT_DIFFERENTIATED, operands[:1], (None,))

        return _mapped_result(replace, self.structure)

    def _compared(
        self, compiled: Compiled, found: Any, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """The function's own result. If the program's is another, the program is dropped."""
        result = self.function(*arguments, **options)
        mine = self._as_result(found, arguments, options)
        if not _is_same_result(result, mine):
            for versions in compiled._versions.values():
                if self in versions:
                    versions.remove(self)
            compiled.differences += 1
        return result


def _residuals(
    forward_calls: Sequence[Any], made: Trace, backward_calls: Sequence[Any], gradients: Any
) -> list[StandIn]:
    """What the backward program needs of the forward one."""
    own = {call for call in backward_calls if type(call) is StandIn}
    if made.seed is not None:
        own.add(made.seed)
    needed: dict[StandIn, None] = {}
    for call in backward_calls:
        for x in stand_ins_in((call._arguments, call._options)):
            if x not in own and x._kind != "constant":
                needed[x] = None
    for x in gradients:
        if x not in own and x._kind != "constant":
            needed[x] = None
    return list(needed)


def _numbers(each: Input, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    found = _value(each, arguments, options)
    return keep(found) if isinstance(found, Node) else found


def _value(each: Input, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    if each.path is None:
        return each.value
    first, *rest = each.path
    found = options[first] if isinstance(first, str) else arguments[first]
    for key in rest:
        found = found[key]
    return found


def _now(operand: Any) -> Any:
    return operand._numbers


def _numbers_in_result(result: Any) -> list[Any]:
    found = []
    for x in _parts(result):
        found.append(x._numbers if isinstance(x, Node) else x)
    return found


def _mapped_result(function: Callable[[Any, Any], Any], result: Any) -> Any:
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*(_mapped_result(function, each) for each in result))
    if type(result) in (list, tuple):
        return type(result)(_mapped_result(function, each) for each in result)
    if type(result) is dict:
        return {key: _mapped_result(function, each) for key, each in result.items()}
    return function(None, result)


class _CompiledOperation(Operation):
    """A call of a program, as an operation: its rule is the backward program."""

    version: _Version
    residuals: tuple[Any, ...]
    call: tuple[Sequence[Any], Mapping[str, Any]]

    @staticmethod
    def of(version: _Version, residuals: tuple[Any, ...], call: Any) -> _CompiledOperation:
        """The operation of one call."""
        made: _CompiledOperation = object.__new__(_CompiledOperation)
        name = getattr(version.function, "__name__", "compiled")
        made.__dict__.update(
            name=name,
            forward=version.function,
            rules=(),
            options={},
            version=version,
            residuals=residuals,
            call=call,
        )
        return made

    def contributions(
        self, node: Node, gradient: Any, create_graph: bool = False
    ) -> Iterable[tuple[Node, Any]]:
        """What the backward program computes."""
        operands = node._operands
        if not create_graph:
            try:
                return zip(operands, self.version.backward(gradient, *self.residuals), strict=True)
            except Exception:
                pass  # another way back: the engine knows it
        arguments, options = self.call
        totals = gradients_of_a_call(
            self.forward, arguments, options, operands, node._numbers, gradient, create_graph
        )
        pairs = zip(operands, totals, strict=True)
        return [(operand, total) for operand, total in pairs if total is not None]


class _NotDifferentiated(Operation):
    def contributions(self, node: Node, gradient: Any, create_graph: bool = False) -> Any:
        """An error."""
        raise RuntimeError(
            "a compiled function has gradients of the first Value that it returns, and of no other"
        )


_NOT_DIFFERENTIATED = _NotDifferentiated("compiled", forward=lambda: None, rules=())


def _is_same_result(result: Any, mine: Any) -> bool:
    pairs = zip(_parts(result), _parts(mine), strict=True)
    return all(_is_same_part(x, y) for x, y in pairs)


def _is_same_part(x: Any, y: Any) -> bool:
    if not isinstance(x, Node):
        return same_bits(x, y)
    if not isinstance(y, Node) or not same_bits(x._numbers, y._numbers):
        return False
    if not y._operands or isinstance(y._operation, _NotDifferentiated):
        return True
    numbers = x._numbers
    seed = 1.0 if isinstance(numbers, float) else np.ones_like(numbers)
    expected = dict(reverse_pass(x, seed))
    found = dict(y._operation.contributions(y, seed))
    return all(same_bits(expected.get(value), gradient) for value, gradient in found.items())


def compiled(function: Callable[..., Any]) -> Any:
    """The function, run as a program of NumPy calls that is written of it at its first call."""
    return Compiled(function)

