"""graph.py, lecture.py and crescents.py do what they say, on their real output."""

import re
import xml.etree.ElementTree as ET
from functools import cache

import numpy as np
import pytest
from example_runs import (
    EXAMPLES,
    check_pictures,
    example,
    needs_matplotlib,
    run,
    run_cells,
    small,
)
from rendered import lines, needs_program

from microgd import draw

pytestmark = needs_matplotlib


# ── graph.py ──────────────────────────────────────────────────────────────────────────────────────


@needs_program
def test_the_ten_graphs_are_drawn_and_filmed(tmp_path, capsys):
    graph = example("graph")
    assert graph.main(["--out", str(tmp_path / "new" / "folder")]) is None
    made = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    names = [make.__name__ for make in graph.GRAPHS]
    assert names == GRAPHS
    assert made == sorted(f"{name}.{kind}" for name in names for kind in ("html", "svg"))
    assert all(name in capsys.readouterr().out for name in ["expression.html"])


def check_same_picture(name, today):
    """Check that a committed picture says the same as one of today."""
    committed, made = (
        " ".join(sorted(lines(root))).replace("−", "-")
        for root in (
            ET.parse(EXAMPLES / "pictures" / f"{name}.svg").getroot(),
            ET.fromstring(today),
        )
    )
    # Another processor may round the last digit differently.
    numbers = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
    assert re.sub(numbers, "0", committed) == re.sub(numbers, "0", made)
    shown, expected = (
        [float(number) for number in re.findall(numbers, text)] for text in (committed, made)
    )
    np.testing.assert_allclose(shown, expected, rtol=0.01, atol=0.001)


GRAPHS = ["expression", "used_twice", "neuron", "softmax", "second"]
GRAPHS += ["regression", "rnn", "attention", "xor", "digits"]


@needs_program
@pytest.mark.parametrize("name", GRAPHS)
def test_the_committed_pictures_say_what_is_drawn_today(name):
    value, how = getattr(example("graph"), name)()
    value.backward()
    check_same_picture(name, draw(value, **how).pipe("svg"))


@needs_program
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "pgn"], "unknown format: 'pgn'"),
        (["--out", __file__], "test_example_graphs.py"),
    ],
)
def test_a_picture_that_cannot_be_made_is_one_clear_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in example("graph").main(arguments)


@needs_program
def test_in_jupyter_the_graphs_and_films_show_themselves(jupyter, tmp_path, capsys):
    assert example("graph").main() is None
    drawings, films = jupyter[::2], jupyter[1::2]
    assert len(drawings) == 10
    assert all("image/svg+xml" in drawing._repr_mimebundle_() for drawing in drawings)
    assert [type(film).__name__ for film in films] == ["Film"] * 10
    assert len(list((tmp_path / "pictures").iterdir())) == 20


@needs_program
def test_in_jupyter_the_cells_of_graph_end_without_an_exit(jupyter, capsys):
    run_cells("graph")
    assert "Open the .html files" in capsys.readouterr().out


# ── lecture.py and crescents.py ───────────────────────────────────────────────────────────────────


lecture = cache(lambda: run("lecture"))


@pytest.mark.xdist_group("lecture")
def test_the_neuron_of_the_lecture_has_the_gradients_worked_out_by_hand():
    its, printed, _, _ = lecture()
    assert its.o.item() == pytest.approx(0.5**0.5)  # b was chosen so
    # The slope of tanh is 1 - o² = 0.5; times the other factor of each product.
    expected = {"x1": -1.5, "w1": 1.0, "x2": 0.5, "w2": 0.0, "b": 0.5, "n": 0.5}
    for name, gradient in expected.items():
        assert getattr(its, name).grad == pytest.approx(gradient), name
    assert "w1: 0.5 · 2 = 1; backward() says 1\n" in printed
    assert "w2: 0.5 · 0 = 0; backward() says 0\n" in printed


@pytest.mark.xdist_group("lecture")
def test_the_network_of_the_lecture_learns_its_four_examples_and_fits_on_a_line():
    _, printed, _, _ = lecture()
    losses = re.findall(r"^step +\d+: the loss is (\d\.\d{4})$", printed, re.MULTILINE)
    assert float(losses[-1]) < 0.01 < 1 < float(losses[0])
    assert "MLP(layers.0: 16 numbers, layers.1: 20 numbers, layers.2: 5 numbers)\n" in printed


@needs_program
@pytest.mark.xdist_group("lecture")
def test_the_lectures_pictures_and_film_are_made_and_shown_in_the_learners_path():
    _, printed, _, made = lecture()
    graphs = {f"lecture_{name}.svg" for name in ("neuron", "network", "neurons", "layers")}
    assert set(made) == {*graphs, "lecture_film.html"}
    assert {name for name in made if f"{name}\n" in printed} == set(made)
    page = (EXAMPLES / "README.md").read_text()
    for name in graphs:
        assert f"(pictures/{name})" in page
        assert (EXAMPLES / "pictures" / name).is_file()
    for name in graphs:
        check_same_picture(name.removesuffix(".svg"), made[name])


@pytest.mark.xdist_group("crescents")
def test_a_network_of_the_lectures_neurons_tells_the_crescents_apart():
    its, printed, figures, _ = small("crescents")
    assert its.right >= 98
    assert f"For {its.right} of the 100 points" in printed
    check_pictures(figures)


@pytest.mark.xdist_group("crescents")
def test_the_loss_of_the_crescents_is_the_hinge_loss_with_weight_decay():
    its, _, _, _ = small("crescents")
    outputs = its.says(*its.points.T)
    squares = sum(p.item() ** 2 for p in its.model.parameters())
    expected = np.maximum(0, 1 - its.side * outputs).mean() + 1e-4 * squares
    assert its.loss_of_crescents().item() == pytest.approx(expected)
