"""`operation`: the decorator that makes an operation of a function, and the checks of new ones."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from types import BuiltinFunctionType
from typing import Any

import numpy as np
from numpy import ndarray

from microgd.backprop import Function
from microgd.kinds import (
    JointOperation,
    OperationOfOne,
    OperationOfThree,
    OperationOfTwo,
    OperationWithConstants,
    RegisteredOperation,
)

OPERATIONS: dict[str, RegisteredOperation] = {}  # all operations, by name
NUMPY: dict[Any, Function] = {}  # how np.tanh(value) finds `tanh`: NumPy's function -> ours


def operation(
    *rules: Function | None, name: str | None = None, jointly: Function | None = None
) -> Callable[[Function], Function]:
    """Make an operation of a function of numbers and arrays: a decorator.

    It takes a derivative rule for each operand:

    >>> from microgd import Value, operation
    >>> @operation(lambda g, out, x: g * 3 * x * x)
    ... def cube(x):
    ...     return x * x * x
    >>> x = Value(2.0)
    >>> cube(x).backward()
    >>> x.grad
    12.0

    The function's first arguments, as many as there are rules, are its operands. Further arguments
    are options, such as `axis`. A rule gets the upstream gradient, the result, the operands and the
    options. None in place of a rule says that an operand has no derivative. Graphs and errors call
    the operation by the function's name, or by `name`.

    If there may be any number of operands, give one rule, `jointly=rule`. It gets all operands by
    position and the options by name, and returns a list with a gradient for each operand.

    Write rules with operators and operations, which take numbers, arrays and Values. Then the rules
    can be differentiated in their turn. (Instead of `/` and `**` use `operations.divide` and
    `operations.power`: Python's own raise an error where NumPy gives inf or nan.)

    If NumPy has a function of the same name, it works on Values from now on. If you define an
    operation again, as in a cell of a notebook, the new one replaces the old one. But a name of one
    of microgd's own operations is a `ValueError`: `np.exp` would become the new one everywhere.
    """

    def decorate(forward: Function) -> Function:
        operation_name = getattr(forward, "__name__", None) if name is None else name
        are_rules = all(rule is None or callable(rule) for rule in (*rules, jointly))
        is_complete = callable(forward) and are_rules and (rules or jointly)
        if not is_complete or not isinstance(operation_name, str):
            raise TypeError(
                "write @operation(rule, ...), with a derivative rule for each operand, above the "
                "function"
            )
        # A built-in function was made elsewhere, so the operation belongs to whoever calls this.
        caller = sys._getframe(1).f_globals.get("__name__", "")
        module = caller if _is_built_in(forward) else forward.__module__ or ""
        check_name(operation_name, module)
        defaults = {} if _is_built_in(forward) else _defaults(forward, len(rules))
        is_microgds = module.startswith("microgd.")
        if not is_microgds and not _is_built_in(forward):
            _check_rules(operation_name, rules, forward)
        made = _made(
            name=operation_name,
            forward=forward,
            rules=rules if is_microgds else tuple(map(_guarded, rules)),
            joint_rule=jointly if is_microgds else _guarded(jointly),
            module=module,
            defaults=defaults,
        )
        return registered(made)

    return decorate


def registered(made: RegisteredOperation) -> Function:
    """The function that does this operation. NumPy's function of the same name will find it."""
    function: Function = _documented(made.as_function(), made)
    OPERATIONS[made.name] = made
    numpys_function = numpys(made.name)
    if numpys_function is not None:
        NUMPY[numpys_function] = function
    return function


def _is_built_in(function: Function) -> bool:
    """Whether it is a function of NumPy's or Python's own, written in C: it takes operands only."""
    return isinstance(function, np.ufunc | BuiltinFunctionType)


def _defaults(forward: Function, arity: int) -> dict[str, Any]:
    """What a function takes after its operands, with the defaults."""
    parameters = list(inspect.signature(forward).parameters.values())
    return {p.name: p.default for p in parameters[arity:] if p.kind is not p.VAR_POSITIONAL}


def _made(
    joint_rule: Function | None, rules: tuple[Function | None, ...], **details: Any
) -> RegisteredOperation:
    """The operation, in the fastest form that it can have."""
    if joint_rule is not None:
        return JointOperation(rules=rules, joint_rule=joint_rule, **details)
    if not details["defaults"] and None not in rules:
        if len(rules) == 1:
            return OperationOfOne(rules=rules, **details)
        if len(rules) == 2:
            return OperationOfTwo(rules=rules, **details)
        if len(rules) == 3:
            return OperationOfThree(rules=rules, **details)
    if None in rules:
        return OperationWithConstants(rules=rules, **details)
    return RegisteredOperation(rules=rules, **details)


def _documented(function: Any, made: RegisteredOperation) -> Any:
    """The operation, with the name, the documentation and the signature of what it computes."""
    forward = made.forward
    if not _is_built_in(forward):
        function = wraps(forward)(function)
        if function.__name__ == "<lambda>":
            function.__name__ = made.name
        return function
    function.__module__ = made.module
    function.__name__ = function.__qualname__ = made.name
    is_numpys = numpys(made.name) is not None
    like = f"Elementwise, as `numpy.{made.name}`." if is_numpys else f"As `{forward.__name__}`."
    function.__doc__ = like
    return function


def numpys(name: str) -> Any:
    """NumPy's function of that name, or None."""
    found = getattr(np, name, None)
    return found if callable(found) and not isinstance(found, type) else None


# ── Checks ───────────────────────────────────────────────────────────────────────────────────────
def check_name(name: str, module: str) -> None:
    """A `ValueError` if microgd has an operation of that name, and the new one is not microgd's."""
    existing = OPERATIONS.get(name) or NUMPY.get(numpys(name))
    home = getattr(existing, "module", None) or getattr(existing, "__module__", "") or ""
    if home.startswith("microgd.") and not module.startswith("microgd."):
        raise ValueError(
            f"{name} is the name of one of microgd's own functions: "
            f"give your operation another, such as my_{name}"
        )


def _check_rules(name: str, rules: tuple[Function | None, ...], forward: Function) -> None:
    """A `TypeError` unless each rule takes what the function takes, after g and the result."""
    parameters = inspect.signature(forward).parameters
    if any(p.kind is p.VAR_POSITIONAL for p in parameters.values()):
        return  # it doesn't say how many operands it takes
    if len(parameters) < len(rules):
        raise TypeError(
            f"{name} takes ({', '.join(parameters)}), but was given {len(rules)} rules: "
            "one for each operand"
        )
    for rule in rules:
        check_rule(rule, "g", "out", *parameters)


def check_rule(rule: Any, *names: str) -> None:
    """A `TypeError` if the rule can't be called with arguments of these names, in this order."""
    try:
        signature = inspect.signature(rule)
    except (TypeError, ValueError):  # it is None, or built in
        return
    try:
        signature.bind(*names)
    except TypeError:
        raise TypeError(
            f"a rule of this operation takes ({', '.join(names)}): the upstream gradient, the "
            "result, and what the operation takes; but one was given that takes "
            f"{signature}"
        ) from None


def _guarded(rule: Any) -> Any:
    """A user's rule, kept from writing into the upstream gradient, which other rules need too."""
    if rule is None:
        return None

    @wraps(rule)
    def guarded(g: Any, *operands: Any, **options: Any) -> Any:
        if type(g) is ndarray:
            g = g.view()
            g.setflags(write=False)
        try:
            return rule(g, *operands, **options)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ValueError(
                "a rule can't write into g and operands, since others need them: it makes a new "
                "array, as by g * x in place of g *= x, or g * (x > 0) in place of g[x <= 0] = 0"
            ) from error

    return guarded
