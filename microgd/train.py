"""The training loop, as a generator: the caller keeps the loop."""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from microgd.arrays import Data, as_data, as_plain_array, shown
from microgd.checks import check_count, check_list, check_number, check_type
from microgd.data import Rng, check_rng, minibatches
from microgd.functional import ancestors
from microgd.module import Module
from microgd.optim import SGD
from microgd.recording import evaluation
from microgd.storage import StrPath, load_arrays, save_arrays
from microgd.value import Value

Function = Callable[..., Value]


class DivergedError(ArithmeticError):
    """The loss, or a gradient, became infinite or not a number."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over all examples came to."""

    number: int  # 1 for the first
    loss: (
        float  # the mean over the examples, each measured just before the step that it took part in
    )
    test_loss: float | None  # on the test examples, after the epoch; None without any
    test_accuracy: (
        float | None
    )  # the share of test examples named rightly, 0 to 1; None where there are no classes
    seconds: float  # how long training took, without the test
    lr: float  # the learning rate


def fit(model: Function, loss: Function, optimizer: Any, x: ArrayLike, y: ArrayLike, *, epochs: int, batch_size: int = 32,
        rng: Rng = None, test: tuple[Any, Any] | None = None, initial_epoch: int = 0) -> Iterator[Epoch]:  # fmt: skip
    """Train: a generator that runs one epoch each time it is asked for the next record.

    The caller may break off, print, draw, save, or change `optimizer.lr` in between. In each epoch the examples x
    (n, ...) with targets y (n, ...) come in mini-batches, in an order that `rng` draws; without it, in another each time.
    `loss(model(x), y)` is the mean over a batch. With `test=(x, y)` each record holds the loss on those, and the accuracy,
    as of `evaluate`. After `load_checkpoint`, `initial_epoch` is how many of the epochs have been trained already.

    An optimizer of your own needs what `optim.SGD` has: `parameters`, the list of Values that it moves; `lr`, a number;
    `zero_grad()`, which sets each of their `grad`s to None; and `step()`, which moves them. (`TypeError`)

    Nothing is trained before the first record is asked for. If none ever is, there is a `RuntimeWarning`.

    `DivergedError` when a loss or a gradient is infinite or nan, before it reaches the weights; `ValueError` at once where
    there are no examples or not as many x as y, and later where the loss depends on none of the optimizer's parameters.
    """
    inputs, targets = as_plain_array(x), as_plain_array(y)
    check_type("functions as model and loss", Callable, model, loss)
    _check_optimizer(optimizer)
    epochs = check_count("number of epochs", epochs, 0)
    initial_epoch = check_count("number of initial epochs", initial_epoch, 0)
    rng = check_rng(rng)
    minibatches(
        inputs, targets, batch_size
    )  # complains about examples that will not do now, not in the first epoch
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

    def run(unused: _Unused) -> Iterator[Epoch]:
        unused.warns = False
        for number in range(initial_epoch + 1, epochs + 1):
            start, lr, total = perf_counter(), optimizer.lr, 0.0
            for batch, (a, b) in enumerate(minibatches(inputs, targets, batch_size, rng), 1):
                is_first = batch == 1 and number == initial_epoch + 1
                where = f"epoch {number}, batch {batch}"
                total += len(a) * _step(model, loss, optimizer, a, b, where, is_first)
            seconds = perf_counter() - start
            test_loss, test_accuracy = (
                (None, None) if test is None else evaluate(model, loss, *test)
            )
            yield Epoch(number, total / len(inputs), test_loss, test_accuracy, seconds, lr)

    return run(_Unused())


class _Unused:
    """It warns when it goes, unless it was told not to. Only a generator that nobody has looped over still holds one."""

    warns = True

    def __del__(self) -> None:
        if self.warns:
            words = "train.fit has trained nothing: it trains while you loop over it, as in `for epoch in train.fit(...)`"
            warnings.warn(words, RuntimeWarning, stacklevel=2)


def _check_optimizer(optimizer: Any) -> None:
    """A `TypeError` that names what `fit` needs and this lacks."""
    if isinstance(optimizer, type):
        raise TypeError(
            f"expected an optimizer, but got the class {optimizer.__name__}: call it, with the parameters"
        )
    lacks = [
        name for name in ("parameters", "lr", "zero_grad", "step") if not hasattr(optimizer, name)
    ]
    if lacks:
        raise TypeError(
            "expected an optimizer with a list of parameters, a number lr, and methods zero_grad() and step(), as "
            f"optim.SGD has, but got {shown(optimizer)}, which lacks {', '.join(lacks)}"
        )
    if not check_list("parameters of the optimizer", optimizer.parameters):
        raise ValueError("expected an optimizer with at least one parameter, but its list is empty")
    check_type(
        "methods zero_grad and step of the optimizer", Callable, optimizer.zero_grad, optimizer.step
    )


def _step(
    model: Function, loss: Function, optimizer: Any, x: Any, y: Any, where: str, is_first: bool
) -> float:
    """One step down the slope, on one mini-batch; its loss. The computation graph is gone when this returns."""
    output = model(x)
    if output is None:
        raise TypeError("the model gave None: its forward has to return what it computes")
    value = _one(loss(output, y))
    if is_first:
        _warn_of_a_square(value, len(y))
    number = value.item()
    # Before the first step there are no gradients from an earlier one.
    never_moved = is_first and all(p.grad is None for p in optimizer.parameters)
    if not isfinite(number):
        raise DivergedError(
            f"the loss became {number} in {where}: {_cause(optimizer, x, y, never_moved)}"
        )
    optimizer.zero_grad()
    is_own = not isinstance(optimizer, SGD)
    if is_own and any(p.grad is not None and np.any(p.grad) for p in optimizer.parameters):
        raise ValueError(
            "the optimizer's zero_grad() left gradients, to which this step's would be added: set grad to None"
        )
    value.backward()
    if not any(p.grad is not None for p in optimizer.parameters):
        raise ValueError(
            "the loss depends on no parameter of the optimizer: is it the optimizer of this model, and was .data or "
            ".item() taken on the way?"
        )
    if not all(p.grad is None or _is_finite(p.grad) for p in optimizer.parameters):
        raise DivergedError(
            f"a gradient became infinite or nan in {where}: {_cause(optimizer, x, y, never_moved)}"
        )
    before = [np.array(p.data) for p in optimizer.parameters] if is_own and is_first else []
    optimizer.step()
    if before and all(
        np.array_equal(old, p.data) for old, p in zip(before, optimizer.parameters, strict=True)
    ):
        words = f"the optimizer's step() changed no parameter in {where}: to change one, write p.data -= ..."
        warnings.warn(words, RuntimeWarning, stacklevel=3)
    return number


def _warn_of_a_square(loss: Value, examples: int) -> None:
    """A `RuntimeWarning` if the loss pairs each output with the targets of all examples.

    It does where a column (n, 1) meets a row (n,): they broadcast to (n, n).
    """
    column, row, square = (examples, 1), (examples,), (examples, examples)
    for node in ancestors(loss):
        shapes = [np.shape(x._numbers if isinstance(x, Value) else x) for x in node.inputs]
        if (
            examples > 1
            and np.shape(node._numbers) == square
            and column in shapes
            and row in shapes
        ):
            words = (
                f"the loss computes {node._operation.name} of shapes {column} and {row}, which broadcast to {square}: "  # type: ignore[union-attr]
                "if that is not meant, y[:, None] makes the targets a column"
            )
            warnings.warn(words, RuntimeWarning, stacklevel=4)
            return


_LARGE = 1e4  # parameters below this have not run away, and features above it are not scaled


def _cause(optimizer: Any, x: Any, y: Any, never_moved: bool) -> str:
    """Where to look for what made a number infinite or nan, as far as the data and the parameters tell."""
    for what, array in (("examples", x), ("targets", y)):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return (
                f"look at the data, for there is nan or infinity in the {what} of this mini-batch"
            )
    parameter = max(_largest(p.data) for p in optimizer.parameters)
    if not isfinite(parameter):
        return "look at the parameters, for one of them holds nan or infinity"
    feature = max((_largest(each) for each in (x, y) if each.dtype.kind in "iuf"), default=0.0)
    smaller = f"try a learning rate smaller than {optimizer.lr:g}"
    suspects = "a log or a division of 0, an exp or a power of something large"
    if feature >= _LARGE:
        scale = f"scale the data, in which the largest number is {feature:.2g}"
        return scale if never_moved else f"{smaller}, or {scale}"
    if parameter >= _LARGE:
        grown = f"the largest parameter is {parameter:.2g}"
        return f"{grown}: begin with smaller ones" if never_moved else f"{grown}, so {smaller}"
    if never_moved:
        return f"no step was made yet, so look in the model, the loss and the data for {suspects}"
    return f"no parameter is larger than {parameter:.2g}, so look first in the model and the loss for {suspects}; then {smaller}"


def _largest(x: Any) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _one(loss: Any) -> Value:
    if not isinstance(loss, Value) or loss.size != 1:
        raise TypeError(
            f"expected a loss that is a Value of one element, the mean over the batch, but got {loss!r}"
        )
    return loss


def _is_finite(g: Data) -> bool:
    """Whether all elements are; their sum says so at a fraction of the cost, except where finite ones overflow it."""
    return isfinite(g if isinstance(g, float) else np.add.reduce(g, axis=None)) or bool(
        np.isfinite(g).all()
    )


@evaluation
def evaluate(
    model: Function, loss: Function, x: ArrayLike, y: ArrayLike, batch_size: int = 1000
) -> tuple[float, float | None]:
    """The mean loss over the examples, and the accuracy: the share of them that the model names rightly.

    It names the class of the largest output; an example with an output of nan is named wrongly. There is an accuracy where
    y are integers from 0 to classes - 1, (n,), and the outputs (n, classes), of two or more classes. Else it is None.

    Meanwhile nothing is recorded, and `training` is False in every module, in this thread and task.
    """
    check_type("a model and a loss that are functions", Callable, model, loss)
    labels = as_plain_array(y)
    has_classes = labels.ndim == 1 and labels.dtype.kind in "iu"
    total, right, examples = 0.0, 0, 0
    for inputs, targets in minibatches(x, labels, batch_size):
        output = model(inputs)
        total += len(inputs) * _one(loss(output, targets)).item()
        examples += len(inputs)
        if has_classes:
            scores = np.asarray(output.data if isinstance(output, Value) else output)
            has_classes = _are_of_classes(scores, targets)
        if has_classes:
            is_right = np.argmax(scores, axis=1) == targets
            right += int(np.sum(is_right & ~np.isnan(scores).any(axis=1)))
    return total / examples, right / examples if has_classes else None


def _are_of_classes(scores: Any, targets: Any) -> bool:
    """Whether each target is one of the columns, of which there are at least two."""
    if scores.ndim != 2 or len(scores) != len(targets) or scores.shape[1] < 2:
        return False
    return bool(targets.min() >= 0 and targets.max() < scores.shape[1])


def save_checkpoint(
    path: StrPath, model: Module, optimizer: SGD, rng: np.random.Generator, epoch: int
) -> None:
    """Write what training depends on, after that many epochs, to an .npz file: whole, or not at all.

    That is the weights, the optimizer's settings and velocities, and the state of `rng`. So call this in the loop over `fit`,
    last. Later, with a model and an optimizer that were made in the same way, training goes on bit for bit as if it had not
    stopped, on a machine of the same kind, with the same versions.

    >>> from tempfile import TemporaryDirectory
    >>> from microgd import nn
    >>> x, y, rng = [[1.0], [2.0]], [[3.0], [5.0]], np.random.default_rng(0)
    >>> model = nn.Linear(1, 1, rng=rng)
    >>> optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> with TemporaryDirectory() as folder:
    ...     for epoch in fit(model, nn.mse_loss, optimizer, x, y, epochs=2, rng=rng):
    ...         save_checkpoint(f"{folder}/run.npz", model, optimizer, rng, epoch.number)
    ...     done = load_checkpoint(f"{folder}/run.npz", model, optimizer, rng)
    >>> [epoch.number for epoch in fit(model, nn.mse_loss, optimizer, x, y, epochs=4, rng=rng, initial_epoch=done)]
    [3, 4]

    An optimizer of parameters that are not the model's is a `ValueError`: the file would lack them.
    """
    names = _names(model, optimizer, rng)
    check_count("number of epochs", epoch, 0)
    arrays = {f"model.{name}": data for name, data in model.state_dict().items()}
    arrays |= {f"optimizer.{name}": data for name, data in optimizer.state_dict().items()}
    state = json.dumps([rng.bit_generator.state, names], default=np.ndarray.tolist)
    save_arrays(
        path, arrays | {"rng": np.frombuffer(state.encode(), np.uint8), "epoch": float(epoch)}
    )


def load_checkpoint(path: StrPath, model: Module, optimizer: SGD, rng: np.random.Generator) -> int:
    """Set all three to what `save_checkpoint` has written; the number of epochs that were done by then.

    All of it or nothing: a broken file, or one of another model, optimizer or kind of generator, is a `ValueError`.
    """
    names = _names(model, optimizer, rng)
    arrays = load_arrays(path)
    try:
        (state, moved), epoch = json.loads(bytes(map(int, arrays["rng"]))), int(arrays["epoch"])
        type(rng.bit_generator)().state = state  # an error where it is another kind's
        # What NumPy leaves unchecked: MT19937 and Philox would read anywhere in memory from there.
        if not (0 <= state["state"].get("pos", 0) <= 624 and 0 <= state.get("buffer_pos", 0) <= 4):
            raise ValueError("the random state is out of its range")
        prefixes = "model.", "optimizer."
        weights, moves = (
            {n.removeprefix(p): x for n, x in arrays.items() if n.startswith(p)} for p in prefixes
        )
        matched = model._matched(weights)
        same_dtypes = all(np.result_type(new) == weights[part.name].dtype for part, new in matched)
        if moved != names or not same_dtypes:
            raise ValueError(
                f"its optimizer moves {moved}, not {names}, or its weights have another dtype"
            )
        optimizer.load_state_dict(moves)
    except Exception as error:
        raise ValueError(
            f"{os.fspath(path)} is no checkpoint of these: {type(error).__name__}: {error}"
        ) from error
    for part, new in matched:
        part.put(new)
    rng.bit_generator.state = state
    return epoch


def _names(model: Module, optimizer: SGD, rng: np.random.Generator) -> list[str]:
    """The names of the optimizer's parameters, in its order."""
    for part, kind in ((model, Module), (optimizer, SGD), (rng, np.random.Generator)):
        check_type(f"a {kind.__name__}", kind, part)
    names = {p: name for name, p in model.named_parameters()}
    if not set(optimizer.parameters) <= names.keys():
        raise ValueError(
            "expected an optimizer of the model's parameters, but it has others, which the file would lack"
        )
    return [names[p] for p in optimizer.parameters]


def has_converged(losses: ArrayLike, tolerance: float = 1e-3, window: int = 5) -> bool:
    """Whether the loss has stopped changing, or changes extremely slowly.

    That is: over the last `window` steps it stayed within a band of `tolerance` times its size. It says that descent
    has slowed down, not that it has arrived: with a tiny learning rate every step is small.

    >>> has_converged([4.0, 2.0, 1.0, 0.5, 0.25, 0.125])
    False
    >>> has_converged([4.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    True
    """
    window, allowed = check_count("window", window, 1), check_number("tolerance", tolerance)
    recent = np.ravel(np.asarray(as_data(losses), np.float64))[-window - 1 :]
    return bool(
        len(recent) > window
        and np.isfinite(recent).all()
        and np.ptp(recent) <= allowed * np.abs(recent).max()
    )
