"""NumPy's further functions: what a learner does not need first.

Call them by NumPy's names: `np.einsum("ij,jk->ik", x, w)` works on Values. Most are made of the
operations in operations.py, so they need no rule. Where a rule of its own is shorter, faster or
more accurate, it stands beside the function.

    plain         comparisons, tests, positions, shapes: plain results, without derivatives
    elementwise   arctan2, hypot, cbrt, reciprocal; floor, ceil, round and the like
    shapes        axes, order, joining and splitting, padding, windows
    products      dot, inner, outer, tensordot, einsum; norms; diagonals
    statistics    std, prod, cumulative sums and products, average, sort
"""

from microgd.numpy_functions.elementwise import (
    arctan2,
    cbrt,
    ceil,
    floor,
    hypot,
    reciprocal,
    rint,
    round,
    trunc,
)
from microgd.numpy_functions.plain import (
    all,
    any,
    argmax,
    argmin,
    argsort,
)
from microgd.numpy_functions.products import (
    diag,
    diagonal,
    dot,
    einsum,
    inner,
    norm,
    outer,
    tensordot,
    trace,
)
from microgd.numpy_functions.shapes import (
    column_stack,
    expand_dims,
    flip,
    hstack,
    moveaxis,
    pad,
    repeat,
    roll,
    sliding_window_view,
    split,
    swapaxes,
    take,
    take_along_axis,
    tile,
    tril,
    triu,
    vstack,
)
from microgd.numpy_functions.statistics import (
    average,
    cumprod,
    cumsum,
    prod,
    sort,
    std,
)

__all__ = [
    "all",
    "any",
    "arctan2",
    "argmax",
    "argmin",
    "argsort",
    "average",
    "cbrt",
    "ceil",
    "column_stack",
    "cumprod",
    "cumsum",
    "diag",
    "diagonal",
    "dot",
    "einsum",
    "expand_dims",
    "flip",
    "floor",
    "hstack",
    "hypot",
    "inner",
    "moveaxis",
    "norm",
    "outer",
    "pad",
    "prod",
    "reciprocal",
    "repeat",
    "rint",
    "roll",
    "round",
    "sliding_window_view",
    "sort",
    "split",
    "std",
    "swapaxes",
    "take",
    "take_along_axis",
    "tensordot",
    "tile",
    "trace",
    "tril",
    "triu",
    "trunc",
    "vstack",
]
