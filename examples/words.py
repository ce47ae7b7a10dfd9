"""How can numbers name a species?

A network computes with numbers, but the answer is a word. So the words become numbers on the way
in, a probability for each word comes out, and the most probable one is the answer.
"""

# %% The data: a table with columns of numbers, and a column of words, the labels.
import sys
from textwrap import fill

import figures.words
import numpy as np
import program

from microgd import data, nn, no_grad, operations, optim, train

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
if len(set(pair)) != 2:
    sys.exit(f"two different columns of numbers are needed, but these are {', '.join(pair)}")
if len(set(columns)) < len(columns):
    sys.exit(f"a column can be there only once, but these are {', '.join(columns)}")

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
def learn(rows, seed):
    """Train a network on rows of numbers. Return what it has learned, a function from such rows to
    probabilities of the words; and which rows were held out.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    held_out, known = order[: len(rows) // 4], order[len(rows) // 4 :]
    mean, deviation = rows[known].mean(axis=0), rows[known].std(axis=0)
    deviation[deviation == 0] = 1.0  # a column that is the same everywhere says nothing

    def scaled(x):
        """In standard deviations from the mean, all columns are of about the same size."""
        return (x - mean) / deviation

    network = nn.Linear(rows.shape[1], len(names), rng=rng, dtype=float)
    examples = scaled(rows[known]), labels[known]
    try:
        optimizer = optim.SGD(network.parameters(), lr=0.5)
        for _ in train.fit(
            network, nn.cross_entropy, optimizer, *examples, epochs=50, batch_size=32, rng=rng
        ):
            pass
    except (ValueError, train.DivergedError) as error:
        sys.exit(f"the network cannot learn: {error}")

    def probabilities(x):
        """For each row of x, one for each word: softmax makes them positive, and 1 in sum."""
        with no_grad():
            return operations.softmax(network(scaled(x))).data

    return probabilities, held_out


# %% Numbers to words again: three rows held out, and the three of which it is least sure.
probabilities, held_out = learn(numbers, options.seed)
p = probabilities(numbers[held_out])
if not len(p) or p.shape[1] != len(names):
    sys.exit(f"there are {len(p)} rows held out, and {p.shape[1]} outputs for {len(names)} words")
unsure = np.argsort(p.max(axis=1))[:3]
for n in [*range(min(3, len(held_out))), *unsure]:
    measured = []
    for column, number in zip(columns, numbers[held_out[n]], strict=True):
        name, unit = program.name_and_unit(column)
        measured.append(f"{name} {number:g} {unit}".strip())
    print(", ".join(measured))
    chances = ", ".join(f"{name} {chance:.1%}" for name, chance in zip(names, p[n], strict=True))
    print(f"    {chances}: it says {names[p[n].argmax()]}, and it is {words[held_out[n]]}\n")

# %% How good is it? One split may be lucky, so: several. All columns, then those of the map.
SPLITS = range(options.seed, options.seed + options.splits)
count = program.counted(len(SPLITS), "split")
points = numbers[:, [columns.index(column) for column in pair]]
ALONE = " and ".join(program.name_and_unit(column)[0] for column in pair) + " alone"
ACCURACY = {}
for what, rows in ((f"all {len(columns)} columns", numbers), (ALONE, points)):
    ACCURACY[what] = []
    for seed in SPLITS:
        probabilities, held_out = learn(rows, seed)
        said = probabilities(rows[held_out]).argmax(axis=1)
        ACCURACY[what].append(np.mean(said == labels[held_out]))
    worst, best = min(ACCURACY[what]), max(ACCURACY[what])
    print(f"{what}: {np.mean(ACCURACY[what]):.1%} of the rows held out are named rightly,", end=" ")
    print(f"on average over {count} ({worst:.1%} to {best:.1%})")
often = np.bincount(labels).argmax()
share = np.mean(labels == often)
program.say(f"(To say {names[often]} always would be right {share:.1%} of the time.)")

# %% The map: what the network of the last split says at each point, and the rows held out.
some = program.counted(len(held_out), "row")
right = f"By {ALONE}, {ACCURACY[ALONE][-1]:.1%} of {some} held out are named rightly"
more = f"(the last of {count}; on average {np.mean(ACCURACY[ALONE]):.1%})"
figure = figures.words.draw(probabilities, points, labels, held_out, names)
figure.axes[0].set_title(f"{fill(right, 80)}\n{more}")
figure.axes[0].set(xlabel=program.with_unit(pair[0]), ylabel=program.with_unit(pair[1]))
program.save(figure, options.out / "words.png")
