"""Gradient descent: from the gradients to the next weights."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from microgd.arrays import Data, check_flag
from microgd.backprop import gradient_so_far
from microgd.checks import check_list, check_number
from microgd.storage import fitted
from microgd.value import Value

_SETTINGS = ("lr", "momentum", "weight_decay", "nesterov")


class SGD:
    """Stochastic gradient descent: each step moves every parameter a little against its gradient.

    With the gradient g, plus `weight_decay` times the parameter p, a step is

        v = momentum * v + g          (v = g in a parameter's first step)
        p = p - lr * v                (nesterov: p - lr * (g + momentum * v))

    as in `torch.optim.SGD`; Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    A parameter whose `grad` is None stays where it is. `lr`, the learning rate, may be changed between steps.

    A setting that is negative, infinite or nan is a `ValueError`, and so is nesterov without momentum.
    """

    __slots__ = (
        "_velocity",
        "lr",
        "momentum",
        "nesterov",
        "parameters",
        "weight_decay",
    )  # a typo is an error

    def __init__(self, parameters: Iterable[Value], lr: float, momentum: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False) -> None:  # fmt: skip
        self.parameters = check_list("parameters, such as model.parameters()", parameters)
        for p in self.parameters:
            if p.op is not None:
                raise ValueError(
                    f"expected parameters that are leaves, but got one that {p.op} computed: compute with arrays "
                    "first, and make a Value of the result, as in Value(rng.normal(size=3) * 0.1)"
                )
        if not self.parameters:
            raise ValueError(
                "expected at least one parameter: a module's are the Values that it holds as attributes"
            )
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError("expected each parameter once, but one of them came again")
        self.lr, self.momentum, self.weight_decay, self.nesterov = (
            lr,
            momentum,
            weight_decay,
            nesterov,
        )
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        self._velocity: list[Any] = [None] * len(self.parameters)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "nesterov":
            check_flag(name, value)
        object.__setattr__(
            self, name, check_number(name, value) if name in _SETTINGS[:3] else value
        )

    def zero_grad(self) -> None:
        """Set every parameter's `grad` to None, so that the next `backward` starts a new sum."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Move every parameter by its nudge.

        What was computed with the old weights keeps them: each parameter gets a new array.
        `ValueError` if none of them has a gradient.
        """
        for p in self.parameters:
            if p.grad is not None:
                break
        else:
            raise ValueError(
                "no parameter has a gradient: before step() comes loss.backward(), of a loss that was "
                "computed with these parameters, and not within no_grad"
            )
        nudges, self._velocity[:] = self._moves()
        for p, nudge in zip(self.parameters, nudges):  # noqa: B905 (`strict` takes time)
            if nudge is not None:
                old: Any = p._numbers
                nudge += old  # its memory becomes the new weights'
                if type(old) is ndarray:
                    old.setflags(
                        write=False
                    )  # who still holds the old array gets an error, and does not write in vain
                p._numbers = nudge

    def nudges(self) -> list[Data]:
        """What the next `step()` will add to each parameter, in its shape and dtype: a step down the slope.

        It changes nothing. A parameter whose `grad` is None gets zeros.
        """
        still = (np.zeros_like(p._numbers) if p.shape else 0.0 for p in self.parameters)
        return [
            zeros if nudge is None else nudge
            for zeros, nudge in zip(still, self._moves()[0], strict=True)
        ]

    def _moves(self) -> tuple[list[Any], list[Data | None]]:
        """Each parameter's nudge, in memory of its own, or None if it has no gradient; and the new velocities."""
        nudges: list[Any] = []
        velocity, momentum, decay, factor = (
            list(self._velocity),
            self.momentum,
            self.weight_decay,
            -self.lr,
        )
        for i, p in enumerate(self.parameters):
            g: Any = p.grad
            held: Any = p._numbers
            if g is None:
                nudges.append(None)
                continue
            alike = (
                type(g) is type(held) is ndarray
                and g.shape == held.shape
                and g.strides == held.strides
            )
            if not (alike and g.dtype is held.dtype):
                g = gradient_so_far(p)  # what somebody has put there
                if p.shape:  # A parameter keeps its order in memory: another would round differently in matrix products.
                    g = np.positive(g, np.empty_like(held))
            if decay:
                g = g + decay * held
            if momentum:
                last = velocity[i]
                # (1.0 * g is a copy: `grad` is the caller's.)
                velocity[i] = v = 1.0 * g if last is None else momentum * last + g
                g = g + momentum * v if self.nesterov else v
            nudges.append(g * factor)
        return nudges, velocity

    def state_dict(self) -> dict[str, Data]:
        """The settings, and a copy of the velocity of every parameter that has one: what the next steps go by, by name."""
        moving = {f"velocity.{i}": +v for i, v in enumerate(self._velocity) if v is not None}
        return {name: float(getattr(self, name)) for name in _SETTINGS} | moving

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over settings and velocities; or an error, as of the constructor and `Module.load_state_dict`, and no change."""
        velocity = {f"velocity.{i}": p._numbers for i, p in enumerate(self.parameters)}
        new: dict[str, Any] = fitted(
            state, dict.fromkeys(_SETTINGS, 0.0) | velocity, optional=velocity
        )
        new["nesterov"] = {0.0: False, 1.0: True}.get(new["nesterov"], new["nesterov"])
        checked = SGD(self.parameters, *(new[name] for name in _SETTINGS))
        for name in _SETTINGS:
            setattr(self, name, getattr(checked, name))
        self._velocity = [new.get(name) for name in velocity]

    def __repr__(self) -> str:
        return f"SGD(parameters={len(self.parameters)}, {', '.join(f'{name}={getattr(self, name)}' for name in _SETTINGS)})"
