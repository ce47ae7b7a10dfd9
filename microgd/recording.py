"""The switches that say whether operations are recorded, `no_grad`, and whether a model is being evaluated."""

import contextlib
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Context variables, not globals: another thread or asyncio task neither sees nor disturbs this one's setting.
_recording: ContextVar[bool] = ContextVar("recording", default=True)
_before: ContextVar[tuple[bool, ...]] = ContextVar(
    "before", default=()
)  # the settings to return to, the last one first
is_recording = _recording.get
_evaluating: ContextVar[bool] = ContextVar("evaluating", default=False)
is_evaluating = _evaluating.get


class recording(contextlib.ContextDecorator):  # noqa: N801 (used as a function, like contextlib.suppress)
    """Within this context operations are recorded, or are not. It may be entered again, by several threads too."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __enter__(self) -> None:
        _before.set((is_recording(), *_before.get()))
        _recording.set(self.on)

    def __exit__(self, *exception: object) -> None:
        last, *others = _before.get()
        _before.set(tuple(others))
        _recording.set(last)

    def __call__(self, function: Any) -> Any:
        """Make the function run within the context."""
        # The body of these runs after the call has returned, and would be recorded after all.
        if not callable(function) or any(
            f(function) for f in (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)
        ):
            raise TypeError(
                "no_grad decorates functions; in a generator or a coroutine, use `with no_grad():` around no yield"
            )
        return super().__call__(function)


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Record nothing: `with no_grad(): ...`, `@no_grad` or `@no_grad()`; for using a model rather than training it.

    Results are leaves (but not parameters, which are made by `Value(...)`), and cost no memory beyond their numbers.
    It holds for this thread and this asyncio task alone.
    """
    return recording(False) if function is None else recording(False)(function)


def evaluation(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run as the evaluation of a model: nothing is recorded, and `Module.training` is False.

    It runs in a context of its own, which is gone afterwards. So nothing has to be restored, even
    if Ctrl-C comes while `no_grad` begins or ends, and no other thread or task takes notice.
    """

    def switched(*arguments: P.args, **options: P.kwargs) -> R:
        _evaluating.set(True)
        with no_grad():
            return function(*arguments, **options)

    @wraps(function)
    def evaluated(*arguments: P.args, **options: P.kwargs) -> R:
        return copy_context().run(switched, *arguments, **options)

    return evaluated
