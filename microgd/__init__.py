"""microgd: a minimal automatic-differentiation engine on NumPy. With this library one can

- compute with `Value`s, numbers and arrays that remember how they were made, and get derivatives by `backward`;
- differentiate functions, any number of times: `grad`, `value_and_grad`, `gradients`;
- train small networks: `nn`, `optim`, `data`, `train`;
- add an operation (`operation`) and check its derivative (`check_gradients`).

To read how it works, read backprop.py, operations.py and value.py, in this order.
"""

from microgd import data, nn, operations, optim, train
from microgd.backprop import operation
from microgd.functional import grad, gradients, value_and_grad
from microgd.gradcheck import GradientError, check_gradients
from microgd.recording import no_grad
from microgd.value import Value

__all__ = [
    "GradientError",
    "Value",
    "check_gradients",
    "data",
    "grad",
    "gradients",
    "nn",
    "no_grad",
    "operation",
    "operations",
    "optim",
    "train",
    "value_and_grad",
]
