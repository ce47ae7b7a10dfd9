"""A minimal automatic-differentiation engine on NumPy, written to be read.

To compute, and get derivatives:

    Value            a number or an array that records what is computed with it, for `backward`
    no_grad          a context, or a decorator, in which nothing is recorded
    grad             the function that returns the gradient of a function
    value_and_grad   the function that returns a function's value and its gradient
    jacobian         the function that returns the derivative of each element of a result
    hessian          the function that returns the matrix of second derivatives
    gradients        the gradients of a Value for any of the Values it was computed from
    hvp              the product of a vector and the matrix of second derivatives
    operations       a module: the table of operations, such as exp, matmul and softmax
    numpy_functions  a module: NumPy's further functions, such as einsum, std and pad

To train small networks, these modules:

    nn               layers, losses, and `Module`, from which you make your own networks
    optim            gradient descent: `SGD`, `Adam`, `AdamW`, and a class to write your own
    data             digits and other images, mini-batches, labels as numbers, scaling
    train            the training loop, evaluation, and checkpoints
    plots            pictures of losses, images, and the landscape of a loss

To look at a computation graph:

    draw             a picture of the graph that computed a value
    film             a page that plays the computation and the reverse pass, step by step

To see a computation and its backward pass as NumPy, and to run it as that:

    source           the program of NumPy calls that a function and its gradients are
    compiled         the same function, run as that program

To add an operation:

    operation        the decorator that makes an operation of a function and its derivative rules
    check_gradients  the check that compares gradients with difference quotients
    GradientError    the error of `check_gradients`: a gradient is wrong

`help` of each of these names says more, as in `help(microgd.nn)`. To read how it all works, read
backprop.py, operations.py and value.py, in this order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microgd import numpy_functions, operations
from microgd.functional import grad, gradients, hessian, hvp, jacobian, value_and_grad
from microgd.recording import no_grad
from microgd.registry import operation
from microgd.value import Value

if TYPE_CHECKING:
    from microgd import data, nn, optim, plots, train
    from microgd.gradcheck import GradientError, check_gradients
    from microgd.pictures.draw import draw
    from microgd.pictures.film import film
    from microgd.programs.program import source
    from microgd.programs.run import compiled

__version__ = "0.1.0"

__all__ = [
    "GradientError",
    "Value",
    "check_gradients",
    "compiled",
    "data",
    "draw",
    "film",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "jacobian",
    "nn",
    "no_grad",
    "numpy_functions",
    "operation",
    "operations",
    "optim",
    "plots",
    "source",
    "train",
    "value_and_grad",
]

_HOME = {
    "GradientError": "gradcheck",
    "check_gradients": "gradcheck",
    "compiled": "programs.run",
    "draw": "pictures.draw",
    "film": "pictures.film",
    "source": "programs.program",
}


def __getattr__(name: str) -> Any:
    """A module or a name that is loaded when it is first used.

    So `import microgd` costs little more than NumPy.
    """
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'microgd' has no attribute {name!r}")
    if name in _HOME:
        return getattr(import_module(f"microgd.{_HOME[name]}"), name)
    return import_module(f"microgd.{name}")


def __dir__() -> list[str]:
    return __all__
