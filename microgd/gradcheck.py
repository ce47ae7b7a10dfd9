"""Gradients against finite differences: the check that a derivative rule is right."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from microgd.arrays import as_data, shown
from microgd.checks import check_number, check_type
from microgd.functional import gradients
from microgd.recording import recording
from microgd.value import Value

Weighed = tuple[Value, float, float]  # see `_weigh`


class GradientError(AssertionError):
    """A gradient differs from finite differences: `operand`, `index`, `expected` and `got` say where, and by how much."""

    def __init__(
        self, order: int, operand: int, index: tuple[int, ...], expected: float, got: float
    ) -> None:
        self.order, self.operand, self.index, self.expected, self.got = (
            order,
            operand,
            index,
            expected,
            got,
        )
        wrong = f"the gradient{' of the gradient' * (order == 2)} for operand {operand} at index {index} is wrong"
        found = f"finite differences expect {expected:.9g}, backpropagation got {got:.9g}"
        super().__init__(
            f"{wrong}: {found} (the derivative of f, or of a weighted sum of its elements)"
        )
        self._arguments = order, operand, index, expected, got

    def __reduce__(
        self,
    ) -> Any:  # else unpickling, as by a pool of processes, would give the message as the order
        return type(self), self._arguments


def check_gradients(
    f: Callable[..., Any], *inputs: ArrayLike | Value, order: int = 1, tolerance: float = 1e-6
) -> None:
    """Raise a `GradientError` unless f's gradients for all its inputs agree with central differences, in float64.

    f takes as many Values as there are inputs and returns one, of any shape. `order=2` also checks the gradients of the
    gradients. The inputs should lie away from kinks and ties, where a difference quotient measures no derivative, and from
    places where f bends within a thousandth, as log does close to 0: there it measures the derivative badly.

    `tolerance` is relative. What is allowed beyond it is what rounding does to the differences, estimated from the
    size of f's values: a fixed absolute allowance would pass any rule whose gradients are small.

    >>> check_gradients(lambda x, y: (x * y).exp(), [0.5, 1.0], 2.0, order=2)
    """
    check_type("a function", Callable, f)
    if np.ndim(order) or order not in (1, 2):
        raise ValueError(f"expected an order of 1 or 2, but got {shown(order)}")
    tolerance = check_number("tolerance", tolerance)
    points = [np.array(as_data(x.data if isinstance(x, Value) else x), np.float64) for x in inputs]

    def weighed(values: list[Value]) -> Weighed:
        return _weigh(f(*values), seed=0)

    def weighed_gradients(values: list[Value]) -> Weighed:
        slopes = gradients(weighed(values)[0], values, create_graph=True)
        parts = [_weigh(slope, seed) for seed, slope in enumerate(slopes, 1)]
        return (
            sum((total for total, _, _ in parts), Value(0.0)),
            sum(size for _, size, _ in parts),
            1.0,
        )

    with recording(True):
        first, again = (weighed([Value(point) for point in points])[0].item() for _ in range(2))
        if first != again:
            raise ValueError(
                f"f gave two results at the same inputs, {first!r} and {again!r}: does it draw random numbers, or keep a state?"
            )
        _compare(weighed, points, 1, False, tolerance)
        if order == 2:
            _compare(weighed, points, 1, True, tolerance)
            _compare(weighed_gradients, points, 2, False, tolerance)


def _weigh(value: Any, seed: int) -> Weighed:
    """One number made of many, their weighed sum; the sum of the sizes of its terms; and the weight, if there is but one.

    The weights are random, but in every call the same. A plain sum would let errors in two elements cancel, and would miss
    a gradient that is the same for all of them; and a weight of 1 would not tell a rule that forgets the upstream gradient.
    """
    value = value if isinstance(value, Value) else Value(value)  # f need not depend on its inputs
    data = np.asarray(value.data, np.float64)
    if not np.isfinite(data).all():
        raise ValueError(
            "f, or its gradient, is not finite at these inputs or right beside them: cannot check it there"
        )
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 1.5, data.shape) * rng.choice([-1.0, 1.0], data.shape)
    total = (value * (weights if data.ndim else float(weights))).sum()
    return total, float(np.abs(data * weights).sum()), weights.item() if data.size == 1 else 1.0


def _compare(
    f: Callable[..., Weighed], points: list[Any], order: int, graph: bool, tolerance: float
) -> None:
    """Compare every partial derivative of f."""
    values = [Value(point) for point in points]
    out, size, scale = f(values)
    slopes = gradients(out, values, create_graph=graph)
    for operand, (point, slope) in enumerate(zip(points, slopes, strict=True)):
        got_all = np.asarray(slope.data if isinstance(slope, Value) else slope)
        for index in np.ndindex(point.shape):
            x, f_at = float(point[index]), partial(_moved, f, points, operand, index)
            # Small next to x, to stay in the domain of log or sqrt, and next to sin's waves; but more than x is rounded by.
            step = max(1e-6, 1e-4 * min(abs(x), 1.0), 1e-8 * abs(x))
            near, far = (
                (f_at(x + h) - f_at(x - h)) / ((x + h) - (x - h)) for h in (step, 2 * step)
            )
            # Richardson's extrapolation: the error of a central difference shrinks with h², so this cancels it.
            expected, got = float(4 * near - far) / 3, float(got_all[index])
            rounding = 100 * np.finfo(np.float64).eps * size / step
            if not abs(expected - got) <= tolerance * max(abs(expected), abs(got)) + rounding:
                raise GradientError(order, operand, index, expected / scale, got / scale)


def _moved(
    f: Callable[..., Weighed], points: list[Any], operand: int, index: tuple[int, ...], to: Any
) -> float:
    """f with one number of one operand changed."""
    values = [p.copy() for p in points]
    values[operand][index] = to
    return f([Value(p) for p in values])[0].item()
