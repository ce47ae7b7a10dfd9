"""What the most common mistakes are answered with, word for word: a person has read each."""

import math

import numpy as np
import pytest

from microgd import Value, data, draw, nn, optim, train

X = np.ones((5, 3))
MISTAKES = {
    "backward of a whole array": (
        lambda: (Value([1.0, 2.0]) * 2).backward(),
        ValueError,
        "a value of shape (2,) has no gradient by itself: sum it, or give backward a gradient",
    ),
    "a gradient of another shape": (
        lambda: Value([1.0, 2.0]).backward([1.0]),
        ValueError,
        "expected a gradient of shape (2,), as the value's, but got shape (1,)",
    ),
    "a Value where NumPy wants an array": (
        lambda: np.asarray(Value([1.0, 2.0])),
        TypeError,
        "a Value does not turn into an array by itself: use .data, or np.stack to join Values into one",
    ),
    "a Value where Python wants a number": (
        lambda: math.sin(Value(1.0)),
        TypeError,
        "a Value does not turn into a number by itself: use .item() for it, and np.sin in place of math.sin",
    ),
    "a function of NumPy's without a rule": (
        lambda: np.cumsum(Value([1.0, 2.0])),
        TypeError,
        "numpy.cumsum has no derivative rule for Values: use .data for its numbers",
    ),
    "text as a Value": (
        lambda: Value("3"),
        TypeError,
        "expected a number or an array of float32, float64, integers or booleans, but got str of dtype <U1",
    ),
    "rows of different lengths": (
        lambda: Value([[1.0], [1.0, 2.0]]),
        TypeError,
        "expected a number or an array of numbers, but got a ragged list",
    ),
    "other columns than the layer has": (
        lambda: nn.Linear(4, 2)(X),
        ValueError,
        "Linear(4, 2) takes shape (..., 4), but got shape (5, 3)",
    ),
    "a column and a row in the loss": (
        lambda: nn.mse_loss(Value(np.ones((3, 1))), np.ones(3)),
        ValueError,
        "expected a prediction and a target of the same shape, not empty, but got (3, 1) and (3,)",
    ),
    "labels that are text": (
        lambda: nn.cross_entropy(Value(np.ones((2, 3))), ["cat", "dog"]),
        TypeError,
        "expected labels that are integers, but got dtype <U3; data.encode_labels turns text into integers",
    ),
    "a label too many": (
        lambda: nn.cross_entropy(Value(np.ones((2, 3))), [0, 3]),
        ValueError,
        "expected labels from 0 to 2, but got 3",
    ),
    "data of another length than its labels": (
        lambda: data.minibatches(X, np.ones(4), 2),
        ValueError,
        "expected as many labels as examples, but got examples of shape (5, 3) and labels of (4,)",
    ),
    "a model in place of its parameters": (
        lambda: optim.SGD(nn.ReLU(), lr=0.1),
        TypeError,
        "expected a list of parameters, such as model.parameters(), but got ReLU()",
    ),
    "a negative learning rate": (
        lambda: optim.SGD([Value(1.0)], lr=-0.1),
        ValueError,
        "expected lr to be 0 or more, and finite, but got -0.1",
    ),
    "a seed in place of a generator": (
        lambda: nn.Linear(3, 2, rng=0),
        TypeError,
        "expected rng to be a generator such as np.random.default_rng(0), but got 0",
    ),
    "another model's weights": (
        lambda: nn.Linear(3, 2).load_state_dict({"0.weight": np.ones((2, 3)), "0.bias": np.ones(2)}),
        ValueError,
        "the names do not match: missing ['bias', 'weight'], unknown ['0.bias', '0.weight']",
    ),
    "new data of another shape": (
        lambda: setattr(Value([1.0, 2.0]), "data", [1.0, 2.0, 3.0]),
        ValueError,
        "expected data of shape (2,), but got shape (3,)",
    ),
    "another model's optimizer": (
        lambda: next(
            train.fit(nn.Linear(3, 2), nn.cross_entropy, optim.SGD([Value(1.0)], lr=0.1), X, np.zeros(5, int), epochs=1)
        ),
        ValueError,
        "the loss depends on no parameter of the optimizer: is it the model's, and is this inside no_grad?",
    ),
    "a number to draw": (lambda: draw(3.0), TypeError, "expected a Value to draw, but got 3.0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_common_mistake_is_answered_with_what_came_and_what_is_right(mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error) as refused:
        call()
    assert str(refused.value) == message


def test_what_python_cannot_write_is_named_by_its_type():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="that are Values, but got "):
        optim.SGD([deep], lr=0.1)
