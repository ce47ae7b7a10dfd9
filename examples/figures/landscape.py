"""The picture of landscape.py: the loss on two planes through the place where training ends."""

import numpy as np

from microgd import plots


def panels():
    """The figure, and the axes of both planes."""
    return plots.panels(2, width=10.0, height=4.6)


def around_the_end(on, loss, parameters, directions, points, zlabel):
    """Draw the loss on a plane of two random directions, from the end of training, where the
    parameters are. Return the losses at its points.
    """
    labels = {
        "xlabel": f"distance in a random direction\n{_unit(directions[0], parameters)}",
        "ylabel": f"distance in another random direction\n{_unit(directions[1], parameters)}",
        "zlabel": zlabel,
    }
    losses = _draw(on, loss, parameters, directions, points, labels)
    on.plot(0, 0, "*", color=plots.VERMILION, markeredgecolor="black", markersize=11)
    known = np.append(losses, loss().item())  # the end itself may be between the points
    span = f"losses from {np.nanmin(known):.2g} to {np.nanmax(known):.2g}"
    on.set_title(f"Around the end of training (★):\n{span}")
    return losses


def along_the_path(on, loss, parameters, path, points, zlabel):
    """Draw the loss on the plane of the two main directions of the path, and the path on it. Return
    the losses at its points.
    """
    directions, variance = plots.principal_directions(path)
    labels = {
        "xlabel": f"first main direction: {variance[0]:.1%} of the variance",
        "ylabel": f"second main direction: {variance[1]:.1%}",
        "zlabel": zlabel,
    }
    return _draw(on, loss, parameters, directions, points, labels, path)


def mark_lower(on, is_lower, label):
    """Draw a dot at those points of a plane that are lower than the end of training."""
    rows, columns = np.nonzero(is_lower)
    across = np.linspace(*on.get_xlim(), is_lower.shape[1])
    up = np.linspace(*on.get_ylim(), is_lower.shape[0])
    on.plot(across[columns], up[rows], "k.", markersize=4, zorder=4, label=label)
    on.legend()


def as_text(loss):
    """A loss as text: a small one with more decimals."""
    return f"{loss:.4f}" if abs(loss) >= 0.001 else f"{loss:.3g}"


def _draw(on, loss, parameters, directions, points, labels, path=()):
    """Draw the loss on a plane. Return the losses at its points: a row for each height."""
    found = []

    def remembered():
        value = loss()
        found.append(value.item())
        return value

    options = {"path": path, "points": points, "ax": on, **labels}
    plots.landscape(remembered, parameters, directions, **options)
    return np.reshape(found, (points, points))


def _unit(direction, parameters):
    """What a distance of 1 in this direction is, in words. Biases do not count."""
    weights = np.concatenate([np.ravel(p.data) for p in parameters if p.ndim > 1])
    times = np.linalg.norm(direction) / max(np.linalg.norm(weights), 1e-30)
    if abs(times - 1) < 1e-3:
        return "(1 is the length of the weights)"
    return f"(1 is {times:.3g} × the length of the weights)"
