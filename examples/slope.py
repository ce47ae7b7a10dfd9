"""What does the derivative of a curve, a number at each point, say about the curve there?

The curve is f(x) = 3x³ − 6x² + 2x. On paper its derivative is 9x² − 12x + 2. To ask about another
curve, edit what f returns, and what on_paper returns: for example np.sin(3 * x) and
3 * np.cos(3 * x).
"""

# %% The curve, and its derivative: once from paper, once from grad, which needs no formula of it.
import curves
import figures.curves
import numpy as np
import program

from microgd import grad

parser = program.parser(__doc__)
parser.add_argument(
    "--points",
    type=curves.place,
    nargs="+",
    default=[-0.3, 0.0, 0.5, 0.8, 1.5],
    metavar="X",
    help="where to look at the curve (default: -0.3 0 0.5 0.8 1.5)",
)
options = program.options(parser)
# A curve may have places without a value, as 1 / x has at 0. The program says so itself.
np.seterr(all="ignore")


def f(x):
    """The curve."""
    return 3 * x**3 - 6 * x**2 + 2 * x


def on_paper(x):
    """The derivative of f on paper: only to compare."""
    return 9 * x**2 - 12 * x + 2


slope = grad(f)

# %% Do the two agree?
PAPER = program.formula(on_paper) or "on_paper"
places = np.linspace(-1, 2, 301).round(2).tolist()
error, is_more_than_rounding, compared = curves.difference(f, on_paper, places)
if compared == 0:
    program.say(f"Nowhere from -1 to 2 do both grad(f) and {PAPER} have a value to compare.")
elif is_more_than_rounding:
    program.say(
        f"At {compared} points from -1 to 2, grad(f) and {PAPER} differ by up to {error:.2g}:",
        "on_paper is not the derivative of f. (If you edit f, edit on_paper too.)",
    )
else:
    program.say(
        f"At {compared} points from -1 to 2, grad(f) and {PAPER} agree: they differ by at most",
        f"{error:.1g}.",
    )

# %% The sign of the slope says whether f ascends or descends to the right. Its size says how
# steeply: a small step h to the right changes f by nearly slope · h. The smaller h is, the closer
# the change divided by h comes to the slope.
points = sorted(set(options.points))
DOES = {x: curves.what_it_does(f, x) for x in points}
STEPS = [0.1, 0.01, 0.001]


def cell(number):
    """A number as a cell of the table; a dash where there is none."""
    return "        -" if np.isnan(number) else f"{number:z9.4g}"


print("                              (f(x + h) - f(x)) / h, for h =")
print("      x         f     slope ", *(f"{h:9g}" for h in STEPS))
for x in points:
    has_slope = DOES[x] in ("ascends", "descends", "is level")
    numbers = [curves.value(f, x), slope(x) if has_slope else np.nan]
    for h in STEPS:
        numbers.append((curves.value(f, x + h) - curves.value(f, x)) / h)
    cells = [cell(number) for number in numbers]
    print(f"{x:7g} {cells[0]} {cells[1]}  {cells[2]} {cells[3]} {cells[4]}   f {DOES[x]}")
print()

# %% The slope is not the value: the value says how high f is there, the slope how fast f grows.
LOOK_AT = 0.0 if 0.0 in points else points[0]
SAID = curves.in_a_sentence(f, LOOK_AT)
program.say(SAID)

# %% The picture: the curve with its tangents above, the derivative below.
figure = figures.curves.draw_slopes(f, DOES, SAID, LOOK_AT, program.formula(f))
program.save(figure, options.out / "slope.png")
