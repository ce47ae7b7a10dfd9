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

from microgd import data, gradients, nn, no_grad, plots, train

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
# At a distance of 1 the weights of each unit have changed by as much as they are long.
HEIGHTS = []


def loss():
    """The loss with the weights as they are; it is remembered, too."""
    value = nn.cross_entropy(model(x), y)
    HEIGHTS.append(value.item())
    return value


def gradient_length(weights):
    """The length of the gradient of that loss, which is 0 at a minimum."""
    nn.vector_to_parameters(weights, parameters)
    return np.sqrt(sum(np.sum(g**2) for g in gradients(loss(), parameters)))


START_LENGTH, END_LENGTH = gradient_length(path[0]), gradient_length(path[-1])
with no_grad():
    END = loss().item()
figure, (left, right) = plots.panels(2, width=10.0, height=4.6)
directions = [plots.random_direction(parameters, rng) for _ in range(2)]
HEIGHTS.clear()
labels = {
    "xlabel": "distance in a random direction\n(1 is the length of the weights)",
    "ylabel": "distance in another random direction\n(1 is the length of the weights)",
    "zlabel": "loss (nats)",
}
plots.landscape(loss, parameters, directions, points=POINTS, ax=left, **labels)
left.plot(0, 0, "*", color=plots.VERMILION, markeredgecolor="black", markersize=11)
left.set_title(
    f"Around the end of training (★):\nlosses from {min(HEIGHTS):.2g} to {max(HEIGHTS):.2g}"
)


def compared(on):
    """How the end of training compares with the points of the plane that was just drawn, in words.

    The lower points are marked.
    """
    heights = np.reshape(HEIGHTS, (POINTS, POINTS))
    rows, columns = np.nonzero(heights < END - 1e-6)
    if not rows.size:
        return f"none of {heights.size} points is lower than the end of training"
    across, up = (np.linspace(*limits, POINTS) for limits in (on.get_xlim(), on.get_ylim()))
    label = f"{rows.size} of {heights.size} points: lower than ★"
    on.plot(across[columns], up[rows], "k.", markersize=4, zorder=4, label=label)
    on.legend()
    return f"{rows.size} of {heights.size} points are lower, down to {min(HEIGHTS):.4f}"


program.say(
    f"At the end of training the loss of {len(x):,} training digits is {END:.4f}.",
    f"On a plane of two random directions, {compared(left)}.",
)
share = END_LENGTH / START_LENGTH
minimum = "may be" if END_LENGTH < 1e-5 else "is not"
program.say(
    f"The gradient of this loss has the length {END_LENGTH:.4g} there, {share:.1%} of that at the",
    f"start. At a minimum it is 0, so the end of training {minimum} a minimum of this loss.",
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
program.say(f"On the plane of the path, {compared(right)}.")
program.save(figure, options.out / "landscape.png")
