"""A whole step of training as one program: loss, gradients, and the optimizer's update."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from copy import copy
from math import isfinite
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.arrays import as_data
from microgd.backprop import next_order
from microgd.checks import check_type
from microgd.memory import replace
from microgd.optimizer import Optimizer
from microgd.programs.fast import Fast, Program, needed_calls
from microgd.programs.run import MOST_PROGRAMS, is_compared, used_inputs, values_found
from microgd.programs.stand_ins import CannotFollow, StandIn
from microgd.programs.trace import Input, Trace, same_bits, trace
from microgd.programs.watch import RandomStatesKept, Surroundings, Watch
from microgd.value import Value

Loss = Callable[[Any, Any], Any]


class CompiledSteps:
    """Makes the steps of `train.fit`, each as one program."""

    def __init__(
        self,
        model: Callable[..., Any],
        loss: Loss,
        optimizer: Any,
        before_step: Callable[[Any], object] | None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.before_step = before_step
        self._versions: dict[Any, list[_StepVersion]] = {}
        self.reason: str | None = None  # why the steps are made as without compiling

    def step(
        self, x: Any, y: Any, make_step: Callable[[Loss], float], is_first_of_epoch: bool
    ) -> float:
        """Make a step, and return its loss. `make_step(loss)` makes it without a program."""
        if self.reason is not None:
            return make_step(self.loss)
        key = (x.shape, x.dtype, x.strides, y.shape, y.dtype, y.strides)
        versions = self._versions.setdefault(key, [])
        for version in versions:
            if version.fits():
                return self._step_with(version, versions, x, y, make_step, is_first_of_epoch)
        return self._first_step(versions, x, y, make_step)

    def _step_with(
        self,
        version: _StepVersion,
        versions: list[_StepVersion],
        x: Any,
        y: Any,
        make_step: Callable[[Loss], float],
        is_first_of_epoch: bool,
    ) -> float:
        version.runs += 1
        try:
            results = version.compute(x, y)
        except Exception:  # another way, or an error: then its message is the engine's
            return make_step(self.loss)
        if results is None:  # a loss or a gradient is not finite
            return make_step(self.loss)
        if is_first_of_epoch or is_compared(version.runs):
            loss = make_step(self.loss)
            if not version.agrees(results, loss):
                versions.remove(version)
            return loss
        return version.store(results)

    def _first_step(
        self, versions: list[_StepVersion], x: Any, y: Any, make_step: Callable[[Loss], float]
    ) -> float:
        """Make a step without a program, and write one for the next step."""
        watch = Watch(self.model, self.loss)
        surroundings = Surroundings(watch)
        before = next_order()
        seen: dict[str, Any] = {}

        def observed_loss(output: Any, targets: Any) -> Any:
            result = self.loss(output, targets)
            seen["change"] = surroundings.change()
            seen["values"] = values_found(watch, result, before)
            return result

        number = make_step(observed_loss)
        if seen["change"] is not None:
            self._give_up(seen["change"])
        elif len(versions) >= MOST_PROGRAMS:
            name = versions[-1].change()
            self._give_up(f"{name} changes again and again")
        else:
            try:
                versions.insert(0, self._written(watch, seen["values"], x, y))
            except CannotFollow as error:
                self._give_up(str(error))
        return number

    def _written(self, watch: Watch, values: dict[Any, str], x: Any, y: Any) -> _StepVersion:
        """The program of a step."""

        def compute_loss(x: Any, y: Any) -> Any:
            return self.loss(self.model(x), y)

        for p in self.optimizer.parameters:
            values.setdefault(p, p.name or "parameter")
        update = _Update(self.optimizer)
        with RandomStatesKept(watch.generators):
            made = trace(
                compute_loss, (x, y), {}, values, watch, backward=True, finish=update.trace
            )
        return _StepVersion(made, watch, update)

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self._versions.clear()
        warnings.warn(f"the steps are not compiled: {reason}", RuntimeWarning, stacklevel=6)


class _Update:
    """How an optimizer moves its parameters, written down."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.lr: StandIn | None = None
        self.moved: list[_Moved] = []

    def trace(self, made: Trace) -> None:
        """Call `nudge` with stand-ins, for each parameter that has a gradient."""
        optimizer = self.optimizer
        record = made.record
        gradients = dict(made.gradients)
        numbers = {each.value: each.stand_in for each in made.inputs if each.value is not None}
        self.lr = record.input("lr", optimizer.lr)
        made.inputs.append(Input(self.lr, "lr"))
        twin = copy(optimizer)
        vars(twin)["lr"] = self.lr
        taken: set[Any] = set()
        for i, p in enumerate(optimizer.parameters):
            gradient = gradients.get(p)
            if gradient is None:
                continue
            gradient = _in_memory_of_its_own(gradient, taken)
            kept = optimizer._kept[p]
            state = {}
            for name, x in kept.state.items():
                state[name] = record.input(f"{name}_{i}", x)
                made.inputs.append(Input(state[name], f"{name}_{i}", ("state", i, name), kept))
            number = numbers[p]
            fitted = _laid_out_like(gradient, number)
            nudge, new_state = _nudged(twin, number, fitted, state)
            if new_state is not state:
                new_state = {
                    name: _own(x, gradient, taken) for name, x in new_state.items()
                }
            next_number = as_data(number + nudge)
            self.moved.append(_Moved(p, kept, number, gradient, next_number, new_state))


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


def _laid_out_like(gradient: StandIn, number: StandIn) -> Any:
    """A gradient in the order in memory of its parameter, as `Kept.gradient` gives it."""
    value = gradient._value
    if type(value) is not ndarray or value.strides == number._value.strides:
        return gradient
    order = "F" if number._value.flags.f_contiguous else "C"
    return np.copy(gradient, order=order)


def _nudged(twin: Any, number: Any, gradient: Any, state: dict[str, Any]) -> Any:
    """What `nudge` returns, converted as `Optimizer._nudge` does."""
    nudge, new_state = twin.nudge(number, gradient, state)
    nudge = as_data(nudge, number)
    if np.shape(nudge) != np.shape(number):
        raise CannotFollow("the nudge has another shape than the parameter")
    if nudge.dtype != number.dtype:
        nudge = nudge.astype(number.dtype)
    if new_state is not state:
        new_state = {name: as_data(x, number) for name, x in new_state.items()}
    return nudge, new_state


def _own(x: Any, gradient: StandIn, taken: set[Any]) -> Any:
    """A part of a new state, in memory of its own."""
    if type(x) is StandIn and type(x._value) is ndarray:
        if x._owner in taken or x._owner is not x or x._kind in ("input", "constant"):
            return x.copy("K")
        taken.add(x)
    return x


class _Moved:
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


class _StepVersion:
    """The program of a step, for mini-batches of one shape."""

    def __init__(self, made: Trace, watch: Watch, update: _Update) -> None:
        self.runs = 1
        self._watch = watch
        self._update = update
        optimizer = update.optimizer
        watch.watch_settings(optimizer, ("lr", "_kept"))
        moved = update.moved
        loss = made.output._numbers
        gradients = [each.gradient for each in moved]
        numbers = [each.next_number for each in moved]
        states = [x for each in moved for x in each.state.values()]
        results = [_item(loss), *gradients, *numbers, *states]
        calls = needed_calls(made.calls, results)
        self.inputs = used_inputs(made, calls, results)
        fast = Fast(calls, "step", [each.stand_in for each in self.inputs])
        self.program = fast.write(results, finite=[_item(loss), *gradients])
        self.function = self.program.compiled()
        self.moved = moved
        self.unmoved = [p for p in optimizer.parameters if p not in dict(made.gradients)]
        self._compute, self._store = _driver(self, update)

    def fits(self) -> bool:
        """Whether nothing that the program belongs to has changed."""
        return self._watch.is_unchanged()

    def change(self) -> str | None:
        """What has changed."""
        return self._watch.change()

    def compute(self, x: Any, y: Any) -> Any:
        """The loss, and what the step changes. Any error means: the engine makes this step."""
        return self._compute(x, y)

    def store(self, results: Any) -> float:
        """Make the step that was computed, and return its loss."""
        loss: float = self._store(results)
        return loss

    def agrees(self, results: Any, loss: float) -> bool:
        """Whether the step that was made without the program is the same."""
        count = len(self.moved)
        if not same_bits(results[0], loss):
            return False
        for i, each in enumerate(self.moved):
            p = each.parameter
            if not same_bits(p.grad, results[1 + i]):
                return False
            if not same_bits(p._numbers, results[1 + count + i]):
                return False
        return True


def _item(loss: Any) -> Any:
    return loss if type(loss._value) is float else loss.item()


def _driver(version: _StepVersion, update: _Update) -> tuple[Any, Any]:
    """Two functions: one that runs the program on a mini-batch, and one that stores its results.

    They are written for this program, so that they have no loops: a small network's step takes
    less time than a loop over its parameters.
    """
    objects: dict[str, Any] = {
        "program": version.function,
        "optimizer": update.optimizer,
        "replace": replace,
    }

    def name(prefix: str, x: Any) -> str:
        text = f"{prefix}{len(objects)}"
        objects[text] = x
        return text

    arguments = []
    for each in version.inputs:
        if each.stand_in is update.lr:
            arguments.append("optimizer.lr")
        elif each.path is None:
            holder = name("value", each.value)
            is_value = isinstance(each.value, Value)
            arguments.append(f"{holder}._numbers" if is_value else holder)
        elif each.path[0] == "state":
            kept = name("kept", each.value)
            arguments.append(f"{kept}.state[{each.path[2]!r}]")
        else:
            arguments.append("xy"[each.path[0]])
    gradients = [f"gradient{i}" for i in range(len(version.moved))]
    numbers = [f"numbers{i}" for i in range(len(version.moved))]
    states = []
    lines = []
    for i, each in enumerate(version.moved):
        p = name("parameter", each.parameter)
        lines.append(f"    {p}.grad = {gradients[i]}")
        lines.append(f"    replace({p}, {numbers[i]})")
        if each.state:
            parts = [f"state{i}_{j}" for j in range(len(each.state))]
            states += parts
            items = ", ".join(f"{key!r}: {part}" for key, part in zip(each.state, parts))
            kept = name("kept", each.kept)
            lines.append(f"    {kept}.state = {{{items}}}")
    for p in version.unmoved:
        lines.append(f"    {name('parameter', p)}.grad = None")
    unpacked = ", ".join(["loss", *gradients, *numbers, *states])
    text = [
        "def compute(x, y):",
        f"    return program({', '.join(arguments)})",
        "def store(results):",
        f"    {unpacked}, = results",
        *lines,
        "    return loss",
    ]
    exec(compile("\n".join(text), "<step>", "exec"), objects)
    return objects["compute"], objects["store"]
