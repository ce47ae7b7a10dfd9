"""The switch that says whether operations are recorded: `no_grad`."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

# A context variable, not a global: another thread or asyncio task neither sees nor disturbs this one's setting.
_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_recording = _recording.get


class recording(contextlib.ContextDecorator):  # noqa: N801 (used as a function, like contextlib.suppress)
    """Within this context operations are recorded, or are not."""

    def __init__(self, on: bool) -> None:
        self.on, self.tokens = on, list[Any]()

    def __enter__(self) -> None:
        self.tokens.append(_recording.set(self.on))

    def __exit__(self, *exception: object) -> None:
        _recording.reset(self.tokens.pop())

    def __call__(self, function: F) -> F:
        """Make the function run within the context."""
        # The body of these runs after the call has returned, and would be recorded after all.
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError("no_grad cannot decorate a generator or a coroutine: write `with no_grad():` inside it")
        return super().__call__(function)

    def _recreate_cm(self) -> recording:  # a context for each call: threads may share the decorated function
        return recording(self.on)


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Record nothing: `with no_grad(): ...`, `@no_grad` or `@no_grad()`; for using a model rather than training it.

    Results are leaves, and cost no memory beyond their numbers. It holds for this thread and this asyncio task alone.
    """
    return recording(False) if function is None else recording(False)(function)
