"""Films, played in a real browser."""

import html
import json
import re
import shutil
import socketserver
import threading
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from rendered import needs_program

from microgd import Value, film, nn, no_grad, operation, operations
from microgd.pictures import diagram, text

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [needs_program, pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")]
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]


@pytest.fixture(scope="module")
def browser():
    with (
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=BROWSER, args=QUIET) as running,
    ):
        yield running


class Page:
    """A film in the browser. It records every error and every request."""

    def __init__(self, browser, path, fragment="", **options):
        self.context = browser.new_context(viewport={"width": 1000, "height": 700}, **options)
        self.page = self.context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = Path(path).resolve().as_uri()
        self.page.goto(self.address + fragment)

    @property
    def line(self):
        return self.page.inner_text("#line")

    @property
    def step(self):
        return int(self.page.inner_text("#count").split(" of ")[0])

    @property
    def last(self):
        return int(self.page.inner_text("#count").split(" of ")[1])

    def state(self):
        """Everything shown: the texts, and which parts are lit or done."""
        return self.page.evaluate(
            """[document.body.className, document.getElementById("line").textContent,
               ...[...document.querySelectorAll("svg .node, svg .edge")].map(part =>
                 [part.id, part.getAttribute("class"), ...[...part.querySelectorAll("text")].map(t => t.textContent.trim())]
               )]"""
        )

    def rows(self, name):
        """The data and the gradient in the box with this name."""
        for part in self.state()[2:]:
            if len(part) == 5 and part[2] == name:
                return part[3:]
        raise AssertionError(f"no box {name}")

    def lit(self):
        return [part[0] for part in self.state()[2:] if "lit" in part[1].split()]

    def close(self):
        assert self.errors == []
        assert [url for url in self.requests if not url.startswith("file://")] == []
        assert len(self.requests) == 1
        self.context.close()


@pytest.fixture
def play(browser, tmp_path):
    """A function that films a value and opens the film."""
    opened = []

    def start(value, fragment="", names=None, model=None, direction="LR", **options):
        path = film(value, tmp_path / "film.html", names=names, model=model, direction=direction)
        page = Page(browser, path, fragment, **options)
        opened.append(page)
        return page

    yield start
    for page in opened:
        page.close()


def expression():
    a, b, c, f = (
        Value(2.0, name="a"),
        Value(-3.0, name="b"),
        Value(10.0, name="c"),
        Value(-2.0, name="f"),
    )
    e = a * b
    d = e + c
    out = d * f
    e.name, d.name, out.name = "e", "d", "L"
    return out


def twice():
    x = Value(3.0, name="x")
    y = x * x + 3 * x
    y.name = "y"
    return y


def network():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(2, 4, rng=rng), nn.Tanh(), nn.Linear(4, 1, rng=rng))
    x, target = (
        np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
        np.array([[0.0], [1.0], [1.0], [0.0]]),
    )
    loss = nn.mse_loss(model(x), target)
    loss.name = "loss"
    return loss, model


# ── What a film tells ─────────────────────────────────────────────────────────────────────────────


def told(page):
    lines = []
    for step in range(page.last + 1):
        page.page.evaluate("step => { location.hash = step }", step)
        page.page.wait_for_function(
            "step => document.getElementById('count').value.startsWith(step + ' of')", arg=step
        )
        lines.append(page.line)
    return lines


def test_every_step_is_said_in_words_and_numbers(play):
    assert told(play(expression())) == [
        "Given: a = 2, b = −3, c = 10, f = −2.",
        "e = a × b = 2 × −3 = −6",
        "d = e + c = −6 + 10 = 4",
        "L = d × f = 4 × −2 = −8",
        "Now backward, from the end. L's gradient is ∂L/∂L = 1.",
        "d gets L's gradient × ∂L/∂d = 1 × −2 = −2.",
        "f gets L's gradient × ∂L/∂f = 1 × 4 = 4.",
        "e gets d's gradient × ∂d/∂e = −2 × 1 = −2.",
        "c gets d's gradient × ∂d/∂c = −2 × 1 = −2.",
        "a gets e's gradient × ∂e/∂a = −2 × −3 = 6.",
        "b gets e's gradient × ∂e/∂b = −2 × 2 = −4.",
        "That is the gradient: ∂L/∂a = 6, ∂L/∂b = −4, ∂L/∂c = −2, ∂L/∂f = 4.",
    ]


def test_the_film_says_when_gradients_add_up_and_why(play):
    lines = told(play(twice()))
    assert lines[-4:-1] == [
        "x gets v₂'s gradient × ∂v₂/∂x = 1 × 3 = 3.",
        "x, as operand 1 of 2, gets v₁'s gradient × the local derivative 3: 1 × 3 = 3; it had 3 already, so now 6: "
        "x affects y along several paths, and they add up.",
        "x, as operand 2 of 2, gets v₁'s gradient × the local derivative 3: 1 × 3 = 3; it had 6 already, so now 9: "
        "x affects y along several paths, and they add up.",
    ]


def test_functions_options_and_tensors_are_said_too(play):
    x = Value([[1.0, 2.0], [3.0, 4.0]], name="x")
    w = Value(np.ones((2, 9)), name="w")
    out = ((x @ w).sum(axis=1) ** 2).mean()
    out.name = "out"
    lines = told(play(out))
    assert lines[1] == "v₁ = x @ w, of shape (2, 9)"
    assert lines[2] == "v₂ = sum(v₁, axis=1) = [27, 63]"
    assert lines[3] == "v₃ = v₂ ** 2 = [27, 63] ** 2 = [729, 3969]"
    assert lines[6] == "v₃ gets its share of out's gradient, by the rule of mean: (2,), [0.5, 0.5]."
    assert any(
        line.startswith("w gets its share of v₁'s gradient, by the rule of matmul: (2, 9), size ")
        for line in lines
    )


def test_the_pass_begins_with_the_stored_gradient_if_there_is_one(play):
    x = Value([1.0, 2.0], name="x")
    y = x * 3.0
    y.name = "y"
    with pytest.raises(ValueError, match="no gradient by itself"):
        play(y)
    y.backward(np.array([1.0, -1.0]))
    assert (
        "Now backward, from the end. y's gradient is [1, −1], which is what its grad holds."
        in told(play(y))
    )


def test_a_leaf_alone_is_a_film(play):
    page = play(Value(2.0, name="x"))
    assert told(page) == [
        "Given: x = 2.",
        "Now backward, from the end. x's gradient is ∂x/∂x = 1.",
        "That is the gradient: ∂x/∂x = 1.",
    ]


def test_names_are_those_of_draw(play):
    first = Value(2.0)
    loss, model = network()
    lines = told(play(first * 3.0, names={"first": first}))
    assert "v₁ = first × 3 = 2 × 3 = 6" in lines
    assert any(line.startswith("0.weight gets its share") for line in told(play(loss, model=model)))
    with pytest.raises(ValueError, match="not computed with this model"):
        play(loss, model=network()[1])


def test_what_was_given_is_told_as_it_was(play):
    a, c = Value(-2.0, name="a"), np.array([1, 2])
    y = ((a**2) * c).sum()
    c[:] = 9
    assert told(play(y))[1:3] == [
        "v₁ = a ** 2 = (−2) ** 2 = 4",
        "v₂ = v₁ × [1, 2] = 4 × [1, 2] = [4, 8]",
    ]


def test_a_leaf_that_changed_between_two_uses_shows_both(play):
    x = Value(2.0, name="x")
    y = x * 3.0
    x.data = 5.0
    page = play(y * x)
    assert "v₂ = v₁ × x = 6 × 5 = 30" in told(page)
    assert page.rows("x") == ["data 2, then 5", "grad 21"]


def test_a_pass_that_began_elsewhere_makes_no_claim_about_this_output(play):
    a = Value(2.0, name="a")
    e = a * 3.0
    e.name = "e"
    (e * 5.0).backward()
    lines = told(play(e))
    assert (
        lines[2] == "Now backward, from the end. e's gradient is 5, which is what its grad holds."
    )
    assert lines[-1] == "That is the gradient: 15 for a."


def test_a_rule_that_selects_is_told_as_such(play):
    x = Value(-1.0, name="x")
    lines = told(play(operations.relu(x) * np.inf))
    assert "x gets its share of v₁'s gradient, by the rule of relu: 0." in lines


def test_long_lists_end_with_how_many_more_there_are(play):
    out = sum((Value(float(i)) for i in range(20)), 0.0)
    lines = told(play(out, fragment="#0"))
    assert lines[0].endswith("v₂₃ = 11 and 8 more.")


# ── What a film shows ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [expression, twice, lambda: network()[0]])
def test_the_numbers_at_the_end_are_the_engines(make, play):
    out = make()
    page = play(out, fragment="#999")
    shown = {part[2]: part[3:] for part in page.state()[2:] if len(part) == 5}
    out.backward()
    values, found = [out], {}
    for value in values:
        values += [x for x in value.inputs if isinstance(x, Value)]
        found[value] = [f"data {text.data(value.data)}", f"grad {text.gradient(value.grad)}"]
    assert sorted(map(tuple, shown.values())) == sorted(map(tuple, found.values()))
    assert shown[out.name] == found[out]


def test_boxes_fill_in_as_they_are_computed_and_as_gradients_come_in(play):
    page = play(twice())
    seen = []
    for _ in range(page.last + 1):
        seen.append(page.rows("x") + page.rows("y"))
        page.page.keyboard.press("ArrowRight")
    x_data, x_grad, y_data, y_grad = (
        list(dict.fromkeys(column)) for column in zip(*seen, strict=True)
    )
    assert x_data == ["data 3"]
    assert x_grad == ["grad", "grad 3", "grad 6", "grad 9"]
    assert y_data == ["data", "data 18"]
    assert y_grad == ["grad", "grad 1"]


def test_one_edge_is_lit_at_a_step_back_and_the_rest_is_pale_until_its_turn(play):
    page = play(expression())
    assert sorted(page.lit()) == ["v0", "v1", "v3", "v5"]
    pale = "[...document.querySelectorAll('svg .edge')].filter(e => getComputedStyle(e).opacity < .5).length"
    page.page.emulate_media(reduced_motion="reduce")
    page.page.wait_for_function(f"{pale} == 9")  # a transition may still be under way
    page.page.keyboard.press("ArrowRight")
    assert page.page.evaluate(pale) == 6
    for _ in range(4):
        page.page.keyboard.press("ArrowRight")
    assert page.page.evaluate(pale) == 0
    assert [key for key in page.lit() if "-" in key] == ["v4-o2-0"]
    hidden = "[...document.querySelectorAll('svg .edge text')].filter(e => getComputedStyle(e).visibility == 'hidden').length"
    assert page.page.evaluate(hidden) == 5
    assert ["v4-o2-0", "edge done back lit", "× −2 → −2"] in page.state()


@pytest.mark.parametrize("make", [twice, lambda: network()[0]])
def test_stepping_back_shows_what_stepping_forward_showed(make, play):
    page = play(make())
    forward = []
    for _ in range(page.last):
        forward.append(page.state())
        page.page.keyboard.press("ArrowRight")
    assert page.step == page.last
    for state in reversed(forward):
        page.page.keyboard.press("ArrowLeft")
        assert page.state() == state
    assert page.step == 0


# ── Playing and stepping ──────────────────────────────────────────────────────────────────────────


def test_buttons_slider_and_address_lead_to_the_same_steps(play):
    page = play(expression(), fragment="#3")
    assert page.step == 3
    page.page.click("#forward")
    assert page.step == 4
    assert page.page.url.endswith("film.html#4")
    page.page.click("#back")
    page.page.click("#back")
    assert page.step == 2
    page.page.fill("#slider", "9")
    assert page.step == 9
    assert page.page.url.endswith("#9")
    page.page.keyboard.press("End")
    assert page.page.input_value("#slider") == str(page.last)
    page.page.click("#restart")
    assert page.step == 0
    assert page.page.get_attribute("#back", "aria-disabled") == "true"
    page.page.evaluate("location.hash = 'nonsense'")
    page.page.wait_for_timeout(50)
    assert page.step == 0
    page.page.click("summary")
    page.page.click("details li:nth-child(6) a")
    page.page.wait_for_function("document.getElementById('count').value.startsWith('5 ')")


def test_it_plays_to_the_end_pauses_and_plays_again(play):
    page = play(twice())
    page.page.clock.install(time=0)
    page.page.clock.pause_at(1000)  # from here on, time passes only when the test says so
    page.page.click("#play")
    assert page.page.inner_text("#play") == "Pause"
    page.page.clock.run_for(4_500)
    assert page.step == 2
    page.page.click("#play")
    page.page.clock.run_for(60_000)
    assert page.step == 2
    assert page.page.inner_text("#play") == "Play"
    page.page.select_option("#speed", "4")
    page.page.keyboard.press("Escape")
    page.page.click("#play")
    page.page.clock.run_for(1_100)
    assert page.step == 4
    page.page.clock.run_for(60_000)
    assert page.step == page.last
    assert page.page.inner_text("#play") == "Play"
    page.page.click("#play")
    assert page.step == 0
    page.page.click("#forward")  # stepping stops the film
    page.page.clock.run_for(60_000)
    assert page.step == 1


def test_the_keyboard_alone_is_enough(play):
    page = play(expression())
    page.page.clock.install(time=0)
    page.page.clock.pause_at(1000)  # from here on, time passes only when the test says so
    press = page.page.keyboard.press
    focused = "document.activeElement.id"
    press("End")
    assert page.step == page.last
    press("Home")
    assert page.step == 0
    for button in ("restart", "back", "play"):
        press("Tab")
        assert page.page.evaluate(focused) == button
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.page.evaluate(outline) == "solid"
    press("Tab")
    assert page.page.evaluate(focused) == "forward"
    press("Enter")
    press(" ")
    assert page.step == 2  # the film does not play
    page.page.clock.run_for(10_000)
    assert page.step == 2
    for _ in range(20):
        press("Enter")
    assert page.step == page.last
    assert page.page.evaluate(focused) == "forward"  # it keeps the focus
    for _ in range(page.last - 2):
        press("ArrowLeft")
    assert page.step == 2
    press("Tab")
    assert page.page.evaluate(focused) == "slider"
    press("ArrowRight")
    assert page.step == 3
    press("Tab")
    assert page.page.evaluate(focused) == "speed"
    press("Tab")
    assert page.page.evaluate(focused) == "picture"
    press(" ")
    page.page.clock.run_for(1_500)
    assert page.step == 4
    press(" ")
    page.page.clock.run_for(10_000)
    assert page.step == 4
    press("Tab")
    press("Enter")
    assert page.page.evaluate("document.querySelector('details').open")


def test_a_screen_reader_hears_each_line(play):
    page = play(expression(), fragment="#1")
    tree = page.page.locator("body").aria_snapshot()
    assert "- status: e = a × b = 2 × −3 = −6" in tree
    for name in ("Restart", "Back", "Play", "Forward"):
        assert f'- button "{name}"' in tree
    assert '- slider "Step"' in tree
    assert '- combobox "Speed"' in tree
    assert '- img "The computation graph' in tree
    live = page.page.locator("#line")
    assert [live.get_attribute(a) for a in ("role", "aria-live", "aria-atomic")] == [
        "status",
        "polite",
        "true",
    ]
    assert page.page.get_attribute("#slider", "aria-valuetext") == "1 of 11"
    assert page.page.get_attribute("html", "lang") == "en"


def contrast(page, selector, background):
    """The contrast ratio (WCAG 2.2, 1.4.3) between a text and its background."""
    colours = page.evaluate(
        """([text, behind]) => [[text, "color"], [behind, "backgroundColor"]].map(([selector, property]) => {
             const part = document.querySelector(selector), style = getComputedStyle(part);
             return style[part instanceof SVGElement ? "fill" : property].match(/[\\d.]+/g).slice(0, 3).map(Number);
           })""",
        [selector, background],
    )
    linear = [
        [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in colour]
        for colour in colours
    ]
    one, other = sorted(np.dot([0.2126, 0.7152, 0.0722], c) for c in linear)
    return (other + 0.05) / (one + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_legible_in_light_and_dark(scheme, play, tmp_path):
    a = Value(2.0, name="a")
    out = (a * 3.0 + 1.0) * a
    page = play(out, fragment="#999", color_scheme=scheme, reduced_motion="reduce").page
    pairs = [
        ("#line", "body"),
        ("#keys", "body"),
        ("details a", "body"),
        (".leaf text:nth-of-type(2)", ".leaf path"),
        (".leaf text:nth-of-type(3)", ".leaf path"),
        (".computed text:nth-of-type(2)", ".computed path"),
        (".computed text:nth-of-type(3)", ".computed path"),
        (".output text:nth-of-type(2)", ".output path"),
        (".output text:nth-of-type(3)", ".output path"),
        (".constant text", ".constant path"),
        (".operation text", ".operation ellipse"),
        (".edge text", "body"),
    ]
    ratios = {pair[0]: contrast(page, *pair) for pair in pairs}
    assert min(ratios.values()) >= 4.5, ratios
    page.screenshot(path=tmp_path / "page.png")
    pixels = matplotlib.image.imread(tmp_path / "page.png")[..., :3].mean(-1)
    assert (np.median(pixels) < 0.2) == (scheme == "dark")
    assert pixels.std() > 0.05


def test_the_picture_fits_the_page_and_what_is_lit_is_in_sight(play):
    page = play(expression()).page
    assert page.evaluate(
        "document.querySelector('svg').getBoundingClientRect().right <= innerWidth"
    )
    out = Value(1.0, name="x")
    for _ in range(60):
        out = (out * 1.01).tanh()
    page = play(out, fragment="#1").page
    # The picture scrolls, not the page.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sight = "part => { const box = part.getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth + 1 }"
    for step in ["End", *["ArrowLeft"] * 40]:
        page.keyboard.press(step)
        assert page.evaluate(f"[...document.querySelectorAll('.lit')].every({sight})")


def test_the_line_and_the_buttons_stay_in_sight_beside_a_tall_picture(play):
    out = Value(1.0, name="x")
    for _ in range(60):
        out = (out * 1.01).tanh()
    page = play(out, fragment="#1", direction="TB").page
    for step in ["End", *["ArrowLeft"] * 10, "Home"]:
        page.keyboard.press(step)
        assert page.evaluate("scrollY") == 0
        for part in ("#line", "#play", ".lit"):
            box = page.locator(part).first.bounding_box()
            assert 0 <= box["y"] <= 700 - box["height"]


# ── The file ──────────────────────────────────────────────────────────────────────────────────────


def test_the_policy_lets_nothing_in_and_nothing_out(browser, tmp_path):
    asked = []

    class Asked(socketserver.BaseRequestHandler):
        def handle(self):
            asked.append(self.request.recv(1000))

    with socketserver.TCPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        page = Page(browser, film(expression(), tmp_path / "film.html"))
        tries = """url => {
            fetch(url).catch(() => {}); new Image().src = url; navigator.sendBeacon(url);
            document.body.insertAdjacentHTML("beforeend", `<iframe src="${url}"></iframe><link rel="stylesheet" href="${url}">
              <form action="${url}" method="post"></form><img src="x" onerror="window.broken = 1">
              <p id="p" style="color: red">p</p>`);
            const script = document.createElement("script");
            script.textContent = "window.broken = 1";
            document.body.append(script);
            document.forms[0].submit();
        }"""
        page.page.evaluate(tries, url)
        page.page.wait_for_timeout(300)
        assert page.page.evaluate("window.broken") is None
        assert (
            page.page.evaluate("getComputedStyle(document.getElementById('p')).color")
            != "rgb(255, 0, 0)"
        )
        assert page.page.url == page.address
        assert len([error for error in page.errors if "Content Security Policy" in error]) >= 6
        page.context.close()
        server.shutdown()
    # Chromium opens connections before it blocks the requests, so only the content counts.
    assert b"".join(asked) == b""


def test_the_film_is_one_file_that_names_no_other(tmp_path):
    page = Path(film(expression(), tmp_path / "film.html")).read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href|action)="(?!#)', page) == []
    addresses = set(re.findall(r"https?://[^\"' ]*", page))
    # These are names of formats, not addresses that anything is loaded from.
    assert addresses <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


STRANGE = [
    "<script>broken=1</script>",
    '"><img src=x onerror="broken=1">',
    "$title ${x} {{y}}",
    "</script>",
    r"\N",
    r"\\N \\",
    "&amp; &#92; &lt",
    "]]> --> <!--",
    "%s # {a|b}",
    "👨\u200d👩\u200d👧 é",
]


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_is_text_and_never_markup(name, play):
    a = Value(2.0, name=name)
    out = a * 3.0
    out.name = name
    page = play(out, fragment="#1")
    assert page.line == f"{name} = {name} × 3 = 2 × 3 = 6"
    assert page.page.inner_text("h1") == f"Backpropagation of {name}"
    assert page.page.evaluate("window.broken") is None
    assert [part[2].replace("\u2060", "") for part in page.state()[2:] if part[0] == "v0"] == [name]


@pytest.mark.parametrize("names", [("שלום", "עולם", "סכום"), ("عدد", "می\u200cخواهم", "ا")])
def test_sentences_run_from_left_to_right_even_where_names_do_not(names, play):
    out = Value(2.0, name=names[0]) * Value(3.0, name=names[1])
    out.name = names[2]
    page = play(out, fragment="#1")
    marks = page.page.evaluate(
        """() => {
          const letters = document.getElementById("line").firstChild;
          const range = document.createRange();
          return [...letters.data].flatMap((letter, i) => {
            range.setStart(letters, i);
            range.setEnd(letters, i + 1);
            return "=×236".includes(letter) ? [[range.getBoundingClientRect().left, letter]] : [];
          });
        }"""
    )
    assert "".join(letter for _, letter in sorted(marks)) == "=×=2×3=6"


def test_an_operation_of_any_name_is_filmed(registry, play):
    @operation(lambda g, out, x: [g], name="\ud800\\\\ <b>")
    def odd(x):
        return x

    page = play(odd(Value([1.0, 2.0], name="x")).sum(), fragment="#1")
    assert page.line == "v₁ = �\\\\ <b>(x) = �\\\\ <b>([1, 2]) = [1, 2]"


def test_without_javascript_all_is_shown(browser, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(Path(film(expression(), tmp_path / "film.html")).as_uri())
    assert not page.is_visible("#controls")
    assert "grad 6" in page.text_content("svg")
    assert page.is_visible("svg .edge text >> nth=0")
    page.click("summary")
    assert "e = a × b = 2 × −3 = −6" in page.inner_text("ol")
    context.close()


def test_the_film_plays_within_a_notebook(browser, tmp_path):
    shown = film(expression(), tmp_path / "film.html")._repr_html_()
    context = browser.new_context()
    page = context.new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(f"<!DOCTYPE html><p style='height: 3000px'>A cell</p>{shown}")
    page.wait_for_timeout(200)
    assert page.evaluate("scrollY") == 0  # the page does not scroll to the film by itself
    frame = page.frame_locator("iframe")
    frame.locator("summary").click()
    frame.locator("ol a").nth(5).click()
    assert frame.locator("#line").inner_text().startswith("d gets L's gradient")
    frame.locator("#restart").click()
    frame.locator("#forward").click()
    frame.locator("#forward").click()
    assert frame.locator("#line").inner_text() == "d = e + c = −6 + 10 = 4"
    assert errors == []
    context.close()


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_comes_back(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = film(expression(), kind("film.html"))
    assert path == "film.html"
    assert html.escape(Path(path).read_text(encoding="utf-8")) in path._repr_html_()


def test_a_film_that_is_no_longer_there_shows_nothing(tmp_path):
    path = film(expression(), tmp_path / "film.html")
    Path(path).unlink()
    assert path._repr_html_() is None


def test_every_grad_is_left_as_it_was(tmp_path):
    loss, model = network()
    film(loss, tmp_path / "film.html")
    assert [p.grad for p in [*model.parameters(), loss]] == [None] * 5
    loss.backward()
    before = [(p.grad, p.grad.copy()) for p in model.parameters()]
    film(loss, tmp_path / "film.html")
    for p, (grad, numbers) in zip(model.parameters(), before, strict=True):
        assert p.grad is grad
        np.testing.assert_array_equal(grad, numbers)


def test_the_film_is_of_the_graph_as_it_was_recorded(play):
    out = expression()
    leaf = next(x for x in out.inputs if x.name == "f")
    leaf.data = 100.0
    assert "L = d × f = 4 × −2 = −8" in told(play(out))


def test_the_same_graph_gives_the_same_film(tmp_path):
    one, other = (
        Path(film(expression(), tmp_path / name)).read_bytes() for name in ("a.html", "b.html")
    )
    assert one == other


def test_films_of_more_than_200_operations_are_an_error_and_leave_the_file_alone(tmp_path):
    x = out = Value(1.0)
    for _ in range(200):
        out = out * 1.01
    path = Path(film(out, tmp_path / "film.html"))
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match="at most 200 operations, and as many leaves, but the graph has 201 and 1:"
    ):
        film(out + x, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((3.0, "film.html"), TypeError, "expected a Value to film, but got 3.0"),
        ((Value(1.0), "missing/film.html"), FileNotFoundError, "missing"),
        ((Value(1.0), "."), OSError, "directory"),
        ((Value(1.0), None), TypeError, "PathLike"),
        ((Value(1.0), 3), TypeError, "PathLike"),
    ],
)
def test_bad_input_is_an_error_at_once(arguments, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        film(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_without_any_program_the_error_names_both(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(diagram.sysconfig, "get_path", lambda kind: str(tmp_path))
    with pytest.raises(RuntimeError, match=r"install Graphviz .*pip install graphviz-pure"):
        film(expression(), tmp_path / "film.html")
    assert list(tmp_path.iterdir()) == []


def test_a_value_computed_without_recording_is_filmed_alone(tmp_path):
    with no_grad():
        out = expression()
    page = Path(film(out, tmp_path / "film.html")).read_text(encoding="utf-8")
    steps = json.loads(re.search(r'type="application/json">(.*)</script>', page)[1])
    assert len(steps) == 3
