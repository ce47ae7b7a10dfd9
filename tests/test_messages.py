"""The messages for the most common mistakes, word for word. A person has read each of them."""

import math
import operator

import numpy as np
import pytest

from microgd import Value, check_gradients, data, draw, nn, no_grad, operation, optim, train

X = np.ones((5, 3))
NOT_A_NUMBER = (
    "a Value does not turn into a number by itself, since its gradient would be lost. For a function of it: np.sin(value), "
    "not math.sin(value); to put Values into an array: np.stack([a, b]); where no derivative is needed, value.item() is the "
    "number alone"
)
NOT_AN_INTEGER = (
    "a Value is not an integer, even if its number is whole: indices, counts and sizes have no derivative, so they are plain "
    "integers, such as int(value.item())"
)
PLAIN_OPTIONS = (
    " takes Values by position, as operands. An index, an axis or a shape is a plain integer, such as int(value.item()); "
    "bounds are constants (np.maximum and np.minimum take Values)"
)
V = Value([1.0, 2.0, 3.0])


def within_no_grad():
    with no_grad():
        return Value(2.0) * 3.0


def renamed():
    w = Value(2.0, name="w")
    with no_grad():
        w -= 0.1


class Scaled(nn.Module):
    """A module as a newcomer writes it."""

    def __init__(self):
        self.w = Value(np.ones(3)) * 0.1


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
        "a Value does not turn into an array by itself, since its gradient would be lost. Instead: np.stack([a, b]) joins "
        "Values; array @ value multiplies, and array.dot(value) does not; x.to_numpy() and x.toarray() turn a DataFrame and "
        "a sparse matrix into arrays to compute with; where no derivative is needed, value.data is the numbers alone",
    ),
    "a Value where Python wants a number": (
        lambda: math.sin(Value(1.0)),
        TypeError,
        NOT_A_NUMBER,
    ),
    "a function of NumPy's without a rule": (
        lambda: np.diff(Value([1.0, 2.0])),
        TypeError,
        "numpy.diff is not supported for Values: write x[1:] - x[:-1] for a vector, x[:, 1:] - x[:, :-1] for a matrix",
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
        "expected a prediction and a target of the same shape, not empty, but got (3, 1) and (3,): "
        "target[:, None] makes it a column",
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
        lambda: nn.Linear(3, 2).load_state_dict(
            {"0.weight": np.ones((2, 3)), "0.bias": np.ones(2)}
        ),
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
            train.fit(
                nn.Linear(3, 2),
                nn.cross_entropy,
                optim.SGD([Value(1.0)], lr=0.1),
                X,
                np.zeros(5, int),
                epochs=1,
            )
        ),
        ValueError,
        "the loss depends on no parameter of the optimizer: is it the optimizer of this model, and was .data or .item() taken "
        "on the way?",
    ),
    "a Value as an element of an array": (
        lambda: np.zeros((2, 3)).__setitem__(0, V),
        TypeError,
        "a Value does not turn into an array by itself, since its gradient would be lost. Instead: np.stack([a, b]) joins "
        "Values; array @ value multiplies, and array.dot(value) does not; x.to_numpy() and x.toarray() turn a DataFrame and "
        "a sparse matrix into arrays to compute with; where no derivative is needed, value.data is the numbers alone",
    ),
    "a Value as an index": (lambda: V[Value(0)], TypeError, "getitem" + PLAIN_OPTIONS),
    "a Value as an axis": (lambda: V.sum(Value(0)), TypeError, "sum" + PLAIN_OPTIONS),
    "a Value as a shape": (lambda: V.reshape(Value(3)), TypeError, "reshape" + PLAIN_OPTIONS),
    "a Value as an axis of softmax": (
        lambda: V.softmax(Value(0)),
        TypeError,
        "softmax" + PLAIN_OPTIONS,
    ),
    "a Value as a bound": (lambda: np.clip(V, Value(0.0), 1.0), TypeError, "clip" + PLAIN_OPTIONS),
    "a Value in a tuple of indices": (
        lambda: V[None, Value(0)],
        TypeError,
        "getitem" + PLAIN_OPTIONS,
    ),
    "a Value as an index of a list": (lambda: [1, 2][Value(0)], TypeError, NOT_AN_INTEGER),
    "a Value as a count": (lambda: range(Value(2)), TypeError, NOT_AN_INTEGER),
    "a Value as an integer": (lambda: int(Value(2)), TypeError, NOT_AN_INTEGER),
    "the truth of several elements": (
        lambda: bool(V),
        ValueError,
        "the truth value of a Value of shape (3,) is ambiguous, unless it has one element: np.any(...) and np.all(...) of a "
        "comparison, such as value > 0, are True or False",
    ),
    "an array on the left of in place": (
        lambda: operator.iadd(np.zeros(3), V),
        TypeError,
        "numpy.add can't write a Value into an array, which records nothing: leave out= out, and write array = array + value "
        "in place of array += value",
    ),
    "a function of NumPy's with a product in its place": (
        lambda: np.vdot(X, V),
        TypeError,
        "numpy.vdot is not supported for Values: write np.dot(x, y) for vectors",
    ),
    "a function of NumPy's without a derivative": (
        lambda: np.unique(V),
        TypeError,
        "numpy.unique is not supported for Values: it has no derivative, so give it the numbers alone, x.data in place of x",
    ),
    "a function of NumPy's that nothing replaces": (
        lambda: np.linalg.inv(V),
        TypeError,
        "numpy.linalg.inv is not supported for Values: write it with functions that are supported (help(microgd.operations) "
        "and help(microgd.numpy_functions) list them), or add it with microgd.operation; where no derivative is needed, use x.data",
    ),
    "a method of NumPy's": (
        lambda: V.copy(),
        AttributeError,
        "a Value has no attribute 'copy': write +x, or x.detach() for a leaf of its own",
    ),
    "a loss computed within no_grad": (
        lambda: within_no_grad().backward(),
        ValueError,
        "nothing was recorded: this value was computed within no_grad, so no gradient leads back from it",
    ),
    "a step that gives a leaf's name to another Value": (
        renamed,
        TypeError,
        "w -= ... would make w the name of another Value, and leave this leaf as it is: to change its numbers, write w.data -= "
        "...",
    ),
    "a step without gradients": (
        lambda: optim.SGD([Value(1.0)], lr=0.1).step(),
        ValueError,
        "no parameter has a gradient: call loss.backward() before step(), on a loss that was computed with these parameters, "
        "and not within no_grad",
    ),
    "a weight that was computed": (
        Scaled,
        TypeError,
        "Scaled: self.w was computed by multiply, so it is not a parameter: nothing would train or save it. Compute with "
        "arrays first, and make a leaf of the result, as in Value(rng.normal(size=3) * 0.1)",
    ),
    "new data of what was computed": (
        lambda: setattr(V * 2.0, "data", 1.0),
        AttributeError,
        "the data of a computed value is read-only: it belongs to the recorded computation. To make initial weights, compute "
        "with arrays, as in Value(rng.normal(size=3) * 0.1); to go on with its numbers alone, take value.detach()",
    ),
    "parameters that were computed": (
        lambda: optim.SGD([V * 0.1], lr=0.1),
        ValueError,
        "expected parameters that are leaves, but got one that multiply computed: compute with arrays first, and make a Value "
        "of the result, as in Value(rng.normal(size=3) * 0.1)",
    ),
    "one-hot labels": (
        lambda: nn.cross_entropy(Value(np.ones((2, 3))), np.eye(3)[[0, 2]]),
        TypeError,
        "expected labels of shape (2,), an integer for each example, but got shape (2, 3): if they are one-hot, "
        "labels.argmax(axis=1) turns them into integers",
    ),
    "labels that are whole floats": (
        lambda: nn.cross_entropy(Value(np.ones((2, 3))), [0.0, 2.0]),
        TypeError,
        "expected labels that are integers, but got dtype float64; np.asarray(labels).astype(int) turns them into integers",
    ),
    "labels that are fractions": (
        lambda: nn.cross_entropy(Value(np.ones((2, 3))), [0.5, 2.0]),
        TypeError,
        "expected labels that are integers, but got dtype float64",
    ),
    "two classes and one column": (
        lambda: nn.cross_entropy(Value(np.ones((2, 1))), [0, 1]),
        ValueError,
        "expected labels from 0 to 0, but got 1: the logits need a column for each class",
    ),
    "labels from 1": (
        lambda: nn.cross_entropy(Value(np.ones((3, 3))), [1, 2, 3]),
        ValueError,
        "expected labels from 0 to 2, but got 3: labels - 1 begin at 0",
    ),
    "labels of -1 and 1": (
        lambda: nn.cross_entropy(Value(np.ones((2, 2))), [-1, 1]),
        ValueError,
        "expected labels from 0 to 1, but got -1: (labels + 1) // 2 turns -1 and 1 into 0 and 1",
    ),
    "labels that are integers as objects": (
        lambda: nn.cross_entropy(Value(np.ones((2, 2))), np.array([0, 1], object)),
        TypeError,
        "expected labels that are integers, but got dtype object; labels.astype(int) turns them into integers",
    ),
    "a column of labels": (
        lambda: nn.cross_entropy(Value(np.ones((2, 3))), [[0], [2]]),
        ValueError,
        "expected labels of shape (2,), a number for each example, but got shape (2, 1): np.asarray(labels)[:, 0] has that shape",
    ),
    "a row and a column in the loss": (
        lambda: nn.mse_loss(Value(np.ones(3)), np.ones((3, 1))),
        ValueError,
        "expected a prediction and a target of the same shape, not empty, but got (3,) and (3, 1): "
        "prediction[:, None] makes it a column",
    ),
    "a list and a column in the loss": (
        lambda: nn.mse_loss(Value(np.ones((2, 1))), [1.0, 2.0]),
        ValueError,
        "expected a prediction and a target of the same shape, not empty, but got (2, 1) and (2,): "
        "np.asarray(target)[:, None] makes it a column",
    ),
    "an operation with fewer rules than Values": (
        lambda: operation(lambda g, out, x, y: g, name="area")(lambda x, y: x * y)(V, V),
        TypeError,
        "area has a derivative rule for 1 of its arguments, and none for another that is a Value: @operation takes a rule for "
        "each operand",
    ),
    "an operation with more rules than operands": (
        lambda: operation(lambda g, out, x: g, lambda g, out, x: g, name="twice")(lambda x: x),
        TypeError,
        "twice takes (x), but was given 2 rules: one for each operand",
    ),
    "a feature that is no column": (
        lambda: nn.Linear(1, 32)(np.ones(20)),
        ValueError,
        "Linear(1, 32) takes shape (..., 1), but got shape (20,): x[:, None] makes it a column, with one example in each row",
    ),
    "a masked array": (
        lambda: Value(np.ma.array([1.0, 2.0], mask=[True, False])),
        TypeError,
        "expected a number or an array of numbers, but got a masked array, whose mask would be lost: x.filled(0.0) gives "
        "masked elements a number, x.compressed() leaves them out",
    ),
    "None among the numbers": (
        lambda: Value([1.0, None]),
        TypeError,
        "expected a number or an array of float32, float64, integers or booleans, but got "
        "list of dtype object, with None in it",
    ),
    "a number to draw": (lambda: draw(3.0), TypeError, "expected a Value to draw, but got 3.0"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_common_mistake_is_answered_with_what_came_and_what_is_right(mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error) as refused:
        call()
    assert str(refused.value) == message


def test_a_check_of_a_random_function_says_that_it_is_random():
    rng = np.random.default_rng(0)
    with pytest.raises(
        ValueError,
        match=r"f gave two results at the same inputs, .*: does it draw random numbers, or keep a state",
    ):
        check_gradients(lambda x: x * rng.random(), 1.0)


def test_what_python_cannot_write_is_named_by_its_type():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match=r"model\.parameters\(\), that are Values, but got "):
        optim.SGD([deep], lr=0.1)


def test_a_value_put_into_an_array_leads_to_stack():
    array = np.zeros(3)
    # The error has NumPy's words...
    with pytest.raises(ValueError, match="setting an array element with a sequence") as refused:
        array[0] = Value(2.0)
    assert str(refused.value.__cause__) == NOT_A_NUMBER  # ...and its cause has ours
