"""The page that learning_rate.py writes, in a real browser: its steps are the engine's."""

import re

import numpy as np
import pytest
from chromium import OpenPage, needs_browser
from example_runs import EXAMPLES

from microgd import gradients, nn
from microgd.value import Value

pytestmark = [needs_browser, pytest.mark.xdist_group("descent page")]


def in_examples(name):
    """A module that the programs share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return __import__(name)


@pytest.fixture(scope="module")
def bowls():
    """The features of the two bowls by their names, their units, and the target."""
    length, mass = in_examples("program").penguins("flipper_length_mm", "body_mass_g")[0].T
    centred = length - length.mean()
    return {"flat": centred / 10, "steep": centred}, {"flat": "cm", "steep": "mm"}, mass / 1000


@pytest.fixture
def opened(browser, tmp_path, bowls):
    """A function that writes the page and opens it at an address."""
    path = tmp_path / "descent.html"
    in_examples("descent").write(path, *bowls)
    pages = []

    def start(fragment="", **options):
        pages.append(OpenPage(browser, path, fragment, **options))
        return pages[-1].page

    yield start
    for page in pages:
        page.close()


def descend(feature, target, start, rate, steps, both=True):
    """The points, losses and slopes of gradient descent by the engine, from a start (w, b)."""
    points, losses, slopes = [], [], []
    weights = Value(start)
    for _ in range(steps + 1):
        loss = nn.mse_loss(weights[0] * feature + weights[1], target)
        (slope,) = gradients(loss, [weights])
        if not both:
            slope = slope * [1.0, 0.0]
        points.append(np.array(weights.data))
        losses.append(loss.item())
        slopes.append(slope)
        weights = Value(weights.data - rate * slope)
    return np.array(points), np.array(losses), np.array(slopes)


def numbers(text):
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text.replace("−", "-"))]


def path_on(page):
    """The points, losses and slopes on the page."""
    found = page.evaluate(
        """() => pathOf(state.rate, state.steps).map(point => {
             const slopes = slopesAt(point);
             return [point.w, point.b, lossAt(point), slopes.w, slopes.b];
           })"""
    )
    return np.array(found)


@pytest.mark.parametrize("view", ["one", "two"])
@pytest.mark.parametrize(
    ("bowl", "rate"), [("flat", 0.05), ("flat", 0.45), ("flat", 0.55), ("steep", 0.004)]
)
def test_the_steps_on_the_page_are_the_engines(view, bowl, rate, opened, bowls):
    features, _, mass = bowls
    feature = features[bowl]
    w, b = np.polyfit(feature, mass, 1)
    page = opened(f"#view={view}&bowl={bowl}&rate={rate}&w={-0.4 * w}&b={0.6 * b}&steps=6")
    begin = [page.evaluate("state.w"), page.evaluate("startPoint().b")]
    assert begin[0] == pytest.approx(-0.4 * w, rel=1e-4)
    points, losses, slopes = descend(feature, mass, begin, rate, 6, both=view == "two")
    shown = path_on(page)
    np.testing.assert_allclose(shown[:, :2], points, rtol=1e-8)
    np.testing.assert_allclose(shown[:, 2], losses, rtol=1e-8)
    np.testing.assert_allclose(shown[:, 3], slopes[:, 0], rtol=1e-6, atol=1e-8)
    if view == "two":
        np.testing.assert_allclose(shown[:, 4], slopes[:, 1], rtol=1e-6, atol=1e-8)
    said = numbers(page.inner_text("#line"))
    assert said[0] == 6
    assert said[-1] == pytest.approx(losses[-1], rel=1e-3)


def curvature(feature):
    """The second derivative of the loss by w: twice the mean of the squares."""
    return 2 * np.mean(feature**2)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.1, "toward"), (0.5, "arrived"), (0.9, "toward"), (1.0, "stays the same"), (1.1, "away")],
)
def test_each_step_is_said_to_lead_where_it_leads(share, words, opened, bowls):
    features, _, _ = bowls
    rate = share * 2 / curvature(features["flat"])
    page = opened("#view=one&bowl=flat")
    page.evaluate("rate => change({ rate })", rate)
    page.click("#step")
    assert words in page.inner_text("#line")
    moved = page.locator("#picture .move").first.get_attribute("class")
    assert ("away" in moved) == (words == "away")


def test_the_end_of_the_zone_is_said_when_it_is_asked_for(opened, bowls):
    features, _, _ = bowls
    page = opened()
    assert page.inner_text("#zone-words") == ""
    page.check("#zone")
    end = 2 / curvature(features["flat"])
    assert pytest.approx(end, rel=1e-3) in numbers(page.inner_text("#zone-words"))
    page.select_option("#view", "two")
    assert pytest.approx(end, rel=1e-3) in numbers(page.inner_text("#zone-words"))


def test_predictions_are_compared_with_the_right_answers(opened, bowls):
    features, _, _ = bowls
    flat = curvature(features["flat"])
    page = opened("#view=two&bowl=steep")
    page.fill("#fewest input", f"{0.5 / flat}")
    page.click("#fewest button")
    said = page.inner_text("#fewest output")
    assert "2 times too small" in said
    assert "arrives after 1 step." in said
    assert page.evaluate("[state.view, state.bowl]") == ["one", "flat"]
    page.fill("#largest input", f"{2 / flat}")
    page.click("#largest button")
    assert page.inner_text("#largest output").startswith("Right")
    page.fill("#largest input", f"{3 / flat}")
    page.click("#largest button")
    said = page.inner_text("#largest output")
    assert "1.5 times as large" in said
    assert "never arrives" in said
    page.fill("#other input", "0.1")
    page.click("#other button")
    assert "10 times as large as the right answer. It is 0.01." in page.inner_text("#other output")


@pytest.mark.parametrize("share", [0.03, 0.2, 0.8])
def test_the_steps_until_arrival_are_counted_as_the_engine_takes_them(share, opened, bowls):
    features, _, mass = bowls
    feature = features["flat"]
    rate = share * 2 / curvature(feature)
    page = opened("#view=one&bowl=flat")
    w, b = np.polyfit(feature, mass, 1)
    points, _, _ = descend(feature, mass, [page.evaluate("state.w"), b], rate, 200, both=False)
    arrived = np.flatnonzero(np.abs(points[:, 0] - w) < 0.01 * abs(w))[0]
    assert page.evaluate("rate => stepsToArrive(rate)", rate) == arrived


def test_the_address_restores_what_was_seen_and_nonsense_is_ignored(opened):
    page = opened("#view=two&bowl=steep&rate=0.003&steps=4&zone=1")
    seen = page.inner_text("#line")
    address = page.url.split("#")[1]
    again = opened(f"#{address}")
    assert again.inner_text("#line") == seen
    assert again.is_checked("#zone")
    odd = opened("#view=three&bowl=round&rate=fast&w=1e99&steps=-3")
    assert odd.inner_text("#line").startswith("Start at w = ")
    assert odd.evaluate("[state.view, state.bowl, state.steps]") == ["one", "flat", 0]


def test_by_keyboard_one_can_do_all(opened):
    page = opened("#view=one&bowl=flat")
    page.focus("#rate-slider")
    before = page.evaluate("state.rate")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.rate") > before
    page.focus("#w")
    page.keyboard.press("End")
    assert page.evaluate("state.w") == pytest.approx(page.evaluate("ranges().across[1]"))
    page.focus("#step")
    page.keyboard.press("Enter")
    assert page.inner_text("#line").startswith("Step 1: ")
    page.focus("#back")
    page.keyboard.press("Enter")
    assert page.inner_text("#line").startswith("Start at")


def test_run_goes_on_until_it_has_arrived(opened, bowls):
    page = opened("#view=one&bowl=flat")
    page.evaluate("rate => change({ rate })", 0.9 / curvature(bowls[0]["flat"]))
    page.click("#run")
    assert page.inner_text("#run") == "Pause"
    page.wait_for_function("() => document.getElementById('run').textContent === 'Run'")
    assert "arrived" in page.inner_text("#line")
    page.click("#restart")
    assert page.evaluate("state.steps") == 0


def test_the_start_can_be_dragged(opened):
    page = opened("#view=one&bowl=flat", has_touch=True)
    page.locator("#handle").scroll_into_view_if_needed()
    box = page.locator("#handle").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = page.evaluate("state.w")
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 100, middle[1] + 30, steps=4)
    page.mouse.up()
    assert page.evaluate("state.w") > before
    moved = page.locator("#handle").bounding_box()
    assert moved["x"] + moved["width"] / 2 == pytest.approx(middle[0] + 100, abs=2)


@pytest.mark.parametrize("view", ["one", "two"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(width, view, opened):
    page = opened(f"#view={view}&steps=5", viewport={"width": width, "height": 800})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
