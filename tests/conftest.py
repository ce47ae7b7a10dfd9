"""Fixtures that several files of tests use."""

import gc

import pytest

from microgd.backprop import OPERATIONS


@pytest.fixture
def registry():
    """The registry of operations, to which a test may add."""
    known = dict(OPERATIONS)
    yield OPERATIONS
    OPERATIONS.clear()
    OPERATIONS.update(known)


@pytest.fixture
def no_collector():
    """Python without its garbage collector: what is freed is freed by counting references."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
