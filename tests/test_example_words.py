"""words.py does what it says, on its real output."""

import re

import numpy as np
import pytest
from example_runs import check_pictures, needs_matplotlib, of, run, run_edited, small

from microgd import data, nn

pytestmark = needs_matplotlib
ALL, BILL = "all 4 columns", "bill length and bill depth alone"


def by_numpy(rows, labels, seed, lr=0.5, epochs=50, batch_size=32, part=4):
    """What a network says of all rows that has learned from some of them, in NumPy alone: the
    slopes are the outputs' errors times the inputs.
    """
    rng = np.random.default_rng(seed)
    known = rng.permutation(len(rows))[len(rows) // part :]
    x = (rows - rows[known].mean(axis=0)) / rows[known].std(axis=0)
    right = np.eye(max(labels) + 1)[labels]
    start = nn.Linear(x.shape[1], right.shape[1], rng=rng, dtype=float)  # for its random weights
    weight, bias = start.weight.data.copy(), start.bias.data.copy()
    for _ in range(epochs):
        for a, targets in data.minibatches(x[known], right[known], batch_size, rng):
            powers = np.exp(a @ weight.T + bias)
            error = (powers / powers.sum(axis=1, keepdims=True) - targets) / len(a)
            weight -= lr * error.T @ a
            bias -= lr * error.sum(axis=0)
    return np.argmax(x @ weight.T + bias, axis=1)


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
    probabilities, held_out = its.learn(its.numbers, 0)
    assert len(held_out) == 85 == len(set(held_out.tolist()))
    others = its.numbers.copy()
    others[held_out] = np.random.default_rng(0).permutation(1.5 * others[held_out])
    learned_with_others, _ = its.learn(others, 0)
    np.testing.assert_array_equal(learned_with_others(its.numbers), probabilities(its.numbers))


@of("words")
def test_a_row_counts_in_standard_deviations_so_its_unit_makes_no_difference():
    its, _, _, _ = small("words")
    in_other_units = its.numbers * [0.1, 1, 1000, 2.2] + [0, 5, 0, 0]
    p, other = (its.learn(rows, 3)[0](rows) for rows in (its.numbers, in_other_units))
    np.testing.assert_allclose(p, other, atol=1e-9)


@of("words")
def test_words_come_out_that_went_in_with_probabilities_that_add_up_to_1():
    its, printed, _, _ = small("words")
    assert [its.names[label] for label in its.labels] == its.words
    p = its.probabilities(its.points)
    assert p.shape == (342, 3)
    assert p.min() > 0
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert its.names == ["Adelie", "Chinstrap", "Gentoo"]
    assert "For Adelie (0) the best answer is [1. 0. 0.]." in printed
    assert "342 rows; 2 more, in which something was not measured, are left out" in printed


@of("words")
def test_the_map_shows_what_the_network_says_where_the_birds_are():
    its, _, figures, _ = small("words")
    on = figures["words.png"].axes[0]
    wrong = next(line for line in on.lines if line.get_label() == "named wrongly")
    said = by_numpy(its.points, its.labels, seed=9)
    errors = its.held_out[said[its.held_out] != its.labels[its.held_out]]
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


# ── Edits ────────────────────────────────────────────────────────────────────────────────────────

SPLIT = "held_out, known = order[: len(rows) // 4], order[len(rows) // 4 :]"
LINEAR = "nn.Linear(rows.shape[1], len(names), rng=rng, dtype=float)"
HIDDEN = """nn.Sequential(
        nn.Linear(rows.shape[1], 8, rng=rng), nn.Tanh(), nn.Linear(8, len(names), rng=rng)
    )"""
SQUARES = "lambda outputs, y: nn.mse_loss(outputs, data.one_hot(y, len(names)))"
COLUMNS = '["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]'
SEEDS = "range(options.seed, options.seed + options.splits)"
# What a learner may edit, and how NumPy learns the same, if it can.
EDITS = {
    "one epoch": ({"epochs=50": "epochs=1"}, {"epochs": 1}),
    "a small rate": ({"lr=0.5": "lr=0.001"}, {"lr": 0.001}),
    "no step at all": ({"lr=0.5": "lr=0"}, {"lr": 0}),
    "a row a step": (
        {"batch_size=32": "batch_size=1", "epochs=50": "epochs=2"},
        {"batch_size": 1, "epochs": 2},
    ),
    "half held out": ({SPLIT: SPLIT.replace("// 4", "// 2")}, {"part": 2}),
    "one split": ({SEEDS: "[5]"}, {}),
    "other columns": ({COLUMNS: '["year", "body_mass_g", "bill_length_mm"]'}, {}),
    "other words": ({'"species"': '"island"'}, {}),
    "the last columns on the map": ({"columns[:2]": "columns[-2:]"}, {}),
    "not in standard deviations": ({"(x - mean) / deviation": "x"}, None),
    "a hidden layer": ({LINEAR: HIDDEN}, None),
    "another loss": ({"nn.cross_entropy": SQUARES}, None),
}


def check_the_answers(its, printed):
    """Check what is printed of single rows. Return how many these are."""
    probabilities, held_out = its.learn(its.numbers, its.options.seed)
    p = probabilities(its.numbers)
    rows = re.findall(r"^(.*)\n    (.*): it says (.*), and it is (.*)\n", printed, re.MULTILINE)
    for measured, chances, says, word in rows:
        told = [float(number) for number in re.findall(r" ([\d.]+)(?: mm| g|,|$)", measured)]
        found = [n for n in held_out if np.array_equal(its.numbers[n], told)]
        assert found, measured
        n = next(n for n in found if its.words[n] == word)
        expected = [f"{name} {chance:.1%}" for name, chance in zip(its.names, p[n], strict=True)]
        assert chances == ", ".join(expected)
        assert p[n, its.names.index(says)] == max(p[n])
    least = np.sort(p[held_out].max(axis=1))[:3]
    told = [max(map(float, re.findall(r"([\d.]+)%", row[1]))) / 100 for row in rows[3:]]
    np.testing.assert_allclose(told, least, atol=6e-4)
    return len(rows)


def check_the_map(its, on):
    """Check that words and rings are where the network of the last split puts them."""
    p = its.probabilities(its.points[its.held_out])
    wrong = its.points[its.held_out[p.argmax(axis=1) != its.labels[its.held_out]]]
    rings = next(line for line in on.lines if line.get_label() == "named wrongly")
    np.testing.assert_array_equal(rings.get_xydata(), wrong)
    across, up = np.meshgrid(*[np.linspace(*ends, 40) for ends in (on.get_xlim(), on.get_ylim())])
    said = its.probabilities(np.stack([across.ravel(), up.ravel()], axis=1)).argmax(axis=1)
    for text in on.texts:
        name, _, without = text.get_text().partition(" (no area)")
        number = its.names.index(name)
        here = its.probabilities(np.array([text.get_position()])).argmax()
        assert (here == number) == (not without and text.get_text() == name)
        assert here == number or number not in said
    assert {text.get_text().split(" (")[0] for text in on.texts} == set(its.names)


@pytest.mark.parametrize(("edits", "numpy"), EDITS.values(), ids=EDITS)
def test_words_after_an_edit(edits, numpy):
    its, printed, figures, _ = run_edited("words", edits, "--splits", 2)
    assert check_the_answers(its, printed) == 6
    for rows, (what, accuracies) in zip(
        [its.numbers, its.points], its.ACCURACY.items(), strict=True
    ):
        right = []
        for seed in its.SPLITS:
            probabilities, held_out = its.learn(rows, seed)
            said = probabilities(rows).argmax(axis=1)
            if numpy is not None:
                said = by_numpy(rows, its.labels, seed, **numpy)
            right.append(np.mean([said[n] == its.labels[n] for n in held_out]))
        np.testing.assert_allclose(accuracies, right, atol=1e-9)
        splits = f"{len(right)} split" + "s" * (len(right) > 1)
        assert f"{what}: {np.mean(right):.1%} of the rows held out are named rightly" in printed
        assert f"over {splits} ({min(right):.1%} to {max(right):.1%})" in printed
    [on] = figures["words.png"].axes
    title = " ".join(on.get_title().split())
    assert f", {right[-1]:.1%} of {len(held_out)} rows held out are named rightly" in title
    assert title.endswith(f"(the last of {splits}; on average {np.mean(right):.1%})")
    check_the_map(its, on)
    check_pictures(figures)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({SPLIT: "held_out, known = order[:0], order"}, "there are 0 rows held out"),
        ({LINEAR: LINEAR.replace("len(names)", "5")}, "5 outputs for 3 words"),
        ({LINEAR: LINEAR.replace("len(names)", "2")}, "cannot learn: expected labels from 0 to 1"),
        ({"nn.cross_entropy": "nn.mse_loss"}, "cannot learn: expected a prediction and a target"),
        ({"lr=0.5": "lr=-0.5"}, "cannot learn: expected lr to be 0 or more"),
        ({"batch_size=32": "batch_size=0"}, "cannot learn: expected a batch size of at least 1"),
        (
            {"nn.cross_entropy": SQUARES, "lr=0.5": "lr=1e200"},
            "cannot learn: the loss became inf in epoch 1",
        ),
        ({"columns[:2]": "columns[:3]"}, "two different columns of numbers are needed"),
        ({COLUMNS: '["year"]'}, "two different columns of numbers are needed, but these are year"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_words_after_an_edit_that_will_not_do_is_one_clear_line(edits, said):
    with pytest.raises(SystemExit, match=said) as caught:
        run_edited("words", edits, "--splits", 2)
    assert "\n" not in caught.value.code


def test_with_a_learning_rate_of_almost_nothing_the_map_lacks_regions_but_no_kind():
    _, _, figures, _ = run_edited("words", {"lr=0.5": "lr=1e-12"}, "--splits", 2)
    names = {text.get_text() for text in figures["words.png"].axes[0].texts}
    assert names == {"Adelie", "Chinstrap", "Gentoo"}
