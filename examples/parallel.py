"""How can several processes, on one machine or on a thousand, train one network?

Each process takes its part of every mini-batch, and computes the gradient on that part. The
weighted mean of these gradients is the gradient on the whole mini-batch, so all processes make the
same step. Start four of them with

    mpiexec -n 4 python examples/parallel.py
"""

# %% The processes. Each of them runs this program from top to bottom, and has a number, its rank.
import os
import socket
import sys
import warnings

# Otherwise each process would use all cores for its matrix products, and slow the others down.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import figures.parallel
import networks
import numpy as np
import parallel_costs
import processes
import program
from averaging import average

from microgd import data, nn, optim, train

introduce = processes.with_a_witness()
# With the mpiexec of another MPI each process would believe that it is alone. mpi4py warns of that.
warnings.filterwarnings("error", "suspicious MPI")
try:
    from mpi4py import MPI
except (ImportError, RuntimeWarning) as error:
    sys.exit(f"{error}\npip install -e '.[parallel]' installs MPI, with its own command mpiexec")

comm = MPI.COMM_WORLD
processes.end_all_if_one_fails(comm, known_to_all=(train.DivergedError, processes.Different))
parser = program.parser(__doc__)
parser.add_argument(
    "--data", metavar="FOLDER", help="files in MNIST's format (default: the sample)"
)
parser.add_argument("--hidden", type=program.at_least(1), default=128, help="hidden units")
parser.add_argument("--batch-size", type=program.at_least(1), default=256, help="examples a step")
parser.add_argument("--epochs", type=program.at_least(1), default=3, help="passes over the digits")
parser.add_argument("--rate", type=program.rate, default=0.1, help="the learning rate")
parser.add_argument("--seed", type=program.at_least(0), default=0, help="for weights and order")
parser.add_argument(
    "--checkpoint", metavar="PATH", help="a file to write after each epoch, and to go on from"
)


def read_options():
    """The command line, which is wrong if the checkpoint could not be written."""
    options = program.options(parser)
    networks.check_writable(parser, "--checkpoint", options.checkpoint)
    return options


options = processes.together(comm, read_options)
digits = processes.together(comm, lambda: data.idx(options.data) if options.data else data.digits())
PIDS = comm.allgather(os.getpid())
HOSTS = comm.allgather(socket.gethostname())
CORES = len(set().union(*comm.allgather(processes.cores())))


def say(text):
    """Print a line, in process 0 alone."""
    if comm.rank == 0:
        print(text, flush=True)


for rank, pid in enumerate(PIDS):
    say(f"process {rank} of {comm.size}: PID {pid} on {HOSTS[rank]}")
introduce(f"process {comm.rank} of {comm.size} (PID {os.getpid()} on {HOSTS[comm.rank]})")


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
    computed = MPI.Wtime()
    loss = average(group, model.parameters(), part, len(mine) / len(x))
    seconds = MPI.Wtime() - computed
    # A number that is nan in one process is nan in the sum, and so in all: they stop together.
    if not all(np.isfinite(each).all() for each in [loss, *(p.grad for p in model.parameters())]):
        parts = ", ".join(f"{each:.3g}" for each in group.allgather(part))
        raise train.DivergedError(
            f"the loss or a gradient became infinite or nan in {where}. The losses of the parts, "
            f"from process 0 on, are {parts}. If one part alone is nan, look at its data; "
            "otherwise try a smaller --rate"
        )
    return float(loss), seconds


# %% All processes begin with the same weights and draw the same mini-batches, from the same seed.
def start():
    """A new network, its optimizer, and the generator that draws the mini-batches."""
    rng = np.random.default_rng(options.seed)
    hidden, output = nn.Linear(784, options.hidden, rng=rng), nn.Linear(options.hidden, 10, rng=rng)
    model = nn.Sequential(hidden, nn.ReLU(), output)
    return model, optim.SGD(model.parameters(), lr=options.rate, momentum=0.9), rng


def check_same_after(epoch, group, model, rng, order):
    """End all if what a process has seen or learned, or will draw, is not the same as in process 0.

    `order` holds the labels in the order in which they came.
    """
    things = {
        f"mini-batches in epoch {epoch}": np.concatenate(order),
        f"random numbers after epoch {epoch}": str(rng.bit_generator.state),
    }
    for name, array in model.state_dict().items():
        things[f"{name} after epoch {epoch}"] = array
    processes.check_same(group, things)


def learn(group):
    """Train; the network, the loss of each step, and an epoch's seconds, and those of sending."""
    model, optimizer, rng = start()
    losses, seconds, done = [], [], 0
    if options.checkpoint:

        def load():
            if not os.path.exists(options.checkpoint):
                return 0
            return train.load_checkpoint(options.checkpoint, model, optimizer, rng)

        done = processes.together(group, load)
        processes.check_same(group, {f"epochs in {options.checkpoint}": done})
        say(f"epochs done, by {options.checkpoint}: {done}")
        if done:
            say(f"The learning rate, {optimizer.lr:g}, and the order of digits are as they were.")
    for epoch in range(done + 1, options.epochs + 1):
        began, sending, order = MPI.Wtime(), 0.0, []
        batches = data.minibatches(*digits.train, options.batch_size, rng)
        for number, (x, y) in enumerate(batches, 1):
            where = f"epoch {epoch}, batch {number}"
            loss, waited = shared_gradient(group, model, x, y, where)
            optimizer.step()
            losses.append(loss)
            sending += waited
            order.append(y)
        seconds.append((MPI.Wtime() - began, sending))
        check_same_after(epoch, group, model, rng, order)
        if options.checkpoint and group.rank == 0:
            train.save_checkpoint(options.checkpoint, model, optimizer, rng, epoch)
    return parallel_costs.Run(model, losses, seconds)


model, _, _ = start()
settings = f"{options.batch_size}, {options.epochs}, {options.rate}, {options.checkpoint}"
processes.check_same(
    comm,
    {
        "images": digits.train.x,
        "labels": digits.train.y,
        "seed": options.seed,
        "settings": settings,
        "weights": nn.parameters_to_vector(model.parameters()),
    },
)

# %% Is the mean of the parts' gradients the gradient on the whole mini-batch? Up to rounding.
x, y = digits.train.x[: options.batch_size], digits.train.y[: options.batch_size]
gradient(model, x, y)
whole = np.concatenate([p.grad.ravel() for p in model.parameters()])
shared_gradient(comm, model, x, y, "the first mini-batch")
shared = np.concatenate([p.grad.ravel() for p in model.parameters()])
ROUNDING = np.abs(shared - whole).max() / np.spacing(np.abs(whole).max())
if comm.size > 1:
    say(
        f"The gradient by {comm.size} processes and that by one differ by at most {ROUNDING:.1f} "
        "units in the last place of the largest element."
    )
    if ROUNDING > 1000:
        say("That is more than rounding: is something random, or not the same, in the processes?")
else:
    say("There is one process, so this is plain training. Start more of them by mpiexec -n 4.")

# %% Train with 1, 2, 4, ... processes, up to all of them, while the others wait.
# Split makes a group of the first few processes. The others get no group.
counts = [2**n for n in range(10) if 2**n < comm.size] + [comm.size]
if options.checkpoint:
    counts = [comm.size]
RUNS = {}
for count in counts:
    group = comm.Split(0 if comm.rank < count else MPI.UNDEFINED)
    if comm.rank < count:
        RUNS[count] = learn(group)
    processes.wait_for_all(comm)
processes.leave_the_rest_to_process_0(comm)

# %% What it took. (From here on there is only process 0.)
if not RUNS[comm.size].losses:
    print(f"All of the {options.epochs} epochs are done: --epochs sets a larger number.")
    sys.exit()
print()
parallel_costs.say_times(RUNS)
# Forward, each weight is multiplied once an example. Backward it is once for its own gradient and,
# behind the hidden layer, once more for the gradient of what comes in.
examples = min(options.batch_size, len(digits.train.x))
products = examples * options.hidden * (2 * 784 + 3 * 10)
count = nn.parameters_to_vector(model.parameters()).size
_, accuracy = train.evaluate(RUNS[comm.size].model, nn.cross_entropy, *digits.test)
print()
program.say(
    f"In a step each process sends {4 * (count + 1):,} bytes, however many examples there are,",
    f"and computes {products / comm.size:,.0f} multiply-adds. {processes.turns(CORES, comm.size)}",
    f"In the end the network names {accuracy:.1%} of the test digits rightly.",
)
steps = options.epochs * -(-len(digits.train.x) // options.batch_size)
figure = figures.parallel.draw(RUNS, steps, CORES)
program.save(figure, options.out / "parallel.png")
