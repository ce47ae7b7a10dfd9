"""A function written as two programs, and run in its place."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy import ndarray

from microgd.backprop import Node, Operation, record, require_unchanged
from microgd.memory import keep
from microgd.programs.fast import Code, Fast, OtherWayError, needed_calls
from microgd.programs.limits import FAULTS, MOST_FAILURES, failure, is_compared
from microgd.programs.reached import memory_of, used_inputs
from microgd.programs.stand_ins import CannotFollow, StandIn, parts_of
from microgd.programs.trace import (
    MOST_TERMS,
    Input,
    Trace,
    contributions,
    contributions_of_a_call,
    same_bits,
    summed,
    without_collector,
)
from microgd.programs.watch import Watch, flattened


class Owner(Protocol):
    """Whose version it is: it decides whether its function is still run as a program."""

    compares_next: bool

    def give_up(self, reason: str) -> None:
        """From now on, run the function as it is."""

    def differ(self, version: Version) -> None:
        """Drop this version: its results are not those of the function."""


class Version:
    """A function written as two programs: forward, and backward from a gradient of the result."""

    def __init__(self, function: Callable[..., Any], made: Trace, watch: Watch) -> None:
        self.function = function
        self.watch = watch
        self.runs = 1
        self.failures = 0
        self.structure = made.result
        self.output = made.output
        self.given = {each.value: each for each in made.inputs if each.value is not None}
        _mapped_result(_check_of_results(made, watch, self.given), made.result)
        self._check_leaves()
        found = numbers_in_result(made.result)
        results = [x for x in dict.fromkeys(map(_Same, found)) if type(x.x) is StandIn]
        self._results = [each.x for each in results]
        self._places = {x: i for i, x in enumerate(self._results)}
        terms = [x for _, x in made.gradients]
        calls = needed_calls(made.calls, [*self._results, *terms])
        forward_calls = [call for call in calls if call._index < made.forward]
        backward_calls = [call for call in calls if call._index >= made.forward]
        self._residuals = _residuals(made, backward_calls, terms)
        outputs = [*self._results, *self._residuals]
        self.inputs = used_inputs(made, forward_calls)
        arguments = [each.stand_in for each in self.inputs]
        self.forward_program = Fast(forward_calls, "forward", arguments).write(outputs)
        self.forward = self.forward_program.compiled()
        self.count = len(self._results)
        self._copied = self._shared(self._results, forward_calls)
        self._prepare_backward(made, backward_calls, terms)
        self._arguments = [each for each in made.inputs if each.path and each.value is not None]
        self._numbers = _reader(self.inputs, as_numbers=True)
        self._operands = _reader(self.operands, as_numbers=False)
        self._result_class = type(self.output)
        self._result_name = getattr(self.output, "name", None)
        watch.compare_contents(memory_of(array for array, _ in made.constants.values()))
        made.forget()

    def _prepare_backward(
        self, made: Trace, backward_calls: Sequence[Any], terms: Sequence[StandIn]
    ) -> None:
        """Write the backward program, if there is a Value to go back from."""
        self.backward: Any = None
        self.backward_program: Code | None = None
        # The Values that get gradients; and for each term that is computed, the place of its Value.
        self.operands: list[Input] = []
        self.targets: list[int] = []
        if made.seed is not None:
            order = {
                value: i for i, value in enumerate(dict.fromkeys(v for v, _ in made.gradients))
            }
            self.operands = [self.given[value] for value in order]
            self.targets = [order[value] for value, _ in made.gradients]
            fast = Fast(backward_calls, "backward", [made.seed, *self._residuals])
            self.backward_program = fast.write(terms, kept=self._residuals)
            self.backward = self.backward_program.compiled()
        # The engine may store a term as a gradient, for its user to write into. So it gets no
        # array that a later run of the backward program needs.
        residuals = {x._owner for x in self._residuals}
        self._kept_terms = [i for i, x in enumerate(terms) if x._owner in residuals]
        places = {id(each): i for i, each in enumerate(self.inputs)}
        self._saved_places = [places.get(id(each)) for each in self.operands]

    def _check_leaves(self) -> None:
        """Raise a `CannotFollow` error for a leaf that is made inside, and is returned, too.

        Nobody could tell its gradient.
        """
        returned = {x for x in flattened(self.structure) if isinstance(x, Node)} - {self.output}
        if not returned:
            return
        waiting = [self.output] if self.output is not None else []
        seen = set(waiting)
        while waiting:
            node = waiting.pop()
            if node in returned and node not in self.given and not node._operands:
                raise CannotFollow("it returns a Value that it has made and computed with")
            for x in () if node in self.given else node._operands:
                if isinstance(x, Node) and x not in seen:
                    seen.add(x)
                    waiting.append(x)

    def _shared(self, results: Sequence[StandIn], forward_calls: Sequence[Any]) -> set[StandIn]:
        """Results that are arrays for the caller to write into, but that something else needs."""
        found = {x for x in flattened(self.structure) if type(x) is StandIn}
        arrays = {x for x in found if type(x._value) is ndarray}
        if not arrays:
            return arrays
        own = {x for x in forward_calls if type(x) is StandIn and x._kind != "input"}
        return {x for x in arrays if x._owner in own}

    def fits(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> bool:
        """Whether the program is one for these arguments, and nothing has changed."""
        values = self.watch.values
        if self.watch.arrays and self.watch.finds_one_of((arguments, options)):
            return False
        for each in self._arguments if values else ():
            found = _value(each, arguments, options)
            if (each.value in values or found in values) and found is not each.value:
                return False  # it is also a Value that the function finds by itself
        return self.watch.is_unchanged()

    def run(self, owner: Owner, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """The function's result."""
        self.runs += 1
        try:
            numbers = self._numbers(arguments, options)
            found = self.forward(*numbers)
        except OtherWayError:
            return self.function(*arguments, **options)
        except FAULTS as error:
            result = self.function(*arguments, **options)  # if it fails too, it says why itself
            self.failures += 1
            if self.failures == MOST_FAILURES:
                owner.give_up(failure(error))
            return result
        except Exception:  # of the numbers: the function raises it, or catches it
            return self.function(*arguments, **options)
        if is_compared(self.runs) or owner.compares_next:
            return self._compared(owner, numbers, found, arguments, options)
        return self._as_result(numbers, found, arguments, options)

    def _as_result(
        self,
        numbers: Sequence[Any],
        found: Any,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> Any:
        """What the program has computed, in the form in which the function returns it."""
        operands = self._operands(arguments, options)
        is_one_value = self.output is not None and self.structure is self.output
        if is_one_value:  # as of most functions
            saved = self._saved(numbers, operands)
            residuals = found[self.count :]
            call = _CompiledOperation.of(self, residuals, saved, (arguments, options))
            result = record(self._result_class, found[0], call, operands, saved)
            result.name = self._result_name
            return result
        done: dict[int, Any] = {}  # the same object, returned twice, is the same object again

        def replace(x: Any) -> Any:
            if id(x) not in done:
                done[id(x)] = new_result(x)
            return done[id(x)]

        def new_result(x: Any) -> Any:
            if isinstance(x, ndarray) and not _is_stand_in(x):
                return x if self.watch.knows(x) or x.base is not None else x.copy("K")
            if _is_stand_in(x):
                own = found[self._places[x]]
                return own.copy("K") if x in self._copied else own
            if not isinstance(x, Node):
                return x
            if x in self.given:
                return _value(self.given[x], arguments, options)
            result: Any = x._numbers
            if _is_stand_in(result):
                result = found[self._places[result]]
            if x is self.output:
                saved = self._saved(numbers, operands)
                residuals = found[self.count :]
                call = _CompiledOperation.of(self, residuals, saved, (arguments, options))
                value = record(type(x), result, call, operands, saved)
            elif x._operation is None:
                value = type(x)(result)
            else:
                # (Within no_grad, x has no operands.)
                others = operands[:1] if x._operands else ()
                operation = _NOT_DIFFERENTIATED if others else x._operation
                value = record(type(x), result, operation, others, (None,) * len(others))
            value.name = x.name
            return value

        return _mapped_result(replace, self.structure)

    def _saved(self, numbers: Sequence[Any], operands: Sequence[Any]) -> tuple[Any, ...]:
        """The numbers that the operands hold; None where they don't matter."""
        return tuple([None if i is None else numbers[i] for i in self._saved_places])

    def terms(self, gradient: Any, residuals: Sequence[Any]) -> list[Any]:
        """What the backward program computes."""
        found = list(self.backward(gradient, *residuals))
        for i in self._kept_terms:
            if type(found[i]) is ndarray:
                found[i] = found[i].copy("K")
        return found

    def _compared(
        self,
        owner: Owner,
        numbers: Sequence[Any],
        found: Any,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> Any:
        """The program's result, if the function's is the same to the last bit.

        Otherwise it is the function's, and the program is dropped. (Of two that are the same, the
        program's has the faster way back.)
        """
        mine = self._as_result(numbers, found, arguments, options)
        with without_collector():
            result = self.function(*arguments, **options)
            if _is_same_result(result, mine):
                del result  # it goes at once, since a graph has no cycles
                return mine
        owner.differ(self)
        return result


class _Same:
    """Tells objects apart by their identity."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __hash__(self) -> int:
        return id(self.x)

    def __eq__(self, other: Any) -> bool:
        return self.x is other.x


def not_numbers(result: Any) -> str:
    """Why a function with such a result is not run as a program."""
    return f"it returns an object of type {type(result).__name__}"


def _check_of_results(
    made: Trace, watch: Watch, given: Mapping[Any, Input]
) -> Callable[[Any], None]:
    """A function that raises a `CannotFollow` error for a result that is another in each call."""

    def check(x: Any) -> None:
        if type(x) is StandIn or isinstance(x, Node | bool | int | float | complex | str | bytes):
            return
        if isinstance(x, ndarray):
            made.record.check_constants(x)
        elif not (x is None or isinstance(x, np.generic | np.dtype) or watch.knows(x)):
            raise CannotFollow(not_numbers(x))

    return check


def _residuals(
    made: Trace, backward_calls: Sequence[Any], gradients: Iterable[StandIn]
) -> list[StandIn]:
    """What the backward program needs of the forward one."""
    needed: dict[int, StandIn] = {}
    for call in backward_calls:
        parts = call._arguments if call._kind == "operator" else parts_of(call)
        for x in parts:
            if type(x) is StandIn and x._index < made.forward:
                needed[x._index] = x
    for x in gradients:
        if x._index < made.forward:
            needed[x._index] = x
    return [x for x in needed.values() if x._kind != "constant"]


def _reader(inputs: Sequence[Input], as_numbers: bool) -> Callable[..., tuple[Any, ...]]:
    """The function that finds these inputs in the arguments of a call.

    It is written for them, so that it has no loop. With `as_numbers`, it gives what Values hold.
    """
    objects: dict[str, Any] = {"keep": keep}
    parts = []
    for i, each in enumerate(inputs):
        if each.path is None:
            text = f"x{i}"
            objects[text] = each.value
        else:
            first, *rest = each.path
            text = f"options[{first!r}]" if isinstance(first, str) else f"arguments[{first}]"
            text += "".join(f"[{key!r}]" for key in rest)
        is_value = isinstance(each.value, Node)
        parts.append(f"keep({text})" if is_value and as_numbers else text)
    body = "".join(f"{part}, " for part in parts)
    function: Callable[..., tuple[Any, ...]] = eval(f"lambda arguments, options: ({body})", objects)
    return function


def _value(each: Input, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    if each.path is None:
        return each.value
    first, *rest = each.path
    found = options[first] if isinstance(first, str) else arguments[first]
    for key in rest:
        found = found[key]
    return found


def numbers_in_result(result: Any) -> list[Any]:
    """The numbers and arrays in a result, also those that Values hold."""
    found = []
    for x in flattened(result):
        found.append(x._numbers if isinstance(x, Node) else x)
    return found


def _mapped_result(function: Callable[[Any], Any], result: Any) -> Any:
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*(_mapped_result(function, each) for each in result))
    if type(result) in (list, tuple):
        return type(result)(_mapped_result(function, each) for each in result)
    if type(result) is dict:
        return {key: _mapped_result(function, each) for key, each in result.items()}
    return function(result)


def _is_stand_in(x: Any) -> bool:
    return type(x) is StandIn


class _CompiledOperation(Operation):
    """A call of a program, as an operation: its rule is the backward program."""

    version: Version
    residuals: tuple[Any, ...]
    saved: tuple[Any, ...]
    call: tuple[Sequence[Any], Mapping[str, Any]]

    @staticmethod
    def of(
        version: Version, residuals: tuple[Any, ...], saved: tuple[Any, ...], call: Any
    ) -> _CompiledOperation:
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
            saved=saved,
            call=call,
        )
        return made

    def __deepcopy__(self, memo: Any) -> _CompiledOperation:
        return self  # a copy of a graph has the same operations

    def contributions(
        self, node: Node, gradient: Any, create_graph: bool = False
    ) -> Iterable[tuple[Node, Any]]:
        """What the backward program computes."""
        operands = node._operands
        version = self.version
        if not create_graph:
            try:
                terms = version.terms(gradient, self.residuals)
            except Exception:
                pass  # another way back: the engine knows it
            else:
                return [(operands[i], term) for i, term in zip(version.targets, terms, strict=True)]
        for operand, saved in zip(operands, self.saved, strict=True):
            if saved is not None:
                require_unchanged(operand, saved)
        if not version.watch.is_unchanged():
            raise RuntimeError(
                f"{version.watch.change()} has changed since the compiled function was called: "
                "call it again, then differentiate"
            )
        arguments, options = self.call
        given = [_value(each, arguments, options) for each in version.operands]
        if not all(map(operator.is_, given, operands)):
            raise RuntimeError(
                "a copy of a compiled function's result has no second derivatives: "
                "call the function with the copies"
            )
        return contributions_of_a_call(
            self.forward, arguments, options, operands, node._numbers, gradient, create_graph
        )


class _NotDifferentiated(Operation):
    def contributions(self, node: Node, gradient: Any, create_graph: bool = False) -> Any:
        """An error."""
        raise RuntimeError(
            "a compiled function has gradients of the first Value that it returns, and of no other"
        )


_NOT_DIFFERENTIATED = _NotDifferentiated("compiled", forward=lambda: None, rules=())


def _is_same_result(result: Any, mine: Any) -> bool:
    found = list(flattened(result))
    others = list(flattened(mine))
    return len(found) == len(others) and all(map(_is_same_part, found, others))


def _is_same_part(x: Any, y: Any) -> bool:
    if isinstance(x, ndarray) and isinstance(y, ndarray):
        return same_bits(x.view(ndarray), y.view(ndarray))
    if not isinstance(x, Node):
        return not isinstance(y, Node) and same_bits(x, y)
    if not isinstance(y, Node) or not same_bits(x._numbers, y._numbers):
        return False
    if not isinstance(y._operation, _CompiledOperation):
        return True
    numbers = x._numbers
    seed = 1.0 if isinstance(numbers, float) else np.ones_like(numbers)
    try:
        with np.errstate(all="ignore"):
            expected = list(contributions(x, seed, set(y._operands)))
            if len(expected) > MOST_TERMS:
                expected = summed(expected)
            found = list(y._operation.contributions(y, seed))
    except Exception:  # a rule raises an error, as it will when the user goes back
        return True
    if len(expected) != len(found):
        return False
    pairs = zip(expected, found, strict=True)
    return all(value is other and same_bits(g, h) for (value, g), (other, h) in pairs)
