"""What is the arrow that moves two weights at once, and what do its elements say?

The weights are those of a line, mass = w1 · flipper length + w2 · bill depth, for penguins, all measured from their means.
"""

# %% The data: 342 penguins. The loss is a bowl over the plane of w1 and w2.
import argparse

import numpy as np
import program

from microgd import Value, grad, nn, optim, plots

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--lr", type=float, default=0.16, help="the learning rate (default: %(default)s)")
parser.add_argument(
    "--seed", type=program.at_least(0), default=0, help="for more points at which directions are tried (default: %(default)s)"
)
options = program.options(parser)

table, _ = program.penguins("flipper_length_mm", "bill_depth_mm", "body_mass_g")
length, depth, mass = (table - table.mean(axis=0)).T * np.array([[0.1], [1.0], [0.001]])  # cm, mm, kg


def loss(w):
    """The loss at a point w of the plane, a vector of two weights."""
    return nn.mse_loss(w[0] * length + w[1] * depth, mass)


# %% Descent: each step adds an arrow to the point where we are. In two dimensions, in 13,002, it is the same sum.
weights = Value([-0.3, -0.4], name="w")
optimizer = optim.SGD([weights], lr=options.lr)
path, nudges = [weights.data], []
for _ in range(40):
    optimizer.zero_grad()
    loss(weights).backward()
    nudges += optimizer.nudges()  # −lr · gradient: the nudge column vector
    optimizer.step()
    path.append(weights.data)
path = np.array(path)
lowest = np.linalg.lstsq(np.stack([length, depth], axis=1), mass)[0]

print("step   point       nudge     next point          loss")
for step in range(5):
    for row, sign in ((0, ("+", "=")), (1, (" ", " "))):
        shown = f"[{path[step][row]:7.4f}] {sign[0]} [{nudges[step][row]:7.4f}] {sign[1]} [{path[step + 1][row]:7.4f}]"
        print((f"{step:4d}  {shown}" + f" {loss(path[step]):12.4f}") if row == 0 else f"      {shown}")
print(f"after {len(nudges)} steps: w1 = {path[-1][0]:.4f} kg/cm, w2 = {path[-1][1]:.4f} kg/mm;", end=" ")
print(f"least squares: {lowest[0]:.4f}, {lowest[1]:.4f}\n")

# %% Is the gradient really the direction of steepest increase? Try 360 directions, a degree apart, from the same point.
angles = np.radians(np.arange(-180, 180))
DIRECTIONS = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # each of length 1
TINY = 1e-6


def changes(point):
    """By how much the loss changes along each direction, per unit of length: up a tiny step, less down one."""
    return np.array([(loss(point + TINY * d) - loss(point - TINY * d)) / (2 * TINY) for d in DIRECTIONS])


start = path[0]
slopes, gradient = changes(start), grad(loss)(start)
steepness, angle = np.linalg.norm(gradient), np.degrees(np.arctan2(gradient[1], gradient[0]))
print(
    f"At the start the gradient is [{gradient[0]:.3f}, {gradient[1]:.3f}]: its length {steepness:.4f}, its angle {angle:.1f}°."
)
print(f"Of 360 directions the steepest is the one at {np.degrees(angles[slopes.argmax()]):.0f}°: the loss grows by", end=" ")
print(f"{slopes.max():.4f} per unit of length; the steepest way down is at {np.degrees(angles[slopes.argmin()]):.0f}°.")

rng = np.random.default_rng(options.seed)
POINTS = [start, *path[1:4], *rng.normal(size=(20, 2))]
BEST = [(changes(point).max(), np.linalg.norm(grad(loss)(point))) for point in POINTS]
beaten = sum(best > length_of_gradient * (1 + 1e-6) for best, length_of_gradient in BEST)
print(f"At {len(POINTS)} points, a direction was steeper than the gradient's {beaten} times.\n")

# %% What a large element says: which weight changes the loss most, here, per unit of that weight.
# What it does not say: which feature matters most. Measure the length in metres in place of centimetres: the weight of
# the same line is 100 times as large, and so its element of the gradient 100 times as small.
print("the same point, in other units      gradient (w1, w2)        the larger element")
UNITS = {"length in cm, depth in mm": (1, 1), "length in m, depth in mm": (100, 1), "length in mm, depth in cm": (0.1, 10)}
GRADIENTS, LOSSES = {}, {}
for name, units in UNITS.items():
    same = start * units  # predicts the same masses as before

    def loss_in_units(w, units=units):
        """The same loss, of weights for the other units."""
        return nn.mse_loss(w[0] * length / units[0] + w[1] * depth / units[1], mass)

    GRADIENTS[name], LOSSES[name] = grad(loss_in_units)(same), loss_in_units(same)
    larger = "w1" if abs(GRADIENTS[name][0]) > abs(GRADIENTS[name][1]) else "w2"
    print(f"{name:30s} [{GRADIENTS[name][0]:10.4f}, {GRADIENTS[name][1]:10.4f}]      {larger}    (loss {LOSSES[name]:.4f})")
RATIOS = [abs(g[0] / g[1]) for g in (grad(loss)(point) for point in path[:4])]
print("Along the path, in cm and mm, the one is this many times the other:", ", ".join(f"{ratio:.1f}" for ratio in RATIOS))

# At the lowest point both elements are 0, though the line needs both weights, and the one far more than the other.
WITHOUT = [loss(lowest * keep) for keep in (np.array([0, 1]), np.array([1, 0]))]
print(
    f"At the lowest point the gradient's length is {np.linalg.norm(grad(loss)(lowest)):.0e}, and the loss {loss(lowest):.4f};",
    end=" ",
)
print(f"with w1 = 0 it would be {WITHOUT[0]:.4f}, with w2 = 0 {WITHOUT[1]:.4f}.\n")

# %% The picture
figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
plots.contours(
    lambda a, b: loss(np.array([a, b])),
    path,
    ax=left,
    title=f"Each arrow is a nudge: −{options.lr:g} · gradient.\n{len(nudges)} of them lead to the lowest point",
    xlabel="w1 (kg per cm of flipper)",
    ylabel="w2 (kg per mm of bill depth)",
    zlabel="loss (kg²)",
)
degrees = np.degrees(angles)
right.plot(degrees, slopes, color="0.4", label="360 directions, tried")
right.plot(angle, steepness, "o", color=plots.VERMILION, label=f"the gradient: its angle and length, {steepness:.2f}")
right.plot((angle + 360) % 360 - 180, -steepness, "s", color=plots.BLUE, label="the opposite: steepest down")
right.axhline(0, color="black", linewidth=1)
right.set(
    title=f"No direction of 360 is steeper\nthan the gradient's, {angle:.0f}°",
    xlabel="direction (degrees, 0 is along w1)",
    ylabel="change of loss per unit of length",
    ylim=(-1.1 * steepness, 1.75 * steepness),
    xticks=range(-180, 181, 90),
)
right.legend(loc="upper left", fontsize="small")
program.save(figure, options.out / "two_weights.png")
