"""How a derivative rule is checked: backpropagation against difference quotients.

A derivative says how much f changes when x changes a little. This can be measured without any rule:
move x by a small step h to both sides, and compute the *central difference quotient*

    (f(x + h) - f(x - h)) / 2h

`check_gradients` measures this quotient for each element of the inputs in turn, and compares it
with the gradient from backpropagation. For training it would be far too slow: for a million
weights, f would have to be computed two million times in each step. But as a check it is ideal: it
uses nothing except f, so it does not repeat an error of a rule. Why not (f(x + h) - f(x)) / h? The
error of this one-sided quotient shrinks in proportion to h, that of the central one to h².

*Why a weighted sum?* Backpropagation starts from one number, but f may have many elements. So the
check takes the sum of f's elements, each times a random weight. A plain sum would hide mistakes.
Errors in two elements could cancel. The elements of a softmax always sum to 1, so the gradient of
their sum is 0, and a rule that returns 0 would pass. And every upstream gradient would be 1, so a
rule that forgets to multiply by it would pass too.

*Which step?* If h is large, the quotient is the slope of a chord and not the slope at x. If h is
tiny, f(x + h) and f(x - h) agree in most of their 16 digits (float64). Then their difference is
little more than rounding errors, and the division by 2h magnifies these. The step used is a
ten-thousandth of |x|, but no less than 1e-6 and no more than 1e-4, except for |x| above 10,000
(`_step`). A second quotient, with the step 2h, makes it possible to remove most of the error that h
causes (`_measured_derivative`).

*How close must the two be?* They may differ by `tolerance` (1e-6 unless the caller gives another)
times the larger of the two, plus what rounding can do to the quotient (`_rounding_error`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from microgd.arrays import as_data, shown
from microgd.checks import check_number, check_type
from microgd.functional import gradients
from microgd.recording import recording
from microgd.value import Value


class GradientError(AssertionError):
    """A gradient from backpropagation differs from the measured one.

    `order` is 1 for a gradient of f, and 2 for a gradient of its gradients. `operand` and `index`
    say which element of which input it belongs to. `expected` was measured by central differences,
    `got` came from backpropagation.
    """

    def __init__(
        self, order: int, operand: int, index: tuple[int, ...], expected: float, got: float
    ) -> None:
        self.order = order
        self.operand = operand
        self.index = index
        self.expected = expected
        self.got = got
        self._arguments = order, operand, index, expected, got
        if order == 1:
            gradient = "the gradient"
            measured = "of f or, if f has several elements, of a weighted sum of them"
        else:
            gradient = "the gradient of the gradient"
            measured = "of a weighted sum of the gradient's elements"
        super().__init__(
            f"{gradient} for operand {operand} at index {index} is wrong: the central differences "
            f"(f(x + h) - f(x - h)) / 2h expect {expected:.9g}, but backpropagation got {got:.9g} "
            f"(both are derivatives {measured})"
        )

    def __reduce__(self) -> Any:
        # By default an exception is unpickled with its message as the only argument. Pools of
        # processes pickle exceptions to hand them over.
        return type(self), self._arguments


def check_gradients(
    f: Callable[..., Any], *inputs: ArrayLike | Value, order: int = 1, tolerance: float = 1e-6
) -> None:
    """Raise a `GradientError` unless f's gradients for all inputs agree with central differences.

    `f` takes as many Values as there are inputs, all in float64, and returns one Value of any
    shape. The gradient for each element of the inputs is compared with the quotient
    (f(x + h) - f(x - h)) / 2h, where only that element is moved; the beginning of gradcheck.py
    explains this. `order=2` also checks the gradients of the gradients.

    Choose inputs away from kinks and ties, where a difference quotient measures no derivative. Also
    keep away from places where f bends within a distance of 0.001, as log does close to 0: there
    the quotient is inaccurate.

    `tolerance` is relative. On top of it, the check allows for the rounding errors of the quotient,
    which it estimates from the size of f's values. A fixed absolute allowance instead would pass
    any rule whose gradients are small.

    >>> check_gradients(lambda x, y: (x * y).exp(), [0.5, 1.0], 2.0, order=2)
    """
    check_type("a function", Callable, f)
    if np.ndim(order) or order not in (1, 2):
        raise ValueError(f"expected an order of 1 or 2, but got {shown(order)}")
    tolerance = check_number("tolerance", tolerance)
    points: list[Any] = []
    for x in inputs:
        numbers = x.data if isinstance(x, Value) else x
        points.append(np.array(as_data(numbers), np.float64))

    def weighted_f(values: list[Value]) -> _WeightedSum:
        return _weighted_sum(f(*values), seed=0)

    def weighted_gradients(values: list[Value]) -> _WeightedSum:
        slopes = gradients(weighted_f(values).total, values, create_graph=True)
        parts = [_weighted_sum(slope, seed) for seed, slope in enumerate(slopes, 1)]
        total = sum((part.total for part in parts), Value(0.0))
        size = sum(part.size for part in parts)
        return _WeightedSum(total, size, 1.0)

    with recording(True):
        once = weighted_f([Value(point) for point in points]).total.item()
        again = weighted_f([Value(point) for point in points]).total.item()
        if once != again:
            raise ValueError(
                f"f gave two results at the same inputs, {once!r} and {again!r}: "
                f"does it draw random numbers, or keep a state?"
            )
        _compare(weighted_f, points, 1, False, tolerance)
        if order == 2:
            # Second derivatives need the gradients as a recorded graph, for which the rules get
            # Values in place of numbers. So check that these gradients are right, then theirs.
            _compare(weighted_f, points, 1, True, tolerance)
            _compare(weighted_gradients, points, 2, False, tolerance)


class _WeightedSum(NamedTuple):
    """The result of `_weighted_sum`: the elements of a function made into one number."""

    total: Value
    size: float  # the sum of the terms' absolute values: it tells how large rounding errors are
    weight: float  # if there is only one element, its weight; otherwise 1


def _weighted_sum(result: Any, seed: int) -> _WeightedSum:
    """The sum of the result's elements, each times a random weight.

    The weights lie between 0.5 and 1.5, so every element counts. Their signs differ, so that a rule
    that loses the sign of the upstream gradient is found too. Every call with the same seed uses
    the same weights, so that all calls compute the same function.
    """
    value = result if isinstance(result, Value) else Value(result)  # f may ignore its inputs
    data = np.asarray(value.data, np.float64)
    if not np.isfinite(data).all():
        raise ValueError(
            "f, or its gradient, is not finite at these inputs or right beside them: "
            "it can't be checked there"
        )
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0.5, 1.5, data.shape)
    signs = rng.choice([-1.0, 1.0], data.shape)
    weights = sizes * signs
    total = (value * (weights if data.ndim else float(weights))).sum()
    size = float(np.abs(data * weights).sum())
    return _WeightedSum(total, size, weights.item() if data.size == 1 else 1.0)


def _compare(
    f: Callable[..., _WeightedSum],
    points: list[Any],
    order: int,
    create_graph: bool,
    tolerance: float,
) -> None:
    """Compare f's derivative for each element of each input; a `GradientError` if one is wrong."""
    values = [Value(point) for point in points]
    total, size, weight = f(values)
    slopes = gradients(total, values, create_graph=create_graph)
    for operand, (point, slope) in enumerate(zip(points, slopes, strict=True)):
        gradient = np.asarray(slope.data if isinstance(slope, Value) else slope)
        for index in np.ndindex(point.shape):
            x = float(point[index])
            h = _step(x)
            expected = _measured_derivative(partial(_moved, f, points, operand, index), x, h)
            got = float(gradient[index])
            largest = max(abs(expected), abs(got))
            allowed = tolerance * largest + _rounding_error(size, h)
            # Not `>`: a nan would pass, since every comparison with it is false.
            if not abs(expected - got) <= allowed:
                raise GradientError(order, operand, index, expected / weight, got / weight)


def _moved(
    f: Callable[..., _WeightedSum], points: list[Any], operand: int, index: tuple[int, ...], x: Any
) -> float:
    """f at these points, but with one element of one operand set to x."""
    values = [point.copy() for point in points]
    values[operand][index] = x
    return f([Value(point) for point in values]).total.item()


def _step(x: float) -> float:
    """The step h for measuring the derivative at x.

    It is small next to x, so that x ± 2h stays in the domain of log or sqrt, and small next to the
    waves of sin. For large x it is 1e-8 * |x|, to be far above the rounding of x + h, which is up
    to 1.1e-16 * |x|.
    """
    return max(1e-6, 1e-4 * min(abs(x), 1.0), 1e-8 * abs(x))


def _measured_derivative(f_at: Callable[[float], float], x: float, h: float) -> float:
    """The derivative of f at x, from the central difference quotients with the steps h and 2h.

    The error of a central difference quotient is c * h² plus terms with h⁴ and higher powers, where
    c depends on f and x. The step 2h makes the first term four times as large, so it cancels in
    (4 * near - far) / 3. This is Richardson's extrapolation.
    """
    near = _central_difference(f_at, x, h)
    far = _central_difference(f_at, x, 2 * h)
    return (4 * near - far) / 3


def _central_difference(f_at: Callable[[float], float], x: float, h: float) -> float:
    """(f(x + h) - f(x - h)) / 2h."""
    above = x + h
    below = x - h
    # x + h and x - h are rounded, so their distance is not exactly 2h.
    return (f_at(above) - f_at(below)) / (above - below)


def _rounding_error(size: float, h: float) -> float:
    """How far rounding can move the quotient, if the terms of f add up to `size` in absolute value.

    One operation in float64 is off by up to eps / 2 = 1.1e-16 of its result. f takes many
    operations, so 100 eps are allowed. Dividing by the step magnifies the error.
    """
    return float(100 * np.finfo(np.float64).eps * size / h)
