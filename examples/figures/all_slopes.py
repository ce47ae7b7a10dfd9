"""The picture of all_slopes.py: what the loss and its slopes cost, over the number of weights."""

from microgd import plots


def draw(costs, digits, title):
    """Draw multiply-adds for so many digits. Of each network there are the number of weights, the
    cost of the loss, of a reverse pass, and of moving the weights one by one.
    """
    counts, *works = zip(*sorted(costs), strict=True)
    figure, [on] = plots.panels(width=7.0, height=4.6)
    looks = {
        "the loss alone": ("o-", plots.BLUE),
        "all slopes, by one reverse pass": ("s--", plots.VERMILION),
        "all slopes, weight after weight": ("D:", plots.GREEN),
    }
    for work, (name, (look, colour)) in zip(works, looks.items(), strict=True):
        on.loglog(counts, work, look, color=colour, label=name)
    on.set(
        title=title,
        xlabel="weights and biases of the network",
        ylabel=f"multiply-adds for {digits:,} digit{'' if digits == 1 else 's'}",
    )
    on.legend()
    return figure
