"""`Module`: a part of a network. What it holds is found, trained, saved and loaded by name."""

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

_CONTAINERS = (list, tuple, dict)  # what a module may hold its parts in


class _Names(frozenset[str]):
    """Names of attributes or parameters that a module remembers."""


_NOTHING_INSIDE = (int, float, str, NoneType, _Names)
_ONCE = (GeneratorType, map, zip, filter)  # empty after the first call of `forward`


class Part(NamedTuple):
    """Something that a module holds: a Value, a module, an array, or a container of another kind."""

    name: str  # its path, such as "layers.0.weight"
    part: Any
    holder: Any  # the module, list, tuple or dictionary that it is in
    key: Any  # its name or its place in there
    left_out: bool  # whether an attribute on the way to it begins with an underscore

    @property
    def is_parameter(self) -> bool:
        """Whether it is a leaf. (What an operation computed, recorded or not, has a ticket.)"""
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
        """Set a parameter or an array to these numbers; an array also to their dtype."""
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
                f"{self.name} is in a tuple, and can't be set: it is read-only, or its dtype "
                f"{self.part.dtype} is not {new.dtype}. Put it in a list"
            )

    def _can_be_written_into(self, new: Any) -> bool:
        return bool(self.part.dtype == new.dtype and self.part.flags.writeable)


class _ModuleType(ABCMeta):
    """Checks each new module once its `__init__` has finished."""

    if not TYPE_CHECKING:  # to others a class is called as its `__init__` says

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
    """A part of a network, or a whole one. A subclass sets its Values in `__init__` and computes in `forward`.

    Every leaf Value that it holds in an attribute is a parameter, and so is every one in the
    modules, lists, tuples and dictionaries that it holds. Names are paths, as in PyTorch:
    "layers.0.weight". A computed Value is not a parameter, so `__init__` must not leave one: that
    is a `TypeError`, and so are parameters where they are not found, as in a set or in an object
    that is not a module. `forward` may keep what it computes, as the state of a recurrent network.

    Every NumPy array that it holds is saved and loaded with the parameters, in its own dtype, such
    as the running mean of a batch norm. A leading underscore in an attribute's name leaves it out.
    """

    _training = True
    _made_with = _Names()
    _were_arrays = _Names()

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """The same as `forward`, which subclasses define."""
        return self.forward(*inputs, **options)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes."""
        raise TypeError(f"{type(self).__name__} defines neither forward nor __call__")

    def __repr__(self) -> str:
        named = ", ".join(f"{name} {p.shape}" for name, p in self.named_parameters())
        return f"{type(self).__name__}({named})"

    def __setattr__(self, name: str, x: Any) -> None:
        old = vars(self).get(name)
        # `layer.weight = layer.weight - step` would put a computed value there, which nothing
        # trains and nothing saves.
        stays = x is None or (isinstance(x, Value) and not x._computed)
        if isinstance(old, Value) and not old._computed and not stays:
            raise TypeError(
                f"{name} is a parameter, and would be lost: change its numbers, as in {name}.data -= step. "
                f"(A state that forward computes begins as an array, or as None.)"
            )
        # A result in the place of an array, such as the state of a recurrent network, is saved as the
        # array was.
        if isinstance(old, ndarray) and isinstance(x, Value) and x._computed:
            object.__setattr__(self, "_were_arrays", _Names({*self._were_arrays, name}))
        # NumPy turns an array without axes into a number as soon as it computes with it:
        # `self.count = self.count + 1`. It stays an array, and is saved.
        if isinstance(old, ndarray) and isinstance(x, np.generic):
            x = np.asarray(x)
        object.__setattr__(self, name, x)

    # ── Training or not ──────────────────────────────────────────────────────────────────────────

    @property
    def training(self) -> bool:
        """Whether the module is being trained: then dropout drops, and a batch norm takes the batch's mean.

        True at first; `train` and `eval` set it. While `train.evaluate` runs, and while `train.fit`
        evaluates its test examples, it is False in that thread and task, whatever was set.
        """
        return self._training and not is_evaluating()

    @training.setter
    def training(self, mode: bool) -> None:
        check_flag("training", mode)
        self._training = bool(mode)

    def train(self, mode: bool = True) -> Self:
        """Set `training` of this module and of all modules in it; the module itself. As in PyTorch."""
        check_flag("mode", mode)
        # From the inside out: a module whose own `train` keeps a part of it in evaluation has the
        # last word on that part.
        for _, module in reversed(list(self.named_modules())):
            if module is self or type(module).train is Module.train:
                module.training = mode
            else:
                module.train(mode)
        return self

    def eval(self) -> Self:
        """The same as `train(False)`: for using the module rather than training it."""
        return self.train(False)

    # ── What it holds ────────────────────────────────────────────────────────────────────────────

    def _parts(self) -> Mapping[Any, Any]:
        """What the module holds, by name."""
        return vars(self)

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Each parameter once, with its name, in the order in which the attributes were set."""
        seen = set()
        for found in _inside("", self, False, (id(self),)):
            name, part, *_ = found
            if not isinstance(part, Value) or part in seen:
                continue
            if not part._computed:
                seen.add(part)
                yield name, part
            elif name in self._made_with:  # `self.weights[0] = self.weights[0] * 0.1`
                raise TypeError(f"{type(self).__name__}: {_computed(Part(*found))}")

    def named_modules(self) -> "Iterator[tuple[str, Module]]":
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

        What is held in two places appears under both names. An array that NumPy cannot save
        without pickle, or not with all that belongs to it, is a `TypeError`: its name with a
        leading underscore leaves it out.
        """
        state: dict[str, Data] = {}
        for name, each in self._state().items():
            if isinstance(each.part, Value):
                state[name] = each.part.detach().data
            else:
                state[name] = _copy_of(name, each.part)
        return state

    def _state(self) -> dict[str, Part]:
        """Every parameter and every array that is saved by name, under all the names that it has."""
        self.parameters()  # complains if one of them has become a result
        found = [each for each in _contents(self) if each.is_parameter or each.is_saved_array]
        state = {each.name: each for each in found}
        if len(state) < len(found):
            names = [each.name for each in found]
            raise ValueError(f"two parameters or arrays have the same name: {names}")
        return state

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Set every parameter to the data of its name, and every array, which gets the dtype as well.

        Unknown and missing names and other shapes are a `ValueError`, and text and the like a
        `TypeError`, both before anything has changed.
        """
        for part, data in self._matched(state):
            part.put(data)

    def _matched(self, state: Mapping[str, ArrayLike]) -> list[tuple[Part, Any]]:
        """Each part of the state with what it will be set to; an error if any can't be."""
        parts = self._state()
        like: dict[str, Any] = {}
        for name, each in parts.items():
            like[name] = each.part._numbers if isinstance(each.part, Value) else each.part
        new = fitted(state, like, own_dtype=[name for name in parts if parts[name].is_saved_array])
        for name, data in new.items():
            parts[name].check_put(data)
        return [(parts[name], data) for name, data in new.items()]

    def save(self, path: StrPath) -> None:
        """Write `state_dict()` to an .npz file: whole, or, if anything interrupts it, not at all."""
        save_arrays(path, self.state_dict())

    def load(self, path: StrPath) -> None:
        """Set every parameter and array to what `save` has written: all of it, or an error that says why.

        A file that is broken, or another model's, is a `ValueError`; one that is not there is a
        `FileNotFoundError`.
        """
        arrays = load_arrays(path)
        try:
            self.load_state_dict(arrays)
        except TypeError as error:  # text in place of numbers, say
            raise ValueError(f"{path!s} does not fit: {error}") from error


def _contents(module: Module) -> Iterator[Part]:
    """Everything that a module holds, also in containers and in modules of its own."""
    return map(Part._make, _inside("", module, False, (id(module),)))


def _inside(
    path: str, holder: Any, left_out: bool, above: tuple[int, ...]
) -> Iterator[tuple[str, Any, Any, Any, bool]]:
    """The fields of a `Part` for each part of a module or a container.

    `above` are the modules and containers that it is in, and itself.
    """
    in_module = _is_module(holder)
    parts = holder._parts() if in_module else holder
    for key, part in parts.items() if isinstance(parts, Mapping) else enumerate(parts):
        if isinstance(part, _NOTHING_INSIDE):
            continue
        name = f"{path}.{key}" if path else str(key)
        if in_module and isinstance(part, Value) and part._computed and key in holder._were_arrays:
            part = np.broadcast_to(part._numbers, part.shape)  # read-only
        unsaved = left_out or (in_module and str(key).startswith("_"))
        is_module = _is_module(part)
        if not is_module and not isinstance(part, _CONTAINERS):
            yield name, part, holder, key, unsaved
        elif id(part) not in above:
            if is_module:
                yield name, part, holder, key, unsaved
                unsaved = (
                    False  # an underscore is about the arrays of the module whose attribute it is
                )
            yield from _inside(name, part, unsaved, (*above, id(part)))


def _is_module(x: Any) -> bool:
    """The same as `isinstance(x, Module)`, which takes longer for a class whose metaclass is ABCMeta."""
    return isinstance(type(x), _ModuleType)


def _copy_of(name: str, array: Any) -> Any:
    try:
        copy = np.array(as_plain_array(array))
        if copy.dtype.hasobject:
            raise TypeError("an array of objects can't be saved without pickle")
    except TypeError as error:
        last = name.rpartition(".")[2]
        raise TypeError(f"{name}: {error}. Under the name _{last} it is left out") from None
    return copy


def _check_new(module: Module) -> None:
    """A `TypeError` if a module that has just been made holds what looks like a parameter and is not one."""
    name = type(module).__name__
    found = {id(module), *(id(each.part) for each in _contents(module))}
    for each in _contents(module):
        part = each.part
        if isinstance(part, Value) and part._computed:
            raise TypeError(f"{name}: {_computed(each)}")
        if isinstance(part, _ONCE):
            raise TypeError(
                f"{name}: {each.path} is a {type(part).__name__}, which is empty after the first time, "
                f"and hides its parameters: make a list of it"
            )
        hidden = [inner for inner in _hidden_in(part) if id(inner) not in found]
        if any(isinstance(inner, Module) or not inner._computed for inner in hidden):
            raise TypeError(f"{name}: {each.path} {_cure(part)}")
    _check_class(type(module))
    names = _Names(each.name for each in _contents(module) if each.is_parameter)
    object.__setattr__(module, "_made_with", names)


def _computed(each: Part) -> str:
    """What is wrong with a computed Value in the place of a parameter."""
    how = f"computed by {each.part.op}" if each.part.op else "computed within no_grad"
    return (
        f"{each.path} was {how}, so it is not a parameter: nothing would train or save it. Compute with "
        f"arrays first, and make a leaf of the result, as in Value(rng.normal(size=3) * 0.1)"
    )


@lru_cache
def _check_class(kind: type) -> None:
    """A `TypeError` if the class of a module holds parameters: all its modules would share them."""
    for above in kind.__mro__:
        for attribute, part in vars(above).items():
            has_state = isinstance(part, Module) and part.state_dict()
            if isinstance(part, Value) or has_state:
                raise TypeError(
                    f"{kind.__name__}: {attribute} is an attribute of the class {above.__name__}, which "
                    f"all its modules would share, and not a parameter: set self.{attribute} in __init__"
                )
        if issubclass(above, Module) and vars(above).get("__slots__"):
            raise TypeError(
                f"{kind.__name__} has __slots__, in which parameters are not found: leave it out"
            )


def _hidden_in(part: Any) -> list[Any]:
    """The Values and modules in what a module does not look into: other containers, objects, functions."""
    if isinstance(part, ndarray):
        inner: Any = part.flat if part.dtype == object else ()
    elif isinstance(part, Mapping):
        inner = part.values()
    elif isinstance(part, set | frozenset | deque):
        inner = part
    elif isinstance(part, MethodType):
        inner = (part.__self__,) if part.__name__ in ("forward", "__call__") else ()
    elif isinstance(part, FunctionType):  # (it may use the module that it will be a part of)
        inner = [x for x in map(_content_of, part.__closure__ or ()) if isinstance(x, Value)]
    elif isinstance(part, partial):
        inner = (*part.args, *part.keywords.values())
    elif hasattr(part, "__dict__") and not isinstance(part, Value | Module | type | ModuleType):
        inner = vars(part).values()
    else:
        inner = ()
    flat = [x for each in inner for x in (each if isinstance(each, list | tuple) else (each,))]
    return [x for x in flat if isinstance(x, Value | Module)]


def _content_of(cell: Any) -> Any:
    """A variable of an outer function; None if it has not been set yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _cure(part: Any) -> str:
    """What to do about parameters that a module does not find in there."""
    kind = type(part).__name__
    if isinstance(part, MethodType) and isinstance(part.__self__, Module):
        return (
            "is a method of a module, whose parameters are not found there: give the module itself"
        )
    if isinstance(part, set | frozenset | deque | ndarray | Mapping):
        return f"is a {kind}, in which parameters are not found: put them in a list, a tuple or a dictionary"
    if isinstance(part, FunctionType | partial):
        return f"is a {kind} that uses Values, which are not found there: make a class of it, a subclass of nn.Module"
    return f"is a {kind}, in which parameters are not found: make {kind} a subclass of nn.Module"
