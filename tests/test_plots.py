"""Pictures of learning show what they are given: read back from Matplotlib's own objects."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from microgd import Value, nn, operations

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
        axes, ({"start": [0.0], "toward": [1.0], "away": []}, {"start": [1], "toward": (), "away": [0]}), strict=True
    ):
        assert plots.curve(cubic, kinds, ax=on) is figure
    looks = [
        {line.get_label(): (line.get_color(), line.get_marker()) for line in on.lines if line.get_marker() != "None"}
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
        shades.levels[[0, -1]], [min(a**2 + 3 * b**2 for a, b in seen), max(a**2 + 3 * b**2 for a, b in seen)]
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
    ("labels", "said", "error"), [([0, 1], [0], ValueError), ([0, 3], [0, 1], ValueError), (["cat", "dog"], [0, 1], TypeError)]
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
            np.testing.assert_allclose(np.linalg.norm(part.reshape(p.shape), axis=1), np.linalg.norm(p.data, axis=1))
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
    np.testing.assert_allclose(along.var(axis=0) / (path - path.mean(axis=0)).var(axis=0).sum(), shares)


def test_a_figure_shows_itself_in_jupyter():
    assert plots.losses([2.0, 1.0])._repr_png_().startswith(b"\x89PNG")


def test_pictures_need_no_pyplot_and_no_display():
    code = "import io, sys; from microgd import plots; plots.losses([2.0, 1.0]).savefig(io.BytesIO())"
    code += "; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_matplotlib_the_error_says_how_to_get_it():
    code = "import sys; sys.modules['matplotlib'] = None; from microgd import plots"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "microgd.plots needs Matplotlib: pip install matplotlib" in done.stderr
