"""Against PyTorch, which nobody here wrote: every operation, random graphs, edge values, optimizer, layers and losses."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from domains import COMPOSED, DOMAINS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgd import Value, gradients, nn, optim, train
from microgd.backprop import OPERATIONS

torch = pytest.importorskip("torch")
from torch_oracle import BINARY, FUNCTIONS, TORCH, UNARY, Program, Step, Writer, compare, numbers  # noqa: E402 (it imports torch)

CHUNKS = 20
EXAMPLES = DOMAINS | COMPOSED
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """PyTorch's threads would only wait for each other, and for those of the other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ── Every operation ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_pytorch_has_every_operation_that_there_is():
    assert set(OPERATIONS) | set(COMPOSED) <= set(TORCH)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
@every_dtype
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_an_operation_and_its_derivatives_of_both_orders_are_pytorchs(name, dtype, data):
    operands, options = data.draw(EXAMPLES[name].cases)
    given = [np.asarray(x, dtype) if np.ndim(x) and np.asarray(x).dtype.kind == "f" else x for x in operands]
    leaves = [x for x in given if np.asarray(x).dtype.kind == "f"]
    places = iter(range(len(leaves)))
    steps = [Step(name, [next(places) if np.asarray(x).dtype.kind == "f" else ("constant", x) for x in given], options)]
    assert compare(Program(leaves, steps, [len(leaves)], {name: EXAMPLES[name].function})) in ("the same", "ill-conditioned")


# ── Edge values ──────────────────────────────────────────────────────────────────────────────────────────────────────

EDGES = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, np.inf, -np.inf, np.nan, 1e-300, 1e300]


def both(name, *arrays, **options):
    """The value, the gradients, and each one's gradients: microgd's and PyTorch's."""
    mine = [Value(x) for x in arrays]
    out = FUNCTIONS[name](*mine, **options)
    first = gradients((out * 1.0).sum(), mine, create_graph=True)
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    their_out = TORCH[name](*theirs, **options)

    def slopes(of):
        found = torch.autograd.grad(of.sum(), theirs, create_graph=True, allow_unused=True) if of.requires_grad else [None] * 2
        return [torch.zeros_like(x) if g is None else g for x, g in zip(theirs, found, strict=False)]

    their_first = slopes(their_out)
    second = [h for g in first for h in gradients((g * 1.0).sum(), mine)]
    their_second = [numbers(h) for g in their_first for h in slopes(g)]
    return [
        ([out.data], [numbers(their_out)]),
        ([g.data for g in first], [numbers(g) for g in their_first]),
        (second, their_second),
    ]


def different(mine, theirs, where):
    """The points at which the two are not the same, nan being the same as nan."""
    wrong = ~np.isclose(mine, theirs, rtol=1e-9, atol=0.0, equal_nan=True)
    return [point for point, found in zip(where, wrong, strict=True) if found]


# Where a nan comes in, microgd's results are nan; PyTorch's sign of it is 0, and so are the slopes made with that.
WITH_NAN = {"absolute", "sign", "power"}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*UNARY, *(name for name in BINARY if name != "matmul")])
def test_edge_values_and_the_slopes_there_are_pytorchs(name):
    points = list(product(EDGES, repeat=1 if name in UNARY else 2))
    for mine, theirs in both(name, *(np.array(x) for x in zip(*points, strict=True)))[:2]:
        for ours, other in zip(mine, theirs, strict=True):
            found = different(ours, other, points)
            assert [p for p in found if name not in WITH_NAN or not np.isnan(p).any()] == []


# At 0, where PyTorch's second derivatives of x**y are nan or leave out the mixed one, microgd's are the limits; logaddexp's
# are 0 where both operands are infinite, or far apart.
DEFINED_ELSEWHERE = {
    "power": lambda x, y: x <= 0 or y == 0 or abs(y) > 100,
    "logaddexp": lambda x, y: max(abs(x), abs(y)) > 100 or np.isnan(x + y),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*UNARY, *(name for name in BINARY if name != "matmul")])
def test_second_derivatives_at_edge_values_are_pytorchs(name):
    points = list(product(EDGES, repeat=1 if name in UNARY else 2))
    mine, theirs = both(name, *(np.array(x) for x in zip(*points, strict=True)))[2]
    elsewhere = DEFINED_ELSEWHERE.get(name, lambda *point: np.isnan(point).any())
    for ours, other in zip(mine, theirs, strict=True):
        assert [point for point in different(ours, other, points) if not elsewhere(*point)] == []


TIES = np.array([[1.0, 1.0, 0.0], [2.0, 1.0, 2.0], [-0.0, 0.0, 0.0]])


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_ties_share_the_gradient_as_in_pytorch(name, axis, keepdims):
    for mine, theirs in both(name, TIES, axis=axis, keepdims=keepdims):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize("options", [{"min": 0.0, "max": 1.0}, {"min": 1.0}, {"max": 0.0}, {"min": 2.0, "max": 1.0}])
def test_the_bounds_of_clip_have_pytorchs_slopes(options):
    for mine, theirs in both("clip", TIES, **options):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", ["sum", "mean", "logsumexp", "softmax", "log_softmax", "ravel", "transpose", "square"])
@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_empty_arrays_are_as_in_pytorch(name, shape):
    for mine, theirs in both(name, np.ones(shape))[:2]:
        for ours, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(ours, other)


# ── Random graphs ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_graphs_have_pytorchs_values_and_derivatives_of_both_orders(chunk, size, record_property):
    found, each = Counter(), size(20, 1000)
    for number in range(chunk * each, (chunk + 1) * each):
        program = Writer(0, number).write()
        try:
            found[compare(program)] += 1
        except AssertionError as error:
            raise AssertionError(f"graph {number}: {error}") from None
    record_property("graphs compared with PyTorch", found["the same"])
    record_property("graphs not judged, too ill-conditioned", found["ill-conditioned"])
    record_property("graphs not judged, not finite", found["not finite"])
    assert found["the same"] >= 0.95 * each


def test_random_graphs_contain_every_operation_that_they_may():
    steps = [step for number in range(600) for step in Writer(0, number).write().steps]
    assert {step.name for step in steps} >= {*UNARY, *BINARY} | set(FUNCTIONS) - {"scatter", "astype"}


@pytest.mark.parametrize("name", ["multiply", "tanh", "square", "mean", "softmax"])
def test_a_rule_that_is_slightly_wrong_is_found_in_most_graphs_that_end_with_it(name):
    programs = [program for program in (Writer(1, number).write() for number in range(400)) if steps_of(program)[-1:] == [name]]
    programs += [Program([np.array([0.5, -1.5], t)], [Step("tanh", [0]), *using(name)], [2], FUNCTIONS) for t in "fd"]
    found = 0
    for program in programs:

        def wrong(*operands, program=program, **options):
            right = TORCH[name](*operands, **options)
            return right + 3e3 * program.eps * (right - right.detach())  # the value is right, and the slope is not

        try:
            compare(program, TORCH | {name: wrong})
        except AssertionError:
            found += 1
    assert found > len(programs) / 2


def steps_of(program):
    return [step.name for step in program.steps]


def using(name):
    operands = [1, 0] if name in BINARY else [1]
    return [Step(name, operands, {"axis": 0} if name == "softmax" else {})]


# ── Optimizer, layers, losses, weights ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_fifty_steps_with_gradients_that_come_and_go_and_a_rate_that_falls_are_pytorchs(
    momentum, weight_decay, nesterov, dtype, tolerance
):
    if nesterov and not momentum:
        for optimizer, p in ((optim.SGD, Value([1.0])), (torch.optim.SGD, torch.ones(1))):
            with pytest.raises(ValueError, match="momentum"):
                optimizer([p], lr=0.1, nesterov=True)
        return
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape).astype(dtype) for shape in ((3, 2), (4,), (1,))]
    mine, theirs = [Value(x) for x in starts], [torch.tensor(x) for x in starts]
    options = {"lr": 0.1, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
    ours, other = optim.SGD(mine, **options), torch.optim.SGD(theirs, **options)
    for _ in range(50):
        for p, q in zip(mine, theirs, strict=True):
            g = None if rng.random() < 0.2 else rng.normal(size=p.shape).astype(dtype)
            p.grad, q.grad = g, None if g is None else torch.tensor(g)
        ours.step()
        other.step()
        ours.lr *= 0.97
        other.param_groups[0]["lr"] *= 0.97
    for p, q in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(p.data, q.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("part", ["weight", "bias"])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 2000), (7, 1500), (784, 64)])
def test_linear_starts_distributed_as_in_pytorch(part, inputs, outputs):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layers = [nn.Linear(inputs, outputs, rng=rng) for _ in range(4)], [torch.nn.Linear(inputs, outputs) for _ in range(4)]
    mine = np.sort(np.concatenate([getattr(layer, part).data.ravel() for layer in layers[0]]))
    theirs = np.sort(np.concatenate([getattr(layer, part).detach().numpy().ravel() for layer in layers[1]]))
    # Kolmogorov and Smirnov: the largest distance between the two distribution functions, here at 1 in 1,000.
    at = np.concatenate([mine, theirs])
    distance = np.abs(np.searchsorted(mine, at) / mine.size - np.searchsorted(theirs, at) / theirs.size).max()
    assert distance < 1.95 * np.sqrt(2 / mine.size)


@every_dtype
@pytest.mark.parametrize("examples", [1, 5])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 100.0])
def test_cross_entropy_and_its_derivatives_of_both_orders_are_pytorchs(dtype, examples, scale):
    rng = np.random.default_rng(0)
    logits, labels = (scale * rng.normal(size=(examples, 10))).astype(dtype), rng.integers(0, 10, examples)
    program = Program([logits], [Step("cross_entropy", [0, ("constant", labels)])], [1], {"cross_entropy": nn.cross_entropy})
    assert compare(program) in ("the same", "ill-conditioned" if scale > 1 else "the same")


def test_weights_go_to_pytorch_through_a_file_and_come_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(5, 20, rng=rng), nn.ReLU(), nn.Linear(20, 3, rng=rng))
    model.save(tmp_path / "model.npz")
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 20), torch.nn.ReLU(), torch.nn.Linear(20, 3))
    with np.load(tmp_path / "model.npz") as arrays:
        theirs.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()})
    torch.save(theirs.state_dict(), tmp_path / "model.pt")
    back = nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Linear(20, 3))
    back.load_state_dict({name: x.numpy() for name, x in torch.load(tmp_path / "model.pt").items()})
    for name, data in model.state_dict().items():
        np.testing.assert_array_equal(back.state_dict()[name], data, strict=True)
    assert [p.data.strides for p in back.parameters()] == [p.data.strides for p in model.parameters()]


def test_five_epochs_of_training_lead_where_pytorchs_do():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    model = nn.Sequential(nn.Linear(5, 16, rng=rng, dtype=np.float64), nn.Tanh(), nn.Linear(16, 3, rng=rng, dtype=np.float64))
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).double()
    theirs.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in model.state_dict().items()})
    ours, other = optim.SGD(model.parameters(), 0.1, 0.9), torch.optim.SGD(theirs.parameters(), 0.1, 0.9)
    losses = [epoch.loss for epoch in train.fit(model, nn.cross_entropy, ours, x, y, epochs=5, batch_size=60, rng=rng)]
    for loss in losses:
        other.zero_grad()
        theirs_loss = torch.nn.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y))
        theirs_loss.backward()
        other.step()
        np.testing.assert_allclose(loss, theirs_loss.item(), rtol=1e-12)
