"""How large may a step be?

The losses are those of a line that says how heavy a penguin is, given the length of its flipper:
bowls, whose lowest point is known.
"""

# %% The data: the same lengths in centimetres and in millimetres.
# The same penguins, but another bowl: in millimetres the numbers are 10 times as large.
import sys

import descent
import figures.bowls
import numpy as np
import program

from microgd import grad, hessian, nn, plots, value_and_grad

parser = program.parser(__doc__)
about = "learning rates to try, each as a share of the limit, 2/λ (default: 0.04 0.3 1.05)"
shares = {"type": program.rate_to_draw, "nargs": "+", "default": [0.04, 0.3, 1.05]}
parser.add_argument("--shares", metavar="SHARE", help=about, **shares)
options = program.options(parser)

table, _, _ = program.table(program.PENGUINS, ["flipper_length_mm", "body_mass_g"])
length, mass = table.T
mass = mass / 1000  # in kg
BOWLS = {"flat": (length - length.mean()) / 10, "steep": length - length.mean()}
UNITS = {"flat": "cm", "steep": "mm"}


def loss_at(weights, feature):
    """The loss of the line weights[0] · feature + weights[1], in kg²."""
    return nn.mse_loss(weights[0] * feature + weights[1], mass)


# %% How curved is a bowl?
# The slope changes as one moves, in some directions faster than in others: that is the curvature.
def curvatures(feature):
    """The smallest and the largest: the eigenvalues of the matrix of all second derivatives."""
    second = hessian(lambda weights: loss_at(weights, feature))
    return np.linalg.eigvalsh(second(np.zeros(2)))


# In a direction of curvature λ, the slope is λ times the distance from the bottom. So a step of
# rate · slope changes the distance to distance · (1 − rate · λ). It becomes smaller if that factor
# is between −1 and 1: if the rate is below 2/λ. The direction with the largest λ sets the limit.
CURVATURES = {name: curvatures(feature) for name, feature in BOWLS.items()}
LIMIT = {name: 2 / largest for name, (_, largest) in CURVATURES.items()}

# %% Measured: after how many steps is the loss within 1% of the smallest?
RATES, MOST = np.geomspace(1e-3, 1, 25), 1000  # so many steps at most


def descend(feature, lr):
    """The number of steps; infinity if it diverges; nan if it takes more than the most."""
    loss_and_slopes = value_and_grad(lambda weights: loss_at(weights, feature))
    lowest = loss_at(np.polyfit(feature, mass, 1), feature)
    weights, start = np.zeros(2), loss_at(np.zeros(2), feature)
    for step in range(MOST + 1):
        loss, slopes = loss_and_slopes(weights)
        if loss <= 1.01 * lowest:
            return step
        if loss > 2 * start:  # a bowl's loss that has risen above the start rises without end
            return np.inf
        weights = weights - lr * slopes
    return np.nan


STEPS, ZONE = {}, {}
for name, feature in BOWLS.items():
    STEPS[name] = np.array([descend(feature, lr) for lr in RATES])
    arrives, diverges = np.isfinite(STEPS[name]), np.isinf(STEPS[name])
    if not (arrives.any() and diverges.any()):
        what = "diverges" if arrives.any() else "arrives"
        sys.exit(f"{name} bowl: none of the rates from {RATES[0]:g} to {RATES[-1]:g} {what}")
    good, bad = RATES[arrives].max(), RATES[diverges].min()
    for _ in range(7):  # the zone ends between these two; halve that
        middle = (good + bad) / 2
        arrived = np.isfinite(descend(feature, middle))
        good, bad = (middle, bad) if arrived else (good, middle)
    ZONE[name] = good
    print(f"{name} bowl, length in {UNITS[name]}: 2/λ = 2/{CURVATURES[name][1]:.4g} =", end=" ")
    print(f"{LIMIT[name]:.4g}\n  measured: the zone ends at {good:.4g}, or", end=" ")
    print(f"{good / LIMIT[name]:.1%} of 2/λ (with at most {MOST:,} steps; nearer takes more)")
    some = np.flatnonzero(arrives)[:: arrives.sum() // 2 or 1]
    steps = ", ".join(f"{STEPS[name][n]:.0f} at rate {RATES[n]:.2g}" for n in some)
    print(f"  steps to within 1% of the smallest loss: {steps}\n")

figure, [on] = plots.panels(height=4.8, xscale="log", yscale="log", xlabel="learning rate")
for name, colour, marker in (("flat", plots.BLUE, "."), ("steep", plots.VERMILION, "s")):
    steps = np.nan_to_num(STEPS[name], nan=3 * MOST, posinf=6 * MOST)
    look = {"color": colour, "fillstyle": "none"}
    on.plot(RATES, steps, marker, label=f"{name} bowl (length in {UNITS[name]})", **look)
    on.axvline(LIMIT[name], ls="--", color=colour, label=f"2/λ = {LIMIT[name]:.3g}, predicted end")
on.set_yticks(
    [1, 10, 100, MOST, 3 * MOST, 6 * MOST], [1, 10, 100, MOST, f"more than {MOST}", "diverges"]
)
title = f"The rate may be {ZONE['flat'] / ZONE['steep']:.3g} times as large in the flat bowl"
on.set(ylim=(0.8, 10 * MOST), title=title, ylabel="steps to within 1% of the smallest loss")
figure.legend(loc="outside lower center", ncols=2)
program.save(figure, options.out / "learning_rate.png")

# %% Too small, good, too large: a few steps of w alone in the flat bowl, with b where it belongs.
TARGET, b = np.polyfit(BOWLS["flat"], mass, 1)
START, COUNT = -0.2, 6


def loss_of(w):
    """The loss over w, in kg²."""
    return loss_at((w, b), BOWLS["flat"])


def verdict(left, crosses):
    """What to call a rate, if this share of the distance is left, and if steps cross over."""
    if left <= 0.1:
        return "arrives soon"
    if not crosses:
        return "too small"
    if np.isclose(left, 1, rtol=1e-9):
        return "neither nearer nor farther"
    return "too large" if left > 1 else "nearly too large"


slope, limit_of_w = grad(loss_of), 2 / hessian(loss_of)(START)
count = len(options.shares)
figure, axes = plots.panels(count, width=max(5.0, 3.3 * count), height=4.0)
for share, on in zip(options.shares, axes, strict=True):
    path = [START]
    while len(path) <= COUNT and abs(path[-1]) < 1e6:
        path.append(path[-1] - share * limit_of_w * slope(path[-1]))
    off = np.array(path) - TARGET
    left = abs(off[-1] / off[0])
    called = verdict(left, crosses=off[1] * off[0] < 0)
    after, times = f"after {len(path) - 1} steps the distance is", f"{left:.2g} times the first"
    print(f"{share:g} · 2/λ, a rate of {share * limit_of_w:.4g}: {called}; {after} {times}\n")
    title = f"{share:g} · 2/λ: {called}\n({after}\n{times})"
    figures.bowls.bowl(on, loss_of, TARGET, path, [plots.BLUE] * len(path), title=title)
    on.set(xlabel=f"w (kg per {UNITS['flat']})", ylabel="loss (kg²)")
program.save(figure, options.out / "learning_rate_steps.png")

# %% The rate multiplies the slope, not the weight.
# The rate stays the same, and the steps become smaller because the slope does. If the rate
# multiplied the weight, again and again, the data would have no say.
rate, w, product = 0.3 * limit_of_w, START, START
print(f"With the rate {rate:.4g}, times the slope; and with the rate times w itself:")
print("step        w        slope   loss (kg²)   w, if multiplied by the rate")
for step in range(COUNT + 1):
    print(f"{step:4d} {w:8.4f} {slope(w):12.4f} {loss_of(w):12.4f} {product:z16.4f}")
    w, product = w - rate * slope(w), rate * product
print(f"The minimum is at w = {TARGET:.4f}, and the loss there is {loss_of(TARGET):.4f}.")

# %% The page: drag the learning rate and the start yourself, and predict.
descent.write(options.out / "descent.html", BOWLS, UNITS, mass)
print(f"page: {options.out / 'descent.html'}\n")
