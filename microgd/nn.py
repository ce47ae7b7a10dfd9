"""Networks: layers, activations and losses, and all parameters of a model as one vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike, DTypeLike, NDArray

from microgd import operations
from microgd.arrays import Data, as_array, as_data, check_dtype, shown
from microgd.checks import check_count, check_labels, check_list, check_number, check_type
from microgd.data import Rng, check_rng, one_hot
from microgd.kinds import OperationWithResidual
from microgd.module import Module as Module
from microgd.operations import Operand, mean, reshape, softmax, square
from microgd.registry import operation, registered
from microgd.value import Value

__all__ = [
    "Dropout",
    "Linear",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "linear",
    "mse_loss",
    "parameters_to_vector",
    "vector_to_parameters",
]


def parameters_to_vector(parameters: Sequence[Value]) -> NDArray[Any]:
    """All the parameters' numbers as one vector, one parameter after the other.

    The vector is a point in the space of all weights: it says where the model is.
    """
    return np.concatenate([np.ravel(p.data) for p in check_list("parameters", parameters)])


def vector_to_parameters(vector: ArrayLike, parameters: Sequence[Value]) -> None:
    """Set the parameters to the numbers of a vector such as `parameters_to_vector` returns.

    A vector of the wrong length, or a parameter that was computed, is a `ValueError`, and then
    nothing has changed. Without parameters, as of an activation, the vector is empty.
    """
    parameters = check_list("parameters", parameters)
    array = np.asarray(as_data(vector))
    operations_used = [p.op for p in parameters if p.op]
    if operations_used:
        raise ValueError(
            "expected parameters that are leaves, but got some that were computed, by "
            f"{', '.join(operations_used)}"
        )
    total = sum(p.size for p in parameters)
    if array.shape != (total,):
        raise ValueError(f"expected a vector of shape ({total},), but got shape {array.shape}")
    start = 0
    for p in parameters:
        end = start + p.size
        p.data = array[start:end].reshape(p.shape)
        start = end


# ── Layers ───────────────────────────────────────────────────────────────────────────────────────


def _rows(x: Operand) -> Operand:
    """The examples as the rows of one matrix, whatever axes they are arranged in."""
    if x.ndim == 2:
        return x
    return reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


# With fewer outputs than this, a layer keeps its weight in memory row by row, otherwise column by
# column.
_FEW_OUTPUTS = 16
_MANY_OUTPUTS = 64  # from here on, a weight's gradient is faster by @ than by `dot`


def _product(x: Operand, y: Operand) -> Operand:
    """x @ y, for a matrix y."""
    if isinstance(x, ndarray) and isinstance(y, ndarray) and x.ndim < 3:
        # The same result as x @ y, half a microsecond sooner. (Only np.dot takes stand-ins.)
        return x.dot(y) if type(y) is ndarray else np.dot(x, y)
    return x @ y


@lru_cache(maxsize=4)
def _ones(examples: int, dtype: np.dtype[Any]) -> Data:
    """A vector of ones. It is kept for the next step, so it is read-only."""
    ones = np.ones(examples, dtype)
    ones.setflags(write=False)
    return ones


@lru_cache(maxsize=4)
def _positions(examples: int) -> NDArray[Any]:
    """0, 1, … examples - 1, kept for the next step as well."""
    positions = np.arange(examples)
    positions.setflags(write=False)
    return positions


# Output i of an example uses weight_ij with the factor x_j. So for one example the gradient of
# weight_ij is g_i * x_j: the weight's gradient is the outer product of g and x. The matrix product
# gᵀ @ x adds up the outer products of all examples. The second form gives the same numbers, but
# column by column in memory, like the weight itself (see `Linear`).
def _weight_rule(g: Operand, out: Operand, x: Operand, weight: Operand, bias: Operand) -> Operand:
    x = _rows(x)
    g = _rows(g)
    outputs = g.shape[1]
    if outputs < _FEW_OUTPUTS:
        return _product(g.T, x)
    if outputs < _MANY_OUTPUTS:
        return _product(x.T, g).T
    return (x.T @ g).T  # `dot` first fills its result with zeros, which takes longer here


# Every example uses the bias once, so its gradient is the sum of g over the examples. A product
# with ones gives this sum too, and BLAS is faster at it than `sum`.
def _bias_rule(g: Operand, out: Operand, x: Operand, weight: Operand, bias: Operand) -> Operand:
    g = _rows(g)
    return _product(_ones(g.shape[0], g.dtype), g)


# One operation, so one node of the graph, in place of three (transpose, matmul, add).
@operation(lambda g, out, x, weight, bias: _product(g, weight), _weight_rule, _bias_rule)
def linear(x: Operand, weight: Operand, bias: Operand) -> Operand:
    """x @ weight.T + bias, for x (..., in), weight (out, in) and bias (out,)."""
    out = _product(x, weight.T if isinstance(weight, ndarray) else np.transpose(weight))
    out += bias  # in place, since nothing else uses the product
    return out


class Linear(Module):
    """x @ weight.T + bias: a layer in which every output is a weighted sum of all inputs.

    Takes (..., in_features) and gives (..., out_features). `weight` has the shape (out_features,
    in_features), `bias` (out_features,); `bias` is None if the layer is made with `bias=False`.

    Both start uniformly at random within ±1 / sqrt(in_features), as in PyTorch: the spread of a sum
    should not grow with the number of its terms (LeCun et al., Efficient BackProp, 1998, section
    4.6). `rng`, a `numpy.random.Generator`, draws them.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Rng = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        in_features = check_count("number of features", in_features, 1)
        out_features = check_count("number of features", out_features, 1)
        check_type("bias to be True or False (rng is passed by name)", bool, bias)
        check_dtype(dtype)
        rng = check_rng(rng)
        bound = 1 / np.sqrt(in_features)
        weight = rng.uniform(-bound, bound, (out_features, in_features))
        # The shape is PyTorch's, but the order in memory is free. This choice was the fastest with
        # BLAS for 1 to 200 outputs. The rule above computes the gradient in the same order, so an
        # update adds arrays that are laid out alike.
        order: Any = "C" if out_features < _FEW_OUTPUTS else "F"
        self.weight = Value(np.asarray(weight, dtype, order=order))
        self.bias = None
        if bias:
            self.bias = Value(rng.uniform(-bound, bound, out_features).astype(dtype))

    def forward(self, x: Operand) -> Operand:
        """The weighted sums for each example; x has `in_features` columns (`ValueError`)."""
        try:
            if self.bias is None:
                return operations.matmul(x, self.weight.T)
            return linear(x, self.weight, self.bias)
        except (ValueError, AttributeError) as error:
            # The shape is checked only now. Before the product, it would cost every step a
            # microsecond.
            shape = np.shape(_numbers(x))
            outputs, features = self.weight.shape
            if shape[-1:] == (features,):
                raise
            hint = ""
            if features == 1 and len(shape) == 1:
                hint = ": x[:, None] makes it a column, with one example in each row"
            raise ValueError(
                f"Linear({features}, {outputs}) takes shape (..., {features}), "
                f"but got shape {shape}{hint}"
            ) from error

    def __repr__(self) -> str:
        outputs, features = self.weight.shape
        without_bias = ", bias=False" if self.bias is None else ""
        return f"Linear({features}, {outputs}{without_bias})"


class Sequential(Module):
    """Modules, or other functions of one Value, one after the other.

    Its parameters are named by the layers' places: "0.weight", "2.weight".
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for layer in layers:
            if not callable(layer) or isinstance(layer, type):
                raise TypeError(
                    f"expected modules such as ReLU(), or functions, but got {shown(layer)}"
                )
        self.layers = list(layers)

    def _parts(self) -> Mapping[Any, Any]:
        # The layers are named by their places alone: "0.weight", and not "layers.0.weight".
        others = {name: part for name, part in vars(self).items() if name != "layers"}
        layers = dict(enumerate(self.layers))
        return others | layers

    def forward(self, x: Any) -> Any:
        """The last layer's result: each layer is applied to the result of the one before it."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        """A layer or, for a slice, a Sequential of those layers, with the same parameters."""
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        return self.layers[index]

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"


class ReLU(Module):
    """max(x, 0), elementwise."""

    forward = staticmethod(operations.relu)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), between 0 and 1."""

    forward = staticmethod(operations.sigmoid)


class Tanh(Module):
    """tanh(x), between -1 and 1."""

    forward = staticmethod(operations.tanh)


class Dropout(Module):
    """In training each element becomes 0 with probability `p`; in evaluation nothing changes.

    The others are divided by 1 - p, so each element's expected value stays the same. Every example
    trains a different random part of the network, so units can't rely on one another. (Srivastava
    et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.)

    `rng`, a `numpy.random.Generator`, draws the elements; without one, they are different in every
    run. Give it the generator that `train.fit` gets, and the whole run can be repeated. `training`
    says whether the module is in training, and is False within `train.evaluate`.

    >>> layer = Dropout(0.5, rng=np.random.default_rng(0))
    >>> layer(np.ones(5)).tolist()
    [2.0, 0.0, 0.0, 0.0, 2.0]
    >>> layer.eval()(np.ones(5)).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]

    `p` is from 0 to 1 (`ValueError`). Takes Values and arrays, and keeps their dtype.
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        self.p = check_number("the probability p", p)
        if self.p > 1:
            raise ValueError(f"expected a probability p of at most 1, but got {self.p}")
        self.rng = check_rng(rng)

    def forward(self, x: Operand) -> Operand:
        """x with some elements replaced by 0, and the others scaled; in evaluation x itself."""
        if not self.training or self.p == 0:
            return x
        numbers = np.asarray(_numbers(x))
        is_kept = self.rng.random(numbers.shape) >= self.p
        factors = np.asarray(is_kept, numbers.dtype)
        if self.p < 1:  # otherwise none is kept
            factors /= 1 - self.p
        return operations.multiply(x, factors)

    def __repr__(self) -> str:
        return f"Dropout(p={self.p})"


# ── Losses ───────────────────────────────────────────────────────────────────────────────────────


def mse_loss(prediction: Any, target: Any) -> Any:
    """The mean squared error, over all elements.

    Both must have the same shape (`ValueError`): (n, 1) and (n,) would broadcast to n × n
    differences, and give a wrong loss.
    """
    _check_same_shape("a prediction and a target", prediction=prediction, target=target)
    return mean(square(operations.subtract(prediction, target)))


def _check_same_shape(what: str, **operands: Any) -> None:
    """A `ValueError` unless the two operands of a loss have the same shape, and are not empty.

    They are passed by the names that the loss has for them; `what` names both in a sentence.
    """
    (name, x), (other_name, other) = operands.items()
    shape = np.shape(_numbers(x))
    other_shape = np.shape(_numbers(other))
    if shape == other_shape and 0 not in shape:
        return
    hint = ""
    if shape == (*other_shape, 1) and other_shape:
        hint = f": {_as_column(other_name, other, len(other_shape))}"
    elif other_shape == (*shape, 1) and shape:
        hint = f": {_as_column(name, x, len(shape))}"
    raise ValueError(
        f"expected {what} of the same shape, not empty, but got {shape} and {other_shape}{hint}"
    )


def _as_column(name: str, x: Any, ndim: int) -> str:
    """How to give x, which is passed by this name, one more axis."""
    array = _as_array(name, x)
    if ndim == 1:
        return f"{array}[:, None] makes it a column"
    return f"{array}[..., None] has that shape"


def _as_array(name: str, x: Any) -> str:
    """How to write x, which is passed by this name, as an array: it may be a list."""
    return name if isinstance(x, Value | ndarray) else f"np.asarray({name})"


def _numbers(x: Any) -> Data:
    return x._numbers if isinstance(x, Value) else as_data(x)


# The gradient of -log softmax(logits)[label] is softmax(logits), minus 1 at the label: the
# probabilities that the network gives, minus those that it should have given. (Bishop, Pattern
# Recognition and Machine Learning, 2006, section 4.3.4.)
#
# Computing the loss gives the softmax on the way, so `_loss_and_difference` also returns this
# difference, and the record keeps it for the rule. But for a graph of gradients the rule gets
# Values. Then it computes the difference itself, so that the difference is recorded.
def _cross_entropy_rule(
    g: Operand, out: Operand, logits: Operand, labels: Any, difference: Operand = None
) -> Operand:
    softmax_minus_one_hot = difference
    if difference is None:
        softmax_minus_one_hot = softmax(logits) - one_hot(labels, logits.shape[1])
    return softmax_minus_one_hot * (g * (1 / len(labels)))


def _loss_and_difference(logits: Operand, labels: Any) -> tuple[float, Operand]:
    # A row for each class: NumPy adds up ten long rows several times faster than many short ones.
    # All steps work in place, so this one array holds in turn the logits less their maximum, the
    # powers, the softmax and the difference.
    p = logits.T.copy()
    examples = len(labels)
    # Subtracting each example's largest logit does not change the softmax, and exp can't overflow.
    p -= np.maximum.reduce(p, 0)  # the same as p.max(0), without its wrapper in Python
    flat = p.ravel()  # a view: the rows end to end
    label_places = labels * examples + _positions(examples)
    label_logits = flat[label_places]  # a copy, taken before exp overwrites them
    np.exp(p, p)
    sums = np.add.reduce(p, 0)
    p /= sums  # now p is the softmax
    flat[label_places] -= 1.0  # and now the difference that the rule needs
    softmax_minus_one_hot = p.T
    total: float = np.add.reduce(np.log(sums) - label_logits).item()
    return total / examples, softmax_minus_one_hot


_cross_entropy = registered(
    OperationWithResidual(
        name="cross_entropy",
        forward=_loss_and_difference,
        rules=(_cross_entropy_rule, None),
        module=__name__,
        defaults={},
    )
)


def cross_entropy(logits: Any, labels: ArrayLike) -> Any:
    """The mean of -log(probability of the label), where softmax(logits) gives the probabilities.

    `logits` (n, classes) may be any numbers; `labels` (n,) are integers from 0 to classes - 1.
    Labels out of range, a wrong shape, and no examples at all are a `ValueError`; labels that are
    not integers are a `TypeError`.
    """
    numbers = _numbers(logits)
    if isinstance(numbers, float) or numbers.ndim != 2 or not len(numbers):
        hint = ""
        if np.ndim(numbers) > 2:
            hint = ": logits.reshape(-1, classes), with labels.reshape(-1), has that shape"
        raise ValueError(
            "expected logits of shape (examples, classes), with at least one example, "
            f"but got shape {np.shape(numbers)}{hint}"
        )
    if isinstance(labels, Value):
        raise TypeError("expected labels that are integers, but got a Value")
    integers = check_labels(labels, *numbers.shape)
    return _cross_entropy(logits if isinstance(logits, Value) else numbers, integers)


# With softplus(x) = log(1 + exp(x)), the loss of a logit x with the target t is
# t * softplus(-x) + (1 - t) * softplus(x). Its derivative is sigmoid(x) - t: as for cross_entropy,
# the probability that the network gives, minus the one that it should have given. But for
# t = 1, sigmoid(x) - 1 becomes 0 as soon as sigmoid(x) rounds to 1. So the rule keeps the two terms
# apart: (1 - t) * sigmoid(x) - t * sigmoid(-x).
def _logits_rule(g: Operand, out: Operand, logits: Operand, targets: Operand) -> Operand:
    too_high = (1.0 - targets) * operations.sigmoid(logits)
    too_low = targets * operations.sigmoid(-logits)
    return (too_high - too_low) * (g / np.size(logits))


# The derivative with respect to t is softplus(-x) - softplus(x), which is -x.
def _targets_rule(g: Operand, out: Operand, logits: Operand, targets: Operand) -> Operand:
    return -logits * (g / np.size(logits))


@operation(_logits_rule, _targets_rule, name="binary_cross_entropy_with_logits")
def _binary_cross_entropy(logits: Operand, targets: Operand) -> Operand:
    # Both softplus(x) and softplus(-x) are log(1 + exp(-|x|)), plus |x| for the one whose argument
    # is positive. So the loss is that logarithm, plus |x| times the weight of the class that x
    # speaks against: 1 - t if x > 0, and t otherwise. Nothing is subtracted that could cancel, and
    # exp can't overflow.
    magnitude = np.abs(logits)
    against = np.where(logits > 0, 1.0 - targets, targets)
    magnitude_where_against = np.where(against == 0, 0.0, magnitude)  # 0 * inf would be nan
    losses = np.log1p(np.exp(-magnitude)) + against * magnitude_where_against
    mean_loss: float = np.mean(losses, dtype=np.float64).item()
    return mean_loss


def binary_cross_entropy_with_logits(logits: Any, targets: Any) -> Any:
    """The mean of -log(probability of the target), where sigmoid(logits) is the probability of 1.

    That is, the mean over all elements of -t * log(p) - (1 - t) * log(1 - p), where p is
    sigmoid(x), for a logit x and its target t. (Bishop, Pattern Recognition and Machine Learning,
    2006, section 4.3.2.) It is computed from x itself, so it is right where p rounds to 0 or 1.
    If a logit is infinite, the loss and its derivatives are their limits.

    `targets` are numbers from 0 to 1, or booleans, in the shape of `logits`. A wrong shape, targets
    out of range or nan, and no elements at all are a `ValueError`. Targets may be a Value, which
    gets a gradient too.

    >>> round(binary_cross_entropy_with_logits([0.0, 2.0], [0, 1]), 4)
    0.41
    >>> binary_cross_entropy_with_logits([1000.0, -1000.0], [1, 1])
    500.0
    """
    _check_same_shape("logits and targets", logits=logits, targets=targets)
    _check_probabilities(targets)
    return _binary_cross_entropy(logits, targets)


def _check_probabilities(targets: Any) -> None:
    """A `ValueError` unless all targets are from 0 to 1. The message says how to repair them."""
    numbers = as_array(_numbers(targets))
    # A nan makes both of these nan, and then neither comparison holds.
    least = np.minimum.reduce(numbers, axis=None)
    most = np.maximum.reduce(numbers, axis=None)
    if least >= 0 and most <= 1:
        return
    given = np.asarray(targets.data if isinstance(targets, Value) else targets)
    is_wrong = ~((given >= 0) & (given <= 1))
    first_wrong = given[is_wrong][0]
    different = set(given.ravel().tolist())
    array = _as_array("targets", targets)
    hint = ""
    if different <= {-1, 1}:
        hint = f": ({array} + 1) / 2 turns -1 and 1 into 0 and 1"
    elif different <= {1, 2}:
        hint = f": {array} - 1 turns 1 and 2 into 0 and 1"
    raise ValueError(f"expected targets from 0 to 1, but got {first_wrong}{hint}")
