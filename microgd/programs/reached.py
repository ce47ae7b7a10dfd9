"""The Values, objects and arrays that a function is given, or finds by names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy import ndarray

from microgd.backprop import Node
from microgd.programs.stand_ins import CannotFollow
from microgd.programs.trace import Input, Trace, is_number
from microgd.programs.watch import Watch, flattened
from microgd.value import Value


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


def used_inputs(made: Trace, calls: Iterable[Any]) -> list[Input]:
    """The arguments among the calls that are needed."""
    used = {call._index for call in calls if call._kind == "input"}
    return [each for each in made.inputs if each.stand_in._index in used]


def memory_of(arrays: Iterable[ndarray]) -> set[int]:
    """The ids of arrays, and of those that they are views of."""
    ids = set()
    for array in arrays:
        owner: Any = array
        while owner is not None:
            ids.add(id(owner))
            owner = getattr(owner, "base", None)
    return ids
