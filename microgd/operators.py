"""Value's operators and methods that are not operations: comparisons, `+=`, missing methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from microgd.advice import instead_of
from microgd.arrays import as_data
from microgd.backprop import Node
from microgd.recording import is_evaluating, is_recording


def comparison(test: np.ufunc) -> Callable[..., Any]:
    """A comparison as a method."""

    def apply(self: Node, other: Any) -> Any:
        """Compare the numbers. The result is True, False, or an array of these."""
        if not isinstance(other, (Node, float, int, np.ndarray, np.generic, list, tuple)):
            return NotImplemented  # so that Python says that a Value does not equal None
        numbers = other._numbers if isinstance(other, Node) else as_data(other, self._numbers)
        result = test(self._numbers, numbers)
        return result if np.ndim(result) else bool(result)

    return apply


def _is_descent(symbol: str, step: Any, gradient: Any) -> bool:
    """Whether `p -= step` or `p += step` moves each of several elements against the gradient.

    If so, `step` is the gradient times one number for all elements.
    """
    if symbol not in ("-=", "+="):
        return False
    if not isinstance(gradient, np.ndarray) or gradient.size < 2:
        return False
    if np.shape(step) != gradient.shape:
        return False
    steepest = np.argmax(np.abs(gradient))
    if gradient.flat[steepest] == 0:
        return False
    factor = np.asarray(step).flat[steepest] / gradient.flat[steepest]
    is_downhill = factor > 0 if symbol == "-=" else factor < 0
    return bool(is_downhill and np.allclose(step, factor * gradient))


def in_place(operation: Callable[..., Any], symbol: str) -> Callable[..., Any]:
    """`a += b` and the like: they rebind the name `a` to a new Value; the old one stays."""

    def apply(self: Node, other: Any) -> Any:
        """A new Value, which Python gives the name on the left to."""
        # Code that computes like this adds up Values: `total = self.bias; total += weight * x`. But
        # `p -= lr * p.grad` is meant as a step of training, as in PyTorch. Here it would rebind `p`
        # and train nothing, so it is refused. How is it recognized? There is a leaf on the left. On
        # the right is, inside `no_grad`, a number or an array; elsewhere, an array that is a
        # multiple of the leaf's gradient. (When `train.evaluate` runs a model, nobody makes steps.)
        if self._operation is None and not isinstance(other, Node):
            if is_recording():
                is_step = _is_descent(symbol, other, self.grad)
            else:
                is_step = not is_evaluating()
            if is_step:
                name = self.name or "p"
                raise TypeError(
                    f"{name} {symbol} ... would make {name} the name of another Value, and leave "
                    f"this leaf as it is: to change its numbers, write {name}.data {symbol} ..."
                )
        return operation(self, other)

    return apply


def reflected(operation: Callable[..., Any]) -> Callable[..., Any]:
    """The operator for a constant on the left, such as `2 * value`."""

    def apply(self: Node, other: Any) -> Any:
        """The operation, with the operands in their order."""
        return operation(other, self)

    return apply


class Missing:
    """A method that NumPy's arrays have and Values don't: asking for it says what to write instead.

    (A `__getattr__` would do this for all names, but would slow down each access to an attribute.)
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, value: Any, owner: type) -> NoReturn:
        raise AttributeError(f"a Value has no attribute {self.name!r}: {instead_of(self.name)}")
