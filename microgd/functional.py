"""Derivatives as results: `gradients` of a Value, and functions such as `grad` of a function.

`grad`, `value_and_grad`, `jacobian` and `hessian` take a function and return a function. When you
call that, it calls the first function with new Values in place of its arguments, and then goes back
from the result to these Values (`_differentiated`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial, wraps
from inspect import Parameter, signature
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from microgd.arrays import Data, as_data, check_flag, shown
from microgd.backprop import Node, initial_gradient, reverse_pass
from microgd.checks import check_count, check_list, check_type
from microgd.memory import separate
from microgd.operations import positive, reshape, stack
from microgd.recording import is_recording, recording
from microgd.structures import Name, as_structure, flatten, unflatten
from microgd.value import Value


def gradients(output: Value, inputs: Sequence[Value], create_graph: bool = False) -> list[Any]:
    """d `output` / d input for each of the inputs, as numbers and arrays; no `grad` is changed.

    The inputs may be leaves or computed Values. An input that the output does not depend on gets
    zeros. `output` must have one element (`ValueError`).

    With `create_graph=True` the gradients are Values. They are recorded as they are computed, so
    they can be differentiated again.

    >>> x = Value(2.0)
    >>> (slope,) = gradients(x**3, [x], create_graph=True)
    >>> slope.item(), gradients(slope, [x])
    (12.0, [12.0])
    """
    inputs = check_list("inputs", inputs)
    check_type("an output that is a Value", Value, output)
    check_flag("create_graph", create_graph)
    return _gradients(output, inputs, create_graph)


def hvp(output: Value, inputs: Sequence[Value], vectors: Sequence[Any]) -> list[Any]:
    """The Hessian-vector product: `output`'s second derivatives, as a matrix, times a vector.

    The Hessian is the matrix of all second derivatives of `output` with respect to the inputs'
    numbers. The vector comes in parts, one for each input and of its shape (`ValueError`), and so
    does the product.

    For n numbers the Hessian has n² elements, but its product with a vector takes only two reverse
    passes: it is the gradient of a number, the dot product of the gradient and the vector.
    (Pearlmutter, Fast exact multiplication by the Hessian, 1994.)

    >>> x, y = Value(3.0), Value(2.0)
    >>> hvp(x**2 * y, [x, y], [1.0, 0.0])  # the Hessian's first column, 2y and 2x
    [4.0, 6.0]
    """
    inputs = check_list("inputs", inputs)
    check_type("vectors to be a list with a part for each input", Sequence | np.ndarray, vectors)
    if len(vectors) != len(inputs):
        raise ValueError(
            f"expected as many vectors as inputs, one for each input: {len(inputs)}, but got "
            f"{len(vectors)}"
        )
    parts: list[Data] = []
    for x, vector in zip(inputs, vectors, strict=True):
        parts.append(initial_gradient(x, as_data(vector, x._numbers)))
    with recording(True):
        slopes = gradients(output, inputs, create_graph=True)
        product = Value(0.0)
        for slope, part in zip(slopes, parts, strict=True):
            product = product + (slope * part).sum()
        return gradients(product, inputs)


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0
) -> Callable[..., Any]:
    """The function that returns `function`'s value and its gradient, as a pair.

    `argnums` gives the positions of the arguments to differentiate with respect to. If it is a list
    or a tuple, the gradient is a tuple. These arguments are numbers or arrays, or structures of
    them: nested lists, tuples and dictionaries, such as the weights of a network. `function` gets
    a structure with Values in it, and the gradient is a structure of the same form. If any of these
    numbers and arrays is a Value, the results are Values too, recorded and differentiable.

    - None is an empty place, such as that of a layer's missing bias. It stays None.
    - Named tuples keep their class, and dictionaries their class and their order.
    - An argument that is a list of numbers, or of lists of them, is one array, as in
      `Value([1.0, 2.0])`. In a tuple, or anywhere inside a structure, each number is a leaf.
    - Anything else, such as text or a Module, is a `TypeError` that says where it is.

    Other Values that `function` uses count as constants, except the arguments of a `grad` around
    this one. `function` must compute one element (`ValueError`).

    >>> value_and_grad(lambda x, y: x**2 * y, argnums=(0, 1))(3.0, 2.0)
    (18.0, (12.0, 9.0))
    >>> layer = {"weight": np.array([2.0, 3.0]), "bias": 1.0}
    >>> value_and_grad(lambda p: (p["weight"] ** 2).sum() + p["bias"])(layer)
    (14.0, {'weight': array([4., 6.]), 'bias': 1.0})
    """
    return _differentiated(function, argnums, _value_and_gradient)


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns `function`'s gradient.

    It takes the same arguments as that of `value_and_grad`. It can be applied again to its own
    result, for derivatives of any order.

    >>> def f(x):
    ...     return 3 * x**3 - 6 * x**2 + 2 * x
    >>> grad(f)(0.0), grad(grad(f))(0.0)
    (2.0, -12.0)
    """
    both = value_and_grad(function, argnums)

    @wraps(function)
    def gradient(*arguments: Any, **options: Any) -> Any:
        return both(*arguments, **options)[1]

    return gradient


def jacobian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns `function`'s Jacobian: all first derivatives of its result.

    For a result and an argument that are vectors, element [i, j] is d result[i] / d argument[j]. In
    general the Jacobian has the shape of the result followed by that of the argument, so it is a
    number if both are. It has the argument's dtype. What does not depend on the argument has the
    derivative 0.

    Arguments and `argnums` are as for `value_and_grad`. `function` may also return a structure.
    Then the Jacobian is a structure of that form, and holds in each place a structure of the
    argument's form or, for several `argnums`, a tuple of them. (This is how `jax.jacrev` does it.)

    The cost: one call of `function`, one reverse pass for each element of its result, and the
    memory for the Jacobian. So it is meant for small functions. If you want only the product of a
    vector and the Jacobian, `gradients((vector * result).sum(), [x])` takes one reverse pass.

    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0, 3.0]))
    array([[2., 0., 0.],
           [0., 4., 0.],
           [0., 0., 6.]])
    >>> jacobian(lambda p: {"area": p["width"] * p["height"]})({"width": 2.0, "height": 3.0})
    {'area': {'width': 3.0, 'height': 2.0}}
    """
    return _differentiated(function, argnums, _jacobian)


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns `function`'s Hessian: all second derivatives of its result.

    For a function of a vector that computes a number, element [i, j] is the derivative with respect
    to argument[i] and argument[j]. In general the Hessian is the Jacobian of the Jacobian: it has
    the shape of the result, followed by that of the argument twice. Structures and `argnums` are as
    for `jacobian`: the derivative with respect to p["a"] and p["b"] is at ["a"]["b"].

    The cost, for a function of n numbers that computes one: n + 1 reverse passes, and the memory
    for n² numbers. So it is meant for small functions. The product of the Hessian and a vector
    takes two reverse passes for any n: see `hvp`.

    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 2.0]))
    array([[4., 6.],
           [6., 0.]])
    """
    return jacobian(jacobian(function, argnums), argnums)


# ── How a function is called to be differentiated ────────────────────────────────────────────────
# While `grad` or `jacobian` runs its function, that function may call one of them again. These are
# the Values that all the enclosing calls differentiate with respect to.
_enclosing_arguments: ContextVar[tuple[Value, ...]] = ContextVar("enclosing_arguments", default=())


class _Argument(NamedTuple):
    """An argument to differentiate with respect to."""

    structure: Any  # as the caller gave it, but a list of numbers is an array here
    values: list[Value]  # new Values, in place of its leaves
    values_given: bool  # whether any of its leaves was a Value before


class _Call(NamedTuple):
    """A call of a function, to differentiate: what went in, and what came out."""

    result: Any
    inputs: list[Value]  # what to differentiate with respect to
    structure: Any  # of the derivatives: that of an argument, or a tuple of those of several
    values_given: bool  # whether the caller gave any Values
    record_wanted: bool  # whether the caller did, and is not within `no_grad`
    enclosing: tuple[Value, ...]  # the arguments of the calls around this one

    def create_graph(self, *outputs: Value) -> bool:
        """Whether the derivatives of these outputs have to be recorded.

        If the function has used the argument of a `grad` around this one, the derivatives depend on
        that argument too. They have to be recorded, or the outer derivative would lack a term.
        """
        return self.record_wanted or _depends_on_any(outputs, self.enclosing)

    def converted(self, numbers: Any) -> Any:
        """Numbers as the caller gets them: in a Value, if there were Values among the arguments."""
        return _as_value(numbers) if self.values_given else numbers

    def structured(self, derivatives: Iterable[Any]) -> Any:
        """The derivatives, one for each of the inputs, as the caller gets them."""
        if self.values_given:
            derivatives = map(_as_value, derivatives)
        return unflatten(self.structure, derivatives)


def _differentiated(
    function: Callable[..., Any],
    argnums: int | Sequence[int],
    derivative: Callable[[_Call], Any],
) -> Callable[..., Any]:
    """The function that calls `function`, and returns this derivative of the call."""
    check_type("a function", Callable, function)
    several = isinstance(argnums, list | tuple)
    listed: Any = argnums if several else [argnums]
    positions = [check_count("position in argnums", n) for n in listed]

    @wraps(function)
    def differentiated(*arguments: Any, **options: Any) -> Any:
        places = _places(positions, len(arguments))
        caller_is_recording = is_recording()
        with recording(True):
            inner_arguments = list(arguments)
            replaced = {}
            for place in places:
                argument = _with_values(arguments[place], partial(_name, function, place))
                inner_arguments[place] = unflatten(argument.structure, argument.values)
                replaced[place] = argument
            wanted = [replaced[place] for place in places]
            structures = tuple(argument.structure for argument in wanted)
            inputs = [value for argument in wanted for value in argument.values]
            values_given = any(argument.values_given for argument in wanted)
            call = _Call(
                result=_result(function, inner_arguments, options, inputs),
                inputs=inputs,
                structure=structures if several else structures[0],
                values_given=values_given,
                record_wanted=values_given and caller_is_recording,
                enclosing=_enclosing_arguments.get(),
            )
            return derivative(call)

    return differentiated


def _result(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: dict[str, Any],
    inputs: Sequence[Value],
) -> Any:
    """What `function` returns. While it runs, the inputs are among the enclosing arguments."""
    token = _enclosing_arguments.set((*_enclosing_arguments.get(), *inputs))
    try:
        return function(*arguments, **options)
    finally:
        _enclosing_arguments.reset(token)


def _places(positions: Sequence[int], count: int) -> list[int]:
    """The positions counted from the front, in a call with `count` arguments by position.

    If the call has no argument there, that is a `TypeError`.
    """
    for position in positions:
        if not -count <= position < count:
            raise TypeError(
                f"argnums asks for argument {position}, but the call gave {count} by position"
            )
    return [position % count for position in positions]


def _with_values(given: Any, name: Name) -> _Argument:
    """An argument with a new Value for each of its leaves, which nothing else uses.

    The function may also use a Value that it gets in another way, as one of its constants. That use
    must not count as a use of the argument, so the argument needs Values of its own.
    """
    structure = as_structure(given, name)
    leaves = flatten(structure, name)
    values = []
    values_given = False
    for leaf in leaves:
        if isinstance(leaf, Value):
            values_given = True
            values.append(positive(leaf))
        else:
            values.append(Value(leaf))
    return _Argument(structure, values, values_given)


def _name(function: Callable[..., Any], place: int) -> str:
    """What the function calls this argument, for a message."""
    try:
        parameters = list(signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions written in C have no signature
        parameters = []
    for parameter in parameters[place : place + 1]:
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
            return parameter.name
    return f"argument {place}"


# ── Derivatives of a call ────────────────────────────────────────────────────────────────────────
def _value_and_gradient(call: _Call) -> tuple[Any, Any]:
    """The value of a call, and its gradient."""
    out = single(call.result)
    create_graph = call.create_graph(out)
    slopes = _gradients(out, call.inputs, create_graph)
    value: Any = out
    if not create_graph:
        numbers = out._numbers
        value = call.converted(numbers if isinstance(numbers, float) else numbers.copy())
    return value, call.structured(slopes)


def _jacobian(call: _Call) -> Any:
    """The Jacobian of a call, in the structure of its result."""
    outputs = [_as_value(leaf) for leaf in flatten(call.result, lambda: "result")]
    create_graph = call.create_graph(*outputs)
    jacobians = []
    for output in outputs:
        blocks = _jacobian_blocks(output, call.inputs, create_graph)
        jacobians.append(call.structured(blocks))
    return unflatten(call.result, jacobians)


def _jacobian_blocks(output: Value, inputs: Sequence[Value], create_graph: bool) -> list[Any]:
    """The Jacobian of one output, in blocks: one for each of the inputs."""
    passes = [_slopes(output, start, inputs, create_graph) for start in _one_hots(output)]
    blocks: list[Any] = []
    for i, x in enumerate(inputs):
        shape = output.shape + x.shape
        block: Any = np.zeros(shape, x.dtype)
        if passes:  # the output has elements
            rows = [slopes[i] for slopes in passes]
            block = reshape(stack(rows), shape)
        if create_graph:
            blocks.append(_as_value(block))
        else:
            blocks.append(as_data(block))  # a number, if it has no axes
    return blocks


def _one_hots(output: Value) -> Iterator[Data]:
    """A gradient to begin with for each element of the output: 1 there, and 0 elsewhere.

    A reverse pass that begins with it finds the derivatives of this element.
    """
    if isinstance(output._numbers, float):
        yield 1.0
        return
    for index in np.ndindex(output.shape):
        one_hot = np.zeros_like(output._numbers)
        one_hot[index] = 1.0
        yield one_hot


def _gradients(output: Value, inputs: Sequence[Value], create_graph: bool) -> list[Any]:
    """`gradients`, without checks of its arguments."""
    slopes = _slopes(output, initial_gradient(output), inputs, create_graph)
    if create_graph:
        return [_as_value(slope) for slope in slopes]
    return separate(slopes)


def _slopes(output: Value, start: Data, inputs: Sequence[Value], create_graph: bool) -> list[Any]:
    """The gradients for the inputs, by a reverse pass that begins at `output` with `start`.

    They may share memory, and constant ones are not Values even with `create_graph`.
    """
    wanted = set(inputs)
    nodes = reverse_pass(output, start, create_graph)
    reached = ((node, g) for node, g in nodes if node in wanted)
    # The reverse pass computes a gradient only when it is asked for the next one. So it stops here
    # at the last of the inputs, and goes no further back.
    gradient_of = dict(islice(reached, len(wanted)))
    slopes: list[Any] = []
    for x in inputs:
        if x in gradient_of:
            slopes.append(gradient_of[x])
        elif isinstance(x._numbers, float):
            slopes.append(0.0)
        else:
            slopes.append(np.zeros_like(x._numbers))
    return slopes


def _as_value(x: Any) -> Value:
    return x if isinstance(x, Value) else Value(x)


def single(out: Data | Value) -> Value:
    """A function's result as a Value; a `ValueError` unless it has one element.

    The result may be a plain number: then it does not depend on the function's arguments. A tuple
    or a dictionary is a `TypeError`.
    """
    if isinstance(out, tuple | dict):
        raise TypeError(
            f"expected a function that computes one number, but it returned {shown(out)}"
        )
    value = _as_value(out)
    if value.size != 1:
        raise ValueError(
            "expected a function that computes one element, but this one gave a result of shape "
            f"{value.shape}"
        )
    return value


# ── Which values others were computed from ───────────────────────────────────────────────────────
def ancestors(*outputs: Node) -> Iterator[Node]:
    """Every node that the outputs were computed from, each once; the outputs themselves first."""
    nodes = list(dict.fromkeys(outputs))
    seen = set(nodes)
    for node in nodes:  # the list grows during the loop, which goes on to the nodes added
        yield node
        for x in node._operands:
            if isinstance(x, Node) and x not in seen:
                seen.add(x)
                nodes.append(x)


def _depends_on_any(outputs: Sequence[Value], values: tuple[Value, ...]) -> bool:
    """Whether any of the outputs was computed from any of the values."""
    if not values:
        return False  # without a walk through the graph
    return not set(values).isdisjoint(ancestors(*outputs))
