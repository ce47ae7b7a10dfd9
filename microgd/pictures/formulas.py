"""Operations, and the rules that send gradients back, written as formulas: a × b, x², g @ Wᵀ.

A rule is made of operations, so that it can be differentiated again. Called with Values, it records
a graph, and this file writes that graph as a formula.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from microgd.backprop import record
from microgd.pictures import text
from microgd.pictures.names import Names
from microgd.recording import recording
from microgd.value import Value

UNNAMED = "…"
# How tightly a formula binds: what binds less tightly than its place demands gets brackets.
SUM, PRODUCT, SIGN, POWER, ATOM = range(5)
_INFIX = {
    "add": ("+", SUM),
    "subtract": ("−", SUM),
    "divide": ("÷", PRODUCT),
    "matmul": ("@", PRODUCT),
}
# In these few rules the formula reads badly, because it is made for accuracy, as that of tanh, or
# of conditions, which are not recorded. {x} and {y} are the operands, and {out} is the result.
_PHRASES: dict[str, tuple[str, ...]] = {
    "tanh": ("{g} × (1 − {out}²)",),
    "sigmoid": ("{g} × {out} × (1 − {out})",),
    "relu": ("{g} where {x} > 0",),
    "power": ("", "{g} × {out} × log({x})"),
    "divide": ("", "−{g} × {out} ÷ {y}"),
    "norm": ("{g} × {x} ÷ {out}",),
    "maximum": ("{g} where {x} > {y}", "{g} where {y} > {x}"),
    "minimum": ("{g} where {x} < {y}", "{g} where {y} < {x}"),
    "max": ("{g} where largest",),
    "min": ("{g} where smallest",),
    "clip": ("{g} where unchanged",),
    "where": ("", "{g} where true", "{g} where false"),
    "cross_entropy": ("{g} × (softmax − one-hot) ÷ n",),
    "binary_cross_entropy_with_logits": ("{g} × (sigmoid − target) ÷ n", "{g} × −{x} ÷ n"),
}
# With a vector, by the numbers of dimensions of the two operands.
_MATMUL_PHRASES: dict[tuple[int, ...], tuple[str, ...]] = {
    (2, 2): ("{g} @ {y}ᵀ", "{x}ᵀ @ {g}"),
    (2, 1): ("outer({g}, {y})", "{x}ᵀ @ {g}"),
    (1, 2): ("{g} @ {y}ᵀ", "outer({x}, {g})"),
}
_LINEAR_PHRASES: dict[int, tuple[str, ...]] = {  # by the number of dimensions of x
    1: ("{g} @ {y}", "outer({g}, {x})", "{g}"),
    2: ("{g} @ {y}", "{g}ᵀ @ {x}", "sum({g}, axis=0)"),
}
_ELEMENTWISE = ("power", "divide", "maximum", "minimum", "where")  # of those with phrases
_LONGEST = 60  # a rule of more characters says less than its result
_SHORT = 16  # an unnamed operand whose formula has at most so many characters is called by it
_LEVELS = 2  # so deep is a formula in a formula
_TITLE = 44  # a longer formula has "…" for its unnamed operands
_SHAPING = ("reshape", "broadcast_to", "astype")  # they change no number


class Formula(NamedTuple):
    """A formula and how tightly it binds; a product also has its factors."""

    text: str
    binding: int
    factors: tuple[Formula, ...] = ()
    kind: str = ""  # "g", if it is the upstream gradient of a rule; "number"

    def within(self, binding: int) -> str:
        """The formula as part of another, which binds this tightly."""
        return f"({self.text})" if self.binding < binding else self.text


Written = Callable[[Any, Any], Formula]  # an operand, and what it held, as a formula


class Formulas:
    """Writes the operations of a graph, with the names of its Values."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def title(self, result: Value, formula: Formula | None = None) -> str:
        """How a value was computed, such as "e = a × b"; "…" is an operand without a name."""
        name = self._names.of(result)
        if not result.op:
            return name
        if formula is None:
            formula = self.fitting(partial(written, result))
        return f"{text.within(name)} = {formula.text}" if name else formula.text

    def fitting(self, write: Callable[[Written], Formula]) -> Formula:
        """A formula with short formulas for unnamed operands or, if that is long, with "…"."""
        formula = write(self.operand)
        return formula if len(formula.text) <= _TITLE else write(self._bare)

    def operand(self, x: Any, held: Any) -> Formula:
        """An operand: its name, a number, a short formula, or "…"."""
        return self._called(x, held, self._names.of)

    def _bare(self, x: Any, held: Any) -> Formula:
        """An operand: its name, a number, or "…"."""
        return _named(x, held, self._names.of)

    def _called(
        self, x: Any, held: Any, name_of: Callable[[Any], str], levels: int = _LEVELS
    ) -> Formula:
        """An operand as it is called with these names."""
        formula = _named(x, held, name_of)
        if formula.text == UNNAMED and levels and isinstance(x, Value) and x.op:
            inner = written(x, partial(self._called, name_of=name_of, levels=levels - 1))
            if UNNAMED not in inner.text and len(inner.text) <= _SHORT:
                return inner
        return formula

    def rule(
        self,
        result: Value,
        position: int,
        in_numbers: bool = False,
        upstream: str = "g",
        others: Mapping[Any, str] | None = None,
    ) -> str:
        """What the result sends back to an operand, such as "g @ Wᵀ"; g is its own gradient.

        If it can't be written, it is "". With `in_numbers`, numbers stand in place of names.
        `upstream` is what the gradient of the result is called, and `others` says what Values and
        arrays without names are called.
        """

        def name_of(x: Any) -> str:
            return self._names.last_part(x) or (others or {}).get(id(x), "")

        names = [self._called(x, held, name_of) for x, held in _uses(result)]
        out = Formula(name_of(result) or "result", ATOM)
        if in_numbers:
            names = [constant(held) for held in result.saved]
            out = constant(result._numbers)
        # (Boxes call the gradient grad. That is longer, but an operand may be called g.)
        if any(x.text == upstream for x in (*names, out)):
            upstream = "grad"
        phrases = _phrases(result)
        if position < len(phrases) and phrases[position]:
            x, y, *_ = (*(name.within(ATOM) for name in names), "", "")
            phrase = phrases[position].format(g=upstream, x=x, y=y, out=out.within(ATOM))
            phrase = phrase.replace("ᵀᵀ", "")
            if result.op in ("maximum", "minimum") and np.any(np.equal(*result.saved)):
                phrase += ", half where equal"
            axes = _repeated_axes(result, position) if result.op in _ELEMENTWISE else []
            if not axes:
                return phrase
            axis = ", ".join(map(str, axes))
            if len(axes) == result.ndim:
                return f"sum({phrase})"
            return f"sum({phrase}, axis={axis if len(axes) == 1 else f'({axis})'})"
        try:
            share, g, traced_out, *operands = _traced(result, position)
        except Exception:  # a rule that works for numbers alone
            return ""
        if not isinstance(share, Value):
            return text.numbers(share) if np.size(share) <= text.FEW else ""
        known = {id(g): Formula(upstream, ATOM, kind="g"), id(traced_out): out}
        for x, name in zip(operands, names, strict=True):
            known.setdefault(id(x), name)
        formula = _rule(share, known)
        if len(formula) > _LONGEST:
            return ""
        return f"{formula}, to each" if _is_spread(share) else formula

    def slope(self, result: Value, position: int, in_numbers: bool = False) -> str:
        """The local derivative of a number, such as "1 − out²"; "" if it is no factor of g."""
        rule = self.rule(result, position, in_numbers)
        upstream, times, slope = rule.partition(" × ")
        if not times or upstream not in ("g", "grad"):
            return ""
        return _without_brackets(slope)


def mentions_g(rule: str) -> bool:
    """Whether a rule is written with g, the gradient of the result."""
    return re.search(r"\bg(\b|ᵀ)", rule) is not None


def _named(x: Any, held: Any, name_of: Callable[[Any], str]) -> Formula:
    """An operand: its name, a number, or "…"."""
    name = name_of(x)
    if name:
        return Formula(text.within(name), ATOM)
    is_number = not isinstance(x, Value) and not np.ndim(held)
    return constant(held) if is_number else Formula(UNNAMED, ATOM)


def _uses(result: Value) -> list[tuple[Any, Any]]:
    """The operands of a value, each with what it held."""
    return list(zip(result.inputs, result.saved, strict=True))


def _phrases(result: Value) -> tuple[str, ...]:
    """The phrases for the operands of an operation; "" where the formula reads well."""
    if result.op == "linear":
        return _LINEAR_PHRASES.get(np.ndim(result.saved[0]), ("{g} @ {y}",))
    if result.op == "matmul":
        return _MATMUL_PHRASES.get(tuple(np.ndim(held) for held in result.saved), ())
    return _PHRASES.get(result.op or "", ())


def _repeated_axes(result: Value, position: int) -> list[int]:
    """The axes along which an operand was broadcast: its gradient adds up over them."""
    shape = np.shape(result.saved[position])
    new = result.ndim - len(shape)
    repeated = [i for i, n in enumerate(shape, new) if n != result.shape[i]]
    return [*range(new), *repeated]


def _traced(result: Any, position: int) -> list[Any]:
    """What the rule sends to an operand, with its graph; and this graph's g, result and operands.

    The operands are new Values, so that the graph ends there.
    """
    g = Value(np.ones_like(result._numbers) if np.ndim(result._numbers) else 1.0)
    operands = []
    for x, held in zip(result.inputs, result.saved, strict=True):
        operands.append(Value(held) if isinstance(x, Value) else held)
    saved = tuple(x._numbers if isinstance(x, Value) else x for x in operands)
    operation = result._operation
    with recording(True), np.errstate(all="ignore"):
        out = record(type(result), result._numbers, operation, tuple(operands), saved)
        shares = [share for _, share in operation.contributions(out, g, create_graph=True)]
    place = [i for i, x in enumerate(operands) if isinstance(x, Value)].index(position)
    return [shares[place], g, out, *operands]


def _rule(share: Value, names: dict[int, Formula]) -> str:
    """A graph down to what has a name, as one formula."""

    def operand(x: Any, held: Any) -> Formula:
        known = names.get(id(x))
        if known is not None:
            return known
        if isinstance(x, Value) and x.op:
            return written(x, operand, is_rule=True)
        numbers = np.ravel(held)
        is_one_number = numbers.dtype.kind == "f" and len(set(numbers.tolist())) == 1
        return constant(numbers[0]) if is_one_number else Formula(UNNAMED, ATOM)

    return operand(share, share._numbers).text


def _without_brackets(formula: str) -> str:
    """The formula without brackets around all of it."""
    depth = 0
    for i, character in enumerate(formula):
        depth += (character == "(") - (character == ")")
        if depth == 0 and i < len(formula) - 1:
            return formula  # its first bracket, if there is one, closes before its end
    return formula[1:-1] if formula.startswith("(") else formula


def _is_spread(share: Value) -> bool:
    """Whether the rule gives each element what it makes of one number of g."""
    while share.op in _SHAPING:
        if share.op == "broadcast_to" and share.shape != share.inputs[0].shape:
            return True
        share = share.inputs[0]
    return False


# ── One operation ────────────────────────────────────────────────────────────────────────────────
def written(result: Any, operand: Written, is_rule: bool = False) -> Formula:
    """An operation on its operands as a formula.

    In a rule, what only changes the shape of a gradient is left out, and so are factors of 1.
    """
    op = result.op or ""
    operands = [operand(x, held) for x, held in zip(result.inputs, result.saved, strict=True)]
    options = result._operation.options
    if is_rule and op in _SHAPING:
        return operands[0]
    if op == "multiply":
        return product(operands, is_rule)
    if op in _INFIX:
        symbol, binding = _INFIX[op]
        left, right = operands
        # a − (b + c) and a + (−2), but a − b × c
        needs_brackets = right.binding <= binding or right.binding == SIGN
        right_text = f"({right.text})" if needs_brackets else right.text
        return Formula(f"{left.within(binding)} {symbol} {right_text}", binding)
    if op == "power":
        return _power(operands[0], operands[1])
    if op == "square":
        return Formula(f"{operands[0].within(ATOM)}²", POWER)
    if op == "negative":
        return Formula(f"−{operands[0].within(SIGN + 1)}", SIGN)
    if op == "absolute":
        return Formula(f"|{operands[0].text}|", ATOM)
    if op == "sqrt":
        return Formula(f"√{operands[0].within(ATOM)}", POWER)
    if op == "getitem":
        return Formula(f"{operands[0].within(ATOM)}[{text.index(options['index'])}]", ATOM)
    if op == "scatter" and is_rule:
        return Formula(f"{operands[0].within(SUM)} at [{text.index(options['index'])}]", SUM)
    if op == "transpose" and _swaps_the_last_two(result):
        transposed = operands[0].within(ATOM)
        is_twice = is_rule and transposed.endswith("ᵀ")
        return Formula(transposed[:-1] if is_twice else f"{transposed}ᵀ", ATOM)
    if op == "linear":
        x, weight, bias = (each.within(ATOM) for each in operands)
        return Formula(f"{x} @ {weight}ᵀ + {bias}", SUM)
    if op == "sum" and is_rule:
        return Formula(f"sum({operands[0].text}{_axes(result)})", ATOM)
    if op == "_one_minus_square":
        return Formula(f"1 − {operands[0].within(ATOM)}²", SUM)
    if op == "_hypotenuse":
        return Formula(f"√(1 + {operands[0].within(ATOM)}²)", POWER)
    shown = [*(x.text for x in operands), *written_options(result)]
    return Formula(f"{text.within(text.short(op.lstrip('_')))}({', '.join(shown)})", ATOM)


def product(operands: Sequence[Formula], is_rule: bool = False) -> Formula:
    """Factors with × between them. In a rule g comes first, and a × b × b is a × b²."""
    if not is_rule:
        left, right = operands
        return Formula(f"{left.within(PRODUCT)} × {right.within(SIGN + 1)}", PRODUCT)
    factors: list[Formula] = []
    for x in operands:
        factors += x.factors or [x]
    factors = [x for x in factors if x.kind != "number" or x.text != "1"] or [constant(1.0)]
    factors.sort(key=lambda x: x.kind != "g")
    if len(factors) == 1:
        return factors[0]
    counts: dict[Formula, int] = {}
    for x in factors:
        counts[x] = counts.get(x, 0) + 1
    texts: list[str] = []
    for x, count in counts.items():
        if count > 1:
            texts.append(f"{x.within(ATOM)}{text.superscript(count)}")
        else:
            texts.append(x.within(SIGN + 1 if texts else PRODUCT + 1))
    return Formula(" × ".join(texts), PRODUCT, tuple(factors))


def _power(base: Formula, exponent: Formula) -> Formula:
    if exponent.text == "1":
        return base
    digits = exponent.text.replace("−", "")
    if digits.isdigit() and len(digits) <= 2:
        return Formula(f"{base.within(ATOM)}{text.superscript(exponent.text)}", POWER)
    return Formula(f"{base.within(ATOM)} ** {exponent.within(POWER)}", POWER)


def constant(held: Any) -> Formula:
    """A number."""
    shown = text.numbers(held)
    binding = SIGN if shown.startswith("−") else ATOM
    return Formula(shown, binding, kind="number")


def _swaps_the_last_two(step: Any) -> bool:
    axes = step._operation.options.get("axes")
    ndim = len(step.inputs[0].shape)
    if axes is None:
        return ndim == 2
    order = [int(axis) % ndim for axis in axes]
    return ndim >= 2 and order == [*range(ndim - 2), ndim - 1, ndim - 2]


def _axes(step: Any) -> str:
    """The axes of a sum, unless it is over all of them."""
    axes = step._operation.options["axis"]
    ndim = len(step.inputs[0].shape)
    if axes is None or np.size(axes) == ndim:
        return ""
    return f", axis={axes[0] if np.size(axes) == 1 and np.ndim(axes) else text.option(axes)}"


def written_options(step: Any) -> list[str]:
    """The options of an operation that are not the defaults, as they are written in code."""
    defaults = step._operation.defaults
    shown = []
    for name, x in step._operation.options.items():
        if name == "keepdims":
            continue  # it changes no number
        if repr(x) != repr(defaults.get(name)):
            shown.append(f"{name}={text.option(x)}")
    return shown
