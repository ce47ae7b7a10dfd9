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
    linear_0 = x @ weight_0.T
    linear_0 += bias_0

    # 1: ReLU()
    relu_1 = np.maximum(linear_0, 0.0)

    # 2: Linear(16, 10)
    logits = relu_1 @ weight_2.T
    logits += bias_2

    # cross_entropy: the mean of log(sum(exp(logits))) - logits[label]. Its derivative,
    # softmax less 1 at the label, is prepared here, too. A column of p is an example.
    # Without its largest logit exp can't overflow, and the loss is the same. flat is a view
    # of p.
    if y.min() < 0 or y.max() >= 10:
        raise ValueError("expected labels from 0 to 9")
    p = logits.T.copy()
    p -= p.max(axis=0)
    flat = p.ravel()
    label_places = y * 32 + np.arange(32)
    label_logits = flat[label_places]
    np.exp(p, out=p)
    sums = p.sum(axis=0)
    p /= sums
    flat[label_places] -= 1.0
    softmax_minus_one_hot = p.T
    loss = (np.log(sums) - label_logits).sum().item() / 32

    # Backward: d_NAME is d loss / d NAME.
    d_loss = 1.0

    # back through cross_entropy
    d_logits = softmax_minus_one_hot * (d_loss * (1 / 32))

    # back through 2: Linear(16, 10)
    d_relu_1 = d_logits @ weight_2
    d_weight_2 = d_logits.T @ relu_1
    d_bias_2 = np.ones(32, np.float32) @ d_logits

    # back through 1: ReLU()
    d_linear_0 = np.where(linear_0 <= 0, 0.0, d_relu_1)

    # back through 0: Linear(784, 16)
    d_weight_0 = (x.T @ d_linear_0).T
    d_bias_0 = np.ones(32, np.float32) @ d_linear_0

    # update
    # (A float64 of NumPy's would make float64 of the weights.)
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
