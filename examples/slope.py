"""What does the derivative of a curve, a number at each point, say about the curve there?

The curve is f(x) = 3x³ − 6x² + 2x, and on paper its derivative is 9x² − 12x + 2. To see another
curve, put another formula into f, and its derivative into on_paper.
"""

# %% The curve, and its derivative by backpropagation: no formula of it is needed.
import math

import curves
import numpy as np
import program

from microgd import grad

options = program.options(program.parser(__doc__))
# Another curve may have places without a value, as 1 / x has at 0. What is said below says so; no
# warning has to.
np.seterr(all="ignore")


def f(x):
    """The curve."""
    return 3 * x**3 - 6 * x**2 + 2 * x


def on_paper(x):
    """The derivative of f on paper, to compare: only for that."""
    return 9 * x**2 - 12 * x + 2


slope = grad(f)
curve = curves.Curve(f)

# %% grad(f) and paper, compared at 301 places
at = []
differences = []
for x in np.linspace(-1, 2, 301).tolist():
    paper = curves.Curve(on_paper).value(x)
    if math.isfinite(curve.value(x) + slope(x) + paper):
        at.append(x)
        differences.append(abs(slope(x) - paper))
error = max(differences, default=math.nan)
PAPER = program.formula(on_paper) or "on_paper"
if not at:
    program.say(f"Nowhere between −1 and 2 have grad(f) and {PAPER} both a value, to compare.")
elif error < 1e-6 * max(1.0, *(abs(slope(x)) for x in at)):
    program.say(f"grad(f) and {PAPER} differ by at most {error:.0e} between −1 and 2.")
else:
    program.say(
        f"grad(f) and {PAPER} differ by up to {error:.2g} between −1 and 2: on_paper is not the",
        "derivative of f. (If you have put in another f, put its derivative into on_paper.)",
    )

# %% The sign of the derivative says whether f ascends or descends to the right;
# its size, how steeply. Of 3x³ − 6x² + 2x it is 2 at x = 0. That is not the value of f, which is 0
# there: it is how fast f grows there. A small step to the right changes f by nearly the step times
# the slope; the smaller the step, the more nearly.
POINTS = [-0.3, 0.0, 0.5, 0.8, 1.5]
STEPS = [0.1, 0.01, 0.001]
WAYS = {x: curve.way(x) for x in POINTS}
print("                            change of f, divided by the step, if that is")
print("    x       f    slope           0.1        0.01       0.001")
for x in POINTS:
    if WAYS[x] == "has no value":
        print(f"{x:5.1f} {'':50s} {WAYS[x]}")
        continue
    steepness = f"{'none':>8s}" if WAYS[x] == "has a kink" else f"{slope(x):z8.3f}"
    print(f"{x:5.1f} {curve.value(x):z7.3f} {steepness}", end="   ")
    for step in STEPS:
        change = (curve.value(x + step) - curve.value(x)) / step
        print(f"{change:z11.3f}", end=" ")
    print(f"  {WAYS[x]}")
print()

# %% The picture: the curve with its tangents above, the derivative below.
program.save(curves.picture_of_slopes(curve, POINTS), options.out / "slope.png")
