"""Which way must a weight move to make the loss smaller, and when have we arrived?

The weights are those of a line, mass = w · length + b, that says how heavy a penguin is, given the
length of its flipper.
"""

# %% The data: 342 penguins.
# Lengths are measured from their mean, in standard deviations; learning_rate.py says why.
import math
import sys
from itertools import pairwise

import numpy as np
import program

from microgd import Value, grad, nn, optim, plots, train

parser = program.parser(__doc__)
parser.add_argument(
    "--lr",
    type=program.rate,
    default=0.1,
    help="the learning rate of the line (default: %(default)s)",
)
options = program.options(parser)

millimetres, grams = program.penguins("flipper_length_mm", "body_mass_g")[0].T
mean, deviation = millimetres.mean(), millimetres.std()
length, mass = (millimetres - mean) / deviation, grams / 1000  # in standard deviations; in kg
print(f"{length.size} penguins: flippers of {mean:.0f} ± {deviation:.0f} mm,", end=" ")
print(f"masses of {mass.mean():.2f} ± {mass.std():.2f} kg\n")

# %% One weight first, w, with b held at 4 kg: the loss is a curve over w, with only one minimum.


def loss(w, b=4.0):
    """The mean squared error of the line, in kg²."""
    return nn.mse_loss(w * length + b, mass)


slope = grad(loss)
# where the minimum is: known here, to check what is said below
nearest = np.sum(length * (mass - 4.0)) / np.sum(length**2)


def shots(w, lr, count):
    """The weights that are tried, one after the other: each step goes against the slope, lr times
    as far as it is steep.
    """
    tried = [w]
    for _ in range(count - 1):
        tried.append(tried[-1] - lr * slope(tried[-1]))
    return tried


def verdicts(tried):
    """Does each shot come nearer to the minimum? In a bowl, the nearer, the less steep: the slope
    alone tells.

    (That is so in this bowl, a parabola, which is the same on both sides. In a lopsided one it
    holds for shots on one side.)
    """
    steep = [abs(slope(w)) for w in tried]
    said = ["start"]
    for before, now in pairwise(steep):
        if math.isclose(before, now, rel_tol=1e-9, abs_tol=1e-12):
            said.append("as far")
        else:
            said.append("toward" if now < before else "away")
    return said


START, RATES = -0.6, (0.15, 0.8, 1.04)
for lr in RATES:
    tried = shots(START, lr, 7)
    print(f"learning rate {lr}")
    print(
        "   shot   w (kg/sd)   loss (kg²)   slope (kg)   the minimum is   this shot went"
        "   its distance"
    )
    for n, (w, verdict) in enumerate(zip(tried, verdicts(tried), strict=True)):
        side = "on the right" if slope(w) < 0 else "on the left"
        print(
            f"{n:7d} {w:11.3f} {loss(w):12.3f} {slope(w):12.3f}   {side:14s}   {verdict:14s} "
            f"{abs(w - nearest):14.3f}"
        )
    print()

STARTS = (-50.0, -1.0, 0.0, 3.0, 50.0)
ENDS = [shots(start, 0.15, 60)[-1] for start in STARTS]
print(
    "Any start will do in a bowl: from " + ", ".join(f"{start:g}" for start in STARTS) + " to",
    end=" ",
)
print(", ".join(f"{end:.4f}" for end in ENDS) + f"; the minimum is at {nearest:.4f}.\n")

figure, axes = plots.panels(len(RATES), width=max(5.0, 9.5 * len(RATES) / 3), height=4.0)
for lr, on in zip(RATES, axes, strict=True):
    tried = shots(START, lr, 7)
    said = verdicts(tried)
    way = {
        "toward": "toward the minimum",
        "away": "away from the minimum",
        "as far": "neither nearer nor farther",
    }
    plots.curve(
        loss,
        {
            kind: [w for w, now in zip(tried, said, strict=True) if now == kind]
            for kind in ("start", *way)
        },
        span=(-1.6, 3.0),
        ax=on,
        title=f"Learning rate {lr}: the shots go\n"
        f"{' or '.join(way[kind] for kind in way if kind in said)}",
        xlabel="w (kg per standard deviation)",
        ylabel="loss (kg²)",
        ylim=(-0.2, 5.6),
    )
    for n, w in enumerate(tried[:3]):
        on.annotate(n, (w, loss(w)), (7 if slope(w) < 0 else -14, 7), textcoords="offset points")
program.save(figure, options.out / "line_one_weight.png")

# %% Both weights at once:
# one for each there is a slope, what the loss does when that weight alone moves, from where both
# are now. Such slopes are called partial derivatives, and all of them together the gradient. A step
# uses both.


def fit(lr, steps, tolerance=None):
    """Descend from w = b = 0 until the loss has converged; the loss at each step, and w, b and
    their slopes there.
    """
    w, b = Value(0.0, name="w"), Value(0.0, name="b")
    optimizer = optim.SGD([w, b], lr=lr)
    losses, lines = [], []
    while len(losses) < steps and not (tolerance and train.has_converged(losses, tolerance)):
        value = loss(w, b)
        optimizer.zero_grad()
        value.backward()
        losses.append(value.item())
        lines.append((w.item(), b.item(), w.grad, b.grad))
        if not losses[-1] <= 1e6 * losses[0]:
            break  # it grows without end
        optimizer.step()
    return losses, lines


STRICT = 1e-10
losses, lines = fit(options.lr, 10_000, STRICT)
print("step   loss (kg²)   w (kg/sd)      b (kg)   slope of w   slope of b")
for step, (value, line) in enumerate(zip(losses, lines, strict=True)):
    if step % 10 == 0:
        print(
            f"{step:4d} {value:12.5f} {line[0]:11.5f} {line[1]:11.5f} {line[2]:12.5f} "
            f"{line[3]:12.5f}"
        )
if not train.has_converged(losses, STRICT):
    what = (
        "diverges: try a smaller --lr"
        if losses[-1] > losses[0]
        else "is still falling: try a larger --lr"
    )
    sys.exit(f"not converged after {len(losses):,} steps, and the loss {what}")
w, b = lines[-1][:2]
print(f"At step {len(losses) - 1} the loss has stopped changing:", end=" ")
print(f"in 5 steps by less than 1 part in {1 / STRICT / 1e9:g} billion.\n")

# mass = w · (length − mean) / deviation + b, multiplied out
found = np.array([1000 * w / deviation, 1000 * (b - w * mean / deviation)])
exact = np.polyfit(millimetres, grams, 1)
print(f"gradient descent: mass = {found[0]:.4f} g/mm * length {found[1]:+.2f} g")
print(f"least squares:    mass = {exact[0]:.4f} g/mm * length {exact[1]:+.2f} g\n")
ARRIVED = np.allclose(found, exact, rtol=1e-4)
if not ARRIVED:
    steep = np.hypot(*lines[-1][2:])
    program.say(
        f"These differ. The loss has stopped changing, but the slope is {steep:.2g} kg: this is no "
        "minimum."
    )

# %% "The loss changes extremely slowly" is how convergence is noticed,
# but it is not what convergence is. With a tiny learning rate every step is tiny, wherever it
# starts. What is small at a minimum is the slope.
TINY, TOLERANCE = 1e-5, 1e-3  # and for a stricter tolerance, a smaller rate
lowest = np.mean((np.polyval(np.polyfit(length, mass, 1), length) - mass) ** 2)
CONVERGED = {lr: fit(lr, 10_000, TOLERANCE) for lr in (options.lr, TINY)}
STOPPED = {lr: train.has_converged(run, TOLERANCE) for lr, (run, _) in CONVERGED.items()}
for lr, (run, where) in CONVERGED.items():
    before, after = (np.hypot(*line[2:]) for line in (where[0], where[-1]))
    changes = "changes by less than" if STOPPED[lr] else "still changes by more than"
    program.say(
        f"Learning rate {lr:g}: within 5 steps the loss {changes} 1 part in {1 / TOLERANCE:,.0f}",
        f"at step {len(run) - 1}. There it is {run[-1] / lowest:.3f} times the smallest loss that",
        f"a line can have, and the slope is {after:.2g} kg; at the start that was {before:.2g} kg.",
    )

figure, (left, right) = plots.panels(2, width=9.5, height=4.3)
left.plot(millimetres, mass, ".", color="0.75", zorder=0)
ends = np.array([millimetres.min(), millimetres.max()])
for step, shade in zip((0, 2, 5, 10, len(lines) - 1), (0.15, 0.3, 0.5, 0.7, 1.0), strict=True):
    if step < len(lines):
        y = lines[step][0] * (ends - mean) / deviation + lines[step][1]
        left.plot(ends, y, color=plots.BLUE, alpha=shade, linewidth=2)
        # the labels would be on top of each other
        if step == len(lines) - 1 or abs(lines[step][1] - b) > 0.3:
            left.annotate(
                f"step {step}", (ends[1], y[1]), (4, 0), textcoords="offset points", va="center"
            )
finding = "that of least squares" if ARRIVED else f"but that of least squares has {exact[0]:.1f}"
title = f"The line arrives at {found[0]:.1f} g per mm,\n{finding}"
left.set(
    title=title,
    xlabel="flipper length (mm)",
    ylabel="body mass (kg)",
    xlim=(ends[0] - 2, ends[1] + 13),
)
finding = "Both nearly stop changing" if len(CONVERGED) > 1 else "It nearly stops changing"
if not all(STOPPED.values()):
    finding = "Not all stop changing"
plots.losses(
    {f"learning rate {lr:g}": fit(lr, len(losses))[0] for lr in CONVERGED},
    tolerance=TOLERANCE,
    ax=right,
    title=f"{finding}: at a loss that is\n"
    + " and ".join(f"{run[-1] / lowest:.2f}" for run, _ in CONVERGED.values())
    + " times the smallest one",
    xlabel="step",
    ylabel="loss (kg²)",
)
program.save(figure, options.out / "line.png")
