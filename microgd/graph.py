"""A graph as it was recorded, step by step, and what one reverse pass sends along each edge: for pictures of both."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from microgd.arrays import Data, same
from microgd.backprop import fit, seed, shares
from microgd.functional import ancestors
from microgd.value import Value


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One recorded operation."""

    result: Value
    operation: str
    operands: tuple[Any, ...]  # Values, and constants as they were given
    held: tuple[Any, ...]  # what the operands held at the time
    options: dict[str, Any]  # those that are not what they are by default


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """What one operand of a step gets from the gradient of the step's result."""

    step: Step
    position: int  # of the operand
    operand: Value
    upstream: Data  # the gradient of the result
    slope: float | None  # the local derivative, d result / d operand, where both are numbers
    share: Data  # their product, which flows back
    before: Data | None  # what the operand had already, from other uses; None before the first
    total: Data  # what it has now


class Graph:
    """Everything that `output` was computed by: each operation as a step, in the order of recording."""

    def __init__(self, output: Value) -> None:
        computed: list[Any] = [node for node in ancestors(output) if node._operation]
        self.output = output
        self.steps = [_step(node) for node in sorted(computed, key=lambda node: node._ticket)]
        uses = [(x, step.held[i]) for step in self.steps for i, x in enumerate(step.operands) if isinstance(x, Value)]
        self.held: dict[Value, list[Data]] = {}  # each Value's data when it was used, if not the same at each use
        for x, held in [*uses, (output, output._held)]:
            if not any(same(held, other) for other in self.held.setdefault(x, [])):
                self.held[x].append(held)
        # The leaves that have changed since. (Not a list: there `in` would compare what Values hold.)
        self.moved = dict.fromkeys(x for x, held in uses if not same(x._held, held))
        self.contributions: list[Contribution] = []  # in the order of the reverse pass, once it has been done
        self.gradient: dict[Value, Data] = {}

    @np.errstate(all="ignore")  # who called `backward` has been warned
    def go_back(self) -> None:
        """Do a reverse pass, which writes no `grad`.

        It starts with the `grad` of the output; where that is None, with 1 (`ValueError` if there is more than one element).
        """
        self.gradient[self.output] = seed(self.output, self.output.grad)
        for step in reversed(self.steps):  # what used a result was recorded after it, so the result's gradient is complete
            node: Any = step.result
            op, g = node._operation, self.gradient[node]
            positions = [i for i, x in enumerate(step.operands) if isinstance(x, Value)]
            # The local derivative is what the rule makes of an upstream gradient of 1.
            slopes = shares(node, 1.0) if isinstance(node._held, float) else repeat((None, None, None))
            x: Any
            slope: Any
            for i, (x, share, held), (_, slope, _) in zip(positions, shares(node, g), slopes):  # noqa: B905 (`repeat` has no end)
                slope = fit(slope, held, op) if slope is not None and isinstance(held, float) else None
                share, before = fit(share, held, op), self.gradient.get(x)
                self.gradient[x] = share if before is None else before + share
                self.contributions.append(Contribution(step, i, x, g, slope, share, before, self.gradient[x]))


def _step(node: Any) -> Step:
    op, arity = node._operation, len(node.inputs)
    options = {
        name: option
        for (name, default), option in zip(op.options.items(), node.saved[arity:], strict=True)
        if repr(option) != repr(default) and name != "kept"  # which are a rule's own notes: see cross_entropy
    }
    return Step(node, op.name, node.inputs, node.saved[:arity], options)
