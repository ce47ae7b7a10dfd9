"""NumPy's elementwise functions that networks seldom need, with their derivative rules."""

from __future__ import annotations

import numpy as np

from microgd.operations import Operand, divide, where
from microgd.registry import NUMPY, operation

__all__ = ["arctan2", "cbrt", "ceil", "floor", "hypot", "reciprocal", "rint", "round", "trunc"]


def _arctan2_rule(g: Operand, y: Operand, x: Operand, of_y: bool) -> Operand:
    """g * x / (x² + y²), the contribution to y; or without `of_y`, g * y / (x² + y²).

    The squares may overflow. So this divides by the longer leg first, and then by 1 + ratio², where
    the ratio is that of the shorter leg to the longer one. At (0, 0), where no direction is
    defined, the slope is 0, as in PyTorch.
    """
    is_x_longer = abs(x) >= abs(y)
    longer = where(is_x_longer, x, y)
    shorter = where(is_x_longer, y, x)
    is_zero = (longer == 0) & (shorter == 0)  # (if one of them is nan, the longer may be 0)
    longer = where(is_zero, 1.0, longer)
    ratio = divide(shorter, longer)
    is_leg_longer = is_x_longer == of_y
    leg_over_longer = where(is_leg_longer, 1.0, ratio)  # (as a quotient, inf / inf would be nan)
    slope = divide(divide(g * leg_over_longer, longer), 1.0 + ratio * ratio)
    return where(is_zero, 0.0, slope)


# fmt: off
arctan2 = operation(lambda g, out, y, x: _arctan2_rule(g, y, x, True),
                    lambda g, out, y, x: -_arctan2_rule(g, y, x, False))(np.arctan2)
# At (0, 0) the surface that hypot describes, a cone, has its tip: the slope is nan, as in PyTorch.
# (`np.linalg.norm` takes 0 there.)
hypot   = operation(lambda g, out, x, y: g * divide(x, out),
                    lambda g, out, x, y: g * divide(y, out))(np.hypot)
# In two steps: for a quotient by out² the second derivative at 0 and at infinity would be nan.
cbrt    = operation(lambda g, out, x: divide(divide(g, 3.0 * out), out))(np.cbrt)
# These are flat between their steps, so the slope is 0. At a step it is taken to be 0, too, as in
# PyTorch. So gradient descent gets no signal through them.
floor   = operation(lambda g, out, x: 0.0)(np.floor)
ceil    = operation(lambda g, out, x: 0.0)(np.ceil)
trunc   = operation(lambda g, out, x: 0.0)(np.trunc)
rint    = operation(lambda g, out, x: 0.0)(np.rint)
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
