"""A graph as it was recorded, step by step, and what one reverse pass sends along each edge: for pictures of both."""

from typing import Any, NamedTuple

import numpy as np

from microgd.arrays import Data, same
from microgd.backprop import fit, seed, shares
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
    """Everything that `output` was computed by. Its steps are the computed values, in the order of recording."""

    def __init__(self, output: Value) -> None:
        computed: list[Any] = [node for node in ancestors(output) if node._operation]
        self.output, self.steps = output, sorted(computed, key=lambda node: node._ticket)
        # (After what the operands held, `saved` has the options.)
        uses = [
            use
            for step in self.steps
            for use in zip(step.inputs, step.saved, strict=False)
            if isinstance(use[0], Value)
        ]
        self.held: dict[
            Value, list[Data]
        ] = {}  # each Value's data when it was used, if not the same at each use
        for x, held in [*uses, (output, output._numbers)]:
            if not any(same(held, other) for other in self.held.setdefault(x, [])):
                self.held[x].append(held)
        # The leaves that have changed since. (Not a list: there `in` would compare what Values hold.)
        self.moved = dict.fromkeys(x for x, held in uses if not same(x._numbers, held))
        # Once there has been a reverse pass, what it sent: along each edge, in order; to each Value, one by one; and in all.
        self.contributions: dict[
            tuple[Value, int], Contribution
        ] = {}  # by the result and the position of the operand
        self.shares: dict[Value, list[Data]] = {x: [] for x in self.held}
        self.gradient: dict[Value, Data] = {}

    @np.errstate(all="ignore")  # who called `backward` has been warned
    def go_back(self) -> None:
        """Do a reverse pass, which writes no `grad`.

        It starts with the `grad` of the output; where that is None, with 1 (`ValueError` if there is more than one element).
        """
        self.gradient[self.output] = seed(self.output, self.output.grad)
        for result in reversed(
            self.steps
        ):  # what used a result was recorded after it, so the result's gradient is complete
            op, g, number = (
                result._operation,
                self.gradient[result],
                isinstance(result._numbers, float),
            )
            flows: list[Any] = list(shares(result, g))
            # The local derivative is what the rule makes of an upstream gradient of 1.
            slopes = shares(result, 1.0) if number else flows
            positions = [i for i, x in enumerate(result.inputs) if isinstance(x, Value)]
            for i, (x, share, held), (_, slope, _) in zip(positions, flows, slopes, strict=True):
                slope = fit(slope, held, op) if number and isinstance(held, float) else None
                share, before = fit(share, held, op), self.gradient.get(x)
                self.gradient[x] = share if before is None else before + share
                self.shares[x].append(share)
                self.contributions[result, i] = Contribution(
                    result, i, x, g, slope, share, before, self.gradient[x]
                )
