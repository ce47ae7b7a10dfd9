"""Measure microgd side by side with the same step written by hand, and with the libraries like it that are installed."""

import argparse
import gc
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tracemalloc
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

PEERS = {"torch": "PyTorch", "mygrad": "MyGrad", "autograd": "autograd", "micrograd": "micrograd"}
TITLES = {"hand": "by hand", "microgd": "microgd", **PEERS}
SETTINGS = [(sizes, batch) for sizes in ((784, 10), (784, 16, 16, 10), (784, 128, 10)) for batch in (10, 32, 256)]
LEARNING_RATE = 0.01
CHECKED_STEPS = 50  # after these all must have arrived at the same loss

# ── One step of gradient descent, the same in each library ───────────────────────────────────────────────────────────
# Each function takes the weights (out, in) and biases (out,) to start from, layer by layer, and returns a function that
# makes one step on a mini-batch and returns its loss as a float.


def by_hand(layers):
    """What somebody writes who derives the gradients on paper: no graph, no gradient for the pixels."""
    weights, biases = [w.T.copy() for w, _ in layers], [b.copy() for _, b in layers]
    last = len(layers) - 1

    def step(x, y):
        inputs = []
        for i in range(last + 1):
            inputs.append(x)
            x = x @ weights[i]
            x += biases[i]
            if i < last:
                np.maximum(x, 0, out=x)
        x -= x.max(axis=1, keepdims=True)
        p = np.exp(x)
        sums = p.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = (np.log(sums[:, 0]) - x[rows, y]).mean()
        p /= sums
        p[rows, y] -= 1
        p /= len(y)
        for i in range(last, -1, -1):
            weights_gradient, biases_gradient = inputs[i].T @ p, p.sum(axis=0)
            if i:
                p = p @ weights[i].T
                p *= inputs[i] > 0
            weights[i] -= LEARNING_RATE * weights_gradient
            biases[i] -= LEARNING_RATE * biases_gradient
        return float(loss)

    return step


def by_microgd(layers):
    """As in the README."""
    from microgd import nn, optim

    parts = []
    for w, b in layers:
        linear = nn.Linear(*w.T.shape)
        linear.load_state_dict({"weight": w, "bias": b})
        parts += [linear, nn.ReLU()]
    model = nn.Sequential(*parts[:-1])
    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step(x, y):
        loss = nn.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def by_torch(layers):
    """As in PyTorch's documentation."""
    import torch

    parts = []
    for w, b in layers:
        linear = torch.nn.Linear(*w.T.shape)
        linear.load_state_dict({"weight": torch.from_numpy(w.copy()), "bias": torch.from_numpy(b.copy())})
        parts += [linear, torch.nn.ReLU()]
    model, cross_entropy = torch.nn.Sequential(*parts[:-1]), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step(x, y):
        loss = cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def by_mygrad(layers):
    """With MyGrad's own loss, and without its guards against changed memory, which cost it time."""
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mygrad.turn_memory_guarding_off()
    weights, biases = [mygrad.tensor(w.T.copy()) for w, _ in layers], [mygrad.tensor(b.copy()) for _, b in layers]

    def step(x, y):
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            x = mygrad.matmul(relu(x, constant=False) if i else x, w) + b
        loss = softmax_crossentropy(x, y)
        loss.backward()
        for parameter in (*weights, *biases):
            parameter.data -= LEARNING_RATE * parameter.grad
            parameter.null_grad()
        return loss.item()

    return step


def by_autograd(layers):
    """With autograd's value_and_grad of a function of all weights and biases."""
    import autograd.numpy as anp
    from autograd import value_and_grad

    parameters = [(w.T.copy(), b.copy()) for w, b in layers]

    def loss_of(parameters, x, y):
        for i, (w, b) in enumerate(parameters):
            x = anp.dot(anp.maximum(x, 0) if i else x, w) + b
        x = x - anp.max(x, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(x), axis=1)) - x[np.arange(len(y)), y])

    both = value_and_grad(loss_of)

    def step(x, y):
        loss, gradients = both(parameters, x, y)
        for layer, layer_gradients in zip(parameters, gradients, strict=True):
            for parameter, gradient in zip(layer, layer_gradients, strict=True):
                parameter -= LEARNING_RATE * gradient
        return float(loss)

    return step


def problem(sizes, batch):
    """Weights and biases to start from, and 20 mini-batches: the same ones in every process."""
    rng = np.random.default_rng(0)
    layers = [
        tuple(
            rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(inputs**0.5) for shape in ((outputs, inputs), (outputs,))
        )
        for inputs, outputs in pairwise(sizes)
    ]
    return layers, [(rng.random((batch, sizes[0]), np.float32), rng.integers(0, sizes[-1], batch)) for _ in range(20)]


def time_steps(names, sizes, batch, turns):
    """For each library the time of a step in each turn, in microseconds, and the loss after the first steps."""
    layers, batches = problem(sizes, batch)
    steps = {name: globals()[f"by_{name}"](layers) for name in names}
    start = perf_counter()
    losses = {name: [step(*batches[i % 20]) for i in range(CHECKED_STEPS)][-1] for name, step in steps.items()}
    count = max(5, int(0.005 * CHECKED_STEPS * len(names) / (perf_counter() - start)))  # for a turn of 5 milliseconds
    times = {name: [] for name in names}
    for turn in range(turns):
        for name in names if turn % 2 else names[::-1]:
            step, start = steps[name], perf_counter()
            for i in range(count):
                step(*batches[i % 20])
            times[name].append((perf_counter() - start) / count * 1e6)
    return {name: {"times": times[name], "loss": losses[name]} for name in names}


def work_steps(names, threads, settings, turns):
    """In a process of its own: one library, or microgd and the step by hand in turns, in each setting."""
    if threads:
        import torch

        torch.set_num_threads(threads)
    return [time_steps(names.split(","), *SETTINGS[i], turns) for i in settings]


# ── Numbers: micrograd's expression and network, with its Value and with microgd's ───────────────────────────────────


def expression(number):
    """The expression in micrograd's README, and its gradients."""
    a, b = number(-4.0), number(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    return [g.data, a.grad, b.grad]


def two_moons(number, steps):
    """micrograd's network learns to tell two crescents apart: the time of a step in seconds, and the last loss."""
    import micrograd.nn

    micrograd.nn.Value = number  # its classes take whatever has this name
    rng = np.random.default_rng(0)
    angle, side = rng.random(100) * np.pi, np.repeat([1, -1], 50)
    points = np.stack([np.cos(angle) * side + (side < 0), np.sin(angle) * side + 0.5 * (side < 0)], axis=1)
    points += rng.normal(0, 0.1, points.shape)
    random.seed(0)
    model, times = micrograd.nn.MLP(2, [16, 16, 1]), []
    for step in range(steps):
        start = perf_counter()
        scores = [model([number(x) for x in point]) for point in points.tolist()]
        margins = [(1 + -sign * score).relu() for sign, score in zip(side.tolist(), scores, strict=True)]
        loss = sum(margins) * (1.0 / len(margins)) + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.01 * step) * p.grad
        times.append(perf_counter() - start)
    return statistics.median(times), loss.data


def work_numbers(name):
    """In a process of its own: both, with one library's Value."""
    if name == "microgd":
        from microgd import Value as number  # noqa: N813
    else:
        from micrograd.engine import Value as number  # noqa: N813
    times = []
    for _ in range(20):
        start = perf_counter()
        for _ in range(200):
            results = expression(number)
        times.append((perf_counter() - start) / 200)
    seconds, loss = two_moons(number, steps=3)
    return {"expression": statistics.median(times), "moons": seconds, "results": [*results, loss]}


def work_chain(length):
    """In a process of its own: a chain of scalar operations, forward and backward. Microseconds and bytes a node."""
    from microgd import Value

    def chain():
        y = Value(1.0)
        for _ in range(length // 2):
            y = y * 0.999 + 0.001
        return y

    times = {}
    for collecting in (False, True):
        (gc.enable if collecting else gc.disable)()
        runs = []
        for _ in range(max(3, 100_000 // length)):
            start = perf_counter()
            chain().backward()
            runs.append((perf_counter() - start) / length * 1e6)
        times["on" if collecting else "off"] = statistics.median(runs)
    tracemalloc.start()
    y = chain()
    held = tracemalloc.get_traced_memory()[0] / length
    tracemalloc.stop()
    del y
    return {**times, "bytes": held}


# ── A whole process: load MNIST, train 784→10 until it names 92 % of the test digits ─────────────────────────────────

RATE, MOMENTUM, BATCH, GOAL, MOST_EPOCHS = 0.02, 0.9, 64, 0.92, 20


def work_train_microgd(folder):
    """With microgd."""
    from microgd import data, nn, optim, train

    digits = data.mnist(folder)
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    training = train.fit(
        model, nn.cross_entropy, optimizer, *digits.train, epochs=MOST_EPOCHS, batch_size=BATCH, rng=rng, test=digits.test
    )
    for epoch in training:
        if epoch.test_accuracy >= GOAL:
            break
    return [epoch.number, epoch.test_accuracy]


def work_train_torch(folder):
    """The same in PyTorch: the same weights to start from, the same order."""
    import gzip

    import torch

    def read(name, skip):
        return np.frombuffer(gzip.decompress((Path(folder) / f"{name}-ubyte.gz").read_bytes()), np.uint8, offset=skip)

    def images(name):
        return torch.from_numpy(read(f"{name}-images-idx3", 16).reshape(-1, 784).astype(np.float32) / np.float32(255))

    def labels(name):
        return torch.from_numpy(read(f"{name}-labels-idx1", 8).astype(np.int64))

    x, y, test_x, test_y = images("train"), labels("train"), images("t10k"), labels("t10k")
    rng = np.random.default_rng(0)
    model, cross_entropy = torch.nn.Linear(784, 10), torch.nn.CrossEntropyLoss()
    bound = 1 / np.sqrt(784)
    state = {"weight": rng.uniform(-bound, bound, (10, 784)), "bias": rng.uniform(-bound, bound, 10)}
    model.load_state_dict({name: torch.from_numpy(array.astype(np.float32)) for name, array in state.items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    accuracy, epoch = 0.0, 0
    while accuracy < GOAL and epoch < MOST_EPOCHS:
        epoch += 1
        for chosen in torch.from_numpy(rng.permutation(len(x))).split(BATCH):
            loss = cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(test_x).argmax(axis=1) == test_y).double().mean().item()
    return [epoch, accuracy]


# ── Measuring: processes in turn, medians, ratios ────────────────────────────────────────────────────────────────────


def run(work, *arguments):
    """The result of one of the functions above, in a process of its own."""
    call = [sys.executable, __file__, "--work", json.dumps([work, *arguments])]
    return json.loads(subprocess.run(call, stdout=subprocess.PIPE, check=True).stdout)


def seconds(*command):
    """How long a Python process takes, from its start to its end."""
    start = perf_counter()
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - start


def measure_steps(peers, settings, repeats, turns, progress):
    """For each setting a dictionary: library -> (microseconds a step, times microgd's time)."""
    processes = [("hand,microgd", 0)]
    for peer in peers:
        processes += [(peer, threads) for threads in sorted({1, 2, os.cpu_count()})] if peer == "torch" else [(peer, 0)]
    rows = [{} for _ in settings]
    for _ in range(repeats):
        for process in processes:
            for row, measured in zip(rows, run("steps", *process, settings, turns), strict=True):
                row.setdefault(process, []).append(measured)
            progress.update()
    return [compared(row) for row in rows]


def compared(row):
    """The medians, and the medians of ratios of what was measured in one round; PyTorch's best number of threads."""
    mine = [turn["microgd"] for turn in row["hand,microgd", 0]]
    result = {}
    for (names, _), rounds in row.items():
        for name in names.split(","):
            times, ratios = [], []
            for measured, beside in zip(rounds, mine, strict=True):
                wanted, loss = beside["loss"], measured[name]["loss"]
                if abs(loss - wanted) > 1e-3 * wanted:
                    sys.exit(f"{name} arrived at a loss of {loss}, microgd at {wanted}: they do not compute the same")
                times += measured[name]["times"]
                here, there = measured[name]["times"], beside["times"]
                if name != "hand":  # only these two take turns in one process
                    here, there = [statistics.median(here)], [statistics.median(there)]
                ratios += [a / b for a, b in zip(here, there, strict=True)]
            best = statistics.median(times), statistics.median(ratios)
            result[name] = min(best, result.get(name, best))
    return result


def measure_numbers(repeats, progress):
    """How many times longer micrograd takes for its README's expression, and for a step of its network."""
    ratios = {"expression": [], "moons": []}
    for _ in range(repeats):
        mine, theirs = run("numbers", "microgd"), run("numbers", "micrograd")
        if not np.allclose(mine["results"], theirs["results"]):
            sys.exit(f"microgd computed {mine['results']}, micrograd {theirs['results']}")
        for work, found in ratios.items():
            found.append(theirs[work] / mine[work])
        progress.update()
    return {work: statistics.median(found) for work, found in ratios.items()}


def measure_processes(command, other, repeats, progress):
    """How many times longer the other command takes, as a whole process."""
    ratios = []
    for _ in range(repeats):
        ratios.append(seconds(*other) / seconds(*command))
        progress.update()
    return statistics.median(ratios)


# ── Tables and the picture ───────────────────────────────────────────────────────────────────────────────────────────


def machine():
    """What it was measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} processors, Python {platform.python_version()}, NumPy {np.__version__}"


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
        cells = [f"{time:,.0f} µs" + (f" ({ratio:.1f} ×)" if name in PEERS else "") for name, (time, ratio) in row.items()]
        lines.append([network(sizes), str(batch), *cells, f"{1 / row['hand'][1]:.2f}"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines[1] = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def plot(rows, settings, path):
    """A picture of the table: each library's time as a multiple of the time by hand."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    looks = {"microgd": ("o", "#0072B2"), "torch": ("s", "#D55E00"), "mygrad": ("^", "#009E73"), "autograd": ("D", "#CC79A7")}
    figure, axes = plt.subplots(figsize=(8, 1.6 + 0.4 * len(rows)), layout="constrained")
    for name, (marker, color) in looks.items():
        if name in rows[0]:
            ratios = [row[name][0] / row["hand"][0] for row in rows]
            axes.plot(ratios, range(len(rows)), marker, color=color, markersize=8, label=TITLES[name])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g} ×")
    axes.set_yticks(range(len(rows)), [f"{network(SETTINGS[i][0])}, batch {SETTINGS[i][1]}" for i in settings])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("time of one SGD step, as a multiple of the time by hand in NumPy (left is faster)")
    axes.set_title("One step of training, the same computation in each library", fontsize=11)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(looks), frameon=False)
    figure.savefig(path, dpi=150)
    print(f"\nthe picture is in {path}")


# ── The command line ─────────────────────────────────────────────────────────────────────────────────────────────────


def report(options, peers):
    """Measure, and print the tables as they come."""
    settings = [0] if options.quick else list(range(len(SETTINGS)))
    repeats, turns = (1, 3) if options.quick else (options.repeats, 15)
    with tqdm(unit="process", leave=False, disable=None) as progress:
        rows = measure_steps([p for p in peers if p != "micrograd"], settings, repeats, turns, progress)
        print("One step of stochastic gradient descent, float32 (in brackets: times microgd's time)\n")
        print(step_table(rows, settings))
        mean = statistics.geometric_mean([1 / row["hand"][1] for row in rows])
        print(f"\nmicrogd / by hand, geometric mean: {mean:.2f}")
        if options.plot:
            plot(rows, settings, options.plot)
        if options.quick:
            return
        if "micrograd" in peers:
            ratios = measure_numbers(repeats, progress)
            print(
                f"\nmicrograd's README expression, forward and backward: micrograd takes {ratios['expression']:.2f} × the time"
            )
            print(f"micrograd's network on two moons, with microgd's Value: micrograd takes {ratios['moons']:.2f} × the time")
        print("\na chain of scalar operations, forward and backward, a node:")
        for length in (10**3, 10**4, 10**5, 10**6):
            chain = run("chain", length)
            print(
                f"{length:9,} nodes: {chain['off']:.2f} µs, with the collector {chain['on']:.2f} µs, {chain['bytes']:.0f} bytes"
            )
        ratio = measure_processes(["-c", "import numpy"], ["-c", "import microgd"], 3 * repeats, progress)
        print(f"\nimport microgd takes {ratio:.2f} × the time of import numpy")
        if options.data and "torch" in peers:
            commands = [
                [__file__, "--work", json.dumps([f"train_{library}", options.data])] for library in ("microgd", "torch")
            ]
            results = [run(f"train_{library}", options.data) for library in ("microgd", "torch")]
            ratio = measure_processes(*commands, repeats, progress)
            print(f"whole process, MNIST to {GOAL:.0%}: PyTorch takes {ratio:.2f} × the time; epochs and accuracy {results}")


def main(arguments=None):
    """Find the peers that are here, measure, and say so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="the smallest network and batch, once, without the other libraries"
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds, of which the medians are shown (default: %(default)s)")
    parser.add_argument("--plot", metavar="FILE", help="draw the table too, as PNG, SVG or PDF")
    parser.add_argument(
        "--data", metavar="FOLDER", help="where MNIST's files lie: train to 92 %% in PyTorch and microgd as well"
    )
    parser.add_argument("--work", help=argparse.SUPPRESS)  # how this program calls itself
    options = parser.parse_args(arguments)
    if options.work:
        work, *rest = json.loads(options.work)
        print(json.dumps(globals()[f"work_{work}"](*rest)))
        return 0
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    peers = [] if options.quick else [name for name in PEERS if find_spec(name)]
    print(f"{date.today()}: {machine()}")
    for name in () if options.quick else PEERS:
        print(f"{PEERS[name]}: {version(name)}" if name in peers else f"{PEERS[name]}: not installed, left out")
    print()
    try:
        report(options, peers)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
