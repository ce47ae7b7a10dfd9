"""Steps as numbered arrows, on a bowl or on a map of the loss."""

import numpy as np

from microgd import plots


def arrows(on, points, colours):
    """Join the points, (n, 2), by arrows on these axes, and number the points from 0.

    There is a colour for each point: its own, and that of the arrow to it. Set the limits of the
    axes before.
    """
    points = np.asarray(points, float)
    steps = np.diff(points, axis=0)
    look = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.008, "headwidth": 4}
    on.quiver(*points[:-1].T, *steps.T, color=list(colours[1:]), **look)
    on.scatter(*points.T, color=list(colours), s=24, zorder=3)
    number(on, points)


def number(on, points, gap=0.06):
    """Number the points, (n, 2), from 0. The last ones have one number, such as 4–6, if they are
    close together. Of the others, those too close to a number have none.

    `gap` is how far numbers must be apart, as a share of the picture's width or height.
    """
    points = np.asarray(points, float)
    size = np.array([np.ptp(on.get_xlim()), np.ptp(on.get_ylim())])
    box = {"boxstyle": "round,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.7}
    look = {"textcoords": "offset points", "annotation_clip": True, "bbox": box}
    last = len(points) - 1
    is_far = np.linalg.norm((points - points[last]) / size, axis=1) >= gap
    first = np.flatnonzero(is_far).max(initial=-1) + 1  # from here on, all are close to the last
    text = f"{first}–{last}" if first < last else last
    on.annotate(text, points[last], (0, -7), ha="center", va="top", **look)
    # This is below its point, and the others are above theirs. So a point here is too close to it.
    numbered = [points[last] - [0.04, 0.09] * size]
    for n, point in enumerate(points[:first]):
        if all(np.linalg.norm((point - other) / size) >= gap for other in numbered):
            numbered.append(point)
            on.annotate(n, point, (5, 5), **look)


def bowl(on, loss, minimum, tried, colours, **labels):
    """Draw the loss over one weight around its minimum, and the weights that were tried one after
    the other, joined by arrows.

    A step to more than 30 times the first distance leaves the picture. Return the number of the
    first such step, or None.
    """
    distances = np.abs(np.array(tried) - minimum)
    is_near = distances <= max(30 * distances[0], 1e-9)
    reach = 1.3 * distances[is_near].max()
    if reach < 1e-9:
        reach = 1.0
    span = (minimum - reach, minimum + reach)
    top = 1.1 * max(loss(end) for end in span)
    plots.curve(loss, [], span=span, ax=on, ylim=(-0.05 * top, top), **labels)
    arrows(on, [(each, loss(each)) for each in tried], colours)
    return None if is_near.all() else int(np.argmin(is_near))
