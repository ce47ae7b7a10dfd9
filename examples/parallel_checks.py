"""What has to be the same in all processes of parallel.py: they say at once if it is not."""

import os

import numpy as np
import processes

from microgd import nn, train


def check_start(comm, options, digits, model):
    """End all if they begin with different options, digits or weights."""
    settings = f"{options.batch_size}, {options.epochs}, {options.rate}, {options.checkpoint}"
    processes.check_same(
        comm,
        {
            "images": digits.train.x,
            "labels": digits.train.y,
            "seed": options.seed,
            "settings": settings,
            "weights": nn.parameters_to_vector(model.parameters()),
        },
    )


def say_rounding(comm, units):
    """Say by how much the gradient by all processes and that by one differ.

    `units` are those in the last place of the largest element.
    """
    if comm.rank > 0:
        return
    if comm.size == 1:
        text = "There is one process, so this is plain training. `mpiexec -n 4` starts four."
    else:
        text = (
            f"The gradient by {comm.size} processes and that by one differ by at most {units:.1f} "
            "units in the last place of the largest element."
        )
    if units > 1000:
        text += " That is more than rounding: is something random, or not the same, in them?"
    print(text, flush=True)


def check_after(epoch, group, model, rng, order):
    """End all if what a process has seen or learned, or will draw, is not the same as in process 0.

    `order` holds the labels in the order in which they came.
    """
    things = {
        f"mini-batches in epoch {epoch}": np.concatenate(order),
        f"random numbers after epoch {epoch}": str(rng.bit_generator.state),
    }
    for name, array in model.state_dict().items():
        things[f"{name} after epoch {epoch}"] = array
    processes.check_same(group, things)


def check_finite(group, loss, part, parameters, where):
    """Raise `DivergedError` if the loss or a gradient is infinite or nan.

    These are means over all processes. A number that is nan in one process is nan in the mean, and
    so in all: they stop together. `part` is the loss of this process's part.
    """
    if all(np.isfinite(each).all() for each in [loss, *(p.grad for p in parameters)]):
        return
    parts = ", ".join(f"{each:.3g}" for each in group.allgather(part))
    raise train.DivergedError(
        f"the loss or a gradient became infinite or nan in {where}. The losses of the parts, "
        f"from process 0 on, are {parts}. If one part alone is nan, look at its data; "
        "otherwise try a smaller --rate"
    )


def resume(group, path, model, optimizer, rng):
    """Go on from the checkpoint, if there is one. Return the number of epochs that are done."""

    def load():
        if not os.path.exists(path):
            return 0
        return train.load_checkpoint(path, model, optimizer, rng)

    done = processes.together(group, load)
    processes.check_same(group, {f"epochs in {path}": done})
    if group.rank == 0:
        print(f"epochs done, by {path}: {done}", flush=True)
        if done:
            print(f"The learning rate, {optimizer.lr:g}, and the order of digits are as they were.")
    return done
