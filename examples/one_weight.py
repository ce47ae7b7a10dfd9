"""Which way must a weight move, and is each step toward the minimum or away?

The weight is w1 of a line, mass = w1 · length + b, that says how heavy a penguin is, given the
length of its flipper. The bias b stays where it is.
"""

# %% The data: lengths are measured from their mean, in standard deviations (sd).
import math
import sys
from itertools import pairwise

import curves
import figures.one_weight
import numpy as np
import program

from microgd import grad, nn

parser = program.parser(__doc__)
parser.add_argument("--start", type=float, default=-0.6, help="the first w1 (default: %(default)s)")
parser.add_argument(
    "--rates",
    type=program.rate_to_draw,
    nargs="+",
    default=[0.15, 0.8, 1.04],
    metavar="RATE",
    help="learning rates to compare (default: %(default)s)",
)
parser.add_argument(
    "--steps", type=program.at_least(1), default=6, help="at each rate (default: %(default)s)"
)
options = program.options(parser)

table, columns, _ = program.table(program.PENGUINS, ["flipper_length_mm", "body_mass_g"])
millimetres, grams = table.T
if not (millimetres.std() and grams.std()):
    sys.exit("a column has the same number in each row, and no line can be learned from that")
length = (millimetres - millimetres.mean()) / millimetres.std()
mass = grams / 1000  # in kg
B = mass.mean()
# The words for them, which stay true if you change the lines above.
(x_name, _), (_, unit) = map(program.name_and_unit, columns)
ratio = round(grams.std() / mass.std())
UNIT = {(1, unit): unit, (1000, "g"): "kg"}.get((ratio, unit)) or "units"
SD = "sd" if np.isclose(length.std(), 1) else "unit"


# %% The loss is a curve over w1, a bowl: there is only one minimum.
def loss(w1):
    """The mean squared error of the line, in LOSS_UNIT."""
    return nn.mse_loss(w1 * length + B, mass)


LOSS_UNIT = f"{UNIT}²"
slope = grad(loss)
if not abs(options.start) <= 1e6:
    sys.exit(f"--start should be between -1e6 and 1e6, but is {options.start:g}")
# In a bowl the slope grows from left to right: it is below 0 at first, and above 0 at last.
np.seterr(over="ignore", invalid="ignore")  # far out, a loss may be infinite
far = np.geomspace(1e-3, 1e7, 41)
slopes = np.array([slope(w1) for w1 in (*-far[::-1], *far)])
if not slopes[0] < 0 < slopes[-1] or np.any(np.diff(slopes) < -1e-9 * abs(slopes[1:])):
    sys.exit("this loss is no bowl with one minimum, so the slopes do not tell where that is")
# Where the minimum is. The descent doesn't know; it serves to check what the slopes say.
MINIMUM = curves.sign_change(slope, -1e7, 1e7)


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
# That is so in this bowl, a parabola. In a lopsided one it may mislead. So the program looks at the
# distances, too, which the descent doesn't know; where they disagree, the table says what they say.
# A slope never becomes exactly 0, because numbers are rounded. So a billionth of the masses'
# deviation counts as 0.
LEVEL = 1e-9 * mass.std()


def verdict(before, now, level=LEVEL):
    """What a step has done, by the slopes before and after it; or by the distances, to check it."""
    if abs(now) <= level:
        return "arrived"
    if math.isclose(abs(before), abs(now), rel_tol=1e-9):
        return "stays as far"
    return "toward" if abs(now) < abs(before) else "away"


TRIED, VERDICTS, MISLED = {}, {}, 0
for lr in options.rates:
    TRIED[lr] = descend(options.start, lr, options.steps)
    VERDICTS[lr] = ["start"]
    for before, now in pairwise(TRIED[lr]):
        by_slope = verdict(slope(before), slope(now))
        by_distance = verdict(before - MINIMUM, now - MINIMUM, level=0)
        VERDICTS[lr].append(by_slope if by_slope == "arrived" else by_distance)
        MISLED += by_slope != VERDICTS[lr][-1]
    print(f"learning rate {lr:g}\n  step  w1 ({UNIT}/{SD})  loss ({LOSS_UNIT})", end="       ")
    print("slope  the minimum is  this step   its distance")
    for step, w1 in enumerate(TRIED[lr]):
        side = "on the right" if slope(w1) < 0 else "on the left"
        if abs(slope(w1)) <= LEVEL:
            side = "here"
        print(f"{step:6d} {w1:11.4g} {loss(w1):11.4g} {slope(w1):11.3g}  {side:14s}", end="  ")
        print(f"{VERDICTS[lr][step]:12s} {abs(w1 - MINIMUM):11.3g}")
    print()
if MISLED:
    steps = program.counted(MISLED, "step")
    program.say(f"In {steps} the slopes alone would mislead: this bowl is no parabola.")

# %% The picture: a bowl for each rate, and its steps as arrows.
figure = figures.one_weight.draw(loss, MINIMUM, TRIED, VERDICTS)
for on in figure.axes:
    on.set(xlabel=f"w1 ({UNIT} per {SD} of {x_name.split()[-1]})", ylabel=f"loss ({LOSS_UNIT})")
program.save(figure, options.out / "one_weight.png")
