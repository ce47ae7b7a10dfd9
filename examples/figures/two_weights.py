"""The pictures of two_weights.py: the path of two weights over the contours of the loss, and how
fast the loss rises in each direction. And, as text, the sums of column vectors.
"""

import numpy as np

import figures.bowls
from microgd import plots


def as_columns(loss, path, updates):
    """For each update a row of text, of two lines: its step, the loss, and the sum of the point and
    the update, which is the next point.
    """
    rows = ["step    loss       point         update       next point"]
    for step, (point, update) in enumerate(zip(path, updates, strict=False)):
        after = point + update
        first = f"[{point[0]:z8.4f}]  +  [{update[0]:z8.4f}]  =  [{after[0]:z8.4f}]"
        second = f"[{point[1]:z8.4f}]     [{update[1]:z8.4f}]     [{after[1]:z8.4f}]"
        rows.append(f"{step:4d} {loss(point):8.4f}  {first}")
        rows.append(f"{'':13}  {second}")
    return "\n".join(rows)


def draw(loss, path, degrees, rises, arrows, unit):
    """The path, (n, 2), over the contours of the loss; and how fast the loss rises along each of
    the directions, in degrees.

    Of the two arrows, the gradient at the start and the first update, the second picture shows
    where they point. `unit` is that of the loss.
    """
    figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
    label = f"loss ({unit})"
    plots.contours(lambda a, b: loss(np.array([a, b])), path, ax=left, zlabel=label)
    left.set_aspect("equal")  # so that the arrows stand at right angles on the contours
    figures.bowls.number(left, path, gap=0.09)

    gradient, update = arrows
    steepness = np.linalg.norm(gradient)
    rise = gradient @ update / np.linalg.norm(update)  # along the update, per unit of length
    is_opposite = np.isclose(rise, -steepness)
    right.plot(degrees, rises, color="0.4", label=f"{len(degrees)} directions, tried")
    look = {"color": plots.VERMILION, "label": "the gradient: angle and length"}
    right.plot(_direction(gradient), steepness, "o", **look)
    label = "the update: the opposite" if is_opposite else "the first update"
    right.plot(_direction(update), rise, "s", color=plots.BLUE, label=label)
    right.axhline(0, color="black", linewidth=1)
    right.set(ylim=(-1.1 * steepness, 1.8 * steepness), xticks=range(-180, 181, 90))
    right.set(xlabel="direction (degrees; 0 is along w1)")
    right.set(ylabel="rise of the loss per unit of length")
    right.legend(loc="upper left", fontsize="small")
    return figure


def _direction(arrow):
    """Where an arrow points, in degrees."""
    return np.degrees(np.arctan2(arrow[1], arrow[0]))
