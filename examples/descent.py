"""The page that learning_rate.py writes: predict a learning rate, then make steps with it."""

from html import escape
from pathlib import Path

import numpy as np

from microgd import Value, gradients, hvp, nn
from microgd.page import as_json, assemble


def write(
    path,
    features,
    units,
    target,
    x="flipper length",
    y="body mass",
    y_unit="kg",
    examples="penguins",
):
    """Write the page into a file.

    `features` has the inputs of a line by the name of its bowl, and `units` their units; `target`
    is what the line should give, in `y_unit`. There are two bowls: the same inputs in two units.
    The words are what the page calls the inputs, the target and the examples.
    """
    if len(features) != 2:
        raise ValueError(f"the page compares two bowls, but here are {len(features)}")
    for name, feature in features.items():
        if len(feature) != len(target):
            counts = f"{len(feature)} inputs, but there are {len(target)} targets"
            raise ValueError(f"the {name} bowl has {counts}")
    if np.ptp(target) == 0 or any(np.ptp(feature) == 0 for feature in features.values()):
        raise ValueError("the inputs and the target must not be constant")
    first, second = features
    page = assemble(
        Path(__file__).parent / "pages" / "descent",
        scripts=["shared", "descent_bowl", "descent_words", "descent_picture"],
        count=f"{len(target):,}",
        examples=escape(examples),
        x=escape(x),
        y=escape(y),
        first=escape(first),
        second=escape(second),
        first_unit=escape(units[first]),
        second_unit=escape(units[second]),
        data=as_json(
            {
                "x": x,
                "y": y,
                "yUnit": y_unit,
                "bowls": {
                    name: bowl_of(np.asarray(feature, float), units[name], target)
                    for name, feature in features.items()
                },
            }
        ),
    )
    Path(path).write_text(page, encoding="utf-8")


def bowl_of(feature, unit, target):
    """What the page knows of a bowl: its unit, and its loss with one weight and with two.

    With one weight, inputs count from their mean. With two they count from below it, by about one
    standard deviation. Then the best b depends on w, and the bowl is tilted.
    """
    centred = feature - feature.mean()
    below = float(f"{feature.std():.1g}")
    one = loss_in_numbers(centred, target)
    two = loss_in_numbers(centred + below, target)
    one["curvature"] = one["hessian"][0][0]  # of w alone
    two["curvature"] = np.linalg.eigvalsh(two["hessian"])[-1].item()  # in the steepest direction
    return {"unit": unit, "below": below, "one": one, "two": two}


def loss_in_numbers(feature, target):
    """The few numbers that determine the mean squared error of w · feature + b, a bowl: the lowest
    point, the loss there, and the second derivatives; and how far apart typical w and b are.
    """

    def loss_at(weights):
        return nn.mse_loss(weights[0] * feature + weights[1], target)

    weights = Value(np.zeros(2))
    loss = loss_at(weights)
    columns = [hvp(loss, [weights], [one])[0] for one in np.eye(2)]
    hessian = np.stack(columns, axis=1)
    (slopes,) = gradients(loss, [weights])
    # The slopes change by hessian · (w, b) from (0, 0) to (w, b). At the lowest point they are 0.
    lowest = np.linalg.solve(hessian, -slopes)
    w, b = lowest.tolist()
    return {
        "w": w,
        "b": b,
        "least": loss_at(lowest).item(),
        "hessian": hessian.tolist(),
        "scale": {"w": float(np.std(target) / np.std(feature)), "b": float(np.std(target))},
    }
