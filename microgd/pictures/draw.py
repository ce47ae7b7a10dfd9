"""`draw`: a computation graph as a picture that shows the chain rule at work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from microgd.arrays import Data
from microgd.graph import Contribution, Step, contributions, steps
from microgd.pictures import text
from microgd.pictures.diagram import Picture, frame_looks, picture
from microgd.pictures.layers import Layers
from microgd.value import Value

SYMBOLS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "power": "**", "matmul": "@"}
FEW = 8  # operations outside the model: so many are drawn one by one even where its modules are boxes
Rows = list[tuple[str, str]]


def draw(
    value: Value,
    *,
    names: Mapping[str, Any] | None = None,
    model: Any = None,
    depth: int | None = None,
    direction: str = "LR",
    constants: bool = True,
    gradients: bool = True,
    limit: int = 500,
) -> Picture:
    """The graph that `value` was computed by, as a `graphviz.Digraph` that shows itself in Jupyter.

    Boxes are values: leaves blue, constants dashed, `value` itself yellow with a thick border. Ellipses are operations.
    After `backward()` each edge into an operation shows what flowed back along it: for numbers "× local derivative →
    its product with the gradient of the result"; for arrays the elements or, of more than 6, the size (the root of the
    sum of their squares). A box shows its gradient as the sum of those. All of it is this graph's own reverse pass, with
    the numbers of the time of recording; where a leaf's `data` or `grad` is something else by now, the box says both.

    Names are the Values' own, the model's (`named_parameters`), or those in `names`, as in `names=locals()`. With `model`,
    an `nn.Module`, its modules are frames around what they compute; with `depth`, each module at that depth is one box
    (0: the model). `direction` is "LR" or "TB"; `constants=False` leaves out what gets no gradient, `gradients=False`
    every gradient.

    `.render("graph", format="png")` writes SVG, PNG or PDF by Graphviz's `dot`, or SVG or PNG by `graphviz-pure`, and is a
    `RuntimeError` where there is neither. More than `limit` boxes and ellipses are a `ValueError`.
    """
    if not isinstance(value, Value):
        raise TypeError(f"draw takes a Value, but got {type(value).__name__}")
    if depth is not None and (model is None or isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise ValueError(f"expected a depth of 0 or more, and a model, but got depth={depth!r} and model={model!r}")
    recorded = steps(value)
    layers = None if model is None else Layers(model)
    sketch = Sketch(value, recorded, layers, depth, constants)
    if len(sketch.members) > limit:
        raise ValueError(
            f"the graph has {len(sketch.members):,} boxes and ellipses, more than limit={limit}: make layers one box each "
            "(model=..., depth=1), hide constants (constants=False), or raise limit="
        )
    return _paint(sketch, _Words(value, recorded, naming(names, layers), gradients), direction)


def naming(names: Mapping[str, Any] | None, layers: Layers | None) -> Callable[[Any], str]:
    """The function that gives the name of a Value or an array, or ""."""
    if names is not None and not isinstance(names, Mapping):
        raise TypeError(f"expected names to be a dictionary, such as locals(), but got {type(names).__name__}")
    given = dict[int, str]()
    for name, x in (names or {}).items():
        if isinstance(x, Value | np.ndarray) and not str(name).startswith("_"):  # in Jupyter those are old results
            given.setdefault(id(x), str(name))

    def name_of(x: Any) -> str:
        own = x.name or (layers and layers.names.get(x)) if isinstance(x, Value) else ""
        return text.short(str(own or given.get(id(x), "")))

    return name_of


class Sketch:
    """What is drawn and what leads where, before a word is said: boxes (v values, c constants, g layers), ellipses (o)."""

    def __init__(self, output: Value, recorded: Sequence[Step], layers: Layers | None, depth: int | None, constants: bool):
        self.output, self.layers, self._depth = output, layers, depth
        self.members: dict[str, dict[Any, Any]] = {}  # what a box or an ellipse stands for
        self.place: dict[str, str | None] = {}  # the module that it is in
        self.edges: dict[tuple[str, str, int], list[tuple[Step, int]]] = {}  # from, to, which: the operands it carries
        self._counts = Counter[str]()
        self._keys: dict[Any, str] = {}
        self.layer: dict[str, Any] = {}  # the module that a layer's box stands for
        source: dict[Any, str] = {}  # where a computed value is found
        for i, (step, place, group) in enumerate(zip(recorded, *self._groups(recorded), strict=True)):
            head = self._add("o", i, step, place) if group is None else self._add("g", group, step)
            for position, x in enumerate(step.operands):
                if not constants and not isinstance(x, Value):
                    continue
                tail = source.get(x) if isinstance(x, Value) else None
                tail = tail or self._given(x, (i, position), None if group is None else head)
                if tail != head:
                    self.edges.setdefault((tail, head, position if group is None else 0), []).append((step, position))
            source[step.result] = head
            if group is None or step.result is output:
                source[step.result] = self._add("v", step.result, step.result, place)
                self.edges[head, source[step.result], 0] = []
        if not recorded:
            self._add("v", output, output)

    def _groups(self, recorded: Sequence[Step]) -> tuple[list[str | None], list[str | None]]:
        """For each step the module that it is in, and the box that it is part of, if any."""
        nowhere: list[str | None] = [None] * len(recorded)
        if self.layers is None:
            return nowhere, nowhere
        places = self.layers.places(recorded)
        if self._depth is None:
            return places, nowhere
        outside, after = [step for step, place in zip(recorded, places, strict=True) if place is None], set[Any]()
        for step, place in zip(recorded, places, strict=True):  # after the model is what depends on it
            if place is not None or any(isinstance(x, Value) and x in after for x in step.operands):
                after.add(step.result)
        groups: list[str | None] = []
        for step, place in zip(recorded, places, strict=True):
            around = "(after)" if step.result in after else "(before)"
            groups.append(
                self.layers.outer(place, self._depth) if place is not None else around if len(outside) > FEW else None
            )
        return nowhere, groups

    def _given(self, x: Any, use: tuple[int, int], group: str | None) -> str:
        """The box of a leaf or a constant; all that go into a layer's box are one."""
        owner = self.layers.owner.get(x) if self.layers and isinstance(x, Value) else None
        if self.layers and owner is not None and self._depth is not None:
            return self._add("g", self.layers.outer(owner, self._depth), x)
        identity = x if isinstance(x, Value) else id(x) if isinstance(x, np.ndarray) else use
        kind = "v" if isinstance(x, Value) else "c"
        return self._add(kind, identity if group is None else (kind, group), x, owner, identity)

    def _add(self, kind: str, identity: Any, member: Any, place: str | None = None, which: Any = None) -> str:
        """The key of the box or ellipse of that identity, which stands for this member too."""
        if (kind, identity) not in self._keys:
            self._keys[kind, identity] = key = f"{kind}{self._counts[kind]}"
            self._counts[kind] += 1
            self.members[key], self.place[key], self.layer[key] = {}, place, identity
        key = self._keys[kind, identity]
        self.members[key][member if which is None else which] = member
        return key

    def look(self, key: str) -> str:
        """What kind of thing this key stands for."""
        first = next(iter(self.members[key].values()))
        if key[0] == "v":
            return "output" if first is self.output else "computed" if first.op else "leaf"
        if key[0] == "g":
            return "layer" if self.layers and self.layer[key] in self.layers.modules else "computed"
        return "constant" if key[0] == "c" else "operation"


class _Words:
    """What is written on them."""

    def __init__(self, output: Value, recorded: Sequence[Step], name: Callable[[Any], str], gradients: bool):
        self.name, self._stored = name, gradients
        self._total: dict[Value, Data] = {}  # the gradient of each value, in this graph's own reverse pass
        self._shares: dict[Value, list[Data]] = {}
        self._flow: dict[tuple[Value, int], Contribution] = {}
        if gradients and output.grad is not None:
            self._total[output], found = contributions(output)
            for c in found:
                self._total[c.operand] = c.total
                self._shares.setdefault(c.operand, []).append(c.share)
                self._flow[c.step.result, c.position] = c
        uses = [(step, i, x) for step in recorded for i, x in enumerate(step.operands) if isinstance(x, Value)]
        self._held = {x: step.held[i] for step, i, x in reversed(uses)}  # when it was first used
        self.moved = list(dict.fromkeys(x for step, i, x in uses if step.moved(i)))

    def caption(self) -> Rows:
        """Under the picture: what the colour means, and whether anything has changed."""
        rows = [("grad", "× local derivative → gradient that flows back; those of all uses add up")] if self._flow else []
        if any(np.size(share) > text.FEW for shares in self._shares.values() for share in shares):
            rows.append(("grad", "size: the root of the sum of the squares of the elements"))
        if self.moved:
            names = text.short(", ".join(self.name(x) or "a leaf" for x in self.moved))
            rows.append(("note", f"changed since this was computed, and shown as of then: {names}"))
        return rows

    def values(self, given: Sequence[Any]) -> Rows:
        """In a box for one value or constant, or for several that go into a layer."""
        if len(given) > 1:
            return [("data", _counted(given))]
        x = given[0]
        rows = [("name", self.name(x))] if self.name(x) else []
        if not isinstance(x, Value):
            return [*rows, ("data", text.data(x))]
        rows.append(("data", f"data {text.data(self._held.get(x, x._held))}"))
        if x in self.moved:
            rows.append(("note", f"now {text.data(x._held)}"))
        total, shares = self._total.get(x), self._shares.get(x, [])
        if total is not None:
            few = 1 < len(shares) <= 4 and np.size(total) <= text.FEW
            parts = " = " + " + ".join(map(text.gradient, shares)) if few else f" (sum of {len(shares)})" if shares[1:] else ""
            rows.append(("grad", f"grad {text.gradient(total)}{parts}"))
        if self._stored and not _agree(total, x.grad):
            rows.append(("grad", f"stored grad {text.gradient(x.grad)}"))
        return rows

    def layer(self, title: str, members: Sequence[Any]) -> Rows:
        """In a box for a layer: its operations and its parameters."""
        done = Counter(member.operation for member in members if isinstance(member, Step))
        work = text.short(", ".join(name if n == 1 else f"{name} ({n} times)" for name, n in done.items()), 60)
        rows = [("name", title), ("data", work)] if title else [("name", work)]
        parameters = [member for member in members if isinstance(member, Value)]
        if parameters:
            rows.append(("data", f"{sum(p.size for p in parameters):,} parameters"))
        if any(p in self._total for p in parameters):
            rows.append(("grad", f"grad {_size(self._total[p] for p in parameters)}"))
        return rows

    def edge(self, carried: Sequence[tuple[Step, int]], between_layers: bool) -> Rows:
        """On an edge: what flows back along it and, to or from a layer, what flows forward."""
        operands = {id(step.operands[i]): step.operands[i] for step, i in carried}
        rows = [("data", _counted(list(operands.values())))] if between_layers and operands else []
        flows = [self._flow[step.result, i] for step, i in carried if (step.result, i) in self._flow]
        if len(flows) == 1:
            return [*rows, ("grad", flow_label(flows[0]))]
        return [*rows, ("grad", f"→ {_size(c.share for c in flows)}")] if flows else rows


def flow_label(c: Contribution) -> str:
    """What flows back along an edge: for numbers the local derivative and the product."""
    return ("" if c.slope is None else f"× {text.number(c.slope)} ") + f"→ {text.gradient(c.share)}"


def _size(gradients: Iterable[Data]) -> str:
    return f"size {text.number(text.size([text.size(g) for g in gradients]))}"


def _counted(given: Sequence[Any]) -> str:
    """How many there are, and of which shape."""
    shapes = Counter(text.shape(x._held if isinstance(x, Value) else x) for x in given)
    kinds = (shape if n == 1 else f"{n} × {shape}" for shape, n in shapes.items() if shape != "()")
    numbers = f"{shapes['()']} number{'s' * (shapes['()'] > 1)}"
    return text.short(", ".join([*kinds, *([numbers] if shapes["()"] else [])]))


def _agree(total: Data | None, stored: Any) -> bool:
    """Whether the gradient that is drawn is the one that is stored, but for rounding."""
    if total is None or stored is None:
        return total is stored
    return np.shape(total) == np.shape(stored) and np.allclose(total, stored, rtol=1e-5, equal_nan=True)


def operation_label(step: Step) -> str:
    """What is written in an ellipse: a symbol or the operation's name, and the options that are not what they usually are."""
    name = SYMBOLS.get(step.operation, text.short(step.operation))
    return name + "".join(f" {option}={text.short(str(x), 24)}" for option, x in step.options.items())


def _paint(sketch: Sketch, words: _Words, direction: str) -> Picture:
    """The sketch with the words: each module's boxes in its frame, and the edges."""
    whole, layers = picture(direction, words.caption()), sketch.layers
    framed = {path for place in sketch.place.values() if layers and place is not None for path in layers.chain[place]}

    def fill(frame: Picture, inside: str | None) -> None:
        for key, members in sketch.members.items():
            if sketch.place[key] != inside:
                continue
            look, given = sketch.look(key), list(members.values())
            if look == "operation":
                frame.ellipse(key, operation_label(given[0]), given[0].operation)
            elif key[0] == "g":
                title = layers.title(sketch.layer[key]) if layers and look == "layer" else ""
                frame.box(key, look, words.layer(title, given))
            else:
                frame.box(key, look, words.values(given))
        for n, path in enumerate(layers.modules if layers else ()):
            if path in framed and layers and layers.chain[path][-2:-1] == ([] if inside is None else [inside]):
                if path == "" and len(framed) > 1:
                    fill(frame, path)  # a frame around all frames says nothing
                else:
                    with frame.subgraph(name=f"cluster_{n}", graph_attr=frame_looks(layers.title(path))) as inner:
                        fill(inner, path)

    fill(whole, None)
    for (tail, head, _), carried in sketch.edges.items():
        whole.arrow(tail, head, words.edge(carried, between_layers=tail[0] == "g"))
    return whole
