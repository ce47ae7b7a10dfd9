"""Networks: modules that hold parameters, layers, activations and losses."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike, DTypeLike, NDArray

from microgd import operations
from microgd.arrays import Data, as_data, check_dtype, shown
from microgd.backprop import operation
from microgd.checks import check_count, check_labels, check_list, check_type
from microgd.data import Rng, check_rng, one_hot
from microgd.module import Module as Module
from microgd.operations import Number, mean, reshape, softmax, square
from microgd.value import Value


def parameters_to_vector(parameters: Sequence[Value]) -> NDArray[Any]:
    """All numbers of the parameters, one after the other, as one vector: the point in the space of weights where they are."""
    return np.concatenate([np.ravel(p.data) for p in check_list("parameters", parameters)])


def vector_to_parameters(vector: ArrayLike, parameters: Sequence[Value]) -> None:
    """Set the parameters to the numbers of such a vector.

    One of another length, or a computed parameter, is a `ValueError`, before anything has changed.
    """
    parameters = check_list("parameters", parameters)
    array, sizes, computed = (
        np.asarray(as_data(vector)),
        [p.size for p in parameters],
        [p.op for p in parameters if p.op],
    )
    if array.shape != (sum(sizes),) or computed:
        raise ValueError(
            f"expected leaves, and a vector of shape ({sum(sizes)},), but got {computed or array.shape}"
        )
    for p, part in zip(parameters, np.split(array, np.cumsum(sizes[:-1])), strict=True):
        p.data = part.reshape(p.shape)


# ── Layers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rows(x: Number) -> Number:
    """The examples as the rows of one matrix, whatever axes they are arranged in."""
    return x if x.ndim == 2 else reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


_FEW = 16  # outputs: with fewer, the weight's rows are kept together in memory; from this many on, its columns


def _product(x: Number, y: Number) -> Number:
    """x @ y, for a matrix y. Where both are arrays, and x has 1 or 2 axes, `dot` gives the same half a microsecond sooner."""
    return x.dot(y) if isinstance(x, ndarray) and isinstance(y, ndarray) and x.ndim < 3 else x @ y


@lru_cache(maxsize=4)
def _ones(examples: int, dtype: np.dtype[Any]) -> Data:
    """A vector of ones, kept from step to step."""
    ones = np.ones(examples, dtype)
    ones.setflags(write=False)
    return ones


def _weight_rule(g: Number, out: Number, x: Number, weight: Number, bias: Number) -> Number:
    x, g = _rows(x), _rows(g)
    return _product(g.T, x) if g.shape[1] < _FEW else _product(x.T, g).T


def _bias_rule(g: Number, out: Number, x: Number, weight: Number, bias: Number) -> Number:
    g = _rows(g)
    return _product(
        _ones(g.shape[0], g.dtype), g
    )  # the sum over the examples: BLAS is faster at it than `sum`


# One node for what would be three (transpose, matmul, add). For an example x and its gradient g, the weight's gradient
# is their outer product, out_i having used weight_ij with the factor x_j; the matrix product sums it over the examples.
@operation(lambda g, out, x, weight, bias: _product(g, weight), _weight_rule, _bias_rule)
def linear(x: Number, weight: Number, bias: Number) -> Number:
    """x @ weight.T + bias, for x (..., in), weight (out, in) and bias (out,)."""
    out = _product(x, weight.T if isinstance(weight, ndarray) else np.transpose(weight))
    out += bias  # the product is nobody else's
    return out


class Linear(Module):
    """x @ weight.T + bias: a layer in which every output is a weighted sum of all inputs.

    Takes (..., in_features), gives (..., out_features). `weight` (out_features, in_features) and `bias`
    (out_features,), or None without it, start uniformly at random within ±1 / sqrt(in_features), as in PyTorch (LeCun
    et al., Efficient BackProp, 1998, section 4.6: a sum's spread should not grow with the number of its terms). `rng`, a
    `numpy.random.Generator`, draws them.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rng: Rng = None,
                 dtype: DTypeLike = np.float32) -> None:  # fmt: skip
        in_features, out_features = (
            check_count("number of features", n, 1) for n in (in_features, out_features)
        )
        check_type("bias to be True or False (rng is given by name)", bool, bias)
        check_dtype(dtype)
        rng, bound = check_rng(rng), 1 / np.sqrt(in_features)
        weight = rng.uniform(-bound, bound, (out_features, in_features))
        # The order in memory is free where the shape is not. This one is the fastest for BLAS, measured from 1 to 200
        # outputs, and the rule above computes the gradient in the same order, so that a step adds arrays that match.
        self.weight = Value(np.asarray(weight, dtype, order="C" if out_features < _FEW else "F"))
        self.bias = Value(rng.uniform(-bound, bound, out_features).astype(dtype)) if bias else None

    def forward(self, x: Number) -> Number:
        """The weighted sums for each example; `ValueError` where x does not have `in_features` columns."""
        try:
            return (
                operations.matmul(x, self.weight.T)
                if self.bias is None
                else linear(x, self.weight, self.bias)
            )
        except (
            ValueError,
            AttributeError,
        ) as error:  # not looked at beforehand: that would cost every step a microsecond
            shape, (outputs, features) = np.shape(_numbers(x)), self.weight.shape
            if shape[-1:] == (features,):
                raise
            hint = (
                ": x[:, None] makes it a column, an example a row"
                if features == 1 and len(shape) == 1
                else ""
            )
            raise ValueError(
                f"Linear({features}, {outputs}) takes shape (..., {features}), but got shape {shape}{hint}"
            ) from error

    def __repr__(self) -> str:
        return f"Linear({self.weight.shape[1]}, {self.weight.shape[0]}{', bias=False' if self.bias is None else ''})"


class Sequential(Module):
    """Modules, or other functions of one Value, one after the other. Its parameters are named "0.weight", "2.weight"."""

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for layer in layers:
            if not callable(layer) or isinstance(layer, type):
                raise TypeError(
                    f"expected modules such as ReLU(), or functions, but got {shown(layer)}"
                )
        self.layers = list(layers)

    def _parts(self) -> Mapping[Any, Any]:
        return {name: part for name, part in vars(self).items() if name != "layers"} | dict(
            enumerate(self.layers)
        )

    def forward(self, x: Any) -> Any:
        """What the last layer makes of what the one before it makes of x, and so on."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        """A layer or, for a slice, a Sequential of those layers, which have the same parameters."""
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        return self.layers[index]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"


class ReLU(Module):
    """max(x, 0)."""

    forward = staticmethod(operations.relu)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), between 0 and 1."""

    forward = staticmethod(operations.sigmoid)


class Tanh(Module):
    """tanh(x), between -1 and 1."""

    forward = staticmethod(operations.tanh)


# ── Losses ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def mse_loss(prediction: Any, target: Any) -> Any:
    """The mean squared error, over all elements.

    Both have the same shape (`ValueError`): (n, 1) and (n,) would broadcast to n × n differences, and a wrong loss.
    """
    shape, wanted = np.shape(_numbers(prediction)), np.shape(_numbers(target))
    if shape != wanted or 0 in shape:
        hint = ""
        if shape == (*wanted, 1) and wanted:
            hint = f": {_as_column('target', target, len(wanted))}"
        elif wanted == (*shape, 1) and shape:
            hint = f": {_as_column('prediction', prediction, len(shape))}"
        raise ValueError(
            f"expected a prediction and a target of the same shape, not empty, but got {shape} and {wanted}{hint}"
        )
    return mean(square(operations.subtract(prediction, target)))


def _as_column(name: str, x: Any, ndim: int) -> str:
    """How to give what came one axis more."""
    given = name if isinstance(x, Value | ndarray) else f"np.asarray({name})"
    return (
        f"{given}[:, None] makes it a column" if ndim == 1 else f"{given}[..., None] has that shape"
    )


def _numbers(x: Any) -> Data:
    return x._numbers if isinstance(x, Value) else as_data(x)


# The gradient of -log softmax(logits)[label] is softmax(logits), minus 1 at the label: what the network says, less
# what it should have said. (Bishop, Pattern Recognition and Machine Learning, 2006, section 4.3.4.) Computing the loss
# gives the softmax on the way, so the difference is put into `kept`, a list that comes in empty: the way for the result's
# computation to hand the rule more than the result. Only a graph of gradients has to have it computed by operations.
def _cross_entropy_rule(
    g: Number, out: Number, logits: Number, labels: Any, kept: list[Any]
) -> Number:
    if isinstance(logits, Value):
        kept = [softmax(logits) - one_hot(labels, logits.shape[1])]
    return kept[0] * (g * (1 / len(labels)))


@operation(_cross_entropy_rule, None, name="cross_entropy")
def _cross_entropy(logits: Number, labels: Any, kept: list[Any]) -> Number:
    # A row for each class: NumPy adds up ten long rows several times faster than many short ones. This one array is in turn
    # the logits, less their maximum (softmax is the same, and exp cannot overflow), the powers, softmax, the difference.
    p, examples = logits.T.copy(), len(labels)
    p -= np.maximum.reduce(p, 0)  # as p.max(0), without the wrapper
    flat, here = (
        p.ravel(),
        labels * examples + np.arange(examples),
    )  # where the labels are, in the rows end to end
    picked = flat[here]
    np.exp(p, p)
    sums = np.add.reduce(p, 0)
    p /= sums
    flat[here] -= 1.0
    kept.append(p.T)
    return float(np.add.reduce(np.log(sums) - picked)) / examples


def cross_entropy(logits: Any, labels: ArrayLike) -> Any:
    """The mean of -log(probability of the label), the probabilities being softmax(logits).

    `logits` (n, classes), any numbers; `labels` (n,), integers from 0 to classes - 1. Integers out of range, another
    shape, or no examples at all are a `ValueError`, labels that are no integers a `TypeError`.
    """
    held = _numbers(logits)
    if isinstance(held, float) or held.ndim != 2 or not len(held):
        raise ValueError(
            f"expected logits (examples, classes), with at least one example, but got shape {np.shape(held)}"
        )
    if isinstance(labels, Value):
        raise TypeError("expected labels that are integers, but got a Value")
    return _cross_entropy(
        logits if isinstance(logits, Value) else held, check_labels(labels, *held.shape), []
    )
