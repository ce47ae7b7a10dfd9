"""Numbers, arrays and names as short texts for people to read."""

from typing import Any
from unicodedata import bidirectional

import numpy as np

FEW = 6  # arrays of at most this many elements are shown with all their numbers
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # for Persian, and for emoji

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SUPERSCRIPTS = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")


def number(x: float, digits: int = 4) -> str:
    """A number to this many significant digits; below a million it keeps all before the point."""
    x = float(x)
    has_no_fraction = x.is_integer() or abs(x) >= 10**digits - 0.5
    if abs(x) < 1e6 and has_no_fraction:
        text = str(round(x))
    else:
        mantissa, e, exponent = f"{x:.{digits}g}".partition("e")
        text = f"{mantissa}e{int(exponent)}" if e else mantissa
    return text.replace("-", "\N{MINUS SIGN}")


def superscript(x: int | str) -> str:
    """A whole number as an exponent, such as ⁻³."""
    return str(x).translate(_SUPERSCRIPTS)


def subscript(x: int) -> str:
    """A whole number as an index, such as ₁₂."""
    return str(x).translate(_SUBSCRIPTS)


def size(x: Any) -> float:
    """How large a gradient is as a whole: the root of the sum of the squares of its elements."""
    array = np.abs(np.asarray(x, np.float64))
    largest = float(array.max(initial=0.0))
    if not 0 < largest < np.inf:
        return largest
    # The largest element is taken out first: otherwise the squares of huge numbers would
    # overflow, and those of tiny numbers would all be 0.
    return largest * float(np.linalg.norm(array / largest))


def numbers(x: Any) -> str:
    """A number, the elements of a small array to three digits, or the range of a larger one."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        return short(str(x))
    if not array.ndim:
        return number(array.item())
    if not array.size:
        return "empty"
    if array.size <= FEW:
        elements = (numbers(row) if row.ndim else number(row, 3) for row in array)
        return f"[{', '.join(elements)}]"
    missing = int(np.isnan(array).sum())
    if missing:
        return f"{missing} nan"
    return f"{number(array.min())} … {number(array.max())}"


def gradient(x: Any) -> str:
    """A number, the elements of a small array, or the size of a larger one."""
    return numbers(x) if np.size(x) <= FEW else f"size {number(size(x))}"


def data(x: Any) -> str:
    """A number, or an array's shape and numbers."""
    return f"{np.shape(x)} {numbers(x)}" if np.ndim(x) else numbers(x)


def short(text: str, length: int = 40) -> str:
    """Any text as one line of at most this length, made of characters that can be shown."""
    beginning = text[: 4 * length]  # names of a million characters are not read to their end
    line = "".join(map(_printable, " ".join(beginning.split())))
    if len(line) > length or len(text) > len(beginning):
        return line[: length - 1] + "…"
    return line


def _printable(character: str) -> str:
    """The character, or a replacement for one that cannot be shown."""
    if character.isprintable() or character in JOINERS:
        return character
    return "\N{REPLACEMENT CHARACTER}"


def within(text: str) -> str:
    """A name as part of a sentence that runs from left to right, whichever way the name runs.

    Marks around the name isolate it. Without them, the text between two names that run from right
    to left would run that way too: the browser would show "∂c/∂a = 2 × 3 = 6" as
    "∂6 = 3 × 2 = a∂/c".
    """
    if not any(bidirectional(c) in ("R", "AL", "AN") for c in text):
        return text
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def option(x: Any) -> str:
    """An option of an operation, such as an axis, a shape or an index, as it is written in code."""
    if isinstance(x, slice):
        start = "" if x.start is None else x.start
        stop = "" if x.stop is None else x.stop
        return f"{start}:{stop}" if x.step is None else f"{start}:{stop}:{x.step}"
    if isinstance(x, tuple):
        comma = "," if len(x) == 1 else ""
        return short(f"({', '.join(map(option, x))}{comma})", 24)
    if x is ...:
        return "..."
    if isinstance(x, type):
        return short(x.__name__, 24)
    return short(str(x), 24)


def index(x: Any) -> str:
    """An index, as it stands between square brackets."""
    if isinstance(x, tuple) and len(x) == 1:
        return option(x[0])
    written = option(x)
    return written[1:-1] if isinstance(x, tuple) and written.endswith(")") else written
