"""The layers that examples/README.md shows, as it shows them: compared with PyTorch's, and saved."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from microgd import Value, check_gradients, nn, optim, train

PAGE = Path(__file__).parents[1] / "examples" / "README.md"


@pytest.fixture(scope="module")
def shown():
    """All names that the section's blocks define."""
    text = PAGE.read_text(encoding="utf-8").split("\n## Layers of your own\n")[1]
    section = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pair(shown, name):
    """One of the layers, for four features or words, and PyTorch's of the same weights."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    ours, theirs = {
        "BatchNorm": lambda: (shown["BatchNorm"](4), torch.nn.BatchNorm1d(4)),
        "LayerNorm": lambda: (shown["LayerNorm"](4), torch.nn.LayerNorm(4)),
        "Embedding": lambda: (shown["Embedding"](4, 3, rng), torch.nn.Embedding(4, 3)),
    }[name]()
    with torch.no_grad():
        for parameter in theirs.parameters():
            drawn = rng.normal(size=tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(torch.from_numpy(drawn))
    ours.load_state_dict(state_of(theirs))
    return ours, theirs


def state_of(theirs):
    state = {name: tensor.numpy().copy() for name, tensor in theirs.state_dict().items()}
    state.pop("num_batches_tracked", None)
    return state


def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5)
    assert np.asarray(got).dtype == np.float32


def assert_the_same_step(ours, theirs, x, g):
    """Compare the values and the gradients of a step with the upstream gradient g."""
    import torch

    is_numeric = x.dtype.kind == "f"
    our_x = Value(x) if is_numeric else x
    their_x = torch.tensor(x, requires_grad=is_numeric)
    our_out, their_out = ours(our_x), theirs(their_x)
    assert_close(our_out.data, their_out.detach().numpy())
    our_out.backward(g)
    their_out.backward(torch.from_numpy(g))
    if is_numeric:
        assert_close(our_x.grad, their_x.grad.numpy())
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    for name, p in ours.named_parameters():
        assert_close(p.grad, gradients.pop(name))
    assert gradients == {}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_batch_norm_computes_what_pytorchs_does(shown, rng, mode):
    ours, theirs = pair(shown, "BatchNorm")
    for _ in range(3):
        assert_the_same_step(ours, theirs, *rng.normal(2, 3, size=(2, 8, 4)).astype(np.float32))
        ours.zero_grad()
        theirs.zero_grad()
    for name, array in state_of(theirs).items():
        assert_close(ours.state_dict()[name], array)
    getattr(ours, mode)()
    getattr(theirs, mode)()
    assert_the_same_step(ours, theirs, *rng.normal(2, 3, size=(2, 8, 4)).astype(np.float32))


@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 5, 4)])
def test_the_layer_norm_computes_what_pytorchs_does(shown, rng, shape):
    ours, theirs = pair(shown, "LayerNorm")
    assert_the_same_step(ours, theirs, *rng.normal(2, 3, size=(2, *shape)).astype(np.float32))


@pytest.mark.parametrize("indices", [[0, 3, 3], [[1, 1], [2, 0]], [2], 2])
def test_the_embedding_computes_what_pytorchs_does(shown, rng, indices):
    ours, theirs = pair(shown, "Embedding")
    indices = np.array(indices)
    assert_the_same_step(
        ours, theirs, indices, rng.normal(size=(*indices.shape, 3)).astype(np.float32)
    )


@pytest.mark.parametrize("name", ["BatchNorm", "LayerNorm"])
def test_a_norms_gradients_of_both_orders_agree_with_finite_differences(shown, rng, name):
    def apply(x, weight, bias):
        layer = shown[name](3)
        layer.weight, layer.bias = weight, bias
        return layer(x).tanh()

    check_gradients(apply, *(rng.normal(size=shape) for shape in ((4, 3), 3, 3)), order=2)


@pytest.mark.parametrize("name", ["BatchNorm", "LayerNorm", "Embedding"])
def test_a_layer_is_saved_and_loaded(shown, rng, tmp_path, name):
    sizes = (3, 2, rng) if name == "Embedding" else (3,)
    x = np.array([0, 2, 2]) if name == "Embedding" else rng.normal(size=(4, 3)).astype(np.float32)
    layer = shown[name](*sizes)
    for p in layer.parameters():
        p.data = rng.normal(size=p.shape)
    layer(x)  # moves the running averages
    layer.save(tmp_path / "layer.npz")
    other = shown[name](*sizes)
    other.load(tmp_path / "layer.npz")
    np.testing.assert_array_equal(other.eval()(x).data, layer.eval()(x).data, strict=True)
    assert other.state_dict().keys() == layer.state_dict().keys()


def test_the_running_averages_of_the_batch_norm_are_saved_and_are_not_trained(shown, rng):
    norm = shown["BatchNorm"](3)
    norm(rng.normal(5, 1, size=(4, 3)).astype(np.float32))
    assert [name for name, _ in norm.named_parameters()] == ["weight", "bias"]
    state = norm.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var"]
    assert np.all(state["running_mean"] > 0.1)


def test_in_evaluation_a_batch_norm_treats_each_example_alone(shown, rng):
    norm = shown["BatchNorm"](3)
    x = rng.normal(5, 2, size=(8, 3)).astype(np.float32)
    norm(x)
    norm.eval()
    before = norm.state_dict()
    alone = [norm(row[None]).data[0] for row in x]
    np.testing.assert_allclose(norm(x).data, alone, rtol=1e-6)
    for name, array in norm.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_evaluate_leaves_the_running_averages_alone_and_uses_them(shown, rng):
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), shown["BatchNorm"](4), nn.Linear(4, 2, rng=rng))
    x, y = rng.normal(size=(20, 3)).astype(np.float32), rng.integers(0, 2, 20)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    list(train.fit(model, nn.cross_entropy, optimizer, x, y, epochs=2, batch_size=10, rng=rng))
    before = model.state_dict()
    evaluated, _ = train.evaluate(model, nn.cross_entropy, x, y)
    assert model[1].training
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert evaluated == pytest.approx(nn.cross_entropy(model.eval()(x), y).item(), rel=1e-6)


def test_a_network_of_an_embedding_and_a_layer_norm_learns_words(shown, rng):
    words = rng.integers(0, 6, (60, 3))
    has_a_zero = np.any(words == 0, axis=1).astype(np.int64)
    model = nn.Sequential(
        shown["Embedding"](6, 4, rng),
        shown["LayerNorm"](4),
        lambda rows: rows.mean(axis=1),
        nn.Linear(4, 2, rng=rng),
    )
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    list(train.fit(model, nn.cross_entropy, optimizer, words, has_a_zero, epochs=30, rng=rng))
    assert train.evaluate(model, nn.cross_entropy, words, has_a_zero)[1] == 1.0


def test_a_rate_set_in_the_loop_is_the_next_epochs():
    model = nn.Linear(2, 2, rng=np.random.default_rng(0))
    optimizer = optim.SGD(model.parameters(), lr=0.4)
    rates = []
    for epoch in train.fit(model, nn.cross_entropy, optimizer, np.eye(2), [0, 1], epochs=5):
        rates.append(epoch.lr)
        optimizer.lr = 0.4 * (1 + math.cos(math.pi * epoch.number / 5)) / 2
    assert rates == pytest.approx([0.2 + 0.2 * math.cos(math.pi * i / 5) for i in range(5)])
    assert optimizer.lr == 0.0
