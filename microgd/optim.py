"""Gradient descent: from the gradients to the next weights."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any

import numpy as np

from microgd.arrays import Data
from microgd.value import Value


class SGD:
    """Stochastic gradient descent: each step moves every parameter a little against its gradient.

    With the gradient g, plus `weight_decay` times the parameter p, a step is

        v = momentum * v + g          (v = g in a parameter's first step)
        p = p - lr * v                (nesterov: p - lr * (g + momentum * v))

    as in `torch.optim.SGD`; Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    A parameter whose `grad` is None stays where it is. `lr`, the learning rate, may be changed between steps.

    A setting that is negative, infinite or nan is a `ValueError`, and so is nesterov without momentum.
    """

    __slots__ = ("_lr", "_velocity", "momentum", "nesterov", "parameters", "weight_decay")  # a typo is an error

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if not isinstance(parameters, Iterable) or isinstance(parameters, (Value, dict)):
            raise TypeError(f"expected a list of parameters, such as model.parameters(), but got {type(parameters).__name__}")
        self.parameters = list(parameters)
        for p in self.parameters:
            if not isinstance(p, Value):
                raise TypeError(f"expected parameters that are Values, but got {type(p).__name__}")
            if p.op is not None:
                raise ValueError(f"expected parameters that are leaves, but got one that {p.op} computed")
        if not self.parameters:
            raise ValueError("expected at least one parameter: a module's are the Values that it holds as attributes")
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError("expected each parameter once, but one of them came again")
        if nesterov and not momentum:
            raise ValueError("nesterov needs a momentum above 0")
        self.lr = lr
        self.momentum, self.weight_decay = _setting("momentum", momentum), _setting("weight_decay", weight_decay)
        self.nesterov = nesterov
        self._velocity: list[Data | None] = [None] * len(self.parameters)

    @property
    def lr(self) -> float:
        """The learning rate: what each gradient is multiplied by."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = _setting("lr", lr)

    def zero_grad(self) -> None:
        """Set every parameter's `grad` to None, so that the next `backward` starts a new sum."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Move every parameter by its nudge.

        What was computed with the old weights keeps them: each parameter gets a new array.
        """
        moves = [self._move(p, v) for p, v in zip(self.parameters, self._velocity, strict=True)]
        for i, move in enumerate(moves):
            if move is not None:
                p, (nudge, self._velocity[i]) = self.parameters[i], move
                nudge += p._held
                if type(nudge) is np.ndarray:
                    p._held.setflags(write=False)  # who holds the old array would write into it in vain
                p._held = nudge

    def nudges(self) -> list[Data]:
        """What the next `step()` will add to each parameter, in its shape and dtype: a step down the slope.

        It changes nothing. A parameter whose `grad` is None gets zeros.
        """
        moves = [self._move(p, v) for p, v in zip(self.parameters, self._velocity, strict=True)]
        still = [np.zeros_like(p._held) if p.shape else 0.0 for p in self.parameters]
        return [zeros if move is None else move[0] for zeros, move in zip(still, moves, strict=True)]

    def _move(self, p: Value, velocity: Data | None) -> tuple[Data, Data | None] | None:
        """The parameter's nudge, in memory of its own, and its new velocity; None if it has no gradient."""
        g, held = p.grad, p._held
        if g is None:
            return None
        if type(g) is not type(held) or (type(g) is np.ndarray and (g.shape != held.shape or g.dtype is not held.dtype)):
            g = _gradient(g, held)
        if self.weight_decay:
            g = g + self.weight_decay * held
        if self.momentum:
            velocity = 1.0 * g if velocity is None else self.momentum * velocity + g
            g = g + self.momentum * velocity if self.nesterov else velocity
        return g * -self._lr, velocity

    def __repr__(self) -> str:
        settings = f"lr={self.lr}, momentum={self.momentum}, weight_decay={self.weight_decay}, nesterov={self.nesterov}"
        return f"SGD(parameters={len(self.parameters)}, {settings})"


def _gradient(given: Any, held: Data) -> Data:
    """What somebody has put into the `grad` of a parameter, in its dtype."""
    if np.shape(given) != np.shape(held):
        raise ValueError(f"a parameter of shape {np.shape(held)} has a grad of shape {np.shape(given)}")
    return float(given) if isinstance(held, float) else np.asarray(given, held.dtype)


def _setting(name: str, number: float) -> float:
    """The number, if it can be a setting."""
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise TypeError(f"expected {name} to be a number, but got {number!r}")
    if not (isfinite(number) and number >= 0):
        raise ValueError(f"expected {name} to be 0 or more, and finite, but got {number}")
    return float(number)
