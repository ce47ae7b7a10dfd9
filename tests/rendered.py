"""Pictures, read back from the SVG that the layout program made of them."""

import shutil
import sysconfig
import xml.etree.ElementTree as ET

import pytest

SVG = "{http://www.w3.org/2000/svg}"


def find_program(name):
    """The path of a layout program, or None if it is not installed."""
    return shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))


needs_program = pytest.mark.skipif(
    not (find_program("dot") or find_program("graphviz-pure")),
    reason="neither dot nor graphviz-pure is installed",
)


def lines(group):
    # U+2060 is invisible.
    return [text.text.replace("\u2060", "").strip() for text in group.iter(f"{SVG}text")]


class Rendered:
    """What a picture shows: boxes and ellipses by key, edges by the keys of their ends, and the
    titles of its frames.
    """

    def __init__(self, picture):
        root = ET.fromstring(picture.pipe("svg"))
        self.boxes, self.looks, self.edges, self.frames, self.caption = {}, {}, {}, [], []
        for group in root.iter(f"{SVG}g"):
            kind = group.get("class", "").split()
            title = group.findtext(f"{SVG}title")
            if kind[:1] == ["node"]:
                self.boxes[title], self.looks[title] = lines(group), kind[1]
            elif kind[:1] == ["edge"]:
                self.edges.setdefault(tuple(title.split("->")), []).append(" ".join(lines(group)))
            elif kind[:1] == ["cluster"]:
                self.frames.append(" ".join(lines(group)))
            elif kind[:1] == ["graph"]:
                self.caption = [text.text for text in group.findall(f"{SVG}text")]

    def key(self, first_line):
        """The key of the only box or ellipse whose first line is this one."""
        (key,) = [key for key, shown in self.boxes.items() if shown[0] == first_line]
        return key

    def box(self, name):
        """The lines of the box, without its name."""
        return self.boxes[self.key(name)][1:]

    def labels(self, name):
        """The labels on the edges that leave the box."""
        return sorted(
            label
            for (tail, _), labels in self.edges.items()
            if tail == self.key(name)
            for label in labels
        )

    def of(self, look):
        """The boxes that have this look."""
        return [shown for key, shown in self.boxes.items() if self.looks[key] == look]
