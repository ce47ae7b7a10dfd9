"""How can several processes, on one machine or on a thousand, train one network?

Each process takes its part of every mini-batch, and computes the gradient on that part. The
weighted mean of these gradients is the gradient on the whole mini-batch, so all processes make the
same step. Start four of them with

    mpiexec -n 4 python examples/parallel.py
"""

# %% The processes. Each of them runs this program from top to bottom, and has a number, its rank.
import os
import sys
from time import perf_counter

# Otherwise each process would use all cores for its matrix products, and slow the others down.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import figures.parallel
import numpy as np
import parallel_checks
import parallel_costs
import parallel_start
import processes
import program
from averaging import average

from microgd import data, nn, optim, train

# `comm`, MPI's COMM_WORLD, is how they send each other numbers. All read the same options and data.
comm, options, digits = parallel_start.begin(__doc__)


# %% A step. All processes have the same mini-batch, and each takes its part of it.
def gradient(model, x, y):
    """Set the gradients to those on these examples, and return the loss on them."""
    model.zero_grad()
    if len(x) == 0:  # there are more processes than examples
        return 0.0
    loss = nn.cross_entropy(model(x), y)
    loss.backward()
    return loss.item()


def shared_gradient(group, model, x, y, where):
    """Set the gradients to those on the whole mini-batch; its loss, and the seconds of sending."""
    mine = np.array_split(np.arange(len(x)), group.size)[group.rank]
    part = gradient(model, x[mine], y[mine])
    computed = perf_counter()
    loss = average(group, model.parameters(), part, len(mine) / len(x))
    seconds = perf_counter() - computed
    parallel_checks.check_finite(group, loss, part, model.parameters(), where)
    return float(loss), seconds


# %% All processes begin with the same weights and draw the same mini-batches, from the same seed.
def start():
    """A new network, its optimizer, and the generator that draws the mini-batches."""
    rng = np.random.default_rng(options.seed)
    hidden, output = nn.Linear(784, options.hidden, rng=rng), nn.Linear(options.hidden, 10, rng=rng)
    model = nn.Sequential(hidden, nn.ReLU(), output)
    return model, optim.SGD(model.parameters(), lr=options.rate, momentum=0.9), rng


def learn(group):
    """Train; the network, the loss of each step, and an epoch's seconds, and those of sending."""
    model, optimizer, rng = start()
    losses, seconds, done = [], [], 0
    if options.checkpoint:
        done = parallel_checks.resume(group, options.checkpoint, model, optimizer, rng)
    for epoch in range(done + 1, options.epochs + 1):
        began, sending, order = perf_counter(), 0.0, []
        batches = data.minibatches(*digits.train, options.batch_size, rng)
        for number, (x, y) in enumerate(batches, 1):
            where = f"epoch {epoch}, batch {number}"
            loss, waited = shared_gradient(group, model, x, y, where)
            optimizer.step()
            losses.append(loss)
            sending += waited
            order.append(y)
        seconds.append((perf_counter() - began, sending))
        parallel_checks.check_after(epoch, group, model, rng, order)
        if options.checkpoint and group.rank == 0:
            train.save_checkpoint(options.checkpoint, model, optimizer, rng, epoch)
    return parallel_costs.Run(model, losses, seconds)


model, _, _ = start()
parallel_checks.check_start(comm, options, digits, model)

# %% Is the mean of the parts' gradients the gradient on the whole mini-batch? Up to rounding.
x, y = digits.train.x[: options.batch_size], digits.train.y[: options.batch_size]
gradient(model, x, y)
whole = np.concatenate([p.grad.ravel() for p in model.parameters()])
shared_gradient(comm, model, x, y, "the first mini-batch")
shared = np.concatenate([p.grad.ravel() for p in model.parameters()])
ROUNDING = np.abs(shared - whole).max() / np.spacing(np.abs(whole).max())
parallel_checks.say_rounding(comm, ROUNDING)

# %% Train with 1, 2, 4, ... processes, up to all of them, while the others wait.
counts = [2**n for n in range(10) if 2**n < comm.size] + [comm.size]
if options.checkpoint:
    counts = [comm.size]
RUNS = {}
for count in counts:
    group = comm.Split(comm.rank < count)  # two groups: the first few processes, and the others
    if comm.rank < count:
        RUNS[count] = learn(group)
    processes.wait_for_all(comm)
CORES = processes.all_cores(comm)
processes.leave_the_rest_to_process_0(comm)

# %% What it took. (From here on there is only process 0.)
if not RUNS[comm.size].losses:
    print(f"All of the {options.epochs} epochs are done: --epochs sets a larger number.")
    sys.exit()
parallel_costs.say_times(RUNS)
examples = min(options.batch_size, len(digits.train.x))
parallel_costs.say_work(model, examples, comm.size, CORES)
_, accuracy = train.evaluate(RUNS[comm.size].model, nn.cross_entropy, *digits.test)
print(f"In the end the network names {accuracy:.1%} of the test digits rightly.\n")
steps = options.epochs * -(-len(digits.train.x) // options.batch_size)
figure = figures.parallel.draw(RUNS, steps, CORES)
program.save(figure, options.out / "parallel.png")
