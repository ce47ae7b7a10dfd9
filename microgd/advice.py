"""What to write in place of a function or a method of NumPy's that has no derivative rule."""

# What has a derivative, by the name that NumPy has for it.
_INSTEAD = {
    "dot": "write x @ y",
    "vdot": "write x @ y",
    "inner": "write x @ y of vectors, or x @ y.T",
    "outer": "write x[:, None] * y",
    "tensordot": "write x @ y, with reshape and transpose before it",
    "einsum": "write @, or a product and sum(axis=...)",
    "norm": "write np.sqrt(np.sum(x**2))",
    "trace": "write np.sum(x * np.eye(n))",
    "diagonal": "write x[np.arange(n), np.arange(n)]",
    "diag": "write x[np.arange(n), np.arange(n)], or x * np.eye(n) to make a matrix",
    "std": "write np.sqrt(np.var(x))",
    "average": "write np.mean(x), or np.sum(x * weights) / np.sum(weights)",
    "median": "write x[np.argsort(x.data)[n // 2]], for an odd n",
    "prod": "write x[0] * x[1] * ..., or np.exp(np.sum(np.log(x))) of positive numbers",
    "cumsum": "write np.tril(np.ones((n, n))) @ x",
    "diff": "write x[1:] - x[:-1]",
    "sort": "write x[np.argsort(x.data)]",
    "expand_dims": "write x[None], or x[:, None]",
    "swapaxes": "write np.transpose(x, axes)",
    "moveaxis": "write np.transpose(x, axes)",
    "repeat": "write x[np.repeat(np.arange(len(x)), n)]",
    "tile": "write np.concatenate([x] * n), or np.broadcast_to",
    "flip": "write x[::-1]",
    "roll": "write np.concatenate([x[-n:], x[:-n]])",
    "split": "write slices, such as x[:n] and x[n:]",
    "array_split": "write slices, such as x[:n] and x[n:]",
    "take": "write x[indices]",
    "take_along_axis": "write x[np.arange(n), indices]",
    "vstack": "write np.stack for vectors, np.concatenate for matrices",
    "hstack": "write np.concatenate",
    "column_stack": "write np.stack([...], axis=1) for vectors",
    "dstack": "write np.stack([...], axis=2)",
    "atleast_1d": "write x.reshape(-1)",
    "atleast_2d": "write x[None]",
    "append": "write np.concatenate",
    "tril": "write x * np.tril(np.ones((n, n)))",
    "triu": "write x * np.triu(np.ones((n, n)))",
    "copy": "write +x, or x.detach() for a leaf of its own",
    "matrix_transpose": "write np.transpose(x, axes)",
    "reciprocal": "write 1 / x",
    "cbrt": "write np.sign(x) * np.abs(x) ** (1 / 3)",
    "float_power": "write x ** y",
    "hypot": "write np.sqrt(x**2 + y**2)",
    "fmax": "write np.maximum",
    "fmin": "write np.minimum",
    "fabs": "write np.abs",
    "true_divide": "write x / y",
}
# What is no number that changes smoothly with x: nobody asks for its derivative.
_OF_DATA = frozenset(
    {
        *("all", "allclose", "any", "argmax", "argmin", "argpartition", "argsort", "argwhere"),
        *("array_equal", "array_equiv", "array_repr", "array_str", "bincount", "count_nonzero"),
        *("digitize", "flatnonzero", "histogram", "isclose", "isin", "logical_and", "logical_not"),
        *("logical_or", "logical_xor", "nonzero", "save", "savetxt", "searchsorted", "signbit"),
        *("unique",),
    }
)


def instead_of(name: str) -> str:
    """The advice for NumPy's function or method of this name, to stand behind a colon."""
    last = name.rpartition(".")[2]
    if last in _OF_DATA:
        return f"it has no derivative, so give it the numbers alone, as in np.{last}(x.data)"
    if last in _INSTEAD:
        return _INSTEAD[last]
    return (
        "write it with functions that are supported (help(microgd.operations) lists them), or add it "
        "with microgd.operation; x.data is for where no derivative is wanted"
    )
