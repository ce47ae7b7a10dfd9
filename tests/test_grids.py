"""Numbers as short texts, and arrays as grids of them."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rendered import value

from microgd.pictures import text
from microgd.pictures.grids import SHADES, grid

# ── A number ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (0.1 + 0.2, "0.3"),
        (-3.0, "−3"),
        (-0.0, "0"),
        (1 / 3, "0.3333"),
        (12345.678, "12346"),
        (9999.6, "10000"),
        (13002.0, "13002"),
        (1e6, "1e6"),
        (1.23456e8, "1.235e8"),
        (-2.5e-7, "−2.5e−7"),
        (0.00012345, "0.0001234"),
        (float("nan"), "nan"),
        (float("-inf"), "−inf"),
    ],
)
def test_a_number_has_four_significant_digits(x, shown):
    assert text.number(x) == shown


@pytest.mark.parametrize(
    ("x", "shown"), [(1 / 3, "0.333"), (-1.2345, "−1.23"), (999.6, "1000"), (1234.5, "1234")]
)
def test_a_number_has_three_digits_where_there_is_little_room(x, shown):
    assert text.number(x, 3) == shown


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.floats(-1e300, 1e300))
def test_what_is_shown_of_a_number_is_close_to_it(x):
    assert value(text.number(x)) == pytest.approx(x, rel=6e-4)


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (np.zeros((0, 3)), "(0, 3) empty"),
        (np.array([[1.0, 2.0]]), "(1, 2) [[1, 2]]"),
        (np.array([True, False]), "(2,) [1, 0]"),
        (np.full(10, np.nan), "(10,) 10 nan"),
        (np.arange(10), "(10,) 0 … 9"),
        (None, "None"),
    ],
)
def test_an_array_is_shown_in_short(x, shown):
    assert text.data(x) == shown


@pytest.mark.parametrize(
    ("x", "size"),
    [([3.0, 4.0], 5.0), ([3e200, 4e200], 5e200), ([3e-200, 4e-200], 5e-200), ([np.inf, 1], np.inf)],
)
def test_the_size_of_a_gradient_is_the_root_of_the_sum_of_the_squares(x, size):
    assert text.size(x) == pytest.approx(size)


@pytest.mark.parametrize(("x", "shown"), [(2, "²"), (-13, "⁻¹³"), ("−4567890", "⁻⁴⁵⁶⁷⁸⁹⁰")])
def test_a_whole_number_is_an_exponent(x, shown):
    assert text.superscript(x) == shown


def test_a_whole_number_is_an_index():
    assert text.subscript(1234567890) == "₁₂₃₄₅₆₇₈₉₀"


# ── A grid ────────────────────────────────────────────────────────────────────────────────────────


def numbers(shown):
    return [[cell.text for cell in row] for row in shown.rows]


def shades(x):
    return [[cell.shade for cell in row] for row in grid(np.array(x), 24).rows]


@pytest.mark.parametrize(
    ("x", "rows"),
    [
        # Three digits of the largest number, and as many decimals for the others
        ([[1.5, -0.25]], [["1.50", "−0.25"]]),
        ([[12.345, 0.001]], [["12.3", "0.0"]]),
        ([[0.012345, -0.0001]], [["0.0123", "−0.0001"]]),
        ([[123.4, 5.0]], [["123", "5"]]),
        # Whole numbers without decimals
        ([[1.0, -20.0], [300.0, 0.0]], [["1", "−20"], ["300", "0"]]),
        # A number that is rounded to 0 has no sign
        ([[1.5, -0.001]], [["1.50", "0.00"]]),
        ([[np.nan, np.inf, -np.inf, 1.5]], [["nan", "inf", "−inf", "1.50"]]),
        ([[True, False]], [["1", "0"]]),
        ([0.5, 0.25], [["0.500", "0.250"]]),
    ],
)
def test_numbers_have_common_decimals(x, rows):
    shown = grid(np.array(x), 24)
    assert numbers(shown) == rows
    assert shown.foot == ""


@pytest.mark.parametrize(
    ("x", "head", "cells"),
    [
        ([1.5e-7, -2e-8], "(2,), × 10⁻⁷", ["1.50", "−0.20"]),
        ([1.25e9, 5e8], "(2,), × 10⁹", ["1.25", "0.50"]),
        ([1e-310, 5e-311], "(2,), × 10⁻³¹⁰", ["1.00", "0.50"]),
        ([1e300, 1.0], "(2,), × 10³⁰⁰", ["1.00", "0.00"]),
        ([0.0015, 0.0], "(2,)", ["0.00150", "0.00000"]),
        ([12345.6, 0.0], "(2,)", ["12346", "0"]),
    ],
)
def test_a_power_of_ten_is_taken_out_of_huge_and_tiny_numbers(x, head, cells):
    shown = grid(np.array(x), 24)
    assert shown.head == head
    assert numbers(shown) == [cells]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    hnp.arrays(
        np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-1e250, 1e250)
    ).filter(lambda x: x.size <= 24)
)
def test_a_grid_is_within_half_a_unit_of_its_last_decimal(x):
    shown = grid(x, 24)
    power = re.search("10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)$", shown.head)
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    exponent = power[1].translate(digits) if power else "0"
    cells = [cell for row in numbers(shown) for cell in row]
    largest = np.abs(x).max()
    for cell, number in zip(cells, x.ravel(), strict=True):
        read = value(cell) if exponent == "0" else value(f"{cell}e{exponent}")
        assert read == pytest.approx(number, abs=0.0051 * largest)


def test_the_head_is_the_shape_and_a_stack_of_matrices_stands_one_below_the_other():
    shown = grid(np.arange(12.0).reshape(2, 3, 2), 24)
    assert shown.head == "(2, 3, 2)"
    assert numbers(shown) == [[str(i), str(i + 1)] for i in range(0, 12, 2)]
    assert grid(np.array(2.0), 24).head == "()"


def test_a_larger_array_shows_its_corners_and_its_range():
    x = np.arange(100.0).reshape(10, 10) - 40
    shown = grid(x, 99)
    assert numbers(shown) == [
        ["−40", "−39", "…", "−32", "−31"],
        ["−30", "−29", "…", "−22", "−21"],
        ["…"] * 5,
        ["40", "41", "…", "48", "49"],
        ["50", "51", "…", "58", "59"],
    ]
    assert shown.foot == "min −40, max 59"


@pytest.mark.parametrize(("shape", "elements", "is_whole"), [
    ((4, 6), 24, True), ((5, 5), 25, True), ((7, 4), 27, False), ((7, 4), 28, True),
    ((8, 8), 64, True), ((2, 10), 64, True), ((2, 11), 64, False), ((10,), 24, True),
    ((11,), 24, False), ((3, 4), 0, False),
])  # fmt: skip
def test_an_array_of_at_most_so_many_elements_and_10_columns_is_shown_whole(
    shape, elements, is_whole
):
    shown = grid(np.arange(np.prod(shape)).reshape(shape), elements)
    assert (shown.foot == "") == is_whole
    assert any("…" in row for row in numbers(shown)) or is_whole or shape == (3, 4)


def test_an_empty_array_is_said_to_be_empty():
    shown = grid(np.zeros((0, 3)), 24)
    assert (shown.head, shown.rows, shown.foot) == ("(0, 3)", [], "empty")


def test_the_range_says_how_many_numbers_are_missing():
    x = np.arange(100.0)
    x[3:5] = np.nan
    assert grid(x, 24).foot == "2 nan"


# ── Shades ────────────────────────────────────────────────────────────────────────────────────────


def test_shades_are_nine_steps_of_the_largest_number():
    assert shades([-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]) == [[-4, -3, -2, -1, 0, 1, 2, 3]]
    assert shades([0.0, 0.0]) == [[0, 0]]
    assert shades([np.nan, np.inf, -np.inf, 8.0]) == [[0, 4, -4, 4]]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8))
def test_no_shade_has_the_sign_of_another_number(x):
    (row,) = shades(x)
    for shade, number in zip(row, x, strict=True):
        assert abs(shade) <= SHADES
        assert shade * np.sign(number) >= 0


# ── Images ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (1, 784), (784,), (20, 20), (40, 40)])
def test_an_image_is_shades_alone(shape):
    x = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    shown = grid(x, 24)
    assert shown.is_image
    pixels = [cell for row in shown.rows for cell in row]
    assert len(pixels) == x.size
    assert {cell.text for cell in pixels} == {""}
    assert {cell.shade for cell in pixels} == {0, 1, 2, 3, 4}
    assert shown.foot == "min 0, max 1"
    assert shown.head == str(shape)


@pytest.mark.parametrize("shape", [(16, 16), (41, 41), (28, 30), (32, 784), (64,), (3, 28, 28)])
def test_other_arrays_are_no_images(shape):
    assert not grid(np.zeros(shape), 24).is_image


def test_a_flattened_image_is_the_same_picture():
    image = np.random.default_rng(0).random((28, 28))
    assert grid(image.ravel(), 24).rows == grid(image, 24).rows
