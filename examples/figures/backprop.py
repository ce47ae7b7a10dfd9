"""The picture and the film of backprop.py: the neuron as a graph, with the local derivatives in
its boxes.
"""

import program

from microgd import draw, film


def save(loss, names, written, folder):
    """Save the graph of the loss as a picture, and as a film beside the program that was written.

    `names` has the values that have a name. If no program to lay out graphs is installed, say so.
    """
    picture = draw(loss, names=names, title="A neuron, and the slope of each weight")
    try:
        path = folder / "backprop.svg"
        path.write_bytes(picture.pipe("svg"))
        print(f"picture: {path}\n")
        program.show(picture)
        path = folder / "backprop.html"
        played = film(loss, path, names=names, program=written)
        print(f"film: {path}\n")
        program.show(played)
    except RuntimeError as error:
        print(error)
