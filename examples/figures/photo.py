"""The picture of photo.py: a photo on its way to 28 × 28 pixels, and what the network says."""

import numpy as np

from microgd import plots


def draw(pictures, centre, p, p_shrunk):
    """Draw five pictures by their titles, and what the network says.

    The fourth has a cross at its centre of mass, (row, column). `p` and `p_shrunk` are the
    probabilities of the ten digits, with the preparation and without it.
    """
    figure, axes = plots.panels(3, 2, width=10.0, height=6.4)
    for on, (title, picture) in zip(axes, pictures.items(), strict=False):
        on.imshow(picture, cmap="Greys", vmin=0, vmax=1)
        on.set(title=title, xlabel="pixels", ylabel="pixels")
        on.locator_params(integer=True)
    row, column = centre
    axes[3].plot(column, row, "+", color=plots.VERMILION, markersize=16, markeredgewidth=2)
    digits, bars = np.arange(10), axes[5]
    bars.bar(digits - 0.2, 100 * p, 0.4, color=plots.BLUE, label="prepared")
    bars.bar(digits + 0.2, 100 * p_shrunk, 0.4, color=plots.VERMILION, label="made smaller")
    bars.set_title(f"It says {p.argmax()}; made smaller, {p_shrunk.argmax()}")
    bars.set(xlabel="digit", ylabel="probability (%)", xticks=digits, ylim=(0, 125))
    bars.set_yticks(range(0, 101, 20))  # above them is room for the legend
    bars.legend(loc="upper center", ncols=2)
    return figure
