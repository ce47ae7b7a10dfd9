"""Who may write into which array. The whole rule stands here, and nowhere else.

Copying every array that is recorded would cost more than most operations do, so arrays are shared
wherever that is safe. These are the rules:

1. A leaf's array is yours to change: `leaf.data` gives it to you, and `leaf.data -= 0.1` writes
   into it. (`writable`)
2. A record keeps the numbers that its operands held, and they must not change. It shares the
   leaf's array, which is read-only from then on. The next time you ask for `leaf.data`, the leaf
   gets a copy to go on with, and the record keeps the old array. (`keep`, `writable`)
3. You may already have the array, or a view of it, when it is recorded. You go on sharing it with
   the leaf, so the record keeps a copy of its own. (`keep`)
4. A computed value's array belongs to the record, and is always read-only.
5. `leaf.data = new` and an optimizer's step give the leaf another array. The old one becomes
   read-only: code that still holds it gets an error, instead of writing to no effect. (`replace`)
6. An optimizer keeps the array that its step has replaced. A later step writes the next numbers
   into it, but only if nobody else holds it by then: no record, no view, and not you. If in doubt,
   the step takes a new array. (`Spare`)
7. A stored gradient is yours to change, too: no `grad` shares memory with another, or with data.
   (`separate`)
8. Constants are neither copied nor protected. If you write into a constant array between forward
   and backward, the gradients may be those of the new numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.arrays import Data

# Only some interpreters count references. Elsewhere `id` stands in. It does not count, and
# `_references_of_a_sole_owner` finds that out: then every array is treated as shared.
getrefcount = getattr(sys, "getrefcount", id)


def _references(node: Any) -> int:
    """The interpreter's count of references to a node's array, when it is asked in this way."""
    count: int = getrefcount(node._numbers)
    return count


def _references_of_a_sole_owner() -> float:
    """What `_references` says of an array that only its node holds.

    The number depends on the interpreter and on the path of calls, so it is measured along the path
    that `keep` and `Spare` take. If another owner, or a view, does not show in the count, the count
    is of no use: then the answer is a number below all counts, so that every array seems to be
    shared.
    """

    class Owner:
        __slots__ = ("_numbers",)
        _numbers: Any

    node = Owner()
    node._numbers = np.zeros(1)
    alone = _references(node)
    other = node._numbers
    with_another = _references(node)
    del other
    view = node._numbers[:]
    with_a_view = _references(node)
    del view
    alone_again = _references(node)
    is_reliable = [with_another, with_a_view, alone_again] == [alone + 1, alone + 1, alone]
    return alone if is_reliable else -np.inf


_SOLE_OWNER = _references_of_a_sole_owner()


def keep(node: Any) -> Any:
    """The numbers that a node holds, for a record to keep."""
    if type(node._numbers) is float or node._operands:
        return node._numbers  # a float never changes, and nor does the array of a computed value
    if _references(node) > _SOLE_OWNER and node._numbers.flags.writeable:
        copy = node._numbers.copy("K")  # in the same order in memory, so that it rounds the same
        copy.setflags(write=False)
        return copy
    node._numbers.setflags(False)  # write=False; by position it takes half the time
    return node._numbers


def writable(leaf: Any) -> Data:
    """The numbers of a leaf, for its user to read and to write into."""
    numbers: Any = leaf._numbers
    if type(numbers) is ndarray and not numbers.flags.writeable:  # a record keeps this array
        leaf._numbers = numbers.copy("K")
    data: Data = leaf._numbers
    return data


def replace(leaf: Any, numbers: Data) -> Data:
    """Give a leaf other numbers, and return the old. Nobody else may hold the new array."""
    old: Data = leaf._numbers
    if type(old) is ndarray:
        old.setflags(False)  # type: ignore[call-arg]  # write=False
    leaf._numbers = numbers
    return old


class Spare:
    """Holds the array that an optimizer's last step has taken from a leaf: it may be used again.

    Two arrays take turns. The numbers of one step go into one of them, while the graph of the loss
    still needs the other.
    """

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: Any = None

    def room(self, leaf: Any) -> Any:
        """An array like the leaf's, for its next numbers. Its contents are undefined."""
        if (
            self._numbers is None
            or _references(self) > _SOLE_OWNER
            or self._numbers.base is not None  # somebody else may hold the base
        ):
            return np.empty_like(leaf._numbers)
        self._numbers.setflags(True)  # write=True
        return self._numbers

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        _, slots = state
        return None, slots | {"_numbers": None}  # a copy of an optimizer begins without the array


def separate(gradients: Iterable[Any]) -> list[Any]:
    """The gradients, each array in memory of its own.

    A rule may pass the upstream gradient on as it is, or as a view, and may return an operand. Such
    arrays are copied here, where gradients are stored, and not at every step of the reverse pass.
    """
    memory_taken = set()
    separated = []
    for gradient in gradients:
        if type(gradient) is ndarray:
            base = gradient.base
            memory = id(gradient if base is None else base)
            if memory in memory_taken or not gradient.flags.writeable:
                gradient = gradient.copy()
                memory = id(gradient)
            memory_taken.add(memory)
        separated.append(gradient)
    return separated
