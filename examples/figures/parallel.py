"""The picture of parallel.py: the losses and the times of its runs."""

import numpy as np
import parallel_costs

from microgd import plots


def draw(runs, steps, cores):
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
    epochs, averaging = np.array([parallel_costs.times(run) for run in runs.values()]).T
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
