"""Arrays as grids of numbers, with common decimals, and a shade for each number."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microgd.pictures import text

SHADES = 4  # of each sign; with white there are nine
WIDEST = 10  # columns of numbers
CORNER = 2  # of a large array, so many rows and columns at each end
IMAGES = range(20, 41)  # a square array of such a length is shown as an image
DIGITS = 3
MULTIPLICATION = "\N{MULTIPLICATION SIGN}"


class Cell(NamedTuple):
    """A number as text, and its shade, from -4 for the most negative to 4 for the most positive."""

    text: str
    shade: int


class Grid(NamedTuple):
    """An array as rows of cells, and what is said above and below it."""

    head: str  # its shape
    rows: list[list[Cell]]
    foot: str  # its range, if not all numbers are shown
    is_image: bool = False  # shades alone
    scale: str = ""  # the power of ten that all numbers are multiplied by, such as × 10⁻⁵


def shape(x: Any) -> str:
    """The shape of an array as NumPy writes it, such as (3, 4)."""
    return str(np.shape(x))


def grid(x: Any, elements: int) -> Grid:
    """An array as a grid: whole up to this many elements, and else its corners and its range."""
    array = np.asarray(x)
    if not array.size:
        return Grid(shape(array), [], "empty")
    image = _as_image(array)
    if image is not None:
        return Grid(shape(array), _shaded(image), _range(array), is_image=True)
    matrix = _as_matrix(array)
    rows, columns = matrix.shape
    is_whole = array.size <= elements and columns <= WIDEST
    kept_rows = _ends(rows, rows if is_whole else 2 * CORNER + 1)
    kept_columns = _ends(columns, columns if is_whole else 2 * CORNER + 1)
    decimals, power = _common(matrix)
    largest = _largest(matrix)
    cells = []
    for i in kept_rows:
        row = []
        for j in kept_columns:
            if i is None or j is None:
                row.append(Cell("…", 0))
            else:
                number = matrix[i, j]
                row.append(Cell(_number(number, decimals, power), _shade(number, largest)))
        cells.append(row)
    head = shape(array)
    scale = f"{MULTIPLICATION} 10{text.superscript(power)}" if power else ""
    if scale:
        head += f", {scale}"
    return Grid(head, cells, "" if is_whole else _range(array), scale=scale)


def _as_matrix(array: NDArray[Any]) -> NDArray[Any]:
    """A vector as one row, and a stack of matrices with one below the other."""
    if array.ndim <= 1:
        return array.reshape(1, -1)
    return array.reshape(-1, array.shape[-1])


def _as_image(array: NDArray[Any]) -> NDArray[Any] | None:
    """The array as a matrix of pixels, if it is one image, also if that is flattened."""
    lengths = [n for n in array.shape if n != 1]
    if len(lengths) == 1:
        side = math.isqrt(lengths[0])
        lengths = [side, side] if side * side == lengths[0] and side in IMAGES else []
    if len(lengths) != 2 or lengths[0] != lengths[1] or lengths[0] not in IMAGES:
        return None
    return array.reshape(lengths)


def _shaded(image: NDArray[Any]) -> list[list[Cell]]:
    largest = _largest(image)
    return [[Cell("", _shade(x, largest)) for x in row] for row in image]


def _ends(count: int, most: int) -> list[int | None]:
    """The indices of all rows; or of the first and the last ones, with None for the rest."""
    if count <= most:
        return list(range(count))
    last = most - 1 - CORNER
    return [*range(CORNER), None, *range(count - last, count)]


def _largest(array: NDArray[Any]) -> float:
    """The largest absolute value of those that are finite."""
    sizes = np.abs(array[np.isfinite(array)].astype(np.float64))
    return float(sizes.max(initial=0.0))


def _common(matrix: NDArray[Any]) -> tuple[int, int]:
    """How many decimals all numbers get, and the power of ten that is taken out of them."""
    largest = _largest(matrix)
    finite = matrix[np.isfinite(matrix)]
    if largest == 0 or (np.all(finite == np.round(finite)) and largest < 10000):
        return 0, 0
    magnitude = math.floor(math.log10(largest))
    power = magnitude if not -3 <= magnitude <= 4 else 0
    return max(0, DIGITS - 1 - (magnitude - power)), power


def _number(x: Any, decimals: int, power: int) -> str:
    if not np.isfinite(x):
        return text.number(float(x))
    scaled = float(x) / 10.0**power if power > -300 else float(x) * 1e300 / 10.0 ** (power + 300)
    shown = f"{scaled:.{decimals}f}"
    is_zero = not shown.strip("-0.")
    return shown.replace("-", "" if is_zero else "\N{MINUS SIGN}")


def _shade(x: Any, largest: float) -> int:
    if np.isnan(x) or not largest:
        return 0
    part = min(max(float(x) / largest, -1.0), 1.0)
    return round(SHADES * part)


def _range(array: NDArray[Any]) -> str:
    missing = int(np.isnan(array).sum())
    if missing:
        return f"{missing} nan"
    return f"min {text.number(array.min(), DIGITS)}, max {text.number(array.max(), DIGITS)}"
