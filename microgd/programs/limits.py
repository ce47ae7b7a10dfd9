"""When a program is compared with its function, and when there are no more programs of it."""

from __future__ import annotations

MOST_PROGRAMS = 8  # of one function, for arguments of the same shapes
MOST_SHAPES = 64  # for which there are programs at the same time
MOST_DIFFERENCES = 3  # between a program's results and the function's
MOST_FAILURES = 3  # of a program, where the function itself succeeds
FAULTS = (TypeError, NameError, AttributeError)  # of a program: no numbers lead to them
DIFFERENCE = "its results depend on something besides its arguments that can't be watched"
_COMPARED = {2, 3, *(10**n for n in range(1, 19))}  # calls that are compared with the function's


def is_compared(call: int) -> bool:
    """Whether this call of a program, counted from 1, is compared with the function itself."""
    return call in _COMPARED


def failure(error: Exception) -> str:
    """Why a program is not used any more that fails where the function does not."""
    return f"its program fails: {type(error).__name__}: {error}"
