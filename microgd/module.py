"""`Module`: a part of a network. Its parameters and arrays are found, saved and loaded by name."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from types import FunctionType, GeneratorType, MethodType, ModuleType, NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from microgd.arrays import Data, as_plain_array, check_flag
from microgd.recording import is_evaluating
from microgd.storage import StrPath, fitted, load_arrays, save_arrays
from microgd.value import Value

_CONTAINERS = (list, tuple, dict)  # a module finds the parts that are in these

_MOST_SHOWN = 8  # a module of more parameters is shown by how many numbers its parts hold


class _Names(frozenset[str]):
    """Names that a module remembers. By their type they are told from its parts."""


_NOTHING_INSIDE = (int, float, str, NoneType, _Names)
_ITERATORS = (GeneratorType, map, zip, filter)  # empty after the first call of `forward`


class Part(NamedTuple):
    """Something that a module holds: a Value, a module, an array, or any other object."""

    name: str  # its path, such as "layers.0.weight"
    part: Any
    holder: Any  # the module, list, tuple or dictionary that it is in
    key: Any  # its name or its position in the holder
    left_out: bool  # of the state, because an attribute on its path begins with an underscore

    @property
    def is_parameter(self) -> bool:
        """Whether it is a Value that no operation computed, not even within `no_grad`."""
        return isinstance(self.part, Value) and not self.part._computed

    @property
    def is_saved_array(self) -> bool:
        """Whether it is an array that belongs to the module's state."""
        return isinstance(self.part, ndarray) and not self.left_out

    @property
    def path(self) -> str:
        """Its name in a message."""
        return f"self.{self.name}" if self.name.isidentifier() else self.name

    def put(self, new: Any) -> None:
        """Set a parameter or an array to new numbers. An array also takes over their dtype."""
        if isinstance(self.part, Value):
            self.part.data = new
        elif self._can_be_written_into(new):
            self.part[...] = new
        elif isinstance(self.holder, Module):
            object.__setattr__(self.holder, self.key, new)
        else:
            self.holder[self.key] = new

    def check_put(self, new: Any) -> None:
        """A `ValueError` if `put` would fail."""
        if not isinstance(self.holder, tuple) or isinstance(self.part, Value):
            return
        if not self._can_be_written_into(new):
            raise ValueError(
                f"{self.name} is in a tuple, and can't be written into: it is read-only, or its "
                f"dtype {self.part.dtype} is not {new.dtype}. Put it in a list"
            )

    def _can_be_written_into(self, new: Any) -> bool:
        return bool(self.part.dtype == new.dtype and self.part.flags.writeable)


class _ModuleType(ABCMeta):
    """The type of module classes. It checks each new module when its `__init__` has finished."""

    # Type checkers and `inspect.signature` take a class's signature from its metaclass's `__call__`
    # if there is one. The signature should be that of `__init__`, so type checkers do not see this
    # method, and `inspect` gets `__signature__`.
    if not TYPE_CHECKING:

        def __call__(cls, *arguments, **options):
            module = super().__call__(*arguments, **options)
            _check_new(module)
            return module

        @property
        def __signature__(cls):
            if cls.__init__ is object.__init__:
                return inspect.Signature()
            return inspect.signature(partial(cls.__init__, None))


class Module(metaclass=_ModuleType):
    """A part of a network, or a whole one.

    A subclass sets its Values in `__init__`, and computes in `forward`.

    *Parameters* are all the Values made by `Value(...)` that a module holds: in an attribute, or in
    the modules, lists, tuples and dictionaries that it holds. Their names are paths, as in PyTorch:
    "layers.0.weight". A computed Value is not a parameter. If `__init__` leaves one in the module,
    that is a `TypeError`, and so is a parameter in a place where it is not found, such as a set or
    an object that is not a module. `forward` may keep computed Values, such as the state of a
    recurrent network. But a Value keeps the graph that it came from. To begin the next mini-batch
    with the numbers alone, keep `state.data`, as `self._state`.

    *Arrays* of NumPy that a module holds, such as the running mean of a batch norm, are saved and
    loaded with the parameters, in their own dtype. A leading underscore in an attribute's name
    leaves its arrays out.
    """

    _training = True
    _initial_parameters = _Names()  # that it had when `__init__` had finished
    _once_arrays = _Names()  # attributes that now hold a computed Value in place of an array

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Compute `forward`, which subclasses define."""
        return self.forward(*inputs, **options)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the module's result."""
        raise TypeError(f"{type(self).__name__} defines neither forward nor __call__")

    def __repr__(self) -> str:
        named = dict(self.named_parameters())
        if len(named) > _MOST_SHOWN:
            counts = _counted(named)
            shown = [f"{name}: {count:,} number{'s' * (count > 1)}" for name, count in counts]
        else:
            shown = [f"{name} {p.shape}" for name, p in named.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __setattr__(self, name: str, new: Any) -> None:
        old = vars(self).get(name)
        # `layer.weight = layer.weight - step` would replace the parameter by a computed Value,
        # which nothing would train or save. Another parameter, or None, may take its place.
        was_parameter = isinstance(old, Value) and not old._computed
        may_replace_it = new is None or (isinstance(new, Value) and not new._computed)
        if was_parameter and not may_replace_it:
            raise TypeError(
                f"{name} is a parameter, and would be lost: to change its numbers, write "
                f"{name}.data -= step. (A state that forward computes begins as an array or None.)"
            )
        if isinstance(old, ndarray):
            # A computed Value in place of an array, such as the state of a recurrent network, is
            # saved as the array was.
            if isinstance(new, Value) and new._computed:
                names = _Names({*self._once_arrays, name})
                object.__setattr__(self, "_once_arrays", names)
            # When NumPy computes with an array without axes, the result is a number, as in
            # `self.count = self.count + 1`. It is made an array again, so that it is still saved.
            elif isinstance(new, np.generic):
                new = np.asarray(new)
        object.__setattr__(self, name, new)

    # ── Training or not ──────────────────────────────────────────────────────────────────────────

    @property
    def training(self) -> bool:
        """Whether the module is being trained.

        Some modules compute something else then: dropout drops, and a batch norm takes the mean of
        the mini-batch. It is True at first, and `train` and `eval` set it. While `train.evaluate`
        runs, and while `train.fit` evaluates its test examples, it is False in that thread and
        task, whatever was set.
        """
        return self._training and not is_evaluating()

    @training.setter
    def training(self, mode: bool) -> None:
        check_flag("training", mode)
        self._training = bool(mode)

    def train(self, mode: bool = True) -> Self:
        """Set `training` of this module and of all modules in it, and return it, as in PyTorch."""
        check_flag("mode", mode)
        # From the inside out. A module may have a `train` of its own, which keeps a part of it in
        # evaluation: it comes after that part, so it has the last word.
        for _, module in reversed(list(self.named_modules())):
            if module is self or type(module).train is Module.train:
                module.training = mode
            else:
                module.train(mode)
        return self

    def eval(self) -> Self:
        """Do `train(False)`: the module is now to be used rather than trained."""
        return self.train(False)

    # ── Its parts ────────────────────────────────────────────────────────────────────────────────

    def _parts(self) -> Mapping[Any, Any]:
        """The module's attributes, by name; a subclass may give them other names."""
        return vars(self)

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Each parameter once, with its name, in the order in which the attributes were set."""
        seen = set()
        for fields in _inside("", self, False, (id(self),)):
            name, part, *_ = fields
            if not isinstance(part, Value) or part in seen:
                continue
            if not part._computed:
                seen.add(part)
                yield name, part
            elif name in self._initial_parameters:  # `self.weights[0] = self.weights[0] * 0.1`
                raise TypeError(f"{type(self).__name__}: {_not_a_parameter(Part(*fields))}")

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, whose name is "", and each module in it once, with its name."""
        yield "", self
        seen = {id(self)}
        for name, part, *_ in _inside("", self, False, (id(self),)):
            if isinstance(part, Module) and id(part) not in seen:
                seen.add(id(part))
                yield name, part

    def parameters(self) -> list[Value]:
        """Each parameter once, as in `named_parameters`."""
        return [value for _, value in self.named_parameters()]

    def zero_grad(self) -> None:
        """Set every parameter's `grad` to None, so that the next `backward` starts a new sum."""
        for value in self.parameters():
            value.grad = None

    # ── Its state ────────────────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, Data]:
        """A copy of every parameter's data and of every array, by name.

        A parameter or an array that is held in two places appears under both names. An array that
        NumPy can't save completely, or can't save without pickle, is a `TypeError`: give the
        attribute a name with a leading underscore to leave it out.
        """
        state: dict[str, Data] = {}
        for name, each in self._state().items():
            if isinstance(each.part, Value):
                state[name] = each.part.detach().data
            else:
                state[name] = _checked_copy(name, each.part)
        return state

    def _state(self) -> dict[str, Part]:
        """Every parameter and every array of the state, under each of its names."""
        self.parameters()  # raises an error if one of them has been replaced by a computed Value
        parts = [each for each in _contents(self) if each.is_parameter or each.is_saved_array]
        state = {each.name: each for each in parts}
        if len(state) < len(parts):
            names = [each.name for each in parts]
            raise ValueError(f"two parameters or arrays have the same name: {names}")
        return state

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Set every parameter and every array to the data of its name.

        Parameters keep their dtype; arrays take over that of the data. Unknown names, missing names
        and wrong shapes are a `ValueError`. Data of the wrong kind, such as text in place of
        numbers, are a `TypeError`. After an error nothing has changed.
        """
        for part, data in self._matched(state):
            part.put(data)

    def _matched(self, state: Mapping[str, ArrayLike]) -> list[tuple[Part, Any]]:
        """Each part of the state with its new data, which fit; an error if any do not."""
        parts = self._state()
        current: dict[str, Any] = {}
        for name, each in parts.items():
            current[name] = each.part._numbers if isinstance(each.part, Value) else each.part
        arrays = [name for name in parts if parts[name].is_saved_array]
        new = fitted(state, current, own_dtype=arrays)
        for name, data in new.items():
            parts[name].check_put(data)
        return [(parts[name], data) for name, data in new.items()]

    def save(self, path: StrPath) -> None:
        """Write `state_dict()` to an .npz file: completely or, if interrupted, not at all."""
        save_arrays(path, self.state_dict())

    def load(self, path: StrPath) -> None:
        """Set every parameter and every array to the data in a file that `save` has written.

        A broken file, or a file of another model, is a `ValueError`; a file that is not there is a
        `FileNotFoundError`. After an error nothing has changed.
        """
        arrays = load_arrays(path)
        try:
            self.load_state_dict(arrays)
        except TypeError as error:  # text in place of numbers, say
            raise ValueError(f"{path!s} does not fit: {error}") from error


def _counted(parameters: dict[str, Value]) -> list[tuple[str, int]]:
    """How many numbers there are in each part of a module, in at most a few parts.

    layers.0 and layers.1 say more than layers, and fit on a line where layers.0.neurons.0 does not.
    """
    best: dict[str, int] = {}
    deepest = max(name.count(".") for name in parameters) + 1
    for depth in range(1, deepest + 1):
        counts: dict[str, int] = {}
        for name, p in parameters.items():
            part = ".".join(name.split(".")[:depth])
            counts[part] = counts.get(part, 0) + p.size
        if best and len(counts) > _MOST_SHOWN:
            break
        if len(counts) > len(best):
            best = counts
    return list(best.items())


def _contents(module: Module) -> Iterator[Part]:
    """All parts of a module, including those in its containers and in its modules."""
    return map(Part._make, _inside("", module, False, (id(module),)))


def _inside(
    path: str, holder: Any, left_out: bool, above: tuple[int, ...]
) -> Iterator[tuple[str, Any, Any, Any, bool]]:
    """The fields of a `Part` for each part of a module or a container, and for the parts of those.

    `above` are the ids of `holder` and of the modules and containers that it is in. They are not
    entered again, since a module may be a part of itself.
    """
    in_module = _is_module(holder)
    parts = holder._parts() if in_module else holder
    items = parts.items() if isinstance(parts, Mapping) else enumerate(parts)
    for key, part in items:
        if isinstance(part, _NOTHING_INSIDE):
            continue
        name = f"{path}.{key}" if path else str(key)
        if in_module and isinstance(part, Value) and part._computed and key in holder._once_arrays:
            part = np.broadcast_to(part._numbers, part.shape)  # read-only, so `put` replaces it
        part_left_out = left_out or (in_module and str(key).startswith("_"))
        is_module = _is_module(part)
        if not is_module and not isinstance(part, _CONTAINERS):
            yield name, part, holder, key, part_left_out
        elif id(part) not in above:
            if is_module:
                yield name, part, holder, key, part_left_out
                # An underscore leaves out the arrays of the module that has the attribute. If the
                # attribute is a module, that module's own names decide about its arrays.
                part_left_out = False
            yield from _inside(name, part, part_left_out, (*above, id(part)))


def generators_in(module: Module) -> list[np.random.Generator]:
    """The random generators that a module holds, such as those of its dropouts, each once."""
    found = {id(each.part): each.part for each in _contents(module)}
    return [part for part in found.values() if isinstance(part, np.random.Generator)]


def _is_module(x: Any) -> bool:
    """Whether x is a module. `isinstance(x, Module)` is slower, as for any class of ABCMeta."""
    return isinstance(type(x), _ModuleType)


def _checked_copy(name: str, array: Any) -> Any:
    """A copy of an array for the state; a `TypeError` if it can't be saved."""
    try:
        copy = np.array(as_plain_array(array))
        if copy.dtype.hasobject:
            raise TypeError("an array of objects can't be saved without pickle")
    except TypeError as error:
        attribute = name.rpartition(".")[2]
        raise TypeError(f"{name}: {error}. Rename it to _{attribute} to leave it out") from None
    return copy


# ── The checks of a new module ───────────────────────────────────────────────────────────────────


def _check_new(module: Module) -> None:
    """A `TypeError` if a new module holds something that looks like a parameter but is not one."""
    name = type(module).__name__
    parts = list(_contents(module))
    reachable = {id(module), *(id(each.part) for each in parts)}
    for each in parts:
        part = each.part
        if isinstance(part, Value) and part._computed:
            raise TypeError(f"{name}: {_not_a_parameter(each)}")
        if isinstance(part, _ITERATORS):
            raise TypeError(
                f"{name}: {each.path} is a {type(part).__name__}, which is empty after the first "
                f"time, and hides its parameters: make a list of it"
            )
        hidden = [x for x in _hidden_in(part) if id(x) not in reachable]
        if any(isinstance(x, Module) or not x._computed for x in hidden):
            raise TypeError(f"{name}: {each.path} {_cure_for_hidden(part)}")
    _check_class(type(module))
    parameters = _Names(each.name for each in parts if each.is_parameter)
    object.__setattr__(module, "_initial_parameters", parameters)


def _not_a_parameter(each: Part) -> str:
    """What is wrong with a computed Value in the place of a parameter, for a message."""
    how = f"computed by {each.part.op}" if each.part.op else "computed within no_grad"
    return (
        f"{each.path} was {how}, so it is not a parameter: nothing would train or save it. Compute "
        f"with arrays first, and make a leaf of the result, as in Value(rng.normal(size=3) * 0.1)"
    )


@lru_cache
def _check_class(module_class: type) -> None:
    """A `TypeError` if the class itself holds parameters, which all its modules would share."""
    name = module_class.__name__
    for base in module_class.__mro__:
        for attribute, part in vars(base).items():
            has_state = isinstance(part, Module) and part.state_dict()
            if isinstance(part, Value) or has_state:
                raise TypeError(
                    f"{name}: {attribute} is an attribute of the class {base.__name__}, so all its "
                    f"modules would share it, and it is not a parameter: "
                    f"set self.{attribute} in __init__"
                )
        if issubclass(base, Module) and vars(base).get("__slots__"):
            raise TypeError(f"{name} has __slots__, in which parameters are not found: remove it")


def _hidden_in(part: Any) -> list[Any]:
    """The Values and modules in an object that a module does not search for its parts."""
    contents: Any = ()
    if isinstance(part, ndarray):
        if part.dtype == object:
            contents = part.flat
    elif isinstance(part, Mapping):
        contents = part.values()
    elif isinstance(part, set | frozenset | deque):
        contents = part
    elif isinstance(part, MethodType):
        if part.__name__ in ("forward", "__call__"):
            contents = (part.__self__,)
    elif isinstance(part, FunctionType):
        variables = map(_content_of, part.__closure__ or ())
        # Values only: a function may well use the module that it will be a part of.
        contents = [x for x in variables if isinstance(x, Value)]
    elif isinstance(part, partial):
        contents = (*part.args, *part.keywords.values())
    elif hasattr(part, "__dict__") and not isinstance(part, Value | Module | type | ModuleType):
        contents = vars(part).values()
    hidden: list[Any] = []
    for each in contents:
        members = each if isinstance(each, list | tuple) else (each,)
        hidden += [x for x in members if isinstance(x, Value | Module)]
    return hidden


def _content_of(cell: Any) -> Any:
    """A variable of an outer function; None if it has not been set yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _cure_for_hidden(part: Any) -> str:
    """Why a module does not find the parameters in this object, and what to do, for a message."""
    kind = type(part).__name__
    if isinstance(part, MethodType) and isinstance(part.__self__, Module):
        return "is a module's method, and parameters are not found there: give the module itself"
    if isinstance(part, set | frozenset | deque | ndarray | Mapping):
        return (
            f"is a {kind}, in which parameters are not found: "
            f"put them in a list, a tuple or a dictionary"
        )
    if isinstance(part, FunctionType | partial):
        return (
            f"is a {kind} that uses Values, which are not found there: "
            f"write it as a subclass of nn.Module"
        )
    return f"is a {kind}, in which parameters are not found: make {kind} a subclass of nn.Module"
