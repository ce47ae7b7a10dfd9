"""What parallel.py found out about its runs: the times as a table, and the picture."""

from typing import NamedTuple

import numpy as np

from microgd import nn, plots


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


def picture(runs, steps, cores):
    """The losses, which lie on top of each other, and the times, which do not."""
    figure, (left, right) = plots.panels(2, width=10.0, height=4.2)
    width = 2 + 3 * len(runs)  # the lines become thinner, so that none hides those below it
    for colour, (count, run) in zip(plots.COLOURS, runs.items(), strict=False):
        width -= 3
        first = steps - len(run.losses) + 1  # later than 1, if a checkpoint had some
        where = range(first, steps + 1)
        left.plot(where, run.losses, color=colour, lw=width, label=name(count))
    title = f"The loss with {name(next(iter(runs)))}"
    if len(runs) > 1:
        losses = np.array([run.losses for run in runs.values()])
        is_same = np.allclose(losses, losses[0], rtol=0.01, atol=1e-3)
        what = "The loss is the same" if is_same else "The losses differ"
        title = f"{what} with {' or '.join(map(str, runs))} at each step"
    left.set(title=title, xlabel="step", ylabel="loss (nats)")
    left.legend()
    labels = [str(count) for count in runs]
    epochs, averaging = np.array([times(run) for run in runs.values()]).T
    right.bar(labels, epochs - averaging, color=plots.BLUE, label="computing")
    look = {"color": plots.ORANGE, "hatch": "//", "label": "averaging: copying, sending, waiting"}
    right.bar(labels, averaging, bottom=epochs - averaging, **look)
    title = f"Time of an epoch, with {cores} core{'s' if cores > 1 else ''}"
    right.set(title=title, ylabel="seconds an epoch", xlabel="processes")
    right.set_ylim(0, 1.3 * max(epochs))  # the legend has room above the bars
    right.legend(loc="upper left")
    return figure


def name(count):
    """The number of processes, in words."""
    return "1 process" if count == 1 else f"{count} processes"
