"""When have we arrived?

The weight w and the bias b are those of a line, y = w · x + b, through two measurements of
penguins. By default it says how heavy a penguin is, given the length of its flipper.
"""

# %% The data: two columns of a table of penguins. Their names and units come from the table.
# x is measured from its mean, in standard deviations (sd, the typical distance from the mean). So
# one learning rate suits every column: learning_rate.py shows what the unit of x does to it.
import math
import sys

import numpy as np
import program

from microgd import Value, nn, optim, plots, train

parser = program.parser(__doc__)
parser.add_argument(
    "--x", metavar="COLUMN", default="flipper_length_mm", help="(default: %(default)s)"
)
parser.add_argument("--y", metavar="COLUMN", default="body_mass_g", help="(default: %(default)s)")
parser.add_argument(
    "--rate", type=program.rate, default=0.1, help="the learning rate (default: %(default)s)"
)
options = program.options(parser)

if options.x == options.y:
    parser.error("--x and --y are the same column")
table, _, _ = program.table(program.PENGUINS, [options.x, options.y])
X, Y = table.T
if not (X.std() and Y.std()):
    sys.exit("a column has the same number in each row, and no line can be learned from that")
np.seterr(over="ignore")  # a loss that runs away may become infinite
x = (X - X.mean()) / X.std()
(x_name, x_unit), (y_name, y_unit) = map(program.name_and_unit, (options.x, options.y))
x_unit, y_unit = x_unit or x_name, y_unit or y_name
print(f"{X.size} penguins: {x_name} {X.mean():.5g} ± {X.std():.3g} {x_unit},", end=" ")
print(f"{y_name} {Y.mean():.5g} ± {Y.std():.3g} {y_unit}\n")


# %% The weight w and the bias b move at once.
# There is a slope for each: what the loss does if that one alone moves from where both are now.
# Such slopes are called partial derivatives, and together they are the gradient.
def fit(lr, tolerance, most=10_000):
    """Descend from w = b = 0 until the loss stops changing, or runs away, or for the most steps.

    Return the loss at each step; and w, b and their slopes there, (steps, 4).
    """
    w, b = Value(0.0), Value(0.0)
    optimizer = optim.SGD([w, b], lr=lr)
    losses, places = [], []
    while len(losses) < most and not train.has_converged(losses, tolerance):
        loss = nn.mse_loss(w * x + b, Y)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        places.append((w.item(), b.item(), w.grad, b.grad))
        if not losses[-1] < 1e6 * losses[0]:
            break
        optimizer.step()
    return losses, np.array(places)


STRICT = 1e-10  # 5 steps change the loss by less than this part of it
losses, places = fit(options.rate, STRICT)
program.say(
    f"The learning rate is {options.rate:g}. The descent stops when the loss changes by less than",
    f"{STRICT:g} of itself in 5 steps.",
)
print(f"step      loss ({y_unit}²)  w ({y_unit}/sd)  b ({y_unit})  slope of w  slope of b")
for step in range(0, len(losses), max(1, len(losses) // 8)):
    w, b, w_slope, b_slope = places[step]
    print(f"{step:4d} {losses[step]:14,.3f} {w:10.3f} {b:10.3f} {w_slope:11.3f} {b_slope:11.3f}")
if losses[-1] > losses[0] * (1 + 1e-9):
    sys.exit(f"the loss grows, from {losses[0]:.5g} to {losses[-1]:.5g}: try a smaller --rate")
if not train.has_converged(losses, STRICT):
    to_and_fro = places[-1][3] * places[-2][3] < 0
    other = "smaller" if to_and_fro else "larger"
    sys.exit(f"after {len(losses):,} steps the loss is still falling: try a {other} --rate")
print(f"At step {len(losses) - 1} the loss has stopped changing: by that sign, it has converged.\n")

# %% Have we arrived? Least squares computes where the minimum is, without any steps.
w, b = places[-1][:2]
slope = w / X.std()  # y = w · (X − mean) / sd + b, multiplied out
found = [slope, b - slope * X.mean()]
exact = np.polyfit(X, Y, 1)
print(f"Per {x_unit} instead of per sd, that is w / {X.std():.3g}, the line is:")
for name, (factor, constant) in {"gradient descent:": found, "least squares:": exact}.items():
    print(f"{name:18s}{y_name} = {factor:.6g} {y_unit}/{x_unit} * {x_name}", end=" ")
    print(f"{constant:+.6g} {y_unit}")
LOWEST = np.mean((np.polyval(exact, X) - Y) ** 2)
ARRIVED = np.allclose((w, b), np.polyfit(x, Y, 1), atol=1e-3 * Y.std())
print("These agree: we have arrived.\n" if ARRIVED else "These differ: this is no minimum.\n")

# %% A loss that changes extremely slowly is a sign that we have arrived, and no proof.
# With a tiny learning rate every step is tiny, wherever it starts. What is small at a minimum, and
# nowhere else in a bowl, is the slope.
TINY, TOLERANCE = 1e-5, 1e-3
RUNS = {lr: fit(lr, TOLERANCE) for lr in (options.rate, TINY)}
STOPPED = {lr: train.has_converged(run, TOLERANCE) for lr, (run, _) in RUNS.items()}
program.say(
    f"A threshold of {STRICT:g} is strict. What does a common one say, {100 * TOLERANCE:g}% in 5",
    "steps, of the same learning rate and of a tiny one?",
)
for lr, (run, where) in RUNS.items():
    changes = "less" if STOPPED[lr] else "more"
    first, last = [np.hypot(*place[2:]) for place in (where[0], where[-1])]
    program.say(
        f"Learning rate {lr:g}: at step {len(run) - 1} the loss has changed by {changes} than",
        f"{100 * TOLERANCE:g}% in 5 steps. It is {run[-1] / LOWEST:.2f} times the smallest loss of",
        f"any line, and the slopes are {last / first:.2%} of those at the start.",
    )

# %% The picture: the line on its way, and the losses of both learning rates.
figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
left.plot(X, Y, ".", color="0.75", zorder=0)
ends = np.array([X.min(), X.max()])
labelled = [math.inf]
for step in [len(losses) - 1, 0, 1, 2, 5, 10, 20]:
    if step < len(losses):
        line = places[step][0] * (ends - X.mean()) / X.std() + places[step][1]
        if min(abs(line[1] - other) for other in labelled) > 0.06 * Y.max():
            labelled.append(line[1])
            left.plot(ends, line, color=plots.BLUE, linewidth=2)
            left.annotate(f" step {step}", (ends[1], line[1]), va="center")
title = f"At step {len(losses) - 1} the line is "
title += "that of least squares" if ARRIVED else "not that of least squares"
left.set(title=title, xlabel=program.with_unit(options.x), ylabel=program.with_unit(options.y))
left.set_xlim(ends[0] - 0.05 * np.ptp(ends), ends[1] + 0.25 * np.ptp(ends))
plots.losses(
    {f"learning rate {lr:g}": fit(lr, 0, len(losses))[0] for lr in RUNS},
    tolerance=TOLERANCE,
    ax=right,
    xlabel="step",
    ylabel=f"loss ({y_unit}²)",
)
right.axhline(LOWEST, color="0.5", linestyle=":", zorder=0)
right.annotate("the smallest loss of a line", (0, 0.8 * LOWEST), va="top", color="0.4")
right.set_ylim(bottom=0.5 * LOWEST)
ends = [RUNS[lr][0][-1] / LOWEST for lr in RUNS if STOPPED[lr]]
ends = [f"{end:.3g} times the smallest" if end > 1.01 else "the smallest" for end in ends]
title = "A loss that hardly changes may be\n" + ", or ".join(dict.fromkeys(ends))
right.set_title(title if ends else "Neither loss stops changing")
program.save(figure, options.out / "line.png")
