"""The picture of one_weight.py: a bowl for each learning rate, with the steps as arrows on it."""

import figures.bowls
from microgd import plots

# The colour of a step, and what the legend calls it.
LOOKS = {
    "start": ("black", ""),
    "toward": (plots.GREEN, "toward the minimum"),
    "away": (plots.VERMILION, "away from it"),
    "stays as far": (plots.PURPLE, "stays as far from it"),
    "arrived": (plots.BLUE, "to the minimum"),
}


def draw(loss, minimum, tried, verdicts):
    """The loss over the weight, and the weights that were tried at each learning rate.

    `tried` and `verdicts` hold lists of equal length by rate: the weights, and what the step to
    each of them did; the title says it.
    """
    count = len(tried)
    figure, axes = plots.panels(count, width=max(5.0, 3.3 * count), height=4.3)
    for lr, on in zip(tried, axes, strict=True):
        colours = [_look(each)[0] for each in verdicts[lr]]
        outside = figures.bowls.bowl(on, loss, minimum, tried[lr], colours)
        _show_the_bowl(on, loss(minimum))
        said = list(dict.fromkeys(verdicts[lr][1:]))  # each of them once
        gap = " " if len(said) == 1 else "\n"
        title = f"Learning rate {lr:g}:{gap}{', '.join(said)}"
        if outside:
            title += f"\n(step {outside} leaves the picture)"
        on.set_title(title)
        on.ticklabel_format(axis="x", scilimits=(-4, 4))  # long numbers would be over each other
        for each in said:
            colour, label = _look(each)
            on.plot([], [], color=colour, label=label)
        on.legend(loc="upper center", title="each step goes")
    return figure


def _look(verdict):
    """The colour and the label of a verdict; a reader may have put in other words."""
    return LOOKS.get(verdict, (plots.ORANGE, verdict))


def _show_the_bowl(on, lowest):
    """Leave out what is far below the bowl: else a bowl high above 0 is drawn as a flat line."""
    top = on.get_ylim()[1]
    if not 0 <= lowest < 0.3 * top:
        height = top / 1.1 - lowest
        on.set_ylim(lowest - 0.05 * height, lowest + 1.1 * height)
