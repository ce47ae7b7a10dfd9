"""The page that learning_rate.py writes: drag the learning rate and the start, and make steps."""

from pathlib import Path

import numpy as np

from microgd import Value, hvp, nn
from microgd.page import as_json, assemble


def write(path, features, units, target, x="flipper length", y="body mass"):
    """Write the page into a file.

    `features` has the inputs of a line by the name of its bowl, each with the mean 0, and `units`
    their units; `target` is what the line should give, in kg.
    """
    bowls = {}
    for name, feature in features.items():
        w, b = np.polyfit(feature, target, 1)
        weights = Value([w, b])
        loss = nn.mse_loss(weights[0] * feature + weights[1], target)
        columns = [hvp(loss, [weights], [one])[0] for one in np.eye(2)]
        bowls[name] = {
            "unit": units[name],
            "w": w,
            "b": b,
            "least": loss.item(),
            "hessian": np.stack(columns, axis=1).tolist(),
        }
    first, second = features
    page = assemble(
        Path(__file__).parent / "pages" / "descent",
        count=f"{len(target):,}",
        x=x,
        y=y,
        first=first,
        second=second,
        unit=units[second],
        data=as_json(bowls),
    )
    Path(path).write_text(page, encoding="utf-8")
