"""Data: the sample in the package, MNIST's files and their download, mini-batches and labels."""

import gzip
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_faults import longest_file

from microgd import Value, data

MNIST = Path(__file__).parents[2] / "shared" / "mnist"
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
unhurried = settings(deadline=None)  # on a busy machine an example may take long


def assert_same_digits(got, expected):
    for part, reference in zip(got, expected, strict=True):
        np.testing.assert_array_equal(part.x, reference.x, strict=True)
        np.testing.assert_array_equal(part.y, reference.y, strict=True)


# ── The sample in the package ─────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def digits():
    return data.digits()


@pytest.mark.parametrize(("part", "each"), [("train", 600), ("test", 100)])
def test_the_sample_has_as_many_images_of_each_digit(digits, part, each):
    assert np.bincount(getattr(digits, part).y).tolist() == [each] * 10


@pytest.mark.parametrize(("part", "n"), [("train", 6000), ("test", 1000)])
def test_the_sample_has_an_image_of_784_float32_pixels_for_each_int64_label(digits, part, n):
    x, y = getattr(digits, part)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((n, 784), np.float32, (n,), np.int64)


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_samples_pixels_go_from_0_to_1(digits, part):
    x = getattr(digits, part).x
    assert (x.min(), x.max()) == (0.0, 1.0)


def test_the_sample_tests_with_images_that_it_does_not_train_with(digits):
    assert {image.tobytes() for image in digits.train.x}.isdisjoint(
        image.tobytes() for image in digits.test.x
    )


def test_the_samples_files_are_small():
    assert (
        sum(file.stat().st_size for file in (Path(data.__file__).parent / "sample").iterdir())
        <= 1.4e6
    )


def test_the_sample_needs_no_network_and_no_package_for_downloads(digits, monkeypatch):
    def refuse(*_, **__):
        raise OSError("there is no network")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert_same_digits(data.digits(), digits)


def test_writing_into_the_sample_leaves_the_next_one_alone(digits):
    spoiled = data.digits()
    spoiled.train.x[...], spoiled.test.y[...] = 7, 7
    assert_same_digits(data.digits(), digits)


# ── All of MNIST ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def mnist():
    if not MNIST.is_dir():
        pytest.skip("MNIST's four files are not in ../shared/mnist, beside the checkout")
    return data.mnist(MNIST)


def test_mnist_has_70000_images_of_784_pixels(mnist):
    assert [(x.shape, x.dtype, y.shape, y.dtype) for x, y in mnist] == [
        ((n, 784), np.float32, (n,), np.int64) for n in (60_000, 10_000)
    ]


def test_mnists_digits_are_as_frequent_as_its_authors_say(mnist):
    assert [np.bincount(y).tolist() for _, y in mnist] == [
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ]


def test_mnists_pixels_have_the_mean_that_everybody_subtracts(mnist):
    assert mnist.train.x.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)


def test_a_part_of_mnist_may_be_unpacked(mnist, tmp_path):
    for name in NAMES[:2]:
        (tmp_path / f"{name}.gz").symlink_to(MNIST / f"{name}.gz")
    for name in NAMES[2:]:
        (tmp_path / name).write_bytes(gzip.decompress((MNIST / f"{name}.gz").read_bytes()))
    assert_same_digits(data.mnist(str(tmp_path)), mnist)


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_sample_is_a_part_of_mnist(mnist, digits, part):
    labels = {image.tobytes(): label for image, label in zip(*getattr(mnist, part), strict=True)}
    x, y = getattr(digits, part)
    assert [labels.get(image.tobytes()) for image in x] == y.tolist()


# ── Broken files, tried on stand-ins of a few images ──────────────────────────────────────────────


def idx(array):
    """The array in MNIST's format."""
    return (
        bytes([0, 0, 8, array.ndim])
        + np.array(array.shape, ">u4").tobytes()
        + array.astype(np.uint8).tobytes()
    )


def stand_ins():
    """The contents of four files like MNIST's: 9 training and 8 test images of 3 × 2 pixels."""
    rng = np.random.default_rng(0)
    contents = {}
    for part, n in (("train", 9), ("t10k", 8)):
        contents[f"{part}-images-idx3-ubyte"] = idx(rng.integers(256, size=(n, 3, 2)))
        contents[f"{part}-labels-idx1-ubyte"] = idx(rng.integers(10, size=n))
    return contents


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the gzipped stand-ins, which `data` takes for MNIST."""
    folder, digests = tmp_path / "mnist", {}
    folder.mkdir()
    for name, content in stand_ins().items():
        packed = gzip.compress(content, mtime=0)
        (folder / f"{name}.gz").write_bytes(packed)
        digests |= {f"{name}.gz": digest(packed), name: digest(content)}
    monkeypatch.setattr(data, "_SHA256", digests)
    return folder


def unpack(folder, *names):
    for name in names:
        (folder / name).write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        (folder / f"{name}.gz").unlink()


def test_pixels_are_read_row_by_row_as_shares_of_255(folder):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(9, 3, 2)), rng.integers(10, size=9)
    train = data.mnist(folder).train
    np.testing.assert_array_equal(train.y, labels)
    np.testing.assert_allclose(train.x, [image.ravel() / 255 for image in images], rtol=1e-7)


@pytest.mark.parametrize("unpacked", [NAMES, NAMES[:1], NAMES[1:]])
def test_files_may_be_gzipped_or_not(folder, unpacked):
    expected = data.mnist(folder)
    unpack(folder, *unpacked)
    assert_same_digits(data.mnist(folder), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_missing_is_named(folder, name):
    (folder / f"{name}.gz").unlink()
    dotted = name.replace("-idx", r"\.idx")
    for read in (data.mnist, data.idx):
        with pytest.raises(
            FileNotFoundError,
            match=rf"neither {name} nor {dotted} in {folder}, gzipped \(\.gz\) or",
        ):
            read(folder)


@pytest.mark.parametrize("read", [data.mnist, data.idx])
def test_a_folder_that_is_missing_is_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        read(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*file"):
        read(str(tmp_path / "file"))


def refusal(folder, path, content):
    """Why `path` is refused when it holds this content, or None if it is not."""
    path.write_bytes(content)
    try:
        data.mnist(folder)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", NAMES)
def test_a_gzipped_file_that_is_cut_off_anywhere_is_named(folder, name):
    path = folder / f"{name}.gz"
    packed = path.read_bytes()
    reasons = [refusal(folder, path, packed[:length]) for length in range(len(packed))]
    assert [
        length for length, reason in enumerate(reasons) if str(path) not in (reason or "")
    ] == []


def kind(name):
    return "images" if "images" in name else "labels"


@pytest.mark.parametrize("name", NAMES)
def test_an_unpacked_file_that_is_cut_off_anywhere_is_named(folder, name):
    unpack(folder, name)
    path = folder / name
    content = path.read_bytes()
    reasons = {refusal(folder, path, content[:length]) for length in range(len(content))}
    assert reasons == {f"{path} is not an IDX file of {kind(name)}, or not a whole one"}


@pytest.mark.parametrize("name", NAMES)
def test_an_unpacked_file_with_more_than_it_should_have_is_named(folder, name):
    unpack(folder, name)
    path = folder / name
    reason = refusal(folder, path, path.read_bytes() + b"\0")
    assert reason == f"{path} is not an IDX file of {kind(name)}, or not a whole one"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("at", range(4))
def test_a_file_that_does_not_begin_as_idx_files_do_is_named(folder, name, at):
    unpack(folder, name)
    path = folder / name
    content = bytearray(path.read_bytes())
    content[at] += 1
    assert (
        refusal(folder, path, content)
        == f"{path} is not an IDX file of {kind(name)}, or not a whole one"
    )


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("name", NAMES)
def test_an_unpacked_file_with_any_byte_changed_is_named(folder, name, flip):
    unpack(folder, name)
    path = folder / name
    content = path.read_bytes()
    reasons = [
        refusal(folder, path, content[:i] + bytes([content[i] ^ flip]) + content[i + 1 :])
        for i in range(len(content))
    ]
    assert [i for i, reason in enumerate(reasons) if str(path) not in (reason or "")] == []


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("name", NAMES)
def test_a_gzipped_file_with_any_byte_changed_is_named_or_has_lost_nothing(folder, name, flip):
    path, expected = folder / f"{name}.gz", data.mnist(folder)
    packed = path.read_bytes()
    for i in range(len(packed)):
        reason = refusal(folder, path, packed[:i] + bytes([packed[i] ^ flip]) + packed[i + 1 :])
        # gzip's header also holds a time and other fields that do not concern the content.
        if reason is None:
            assert_same_digits(data.mnist(folder), expected)
        else:
            assert str(path) in reason


@pytest.mark.parametrize(("first", "second"), list(combinations(NAMES, 2)))
def test_swapped_files_are_found_out(folder, first, second):
    paths = [folder / f"{name}.gz" for name in (first, second)]
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"({first}|{second}).*is not"):
        data.mnist(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4",
        b"<html>not found</html>",
        gzip.compress(b"", mtime=0),
        gzip.compress(b"text" * 99, mtime=0),
    ],
    # xdist needs the same ids in every process.
    ids=["nothing", "zip", "page", "gzip of nothing", "gzip of text"],
)
def test_a_file_of_another_kind_is_named(folder, content):
    path = folder / "train-labels-idx1-ubyte.gz"
    assert str(path) in refusal(folder, path, content)


# ── Any data set in MNIST's format ────────────────────────────────────────────────────────────────


def put(folder, place, content):
    """Write the content to a place in the folder, gzipped if its name says so."""
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if place.endswith(".gz") else content)


def places(name):
    """Where a file of this name may be, in the order in which it is looked for."""
    dotted = name.replace("-idx", ".idx")
    return [
        f"{parent}{spelling}{suffix}"
        for parent in ("", f"{name}/", f"{dotted}/")
        for spelling in (name, dotted)
        for suffix in (".gz", "")
    ]


@pytest.fixture
def fashion(tmp_path):
    """A folder with four files like MNIST's that are not MNIST's."""
    folder = tmp_path / "fashion"
    folder.mkdir()
    for name, content in stand_ins().items():
        put(folder, name, content)
    return folder


def test_a_data_set_in_mnists_format_is_read_whatever_its_content(fashion):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(9, 3, 2)), rng.integers(10, size=9)
    train, test = data.idx(str(fashion))
    np.testing.assert_array_equal(train.y, labels.astype(np.int64), strict=True)
    np.testing.assert_allclose(train.x, [image.ravel() / 255 for image in images], rtol=1e-7)
    assert (train.x.dtype, test.x.shape, test.y.shape) == (np.float32, (8, 6), (8,))


def test_mnist_refuses_the_content_that_idx_reads(fashion):
    with pytest.raises(
        ValueError, match="train-images-idx3-ubyte: its content has another SHA-256"
    ):
        data.mnist(fashion)


def test_idx_reads_the_sample_in_the_package(digits):
    assert_same_digits(data.idx(Path(data.__file__).with_name("sample")), digits)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", range(12))
def test_a_file_is_found_by_each_of_its_names(folder, name, place):
    expected = data.mnist(folder)
    content = gzip.decompress((folder / f"{name}.gz").read_bytes())
    (folder / f"{name}.gz").unlink()
    put(folder, places(name)[place], content)
    assert_same_digits(data.idx(folder), expected)
    assert_same_digits(data.mnist(folder), expected)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (first, second)
        for first, second in combinations(places(NAMES[1]), 2)
        if not second.startswith(f"{first}/")  # a file, and a folder of the same name
    ],
)
def test_of_two_files_the_one_whose_name_comes_first_is_read(fashion, first, second):
    (fashion / NAMES[1]).unlink()
    put(fashion, first, idx(np.full(9, 1)))
    put(fashion, second, idx(np.full(9, 2)))
    assert data.idx(fashion).train.y.tolist() == [1] * 9


def test_kaggles_folders_of_the_files_names_are_no_files(fashion):
    for name, content in stand_ins().items():
        (fashion / name).unlink()
        put(fashion, f"{name}/{name}", content)
        (fashion / f"{name}.gz").mkdir()
    assert len(data.idx(fashion).train.y) == 9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[:7],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"\1" + content[1:],
        lambda content: content[:2] + b"\x0d" + content[3:],
        lambda content: content[:3] + b"\2" + content[4:],
        lambda content: gzip.compress(content),
    ],
    ids=["empty", "cut header", "cut", "longer", "not 0", "floats", "two axes", "gzipped"],
)
def test_idx_refuses_a_file_that_is_not_of_the_format(fashion, name, change):
    path = fashion / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path} is not an IDX file of {kind(name)}, or not a wh"):
        data.idx(fashion)


def test_idx_refuses_a_gzipped_file_that_is_cut_off(folder):
    path = folder / f"{NAMES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=f"{path} is not a whole gzip file"):
        data.idx(folder)


def test_lengths_whose_product_overflows_are_refused(fashion):
    lengths = np.array([2**31, 2**31, 4], ">u4")  # 2**64 pixels, which is 0 in 64 bits
    (fashion / NAMES[0]).write_bytes(bytes([0, 0, 8, 3]) + lengths.tobytes())
    with pytest.raises(ValueError, match="not a whole one"):
        data.idx(fashion)


@pytest.mark.parametrize(("name", "part"), [(NAMES[1], "train"), (NAMES[3], "t10k")])
@pytest.mark.parametrize("labels", [0, 1, 7, 10])
def test_idx_refuses_another_number_of_labels_than_of_images(fashion, name, part, labels):
    images = 9 if part == "train" else 8
    put(fashion, name, idx(np.zeros(labels)))
    message = rf"{part} has {images} images and {labels} labels, in {fashion}"
    with pytest.raises(ValueError, match=message):
        data.idx(fashion)


@pytest.mark.parametrize("part", ["train", "t10k"])
@pytest.mark.parametrize("shape", [(0, 3, 2), (0, 0, 0), (2, 0, 3), (2, 3, 0)])
def test_idx_refuses_images_of_which_there_are_none(fashion, part, shape):
    put(fashion, f"{part}-images-idx3-ubyte", idx(np.zeros(shape)))
    put(fashion, f"{part}-labels-idx1-ubyte", idx(np.zeros(shape[0])))
    with pytest.raises(ValueError, match=rf"at least one pixel, but {part} has images of shape"):
        data.idx(fashion)


@pytest.mark.parametrize("size", [(2, 3), (3, 3), (6, 1)])
def test_idx_refuses_test_images_of_another_size(fashion, size):
    put(fashion, NAMES[2], idx(np.zeros((8, *size))))
    with pytest.raises(
        ValueError, match=r"size as the training images, \(3, 2\), but got \(\d, \d\)"
    ):
        data.idx(fashion)


# ── The download ──────────────────────────────────────────────────────────────────────────────────


class Mirrors:
    """A local web server. Each folder added to it is a mirror, and it notes every request."""

    def __init__(self, root):
        self.root, self.requests = root, []
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(self.Handler, self.requests, directory=root)
        )
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self.thread.start()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, requests, *arguments, **options):
            self.requests = requests
            super().__init__(*arguments, **options)

        def do_GET(self):
            self.requests.append(self.path)
            super().do_GET()

        def copyfile(self, source, connection):
            content = source.read()
            if self.path.startswith(("/breaks-off/", "/stalls/")):
                connection.write(content[: len(content) // 2])
                if self.path.startswith("/stalls/"):
                    self.connection.recv(1)  # until the client is gone
            else:
                connection.write(content)

        def log_message(self, *_):
            pass

    def add(self, name, contents):
        (self.root / name).mkdir()
        for file, content in contents.items():
            (self.root / name / file).write_bytes(content)
        return f"http://127.0.0.1:{self.server.server_port}/{name}/"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder that downloads go to."""
    pooch = pytest.importorskip("pooch")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "microgd"


@pytest.fixture
def mirrors(tmp_path):
    (tmp_path / "served").mkdir()
    mirrors = Mirrors(tmp_path / "served")
    yield mirrors
    mirrors.close()


@pytest.fixture
def packed(folder):
    """The contents of the four gzipped files, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kept(cache):
    return {path.name: path.read_bytes() for path in cache.iterdir()} if cache.exists() else {}


def unused_address():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/"


def test_what_is_downloaded_is_what_is_read_from_a_folder(
    folder, cache, mirrors, packed, monkeypatch
):
    monkeypatch.setattr(data, "_MIRRORS", (mirrors.add("first", packed),))
    assert_same_digits(data.mnist(), data.mnist(folder))


def test_what_was_downloaded_is_not_downloaded_again(cache, mirrors, packed, monkeypatch):
    monkeypatch.setattr(data, "_MIRRORS", (mirrors.add("first", packed),))
    data.mnist()
    data.mnist()
    assert sorted(mirrors.requests) == sorted(f"/first/{name}" for name in packed)


def test_only_the_files_that_are_missing_are_downloaded(cache, mirrors, packed, monkeypatch):
    monkeypatch.setattr(data, "_MIRRORS", (mirrors.add("first", packed),))
    data.mnist()
    mirrors.requests.clear()
    (cache / f"{NAMES[2]}.gz").unlink()
    data.mnist()
    assert mirrors.requests == [f"/first/{NAMES[2]}.gz"]


def test_a_cached_file_that_has_changed_is_downloaded_again(cache, mirrors, packed, monkeypatch):
    monkeypatch.setattr(data, "_MIRRORS", (mirrors.add("first", packed),))
    data.mnist()
    (cache / f"{NAMES[0]}.gz").write_bytes(b"broken")
    data.mnist()
    assert kept(cache) == packed


@pytest.mark.parametrize("failure", ["no answer", "no such files", "other files"])
def test_where_the_first_mirror_fails_the_second_is_used(
    cache, mirrors, packed, monkeypatch, failure
):
    first = {
        "no answer": unused_address,
        "no such files": lambda: mirrors.add("first", {}),
        "other files": lambda: mirrors.add("first", dict.fromkeys(packed, b"something else")),
    }[failure]()
    monkeypatch.setattr(data, "_MIRRORS", (first, mirrors.add("second", packed)))
    data.mnist()
    assert kept(cache) == packed


def test_where_every_mirror_fails_the_error_names_the_file_and_the_mirrors(
    cache, mirrors, monkeypatch, folder
):
    tried = unused_address(), mirrors.add("second", {})
    monkeypatch.setattr(data, "_MIRRORS", tried)
    with pytest.raises(OSError, match=rf"could not download {NAMES[0]}\.gz") as error:
        data.mnist()
    assert [mirror in str(error.value) for mirror in tried] == [True, True]


DOWNLOADS = {
    "nothing": lambda name, packed: b"",
    "a page": lambda name, packed: b"<!DOCTYPE html><html><title>Sign in</title></html>",
    "a gzipped page": lambda name, packed: gzip.compress(
        b"<!DOCTYPE html><html><title>Sign in</title></html>"
    ),
    "the first half": lambda name, packed: packed[name][: len(packed[name]) // 2],
    "all but a byte": lambda name, packed: packed[name][:-1],
    "a byte more": lambda name, packed: packed[name] + b"\0",
    "a bit flipped": lambda name, packed: (
        packed[name][:20] + bytes([packed[name][20] ^ 1]) + packed[name][21:]
    ),
    "another of the files": lambda name, packed: packed[min(packed.keys() - {name})],
    "what is in the file": lambda name, packed: gzip.decompress(packed[name]),
}


@pytest.mark.parametrize("wrong", NAMES)
@pytest.mark.parametrize("fault", DOWNLOADS)
def test_of_a_faulty_download_from_every_mirror_nothing_is_kept_and_the_file_is_named(
    cache, mirrors, packed, monkeypatch, wrong, fault, record_property
):
    faulty = packed | {f"{wrong}.gz": DOWNLOADS[fault](f"{wrong}.gz", packed)}
    tried = mirrors.add("first", faulty), mirrors.add("second", faulty)
    monkeypatch.setattr(data, "_MIRRORS", tried)
    with pytest.raises(OSError, match=rf"could not download {wrong}\.gz") as error:
        data.mnist()
    assert [mirror in str(error.value) for mirror in tried] == [True, True]
    assert kept(cache) == {
        f"{name}.gz": packed[f"{name}.gz"] for name in NAMES[: NAMES.index(wrong)]
    }
    record_property("faults injected", 2)


def test_of_a_download_that_breaks_off_nothing_is_kept(
    cache, mirrors, packed, monkeypatch, record_property
):
    monkeypatch.setattr(data, "_MIRRORS", (mirrors.add("breaks-off", packed),))
    with pytest.raises(OSError, match=rf"could not download {NAMES[0]}\.gz"):
        data.mnist()
    assert kept(cache) == {}
    record_property("faults injected", 1)


def test_of_a_download_that_the_disk_has_no_room_for_nothing_is_kept(
    cache, mirrors, packed, monkeypatch, record_property
):
    monkeypatch.setattr(data, "_MIRRORS", (mirrors.add("first", packed),))
    with longest_file(20), pytest.raises(OSError, match=rf"could not download {NAMES[0]}\.gz"):
        data.mnist()
    assert kept(cache) == {}
    record_property("faults injected", 1)


BEGINS_A_DOWNLOAD = """
import sys, pooch
from microgd import Value, data
pooch.os_cache, data._MIRRORS = lambda project: sys.argv[1], (sys.argv[2],)
data.mnist()
"""


def test_a_download_that_was_killed_is_begun_again(
    folder, cache, mirrors, packed, monkeypatch, record_property
):
    command = [sys.executable, "-c", BEGINS_A_DOWNLOAD, str(cache), mirrors.add("stalls", packed)]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ) as process:
        while not mirrors.requests and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert process.returncode < 0  # it was still running
    assert not kept(cache).keys() & packed.keys()
    monkeypatch.setattr(data, "_MIRRORS", (mirrors.add("second", packed),))
    assert_same_digits(data.mnist(), data.mnist(folder))
    record_property("faults injected", 1)


def test_downloading_works_without_a_progress_bar(cache, mirrors, packed, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("pooch.downloaders.tqdm", None)
    monkeypatch.setattr(data, "_MIRRORS", (mirrors.add("first", packed),))
    data.mnist()
    assert kept(cache) == packed


def test_downloading_without_pooch_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pooch"):
        data.mnist()


def test_reading_a_folder_downloads_nothing(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert len(data.mnist(folder).test.y) == 8


def test_every_mirror_is_a_folder_on_the_secure_web():
    assert [mirror.startswith("https://") and mirror.endswith("/") for mirror in data._MIRRORS] == [
        True,
        True,
    ]


# ── Mini-batches ──────────────────────────────────────────────────────────────────────────────────


def numbered(n):
    """n examples that all differ, each with its own label."""
    return np.arange(n)[:, None] * [1.0, -1.0], np.arange(n) * 10


@unhurried
@given(n=st.integers(1, 60), size=st.integers(1, 70), seed=st.none() | st.integers(0, 2**32))
def test_minibatches_contain_every_example_exactly_once(n, size, seed):
    x, y = numbered(n)
    batches = data.minibatches(x, y, size, None if seed is None else np.random.default_rng(seed))
    assert sorted(label for _, labels in batches for label in labels) == y.tolist()


@unhurried
@given(n=st.integers(1, 60), size=st.integers(1, 70), seed=st.none() | st.integers(0, 2**32))
def test_every_example_keeps_its_label(n, size, seed):
    for x, y in data.minibatches(
        *numbered(n), size, None if seed is None else np.random.default_rng(seed)
    ):
        np.testing.assert_array_equal(x, y[:, None] / 10 * [1, -1])


@unhurried
@given(n=st.integers(1, 60), size=st.integers(1, 70))
def test_every_minibatch_has_the_size_asked_for_and_the_last_one_what_is_left(n, size):
    sizes = [
        (len(x), len(y)) for x, y in data.minibatches(*numbered(n), size, np.random.default_rng(0))
    ]
    full, rest = divmod(n, size)
    assert sizes == [(size, size)] * full + [(rest, rest)] * (rest > 0)


def order(n=100, rng=None):
    return [
        label // 10
        for _, labels in data.minibatches(*numbered(n), 7, rng)
        for label in labels.tolist()
    ]


def test_without_a_generator_the_order_is_the_given_one():
    assert order() == list(range(100))


def test_the_same_seed_gives_the_same_order():
    assert order(rng=np.random.default_rng(1)) == order(rng=np.random.default_rng(1))


def test_another_seed_gives_another_order():
    assert order(rng=np.random.default_rng(1)) != order(rng=np.random.default_rng(2))


def test_each_call_draws_another_order():
    rng = np.random.default_rng(1)
    assert order(rng=rng) != order(rng=rng)


def test_every_order_is_about_as_frequent():
    rng = np.random.default_rng(0)
    frequencies = Counter(tuple(order(3, rng)) for _ in range(600))
    assert set(frequencies) == set(permutations(range(3)))
    assert max(abs(n - 100) for n in frequencies.values()) < 40  # more than 4 standard deviations


def test_minibatches_keep_shapes_and_dtypes():
    x, y = next(data.minibatches(np.ones((5, 2, 3), np.float32), np.ones((5, 1), np.uint8), 4))
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((4, 2, 3), np.float32, (4, 1), np.uint8)


def test_minibatches_of_lists_are_arrays():
    assert [
        (x.tolist(), y.tolist()) for x, y in data.minibatches([[1], [2], [3]], ["a", "b", "c"], 2)
    ] == [
        ([[1], [2]], ["a", "b"]),
        ([[3]], ["c"]),
    ]


@pytest.mark.parametrize(
    ("x", "y", "size", "error", "message"),
    [
        ([1, 2], [1], 1, ValueError, r"examples of shape \(2,\) and labels of \(1,\)"),
        ([], [], 1, ValueError, "at least one example"),
        (np.ones((0, 3)), [], 1, ValueError, "at least one example"),
        ([1], [1], 0, ValueError, "at least 1, but got 0"),
        ([1], [1], -3, ValueError, "at least 1, but got -3"),
        ([1], [1], 1.0, TypeError, "integer, but got 1.0"),
        ([1], [1], True, TypeError, "integer, but got True"),
        ([1], [1], None, TypeError, "integer, but got None"),
    ],
)
def test_minibatches_refuse_at_once_what_cannot_be_batched(x, y, size, error, message):
    with pytest.raises(error, match=message):
        data.minibatches(x, y, size)


@pytest.mark.parametrize(
    "batches",
    [
        lambda rng: data.minibatches(*numbered(5), 2, rng),
        lambda rng: data.minibatches(*numbered(5), batch_size=2, rng=rng),
        lambda rng: data.minibatches(*numbered(5), size=2, rng=rng),
        lambda rng: data.minibatches(*numbered(5), rng=rng, size=np.int64(2)),
    ],
)
def test_the_batch_size_is_the_third_argument_or_has_its_name_or_its_old_name(batches):
    expected = np.random.default_rng(3).permutation(5) * 10
    labels = [y.tolist() for _, y in batches(np.random.default_rng(3))]
    assert labels == [expected[:2].tolist(), expected[2:4].tolist(), expected[4:].tolist()]


def test_a_batch_size_under_both_names_is_refused():
    with pytest.raises(TypeError, match="one batch size, but got batch_size=2 and size=3, its old"):
        data.minibatches([1], [1], 2, size=3)
    with pytest.raises(TypeError, match="one batch size, but got batch_size=2 and size=2, its old"):
        data.minibatches([1], [1], batch_size=2, size=2)


def test_no_batch_size_is_refused():
    with pytest.raises(TypeError, match="expected a batch size that is an integer, but got None"):
        data.minibatches([1], [1])


@pytest.mark.parametrize("size", [0, 1.5])
def test_the_old_name_is_checked_as_the_new_one_is(size):
    with pytest.raises((TypeError, ValueError), match=f"batch size .*, but got {size}"):
        data.minibatches([1], [1], size=size)


@pytest.mark.parametrize("rng", [0, 42, np.random, np.random.default_rng])
def test_minibatches_refuse_at_once_what_is_no_generator(rng):
    with pytest.raises(TypeError, match=r"such as np\.random\.default_rng\(0\), but got"):
        data.minibatches([1], [1], 1, rng)


# ── Labels ────────────────────────────────────────────────────────────────────────────────────────


@unhurried
@given(st.lists(st.text("aAbZ ü猫", max_size=3)))
def test_an_encoded_label_stands_for_its_text(texts):
    labels, names = data.encode_labels(texts)
    assert [names[label] for label in labels] == texts


@unhurried
@given(st.lists(st.sampled_from(["cat", "dog", "Cat", "", "ant"])))
def test_names_are_the_different_texts_in_alphabetical_order(texts):
    assert data.encode_labels(texts).names == sorted(set(texts))


def test_the_names_of_an_array_of_texts_are_plain_texts():
    assert [type(name) for name in data.encode_labels(np.array(["b", "a"])).names] == [str, str]


@pytest.mark.parametrize("texts", [["b", "a"], ("b", "a"), np.array(["b", "a"]), iter(["b", "a"])])
def test_encoded_labels_are_an_int64_array(texts):
    np.testing.assert_array_equal(
        data.encode_labels(texts).labels, np.array([1, 0], np.int64), strict=True
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("cat", "a list of labels, but got 'cat'"),
        (["cat", 3], "text, but got 3"),
        ([None], "but got None"),
        ([b"cat"], "b'cat'"),
    ],
)
def test_labels_that_are_no_texts_are_not_encoded(texts, message):
    with pytest.raises(TypeError, match=message):
        data.encode_labels(texts)


@unhurried
@given(st.lists(st.integers(0, 6), min_size=1))
def test_a_one_hot_row_is_1_at_its_label_and_0_elsewhere(labels):
    expected = np.array(
        [[float(column == label) for column in range(7)] for label in labels], np.float32
    )
    np.testing.assert_array_equal(data.one_hot(labels, 7), expected, strict=True)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_one_hot_takes_integers_of_any_kind(dtype):
    np.testing.assert_array_equal(data.one_hot(np.array([1, 0], dtype), 2), [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 3], ValueError, "from 0 to 2, but got 3"),
        ([0, -1], ValueError, "from 0 to 2, but got -1"),
        ([0.0, 1.0], TypeError, "integers, but got dtype float64"),
        ([True], TypeError, "integers, but got dtype bool"),
        (["cat"], TypeError, "encode_labels"),
        ([[0], [1]], ValueError, r"labels of shape \(2,\).*, but got shape \(2, 1\)"),
        (1, ValueError, r"labels of shape \(1,\).*, but got shape \(\)"),
    ],
)
def test_one_hot_refuses_labels_that_are_none(labels, error, message):
    with pytest.raises(error, match=message):
        data.one_hot(labels, 3)


def test_a_batch_size_of_a_small_integer_type_loses_no_example():
    batches = data.minibatches(np.ones((300, 1)), np.arange(300), np.uint8(200))
    assert [len(x) for x, _ in batches] == [200, 100]


# ── Mini-batches, epoch after epoch ───────────────────────────────────────────────────────────────


def test_mini_batches_made_before_the_epochs_are_there_in_every_epoch():
    batches = data.minibatches(np.arange(5), np.arange(5), 2)
    assert [[x.tolist() for x, _ in batches] for _ in range(3)] == [[[0, 1], [2, 3], [4]]] * 3
    assert len(batches) == 3


def test_each_loop_over_mini_batches_has_an_order_of_its_own():
    batches = data.minibatches(np.arange(50), np.arange(50), 50, np.random.default_rng(0))
    orders = [tuple(x) for _ in range(3) for x, _ in batches]
    assert len(set(orders)) == 3
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(50))}


def test_the_first_order_is_drawn_at_once():
    rng = np.random.default_rng(0)
    batches = data.minibatches(np.arange(9), np.arange(9), 9, rng)
    rng.random()
    ((x, _),) = batches
    assert x.tolist() == np.random.default_rng(0).permutation(9).tolist()


def test_next_goes_on_through_one_pass_and_ends():
    batches = data.minibatches(np.arange(3), np.arange(3), 2)
    assert [next(batches)[0].tolist(), next(batches)[0].tolist()] == [[0, 1], [2]]
    with pytest.raises(StopIteration):
        next(batches)


# ── Features, standardized ────────────────────────────────────────────────────────────────────────


def test_a_standardized_column_has_mean_0_and_standard_deviation_1_in_the_train_part():
    x = np.random.default_rng(0).normal(5, [1e-3, 1, 1e6], (200, 3))
    train, _ = data.standardize(x, x[:5])
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-14)
    np.testing.assert_allclose(train, (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-8, atol=1e-11)


def test_the_test_part_is_scaled_by_the_mean_and_spread_of_the_train_part():
    train, test = data.standardize([[1, 10], [3, 20], [5, 30]], [[7, 20], [3, -10]])
    root = np.sqrt(1.5)
    np.testing.assert_allclose(train, [[-root, -root], [0, 0], [root, root]], atol=1e-15)
    np.testing.assert_allclose(test, [[2 * root, 0], [0, -3 * root]], rtol=1e-15, atol=1e-15)


def test_a_part_standardized_by_itself_is_the_same_in_both_places():
    x = np.random.default_rng(0).normal(size=(20, 3))
    train, test = data.standardize(x, x)
    np.testing.assert_array_equal(train, test)


@pytest.mark.parametrize("number", [0.0, 0.1, -7.3, 1e-320, 1e300, 1e308])
@pytest.mark.parametrize("n", [1, 3, 10, 1000])
def test_a_column_that_is_constant_in_the_train_part_becomes_0_in_both(number, n):
    x = np.full((n, 2), number)
    x[:, 1] = np.arange(n)
    train, test = data.standardize(x, [[number, 1], [-4.0, 1], [np.nan, 1], [np.inf, 1]])
    assert train[:, 0].tolist() == [0.0] * n
    assert test[:, 0].tolist() == [0.0] * 4
    assert np.any(train[:, 1]) == (n > 1)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.0, 1e-200),  # their squares are 0
        (0.0, 5e-324),
        (-8e307, 8e307),  # and infinite
        (1.0, np.nextafter(1, 2)),  # between which there is no mean
        (1e16, 1e16 + 2),
        (-1e-310, 1e-310),
    ],
)
def test_two_numbers_become_minus_1_and_1_however_close_or_large_they_are(low, high):
    train, test = data.standardize([[low], [high], [low], [high]], [[high]])
    np.testing.assert_allclose(train.ravel(), [-1, 1, -1, 1], rtol=1e-15)
    np.testing.assert_allclose(test, [[1]], rtol=1e-15)


@unhurried
@given(
    columns=st.lists(
        st.lists(st.floats(-1e100, 1e100), min_size=5, max_size=5), min_size=1, max_size=4
    )
)
def test_standardizing_any_numbers_gives_mean_0_and_spread_1_or_0(columns):
    x = np.array(columns).T
    train, _ = data.standardize(x, x)
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-14)
    expected = (x.max(axis=0) > x.min(axis=0)).astype(float)
    np.testing.assert_allclose(train.std(axis=0), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.int64, np.float64),
        (np.uint8, np.float64),
        (bool, np.float64),
    ],
)
def test_standardizing_keeps_floating_dtypes_and_makes_float64_of_others(dtype, expected):
    x = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)
    train, test = data.standardize(x, x[:1])
    assert (train.dtype, test.dtype) == (expected, expected)
    assert [part.dtype for part in data.standardize(x, x.astype(np.float32))] == [
        expected,
        np.float32,
    ]


def test_standardizing_float32_computes_in_float64():
    x = (1e4 + np.random.default_rng(0).normal(size=(100_000, 1))).astype(np.float32)
    train, _ = data.standardize(x, x)
    wide, _ = data.standardize(x.astype(np.float64), x)
    np.testing.assert_array_equal(train, wide.astype(np.float32))
    assert abs(wide.mean()) < 1e-12


def test_standardizing_changes_neither_argument_and_shares_no_memory_with_them():
    x, x_test = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([[1.0, 5.0]])
    before = x.copy(), x_test.copy()
    for part in data.standardize(x, x_test):
        part += 7
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(x_test, before[1])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0, np.nan, 2.0], "has nan in it"),
        ([np.nan, np.inf, 2.0], "has nan in it"),
        ([1.0, np.inf, 2.0], r"goes from 1\.0 to inf"),
        ([-np.inf, 1.0, 2.0], r"goes from -inf to 2\.0"),
        ([np.inf, np.inf, np.inf], "goes from inf to inf"),
        ([-1e308, 1e308, 0.0], r"goes from -1e\+308 to 1e\+308"),
    ],
)
def test_standardizing_refuses_what_is_not_finite_in_the_train_part_and_names_the_column(
    column, message
):
    x = np.ones((3, 4))
    x[:, 2] = column
    x[0, 3] = np.nan
    with pytest.raises(ValueError, match=rf"its column 2, train\[:, 2\], {message}"):
        data.standardize(x, np.ones((2, 4)))


def test_nan_in_the_test_part_stays_nan():
    _, test = data.standardize([[1.0], [3.0]], [[np.nan], [2.0]])
    np.testing.assert_array_equal(test, [[np.nan], [0.0]])


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            np.ones((0, 2)),
            np.ones((1, 2)),
            r"train to have .* one example, but got shape \(0, 2\)$",
        ),
        (np.ones((1, 2)), np.ones((0, 2)), r"test to have .* one example, but got shape \(0, 2\)$"),
        ([], [], r"but got shape \(0,\)$"),
        ([1, 2], [[1]], r"got shape \(2,\): train\[:, None\] makes it a column"),
        ([[1], [2]], np.ones(2), r"got shape \(2,\): test\[:, None\] makes it a column"),
        (3.0, [[1]], r"got shape \(\)$"),
        (np.ones((2, 3, 4)), [[1]], r"got shape \(2, 3, 4\)$"),
        (np.ones((2, 3)), np.ones((2, 4)), "as many columns in test as in train, 3, but got 4"),
    ],
)
def test_standardizing_refuses_other_shapes(train, test, message):
    with pytest.raises(ValueError, match=message):
        data.standardize(train, test)


@pytest.mark.parametrize("x", [[["a"]], [[1j]], [[None]], Value([[1.0]])], ids=repr)
def test_standardizing_refuses_what_is_not_numbers(x):
    with pytest.raises(TypeError, match=r"expected a number|value\.data"):
        data.standardize(x, [[1.0]])
