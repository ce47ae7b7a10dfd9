"""What to write instead of a NumPy function or method that has no derivative rule."""

# NumPy's name of a function or method, and what to write instead, which has a derivative.
_INSTEAD = {
    "vdot": "write np.dot(x, y) for vectors",
    "median": "write np.sort(x)[n // 2] for a vector of odd length n",
    "ptp": "write np.max(x) - np.min(x)",
    "diff": "write x[1:] - x[:-1] for a vector, x[:, 1:] - x[:, :-1] for a matrix",
    "matrix_transpose": "write np.swapaxes(x, -1, -2)",
    "array_split": "write slices, such as x[:n] and x[n:]",
    "hsplit": "write np.split(x, sections, axis=1)",
    "vsplit": "write np.split(x, sections)",
    "dstack": "write np.stack([x, y], axis=-1) for matrices",
    "atleast_1d": "write x.reshape(-1)",
    "atleast_2d": "write x[None]",
    "append": "write np.concatenate([x, y]), with [y] for a number",
    "copy": "write +x, or x.detach() for a leaf of its own",
    "cumprod": "write np.cumprod(x)",
    "sort": "write np.sort(x)",
    "float_power": "write x ** y",
    "fmax": "write np.maximum",
    "fmin": "write np.minimum",
    "fabs": "write np.abs",
}

# Functions whose results don't change smoothly with x, so nobody asks for their derivative.
_TESTS = {"array_equiv", "isin", "signbit"}
_ORDER = {"argpartition", "lexsort"}
_POSITIONS = {"argwhere", "digitize", "flatnonzero", "nonzero", "searchsorted"}
_COUNTS = {"bincount", "histogram", "unique"}
_TEXT_AND_FILES = {"array_repr", "array_str", "save", "savetxt"}
_WITHOUT_DERIVATIVE = frozenset(_TESTS | _ORDER | _POSITIONS | _COUNTS | _TEXT_AND_FILES)


def instead_of(name: str) -> str:
    """What to write instead of NumPy's function or method `name`, to stand behind a colon."""
    last = name.rpartition(".")[2]
    if last in _WITHOUT_DERIVATIVE:
        return "it has no derivative, so give it the numbers alone, x.data in place of x"
    if last in _INSTEAD:
        return _INSTEAD[last]
    return (
        "write it with functions that are supported (help(microgd.operations) and "
        "help(microgd.numpy_functions) list them), "
        "or add it with microgd.operation; where no derivative is needed, use x.data"
    )
