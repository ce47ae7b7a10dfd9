"""What does the loss look like around the place where training ends?

The loss depends on all the weights of a network, by default on 13,002. A picture can show it on a
plane: two directions to go in, and the loss at each point.
"""

# %% The digits, and a network whose weights begin at random
import math
import sys

import networks
import numpy as np
import program

from microgd import data, nn, no_grad, plots, train

POINTS = 25  # the loss is computed at 25 × 25 points of a plane
parser = program.parser(__doc__)
networks.add_options(parser, epochs=20)
options = program.options(parser)
digits = data.digits()
x, y = digits.train.x[:1000], digits.train.y[:1000]  # the loss below is that of these digits
rng = np.random.default_rng(options.seed)
model = networks.network(options.network, options.activation, rng)
parameters = model.parameters()

# %% Train, and keep all weights, as one vector, before the first epoch and after each.
path = [nn.parameters_to_vector(parameters)]
try:
    for _ in networks.training(
        model, nn.cross_entropy, digits.train, options.rate, options.epochs, rng
    ):
        path.append(nn.parameters_to_vector(parameters))
except train.DivergedError as error:
    sys.exit(f"training has diverged: {error}")
path = np.array(path)
steps = np.diff(path, axis=0)  # a row for each epoch
COUNT = path.shape[1]
NAME = networks.arrows(options.network)
digits_of_number = math.floor(COUNT * math.log10(POINTS)) + 1
program.say(
    f"The loss of {NAME} depends on {COUNT:,} numbers. To survey it with {POINTS} points along",
    f"each would take {POINTS}^{COUNT:,} points, a number of {digits_of_number:,} digits.",
)


# %% Look around: from the end of training in two random directions.
# A step of 1 changes the weights of each unit by as much as they are long.
HEIGHTS = []


def loss():
    """The loss with the weights as they are; it is remembered, too."""
    value = nn.cross_entropy(model(x), y)
    HEIGHTS.append(value.item())
    return value


with no_grad():
    END = loss().item()
figure, (left, right) = plots.panels(2, width=10.0, height=4.6)
directions = [plots.random_direction(parameters, rng) for _ in range(2)]
HEIGHTS.clear()
labels = {
    "xlabel": "a random direction (1: as long as the weights)",
    "ylabel": "another one (1: as long as the weights)",
    "zlabel": "loss (nats)",
}
plots.landscape(loss, parameters, directions, points=POINTS, ax=left, **labels)
left.plot(0, 0, "*", color=plots.VERMILION, markeredgecolor="black", markersize=11)
left.set_title(
    f"Around the end of training (★):\nlosses from {min(HEIGHTS):.2g} to {max(HEIGHTS):.2g}"
)


def compared(heights):
    """How the end of training compares with the points of a plane, in words."""
    lower = sum(height < END - 1e-6 for height in heights)
    if not lower:
        return f"none of {len(heights)} points is lower than the end of training"
    return f"{lower} of {len(heights)} points are lower, down to {min(heights):.4f}"


program.say(
    f"At the end of training the loss is {END:.4f}.",
    f"On a plane of two random directions, {compared(HEIGHTS)}.",
)

# %% The path of training: which two directions hold most of it?
# For comparison, a walk whose steps are as long, each in a random direction.
if not steps.any():
    sys.exit("training has not moved the weights, so there is no path to show")
main_directions, VARIANCE = plots.principal_directions(path)
walk = rng.normal(size=steps.shape)
walk *= np.linalg.norm(steps, axis=1, keepdims=True) / np.linalg.norm(walk, axis=1, keepdims=True)
walk = np.cumsum([0 * path[0], *walk], axis=0)
_, WALK = plots.principal_directions(walk)
HELD, BY_CHANCE = VARIANCE.sum(), WALK.sum()
if len(path) < 4:
    verdict = f"{len(path)} points always lie in a plane: more epochs say more."
elif abs(HELD - BY_CHANCE) < 0.01:
    verdict = "So the path of training is about as flat as that of chance."
elif HELD > BY_CHANCE:
    verdict = (
        f"So training adds {100 * (HELD - BY_CHANCE):.1f} percentage points to what chance holds."
    )
else:
    verdict = "So the path of training is less flat than that of chance."
program.say(
    f"Of the path of training through {COUNT:,} dimensions, two hold {HELD:.1%} of the variance.",
    f"Of a random walk, with as many steps as long as these, two hold {BY_CHANCE:.1%}.",
    verdict,
)
if len(path) == 2:
    sys.exit("A path of one epoch has one direction: a picture of it needs two epochs.")
labels = {
    "xlabel": f"first main direction: {VARIANCE[0]:.1%} of the variance",
    "ylabel": f"second main direction: {VARIANCE[1]:.1%}",
    "zlabel": "loss (nats)",
}
HEIGHTS.clear()
plots.landscape(loss, parameters, main_directions, path=path, points=POINTS, ax=right, **labels)
right.set_title(
    f"The path of training, an arrow an epoch:\n{HELD:.1%} of its variance lies in this plane"
)
program.say(f"On the plane of the path, {compared(HEIGHTS)}.")
program.save(figure, options.out / "landscape.png")
