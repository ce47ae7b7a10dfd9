"""When have we arrived?

The weight w and the bias b are those of a line, y = w · x + b, through two measurements of
penguins. By default it says how heavy a penguin is, given the length of its flipper.
"""

# %% The data: two columns of a table of penguins. Their names and units come from the table.
# x is measured from its mean, in standard deviations (sd, the typical distance from the mean). So
# one learning rate suits every column: learning_rate.py shows what the unit of x does to it.
import sys

import figures.line
import numpy as np
import program

from microgd import Value, gradients, nn, optim, train

parser = program.parser(__doc__)
about = "(default: %(default)s)"
parser.add_argument("--x", default="flipper_length_mm", help=f"a column {about}")
parser.add_argument("--y", default="body_mass_g", help=f"a column {about}")
parser.add_argument("--rate", type=program.rate, default=0.1, help=f"the learning rate {about}")
options = program.options(parser)

table, _, _ = program.table(program.PENGUINS, [options.x, options.y])
X, Y = table.T
if options.x == options.y or not (X.std() and Y.std()):
    sys.exit("--x and --y should be two columns, and neither the same number in each row")
np.seterr(over="ignore")  # a loss that runs away may become infinite
x = (X - X.mean()) / X.std()
SD = "sd" if np.isclose(x.std(), 1) else "unit"
(x_name, x_unit), (y_name, y_unit) = map(program.name_and_unit, (options.x, options.y))
x_unit, y_unit = x_unit or x_name, y_unit or y_name
print(f"{X.size} penguins: {x_name} {X.mean():.5g} ± {X.std():.3g} {x_unit},", end=" ")
print(f"{y_name} {Y.mean():.5g} ± {Y.std():.3g} {y_unit}\n")


def loss_of(weights):
    """The loss of a line, the mean squared error; in LOSS_UNIT."""
    w, b = weights
    return nn.mse_loss(w * x + b, Y)


LOSS_UNIT = f"{y_unit}²"
START = [0.0, 0.0]  # w and b
# Least squares computes where the minimum is, without any steps. The descent doesn't know it.
EXACT = np.polyfit(x, Y, 1)
LOWEST = loss_of(EXACT)
program.check_descent(loss_of, EXACT, START)


# %% The weight w and the bias b move at once.
# There is a slope for each: what the loss does if that one alone moves from where both are now.
# Such slopes are called partial derivatives, and together they are the gradient.
def fit(lr, tolerance, most=10_000):
    """Descend until the loss stops changing, or runs away, or for the most steps. Return the loss
    at each step; and w, b and their slopes there, (steps, 4).
    """
    if not (lr >= 0 and tolerance >= 0):
        sys.exit(f"rates and thresholds should be 0 or more, but are {lr:g} and {tolerance:g}")
    w, b = map(Value, START)
    optimizer = optim.SGD([w, b], lr=lr)
    losses, places = [], []
    while not train.has_converged(losses, tolerance):
        loss = loss_of([w, b])
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        # These gradients are w.grad and b.grad, if the optimizer has cleared both before.
        places.append((w.item(), b.item(), *gradients(loss, [w, b])))
        if len(losses) >= most or not losses[-1] < 1e6 * losses[0]:
            break
        optimizer.step()
    return losses, np.array(places)


STRICT = 1e-10  # a strict threshold: 5 steps change the loss by at most this part of it
losses, places = fit(options.rate, STRICT)
last = len(losses) - 1
print(f"The learning rate is {options.rate:g}. The descent stops when the loss changes by at most")
print(f"{STRICT:g} of itself in 5 steps.\n")
print(f"step      loss ({LOSS_UNIT})  w ({y_unit}/{SD})  b ({y_unit})  slope of w  slope of b")
for step in range(0, last + 1, max(1, len(losses) // 8)):
    w, b, w_slope, b_slope = places[step]
    print(f"{step:4d} {losses[step]:14,.3f} {w:10.3f} {b:10.3f} {w_slope:11.3f} {b_slope:11.3f}")
if not train.has_converged(losses, STRICT):
    what = "grows" if losses[-1] > losses[0] else "still changes"
    # Do the last two gradients point the same way, or to and fro?
    other = "larger" if places[-1, 2:] @ places[-2:][0, 2:] >= 0 else "smaller"
    sys.exit(f"the loss {what}, from {losses[0]:.5g} to {losses[-1]:.5g}: try a {other} --rate")
print(f"At step {last} it changes by no more than that: by this sign, it has converged.\n")

# %% Have we arrived? Then this is the line of least squares.
print(f"Per {x_unit} instead of per {SD}, that is w / {np.ptp(X) / np.ptp(x):.3g}, the line is:")
for name, (w, b) in {"gradient descent:": places[-1, :2], "least squares:": EXACT}.items():
    factor, constant = np.polyfit(X, w * x + b, 1)  # the same line, but over X
    print(f"{name:18s}{y_name} = {factor:.6g} {y_unit}/{x_unit} * {x_name}", end=" ")
    print(f"{constant:+.6g} {y_unit}")
HEIGHTS = [w * x + b for w, b, _, _ in places]  # of the line at each step
ARRIVED = np.allclose(HEIGHTS[-1], np.polyval(EXACT, x), atol=1e-3 * Y.std())
print("These agree: we have arrived.\n" if ARRIVED else "These differ: this is no minimum.\n")

# %% A loss that changes extremely slowly is a sign that we have arrived, and no proof.
# With a tiny learning rate every step is tiny, wherever it starts. What is small at a minimum, and
# nowhere else in a bowl, is the slope.
TINY, TOLERANCE = 1e-5, 1e-3  # this threshold is a common one
RUNS = {lr: fit(lr, TOLERANCE) for lr in (options.rate, TINY)}
STOPPED = {lr: train.has_converged(run, TOLERANCE) for lr, (run, _) in RUNS.items()}
part = f"{100 * TOLERANCE:g}%"
program.say(f"A threshold of {part} in 5 steps, at the rates {options.rate:g} and {TINY:g}:")
for lr, (run, where) in RUNS.items():
    changes = "at most" if STOPPED[lr] else "more than"
    first, now = [np.hypot(*place[2:]) for place in (where[0], where[-1])]
    program.say(
        f"Learning rate {lr:g}, step {len(run) - 1}: the last steps changed the loss by {changes}",
        f"{part}. It is {run[-1] / LOWEST:.2f} times the smallest loss of any line, and the slopes",
        f"are {now / first:.2%} of those at the start.",
    )

# %% The picture: the line on its way, and the losses of both learning rates.
runs = {lr: fit(lr, 0, len(losses))[0] for lr in RUNS}
figure = figures.line.draw(X, Y, HEIGHTS, runs, LOWEST, TOLERANCE)
left, right = figure.axes
left.set(title=f"At step {last} the line is {'' if ARRIVED else 'not '}that of least squares")
left.set(xlabel=program.with_unit(options.x), ylabel=program.with_unit(options.y))
ends = [RUNS[lr][0][-1] / LOWEST for lr in RUNS if STOPPED[lr]]
right.set(title=figures.line.where_it_stops(ends), ylabel=f"loss ({LOSS_UNIT})")
program.save(figure, options.out / "line.png")
