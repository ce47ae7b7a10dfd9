"""The picture of line.py: a line on its way through the points, and how the loss falls."""

import math

import numpy as np

from microgd import plots


def draw(x, y, heights, runs, lowest, tolerance):
    """The points (x, y), and lines through them; and losses.

    `heights` holds, for each step, the heights of its line at x; some of these are shown. `runs`
    holds losses by learning rate; a star marks where they change by at most the tolerance.
    """
    figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
    left.plot(x, y, ".", color="0.75", zorder=0)
    ends = [x.argmin(), x.argmax()]
    last = len(heights) - 1
    labelled = [math.inf]
    for step in [last, *(each for each in (0, 1, 2, 5, 10, 20) if each < last)]:
        end = heights[step][ends[1]]
        if min(abs(end - other) for other in labelled) > 0.06 * abs(y).max():
            labelled.append(end)
            left.plot(x[ends], heights[step][ends], color=plots.BLUE, linewidth=2)
            left.annotate(f" step {step}", (x.max(), end), va="center")
    left.set_xlim(x.min() - 0.05 * np.ptp(x), x.max() + 0.25 * np.ptp(x))

    named = {f"learning rate {lr:g}": losses for lr, losses in runs.items()}
    plots.losses(named, tolerance=tolerance, ax=right, xlabel="step")
    right.axhline(lowest, color="0.5", linestyle=":", zorder=0)
    right.annotate("the smallest loss of a line", (0, 0.8 * lowest), va="top", color="0.4")
    ratio = right.get_ylim()[1] / lowest
    right.set_ylim(bottom=lowest * min(0.5, ratio**-0.1))  # room for the words below the line
    return figure


def where_it_stops(ends):
    """The title of the losses: how large they are where they hardly change, as multiples of the
    smallest.
    """
    if not ends:
        return "No loss stops changing"
    larger = [f"{end:.3g}" for end in ends if round(end, 2) > 1]
    said = [] if len(larger) == len(ends) else ["the smallest"]
    if larger:
        said.append(f"{' or '.join(dict.fromkeys(larger))} times the smallest")
    return f"A loss that hardly changes may be\n{', or '.join(said)}"
