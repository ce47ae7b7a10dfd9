"""What parallel.py found out about its runs: the times as a table."""

from typing import NamedTuple

import numpy as np

from microgd import nn


class Run(NamedTuple):
    """Training by some number of processes."""

    model: nn.Module
    losses: list  # one for each step
    seconds: list  # for each epoch: all of it, and what averaging took of that


def times(run):
    """The median seconds of an epoch, and those of averaging."""
    return np.median(run.seconds, axis=0)


def weights(run):
    """All weights and biases, as one vector."""
    return nn.parameters_to_vector(run.model.parameters())


def say_times(runs):
    """Print a line for each number of processes, the smallest first."""
    first = weights(next(iter(runs.values())))
    print("           seconds    of that              largest difference")
    print("processes  an epoch  averaging  last loss  from the first line's weights")
    for count, run in runs.items():
        epoch, averaging = times(run)
        apart = np.abs(weights(run) - first).max()
        print(f"{count:9d} {epoch:9.3f} {averaging / epoch:10.0%} {run.losses[-1]:10.6f}", end=" ")
        print(f"{apart:10.0e}")
