"""Which layer of a model each recorded operation belongs to: inferred, for a graph records no modules."""

from collections.abc import Collection, Iterable, Sequence
from itertools import takewhile
from typing import Any

from microgd.checks import check_type
from microgd.nn import Module, Sequential
from microgd.pictures.text import short
from microgd.value import Value

_ACTIVATIONS = {"relu", "sigmoid", "tanh", "softmax", "log_softmax"}
_VIEWS = {"transpose", "reshape", "astype", "broadcast_to", "getitem"}


class Layers:
    """The modules of a model by path ("layers.0"; "" is the model), and the names and owners of its parameters.

    A graph records operations and not modules, so their places are inferred. An operation on parameters is at the module
    that owns them. What comes after it is there too, until parameters of the next module are used. After the last ones the
    model ends, except for activations, for what is added to what has skipped a module, and for sums of terms with different
    parameters of one module.
    """

    def __init__(self, model: Any = None) -> None:
        model = (
            Module() if model is None else model
        )  # one without parameters: no operation is at it
        check_type("a model that is an nn.Module", Module, model)
        self.modules: dict[str, Any] = dict(model.named_modules())
        self.names = {value: name for name, value in model.named_parameters()}
        # Each module's path, after those of the modules that it is in.
        self.chain = {path: self._around(path) for path in self.modules}
        self.owner = {value: self._around(name)[-1] for value, name in self.names.items()}

    def _around(self, path: str) -> list[str]:
        return [
            module for module in self.modules if not module or f"{path}.".startswith(f"{module}.")
        ]

    def _common(self, paths: Collection[str]) -> str:
        """The innermost module that all of these are in."""
        return [
            module for module in self.modules if all(module in self.chain[path] for path in paths)
        ][-1]

    def title(self, path: str, steps: Iterable[Value]) -> str:
        """The module as one writes it, and the activations that follow it, if they are among the steps."""
        beside = [
            module for module in self.modules if self.chain[module][:-1] == self.chain[path][:-1]
        ]
        trained = {module for owner in self.owner.values() for module in self.chain[owner]}
        follow = takewhile(lambda module: module not in trained, beside[beside.index(path) + 1 :])
        done = {step.op for step in steps}
        shown = [
            path,
            *(module for module in follow if type(self.modules[module]).__name__.lower() in done),
        ]
        return short(
            " → ".join(f"{module} {_written(self.modules[module])}".strip() for module in shown), 80
        )

    def places(self, steps: Sequence[Value]) -> list[str | None]:
        """The path of the module that each step belongs to; None outside the model.

        `ValueError` where the graph has none of the model's parameters.
        """
        place, used, inside = dict[Value, str](), dict[Value, frozenset[Value]](), set[Value]()
        passed: dict[Value, frozenset[str]] = {}  # the modules that a value has come through
        owner = dict(self.owner)
        for step in steps:
            values = [x for x in step.inputs if isinstance(x, Value)]
            parameters, before = (
                [x for x in values if x in owner],
                [x for x in values if x in place],
            )
            if len(parameters) == len(values) > 0 and step.op in _VIEWS:
                owner[step] = owner[parameters[-1]]  # a weight, transposed, is still that weight
            if parameters or before:
                # Of two that come from different modules one may have come through both: x + layer(x) is at the layer.
                latest = [
                    x
                    for x in before
                    if not any(place[x] in passed[y] and place[x] != place[y] for y in before)
                ]
                here = (
                    owner[parameters[-1]]
                    if parameters
                    else self._common([place[x] for x in latest or before])
                )
                parts = [used[x] for x in before if place[x] == here]
                place[step], used[step] = here, frozenset(parameters).union(*parts)
                passed[step] = frozenset([here]).union(*(passed[x] for x in before))
                joins = (
                    len(parts) == len(before) > 1
                    and all(parts)
                    and sum(map(len, parts)) == len(used[step])
                )
                skips = len(latest) < len(before) and all(x in inside for x in before)
                activates = step.op in _ACTIVATIONS and all(x in inside for x in before)
                if parameters or joins or skips or activates:
                    inside.add(step)
        if self.names and steps and not inside:
            raise ValueError(
                "the graph was not computed with this model: none of its parameters is in it"
            )
        for step in reversed(steps):  # what is used within the model is within it
            if step in inside:
                inside.update(x for x in step.inputs if isinstance(x, Value))
        return [place[step] if step in inside and step in place else None for step in steps]


def _written(module: Module) -> str:
    """Linear(2, 4), but of a module that lists all its parameters, or its layers, only the kind."""
    listed = type(module).__repr__ in (Module.__repr__, Sequential.__repr__) and module.parameters()
    return type(module).__name__ if listed else short(repr(module))
