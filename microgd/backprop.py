"""How an operation is recorded, and how the chain rule runs back through the record. Read this file first.

Take c = a * b, then d = c + a, with a = 2 and b = 3. Two operations, each on numbers already known:

    a = 2 ──┬──────────────────┐
            multiply ─► c = 6 ─┴► add ─► d = 8
    b = 3 ──┘

Each result remembers the operation that made it and that operation's operands. That is the whole record: the
*computation graph*. Its *leaves*, a and b, were made by nobody, and are what one wants derivatives for.

How much does d change when a does? Every operation has, for each operand, a rule that knows its *local derivative*:
∂d/∂c = 1, ∂d/∂a = 1 (directly), ∂c/∂a = b = 3. The chain rule multiplies along each path from d to a, and adds
up the paths: dd/da = 1 * 3 + 1 = 4. Backpropagation is this sum, ordered so that no path is ever walked twice:
from the output back, each value passes on to its operands what it has received from all that used it.

With tensors a local derivative is a Jacobian, a matrix of (size of output) × (size of operand) numbers: for a layer
of 784 × 10 weights and a batch of 32, 320 × 7,840, nearly all of them 0. Nobody builds it. All that the chain rule
needs is its product with the gradient that arrives, a *vector-Jacobian product*, and that is about as cheap as the
operation itself: for elementwise exp it is `g * out`. So a rule takes the upstream gradient `g` (d output / d result,
in the result's shape) and returns the operand's (d output / d operand, in the operand's shape). Starting from one
output, one pass gives the derivatives for every leaf, however many; forward differentiation would need a pass a leaf.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from itertools import count
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Data: TypeAlias = float | NDArray[Any]  # what a value holds: a Python float, or a float32 or float64 array
F = TypeVar("F", bound=Callable[..., Any])
SomeNode = TypeVar("SomeNode", bound="Node")


class Node:
    """A value in the computation graph: what it holds, and, unless it is a leaf, what it was made by and from."""

    # Slots instead of a dictionary: a graph of a million nodes has to fit into memory. A node points only backwards,
    # to its operands, so there are no reference cycles: when the last name for an output goes, so does its graph.
    __slots__ = ("_data", "grad", "name", "_operation", "_record", "_ticket", "__weakref__")
    _data: Data
    grad: Data | None  # d output / d this, summed over the calls of `backward` if this is a leaf
    name: str | None
    _operation: Operation | None  # None: a leaf
    _record: tuple[Any, ...]  # the operands, then the numbers they held, then the options; () for a leaf
    _ticket: int  # when it was recorded; 0 for a leaf


# ── Forward: recording ───────────────────────────────────────────────────────────────────────────────────────────────

# A context variable, not a global: another thread or asyncio task neither sees nor disturbs this one's setting.
_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_recording = _recording.get  # whether operations are being recorded
_next_ticket = count(1).__next__
_new = object.__new__


class recording(contextlib.ContextDecorator):  # noqa: N801 (used as a function, like contextlib.suppress)
    """Within this context operations are recorded, or are not."""

    def __init__(self, on: bool) -> None:
        self.on, self.tokens = on, list[Any]()

    def __enter__(self) -> None:
        self.tokens.append(_recording.set(self.on))

    def __exit__(self, *exception: object) -> None:
        _recording.reset(self.tokens.pop())

    def __call__(self, function: F) -> F:
        # The body of these runs after the call has returned, and would be recorded after all.
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError("no_grad cannot decorate a generator or a coroutine: write `with no_grad():` inside it")
        return super().__call__(function)

    def _recreate_cm(self) -> recording:  # a call of a decorated function gets a context of its own: threads may share it
        return recording(self.on)


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Record nothing: `with no_grad(): ...`, `@no_grad` or `@no_grad()`; for using a model rather than training it.

    Results are leaves, and cost no memory beyond their numbers. It holds for this thread and this asyncio task alone.
    """
    return recording(False) if function is None else recording(False)(function)


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """An operation that can be recorded: a derivative rule for each operand, and its options with their defaults.

    One that takes any number of operands (concatenate) has, in place of `rules`, one that gives all the gradients
    `jointly`, as a list.
    """

    name: str
    rules: tuple[Any, ...]
    jointly: Any
    options: dict[str, Any]
    binary: bool  # two operands, both with a rule, and no options


OPERATIONS: dict[str, Operation] = {}  # every operation there is, by its name
NUMPY: dict[Any, Callable[..., Any]] = {}  # NumPy's function -> ours: through it np.tanh(value) finds `tanh`


def operation(
    *rules: Callable[..., Any] | None, name: str | None = None, jointly: Callable[..., Any] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an operation of a function of numbers and arrays: a decorator, given a derivative rule for each operand.

    >>> from microgd import Value, operation
    >>> @operation(lambda g, out, x: g * 3 * x * x)
    ... def cube(x):
    ...     return x * x * x
    >>> x = Value(2.0)
    >>> cube(x).backward()
    >>> x.grad
    12.0

    The first arguments, as many as there are rules, are the operands; further ones are options, such as `axis`. A rule
    gets the upstream gradient, the result, the operands and the options, and returns the operand's gradient; a rule
    `None` says that this operand has none. Write it with operators and with operations: they serve numbers, arrays and
    Values alike, so that one rule gives the derivatives of every order. (But `operations.divide` and
    `operations.power`: Python's own `/` and `**` raise where NumPy gives inf or nan.) Applied to numbers and arrays
    alone an operation just computes. If NumPy has a function of this name, that works on Values from now on.
    """

    def decorate(forward: Callable[..., Any]) -> Callable[..., Any]:
        named = name or forward.__name__
        parameters = [] if isinstance(forward, np.ufunc) else list(inspect.signature(forward).parameters.values())
        options = {p.name: p.default for p in parameters[len(rules) :] if p.kind is not p.VAR_POSITIONAL}
        binary = len(rules) == 2 and None not in rules and not options
        made = OPERATIONS[named] = Operation(named, rules, jointly, options, binary)
        apply = _two_operands(made, forward) if binary else _any_operands(made, forward)
        apply = wraps(forward)(apply)
        apply.__name__ = apply.__qualname__ = named
        if hasattr(np, named):
            NUMPY[getattr(np, named)] = apply
        return apply

    return decorate


def _two_operands(made: Operation, forward: Callable[..., Any]) -> Callable[..., Any]:
    """The operation as a function of two operands: `a * b` comes here. (`_any_operands` does the same, more slowly.)"""

    def apply(x: Any, y: Any) -> Any:
        if isinstance(x, Node):
            kind, a = type(x), x._data
            if isinstance(y, Node):
                b = y._data
            else:
                b = y = as_data(y, a)  # an operand that is no node is a constant: no gradient is ever computed for it
        elif isinstance(y, Node):
            kind, b = type(y), y._data
            a = x = as_data(x, b)
        else:
            return forward(x, y)  # numbers and arrays alone: nothing to record
        if type(a) is not float or type(b) is not float:
            _freeze((x, y))
        return _record(kind, forward(a, b), made, (x, y, a, b))

    return apply


def _any_operands(made: Operation, forward: Callable[..., Any]) -> Callable[..., Any]:
    """The operation as a function of any number of operands, with options by position or by name."""
    rules, names = made.rules, tuple(made.options)

    def apply(*operands: Any, **named: Any) -> Any:
        for x in operands:
            if isinstance(x, Node):
                break
        else:
            return forward(*operands, **named)
        options: tuple[Any, ...] = ()
        if names or named:
            operands, options = _bind(made, operands, named)
        elif rules and len(operands) != len(rules):
            raise TypeError(f"{made.name} takes {len(rules)} operands; it got {len(operands)}")
        nodes = [x for x in operands if isinstance(x, Node)]
        if len(nodes) < len(operands):
            like = next((x._data for x in nodes if type(x._data) is not float), 0.0)
            operands = tuple(
                x if isinstance(x, Node) or (rules and rules[i] is None) else as_data(x, like) for i, x in enumerate(operands)
            )
        _freeze(nodes)
        held = [x._data if isinstance(x, Node) else x for x in operands]
        out = forward(*held, **dict(zip(names, options, strict=True))) if names else forward(*held)
        return _record(type(nodes[0]), out, made, (*operands, *held, *options))

    return apply


def _bind(made: Operation, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The operands and the options of a call, in order, as Python itself would bind them."""
    names, fixed = tuple(made.options), len(made.rules) or len(given)
    by_position = dict(zip(names, given[fixed:], strict=False))
    options = {**made.options, **by_position, **named}
    twice_or_unknown = by_position.keys() & named or len(options) > len(names)
    missing = any(value is inspect.Parameter.empty for value in options.values())
    if twice_or_unknown or missing or not fixed <= len(given) <= fixed + len(names):
        takes = ", ".join([f"{len(made.rules) or 'any number of'} operands", *names])
        raise TypeError(f"{made.name} takes {takes}; it got {len(given)} by position and {list(named)} by name")
    for option, value in options.items():
        if isinstance(value, Node):
            raise TypeError(f"{made.name}: {option} is an option, not an operand, and gets no gradient: give its .data")
    return given[:fixed], tuple(options.values())


def _freeze(nodes: Sequence[Any]) -> None:
    """Let nobody write into the arrays of those that are leaves any more: what is recorded must not change.

    Who asks for a leaf's `data` after that gets a new array to write into, and the record keeps the old one.
    """
    for x in nodes:
        if isinstance(x, Node) and x._operation is None and not isinstance(x._data, float):
            x._data.setflags(write=False)


def _record(kind: type[SomeNode], data: Any, made: Operation, record: tuple[Any, ...]) -> SomeNode:
    """A new node that holds a result and remembers what it was made by and from."""
    if type(data) is not float and (type(data) is not np.ndarray or not data.ndim or data.dtype.char not in "fd"):
        data = as_data(data)
    node = _new(kind)
    node._data = data
    node.grad = node.name = None
    if is_recording():
        node._operation, node._record, node._ticket = made, record, _next_ticket()
    else:
        node._operation, node._record, node._ticket = None, (), 0
        _freeze((node,))  # its array may be a view of an operand's
    return node


def as_data(x: Any, like: Data = 0.0) -> Data:
    """`x` as the engine computes with it: a Python float, or a float32 or float64 array (itself, if it is one).

    Integers and booleans become floats, in an array of the dtype of `like`. Anything else is a `TypeError`.
    """
    if isinstance(x, (float, int)):
        return float(x)
    if isinstance(x, Node):
        raise TypeError("expected numbers, but got a Value: use its .data, or a copy of it without a past, .detach()")
    try:
        array = np.asarray(x)
    except ValueError:  # rows of different lengths
        raise TypeError(f"expected a number or an array of numbers, but got a ragged {type(x).__name__}") from None
    if array.dtype.kind in "biu":
        array = array.astype(np.float64 if isinstance(like, float) else like.dtype)
    elif array.dtype.kind == "f" and array.dtype.itemsize in (4, 8):
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    else:
        what = type(x).__name__ + ("" if array.dtype == object else f" of dtype {array.dtype}")
        raise TypeError(f"expected a number or an array of float32, float64, integers or booleans, but got {what}")
    return array if array.ndim else float(array)


# ── Backward: the chain rule ─────────────────────────────────────────────────────────────────────────────────────────


def _reverse_pass(output: Node, g: Any, create_graph: bool = False) -> Iterator[tuple[Node, Any]]:
    """Yield every node that `output` depends on, once, with d output / d node: first `output` itself with its `g`.

    A node may pass its gradient on only when all that used it have handed in their shares. Were it to go earlier, what
    comes in later would have to travel all the way down again: 60 doublings y = y + y are 61 nodes but 2**60 paths. So
    the order matters: each node after all that used it. And it is there for the asking. An operand exists before the
    result does, so the order in which the operations were recorded, backwards, is such an order.
    """
    gradients: dict[Node, Any] = {output: g}  # what has come in so far; None where a node was met, but nothing came yet
    nodes = [output]
    for node in nodes:  # the list grows while we walk along it. No recursion: a graph may be a million nodes deep
        for x in node._record:
            if isinstance(x, Node) and x not in gradients:
                gradients[x] = None
                nodes.append(x)
    nodes.sort(key=attrgetter("_ticket"), reverse=True)

    for node in nodes:
        g = gradients.pop(node)
        if g is None:  # only ever an operand without a derivative, such as the condition of `where`
            continue
        yield node, g
        made = node._operation
        if made is None:
            continue
        if made.binary and not create_graph:  # what the lines below do, unrolled for the most frequent case
            x, y, a, b = node._record
            rule_x, rule_y = made.rules
            if isinstance(x, Node):
                share = rule_x(g, node._data, a, b)
                if type(share) is not float or type(a) is not float:
                    share = _fit(share, a, made)
                before = gradients[x]
                gradients[x] = share if before is None else before + share
            if isinstance(y, Node):
                share = rule_y(g, node._data, a, b)
                if type(share) is not float or type(b) is not float:
                    share = _fit(share, b, made)
                before = gradients[y]
                gradients[y] = share if before is None else before + share
            continue
        arity = (len(node._record) - len(made.options)) // 2
        operands, held = node._record[:arity], node._record[arity:]
        out: Any = node._data
        given = held
        if create_graph:  # the same rules, given the nodes instead of their numbers, record what they compute
            out, given = node, (*map(_unmoved, operands, held), *held[arity:])
        shares = made.jointly(g, out, *given[:arity], **dict(zip(made.options, given[arity:]))) if made.jointly else ()
        for i, x in enumerate(operands):
            if isinstance(x, Node) and (shares or made.rules[i]):
                share = shares[i] if shares else made.rules[i](g, out, *given)
                if type(share) is not float or type(held[i]) is not float:
                    share = _fit(share, held[i], made)
                # A value that was used twice moves the output in two ways: the total change is their sum.
                gradients[x] = share if gradients[x] is None else gradients[x] + share


def _fit(g: Any, x: Data, made: Operation) -> Any:
    """The gradient `g` in the shape and dtype of the operand, which is `x`."""
    shape = () if isinstance(x, float) else x.shape
    if type(g) is np.ndarray and shape and g.shape == shape and g.dtype == x.dtype:  # type: ignore[union-attr]
        return g
    if not isinstance(g, Node):
        g = np.asarray(g)
    if g.shape != shape:
        if not g.shape:  # one number that holds for every element
            g = g * np.ones(shape, x.dtype)  # type: ignore[union-attr]
        elif _broadcasts(shape, g.shape):
            # Broadcasting used one element of x in many places. Each is a use, and the gradients of all uses add up.
            extra = g.ndim - len(shape)
            g = g.sum(axis=(*range(extra), *(extra + i for i, n in enumerate(shape) if n == 1))).reshape(shape)
        else:
            raise ValueError(f"a rule of {made.name} gave a gradient of shape {g.shape} for an operand of shape {shape}")
    if isinstance(x, float):
        return g if isinstance(g, Node) else float(g)
    return g if g.dtype == x.dtype else g.astype(x.dtype)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to the other shape, as it is."""
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in pairs)


def _unmoved(x: Any, held: Any) -> Any:
    """The operand itself, where it still holds what was recorded; for a graph of gradients it has to."""
    if isinstance(x, Node) and x._data is not held and not np.array_equal(x._data, held, equal_nan=True):
        raise RuntimeError(f"{x.name or 'a leaf'} was changed after it was used: compute the output again to differentiate it")
    return x


def _seed(output: Node, gradient: Any) -> Data:
    """Where the reverse pass begins: d output / d output, which is 1, or the gradient that the caller gives."""
    data = output._data
    shape = () if isinstance(data, float) else data.shape
    if gradient is None:
        if not isinstance(data, float) and data.size != 1:
            raise ValueError(
                f"only a value of one element has a gradient by itself; this one has shape {shape}: sum it, "
                "or call backward(gradient) with d output / d this"
            )
        return 1.0 if isinstance(data, float) else np.ones_like(data)
    given = as_data(gradient, data)
    if np.shape(given) != shape:
        raise ValueError(f"expected a gradient of the value's shape, {shape}, but got one of shape {np.shape(given)}")
    return given if isinstance(data, float) else np.array(given, data.dtype)


def _owned(g: Any, owners: set[int]) -> Any:
    """The gradient in memory that no other gradient lies in: rules may pass `g` on as it came, or a view of it."""
    if isinstance(g, np.ndarray):
        if id(g if g.base is None else g.base) in owners or not g.flags.writeable:
            g = g.copy()
        owners.add(id(g if g.base is None else g.base))
    return g


def backward(output: Node, gradient: Data | None = None) -> None:
    """Compute d `output` / d value for every value that it was computed from, and store it in that value's `grad`.

    A leaf's `grad` accumulates: a second call, for this output or another, adds to it, so that the gradients of the
    parts of a batch, or of several losses, sum up. Therefore whoever wants the gradient of one output alone, as in
    every step of training, sets the leaves' `grad` to None first (`zero_grad`). The `grad` of a computed value is set
    afresh: it is a note on the way, and were it added up, a second `backward()` would pass on the sum of both calls
    and count the first one twice. So two calls give each leaf exactly twice what one does.

    `output` needs to have one element, or `gradient`, an upstream gradient in its shape; else `ValueError`. An error
    leaves every `grad` as it was.
    """
    owners: set[int] = set()
    for node, g in list(_reverse_pass(output, _seed(output, gradient))):
        if node._operation is None and node.grad is not None:
            node.grad = node.grad + g
        else:
            node.grad = g if type(g) is float else _owned(g, owners)


def gradients(output: SomeNode, inputs: Sequence[SomeNode], create_graph: bool = False) -> list[Any]:
    """d `output` / d input for each of the inputs, leaves or computed, as numbers and arrays; writes no `grad`.

    With `create_graph=True` they are Values, recorded as they are computed, and can be differentiated again.
    An input that the output does not depend on gets zeros. `output` needs to have one element.

    >>> from microgd import Value, gradients
    >>> x = Value(2.0)
    >>> (slope,) = gradients(x**3, [x], create_graph=True)
    >>> slope.item(), gradients(slope, [x])
    (12.0, [12.0])
    """
    if isinstance(inputs, Node) or not all(isinstance(x, Node) for x in (output, *inputs)):
        raise TypeError("gradients takes a Value and a list of Values")
    wanted, found = set(inputs), dict[Node, Any]()
    for node, g in _reverse_pass(output, _seed(output, None), create_graph):
        if node in wanted:
            found[node] = g
            if len(found) == len(wanted):
                break
    owners: set[int] = set()
    results: list[Any] = []
    for x in inputs:
        kind: Any = type(x)
        g = found.get(x, 0.0 if isinstance(x._data, float) else np.zeros_like(x._data))
        results.append(_owned(g, owners) if not create_graph or isinstance(g, Node) else kind(g))
    return results
