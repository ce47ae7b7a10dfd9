"""What a function reaches by names, and whether any of it has become something else.

A program belongs to the objects that the function found when it was written down: its closure, the
globals that it uses, the attributes of modules and of other objects, and the items of lists,
tuples and dictionaries, as deep as they go. A `Watch` remembers them by identity. If a layer is
replaced, a flag is set, or a number becomes another, `is_unchanged` says so.

Numbers within arrays are not compared. Programs take these arrays as arguments, so they always see
what is in them now.
"""

from __future__ import annotations

import random
import sys
import sysconfig
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from operator import is_
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.backprop import Node

_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("purelib", "platlib", "stdlib"))
_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype)
_UNSET = object()


class _Holder:
    """Something with parts, and the parts that it had."""

    __slots__ = ("name", "names", "parts", "read")

    def __init__(self, name: str, read: Callable[[], Iterable[Any]], names: list[str]) -> None:
        self.name = name
        self.read = read
        self.names = names  # of its parts
        self.parts = list(read())


class Watch:
    """What some functions reach by names.

    values       the Values, each under the name by which it was found first
    arrays       the arrays, likewise
    generators   NumPy's random generators
    """

    def __init__(self, *roots: Any) -> None:
        self.values: dict[Node, str] = {}
        self.arrays: dict[int, tuple[ndarray, str]] = {}
        self.generators: list[np.random.Generator] = []
        self._holders: list[_Holder] = []
        self._seen: dict[int, Any] = {}  # by id; keeping the objects keeps their ids
        self._waiting: list[tuple[str, Any]] = [("", root) for root in roots]
        while self._waiting:
            name, found = self._waiting.pop(0)
            self._visit(name, found)

    # ── Looking again ────────────────────────────────────────────────────────────────────────────
    def is_unchanged(self) -> bool:
        """Whether all names still lead to the same objects, or to equal numbers and strings."""
        return self.change() is None

    def change(self) -> str | None:
        """The name of something that has become something else, or None."""
        for holder in self._holders:
            parts = list(holder.read())
            before = holder.parts
            if len(parts) == len(before) and all(map(is_, parts, before)):
                continue
            if len(parts) != len(before):
                return holder.name or "a variable"
            for part_name, old, new in zip(holder.names, before, parts, strict=True):
                if old is not new and not _is_equal(old, new):
                    return part_name
            holder.parts = parts
        return None

    # ── Looking around ───────────────────────────────────────────────────────────────────────────
    def _visit(self, name: str, found: Any) -> None:
        if isinstance(found, _PLAIN) or id(found) in self._seen:
            return
        self._seen[id(found)] = found
        if isinstance(found, Node):
            self.values[found] = name
        elif isinstance(found, ndarray):
            self.arrays[id(found)] = found, name
        elif isinstance(found, np.random.Generator):
            self.generators.append(found)
        elif isinstance(found, FunctionType):
            self._visit_function(found)
        elif isinstance(found, MethodType):
            self._waiting.append((name, found.__self__))
            self._waiting.append((name, found.__func__))
        elif isinstance(found, partial):
            self._waiting += [("", found.func), ("", found.args), ("", found.keywords)]
        elif isinstance(found, list | tuple | set | frozenset):
            names = [f"{name}[{i}]" for i in range(len(found))]
            self._hold(name, partial(list, found), names)
        elif isinstance(found, dict):
            names = [f"{name}[{key!r}]" for key in found]
            self._hold(name, found.values, names)
        elif not isinstance(found, ModuleType | BuiltinFunctionType | CodeType | np.ufunc):
            self._visit_object(name, found)

    def _hold(self, name: str, read: Callable[[], Iterable[Any]], names: list[str]) -> None:
        """Remember these parts, and look at each of them later."""
        holder = _Holder(name, read, names)
        self._holders.append(holder)
        self._waiting += zip(names, holder.parts, strict=True)

    def _visit_function(self, function: FunctionType) -> None:
        if (function.__module__ or "").startswith("microgd."):
            return
        cells = function.__closure__
        if cells:
            read_cells = partial(map, _content, cells)
            self._hold("", read_cells, list(function.__code__.co_freevars))  # type: ignore[arg-type]
        self._waiting.append(("", function.__defaults__))
        self._waiting.append(("", function.__kwdefaults__))
        if _is_library(function.__module__):
            return
        names = sorted(_names_in(function.__code__) & function.__globals__.keys())
        if names:
            get = function.__globals__.get
            self._hold("", lambda: [get(name, _UNSET) for name in names], names)
        for name in names:
            part = function.__globals__[name]
            if isinstance(part, ModuleType) and not _is_library(part.__name__):
                self._visit_module(name, part, _names_in(function.__code__))

    def _visit_module(self, name: str, module: ModuleType, used: set[str]) -> None:
        """A module of Python: the attributes that may be used."""
        names = sorted(used & vars(module).keys())
        get = vars(module).get
        self._hold(name, lambda: [get(each, _UNSET) for each in names], names)

    def _visit_object(self, name: str, found: Any) -> None:
        cls = found if isinstance(found, type) else type(found)
        is_microgds = (cls.__module__ or "").startswith("microgd.")
        if _is_library(cls.__module__) and not is_microgds:
            return  # an object of another library's
        prefix = f"{name}." if name else ""
        if not isinstance(found, type):
            attributes = getattr(found, "__dict__", None)
            if isinstance(attributes, dict):
                names = [f"{prefix}{key}" for key in attributes]
                self._hold(name, attributes.values, names)
            slots = [slot for slot in _slots_of(cls) if slot not in ("__dict__", "__weakref__")]
            if slots and not _is_library(cls.__module__):
                names = [f"{prefix}{slot}" for slot in slots]
                self._hold(name, lambda: [getattr(found, slot, _UNSET) for slot in slots], names)
        for base in cls.__mro__:
            if not _is_library(base.__module__) and id(base) not in self._seen:
                self._seen[id(base)] = base
                attributes = vars(base)
                names = [f"{base.__name__}.{key}" for key in attributes]
                self._hold(base.__name__, attributes.values, names)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it has not been set yet
        return _UNSET


def _is_equal(old: Any, new: Any) -> bool:
    """Whether two numbers or strings are the same, though not the same object."""
    if type(old) is not type(new):
        return False
    if isinstance(old, MethodType):
        return bool(old == new)
    return isinstance(old, _PLAIN) and bool(old == new) and repr(old) == repr(new)


def _is_library(module_name: str | None) -> bool:
    """Whether a module belongs to Python, to microgd or to another package that is installed."""
    return _is_installed((module_name or "builtins").partition(".")[0])


@lru_cache(maxsize=None)
def _is_installed(package: str) -> bool:
    if package == "microgd" or package in sys.stdlib_module_names:
        return package != "__main__"
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return file.startswith(_INSTALLED)


def _names_in(code: CodeType) -> set[str]:
    """The names of globals and attributes in a function, and in functions inside it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_in(constant)
    return names


def _slots_of(cls: type) -> list[str]:
    slots: list[str] = []
    for base in cls.__mro__:
        own = vars(base).get("__slots__", ())
        slots += [own] if isinstance(own, str) else list(own)
    return slots


# ── What a call has changed ──────────────────────────────────────────────────────────────────────
class Surroundings:
    """The state of all that a watch has found, so that a change by one call is noticed."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._before = self._look()
        self.random_states = _RandomStates(watch.generators)

    def _look(self) -> list[Any]:
        state: list[Any] = [(v._numbers, v.grad) for v in self._watch.values]
        state += [_checksum(array) for array, _ in self._watch.arrays.values()]
        return state

    def change(self) -> str | None:
        """What has been changed since, in words; None if nothing has."""
        name = self._watch.change()
        if name is not None:
            return f"it changes {name}"
        for value, (numbers, grad) in zip(self._watch.values, self._before, strict=False):
            if value._numbers is not numbers:
                return f"it changes the data of {self._watch.values[value] or 'a Value'}"
            if value.grad is not grad:
                return "it calls backward() or sets grad"
        checksums = self._before[len(self._watch.values) :]
        pairs = zip(self._watch.arrays.values(), checksums, strict=True)
        for (array, name), checksum in pairs:
            if _checksum(array) != checksum:
                return f"it writes into the array {name}"
        if self.random_states.have_changed():
            return "it draws random numbers"
        return None


def _checksum(array: ndarray) -> int:
    if array.dtype.hasobject:
        return 0
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8))


class _RandomStates:
    """The states of random generators: NumPy's global one, Python's, and those given."""

    def __init__(self, generators: list[np.random.Generator]) -> None:
        self._generators = generators
        self._states = self._look()

    def _look(self) -> list[Any]:
        numpys = np.random.get_state(legacy=False)
        return [
            random.getstate(),
            repr(numpys),
            *(repr(g.bit_generator.state) for g in self._generators),
        ]

    def have_changed(self) -> bool:
        """Whether any of them has been used since."""
        return self._look() != self._states


class RandomStatesKept:
    """A context: when it ends, random generators are where they were when it began."""

    def __init__(self, generators: list[np.random.Generator]) -> None:
        self._generators = generators

    def __enter__(self) -> None:
        self._pythons = random.getstate()
        self._numpys = np.random.get_state()
        self._states = [g.bit_generator.state for g in self._generators]

    def __exit__(self, *exception: object) -> None:
        random.setstate(self._pythons)
        np.random.set_state(self._numpys)
        for generator, state in zip(self._generators, self._states, strict=True):
            generator.bit_generator.state = state
