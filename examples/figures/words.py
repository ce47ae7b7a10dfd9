"""The picture of words.py: a map of two columns, with a region for each word."""

from itertools import cycle

import numpy as np

from microgd import plots

POINTS = 300  # along each side of the map
SURE = 0.9  # the probability at the dashed lines
HATCHES = ("", "//", "..", "\\\\")


def draw(chances_at, points, labels, held_out, names):
    """Draw what a network says at each point of the map, and where it is wrong.

    `chances_at(places)` has a probability for each word, (n, words), at places on the map, (n, 2).
    `points`, (rows, 2), are the places of all rows, and `labels` the numbers of their words. Of
    these, the rows in `held_out` are drawn. `names` are the words.
    """
    margin = np.maximum(0.04 * np.ptp(points, axis=0), 1e-3)
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    across, up = np.linspace(low, high, POINTS).T
    area = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    chances = chances_at(area)
    says = chances.argmax(axis=1)
    looks = zip(cycle(plots.COLOURS), cycle("osD^v"), cycle(HATCHES), strict=False)
    looks = dict(zip(range(len(names)), looks, strict=False))
    its = {number: points[held_out[labels[held_out] == number]] for number in looks}
    figure, [on] = plots.panels(width=8.0, height=5.4)
    for number, (colour, marker, hatch) in looks.items():
        draw_region(on, across, up, says == number, colour, hatch)
        on.plot(*its[number].T, marker, color=colour, markeredgecolor="black")
        draw_sure(on, across, up, chances[:, number], colour)
    edge = area[np.any((area == area.min(axis=0)) | (area == area.max(axis=0)), axis=1)]
    for number, (colour, _, _) in looks.items():
        here = says == number
        text = names[number] if here.any() else f"{names[number]} (no area)"
        region = area[here] if here.any() else its[number]
        if len(region):
            obstacles = [area[~here], points[held_out], edge]
            place = roomiest(region, obstacles, (high - low) * [2, 1])
            write(on, text, place, colour)
    wrong = points[held_out[chances_at(points[held_out]).argmax(axis=1) != labels[held_out]]]
    if np.any((chances.min(axis=0) < SURE) & (SURE < chances.max(axis=0))):
        on.plot([], [], "--", color="0.4", label=f"a probability of {SURE:.0%}")
    on.plot(*wrong.T, "o", color="none", markeredgecolor="black", ms=16, label="named wrongly")
    about = "marks: what it is; areas: what the network says"
    figure.legend(title=about, loc="outside lower center", ncols=2)
    return figure


def draw_region(on, across, up, here, colour, hatch):
    """Shade and hatch the points of the map that `here` holds True for."""
    if here.any():
        z = here.reshape(len(up), len(across)).astype(float)
        on.contourf(across, up, z, [0.5, 1.5], colors=[colour], alpha=0.2, hatches=[hatch])


def draw_sure(on, across, up, chance, colour):
    """Draw a dashed line where a word has the probability `SURE`."""
    if chance.min() < SURE < chance.max():
        z = chance.reshape(len(up), len(across))
        on.contour(across, up, z, [SURE], colors=[colour], linewidths=1, linestyles="--")


def write(on, text, place, colour):
    """Write the name of a region."""
    box = {"boxstyle": "round", "facecolor": "white", "edgecolor": colour, "alpha": 0.75}
    on.text(*place, text, ha="center", va="center", bbox=box, zorder=5)


def roomiest(region, obstacles, size):
    """The place in a region, (n, 2), that is farthest from all obstacles, which are such arrays.

    Distances are measured in `size`, (2,): a name is wider than it is high.
    """
    some = region[:: len(region) // 1000 + 1]
    room = np.full(len(some), np.inf)
    for obstacle in obstacles:
        each = obstacle[:: len(obstacle) // 500 + 1] / size
        if len(each):
            far = np.linalg.norm(some[:, None] / size - each, axis=2).min(axis=1)
            room = np.minimum(room, far)
    return some[room.argmax()]
