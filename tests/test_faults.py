"""Faults from outside: full disks, read-only folders, killed training, broken checkpoints.

And the check that loading a file never executes anything in it.
"""

import ast
import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rendered import needs_program
from test_checkpoint import EPOCHS, bits, epochs, parts
from test_storage import elsewhere, forked, needs_fork

import microgd
from microgd import Value, film, nn, optim, train
from microgd.storage import load_arrays, save_arrays

# ── Killed training ───────────────────────────────────────────────────────────────────────────────

SETTINGS = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}


def trained(path):
    """Train on from the last checkpoint, if there is one, and save one after each epoch.

    Return the bits at the end.
    """
    run = parts(0, **SETTINGS)
    if path.exists():
        run = parts(5, lr=7.0)
        done = train.load_checkpoint(path, *run)
    else:
        done = 0
    for (number, *_), _ in epochs(*run, done):
        train.save_checkpoint(path, *run, number)
    return bits(*run)


def deadly(batch, loss=nn.cross_entropy):
    """The loss, but it kills the process in mini-batch number `batch`."""
    calls = 0

    def die_or_go_on(logits, labels):
        nonlocal calls
        calls += len(labels) <= 7  # the test takes all examples at once, and does not count
        if calls == batch:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(logits, labels)

    return die_or_go_on


def killed_in_each_batch(folder, batches):
    """Kill training in each of its mini-batches, then train on from the checkpoint.

    Return the mini-batches after which the result is different.
    """
    whole, others = trained(Path(folder, "whole.npz")), []
    for batch in range(1, batches + 1):
        path = Path(folder, f"{batch}.npz")
        process = os.fork()
        if not process:
            nn.cross_entropy = deadly(batch)
            trained(path)
            os._exit(1)
        assert os.waitpid(process, 0)[1] == signal.SIGKILL
        if trained(path) != whole:
            others.append(batch)
    return others


@needs_fork
def test_a_training_killed_in_any_batch_goes_on_from_its_last_checkpoint_to_the_same_bits(
    tmp_path, record_property
):
    batches = EPOCHS * 5
    assert elsewhere(killed_in_each_batch, str(tmp_path), batches) == []
    record_property("trainings killed and resumed", batches)


def killed_again_and_again(folder, kills):
    """Kill training at random moments again and again, and train on from the last checkpoint.

    Return how many runs ended with a different result.
    """
    rng, path = np.random.default_rng(0), Path(folder, "run.npz")
    began = time.perf_counter()
    whole = trained(Path(folder, "whole.npz"))
    all_epochs, others = time.perf_counter() - began, 0

    def train_for_ever():
        while True:
            trained(path)

    for _ in range(kills):
        with forked(train_for_ever):
            time.sleep(rng.uniform(0, all_epochs))
        if path.exists() and load_arrays(path)["epoch"] == EPOCHS:
            others += trained(path) != whole
            path.unlink()
    return others + (trained(path) != whole)


@needs_fork
def test_a_training_killed_again_and_again_arrives_at_the_same_bits(
    tmp_path, size, record_property
):
    kills = size(10, 200)
    assert elsewhere(killed_again_and_again, str(tmp_path), kills) == 0
    record_property("trainings killed and resumed", kills)


# ── Full disks, and folders that cannot be written ────────────────────────────────────────────────


def small_film(path, name):
    x = Value(2.0, name=name)
    film(x * x, path)


def layer(which):
    return nn.Linear(60, 30, rng=np.random.default_rng(len(which) + (which == "new")))


def checkpoint(path, which):
    model = layer(which)
    train.save_checkpoint(
        path, model, optim.SGD(model.parameters(), lr=0.1), np.random.default_rng(0), 3
    )


SAVES = {
    "model": lambda path, which: layer(which).save(path),
    "checkpoint": checkpoint,
    "film": small_film,
}


def refused(save, path, expected):
    """Whether saving is refused with this error.

    If so, the error must name the file, and the old file must be unchanged. In either case no other
    file may be left.
    """
    old, error = path.read_bytes(), None
    try:
        save(path, "new")
    except OSError as raised:
        error = raised
    assert [file.name for file in path.parent.iterdir() if file.name != "filler"] == [path.name]
    if error is None:
        assert path.read_bytes() != old
        return False
    assert (error.errno, error.filename, path.read_bytes() == old) == (expected, str(path), True)
    return True


@contextlib.contextmanager
def longest_file(length):
    """Within this context no file can grow beyond this length."""
    resource = pytest.importorskip(
        "resource", reason="only POSIX systems limit the length of files"
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_a_file_that_the_system_stops_at_any_length_is_refused_and_the_old_one_stays(
    tmp_path, kind, size, record_property
):
    path, save = tmp_path / "file", SAVES[kind]
    save(path, "new")
    length = path.stat().st_size
    save(path, "old")
    lengths = range(0, length, size(97, 7))
    for most in lengths:
        with longest_file(most):
            assert refused(save, path, errno.EFBIG)
    with longest_file(length):
        assert not refused(save, path, errno.EFBIG)
    record_property("faults injected", len(lengths))


MOUNTS = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"',
]


def mounted(folder):
    """The start of a command that runs a process with a small disk mounted on the folder."""
    prefix = [*MOUNTS, str(folder)]
    if (
        not shutil.which("unshare")
        or subprocess.run([*prefix, "true"], capture_output=True).returncode
    ):
        pytest.skip("this user may not mount a disk")
    return prefix


def fill(folder, kind, free):
    """Save on a disk with each of these numbers of free pages; whether each save was refused."""
    path, filler, save = Path(folder, "file"), Path(folder, "filler"), SAVES[kind]
    save(path, "old")
    outcomes = []
    for pages in free:
        save(path, "old")
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        os.truncate(filler, filler.stat().st_size // 4096 * 4096 - 4096 * pages)
        outcomes.append(refused(save, path, errno.ENOSPC))
        filler.unlink()
    return outcomes


@pytest.mark.parametrize("kind", ["model", "checkpoint", pytest.param("film", marks=needs_program)])
def test_on_a_disk_that_is_full_the_old_file_stays(tmp_path, kind, size, record_property):
    free = [0, 1, 30] if kind == "film" else range(12)
    outcomes = elsewhere(fill, str(tmp_path), kind, [*free], prefix=mounted(tmp_path))
    # Refused at first, and never again once there is enough room.
    assert outcomes == sorted(outcomes, reverse=True)
    assert {*outcomes} == {True, False}
    record_property("faults injected", sum(outcomes))


def write_protected(folder, kind):
    """Save on a disk, then remount the disk read-only and save again; whether that was refused."""
    path, save = Path(folder, "file"), SAVES[kind]
    save(path, "old")
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    return refused(save, path, errno.EROFS)


@pytest.mark.parametrize("kind", ["model", "checkpoint", pytest.param("film", marks=needs_program)])
def test_on_a_disk_that_is_write_protected_the_old_file_stays(tmp_path, kind, record_property):
    assert elsewhere(write_protected, str(tmp_path), kind, prefix=mounted(tmp_path))
    record_property("faults injected", 1)


@pytest.fixture
def other_folder():
    """A folder that other users can reach."""
    if os.name != "posix":
        pytest.skip("only POSIX systems protect folders by their mode")
    folder = Path(tempfile.mkdtemp())  # not `tmp_path`: only its owner can enter that
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def mode(folder, bits):
    """Set the folder's mode. Root ignores modes, so in this context root becomes another user."""
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, -1)
    folder.chmod(bits)
    try:
        if root:
            os.seteuid(65534)
    except OSError:
        pytest.skip("this root may not become somebody else")
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_in_a_folder_that_is_write_protected_the_old_file_stays(
    other_folder, kind, record_property
):
    path, save = other_folder / "file", SAVES[kind]
    save(path, "old")
    with mode(other_folder, 0o555):
        assert refused(save, path, errno.EACCES)
    record_property("faults injected", 1)


def test_in_a_folder_that_may_be_written_and_not_read_the_file_is_replaced(other_folder):
    path = other_folder / "file"
    layer("old").save(path)
    with mode(other_folder, 0o300):
        layer("new").save(path)
    np.testing.assert_array_equal(load_arrays(path)["weight"], layer("new").weight.data)


# ── Broken and crafted checkpoints ────────────────────────────────────────────────────────────────


def small_parts(seed):
    model = nn.Linear(2, 1, rng=np.random.default_rng(seed))
    optimizer = optim.SGD(model.parameters(), lr=0.1 * seed, momentum=0.5)
    for p in model.parameters():
        p.grad = np.full(p.shape, float(seed))
    optimizer.step()
    return model, optimizer, np.random.default_rng(seed)


def outcome(path):
    """What happens when this checkpoint is loaded."""
    here = small_parts(2)
    try:
        train.load_checkpoint(path, *here)
    except ValueError as error:
        return (
            "refused"
            if str(path) in str(error) and bits(*here) == bits(*small_parts(2))
            else "refused, but changed"
        )
    return "the same" if bits(*here) == bits(*small_parts(1)) else "something else"


def test_a_checkpoint_with_any_bit_changed_is_refused_or_has_lost_nothing(
    tmp_path, size, record_property
):
    path = tmp_path / "run.npz"
    train.save_checkpoint(path, *small_parts(1), 3)
    whole = path.read_bytes()
    # 13 and 8 have no common factor, so each of a byte's 8 bits has its turn.
    places = range(0, 8 * len(whole), size(13, 1))
    outcomes = {}
    for place in places:
        i, bit = divmod(place, 8)
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << bit]) + whole[i + 1 :])
        outcomes[place] = outcome(path)
    assert {
        place: found for place, found in outcomes.items() if found not in ("refused", "the same")
    } == {}
    record_property("faults injected", len(places))


def test_a_checkpoint_cut_off_anywhere_is_refused_and_changes_nothing(
    tmp_path, size, record_property
):
    path = tmp_path / "run.npz"
    train.save_checkpoint(path, *small_parts(1), 3)
    whole = path.read_bytes()
    lengths = range(0, len(whole), size(7, 1))
    outcomes = []
    for length in lengths:
        path.write_bytes(whole[:length])
        outcomes.append(outcome(path))
    assert Counter(outcomes) == {"refused": len(lengths)}
    record_property("faults injected", len(lengths))


PAGE = b"<!DOCTYPE html><html><title>Sign in</title></html>"


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 1000, PAGE, b'{"epoch": 3}'], ids=["nothing", "zeros", "page", "JSON"]
)
def test_a_file_of_another_kind_is_no_checkpoint(tmp_path, content, record_property):
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    assert outcome(path) == "refused"
    record_property("faults injected", 1)


STATES = {
    "MT19937": [
        ("pos", -1),
        ("pos", 625),
        ("pos", 10**7),
        ("pos", 2**31 - 1),
        ("pos", 10**30),
        ("pos", "1"),
        ("key", [1, 2]),
    ],
    "Philox": [("buffer_pos", -1), ("buffer_pos", 5), ("buffer_pos", 10**9), ("buffer", [1])],
    "PCG64": [
        ("state", -1),
        ("state", 2**130),
        ("inc", None),
        ("uinteger", 2**40),
        ("has_uint32", "1"),
        ("state", [[]]),
    ],
    "SFC64": [("state", [1, 2]), ("state", None)],
}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(kind, name, value) for kind, changes in STATES.items() for name, value in changes],
)
def test_a_random_state_that_is_out_of_its_range_is_refused_and_changes_nothing(
    tmp_path, kind, name, value, record_property
):
    path, generator = tmp_path / "run.npz", getattr(np.random, kind)
    train.save_checkpoint(path, *parts(0, generator, lr=0.1), 3)
    arrays = load_arrays(path)
    state, parameters = json.loads(bytes(map(int, arrays["rng"])))
    held = state["state"] if name in state["state"] else state
    assert name in held
    held[name] = value
    save_arrays(
        path, arrays | {"rng": np.frombuffer(json.dumps([state, parameters]).encode(), np.uint8)}
    )
    here = parts(5, generator, lr=0.2)
    before = bits(*here)
    with pytest.raises(ValueError, match=r"run\.npz is not a checkpoint of this model"):
        train.load_checkpoint(path, *here)
    assert bits(*here) == before
    record_property("faults injected", 1)


@pytest.mark.parametrize(
    "text", [b"", b"[" * 100_000, b"{}", b"null", b"NaN", b'{"bit_generator": "PCG64"}', b"\xff"]
)
def test_a_random_state_that_is_none_is_refused_and_changes_nothing(
    tmp_path, text, record_property
):
    path = tmp_path / "run.npz"
    train.save_checkpoint(path, *small_parts(1), 3)
    save_arrays(path, load_arrays(path) | {"rng": np.frombuffer(text, np.uint8)})
    assert outcome(path) == "refused"
    record_property("faults injected", 1)


def test_an_optimizer_of_other_parameters_is_refused_since_the_checkpoint_would_lack_them(tmp_path):
    path, (model, _, rng) = tmp_path / "run.npz", small_parts(1)
    train.save_checkpoint(path, *small_parts(1), 3)
    before = path.read_bytes()
    optimizer = optim.SGD([*model.parameters(), Value(1.0)], lr=0.1)
    for call in (
        lambda: train.save_checkpoint(path, model, optimizer, rng, 4),
        lambda: train.load_checkpoint(path, model, optimizer, rng),
    ):
        with pytest.raises(
            ValueError, match="an optimizer of the model's parameters, but it has others"
        ):
            call()
    assert path.read_bytes() == before


# ── Nothing is executed ───────────────────────────────────────────────────────────────────────────

MODULES = sorted(Path(microgd.__file__).parent.rglob("*.py"))
UNPICKLERS = {
    "pickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "runpy",
    "ctypes",
}


def dangers(source):
    """The lines where a module could execute what it has read."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(name.name for name in node.names)]
        if UNPICKLERS & {part for name in names for part in name.split(".")}:
            yield node.lineno
        if isinstance(node, ast.Name) and node.id in ("eval", "exec", "compile", "__import__"):
            yield node.lineno
        if isinstance(node, ast.Attribute) and node.attr in ("eval", "exec", "pickle"):
            yield node.lineno
        if isinstance(node, ast.Call):
            allowed = [word.value for word in node.keywords if word.arg == "allow_pickle"]
            if any(
                not (isinstance(value, ast.Constant) and value.value is False) for value in allowed
            ):
                yield node.lineno
            if (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in ("read_array", "write_array")
                and not allowed
            ):
                yield node.lineno


@pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(MODULES[0].parent).as_posix()
)
def test_no_module_unpickles_or_runs_text(path):
    source = path.read_text(encoding="utf-8")
    if path.parent.name == "programs":
        # These run the programs that they have written themselves, and read no file.
        assert not re.search(r"\bopen\(|read_text|read_bytes|\bload\(", source)
        source = re.sub(r"\b(eval|exec|compile)\(", "run(", source)
    assert list(dangers(source)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import os, pickle as p", "from multiprocessing import _pickle",
        "eval('1')", "builtins.exec(x)", "f = exec", "compile('1', '', 'eval')", "np.lib.format.pickle.loads(x)",
        "np.load(f, allow_pickle=True)", "np.load(f, allow_pickle=x)", "read_array(f, allow_pickle=1)",
        "np.lib.format.read_array(f)",
    ],
)  # fmt: skip
def test_what_unpickles_or_runs_text_would_be_found(source):
    assert list(dangers(source)) != []
