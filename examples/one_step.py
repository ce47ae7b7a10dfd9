"""What does one step, on one example, do to a network?

The network is 784→16→16→10, and has not been trained. It sees one handwritten digit, and moves all
of its weights once; then again and again.
"""

# %% A digit: 784 pixels, from 0 for paper to 1 for ink. They are given, and never change.
import numpy as np
import program

from microgd import data, nn, no_grad, operations, optim, plots

parser = program.parser(__doc__)
parser.add_argument("--digit", type=program.at_least(0), default=0, help="its place in the data")
parser.add_argument("--rate", type=program.rate, default=0.1, help="the learning rate")
parser.add_argument("--steps", type=program.at_least(1), default=11, help="how many steps in all")
parser.add_argument("--seed", type=program.at_least(0), default=0, help="for the first weights")
options = program.options(parser)
digits = data.digits().train
if options.digit >= len(digits.x):
    parser.error(f"--digit: there are {len(digits.x):,} digits, from 0 to {len(digits.x) - 1:,}")
image = digits.x[options.digit : options.digit + 1]
label = digits.y[options.digit : options.digit + 1]
DIGIT = int(label[0])
other = int(np.flatnonzero(digits.y != DIGIT)[0])  # the first digit with another label

# %% The network: its weights begin at random.
# A *layer* computes each of its outputs as a weighted sum of all its inputs, plus a bias. 784
# inputs and 16 outputs take 784 · 16 weights and 16 biases.
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
COUNT = sum(p.size for p in model.parameters())
print(f"784 pixels in, 10 outputs out, {COUNT:,} weights and biases between them\n")


def outputs_for(x):
    """The ten outputs, and their probabilities.

    *Softmax* makes probabilities of them: e to the power of each, divided by the sum of all ten. So
    they are positive, add up to 1, and the largest output has the largest probability.
    """
    with no_grad():
        logits = model(x)
        return logits.data[0], operations.softmax(logits).data[0]


def loss_of(place):
    """The loss for one digit: the negative logarithm of the right answer's probability."""
    with no_grad():
        return nn.cross_entropy(
            model(digits.x[place : place + 1]), digits.y[place : place + 1]
        ).item()


# %% The slopes. One reverse pass finds them all, so there is no weight to choose: all move.
before, p_before = outputs_for(image)
GUESSING = np.log(10)  # the loss of somebody who gives each of ten digits a probability of 1/10
LOSSES = [loss_of(options.digit)]
OTHERS = [loss_of(other)]
nn.cross_entropy(model(image), label).backward()
updates = optimizer.nudges()  # for each layer's weights, and its biases: −learning rate · slope
update = np.concatenate([np.ravel(each) for each in updates])
LENGTH = np.linalg.norm(update)
squares = np.sort(update**2)[::-1]
TENTH = squares[: COUNT // 10].sum() / max(squares.sum(), 1e-30)
pixels = np.linalg.norm(updates[0], axis=0)  # for each pixel, how far its 16 weights move
BLANK = image[0] == 0
STILL = int(np.sum(pixels[BLANK] == 0))
program.say(
    f"Before any step the loss for this {DIGIT} is {LOSSES[0]:.3f}. Guessing one of ten digits",
    f"costs ln 10 = {GUESSING:.3f}. The update is a vector of {COUNT:,} numbers, of length",
    f"{LENGTH:.3f}. The largest tenth of the numbers hold {TENTH:.1%} of the length squared.",
    f"{int(BLANK.sum())} of the 784 pixels have no ink; of these, {STILL} have weights that do not",
    "move at all.",
)

# %% Steps: add the update, compute the next one, and so on.
HISTORY = {0: p_before}
for step in range(1, options.steps + 1):
    optimizer.zero_grad()
    nn.cross_entropy(model(image), label).backward()
    optimizer.step()
    LOSSES.append(loss_of(options.digit))
    OTHERS.append(loss_of(other))
    if step in (1, options.steps):
        HISTORY[step] = outputs_for(image)[1]
        after = outputs_for(image)[0]
        print(f"digit    output before    output after {step} step{'s' if step > 1 else ''}")
        for digit in range(10):
            mark = "  ← it is this" if digit == DIGIT else ""
            print(f"{digit:5d} {before[digit]:16.3f} {after[digit]:16.3f}{mark}")
        print()


def change(old, new):
    """What became of a loss, in words."""
    if abs(new - old) < 0.0005:
        return f"stays at {old:.3f}"
    return f"{'falls' if new < old else 'rises'} from {old:.3f} to {new:.3f}"


STRANGER = digits.y[other]
program.say(
    f"The loss for this {DIGIT} {change(LOSSES[0], LOSSES[1])} in one step, and",
    f"{change(LOSSES[0], LOSSES[-1])} in {options.steps}. Meanwhile the loss for a {STRANGER},",
    f"which no step has looked at, {change(OTHERS[0], OTHERS[-1])}. So training takes all",
    "kinds of digits in turn.",
)

# %% The pictures: what the network says, and what one update changes.
figure, axes = plots.panels(len(HISTORY) + 1, width=3.0 * (len(HISTORY) + 1), height=3.4)
axes[0].imshow(image.reshape(28, 28), cmap="Greys", vmin=0, vmax=1)
axes[0].set(title=f"It is a {DIGIT}", xlabel="pixels", ylabel="pixels")
for on, (step, p) in zip(axes[1:], HISTORY.items(), strict=True):
    colours = [plots.BLUE] * 10
    colours[DIGIT] = plots.VERMILION
    on.bar(range(10), 100 * p, color=colours)
    when = "Before any step" if step == 0 else f"After {step} step{'s' if step > 1 else ''}"
    on.set(title=f"{when}: {p[DIGIT]:.0%}\nfor the {DIGIT}, in orange", ylim=(0, 100))
    on.set(xlabel="digit", ylabel="probability (%)", xticks=range(10))
program.save(figure, options.out / "one_step.png")

names = [f"unit {n}" for n in range(len(updates[0]))]
figure = plots.images(updates[0], names, columns=8, signed=True, unit="update")
figure.suptitle(
    "What one step adds to the weights of each hidden unit\n"
    "(nothing, if its ReLU passes nothing on for this digit)"
)
program.save(figure, options.out / "one_step_update.png")
