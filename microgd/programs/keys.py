"""What all calls have in common that one program serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.backprop import Node
from microgd.programs.trace import is_number
from microgd.recording import is_evaluating, is_recording
from microgd.value import Value


def key_of_call(arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """Shapes and dtypes of the arguments, and everything in them that is no number.

    Besides, which of them are the same Value, or the same array: a program for f(a, a) is not one
    for f(a, b).
    """
    seen: dict[int, int] = {}
    keys = [key_of(x, seen) for x in arguments]
    for name, x in options.items():
        keys.append((name, key_of(x, seen)))
    return tuple(keys), is_recording(), is_evaluating()


def key_of(x: Any, seen: dict[int, int]) -> Any:
    """What all arguments that one program takes have in common with this one."""
    cls = type(x)
    if cls is ndarray:
        return x.shape, x.dtype, x.strides, seen.setdefault(id(x), len(seen))
    if cls is float:
        return cls
    if isinstance(x, Node):
        numbers: Any = x._numbers
        cls = getattr(cls, "_own_class", cls)  # another thread may be tracing it
        place = seen.setdefault(id(x), len(seen))
        who = x.name if cls is Value else id(x)  # a subclass may have attributes
        if type(numbers) is float:
            return who, bool(x._operands), place
        return who, bool(x._operands), place, numbers.shape, numbers.dtype, numbers.strides
    if cls is list or cls is tuple:
        return cls, tuple([key_of(each, seen) for each in x])
    if cls is dict:
        return cls, tuple([(name, key_of(each, seen)) for name, each in x.items()])
    if is_number(x):
        return cls
    if isinstance(x, complex | np.generic):
        return cls, repr(x)
    if isinstance(x, int | str | bytes | None | np.dtype):
        return cls, x
    return cls, id(x)
