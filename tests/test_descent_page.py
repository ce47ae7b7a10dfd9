"""The page that learning_rate.py writes, in a real browser: its steps are the engine's."""

import math
import re
from urllib.parse import parse_qs

import numpy as np
import pytest
from chromium import OpenPage, needs_browser
from example_runs import EXAMPLES

from microgd import gradients, nn
from microgd.value import Value

pytestmark = [needs_browser, pytest.mark.xdist_group("descent page")]
CUT_OFF = """
  [...document.querySelectorAll("svg text")].filter(text => {
    const own = text.getBoundingClientRect();
    const all = text.closest("svg").getBoundingClientRect();
    return own.left < all.left - 1 || own.right > all.right + 1
      || own.top < all.top - 1 || own.bottom > all.bottom + 1;
  }).map(text => text.textContent)
"""  # words in pictures that leave them
BELOW = {"flat": 1, "steep": 10}  # with two weights, inputs count from 1 cm below their mean


def in_examples(name):
    """A module that the programs share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return __import__(name)


@pytest.fixture(scope="module")
def bowls():
    """The features of the two bowls by their names, their units, and the target."""
    program = in_examples("program")
    numbers, _, _ = program.table(program.PENGUINS, ["flipper_length_mm", "body_mass_g"])
    length, mass = numbers.T
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


def inputs(bowls, bowl, view):
    """The inputs of the line, as a view of the page has them."""
    return bowls[0][bowl] + (BELOW[bowl] if view == "two" else 0)


def curvature(x, view="one"):
    """The largest one: with one weight, the second derivative of the loss by w."""
    second = 2 * np.array([[np.mean(x**2), np.mean(x)], [np.mean(x), 1]])
    return second[0, 0] if view == "one" else np.linalg.eigvalsh(second)[-1]


def descend(x, target, start, rate, steps, view):
    """By the engine, a row for each point: w, b, the loss, and the slopes by w and by b."""
    rows = []
    weights = Value(start)
    for _ in range(steps + 1):
        loss = nn.mse_loss(weights[0] * x + weights[1], target)
        (slopes,) = gradients(loss, [weights])
        rows.append([*weights.data, loss.item(), *slopes])
        moved = slopes if view == "two" else slopes * [1, 0]
        weights = Value(weights.data - rate * moved)
    return np.array(rows)


def path_on(page):
    """On the page, a row for each point: w, b, the loss, and the slopes by w and by b."""
    found = page.evaluate(
        """() => pathOf(state.rates).map(point => {
             const slopes = slopesAt(point);
             return [point.w, point.b, lossAt(point), slopes.w, slopes.b];
           })"""
    )
    return np.array(found, float)


def go(page, fragment):
    """Show what an address says."""
    page.evaluate("hash => { history.replaceState(null, '', hash); readAddress(); }", fragment)


RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def numbers(text):
    """The numbers that a text has, such as 14,720, −0.5, 10⁻⁴ and 7.89 × 10⁻¹²."""
    text = re.sub("(?<=[0-9])\u00a0×\u00a010(?=[⁻⁰-⁹¹²³])", "e", text)
    text = re.sub("(?<![0-9])10(?=[⁻⁰-⁹¹²³])", "1e", text)
    text = text.translate(RAISED).replace("−", "-").replace(",", "")
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def line(page):
    return page.inner_text("#line")


# ── What it computes ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("view", ["one", "two"])
@pytest.mark.parametrize("bowl", ["flat", "steep"])
def test_weights_losses_and_slopes_are_the_engines(view, bowl, opened, bowls):
    x, mass = inputs(bowls, bowl, view), bowls[2]
    w, b = np.polyfit(x, mass, 1)
    start = [-0.4 * w, 0.9 * b if view == "two" else b]
    page = opened()
    for share in (0.1, 0.5, 0.9, 1.0, 1.05):  # of 2/λ
        rate = share * 2 / curvature(x, view)
        go(page, f"#view={view}&bowl={bowl}&rate={rate}&w={start[0]}&b={start[1]}&steps=9")
        shown = path_on(page)
        expected = descend(x, mass, start, rate, 9, view)
        assert shown.shape == expected.shape
        # Near the minimum, slopes are differences of large numbers.
        size = np.maximum(np.abs(expected).max(axis=0), 1e-3)
        assert (np.abs(shown - expected) <= 1e-9 * size).all()


@pytest.mark.parametrize("view", ["one", "two"])
def test_the_line_says_the_engines_numbers(view, opened, bowls):
    x, mass = inputs(bowls, "flat", view), bowls[2]
    page = opened(f"#view={view}&bowl=flat&rate=0.06&w=-0.2&b=3&steps=2")
    start = [-0.2, 3 if view == "two" else np.polyfit(x, mass, 1)[1]]
    rows = descend(x, mass, start, 0.06, 2, view)
    (w0, b0, _, slope_w, slope_b), (w1, b1, loss, _, _) = rows[1:]
    if view == "one":
        expected = [2, w0, slope_w, -0.06, slope_w, w1 - w0, w1, loss]
    else:
        expected = [2, slope_w, slope_b, -0.06, w1 - w0, b1 - b0, w1, b1, loss]
    assert numbers(line(page).replace("kg²", "kg")) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("bowl", ["flat", "steep"])
def test_each_step_is_said_to_lead_where_it_leads(bowl, opened, bowls):
    end = 2 / curvature(bowls[0][bowl])
    page = opened()
    for share, words in (
        (0.1, ": toward the minimum. "),
        (0.5, ": toward the minimum. "),
        (0.9, ": past the minimum, but nearer to it. "),
        (1.0, ": past the minimum, and it stays at the same distance. "),
        (1.1, ": past the minimum, and farther away from it. "),
    ):
        go(page, f"#view=one&bowl={bowl}&rate={share * end}")
        page.click("#step")
        assert line(page).startswith("Step 1: ")
        assert words in line(page)
        assert ("Arrived" in line(page)) == (share == 0.5)
        kind = page.locator("#drawing .move").last.get_attribute("class").split()
        assert ("away" in kind) == (share > 1)


@pytest.mark.parametrize(("share", "words"), [(0.5, ": downhill."), (1.3, ": uphill")])
def test_with_two_weights_a_step_leads_downhill_or_uphill(share, words, opened, bowls):
    rate = share * 2 / curvature(inputs(bowls, "flat", "two"), "two")
    page = opened(f"#view=two&bowl=flat&rate={rate}&steps=1")
    assert words in line(page)


def test_at_the_minimum_no_step_leads_anywhere(opened, bowls):
    w, _ = np.polyfit(bowls[0]["flat"], bowls[2], 1)
    page = opened(f"#view=one&bowl=flat&rate=0.1&w={w}&steps=1")
    assert ": it stays at the same distance from the minimum." in line(page)
    assert "Arrived" in line(page)


@pytest.mark.parametrize("view", ["one", "two"])
@pytest.mark.parametrize("bowl", ["flat", "steep"])
def test_the_zone_is_said_and_drawn_when_it_is_asked_for(view, bowl, opened, bowls):
    largest = curvature(inputs(bowls, bowl, view), view)
    page = opened(f"#view={view}&bowl={bowl}&rate=0.001")
    assert page.inner_text("#zone-words") == ""
    assert page.locator("#scale .end").count() == 0
    page.check("#zone")
    said = numbers(page.inner_text("#zone-words"))
    for number in (largest, 1 - 0.001 * largest, 2 / largest, 0.001 / (2 / largest)):
        assert pytest.approx(number, rel=1e-3) in said
    one = curvature(bowls[0][bowl])
    words = "is 6.78 (not 3.943, as with one weight: here b moves, too, and flipper length counts "
    assert (words in page.inner_text("#zone-words")) == (view == "two" and bowl == "flat")
    assert (pytest.approx(one, rel=1e-3) in said) == (view == "two" or one == largest)
    # On the scale, the end is where the slider would stand.
    end, marks, powers = page.evaluate(
        """[Number(document.querySelector("#scale .end").getAttribute("x1")),
            [...document.querySelectorAll("#scale .tick")].map(
              tick => Number(tick.getAttribute("x1"))),
            [...document.querySelectorAll("#scale .power")].map(
              text => text.textContent)]"""
    )
    powers = [math.log10(numbers(power)[0]) for power in powers]
    assert end == pytest.approx(np.interp(math.log10(2 / largest), powers, marks), abs=0.5)


@pytest.mark.parametrize(
    ("off", "words"), [(1e-5, "diverges"), (-1e-5, "arrives"), (0, "neither arrives nor diverges")]
)
def test_near_the_limit_there_are_enough_digits_to_see_on_which_side_a_rate_is(
    off, words, opened, bowls
):
    end = 2 / curvature(inputs(bowls, "flat", "two"), "two")
    page = opened("#view=two&bowl=flat&zone=1")
    page.evaluate("share => changeRate(share * zoneEnd(loss()))", 1 + off)
    said = page.inner_text("#zone-words")
    assert said.endswith(f": it {words}.")
    limit, rate = numbers(said.split("2/λ = ")[1])[:2]
    assert limit == pytest.approx(end, rel=1e-4)
    assert np.sign(rate - limit) == np.sign(off)
    factor = numbers(said.split("1 − rate · λ = ")[1])[0]
    assert np.sign(-1 - factor) == np.sign(off)


def test_all_along_a_line_the_engines_loss_is_the_same_and_the_bowl_is_tilted(opened, bowls):
    x, mass = inputs(bowls, "flat", "two"), bowls[2]
    page = opened("#view=two&bowl=flat")
    ellipse = page.evaluate("ellipseAt(0.5).map(({ w, b }) => [w, b])")
    losses = [nn.mse_loss(w * x + b, mass) for w, b in ellipse]
    least = nn.mse_loss(np.polyval(np.polyfit(x, mass, 1), x), mass)
    np.testing.assert_allclose(losses, least + 0.5, rtol=1e-9)
    across = np.ptp([w for w, _ in ellipse])
    at_lowest, at_highest = min(ellipse, key=lambda p: p[1]), max(ellipse, key=lambda p: p[1])
    assert at_lowest[0] - at_highest[0] > 0.3 * across  # it is tilted


# ── Predictions ──────────────────────────────────────────────────────────────────────────────────


def predict(page, number, task, guess):
    page.locator(".choose").nth(number - 1).click()
    field = page.locator(f"#{task}-guess")
    if task == "other":
        field.select_option(label=guess)
    else:
        field.fill(str(guess))
    page.click(f"#{task} button")
    return page.inner_text("#answer")


def steps_until_1_percent(x, target, start, rate, most=200):
    """The number of steps, counted with the engine, until the loss is within 1% of the smallest."""
    w, b = np.polyfit(x, target, 1)
    losses = descend(x, target, [start, b], rate, most, "one")[:, 2]
    return np.flatnonzero(losses <= 1.01 * nn.mse_loss(w * x + b, target))[0]


def test_the_steps_that_a_prediction_takes_are_counted_as_the_engine_takes_them(opened, bowls):
    x, mass = bowls[0]["flat"], bowls[2]
    page = opened("#view=two&bowl=steep")
    for share, off in (
        (0.02, "small by a factor of 25."),
        (0.2, "small by a factor of 2.5."),
        (0.4, "small by a factor of 1.25."),
        (0.8, "large by a factor of 1.6."),
    ):
        rate = share * 2 / curvature(x)
        said = predict(page, 1, "fewest", rate)
        assert page.evaluate("[state.view, state.bowl, state.rate]") == ["one", "flat", rate]
        count = steps_until_1_percent(x, mass, page.evaluate("state.w"), rate)
        assert f"too {off} Your rate takes {count} steps." in said
        assert "takes 1 step. It is 1/λ; λ is the curvature (how fast the slope changes)" in said
        assert pytest.approx(curvature(x), rel=1e-3) in numbers(said)


def test_the_rate_that_arrives_in_one_step_is_right(opened, bowls):
    page = opened()
    for share in (1, 1.02):  # a little off, it arrives in one step, too
        said = predict(page, 1, "fewest", share / curvature(bowls[0]["flat"]))
        assert said.startswith("Right. Your rate takes 1 step.")


def test_the_largest_rate_is_2_over_the_curvature(opened, bowls):
    end = 2 / curvature(bowls[0]["flat"])
    page = opened()
    said = predict(page, 2, "limit", round(1.5 * end, 4))
    assert said.startswith(f"Too large: {1.5 * end:.4f} never arrives. All rates below 2/λ = ")
    assert pytest.approx(end, rel=1e-3) in numbers(said)
    said = predict(page, 2, "limit", 0.99 * end)
    assert said.startswith("Right, to within 2%. Your rate takes ")
    said = predict(page, 2, "limit", 1e-7)
    assert "Your rate takes more than 100,000 steps (Run shows the first 200)." in said


def test_two_buttons_that_do_different_things_have_different_numbers(opened, bowls):
    end = 2 / curvature(bowls[0]["flat"])
    page = opened()
    for number, task, right in ((1, "fewest", end / 2), (2, "limit", end)):
        for guess in (0.9999 * right, 1.0001 * right):
            said = predict(page, number, task, f"{guess:.6f}")
            mine, best = (
                numbers(page.inner_text(button).split(": ")[1])[0]
                for button in ("#run-mine", "#run-right")
            )
            assert np.sign(mine - best) == np.sign(guess - right)
            assert best in numbers(said)


def test_a_rate_that_never_arrives_is_first_of_all_too_large(opened):
    page = opened()
    said = predict(page, 1, "fewest", 0.6)
    assert said.startswith("Too large: 0.6 never arrives. The rate 0.2536 takes 1 step. ")
    assert "Not far off" not in said


def test_at_the_limit_itself_no_rate_is_said_to_arrive(opened):
    page = opened("#zone=1")
    said = page.inner_text("#controls")
    for number, task in ((2, "limit"), (3, "other")):
        page.locator(".choose").nth(number - 1).click()
        said += page.inner_text(f"#{task}")
    said += predict(page, 3, "other", "the same")
    assert "below which every rate arrives" in said
    assert said.count("below which every learning rate") == 2
    assert "argest" not in said


def test_just_above_the_largest_rate_is_not_right(opened, bowls):
    end = 2 / curvature(bowls[0]["flat"])
    page = opened()
    said = predict(page, 2, "limit", round(1.01 * end, 4))
    assert said.startswith(f"Just too large: {1.01 * end:.4f} never arrives. ")
    assert "Right" not in said


def test_a_prediction_of_more_steps_than_a_run_shows_says_so(opened, bowls):
    page = opened()
    said = predict(page, 1, "fewest", 0.0005)
    assert "Your rate takes 1,658 steps (Run shows the first 200)." in said
    assert "Run shows" not in predict(page, 1, "fewest", 0.05)


def test_the_questions_and_answers_say_what_they_are_about(opened):
    page = opened("#view=two&bowl=steep&steps=3")
    setting = "in the flat bowl, with one weight, from the start w = −0.24"
    assert setting in page.inner_text("#fewest")
    assert setting in page.inner_text("#limit")
    for number, task in ((1, "fewest"), (2, "limit")):
        predict(page, number, task, 0.2)
        shown = page.evaluate("[state.view, state.bowl, state.w, state.rate, state.rates.length]")
        assert shown == ["one", "flat", -0.24, 0.2, 0]
        said = page.inner_text("#about")
        assert said == (
            f"This holds {setting}. The picture has been set to that, and so has the rate."
        )


@pytest.mark.parametrize("what", ["bowl", "view", "start"])
def test_an_answer_says_when_the_picture_shows_something_else(what, opened):
    page = opened(reduced_motion="reduce")
    predict(page, 1, "fewest", 0.2)
    page.click("#step")
    assert "The picture has been set to that" in page.inner_text("#about")
    if what == "start":
        page.focus("#handle")
        page.keyboard.press("ArrowRight")
    else:
        page.check(f"input[value={'steep' if what == 'bowl' else 'two'}]")
    assert "The picture now shows something else" in page.inner_text("#about")
    page.click("#run-right")
    assert "The picture has been set to that" in page.inner_text("#about")


def test_the_steep_bowls_largest_rate_is_a_hundredth(opened, bowls):
    page = opened("#view=two&bowl=flat")
    for choice, verdict in {
        "10 times as large": "Far off: 10 times as large is too large by a factor of 1,000.",
        "the same": "Far off: the same is too large by a factor of 100.",
        "1/10 of it": "Far off: 1/10 of it is too large by a factor of 10.",
        "1/100 of it": "Right. ",
    }.items():
        said = predict(page, 3, "other", choice)
        assert said.startswith(verdict)
        assert "2%" not in said
        # If both rates are the same, there is one button.
        assert page.locator("#see button:visible").count() == 1 + (choice != "1/100 of it")
        for feature in bowls[0].values():
            assert pytest.approx(curvature(feature), rel=1e-3) in numbers(said)
            assert pytest.approx(2 / curvature(feature), rel=1e-3) in numbers(said)
    assert page.evaluate("[state.view, state.bowl]") == ["one", "steep"]


def test_a_prediction_that_is_no_rate_is_asked_for_again(opened):
    page = opened()
    for number, task in ((1, "fewest"), (2, "limit")):
        for guess, words in (
            ("", "A learning rate is a number above 0, such as 0.1."),
            ("0", "A learning rate is a number above 0, such as 0.1."),
            ("-1", "A learning rate is a number above 0, such as 0.1."),
            ("2000000", "The page takes rates up to 1,000,000."),
            ("1e308", "The page takes rates up to 1,000,000."),
            ("1,500", "“1,500” could be 1.5 or 1500: write one of these."),
            (
                "0,5,1",
                "“0,5,1” is not a number. A learning rate is a number above 0, such as 0.1.",
            ),
            ("1e-10", "The page takes rates from 10⁻⁹."),
        ):
            assert predict(page, number, task, guess) == words
            assert page.locator("#see").is_hidden()
            assert page.inner_text("#about") == ""
    page.locator(".choose").nth(2).click()
    page.click("#other button")
    assert page.inner_text("#answer") == "Choose one."


def test_predictions_and_right_answers_can_be_run(opened, bowls):
    end = 2 / curvature(bowls[0]["flat"])
    page = opened(reduced_motion="reduce")
    predict(page, 1, "fewest", 0.2)
    page.click("#run-right")
    assert line(page).startswith("Step 1: ")
    assert "Arrived" in line(page)
    page.click("#run-mine")
    assert page.evaluate("state.rate") == 0.2
    assert "Arrived" in line(page)
    predict(page, 2, "limit", 1.2 * end)
    page.click("#run-mine")
    assert "farther away" in line(page)
    page.click("#run-right")
    assert "it stays at the same distance" in line(page)


def test_a_prediction_may_have_a_decimal_comma(opened):
    page = opened()
    for guess in ("0,05", "0,050", " .05 ", "5e-2"):
        assert predict(page, 1, "fewest", guess) == predict(page, 1, "fewest", "0.05")
        assert page.evaluate("state.rate") == 0.05


def test_another_prediction_starts_without_the_last_answer(opened):
    page = opened()
    predict(page, 1, "fewest", 0.2)
    page.locator(".choose").nth(1).click()
    assert page.inner_text("#answer") == ""
    assert page.locator("#see").is_hidden()
    assert page.locator(".task:visible").count() == 1


# ── The controls ─────────────────────────────────────────────────────────────────────────────────


def test_run_goes_on_until_it_has_arrived_and_reads_out_only_the_end(opened, bowls):
    rate = 0.7 / curvature(bowls[0]["flat"])
    page = opened(f"#view=one&bowl=flat&rate={rate}")
    page.click("#run")
    assert page.inner_text("#run") == "Pause"
    assert page.get_attribute("#line", "aria-live") == "off"
    page.wait_for_function("() => timer === null")
    assert "Arrived" in line(page)
    assert page.get_attribute("#line", "aria-live") == "polite"
    page.click("#restart")
    assert line(page).startswith("Start: ")


def test_a_run_pauses_where_it_is(opened):
    page = opened("#view=one&bowl=flat&rate=0.01")
    page.click("#run")
    page.wait_for_function("() => state.rates.length >= 1")
    page.click("#run")
    steps = page.evaluate("state.rates.length")
    page.wait_for_timeout(600)
    assert page.evaluate("state.rates.length") == steps
    assert page.inner_text("#run") == "Run"


def test_a_run_ends_where_further_steps_show_nothing_new(opened, bowls):
    end = 2 / curvature(bowls[0]["flat"])
    page = opened(f"#view=one&bowl=flat&rate={1.2 * end}", reduced_motion="reduce")
    page.click("#run")
    assert page.evaluate("isOutside(pathOf(state.rates).at(-1))")
    assert (
        f"step {page.evaluate('state.rates.length')}: w = "
        in page.locator("#drawing .note").text_content()
    )
    page = opened("#view=one&bowl=flat&rate=0.001", reduced_motion="reduce")
    page.click("#run")
    x, mass = bowls[0]["flat"], bowls[2]
    more = steps_until_1_percent(x, mass, -0.24, 0.001, 1000) - 200
    assert "The page stops after 200 steps. It has not arrived yet: " in line(page)
    assert f"that takes {more} more." in line(page)
    assert page.get_attribute("#step", "aria-disabled") == "true"


@pytest.mark.parametrize("view", ["one", "two"])
@pytest.mark.parametrize("rate", [1, 2, 3, 10, 100, 1e6])
def test_a_run_that_diverges_shows_several_steps_and_says_so(rate, view, opened):
    page = opened(f"#view={view}&bowl=steep&rate={rate}", reduced_motion="reduce")
    for _ in range(2):  # again, it begins at the start
        page.click("#run")
        assert line(page).startswith("Step 6: ")
        assert line(page).endswith("It has left the picture: it diverges. (Step goes on.)")
    page.click("#step")
    assert line(page).startswith("Step 7: ")


def test_a_run_that_diverges_shows_its_steps_one_after_the_other(opened):
    page = opened("#view=one&bowl=flat&rate=3")
    page.evaluate(
        """() => {
             window.notes = [];
             new MutationObserver(() => notes.push(part("count").textContent))
               .observe(part("count"), { childList: true });
           }"""
    )
    page.click("#run")
    page.wait_for_function("() => timer === null")
    counts = list(dict.fromkeys(page.evaluate("notes")))
    assert counts == ["0 steps", "1 step", *(f"{n} steps" for n in range(2, 7))]


@pytest.mark.parametrize("bowl", ["flat", "steep"])
def test_at_2_over_the_curvature_a_run_goes_to_and_fro_and_looks_different(bowl, opened, bowls):
    end = 2 / curvature(bowls[0][bowl])
    page = opened(f"#view=one&bowl={bowl}&rate={end}", reduced_motion="reduce")
    assert "dash-dotted" not in page.inner_text("#key")
    page.click("#run")
    assert line(page).startswith("Step 6: ")
    assert line(page).endswith(
        "It goes to and fro like this for ever: it neither arrives nor diverges."
    )
    assert "dash-dotted ones to a place as far from it." in page.inner_text("#key")
    looks = page.evaluate(
        """["stays", "toward", "away"].map(way => {
             const line = document.querySelector(".move line");
             line.parentNode.setAttribute("class", `move ${way}`);
             const { stroke, strokeDasharray } = getComputedStyle(line);
             return stroke + strokeDasharray;
           })"""
    )
    assert len(set(looks)) == 3


@pytest.mark.parametrize("width", [360, 1280])
def test_steps_to_and_fro_show_all_their_numbers_and_both_ways(width, opened):
    page = opened(viewport={"width": width, "height": 800})
    page.evaluate("changeRate(zoneEnd(loss()))")
    for steps, expected in ((1, ["0", "1"]), (5, ["0, 2, 4", "1, 3, 5"]), (6, ["0, 2…6"])):
        page.evaluate("n => change({ rates: Array(n).fill(state.rate) })", steps)
        said = page.locator("#drawing .number").all_text_contents()
        assert set(expected) <= set(said)
    across = page.evaluate(
        """[...document.querySelectorAll(".move.stays line")].map(
             line => [line.x2.baseVal.value - line.x1.baseVal.value, line.y1.baseVal.value])"""
    )
    (right, one), (left, other) = sorted(across, reverse=True)
    assert right > 50
    assert left < -50
    assert abs(one - other) > 6


def test_a_run_becomes_faster(opened):
    page = opened("#view=one&bowl=flat&rate=0.0001")
    page.clock.install()
    page.click("#run")
    page.clock.run_for(900)
    # (Real time may pass, too. If it did not become faster, there would be 15 steps by now.)
    assert 1 <= page.evaluate("state.rates.length") <= 5
    page.clock.run_for(11100)
    assert page.evaluate("state.rates.length") == 200
    assert page.inner_text("#run") == "Run"


def test_a_tiny_rate_leads_nearer_by_too_little_to_see(opened):
    page = opened("#view=one&bowl=flat&rate=1e-9&steps=1")
    assert ": toward the minimum, by too little to see in these digits. " in line(page)
    assert "same distance" not in line(page)
    assert "toward" in page.locator("#drawing .move").get_attribute("class")


def test_many_steps_fade_from_the_last_to_the_first(opened, bowls):
    rate = 0.97 * 2 / curvature(bowls[0]["flat"])
    page = opened(f"#view=one&bowl=flat&rate={rate}&steps=100")
    strengths = page.evaluate(
        """[...document.querySelectorAll("#drawing .move")].map(
             move => Number(move.parentNode.getAttribute("opacity")))"""
    )
    assert len(strengths) == 100
    assert strengths == sorted(strengths)
    assert strengths[-1] == 1
    assert strengths[0] <= 0.1


def test_numbers_never_become_too_large_to_compute_with(opened):
    page = opened("#view=two&bowl=steep&rate=1000000&steps=200")
    assert np.isfinite(path_on(page)).all()
    assert "It diverges. The page stops here: numbers would become too large." in line(page)
    assert not re.search("NaN|Infinity", page.content().split("<script")[0])


def test_back_and_another_rate_or_start_change_the_steps(opened):
    page = opened("#view=one&bowl=flat&rate=0.1&steps=3")
    page.click("#back")
    assert line(page).startswith("Step 2: ")
    page.fill("#w", "0.3")
    assert line(page).startswith("Start: w = 0.3 ")


def test_from_another_rate_on_the_steps_go_on(opened, bowls):
    x, mass = bowls[0]["flat"], bowls[2]
    _, b = np.polyfit(x, mass, 1)
    page = opened("#view=one&bowl=flat&rate=0.04&w=-0.2&steps=3")
    page.fill("#rate", "0.3")
    page.keyboard.press("Enter")
    assert line(page).startswith("Step 3: ")
    third = descend(x, mass, [-0.2, b], 0.04, 3, "one")[-1]
    assert "The next step, at the rate 0.3, moves w by" in line(page)
    assert pytest.approx(-0.3 * third[3], rel=1e-3) in numbers(line(page))
    page.click("#step")
    assert "The next step" not in line(page)
    fourth = descend(x, mass, third[:2], 0.3, 1, "one")[-1]
    np.testing.assert_allclose(path_on(page)[-1], fourth, rtol=1e-9, atol=1e-12)
    page.wait_for_url("**rates=0.04x3+0.3x1**")
    again = opened(f"#{page.url.split('#')[1]}")
    assert line(again) == line(page)
    page.click("#restart")
    page.click("#step")
    assert page.evaluate("state.rates") == [0.3]


def test_after_it_diverged_a_smaller_rate_brings_it_back(opened):
    page = opened("#view=one&bowl=flat&rate=1&steps=6", reduced_motion="reduce")
    page.fill("#rate", "0.2")
    page.click("#run")
    assert page.evaluate("state.rates.slice(0, 7)") == [1] * 6 + [0.2]
    assert "Arrived" in line(page)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "A learning rate is a number above 0, such as 0.1."),
        ("0", "A learning rate is a number above 0, such as 0.1."),
        ("-3", "A learning rate is a number above 0, such as 0.1."),
        ("5000000", "The page takes rates up to 1,000,000."),
        ("1e-10", "The page takes rates from 10⁻⁹."),
        ("a", "“a” is not a number. A learning rate is a number above 0, such as 0.1."),
        ("1,500", "“1,500” could be 1.5 or 1500: write one of these."),
    ],
)
@pytest.mark.parametrize("leave", ["Tab", "Enter", "#step", "#run"])
def test_a_rate_that_the_page_does_not_take_is_refused(typed, problem, leave, opened):
    page = opened("#view=one&bowl=flat&rate=0.3&steps=2", reduced_motion="reduce")
    page.click("#rate", click_count=3)
    page.keyboard.press("Delete")
    page.keyboard.type(typed)
    if leave.startswith("#"):
        page.click(leave)
    else:
        page.keyboard.press(leave)
    for _ in range(2):  # no step, either, however often one asks for it
        said = f"{problem} Type another rate to go on; it was 0.3. Step 2:"
        assert line(page).startswith(said)
        assert page.evaluate("[state.rate, state.rates.length]") == [0.3, 2]
        assert page.input_value("#rate") == typed
        assert page.get_attribute("#rate", "aria-invalid") == "true"
        page.click("#step")
    page.fill("#rate", "0,2")
    page.click("#step")
    assert line(page).startswith("Step 3: ")
    assert page.evaluate("state.rates") == [0.3, 0.3, 0.2]
    assert page.input_value("#rate") == "0.2"
    assert page.get_attribute("#rate", "aria-invalid") is None


def test_a_refused_rate_goes_when_another_is_chosen(opened):
    page = opened("#view=one&bowl=flat&rate=0.3")
    page.fill("#rate", "-3")
    page.focus("#rate-slider")
    page.keyboard.press("ArrowLeft")
    assert page.input_value("#rate") == "0.295"
    page.click("#step")
    assert line(page).startswith("Step 1: ")


def test_half_of_a_typed_rate_is_not_yet_the_rate(opened):
    page = opened("#view=one&bowl=flat&rate=0.3")
    page.click("#rate", click_count=3)
    page.keyboard.type("1e-3")
    assert page.evaluate("state.rate") == 0.3
    assert page.input_value("#rate") == "1e-3"
    page.keyboard.press("Enter")
    assert page.evaluate("state.rate") == 0.001


def test_typing_a_rate_pauses_a_run_and_the_run_leaves_it_alone(opened):
    page = opened("#view=one&bowl=flat&rate=0.001")
    page.click("#run")
    page.click("#rate", click_count=3)
    page.keyboard.type("0,")
    assert page.inner_text("#run") == "Run"
    page.keyboard.type("04")
    page.click("#run")
    assert page.inner_text("#run") == "Pause"
    assert page.evaluate("state.rate") == 0.04


def test_a_step_takes_the_exact_rate_of_which_the_field_shows_four_digits(opened):
    page = opened("#view=one&bowl=flat")
    page.evaluate("changeRate(zoneEnd(loss()))")
    page.focus("#rate")
    page.click("#step")
    assert page.evaluate("state.rates[0] === zoneEnd(loss())")


def test_numbers_are_written_in_one_way(opened):
    page = opened()
    written = {
        0.0125: "0.0125",
        -14720: "−14,720",
        1.73e6: "1.73\u00a0×\u00a010⁶",
        1e-4: "10⁻⁴",
        -2.905e-9: "−2.905\u00a0×\u00a010⁻⁹",
        0: "0",
    }
    for number, words in written.items():
        assert page.evaluate("x => short(x)", number) == words


def test_another_bowl_keeps_the_rate(opened):
    page = opened("#view=one&bowl=flat&rate=0.3")
    page.check("input[value=steep]")
    assert page.evaluate("state.rate") == 0.3
    page.click("#step")
    assert "farther away" in line(page)


def test_the_steep_bowl_is_said_to_be_10_times_as_narrow(opened):
    page = opened("#view=one&bowl=flat")
    assert page.inner_text("#bowl-words") == ""
    page.check("input[value=steep]")
    assert "flat bowl, but it is 10 times as narrow" in page.inner_text("#bowl-words")


@pytest.mark.parametrize("view", ["one", "two"])
def test_each_dot_has_its_number_and_slope_where_there_is_room(view, opened, bowls):
    share = 0.8 if view == "one" else 0.4
    rate = share * 2 / curvature(inputs(bowls, "flat", view), view)
    size = {"width": 1280, "height": 800}
    page = opened(f"#view={view}&bowl=flat&rate={rate}&steps=3", viewport=size)
    assert page.locator("#drawing .dot").count() == 4
    assert page.locator("#drawing .move").count() == 3
    said = page.locator("#drawing .number:not(.height)").all_text_contents()
    assert {"0", "1", "3"} <= set(said)
    assert page.locator("#drawing .tangent").count() == (4 if view == "one" else 0)
    assert page.locator("#drawing .leg").count() == (0 if view == "one" else 2)


def test_the_short_line_on_a_dot_has_its_slope(opened, bowls):
    page = opened("#view=one&bowl=flat&rate=0.1&w=-0.3")
    mark = page.locator("#drawing .tangent.last")
    x1, y1, x2, y2 = (float(mark.get_attribute(name)) for name in ("x1", "y1", "x2", "y2"))
    per_weight, per_loss = page.evaluate("perUnit()")
    slope = (y1 - y2) / per_loss / ((x2 - x1) / per_weight)
    _, b = np.polyfit(bowls[0]["flat"], bowls[2], 1)
    assert slope == pytest.approx(descend(bowls[0]["flat"], bowls[2], [-0.3, b], 0, 0, "one")[0, 3])


def test_by_keyboard_one_can_do_all(opened):
    page = opened()
    press = page.keyboard.press

    def tab_to(name):
        for _ in range(30):
            press("Tab")
            if page.evaluate("document.activeElement.id") == name:
                return
        raise AssertionError(f"the Tab key does not reach {name}")

    tab_to("fewest-guess")
    page.keyboard.type("0.2")
    press("Enter")
    assert "too small" in page.inner_text("#answer")
    tab_to("handle")
    before = page.evaluate("state.w")
    press("ArrowRight")
    assert page.evaluate("state.w") > before
    press("End")
    assert page.evaluate("state.w") == pytest.approx(page.evaluate("ranges().w[1]"), rel=1e-3)
    press("PageDown")
    width = page.evaluate("ranges().w[1] - ranges().w[0]")
    after = page.evaluate("ranges().w[1]") - 0.1 * width
    assert page.evaluate("state.w") == pytest.approx(after, rel=1e-3)
    press("PageUp")
    assert page.evaluate("state.w") == pytest.approx(page.evaluate("ranges().w[1]"), rel=1e-3)
    assert page.evaluate("document.activeElement.id") == "handle"
    tab_to("step")
    press("Enter")
    assert line(page).startswith("Step 1: ")
    tab_to("back")
    press("Space")
    assert line(page).startswith("Start: ")
    tab_to("rate-slider")
    before = page.evaluate("state.rate")
    press("ArrowRight")
    assert page.evaluate("state.rate") == pytest.approx(before * 10**0.01, rel=5e-3)
    tab_to("zone")
    press("Space")
    assert "2/λ" in page.inner_text("#zone-words")
    tab_to("w")
    press("Home")
    assert page.evaluate("state.w") == pytest.approx(page.evaluate("ranges().w[0]"), rel=1e-3)


def test_the_focus_shows_on_the_chosen_prediction_too(opened):
    page = opened()
    page.focus(".choose")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    looks = """[...document.querySelectorAll(".choose")].map(
      button => getComputedStyle(button).outlineStyle)"""
    assert page.evaluate(looks) == ["solid", "none", "none"]
    widths = "getComputedStyle(document.activeElement).outlineWidth"
    chosen = page.evaluate(widths)
    page.keyboard.press("Tab")
    assert page.evaluate(widths) == chosen
    assert page.evaluate(looks) == ["none", "solid", "none"]


def test_with_two_weights_the_arrow_keys_move_the_start_in_both_directions(opened):
    page = opened("#view=two&bowl=flat&w=0&b=3")
    page.focus("#handle")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("state.b") > 3
    assert page.evaluate("state.w") == 0
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("state.w") < 0


@pytest.mark.parametrize("view", ["one", "two"])
def test_the_start_follows_the_mouse(view, opened):
    page = opened(f"#view={view}&bowl=flat")
    ring = page.locator("#handle .ring")
    ring.scroll_into_view_if_needed()
    box = ring.bounding_box()
    x, y = box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y - 60, steps=4)
    page.mouse.up()
    page.mouse.move(x + 200, y)
    moved = ring.bounding_box()
    assert moved["x"] - box["x"] == pytest.approx(90, abs=2)
    if view == "two":
        assert moved["y"] - box["y"] == pytest.approx(-60, abs=2)


def test_by_touch_the_start_is_dragged_and_the_page_stays_where_it_is(opened):
    page = opened(
        "#view=two", viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True
    )
    ring = page.locator("#handle .ring")
    ring.scroll_into_view_if_needed()
    box = ring.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = page.evaluate("scrollY")
    touch = page.context.new_cdp_session(page)
    for n in range(6):
        point = {"x": x + 8 * n, "y": y - 12 * n}
        kind = "touchMove" if n else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    moved = ring.bounding_box()
    assert moved["x"] - box["x"] == pytest.approx(40, abs=2)
    assert moved["y"] - box["y"] == pytest.approx(-60, abs=2)
    assert page.evaluate("scrollY") == before


# ── The address, and where the page is shown ─────────────────────────────────────────────────────


def test_the_address_restores_what_was_seen(opened, bowls):
    rate = 2 / curvature(inputs(bowls, "steep", "two"), "two")
    page = opened("#view=one&bowl=flat")
    page.check("input[value=two]")
    page.check("input[value=steep]")
    page.check("#zone")
    page.evaluate("rate => change({ rate })", rate)
    for _ in range(4):
        page.click("#step")
    page.wait_for_url("**steps=4**")
    fragment = page.url.split("#")[1]
    assert float(parse_qs(fragment)["rate"][0]) == rate
    again = opened(f"#{fragment}")
    assert line(again) == line(page)
    assert again.inner_html("#drawing") == page.inner_html("#drawing").replace(" new", "")
    assert again.is_checked("#zone")
    assert again.is_checked("input[value=steep]")


def test_another_address_in_the_same_tab_is_shown(opened):
    page = opened("#view=one&steps=2")
    page.evaluate("location.hash = '#view=two&steps=1'")
    page.wait_for_function("() => state.view === 'two'")
    assert line(page).startswith("Step 1: the gradient was")


def test_nonsense_in_the_address_is_ignored(opened):
    page = opened()
    plain = page.evaluate("({ ...state })")
    for fragment in (
        "#5",
        "#view=three&bowl=round&rate=fast&w=x&b=&steps=many&zone=yes",
        "#rate=NaN&w=Infinity&bowl=__proto__",
    ):
        go(page, fragment)
        assert page.evaluate("({ ...state })") == plain
    go(page, "#rates=0.1x3 0.1x-1")
    assert page.evaluate("({ ...state })") == plain
    assert line(page).startswith("The address says rates = 0.1x3 0.1x-1; the page took no steps. ")


def test_the_line_says_what_the_page_took_instead_of_what_the_address_says(opened):
    page = opened("#view=one&bowl=flat&w=900&steps=2.5&rate=0.1")
    assert line(page).startswith(
        "The address says w = 900; the page took 1.98. "
        "The address says steps = 2.5; the page took 3. Step 3: "
    )
    page.click("#step")
    assert line(page).startswith("Step 4: ")
    go(page, "#view=one&bowl=round&steps=5000&rate=1e9")
    assert line(page).startswith(
        "The address says bowl = round; the page took flat. "
        "The address says rate = 1e9; the page took 10⁶. "
        "The address says steps = 5000; the page took 200. Step "
    )


def test_an_address_that_the_page_wrote_says_nothing_odd(opened):
    page = opened("#view=two&bowl=flat&rate=0.1")
    page.focus("#handle")
    for key in ("End", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_url("**w=1.98**")
    again = opened(f"#{page.url.split('#')[1]}")
    assert line(again).startswith("Start: ")


def test_numbers_in_the_address_that_are_too_large_are_the_largest_there_are(opened):
    page = opened("#view=two&w=1e99&b=-1e99&steps=1e99&rate=0.001")
    w, b = page.evaluate("[ranges().w[1], ranges().b[0]]")
    assert page.evaluate("[state.w, state.b, state.rates.length]") == [w, b, 200]


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_window_and_no_word_is_cut_off(width, opened, bowls):
    page = opened(viewport={"width": width, "height": 800})
    fits = "document.scrollingElement.scrollWidth <= innerWidth"
    for number, task, guess in ((1, "fewest", 0.1), (2, "limit", 3), (3, "other", "1/10 of it")):
        predict(page, number, task, guess)
        assert page.evaluate(fits)
    for view in ("one", "two"):
        end = 2 / curvature(inputs(bowls, "steep", view), view)
        for share, steps in ((0.6, 1), (0.6, 0), (0.97, 5), (1.05, 12)):
            fragment = f"#view={view}&bowl=steep&rate={share * end}&steps={steps}&zone=1"
            go(page, fragment)
            assert page.evaluate(fits)
            assert page.evaluate(CUT_OFF) == [], fragment


OVERLAPS = """
  (() => {
    const all = [...document.querySelectorAll(selector)].map(
      text => [text.textContent, text.getBBox()]);
    const found = [];
    all.forEach(([one, a], n) => all.slice(n + 1).forEach(([other, b]) => {
      // (The boxes of letters are higher than digits.)
      if (a.x < b.x + b.width && b.x < a.x + a.width
        && a.y + 3 < b.y + b.height - 3 && b.y + 3 < a.y + a.height - 3) found.push([one, other]);
    }));
    return found;
  })()
"""  # pairs of words in a picture that cover each other


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_no_word_in_a_picture_covers_another(width, opened):
    page = opened(viewport={"width": width, "height": 800})
    for fragment in (
        "#view=two&bowl=flat&rate=0.294&w=1.4&b=4.8&steps=8",
        "#view=two&bowl=flat",
        "#view=two&bowl=flat&rate=0.35&steps=4",
        "#view=two&bowl=flat&rate=0.35&steps=5",
        "#view=two&bowl=flat&rate=0.06&w=-0.2&b=3&steps=2",
        "#view=two&bowl=steep&rate=0.0033&steps=200",
        "#view=one&bowl=flat&rate=0.04&steps=12",
        "#view=one&bowl=flat&rate=0.45&steps=5",
        "#view=one&bowl=steep&rate=0.0001",
        "#view=one&bowl=flat&rate=0.1&w=1.9&steps=1",
    ):
        go(page, fragment)
        for selector in ("#picture text", "#scale .power"):
            found = page.evaluate(f"selector => {OVERLAPS.strip()}", selector)
            assert found == [], fragment
    go(page, "#view=two&bowl=flat&rate=0.06&w=-0.2&b=3&steps=1")
    assert page.locator("#drawing .height").count() >= 4
    assert page.locator("#drawing .number.last").count() == 1


def test_thick_lines_do_not_hide_the_arrows(opened):
    page = opened("#view=one&bowl=flat&rate=0.04&steps=12")
    assert page.locator("#drawing .tangent.last").count() == 1
    assert page.locator("#drawing .tangent").count() <= 6
    assert page.evaluate(
        """[...document.querySelectorAll("#drawing .tangent")].every(line =>
             line.compareDocumentPosition(document.querySelector("#drawing .move"))
               & Node.DOCUMENT_POSITION_FOLLOWING)"""
    )
    page.set_viewport_size({"width": 360, "height": 800})
    go(page, "#view=one&bowl=flat&rate=0.45&steps=6")
    bottom = page.evaluate("frame.bottom")
    ends = page.evaluate(
        """[...document.querySelectorAll("#drawing .tangent")].flatMap(
             line => [line.getAttribute("y1"), line.getAttribute("y2")].map(Number))"""
    )
    assert max(ends) < bottom - 2


ON_LINES = """
  (() => {
    const found = [];
    for (const text of document.querySelectorAll(texts)) {
      const box = text.getBBox();
      for (const { x1, y1, x2, y2 } of document.querySelectorAll(lines)) {
        const [x, y] = [x1.baseVal.value, y1.baseVal.value];
        const [dx, dy] = [x2.baseVal.value - x, y2.baseVal.value - y];
        for (let n = 0; n <= 200; n++) {
          const [atX, atY] = [x + (n / 200) * dx, y + (n / 200) * dy];
          if (atX > box.x && atX < box.x + box.width
            && atY > box.y + 3 && atY < box.y + box.height - 3) {
            found.push(text.textContent);
            break;
          }
        }
      }
    }
    return found;
  })()
"""  # words that stand on lines


@pytest.mark.parametrize("width", [360, 1280])
def test_no_number_stands_on_a_slope_and_no_arrow_goes_through_the_minimums_name(width, opened):
    page = opened(viewport={"width": width, "height": 800})
    for rate, steps in ((0.25, 1), (0.25, 2), (0.04, 14), (0.2, 3), (0.6, 3), (3, 6), (1, 2)):
        go(page, f"#view=one&bowl=flat&rate={rate}&steps={steps}")
        texts, lines = "#drawing .number", "#drawing .tangent, #drawing .move line"
        found = page.evaluate(f"([texts, lines]) => {ON_LINES.strip()}", [texts, lines])
        assert found == [], rate
        names = page.locator("#drawing .number").all_text_contents()
        assert any(name.startswith("minimum: w = ") for name in names)


@pytest.mark.parametrize("view", ["one", "two"])
def test_the_arrow_that_leaves_the_picture_has_its_head_at_the_border(view, opened):
    page = opened()
    for rate, steps in ((3, 1), (3, 6), (3, 40), (100, 6)):
        go(page, f"#view={view}&bowl=flat&rate={rate}&steps={steps}")
        first = page.locator("#drawing .move").first
        tip = first.locator("polygon").get_attribute("points").split(" ")[0]
        x, y = map(float, tip.split(","))
        left, right, top, bottom = page.evaluate(
            "[frame.left, frame.right, frame.top, frame.bottom]"
        )
        to_border = min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom))
        assert to_border == pytest.approx(0, abs=0.01)
        assert left - 0.01 <= x <= right + 0.01
        assert top - 0.01 <= y <= bottom + 0.01
        assert first.evaluate("move => move.parentNode.getAttribute('opacity')") == "1"
        assert page.locator("#drawing .note").count() == 1


def test_words_in_the_picture_keep_their_size_on_a_narrow_page(opened):
    page = opened(viewport={"width": 1280, "height": 800})
    page.set_viewport_size({"width": 360, "height": 800})
    page.wait_for_function("() => frame.width < 360")  # the page hears of it a little later
    scale = page.evaluate(
        "document.getElementById('picture').clientWidth / picture.viewBox.baseVal.width"
    )
    assert scale == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page(scheme, opened):
    page = opened(color_scheme=scheme)
    colours = page.evaluate(
        """[getComputedStyle(document.body).backgroundColor,
            ...["#line", "#key", "#picture text", "#zone"].map(
              name => getComputedStyle(document.querySelector(name)).color),
            getComputedStyle(document.querySelector("#picture text")).fill]"""
    )

    def luminance(colour):
        parts = np.array(numbers(colour.replace(",", " "))[:3]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    ground = luminance(colours[0])
    assert (ground > 0.5) == (scheme == "light")
    for name in (1, 2, 5):
        light, dark = sorted([ground, luminance(colours[name])], reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 4.5


def test_without_javascript_the_page_says_that_it_needs_it(opened):
    page = opened(java_script_enabled=False)
    assert "JavaScript" in page.inner_text("body")
    assert page.locator("button:visible").count() == 0


def test_on_paper_there_are_the_picture_and_its_words_but_no_controls(opened):
    page = opened("#steps=3")
    page.emulate_media(media="print")
    assert page.locator("#picture").is_visible()
    assert page.locator("#line").is_visible()
    assert page.locator("#step").is_hidden()


# ── Other data ───────────────────────────────────────────────────────────────────────────────────


def test_what_the_page_says_comes_from_the_data(browser, tmp_path):
    x = np.array([1.0, 2.0, 4.0, 7.0])
    y = np.array([3.0, 1.0, -2.0, -5.0])
    path = tmp_path / "other.html"
    words = {"x": "<depth>", "y": "warmth", "y_unit": "K", "examples": "lakes"}
    bowls = {"a & b": x, "c": 2 * x}, {"a & b": "m", "c": "half m"}
    in_examples("descent").write(path, *bowls, y, **words)
    opened = OpenPage(browser, path)
    page = opened.page
    said = page.inner_text("body")
    assert "A line through 4 lakes: warmth = w · <depth> + b." in said
    assert "a & b: <depth> in m" in said
    assert "K per m" in line(page)
    assert page.evaluate("loss().w") == pytest.approx(np.polyfit(x, y, 1)[0])
    page.check("input[value=c]")
    assert page.evaluate("loss().curvature") == pytest.approx(curvature(2 * (x - x.mean())))
    assert "kg" not in page.inner_text("body")
    assert page.locator("#other-guess option").all_inner_texts()[1:] == [
        "2 times as large",
        "the same",
        "1/2 of it",
        "1/4 of it",
    ]
    opened.close()


@pytest.mark.parametrize(
    ("features", "target", "message"),
    [
        ({"a": [1.0, 2.0]}, [1.0, 2.0], "two bowls, but here are 1"),
        ({"a": [1.0, 2.0], "b": [1.0]}, [1.0, 2.0], "the b bowl has 1 inputs, but .* 2 targets"),
        ({"a": [1.0, 1.0], "b": [1.0, 2.0]}, [1.0, 2.0], "constant"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, [1.0, 1.0], "constant"),
    ],
)
def test_data_without_two_bowls_is_one_clear_error(features, target, message, tmp_path):
    features = {name: np.array(feature) for name, feature in features.items()}
    with pytest.raises(ValueError, match=message):
        in_examples("descent").write(tmp_path / "page.html", features, {}, np.array(target))
