"""microgd: a minimal automatic-differentiation engine on NumPy. With this library one can

- compute with `Value`s, numbers and arrays that remember how they were made, and get derivatives by `backward`;
- differentiate functions, any number of times: `grad`, `value_and_grad`, `gradients`;
- train small networks: `nn`, `optim`, `data`, `train`; and see how they learn: `plots`;
- look at a computation graph (`draw`), and watch backpropagation on it, step by step (`film`);
- add an operation (`operation`) and check its derivative (`check_gradients`).

To read how it works, read backprop.py, operations.py and value.py, in this order.
"""

from typing import TYPE_CHECKING, Any

from microgd import operations
from microgd.functional import grad, gradients, hvp, value_and_grad
from microgd.recording import no_grad
from microgd.registry import operation
from microgd.value import Value

if TYPE_CHECKING:
    from microgd import data, nn, optim, plots, train
    from microgd.gradcheck import GradientError, check_gradients
    from microgd.pictures.draw import draw
    from microgd.pictures.film import film

__all__ = ["GradientError", "Value", "check_gradients", "data", "draw", "film", "grad", "gradients", "hvp", "nn", "no_grad",
           "operation", "operations", "optim", "plots", "train", "value_and_grad"]  # fmt: skip

_HOME = {
    "GradientError": "gradcheck",
    "check_gradients": "gradcheck",
    "draw": "pictures.draw",
    "film": "pictures.film",
}


def __getattr__(name: str) -> Any:
    """The modules and names that load when they are first used, so that `import microgd` costs little beside NumPy."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'microgd' has no attribute {name!r}")
    return (
        getattr(import_module(f"microgd.{_HOME[name]}"), name)
        if name in _HOME
        else import_module(f"microgd.{name}")
    )


def __dir__() -> list[str]:
    return __all__
