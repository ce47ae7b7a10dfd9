"""Data to learn from: MNIST's handwritten digits, mini-batches, and text labels as numbers."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd.arrays import as_plain_array
from microgd.checks import check_count, check_labels, check_list, check_type
from microgd.storage import StrPath

Rng: TypeAlias = np.random.Generator | None

# The SHA-256 of MNIST's four files by name, as they are downloaded, gzipped, and of what is in them.
_SHA256 = dict(
    line.split()[::-1] for line in Path(__file__).with_name("mnist.sha256").read_text().splitlines()
)
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


class Examples(NamedTuple):
    """Images with their labels: x is float32 in [0, 1], (n, 784), the 28 × 28 pixels row by row; y is int64, (n,)."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]


class Digits(NamedTuple):
    """Handwritten digits to train with and others to test with: `(x, y), (x_test, y_test) = data.digits()`."""

    train: Examples
    test: Examples


def digits() -> Digits:
    """A sample of MNIST that comes with the package: of each digit, 600 images to train with and 100 to test with."""
    return _read_folder(Path(__file__).with_name("sample"), check=False)


def mnist(folder: StrPath | None = None) -> Digits:
    """All of MNIST, 60,000 images to train with and 10,000 to test with.

    Read from the four IDX files in `folder`, gzipped or not (`FileNotFoundError` where one is missing); else downloaded
    once into a cache, which takes 11 MB and the package pooch. A file that is not what it should be is a `ValueError`.
    """
    return _read_folder(_download() if folder is None else folder, check=True)


def _download() -> Path:
    """The folder with the downloaded files; those that are there already are only checked."""
    try:
        import pooch
    except ModuleNotFoundError:
        hint = "pip install pooch tqdm, or give the folder that the files are in"
        raise ModuleNotFoundError(f"downloading MNIST takes the package pooch: {hint}") from None

    cache: Path = pooch.os_cache("microgd")
    for name in (name for name in _SHA256 if name.endswith(".gz")):
        failures = []
        for mirror in _MIRRORS:
            try:
                pooch.retrieve(
                    f"{mirror}{name}",
                    f"sha256:{_SHA256[name]}",
                    name,
                    cache,
                    progressbar=bool(find_spec("tqdm")),
                )
                break
            except (OSError, ValueError) as error:  # no answer, or an answer with another checksum
                failures.append(f"{mirror}: {error}")
        else:
            raise OSError(f"could not download {name}:\n" + "\n".join(failures))
    return cache


def _read_folder(path: StrPath, check: bool) -> Digits:
    folder, parts = Path(path), []
    for part in ("train", "t10k"):
        images = _read_idx(folder, f"{part}-images-idx3-ubyte", check)
        labels = _read_idx(folder, f"{part}-labels-idx1-ubyte", check)
        x = images.reshape(len(images), -1).astype(np.float32)
        x /= 255
        parts.append(Examples(x, labels.astype(np.int64)))
    return Digits(*parts)


def _read_idx(folder: Path, name: str, check: bool) -> NDArray[np.uint8]:
    """The bytes in a file in MNIST's format: two zeros, 8 for bytes, the number of axes, their lengths, the content."""
    import gzip
    import hashlib
    import zlib

    packed, plain = folder / f"{name}.gz", folder / name
    path = packed if packed.exists() else plain
    if not path.exists():
        raise FileNotFoundError(f"there is neither {name}.gz nor {name} in {folder}")
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if path is packed else content
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error
    axes = 3 if "images" in name else 1
    lengths = np.frombuffer(content[4 : 4 + 4 * axes].ljust(4 * axes, b"\0"), ">u4")
    if content[:4] != bytes([0, 0, 8, axes]) or len(content) != 4 + 4 * axes + np.prod(
        lengths, dtype=np.int64
    ):
        raise ValueError(
            f"{path} is not an IDX file of {'images' if axes == 3 else 'labels'}, or not a whole one"
        )
    if check and hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise ValueError(f"{path} is not MNIST's {name}: its content has another SHA-256")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(lengths)


class Minibatches:
    """The examples in mini-batches (x, y): a pass over them each time it is looped over, as an epoch after another."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], size: int, rng: Rng) -> None:
        self._x, self._y, self._size, self._rng = x, y, size, rng
        self._next_order: NDArray[np.int64] | None = self._draw()  # the first is drawn at once
        self._pass: Iterator[tuple[NDArray[Any], NDArray[Any]]] | None = None

    def _draw(self) -> NDArray[np.int64]:
        """The order of the examples in a pass."""
        if self._rng is None:
            return np.arange(len(self._x))
        return self._rng.permutation(len(self._x))

    def _batches(self, order: NDArray[np.int64]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        for start in range(0, len(order), self._size):
            chosen = order[start : start + self._size]
            yield self._x[chosen], self._y[chosen]

    def __iter__(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        order = self._next_order
        if order is None:
            order = self._draw()
        self._next_order = None
        self._pass = self._batches(order)
        return self._pass

    def __next__(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The next mini-batch of the pass that has been begun."""
        return next(iter(self) if self._pass is None else self._pass)

    def __len__(self) -> int:
        """How many mini-batches a pass has."""
        return -(-len(self._x) // self._size)


def minibatches(x: ArrayLike, y: ArrayLike, size: int, rng: Rng = None) -> Minibatches:
    """The examples in mini-batches (x, y) of `size`, the last one smaller if need be.

    In an order that `rng` draws, anew for each loop over them; without it, in the order they have.
    `ValueError` at once where there are no examples, or not as many x as y.

    >>> batches = minibatches([1, 2, 3], [0, 1, 0], 2)
    >>> [x.tolist() for epoch in range(2) for x, y in batches]
    [[1, 2], [3], [1, 2], [3]]
    """
    x, y = as_plain_array(x), as_plain_array(y)
    if not x.ndim or x.shape[:1] != y.shape[:1]:
        raise ValueError(
            f"expected as many labels as examples, but got examples of shape {x.shape} and labels of {y.shape}"
        )
    if not len(x):
        raise ValueError("expected at least one example, but got none")
    size = check_count("batch size", size, 1)
    return Minibatches(x, y, size, None if rng is None else check_rng(rng))


def check_rng(rng: Rng) -> np.random.Generator:
    """The random generator; a new one, with a seed that nobody knows, for None."""
    check_type(
        "rng to be a generator such as np.random.default_rng(0)", np.random.Generator | None, rng
    )
    return np.random.default_rng() if rng is None else rng


class Encoded(NamedTuple):
    """Text labels as numbers: `names[label]` is the text."""

    labels: NDArray[np.int64]
    names: list[str]


def encode_labels(texts: Sequence[str]) -> Encoded:
    """Number the different texts in alphabetical order, since a network computes with numbers only.

    >>> labels, names = encode_labels(["cat", "dog", "cat"])
    >>> labels.tolist(), names
    ([0, 1, 0], ['cat', 'dog'])
    """
    names, labels = np.unique(
        np.array(check_list("labels", texts, str, "text"), object), return_inverse=True
    )
    return Encoded(labels.astype(np.int64), list(map(str, names)))


def one_hot(labels: ArrayLike, classes: int) -> NDArray[np.float32]:
    """For each label a row of `classes` numbers, 1 at the label and 0 elsewhere; float32, (n, classes).

    >>> one_hot([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    classes = check_count("number of classes", classes, 0)
    return np.eye(classes, dtype=np.float32)[check_labels(labels, np.size(labels), classes)]
