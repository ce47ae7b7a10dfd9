"""One step of stochastic gradient descent, as one writes it in each library.

Each function in `STEPS` takes the weights (out, in) and biases (out,) to start from, layer by
layer, and returns a function that makes one step on a mini-batch and returns its loss as a float.
Only the library that is asked for is imported.
"""

from functools import partial

import numpy as np

LEARNING_RATE = 0.01


def by_hand(layers):
    """What somebody writes who derives the gradients on paper: no graph, no gradient for the
    pixels.
    """
    weights = [w.T.copy() for w, _ in layers]
    biases = [b.copy() for _, b in layers]
    last = len(layers) - 1

    def step(x, y):
        inputs = []
        for i in range(last + 1):
            inputs.append(x)
            x = x @ weights[i]
            x += biases[i]
            if i < last:
                np.maximum(x, 0, out=x)
        x -= x.max(axis=1, keepdims=True)
        p = np.exp(x)
        sums = p.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = (np.log(sums[:, 0]) - x[rows, y]).mean()
        p /= sums
        p[rows, y] -= 1
        p /= len(y)
        for i in range(last, -1, -1):
            weights_gradient = inputs[i].T @ p
            biases_gradient = p.sum(axis=0)
            if i:
                p = p @ weights[i].T
                p *= inputs[i] > 0
            weights[i] -= LEARNING_RATE * weights_gradient
            biases[i] -= LEARNING_RATE * biases_gradient
        return float(loss)

    return step


def microgd_model(layers):
    """The network, as microgd has it."""
    from microgd import nn

    parts = []
    for w, b in layers:
        linear = nn.Linear(*w.T.shape)
        linear.load_state_dict({"weight": w, "bias": b})
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def microgd_step(model, loss_of):
    """As in the README, for a function that returns the loss."""
    from microgd import optim

    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step(x, y):
        loss = loss_of(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def by_microgd(layers):
    """Eager: each step records its operations."""
    from microgd import nn

    model = microgd_model(layers)
    return microgd_step(model, lambda x, y: nn.cross_entropy(model(x), y))


def by_drop_in(layers):
    """The same loop. Only the loss is a compiled program."""
    import microgd
    from microgd import nn

    model = microgd_model(layers)
    return microgd_step(model, microgd.compiled(lambda x, y: nn.cross_entropy(model(x), y)))


def torch_loss(layers):
    """The network's parameters, and the function that returns its loss on a mini-batch."""
    import torch

    parts = []
    for w, b in layers:
        linear = torch.nn.Linear(*w.T.shape)
        weight = torch.from_numpy(w.copy())
        bias = torch.from_numpy(b.copy())
        linear.load_state_dict({"weight": weight, "bias": bias})
        parts += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1])
    cross_entropy = torch.nn.CrossEntropyLoss()
    return model.parameters(), lambda x, y: cross_entropy(model(x), y)


def torch_step(parameters, loss_of):
    """As in PyTorch's documentation."""
    import torch

    optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE)

    def step(x, y):
        loss = loss_of(torch.from_numpy(x), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def by_torch(layers):
    """Eager."""
    return torch_step(*torch_loss(layers))


def by_torch_compile(layers):
    """The model and the loss as one compiled function."""
    import torch

    # Otherwise PyTorch would compile the second size of mini-batches for all sizes, which is
    # slower, and compile nothing after the eighth setting.
    torch.compiler.reset()
    parameters, loss_of = torch_loss(layers)
    return torch_step(parameters, torch.compile(loss_of))


def by_jax(layers):
    """The whole step as one compiled function, which may overwrite the old parameters."""
    import jax
    import jax.numpy as jnp

    parameters = [(jnp.array(w.T), jnp.array(b)) for w, b in layers]

    def loss_of(parameters, x, y):
        *hidden, last = parameters
        for w, b in hidden:
            x = jax.nn.relu(x @ w + b)
        w, b = last
        log_probabilities = jax.nn.log_softmax(x @ w + b)
        return -jnp.take_along_axis(log_probabilities, y[:, None], axis=1).mean()

    @partial(jax.jit, donate_argnums=0)
    def updated(parameters, x, y):
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        new = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, gradients)
        return new, loss

    def step(x, y):
        nonlocal parameters
        parameters, loss = updated(parameters, x, y)
        return float(loss)

    return step


def by_mygrad(layers):
    """With MyGrad's own loss, and without its guards against changed memory, which cost it time."""
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mygrad.turn_memory_guarding_off()
    weights = [mygrad.tensor(w.T.copy()) for w, _ in layers]
    biases = [mygrad.tensor(b.copy()) for _, b in layers]

    def step(x, y):
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            if i:
                x = relu(x, constant=False)
            x = mygrad.matmul(x, w) + b
        loss = softmax_crossentropy(x, y)
        loss.backward()
        for parameter in (*weights, *biases):
            parameter.data -= LEARNING_RATE * parameter.grad
        return loss.item()

    return step


def by_autograd(layers):
    """With autograd's value_and_grad of a function of all weights and biases."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.tracer import getval

    parameters = [(w.T.copy(), b.copy()) for w, b in layers]

    def loss_of(parameters, x, y):
        for i, (w, b) in enumerate(parameters):
            if i:
                x = anp.maximum(x, 0)
            x = anp.dot(x, w) + b
        x = x - getval(x).max(axis=1, keepdims=True)  # which the loss does not depend on
        return anp.mean(anp.log(anp.sum(anp.exp(x), axis=1)) - x[np.arange(len(y)), y])

    both = value_and_grad(loss_of)

    def step(x, y):
        loss, gradients = both(parameters, x, y)
        for layer, layer_gradients in zip(parameters, gradients, strict=True):
            for parameter, gradient in zip(layer, layer_gradients, strict=True):
                parameter -= LEARNING_RATE * gradient
        return float(loss)

    return step


STEPS = {
    "hand": by_hand,
    "microgd": by_microgd,
    "drop_in": by_drop_in,
    "torch": by_torch,
    "torch_compile": by_torch_compile,
    "jax": by_jax,
    "mygrad": by_mygrad,
    "autograd": by_autograd,
}
