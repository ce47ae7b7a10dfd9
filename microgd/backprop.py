"""How an operation is recorded, and how the chain rule runs back through the record. Read this file first.

Take c = a * b, then y = c + a, with a = 2 and b = 3:

    b = 3 ────► multiply ─► c = 6 ──► add ──► y = 8
    a = 2 ──┬──────┘                   │
            └──────────────────────────┘

Each result remembers the operation that made it, its operands, and the numbers they had. That is the whole record: the
*computation graph*. Its *leaves*, a and b, were made by no operation; derivatives with respect to them are what one wants.

How fast does y change when a does? Every operation has *local derivatives*: ∂c/∂a = b = 3, ∂y/∂c = 1, and directly
∂y/∂a = 1. The chain rule multiplies them along each path from y to a, and adds up the paths: dy/da = 1 * 3 + 1 = 4.
Backpropagation computes this sum from the end, so that what paths share is computed once: each value collects its
*gradient*, d output / d value, from all that used it, and passes on to each operand that times the local derivative.

For tensors a local derivative is a Jacobian, one number for each element of the result and each of the operand: for
the 784 * 10 weights of a digit network and the 32 * 10 results of a mini-batch, 320 × 7,840 numbers, nine in ten of
them 0. Nobody builds it. The chain rule needs only its product with the gradient that arrives, a *vector-Jacobian
product*, which costs about as much as the operation itself: for an elementwise exp it is g * out. So a derivative
*rule* takes the upstream gradient g, in the shape of the result, and returns the operand's gradient, in the shape of the
operand. One pass backwards gives the gradient of one output for every element of every leaf; forwards it would take a
pass for each of those elements.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from heapq import heappop, heappush
from itertools import count, repeat
from sys import getrefcount
from types import BuiltinFunctionType
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray

from microgd.arrays import Data, as_data, as_plain_array, same
from microgd.recording import is_recording

Function: TypeAlias = Callable[..., Any]


class Node:
    """A value in the computation graph: what it holds and, unless it is a leaf, what it was made by and from.

    A node points only backwards, to its operands. So there are no cycles, and Python's reference counting frees a graph
    with the last name for its output, at any depth. Slots, for operands too, keep a million nodes of numbers at 170 MB.
    """

    __slots__ = (
        "__weakref__",
        "_a",
        "_b",
        "_numbers",
        "_operation",
        "_ticket",
        "_x",
        "_y",
        "grad",
        "name",
    )
    _numbers: Data  # a Python float, or an array of float32 or float64
    _operation: "Operation | None"  # None for a leaf
    # One or two operands are in _x and _y, and what they held then is in _a and _b. Of other operations all operands are
    # in _x, as a tuple, and what they held, followed by the options, in _a. A leaf has none of these.
    _x: Any
    _y: Any
    _a: Any
    _b: Any
    _ticket: int  # when it was computed: later nodes have larger ones; 0 for a leaf
    grad: Data | None
    name: str | None

    @property
    def _computed(self) -> bool:
        """Whether an operation computed it, even within `no_grad`; else it was made by `Value(...)`."""
        return self._ticket != 0

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The operands of the operation that computed this, in order: Values, and constants as they were given."""
        op = self._operation
        return () if op is None else (self._x, self._y)[: op.few] if op.few else self._x

    @property
    def saved(self) -> tuple[Any, ...]:
        """What those held when this was computed, in order, and after that the options, such as `axis`."""
        op = self._operation
        return () if op is None else (self._a, self._b)[: op.few] if op.few else self._a


# ── Forward: an operation computes, and is recorded ──────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Operation:
    """What is remembered of an operation: a derivative rule for each operand, and its options with their defaults."""

    name: str
    rules: tuple[Any, ...]
    jointly: Any  # where there may be any number of operands, as for concatenate: one rule that returns all gradients
    options: dict[str, Any]
    few: int  # how many operands, if just one or two, a rule for each, and no options, as most operations have; else 0
    module: str  # where it was made

    def __deepcopy__(self, memo: Any) -> "Operation":
        return self

    def __reduce__(self) -> Any:
        raise TypeError(
            "a computed Value cannot be pickled, since its record holds functions: "
            "pickle value.detach() or, of a model, model.state_dict()"
        )


OPERATIONS: dict[str, Operation] = {}  # every operation there is, by its name
NUMPY: dict[
    Any, Function
] = {}  # NumPy's function -> the operation: how np.tanh(value) finds `tanh`
_new, _next_ticket = object.__new__, count(1).__next__


def operation(*rules: Function | None, name: str | None = None,
              jointly: Function | None = None) -> Callable[[Function], Function]:  # fmt: skip
    """Make an operation of a function of numbers and arrays: a decorator, given a derivative rule for each operand.

    >>> from microgd import Value, operation
    >>> @operation(lambda g, out, x: g * 3 * x * x)
    ... def cube(x):
    ...     return x * x * x
    >>> x = Value(2.0)
    >>> cube(x).backward()
    >>> x.grad
    12.0

    The first arguments, as many as there are rules, are operands; further ones are options, such as `axis`. A rule gets
    the upstream gradient, the result, the operands and the options; `None` says that an operand has no derivative.
    Write rules with operators and operations, which serve numbers, arrays and Values alike: then they can be
    differentiated too. (For `/` and `**` take `operations.divide` and `operations.power`; Python's own raise where
    NumPy gives inf or nan.) If NumPy has a function of the same name, it works on Values from now on.

    An operation made again, as by a cell of a notebook, takes the place of the first. But a name of microgd's own is a
    `ValueError`: `np.exp` would become the new operation everywhere.
    """

    def decorate(forward: Function) -> Function:
        named = getattr(forward, "__name__", None) if name is None else name
        right = (
            callable(forward)
            and (rules or jointly)
            and all(f is None or callable(f) for f in (*rules, jointly))
        )
        if not right or not isinstance(named, str):
            raise TypeError(
                "write @operation(rule, ...), with a derivative rule for each operand, above the function"
            )
        built_in = isinstance(forward, np.ufunc | BuiltinFunctionType)  # they take operands only
        # A function that is built in is made an operation elsewhere, by whoever calls this one.
        module = (
            sys._getframe(1).f_globals.get("__name__", "") if built_in else forward.__module__ or ""
        )
        check_name(named, module)
        parameters = [] if built_in else list(inspect.signature(forward).parameters.values())
        options = {
            p.name: p.default for p in parameters[len(rules) :] if p.kind is not p.VAR_POSITIONAL
        }
        few = 0 if options or None in rules or len(rules) > 2 else len(rules)
        checked = rules, jointly
        if not module.startswith("microgd."):
            operands = [p.name for p in parameters[: len(rules)]]
            if not built_in and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
                if len(operands) < len(rules):
                    raise TypeError(
                        f"{named} takes ({', '.join(operands)}), but was given {len(rules)} rules: one for each operand"
                    )
                for rule in rules:
                    check_rule(rule, "g", "out", *operands, *options)
            checked = tuple(map(_guarded, rules)), _guarded(jointly)
        op = OPERATIONS[named] = Operation(named, *checked, options, few, module)
        apply: Any = (_any_operands, _one_operand, _two_operands)[few](op, forward)
        if built_in:  # its signature, such as NumPy's out=, where=, is not the operation's
            apply.__module__ = module
            apply.__name__ = apply.__qualname__ = named
            apply.__doc__ = (
                f"Elementwise, as `numpy.{named}`."
                if numpys(named)
                else f"As `{forward.__name__}`."
            )
        else:
            apply = wraps(forward)(apply)
            if apply.__name__ == "<lambda>":
                apply.__name__ = named
        function = numpys(named)
        if function is not None:
            NUMPY[function] = apply
        made: Function = apply
        return made

    return decorate


def check_rule(rule: Any, *names: str) -> None:
    """A `TypeError` if the rule can't be called with arguments of these names, in this order."""
    try:
        parameters = inspect.signature(rule)
    except (TypeError, ValueError):  # None, or a function that is built in
        return
    try:
        parameters.bind(*names)
    except TypeError:
        raise TypeError(
            f"a rule of this operation takes ({', '.join(names)}): the upstream gradient, the result, and what the "
            f"operation takes; but one was given that takes {parameters}"
        ) from None


def _guarded(rule: Any) -> Any:
    """A rule of somebody's own, which can't write into the upstream gradient: other rules get the same array."""
    if rule is None:
        return None

    @wraps(rule)
    def guarded(g: Any, *operands: Any, **options: Any) -> Any:
        if type(g) is ndarray:
            g = g.view()
            g.setflags(write=False)
        try:
            return rule(g, *operands, **options)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ValueError(
                "a rule can't write into g and operands, since others need them: it makes a new array, as by g * x in place "
                "of g *= x, or g * (x > 0) in place of g[x <= 0] = 0"
            ) from error

    return guarded


def numpys(name: str) -> Any:
    """NumPy's function of that name, or None."""
    found = getattr(np, name, None)
    return found if callable(found) and not isinstance(found, type) else None


def check_name(name: str, module: str) -> None:
    """A `ValueError` if microgd itself has an operation of that name, and the new one is not microgd's."""
    known = OPERATIONS.get(name) or NUMPY.get(numpys(name))
    home = known.module if isinstance(known, Operation) else getattr(known, "__module__", "")
    if home.startswith("microgd.") and not module.startswith("microgd."):
        raise ValueError(
            f"{name} is the name of one of microgd's own functions: give your operation another, such as my_{name}"
        )


def _one_operand(op: Operation, forward: Function) -> Function:
    """The operation as a function of one operand."""

    def apply(x: Any, /) -> Any:
        if not isinstance(x, Node):
            return forward(as_data(x))  # a number or an array: nothing to record
        a = x._numbers if type(x._numbers) is float else _kept(x)
        return _record(type(x), forward(a), op, x, None, a, None)

    return apply


def _two_operands(op: Operation, forward: Function) -> Function:
    """The operation as a function of two operands: `a * b` comes here. (`_any_operands` would do, but more slowly.)"""

    def apply(x: Any, y: Any, /) -> Any:
        # An operand that is no node is a constant: it is recorded too, but no gradient is ever computed for it.
        if isinstance(x, Node):
            kind, a = type(x), x._numbers if type(x._numbers) is float else _kept(x)
            b = (
                as_data(y, a)
                if not isinstance(y, Node)
                else y._numbers
                if type(y._numbers) is float
                else _kept(y)
            )
        elif isinstance(y, Node):
            kind, b = type(y), y._numbers if type(y._numbers) is float else _kept(y)
            a = as_data(x, b)
        else:
            return forward(as_data(x), as_data(y))  # numbers and arrays alone: nothing to record
        return _record(kind, forward(a, b), op, x, y, a, b)

    return apply


def _any_operands(op: Operation, forward: Function) -> Function:
    """The operation as a function of any number of operands, with options by position or by name."""

    def apply(*given: Any, **named: Any) -> Any:
        node = None
        for x in (*given, *named.values()) if named else given:
            if isinstance(x, Node) and (node is None or type(node._numbers) is float):
                node = x  # an array if there is one: constants take its dtype
        if node is None:
            return forward(*given, **named)
        arity = len(op.rules) or len(given)
        given, extra = given[:arity], given[arity:]
        # Rules get every option, those that were left out too, as they are by default.
        options = (
            {**op.options, **dict(zip(op.options, extra, strict=False)), **named}.values()
            if op.options
            else ()
        )
        if options and any(map(_has_node, options)):
            if not op.module.startswith("microgd."):
                raise TypeError(
                    f"{op.name} has a derivative rule for {arity} of its arguments, and none for another that is a Value: "
                    "@operation takes a rule for each operand"
                )
            raise TypeError(
                f"{op.name} takes Values by position, as operands. An index, an axis or a shape is a plain integer, such "
                "as int(value.item()); bounds are constants (np.maximum and np.minimum take Values)"
            )
        if len(given) < arity:
            raise TypeError(
                f"{op.name} takes {arity} operands, all by position, but got {len(given)}"
            )
        saved: list[Any] = []
        for x, rule in zip(given, op.rules or repeat(op.jointly)):  # noqa: B905 (`strict` would cost more than the loop)
            if isinstance(x, Node):
                held: Any = x._numbers if type(x._numbers) is float else _kept(x)
                if not rule:  # the condition of `where`, say, has no derivative: no gradient ever goes that way
                    given = (*given[: len(saved)], held, *given[len(saved) + 1 :])
            elif rule:
                held = as_data(x, node._numbers)
            elif isinstance(x, ndarray) and type(x) is not ndarray:
                held = as_plain_array(x)  # a condition with a mask, say, is refused
            else:
                held = x
            saved.append(held)
        try:
            out = forward(*saved, *extra, **named)  # Python itself rejects unknown options
        except OverflowError as error:  # an axis, say, that is a number of more than 64 bits
            raise ValueError(f"{op.name}: {error}") from None
        return _record(type(node), out, op, given, None, (*saved, *options), None)

    return apply


def _has_node(option: Any) -> bool:
    """Whether it is a node, or a tuple, such as an index, with a node in it."""
    return isinstance(option, Node) or (
        type(option) is tuple and any(isinstance(x, Node) for x in option)
    )


def _kept(x: Any) -> Any:
    """The array that x holds, for a record to keep: read-only, since what is recorded must not change.

    Whoever asks for a leaf's `data` after that gets another. But who has it already, or a view of it, goes on sharing it
    with the leaf; then the record keeps a copy. Constants are left alone: who writes into one gets what they asked for.
    """
    if x._operation is None:
        # Two references are the leaf's own and this question's. (A view refers to the array that it is a view of.)
        if getrefcount(x._numbers) > 2 and x._numbers.flags.writeable:
            copy = x._numbers.copy("K")
            copy.setflags(False)
            return copy
        x._numbers.setflags(False)
    return x._numbers


def _record(kind: type[Any], data: Any, op: Operation, x: Any, y: Any, a: Any, b: Any) -> Any:
    """A node that holds a result and remembers what it was made by and from."""
    if type(data) is not float:
        data = as_data(data)  # NumPy's own numbers become floats
        if type(data) is ndarray:
            data.setflags(False)  # type: ignore[call-arg]  # that is write=False, and faster
    node = _new(kind)
    node._numbers, node._ticket = data, _next_ticket()
    node._operation = node.grad = node.name = None
    if is_recording():  # else, within `no_grad`, for using a network rather than training it, the operands need not be kept
        node._operation, node._x, node._y, node._a, node._b = op, x, y, a, b
    return node


# ── Backward: the chain rule ─────────────────────────────────────────────────────────────────────────────────────────
def backward(output: Node, gradient: Data | None = None) -> None:
    """Store d output / d value in the `grad` of every value that `output` was computed from, and in its own.

    A leaf's `grad` accumulates: a second call, for this output or another, adds to it, as gradients of several losses add
    up. So set it to None (`zero_grad`) before each step of training: else the step goes along all gradients since the
    beginning. A computed value's `grad` shows what the last pass found: added up, it would be counted twice in the leaves.

    One pass gives the derivatives of one number, so `output` has one element; or `gradient` says how a later number
    depends on it, d number / d output in the shape of `output`. Else `ValueError`. An error leaves every `grad` as it was.
    """
    taken: set[int] = set()  # the memory that some grad has
    found = list(
        reverse_pass(output, seed(output, gradient))
    )  # all is computed before any is stored
    sums = [
        g if node._operation is not None or node.grad is None else gradient_so_far(node) + g
        for node, g in found
    ]
    for (node, _), g in zip(found, sums):  # noqa: B905
        node.grad = g if type(g) is float else owned(g, taken)


def reverse_pass(output: Node, g: Any, create_graph: bool = False) -> Iterator[tuple[Node, Any]]:
    """Yield each node that `output` depends on once, with its gradient: `output` with `g`, then back in time, leaves last.

    A node may pass its gradient on only when all that used it have added their shares. Were it to go earlier, what
    comes in later would have to travel all the way down again: 60 doublings y = y + y are 61 nodes, but 2**60 paths.
    Such an order is easy to find. What uses a node was recorded after it, so the next one is always the last recorded of
    those that something has come in for. And there is no recursion: a graph may be a million nodes deep.
    """
    if output._operation is None and output._ticket:
        raise ValueError(
            "nothing was recorded: this value was computed within no_grad, so no gradient leads back from it"
        )
    gradients: dict[Node, Any] = {}  # what has come in so far
    # A heap: its first is the last recorded. (The id is there for copies, which have the same ticket.)
    waiting: list[tuple[int, int, Any]] = []

    def arrive(x: Node, share: Any, held: Any, op: Any) -> None:
        kind = type(held)  # `fit` would find out that it fits already, but later
        if type(share) is not kind or (
            kind is ndarray and (share.shape != held.shape or share.dtype is not held.dtype)
        ):
            share = fit(share, held, op, create_graph)
        if (
            x in gradients
        ):  # used twice, x moves the output in two ways at once: the total change is their sum
            share = gradients[x] + share
        elif x._operation is not None:
            heappush(waiting, (-x._ticket, id(x), x))
        gradients[x] = share

    arrive(output, g, output._numbers, output._operation)  # the first one comes from outside
    while waiting:
        node = heappop(waiting)[2]
        g, out, op = gradients.pop(node), node._numbers, node._operation
        yield node, g
        if (
            op.few == 2 and not create_graph
        ):  # the last case written out for what most nodes are: it takes half as long
            x, y, a, b = node._x, node._y, node._a, node._b
            if isinstance(x, Node):
                arrive(x, op.rules[0](g, out, a, b), a, op)
            if isinstance(y, Node):
                arrive(y, op.rules[1](g, out, a, b), b, op)
        elif op.few and not create_graph:
            arrive(
                node._x, op.rules[0](g, out, node._a), node._a, op
            )  # a node, or nothing would have been recorded
        else:
            for x, share, held in shares(node, g, create_graph):
                arrive(x, share, held, op)
    yield from gradients.items()  # what is left are the leaves


def shares(node: Any, g: Any, create_graph: bool = False) -> Iterator[tuple[Node, Any, Data]]:
    """Each operand that is a node, what comes to it through this one, and what it held.

    Given the nodes in place of the numbers (`create_graph`), what rules compute is recorded, and can be differentiated.
    """
    op, operands, saved = node._operation, node.inputs, node.saved
    arity, out, given = len(operands), node._numbers, saved
    if create_graph:
        out, given = node, (*map(_unchanged, operands, saved), *saved[arity:])
    arguments, jointly = (g, out, *given), None
    if op.jointly:
        jointly = op.jointly(
            *arguments[: 2 + arity], **dict(zip(op.options, given[arity:], strict=True))
        )
    for i, x in enumerate(operands):
        if isinstance(x, Node):
            yield x, jointly[i] if jointly else op.rules[i](*arguments), saved[i]


def _unchanged(x: Any, saved: Any) -> Any:
    """The operand, if it still holds what the result was computed from, as a leaf may not; for a constant its numbers."""
    if not isinstance(x, Node):
        return saved
    if not same(x._numbers, saved):
        raise RuntimeError(
            f"{x.name or 'a leaf'} has changed since it was used: compute the output again, then differentiate"
        )
    return x


def fit(g: Any, x: Data, op: Operation, create_graph: bool = False) -> Any:
    """The gradient in the shape and the dtype of the operand, which held `x`: so that a step can subtract it."""
    shape = () if isinstance(x, float) else x.shape
    if not isinstance(g, Node) or not create_graph:
        try:
            g = np.asarray(as_data(g, x))
        except TypeError as error:
            raise TypeError(f"a rule of {op.name} gave no gradient: {error}") from None
    if not g.shape and shape:  # one number that holds for every element
        g = g * np.ones(shape, x.dtype)  # type: ignore[union-attr]
    if g.shape != shape:
        # Broadcasting used one element of x in many places. Each place is a use, and gradients of uses add up.
        extra = g.ndim - len(shape)
        total = g.sum(
            axis=tuple(i for i in range(g.ndim) if i < extra or shape[i - extra] == 1),
            keepdims=True,
        )
        if extra < 0 or total.shape[extra:] != shape:
            raise ValueError(
                f"a rule of {op.name} gave a gradient of shape {g.shape} for an operand of shape {shape}"
            )
        g = total.reshape(shape)
    if isinstance(x, float):
        return g if isinstance(g, Node) else float(g)
    return g if g.dtype == x.dtype else g.astype(x.dtype)


def seed(output: Node, gradient: Any = None) -> Data:
    """Where the reverse pass begins: d output / d output, which is 1, or the gradient that the caller gives."""
    data = output._numbers
    if gradient is None:
        if not isinstance(data, float) and data.size != 1:
            raise ValueError(
                f"a value of shape {data.shape} has no gradient by itself: sum it, or give backward a gradient"
            )
        return 1.0 if isinstance(data, float) else np.ones_like(data)
    given = as_data(gradient, data)
    if np.shape(given) != np.shape(data):
        raise ValueError(
            f"expected a gradient of shape {np.shape(data)}, as the value's, but got shape {np.shape(given)}"
        )
    return given if isinstance(data, float) else np.array(given, data.dtype)


def gradient_so_far(leaf: Node) -> Data:
    """A leaf's `grad`, which is not None, as a number or array like its data. A plain 0 stands for zeros."""
    shape = () if isinstance(leaf._numbers, float) else leaf._numbers.shape
    grad = as_data(leaf.grad, leaf._numbers)
    if isinstance(grad, float) and grad == 0 and not isinstance(leaf._numbers, float):
        return np.zeros_like(leaf._numbers)  # `p.grad = 0`, as one writes it for micrograd
    if np.shape(grad) != shape:
        raise ValueError(
            f"expected a gradient of shape {shape}, as the value's, but got shape {np.shape(grad)}, since grad was set by "
            "hand: set it to None, and backward starts a new sum"
        )
    return grad if isinstance(leaf._numbers, float) else np.array(grad, leaf._numbers.dtype)


def owned(g: Any, taken: set[int]) -> Any:
    """The gradient in memory that no other has: rules may pass g on as it is, or a view of it."""
    if type(g) is ndarray:
        memory = id(g if g.base is None else g.base)
        if memory in taken or not g.flags.writeable:
            g = g.copy()
            memory = id(g)
        taken.add(memory)
    return g
