"""What does a step of training compute, line by line, and how fast is it as a program?

It writes the loss of a network that reads digits, the way back and the update as a program of NumPy
calls, and trains with such a program.
"""

# %% The digits. A network 784→16→10 reads them, 32 for each step.
import numpy as np
import program
import written

from microgd import data, nn, optim, source, train

options = written.options(__doc__)
BATCH_SIZE = 32
digits = data.digits()


def beginning():
    """The network with its first weights, and an optimizer for it."""
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Linear(784, 16, rng=rng), nn.ReLU(), nn.Linear(16, 10, rng=rng))
    return network, optim.SGD(network.parameters(), lr=0.1, momentum=0.9)


# %% The program: its loss for 32 digits, the way back, and the optimizer's update.
network, optimizer = beginning()


def digits_loss(x, y):
    """The cross-entropy of the network's outputs, for images x with labels y."""
    logits = network(x)
    loss = nn.cross_entropy(logits, y)
    return loss


program.say(
    f"The network, and a whole step of its training with {BATCH_SIZE} digits: the loss, the way",
    "back, and the optimizer's update.",
)
text = source(
    digits_loss,
    digits.train.x[:BATCH_SIZE],
    digits.train.y[:BATCH_SIZE],
    model=network,
    optimizer=optimizer,
)
written.show(text, options)
written.save(text, options.out / "digits.py")
written.look_at(
    text,
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
    },
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
