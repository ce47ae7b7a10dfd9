"""A graph as it was recorded, and what one reverse pass sends along each edge: for pictures."""

from typing import Any, NamedTuple

import numpy as np

from microgd.arrays import Data, same
from microgd.backprop import initial_gradient
from microgd.functional import ancestors
from microgd.value import Value


class Contribution(NamedTuple):
    """What one operand of an operation gets from the gradient of the operation's result."""

    result: Value
    position: int  # of the operand
    operand: Value
    upstream: Data  # the gradient of the result
    slope: float | None  # the local derivative, d result / d operand, where both are numbers
    share: Data  # their product, which flows back
    before: Data | None  # what the operand had already, from other uses; None before the first
    total: Data  # what it has now


class Graph:
    """Everything that `output` was computed from.

    Its steps are the computed values, in the order in which they were recorded.
    """

    def __init__(self, output: Value) -> None:
        computed: list[Any] = [node for node in ancestors(output) if node._operands]
        self.output = output
        self.steps: list[Any] = sorted(computed, key=lambda node: node._order)
        uses = []  # each operand that is a Value, and what it held
        for step in self.steps:
            for operand, numbers in zip(step.inputs, step.saved, strict=True):
                if isinstance(operand, Value):
                    uses.append((operand, numbers))
        # What each Value held when it was used: several numbers, if it changed between its uses.
        self.held: dict[Value, list[Data]] = {}
        for x, numbers in [*uses, (output, output._numbers)]:
            different = self.held.setdefault(x, [])
            if not any(same(numbers, other) for other in different):
                different.append(numbers)
        # The leaves that have changed since. (In a list, `in` would compare what they hold.)
        self.moved = dict.fromkeys(x for x, numbers in uses if not same(x._numbers, numbers))
        # What the reverse pass sends, once there has been one: along each edge, which is a result
        # and the position of an operand; to each Value, one by one; and to each Value in all.
        self.contributions: dict[tuple[Value, int], Contribution] = {}
        self.shares: dict[Value, list[Data]] = {x: [] for x in self.held}
        self.gradient: dict[Value, Data] = {}

    @np.errstate(all="ignore")  # `backward` has warned already
    def go_back(self) -> None:
        """Do a reverse pass, which writes no `grad`.

        It starts with the `grad` of the output. If that is None it starts with 1, and raises a
        `ValueError` if the output has more than one element.
        """
        self.gradient[self.output] = initial_gradient(self.output, self.output.grad)
        # An operation that used a result was recorded after it. So in this order the gradient of a
        # result is complete when its turn comes.
        for result in reversed(self.steps):
            g = self.gradient[result]
            shares = list(result._operation.contributions(result, g))
            slopes: list[Any] = [None] * len(shares)
            if isinstance(result._numbers, float):
                # The local derivative is what the rule makes of an upstream gradient of 1.
                slopes = [slope for _, slope in result._operation.contributions(result, 1.0)]
            positions = [i for i, x in enumerate(result.inputs) if isinstance(x, Value)]
            for i, (x, share), slope in zip(positions, shares, slopes, strict=True):
                before = self.gradient.get(x)
                self.gradient[x] = share if before is None else before + share
                self.shares[x].append(share)
                self.contributions[result, i] = Contribution(
                    result=result,
                    position=i,
                    operand=x,
                    upstream=g,
                    slope=slope if isinstance(slope, float) else None,
                    share=share,
                    before=before,
                    total=self.gradient[x],
                )

    @np.errstate(all="ignore")
    def local_derivatives(self, result: Value, steps: list[Any]) -> dict[tuple[Value, int], float]:
        """d result / d operand for each use of an operand in these steps, which are all numbers.

        The chain rule again, from the result back, within the steps that led to it.
        """
        gradient = {result: 1.0}
        derivatives = {}
        for step in reversed(steps):
            g = gradient.get(step)
            if g is None:
                continue
            positions = [i for i, x in enumerate(step.inputs) if isinstance(x, Value)]
            shares = step._operation.contributions(step, g)
            for i, (x, share) in zip(positions, shares, strict=True):
                derivatives[step, i] = share
                gradient[x] = gradient.get(x, 0.0) + share
        return derivatives
