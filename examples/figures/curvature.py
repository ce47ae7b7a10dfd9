"""The picture of curvature.py: how one step changes the loss, and how curved the loss is."""

import textwrap
from itertools import cycle

import numpy as np

from microgd import plots


def draw(shares, changes, curvatures, limit, left_title, right_title):
    """Left the changes of the loss over the rate, a line for each step of training that `changes`
    has, by its number; right the curvatures, also by the step, and their limit.

    The rates are given as shares of 2/λ.
    """
    figure, (left, right) = plots.panels(2, width=10.0, height=4.3)
    looks = zip(cycle(plots.COLOURS), cycle(["-", "--", ":", "-."]), strict=False)
    marker = "o" if len(shares) == 1 else None  # a single point makes no line
    for (step, change), (colour, line) in zip(changes.items(), looks, strict=False):
        scaled = np.array(change) / max(np.abs(change).max(), 1e-300)
        left.plot(shares, scaled, line, color=colour, marker=marker, label=f"at step {step}")
    left.axhline(0, color="black", linewidth=1)
    ylabel = "change of the loss by the step: below 0 it falls"
    ylabel += "\n(as a share of the largest change tried)"
    title = textwrap.fill(left_title, 50)
    left.set(title=title, xlabel="learning rate, as a multiple of 2/λ", ylabel=ylabel)
    left.legend()
    look = {"color": plots.BLUE, "label": "λ, measured"}
    right.plot(list(curvatures), list(curvatures.values()), "o-", **look)
    look = {"color": plots.VERMILION, "label": f"the limit, 2/rate = {limit:.3g}"}
    right.axhline(limit, linestyle="--", **look)
    right.set(title=right_title, xlabel="step", ylabel="largest curvature λ of the loss")
    right.set_ylim(0, 1.15 * max(*curvatures.values(), limit))
    right.legend()
    return figure
