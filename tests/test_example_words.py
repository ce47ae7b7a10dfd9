"""words.py does what it says, on its real output."""

import re

import numpy as np
import pytest
from example_runs import check_pictures, edited, needs_matplotlib, of, run, small

pytestmark = needs_matplotlib
ALL, BILL = "all 4 columns", "bill length and bill depth alone"


@of("words")
@pytest.mark.parametrize("seed", [0, 100])
def test_the_species_of_birds_held_out_are_named_rightly_over_ten_splits(seed):
    its, printed, _, _ = small("words") if seed == 0 else run("words", "--seed", seed)
    assert len(its.ACCURACY[ALL]) == 10
    assert np.mean(its.ACCURACY[ALL]) >= 0.97
    assert np.mean(its.ACCURACY[ALL]) > np.mean(its.ACCURACY[BILL]) > 0.9
    assert f"{ALL}: {np.mean(its.ACCURACY[ALL]):.1%} of the rows held out" in printed
    assert f"{BILL}: {np.mean(its.ACCURACY[BILL]):.1%} of the rows held out" in printed


@of("words")
def test_rows_held_out_take_no_part_in_learning():
    its, _, _, _ = small("words")
    _, x, (mean, deviation), held_out = its.learn(its.columns, 0)
    assert len(held_out) == 85 == len(set(held_out.tolist()))
    known = np.delete(its.numbers, held_out, axis=0)
    np.testing.assert_allclose(mean, known.mean(axis=0))
    np.testing.assert_allclose(deviation, known.std(axis=0))
    np.testing.assert_allclose(np.delete(x, held_out, axis=0).mean(axis=0), 0, atol=1e-9)


@of("words")
def test_words_come_out_that_went_in_with_probabilities_that_add_up_to_1():
    its, printed, _, _ = small("words")
    assert [its.names[label] for label in its.labels] == its.words
    np.testing.assert_allclose(its.probabilities(its.network, its.x).sum(axis=1), 1)
    assert its.names == ["Adelie", "Chinstrap", "Gentoo"]
    assert "For Adelie (0) the best answer is [1. 0. 0.]." in printed
    assert "342 rows; 2 more, in which something was not measured, are left out" in printed


@of("words")
def test_the_map_shows_what_the_network_says_where_the_birds_are():
    its, _, figures, _ = small("words")
    on = figures["words.png"].axes[0]
    wrong = next(line for line in on.lines if line.get_label() == "named wrongly")
    logits = its.x[its.held_out] @ its.network.weight.data.T + its.network.bias.data
    errors = its.held_out[logits.argmax(axis=1) != its.labels[its.held_out]]
    np.testing.assert_array_equal(wrong.get_xydata(), its.numbers[errors][:, :2])
    assert f" {1 - len(errors) / len(its.held_out):.1%} of 85 rows" in on.get_title()


NAMES = {
    "bill_length_mm": "bill length (mm)",
    "flipper_length_mm": "flipper length (mm)",
    "body_mass_g": "body mass (g)",
    "year": "year",
}


@pytest.mark.parametrize(
    "pair",
    [
        ("flipper_length_mm", "body_mass_g"),
        ("bill_length_mm", "flipper_length_mm"),
        ("body_mass_g", "year"),
    ],
)
def test_the_map_of_other_columns_bears_their_names_and_units(pair):
    columns = ["--columns", "bill_depth_mm", *pair]
    its, printed, figures, _ = run("words", *columns, "--map", *pair, "--splits", 2)
    on = figures["words.png"].axes[0]
    assert [on.get_xlabel(), on.get_ylabel()] == [NAMES[each] for each in pair]
    alone = " and ".join(NAMES[each].split(" (")[0] for each in pair) + " alone"
    assert on.get_title().startswith(f"By {alone}, ")
    assert "all 3 columns: " in printed
    assert f"\n{alone}: " in printed
    assert its.numbers.shape == (342, 3)
    check_pictures(figures)


def table(path, kinds, rows=24):
    """Write a table of kinds that lie around a circle; two rows lack something."""
    rng = np.random.default_rng(0)
    lines = ["kind,width_cm,height (kg),note"]
    for n in range(kinds):
        middle = 4 * np.cos(2 * np.pi * n / kinds), 4 * np.sin(2 * np.pi * n / kinds)
        for width, height in rng.normal(middle, 0.3, (rows, 2)):
            lines.append(f"kind{n},{width:.3f},{height:.3f},text")
    lines += ["kind0,NA,1.0,text", "kind1,2.0,,text"]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("kinds", [2, 4, 7])
def test_any_table_is_learned_and_each_kind_is_named_on_the_map(kinds, tmp_path):
    path = table(tmp_path / "kinds.csv", kinds)
    its, printed, figures, _ = run("words", "--csv", path, "--label", "kind", "--splits", 2)
    assert f"{24 * kinds} rows; 2 more, in which something was not measured, are left" in printed
    assert f"The column kind holds {kinds} different words, numbered: kind0 (0), kind1" in printed
    on = figures["words.png"].axes[0]
    assert (on.get_xlabel(), on.get_ylabel()) == ("width (cm)", "height (kg)")
    assert sorted(text.get_text() for text in on.texts) == [f"kind{n}" for n in range(kinds)]
    for text in on.texts:  # the name stands where the kinds were put
        n = int(text.get_text()[4:])
        ways = [
            np.dot(text.get_position(), (np.cos(angle), np.sin(angle)))
            for angle in 2 * np.pi * np.arange(kinds) / kinds
        ]
        assert np.argmax(ways) == n
    assert min(its.ACCURACY["all 2 columns"]) > 0.9
    assert not re.search("penguin|species|bird|bill", printed + on.get_title())
    [legend] = figures["words.png"].legends
    assert len(legend.get_texts()) <= 4
    check_pictures(figures)


def test_kinds_look_different_on_the_map_although_there_are_more_of_them_than_colours(tmp_path):
    path = table(tmp_path / "kinds.csv", 9, rows=20)
    _, _, figures, _ = run("words", "--csv", path, "--label", "kind", "--splits", 2)
    lines = [line for line in figures["words.png"].axes[0].lines if len(line.get_xdata())]
    marks = [(line.get_color(), line.get_marker()) for line in lines if line.get_color() != "none"]
    assert len(marks) == len(set(marks)) == 9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--csv", "nowhere.csv"], r"nowhere\.csv: cannot be read"),
        (["--label", "kind"], r"no column 'kind': the columns are species, island, bill_len.*year"),
        (["--columns", "bill", "year"], r"'bill' is not there: the columns of numbers are bill_le"),
        (["--columns", "sex", "year"], r"'sex' has no numbers: the columns of numbers are bill_le"),
        (["--columns", "year"], r"two different columns of numbers are needed"),
        (["--columns", "year", "year"], r"two different columns of numbers are needed"),
        (["--map", "year", "body_mass_g"], r"--map: 'year' is not among the columns bill_length"),
        (["--label", "body_mass_g", "--columns", "year", "bill_depth_mm"], r"94 different words"),
    ],
)
def test_a_wrong_file_or_column_is_one_clear_line(arguments, said):
    with pytest.raises(SystemExit, match=said) as caught:
        run("words", *arguments)
    assert "\n" not in caught.value.code


def test_a_column_that_is_the_same_everywhere_says_nothing(tmp_path):
    path = tmp_path / "same.csv"
    rows = [f"{'ab'[n % 2]},5,{n % 2 + n / 100}" for n in range(40)]
    path.write_text("\n".join(["kind,same,other", *rows]))
    its, _, figures, _ = run("words", "--csv", path, "--label", "kind", "--splits", 2)
    assert its.ACCURACY["all 2 columns"] == [1.0, 1.0]
    check_pictures(figures)


def test_with_a_learning_rate_of_almost_nothing_the_map_lacks_regions_but_no_kind():
    _, figures = edited("words", {"lr=0.5": "lr=1e-12"}, "--splits", 2)
    names = {text.get_text() for text in figures["words.png"].axes[0].texts}
    assert names == {"Adelie", "Chinstrap", "Gentoo"}
