"""Films, played in a real browser."""

import html
import json
import math
import random
import re
import socketserver
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from chromium import OpenPage, needs_browser
from rendered import SVG, find_program, needs_program

from microgd import Value, film, nn, no_grad, operation, operations, source
from microgd.pictures import diagram, text

pytestmark = [needs_program, needs_browser]


class Page(OpenPage):
    """A film in the browser."""

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
        """Everything shown: the line, and of each part its class and the texts to be seen in it."""
        return self.page.evaluate(
            """[document.body.className, document.getElementById("line").textContent,
               ...[...document.querySelectorAll("svg .node, svg .edge")].map(part => [
                 part.id, part.getAttribute("class"),
                 ...[...part.querySelectorAll("text")]
                   .filter(t => getComputedStyle(t).visibility === "visible")
                   .map(t => t.textContent.trim() + (t.closest(".new") ? " (new)" : ""))
               ])]"""
        )

    def boxes(self):
        """The texts to be seen in each box, by the key of the box."""
        boxes = [part for part in self.state()[2:] if "-" not in part[0]]
        return {key: [t.removesuffix(" (new)") for t in texts] for key, _, *texts in boxes}

    def key(self, name):
        """The key of the only box with this name."""
        (key,) = [
            key
            for key, texts in self.boxes().items()
            if any(t == name or t.startswith(f"{name} = ") for t in texts)
        ]
        return key

    def part(self, name, part):
        """What is to be seen in a part of the box with this name, such as "grad"."""
        return " ".join(self.texts(name, part))

    def texts(self, name, part):
        """The texts that are to be seen in a part of a box."""
        return self.page.evaluate(
            """id => {
              const part = document.getElementById(id);
              const texts = part ? [...part.querySelectorAll("text")] : [];
              return texts.filter(t => getComputedStyle(t).visibility === "visible")
                .map(t => t.textContent.trim());
            }""",
            f"{self.key(name)}-{part}",
        )

    def parts(self):
        """The parts of boxes that are to be seen."""
        return set(
            self.page.evaluate(
                """[...document.querySelectorAll("svg .node g[id*='-']")]
                   .filter(part => getComputedStyle(part).visibility === "visible")
                   .map(part => part.id)"""
            )
        )

    def lit(self):
        return [part[0] for part in self.state()[2:] if "lit" in part[1].split()]

    def go(self, step):
        """Go to a step by its address."""
        self.page.evaluate("step => { location.hash = step }", step)
        self.page.wait_for_function(
            "step => document.getElementById('count').value.startsWith(step + ' of')", arg=step
        )


@pytest.fixture
def play(browser, tmp_path):
    """A function that films a value and opens the film."""
    opened = []

    of_the_film = ("names", "model", "direction", "compact", "program")

    def start(value, fragment="", **options):
        given = {name: options.pop(name) for name in of_the_film if name in options}
        path = film(value, tmp_path / "film.html", **given)
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


def neuron():
    x, w, b = Value(2.0, name="x"), Value(-3.0, name="w"), Value(5.7, name="b")
    s = x * w + b
    s.name = "s"
    out = s.tanh()
    out.name = "out"
    return out


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


def attention():
    rng = np.random.default_rng(0)
    x = Value(rng.normal(size=(3, 4)), name="X")
    weights = [Value(rng.normal(size=(4, 4)), name=name) for name in ("Wq", "Wk", "Wv")]
    q, k, v = (x @ w for w in weights)
    q.name, k.name, v.name = "Q", "K", "V"
    scores = q @ k.T / 2.0
    scores.name = "scores"
    out = operations.softmax(scores) @ v
    out.name = "out"
    loss = (out**2).mean()
    loss.name = "loss"
    return loss


def four_points():
    """A network of numbers, 3 → 4 → 4 → 1, as a lecture writes it, and its loss on four points."""
    numbers = random.Random(0)
    layers = []
    for inputs, outputs in ((3, 4), (4, 4), (4, 1)):
        layer = []
        for _ in range(outputs):
            w = [Value(numbers.uniform(-1, 1)) for _ in range(inputs)]
            layer.append({"w": w, "b": Value(numbers.uniform(-1, 1))})
        layers.append(layer)

    def predict(x):
        for layer in layers:
            outputs = []
            for neuron in layer:
                products = (w * x for w, x in zip(neuron["w"], x, strict=True))
                outputs.append(sum(products, neuron["b"]).tanh())
            x = outputs
        return x[0]

    points = [([2.0, 3.0, -1.0], 1.0), ([3.0, -1.0, 0.5], -1.0), ([0.5, 1.0, 1.0], -1.0)]
    points.append(([1.0, 1.0, -1.0], 1.0))
    loss = sum((predict(x) - y) ** 2 for x, y in points)
    loss.name = "loss"
    return loss, {"layers": layers}


def graph_of(seed, names="all"):
    """A random graph of numbers. "all", "half" or only the "leaves" have names: x0, x1, …

    No sum in it has so many terms that the film would shorten it.
    """
    numbers = random.Random(seed)
    values = [Value(round(numbers.uniform(-2, 2), 3)) for _ in range(3)]
    terms = dict.fromkeys(values, 1)
    for _ in range(numbers.randint(3, 12)):
        a, b = numbers.choices(values, k=2)
        c = round(numbers.uniform(0.5, 2), 2)
        one_of = numbers.randrange(10)
        if one_of < 4 and terms[a] + terms[b] <= 6:
            made = a + b
        elif one_of < 5:
            made = a * b
        else:
            made = (a - b, a.tanh(), a**2, a * c, -a / c)[one_of - 5]
        values.append(made)
        terms[made] = terms[a] + terms[b] if made.op == "add" else 1
    out = values[-1] * values[-2] - values[-3]
    for i, x in enumerate([*values, out]):
        if names == "all" or (names == "half" and i % 2) or (names == "leaves" and not x.op):
            x.name = f"x{i}"
    return out


def values_of(out):
    """Everything that a value was computed from, and the value itself."""
    values = [out]
    for value in values:
        for x in value.inputs:
            if isinstance(x, Value) and not any(x is other for other in values):
                values.append(x)
    return values


def steps_of(page):
    """The steps in a film's page."""
    return json.loads(re.search(r'type="application/json">(.*)</script>', page)[1])


def shown_page(shown):
    """The page within what Jupyter shows."""
    return html.unescape(re.search(r'srcdoc="([^"]*)"', shown._repr_html_())[1])


def read(path):
    return Path(path).read_text(encoding="utf-8")


def picture_in(page):
    """The picture in a film's page."""
    return ET.fromstring(re.search(r"<svg.*</svg>", page, re.DOTALL)[0])


# ── What a film tells ─────────────────────────────────────────────────────────────────────────────


def told(value, **options):
    """The lines of a film."""
    return [step["say"] for step in steps_of(shown_page(film(value, **options)))]


def test_the_page_says_the_lines_of_the_film(play):
    page = play(twice())
    lines = []
    for step in range(page.last + 1):
        page.go(step)
        lines.append(page.line)
    assert lines == told(twice())
    page.page.click("summary")
    assert page.page.inner_text("ol").split("\n") == lines


def test_every_step_is_said_in_words_and_numbers():
    assert told(expression()) == [
        "Given: a = 2, b = −3, c = 10, f = −2.",
        "e = a × b = 2 × (−3) = −6",
        "d = e + c = −6 + 10 = 4",
        "L = d × f = 4 × (−2) = −8",
        "Now backward, from the end. L's gradient is ∂L/∂L = 1.",
        "d gets L's gradient × ∂L/∂d = 1 × (−2) = −2.",
        "f gets L's gradient × ∂L/∂f = 1 × 4 = 4.",
        "e gets d's gradient × ∂d/∂e = −2 × 1 = −2.",
        "c gets d's gradient × ∂d/∂c = −2 × 1 = −2.",
        "a gets e's gradient × ∂e/∂a = −2 × (−3) = 6.",
        "b gets e's gradient × ∂e/∂b = −2 × 2 = −4.",
        "That is the gradient: ∂L/∂a = 6, ∂L/∂b = −4, ∂L/∂c = −2, ∂L/∂f = 4.",
    ]


def test_the_film_says_when_gradients_add_up_and_why():
    lines = told(twice())
    assert lines[-4:-1] == [
        "x gets v₂'s gradient × ∂v₂/∂x = 1 × 3 = 3.",
        "x, as operand 1 of 2, gets v₁'s gradient × the local derivative 3: 1 × 3 = 3; it had 3 already, so now 6: "
        "x affects y along several paths, and they add up.",
        "x, as operand 2 of 2, gets v₁'s gradient × the local derivative 3: 1 × 3 = 3; it had 6 already, so now 9: "
        "x affects y along several paths, and they add up.",
    ]


def test_a_local_derivative_is_said_as_a_formula_and_in_numbers():
    assert (
        "s gets out's gradient × ∂out/∂s = 1 × 0.9151 = 0.9151, "
        "since ∂out/∂s = 1 − out² = 1 − (−0.2913)² = 0.9151." in told(neuron())
    )


def test_functions_options_and_arrays_are_said_too():
    x = Value([[1.0, 2.0], [3.0, 4.0]], name="x")
    w = Value(np.ones((2, 9)), name="w")
    out = ((x @ w).sum(axis=1) ** 2).mean()
    out.name = "out"
    lines = told(out)
    assert lines[1] == "v₁ = x @ w, of shape (2, 9)"
    assert lines[2] == "v₂ = sum(v₁, axis=1) = [27, 63]"
    assert lines[3] == "v₃ = v₂² = [27, 63]² = [729, 3969]"
    assert lines[6] == "v₃ gets g ÷ 2, to each, where g is out's gradient: (2,), [0.5, 0.5]."
    assert any(
        line.startswith("w gets xᵀ @ g, where g is v₁'s gradient: (2, 9), size ") for line in lines
    )


def test_of_arrays_the_rule_is_said_with_their_names():
    lines = told(attention())
    assert any(line.startswith("Wq gets Xᵀ @ g, where g is Q's gradient: ") for line in lines)
    assert any(line.startswith("Q gets g @ v₁ᵀ, where g is v₂'s gradient: ") for line in lines)
    (last_for_x,) = [line for line in lines if line.startswith("X gets g @ Wqᵀ, where g is Q's")]
    assert last_for_x.endswith("X affects loss along several paths, and they add up.")


PYTHON = str.maketrans("×−₀₁₂₃₄₅₆₇₈₉", "*-0123456789") | str.maketrans({"÷": "/", "²": "**2"})


def computed(formula, known):
    """What a formula gives, as it stands in a sentence."""
    return eval(formula.translate(PYTHON), {"tanh": math.tanh}, known)


def in_python(number):
    return float(number.translate(PYTHON))


def close(number, other):
    """Whether a number in a sentence, of four digits, is this one."""
    return in_python(number) == pytest.approx(other, rel=1e-3, abs=1e-6)


GETS = re.compile(
    r"(\w+)(?:, as operand \d+ of \d+,)? gets (\w+)'s gradient × "
    r"(?:∂\w+/∂\w+ =|the local derivative \S+:) (\S+) × (\S+) = ([^\s,;.]+(?:\.\d\S*?)?)(?:[,;].*)?\.$"
)


def check_sentences(lines, out):
    """Compute everything that the sentences say from their own formulas alone, and compare.

    Returns how many numbers were compared. Local derivatives are differences of the formulas.
    """
    kinds = iter(lines)
    given = re.findall(r"(\w+) = ([^,\s]+?)(?:,|\.$)", next(kinds).removeprefix("Given: "))
    known = {name.translate(PYTHON): in_python(number) for name, number in given}
    formulas, compared = {}, 0
    for line in kinds:
        if line.startswith("Now backward"):
            break
        name, formula, *in_numbers, result = line.split(" = ")
        name = name.translate(PYTHON)
        known[name], formulas[name] = computed(formula, known), formula
        assert close(result, known[name]), line
        for numbers in in_numbers:
            # The numbers are rounded, so their result is not as near.
            assert computed(numbers, {}) == pytest.approx(known[name], rel=2e-2, abs=5e-3), line
        compared += 1 + len(in_numbers)
    gradients = dict.fromkeys(known, 0.0)
    gradients[name] = 1.0
    factors = {}
    for line in kinds:
        if line.startswith("That is the gradient"):
            break
        found = GETS.match(line)
        assert found, line
        operand, result = (x.translate(PYTHON) for x in found.groups()[:2])
        upstream, factor, share = (x.strip("()") for x in found.groups()[2:])
        assert close(upstream, gradients[result]), line
        assert in_python(share) == pytest.approx(
            gradients[result] * in_python(factor), rel=2e-3, abs=1e-6
        ), line
        factors.setdefault((operand, result), []).append(in_python(factor))
        gradients[operand] += gradients[result] * in_python(factor)
        now = re.search(r"so now (\S+):", line)
        assert not now or in_python(now[1]) == pytest.approx(
            gradients[operand], rel=5e-3, abs=1e-3
        ), line
        compared += 3
    for (operand, result), parts in factors.items():
        step = 1e-6
        more = computed(formulas[result], {**known, operand: known[operand] + step})
        less = computed(formulas[result], {**known, operand: known[operand] - step})
        assert sum(parts) == pytest.approx((more - less) / (2 * step), rel=2e-3, abs=1e-3)
    assert len(factors) == len(
        {(x, r) for r, f in formulas.items() for x in re.findall(r"[xv]\d+", f.translate(PYTHON))}
    )
    out.backward()
    ends = dict(re.findall(r"/∂(\w+) = ([^,\s]+?)(?:,|\.$)", line))
    engine = {x.name: x.grad for x in values_of(out) if not x.op and x.name}
    for name, gradient in engine.items():
        assert in_python(ends[name]) == pytest.approx(float(gradient), rel=1e-3, abs=1e-9)
        assert gradients[name] == pytest.approx(float(gradient), rel=2e-2, abs=5e-3)
    return compared + len(factors) + len(engine)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("names", ["all", "half", "leaves"])
def test_the_sentences_about_random_graphs_are_right(names, compact, size, record_property):
    compared = 0
    for seed in range(size(8, 400)):
        out = graph_of(seed, names)
        lines = told(out, compact=compact)
        compared += check_sentences(lines, out)
    assert compared > 8 * 20
    record_property("numbers in sentences of films", compared)


def test_a_value_that_is_several_terms_of_a_sum_has_no_single_local_derivative():
    x, y = Value(3.0, name="x"), Value(1.0, name="y")
    lines = told(x + y + x)
    assert (
        lines[-4] == "x, as operand 1 of 3, gets v₁'s gradient × the local derivative 1: 1 × 1 = 1."
    )
    assert "y gets v₁'s gradient × ∂v₁/∂y = 1 × 1 = 1." in lines
    assert lines[-1] == "That is the gradient: ∂v₁/∂x = 2, ∂v₁/∂y = 1."


def test_numbers_without_a_name_count_up_as_they_are_said():
    lines = told((Value(2.0) * Value(3.0)).tanh() + 1.0)
    assert lines[:4] == [
        "Given: v₁ = 2, v₂ = 3.",
        "v₃ = v₁ × v₂ = 2 × 3 = 6",
        "v₄ = tanh(v₃) = tanh(6) = 1",
        "v₅ = v₄ + 1 = 1 + 1 = 2",
    ]


def test_the_pass_begins_with_the_stored_gradient_if_there_is_one(play):
    x = Value([1.0, 2.0], name="x")
    y = x * 3.0
    y.name = "y"
    with pytest.raises(ValueError, match="no gradient by itself"):
        play(y)
    y.backward(np.array([1.0, -1.0]))
    assert (
        "Now backward, from the end. y's gradient is [1, −1], which is what its grad holds."
        in told(y)
    )


def test_a_leaf_alone_is_a_film(play):
    page = play(Value(2.0, name="x"))
    assert page.last == 2
    assert page.boxes() == {"v0": ["x", "2"]}
    assert told(Value(2.0, name="x")) == [
        "Given: x = 2.",
        "Now backward, from the end. x's gradient is ∂x/∂x = 1.",
        "That is the gradient: ∂x/∂x = 1.",
    ]


def test_names_are_those_of_draw(play):
    first = Value(2.0)
    loss, model = network()
    lines = told(first * 3.0, names={"first": first})
    assert "v₁ = first × 3 = 2 × 3 = 6" in lines
    assert any(line.startswith("0.weight gets gᵀ @ ") for line in told(loss, model=model))
    loss, names = four_points()
    assert "layers[2][0]['b'] = " in html.unescape(shown_page(film(loss, names=names)))
    with pytest.raises(ValueError, match="not computed with this model"):
        play(loss, model=network()[1])


def test_what_was_given_is_told_as_it_was():
    a, c = Value(-2.0, name="a"), np.array([1, 2])
    y = ((a**2) * c).sum()
    c[:] = 9
    assert told(y)[1:3] == [
        "v₁ = a² = (−2)² = 4",
        "v₂ = v₁ × … = 4 × [1, 2] = [4, 8]",
    ]


def test_a_leaf_that_changed_between_two_uses_shows_both(play):
    x = Value(2.0, name="x")
    y = x * 3.0
    x.data = 5.0
    page = play(y * x, fragment="#9999")
    assert "v₂ = v₁ × x = 6 × 5 = 30" in told(y * x)
    assert page.part("x", "data") == "2"
    assert "then 5" in page.boxes()[page.key("x")]
    assert page.part("x", "grad") == "grad 21"
    assert set(page.part("x", "terms").removeprefix("= ").split(" + ")) == {"6", "15"}


def test_a_pass_that_began_elsewhere_makes_no_claim_about_this_output():
    a = Value(2.0, name="a")
    e = a * 3.0
    e.name = "e"
    (e * 5.0).backward()
    lines = told(e)
    assert (
        lines[2] == "Now backward, from the end. e's gradient is 5, which is what its grad holds."
    )
    assert lines[-1] == "That is the gradient: 15 for a."


def test_a_rule_that_selects_is_told_as_such():
    x = Value(-1.0, name="x")
    lines = told(operations.relu(x) * np.inf)
    assert "x gets g where x > 0, where g is v₁'s gradient: 0." in lines


def test_a_rule_that_cannot_be_written_is_named(registry):
    @operation(lambda g, out, x: [np.multiply(float(g.sum()), np.ones(2))], name="spread")
    def spread(x):
        return 1.0 * x

    lines = told(spread(Value([1.0, 2.0], name="x")).sum())
    assert lines[-2] == "x gets its share of v₁'s gradient, by the rule of spread: (2,), [2, 2]."


def test_long_lists_end_with_how_many_more_there_are():
    out = sum((Value(float(i)) for i in range(20)), 0.0)
    lines = told(out)
    assert lines[0].endswith("v₁₂ = 11 and 8 more.")
    assert lines[1].startswith("v₂₁ = 0 + v₁ + v₂ + ")
    assert lines[1].endswith(" + 19 = 190")
    assert lines[-1].endswith("∂v₂₁/∂v₁₂ = 1 and 8 more.")


# ── What a film shows ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["dot", "graphviz-pure"])
def program(request, monkeypatch, tmp_path):
    """One layout program at a time."""
    path = find_program(request.param)
    if not path:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path / "only"
    folder.mkdir()
    (folder / request.param).symlink_to(path)
    monkeypatch.setenv("PATH", str(folder))
    return request.param


@pytest.mark.parametrize("make", [expression, twice, neuron, lambda: graph_of(3)])
def test_the_numbers_at_the_end_are_the_engines(make, program, play):
    out = make()
    page = play(out, fragment="#9999", names={"unnamed": None})
    shown = sorted(texts[-2:] for texts in drop_terms(page.boxes()))
    out.backward()
    found = [
        [text.number(float(x.data)), f"grad {text.number(float(x.grad))}"]
        for x in values_of(out)
        if not is_inside_a_sum(x, out)
    ]
    assert shown == sorted(found)


def drop_terms(boxes):
    """The texts of the boxes, without the sums of shares."""
    return [[t for t in texts if not t.startswith("= ")] for texts in boxes.values()]


def is_inside_a_sum(x, out):
    """Whether a value without a name is one of the additions that are drawn as one box."""
    users = [y for y in values_of(out) for operand in y.inputs if operand is x]
    return not x.name and x.op == "add" and len(users) == 1 and users[0].op == "add"


def test_arrays_are_grids_of_the_engines_numbers(program, play):
    loss, model = network()
    page = play(loss, fragment="#9999", model=model)
    loss.backward()
    for name, p in model.named_parameters():
        shown = page.texts(name, "data")[1:]
        assert [in_python(x) for x in shown] == pytest.approx(list(p.data.flat), abs=5e-3)
        head, *shown = page.texts(name, "grad")
        assert head == "grad"
        assert [in_python(x) for x in shown] == pytest.approx(list(p.grad.flat), abs=5e-3)


def test_boxes_fill_in_as_they_are_computed_and_as_gradients_come_in(play):
    page = play(twice())
    seen = []
    for _ in range(page.last + 1):
        x = [page.part("x", part) for part in ("data", "grad", "terms")]
        sockets = [page.part(name, f"s{i}") for name, i in (("y", 0), ("y", 1), ("v₁", 1))]
        seen.append([*x, page.part("y", "data"), page.part("y", "grad"), *sockets])
        page.page.keyboard.press("ArrowRight")
    first_seen = {}
    for step, texts in enumerate(seen):
        for shown in filter(None, dict.fromkeys(texts)):
            first_seen.setdefault(shown, step)
    assert first_seen == {
        "3": 0,
        "18": 3,
        "grad 1": 4,
        "× 1 → 1": 5,
        "× 3 → 3": 9,
        "grad 9": 9,
        "= 3 + 3 + 3": 9,
    }
    # What is shown stays.
    for column in zip(*seen, strict=True):
        assert len(list(dict.fromkeys(column))) <= 2


@pytest.mark.parametrize("seed", range(4))
def test_each_part_is_shown_by_the_sentence_about_it(seed, program, play):
    page = play(graph_of(seed))
    names = {}
    for key, texts in page.boxes().items():
        names[key] = next(t.split(" = ")[0] for t in texts if re.match(r"[xv]", t))
    lines, lit, first = [], [], {}
    for step in range(page.last + 1):
        lines.append(page.line)
        lit.append(page.lit())
        for part in page.parts():
            first.setdefault(part, step)
        page.page.keyboard.press("ArrowRight")
    start = next(i for i, line in enumerate(lines) if line.startswith("Now backward"))
    expected = {}
    for key, name in names.items():
        said = [i for i, line in enumerate(lines) if line.startswith(f"{name} = ")]
        gets = [i for i, line in enumerate(lines) if re.match(rf"{name}\b.* gets ", line)]
        expected[f"{key}-data"] = (said or [0])[0]
        expected[f"{key}-grad"] = (gets or [start])[-1]
    for step in range(start + 1, page.last):
        (edge,) = [part for part in lit[step] if "-" in part]
        tail, head, socket = edge.split("-")
        assert {tail, head} | {edge} == set(lit[step])
        assert re.match(rf"{names[tail]}\b.* gets {names[head]}'s gradient", lines[step])
        expected[f"{head}-s{socket}"] = step
    terms = {part for part in first if part.endswith("-terms")}
    for part in terms:
        assert first[part] == first[part.replace("terms", "grad")]
    assert {part: step for part, step in first.items() if part not in terms} == expected


def test_a_row_of_the_compact_form_gets_its_gradient_when_it_is_said(program, play):
    x, w, b = Value(2.0, name="x"), Value(-3.0, name="w"), Value(5.7, name="b")
    out = (x * w + b).tanh()
    out.name = "out"
    page = play(out, compact=True)
    seen = {}
    for step in range(page.last + 1):
        assert page.lit() == ["v0"]
        for part in page.parts():
            seen.setdefault(part, step)
        page.page.keyboard.press("ArrowRight")
    for i, name in enumerate("xwb"):
        assert seen[f"v0-r{i}"] == seen[f"v0-q{i}"]
        page.go(seen[f"v0-r{i}"])
        assert page.line.startswith(f"{name} gets out's gradient × ∂out/∂{name} = 1 × ")
        assert page.part("out", f"r{i}").startswith("× ")
    out.backward()
    page.go(page.last)
    for i, leaf in enumerate((x, w, b)):
        assert text.number(float(leaf.grad), 3) in page.part("out", f"q{i}")


def test_all_uses_in_one_box_are_one_step(program, play):
    x, w = Value(2.0, name="x"), Value(-3.0, name="w")
    h = x.tanh()
    h.name = "h"
    out = h * w + h
    out.name = "out"
    lines = told(out, compact=True)
    assert lines[-4] == "h gets out's gradient × ∂out/∂h = 1 × (−2) = −2."
    page = play(out, compact=True)
    page.go(page.last - 3)
    assert page.part("h", "grad") == "grad −2"
    assert "× −2" in page.part("out", "s0")


def test_one_edge_is_lit_at_a_step_back_and_the_rest_is_pale_until_its_turn(play):
    page = play(expression())
    assert sorted(page.lit()) == sorted(map(page.key, "abcf"))
    pale = "[...document.querySelectorAll('svg .edge')].filter(e => getComputedStyle(e).opacity < .5).length"
    page.page.emulate_media(reduced_motion="reduce")
    page.page.wait_for_function(f"{pale} == 6")  # a transition may still be under way
    page.page.keyboard.press("ArrowRight")
    e, d, out = map(page.key, "edL")
    assert sorted(page.lit()) == sorted([e, f"{page.key('a')}-{e}-0", f"{page.key('b')}-{e}-1"])
    assert page.page.evaluate(pale) == 4
    for _ in range(4):
        page.page.keyboard.press("ArrowRight")
    assert page.page.evaluate(pale) == 0
    assert sorted(page.lit()) == sorted([d, f"{d}-{out}-0", out])
    assert page.boxes()[out] == ["× −2 → −2", "L = d × f", "−8", "grad 1"]
    assert page.boxes()[d] == ["d = e + c", "4", "grad −2"]
    assert [f"{d}-{out}-0", "edge done lit"] in page.state()


def five_uses():
    x = -Value(3.0)
    x.name = "x"
    return x * 1.0 + x * 2.0 + x * 3.0 + x * 4.0 + x * 5.0, None


@pytest.mark.parametrize("make", [four_points, five_uses])
def test_what_a_step_shows_first_is_bold_within_its_box(make, play):
    loss, names = make()
    page = play(loss, names=names).page
    count = int(page.get_attribute("#slider", "max"))
    new = "[...document.querySelectorAll('.new text')]"
    shown = [step["show"] for step in steps_of(shown_page(film(loss, names=names)))]
    sums = [i for i, parts in enumerate(shown) if any(part.endswith("-terms") for part in parts)]
    for step in [*range(0, count, 1 + count // 12), *sums[::8]]:
        page.evaluate("step => { location.hash = step }", step)
        page.wait_for_function(f"document.getElementById('count').value.startsWith('{step} of')")
        outside = page.evaluate(
            f"""{new}.filter(t => {{
              const shapes = [...t.closest(".node").querySelectorAll("path, polygon")];
              const boxes = shapes.map(shape => shape.getBoundingClientRect());
              const box = t.getBoundingClientRect();
              return box.left < Math.min(...boxes.map(b => b.left))
                || box.right > Math.max(...boxes.map(b => b.right));
            }}).map(t => t.textContent)"""
        )
        assert outside == []
    page.click("#back")
    new = """[...document.querySelectorAll('.new:not([id$="-terms"]) text')]"""
    weights = page.evaluate(f"{new}.map(t => getComputedStyle(t).fontWeight)")
    assert weights
    assert set(weights) == {"700"}


@pytest.mark.parametrize("make", [twice, lambda: network()[0], lambda: graph_of(5, "half")])
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
    assert "status: e = a × b = 2 × (−3) = −6" in tree.replace('"', "")
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


def contrast(colour, background):
    """The contrast ratio (WCAG 2.2, 1.4.3) between a text and its background."""
    linear = [
        [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in colour]
        for colour in (colour, background)
    ]
    one, other = sorted(np.dot([0.2126, 0.7152, 0.0722], c) for c in linear)
    return (other + 0.05) / (one + 0.05)


# Each text with its colour, and the colour of the shape that was drawn last beneath it.
TEXTS_ON_THEIR_BACKGROUNDS = """() => {
  const page = getComputedStyle(document.body).backgroundColor;
  const parse = colour => colour.match(/[\\d.]+/g).map(Number);
  const found = [];
  for (const part of document.querySelectorAll("h1, #line, #count, label, #keys, summary, li, li a")) {
    found.push([part.id || part.tagName, parse(getComputedStyle(part).color), parse(page)]);
  }
  let shapes = [];
  for (const part of document.querySelectorAll("svg path, svg polygon, svg text")) {
    const box = part.getBoundingClientRect();
    const fill = getComputedStyle(part).fill;
    if (part.tagName === "text") {
      const x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
      const under = shapes.filter(([, b]) => b.left <= x && x <= b.right && b.top <= y && y <= b.bottom);
      found.push([part.textContent, parse(fill), parse(under.length ? under.at(-1)[0] : page)]);
    } else if (fill !== "none" && (parse(fill)[3] ?? 1) > 0 && !part.closest(".edge")) {
      shapes.push([fill, box]);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("make", [twice, attention, lambda: four_points()[0]])
def test_it_is_legible_in_light_and_dark(make, scheme, play, tmp_path):
    page = play(make(), fragment="#9999", color_scheme=scheme, reduced_motion="reduce").page
    page.click("summary")
    texts = page.evaluate(TEXTS_ON_THEIR_BACKGROUNDS)
    assert len(texts) > 20
    poor = {shown for shown, colour, behind in texts if contrast(colour[:3], behind[:3]) < 4.5}
    assert poor == set()
    is_light = [np.mean(behind[:3]) > 127 for _, _, behind in texts]
    assert all(is_light) if scheme == "light" else not any(is_light)
    opacities = page.evaluate(
        "[...document.querySelectorAll('.node, .edge')].map(p => getComputedStyle(p).opacity)"
    )
    assert set(opacities) == {"1"}
    page.screenshot(path=tmp_path / "page.png")
    pixels = matplotlib.image.imread(tmp_path / "page.png")[..., :3].mean(-1)
    assert (np.median(pixels) < 0.2) == (scheme == "dark")
    assert pixels.std() > 0.05


def long_names():
    a = Value(2.123456, name="the_first_learning_rate_of_the_schedule")
    b = Value(-3.98765, name="the_width_of_the_hidden_layer_in_the_net")
    h = a * b
    h.name = "the_preactivation_of_the_only_neuron"
    out = (h + a * 2.5) ** 2
    out.name = "the_squared_distance_from_the_target"
    return out


def test_the_picture_fits_the_page_and_what_is_lit_is_in_sight(play):
    page = play(expression()).page
    assert page.evaluate(
        "document.querySelector('svg').getBoundingClientRect().right <= innerWidth"
    )
    out = Value(1.0, name="x")
    for _ in range(60):
        out = (out * 1.01).tanh()
    page = play(out, fragment="#1", direction="LR").page
    # The picture scrolls, not the page.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sight = "part => { const box = part.getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth + 1 }"
    for step in ["End", *["ArrowLeft"] * 40, "Home"]:
        page.keyboard.press(step)
        assert page.evaluate("document.querySelectorAll('.lit').length > 0")
        assert page.evaluate(f"[...document.querySelectorAll('.lit')].every({sight})")


IN_SIGHT = """parts => {
  const view = document.getElementById("picture").getBoundingClientRect();
  const within = box => box.left >= view.left - 1 && box.right <= view.right + 1
    && box.top >= view.top - 1 && box.bottom <= Math.min(view.bottom, innerHeight) + 1;
  return [...document.querySelectorAll(parts)].map(part => within(part.getBoundingClientRect()));
}"""


@pytest.mark.parametrize("make", [long_names, attention, lambda: four_points()[0]])
def test_on_a_phone_the_numbers_that_a_step_shows_are_in_sight(make, play):
    page = play(make(), fragment="#1", viewport={"width": 390, "height": 844}).page
    count = int(page.get_attribute("#slider", "max"))
    tops = set()
    for step in range(1, count, max(1, count // 12)):
        page.evaluate("step => { location.hash = step }", step)
        page.wait_for_function(f"document.getElementById('count').value.startsWith('{step} of')")
        assert page.evaluate("scrollY") == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert any(page.evaluate(IN_SIGHT, ".new")) or all(page.evaluate(IN_SIGHT, ".lit.node"))
        # The words stay within the page.
        for part in ("h1", "#line", "#play", "#speed"):
            box = page.locator(part).bounding_box()
            assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
        tops.add(page.locator("#play").bounding_box()["y"])
    assert len(tops) == 1  # the buttons stay where they are


def test_what_is_lit_stays_in_sight_when_the_window_changes(play):
    page = play(long_names(), fragment="#4").page
    assert page.evaluate(IN_SIGHT, ".new") == [True]
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(f"parts => ({IN_SIGHT})(parts).every(Boolean)", arg=".new")


def test_the_picture_shrinks_with_the_page_down_to_text_of_9_pixels(play):
    page = play(attention()).page
    smallest = """() => {
      const svg = document.querySelector("svg");
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const sizes = [...svg.querySelectorAll("text")].map(t => parseFloat(getComputedStyle(t).fontSize));
      return Math.min(...sizes) * scale;
    }"""
    assert page.evaluate(smallest) == pytest.approx(12, abs=0.1)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate(smallest) == pytest.approx(9, abs=0.1)


def test_shift_and_the_arrow_keys_scroll_sideways(play):
    page = play(long_names(), fragment="#0", direction="LR")
    page.page.set_viewport_size({"width": 500, "height": 700})
    place = "document.getElementById('picture').scrollLeft"
    page.page.evaluate("document.getElementById('picture').scrollLeft = 0")
    for key, expected in (("ArrowRight", 120), ("ArrowRight", 240), ("ArrowLeft", 120)):
        page.page.keyboard.press(f"Shift+{key}")
        assert page.page.evaluate(place) == expected
    page.page.keyboard.press("Control+Shift+ArrowRight")  # the browser's
    assert page.page.evaluate(place) == 120
    assert page.step == 0


def test_a_click_on_a_number_leads_to_the_step_that_showed_it(program, play):
    page = play(twice(), fragment="#9999")
    for name, part, line in (
        ("y", "data", "y = v₁ + v₂ = 9 + 9 = 18"),
        ("x", "grad", "x, as operand 2 of 2, gets v₁'s gradient"),
        ("x", "data", "Given: x = 3."),
        ("v₁", "s0", "x, as operand 1 of 2, gets v₁'s gradient"),
        ("y", "s1", "v₂ gets y's gradient × ∂y/∂v₂ = 1 × 1 = 1."),
    ):
        page.go(page.last)
        page.page.click(f"#{page.key(name)}-{part} text >> nth=0")
        assert page.line.startswith(line)
        assert page.page.url.endswith(f"#{page.step}")


def test_every_number_of_a_finished_film_leads_to_its_step(program, play):
    loss, model = network()
    page = play(loss, fragment="#9999", model=model)
    links = page.page.evaluate(
        """[...document.querySelectorAll("svg a")].map(a =>
             [a.closest("g").id, Number((a.getAttribute("href") ?? a.getAttribute("xlink:href")).slice(1))])"""
    )
    assert {key for key, _ in links} == page.parts()
    for key, step in links:
        page.go(step)
        assert key in page.parts()
        page.go(max(step - 1, 0))
        assert (key in page.parts()) == (step == 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_print_every_step_is_the_finished_graph(scheme, play, tmp_path):
    page = play(attention(), fragment="#9999", color_scheme=scheme, reduced_motion="reduce")
    on_screen = page.boxes()
    printed = []
    for step in (0, 5, 14, page.last):
        page.go(step)
        page.page.emulate_media(media="print")
        assert page.boxes() == on_screen
        for part in ("#controls", "#line", "#keys"):
            assert not page.page.is_visible(part)
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        printed.append(page.page.screenshot(full_page=True))
        page.page.emulate_media(media="screen")
    assert len(set(printed)) == 1
    (tmp_path / "print.png").write_bytes(printed[0])
    pixels = matplotlib.image.imread(tmp_path / "print.png")[..., :3].mean(-1)
    assert np.median(pixels) > 0.9  # paper is white
    page.page.set_viewport_size({"width": 300, "height": 500})
    page.page.emulate_media(media="print")
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_line_and_the_buttons_stay_in_sight_beside_a_tall_picture(play):
    out = Value(1.0, name="x")
    for _ in range(60):
        out = (out * 1.01).tanh()
    page = play(out, fragment="#1", direction="TB", compact=False).page
    for step in ["End", *["ArrowLeft"] * 10, "Home"]:
        page.keyboard.press(step)
        assert page.evaluate("scrollY") == 0
        for part in ("#line", "#play", ".lit"):
            box = page.locator(part).first.bounding_box()
            assert 0 <= box["y"] <= 700 - box["height"]


# The boxes of the overview that are lit, and the frame around what is in sight: left, top, right and
# bottom on the page.
OVERVIEW = """() => {
  const rectangle = shape => {
    const { left, top, right, bottom } = shape.getBoundingClientRect();
    return [left, top, right, bottom];
  };
  return [
    [...document.querySelectorAll("#overview .lit")].map(rectangle),
    rectangle(document.querySelector("#overview .sight")),
  ];
}"""


def test_beside_a_tall_picture_an_overview_of_all_boxes_marks_what_is_lit_and_in_sight(play):
    loss, names = four_points()
    played = play(loss, names=names)
    page = played.page
    assert page.locator("#overview rect").count() == page.locator("#picture .node").count() + 1
    for step in (20, 130, 7):
        played.go(step)
        page.wait_for_timeout(100)  # a scroll is told in the next frame
        assert page.evaluate(IN_SIGHT, ".lit.node") == [True] * len(played_boxes(played))
        lit, (left, top, right, bottom) = page.evaluate(OVERVIEW)
        assert len(lit) == len(played_boxes(played))
        for box in lit:
            assert left - 1 <= box[0] <= box[2] <= right + 1
            assert top - 1 <= box[1] <= box[3] <= bottom + 1
        place = page.locator("#overview").bounding_box()
        assert 0 <= place["y"] <= place["y"] + place["height"] <= page.viewport_size["height"]


def played_boxes(played):
    """The keys of the boxes that are lit."""
    return [key for key in played.lit() if "-" not in key]


def test_a_click_in_the_overview_brings_that_part_into_sight(play):
    loss, names = four_points()
    page = play(loss, names=names).page
    place = page.locator("#overview").bounding_box()
    middle = """() => {
      const { scrollTop, clientHeight, scrollHeight } = document.getElementById("picture");
      return (scrollTop + clientHeight / 2) / scrollHeight;
    }"""
    for part in (0.75, 0.4):
        page.mouse.click(place["x"] + 20, place["y"] + part * place["height"])
        assert page.evaluate(middle) == pytest.approx(part, abs=0.01)


@pytest.mark.parametrize("make", [expression, neuron])
def test_a_picture_that_fits_the_window_has_no_overview(make, play):
    assert not play(make()).page.locator("#overview").is_visible()


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
    titles = [t.replace("\u2060", "") for texts in page.boxes().values() for t in texts]
    assert name in titles
    assert f"{name} = {name} × 3" in titles
    assert page.page.inner_text("h1") == f"Backpropagation of {name}"
    assert page.page.evaluate("window.broken") is None


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
    assert all(shown.is_visible() for shown in page.locator("svg .node text, svg .edge path").all())
    page.click("summary")
    assert "e = a × b = 2 × (−3) = −6" in page.inner_text("ol")
    context.close()


@pytest.mark.parametrize("is_in_a_file", [True, False])
def test_the_film_plays_within_a_notebook(is_in_a_file, browser, tmp_path):
    shown = film(expression(), tmp_path / "film.html" if is_in_a_file else None)._repr_html_()
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
    frame.locator("#v0-data text").click()
    assert frame.locator("#count").inner_text() != "2 of 11"
    assert errors == []
    context.close()


@pytest.mark.parametrize("kind", [str, Path])
def test_the_path_comes_back(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = film(expression(), kind("film.html"))
    assert path == "film.html"
    assert html.escape(Path(path).read_text(encoding="utf-8")) in path._repr_html_()


def test_without_a_path_the_film_shows_itself_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = film(expression())
    assert list(tmp_path.iterdir()) == []
    assert shown == ""
    assert shown_page(shown) == read(film(expression(), "film.html"))


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


def test_the_film_is_of_the_graph_as_it_was_recorded():
    out = expression()
    leaf = next(x for x in out.inputs if x.name == "f")
    leaf.data = 100.0
    assert "L = d × f = 4 × (−2) = −8" in told(out)


def test_the_same_graph_gives_the_same_film(program, tmp_path):
    one, other = (
        Path(film(expression(), tmp_path / name)).read_bytes() for name in ("a.html", "b.html")
    )
    assert one == other


def test_films_of_more_than_1000_operations_are_an_error_and_leave_the_file_alone(tmp_path):
    path = Path(film(expression(), tmp_path / "film.html"))
    before = path.read_bytes()
    x = out = Value(1.0)
    for _ in range(1000):
        out = out * 1.01
    with pytest.raises(
        ValueError,
        match="at most 1,000 operations, and as many leaves, but the graph has 1,001 and 1:",
    ):
        film(out + x, path)
    with pytest.raises(ValueError, match="but the graph has 1,000 and 1,001:"):
        film(sum((Value(1.0) for _ in range(1000)), Value(0.0)), path)
    assert path.read_bytes() == before


def test_1000_operations_are_a_film(tmp_path):
    x = out = Value(1.0, name="x")
    for _ in range(500):
        out = (out * 1.01).tanh()
    page = read(film(out, tmp_path / "film.html"))
    assert len(steps_of(page)) == 1003
    assert x.grad is None


def test_a_small_network_on_four_points_films_in_seconds_in_the_compact_form(program, play):
    loss, names = four_points()
    steps = [x for x in values_of(loss) if x.op]
    assert len(steps) == 304
    started = time.perf_counter()
    page = shown_page(film(loss, names=names))
    assert time.perf_counter() - started < (20 if program == "dot" else 60)
    boxes = picture_in(page).findall(f".//{SVG}g[@class='node computed']")
    assert len(boxes) < 100  # not 304
    played = play(loss, names=names, fragment="#100")
    slowest = played.page.evaluate(
        """() => {
          const forward = document.getElementById("forward");
          return Math.max(...[1, 2, 3, 4].map(() => {
            const started = performance.now();
            forward.click();
            return performance.now() - started;
          }));
        }"""
    )
    assert slowest < 1000  # milliseconds
    assert played.step == 104


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((3.0, "film.html"), TypeError, "expected a Value to film, but got 3.0"),
        ((Value(1.0), "missing/film.html"), FileNotFoundError, "missing"),
        ((Value(1.0), "."), OSError, "directory"),
        ((Value(1.0), 3), TypeError, "PathLike"),
    ],
)
def test_bad_input_is_an_error_at_once(arguments, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        film(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"names": ["x"]}, TypeError, "names to be a dictionary"),
        ({"direction": "up"}, ValueError, 'expected the direction "LR" or "TB", but got'),
        ({"elements": -1}, ValueError, "number of elements"),
        ({"elements": 2.5}, TypeError, "number of elements"),
        ({"model": 3}, TypeError, "model"),
    ],
)
def test_bad_options_are_an_error_at_once(options, error, said, tmp_path):
    with pytest.raises(error, match=said):
        film(expression(), tmp_path / "film.html", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_title_stands_above_the_film(play, tmp_path):
    path = film(expression(), tmp_path / "film.html", title="A <b>story</b>")
    assert "<h1>A &lt;b&gt;story&lt;/b&gt;</h1>" in read(path)
    assert play(expression()).page.inner_text("h1") == "Backpropagation of L"


def test_options_are_those_of_draw(tmp_path):
    page = read(film(attention(), tmp_path / "film.html", direction="LR", elements=4))
    assert "min " in re.search(r"<svg.*</svg>", page, re.DOTALL)[0]
    upright = read(film(attention(), tmp_path / "film.html"))
    assert "min " not in re.search(r"<svg.*</svg>", upright, re.DOTALL)[0]
    sizes = []
    for shown in (page, upright):
        sizes.append([float(x) for x in picture_in(shown).get("viewBox").split()[2:]])
    (wide, low), (narrow, high) = sizes
    assert wide / low > narrow / high


def test_without_any_program_the_error_names_both(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(diagram.sysconfig, "get_path", lambda kind: str(tmp_path))
    with pytest.raises(RuntimeError, match=r"install Graphviz .*pip install graphviz-pure"):
        film(expression(), tmp_path / "film.html")
    assert list(tmp_path.iterdir()) == []


def test_a_value_computed_without_recording_is_filmed_alone(tmp_path):
    with no_grad():
        out = expression()
    steps = steps_of(read(film(out, tmp_path / "film.html")))
    assert len(steps) == 3


# ── The program beside the graph ──────────────────────────────────────────────────────────────────


def expression_of(a, b, c, f):
    e = a * b
    d = e + c
    L = d * f  # noqa: N806
    return L  # noqa: RET504 (the program has its name)


def running(page):
    """The lines of the program that are lit."""
    lines = page.page.query_selector_all("#program .running")
    return [line.text_content().strip() for line in lines]


def test_the_lines_of_the_program_that_run_are_lit_beside_the_graph(play):
    a, b, c, f = (
        Value(x, name=name) for x, name in [(2.0, "a"), (-3.0, "b"), (9.0, "c"), (1.0, "f")]
    )
    written = source(expression_of, a, b, c, f)
    page = play(expression_of(a, b, c, f), program=written)
    assert page.page.text_content("#program") == written.text
    lit = []
    for step in range(page.last + 1):
        page.go(step)
        lit.append((page.line.partition(" gets ")[0], running(page)))
    forward = ["e = a * b", "d = e + c", "L = d * f"]
    assert [lines for _, lines in lit[1:4]] == [[line] for line in forward]
    backward = {"f": "d_f = d_L * d", "c": "d_c = d_d", "a": "d_a = d_e * b", "b": "d_b = d_e * a"}
    assert {name: lines for name, lines in lit[5:-1] if name in backward} == {
        name: [line] for name, line in backward.items()
    }
    assert lit[0][1] == lit[4][1] == lit[-1][1] == []


def test_of_a_network_the_program_lights_the_lines_of_each_layer(play):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(2, 3, rng=rng), nn.Tanh(), nn.Linear(3, 1, rng=rng))
    x, target = rng.normal(size=(4, 2)), rng.normal(size=(4, 1))
    loss = nn.mse_loss(model(x), target)
    written = source(lambda x, y: nn.mse_loss(model(x), y), x, target, model=model)
    page = play(loss, model=model, program=written)
    lit = {}
    for step in range(page.last + 1):
        page.go(step)
        lit[page.line.partition(" gets ")[0]] = running(page)
    assert [line.split(" = ")[0] for line in lit["2.weight"]] == ["d_weight_2"]
    assert [line.split(" = ")[0] for line in lit["0.bias"]] == ["d_bias_0"]


def test_the_program_of_another_computation_is_an_error(tmp_path):
    a, b = Value(2.0), Value(3.0)
    with pytest.raises(ValueError, match="the program of the function that computed the value"):
        film(a * b, tmp_path / "film.html", program=source(lambda a, b: a + b, a, b))
    with pytest.raises(TypeError, match=r"expected a program of microgd\.source, but got"):
        film(a * b, tmp_path / "film.html", program="a * b")
    assert not list(tmp_path.iterdir())


def test_a_program_of_other_operations_is_told_by_the_first_that_differs():
    a, b = Value(2.0), Value(3.0)
    with pytest.raises(ValueError, match="does add as operation 1, not subtract"):
        film(a - b, program=source(lambda a, b: a + b, a, b))


def test_a_result_is_said_once():
    c = Value(2.0, name="c")
    assert told(-c)[1] == "v₁ = −c = −2"


def test_a_row_for_many_leaves_is_shown_when_the_last_of_them_has_its_gradient():
    w = [Value(float(i), name=f"w{i}") for i in range(30)]
    steps = steps_of(shown_page(film(sum((x * 2.0 for x in w[1:]), w[0] * 2.0), compact=True)))
    shown = [
        i for i, step in enumerate(steps) if any(part.endswith("-q0") for part in step["show"])
    ]
    assert shown == [len(steps) - 2]
