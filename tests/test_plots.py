"""Pictures of learning show what they are given, as read back from Matplotlib's own objects."""

import io
import pickle
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from microgd import Value, data, nn, operations, optim, train

if find_spec("matplotlib") is None:
    pytest.skip("Matplotlib is not installed", allow_module_level=True)

from microgd import plots


def cubic(x):
    return 3 * x**3 - 6 * x**2 + 2 * x


def texts(on):
    return [text.get_text() for text in on.texts]


def test_a_curve_shows_the_function_and_its_tangents():
    [on] = plots.curve(cubic, [-0.5, 0.0, 1.5], span=(-1, 2)).axes
    curve, *segments, points = on.lines
    np.testing.assert_allclose(curve.get_ydata(), cubic(curve.get_xdata()))
    assert (curve.get_xdata()[0], curve.get_xdata()[-1]) == (-1, 2)
    np.testing.assert_allclose(points.get_xydata(), [(x, cubic(x)) for x in (-0.5, 0.0, 1.5)])
    assert len(segments) == 3
    for x, segment in zip((-0.5, 0.0, 1.5), segments, strict=True):
        (x1, y1), (x2, y2) = segment.get_xydata()
        np.testing.assert_allclose((y2 - y1) / (x2 - x1), 9 * x**2 - 12 * x + 2)
        np.testing.assert_allclose(((x1 + x2) / 2, (y1 + y2) / 2), (x, cubic(x)))


def test_kinds_of_points_have_the_same_colours_in_every_picture_that_lists_the_same_kinds():
    figure, axes = plots.panels(2)
    for on, kinds in zip(
        axes,
        ({"start": [0.0], "toward": [1.0], "away": []}, {"start": [1], "toward": (), "away": [0]}),
        strict=True,
    ):
        assert plots.curve(cubic, kinds, ax=on) is figure
    looks = [
        {
            line.get_label(): (line.get_color(), line.get_marker())
            for line in on.lines
            if line.get_marker() != "None"
        }
        for on in axes
    ]
    assert looks[0]["start"] == looks[1]["start"]
    assert len({looks[0]["start"], looks[0]["toward"], looks[1]["away"]}) == 3
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["start", "away"]


def test_axes_have_labels():
    [on] = plots.curve(cubic, [0.0, 1.0], title="Title", xlabel="x (m)").axes
    assert (on.get_title(), on.get_xlabel()) == ("Title", "x (m)")


@pytest.mark.parametrize("f", [operations.exp, lambda x: nn.mse_loss(x * np.ones(3), np.zeros(3))])
def test_a_curve_takes_functions_of_values(f):
    curve = plots.curve(f, [1.0, 2.0]).axes[0].lines[0]
    np.testing.assert_allclose(curve.get_ydata(), [f(Value(x)).item() for x in curve.get_xdata()])


def test_contours_show_the_function_and_each_step_of_the_path():
    path = np.array([[2.0, 1.0], [1.0, 0.5], [0.25, 0.0]])
    seen = []

    def f(a, b):
        seen.append((a, b))
        return Value(a) ** 2 + 3 * b**2

    on, bar = plots.contours(f, path, points=11).axes
    assert len(seen) == 121
    (left, right), (low, high) = on.get_xlim(), on.get_ylim()
    assert left < 0.25 < 2 < right
    assert low < 0 < 1 < high
    assert np.min(seen, axis=0).tolist() == [left, low]
    assert np.max(seen, axis=0).tolist() == [right, high]
    shades, _, arrows = on.collections
    np.testing.assert_allclose(
        shades.levels[[0, -1]],
        [min(a**2 + 3 * b**2 for a, b in seen), max(a**2 + 3 * b**2 for a, b in seen)],
    )
    np.testing.assert_allclose(np.stack([arrows.X, arrows.Y], axis=1), path[:-1])
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], axis=1), np.diff(path, axis=0))
    assert bar.get_ylabel() == "loss"


def test_contours_need_no_path():
    on, _ = plots.contours(lambda a, b: a * b, span=((0, 1), (2, 3)), points=5).axes
    assert (on.get_xlim(), on.get_ylim()) == ((0, 1), (2, 3))


def test_losses_mark_the_step_at_which_they_converge():
    falling = [2.0**-n for n in range(20)]
    level = [4.0, 2.0] + [1.0] * 10
    [on] = plots.losses({"falling": falling, "level": level}, tolerance=1e-3).axes
    lines = {line.get_label(): line for line in on.lines}
    assert list(lines["falling"].get_ydata()) == falling
    assert list(lines) == ["falling", "level", "nearly stops changing: step 7"]
    assert lines["nearly stops changing: step 7"].get_xydata().tolist() == [[7, 1.0]]
    assert on.get_yscale() == "log"


def test_losses_of_one_run_need_no_name_and_may_have_their_own_x():
    [on] = plots.losses([3.0, 2.0, 1.0], yscale="linear").axes
    assert on.lines[0].get_xydata().tolist() == [[0, 3], [1, 2], [2, 1]]
    assert on.get_legend() is None
    [on] = plots.losses({"a": ([10, 20], [3.0, 2.0])}).axes
    assert on.lines[0].get_xydata().tolist() == [[10, 3], [20, 2]]


def test_losses_of_many_runs_differ_in_more_than_colour():
    [on] = plots.losses({str(n): [2.0, 1.0] for n in range(6)}).axes
    assert len({line.get_linestyle() + str(line._unscaled_dash_pattern) for line in on.lines}) == 6


def test_images_share_one_scale_that_is_even_about_zero_if_they_are_signed():
    weights = np.random.default_rng(0).normal(size=(3, 16)) * [[1], [2], [3]]
    figure = plots.images(weights, ["a", "b", "c"], columns=2, signed=True, unit="weight")
    *axes, bar = figure.axes
    shown = [on.images[0] for on in axes if on.images]
    np.testing.assert_array_equal([image.get_array() for image in shown], weights.reshape(3, 4, 4))
    most = np.abs(weights).max()
    assert {image.get_clim() for image in shown} == {(-most, most)}
    assert [on.get_title() for on in axes] == ["a", "b", "c", ""]
    assert bar.get_ylabel() == "weight"


def test_images_may_be_oblong():
    figure = plots.images(np.ones((2, 3, 5)))
    assert figure.axes[1].images[0].get_array().shape == (3, 5)


@pytest.mark.parametrize("shape", [(784,), (2, 783), (0, 784), (1, 2, 3, 4)])
def test_what_is_no_images_is_an_error(shape):
    with pytest.raises(ValueError, match="expected images"):
        plots.images(np.zeros(shape))


def test_a_confusion_matrix_counts_each_pair():
    labels, said = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0]
    [on] = plots.confusion_matrix(labels, said, ["cat", "dog", "owl"]).axes
    assert texts(on) == ["1", "1", "·", "·", "1", "·", "1", "·", "2"]
    assert [tick.get_text() for tick in on.get_yticklabels()] == ["cat", "dog", "owl"]
    assert (on.get_ylabel(), on.get_xlabel()) == ("is", "said")


@pytest.mark.parametrize(
    ("labels", "said", "error"),
    [([0, 1], [0], ValueError), ([0, 3], [0, 1], ValueError), (["cat", "dog"], [0, 1], TypeError)],
)
def test_a_confusion_matrix_of_wrong_labels_is_an_error(labels, said, error):
    with pytest.raises(error, match="labels"):
        plots.confusion_matrix(labels, said, ["cat", "dog"])


def network():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng))
    x, target = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    return model.parameters(), lambda: nn.mse_loss(model(x), target)


def test_a_landscape_shows_the_loss_there_and_puts_the_parameters_back():
    parameters, loss = network()
    here, rng = nn.parameters_to_vector(parameters), np.random.default_rng(1)
    directions = [plots.random_direction(parameters, rng) for _ in range(2)]
    seen = []

    def recorded():
        seen.append((nn.parameters_to_vector(parameters), loss()))
        return seen[-1][1]

    on, _ = plots.landscape(recorded, parameters, directions, points=3).axes
    np.testing.assert_array_equal(nn.parameters_to_vector(parameters), here)
    steps = [here + a * directions[0] + b * directions[1] for b in (-1, 0, 1) for a in (-1, 0, 1)]
    np.testing.assert_allclose([at for at, _ in seen], steps, rtol=1e-5, atol=1e-6)
    assert seen[4][1].item() == loss().item()
    assert all(value.op is None for _, value in seen)  # nothing is recorded
    assert (on.get_xlim(), on.get_ylim()) == ((-1, 1), (-1, 1))


def test_a_landscape_that_fails_puts_the_parameters_back():
    parameters, _ = network()
    here = nn.parameters_to_vector(parameters)

    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plots.landscape(fails, parameters, np.eye(2, here.size))
    np.testing.assert_array_equal(nn.parameters_to_vector(parameters), here)


def test_a_path_on_a_landscape_is_projected_onto_its_plane():
    parameters, loss = network()
    here = nn.parameters_to_vector(parameters).astype(float)
    first, second, aside = np.random.default_rng(2).normal(size=(3, here.size))
    aside -= np.stack([first, second]).T @ np.linalg.lstsq(np.stack([first, second]).T, aside)[0]
    path = [here + 3 * first - second + aside, here + first + 2 * second - aside, here]
    on, _ = plots.landscape(loss, parameters, [first, second], path=path, points=3).axes
    arrows = on.collections[2]
    np.testing.assert_allclose(np.stack([arrows.X, arrows.Y], axis=1), [[3, -1], [1, 2]], atol=1e-6)


def test_a_random_direction_is_as_long_as_the_weights_of_each_output():
    parameters, _ = network()
    direction = plots.random_direction(parameters, np.random.default_rng(0))
    parts = np.split(direction, np.cumsum([p.size for p in parameters])[:-1])
    for p, part in zip(parameters, parts, strict=True):
        if p.ndim == 2:
            np.testing.assert_allclose(
                np.linalg.norm(part.reshape(p.shape), axis=1), np.linalg.norm(p.data, axis=1)
            )
        else:
            assert not part.any()
    assert not np.allclose(direction, plots.random_direction(parameters, np.random.default_rng(1)))


def test_principal_directions_span_a_path_that_lies_in_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(2, 30))
    path = rng.normal(size=30) + rng.normal(size=(8, 2)) @ plane
    directions, shares = plots.principal_directions(path)
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(shares.sum(), 1)
    assert shares[0] > shares[1] > 0
    np.testing.assert_allclose(np.linalg.matrix_rank(np.concatenate([directions, plane])), 2)
    along = (path - path.mean(axis=0)) @ directions.T
    np.testing.assert_allclose(
        along.var(axis=0) / (path - path.mean(axis=0)).var(axis=0).sum(), shares
    )


def test_a_figure_shows_itself_in_jupyter():
    assert plots.losses([2.0, 1.0])._repr_png_().startswith(b"\x89PNG")


def test_pictures_need_no_pyplot_and_no_display():
    code = (
        "import io, sys; from microgd import plots; plots.losses([2.0, 1.0]).savefig(io.BytesIO())"
    )
    code += "; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_matplotlib_the_error_says_how_to_get_it():
    code = "import sys; sys.modules['matplotlib'] = None; from microgd import plots; "
    code += "plots.losses([2.0, 1.0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "microgd.plots needs Matplotlib: pip install matplotlib" in done.stderr


def test_tangents_are_about_as_long_to_the_eye_however_steep():
    [on] = plots.curve(lambda x: x**2, [0.0, 5.0], span=(-10, 10)).axes
    sizes = []
    for segment in on.lines[1:-1]:
        (x1, y1), (x2, y2) = segment.get_xydata()
        # The picture is twice as wide as it is high.
        sizes.append(np.hypot(2 * (x2 - x1) / 20, (y2 - y1) / 100))
    np.testing.assert_allclose(sizes, 0.2)


def test_tangents_have_the_colour_of_their_points():
    [on] = plots.curve(lambda x: x**2, {"a": [0.0], "b": [1.0]}).axes
    assert [line.get_color() for line in on.lines[1:]] == [
        plots.BLUE,
        plots.BLUE,
        plots.VERMILION,
        plots.VERMILION,
    ]


def test_a_path_starts_with_a_circle_and_ends_with_a_star():
    on, _ = plots.contours(
        lambda a, b: a * b, [[2.0, 1.0], [1.0, 0.5], [0.0, 0.25]], points=3, zlabel="height"
    ).axes
    start, end = on.lines
    assert (start.get_marker(), start.get_xydata().tolist()) == ("o", [[2.0, 1.0]])
    assert (end.get_marker(), end.get_xydata().tolist()) == ("*", [[0.0, 0.25]])
    arrows = on.collections[2]
    assert (arrows.angles, arrows.scale_units, arrows.scale) == ("xy", "xy", 1)
    assert _.get_ylabel() == "height"


def test_contour_levels_rise_with_the_square():
    on, _ = plots.contours(lambda a, b: a, span=((0, 1), (0, 1)), points=3).axes
    np.testing.assert_allclose(np.sqrt(on.collections[0].levels) * 13, range(14), atol=1e-9)


def test_the_star_of_convergence_looks_like_its_run():
    [on] = plots.losses({"a": [1.0] * 8, "b": [2.0] * 8}, tolerance=0.1).axes
    stars = [line for line in on.lines if line.get_marker() == "*"]
    assert [star.get_color() for star in stars] == [plots.BLUE, plots.VERMILION]
    assert len(on.get_legend().get_texts()) == 4
    assert on.get_ylabel() == "loss"


def test_one_run_with_a_tolerance_has_a_legend_for_its_star():
    [on] = plots.losses([1.0] * 8, tolerance=0.1).axes
    assert [text.get_text() for text in on.get_legend().get_texts()] == [
        "nearly stops changing: step 5"
    ]


def ticks(figure):
    figure.savefig(io.BytesIO())
    axis, (low, high) = figure.axes[0].yaxis, figure.axes[0].get_ylim()
    return [
        t.get_text()
        for t, at in zip(axis.get_majorticklabels(), axis.get_majorticklocs(), strict=True)
        if low <= at <= high
    ]


def test_the_loss_axis_has_plain_numbers_at_1_2_and_5():
    assert ticks(plots.losses([1.0, 0.011])) == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    assert {
        t.get_text() for t in plots.losses([1.0, 0.011]).axes[0].yaxis.get_minorticklabels()
    } <= {""}


def test_counts_stand_in_their_cells_and_rows_are_what_is():
    [on] = plots.confusion_matrix([0, 0, 0, 1], [1, 1, 1, 1], ["cat", "dog"]).axes
    where = {t.get_position(): t.get_text() for t in on.texts}
    assert where == {(0, 0): "·", (1, 0): "3", (0, 1): "·", (1, 1): "1"}
    np.testing.assert_allclose(on.images[0].get_array(), np.sqrt([[0, 3], [0, 1]]))


def test_a_confusion_matrix_without_names_has_as_many_classes_as_either_has():
    for labels, said in (([0, 1], [2, 1]), ([2, 1], [0, 1])):
        [on] = plots.confusion_matrix(labels, said).axes
        assert [t.get_text() for t in on.get_xticklabels()] == ["0", "1", "2"]


def test_every_count_can_be_read_on_its_shade():
    labels, said = np.repeat(np.arange(3), (40, 10, 60)), np.repeat([0, 1, 2, 0], (40, 10, 35, 25))
    [on] = plots.confusion_matrix(labels, said).axes
    shades = on.images[0].to_rgba(on.images[0].get_array())

    def luminance(rgb):
        c = np.asarray(rgb[:3])
        c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return c @ [0.2126, 0.7152, 0.0722]

    for t in on.texts:
        column, row = t.get_position()
        one, other = luminance(shades[row, column]), float(t.get_color() == "white")
        assert (max(one, other) + 0.05) / (min(one, other) + 0.05) > 3


def test_images_are_grey_unless_signed():
    figure = plots.images(np.arange(8.0).reshape(2, 2, 2))
    assert [on.images[0].get_cmap().name for on in figure.axes] == ["Greys"] * 2
    assert {on.images[0].get_clim() for on in figure.axes} == {(0, 7)}
    assert (
        plots.images(-np.ones((1, 2, 2)), signed=True).axes[0].images[0].get_cmap().name == "RdBu_r"
    )


def test_images_fill_their_page():
    for n, columns, rows in ((10, 5, 2), (12, 5, 3), (3, 10, 1)):
        width, height = plots.images(np.ones((n, 4)), columns=columns).get_size_inches()
        assert (width, height) == (8.0, pytest.approx(0.4 + rows * 8 / min(n, columns)))


def test_panels_have_the_size_and_the_axes_that_one_asks_for():
    figure, axes = plots.panels(2, 3, width=7, height=4, xlim=(1, 2))
    assert figure.get_size_inches().tolist() == [7, 4]
    assert [on.get_subplotspec().num1 for on in axes] == [*range(6)]
    assert axes[5].get_xlim() == (1, 2)


def test_there_is_some_room_around_the_points():
    [on] = plots.curve(lambda x: x, [1.0, 3.0]).axes
    np.testing.assert_allclose(on.get_xlim(), (0.6, 3.4))
    on, _ = plots.contours(lambda a, b: a + b, [[1.0, 5.0], [3.0, 5.0]], points=2).axes
    np.testing.assert_allclose((on.get_xlim(), on.get_ylim()), ((0.6, 3.4), (4, 6)))


def test_principal_directions_of_many_weights_take_little_memory():
    directions, _ = plots.principal_directions(np.eye(3, 200_000))  # all 200,000 would take 320 GB
    assert directions.shape == (2, 200_000)


@pytest.mark.parametrize("f", [lambda x: 3.0 + 0 * x, operations.sqrt, operations.sign])
def test_flat_curves_have_tangents(f):
    [on] = plots.curve(f, [1.0, 4.0], span=(0.5, 5)).axes
    assert np.isfinite(on.lines[1].get_xydata()).all()


def test_many_runs_and_many_kinds_look_different():
    [on] = plots.losses({str(n): [2.0, 1.0] for n in range(14)}).axes
    assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in on.lines}) == 14
    [on] = plots.curve(cubic, {str(n): [n / 9] for n in range(14)}).axes
    points = [line for line in on.lines if line.get_marker() != "None"]
    assert len({(line.get_color(), line.get_marker()) for line in points}) == 14


def test_contours_of_a_flat_function_and_of_one_with_holes():
    plots.contours(lambda a, b: 1.0).savefig(io.BytesIO())
    on, _ = plots.contours(lambda a, b: a if b > 0 else np.inf).axes
    np.testing.assert_allclose(on.collections[0].levels[[0, -1]], (-1, 1))


@pytest.mark.parametrize("directions", [np.eye(3), np.eye(1, 3), np.ones(3), np.ones((3, 2))])
def test_a_plane_has_two_directions(directions):
    x = Value(np.ones(3))
    with pytest.raises(ValueError, match=r"^expected two directions, of shape \(2, 3\), but got "):
        plots.landscape(lambda: (x**2).sum(), [x], directions)
    with pytest.raises(ValueError, match=r"path of shape \(n, 3\), but got shape \(4, 2\)$"):
        plots.landscape(lambda: (x**2).sum(), [x], np.eye(2, 3), path=np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"path of shape \(n, 2\), but got shape \(2, 3\)$"):
        plots.contours(lambda a, b: a * b, np.ones((2, 3)))


def test_a_loss_that_has_not_converged_has_no_star_and_no_legend():
    [on] = plots.losses([4.0, 2.0, 1.0], tolerance=1e-3).axes
    assert on.get_legend() is None
    assert len(on.lines) == 1


def test_losses_over_many_powers_of_ten_have_some_ticks():
    assert 3 <= len(ticks(plots.losses([1.0, 1e-12]))) <= 12


def test_losses_of_zero_or_below_are_shown_on_a_linear_axis():
    assert plots.losses([1.0, 0.0, -1.0]).axes[0].get_yscale() == "linear"
    assert plots.losses([1.0]).axes[0].lines[0].get_marker() == "."  # one point alone makes no line


@pytest.mark.parametrize("array", [np.zeros((3, 4)), np.array([[np.nan, 1, -2, 0], [1, 1, 1, 1]])])
def test_images_of_zeros_or_with_nan_share_a_scale(array):
    limits = {on.images[0].get_clim() for on in plots.images(array, signed=True).axes if on.images}
    assert len(limits) == 1
    assert limits.pop()[1] > 0


def test_images_that_are_not_signed_show_negative_numbers_too():
    assert plots.images([[-1.0, 0, 2, 3]]).axes[0].images[0].get_clim() == (-1, 3)


def test_one_class_can_be_read():
    [on] = plots.confusion_matrix([0, 0], [0, 0]).axes
    assert on.images[0].norm(np.sqrt(2)) == 1


# ── What newcomers pass in ────────────────────────────────────────────────────────────────────────


def test_a_figure_is_of_the_public_class():
    assert isinstance(plots.losses([2.0, 1.0]), plots.Figure)


def test_the_public_class_is_listed():
    assert "Figure" in dir(plots)


def test_a_figure_can_be_pickled():
    copy = pickle.loads(pickle.dumps(plots.losses([2.0, 1.0])))
    assert isinstance(copy, plots.Figure)
    assert copy.axes[0].lines[0].get_ydata().tolist() == [2, 1]


def fit(tested=False, initial_epoch=0):
    rng = np.random.default_rng(0)
    model = nn.Linear(2, 2, rng=rng)
    x, labels = rng.normal(size=(8, 2)), np.arange(8) % 2
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    options = {"rng": rng, "test": (x, labels) if tested else None, "initial_epoch": initial_epoch}
    return train.fit(model, nn.cross_entropy, optimizer, x, labels, epochs=3, **options)


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def drawn(figure):
    """The lines by name, each a list of points. (Matplotlib calls an unnamed line _child0.)"""
    [on] = figure.axes
    return {line.get_label().partition("_")[0]: line.get_xydata().tolist() for line in on.lines}


def test_losses_of_epochs_are_drawn_by_their_number():
    epochs = list(fit(initial_epoch=1))
    assert drawn(plots.losses(epochs)) == {"": [[2, epochs[0].loss], [3, epochs[1].loss]]}


def test_losses_of_epochs_have_the_epoch_below():
    assert plots.losses(list(fit())).axes[0].get_xlabel() == "epoch"


def test_ones_own_label_comes_before_that():
    assert plots.losses(list(fit()), xlabel="pass").axes[0].get_xlabel() == "pass"


def test_losses_by_step_have_no_epoch_below():
    assert plots.losses({"a": list(fit()), "b": [1.0, 2.0]}).axes[0].get_xlabel() == ""


def test_a_test_loss_is_a_second_line():
    epochs = list(fit(tested=True))
    assert drawn(plots.losses(epochs)) == {
        "training": [[epoch.number, epoch.loss] for epoch in epochs],
        "test": [[epoch.number, epoch.test_loss] for epoch in epochs],
    }


def test_runs_of_epochs_have_names():
    figure = plots.losses({"a": list(fit()), "b": list(fit(tested=True))})
    assert legend(figure) == ["a", "b, training", "b, test"]


@pytest.mark.parametrize("given", [fit, lambda: tuple(fit()), lambda: iter(list(fit()))])
def test_losses_take_the_epochs_as_they_come(given):
    assert drawn(plots.losses(given())) == drawn(plots.losses(list(fit())))


def test_losses_take_one_epoch():
    assert len(drawn(plots.losses(next(fit())))[""]) == 1


def test_a_star_says_at_which_epoch():
    epochs = [train.Epoch(n, 1.0, None, None, 0.1, 0.1) for n in range(10, 20)]
    assert legend(plots.losses(epochs, tolerance=0.1)) == ["nearly stops changing: epoch 15"]


@pytest.mark.parametrize(
    "given",
    [
        [Value(3.0), Value(2.0)],
        Value([3.0, 2.0]),
        [Value([3.0]) * 1, Value([2.0])],
        (loss for loss in (3.0, 2.0)),
        (3.0, 2.0),
        np.array([[3.0], [2.0]]),
        ([0, 1], [Value(3.0), 2.0]),
    ],
)
def test_losses_take_numbers_in_any_form(given):
    assert drawn(plots.losses(given)) == {"": [[0, 3], [1, 2]]}


def test_what_pytorch_computed_can_be_drawn():
    torch = pytest.importorskip("torch")
    assert drawn(plots.losses([torch.tensor(3.0), torch.tensor(2.0)])) == {"": [[0, 3], [1, 2]]}
    assert plots.images(torch.ones(3, 1, 4, 5)).axes[0].images[0].get_array().shape == (4, 5)
    [on] = plots.confusion_matrix(torch.tensor([0, 1]), torch.eye(2)).axes
    assert texts(on) == ["1", "·", "·", "1"]


def test_what_pandas_holds_can_be_drawn():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [3.0, 2.0], "b": [1.0, 0.5]}, index=[5, 6])
    assert drawn(plots.losses(frame["a"])) == {"": [[0, 3], [1, 2]]}
    assert drawn(plots.losses(dict(frame))) == {"a": [[0, 3], [1, 2]], "b": [[0, 1], [1, 0.5]]}
    [on] = plots.confusion_matrix(pandas.Series(["x", "y"]), pandas.Series(["x", "x"])).axes
    assert texts(on) == ["1", "·", "1", "·"]


def test_a_run_without_a_finite_loss_is_named_all_the_same():
    figure = plots.losses({"0.1": [2.0, 1.0], "10": [np.nan, np.inf], "100": []})
    assert legend(figure) == ["0.1", "10 (no finite loss)", "100 (no finite loss)"]


def test_curves_and_contours_take_points_that_are_values():
    groups = {"a": [Value(1.0)], "b": Value([0.0, 2.0])}
    [on] = plots.curve(cubic, groups, span=(Value(-1.0), 3)).axes
    points = [line.get_xdata().tolist() for line in on.lines if line.get_marker() != "None"]
    assert points == [[1], [0, 2]]
    path = zip([Value(2.0), 1.0], [1.0, 0.0], strict=True)
    on, _ = plots.contours(lambda a, b: a * b, path, points=3).axes
    arrows = on.collections[2]
    np.testing.assert_array_equal(np.stack([arrows.U, arrows.V]), [[-1], [-1]])


@pytest.mark.parametrize(
    "given",
    [
        Value(np.ones((2, 3, 5))),
        [Value(np.ones((3, 5))), np.ones((3, 5))],
        (np.ones((3, 5)) for _ in range(2)),
        np.ones((2, 3, 5, 1)),
        np.ones((2, 1, 3, 5)),
    ],
)
def test_images_take_values_and_an_axis_for_the_colour(given):
    assert [on.images[0].get_array().shape for on in plots.images(given).axes] == [(3, 5)] * 2


@pytest.mark.parametrize("titles", [np.array([3, 4]), Value([3, 4]), ["3", "4"], range(3, 5)])
def test_labels_may_be_titles(titles):
    assert [on.get_title() for on in plots.images(np.ones((3, 4)), titles).axes] == ["3", "4", ""]


LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 0.1, 3.0], [0.5, 0.2, 0.3]])


@pytest.mark.parametrize("said", [[0, 2, 0], LOGITS, Value(LOGITS), Value(LOGITS).softmax(axis=1)])
def test_what_a_model_computes_says_the_class_with_the_largest_number(said):
    [on] = plots.confusion_matrix([0, 1, 2], said).axes
    assert texts(on) == list("1··" + "··1" + "1··")


@pytest.mark.parametrize("labels", [Value([0, 1, 1]), [Value(0), 1, 1], [False, True, True]])
def test_labels_may_be_values_or_booleans(labels):
    assert texts(plots.confusion_matrix(labels, [0, 1, 0]).axes[0]) == ["1", "·", "1", "1"]


@pytest.mark.parametrize(
    ("names", "counts"),
    [(None, "2·1·"), (["dog", "cat"], "·1·2"), (("dog", "cat", "owl"), "·1··2····")],
)
def test_labels_may_be_texts(names, counts):
    [on] = plots.confusion_matrix(["cat", "dog", "cat"], np.array(["cat"] * 3), names).axes
    assert texts(on) == list(counts)
    assert [tick.get_text() for tick in on.get_xticklabels()] == list(names or ["cat", "dog"])


def test_points_of_a_path_may_be_values():
    directions, _ = plots.principal_directions([Value([0.0, 1.0]), Value([0.0, 3.0])])
    np.testing.assert_allclose(np.abs(directions[0]), [0, 1])


MODEL = nn.Sequential(nn.Linear(1, 1))
NONE = "expected losses that are finite, but got none"
PARAMETERS = "expected a list of parameters, such as model.parameters(), but got"
SEVERAL = ': if these are several runs, name them, as in {"slow": losses, "fast": others}'
NO_NUMBERS = "expected a number or an array of float32, float64, integers or booleans, but got"
IMAGES = "expected images (n, height, width), or (n, pixels) of squares, but got shape"
COLOUR = ": images in colour can't be drawn, but their mean over the colours can"
LOSS = "a loss that can be called, such as lambda: nn.mse_loss(model(x), y)"
PLANE = "expected two directions, of shape (2, 2), but got shape"
WRONG = {
    "no losses": (lambda: plots.losses([]), NONE),
    "no runs": (lambda: plots.losses({}), NONE),
    "a generator that is through": (lambda: plots.losses(iter([])), NONE),
    "only nan": (
        lambda: plots.losses([np.nan, np.inf]),
        "expected losses that are finite, but got only nan and infinite ones",
    ),
    "None": (lambda: plots.losses(None), f"losses: {NO_NUMBERS} NoneType"),
    "lists in a list": (
        lambda: plots.losses([[3.0, 2.0], [2.0]]),
        f"expected a list of losses, but got a list with [3.0, 2.0] in it{SEVERAL}",
    ),
    "records that are dictionaries": (
        lambda: plots.losses([{"loss": 1.0}]),
        f"expected a list of losses, but got a list with {{'loss': 1.0}} in it{SEVERAL}",
    ),
    "columns": (
        lambda: plots.losses(np.ones((5, 2))),
        f"expected a loss for each step, (n,), but got shape (5, 2){SEVERAL}",
    ),
    "three lists": (
        lambda: plots.losses(([1.0], [2.0], [3.0])),
        f"expected the pair (x, losses), but got a tuple of 3{SEVERAL}",
    ),
    "more x than losses": (
        lambda: plots.losses(([1, 2, 3], [1.0, 2.0])),
        "expected the pair (x, losses) of the same length, but got 3 and 2",
    ),
    "points that are text": (
        lambda: plots.curve(cubic, ["a"]),
        f"points: {NO_NUMBERS} list of dtype <U1",
    ),
    "a point that is nan": (
        lambda: plots.curve(cubic, [1.0, np.nan]),
        "expected points that are finite, but got nan: give a span, and only the points in it are shown",
    ),
    "a curve that is nowhere": (
        lambda: plots.curve(lambda x: x * np.nan, [1.0], span=(0, 2)),
        "the function is nan or infinite everywhere from 0 to 2",
    ),
    "contours that are nowhere": (
        lambda: plots.contours(lambda a, b: np.nan, points=3),
        "the function is nan or infinite at all 3 × 3 points",
    ),
    "one image": (
        lambda: plots.images(np.ones((28, 28))),
        f"{IMAGES} (28, 28): image[None] is a list of one image",
    ),
    "images in colour": (
        lambda: plots.images(np.ones((2, 4, 5, 3))),
        f"{IMAGES} (2, 4, 5, 3){COLOUR}",
    ),
    "a title that is text": (
        lambda: plots.images(np.ones((3, 4)), "abc"),
        "expected a list of titles, one for each image, but got 'abc'",
    ),
    "more titles than images": (
        lambda: plots.images(np.ones((3, 4)), ["abcd"] * 5),
        "expected at most 3 titles, one for each image, but got 5",
    ),
    "a probability for each example": (
        lambda: plots.confusion_matrix([0, 1], [0.25, 1.0]),
        "expected said to be labels, or a number for each class, but got 0.25: "
        "if these are probabilities of class 1, give said > 0.5",
    ),
    "a model that was not called": (
        lambda: plots.confusion_matrix([0, 1], MODEL),
        "expected a list of labels, one for each example, but got Sequential(Linear(1, 1))",
    ),
    "a text that is none of the names": (
        lambda: plots.confusion_matrix(["cat", "cow"], ["cat", "cat"], ["cat", "dog"]),
        "expected labels that are among the names ['cat', 'dog'], but got 'cow'",
    ),
    "no examples": (
        lambda: plots.confusion_matrix([], []),
        "expected at least one example, but got none",
    ),
    "names that are text": (
        lambda: plots.confusion_matrix([0, 1], [0, 1], "ab"),
        "expected a list of names, but got 'ab'",
    ),
    "names in a dictionary": (
        lambda: plots.confusion_matrix([0], [0], {0: "a"}),
        "expected names to be a list, from class 0 on, but got {0: 'a'}",
    ),
    "a loss that was computed": (
        lambda: plots.landscape(Value(1.0), MODEL.parameters(), np.eye(2)),
        f"expected {LOSS}, but got Value(1.0)",
    ),
    "a model in place of its parameters": (
        lambda: plots.landscape(lambda: 1.0, MODEL, np.eye(2)),
        f"{PARAMETERS} Sequential(Linear(1, 1))",
    ),
    "a model in place of its parameters for a direction": (
        lambda: plots.random_direction(MODEL, np.random.default_rng(0)),
        f"{PARAMETERS} Sequential(Linear(1, 1))",
    ),
    "three directions": (
        lambda: plots.landscape(lambda: 1.0, MODEL.parameters(), np.ones((3, 2))),
        f"{PLANE} (3, 2)",
    ),
    "a path of one point": (
        lambda: plots.principal_directions(np.ones((1, 3))),
        "expected a path with at least two different points, but got 1 at one place",
    ),
    "one point as a path": (
        lambda: plots.principal_directions(np.ones(3)),
        "expected a path of shape (n, size), but got shape (3,)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_answered_with_what_came_and_what_is_right(name):
    mistake, message = WRONG[name]
    with pytest.raises((TypeError, ValueError)) as error:
        mistake()
    assert str(error.value) == message


def test_one_hot_labels_are_an_error_that_says_how_to_undo_it():
    with pytest.raises((TypeError, ValueError), match=r"shape \(2,\), .*argmax\(axis=1\)"):
        plots.confusion_matrix(data.one_hot([0, 1], 2), [0, 1])


def test_a_landscape_is_of_the_model_in_evaluation_and_leaves_its_running_means_alone():
    class Watching(nn.Module):
        """A layer that notes whether it is in training."""

        def __init__(self):
            self.weight, self._seen = Value([1.0, 2.0]), set()

        def forward(self, x):
            self._seen.add(self.training)
            return x @ self.weight

    model = Watching()
    plots.landscape(lambda: model(np.eye(2)).sum(), model.parameters(), np.eye(2), points=3)
    assert model._seen == {False}
    assert model.training


def test_contours_of_what_is_as_good_as_level_are_drawn():
    figure = plots.contours(lambda a, b: 1e9 + 1e-9 * a, [[0.0, 0.0], [1.0, 1.0]], points=5)
    assert len(figure.axes) == 2


def test_scores_of_nan_are_not_counted_as_a_class():
    with pytest.raises(ValueError, match="nan in what the model said"):
        plots.confusion_matrix([0, 1], [[0.1, np.nan], [0.0, 1.0]])


def test_names_of_classes_have_an_order():
    with pytest.raises(TypeError, match="expected names to be a list"):
        plots.confusion_matrix([0, 1], [0, 1], {"a", "b"})
