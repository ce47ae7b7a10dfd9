"""The ways to descend that race in baskets.py.

They are generators. Each `yield` is a step, and says what it cost: in examples looked at, and in
multiply-adds (a multiplication, and an addition to a sum) of matrix products.
"""

import numpy as np

from microgd import Value, data, gradients, nn, optim

FORWARD = 784 * 10  # multiply-adds for one example: each pixel times each weight


def all_weights(model, examples, lr, rng, batch):
    """A step for every mini-batch of this many examples, in a new order in each epoch.

    That is stochastic gradient descent or, if `batch` is all examples, plain gradient descent.
    """
    optimizer = optim.SGD(model.parameters(), lr=lr)
    while True:
        for a, b in data.minibatches(*examples, batch, rng):
            optimizer.zero_grad()
            nn.cross_entropy(model(a), b).backward()
            optimizer.step()
            yield len(a), 2 * len(a) * FORWARD  # for the loss, and as much again for the slopes


def some_weights(model, examples, lr, rng, pixels, times):
    """Block coordinate descent: this many steps for one block of weights, then another block.

    A block holds the weights from some of the pixels, at random, to all outputs.

    What all other weights contribute to the outputs is known from before, so only the block is
    computed, and a step is cheap in multiply-adds. (The ten biases stay as they are.)
    """
    x, y = examples
    outputs = model(x).data
    first = len(x) * FORWARD
    while True:
        block = rng.choice(784, pixels, replace=False)
        part = x[:, block]
        for _ in range(times):
            change = Value(np.zeros((10, pixels), np.float32))
            (slope,) = gradients(nn.cross_entropy(outputs + part @ change.T, y), [change])
            weights = model.weight.data
            weights[:, block] -= lr * slope
            model.weight.data = weights
            outputs = outputs - part @ (lr * slope).T
            yield len(x), first + 2 * len(x) * pixels * 10
            first = 0
