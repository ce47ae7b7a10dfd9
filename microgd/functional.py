"""Derivatives as results: `gradients` of a Value, and `grad` of a function, which is a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import wraps
from itertools import islice
from typing import Any

import numpy as np

from microgd.arrays import Data, as_data, check_flag
from microgd.backprop import Node, initial_gradient, reverse_pass
from microgd.checks import check_count, check_list, check_type
from microgd.memory import separate
from microgd.operations import positive
from microgd.recording import is_recording, recording
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
    wanted = set(inputs)
    nodes = reverse_pass(output, initial_gradient(output), create_graph)
    reached = ((node, g) for node, g in nodes if node in wanted)
    # The reverse pass computes a gradient only when it is asked for the next one. So it stops here
    # at the last of the inputs, and goes no further back.
    gradient_of = dict(islice(reached, len(wanted)))
    results: list[Any] = []
    for x in inputs:
        if x in gradient_of:
            results.append(gradient_of[x])
        elif isinstance(x._numbers, float):
            results.append(0.0)
        else:
            results.append(np.zeros_like(x._numbers))
    if create_graph:
        return [g if isinstance(g, Value) else Value(g) for g in results]
    return separate(results)


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


# While `grad` runs its function, that function may call `grad` again. These are the arguments that
# all the enclosing calls differentiate with respect to.
_enclosing_arguments: ContextVar[tuple[Value, ...]] = ContextVar("enclosing_arguments", default=())


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0
) -> Callable[..., Any]:
    """The function that returns `function`'s value and its gradient, as a pair.

    `argnums` gives the positions of the arguments to differentiate with respect to. If it is a list
    or a tuple, the gradient is a tuple. These arguments are numbers or arrays, and then so are the
    results. If any of them is a Value, the results are Values too, recorded and differentiable.

    Other Values that `function` uses count as constants, except the arguments of a `grad` around
    this one. `function` must compute one element (`ValueError`).

    >>> value_and_grad(lambda x, y: x**2 * y, argnums=(0, 1))(3.0, 2.0)
    (18.0, (12.0, 9.0))
    """
    check_type("a function", Callable, function)
    several = isinstance(argnums, list | tuple)
    listed: Any = argnums if several else [argnums]
    positions = [check_count("position in argnums", n) for n in listed]

    @wraps(function)
    def differentiated(*arguments: Any, **options: Any) -> tuple[Any, Any]:
        _check_positions(positions, len(arguments))
        values_given = any(isinstance(arguments[position], Value) for position in positions)
        record_wanted = values_given and is_recording()
        with recording(True):
            inner_arguments = list(arguments)
            for position in positions:
                inner_arguments[position] = _fresh(arguments[position])
            inputs = [inner_arguments[position] for position in positions]
            enclosing = _enclosing_arguments.get()
            token = _enclosing_arguments.set((*enclosing, *inputs))
            try:
                out = single(function(*inner_arguments, **options))
            finally:
                _enclosing_arguments.reset(token)
            # If the function has used the argument of a `grad` around this one, the gradient
            # depends on that argument too. It has to be recorded, or the outer derivative would
            # lack a term.
            create_graph = record_wanted or _depends_on_any(out, enclosing)
            slopes = gradients(out, inputs, create_graph=create_graph)
        value: Any = out
        if not create_graph:
            value = out.detach().data
            if values_given:
                value = Value(value)
                slopes = [Value(slope) for slope in slopes]
        return value, tuple(slopes) if several else slopes[0]

    return differentiated


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns `function`'s gradient; `argnums` is as for `value_and_grad`.

    It can be applied again to its own result, for derivatives of any order.

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


def single(out: Data | Value) -> Value:
    """A function's result as a Value; a `ValueError` unless it has one element.

    The result may be a plain number: then it does not depend on the function's arguments.
    """
    value = out if isinstance(out, Value) else Value(as_data(out))
    if value.size != 1:
        raise ValueError(
            "expected a function that computes one element, but this one gave a result of shape "
            f"{value.shape}"
        )
    return value


def ancestors(output: Node) -> Iterator[Node]:
    """Every node that `output` was computed from, each once; `output` itself comes first."""
    seen = {output}
    nodes = [output]
    for node in nodes:  # the list grows during the loop, which goes on to the nodes added
        yield node
        for x in node._operands:
            if isinstance(x, Node) and x not in seen:
                seen.add(x)
                nodes.append(x)


def _check_positions(positions: Sequence[int], count: int) -> None:
    """A `TypeError` unless a call with `count` arguments by position has one at each of these."""
    for position in positions:
        if not -count <= position < count:
            raise TypeError(
                f"argnums asks for argument {position}, but the call gave {count} by position"
            )


def _fresh(x: Any) -> Any:
    """An argument as a new Value, which nothing else uses.

    The function may also use the same Value in another way, as one of its constants. That use must
    not count as a use of the argument, so the argument needs an identity of its own.
    """
    return positive(x) if isinstance(x, Value) else Value(x)


def _depends_on_any(output: Value, values: tuple[Value, ...]) -> bool:
    """Whether `output` was computed from any of the values."""
    if not values:
        return False  # without a walk through the graph
    return not set(values).isdisjoint(ancestors(output))
