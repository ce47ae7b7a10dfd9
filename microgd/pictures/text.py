"""Numbers, arrays and names as short texts for people."""

from collections.abc import Iterable
from typing import Any
from unicodedata import bidirectional

import numpy as np

Rows = Iterable[tuple[str, str]]  # lines of text, each of a kind: "name", "data", "grad" or "note"
FEW = 6  # an array of at most so many elements is shown with all its numbers
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # Persian needs the one, emoji the other


def number(x: float, digits: int = 4) -> str:
    """So many significant digits, or up to a million all that are before the point."""
    x = float(x)
    if abs(x) < 1e6 and (x.is_integer() or abs(x) >= 10**digits - 0.5):
        text = str(round(x))
    else:
        mantissa, e, exponent = f"{x:.{digits}g}".partition("e")
        text = mantissa + (f"e{int(exponent)}" if e else "")
    return text.replace("-", "\N{MINUS SIGN}")


def size(x: Any) -> float:
    """How large a gradient is in all: the root of the sum of the squares of its elements."""
    array = np.abs(np.asarray(x, np.float64))
    largest = float(
        array.max(initial=0.0)
    )  # taken out, so that no square is too large or too small
    return largest * float(np.linalg.norm(array / largest)) if 0 < largest < np.inf else largest


def numbers(x: Any) -> str:
    """A number; the elements of a small array, to three digits; of a larger one the smallest and the largest."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        return short(str(x))
    if not array.ndim:
        return number(array.item())
    if not array.size:
        return "empty"
    if array.size <= FEW:
        return "[" + ", ".join(numbers(row) if row.ndim else number(row, 3) for row in array) + "]"
    missing = int(np.isnan(array).sum())
    return f"{missing} nan" if missing else f"{number(array.min())} … {number(array.max())}"


def gradient(x: Any) -> str:
    """A number, or the elements of a small array, or the size of a larger one."""
    return numbers(x) if np.size(x) <= FEW else f"size {number(size(x))}"


def data(x: Any) -> str:
    """A number, or an array's shape and numbers."""
    return f"{np.shape(x)} {numbers(x)}" if np.ndim(x) else numbers(x)


def short(text: str, length: int = 40) -> str:
    """Any text as one short line of characters that can be shown."""
    line = " ".join(text[: 4 * length].split())
    letters = (c if c.isprintable() or c in JOINERS else "\N{REPLACEMENT CHARACTER}" for c in line)
    line = "".join(letters)
    return line if len(line) <= length and len(text) <= 4 * length else line[: length - 1] + "…"


def within(text: str) -> str:
    """A name as a part of a sentence that is read from left to right, whatever way the name is.

    Without the marks around it, what stands between two names that run from right to left would run
    that way too: of "∂c/∂a = 2 × 3 = 6" the browser would make "∂6 = 3 × 2 = a∂/c".
    """
    if not any(bidirectional(c) in ("R", "AL", "AN") for c in text):
        return text
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def option(x: Any) -> str:
    """An option of an operation, such as an axis, a shape or an index, as one writes it."""
    if isinstance(x, slice):
        text = f"{'' if x.start is None else x.start}:{'' if x.stop is None else x.stop}"
        return text if x.step is None else f"{text}:{x.step}"
    if isinstance(x, tuple):
        return short(f"({', '.join(map(option, x))})", 24)
    return short("..." if x is ... else x.__name__ if isinstance(x, type) else str(x), 24)
