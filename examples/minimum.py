"""Where is a curve level, and is that its lowest point?

The curve is f(x) = 3x³ − 6x² + 2x. To ask about another curve, edit what f returns: for example
x**4 - 3 * x**2 + x.
"""

# %% The curve, its slope, and the slope of its slope.
import math

import curves
import figures.curves
import numpy as np
import program

from microgd import grad

parser = program.parser(__doc__)
parser.add_argument(
    "--starts",
    type=curves.place,
    nargs="+",
    default=[-0.5, 0.0, 0.5, 1.5],
    metavar="X",
    help="where to start a descent (default: %(default)s)",
)
parser.add_argument(
    "--rate", type=program.rate, default=0.1, help="the learning rate (default: %(default)s)"
)
options = program.options(parser)
# A curve may have places without a value, as 1 / x has at 0. The program says so itself.
np.seterr(all="ignore")


def f(x):
    """The curve."""
    return 3 * x**3 - 6 * x**2 + 2 * x


slope = grad(f)
curvature = grad(slope)  # the second derivative: how fast the slope changes

# %% Where is the curve level? Where its slope is 0. The search walks along the curve. Where the
# slope changes its sign between two places, it halves the interval between them again and again.
starts = list(dict.fromkeys(options.starts))
LOW = min(-2, math.floor(min(starts)))
HIGH = max(2, math.ceil(max(starts)))
points, plains = curves.level_points(f, LOW, HIGH)


def kind(x):
    """What a level point is. The second derivative tells a minimum from a maximum: it says whether
    the slope grows there, from below 0 to above, or falls.
    """
    if curves.has_kink(f, x):
        return curves.kind_by_the_slopes_beside(f, x)
    if 1e-6 < curvature(x) < math.inf:
        return "minimum"
    if -math.inf < curvature(x) < -1e-6:
        return "maximum"
    # 0 decides nothing: x⁴ has a minimum where its second derivative is 0, and x³ has a terrace.
    return curves.kind_by_the_slopes_beside(f, x)


KINDS = {x: kind(x) for x in points}
for x in points:
    print(f"x = {x:z.4f}: {curves.signs(f, x)}: {program.with_article(KINDS[x])}")
for start, end in plains:
    print(f"x = {start:z.4f} to {end:z.4f}: slope 0 all the way: a plain")
if not points and not plains:
    print(f"From {LOW} to {HIGH} no level point was found.")
print()

# %% Is a minimum the lowest point? Only compared with what is near. Look further to both sides.
MINIMA = [x for x in points if KINDS[x] == "minimum"]
FAR = np.linspace(-10, 10, 2001).round(2)
heights = curves.heights(f, FAR)
LOWER = {x: curves.nearest_lower(f, x, FAR, heights) for x in MINIMA}
for x in MINIMA:
    print(f"f({x:z.4f}) = {curves.value(f, x):z.6g}", end="")
    if LOWER[x] is None:
        print(f", and f is lower at none of {len(FAR):,} points from {FAR[0]:g} to {FAR[-1]:g}.")
    else:
        lower = curves.value(f, LOWER[x])
        print(f", but f({LOWER[x]:z.2f}) = {lower:z.6g} is lower: the minimum is only local.")
if not MINIMA:
    print(f"No single point from {LOW} to {HIGH} was found to be a minimum.")
ENDLESS = [side for side in curves.SIDES if curves.falls_without_end(f, side)]
for side in ENDLESS:
    far = [curves.SIDES[side] * distance for distance in (1, 10, 100)]
    falls = ", ".join(f"f({x:g}) = {curves.value(f, x):,.7g}" for x in far)
    print(f"To the {side} f falls without end: {falls}")
print()


# %% Does a descent find the lowest point? Each step goes against the slope.
STEPS = 200  # at most


def descend(x):
    """Each x, from the start on. The descent ends early where f has no slope, or far away."""
    path = [x]
    for _ in range(STEPS):
        if abs(x) > 100 or not math.isfinite(slope(x) + curves.value(f, x)):
            break
        x = x - options.rate * slope(x)
        path.append(x)
    return path


PATHS = {x: descend(x) for x in starts}
OUTCOMES = {x: curves.outcome(f, PATHS[x], MINIMA) for x in starts}
print(f"Descent with learning rate {options.rate:g}.", curves.conclusion(OUTCOMES.values()))
for x, (_, text) in OUTCOMES.items():
    print(f"   from {x:4g}: {text}")
print()

# %% The picture: the curve with its level points above, the first steps of each descent below.
TITLES = (
    figures.curves.level_title(f, KINDS, plains, LOW, HIGH),
    f"Descent from each start: steps against the slope, learning rate {options.rate:g}",
)
figure = figures.curves.draw_descents(f, KINDS, PATHS, TITLES, program.formula(f))
program.save(figure, options.out / "minimum.png")
