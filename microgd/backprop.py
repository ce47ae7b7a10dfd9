"""Backpropagation: how a computation is recorded, and how the chain rule runs back through it.

Read this file first. Take c = a * b, then y = c + a, with a = 2 and b = 3:

    b = 3 ────► multiply ─► c = 6 ──► add ──► y = 8
    a = 2 ──┬──────┘                   │
            └──────────────────────────┘

How fast does y change when a changes? Each operation has *local derivatives*, those of its result
with respect to its operands: ∂c/∂a = b = 3, ∂c/∂b = a = 2, ∂y/∂c = 1, and directly ∂y/∂a = 1. The
chain rule multiplies the local derivatives along each path from y to a, and adds up the paths:
dy/da = 1 * 3 + 1 = 4.

Forward, each result remembers how it was computed: the operation, its operands, and the numbers
that they held. This record is the *computation graph*. Nothing is recorded of where a and b came
from: they are its *leaves*. The numbers are kept because local derivatives are made of them, and
because a leaf may hold other numbers by the time we come back.

Backward, we start at the end, so that whatever several paths share is computed only once. The
*gradient* of a value is d y / d value. Each value collects its gradient from all operations that
used it, and then passes it on: each of its operands gets the gradient times the local derivative.

    y has gradient 1         by definition: y moves exactly as y does
      passes to c            1 * ∂y/∂c = 1 * 1 = 1
      passes to a            1 * ∂y/∂a = 1 * 1 = 1
    c has gradient 1
      passes to a            1 * ∂c/∂a = 1 * b = 3
      passes to b            1 * ∂c/∂b = 1 * a = 2
    a has gradient 1 + 3 = 4
    b has gradient 2

The pass starts with 1 because nothing used the output: every product along a path begins with it.

For tensors a local derivative is a Jacobian: one number for each element of the result and each of
the operand. For the 784 * 10 weights of a digit network and the 32 * 10 results of a mini-batch
that is 7,840 × 320 numbers, and nine in ten of them are 0. Nobody builds it. The chain rule needs
only its product with the gradient, a *vector-Jacobian product*, which costs about as much as the
operation itself: for an elementwise exp it is g * out. So the derivative of an operation is given
as a *rule* for each operand: a function that takes the gradient of the result, the *upstream
gradient*, and returns the operand's share of it, in the shape of the operand.

One pass backward gives the derivative of one number with respect to every element of every leaf.
Going forward would take a pass for each of those elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from inspect import Parameter
from itertools import count, repeat
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray

from microgd.arrays import Data, as_data, as_plain_array, same
from microgd.memory import keep, separate
from microgd.recording import is_recording

Function: TypeAlias = Callable[..., Any]
Share: TypeAlias = tuple["Node", Any]  # an operand, and what it gets of a gradient


# ── The record ───────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Operation:
    """An operation: what it computes, and a derivative rule for each of its operands."""

    name: str
    forward: Function  # computes the result, from numbers and arrays
    rules: tuple[Any, ...]  # rules[i](g, out, *operands) is what operand i gets of g
    options: dict[str, Any]  # what else `forward` and rules take, such as an axis: the defaults
    shares: Function  # how gradients are passed on: `shares` below, or another form of it
    joint_rule: Any  # in place of rules, if there may be any number of operands
    module: str  # where it was made

    def __deepcopy__(self, memo: Any) -> Operation:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(
            "a computed Value cannot be pickled, since its record holds functions: "
            "pickle value.detach() or, of a model, model.state_dict()"
        )


OPERATIONS: dict[str, Operation] = {}  # all operations, by name
NUMPY: dict[Any, Function] = {}  # how np.tanh(value) finds `tanh`: NumPy's function -> ours

NO_OPTIONS: dict[str, Any] = {}
_next_number = count(1).__next__


class Node:
    """A value in the computation graph: its numbers, and a record of how they were computed.

    A leaf has no record. A constant, such as the 2 in 2 * x, is not a node at all.

    A node points only backward, to its operands. So there are no reference cycles, and Python frees
    the whole graph, however deep, when the last reference to its output goes. With slots in place
    of a dictionary, a million nodes of numbers take at most 280 MB.
    """

    __slots__ = (
        "__weakref__",
        "_numbers",
        "_operands",
        "_operation",
        "_options",
        "_order",
        "_saved",
        "grad",
        "name",
    )

    def __init__(
        self,
        numbers: Data,
        operation: Operation | None = None,
        operands: tuple[Any, ...] = (),
        saved: tuple[Any, ...] = (),
        options: dict[str, Any] = NO_OPTIONS,
    ) -> None:
        self._numbers = numbers  # a Python float, or an array of float32 or float64
        self._operation = operation  # what computed it
        self._operands = operands  # nodes, and constants as they were given; a leaf has none
        self._saved = saved  # the numbers that the operands held then
        self._options = options
        self._order = _next_number()  # a result's is higher than those of its operands
        self.grad: Data | None = None
        self.name: str | None = None

    @property
    def _computed(self) -> bool:
        """Whether an operation computed it, recorded or not. If not, `Value(...)` made it."""
        return self._operation is not None


# ── Forward: compute, and record ─────────────────────────────────────────────────────────────────
def compute(
    operation: Operation, operands: tuple[Any, ...], options: dict[str, Any], like: Node
) -> Any:
    """Do an operation, and record it: `a * b` is `compute(multiply, (a, b), {}, a)`.

    An operand that is not a node is a constant. It is recorded too, but no gradient is ever
    computed for it. Constants take the dtype of `like`, which is one of the operands.
    """
    saved = numbers_of(operands, operation, like)
    result = operation.forward(*saved, **options)
    return record(type(like), result, operation, operands, saved, options)


def record(
    node_class: type[Any],
    result: Any,
    operation: Operation,
    operands: tuple[Any, ...],
    saved: tuple[Any, ...],
    options: dict[str, Any] = NO_OPTIONS,
) -> Any:
    """A node that holds the result, and remembers how it was computed."""
    if type(result) is not float:
        result = as_data(result)  # NumPy's own numbers become Python floats
        if type(result) is ndarray:
            result.setflags(False)  # type: ignore[call-arg]  # write=False, but faster
    if not is_recording():
        # Within `no_grad` the result is a leaf. To use a network, rather than to train it, one
        # needs no way back, and then nothing has to stay in memory for it.
        operation, operands, saved, options = UNRECORDED, (), (), NO_OPTIONS
    node = _new(node_class)
    _initialize(node, result, operation, operands, saved, options)
    return node


# ── Backward: the chain rule ─────────────────────────────────────────────────────────────────────
def reverse_pass(
    output: Node, gradient: Any, create_graph: bool = False
) -> Iterator[tuple[Node, Any]]:
    """Yield `output` and each node that it depends on, once, with its gradient; leaves last.

    A node may pass its gradient on only when all operations that used it have added their shares.
    If it went earlier, every later share would have to travel all the way down again: 60 doublings
    y = y + y are 61 nodes, but 2**60 paths.

    Which node is ready? Operations record their results in order, so a node is used only by
    younger ones. Among the nodes that wait with a gradient, the youngest gets no more shares: it
    goes next. Nothing is recursive here, so a graph may be a million nodes deep.
    """
    check_recorded(output)
    gradients = {output: gradient}  # the sum of the shares that each node has got so far
    waiting: list[tuple[int, int, Node]] = []  # nodes with operands: a heap, the youngest on top
    if output._operands:
        waiting.append((-output._order, id(output), output))
    while waiting:
        node: Any = heappop(waiting)[-1]
        gradient = gradients.pop(node)
        yield node, gradient
        for operand, share in node._operation.shares(node, gradient, create_graph):
            if operand in gradients:
                # It was used twice, so it moves the output in two ways at the same time: the total
                # change is their sum.
                gradients[operand] = gradients[operand] + share
            else:
                gradients[operand] = share
                if operand._operands:
                    # (The id decides between a node and a copy of it, which have the same order.)
                    heappush(waiting, (-operand._order, id(operand), operand))
    yield from gradients.items()  # only leaves are left


def shares(node: Node, gradient: Any, create_graph: bool = False) -> Iterator[Share]:
    """What each operand gets of a node's gradient: the gradient times the local derivative."""
    operation: Any = node._operation
    result, operands = arguments_of_rules(node, create_graph)
    options = node._options.values()
    for operand, rule, numbers in zip(node._operands, operation.rules, node._saved, strict=True):
        if isinstance(operand, Node):  # a constant gets nothing
            share = rule(gradient, result, *operands, *options)
            yield operand, unbroadcast(share, numbers, operation, create_graph)


def arguments_of_rules(node: Node, create_graph: bool) -> tuple[Any, tuple[Any, ...]]:
    """A node and its operands as rules get them: the numbers that were recorded.

    With `create_graph` rules get the nodes themselves. Then everything that rules compute is
    recorded in turn, so the gradients can be differentiated again.
    """
    if create_graph:
        return node, tuple(map(unchanged, node._operands, node._saved))
    return node._numbers, node._saved


def backward(output: Node, gradient: Data | None = None) -> None:
    """Store d output / d value in the `grad` of each value that `output` was computed from.

    A leaf's `grad` accumulates. A second call, for this output or another, adds to it, because the
    gradient of a sum of losses is the sum of their gradients. So set it to None (`zero_grad`)
    before each step of training. Otherwise the step follows the sum of all gradients so far. A
    computed value's `grad` is set afresh: it shows what the last pass found.

    `output` has one element. If it has more, `gradient` has to say how some later number depends on
    them: d number / d output, in the shape of `output`. Otherwise it is a `ValueError`. If there is
    an error, every `grad` stays as it was.
    """
    start = upstream_gradient(output, gradient)  # 1, if none is given
    found = list(reverse_pass(output, start))  # nothing is stored until all is computed
    totals = [
        total if node._operands or node.grad is None else gradient_so_far(node) + total
        for node, total in found
    ]
    for (node, _), total in zip(found, separate(totals)):  # noqa: B905 (`strict` takes time)
        node.grad = total


# That was backpropagation. The rest of this file adds nothing to the idea. It makes it robust, and
# then fast.


# ── Robust: what an operation may be given ───────────────────────────────────────────────────────
# What computed a node while recording was off.
UNRECORDED = Operation("no_grad", lambda: None, (), NO_OPTIONS, shares, None, __name__)

_REQUIRED = Parameter.empty  # stands for the default of an option that has none


def function_of_any(operation: Operation) -> Function:
    """The operation as a function: operands first, then options, by position or by name."""
    without_rule = [i for i, rule in enumerate(operation.rules) if rule is None]

    def apply(*arguments: Any, **named: Any) -> Any:
        like = None
        for x in (*arguments, *named.values()) if named else arguments:
            if isinstance(x, Node) and (like is None or type(like._numbers) is float):
                like = x  # an array, if there is one
        if like is None:  # numbers and arrays alone: there is nothing to record
            return operation.forward(*arguments, **named)
        arity = len(operation.rules) or len(arguments)
        operands = arguments[:arity]
        options = operation.options
        if options or named or len(arguments) > arity:
            options = all_options(operation, operands, arguments[arity:], named)
        if len(operands) < arity:
            raise TypeError(
                f"{operation.name} takes {arity} operands, all by position, but got {len(operands)}"
            )
        for i in without_rule:
            # The condition of `where`, for example, gets no gradient, so it becomes a constant.
            if isinstance(operands[i], Node):
                operands = (*operands[:i], keep(operands[i]), *operands[i + 1 :])
        try:
            return compute(operation, operands, options, like)
        except OverflowError as error:  # an axis, for example, that has more than 64 bits
            raise ValueError(f"{operation.name}: {error}") from None

    return apply


def all_options(
    operation: Operation,
    operands: tuple[Any, ...],
    by_position: tuple[Any, ...],
    by_name: dict[str, Any],
) -> dict[str, Any]:
    """Each option that the operation has, by name: as it was given, or else its default."""
    given_by_position = dict(zip(operation.options, by_position, strict=False))
    options = {**operation.options, **given_by_position, **by_name}
    is_missing = False
    for option in options.values():
        if has_node(option):
            raise TypeError(_advice_on_a_node_as_an_option(operation))
        is_missing = is_missing or option is _REQUIRED
    is_unknown = len(by_position) > len(operation.options) or len(options) > len(operation.options)
    is_given_twice = not by_name.keys().isdisjoint(given_by_position)
    if is_missing or is_unknown or is_given_twice:
        operation.forward(*operands, *by_position, **by_name)  # Python says what is wrong
    return options


def has_node(option: Any) -> bool:
    """Whether it is a node, or a tuple, such as an index, with a node in it."""
    if type(option) is tuple:
        return any(isinstance(x, Node) for x in option)
    return isinstance(option, Node)


def _advice_on_a_node_as_an_option(operation: Operation) -> str:
    if operation.module.startswith("microgd."):
        return (
            f"{operation.name} takes Values by position, as operands. An index, an axis or a shape "
            "is a plain integer, such as int(value.item()); bounds are constants (np.maximum and "
            "np.minimum take Values)"
        )
    return (
        f"{operation.name} has a derivative rule for {len(operation.rules)} of its arguments, and "
        "none for another that is a Value: @operation takes a rule for each operand"
    )


def numbers_of(operands: tuple[Any, ...], operation: Operation, like: Node) -> tuple[Any, ...]:
    """What the operands hold. Integers among the constants take the dtype of `like`."""
    saved: list[Any] = []
    # (A joint rule is a rule for each operand, and `strict` would take more time than the loop.)
    for x, rule in zip(operands, operation.rules or repeat(operation.joint_rule)):  # noqa: B905
        if isinstance(x, Node):
            saved.append(x._numbers if type(x._numbers) is float else keep(x))
        elif rule is not None:
            saved.append(as_data(x, like._numbers))
        elif isinstance(x, ndarray) and type(x) is not ndarray:
            saved.append(as_plain_array(x))  # a condition with a mask, for example, is refused
        else:
            saved.append(x)
    return tuple(saved)


# ── Robust: what a reverse pass may begin with ───────────────────────────────────────────────────
def check_recorded(output: Node) -> None:
    """A `ValueError` if no gradient leads back, since the output was computed within `no_grad`."""
    if output._operation is UNRECORDED:
        raise ValueError(
            "nothing was recorded: this value was computed within no_grad, so no gradient "
            "leads back from it"
        )


def upstream_gradient(output: Node, gradient: Any = None) -> Data:
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


# ── Robust: a share fits its operand ─────────────────────────────────────────────────────────────
def unbroadcast(share: Any, numbers: Any, operation: Operation, create_graph: bool = False) -> Any:
    """The share in the shape and the dtype of the operand's numbers.

    If an operand was broadcast, one element of it was used in several places. Each place is a use,
    so its gradients are summed.
    """
    if type(share) is type(numbers) and (
        type(share) is float or (share.shape == numbers.shape and share.dtype is numbers.dtype)
    ):
        return share  # it fits already, as most do
    shape = () if isinstance(numbers, float) else numbers.shape
    if not create_graph or not isinstance(share, Node):
        try:
            share = np.asarray(as_data(share, numbers))
        except TypeError as error:
            raise TypeError(f"a rule of {operation.name} gave no gradient: {error}") from None
    if not share.shape and shape:
        share = share * np.ones(shape, numbers.dtype)  # one number, the same for all elements
    if share.shape != shape:
        share = _summed_to(shape, share, operation)
    if isinstance(numbers, float):
        return share if isinstance(share, Node) else float(share)
    return share if share.dtype == numbers.dtype else share.astype(numbers.dtype)


def _summed_to(shape: tuple[int, ...], share: Any, operation: Operation) -> Any:
    """The share, summed over the axes that broadcasting has added or stretched."""
    added = share.ndim - len(shape)
    if added >= 0:
        stretched = (i for i, length in enumerate(shape, added) if length == 1)
        total = share.sum(axis=(*range(added), *stretched), keepdims=True)
        if total.shape[added:] == shape:
            return total.reshape(shape)
    raise ValueError(
        f"a rule of {operation.name} gave a gradient of shape {share.shape} for an operand of "
        f"shape {shape}"
    )


def unchanged(operand: Any, saved: Any) -> Any:
    """The operand, if it still holds the numbers that were recorded; if it is a constant, those."""
    if not isinstance(operand, Node):
        return saved
    if not same(operand._numbers, saved):
        raise RuntimeError(
            f"{operand.name or 'a leaf'} has changed since it was used: compute the output again, "
            "then differentiate"
        )
    return operand


# ── Robust: one rule for any number of operands, as concatenate has it ───────────────────────────
def shares_by_joint_rule(node: Node, gradient: Any, create_graph: bool = False) -> Iterator[Share]:
    """`shares`, if one rule gives the gradients of all operands, in order."""
    operation: Any = node._operation
    result, operands = arguments_of_rules(node, create_graph)
    gradients = operation.joint_rule(gradient, result, *operands, **node._options)
    if len(gradients) != len(operands):
        raise ValueError(
            f"the rule of {operation.name} gave {len(gradients)} gradients for "
            f"{len(operands)} operands"
        )
    for operand, share, numbers in zip(node._operands, gradients, node._saved, strict=True):
        if isinstance(operand, Node):
            yield operand, unbroadcast(share, numbers, operation, create_graph)


# ── Fast: operations of one and of two operands, and no options ──────────────────────────────────
# Most nodes of a graph of numbers are made by such operations. The functions below do for them what
# `function_of_any`, `compute` and `shares` do for all, without loops and without options.
_new = object.__new__
_initialize = Node.__init__


def function_of_one(operation: Operation) -> Function:
    """`function_of_any` for one operand."""
    forward = operation.forward

    def apply(x: Any, /) -> Any:
        if not isinstance(x, Node):
            return forward(as_data(x))
        saved = x._numbers if type(x._numbers) is float else keep(x)
        return record(type(x), forward(saved), operation, (x,), (saved,))

    return apply


def function_of_two(operation: Operation) -> Function:
    """`function_of_any` for two operands."""
    forward = operation.forward

    def apply(x: Any, y: Any, /) -> Any:
        like = x
        if isinstance(x, Node):
            saved_x = x._numbers if type(x._numbers) is float else keep(x)
            if isinstance(y, Node):
                saved_y = y._numbers if type(y._numbers) is float else keep(y)
            else:
                saved_y = as_data(y, saved_x)
        elif isinstance(y, Node):
            like = y
            saved_y = y._numbers if type(y._numbers) is float else keep(y)
            saved_x = as_data(x, saved_y)
        else:
            return forward(as_data(x), as_data(y))
        result = forward(saved_x, saved_y)
        return record(type(like), result, operation, (x, y), (saved_x, saved_y))

    return apply


def shares_of_one(node: Node, gradient: Any, create_graph: bool = False) -> Iterable[Share]:
    """`shares` for one operand, which is a node, or nothing would have been recorded."""
    if create_graph:
        return shares(node, gradient, True)
    operation: Any = node._operation
    saved = node._saved[0]
    share = operation.rules[0](gradient, node._numbers, saved)
    if type(share) is not float or type(saved) is not float:
        share = unbroadcast(share, saved, operation)
    return ((node._operands[0], share),)


def shares_of_two(node: Node, gradient: Any, create_graph: bool = False) -> Iterable[Share]:
    """`shares` for two operands."""
    if create_graph:
        return shares(node, gradient, True)
    operation: Any = node._operation
    x, y = node._operands
    saved_x, saved_y = node._saved
    result = node._numbers
    if not isinstance(y, Node):
        share_x = operation.rules[0](gradient, result, saved_x, saved_y)
        if type(share_x) is not float or type(saved_x) is not float:
            share_x = unbroadcast(share_x, saved_x, operation)
        return ((x, share_x),)
    share_y = operation.rules[1](gradient, result, saved_x, saved_y)
    if type(share_y) is not float or type(saved_y) is not float:
        share_y = unbroadcast(share_y, saved_y, operation)
    if not isinstance(x, Node):
        return ((y, share_y),)
    share_x = operation.rules[0](gradient, result, saved_x, saved_y)
    if type(share_x) is not float or type(saved_x) is not float:
        share_x = unbroadcast(share_x, saved_x, operation)
    return ((x, share_x), (y, share_y))
