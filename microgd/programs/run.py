"""`compiled`: a function that is run as the program that was written of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import update_wrapper
from threading import RLock
from types import MethodType
from typing import Any

from microgd.backprop import next_order
from microgd.checks import check_type, warn_user
from microgd.programs.keys import key_of_call
from microgd.programs.limits import DIFFERENCE, MOST_DIFFERENCES, MOST_PROGRAMS, MOST_SHAPES
from microgd.programs.reached import objects_in, values_found
from microgd.programs.stand_ins import CannotFollow
from microgd.programs.trace import Trace, is_tracing, trace, without_collector
from microgd.programs.version import Version, not_numbers
from microgd.programs.watch import RandomStatesKept, Surroundings, Watch
from microgd.recording import is_recording

CALLS_BEFORE = 3  # a program is written at the third call with arguments of further shapes


class Compiled:
    """A function of Values, run as a program."""

    _stands_for = "function"  # what a watch looks at in its place

    def __init__(self, function: Callable[..., Any]) -> None:
        check_type("a function", Callable, function)
        update_wrapper(self, function, updated=())
        self.function = function
        self._versions: dict[Any, list[Version]] = {}
        self._calls: Counter[Any] = Counter()  # with arguments for which there is no program yet
        self._lock = RLock()
        self.differences = 0
        self.compares_next = False  # whether the next call is compared with the function's
        self._reason: str | None = None  # why it runs as it is

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The function's result."""
        if self._reason is not None or is_tracing():
            return self.function(*arguments, **options)
        key = key_of_call(arguments, options)
        versions = self._versions.get(key, ())
        for version in versions:
            if version.fits(arguments, options):
                return version.run(self, arguments, options)
        if versions or self._is_worth_a_program(key):
            with without_collector():
                return self._first_run(key, arguments, options)
        return self.function(*arguments, **options)

    def __repr__(self) -> str:
        return f"<compiled {self.function!r}>"

    def _is_worth_a_program(self, key: Any) -> bool:
        """Whether to write one for arguments of these shapes.

        The last mini-batch of an epoch, say, may be smaller, and an integer may count. So after
        the first program, another is written only for what comes again and again.
        """
        if not self._versions:
            return True
        if len(self._calls) > 1000:
            self._calls.clear()
        self._calls[key] += 1
        return self._calls[key] >= CALLS_BEFORE

    def __get__(self, instance: Any, owner: type) -> Any:
        # As a decorator of a method.
        if instance is None:
            return self
        return MethodType(self, instance)

    def _first_run(self, key: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Run the function itself, and write down a program for the next time."""
        watch = Watch(self.function, *objects_in((arguments, options)))
        surroundings = Surroundings(watch)
        before = next_order()
        result = self.function(*arguments, **options)
        with self._lock:
            if self._reason is None:
                versions = self._versions.get(key, [])
                reason = watch.unseen or surroundings.change()
                if reason is None and len(versions) >= MOST_PROGRAMS:
                    name = versions[-1].watch.change() or "a Value"
                    reason = f"{name} changes again and again: give it as an argument"
                if reason is None and watch.finds_one_of((arguments, options)):
                    return result  # an array is given that is also reached by a name
                if isinstance(result, Iterator | Awaitable | AsyncIterator):
                    reason = not_numbers(result)
                if reason is None:
                    reason = self._write(key, watch, before, result, arguments, options)
                if reason is None:
                    reason = surroundings.change()
                if reason is not None:
                    self.give_up(reason)
        return result

    def _write(
        self,
        key: Any,
        watch: Watch,
        before: int,
        result: Any,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> str | None:
        """Write the program; or say why that can't be done."""
        try:
            made = self._trace(watch, before, result, arguments, options)
            version = Version(self.function, made, watch)
        except CannotFollow as error:
            return str(error)
        except Exception as error:
            return f"it can't be followed: {type(error).__name__}: {error}"
        if key not in self._versions and len(self._versions) >= MOST_SHAPES:
            del self._versions[next(iter(self._versions))]
        self._versions[key] = [version, *self._versions.get(key, ())]
        self._calls.pop(key, None)
        return None

    def _trace(
        self,
        watch: Watch,
        before: int,
        result: Any,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> Trace:
        values = values_found(watch, result, before, (arguments, options))
        with RandomStatesKept(watch.generators):
            return trace(
                self.function,
                arguments,
                options,
                values,
                watch,
                backward=is_recording(),
                seeded=True,
            )

    def give_up(self, reason: str) -> None:
        """From now on, run the function as it is, and say why."""
        self._reason = reason
        self._versions = {}
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        warn_user(f"{name} is not compiled, but runs as it is: {reason}")

    def differ(self, version: Version) -> None:
        """Drop a program whose results are not those of the function."""
        with self._lock:
            kept = {}
            for key, versions in self._versions.items():
                others = [each for each in versions if each is not version]
                if others:
                    kept[key] = others
            self._versions = kept
            self.differences += 1
            if self.differences >= MOST_DIFFERENCES and self._reason is None:
                self.give_up(DIFFERENCE)


def compiled(function: Callable[..., Any]) -> Any:
    """The same function, run as a program of NumPy calls: a decorator, too.

    It takes the same arguments, and returns the same results, to the last bit: a Value can go
    `backward()`. The program is written at the first call: then the function runs twice, so what it
    prints comes twice. `source` shows such a program.

    - For arguments of other shapes and dtypes there are other programs.
    - What the function finds by names, such as a model's layers, its flags, and numbers in its
      closure, is looked at on every call. If something has become something else, a new program
      is written.
    - If an `if` goes another way, or an error comes up, the function itself runs.
    - Calls 2, 3, 10, 100 and so on are compared with the function.
    - A function that draws random numbers, changes something outside, or takes numbers out of the
      computation, as by `float(x)`, runs as it is. A `RuntimeWarning` says so, once.

    Gradients are those of the first Value in the result. `function` is the function itself.

    >>> from microgd import Value
    >>> weight = Value(3.0)
    >>> @compiled
    ... def error(x, y):
    ...     return (weight * x - y) ** 2
    >>> [error(x, 2.0).item() for x in (1.0, 2.0, 3.0)]
    [1.0, 16.0, 49.0]
    """
    return Compiled(function)
