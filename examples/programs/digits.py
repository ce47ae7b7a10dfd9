"""A program that microgd wrote: one step of training."""

import numpy as np


def step(
    x, y, weight_0, bias_0, weight_2, bias_2, velocity_weight_0, velocity_bias_0,
    velocity_weight_2, velocity_bias_2, lr,
):
    for array, shape, dtype in [
        (x, (32, 784), np.float32), (y, (32,), np.int64),
        (weight_0, (16, 784), np.float32), (bias_0, (16,), np.float32),
        (weight_2, (10, 16), np.float32), (bias_2, (10,), np.float32),
        (velocity_weight_0, (16, 784), np.float32), (velocity_bias_0, (16,), np.float32),
        (velocity_weight_2, (10, 16), np.float32), (velocity_bias_2, (10,), np.float32),
    ]:
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"expected shape {shape} of {dtype.__name__}, "
                f"but got shape {array.shape} of {array.dtype}"
            )

    # 0: Linear(784, 16)
    linear_0 = x @ weight_0.T  # (32, 784) @ (784, 16) -> (32, 16)
    linear_0 += bias_0

    # 1: ReLU()
    relu_1 = np.maximum(linear_0, 0.0)

    # 2: Linear(16, 10)
    logits = relu_1 @ weight_2.T  # (32, 16) @ (16, 10) -> (32, 10)
    logits += bias_2

    # cross_entropy: the mean over the examples of log(sum(exp(z))) - z[label], where z
    # are an example's logits. The derivative of log(sum(exp(z))) with respect to z[j] is
    # exp(z[j]) / sum(exp(z)), which is softmax(z)[j]. That of z[label] is 1 if j is the
    # label, and 0 elsewhere, which is called one-hot. So the slope is softmax - one-hot.
    # It is computed here already, for the way back.
    if y.min() < 0 or y.max() >= 10:
        raise ValueError("expected labels from 0 to 9")
    p = logits.T.copy()  # a column for each example: a few long rows add up faster
    # z less its largest, which cancels in the loss; exp can't overflow
    p -= p.max(axis=0)
    flat = p.ravel()  # the rows of p end to end, in p's own memory
    label_places = y * 32 + np.arange(32)  # where flat has p[label, i] of each example i
    label_logits = flat[label_places]  # a copy of z[label] of each example
    np.exp(p, out=p)  # now p is exp(z)
    sums = p.sum(axis=0)  # sum(exp(z)) of each example
    p /= sums  # now p is softmax(z)
    flat[label_places] -= 1.0  # in p's memory, so now p is softmax(z) - one-hot
    softmax_minus_one_hot = p.T  # a row for each example again
    loss = (np.log(sums) - label_logits).sum().item() / 32

    # Backward: d_NAME is d loss / d NAME.
    # It has the shape of NAME: a slope for each element.
    d_loss = 1.0

    # back through cross_entropy
    # In the mean of n examples, each has the factor 1 / n.
    d_logits = softmax_minus_one_hot * (d_loss * (1 / 32))

    # back through 2: Linear(16, 10)
    # A layer's out[i, j] is the sum over k of input[i, k] * weight[j, k], plus bias[j].
    # So d_input[i, k] is the sum over j of d_out[i, j] * weight[j, k], and d_weight[j, k]
    # is the sum over i of d_out[i, j] * input[i, k]: products of matrices. (input.T @
    # d_out).T is the same as d_out.T @ input, but lies in memory as the weight does.
    # d_bias[j] is the sum over i of d_out[i, j], which a product with ones adds up
    # faster.
    d_relu_1 = d_logits @ weight_2  # (32, 10) @ (10, 16) -> (32, 16)
    d_weight_2 = d_logits.T @ relu_1  # (10, 32) @ (32, 16) -> (10, 16)
    d_bias_2 = np.ones(32, np.float32) @ d_logits  # the sum of the 32 rows

    # back through 1: ReLU()
    # The slope of ReLU is 1 above 0, and 0 elsewhere.
    d_linear_0 = np.where(linear_0 <= 0, 0.0, d_relu_1)

    # back through 0: Linear(784, 16)
    d_weight_0 = (x.T @ d_linear_0).T  # (784, 32) @ (32, 16) -> (784, 16), then (16, 784)
    d_bias_0 = np.ones(32, np.float32) @ d_linear_0  # the sum of the 32 rows

    # update by SGD
    # Stochastic gradient descent: each step moves every parameter a little against its
    # gradient.
    #     v = momentum * v + g
    #     p = p - lr * v
    # Here p is weight_0, for example, and g is d_weight_0.
    # velocity_weight_0, for example, goes on into the next step.
    # lr becomes Python's float: NumPy's float64 would make float64 of weights.
    lr = float(lr)
    velocity_weight_0 = 0.9 * velocity_weight_0 + d_weight_0
    weight_0 = weight_0 - lr * velocity_weight_0
    velocity_bias_0 = 0.9 * velocity_bias_0 + d_bias_0
    bias_0 = bias_0 - lr * velocity_bias_0
    velocity_weight_2 = 0.9 * velocity_weight_2 + d_weight_2
    weight_2 = weight_2 - lr * velocity_weight_2
    velocity_bias_2 = 0.9 * velocity_bias_2 + d_bias_2
    bias_2 = bias_2 - lr * velocity_bias_2

    return (
        loss, weight_0, bias_0, weight_2, bias_2, velocity_weight_0, velocity_bias_0,
        velocity_weight_2, velocity_bias_2,
    )
