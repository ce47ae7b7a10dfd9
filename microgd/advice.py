"""What to write instead of a NumPy function or method that has no derivative rule."""

# NumPy's name of a function or method, and what to write instead, which has a derivative.
_INSTEAD = {
    "dot": "write x @ y, or x * y with a number",
    "vdot": "write x @ y for vectors",
    "inner": "write x @ y.T",
    "outer": "write x[:, None] * y for vectors",
    "tensordot": "write x @ y, with reshape and transpose before it",
    "einsum": "write @, or a product and sum(axis=...)",
    "norm": "write np.sqrt(np.sum(x**2, axis=...)), whose slope at 0 is nan",
    "trace": "write np.sum(x * np.eye(n))",
    "diagonal": "write x[np.arange(n), np.arange(n)]",
    "diag": "write x[np.arange(n), np.arange(n)], or x * np.eye(n) to make a matrix",
    "std": "write np.sqrt(np.var(x, axis=...)), whose slope at 0 is nan",
    "average": "write np.mean(x), or np.sum(x * weights) / np.sum(weights)",
    "median": "write x[np.argsort(x.data)[n // 2]] for a vector of odd length n",
    "prod": "write x[0] * x[1] * ..., or np.exp(np.sum(np.log(x))) for positive numbers",
    "cumsum": "write np.tril(np.ones((n, n))) @ x for a vector",
    "diff": "write x[1:] - x[:-1] for a vector, x[:, 1:] - x[:, :-1] for a matrix",
    "sort": "write x[np.argsort(x.data)] for a vector",
    "expand_dims": "write x[None], or x[:, None]",
    "swapaxes": "write np.transpose(x, axes)",
    "moveaxis": "write np.transpose(x, axes)",
    "matrix_transpose": "write np.transpose(x, axes)",
    "repeat": "write x[np.repeat(np.arange(len(x)), n)] for a vector",
    "tile": "write np.concatenate([x] * n) for a vector",
    "flip": "write x[::-1] for a vector, x[::-1, ::-1] for a matrix",
    "roll": "write np.concatenate([x[-n:], x[:-n]]) for a vector",
    "split": "write slices, such as x[:n] and x[n:]",
    "array_split": "write slices, such as x[:n] and x[n:]",
    "take": "write x[indices] for a vector, x[:, indices] along another axis",
    "take_along_axis": "write x[np.arange(n), indices]",
    "vstack": "write np.stack([x, y]) for vectors, np.concatenate([x, y]) for matrices",
    "hstack": "write np.concatenate([x, y], axis=-1)",
    "column_stack": (
        "write np.stack([x, y], axis=1) for vectors, np.concatenate([x, y], axis=1) for matrices"
    ),
    "dstack": "write np.stack([x, y], axis=-1) for matrices",
    "atleast_1d": "write x.reshape(-1)",
    "atleast_2d": "write x[None]",
    "append": "write np.concatenate([x, y]), with [y] for a number",
    "tril": "write x * np.tril(np.ones((n, n)))",
    "triu": "write x * np.triu(np.ones((n, n)))",
    "copy": "write +x, or x.detach() for a leaf of its own",
    "reciprocal": "write 1 / x",
    "cbrt": "write np.sign(x) * np.abs(x) ** (1 / 3)",
    "float_power": "write x ** y",
    "hypot": "write np.sqrt(x**2 + y**2)",
    "fmax": "write np.maximum",
    "fmin": "write np.minimum",
    "fabs": "write np.abs",
}

# Functions whose results don't change smoothly with x, so nobody asks for their derivative.
_TESTS = {"all", "allclose", "any", "array_equal", "array_equiv", "isclose", "isin", "signbit"}
_LOGIC = {"logical_and", "logical_not", "logical_or", "logical_xor"}
_EXTREMES_AND_ORDER = {"argmax", "argmin", "argpartition", "argsort"}
_POSITIONS = {"argwhere", "digitize", "flatnonzero", "nonzero", "searchsorted"}
_COUNTS = {"bincount", "count_nonzero", "histogram", "unique"}
_TEXT_AND_FILES = {"array_repr", "array_str", "save", "savetxt"}
_WITHOUT_DERIVATIVE = frozenset(
    _TESTS | _LOGIC | _EXTREMES_AND_ORDER | _POSITIONS | _COUNTS | _TEXT_AND_FILES
)


def instead_of(name: str) -> str:
    """What to write instead of NumPy's function or method `name`, to stand behind a colon."""
    last = name.rpartition(".")[2]
    if last in _WITHOUT_DERIVATIVE:
        return "it has no derivative, so give it the numbers alone, x.data in place of x"
    if last in _INSTEAD:
        return _INSTEAD[last]
    return (
        "write it with functions that are supported (help(microgd.operations) lists them), "
        "or add it with microgd.operation; where no derivative is needed, use x.data"
    )
