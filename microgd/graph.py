"""A graph as it was recorded, step by step, and what one reverse pass sends along each edge: for pictures of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from microgd.arrays import Data, same
from microgd.backprop import Node, fit, reverse_pass, seed, shares
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

    def moved(self, position: int) -> bool:
        """Whether this operand, a leaf, holds something else by now."""
        x = self.operands[position]
        return isinstance(x, Value) and not same(x._held, self.held[position])


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """What one operand of a step gets from the gradient of the step's result."""

    step: Step
    position: int  # of the operand
    upstream: Data  # the gradient of the result
    slope: float | None  # the local derivative, d result / d operand, where both are numbers
    share: Data  # their product, which flows back
    before: Data | None  # what the operand had already, from other uses; None before the first
    total: Data  # what it has now

    @property
    def operand(self) -> Value:
        """The Value that gets it."""
        value: Value = self.step.operands[self.position]
        return value


def steps(output: Value) -> list[Step]:
    """Every operation that `output` was computed by, in the order of recording."""
    computed: list[Any] = [node for node in ancestors(output) if node._operation]
    found = []
    for node in sorted(computed, key=lambda node: node._ticket):
        op, arity = node._operation, len(node.inputs)
        options = {
            name: option
            for (name, default), option in zip(op.options.items(), node.saved[arity:], strict=True)
            if repr(option) != repr(default) and not isinstance(option, list)  # which may hold a rule's own notes
        }
        found.append(Step(node, op.name, node.inputs, node.saved[:arity], options))
    return found


def contributions(output: Value) -> tuple[Data, list[Contribution]]:
    """The gradient that a reverse pass of this graph starts with, and what it sends along each edge, in its order.

    It starts with the `grad` of `output`; where that is None, with 1 (`ValueError` if there is more than one element).
    No `grad` is written.
    """
    step_of: dict[Any, Step] = {step.result: step for step in steps(output)}
    found, so_far = [], dict[Any, Data]()
    start = seed(output, output.grad)
    node: Any
    for node, g in reverse_pass(output, start):
        if node not in step_of:  # a leaf
            continue
        step, op = step_of[node], node._operation
        positions = [i for i, x in enumerate(step.operands) if isinstance(x, Node)]
        # The local derivative is what the rule makes of an upstream gradient of 1.
        slopes = [s for _, s, _ in shares(node, 1.0)] if isinstance(node._held, float) else [None] * len(positions)
        for i, slope, (x, share, held) in zip(positions, slopes, shares(node, g), strict=True):
            share, before = fit(share, held, op, False), so_far.get(x)
            slope = fit(slope, held, op, False) if isinstance(node._held, float) and isinstance(held, float) else None
            so_far[x] = share if before is None else before + share
            found.append(Contribution(step, i, g, slope, share, before, so_far[x]))
    return start, found
