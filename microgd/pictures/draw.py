"""`draw`: a computation graph as a picture that shows the chain rule at work."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from microgd.arrays import Data
from microgd.checks import check_count, check_type
from microgd.graph import Graph
from microgd.pictures import text
from microgd.pictures.layers import Layers
from microgd.pictures.text import Rows
from microgd.value import Value

if TYPE_CHECKING:
    from microgd.pictures.diagram import Picture

SYMBOLS = {
    "add": "+",
    "subtract": "−",
    "multiply": "×",
    "divide": "÷",
    "power": "**",
    "matmul": "@",
}
# Where modules are boxes, up to this many operations outside the model are drawn one by one.
CROWD = 8
# If the edges pass more columns than this, a good layout would take minutes.
FAR = 1000


def draw(
    value: Value,
    *,
    names: Mapping[str, Any] | None = None,
    model: Any = None,
    depth: int | None = None,
    direction: str | None = None,
    constants: bool = True,
    gradients: bool = True,
    limit: int = 500,
) -> Picture:
    """The graph that computed `value`, as a `graphviz.Digraph` that shows itself in Jupyter.

    Boxes are values: leaves are blue, constants have a dashed border, and `value` itself is yellow
    with a thick border. Ellipses are operations.

    After `backward()`, each edge into an operation shows what flowed back along it. For numbers
    this is "× local derivative → its product with the gradient of the result". For arrays it is the
    elements or, if there are more than 6, the size: the root of the sum of their squares. A box
    shows its gradient as the sum of what flowed back along its edges. All of this comes from a
    reverse pass over this graph alone, with the numbers of the time of recording. If a leaf's
    `data` or `grad` is something else by now, its box says both.

    Names are the Values' own, those of the model (`named_parameters`), or those in `names`, as in
    `names=locals()`. With `model`, an `nn.Module`, the picture has a frame for each module, around
    what the module computes. With `depth` too, each module at that depth is one box (0: the model).
    Modules are found by the parameters that operations use. An operation without parameters, such
    as an activation, goes with the one before it.

    `direction` is "LR" (left to right) or "TB" (top to bottom). By default it is "TB" for a picture
    with frames, and "LR" otherwise. `constants=False` leaves out what gets no gradient, and
    `gradients=False` leaves out all gradients.

    `.render("graph", format="png")` writes SVG, PNG or PDF with Graphviz's `dot`, or SVG or PNG
    with `graphviz-pure`. It is a `RuntimeError` if neither is installed. More than `limit` boxes
    and ellipses are a `ValueError`.
    """
    check_type("a Value to draw", Value, value)
    check_count("limit", limit, 1)
    if depth is not None:
        depth = check_count("depth", depth, 0)
        if model is None:
            raise ValueError(
                f"expected a model, whose modules are boxes with depth={depth}, but got none"
            )
    graph = Graph(value)
    layers = Layers(model)
    sketch = Sketch(graph, layers, depth, constants)
    count = len(sketch.members)
    if count > limit:
        raise ValueError(
            f"the graph has {count:,} boxes and ellipses, more than limit={limit}: make layers one "
            "box each (model=..., depth=1), hide constants (constants=False), or raise limit="
        )
    if gradients and value.grad is not None:
        graph.go_back()
    if direction is None:
        has_frames = model is not None and depth is None
        direction = "TB" if has_frames else "LR"  # frames have more room from top to bottom
    return paint(sketch, Words(graph, names, layers, gradients), direction)


class Sketch:
    """What is drawn, and which edge leads where, without any text yet.

    Each box and ellipse has a key, which is a letter and a number. Boxes are values (v0, v1, …),
    constants (c0, …) and layers (l0, …); ellipses are operations (o0, …).
    """

    def __init__(self, graph: Graph, layers: Layers, depth: int | None, constants: bool) -> None:
        self.layers = layers
        # The keys by their letter, and then by what the box or the ellipse was made for.
        self.keys: dict[str, dict[Any, str]] = {letter: {} for letter in "vclo"}
        # What each box or ellipse stands for, by its key. The inner dict has each member once.
        self.members: dict[str, dict[Any, Any]] = {}
        # The path of the module that each box or ellipse is in or, for a layer, that it is.
        self.module: dict[str, str | None] = {}
        # The uses that an edge stands for: each is a step and the position of an operand.
        self.edges: dict[tuple[str, str, int], list[tuple[Value, int]]] = {}

        self._output = graph.output
        self._constants = constants
        self._source: dict[int, str] = {}  # the key of the box of a computed value, by its id
        # Where modules are boxes, the path of the box for each module: that of the module at the
        # depth asked for which contains it.
        self._box: dict[Any, str] = {}
        if depth is not None:
            for path, nesting in layers.nesting.items():
                self._box[path] = nesting[: depth + 1][-1]

        modules = layers.locate(graph.steps)
        is_crowded = modules.count(None) > CROWD
        for step, module in zip(graph.steps, modules, strict=True):
            in_box = depth is not None and (module is not None or is_crowded)
            self._add_step(step, module, in_box)
        self._add("v", graph.output, graph.output)  # if it is a leaf, no step has added it

    def _add_step(self, step: Value, module: str | None, in_box: bool) -> None:
        """Add an operation and its result, or count both among the members of a layer's box."""
        if in_box:
            head = self._add("l", self._box.get(module), step)
        else:
            head = self._add("o", step, step, module)
        for position, x in enumerate(step.inputs):
            if isinstance(x, Value) or self._constants:
                layer = head if in_box else None
                tail = self._source.get(id(x)) or self._add_given(step, position, layer)
                if tail != head:
                    edge = (tail, head, 0 if in_box else position)
                    self.edges.setdefault(edge, []).append((step, position))
        if in_box and step is not self._output:
            self._source[id(step)] = head
        else:
            result = self._add("v", step, step, None if in_box else module)
            self.edges[head, result, 0] = []
            self._source[id(step)] = result

    def _add_given(self, step: Value, position: int, layer: str | None) -> str:
        """The key of the box of a leaf or a constant. All that go into one layer share one box."""
        x = step.inputs[position]
        if isinstance(x, Value):
            owner = self.layers.owner.get(x)
            if owner in self._box:
                return self._add("l", self._box[owner], x)
            return self._add("v", layer or x, x, owner)
        # An array is one constant, however often it is used. A number that is used twice is two
        # constants, each beside its operation, unless both uses are in one layer.
        is_shared = layer is not None or isinstance(x, np.ndarray)
        identity = id(x) if is_shared else (id(step), position)
        constant = (x, step.saved[position])
        return self._add("c", layer or identity, constant, member_id=identity)

    def _add(
        self,
        letter: str,
        identity: Any,
        member: Any,
        module: str | None = None,
        member_id: Any = None,
    ) -> str:
        """The key of the box or ellipse of that identity, which now stands for this member too."""
        keys = self.keys[letter]
        key = keys.setdefault(identity, f"{letter}{len(keys)}")
        members = self.members.setdefault(key, {})
        members[member if member_id is None else member_id] = member
        self.module.setdefault(key, identity if letter == "l" else module)
        return key

    def look(self, key: str) -> str:
        """Which kind of box or ellipse this is: the name of its look in looks.toml."""
        letter = key[0]
        if letter == "o":
            return "operation"
        if letter == "c":
            return "constant"
        if letter == "l":
            return "computed" if self.module[key] is None else "layer"
        first = next(iter(self.members[key].values()))
        if first is self._output:
            return "output"
        return "computed" if first.op else "leaf"

    def columns_passed(self) -> int:
        """How many columns all edges pass, added up.

        The layout program has to lead each edge around the boxes in the columns that it passes.
        """
        column = Counter[str]()  # of each box or ellipse; 0 for leaves and constants
        first_use: dict[str, int] = {}  # the column where each box or ellipse is used first
        for tail, head, _ in self.edges:
            column[head] = max(column[head], column[tail] + 1)
            first_use[tail] = min(first_use.get(tail, column[head]), column[head])
        passed = 0
        for tail, head, _ in self.edges:
            # Leaves and constants stand in the column right before their first use.
            next_column = column[tail] + 1 if column[tail] else first_use[tail]
            passed += column[head] - next_column
        return passed


class Words:
    """What is written on the boxes, on the edges and under the picture."""

    def __init__(
        self, graph: Graph, names: Mapping[str, Any] | None, layers: Layers, gradients: bool
    ) -> None:
        check_type("names to be a dictionary, such as locals()", Mapping | None, names)
        self.graph = graph
        self._layers = layers
        self._gradients = gradients
        self._variables: dict[int, str] = {}  # the caller's names, by the id of what they name
        for variable, x in (names or {}).items():
            is_old_result = str(variable).startswith("_")  # Jupyter has such names for results
            if isinstance(x, Value | np.ndarray) and not is_old_result:
                self._variables.setdefault(id(x), str(variable))

    def name(self, x: Any) -> str:
        """The name of a Value or an array; "" if it has none."""
        names = [self._variables.get(id(x))]
        if isinstance(x, Value):
            names = [x.name, self._layers.names.get(x), *names]
        for name in names:
            shown = text.short(str(name)) if name else ""
            if shown:  # a name of nothing but spaces gives way to the next one
                return shown
        return ""

    def caption(self, collapsed: bool) -> Rows:
        """Under the picture: what the colour means, and which leaves have changed."""
        contributions = self.graph.contributions.values()
        if contributions:
            yield "grad", "× local derivative → gradient that flows back; those of all uses add up"
            if collapsed or any(np.size(c.share) > text.FEW for c in contributions):
                yield "grad", "size: the root of the sum of the squares of the elements"
        if self.graph.moved:
            names = ", ".join(self.name(x) or "a leaf" for x in self.graph.moved)
            changed = "changed since this was computed, and shown as of then"
            yield "note", f"{changed}: {text.short(names)}"

    def value(self, x: Value) -> Rows:
        """In the box of a value."""
        yield "name", self.name(x)
        held = dict.fromkeys(map(text.data, self.graph.held[x]))
        yield "data", f"data {', then '.join(held)}"
        if x in self.graph.moved:
            yield "note", f"now {text.data(x._numbers)}"
        total = self.graph.gradient.get(x)
        if total is not None:
            terms = _as_sum(total, self.graph.shares[x])
            yield "grad", f"grad {text.gradient(total)}{terms}"
        if self._gradients and not _agree(total, x.grad):
            yield "grad", f"stored grad {text.gradient(x.grad)}"

    def constants(self, constants: Sequence[tuple[Any, Any]]) -> Rows:
        """In the box of a constant, with what it held, or of several that go into a layer."""
        (x, held), *others = constants
        if others:
            yield "data", _counted(held for _, held in constants)
        else:
            yield "name", self.name(x)
            yield "data", text.data(held)

    def several(self, title: str, members: Sequence[Value]) -> Rows:
        """In the box of a layer, or of several leaves that go into one, which has no title."""
        operations = Counter(x.op for x in members if x.op)
        leaves = [x for x in members if not x.op]
        yield "name", title
        counted = [name if n == 1 else f"{name} ({n} times)" for name, n in operations.items()]
        yield "data" if title else "name", text.short(", ".join(counted), 80)
        if leaves and title:
            count = sum(x.size for x in leaves)
            yield "data", f"{count:,} parameter{'s' * (count > 1)}"
        elif leaves:
            yield "data", _counted(x._numbers for x in leaves)
        if any(x in self.graph.moved for x in leaves):
            yield "note", "changed since"
        totals = [self.graph.gradient[x] for x in leaves if x in self.graph.gradient]
        if totals:
            yield "grad", f"grad {_size(totals)}"
        if self._gradients and not all(_agree(self.graph.gradient.get(x), x.grad) for x in leaves):
            stored = [x.grad for x in leaves if x.grad is not None]
            yield "grad", f"stored grad {_size(stored) if stored else None}"

    def edge(self, uses: Sequence[tuple[Value, int]], from_layer: bool) -> Rows:
        """On an edge: what flows back along it and, on one from a layer, what flows forward."""
        if from_layer and uses:
            sent = dict.fromkeys(step.inputs[position] for step, position in uses)
            yield "data", _counted(x._numbers for x in sent)
        contributions = self.graph.contributions
        flows = [contributions[use] for use in uses if use in contributions]
        if not flows:
            return
        totals = defaultdict[Value, Data](float)  # what each value gets by all its uses
        for c in flows:
            totals[c.operand] = totals[c.operand] + c.share
        if len(totals) > 1:
            yield "grad", f"→ {_size(totals.values())}"
            return
        [total] = totals.values()
        slope = flows[0].slope
        # Arrays have no slope. Several uses have several slopes: then only the sum is shown.
        factor = "" if slope is None or len(flows) > 1 else f"× {text.number(slope)} "
        yield "grad", f"{factor}→ {text.gradient(total)}"


def options(step: Any) -> list[str]:
    """The options of an operation that are not the defaults, as they are written in code."""
    defaults = step._operation.defaults
    written = []
    for name, x in step._operation.options.items():
        # (`cache` is where `nn.cross_entropy` puts what its rule needs: no option of the caller's.)
        if repr(x) != repr(defaults.get(name)) and name != "cache":
            written.append(f"{name}={text.option(x)}")
    return written


def edge_key(tail: str, head: str, position: int) -> str:
    """The key of an edge in the picture."""
    return f"{tail}-{head}-{position}"


def _size(gradients: Iterable[Data]) -> str:
    """The size of several gradients taken together."""
    sizes = [text.size(g) for g in gradients]
    return f"size {text.number(text.size(sizes))}"


def _as_sum(total: Data, shares: Sequence[Data]) -> str:
    """What stands behind a gradient that is the sum of several shares."""
    if len(shares) <= 1:
        return ""
    if len(shares) <= 4 and np.size(total) <= text.FEW:
        return " = " + " + ".join(map(text.gradient, shares))
    return f" (sum of {len(shares)})"


def _counted(data: Iterable[Data]) -> str:
    """How many arrays there are of each shape, and how many numbers."""
    shapes = Counter(str(np.shape(x)) for x in data)
    numbers = shapes.pop("()", 0)
    counted = [shape if n == 1 else f"{n} × {shape}" for shape, n in shapes.items()]
    if numbers:
        counted.append(f"{numbers} number{'s' * (numbers > 1)}")
    return text.short(", ".join(counted))


def _agree(total: Any, stored: Any) -> bool:
    """Whether the gradient in the picture is the stored one, up to rounding."""
    if total is None or stored is None or np.shape(total) != np.shape(stored):
        return total is stored
    return np.allclose(total, stored, rtol=1e-5, atol=0, equal_nan=True)


def paint(sketch: Sketch, words: Words, direction: str) -> Picture:
    """The picture of a sketch: boxes with their words, in the frames of modules, and edges."""
    from microgd.pictures.diagram import picture  # it loads graphviz, so only when it is needed

    caption = words.caption(collapsed="l0" in sketch.members)
    whole = picture(direction, caption, hurry=sketch.columns_passed() > FAR)
    layers = sketch.layers
    contents = defaultdict[str | None, list[str]](list)  # the keys in each frame; None: in none
    for key, module in sketch.module.items():
        contents[None if key[0] == "l" else module].append(key)
    framed = {path for module in contents if module is not None for path in layers.nesting[module]}

    def fill(frame: Picture, module: str | None) -> None:
        """Put what is in this module into the frame, and then the frames of the modules in it."""
        for key in contents[module]:
            _paint_node(frame, key, sketch, words)
        for number, path in enumerate(layers.modules):
            if path not in framed:
                continue
            around = [None, *layers.nesting[path]][-2]
            if around != module:
                continue
            if path == "" and len(framed) > 1:
                fill(frame, path)  # a frame around all frames says nothing
                continue
            members = [step for key in contents[path] for step in sketch.members[key].values()]
            with frame.frame(number, layers.title(path, members)) as inner:
                fill(inner, path)

    fill(whole, None)
    for (tail, head, position), uses in sketch.edges.items():
        rows = words.edge(uses, from_layer=tail[0] == "l")
        whole.arrow(tail, head, rows, edge_key(tail, head, position))
    return whole


def _paint_node(frame: Picture, key: str, sketch: Sketch, words: Words) -> None:
    """Put a box or an ellipse into the frame."""
    look = sketch.look(key)
    members = list(sketch.members[key].values())
    if look == "operation":
        name = text.short(members[0].op)
        written = " ".join([SYMBOLS.get(name, name), *options(members[0])])
        frame.place(key, look, [("data", written)], hint=name)
    elif look == "constant":
        frame.place(key, look, words.constants(members))
    elif key[0] == "v" and len(members) == 1:
        frame.place(key, look, words.value(members[0]))
    else:
        title = sketch.layers.title(sketch.module[key] or "", members) if look == "layer" else ""
        frame.place(key, look, words.several(title, members))
