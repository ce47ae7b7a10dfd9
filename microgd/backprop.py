"""Backpropagation: how a computation is recorded, and how the chain rule runs back through it.

Read this file first. Take c = a * b, and then y = c + a, with a = 2 and b = 3:

    b = 3 ────► multiply ─► c = 6 ──► add ──► y = 8
    a = 2 ──┬──────┘                   │
            └──────────────────────────┘

How fast does y change when a changes? Each operation has *local derivatives*, those of its result
with respect to its operands: ∂c/∂a = b = 3, ∂c/∂b = a = 2, ∂y/∂c = 1, and directly ∂y/∂a = 1. The
chain rule multiplies the local derivatives along each path from a to y, and adds up the paths:
dy/da = 3 * 1 + 1 = 4.

Forward, each result remembers how it was computed: the operation, its operands, and the numbers
that they held. This record is the *computation graph*. No record is kept of where a and b came
from: they are the *leaves* of the graph. Why keep the numbers? Because local derivatives are
computed from them, and because a leaf may hold other numbers by the time we come back.

Backward, each value collects its *gradient*: how fast y changes when that value changes. It gets a
*contribution* from every operation that used it. The sum of all contributions is its gradient. Only
when it is complete, the value contributes to each of its own operands: its gradient times the local
derivative. In this way the part that several paths have in common is computed only once.

    y has gradient 1             y changes exactly as fast as y does: dy/dy = 1
      contributes to c           1 * ∂y/∂c = 1 * 1 = 1
      contributes to a           1 * ∂y/∂a = 1 * 1 = 1
    c has gradient 1
      contributes to a           1 * ∂c/∂a = 1 * b = 3
      contributes to b           1 * ∂c/∂b = 1 * a = 2
    a has gradient 1 + 3 = 4
    b has gradient 2

We start at y, the output. Nothing was computed from it, so it waits for no contributions, and we
know its gradient: dy/dy = 1. Every product along a path begins with this 1.

For an array a local derivative is a Jacobian: one number for each pair of an element of the result
and an element of the operand. Take the matrix product of 32 images of 784 pixels and 784 × 10
weights. With respect to the weights its Jacobian has 320 × 7,840 numbers, and nine in ten are 0,
because a weight affects only one of the 10 results for each image. Nobody builds it. The chain rule
needs only the product of the gradient and the Jacobian, a *vector-Jacobian product*, and that costs
about as much as the operation itself: for exp it is the gradient times the result, element by
element. So an operation comes with a *rule* for each operand: a function that takes the gradient of
the result, which is called the *upstream gradient*, or g, and returns the contribution to the
operand's gradient.

One pass backward finds the derivatives of one number with respect to all elements of all leaves. We
could also carry derivatives forward, from one element of a leaf to everything that depends on it.
But that would take a pass for each element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, repeat
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray

from microgd.arrays import Data, as_data, as_plain_array, same
from microgd.memory import keep, separate
from microgd.recording import is_recording

Function: TypeAlias = Callable[..., Any]


# In the story, helpers that are not defined above the line "That was backpropagation" check and
# convert what comes and goes. For two floats they change nothing.


# ── The record ───────────────────────────────────────────────────────────────────────────────────
class Node:
    """A value in the computation graph: its numbers, and a record of how they were computed.

    A leaf is a node without operands: nothing is recorded of where it came from. A constant, such
    as the 2 in 2 * x, is not a node at all.

    A node points only backward, to its operands. So there are no reference cycles: when the last
    reference to an output goes, Python at once frees all of its graph that nothing else refers to,
    even a million nodes in a row. (Until then you can call `backward` again.) With slots in place
    of a dictionary, a million nodes that hold one float each take at most 280 MB.
    """

    # fmt: off
    __slots__ = ("_operation", "_operands", "_saved", "_numbers", "_order",  # noqa: RUF023
                 "grad", "name", "__weakref__")
    # fmt: on

    def __init__(
        self,
        numbers: Data,
        operation: Operation | None = None,
        operands: tuple[Any, ...] = (),
        saved: tuple[Any, ...] = (),
    ) -> None:
        self._numbers = numbers  # a Python float, or an array of float32 or float64
        self._operation = operation  # what computed them
        self._operands = operands  # nodes, and constants as they were given; a leaf has none
        self._saved = saved  # the numbers that the operands held then
        self._order = next_order()  # 1, 2, 3, …: a result has a higher one than its operands
        self.grad: Data | None = None
        self.name: str | None = None


next_order = count(1).__next__
# `record` makes results directly, with these two, because `Value(...)` would check and copy.
_new = object.__new__
_initialize = Node.__init__


# ── An operation: forward, compute and record; backward, contribute ──────────────────────────────
@dataclass(frozen=True, eq=False)
class Operation:
    """An operation: what it computes, and a rule for each of its operands."""

    name: str
    forward: Function  # computes the result from numbers and arrays; its options are bound into it
    rules: tuple[Any, ...]  # rules[i](g, out, *operands, *options) contributes to operand i
    options: dict[str, Any] = field(default_factory=dict)  # by name: for example an axis

    def compute(self, operands: tuple[Any, ...]) -> Any:
        """Do the operation, and record it.

        The row `multiply` of the table in operations.py makes an Operation, and the function that
        a * b calls. In principle that function is `compute((a, b))`. In fact operations of one and
        of two operands take a shortcut with the same effect, here and in `contributions`: see the
        end of kinds.py.
        """
        leading = leading_node(operands)  # the result gets its class
        saved = numbers_of(operands, self.rules, leading)
        result = self.forward(*saved)
        return record(type(leading), result, self, operands, saved)

    def contributions(
        self, node: Node, gradient: Any, create_graph: bool = False
    ) -> Iterable[tuple[Node, Any]]:
        """What a result contributes to the gradients of its operands, given its own gradient.

        (`create_graph` is for second derivatives: see `rule_arguments`.)
        """
        result, arguments = rule_arguments(node, create_graph)
        options = self.options.values()
        for operand, rule, saved in zip(node._operands, self.rules, node._saved):
            if isinstance(operand, Node):  # nothing is computed for a constant
                contribution = rule(gradient, result, *arguments, *options)
                # If the operand was broadcast, each of its elements was used in several places. The
                # contributions of all these uses are summed, so that they get the operand's shape.
                yield operand, unbroadcast(contribution, saved, self.name, create_graph)


def record(
    value_class: type[Any],
    result: Any,
    operation: Operation,
    operands: tuple[Any, ...],
    saved: tuple[Any, ...],
) -> Any:
    """A Value that holds the result and, unless recording is off, how it was computed."""
    if type(result) is not float:
        result = read_only(result)  # records of later operations will share this array
    if not is_recording():
        # Within `with no_grad():` a result has no operands, so it is a leaf, and `backward` on it
        # raises an error. This is for using a network without training it: then no record is
        # needed, and none takes up memory.
        operation = UNRECORDED
        operands = saved = ()
    value = _new(value_class)
    _initialize(value, result, operation, operands, saved)
    return value


def rule_arguments(node: Node, create_graph: bool) -> tuple[Any, tuple[Any, ...]]:
    """A result and its operands as rules get them: the numbers that were recorded.

    With `create_graph` rules get nodes in place of their numbers. Then everything they compute is
    recorded in turn, and can be differentiated again. This is how `microgd.gradients(...,
    create_graph=True)` and `microgd.grad(microgd.grad(f))` find second derivatives.
    """
    if create_graph:
        return node, tuple(map(require_unchanged, node._operands, node._saved))
    return node._numbers, node._saved


# ── The reverse pass: the chain rule ─────────────────────────────────────────────────────────────
def reverse_pass(
    output: Node, gradient: Any, create_graph: bool = False
) -> Iterator[tuple[Node, Any]]:
    """Yield `output` and each node that it depends on, once, with its gradient; leaves last.

    A node may pass its gradient on only when it has the contributions of all its uses. If it did so
    earlier, every later contribution would have to travel all the way down again: 60 doublings
    y = y + y make 61 nodes, but 2**60 paths.

    A node waits from its first contribution until its turn. Which of them has all it can get? Its
    contributions come from results that it was used for, and these are younger: they have a higher
    `_order`. So take the youngest node that waits. All younger ones have had their turn, and no
    other can turn up: what is not yet found is reached through the operands of a waiting node, and
    is older. Nothing here is recursive, so there is no limit to the depth of a graph: a million
    nodes in a row are fine. Leaves come last, since they have nothing to pass on.
    """
    check_recorded(output)
    sums = {output: gradient}  # for each node, the sum of its contributions so far
    waiting: list[tuple[int, Node]] = []  # a heap ordered by -_order: the youngest comes out first
    if output._operands:
        waiting.append((-output._order, output))
    while waiting:
        node: Any = heappop(waiting)[1]
        total = sums.pop(node)
        yield node, total
        for operand, contribution in node._operation.contributions(node, total, create_graph):
            if operand in sums:
                # An operand that was used more than once affects the output along several paths,
                # and their effects add up. (Not by +=: a rule may have returned an array that is
                # also somebody else's.)
                sums[operand] = sums[operand] + contribution
            else:
                sums[operand] = contribution
                if operand._operands:  # it is not a leaf
                    heappush(waiting, (-operand._order, operand))
    yield from sums.items()  # only leaves are left


def backward(output: Node, gradient: Data | None = None) -> None:
    """Compute d output / d value for `output` and all it was computed from, and put it into `grad`.

    A leaf's `grad` accumulates. A second call, for this output or another, adds to it, because the
    gradient of a sum of losses is the sum of their gradients. So in a training loop, set it to None
    before each call, as `optimizer.zero_grad()` does. Otherwise a step follows the sum of all
    gradients so far. A computed value's `grad` is only for you to look at: it shows what the last
    call found.

    `output` normally has one element. If it has more, pass `gradient`, in the shape of `output`:
    the gradient, with respect to `output`, of the number that you compute from it later. Otherwise
    `backward` raises a `ValueError`. After an error every `grad` is as it was.
    """
    start = initial_gradient(output, gradient)  # 1, if none is given
    nodes = []
    grads = []  # nothing is stored until all is computed
    for node, grad in reverse_pass(output, start):
        if node.grad is not None and not node._operands:  # a leaf that has a gradient already
            grad = gradient_so_far(node) + grad
        nodes.append(node)
        grads.append(grad)
    # Rules may return the same array for several operands. Each grad gets an array of its own, so
    # that writing into one does not change another.
    for node, grad in zip(nodes, separate(grads)):
        node.grad = grad


# That was backpropagation. The rest of this file makes it robust.


# ── Robust: what an operation takes and returns ──────────────────────────────────────────────────
def leading_node(operands: tuple[Any, ...]) -> Any:
    """The first node that holds an array, or else the first node.

    The result gets its class, and integers among the constants get its dtype.
    """
    leading = None
    for x in operands:
        if isinstance(x, Node):
            if type(x._numbers) is not float:
                return x
            if leading is None:
                leading = x
    return leading


def numbers_of(operands: tuple[Any, ...], rules: tuple[Any, ...], leading: Node) -> tuple[Any, ...]:
    """What the operands hold.

    Integers among the constants take the dtype of the leading node. A constant for which there is
    no rule, such as a condition, stays as it is.
    """
    saved: list[Any] = []
    # (An operation with a joint rule has no list of rules.)
    for x, rule in zip(operands, rules or repeat("joint")):
        if isinstance(x, Node):
            saved.append(x._numbers if type(x._numbers) is float else keep(x))
        elif rule is not None:
            saved.append(as_data(x, leading._numbers))
        elif isinstance(x, ndarray) and type(x) is not ndarray:
            saved.append(as_plain_array(x))  # a condition with a mask, for example, is refused
        else:
            saved.append(x)
    return tuple(saved)


def read_only(result: Any) -> Data:
    """The result as a Python float, or as an array that nobody can write into from now on."""
    numbers = as_data(result)
    if type(numbers) is ndarray:
        numbers.setflags(False)  # type: ignore[call-arg]  # write=False
    return numbers


# ── Robust: what a reverse pass may begin with ───────────────────────────────────────────────────
class _Unrecorded(Operation):
    """Marks a value that was computed while recording was off. It is never run."""

    def __reduce__(self) -> str:
        return "UNRECORDED"  # copies and pickles refer to it by this name


UNRECORDED = _Unrecorded("no_grad", forward=lambda: None, rules=())


def check_recorded(output: Node) -> None:
    """A `ValueError` if no gradient leads back, because nothing was recorded."""
    if output._operation is UNRECORDED:
        raise ValueError(
            "nothing was recorded: this value was computed within no_grad, so no gradient "
            "leads back from it"
        )


def initial_gradient(output: Node, gradient: Any = None) -> Data:
    """The gradient that a reverse pass begins with: 1, or the one that the caller gives."""
    numbers = output._numbers
    if gradient is None:
        if isinstance(numbers, float):
            return 1.0
        if numbers.size != 1:
            raise ValueError(
                f"a value of shape {numbers.shape} has no gradient by itself: sum it, or give "
                "backward a gradient"
            )
        return np.ones_like(numbers)
    given = as_data(gradient, numbers)
    if np.shape(given) != np.shape(numbers):
        raise ValueError(
            f"expected a gradient of shape {np.shape(numbers)}, as the value's, but got shape "
            f"{np.shape(given)}"
        )
    if isinstance(numbers, float):
        return given
    return np.array(given, numbers.dtype)


def gradient_so_far(leaf: Node) -> Data:
    """A leaf's `grad`, which is not None, as a number or an array like its data.

    `p.grad = 0`, as one writes for micrograd, stands for an array of zeros.
    """
    numbers = leaf._numbers
    grad = as_data(leaf.grad, numbers)
    if isinstance(numbers, float) and isinstance(grad, float):
        return grad
    if isinstance(grad, float) and grad == 0:
        return np.zeros_like(numbers)
    if np.shape(grad) != np.shape(numbers):
        raise ValueError(
            f"expected a gradient of shape {np.shape(numbers)}, as the value's, but got shape "
            f"{np.shape(grad)}, since grad was set by hand: set it to None, and backward starts a "
            "new sum"
        )
    return np.array(grad, numbers.dtype)  # type: ignore[union-attr]


# ── Robust: a contribution fits its operand ──────────────────────────────────────────────────────
def unbroadcast(contribution: Any, numbers: Any, name: str, create_graph: bool = False) -> Any:
    """The contribution in the shape and the dtype of the operand's numbers.

    If it can't be made to fit, a `TypeError` or a `ValueError` names the operation.
    """
    if (
        type(contribution) is type(numbers) is not float
        and contribution.shape == numbers.shape
        and contribution.dtype is numbers.dtype
    ):
        return contribution  # it fits already, as most do
    shape = () if isinstance(numbers, float) else numbers.shape
    if not (create_graph and isinstance(contribution, Node)):
        try:
            contribution = as_data(contribution, numbers)
        except TypeError as error:
            raise TypeError(f"a rule of {name} gave no gradient: {error}") from None
    if isinstance(contribution, float) or not contribution.shape:
        if not shape:
            return contribution
        contribution = contribution * np.ones(shape, numbers.dtype)  # the same for all elements
    if contribution.shape != shape:
        contribution = _summed_to(shape, contribution, name)
    if isinstance(numbers, float):
        return contribution if isinstance(contribution, Node) else contribution.item()
    if contribution.dtype == numbers.dtype:
        return contribution
    return contribution.astype(numbers.dtype)


def _summed_to(shape: tuple[int, ...], contribution: Any, name: str) -> Any:
    """The contribution, summed over the axes that broadcasting added, or stretched from 1.

    From shape (2, 3, 4) to (3, 1), these are axis 0, which was added, and axis 2, which was
    stretched.
    """
    added = contribution.ndim - len(shape)
    if added >= 0:
        stretched = [axis for axis, length in enumerate(shape, added) if length == 1]
        if not stretched:
            total = contribution.sum(axis=tuple(range(added)))
        else:
            total = contribution.sum(axis=(*range(added), *stretched), keepdims=True)
            total = total.reshape(total.shape[added:])
        if total.shape == shape:
            return total
    raise ValueError(
        f"a rule of {name} gave a gradient of shape {contribution.shape} for an operand of "
        f"shape {shape}"
    )


def require_unchanged(operand: Any, saved: Any) -> Any:
    """The operand; or, if it is a constant, the numbers that were recorded.

    A leaf that holds other numbers by now is a `RuntimeError`.
    """
    if not isinstance(operand, Node):
        return saved
    if not same(operand._numbers, saved):
        raise RuntimeError(
            f"{operand.name or 'a leaf'} has changed since it was used: compute the output again, "
            "then differentiate"
        )
    return operand
