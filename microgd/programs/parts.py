"""The program of a step of training, or of one of its two parts: gradients, and the update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from microgd.memory import replace
from microgd.programs.fast import Fast, OtherWayError, needed_calls
from microgd.programs.limits import MOST_DIFFERENCES
from microgd.programs.reached import memory_of, used_inputs
from microgd.programs.stand_ins import CannotFollow, StandIn
from microgd.programs.trace import Input, Trace, same_bits
from microgd.programs.update import Moved, Update
from microgd.programs.watch import Watch
from microgd.value import Value


class StepProgram:
    """What a step computes, and how its results are stored. There are three kinds:

    - a whole step: `compute(x, y)` is the loss of a mini-batch, and all that the step changes;
    - the first part of a step: `compute(x, y)` is the loss, and the gradients;
    - the second part: `compute()` is what the optimizer makes of the gradients that are stored.

    `compute` changes nothing. Any error that it raises means that the engine has to make the step.
    `store(results)` stores what `compute` has returned, and returns the loss, if there is one.
    """

    def __init__(
        self,
        made: Trace,
        watch: Watch,
        optimizer: Any,
        gradients: Iterable[tuple[Any, StandIn]] = (),
        update: Update | None = None,
    ) -> None:
        self.runs = 1
        self.failures = 0
        self.watch = watch
        self.optimizer = optimizer
        self.lr = None if update is None else update.lr
        self.loss = None if made.output is None else _item(made.output._numbers)
        self.gradients = list(gradients)  # those that are stored, by parameters
        self.moved: Sequence[Moved] = () if update is None else update.moved
        has_gradient = dict(made.gradients)
        self.parameters = optimizer.parameters
        self.unmoved = [p for p in self.parameters if p not in has_gradient]

        checked = [x for _, x in self.gradients]
        if self.loss is not None:
            checked.insert(0, self.loss)
        numbers = [each.next_number for each in self.moved]
        states = [x for each in self.moved for x in each.state.values()]
        results = [*checked, *numbers, *states]
        calls = needed_calls(made.calls, results)
        self.inputs = used_inputs(made, calls)
        fast = Fast(calls, "step", [each.stand_in for each in self.inputs])
        self.program = fast.write(results, finite=checked)
        self.function = self.program.compiled()
        self.compute: Callable[..., Any]
        self.store: Callable[[Any], Any]
        self.compute, self.store = _Driver(self).functions()
        watch.compare_contents(memory_of(array for array, _ in made.constants.values()))

    def fits(self) -> bool:
        """Whether nothing that the program belongs to has changed."""
        is_same_list = self.optimizer.parameters is self.parameters
        return is_same_list and self.watch.is_unchanged()

    def change(self) -> str | None:
        """What has changed."""
        if self.optimizer.parameters is not self.parameters:
            return "the list of the optimizer's parameters"
        return self.watch.change()

    def agrees(self, results: Sequence[Any]) -> bool:
        """Whether the engine stored the same results. (It does not store the loss.)"""
        found = iter(results if self.loss is None else results[1:])
        is_first_part = not self.moved
        for p, _ in self.gradients:
            gradient = next(found)
            if not same_bits(p.grad, gradient):
                return False
            # `before_step` may add up the elements, and sums round differently in another order.
            if is_first_part and np.shape(gradient) and p.grad.strides != gradient.strides:
                return False
        for each in self.moved:
            if not same_bits(each.parameter._numbers, next(found)):
                return False
        for each in self.moved:
            for name in each.state:
                if name not in each.kept.state:
                    return False
                if not same_bits(each.kept.state[name], next(found)):
                    return False
        return True


def _item(loss: Any) -> Any:
    return loss if type(loss._value) is float else loss.item()


class States:
    """Looks whether states have the same form after a step as before it, and counts the failures.

    In a parameter's first step, for example, there is no velocity yet.
    """

    def __init__(self) -> None:
        self._failures = 0

    def are_complete(self, update: Update) -> bool:
        """Whether a program of this update can be written; a `CannotFollow` error if never."""
        if all(map(_has_same_form, update.moved)):
            return True
        self._failures += 1
        if self._failures >= MOST_DIFFERENCES:
            raise CannotFollow("the optimizer remembers something else after each step")
        return False


def _has_same_form(moved: Moved) -> bool:
    before = moved.kept.state
    if before.keys() != moved.state.keys():
        return False
    for name, x in moved.state.items():
        value = x._value
        if np.shape(value) != np.shape(before[name]) or type(value) is not type(before[name]):
            return False
        if np.shape(value) and value.dtype != before[name].dtype:
            return False
    return True


class _Driver:
    """Writes `compute` and `store` of a program.

    They are written for this program, so that they have no loops: a small network's step takes
    less time than a loop over its parameters.
    """

    def __init__(self, program: StepProgram) -> None:
        self.program = program
        self.objects: dict[str, Any] = {
            "program": program.function,
            "optimizer": program.optimizer,
            "replace": replace,
            "isfinite": math.isfinite,
            "vdot": np.vdot,
            "OtherWay": OtherWayError,
        }
        self._names: dict[int, str] = {}

    def functions(self) -> tuple[Any, Any]:
        """The two functions."""
        is_second_part = self.program.loss is None
        lines = [
            f"def compute({'' if is_second_part else 'x, y'}):",
            *(self._given_gradients() if is_second_part else ()),
            *self._checks_of_states(),
            f" return program({', '.join(map(self._argument, self.program.inputs))})",
            "def store(results):",
            *self._storing(),
        ]
        code = compile("\n".join(lines), "<step>", "exec")
        exec(code, self.objects)
        return self.objects["compute"], self.objects["store"]

    def _name(self, prefix: str, x: Any) -> str:
        name = self._names.get(id(x))
        if name is None:
            name = f"{prefix}{len(self.objects)}"
            self._names[id(x)] = name
            self.objects[name] = x
        return name

    def _argument(self, each: Input) -> str:
        """How an argument of the program is found."""
        if each.stand_in is self.program.lr:
            return "optimizer.lr"
        if each.path is None:
            holder = self._name("value", each.value)
            return f"{holder}._numbers" if isinstance(each.value, Value) else holder
        kind = each.path[0]
        if kind == "state":
            return f"{self._name('kept', each.value)}.state[{each.path[2]!r}]"
        if kind == "gradient":
            return f"gradient{each.path[1]}"
        return "xy"[kind]

    def _given_gradients(self) -> list[str]:
        """Lines that take each gradient as the optimizer does, and check what `fit` checks."""
        lines = []
        places = {p: i for i, p in enumerate(self.program.parameters)}
        for moved in self.program.moved:
            p = self._name("parameter", moved.parameter)
            g = f"gradient{places[moved.parameter]}"
            kept = self._name("kept", moved.kept)
            lines.append(f" {g} = {kept}.gradient({p})")
            value: Any = moved.gradient._value
            if type(value) is float:
                product = g
            else:
                # vdot copies an array whose elements are not in memory in their order.
                is_reversed = value.flags.f_contiguous and not value.flags.c_contiguous
                row = f"{g}.T" if is_reversed else g
                product = f"vdot({row}, {row})"
            lines.append(f" if not isfinite({product}): raise OtherWay")
        for p in self.program.unmoved:
            name = self._name("parameter", p)
            lines.append(f" if {name}.grad is not None: raise OtherWay")
        return lines

    def _checks_of_states(self) -> list[str]:
        """Lines that check that a user's own optimizer still keeps states of the same form."""
        lines: list[str] = []
        if self.program.optimizer._is_ours:
            return lines
        for moved in self.program.moved:
            kept = self._name("kept", moved.kept)
            lines.append(f" if len({kept}.state) != {len(moved.state)}: raise OtherWay")
            for key, x in moved.kept.state.items():
                if np.ndim(x):
                    shape = self._name("shape", np.shape(x))
                    lines.append(f" if {kept}.state[{key!r}].shape != {shape}: raise OtherWay")
        return lines

    def _storing(self) -> list[str]:
        """The lines of `store`."""
        program = self.program
        names = [] if program.loss is None else ["loss"]
        names += [f"gradient{i}" for i in range(len(program.gradients))]
        names += [f"numbers{i}" for i in range(len(program.moved))]
        lines = []
        for i, (p, _) in enumerate(program.gradients):
            lines.append(f" {self._name('parameter', p)}.grad = gradient{i}")
        for i, moved in enumerate(program.moved):
            lines.append(f" replace({self._name('parameter', moved.parameter)}, numbers{i})")
            if moved.state:
                parts = [f"state{i}_{j}" for j in range(len(moved.state))]
                names += parts
                pairs = zip(moved.state, parts, strict=True)
                items = ", ".join(f"{key!r}: {part}" for key, part in pairs)
                lines.append(f" {self._name('kept', moved.kept)}.state = {{{items}}}")
        if program.loss is not None:
            for p in program.unmoved:
                lines.append(f" {self._name('parameter', p)}.grad = None")
            lines.append(" return loss")
        return [f" {', '.join(names)}, = results", *lines]
