"""How a person writes a call: x @ y for x.dot(y), x.sum(axis=0) for np.add.reduce(x, axis=0).

None of this changes what is computed. Where that could be, `source` compares the results.
"""

from __future__ import annotations

import math
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
        if is_transposition(call):
            return f"{self.within(call._arguments[0], ATOM)}.T", ATOM
        if _is_nan_test(call):
            return f"np.isnan({self.within(call._arguments[0], 0)})", ATOM
        if _makes_zeros(call):
            return self._zeros(call), ATOM
        if _changes_no_shape(call) or self._is_first_power(call):
            return self.whole(call._arguments[0])
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
        if call._name == "**":
            call = _with_whole_exponent(call)
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

    def _zeros(self, call: Any) -> str:
        """np.zeros_like(x, shape=shape) as np.zeros(shape)."""
        made = call._value
        dtype = "" if made.dtype == np.float64 else f", np.{made.dtype.name}"
        return f"np.zeros({self.within(_single(made.shape), 0)}{dtype})"

    def _is_first_power(self, call: Call) -> bool:
        """Whether it is x ** 1.0, and a part of another expression."""
        if type(call) is not StandIn or call._kind != "operator" or call._name != "**":
            return False
        x, exponent = call._arguments
        is_first = type(exponent) is float and exponent == 1.0
        return is_first and self._text.may_wait(call) and not self._text.is_changed(x)

    def _operator_of_ufunc(self, call: Call) -> tuple[str, int] | None:
        """np.multiply(x, y) of arrays, as x * y."""
        symbol = _OPERATORS.get(call._name) if call._kind == "function" else None
        is_array = type(call) is StandIn and type(call._value) is ndarray
        is_test = type(call) is StandIn and isinstance(call._value, np.bool)
        is_product = symbol == "@"  # its operands are arrays
        if symbol is None or call._options or not (is_array or is_test or is_product):
            return None
        return self._operator(rewritten(call, "operator", symbol, call._arguments))

    def plain(self, x: Any) -> tuple[str, int]:
        """What is no stand-in, with its binding."""
        if type(x) is float and len(repr(x)) > 5:
            written = _as_computed(x)
            if written is not None:
                return written
        if isinstance(x, tuple) and any(isinstance(part, slice) for part in x):
            return f"np.s_[{self.index(x)}]", ATOM
        if isinstance(x, tuple | list):  # a shape or an index, in plain integers
            x = type(x)(int(each) if isinstance(each, np.integer) else each for each in x)
        return super().plain(x)

    def _index_part(self, part: Any) -> str:
        return super()._index_part(int(part) if isinstance(part, np.integer) else part)

    def _product(self, call: Call) -> tuple[str, int] | None:
        """x.dot(y) of vectors and matrices, as x @ y."""
        if not _is_dot(call) or call._options or not self._text.writes_products:
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
            # The least number there is changes no maximum.
            has_numbers = _has_floats(call._arguments[0])
            if name is np.max and has_numbers and kept.get("initial") == -np.inf:
                del kept["initial"]
            inside = self._arguments(call._arguments, kept)
            return f"{self.function(name)}({inside})"
        return None


def _is_dot(call: Call) -> bool:
    is_function = call._kind == "function" and call._name is np.dot
    return is_function or (call._kind == "method" and call._name == "dot")


def is_product(call: Call) -> bool:
    """Whether it is a product of matrices or vectors."""
    is_matmul = call._kind == "function" and call._name is np.matmul
    is_operator = call._kind == "operator" and call._name == "@"
    return _is_dot(call) or is_matmul or is_operator


def _is_default(name: str, x: Any) -> bool:
    return (name == "axis" and x is None) or (name == "keepdims" and x is False)


def _as_computed(x: float) -> tuple[str, int] | None:
    """A number as a person computes it, if that has the same bits: 1 / 32, 1 - 0.9, sqrt(5)."""
    if not 0 < x < 1e6:
        return None
    inverse = float(f"{1 / x:.6g}")
    if x < 1e-9 and 1 / inverse == x and len(repr(inverse)) < len(repr(x)) - 4:
        return f"1 / {inverse!r}", PRODUCT
    part = round(1 / x) if x > 1e-3 else 0
    if part > 1 and 1 / part == x:  # the mean over a mini-batch
        return f"1 / {part}", PRODUCT
    rest = float(f"{1 - x:.6g}")
    if 0 < rest < 1 and 1 - rest == x and len(repr(rest)) < len(repr(x)):
        return f"1 - {rest!r}", SUM
    square = round(x * x)
    if math.sqrt(square) == x and len(repr(x)) > 12:
        return f"math.sqrt({square})", ATOM
    return None


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


def _has_floats(x: Any) -> bool:
    """Whether it is an array of floats that is not empty."""
    value = x._value if type(x) is StandIn else x
    return type(value) is ndarray and value.size > 0 and value.dtype.kind == "f"


def _is_nan_test(call: Call) -> bool:
    """Whether it is x != x, for an array."""
    is_comparison = call._kind == "function" and call._name is np.not_equal
    is_comparison = is_comparison or (call._kind == "operator" and call._name == "!=")
    if not is_comparison or call._options:
        return False
    x, y = call._arguments
    return x is y and type(x._value) is ndarray and x._value.dtype.kind == "f"


def _makes_zeros(call: Call) -> bool:
    """Whether it is np.zeros_like with a shape of its own."""
    is_like = type(call) is StandIn and call._name is np.zeros_like
    return is_like and set(call._options or {}) == {"order", "shape"}


def _changes_no_shape(call: Call) -> bool:
    """Whether it is x.reshape(shape), where x has this shape already."""
    if type(call) is not StandIn or call._options:
        return False
    is_reshape = call._kind == "method" and call._name == "reshape"
    is_reshape = is_reshape or (call._kind == "function" and call._name is np.reshape)
    x = call._arguments[0] if is_reshape else None
    if type(x) is not StandIn or x._kind == "input" or type(x._value) is not ndarray:
        return False
    return bool(x._value.shape == call._value.shape)


def _with_whole_exponent(call: Call) -> Call:
    """x ** 2 for x ** 2.0: Python and NumPy compute the same."""
    x, y = call._arguments
    is_whole = type(y) is float and y.is_integer() and 0 <= y < 100
    return rewritten(call, "operator", "**", (x, int(y))) if is_whole else call


def is_transposition(call: Call) -> bool:
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
