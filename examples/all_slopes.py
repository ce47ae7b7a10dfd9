"""What do the slopes of all weights cost?

There is no need to choose a weight to update: one reverse pass finds the slopes of all of them.
This counts the work that it takes, beside the work for the loss alone.
"""

# %% The data: a mini-batch of handwritten digits.
import os
import sys
from itertools import pairwise
from time import perf_counter

# With several threads, a matrix product waits for the slowest of them, and on a busy machine that
# can take a hundred times as long as the product.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import figures.all_slopes
import numpy as np
import program

from microgd import Value, data, gradients, nn

parser = program.parser(__doc__)
about = "digits in the mini-batch, up to 6,000 (default: %(default)s)"
parser.add_argument("--examples", type=program.at_least(1), default=32, help=about)
options = program.options(parser)
NETWORKS = [[784, 10], [784, 16, 16, 10], [784, 128, 10], [784, 512, 512, 10]]
x, y = (array[: options.examples] for array in data.digits().train)
for sizes in NETWORKS or [[]]:  # without any, there is nothing to count
    if np.size(sizes) < 2 or min(sizes) < 1 or sizes[0] != x.shape[1] or sizes[-1] < 10:
        need = f"begin with {x.shape[1]} pixels, have no 0, and end with 10 outputs or more"
        sys.exit(f"NETWORKS must {need}")


def network(sizes):
    """Layers of these sizes, from random weights, with tanh between them."""
    rng = np.random.default_rng(0)
    layers = [nn.Linear(sizes[0], sizes[1], rng=rng)]
    for inputs, outputs in pairwise(sizes[1:]):
        layers += [nn.Tanh(), nn.Linear(inputs, outputs, rng=rng)]
    return nn.Sequential(*layers)


def loss_of(model):
    """The loss of the mini-batch."""
    return nn.cross_entropy(model(x), y)


# %% The work is counted in multiply-adds: a multiplication, and an addition to a sum.
# The reverse pass is recorded as a graph here, so that its operations can be counted in the same
# way as those of the loss. A matrix product in the loss leads to two in the reverse pass, each as
# large: one for the slopes of the weights, one for those of the inputs. The first layer's inputs
# are pixels, whose slopes nobody needs.
def work_of(value):
    """The multiply-adds of the operation that computed a value: of a matrix product, one for each
    pair of numbers that it multiplies; of any other, one for each number in its largest array.
    """
    if value.op in ("matmul", "linear"):
        return value.size * value.inputs[0].shape[-1]
    arrays = [each.data if isinstance(each, Value) else each for each in (value, *value.inputs)]
    return max(np.size(array) for array in arrays)


def multiply_adds(*values):
    """The multiply-adds of all operations that these values were computed by, each counted once."""
    seen = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, Value) and value.op is not None and value not in seen:
            seen.add(value)
            waiting += value.inputs
    return sum(work_of(value) for value in seen)


COSTS = {}
program.say(
    "A multiply-add is one multiplication, weight · input, and one addition to a sum. Other",
    "operations, such as a tanh, count as one for each number.",
)
print("                               multiply-adds                as many times as the loss")
print("network               weights        the loss    all slopes  reverse pass  one by one")
for sizes in NETWORKS:
    model = network(sizes)
    weights = model.parameters()
    count = sum(p.size for p in weights)
    loss = loss_of(model)
    forward = multiply_adds(loss)
    both = multiply_adds(loss, *gradients(loss, weights, create_graph=True))
    reverse = both - forward
    one_by_one = count * forward  # the loss once more for each weight, that one moved a little
    name = "→".join(map(str, sizes))
    COSTS[name] = (count, forward, reverse, one_by_one)
    print(f"{name:18s} {count:10,d} {forward:15,d} {reverse:13,d}", end=" ")
    print(f"{reverse / forward:13.2f} {one_by_one / forward:11,.0f}")
RATIOS = [reverse / forward for _, forward, reverse, _ in COSTS.values()]
ratios = dict.fromkeys(f"{ratio:.1f}" for ratio in (min(RATIOS), max(RATIOS)))
print()
program.say(
    f"One reverse pass takes {' to '.join(ratios)} times the work of the loss. To move the weights",
    "one by one takes the loss once more for each of them.",
)


# %% And measured: the time of the reverse pass beside that of the loss, for the last network.
def seconds():
    """The time that the loss takes, and that of the reverse pass."""
    model.zero_grad()
    began = perf_counter()
    loss = loss_of(model)
    between = perf_counter()
    loss.backward()
    return between - began, perf_counter() - between


# The fastest of many turns counts, since other work on the machine can only slow them down.
TIMES = seconds()
for _ in range(50):
    TIMES = np.minimum(TIMES, seconds())
program.say(
    f"Measured with {name}, the reverse pass takes {TIMES[1] / TIMES[0]:.1f} times as long as",
    f"the loss, for {reverse / forward:.1f} times the multiply-adds. (How long one of them takes",
    "depends on the shapes of the matrices.)",
)

# %% The picture: a reverse pass grows as the loss does; weight after weight, as its square.
title = f"A reverse pass takes at most {max(RATIOS):.3g} times the work of the loss"
figure = figures.all_slopes.draw(COSTS.values(), len(x), title)
program.save(figure, options.out / "all_slopes.png")
