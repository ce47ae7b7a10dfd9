"""Saving and loading: the same bits come back, a save is complete or leaves the old file, and a
broken file changes nothing.
"""

import contextlib
import io
import itertools
import json
import os
import pickle
import signal
import stat
import struct
import subprocess
import sys
import time
import tracemalloc
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import microgd
from microgd import Value, nn
from microgd.storage import load_arrays, save_arrays, write_whole


class Holding(nn.Module):
    """A module with the given attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def network(seed):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(3, 2, rng=rng), nn.ReLU(), nn.Linear(2, 1, rng=rng))


def bits(state):
    return {
        name: (np.shape(array), np.asarray(array).dtype, np.asarray(array).tobytes())
        for name, array in state.items()
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


# ── What is saved comes back ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "data",
    [
        [1 / 3, -1e-30],
        [np.nan, np.inf, -np.inf, -0.0],
        [1e-44],
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        np.ones((0, 3)),
        [[[5.0]]],
    ],
)
def test_arrays_come_back_bit_for_bit(path, data, dtype):
    saved = {"w": np.array(data, dtype)}
    save_arrays(path, saved)
    assert bits(load_arrays(path)) == bits(saved)


@pytest.mark.parametrize("order", ["F", "strided"])
def test_the_layout_in_memory_does_not_matter(path, order):
    array = np.arange(12.0).reshape(4, 3)
    save_arrays(
        path, {"w": np.asfortranarray(array) if order == "F" else np.repeat(array, 2, 0)[::2]}
    )
    np.testing.assert_array_equal(load_arrays(path)["w"], array)


@pytest.mark.parametrize(
    "name", ["file", "arr_0", "a/b", "../up", "weight.npy", "Gewicht é 重", "", " ", "x" * 200]
)
def test_a_parameter_may_have_any_name(path, name):
    save_arrays(path, {name: np.ones(2), f"{name}2": np.zeros(2)})
    assert {key: array.tolist() for key, array in load_arrays(path).items()} == {
        name: [1, 1],
        f"{name}2": [0, 0],
    }


def test_a_model_comes_back_bit_for_bit(path):
    network(seed=1).save(path)
    model = network(seed=2)
    model.load(path)
    assert bits(model.state_dict()) == bits(network(seed=1).state_dict())


def test_parameters_that_are_numbers_come_back_as_numbers(path):
    Holding(file=Value(0.1)).save(path)
    model = Holding(file=Value(0.0))
    model.load(path)
    assert (model.file.data, type(model.file.data)) == (0.1, float)


def test_saving_replaces_what_was_saved_before(path):
    network(seed=1).save(path)
    network(seed=2).save(path)
    model = network(seed=3)
    model.load(path)
    assert bits(model.state_dict()) == bits(network(seed=2).state_dict())


def test_numpy_can_read_what_is_saved(path):
    model = network(seed=1)
    model.save(path)
    with np.load(path, allow_pickle=False) as archive:
        assert bits(archive) == bits(model.state_dict())


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_what_numpy_has_saved_can_be_loaded(path, write):
    write(path, **network(seed=1).state_dict())
    model = network(seed=2)
    model.load(path)
    assert bits(model.state_dict()) == bits(network(seed=1).state_dict())


@pytest.mark.parametrize("name", ["model.npz", "model", "model.weights", "with blank.npz"])
def test_a_model_is_saved_under_exactly_the_name_given(tmp_path, name):
    network(seed=1).save(tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_relative_path_starts_in_the_working_folder(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    network(seed=1).save(kind("model.npz"))
    assert bits(load_arrays(tmp_path / "model.npz")) == bits(network(seed=1).state_dict())


def test_saving_to_a_link_writes_the_file_that_it_leads_to(tmp_path, path):
    (tmp_path / "deep").mkdir()
    target = tmp_path / "deep" / "target.npz"
    target.write_bytes(b"old")
    path.symlink_to(target)
    network(seed=1).save(path)
    assert (path.is_symlink(), bits(load_arrays(target))) == (
        True,
        bits(network(seed=1).state_dict()),
    )


# ── The old file or the new one, whole ────────────────────────────────────────────────────────────


def failing(function, at, error):
    """The function, but call number `at` raises the error."""
    calls = 0

    def fail(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == at:
            raise error
        return function(*arguments, **options)

    return fail


FAILURES = pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (np.lib.format, "write_array", 1),
        (np.lib.format, "write_array", 3),
        (os, "fsync", 1),
        (os, "replace", 1),
    ],
    ids=["at the first array", "among the arrays", "at the flush", "at the renaming"],
)
ERRORS = pytest.mark.parametrize(
    "error", [OSError(28, "no space left on device"), KeyboardInterrupt(), MemoryError()], ids=repr
)


@FAILURES
@ERRORS
def test_saving_that_fails_leaves_the_old_file_whole(path, monkeypatch, owner, name, at, error):
    network(seed=1).save(path)
    before = path.read_bytes()
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), at, error))
    with pytest.raises(type(error)):
        network(seed=2).save(path)
    assert path.read_bytes() == before


@FAILURES
@ERRORS
def test_saving_that_fails_leaves_no_other_file_behind(path, monkeypatch, owner, name, at, error):
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), at, error))
    with pytest.raises(type(error)):
        network(seed=1).save(path)
    assert list(path.parent.iterdir()) == []


@FAILURES
def test_saving_that_fails_names_the_file_and_the_cause(path, monkeypatch, owner, name, at):
    full = OSError(28, "no space left on device")
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), at, full))
    with pytest.raises(OSError, match=r"no space left on device.*model\.npz'$") as refused:
        network(seed=1).save(path)
    assert refused.value.errno == 28


def test_what_cannot_be_written_leaves_the_old_file_whole(path):
    save_arrays(path, {"w": np.ones(2)})
    with pytest.raises(ValueError, match="Object arrays"):
        save_arrays(path, {"w": np.zeros(2), "object": np.array([object()])})
    assert bits(load_arrays(path)) == bits({"w": np.ones(2)})


@pytest.mark.skipif(os.name != "posix", reason="only POSIX systems flush folders")
def test_the_content_reaches_the_disk_before_it_gets_its_name_and_the_name_after(path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace

    def noted_fsync(number):
        found = os.fstat(number)
        events.append("folder" if stat.S_ISDIR(found.st_mode) else f"{found.st_size} bytes")
        fsync(number)

    def noted_replace(*paths):
        events.append("name")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    network(seed=1).save(path)
    assert events == [f"{path.stat().st_size} bytes", "name", "folder"]


def test_the_temporary_file_lies_beside_the_file_since_renaming_works_on_one_disk_only(
    path, monkeypatch
):
    folders, replace = [], os.replace
    monkeypatch.setattr(
        os, "replace", lambda old, new: (folders.append(Path(old).parent), replace(old, new))
    )
    network(seed=1).save(path)
    assert folders == [path.parent.resolve()]


def test_saving_into_a_folder_that_is_missing_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        network(seed=1).save(tmp_path / "nowhere" / "model.npz")


# ── Killed while saving ───────────────────────────────────────────────────────────────────────────


def elsewhere(function, *arguments, prefix=()):
    """What a function of a test file returns in a new process.

    That process has only one thread, so it may fork.
    """
    search = [str(Path(microgd.__file__).parents[1]), str(Path(__file__).parent)]
    code = f"import json, sys; sys.path[:0] = {search}; from {function.__module__} import {function.__name__} as call"
    command = [
        *prefix,
        sys.executable,
        "-c",
        f"{code}; print(json.dumps(call(*json.loads(sys.argv[1]))))",
    ]
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, json.dumps(arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **one_thread},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def forked(work):
    """A process that does the work during the block, and is killed at its end."""
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            os._exit(1)
    try:
        yield process
    finally:
        os.kill(process, signal.SIGKILL)
        # Not exit code 1: it was working to the end.
        assert os.waitpid(process, 0)[1] == signal.SIGKILL


def numbered(i, size):
    """What save number i writes. Its length differs from that of the saves before and after it."""
    return {name: np.full(size + 1000 * (i % 7), float(i)) for name in ("w", "b")}


def number_of(path, size):
    """The number of the save that the file holds. The save must be complete."""
    arrays = load_arrays(path)
    i = int(arrays["w"][0])
    assert bits(arrays) == bits(numbered(i, size))
    return i


def temporaries(path, size):
    """Delete all files but this one, and say whether a temporary file was among them.

    "no temporary file", "part of a temporary file" or "a whole temporary file".
    """
    found = "no temporary file"
    for file in path.parent.iterdir():
        if file != path:
            try:
                number_of(file, size)
                found = "a whole temporary file"
            except ValueError:
                found = "part of a temporary file"
            file.unlink()
    return found


def saves_killed_at_random_moments(path, kills):
    """Kill a process that saves again and again; count what each kill leaves behind."""
    path, size, rng, found, last = Path(path), 300_000, np.random.default_rng(0), Counter(), 0
    save_arrays(path, numbered(0, size))
    began = time.perf_counter()
    for _ in range(5):
        save_arrays(path, numbered(0, size))
    each = (time.perf_counter() - began) / 5

    def save_for_ever():
        for i in itertools.count(last + 1):
            save_arrays(path, numbered(i, size))

    for _ in range(kills):
        with forked(save_for_ever):
            time.sleep(rng.uniform(0, 3 * each))
        before, last = last, number_of(path, size)
        assert last >= before
        found[temporaries(path, size)] += 1
    return found


def saves_killed_at_each_call(path):
    """Kill saving before each call of a C function; count what is left behind."""
    path, size, found = Path(path), 10, Counter()
    save_arrays(path, numbered(0, size))
    content = path.read_bytes()

    def save(die_at):
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            if event == "c_call":
                calls += 1
                if calls == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)
        save_arrays(path, numbered(1, size))
        sys.setprofile(None)
        return calls - 1  # without the call of `setprofile` itself

    n = save(None)
    for die_at in range(1, n + 1):
        path.write_bytes(content)
        process = os.fork()
        if not process:
            save(die_at)
            os._exit(1)
        assert os.waitpid(process, 0)[1] == signal.SIGKILL
        found[
            f"{temporaries(path, size)}, {['the old one', 'the new one'][number_of(path, size)]}"
        ] += 1
    return found


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")


@needs_fork
def test_a_process_killed_at_a_random_moment_while_saving_leaves_the_old_file_or_the_new_one_whole(
    path, size, record_property
):
    kills = size(20, 200)
    left = elsewhere(saves_killed_at_random_moments, str(path), kills)
    assert sum(left.values()) == kills
    record_property("saves killed", kills)
    for what, n in left.items():
        record_property(f"saves killed that left {what}", n)


@needs_fork
def test_a_process_killed_before_any_of_the_calls_that_saving_takes_leaves_the_old_file_or_the_new_one(
    path, record_property
):
    left = elsewhere(saves_killed_at_each_call, str(path))
    assert left.keys() == {
        "no temporary file, the old one",
        "part of a temporary file, the old one",
        "a whole temporary file, the old one",
        "no temporary file, the new one",
    }
    record_property("saves killed", sum(left.values()))


# ── Broken files ──────────────────────────────────────────────────────────────────────────────────


def attempt(path, content):
    """Load this content into a model: "refused", or whether and how the model changed."""
    path.write_bytes(content)
    model, unchanged, saved = (
        network(seed=2),
        bits(network(seed=2).state_dict()),
        bits(network(seed=1).state_dict()),
    )
    try:
        model.load(path)
    except ValueError:
        return "refused" if bits(model.state_dict()) == unchanged else "refused, but changed"
    return "the same" if bits(model.state_dict()) == saved else "something else"


@pytest.fixture(params=["save", "savez_compressed"])
def whole(path, request):
    """The content of a file that microgd or NumPy saved network(seed=1) to."""
    model = network(seed=1)
    model.save(path) if request.param == "save" else np.savez_compressed(path, **model.state_dict())
    return path.read_bytes()


def test_a_file_that_is_cut_off_anywhere_is_refused_and_changes_nothing(path, whole):
    outcomes = [attempt(path, whole[:length]) for length in range(len(whole))]
    assert [length for length, outcome in enumerate(outcomes) if outcome != "refused"] == []


def test_a_file_with_any_bit_or_byte_changed_is_refused_or_has_lost_nothing(
    path, whole, size, record_property
):
    flips = size([0x01, 0x80, 0xFF], [*(1 << bit for bit in range(8)), 0xFF])
    outcomes = {
        (i, flip): attempt(path, whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :])
        for i in range(len(whole))
        for flip in flips
    }
    assert {
        at: outcome for at, outcome in outcomes.items() if outcome not in ("refused", "the same")
    } == {}
    record_property("faults injected", len(outcomes))


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_any_bit_changed_in_a_file_of_any_compression_is_refused_or_has_lost_nothing(
    path, method, record_property
):
    zipped(path, npy(np.ones(2)), method=method)
    whole, others = path.read_bytes(), []
    for i, bit in itertools.product(range(len(whole)), range(8)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << bit]) + whole[i + 1 :])
        with contextlib.suppress(ValueError):
            others.extend(
                (i, bit)
                for array in load_arrays(path).values()
                if not np.array_equal(array, np.ones(2))
            )
    assert others == []
    record_property("faults injected", 8 * len(whole))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 99])
def test_a_file_that_claims_another_compression_is_refused(path, whole, method):
    # The compression method in the first entry of the table of contents.
    at = whole.index(b"PK\1\2") + 10
    assert attempt(path, whole[:at] + bytes([method]) + whole[at + 1 :]) == "refused"


def test_any_bit_changed_in_the_numbers_is_found_out(path):
    network(seed=1).save(path)
    whole = path.read_bytes()
    start = whole.index(network(seed=1)[0].weight.data.tobytes("A"))
    outcomes = [
        attempt(path, whole[:i] + bytes([whole[i] ^ 1 << bit]) + whole[i + 1 :])
        for i in range(start, start + 24)
        for bit in range(8)
    ]
    assert outcomes == ["refused"] * 192


class Touches:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def pickled_arrays(path, content):
    np.savez(path, w=np.array([content], dtype=object))


OTHER_FILES = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("weight = 3"),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"weight": np.ones(2)})),
    "npy": lambda path: path.write_bytes(npy(np.ones(2))),
    "zip of text": lambda path: zipped(path, b"weight = 3"),
    "zip of a broken npy": lambda path: zipped(path, npy(np.ones(2))[:-1]),
    "npz of objects": lambda path: pickled_arrays(path, {}),
}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(path, *contents, name="weight.npy", method=zipfile.ZIP_STORED):
    # zipfile warns about a name that occurs twice.
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(path, "w", method) as archive,
    ):
        for content in contents:
            archive.writestr(name, content)


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_a_file_of_another_kind_is_refused_by_its_path(path, kind):
    OTHER_FILES[kind](path)
    with pytest.raises(ValueError, match=r"model\.npz is not a complete \.npz file of arrays"):
        network(seed=1).load(path)


def test_loading_never_unpickles(path, tmp_path):
    pickled_arrays(path, Touches(tmp_path / "touched"))
    with pytest.raises(ValueError, match="is not a complete"):
        load_arrays(path)
    assert not (tmp_path / "touched").exists()


def test_a_file_that_is_missing_is_named(path):
    with pytest.raises(FileNotFoundError, match=r"model\.npz"):
        network(seed=1).load(path)


# ── Crafted files ─────────────────────────────────────────────────────────────────────────────────


def header(descr="'<f8'", fortran_order="False", shape="(2,)"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}}}"


def headed(text, version=1, numbers=(1.0, 1.0)):
    """An .npy file of two numbers, with this header."""
    encoded = text.encode("latin1")
    length = struct.pack("<H" if version == 1 else "<I", len(encoded))
    return b"\x93NUMPY" + bytes([version, 0]) + length + encoded + np.array(numbers).tobytes()


SHAPES = ["(10**15,)", "(1000000000000000,)", "(10000000000,)", f"({10**30},)", f"(0, {10**30})", f"({2**40}, {2**40})",
          f"({2**63 - 1},)", f"({2**63 - 1}, 2)", "(-1,)", "(-2,)", "(-1, -2)", "(2, -1)", "((2,),)", "[2]", "2", "(2.0,)",
          "('2',)", "(True, True)", "None", "(3,)", f"({'1, ' * 70}2)", f"{'(' * 150}2{',)' * 150}"]  # fmt: skip
DTYPES = ["'O'", "'<c16'", "'<f2'", "'<M8[s]'", "'S8'", "'<U2'", "'V8'", "'S0'", "'V0'", "'<U1000000000'", "'f8,f8'",
          "[('a', '<f8')]", "[('a', '<f4'), ('b', '<f4')]", "[('a', 'O')]", "[('a',)]", "[('a', '<f8'), ('a', '<f8')]", "[1]",
          "('<f8',)", "('<f8', (1000000000,))", f"{'(' * 90}'<f8'{',)' * 90}", "{}", "{'names': ['a']}", "None", "1", "''",
          "'object'", "'microgd.Value'"]  # fmt: skip
HEADERS = ["", "5", "(" * 9000, "[" * 9000, "[" * 90 + "]" * 90, "-" * 9000 + "1", "not " * 2000 + "1", "1" + "+1" * 4500,
           "9" * 9000, "a" + ".a" * 4000, "{[]: 1}", "{1: 2, 'a': 3}", "{'descr': '<f8'}", "{1, 2}", "\0" * 50, "'''",
           "  1\n 2\n3", "\\", "\r\r", "ÿþ" * 20, "lambda: 0", header() + " " * 60_000]  # fmt: skip
CRAFTED = {
    **{f"shape {shape[:30]}": headed(header(shape=shape)) for shape in SHAPES},
    **{f"dtype {dtype[:30]}": headed(header(descr=dtype)) for dtype in DTYPES},
    **{f"header {i}": headed(text) for i, text in enumerate(HEADERS)},
    **{f"header {i} of version 3": headed(text, version=3) for i, text in enumerate(HEADERS[:-1])},
    "order": headed(header(fortran_order="1")),
    "version 9": headed(header(), version=9),
    "header without an end": b"\x93NUMPY\2\0\xff\xff\xff\xff" + header().encode(),
    "numbers that are missing": headed(header(), numbers=[1.0]),
    "more numbers": headed(header(), numbers=[1.0] * 3),
}


def loaded(path):
    """Try to load the two weights of a model: the weights afterwards, and the error or None."""
    model = Holding(weight=Value([5.0, 6.0]))
    try:
        model.load(path)
    except ValueError as error:
        return model.weight.data.tolist(), str(error)
    return model.weight.data.tolist(), None


@pytest.mark.parametrize("kind", CRAFTED)
def test_an_array_that_is_crafted_is_refused_by_the_files_path_and_changes_nothing(
    path, kind, record_property
):
    zipped(path, CRAFTED[kind])
    weights, error = loaded(path)
    assert (weights, str(path) in error) == ([5.0, 6.0], True)
    record_property("faults injected", 1)


@pytest.mark.parametrize(
    "place", [header, lambda call: header(descr=call), lambda call: header(shape=call), str]
)
def test_a_header_is_never_run(path, tmp_path, place):
    zipped(
        path, headed(place(f"__import__('pathlib').Path({str(tmp_path / 'touched')!r}).touch()"))
    )
    assert loaded(path)[0] == [5.0, 6.0]
    assert not (tmp_path / "touched").exists()


SAYS_THE_SAME = {
    "big-endian": np.array([1, 2], ">f8"),
    "integers": np.array([1, 2], np.int16),
    "float32": np.array([1, 2], np.float32),
    "Fortran order": np.asfortranarray([[1.0, 2.0]])[0],
}


@pytest.mark.parametrize("kind", SAYS_THE_SAME)
@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_an_array_that_says_the_same_in_another_way_is_loaded(path, kind, method):
    zipped(path, npy(SAYS_THE_SAME[kind]), method=method)
    assert loaded(path) == ([1.0, 2.0], None)


def test_an_array_in_fortran_order_is_loaded_as_it_was(path):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    zipped(path, npy(array))
    np.testing.assert_array_equal(load_arrays(path)["weight"], array)


@pytest.mark.parametrize("names", [["weight.npy", "weight.npy"], ["weight.npy", "weight"]])
def test_a_file_with_two_arrays_of_one_name_is_refused(path, names):
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            archive.writestr(name, npy(np.full(2, float(i))))
    weights, error = loaded(path)
    assert (weights, "weight is not one array, but more" in error) == ([5.0, 6.0], True)


@pytest.mark.parametrize(
    "name", ["../weight.npy", "/weight.npy", "C:\\weight.npy", "folder/", "weight.npy/"]
)
def test_a_member_with_a_path_is_unpacked_nowhere(path, name):
    zipped(path, npy(np.ones(2)), name=name)
    assert loaded(path)[0] == [5.0, 6.0]
    assert [found for folder in path.parents[:2] for found in folder.glob("*weight.npy")] == []


def test_a_file_that_claims_to_be_encrypted_is_refused(path):
    zipped(path, npy(np.ones(2)))
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    weights, error = loaded(path)
    assert (weights, "encrypted" in error, str(path) in error) == ([5.0, 6.0], True, True)


def test_of_what_is_packed_behind_an_array_nothing_is_unpacked(path):
    # 64 MiB of zeros, packed into 64 KiB.
    zipped(path, npy(np.ones(2)) + bytes(2**26), method=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        weights, error = loaded(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (weights, "not one array" in error, peak < 2**22) == ([5.0, 6.0], True, True)


@pytest.mark.parametrize("before", [b"#!/bin/sh\n", b"PK\3\4" * 9, bytes(1000)])
def test_what_stands_before_or_behind_the_archive_changes_no_number(path, before):
    zipped(path, npy(np.array([1.0, 2.0])))
    whole = path.read_bytes()
    for content in (before + whole, whole + before, before + whole + before):
        path.write_bytes(content)
        weights, error = loaded(path)
        assert weights == ([1.0, 2.0] if error is None else [5.0, 6.0])


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        (
            {"0.weight": np.ones((2, 3)), "0.bias": np.ones(2), "2.weight": np.ones((1, 2))},
            ValueError,
            r"missing \['2\.bias'\]",
        ),
        (network(1).state_dict() | {"3.weight": 1.0}, ValueError, r"unknown \['3\.weight'\]"),
        (
            network(1).state_dict() | {"2.bias": np.ones(2)},
            ValueError,
            r"expected 2\.bias to have shape \(1,\), but got shape \(2,\)",
        ),
        (
            network(1).state_dict() | {"2.bias": np.array(["one"])},
            ValueError,
            r"model\.npz .* expected a number or an array",
        ),
    ],
    ids=["missing", "unknown", "shape", "text"],
)
def test_a_file_of_another_model_is_refused_with_the_reason_and_changes_nothing(
    path, arrays, error, message
):
    save_arrays(path, arrays)
    model = network(seed=2)
    with pytest.raises(error, match=message):
        model.load(path)
    assert bits(model.state_dict()) == bits(network(seed=2).state_dict())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_what_is_no_regular_file_is_not_replaced_by_one(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        save_arrays(path, {"x": np.ones(2)})
    assert path.is_fifo()


def test_an_error_of_the_writer_that_is_not_the_systems_comes_through_as_it_is(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    mine = OSError("the writer's own")

    def write(file):
        file.write(b"new")
        raise mine

    with pytest.raises(OSError, match="own") as raised:
        write_whole(tmp_path / "file", write)
    assert raised.value is mine
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"
