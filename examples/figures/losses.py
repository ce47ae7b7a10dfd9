"""The picture of losses.py: how many test digits are right with each loss, over the epochs and over
the learning rates. And its table: what each loss says of one answer.
"""

import textwrap
from itertools import cycle

import program

from microgd import plots


def table(rows, losses):
    """The rows as text: the right output, and then the value and the slope of each loss."""
    width = max([18, *map(len, losses)])
    lines = ["The right digit's output; the other nine are 0:"]
    lines.append("right output" + "".join(f"    {name:>{width}s}     slope" for name in losses))
    for output, *numbers in rows:
        line = f"{output:12g}"
        for value, slope in zip(numbers[::2], numbers[1::2], strict=True):
            line += f"    {value:z{width}.4f} {slope:z9.4f}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def draw(curves, best, rates, title):
    """The accuracy with each loss at its best rate, and at all rates.

    `curves` holds, by loss and then by rate, the accuracies of the networks before training and
    after each epoch, (networks, epochs + 1). `best` holds the best rate of each loss; a loss that
    diverged at all rates has none.
    """
    figure, (left, right) = plots.panels(2, width=10.0, height=4.4)
    looks = zip(cycle(plots.COLOURS), cycle(["o-", "s--", "^:", "D-."]), strict=False)
    for (what, its), (colour, line) in zip(curves.items(), looks, strict=False):
        if what not in best:
            continue
        shown = 100 * its[best[what]]
        count, points = shown.shape
        label = textwrap.fill(f"{what}: {best[what]:g}", 28)
        left.plot(range(points), shown.mean(axis=0), line, color=colour, label=label)
        band = shown.min(axis=0), shown.max(axis=0)
        left.fill_between(range(points), *band, color=colour, alpha=0.2)
        across = sorted(its)
        ends = [100 * its[rate][:, -1].mean() for rate in across]
        right.plot(across, ends, line, color=colour, label=textwrap.fill(what, 28))
    figure.suptitle(textwrap.fill(title, 110))
    label = "test digits named rightly (%)"
    networks = program.counted(count, "network")
    left.set(title=f"Each at its best rate: {networks}\n(line: mean; band: all)")
    left.set(xlabel="epoch", ylabel=label)
    left.legend(title="loss, and learning rate", loc="lower right")
    epochs = program.counted(points - 1, "epoch")
    right.set(title=f"After {epochs}, at all rates\n(mean; none where it diverged)")
    right.set(xlabel="learning rate", ylabel=label, xscale="log", xticks=_apart(rates))
    right.xaxis.set(minor_formatter="", major_formatter="{x:g}")
    right.legend()
    return figure


def _apart(rates):
    """Those of the rates whose labels have room beside each other."""
    rates = sorted(rates)
    room = (rates[-1] / rates[0]) ** 0.08
    labelled = rates[:1]
    for rate in rates[1:]:
        if rate >= room * labelled[-1]:
            labelled.append(rate)
    return labelled
