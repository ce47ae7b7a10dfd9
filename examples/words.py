"""If classification answers in words, how can a network, which computes with numbers,
say which species a penguin is?

The words become numbers on the way in, a probability for each word comes out, and the most probable
one is the answer.
"""

# %% The data: 342 penguins, each with four measurements; the species is a word.
import numpy as np
import program

from microgd import data, nn, no_grad, operations, optim, plots, train

parser = program.parser(__doc__)
parser.add_argument(
    "--seed", type=program.at_least(0), default=0, help="for the first split (default: %(default)s)"
)
parser.add_argument(
    "--splits",
    type=program.at_least(2),
    default=10,
    help="ways to split the birds (default: %(default)s)",
)
options = program.options(parser)

sizes, species = program.penguins(
    "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"
)
MEASURED = ["bill length (mm)", "bill depth (mm)", "flipper length (mm)", "body mass (g)"]

# %% Words to numbers:
# a sum of words times weights means nothing, so each species gets a number, in alphabetical order.
labels, names = data.encode_labels(species)
print(
    f"{len(species)} penguins, of the species "
    f"{', '.join(f'{name} ({number})' for number, name in enumerate(names))}"
)
# To predict a quantity, as line.py does, is called regression; to choose among names,
# classification. These numbers are names, too, and no quantities: 2 is not twice 1. So the network
# has an output for each species, not one output that should come near 0, 1 or 2; and cross-entropy,
# its loss, asks only for the probability of the right one.
print(
    f"For a bird of the species {species[0]} ({labels[0]}) the best answer is "
    f"{data.one_hot(labels[:1], len(names))[0]}.\n"
)


# %% Learn from three quarters of the birds;
# the others are held out, to see what it says of birds that it has never seen.
def learn(columns, seed):
    """A network that has learned from these columns; how to standardize them; and which birds were
    held out.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(species))
    held_out, known = order[: len(species) // 4], order[len(species) // 4 :]
    mean, deviation = sizes[known][:, columns].mean(axis=0), sizes[known][:, columns].std(axis=0)

    def standardized(measured):
        """Millimetres and grams as standard deviations from the mean: all of about the same
        size.
        """
        return (measured - mean) / deviation

    network = nn.Linear(len(columns), len(names), rng=rng, dtype=float)
    optimizer = optim.SGD(network.parameters(), lr=0.5)
    x, y = standardized(sizes[:, columns]), labels
    for _ in train.fit(
        network, nn.cross_entropy, optimizer, x[known], y[known], epochs=50, batch_size=32, rng=rng
    ):
        pass
    return network, standardized, held_out


def probabilities(network, measured):
    """For each bird a probability for each species: all between 0 and 1, and together 1."""
    with no_grad():
        return operations.softmax(network(measured)).data


ALL = [0, 1, 2, 3]
network, standardized, held_out = learn(ALL, options.seed)
p = probabilities(network, standardized(sizes[held_out][:, ALL]))
said = p.argmax(axis=1)
unsure = np.argsort(p.max(axis=1))[:3]
print(
    "Numbers to words again. Three of the birds held out, and the three of which the network is "
    "least sure:"
)
print(
    f"{'bill (mm)':>14s} {'flipper (mm)':>13s} {'mass (g)':>9s}   "
    f"{'  '.join(f'{name:>9s}' for name in names)}   {'says':9s} is"
)
for n in (*range(3), *unsure):
    length, depth, flipper, mass = sizes[held_out[n]]
    chances = "  ".join(f"{chance:9.1%}" for chance in p[n])
    print(
        f"{length:6.1f} × {depth:5.1f} {flipper:13.0f} {mass:9.0f}   {chances}   "
        f"{names[said[n]]:9s} {species[held_out[n]]}"
    )
print()

# %% How good is it? One split may be lucky, so: several.
PAIR = [0, 1]  # the bill alone: two measurements, which fit on a map
NUMBERS = {
    1: "one measurement",
    2: "two measurements",
    3: "three measurements",
    4: "four measurements",
}
ALONE = " and ".join(MEASURED[column].split(" (")[0] for column in PAIR) + " alone"
if PAIR == [0, 1]:
    ALONE = "the bill alone"
ACCURACY = {}
for what, columns in ((NUMBERS[len(ALL)], ALL), (ALONE, PAIR)):
    right = []
    for seed in range(options.seed, options.seed + options.splits):
        network, standardized, held_out = learn(columns, seed)
        said = probabilities(network, standardized(sizes[held_out][:, columns])).argmax(axis=1)
        right.append(np.mean(said == labels[held_out]))
    ACCURACY[what] = right
    print(
        f"{what:18s}: {np.mean(right):.1%} of the birds held out named rightly, on average over "
        f"{len(right)} splits",
        end=" ",
    )
    print(f"({min(right):.1%} to {max(right):.1%})")
most = np.bincount(labels).max() / len(labels)
print(
    f"(To say {names[np.bincount(labels).argmax()]} of every bird would be right {most:.1%} of the "
    "time.)\n"
)

# %% The map:
# what the network says of every possible bill, and the birds held out in the last split.
measured, right = sizes[held_out][:, PAIR], said == labels[held_out]
(left, low), (side, top) = sizes[:, PAIR].min(axis=0) - 1, sizes[:, PAIR].max(axis=0) + 1
across, up = np.meshgrid(np.linspace(left, side, 300), np.linspace(low, top, 300))
p = probabilities(network, standardized(np.stack([across.ravel(), up.ravel()], axis=1)))
figure, [on] = plots.panels(width=8.0, height=5.0)
for number, (name, colour, marker, hatch) in enumerate(
    zip(names, plots.COLOURS, "osD", ("", "//", ".."), strict=False)
):
    chance = p[:, number].reshape(across.shape)
    here = (p.argmax(axis=1) == number).reshape(across.shape).astype(float)
    on.contourf(across, up, here, [0.5, 1.5], colors=[colour], alpha=0.2, hatches=[hatch])
    on.contour(across, up, chance, [0.9], colors=[colour], linewidths=1, linestyles="--")
    of_it = labels[held_out] == number
    on.plot(*measured[of_it].T, marker, color=colour, markeredgecolor="black", label=name)
on.plot([], [], "--", color="0.4", label="a probability of 90%")
on.plot(
    *measured[~right].T,
    "o",
    color="none",
    markeredgecolor="black",
    markersize=16,
    label="named wrongly",
)
on.set(
    title=f"By {ALONE} {np.mean(right):.1%} of {len(held_out)} birds held out are named rightly\n"
    f"(the last of {options.splits} splits; on average {np.mean(ACCURACY[ALONE]):.1%})",
    xlabel=MEASURED[PAIR[0]],
    ylabel=MEASURED[PAIR[1]],
)
on.legend()
program.save(figure, options.out / "words.png")
