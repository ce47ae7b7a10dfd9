"""Which way must a weight move to make the loss smaller, and when have we arrived?

The weights are those of a line, mass = w · length + b, that says how heavy a penguin is, given the length of its flipper.
"""

# %% The data: 342 penguins. Lengths are measured from their mean, in standard deviations; learning_rate.py says why.
import argparse
import sys
from itertools import pairwise

import numpy as np
import program

from microgd import Value, grad, nn, optim, plots, train

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--lr", type=float, default=0.1, help="the learning rate of the line (default: %(default)s)")
options = program.options(parser)
if not 0 < options.lr < np.inf:
    parser.error(f"--lr must be above 0, and finite, but is {options.lr}")

millimetres, grams = program.penguins("flipper_length_mm", "body_mass_g")[0].T
mean, deviation = millimetres.mean(), millimetres.std()
length, mass = (millimetres - mean) / deviation, grams / 1000  # in standard deviations; in kg
print(
    f"{length.size} penguins: flippers of {mean:.0f} ± {deviation:.0f} mm, masses of {mass.mean():.2f} ± {mass.std():.2f} kg\n"
)

# %% One weight first, w, with b held at 4 kg: the loss is a curve over w, with only one minimum.


def loss(w, b=4.0):
    """The mean squared error of the line."""
    return nn.mse_loss(w * length + b, mass)


slope = grad(loss)
nearest = np.sum(length * (mass - 4.0)) / np.sum(length**2)  # where the minimum is: known here, to check what is said below


def shots(w, lr, count):
    """The weights that are tried, one after the other: each step goes against the slope, lr times as far as it is steep."""
    tried = [w]
    for _ in range(count - 1):
        tried.append(tried[-1] - lr * slope(tried[-1]))
    return tried


def verdicts(tried):
    """Does each shot come nearer to the minimum? In a bowl, the nearer, the less steep: the slope alone tells.

    (That is so where there is one minimum and the slope grows on both sides. slope.py has a curve where it is not so.)
    """
    steep = [abs(slope(w)) for w in tried]
    return ["start", *("toward" if now < before else "away" for before, now in pairwise(steep))]


START, RATES = -0.6, (0.15, 0.85, 1.04)
for lr in RATES:
    tried = shots(START, lr, 7)
    print(f"learning rate {lr}:   shot       w (kg)   loss (kg²)   slope (kg)   minimum is   so far     distance to it (kg)")
    for n, (w, verdict) in enumerate(zip(tried, verdicts(tried), strict=True)):
        side = "on the right" if slope(w) < 0 else "on the left"
        print(f"{n:24d} {w:12.3f} {loss(w):12.3f} {slope(w):12.3f}   {side:12s} {verdict:8s} {abs(w - nearest):18.3f}")
    print()

figure, axes = plots.panels(3, width=9.5, height=4.0)
for lr, on in zip(RATES, axes, strict=True):
    tried = shots(START, lr, 7)
    said = verdicts(tried)
    way = " and ".join(sorted(set(said[1:])))
    plots.curve(
        loss,
        {kind: [w for w, now in zip(tried, said, strict=True) if now == kind] for kind in ("start", "toward", "away")},
        span=(-1.6, 3.0),
        ax=on,
        title=f"Learning rate {lr}:\neach shot goes {way}",
        xlabel="w (kg per standard deviation)",
        ylabel="loss (kg²)",
        ylim=(-0.2, 5.6),
    )
    for n, w in enumerate(tried[:3]):
        on.annotate(n, (w, loss(w)), (7, 7), textcoords="offset points")
program.save(figure, options.out / "line_one_weight.png")

# %% Both weights at once: one gradient has a slope for w and a slope for b, and one step uses both.
# They can move at the same time because each slope says what the loss does when that one moves, from where all are now.


def fit(lr, steps, tolerance=None):
    """Descend from w = b = 0; the loss before each step, and the lines (w, b) on the way."""
    w, b = Value(0.0, name="w"), Value(0.0, name="b")
    optimizer = optim.SGD([w, b], lr=lr)
    losses, lines = [], []
    while len(losses) < steps and not (tolerance and train.has_converged(losses, tolerance)):
        value = loss(w, b)
        if losses and not value.item() < 1e6 * losses[0]:
            break  # it grows without end
        optimizer.zero_grad()
        value.backward()
        losses.append(value.item())
        lines.append((w.item(), b.item(), w.grad, b.grad))
        optimizer.step()
    return losses, lines


losses, lines = fit(options.lr, 10_000, tolerance=1e-10)
print("step   loss (kg²)      w (kg)      b (kg)   slope of w   slope of b")
for step, (value, line) in enumerate(zip(losses, lines, strict=True)):
    if step % 10 == 0:
        print(f"{step:4d} {value:12.5f} {line[0]:11.5f} {line[1]:11.5f} {line[2]:12.5f} {line[3]:12.5f}")
if not train.has_converged(losses, 1e-10):
    what = "diverges: try a smaller --lr" if losses[-1] > losses[0] else "is still falling: try a larger --lr"
    sys.exit(f"not converged after {len(losses):,} steps, and the loss {what}")
w, b = lines[-1][:2]
print(f"converged after {len(losses)} steps: in the last 5 the loss changed by less than 1 part in 10 billion.\n")

# mass = w · (length − mean) / deviation + b, multiplied out
exact = np.polyfit(millimetres, grams, 1)
print(f"gradient descent: mass = {1000 * w / deviation:.4f} g/mm * length {1000 * (b - w * mean / deviation):+.2f} g")
print(f"least squares:    mass = {exact[0]:.4f} g/mm * length {exact[1]:+.2f} g\n")

# %% "The loss changes extremely slowly" is how convergence is noticed, but it is not what convergence is.
# With a tiny learning rate every step is tiny, wherever it starts. What is small at a minimum is the slope.
TINY = 1e-5
slow, slow_lines = fit(TINY, 50, tolerance=1e-3)
lowest = np.mean((np.polyval(np.polyfit(length, mass, 1), length) - mass) ** 2)
for lr, run, where in ((options.lr, losses, lines), (TINY, slow, slow_lines)):
    gradient = np.hypot(*where[-1][2:])
    print(f"learning rate {lr:g}: 'converged' after {len(run)} steps, with a loss {run[-1] / lowest:.4g} times the smallest,")
    print(f"   and a slope of {gradient:.2g} kg, where it began with {np.hypot(*where[0][2:]):.2g} kg")
print()

figure, (left, right) = plots.panels(2, width=9.5, height=4.3)
left.plot(millimetres, mass, ".", color="0.75", zorder=0)
ends = np.array([millimetres.min(), millimetres.max()])
for step, shade in zip((0, 2, 5, 10, len(lines) - 1), (0.15, 0.3, 0.5, 0.7, 1.0), strict=True):
    if step < len(lines):
        y = lines[step][0] * (ends - mean) / deviation + lines[step][1]
        left.plot(ends, y, color=plots.BLUE, alpha=shade, linewidth=2)
        left.annotate(f"step {step}", (ends[1], y[1]), (-4, 4), textcoords="offset points", ha="right")
title = f"The line arrives at {1000 * w / deviation:.1f} g per mm,\nthat of least squares"
left.set(title=title, xlabel="flipper length (mm)", ylabel="body mass (kg)", xlim=(ends[0] - 2, ends[1] + 2))
plots.losses(
    {f"learning rate {options.lr:g}": losses, f"learning rate {TINY:g}": fit(TINY, len(losses))[0]},
    tolerance=1e-3,
    ax=right,
    title=f"Both say they have converged; one is\n{slow[-1] / lowest:.0f} times as high as the minimum",
    xlabel="step",
    ylabel="loss (kg²)",
)
program.save(figure, options.out / "line.png")
