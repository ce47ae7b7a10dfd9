"""What the runs of parallel.py took: times, bytes and multiply-adds."""

from typing import NamedTuple

import numpy as np
import processes
import program

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
    print()
    print("           seconds    of that              largest difference")
    print("processes  an epoch  averaging  last loss  from the first line's weights")
    for count, run in runs.items():
        epoch, averaging = times(run)
        apart = np.abs(weights(run) - first).max()
        print(f"{count:9d} {epoch:9.3f} {averaging / epoch:10.0%} {run.losses[-1]:10.6f}", end=" ")
        print(f"{apart:10.0e}")


def say_work(model, examples, count, cores):
    """Print what each of so many processes sends and computes in a step on so many examples."""
    # Forward, each weight of a matrix is multiplied once an example. Backward it is once for its
    # own gradient and, behind the first layer, once more for the gradient of what comes in.
    first, *others = [p.size for p in model.parameters() if p.ndim == 2]
    products = examples * (2 * first + 3 * sum(others))
    kind = np.result_type(*(p.data for p in model.parameters()))
    sent = kind.itemsize * (sum(p.size for p in model.parameters()) + 1)  # gradients, and the loss
    print()
    program.say(
        f"In a step each process sends {sent:,} bytes, however many examples there are,",
        f"and computes {products / count:,.0f} multiply-adds. {processes.turns(cores, count)}",
    )
