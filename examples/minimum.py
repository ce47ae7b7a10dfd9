"""Where is a curve level, and is that its lowest point?

The curve is f(x) = 3x³ − 6x² + 2x, as in slope.py. To see another, put another formula into f.
"""

# %% The curve, its slope, and the slope of the slope: how fast that changes.
import curves
import numpy as np
import program

from microgd import plots

options = program.options(program.parser(__doc__))
# Another curve may have places without a value. What is said below says so; no warning has to.
np.seterr(all="ignore")


def f(x):
    """The curve."""
    return 3 * x**3 - 6 * x**2 + 2 * x


curve = curves.Curve(f)

# %% Where the slope is 0, the curve is level: a maximum, or a minimum, says the second derivative.
LEVEL, NOWHERE = curve.levels()
KINDS = [curve.kind_of(x) for x in LEVEL]
if NOWHERE:
    starts = ", ".join(f"{start:g}" for start in NOWHERE)
    print(f"Newton's method finds no level point from x = {starts}.")
for x, kind in zip(LEVEL, KINDS, strict=True):
    here = f"At x = {x:z.4f} the slope is 0."
    bend = f"({curve.curvature(x):+.2f})"
    if curve.has_kink(x):
        left, right = curve.slope(x - 1e-8), curve.slope(x + 1e-8)
        print(f"At x = {x:z.4f} f has a kink: the slope jumps from {left:z.2f} to {right:z.2f}.")
    elif kind == "minimum":
        print(f"{here} There the slope grows, from below 0 to above: a bowl {bend}, a minimum.")
    elif kind == "maximum":
        print(f"{here} There the slope falls, from above 0 to below: a hill {bend}, a maximum.")
    elif kind == "terrace":
        side = "above" if curve.slope(x + 1e-4) > 0 else "below"
        print(f"{here} On both sides it is {side} 0: a terrace, no minimum and no maximum.")
    elif kind == "plain":
        print(f"{here} It stays 0 beside it: a plain.")
    else:
        print(f"{here} On one side f ends there.")

# %% A minimum may be local: only the lowest point nearby.
MINIMA = [x for x, kind in zip(LEVEL, KINDS, strict=True) if kind == "minimum"]
lowest = lower = None
if MINIMA:
    lowest = min(MINIMA, key=curve.value)
    here = f"f({lowest:z.3f}) = {curve.value(lowest):z.3f}"
    # go left, over the hill, until it is lower again
    side, lower = -1, curve.first_lower(lowest, -0.001)
    if lower is None:
        side, lower = 1, curve.first_lower(lowest, 0.001)
    if lower is None:
        print(f"\n{here}, and at 20,000 places within 10 of it f is nowhere lower.")
    elif curve.falls_without_end(side):
        where = "left" if side < 0 else "right"
        print(f"\n{here}, but {where} of x = {lower:.3f} f is lower still, and falls without end:")
        far = [side * distance for distance in (1, 10, 100)]
        print("   ".join(f"f({x}) = {curve.value(float(x)):,.10g}" for x in far))
    else:
        print(f"\n{here}, but at x = {lower:.3f} f is lower still.")
else:
    print("\nNewton's method has found no minimum.")

# %% Descent: a step against the slope, again and again.
STARTS = [-0.2, 0.1, 0.3, 1.0, 2.0]
PATHS = {start: curve.descend(start) for start in STARTS}
ENDS = [path[-1] for path in PATHS.values()]
depends = "Where it leads depends on where it starts:"
if max(ENDS) - min(ENDS) < 0.01:
    depends = "Here it leads to the same place from every start:"
print(f"\nDescent, a step against the slope again and again. {depends}")
for start, end in zip(STARTS, ENDS, strict=True):
    print(f"   from {start:4.1f} {curve.arrival(start, end)}")
print()

# %% The picture: the curve, where it is level, and two descents.
figure, [on] = plots.panels(height=4.8)
heights = curves.heights_of(curve)
SMOOTH = curves.smooth_levels(curve)
limits = curves.frame(f, heights, [curve.value(x) for x in (*SMOOTH, *STARTS[:4])])
LEVELS = {}
for x, kind in SMOOTH.items():
    LEVELS.setdefault(f"level: {'an' if kind == 'end' else 'a'} {kind}", []).append(x)
title = f"It is level at {curves.joined(SMOOTH)}" if SMOOTH else "No level point was found"
plots.curve(
    curves.drawn(curve, limits),
    LEVELS,
    span=curves.SPAN,
    ax=on,
    title=title.replace("-", "−"),
    xlabel="x",
    ylabel=curves.y_label(curve),
    ylim=limits,
)
for start, colour in ((STARTS[1], plots.GREEN), (STARTS[2], plots.PURPLE)):
    steps = [x for x in curve.descend(start, lr=0.1, steps=6) if not np.isnan(curve.value(x))]
    inside = [x for x in steps if curves.SPAN[0] < x < curves.SPAN[1]]
    program.arrows(on, [(x, curve.value(x)) for x in inside], [colour] * len(inside))
    on.plot([], [], color=colour, label=f"descent from {start:g}, step by step")
on.legend()
program.save(figure, options.out / "minimum.png")
