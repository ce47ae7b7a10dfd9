"""How a call is written in Python: operators, functions of NumPy, methods, indices, numbers."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from types import EllipsisType
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.programs.stand_ins import Call, StandIn

# How tightly operators bind, as in Python's grammar. What binds less tightly than its place
# demands is put in brackets.
_COMPARISON, _OR, _XOR, _AND, _SHIFT, SUM, PRODUCT, _SIGN, _POWER, ATOM = range(3, 13)
CHOICE = 0  # x if condition else y

_BINDING = {
    "==": _COMPARISON,
    "!=": _COMPARISON,
    "<": _COMPARISON,
    "<=": _COMPARISON,
    ">": _COMPARISON,
    ">=": _COMPARISON,
    "|": _OR,
    "^": _XOR,
    "&": _AND,
    "<<": _SHIFT,
    ">>": _SHIFT,
    "+": SUM,
    "-": SUM,
    "*": PRODUCT,
    "/": PRODUCT,
    "//": PRODUCT,
    "%": PRODUCT,
    "@": PRODUCT,
    "**": _POWER,
}


class Writer:
    """Writes calls as expressions. What stands for what is left to the two functions it is given.

    name_of(stand_in) is the text of a stand-in, with its binding; name_of_object(x) the name of an
    array or of a function that can't be written out.
    """

    def __init__(
        self,
        name_of: Callable[[StandIn], tuple[str, int]],
        name_of_object: Callable[[Any], str],
        name_of_function: Callable[[str], str] = lambda dotted: dotted,
    ) -> None:
        self.name_of = name_of
        self.name_of_object = name_of_object
        self.name_of_function = name_of_function

    # ── Expressions ──────────────────────────────────────────────────────────────────────────────
    def expression(self, call: Call) -> tuple[str, int]:
        """A call as an expression, with its binding."""
        kind = call._kind
        arguments = call._arguments
        if kind == "operator":
            return self._operator(call)
        if kind == "constant":
            return self.plain(call._name)
        if kind == "function":
            return self._function(call), ATOM
        if kind == "method":
            first, *others = arguments
            inside = self._arguments(others, call._options)
            return f"{self.within(first, ATOM)}.{call._name}({inside})", ATOM
        if kind == "attribute":
            return f"{self.within(arguments[0], ATOM)}.{call._name}", ATOM
        if kind == "item":
            return f"{self.within(arguments[0], ATOM)}[{self.index(arguments[1])}]", ATOM
        if kind == "part":
            return f"{self.within(arguments[0], ATOM)}[{call._name}]", ATOM
        if kind == "float":
            return f"{call._name}({self.within(arguments[0], 0)})", ATOM
        if kind == "choice":
            condition, x, y = arguments
            x_text = self.within(x, CHOICE + 1)
            condition_text = self.within(condition, CHOICE + 1)
            return f"{x_text} if {condition_text} else {self.within(y, CHOICE)}", CHOICE
        raise AssertionError(kind)

    def _operator(self, call: Call) -> tuple[str, int]:
        symbol = call._name
        if len(call._arguments) == 1:
            (x,) = call._arguments
            return f"{symbol}{self.within(x, _SIGN)}", _SIGN
        x, y = call._arguments
        if symbol == "**" and not _is_real_power(call):
            return f"{self.name_of_function('math.pow')}({self._arguments((x, y), None)})", ATOM
        binding = _BINDING[symbol]
        if symbol == "**":
            return f"{self.within(x, ATOM)} ** {self.within(y, ATOM)}", binding
        # The right operand is always in brackets if it binds no tighter: (a + b) + c is not a sum
        # of the same bits as a + (b + c). Comparisons would be chained.
        left_binding = binding + 1 if binding == _COMPARISON else binding
        return f"{self.within(x, left_binding)} {symbol} {self.within(y, binding + 1)}", binding

    def _function(self, call: Call) -> str:
        options = call._options
        inside = self._arguments(call._arguments, options)
        return f"{self.function(call._name)}({inside})"

    def function(self, function: Any) -> str:
        """How a function is called, such as np.exp, or np.add.reduce."""
        if isinstance(function, tuple):
            ufunc, method = function
            return self._named(dotted(ufunc), ufunc, f".{method}")
        return self._named(dotted(function), function, "")

    def _named(self, name: str | None, function: Any, rest: str) -> str:
        if name is None:
            return self.name_of_object(function) + rest
        return self.name_of_function(name + rest)

    def _arguments(self, arguments: Any, options: dict[str, Any] | None) -> str:
        parts = [self.within(x, CHOICE) for x in arguments]
        for name, x in (options or {}).items():
            parts.append(f"{name}={self.within(x, CHOICE)}")
        return ", ".join(parts)

    def whole(self, x: Any) -> tuple[str, int]:
        """x as an expression, with its binding."""
        return self.name_of(x) if type(x) is StandIn else self.plain(x)

    def within(self, x: Any, binding: int) -> str:
        """x as a part of an expression, in brackets if it binds less tightly than this."""
        text, own_binding = self.whole(x)
        return f"({text})" if own_binding < binding else text

    def index(self, index: Any) -> str:
        """An index, as it stands between square brackets."""
        if type(index) is tuple:
            if not index:
                return "()"
            return ", ".join(map(self._index_part, index))  # x[i,] is x[i]
        return self._index_part(index)

    def _index_part(self, part: Any) -> str:
        if isinstance(part, slice):
            text = f"{self._bound(part.start)}:{self._bound(part.stop)}"
            return text if part.step is None else f"{text}:{self._bound(part.step)}"
        return self.within(part, CHOICE)

    def _bound(self, bound: Any) -> str:
        if isinstance(bound, np.integer):
            bound = int(bound)
        return "" if bound is None else self.within(bound, CHOICE)

    # ── What is no stand-in ──────────────────────────────────────────────────────────────────────
    def plain(self, x: Any) -> tuple[str, int]:
        """A number, an array, a dtype, or a container of them, with its binding."""
        if type(x) is float:
            return number(x)
        if isinstance(x, ndarray):
            return self.name_of_object(x), ATOM
        if isinstance(x, bool | str | None):
            return repr(x), ATOM
        if type(x) is int:
            return str(x), _SIGN if x < 0 else ATOM
        if isinstance(x, np.generic):
            return self._generic(x), ATOM
        if isinstance(x, EllipsisType):
            return "...", ATOM
        if isinstance(x, np.dtype):
            return f"np.{x.name}", ATOM
        if isinstance(x, type):
            home = "np." if x.__module__ == "numpy" else ""
            return f"{home}{x.__name__}", ATOM
        if isinstance(x, slice):
            return f"slice({self._arguments((x.start, x.stop, x.step), None)})", ATOM
        if isinstance(x, list):
            return f"[{self._arguments(x, None)}]", ATOM
        if isinstance(x, tuple):
            comma = "," if len(x) == 1 else ""
            return f"({self._arguments(x, None)}{comma})", ATOM
        if isinstance(x, dict):
            items = (f"{key!r}: {self.within(each, CHOICE)}" for key, each in x.items())
            return f"{{{', '.join(items)}}}", ATOM
        name = dotted(x)
        return (self.name_of_object(x) if name is None else self.name_of_function(name)), ATOM

    def _generic(self, x: np.generic) -> str:
        if x.dtype.kind in "iub":
            return f"np.{x.dtype.name}({x.item()})"
        text, _ = number(float(x))
        return f"np.{x.dtype.name}({text})"


def number(x: float) -> tuple[str, int]:
    """A Python float, with its binding."""
    if math.isnan(x):
        return "np.nan", ATOM
    if math.isinf(x):
        return ("np.inf", ATOM) if x > 0 else ("-np.inf", _SIGN)
    return repr(x), _SIGN if math.copysign(1.0, x) < 0 else ATOM


def _is_real_power(call: Call) -> bool:
    """Whether Python's ** gives a real number, or an array, in every run.

    Of a negative float and an exponent that is no integer, it makes a complex number.
    """
    x, y = call._arguments
    x_value = x._value if type(x) is StandIn else x
    y_value = y._value if type(y) is StandIn else y
    are_floats = type(x_value) is float and type(y_value) in (float, int)
    if not are_floats:
        return True
    is_positive_constant = type(x) is not StandIn and x > 0
    is_whole_constant = type(y) is not StandIn and float(y).is_integer()
    return is_positive_constant or is_whole_constant


_HOMES = (
    (np, "np."),
    (np.linalg, "np.linalg."),
    (np.fft, "np.fft."),
    (np.lib.stride_tricks, "np.lib.stride_tricks."),
    (math, "math."),
    (builtins, ""),
)


def dotted(function: Any) -> str | None:
    """The name of a function of NumPy's or Python's, as programs write it; otherwise None."""
    name = getattr(function, "__name__", None)
    if name is None:
        return None
    for module, prefix in _HOMES:
        if getattr(module, name, None) is function:
            return f"{prefix}{name}"
    return None
