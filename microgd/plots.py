"""Pictures of learning: descent on a curve or over contours, losses, weights as images, confusions, landscapes.

Each function draws on the Matplotlib axes `ax`, or on a figure of its own, and returns the figure. That belongs to no
window: it shows itself in Jupyter, and `.savefig("name.png")` writes it. `title`, `xlabel`, `ylabel` and whatever else
`Axes.set` takes can be given by name. The colours are ones that colour-blind readers can tell apart (Okabe and Ito,
Color Universal Design, 2008), and nothing is told by colour alone.

Where numbers are asked for, Values will do, alone or in lists: a picture needs what they hold.
Matplotlib loads when the first picture is drawn; where it is not installed, that is a
`ModuleNotFoundError` that says how to get it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
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

if TYPE_CHECKING:
    from microgd.pictures.figure import Figure

COLOURS = BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#aa4499",
    "#e69f00",
    "#56b4e9",
)
_MARKERS, _LINES = "osDv^P", ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
_LOOKS = [(COLOURS[i % 6], _MARKERS[(i + i // 6) % 6], _LINES[(i + i // 6) % 6]) for i in range(36)]


def __getattr__(name: str) -> Any:
    """`Figure`, the class of what these functions return. It is a subclass of Matplotlib's."""
    if name != "Figure":
        raise AttributeError(f"module 'microgd.plots' has no attribute {name!r}")
    return _matplotlib().Figure


def __dir__() -> list[str]:
    """All names; `Figure` only where there is one, so that `help` works without Matplotlib."""
    return [*globals(), "Figure"] if find_spec("matplotlib") else [*globals()]


def panels(columns: int = 1, rows: int = 1, width: float = 8.0, height: float = 4.5,
           **looks: Any) -> "tuple[Figure, list[Any]]":  # fmt: skip
    """A figure, of a size in inches, and its axes, row by row, to give to these functions: for several pictures in one."""
    whole = _matplotlib().Figure(figsize=(width, height), layout="constrained")
    return whole, list(np.ravel(whole.subplots(rows, columns, subplot_kw=looks)))


def curve(f: Any, points: Any, *, span: Any = None, ax: Any = None, **labels: Any) -> "Figure":
    """A function of one number, and its tangent at each of the points, a list of numbers: the shots of a descent, say.

    Lists of points by name, in a dictionary, each have a colour and a marker, and their name in the legend. `span`, (low,
    high), is by default that of the points, and some more.
    """
    on, both = _axes(ax), value_and_grad(f)
    groups = points if isinstance(points, Mapping) else {"": points}
    named = {name: np.ravel(_numbers("points", group)) for name, group in groups.items()}
    low, high = _room(np.concatenate([*named.values(), []])) if span is None else _span(span, (2,))
    across = np.linspace(low, high, 201)
    values = np.array([both(x)[0] for x in across.tolist()])
    if not np.isfinite(values).any():
        raise ValueError(f"the function is nan or infinite everywhere from {low:g} to {high:g}")
    on.plot(across, values, color="0.4", zorder=1)
    for (name, x), (colour, marker, _) in zip(named.items(), _LOOKS * len(named), strict=False):
        y, slope = np.array([both(each) for each in x.tolist()]).reshape(-1, 2).T
        # About as long to the eye, however steep.
        dx = 0.1 / np.hypot(2 / (high - low), slope / (np.ptp(values[np.isfinite(values)]) or 1.0))
        on.plot([x - dx, x + dx], [y - dx * slope, y + dx * slope], color=colour, linewidth=2)
        on.plot(x, y, marker, color=colour, label=name if x.size else None)
    return _labelled(on, {"xlim": (low, high), **labels})


def contours(f: Any, path: Any = (), *, span: Any = None, points: int = 41, ax: Any = None,
             **labels: Any) -> "Figure":  # fmt: skip
    """A function of two numbers as contours, and over them a path, (n, 2), with an arrow for every step.

    f is computed at `points` × `points` points. `span`, ((left, right), (low, high)), is by default that of the path, and
    some more. `zlabel` says what f is.
    """
    on = _axes(ax)
    check_type("a function of two numbers", Callable, f)
    points = check_count("number of points", points, 2, 2000)
    steps = _path(path, 2)
    across, up = (_room(steps[:, 0]), _room(steps[:, 1])) if span is None else _span(span, (2, 2))
    x, y = (np.linspace(low, high, points) for low, high in (across, up))
    z = np.array([[single(f(a, b)).item() for a in x.tolist()] for b in y.tolist()])
    if not np.isfinite(z).any():
        raise ValueError(f"the function is nan or infinite at all {points} × {points} points")
    # Squared, since a bowl's rings are then equally far apart. Where f is nan or infinite nothing is drawn.
    z[~np.isfinite(z)] = np.nan
    lowest, highest = np.nanmin(z), np.nanmax(z)
    steps_up = np.linspace(0, 1, 14) ** 2
    levels = lowest + (highest - lowest) * steps_up
    if not (np.diff(levels) > 0).all():  # as good as level
        levels = lowest + max(1.0, abs(lowest)) * steps_up
    shades = on.contourf(x, y, z, levels, cmap="Blues")
    on.contour(x, y, z, levels, colors="0.4", linewidths=0.5)
    label, ticks = labels.pop("zlabel", "loss"), _matplotlib().ticker.MaxNLocator(6)
    on.figure.colorbar(shades, ax=on, label=label, ticks=ticks, spacing="proportional")
    on.quiver(
        *steps[:-1].T,
        *np.diff(steps, axis=0).T,
        angles="xy",
        scale_units="xy",
        scale=1,
        color=VERMILION,
        width=0.006,
    )
    on.plot(
        *steps[:1].T,
        "o",
        *steps[-1:].T,
        "*",
        color=VERMILION,
        markeredgecolor="black",
        markersize=11,
    )
    return _labelled(on, {"xlim": across, "ylim": up, **labels})


def losses(runs: Any, *, tolerance: float | None = None, ax: Any = None, **labels: Any) -> "Figure":
    """How the loss falls in one run, or in several by name, in a dictionary.

    A run is a list of losses; a pair (x, losses) of lists; or what `train.fit` gives, in a list or
    as it comes (then this trains). Of those records it shows the loss by epoch and, if there is
    one, the loss on the test examples too.

    With a `tolerance`, a star where `train.has_converged` holds for the first time: where a loss
    nearly stops changing. A run with nothing but nan and infinite losses is in the legend only; if
    there is no other, that is a `ValueError`.
    """
    on, named = _axes(ax), runs if isinstance(runs, Mapping) else {"": runs}
    drawn = [each for name, run in named.items() for each in _runs(str(name), run)]
    if not any(np.isfinite(y).any() for _, _, y, _ in drawn):
        came = "only nan and infinite ones" if any(y.size for _, _, y, _ in drawn) else "none"
        raise ValueError(f"expected losses that are finite, but got {came}")
    for (name, x, y, unit), (colour, _, line) in zip(drawn, _LOOKS * len(drawn), strict=False):
        if name and not np.isfinite(y).any():
            name = f"{name} (no finite loss)"
        on.plot(x, y, color=colour, linestyle=line, label=name, marker="." if len(y) == 1 else None)
        # (The last 6 losses are all that `has_converged` looks at.)
        for n in [
            n
            for n in range(len(y))
            if tolerance is not None and has_converged(y[max(0, n - 5) : n + 1], tolerance)
        ][:1]:
            note = f"nearly stops changing: {unit} {x[n]}"
            on.plot(
                x[n], y[n], "*", color=colour, markeredgecolor="black", markersize=14, label=note
            )
    low, high = on.dataLim.intervaly
    on.set(yscale="log" if low > 0 else "linear", ylabel="loss")
    if 0 < high < 1e4 * low:  # beyond that the ticks at powers of 10 are enough
        at = _matplotlib().ticker.LogLocator(subs=(1, 2, 5))
        on.yaxis.set(major_locator=at, major_formatter="{x:g}", minor_formatter="")
    if all(unit == "epoch" for *_, unit in drawn):
        on.set_xlabel("epoch")
    return _labelled(on, labels)


class _Run(NamedTuple):
    """A line in a picture of losses: both arrays (n,); the unit is what x counts."""

    name: str
    x: NDArray[Any]
    losses: NDArray[Any]
    unit: str


def _runs(name: str, given: Any) -> list[_Run]:
    """The lines of what was given as one run: two where there are test losses."""
    if isinstance(given, Iterator):
        given = list(given)
    records = [given] if isinstance(given, Epoch) else given
    if isinstance(records, list | tuple) and any(isinstance(each, Epoch) for each in records):
        return _epochs(name, check_list("records of train.fit", records, Epoch, "Epochs"))
    parts = [_bare(part) for part in given] if isinstance(given, tuple) else []
    if not any(np.ndim(part) for part in parts):  # not the pair (x, losses)
        y = _one_run(given)
        return [_Run(name, np.arange(len(y)), y, "step")]
    if len(parts) != 2:
        came = f"{len(parts)} in a tuple"
        raise ValueError(f"expected the pair (x, losses), but got {came}{_SEVERAL}")
    x, y = np.ravel(parts[0]), _one_run(parts[1])
    if len(x) != len(y):
        came = f"{len(x)} and {len(y)}"
        raise ValueError(f"expected the pair (x, losses) with as many of each, but got {came}")
    return [_Run(name, x, y, "step")]


_SEVERAL = '; several runs have names, as in {"slow": losses, "fast": others}'


def _one_run(given: Any) -> NDArray[Any]:
    """The losses of one run, (n,); an error where there are several, or something else."""
    for each in given if isinstance(given, list) else []:
        if isinstance(each, list | tuple | Mapping):
            came = f"a list with {shown(each)} in it"
            raise TypeError(f"expected a list of losses, but got {came}{_SEVERAL}")
    array = _numbers("losses", given)
    if array.ndim > 1 and array.size != len(array):
        came = f"shape {array.shape}"
        raise ValueError(f"expected a loss for each step, (n,), but got {came}{_SEVERAL}")
    return np.ravel(array)


def _epochs(name: str, records: list[Epoch]) -> list[_Run]:
    """The losses in training and, if there are any, on the test examples, by epoch."""
    tested = [epoch for epoch in records if epoch.test_loss is not None]
    beside = f"{name}, " if name else ""

    def line(name: str, epochs: list[Epoch], field: str) -> _Run:
        numbers = np.array([epoch.number for epoch in epochs])
        return _Run(name, numbers, np.array([getattr(epoch, field) for epoch in epochs]), "epoch")

    if not tested:
        return [line(name, records, "loss")]
    return [line(f"{beside}training", records, "loss"), line(f"{beside}test", tested, "test_loss")]


def images(arrays: Any, titles: Any = (), *, columns: int = 10, signed: bool = False,
           unit: str = "") -> "Figure":  # fmt: skip
    """Images side by side, (n, height, width), or (n, pixels) where they are squares: digits, or the weights of a layer.

    An axis of length 1 for the colour may be there: (n, height, width, 1) or (n, 1, height, width).
    `titles` are a list of at most n: texts, or labels. All images have the same scale, from white
    to black; if `signed`, from blue for negative over white for 0 to red.
    """
    _matplotlib()
    array = np.asarray(_numbers("images", arrays), float)
    given = array.shape
    if array.ndim == 2 and isqrt(array.shape[1]) ** 2 == array.shape[1]:
        array = array.reshape(-1, isqrt(array.shape[1]), isqrt(array.shape[1]))
    if array.ndim == 4 and 1 in (array.shape[3], array.shape[1]):
        array = array.squeeze(3 if array.shape[3] == 1 else 1)
    if array.ndim != 3 or not array.size:
        expected = "expected images (n, height, width), or (n, pixels) of squares"
        raise ValueError(f"{expected}, but got shape {given}{_hint_for_images(given)}")
    titles = _titles(titles, len(array))
    columns = min(check_count("number of columns", columns, 1), len(array))
    most = np.abs(array[np.isfinite(array)]).max(initial=0.0) or 1.0
    rows, least = -(-len(array) // columns), -most if signed else min(0.0, array.min())
    height = 0.4 + rows * ((7.0 if signed else 8.0) / columns + 0.25 * any(titles))
    whole, places = panels(columns, rows, 8.0, height, frame_on=False, xticks=(), yticks=())
    for on, image, title in zip(places, array, titles, strict=False):
        scale = on.imshow(image, cmap="RdBu_r" if signed else "Greys", vmin=least, vmax=most)
        on.set_title(title)
    if signed:
        whole.colorbar(scale, ax=places, label=unit, shrink=0.8)
    return whole


def _hint_for_images(shape: tuple[int, ...]) -> str:
    """What to write for images of such a shape, where that is known."""
    if len(shape) == 1 or (len(shape) == 2 and shape[0] == shape[1]):
        return ": image[None] is one image as a list of one"
    if len(shape) == 4 and (3 in shape[1::2] or 4 in shape[1::2]):
        return ": pictures in colour are not drawn, but their mean over the colours would be"
    return ""


def _titles(given: Any, images: int) -> list[str]:
    """A title for each image, "" where none was given."""
    given = _bare(given)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"expected a list of titles, one for each image, but got {shown(given)}")
    # (A Value holds labels as floats.)
    titles = [f"{title:g}" if isinstance(title, float) else str(title) for title in given]
    if len(titles) > images:
        expected = f"expected at most {images} titles, one for each image"
        raise ValueError(f"{expected}, but got {len(titles)}")
    return titles + [""] * (images - len(titles))


def confusion_matrix(labels: Any, said: Any, names: Any = None, *, ax: Any = None,
                     **captions: Any) -> "Figure":  # fmt: skip
    """How often each class, a row, was taken for each class, a column.

    Both are integers, (n,), from 0, and `names` say which class is which; or both are texts, and
    the classes are the names or else all the texts, in alphabetical order. `said` may also be what
    a model computes, a number for each class, (n, classes): it says the class with the largest.
    """
    on = _axes(ax, 6.0, 5.5)
    labels, said = _whole(labels), _whole(said)
    if names is not None:
        if isinstance(names, Mapping | set | frozenset):
            raise TypeError(f"expected names to be a list, from class 0 on, but got {shown(names)}")
        names = check_list("names", names, object)
    if _is_text(labels) and _is_text(said):
        labels, said, names = _numbered(labels, said, names)
    said = _largest(said, len(labels))
    if not labels.size:
        raise ValueError("expected at least one example, but got none")
    examples, most = len(labels), 1000 if names is None else len(names)
    places = check_labels(labels, examples, most), check_labels(said, examples, most)
    classes = max(map(np.max, places)) + 1 if names is None else most
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, places, 1)
    # Shaded by their root, for among hundreds on the diagonal the few beside it would all look the same.
    on.imshow(np.sqrt(counts), cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        on.text(
            column,
            row,
            count or "·",
            ha="center",
            va="center",
            color="white" if 2 * count > counts.max() else "black",
        )
    for axis in (on.xaxis, on.yaxis):
        axis.set_ticks(range(classes), names)
    return _labelled(on, {"xlabel": "said", "ylabel": "is", **captions})


def _whole(given: Any) -> NDArray[Any]:
    """Labels, or what a model computed, as an array.

    Booleans, and labels that a Value holds as floats, become the integers that they stand for.
    """
    array = np.asarray(_bare(given))
    if not array.ndim or (array.dtype == object and not _is_text(array)):
        raise TypeError(f"expected a list of labels, one for each example, but got {shown(given)}")
    values = [given, *given] if isinstance(given, list) else [given]
    holds_floats = any(isinstance(x, Value) for x in values)
    labels = holds_floats and array.ndim == 1 and (array == np.rint(array)).all()
    return array.astype(np.int64) if labels or array.dtype == bool else array


def _largest(said: NDArray[Any], examples: int) -> NDArray[Any]:
    """Of numbers for each class, (n, classes), the class with the largest; labels as they are."""
    if said.dtype.kind != "f":
        return said
    if said.ndim == 2 and len(said) == examples and said.shape[1] > 1:
        if np.isnan(said).any():
            raise ValueError("there is nan in what the model said, which names no class")
        largest: NDArray[np.int64] = said.argmax(axis=1)
        return largest
    fractions = said[said != np.rint(said)]
    if fractions.size:
        expected = "expected said to be labels, or a number for each class"
        hint = "where these are probabilities of class 1, said > 0.5 says the class"
        raise TypeError(f"{expected}, but got {fractions[0]:g}; {hint}")
    return said


def _is_text(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "UOT" and all(isinstance(each, str) for each in labels.flat)


def _numbered(labels: NDArray[Any], said: NDArray[Any],
              names: list[Any] | None) -> tuple[NDArray[Any], NDArray[Any], list[Any]]:  # fmt: skip
    """Texts as numbers: their places among the names or, without any, in alphabetical order."""
    known = names or encode_labels([*labels.flat, *said.flat]).names
    number = {name: n for n, name in enumerate(known)}
    unknown = [text for text in (*labels.flat, *said.flat) if text not in number]
    if unknown:
        expected = f"expected labels that are among the names {shown(known)}"
        raise ValueError(f"{expected}, but got {str(unknown[0])!r}")
    labels, said = (np.reshape([number[text] for text in x.flat], x.shape) for x in (labels, said))
    return labels, said, known


def landscape(loss: Any, parameters: Sequence[Value], directions: Any, *, path: Any = (),
              **options: Any) -> "Figure":  # fmt: skip
    """The loss on a plane through the parameters, as they are, in two directions: (2, size), as of `nn.parameters_to_vector`.

    `loss()` computes it with the parameters, which are moved over the plane, and put back. A path, (n, size), is projected
    onto the plane (`ValueError` for other shapes). Options are those of `contours`; without a path or a `span` it shows 1
    to either side. (Li et al., Visualizing the loss landscape of neural nets, 2018.)
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

    @evaluation  # dropout and running means of the model stay out of it
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
    drawn = [(p, check_rng(rng).normal(size=p.shape)) for p in check_list(_PARAMETERS, parameters)]
    return np.concatenate(
        [np.ravel(d / length(d) * length(p.data) if p.ndim > 1 else 0 * d) for p, d in drawn]
    )


_PARAMETERS = "parameters, such as model.parameters()"


def principal_directions(path: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two directions, (2, size), of length 1, in which a path's points, (n, size), vary most; the shares of variance, (2,).

    A path that does not move has none: a `ValueError`. (Li et al., 2018, section 7: principal
    component analysis, here of the differences from the mean.)
    """
    points = np.asarray(_numbers("path", path), float)
    if points.ndim != 2:
        raise ValueError(f"expected a path of shape (n, size), but got shape {points.shape}")
    if not len(points) or (points == points[0]).all():
        expected = "expected a path with at least two different points"
        raise ValueError(f"{expected}, but got {len(points)} at one place")
    _, lengths, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return directions[:2], lengths[:2] ** 2 / (lengths**2).sum()


def _matplotlib() -> Any:
    """What is used of Matplotlib; a `ModuleNotFoundError` where it is not installed."""
    from microgd.pictures import figure

    return figure


def _axes(ax: Any, width: float = 8.0, height: float = 4.5) -> Any:
    """The axes that came; those of a figure of its own for None."""
    check_type("ax to be Matplotlib's axes", _matplotlib().axes.Axes | None, ax)
    return panels(1, 1, width, height)[1][0] if ax is None else ax


def _bare(given: Any) -> Any:
    """What came, with what Values hold in place of them, and a list in place of an iterator."""
    if isinstance(given, Value):
        return given.data
    if isinstance(given, tuple):
        return tuple(map(_bare, given))
    return [_bare(each) for each in given] if isinstance(given, list | Iterator) else given


def _numbers(what: str, given: Any) -> NDArray[Any]:
    """What came as an array of float32 or float64; an error that says what it was given for."""
    try:
        return np.asarray(as_data(_bare(given)))
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None


def _path(given: Any, size: int) -> NDArray[Any]:
    """The points of a path, (n, size), or none of them; a `ValueError` for other shapes."""
    points = _numbers("path", given)
    if not points.size:
        return np.empty((0, size))
    if points.ndim != 2 or points.shape[1] != size:
        raise ValueError(f"expected a path of shape (n, {size}), but got shape {points.shape}")
    return points


def _span(span: Any, shape: tuple[int, ...]) -> Any:
    """(low, high), or two of these; a `ValueError` where it is something else."""
    ends = _numbers("span", span)
    if (
        ends.shape != shape
        or not np.isfinite(ends).all()
        or not (ends[..., 0] < ends[..., 1]).all()
    ):
        raise ValueError(
            f"expected a span of shape {shape}, from low to high, but got {shown(span)}"
        )
    return ends


def _room(at: NDArray[Any]) -> tuple[float, float]:
    """From the smallest to the largest, and some more on either side; without any, 1 to either side of 0."""
    if not np.isfinite(at).all():
        wrong, hint = at[~np.isfinite(at)][0], "with a span only those in it are shown"
        raise ValueError(f"expected points that are finite, but got {wrong}; {hint}")
    low, high = (float(at.min()), float(at.max())) if at.size else (0.0, 0.0)
    margin = 0.2 * (high - low) or max(1.0, 1e-6 * abs(low))  # to a huge number 1 would add nothing
    return low - margin, high + margin


def _labelled(on: Any, labels: Mapping[str, Any]) -> "Figure":
    on.set(**labels)
    if on.get_legend_handles_labels()[1]:
        on.legend()
    return on.figure  # type: ignore[no-any-return]
