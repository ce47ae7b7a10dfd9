"""Which way must a weight move, and is each step toward the minimum or away?

The weight is w1 of a line, mass = w1 · length + b, that says how heavy a penguin is, given the
length of its flipper. The bias b stays where it is.
"""

# %% The data: lengths are measured from their mean, in standard deviations (sd).
import math
import sys
from itertools import pairwise

import figures.bowls
import numpy as np
import program

from microgd import grad, nn, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--start", type=float, default=-0.6, help="the first w1 (default: %(default)s kg per sd)"
)
parser.add_argument(
    "--rates",
    type=program.rate_to_draw,
    nargs="+",
    default=[0.15, 0.8, 1.04],
    metavar="RATE",
    help="learning rates to compare (default: 0.15 0.8 1.04)",
)
parser.add_argument(
    "--steps", type=program.at_least(1), default=6, help="at each rate (default: %(default)s)"
)
options = program.options(parser)

table, _, _ = program.table(program.PENGUINS, ["flipper_length_mm", "body_mass_g"])
millimetres, grams = table.T
length = (millimetres - millimetres.mean()) / millimetres.std()
mass = grams / 1000  # in kg
B = mass.mean()


# %% The loss is a curve over w1, a bowl: there is only one minimum.
def loss(w1):
    """The mean squared error of the line, in kg²."""
    return nn.mse_loss(w1 * length + B, mass)


slope = grad(loss)
# Where the minimum is. The descent doesn't know; it serves to check what the slopes say.
MINIMUM = np.sum(length * (mass - B)) / np.sum(length**2)
if not abs(options.start) <= 1e6:
    sys.exit(f"--start should be between -1e6 and 1e6, but is {options.start:g}")


# %% Each step goes against the slope: where the loss rises to the right, w1 moves to the left.
def descend(w1, lr, steps):
    """The weights that are tried, one after the other; fewer if they run away."""
    tried = [w1]
    for _ in range(steps):
        if abs(slope(tried[-1])) > 1e6 * (abs(slope(w1)) + 1):
            break
        tried.append(tried[-1] - lr * slope(tried[-1]))
    return tried


# %% Toward the minimum or away? The slope alone tells: the nearer, the less steep.
# (In this bowl, a parabola, that is so on both sides. In a lopsided one, compare points on the same
# side.) A slope never becomes exactly 0, because numbers are rounded. So one that is a billionth of
# the masses' deviation counts as 0.
LEVEL = 1e-9 * mass.std()


def verdict(before, now):
    """What a step has done that found the slope `before`, and leads to where the slope is `now`."""
    if abs(now) <= LEVEL:
        return "arrived"
    if math.isclose(abs(before), abs(now), rel_tol=1e-9):
        return "stays as far"
    return "toward" if abs(now) < abs(before) else "away"


TRIED, VERDICTS = {}, {}
for lr in options.rates:
    TRIED[lr] = descend(options.start, lr, options.steps)
    slopes = [slope(w1) for w1 in TRIED[lr]]
    VERDICTS[lr] = ["start"]
    for before, now in pairwise(slopes):
        VERDICTS[lr].append(verdict(before, now))
    print(f"learning rate {lr:g}")
    print("  step  w1 (kg/sd)  loss (kg²)  slope (kg)  the minimum is  this step   its distance")
    for step, w1 in enumerate(TRIED[lr]):
        side = "on the right" if slopes[step] < 0 else "on the left"
        if abs(slopes[step]) <= LEVEL:
            side = "here"
        print(f"{step:6d} {w1:11.4g} {loss(w1):11.4g} {slopes[step]:11.3g}  {side:14s}", end="  ")
        print(f"{VERDICTS[lr][step]:12s} {abs(w1 - MINIMUM):11.3g}")
    print()

# %% The picture: a bowl for each rate, and its steps as arrows.
LEGEND = {
    "toward": "toward the minimum",
    "away": "away from it",
    "stays as far": "stays as far from it",
    "arrived": "to the minimum",
}
COLOURS = {
    "start": "black",
    "toward": plots.GREEN,
    "away": plots.VERMILION,
    "stays as far": plots.PURPLE,
    "arrived": plots.BLUE,
}
count = len(options.rates)
figure, axes = plots.panels(count, width=max(5.0, 3.3 * count), height=4.3)
for lr, on in zip(options.rates, axes, strict=True):
    said = list(dict.fromkeys(VERDICTS[lr][1:]))  # each of them once
    title = f"Learning rate {lr:g}: {', '.join(said)}"
    colours = [COLOURS[each] for each in VERDICTS[lr]]
    outside = figures.bowls.bowl(on, loss, MINIMUM, TRIED[lr], colours)
    if outside:
        title += f"\n(step {outside} leaves the picture)"
    on.set(title=title, xlabel="w1 (kg per sd of length)", ylabel="loss (kg²)")
    for each in said:
        on.plot([], [], color=COLOURS[each], label=LEGEND[each])
    on.legend(loc="upper center", title="each step goes")
program.save(figure, options.out / "one_weight.png")
