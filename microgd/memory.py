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
6. A stored gradient is yours to change, too: no `grad` shares memory with another, or with data.
   (`separate`)
7. Constants are neither copied nor protected. If you write into a constant array between forward
   and backward, the gradients may be those of the new numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.arrays import Data

# Only some interpreters count references. For others any function will do here: what it returns is
# no count, and `_references_of_a_sole_owner` notices.
getrefcount = getattr(sys, "getrefcount", id)


def _references(node: Any) -> int:
    """The interpreter's count of references to a node's array, when it is asked in this way."""
    count: int = getrefcount(node._numbers)
    return count


def _references_of_a_sole_owner() -> float:
    """What `_references` says of an array that only its node holds.

    The number depends on the interpreter and on the path of calls, so it is measured along the path
    that `keep` takes. If another owner, or a view, does not show in the count, the count is of no
    use: then the answer is a number below all counts, so that every array seems to be shared.
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


def replace(leaf: Any, numbers: Data) -> None:
    """Give a leaf other numbers. An array must be new: nobody else may hold it."""
    old: Any = leaf._numbers
    if type(old) is ndarray:
        old.setflags(False)  # type: ignore[call-arg]  # write=False
    leaf._numbers = numbers


def separate(gradients: Iterable[Any]) -> list[Any]:
    """The gradients, each array in memory of its own.

    A rule may pass the upstream gradient on as it is, or as a view, and may return an operand. Such
    arrays are copied here, where gradients are stored, and not at every step of the reverse pass.
    """
    memory_taken = set()
    separated = []
    for gradient in gradients:
        own = gradient
        if type(own) is ndarray:
            memory = own if own.base is None else own.base
            if id(memory) in memory_taken or not own.flags.writeable:
                own = memory = own.copy()
            memory_taken.add(id(memory))
        separated.append(own)
    return separated
