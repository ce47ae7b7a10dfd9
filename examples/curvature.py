"""How large may a step be where the loss is no bowl?

The loss is that of a small network that reads digits. How curved it is differs from place to place,
so the limit of the learning rate, 2/λ, moves as the network trains.
"""

# %% The data, 200 digits, and the network: 784 pixels, 16 neurons, 10 outputs.
import sys

import figures.curvature
import numpy as np
import program

from microgd import data, gradients, nn

parser = program.parser(__doc__)
parser.add_argument("--rate", type=program.rate, default=0.5, help="learning rate (default: 0.5)")
parser.add_argument("--steps", type=program.at_least(40), default=400, help="steps (default: 400)")
parser.add_argument("--seed", type=program.at_least(0), default=0, help="of weights (default: 0)")
options = program.options(parser)

EXAMPLES = 200
images, labels = (array[:EXAMPLES] for array in data.digits().train)
if not len(images):
    sys.exit(f"EXAMPLES must be 1 or more, but is {EXAMPLES}")
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
# For these 12,730 weights it would have 162 million elements, but its product with a vector is only
# the gradient of a number: of gradient · vector. (`hvp` computes it, too.) A vector that is
# multiplied by the matrix again and again turns into the direction that the matrix stretches most.
# There the curvature is the largest.
def dot(one, other):
    """The product of two vectors, which are in parts as the weights are."""
    return sum(np.sum(u * v) for u, v in zip(one, other, strict=True))


def largest_curvature(times=60):
    """The curvature, and its direction as a vector of length 1, after so many products."""
    slopes = gradients(network_loss(), weights, create_graph=True)  # as Values, to differentiate
    curvature = 0.0
    vector = [rng.normal(size=p.shape) for p in weights]
    for _ in range(times):
        unit = [part / np.sqrt(dot(vector, vector)) for part in vector]
        vector = gradients(dot(slopes, unit), weights)
        curvature = dot(unit, vector)
    if not curvature > 0.998 * np.sqrt(dot(vector, vector)):  # still another direction
        sys.exit(f"after {times} products the vector still turns: try more, or another --seed")
    return curvature, unit


# %% One step in that direction: how large may it be?
# Push the weights a little off in that direction, and make one step back down the slope. Why 2/λ?
# In a bowl the slope is λ · distance, so a step changes the distance to distance · (1 − rate · λ).
# At the rate 2/λ it ends as far away, on the other side: the loss is as it was. Above, it rises.
PUSH = 0.02
SHARES = np.linspace(0, 1.6, 33)  # the rates to try, as multiples of 2/λ


def try_steps(curvature, unit):
    """The change of the loss by one step, at each share of 2/λ; and the share at which it is 0."""
    here = nn.parameters_to_vector(weights)
    along = np.concatenate([part.ravel() for part in unit])

    def loss_at(distance):
        nn.vector_to_parameters(here + distance * along, weights)
        return network_loss()

    slope = dot(gradients(loss_at(PUSH), weights), unit)
    before = loss_at(PUSH).item()

    def change(share):
        return loss_at(PUSH - share * 2 / curvature * slope).item() - before

    changes, most = [change(share) for share in SHARES], max(SHARES)
    if not change(0.5) < 0 <= change(most):
        need = f"a step at 0.5 of 2/λ should lower the loss, and one at {most:g} should not"
        sys.exit(f"{need}: try a smaller PUSH, or larger SHARES")
    unchanged = program.last(lambda share: change(share) < 0, 0.5, most, within=1e-6)
    nn.vector_to_parameters(here, weights)
    return changes, unchanged


# %% Train, and measure λ on the way.
MOMENTS = (options.steps // 4, options.steps)  # when to try such steps, besides the start
CURVATURE, LOSS, CHANGES, UNCHANGED = {}, {}, {}, {}
for step in range(options.steps + 1):
    loss = network_loss()
    if step and not loss.item() < 1e4 * LOSS[0]:
        sys.exit(f"the loss is {loss.item():.3g} at step {step}: try a smaller --rate")
    if step % 20 == 0 or step in (*MOMENTS, options.steps):
        LOSS[step] = loss.item()
        CURVATURE[step], unit = largest_curvature()
    if step in (0, *MOMENTS):
        CHANGES[step], UNCHANGED[step] = try_steps(CURVATURE[step], unit)
        print(f"step {step:4d}: loss {LOSS[step]:.4f}, λ {CURVATURE[step]:#.3g},", end=" ")
        print(f"2/λ {2 / CURVATURE[step]:#.3g}; a step at {UNCHANGED[step]:.1%} of 2/λ", end=" ")
        print("leaves the loss as it was")
    for p, slope in zip(weights, gradients(loss, weights), strict=True):
        p.data = p.data - options.rate * slope

ABOVE = [step for step in CURVATURE if options.rate > 2 / CURVATURE[step]]
LATE = np.mean([CURVATURE[step] for step in CURVATURE if step >= options.steps / 2])
first, last = LOSS[0], LOSS[options.steps]
print()
program.say(
    f"At {len(ABOVE)} of {len(CURVATURE)} steps the rate, {options.rate:g}, is above 2/λ. The",
    f"loss goes from {first:.4f} to {last:.4f}. In the second half λ is {LATE:#.3g} on average.",
    f"The limit is 2/rate = {2 / options.rate:.3g}: in a bowl, that is the largest curvature at",
    "which a step at this rate does not raise the loss.",
)

# %% The picture: how a step changes the loss, at each rate; and how λ moves in training.
shares = ", ".join(f"{share:.1%}" for share in UNCHANGED.values())
left = f"At {shares} of 2/λ a step along the most curved direction leaves the loss as it was"
right = f"The loss goes from {first:.3f} to {last:.3f};\n"
right += f"in the second half λ is {LATE:#.3g} on average"
figure = figures.curvature.draw(SHARES, CHANGES, CURVATURE, 2 / options.rate, left, right)
program.save(figure, options.out / "curvature.png")
