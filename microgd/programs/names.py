"""What the numbers in a program are called: as the user calls them, wherever that can be found.

While a function is traced for its text, the interpreter tells us of every line that it comes to,
and of every return (`sys.settrace`). There the local variables give names to the stand-ins that
they hold. So the text has the user's own names, and those that operations have for their steps.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from microgd import nn, operations
from microgd.backprop import Node, reverse_pass, unbroadcast
from microgd.kinds import RegisteredOperation
from microgd.module import Module
from microgd.programs.stand_ins import StandIn
from microgd.programs.watch import is_in_doctest


@dataclass
class LongOperation:
    """An operation whose many lines have a heading of their own."""

    heading: str
    # Beside its lines, by what they name, or what they change: the names are the operation's own.
    remarks: dict[str, str]


LONG_OPERATIONS: dict[Any, LongOperation] = {
    nn.cross_entropy: LongOperation(
        "cross_entropy: the mean over the examples of log(sum(exp(z))) - z[label], where z are an "
        "example's logits. The derivative of log(sum(exp(z))) with respect to z[j] is exp(z[j]) / "
        "sum(exp(z)), which is softmax(z)[j]. That of z[label] is 1 if j is the label, and 0 "
        "elsewhere, which is called one-hot. So the slope is softmax - one-hot. It is computed "
        "here already, for the way back.",
        {
            "p": "a column for each example: a few long rows add up faster",
            "p -=": "z less its largest, which cancels in the loss; exp can't overflow",
            "flat": "the rows of p end to end, in p's own memory",
            "label_places": "where flat has p[label, i] of each example i",
            "label_logits": "a copy of z[label] of each example",
            "exp(p)": "now p is exp(z)",
            "sums": "sum(exp(z)) of each example",
            "p /=": "now p is softmax(z)",
            "flat -=": "in p's memory, so now p is softmax(z) - one-hot",
            "softmax_minus_one_hot": "a row for each example again",
        },
    ),
    nn.binary_cross_entropy_with_logits: LongOperation(
        "binary_cross_entropy_with_logits: the mean of -t * log(sigmoid(x)) - (1 - t) * "
        "log(1 - sigmoid(x)), where x is a logit, and t its target. -log(sigmoid(x)) is "
        "log(1 + exp(-x)). That is log(1 + exp(-|x|)), plus |x| if x < 0. And -log(1 - sigmoid(x)) "
        "is the same of -x.",
        {
            "against": "the factor of |x|",
            "magnitude_where_against": "0 * inf would be nan",
        },
    ),
}
# What a reader may want to know of a derivative, by the name of the operation. It is said once.
SLOPES = {
    "tanh": "The slope of tanh is 1 - tanh², which is sech². sech(x) is 2 / (exp(x) + exp(-x)). It "
    "keeps the digits that 1 - tanh² loses where tanh is close to 1, and is computed as "
    "2 * exp(-|x|) / (exp(-|x|)² + 1), so that exp can't overflow.",
    "sigmoid": "The slope of s = sigmoid(x) is s * (1 - s), which is (sech(x / 2) / 2)². sech(x) "
    "is 2 / (exp(x) + exp(-x)). It keeps the digits that 1 - s loses where s is close to 1, and is "
    "computed as 2 * exp(-|x|) / (exp(-|x|)² + 1), so that exp can't overflow.",
    "linear": "A layer's out[i, j] is the sum over k of input[i, k] * weight[j, k], plus bias[j]. "
    "So d_input[i, k] is the sum over j of d_out[i, j] * weight[j, k], and d_weight[j, k] is the "
    "sum over i of d_out[i, j] * input[i, k]: products of matrices. (input.T @ d_out).T is the "
    "same as d_out.T @ input, but lies in memory as the weight does. d_bias[j] is the sum over i "
    "of d_out[i, j], which a product with ones adds up faster.",
    "matmul": "If out = A @ B, out[i, j] is the sum over k of A[i, k] * B[k, j]. So d_A[i, k] is "
    "the sum over j of d_out[i, j] * B[k, j], which is d_out @ B.T. In the same way d_B is "
    "A.T @ d_out. A vector counts as a matrix of one row if it is A, or of one column if it is B.",
    "cross_entropy": "In the mean of n examples, each has the factor 1 / n.",
    "relu": "The slope of ReLU is 1 above 0, and 0 elsewhere.",
    "softmax": "If out = softmax(x), the slope of out[i] with respect to x[j] is out[i] * ((1 if "
    "i == j else 0) - out[j]). So d_x[j] is the sum over i of d_out[i] times that, which is "
    "out[j] * (d_out[j] - sum(d_out * out)).",
    "log_softmax": "If out = log_softmax(x), the slope of out[i] with respect to x[j] is (1 if "
    "i == j else 0) - exp(out[j]). So d_x[j] is the sum over i of d_out[i] times that, which is "
    "d_out[j] - exp(out[j]) * sum(d_out).",
    "logsumexp": "The slope of log(sum(exp(x))) with respect to x[j] is exp(x[j]) / sum(exp(x)).",
    "max": "The slope is 1 for the largest element, and 0 for the others. If several are equal, "
    "each gets an equal part.",
    "min": "The slope is 1 for the smallest element, and 0 for the others. If several are equal, "
    "each gets an equal part.",
    "maximum": "The slope is 1 for the larger one, and 0 for the other. If they are equal, each "
    "gets half.",
    "minimum": "The slope is 1 for the smaller one, and 0 for the other. If they are equal, each "
    "gets half.",
    "sum": "The slope of a sum is 1 for each element.",
    "mean": "The slope of a mean of n elements is 1 / n for each.",
    "norm": "The slope of a length with respect to an element x is x / length. Where the length "
    "is 0, it is taken to be 0.",
    "getitem": "What was taken from an array passes its gradient to its place there; the other "
    "places get 0.",
    "binary_cross_entropy_with_logits": "The slope is sigmoid(x) - t, which is computed as "
    "(1 - t) * sigmoid(x) - t * sigmoid(-x). sigmoid(x) is 1 / (1 + exp(-|x|)) if x >= 0, and "
    "otherwise exp(-|x|) / (1 + exp(-|x|)): so exp can't overflow.",
}
# The same, if the second operand has a gradient.
SLOPES_OF_SECOND = {
    "divide": "The slope of q = x / y with respect to y is -x / y², which is -q / y.",
    "subtract": "The slope of x - y with respect to y is -1.",
}
RANGE_REMARK = (
    "With numbers beyond these bounds, the products below might be too large or too small for a "
    "float."
)
# What an operation's result is called, where the operation's name is no name for a result.
NOUNS = {
    "+": "total",
    "-": "difference",
    "*": "product",
    "/": "quotient",
    "@": "product",
    "**": "power",
    "<": "is_less",
    "<=": "is_less_or_equal",
    ">": "is_greater",
    ">=": "is_greater_or_equal",
    "==": "is_equal",
    "!=": "is_unequal",
    "&": "both",
    "|": "either",
    "absolute": "magnitude",
    "add": "total",
    "astype": "converted",
    "broadcast_to": "repeated",
    "concatenate": "joined",
    "divide": "quotient",
    "dot": "product",
    "equal": "is_equal",
    "getitem": "part",
    "greater": "is_greater",
    "greater_equal": "is_greater_or_equal",
    "less": "is_less",
    "less_equal": "is_less_or_equal",
    "matmul": "product",
    "max": "largest",
    "maximum": "larger",
    "min": "smallest",
    "minimum": "smaller",
    "multiply": "product",
    "negative": "negated",
    "not_equal": "is_unequal",
    "reshape": "reshaped",
    "scatter": "scattered",
    "sqrt": "root",
    "square": "squares",
    "stack": "stacked",
    "subtract": "difference",
    "sum": "total",
    "transpose": "transposed",
    "where": "chosen",
}

# Modules whose functions say what their steps are called: forward functions, rules and nudges.
_TABLES = ("microgd.operations", "microgd.nn", "microgd.optim", "microgd.numpy_functions.")
# Their names for what they are given, and for their results.
_ROLES = {"array", "arrays", "contribution", "examples", "g", "gradient", "integers", "labels"}
_ROLES |= {"logits", "number", "numbers", "out", "result", "self", "state", "targets", "total"}
_ROLES |= {"value", "weight", "x", "y"}


# Who has named a number: the user, a helper of operations such as _sech, a local variable of an
# operation, or the operation itself. The first of these is the best.
USERS, HELPERS, LOCAL, OPERATIONS = range(4)


@dataclass
class Place:
    """Where a call was made."""

    module: Any  # the innermost module that was being called, or None
    operation: str | None  # the outermost operation
    is_sum: bool  # whether the reverse pass adds up contributions
    is_range_check: bool  # whether a rule looks if a product stays in a float's range
    is_unbroadcast: bool  # whether a gradient is fitted to what was broadcast


class Names:
    """Collects names while a function is traced."""

    def __init__(self, function: Any, model: Any) -> None:
        # Each with its rank: USERS, HELPERS, LOCAL or OPERATIONS.
        self.found: dict[StandIn, tuple[int, str]] = {}
        self.titles: dict[int, tuple[str, str]] = {}  # of modules: their path, and a comment
        roots = [x for x in (model, function) if isinstance(x, Module)]
        for root in roots:
            for path, module in root.named_modules():
                if id(module) not in self.titles:
                    self.titles[id(module)] = path, f"{path}: {_short(module)}" if path else ""

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """A context in which names are collected."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: Any, event: str, argument: Any) -> Any:
        """What observes a function that is called, or None."""
        if frame.f_code in _OPERATION_CODES:
            return self._observe_operation
        module_name = frame.f_globals.get("__name__") or ""
        is_microgds = module_name == "microgd" or module_name.startswith("microgd.")
        if not is_microgds or is_in_doctest(frame.f_code):
            given = {name: id(frame.f_locals.get(name)) for name in _parameters(frame.f_code)}
            return partial(self._observe_users, given)
        return self._observe_table if module_name.startswith(_TABLES) else None

    def _observe_operation(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "return":
            name = frame.f_locals["self"].name
            self._note(argument, HELPERS if name.startswith("_") else OPERATIONS, name.lstrip("_"))
        return self._observe_operation

    def _observe_users(self, given: dict[str, int], frame: Any, event: str, argument: Any) -> Any:
        for name, x in frame.f_locals.items():
            if given.get(name) != id(x):  # an argument has its name from elsewhere
                self._note(x, USERS, name)
        return partial(self._observe_users, given)

    def _observe_table(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "return":
            parameters = _parameters(frame.f_code)
            for name, x in frame.f_locals.items():
                if name not in parameters and name not in _ROLES:
                    self._note(x, LOCAL, name)
        return self._observe_table

    def _note(self, x: Any, rank: int, name: str) -> None:
        """A name for a number, unless it has a better one."""
        stand_in = x._numbers if isinstance(x, Node) else x
        if not name.isidentifier():  # a comprehension's ".0"
            return
        if type(stand_in) is not StandIn or stand_in._kind in ("input", "constant"):
            return
        before = self.found.get(stand_in)
        # The first name of the best rank stays. But an operation is named after those inside it.
        if before is None or before[0] > rank or before[0] == rank == OPERATIONS:
            self.found[stand_in] = rank, name

    def find_place(self) -> Place:
        """Where the call that is being written down is made."""
        frame: Any = sys._getframe(2)
        module = None
        operation = None
        is_sum = False
        is_range_check = False
        is_unbroadcast = False
        is_first = True
        while frame is not None:
            code = frame.f_code
            name = frame.f_globals.get("__name__") or ""
            if name == "microgd.programs.trace":
                break
            if code is _REVERSE_PASS:
                is_sum = is_first
                break
            if name != "microgd.programs.stand_ins":
                is_first = False
            is_range_check = is_range_check or code is _RANGE_CHECK
            is_unbroadcast = is_unbroadcast or code is _UNBROADCAST
            if code in _OPERATION_CODES:
                operation = frame.f_locals["self"].name
            elif code in _LOSSES:
                operation = _LOSSES[code]
            if code is _MODULE_CALL and module is None:
                module = frame.f_locals["self"]
            frame = frame.f_back
        return Place(module, operation, is_sum, is_range_check, is_unbroadcast)


def _parameters(code: Any) -> tuple[str, ...]:
    count: int = code.co_argcount + code.co_kwonlyargcount
    names: tuple[str, ...] = code.co_varnames[:count]
    return names


def _short(module: Module) -> str:
    text = repr(module)
    return text if len(text) <= 60 else type(module).__name__


_REVERSE_PASS = reverse_pass.__code__
_UNBROADCAST = unbroadcast.__code__
_RANGE_CHECK = operations._is_moderate.__code__
_MODULE_CALL = Module.__call__.__code__


_LOSSES = {loss.__code__: loss.__name__ for loss in LONG_OPERATIONS}


def _operation_codes() -> set[Any]:
    """The code of the functions that operations are called by, and of `compute`."""
    codes = set()
    classes: list[Any] = [RegisteredOperation, *RegisteredOperation.__subclasses__()]
    for cls in classes:
        codes.add(cls.compute.__code__)
        for constant in cls.as_function.__code__.co_consts:
            if getattr(constant, "co_name", "") == "apply":
                codes.add(constant)
    return codes


_OPERATION_CODES = _operation_codes()


class Pool:
    """Gives each number a name of its own."""

    def __init__(self) -> None:
        self._taken = {"np", "math", *dir(builtins), *keyword.kwlist}

    def take(self, wanted: str) -> str:
        """The wanted name, made a variable's, or one with a number if it is taken."""
        base = re.sub(r"\W", "_", wanted) or "x"
        if base[0].isdigit():
            base = f"x_{base}"
        name = base
        count = 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name


def parameter_name(path: str) -> str:
    """What a parameter is called: weight_0 for "0.weight", hidden_weight for "hidden.weight"."""
    *holders, own = path.replace("[", ".").replace("]", "").split(".")
    if any(holder.isdigit() for holder in holders):
        return "_".join([own, *[holder for holder in holders if holder != "layers"]])
    return "_".join([*holders, own])
