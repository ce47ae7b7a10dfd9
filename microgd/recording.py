"""Two switches: whether operations are recorded, and whether a model is being evaluated.

A recorded result keeps its operands and their numbers, because the derivative rules need them
later. All of it stays in memory as long as the result does. Code that asks for no derivatives, such
as code that only uses a trained network, can do without: `no_grad` switches recording off.

Every operation computes its result first. Then it asks `is_recording()` whether to store the
operands with the result (backprop.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Context variables, not globals: another thread or asyncio task neither sees nor changes the
# setting of this one.
_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_recording = _recording.get

# The settings to go back to when the contexts around the current code end, the innermost first.
_outer_settings: ContextVar[tuple[bool, ...]] = ContextVar("outer_settings", default=())

_evaluating: ContextVar[bool] = ContextVar("evaluating", default=False)
is_evaluating = _evaluating.get


class recording(contextlib.ContextDecorator):  # noqa: N801 (it is used like a function)
    """A context in which operations are recorded (`recording(True)`) or not (`recording(False)`).

    One such object can be entered several times, also by several threads: the settings to go back
    to are kept in the thread's or task's own context, not in the object.
    """

    def __init__(self, on: bool) -> None:
        self.on = on

    def __enter__(self) -> None:
        _outer_settings.set((is_recording(), *_outer_settings.get()))
        _recording.set(self.on)

    def __exit__(self, *exception: object) -> None:
        innermost, *others = _outer_settings.get()
        _outer_settings.set(tuple(others))
        _recording.set(innermost)

    def __call__(self, function: Any) -> Any:
        """The function, made to run within this context; a `TypeError` if it would run too late."""
        # Calling a generator or a coroutine function only makes an object. Its body runs later,
        # when the context has ended, so it would be recorded after all.
        runs_later = (
            iscoroutinefunction(function)
            or isgeneratorfunction(function)
            or isasyncgenfunction(function)
        )
        if runs_later or not callable(function):
            raise TypeError(
                "no_grad decorates plain functions only: in a generator or a coroutine, write "
                "`with no_grad():` around lines that do not yield"
            )
        return super().__call__(function)


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Switch recording off: `with no_grad(): ...`, or `@no_grad` or `@no_grad()` above a function.

    Use it where no derivatives are wanted, for example to use a model rather than train it. Results
    then cost no memory beyond their numbers. They are leaves, since no recorded operation computed
    them, but a module does not take them for parameters: those are made by `Value(...)`.

    The switch works for the current thread and asyncio task only.
    """
    context = recording(False)
    if function is None:
        return context
    return context(function)


def evaluation(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run as an evaluation: nothing is recorded, and `Module.training` is False.

    Each call runs in a copy of the context, which is thrown away afterwards. So nothing has to be
    switched back, even if Ctrl-C comes while `no_grad` begins or ends, and no other thread or task
    is affected.
    """

    def run_switched(*arguments: P.args, **options: P.kwargs) -> R:
        _evaluating.set(True)
        with no_grad():
            return function(*arguments, **options)

    @wraps(function)
    def evaluated(*arguments: P.args, **options: P.kwargs) -> R:
        return copy_context().run(run_switched, *arguments, **options)

    return evaluated
