"""What does backpropagation compute, line by line?

It writes the backward pass of an expression, of a square and of a neuron as programs of NumPy
calls, and runs one of them.
"""

# %% A backward pass is a program, too: microgd.source writes it.
import runpy

import numpy as np
import program
import written

from microgd import Value, source

options = written.options(__doc__)

# %% The shortest: an expression of four numbers.


def expression(a, b, c, f):
    """L = (a · b + c) · f, step by step."""
    e = a * b
    d = e + c
    L = d * f
    return L


program.say(
    "An expression of a, b, c and f. Its program begins with the expression's own lines, and",
    "then goes back from L to a, b, c and f.",
)
text = source(expression, Value(2.0), Value(-3.0), Value(10.0), Value(-2.0))
written.show(text, options)
written.save(text, options.out / "expression.py")
written.look_at(
    text,
    {
        "d_L = 1.0": "d_NAME is the slope of L if NAME alone changes: when a grows by a little, "
        "L changes by d_a times as much. The way back begins with L's own slope, which is 1, and "
        "takes the lines of the expression in reverse.",
        "d_a = d_e * b": "The chain rule: a changes e, and e changes L, so their slopes are "
        "multiplied. b is the slope of e = a * b if a alone changes.",
        "d_e = d_d": "A sum passes a slope on as it is. Here d_e is another name for the same "
        "number.",
    },
)

# %% A number that is used twice reaches the result in two ways.


def square(x):
    """x² as a product."""
    y = x * x
    return y


program.say("What is different if a number, here x, is used twice?")
text = source(square, Value(3.0))
written.show(text, options)
written.look_at(
    text,
    {
        "d_x = d_x + d_y * x": "Each use makes a contribution to the slope, and contributions "
        "add up. Together they are 2x, as on paper.",
    },
)

# %% A neuron: it multiplies each input by a weight, adds a bias, and bends the sum by tanh.


def neuron(x1, x2, w1, w2, b):
    """A neuron with two inputs."""
    n = x1 * w1 + x2 * w2 + b
    o = np.tanh(n)
    return o


program.say("A neuron with two inputs:")
INPUTS = (2.0, 0.0)
WEIGHTS = (-3.0, 1.0)
BIAS = 6.8813735870195432
text = source(neuron, *(Value(number) for number in (*INPUTS, *WEIGHTS, BIAS)))
written.show(text, options)
written.save(text, options.out / "neuron.py")
written.look_at(
    text,
    {
        "d_w2 = d_n * x2": "The slope of a weight has its input as a factor. x2 is 0 here, so "
        "d_w2 is 0.",
        "d_n = d_o * sech * sech": "The slope of tanh(n) is 1 − tanh(n)². That is sech(n)², where "
        "sech(n) is 2 / (exp(n) + exp(−n)). The program computes sech, because 1 − tanh(n)² loses "
        "its digits when tanh(n) is close to 1.",
    },
)

# %% The program of the expression, read from its file, with other numbers.
saved = runpy.run_path(str(options.out / "expression.py"))["expression"]
OTHERS = {"a": 1.0, "b": 4.0, "c": -2.0, "f": 3.0}
L, *slopes = saved(*OTHERS.values())
VALUES = [Value(number) for number in OTHERS.values()]
expression(*VALUES).backward()
SAME = slopes == [value.grad for value in VALUES]
program.say(
    "The files need NumPy alone. What expression.py computes if",
    ", ".join(f"{name} is {number:g}" for name, number in OTHERS.items()) + ":",
    f"L is {L:g}, and the slopes are",
    ", ".join(f"d_{name} = {slope:g}" for name, slope in zip(OTHERS, slopes, strict=True)) + ".",
    "microgd's backward() finds the same." if SAME else "But microgd's backward() finds others.",
)
