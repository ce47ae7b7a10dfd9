"""Pictures of learning: descent on a curve or over contours, losses, weights as images, confusions, landscapes.

Each function draws on the Matplotlib axes `ax`, or on a figure of its own, and returns the figure. That belongs to no
window: it shows itself in Jupyter, and `.savefig("name.png")` writes it. `title`, `xlabel`, `ylabel` and whatever else
`Axes.set` takes can be given by name. The colours are ones that colour-blind readers can tell apart (Okabe and Ito,
Color Universal Design, 2008), and nothing is told by colour alone.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd.arrays import as_data, shown
from microgd.checks import check_count, check_labels, check_list, check_type
from microgd.data import check_rng
from microgd.functional import single, value_and_grad
from microgd.nn import parameters_to_vector, vector_to_parameters
from microgd.recording import no_grad
from microgd.train import has_converged
from microgd.value import Value

try:
    from matplotlib import axes, figure, ticker
except ModuleNotFoundError:
    raise ModuleNotFoundError("microgd.plots needs Matplotlib: pip install matplotlib") from None

COLOURS = BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#e69f00", "#56b4e9"
_MARKERS, _LINES = "osDv^P", ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
_LOOKS = [(COLOURS[i % 6], _MARKERS[(i + i // 6) % 6], _LINES[(i + i // 6) % 6]) for i in range(36)]


class Figure(figure.Figure):
    """Matplotlib's figure, which shows itself in Jupyter even if nobody has loaded pyplot."""

    def _repr_png_(self) -> bytes:
        self.savefig(file := BytesIO(), format="png")
        return file.getvalue()


def panels(columns: int = 1, rows: int = 1, width: float = 8.0, height: float = 4.5, **looks: Any) -> tuple[Figure, list[Any]]:
    """A figure, of a size in inches, and its axes, row by row, to give to these functions: for several pictures in one."""
    whole = Figure(figsize=(width, height), layout="constrained")
    return whole, list(np.ravel(whole.subplots(rows, columns, subplot_kw=looks)))


def curve(f: Any, points: Any, *, span: Any = None, ax: Any = None, **labels: Any) -> Figure:
    """A function of one number, and its tangent at each of the points, a list of numbers: the shots of a descent, say.

    Lists of points by name, in a dictionary, each have a colour and a marker, and their name in the legend. `span`, (low,
    high), is by default that of the points, and some more.
    """
    on, both, groups = _axes(ax), value_and_grad(f), points if isinstance(points, Mapping) else {"": points}
    named = {name: np.ravel(as_data(group)) for name, group in groups.items()}
    low, high = _room(np.concatenate([*named.values(), []])) if span is None else _span(span, (2,))
    across = np.linspace(low, high, 201)
    values = np.array([both(x)[0] for x in across.tolist()])
    on.plot(across, values, color="0.4", zorder=1)
    for (name, x), (colour, marker, _) in zip(named.items(), _LOOKS * len(named), strict=False):
        y, slope = np.array([both(each) for each in x.tolist()]).reshape(-1, 2).T
        # About as long to the eye, however steep.
        dx = 0.1 / np.hypot(2 / (high - low), slope / (np.ptp(values[np.isfinite(values)]) or 1.0))
        on.plot([x - dx, x + dx], [y - dx * slope, y + dx * slope], color=colour, linewidth=2)
        on.plot(x, y, marker, color=colour, label=name if x.size else None)
    return _labelled(on, {"xlim": (low, high), **labels})


def contours(f: Any, path: Any = (), *, span: Any = None, points: int = 41, ax: Any = None, **labels: Any) -> Figure:
    """A function of two numbers as contours, and over them a path, (n, 2), with an arrow for every step.

    f is computed at `points` × `points` points. `span`, ((left, right), (low, high)), is by default that of the path, and
    some more. `zlabel` says what f is.
    """
    check_type("a function of two numbers", Callable, f)
    on, points = _axes(ax), check_count("number of points", points, 2, 2000)
    steps = np.reshape(as_data(path), (*np.shape(path)[:1], 2))
    across, up = (_room(steps[:, 0]), _room(steps[:, 1])) if span is None else _span(span, (2, 2))
    x, y = (np.linspace(low, high, points) for low, high in (across, up))
    z = np.array([[single(f(a, b)).item() for a in x.tolist()] for b in y.tolist()])
    # Squared, since a bowl's rings are then equally far apart. Where f is nan or infinite nothing is drawn.
    z[~np.isfinite(z)] = np.nan
    levels = np.nanmin(z) + (np.nanmax(z) - np.nanmin(z) or 1.0) * np.linspace(0, 1, 14) ** 2
    shades = on.contourf(x, y, z, levels, cmap="Blues")
    on.contour(x, y, z, levels, colors="0.4", linewidths=0.5)
    on.figure.colorbar(shades, ax=on, label=labels.pop("zlabel", "loss"), ticks=ticker.MaxNLocator(6), spacing="proportional")
    on.quiver(*steps[:-1].T, *np.diff(steps, axis=0).T, angles="xy", scale_units="xy", scale=1, color=VERMILION, width=0.006)
    on.plot(*steps[:1].T, "o", *steps[-1:].T, "*", color=VERMILION, markeredgecolor="black", markersize=11)
    return _labelled(on, {"xlim": across, "ylim": up, **labels})


def losses(runs: Any, *, tolerance: float | None = None, ax: Any = None, **labels: Any) -> Figure:
    """How the loss falls in one run, or in several by name: a list of losses each, or a pair of lists, x and losses.

    With a `tolerance`, a star where `train.has_converged` holds for the first time: where a loss nearly stops changing.
    """
    on, named = _axes(ax), runs if isinstance(runs, Mapping) else {"": runs}
    for (name, run), (colour, _, line) in zip(named.items(), _LOOKS * len(named), strict=False):
        x, y = run if isinstance(run, tuple) else (range(np.size(run)), run)
        y = np.ravel(as_data(y))
        on.plot(x, y, color=colour, linestyle=line, label=name, marker="." if len(y) == 1 else None)
        # (The last 6 losses are all that `has_converged` looks at.)
        for n in [n for n in range(len(y)) if tolerance is not None and has_converged(y[max(0, n - 5) : n + 1], tolerance)][:1]:
            note = f"nearly stops changing: step {x[n]}"
            on.plot(x[n], y[n], "*", color=colour, markeredgecolor="black", markersize=14, label=note)
    low, high = on.dataLim.intervaly
    on.set(yscale="log" if low > 0 else "linear", ylabel="loss")
    if 0 < high < 1e4 * low:  # beyond that the ticks at powers of 10 are enough
        on.yaxis.set(major_locator=ticker.LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_formatter="")
    return _labelled(on, labels)


def images(arrays: ArrayLike, titles: Sequence[str] = (), *, columns: int = 10, signed: bool = False, unit: str = "") -> Figure:
    """Images side by side, (n, height, width), or (n, pixels) where they are squares: digits, or the weights of a layer.

    All have the same scale, from white to black; if `signed`, from blue for negative over white for 0 to red.
    """
    array = np.asarray(as_data(arrays), float)
    if array.ndim == 2 and isqrt(array.shape[1]) ** 2 == array.shape[1]:
        array = array.reshape(-1, isqrt(array.shape[1]), isqrt(array.shape[1]))
    if array.ndim != 3 or not array.size:
        raise ValueError(f"expected images (n, height, width), or (n, pixels) of squares, but got shape {np.shape(arrays)}")
    columns = min(check_count("number of columns", columns, 1), len(array))
    most = np.abs(array[np.isfinite(array)]).max(initial=0.0) or 1.0
    rows, least = -(-len(array) // columns), -most if signed else min(0.0, array.min())
    height = 0.4 + rows * ((7.0 if signed else 8.0) / columns + 0.25 * bool(titles))
    whole, places = panels(columns, rows, 8.0, height, frame_on=False, xticks=(), yticks=())
    for on, image, title in zip(places, array, [*titles, *[""] * len(array)], strict=False):
        shown = on.imshow(image, cmap="RdBu_r" if signed else "Greys", vmin=least, vmax=most)
        on.set_title(title)
    if signed:
        whole.colorbar(shown, ax=places, label=unit, shrink=0.8)
    return whole


def confusion_matrix(labels: ArrayLike, said: ArrayLike, names: Any = None, *, ax: Any = None, **captions: Any) -> Figure:
    """How often each class, a row, was taken for each class, a column. Both are integers, (n,), from 0; `names` say which."""
    on, examples = _axes(ax, 6.0, 5.5), np.size(labels)
    check_type("names to be a list", Sequence | np.ndarray | None, names)
    most = 1000 if names is None else len(names)
    places = check_labels(labels, examples, most), check_labels(said, examples, most)
    classes = max(map(np.max, places)) + 1 if names is None else most
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, places, 1)
    # Shaded by their root, for among hundreds on the diagonal the few beside it would all look the same.
    on.imshow(np.sqrt(counts), cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        on.text(column, row, count or "·", ha="center", va="center", color="white" if 2 * count > counts.max() else "black")
    for axis in (on.xaxis, on.yaxis):
        axis.set_ticks(range(classes), names)
    return _labelled(on, {"xlabel": "said", "ylabel": "is", **captions})


def landscape(loss: Any, parameters: Sequence[Value], directions: ArrayLike, *, path: Any = (), **options: Any) -> Figure:
    """The loss on a plane through the parameters, as they are, in two directions: (2, size), as of `nn.parameters_to_vector`.

    `loss()` computes it with the parameters, which are moved over the plane, and put back. A path, (n, size), is projected
    onto the plane (`ValueError` for other shapes). Options are those of `contours`; without a path or a `span` it shows 1
    to either side. (Li et al., Visualizing the loss landscape of neural nets, 2018.)
    """
    centre, (first, second) = parameters_to_vector(parameters), np.asarray(as_data(directions), float)
    check_type("a loss that can be called", Callable, loss)
    points = np.reshape(as_data(path), (*np.shape(path)[:1], centre.size))

    @no_grad
    def there(a: float, b: float) -> Any:
        vector_to_parameters(centre + a * first + b * second, parameters)
        return loss()

    steps = np.linalg.lstsq(np.stack([first, second], axis=1), (points - centre).T)[0].T
    try:
        return contours(there, steps, **options)
    finally:
        vector_to_parameters(centre, parameters)


def random_direction(parameters: Sequence[Value], rng: np.random.Generator) -> NDArray[Any]:
    """A direction at random, normalized by filter: what leads to each output is as long as the weights that lead to it.

    Otherwise a step of one length would be large for small weights and small for large ones, though a network with ReLU may
    compute the same with either. (Li et al., 2018, section 4; biases stay as they are.)
    """
    length = partial(np.linalg.norm, axis=-1, keepdims=True)
    drawn = [(p, check_rng(rng).normal(size=p.shape)) for p in check_list("parameters", parameters)]
    return np.concatenate([np.ravel(d / length(d) * length(p.data) if p.ndim > 1 else 0 * d) for p, d in drawn])


def principal_directions(path: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two directions, (2, size), of length 1, in which a path's points, (n, size), vary most; the shares of variance, (2,).

    (Li et al., 2018, section 7: principal component analysis, here of the differences from the mean.)
    """
    points = np.asarray(as_data(path), float)
    _, lengths, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return directions[:2], lengths[:2] ** 2 / (lengths**2).sum()


def _axes(ax: Any, width: float = 8.0, height: float = 4.5) -> Any:
    """The axes that came; those of a figure of its own for None."""
    check_type("ax to be Matplotlib's axes", axes.Axes | None, ax)
    return panels(1, 1, width, height)[1][0] if ax is None else ax


def _span(span: Any, shape: tuple[int, ...]) -> Any:
    """(low, high), or two of these; a `ValueError` where it is something else."""
    ends = np.asarray(as_data(span))
    if ends.shape != shape or not np.isfinite(ends).all() or not (ends[..., 0] < ends[..., 1]).all():
        raise ValueError(f"expected a span of shape {shape}, from low to high, but got {shown(span)}")
    return ends


def _room(at: NDArray[Any]) -> tuple[float, float]:
    """From the smallest to the largest, and some more on either side; without any, 1 to either side of 0."""
    low, high = (float(at.min()), float(at.max())) if at.size else (0.0, 0.0)
    margin = 0.2 * (high - low) or max(1.0, 1e-6 * abs(low))  # to a huge number 1 would add nothing
    return low - margin, high + margin


def _labelled(on: Any, labels: Mapping[str, Any]) -> Figure:
    on.set(**labels)
    if on.get_legend_handles_labels()[1]:
        on.legend()
    return on.figure  # type: ignore[no-any-return]
