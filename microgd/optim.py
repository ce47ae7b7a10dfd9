"""Optimizers: from the gradients to the next weights. `Optimizer` says how to write your own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

import numpy as np

from microgd.arrays import of_floats
from microgd.checks import check_list, check_number
from microgd.optimizer import Kept, State, own
from microgd.optimizer import Optimizer as Optimizer
from microgd.value import Value

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "clip_grad_norm"]


class SGD(Optimizer):
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

    momentum = 0.0
    weight_decay = 0.0
    nesterov = False

    def nudge(self, number: Any, gradient: Any, state: State) -> tuple[Any, State]:
        """- lr * v, or - lr * (g + momentum * v); the state is the velocity v."""
        settings = self.momentum, self.weight_decay, self.nesterov
        direction, state = _direction(number, gradient, state, *settings)
        return -self.lr * direction, state

    def _steps(self) -> list[tuple[Value, Kept, Any, State]]:
        """As for every optimizer, the numbers plus the nudge, bit for bit.

        But the nudge has no array of its own: it is computed where the sum will be. With another
        array, the step of 100,000 weights would take a fifth longer.
        """
        steps = []
        all_kept = self._kept
        rate = -self.lr
        momentum = self.momentum
        decay = self.weight_decay
        nesterov = self.nesterov
        dtype = None
        for p in self.parameters:
            if p.grad is None:
                continue
            kept = all_kept[p]
            if kept.dtype is not dtype:
                dtype = kept.dtype
                # NumPy multiplies by an array without axes faster than by a Python float.
                rate_array = np.array(rate, dtype)
                momentum_array = np.array(momentum, dtype) if momentum else momentum
            numbers: Any = p._numbers
            state = kept.state
            direction = gradient = kept.gradient(p)
            if momentum or decay:
                factor = momentum if dtype is None else momentum_array
                direction, state = _direction(numbers, gradient, state, factor, decay, nesterov)
                if not kept.state:
                    # The first velocity may be the gradient itself, and later ones are new.
                    state = {name: own(x, gradient) for name, x in state.items()}
            if dtype is None:
                new = numbers + rate * direction
            else:
                new = np.multiply(direction, rate_array, kept.room(p))
                new += numbers
            steps.append((p, kept, new, state))
        return steps

    def _check_together(self, settings: Mapping[str, Any]) -> None:
        if settings["nesterov"] and not settings["momentum"]:
            raise ValueError("nesterov needs a momentum above 0")

    def _layout(self, p: Value) -> tuple[dict[str, Any], set[str]]:
        return {"velocity": p._numbers}, set()  # it stays when the momentum becomes 0


def _direction(
    number: Any, gradient: Any, state: State, momentum: Any, decay: float, nesterov: bool
) -> tuple[Any, State]:
    """The v in SGD's step p - lr * v, or the g + momentum * v, and the new state."""
    if decay:
        gradient = gradient + decay * number
    if not momentum:
        return gradient, state
    velocity = momentum * state["velocity"] + gradient if state else gradient
    state = {"velocity": velocity}
    if nesterov:
        return gradient + momentum * velocity, state
    return velocity, state


_sqrt = of_floats(math.sqrt)


class Adam(Optimizer):
    """Adam: every weight has a step length of its own, which adapts to the size of its gradients.

    With the gradient g, plus `weight_decay` times the parameter p, step number t is

        m = beta1 * m + (1 - beta1) * g          (a running mean of the gradients)
        v = beta2 * v + (1 - beta2) * g**2       (a running mean of their squares)
        m' = m / (1 - beta1**t)
        v' = v / (1 - beta2**t)
        p = p - lr * m' / (sqrt(v') + eps)

    as in `torch.optim.Adam`; Kingma and Ba, Adam: a method for stochastic optimization, 2014,
    algorithm 1. m and v begin at 0, so in the first steps they are too small: m' and v' make up for
    that. `betas`, the pair (beta1, beta2), are below 1 (`ValueError`).

    The state holds t, m and v under PyTorch's names: "step", "exp_avg" and "exp_avg_sq".
    """

    lr = 1e-3
    betas = (0.9, 0.999)
    eps = 1e-8
    weight_decay = 0.0

    def nudge(self, number: Any, gradient: Any, state: State) -> tuple[Any, State]:
        """- lr * m' / (sqrt(v') + eps), and the state."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * number
        return self._adaptive(gradient, state)

    def _adaptive(self, gradient: Any, state: State) -> tuple[Any, State]:
        """The nudge without a weight decay."""
        beta1, beta2 = self.betas
        step = state.get("step", 0.0) + 1
        mean = beta1 * state.get("exp_avg", 0.0) + (1 - beta1) * gradient
        square = beta2 * state.get("exp_avg_sq", 0.0) + (1 - beta2) * gradient * gradient
        step_size = self.lr / (1 - beta1**step)
        size = np.sqrt(square) / _sqrt(1 - beta2**step) + self.eps
        return -step_size * mean / size, {"step": step, "exp_avg": mean, "exp_avg_sq": square}

    def _checked(self, name: str, value: Any) -> Any:
        value = super()._checked(name, value)
        if name == "betas" and max(value) >= 1:
            raise ValueError(f"expected betas below 1, but got {value}")
        return value


class AdamW(Adam):
    """Adam with decoupled weight decay: the decay does not go through the running means.

    A step is that of Adam without weight decay, and besides takes a share of each weight away:

        p = p - lr * m' / (sqrt(v') + eps) - lr * weight_decay * p

    as in `torch.optim.AdamW`; Loshchilov and Hutter, Decoupled weight decay regularization, 2017,
    algorithm 2.
    """

    weight_decay = 0.01

    def nudge(self, number: Any, gradient: Any, state: State) -> tuple[Any, State]:
        """- lr * m' / (sqrt(v') + eps) - lr * weight_decay * p, and the state."""
        adaptive, state = self._adaptive(gradient, state)
        return adaptive - self.lr * self.weight_decay * number, state


def clip_grad_norm(parameters: Iterable[Value], max_norm: float) -> float:
    """Scale all gradients down if, taken together as one vector, they are longer than `max_norm`.

    Returns the length of this vector, its Euclidean norm, as it was before. With `max_norm=inf` it
    only measures. Call it between `backward` and `step`: with a step of bounded length, a steep
    place does not throw the weights far away. (Pascanu et al., On the difficulty of training
    recurrent neural networks, 2013.) In `train.fit`, that is
    `before_step=lambda optimizer: clip_grad_norm(optimizer.parameters, 1.0)`.

    As in PyTorch, each `grad` becomes `grad` * max_norm / (norm + 1e-6). These are new arrays.
    """
    listed = check_list("parameters, such as model.parameters()", parameters)
    only_measures = isinstance(max_norm, float) and max_norm == inf
    if not only_measures:
        max_norm = check_number("max_norm", max_norm)
    gradients = [(p, Kept(p).gradient(p)) for p in listed if p.grad is not None]
    total = 0.0
    for _, g in gradients:
        flat = np.asarray(g, np.float64).ravel("K")
        total += float(np.dot(flat, flat))
    norm = math.sqrt(total)
    coefficient = 1.0 if only_measures else max_norm / (norm + 1e-6)
    if not coefficient >= 1:  # also if it is nan
        with np.errstate(invalid="ignore"):  # 0 times infinity is nan, which `fit` will find
            for p, g in gradients:
                p.grad = coefficient * g
    return norm
