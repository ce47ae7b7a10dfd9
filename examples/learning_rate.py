"""How large may a step be?

The losses are those of a line through penguins: bowls, whose lowest point is known.
"""

# %% The data: the same lengths in centimetres and in millimetres.
# The same penguins, but another bowl: in millimetres the numbers are 10 times as large.
import sys

import descent
import figures.learning_rate
import numpy as np
import program

from microgd import grad, hessian, nn, value_and_grad

parser = program.parser(__doc__)
shares = {"type": program.rate_to_draw, "nargs": "+", "default": [0.04, 0.3, 1.05]}
about = "learning rates to try, each as a share of the limit, 2/λ (default: %(default)s)"
parser.add_argument("--shares", metavar="SHARE", help=about, **shares)
options = program.options(parser)
table, columns, _ = program.table(program.PENGUINS, ["flipper_length_mm", "body_mass_g"])
length, mass = table[:, 0], table[:, 1] / 1000  # in mm, and in kg
BOWLS = {"flat": (length - length.mean()) / 10, "steep": length - length.mean()}
WORDS = figures.learning_rate.Words(columns, table, BOWLS, mass)


def loss_at(weights, feature):
    """The loss of the line weights[0] · feature + weights[1]."""
    return nn.mse_loss(weights[0] * feature + weights[1], mass)


# %% How curved is a bowl?
# The slope changes as one moves, in some directions faster than in others: that is the curvature.
# In a direction of curvature λ, the slope is λ times the distance from the bottom. So a step of
# rate · slope changes the distance to distance · (1 − rate · λ). It becomes smaller if that factor
# is between −1 and 1: if the rate is below 2/λ. The direction with the largest λ sets the limit.
CURVATURE, start = {}, np.zeros(2)
for name, feature in BOWLS.items():
    second = hessian(loss_at)(start, feature)  # the matrix of all second derivatives
    CURVATURE[name] = np.linalg.eigvalsh(second).max()  # λ: its largest eigenvalue
    distance = start - np.polyfit(feature, mass, 1)
    if not np.allclose(grad(loss_at)(start, feature), second @ distance):
        sys.exit("this loss is not a bowl with its lowest point at the line of least squares")

# %% Measured: after how many steps is the loss close to the smallest?
RATES, MOST = np.geomspace(1e-3, 1, 25), 1000  # so many steps at most
CLOSE = 0.01  # within 1%


def descend(feature, lr):
    """The number of steps; infinity if it diverges; nan if it takes more than the most."""
    lowest, first = loss_at(np.polyfit(feature, mass, 1), feature), loss_at(start, feature)
    weights = start
    for step in range(MOST + 1):
        loss, slopes = value_and_grad(loss_at)(weights, feature)
        if loss <= (1 + CLOSE) * lowest:
            return step
        if loss > 2 * first:  # a bowl's loss that has risen above the first rises without end
            return np.inf
        weights = weights - lr * slopes
    return np.nan


STEPS, ZONE = {}, {}
near = f"within {100 * CLOSE:g}% of the smallest loss"
for name, feature in BOWLS.items():
    STEPS[name] = [descend(feature, lr) for lr in RATES]
    good, bad = figures.learning_rate.neighbours(name, RATES, STEPS[name], MOST)
    # The zone ends between these two: halve that again and again.
    good = program.last(lambda lr, x=feature: np.isfinite(descend(x, lr)), good, bad)
    ZONE[name], limit = good, 2 / CURVATURE[name]
    print(f"{name} bowl, {WORDS.of(name)}: 2/λ = 2/{CURVATURE[name]:.4g} = {limit:.4g}")
    print(f"  measured: the zone ends at {good:.4g}, or {good / limit:.1%} of 2/λ", end=" ")
    print(f"(with at most {program.counted(MOST, 'step')}; nearer takes more)")
    print(f"  steps to {near}: {figures.learning_rate.some(RATES, STEPS[name])}\n")
steep, *_, flat = sorted(ZONE, key=ZONE.get)
figure = figures.learning_rate.draw_zones(RATES, STEPS, CURVATURE, WORDS, MOST, near)
times = f"{ZONE[flat] / ZONE[steep]:.3g} times"
figure.axes[0].set_title(f"The rate may be {times} as large in the {flat} bowl")
program.save(figure, options.out / "learning_rate.png")

# %% Too small, good, too large: a few steps of w alone in a bowl, with b where it belongs.
BOWL, START, COUNT = flat, -0.2, 6
TARGET, b = np.polyfit(BOWLS[BOWL], mass, 1)


def loss_of(w):
    """The loss over w."""
    return loss_at((w, b), BOWLS[BOWL])


def verdict(share):
    """What to call a rate that is this share of 2/λ."""
    if abs(1 - 2 * share) ** 6 <= 0.1:  # six steps leave a tenth of the distance
        return "arrives soon"
    if np.isclose(share, 1, rtol=1e-9):
        return "neither nearer nor farther"
    too_large = "too large" if share > 1 else "nearly too large"
    return too_large if share > 0.5 else "too small"


slope, limit_of_w = grad(loss_of), 2 / hessian(loss_of)(START)
PATHS = {}
for share in options.shares:
    rate, path = share * limit_of_w, [START]
    while len(path) <= COUNT and abs(path[-1] - TARGET) < 1e6 * abs(START - TARGET):
        path.append(path[-1] - rate * slope(path[-1]))
    reached = figures.learning_rate.how_far(path, TARGET)
    print(f"{share:g} · 2/λ, a rate of {rate:.4g}: {verdict(share)}; {reached}\n")
    PATHS[f"{share:g} · 2/λ: {verdict(share)}"] = path
figure = figures.learning_rate.draw_paths(loss_of, TARGET, PATHS, WORDS.w(BOWL), WORDS.loss)
program.save(figure, options.out / "learning_rate_steps.png")

# %% The rate multiplies the slope, not the weight.
# The rate stays the same, and the steps become smaller because the slope does. If the rate
# multiplied the weight, again and again, the data would have no say.
rate, w, product = 0.3 * limit_of_w, START, START
print(f"With the rate {rate:.4g}, times the slope; and with the rate times w itself:")
print(f"step        w        slope {WORDS.loss:>12s}   w, if multiplied by the rate")
for step in range(COUNT + 1):
    print(f"{step:4d} {w:z8.4f} {slope(w):z12.4f} {loss_of(w):12.4f} {product:z16.4f}")
    w, product = w - rate * slope(w), rate * product
print(f"The minimum is at w = {TARGET:.4f}, and the loss there is {loss_of(TARGET):.4f}.")

# %% The page: drag the learning rate and the start yourself, and predict.
descent.write(options.out / "descent.html", target=mass, **WORDS.page(flat, steep))
print(f"page: {options.out / 'descent.html'}\n")
