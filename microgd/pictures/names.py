"""What Values and arrays are called in a picture."""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from microgd.checks import check_type
from microgd.module import Module
from microgd.pictures import text
from microgd.pictures.layers import Layers
from microgd.value import Value

MOST = 20_000  # so many things are looked at in search of names, so that a huge list costs nothing
DEEPEST = 6  # x[0][1] is at depth 2


class Names:
    """The names of Values and arrays.

    A Value's own name comes first, then the model's name for it, then the caller's, which may lead
    through lists, tuples, dictionaries and attributes: w[0], x['height'], neuron.w[0].
    """

    def __init__(self, names: Mapping[str, Any] | None, layers: Layers) -> None:
        check_type("names to be a dictionary, such as locals()", Mapping | None, names)
        self._of_the_model = layers.names
        self._of_the_caller: dict[int, str] = {}  # by the id of what they name
        for name, x in _named(names or {}):
            self._of_the_caller.setdefault(id(x), name)

    def of(self, x: Any) -> str:
        """The name of a Value or an array; "" if it has none."""
        names = [self._of_the_caller.get(id(x))]
        if isinstance(x, Value):
            names = [x.name, self._of_the_model.get(x), *names]
        for name in names:
            shown = text.short(str(name)) if name else ""
            if shown:  # a name of nothing but spaces gives way to the next one
                return shown
        return ""

    def last_part(self, x: Any) -> str:
        """The end of a name: w[0] of layers[1].w[0], and w.0 of layers.1.w.0."""
        name = self.of(x)
        found = re.search(r"[^.]*[^.\d][^.]*(\.\d+)*$", name)
        return found[0] if found else name


def _named(names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The Values and arrays that the names lead to, the shortest ways first."""
    waiting: deque[tuple[str, Any, int]] = deque()
    for name, x in names.items():
        if not str(name).startswith("_"):  # Jupyter has such names for results
            waiting.append((str(name), x, 0))
    seen: set[int] = set()
    looked_at = 0
    while waiting and looked_at < MOST:
        name, x, depth = waiting.popleft()
        looked_at += 1
        if isinstance(x, Value | np.ndarray):
            yield name, x
        elif depth < DEEPEST and id(x) not in seen:
            seen.add(id(x))
            for part, inner in _parts(x):
                if len(waiting) > MOST:
                    break
                waiting.append((f"{name}{part}", inner, depth + 1))


def _parts(x: Any) -> Iterator[tuple[str, Any]]:
    """What is in a list, a tuple, a dictionary or an object, each with how Python reaches it."""
    if isinstance(x, list | tuple):
        for i, inner in enumerate(x):
            yield f"[{i}]", inner
    elif isinstance(x, dict):
        for key, inner in x.items():
            yield f"[{text.short(repr(key), 24)}]", inner
    elif isinstance(x, Module):
        for name, parameter in x.named_parameters():
            yield f".{name}", parameter
    elif _is_an_object_of_ones_own(x):
        for name, inner in vars(x).items():
            if not name.startswith("_"):
                yield f".{name}", inner


def _is_an_object_of_ones_own(x: Any) -> bool:
    """Whether it is an object such as a neuron: no class, and nothing of an installed package."""
    if isinstance(x, type) or not isinstance(getattr(x, "__dict__", None), dict):
        return False
    # Functions and modules have attributes, but these are nobody's variables.
    return type(x).__module__ not in ("builtins", "numpy") and not hasattr(x, "__path__")
