"""What does backpropagation compute, line by line?

It writes the backward pass of an expression, of a neuron and of a network that reads digits as
programs of NumPy calls, and runs them.
"""

# %% A backward pass is a program, too: microgd.source writes it.
import runpy
import textwrap

import numpy as np
import program

from microgd import Value, data, nn, optim, source, train

parser = program.parser(__doc__, saved="programs")
parser.add_argument(
    "--numbers",
    action="store_true",
    help="show beside each line the number that it computes, or the shape of the array",
)
parser.add_argument(
    "--fast",
    action="store_true",
    help="also show the programs that run for speed, by train.fit(..., compiled=True)",
)
options = program.options(parser)


def show(written):
    """Print a program; with --fast, also the one that runs for speed."""
    print(written.with_numbers() if options.numbers else written)
    if options.fast:
        program.say("For speed these calls are made, in place where that changes no result:")
        print(written.fast.strip("\n"), end="\n\n")


def save(written, name):
    """Write a program into a file, and say where it is."""
    path = options.out / f"{name}.py"
    written.save(path)
    print(f"program: {path}\n")


def look_at(lines):
    """Print what there is to say about some lines of a program."""
    print("What to look at:")
    for line, sentences in lines.items():
        print(f"    {line}")
        print(textwrap.indent(textwrap.fill(sentences, 88), " " * 8))
    print()


# %% The shortest: an expression of four numbers.


def expression(a, b, c, f):
    """L = (a · b + c) · f, step by step."""
    e = a * b
    d = e + c
    L = d * f
    return L


program.say(
    "An expression: L = (a · b + c) · f. Its program begins with the expression's own lines, and",
    "then goes back from L to a, b, c and f.",
)
written = source(expression, Value(2.0), Value(-3.0), Value(10.0), Value(-2.0))
show(written)
save(written, "expression")
look_at(
    {
        "d_L = 1.0": "d_NAME is the slope of L if NAME alone changes: when a grows by a little, "
        "L changes by d_a times as much. The way back begins with L's own slope, which is 1, and "
        "takes the lines of the expression in reverse.",
        "d_a = d_e * b": "The chain rule: a changes e, and e changes L, so their slopes are "
        "multiplied. b is the slope of e = a * b if a alone changes.",
        "d_e = d_d": "A sum passes a slope on as it is. Here d_e is another name for the same "
        "number.",
    }
)

# %% A number that is used twice reaches the result in two ways.


def square(x):
    """x² as a product."""
    y = x * x
    return y


program.say("A number that is used twice, x in y = x · x:")
written = source(square, Value(3.0))
show(written)
look_at(
    {
        "d_x = d_x + d_y * x": "Each use makes a contribution to the slope, and contributions "
        "add up. Together they are 2x, as on paper.",
    }
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
written = source(neuron, *(Value(number) for number in (*INPUTS, *WEIGHTS, BIAS)))
show(written)
save(written, "neuron")
look_at(
    {
        "d_w2 = d_n * x2": "The slope of a weight has its input as a factor. x2 is 0 here, so "
        "d_w2 is 0.",
        "d_n = d_o * sech * sech": "The slope of tanh(n) is 1 − tanh(n)². That is sech(n)², where "
        "sech(n) is 2 / (exp(n) + exp(−n)). The program computes sech, because 1 − tanh(n)² loses "
        "its digits when tanh(n) is close to 1.",
    }
)

# %% A network that reads digits: its loss for 32 digits, the way back, and the optimizer's update.
BATCH_SIZE = 32
digits = data.digits()


def beginning():
    """The network 784→16→10 with its first weights, and an optimizer for it."""
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Linear(784, 16, rng=rng), nn.ReLU(), nn.Linear(16, 10, rng=rng))
    return network, optim.SGD(network.parameters(), lr=0.1, momentum=0.9)


network, optimizer = beginning()


def digits_loss(x, y):
    """The cross-entropy of the network's outputs, for images x with labels y."""
    logits = network(x)
    loss = nn.cross_entropy(logits, y)
    return loss


program.say(
    f"The network 784→16→10, and a whole step of its training with {BATCH_SIZE} digits: the loss,",
    "the way back, and the update by SGD with momentum.",
)
written = source(
    digits_loss,
    digits.train.x[:BATCH_SIZE],
    digits.train.y[:BATCH_SIZE],
    model=network,
    optimizer=optimizer,
)
show(written)
save(written, "digits")
look_at(
    {
        "flat[label_places] -= 1.0": "flat is the same memory as p, so this subtracts 1 from the "
        "probability of each digit's label. Divided by the number of digits, the result is the "
        "slope of the loss with respect to the outputs.",
        "d_linear_0 = np.where(linear_0 <= 0, 0.0, d_relu_1)": "ReLU passes a slope on where its "
        "input is above 0.",
        "d_weight_2 = d_logits.T @ relu_1": "All digits use the same weights, so the "
        "contributions of all digits add up. A matrix product does this.",
        "d_bias_2 = np.ones(32, np.float32) @ d_logits": "The same for the biases.",
        "velocity_weight_2 = 0.9 * velocity_weight_2 + d_weight_2": "A velocity keeps 0.9 of what "
        "it was, and adds the new gradient. The next line moves the weights by it.",
    }
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

# %% Training: once operation by operation, once with such a program.


def train_twice_through(compiled):
    """The records of two epochs, and the weights after them, all in one vector."""
    network, optimizer = beginning()
    training = train.fit(
        network,
        nn.cross_entropy,
        optimizer,
        *digits.train,
        epochs=2,
        batch_size=BATCH_SIZE,
        rng=np.random.default_rng(0),
        compiled=compiled,
    )
    return list(training), nn.parameters_to_vector(network.parameters())


eager, eager_weights = train_twice_through(compiled=False)
fast, fast_weights = train_twice_through(compiled=True)
FASTER = [one.seconds / other.seconds for one, other in zip(eager, fast, strict=True)]
LOSSES = [[epoch.loss for epoch in epochs] for epochs in (eager, fast)]
program.say(
    f"Two epochs of {len(digits.train.x):,} digits, without and with train.fit(...,",
    "compiled=True), which writes such a program and runs it for each mini-batch. With the program",
    f"the first epoch was {FASTER[0]:.1f} times as fast, including the time that it took to write",
    f"it, and the second {FASTER[1]:.1f} times.",
)
if LOSSES[0] == LOSSES[1] and np.array_equal(eager_weights, fast_weights):
    program.say("The losses and the weights are the same, to the last bit.")
else:
    program.say(f"But the losses or the weights differ. The losses are {LOSSES[0]}; {LOSSES[1]}.")
