"""What does the derivative of a curve, a number at each point, say about the curve there?

The curve is f(x) = 3x³ − 6x² + 2x, until you put in another. On paper its derivative is
9x² − 12x + 2.
"""

# %% The curve, and its derivative by backpropagation: no formula of it is needed.
import math
import sys
from itertools import pairwise

import numpy as np
import program

from microgd import grad, plots, value_and_grad

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
# the slope of the slope: how fast that changes. To descend, the slope is enough.
curvature = grad(slope)


def value(function, x):
    """The function at x; nan, not a number, where it has no value."""
    found, _ = value_and_grad(function)(x)
    return found if math.isfinite(found) else math.nan


at = [
    x
    for x in np.linspace(-1, 2, 301).tolist()
    if math.isfinite(value(f, x) + slope(x) + value(on_paper, x))
]
error = max([abs(slope(x) - value(on_paper, x)) for x in at], default=math.nan)
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


def jump(x, near):
    """By how much the slope changes from a little left of x to a little right of it."""
    return slope(x + near) - slope(x - near)


def has_kink(x):
    """Whether the slope jumps at x: it changes as much between two places that are 10,000 times as
    near to each other.
    """
    return abs(jump(x, 1e-8)) > max(1e-6, 0.5 * abs(jump(x, 1e-4)))


def way(x):
    """What f does at x."""
    if math.isnan(value(f, x)):
        return "has no value"
    if has_kink(x):
        return "has a kink"
    if slope(x) == 0:
        return "is level"
    return "ascends" if slope(x) > 0 else "descends"


WAYS = {x: way(x) for x in POINTS}
print("                            change of f, divided by the step, if that is")
print("    x       f    slope           0.1        0.01       0.001")
for x in POINTS:
    if WAYS[x] == "has no value":
        print(f"{x:5.1f} {'':50s} {WAYS[x]}")
        continue
    rate = f"{'none':>8s}" if WAYS[x] == "has a kink" else f"{slope(x):z8.3f}"
    changes = [(value(f, x + step) - value(f, x)) / step for step in (0.1, 0.01, 0.001)]
    print(f"{x:5.1f} {value(f, x):z7.3f} {rate}", end=" ")
    print(f"{changes[0]:z13.3f} {changes[1]:z11.3f} {changes[2]:z11.3f}   {WAYS[x]}")
print()

# %% Where the slope is 0, the curve is level: a maximum, or a minimum, says the second derivative.


def level(x):
    """Go where a straight line with the curvature of this point would have slope 0, again and
    again: Newton's method.

    None if that does not lead to a place with slope 0: where the curvature is 0, the line never has
    slope 0.
    """
    step = math.inf
    for _ in range(50):
        if slope(x) == 0:
            step = 0.0
            break
        if curvature(x) == 0:
            return None
        step = slope(x) / curvature(x)
        x -= step
        if not abs(x) <= 10:
            return None
    arrived = abs(step) < 1e-6 and math.isfinite(value(f, x))
    return x if arrived else None


def kind_of(x):
    """What a level point is, by the signs of the slopes beside it. (The second derivative may be 0
    there, as that of x⁴.)
    """
    before, after = slope(x - 1e-4), slope(x + 1e-4)
    if before < 0 < after:
        return "minimum"
    if before > 0 > after:
        return "maximum"
    if math.isnan(before) or math.isnan(after):
        return "end"
    if before == 0 or after == 0:
        return "plain"
    return "terrace"


LEVEL, NOWHERE = [], []
for start in (-1.0, 0.0, 1.0, 2.0):
    found = level(start)
    if found is None:
        NOWHERE.append(f"{start:g}")
    elif not any(abs(found - other) < 1e-6 for other in LEVEL):
        LEVEL.append(found)
LEVEL.sort()
if NOWHERE:
    print(f"Newton's method finds no level point from x = {', '.join(NOWHERE)}.")
KINDS = [kind_of(x) for x in LEVEL]
for x, kind in zip(LEVEL, KINDS, strict=True):
    here = f"At x = {x:z.4f} the slope is 0."
    bend = f"({curvature(x):+.2f})"
    if has_kink(x):
        print(
            f"At x = {x:z.4f} f has a kink: the slope jumps from {slope(x - 1e-8):z.2f} to "
            f"{slope(x + 1e-8):z.2f}."
        )
    elif kind == "minimum":
        print(f"{here} There the slope grows, from below 0 to above: a bowl {bend}, a minimum.")
    elif kind == "maximum":
        print(f"{here} There the slope falls, from above 0 to below: a hill {bend}, a maximum.")
    elif kind == "terrace":
        side = "above" if slope(x + 1e-4) > 0 else "below"
        print(f"{here} On both sides it is {side} 0: a terrace, no minimum and no maximum.")
    elif kind == "plain":
        print(f"{here} It stays 0 beside it: a plain.")
    else:
        print(f"{here} On one side f ends there.")

# %% A minimum may be local: only the lowest point nearby.
MINIMA = [x for x, kind in zip(LEVEL, KINDS, strict=True) if kind == "minimum"]


def first_lower(x, step):
    """The first place where f is lower than at x, going on from x in such steps, at most 10,000;
    None if there is none.
    """
    bound = value(f, x) - 1e-9 * max(1.0, abs(value(f, x)))  # as much is rounding
    return next((x + n * step for n in range(1, 10_001) if value(f, x + n * step) < bound), None)


def falls_without_end(side):
    """Whether f falls as much with each step to this side, −1 or 1, or more, where each is ten
    times as long as the last.
    """
    heights = np.array([value_and_grad(f)(side * 10.0**n)[0] for n in range(13)])
    falls = heights[:-1] - heights[1:]
    if np.isnan(heights).any() or not falls[0] > 0:
        return False
    return all(later >= 0.999 * earlier for earlier, later in pairwise(falls[~np.isnan(falls)]))


ENDLESS = {"left": falls_without_end(-1), "right": falls_without_end(1)}
if MINIMA:
    lowest = min(MINIMA, key=lambda x: value(f, x))
    # go left, over the hill, until it is lower again
    side, lower = "left", first_lower(lowest, -0.001)
    if lower is None:
        side, lower = "right", first_lower(lowest, 0.001)
    here = f"f({lowest:z.3f}) = {value(f, lowest):z.3f}"
    if lower is None:
        print(f"\n{here}, and at 20,000 places within 10 of it f is nowhere lower.")
    elif ENDLESS[side]:
        print(f"\n{here}, but {side} of x = {lower:.3f} f is lower still, and falls without end:")
        far = [-1, -10, -100] if side == "left" else [1, 10, 100]
        print("   ".join(f"f({x}) = {value_and_grad(f)(float(x))[0]:,.10g}" for x in far))
    else:
        print(f"\n{here}, but at x = {lower:.3f} f is lower still.")
else:
    print("\nNewton's method has found no minimum.")


def descend(x, lr=0.05, steps=100):
    """Step against the slope, again and again; stop once it has fallen off the picture."""
    for _ in range(steps):
        if not abs(x) <= 10 or math.isnan(value(f, x)):
            break
        x -= lr * slope(x)
    return x


def arrival(start, end):
    """Where a descent has led, in words."""
    side = "left" if end < 0 else "right"
    if math.isnan(value(f, end)):
        return f"to {end:.4g}, where f has no value"
    if abs(end) > 10 and ENDLESS[side] and value(f, end) < value(f, start):
        return f"down the {side} side, without end"
    if abs(end) > 10:
        return f"off to the {side}, to {end:.4g}"
    if abs(slope(end)) > 1e-3:
        return f"to {end:z.4f}, where the slope is still {slope(end):.2g}"
    return f"to {end:z.4f}"


STARTS = [-0.2, 0.1, 0.3, 1.0, 2.0]
ENDS = [descend(x) for x in STARTS]
depends = "Where it leads depends on where it starts:"
if max(ENDS) - min(ENDS) < 0.01:
    depends = "Here it leads to the same place from every start:"
print(f"\nDescent, a step against the slope again and again. {depends}")
for start, end in zip(STARTS, ENDS, strict=True):
    print(f"   from {start:4.1f} {arrival(start, end)}")
print()

# %% The picture: the curve with its tangents above, the derivative below.
SPAN = (-0.65, 1.9)
across = np.linspace(*SPAN, 256)
heights = np.array([value(f, x) for x in across.tolist()])
d = np.array([slope(x) for x in across.tolist()])
d[np.isnan(heights) | np.isinf(d)] = np.nan
if np.isnan(heights).all():
    sys.exit(f"f has no value between {SPAN[0]} and {SPAN[1]}, so there is no picture")


def frame(function, values, marked):
    """The lowest and the highest y to show, of these values across the picture. None is
    Matplotlib's own choice.

    That is all of them. Only near a pole, where values grow and grow, they would flatten everything
    else.
    """
    sizes = np.where(np.isfinite(values), np.abs(values), 0.0)
    most = 1.5 * max([np.percentile(sizes, 90), *(abs(y) for y in marked if math.isfinite(y))])
    peak = sizes.argmax()
    closer = np.linspace(across[max(peak - 1, 0)], across[min(peak + 1, len(across) - 1)], 1001)
    around = [abs(value(function, x)) for x in closer.tolist()]
    if np.ptp(values[np.isfinite(values)]) > 0 and not np.nanmax(around) > 5 * max(
        most, np.nanmedian(around)
    ):
        return None
    low, high = max(np.nanmin(values), -most), min(np.nanmax(values), most)
    low, high = min(low, 0.0), max(high, 0.0)
    room = 0.1 * (high - low) or 1.0
    return low - room, high + room


def joined(places):
    """Numbers as a text."""
    *first, last = [f"{x:z.2f}" for x in places]
    return ", ".join(first) + (" and " if first else "") + last


figure, (above, below) = plots.panels(rows=2, height=7.0)
KINKS = sorted({x for x in (*POINTS, *LEVEL) if SPAN[0] < x < SPAN[1] and way(x) == "has a kink"})
SMOOTH = {x: kind for x, kind in zip(LEVEL, KINDS, strict=True) if not has_kink(x)}
TANGENTS = {
    "ascending: slope above 0": [x for x in POINTS if WAYS[x] == "ascends"],
    "descending: slope below 0": [x for x in POINTS if WAYS[x] == "descends"],
}
for x, kind in SMOOTH.items():
    if SPAN[0] < x < SPAN[1]:
        name = f"level: slope 0, {'an' if kind == 'end' else 'a'} {kind}"
        TANGENTS[name] = [*TANGENTS.get(name, []), x]
if math.isnan(value(f, 0.0)):
    title = "At x = 0 f has no value."
elif has_kink(0.0):
    title = "At x = 0 f has a kink."
elif slope(0.0) == 0:
    title = "At x = 0 the slope is 0."
elif math.isinf(slope(0.0)):
    title = "At x = 0 f is vertical."
elif slope(0.0) > 0:
    title = f"At x = 0 the slope is {slope(0.0):.4g}: f grows {slope(0.0):.4g} times as fast as x."
else:
    title = (
        f"At x = 0 the slope is {slope(0.0):.4g}: "
        f"f falls {-slope(0.0):.4g} times as fast as x grows."
    )
found = f"It is level at {joined(SMOOTH)}" if SMOOTH else "No level point was found"
title += (" " if len(title + found) < 86 else "\n") + found
FORMULA = program.formula(f)
limits = frame(f, heights, [value(f, x) for x in (*POINTS, *SMOOTH)])


def shown(x):
    """The curve; without the parts that are far off the picture, for a line across a pole would
    join them.
    """
    y = f(x)
    near = limits is None or limits[0] - np.ptp(limits) < y < limits[1] + np.ptp(limits)
    return y if near else math.nan * y


plots.curve(
    shown,
    TANGENTS,
    span=SPAN,
    ax=above,
    title=title.replace("-", "−"),
    xlabel="x",
    ylabel=f"f(x) = {FORMULA}" if 0 < len(FORMULA) < 30 else "f(x)",
    ylim=limits,
)
if KINKS:
    above.plot(
        KINKS, [value(f, x) for x in KINKS], "X", color=plots.ORANGE, label="kink: the slope jumps"
    )
    above.legend()
TEXTS = []
for x in POINTS:  # beside the tangent, on the side that it leaves free
    if WAYS[x] in ("ascends", "descends"):
        side, far = ("right", -6) if slope(x) > 0 else ("left", 6)
        text = f"slope {slope(x):z.2f}".replace("-", "−").replace("inf", "∞")
        TEXTS.append(
            above.annotate(text, (x, value(f, x)), (far, 7), textcoords="offset points", ha=side)
        )
below.plot(across, d, color="0.4")
below.axhline(0, color="black", linewidth=1)
looks = {
    "above 0: f ascends": (d > 0, plots.BLUE, ""),
    "below 0: f descends": (d < 0, plots.VERMILION, "//"),
}
for label, (where, colour, hatch) in looks.items():
    if where.any():
        below.fill_between(
            across, d, where=where, color=colour, alpha=0.3, hatch=hatch, label=label
        )
if WAYS.get(0.0) in ("ascends", "descends", "is level") and math.isfinite(slope(0.0)):
    below.plot(0, slope(0.0), "o", color=plots.BLUE)
    text = f"{slope(0.0):z.4g} at x = 0".replace("-", "−")
    TEXTS.append(below.annotate(text, (0, slope(0.0)), (10, 4), textcoords="offset points"))
title = "Its derivative: above 0 where f ascends" + (f", 0 at {joined(SMOOTH)}" if SMOOTH else "")
title = title.replace("-", "−")
below.set(title=title, xlabel="x", ylabel="derivative of f, by grad(f)", xlim=SPAN)
below.set(ylim=frame(slope, d, [slope(x) for x in POINTS if WAYS[x] in ("ascends", "descends")]))
if below.get_legend_handles_labels()[1]:
    below.legend()
figure.draw_without_rendering()  # now it is known how much room each text takes


def collides(text, others):
    """Whether it is over the upper edge of its axes, or over another text."""
    place = text.get_window_extent()
    over_the_edge = place.y1 > text.axes.bbox.y1 - 4
    return over_the_edge or any(place.overlaps(other.get_window_extent()) for other in others)


for n, text in enumerate(TEXTS):
    far, up = text.get_position()
    sides = {far: text.get_horizontalalignment(), -far: "left" if far < 0 else "right"}
    for position in ((far, up), (-far, -14), (far, -14), (-far, up)):
        text.set(position=position, horizontalalignment=sides[position[0]])
        if not collides(text, TEXTS[:n]):
            break
    if text.get_window_extent().y0 < text.axes.bbox.y0:  # make room below
        bottom, top = text.axes.get_ylim()
        text.axes.set_ylim(bottom - 0.1 * (top - bottom), top)
program.save(figure, options.out / "slope.png")
