"""What does the loss look like around the place where training ends?

The loss depends on all the weights of a network, by default on 13,002. A picture can show it on a
plane: two directions to go in, and the loss at each point.
"""

# %% The digits, and a network whose weights begin at random
import math
import sys

import figures.landscape
import networks
import numpy as np
import program

from microgd import data, gradients, nn, plots, train

POINTS = 25  # the loss is computed at 25 × 25 points of a plane
LOSS = nn.cross_entropy  # its unit is the nat
parser = program.parser(__doc__)
networks.add_options(parser, epochs=20)
options = program.options(parser)
digits = data.digits()
x, y = digits.train.x[:1000], digits.train.y[:1000]  # the loss below is that of these digits
if POINTS < 2 or not len(x):
    sys.exit("expected at least 2 POINTS along each direction, and at least one digit in x")
rng = np.random.default_rng(options.seed)
model = networks.network(options.network, options.activation, rng)
parameters = model.parameters()

# %% Train, and keep all weights, as one vector, before the first epoch and after each.
start = nn.parameters_to_vector(parameters)
path = [start]
training = networks.training(model, LOSS, digits.train, options.rate, options.epochs, rng)
try:
    for _ in training:
        path.append(nn.parameters_to_vector(parameters))
except train.DivergedError as error:
    sys.exit(f"training has diverged: {error}")
path = np.array(path)
steps = np.diff(path, axis=0)  # a row for each epoch
COUNT = path.shape[1]
NAME = networks.arrows(networks.parts_of(model)[0])
digits_of_number = math.floor(COUNT * math.log10(POINTS)) + 1
program.say(
    f"The loss of {NAME} depends on {COUNT:,} numbers. To survey it with {POINTS} points along",
    f"each would take {POINTS}^{COUNT:,} points, a number of {digits_of_number:,} digits. Training",
    "needs no survey: the slopes where it is are enough for the next step.",
)


# %% Look around: from the end of training in two random directions.
# At a distance of 1 the weights of each unit have changed by as much as they are long.
def loss():
    """The loss with the weights as they are."""
    return LOSS(model(x), y)


def gradient_length(weights):
    """The length of the gradient of that loss, which is 0 at a minimum."""
    nn.vector_to_parameters(weights, parameters)
    return np.sqrt(sum(np.sum(g**2) for g in gradients(loss(), parameters)))


def compared(on, losses):
    """How the end of training compares with the points of a plane, in words. The points that are
    lower are marked.
    """
    is_lower = losses < END - 1e-5 * abs(END)  # by more than rounding
    if not is_lower.any():
        return f"none of {losses.size} points is lower than the end of training"
    count = f"{is_lower.sum()} of {losses.size} points"
    figures.landscape.mark_lower(on, is_lower, f"{count}: lower than ★")
    verb = "is" if is_lower.sum() == 1 else "are"
    return f"{count} {verb} lower, down to {figures.landscape.as_text(np.nanmin(losses))}"


START_LENGTH, END_LENGTH = gradient_length(start), gradient_length(path[-1])
END = loss().item()
LABEL = "loss (nats)" if np.isclose(END, nn.cross_entropy(model(x), y).item()) else "loss"
figure, (left, right) = figures.landscape.panels()
across = plots.random_direction(parameters, rng)
up = plots.random_direction(parameters, rng)
losses = figures.landscape.around_the_end(left, loss, parameters, (across, up), POINTS, LABEL)
kind = "training digit" if np.shares_memory(x, digits.train.x) else "digit"
text = figures.landscape.as_text(END)
program.say(
    f"At the end of training the loss of {program.counted(len(x), kind)} is {text}.",
    f"On a plane of two random directions, {compared(left, losses)}.",
)
share = END_LENGTH / max(START_LENGTH, 1e-300)
minimum = "may be" if share < 1e-5 else "is not"
program.say(
    f"The gradient of this loss has the length {END_LENGTH:.4g} there, {share:.1%} of that at the",
    f"start. At a minimum it is 0, so the end of training {minimum} a minimum of this loss.",
)

# %% The path of training: which two directions hold most of it?
# For comparison, a walk whose steps are as long, each in a random direction.
if not steps.any():
    sys.exit("training has not moved the weights, so there is no path to show")
_, VARIANCE = plots.principal_directions(path)
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
    added = 100 * (HELD - BY_CHANCE)
    verdict = f"So training adds {added:.1f} percentage points to what chance holds."
else:
    verdict = "So the path of training is less flat than that of chance."
program.say(
    f"Of the path of training through {COUNT:,} dimensions, two hold {HELD:.1%} of the variance.",
    f"Of a random walk, with as many steps as long as these, two hold {BY_CHANCE:.1%}.",
    verdict,
)
if len(path) == 2:
    sys.exit("A path of one arrow has one direction: a picture of it needs more epochs.")
losses = figures.landscape.along_the_path(right, loss, parameters, path, POINTS, LABEL)
arrows = "an arrow an epoch" if len(steps) == options.epochs else f"{len(steps)} arrows"
right.set_title(f"The path of training, {arrows}:\n{HELD:.1%} of its variance lies in this plane")
program.say(f"On the plane of the path, {compared(right, losses)}.")
program.save(figure, options.out / "landscape.png")
