"""The page that digits.py writes: draw a digit, see the network read it, and teach it."""

import base64
from pathlib import Path

import numpy as np

from microgd import nn
from microgd.page import as_json, assemble

BENDS = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}
SENTENCES = {
    "relu": "Between the layers, a ReLU passes on what is above 0, and makes 0 of the rest.",
    "tanh": "Between the layers, tanh bends each sum into a number between −1 and 1.",
    "sigmoid": "Between the layers, a sigmoid bends each sum into a number between 0 and 1.",
    "": "",
}


def write(path, model, test, rate=0.05):
    """Write the page into a file.

    `model` is an `nn.Sequential` of `nn.Linear` layers with a ReLU, tanh or sigmoid after some of
    them, from 784 pixels to 10 outputs; `test` are examples (x, y) of at most 10,000 digits; and
    `rate` is the learning rate that the page begins with. Another model is a `ValueError`.
    """
    layers = []
    for part in model:
        if isinstance(part, nn.Linear):
            outputs, inputs = part.weight.shape
            layers.append(
                {
                    "inputs": inputs,
                    "outputs": outputs,
                    "bend": "",
                    "weight": as_text(part.weight.data, np.float32),
                    "bias": as_text(part.bias.data, np.float32),
                }
            )
        elif type(part) in BENDS and layers and not layers[-1]["bend"]:
            layers[-1]["bend"] = BENDS[type(part)]
        else:
            raise ValueError(f"the page knows Linear, ReLU, Tanh and Sigmoid, but not {part}")
    if not layers or layers[0]["inputs"] != 784 or layers[-1]["outputs"] != 10:
        raise ValueError(f"the page shows networks from 784 pixels to 10 outputs, but not {model}")
    sizes = [layers[0]["inputs"], *(layer["outputs"] for layer in layers)]
    count = sum(p.size for p in model.parameters())
    images, labels = test
    page = assemble(
        Path(__file__).parent / "pages" / "digits",
        shape="→".join(map(str, sizes)),
        activation=SENTENCES[layers[0]["bend"]],
        last=len(labels) - 1,
        tests=f"{len(labels):,}",
        count=f"{count:,}",
        rate=f"{rate:g}",
        data=as_json(
            {
                "layers": layers,
                "images": as_text(np.rint(255 * images), np.uint8),
                "labels": as_text(labels, np.uint8),
            }
        ),
    )
    Path(path).write_text(page, encoding="utf-8")


def as_text(array, dtype):
    """The numbers of an array, as bytes that may stand in a page."""
    little = np.dtype(dtype).newbyteorder("<")
    return base64.b64encode(np.ascontiguousarray(array, little).tobytes()).decode()
