"""What benchmark.py times. Each piece of work runs in a process of its own: python workloads.py
NAME ARGUMENT ...
"""

import gc
import json
import random
import signal
import statistics
import sys
import tracemalloc
from itertools import cycle, pairwise
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

SETTINGS = [
    (sizes, batch)
    for sizes in ((784, 10), (784, 16, 16, 10), (784, 128, 10))
    for batch in (10, 32, 256)
]
LEARNING_RATE = 0.01
CHECKED_STEPS = 50  # after these all must have arrived at the same loss

# ── One step of gradient descent, the same in each library ────────────────────────────────────────
# Each function takes the weights (out, in) and biases (out,) to start from, layer by layer, and
# returns a function that makes one step on a mini-batch and returns its loss as a float.


def by_hand(layers):
    """What somebody writes who derives the gradients on paper: no graph, no gradient for the
    pixels.
    """
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
        linear.load_state_dict(
            {"weight": torch.from_numpy(w.copy()), "bias": torch.from_numpy(b.copy())}
        )
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
    weights, biases = (
        [mygrad.tensor(w.T.copy()) for w, _ in layers],
        [mygrad.tensor(b.copy()) for _, b in layers],
    )

    def step(x, y):
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            x = mygrad.matmul(relu(x, constant=False) if i else x, w) + b
        loss = softmax_crossentropy(x, y)
        loss.backward()
        for parameter in (*weights, *biases):
            parameter.data -= LEARNING_RATE * parameter.grad
        return loss.item()

    return step


def by_autograd(layers):
    """With autograd's value_and_grad of a function of all weights and biases."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.tracer import getval

    parameters = [(w.T.copy(), b.copy()) for w, b in layers]

    def loss_of(parameters, x, y):
        for i, (w, b) in enumerate(parameters):
            x = anp.dot(anp.maximum(x, 0) if i else x, w) + b
        x = x - getval(x).max(axis=1, keepdims=True)  # which the loss does not depend on
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
    rng, layers = np.random.default_rng(0), []
    for inputs, outputs in pairwise(sizes):
        bound = inputs**-0.5
        layers.append(
            [
                rng.uniform(-bound, bound, shape).astype(np.float32)
                for shape in ((outputs, inputs), outputs)
            ]
        )
    return layers, [
        (rng.random((batch, sizes[0]), np.float32), rng.integers(0, sizes[-1], batch))
        for _ in range(20)
    ]


def prepare(names, sizes, batch):
    """For each library its step, mini-batches without end, and the loss it arrives at; and how many
    steps make a turn.
    """
    layers, batches = problem(sizes, batch)
    prepared, start = {}, perf_counter()
    for name in names:
        step, endless = globals()[f"by_{name}"](layers), cycle(batches)
        losses = [step(*next(endless)) for _ in range(CHECKED_STEPS)]
        prepared[name] = step, endless, losses[-1]
    # 5 milliseconds
    return prepared, max(5, int(0.005 * CHECKED_STEPS * len(names) / (perf_counter() - start)))


def work_steps(names, threads):
    """Reads the number of a setting, takes turns at it, writes microseconds a step and losses;
    again and again.

    Several libraries take turns at going first. Other processes are at work while this one waits,
    so it lets the first turns go by until caches are warm again.
    """
    if threads != "0":
        import torch

        torch.set_num_threads(int(threads))
    setting = None
    for line in sys.stdin:
        if int(line) != setting:
            setting = int(line)
            prepared, count = prepare(names.split(","), *SETTINGS[setting])
        # the threads of the process that was at work before go on turning for a while, in the way
        # of this one
        sleep(0.1)
        times = {name: [] for name in prepared}
        for turn in range(-6, 8):
            for name in list(prepared)[:: 1 if turn % 2 else -1]:
                step, endless, _ = prepared[name]
                start = perf_counter()
                for _ in range(count):
                    step(*next(endless))
                if turn >= 0:
                    times[name].append((perf_counter() - start) / count * 1e6)
        yield {name: {"times": times[name], "loss": prepared[name][2]} for name in prepared}


# ── Numbers: micrograd's expression and network, with its Value and with microgd's ────────────────


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
    """micrograd's network learns to tell two crescents apart: the time of a step in seconds, and
    the last loss.
    """
    import micrograd.nn

    micrograd.nn.Value = number  # its classes take whatever has this name
    rng = np.random.default_rng(0)
    angle, side = rng.random(100) * np.pi, np.repeat([1, -1], 50)
    points = np.stack(
        [np.cos(angle) * side + (side < 0), np.sin(angle) * side + 0.5 * (side < 0)], axis=1
    )
    points += rng.normal(0, 0.1, points.shape)
    random.seed(0)
    model, times = micrograd.nn.MLP(2, [16, 16, 1]), []
    for step in range(steps):
        start = perf_counter()
        scores = [model([number(x) for x in point]) for point in points.tolist()]
        margins = [
            (1 + -sign * score).relu() for sign, score in zip(side.tolist(), scores, strict=True)
        ]
        loss = sum(margins) * (1.0 / len(margins)) + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.01 * step) * p.grad
        times.append(perf_counter() - start)
    return statistics.median(times), loss.data


def work_numbers():
    """How many times microgd's time micrograd takes for each. Neither has threads, so they take
    turns in one process.

    The turns are long, since micrograd's graphs are cycles: the collector comes for them later, in
    whoever's turn it is.
    """
    from micrograd.engine import Value as Theirs

    from microgd import Value as Mine

    ratios = []
    for _ in range(15):
        times = {}
        for number in (Mine, Theirs):
            start = perf_counter()
            for _ in range(1000):
                results = expression(number)
            times[number] = perf_counter() - start, results
        ratios.append(times[Theirs][0] / times[Mine][0])
    (mine, loss), (theirs, their_loss) = two_moons(Mine, steps=3), two_moons(Theirs, steps=3)
    if not np.allclose([*times[Mine][1], loss], [*times[Theirs][1], their_loss]):
        sys.exit("microgd and micrograd do not compute the same")
    yield {"expression": statistics.median(ratios), "moons": theirs / mine}


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
