"""The picture of baskets.py: how the loss falls in each of the ways to descend."""

from microgd import plots


def draw(best, fewest, levels, top=None):
    """Draw the losses twice: over the examples looked at, and over the multiply-adds.

    `best` has for each way its rate and its history, rows of (examples, multiply-adds, loss).
    `fewest` says for both units, in this order, which way needs least. `levels` are losses to draw
    a line at, by name. `top` is a row of a history in which the loss has risen, or None.
    """
    figure, axes = plots.panels(2, width=10.0, height=4.8)
    for column, (on, (unit, winner)) in enumerate(zip(axes, fewest.items(), strict=True)):
        lines = {}
        for name, (_, history) in best.items():
            lines[name] = (history[1:, column], history[1:, 2])
        plots.losses(lines, ax=on)
        on.get_legend().remove()
        on.set(xscale="log", xlabel=unit, ylabel="loss over all examples (nats)")
        on.set_title(f"The fewest {unit}:\n{winner}")
        for text, height in levels.items():
            on.axhline(height, color="grey", lw=0.8)
            place = {"xycoords": ("axes fraction", "data"), "va": "bottom"}
            on.annotate(f"{text}: {height:.3g}", (0.01, height), **place)
        if top is not None:
            look = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center"}
            on.annotate("steps too long", top[[column, 2]], **look)
            on.set_ylim(top=1.3 * top[2])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
