"""Helpers that look closely at a curve, for slope.py, minimum.py and one_weight.py.

They find out what it does, and say it; figures/curves.py draws it. The programs invite you to put
in another curve. It may have kinks like |x|, poles like 1 / x, jumps, plains, or places without a
value. The helpers notice them, so that what the programs say stays true.

A curve f is a function of one number, which `microgd.grad` can differentiate.
"""

import argparse
import math
from itertools import pairwise

import numpy as np
import program

from microgd import grad, value_and_grad

SIDES = {"left": -1.0, "right": 1.0}


def place(text):
    """The type of an option: an x at which to look."""
    try:
        x = float(text)
    except ValueError:
        x = math.nan
    if not abs(x) <= 10:
        raise argparse.ArgumentTypeError(f"must be a number from -10 to 10, but is {text}")
    return x


# What a curve does at a point


def value(f, x):
    """f(x); nan, not a number, where f has no value or an infinite one."""
    y, _ = value_and_grad(f)(x)
    return float(y) if math.isfinite(y) else math.nan


def is_continuous(f, x):
    """Whether f has a value at x, and doesn't jump there: close to x it comes close to f(x)."""
    here = value(f, x)
    if math.isnan(here):
        return False

    def change(distance):
        """How much f changes over this distance, to the left or to the right."""
        beside = [value(f, x - distance), value(f, x + distance)]
        changes = [abs(y - here) for y in beside if not math.isnan(y)]
        return max(changes, default=0.0)

    rounding = 1e-12 * max(abs(here), change(0.01))
    return change(1e-8) <= max(0.5 * change(1e-4), rounding)


def has_kink(f, x):
    """Whether the slope jumps at x: between two places that are very close to x it changes about as
    much as between two places that are less close. At a smooth point it would change less.
    """
    slope = grad(f)

    def change(distance):
        return abs(slope(x + distance) - slope(x - distance))

    if math.isnan(change(1e-8)):
        return False
    rounding = 1e-12 * np.nanmax([abs(slope(x - 0.01)), abs(slope(x + 0.01)), 0.0])
    is_large = change(1e-8) > rounding
    return is_large and not any(change(1e-8) < 0.5 * change(near) for near in (1e-6, 1e-4))


def what_it_does(f, x):
    """What f does at x: "ascends", "descends" or "is level"; or why nothing of that can be said."""
    slope = grad(f)
    if math.isnan(value(f, x)):
        return "has no value"
    if not is_continuous(f, x):
        return "jumps"
    if has_kink(f, x):
        return "has a kink"
    if math.isnan(slope(x)):
        return "has no slope"
    # Numbers are rounded: the slope may be 0 not at x, but less than a trillionth beside it.
    near = 1e-12 * max(1.0, abs(x))
    if slope(x) == 0 or slope(x - near) * slope(x + near) < 0:
        return "is level"
    return "ascends" if slope(x) > 0 else "descends"


def has_slope(f, x):
    """Whether f has a slope at x that is a number."""
    has_tangent = what_it_does(f, x) in ("ascends", "descends", "is level")
    return has_tangent and math.isfinite(grad(f)(x))


def in_a_sentence(f, x):
    """What f does at x, and how fast, as a sentence."""
    slope = grad(f)(x)
    does = what_it_does(f, x)
    if does == "has no value":
        return f"At x = {x:z.4g} f has no value."
    said = f"At x = {x:z.4g} the value of f is {value(f, x):z.4g}, and"
    if does == "has no slope":
        return f"{said} f has no slope there."
    if does not in ("ascends", "descends", "is level"):
        return f"{said} f {does} there, so it has no slope."
    if does == "is level":
        return f"{said} the slope is 0: f is level there."
    if math.isinf(slope):
        return f"{said} the slope is infinite: f {does} there, and is vertical."
    times = f"{abs(slope):.4g} times as fast as x".removeprefix("1 times ")
    if does == "ascends":
        return f"{said} the slope is {slope:.4g}: f ascends there, {times}."
    return f"{said} the slope is {slope:.4g}: f descends there, {times} grows."


def difference(f, on_paper, places):
    """The largest difference between grad(f) and the derivative on paper; whether it is more than
    rounding; and the number of places that were compared: those where both have a value. At a kink
    or a jump of f they may differ.
    """
    slope = grad(f)
    largest, is_more, compared = 0.0, False, 0
    for x in places:
        computed, written = slope(x), value(on_paper, x)
        if not math.isfinite(value(f, x) + computed + written):
            continue
        apart = abs(computed - written)
        differ = apart > 1e-6 * max(1.0, abs(computed))
        if differ and (has_kink(f, x) or not is_continuous(f, x)):
            continue  # no slope is the right one there
        compared += 1
        largest = max(largest, apart)
        is_more = is_more or differ
    return largest, is_more, compared


# Where a curve is level


def boundary(is_left, left, right):
    """Halve the interval until it cannot be halved any more; `is_left` holds at its left end, and
    not at its right end.
    """
    while True:
        middle = (left + right) / 2
        if middle in (left, right):
            return middle
        if is_left(middle):
            left = middle
        else:
            right = middle


def sign_change(function, left, right):
    """Where, between left and right, the function changes its sign."""
    sign = np.sign(function(left))
    x = boundary(lambda middle: np.sign(function(middle)) == sign, left, right)
    rounded = round(x, 9)
    return x if abs(function(rounded)) > abs(function(x)) else rounded


def signs(f, x):
    """What shows that f is level at x, or has a kink there, and what kind of point it is."""
    slope = grad(f)
    if has_kink(f, x):
        return f"a kink, the slope jumps from {slope(x - 1e-8):z.4g} to {slope(x + 1e-8):z.4g}"
    second = f"slope 0, second derivative {grad(slope)(x):z.4g}"
    if abs(grad(slope)(x)) > 1e-6:
        return second
    return f"{second}, so the slopes beside it decide"


def level_points(f, low, high):
    """Where f is level or has a kink at which the slope changes its sign, and where the plains are,
    each a pair (from, to): on a plain, the slope stays 0.

    The slope is computed at places 0.01 apart, so two level points that are closer to each other
    than that may be missed.
    """
    slope = grad(f)
    curvature = grad(slope)
    across = [round(x, 9) for x in np.linspace(low, high, round((high - low) * 100) + 1).tolist()]
    # At the tip of √|x| there is a value, but no slope: there, look a little further right.
    across = [x + 0.004 if math.isnan(slope(x)) else x for x in across]
    is_flat = [slope(x) == 0 and is_continuous(f, x) for x in across]
    points, plains = [], []
    for n, left in enumerate(across):
        is_last = n == len(across) - 1
        right = left if is_last else across[n + 1]
        goes_on = not is_last and is_flat[n + 1] and value(f, left) == value(f, right)
        came = n > 0 and is_flat[n - 1] and value(f, across[n - 1]) == value(f, left)
        if is_flat[n] and came:
            plains[-1][1] = left
        elif is_flat[n] and goes_on:
            plains.append([left, right])
        elif is_flat[n]:
            points.append(left)
        if is_last or is_flat[n] or is_flat[n + 1]:
            continue
        if slope(left) * slope(right) < 0:
            points.append(sign_change(slope, left, right))
        elif curvature(left) * curvature(right) < 0:
            # The slope turns here. It may just touch 0, as that of x³ does.
            turn = sign_change(curvature, left, right)
            if abs(slope(turn)) <= 1e-12 * max(abs(slope(left)), abs(slope(right))):
                points.append(turn)
    plains = [_whole(f, plain, low, high) for plain in plains]
    return [x for x in points if is_continuous(f, x)], plains


def _whole(f, plain, low, high):
    """The plain with its ends, which are between the places where the slope was computed."""
    slope = grad(f)
    start, end = plain
    height = value(f, start)

    def is_outside(x):
        return slope(x) != 0 or value(f, x) != height

    if start - 0.01 >= low:
        start = boundary(is_outside, start - 0.01, start)
    if end + 0.01 <= high:
        end = boundary(lambda x: not is_outside(x), end, end + 0.01)
    return start, end


def kind_by_the_slopes_beside(f, x):
    """What a level point or a kink is, by the signs of the slopes to its left and right."""
    before, after = grad(f)(x - 1e-4), grad(f)(x + 1e-4)
    if math.isnan(before) or math.isnan(after):
        return "end"
    if before < 0 < after:
        return "minimum"
    if before > 0 > after:
        return "maximum"
    if before * after > 0:
        return "terrace"
    return "plain" if before == after else "edge of a plain"


# How low a curve is elsewhere


def heights(f, places):
    """f at all these places, as an array."""
    return np.array([value(f, x) for x in places.tolist()])


def nearest_lower(f, x, places, values):
    """The nearest of the places at which f is lower than at x, by more than rounding; None if there
    is none. `values` holds f at the places.
    """
    beside = [abs(value(f, x + distance)) for distance in (-0.5, 0.0, 0.5)]
    is_lower = values < value(f, x) - 1e-12 * np.nanmax(beside)
    if not is_lower.any():
        return None
    lower = places[is_lower]
    return float(lower[np.abs(lower - x).argmin()])


def falls_without_end(f, side):
    """Whether f falls without end to this side, "left" or "right".

    That is so if f falls from x = 1 to x = 10, from there to x = 100 at least as much again, and so
    on to 10¹².
    """
    values = [value_and_grad(f)(SIDES[side] * 10.0**n)[0] for n in range(13)]
    if np.isnan(values).any():
        return False
    least = 0.0
    for before, after in pairwise(values):
        if before == after == -math.inf:
            continue  # both are too low for a number
        fall = before - after
        if not (fall > 0 and fall >= 0.999 * least):
            return False
        least = fall
    return True


def outcome(f, path, minima):
    """Where a descent leads: the place, and a text that says how.

    The path holds each x, from the start to the last one. The place is a minimum, or "plain", or
    "left" or "right" if f falls without end there, or None if the descent has arrived nowhere.
    """
    slope = grad(f)
    start, end = path[0], path[-1]
    if math.isnan(value(f, start)):
        return None, "f has no value there"
    if len(path) == 1:
        return None, f"no step was taken: the slope is {slope(start):z.4g} there"
    before = path[-2]
    steps = len(path) - 1
    after = f"after {steps:,} step{'s' * (steps > 1)}"
    if math.isnan(value(f, end)):
        return None, f"{after} it is at {end:z.4g}, where f has no finite value"
    side = "left" if end < 0 else "right"
    is_lower = value(f, end) < value(f, start)
    if abs(end) > 10 and is_lower and falls_without_end(f, side):
        return side, f"it goes down the {side} side, without end"
    if abs(end) > 100:
        height = "lower" if is_lower else "not lower"
        return None, f"{after} it has run away to {end:.4g}, where f is {height} than at the start"
    if abs(end - before) <= 1e-9 * max(1.0, abs(end)):
        stop = _stop(f, start, end, minima)
        if stop:
            return stop
    elif slope(end) * slope(before) < 0:
        pair = f"from {round(before, 9):z.4g} to {round(end, 9):z.4g}"
        crossed = [x for x in minima if min(before, end) <= x <= max(before, end)]
        across = f", across the minimum at {crossed[0]:z.4f}" if len(crossed) == 1 else ""
        return None, f"{after} it still jumps back and forth, {pair}{across}"
    return None, f"{after} it is at {end:z.4f}, where the slope is still {slope(end):.2g}"


def _stop(f, start, end, minima):
    """The outcome of a descent that no longer moves; None if it only moves very slowly."""
    kind = kind_by_the_slopes_beside(f, end)
    if kind == "minimum":
        known = [x for x in minima if abs(x - end) < 1e-3]
        return (known or [round(end, 3)])[0], f"it leads to the minimum at {end:z.4f}"
    if grad(f)(end) != 0:
        return None
    verb = "stays" if start == end else "stops"
    if what_it_does(f, end) != "is level":
        return None, f"it {verb} at {end:z.4f}, where f {what_it_does(f, end)}, but grad gives 0"
    place = "plain" if kind == "plain" else None
    what = program.with_article(kind)
    return place, f"it {verb} at {end:z.4f}, because the slope is 0 there: {what}"


def conclusion(outcomes):
    """Whether it depends on the start where a descent leads, as a sentence."""
    found = {place for place, _ in outcomes}
    if len(found - {None}) > 1:
        return "Where a descent leads depends on where it starts."
    if None in found:
        where = " or on a plain" if "plain" in found else ""
        return f"Not every descent has arrived at a minimum{where}."
    if found == {"plain"}:
        return "Every descent ends on a plain."
    if found <= set(SIDES):
        return "Every start leads the same way."
    return "Every start leads to the same minimum."
