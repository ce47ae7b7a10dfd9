"""The kinds of operations: with options, with constants, of any number of operands; and fast forms.

All of them do what `Operation` in backprop.py does. The first kinds let an operation have options,
operands without a rule, or any number of operands. The last kinds are for one, two and three
operands without options, and do the same in fewer instructions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from microgd.arrays import as_data
from microgd.backprop import (
    Function,
    Node,
    Operation,
    leading_node,
    record,
    rule_arguments,
    unbroadcast,
)
from microgd.memory import keep


@dataclass(frozen=True, eq=False)
class RegisteredOperation(Operation):
    """An operation that `@operation` made, with where that was and the defaults of its options."""

    module: str = field(kw_only=True)  # where it was made
    defaults: dict[str, Any] = field(kw_only=True)  # of its options

    def as_function(self) -> Function:
        """The operation as a function: operands first, then options, by position or by name."""

        def apply(*arguments: Any, **named: Any) -> Any:
            for x in (*arguments, *named.values()) if named else arguments:
                if isinstance(x, Node):
                    break
            else:
                return self.forward(*arguments, **named)  # there is nothing to record
            operation = self
            arity = len(self.rules) or len(arguments)
            operands = arguments[:arity]
            if self.defaults or named or len(arguments) > arity:
                operation = self.with_options(arguments[arity:], named)
            if len(operands) < arity:
                raise TypeError(
                    f"{self.name} takes {arity} operands, all by position, but got {len(operands)}"
                )
            try:
                return operation.compute(operands)
            except OverflowError as error:  # an axis, for example, that has more than 64 bits
                raise ValueError(f"{self.name}: {error}") from None

        return apply

    def with_options(
        self, by_position: tuple[Any, ...], by_name: dict[str, Any]
    ) -> RegisteredOperation:
        """The operation with these options.

        `forward` gets them as they are given here, so Python itself refuses what does not fit.
        Rules get all options, also those that are left to their defaults.
        """
        for option in (*by_position, *by_name.values()) if by_name else by_position:
            is_index_with_node = type(option) is tuple and any(isinstance(x, Node) for x in option)
            if isinstance(option, Node) or is_index_with_node:
                raise TypeError(self._advice_on_a_node_as_an_option())
        options = dict(zip(self.defaults, by_position))
        if by_name or len(options) < len(self.defaults):
            options = {**self.defaults, **options, **by_name}
        forward = self.forward

        def forward_with_options(*saved: Any) -> Any:
            return forward(*saved, *by_position, **by_name)

        attributes = {**self.__dict__, "forward": forward_with_options, "options": options}
        twin: RegisteredOperation = object.__new__(type(self))
        object.__setattr__(twin, "__dict__", attributes)  # (an Operation is frozen)
        return twin

    def _advice_on_a_node_as_an_option(self) -> str:
        if self.module.startswith("microgd."):
            return (
                f"{self.name} takes Values by position, as operands. An index, an axis or a shape "
                "is a plain integer, such as int(value.item()); bounds are constants (np.maximum "
                "and np.minimum take Values)"
            )
        return (
            f"{self.name} has a derivative rule for {len(self.rules)} of its arguments, and none "
            "for another that is a Value: @operation takes a rule for each operand"
        )

    def __deepcopy__(self, memo: Any) -> RegisteredOperation:
        return self  # a copy of a graph has the same operations

    def __reduce__(self) -> Any:
        # (`_operation` is the first of Node's slots, so a pickle gets here before it goes deep.)
        raise TypeError(
            "a computed Value cannot be pickled, since its record holds functions: "
            "pickle value.detach() or, of a model, model.state_dict()"
        )


class OperationWithConstants(RegisteredOperation):
    """An operation for which some operands have no rule, such as the condition of `where`.

    No gradient ever goes there. So if such an operand is a node, it becomes a constant.
    """

    def compute(self, operands: tuple[Any, ...]) -> Any:
        """Do the operation, and record it."""
        value = super().compute(operands)
        for i, rule in enumerate(self.rules):
            if rule is None and isinstance(operands[i], Node) and value._operands:
                before, after = value._operands[:i], value._operands[i + 1 :]
                value._operands = (*before, value._saved[i], *after)
        return value


@dataclass(frozen=True, eq=False)
class JointOperation(RegisteredOperation):
    """An operation of any number of operands, such as concatenate: one rule gives all gradients."""

    joint_rule: Function = field(kw_only=True)

    def contributions(
        self, node: Node, gradient: Any, create_graph: bool = False
    ) -> Iterable[tuple[Node, Any]]:
        """What the result contributes to the gradients of its operands."""
        result, arguments = rule_arguments(node, create_graph)
        gradients = self.joint_rule(gradient, result, *arguments, **self.options)
        if len(gradients) != len(arguments):
            raise ValueError(
                f"the rule of {self.name} gave {len(gradients)} gradients for "
                f"{len(arguments)} operands"
            )
        for operand, contribution, saved in zip(node._operands, gradients, node._saved):
            if isinstance(operand, Node):
                yield operand, unbroadcast(contribution, saved, self.name, create_graph)


class OperationWithResidual(RegisteredOperation):
    """An operation of one operand and a constant, which also computes what its rule needs.

    Its function returns a pair: the result and the residual (JAX's word for what the rule needs).
    The record keeps the residual after the operands' numbers, so the rule gets it as its last
    argument. With `create_graph` the rule gets no residual: it computes it from the operand, so
    that it is recorded.
    """

    def as_function(self) -> Function:
        """A function of two arguments."""

        def apply(x: Any, constant: Any, /) -> Any:
            if isinstance(x, Node):
                return self.compute((x, constant))
            result, _ = self.forward(x, constant)
            return result

        return apply

    def compute(self, operands: tuple[Any, ...]) -> Any:
        """Do the operation, and record it."""
        x, constant = operands
        saved = keep(x)
        result, residual = self.forward(saved, constant)
        return record(type(x), result, self, operands, (saved, constant, residual))


# ── Fast: operations of one, two and three operands, without options ─────────────────────────────
# Most nodes of a graph of numbers come from operations of one and of two operands. These classes do
# for them what the methods above do for all operations, but without loops, generators and packing
# of arguments. How much does it save? For the expression in micrograd's README, `as_function` above
# would take 45 % more instructions than the forms below, `contributions` 42 %, and both together
# 83 %. For networks of arrays it matters less: without the form for three operands, a step of a
# network 784→16→16→10 with mini-batches of 10 would take 5 % more.
class OperationOfOne(RegisteredOperation):
    """An operation of one operand."""

    def as_function(self) -> Function:
        """A function of one argument."""
        forward = self.forward

        def apply(x: Any, /) -> Any:
            if not isinstance(x, Node):
                return forward(as_data(x))
            saved = x._numbers if type(x._numbers) is float else keep(x)
            return record(type(x), forward(saved), self, (x,), (saved,))

        return apply

    def contributions(
        self, node: Node, gradient: Any, create_graph: bool = False
    ) -> Iterable[tuple[Node, Any]]:
        """The contribution to the operand. (It is a node, or nothing would be recorded.)"""
        if create_graph:
            return super().contributions(node, gradient, True)
        (operand,) = node._operands
        (saved,) = node._saved
        (rule,) = self.rules
        contribution = rule(gradient, node._numbers, saved)
        if type(contribution) is not float or type(saved) is not float:
            contribution = unbroadcast(contribution, saved, self.name)
        return ((operand, contribution),)


class OperationOfTwo(RegisteredOperation):
    """An operation of two operands."""

    def as_function(self) -> Function:
        """A function of two arguments: `a * b` comes here."""
        forward = self.forward

        def apply(x: Any, y: Any, /) -> Any:
            leading = x
            if isinstance(x, Node):
                saved_x = x._numbers if type(x._numbers) is float else keep(x)
                if isinstance(y, Node):
                    saved_y = y._numbers if type(y._numbers) is float else keep(y)
                else:
                    saved_y = as_data(y, saved_x)
            elif isinstance(y, Node):
                leading = y
                saved_y = y._numbers if type(y._numbers) is float else keep(y)
                saved_x = as_data(x, saved_y)
            else:
                return forward(as_data(x), as_data(y))
            result = forward(saved_x, saved_y)
            return record(type(leading), result, self, (x, y), (saved_x, saved_y))

        return apply

    def contributions(
        self, node: Node, gradient: Any, create_graph: bool = False
    ) -> Iterable[tuple[Node, Any]]:
        """The contributions to those operands that are nodes."""
        if create_graph:
            return super().contributions(node, gradient, True)
        x, y = node._operands
        saved_x, saved_y = node._saved
        rule_x, rule_y = self.rules
        result = node._numbers
        pairs = []
        if isinstance(x, Node):
            contribution = rule_x(gradient, result, saved_x, saved_y)
            if type(contribution) is not float or type(saved_x) is not float:
                contribution = unbroadcast(contribution, saved_x, self.name)
            pairs.append((x, contribution))
        if isinstance(y, Node):
            contribution = rule_y(gradient, result, saved_x, saved_y)
            if type(contribution) is not float or type(saved_y) is not float:
                contribution = unbroadcast(contribution, saved_y, self.name)
            pairs.append((y, contribution))
        return pairs


class OperationOfThree(RegisteredOperation):
    """An operation of three operands, such as a layer: x @ weight.T + bias."""

    def as_function(self) -> Function:
        """A function of three arguments."""
        forward = self.forward
        in_general = super().as_function()  # it also says what is wrong with the arguments

        def apply(*operands: Any, **named: Any) -> Any:
            leading = leading_node(operands)
            if leading is None or named or len(operands) != 3:
                return in_general(*operands, **named)
            # (A name for `leading._numbers` would count as another owner of the array, and `keep`
            # would copy it.)
            x, y, z = operands
            saved_x = keep(x) if isinstance(x, Node) else as_data(x, leading._numbers)
            saved_y = keep(y) if isinstance(y, Node) else as_data(y, leading._numbers)
            saved_z = keep(z) if isinstance(z, Node) else as_data(z, leading._numbers)
            result = forward(saved_x, saved_y, saved_z)
            return record(type(leading), result, self, operands, (saved_x, saved_y, saved_z))

        return apply

    def contributions(
        self, node: Node, gradient: Any, create_graph: bool = False
    ) -> Iterable[tuple[Node, Any]]:
        """The contributions to those operands that are nodes."""
        if create_graph:
            return super().contributions(node, gradient, True)
        x, y, z = node._operands
        saved_x, saved_y, saved_z = node._saved
        rule_x, rule_y, rule_z = self.rules
        result = node._numbers
        pairs = []
        if isinstance(x, Node):
            contribution = rule_x(gradient, result, saved_x, saved_y, saved_z)
            pairs.append((x, unbroadcast(contribution, saved_x, self.name)))
        if isinstance(y, Node):
            contribution = rule_y(gradient, result, saved_x, saved_y, saved_z)
            pairs.append((y, unbroadcast(contribution, saved_y, self.name)))
        if isinstance(z, Node):
            contribution = rule_z(gradient, result, saved_x, saved_y, saved_z)
            pairs.append((z, unbroadcast(contribution, saved_z, self.name)))
        return pairs
