"""The pictures of slope.py and minimum.py: a curve, its slope, and descents on it.

They stay true if the curve has kinks, poles, jumps, plains, or places without a value.
"""

import math
import sys
import textwrap

import curves
import numpy as np

from microgd import grad, plots


def limits(function, span, marked, values=None):
    """The lowest and the highest y to show, of a function across the picture. None is Matplotlib's
    own choice, which shows all of it.

    Only near a pole, where values grow and grow, this would flatten everything else.
    """
    across = np.linspace(*span, 256)
    if values is None:
        values = curves.heights(function, across)
    sizes = np.where(np.isfinite(values), np.abs(values), 0.0)
    finite = [abs(y) for y in marked if math.isfinite(y)]
    most = 1.5 * max([np.percentile(sizes, 90), *finite])
    peak = sizes.argmax()
    closer = np.linspace(across[max(peak - 1, 0)], across[min(peak + 1, 255)], 201)
    around = np.abs(curves.heights(function, closer))
    is_constant = np.ptp(values[np.isfinite(values)]) == 0
    has_pole = np.nanmax(around) > 5 * max(most, np.nanmedian(around))
    if not is_constant and not has_pole:
        return None
    low = min(0.0, max(np.nanmin(values), -most))
    high = max(0.0, min(np.nanmax(values), most))
    room = 0.1 * (high - low) or 1.0
    return low - room, high + room


def end_without_values(f, span):
    """End the program if there is nothing to draw."""
    if np.isnan(curves.heights(f, np.linspace(*span, 201))).all():
        sys.exit(f"f has no value from {span[0]:g} to {span[1]:g}, so there is no picture")


def room_around(marked):
    """The lowest and the highest y to show, so that what is marked fills half of the picture."""
    finite = [y for y in marked if math.isfinite(y)]
    if not finite:
        return None
    room = 0.5 * (max(finite) - min(finite)) or 1.0
    return min(finite) - room, max(finite) + room


def by_kind(f, kinds):
    """The level points and kinks in groups, to draw them; `kinds` says of each what it is."""
    groups = {
        "level: a minimum": [],
        "level: a maximum": [],
        "level: neither": [],
        "no slope: a kink": [],
    }
    for x, kind in kinds.items():
        name = f"level: a {kind}"
        if curves.has_kink(f, x):
            name = "no slope: a kink"
        elif name not in groups:
            name = "level: neither"
        groups[name].append(x)
    return groups


def level_title(f, kinds, plains, low, high):
    """A title that says where the curve is level."""
    if len(plains) > 3:
        return f"f is level on {len(plains)} plains."
    if plains:
        stretches = [f"{start:z.2f} to {end:z.2f}" for start, end in plains]
        return f"f is level from x = {', and from '.join(stretches)}.".replace("-", "−")
    places = sorted(x for x in kinds if not curves.has_kink(f, x))
    if len(places) > 4:
        return f"f is level at {len(places)} points."
    if places:
        return f"f is level at x = {listed(places)}."
    return f"No point from {low} to {high} was found at which f is level.".replace("-", "−")


def listed(places):
    """Numbers as a text: 0.20 and 1.14."""
    texts = [f"{x:z.2f}".replace("-", "−") for x in places]
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def as_title(sentence):
    """The sentence as a title: in two lines if it is long."""
    return textwrap.fill(sentence, 90).replace("-", "−")


def axis_label(formula):
    """The label of the y axis, with the formula of the curve if there is one and it fits."""
    return f"f(x) = {formula}" if 0 < len(formula) < 30 else "f(x)"


def draw(on, f, span, groups, ylim, **labels):
    """Draw f with tangents at groups of points, as `plots.curve` does.

    What is far above or far below the picture is left out, because a line across a pole would join
    the two sides of it. Where f has no slope there is no tangent, so a group whose name begins with
    "no slope" is only marked.
    """

    def shown(x):
        y = f(x)
        if ylim is None:
            return y
        height = ylim[1] - ylim[0]
        is_near = ylim[0] - height < y < ylim[1] + height
        return y if is_near else math.nan * y

    tangents = {}
    for name, places in groups.items():
        if not name.startswith("no slope"):
            tangents[name] = places
        elif places:
            y = curves.heights(f, np.array(places))
            on.plot(places, y, "X", color=plots.ORANGE, markersize=9, zorder=3, label=name)
    plots.curve(shown, tangents, span=span, ax=on, ylim=ylim, **labels)


def draw_derivative(on, f, span):
    """Draw the derivative of f, shaded where it is above 0 and where it is below."""
    slope = grad(f)
    across = np.linspace(*span, 256)
    y = np.array([slope(x) for x in across.tolist()])
    y[np.isnan(curves.heights(f, across)) | np.isinf(y)] = np.nan
    on.axhline(0, color="black", linewidth=1)
    on.margins(y=0.15)
    for left, right in _unbroken(slope, across, y):
        on.plot(across[left:right], y[left:right], color="0.4")
    looks = {
        "above 0: f ascends": (y > 0, plots.BLUE, ""),
        "below 0: f descends": (y < 0, plots.VERMILION, "//"),
    }
    for label, (where, colour, hatch) in looks.items():
        if where.any():
            look = {"color": colour, "alpha": 0.3, "hatch": hatch, "label": label}
            on.fill_between(across, y, where=where, **look)
    if on.get_legend_handles_labels()[1]:
        on.legend()
    if np.isfinite(y).any():
        on.set_ylim(limits(slope, span, [], y))


def _unbroken(function, across, values):
    """The stretches, pairs (from, to), on which the function doesn't jump."""
    ends = [0]
    spread = np.ptp(values[np.isfinite(values)]) if np.isfinite(values).any() else 0.0
    for n in range(len(across) - 1):
        left, right = across[n : n + 2].tolist()
        change = abs(values[n + 1] - values[n])
        if not change > 0.02 * spread:
            continue
        while right - left > 1e-9:  # follow the half in which it changes more
            middle = (left + right) / 2
            first = abs(function(middle) - function(left))
            second = abs(function(right) - function(middle))
            left, right = (left, middle) if first > second else (middle, right)
        if abs(function(right) - function(left)) > 0.5 * change:
            ends.append(n + 1)
    ends.append(len(across))
    return [(ends[n], ends[n + 1]) for n in range(len(ends) - 1)]


def draw_starts(on, x, y):
    """Draw a ring around each start, which leaves visible what is there."""
    look = {"color": plots.PURPLE, "markerfacecolor": "none", "markeredgewidth": 2}
    on.plot(x, y, "o", markersize=12, **look)


def draw_paths(on, paths, steps):
    """Draw the first steps of each path as arrows from x to x, one below the other: downwards are
    the numbers of the steps.
    """
    look = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004, "headwidth": 5}
    for path in paths:
        finite = [x for x in path[: steps + 1] if math.isfinite(x)]
        x = np.clip(finite, -1e4, 1e4)
        step = np.arange(len(x))
        arrows = [x[:-1], step[:-1], np.diff(x), np.diff(step)]
        on.quiver(*arrows, color=plots.PURPLE, zorder=3, **look)
        draw_starts(on, x[0], step[0])
    on.set(ylim=(steps + 0.5, -0.7), yticks=range(0, steps + 1, 2), ylabel="step")


def draw_descents(f, kinds, paths, titles, formula):
    """Draw f with its level points, and below it the first ten steps of each descent.

    `kinds` says of each level point what it is. `paths` holds each x of a descent, by its start.
    """
    starts = np.array(list(paths))
    marked = [*kinds, *paths]
    span = (min(marked) - 0.35, max(marked) + 0.35)
    end_without_values(f, span)
    groups = by_kind(f, kinds)
    ylim = room_around([curves.value(f, x) for x in marked])
    figure, (above, below) = plots.panels(rows=2, height=7.5)
    draw(above, f, span, groups, ylim, title=titles[0], ylabel=axis_label(formula))
    draw_starts(above, starts, curves.heights(f, starts))
    above.lines[-1].set_label("start of a descent")
    above.legend()
    draw_paths(below, paths.values(), steps=10)
    below.set(title=titles[1], xlabel="x", xlim=span)
    mark_lines((above, below), groups)
    return figure


def mark_lines(axes, groups):
    """Draw a line down all these axes at each level point and kink."""
    colours = [plots.BLUE, plots.VERMILION, plots.GREEN, plots.ORANGE]
    for colour, places in zip(colours, groups.values(), strict=True):
        for x in places:
            for on in axes:
                on.axvline(x, color=colour, linestyle=":", zorder=0)


def write_slopes(on, f, points):
    """Write the slope beside each of these points. Return these texts, for `find_room`."""
    texts = []
    for x in points:
        slope = grad(f)(x)
        text = f"slope {slope:z.3g}".replace("-", "−").replace("inf", "∞")
        # on the side that the tangent leaves free
        side, far = ("right", -6) if slope > 0 else ("left", 6)
        place = (x, curves.value(f, x))
        texts.append(on.annotate(text, place, (far, 7), textcoords="offset points", ha=side))
    return texts


def find_room(figure, texts):
    """Move texts that were written beside points of this figure to where they are not over others,
    and not cut off. If need be, make room below.
    """
    figure.draw_without_rendering()  # now it is known how much room each text takes
    legends = [on.get_legend() for on in figure.axes]
    taken = [legend.get_window_extent() for legend in legends if legend is not None]

    def is_free(text):
        on, box = text.axes, text.get_window_extent()
        is_inside = box.x0 > on.bbox.x0 and box.x1 < on.bbox.x1 and box.y1 < on.bbox.y1 - 4
        return is_inside and not any(box.overlaps(other) for other in taken)

    for text in texts:
        far, up = text.get_position()
        sides = {far: text.get_horizontalalignment(), -far: "left" if far < 0 else "right"}
        positions = [(far, up), (-far, -14), (far, -14), (-far, up), (far, 2 * up + 8), (far, -28)]
        for position in positions:
            text.set(position=position, horizontalalignment=sides[position[0]])
            if is_free(text):
                break
        taken.append(text.get_window_extent())
        if text.get_window_extent().y0 < text.axes.bbox.y0:
            bottom, top = text.axes.get_ylim()
            text.axes.set_ylim(bottom - 0.1 * (top - bottom), top)


def draw_slopes(f, does, said, look_at, formula):
    """Draw a curve with its tangents and, below it, its derivative.

    `does` says what the curve does at each of the places to look at, and `said` is the sentence
    about one of them, `look_at`. `formula` is the curve's, or "".
    """
    places = list(does)
    span = (places[0] - 0.35, places[-1] + 0.4)
    end_without_values(f, span)
    groups = {
        "ascending: slope above 0": [x for x in places if does[x] == "ascends"],
        "descending: slope below 0": [x for x in places if does[x] == "descends"],
        "level: slope 0": [x for x in places if does[x] == "is level"],
        "no slope: a kink or a jump": [x for x in places if does[x] in ("has a kink", "jumps")],
    }
    figure, (above, below) = plots.panels(rows=2, height=7.0)
    heights = limits(f, span, [curves.value(f, x) for x in places])
    labels = {"title": as_title(said), "xlabel": "x", "ylabel": axis_label(formula)}
    draw(above, f, span, groups, heights, **labels)
    steep = [x for x in places if does[x] in ("ascends", "descends")]
    texts = write_slopes(above, f, steep)
    draw_derivative(below, f, span)
    title = "Where the derivative is above 0, f ascends. Where it is below 0, f descends."
    below.set(title=title, xlabel="x", ylabel="derivative of f, by grad(f)", xlim=span)
    if curves.has_slope(f, look_at):
        slope = grad(f)(look_at)
        below.plot(look_at, slope, "o", color="black")
        text = f"{slope:z.4g} at x = {look_at:g}".replace("-", "−")
        texts.append(below.annotate(text, (look_at, slope), (10, 4), textcoords="offset points"))
    find_room(figure, texts)
    return figure
