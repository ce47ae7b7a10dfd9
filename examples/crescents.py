"""Can the same neurons learn to tell two crescents of points apart?

The network of lecture.py, with more neurons: it sees the two coordinates of a point, and should say
on which of the crescents the point lies.
"""

# %% The points: two crescents, of which each reaches into the other.
import random

import numpy as np
import program
from neurons import MLP, count

import microgd
from microgd import no_grad, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--steps",
    type=program.at_least(4),
    default=200,
    help="of gradient descent (default: %(default)s)",
)
options = program.options(parser)
random.seed(1337)
rng = np.random.default_rng(0)
HALF = 50  # points in each crescent
angle = rng.random(2 * HALF) * np.pi
side = np.repeat([1, -1], HALF)
is_lower = side < 0
points = np.stack([np.cos(angle) * side + is_lower, np.sin(angle) * side + 0.5 * is_lower], axis=1)
points += rng.normal(0, 0.1, points.shape)

# %% The network: it should say more than 0 for the upper crescent, and less for the lower one.
model = MLP(2, [16, 16, 1])


@microgd.compiled  # written out once, then run as NumPy calls, which is much faster
def loss_of_crescents():
    """The mean of max(0, 1 − sign · output), plus a small cost for large weights.

    A point adds nothing if the output has the right sign and is beyond 1 or −1. This loss is called
    the hinge loss.
    """
    total = 0.0
    for point, sign in zip(points.tolist(), side.tolist(), strict=True):
        total = total + (1.0 - sign * model(point)).relu()
    squares = sum(p * p for p in model.parameters())
    return total / len(points) + 1e-4 * squares


# %% Gradient descent. In each step the network is computed for every point.
for step in range(options.steps):
    loss = loss_of_crescents()
    model.zero_grad()
    loss.backward()
    rate = 1.0 - 0.9 * step / options.steps  # large steps first, then smaller ones
    for p in model.parameters():
        p.data -= rate * p.grad
    if step % (options.steps // 4) == 0 or step == options.steps - 1:
        print(f"step {step:3}: the loss is {loss.item():.3f}")

# %% What the network says everywhere.


def says(x, y):
    """The network's output at (x, y), or at many places at once, if x and y are arrays."""
    with no_grad():
        return model([x, y]).data


right = np.sum(says(*points.T) * side > 0)
print()
across, up = np.linspace(-1.5, 2.5, 81), np.linspace(-1.0, 1.5, 51)
heights = says(*np.meshgrid(across, up))
has_line = heights.min() < 0 < heights.max()
line = "on the line it is 0" if has_line else "it has one sign everywhere"
program.say(
    f"For {right} of the {len(points)} points the network's output has the right sign. In the",
    f"picture, {line}.",
)
figure, [ax] = plots.panels(1, 1, width=7, height=4.8)
levels = np.linspace(-1, 1, 11)
filled = ax.contourf(across, up, heights, levels, cmap="RdBu", alpha=0.6, extend="both")
if has_line:
    ax.contour(across, up, heights, levels=[0.0], colors="black", linewidths=1.5)
for sign, marker, name in ((1, "o", "upper"), (-1, "s", "lower")):
    chosen = points[side == sign]
    colour = "#0b6fa8" if sign > 0 else "#a63c00"
    ax.scatter(*chosen.T, c=colour, marker=marker, edgecolors="white", label=f"{name} crescent")
ax.set(
    xlabel="x",
    ylabel="y",
    title=f"The output of {count(model)} weights and biases: {line}",
)
ax.legend(loc="upper right")
figure.colorbar(filled, label="the network's output")
program.save(figure, options.out / "crescents.png")
