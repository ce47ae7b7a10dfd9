"""Gradient descent: from the gradients to the next weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from microgd.arrays import Data, check_flag
from microgd.backprop import gradient_so_far
from microgd.checks import check_list, check_number
from microgd.memory import replace
from microgd.storage import fitted
from microgd.value import Value

__all__ = ["SGD"]

_NUMBER_SETTINGS = ("lr", "momentum", "weight_decay")
_SETTINGS = (*_NUMBER_SETTINGS, "nesterov")


class SGD:
    """Stochastic gradient descent: each step moves every parameter a little against its gradient.

    With the gradient g, plus `weight_decay` times the parameter p, a step is

        v = momentum * v + g          (v = g in a parameter's first step)
        p = p - lr * v                (nesterov: p - lr * (g + momentum * v))

    as in `torch.optim.SGD`; Sutskever et al., On the importance of initialization and momentum
    in deep learning, 2013. A parameter whose `grad` is None stays where it is. `lr`, the learning
    rate, may be changed between steps.

    A setting that is negative, infinite or nan is a `ValueError`, and so is nesterov without
    momentum.
    """

    # With slots, a misspelled setting, such as `optimizer.learning_rate = 0.1`, is an error.
    __slots__ = ("_velocity", "lr", "momentum", "nesterov", "parameters", "weight_decay")

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.parameters = check_list("parameters, such as model.parameters()", parameters)
        for p in self.parameters:
            if p.op is not None:
                raise ValueError(
                    f"expected parameters that are leaves, but got one that {p.op} computed: "
                    "compute with arrays first, and make a Value of the result, as in "
                    "Value(rng.normal(size=3) * 0.1)"
                )
        if not self.parameters:
            raise ValueError(
                "expected at least one parameter: "
                "a module's are the Values that it holds as attributes"
            )
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError("expected each parameter once, but one of them came again")
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        self._velocity: list[Any] = [None] * len(self.parameters)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _NUMBER_SETTINGS:
            value = check_number(name, value)
        elif name == "nesterov":
            check_flag(name, value)
        object.__setattr__(self, name, value)

    def zero_grad(self) -> None:
        """Set every parameter's `grad` to None, so that the next `backward` starts a new sum."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Each gets a new array, so what was computed with the old weights keeps them.
        `ValueError` if no parameter has a gradient.
        """
        for p in self.parameters:
            if p.grad is not None:
                break
        else:
            raise ValueError(
                "no parameter has a gradient: before step() comes loss.backward(), of a loss that "
                "was computed with these parameters, and not within no_grad"
            )
        updates, self._velocity[:] = self._updates()
        for p, update in zip(self.parameters, updates):
            if update is not None:
                update += p._numbers  # its memory becomes the new weights'
                replace(p, update)

    def nudges(self) -> list[Data]:
        """What the next `step()` will add to each parameter, in its shape and dtype.

        This changes nothing. A parameter whose `grad` is None gets zeros.
        """
        updates, _ = self._updates()
        nudges: list[Data] = []
        for p, update in zip(self.parameters, updates, strict=True):
            if update is not None:
                nudges.append(update)
            elif p.shape:
                nudges.append(np.zeros_like(p._numbers))
            else:
                nudges.append(0.0)
        return nudges

    def _updates(self) -> tuple[list[Any], list[Data | None]]:
        """What to add to each parameter, and the new velocities.

        An update is in memory of its own. It is None if the parameter has no gradient.
        """
        updates: list[Any] = []
        velocity = list(self._velocity)
        momentum = self.momentum
        decay = self.weight_decay
        factor = -self.lr
        for i, p in enumerate(self.parameters):
            g: Any = p.grad
            numbers: Any = p._numbers
            if g is None:
                updates.append(None)
                continue
            has_same_layout = (
                type(g) is type(numbers) is ndarray
                and g.shape == numbers.shape
                and g.strides == numbers.strides
            )
            if not (has_same_layout and g.dtype is numbers.dtype):
                g = gradient_so_far(p)  # the user may have put anything there
                if p.shape:
                    # A parameter keeps its order in memory, because matrix products round
                    # differently in another.
                    g = np.positive(g, np.empty_like(numbers))
            if decay:
                g = g + decay * numbers
            if momentum:
                last = velocity[i]
                # `1.0 * g` is a copy, because `grad` is the caller's.
                v = 1.0 * g if last is None else momentum * last + g
                velocity[i] = v
                g = g + momentum * v if self.nesterov else v
            updates.append(g * factor)
        return updates, velocity

    def state_dict(self) -> dict[str, Data]:
        """What the next steps depend on, by name: the settings, and a copy of each velocity.

        A parameter that has no velocity yet is left out.
        """
        state: dict[str, Data] = {name: float(getattr(self, name)) for name in _SETTINGS}
        for i, v in enumerate(self._velocity):
            if v is not None:
                state[f"velocity.{i}"] = +v
        return state

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over the settings and velocities, all of them, or raise an error and change nothing.

        The errors are those of the constructor and of `Module.load_state_dict`.
        """
        settings: dict[str, Data] = dict.fromkeys(_SETTINGS, 0.0)
        velocity = {f"velocity.{i}": p._numbers for i, p in enumerate(self.parameters)}
        new: dict[str, Any] = fitted(state, settings | velocity, optional=velocity)
        # A state holds numbers only. The constructor refuses any number but 0 and 1 as nesterov.
        flags = {0.0: False, 1.0: True}
        new["nesterov"] = flags.get(new["nesterov"], new["nesterov"])
        checked = SGD(self.parameters, *(new[name] for name in _SETTINGS))
        for name in _SETTINGS:
            setattr(self, name, getattr(checked, name))
        self._velocity = [new.get(name) for name in velocity]

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in _SETTINGS)
        return f"SGD(parameters={len(self.parameters)}, {settings})"
