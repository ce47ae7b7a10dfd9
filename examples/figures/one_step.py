"""The pictures of one_step.py: what the network says before and after steps, and what one step adds
to its weights. What is counted for them, and the same answers as a table, are printed, too.
"""

import numpy as np
import program

from microgd import plots


def when(step):
    """Which step it is, in words."""
    return f"after {program.counted(step, 'step')}" if step else "before any step"


def named(digits):
    """The digits in words: a 0, or an 8 and a 1."""
    return " and ".join(map(program.with_article, digits))


def change(losses):
    """What became of a loss, in words."""
    old, new = losses[0], losses[-1]
    if abs(new - old) < 0.0005:
        return f"stays at {old:.3f}"
    return f"{'falls' if new < old else 'rises'} from {old:.3f} to {new:.3f}"


def table(history, right):
    """The outputs and their probabilities for each digit, as text; `right` is the right digit.

    `history` holds both, by the number of steps.
    """
    heading = " ".join(["digit", *(f"{when(step):>20s}" for step in history)])
    lines = [heading + "    (output → its probability)"]
    for digit in range(10):
        row = f"{digit:5d}"
        for outputs, probabilities in history.values():
            row += f"{outputs[digit]:z12.3f} → {probabilities[digit]:6.1%}"
        lines.append(row + "   ← it is this" * (digit == right))
    return "\n".join(lines) + "\n"


def answers(image, right, history):
    """The digit, and beside it the ten probabilities after each number of steps in the history."""
    figure, axes = plots.panels(len(history) + 1, width=3.0 * (len(history) + 1), height=3.4)
    axes[0].imshow(image.reshape(28, 28), cmap="Greys", vmin=0, vmax=1)
    axes[0].set(title=f"It is {named([right])}", xlabel="pixels", ylabel="pixels")
    colours = [plots.VERMILION if digit == right else plots.BLUE for digit in range(10)]
    for on, (step, (_, probabilities)) in zip(axes[1:], history.items(), strict=True):
        on.bar(range(10), 100 * probabilities, color=colours)
        share = f"{probabilities[right]:.0%}\nfor the {right}, in orange"
        on.set(title=f"{when(step).capitalize()}: {share}", ylim=(0, 100))
        on.set(xlabel="digit", ylabel="probability (%)", xticks=range(10))
    return figure


def largest(updates, count):
    """The `count` largest elements of an update: the size of the very largest, and its layer; for
    each layer, how many are in it, in words; and their share of the length squared.

    There is an array for each layer's weights, and one for its biases.
    """
    sizes = np.concatenate([np.abs(np.ravel(each)) for each in updates]).astype(float)
    # The number of the layer that each element belongs to: a layer begins with its matrix.
    numbers = np.cumsum([each.ndim == 2 for each in updates])
    layers = np.repeat(numbers, [each.size for each in updates])
    order = np.argsort(-sizes, kind="stable")
    top, first = order[:count], order[0]
    counts = [f"{np.sum(layers[top] == n):,} in layer {n}" for n in range(1, numbers[-1] + 1)]
    share = np.sum(sizes[top] ** 2) / max(np.sum(sizes**2), 1e-30)
    return sizes[first], layers[first], counts, share


def first_layer(updates):
    """What a step adds to the weights of layer 1: an image for each of its units."""
    names = [f"unit {n}" for n in range(len(updates[0]))]
    figure = plots.images(updates[0], names, columns=8, signed=True, unit="added to the weight")
    count = sum(each.size for each in updates)
    most, layer, _, _ = largest(updates, 1)
    figure.suptitle(
        "What one step adds to the weights of layer 1: an image for each unit (output of the "
        f"layer)\n(the largest of these is {np.abs(updates[0]).max():.2g}; that of all {count:,} "
        f"elements is {most:.2g}, in layer {layer})"
    )
    return figure
