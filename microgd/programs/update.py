"""How an optimizer moves its parameters, written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.arrays import as_data
from microgd.programs.stand_ins import CannotFollow, StandIn
from microgd.programs.trace import Input, Trace


class Update:
    """The update of a step: what `nudge` computes for each parameter.

    `from_second_step` writes the update of a later step, when velocities and the like exist.
    `given` holds an example of each parameter's gradient; then the program takes gradients as
    arguments. Without it, the program computes them.
    """

    def __init__(
        self,
        optimizer: Any,
        from_second_step: bool = False,
        given: Mapping[Any, Any] | None = None,
    ) -> None:
        self.optimizer = optimizer
        self._given = given
        self._examples: dict[Any, dict[str, Any]] = {}
        if from_second_step:
            for p in optimizer.parameters:
                self._examples[p] = _state_after_a_step(optimizer, p)
        self.lr: StandIn | None = None
        self.moved: list[Moved] = []

    def trace(self, made: Trace) -> None:
        """Call `nudge` with stand-ins, for each parameter that has a gradient."""
        optimizer = self.optimizer
        record = made.record
        self._add_given(made)
        gradients = dict(made.gradients)
        numbers = {each.value: each.stand_in for each in made.inputs if each.value is not None}
        self.lr = record.input("lr", optimizer.lr)
        made.inputs.append(Input(self.lr, "lr"))
        # (copy.copy would leave a trace of itself in the optimizer's class.)
        twin = object.__new__(type(optimizer))
        vars(twin).update(vars(optimizer), lr=self.lr)
        taken: set[Any] = set()
        for i, p in enumerate(optimizer.parameters):
            gradient = gradients.get(p)
            if gradient is None:
                continue
            if self._given is None:  # the step stores it
                gradient = _in_memory_of_its_own(gradient, taken)
            kept = optimizer._kept[p]
            state = {}
            for name, x in (kept.state or self._examples.get(p, {})).items():
                state[name] = record.input(f"{name}_{i}", x)
                made.inputs.append(Input(state[name], f"{name}_{i}", ("state", i, name), kept))
            number = numbers[p]
            fitted = _laid_out_like(gradient, number)
            nudge, new_state = _nudged(twin, number, fitted, state)
            if new_state is not state:
                for name, x in new_state.items():
                    new_state[name] = _own(x, gradient, taken)
                    if type(x) is not StandIn:  # the same in every step
                        new_state[name] = record.result("constant", x, (), None, x)
            next_number: Any = as_data(number + nudge)
            self.moved.append(Moved(p, kept, number, gradient, next_number, new_state))

    def _add_given(self, made: Trace) -> None:
        """Make the gradients that are given arguments of the program."""
        for i, p in enumerate(self.optimizer.parameters):
            if self._given is not None and p in self._given:
                stand_in = made.record.input(f"gradient_{i}", self._given[p])
                made.inputs.append(Input(stand_in, f"gradient_{i}", ("gradient", i)))
                made.gradients.append((p, stand_in))


def _state_after_a_step(optimizer: Any, p: Any) -> dict[str, Any]:
    """An example of a parameter's state after its first step."""
    gradient = np.ones_like(p._numbers) if p.shape else 1.0
    _, state = optimizer._nudge(p, gradient, {})
    return dict(state)


def separate_gradients(made: Trace) -> None:
    """Give each gradient of a Value that the function finds the array that `backward` would store.

    See memory.separate. Whether an array is copied is seen in the order of its elements in memory,
    and sums of them round differently in another order.
    """
    found = dict(made.gradients)
    made.gradients = []
    taken: set[Any] = set()
    for node, total in made.totals:
        if node in found:
            made.gradients.append((node, _in_memory_of_its_own(found[node], taken)))
        elif type(total) is StandIn and type(total._value) is ndarray:
            taken.add(total._owner)


def _in_memory_of_its_own(gradient: StandIn, taken: set[Any]) -> Any:
    """A gradient as it is stored: see memory.separate."""
    value = gradient._value
    if type(value) is not ndarray:
        return gradient
    owner = gradient._owner
    is_shared = owner in taken or owner._kind in ("input", "constant")
    if is_shared or not value.flags.writeable:
        gradient = gradient.copy()
        owner = gradient
    taken.add(owner)
    return gradient


def _laid_out_like(gradient: Any, number: Any) -> Any:
    """A gradient in the order in memory of its parameter, as `Kept.gradient` gives it."""
    value = gradient._value
    if type(value) is not ndarray or value.strides == number._value.strides:
        return gradient
    order = "F" if number._value.flags.f_contiguous else "C"
    return gradient.copy(order)


def _nudged(twin: Any, number: Any, gradient: Any, state: dict[str, Any]) -> Any:
    """What `nudge` returns, converted as `Optimizer._nudge` does; the same state if it kept it."""
    given_nudge, new_state = twin.nudge(number, gradient, dict(state))
    nudge: Any = as_data(given_nudge, number)
    if np.shape(nudge) != np.shape(number):
        raise CannotFollow("the nudge has another shape than the parameter")
    if nudge.dtype != number.dtype:
        nudge = nudge.astype(number.dtype)
    is_kept = new_state.keys() == state.keys() and all(x is state[k] for k, x in new_state.items())
    if is_kept:
        return nudge, state
    return nudge, {name: as_data(x, number) for name, x in new_state.items()}


def _own(x: Any, gradient: StandIn, taken: set[Any]) -> Any:
    """A part of a new state, in memory of its own."""
    if type(x) is StandIn and type(x._value) is ndarray:
        if x._owner in taken or x._owner is not x or x._kind in ("input", "constant"):
            return x.copy("K")
        taken.add(x)
    return x


class Moved:
    """A parameter that a step moves."""

    def __init__(
        self,
        parameter: Any,
        kept: Any,
        number: StandIn,
        gradient: StandIn,
        next_number: StandIn,
        state: dict[str, Any],
    ) -> None:
        self.parameter = parameter
        self.kept = kept
        self.number = number
        self.gradient = gradient
        self.next_number = next_number
        self.state = state
