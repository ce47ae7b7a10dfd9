"""`compiled`: a function that is run as the program that was written of it."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import update_wrapper
from threading import RLock
from types import MethodType
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.backprop import Node, Operation, next_order, record, require_unchanged
from microgd.checks import check_type, warn_user
from microgd.memory import keep
from microgd.programs.fast import Code, Fast, OtherWayError, needed_calls
from microgd.programs.stand_ins import CannotFollow, StandIn, parts_of
from microgd.programs.trace import (
    MOST_TERMS,
    Input,
    Trace,
    contributions,
    contributions_of_a_call,
    is_number,
    is_tracing,
    same_bits,
    summed,
    trace,
    without_collector,
)
from microgd.programs.watch import RandomStatesKept, Surroundings, Watch, flattened
from microgd.recording import is_evaluating, is_recording
from microgd.value import Value

MOST_PROGRAMS = 8  # of one function, for arguments of the same shapes
MOST_SHAPES = 64  # for which there are programs at the same time
MOST_DIFFERENCES = 3  # between a program's results and the function's
MOST_FAILURES = 3  # of a program, where the function itself succeeds
FAULTS = (TypeError, NameError, AttributeError)  # of a program: no numbers lead to them
CALLS_BEFORE = 3  # a program is written at the third call with arguments of further shapes
_COMPARED = {2, 3, *(10**n for n in range(1, 19))}  # calls that are compared with the function's


def is_compared(call: int) -> bool:
    """Whether this call of a program, counted from 1, is compared with the function itself."""
    return call in _COMPARED


class Compiled:
    """A function of Values, run as a program."""

    _stands_for = "function"  # what a watch looks at in its place

    def __init__(self, function: Callable[..., Any]) -> None:
        check_type("a function", Callable, function)
        update_wrapper(self, function, updated=())
        self.function = function
        self._versions: dict[Any, list[_Version]] = {}
        self._calls: Counter[Any] = Counter()  # with arguments for which there is no program yet
        self._lock = RLock()
        self.differences = 0
        self.compares_next = False  # whether the next call is compared with the function's
        self._reason: str | None = None  # why it runs as it is

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The function's result."""
        if self._reason is not None or is_tracing():
            return self.function(*arguments, **options)
        key = key_of_call(arguments, options)
        versions = self._versions.get(key, ())
        for version in versions:
            if version.fits(arguments, options):
                return version.run(self, arguments, options)
        if versions or self._is_worth_a_program(key):
            with without_collector():
                return self._first_run(key, arguments, options)
        return self.function(*arguments, **options)

    def __repr__(self) -> str:
        return f"<compiled {self.function!r}>"

    def _is_worth_a_program(self, key: Any) -> bool:
        """Whether to write one for arguments of these shapes.

        The last mini-batch of an epoch, say, may be smaller, and an integer may count. So after
        the first program, another is written only for what comes again and again.
        """
        if not self._versions:
            return True
        if len(self._calls) > 1000:
            self._calls.clear()
        self._calls[key] += 1
        return self._calls[key] >= CALLS_BEFORE

    def __get__(self, instance: Any, owner: type) -> Any:
        # As a decorator of a method.
        if instance is None:
            return self
        return MethodType(self, instance)

    def _first_run(self, key: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Run the function itself, and write down a program for the next time."""
        watch = Watch(self.function, *objects_in((arguments, options)))
        surroundings = Surroundings(watch)
        before = next_order()
        result = self.function(*arguments, **options)
        with self._lock:
            if self._reason is None:
                versions = self._versions.get(key, [])
                reason = watch.unseen or surroundings.change()
                if reason is None and len(versions) >= MOST_PROGRAMS:
                    name = versions[-1].watch.change() or "a Value"
                    reason = f"{name} changes again and again: give it as an argument"
                if reason is None and watch.finds_one_of((arguments, options)):
                    return result  # an array is given that is also reached by a name
                if isinstance(result, Iterator | Awaitable | AsyncIterator):
                    reason = _not_numbers(result)
                if reason is None:
                    reason = self._write(key, watch, before, result, arguments, options)
                if reason is None:
                    reason = surroundings.change()
                if reason is not None:
                    self.give_up(reason)
        return result

    def _write(
        self,
        key: Any,
        watch: Watch,
        before: int,
        result: Any,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> str | None:
        """Write the program; or say why that can't be done."""
        try:
            made = self._trace(watch, before, result, arguments, options)
            version = _Version(self.function, made, watch)
        except CannotFollow as error:
            return str(error)
        except Exception as error:
            return f"it can't be followed: {type(error).__name__}: {error}"
        if key not in self._versions and len(self._versions) >= MOST_SHAPES:
            del self._versions[next(iter(self._versions))]
        self._versions[key] = [version, *self._versions.get(key, ())]
        self._calls.pop(key, None)
        return None

    def _trace(
        self,
        watch: Watch,
        before: int,
        result: Any,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> Trace:
        values = values_found(watch, result, before, (arguments, options))
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
        self._versions = {}
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        warn_user(f"{name} is not compiled, but runs as it is: {reason}")

    def differ(self, version: _Version) -> None:
        """Drop a program whose results are not those of the function."""
        with self._lock:
            kept = {}
            for key, versions in self._versions.items():
                others = [each for each in versions if each is not version]
                if others:
                    kept[key] = others
            self._versions = kept
            self.differences += 1
            if self.differences >= MOST_DIFFERENCES and self._reason is None:
                self.give_up(DIFFERENCE)


DIFFERENCE = "its results depend on something besides its arguments that can't be watched"


def failure(error: Exception) -> str:
    """Why a program is not used any more that fails where the function does not."""
    return f"its program fails: {type(error).__name__}: {error}"


def values_found(watch: Watch, result: Any, before: int, arguments: Any = ()) -> dict[Any, str]:
    """The Values that a function has found by itself, with their names.

    If its result was computed from one that is neither given nor reached by names, that is a
    `CannotFollow` error: nobody would notice if the function found another one next time.
    """
    given = {x for x in flattened(arguments) if isinstance(x, Node)}
    waiting = [x for x in flattened(result) if isinstance(x, Node)]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node in watch.values or node in given:
            continue
        if node._order < before:
            raise CannotFollow(
                f"it finds {node.name or 'a Value'} where nobody can watch it: give it as an "
                "argument"
            )
        for x in node._operands:
            if isinstance(x, Node) and x not in seen:
                seen.add(x)
                waiting.append(x)
    return dict(watch.values)


def objects_in(arguments: Any) -> list[Any]:
    """The arguments that are no numbers, arrays or Values: a program belongs to these objects."""
    objects = []
    for x in flattened(arguments):
        cls = type(x)
        is_plain_value = getattr(cls, "_own_class", cls) is Value
        if not is_number(x) or (isinstance(x, Node) and not is_plain_value):
            objects.append(x)
    return objects


# ── What a program belongs to ────────────────────────────────────────────────────────────────────
def key_of_call(arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Shapes and dtypes of the arguments, and everything in them that is no number.

    Besides, which of them are the same Value, or the same array: a program for f(a, a) is not one
    for f(a, b).
    """
    seen: dict[int, int] = {}
    keys = [key_of(x, seen) for x in arguments]
    for name, x in options.items():
        keys.append((name, key_of(x, seen)))
    return tuple(keys), is_recording(), is_evaluating()


def key_of(x: Any, seen: dict[int, int]) -> Any:
    """What all arguments that one program takes have in common with this one."""
    cls = type(x)
    if cls is ndarray:
        return x.shape, x.dtype, x.strides, seen.setdefault(id(x), len(seen))
    if cls is float:
        return cls
    if isinstance(x, Node):
        numbers: Any = x._numbers
        cls = getattr(cls, "_own_class", cls)  # another thread may be tracing it
        place = seen.setdefault(id(x), len(seen))
        who = x.name if cls is Value else id(x)  # a subclass may have attributes
        if type(numbers) is float:
            return who, bool(x._operands), place
        return who, bool(x._operands), place, numbers.shape, numbers.dtype, numbers.strides
    if cls is list or cls is tuple:
        return cls, tuple([key_of(each, seen) for each in x])
    if cls is dict:
        return cls, tuple([(name, key_of(each, seen)) for name, each in x.items()])
    if is_number(x):
        return cls
    if isinstance(x, complex | np.generic):
        return cls, repr(x)
    if isinstance(x, int | str | bytes | None | np.dtype):
        return cls, x
    return cls, id(x)


# ── A program and how it is run ──────────────────────────────────────────────────────────────────
def used_inputs(made: Trace, calls: Iterable[Any]) -> list[Input]:
    """The arguments among the calls that are needed."""
    used = {call._index for call in calls if call._kind == "input"}
    return [each for each in made.inputs if each.stand_in._index in used]


class _Version:
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

        self._arguments = [each for each in made.inputs if each.path and each.value is not None]
        self._numbers = _reader(self.inputs, as_numbers=True)
        self._operands = _reader(self.operands, as_numbers=False)
        self._result_class = type(self.output)
        self._result_name = getattr(self.output, "name", None)
        watch.compare_contents(memory_of(array for array, _ in made.constants.values()))
        made.forget()

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

    def run(self, compiled: Compiled, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
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
                compiled.give_up(failure(error))
            return result
        except Exception:  # of the numbers: the function raises it, or catches it
            return self.function(*arguments, **options)
        if is_compared(self.runs) or compiled.compares_next:
            return self._compared(compiled, numbers, found, arguments, options)
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
        compiled: Compiled,
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
        compiled.differ(self)
        return result


class _Same:
    """Tells objects apart by their identity."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __hash__(self) -> int:
        return id(self.x)

    def __eq__(self, other: Any) -> bool:
        return self.x is other.x


def memory_of(arrays: Iterable[ndarray]) -> set[int]:
    """The ids of arrays, and of those that they are views of."""
    ids = set()
    for array in arrays:
        owner: Any = array
        while owner is not None:
            ids.add(id(owner))
            owner = getattr(owner, "base", None)
    return ids


def _not_numbers(result: Any) -> str:
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
            raise CannotFollow(_not_numbers(x))

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

    version: _Version
    residuals: tuple[Any, ...]
    saved: tuple[Any, ...]
    call: tuple[Sequence[Any], Mapping[str, Any]]

    @staticmethod
    def of(
        version: _Version, residuals: tuple[Any, ...], saved: tuple[Any, ...], call: Any
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


def compiled(function: Callable[..., Any]) -> Any:
    """The same function, run as a program of NumPy calls: a decorator, too.

    It takes the same arguments, and returns the same results, to the last bit: a Value can go
    `backward()`. The program is written at the first call: then the function runs twice, so what it
    prints comes twice. `source` shows such a program.

    - For arguments of other shapes and dtypes there are other programs.
    - What the function finds by names, such as a model's layers, its flags, and numbers in its
      closure, is looked at on every call. If something has become something else, a new program
      is written.
    - If an `if` goes another way, or an error comes up, the function itself runs.
    - Calls 2, 3, 10, 100 and so on are compared with the function.
    - A function that draws random numbers, changes something outside, or takes numbers out of the
      computation, as by `float(x)`, runs as it is. A `RuntimeWarning` says so, once.

    Gradients are those of the first Value in the result. `function` is the function itself.

    >>> weight = Value(3.0)
    >>> @compiled
    ... def error(x, y):
    ...     return (weight * x - y) ** 2
    >>> [error(x, 2.0).item() for x in (1.0, 2.0, 3.0)]
    [1.0, 16.0, 49.0]
    """
    return Compiled(function)
