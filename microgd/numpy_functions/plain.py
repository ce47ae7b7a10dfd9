"""NumPy's functions whose results have no derivative: they give plain numbers and arrays.

These return booleans, positions, counts, shapes, or new arrays of constants. No gradient could flow
back through them, so they work on the numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from microgd.backprop import Node
from microgd.registry import NUMPY

__all__ = ["PLAIN", "numbers_in", "on_data"]


def on_data(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, wrapped so that it gets the numbers of its operands."""

    @wraps(function)
    def apply(*operands: Any, **options: Any) -> Any:
        plain_operands = map(numbers_in, operands)
        plain_options = {name: numbers_in(option) for name, option in options.items()}
        return function(*plain_operands, **plain_options)

    apply.__module__ = __name__
    apply.__doc__ = f"As `numpy.{function.__name__}`, of the numbers; the result is not recorded."
    return apply


def numbers_in(x: Any) -> Any:
    """The numbers that a Value holds; anything else as it is."""
    return x._numbers if isinstance(x, Node) else x


_COMPARISONS = (
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.allclose,
    np.isclose,
    np.array_equal,
)
_TESTS = (np.isfinite, np.isinf, np.isnan, np.any, np.all)
_LOGIC = (np.logical_and, np.logical_or, np.logical_xor, np.logical_not)
_POSITIONS = (np.argmax, np.argmin, np.argsort, np.nonzero, np.count_nonzero)
_SHAPES = (np.shape, np.ndim, np.size)
_NEW_ARRAYS = (np.zeros_like, np.ones_like, np.empty_like, np.full_like)

PLAIN = (*_COMPARISONS, *_TESTS, *_LOGIC, *_POSITIONS, *_SHAPES, *_NEW_ARRAYS)
for _function in PLAIN:
    NUMPY[_function] = on_data(_function)

# These are also methods of Values.
all = NUMPY[np.all]
any = NUMPY[np.any]
argmax = NUMPY[np.argmax]
argmin = NUMPY[np.argmin]
argsort = NUMPY[np.argsort]
