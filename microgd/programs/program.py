"""`source`: a computation and its backward pass, written out as a program of NumPy calls."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from microgd import optim
from microgd.arrays import shown
from microgd.backprop import next_order
from microgd.checks import check_type
from microgd.module import Module
from microgd.optimizer import Optimizer
from microgd.programs.fast import Fast, needed_calls
from microgd.programs.names import Names, parameter_name
from microgd.programs.reached import used_inputs, values_found
from microgd.programs.stand_ins import CannotFollow, StandIn
from microgd.programs.text import Passage, Text
from microgd.programs.trace import Trace, same_bits, trace
from microgd.programs.update import Update
from microgd.programs.version import numbers_in_result
from microgd.programs.watch import RandomStatesKept, Surroundings, Watch
from microgd.storage import StrPath, write_whole


class Program:
    """A computation written out: `print` shows it, calling it runs it, `save` makes a file of it.

    `source` makes it. Its arguments are the function's own and then the weights that the function
    uses, as its first line says; it returns the result and the gradients. A step of training also
    takes what the optimizer remembers, and lr last, and returns the weights and all that in the
    same order: `loss, *state = step(x, y, *state, lr)`.

    `text` is the program, `function` the function that it defines, and `fast` the same operations
    in place, as `compiled` and `train.fit(compiled=True)` run them. `passages` says which lines do
    each operation, and go back through it, in the order of recording.
    """

    def __init__(
        self,
        name: str,
        text: str,
        constants: Mapping[str, Any],
        notes: Mapping[int, str],
        forms: Mapping[str, Any],
        passages: Sequence[Passage],
        fast: Callable[[], str],
    ) -> None:
        self.name = name
        self.text = text
        self._constants = dict(constants)
        self._notes = dict(notes)
        self._forms = dict(forms)  # of the arguments: shape and dtype, or float
        self.passages = list(passages)
        self._fast = fast
        namespace: dict[str, Any] = {}
        exec(compile(text, f"<{name}>", "exec"), namespace)
        self.function: Callable[..., Any] = namespace[name]  # without any check of numbers
        self._names = list(inspect.signature(self.function).parameters)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """What the program computes from these numbers and arrays.

        Numbers in place of arrays, arrays in place of numbers, and anything else are a `TypeError`;
        other shapes and dtypes are a `ValueError`.
        """
        pairs = zip(self._names, arguments, strict=False)
        checked = [_checked(name, x, self._forms) for name, x in pairs]
        rest = arguments[len(checked) :]
        named = {name: _checked(name, x, self._forms) for name, x in options.items()}
        constants = {name: x for name, x in self._constants.items() if name not in named}
        return self.function(*checked, *rest, **constants, **named)

    @property
    def fast(self) -> str:
        """The text of the program that is run for speed."""
        return self._fast()

    def with_numbers(self) -> str:
        """The text, and beside each line what it computes from the examples.

        That is a number, or the shape of an array.
        """
        lines = self.text.splitlines()
        parts = {i: lines[i].partition("  # ") for i in self._notes}
        width = 4 + max((len(code) for code, _, _ in parts.values()), default=0)
        for i, (code, _, remark) in parts.items():
            note = self._notes[i]
            if "->" in remark:  # shapes already
                note = remark
            elif remark:
                note = f"{note}: {remark}"
            lines[i] = f"{code:{width}}# {note}"
        return "\n".join(lines) + "\n"

    def save(self, path: StrPath) -> None:
        """Write the program into a file that needs NumPy alone."""
        is_step = any(line.startswith("    # update by ") for line in self.text.splitlines())
        what = "one step of training" if is_step else f"{self.name}, and its backward pass"
        first_line = f'"""A program that microgd wrote: {what}."""'
        text = f"{first_line}\n\n{self.text}"
        write_whole(path, lambda file: file.write(text.encode()))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Program {self.name}: print it, or call it>"

    def _repr_markdown_(self) -> str:
        # Jupyter highlights it.
        return f"```python\n{self.text}```\n"


def _checked(name: str, x: Any, forms: Mapping[str, Any]) -> Any:
    """An argument of a program, if it has the right form."""
    form = forms.get(name)
    if form is None:
        return x
    if form is float:
        is_number = isinstance(x, float | int | np.floating | np.integer)
        if not is_number or isinstance(x, bool):
            raise TypeError(f"expected {name} to be a number, but got {shown(x)}")
        return float(x)
    shape, dtype = form
    if type(x) is not np.ndarray:
        raise TypeError(f"expected {name} to be an array, but got {shown(x)}")
    if x.shape != shape or x.dtype != dtype:
        raise ValueError(
            f"expected {name} of shape {shape} and {dtype}, but got shape {x.shape} and {x.dtype}: "
            "a program is for the shapes and dtypes of its examples"
        )
    return x


def source(
    function: Callable[..., Any],
    *examples: Any,
    model: Module | None = None,
    optimizer: Optimizer | None = None,
) -> Program:
    """The computation of a function and its backward pass, as a program of NumPy calls.

    `examples` are arguments of the function, in the shapes and dtypes that the program will be for.
    The function is called with them twice, so what it prints is printed twice. Values among
    the arguments get gradients, and so do all leaves that the function uses, such as a model's
    parameters. The program computes the same as the function and `backward`, to the last bit.

    Names are those of the function: its variables, the names of Values, and the parameters' names
    in `model`, whose layers are comments. The gradient of the result with respect to x is d_x.

    With `optimizer`, the program makes a whole step. It also takes `lr` and what the optimizer
    remembers, such as velocities, and returns the new weights in place of the gradients.

    A program belongs to the way that was taken. An `if` on a number becomes a check, and a call
    with other numbers may raise its `ValueError`. What takes numbers out of the computation, such
    as `float(x)`, `np.asarray(x)` and `math.exp(x)`, is a `TypeError` that says so. So are random
    numbers, and a function that changes something outside, such as a counter.

    >>> from microgd import Value
    >>> def area(width, height):
    ...     area = width * height
    ...     return area
    >>> program = source(area, Value(3.0), Value(2.0))
    >>> print(program)
    def area(width, height):
        area = width * height
    <BLANKLINE>
        # Backward: d_NAME is d area / d NAME.
        d_area = 1.0
    <BLANKLINE>
        # back through area = width * height
        d_width = d_area * height
        d_height = d_area * width
    <BLANKLINE>
        return area, d_width, d_height
    <BLANKLINE>
    >>> program(4.0, 5.0)
    (20.0, 5.0, 4.0)
    """
    check_type("a function", Callable, function)
    check_type("a model that is a Module", Module | None, model)
    check_type("an optimizer such as optim.SGD", Optimizer | None, optimizer)
    watch = Watch(function, examples, model)
    with RandomStatesKept(watch.generators):
        surroundings = Surroundings(watch)
        before = next_order()
        result = function(*examples)
        change = surroundings.change()
        if change is not None:
            raise CannotFollow(f"no program can be written of the function: {change}")
        values = values_found(watch, result, before)
        _name_parameters(values, model if model is not None else function)
        names = Names(function, model)
        update = None if optimizer is None else Update(optimizer, from_second_step=True)
        with names.collecting():
            made = trace(
                function,
                examples,
                {},
                values,
                watch,
                backward=True,
                argument_names=_argument_names(function),
                find_place=names.find_place,
                finish=None if update is None else update.trace,
            )
    if update is not None and not update.moved:
        raise ValueError(
            "the result depends on no parameter of the optimizer: is it the optimizer of this "
            "model, and was .data or .item() taken on the way?"
        )
    return _Writing(made, names, function, update).program()


def _argument_names(function: Any) -> list[str]:
    """What the function calls its arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # it is built in
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def _name_parameters(values: dict[Any, str], model: Any) -> None:
    """Give the Values that a function has found the names that the program has for them."""
    if isinstance(model, Module):
        for path, parameter in model.named_parameters():
            if parameter in values:
                values[parameter] = parameter_name(path)
    for value, name in values.items():
        if value.name:
            values[value] = value.name
        elif "." in name or "[" in name:
            values[value] = parameter_name(name)


class _Writing:
    """Writes a trace, and makes sure that the program computes what was traced."""

    def __init__(self, made: Trace, names: Names, function: Any, update: Update | None) -> None:
        self.made = made
        self.names = names
        self.update = update
        self.name = _program_name(function) if update is None else "step"
        self._results = [x for x in numbers_in_result(made.result) if type(x) is StandIn]
        if not self._results:
            raise TypeError(
                "expected a function that returns what it computes from its arguments, but got "
                f"{shown(made.result)}"
            )
        self._gradients: list[Any] = []
        if update is None:
            places = {each.value: i for i, each in enumerate(made.inputs)}
            self._gradients = sorted(made.gradients, key=lambda pair: places[pair[0]])
        else:
            self._name_states(update)
            # In the order of the arguments, so that the results are those of the next step.
            self._results += [each.next_number for each in update.moved]
            for each in update.moved:
                self._results += [x for x in each.state.values() if type(x) is StandIn]

    def program(self) -> Program:
        """The program; with products as x @ y, if that computes the same bits."""
        for writes_products in (True, False):
            text = self._text(writes_products)
            body = text.write()
            imports = [f"import {name}" for name, use in _IMPORTS.items() if use in body]
            head = "\n\n".join(imports) + "\n\n\n" if imports else ""
            start = head.count("\n")
            notes = {start + i: note for i, note in text.notes().items()}
            passages = [
                Passage(name, [start + i for i in forward], [start + i for i in backward])
                for name, forward, backward in text.passages()
            ]
            program = Program(
                self.name,
                f"{head}{body}\n",
                text.objects,
                notes,
                text.forms(),
                passages,
                self._fast,
            )
            arguments = [each.stand_in._value for each in text.inputs]
            if self._agrees(program, arguments, text.results):
                return program
        raise CannotFollow("the program would compute something else than the function")

    def _agrees(self, program: Program, arguments: list[Any], results: Sequence[StandIn]) -> bool:
        with np.errstate(all="ignore"):
            found = program(*arguments)
        if len(results) == 1:
            found = (found,)
        return all(same_bits(x, y._value) for x, y in zip(found, results, strict=True))

    def _text(self, writes_products: bool) -> Text:
        final_names: dict[StandIn, str] = {}
        text = Text(
            self.made,
            self.names,
            self.name,
            self._results,
            self._gradients,
            final_names,
            writes_products,
            None if self.update is None else self.update.lr,
            self._order(),
            "" if self.update is None else self._about_update(self.update),
        )
        if self.update is not None:
            self._name_updates(self.update, text, final_names)
        return text

    def _about_update(self, update: Update) -> str:
        names = {each.stand_in: each.name for each in self.made.inputs}
        first = update.moved[0]
        parameter = names[first.number]
        return _about_update(
            update.optimizer, parameter, [f"{key}_{parameter}" for key in first.state]
        )

    def _order(self) -> dict[StandIn, int]:
        """The places of arguments that come in the order of the results: weights, then states."""
        if self.update is None:
            return {}
        states = [each.stand_in for each in self.made.inputs if (each.path or [""])[0] == "state"]
        in_order = [*(each.number for each in self.update.moved), *states]
        return {x: i for i, x in enumerate(in_order)}

    def _fast(self) -> str:
        results = [*self._results, *(x for _, x in self._gradients)]
        calls = needed_calls(self.made.calls, results)
        inputs = used_inputs(self.made, calls)
        code = Fast(calls, self.name, [each.stand_in for each in inputs]).write(results)
        legend = ", ".join(f"a{i} is {each.name}" for i, each in enumerate(inputs))
        return f"# {legend}\n{code.text()}"

    def _name_states(self, update: Update) -> None:
        """A parameter's velocity, for example, has the parameter's name after its own."""
        parameters = {each.kept: each.parameter for each in update.moved}
        names = {each.value: each.name for each in self.made.inputs if each.path is None}
        for each in self.made.inputs:
            if each.path is not None and each.path[0] == "state":
                each.name = f"{each.path[2]}_{names[parameters[each.value]]}"

    def _name_updates(self, update: Update, text: Text, final_names: dict[StandIn, str]) -> None:
        """The new numbers have the names of the old ones."""
        names = {each.stand_in: each.name for each in text.inputs}
        for each in update.moved:
            if each.next_number._kind != "input":
                final_names[each.next_number] = names[each.number]
            for key, x in each.state.items():
                final_names.setdefault(x, f"{key}_{names[each.number]}")


def _about_update(optimizer: Optimizer, parameter: str, states: Sequence[str]) -> str:
    """The heading of the update: the first lines about optimizers, and microgd's own formulas."""
    classes = type(optimizer).__mro__
    lines = [f"update by {classes[0].__name__}"]
    for cls in classes[: classes.index(Optimizer)]:
        text = inspect.cleandoc(cls.__doc__ or "").splitlines()
        lines += text[:1]
        if cls.__module__ == optim.__name__:
            formulas = [line for line in text if line.startswith("    ")]
            if getattr(optimizer, "nesterov", None) is False:
                # SGD's remarks in brackets are about that, and about its first step.
                formulas = [re.sub(r" {2,}\(.*\)$", "", line) for line in formulas]
            lines += formulas
    if len(lines) > 2:
        lines.append(f"Here p is {parameter}, for example, and g is d_{parameter}.")
    if states:
        goes_on = "goes" if len(states) == 1 else "go"
        lines.append(f"{' and '.join(states)}, for example, {goes_on} on into the next step.")
    return "\n".join(lines)


_IMPORTS = {"math": "math.", "numpy as np": "np."}


def _program_name(function: Any) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    name = re.sub(r"\W", "_", name).strip("_")
    return name if name.isidentifier() and name != "lambda" else "program"
