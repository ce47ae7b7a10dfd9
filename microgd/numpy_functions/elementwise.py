"""NumPy's elementwise functions that networks seldom need, with their derivative rules."""

from __future__ import annotations

import numpy as np

from microgd.backprop import NUMPY
from microgd.operations import Operand, divide, elementwise, where
from microgd.registry import operation

__all__ = ["arctan2", "cbrt", "ceil", "floor", "hypot", "reciprocal", "rint", "round", "trunc"]


def _arctan2_rule(g: Operand, leg: Operand, y: Operand, x: Operand) -> Operand:
    """g * leg / (x² + y²), where the leg is x or y.

    It is divided by the length of (x, y) twice, because the square of that length may overflow. At
    (0, 0), where no direction is defined, the slope is 0, as in PyTorch.
    """
    length = hypot(x, y)
    is_zero = length == 0
    over_length = where(is_zero, 0.0, divide(1.0, where(is_zero, 1.0, length)))
    return g * (leg * over_length) * over_length


# fmt: off
arctan2 = elementwise(np.arctan2, lambda g, out, y, x: _arctan2_rule(g, x, y, x),
                                  lambda g, out, y, x: -_arctan2_rule(g, y, y, x))
# At (0, 0) the surface that hypot describes, a cone, has its tip: the slope is nan, as in PyTorch.
# (`np.linalg.norm` takes 0 there.)
hypot   = elementwise(np.hypot,   lambda g, out, x, y: g * divide(x, out),
                                  lambda g, out, x, y: g * divide(y, out))
cbrt    = elementwise(np.cbrt,    lambda g, out, x: divide(divide(g, 3.0 * out), out))
# These are flat between their steps, so the slope is 0. At a step it is taken to be 0, too, as in
# PyTorch: gradient descent cannot see the steps.
floor   = elementwise(np.floor,   lambda g, out, x: 0.0)
ceil    = elementwise(np.ceil,    lambda g, out, x: 0.0)
trunc   = elementwise(np.trunc,   lambda g, out, x: 0.0)
rint    = elementwise(np.rint,    lambda g, out, x: 0.0)
# fmt: on


@operation(lambda g, out, x, decimals: 0.0)
def round(x: Operand, decimals: int = 0) -> Operand:
    """x rounded to so many decimals; halves go to the even neighbour. The slope is 0."""
    return np.round(x, decimals)


def reciprocal(x: Operand) -> Operand:
    """1 / x, elementwise."""
    return divide(1.0, x)


NUMPY[np.around] = round
NUMPY[np.reciprocal] = reciprocal
