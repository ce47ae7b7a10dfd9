"""Measure microgd side by side with the same step written by hand, and with the libraries like it
that are installed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmark_steps import STEPS
from benchmark_tables import PEERS, machine, means, plot, table_of_peers, table_of_times
from tqdm import tqdm
from workloads import GOAL, MOONS_STEPS, SETTINGS

PACKAGES = {name: name for name in PEERS} | {"torch_compile": "torch"}
WORKLOADS = str(Path(__file__).with_name("workloads.py"))
PROCESSORS = os.cpu_count() or 1

# ── Processes ─────────────────────────────────────────────────────────────────────────────────────


def environment(threads):
    """Variables that limit the threads of NumPy's BLAS and of PyTorch, which read them when they
    are imported.
    """
    limits = dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), str(threads)
    )
    return {**os.environ, **limits}


def run(*work):
    """What a piece of work found out, with one BLAS thread."""
    command = [sys.executable, WORKLOADS, *map(str, work)]
    process = subprocess.run(command, env=environment(1), stdout=subprocess.PIPE, check=True)
    return json.loads(process.stdout)


def start(*work, threads):
    """A process that waits for questions, each a line."""
    return subprocess.Popen(
        [sys.executable, WORKLOADS, *map(str, work)],
        env=environment(threads),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(process, question):
    """What the process found out."""
    process.stdin.write(f"{question}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        sys.exit(f"{' '.join(process.args[2:])} ended with code {process.wait()}")
    return json.loads(answer)


def why_left_out(peer):
    """Why a peer can't be compared: a reason, or None if it can."""
    if not find_spec(PACKAGES[peer]):
        return "not installed"
    if peer not in STEPS:
        return None
    command = [sys.executable, WORKLOADS, "trial", peer]
    trial = subprocess.run(command, env=environment(1), capture_output=True, check=False)
    if trial.returncode:
        return f"its process ended with code {trial.returncode}"
    return json.loads(trial.stdout)


# ── Measuring: processes in turn, medians, ratios ─────────────────────────────────────────────────


@dataclass(frozen=True)
class Contestant:
    """A process: what takes turns in it, and with how many threads."""

    names: tuple[str, ...]
    threads: int


def contestants_of(own, peers):
    """microgd and the step by hand in one process, with one thread; and each peer in a process for
    each number of threads.
    """
    contestants = [Contestant(own, threads=1)]
    for peer in peers:
        counts = {1, PROCESSORS}
        if PACKAGES[peer] == "torch":
            counts.add(2)
        contestants += [Contestant((peer,), threads) for threads in sorted(counts)]
    return contestants


def measure_steps(contestants, settings, rounds, progress):
    """For each setting a row: name -> times of a step, in microseconds.

    The processes have their turns one after the other, `rounds` times a setting.
    """
    rows = []
    with ExitStack() as stack:
        processes = []
        for contestant in contestants:
            names = ",".join(contestant.names)
            process = start("steps", names, contestant.threads, threads=contestant.threads)
            processes.append(stack.enter_context(process))
        for setting in settings:
            rounds_of = [[] for _ in contestants]
            for _ in range(rounds):
                for process, turns in zip(processes, rounds_of, strict=True):
                    turns.append(ask(process, setting))
                progress.update()
            rows.append(fastest(contestants, rounds_of))
    return rows


def fastest(contestants, rounds_of):
    """The times of each name, with its best number of threads."""
    row = {}
    expected = rounds_of[0][0]["microgd"]["loss"]
    for contestant, found in zip(contestants, rounds_of, strict=True):
        for name in contestant.names:
            times = []
            for turns in found:
                check_loss(name, turns[name]["loss"], expected)
                times += turns[name]["times"]
            if name not in row or statistics.median(times) < statistics.median(row[name]):
                row[name] = times
    return row


def check_loss(name, loss, expected, tolerance=1e-5):
    """What computes something else must not be compared."""
    if not abs(loss - expected) <= tolerance * abs(expected):
        sys.exit(f"{name} arrived at a loss of {loss}, microgd at {expected}")


def measure_loops(settings, rounds, examples, progress):
    """For each setting a row: name -> times of a step of training, in microseconds."""
    rows = []
    for setting in settings:
        found = run("epochs", setting, rounds, examples)
        for name, turns in found.items():
            # In 18,000 steps, float32's rounding leads a little apart.
            check_loss(name, turns["loss"], found["fit"]["loss"], tolerance=1e-3)
        rows.append({name: turns["times"] for name, turns in found.items()})
        progress.update()
    return rows


def measure_moons(kinds, progress):
    """Seconds of all steps for each kind. Their processes take turns of ten steps."""
    seconds = dict.fromkeys(kinds, 0.0)
    with ExitStack() as stack:
        processes = {}
        for kind in kinds:
            processes[kind] = stack.enter_context(start("moons", kind, threads=1))
        for _ in range(MOONS_STEPS // 10):
            losses = {}
            for kind, process in processes.items():
                turn = ask(process, 10)
                seconds[kind] += turn["seconds"]
                losses[kind] = turn["loss"]
            for kind in kinds:
                check_loss(f"two moons, {kind},", losses[kind], losses["eager"])
            progress.update()
    return seconds


def seconds_of(command):
    """How long a process takes."""
    arguments, threads = command
    start = perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        env=environment(threads),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return perf_counter() - start


def measure_processes(command, other, repeats, progress):
    """How many times longer the other command takes, as a whole process, from its start to its
    end. A command is a pair: Python's arguments, and the number of threads.
    """
    ratios = []
    for turn in range(repeats):
        if turn % 2:
            seconds = seconds_of(command)
            other_seconds = seconds_of(other)
        else:
            other_seconds = seconds_of(other)
            seconds = seconds_of(command)
        ratios.append(other_seconds / seconds)
        progress.update()
    return statistics.median(ratios)


# ── Reports ───────────────────────────────────────────────────────────────────────────────────────


def report_steps(options, peers, progress):
    """The tables, and the picture."""
    settings = list(range(len(SETTINGS)))
    repeats = options.repeats
    if options.quick:
        settings = [0]
        repeats = 1

    with_steps = [peer for peer in peers if peer in STEPS]
    own = ["hand", "microgd", "drop_in"]
    contestants = contestants_of(tuple(own), with_steps)
    rows = measure_steps(contestants, settings, repeats, progress)
    progress.write(
        "One step of stochastic gradient descent, float32. Medians; in brackets the time divided "
        "by microgd's,\nwhere turns that lie close to each other are compared, and then the median "
        "is taken.\n"
    )
    compared = [name for name in own if name != "hand"]
    progress.write(table_of_times(rows, settings, compared))
    progress.write("\n" + means(rows, compared))
    if with_steps:
        progress.write("\nGeometric means over the settings, and in brackets the extremes:\n")
        progress.write(table_of_peers(rows, compared))

    examples = 6_000 if options.quick else 60_000
    loops = measure_loops(settings, repeats, examples, progress)
    progress.write(
        f"\nThe same step as part of three epochs of training on {examples:,} examples, everything "
        "included: the loop,\nthe mini-batches, and what microgd checks and compiles.\n"
    )
    compared = [name for name in loops[0] if name != "hand"]
    progress.write(table_of_times(loops, settings, compared))
    progress.write("\n" + means(loops, compared))
    if options.plot:
        plot(rows, loops, settings, options.plot)
        progress.write(f"\nThe picture is in {options.plot}.")


def report_micrograd(options, progress):
    """micrograd's own examples."""
    found = []
    for _ in range(options.repeats):
        found.append(run("expression"))
        progress.update()
    kinds = [kind for kind in found[0] if kind != "micrograd"]
    progress.write("\nmicrograd's time divided by microgd's:")
    for kind in kinds:
        ratio = statistics.median(ratios[kind] for ratios in found)
        progress.write(f"{ratio:7.2f}  {kind}: the expression in its README, and its gradients")

    kinds = ["eager", "compiled"]
    seconds = measure_moons(["micrograd", *kinds], progress)
    for kind in kinds:
        ratio = seconds["micrograd"] / seconds[kind]
        progress.write(
            f"{ratio:7.2f}  {kind}: {MOONS_STEPS} steps of its network on two moons, its own "
            "classes with microgd's Value"
        )


def report_chains(progress):
    """How the cost of a graph grows."""
    progress.write("\nA chain of operations on numbers, forward and backward. A node takes")
    for length in (10**3, 10**4, 10**5, 10**6):
        chains = [run("chain", length) for _ in range(3)]
        off = statistics.median(chain["off"] for chain in chains)
        on = statistics.median(chain["on"] for chain in chains)
        held = statistics.median(chain["bytes"] for chain in chains)
        progress.write(
            f"  of {length:9,}: {off:.2f} µs, {on:.2f} µs with Python's garbage collector on, and "
            f"{held:.0f} bytes"
        )


def report_processes(options, peers, progress):
    """What takes a process of its own: importing, and a whole program."""
    numpy = ["-c", "import numpy"], 1
    microgd = ["-c", "import microgd"], 1
    ratio = measure_processes(numpy, microgd, 2 * options.repeats, progress)
    progress.write(
        f"\nA process that imports microgd takes {ratio:.2f} × the time of one that imports NumPy."
    )
    if not options.data or "torch" not in peers:
        return
    mine = [WORKLOADS, "train_microgd", options.data], 1
    repeats = min(options.repeats, 5)
    ratios = []
    for threads in (1, PROCESSORS):
        theirs = [WORKLOADS, "train_torch", options.data, str(threads)], threads
        ratios.append(measure_processes(mine, theirs, repeats, progress))
    progress.write(
        f"A program that loads MNIST and trains 784→10 to {GOAL:.0%} takes {min(ratios):.2f} × as "
        "long in PyTorch, imports"
    )
    epochs, right = run("train_microgd", options.data)
    their_epochs, their_right = run("train_torch", options.data, 1)
    progress.write(
        f"included. (microgd: {right:.2%} after {epochs} epochs, PyTorch: {their_right:.2%} "
        f"after {their_epochs}.)"
    )


# ── The command line ──────────────────────────────────────────────────────────────────────────────


def parsed(arguments):
    """The options, which are checked before anything is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="only the smallest network and batch, once, alone"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=10,
        help="rounds, of which the medians are shown (default: %(default)s)",
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the tables too, as PNG, SVG or PDF")
    parser.add_argument(
        "--data", metavar="FOLDER", help="where MNIST's files lie: time a whole program too"
    )
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    if options.plot and not Path(options.plot).resolve().parent.is_dir():
        parser.error(f"--plot: there is no folder {Path(options.plot).resolve().parent}")
    if options.data and not Path(options.data, "train-images-idx3-ubyte.gz").exists():
        parser.error(f"--data: there is no train-images-idx3-ubyte.gz in {options.data}")
    return options


def introduce(quick):
    """Say what is measured, and where; the peers that can be compared."""
    print(f"{date.today()}: {machine()}")
    print("The step by hand and microgd run with one BLAS thread, others with their best number.")
    peers = []
    for peer in () if quick else PEERS:
        reason = why_left_out(peer)
        if reason is None:
            peers.append(peer)
            print(f"{PEERS[peer]}: {version(PACKAGES[peer])}")
        else:
            print(f"{PEERS[peer]}: left out ({reason})")
    print()
    return peers


def measure(options):
    """Find the peers that are here, measure, and say so."""
    peers = introduce(options.quick)
    with tqdm(unit="round", leave=False, disable=None) as progress:
        report_steps(options, peers, progress)
        if options.quick:
            return
        if "micrograd" in peers:
            report_micrograd(options, progress)
        report_chains(progress)
        report_processes(options, peers, progress)


def main(arguments=None):
    """Measure in processes that see no graphics card, and leave no compiled files behind."""
    options = parsed(arguments)
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no processes beside those that take turns
    try:
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
            measure(options)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
