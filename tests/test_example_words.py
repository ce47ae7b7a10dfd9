"""words.py does what it says, on its real output."""

import re

import numpy as np
import pytest
from example_runs import edited, needs_matplotlib, of, run, small

pytestmark = needs_matplotlib


@of("words")
@pytest.mark.parametrize("seed", [0, 100])
def test_the_species_of_birds_held_out_are_named_rightly_over_ten_splits(seed):
    its, printed, _, _ = small("words") if seed == 0 else run("words", "--seed", seed)
    assert len(its.ACCURACY["four measurements"]) == 10
    assert np.mean(its.ACCURACY["four measurements"]) >= 0.97
    assert (
        np.mean(its.ACCURACY["four measurements"]) > np.mean(its.ACCURACY["the bill alone"]) > 0.9
    )
    assert (
        f"{np.mean(its.ACCURACY['four measurements']):.1%} of the birds held out named rightly"
        in printed
    )


@of("words")
def test_birds_held_out_take_no_part_in_learning():
    its, _, _, _ = small("words")
    _, standardized, held_out = its.learn(its.ALL, 0)
    assert len(held_out) == 85 == len(set(held_out.tolist()))
    known = np.delete(np.arange(len(its.species)), held_out)
    np.testing.assert_allclose(standardized(its.sizes[known]).mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(standardized(its.sizes[known]).std(axis=0), 1)


@of("words")
def test_words_come_out_that_went_in_with_probabilities_that_add_up_to_1():
    its, printed, _, _ = small("words")
    assert [its.names[label] for label in its.labels] == its.species
    p = its.probabilities(its.network, its.standardized(its.sizes[:, its.PAIR]))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert its.names == ["Adelie", "Chinstrap", "Gentoo"]
    assert "For a bird of the species Adelie (0) the best answer is [1. 0. 0.]." in printed


@pytest.mark.parametrize("pair", ["[2, 3]", "[0, 2]"])
def test_the_map_of_other_measurements_bears_their_names(pair):
    _, figures = edited("words", {"PAIR = [0, 1]": f"PAIR = {pair}"}, "--splits", 2)
    on = figures["words.png"].axes[0]
    labels = {
        "[2, 3]": ("flipper length (mm)", "body mass (g)"),
        "[0, 2]": ("bill length (mm)", "flipper length (mm)"),
    }[pair]
    assert (on.get_xlabel(), on.get_ylabel()) == labels
    assert on.get_title().startswith(
        f"By {labels[0].split(' (')[0]} and {labels[1].split(' (')[0]} alone "
    )


def test_fewer_measurements_are_learned_from_alone():
    printed, _ = edited("words", {"ALL = [0, 1, 2, 3]": "ALL = [0, 3]"}, "--splits", 2)
    assert re.search(r"^two measurements +: \d", printed, re.MULTILINE)
