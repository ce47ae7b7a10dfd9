"""The race of baskets.py: how far each way to descend gets at each learning rate, and who wins."""

import sys
from functools import partial

import numpy as np
import program

from microgd import nn


def record(steps, loss, goal, most, every):
    """Rows of examples looked at, multiply-adds, and the loss, until the goal or at most so many
    examples. A loss of 100 is the end, too.

    `steps` yields what each step costs: examples and multiply-adds. `loss()` is the loss over all
    examples. That takes longer than a step of SGD, so it is computed only when so many more
    examples have been looked at as `every` says.
    """
    history = [(0, 0, loss())]
    visits = work = 0
    for examples, multiply_adds in steps:
        visits += examples
        work += multiply_adds
        if visits - history[-1][0] < every:
            continue
        history.append((visits, work, loss()))
        if history[-1][2] <= goal or visits >= most or not history[-1][2] < 100:
            break
    return np.array(history)


def run(ways, rates, start, loss_of, goal, most, every):
    """For each way that gets down to the goal, its best rate and its record; and print them.

    `ways[name](model, lr)` yields the costs of the steps from `start()`. The best rate is the one
    with the fewest examples looked at. If no way gets there, the program ends.
    """
    first = loss_of(start())
    if first <= goal:
        sys.exit(f"the first loss, {first:.3g}, is not above the goal, {goal}: try a lower GOAL")
    print(f"From a loss of {first:.2f} down to {goal}:\n")
    print(f"{'':36s} {'best rate':>9s} {'examples looked at':>20s} {'multiply-adds':>15s}")
    best = {}
    for name, way in ways.items():
        most_now = most
        for lr in rates:
            model = start()
            loss = partial(loss_of, model)
            history = record(way(model, lr), loss, goal, most_now, every)
            if history[-1, 2] <= goal:
                best[name] = (lr, history)
                most_now = history[-1, 0]  # a rate that takes longer than the best need not go on
        if name in best:
            lr, history = best[name]
            print(f"{name:36s} {lr:9.3g} {history[-1, 0]:20,.0f} {history[-1, 1]:15,.0f}")
        else:
            print(f"{name:36s} not within {most:,} examples looked at, at any of the rates")
    print()
    if not best:
        sys.exit(f"no way gets down to a loss of {goal}: try a higher GOAL or MOST, or other RATES")
    return best


def say_fewest(best):
    """Print which way needs the fewest examples, and the fewest multiply-adds, and how many times
    as many each of the others takes. Return the first ones, by what is counted.
    """
    fewest = {}
    for column, unit in enumerate(["examples looked at", "multiply-adds"]):
        needed = {name: history[-1, column] for name, (_, history) in best.items()}
        fewest[unit], *others = sorted(needed, key=needed.get)
        print(f"The fewest {unit}: {fewest[unit]}.")
        for name in others:
            ratio = needed[name] / needed[fewest[unit]]
            many = f"{ratio:6.1f} times as many" if ratio > 1 else "just as many"
            print(f"    {many}: {name}")
        print()
    return fewest


def say_rise(best):
    """If a loss rises first, which looks like a mistake, print why that is none.

    Return the row of its record where it is highest, or None.
    """
    name = max(best, key=lambda name: best[name][1][:, 2].max())
    lr, history = best[name]
    top = history[np.argmax(history[:, 2])]
    if top[2] <= history[0, 2]:
        return None
    program.say(
        f"The loss of “{name}” rises to {top[2]:.2f} on its way. Its best rate, {lr:.3g},",
        "is too large for the first steps, which jump past the minimum. But no lower rate that was",
        "tried gets to the goal with fewer examples.",
    )
    return top


def check(model, examples, batch, pixels, steps, rates):
    """End the program if a setting will not do. `examples` is how many there are, and `steps` the
    fewest with one block.
    """
    if not isinstance(model, nn.Linear) or model.weight.shape != (10, 784):
        sys.exit("the network must be nn.Linear(784, 10): the ways to descend are made for it")
    if not 1 <= batch <= examples or not 1 <= pixels <= 784 or steps < 1:
        sys.exit(f"BATCH must be 1 to {examples:,}, PIXELS 1 to 784, and TIMES and LONG 1 or more")
    if min(rates, default=1.0) <= 0:
        sys.exit("RATES must be above 0")
