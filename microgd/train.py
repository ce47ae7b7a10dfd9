"""The training loop, as a generator: the caller keeps the loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import isfinite, isnan, nan
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd import nn
from microgd.arrays import Data, as_data, as_plain_array, shown
from microgd.checkpoint import load_checkpoint as load_checkpoint
from microgd.checkpoint import save_checkpoint as save_checkpoint
from microgd.checks import check_count, check_list, check_number, check_type, warn_user
from microgd.data import Rng, check_rng, minibatches
from microgd.functional import ancestors
from microgd.module import Module
from microgd.optim import Optimizer
from microgd.recording import evaluation
from microgd.value import Value

__all__ = [
    "DivergedError",
    "Epoch",
    "evaluate",
    "fit",
    "has_converged",
    "load_checkpoint",
    "save_checkpoint",
]

Function = Callable[..., Value]


class DivergedError(ArithmeticError):
    """The loss, or a gradient, became infinite or not a number."""


@dataclass(frozen=True)
class Epoch:
    """The results of one pass over all examples.

    number         1 for the first epoch
    loss           the mean over the examples, each measured just before its mini-batch's step
    test_loss      the mean over the test examples, after the epoch; None without any
    test_accuracy  the share of test examples classified correctly, 0 to 1; None without classes
    seconds        how long training took, without the test
    lr             the learning rate
    """

    number: int
    loss: float
    test_loss: float | None
    test_accuracy: float | None
    seconds: float
    lr: float


def fit(
    model: Function,
    loss: Function,
    optimizer: Any,
    x: ArrayLike,
    y: ArrayLike,
    *,
    epochs: int,
    batch_size: int = 32,
    rng: Rng = None,
    test: tuple[Any, Any] | None = None,
    initial_epoch: int = 0,
    before_step: Callable[[Any], object] | None = None,
    compiled: bool = False,
) -> Iterator[Epoch]:
    """Train: a generator that runs one epoch each time it is asked for the next record.

    Between epochs the caller may stop, print, draw, save, or change `optimizer.lr`. In each epoch
    the examples x (n, ...) with targets y (n, ...) come in mini-batches, in a new order that `rng`,
    a `numpy.random.Generator`, draws. Without `rng`, the orders are different in every run.
    `epochs` is the number of the last epoch. To go on after `load_checkpoint`, pass the number that
    it returned as `initial_epoch`.
    `loss(model(x), y)` is the mean over a mini-batch. With `test=(x, y)`, each record also holds
    the loss and the accuracy on these examples, as `evaluate` computes them.

    `before_step(optimizer)` is called between `backward` and `step`: to clip gradients, as by
    `optim.clip_grad_norm`, or to look at them.

    With `compiled=True` the steps are made by a program of NumPy calls, which is written of the
    first one, as by `microgd.compiled`. With a `before_step` there are two programs, and it is
    called between them. The results are the same, to the last bit. Steps for which that is not
    possible are made as without, and a `RuntimeWarning` says why, once. The model and the loss are
    called once more when a program is written.

    An optimizer of your own is a subclass of `optim.Optimizer`. Any other object will do, if it has
    `parameters`, the list of Values that it moves; `lr`, a number; `zero_grad()`, which sets each
    of their `grad`s to None; and `step()`, which moves them. If something is missing, that is a
    `TypeError`.

    Training begins when the first record is asked for. If none ever is, there is a
    `RuntimeWarning`. There is one, too, if the columns of x differ in size by a factor above 1,000:
    their largest absolute values are compared, and columns of zeros left out.

    A loss or a gradient that is infinite or nan is a `DivergedError`, raised before it reaches the
    weights. `ValueError` at once if there are no examples, or not as many x as y; and later, if
    the loss depends on none of the optimizer's parameters.
    """
    inputs = as_plain_array(x)
    targets = as_plain_array(y)
    check_type("functions as model and loss", Callable, model, loss)
    _check_optimizer(optimizer)
    check_type("before_step to be a function of the optimizer", Callable | None, before_step)
    epochs = check_count("number of epochs", epochs, 0)
    initial_epoch = check_count("number of initial epochs", initial_epoch, 0)
    rng = check_rng(rng)
    minibatches(inputs, targets, batch_size)  # refuses wrong examples now, not in the first epoch
    if test is not None:
        if not isinstance(test, (tuple, list)) or len(test) != 2:
            raise TypeError(f"expected test to be the pair (x, y), but got {type(test).__name__}")
        minibatches(*test, batch_size)

    if isinstance(model, Module) and not model.training:
        warnings.warn(
            "the model is in evaluation, as after eval(): model.train() ends that",
            RuntimeWarning,
            stacklevel=2,
        )
    _warn_of_unequal_features(inputs)

    batch = _Batch(model, loss, optimizer, before_step)
    make_step: Callable[[], float] = batch.step
    if compiled:
        from microgd.programs.step import CompiledSteps  # slow to load

        steps = CompiledSteps(model, loss, optimizer, before_step)
        make_step = partial(steps.step, batch)

    def run(unused: _Unused) -> Iterator[Epoch]:
        unused.warns = False
        for epoch in range(initial_epoch + 1, epochs + 1):
            start = perf_counter()
            lr = optimizer.lr
            total_loss = 0.0
            batch.epoch = epoch
            batch.is_first_epoch = epoch == initial_epoch + 1
            batches = minibatches(inputs, targets, batch_size, rng)
            for batch.number, (batch.x, batch.y) in enumerate(batches, 1):
                total_loss += len(batch.x) * make_step()
            seconds = perf_counter() - start
            mean_loss = total_loss / len(inputs)
            test_loss = None
            test_accuracy = None
            if test is not None:
                test_loss, test_accuracy = evaluate(model, loss, *test)
            yield Epoch(epoch, mean_loss, test_loss, test_accuracy, seconds, lr)

    return run(_Unused())


class _Unused:
    """Warns when it is freed, unless `warns` is False by then.

    It is an argument of `fit`'s generator, which sets `warns` to False when it begins to run. So
    the warning comes if the generator is freed before anyone has looped over it.
    """

    warns = True

    def __del__(self) -> None:
        if self.warns:
            warnings.warn(
                "train.fit has trained nothing: it trains while you loop over it, "
                "as in `for epoch in train.fit(...)`",
                RuntimeWarning,
                stacklevel=2,
            )


def _check_optimizer(optimizer: Any) -> None:
    """Raise a `TypeError` that names what `fit` needs and this optimizer lacks."""
    if isinstance(optimizer, type):
        raise TypeError(
            f"expected an optimizer, but got the class {optimizer.__name__}: "
            "call it, with the parameters"
        )
    needed = ("parameters", "lr", "zero_grad", "step")
    missing = [name for name in needed if not hasattr(optimizer, name)]
    if missing:
        raise TypeError(
            "expected an optimizer with a list of parameters, a number lr, and methods "
            f"zero_grad() and step(), as optim.SGD has, but got {shown(optimizer)}, "
            f"which lacks {', '.join(missing)}"
        )
    if not check_list("parameters of the optimizer", optimizer.parameters):
        raise ValueError("expected an optimizer with at least one parameter, but its list is empty")
    methods = (optimizer.zero_grad, optimizer.step)
    check_type("methods zero_grad and step of the optimizer", Callable, *methods)


# ── One step ─────────────────────────────────────────────────────────────────────────────────────


class _Batch:
    """A mini-batch, and how a step is made on it."""

    x: Any
    y: Any
    epoch: int
    number: int  # in its epoch, from 1
    is_first_epoch: bool

    def __init__(
        self,
        model: Function,
        loss: Function,
        optimizer: Any,
        before_step: Callable[[Any], object] | None,
    ) -> None:
        self._model = model
        self._loss = loss
        self._optimizer = optimizer
        self._before_step = before_step

    def step(self, loss: Function | None = None, model: Function | None = None) -> float:
        """Make a step, with another model and loss if they are given, and return its loss."""
        return _step(
            self._model if model is None else model,
            self._loss if loss is None else loss,
            self._optimizer,
            self.x,
            self.y,
            self._before_step,
            f"epoch {self.epoch}, batch {self.number}",
            self.number == 1 and self.is_first_epoch,
        )


def _step(
    model: Function,
    loss: Function,
    optimizer: Any,
    x: Any,
    y: Any,
    before_step: Callable[[Any], object] | None,
    where: str,
    is_first: bool,
) -> float:
    """Make one step down the slope, on one mini-batch, and return its loss.

    The computation graph is freed when this returns.
    """
    output = model(x)
    if output is None:
        raise TypeError("the model returned None: its forward has to return what it computes")
    value = _checked_loss(loss(output, y))
    if is_first:
        _warn_of_a_square(value, len(y))
    number = value.item()
    # Gradients that exist before the first step come from earlier training.
    never_moved = is_first and all(p.grad is None for p in optimizer.parameters)
    if not isfinite(number):
        cause = _cause(optimizer, x, y, never_moved)
        raise DivergedError(f"the loss became {number} in {where}: {cause}")
    optimizer.zero_grad()
    is_foreign = not isinstance(optimizer, Optimizer)  # then nobody has checked what it does
    if is_foreign:
        _check_zeroed(optimizer)
    value.backward()
    if not any(p.grad is not None for p in optimizer.parameters):
        raise ValueError(
            "the loss depends on no parameter of the optimizer: is it the optimizer of this model, "
            "and was .data or .item() taken on the way?"
        )
    if before_step is not None:
        before_step(optimizer)
    if not all(p.grad is None or _is_finite(p.grad) for p in optimizer.parameters):
        cause = _cause(optimizer, x, y, never_moved)
        raise DivergedError(f"a gradient became infinite or nan in {where}: {cause}")
    if is_foreign and is_first:
        _make_first_step(optimizer, where)
    else:
        optimizer.step()
    return number


def _check_zeroed(optimizer: Any) -> None:
    """Raise a `ValueError` if `zero_grad()` of a foreign optimizer has left gradients."""
    if any(p.grad is not None and np.any(p.grad) for p in optimizer.parameters):
        raise ValueError(
            "the optimizer's zero_grad() left gradients, to which this step's would be added: "
            "set grad to None"
        )


def _make_first_step(optimizer: Any, where: str) -> None:
    """Make the first step of a foreign optimizer, and warn if it changes no parameter."""
    before = [np.array(p.data) for p in optimizer.parameters]
    optimizer.step()
    pairs = zip(before, optimizer.parameters, strict=True)
    if all(np.array_equal(old, p.data) for old, p in pairs):
        warn_user(
            f"the optimizer's step() changed no parameter in {where}: "
            "to change one, write p.data -= ..."
        )


def _warn_of_a_square(loss: Value, examples: int) -> None:
    """Warn if the loss pairs each output with the targets of all examples.

    That happens where a column (n, 1) meets a row (n,): they broadcast to (n, n).
    """
    if examples <= 1:
        return
    column = (examples, 1)
    row = (examples,)
    square = (examples, examples)
    for node in ancestors(loss):
        if np.shape(node._numbers) != square:
            continue
        shapes = [np.shape(x._numbers if isinstance(x, Value) else x) for x in node._operands]
        if column in shapes and row in shapes:
            name = node._operation.name  # type: ignore[union-attr]
            warn_user(
                f"the loss computes {name} of shapes {column} and {row}, which broadcast to "
                f"{square}: if that is not meant, y[:, None] makes the targets a column"
            )
            return


def _warn_of_unequal_features(x: NDArray[Any]) -> None:
    """Warn if the columns of x hold numbers of very different sizes.

    One learning rate can't suit them all: it is too large for the large ones, or too small for the
    others.
    """
    if x.ndim != 2 or x.dtype.kind not in "iuf":
        return
    sizes = np.maximum(x.max(axis=0), -x.min(axis=0).astype(np.float64))
    sizes = sizes[sizes > 0]
    if not sizes.size or not np.isfinite(sizes).all():
        return
    smallest = sizes.min()
    largest = sizes.max()
    if largest > 1000 * smallest:
        warnings.warn(
            f"the features differ much in size: the largest number is {largest:.2g} in one column "
            f"of x, and {smallest:.2g} in another. data.standardize(train, test) scales them",
            RuntimeWarning,
            stacklevel=3,  # the line that calls `fit`
        )


_LARGE = 1e4  # parameters below this have not run away, and features above it are not scaled


def _cause(optimizer: Any, x: Any, y: Any, never_moved: bool) -> str:
    """Where to look for the cause of an infinite number or nan, judging by data and parameters."""
    for what, array in (("examples", x), ("targets", y)):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return (
                f"look at the data, because there is nan or infinity in the {what} "
                "of this mini-batch"
            )
    largest_parameter = max(_largest(p.data) for p in optimizer.parameters)
    if not isfinite(largest_parameter):
        return "look at the parameters, because one of them holds nan or infinity"

    smaller_rate = f"try a learning rate smaller than {optimizer.lr:g}"
    numeric_data = [array for array in (x, y) if array.dtype.kind in "iuf"]
    largest_feature = max(map(_largest, numeric_data), default=0.0)
    if largest_feature >= _LARGE:
        scale = f"scale the data, in which the largest number is {largest_feature:.2g}"
        return scale if never_moved else f"{smaller_rate}, or {scale}"
    if largest_parameter >= _LARGE:
        grown = f"the largest parameter is {largest_parameter:.2g}"
        return f"{grown}: begin with smaller ones" if never_moved else f"{grown}, so {smaller_rate}"

    suspects = "a log or a division of 0, an exp or a power of something large"
    if never_moved:
        return f"no step was made yet, so look in the model, the loss and the data for {suspects}"
    return (
        f"no parameter is larger than {largest_parameter:.2g}, so look first in the model "
        f"and the loss for {suspects}; then {smaller_rate}"
    )


def _largest(x: Any) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _checked_loss(loss: Any) -> Value:
    if not isinstance(loss, Value) or loss.size != 1:
        found = f"a Value of shape {loss.shape}" if isinstance(loss, Value) else repr(loss)
        raise TypeError(
            "expected a loss that is a Value of one element, the mean over the mini-batch, "
            f"but got {found}"
        )
    return loss


def _is_finite(g: Data) -> bool:
    """Whether all elements of a gradient are finite."""
    if isinstance(g, float):
        return isfinite(g)
    # If the sum of the squares is finite, so are all elements, and BLAS computes it in a fraction
    # of the time that looking at each would take. But squares of finite elements may overflow. So
    # if the sum is not finite, each element is looked at. (`vdot` gives no warning of an overflow,
    # as `dot` does.)
    flat = np.asarray(g).ravel("K")
    return isfinite(np.vdot(flat, flat)) or bool(np.isfinite(flat).all())


# ── Evaluation ───────────────────────────────────────────────────────────────────────────────────


@evaluation
def evaluate(
    model: Function, loss: Function, x: ArrayLike, y: ArrayLike, batch_size: int = 1000
) -> tuple[float, float | None]:
    """The mean loss over the examples, and the accuracy, the share that are classified correctly.

    There is an accuracy in two cases; otherwise it is None.

    - y (n,) are integers from 0 to classes - 1, and the outputs are (n, classes), with two or more
      classes. Then the model's answer is the class with the largest output.
    - The loss is `nn.binary_cross_entropy_with_logits`, the targets are 0 or 1, and there is one
      for each example. Then the answer is 1 where the logit is above 0.

    An example with an output of nan counts as wrong.

    During the call nothing is recorded, and `training` is False in every module, in this thread
    and task.
    """
    check_type("a model and a loss that are functions", Callable, model, loss)
    of_two_classes = loss is nn.binary_cross_entropy_with_logits
    total_loss = 0.0
    correct: float = 0
    examples = 0
    for inputs, targets in minibatches(x, y, batch_size):
        output = model(inputs)
        total_loss += len(inputs) * _checked_loss(loss(output, targets)).item()
        examples += len(inputs)
        if of_two_classes:
            correct += _count_correct_of_two(output, targets)
        else:
            correct += _count_correct(output, targets)
    accuracy = correct / examples
    return total_loss / examples, None if isnan(accuracy) else accuracy


def _count_correct_of_two(output: Any, targets: Any) -> float:
    """How many logits are on the side of 0 that the target says, and not nan.

    The count is nan unless there is one target for each example, and each is 0 or 1.
    """
    is_one_each = targets.size == len(targets)
    is_binary = (targets == 0) | (targets == 1)
    if not is_one_each or not np.all(is_binary):
        return nan
    logits = _numbers(output)
    is_right = (logits > 0) == (targets == 1)
    return int(np.sum(is_right & ~np.isnan(logits)))


def _count_correct(output: Any, targets: Any) -> float:
    """How many rows have their largest score in the column of the target, and no nan.

    The count is nan unless each target is one of the columns, of which there are at least two.
    """
    if targets.ndim != 1 or targets.dtype.kind not in "iu":
        return nan
    scores = _numbers(output)
    if scores.ndim != 2 or len(scores) != len(targets) or scores.shape[1] < 2:
        return nan
    if targets.min() < 0 or targets.max() >= scores.shape[1]:
        return nan
    is_largest = np.argmax(scores, axis=1) == targets
    has_nan = np.isnan(scores).any(axis=1)
    return int(np.sum(is_largest & ~has_nan))


def _numbers(output: Any) -> NDArray[Any]:
    return np.asarray(output.data if isinstance(output, Value) else output)


def has_converged(losses: ArrayLike, tolerance: float = 1e-3, window: int = 5) -> bool:
    """Whether the loss has stopped changing, or changes extremely slowly.

    That is, over the last `window` steps it stayed within a band of `tolerance` times its size.
    This says that descent has slowed down, not that it has arrived: with a tiny learning rate
    every step is small.

    >>> has_converged([4.0, 2.0, 1.0, 0.5, 0.25, 0.125])
    False
    >>> has_converged([4.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    True
    """
    window = check_count("window", window, 1)
    tolerance = check_number("tolerance", tolerance)
    numbers = np.ravel(np.asarray(as_data(losses), np.float64))
    recent = numbers[-window - 1 :]
    if len(recent) <= window or not np.isfinite(recent).all():
        return False
    return bool(np.ptp(recent) <= tolerance * np.abs(recent).max())
