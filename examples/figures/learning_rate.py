"""The pictures of learning_rate.py: how many steps a descent takes at each learning rate, and a few
steps at some rates. And their words: names, units and numbers of steps.
"""

import sys

import numpy as np
import program

import figures.bowls
from microgd import plots


class Words:
    """What the columns of a table are called, and their units, as a reader has changed them.

    The first column has become the features of `bowls`, by name, and the second one `target`.
    """

    def __init__(self, columns, table, bowls, target):
        self.x, self.y = (program.name_and_unit(column)[0] for column in columns)
        self.units = {
            name: unit(columns[0], table[:, 0], feature) for name, feature in bowls.items()
        }
        self.y_unit = unit(columns[1], table[:, 1], target)
        self.loss = f"loss ({self.y_unit}²)"
        self.bowls = bowls
        if len(bowls) < 2:
            sys.exit("BOWLS should be two or more, to compare")

    def of(self, name):
        """What the feature of a bowl is: length in cm."""
        return f"{self.x.split()[-1]} in {self.units[name]}"

    def w(self, name):
        """The label for a weight of a bowl."""
        return f"w ({self.y_unit} per {self.units[name]})"

    def page(self, *names):
        """What the page needs to know of these bowls, except for the target."""
        features = {name: self.bowls[name] for name in names}
        words = {"x": self.x, "y": self.y, "y_unit": self.y_unit}
        return {"features": features, "units": self.units, **words}


def unit(column, before, numbers):
    """The unit of the numbers that a column was turned into: cm, if mm were divided by 10."""
    name, measured = program.name_and_unit(column)
    divided_by = np.ptp(before) / np.ptp(numbers)
    if np.isclose(divided_by, 1):
        return measured or name
    large = f"{divided_by:.4g} {measured or name}"
    return {"10 mm": "cm", "1000 mm": "m", "1000 g": "kg"}.get(large, large)


def neighbours(name, rates, steps, most):
    """The largest rate that arrives in at most so many steps, and the smallest above it that
    diverges, where the number of steps is infinite. If there are none, end the program.
    """
    tried = list(zip(rates, steps, strict=True))
    good = max((lr for lr, count in tried if lr > 0 and np.isfinite(count)), default=0)
    bad = min((lr for lr, count in tried if lr > good and np.isinf(count)), default=0)
    if not good or not bad:
        what = "diverges" if good else f"arrives in {program.counted(most, 'step')}"
        sys.exit(f"{name} bowl: none of the rates from {min(rates):g} to {max(rates):g} {what}")
    return good, bad


def some(rates, steps):
    """Up to three of the rates that arrive, and their numbers of steps, in words."""
    arrive = [(lr, count) for lr, count in zip(rates, steps, strict=True) if np.isfinite(count)]
    shown = arrive[:: len(arrive) // 2 or 1]
    return ", ".join(f"{count} at rate {lr:.2g}" for lr, count in shown)


def draw_zones(rates, steps, curvatures, words, most, near):
    """Draw the numbers of steps over the rates, for each bowl by its name: infinity for a descent
    that diverges, nan for one that takes more steps than the most. `near` says where they lead.
    """
    figure, [on] = plots.panels(height=4.8, xscale="log", yscale="log", xlabel="learning rate")
    for name, colour, marker in zip(steps, plots.COLOURS, ".s^v+x", strict=False):
        numbers = np.nan_to_num(steps[name], nan=3 * most, posinf=6 * most)
        look = {"color": colour, "label": f"{name} bowl ({words.of(name)})"}
        on.plot(rates, numbers, marker, fillstyle="none", **look)
        limit = 2 / curvatures[name]
        on.axvline(limit, ls="--", color=colour, label=f"2/λ = {limit:.3g}, predicted end")
    ticks = {10**n: 10**n for n in range(12) if 10**n < most / 2}
    ticks |= {most: most, 3 * most: f"more than {most}", 6 * most: "diverges"}
    on.set_yticks(list(ticks), ticks.values())
    on.set(ylim=(0.8, 10 * most), ylabel=f"steps to {near}")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def how_far(path, minimum):
    """How far a path has come, in words. If it begins at the minimum, end the program."""
    first, last = abs(path[0] - minimum), abs(path[-1] - minimum)
    if first < 1e-9 * abs(minimum):
        sys.exit(f"START is the lowest point, {minimum:g}, so there are no steps: try another")
    steps = program.counted(len(path) - 1, "step")
    return f"after {steps} the distance is {last / first:.2g} times the first"


def draw_paths(loss, minimum, paths, xlabel, ylabel):
    """Draw the steps of each path as arrows on the loss, with its name as the title."""
    count = len(paths)
    figure, axes = plots.panels(count, width=max(5.0, 3.3 * count), height=4.0)
    for (name, path), on in zip(paths.items(), axes, strict=True):
        title = f"{name}\n({how_far(path, minimum)})".replace(" is ", " is\n")
        figures.bowls.bowl(on, loss, minimum, path, [plots.BLUE] * len(path), title=title)
        on.set(xlabel=xlabel, ylabel=ylabel)
    return figure
