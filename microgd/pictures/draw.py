"""`draw`: a computation graph as a picture that shows the chain rule at work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from microgd.checks import check_count, check_list, check_type
from microgd.graph import Graph
from microgd.pictures import text
from microgd.pictures.layers import Layers
from microgd.pictures.names import Names
from microgd.pictures.sketch import Box, NumberedNames, Sketch
from microgd.pictures.words import Words
from microgd.value import Value

if TYPE_CHECKING:
    from microgd.pictures.diagram import Picture

# If the edges pass more columns than this, a good layout would take minutes.
FAR = 1000


def draw(
    value: Value,
    *,
    names: Mapping[str, Any] | None = None,
    model: Any = None,
    depth: int | None = None,
    title: str = "",
    highlight: Iterable[Value] = (),
    direction: str | None = None,
    compact: bool | None = None,
    elements: int | None = None,
    constants: bool = True,
    gradients: bool = True,
    limit: int = 500,
) -> Picture:
    """The graph that computed `value`, as a `graphviz.Digraph` that shows itself in Jupyter.

    A box is a value, with the operation that made it: "e = a × b". Leaves are blue, constant arrays
    have a dashed border, and `value` itself is yellow. "…" is an operand without a name. Arrays are
    grids of numbers, shaded blue where they are positive and orange where they are negative.

    After `backward()`, boxes show their gradients, and sockets, where edges come in, show what
    flows back to each operand. For numbers that is "× local derivative → share", the product with
    the gradient of the box. For arrays it is the rule, such as "g @ Wᵀ", where g is the gradient of
    the box. A gradient that comes from several uses is the sum of their shares. `draw` computes
    all of this in a reverse pass over this graph alone, with the numbers that were recorded. If a
    leaf's `data` or `grad` has changed since, its box shows both.

    Names are the Values' own, those of the model (`named_parameters`), or those in `names`, as in
    `names=locals()`, also of what is in lists, tuples, dictionaries and objects. With `model`, an
    `nn.Module`, the picture has a frame for each module, around what the module computes. With
    `depth` too, each module at that depth is one box (0: the model), with its parameters as rows.
    Modules are found by the parameters that operations use. An operation without parameters, such
    as an activation, goes with the one before it.

    `title` stands above the picture. `highlight=[x, loss]` marks the paths between these Values.
    `direction` is "LR" (left to right) or "TB" (top to bottom); by default, what suits the graph.
    With `compact=True`, a sum of products with its activation is one box, and each leaf that only
    such boxes use a row in it; by default, graphs of more than 40 boxes are drawn so. Arrays of at
    most `elements` elements, and 10 columns, are shown whole (by default 24, in a small picture
    64), and larger ones by their corners and their range. A square array with a side of 20 to 40,
    flat or not, is shown as an image. `constants=False` leaves out constant arrays, and
    `gradients=False` all gradients.

    `.render("graph.png")` writes SVG, PNG or PDF with Graphviz's `dot`, or SVG or PNG with
    `graphviz-pure`. It is a `RuntimeError` if neither is installed. More than `limit` boxes are a
    `ValueError`.
    """
    check_type("a Value to draw", Value, value)
    check_type("a title that is a text", str, title)
    check_type("compact to be True, False or None", bool | None, compact)
    check_count("limit", limit, 1)
    if elements is not None:
        check_count("number of elements", elements, 0)
    if depth is not None:
        depth = check_count("depth", depth, 0)
        if model is None:
            raise ValueError(
                f"expected a model, whose modules are boxes with depth={depth}, but got none"
            )
    marked = check_list("values to highlight", highlight)
    graph = Graph(value)
    layers = Layers(model)
    known = Names(names, layers)
    sketch = Sketch(graph, layers, known, depth, constants, compact)
    count = len(sketch.boxes)
    if count > limit:
        raise ValueError(
            f"the graph has {count:,} boxes, more than limit={limit}: make layers one box each "
            "(model=..., depth=1), hide constants (constants=False), or raise limit="
        )
    if gradients and value.grad is not None:
        graph.go_back()
    if sketch.is_compact:
        known = NumberedNames(names, layers, sketch)
    words = Words(sketch, known, gradients, elements)
    paths = sketch.paths_between(marked)
    return paint(
        sketch,
        words,
        sketch.direction() if direction is None else direction,
        title,
        [" ".join(words.caption())],
        paths,
    )


def paint(
    sketch: Sketch,
    words: Words,
    direction: str,
    title: str = "",
    caption: Iterable[str] = (),
    paths: Iterable[str] = (),
    links: Mapping[str, str] | None = None,
) -> Picture:
    """The picture of a sketch: boxes with their words, in the frames of modules, and edges.

    Boxes whose keys are in `paths`, and the edges between them, are marked. `links` are those of
    the parts of boxes.
    """
    from microgd.pictures.diagram import picture  # it loads graphviz, so only when it is needed

    hurry = sketch.columns_passed() > FAR
    whole = picture(direction, text.short(title, 80), list(caption), hurry)
    marked = set(paths)
    painter = _Painter(sketch, words, direction, marked, links or {})
    painter.fill(whole)
    side = "n" if direction == "TB" else "w"
    for tail, head, socket in sketch.edges():
        looks = {}
        if sketch.boxes[tail].look == "constant":
            looks["style"] = "dashed"
        if tail in marked and head in marked:
            looks |= painter.path
        end = f"p{socket}:{side}" if head in painter.with_sockets else ""
        whole.arrow(tail, head, socket, end, **looks)
    whole.description = words.description()
    return whole


class _Painter:
    """Puts boxes into the frames of their modules."""

    def __init__(
        self,
        sketch: Sketch,
        words: Words,
        direction: str,
        marked: set[str],
        links: Mapping[str, str],
    ) -> None:
        from microgd.pictures import markup

        self.path = {"color": markup.COLOURS["path"], "penwidth": "2.5"}
        self._markup = markup
        self._sketch = sketch
        self._words = words
        self._direction = direction
        self._marked = marked
        self.with_sockets: set[str] = set()
        self._links = links
        self._layers = sketch.layers
        # The boxes in each frame; None: in none.
        self._contents = defaultdict[str | None, list[Box]](list)
        for box in sketch.boxes.values():
            self._contents[sketch.frame_of(box)].append(box)
        self._framed = set()
        for module in self._contents:
            if module is not None:
                self._framed.update(self._layers.nesting[module])

    def fill(self, frame: Picture, module: str | None = None) -> None:
        """Put what is in this module into the frame, and then the frames of the modules in it."""
        for box in self._contents[module]:
            content = self._words.content(box)
            if content.sockets:
                self.with_sockets.add(box.key)
            parts = self._markup.Parts(box.key, self._links)
            is_marked = box.key in self._marked
            label = self._markup.label(content, box.look, self._direction, parts, is_marked)
            frame.place(box.key, box.look, label)
        for number, path in enumerate(self._layers.modules):
            if path not in self._framed:
                continue
            around = [None, *self._layers.nesting[path]][-2]
            if around != module:
                continue
            if path == "" and len(self._framed) > 1:
                self.fill(frame, path)  # a frame around all frames says nothing
                continue
            boxes = [] if self._sketch.is_layered else self._contents[path]
            members = [step for box in boxes for step in box.steps]
            with frame.frame(number, self._layers.title(path, members, within=around)) as inner:
                self.fill(inner, path)
