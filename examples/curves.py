"""Curves: what slope.py and minimum.py find out about any f(x), and slope.py's picture.

A curve that somebody puts in may have kinks, poles, plains, and places without a value.
"""

import math
import sys
from itertools import pairwise

import numpy as np
import program

from microgd import grad, plots, value_and_grad

SPAN = (-0.65, 1.9)  # of the pictures
NEWTON_STARTS = (-1.0, 0.0, 1.0, 2.0)


class Curve:
    """A function of a number, and what there is to say of its curve."""

    def __init__(self, f):
        self.f = f
        self.slope = grad(f)
        self.curvature = grad(self.slope)
        self.formula = program.formula(f)

    def value(self, x):
        """f at x; nan, not a number, where it has no value."""
        found, _ = value_and_grad(self.f)(x)
        return found if math.isfinite(found) else math.nan

    def jump(self, x, near):
        """By how much the slope changes from a little left of x to a little right of it."""
        return self.slope(x + near) - self.slope(x - near)

    def has_kink(self, x):
        """Whether the slope jumps at x.

        Then it changes as much between two places that are 10,000 times as near to each other.
        """
        return abs(self.jump(x, 1e-8)) > max(1e-6, 0.5 * abs(self.jump(x, 1e-4)))

    def way(self, x):
        """What f does at x."""
        if math.isnan(self.value(x)):
            return "has no value"
        if self.has_kink(x):
            return "has a kink"
        if self.slope(x) == 0:
            return "is level"
        return "ascends" if self.slope(x) > 0 else "descends"

    def level_from(self, x):
        """Go where a straight line with the curvature of this point would have slope 0, again and
        again: Newton's method.

        None if that does not lead to a place with slope 0. (Where the curvature is 0, the line has
        slope 0 nowhere.)
        """
        step = math.inf
        for _ in range(50):
            if self.slope(x) == 0:
                step = 0.0
                break
            if self.curvature(x) == 0:
                return None
            step = self.slope(x) / self.curvature(x)
            x -= step
            if not abs(x) <= 10:
                return None
        arrived = abs(step) < 1e-6 and math.isfinite(self.value(x))
        return x if arrived else None

    def kind_of(self, x):
        """What a level point is, by the signs of the slopes beside it.

        (The second derivative would not do: it may be 0 at a minimum, as that of x⁴ is.)
        """
        before, after = self.slope(x - 1e-4), self.slope(x + 1e-4)
        if before < 0 < after:
            return "minimum"
        if before > 0 > after:
            return "maximum"
        if math.isnan(before) or math.isnan(after):
            return "end"
        if before == 0 or after == 0:
            return "plain"
        return "terrace"

    def levels(self):
        """The level points that Newton's method finds, from left to right; and the starts from
        which it finds none.
        """
        found, nowhere = [], []
        for start in NEWTON_STARTS:
            x = self.level_from(start)
            if x is None:
                nowhere.append(start)
            elif not any(abs(x - other) < 1e-6 for other in found):
                found.append(x)
        return sorted(found), nowhere

    def first_lower(self, x, step):
        """The first place where f is lower than at x, in at most 10,000 such steps from there.

        None if there is none.
        """
        bound = self.value(x) - 1e-9 * max(1.0, abs(self.value(x)))  # as much is rounding
        return next(
            (x + n * step for n in range(1, 10_001) if self.value(x + n * step) < bound), None
        )

    def falls_without_end(self, side):
        """Whether f falls as much with each step to this side, −1 or 1, or more, where each is ten
        times as long as the last.
        """
        heights = np.array([self.value(side * 10.0**n) for n in range(13)])
        falls = heights[:-1] - heights[1:]
        if np.isnan(heights).any() or not falls[0] > 0:
            return False
        return all(later >= 0.999 * earlier for earlier, later in pairwise(falls[~np.isnan(falls)]))

    def descend(self, x, lr=0.05, steps=100):
        """The places of a descent: a step against the slope, again and again.

        It stops once it has fallen off the picture.
        """
        path = [x]
        for _ in range(steps):
            x = path[-1]
            if not abs(x) <= 10 or math.isnan(self.value(x)):
                break
            path.append(x - lr * self.slope(x))
        return path

    def arrival(self, start, end):
        """Where a descent has led, in words."""
        side = "left" if end < 0 else "right"
        is_far = abs(end) > 10
        if math.isnan(self.value(end)):
            return f"to {end:.4g}, where f has no value"
        falls = is_far and self.falls_without_end(-1 if end < 0 else 1)
        if falls and self.value(end) < self.value(start):
            return f"down the {side} side, without end"
        if is_far:
            return f"off to the {side}, to {end:.4g}"
        if abs(self.slope(end)) > 1e-3:
            return f"to {end:z.4f}, where the slope is still {self.slope(end):.2g}"
        return f"to {end:z.4f}"


# ── Pictures ────────────────────────────────────────────────────────────────────────────────────
ACROSS = np.linspace(*SPAN, 256)


def heights_of(curve):
    """The values of the curve across the picture; the program ends if there are none."""
    heights = np.array([curve.value(x) for x in ACROSS.tolist()])
    if np.isnan(heights).all():
        sys.exit(f"f has no value between {SPAN[0]} and {SPAN[1]}, so there is no picture")
    return heights


def frame(function, values, marked):
    """The lowest and the highest y to show, of these values across the picture. None is
    Matplotlib's own choice.

    That is all of them. Only near a pole, where values grow and grow, they would flatten everything
    else.
    """
    sizes = np.where(np.isfinite(values), np.abs(values), 0.0)
    most = 1.5 * max([np.percentile(sizes, 90), *(abs(y) for y in marked if math.isfinite(y))])
    peak = sizes.argmax()
    closer = np.linspace(ACROSS[max(peak - 1, 0)], ACROSS[min(peak + 1, len(ACROSS) - 1)], 1001)
    around = [abs(_finite(function, x)) for x in closer.tolist()]
    if np.ptp(values[np.isfinite(values)]) > 0 and not np.nanmax(around) > 5 * max(
        most, np.nanmedian(around)
    ):
        return None
    low, high = max(np.nanmin(values), -most), min(np.nanmax(values), most)
    low, high = min(low, 0.0), max(high, 0.0)
    room = 0.1 * (high - low) or 1.0
    return low - room, high + room


def _finite(function, x):
    found = function(x)
    return found if math.isfinite(found) else math.nan


def joined(places):
    """Numbers as a text."""
    *first, last = [f"{x:z.2f}" for x in places]
    return ", ".join(first) + (" and " if first else "") + last


def drawn(curve, limits):
    """The curve without what is far off the picture: a line across a pole would join both ends."""

    def shown(x):
        y = curve.f(x)
        near = limits is None or limits[0] - np.ptp(limits) < y < limits[1] + np.ptp(limits)
        return y if near else math.nan * y

    return shown


def smooth_levels(curve):
    """The level points without a kink, each with what it is."""
    return {x: curve.kind_of(x) for x in curve.levels()[0] if not curve.has_kink(x)}


def title_at_0(curve):
    """What there is to say of the slope at x = 0."""
    slope = curve.slope(0.0)
    if math.isnan(curve.value(0.0)):
        return "At x = 0 f has no value."
    if curve.has_kink(0.0):
        return "At x = 0 f has a kink."
    if slope == 0:
        return "At x = 0 the slope is 0."
    if math.isinf(slope):
        return "At x = 0 f is vertical."
    if slope > 0:
        return f"At x = 0 the slope is {slope:.4g}: f grows {slope:.4g} times as fast as x."
    return f"At x = 0 the slope is {slope:.4g}: f falls {-slope:.4g} times as fast as x grows."


def picture_of_slopes(curve, points):
    """The curve with its tangents above, its derivative below."""
    heights = heights_of(curve)
    d = np.array([curve.slope(x) for x in ACROSS.tolist()])
    d[np.isnan(heights) | np.isinf(d)] = np.nan
    figure, (above, below) = plots.panels(rows=2, height=7.0)
    texts = _draw_tangents(above, curve, points, heights)
    texts += _draw_derivative(below, curve, points, d)
    figure.draw_without_rendering()  # now it is known how much room each text takes
    for n, text in enumerate(texts):
        _make_room(text, texts[:n])
    return figure


def _draw_tangents(on, curve, points, heights):
    """The curve and its tangents; return the texts beside them."""
    ways = {x: curve.way(x) for x in points}
    smooth = smooth_levels(curve)
    inside = [x for x in (*points, *curve.levels()[0]) if SPAN[0] < x < SPAN[1]]
    kinks = sorted({x for x in inside if curve.way(x) == "has a kink"})
    tangents = {
        "ascending: slope above 0": [x for x in points if ways[x] == "ascends"],
        "descending: slope below 0": [x for x in points if ways[x] == "descends"],
    }
    for x, kind in smooth.items():
        if SPAN[0] < x < SPAN[1]:
            name = f"level: slope 0, {'an' if kind == 'end' else 'a'} {kind}"
            tangents[name] = [*tangents.get(name, []), x]
    title = title_at_0(curve)
    found = f"It is level at {joined(smooth)}" if smooth else "No level point was found"
    title += (" " if len(title + found) < 86 else "\n") + found
    limits = frame(curve.f, heights, [curve.value(x) for x in (*points, *smooth)])
    plots.curve(
        drawn(curve, limits),
        tangents,
        span=SPAN,
        ax=on,
        title=title.replace("-", "−"),
        xlabel="x",
        ylabel=y_label(curve),
        ylim=limits,
    )
    if kinks:
        values = [curve.value(x) for x in kinks]
        on.plot(kinks, values, "X", color=plots.ORANGE, label="kink: the slope jumps")
        on.legend()
    texts = []
    for x in points:  # beside the tangent, on the side that it leaves free
        if ways[x] in ("ascends", "descends"):
            side, far = ("right", -6) if curve.slope(x) > 0 else ("left", 6)
            text = f"slope {curve.slope(x):z.2f}".replace("-", "−").replace("inf", "∞")
            place = (x, curve.value(x))
            texts.append(on.annotate(text, place, (far, 7), textcoords="offset points", ha=side))
    return texts


def y_label(curve):
    """The name of the y axis: with the formula, if that is short."""
    return f"f(x) = {curve.formula}" if 0 < len(curve.formula) < 30 else "f(x)"


def _draw_derivative(on, curve, points, d):
    """The derivative, coloured by its sign; return the texts in it."""
    on.plot(ACROSS, d, color="0.4")
    on.axhline(0, color="black", linewidth=1)
    looks = {
        "above 0: f ascends": (d > 0, plots.BLUE, ""),
        "below 0: f descends": (d < 0, plots.VERMILION, "//"),
    }
    for label, (where, colour, hatch) in looks.items():
        if where.any():
            look = {"color": colour, "alpha": 0.3, "hatch": hatch, "label": label}
            on.fill_between(ACROSS, d, where=where, **look)
    smooth = smooth_levels(curve)
    title = "Its derivative: above 0 where f ascends"
    title += f", 0 at {joined(smooth)}" if smooth else ""
    sloping = [x for x in points if curve.way(x) in ("ascends", "descends")]
    on.set(title=title.replace("-", "−"), xlabel="x", xlim=SPAN)
    on.set(ylabel="derivative of f, by grad(f)")
    on.set(ylim=frame(curve.slope, d, [curve.slope(x) for x in sloping]))
    if on.get_legend_handles_labels()[1]:
        on.legend()
    slope = curve.slope(0.0)
    if 0.0 not in points or not math.isfinite(slope) or curve.way(0.0).startswith("has"):
        return []
    on.plot(0, slope, "o", color=plots.BLUE)
    text = f"{slope:z.4g} at x = 0".replace("-", "−")
    return [on.annotate(text, (0, slope), (10, 4), textcoords="offset points")]


def _collides(text, others):
    """Whether a text is over the upper edge of its axes, or over another text."""
    place = text.get_window_extent()
    is_over_the_edge = place.y1 > text.axes.bbox.y1 - 4
    return is_over_the_edge or any(place.overlaps(other.get_window_extent()) for other in others)


def _make_room(text, others):
    """Move a text to where it collides with none of the others."""
    far, up = text.get_position()
    sides = {far: text.get_horizontalalignment(), -far: "left" if far < 0 else "right"}
    for position in ((far, up), (-far, -14), (far, -14), (-far, up)):
        text.set(position=position, horizontalalignment=sides[position[0]])
        if not _collides(text, others):
            break
    if text.get_window_extent().y0 < text.axes.bbox.y0:
        bottom, top = text.axes.get_ylim()
        text.axes.set_ylim(bottom - 0.1 * (top - bottom), top)
