"""How large may a step be where the loss is no bowl?

The loss is that of a small network that reads digits. How curved it is differs from place to place,
so the limit of the learning rate, 2/λ, moves as the network trains.
"""

# %% The data, 200 digits, and the network: 784 pixels, 16 neurons, 10 outputs.
import sys

import numpy as np
import program

from microgd import data, gradients, hvp, nn, optim, plots

parser = program.parser(__doc__)
parser.add_argument("--rate", type=program.rate, default=0.5, help="learning rate (default: 0.5)")
parser.add_argument("--steps", type=program.at_least(40), default=400, help="steps (default: 400)")
parser.add_argument("--seed", type=program.at_least(0), default=0, help="of weights (default: 0)")
options = program.options(parser)

EXAMPLES = 200
images, labels = (array[:EXAMPLES] for array in data.digits().train)
images, wanted = images.astype(float), data.one_hot(labels, 10).astype(float)
rng = np.random.default_rng(options.seed)
model = nn.Sequential(
    nn.Linear(784, 16, rng=rng, dtype=float), nn.Tanh(), nn.Linear(16, 10, rng=rng, dtype=float)
)
weights = model.parameters()


def network_loss():
    """The mean squared error of the ten outputs: 1 is wanted for the right digit, else 0."""
    return nn.mse_loss(model(images), wanted)


# %% The largest curvature λ, without the matrix of second derivatives.
# For these 12,730 weights it would have 162 million elements, but its product with a vector, hvp,
# takes only two reverse passes. A vector that is multiplied by the matrix again and again turns
# into the direction that the matrix stretches most. There the curvature is the largest.
def largest_curvature(vector, times):
    """The curvature, and its direction as a vector of length 1, in parts as the weights are."""
    loss = network_loss()
    for _ in range(times):
        length = np.sqrt(sum(np.sum(part**2) for part in vector))
        unit = [part / length for part in vector]
        vector = hvp(loss, weights, unit)
        curvature = sum(np.sum(u * v) for u, v in zip(unit, vector, strict=True))
    return curvature, unit


# %% One step in that direction: how large may it be?
# Push the weights a little off in that direction, and make one step back down the slope. Why 2/λ?
# In a bowl the slope is λ · distance, so a step changes the distance to distance · (1 − rate · λ).
# At the rate 2/λ it ends as far away, on the other side: the loss is as it was. Above, it rises.
PUSH = 0.02
SHARES = np.linspace(0, 1.6, 33)  # the rates to try, as multiples of 2/λ


def changes_by_a_step(unit, rates):
    """By how much one step along it changes the loss, for each rate. The weights stay."""
    here = nn.parameters_to_vector(weights)
    along = np.concatenate([part.ravel() for part in unit])

    def loss_at(distance):
        nn.vector_to_parameters(here + distance * along, weights)
        return network_loss()

    slopes = gradients(loss_at(PUSH), weights)
    slope = sum(np.sum(s * u) for s, u in zip(slopes, unit, strict=True))
    before = loss_at(PUSH).item()
    changes = [loss_at(PUSH - rate * slope).item() - before for rate in rates]
    nn.vector_to_parameters(here, weights)
    return np.array(changes)


def share_without_change(changes):
    """At which share of 2/λ a step leaves the loss as it was; nan if at none that was tried."""
    crossings = np.flatnonzero((changes[:-1] < 0) & (changes[1:] >= 0))
    if not len(crossings):
        return np.nan
    n = crossings[0]
    part = changes[n] / (changes[n] - changes[n + 1])
    return SHARES[n] + part * (SHARES[n + 1] - SHARES[n])


# %% Train, and measure λ on the way.
MOMENTS = (0, options.steps // 4, options.steps)
optimizer = optim.SGD(weights, lr=options.rate)
CURVATURE, LOSS, CHANGES, UNCHANGED = {}, {}, {}, {}
unit = [rng.normal(size=p.shape) for p in weights]
for step in range(options.steps + 1):
    loss = network_loss()
    if not loss.item() < 1e3:
        sys.exit(f"the loss is {loss.item():.3g} at step {step}: try a smaller --rate")
    if step % 20 == 0 or step in MOMENTS:
        LOSS[step] = loss.item()
        CURVATURE[step], unit = largest_curvature(unit, 10 if step else 30)
        if CURVATURE[step] <= 0:
            sys.exit(f"at step {step} the loss curves down more than up: try another --seed")
    if step in MOMENTS:
        CHANGES[step] = changes_by_a_step(unit, SHARES * 2 / CURVATURE[step])
        UNCHANGED[step] = share_without_change(CHANGES[step])
        print(f"step {step:4d}: loss {LOSS[step]:.4f}, λ {CURVATURE[step]:.2f},", end=" ")
        print(f"2/λ {2 / CURVATURE[step]:.3f}; a step at {UNCHANGED[step]:.1%} of 2/λ", end=" ")
        print("leaves the loss as it was")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

ABOVE = [step for step in CURVATURE if options.rate > 2 / CURVATURE[step]]
LATE = np.mean([CURVATURE[step] for step in CURVATURE if step >= options.steps / 2])
print()
program.say(
    f"At {len(ABOVE)} of {len(CURVATURE)} places the rate, {options.rate:g}, is above 2/λ. The",
    f"loss goes from {LOSS[0]:.4f} to {LOSS[options.steps]:.4f}. In the second half λ is",
    f"{LATE:.2f} on average. The limit is 2/rate = {2 / options.rate:.3g}: the largest curvature",
    "at which a step at this rate does not raise the loss.",
)

# %% The picture.
figure, (left, right) = plots.panels(2, width=10.0, height=4.3)
for (step, changes), colour, line in zip(
    CHANGES.items(), plots.COLOURS, ("-", "--", ":"), strict=False
):
    left.plot(SHARES, changes / np.abs(changes).max(), line, color=colour, label=f"at step {step}")
left.axhline(0, color="black", linewidth=1)
shares = ", ".join(f"{share:.0%}" for share in UNCHANGED.values())
title = f"At {shares} of 2/λ a step along the most\ncurved direction leaves the loss as it was"
ylabel = (
    "change of the loss by the step: below 0 it falls\n(as a share of the largest change tried)"
)
left.set(title=title, xlabel="learning rate, as a multiple of 2/λ", ylabel=ylabel)
left.legend()
places = list(CURVATURE)
right.plot(places, list(CURVATURE.values()), "o-", color=plots.BLUE, label="λ, measured")
label = f"the limit, 2/rate = {2 / options.rate:.3g}"
right.axhline(2 / options.rate, color=plots.VERMILION, linestyle="--", label=label)
title = f"The loss goes from {LOSS[0]:.3f} to {LOSS[options.steps]:.3f};\n"
right.set_title(title + f"in the second half λ is {LATE:.2f} on average")
right.set(xlabel="step", ylabel="largest curvature λ of the loss")
right.set_ylim(0, 1.15 * max(*CURVATURE.values(), 2 / options.rate))
right.legend()
program.save(figure, options.out / "curvature.png")
