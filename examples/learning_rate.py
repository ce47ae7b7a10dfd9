"""How large may the learning rate be: where does its goldilocks zone end, and what decides that?

The losses are those of lines that say how heavy a penguin is, given its flipper's length: bowls,
whose lowest point is known. After them comes the loss of a network, which is no bowl.
"""

# %% The data: 342 penguins.
# The same lengths in centimetres, and in millimetres: the same birds, but another bowl.
import sys

import numpy as np
import program

from microgd import Value, data, grad, gradients, hvp, nn, optim, plots

parser = program.parser(__doc__)
parser.add_argument(
    "--rates",
    type=program.at_least(10),
    default=60,
    help="rates to try on a bowl (default: %(default)s)",
)
parser.add_argument(
    "--network-rate",
    type=program.rate,
    default=0.5,
    help="the network's learning rate (default: %(default)s)",
)
parser.add_argument(
    "--steps",
    type=program.at_least(40),
    default=400,
    help="of the network's training (default: %(default)s)",
)
parser.add_argument(
    "--seed",
    type=program.at_least(0),
    default=0,
    help="for the network's first weights (default: %(default)s)",
)
options = program.options(parser)

length, mass = program.penguins("flipper_length_mm", "body_mass_g")[0].T
mass = mass / 1000  # kg
# cm and mm, from the mean
BOWLS = {"flat": (length - length.mean()) / 10, "steep": length - length.mean()}
UNITS = {"flat": "cm", "steep": "mm"}


def loss_at(weights, feature):
    """The loss of the line weights[0] · length + weights[1], in kg²."""
    return nn.mse_loss(weights[0] * feature + weights[1], mass)


# %% How curved is a bowl?
# The slope changes as one moves, in some directions faster than in others: that is the curvature.
def curvatures(feature):
    """The smallest and the largest: the eigenvalues of the Hessian, the matrix of all second
    derivatives.

    It comes column by column, each as the Hessian times a vector that is 1 in one place.
    """
    weights = Value(np.zeros(2))
    columns = [hvp(loss_at(weights, feature), [weights], [one])[0] for one in np.eye(2)]
    return np.linalg.eigvalsh(np.stack(columns, axis=1))


# In a direction of curvature λ the slope is λ · the distance from the bottom. A step of lr · slope
# makes of the distance distance · (1 − lr · λ): smaller as long as this factor is between −1 and 1,
# which is: as long as lr is below 2/λ. How far off one is does not matter. The direction with the
# largest λ is the first to overshoot, so that one decides.
CURVATURES = {name: curvatures(feature) for name, feature in BOWLS.items()}
LIMIT = {name: 2 / large for name, (_, large) in CURVATURES.items()}
for name, (small, large) in CURVATURES.items():
    print(
        f"{name:5s} bowl: curvatures {small:.3g} and {large:.3g}, so the zone should end at 2/λ = "
        f"{LIMIT[name]:.4g}"
    )


# %% Measured: how many steps until both weights are within 1 % of what they should be?
MOST = 3000


def descend(feature, lr, start=(0.0, 0.0)):
    """The number of steps; infinity if it diverges, and not a number if it is still on its way
    after MOST of them.
    """
    exact = np.polyfit(feature, mass, 1)
    weights = Value(start)
    for step in range(MOST):
        off = np.max(np.abs(weights.data / exact - 1))
        if off < 0.01:
            return step
        if off > 1e6:
            return np.inf
        weights = Value(weights.data - lr * gradients(loss_at(weights, feature), [weights])[0])
    return np.nan


ZONE, STEPS, RATES = {}, {}, np.geomspace(1e-4, 1, options.rates)
for name, feature in BOWLS.items():
    STEPS[name] = np.array([descend(feature, lr) for lr in RATES])
    arrives, diverges = np.isfinite(STEPS[name]), np.isinf(STEPS[name])
    if not (arrives.any() and diverges.any()):
        what = "arrives" if not arrives.any() else "diverges"
        sys.exit(
            f"{name} bowl: none of the rates from {RATES[0]:.2g} to {RATES[-1]:.2g} {what}: try "
            "others, or more steps"
        )
    # the end of the zone is between these two
    good, bad = RATES[arrives].max(), RATES[diverges].min()
    for _ in range(12):  # halve that, again and again
        middle = (good + bad) / 2
        good, bad = (middle, bad) if np.isfinite(descend(feature, middle)) else (good, middle)
    ZONE[name] = good
    best = np.nanargmin(STEPS[name])
    print(
        f"{name:5s} bowl: measured, it ends at {good:.4g}, {good / LIMIT[name]:.1%} of that.",
        end=" ",
    )
    print(f"The best of the rates tried, {RATES[best]:.2g}, takes {STEPS[name][best]:.0f} steps.")
print()
far = {share: descend(BOWLS["flat"], share * LIMIT["flat"], (1e4, -1e5)) for share in (0.9, 1.1)}
elongated = {name: large / small for name, (small, large) in CURVATURES.items()}
program.say(
    f"In the flat bowl the rate may be {ZONE['flat'] / ZONE['steep']:.0f} times as large. From a",
    "start 10,000 times as far off",
    "the zone is the same: 0.9 · 2/λ "
    + ("arrives" if np.isfinite(far[0.9]) else "does not arrive")
    + " and",
    "1.1 · 2/λ " + ("does." if np.isfinite(far[1.1]) else "does not."),
    f"(In one direction the steep bowl is {elongated['steep']:.0f} times as curved as in the",
    f"other, the flat one {elongated['flat']:.1f} times. It is this that makes it slow: a rate",
    "that is small enough for the one is far too small for the other.)",
)

figure, [on] = plots.panels(height=4.8)
LOOKS = {
    "flat": (plots.BLUE, {"marker": "o", "ms": 4}),
    "steep": (plots.VERMILION, {"marker": "s", "ms": 8, "mfc": "none"}),
}
for name, (colour, look) in LOOKS.items():
    on.plot(
        RATES,
        STEPS[name],
        ls="",
        color=colour,
        label=f"{name} bowl (length in {UNITS[name]}), measured",
        **look,
    )
    on.axvline(
        LIMIT[name],
        color=colour,
        linestyle="--",
        label=f"its predicted end, 2/λ = {LIMIT[name]:.3g}",
    )
for height, (name, (colour, _)) in zip((3 * MOST, 5 * MOST), LOOKS.items(), strict=True):
    for outcome, mark, kind in (
        (np.isnan(STEPS[name]), "<", f"still on its way after {MOST:,} steps"),
        (np.isinf(STEPS[name]), "x", "diverges"),
    ):
        label = f"{name} bowl, {kind}"
        on.plot(
            RATES[outcome],
            np.full(outcome.sum(), height),
            mark,
            color=colour,
            markersize=5,
            label=label,
        )
on.axhline(2 * MOST, color="0.7", linewidth=1)  # what is above this line has no number of steps
on.set(
    xscale="log",
    yscale="log",
    ylim=(1, 10 * MOST),
    yticks=[1, 10, 100, 1000],
    xlabel="learning rate",
    ylabel="steps until both weights are within 1%",
    title="The zone ends at 2/λ:\n"
    + ", ".join(f"{name} {ZONE[name]:.4g} (predicted {LIMIT[name]:.4g})" for name in BOWLS),
)
on.legend(loc="lower left", fontsize="small")
program.save(figure, options.out / "learning_rate.png")

# %% Too small, right, too large:
# the first shots of w alone in the flat bowl, with b where it belongs. (The largest curvature of
# that bowl is that of w.)
flat, b = BOWLS["flat"], mass.mean()
target = np.polyfit(flat, mass, 1)[0]


def shots(w, lr, count=7):
    """The first weights on the way down from w."""
    slopes = grad(lambda w: loss_at((w, b), flat))
    path = [w]
    while len(path) < count:
        path.append(path[-1] - lr * slopes(path[-1]))
    return path


SHOTS_AT = (0.04, 0.3, 1.05)  # of 2/λ
figure, axes = plots.panels(len(SHOTS_AT), width=max(5.0, 9.5 * len(SHOTS_AT) / 3), height=4.0)
for on, share in zip(axes, SHOTS_AT, strict=True):
    lr = share * LIMIT["flat"]
    path = shots(-0.2, lr)
    left = abs(path[-1] - target) / abs(path[0] - target)  # of the distance
    verdict = "too large" if left > 1 else "too small" if left > 0.1 else "fine"
    plots.curve(
        lambda w: loss_at((w, b), flat),
        path,
        span=(-0.9, 1.9),
        ax=on,
        title=f"{share:.2f} · 2/λ is {verdict}:\n{left:.1%} left after {len(path) - 1} steps",
        xlabel=f"w (kg per {UNITS['flat']})",
        ylabel="loss (kg²)",
        ylim=(0, 3.7),
    )
    for n, w in [(0, path[0]), (2, path[2])]:
        on.annotate(
            n, (w, loss_at((w, b), flat)), (7 if w < target else -14, 7), textcoords="offset points"
        )
program.save(figure, options.out / "learning_rate_shots.png")

# %% What the rate multiplies is the slope.
# To multiply the weight by it, again and again, leads to 0 if the rate is below 1, and out without
# end if it is above: either way the data have no say.
lr = 0.3 * LIMIT["flat"]
PRODUCTS = [-0.2 * lr**step for step in range(7)]
print(f"learning rate {lr:.2g}:   w − lr · slope      loss (kg²)         lr · w      loss (kg²)")
for step, (w, product) in enumerate(zip(shots(-0.2, lr), PRODUCTS, strict=True)):
    losses = [loss_at((each, b), flat) for each in (w, product)]
    print(f"{step:19d} {w:18.4f} {losses[0]:15.4f} {product:14.4f} {losses[1]:15.4f}")
print(
    f"The smallest loss there is is {loss_at((target, b), flat):.4f}. The rate stays the same:",
    end=" ",
)
print("the steps become smaller because the slope does.\n")

# %% A network's loss is no bowl: how curved it is differs from place to place.
# The Hessian of these 12,730 weights would have 162 million elements, but its product with a vector
# takes only two reverse passes. And a vector that is multiplied by it again and again turns toward
# the direction that it stretches most, where the curvature is the largest (in magnitude).
images, labels = (array[:300] for array in data.digits().train)
images, wanted = images.astype(float), data.one_hot(labels, 10).astype(float)
rng = np.random.default_rng(options.seed)
model = nn.Sequential(
    nn.Linear(784, 16, rng=rng, dtype=float), nn.Tanh(), nn.Linear(16, 10, rng=rng, dtype=float)
)
weights = model.parameters()


def network_loss():
    """The mean squared error of the ten outputs, which should be 1 for the right digit and 0 for
    the others.
    """
    return nn.mse_loss(model(images), wanted)


def largest_curvature(vector, times):
    """The largest curvature and its direction, a vector of length 1 (in parts, as the weights are),
    from a first guess.
    """
    loss = network_loss()
    for _ in range(times):
        vector = [v / np.sqrt(sum(np.sum(v**2) for v in vector)) for v in vector]
        turned = hvp(loss, weights, vector)
        curvature = sum(np.sum(v * t) for v, t in zip(vector, turned, strict=True))
        unit = vector
        vector = turned
    return curvature, unit


# Push the weights a little off in that direction. One step back down the slope is too long, and
# raises the loss, if the rate is above 2/λ: that is the prediction, as long as the loss around here
# is as good as a bowl.
PUSH = 0.02


def changes_by_a_step(vector, rates):
    """For each rate, by how much one step along the vector, from a little off, changes the loss.
    (The weights stay.)
    """
    here, along = nn.parameters_to_vector(weights), np.concatenate([v.ravel() for v in vector])

    def loss_at_distance(t):
        nn.vector_to_parameters(here + t * along, weights)
        return network_loss()

    slope = sum(
        np.sum(g * v)
        for g, v in zip(gradients(loss_at_distance(PUSH), weights), vector, strict=True)
    )
    losses = [loss_at_distance(PUSH - rate * slope).item() for rate in (0, *rates)]
    nn.vector_to_parameters(here, weights)
    return np.array(losses[1:]) - losses[0]


SHARES = np.linspace(0, 1.6, 33)  # of 2/λ
MOMENTS = (0, options.steps // 4, options.steps)
optimizer = optim.SGD(weights, lr=options.network_rate)
vector, curvature_at, loss_after, tried = [rng.normal(size=p.shape) for p in weights], {}, {}, {}
for step in range(options.steps + 1):
    loss = network_loss()
    if not loss.item() < 1e3:
        sys.exit(
            f"the network's loss is {loss.item():.3g} at step {step}: try a smaller --network-rate"
        )
    optimizer.zero_grad()
    loss.backward()
    if step % 20 == 0 or step in MOMENTS:
        loss_after[step] = loss.item()
        curvature_at[step], vector = largest_curvature(vector, 10 if step else 30)
    if step in MOMENTS:
        tried[step] = changes_by_a_step(vector, SHARES * 2 / curvature_at[step])
    optimizer.step()

BREAK_EVEN = {}
print("network: step     loss      λ      2/λ   a step there breaks even at a rate of")
for step, changes in tried.items():
    up = np.flatnonzero((changes[:-1] < 0) & (changes[1:] >= 0))
    if not len(up):
        sys.exit(
            f"at step {step} the loss is no bowl, not even for small steps: try a smaller "
            "--network-rate"
        )
    first = up[0]  # between this one and the next it is back at 0
    part = -changes[first] / (changes[first + 1] - changes[first])
    BREAK_EVEN[step] = SHARES[first] + part * (SHARES[first + 1] - SHARES[first])
    limit = 2 / curvature_at[step]
    print(f"{step:13d} {loss_after[step]:8.4f} {curvature_at[step]:6.2f} {limit:8.3f}", end=" ")
    print(f"{BREAK_EVEN[step] * limit:8.3f}, which is {BREAK_EVEN[step]:.1%} of 2/λ")
above = [step for step in curvature_at if options.network_rate > 2 / curvature_at[step]]
late = np.mean([curvature for step, curvature in curvature_at.items() if step >= options.steps / 2])
print()
program.say(
    f"At {len(above)} of {len(curvature_at)} places the rate, {options.network_rate:g}, is above",
    f"2/λ. From the first to the last the loss goes from {loss_after[0]:.3f} to",
    f"{loss_after[options.steps]:.3f} all the same: 2/λ speaks of one direction, and of that",
    f"place. As the weights move, so does λ, between {min(curvature_at.values()):.2f} and",
    f"{max(curvature_at.values()):.2f}; in the second half it is {late:.2f} on average, and 2 /",
    f"learning rate is {2 / options.network_rate:.3g}.",
)

figure, (left, right) = plots.panels(2, width=9.5, height=4.3)
for (step, changes), colour, line in zip(
    tried.items(), plots.COLOURS, ("-", "--", ":"), strict=False
):
    left.plot(SHARES, changes / -changes.min(), line, color=colour, label=f"at step {step}")
left.axhline(0, color="black", linewidth=1)
worst = max(abs(share - 1) for share in BREAK_EVEN.values())
left.set(
    title="One step along the steepest-curved direction\nbreaks even at 2/λ, to within "
    f"{worst:.1%}",
    xlabel="learning rate, as a multiple of 2/λ",
    ylabel="change of loss (the most it falls = −1)",
)
left.legend()
right.plot(
    list(curvature_at), list(curvature_at.values()), "o-", color=plots.BLUE, label="λ, measured"
)
right.axhline(
    2 / options.network_rate,
    color=plots.VERMILION,
    linestyle="--",
    label=f"2 / learning rate = {2 / options.network_rate:.3g}",
)
right.set(
    title=f"λ moves as the loss falls from {loss_after[0]:.3f} to "
    f"{loss_after[options.steps]:.3f}:\n"
    f"in the second half it is {late:.2f} on average",
    xlabel="step",
    ylabel="largest curvature λ of the loss",
    ylim=(0, 1.15 * max(*curvature_at.values(), 2 / options.network_rate)),
)
right.legend(loc="lower right")
program.save(figure, options.out / "learning_rate_network.png")
