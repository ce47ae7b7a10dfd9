"""What is the arrow that moves two weights at once, and what do its elements say?

The weights are those of y = w1 · x1 + w2 · x2, where x1, x2 and y are measurements of penguins.
"""

# %% The data: three columns, each measured from its mean, in standard deviations (sd).
import sys

import figures.bowls
import numpy as np
import program

from microgd import Value, grad, nn, optim, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--rate", type=program.rate, default=0.2, help="the learning rate (default: %(default)s)"
)
options = program.options(parser)

COLUMNS = ("flipper_length_mm", "bill_depth_mm", "body_mass_g")  # x1, x2 and y
table, _, _ = program.table(program.PENGUINS, COLUMNS)
(name1, unit1), (name2, unit2), (y_name, _) = map(program.name_and_unit, COLUMNS)
deviations = table.std(axis=0)
x1, x2, y = ((table - table.mean(axis=0)) / deviations).T
print(f"y: {y_name}, x1: {name1}, x2: {name2}, of {len(y)} penguins\n")


def loss(w):
    """The loss at a point w of the plane, a vector of two weights; in sd²."""
    return nn.mse_loss(w[0] * x1 + w[1] * x2, y)


# %% Descent: each step adds an arrow to the point where we are.
# The arrow is −rate · gradient, the update: a column vector with an element for each weight. With
# 13,002 weights it is the same sum.
START, STEPS = [-0.4, 0.6], 40
LOWEST = np.linalg.lstsq(np.stack([x1, x2], axis=1), y)[0]
weights = Value(START)
optimizer = optim.SGD([weights], lr=options.rate)
path, updates = [weights.data], []
for step in range(STEPS):
    if not loss(path[-1]) <= 100 * loss(path[0]):
        sys.exit(
            f"the loss has grown from {loss(path[0]):.4g} to {loss(path[-1]):.4g} in {step} steps: "
            "try a smaller --rate"
        )
    optimizer.zero_grad()
    loss(weights).backward()
    updates += optimizer.nudges()
    optimizer.step()
    path.append(weights.data)
path = np.array(path)
OFF = np.linalg.norm(path - LOWEST, axis=1)
if OFF[0] < 1e-9:
    sys.exit("START is the lowest point, so there is no descent to show: try another")

print("step    loss       point         update       next point")
for step in range(min(STEPS, 4)):
    point, update, after = path[step], updates[step], path[step + 1]
    print(f"{step:4d} {loss(point):8.4f}  [{point[0]:8.4f}]  +  [{update[0]:8.4f}]", end="  =  ")
    print(
        f"[{after[0]:8.4f}]\n               [{point[1]:8.4f}]     [{update[1]:8.4f}]", end="     "
    )
    print(f"[{after[1]:8.4f}]")
print(f"After {STEPS} steps w is [{path[-1][0]:.4f}, {path[-1][1]:.4f}];", end=" ")
print(f"least squares: [{LOWEST[0]:.4f}, {LOWEST[1]:.4f}].\n")

# %% What the elements say together: a direction and a length.
# Their signs say only whether the point goes left or right, and up or down. The direction is in
# their signs and their ratio, the length is the root of the sum of their squares. The arrow points
# straight downhill, which is not where the lowest point is, unless the bowl is round.
ASIDE = []
for point, update in zip(path[:4], updates[:4], strict=False):
    there = LOWEST - point
    cosine = update @ there / max(np.linalg.norm(update) * np.linalg.norm(there), 1e-300)
    ASIDE.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
angles = ", ".join(f"{angle:.0f}°" for angle in ASIDE)
lengths = ", ".join(f"{np.linalg.norm(update):.3f}" for update in updates[:4])
program.say(
    f"The first updates miss the direction of the lowest point by {angles}. Their lengths are",
    f"{lengths}: the learning rate, {options.rate:g}, times the lengths of the gradients.",
)

# %% Is the gradient the direction in which the loss rises most?
# Try 360 directions, a degree apart: a tiny step there and a tiny step back.
degrees = np.arange(-180, 180)
radians = np.radians(degrees)
DIRECTIONS = np.stack([np.cos(radians), np.sin(radians)], axis=1)  # each of length 1
tiny = 1e-6 * max(1, np.linalg.norm(path[0]))
rises = [loss(path[0] + tiny * d) - loss(path[0] - tiny * d) for d in DIRECTIONS]
RISES = np.array(rises) / (2 * tiny)  # per unit of length
gradient = grad(loss)(path[0])
steepness = np.linalg.norm(gradient)
ANGLE = np.degrees(np.arctan2(gradient[1], gradient[0]))
STEEPER = int(np.sum(RISES > steepness * (1 + 1e-6)))
steeper = f"{STEEPER or 'none'} of 360 directions {'is' if STEEPER < 2 else 'are'} steeper"
program.say(
    f"At the start the gradient is [{gradient[0]:.3f}, {gradient[1]:.3f}]: its length is",
    f"{steepness:.4f}, and its angle {ANGLE:.1f}°. Of 360 directions the loss rises most along",
    f"{degrees[RISES.argmax()]}°, by {RISES.max():.4f} per unit of length, and falls most along",
    f"{degrees[RISES.argmin()]}°: {steeper} than the gradient.",
)

# %% Are the weights independent? Keep w1, and move only w2 by 1.
w1, w2 = path[0]
ALONE = [grad(loss)(np.array([w1, other]))[0] for other in (w2, w2 + 1)]
depends = "does not depend" if np.isclose(*ALONE) else "depends"
program.say(
    f"Each weight can be set alone. At w1 = {w1:g} the slope of w1 is {ALONE[0]:.4f} if w2 is",
    f"{w2:g}, and {ALONE[1]:.4f} if w2 is {w2 + 1:g}: it {depends} on where the other weight is.",
)

# %% What one element says: how much the loss changes per unit of that weight, here.
# It does not say that the weight matters. In another unit the same x1 is another number, and its
# weight and its slope are others, too. At the lowest point all elements are 0.
UNITS = {  # how much of each is 1 sd
    "x1 in sd": 1.0,
    f"x1 in {unit1 or 'units'}": deviations[0],
    f"x1 in 1000 {unit1 or 'units'}": deviations[0] / 1000,
}
GRADIENTS = {}
for unit, size in UNITS.items():

    def loss_in_units(w, size=size):
        """The same loss, of a weight for x1 in the other unit."""
        return nn.mse_loss(w[0] * (x1 * size) + w[1] * x2, y)

    same_line = path[0] / [size, 1]
    slopes = GRADIENTS[unit] = grad(loss_in_units)(same_line)
    print(f"{unit:16s} gradient [{slopes[0]:9.4f}, {slopes[1]:9.4f}]", end="   ")
    print(f"loss {loss_in_units(same_line):.4f}")
WITHOUT = [loss(LOWEST * keep) for keep in (np.array([0, 1]), np.array([1, 0]))]
print(f"At the lowest point the gradient is {np.round(grad(loss)(LOWEST), 9) + 0.0}.", end=" ")
print(f"The loss is {loss(LOWEST):.4f} there,")
print(f"{WITHOUT[0]:.4f} with w1 = 0 instead, and {WITHOUT[1]:.4f} with w2 = 0.\n")

# %% The picture.
figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
title = (
    f"{STEPS} steps from the circle, {OFF[0]:.2g} away from the\n"
    f"lowest point, to the star, {OFF[-1]:.2g} away from it"
)
plots.contours(lambda a, b: loss(np.array([a, b])), path, ax=left, title=title, zlabel="loss (sd²)")
left.set(xlabel=f"w1, for {name1} (sd per sd)", ylabel=f"w2, for {name2} (sd per sd)")
left.set_aspect("equal")  # so that the arrows stand at right angles on the contours
figures.bowls.number(left, path, gap=0.09)
right.plot(degrees, RISES, color="0.4", label="360 directions, tried")
right.plot(ANGLE, steepness, "o", color=plots.VERMILION, label="the gradient: angle and length")
opposite = {"color": plots.BLUE, "label": "the update: the opposite"}
right.plot((ANGLE + 360) % 360 - 180, -steepness, "s", **opposite)
right.axhline(0, color="black", linewidth=1)
title = f"{steeper.capitalize()}\nthan the gradient's, {ANGLE:.0f}°"
right.set(title=title, xlabel="direction (degrees; 0 is along w1)", xticks=range(-180, 181, 90))
right.set(ylabel="rise of the loss per unit of length", ylim=(-1.1 * steepness, 1.8 * steepness))
right.legend(loc="upper left", fontsize="small")
program.save(figure, options.out / "two_weights.png")
