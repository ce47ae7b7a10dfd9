"""`Optimizer`: what all optimizers have in common, and how to write your own."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from microgd.arrays import Data, as_data, check_flag, shown
from microgd.backprop import gradient_so_far
from microgd.checks import check_list, check_number, check_type
from microgd.memory import Spare, replace
from microgd.storage import fitted
from microgd.value import Value

State: TypeAlias = Mapping[str, Any]  # what an optimizer remembers of a parameter, by name
_NO_NUDGE = "expected {} to define the method nudge(self, number, gradient, state), but it does not"


class Optimizer:
    """What all optimizers have in common. A subclass defines one method, `nudge`.

    `nudge(number, gradient, state)` returns what a step adds to a parameter's number, or to its
    array of numbers, and the new state. (So it returns the change, and not the new number.) The
    state is a dictionary from names to numbers and arrays, one for each parameter, and {} before
    its first step. `nudge` computes with operators: it makes new arrays, and writes into none that
    it was given.

    Settings are attributes of the class: numbers of 0 or more, True or False, or tuples of numbers.
    The class gives their defaults. Besides these, there is always `lr`, the learning rate.

    >>> class Momentum(Optimizer):
    ...     momentum = 0.9
    ...
    ...     def nudge(self, number, gradient, state):
    ...         velocity = self.momentum * state.get("velocity", 0.0) + gradient
    ...         return -self.lr * velocity, {"velocity": velocity}
    >>> weight = Value(1.0)
    >>> optimizer = Momentum([weight], lr=0.1, momentum=0.5)
    >>> (weight**2).backward()
    >>> optimizer.step()
    >>> weight, optimizer
    (Value(0.8, grad=2.0), Momentum(parameters=1, lr=0.1, momentum=0.5))

    `train.fit` and checkpoints take such an optimizer, and a stopped run goes on with its states.
    Settings may be changed between steps. A parameter whose `grad` is None stays where it is.

    An unknown setting, or one that is negative, infinite or nan, raises an error at once. So does a
    nudge whose shape differs from the parameter's. Attributes that begin with an underscore are not
    settings.
    """

    parameters: list[Value]
    lr: float
    _defaults: ClassVar[dict[str, Any]] = {}  # of the settings, by name
    _signature: ClassVar[inspect.Signature]  # the parameters and the settings, as in a call
    __signature__: ClassVar[inspect.Signature | None]
    _is_ours: ClassVar[bool] = True  # its `nudge` is one of microgd's, and needs no checks

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._defaults = _settings_of(cls)
        cls._signature = _signature_of(cls._defaults)
        # What `help` and notebooks show, unless the class has an `__init__` of its own.
        cls.__signature__ = cls._signature if cls.__init__ is Optimizer.__init__ else None
        home = getattr(cls.nudge, "__module__", None) or ""
        cls._is_ours = home.startswith("microgd.")
        if not cls._is_ours:
            _check_nudge(cls)
            # SGD has shortcuts for its own `nudge`. A subclass with another can't take them.
            cls._steps = Optimizer._steps  # type: ignore[method-assign]
            cls._layout = Optimizer._layout  # type: ignore[method-assign]

    def __init__(self, parameters: Iterable[Value], *settings: Any, **named: Any) -> None:
        """Begin without states. The settings are `lr` and then the class's, in its order."""
        if type(self).nudge is Optimizer.nudge:
            raise TypeError(_NO_NUDGE.format(type(self).__name__))
        unknown = named.keys() - self._defaults.keys()
        if unknown:
            raise TypeError(self._no_setting(", ".join(sorted(unknown))))
        try:
            given = self._signature.bind(parameters, *settings, **named)
        except TypeError as error:  # `lr` is missing, say
            raise TypeError(f"{type(self).__name__}{self._signature}: {error}") from None
        given.apply_defaults()
        for name, value in given.arguments.items():
            setattr(self, name, value)
        self._check_together(given.arguments)
        self._kept = _KeptByParameter()

    def nudge(self, number: Any, gradient: Any, state: State) -> tuple[Any, State]:
        """What a step adds to a parameter's number, and the new state; a subclass defines it."""
        raise TypeError(_NO_NUDGE.format(type(self).__name__))

    # ── Settings ─────────────────────────────────────────────────────────────────────────────────

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._defaults:
            value = self._checked(name, value)
        elif name == "parameters":
            value = _checked_parameters(value)
        elif not name.startswith("_"):
            raise AttributeError(self._no_setting(name))
        object.__setattr__(self, name, value)

    def _no_setting(self, name: str) -> str:
        known = ", ".join(self._defaults)
        return (
            f"{type(self).__name__} has no setting {name}: its settings are {known} "
            f"(a class of your own has one more if it says {name} = ...)"
        )

    def _checked(self, name: str, value: Any) -> Any:
        """A setting in the form in which it is kept; an error if it is not one."""
        return _checked_like(self._defaults[name], name, value)

    def _check_together(self, settings: Mapping[str, Any]) -> None:
        """Raise a `ValueError` if these settings can't be used together."""

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in self._defaults)
        return f"{type(self).__name__}(parameters={len(self.parameters)}, {settings})"

    # ── Steps ────────────────────────────────────────────────────────────────────────────────────

    def zero_grad(self) -> None:
        """Set every parameter's `grad` to None, so that the next `backward` starts a new sum."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Add its nudge to every parameter that has a gradient.

        The new numbers are in another array, so what was computed with the old weights keeps them.
        `ValueError` if no parameter has a gradient. After an error nothing has changed.
        """
        steps = self._steps()
        if not steps:
            raise ValueError(
                "no parameter has a gradient: call loss.backward() before step(), on a loss that "
                "was computed with these parameters, and not within no_grad"
            )
        for p, kept, numbers, state in steps:
            kept.state = state
            kept._numbers = replace(p, numbers)  # the old array, which may be used again

    def nudges(self) -> list[Data]:
        """What the next `step()` will add to each parameter, in its shape and dtype.

        This changes nothing. A parameter whose `grad` is None gets zeros.
        """
        nudges: list[Data] = []
        for p in self.parameters:
            if p.grad is not None:
                kept = self._kept[p]
                nudge, _ = self._nudge(p, kept.gradient(p), kept.state)
                nudges.append(np.array(nudge) if p.shape else float(nudge))
            elif p.shape:
                nudges.append(np.zeros_like(p._numbers))
            else:
                nudges.append(0.0)
        return nudges

    def _steps(self) -> list[tuple[Value, Kept, Any, State]]:
        """For each parameter that has a gradient, its next numbers and its next state.

        So far nothing has changed, so an error in the middle does no harm.
        """
        steps = []
        for p in self.parameters:
            if p.grad is None:
                continue
            kept = self._kept[p]
            nudge, state = self._nudge(p, kept.gradient(p), kept.state)
            numbers: Any = p._numbers
            if type(numbers) is float:
                numbers = float(numbers + nudge)  # (np.sqrt makes an np.float64 of a float)
            else:
                numbers = np.add(numbers, nudge, kept.room(p))
            steps.append((p, kept, numbers, state))
        return steps

    def _nudge(self, p: Value, gradient: Data, state: State) -> tuple[Any, State]:
        """What `nudge` returns, checked, with the new state in memory of its own."""
        number = p._numbers
        if self._is_ours:
            nudge, new_state = self.nudge(number, gradient, state)
        else:
            nudge, new_state = self._users_nudge(number, gradient, state)
        if new_state is not state:
            new_state = {name: own(x, gradient) for name, x in new_state.items()}
        return nudge, new_state

    def _users_nudge(self, number: Data, gradient: Data, state: State) -> tuple[Data, State]:
        """What a user's `nudge` returns, in the form in which the rest of this class takes it."""
        where = f"{type(self).__name__}.nudge"
        seen = {name: _read_only(x) for name, x in state.items()}
        try:
            result = self.nudge(_read_only(number), _read_only(gradient), seen)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ValueError(
                f"{where} can't write into the number, the gradient and what is in the state: it "
                "makes new arrays, as by gradient * 2 in place of gradient *= 2"
            ) from error
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
            raise TypeError(
                f"expected {where} to return the nudge and the new state, as in "
                f"`return -self.lr * gradient, {{}}`, but it returned {shown(result)}"
            )
        nudge = _numbers_of(result[0], f"the nudge of {where}", number)
        if np.shape(nudge) != np.shape(number):
            raise ValueError(
                f"expected the nudge of {where} to have the parameter's shape {np.shape(number)}, "
                f"but got shape {np.shape(nudge)}"
            )
        if isinstance(nudge, ndarray):
            nudge = nudge.astype(number.dtype, copy=False)  # type: ignore[union-attr]
        new_state = {}
        for name, x in result[1].items():
            check_type(f"names in the state of {where} that are text", str, name)
            new_state[name] = _numbers_of(x, f"{name} in the state of {where}", number)
        return nudge, new_state

    # ── What is saved ────────────────────────────────────────────────────────────────────────────

    def state_dict(self) -> dict[str, Data]:
        """What the next steps depend on, by name: the settings, and a copy of each state.

        In an SGD, for example, the velocity of the third parameter is "velocity.2". A parameter
        without a state, as before its first step, is left out.
        """
        saved = {name: _as_saved(getattr(self, name)) for name in self._defaults}
        for i, p in enumerate(self.parameters):
            for name, x in self._kept[p].state.items():
                saved[f"{name}.{i}"] = +x
        return saved

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over settings and states, all of them, or raise an error and change nothing.

        The errors are those of the constructor and of `Module.load_state_dict`. To find out what
        the states look like, this calls `nudge` with gradients of 1.
        """
        settings, states = self._matched(state)
        self._put(settings, states)

    def _put(self, settings: dict[str, Any], states: list[State]) -> None:
        """Take over what `_matched` has checked."""
        vars(self).update(settings)
        for p, state in zip(self.parameters, states, strict=True):
            self._kept[p].state = state

    def _matched(self, state: Mapping[str, ArrayLike]) -> tuple[dict[str, Any], list[State]]:
        """The settings in `state`, and the state of each parameter; an error if any do not fit."""
        check_type("arrays by name, such as a state_dict()", Mapping, state)
        settings = self._matched_settings(state)
        like: dict[str, Data] = {name: _as_saved(x) for name, x in settings.items()}
        needed = []  # for each parameter, the names without which a state is not complete
        twin = copy(self)
        vars(twin).update(settings)
        for i, p in enumerate(self.parameters):
            layout, always = twin._layout(p)
            needed.append(always)
            # A state may hold entries that only earlier settings have produced, such as a velocity
            # from before the momentum was set to 0.
            before, _ = self._layout(p)
            for name, x in (before | layout).items():
                saved_name = f"{name}.{i}"
                has_any_shape = x is None
                like[saved_name] = as_data(state.get(saved_name, 0.0)) if has_any_shape else x
        states: list[dict[str, Any]] = [{} for _ in self.parameters]
        for saved_name, x in fitted(state, like, optional=like.keys() - settings.keys()).items():
            if saved_name not in settings:
                name, _, place = saved_name.rpartition(".")
                states[int(place)][name] = x
        for i, always in enumerate(needed):
            missing = sorted(always - states[i].keys())
            if states[i] and missing:
                raise ValueError(f"the state of parameter {i} is not complete: it lacks {missing}")
        return settings, list(states)

    def _matched_settings(self, state: Mapping[str, ArrayLike]) -> dict[str, Any]:
        """All settings, those in `state` in place of the present ones; an error if one is wrong."""
        settings = {name: getattr(self, name) for name in self._defaults}
        given = {name: state[name] for name in settings if name in state}
        like = {name: _as_saved(x) for name, x in settings.items()}
        for name, x in fitted(given, like, optional=like).items():
            settings[name] = self._checked(name, _as_setting(x, self._defaults[name]))
        self._check_together(settings)
        return settings

    def _layout(self, p: Value) -> tuple[dict[str, Any], set[str]]:
        """What a parameter's state looks like, and the names that are always in it.

        Each name comes with an example of what is stored there, or with None if its shape changes
        from step to step, as that of a history does.
        """
        gradient = np.ones_like(p._numbers) if p.shape else 1.0
        with np.errstate(all="ignore"):
            _, first = self._nudge(p, gradient, {})
            _, second = self._nudge(p, gradient, first)
        layout = {**first, **second}
        always = first.keys() & second.keys()
        for name in always:
            if np.shape(first[name]) != np.shape(second[name]):
                layout[name] = None
        return layout, always


class Kept(Spare):
    """What an optimizer keeps of a parameter: its state, its layout, and a spare array."""

    __slots__ = ("dtype", "shape", "state", "strides")

    def __init__(self, p: Value) -> None:
        super().__init__()
        self.state: State = {}
        numbers: Any = p._numbers
        self.shape = self.strides = self.dtype = None
        if p.shape:
            self.shape = numbers.shape
            self.strides = numbers.strides
            self.dtype = numbers.dtype

    def gradient(self, p: Value) -> Any:
        """The parameter's `grad`, in its shape, dtype and layout. Nobody may write into it."""
        g: Any = p.grad
        numbers: Any = p._numbers
        if type(g) is ndarray and g.dtype is self.dtype:
            if g.shape == self.shape and g.strides == self.strides:
                return g
        elif type(g) is type(numbers) is float:
            return g
        g = gradient_so_far(p)  # the user may have put anything there
        if type(numbers) is float:
            return g
        # The new numbers will lie in memory like the gradient, and they should lie like the old
        # ones, because matrix products round differently in another order.
        return np.positive(g, np.empty_like(numbers))


class _KeptByParameter(dict[Value, Kept]):
    def __missing__(self, p: Value) -> Kept:
        self[p] = Kept(p)
        return self[p]


# ── Checks ───────────────────────────────────────────────────────────────────────────────────────


def _checked_parameters(parameters: Iterable[Value]) -> list[Value]:
    """The parameters as a list; an error unless these are leaves, at least one, and each once."""
    checked = check_list("parameters, such as model.parameters()", parameters)
    for p in checked:
        if p.op is not None:
            raise ValueError(
                f"expected parameters that are leaves, but got one that {p.op} computed: "
                "compute with arrays first, and make a Value of the result, as in "
                "Value(rng.normal(size=3) * 0.1)"
            )
    if not checked:
        raise ValueError(
            "expected at least one parameter: a module's are the Values that it holds as attributes"
        )
    if len(set(checked)) < len(checked):
        raise ValueError("expected each parameter once, but one of them came again")
    return checked


def _settings_of(cls: type[Optimizer]) -> dict[str, Any]:
    """The settings of a class, by name, with their defaults. `lr` may have none: then it has None.

    A `TypeError` or a `ValueError` if a default is not a setting.
    """
    settings: dict[str, Any] = {"lr": None}
    for base in reversed(cls.__mro__):
        for name, default in vars(base).items():
            is_method = callable(default) or hasattr(default, "__get__")
            if is_method or name.startswith("_"):
                continue
            where = f"{cls.__name__}.{name}"
            if name == "parameters" or hasattr(Optimizer, name):
                raise TypeError(f"{where} can't be a setting: every optimizer has {name} already")
            check_type(f"{where} to be {_SETTING_KINDS}", _SETTING_TYPES, default)
            settings[name] = _checked_like(default, where, default)
    return settings


def _signature_of(defaults: Mapping[str, Any]) -> inspect.Signature:
    """How a class with these settings is called."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    arguments = [inspect.Parameter("parameters", kind)]
    for name, default in defaults.items():
        no_default = inspect.Parameter.empty
        arguments.append(
            inspect.Parameter(name, kind, default=no_default if default is None else default)
        )
    return inspect.Signature(arguments)


_SETTING_TYPES = (bool, np.bool, int, float, np.integer, np.floating, tuple)
_SETTING_KINDS = (
    "a number, True or False, or a tuple of numbers, as settings are "
    "(the name of anything else begins with an underscore)"
)


def _checked_like(default: Any, name: str, value: Any) -> Any:
    """A setting in the form in which it is kept; an error if it is not of the default's kind."""
    if isinstance(default, bool | np.bool):
        check_flag(name, value)
        return bool(value)
    if not isinstance(default, tuple):
        return check_number(name, value)
    check_type(f"{name} to be a tuple of {len(default)} numbers", tuple | list, value)
    if len(value) != len(default):
        raise ValueError(
            f"expected {name} to be a tuple of {len(default)} numbers, but got {len(value)}"
        )
    return tuple(check_number(f"{name}[{i}]", x) for i, x in enumerate(value))


def _as_saved(setting: Any) -> Data:
    """A setting as a number or an array."""
    return np.array(setting) if isinstance(setting, tuple) else float(setting)


def _as_setting(saved: Any, default: Any) -> Any:
    """The setting that `_as_saved` has turned into a number or an array."""
    if isinstance(default, tuple):
        return tuple(saved.tolist())
    if isinstance(default, bool):
        flags = {0.0: False, 1.0: True}  # the check of flags refuses any other number
        return flags.get(saved, saved)
    return saved


def _check_nudge(cls: type[Optimizer]) -> None:
    """A `TypeError` unless `nudge` takes a number, a gradient and a state."""
    try:
        inspect.signature(cls.nudge).bind("self", "number", "gradient", "state")
    except (TypeError, ValueError):  # a built-in function may have no signature
        raise TypeError(
            f"expected {cls.__name__} to have a method nudge(self, number, gradient, state), "
            f"but got {shown(cls.nudge)}"
        ) from None


# ── Numbers ──────────────────────────────────────────────────────────────────────────────────────


def own(x: Data, gradient: Data) -> Data:
    """A part of a new state, in memory of its own."""
    if type(x) is ndarray and (x is gradient or x.base is not None):
        return x.copy("K")
    return x


def _read_only(x: Data) -> Data:
    """The same numbers, to read only."""
    if type(x) is not ndarray:
        return x
    view = x.view()
    view.setflags(write=False)
    return view


def _numbers_of(x: Any, what: str, like: Data) -> Data:
    """`x` as the engine computes with it; a `TypeError` says what it is."""
    try:
        return as_data(x, like)
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None
