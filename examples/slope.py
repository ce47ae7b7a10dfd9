"""What does the derivative of a curve, a number at each point, say about the curve there?

The curve is f(x) = 3x³ − 6x² + 2x. On paper its derivative is 9x² − 12x + 2.
"""

# %% The curve, and its derivative by backpropagation: no formula of it is needed.
import numpy as np
import program

from microgd import grad, plots

options = program.options(program.parser(__doc__))


def f(x):
    """The curve."""
    return 3 * x**3 - 6 * x**2 + 2 * x


slope = grad(f)
curvature = grad(slope)  # the slope of the slope: how fast that changes. To descend, the slope is enough.

at = np.linspace(-1, 2, 301).tolist()
error = max(abs(slope(x) - (9 * x**2 - 12 * x + 2)) for x in at)
program.say(f"grad(f) and 9x² − 12x + 2 differ by at most {error:.0e} between −1 and 2.")

# %% The sign of the derivative says whether f ascends or descends to the right; its size, how steeply.
# At x = 0 it is 2. That is not the value of f, which is 0 there: it is how fast f grows there. A small step to the right
# changes f by nearly the step times the slope; the smaller the step, the more nearly.
POINTS = [-0.3, 0.0, 0.5, 0.8, 1.5]

print("                            change of f, divided by the step, if that is")
print("    x       f    slope           0.1        0.01       0.001")
for x in POINTS:
    changes = [(f(x + step) - f(x)) / step for step in (0.1, 0.01, 0.001)]
    way = "ascends" if slope(x) > 0 else "descends"
    print(f"{x:5.1f} {f(x):7.3f} {slope(x):8.3f} {changes[0]:13.3f} {changes[1]:11.3f} {changes[2]:11.3f}   {way}")
print()

# %% Where the slope is 0, the curve is level: a maximum, or a minimum, says the second derivative.


def level(x):
    """Go where a straight line with the curvature of this point would have slope 0, again and again: Newton's method."""
    for _ in range(50):
        x -= slope(x) / curvature(x)
    return x


LEVEL = [level(0.0), level(2.0)]
KINDS = ["minimum" if curvature(x) > 0 else "maximum" for x in LEVEL]
for x, kind in zip(LEVEL, KINDS, strict=True):
    grows = "grows, from below 0 to above: a bowl" if curvature(x) > 0 else "falls, from above 0 to below: a hill"
    print(f"At x = {x:.4f} the slope is 0. There the slope {grows} ({curvature(x):+.2f}), a {kind}.")

# %% That minimum is local: only the lowest point nearby.
lowest = LEVEL[KINDS.index("minimum")]
lower = lowest - 0.1
while f(lower) >= f(lowest):  # go left, over the hill, until it is lower again
    lower -= 0.001
print(f"\nf({lowest:.3f}) = {f(lowest):.3f}, but left of x = {lower:.3f} f is lower still, and falls without end:")
print("   ".join(f"f({x}) = {f(x):,}" for x in (-1, -10, -100)))


def descend(x, lr=0.05, steps=100):
    """Step against the slope, again and again; stop once it has fallen off the picture."""
    for _ in range(steps):
        if x < -10:
            break
        x -= lr * slope(x)
    return x


STARTS = [-0.2, 0.1, 0.3, 1.0, 2.0]
ENDS = [descend(x) for x in STARTS]
print("\nDescent, a step against the slope again and again. Where it leads depends on where it starts:")
for start, end in zip(STARTS, ENDS, strict=True):
    print(f"   from {start:4.1f} " + (f"to {end:.4f}" if end > -10 else "down the left side, without end"))
print()

# %% The picture: the curve with its tangents above, the derivative below.
figure, (above, below) = plots.panels(rows=2, height=7.0)
levels = " and ".join(f"{x:.2f}" for x in LEVEL)
plots.curve(
    f,
    {
        "ascending: slope above 0": [x for x in POINTS if slope(x) > 0],
        "descending: slope below 0": [x for x in POINTS if slope(x) < 0],
        **{f"level: slope 0, a {kind}": [x] for x, kind in zip(LEVEL, KINDS, strict=True)},
    },
    span=(-0.65, 1.9),
    ax=above,
    title=f"At x = 0 the slope is {slope(0.0):g}: f grows {slope(0.0):g} times as fast as x. It is level at {levels}",
    xlabel="x",
    ylabel="f(x) = 3x³ − 6x² + 2x",
)
for x in POINTS:  # beside the tangent, on the side that it leaves free
    side, far = ("right", -6) if slope(x) > 0 else ("left", 6)
    text = f"slope {slope(x):.2f}".replace("-", "−")
    above.annotate(text, (x, f(x)), (far, 7), textcoords="offset points", ha=side)
x = np.linspace(-0.65, 1.9, 256)
d = np.array([slope(each) for each in x.tolist()])
below.plot(x, d, color="0.4")
below.axhline(0, color="black", linewidth=1)
below.fill_between(x, d, where=d > 0, color=plots.BLUE, alpha=0.3, label="above 0: f ascends")
below.fill_between(x, d, where=d < 0, color=plots.VERMILION, alpha=0.3, hatch="//", label="below 0: f descends")
below.plot(0, slope(0.0), "o", color=plots.BLUE)
below.annotate(f"{slope(0.0):g} at x = 0", (0, slope(0.0)), (10, 4), textcoords="offset points")
title = f"Its derivative: above 0 where f ascends, 0 at {levels}"
below.set(title=title, xlabel="x", ylabel="derivative of f, by grad(f)", xlim=(-0.65, 1.9))
below.legend()
program.save(figure, options.out / "slope.png")
