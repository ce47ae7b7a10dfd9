"""`Value`: a number or an array that remembers how it was computed.

Read this file third. It has nothing new about derivatives. A Value is a node of the computation
graph (backprop.py) with Python's operators and NumPy's functions attached to it, and these are
operations (operations.py): `a * b` calls `multiply(a, b)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd import numpy_functions as numpys
from microgd import operations as ops
from microgd.advice import instead_of
from microgd.arrays import COMPUTED, Data, ReadOnly, as_data, shown
from microgd.backprop import Node, backward, next_order
from microgd.memory import replace, writable
from microgd.operators import Missing, comparison, in_place, reflected
from microgd.registry import NUMPY


class Value(Node):
    """A number or an array that remembers how it was computed.

    A number is held as a Python float, an array as float32 or float64. `Value(data)` copies. A list
    of numbers, and an array of integers or booleans, becomes an array of float64. Anything else,
    such as complex numbers, float16 or text, is a `TypeError`. A Value made in this way is a leaf.

    `grad` is None until `backward` is called on an output. Then it is d output / d value, in the
    shape and dtype of `data`.

    >>> a, b = Value(2.0, name="a"), Value(-3.0, name="b")
    >>> c = a * b + a**2
    >>> c.backward()
    >>> c, a.grad, b.grad
    (Value(-2.0, grad=1.0), 1.0, 2.0)
    """

    __slots__ = ()

    def __init__(self, data: ArrayLike, name: str | None = None) -> None:
        if not isinstance(name, str | None):
            raise TypeError(f"expected a name that is text, but got {shown(name)}")
        numbers = as_data(data)
        super().__init__(numbers if isinstance(numbers, float) else numbers.copy("K"))
        self.name = name

    backward = backward  # so that `y.backward()` is `backward(y)`

    @property
    def data(self) -> Data:
        """The number, or the array. You may change a leaf's, in place or by assignment.

        - Assignment copies, keeps the dtype, and requires the same shape (`ValueError`).
        - Whatever was recorded before keeps its numbers, so its gradients stay right. (Second
          derivatives with respect to a leaf that has changed are a `RuntimeError`.)
        - An array or a view that you took before an assignment, or before an optimizer's step, is
          no longer the leaf's: it keeps the old numbers.
        - The array of a computed value is read-only.

        memory.py says who may write into which array, and how that is done.
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

    @property
    def _computed(self) -> bool:
        """True if an operation computed it, even in `no_grad`; False if `Value(...)` made it."""
        return self._operation is not None

    def item(self) -> float:
        """The number, if there is exactly one element; otherwise a `ValueError`."""
        if self.size != 1:
            raise ValueError(
                f"only a value of one element has an item; this one has shape {self.shape}"
            )
        return self._numbers if isinstance(self._numbers, float) else self._numbers.item()

    def detach(self) -> Value:
        """A leaf with a copy of the data: no gradient comes back from it to this Value."""
        return type(self)(self._numbers)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes; () for a number."""
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
        return self._saved[: len(self._operands)]  # (behind them there may be a residual)

    @property
    def op(self) -> str | None:
        """The name of the operation that computed this; None for a leaf."""
        if self._operation is None or not self._operands:
            return None
        return self._operation.name

    # ── Python's operators ───────────────────────────────────────────────────────────────────────
    __add__ = ops.add
    __radd__ = reflected(ops.add)
    __iadd__ = in_place(ops.add, "+=")
    __sub__ = ops.subtract
    __rsub__ = reflected(ops.subtract)
    __isub__ = in_place(ops.subtract, "-=")
    __mul__ = ops.multiply
    __rmul__ = reflected(ops.multiply)
    __imul__ = in_place(ops.multiply, "*=")
    __truediv__ = ops.divide
    __rtruediv__ = reflected(ops.divide)
    __itruediv__ = in_place(ops.divide, "/=")
    __pow__ = ops.power
    __rpow__ = reflected(ops.power)
    __ipow__ = in_place(ops.power, "**=")
    __matmul__ = ops.matmul
    __rmatmul__ = reflected(ops.matmul)
    __imatmul__ = in_place(ops.matmul, "@=")
    __neg__ = ops.negative
    __pos__ = ops.positive
    __abs__ = ops.absolute
    __getitem__ = ops.getitem

    def __setitem__(self, index: Any, new: Any) -> None:
        raise TypeError(
            "the elements of a Value can't be assigned: to change the numbers of a leaf, write "
            "value.data[index] = ...; to make a Value of other elements, np.where or np.stack"
        )

    # == compares numbers, as in PyTorch. `hash` goes by identity, so that Values can be keys: their
    # hashes all differ, so a dictionary never asks whether two of them are equal.
    __eq__ = comparison(np.equal)
    __ne__ = comparison(np.not_equal)
    __lt__ = comparison(np.less)
    __le__ = comparison(np.less_equal)
    __gt__ = comparison(np.greater)
    __ge__ = comparison(np.greater_equal)
    __hash__ = object.__hash__

    # ── Methods: operations, under the names they have in NumPy or PyTorch ───────────────────────
    abs = ops.absolute
    square = ops.square
    sqrt = ops.sqrt
    sign = ops.sign
    exp = ops.exp
    exp2 = ops.exp2
    expm1 = ops.expm1
    log = ops.log
    log2 = ops.log2
    log10 = ops.log10
    log1p = ops.log1p
    sin = ops.sin
    cos = ops.cos
    tan = ops.tan
    arcsin = ops.arcsin
    arccos = ops.arccos
    arctan = ops.arctan
    sinh = ops.sinh
    cosh = ops.cosh
    tanh = ops.tanh
    sigmoid = ops.sigmoid
    relu = ops.relu
    maximum = ops.maximum
    minimum = ops.minimum
    clip = ops.clip
    sum = ops.sum
    mean = ops.mean
    max = ops.max
    min = ops.min
    var = ops.var
    logsumexp = ops.logsumexp
    softmax = ops.softmax
    log_softmax = ops.log_softmax
    broadcast_to = ops.broadcast_to
    squeeze = ops.squeeze
    ravel = ops.ravel
    flatten = ops.ravel
    astype = ops.astype
    round = numpys.round
    dot = numpys.dot
    diagonal = numpys.diagonal
    trace = numpys.trace
    std = numpys.std
    prod = numpys.prod
    cumsum = numpys.cumsum
    swapaxes = numpys.swapaxes
    repeat = numpys.repeat
    take = numpys.take
    argmax = numpys.argmax
    argmin = numpys.argmin
    argsort = numpys.argsort
    any = numpys.any
    all = numpys.all

    def reshape(self, *shape: Any) -> Any:
        """The same elements in another shape: `reshape(2, 3)` or `reshape((2, 3))`.

        One length may be -1: it follows from the others.
        """
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order, or in reverse if none are given.

        As in NumPy: `transpose(1, 0, 2)` or `transpose((1, 0, 2))`.
        """
        if len(axes) == 1:
            (order,) = axes
            if not isinstance(order, int):
                return ops.transpose(self, order)
        return ops.transpose(self, axes or None)

    T = property(ops.transpose, doc="The axes in reverse: a matrix transposed.")

    # NumPy's arrays have these, too. A Value says what to write instead.
    copy = Missing()
    cumprod = Missing()
    nonzero = Missing()
    sort = Missing()

    # ── NumPy's functions ────────────────────────────────────────────────────────────────────────
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        """np.exp(value) and array * value come here."""
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
        """np.sum(value, axis=0) comes here."""
        if function in NUMPY:
            return NUMPY[function](*operands, **options)
        module = getattr(function, "__module__", None) or "numpy"
        name = f"{module}.{function.__name__}"
        raise TypeError(f"{name} is not supported for Values: {instead_of(name)}")

    # pandas leaves `series * value` and `frame * value` to the operand of the higher priority. Its
    # own priorities go up to 4000.
    __pandas_priority__ = 5000

    # ── A Value never turns into a number or an array by itself: its history would be lost ───────
    def __array__(self, *options: Any, **more: Any) -> NDArray[Any]:
        """A `TypeError` that says what to write instead."""
        raise TypeError(
            "a Value does not turn into an array by itself, since its gradient would be lost. "
            "Instead: np.stack([a, b]) joins Values; array @ value multiplies, and "
            "array.dot(value) does not; x.to_numpy() and x.toarray() turn a DataFrame and a sparse "
            "matrix into arrays to compute with; where no derivative is needed, value.data is the "
            "numbers alone"
        )

    def __float__(self) -> float:
        raise TypeError(
            "a Value does not turn into a number by itself, since its gradient would be lost. For "
            "a function of it: np.sin(value), not math.sin(value); to put Values into an array: "
            "np.stack([a, b]); where no derivative is needed, value.item() is the number alone"
        )

    __complex__ = __float__

    def __index__(self) -> int:
        raise TypeError(
            "a Value is not an integer, even if its number is whole: indices, counts and sizes "
            "have no derivative, so they are plain integers, such as int(value.item())"
        )

    __int__ = __index__

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"the truth value of a Value of shape {self.shape} is ambiguous, unless it has one "
                "element: np.any(...) and np.all(...) of a comparison, such as value > 0, are True "
                "or False"
            )
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a Value that is a number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Value]:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __setstate__(self, state: tuple[dict[str, Any] | None, dict[str, Any]]) -> None:
        # A copy, or a Value from a pickle, gets an order of its own, as every new Value does. Its
        # operands are copied before it, so they are older.
        attributes, slots = state
        for name, x in slots.items():
            setattr(self, name, x)
        self._order = next_order()
        if attributes:  # a subclass may have some
            self.__dict__.update(attributes)

    def __repr__(self) -> str:
        dtype = ", dtype=float32" if self.dtype == np.float32 else ""
        name = f", name={self.name!r}" if self.name else ""
        grad = "" if self.grad is None else f", grad={_written(self.grad)}"
        return f"Value({_written(self._numbers)}{dtype}{name}{grad})"


def _written(x: Data) -> str:
    if isinstance(x, np.ndarray):
        return np.array2string(x, separator=", ", prefix="Value(")
    return repr(x)
