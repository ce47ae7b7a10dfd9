"""What the numbers in a program are called: as the user calls them, wherever that can be found.

While a function is traced for its text, the interpreter tells us of every line that it comes to,
and of every return (`sys.settrace`). There the local variables give names to the stand-ins that
they hold. So the text has the user's own names, and those that operations have for their steps.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from microgd import nn
from microgd.backprop import Node, RegisteredOperation, reverse_pass
from microgd.module import Module
from microgd.programs.stand_ins import StandIn
from microgd.programs.watch import is_in_doctest

# Their many lines have a heading of their own.
LONG_OPERATIONS: dict[Any, str] = {
    nn.cross_entropy: (
        "cross_entropy: the mean of log(sum(exp(logits))) - logits[label]. Its derivative, softmax "
        "less 1 at the label, is prepared here, too. A column of p is an example. Without its "
        "largest logit exp can't overflow, and the loss is the same. flat is a view of p."
    ),
    nn.binary_cross_entropy_with_logits: "binary_cross_entropy_with_logits",
}
# What a reader may want to know of a slope.
SLOPES = {
    "tanh": "whose slope is sech² = 1 - tanh², in digits that do not cancel",
    "sigmoid": "whose slope is (sech(x / 2) / 2)² = out * (1 - out), in digits that do not cancel",
}

# Modules whose functions say what their steps are called: forward functions, rules and nudges.
_TABLES = ("microgd.operations", "microgd.nn", "microgd.optim", "microgd.numpy_functions.")
# Their names for what they are given, and for their results.
_ROLES = {"array", "arrays", "contribution", "examples", "g", "gradient", "integers", "labels"}
_ROLES |= {"logits", "number", "numbers", "out", "result", "self", "state", "targets", "total"}
_ROLES |= {"value", "weight", "x", "y"}


@dataclass
class Place:
    """Where a call was made."""

    module: Any  # the innermost module that was being called, or None
    operation: str | None  # the outermost operation
    is_sum: bool  # whether the reverse pass adds up contributions


class Names:
    """Collects names while a function is traced."""

    def __init__(self, function: Any, model: Any) -> None:
        # Each with its rank: 0 the user's, 1 an operation's own, 2 the name of an operation.
        self.found: dict[StandIn, tuple[int, str]] = {}
        self.titles: dict[int, tuple[str, str]] = {}  # of modules: their path, and a comment
        roots = [x for x in (model, function) if isinstance(x, Module)]
        for root in roots:
            for path, module in root.named_modules():
                if id(module) not in self.titles:
                    self.titles[id(module)] = path, f"{path}: {_short(module)}" if path else ""

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """A context in which names are collected."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: Any, event: str, argument: Any) -> Any:
        """What observes a function that is called, or None."""
        if frame.f_code in _OPERATION_CODES:
            return self._observe_operation
        module_name = frame.f_globals.get("__name__") or ""
        is_microgds = module_name == "microgd" or module_name.startswith("microgd.")
        if not is_microgds or is_in_doctest(frame.f_code):
            given = {name: id(frame.f_locals.get(name)) for name in _parameters(frame.f_code)}
            return partial(self._observe_users, given)
        return self._observe_table if module_name.startswith(_TABLES) else None

    def _observe_operation(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "return":
            self._note(argument, 2, frame.f_locals["self"].name.lstrip("_"))
        return self._observe_operation

    def _observe_users(self, given: dict[str, int], frame: Any, event: str, argument: Any) -> Any:
        for name, x in frame.f_locals.items():
            if given.get(name) != id(x):  # an argument has its name from elsewhere
                self._note(x, 0, name)
        return partial(self._observe_users, given)

    def _observe_table(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "return":
            parameters = _parameters(frame.f_code)
            for name, x in frame.f_locals.items():
                if name not in parameters and name not in _ROLES:
                    self._note(x, 1, name)
        return self._observe_table

    def _note(self, x: Any, rank: int, name: str) -> None:
        """A name for a number, unless it has a better one."""
        stand_in = x._numbers if isinstance(x, Node) else x
        if not name.isidentifier():  # a comprehension's ".0"
            return
        if type(stand_in) is not StandIn or stand_in._kind in ("input", "constant"):
            return
        if stand_in not in self.found or self.found[stand_in][0] > rank:
            self.found[stand_in] = rank, name

    def find_place(self) -> Place:
        """Where the call that is being written down is made."""
        frame: Any = sys._getframe(2)
        module = None
        operation = None
        is_sum = False
        is_first = True
        while frame is not None:
            code = frame.f_code
            name = frame.f_globals.get("__name__") or ""
            if name == "microgd.programs.trace":
                break
            if code is _REVERSE_PASS:
                is_sum = is_first
                break
            if name != "microgd.programs.stand_ins":
                is_first = False
            if code in _OPERATION_CODES:
                operation = frame.f_locals["self"].name
            elif code in _LOSSES:
                operation = _LOSSES[code]
            if code is _MODULE_CALL and module is None:
                module = frame.f_locals["self"]
            frame = frame.f_back
        return Place(module, operation, is_sum)


def _parameters(code: Any) -> tuple[str, ...]:
    count: int = code.co_argcount + code.co_kwonlyargcount
    names: tuple[str, ...] = code.co_varnames[:count]
    return names


def _short(module: Module) -> str:
    text = repr(module)
    return text if len(text) <= 60 else type(module).__name__


_REVERSE_PASS = reverse_pass.__code__
_MODULE_CALL = Module.__call__.__code__


_LOSSES = {loss.__code__: loss.__name__ for loss in LONG_OPERATIONS}


def _operation_codes() -> set[Any]:
    """The code of the functions that operations are called by, and of `compute`."""
    codes = set()
    classes: list[Any] = [RegisteredOperation, *RegisteredOperation.__subclasses__()]
    for cls in classes:
        codes.add(cls.compute.__code__)
        for constant in cls.as_function.__code__.co_consts:
            if getattr(constant, "co_name", "") == "apply":
                codes.add(constant)
    return codes


_OPERATION_CODES = _operation_codes()


class Pool:
    """Gives each number a name of its own."""

    def __init__(self) -> None:
        self._taken = {"np", "math", *dir(builtins), *keyword.kwlist}

    def take(self, wanted: str) -> str:
        """The wanted name, made a variable's, or one with a number if it is taken."""
        base = re.sub(r"\W", "_", wanted) or "x"
        if base[0].isdigit():
            base = f"x_{base}"
        name = base
        count = 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name


def parameter_name(path: str) -> str:
    """What a parameter is called: weight_0 for "0.weight", hidden_weight for "hidden.weight"."""
    *holders, own = path.replace("[", ".").replace("]", "").split(".")
    if any(holder.isdigit() for holder in holders):
        return "_".join([own, *[holder for holder in holders if holder != "layers"]])
    return "_".join([*holders, own])
