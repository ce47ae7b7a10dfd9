"""The tables and the picture of benchmark.py.

A row of `rows` belongs to a setting, a network and a size of mini-batches. It is a dictionary:
contestant -> times of a step in microseconds, one for each turn. `rows` are of single steps, and
`loops` of three epochs of training.
"""

import os
import platform
import statistics
from pathlib import Path

import numpy as np
from workloads import SETTINGS

PEERS = {
    "torch": "PyTorch",
    "torch_compile": "torch.compile",
    "jax": "JAX",
    "mygrad": "MyGrad",
    "autograd": "autograd",
    "micrograd": "micrograd",
}
TITLES = {
    "hand": "by hand",
    "microgd": "microgd",
    "drop_in": "drop-in",
    "fit": "fit eager",
    "fit_compiled": "fit compiled",
    **PEERS,
}


def machine():
    """What it was measured on."""
    return (
        f"{processor()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )


def processor():
    """Its name, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def network(sizes):
    """784→16→16→10."""
    return "→".join(map(str, sizes))


def ratio(row, name, base):
    """How many times longer one takes than the other: the median over their turns, which lie close
    to each other.
    """
    return statistics.median(a / b for a, b in zip(row[name], row[base], strict=True))


def mean_ratio(rows, name, base):
    """The geometric mean over the settings."""
    return statistics.geometric_mean([ratio(row, name, base) for row in rows])


# ── Tables ────────────────────────────────────────────────────────────────────────────────────────


def table(lines):
    """Lines of cells as Markdown; the first is the head."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    head, *body = lines
    shown = []
    for line in (head, rule, *body):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        shown.append("| " + " | ".join(cells) + " |")
    return "\n".join(shown)


def table_of_times(rows, settings, compared):
    """The times of a step, a library's with that time divided by microgd's in brackets; and at the
    end a column for each of `compared`, its time divided by the time by hand.
    """
    names = list(rows[0])
    head = ["network", "batch"]
    head += [TITLES[name] for name in names]
    head += [f"{TITLES[name]} / by hand" for name in compared]
    lines = [head]
    for setting, row in zip(settings, rows, strict=True):
        sizes, batch = SETTINGS[setting]
        line = [network(sizes), str(batch)]
        for name in names:
            cell = f"{statistics.median(row[name]):,.0f} µs"
            if name in PEERS:
                cell += f" ({ratio(row, name, 'microgd'):.1f} ×)"
            line.append(cell)
        line += [f"{ratio(row, name, 'hand'):.2f}" for name in compared]
        lines.append(line)
    return table(lines)


def means(rows, compared):
    """A line for each column that compares with the time by hand."""
    lines = []
    for name in compared:
        lines.append(
            f"{TITLES[name]} / by hand, geometric mean: {mean_ratio(rows, name, 'hand'):.2f}"
        )
    return "\n".join(lines)


def table_of_peers(rows, bases):
    """Each library's time divided by microgd's, over all settings."""
    head = ["time of a step"]
    head += [f"divided by {TITLES[base]}'s" for base in bases]
    lines = [head]
    for name in rows[0]:
        if name not in PEERS:
            continue
        line = [TITLES[name]]
        for base in bases:
            ratios = [ratio(row, name, base) for row in rows]
            mean = statistics.geometric_mean(ratios)
            line.append(f"{mean:.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
        lines.append(line)
    return table(lines)


# ── The picture ───────────────────────────────────────────────────────────────────────────────────

# Colours of Okabe and Ito, which colour-blind readers tell apart; hollow markers are compiled.
BLUE, VERMILION, ORANGE = "#0072B2", "#D55E00", "#E69F00"
GREEN, PURPLE = "#009E73", "#CC79A7"
LOOKS = {
    "microgd": ("o", BLUE, BLUE, "microgd"),
    "drop_in": ("o", BLUE, "white", "microgd, compiled loss"),
    "fit": ("*", BLUE, BLUE, "microgd's fit"),
    "fit_compiled": ("*", BLUE, "white", "microgd's fit, compiled"),
    "torch": ("s", VERMILION, VERMILION, "PyTorch"),
    "torch_compile": ("s", VERMILION, "white", "torch.compile"),
    "jax": ("v", ORANGE, "white", "JAX"),
    "autograd": ("D", PURPLE, PURPLE, "autograd"),
    "mygrad": ("^", GREEN, GREEN, "MyGrad"),
}


def plot(rows, loops, settings, path):
    """A picture of the tables: each one's time as a multiple of the time by hand."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 2 + 0.65 * len(settings)), layout="constrained")
    shown = [name for name in LOOKS if name in rows[0] or name in loops[0]]
    for i, name in enumerate(shown):
        marker, edge, face, label = LOOKS[name]
        of_name = rows if name in rows[0] else loops
        ratios = [ratio(row, name, "hand") for row in of_name]
        # One below the other, so that no marker hides another.
        shift = 0.76 * (i / max(1, len(shown) - 1) - 0.5)
        heights = [position + shift for position in range(len(settings))]
        axes.plot(
            ratios,
            heights,
            marker,
            color=edge,
            markerfacecolor=face,
            markeredgewidth=1.5,
            markersize=10 if marker == "*" else 7,
            label=label,
        )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g} ×")
    names = [f"{network(SETTINGS[i][0])}, batch {SETTINGS[i][1]}" for i in settings]
    axes.set_yticks(range(len(settings)), names)
    axes.set_ylim(len(settings) - 0.5, -0.5)
    for boundary in range(1, len(settings)):
        axes.axhline(boundary - 0.5, color="grey", linewidth=0.5, alpha=0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(
        "time of one SGD step, as a multiple of the time by hand in NumPy (left is faster);\n"
        "for fit, of a loop by hand over the same mini-batches. Hollow: compiled"
    )
    axes.set_title("One step of training, the same computation in each library", fontsize=11)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
