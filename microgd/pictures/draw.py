"""`draw`: a computation graph as a picture that shows the chain rule at work."""

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
CROWD = (
    8  # operations outside the model: so many are drawn one by one even where its modules are boxes
)
FAR = 1000  # with more than that, see `Sketch.far`, it would take minutes to lay the graph out well


def draw(value: Value, *, names: Mapping[str, Any] | None = None, model: Any = None,
         depth: int | None = None, direction: str | None = None, constants: bool = True,
         gradients: bool = True, limit: int = 500) -> "Picture":  # fmt: skip
    """The graph that `value` was computed by, as a `graphviz.Digraph` that shows itself in Jupyter.

    Boxes are values: leaves blue, constants dashed, `value` itself yellow with a thick border. Ellipses are operations.
    After `backward()` each edge into an operation shows what flowed back along it: for numbers "× local derivative →
    its product with the gradient of the result"; for arrays the elements or, of more than 6, the size (the root of the
    sum of their squares). A box shows its gradient as the sum of those. All of it is this graph's own reverse pass, with
    the numbers of the time of recording; where a leaf's `data` or `grad` is something else by now, the box says both.

    Names are the Values' own, the model's (`named_parameters`), or those in `names`, as in `names=locals()`. With `model`,
    an `nn.Module`, its modules are frames around what they compute; with `depth`, each module at that depth is one box
    (0: the model). They are found by the parameters that operations use; what uses none, as an activation, goes with
    what it follows. `direction` is "LR", or "TB" for top to bottom, as it is with frames. `constants=False` leaves out
    what gets no gradient, `gradients=False` every gradient.

    `.render("graph", format="png")` writes SVG, PNG or PDF by Graphviz's `dot`, or SVG or PNG by `graphviz-pure`, and is a
    `RuntimeError` where there is neither. More than `limit` boxes and ellipses are a `ValueError`.
    """
    check_type("a Value to draw", Value, value)
    check_count("limit", limit, 1)
    depth = depth if depth is None else check_count("depth", depth, 0)
    if depth is not None and model is None:
        raise ValueError(
            f"expected a model, whose modules are boxes with depth={depth}, but got none"
        )
    graph, layers = Graph(value), Layers(model)
    sketch = Sketch(graph, layers, depth, constants)
    if len(sketch.members) > limit:
        hint = "make layers one box each (model=..., depth=1), hide constants (constants=False), or raise limit="
        raise ValueError(
            f"the graph has {len(sketch.members):,} boxes and ellipses, more than limit={limit}: {hint}"
        )
    if gradients and value.grad is not None:
        graph.go_back()
    usual = (
        "LR" if model is None or depth is not None else "TB"
    )  # with frames there is more room downwards
    return paint(
        sketch, Words(graph, names, layers, gradients), usual if direction is None else direction
    )


class Sketch:
    """What is drawn and what leads where, before a word is said: boxes (v values, c constants, l layers), ellipses (o)."""

    def __init__(self, graph: Graph, layers: Layers, depth: int | None, constants: bool):
        self.layers, self._output = layers, graph.output
        self.keys: dict[str, dict[Any, str]] = {
            kind: {} for kind in "vclo"
        }  # what each is called in the picture
        self.members: dict[str, dict[Any, Any]] = {}  # what a box or an ellipse stands for
        self.place: dict[str, str | None] = {}  # the module that it is in, or is
        self.edges: dict[
            tuple[str, str, int], list[tuple[Value, int]]
        ] = {}  # the uses that an edge stands for
        # Where modules are boxes, the one at the depth asked for that each module is in.
        self._box: dict[Any, str] = {
            path: chain[: depth + 1][-1]
            for path, chain in layers.chain.items()
            if depth is not None
        }
        places = layers.places(graph.steps)
        crowd = places.count(None) > CROWD  # too many outside the layers to draw them one by one
        source: dict[int, str] = {}  # where a computed value is found, by its id
        for step, place in zip(graph.steps, places, strict=True):
            whole = depth is not None and (place is not None or crowd)
            head = (
                self._add("l", self._box.get(place), step)
                if whole
                else self._add("o", step, step, place)
            )
            for position, x in enumerate(step.inputs):
                if constants or isinstance(x, Value):
                    tail = source.get(id(x)) or self._given(step, position, head if whole else None)
                    if tail != head:
                        self.edges.setdefault((tail, head, 0 if whole else position), []).append(
                            (step, position)
                        )
            source[id(step)] = head
            if not whole or step is graph.output:
                source[id(step)] = self._add("v", step, step, None if whole else place)
                self.edges[head, source[id(step)], 0] = []
        self._add("v", graph.output, graph.output)  # if nothing computed it, there is nothing else

    def _given(self, step: Value, position: int, layer: str | None) -> str:
        """The box of a leaf or a constant; all that go into a layer's box are one."""
        x = step.inputs[position]
        if isinstance(x, Value):
            owner = self.layers.owner.get(x)
            return (
                self._add("l", self._box[owner], x)
                if owner in self._box
                else self._add("v", layer or x, x, owner)
            )
        # A number that is used twice is two constants, beside what they are used in; of a layer's inputs it is one.
        identity = id(x) if layer or isinstance(x, np.ndarray) else (id(step), position)
        return self._add("c", layer or identity, (x, step.saved[position]), None, identity)

    def _add(
        self, kind: str, identity: Any, member: Any, place: str | None = None, which: Any = None
    ) -> str:
        """The key of the box or ellipse of that identity, which stands for this member too."""
        keys = self.keys[kind]
        key = keys.setdefault(identity, f"{kind}{len(keys)}")
        self.members.setdefault(key, {})[member if which is None else which] = member
        self.place.setdefault(key, identity if kind == "l" else place)
        return key

    def look(self, key: str) -> str:
        """What kind of thing this key stands for."""
        first = next(iter(self.members[key].values()))
        if key[0] == "v":
            return "output" if first is self._output else "computed" if first.op else "leaf"
        return {
            "o": "operation",
            "c": "constant",
            "l": "computed" if self.place[key] is None else "layer",
        }[key[0]]

    def far(self) -> int:
        """How many boxes and ellipses all edges pass by, in sum: each of them has to be laid out around those."""
        column, start = Counter[str](), dict[str, int]()
        for tail, head, _ in self.edges:
            column[head] = max(column[head], column[tail] + 1)
            start[tail] = min(
                start.get(tail, column[head]), column[head]
            )  # what is given stands right before its first use
        return sum(
            column[head] - (column[tail] + 1 if column[tail] else start[tail])
            for tail, head, _ in self.edges
        )


class Words:
    """What is written on them."""

    def __init__(
        self, graph: Graph, names: Mapping[str, Any] | None, layers: Layers, gradients: bool
    ):
        check_type("names to be a dictionary, such as locals()", Mapping | None, names)
        self.graph, self._layers, self._stored, self._names = (
            graph,
            layers,
            gradients,
            dict[int, str](),
        )
        for name, x in (names or {}).items():
            if isinstance(x, Value | np.ndarray) and not str(name).startswith(
                "_"
            ):  # in Jupyter those are old results
                self._names.setdefault(id(x), str(name))

    def known(self, x: Any) -> str:
        """The name of a Value or an array, or ""."""
        own = (x.name, self._layers.names.get(x)) if isinstance(x, Value) else ()
        names = (text.short(str(name)) for name in (*own, self._names.get(id(x))) if name)
        return next(filter(None, names), "")  # a name that is only spaces is none

    def caption(self, collapsed: bool) -> Rows:
        """Under the picture: what the colour means, and whether anything has changed."""
        if self.graph.contributions:
            yield "grad", "× local derivative → gradient that flows back; those of all uses add up"
            if collapsed or any(
                np.size(c.share) > text.FEW for c in self.graph.contributions.values()
            ):
                yield "grad", "size: the root of the sum of the squares of the elements"
        if self.graph.moved:
            names = text.short(", ".join(self.known(x) or "a leaf" for x in self.graph.moved))
            yield "note", f"changed since this was computed, and shown as of then: {names}"

    def value(self, x: Value) -> Rows:
        """In a box for a value."""
        yield "name", self.known(x)
        yield "data", "data " + ", then ".join(dict.fromkeys(map(text.data, self.graph.held[x])))
        if x in self.graph.moved:
            yield "note", f"now {text.data(x._numbers)}"
        total, shares = self.graph.gradient.get(x), self.graph.shares[x]
        if total is not None:
            few = 1 < len(shares) <= 4 and np.size(total) <= text.FEW
            parts = (
                " = " + " + ".join(map(text.gradient, shares))
                if few
                else f" (sum of {len(shares)})"
                if shares[1:]
                else ""
            )
            yield "grad", f"grad {text.gradient(total)}{parts}"
        if self._stored and not _agree(total, x.grad):
            yield "grad", f"stored grad {text.gradient(x.grad)}"

    def constants(self, given: Sequence[tuple[Any, Any]]) -> Rows:
        """In a box for a constant, with what it held, or for several that go into a layer."""
        (x, held), *others = given
        yield "name", "" if others else self.known(x)
        yield "data", _counted(held for _, held in given) if others else text.data(held)

    def several(self, title: str, members: Sequence[Value]) -> Rows:
        """In a box for a layer, with its operations and parameters, or for several leaves that go into one."""
        done, values = Counter(x.op for x in members if x.op), [x for x in members if not x.op]
        yield "name", title
        work = ", ".join(name if n == 1 else f"{name} ({n} times)" for name, n in done.items())
        yield "data" if title else "name", text.short(work, 80)
        if values:
            count = sum(x.size for x in values)
            yield (
                "data",
                f"{count:,} parameter{'s' * (count > 1)}"
                if title
                else _counted(x._numbers for x in values),
            )
        if any(x in self.graph.moved for x in values):
            yield "note", "changed since"
        totals = [self.graph.gradient[x] for x in values if x in self.graph.gradient]
        if totals:
            yield "grad", f"grad {_size(totals)}"
        if self._stored and not all(_agree(self.graph.gradient.get(x), x.grad) for x in values):
            stored = [x.grad for x in values if x.grad is not None]
            yield "grad", f"stored grad {_size(stored) if stored else None}"

    def edge(self, uses: Sequence[tuple[Value, int]], from_layer: bool) -> Rows:
        """On an edge: what flows back along it and, from a layer, what flows forward."""
        if from_layer and uses:
            sent = dict.fromkeys(step.inputs[position] for step, position in uses)
            yield "data", _counted(x._numbers for x in sent)
        flows = [self.graph.contributions[use] for use in uses if use in self.graph.contributions]
        totals = defaultdict[Value, Data](float)  # what one value gets, by all its uses
        for c in flows:
            totals[c.operand] = totals[c.operand] + c.share
        if len(totals) > 1:
            yield "grad", f"→ {_size(totals.values())}"
        elif totals:
            # For numbers the local derivative and the product, unless there are several.
            slope = (
                ""
                if len(flows) > 1 or flows[0].slope is None
                else f"× {text.number(flows[0].slope)} "
            )
            yield "grad", f"{slope}→ {text.gradient(totals[flows[0].operand])}"


def options(step: Any) -> list[str]:
    """The options of an operation, as one writes them, that are not what they are by default."""
    given = zip(step._operation.options.items(), step.saved[len(step.inputs) :], strict=True)
    # (What is called `kept` are a rule's own notes: see cross_entropy.)
    return [
        f"{name}={text.option(x)}"
        for (name, default), x in given
        if repr(x) != repr(default) and name != "kept"
    ]


def edge_key(tail: str, head: str, position: int) -> str:
    """What an edge is called in the picture."""
    return f"{tail}-{head}-{position}"


def _size(gradients: Iterable[Data]) -> str:
    return f"size {text.number(text.size([text.size(g) for g in gradients]))}"


def _counted(data: Iterable[Data]) -> str:
    """How many there are, and of which shape."""
    shapes = Counter(str(np.shape(x)) for x in data)
    numbers = shapes.pop("()", 0)
    kinds = [shape if n == 1 else f"{n} × {shape}" for shape, n in shapes.items()]
    return text.short(", ".join(kinds + [f"{numbers} number{'s' * (numbers > 1)}"] * (numbers > 0)))


def _agree(total: Any, stored: Any) -> bool:
    """Whether the gradient that is drawn is the one that is stored, but for rounding."""
    both = total is not None and stored is not None and np.shape(total) == np.shape(stored)
    return (
        np.allclose(total, stored, rtol=1e-5, atol=0, equal_nan=True) if both else total is stored
    )


def paint(sketch: Sketch, words: Words, direction: str) -> "Picture":
    """The sketch with the words: each module's boxes in its frame, and the edges."""
    from microgd.pictures.diagram import picture  # it loads graphviz, so not before it is used

    whole = picture(
        direction, words.caption(collapsed="l0" in sketch.members), hurry=sketch.far() > FAR
    )
    layers, inside = (
        sketch.layers,
        defaultdict[str | None, list[str]](list),
    )  # what stands in each frame
    for key, place in sketch.place.items():
        inside[None if key[0] == "l" else place].append(key)
    framed = {path for place in inside if place is not None for path in layers.chain[place]}

    def fill(frame: "Picture", around: str | None) -> None:
        for key in inside[around]:
            look, members = sketch.look(key), list(sketch.members[key].values())
            if look == "operation":
                name = text.short(members[0].op)
                said = " ".join([SYMBOLS.get(name, name), *options(members[0])])
                frame.place(key, look, [("data", said)], hint=name)
            elif look == "constant":
                frame.place(key, look, words.constants(members))
            elif key[0] == "v" and len(members) == 1:
                frame.place(key, look, words.value(members[0]))
            else:
                title = layers.title(sketch.place[key] or "", members) if look == "layer" else ""
                frame.place(key, look, words.several(title, members))
        for n, path in enumerate(layers.modules):
            if path in framed and [None, *layers.chain[path]][-2] == around:
                if path == "" and len(framed) > 1:
                    fill(frame, path)  # a frame around all frames says nothing
                else:
                    steps = [step for key in inside[path] for step in sketch.members[key].values()]
                    with frame.frame(n, layers.title(path, steps)) as inner:
                        fill(inner, path)

    fill(whole, None)
    for (tail, head, position), uses in sketch.edges.items():
        whole.arrow(
            tail, head, words.edge(uses, from_layer=tail[0] == "l"), edge_key(tail, head, position)
        )
    return whole
