"""Structures: nested lists, tuples and dictionaries that hold numbers, arrays and Values.

A network that is written as plain functions keeps its weights in such a structure, for example

    [{"weight": w1, "bias": b1}, {"weight": w2, "bias": None}]

`grad` and `jacobian` take a structure as an argument, and return one of the same form. They do it
in three steps: they list the *leaves* (`flatten`), which here are w1, b1 and w2, compute with the
list, and put the results into a structure of the same form (`unflatten`). JAX does the same, and
the rules are JAX's:

- A structure is a list, a tuple, a named tuple or a dictionary, and what it holds may be structures
  again. Named tuples, and subclasses of list and dict, keep their class. Dictionaries keep their
  order (JAX sorts them by key).
- None marks an empty place, such as the bias of a layer without one. It stays None.
- Everything else is a leaf: a number, an array, a Value, or anything that `Value` takes. An array
  that stands in two places is two leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any, TypeAlias

import numpy as np

from microgd.arrays import Data, as_data, shown
from microgd.value import Value

# What a structure is called in a message, such as the name of a parameter. It is a function because
# the name may take time to find, and is needed only if there is an error.
Name: TypeAlias = Callable[[], str]

# How to get from a structure to one of its parts: containers, each with a key or a position in it.
_Path: TypeAlias = tuple[tuple[Any, Any], ...]

_CONTAINERS = (list, tuple, dict)
_NUMBERS = (int, float, np.integer, np.floating, np.bool)
_MOST_AXES = 64  # that an array of NumPy's can have


def flatten(structure: Any, name: Name) -> list[Any]:
    """The leaves of a structure, in order.

    A leaf that no Value can hold, such as text, is a `TypeError` that says where it is. A structure
    that contains itself is a `ValueError`.

    >>> flatten({"w": [1.0, 2.0], "b": None, "scale": (3.0,)}, lambda: "params")
    [1.0, 2.0, 3.0]
    """
    leaves: list[Any] = []
    _collect(structure, name, (), leaves)
    return leaves


def unflatten(structure: Any, leaves: Iterable[Any]) -> Any:
    """A structure of the same form with these leaves, which come in the order of `flatten`.

    >>> unflatten({"w": [1.0, 2.0], "b": None, "scale": (3.0,)}, "abc")
    {'w': ['a', 'b'], 'b': None, 'scale': ('c',)}
    """
    return _refilled(structure, iter(leaves))


def as_structure(argument: Any, name: Name) -> Any:
    """An argument as a structure: if it is a list of numbers, or of lists of them, it is one array.

    This is for users who write [1.0, 2.0] for an array, as in `Value([1.0, 2.0])`. It applies
    only to a whole argument: inside a structure, each number of a list is a leaf.

    >>> as_structure([[1, 2], [3, 4]], lambda: "x").shape
    (2, 2)
    >>> as_structure(([1, 2], [3, 4]), lambda: "x")
    ([1, 2], [3, 4])
    """
    if isinstance(argument, list) and _holds_only_numbers(argument):
        return _numbers(argument, name, ())  # (rows of different lengths are an error here)
    return argument


def _holds_only_numbers(items: list[Any], axes: int = 1) -> bool:
    """Whether there are only numbers in a list and in the lists that it holds."""
    for x in items:
        if isinstance(x, list):
            # The limit is for a list that contains itself.
            if axes == _MOST_AXES or not _holds_only_numbers(x, axes + 1):
                return False
        elif not isinstance(x, _NUMBERS):
            return False
    return True


def _keys(container: Any) -> Iterable[Any]:
    """The keys of a dictionary; the positions in a list or a tuple."""
    return list(container) if isinstance(container, dict) else range(len(container))


def _collect(x: Any, name: Name, path: _Path, leaves: list[Any]) -> None:
    """Append the leaves of one part of a structure to the list."""
    if x is None:
        return
    if not isinstance(x, _CONTAINERS):
        if not isinstance(x, Value):
            _numbers(x, name, path)  # an error if it has none
        leaves.append(x)
        return
    _check_container(x, name, path)
    for key in _keys(x):
        _collect(x[key], name, (*path, (x, key)), leaves)


def _refilled(x: Any, leaves: Iterator[Any]) -> Any:
    """One part of a structure, with the next of these leaves in it."""
    if x is None:
        return None
    if not isinstance(x, _CONTAINERS):
        return next(leaves)
    keys = _keys(x)
    parts = [_refilled(x[key], leaves) for key in keys]
    container_class: Any = type(x)
    if _is_named_tuple(x):
        return container_class._make(parts)
    if isinstance(x, tuple):
        return tuple(parts)
    refilled = copy(x)  # it may be of a subclass with more to it, such as a defaultdict
    for key, part in zip(keys, parts, strict=True):
        refilled[key] = part
    return refilled


def _is_named_tuple(x: Any) -> bool:
    return isinstance(x, tuple) and hasattr(x, "_make")


def _numbers(x: Any, name: Name, path: _Path) -> Data:
    """`as_data(x)`; its errors say where x is."""
    try:
        return as_data(x)
    except TypeError as error:
        raise TypeError(f"{_written(name, path)}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{_written(name, path)}: {error}") from None


def _check_container(x: Any, name: Name, path: _Path) -> None:
    """An error if x contains itself, or if `unflatten` could not make another of its class."""
    for depth, (container, _) in enumerate(path):
        if x is container:
            raise ValueError(
                f"expected a structure that ends, but got one that contains itself: "
                f"{_written(name, path)} is {_written(name, path[:depth])}"
            )
    if isinstance(x, tuple) and type(x) is not tuple and not _is_named_tuple(x):
        raise TypeError(
            f"{_written(name, path)}: expected a list, a tuple, a named tuple or a dictionary, but "
            f"got {shown(x)} of the class {type(x).__name__}: tuple(...) makes it a tuple"
        )


def _written(name: Name, path: _Path) -> str:
    """The path as one writes it in Python: params['layers'][0].weight."""
    text = name()
    for container, key in path:
        if _is_named_tuple(container):
            text += f".{container._fields[key]}"
        else:
            text += f"[{shown(key)}]"
    return text
