"""Data to learn from: digits and other images, mini-batches, labels as numbers, features scaled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microgd.arrays import as_data, as_plain_array, shown
from microgd.checks import check_count, check_labels, check_list, check_type
from microgd.storage import StrPath

__all__ = [
    "Digits",
    "Encoded",
    "Examples",
    "Minibatches",
    "digits",
    "encode_labels",
    "idx",
    "minibatches",
    "mnist",
    "one_hot",
    "standardize",
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

    x is float32 in [0, 1], of shape (n, pixels): for MNIST, the 28 × 28 = 784 pixels of each image,
    row by row. y is int64, of shape (n,).
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]


class Digits(NamedTuple):
    """Images to train with, and others to test with.

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

    With a `folder`, its four files are read; `idx` says under which names they are found. Without
    one, they are downloaded once (11 MB) into a cache; this needs the package pooch. A file with
    the wrong content is a `ValueError`, a missing one is a `FileNotFoundError`.
    """
    return _read_folder(_download() if folder is None else folder, check=True)


def idx(folder: StrPath) -> Digits:
    """A data set in MNIST's format, such as Fashion-MNIST, from the four files in a folder.

    Each is called as in MNIST: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the same
    with `t10k` for those to test with. It may be gzipped (`.gz`). It may have a dot in place of the
    hyphen before `idx` (`train-images.idx3-ubyte`). It may be in a folder of that name, as Kaggle
    packs it. If there are several, a file in the folder itself comes before one in a folder further
    down, a hyphen before a dot, and a gzipped file before an unpacked one.

    Only the structure is checked: whole files, as many labels as images, at least one image, and
    all images of the same size; anything else is a `ValueError`. A missing file or folder is a
    `FileNotFoundError`.
    """
    return _read_folder(folder, check=False)


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
    """The images and labels in a folder's four files; with `check`, only if they are MNIST's."""
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    train, size = _read_part(folder, "train", check)
    test, test_size = _read_part(folder, "t10k", check)
    if test_size != size:
        raise ValueError(
            f"expected test images of the same size as the training images, {size}, "
            f"but got {test_size}, in {folder}"
        )
    return Digits(train, test)


def _read_part(folder: Path, part: str, check: bool) -> tuple[Examples, tuple[int, ...]]:
    """The images and labels to train or to test with, and the size of each image."""
    images = _read_idx(folder, f"{part}-images-idx3-ubyte", check)
    labels = _read_idx(folder, f"{part}-labels-idx1-ubyte", check)
    if len(images) != len(labels):
        raise ValueError(
            f"expected as many labels as images, but {part} has {len(images)} images and "
            f"{len(labels)} labels, in {folder}"
        )
    if not images.size:
        raise ValueError(
            "expected at least one image, with at least one pixel, "
            f"but {part} has images of shape {images.shape}, in {folder}"
        )
    x = images.reshape(len(images), -1).astype(np.float32)
    x /= 255
    return Examples(x, labels.astype(np.int64)), images.shape[1:]


def _read_idx(folder: Path, name: str, check: bool) -> NDArray[np.uint8]:
    """The array of bytes in a file of MNIST's format, IDX; with `check`, only if it is MNIST's.

    Such a file consists of two zeros, an 8 for bytes, the number of axes, their lengths, and the
    content.
    """
    import hashlib

    path = _find(folder, name)
    file_bytes = _read_unzipped(path)
    is_of_images = "images" in name
    axes = 3 if is_of_images else 1
    header_size = 4 + 4 * axes
    # A file that is cut off may lack some of the lengths: they are read as 0, and refused below.
    bytes_of_lengths = file_bytes[4:header_size].ljust(4 * axes, b"\0")
    lengths = np.frombuffer(bytes_of_lengths, ">u4").tolist()
    content_size = len(file_bytes) - header_size
    is_idx = file_bytes[:4] == bytes([0, 0, 8, axes])
    if not is_idx or content_size != prod(lengths):
        what = "images" if is_of_images else "labels"
        raise ValueError(f"{path} is not an IDX file of {what}, or not a whole one")
    if check and hashlib.sha256(file_bytes).hexdigest() != _SHA256[name]:
        raise ValueError(f"{path} is not MNIST's {name}: its content has another SHA-256")
    return np.frombuffer(file_bytes, np.uint8, offset=header_size).reshape(lengths)


def _find(folder: Path, name: str) -> Path:
    """The path of the file with this name, or with one of the other names that `idx` promises."""
    names = (name, name.replace("-idx", ".idx"))
    for place in (folder, *(folder / each for each in names)):
        for each in names:
            for path in (place / f"{each}.gz", place / each):
                if path.is_file():
                    return path
    raise FileNotFoundError(
        f"there is neither {names[0]} nor {names[1]} in {folder}, gzipped (.gz) or not, "
        "and not in a folder of one of these names either"
    )


def _read_unzipped(path: Path) -> bytes:
    """The bytes in a file, unzipped if its name ends with .gz."""
    import gzip
    import zlib

    file_bytes = path.read_bytes()
    if path.suffix != ".gz":
        return file_bytes
    try:
        return gzip.decompress(file_bytes)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error


class Minibatches:
    """The examples in mini-batches (x, y); each loop over them is one pass, that is, an epoch."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], batch_size: int, rng: Rng) -> None:
        self._x = x
        self._y = y
        self._batch_size = batch_size
        self._rng = rng
        self._next_order: NDArray[np.int64] | None = self._draw_order()  # the first is drawn now
        self._current_pass: Iterator[tuple[NDArray[Any], NDArray[Any]]] | None = None

    def _draw_order(self) -> NDArray[np.int64]:
        """The order of the examples in one pass."""
        if self._rng is None:
            return np.arange(len(self._x))
        return self._rng.permutation(len(self._x))

    def _batches(self, order: NDArray[np.int64]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            yield self._x[chosen], self._y[chosen]

    def __iter__(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        order = self._next_order
        if order is None:
            order = self._draw_order()
        self._next_order = None
        self._current_pass = self._batches(order)
        return self._current_pass

    def __next__(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The next mini-batch of the current pass; the first call starts one."""
        return next(iter(self) if self._current_pass is None else self._current_pass)

    def __len__(self) -> int:
        """How many mini-batches a pass has."""
        return -(-len(self._x) // self._batch_size)


def minibatches(
    x: ArrayLike,
    y: ArrayLike,
    batch_size: int | None = None,
    rng: Rng = None,
    *,
    size: int | None = None,
) -> Minibatches:
    """The examples in mini-batches (x, y) of `batch_size`, of which the last may be smaller.

    With `rng`, a `numpy.random.Generator`, each loop over them draws a new order; without it, they
    keep the order they have. `ValueError` at once if there are no examples, or not as many x as y.
    `size` is an old name for `batch_size`; one of the two is needed.

    >>> batches = minibatches([1, 2, 3], [0, 1, 0], 2)
    >>> [x.tolist() for epoch in range(2) for x, y in batches]
    [[1, 2], [3], [1, 2], [3]]
    """
    if batch_size is None:
        batch_size = size
    elif size is not None:
        raise TypeError(
            "expected one batch size, but got "
            f"batch_size={shown(batch_size)} and size={shown(size)}, its old name"
        )
    x = as_plain_array(x)
    y = as_plain_array(y)
    if not x.ndim or x.shape[:1] != y.shape[:1]:
        raise ValueError(
            "expected as many labels as examples, "
            f"but got examples of shape {x.shape} and labels of {y.shape}"
        )
    if not len(x):
        raise ValueError("expected at least one example, but got none")
    batch_size = check_count("batch size", batch_size, 1)
    return Minibatches(x, y, batch_size, None if rng is None else check_rng(rng))


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
    integers = check_labels(labels, np.size(labels), classes)
    is_label = integers[:, None] == np.arange(classes)
    rows: NDArray[np.float32] = is_label.astype(np.float32)
    return rows


def standardize(
    train: ArrayLike, test: ArrayLike
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Both parts with each column scaled to a mean of 0 and a standard deviation of 1 in `train`.

    Features of very different sizes, such as grams and millimetres, make a narrow valley of the
    loss, in which gradient descent crawls. `test` is scaled by the mean and the standard deviation
    of `train`, since a network must not learn from what it is tested with. A column that is
    constant in `train` says nothing, and becomes 0 in both.

    Takes arrays (n, features) and returns the new pair, in the dtype of the input; integers and
    booleans become float64. The standard deviation is the population's, as `numpy.std`
    computes it. No examples, another shape, or a column of `train` with nan or infinity are a
    `ValueError`.

    >>> train, test = standardize([[1, 5], [3, 5]], [[4, 6]])
    >>> train.tolist(), test.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0]])
    """
    x = _features("train", train)
    x_test = _features("test", test)
    if x.shape[1] != x_test.shape[1]:
        raise ValueError(
            f"expected as many columns in test as in train, {x.shape[1]}, but got {x_test.shape[1]}"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        least = x.min(axis=0).astype(np.float64)
        most = x.max(axis=0).astype(np.float64)
        width = most - least
    _check_finite(width, least, most)
    # A constant column has the width 0. Dividing by 1 instead avoids 0 / 0.
    is_constant = width == 0
    width[is_constant] = 1.0
    # Moving and stretching a column does not change the result. So each is first put between 0 and
    # 1, where no square can overflow, or become 0.
    unit = _moved_and_divided(x, least, width)
    unit_test = _moved_and_divided(x_test, least, width)
    mean = unit.mean(axis=0)
    deviation = unit.std(axis=0)
    deviation[is_constant] = 1.0
    result = _moved_and_divided(unit, mean, deviation)
    result_test = _moved_and_divided(unit_test, mean, deviation)
    result_test[:, is_constant] = 0.0  # `test` may differ where `train` is constant
    return result.astype(x.dtype), result_test.astype(x_test.dtype)


def _moved_and_divided(
    x: NDArray[Any], origin: NDArray[Any], unit: NDArray[Any]
) -> NDArray[np.float64]:
    """(x - origin) / unit in float64, with only one array made for it."""
    result = x.astype(np.float64)
    result -= origin
    result /= unit
    return result


def _features(name: str, x: ArrayLike) -> NDArray[Any]:
    """An array of floats, with an example in each row; `ValueError` for any other shape."""
    array = np.asarray(as_data(x))
    if array.ndim == 2 and len(array):
        return array
    hint = f": {name}[:, None] makes it a column" if array.ndim == 1 and len(array) else ""
    raise ValueError(
        f"expected {name} to have shape (examples, features), with at least one example, "
        f"but got shape {array.shape}{hint}"
    )


def _check_finite(width: NDArray[Any], least: NDArray[Any], most: NDArray[Any]) -> None:
    """A `ValueError` for the first column whose numbers are not finite, or too far apart."""
    broken = np.flatnonzero(~np.isfinite(width))
    if not len(broken):
        return
    column = broken[0]
    if np.isnan(least[column]):
        problem = "has nan in it"
    else:
        problem = f"goes from {least[column]} to {most[column]}"
    raise ValueError(
        f"expected finite numbers in train, but its column {column}, train[:, {column}], {problem}"
    )
