"""How large may the learning rate be: where does its goldilocks zone end, and what decides that?

The losses are those of lines that say how heavy a penguin is, given its flipper's length: bowls, whose lowest point is known.
After them comes the loss of a network.
"""

# %% The data: 342 penguins. The same lengths in centimetres, and in millimetres: the same birds, but another bowl.
import argparse

import numpy as np
import program

from microgd import Value, data, grad, gradients, hvp, nn, optim, plots

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "--seed", type=program.at_least(0), default=0, help="for the network's weights at the start (default: %(default)s)"
)
parser.add_argument("--steps", type=program.at_least(8), default=400, help="of the network's training (default: %(default)s)")
parser.add_argument(
    "--rates", type=program.at_least(3), default=60, help="learning rates to try on each bowl (default: %(default)s)"
)
options = program.options(parser)

length, mass = program.penguins("flipper_length_mm", "body_mass_g")[0].T
BOWLS = {"flat": (length - length.mean()) / 10, "steep": length - length.mean()}  # cm and mm, from the mean
mass = mass / 1000  # kg


def loss_at(weights, feature):
    """The loss of the line weights[0] · length + weights[1]."""
    return nn.mse_loss(weights[0] * feature + weights[1], mass)


# %% Every quadratic bowl has a largest curvature λ: the largest eigenvalue of the Hessian, the matrix of second derivatives.
def curvatures(feature):
    """The Hessian column by column, each a Hessian-vector product; then its eigenvalues, from the smallest to the largest."""
    weights = Value(np.zeros(2))
    columns = [hvp(loss_at(weights, feature), [weights], [one])[0] for one in np.eye(2)]
    return np.linalg.eigvalsh(np.stack(columns, axis=1))


# Along the direction of curvature λ the slope is λ · distance from the minimum. A step of lr · slope makes of the distance
# distance · (1 − lr · λ): nearer as long as this factor is between −1 and 1, which is: as long as lr is below 2/λ.
LIMIT = {name: 2 / curvatures(feature)[-1] for name, feature in BOWLS.items()}
for name, feature in BOWLS.items():
    small, large = curvatures(feature)
    print(f"{name} bowl: curvatures {small:.3g} and {large:.3g}. Prediction: it converges below 2/λ = {LIMIT[name]:.4g}.")


# %% Measured: how many steps until the weights are within 1 % of the way of the lowest point, which is known.
def descend(feature, lr, most=3000):
    """The weights on the way from 0, until 99 % of the way is done, or until they are further off than at the start."""
    exact = np.polyfit(feature, mass, 1)
    weights = Value(np.zeros(2))
    path = [weights.data]
    while len(path) <= most and 0.01 < np.linalg.norm(path[-1] - exact) / np.linalg.norm(exact) < 1000:
        (slope,) = gradients(loss_at(weights, feature), [weights])
        weights = Value(weights.data - lr * slope)
        path.append(weights.data)
    return np.array(path), np.linalg.norm(path[-1] - exact) <= 0.01 * np.linalg.norm(exact)


ZONE = {}
STEPS = {}
for name, feature in BOWLS.items():
    rates = LIMIT[name] * np.geomspace(1 / 30, 1.2, options.rates)
    runs = [descend(feature, lr) for lr in rates]
    STEPS[name] = (rates, [len(path) - 1 if arrived else np.inf for path, arrived in runs])
    good, bad = 0.5 * LIMIT[name], 2 * LIMIT[name]  # the end of the zone is between the two: halve that, again and again
    for _ in range(12):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if descend(feature, middle)[1] else (good, middle)
    ZONE[name] = good
    print(f"{name} bowl: measured, the zone ends at {good:.4g}, {good / LIMIT[name]:.1%} of what was predicted;", end=" ")
    print(f"the best of the rates tried, {rates[np.argmin(STEPS[name][1])]:.3g}, takes {min(STEPS[name][1])} steps.")
leaps = ZONE["flat"] / ZONE["steep"]
print(f"In the flat bowl the rate may be {leaps:.0f} times as large.\n")

# %% Too small, right, too large: the first shots of w alone in the flat bowl, with b where it belongs.
flat, b = BOWLS["flat"], mass.mean()


def shots(w, lr, count=9):
    """The first weights on the way down from w."""
    slopes = grad(lambda w: loss_at((w, b), flat))
    path = [w]
    while len(path) < count:
        path.append(path[-1] - lr * slopes(path[-1]))
    return path


figure, axes = plots.panels(3, width=9.5, height=4.0)
for on, share, verdict in zip(axes, (0.04, 0.4, 1.05), ("too small", "right", "too large"), strict=True):
    lr = share * LIMIT["flat"]
    plots.curve(
        lambda w: loss_at((w, b), flat),
        shots(-0.2, lr),
        span=(-0.7, 1.7),
        ax=on,
        title=f"Learning rate {lr:.2g}, {share:.2f} · 2/λ:\n{verdict}",
        xlabel="w (kg per cm)",
        ylabel="loss (kg²)",
        ylim=(0, 2.7),
    )
    for n, w in enumerate(shots(-0.2, lr, 3)):
        on.annotate(n, (w, loss_at((w, b), flat)), (7, 7), textcoords="offset points")
program.save(figure, options.out / "learning_rate_shots.png")

figure, [on] = plots.panels(height=4.5)
for name, colour, marker in (("flat", plots.BLUE, "o"), ("steep", plots.VERMILION, "s")):
    unit = {"flat": "length in cm", "steep": "length in mm"}[name]
    rates, steps = np.array(STEPS[name])
    on.plot(rates, steps, marker, color=colour, markersize=4, label=f"{name} bowl ({unit}), measured")
    on.plot(rates[np.isinf(steps)], np.full(np.isinf(steps).sum(), 6000), "x", color=colour)
    on.axvline(LIMIT[name], color=colour, linestyle="--", label=f"{name} bowl, predicted end: 2/λ = {LIMIT[name]:.3g}")
on.set(
    xscale="log",
    yscale="log",
    xlabel="learning rate",
    ylabel="steps to within 1 % of the minimum",
    title=f"The zone ends at 2/λ: measured {ZONE['flat']:.4f} and {ZONE['steep']:.6f}. Flatter bowl, larger leaps",
)
on.annotate("× not within 3,000 steps", (LIMIT["flat"], 6000), (-8, -4), textcoords="offset points", ha="right")
on.legend(loc="lower left")
program.save(figure, options.out / "learning_rate.png")

# %% What the rate multiplies is the slope. To multiply the weight by it, again and again, leads nowhere but to 0.
lr = 0.4 * LIMIT["flat"]
lowest = loss_at((np.polyfit(flat, mass, 1)[0], b), flat)
print(f"learning rate {lr:.2g}    w − lr · slope       loss (kg²)        lr · w       loss (kg²)")
for step, w in enumerate(shots(-0.2, lr)):
    product = -0.2 * lr**step
    print(f"{step:22d} {w:15.4f} {loss_at((w, b), flat):16.4f} {product:13.4f} {loss_at((product, b), flat):16.4f}")
print(f"The smallest loss there is is {lowest:.4f}.\n")

# %% A network's loss is no bowl: its curvature differs from place to place. λ by power iteration: a vector, multiplied by
# the Hessian again and again, turns toward the eigenvector whose eigenvalue is largest in magnitude. The Hessian of these
# 12,730 weights has 162 million elements, but its product with a vector costs no more than two reverse passes.
images, labels = (array[:300] for array in data.digits().train)
images, target = images.astype(float), data.one_hot(labels, 10).astype(float)
rng = np.random.default_rng(options.seed)
model = nn.Sequential(nn.Linear(784, 16, rng=rng, dtype=float), nn.Tanh(), nn.Linear(16, 10, rng=rng, dtype=float))
weights = model.parameters()


def network_loss():
    """The mean squared error of the ten outputs, which should be 1 for the right digit and 0 for the others."""
    return nn.mse_loss(model(images), target)


def largest_curvature(vector, times):
    """The eigenvalue that is largest in magnitude, and its eigenvector of length 1, from a first guess at that."""
    loss = network_loss()
    for _ in range(times):
        vector = [v / np.sqrt(sum(np.sum(v**2) for v in vector)) for v in vector]
        turned = hvp(loss, weights, vector)
        curvature = sum(np.sum(v * t) for v, t in zip(vector, turned, strict=True))
        vector, unit = turned, vector
    return curvature, unit


# Push the weights a little off along the eigenvector: one step back down that slope is too long, and raises the loss, if
# the rate is above 2/λ. That is the prediction, as long as the loss around here is as good as a bowl.
PUSH = 0.02


def changes_by_a_step(vector, rates):
    """For each rate, by how much one step along the vector, from a little off, changes the loss. (The weights stay.)"""
    here, along = nn.parameters_to_vector(weights), np.concatenate([v.ravel() for v in vector])

    def loss_at_distance(t):
        nn.vector_to_parameters(here + t * along, weights)
        return network_loss()

    slope = sum(np.sum(g * v) for g, v in zip(gradients(loss_at_distance(PUSH), weights), vector, strict=True))
    losses = [loss_at_distance(PUSH - rate * slope).item() for rate in (0, *rates)]
    nn.vector_to_parameters(here, weights)
    return np.array(losses[1:]) - losses[0]


RATE = 0.5
SHARES = np.linspace(0, 1.6, 33)  # of 2/λ
MOMENTS = (0, options.steps // 4, options.steps)
optimizer = optim.SGD(weights, lr=RATE)
vector, curvature_at, tried = [rng.normal(size=p.shape) for p in weights], {}, {}
for step in range(options.steps + 1):
    optimizer.zero_grad()
    network_loss().backward()
    if step % 20 == 0 or step in MOMENTS:
        curvature_at[step], vector = largest_curvature(vector, 10 if step else 30)
    if step in MOMENTS:
        tried[step] = changes_by_a_step(vector, SHARES * 2 / curvature_at[step])
    optimizer.step()

BREAK_EVEN = {}
print("network: step     λ      2/λ   along its eigenvector the loss falls up to a rate of")
for step, changes in tried.items():
    first = np.flatnonzero((changes[:-1] < 0) & (changes[1:] >= 0))[0]  # between this one and the next it is back at 0
    part = -changes[first] / (changes[first + 1] - changes[first])
    BREAK_EVEN[step] = SHARES[first] + part * (SHARES[first + 1] - SHARES[first])
    limit = 2 / curvature_at[step]
    print(f"{step:13d} {curvature_at[step]:5.2f} {limit:8.3f} {BREAK_EVEN[step] * limit:12.3f}, {BREAK_EVEN[step]:.1%} of 2/λ")
late = [curvature for step, curvature in curvature_at.items() if step >= options.steps / 2]
print(f"λ moves as training goes: from {min(curvature_at.values()):.2f} to {max(curvature_at.values()):.2f}.")
print(f"In the second half it is {np.mean(late):.2f} on average; 2 / learning rate is {2 / RATE:.2f}.\n")

figure, (left, right) = plots.panels(2, width=9.5, height=4.3)
for (step, changes), colour, line in zip(tried.items(), plots.COLOURS, ("-", "--", ":"), strict=False):
    left.plot(SHARES, changes / -changes.min(), line, color=colour, label=f"at step {step}")
left.axhline(0, color="black", linewidth=1)
worst = max(abs(share - 1) for share in BREAK_EVEN.values())
left.set(
    title=f"One step along the steepest-curved direction\nbreaks even at 2/λ, to within {worst:.1%}",
    xlabel="learning rate, as a multiple of 2/λ",
    ylabel="change of loss (the most it falls = −1)",
)
left.legend()
right.plot(list(curvature_at), list(curvature_at.values()), "o-", color=plots.BLUE, label="λ, measured")
right.axhline(2 / RATE, color=plots.VERMILION, linestyle="--", label=f"2 / learning rate = {2 / RATE:g}")
right.set(
    title=f"λ moves as the network learns:\nin the second half it is {np.mean(late):.2f} on average",
    xlabel="step",
    ylabel="largest curvature λ of the loss",
    ylim=(0, None),
)
right.legend(loc="lower right")
program.save(figure, options.out / "learning_rate_network.png")
