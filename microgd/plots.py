"""Pictures of learning: descent on a curve or over contours, losses, weights as images, confusions, landscapes.

Each function draws on the Matplotlib axes `ax`, or on a figure of its own, and returns the figure. That belongs to no
window: it shows itself in Jupyter, and `.savefig("name.png")` writes it. `title`, `xlabel`, `ylabel` and whatever else
`Axes.set` takes can be given by name. The colours are ones that colour-blind readers can tell apart (Okabe and Ito,
Color Universal Design, 2008), and nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd.data import check_labels
from microgd.functional import value_and_grad
from microgd.nn import parameters_to_vector, vector_to_parameters
from microgd.recording import no_grad
from microgd.train import has_converged
from microgd.value import Value

try:
    from matplotlib import figure as _matplotlib
    from matplotlib.ticker import LogLocator
except ModuleNotFoundError:
    raise ModuleNotFoundError("microgd.plots needs Matplotlib: pip install matplotlib") from None

COLOURS = BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#e69f00", "#56b4e9"
_MARKERS, _LINES = "osDv^P", ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
Vector = NDArray[Any]


class Figure(_matplotlib.Figure):
    """Matplotlib's figure, which shows itself in Jupyter even if nobody has loaded pyplot."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def panels(columns: int = 1, rows: int = 1, width: float = 8.0, height: float = 4.5) -> tuple[Figure, list[Any]]:
    """A figure, of a size in inches, and its axes, row by row: for several pictures in one."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(rows, columns)))


def curve(
    f: Callable[[Any], Any],
    points: Sequence[float],
    *,
    kinds: Sequence[str] = (),
    order: Sequence[str] = (),
    notes: Sequence[str] = (),
    span: tuple[float, float] | None = None,
    ax: Any = None,
    **labels: Any,
) -> Figure:
    """A function of one number, and its tangent at each of the points: the shots of a descent, say.

    `kinds` says of each point what it is: every kind has a colour, a marker, and its name in the legend; `order` lists them
    where several pictures are to have the same colours. `notes` are written beside the points. `span` is the part of the
    axis to show, by default that of the points, and some more.
    """
    on, at, both = ax or panels()[1][0], np.asarray(points, float), value_and_grad(f)
    low, high = span or _room(at)
    across = np.linspace(low, high, 201)
    values = np.array([both(x)[0] for x in across.tolist()])
    on.plot(across, values, color="0.4", zorder=1)
    heights, slopes = np.array([both(x) for x in at.tolist()]).reshape(-1, 2).T
    half = 0.1 / np.hypot(2 / (high - low), slopes / np.ptp(values))  # tangents are about as long to the eye, however steep
    what = list(kinds) or [""] * at.size
    for kind, colour, marker in zip(dict.fromkeys([*order, *what]), COLOURS, _MARKERS, strict=False):
        here = [i for i in range(at.size) if what[i] == kind]
        x, y, dx, dy = at[here], heights[here], half[here], half[here] * slopes[here]
        on.plot([x - dx, x + dx], [y - dy, y + dy], color=colour, linewidth=2)
        on.plot(x, y, marker, color=colour, label=kind if here else None)
    for x, y, slope, note in zip(
        at, heights, slopes, notes, strict=False
    ):  # above the tangent, which goes up or down to the right
        on.annotate(
            note, (x, y), (-6, 7) if slope > 0 else (6, 7), ha="right" if slope > 0 else "left", textcoords="offset points"
        )
    if kinds:
        on.legend()
    return _labelled(on, labels)


def contours(
    f: Callable[[float, float], Any],
    path: ArrayLike = (),
    *,
    span: tuple[tuple[float, float], tuple[float, float]] | None = None,
    points: int = 41,
    ax: Any = None,
    **labels: Any,
) -> Figure:
    """A function of two numbers as contours, and over them a path, (n, 2), with an arrow for every step.

    `span` is the part of both axes to show, by default that of the path, and some more; f is computed at `points` ×
    `points` points of it.
    """
    on, steps = ax or panels()[1][0], np.asarray(path, float).reshape(-1, 2)
    (left, right), (low, high) = span or (_room(steps[:, 0]), _room(steps[:, 1]))
    x, y = np.linspace(left, right, points), np.linspace(low, high, points)
    z = np.array([[_number(f(a, b)) for a in x.tolist()] for b in y.tolist()])
    levels = z.min() + np.ptp(z) * np.linspace(0, 1, 14) ** 2  # squared, since a bowl's rings are then equally far apart
    shades = on.contourf(x, y, z, levels, cmap="Blues")
    on.contour(x, y, z, levels, colors="0.4", linewidths=0.5)
    on.figure.colorbar(shades, ax=on, label=labels.pop("zlabel", "loss"), format="%.3g")
    moves = np.diff(steps, axis=0)
    on.quiver(*steps[:-1].T, *moves.T, angles="xy", scale_units="xy", scale=1, color=VERMILION, width=0.006, zorder=2)
    on.plot(*steps[:1].T, "o", *steps[-1:].T, "*", color=VERMILION, markeredgecolor="black", markersize=11)
    return _labelled(on, {"xlim": (left, right), "ylim": (low, high), **labels})


def losses(
    runs: Mapping[str, Any] | Sequence[float], *, tolerance: float | None = None, ax: Any = None, **labels: Any
) -> Figure:
    """How the loss of one run, or of several by name, falls: a list of losses, or a pair of lists, x and losses.

    With a `tolerance`, a mark where `train.has_converged` says so for the first time.
    """
    on, named = ax or panels()[1][0], runs if isinstance(runs, Mapping) else {"": runs}
    for (name, run), colour, line in zip(named.items(), COLOURS * len(named), _LINES * len(named), strict=False):
        x, y = run if isinstance(run, tuple) else (range(len(run)), run)
        on.plot(x, y, color=colour, linestyle=line, label=name)
        done = [n for n in range(len(y)) if tolerance is not None and has_converged(y[: n + 1], tolerance)][:1]
        for n in done:
            on.plot(x[n], y[n], "*", color=colour, markeredgecolor="black", markersize=14, label=f"converged: step {x[n]}")
    if "" not in named or tolerance is not None:
        on.legend()
    figure = _labelled(on, {"yscale": "log", "ylabel": "loss", **labels})
    if on.get_yscale() == "log":
        on.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_formatter="")
    return figure


def images(arrays: ArrayLike, titles: Sequence[str] = (), *, columns: int = 10, signed: bool = False, unit: str = "") -> Figure:
    """Images side by side, (n, height, width), or (n, pixels) where they are squares: digits, or the weights of a layer.

    All have the same scale, from white to black; if `signed`, from blue for negative over white for 0 to red.
    """
    array = np.asarray(arrays, float)
    if array.ndim == 2 and isqrt(array.shape[1]) ** 2 == array.shape[1]:
        array = array.reshape(-1, isqrt(array.shape[1]), isqrt(array.shape[1]))
    if array.ndim != 3 or not array.size:
        raise ValueError(f"expected images (n, height, width), or (n, pixels) of squares, but got shape {np.shape(arrays)}")
    columns = min(columns, len(array))
    rows = -(-len(array) // columns)
    figure, axes = panels(columns, rows, 8.0, 0.4 + rows * ((7.0 if signed else 8.0) / columns + 0.25 * bool(titles)))
    most = np.abs(array).max()
    scale = {"cmap": "RdBu_r", "vmin": -most, "vmax": most} if signed else {"cmap": "Greys", "vmin": 0, "vmax": most}
    for on in axes:
        on.axis("off")
    for on, image in zip(axes, array, strict=False):
        shown = on.imshow(image, **scale)
    for on, title in zip(axes, titles, strict=False):
        on.set_title(title)
    if signed:
        figure.colorbar(shown, ax=axes, label=unit, shrink=0.8)
    return figure


def confusion_matrix(
    labels: ArrayLike, said: ArrayLike, names: Sequence[str] | None = None, *, ax: Any = None, **captions: Any
) -> Figure:
    """How often each class, a row, was taken for each class, a column. Both are integers, (n,), from 0."""
    classes = len(names) if names is not None else int(max(np.max(labels), np.max(said))) + 1
    counts = np.zeros((classes, classes), int)
    examples = np.size(labels)
    np.add.at(counts, (check_labels(labels, examples, classes), check_labels(said, examples, classes)), 1)
    on = ax or panels(1, 1, 6.0, 5.5)[1][0]
    # Shaded by their root, for among hundreds on the diagonal the few beside it would all look the same.
    on.imshow(np.sqrt(counts), cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        on.text(column, row, count or "·", ha="center", va="center", color="white" if 2 * count > counts.max() else "black")
    for axis in (on.xaxis, on.yaxis):
        axis.set_ticks(range(classes), names)
    return _labelled(on, {"xlabel": "said", "ylabel": "is", **captions})


def landscape(
    loss: Callable[[], Any],
    parameters: Sequence[Value],
    directions: Sequence[Vector],
    *,
    path: Sequence[Vector] = (),
    span: tuple[tuple[float, float], tuple[float, float]] | None = None,
    **options: Any,
) -> Figure:
    """The loss on a plane through the parameters, as they are, in two directions: vectors as of `nn.parameters_to_vector`.

    `loss()` computes it with the parameters, which are moved over the plane, and put back. A path of such vectors is
    projected onto the plane. (Li et al., Visualizing the loss landscape of neural nets, 2018.)
    """
    centre, plane = parameters_to_vector(parameters), np.asarray(directions, float)

    @no_grad
    def there(a: float, b: float) -> Any:
        vector_to_parameters(centre + a * plane[0] + b * plane[1], parameters)
        return loss()

    steps = np.linalg.lstsq(plane.T, (np.asarray(path) - centre).T)[0].T if len(path) else ()
    try:
        return contours(there, steps, span=span or (None if len(path) else ((-1.0, 1.0), (-1.0, 1.0))), **options)
    finally:
        vector_to_parameters(centre, parameters)


def random_direction(parameters: Sequence[Value], rng: np.random.Generator) -> Vector:
    """A direction at random, normalized by filter: what leads to each output is as long as the weights that lead to it.

    Otherwise a step of one length would be large for small weights and small for large ones, though a network with ReLU may
    compute the same with either. Biases stay as they are. (Li et al., 2018, section 4.)
    """
    parts = []
    for p in parameters:
        d = rng.normal(size=p.shape) * (p.ndim > 1)
        length = np.linalg.norm(d, axis=-1, keepdims=True) if p.ndim > 1 else 1.0
        parts.append(d / length * np.linalg.norm(p.data, axis=-1, keepdims=True) if p.ndim > 1 else d)
    return np.concatenate([np.ravel(d) for d in parts])


def principal_directions(path: Sequence[Vector]) -> tuple[Vector, Vector]:
    """The two directions, of length 1, in which a path's points vary most, and the shares of their variance in each."""
    points = np.asarray(path, float)
    _, lengths, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return directions[:2], lengths[:2] ** 2 / (lengths**2).sum()


def _number(x: Any) -> float:
    return x.item() if isinstance(x, Value) else float(x)


def _room(at: Vector) -> tuple[float, float]:
    """From the smallest to the largest, and some more on either side."""
    margin = 0.2 * float(np.ptp(at)) or 1.0
    return float(at.min()) - margin, float(at.max()) + margin


def _labelled(on: Any, labels: Mapping[str, Any]) -> Figure:
    on.set(**labels)
    figure: Figure = on.figure
    return figure
