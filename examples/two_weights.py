"""What is the arrow that moves two weights at once, and what do its elements say?

The weights are those of a line, mass = w1 · flipper length + w2 · bill depth, for penguins, all
measured from their means.
"""

# %% The data: 342 penguins. The loss is a bowl over the plane of w1 and w2.
import sys

import numpy as np
import program

from microgd import Value, grad, nn, optim, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--lr", type=program.rate, default=0.2, help="the learning rate (default: %(default)s)"
)
parser.add_argument(
    "--seed",
    type=program.at_least(0),
    default=0,
    help="for where directions are tried (default: %(default)s)",
)
options = program.options(parser)

table, _ = program.penguins("flipper_length_mm", "bill_depth_mm", "body_mass_g")
deviations = table.std(axis=0)  # in mm, mm and g
length, depth, mass = ((table - table.mean(axis=0)) / deviations).T
mass = mass * deviations[2] / 1000  # the features are in standard deviations (sd), the mass in kg


def loss(w):
    """The loss at a point w of the plane, a vector of two weights; in kg²."""
    return nn.mse_loss(w[0] * length + w[1] * depth, mass)


# %% Descent: each step adds an arrow to the point where we are.
# In two dimensions, in 13,002, it is the same sum.
START, STEPS = [-0.4, 0.6], 40
weights = Value(START, name="w")
optimizer = optim.SGD([weights], lr=options.lr)
path, nudges = [weights.data], []
for step in range(STEPS):
    if not loss(path[-1]) <= 100 * loss(path[0]):
        sys.exit(
            f"the loss has grown from {loss(path[0]):.4g} to {loss(path[-1]):.4g} in {step} steps: "
            "try a smaller --lr"
        )
    optimizer.zero_grad()
    loss(weights).backward()
    nudges += optimizer.nudges()  # −lr · gradient: the nudge, a column vector
    optimizer.step()
    path.append(weights.data)
path = np.array(path)
lowest = np.linalg.lstsq(np.stack([length, depth], axis=1), mass)[0]
if np.linalg.norm(path[0] - lowest) < 1e-9:
    sys.exit("START is the lowest point, so there is no descent to show: try another")


def column(vector, row):
    """One row of a column vector."""
    return f"[{vector[row]:8.4f}]"


print("step     point          nudge        next point        loss")
for step, (point, nudge, after) in enumerate(list(zip(path, nudges, path[1:], strict=False))[:5]):
    print(
        f"{step:4d}  {column(point, 0)}  +  {column(nudge, 0)}  =  {column(after, 0)} "
        f"{loss(point):11.4f}"
    )
    print(f"      {column(point, 1)}     {column(nudge, 1)}     {column(after, 1)}")
print(f"After {len(nudges)} steps w is [{path[-1][0]:.4f}, {path[-1][1]:.4f}];", end=" ")
print(f"least squares: [{lowest[0]:.4f}, {lowest[1]:.4f}].\n")
if np.linalg.norm(path[-1] - lowest) > np.linalg.norm(path[0] - lowest):
    program.say("That is farther from the lowest point than the start: try a smaller --lr.")

# %% The direction of a nudge is not in the signs of its elements alone,
# which say only whether it goes right or left, up or down, but in the signs and their ratio
# together; and the length is the root of the sum of their squares. It points steepest down from
# here, which is not where the lowest point is, unless the bowl is round.
ASIDE = []
for point, nudge in zip(path[:4], nudges[:4], strict=False):
    there = lowest - point
    cosine = nudge @ there / max(np.linalg.norm(nudge) * np.linalg.norm(there), 1e-300)
    # rounding may have made it a little more than 1
    ASIDE.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
print(
    "The first nudges point past the lowest point by", ", ".join(f"{angle:.0f}°" for angle in ASIDE)
)
print("Their lengths are", ", ".join(f"{np.linalg.norm(nudge):.3f}" for nudge in nudges[:4]), "\n")

# %% Is the gradient really the direction of steepest increase?
# Try 360 directions, a degree apart, from the same point.
angles = np.radians(np.arange(-180, 180))
DIRECTIONS = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # each of length 1
TINY = 1e-6


def changes(point):
    """By how much the loss changes along each direction, per unit of length: up a tiny step, less
    down one.
    """
    return np.array(
        [(loss(point + TINY * d) - loss(point - TINY * d)) / (2 * TINY) for d in DIRECTIONS]
    )


start = path[0]
slopes, gradient = changes(start), grad(loss)(start)
steepness, angle = np.linalg.norm(gradient), np.degrees(np.arctan2(gradient[1], gradient[0]))
rng = np.random.default_rng(options.seed)
POINTS = [start, *path[1:4], *rng.normal(size=(20, 2))]
BEST = [(changes(point).max(), np.linalg.norm(grad(loss)(point))) for point in POINTS]
beaten = sum(best > length_of_gradient * (1 + 1e-6) for best, length_of_gradient in BEST)
program.say(
    f"At the start the gradient is [{gradient[0]:.3f}, {gradient[1]:.3f}]: its length is",
    f"{steepness:.4f}, and its angle {angle:.1f}°. Of 360 directions the steepest is the one at",
    f"{np.degrees(angles[slopes.argmax()]):.0f}°, along which the loss grows by {slopes.max():.4f}",
    f"per unit of length; the steepest way down is at {np.degrees(angles[slopes.argmin()]):.0f}°.",
    f"At {beaten or 'none'} of {len(POINTS)} points was a direction steeper than the gradient's.",
)

# %% What a large element says: which weight changes the loss most, here, per unit of that weight.
# What it does not say: which feature matters most. With the length in metres the weight of the same
# line is another number, larger by as much as the lengths are smaller, and its element of the
# gradient is smaller by as much.
UNITS = {  # of 1 sd: how much it is in each
    "both in standard deviations": np.array([1.0, 1.0]),
    "length in mm, depth in mm": deviations[:2],
    "length in m, depth in mm": deviations[:2] * [0.001, 1.0],
}
GRADIENTS, LOSSES = {}, {}
print("the same line, in other units       gradient for w1, w2     the larger     loss (kg²)")
for name, units in UNITS.items():

    def loss_in_units(w, units=units):
        """The same loss, of weights for the other units."""
        return nn.mse_loss(w[0] * (length * units[0]) + w[1] * (depth * units[1]), mass)

    same = start / units  # predicts the same masses as before
    GRADIENTS[name], LOSSES[name] = grad(loss_in_units)(same), loss_in_units(same)
    larger = "w1" if abs(GRADIENTS[name][0]) > abs(GRADIENTS[name][1]) else "w2"
    print(
        f"{name:30s} {GRADIENTS[name][0]:11.4f} {GRADIENTS[name][1]:11.4f} {larger:>13s} "
        f"{LOSSES[name]:14.4f}"
    )

# At the lowest point both elements are 0, though the line needs both weights, and the one far more
# than the other.
RATIOS = [abs(g[0] / g[1]) if g[1] else np.inf for g in (grad(loss)(point) for point in path[:4])]
WITHOUT = [loss(lowest * keep) for keep in (np.array([0, 1]), np.array([1, 0]))]
print()
program.say(
    "Nor does it hold elsewhere: along the path the one element is",
    ", ".join(f"{ratio:.1f}" for ratio in RATIOS),
    "times the other. And at the lowest point both are 0 (the gradient's length is",
    f"{np.linalg.norm(grad(loss)(lowest)):.0e}), where the loss is {loss(lowest):.4f} kg²; with w1",
    f"= 0 it would be {WITHOUT[0]:.4f}, with w2 = 0 {WITHOUT[1]:.4f}.",
)

# %% The picture.
# Both axes have the same scale, so that the arrows stand at right angles on the contours.
figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
off = [np.linalg.norm(point - lowest) for point in (path[0], path[-1])]
plots.contours(
    lambda a, b: loss(np.array([a, b])),
    path,
    ax=left,
    title=f"{len(nudges)} nudges, −{options.lr:g} · gradient, lead from {off[0]:.2g}\n"
    f"to {off[1]:.1g} (kg/sd) from the lowest point",
    xlabel="w1 (kg per sd of flipper length)",
    ylabel="w2 (kg per sd of bill depth)",
    zlabel="loss (kg²)",
    aspect="equal",
)
degrees = np.degrees(angles)
right.plot(degrees, slopes, color="0.4", label="360 directions, tried")
right.plot(
    angle,
    steepness,
    "o",
    color=plots.VERMILION,
    label=f"the gradient: its angle and length, {steepness:.2f}",
)
right.plot(
    (angle + 360) % 360 - 180,
    -steepness,
    "s",
    color=plots.BLUE,
    label="the opposite: steepest down",
)
right.axhline(0, color="black", linewidth=1)
title = (
    f"{'No' if not beaten else 'A'} direction of 360 is steeper\nthan the gradient's, {angle:.0f}°"
)
right.set(
    title=title.replace("-", "−"),
    xlabel="direction (degrees, 0 is along w1)",
    ylabel="change of loss (kg²) per unit of length (kg/sd)",
    ylim=(-1.1 * steepness, 1.75 * steepness),
    xticks=range(-180, 181, 90),
)
right.legend(loc="upper left", fontsize="small")
program.save(figure, options.out / "two_weights.png")
