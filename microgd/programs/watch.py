"""What a function reaches by names, and whether any of it has become something else.

A program belongs to the objects that the function found when it was written down: its closure, the
globals that it uses, the attributes of modules and of other objects, and the items of lists,
tuples and dictionaries, as deep as they go. A `Watch` remembers them by identity. If a layer is
replaced, a flag is set, or a number becomes another, `is_unchanged` says so.

The numbers in arrays are compared as well, since a function may take a single one out of them, or
go another way by them. A large array that a program uses as a whole is left out: programs take
arrays as arguments, so they always see what is in them now.

The position of an iterator is one of the things that change where nobody can see it. A function
that reaches such an object can't be watched, and `Watch.unseen` says so. What comes from outside
Python is not noticed at all: files, the clock, the environment, random numbers of the system.
"""

from __future__ import annotations

import builtins
import dis
import random
import sys
import sysconfig
import threading
import weakref
import zlib
from argparse import Namespace
from array import ArrayType
from collections import UserDict, UserList, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from contextvars import ContextVar
from functools import cache, cached_property, partial
from operator import is_
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.backprop import Node
from microgd.kinds import RegisteredOperation
from microgd.optimizer import Optimizer

_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("purelib", "platlib", "stdlib"))
_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype)
_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
# Objects of these classes of Python's own are watched as a user's are.
_HOLDERS = (SimpleNamespace, Namespace, UserDict, UserList)
# What may change where it can't be seen.
_UNSEEN: dict[Any, str] = {
    Iterator: "is an iterator",
    threading.local: "is different in each thread",
    ContextVar: "is different in each thread",
    weakref.ref: "is a weak reference",
    bytearray | memoryview | ArrayType: "has numbers that can't be watched",
}
_MOST_PARTS = 20_000  # a function that reaches more than that is not watched
_SMALL = 65_536  # bytes; the numbers in arrays up to this size are always compared
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
    generators   random generators of NumPy's and Python's
    unseen       what may change where it can't be seen, in words; None if nothing may
    """

    def __init__(self, *roots: Any) -> None:
        self.values: dict[Node, str] = {}
        self.arrays: dict[int, tuple[ndarray, str]] = {}
        self.generators: list[Any] = []
        self.unseen: str | None = None
        self._contents: list[tuple[ndarray, str, Any]] = []  # arrays, with what was in them
        self._used: set[str] = set()  # all names in the functions that were found
        self._modules: list[tuple[str, ModuleType]] = []  # found as attributes of objects
        self._holders: list[_Holder] = []
        self._parts: list[Any] = []  # what they held
        self._objects: dict[str, Any] = {"unset": _UNSET, "content": _content}  # in expressions
        self._seen: dict[int, Any] = {}  # by id; keeping the objects keeps their ids
        self._waiting: list[tuple[str, Any]] = [("", root) for root in roots]
        self.look_again()

    # ── Looking again ────────────────────────────────────────────────────────────────────────────
    def is_unchanged(self) -> bool:
        """Whether all names still lead to the same objects, or to equal numbers and strings."""
        try:
            parts = self._look()
        except Exception:  # an attribute is gone
            return False
        before = self._parts
        if len(parts) == len(before) and all(map(is_, parts, before)):
            return not self._contents or self._changed_contents() is None
        return self.change() is None

    def change(self) -> str | None:
        """The name of something that has become something else, or None."""
        try:
            parts = self._look()
        except Exception:
            return "an attribute that is gone"
        names = [name for holder in self._holders for name in holder.names]
        if len(parts) != len(self._parts):
            return "the number of items or attributes"
        for name, old, new in zip(names, self._parts, parts, strict=False):
            if old is not new and not _is_equal(old, new):
                return name
        self._parts = parts
        return self._changed_contents()

    def finds_one_of(self, arguments: Any) -> bool:
        """Whether one of the arrays in some arguments is also reached by a name."""
        return any(id(x) in self.arrays for x in flattened(arguments))

    def knows(self, x: Any) -> bool:
        """Whether it has found this object."""
        return id(x) in self._seen

    def compare_contents(self, used: Collection[int]) -> None:
        """From now on compare the numbers in arrays, too.

        `used` has the ids of those that a program uses as they are. If these are large, they are
        left out.
        """
        for array, name in self.arrays.values():
            is_used_only = array.nbytes > _SMALL and id(array) in used
            if not is_used_only and not _is_read_only(array):
                self._contents.append((array, name, _contents(array)))

    def _changed_contents(self) -> str | None:
        for array, name, contents in self._contents:
            if _contents(array) != contents:
                return f"what is in the array {name}"
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
    def _visit_waiting(self) -> None:
        while self._waiting:
            name, found = self._waiting.pop(0)
            self._visit(name, found)
            if len(self._objects) > _MOST_PARTS:
                self.unseen = "it reaches too many objects to look at them all at each call"
                self._waiting.clear()
            if not self._waiting:
                self._visit_modules()

    def _visit(self, name: str, found: Any) -> None:
        if isinstance(found, _PLAIN) or id(found) in self._seen:
            return
        self._seen[id(found)] = found
        if isinstance(found, Node):
            self.values[found] = name
            self._hold_attributes(name, found)
            if not _is_library(type(found).__module__):
                self._hold_slots(name, found, f"{name}." if name else "")
        elif isinstance(found, ndarray):
            self.arrays[id(found)] = found, name
        elif isinstance(found, _GENERATORS):
            self.generators.append(found)
        elif isinstance(found, FunctionType):
            self._visit_function(name, found)
        elif isinstance(found, MethodType):
            self._waiting.append((name, found.__self__))
            self._waiting.append((name, found.__func__))
        elif isinstance(found, partial):
            self._waiting += [("", found.func), ("", found.args), ("", found.keywords)]
        elif isinstance(found, staticmethod | classmethod):
            self._waiting.append((name, found.__func__))
        elif isinstance(found, property):
            self._waiting += [(name, found.fget), (name, found.fset)]
        elif isinstance(found, cached_property):
            self._waiting.append((name, found.func))
        elif isinstance(found, list | tuple | set | frozenset | deque):
            names = [f"{name}[{i}]" for i in range(len(found))]
            self._hold(name, f"*{self._named(found)}", names)
        elif isinstance(found, dict | MappingProxyType):
            self._hold_dict(name, found)
        elif isinstance(found, ModuleType):
            self._modules.append((name, found))
        elif not isinstance(found, BuiltinFunctionType | CodeType | np.ufunc):
            self._visit_object(name, found)

    def _hold(self, name: str, parts: str, names: list[str]) -> None:
        """Remember these parts, given as an expression, and look at each of them later."""
        self._holders.append(_Holder(name, parts, names))
        found = self._function(parts)()
        self._waiting += zip(names, found, strict=True)

    def _hold_dict(self, name: str, found: Any) -> None:
        """Remember the keys and the values of a dictionary."""
        home = self._named(found)
        names = [f"{name}[{key!r}]" for key in found]
        self._hold(name, f"*{home}.values()", names)
        self._hold(name, f"*{home}", [f"a key of {name or 'a dictionary'}"] * len(names))

    def _hold_names(self, namespace: Any, names: Iterable[str], prefix: str = "") -> None:
        """Remember what these names stand for in a dictionary."""
        names = sorted(names)
        if names:
            home = self._named(namespace)
            parts = ", ".join(f"{home}.get({each!r}, unset)" for each in names)
            self._hold(prefix, parts, [f"{prefix}{each}" for each in names])

    def _visit_function(self, name: str, function: FunctionType) -> None:
        # (`functools.wraps` gives a function the __module__ of another.)
        home = function.__globals__.get("__name__") or ""
        if is_in_doctest(function.__code__):
            home = ""  # an example in a docstring has the globals of its module
        is_microgds = home.startswith("microgd.")
        cells = function.__closure__ or ()
        for cell_name, cell in zip(function.__code__.co_freevars, cells, strict=True):
            content = _content(cell)
            if content is _UNSET:
                self._hold("", f"content({self._named(cell)})", [cell_name])
            elif not is_microgds or not _is_of_microgd(content):
                self._hold("", f"{self._named(cell)}.cell_contents", [cell_name])
        if is_microgds:
            return
        if _is_library(home):
            self._waiting += [("", function.__defaults__), ("", function.__kwdefaults__)]
            return
        own = self._named(function)
        of_function = f"of {function.__qualname__}"
        parts = f"{own}.__code__, {own}.__defaults__, {own}.__kwdefaults__"
        self._hold("", parts, [f"the code {of_function}", *[f"a default {of_function}"] * 2])
        self._hold_attributes(name or function.__name__, function)
        name_of_code = function.__code__.co_name
        used = _names_in(function.__code__)
        self._used |= used
        if "catch_warnings" in used:
            self.unseen = "it changes how warnings are treated"
        # (Python itself writes methods that ask for types, such as those of data classes.)
        is_special = name_of_code.startswith("__") and name_of_code != "__call__"
        if not is_special and _asks_for_types(function.__code__):
            self.unseen = "it asks what type(x) is, which is not followed: isinstance(x, ...) is"
        known = function.__globals__.keys() | vars(builtins).keys()
        self._hold_names(function.__globals__, used & known)
        for each in used:
            part = function.__globals__.get(each, sys.modules.get(each))
            if isinstance(part, ModuleType):
                self._visit_module(each, part, used)

    def _visit_module(self, name: str, module: ModuleType, used: set[str]) -> None:
        """Look at the names in a user's module that are used."""
        if _is_library(module.__name__):
            return
        names = used & vars(module).keys()
        self._hold_names(vars(module), names, f"{name}.")
        for each in names:
            part = vars(module)[each]
            if isinstance(part, ModuleType) and part is not module:
                self._visit_module(f"{name}.{each}", part, used - {each})

    def _visit_modules(self) -> None:
        """Look at the modules that are attributes of objects, now that all functions are known."""
        modules = self._modules
        self._modules = []
        for name, module in modules:
            self._visit_module(name, module, self._used)

    def _visit_object(self, name: str, found: Any) -> None:
        cls = found if isinstance(found, type) else type(found)
        stands_for = getattr(cls, "_stands_for", None)
        if isinstance(stands_for, str) and not isinstance(found, type):
            self._waiting.append((name, getattr(found, stands_for)))
            return
        if hasattr(found, "__wrapped__"):
            self._waiting.append((name, found.__wrapped__))
        if isinstance(found, type):
            self._visit_class(cls)
            return
        for kind, what in _UNSEEN.items():
            if isinstance(found, kind):
                self.unseen = f"it reaches {name or 'an object'}, which {what}"
                return
        if _is_pythons(cls.__module__) and not isinstance(found, _HOLDERS):
            return
        if isinstance(found, Optimizer):
            # What it remembers is its own: a function that reaches an optimizer may use settings.
            self.add_attributes(found, ("_kept",))
            return
        self._hold_attributes(name, found)
        self._hold("", f"{self._named(found)}.__class__", [f"the class of {name or 'an object'}"])
        if not _is_library(cls.__module__):
            self._hold_slots(name, found, f"{name}." if name else "")
        self._visit_class(cls)

    def _visit_class(self, cls: type) -> None:
        for base in cls.__mro__:
            if not _is_library(base.__module__) and (base is cls or id(base) not in self._seen):
                self._seen[id(base)] = base
                names = [f"{base.__name__}.{key}" for key in vars(base)]
                self._hold(base.__name__, f"*{self._named(vars(base))}.values()", names)

    def _hold_attributes(self, name: str, found: Any) -> None:
        """Remember the attributes of an object that are in its dictionary."""
        attributes = getattr(found, "__dict__", None)
        if isinstance(attributes, dict):
            prefix = f"{name}." if name else ""
            names = [f"{prefix}{key}" for key in attributes]
            self._hold(name, f"*{self._named(attributes)}.values()", names)

    def _hold_slots(self, name: str, found: Any, prefix: str) -> None:
        """Remember the attributes of an object that are in slots."""
        slots = [slot for slot in _slots_of(type(found)) if slot not in _NO_SLOTS]
        if slots:
            home = self._named(found)
            parts = ", ".join(f"getattr({home}, {slot!r}, unset)" for slot in slots)
            self._hold(name, parts, [f"{prefix}{slot}" for slot in slots])

    def add_attributes(self, holder: Any, left_out: Iterable[str] = ()) -> None:
        """Remember the attributes of an object as well, but for those that may change."""
        names = [name for name in vars(holder) if name not in left_out]
        self._hold_names(vars(holder), names)
        self._hold("", f"*{self._named(vars(holder))}", list(vars(holder)))
        self._visit_class(type(holder))

    def look_again(self) -> None:
        """Visit what was added, and remember how it is now."""
        self._visit_waiting()
        # One list of all parts: comparing it takes about a microsecond for a small network.
        self._look = self._function(", ".join(each.parts for each in self._holders))
        self._parts = self._look()


_NO_SLOTS = ("__dict__", "__weakref__")


def _is_read_only(array: Any) -> bool:
    """Whether nobody can write into the memory that an array is in."""
    while isinstance(array, ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None or isinstance(array, bytes)


def _contents(array: ndarray) -> Any:
    if array.dtype.hasobject:
        return array.shape, [id(x) for x in array.flat]
    return array.shape, array.dtype, array.tobytes()


def _is_of_microgd(x: Any) -> bool:
    if isinstance(x, RegisteredOperation):
        return x.module.startswith("microgd.")
    home = getattr(x, "__module__", None) or type(x).__module__
    return home.startswith("microgd.")


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


def is_in_doctest(code: CodeType) -> bool:
    """Whether a function was made by an example in a docstring."""
    return code.co_filename.startswith("<doctest")


def _is_library(module_name: str | None) -> bool:
    """Whether a module belongs to Python, to microgd or to another package that is installed."""
    return _is_installed((module_name or "").partition(".")[0])


def _is_pythons(module_name: str | None) -> bool:
    """Whether a module belongs to Python."""
    package = (module_name or "").partition(".")[0]
    return package in sys.stdlib_module_names and package != "__main__"


@cache
def _is_installed(package: str) -> bool:
    if package == "microgd" or package in sys.stdlib_module_names:
        return package != "__main__"
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return file.startswith(_INSTALLED)


def _names_in(code: CodeType) -> set[str]:
    """The names of globals and attributes in a function, and in functions inside it.

    Text that could be such a name is one, too: getattr(settings, "rate") uses rate.
    """
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_in(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            names.add(constant)
    return names


def _asks_for_types(code: CodeType) -> bool:
    """Whether a function compares type(x) by `is`: the type of a stand-in is another."""
    since = 99
    if "type" in code.co_names:
        for instruction in dis.get_instructions(code):
            since += 1
            if instruction.argval == "type" and instruction.opname.startswith("LOAD_"):
                since = 0
            if since < 12 and instruction.opname in ("IS_OP", "COMPARE_OP", "CONTAINS_OP"):
                return True
    return any(_asks_for_types(each) for each in code.co_consts if isinstance(each, CodeType))


def _slots_of(cls: type) -> list[str]:
    slots: list[str] = []
    for base in cls.__mro__:
        if _is_library(base.__module__):
            continue
        own = vars(base).get("__slots__", ())
        slots += [own] if isinstance(own, str) else list(own)
    return slots


def flattened(result: Any) -> Iterable[Any]:
    """What is in nested lists, tuples and dictionaries."""
    if isinstance(result, list | tuple):
        for each in result:
            yield from flattened(each)
    elif isinstance(result, dict):
        for each in result.values():
            yield from flattened(each)
    else:
        yield result


# ── What a call has changed ──────────────────────────────────────────────────────────────────────
class Surroundings:
    """The state of all that a watch has found, so that a change by one call is noticed.

    Values are left out. Other threads may train them in the meantime, and a trace notices a
    function that changes them.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._before = self._look()
        self._random_states = random_states(watch.generators)

    def _look(self) -> list[int]:
        return [_checksum(array) for array, _ in self._watch.arrays.values()]

    def change(self) -> str | None:
        """What has been changed since, in words; None if nothing has."""
        name = self._watch.change()
        if name is not None:
            return f"it changes {name}"
        pairs = zip(self._watch.arrays.values(), self._before, strict=True)
        for (array, array_name), checksum in pairs:
            if _checksum(array) != checksum:
                return f"it writes into the array {array_name}"
        states = random_states(self._watch.generators)
        if not all(map(_is_same_state, self._random_states, states)):
            return "it draws random numbers"
        return None


def _checksum(array: ndarray) -> int:
    if array.dtype.hasobject:
        return 0
    contents: Any = np.ascontiguousarray(array).view(np.uint8)
    return zlib.crc32(contents)


def random_states(generators: list[Any]) -> list[Any]:
    """The states of Python's random generator, of NumPy's global one, and of those given."""
    return [
        random.getstate(),
        np.random.get_state(),  # noqa: NPY002 (it is the one that old code uses)
        *map(_state_of, generators),
    ]


def _state_of(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return None if isinstance(generator, random.SystemRandom) else generator.getstate()


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    elif state is not None:
        generator.setstate(state)


def _is_same_state(x: Any, y: Any) -> bool:
    if isinstance(x, dict):
        return all(_is_same_state(x[name], y[name]) for name in x)
    if isinstance(x, tuple) and len(x) < 10:
        return all(map(_is_same_state, x, y))
    return np.array_equal(x, y) if isinstance(x, ndarray) else bool(x == y)


class RandomStatesKept:
    """A context: when it ends, random generators are where they were when it began."""

    def __init__(self, generators: list[Any]) -> None:
        self._generators = generators

    def __enter__(self) -> None:
        self._states = random_states(self._generators)

    def __exit__(self, *exception: object) -> None:
        pythons, numpys, *others = self._states
        random.setstate(pythons)
        np.random.set_state(numpys)  # noqa: NPY002
        for generator, state in zip(self._generators, others, strict=True):
            _set_state(generator, state)
