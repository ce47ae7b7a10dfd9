"""Derivatives as results: of a value, `gradients`; of a function, `grad`, which gives the function that is f's derivative."""

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import wraps
from itertools import islice
from typing import Any

import numpy as np

from microgd.arrays import Data, as_data, check_flag
from microgd.backprop import Node, owned, reverse_pass, seed
from microgd.checks import check_count, check_list, check_type
from microgd.operations import positive
from microgd.recording import is_recording, recording
from microgd.value import Value


def gradients(output: Value, inputs: Sequence[Value], create_graph: bool = False) -> list[Any]:
    """d `output` / d input for each of the inputs, leaves or computed, as numbers and arrays; writes no `grad`.

    With `create_graph=True` they are Values, recorded as they are computed, and can be differentiated again.
    An input that the output does not depend on gets zeros. `output` has one element (`ValueError`).

    >>> x = Value(2.0)
    >>> (slope,) = gradients(x**3, [x], create_graph=True)
    >>> slope.item(), gradients(slope, [x])
    (12.0, [12.0])
    """
    inputs = check_list("inputs", inputs)
    check_type("an output that is a Value", Value, output)
    check_flag("create_graph", create_graph)
    wanted = set(inputs)
    reached = (
        (node, g) for node, g in reverse_pass(output, seed(output), create_graph) if node in wanted
    )
    found = dict(islice(reached, len(wanted)))  # no further back than to the last of them
    taken: set[int] = set()
    results = [
        found.get(x, 0.0 if isinstance(x._numbers, float) else np.zeros_like(x._numbers))
        for x in inputs
    ]
    if create_graph:
        return [g if isinstance(g, Value) else Value(g) for g in results]
    return [owned(g, taken) for g in results]


def hvp(output: Value, inputs: Sequence[Value], vectors: Sequence[Any]) -> list[Any]:
    """The Hessian of `output`, all its second derivatives with respect to the inputs, times a vector: a part for each input.

    The vector comes in parts, numbers and arrays of the inputs' shapes (`ValueError`), and so does the product. For n
    numbers the Hessian has n² elements, but this takes two reverse passes: it is the gradient of the gradient's dot product
    with the vector. (Pearlmutter, Fast exact multiplication by the Hessian, 1994.)

    >>> x, y = Value(3.0), Value(2.0)
    >>> hvp(x**2 * y, [x, y], [1.0, 0.0])  # the Hessian's first column, 2y and 2x
    [4.0, 6.0]
    """
    inputs = check_list("inputs", inputs)
    check_type("vectors to be a list, a part for each input", Sequence | np.ndarray, vectors)
    if len(vectors) != len(inputs):
        raise ValueError(f"expected a vector for each input, {len(inputs)}, but got {len(vectors)}")
    parts = [seed(x, as_data(v, x._numbers)) for x, v in zip(inputs, vectors, strict=True)]
    with recording(True):
        slopes = gradients(output, inputs, create_graph=True)
        return gradients(
            sum(
                ((slope * part).sum() for slope, part in zip(slopes, parts, strict=True)),
                Value(0.0),
            ),
            inputs,
        )


# The arguments that the calls of `grad` around this one differentiate with respect to.
_enclosing: ContextVar[tuple[Value, ...]] = ContextVar("enclosing", default=())


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0
) -> Callable[..., Any]:
    """The function that returns `function`'s value and its gradient, as a pair.

    `argnums` says by position which arguments to differentiate with respect to; for several of them the gradient is a
    tuple. They are numbers or arrays, and so are the results; where they are Values, so are the results, recorded and
    differentiable. Other Values that `function` uses are constants to it, except the arguments of a `grad` around this
    one. `function` must compute one element (`ValueError`).

    >>> value_and_grad(lambda x, y: x**2 * y, argnums=(0, 1))(3.0, 2.0)
    (18.0, (12.0, 9.0))
    """
    check_type("a function", Callable, function)
    several = isinstance(argnums, list | tuple)
    positions = [check_count("position in argnums", n) for n in (argnums if several else [argnums])]  # type: ignore[union-attr]

    @wraps(function)
    def differentiated(*arguments: Any, **options: Any) -> tuple[Any, Any]:
        for position in positions:
            if not -len(arguments) <= position < len(arguments):
                raise TypeError(
                    f"argument {position} is to be differentiated, but {len(arguments)} came by position"
                )
        values_given = any(isinstance(arguments[position], Value) for position in positions)
        inside_no_grad = not is_recording()
        inner = list(arguments)
        with recording(True):
            for position in positions:
                x = arguments[position]
                # A Value goes in under a new identity: the function may use the same Value in another way besides,
                # which must not count as a use of this argument.
                inner[position] = positive(x) if isinstance(x, Value) else Value(x)
            tracked = [inner[position] for position in positions]
            outer = _enclosing.get()
            token = _enclosing.set((*outer, *tracked))
            try:
                out = function(*inner, **options)
            finally:
                _enclosing.reset(token)
            out = single(out)
            # A function may use the argument of a `grad` around this one. Then the result depends on it too, and has
            # to be recorded, or the outer derivative would lack a term.
            create_graph = (values_given and not inside_no_grad) or not set(outer).isdisjoint(
                ancestors(out) if outer else ()
            )
            slopes = gradients(out, tracked, create_graph=create_graph)
        if not create_graph:
            out = out.detach().data
            if values_given:
                out, slopes = Value(out), [Value(slope) for slope in slopes]
        return out, tuple(slopes) if several else slopes[0]

    return differentiated


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The function that returns `function`'s gradient: see `value_and_grad`. It nests, for derivatives of any order.

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
    """The function's result as a Value; one that does not depend on the arguments may be a number."""
    value = out if isinstance(out, Value) else Value(as_data(out))
    if value.size != 1:
        raise ValueError(
            f"grad needs a function that computes one element, but this one gave shape {value.shape}"
        )
    return value


def ancestors(output: Node) -> Iterator[Node]:
    """Every node that `output` was computed from, itself first, each once."""
    seen, nodes = {output}, [output]
    for node in nodes:
        yield node
        for x in node.inputs:
            if isinstance(x, Node) and x not in seen:
                seen.add(x)
                nodes.append(x)
