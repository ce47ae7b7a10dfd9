"""What benchmark.py times. Each piece of work runs in a process of its own: python workloads.py
NAME ARGUMENT ...
"""

import gc
import json
import os
import random
import signal
import statistics
import sys
import tracemalloc
from itertools import cycle, pairwise
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
from benchmark_steps import LEARNING_RATE, STEPS, by_hand, microgd_model

NETWORKS = ((784, 10), (784, 16, 16, 10), (784, 128, 10))
BATCH_SIZES = (10, 32, 256)
SETTINGS = [(sizes, batch) for sizes in NETWORKS for batch in BATCH_SIZES]
FIRST_STEPS = 10  # these compile, and fill caches
CHECKED_STEPS = 50  # after these all must have arrived at the same loss

# ── One step of gradient descent, the same in each library ────────────────────────────────────────


def first_layers(sizes, rng):
    """Weights and biases to start from."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        bound = inputs**-0.5
        weights = rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)
        biases = rng.uniform(-bound, bound, outputs).astype(np.float32)
        layers.append((weights, biases))
    return layers


def problem(sizes, batch):
    """Weights and biases to start from, and 20 mini-batches: the same ones in every process."""
    rng = np.random.default_rng(0)
    layers = first_layers(sizes, rng)
    batches = []
    for _ in range(20):
        x = rng.random((batch, sizes[0]), np.float32)
        y = rng.integers(0, sizes[-1], batch)
        batches.append((x, y))
    return layers, batches


def prepare(names, sizes, batch):
    """For each library its step, mini-batches without end, and the loss it arrives at; and how many
    steps make a turn.
    """
    layers, batches = problem(sizes, batch)
    prepared = {}
    seconds = 0.0
    for name in names:
        step = STEPS[name](layers)
        endless = cycle(batches)
        for _ in range(FIRST_STEPS):
            step(*next(endless))
        start = perf_counter()
        for _ in range(CHECKED_STEPS - FIRST_STEPS):
            loss = step(*next(endless))
        seconds += perf_counter() - start
        prepared[name] = step, endless, loss
    mean_seconds = seconds / (CHECKED_STEPS - FIRST_STEPS) / len(names)
    steps_in_5_milliseconds = int(0.005 / mean_seconds)
    return prepared, max(5, steps_in_5_milliseconds)


def work_steps(names, threads):
    """Reads the number of a setting, takes turns at it, writes microseconds a step and losses;
    again and again.

    Several libraries take turns at going first. Other processes are at work while this one waits,
    so it lets the first turns go by until caches are warm again.
    """
    names = names.split(",")
    if names == ["jax"] and threads == "1":
        stay_on_one_processor()
    setting = None
    for line in sys.stdin:
        if int(line) != setting:
            setting = int(line)
            prepared, count = prepare(names, *SETTINGS[setting])
        # the threads of the process that was at work before go on turning for a while, in the way
        # of this one
        sleep(0.1)
        times = {name: [] for name in names}
        for turn in range(-6, 8):
            for name in in_turn(names, turn):
                step, endless, _ = prepared[name]
                start = perf_counter()
                for _ in range(count):
                    step(*next(endless))
                seconds = perf_counter() - start
                if turn >= 0:
                    times[name].append(seconds / count * 1e6)
        yield {name: {"times": times[name], "loss": prepared[name][2]} for name in names}


def in_turn(names, turn):
    """The names, in the opposite order every other time."""
    return names if turn % 2 else names[::-1]


def stay_on_one_processor():
    """JAX makes as many threads as it finds processors, and has no setting for their number."""
    if hasattr(os, "sched_setaffinity"):  # not on macOS or Windows
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def work_trial(name):
    """Make a step with this library: None, or why it does not work on this machine."""
    layers, batches = problem(*SETTINGS[0])
    try:
        step = STEPS[name](layers)
        step(*batches[0])
    except Exception as error:
        message = str(error).strip() or "no message"
        yield f"{type(error).__name__}: {message.splitlines()[0]}"
    else:
        yield None


# ── Three epochs of training, the loop included ───────────────────────────────────────────────────
# Each function returns the mean loss of the last epoch.

EPOCHS = 3


def loop_by_hand(layers, x, y, batch):
    """The loop that one writes around the step by hand: it draws an order, and takes slices."""
    step = by_hand(layers)
    rng = np.random.default_rng(0)
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        total = 0.0
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            total += len(chosen) * step(x[chosen], y[chosen])
    return total / len(x)


def loop_fit(layers, x, y, batch, **options):
    """microgd's loop, eager, with all that it checks."""
    from microgd import nn, optim, train

    model = microgd_model(layers)
    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE)
    training = train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        x,
        y,
        epochs=EPOCHS,
        batch_size=batch,
        rng=np.random.default_rng(0),
        **options,
    )
    *_, last = training
    return last.loss


def loop_fit_compiled(layers, x, y, batch):
    """microgd's loop as a compiled program; its time includes compiling."""
    return loop_fit(layers, x, y, batch, compiled=True)


def work_epochs(setting, rounds, examples):
    """The loops take turns: for each the microseconds a step of every round, and the loss."""
    sizes, batch = SETTINGS[int(setting)]
    rng = np.random.default_rng(0)
    layers = first_layers(sizes, rng)
    examples = int(examples)
    x = rng.random((examples, sizes[0]), np.float32)
    y = rng.integers(0, sizes[-1], examples)
    steps = EPOCHS * -(-examples // batch)

    loops = {"hand": loop_by_hand, "fit": loop_fit, "fit_compiled": loop_fit_compiled}
    names = list(loops)
    times = {name: [] for name in names}
    losses = {}
    for turn in range(-1, int(rounds)):
        for name in in_turn(names, turn):
            start = perf_counter()
            losses[name] = loops[name](layers, x, y, batch)
            seconds = perf_counter() - start
            if turn >= 0:
                times[name].append(seconds / steps * 1e6)
    yield {name: {"times": times[name], "loss": losses[name]} for name in names}


# ── Numbers: micrograd's expression and network, with its Value and with microgd's ────────────────


def expression(a, b):
    """The expression in micrograd's README."""
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
    return g


def work_expression():
    """How many times microgd's time micrograd takes for the expression and its gradients: eager,
    and as a compiled program.

    None of them has threads, so they take turns in one process. The turns are long, since
    micrograd's graphs are cycles: the collector comes for them later, in whoever's turn it is.
    """
    from micrograd.engine import Value as Theirs

    import microgd
    from microgd import Value as Mine

    contestants = {
        "micrograd": (Theirs, expression),
        "eager": (Mine, expression),
        "compiled": (Mine, microgd.compiled(expression)),
    }
    program = microgd.source(expression, Mine(-4.0), Mine(2.0)).function

    def gradients(number, function):
        a = number(-4.0)
        b = number(2.0)
        g = function(a, b)
        g.backward()
        return [g.data, a.grad, b.grad]

    expected = gradients(Theirs, expression)
    ratios = {name: [] for name in (*contestants, "program")}
    for _ in range(15):
        times = {}
        for name, (number, function) in contestants.items():
            start = perf_counter()
            for _ in range(1000):
                found = gradients(number, function)
            times[name] = perf_counter() - start
            if not np.allclose(found, expected):
                sys.exit(f"the expression of {name} has gradients {found}, not {expected}")
        start = perf_counter()
        for _ in range(1000):
            found = program(-4.0, 2.0)
        times["program"] = perf_counter() - start
        if not np.allclose(found, expected):
            sys.exit(f"the program has gradients {found}, not {expected}")
        for name, seconds in times.items():
            ratios[name].append(times["micrograd"] / seconds)
    yield {name: statistics.median(found) for name, found in ratios.items()}


MOONS_STEPS = 100


def work_moons(name):
    """micrograd's network learns to tell two crescents apart, with micrograd's Value or microgd's,
    eager or compiled. Reads a number of steps, makes them, writes the seconds they took, compiling
    included, and the last loss; again and again.
    """
    import micrograd.engine
    import micrograd.nn

    import microgd

    number = micrograd.engine.Value if name == "micrograd" else microgd.Value
    micrograd.nn.Value = number  # its classes take whatever has this name
    points, sides = two_moons()
    inputs = [[number(x) for x in point] for point in points.tolist()]
    signs = sides.tolist()
    random.seed(0)
    model = micrograd.nn.MLP(2, [16, 16, 1])

    def loss_of_model():
        scores = [model(point) for point in inputs]
        margins = [(1 + -sign * score).relu() for sign, score in zip(signs, scores, strict=True)]
        data_loss = sum(margins) * (1.0 / len(margins))
        penalty = 1e-4 * sum(p * p for p in model.parameters())
        return data_loss + penalty

    if name == "compiled":
        loss_of_model = microgd.compiled(loss_of_model)
    done = 0
    for line in sys.stdin:
        start = perf_counter()
        for step in range(done, done + int(line)):
            loss = loss_of_model()
            model.zero_grad()
            loss.backward()
            rate = 1.0 - 0.9 * step / MOONS_STEPS
            for p in model.parameters():
                p.data -= rate * p.grad
        done += int(line)
        yield {"seconds": perf_counter() - start, "loss": loss.data}


def two_moons():
    """100 points on two crescents, and the side of each: 1 or -1."""
    rng = np.random.default_rng(0)
    angle = rng.random(100) * np.pi
    side = np.repeat([1, -1], 50)
    is_lower = side < 0
    x = np.cos(angle) * side + is_lower
    y = np.sin(angle) * side + 0.5 * is_lower
    points = np.stack([x, y], axis=1)
    points += rng.normal(0, 0.1, points.shape)
    return points, side


def work_chain(length):
    """A chain of scalar operations, forward and backward: microseconds and bytes a node, the
    collector off and on.
    """
    from microgd import Value

    length = int(length)

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
    y.backward()
    yield {**times, "bytes": held}


# ── A whole process: load MNIST, train 784→10 until it names 92 % of the test digits ──────────────

RATE, MOMENTUM, BATCH, GOAL, MOST_EPOCHS = 0.02, 0.9, 64, 0.92, 20


def work_train_microgd(folder):
    """With microgd."""
    from microgd import data, nn, optim, train

    digits = data.mnist(folder)
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    training = train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        *digits.train,
        epochs=MOST_EPOCHS,
        batch_size=BATCH,
        rng=rng,
        test=digits.test,
    )
    for epoch in training:
        if epoch.test_accuracy >= GOAL:
            break
    yield [epoch.number, epoch.test_accuracy]


def work_train_torch(folder, threads):
    """The same in PyTorch: the same weights to start from, the same order."""
    import gzip

    import torch

    torch.set_num_threads(int(threads))

    def read(name, skip):
        return np.frombuffer(
            gzip.decompress((Path(folder) / f"{name}-ubyte.gz").read_bytes()), np.uint8, offset=skip
        )

    def images(name):
        return torch.from_numpy(
            read(f"{name}-images-idx3", 16).reshape(-1, 784).astype(np.float32) / np.float32(255)
        )

    def labels(name):
        return torch.from_numpy(read(f"{name}-labels-idx1", 8).astype(np.int64))

    x, y, test_x, test_y = images("train"), labels("train"), images("t10k"), labels("t10k")
    rng = np.random.default_rng(0)
    model, cross_entropy = torch.nn.Linear(784, 10), torch.nn.CrossEntropyLoss()
    bound = 1 / np.sqrt(784)
    state = {
        "weight": rng.uniform(-bound, bound, (10, 784)),
        "bias": rng.uniform(-bound, bound, 10),
    }
    model.load_state_dict(
        {name: torch.from_numpy(array.astype(np.float32)) for name, array in state.items()}
    )
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
    yield [epoch, accuracy]


if __name__ == "__main__":
    # Ctrl-C ends this silently: benchmark.py says that it has stopped
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for result in globals()[f"work_{sys.argv[1]}"](*sys.argv[2:]):
        print(json.dumps(result), flush=True)
