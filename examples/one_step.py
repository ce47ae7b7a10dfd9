"""What does one step, on one example, do to a network?

The network is 784→16→16→10, and has not been trained. It sees one handwritten digit, and moves all
of its weights once; then again and again.
"""

# %% A digit: 784 pixels, from 0 for paper to 1 for ink. They are given, and never change.
import sys

import figures.one_step
import numpy as np
import program

from microgd import data, nn, no_grad, operations, optim

parser = program.parser(__doc__)
add = parser.add_argument
default = "(default: %(default)s)"
add("--digit", type=program.at_least(0), default=0, help=f"its place in the data {default}")
add("--rate", type=program.rate_to_draw, default=0.1, help=f"the learning rate {default}")
add("--steps", type=program.at_least(1), default=11, help=f"how many steps in all {default}")
add("--seed", type=program.at_least(0), default=0, help=f"for the first weights {default}")
options = program.options(parser)
digits = data.digits().train
if options.digit >= len(digits.x):
    parser.error(f"--digit: there are {len(digits.x):,} digits, from 0 to {len(digits.x) - 1:,}")
image = digits.x[[options.digit]]
DIGIT = int(digits.y[options.digit])
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
if model(image).shape != (1, 10):
    sys.exit(f"the network needs 10 outputs, one for each digit: it has {model(image).size}")
optimizer = optim.SGD(model.parameters(), lr=options.rate)


def loss_for(x, y):
    """How far the network's answer is off: one number."""
    return nn.cross_entropy(model(x), y)


@no_grad
def outputs_for_image():
    """The ten outputs for the digit, and their probabilities.

    *Softmax* makes probabilities of them: e to the power of each, divided by the sum of all ten. So
    they are positive, add up to 1, and the largest output has the largest probability.
    """
    outputs = model(image)
    return outputs.data[0], operations.softmax(outputs).data[0]


# %% The slopes. One reverse pass finds them all, so there is no weight to choose: all move at once.
# The update (the nudge vector) is −learning rate · slope, for each of them.
loss = loss_for(image, [DIGIT])
loss.backward()
LOSSES, OTHERS = [loss.item()], [loss_for(digits.x[other], digits.y[other]).item()]
HISTORY = {0: outputs_for_image()}  # by the number of steps
updates = optimizer.nudges()  # −rate · p.grad, for each layer's weights p, and for its biases
update = np.concatenate([np.ravel(each) for each in updates]).astype(float)
COUNT = len(update)
terms = [" · ".join(map(str, p.shape[::-1])) for p in model.parameters()]
program.say(
    f"The {image.size} pixels are given. The {COUNT:,} weights and biases began at random:",
    f"{' + '.join(terms)} = {COUNT:,}, for each layer inputs · outputs, and its biases.",
)
START = f"Before any step the loss for this {DIGIT} is {LOSSES[0]:.3f}."
if np.isclose(LOSSES[0], -np.log(HISTORY[0][1][DIGIT]), rtol=1e-4):
    program.say(
        "The loss is cross-entropy: minus the natural logarithm of the probability that the",
        f"network gives the right digit. {START} If all ten digits had the same probability, it",
        f"would be −ln(1/10) = {np.log(10):.3f}.",
    )
else:  # if you put in another loss
    program.say(START)
TOP = min(100, COUNT)
MOST, LAYER, COUNTS, SHARE = figures.one_step.largest(updates, TOP)
BLANK = image[0] == 0  # the pixels without ink
STILL = np.sum(~updates[0][:, BLANK].any(axis=0))  # those of them whose weights do not move
why = ": such a slope has its pixel, 0, as a factor" if STILL else ""
program.say(
    f"The update has an element for each of the {COUNT:,}: {np.count_nonzero(update):,} are not 0.",
    f"Its length is {np.linalg.norm(update):.3g}. The largest element is {MOST:.3g}, in layer",
    f"{LAYER} of {len(COUNTS)}. The {TOP:,} largest ({', '.join(COUNTS)}) hold {SHARE:.0%} of the",
    f"length squared. {BLANK.sum()} of the {image.size} pixels have no ink; of these, {STILL} have",
    f"weights that stay exactly as they are{why}.",
)

# %% Steps: add the update, compute the next one, and so on.
for step in range(1, options.steps + 1):
    optimizer.step()  # for each parameter p: p.data += −rate · p.grad
    optimizer.zero_grad()
    loss = loss_for(image, [DIGIT])
    if not np.isfinite(loss.item()):
        sys.exit(f"the loss after step {step} is {loss.item()}: try a smaller --rate")
    loss.backward()
    LOSSES.append(loss.item())
    OTHERS.append(loss_for(digits.x[other], digits.y[other]).item())
    if step in (1, options.steps):
        HISTORY[step] = outputs_for_image()
print(figures.one_step.table(HISTORY, DIGIT))
change, named = figures.one_step.change, figures.one_step.named  # both give words
price = "That is the price of one example; so training takes all in turn."
later = f", and {change(LOSSES)} in {options.steps:,}" if options.steps > 1 else ""
program.say(
    f"The loss for this {DIGIT} {change(LOSSES[:2])} in one step{later}. Meanwhile the loss for",
    f"{named(digits.y[other])}, which no step has looked at, {change(OTHERS)}.",
    price if "rises" in change(OTHERS) else "",
)

# %% The pictures: what the network says, and what one update adds to the weights of layer 1.
figure = figures.one_step.answers(image, DIGIT, HISTORY)
program.save(figure, options.out / "one_step.png")
# If a unit's ReLU makes 0 of it, the slopes of all its weights are 0.
figure = figures.one_step.first_layer(updates)
program.save(figure, options.out / "one_step_update.png")
