"""Data to learn from: MNIST's handwritten digits, mini-batches, and text labels as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd.arrays import as_plain_array
from microgd.checks import check_count, check_labels, check_list, check_type
from microgd.storage import StrPath

__all__ = [
    "Digits",
    "Encoded",
    "Examples",
    "Minibatches",
    "digits",
    "encode_labels",
    "minibatches",
    "mnist",
    "one_hot",
]

Rng = np.random.Generator | None


def _read_checksums() -> dict[str, str]:
    """The SHA-256 of MNIST's four files by name: of each as it is downloaded, and unpacked."""
    lines = Path(__file__).with_name("mnist.sha256").read_text().splitlines()
    checksums = {}
    for line in lines:
        checksum, name = line.split()
        checksums[name] = checksum
    return checksums


_SHA256 = _read_checksums()
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


class Examples(NamedTuple):
    """Images and their labels.

    x is float32 in [0, 1], of shape (n, 784): the 28 × 28 pixels of each image, row by row.
    y is int64, of shape (n,).
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]


class Digits(NamedTuple):
    """Handwritten digits to train with, and others to test with.

    To unpack them: `(x, y), (x_test, y_test) = data.digits()`.
    """

    train: Examples
    test: Examples


def digits() -> Digits:
    """A sample of MNIST that comes with the package.

    For each digit there are 600 images to train with and 100 to test with.
    """
    return _read_folder(Path(__file__).with_name("sample"), check=False)


def mnist(folder: StrPath | None = None) -> Digits:
    """All of MNIST, 60,000 images to train with and 10,000 to test with.

    With a `folder`, its four IDX files are read, gzipped or not (`FileNotFoundError` if one is
    missing). Without one, the files are downloaded once into a cache, which takes 11 MB and the
    package pooch. A file with the wrong content is a `ValueError`.
    """
    return _read_folder(_download() if folder is None else folder, check=True)


def _download() -> Path:
    """The folder with the downloaded files; those that are already there are only checked."""
    try:
        import pooch
    except ModuleNotFoundError:
        hint = "pip install pooch tqdm, or give the folder that the files are in"
        raise ModuleNotFoundError(f"downloading MNIST takes the package pooch: {hint}") from None

    cache: Path = pooch.os_cache("microgd")
    for name in _SHA256:
        if name.endswith(".gz"):
            _download_file(name, cache)
    return cache


def _download_file(name: str, folder: Path) -> None:
    """Download one file from the first mirror that has it, unless it is already there."""
    import pooch

    checksum = f"sha256:{_SHA256[name]}"
    has_tqdm = bool(find_spec("tqdm"))
    failures = []
    for mirror in _MIRRORS:
        try:
            pooch.retrieve(f"{mirror}{name}", checksum, name, folder, progressbar=has_tqdm)
            return
        except (OSError, ValueError) as error:  # no answer, or a file with another checksum
            failures.append(f"{mirror}: {error}")
    raise OSError(f"could not download {name}:\n" + "\n".join(failures))


def _read_folder(path: StrPath, check: bool) -> Digits:
    folder = Path(path)
    parts = []
    for part in ("train", "t10k"):
        images = _read_idx(folder, f"{part}-images-idx3-ubyte", check)
        labels = _read_idx(folder, f"{part}-labels-idx1-ubyte", check)
        x = images.reshape(len(images), -1).astype(np.float32)
        x /= 255
        parts.append(Examples(x, labels.astype(np.int64)))
    return Digits(*parts)


def _read_idx(folder: Path, name: str, check: bool) -> NDArray[np.uint8]:
    """The array of bytes in a file of MNIST's format, IDX; with `check`, only if it is MNIST's.

    Such a file consists of two zeros, an 8 for bytes, the number of axes, their lengths, and the
    content.
    """
    import hashlib

    path, file_bytes = _read_unzipped(folder, name)
    is_of_images = "images" in name
    axes = 3 if is_of_images else 1
    header_size = 4 + 4 * axes
    # A file that is cut off may lack some of the lengths: they are read as 0, and refused below.
    bytes_of_lengths = file_bytes[4:header_size].ljust(4 * axes, b"\0")
    lengths = np.frombuffer(bytes_of_lengths, ">u4")
    content_size = len(file_bytes) - header_size
    is_idx = file_bytes[:4] == bytes([0, 0, 8, axes])
    if not is_idx or content_size != np.prod(lengths, dtype=np.int64):
        what = "images" if is_of_images else "labels"
        raise ValueError(f"{path} is not an IDX file of {what}, or not a whole one")
    if check and hashlib.sha256(file_bytes).hexdigest() != _SHA256[name]:
        raise ValueError(f"{path} is not MNIST's {name}: its content has another SHA-256")
    return np.frombuffer(file_bytes, np.uint8, offset=header_size).reshape(lengths)


def _read_unzipped(folder: Path, name: str) -> tuple[Path, bytes]:
    """The path of the file that is there, gzipped or not, and its bytes, unzipped."""
    import gzip
    import zlib

    gzipped = folder / f"{name}.gz"
    plain = folder / name
    if gzipped.exists():
        file_bytes = gzipped.read_bytes()
        try:
            return gzipped, gzip.decompress(file_bytes)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{gzipped} is not a whole gzip file: {error}") from error
    if not plain.exists():
        raise FileNotFoundError(f"there is neither {name}.gz nor {name} in {folder}")
    return plain, plain.read_bytes()


class Minibatches:
    """The examples in mini-batches (x, y); each loop over them is one pass, that is, an epoch."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], size: int, rng: Rng) -> None:
        self._x = x
        self._y = y
        self._size = size
        self._rng = rng
        self._next_order: NDArray[np.int64] | None = self._draw_order()  # the first is drawn now
        self._current_pass: Iterator[tuple[NDArray[Any], NDArray[Any]]] | None = None

    def _draw_order(self) -> NDArray[np.int64]:
        """The order of the examples in one pass."""
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
            order = self._draw_order()
        self._next_order = None
        self._current_pass = self._batches(order)
        return self._current_pass

    def __next__(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The next mini-batch of the current pass, or the first one of a new pass."""
        return next(iter(self) if self._current_pass is None else self._current_pass)

    def __len__(self) -> int:
        """How many mini-batches a pass has."""
        return -(-len(self._x) // self._size)


def minibatches(x: ArrayLike, y: ArrayLike, size: int, rng: Rng = None) -> Minibatches:
    """The examples in mini-batches (x, y) of `size`, of which the last may be smaller.

    With `rng`, a `numpy.random.Generator`, each loop over them draws a new order; without it, they
    keep the order they have. `ValueError` at once if there are no examples, or not as many x as y.

    >>> batches = minibatches([1, 2, 3], [0, 1, 0], 2)
    >>> [x.tolist() for epoch in range(2) for x, y in batches]
    [[1, 2], [3], [1, 2], [3]]
    """
    x = as_plain_array(x)
    y = as_plain_array(y)
    if not x.ndim or x.shape[:1] != y.shape[:1]:
        raise ValueError(
            "expected as many labels as examples, "
            f"but got examples of shape {x.shape} and labels of {y.shape}"
        )
    if not len(x):
        raise ValueError("expected at least one example, but got none")
    size = check_count("batch size", size, 1)
    return Minibatches(x, y, size, None if rng is None else check_rng(rng))


def check_rng(rng: Rng) -> np.random.Generator:
    """The random generator itself; for None, a new one with an unpredictable seed."""
    expected = "rng to be a generator such as np.random.default_rng(0)"
    check_type(expected, np.random.Generator | None, rng)
    return np.random.default_rng() if rng is None else rng


class Encoded(NamedTuple):
    """Text labels as numbers: `names[label]` is the text."""

    labels: NDArray[np.int64]
    names: list[str]


def encode_labels(texts: Sequence[str]) -> Encoded:
    """Number the different texts in alphabetical order, because a network needs numbers.

    >>> labels, names = encode_labels(["cat", "dog", "cat"])
    >>> labels.tolist(), names
    ([0, 1, 0], ['cat', 'dog'])
    """
    checked = check_list("labels", texts, str, "text")
    names, labels = np.unique(np.array(checked, object), return_inverse=True)
    return Encoded(labels.astype(np.int64), list(map(str, names)))


def one_hot(labels: ArrayLike, classes: int) -> NDArray[np.float32]:
    """For each label a row of `classes` numbers, 1 at the label and 0 elsewhere.

    The result is float32, of shape (n, classes).

    >>> one_hot([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    classes = check_count("number of classes", classes, 0)
    rows = np.eye(classes, dtype=np.float32)
    return rows[check_labels(labels, np.size(labels), classes)]
