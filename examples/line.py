"""How heavy is a penguin, given the length of its flipper? A line through real points, by gradient descent.

The line is mass = w * length + b. Both numbers move at the same time, each against its own part of the gradient, until
the loss has stopped changing.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from microgd import Value, nn, optim, train

PENGUINS = Path(__file__).parent / "data" / "penguins.csv"


def read_penguins(path=PENGUINS):
    """Flipper lengths in millimetres and body masses in grams, of the penguins that have both."""
    with open(path, newline="") as file:
        rows = [(row["flipper_length_mm"], row["body_mass_g"]) for row in csv.DictReader(file)]
    return np.array([row for row in rows if "NA" not in row], float).T


def stretch(feature):
    """How much longer than wide the bowl of the loss over (w, b) is: the ratio of its largest to its smallest curvature."""
    columns = np.stack([feature, np.ones_like(feature)])
    curvatures = np.linalg.eigvalsh(2 * columns @ columns.T / feature.size)
    return curvatures[-1] / curvatures[0]


def fit_line(feature, target, lr, tolerance=1e-10, most_steps=10_000, show=lambda step, loss, w, b: None):
    """Descend from w = b = 0 until the loss has converged or grows without end; w, b, and the loss before every step."""
    w, b = Value(0.0, name="w"), Value(0.0, name="b")
    optimizer = optim.SGD([w, b], lr=lr)
    losses = []
    while not train.has_converged(losses, tolerance) and len(losses) < most_steps:
        loss = nn.mse_loss(w * feature + b, target)
        if losses and not loss.item() < 1e6 * losses[0]:
            break  # it grows without end
        optimizer.zero_grad()
        loss.backward()
        show(len(losses), loss.item(), w, b)
        optimizer.step()
        losses.append(loss.item())
    return w.item(), b.item(), losses


def main(arguments=None):
    """Fit the line, and compare it with the one that least squares computes directly; what went wrong, if anything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lr", type=float, default=0.1, help="the learning rate (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not 0 < options.lr < np.inf:
        parser.error(f"--lr must be above 0, and finite, but is {options.lr}")

    length, mass = read_penguins()
    # In millimetres the lengths lie around 200, far from 0. A small change of w then moves every prediction as much as a
    # large change of b does: the loss is a long, narrow valley. A learning rate that is small enough not to jump across
    # it is far too small to get along it. Measured from their mean, in standard deviations, they make a round bowl.
    mean, deviation = length.mean(), length.std()
    standardized = (length - mean) / deviation
    print(f"{length.size} penguins. The largest curvature of the loss is {stretch(length):,.0f} times the smallest with the")
    print(
        f"length in millimetres, and {stretch(standardized):.1f} times in standard deviations: so it is standardized first.\n"
    )

    print("step        loss (g²)        slope of w        slope of b")

    def show(step, loss, w, b):
        if step % 10 == 0:
            print(f"{step:4d} {loss:16,.1f} {w.grad:17,.3f} {b.grad:17,.3f}")

    w, b, losses = fit_line(standardized, mass, options.lr, show=show)
    if not train.has_converged(losses, 1e-10):
        what = "diverges: try a smaller --lr" if losses[-1] > losses[0] else "is still falling: try a larger --lr"
        return f"not converged after {len(losses):,} steps, and the loss {what}"
    print(f"converged after {len(losses)} steps.\n")

    # mass = w * (length - mean) / deviation + b, multiplied out
    slope, intercept = w / deviation, b - w * mean / deviation
    exact_slope, exact_intercept = np.polyfit(length, mass, 1)
    print(f"gradient descent: mass = {slope:.4f} g/mm * length {intercept:+.3f} g")
    print(f"least squares:    mass = {exact_slope:.4f} g/mm * length {exact_intercept:+.3f} g")
    return None


if __name__ == "__main__":
    sys.exit(main())
