"""What is the arrow that moves two weights at once, and what do its elements say?

The weights are those of y = w1 · x1 + w2 · x2, where x1, x2 and y are measurements of penguins.
"""

# %% The data: three columns, each measured from its mean, in standard deviations (sd).
import sys

import figures.two_weights
import numpy as np
import program

from microgd import grad, nn, value_and_grad

parser = program.parser(__doc__)
parser.add_argument(
    "--rate", type=program.rate, default=0.2, help="the learning rate (default: %(default)s)"
)
options = program.options(parser)

COLUMNS = ("flipper_length_mm", "bill_depth_mm", "body_mass_g")  # x1, x2 and y
if len(COLUMNS) != 3:
    sys.exit(f"COLUMNS should be three, for x1, x2 and y, but are {len(COLUMNS)}")
table, _, _ = program.table(program.PENGUINS, COLUMNS)
(name1, unit1), (name2, _), (y_name, _) = map(program.name_and_unit, COLUMNS)
x1, x2, y = ((table - table.mean(axis=0)) / table.std(axis=0)).T
unit = "sd" if np.allclose(np.std([x1, x2, y], axis=1), 1) else "units"
print(f"y: {y_name}, x1: {name1}, x2: {name2}, of {program.counted(len(y), 'penguin')}\n")


def loss(w):
    """The loss at a point w of the plane, a vector of two weights; in LOSS_UNIT."""
    return nn.mse_loss(w[0] * x1 + w[1] * x2, y)


LOSS_UNIT = f"{unit}²"
gradient = grad(loss)
LOWEST = np.linalg.lstsq(np.stack([x1, x2], axis=1), y)[0]  # the descent doesn't know it

# %% Descent: each step adds an arrow to the point where we are.
# The arrow is −rate · gradient, the update: a column vector with an element for each weight. With
# 13,002 weights it is the same sum.
START, STEPS = [-0.4, 0.6], 40
program.check_descent(loss, LOWEST, START, STEPS)
path, updates = [np.array(START, float)], []
for step in range(STEPS):
    updates.append(-options.rate * gradient(path[-1]))
    path.append(path[-1] + updates[-1])
    if not loss(path[-1]) <= 100 * abs(loss(path[0])):
        grown = f"from {loss(path[0]):.4g} to {loss(path[-1]):.4g} at step {step + 1}"
        sys.exit(f"the loss has grown {grown}: try a smaller --rate")
path = np.array(path)
OFF = np.linalg.norm(path - LOWEST, axis=1)
print(figures.two_weights.as_columns(loss, path[:4], updates[:4]))
steps = program.counted(STEPS, "step")
print(f"After {steps} w is [{path[-1, 0]:z.4f}, {path[-1, 1]:z.4f}];", end=" ")
print(f"least squares: [{LOWEST[0]:z.4f}, {LOWEST[1]:z.4f}].\n")

# %% What the elements say together: a direction and a length.
# Their signs say only whether the point goes left or right, and up or down. The direction is in
# their signs and their ratio, the length is the root of the sum of their squares. The arrow points
# straight downhill, which is not where the lowest point is, unless the bowl is round.
ASIDE = []
for point, update in zip(path[OFF > 1e-9 * OFF[0]], updates[:4], strict=False):
    there = LOWEST - point
    cosine = update @ there / (np.linalg.norm(update) * np.linalg.norm(there))
    ASIDE.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
angles = ", ".join(f"{angle:.0f}°" for angle in ASIDE)
lengths = ", ".join(f"{np.linalg.norm(update):.3f}" for update in updates[:4])
plain = [-options.rate * gradient(point) for point in path[:-1]]
why = f": the learning rate, {options.rate:g}, times the lengths of the gradients"
program.say(
    f"The first updates miss the direction of the lowest point by {angles}. Their lengths are",
    f"{lengths}{why if np.allclose(updates, plain, atol=0) else ''}.",
)

# %% Is the gradient the direction in which the loss rises most?
# Try 360 directions, a degree apart, all of length 1: a tiny step there and a tiny step back.
degrees = np.arange(-180, 180)
DIRECTIONS = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
tiny = 1e-6 * max(1, np.linalg.norm(path[0]))
rises = [loss(path[0] + tiny * d) - loss(path[0] - tiny * d) for d in DIRECTIONS]
RISES = np.array(rises) / (2 * tiny)  # per unit of length
slopes = gradient(path[0])
steepness = np.linalg.norm(slopes)
ANGLE = np.degrees(np.arctan2(slopes[1], slopes[0]))
if not np.allclose(RISES, DIRECTIONS @ slopes, atol=1e-3 * steepness):
    sys.exit(f"a step of {tiny:g} is too small or too large to measure how the loss rises")
more = int(np.sum(RISES > steepness * (1 + 1e-6)))
steeper = f"{more or 'none'} of {len(degrees)} directions {'is' if more < 2 else 'are'} steeper"
program.say(
    f"At the start the gradient is [{slopes[0]:.3f}, {slopes[1]:.3f}]: its length is",
    f"{steepness:.4f}, and its angle {ANGLE:.1f}°. Of {len(degrees)} directions the loss rises",
    f"most along {degrees[RISES.argmax()]}°, by {RISES.max():.4f} per unit of length, and falls",
    f"most along {degrees[RISES.argmin()]}°: {steeper} than the gradient.",
)

# %% Are the weights independent? Keep w1, and move only w2.
w1, w2 = path[0]
moved = w2 + 1
ALONE = [gradient(np.array([w1, other]))[0] for other in (w2, moved)]
depends = "does not depend" if np.isclose(*ALONE, rtol=1e-12) else "depends"
program.say(
    f"Each weight can be set alone. At w1 = {w1:g} the slope of w1 is {ALONE[0]:.4f} if w2 is",
    f"{w2:g}, and {ALONE[1]:.4f} if w2 is {moved:g}: it {depends} on where the other weight is.",
)

# %% What one element says: how much the loss changes per unit of that weight, here.
# It does not say that the weight matters. In another unit the same x1 is another number, and its
# weight and its slope are others, too. At the lowest point all elements are 0.
one = np.ptp(table[:, 0]) / np.ptp(x1)  # what is 1 in x1, in the unit of the table
for name, size in {unit: 1, unit1 or name1: one, f"1000 {unit1 or name1}": one / 1000}.items():
    in_this_unit = value_and_grad(lambda w, size=size: loss([w[0] * size, w[1]]))
    height, (first, second) = in_this_unit(path[0] / [size, 1])  # for the same line
    print(f"x1 in {name:10s} gradient [{first:9.4f}, {second:9.4f}]   loss {height:.4f}")
print(f"At the lowest point the gradient is {np.round(gradient(LOWEST), 9) + 0.0}.", end=" ")
print(f"The loss is {loss(LOWEST):.4f} there,\n{loss(LOWEST * [0, 1]):.4f} with w1 = 0", end=" ")
print(f"instead, and {loss(LOWEST * [1, 0]):.4f} with w2 = 0.\n")

# %% The picture: the path on the contours of the loss, and how the loss rises in each direction.
figure = figures.two_weights.draw(loss, path, degrees, RISES, (slopes, updates[0]), LOSS_UNIT)
left, right, _ = figure.axes
title = f"{steps} from the circle, {OFF[0]:.2g} away from the\nlowest point, to the star,"
left.set(title=f"{title} {OFF[-1]:.2g} away from it")
left.set(xlabel=f"w1, for {name1} ({unit} per {unit})")
left.set(ylabel=f"w2, for {name2} ({unit} per {unit})")
angle = f"{ANGLE:z.0f}°".replace("-", "−")
right.set(title=f"{steeper.capitalize()}\nthan the gradient's, {angle}")
program.save(figure, options.out / "two_weights.png")
