"""parallel.py does what it says, with real processes."""

import gzip
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from example_runs import EXAMPLES, example, needs_matplotlib
from PIL import Image

from microgd import data, nn, optim, train

# The mpiexec that pip installs with mpich; the variable names that of another MPI, if mpi4py uses it
MPIEXEC = os.environ.get("MPIEXEC", str(Path(sys.executable).with_name("mpiexec")))
pytestmark = [
    needs_matplotlib,
    pytest.mark.skipif(
        find_spec("mpi4py") is None or shutil.which(MPIEXEC) is None,
        reason="mpi4py, or the mpiexec that pip installs with mpich, is not there",
    ),
    pytest.mark.xdist_group("parallel"),  # processes of several tests at once would wait for cores
]
EDGE = 28


def write_idx(folder, images, labels):
    """Write examples to train and to test with as files in MNIST's format."""
    folder.mkdir()
    for part in ("train", "t10k"):
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(struct.pack(">4i", 0x803, len(images), EDGE, EDGE) + images.tobytes())
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">2i", 0x801, len(labels)) + labels.tobytes())
    return folder


@pytest.fixture
def few(tmp_path):
    """A folder with 50 digits."""
    digits = data.digits().train
    images = (255 * digits.x[:50]).round().astype(np.uint8)
    return write_idx(tmp_path / "few", images, digits.y[:50].astype(np.uint8))


def start(folder, *groups, program=EXAMPLES / "parallel.py"):
    """Run processes together, in groups (how many, options...), with a limit against hanging."""
    command = [MPIEXEC]
    for count, *options in groups:
        if len(command) > 1:
            command.append(":")
        command += ["-n", str(count), sys.executable, str(program), "--out", str(folder / "new")]
        command += map(str, options)
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "PYTHONUNBUFFERED": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, timeout=100
    )


def edited(folder, old, new):
    """The program as somebody changed it, in a file of its own."""
    text = (EXAMPLES / "parallel.py").read_text()
    assert text.count(old) == 1
    path = folder / "edited.py"
    path.write_text(text.replace(old, new))
    return path


def in_one_process_later(folder, statement):
    """The program with a statement that process 1 runs in the second step of the second epoch."""
    line = "            optimizer.step()\n"
    fault = (
        f"            if (comm.rank, epoch, number) == (1, 2, 2):\n                {statement}\n"
    )
    return edited(folder, line, fault + line)


def by_one(few, epochs, batch_size=20):
    """The weights after plain training, without any processes."""
    digits = data.idx(few)
    rng = np.random.default_rng(0)
    hidden = nn.Linear(784, 128, rng=rng)
    model = nn.Sequential(hidden, nn.ReLU(), nn.Linear(128, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        *digits.train,
        epochs=epochs,
        batch_size=batch_size,
        rng=rng,
    ):
        pass
    return nn.parameters_to_vector(model.parameters())


def weights_in(path):
    """The weights in a checkpoint, and how many epochs are done."""
    with np.load(path) as file:
        names = ["0.weight", "0.bias", "2.weight", "2.bias"]
        weights = [file[f"model.{name}"].ravel() for name in names]
        return np.concatenate(weights), int(file["epoch"])


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_the_gradient_and_end_where_one_ends(count, tmp_path):
    done = start(tmp_path, (count, "--epochs", 1))
    assert done.returncode == 0, done.stderr
    assert f"process {count - 1} of {count}: PID" in done.stdout
    units = float(re.search(r"differ by at most ([\d.]+) units", done.stdout)[1])
    assert units < 50
    rows = re.findall(r"^ +(\d+) +[\d.]+ +\d+% +([\d.]+) +(\S+)$", done.stdout, re.MULTILINE)
    assert [int(row[0]) for row in rows] == ([1, 2] if count == 2 else [1, 2, 3])
    losses = [float(row[1]) for row in rows]
    assert max(losses) - min(losses) < 1e-3
    assert float(rows[0][2]) == 0
    # A ReLU whose input is all but 0 may be on in one run and off in the other.
    assert max(float(row[2]) for row in rows) < 1e-2
    with Image.open(tmp_path / "new" / "parallel.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("cores", "count", "said"),
    [
        (2, 1, "on one core"),
        (2, 2, "There are 2 cores, so all of them compute at the same time"),
        (2, 3, "not as many cores: 2 compute at the same time"),
        (1, 3, "not as many cores: 1 computes at a time"),
    ],
)
def test_it_says_what_the_cores_allow(cores, count, said):
    assert said in example("processes").turns(cores, count)


def test_with_one_process_it_is_plain_training(few, tmp_path):
    path = tmp_path / "run.npz"
    options = ["--data", few, "--batch-size", 20, "--epochs", 2, "--checkpoint", path]
    done = start(tmp_path, (1, *options))
    assert done.returncode == 0
    assert "this is plain training" in done.stdout
    weights, epoch = weights_in(path)
    assert epoch == 2
    np.testing.assert_allclose(weights, by_one(few, 2), rtol=1e-5, atol=1e-7)


def test_a_part_of_a_mini_batch_may_be_empty(few, tmp_path):
    path = tmp_path / "run.npz"
    options = ["--data", few, "--batch-size", 2, "--epochs", 1, "--checkpoint", path]
    done = start(tmp_path, (3, *options))
    assert done.returncode == 0, done.stderr
    weights, _ = weights_in(path)
    np.testing.assert_allclose(weights, by_one(few, 1, batch_size=2), rtol=1e-3, atol=1e-5)


def test_stopped_training_goes_on_bit_for_bit_with_as_many_processes(few, tmp_path):
    options = ["--data", few, "--batch-size", 16]
    whole, stopped = tmp_path / "whole.npz", tmp_path / "stopped.npz"
    start(tmp_path, (3, *options, "--epochs", 3, "--checkpoint", whole))
    start(tmp_path, (3, *options, "--epochs", 1, "--checkpoint", stopped))
    assert weights_in(stopped)[1] == 1
    done = start(tmp_path, (3, *options, "--epochs", 3, "--checkpoint", stopped))
    assert "epochs done" in done.stdout
    assert weights_in(whole)[1] == weights_in(stopped)[1] == 3
    assert np.array_equal(weights_in(whole)[0], weights_in(stopped)[0])


def test_a_process_that_is_killed_is_named_and_the_last_checkpoint_is_whole(few, tmp_path):
    path = tmp_path / "run.npz"
    program = in_one_process_later(tmp_path, "import signal; os.kill(os.getpid(), signal.SIGKILL)")
    options = ["--data", few, "--batch-size", 16, "--checkpoint", path]
    done = start(tmp_path, (3, *options), program=program)
    assert done.returncode != 0
    pid = re.search(r"process 1 of 3: PID (\d+)", done.stdout)[1]
    (said,) = re.findall(r".*was ended by.*", done.stderr)
    assert said.startswith(f"process 1 of 3 (PID {pid} on ")
    assert "SIGKILL" in said
    weights, epoch = weights_in(path)
    assert epoch == 1
    np.testing.assert_allclose(weights, by_one(few, 1, batch_size=16), rtol=1e-3, atol=1e-5)


def test_a_process_that_ends_itself_is_named(few, tmp_path):
    program = in_one_process_later(tmp_path, "os._exit(3)")
    done = start(tmp_path, (2, "--data", few, "--batch-size", 16), program=program)
    assert done.returncode != 0
    assert re.search(r"process 1 of 2 \(PID .* ended with the exit code 3", done.stderr)


@pytest.mark.parametrize("statement", ["sys.exit(0)", "sys.exit('I have had enough')"])
def test_a_process_that_exits_alone_is_named_and_ends_all(statement, few, tmp_path):
    program = in_one_process_later(tmp_path, statement)
    done = start(tmp_path, (3, "--data", few, "--batch-size", 16), program=program)
    assert done.returncode != 0
    assert "process 1 of 3 exits while others may still wait for it" in done.stderr


def test_an_error_that_all_would_know_is_said_by_the_process_that_is_alone_with_it(few, tmp_path):
    program = in_one_process_later(tmp_path, "raise train.DivergedError('here alone')")
    done = start(tmp_path, (2, "--data", few, "--batch-size", 16), program=program)
    assert done.returncode != 0
    assert "process 1 of 2: DivergedError: here alone" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("lr=options.rate,", "lr=options.rate * (1 + comm.rank),", "0.weight after epoch 1"),
        (
            "options.batch_size, rng)",
            "options.batch_size, np.random.default_rng())",
            "mini-batches in epoch 1",
        ),
        (" nn.ReLU(),", " nn.ReLU(), nn.Dropout(0.5, rng=rng),", "random numbers after epoch 1"),
    ],
)
def test_what_comes_to_differ_is_found_after_an_epoch_also_if_others_wait(
    old, new, what, few, tmp_path
):
    text = (EXAMPLES / "parallel.py").read_text()
    assert text.count(old) == 1
    path = tmp_path / "edited.py"
    path.write_text(text.replace(old, new))
    # 50 digits: the parts of 3 processes differ in size, and so does what Dropout draws for them.
    done = start(tmp_path, (3, "--data", few, "--batch-size", 50), program=path)
    assert done.returncode != 0
    assert f"has other {what} than process 0" in done.stderr


def test_an_error_in_one_process_names_it_and_ends_all(few, tmp_path):
    path = tmp_path / "run.npz"
    program = in_one_process_later(tmp_path, "raise RuntimeError('the cable is loose')")
    done = start(
        tmp_path, (2, "--data", few, "--batch-size", 16, "--checkpoint", path), program=program
    )
    assert done.returncode != 0
    assert "RuntimeError: the cable is loose" in done.stderr
    assert "process 1 of 2 failed" in done.stderr
    assert weights_in(path)[1] == 1


def test_a_nan_in_one_process_ends_all_with_the_usual_words(few, tmp_path):
    line = "    computed = perf_counter()\n"
    fault = "    if comm.rank == 1 and 'epoch 2' in where:\n        part = np.nan\n"
    program = edited(tmp_path, line, fault + line)
    path = tmp_path / "run.npz"
    done = start(
        tmp_path, (3, "--data", few, "--batch-size", 16, "--checkpoint", path), program=program
    )
    assert done.returncode != 0
    (said,) = re.findall(r"^DivergedError: .*$", done.stderr, re.MULTILINE)
    assert "became infinite or nan in epoch 2, batch 1" in said
    parts = re.search(r"from process 0 on, are (.*?)\. If", said)[1].split(", ")
    assert [part == "nan" for part in parts] == [False, True, False]
    assert np.isfinite(weights_in(path)[0]).all()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--seed", 1], "seed"),
        (["--hidden", 64], "weights"),
        (["--rate", 0.2], "settings"),
        (["--data", "other"], "images"),
        (["--data", "relabelled"], "labels"),
    ],
)
def test_processes_that_differ_are_found_at_the_start(options, what, few, tmp_path):
    digits = data.idx(few).train
    images, labels = (255 * digits.x).round().astype(np.uint8), digits.y.astype(np.uint8)
    write_idx(tmp_path / "other", (200 * digits.x).astype(np.uint8), labels)
    write_idx(tmp_path / "relabelled", images, labels[::-1])
    same = ["--data", few]
    done = start(tmp_path, (1, *same), (1, *same, *options))
    assert done.returncode != 0
    assert done.stderr.count(f"process 1 has other {what} than process 0") == 1
    assert "Traceback" not in done.stderr


def test_an_option_that_is_wrong_in_one_process_ends_all(tmp_path):
    done = start(tmp_path, (1,), (1, "--epochs", 0))
    assert done.returncode != 0
    assert "process 1 of 2: usage:" in done.stderr
    assert "must be a whole number, 1 or more" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--help"], 0, "usage:"),
        (["--data", "nowhere"], 1, "nowhere"),
        (["--rate", "x"], 2, "rate"),
    ],
)
def test_what_is_wrong_in_all_processes_is_said_once(options, code, said, tmp_path):
    done = start(tmp_path, (3, *options))
    assert done.returncode == code
    assert (done.stdout + done.stderr).count("usage:") <= 1
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_checkpoint_is_written_by_process_0_alone(few, tmp_path):
    line = "            train.save_checkpoint("
    fault = f"            print('WRITES', comm.rank)\n{line}"
    program = edited(tmp_path, line, fault)
    options = ["--data", few, "--batch-size", 16, "--epochs", 2, "--checkpoint", tmp_path / "a.npz"]
    done = start(tmp_path, (3, *options), program=program)
    assert re.findall(r"WRITES (\d)", done.stdout) == ["0", "0"]


def test_a_nan_in_a_gradient_alone_ends_all(few, tmp_path):
    line = "    return loss.item()\n"
    fault = "    if comm.rank == 1:\n        model[0].bias.grad[3] = np.nan\n"
    program = edited(tmp_path, line, fault + line)
    done = start(tmp_path, (2, "--data", few, "--batch-size", 16), program=program)
    assert done.returncode != 0
    assert "DivergedError: the loss or a gradient became infinite or nan" in done.stderr


def test_processes_that_find_different_checkpoints_are_told(few, tmp_path):
    """As on two machines that do not share a folder."""
    path = tmp_path / "run.npz"
    options = ["--data", few, "--batch-size", 16, "--checkpoint", path]
    start(tmp_path, (2, *options, "--epochs", 1))
    call = "parallel_checks.resume(group, options.checkpoint,"
    elsewhere = call.replace("options", "'none.npz' if comm.rank == 1 else options")
    program = edited(tmp_path, call, elsewhere)
    done = start(tmp_path, (2, *options, "--epochs", 2), program=program)
    assert done.returncode != 0
    assert f"process 1 has other epochs in {path} than process 0: 0, not 1" in done.stderr


def test_a_checkpoint_that_cannot_be_written_is_an_error_at_the_start(tmp_path):
    done = start(tmp_path, (2, "--checkpoint", tmp_path / "none" / "run.npz"))
    assert done.returncode == 2
    assert done.stderr.count("--checkpoint") == 2  # once in the usage, and once in the error
    assert "there is no folder" in done.stderr


def test_without_mpi4py_it_says_how_to_install_it(tmp_path):
    code = "import sys; sys.modules['mpi4py'] = None; import runpy; runpy.run_path(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, EXAMPLES / "parallel.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES)},
    )
    assert done.returncode == 1
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif("MPIEXEC" in os.environ, reason="not every build of mpi4py finds that out")
def test_the_mpiexec_of_another_mpi_is_an_error(tmp_path):
    """Each of its processes would train alone, and write the same files as the others."""
    variable = "OMPI_COMM_WORLD_SIZE"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "parallel.py", "--out", tmp_path / "new"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES), variable: "3"},
    )
    assert done.returncode == 1
    assert f"{variable}=3" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_ctrl_c_ends_all_with_one_word(tmp_path):
    command = [MPIEXEC, "-n", "2", sys.executable, EXAMPLES / "parallel.py", "--epochs", "10000"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell starts what runs in the background with Ctrl-C switched off.
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **pipes,
    )
    assert any("gradient" in line for line in running.stdout)  # they have begun
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode != 0
    # mpiexec may end the processes before they can say it.
    assert said.strip() in ("", "stopped")


def test_an_interrupt_of_a_single_process_ends_it(tmp_path):
    """As by `kill -INT`, which reaches the process alone that waits for its child."""
    command = [sys.executable, EXAMPLES / "parallel.py", "--epochs", "10000"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes)
    assert any("plain training" in line for line in running.stdout)  # it has begun
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert said.strip() == "stopped"


@pytest.mark.parametrize(
    ("layers", "products"),
    [
        ("nn.Sequential(nn.Linear(784, 10, rng=rng))", 2 * 7840),
        (
            "nn.Sequential(hidden, nn.ReLU(), nn.Linear(128, 30, rng=rng), nn.Linear(30, 10, rng=rng))",
            2 * 784 * 128 + 3 * (128 * 30 + 30 * 10),
        ),
    ],
)
def test_what_a_process_sends_and_computes_is_that_of_the_network(layers, products, few, tmp_path):
    program = edited(tmp_path, "nn.Sequential(hidden, nn.ReLU(), output)", layers)
    done = start(tmp_path, (2, "--data", few, "--epochs", 1), program=program)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert f"computes {50 * products / 2:,.0f} multiply-adds" in said


def test_no_process_stays_behind_if_mpiexec_is_killed(tmp_path):
    command = [MPIEXEC, "-n", "2", sys.executable, EXAMPLES / "parallel.py", "--epochs", "10000"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    pids = []
    for line in running.stdout:
        pids += map(int, re.findall(r"PID (\d+)", line))
        if "gradient" in line:
            break
    assert len(pids) == 2
    running.kill()
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.1)
    running.communicate()
