"""A program that microgd wrote: neuron, and its backward pass."""

import math

import numpy as np


def neuron(x1, x2, w1, w2, b):
    n = x1 * w1 + x2 * w2 + b
    o = float(np.tanh(n))

    # Backward: d_NAME is d o / d NAME.
    d_o = 1.0

    # back through o = float(np.tanh(n))
    # The slope of tanh is 1 - tanh², which is sech². sech(x) is 2 / (exp(x) + exp(-x)).
    # It keeps the digits that 1 - tanh² loses where tanh is close to 1, and is computed
    # as 2 * exp(-|x|) / (exp(-|x|)² + 1), so that exp can't overflow.
    exp = math.exp(-abs(n))
    denominator = exp * exp + 1.0
    sech = exp * 2.0 / denominator
    d_n = d_o * sech * sech

    # back through n = x1 * w1 + x2 * w2 + b
    d_b = d_n
    d_x2 = d_n * w2
    d_w2 = d_n * x2
    d_x1 = d_n * w1
    d_w1 = d_n * x1

    return o, d_x1, d_x2, d_w1, d_w2, d_b
