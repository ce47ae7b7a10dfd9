"""The pictures of digits.py: what the first layer looks for, and what the network gets wrong."""

import textwrap

import networks
import numpy as np
import program

from microgd import plots


def first_layer(model, weights, said):
    """The weights from the 784 pixels to each output of the first layer, (outputs, 784), as images,
    of at most ten outputs. The title says which weights they are, and `said`.
    """
    is_hidden = len(networks.parts_of(model)[0]) > 2
    kind = "hidden unit" if is_hidden else "output"
    shown = weights[:10]
    titles = [f"{kind} {number}" for number in range(len(shown))]
    unit = "weight (red: ink here speaks for it)"
    figure = plots.images(shown, titles, columns=5, signed=True, unit=unit)
    these = f"The {weights.size:,} weights "
    if is_hidden:
        some = f"{len(shown)} of {program.counted(len(weights), 'hidden unit')}"
        these = f"{networks.in_words(model)}: the weights from the pixels to {some}\n"
    figure.suptitle(these + said)
    return figure


def most_frequent_errors(labels, said):
    """Which digit is taken for which, most often, in words."""
    wrong = labels != said
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels[wrong], said[wrong]), 1)
    most = counts.max()
    pairs = [" for ".join(map(program.with_article, pair)) for pair in np.argwhere(counts == most)]
    if len(pairs) > 3:
        pairs[3:] = [f"{program.counted(len(pairs) - 3, 'other pair')}"]
    named = " and ".join([", ".join(pairs[:-1]), pairs[-1]]) if len(pairs) > 1 else pairs[0]
    times = program.counted(most, "time")
    return f"most often it takes {named} ({times}{' each' if len(pairs) > 1 else ''})"


def confusion(labels, said, *sentences):
    """How many test digits are taken for which; the title is these sentences."""
    title = "\n".join(textwrap.fill(sentence, 62) for sentence in sentences)
    axes = {"xlabel": "the network says (a dot: never)", "ylabel": "it is"}
    return plots.confusion_matrix(labels, said, range(10), title=title, **axes)


def surest_errors(images, labels, p, count=16):
    """The wrongly named digits of which the network is surest; p holds its probabilities."""
    said = p.argmax(axis=1)
    wrong = np.flatnonzero(said != labels)
    surest = wrong[np.argsort(-p[wrong, said[wrong]])][:count]
    titles = [f"{labels[i]}, says {said[i]}" for i in surest]
    figure = plots.images(images[surest], titles, columns=8)
    least = p[surest, said[surest]].min()
    figure.suptitle(
        f"Of {len(wrong)} errors, the {len(surest)} of which it is surest ({least:.0%} or more)"
    )
    return figure
