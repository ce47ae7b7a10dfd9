"""How a person writes a call: x @ y for x.dot(y), x.sum(axis=0) for np.add.reduce(x, axis=0).

None of this changes what is computed. Where that could be, `source` compares the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.programs.stand_ins import Call, StandIn
from microgd.programs.writing import ATOM, PRODUCT, SUM, Writer

_REDUCTIONS = {np.add: "sum", np.maximum: "max", np.minimum: "min", np.multiply: "prod"}
_NUMPYS_REDUCTIONS = (np.sum, np.mean, np.max, np.min, np.prod, np.any, np.all)
_OPERATORS: dict[Any, str] = {
    np.add: "+",
    np.subtract: "-",
    np.multiply: "*",
    np.divide: "/",
    np.matmul: "@",
    np.less: "<",
    np.less_equal: "<=",
    np.greater: ">",
    np.greater_equal: ">=",
    np.equal: "==",
    np.not_equal: "!=",
}


class Phrasing(Writer):
    """Writes calls as a person would."""

    def __init__(self, text: Any) -> None:
        super().__init__(text.name_of, text.name_of_object)
        self._text = text

    def expression(self, call: Call) -> tuple[str, int]:
        """A call as an expression, with its binding."""
        product = self._product(call)
        if product is not None:
            return product
        operator = self._operator_of_ufunc(call)
        if operator is not None:
            return operator
        if _is_transposition(call):
            return f"{self.within(call._arguments[0], ATOM)}.T", ATOM
        if call._kind == "method" and call._options and type(call._options.get("axis")) is tuple:
            options = {name: _single(x) for name, x in call._options.items()}
            call = rewritten(call, "method", call._name, call._arguments, options)
        reduction = self._reduction(call)
        if reduction is not None:
            return reduction, ATOM
        return super().expression(call)

    def _operator(self, call: Call) -> tuple[str, int]:
        left = self._text.left_names.get(call) if type(call) is StandIn else None
        if left is not None:
            y_text = self.within(call._arguments[1], SUM + 1)
            return f"{left} + {y_text}", SUM
        text, binding = super()._operator(call)
        if call._name == "+" and len(call._arguments) == 2:
            # a + -b * c is a - b * c, to the last bit: a product's sign does not change its size.
            _, y = call._arguments
            y_text = self.within(y, binding + 1)
            is_negative = type(y) is StandIn and _begins_negative(y, self._text)
            if is_negative and y_text.startswith("-"):
                x_text = self.within(call._arguments[0], binding)
                return f"{x_text} - {y_text[1:]}", binding
        return text, binding

    def _operator_of_ufunc(self, call: Call) -> tuple[str, int] | None:
        """np.multiply(x, y) of arrays, as x * y."""
        symbol = _OPERATORS.get(call._name) if call._kind == "function" else None
        is_array = type(call) is StandIn and type(call._value) is ndarray
        is_test = type(call) is StandIn and isinstance(call._value, np.bool)
        if symbol is None or call._options or not (is_array or is_test):
            return None
        return self._operator(rewritten(call, "operator", symbol, call._arguments))

    def plain(self, x: Any) -> tuple[str, int]:
        """What is no stand-in, with its binding."""
        if type(x) is float and len(repr(x)) > 5:
            part = round(1 / x) if 1e-3 < x < 1 else 0
            if part and 1 / part == x:  # the mean over a mini-batch, as a person writes it
                return f"1 / {part}", PRODUCT
        if isinstance(x, tuple) and any(isinstance(part, slice) for part in x):
            return f"np.s_[{self.index(x)}]", ATOM
        if isinstance(x, tuple | list):  # a shape or an index, in plain integers
            x = type(x)(int(each) if isinstance(each, np.integer) else each for each in x)
        return super().plain(x)

    def _index_part(self, part: Any) -> str:
        return super()._index_part(int(part) if isinstance(part, np.integer) else part)

    def _product(self, call: Call) -> tuple[str, int] | None:
        """x.dot(y) of vectors and matrices, as x @ y."""
        is_dot = call._kind == "function" and call._name is np.dot
        is_dot = is_dot or (call._kind == "method" and call._name == "dot")
        if not is_dot or call._options or not self._text.writes_products:
            return None
        x, y = call._arguments
        shapes = [np.ndim(z._value if type(z) is StandIn else z) for z in (x, y)]
        if not all(1 <= ndim <= 2 for ndim in shapes):
            return None
        return f"{self.within(x, PRODUCT)} @ {self.within(y, PRODUCT + 1)}", PRODUCT

    def _reduction(self, call: Call) -> str | None:
        """np.add.reduce(x, axis=0) as x.sum(axis=0), and the like."""
        if call._kind != "function":
            return None
        name = call._name
        options = dict(call._options or {})
        if isinstance(name, tuple) and name[1] == "reduce" and name[0] in _REDUCTIONS:
            (x, *others) = call._arguments
            value = x._value if type(x) is StandIn else x
            if others or type(value) is not ndarray:
                return None
            axis = options.pop("axis", 0)
            if options:
                return None
            is_all = axis is None or value.ndim == 1
            inside = "" if is_all else f"axis={self.within(axis, 0)}"
            return f"{self.within(x, ATOM)}.{_REDUCTIONS[name[0]]}({inside})"
        if name in _NUMPYS_REDUCTIONS and options:
            kept = {key: x for key, x in options.items() if not _is_default(key, x)}
            inside = self._arguments(call._arguments, kept)
            return f"{self.function(name)}({inside})"
        return None


def _is_default(name: str, x: Any) -> bool:
    return (name == "axis" and x is None) or (name == "keepdims" and x is False)


def _begins_negative(x: StandIn, text: Any) -> bool:
    """Whether it is written where it is used, and its first factor is -y."""
    if x not in text.pending or x._kind != "operator":
        return False
    if len(x._arguments) == 1:
        return bool(x._name == "-")
    first = x._arguments[0]
    return x._name in "*/" and type(first) is StandIn and _begins_negative(first, text)


def _single(x: Any) -> Any:
    """The axis in a tuple of one."""
    return x[0] if type(x) is tuple and len(x) == 1 else x


def _is_transposition(call: Call) -> bool:
    """Whether it is np.transpose of a matrix."""
    if call._kind != "function" or call._name is not np.transpose or call._options:
        return False
    x, *axes = call._arguments
    value = x._value if type(x) is StandIn else x
    if np.ndim(value) != 2:
        return False
    return not axes or axes[0] is None or tuple(np.mod(axes[0], 2)) == (1, 0)


def rewritten(
    call: Call,
    kind: str,
    name: Any,
    arguments: tuple[Any, ...],
    options: dict[str, Any] | None = None,
) -> Call:
    """A call in another form, which is not in the record."""
    made: Call = object.__new__(Call)
    made._record = call._record
    made._place = call._place
    made._kind = kind
    made._name = name
    made._arguments = arguments
    made._options = options
    return made


def range_checked(calls: Sequence[Call]) -> Any:
    """The number x, if the calls check that x is 0, or that abs(x) is within bounds."""
    if len(calls) < 7 or [call._kind for call in calls] != _KINDS_OF_A_RANGE:
        return None
    is_zero, is_not_zero, size, is_large, guard, is_small, other_guard = calls
    x = is_zero._arguments[0]
    symbols = is_zero._name, is_large._name, is_small._name
    answers = is_not_zero._name, guard._name, other_guard._name
    if symbols != ("==", ">=", "<=") or answers != (False, True, True):
        return None
    is_same = size._arguments[0] is x and size._name is abs
    is_same = is_same and is_large._arguments[0] is size and is_small._arguments[0] is size
    return x if is_same else None


_KINDS_OF_A_RANGE = ["operator", "guard", "function", "operator", "guard", "operator", "guard"]


def is_round_trip(item: Call, change: Call, put: Call) -> bool:
    """Whether the calls take x[i], change it, and put it back, which is x[i] -= y."""
    if item._kind != "item" or change._kind != "in place" or put._kind != "set":
        return False
    x, index = item._arguments
    other_x, other_index, new = put._arguments
    is_same_place = other_x is x and _is_same_index(index, other_index)
    return is_same_place and change._arguments[0] is item and new is item


def _is_same_index(index: Any, other: Any) -> bool:
    if index is other:
        return True
    return isinstance(index, int) and isinstance(other, int) and index == other
