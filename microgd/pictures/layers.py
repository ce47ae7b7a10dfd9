"""Which module of a model each recorded operation belongs to, inferred from its parameters."""

from collections.abc import Iterable, Sequence
from typing import Any

from microgd.checks import check_type
from microgd.nn import Module, Sequential
from microgd.pictures.text import short
from microgd.value import Value

_ACTIVATIONS = {"relu", "sigmoid", "tanh", "softmax", "log_softmax"}
_VIEWS = {"transpose", "reshape", "astype", "broadcast_to", "getitem"}


class Layers:
    """The modules of a model by path, and the names and owners of its parameters.

    A path is written as in "layers.0"; the path of the model itself is "".

    A graph records operations, not modules, so the module of an operation is inferred. An operation
    on parameters belongs to the module that owns them. So do the operations after it, until one
    uses the parameters of another module.

    After the last operation on parameters the model ends, with three exceptions: activations still
    belong to it; so does an operation on a value and another that skipped a module, as in
    x + layer(x); and so does an operation that joins terms computed with different parameters of
    one module, such as their sum.
    """

    def __init__(self, model: Any = None) -> None:
        if model is None:
            model = Module()  # it has no parameters, so no operation belongs to it
        check_type("a model that is an nn.Module", Module, model)
        self.modules: dict[str, Any] = dict(model.named_modules())
        self.names = {value: name for name, value in model.named_parameters()}
        # The modules around each module, from the model inward, and then the module itself.
        self.nesting = {path: self._modules_around(path) for path in self.modules}
        self.owner = {value: self._modules_around(name)[-1] for value, name in self.names.items()}

    def _modules_around(self, path: str) -> list[str]:
        """The paths of the modules that contain what has this path, or that are it."""
        return [
            module for module in self.modules if not module or f"{path}.".startswith(f"{module}.")
        ]

    def innermost(self, paths: Iterable[str]) -> str:
        """The innermost module that contains all these modules."""
        first, *others = (self.nesting[path] for path in paths)
        shared = [module for module in first if all(module in other for other in others)]
        return shared[-1]

    def title(self, path: str, steps: Iterable[Value], within: str | None = None) -> str:
        """The module as it is written in code, and the activations after it that the steps use.

        In the frame of the module `within`, the path begins there.
        """
        around = self.nesting[path][:-1]
        siblings = [module for module in self.modules if self.nesting[module][:-1] == around]
        with_parameters = {
            module for owner in self.owner.values() for module in self.nesting[owner]
        }
        operations = {step.op for step in steps}
        titled = [path]
        for module in siblings[siblings.index(path) + 1 :]:
            if module in with_parameters:
                break
            if type(self.modules[module]).__name__.lower() in operations:
                titled.append(module)
        written = []
        for module in titled:
            name = module.removeprefix(f"{within}.") if within else module
            written.append(f"{name} {_written(self.modules[module])}".strip())
        return short(" → ".join(written), 80)

    def locate(self, steps: Sequence[Value]) -> list[str | None]:
        """The path of the module that each step belongs to; None for a step outside the model.

        `ValueError` if the graph uses none of the model's parameters.
        """
        search = _Search(self)
        for step in steps:
            search.add(step)
        inside = search.inside
        if self.names and steps and not inside:
            raise ValueError(
                "the graph was not computed with this model: none of its parameters is in it"
            )
        # Whatever a step inside the model uses is inside the model too.
        for step in reversed(steps):
            if step in inside:
                inside.update(x for x in step.inputs if isinstance(x, Value))
        return [search.module.get(step) if step in inside else None for step in steps]


class _Search:
    """What is known of the steps so far: the module of each, and which are inside the model."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._owner = dict(layers.owner)
        self.module: dict[Value, str] = {}  # the module of each step, if it is inside the model
        self.inside: set[Value] = set()
        self._used: dict[Value, frozenset[Value]] = {}  # which parameters of this module it used
        self._passed: dict[Value, frozenset[str]] = {}  # which modules it came through

    def add(self, step: Value) -> None:
        """Find the module of a step. The steps before it have to be added before it."""
        operands = [x for x in step.inputs if isinstance(x, Value)]
        parameters = [x for x in operands if x in self._owner]
        before = [x for x in operands if x in self.module]
        if not parameters and not before:
            return
        if len(parameters) == len(operands) and step.op in _VIEWS:
            # A transposed weight is still that weight.
            self._owner[step] = self._owner[parameters[-1]]

        latest = [x for x in before if not self._is_passed(x, before)]
        if parameters:
            module = self._owner[parameters[-1]]
        else:
            module = self._layers.innermost([self.module[x] for x in latest or before])
        terms = [self._used[x] for x in before if self.module[x] == module]
        used = frozenset(parameters).union(*terms)
        self.module[step] = module
        self._used[step] = used
        self._passed[step] = frozenset([module]).union(*(self._passed[x] for x in before))

        all_inside = all(x in self.inside for x in before)
        activates = all_inside and step.op in _ACTIVATIONS
        skips = all_inside and len(latest) < len(before)
        are_different = all(terms) and sum(map(len, terms)) == len(used)
        joins = len(terms) == len(before) > 1 and are_different
        if parameters or activates or skips or joins:
            self.inside.add(step)

    def _is_passed(self, x: Value, operands: Iterable[Value]) -> bool:
        """Whether another operand came through the module of x, and then through another module.

        If so, x skipped the other module: the sum in x + layer(x) belongs to the layer.
        """
        module = self.module[x]
        return any(module in self._passed[y] and module != self.module[y] for y in operands)


def _written(module: Module) -> str:
    """The module as it is written in code, such as Linear(2, 4).

    If that would list all its parameters or its layers, it is the name of the class alone.
    """
    is_list = type(module).__repr__ in (Module.__repr__, Sequential.__repr__)
    if is_list and module.parameters():
        return type(module).__name__
    return short(repr(module))
