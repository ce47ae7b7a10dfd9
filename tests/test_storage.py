"""Saving and loading: the same bits come back, whole or not at all, and a broken file changes nothing."""

import io
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import microgd
from microgd import Value, nn
from microgd.storage import load_arrays, save_arrays


class Holding(nn.Module):
    """A module with the given attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def network(seed):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(3, 2, rng=rng), nn.ReLU(), nn.Linear(2, 1, rng=rng))


def bits(state):
    return {name: (np.shape(array), np.asarray(array).dtype, np.asarray(array).tobytes()) for name, array in state.items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


# ── What is saved comes back ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "data",
    [[1 / 3, -1e-30], [np.nan, np.inf, -np.inf, -0.0], [1e-44], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.ones((0, 3)), [[[5.0]]]],
)
def test_arrays_come_back_bit_for_bit(path, data, dtype):
    saved = {"w": np.array(data, dtype)}
    save_arrays(path, saved)
    assert bits(load_arrays(path)) == bits(saved)


@pytest.mark.parametrize("order", ["F", "strided"])
def test_the_layout_in_memory_does_not_matter(path, order):
    array = np.arange(12.0).reshape(4, 3)
    save_arrays(path, {"w": np.asfortranarray(array) if order == "F" else np.repeat(array, 2, 0)[::2]})
    np.testing.assert_array_equal(load_arrays(path)["w"], array)


@pytest.mark.parametrize("name", ["file", "arr_0", "a/b", "../up", "weight.npy", "Gewicht é 重", "", " ", "x" * 200])
def test_a_parameter_may_have_any_name(path, name):
    save_arrays(path, {name: np.ones(2), f"{name}2": np.zeros(2)})
    assert {key: array.tolist() for key, array in load_arrays(path).items()} == {name: [1, 1], f"{name}2": [0, 0]}


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
    assert (path.is_symlink(), bits(load_arrays(target))) == (True, bits(network(seed=1).state_dict()))


# ── Whole or not at all ──────────────────────────────────────────────────────────────────────────────────────────────


def failing(function, at, error):
    """The function, but its call number `at` raises the error."""
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
    [(np.lib.format, "write_array", 1), (np.lib.format, "write_array", 3), (os, "fsync", 1), (os, "replace", 1)],
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


def test_the_temporary_file_lies_beside_the_file_since_renaming_works_on_one_disk_only(path, monkeypatch):
    folders, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (folders.append(Path(old).parent), replace(old, new)))
    network(seed=1).save(path)
    assert folders == [path.parent.resolve()]


def test_saving_into_a_folder_that_is_missing_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        network(seed=1).save(tmp_path / "nowhere" / "model.npz")


SAVES_FOR_EVER = """
import itertools, sys
import numpy as np
from microgd.storage import save_arrays

for i in itertools.count():
    save_arrays(sys.argv[1], {"w": np.full(300_000, float(i)), "b": np.full(300_000, float(i))})
    if not i:
        print("saved", flush=True)
"""


@pytest.mark.parametrize("delay", [0.001 * 1.7**i for i in range(10)], ids=lambda delay: f"{1000 * delay:.1f}ms")
def test_a_process_killed_while_saving_leaves_a_whole_file(path, delay):
    search = os.pathsep.join([str(Path(microgd.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", SAVES_FOR_EVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": search}) as process:
        try:
            assert process.stdout.readline().strip() == b"saved"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(delay)
        finally:
            process.kill()
    arrays = load_arrays(path)
    assert {name: (array.size, np.ptp(array)) for name, array in arrays.items()} == {"w": (300_000, 0.0), "b": (300_000, 0.0)}
    assert arrays["w"][0] == arrays["b"][0]


# ── Broken files ─────────────────────────────────────────────────────────────────────────────────────────────────────


def attempt(path, content):
    """What becomes of a model that loads this content: "refused", or whether it changed and how."""
    path.write_bytes(content)
    model, unchanged, saved = network(seed=2), bits(network(seed=2).state_dict()), bits(network(seed=1).state_dict())
    try:
        model.load(path)
    except ValueError:
        return "refused" if bits(model.state_dict()) == unchanged else "refused, but changed"
    return "the same" if bits(model.state_dict()) == saved else "something else"


@pytest.fixture(params=["save", "savez_compressed"])
def whole(path, request):
    """What is in a file that network(seed=1) was saved to, by microgd or by NumPy."""
    model = network(seed=1)
    model.save(path) if request.param == "save" else np.savez_compressed(path, **model.state_dict())
    return path.read_bytes()


def test_a_file_that_is_cut_off_anywhere_is_refused_and_changes_nothing(path, whole):
    outcomes = [attempt(path, whole[:length]) for length in range(len(whole))]
    assert [length for length, outcome in enumerate(outcomes) if outcome != "refused"] == []


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_file_with_a_byte_changed_is_refused_or_has_lost_nothing(path, whole, flip):
    outcomes = [attempt(path, whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :]) for i in range(len(whole))]
    assert [(i, outcome) for i, outcome in enumerate(outcomes) if outcome not in ("refused", "the same")] == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 99])
def test_a_file_that_claims_another_compression_is_refused(path, whole, method):
    at = whole.index(b"PK\1\2") + 10  # in the first entry of the table of contents
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
    """When it is unpickled, it makes a file."""

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


def zipped(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weight.npy", content)


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_a_file_of_another_kind_is_refused_by_its_path(path, kind):
    OTHER_FILES[kind](path)
    with pytest.raises(ValueError, match=r"model\.npz is not a whole \.npz file of arrays"):
        network(seed=1).load(path)


def test_loading_never_unpickles(path, tmp_path):
    pickled_arrays(path, Touches(tmp_path / "touched"))
    with pytest.raises(ValueError, match="not a whole"):
        load_arrays(path)
    assert not (tmp_path / "touched").exists()


def test_a_file_that_is_missing_is_named(path):
    with pytest.raises(FileNotFoundError, match=r"model\.npz"):
        network(seed=1).load(path)


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        (
            {"0.weight": np.ones((2, 3)), "0.bias": np.ones(2), "2.weight": np.ones((1, 2))},
            ValueError,
            r"missing \['2\.bias'\]",
        ),
        (network(1).state_dict() | {"3.weight": 1.0}, ValueError, r"unknown \['3\.weight'\]"),
        (network(1).state_dict() | {"2.bias": np.ones(2)}, ValueError, r"2\.bias has shape \(1,\), but shape \(2,\) came"),
        (network(1).state_dict() | {"2.bias": np.array(["one"])}, TypeError, "expected a number or an array"),
    ],
    ids=["missing", "unknown", "shape", "text"],
)
def test_a_file_of_another_model_is_refused_with_the_reason_and_changes_nothing(path, arrays, error, message):
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
