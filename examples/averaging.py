"""One gradient out of those of several processes, for a training loop of your own with MPI."""

import numpy as np


def average(group, parameters, loss, share):
    """Make each gradient the mean over the whole mini-batch, and return the mean of the loss.

    Each process of the group calls this after `backward()` on its part of the mini-batch. `share`
    says how large the part is, from 0 to 1; the shares of all processes add up to 1. It is one
    message for all gradients, since many short messages would take longer.
    """
    kind = np.result_type(*(p.data for p in parameters))
    pieces = [np.zeros(p.size) if p.grad is None else np.ravel(p.grad) for p in parameters]
    mine = share * np.concatenate([*pieces, [loss]]).astype(kind)
    total = np.empty_like(mine)
    group.Allreduce(mine, total)  # the sum over all processes; each of them gets it
    start = 0
    for p in parameters:
        p.grad = total[start : start + p.size].reshape(p.shape)
        start += p.size
    return total[-1]
