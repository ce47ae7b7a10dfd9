"""What does one step, on one example, do to a network?

The network is 784→16→16→10, and has not been trained. It sees one handwritten digit, and moves all
of its weights once; then again and again.
"""

# %% A digit: 784 pixels, from 0 for paper to 1 for ink. They are given, and never change.
import sys

import numpy as np
import program

from microgd import data, nn, no_grad, operations, optim, plots

parser = program.parser(__doc__)
OPTIONS = {
    "--digit": (program.at_least(0), 0, "its place in the data"),
    "--rate": (program.rate_to_draw, 0.1, "the learning rate"),
    "--steps": (program.at_least(1), 11, "how many steps in all"),
    "--seed": (program.at_least(0), 0, "for the first weights"),
}
for name, (kind, default, text) in OPTIONS.items():
    parser.add_argument(name, type=kind, default=default, help=f"{text} (default: %(default)s)")
options = program.options(parser)
digits = data.digits().train
if options.digit >= len(digits.x):
    parser.error(f"--digit: there are {len(digits.x):,} digits, from 0 to {len(digits.x) - 1:,}")
image = digits.x[[options.digit]]
label = digits.y[[options.digit]]
DIGIT = int(label[0])
other = np.flatnonzero(digits.y != DIGIT)[:1]  # the first digit with another label

# %% The network: its weights begin at random.
# A *layer* computes each of its outputs as a weighted sum of all its inputs, plus a bias. Such an
# output is also called a *unit*. 784 inputs and 16 outputs take 784 · 16 weights and 16 biases.
# A *ReLU* passes on what is above 0, and makes 0 of the rest. Without something like it between
# them, several layers could do no more than one.
rng = np.random.default_rng(options.seed)
model = nn.Sequential(
    nn.Linear(784, 16, rng=rng),
    nn.ReLU(),
    nn.Linear(16, 16, rng=rng),
    nn.ReLU(),
    nn.Linear(16, 10, rng=rng),
)
optimizer = optim.SGD(model.parameters(), lr=options.rate)


def outputs_for_image():
    """The ten outputs for the digit, and their probabilities.

    *Softmax* makes probabilities of them: e to the power of each, divided by the sum of all ten. So
    they are positive, add up to 1, and the largest output has the largest probability.
    """
    with no_grad():
        logits = model(image)
        return logits.data[0], operations.softmax(logits).data[0]


def loss_of_other():
    """The loss for a digit that no step looks at."""
    with no_grad():
        return nn.cross_entropy(model(digits.x[other]), digits.y[other]).item()


# %% The slopes. One reverse pass finds them all, so there is no weight to choose: all move at once.
# The update (the nudge vector) is −learning rate · slope, for each of them.
loss = nn.cross_entropy(model(image), label)
loss.backward()
LOSSES, OTHERS = [loss.item()], [loss_of_other()]
updates = optimizer.nudges()  # for each layer's weights, and for its biases
update = np.concatenate([np.ravel(each) for each in updates]).astype(float)
COUNT = len(update)
terms = [" · ".join(map(str, p.shape[::-1])) for p in model.parameters()]
program.say(
    f"The {image.size} pixels are given. The {COUNT:,} weights and biases began at random:",
    f"{' + '.join(terms)} = {COUNT:,}, for each layer inputs · outputs, and its biases.",
)
program.say(
    "The loss is cross-entropy: minus the natural logarithm of the probability that the network",
    f"gives the right digit. Before any step the loss for this {DIGIT} is {LOSSES[0]:.3f}. If all",
    f"ten digits had the same probability, it would be −ln(1/10) = {np.log(10):.3f}.",
)
squares = np.sort(update**2)[::-1]
# The number of the layer that each element belongs to: a layer begins with its matrix of weights.
numbers = np.cumsum([each.ndim == 2 for each in updates])
LAYER = np.repeat(numbers, [each.size for each in updates])
MOVED = int(np.sum(update != 0))
TOP = min(100, COUNT)
WHERE = LAYER[np.argsort(-np.abs(update), kind="stable")[:TOP]]
COUNTS = [f"{np.sum(WHERE == n)} in layer {n}" for n in range(1, LAYER[-1] + 1)]
SHARE = squares[:TOP].sum() / max(squares.sum(), 1e-30)
pixels = np.abs(updates[0]).sum(axis=0)  # for each pixel, how far its weights move, in all
BLANK = image[0] == 0
STILL = int(np.sum(pixels[BLANK] == 0))
program.say(
    f"The update has an element for each of the {COUNT:,}: {MOVED:,} are not 0. Its length is",
    f"{np.linalg.norm(update):.3g}. The largest element is {np.abs(update).max():.3g}, in layer",
    f"{WHERE[0]} of {LAYER[-1]}. The {TOP} largest ({', '.join(COUNTS)}) hold",
    f"{SHARE:.0%} of the length squared.",
    f"{int(BLANK.sum())} of the {image.size} pixels have no ink; of these, {STILL} have weights",
    "that stay exactly as they are: such a slope has its pixel, 0, as a factor.",
)

# %% Steps: add the update, compute the next one, and so on.
HISTORY = {0: outputs_for_image()}
for step in range(1, options.steps + 1):
    optimizer.step()  # adds the update
    optimizer.zero_grad()
    loss = nn.cross_entropy(model(image), label)
    if not np.isfinite(loss.item()):
        sys.exit(f"the loss after step {step} is {loss.item()}: try a smaller --rate")
    loss.backward()
    LOSSES.append(loss.item())
    OTHERS.append(loss_of_other())
    if step in (1, options.steps):
        HISTORY[step] = outputs_for_image()
WHEN = {0: "before any step", options.steps: f"after {options.steps:,} steps", 1: "after 1 step"}
print("digit", *(f"{WHEN[step]:>20s}" for step in HISTORY), "   (output → its probability)")
for digit in range(10):
    row = f"{digit:5d}"
    for outputs, probabilities in HISTORY.values():
        row += f"{outputs[digit]:z12.3f} → {probabilities[digit]:6.1%}"
    print(row + "   ← it is this" * (digit == DIGIT))
print()


def change(losses):
    """What became of a loss, in words."""
    old, new = losses[0], losses[-1]
    if abs(new - old) < 0.0005:
        return f"stays at {old:.3f}"
    return f"{'falls' if new < old else 'rises'} from {old:.3f} to {new:.3f}"


STRANGER = digits.y[other][0]
price = "That is the price of one example; so training takes all in turn."
program.say(
    f"The loss for this {DIGIT} {change(LOSSES[:2])} in one step, and {change(LOSSES)} in",
    f"{options.steps:,}. Meanwhile the loss for a {STRANGER}, which no step has looked at,",
    f"{change(OTHERS)}.",
    price if "rises" in change(OTHERS) else "",
)

# %% The pictures: what the network says, and what one update changes.
figure, axes = plots.panels(len(HISTORY) + 1, width=3.0 * (len(HISTORY) + 1), height=3.4)
axes[0].imshow(image.reshape(28, 28), cmap="Greys", vmin=0, vmax=1)
axes[0].set(title=f"It is a {DIGIT}", xlabel="pixels", ylabel="pixels")
colours = [plots.VERMILION if digit == DIGIT else plots.BLUE for digit in range(10)]
for on, (step, (_, probabilities)) in zip(axes[1:], HISTORY.items(), strict=True):
    on.bar(range(10), 100 * probabilities, color=colours)
    title = f"{WHEN[step].capitalize()}: {probabilities[DIGIT]:.0%}\nfor the {DIGIT}, in orange"
    on.set(title=title, ylim=(0, 100), xlabel="digit", ylabel="probability (%)", xticks=range(10))
program.save(figure, options.out / "one_step.png")

# The picture shows the weights of layer 1. If a unit's ReLU makes 0 of it, all its slopes are 0.
names = [f"unit {n}" for n in range(len(updates[0]))]
figure = plots.images(updates[0], names, columns=8, signed=True, unit="added to the weight")
figure.suptitle(
    "What one step adds to the weights of layer 1: an image for each unit (output of the layer)\n"
    f"(the largest of these is {np.abs(updates[0]).max():.2g}; that of all {COUNT:,} elements is "
    f"{np.abs(update).max():.2g}, in layer {WHERE[0]})"
)
program.save(figure, options.out / "one_step_update.png")
