"""What is drawn: which boxes there are, what each stands for, and which edge ends in which socket.

A box is a value with the operation that made it. Some boxes stand for more: a sum of many terms is
one box; in the compact form, a sum of products with its activation; and a layer of a model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from microgd.graph import Graph
from microgd.pictures import text
from microgd.pictures.layers import Layers
from microgd.pictures.names import Names
from microgd.value import Value

# From this many boxes on, sums of products are boxes.
MANY = 40
DEEPEST = 3  # a box of more operations in a row would have a formula that nobody can read
SHORT = 4  # so many operations in a row are laid out from left to right
# Where modules are boxes, up to this many operations outside the model are drawn one by one.
CROWD = 8
ACTIVATIONS = ("relu", "sigmoid", "tanh")


Use = tuple[Any, int]  # of an operand: a step and a position


@dataclass
class Socket:
    """Where an edge enters a box: the box that it comes from, and the uses that it stands for."""

    source: str
    uses: list[Use]


@dataclass
class Box:
    """A part of the picture.

    look       how it looks: leaf, constant, computed, output or layer
    value      the value that it is; None for constants, and for layers of several results
    steps      the operations that it stands for, in the order of recording
    results    the values in it that something outside uses
    leaves     the leaves that are rows of it, with their uses in the compact form
    constants  what it holds, if it stands for constants, each with what it held when it was used
    module     the path of the module that it is in or, for a layer, that it is
    """

    key: str
    look: str
    value: Any = None
    steps: list[Any] = field(default_factory=list)
    results: dict[Any, None] = field(default_factory=dict)
    leaves: dict[Any, list[Use]] = field(default_factory=dict)
    constants: list[tuple[Any, Any]] = field(default_factory=list)
    sockets: list[Socket] = field(default_factory=list)
    module: str | None = None

    @property
    def is_layer(self) -> bool:
        """Whether it stands for a module, or for all operations outside of the model."""
        return self.key.startswith("l")

    @property
    def is_table(self) -> bool:
        """Whether it is the table of leaves that several boxes use."""
        return self.key.startswith("t")


class Sketch:
    """The boxes of a graph by their keys: v0, v1, … are values, c0 constants, and l0 layers.

    In the compact form, t0 is a table of leaves.
    """

    def __init__(
        self,
        graph: Graph,
        layers: Layers,
        names: Names,
        depth: int | None = None,
        constants: bool = True,
        compact: bool | None = None,
    ) -> None:
        self.graph = graph
        self.layers = layers
        self.is_layered = depth is not None
        self._names = names
        self._constants = constants
        self._uses = Counter(x for step in graph.steps for x in step.inputs if isinstance(x, Value))
        self._modules = dict(zip(graph.steps, layers.locate(graph.steps), strict=True))
        self._is_crowded_outside = list(self._modules.values()).count(None) > CROWD
        # Where modules are boxes, the path of the box for each module: that of the module at the
        # depth asked for which contains it.
        self._path_of_box: dict[Any, str] = {}
        if depth is not None:
            for path, nesting in layers.nesting.items():
                self._path_of_box[path] = nesting[: depth + 1][-1]
        self.is_compact = bool(compact) and not self.is_layered  # layers have rows anyway
        self._make()
        if compact is None and not self.is_layered and len(self.boxes) > MANY:
            self.is_compact = True
            self._make()

    def _make(self) -> None:
        self.boxes: dict[str, Box] = {}
        self._key_of: dict[Any, str] = {}  # the key of a box by what it was made for
        self._count = Counter[str]()
        self._box_of: dict[Any, Box] = {}  # the box in which a step is done
        roots = self._roots()
        for step in self.graph.steps:
            self._box_of[step] = self._box_for(step, roots)
            self._box_of[step].steps.append(step)
        self._find_results()
        self._in_rows = self._leaves_in_rows()
        for key in self.in_order():
            self._connect(self.boxes[key])
        self._merge_constants()
        shared = [x for x in self._in_rows if self._uses[x] > 1]
        if shared:
            self._box("t", "shared", "leaf", leaves={x: [] for x in shared})
        if not self.graph.steps:
            self._home(self.graph.output)

    # ── Which steps share a box ──────────────────────────────────────────────────────────────────
    def _roots(self) -> dict[Any, Any]:
        """For each step, the one that gives its box its value: mostly itself."""
        user: dict[Any, Any] = {}
        for step in self.graph.steps:
            for x in step.inputs:
                if isinstance(x, Value):
                    user[x] = step
        roots: dict[Any, Any] = {}
        levels: dict[Any, int] = {}  # how deep a step is in the formula of its box
        for step in reversed(self.graph.steps):
            root = step
            levels[step] = 0
            if step is not self.graph.output and self._uses[step] == 1:
                after = user[step]
                is_unnamed = not self._names.of(step)
                same_module = self._modules[step] == self._modules[after]
                level = levels[after] + (step.op != after.op)
                if is_unnamed and same_module and level <= DEEPEST and self._joins(step, after):
                    root = roots[after]
                    levels[step] = level
            roots[step] = root
        return roots

    def _joins(self, step: Any, after: Any) -> bool:
        """Whether a step, which has no name and one use, is drawn in the box of that use."""
        if step.op == "add" == after.op:
            return bool(step.shape == after.shape)
        is_crowded = self.is_compact or self.is_layered
        if not is_crowded or step.shape or after.shape:
            return False
        if _is_unary(step) and _is_unary(after) and step.op != after.op:
            # (In a sum of products, Σ would hide it.)
            return step.op not in ACTIVATIONS and after.op not in ("add", "multiply")
        if self.is_layered:
            return False
        if after.op == "add":
            return bool(step.op == "multiply")
        return bool(step.op == "add" and after.op in ACTIVATIONS)

    def _box_for(self, step: Any, roots: dict[Any, Any]) -> Box:
        module = self._modules[step]
        if self.is_layered and (module is not None or self._is_crowded_outside):
            path = self._path_of_box.get(module)
            look = "computed" if path is None else "layer"
            return self._box("l", ("layer", path), look, module=path)
        root = roots[step]
        look = "output" if root is self.graph.output else "computed"
        return self._box("v", root, look, value=root, module=module)

    def _box(self, letter: str, identity: Any, look: str, **details: Any) -> Box:
        key = self._key_of.get(identity)
        if key is None:
            key = f"{letter}{self._count[letter]}"
            self._count[letter] += 1
            self._key_of[identity] = key
            self.boxes[key] = Box(key, look, **details)
        return self.boxes[key]

    def _find_results(self) -> None:
        """What each box sends on. A layer with one result has that as its value."""
        for step in self.graph.steps:
            for x in step.inputs:
                if isinstance(x, Value) and x.op:
                    before, after = self._box_of[x], self._box_of[step]
                    if before is not after:
                        before.results[x] = None
        output = self.graph.output
        if output.op:
            self._box_of[output].results[output] = None
        for box in self.boxes.values():
            if box.value is None and len(box.results) == 1:
                (box.value,) = box.results
            if output in box.results and box.look == "computed":
                box.look = "output"

    def _leaves_in_rows(self) -> dict[Any, None]:
        """In the compact form, the leaves that are rows of the boxes which use them.

        Those that several boxes use also stand in a table, with what they get in all.
        """
        if not self.is_compact:
            return {}
        found: dict[Any, bool] = {}
        for step in self.graph.steps:
            for x in step.inputs:
                if isinstance(x, Value) and not x.op:
                    is_in_a_sum = len(self._box_of[step].steps) > 1
                    found[x] = found.get(x, True) and is_in_a_sum
        return {x: None for x, is_in_rows in found.items() if is_in_rows}

    # ── Edges ────────────────────────────────────────────────────────────────────────────────────
    def _connect(self, box: Box) -> None:
        """Lead an edge to each operand in this box that comes from elsewhere."""
        for step, position in self._operands(box):
            x = step.inputs[position]
            use = step, position
            if not isinstance(x, Value):
                is_in_title = not np.ndim(step.saved[position]) and not box.is_layer
                if self._constants and not is_in_title:
                    self._lead(self._constant(x, box, step.saved[position]), box, use)
            elif x.op:
                self._lead(self._box_of[x], box, use)
            elif x in self._in_rows:
                box.leaves.setdefault(x, []).append(use)
            else:
                home = self._home(x)
                if home is box:
                    box.leaves[x].append(use)
                self._lead(home, box, use)

    def _operands(self, box: Box) -> list[Use]:
        """The uses of operands from outside of a box, in the order in which they are written."""
        if box.is_layer:
            uses = [(step, i) for step in box.steps for i in range(len(step.inputs))]
            return [use for use in uses if not self._is_inside(use, box)]
        found = []
        waiting = [(box.value, i) for i in reversed(range(len(box.value.inputs)))]
        while waiting:
            step, position = waiting.pop()
            if self._is_inside((step, position), box):
                x = step.inputs[position]
                waiting += [(x, i) for i in reversed(range(len(x.inputs)))]
            else:
                found.append((step, position))
        return found

    def _is_inside(self, use: Use, box: Box) -> bool:
        """Whether the operand was computed in the same box."""
        step, position = use
        x = step.inputs[position]
        return isinstance(x, Value) and bool(x.op) and self._box_of[x] is box

    def _home(self, x: Any) -> Box:
        """The box of a leaf: its own, or that of the layer whose parameter it is."""
        owner = self.layers.owner.get(x)
        if owner in self._path_of_box:
            path = self._path_of_box[owner]
            home = self._box("l", ("layer", path), "layer", module=path)
            home.leaves.setdefault(x, [])
            return home
        look = "output" if x is self.graph.output else "leaf"
        return self._box("v", x, look, value=x, module=owner)

    def _constant(self, x: Any, box: Box, held: Any) -> Box:
        """The box of a constant. An array is one constant, however often it is used.

        All that go into one layer, and have no names, share a box.
        """
        shares = box.is_layer and not self._names.of(x)
        identity = ("constants", box.key) if shares else ("constant", id(x))
        source = self._box("c", identity, "constant")
        if not any(x is other for other, _ in source.constants):
            source.constants.append((x, held))
        return source

    def _merge_constants(self) -> None:
        """One box for the same constants, such as the inputs of all neurons of a layer."""
        first: dict[Any, str] = {}
        merged = {}
        for key, box in self.boxes.items():
            if box.constants:
                merged[key] = first.setdefault(tuple(id(x) for x, _ in box.constants), key)
        for box in self.boxes.values():
            for socket in box.sockets:
                socket.source = merged.get(socket.source, socket.source)
        for key, other in merged.items():
            if key != other:
                del self.boxes[key]

    def _lead(self, source: Box, box: Box, use: Use) -> None:
        """Lead an edge to the socket of this use."""
        if source is box:
            return
        if len(box.steps) > 1:
            for socket in box.sockets:
                if socket.source == source.key and self._may_share(socket, use):
                    socket.uses.append(use)
                    return
        box.sockets.append(Socket(source.key, [use]))

    def _may_share(self, socket: Socket, use: Use) -> bool:
        """Whether two uses of what comes from one box have one socket: not the terms of a sum."""
        (step, _), *_ = socket.uses
        are_terms = step.op == use[0].op == "add"
        return self.is_layered or not are_terms

    def frame_of(self, box: Box) -> str | None:
        """The path of the module whose frame a box is in; None if it is in none.

        A frame around all layers of a model would say nothing.
        """
        if not box.is_layer or box.module is None:
            return box.module
        around = self.layers.nesting[box.module][:-1]
        return (around[-1] if around else None) or None

    # ── The form ─────────────────────────────────────────────────────────────────────────────────
    def direction(self) -> str:
        """ "LR" for layers of numbers, for sums of them, and for short graphs; "TB" for all others.

        Arrays are wide, and pages scroll from top to bottom.
        """
        has_constants = any(
            np.ndim(held) for box in self.boxes.values() for _, held in box.constants
        )
        if has_constants or any(x.shape for x in self.graph.held):
            return "TB"
        if self.is_layered or self.is_compact:
            return "LR"
        has_frames = any(module is not None for module in self._modules.values())
        return "LR" if self.length() <= SHORT and not has_frames else "TB"

    def length(self) -> int:
        """How many boxes the longest path has, beside its leaf."""
        column = Counter[str]()
        for key in self.in_order():
            for socket in self.boxes[key].sockets:
                if socket.source:
                    column[key] = max(column[key], column[socket.source] + 1)
        return max(column.values(), default=0)

    def in_order(self) -> Sequence[str]:
        """The keys of the boxes with operations, each after those that it uses."""
        ordered: dict[str, None] = {}
        for step in self.graph.steps:
            key = self._box_of[step].key
            ordered.pop(key, None)  # a box comes where its last operation was done
            ordered[key] = None
        return list(ordered)

    def edges(self) -> list[tuple[str, str, int]]:
        """The edges: a box, the box that it leads to, and the number of the socket there."""
        edges = []
        for box in self.boxes.values():
            for i, socket in enumerate(box.sockets):
                if socket.source:
                    edges.append((socket.source, box.key, i))
        return edges

    def columns_passed(self) -> int:
        """How many columns all edges pass, added up.

        The layout program has to lead each edge around the boxes in the columns that it passes.
        """
        column = Counter[str]()
        first_use: dict[str, int] = {}
        for key in self.in_order():
            for socket in self.boxes[key].sockets:
                column[key] = max(column[key], column[socket.source] + 1)
            for socket in self.boxes[key].sockets:
                first = first_use.get(socket.source, column[key])
                first_use[socket.source] = min(first, column[key])
        passed = 0
        for tail, head, _ in self.edges():
            # Leaves and constants stand in the column right before their first use.
            next_column = column[tail] + 1 if column[tail] else first_use[tail]
            passed += max(column[head] - next_column, 0)
        return passed

    def paths_between(self, values: Sequence[Any]) -> set[str]:
        """The keys of the boxes on the paths from one of these values to another, and their own."""
        before = defaultdict[str, set[Any]](set)  # which of the values each box depends on
        after = defaultdict[str, set[Any]](set)
        ends = set()
        for x in values:
            keys = self.keys_of(x)
            if not keys:
                shown = self._names.of(x) or repr(x)
                raise ValueError(f"expected Values of this graph to highlight, but got {shown}")
            for key in keys:
                before[key].add(x)
                after[key].add(x)
            ends.update(keys)
        edges = self.edges()
        order = {key: i for i, key in enumerate(self.in_order())}
        edges.sort(key=lambda edge: order.get(edge[1], 0))
        for tail, head, _ in edges:
            before[head] |= before[tail]
        for tail, head, _ in reversed(edges):
            after[tail] |= after[head]
        on_paths = {
            key for key in self.boxes if any(a is not b for a in before[key] for b in after[key])
        }
        return on_paths | ends

    def keys_of(self, x: Any) -> list[str]:
        """The keys of the boxes that a value is in: a leaf may be a row of several boxes."""
        if x in self._box_of:
            return [self._box_of[x].key]
        return [box.key for box in self.boxes.values() if box.value is x or x in box.leaves]


class NumberedNames(Names):
    """Names in which Values without one get a number, so that sentences can refer to them."""

    def __init__(self, names: Mapping[str, Any] | None, layers: Layers, sketch: Sketch) -> None:
        super().__init__(names, layers)
        self._numbered: dict[Any, str] = {}
        ordered = [sketch.boxes[key] for key in sketch.in_order()]
        given: list[Any] = [box.value for box in sketch.boxes.values() if not box.steps]
        for box in ordered:
            given += box.leaves
        for x in [*given, *(box.value for box in ordered)]:
            if x is not None and x not in self._numbered and not super().of(x):
                self._numbered[x] = f"v{text.subscript(len(self._numbered) + 1)}"

    def of(self, x: Any) -> str:
        """The name or the number of a Value; the name of an array, or ""."""
        name = super().of(x)
        if name or not isinstance(x, Value):
            return name
        return self._numbered.get(x, "")


def _is_unary(step: Any) -> bool:
    """Whether it has one operand that is not a constant, as out - 1 has."""
    return len([x for x in step.inputs if isinstance(x, Value)]) == 1
