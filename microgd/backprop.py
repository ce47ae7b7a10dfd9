"""Backpropagation: how a computation is recorded, and how the chain rule runs back through it.

Read this file first. Take c = a * b, then y = c + a, with a = 2 and b = 3:

    b = 3 ────► multiply ─► c = 6 ──► add ──► y = 8
    a = 2 ──┬──────┘                   │
            └──────────────────────────┘

How fast does y change when a changes? Each operation has *local derivatives*, those of its result
with respect to its operands: ∂c/∂a = b = 3, ∂c/∂b = a = 2, ∂y/∂c = 1, and directly ∂y/∂a = 1. The
chain rule multiplies the local derivatives along each path from y to a, and adds up the paths:
dy/da = 1 * 3 + 1 = 4.

Forward, each result remembers how it was computed: the operation, its operands, and the numbers that
they held. This record is the *computation graph*. Nothing is recorded of where a and b came from:
they are its *leaves*. The numbers are kept because local derivatives are made of them, and because
a leaf may hold other numbers by the time we come back.

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
    """An operation, and the derivative rule for each of its operands."""

    name: str
    forward: Function  # computes the result from numbers and arrays
    rules: tuple[Any, ...]  # rules[i](g, out, *operands, *options) is what operand i gets of g
    options: dict[str, Any]  # what else it takes, such as an axis, with the defaults
    shares: Function  # passes on a result's gradient: `shares` below, or another form of it
    joint_rule: Any  # in place of rules, if there may be any number of operands
    module: str  # where it was made

    def __deepcopy__(self, memo: Any) -> "Operation":
        return self

    def __reduce__(self) -> Any:
        raise TypeError(
            "a computed Value cannot be pickled, since its record holds functions: "
            "pickle value.detach() or, of a model, model.state_dict()"
        )


OPERATIONS: dict[str, Operation] = {}  # all operations, by name
NUMPY: dict[
    Any, Function
] = {}  # NumPy's function -> the operation: how np.tanh(value) finds `tanh`

NO_OPTIONS: dict[str, Any] = {}
_next_number = count(1).__next__


class Node:
    """A value in the computation graph: its numbers, and a record of how they were computed.

    A node points only backward, to its operands. So there are no reference cycles, and Python frees
    the whole graph, however deep, when the last reference to its output goes. Slots take less
    memory than a dictionary would: a million nodes of numbers take 260 MB.
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
        self._order = _next_number()  # an operand's is lower than its result's
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

    An operand that is not a node is a constant. It is recorded as well, but nothing is ever computed
    for its sake. It takes the dtype of `like`, an operand that is a node.
    """
    saved = numbers_of(operands, operation, like)
    result = operation.forward(*saved, **options)
    return record(type(like), result, operation, operands, saved, options)


def record(
    kind: type[Any],
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
            result.setflags(False)  # type: ignore[call-arg]  # write=False: others rely on it now
    # Within `no_grad`, nothing is remembered: one uses a network rather than trains it, and needs
    # no way back. Its operands need not be kept in memory, then.
    if not is_recording():
        operation, operands, saved, options = UNRECORDED, (), (), NO_OPTIONS
    node = _new(kind)
    _initialize(node, result, operation, operands, saved, options)
    return node


# ── Backward: the chain rule ─────────────────────────────────────────────────────────────────────
def backward(output: Node, gradient: Data | None = None) -> None:
    """Store d output / d value in the `grad` of each value that `output` was computed from.

    A leaf's `grad` accumulates. A second call, for this output or another, adds to it, because the
    gradient of a sum of losses is the sum of their gradients. So set it to None (`zero_grad`)
    before each step of training, or the step follows the sum of all gradients since the beginning.
    A computed value's `grad` is set afresh: it shows what the last pass found.

    `output` has one element. If it has more, say with `gradient` how some later number depends on
    them: d number / d output, in the shape of `output`. Otherwise it is a `ValueError`. If there is
    an error, every `grad` stays as it was.
    """
    start = upstream_gradient(output, gradient)
    passed = list(reverse_pass(output, start))  # nothing is stored until all is computed
    totals = []
    for node, g in passed:
        is_first = node._operands or node.grad is None
        totals.append(g if is_first else gradient_so_far(node) + g)
    for (node, _), total in zip(passed, separate(totals)):  # noqa: B905 (`strict` takes time)
        node.grad = total


def reverse_pass(
    output: Node, gradient: Any, create_graph: bool = False
) -> Iterator[tuple[Node, Any]]:
    """Yield `output` and each node that it depends on, once, with its gradient; leaves last.

    A node passes its gradient on when the shares of all its uses have arrived. If it went earlier,
    every later share would have to travel all the way down again: 60 doublings y = y + y are 61
    nodes, but 2**60 paths. When have they all arrived? A node is used only by younger ones. So of
    all nodes that wait with a gradient, the youngest can get no more: it goes next. Nothing here is
    recursive, so a graph may be a million nodes deep.
    """
    if output._operation is UNRECORDED:
        raise ValueError(
            "nothing was recorded: this value was computed within no_grad, so no gradient "
            "leads back from it"
        )
    gradients = {output: gradient}  # what each node has so far
    waiting: list[tuple[int, int, Node]] = []  # computed nodes: a heap, the youngest first
    if output._operands:
        waiting.append((-output._order, id(output), output))
    while waiting:
        node: Any = heappop(waiting)[-1]
        gradient = gradients.pop(node)
        yield node, gradient
        for operand, share in node._operation.shares(node, gradient, create_graph):
            if operand in gradients:
                # An operand that is used twice moves the output in two ways at the same time: the
                # total change is their sum.
                gradients[operand] = gradients[operand] + share
            else:
                gradients[operand] = share
                if (
                    operand._operands
                ):  # (Only a copy of a node has the same order: then the id decides.)
                    heappush(waiting, (-operand._order, id(operand), operand))
    yield from gradients.items()  # what is left are the leaves


def shares(node: Node, gradient: Any, create_graph: bool = False) -> Iterator[Share]:
    """What each operand gets of a node's gradient: the gradient times the local derivative."""
    operation: Any = node._operation
    result, operands = arguments_of_rules(node, create_graph)
    for i, operand in enumerate(node._operands):
        if isinstance(operand, Node):
            share = operation.rules[i](gradient, result, *operands, *node._options.values())
            yield operand, unbroadcast(share, node._saved[i], operation, create_graph)


def arguments_of_rules(node: Node, create_graph: bool) -> tuple[Any, tuple[Any, ...]]:
    """A result and its operands, as rules get them: the numbers that were recorded.

    With `create_graph` rules get the nodes themselves. Then everything that the rules compute is
    recorded in its turn, so that the gradients can be differentiated again.
    """
    if not create_graph:
        return node._numbers, node._saved
    return node, tuple(map(unchanged, node._operands, node._saved))


# That was backpropagation. What follows adds nothing to the idea: it makes it robust, then fast.


# ── Robust: what operands may be ─────────────────────────────────────────────────────────────────
UNRECORDED = Operation("no_grad", lambda: None, (), {}, shares, None, __name__)
"""What a node was computed by if recording was off. It is a leaf then: nothing leads back from it."""

_REQUIRED = Parameter.empty  # in place of an option's default, if there is none


def function_of_any(operation: Operation) -> Function:
    """The operation as a function of its operands, and after them options, by position or by name."""
    rules_are_missing = None in operation.rules

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
        if rules_are_missing:
            # The condition of `where`, for example, has no derivative: no gradient ever goes there.
            operands = tuple(
                keep(x) if rule is None and isinstance(x, Node) else x
                for x, rule in zip(operands, operation.rules, strict=True)
            )
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
    names = list(operation.options)
    positioned = dict(zip(names, by_position, strict=False))
    options = {**operation.options, **positioned, **by_name}
    is_missing = False
    for option in options.values():
        if has_node(option):
            raise TypeError(_advice_on_a_node_as_an_option(operation))
        is_missing = is_missing or option is _REQUIRED
    too_many = len(by_position) > len(names) or len(options) > len(names)
    if too_many or is_missing or not by_name.keys().isdisjoint(positioned):
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
    """What the operands hold. Constants are converted: integers to the dtype of `like`."""
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
    so its gradients add up: they are summed over the axes that broadcasting added or stretched.
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
        added = share.ndim - len(shape)
        stretched = (i for i, length in enumerate(shape, added) if length == 1)
        total = share.sum(axis=(*range(added), *stretched), keepdims=True)
        if added < 0 or total.shape[added:] != shape:
            raise ValueError(
                f"a rule of {operation.name} gave a gradient of shape {share.shape} for an operand "
                f"of shape {shape}"
            )
        share = total.reshape(shape)
    if isinstance(numbers, float):
        return share if isinstance(share, Node) else float(share)
    return share if share.dtype == numbers.dtype else share.astype(numbers.dtype)


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
    found = operation.joint_rule(gradient, result, *operands, **node._options)
    for operand, share, numbers in zip(node._operands, found, node._saved, strict=True):
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
