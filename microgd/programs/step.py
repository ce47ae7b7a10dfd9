"""Whole steps of training as programs, for `train.fit(..., compiled=True)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

from microgd.backprop import next_order
from microgd.checks import warn_user
from microgd.optimizer import Optimizer
from microgd.programs.fast import OtherWayError
from microgd.programs.limits import (
    DIFFERENCE,
    FAULTS,
    MOST_DIFFERENCES,
    MOST_FAILURES,
    MOST_PROGRAMS,
    MOST_SHAPES,
    failure,
    is_compared,
)
from microgd.programs.parts import States, StepProgram
from microgd.programs.reached import values_found
from microgd.programs.run import Compiled
from microgd.programs.stand_ins import CannotFollow
from microgd.programs.trace import same_bits, trace
from microgd.programs.update import Update, separate_gradients
from microgd.programs.watch import RandomStatesKept, Surroundings, Watch
from microgd.recording import is_evaluating, is_recording
from microgd.value import Value

Loss = Callable[[Any, Any], Any]
BeforeStep = Callable[[Any], object]
_STEPS_BEFORE = 10  # a program for further shapes is written at the tenth step with them


class CompiledSteps:
    """Runs the steps of `train.fit` as programs.

    A step is one program: the loss, its gradients, and the optimizer's update. With a
    `before_step` it is two, and `before_step` runs between them.

    If the optimizer's step is the user's own, or Values other than its parameters get gradients,
    then the loss and its gradients are programs, and the rest runs as without compiling.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        loss: Loss,
        optimizer: Any,
        before_step: BeforeStep | None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.before_step = before_step
        self.reason: str | None = None  # why the steps are made as without compiling
        self.differences = 0
        self._versions: dict[Any, list[StepProgram]] = {}  # whole steps, or their first parts
        self._updates = _CompiledUpdates(optimizer)  # their second parts
        self._calls: Counter[Any] = Counter()  # with shapes for which there is no program yet
        self._has_begun = False
        self._states = States()
        self._tries = 0
        self._loss_alone: _CompiledLoss | None = None
        if not _moves_as_ours(optimizer):
            self._loss_alone = _CompiledLoss(self)

    def step(self, batch: Any) -> float:
        """Make a step on a mini-batch of `train.fit`, and return its loss.

        `batch.step(loss)` and `batch.step(loss, model)` make it without a program.
        """
        if self.reason is not None:
            return self._step_as_always(batch)
        if self._loss_alone is not None:
            return self._step_with_loss_alone(self._loss_alone, batch)
        self._has_begun = True
        # The mini-batches of one training differ in nothing but their lengths.
        key = len(batch.x), is_recording(), is_evaluating()
        versions = self._versions.get(key, [])
        for version in versions:
            if version.fits():
                return self._step_with(version, batch)
        if not versions and self._versions:
            # The last mini-batch of an epoch may be smaller. Writing a program takes longer than
            # some steps.
            self._calls[key] += 1
            if self._calls[key] < _STEPS_BEFORE:
                return self._step_as_always(batch)
        return self._first_step(key, versions, batch)

    def _step_as_always(self, batch: Any) -> float:
        loss: float = batch.step(self.loss)
        return loss

    def _step_with_loss_alone(self, compiled: _CompiledLoss, batch: Any) -> float:
        """Make a step: the loss and its gradients are programs, and the rest is as always."""
        if not self._has_begun:
            self._has_begun = True
            return self._step_as_always(batch)  # which checks the model
        compiled.compares_next = batch.number == 1
        loss: float = batch.step(compiled, _itself)
        return loss

    def _step_with(self, version: StepProgram, batch: Any) -> float:
        version.runs += 1
        try:
            results = version.compute(batch.x, batch.y)
        except OtherWayError:
            return self._step_as_always(batch)
        except FAULTS as error:
            loss = self._step_as_always(batch)  # if it fails too, it says why itself
            version.failures += 1
            if version.failures == MOST_FAILURES:
                self.give_up(failure(error))
            return loss
        except Exception:  # of the numbers: the step raises it, too
            return self._step_as_always(batch)
        if batch.number == 1 or is_compared(version.runs):
            return self._compared_step(version, results, batch)
        number: float = version.store(results)
        if self.before_step is not None:
            self.before_step(self.optimizer)
            self._updates.make(batch, number)
        return number

    # ── Comparing ────────────────────────────────────────────────────────────────────────────────
    def _compared_step(self, version: StepProgram, results: Any, batch: Any) -> float:
        """Make a step without programs, and drop those whose results are others."""
        agrees = True
        observed = batch
        before_step = self.before_step
        if before_step is not None:

            def between(optimizer: Any) -> None:
                nonlocal agrees
                agrees = version.agrees(results)
                before_step(optimizer)
                self._updates.begin()

            observed = _with_before_step(batch, between)
        loss = self._step_as_always(observed)
        if before_step is None:
            agrees = version.agrees(results)
        else:
            self._updates.end()
        if not agrees or not same_bits(results[0], loss):
            self._differ(version)
        return loss

    def _differ(self, version: StepProgram) -> None:
        """Drop a program whose steps are not those made without it."""
        for key, versions in list(self._versions.items()):
            self._versions[key] = [each for each in versions if each is not version]
            if not self._versions[key]:
                del self._versions[key]
        self.differences += 1
        if self.differences >= MOST_DIFFERENCES:
            self.give_up(DIFFERENCE)

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────
    def _first_step(self, key: Any, versions: list[StepProgram], batch: Any) -> float:
        """Make a step without a program, and write one for the next step."""
        optimizer = self.optimizer
        watch = self._new_watch()
        lr = optimizer.lr
        surroundings = Surroundings(watch)
        before = next_order()
        found: list[Any] = []
        reason: str | None = None
        observed = batch
        before_step = self.before_step

        def observed_loss(output: Any, targets: Any) -> Any:
            found.append(self.loss(output, targets))
            return found[0]

        if before_step is not None:

            def between(given: Any) -> None:
                nonlocal reason
                reason = watch.unseen or surroundings.change()
                before_step(given)
                self._updates.begin()

            observed = _with_before_step(batch, between)
        loss: float = observed.step(observed_loss)
        if before_step is not None:
            self._updates.end()
            if reason is None and watch.change() is not None:
                # `before_step` has changed it. Another step may be better for writing a program.
                self._tries += 1
                if self._tries < MOST_PROGRAMS:
                    return loss
                reason = f"before_step changes {watch.change()} again and again"
            surroundings = Surroundings(watch)
        else:
            reason = watch.unseen or surroundings.change()
            if reason is None and optimizer.lr != lr:
                reason = "it changes the learning rate"
        if reason is None and len(versions) >= MOST_PROGRAMS:
            reason = f"{versions[-1].change() or 'a Value'} changes again and again"
        if reason is None:
            reason = self._write(key, watch, found, before, batch)
        if reason is None:
            reason = surroundings.change()
        if reason is not None:
            self.give_up(reason)
        return loss

    def _new_watch(self) -> Watch:
        """A watch of what a program belongs to. The first part depends on no settings."""
        if self.before_step is not None:
            return Watch(self.model, self.loss, self.optimizer.parameters)
        watch = Watch(self.model, self.loss)
        watch.add_attributes(self.optimizer, ("lr", "_kept"))
        watch.look_again()
        return watch

    def _write(self, key: Any, watch: Watch, found: Any, before: int, batch: Any) -> str | None:
        """Write a program; or say why that can't be done."""
        try:
            values = values_found(watch, found, before)
            version = self._written(watch, values, batch.x, batch.y)
        except CannotFollow as error:
            return str(error)
        except Exception as error:
            return f"it can't be followed: {type(error).__name__}: {error}"
        if version is not None:
            if key not in self._versions and len(self._versions) >= MOST_SHAPES:
                del self._versions[next(iter(self._versions))]
            self._versions[key] = [version, *self._versions.get(key, ())]
        return None

    def _written(self, watch: Watch, values: dict[Any, str], x: Any, y: Any) -> StepProgram | None:
        """The program of a step, or of its first part; None if it can't be written yet."""
        optimizer = self.optimizer
        for p in optimizer.parameters:
            values[p] = values.get(p) or p.name or "parameter"
        update = Update(optimizer) if self.before_step is None else None
        finish = separate_gradients if update is None else update.trace
        function = partial(_loss_of, self.model, self.loss)
        with RandomStatesKept(watch.generators):
            made = trace(function, (x, y), {}, values, watch, backward=True, finish=finish)
        if made.output is None:
            raise CannotFollow("the loss is the same in each step")
        if not {value for value, _ in made.gradients} <= set(optimizer.parameters):
            self._loss_alone = _CompiledLoss(self)
            return None
        if update is None:
            return StepProgram(made, watch, optimizer, made.gradients)
        if not self._states.are_complete(update):
            return None
        gradients = [(each.parameter, each.gradient) for each in update.moved]
        return StepProgram(made, watch, optimizer, gradients, update)

    def give_up(self, reason: str) -> None:
        """From now on, make the steps as without compiling, and say why."""
        if self.reason is None:
            self.reason = reason
            self._versions.clear()
            warn_user(f"the steps are not compiled: {reason}")


class _CompiledUpdates:
    """Makes the second parts of steps: what follows when `before_step` has run.

    `make` runs the second part. When the optimizer makes the step itself, call `begin` before it
    and `end` after it: they compare a program with the step, or write one.
    """

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.reason: str | None = None  # why the optimizer makes its steps as always
        self.differences = 0
        self.versions: list[StepProgram] = []
        self._states = States()
        self._end: Callable[[], None] = _do_nothing

    def make(self, batch: Any, loss: float) -> None:
        """Check the gradients, and move the parameters."""
        found = self._computed()
        if found is not None:
            version, results = found
            if not (batch.number == 1 or is_compared(version.runs)):
                version.store(results)
                return
        self._begin(found)
        _finish(self.optimizer, batch, loss)
        self.end()

    def begin(self) -> None:
        """Observe the step that the optimizer is about to make."""
        self._begin(self._computed())

    def end(self) -> None:
        """The optimizer has made the step."""
        end = self._end
        self._end = _do_nothing
        end()

    def _computed(self) -> tuple[StepProgram, Any] | None:
        """A program that fits, with its results."""
        for version in self.versions:
            if version.fits():
                try:
                    results = version.compute()
                except Exception:  # other gradients, or an error: its message is the engine's
                    continue
                version.runs += 1
                return version, results
        return None

    def _begin(self, found: tuple[StepProgram, Any] | None) -> None:
        self._end = _do_nothing
        if found is not None:
            self._end = partial(self._compare, *found)
        elif self.reason is None and not self._has_one_that_fits():
            watch = Watch()
            watch.add_attributes(self.optimizer, ("lr", "_kept"))
            watch.look_again()
            self._end = partial(self._write, watch, Surroundings(watch), self.optimizer.lr)

    def _has_one_that_fits(self) -> bool:
        """Whether there is a program already for gradients of these parameters."""
        without = {p for p in self.optimizer.parameters if p.grad is None}
        return any(each.fits() and set(each.unmoved) == without for each in self.versions)

    def _compare(self, version: StepProgram, results: Any) -> None:
        if version.agrees(results):
            return
        self.versions.remove(version)
        self.differences += 1
        if self.differences >= MOST_DIFFERENCES:
            self._give_up(DIFFERENCE)

    def _write(self, watch: Watch, surroundings: Surroundings, lr: float) -> None:
        """Write a program of the step that was made, for the next one."""
        reason = watch.unseen or surroundings.change()
        if reason is None and self.optimizer.lr != lr:
            reason = "it changes the learning rate"
        if reason is None and len(self.versions) >= MOST_PROGRAMS:
            changed = self.versions[-1].change() or "which parameters have a gradient"
            reason = f"{changed} changes again and again"
        if reason is None:
            try:
                version = self._written(watch)
            except CannotFollow as error:
                reason = str(error)
            except Exception as error:
                reason = f"it can't be followed: {type(error).__name__}: {error}"
            else:
                if version is not None:
                    self.versions.insert(0, version)
        if reason is None:
            reason = surroundings.change()
        if reason is not None:
            self._give_up(reason)

    def _written(self, watch: Watch) -> StepProgram | None:
        """The program; None if the states are not complete yet."""
        optimizer = self.optimizer
        values = {p: p.name or "parameter" for p in optimizer.parameters}
        moved = [p for p in optimizer.parameters if p.grad is not None]
        given = {p: optimizer._kept[p].gradient(p) for p in moved}
        update = Update(optimizer, given=given)
        with RandomStatesKept(watch.generators):
            made = trace(_do_nothing, (), {}, values, watch, backward=False, finish=update.trace)
        if not self._states.are_complete(update):
            return None
        return StepProgram(made, watch, optimizer, update=update)

    def _give_up(self, reason: str) -> None:
        """From now on, let the optimizer make its steps as always, and say why."""
        if self.reason is None:
            self.reason = reason
            self.versions.clear()
            warn_user(f"the steps of the optimizer are not compiled: {reason}")


class _Found(Value):
    """A loss that a program has found. Its gradients are those that the parameters have."""

    __slots__ = ("_put_back",)
    _put_back: Callable[[], None]

    def backward(self, gradient: Any = None) -> None:
        """Give the parameters their gradients back, which `zero_grad` has taken away."""
        self._put_back()


def _finish(optimizer: Any, batch: Any, loss: float) -> None:
    """Make the rest of a step as without compiling, from the gradients that are there."""
    gradients = [(p, p.grad) for p in optimizer.parameters]
    if all(grad is None for _, grad in gradients):
        optimizer.step()  # which is an error
        return

    def put_back() -> None:
        for p, grad in gradients:
            p.grad = grad

    found = _Found(loss)
    found._put_back = put_back
    _with_before_step(batch, None).step(lambda output, y: found, _itself)


def _with_before_step(batch: Any, before_step: BeforeStep | None) -> Any:
    """The same mini-batch, with another `before_step`."""
    other = copy(batch)
    other._before_step = before_step
    return other


def _do_nothing() -> None:
    pass


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
