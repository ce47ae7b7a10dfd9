"""Pictures, read back from the SVG that the layout program made of them."""

import shutil
import sysconfig
import xml.etree.ElementTree as ET
from itertools import groupby

import pytest

from microgd.pictures import diagram
from microgd.pictures.markup import LOOKS

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
SPACE = "\N{NO-BREAK SPACE}"
PROGRAMS = ("dot", "graphviz-pure")


def find_program(name):
    """The path of a layout program, or None if it is not installed."""
    return shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))


needs_program = pytest.mark.skipif(
    not any(map(find_program, PROGRAMS)),
    reason="neither dot nor graphviz-pure is installed",
)


def lines(group):
    # U+2060 is invisible.
    return [text.text.replace("\u2060", "").strip() for text in group.iter(f"{SVG}text")]


def value(shown):
    """The number that a text shows."""
    return float(shown.replace("−", "-"))


# What a text is, by its size and its colour. A note and the head of a grid look the same.
KINDS = {}
for kind, looks in LOOKS["text"].items():
    colour = LOOKS["colours"][looks["colour"]][0]
    KINDS.setdefault((float(looks["size"]), colour), kind)


class Box:
    """What stands in a box: its look, its title, the texts of its sockets, its further lines, and
    the numbers in its grids (the first grid: its data, the second: its gradient).
    """

    def __init__(self, group):
        self.look = group.get("class").split()[1]
        self.colours = {x.get(name) for x in group.iter() for name in ("fill", "stroke")}
        self.title, self.sockets, self.lines, self.texts = "", [], [], []
        drawn = list(group.iter(f"{SVG}text"))
        is_bold = [text.get("font-weight") == "bold" for text in drawn]
        title = is_bold.index(True) if any(is_bold) else 0  # sockets stand before it
        for i, text in enumerate(drawn):
            shown = text.text.replace("\u2060", "").strip()
            kind = KINDS[float(text.get("font-size")), text.get("fill")]
            if is_bold[i]:
                self.title = shown
            elif i < title:
                self.sockets.append(shown.strip(SPACE))
            else:
                self.texts.append((kind, shown))
                if kind != "cell" and shown.strip(SPACE):
                    self.lines.append(shown)
        groups = groupby(self.texts, key=lambda text: text[0])
        self.grids = [[shown for _, shown in cells] for kind, cells in groups if kind == "cell"]

    def __repr__(self):
        return f"{self.look} {self.title!r} {self.sockets} {self.lines} {self.grids}"


class Rendered:
    """What a picture shows: boxes by key; edges, each the keys of its ends and the number of the
    socket that it leads to; the titles of frames; the lines above the picture; and its size.
    """

    def __init__(self, picture):
        self.svg = picture if isinstance(picture, str) else picture.pipe("svg", encoding="utf-8")
        self.root = ET.fromstring(self.svg)
        self.width, self.height = float(self.root.get("width")), float(self.root.get("height"))
        self.boxes, self.edges, self.frames, self.caption = {}, [], [], []
        self.marked = []  # the edges that are drawn thick
        for group in self.root.iter(f"{SVG}g"):
            kind = group.get("class", "").split()
            if kind[:1] == ["node"]:
                self.boxes[group.get("id")] = Box(group)
            elif kind[:1] == ["edge"]:
                assert lines(group) == []  # edges carry no text
                tail, head, socket = group.get("id").split("-")
                self.edges.append((tail, head, int(socket)))
                if group.find(f"{SVG}path").get("stroke-width"):
                    self.marked.append((tail, head))
            elif kind[:1] == ["cluster"]:
                self.frames.append(" ".join(lines(group)))
            elif kind[:1] == ["graph"]:
                self.caption = [text.text for text in group.findall(f"{SVG}text")]

    def key(self, title):
        """The key of the only box with this title, or whose title begins with this name."""
        (key,) = [
            key
            for key, box in self.boxes.items()
            if box.title == title or box.title.startswith(f"{title} = ")
        ]
        return key

    def box(self, title):
        return self.boxes[self.key(title)]

    def sockets_of(self, title):
        """The texts of the sockets that edges from this box lead to."""
        key = self.key(title)
        return sorted(
            self.boxes[head].sockets[socket] for tail, head, socket in self.edges if tail == key
        )

    def sources_of(self, title):
        """The boxes from which edges come in, in the order of the sockets."""
        key = self.key(title)
        coming = sorted((socket, tail) for tail, head, socket in self.edges if head == key)
        return [self.boxes[tail] for _, tail in coming]

    def of(self, look):
        """The boxes that have this look."""
        return [box for box in self.boxes.values() if box.look == look]

    def titles(self, *looks):
        """The titles of all boxes, or of those that have these looks."""
        return [box.title for box in self.boxes.values() if not looks or box.look in looks]

    @property
    def smallest_text(self):
        """The height of the smallest text, in the pixels that the picture has without scaling."""
        points = float(self.root.get("viewBox").split()[2])
        sizes = [float(text.get("font-size")) for text in self.root.iter(f"{SVG}text")]
        return min(sizes) * self.width / points


def size_of_png(data):
    """The width and the height that a PNG file says."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def leave_only(monkeypatch, tmp_path):
    """A function that hides all layout programs except one, or all of them if given None."""

    def leave(name):
        path = find_program(name) if name else None
        if name and not path:
            pytest.skip(f"{name} is not installed")
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        if name == "dot":
            monkeypatch.setenv("PATH", path.rpartition("/")[0])
        else:
            monkeypatch.setenv("PATH", str(folder))
        if name != "graphviz-pure":
            monkeypatch.setattr(diagram.sysconfig, "get_path", lambda kind: str(folder))

    return leave
