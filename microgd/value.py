"""`Value`: a number or an array that remembers how it was made. Read this file third.

Nothing about derivatives happens here. A Value is a node of the computation graph (backprop.py) with Python's operators
and NumPy's functions attached to it, and all of them are operations (operations.py): `a * b` *is* `multiply(a, b)`.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd import operations as ops
from microgd.advice import instead_of
from microgd.arrays import COMPUTED, Data, ReadOnly, as_data
from microgd.backprop import NUMPY, Node, backward
from microgd.memory import replace, writable
from microgd.recording import is_evaluating, is_recording


def _on_data(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, applied to what its operands hold. Its result is plain."""

    @wraps(function)
    def apply(*operands: Any, **options: Any) -> Any:
        return function(*(x._numbers if isinstance(x, Value) else x for x in operands), **options)

    apply.__module__ = __name__
    return apply


# NumPy's comparisons and tests have no derivative, and neither has what asks only for a shape: plain results.
_TESTS = (
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.isfinite,
    np.isinf,
    np.isnan,
)
_SHAPES = (np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like)
NUMPY.update({function: _on_data(function) for function in (*_TESTS, *_SHAPES)})


def _compared(test: np.ufunc) -> Callable[..., Any]:
    """The comparison as a method. It compares what the two hold, and its result is no Value."""

    def apply(self: "Value", other: Any) -> Any:
        if not isinstance(other, (Value, float, int, np.ndarray, np.generic, list, tuple)):
            return NotImplemented  # so that Python says that a Value does not equal None
        result = test(
            self._numbers,
            other._numbers if isinstance(other, Value) else as_data(other, self._numbers),
        )
        return result if np.ndim(result) else bool(result)

    return apply


def _is_descent(symbol: str, step: Any, gradient: Any) -> bool:
    """Whether `p -= step` or `p += step` is a step against the gradient, in every element of several."""
    sign = {"-=": 1.0, "+=": -1.0}.get(symbol)
    if (
        sign is None
        or not isinstance(gradient, np.ndarray)
        or gradient.size < 2
        or np.shape(step) != gradient.shape
    ):
        return False
    steepest = np.argmax(np.abs(gradient))
    if not gradient.flat[steepest]:
        return False
    rate = sign * np.asarray(step).flat[steepest] / gradient.flat[steepest]
    return bool(rate > 0 and np.allclose(step, sign * rate * gradient))


def _in_place(operation: Callable[..., Any], symbol: str) -> Callable[..., Any]:
    """`a += b` gives the name another Value, and never writes into the one that it had."""

    def apply(self: "Value", other: Any) -> Any:
        # What computes in this way adds up Values: `total = self.bias; total += weight * x`. A number on the right is
        # a step, `p -= lr * p.grad`, as in PyTorch: it would give another Value to the name `p`, and train nothing.
        # (While a model is evaluated nobody makes steps.)
        is_number = not self._computed and not isinstance(other, Value)
        if is_number and (
            _is_descent(symbol, other, self.grad) if is_recording() else not is_evaluating()
        ):
            name = self.name or "p"
            raise TypeError(
                f"{name} {symbol} ... would make {name} the name of another Value, and leave this leaf as it is: "
                f"to change its numbers, write {name}.data {symbol} ..."
            )
        return operation(self, other)

    return apply


class _Missing:
    """A method that NumPy's arrays have: not to have it is an `AttributeError` that says what to write.

    (A `__getattr__` would do it for all names, and make each access to any attribute slower.)
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, value: Any, owner: type) -> NoReturn:
        raise AttributeError(f"a Value has no attribute {self.name!r}: {instead_of(self.name)}")


class Value(Node):
    """A number (a Python float) or an array (float32 or float64) that records the operations it is used in.

    `Value(data)` copies. Integers and booleans become float64; anything else is a `TypeError`. A Value made this way is
    a leaf; one that an operation gave is computed. `grad` is None until `backward` has been called on an output, and
    then d output / d value, in the shape and dtype of `data`.

    >>> a, b = Value(2.0, name="a"), Value(-3.0, name="b")
    >>> c = a * b + a**2
    >>> c.backward()
    >>> c, a.grad, b.grad
    (Value(-2.0, grad=1.0), 1.0, 2.0)
    """

    __slots__ = ()

    def __init__(self, data: ArrayLike, name: str | None = None) -> None:
        if not isinstance(name, str | None):
            raise TypeError(f"expected a name that is text, but got a {type(name).__name__}")
        numbers = as_data(data)
        super().__init__(numbers if isinstance(numbers, float) else np.array(numbers))
        self.name = name

    backward = backward

    @property
    def data(self) -> Data:
        """The number or the array. A leaf's may be changed, in place or by assignment; a computed value's may not.

        Assignment copies, keeps the dtype, and requires the same shape (`ValueError`). What was recorded before keeps its
        numbers, and its gradients stay right. An array, or a view, that was taken before an assignment or an optimizer's
        step is the leaf's no longer: it keeps the old numbers.
        """
        if not self._operands:
            return writable(self)
        if isinstance(self._numbers, float):
            return self._numbers
        return self._numbers.view(ReadOnly)

    @data.setter
    def data(self, new: ArrayLike) -> None:
        if self._operands:
            raise AttributeError(COMPUTED)
        if new is self._numbers:  # after `value.data -= step`, which has already changed the array
            return
        numbers = as_data(new, self._numbers)
        if np.shape(numbers) != self.shape:
            raise ValueError(
                f"expected data of shape {self.shape}, but got shape {np.shape(numbers)}"
            )
        if not isinstance(self._numbers, float):
            copy = np.empty_like(self._numbers)  # of the same dtype and order in memory
            copy[...] = numbers
            numbers = copy
        replace(self, numbers)

    def item(self) -> float:
        """The number, if there is just one element; else `ValueError`."""
        if self.size != 1:
            raise ValueError(
                f"only a value of one element has an item; this one has shape {self.shape}"
            )
        return self._numbers if isinstance(self._numbers, float) else float(self._numbers.item())

    def detach(self) -> "Value":
        """A leaf with a copy of the data: what is computed from it leads no gradient back to here."""
        return type(self)(self._numbers)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes; () is a number."""
        return () if isinstance(self._numbers, float) else self._numbers.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return 1 if isinstance(self._numbers, float) else self._numbers.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64; float64 for a number."""
        return np.dtype(np.float64) if isinstance(self._numbers, float) else self._numbers.dtype

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The operands that this was computed from, in order: Values, and constants as given."""
        return self._operands

    @property
    def saved(self) -> tuple[Any, ...]:
        """The numbers that the operands held when this was computed, in order."""
        return self._saved

    @property
    def op(self) -> str | None:
        """The name of the operation that computed this value; None for a leaf."""
        return self._operation.name if self._operation and self._operands else None

    __add__, __radd__ = ops.add, lambda self, other: ops.add(other, self)
    __sub__, __rsub__ = ops.subtract, lambda self, other: ops.subtract(other, self)
    __mul__, __rmul__ = ops.multiply, lambda self, other: ops.multiply(other, self)
    __truediv__, __rtruediv__ = ops.divide, lambda self, other: ops.divide(other, self)
    __pow__, __rpow__ = ops.power, lambda self, other: ops.power(other, self)
    __matmul__, __rmatmul__ = ops.matmul, lambda self, other: ops.matmul(other, self)
    __iadd__, __isub__ = _in_place(ops.add, "+="), _in_place(ops.subtract, "-=")
    __imul__, __itruediv__ = _in_place(ops.multiply, "*="), _in_place(ops.divide, "/=")
    __ipow__, __imatmul__ = _in_place(ops.power, "**="), _in_place(ops.matmul, "@=")
    __neg__, __pos__, __abs__ = ops.negative, ops.positive, ops.absolute
    __getitem__ = ops.getitem

    def __setitem__(self, index: Any, new: Any) -> None:
        raise TypeError(
            "the elements of a Value can't be assigned: to change the numbers of a leaf, write value.data[index] = ...; "
            "to make a Value of other elements, np.where or np.stack"
        )

    abs, square, sqrt, sign = ops.absolute, ops.square, ops.sqrt, ops.sign
    exp, exp2, expm1, log, log2, log10, log1p = (
        ops.exp,
        ops.exp2,
        ops.expm1,
        ops.log,
        ops.log2,
        ops.log10,
        ops.log1p,
    )
    sin, cos, tan, sinh, cosh, tanh = ops.sin, ops.cos, ops.tan, ops.sinh, ops.cosh, ops.tanh
    arcsin, arccos, arctan, sigmoid, relu = (
        ops.arcsin,
        ops.arccos,
        ops.arctan,
        ops.sigmoid,
        ops.relu,
    )
    sum, mean, max, min, var, logsumexp = (
        ops.sum,
        ops.mean,
        ops.max,
        ops.min,
        ops.var,
        ops.logsumexp,
    )
    softmax, log_softmax, maximum, minimum, clip = (
        ops.softmax,
        ops.log_softmax,
        ops.maximum,
        ops.minimum,
        ops.clip,
    )
    broadcast_to, squeeze, flatten, ravel, astype = (
        ops.broadcast_to,
        ops.squeeze,
        ops.ravel,
        ops.ravel,
        ops.astype,
    )

    dot, std, prod, cumsum, take, repeat = (_Missing() for _ in range(6))
    argmax, argmin, argsort, any, all = (_Missing() for _ in range(5))
    swapaxes, diagonal, trace = (_Missing() for _ in range(3))

    def reshape(self, *shape: Any) -> Any:
        """The same elements in another shape: `reshape(2, 3)` or `reshape((2, 3))`; one length may be -1."""
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order, `transpose(1, 0, 2)` or `transpose((1, 0, 2))`; without any, in reverse."""
        return ops.transpose(
            self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        )

    T = property(ops.transpose, doc="The axes in reverse: a matrix transposed.")

    # `hash` is identity, so that Values can be keys, while == compares what they hold, as in PyTorch.
    __eq__, __ne__, __hash__ = _compared(np.equal), _compared(np.not_equal), object.__hash__
    __lt__, __le__, __gt__, __ge__ = map(
        _compared, (np.less, np.less_equal, np.greater, np.greater_equal)
    )

    # NumPy's functions, np.exp(value) and np.sum(value, axis=0), and its operators, array * value, come here.
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        if "out" in options:
            raise TypeError(
                f"numpy.{ufunc.__name__} can't write a Value into an array, which records nothing: "
                "leave out= out, and write array = array + value in place of array += value"
            )
        if method != "__call__" or options:
            how = f"with {', '.join(options)}" if options else f"as .{method}"
            raise TypeError(f"numpy.{ufunc.__name__} does not take Values {how}")
        return self.__array_function__(ufunc, (), operands, {})

    def __array_function__(self, function: Any, types: Any, operands: Any, options: Any) -> Any:
        if function in NUMPY:
            return NUMPY[function](*operands, **options)
        name = f"{getattr(function, '__module__', None) or 'numpy'}.{function.__name__}"
        raise TypeError(f"{name} is not supported for Values: {instead_of(name)}")

    # pandas leaves `series * value` and `frame * value` to the operand of the higher priority; its own are up to 4000.
    __pandas_priority__ = 5000

    # A Value never becomes a number or an array without being asked: that would lose its history, silently.
    def __array__(self, *options: Any, **more: Any) -> NDArray[Any]:
        raise TypeError(
            "a Value does not turn into an array by itself, since its gradient would be lost. Instead: "
            "np.stack([a, b]) joins Values; array @ value multiplies, and array.dot(value) does not; "
            "x.to_numpy() and x.toarray() make a DataFrame and a sparse matrix arrays to compute with; "
            "value.data is the numbers alone, where no derivative is wanted"
        )

    def __float__(self) -> float:
        raise TypeError(
            "a Value does not turn into a number by itself, since its gradient would be lost. For a function of it: "
            "np.sin(value), not math.sin(value); to put Values into an array: np.stack([a, b]); for the number "
            "alone, where no derivative is wanted: value.item()"
        )

    __complex__ = __float__

    def __index__(self) -> int:
        raise TypeError(
            "a Value is not an integer, even if its number is whole: indices, counts and sizes have no derivative, "
            "so they are plain integers, such as int(value.item())"
        )

    __int__ = __index__

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"the truth value of a Value of shape {self.shape} is ambiguous, unless it has one element: "
                "np.any(...) and np.all(...) of a comparison, such as value > 0, are True or False"
            )
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a Value that is a number has no length")
        return self.shape[0]

    def __iter__(self) -> "Iterator[Value]":
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        def shown(x: Data) -> str:
            return (
                np.array2string(x, separator=", ", prefix="Value(")
                if isinstance(x, np.ndarray)
                else repr(x)
            )

        dtype = ", dtype=float32" if self.dtype == np.float32 else ""
        named = f", name={self.name!r}" if self.name else ""
        grad = "" if self.grad is None else f", grad={shown(self.grad)}"
        return f"Value({shown(self._numbers)}{dtype}{named}{grad})"
