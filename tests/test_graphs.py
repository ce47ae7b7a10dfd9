"""Gradients of random graphs with shared nodes, against finite differences and a second method."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from microgd import Value, check_gradients, gradients, operations

SMOOTH = [
    operations.sin,
    operations.tanh,
    operations.sigmoid,
    operations.negative,
    lambda x: operations.exp(-x * x),
]
BINARY = [
    operations.add,
    operations.subtract,
    operations.multiply,
    lambda x, y: x / (2.0 + y * y),
    operations.logaddexp,
]
SHAPING = [
    lambda x: x.sum(axis=-1, keepdims=True) if x.shape else x,
    lambda x: x.mean() if x.shape else x,
    lambda x: x.reshape(-1)[::-1] if x.shape else x,
    lambda x: operations.softmax(x),
    lambda x: x[[0, 0]] if x.shape else operations.stack([x, x]),
    lambda x: operations.logsumexp(x),
]
LEAVES = [0.7, np.array([0.3, -0.8]), np.array([[0.5], [-0.2]])]


@st.composite
def recipes(draw):
    """Steps that use earlier values by number. A value may be used any number of times."""
    steps = []
    for position in range(len(LEAVES), len(LEAVES) + draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(["unary", "binary", "binary", "shape"]))
        functions = {"unary": SMOOTH, "binary": BINARY, "shape": SHAPING}[kind]
        operands = [draw(st.integers(0, position - 1)) for _ in range(2 if kind == "binary" else 1)]
        steps.append((draw(st.sampled_from(functions)), operands))
    return steps


def build(steps, leaves):
    """A number made of the last three values. Operands that do not broadcast are summed first."""
    values = list(leaves)
    for function, operands in steps:
        chosen = [values[i % len(values)] for i in operands]
        try:
            np.broadcast_shapes(*(v.shape for v in chosen))
        except ValueError:
            chosen = [v.sum() for v in chosen]
        result = function(*chosen)
        values.append(result if result.size <= 16 else result.mean())
    total = values[-1].sum()
    for value in values[-3:-1]:
        total = total + value.sum() * values[-1].mean()
    return total


@settings(max_examples=150, deadline=None, derandomize=True)
@given(recipes())
def test_gradients_of_both_orders_agree_with_finite_differences(steps):
    check_gradients(lambda *leaves: build(steps, leaves), *LEAVES, order=2)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(recipes())
def test_backward_and_gradients_with_and_without_a_graph_agree(steps):
    leaves = [Value(x) for x in LEAVES]
    out = build(steps, leaves)
    numbers, graph = gradients(out, leaves), gradients(out, leaves, create_graph=True)
    out.backward()
    for leaf, one, other in zip(leaves, numbers, graph, strict=True):
        np.testing.assert_allclose(other.data, one, rtol=1e-13, atol=1e-13)
        np.testing.assert_array_equal(np.zeros(leaf.shape) if leaf.grad is None else leaf.grad, one)
