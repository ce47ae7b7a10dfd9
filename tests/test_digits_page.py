"""The page that digits.py writes, in a real browser: it computes what the engine computes."""

import copy
import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from chromium import OpenPage, needs_browser
from example_runs import EXAMPLES
from PIL import Image

from microgd import data, gradients, nn, operations, optim, train
from microgd.value import Value

pytestmark = [needs_browser, pytest.mark.xdist_group("digits page")]
TEST = data.digits().test
SOME = data.Examples(TEST.x[:40], TEST.y[:40])  # a small page opens fast
CLOSE = 1e-5  # relative to the largest element, in float32


@cache
def trained(bend, sizes, digits, epochs):
    rng = np.random.default_rng(0)
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, rng=rng), bend()]
    model = nn.Sequential(*layers[:-1])
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = data.digits().train
    steps = train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        x[:digits],
        y[:digits],
        epochs=epochs,
        batch_size=64,
        rng=rng,
    )
    for epoch in steps:
        optimizer.lr = 0.05 * (1 - epoch.number / epochs)
    return model


def network(bend=nn.ReLU, sizes=(784, 16, 16, 10), digits=1000, epochs=3):
    """A network that has learned for a moment, to do with as one likes."""
    return copy.deepcopy(trained(bend, sizes, digits, epochs))


def write(path, model, test=SOME, **settings):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        import digits_page
    digits_page.write(path, model, test, **settings)
    return path


@pytest.fixture
def opened(browser, tmp_path):
    """A function that writes the page for a network and opens it."""
    pages = []

    def start(model, test=SOME, **options):
        pages.append(OpenPage(browser, write(tmp_path / "digits.html", model, test), **options))
        return pages[-1].page

    yield start
    for page in pages:
        page.close()


def check_close(found, expected):
    """Check that all elements agree, measured by the largest one."""
    expected = np.asarray(expected)
    found = np.asarray(found).reshape(expected.shape)
    assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


def line(page):
    return page.inner_text("#line")


def take(page, place):
    page.fill("#place", str(place))
    page.press("#place", "Enter")
    assert line(page).startswith(digit_in_words(place))


def digit_in_words(place):
    label = TEST.y[place]
    return f"Test digit {place} is {'an' if label == 8 else 'a'} {label}."


def steps_on(page):
    """The rows of the table of steps, without its head."""
    return [row.split("\t") for row in page.locator("#steps tbody tr").all_inner_texts()]


def image_on(page):
    return np.array(page.evaluate("[...image]"))


def weights_on(page):
    """All weights and biases of the page's network, in the engine's order."""
    layers = page.evaluate("network.map(layer => [[...layer.weight], [...layer.bias]])")
    return np.concatenate([np.concatenate([weight, bias]) for weight, bias in layers])


# ── What the engine computes ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bend", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_the_page_computes_the_engines_results_probabilities_and_loss(bend, opened):
    model = network(bend)
    page = opened(model)
    for place in (0, 5, 17):
        take(page, place)
        x = TEST.x[place : place + 1]
        outputs = model(x)
        shown = page.evaluate("forward(network, image).map(result => [...result])")
        assert np.array_equal(np.float32(shown[0]), x[0])
        check_close(shown[1], model[:2](x).data)
        check_close(shown[2], model[:4](x).data)
        check_close(shown[3], outputs.data)
        probabilities = operations.softmax(outputs).data
        check_close(page.evaluate("softmax(forward(network, image).at(-1))"), probabilities)
        for label in (0, 7):
            loss = nn.cross_entropy(outputs, np.array([label])).item()
            found = page.evaluate(f"lossOf(forward(network, image).at(-1), {label})")
            assert found == pytest.approx(loss, rel=CLOSE, abs=1e-6)


@pytest.mark.parametrize("bend", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_the_page_computes_the_engines_slopes_of_the_pixels(bend, opened):
    model = network(bend)
    page = opened(model)
    take(page, 5)
    image = Value(TEST.x[5:6])
    outputs = model(image)
    for output in range(10):
        (slope,) = gradients(outputs[0, output], [image])
        start = [float(digit == output) for digit in range(10)]
        found = page.evaluate(
            "start => [...backward(network, forward(network, image), start).image]", start
        )
        check_close(found, slope)


@pytest.mark.parametrize("sizes", [(784, 10), (784, 24, 10), (784, 8, 8, 8, 10)])
def test_a_network_may_have_any_number_of_layers(sizes, opened):
    model = network(sizes=sizes)
    page = opened(model)
    take(page, 3)
    check_close(page.evaluate("[...forward(network, image).at(-1)]"), model(TEST.x[3:4]).data)
    page.select_option("#unit", "0 3")
    page.click("#teach")
    assert page.locator("#updates canvas").count() == sizes[1]


def test_steps_on_the_page_are_the_engines_steps(opened):
    model = network()
    page = opened(model)
    take(page, 8)
    page.select_option("#label", "3")
    page.fill("#rate", "0.02")
    x, y = TEST.x[8:9], np.array([3])
    optimizer = optim.SGD(model.parameters(), lr=0.02)
    losses, lengths = [], []
    for _ in range(3):
        page.click("#teach")
        optimizer.zero_grad()
        loss = nn.cross_entropy(model(x), y)
        losses.append(loss.item())
        loss.backward()
        update = np.concatenate([np.ravel(each) for each in optimizer.nudges()])
        lengths.append(np.linalg.norm(update))
        optimizer.step()
        check_close(weights_on(page), nn.parameters_to_vector(model.parameters()))
        shown = page.evaluate("elementsOf(updates)")
        check_close(shown, update)
    losses.append(nn.cross_entropy(model(x), y).item())
    rows = steps_on(page)
    assert [row[0] for row in rows] == ["0", "1", "2", "3"]
    assert [float(row[1]) for row in rows] == pytest.approx(losses, rel=0.006)
    assert [float(row[4]) for row in rows[1:]] == pytest.approx(lengths, rel=0.006)
    words = page.inner_text("#update-words")
    assert f"{np.sum(update == 0):,} are 0" in words
    largest = float(re.search(r"largest numbers are (−?[\d.]+)", words)[1].replace("−", "-"))
    assert largest == pytest.approx(update[np.abs(update).argmax()], rel=0.006)


def test_the_largest_elements_of_the_update_have_the_names_of_their_weights(opened):
    page = opened(network())
    assert page.evaluate("elementName(0)") == (
        "weight from the pixel in row 0, column 0 to unit 0 of layer 1"
    )
    of_layer_1 = 784 * 16
    assert page.evaluate(f"elementName({of_layer_1 + 15})") == "bias of unit 15 of layer 1"
    first_of_layer_2 = of_layer_1 + 16
    assert page.evaluate(f"elementName({first_of_layer_2 + 17})") == (
        "weight from unit 1 of layer 1 to unit 1 of layer 2"
    )
    assert page.evaluate("elementName(13001)") == "bias of output 9"


def test_bars_show_the_probabilities_before_and_after_the_step(opened):
    page = opened(network())
    take(page, 8)
    page.select_option("#label", "3")
    probabilities = "softmax(forward(network, image).at(-1))"
    page.click("#teach")
    before = page.evaluate(probabilities)
    page.click("#teach")
    after = page.evaluate(probabilities)
    for look, expected in (("before", before), ("after", after)):
        widths = page.locator(f"#bars rect.{look}").evaluate_all(
            "bars => bars.map(bar => bar.width.baseVal.value)"
        )
        assert np.array(widths) == pytest.approx(155 * np.array(expected), abs=1.01)


@pytest.mark.parametrize("unit", ["0 4", "1 3", "2 9"])
def test_looking_into_a_unit_shows_what_the_engine_adds_up(unit, opened):
    model = network()
    page = opened(model)
    take(page, 5)
    layer, row = map(int, unit.split())
    page.select_option("#unit", unit)
    given = model[: 2 * layer](TEST.x[5:6]).data[0] if layer else TEST.x[5]
    linear = model[2 * layer]
    products = given * linear.weight.data[row]
    table = page.inner_text("#inside table")
    shown = {name: value.split("= ")[-1] for name, value in re.findall(r"(.+)\t(.+)", table)}
    shown = {name: float(value.replace("−", "-")) for name, value in list(shown.items())[1:]}
    total = products.sum() + linear.bias.data[row]
    assert shown["the bias"] == pytest.approx(linear.bias.data[row], rel=0.006)
    assert shown["the sum"] == pytest.approx(total, rel=0.006)
    if layer < 2:
        assert shown["after ReLU"] == pytest.approx(max(total, 0), rel=0.006)
    else:
        assert "after ReLU" not in shown
    parts = [value for name, value in shown.items() if not name.startswith(("the sum", "after"))]
    assert sum(parts) == pytest.approx(total, abs=float(0.01 * np.abs(products).sum()))


def test_a_click_on_a_circle_looks_into_that_unit(opened):
    page = opened(network())
    take(page, 5)
    place = page.evaluate(
        """() => {
          const box = document.getElementById("network").getBoundingClientRect();
          const scale = box.width / places().width;
          return unitPlace(1, 7).map(x => x * scale);
        }"""
    )
    page.click("#network", position={"x": place[0], "y": place[1]})
    assert page.input_value("#unit") == "1 7"
    assert "unit 7 of layer 2" in page.inner_text("#inside caption")
    assert "unit 7 of layer 2" in line(page)
    page.click("#line a")
    top = page.locator("#inside-title").bounding_box()["y"]
    status = page.locator("#line").bounding_box()
    assert status["y"] + status["height"] <= top < 200
    assert page.evaluate("document.activeElement.id") == "unit"
    assert page.url.endswith("#digit=5")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_circles_have_the_numbers_of_their_units_beside_them(width, opened):
    page = opened(network(), viewport={"width": width, "height": 800})
    take(page, 5)
    numbers = page.locator("#network .number")
    assert numbers.all_text_contents() == [str(unit) for unit in [*range(16), *range(16)]]
    picture = page.locator("#network").bounding_box()
    boxes = [number.bounding_box() for number in numbers.all()]
    circles = [circle.bounding_box() for circle in page.locator("#network circle.ground").all()]
    for box, circle in zip(boxes, circles, strict=False):
        assert picture["x"] <= box["x"]
        assert box["x"] + box["width"] < circle["x"]
        middles = [each["y"] + each["height"] / 2 for each in (box, circle)]
        assert abs(middles[0] - middles[1]) < 3
    for upper, lower in pairwise(boxes[:16]):
        assert upper["y"] + 11 <= lower["y"]  # at least as far apart as they are high


def test_a_layer_without_room_for_all_numbers_has_some(opened):
    page = opened(network(sizes=(784, 100, 10)))
    assert page.locator("#network .number").all_text_contents() == [
        str(n) for n in range(0, 100, 4)
    ]


def test_a_circle_names_its_unit_and_result_to_the_mouse(opened):
    model = network()
    page = opened(model)
    take(page, 5)
    titles = page.locator("#network title").all_text_contents()
    results = [*model[:2](TEST.x[5:6]).data[0], *model[:4](TEST.x[5:6]).data[0]]
    assert len(titles) == 42
    name, value = titles[16 + 7].split(": ")
    assert name == "unit 7 of layer 2"
    assert float(value) == pytest.approx(results[16 + 7], rel=0.006)


def test_the_pictures_of_a_units_weights_have_a_colour_scale(opened):
    model = network()
    page = opened(model)
    take(page, 5)
    page.select_option("#unit", "0 4")
    weights, products = page.locator("#inside figcaption").all_inner_texts()
    ends = re.search(r"from −([\d.]+) \(blue\) over 0 \(white\) to ([\d.]+) \(orange\)", weights)
    most = np.abs(model[0].weight.data[4]).max()
    assert [float(end) for end in ends.groups()] == pytest.approx([most, most], rel=0.006)
    assert products == "ink × weight, on the same scale"


def test_section_3_says_that_its_numbers_are_rounded(opened):
    page = opened(network())
    assert "The numbers shown are rounded" in page.inner_text("section:has(#inside)")


def test_the_status_line_follows_what_one_looks_into(opened):
    page = opened(network())
    page.select_option("#unit", "0 4")
    assert "Draw a digit first" in line(page)
    take(page, 5)
    page.select_option("#unit", "2 3")
    assert "output 3" in line(page)
    page.select_option("#unit", "0 4")
    assert line(page) == "Section 3 shows what made unit 4 of layer 1."
    page.select_option("#which", "7")
    assert line(page) == "Section 4 shows the slopes of output 7."


def test_the_caption_of_the_slopes_tells_their_extremes_from_the_colour_scale(opened):
    model = network()
    page = opened(model)
    take(page, 5)
    image = Value(TEST.x[5:6])
    page.select_option("#which", "7")
    (slope,) = gradients(model(image)[0, 7], [image])
    most = np.abs(slope).max()
    words = page.inner_text("#why-caption").replace("−", "-")
    found = [float(each) for each in re.findall(r"-?\d+\.\d+", words)]
    assert found == pytest.approx([slope.min(), slope.max(), -most, most], rel=0.006)
    assert words.index("largest") < words.index("colour scale")


# ── Steps, in words ───────────────────────────────────────────────────────────────────────────────


def test_a_step_that_raises_the_loss_says_that_it_was_too_long(opened):
    page = opened(network())
    take(page, 25)
    page.select_option("#label", "6")
    page.fill("#rate", "0.2")
    page.click("#teach")
    before, after = (float(row[1]) for row in steps_on(page))
    assert after > before
    assert "the loss rose from" in line(page)
    assert "the step was too long. Reset, and try a rate of 0.02." in line(page)
    page.click("#reset")
    page.fill("#rate", "0.02")
    page.click("#teach")
    assert "the loss fell from" in line(page)
    assert "too long" not in line(page)


def test_a_step_on_a_digit_that_it_knows_says_that_it_hardly_changed_the_network(opened):
    page = opened(network())
    take(page, 0)
    page.fill("#rate", "0.5")
    page.click("#teach")
    assert "hardly" not in line(page)
    page.click("#teach")
    assert steps_on(page)[1][2] == ">\xa099.9%"
    assert "the network knows this digit already, and the step hardly changed it." in line(page)


def moved_far(page):
    """The lengths of the weights and of the step, if the status line names both."""
    found = re.search(r"the weights, of length ([\d.]+), moved by ([\d.]+)\.", line(page))
    return [float(length) for length in found.groups()] if found else None


def test_a_step_that_moves_the_weights_far_says_so_also_if_the_loss_was_tiny(opened):
    page = opened(network())
    take(page, 0)
    page.fill("#rate", "0.02")
    while page.evaluate("lossOf(forward(network, image).at(-1), labels[0])") > 0.0009:
        page.click("#teach")
    before = weights_on(page)
    page.fill("#rate", "1000")
    page.click("#teach")
    assert "the loss was tiny, but at this rate" in line(page)
    lengths = [np.linalg.norm(before), np.linalg.norm(weights_on(page) - before)]
    assert lengths[1] > 0.01 * lengths[0]
    assert moved_far(page) == pytest.approx(lengths, rel=0.006)
    page.click("#line a")
    assert page.evaluate("document.activeElement.id") == "count"


def test_a_step_that_lowers_the_loss_says_if_the_weights_moved_far(opened):
    page = opened(network(), viewport={"width": 360, "height": 740})
    before = weights_on(page)
    take(page, 8)
    page.select_option("#label", "3")
    page.fill("#rate", "0.001")
    page.click("#teach")
    assert "the loss fell" in line(page)
    assert moved_far(page) is None
    page.click("#reset")
    page.fill("#rate", "10")
    page.click("#teach")
    assert "the loss fell" in line(page)
    assert page.locator("#line").bounding_box()["height"] <= 65  # three lines of a phone
    lengths = [np.linalg.norm(before), np.linalg.norm(weights_on(page) - before)]
    assert moved_far(page) == pytest.approx(lengths, rel=0.006)


def test_the_length_of_the_trained_weights_stands_above_those_of_the_steps(opened):
    model = network()
    page = opened(model)
    take(page, 8)
    page.click("#teach")
    length = np.linalg.norm(nn.parameters_to_vector(model.parameters()))
    assert f"have a length, too: {length:.3g}, as trained." in page.inner_text("#lesson")


def test_a_change_that_no_digit_shows_is_called_none(opened):
    page = opened(network())
    take(page, 8)
    page.select_option("#label", "3")
    page.fill("#rate", "1e-9")
    page.click("#teach")
    assert re.search(
        r"the loss stays at [\d.]+, the probability of 3 stays at [\d.]+%\.", line(page)
    )


def test_steps_are_counted_since_training_on_whatever_digit(opened):
    page = opened(network())
    take(page, 8)
    page.click("#teach")
    assert [row[0] for row in steps_on(page)] == ["0", "1"]
    take(page, 5)
    page.click("#teach")
    assert line(page).startswith("Step 2:")
    assert [row[0] for row in steps_on(page)] == ["1", "2"]
    page.select_option("#label", "8")
    assert line(page) == "A step will teach the network that this digit is an 8."
    page.click("#teach")
    assert line(page).startswith("Step 3:")
    page.click("#count")
    assert "after 3 steps." in page.inner_text("#price")
    page.click("#reset")
    page.click("#teach")
    assert line(page).startswith("Step 1:")


def test_a_table_of_many_steps_shows_that_it_leaves_some_out(opened):
    page = opened(network())
    take(page, 8)
    for _ in range(5):
        page.click("#teach")
    assert [row[0] for row in steps_on(page)] == ["0", "1", "2", "3", "4", "5"]
    for _ in range(2):
        page.click("#teach")
    assert [row[0] for row in steps_on(page)] == ["0", "…", "3", "4", "5", "6", "7"]


def test_a_note_says_that_the_network_is_changed_until_it_is_reset(opened):
    page = opened(network())
    before = weights_on(page)
    assert page.inner_text("#changed").strip() == "The network is as trained."
    take(page, 8)
    page.click("#teach")
    page.click("#teach")
    page.click("#clear")
    assert "Your steps since training: 2." in page.inner_text("#changed")
    page.click("#undo")
    assert page.inner_text("#changed").strip() == "The network is as trained."
    assert np.array_equal(weights_on(page), before)
    assert page.evaluate("document.activeElement.id") == "drawing"


def test_near_the_answer_a_link_leads_to_teaching_and_keeps_the_digit(opened):
    page = opened(network())
    take(page, 8)
    assert "it cannot say “none of these”" in page.inner_text("section >> nth=0")
    page.click("#to-teach")
    assert page.locator("#teach").is_visible()
    assert page.evaluate(
        "teach => teach.getBoundingClientRect().top < innerHeight",
        page.locator("#teach").element_handle(),
    )
    assert page.evaluate("document.activeElement.id") == "label"
    assert page.url.endswith("#digit=8")


# ── Numbers as one reads them ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (0.005, "0.5%"),
        (0.006, "0.6%"),
        (0.9712, "97.1%"),
        (0.9738, "97.4%"),
        (0.999, "99.9%"),
        (0.9991, ">\xa099.9%"),
        (0.0009, "<\xa00.1%"),
    ],
)
def test_probabilities_have_one_decimal(p, shown, opened):
    assert opened(network()).evaluate(f"percent({p})") == shown


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (495183, "495,183"),
        (-14465.4, "−14,465"),
        (34.24, "34.2"),
        (0.0500, "0.0500"),
        (1.2e7, "1.20\xa0×\xa010⁷"),
    ],
)
def test_numbers_have_three_digits_or_separated_thousands(x, shown, opened):
    assert opened(network()).evaluate(f"number({x})") == shown


def test_a_loss_near_0_is_not_0(opened):
    page = opened(network())
    outputs = [40, *[0] * 9]
    loss = page.evaluate(f"lossOf({outputs}, 0)")
    assert loss == pytest.approx(9 * np.exp(-40.0), abs=0)
    assert page.evaluate(f"lossOf({outputs}, 1)") == pytest.approx(40)


# ── The price ─────────────────────────────────────────────────────────────────────────────────────


def read_by(model):
    """How many test digits it reads at least and at most, since a tie may go either way."""
    outputs = model(TEST.x).data
    rightly = outputs[np.arange(len(TEST.y)), TEST.y]
    others = outputs.copy()
    others[np.arange(len(TEST.y)), TEST.y] = -np.inf
    margin = rightly - others.max(axis=1)
    tie = CLOSE * np.abs(outputs).max(axis=1)
    return np.sum(margin > tie), np.sum(margin >= -tie)


def numbers_in(text):
    return [int(n) for n in re.findall(r"\d+", text.replace(",", ""))]


def test_the_price_is_counted_and_reset_gives_the_trained_network_back(opened):
    model = network()
    page = opened(model, TEST)
    least, most = read_by(model)
    assert page.evaluate("readAfterTraining") in range(least, most + 1)
    trained = page.evaluate("readAfterTraining")
    before = weights_on(page)
    take(page, 2)
    page.select_option("#label", "9")
    page.fill("#rate", "1")
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    for _ in range(2):
        page.click("#teach")
        optimizer.zero_grad()
        nn.cross_entropy(model(TEST.x[2:3]), np.array([9])).backward()
        optimizer.step()
    page.click("#count")
    said = numbers_in(page.inner_text("#price"))
    least, most = read_by(model)
    assert said[0] in range(least, most + 1)
    assert said[1:4] == [1000, 2, trained]
    assert said[0] != trained
    page.click("#reset")
    assert np.array_equal(weights_on(page), before)
    page.click("#count")
    assert numbers_in(page.inner_text("#price")) == [trained, 1000]


def test_a_count_of_test_digits_is_out_of_date_after_a_further_step(opened):
    page = opened(network())
    stale = page.locator("#stale")
    take(page, 2)
    page.click("#teach")
    assert not stale.is_visible()
    page.click("#count")
    assert not stale.is_visible()
    page.click("#teach")
    assert stale.is_visible()
    assert "Out of date" in stale.inner_text()
    page.click("#count")
    assert not stale.is_visible()
    page.click("#teach")
    page.click("#reset")
    assert not stale.is_visible()
    assert page.inner_text("#price") == ""


def test_the_price_sets_the_most_frequent_answer_against_the_digits_that_are_there(opened):
    page = opened(network(), TEST)
    take(page, 2)
    page.fill("#rate", "1e4")
    page.click("#teach")
    page.click("#count")
    label = TEST.y[2]
    really = f"really are {'an' if label == 8 else 'a'} {label}."
    assert f"answer is {label}, for 1,000 digits; only 100 of the test digits {really}" in (
        page.inner_text("#price")
    )


def test_one_it_misreads_is_misread(opened):
    page = opened(network(), TEST)
    for _ in range(3):
        page.click("#misread")
        assert "That is wrong." in line(page)


def test_previous_next_and_any_take_test_digits(opened):
    page = opened(network())
    for button, place in (("#next", 0), ("#next", 1), ("#previous", 0), ("#previous", 39)):
        page.click(button)
        assert line(page).startswith(digit_in_words(place))
        assert page.input_value("#place") == str(place)
    page.click("#random")
    assert np.array_equal(np.float32(image_on(page)), TEST.x[int(page.input_value("#place"))])


@pytest.mark.parametrize("typed", ["-1", "40", "3.5", ""])
def test_a_number_that_no_test_digit_has_is_refused(typed, opened):
    page = opened(network())
    take(page, 5)
    page.fill("#place", typed)
    page.press("#place", "Enter")
    assert line(page) == (
        "Test digits have the whole numbers from 0 to 39. This is still test digit 5."
    )
    assert page.input_value("#place") == "5"
    assert np.array_equal(np.float32(image_on(page)), TEST.x[5])


def test_the_address_names_the_test_digit(browser, tmp_path, opened):
    page = opened(network())
    assert "#" not in page.url
    take(page, 5)
    assert page.url.endswith("#digit=5")
    page.evaluate("location.hash = '#digit=7'")
    page.wait_for_function("testPlace === 7")
    draw(page, [(0.5, 0.2), (0.5, 0.8)])
    assert "#" not in page.url
    path = tmp_path / "digits.html"
    for fragment, words in (("#digit=8", digit_in_words(8)), ("#digit=40", "from 0 to 39.")):
        other = OpenPage(browser, path, fragment)
        assert words in line(other.page)
        other.close()


# ── Drawing ───────────────────────────────────────────────────────────────────────────────────────


def places(page, points):
    """Where on the screen these points are; (0, 0) is the drawing's upper left, (1, 1) its end."""
    page.locator("#drawing").scroll_into_view_if_needed()
    box = page.locator("#drawing").bounding_box()
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def draw(page, *strokes):
    """Draw lines from point to point with the mouse."""
    for points in strokes:
        first, *others = places(page, points)
        page.mouse.move(*first)
        page.mouse.down()
        for place in others:
            page.mouse.move(*place)
        page.mouse.up()


def ink_on(page):
    """The drawing, 280 × 280: ink 1 on 0."""
    shades = page.evaluate(
        "[...pen.getImageData(0, 0, 280, 280).data].filter((_, i) => i % 4 === 0)"
    )
    return 1 - np.array(shades).reshape(280, 280) / 255


def cut_out(ink):
    down = np.flatnonzero(ink.max(axis=1) > 0.3)
    across = np.flatnonzero(ink.max(axis=0) > 0.3)
    return ink[down[0] : down[-1] + 1, across[0] : across[-1] + 1]


def means(ink, shape):
    """The mean over the area of each pixel of a smaller image, from cumulative sums."""
    for axis, count in enumerate(shape):
        length = ink.shape[axis]
        sums = np.insert(np.cumsum(ink, axis=axis), 0, 0, axis=axis)
        ends = np.linspace(0, length, count + 1)
        at_ends = np.apply_along_axis(
            lambda s, n=length, e=ends: np.interp(e, range(n + 1), s), axis, sums
        )
        ink = np.diff(at_ends, axis=axis) * count / length
    return ink


def middled(small):
    """In the middle of 28 × 28 by its centre of mass, whole."""
    rows, columns = np.indices(small.shape)
    image = np.zeros((28, 28))
    corner = []
    for at, size in ((rows, small.shape[0]), (columns, small.shape[1])):
        start = round(13.5 - np.sum(at * small) / np.sum(small))
        corner.append(min(max(start, 0), 28 - size))
    image[corner[0] : corner[0] + small.shape[0], corner[1] : corner[1] + small.shape[1]] = small
    return image


STROKES = {
    "a one, high on the left": [(0.1, 0.1), (0.1, 0.4)],
    "a wide seven": [(0.2, 0.3), (0.9, 0.3), (0.5, 0.9)],
    "a small ring": [(0.6, 0.6), (0.7, 0.6), (0.7, 0.75), (0.6, 0.75), (0.6, 0.6)],
    "a dot": [(0.5, 0.5)],
    "over the edge": [(0.5, 0.02), (0.5, 1.1)],
}


@pytest.mark.parametrize("points", STROKES.values(), ids=STROKES)
def test_a_drawing_is_prepared_as_the_digits_of_mnist_were(points, opened):
    page = opened(network())
    draw(page, points)
    image = image_on(page).reshape(28, 28)
    digit = cut_out(ink_on(page))
    scale = 20 / max(digit.shape)
    shape = [max(1, round(side * scale)) for side in digit.shape]
    small = means(digit, shape)
    # Its longer side has 20 pixels, and the same part of it is ink.
    assert max(shape) == 20
    assert image == pytest.approx(middled(small), abs=1e-5)
    assert image.sum() / small.size == pytest.approx(digit.mean(), rel=1e-4)
    rows, columns = np.indices(image.shape)
    assert np.sum(rows * image) / np.sum(image) == pytest.approx(13.5, abs=0.51)
    assert np.sum(columns * image) / np.sum(image) == pytest.approx(13.5, abs=0.51)
    # A well-known library makes it smaller in nearly the same way.
    picture = Image.fromarray(digit.astype(np.float32))
    smooth = np.asarray(picture.resize(shape[::-1], Image.Resampling.BILINEAR))
    assert np.abs(smooth - small).mean() < 0.05


DRAWN = {
    0: [[(0.5, 0.2), (0.36, 0.28), (0.3, 0.45), (0.3, 0.6), (0.38, 0.77), (0.5, 0.82)],
        [(0.5, 0.82), (0.63, 0.76), (0.7, 0.6), (0.7, 0.45), (0.63, 0.27), (0.5, 0.2)]],
    1: [[(0.55, 0.15), (0.48, 0.85)]],
    2: [[(0.3, 0.32), (0.36, 0.2), (0.5, 0.15), (0.63, 0.2), (0.66, 0.35), (0.58, 0.52)],
        [(0.58, 0.52), (0.4, 0.7), (0.28, 0.82), (0.5, 0.8), (0.74, 0.82)]],
    3: [[(0.3, 0.22), (0.45, 0.16), (0.62, 0.22), (0.65, 0.34), (0.55, 0.46), (0.42, 0.49)],
        [(0.42, 0.49), (0.6, 0.54), (0.68, 0.66), (0.6, 0.8), (0.45, 0.85), (0.28, 0.78)]],
    4: [[(0.38, 0.18), (0.32, 0.38), (0.28, 0.55), (0.5, 0.56), (0.72, 0.53)],
        [(0.64, 0.2), (0.6, 0.5), (0.56, 0.85)]],
    5: [[(0.68, 0.17), (0.4, 0.18), (0.37, 0.45), (0.5, 0.42), (0.64, 0.5)],
        [(0.64, 0.5), (0.66, 0.66), (0.58, 0.8), (0.42, 0.85), (0.28, 0.78)]],
    6: [[(0.6, 0.15), (0.46, 0.28), (0.37, 0.48), (0.34, 0.66), (0.4, 0.8), (0.52, 0.84)],
        [(0.52, 0.84), (0.63, 0.76), (0.63, 0.62), (0.52, 0.55), (0.4, 0.6), (0.35, 0.68)]],
    7: [[(0.28, 0.2), (0.5, 0.2), (0.7, 0.18), (0.6, 0.4), (0.5, 0.6), (0.45, 0.85)]],
    8: [[(0.6, 0.22), (0.48, 0.16), (0.37, 0.25), (0.4, 0.38), (0.52, 0.5), (0.63, 0.63)],
        [(0.63, 0.63), (0.62, 0.78), (0.5, 0.85), (0.38, 0.77), (0.38, 0.64), (0.5, 0.5)],
        [(0.5, 0.5), (0.62, 0.36), (0.62, 0.24)]],
    9: [[(0.64, 0.3), (0.55, 0.18), (0.42, 0.2), (0.36, 0.34), (0.42, 0.46), (0.54, 0.46)],
        [(0.54, 0.46), (0.64, 0.32), (0.63, 0.5), (0.6, 0.68), (0.56, 0.86)]],
}  # fmt: skip


def test_a_trained_network_names_most_of_ten_drawn_digits(opened):
    page = opened(network(digits=3000, epochs=8))
    right = 0
    for digit, strokes in DRAWN.items():
        page.click("#clear")
        draw(page, *strokes)
        right += f"The network says {digit}," in line(page)
    assert right >= 8


def test_while_one_draws_the_answer_is_shown_but_said_only_at_the_end(opened):
    page = opened(network())
    before = line(page)
    first, second = places(page, [(0.5, 0.2), (0.5, 0.8)])
    page.mouse.move(*first)
    page.mouse.down()
    page.mouse.move(*second, steps=4)
    page.wait_for_function("document.getElementById('answer').innerText.startsWith('It says')")
    assert line(page) == before
    page.mouse.up()
    assert line(page).startswith("The network says")


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_a_drawing_begins_on_new_paper_and_without_a_label(how, opened):
    page = opened(network())
    take(page, 3)
    if how == "mouse":
        draw(page, [(0.1, 0.1)])
    else:
        page.press("#drawing", "Space")
    assert 0 < ink_on(page).sum() < 1.1 * np.pi * 11**2  # the area of one dot
    assert page.input_value("#label") == ""
    assert page.input_value("#place") == ""


def test_only_by_keyboard_a_digit_is_drawn_looked_into_taught_and_reset(opened):
    page = opened(network())
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    controls = ["drawing", "to-teach", "clear", "random", "misread", "previous", "next", "place"]
    controls += ["SUMMARY", "unit", "which", "label", "rate", "teach", "reset", "count"]
    assert seen[: len(controls)] == controls
    page.focus("#drawing")
    assert page.locator("#pen-mark").is_visible()
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    assert "The pen is at 140 of 280 across, 110 down." in line(page)
    assert page.evaluate("image") is None
    for _ in range(8):
        page.keyboard.press("Shift+ArrowDown")
    assert "The network says" in line(page)
    page.focus("#unit")
    page.keyboard.press("ArrowDown")
    assert "output 0" in page.inner_text("#inside caption")
    page.focus("#label")
    page.keyboard.press("4")
    page.focus("#teach")
    page.keyboard.press("Enter")
    assert "probability of 4" in line(page)
    page.focus("#reset")
    page.keyboard.press("Enter")
    assert "as it was after training" in line(page)


@pytest.mark.parametrize("width", [320, 1280])
def test_by_keyboard_the_pen_stays_on_the_paper(width, opened):
    page = opened(network(), viewport={"width": width, "height": 800})
    page.focus("#drawing")
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft"):
        for _ in range(30):
            page.keyboard.press(key)
        paper = page.locator("#drawing").bounding_box()
        pen = page.locator("#pen-mark").bounding_box()
        for start, size in (("x", "width"), ("y", "height")):
            assert paper[start] < pen[start]
            assert pen[start] + pen[size] < paper[start] + paper[size]


def test_by_touch_a_digit_is_drawn_and_the_page_stays_where_it_is(opened):
    page = opened(network(), viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    touch = page.context.new_cdp_session(page)
    stroke = places(page, [(0.5, 0.8), (0.5, 0.6), (0.5, 0.4), (0.5, 0.2)])
    before = page.evaluate("scrollY")
    for n, (x, y) in enumerate(stroke):
        kind = "touchMove" if n else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function("document.getElementById('line').textContent.startsWith('The network')")
    height = np.ptp(np.flatnonzero(ink_on(page).max(axis=1) > 0.3))
    assert height == pytest.approx(0.6 * 280 + 22, abs=4)
    assert page.evaluate("scrollY") == before


# ── The page ──────────────────────────────────────────────────────────────────────────────────────


def test_without_a_digit_or_a_label_or_a_rate_nothing_is_taught_and_the_page_says_why(opened):
    page = opened(network())
    before = weights_on(page)
    page.click("#teach")
    assert "no digit to learn from" in line(page)
    draw(page, [(0.5, 0.2), (0.5, 0.8)])
    page.click("#teach")
    assert "which digit this is" in line(page)
    page.select_option("#label", "1")
    for rate in ("-1", "0", ""):
        page.fill("#rate", rate)
        page.click("#teach")
        assert "above 0" in line(page)
    page.fill("#rate", "1e38")
    page.click("#teach")
    assert "The step is undone." in line(page)
    assert np.array_equal(weights_on(page), before)


def test_a_rate_may_have_a_decimal_comma(opened):
    page = opened(network())
    take(page, 8)
    weights = []
    for rate in ("0.02", "0,02"):
        page.fill("#rate", rate)
        page.click("#teach")
        assert page.input_value("#rate") == "0.02"
        weights.append(weights_on(page))
        page.click("#reset")
    assert np.array_equal(*weights)


@pytest.mark.parametrize("typed", ["fast", "0.1.2", "1,000,000", "−1"])
def test_what_is_no_rate_is_named_and_nothing_is_taught(typed, opened):
    page = opened(network())
    before = weights_on(page)
    take(page, 8)
    page.fill("#rate", typed)
    page.click("#teach")
    assert line(page) == (
        f"A learning rate must be a number above 0, such as 0.05, and not “{typed}”."
    )
    assert page.evaluate("document.activeElement.id") == "rate"
    assert np.array_equal(weights_on(page), before)


def test_a_comma_that_may_mean_two_things_is_refused(opened):
    page = opened(network())
    before = weights_on(page)
    take(page, 8)
    page.fill("#rate", "1,500")
    page.click("#teach")
    assert line(page) == "“1,500” could be 1.5 or 1500: write one of these."
    assert page.evaluate("document.activeElement.id") == "rate"
    assert np.array_equal(weights_on(page), before)


def test_when_no_slope_is_left_the_page_says_so(opened):
    model = network()
    model[0].bias.data = np.full(16, -1000.0, np.float32)
    page = opened(model)
    take(page, 3)
    assert "All slopes" in page.inner_text("#why-caption")
    page.click("#teach")
    assert "none of the weights from the 784 pixels" in page.inner_text("#updates-caption")


def test_clear_leaves_an_empty_paper(opened):
    page = opened(network())
    take(page, 3)
    page.click("#clear")
    assert ink_on(page).sum() == 0
    assert page.evaluate("image") is None
    assert page.locator("#hint").is_visible()


@pytest.mark.parametrize("width", [320, 360, 700, 1280])
def test_nothing_is_wider_than_the_window(width, opened):
    page = opened(network(), viewport={"width": width, "height": 800})
    take(page, 0)
    for unit in ("0 3", "1 12", "2 9"):
        page.select_option("#unit", unit)
        page.click("#teach")
        page.click("#count")
        page.click("#draw-title")
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 360])
def test_in_a_narrow_window_no_column_of_the_steps_is_cut_off(width, opened):
    page = opened(network(), viewport={"width": width, "height": 740})
    draw(page, *DRAWN[3])
    page.select_option("#label", "8")
    for rate in (0.5, *[0.05] * 8):
        page.fill("#rate", str(rate))
        page.click("#teach")
    assert "× 10" in steps_on(page)[-1][4].replace("\xa0", " ")  # as wide as a number gets
    ends = page.locator("#steps :is(th, td)").evaluate_all(
        "cells => cells.map(cell => cell.getBoundingClientRect().right)"
    )
    assert max(ends) <= width
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_in_a_narrow_window_long_products_are_not_cut_off(opened):
    page = opened(network(), viewport={"width": 320, "height": 740})
    take(page, 0)
    page.evaluate("network[1].weight.fill(-1.23e-7)")
    page.evaluate("network[0].bias.fill(1e-12)")
    page.evaluate("network[0].weight.fill(0)")
    page.select_option("#unit", "1 12")
    assert page.inner_text("#inside").count("10⁻¹²") >= 4
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 320


def test_on_a_phone_the_status_line_leaves_room_and_hides_what_scrolls_by(opened):
    page = opened(network(), viewport={"width": 360, "height": 740})
    take(page, 25)
    page.select_option("#label", "6")
    page.fill("#rate", "0.2")
    page.click("#teach")
    assert "too long" in line(page)
    assert page.locator("#line").bounding_box()["height"] <= 65
    shadow = page.evaluate("getComputedStyle(document.getElementById('line')).boxShadow")
    assert {-16, 16} <= {int(n) for n in re.findall(r"(-?\d+)px", shadow)}


def test_light_and_dark_have_their_own_colours_and_paper_stays_white(opened):
    for scheme, is_dark in (("light", False), ("dark", True)):
        page = opened(network(), color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(numbers_in(colour)[:3]) < 60) == is_dark
        assert ink_on(page).max() == 0


def test_without_javascript_the_page_says_that_it_needs_it(opened):
    page = opened(network(), java_script_enabled=False)
    assert "Turn on JavaScript" in line(page)
    assert page.locator("section:visible").count() == 0


def test_the_page_has_at_most_1000_digits_and_a_size_of_less_than_a_photo(tmp_path):
    many = data.Examples(np.tile(TEST.x, (2, 1)), np.tile(TEST.y, 2))
    path = write(tmp_path / "digits.html", network(), many)
    assert path.stat().st_size < 1.5e6
    assert "How many of the 1,000 test digits" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((784, 16, 16, 10), "784 pixels, then 2 layers of 16 units, then 10 outputs"),
        ((784, 24, 10), "784 pixels, then a layer of 24 units, then 10 outputs"),
        ((784, 10), "784 pixels, then 10 outputs"),
    ],
)
def test_the_sizes_in_the_title_are_also_there_in_words(sizes, words, opened):
    page = opened(network(sizes=sizes))
    assert page.inner_text("#shape-words") == f"{words}, one for each digit."


@pytest.mark.parametrize(
    ("bend", "sizes", "words", "absent"),
    [
        (nn.ReLU, (784, 24, 10), "The ten outputs have no ReLU: only they may be below 0.", "tanh"),
        (nn.Tanh, (784, 24, 10), "The ten outputs have no tanh: only they may be below −1", "ReLU"),
        (nn.Sigmoid, (784, 24, 10), "The ten outputs have no sigmoid: only they may be", "ReLU"),
        (nn.ReLU, (784, 10), "plus a bias. Then the sum is the result.", "ReLU"),
    ],
)
def test_section_2_says_what_the_outputs_do_not_go_through(bend, sizes, words, absent, opened):
    text = opened(network(bend, sizes)).inner_text("section:has(#network)")
    assert words in text
    assert absent not in text


def test_section_2_names_what_each_layer_goes_through_if_they_differ(opened):
    layers = [nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 10)]
    text = opened(nn.Sequential(*layers)).inner_text("section:has(#network)")
    assert "In layer 1, a ReLU keeps the sum if it is above 0" in text
    assert "In layer 2, tanh bends the sum" in text
    assert "At the outputs, the sum is the result." in text


def test_the_page_begins_with_the_rate_of_training(opened, browser, tmp_path):
    path = write(tmp_path / "digits.html", network(), lr=0.3)
    page = OpenPage(browser, path)
    assert page.page.input_value("#rate") == "0.3"
    page.close()


def test_a_network_that_the_page_cannot_show_is_an_error(tmp_path):
    dropout = nn.Sequential(nn.Linear(784, 10), nn.Dropout(0.5))
    no_bias = nn.Sequential(nn.Linear(784, 10, bias=False))
    few = nn.Sequential(nn.Linear(4, 10))
    for model, why in ((dropout, "Dropout"), (no_bias, "bias"), (few, "784 pixels")):
        with pytest.raises(ValueError, match=why):
            write(tmp_path / "x.html", model)
    assert not (tmp_path / "x.html").exists()
