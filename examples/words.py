"""How can numbers name a species?

A network computes with numbers, but the answer is a word. So the words become numbers on the way
in, a probability for each word comes out, and the most probable one is the answer.
"""

# %% The data: a table with columns of numbers, and a column of words, the labels.
import sys
from itertools import cycle
from textwrap import fill

import numpy as np
import program

from microgd import data, nn, no_grad, operations, optim, plots, train

parser = program.parser(__doc__)
add = parser.add_argument
add("--csv", metavar="FILE", default=program.PENGUINS, help="a table (default: penguins)")
add("--label", metavar="COLUMN", help="its column of words (default for penguins: species)")
add("--columns", metavar="COLUMN", nargs="+", help="to learn from (default: all of numbers)")
add("--map", metavar="COLUMN", nargs=2, help="the two columns of the map (default: the first)")
add("--splits", type=program.at_least(2), default=10, help="ways to split (default: 10)")
add("--seed", type=program.at_least(0), default=0, help="for the first split (default: 0)")
options = program.options(parser)
columns, label = options.columns, options.label or "species"
if options.csv == program.PENGUINS and columns is None:
    columns = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
numbers, columns, words = program.table(options.csv, columns, label)
missing = program.rows_in(options.csv) - len(words)
pair = options.map or columns[:2]
for column in pair:
    if column not in columns:
        sys.exit(f"--map: {column!r} is not among the columns {', '.join(columns)}")
if len(set(columns)) < len(columns) or len(set(pair)) < 2:
    sys.exit(f"two different columns of numbers are needed, but these are {', '.join(columns)}")

# %% Words to numbers: each word gets a number, in alphabetical order.
# These numbers are names, too, and not quantities: 2 is not twice 1. So the network has an output
# for each word. Cross-entropy, its loss, asks only for the probability of the right one.
labels, names = data.encode_labels(words)
if not 2 <= len(names) <= 20 or len(words) < 8:
    sys.exit(f"{len(words)} rows with {len(names)} different words in {label!r}: it takes 2 to 20")
print(f"{len(words)} rows; {missing} more, in which something was not measured, are left out")
numbered = ", ".join(f"{name} ({number})" for number, name in enumerate(names))
print(f"The column {label} holds {len(names)} different words, numbered: {numbered}")
ideal = data.one_hot(labels[:1], len(names))[0]
print(f"For {words[0]} ({labels[0]}) the best answer is {ideal}.\n")


# %% Learn from three quarters of the rows. The others are held out: no step looks at them.
def learn(columns_used, seed):
    """Train a network on some of the columns. Return it, the numbers in the units that it has
    learned in, the mean and the deviation that lead to these, and which rows were held out.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(words))
    held_out, known = order[: len(words) // 4], order[len(words) // 4 :]
    x = numbers[:, [columns.index(column) for column in columns_used]]
    # In standard deviations from the mean, all columns are of about the same size.
    mean, deviation = x[known].mean(axis=0), x[known].std(axis=0)
    deviation[deviation == 0] = 1.0  # a column that is the same everywhere says nothing
    x = (x - mean) / deviation
    network = nn.Linear(len(columns_used), len(names), rng=rng, dtype=float)
    optimizer = optim.SGD(network.parameters(), lr=0.5)
    for _ in train.fit(
        network,
        nn.cross_entropy,
        optimizer,
        x[known],
        labels[known],
        epochs=50,
        batch_size=32,
        rng=rng,
    ):
        pass
    return network, x, (mean, deviation), held_out


def probabilities(network, x):
    """For each row of x a probability for each word: softmax makes them positive, and 1 in sum."""
    with no_grad():
        return operations.softmax(network(x)).data


# %% Numbers to words again: three rows held out, and the three of which it is least sure.
network, x, _, held_out = learn(columns, options.seed)
p = probabilities(network, x[held_out])
unsure = np.argsort(p.max(axis=1))[:3]
for n in [*range(min(3, len(held_out))), *unsure]:
    measured = []
    for column, number in zip(columns, numbers[held_out[n]], strict=True):
        name, unit = program.name_and_unit(column)
        measured.append(f"{name} {number:g} {unit}".strip())
    print(", ".join(measured))
    chances = ", ".join(f"{name} {chance:.1%}" for name, chance in zip(names, p[n], strict=True))
    print(f"    {chances}: it says {names[p[n].argmax()]}, and it is {words[held_out[n]]}\n")

# %% How good is it? One split may be lucky, so: several.
ALONE = " and ".join(program.name_and_unit(column)[0] for column in pair) + " alone"
ACCURACY = {}
for what, used in ((f"all {len(columns)} columns", columns), (ALONE, pair)):
    ACCURACY[what] = []
    for seed in range(options.seed, options.seed + options.splits):
        network, x, scale, held_out = learn(used, seed)
        said = probabilities(network, x[held_out]).argmax(axis=1)
        ACCURACY[what].append(np.mean(said == labels[held_out]))
    worst, best = min(ACCURACY[what]), max(ACCURACY[what])
    print(f"{what}: {np.mean(ACCURACY[what]):.1%} of the rows held out are named rightly,", end=" ")
    print(f"on average over {options.splits} splits ({worst:.1%} to {best:.1%})")
often = np.bincount(labels).argmax()
print(
    f"(To say {names[often]} always would be right {np.mean(labels == often):.1%} of the time.)\n"
)

# %% The map: what the network says at each point, and the rows held out in the last split.
mean, deviation = scale
points = numbers[:, [columns.index(column) for column in pair]]
margin = np.maximum(0.04 * np.ptp(points, axis=0), 1e-3)
low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
across, up = np.meshgrid(np.linspace(low[0], high[0], 300), np.linspace(low[1], high[1], 300))
area = np.stack([across.ravel(), up.ravel()], axis=1)
p = probabilities(network, (area - mean) / deviation)
says = p.argmax(axis=1)
on_the_edge = area[np.any((area == area.min(axis=0)) | (area == area.max(axis=0)), axis=1)]


def roomiest(region, obstacles):
    """The place in a region where a name has most room. (A name is wider than it is high.)"""
    size = (high - low) * [2, 1]
    some = region[:: len(region) // 1000 + 1]
    room = np.full(len(some), np.inf)
    for obstacle in obstacles:
        each = obstacle[:: len(obstacle) // 500 + 1] / size
        if len(each):
            far = np.linalg.norm(some[:, None] / size - each, axis=2).min(axis=1)
            room = np.minimum(room, far)
    return some[room.argmax()]


figure, [on] = plots.panels(width=8.0, height=5.4)
looks = zip(cycle(plots.COLOURS), cycle("osD^v"), cycle(("", "//", "..", "\\\\")), strict=False)
for number, (colour, marker, hatch) in zip(range(len(names)), looks, strict=False):
    here = (says == number).reshape(across.shape).astype(float)
    its = points[held_out[labels[held_out] == number]]
    if here.any():
        on.contourf(across, up, here, [0.5, 1.5], colors=[colour], alpha=0.2, hatches=[hatch])
    on.plot(*its.T, marker, color=colour, markeredgecolor="black")
    chance = p[:, number].reshape(across.shape)
    if chance.min() < 0.9 < chance.max():
        on.contour(across, up, chance, [0.9], colors=[colour], linewidths=1, linestyles="--")
    region = area[says == number] if here.any() else its
    if len(region):
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": colour, "alpha": 0.75}
        place = roomiest(region, [area[says != number], points[held_out], on_the_edge])
        on.text(*place, names[number], ha="center", va="center", bbox=box, zorder=5)
wrong = points[held_out[said != labels[held_out]]]
on.plot([], [], "--", color="0.4", label="a probability of 90%")
on.plot(*wrong.T, "o", color="none", markeredgecolor="black", ms=16, label="named wrongly")
title = f"By {ALONE}, {ACCURACY[ALONE][-1]:.1%} of {len(held_out)} rows held out are named rightly"
more = f"(the last of {options.splits} splits; on average {np.mean(ACCURACY[ALONE]):.1%})"
on.set_title(f"{fill(title, 80)}\n{more}")
on.set(xlabel=program.with_unit(pair[0]), ylabel=program.with_unit(pair[1]))
about = "marks: what it is; areas: what the network says"
figure.legend(title=about, loc="outside lower center", ncols=2)
program.save(figure, options.out / "words.png")
