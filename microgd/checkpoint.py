"""Checkpoints: stopped training goes on later as if it had not stopped."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microgd.arrays import Data
from microgd.checks import check_count, check_type
from microgd.module import Module, generators_in
from microgd.optim import Optimizer
from microgd.storage import StrPath, load_arrays, save_arrays


def save_checkpoint(
    path: StrPath, model: Module, optimizer: Optimizer, rng: np.random.Generator, epoch: int
) -> None:
    """Save everything that training needs to go on later; the .npz file is whole, or not there.

    These are the weights, the optimizer's settings and states, the state of `rng` and of any other
    generator that the model holds, such as a dropout's, and the number of epochs done. So call it
    last in the loop over `fit`. Later, with a model and an optimizer that were made in the same
    way, training goes on bit for bit as if it had not stopped, on a machine of the same kind, with
    the same versions.

    >>> from tempfile import TemporaryDirectory
    >>> from microgd import nn, optim, train
    >>> x, y = [[1.0], [2.0]], [[3.0], [5.0]]
    >>> rng = np.random.default_rng(0)
    >>> model = nn.Linear(1, 1, rng=rng)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> with TemporaryDirectory() as folder:
    ...     path = f"{folder}/run.npz"
    ...     for epoch in train.fit(model, nn.mse_loss, optimizer, x, y, epochs=2, rng=rng):
    ...         train.save_checkpoint(path, model, optimizer, rng, epoch.number)
    ...     done = train.load_checkpoint(path, model, optimizer, rng)
    >>> more = train.fit(model, nn.mse_loss, optimizer, x, y, epochs=4, rng=rng, initial_epoch=done)
    >>> [epoch.number for epoch in more]
    [3, 4]

    An optimizer with parameters that are not the model's is a `ValueError`: the file would lack
    them.
    """
    names = _parameter_names(model, optimizer, rng)
    check_count("number of epochs", epoch, 0)
    arrays: dict[str, Data] = {}
    for name, data in model.state_dict().items():
        arrays[f"model.{name}"] = data
    for name, data in optimizer.state_dict().items():
        arrays[f"optimizer.{name}"] = data
    arrays["optimizer"] = np.array(type(optimizer).__name__)
    arrays["rng"] = _as_bytes([rng.bit_generator.state, names])
    others = _other_generators(model, rng)
    arrays["generators"] = _as_bytes([each.bit_generator.state for each in others])
    arrays["epoch"] = float(epoch)
    save_arrays(path, arrays)


def load_checkpoint(
    path: StrPath, model: Module, optimizer: Optimizer, rng: np.random.Generator
) -> int:
    """Set model, optimizer and `rng` to what `save_checkpoint` has written.

    Returns the number of epochs done. All of it or nothing: a broken file, or one for another
    model, kind of optimizer or kind of generator, is a `ValueError`, and changes nothing.
    """
    names = _parameter_names(model, optimizer, rng)
    generators = [rng, *_other_generators(model, rng)]
    arrays = load_arrays(path)
    try:
        random_states, saved_names, kind = _history(arrays)
        epoch = int(arrays["epoch"])
        if kind != type(optimizer).__name__:
            raise ValueError(f"its optimizer is {kind}, not {type(optimizer).__name__}")
        if len(random_states) != len(generators):
            raise ValueError(
                f"it has the states of {len(random_states)} random generators, but there are "
                f"{len(generators)}"
            )
        for state, generator in zip(random_states, generators, strict=True):
            _check_random_state(state, generator)
        weights = _under("model.", arrays)
        matched = model._matched(weights)
        same_dtypes = all(np.result_type(new) == weights[part.name].dtype for part, new in matched)
        if saved_names != names or not same_dtypes:
            raise ValueError(
                f"its optimizer moves {saved_names}, not {names}, or its weights have another dtype"
            )
        optimizer.load_state_dict(_under("optimizer.", arrays))
    except Exception as error:
        # A file of something else may fail at any of these lines, with any kind of error. All
        # become a ValueError that names the file and has the original as its cause. Ctrl-C is not
        # an Exception, so it passes through.
        raise ValueError(
            f"{os.fspath(path)} is not a checkpoint of this model, optimizer and generator: "
            f"{type(error).__name__}: {error}"
        ) from error
    for part, new in matched:
        part.put(new)
    for state, generator in zip(random_states, generators, strict=True):
        generator.bit_generator.state = state
    return epoch


def _history(arrays: dict[str, Any]) -> tuple[list[Any], list[str], str]:
    """The random states, the parameters' names and the kind of optimizer that a file tells of."""
    state, names = _from_bytes(arrays["rng"])
    # In older files there is no other random state, and the optimizer is always an SGD.
    others = _from_bytes(arrays["generators"]) if "generators" in arrays else []
    kind = str(arrays.get("optimizer", "SGD"))
    return [state, *others], names, kind


def _as_bytes(content: Any) -> NDArray[np.uint8]:
    """What JSON can write, as an array of bytes. (Some random states hold arrays.)"""
    text = json.dumps(content, default=np.ndarray.tolist)
    return np.frombuffer(text.encode(), np.uint8)


def _from_bytes(array: Any) -> Any:
    """What `_as_bytes` has written."""
    return json.loads(bytes(map(int, array)))


def _other_generators(model: Module, rng: np.random.Generator) -> list[np.random.Generator]:
    """The random generators that the model holds, each once, but for `rng`."""
    return [each for each in generators_in(model) if each is not rng]


def _check_random_state(state: Any, rng: np.random.Generator) -> None:
    """Raise an error if `state` is not one of this kind of generator, or is out of its range."""
    new = type(rng.bit_generator)()
    new.state = state  # an error if it is the state of another kind
    # NumPy does not check these positions: with wrong ones, MT19937 and Philox would read
    # memory outside their buffers.
    position = state["state"].get("pos", 0)
    buffer_position = state.get("buffer_pos", 0)
    if not (0 <= position <= 624 and 0 <= buffer_position <= 4):
        raise ValueError("the random state is out of its range")


def _under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays whose names begin with the prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _parameter_names(model: Module, optimizer: Optimizer, rng: np.random.Generator) -> list[str]:
    """The names of the optimizer's parameters, in its order; an error if one is not the model's."""
    check_type("a Module", Module, model)
    check_type("an optimizer, such as optim.SGD", Optimizer, optimizer)
    check_type("a Generator", np.random.Generator, rng)
    names = {p: name for name, p in model.named_parameters()}
    if not set(optimizer.parameters) <= names.keys():
        raise ValueError(
            "expected an optimizer of the model's parameters, but it has others, "
            "which the file would lack"
        )
    return [names[p] for p in optimizer.parameters]
