"""In-place changes at any moment between forward and backward: the right gradient, or an error.

A random program uses a parameter, changes it in every possible way, takes its `data` and views of
it, and writes into the arrays it took before. The test knows which numbers each use recorded, those
of that moment, and which numbers the parameter must hold afterwards.
"""

import numpy as np
import pytest

from microgd import Value, gradients, nn, no_grad, operations, optim

SHAPES = [(3,), (2, 2), (1,), (2, 1, 2)]
VIEWS = {
    "itself": lambda data: data,
    "a slice": lambda data: data[:],
    "a row": lambda data: data[0:1],
    "transposed": lambda data: data.T,
    "flat": lambda data: data.reshape(-1),
    "a view of a view": lambda data: data.T[..., :][::-1],
    "a buffer": lambda data: np.asarray(memoryview(data)),
    "strided": lambda data: np.lib.stride_tricks.as_strided(data),
    "a field": lambda data: data.view(np.float64).real,
}


CUBES = [
    lambda x: x * x * x,
    lambda x: (1.0 * x) ** 3,
    lambda x: x.reshape(-1).reshape(x.shape) ** 3.0,
    lambda x: x[...] ** 3.0,
    lambda x: operations.concatenate([x, x[:0]]) ** 3.0,
    lambda x: operations.where(True, x, x) ** 3.0,
    lambda x: np.power(x, 3.0),
]


class Use:
    """One use of the parameter: a term c * x³, whose slope is 3c * x²."""

    def __init__(self, rng, p):
        cube, c = CUBES[rng.integers(len(CUBES))], float(rng.integers(1, 4))
        self.slope = 3 * c * np.array(p._numbers) ** 2
        self.term = (cube(p) * c).sum()


class Program:
    """A parameter, the numbers it should hold, the arrays taken from it, and its uses."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.expected = self.number(SHAPES[self.rng.integers(len(SHAPES))])
        self.p = Value(self.expected)
        self.module = nn.Sequential()
        self.module.p = self.p
        self.optimizer = optim.SGD([self.p], lr=0.5, momentum=0.5)
        self.uses, self.log = [], []
        # Each array with the same view of `expected`, or with None once `expected` is replaced.
        self.taken = []

    def number(self, shape):
        return self.rng.integers(-4, 5, shape) / 2  # so that sums and products are exact

    def use(self):
        self.uses.append(Use(self.rng, self.p))

    def use_without_recording(self):
        with no_grad():
            self.result = self.p.reshape(-1)

    def use_no_more(self):
        self.uses.clear()

    def take(self):
        view = VIEWS[self.rng.choice(list(VIEWS))]
        self.taken.append((view(self.p.data), view(self.expected)))

    def let_go(self):
        self.taken.clear()

    def write_into_what_was_taken(self):
        if self.taken:
            array, expected = self.taken[self.rng.integers(len(self.taken))]
            new = self.number(array.shape)
            try:
                array[...] = new
            except ValueError:
                assert expected is None, (
                    "an array that the parameter still uses cannot be written into"
                )
            else:
                if expected is not None:
                    expected[...] = new

    def replace(self, new):
        """From now on the arrays that were taken are copies of the old numbers."""
        self.expected = new
        self.taken = [(array, None) for array, _ in self.taken]

    def assign(self):
        new = self.number(self.p.shape)
        self.p.data = new
        self.replace(new.copy())

    def load(self):
        new = self.number(self.p.shape)
        self.module.load_state_dict({"p": new})
        self.replace(new.copy())

    def subtract(self):
        self.p.data -= 0.5
        self.expected -= 0.5

    def write(self):
        self.p.data[..., 0] = 1.5
        self.expected[..., 0] = 1.5

    def write_through_numpy(self):
        np.negative(self.p.data, out=self.p.data)
        np.negative(self.expected, out=self.expected)

    def step(self):
        if self.p.grad is not None:
            before = self.p.data.copy()
            self.optimizer.step()
            self.replace(self.p._numbers.copy())
            assert not np.shares_memory(before, self.p._numbers)

    def backward(self):
        if self.uses:
            self.p.grad = None
            total = sum((use.term for use in self.uses), Value(0.0))
            total.backward()
            np.testing.assert_array_equal(self.p.grad, sum(use.slope for use in self.uses))

    def differentiate_twice(self):
        if self.uses:
            use = self.uses[-1]
            try:
                (slope,) = gradients(use.term, [self.p], create_graph=True)
            except RuntimeError:
                return  # the parameter has changed, and the error says so
            np.testing.assert_array_equal(slope.data, use.slope)

    def write_into_the_gradient(self):
        if self.p.grad is not None:
            self.p.grad *= 2.0

    def run(self, moments):
        events = [
            name
            for name in vars(Program)
            if not name.startswith("_") and name not in ("number", "replace", "run")
        ]
        for _ in range(moments):
            event = self.rng.choice(events)
            self.log.append(str(event))
            getattr(self, event)()
            np.testing.assert_array_equal(self.p._numbers, self.expected)
        self.backward()


def failures(seeds, moments):
    """Run a program for each seed, and say which ones found a wrong gradient or wrong numbers."""
    wrong = []
    for seed in seeds:
        program = Program(seed)
        try:
            program.run(moments)
        except AssertionError as error:
            wrong.append(f"program {seed}: {', '.join(program.log)}: {error}")
    return wrong


@pytest.mark.parametrize("chunk", range(8))
def test_whatever_is_changed_in_place_the_recorded_gradient_is_right(chunk, size, record_property):
    programs, moments = size(100, 10_000), 25
    wrong = failures(range(chunk * programs, (chunk + 1) * programs), moments)
    record_property("moments at which a parameter was used or changed in place", programs * moments)
    assert wrong == []
