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
    """Something with parts, such as a list or the attributes of an object."""

    __slots__ = ("name", "names", "parts")

    def __init__(self, name: str, parts: str, names: list[str]) -> None:
        self.name = name
        self.parts = parts  # an expression: a list, or what is unpacked into one
        self.names = names


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
        self._objects: dict[str, Any] = {"unset": _UNSET}  # that expressions refer to
        self._seen: dict[int, Any] = {}  # by id; keeping the objects keeps their ids
        self._waiting: list[tuple[str, Any]] = [("", root) for root in roots]
        while self._waiting:
            name, found = self._waiting.pop(0)
            self._visit(name, found)
        # One list of all parts: comparing it takes about a microsecond for a small network.
        self._look = self._function(", ".join(holder.parts for holder in self._holders))
        self._parts = self._look()

    # ── Looking again ────────────────────────────────────────────────────────────────────────────
    def is_unchanged(self) -> bool:
        """Whether all names still lead to the same objects, or to equal numbers and strings."""
        try:
            parts = self._look()
        except Exception:  # an attribute is gone
            return False
        before = self._parts
        if len(parts) == len(before) and all(map(is_, parts, before)):
            return True
        return self.change() is None

    def change(self) -> str | None:
        """The name of something that has become something else, or None."""
        parts = self._look()
        names = [name for holder in self._holders for name in holder.names]
        if len(parts) != len(self._parts):
            return "the length of a list, or the number of attributes,"
        for name, old, new in zip(names, self._parts, parts, strict=False):
            if old is not new and not _is_equal(old, new):
                return name
        self._parts = parts
        return None

    def _function(self, parts: str) -> Callable[[], list[Any]]:
        """The function that returns the list of these parts."""
        function: Callable[[], list[Any]] = eval(f"lambda: [{parts}]", self._objects)
        return function

    def _named(self, x: Any) -> str:
        """The name of an object in expressions."""
        name = f"x{len(self._objects)}"
        self._objects[name] = x
        return name

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
            self._hold(name, f"*{self._named(found)}", names)
        elif isinstance(found, dict):
            names = [f"{name}[{key!r}]" for key in found]
            self._hold(name, f"*{self._named(found)}.values()", names)
        elif not isinstance(found, ModuleType | BuiltinFunctionType | CodeType | np.ufunc):
            self._visit_object(name, found)

    def _hold(self, name: str, parts: str, names: list[str]) -> None:
        """Remember these parts, given as an expression, and look at each of them later."""
        self._holders.append(_Holder(name, parts, names))
        found = self._function(parts)()
        self._waiting += zip(names, found, strict=True)

    def _hold_names(self, name: str, namespace: Any, names: list[str], prefix: str = "") -> None:
        """Remember what these names stand for in a dictionary."""
        if names:
            home = self._named(namespace)
            parts = ", ".join(f"{home}.get({each!r}, unset)" for each in names)
            self._hold(name, parts, [f"{prefix}{each}" for each in names])

    def _visit_function(self, function: FunctionType) -> None:
        if (function.__module__ or "").startswith("microgd."):
            return
        cells = function.__closure__ or ()
        for cell_name, cell in zip(function.__code__.co_freevars, cells, strict=True):
            if _content(cell) is not _UNSET:
                self._hold("", f"{self._named(cell)}.cell_contents", [cell_name])
        self._waiting.append(("", function.__defaults__))
        self._waiting.append(("", function.__kwdefaults__))
        if _is_library(function.__module__):
            return
        used = _names_in(function.__code__)
        names = sorted(used & function.__globals__.keys())
        self._hold_names("", function.__globals__, names)
        for name in names:
            part = function.__globals__[name]
            if isinstance(part, ModuleType) and not _is_library(part.__name__):
                attributes = sorted(used & vars(part).keys())
                self._hold_names(name, vars(part), attributes, f"{name}.")

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
                self._hold(name, f"*{self._named(attributes)}.values()", names)
            if not _is_library(cls.__module__):
                self._hold_slots(name, found, prefix)
        for base in cls.__mro__:
            if not _is_library(base.__module__) and id(base) not in self._seen:
                self._seen[id(base)] = base
                names = [f"{base.__name__}.{key}" for key in vars(base)]
                self._hold(base.__name__, f"*{self._named(vars(base))}.values()", names)

    def _hold_slots(self, name: str, found: Any, prefix: str) -> None:
        """Remember the attributes of an object that are in slots."""
        slots = [slot for slot in _slots_of(type(found)) if slot not in _NO_SLOTS]
        if slots:
            home = self._named(found)
            parts = ", ".join(f"getattr({home}, {slot!r}, unset)" for slot in slots)
            self._hold(name, parts, [f"{prefix}{slot}" for slot in slots])

    def watch_settings(self, holder: Any, left_out: Iterable[str]) -> None:
        """Remember the attributes of an object as well, but for those that may change."""
        names = [name for name in vars(holder) if name not in left_out]
        home = self._named(vars(holder))
        parts = ", ".join(f"{home}.get({each!r}, unset)" for each in names)
        self._holders.append(_Holder("", parts, names))
        self._look = self._function(", ".join(each.parts for each in self._holders))
        self._parts = self._look()


_NO_SLOTS = ("__dict__", "__weakref__")


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
        self._random_states = random_states(watch.generators)

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
        states = random_states(self._watch.generators)
        if not all(map(_is_same_state, self._random_states, states)):
            return "it draws random numbers"
        return None


def _checksum(array: ndarray) -> int:
    if array.dtype.hasobject:
        return 0
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8))


def random_states(generators: list[np.random.Generator]) -> list[Any]:
    """The states of Python's random generator, of NumPy's global one, and of those given."""
    return [
        random.getstate(),
        np.random.get_state(),  # noqa: NPY002 (it is the one that old code uses)
        *(generator.bit_generator.state for generator in generators),
    ]


def _is_same_state(x: Any, y: Any) -> bool:
    if isinstance(x, dict):
        return all(_is_same_state(x[name], y[name]) for name in x)
    if isinstance(x, tuple) and len(x) < 10:
        return all(map(_is_same_state, x, y))
    return np.array_equal(x, y) if isinstance(x, ndarray) else bool(x == y)


class RandomStatesKept:
    """A context: when it ends, random generators are where they were when it began."""

    def __init__(self, generators: list[np.random.Generator]) -> None:
        self._generators = generators

    def __enter__(self) -> None:
        self._states = random_states(self._generators)

    def __exit__(self, *exception: object) -> None:
        pythons, numpys, *others = self._states
        random.setstate(pythons)
        np.random.set_state(numpys)  # noqa: NPY002
        for generator, state in zip(self._generators, others, strict=True):
            generator.bit_generator.state = state
