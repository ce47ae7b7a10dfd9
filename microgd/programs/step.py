"""A whole step of training as one program: loss, gradients, and the optimizer's update."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from microgd.backprop import next_order
from microgd.checks import warn_user
from microgd.memory import replace
from microgd.optimizer import Optimizer
from microgd.programs.fast import Fast, needed_calls
from microgd.programs.run import (
    DIFFERENCE,
    MOST_DIFFERENCES,
    MOST_PROGRAMS,
    MOST_SHAPES,
    Compiled,
    is_compared,
    memory_of,
    used_inputs,
    values_found,
)
from microgd.programs.stand_ins import CannotFollow
from microgd.programs.trace import Trace, same_bits, trace
from microgd.programs.update import Update
from microgd.programs.watch import RandomStatesKept, Surroundings, Watch
from microgd.recording import is_evaluating, is_recording
from microgd.value import Value

Loss = Callable[[Any, Any], Any]
MakeStep = Callable[..., float]
_STEPS_BEFORE = 10  # a program for further shapes is written at the tenth step with them


class CompiledSteps:
    """Makes the steps of `train.fit`, each as one program.

    Some steps are made in two parts: the loss and its gradients as programs, and what follows as
    without compiling. They are those with a `before_step`, with an optimizer whose step is the
    user's own, and with gradients for others than the optimizer's parameters.
    """

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
        self.reason: str | None = None  # why the steps are made as without compiling
        self.differences = 0
        self._versions: dict[Any, list[_StepVersion]] = {}
        self._calls: Counter[Any] = Counter()  # with shapes for which there is no program yet
        self._has_begun = False
        self._tries = 0
        self._in_parts: _CompiledLoss | None = None
        if before_step is not None or not _moves_as_ours(optimizer):
            self._in_parts = _CompiledLoss(self)

    def step(self, batch: Any) -> float:
        """Make a step on a mini-batch of `train.fit`, and return its loss.

        `batch.step(loss)` and `batch.step(loss, model)` make it without a program.
        """
        x = batch.x
        y = batch.y
        make_step: MakeStep = batch.step
        is_first_of_epoch = batch.number == 1
        if self.reason is not None:
            return make_step(self.loss)
        if self._in_parts is not None:
            return self._step_in_parts(self._in_parts, x, y, make_step, is_first_of_epoch)
        self._has_begun = True
        # The mini-batches of one training differ in nothing but their lengths.
        key = len(x), is_recording(), is_evaluating()
        versions = self._versions.get(key, [])
        for version in versions:
            if version.fits():
                return self._step_with(version, x, y, make_step, is_first_of_epoch)
        if not versions and self._versions:
            # The last mini-batch of an epoch may be smaller. Writing a program takes longer than
            # some steps.
            self._calls[key] += 1
            if self._calls[key] < _STEPS_BEFORE:
                return make_step(self.loss)
        return self._first_step(key, versions, x, y, make_step)

    def _step_in_parts(
        self,
        compiled: _CompiledLoss,
        x: Any,
        y: Any,
        make_step: MakeStep,
        is_first_of_epoch: bool,
    ) -> float:
        """Make a step: the loss and its gradients are programs, and the rest is as always."""
        if not self._has_begun:
            self._has_begun = True
            return make_step(self.loss)  # which checks the model
        compiled.compares_next = is_first_of_epoch
        return make_step(compiled, _itself)

    def _step_with(
        self, version: _StepVersion, x: Any, y: Any, make_step: MakeStep, is_first_of_epoch: bool
    ) -> float:
        version.runs += 1
        try:
            results = version.compute(x, y)
        except Exception:  # another way, or an error: then its message is the engine's
            return make_step(self.loss)
        if is_first_of_epoch or is_compared(version.runs):
            loss = make_step(self.loss)
            if not version.agrees(results, loss):
                self._differ(version)
            return loss
        return version.store(results)

    def _differ(self, version: _StepVersion) -> None:
        """Drop a program whose steps are not those made without it."""
        for key, versions in list(self._versions.items()):
            self._versions[key] = [each for each in versions if each is not version]
            if not self._versions[key]:
                del self._versions[key]
        self.differences += 1
        if self.differences >= MOST_DIFFERENCES:
            self.give_up(DIFFERENCE)

    def _first_step(
        self, key: Any, versions: list[_StepVersion], x: Any, y: Any, make_step: MakeStep
    ) -> float:
        """Make a step without a program, and write one for the next step."""
        optimizer = self.optimizer
        lr = optimizer.lr
        watch = Watch(self.model, self.loss)
        watch.add_attributes(optimizer, ("lr", "_kept"))
        watch.look_again()
        surroundings = Surroundings(watch)
        before = next_order()
        found: list[Any] = []

        def observed_loss(output: Any, targets: Any) -> Any:
            found.append(self.loss(output, targets))
            return found[0]

        number = make_step(observed_loss)
        reason = watch.unseen or surroundings.change()
        if reason is None and optimizer.lr != lr:
            reason = "it changes the learning rate"
        if reason is None and len(versions) >= MOST_PROGRAMS:
            reason = f"{versions[-1].change() or 'a Value'} changes again and again"
        if reason is None:
            try:
                values = values_found(watch, found, before)
                version = self._written(watch, values, x, y)
            except CannotFollow as error:
                reason = str(error)
            except Exception as error:
                reason = f"it can't be followed: {type(error).__name__}: {error}"
            else:
                self._add(key, version)
        if reason is None:
            reason = surroundings.change()
        if reason is not None:
            self.give_up(reason)
        return number

    def _add(self, key: Any, version: _StepVersion | None) -> None:
        if version is None:
            return
        if key not in self._versions and len(self._versions) >= MOST_SHAPES:
            del self._versions[next(iter(self._versions))]
        self._versions[key] = [version, *self._versions.get(key, ())]

    def _written(self, watch: Watch, values: dict[Any, str], x: Any, y: Any) -> _StepVersion | None:
        """The program of a step; None if the states of the optimizer are not complete yet."""

        for p in self.optimizer.parameters:
            values[p] = values.get(p) or p.name or "parameter"
        update = Update(self.optimizer)
        with RandomStatesKept(watch.generators):
            made = trace(
                partial(_loss_of, self.model, self.loss),
                (x, y),
                {},
                values,
                watch,
                backward=True,
                finish=update.trace,
            )
        if made.output is None:
            raise CannotFollow("the loss is the same in each step")
        if not {value for value, _ in made.gradients} <= set(self.optimizer.parameters):
            self._in_parts = _CompiledLoss(self)
            return None
        if not all(map(_has_complete_state, update.moved)):
            self._tries += 1
            if self._tries >= MOST_DIFFERENCES:
                raise CannotFollow("the optimizer remembers something else after each step")
            return None
        return _StepVersion(made, watch, update)

    def give_up(self, reason: str) -> None:
        """From now on, make the steps as without compiling, and say why."""
        if self.reason is None:
            self.reason = reason
            self._versions.clear()
            warn_user(f"the steps are not compiled: {reason}")


class _CompiledLoss(Compiled):
    """The loss of a mini-batch, as a function of x and y that is compiled."""

    def __init__(self, steps: CompiledSteps) -> None:
        super().__init__(partial(_loss_of, steps.model, steps.loss))
        self._steps = steps

    def give_up(self, reason: str) -> None:
        """As for the steps."""
        self._reason = reason
        self._versions = {}
        self._steps.give_up(reason)


def _loss_of(model: Any, loss: Loss, x: Any, y: Any) -> Any:
    return loss(model(x), y)


def _itself(x: Any) -> Any:
    return x


def _moves_as_ours(optimizer: Any) -> bool:
    """Whether a step is what `Optimizer` makes it: `nudge`, for each parameter by itself."""
    if not isinstance(optimizer, Optimizer) or "lr" not in vars(optimizer):
        return False
    cls = type(optimizer)
    methods = [getattr(cls, name) for name in ("step", "zero_grad", "_steps", "_nudge")]
    attributes = (cls.__getattribute__, cls.__setattr__)
    are_ours = [getattr(each, "__module__", "").startswith("microgd.") for each in methods]
    return all(are_ours) and attributes == (object.__getattribute__, Optimizer.__setattr__)


def _has_complete_state(moved: Any) -> bool:
    """Whether a parameter's state has the same form after a step as before it."""
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


class _StepVersion:
    """The program of a step, for mini-batches of one shape."""

    def __init__(self, made: Trace, watch: Watch, update: Update) -> None:
        self.runs = 1
        self._watch = watch
        optimizer = update.optimizer
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
        # compute(x, y) is the loss, and what the step changes. Any error means: the engine makes
        # this step. store(results) makes the step, and returns its loss.
        self.compute: Callable[[Any, Any], Any]
        self.store: Callable[[Any], float]
        self.compute, self.store = _driver(self, update)
        watch.compare_contents(memory_of(array for array, _ in made.constants.values()))

    def fits(self) -> bool:
        """Whether nothing that the program belongs to has changed."""
        return self._watch.is_unchanged()

    def change(self) -> str | None:
        """What has changed."""
        return self._watch.change()

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
        states = iter(results[1 + 2 * count :])
        for each in self.moved:
            for name in each.state:
                if name not in each.kept.state:
                    return False
                if not same_bits(each.kept.state[name], next(states)):
                    return False
        return True


def _item(loss: Any) -> Any:
    return loss if type(loss._value) is float else loss.item()


def _driver(version: _StepVersion, update: Update) -> tuple[Any, Any]:
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
    for i, moved in enumerate(version.moved):
        p = name("parameter", moved.parameter)
        lines.append(f"    {p}.grad = {gradients[i]}")
        lines.append(f"    replace({p}, {numbers[i]})")
        if moved.state:
            parts = [f"state{i}_{j}" for j in range(len(moved.state))]
            states += parts
            items = ", ".join(
                f"{key!r}: {part}" for key, part in zip(moved.state, parts, strict=True)
            )
            kept = name("kept", moved.kept)
            lines.append(f"    {kept}.state = {{{items}}}")
    for p in version.unmoved:
        lines.append(f"    {name('parameter', p)}.grad = None")
    unpacked = ", ".join(["loss", *gradients, *numbers, *states])
    checks = []
    for moved in version.moved:
        # What an optimizer of the user's own remembers may have another form by now.
        if not update.optimizer._is_ours:
            kept = name("kept", moved.kept)
            checks.append(f"    if len({kept}.state) != {len(moved.state)}: raise KeyError")
            for key, x in moved.kept.state.items():
                shape = name("shape", np.shape(x))
                if np.ndim(x):
                    checks.append(f"    if {kept}.state[{key!r}].shape != {shape}: raise KeyError")
    text = [
        "def compute(x, y):",
        *checks,
        f"    return program({', '.join(arguments)})",
        "def store(results):",
        f"    {unpacked}, = results",
        *lines,
        "    return loss",
    ]
    exec(compile("\n".join(text), "<step>", "exec"), objects)
    return objects["compute"], objects["store"]
