"""Pictures of learning: curves, contours, losses, images, confusion matrices, loss landscapes.

Each function draws on the Matplotlib axes `ax`, or on a new figure, and returns the figure. The
figure belongs to no window: it shows itself in Jupyter, and `.savefig("name.png")` writes it to a
file. `title`, `xlabel`, `ylabel` and anything else that `Axes.set` takes can be given by name.

Colour-blind readers can tell the colours apart (Okabe and Ito, Color Universal Design, 2008), and
no picture relies on colour alone.

Wherever numbers are expected you can also pass Values, alone or in lists. A picture shows what
they hold.

Matplotlib loads when the first picture is drawn. If it is not installed, there is a
`ModuleNotFoundError` that says how to install it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import cycle
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microgd.arrays import as_data, shown
from microgd.checks import check_count, check_labels, check_list, check_type
from microgd.data import check_rng, encode_labels
from microgd.functional import single, value_and_grad
from microgd.nn import parameters_to_vector, vector_to_parameters
from microgd.recording import evaluation
from microgd.train import Epoch, has_converged
from microgd.value import Value

__all__ = [
    "confusion_matrix",
    "contours",
    "curve",
    "images",
    "landscape",
    "losses",
    "panels",
    "principal_directions",
    "random_direction",
]

if TYPE_CHECKING:
    from microgd.pictures.figure import Figure

BLUE = "#0072b2"
VERMILION = "#d55e00"
GREEN = "#009e73"
PURPLE = "#aa4499"
ORANGE = "#e69f00"
SKY = "#56b4e9"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = "osDv^P"
_LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
# 36 looks that all differ: in each round the colours come with other markers and other lines.
_LOOKS = [
    (COLOURS[n], _MARKERS[(n + turn) % 6], _LINES[(n + turn) % 6])
    for turn in range(6)
    for n in range(6)
]

_PARAMETERS = "parameters, such as model.parameters()"
_SEVERAL = ': if these are several runs, name them, as in {"slow": losses, "fast": others}'


def __getattr__(name: str) -> Any:
    """`Figure`, the class of the figures returned here, which is a subclass of Matplotlib's."""
    if name != "Figure":
        raise AttributeError(f"module 'microgd.plots' has no attribute {name!r}")
    return _matplotlib().Figure


def __dir__() -> list[str]:
    """All names. `Figure` is among them only with Matplotlib, so that `help` works without it."""
    names = list(globals())
    if find_spec("matplotlib"):
        names.append("Figure")
    return names


def panels(
    columns: int = 1, rows: int = 1, width: float = 8.0, height: float = 4.5, **looks: Any
) -> tuple[Figure, list[Any]]:
    """A figure for several pictures, and a list of its axes, row by row: pass each as `ax`.

    Width and height are in inches. `looks` are properties of all the axes, such as `xlim`.
    """
    figure = _matplotlib().Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, subplot_kw=looks)
    return figure, list(np.ravel(axes))


def curve(f: Any, points: Any, *, span: Any = None, ax: Any = None, **labels: Any) -> Figure:
    """A function of one number, and its tangents at some points, such as the steps of a descent.

    `points` is a list of numbers, or several lists by name, in a dictionary. Each of these has its
    own colour and marker, and its name is in the legend. By default the picture covers the points
    with some room around them; `span` is another interval, (low, high).
    """
    ax = _axes(ax)
    value_and_slope = value_and_grad(f)
    groups = points if isinstance(points, Mapping) else {"": points}
    named = {name: np.ravel(_numbers("points", group)) for name, group in groups.items()}
    if span is None:
        low, high = _with_room(np.concatenate([*named.values(), []]))
    else:
        low, high = _span(span, (2,))
    across = np.linspace(low, high, 201)
    values = np.array([value_and_slope(x)[0] for x in across.tolist()])
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError(f"the function is nan or infinite everywhere from {low:g} to {high:g}")
    ax.plot(across, values, color="0.4", zorder=1)
    width = high - low
    height = np.ptp(finite) or 1.0
    for (name, x), (colour, marker, _) in zip(named.items(), cycle(_LOOKS), strict=False):
        y, slope = np.array([value_and_slope(each) for each in x.tolist()]).reshape(-1, 2).T
        # All tangents look about equally long, however steep they are.
        dx = 0.1 / np.hypot(2 / width, slope / height)
        dy = dx * slope
        ax.plot([x - dx, x + dx], [y - dy, y + dy], color=colour, linewidth=2)
        ax.plot(x, y, marker, color=colour, label=name if x.size else None)
    return _labelled(ax, {"xlim": (low, high), **labels})


def contours(
    f: Any, path: Any = (), *, span: Any = None, points: int = 41, ax: Any = None, **labels: Any
) -> Figure:
    """A function of two numbers as contours, and a path on it, (n, 2), with an arrow for each step.

    The function is computed at `points` × `points` points. By default the picture covers the path
    with some room around it; `span` is another area, ((left, right), (low, high)). `zlabel` says
    what the function computes.
    """
    ax = _axes(ax)
    check_type("a function of two numbers", Callable, f)
    points = check_count("number of points", points, 2, 2000)
    steps = _path(path, 2)
    if span is None:
        across = _with_room(steps[:, 0])
        up = _with_room(steps[:, 1])
    else:
        across, up = _span(span, (2, 2))
    x = np.linspace(*across, points)
    y = np.linspace(*up, points)
    heights = [single(f(a, b)).item() for b in y.tolist() for a in x.tolist()]
    z = np.reshape(heights, (points, points))
    if not np.isfinite(z).any():
        raise ValueError(f"the function is nan or infinite at all {points} × {points} points")
    z[~np.isfinite(z)] = np.nan  # nothing is drawn there
    levels = _levels(z)
    shades = ax.contourf(x, y, z, levels, cmap="Blues")
    ax.contour(x, y, z, levels, colors="0.4", linewidths=0.5)
    label = labels.pop("zlabel", "loss")
    ticks = _matplotlib().ticker.MaxNLocator(6)
    ax.figure.colorbar(shades, ax=ax, label=label, ticks=ticks, spacing="proportional")
    _draw_path(ax, steps)
    return _labelled(ax, {"xlim": across, "ylim": up, **labels})


def _levels(z: NDArray[Any]) -> NDArray[Any]:
    """14 levels that rise with the square, so that the rings of a bowl are equally far apart."""
    lowest = np.nanmin(z)
    highest = np.nanmax(z)
    fractions = np.linspace(0, 1, 14) ** 2
    levels: NDArray[Any] = lowest + (highest - lowest) * fractions
    all_differ = (np.diff(levels) > 0).all()
    if not all_differ:  # the function is as good as flat
        levels = lowest + max(1.0, abs(lowest)) * fractions
    return levels


def _draw_path(ax: Any, steps: NDArray[Any]) -> None:
    """Draw an arrow for each step of a path, a circle at its start and a star at its end."""
    ax.quiver(
        *steps[:-1].T,
        *np.diff(steps, axis=0).T,
        angles="xy",
        scale_units="xy",
        scale=1,
        color=VERMILION,
        width=0.006,
    )
    start = steps[:1].T
    end = steps[-1:].T
    looks = {"color": VERMILION, "markeredgecolor": "black", "markersize": 11}
    ax.plot(*start, "o", *end, "*", **looks)


def losses(runs: Any, *, tolerance: float | None = None, ax: Any = None, **labels: Any) -> Figure:
    """How the loss falls in one run, or in several runs by name, in a dictionary.

    A run is a list of losses, or a pair (x, losses) of lists, or the records that `train.fit`
    yields. You can pass these in a list, or pass `fit(...)` itself: then it trains now. For records
    the picture shows the loss by epoch and, if there is one, the loss on the test examples too.

    With a `tolerance`, a star marks where `train.has_converged` holds for the first time: there the
    loss nearly stops changing. A run without a finite loss appears in the legend only. If no run
    has one, that is a `ValueError`.
    """
    ax = _axes(ax)
    named = runs if isinstance(runs, Mapping) else {"": runs}
    lines = [line for name, run in named.items() for line in _lines_of(str(name), run)]
    if not any(np.isfinite(line.losses).any() for line in lines):
        has_losses = any(line.losses.size for line in lines)
        came = "only nan and infinite ones" if has_losses else "none"
        raise ValueError(f"expected losses that are finite, but got {came}")
    for (name, x, y, unit), (colour, _, dashes) in zip(lines, cycle(_LOOKS), strict=False):
        if name and not np.isfinite(y).any():
            name = f"{name} (no finite loss)"
        marker = "." if len(y) == 1 else None  # a single point makes no line
        ax.plot(x, y, color=colour, linestyle=dashes, label=name, marker=marker)
        n = None if tolerance is None else _converged_at(y, tolerance)
        if n is not None:
            note = f"nearly stops changing: {unit} {x[n]}"
            star = {"color": colour, "markeredgecolor": "black", "markersize": 14}
            ax.plot(x[n], y[n], "*", label=note, **star)
    low, high = ax.dataLim.intervaly
    ax.set(yscale="log" if low > 0 else "linear", ylabel="loss")
    if 0 < high < 1e4 * low:  # beyond that the ticks at powers of 10 are enough
        locator = _matplotlib().ticker.LogLocator(subs=(1, 2, 5))
        ax.yaxis.set(major_locator=locator, major_formatter="{x:g}", minor_formatter="")
    if all(line.unit == "epoch" for line in lines):
        ax.set_xlabel("epoch")
    return _labelled(ax, labels)


def _converged_at(losses: NDArray[Any], tolerance: float) -> int | None:
    """The first place in a run where `has_converged` holds; None if there is none."""
    for n in range(len(losses)):
        recent = losses[max(0, n - 5) : n + 1]  # `has_converged` looks at the last 6 losses alone
        if has_converged(recent, tolerance):
            return n
    return None


class _Line(NamedTuple):
    """A line in a picture of losses. Both arrays have shape (n,), and x counts in this unit."""

    name: str
    x: NDArray[Any]
    losses: NDArray[Any]
    unit: str


def _lines_of(name: str, run: Any) -> list[_Line]:
    """The lines of one run: a second one if there are test losses."""
    if isinstance(run, Iterator):
        run = list(run)
    records = [run] if isinstance(run, Epoch) else run
    if isinstance(records, list | tuple) and any(isinstance(each, Epoch) for each in records):
        return _lines_of_epochs(name, check_list("records of train.fit", records, Epoch, "Epochs"))
    parts = [_unwrapped(part) for part in run] if isinstance(run, tuple) else []
    is_tuple_of_lists = any(np.ndim(part) for part in parts)
    if not is_tuple_of_lists:
        y = _losses(run)
        return [_Line(name, np.arange(len(y)), y, "step")]
    if len(parts) != 2:
        raise ValueError(
            f"expected the pair (x, losses), but got a tuple of {len(parts)}{_SEVERAL}"
        )
    x = np.ravel(parts[0])
    y = _losses(parts[1])
    if len(x) != len(y):
        raise ValueError(
            f"expected the pair (x, losses) of the same length, but got {len(x)} and {len(y)}"
        )
    return [_Line(name, x, y, "step")]


def _losses(run: Any) -> NDArray[Any]:
    """The losses of one run, (n,); an error for several runs, or for anything else."""
    if isinstance(run, list):
        for each in run:
            if isinstance(each, list | tuple | Mapping):
                came = f"a list with {shown(each)} in it"
                raise TypeError(f"expected a list of losses, but got {came}{_SEVERAL}")
    array = _numbers("losses", run)
    if array.ndim > 1 and array.size != len(array):
        came = f"shape {array.shape}"
        raise ValueError(f"expected a loss for each step, (n,), but got {came}{_SEVERAL}")
    return np.ravel(array)


def _lines_of_epochs(name: str, records: list[Epoch]) -> list[_Line]:
    """The losses in training and, if there are any, on the test examples, by epoch."""

    def line(name: str, epochs: list[Epoch], field: str) -> _Line:
        numbers = np.array([epoch.number for epoch in epochs])
        losses = np.array([getattr(epoch, field) for epoch in epochs])
        return _Line(name, numbers, losses, "epoch")

    tested = [epoch for epoch in records if epoch.test_loss is not None]
    if not tested:
        return [line(name, records, "loss")]
    prefix = f"{name}, " if name else ""
    return [
        line(f"{prefix}training", records, "loss"),
        line(f"{prefix}test", tested, "test_loss"),
    ]


def images(
    arrays: Any, titles: Any = (), *, columns: int = 10, signed: bool = False, unit: str = ""
) -> Figure:
    """Images side by side, such as digits, or the weights of a layer.

    Their shape is (n, height, width), or (n, pixels) if they are squares. There may be an axis of
    length 1 for the colour: (n, height, width, 1) or (n, 1, height, width). `titles` is a list of
    at most n texts or labels.

    All images have the same scale, from white to black. If `signed`, it goes from blue for negative
    numbers over white for 0 to red, and `unit` says what the numbers are.
    """
    _matplotlib()
    array = _as_images(arrays)
    titles = _titles(titles, len(array))
    columns = min(check_count("number of columns", columns, 1), len(array))
    rows = -(-len(array) // columns)  # rounded up
    most = np.abs(array[np.isfinite(array)]).max(initial=0.0) or 1.0
    least = -most if signed else min(0.0, array.min())
    image_width = (7.0 if signed else 8.0) / columns  # beside signed images there is a colour bar
    title_height = 0.25 if any(titles) else 0.0
    height = 0.4 + rows * (image_width + title_height)
    figure, axes = panels(columns, rows, 8.0, height, frame_on=False, xticks=(), yticks=())
    for ax, image, title in zip(axes, array, titles, strict=False):
        scale = ax.imshow(image, cmap="RdBu_r" if signed else "Greys", vmin=least, vmax=most)
        ax.set_title(title)
    if signed:
        figure.colorbar(scale, ax=axes, label=unit, shrink=0.8)
    return figure


def _as_images(arrays: Any) -> NDArray[Any]:
    """The images as one array, (n, height, width); a `ValueError` for other shapes."""
    array = np.asarray(_numbers("images", arrays), float)
    shape = array.shape
    if array.ndim == 2 and isqrt(shape[1]) ** 2 == shape[1]:
        side = isqrt(shape[1])
        array = array.reshape(-1, side, side)
    if array.ndim == 4 and 1 in (array.shape[3], array.shape[1]):
        array = array.squeeze(3 if array.shape[3] == 1 else 1)
    if array.ndim != 3 or not array.size:
        expected = "expected images (n, height, width), or (n, pixels) of squares"
        raise ValueError(f"{expected}, but got shape {shape}{_images_hint(shape)}")
    return array


def _images_hint(shape: tuple[int, ...]) -> str:
    """What to write in place of images of such a shape, if there is an obvious cure."""
    is_one_image = len(shape) == 1 or (len(shape) == 2 and shape[0] == shape[1])
    if is_one_image:
        return ": image[None] is a list of one image"
    has_colours = len(shape) == 4 and (3 in shape[1::2] or 4 in shape[1::2])
    if has_colours:
        return ": images in colour can't be drawn, but their mean over the colours can"
    return ""


def _titles(titles: Any, images: int) -> list[str]:
    """A title for each image; "" for the images after the last title."""
    titles = _unwrapped(titles)
    if isinstance(titles, str) or not isinstance(titles, Iterable):
        raise TypeError(f"expected a list of titles, one for each image, but got {shown(titles)}")
    # (Labels from a Value are floats.)
    texts = [f"{title:g}" if isinstance(title, float) else str(title) for title in titles]
    if len(texts) > images:
        expected = f"expected at most {images} titles, one for each image"
        raise ValueError(f"{expected}, but got {len(texts)}")
    return texts + [""] * (images - len(texts))


def confusion_matrix(
    labels: Any, said: Any, names: Any = None, *, ax: Any = None, **captions: Any
) -> Figure:
    """How often each class, a row, was taken for each class, a column.

    `labels` are the true classes, and `said` are the classes that a model said. Both are integers,
    (n,), from 0, and `names` is a list of the classes' names. Or both are texts: then the classes
    are the names or, without names, all the texts in alphabetical order.

    `said` may also be what the model computed, a number for each class, (n, classes). Then the
    model said the class with the largest number.
    """
    ax = _axes(ax, 6.0, 5.5)
    labels = _as_labels(labels)
    said = _as_labels(said)
    if names is not None:
        if isinstance(names, Mapping | set | frozenset):
            raise TypeError(f"expected names to be a list, from class 0 on, but got {shown(names)}")
        names = check_list("names", names, object)
    if _is_text(labels) and _is_text(said):
        labels, said, names = _texts_as_labels(labels, said, names)
    said = _largest(said, len(labels))
    if not labels.size:
        raise ValueError("expected at least one example, but got none")
    examples = len(labels)
    most = 1000 if names is None else len(names)
    rows = check_labels(labels, examples, most)
    columns = check_labels(said, examples, most)
    classes = max(rows.max(), columns.max()) + 1 if names is None else most
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (rows, columns), 1)
    # The shade is that of the root: beside hundreds on the diagonal, the few elsewhere would
    # otherwise all look the same.
    ax.imshow(np.sqrt(counts), cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if 2 * count > counts.max() else "black"
        ax.text(column, row, count or "·", ha="center", va="center", color=colour)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(range(classes), names)
    return _labelled(ax, {"xlabel": "said", "ylabel": "is", **captions})


def _as_labels(labels: Any) -> NDArray[Any]:
    """Labels, or what a model computed, as an array.

    Booleans become integers, and so do labels that are floats because a Value holds them.
    """
    array = np.asarray(_unwrapped(labels))
    is_other_object = array.dtype == object and not _is_text(array)
    if not array.ndim or is_other_object:
        raise TypeError(f"expected a list of labels, one for each example, but got {shown(labels)}")
    values = [labels, *labels] if isinstance(labels, list) else [labels]
    has_values = any(isinstance(x, Value) for x in values)
    are_whole = has_values and array.ndim == 1 and (array == np.rint(array)).all()
    return array.astype(np.int64) if are_whole or array.dtype == bool else array


def _largest(said: NDArray[Any], examples: int) -> NDArray[Any]:
    """The class with the largest of an example's numbers, (n, classes). Labels stay as they are."""
    if said.dtype.kind != "f":
        return said
    if said.ndim == 2 and len(said) == examples and said.shape[1] > 1:
        if np.isnan(said).any():
            raise ValueError("expected a number for each class, but got nan in what the model said")
        largest: NDArray[np.int64] = said.argmax(axis=1)
        return largest
    fractions = said[said != np.rint(said)]
    if fractions.size:
        raise TypeError(
            f"expected said to be labels, or a number for each class, but got {fractions[0]:g}: "
            "if these are probabilities of class 1, give said > 0.5"
        )
    return said


def _is_text(labels: NDArray[Any]) -> bool:
    """Whether all labels are texts."""
    return labels.dtype.kind in "UOT" and all(isinstance(each, str) for each in labels.flat)


def _texts_as_labels(
    labels: NDArray[Any], said: NDArray[Any], names: list[Any] | None
) -> tuple[NDArray[Any], NDArray[Any], list[Any]]:
    """Texts as numbers: their places among the names or, without names, in alphabetical order."""
    texts = [*labels.flat, *said.flat]
    classes = names or encode_labels(texts).names
    number = {name: n for n, name in enumerate(classes)}
    unknown = [text for text in texts if text not in number]
    if unknown:
        expected = f"expected labels that are among the names {shown(classes)}"
        raise ValueError(f"{expected}, but got {str(unknown[0])!r}")

    def as_labels(array: NDArray[Any]) -> NDArray[Any]:
        return np.reshape([number[text] for text in array.flat], array.shape)

    return as_labels(labels), as_labels(said), classes


def landscape(
    loss: Any, parameters: Sequence[Value], directions: Any, *, path: Any = (), **options: Any
) -> Figure:
    """The loss on a plane through the parameters as they are, along two directions.

    The directions are two vectors, (2, size), each like that of `nn.parameters_to_vector`. `loss()`
    computes the loss with the parameters, which are moved over the plane for this, and put back
    afterwards. A path, (n, size), is projected onto the plane. Other shapes are a `ValueError`.

    The options are those of `contours`. Without a path or a `span` the picture shows 1 to either
    side. (Li et al., Visualizing the loss landscape of neural nets, 2018.)
    """
    _matplotlib()
    expected = "a loss that can be called, such as lambda: nn.mse_loss(model(x), y)"
    check_type(expected, Callable, loss)
    parameters = check_list(_PARAMETERS, parameters)
    centre = parameters_to_vector(parameters)
    plane = np.asarray(_numbers(f"two directions, (2, {centre.size})", directions), float)
    if plane.shape != (2, centre.size):
        expected = f"expected two directions, of shape (2, {centre.size})"
        raise ValueError(f"{expected}, but got shape {plane.shape}")
    first, second = plane
    points = _path(path, centre.size)

    @evaluation  # so that there is no dropout, and the model's running means stay as they are
    def loss_at(a: float, b: float) -> Any:
        vector_to_parameters(centre + a * first + b * second, parameters)
        return loss()

    basis = np.stack([first, second], axis=1)
    steps = np.linalg.lstsq(basis, (points - centre).T)[0].T
    try:
        return contours(loss_at, steps, **options)
    finally:
        vector_to_parameters(centre, parameters)


def random_direction(parameters: Sequence[Value], rng: np.random.Generator) -> NDArray[Any]:
    """A random direction in the space of the parameters, (size,), normalized filter by filter.

    For each output, the part of the direction is as long as the weights that lead to this output.
    Otherwise a step of one length would be large for small weights and small for large ones,
    although a network with ReLU can compute the same with either. The direction leaves biases as
    they are. (Li et al., 2018, section 4.)
    """
    parts = []
    parameters = check_list(_PARAMETERS, parameters)
    rng = check_rng(rng)
    for p in parameters:
        drawn = rng.normal(size=p.shape)
        if p.ndim > 1:
            unit = drawn / _row_lengths(drawn)
            part = unit * _row_lengths(p.data)
        else:
            part = 0 * drawn
        parts.append(np.ravel(part))
    return np.concatenate(parts)


def _row_lengths(array: NDArray[Any]) -> Any:
    return np.linalg.norm(array, axis=-1, keepdims=True)


def principal_directions(path: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two directions in which the points of a path, (n, size), vary most.

    Returns the directions, (2, size), each of length 1, and their shares of the variance, (2,). A
    path that does not move is a `ValueError`. (Li et al., 2018, section 7: principal component
    analysis, here of the differences from the mean.)
    """
    points = np.asarray(_numbers("path", path), float)
    if points.ndim != 2:
        raise ValueError(f"expected a path of shape (n, size), but got shape {points.shape}")
    if not len(points) or (points == points[0]).all():
        expected = "expected a path with at least two different points"
        raise ValueError(f"{expected}, but got {len(points)} at one place")
    _, lengths, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    variances = lengths**2
    return directions[:2], variances[:2] / variances.sum()


def _matplotlib() -> Any:
    """What is used of Matplotlib; a `ModuleNotFoundError` if it is not installed."""
    from microgd.pictures import figure

    return figure


def _axes(ax: Any, width: float = 8.0, height: float = 4.5) -> Any:
    """These axes or, for None, those of a new figure."""
    check_type("ax to be Matplotlib's axes", _matplotlib().axes.Axes | None, ax)
    if ax is not None:
        return ax
    _, [new] = panels(1, 1, width, height)
    return new


def _unwrapped(x: Any) -> Any:
    """The argument with what Values hold in place of them, and a list in place of an iterator."""
    if isinstance(x, Value):
        return x.data
    if isinstance(x, tuple):
        return tuple(map(_unwrapped, x))
    if isinstance(x, list | Iterator):
        return list(map(_unwrapped, x))
    return x


def _numbers(what: str, x: Any) -> NDArray[Any]:
    """The argument as an array of float32 or float64; an error that says what it was meant for."""
    try:
        return np.asarray(as_data(_unwrapped(x)))
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None


def _path(path: Any, size: int) -> NDArray[Any]:
    """The points of a path, (n, size), of which there may be none; a `ValueError` otherwise."""
    points = _numbers("path", path)
    if not points.size:
        return np.empty((0, size))
    if points.ndim != 2 or points.shape[1] != size:
        raise ValueError(f"expected a path of shape (n, {size}), but got shape {points.shape}")
    return points


def _span(span: Any, shape: tuple[int, ...]) -> Any:
    """(low, high), or two of these pairs; a `ValueError` for anything else."""
    ends = _numbers("span", span)
    is_finite = ends.shape == shape and np.isfinite(ends).all()
    if not is_finite or not (ends[..., 0] < ends[..., 1]).all():
        raise ValueError(
            f"expected a span of shape {shape}, from low to high, but got {shown(span)}"
        )
    return ends


def _with_room(points: NDArray[Any]) -> tuple[float, float]:
    """From the smallest point to the largest, with some room; from -1 to 1 if there are none."""
    wrong = points[~np.isfinite(points)]
    if wrong.size:
        hint = "give a span, and only the points in it are shown"
        raise ValueError(f"expected points that are finite, but got {wrong[0]}: {hint}")
    low = float(points.min()) if points.size else 0.0
    high = float(points.max()) if points.size else 0.0
    # If the points are all the same, the room is 1. To a huge number 1 would add nothing.
    room = 0.2 * (high - low) or max(1.0, 1e-6 * abs(low))
    return low - room, high + room


def _labelled(ax: Any, labels: Mapping[str, Any]) -> Figure:
    """The figure of these axes, with the labels, and a legend if anything has a name."""
    ax.set(**labels)
    _, names = ax.get_legend_handles_labels()
    if names:
        ax.legend()
    return ax.figure  # type: ignore[no-any-return]
