"""The ways to descend that race in baskets.py.

They are generators. Each `yield` is a step, and says what it cost: in examples looked at, and in
multiply-adds (a multiplication, and an addition to a sum) of matrix products.
"""

import os
import sys

# On a busy machine, several threads of a matrix product wait for each other longer than it takes.
# NumPy reads this when it is imported, so it has to be there before.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

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


def record(steps, loss, goal, most, every):
    """Rows of examples looked at, multiply-adds, and the loss, until the goal or at most so many
    examples. A loss of 100 is the end, too.

    `steps` is one of the ways above. `loss()` is the loss over all examples. That takes longer than
    a step of SGD, so it is computed only when this many more examples have been looked at.
    """
    history = [(0, 0, loss())]
    visits = work = 0
    for examples, multiply_adds in steps:
        visits += examples
        work += multiply_adds
        if visits - history[-1][0] < every:
            continue
        history.append((visits, work, loss()))
        if history[-1][2] <= goal or visits >= most or not history[-1][2] < 100:
            break
    return np.array(history)


def check(model, examples, batch, pixels, steps, rates):
    """End the program if a setting will not do. `examples` is how many there are, and `steps` the
    fewest with one block.
    """
    if not isinstance(model, nn.Linear) or model.weight.shape != (10, 784):
        sys.exit("the network must be nn.Linear(784, 10): the ways in descents.py are made for it")
    if not 1 <= batch <= examples or not 1 <= pixels <= 784 or steps < 1:
        sys.exit(f"BATCH must be 1 to {examples:,}, PIXELS 1 to 784, and TIMES and LONG 1 or more")
    if min(rates, default=1.0) <= 0:
        sys.exit("RATES must be above 0")
