"""Measure microgd side by side with the same step written by hand, and with the libraries like it
that are installed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from contextlib import ExitStack
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm
from workloads import GOAL, SETTINGS

PEERS = {"torch": "PyTorch", "mygrad": "MyGrad", "autograd": "autograd", "micrograd": "micrograd"}
TITLES = {"hand": "by hand", "microgd": "microgd", **PEERS}
WORKLOADS = str(Path(__file__).with_name("workloads.py"))

# ── Measuring: processes in turn, medians, ratios ─────────────────────────────────────────────────


def run(*work):
    """What a piece of work found out."""
    command = [sys.executable, WORKLOADS, *map(str, work)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def measure_steps(peers, settings, rounds, progress):
    """For each setting a dictionary: library -> (microseconds a step, times microgd's time).

    microgd and the step by hand share a process and take turns in it. Every other library has one
    of its own, PyTorch one for each number of threads, and the processes have their turns one after
    the other, `rounds` times a setting.
    """
    contestants = ["hand,microgd:0"]
    for peer in peers:
        contestants += [
            f"{peer}:{threads}"
            for threads in (sorted({1, 2, os.cpu_count()}) if peer == "torch" else [0])
        ]
    rows = []
    with ExitStack() as stack:
        processes = {}
        for contestant in contestants:
            command = [sys.executable, WORKLOADS, "steps", *contestant.split(":")]
            pipes = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            processes[contestant] = stack.enter_context(pipes)
        for setting in settings:
            turns = {contestant: [] for contestant in contestants}
            for _ in range(rounds):
                for contestant, process in processes.items():
                    process.stdin.write(f"{setting}\n")
                    process.stdin.flush()
                    turns[contestant].append(json.loads(process.stdout.readline()))
                progress.update()
            rows.append(compared(turns))
    return rows


def compared(turns):
    """The medians of times and of ratios; PyTorch's with its best number of threads."""
    mine = [turn["microgd"] for turn in turns["hand,microgd:0"]]
    result = {}
    for contestant, taken in turns.items():
        for name in contestant.split(":")[0].split(","):
            times, ratios = [], []
            for measured, beside in zip((turn[name] for turn in taken), mine, strict=True):
                if abs(measured["loss"] - beside["loss"]) > 1e-5 * beside["loss"]:
                    sys.exit(
                        f"{name} arrived at a loss of {measured['loss']}, microgd at "
                        f"{beside['loss']}"
                    )
                times += measured["times"]
                ratios += [a / b for a, b in zip(measured["times"], beside["times"], strict=True)]
            best = statistics.median(times), statistics.median(ratios)
            result[name] = min(best, result.get(name, best))
    return result


def measure_processes(command, other, repeats, progress):
    """How many times longer the other command takes, as a whole process, from its start to its
    end.
    """
    ratios = []
    for turn in range(repeats):
        times = {}
        for name in ("command", "other")[:: 1 if turn % 2 else -1]:
            start = perf_counter()
            subprocess.run(
                [sys.executable, *(command if name == "command" else other)],
                stdout=subprocess.DEVNULL,
                check=True,
            )
            times[name] = perf_counter() - start
        ratios.append(times["other"] / times["command"])
        progress.update()
    return statistics.median(ratios)


# ── Tables and the picture ────────────────────────────────────────────────────────────────────────


def machine():
    """What it was measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    return (
        f"{model}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )


def network(sizes):
    """784→16→16→10."""
    return "→".join(map(str, sizes))


def step_table(rows, settings):
    """The times of a step, and in brackets how many times microgd's that is."""
    names = list(rows[0])
    head = ["network", "batch", *(TITLES[name] for name in names), "microgd / by hand"]
    lines = [head, ["---"] * len(head)]
    for i, row in zip(settings, rows, strict=True):
        sizes, batch = SETTINGS[i]
        cells = [
            f"{time:,.0f} µs" + (f" ({ratio:.1f} ×)" if name in PEERS else "")
            for name, (time, ratio) in row.items()
        ]
        lines.append([network(sizes), str(batch), *cells, f"{1 / row['hand'][1]:.2f}"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines[1] = ["-" * width for width in widths]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def plot(rows, settings, path):
    """A picture of the table: each library's time as a multiple of the time by hand."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    looks = {
        "microgd": ("o", "#0072B2"),
        "torch": ("s", "#D55E00"),
        "mygrad": ("^", "#009E73"),
        "autograd": ("D", "#CC79A7"),
    }
    figure, axes = plt.subplots(figsize=(8, 1.6 + 0.4 * len(rows)), layout="constrained")
    for name, (marker, color) in looks.items():
        if name in rows[0]:
            ratios = [row[name][1] / row["hand"][1] for row in rows]
            axes.plot(
                ratios, range(len(rows)), marker, color=color, markersize=8, label=TITLES[name]
            )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g} ×")
    axes.set_yticks(
        range(len(rows)), [f"{network(SETTINGS[i][0])}, batch {SETTINGS[i][1]}" for i in settings]
    )
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(
        "time of one SGD step, as a multiple of the time by hand in NumPy (left is faster)"
    )
    axes.set_title("One step of training, the same computation in each library", fontsize=11)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(looks),
        frameon=False,
    )
    figure.savefig(path, dpi=150)


# ── The command line ──────────────────────────────────────────────────────────────────────────────


def report_steps(options, peers, progress):
    """The table, and the picture."""
    settings, repeats = ([0], 1) if options.quick else (list(range(len(SETTINGS))), options.repeats)
    rows = measure_steps(
        [peer for peer in peers if peer != "micrograd"], settings, repeats, progress
    )
    progress.write(
        "One step of stochastic gradient descent, float32. Medians; in brackets the time divided "
        "by microgd's,"
    )
    progress.write(
        "where a library's and microgd's turns that lie close to each other are compared, and then "
        "the median is taken.\n"
    )
    progress.write(step_table(rows, settings))
    progress.write(
        "\nmicrogd / by hand, geometric mean: "
        f"{statistics.geometric_mean([1 / row['hand'][1] for row in rows]):.2f}"
    )
    if options.plot:
        plot(rows, settings, options.plot)
        progress.write(f"\nThe picture is in {options.plot}.")


def report_numbers(options, peers, progress):
    """micrograd's own examples, and how the cost of a graph grows."""
    if "micrograd" in peers:
        found = []
        for _ in range(options.repeats):
            found.append(run("numbers"))
            progress.update()
        expression, moons = (
            statistics.median(ratios[work] for ratios in found) for work in ("expression", "moons")
        )
        progress.write("\nmicrograd's time divided by microgd's:")
        progress.write(f"{expression:7.2f}  the expression in its README, forward and backward")
        progress.write(
            f"{moons:7.2f}  a step of its network on two moons, its own classes with microgd's "
            "Value"
        )
    progress.write("\nA chain of operations on numbers, forward and backward. A node takes")
    for length in (10**3, 10**4, 10**5, 10**6):
        chains = [run("chain", length) for _ in range(3)]
        off, on, held = (
            statistics.median(chain[key] for chain in chains) for key in ("off", "on", "bytes")
        )
        progress.write(
            f"  of {length:9,}: {off:.2f} µs, {on:.2f} µs with Python's garbage collector on, and "
            f"{held:.0f} bytes"
        )


def report_processes(options, peers, progress):
    """What takes a process of its own: importing, and a whole program."""
    ratio = measure_processes(
        ["-c", "import numpy"], ["-c", "import microgd"], 2 * options.repeats, progress
    )
    progress.write(
        f"\nA process that imports microgd takes {ratio:.2f} × the time of one that imports NumPy."
    )
    if options.data and "torch" in peers:
        mine = [WORKLOADS, "train_microgd", options.data]
        theirs = [
            [WORKLOADS, "train_torch", options.data, str(threads)]
            for threads in (1, os.cpu_count())
        ]
        ratio = min(
            measure_processes(mine, command, min(options.repeats, 5), progress)
            for command in theirs
        )
        progress.write(
            f"A program that loads MNIST and trains 784→10 to {GOAL:.0%} takes {ratio:.2f} × as "
            "long in PyTorch, imports"
        )
        (epochs, right), (their_epochs, their_right) = (
            run(*command[1:]) for command in (mine, theirs[0])
        )
        progress.write(
            f"included. (microgd: {right:.2%} after {epochs} epochs, PyTorch: {their_right:.2%} "
            f"after {their_epochs}.)"
        )


def main(arguments=None):
    """Find the peers that are here, measure, and say so."""
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
    parser.add_argument("--plot", metavar="FILE", help="draw the table too, as PNG, SVG or PDF")
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
    peers = [] if options.quick else [name for name in PEERS if find_spec(name)]
    print(f"{date.today()}: {machine()}")
    for name in () if options.quick else PEERS:
        print(
            f"{PEERS[name]}: {version(name)}"
            if name in peers
            else f"{PEERS[name]}: not installed, left out"
        )
    print()
    try:
        with tqdm(unit="round", leave=False, disable=None) as progress:
            report_steps(options, peers, progress)
            if not options.quick:
                report_numbers(options, peers, progress)
                report_processes(options, peers, progress)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
