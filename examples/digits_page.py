"""The page that digits.py writes: draw a digit, see the network read it, and teach it."""

import base64
from itertools import groupby
from pathlib import Path

import numpy as np

from microgd import nn
from microgd.page import as_json, assemble

BENDS = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}
ACTIVATIONS = {
    "relu": "a <em>ReLU</em> keeps the sum if it is above 0, and makes it 0 otherwise.",
    "tanh": "<em>tanh</em> bends the sum into a number between −1 and 1.",
    "sigmoid": "a <em>sigmoid</em> bends the sum into a number between 0 and 1.",
    "": "the sum is the result.",
}
NONE_AT_THE_OUTPUTS = {
    "relu": "The ten outputs have no ReLU: only they may be below 0.",
    "tanh": "The ten outputs have no tanh: only they may be below −1 or above 1.",
    "sigmoid": "The ten outputs have no sigmoid: only they may be below 0 or above 1.",
}
LINES = (
    '<span class="above">Solid orange lines</span> raise the unit on their right, '
    '<span class="below">dashed blue lines</span> lower it. '
    "Only each unit's strongest lines are drawn."
)
MOST = 1000  # test digits; each takes about a kilobyte of the page


def save(path, model, test, lr):
    """Write the page and say where it is, or say why there is none of such a network."""
    try:
        write(path, model, test, lr)
        print(f"page: {path} (open it in a browser)\n")
    except ValueError as error:
        print(f"no page: {error}\n")


def write(path, model, test, lr=0.05):
    """Write the page into a file.

    `model` is an `nn.Sequential` of `nn.Linear` layers, from 784 pixels to 10 outputs, each of them
    followed by one ReLU, Tanh or Sigmoid or by none. Another model is a `ValueError`. `test` are
    the examples (x, y) to take digits from; the page has the first 1,000 of them. `lr` is the
    learning rate of training, with which the page begins.
    """
    layers = layers_of(model)
    sizes = [layers[0]["inputs"]]
    for layer in layers:
        sizes.append(layer["outputs"])
    images, labels = test
    images, labels = images[:MOST], labels[:MOST]
    numbers = nn.parameters_to_vector(model.parameters())
    page = assemble(
        Path(__file__).parent / "pages" / "digits",
        scripts=["shared", "digits_network", "digits_picture"],
        shape="→".join(map(str, sizes)),
        words=in_words(sizes),
        activation=activations_in_words([layer["bend"] for layer in layers]),
        lines=LINES if len(layers) > 1 else "",
        last=len(labels) - 1,
        tests=f"{len(labels):,}",
        count=f"{numbers.size:,}",
        length=f"{np.linalg.norm(numbers):.3g}",
        rate=f"{lr:g}",
        tenth=f"{lr / 10:g}",
        data=as_json(
            {
                "layers": layers,
                "images": as_text(np.rint(255 * images), np.uint8),
                "labels": as_text(labels, np.uint8),
            }
        ),
    )
    Path(path).write_text(page, encoding="utf-8")


def in_words(sizes):
    """The sizes of a network as a sentence: equal layers that follow each other are named once."""
    parts = [f"{sizes[0]} pixels"]
    for units, equal in groupby(sizes[1:-1]):
        count = len(list(equal))
        parts.append(
            f"a layer of {units} units" if count == 1 else f"{count} layers of {units} units"
        )
    parts.append(f"{sizes[-1]} outputs, one for each digit.")
    return ", then ".join(parts)


def activations_in_words(bends):
    """What the sums of the layers go through; `bends` has a name of `ACTIVATIONS` for each."""
    *hidden, at_outputs = bends
    if len(set(bends)) == 1:
        return f"Then {ACTIVATIONS[at_outputs]}"
    if len(set(hidden)) == 1 and not at_outputs:
        return f"Then {ACTIVATIONS[hidden[0]]} {NONE_AT_THE_OUTPUTS[hidden[0]]}"
    sentences = [f"In layer {n}, {ACTIVATIONS[bend]}" for n, bend in enumerate(hidden, 1)]
    return " ".join([*sentences, f"At the outputs, {ACTIVATIONS[at_outputs]}"])


def layers_of(model):
    """The layers as the page takes them: sizes, weights, and the name of what bends the result."""
    layers = []
    for part in model if isinstance(model, nn.Sequential) else [model]:
        if isinstance(part, nn.Linear):
            layers.append(layer_of(part))
        elif type(part) in BENDS and layers and not layers[-1]["bend"]:
            layers[-1]["bend"] = BENDS[type(part)]
        else:
            raise ValueError(
                "the page shows Linear layers, each with at most one ReLU, Tanh or Sigmoid after "
                f"it, but not {part} in {model}"
            )
    if not layers or layers[0]["inputs"] != 784 or layers[-1]["outputs"] != 10:
        raise ValueError(f"the page shows networks from 784 pixels to 10 outputs, but not {model}")
    return layers


def layer_of(linear):
    """A Linear layer as the page takes it, with nothing that bends its result yet."""
    outputs, inputs = linear.weight.shape
    if linear.bias is None:
        raise ValueError(f"the page shows layers with a bias, but not {linear}")
    return {
        "inputs": inputs,
        "outputs": outputs,
        "bend": "",
        "weight": as_text(linear.weight.data, np.float32),
        "bias": as_text(linear.bias.data, np.float32),
    }


def as_text(array, dtype):
    """The numbers of an array, row by row, as bytes that may stand in a page."""
    little = np.dtype(dtype).newbyteorder("<")
    return base64.b64encode(np.ascontiguousarray(array, little).tobytes()).decode()
