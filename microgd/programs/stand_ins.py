"""Stand-ins for numbers and arrays, which write down everything that is computed with them.

A function that gets stand-ins in place of numbers and arrays computes as always: each stand-in
holds the number or the array that it stands for. But each operator, function and method that meets
a stand-in is also written into a record, as a `Call`, and its result is a stand-in again. The
record is then a program without branches: the calls, in their order.

Operations and derivative rules get stand-ins too. They are not replaced by anything else, so the
record has the very calls of NumPy that the engine makes, and a program of these calls computes the
same bits.

What can't be written down is a `CannotFollow` error: what turns a stand-in into an array or a
number of its own, such as `float(x)`, `np.asarray(x)` and `math.exp(x)`. That is also why a
stand-in is neither a float nor a kind of ndarray: C code would take the numbers out of it.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
from numpy import ndarray

from microgd import arrays
from microgd.backprop import Node

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
# What a stand-in for Python's float gives as its dtype. It equals float64, but is another object,
# so the engine does not take an np.float64 for a number that fits already.
_READ_ONLY = np.broadcast_to(0.0, ()).flags
_DTYPE_OF_FLOAT = np.dtype(np.float64, copy=True)


class CannotFollow(TypeError):  # noqa: N818 (it says more than an error's name)
    """Something was computed that can't be written down as a program. The message says what."""


class Call:
    """A line of the program: what is called, and with what.

    `kind` says how it is written, and `name` what is called:

        input        an argument of the program, with this name
        constant     a number that stays as it is, such as the gradient 1.0 of the loss
        operator     an operator of Python, such as "+"; of one operand, "-x"
        function     a function, such as np.exp, or a ufunc's method, as the pair (np.add, "reduce")
        method       a method of the first argument, by name; attribute: the same without brackets
        item         the first argument, indexed by the second
        part         an element of a tuple that was returned
        float        the first argument as a Python float or another number: float, int, bool
        choice       the second argument if the first is true, else the third
        guard        a check that the first argument is what it was: true or false
        form         a check of its shape and dtype
        set          the third argument is put into the first, at the second as its index
        in place     an operator such as "+=", which writes into the first argument

    A function with an option `out` writes into that stand-in, and has no result of its own.
    """

    __slots__ = ("_arguments", "_index", "_kind", "_name", "_options", "_place", "_record")

    def __init__(
        self, record: Record, kind: str, name: Any, arguments: tuple[Any, ...], options: Any = None
    ) -> None:
        self._record = record
        self._kind = kind
        self._name = name
        self._arguments = arguments
        self._options = options
        self._place: Any = None if record.find_place is None else record.find_place()
        self._index = len(record.calls)  # its place in the record
        record.calls.append(self)


class Record:
    """The calls of a computation, in their order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.failure: CannotFollow | None = None  # the first, even if somebody has caught it
        self.is_open = True
        self.check_constant: Callable[[ndarray], None] = lambda array: None
        self._treatment = np.geterr()
        self.find_place: Callable[[], Any] | None = None

    def cannot(self, what: str) -> NoReturn:
        """Raise a `CannotFollow` error, and remember it."""
        error = CannotFollow(what)
        if self.failure is None:
            self.failure = error
        raise error

    def of_floats(
        self,
        symbol: str,
        function: Callable[..., float],
        arguments: tuple[Any, ...],
        *numbers: float,
    ) -> Any:
        """What an operator gives for Python's floats. A graph of numbers is made of these calls."""
        try:
            value = function(*numbers)
        except Exception as error:
            self._note(error)
            raise
        if type(value) is not float or not self.is_open:
            return self.result("operator", symbol, arguments, None, value)
        stand_in = StandIn(self, "operator", symbol, arguments)
        stand_in._value = value
        stand_in._owner = stand_in
        return stand_in

    def _note(self, error: Exception) -> None:
        """An error: with other numbers there may be none, and another way."""
        if self.failure is None:
            self.failure = CannotFollow(f"it comes to a {type(error).__name__}: {error}")

    def compute(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A result. If there is none, but an error, other numbers may lead another way."""
        if np.geterr() != self._treatment:
            self.cannot("it changes how NumPy treats errors, as np.errstate does")
        try:
            return function(*arguments, **options)
        except CannotFollow:
            raise
        except Exception as error:
            self._note(error)
            raise

    def check_constants(self, x: Any) -> None:
        """Look at all arrays in nested lists, tuples, dictionaries and slices."""
        if type(x) is StandIn:  # which may stand for a tuple
            return
        if type(x) is ndarray:
            self.check_constant(x)
        elif type(x) is list or isinstance(x, tuple):
            for each in x:
                self.check_constants(each)
        elif type(x) is dict:
            for each in x.values():
                self.check_constants(each)

    def input(self, name: str, value: Any) -> StandIn:
        """A stand-in for an argument of the program."""
        stand_in = StandIn(self, "input", name, ())
        stand_in._value = value
        stand_in._owner = stand_in
        return stand_in

    def constant(self, value: float) -> StandIn:
        """A stand-in for a number that is the same in every run."""
        stand_in: StandIn = self.result("constant", value, (), None, value)
        return stand_in

    def result(
        self, kind: str, name: Any, arguments: tuple[Any, ...], options: Any, value: Any
    ) -> Any:
        """A stand-in for the result of a call."""
        if not self.is_open:
            raise CannotFollow("a stand-in was kept and used after its function had returned")
        value_type = type(value)
        if value_type is float:
            stand_in = StandIn(self, kind, name, arguments, options)
            stand_in._value = value
            stand_in._owner = stand_in
            return stand_in
        self.check_constants(arguments)
        self.check_constants(options)
        if value_type is tuple or value_type is list or isinstance(value, tuple):
            whole = StandIn(self, kind, name, arguments, options)
            whole._value = value
            whole._owner = whole
            parts = [self.result("part", i, (whole,), None, part) for i, part in enumerate(value)]
            for part in parts:  # it may be a view of what the function was given
                if type(part) is StandIn and type(part._value) is ndarray:
                    part._owner = _owner_of(part, arguments)
            return parts if value_type is list else tuple(parts)
        if not isinstance(value, ndarray | np.generic | float | int):
            self.cannot(f"{_described(name)} gives a {value_type.__name__}, not numbers")
        stand_in = StandIn(self, kind, name, arguments, options)
        stand_in._value = value
        stand_in._owner = stand_in
        if value_type is ndarray:
            stand_in._owner = _owner_of(stand_in, arguments)
        elif isinstance(value, ndarray):
            self.cannot(f"a {value_type.__name__} has an arithmetic of its own")
        return stand_in

    def statement(
        self, kind: str, name: Any, arguments: tuple[Any, ...], options: Any = None
    ) -> None:
        """Write down a call that has no result."""
        if not self.is_open:
            raise CannotFollow("a stand-in was kept and used after its function had returned")
        self.check_constants(arguments)
        self.check_constants(options)
        Call(self, kind, name, arguments, options)


def _owner_of(result: StandIn, arguments: tuple[Any, ...]) -> StandIn:
    """The stand-in whose memory the result is in: its own, or that of which it is a view."""
    for x in stand_ins_in(arguments):
        other = x._owner._value
        if type(other) is ndarray and np.may_share_memory(result._value, other):
            return x._owner
    return result


def stand_ins_in(x: Any) -> Iterator[StandIn]:
    """The stand-ins in nested lists, tuples, dictionaries and slices."""
    if type(x) is StandIn:
        yield x
    elif type(x) is list or isinstance(x, tuple):
        for each in x:
            yield from stand_ins_in(each)
    elif type(x) is dict:
        for each in x.values():
            yield from stand_ins_in(each)
    elif type(x) is slice:
        yield from stand_ins_in((x.start, x.stop, x.step))


def parts_of(call: Call) -> list[StandIn]:
    """The stand-ins that a call needs."""
    if call._kind in ("operator", "choice", "float"):
        return [x for x in call._arguments if type(x) is StandIn]
    return list(stand_ins_in((call._arguments, call._options)))


def has_stand_ins(x: Any) -> bool:
    """Whether there is a stand-in in nested lists, tuples, dictionaries and slices."""
    return next(stand_ins_in(x), None) is not None


def concrete(x: Any) -> Any:
    """`x`, with what they stand for in place of stand-ins."""
    if type(x) is StandIn:
        return x._value
    if type(x) is float or type(x) is ndarray:
        return x
    if type(x) is list or type(x) is tuple:
        return type(x)(map(concrete, x))
    if type(x) is dict:
        return {name: concrete(each) for name, each in x.items()}
    if type(x) is slice:
        return slice(concrete(x.start), concrete(x.stop), concrete(x.step))
    return x


def _described(name: Any) -> str:
    if isinstance(name, tuple):
        ufunc, method = name
        return f"{ufunc.__name__}.{method}"
    return str(getattr(name, "__name__", name))


# ── Operators ────────────────────────────────────────────────────────────────────────────────────
def _binary(symbol: str, function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(self: StandIn, other: Any) -> Any:
        x = self._value
        y = other._value if type(other) is StandIn else other
        if type(x) is float and type(y) is float:
            return self._record.of_floats(symbol, function, (self, other), x, y)
        if type(other) is not StandIn and isinstance(other, Node):
            return NotImplemented  # its own operator records it, and comes back here with numbers
        value = self._record.compute(function, x, concrete(other))
        return self._record.result("operator", symbol, (self, other), None, value)

    return apply


def _reflected(symbol: str, function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(self: StandIn, other: Any) -> Any:
        if type(self._value) is float and type(other) is float:
            return self._record.of_floats(symbol, function, (other, self), other, self._value)
        value = self._record.compute(function, concrete(other), self._value)
        return self._record.result("operator", symbol, (other, self), None, value)

    return apply


def _in_place(symbol: str, function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    # Of numbers, which never change, `a += b` is a + b.
    plain = _binary(symbol, function)

    def apply(self: StandIn, other: Any) -> Any:
        if type(self._value) is not ndarray or isinstance(other, Node):
            return plain(self, other)  # numbers never change: the name on the left gets another
        self._check_writable()
        self._record.compute(function, self._value, concrete(other))
        self._record.statement("in place", f"{symbol}=", (self, other))
        return self

    return apply


def _unary(symbol: str, function: Callable[[Any], Any]) -> Callable[..., Any]:
    def apply(self: StandIn) -> Any:
        if type(self._value) is float:
            return self._record.of_floats(symbol, function, (self,), self._value)
        value = self._record.compute(function, self._value)
        return self._record.result("operator", symbol, (self,), None, value)

    return apply


def _refused(how: str) -> Callable[..., Any]:
    def apply(self: StandIn, *arguments: Any, **options: Any) -> NoReturn:
        self._record.cannot(
            f"{how} takes the numbers out of the computation, where they can't be followed"
        )

    return apply


class StandIn(Call, arrays.StandIn):
    """Stands for a number or an array, and writes down what is computed with it."""

    __slots__ = ("_owner", "_value")

    _value: Any  # the number or the array, in the run that is written down
    _owner: StandIn  # the stand-in whose memory this is in: itself, or the one it is a view of

    # `isinstance(x, float)` answers as for what this stands for; `type(x) is float` does not.
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._value)

    # Another number would be found elsewhere in a user's dictionary or set. Code of this package
    # finds stand-ins by their identity.
    def __hash__(self) -> int:
        if self._record.is_open:
            home = sys._getframe(1).f_globals.get("__name__", "")
            if not home.startswith("microgd.programs."):
                self._record.cannot(
                    "the use of x as a key, or as an element of a set, can't be followed"
                )
        return object.__hash__(self)

    # ── What the engine asks ─────────────────────────────────────────────────────────────────────
    def as_data(self, like: Any) -> Any:
        """As `arrays.as_data`: a float, or an array of float32 or float64."""
        value = self._value
        if type(value) is float:
            return self
        if type(value) is not ndarray:
            number = arrays.as_data(value, like)
            return self._record.result("float", "float", (self,), None, number)
        if not value.ndim:
            return self.item().as_data(like)
        if value.dtype in _FLOATS:
            return self
        if value.dtype.kind in "biu":
            return self.astype(np.float64 if isinstance(like, float) else like.dtype)
        return arrays.as_data(value, like)  # which raises its error

    def applied(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """A function of the module `math`."""
        value = self._record.compute(function, *concrete(arguments))
        return self._record.result("function", function, arguments, None, value)

    def _check_writable(self) -> None:
        if self._owner._kind == "input":
            self._record.cannot("it writes into an argument, or into another array from outside")

    # ── NumPy ────────────────────────────────────────────────────────────────────────────────────
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        if any(isinstance(x, Node) for x in operands):
            return NotImplemented
        name = ufunc if method == "__call__" else (ufunc, method)
        compute = getattr(ufunc, method)
        if method == "at":
            self._written_into(operands[0])
            self._record.compute(compute, *concrete(operands))
            self._record.statement("function", name, operands, options)
            return None
        outs = options.pop("out", None)
        value = self._record.compute(compute, *concrete(operands), **concrete(options))
        if outs is None:
            return self._record.result("function", name, operands, options, value)
        (target,) = outs
        self._written_into(target)
        target._value[...] = value
        self._record.statement("function", name, operands, {**options, "out": target})
        return target

    def _written_into(self, target: Any) -> None:
        if type(target) is not StandIn:
            self._record.cannot("it writes into an array from outside")
        target._check_writable()

    def __array_function__(self, function: Any, types: Any, operands: Any, options: Any) -> Any:
        if any(issubclass(each, Node) for each in types):
            return NotImplemented
        if function in _STATIC:
            return function(*concrete(operands), **concrete(options))
        if function in _OUTWARD or options.get("out") is not None:
            self._record.cannot(f"{_described(function)} can't be followed")
        if function in _WRITING:
            self._written_into(operands[0])
            self._record.compute(function, *concrete(operands), **concrete(options))
            self._record.statement("function", function, operands, options)
            return None
        is_choice = function is np.where and len(operands) == 3
        if is_choice and all(map(_has_no_axes, operands)):
            return self._choice(*operands)
        value = self._record.compute(function, *concrete(operands), **concrete(options))
        result = self._record.result("function", function, operands, options, value)
        is_free = function not in _SHAPED_BY_SHAPES
        if function in _SHAPED_BY_THEIR_FIRST:
            is_free = has_stand_ins((operands[1:], options))
        if is_free:
            self._fix_form(result)
        return result

    def _choice(self, condition: Any, x: Any, y: Any) -> Any:
        """np.where of three numbers."""
        value = concrete(x) if concrete(condition) else concrete(y)
        return self._record.result("choice", "where", (condition, x, y), None, value)

    def _fix_form(self, result: Any) -> None:
        """Write down the check of a shape that depends on the numbers, and not on shapes alone."""
        for x in stand_ins_in(result):
            if type(x._value) is ndarray:
                form = x._value.shape, x._value.dtype
                self._record.statement("form", form, (x,))

    # ── Attributes and methods of arrays ─────────────────────────────────────────────────────────
    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return () if type(self._value) is float else np.shape(self._value)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return np.size(self._value)

    @property
    def dtype(self) -> Any:
        """The dtype, as an array's."""
        value = self._value
        if type(value) is float:
            return _DTYPE_OF_FLOAT
        return value.dtype if isinstance(value, ndarray | np.generic) else np.asarray(value).dtype

    @property
    def flags(self) -> Any:
        """The flags of an array that is read-only."""
        # Read-only, so that nobody makes a copy: what is written into it is an error anyway.
        if type(self._value) is float:
            return _READ_ONLY
        return np.broadcast_to(self._value, np.shape(self._value)).flags

    def setflags(self, *flags: Any, **named: Any) -> None:
        """Nothing: programs keep to their own rules of who writes where."""

    @property
    def T(self) -> Any:  # noqa: N802 (it is NumPy's name)
        """The axes in reverse."""
        return self._record.result("attribute", "T", (self,), None, self._value.T)

    def view(self, dtype: Any = None) -> Any:
        """The same memory, as elements of another dtype."""
        if dtype is None or (isinstance(dtype, type) and issubclass(dtype, ndarray)):
            return self
        value = self._value.view(dtype)
        return self._record.result("method", "view", (self, dtype), {}, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._value
        attribute = getattr(value, name)  # raises NumPy's error
        if name in _OUTWARD_METHODS:
            _refused(f".{name}()")(self)
        if not callable(attribute):
            if isinstance(attribute, ndarray):
                return self._record.result("attribute", name, (self,), None, attribute)
            if name in ("strides", "itemsize", "nbytes"):
                return attribute
            self._record.cannot(f".{name} can't be followed")

        def method(*arguments: Any, **options: Any) -> Any:
            if any(isinstance(x, Node) for x in arguments):
                return NotImplemented
            if options.get("out") is not None:
                self._record.cannot(f".{name} with out can't be followed")
            if name in _WRITING_METHODS:
                self._check_writable()
                self._record.compute(attribute, *concrete(arguments), **concrete(options))
                self._record.statement("method", name, (self, *arguments), options)
                return None
            found = self._record.compute(attribute, *concrete(arguments), **concrete(options))
            result = self._record.result("method", name, (self, *arguments), options, found)
            is_free = name not in _SHAPED_METHODS or has_stand_ins((arguments, options))
            if is_free and name not in ("dot", "take", "clip"):
                self._fix_form(result)
            return result

        return method

    # ── Items ────────────────────────────────────────────────────────────────────────────────────
    def __getitem__(self, index: Any) -> Any:
        value = self._record.compute(operator.getitem, self._value, concrete(index))
        result = self._record.result("item", None, (self, index), None, value)
        if any(_selects(x) for x in stand_ins_in(index)) or _has_bounds(index):
            self._fix_form(result)
        return result

    def __setitem__(self, index: Any, new: Any) -> None:
        self._check_writable()
        self._record.compute(operator.setitem, self._value, concrete(index), concrete(new))
        self._record.statement("set", None, (self, index, new))

    def __len__(self) -> int:
        return len(self._value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self._value)))

    # ── Truth: another answer would lead another way, so the program has to check it ─────────────
    def __bool__(self) -> bool:
        answer: bool = self._record.compute(bool, self._value)
        self._record.statement("guard", answer, (self,))
        return answer

    # ── What takes the numbers out ───────────────────────────────────────────────────────────────
    __float__ = _refused("float(x)")
    __int__ = _refused("int(x)")
    __index__ = _refused("the use as an index or a count")
    __complex__ = _refused("complex(x)")
    __round__ = _refused("round(x)")
    __trunc__ = _refused("math.trunc(x)")
    __floor__ = _refused("math.floor(x)")
    __ceil__ = _refused("math.ceil(x)")
    __array__ = _refused("np.asarray(x), or an array made of x,")
    __str__ = _refused("str(x), as for printing,")
    __format__ = _refused("formatting x, as for printing,")
    __reduce__ = _refused("a copy or a pickle of x")
    __deepcopy__ = _refused("a deep copy of x")

    def __repr__(self) -> str:
        if self._record.is_open:
            self._record.cannot("printing x takes its numbers out of the computation")
        return f"<stand-in for {self._value!r}>"

    # ── Operators ────────────────────────────────────────────────────────────────────────────────
    __add__ = _binary("+", operator.add)
    __radd__ = _reflected("+", operator.add)
    __iadd__ = _in_place("+", operator.iadd)
    __sub__ = _binary("-", operator.sub)
    __rsub__ = _reflected("-", operator.sub)
    __isub__ = _in_place("-", operator.isub)
    __mul__ = _binary("*", operator.mul)
    __rmul__ = _reflected("*", operator.mul)
    __imul__ = _in_place("*", operator.imul)
    __truediv__ = _binary("/", operator.truediv)
    __rtruediv__ = _reflected("/", operator.truediv)
    __itruediv__ = _in_place("/", operator.itruediv)
    __floordiv__ = _binary("//", operator.floordiv)
    __rfloordiv__ = _reflected("//", operator.floordiv)
    __mod__ = _binary("%", operator.mod)
    __rmod__ = _reflected("%", operator.mod)
    __pow__ = _binary("**", operator.pow)
    __rpow__ = _reflected("**", operator.pow)
    __ipow__ = _in_place("**", operator.ipow)
    __matmul__ = _binary("@", operator.matmul)
    __rmatmul__ = _reflected("@", operator.matmul)
    __imatmul__ = _in_place("@", operator.imatmul)
    __and__ = _binary("&", operator.and_)
    __rand__ = _reflected("&", operator.and_)
    __iand__ = _in_place("&", operator.iand)
    __or__ = _binary("|", operator.or_)
    __ror__ = _reflected("|", operator.or_)
    __ior__ = _in_place("|", operator.ior)
    __xor__ = _binary("^", operator.xor)
    __rxor__ = _reflected("^", operator.xor)
    __lshift__ = _binary("<<", operator.lshift)
    __rlshift__ = _reflected("<<", operator.lshift)
    __rshift__ = _binary(">>", operator.rshift)
    __rrshift__ = _reflected(">>", operator.rshift)
    __eq__ = _binary("==", operator.eq)
    __ne__ = _binary("!=", operator.ne)
    __lt__ = _binary("<", operator.lt)
    __le__ = _binary("<=", operator.le)
    __gt__ = _binary(">", operator.gt)
    __ge__ = _binary(">=", operator.ge)
    __neg__ = _unary("-", operator.neg)
    __pos__ = _unary("+", operator.pos)
    __invert__ = _unary("~", operator.invert)

    def __abs__(self) -> Any:
        value = self._record.compute(abs, self._value)
        return self._record.result("function", abs, (self,), None, value)


def _has_no_axes(x: Any) -> bool:
    """Whether it is a number, or an array without axes."""
    value = concrete(x)
    return type(value) is float or type(value) is bool or np.ndim(value) == 0


def _selects(index: StandIn) -> bool:
    """Whether it picks as many elements as there are true ones in it."""
    return bool(np.asarray(index._value).dtype == bool)


def _has_bounds(index: Any) -> bool:
    """Whether a slice in the index has a stand-in for a bound."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, slice) and has_stand_ins(part) for part in parts)


# ── What is known of NumPy's functions ───────────────────────────────────────────────────────────
# These depend on shapes and dtypes alone, and those are the same in every run of a program.
_STATIC = {
    np.shape,
    np.ndim,
    np.size,
    np.result_type,
    np.iscomplexobj,
    np.isrealobj,
    np.may_share_memory,
    np.shares_memory,
    np.can_cast,
}

# These have effects outside, or give no numbers.
_OUTWARD = {
    np.array2string,
    np.array_repr,
    np.array_str,
    np.save,
    np.savez,
    np.savez_compressed,
    np.savetxt,
}
_OUTWARD_METHODS = {"tolist", "tobytes", "tofile", "dump", "dumps", "data", "ctypes", "hex"}

# These write into their first argument.
_WRITING = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}
_WRITING_METHODS = {"fill", "sort", "partition", "put", "itemset", "resize", "byteswap"}

# The shape and the dtype of the result of these follow from those of their arguments. The result
# of any other function may have another shape in another run, so the program checks it.
_SHAPED_BY_SHAPES_NAMES = """
    all allclose amax amin angle any append argmax argmin argpartition argsort around array_equal
    array_split atleast_1d atleast_2d atleast_3d average block broadcast_arrays broadcast_to clip
    column_stack concatenate convolve copy corrcoef correlate count_nonzero cov cross cumprod
    cumsum diag diagonal diff digitize dot dsplit dstack einsum empty_like expand_dims flip fliplr
    flipud full_like gradient hsplit hstack imag inner interp isclose kron lexsort matmul max mean
    median min moveaxis nan_to_num nanmax nanmean nanmin nansum nanstd nanvar ones_like outer pad
    partition percentile prod ptp quantile ravel real repeat reshape roll rollaxis rot90 round
    searchsorted sinc sort split squeeze stack std sum swapaxes take take_along_axis tensordot tile
    trace transpose trapezoid tril triu unwrap vander var vdot vsplit vstack where zeros_like
"""
_SHAPED_BY_SHAPES = {getattr(np, name) for name in _SHAPED_BY_SHAPES_NAMES.split()}
_SHAPED_BY_SHAPES |= {
    np.lib.stride_tricks.sliding_window_view,
    np.linalg.cholesky,
    np.linalg.det,
    np.linalg.inv,
    np.linalg.matrix_power,
    np.linalg.norm,
    np.linalg.pinv,
    np.linalg.qr,
    np.linalg.slogdet,
    np.linalg.solve,
    np.linalg.svd,
    np.linalg.eigh,
    np.linalg.eigvalsh,
}
# Of these, unless other arguments than the first are numbers from the computation.
_SHAPED_BY_THEIR_FIRST = {
    np.repeat,
    np.tile,
    np.pad,
    np.reshape,
    np.broadcast_to,
    np.roll,
    np.array_split,
    np.split,
}
_SHAPED_METHODS_NAMES = """
    all any argmax argmin argpartition argsort astype clip conj copy cumprod cumsum diagonal dot
    flatten is_integer item max mean min prod ravel repeat reshape round searchsorted squeeze std
    sum swapaxes take trace transpose var
"""
_SHAPED_METHODS = frozenset(_SHAPED_METHODS_NAMES.split())
