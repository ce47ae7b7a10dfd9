"""Small programs as a newcomer writes them from the documentation alone.

Each one learns something, and says what it has to beat: chance, counts, the mean, a straight line.
Where a formula or PyTorch gives the same number, the two are compared.
"""

import struct

import numpy as np
import pytest

from microgd import (
    Value,
    data,
    grad,
    gradients,
    hessian,
    jacobian,
    nn,
    no_grad,
    operations,
    optim,
    train,
    value_and_grad,
)


def half_as_large(x):
    """Images of 28 x 28 pixels as 14 x 14: each new pixel is the mean of four."""
    blocks = x.reshape(len(x), 14, 2, 14, 2)
    return blocks.mean(axis=(2, 4)).reshape(len(x), 196)


# 1. Characters of names


TEXT = """
    anna belana belanor belindo bora borana borian calin calina calindo caliora dana danira danor
    darian darina delana delia delina dora dorian dorina elana elanor elia elian elina elinor elora
    fara farian fariel farina finna finora galan galanor galia galina galindo hana hanor haria
    harian ilana ilanor ilia ilian ilina ilora jara jarian jora jorana jorian jorina kalan kalana
    kalia kalina kalindo kalinor lana lanor laria larian liana lina linora lora lorana lorian lorina
    mara marana maria marian mariel marina marindo mira mirana mirian nara narian narina nora norana
    norian norina orana oria orian orina orindo rana ranor ria rina rinora sara sarana saria sarian
    sarina selana selia selina selindo selora tara tarana tarian tariel tarina tora torana torian
    vala valana valia valindo valora vara varian varina vela velana velia velina velora
"""
NAMES = TEXT.split()
LETTERS = [".", *sorted(set("".join(NAMES)))]  # the dot stands before and after each name


def contexts_and_next_letters(names, length):
    """For each letter of each name, and for its end: the `length` letters before it, and itself."""
    contexts = []
    following = []
    for name in names:
        numbers = [LETTERS.index(letter) for letter in name] + [0]
        context = [0] * length
        for number in numbers:
            contexts.append(context)
            following.append(number)
            context = [*context[1:], number]
    return np.array(contexts), np.array(following)


def counts_of_pairs(previous, following):
    counts = np.zeros((len(LETTERS), len(LETTERS)))
    np.add.at(counts, (previous, following), 1)
    return counts


def loss_of_counts(counts, previous, following):
    """The mean of -log(probability), with the probabilities that the counts of pairs give."""
    of_the_pair = counts[previous, following]
    of_the_first = counts.sum(axis=1)[previous]
    return -np.log(of_the_pair / of_the_first).mean()


def test_a_table_of_pairs_of_letters_descends_to_the_counts():
    contexts, following = contexts_and_next_letters(NAMES, 1)
    previous = contexts[:, 0]
    counts = counts_of_pairs(previous, following)
    table = Value(np.zeros((len(LETTERS), len(LETTERS))))

    nn.cross_entropy(table[previous], following).backward()
    row_sums = counts.sum(axis=1, keepdims=True)
    by_hand = (row_sums / len(LETTERS) - counts) / len(following)
    np.testing.assert_allclose(table.grad, by_hand, atol=1e-15)

    optimizer = optim.Adam([table], lr=0.3)
    for _ in range(200):
        loss = nn.cross_entropy(table[previous], following)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    smallest = loss_of_counts(counts, previous, following)
    assert smallest < loss.item() < smallest + 0.02  # chance is log(20) = 3.0
    probabilities = operations.softmax(table).data
    np.testing.assert_allclose(probabilities, counts / row_sums, atol=0.02)


class LetterNetwork(nn.Module):
    """The next letter from the embeddings of the letters before it."""

    def __init__(self, context, features, hidden, rng):
        self.embedding = Value(rng.normal(size=(len(LETTERS), features)).astype(np.float32))
        self.hidden = nn.Linear(context * features, hidden, rng=rng)
        self.out = nn.Linear(hidden, len(LETTERS), rng=rng)

    def forward(self, contexts):
        embedded = self.embedding[contexts]
        flat = embedded.reshape(len(contexts), -1)
        return self.out(np.tanh(self.hidden(flat)))


def test_a_network_with_embeddings_beats_the_counts_of_pairs_on_names_it_has_not_seen():
    rng = np.random.default_rng(0)
    shuffled = [NAMES[i] for i in rng.permutation(len(NAMES))]
    x, y = contexts_and_next_letters(shuffled[:-30], 3)
    test = contexts_and_next_letters(shuffled[-30:], 3)
    model = LetterNetwork(3, 8, 32, rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    *_, epoch = train.fit(model, nn.cross_entropy, optimizer, x, y, epochs=15, rng=rng, test=test)
    counts = counts_of_pairs(x[:, -1], y) + 0.1  # no pair is impossible
    new_contexts, new_letters = test
    assert epoch.test_loss < loss_of_counts(counts, new_contexts[:, -1], new_letters) - 0.1


def test_a_network_with_embeddings_has_the_gradients_of_pytorch():
    torch = pytest.importorskip("torch")
    contexts, following = contexts_and_next_letters(NAMES[:20], 3)
    model = LetterNetwork(3, 4, 8, np.random.default_rng(0))
    loss = nn.cross_entropy(model(contexts), following)
    loss.backward()

    weights = {}
    for name, numbers in model.state_dict().items():
        weights[name] = torch.tensor(numbers, requires_grad=True)
    embedded = weights["embedding"][torch.tensor(contexts)].reshape(len(contexts), -1)
    hidden = torch.tanh(embedded @ weights["hidden.weight"].T + weights["hidden.bias"])
    logits = hidden @ weights["out.weight"].T + weights["out.bias"]
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(following))
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad, weights[name].grad, rtol=1e-3, atol=1e-6)


# 2. A batch norm by hand


class MyBatchNorm(nn.Module):
    def __init__(self, features, momentum=0.1):
        self.momentum = momentum
        self.weight = Value(np.ones(features, np.float32))
        self.bias = Value(np.zeros(features, np.float32))
        self.running_mean = np.zeros(features, np.float32)
        self.running_var = np.ones(features, np.float32)

    def forward(self, x):
        if not self.training:
            return self.scaled(x, self.running_mean, self.running_var)
        mean = np.mean(x, axis=0)
        var = np.var(x, axis=0)
        with no_grad():
            unbiased = np.var(x, axis=0, ddof=1)
            self.running_mean = self.moved(self.running_mean, mean)
            self.running_var = self.moved(self.running_var, unbiased)
        return self.scaled(x, mean, var)

    def moved(self, running, new):
        new = new.data if isinstance(new, Value) else new
        return (1 - self.momentum) * running + self.momentum * new

    def scaled(self, x, mean, var):
        return (x - mean) / np.sqrt(var + 1e-5) * self.weight + self.bias


def test_a_batch_norm_by_hand_is_that_of_pytorch_in_training_and_in_evaluation():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    mine = MyBatchNorm(3)
    theirs = torch.nn.BatchNorm1d(3, dtype=torch.float64)
    for _ in range(4):
        numbers = rng.normal(loc=[1, 2, 3], scale=[1, 5, 0.2], size=(16, 3))
        upstream = rng.normal(size=(16, 3))
        x = Value(numbers)
        x_torch = torch.tensor(numbers, requires_grad=True)
        out = mine(x)
        expected = theirs(x_torch)
        np.testing.assert_allclose(out.data, expected.detach(), rtol=1e-9, atol=1e-12)
        mine.zero_grad()
        theirs.zero_grad()
        (out * upstream).sum().backward()
        (expected * torch.tensor(upstream)).sum().backward()
        np.testing.assert_allclose(x.grad, x_torch.grad, rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(mine.weight.grad, theirs.weight.grad, rtol=1e-5)  # float32
        np.testing.assert_allclose(mine.bias.grad, theirs.bias.grad, rtol=1e-5)
    np.testing.assert_allclose(mine.running_mean, theirs.running_mean, rtol=1e-6)
    np.testing.assert_allclose(mine.running_var, theirs.running_var, rtol=1e-6)
    mine.eval()
    theirs.eval()
    numbers = rng.normal(size=(5, 3))
    expected = theirs(torch.tensor(numbers)).detach()
    np.testing.assert_allclose(mine(numbers).data, expected, rtol=1e-5, atol=1e-6)


def test_a_network_with_batch_norm_learns_digits_and_judges_each_by_itself():
    (x, y), (x_test, y_test) = data.digits()
    x = half_as_large(x[::4])
    y = y[::4]
    x_test = half_as_large(x_test)
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(196, 32, rng=rng), MyBatchNorm(32), nn.ReLU(), nn.Linear(32, 10, rng=rng)
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    test = (x_test, y_test)
    *_, epoch = train.fit(model, nn.cross_entropy, optimizer, x, y, epochs=3, rng=rng, test=test)
    assert epoch.test_accuracy > 0.8  # chance is 0.1

    norm = model[1]
    before = norm.running_mean.copy()
    model.eval()
    together = model(x_test[:20]).data
    alone = np.concatenate([model(x_test[i : i + 1]).data for i in range(20)])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_array_equal(norm.running_mean, before)
    model.train()
    assert not np.allclose(model(x_test[:20]).data, together, atol=0.1)
    assert not np.array_equal(norm.running_mean, before)


# 3. Recurrent networks


class Recurrent(nn.Module):
    """Reads (examples, steps, features), and gives its state after every step."""

    def __init__(self, features, hidden, rng):
        self.size = hidden
        self.input = nn.Linear(features, hidden, rng=rng)
        self.state = nn.Linear(hidden, hidden, rng=rng)

    def forward(self, x):
        state = np.zeros((len(x), self.size), np.float32)
        states = []
        for step in range(x.shape[1]):
            state = np.tanh(self.input(x[:, step]) + self.state(state))
            states.append(state)
        return np.stack(states, axis=1)


class LastState(nn.Module):
    def __init__(self, features, hidden, outputs, rng):
        self.recurrent = Recurrent(features, hidden, rng)
        self.out = nn.Linear(hidden, outputs, rng=rng)

    def forward(self, x):
        states = self.recurrent(x)
        return self.out(states[:, -1])


def length_of_gradients(parameters):
    return np.linalg.norm(np.concatenate([p.grad.ravel() for p in parameters]))


def test_a_recurrent_network_remembers_the_first_of_eight_numbers():
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], size=(700, 8, 1)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    model = LastState(1, 16, 1, rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    lengths = []

    def clip(optimizer):
        before = optim.clip_grad_norm(optimizer.parameters, max_norm=0.25)
        after = length_of_gradients(optimizer.parameters)
        lengths.append((before, after))

    *_, epoch = train.fit(
        model,
        nn.binary_cross_entropy_with_logits,
        optimizer,
        x[:500],
        y[:500],
        epochs=20,
        rng=rng,
        test=(x[500:], y[500:]),
        before_step=clip,
    )
    assert epoch.test_accuracy > 0.95  # the seven other numbers say nothing: chance is 0.5
    for before, after in lengths:
        assert after == pytest.approx(min(before, 0.25), rel=1e-4)
    assert max(before for before, after in lengths) > 0.25


def test_a_recurrent_network_continues_waves_in_a_loop_of_ones_own():
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 2 * np.pi, size=(64, 1))
    speed = rng.uniform(0.4, 0.8, size=(64, 1))
    waves = np.sin(start + speed * np.arange(17)).astype(np.float32)[:, :, None]
    inputs = waves[:, :-1]
    targets = waves[:, 1:]
    recurrent = Recurrent(1, 16, rng)
    out = nn.Linear(16, 1, rng=rng)
    parameters = recurrent.parameters() + out.parameters()
    optimizer = optim.Adam(parameters, lr=0.01)
    for _ in range(120):
        loss = nn.mse_loss(out(recurrent(inputs)), targets)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm(parameters, 1.0)
        assert length_of_gradients(parameters) < 1.0001
        optimizer.step()
    same_as_before = np.mean((inputs - targets) ** 2)
    assert loss.item() < same_as_before / 4


def test_a_recurrent_network_has_the_gradients_of_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 6, 2)).astype(np.float32)
    model = Recurrent(2, 5, rng)
    theirs = torch.nn.RNN(2, 5, batch_first=True)
    names = {
        "weight_ih_l0": "input.weight",
        "bias_ih_l0": "input.bias",
        "weight_hh_l0": "state.weight",
        "bias_hh_l0": "state.bias",
    }
    weights = model.state_dict()
    theirs.load_state_dict({name: torch.tensor(weights[mine]) for name, mine in names.items()})
    states = model(x)
    (states**2).sum().backward()
    expected, _ = theirs(torch.tensor(x))
    (expected**2).sum().backward()
    np.testing.assert_allclose(states.data, expected.detach(), atol=1e-6)
    mine = dict(model.named_parameters())
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(mine[names[name]].grad, parameter.grad, rtol=1e-4, atol=1e-5)


# 4. Attention with a causal mask


def causal_attention(queries, keys, values):
    """Each position looks at itself and at those before it, in (..., positions, features)."""
    positions, features = queries.shape[-2:]
    scores = np.einsum("...qf,...kf->...qk", queries, keys) / np.sqrt(features)
    visible = np.tril(np.ones((positions, positions), bool))
    scores = np.where(visible, scores, -np.inf)
    return operations.softmax(scores, axis=-1) @ values


class Attention(nn.Module):
    def __init__(self, tokens, positions, features, rng):
        self.tokens = Value(rng.normal(size=(tokens, features)).astype(np.float32))
        self.positions = Value(rng.normal(size=(positions, features)).astype(np.float32))
        self.query = nn.Linear(features, features, bias=False, rng=rng)
        self.key = nn.Linear(features, features, bias=False, rng=rng)
        self.value = nn.Linear(features, features, bias=False, rng=rng)
        self.out = nn.Linear(features, tokens, rng=rng)

    def embed(self, tokens):
        return self.tokens[tokens] + self.positions

    def look(self, embedded):
        mixed = causal_attention(self.query(embedded), self.key(embedded), self.value(embedded))
        return self.out(mixed)

    def forward(self, tokens):
        return self.look(self.embed(tokens))


def loss_after_the_first(logits, targets):
    """The first position has no token before it that it could copy."""
    tokens = logits.shape[-1]
    return nn.cross_entropy(logits[:, 1:].reshape(-1, tokens), targets[:, 1:].reshape(-1))


def test_attention_learns_to_copy_the_token_before():
    rng = np.random.default_rng(0)
    tokens = rng.integers(8, size=(600, 6))
    before = np.roll(tokens, 1, axis=1)
    model = Attention(8, 6, 16, rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x_test = tokens[500:]
    y_test = before[500:]
    *_, epoch = train.fit(
        model,
        loss_after_the_first,
        optimizer,
        tokens[:500],
        before[:500],
        epochs=20,
        rng=rng,
        test=(x_test, y_test),
    )
    assert epoch.test_loss < 0.3  # chance is log(8) = 2.08
    answers = model(x_test).argmax(axis=-1)
    accuracy = np.mean(answers[:, 1:] == y_test[:, 1:])
    assert accuracy > 0.95  # chance is 0.125


def test_no_position_sees_a_later_token():
    rng = np.random.default_rng(0)
    model = Attention(8, 6, 16, rng)
    tokens = rng.integers(8, size=(1, 6))
    outputs = model(tokens).data
    for position in range(6):
        changed = tokens.copy()
        changed[:, position] = (changed[:, position] + 1) % 8
        outputs_changed = model(changed).data
        np.testing.assert_array_equal(outputs_changed[:, :position], outputs[:, :position])
        assert not np.allclose(outputs_changed[:, position:], outputs[:, position:])

        embedded = Value(model.embed(tokens).data)
        output = model.look(embedded)[0, position]
        (gradient,) = gradients((output**2).sum(), [embedded])
        assert np.all(gradient[0, position + 1 :] == 0)
        assert np.all(np.abs(gradient[0, : position + 1]).sum(axis=-1) > 0)


def test_causal_attention_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(3, 2, 5, 4))
    mine = [Value(array) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    out = causal_attention(*mine)
    expected = torch.nn.functional.scaled_dot_product_attention(*theirs, is_causal=True)
    np.testing.assert_allclose(out.data, expected.detach(), rtol=1e-10)
    (out**3).sum().backward()
    (expected**3).sum().backward()
    for x, y in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(x.grad, y.grad, rtol=1e-9, atol=1e-12)


# 5. Convolutions


def convolve(images, kernels):
    """(n, channels, height, width) with (outputs, channels, h, w), as torch's conv2d."""
    windows = np.lib.stride_tricks.sliding_window_view(images, kernels.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, kernels, optimize=True)


def test_a_convolution_finds_the_kernel_of_an_edge_detector():
    rng = np.random.default_rng(0)
    sobel = np.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])[None, None]
    images = rng.normal(size=(64, 1, 10, 10))
    edges = convolve(images, sobel)
    kernel = Value(np.zeros((1, 1, 3, 3)))
    optimizer = optim.SGD([kernel], lr=0.2)
    for _ in range(3):
        for x, y in data.minibatches(images, edges, 8, rng):
            loss = nn.mse_loss(convolve(x, kernel), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    np.testing.assert_allclose(kernel.data, sobel, atol=0.01)  # the answer is exact: no noise


class ConvolutionalNetwork(nn.Module):
    """Two convolutions with 2 x 2 pooling between them; 28 x 28 -> 24 -> 12 -> 8 -> 4."""

    def __init__(self, rng):
        self.first = Value((rng.normal(size=(4, 1, 5, 5)) / 5).astype(np.float32))
        self.second = Value((rng.normal(size=(8, 4, 5, 5)) / 10).astype(np.float32))
        self.out = nn.Linear(8 * 4 * 4, 10, rng=rng)

    def forward(self, x):
        images = x.reshape(-1, 1, 28, 28)
        x = np.maximum(convolve(images, self.first), 0)
        x = pool(x)
        x = np.maximum(convolve(x, self.second), 0)
        x = pool(x)
        return self.out(x.reshape(len(x), -1))


def pool(x):
    n, channels, height, width = x.shape
    blocks = x.reshape(n, channels, height // 2, 2, width // 2, 2)
    return np.max(blocks, axis=(3, 5))


def test_a_convolutional_network_reads_digits_it_has_not_seen():
    (x, y), (x_test, y_test) = data.digits()
    rng = np.random.default_rng(0)
    some = rng.permutation(len(x))[:600]
    model = ConvolutionalNetwork(rng)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    *_, epoch = train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        x[some],
        y[some],
        epochs=2,
        rng=rng,
        test=(x_test[::4], y_test[::4]),
    )
    assert epoch.test_accuracy > 0.6  # chance is 0.1


def test_a_convolutional_network_has_the_gradients_of_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    (x, y), _ = data.digits()
    x = x[::700]
    y = y[::700]
    model = ConvolutionalNetwork(np.random.default_rng(0))
    loss = nn.cross_entropy(model(x), y)
    loss.backward()

    weights = {}
    for name, numbers in model.state_dict().items():
        weights[name] = torch.tensor(numbers, requires_grad=True)
    z = torch.tensor(x).reshape(-1, 1, 28, 28)
    z = functional.max_pool2d(functional.conv2d(z, weights["first"]).relu(), 2)
    z = functional.max_pool2d(functional.conv2d(z, weights["second"]).relu(), 2)
    logits = functional.linear(z.flatten(1), weights["out.weight"], weights["out.bias"])
    expected = functional.cross_entropy(logits, torch.tensor(y))
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad, weights[name].grad, rtol=1e-3, atol=1e-5)


# 6. Two classes


def spirals(n, rng):
    """Two arms, (n, 2), one in metres and one in grams; and the arm that each point is on."""
    arm = np.arange(n) % 2
    turn = np.sqrt(rng.uniform(0.02, 1, size=n)) * 1.25 * 2 * np.pi
    angle = turn + np.pi * arm
    points = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1)
    points += rng.normal(scale=0.2, size=points.shape)
    return points * [1.0, 5000.0], arm[:, None]


def accuracy_on_spirals(model, rng):
    x, y = spirals(800, rng)
    x, x_test = data.standardize(x[:600], x[600:])
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    *_, epoch = train.fit(
        model,
        nn.binary_cross_entropy_with_logits,
        optimizer,
        x,
        y[:600],
        epochs=60,
        rng=rng,
        test=(x_test, y[600:]),
    )
    again = train.evaluate(model, nn.binary_cross_entropy_with_logits, x_test, y[600:])
    assert again == (epoch.test_loss, epoch.test_accuracy)  # dropout drops nothing in evaluation
    return epoch.test_accuracy


def test_a_network_with_dropout_tells_two_spirals_apart_and_a_line_does_not():
    rng = np.random.default_rng(0)
    network = nn.Sequential(
        nn.Linear(2, 64, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.1, rng=rng),
        nn.Linear(64, 32, rng=rng),
        nn.ReLU(),
        nn.Linear(32, 1, rng=rng),
    )
    line = nn.Linear(2, 1, rng=rng)
    assert accuracy_on_spirals(line, rng) < 0.8
    assert accuracy_on_spirals(network, rng) > 0.95


def test_dropout_draws_in_training_alone_and_keeps_the_mean():
    rng = np.random.default_rng(0)
    dropout = nn.Dropout(0.25, rng=rng)
    x = Value(np.ones((200, 200)))
    out = dropout(x)
    kept = out.data != 0
    assert np.mean(kept) == pytest.approx(0.75, abs=0.02)
    np.testing.assert_allclose(out.data[kept], 4 / 3)
    out.sum().backward()
    np.testing.assert_allclose(x.grad, kept * 4 / 3)
    dropout.eval()
    np.testing.assert_array_equal(dropout(x).data, 1)


# 7. Autoencoders


def test_a_linear_autoencoder_comes_near_the_principal_components_and_never_beats_them():
    (x, _), _ = data.digits()
    x = half_as_large(x[::10])
    centred = x - x.mean(axis=0)
    components = 8
    squares = np.linalg.svd(centred, compute_uv=False) ** 2
    smallest = squares[components:].sum() / x.size
    of_the_mean = squares.sum() / x.size

    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Linear(196, components, bias=False, rng=rng),
        nn.Linear(components, 196, bias=False, rng=rng),
    )
    optimizer = optim.Adam(model.parameters(), lr=0.002)
    for _ in train.fit(model, nn.mse_loss, optimizer, centred, centred, epochs=40, rng=rng):
        loss, accuracy = train.evaluate(model, nn.mse_loss, centred, centred)
        assert loss > smallest * 0.9999
    assert accuracy is None
    assert loss < smallest + 0.1 * (of_the_mean - smallest)


def test_an_autoencoder_rebuilds_digits_it_has_not_seen_better_than_the_mean_image():
    (x, _), (x_test, _) = data.digits()
    x = half_as_large(x[::6])
    x_test = half_as_large(x_test[::4])
    rng = np.random.default_rng(0)
    encoder = nn.Sequential(nn.Linear(196, 32, rng=rng), nn.ReLU())
    decoder = nn.Sequential(nn.Linear(32, 196, rng=rng), nn.Sigmoid())
    model = nn.Sequential(encoder, decoder)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in train.fit(model, nn.mse_loss, optimizer, x, x, epochs=10, rng=rng):
        pass
    loss, accuracy = train.evaluate(model, nn.mse_loss, x_test, x_test)
    of_the_mean_image = np.mean((x_test - x.mean(axis=0)) ** 2)
    assert loss < 0.6 * of_the_mean_image
    assert accuracy is None
    assert encoder(x_test[:3]).shape == (3, 32)


def test_adams_first_step_has_the_length_of_the_learning_rate_everywhere():
    weights = Value([1.0, -2.0, 3.0])
    optimizer = optim.Adam([weights], lr=0.01)
    (np.array([5.0, -0.1, 20.0]) * weights).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(weights.data, [0.99, -1.99, 2.99], rtol=1e-8)


# 8. Optimizers of one's own


class Lion(optim.Optimizer):
    """Chen et al., Symbolic discovery of optimization algorithms, 2023."""

    lr = 0.001
    betas = (0.9, 0.99)
    weight_decay = 0.0

    def nudge(self, number, gradient, state):
        beta1, beta2 = self.betas
        mean = state.get("mean", 0.0)
        direction = np.sign(beta1 * mean + (1 - beta1) * gradient)
        new_mean = beta2 * mean + (1 - beta2) * gradient
        return -self.lr * (direction + self.weight_decay * number), {"mean": new_mean}


class RMSprop(optim.Optimizer):
    """As torch.optim.RMSprop with its defaults."""

    lr = 0.01
    alpha = 0.99
    eps = 1e-8

    def nudge(self, number, gradient, state):
        square = self.alpha * state.get("square", 0.0) + (1 - self.alpha) * gradient**2
        return -self.lr * gradient / (np.sqrt(square) + self.eps), {"square": square}


def model_with_dropout(rng):
    return nn.Sequential(
        nn.Linear(784, 16, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.1, rng=rng),
        nn.Linear(16, 10, rng=rng),
    )


def losses_with_checkpoints(model, optimizer, rng, path, epochs, initial_epoch=0):
    """Train with a learning rate that falls, and keep a checkpoint of each epoch."""
    (x, y), _ = data.digits()
    losses = []
    for epoch in train.fit(
        model,
        nn.cross_entropy,
        optimizer,
        x[::6],
        y[::6],
        epochs=epochs,
        rng=rng,
        initial_epoch=initial_epoch,
    ):
        losses.append(epoch.loss)
        optimizer.lr *= 0.9
        train.save_checkpoint(path, model, optimizer, rng, epoch.number)
    return losses


@pytest.mark.parametrize("kind", [Lion, RMSprop, optim.Adam])
def test_training_that_was_stopped_goes_on_bit_for_bit_with_any_optimizer(kind, tmp_path):
    rng = np.random.default_rng(0)
    model = model_with_dropout(rng)
    optimizer = kind(model.parameters(), lr=0.003)
    losses = losses_with_checkpoints(model, optimizer, rng, tmp_path / "whole.npz", epochs=4)
    _, (x_test, y_test) = data.digits()
    _, accuracy = train.evaluate(model, nn.cross_entropy, x_test, y_test)
    assert accuracy > 0.6  # chance is 0.1

    rng = np.random.default_rng(0)
    model_stopped = model_with_dropout(rng)
    optimizer = kind(model_stopped.parameters(), lr=0.003)
    path = tmp_path / "run.npz"
    first = losses_with_checkpoints(model_stopped, optimizer, rng, path, epochs=2)

    rng = np.random.default_rng(7)
    model_resumed = model_with_dropout(rng)
    optimizer = kind(model_resumed.parameters(), lr=0.5)
    done = train.load_checkpoint(path, model_resumed, optimizer, rng)
    rest = losses_with_checkpoints(model_resumed, optimizer, rng, path, 4, initial_epoch=done)
    assert first + rest == losses
    weights = model.state_dict()
    for name, numbers in model_resumed.state_dict().items():
        np.testing.assert_array_equal(numbers, weights[name])


def test_rmsprop_of_ones_own_takes_the_steps_of_pytorch():
    torch = pytest.importorskip("torch")
    start = np.array([1.0, -2.0, 0.5])
    weights = Value(start)
    weights_torch = torch.tensor(start, requires_grad=True)
    optimizer = RMSprop([weights], lr=0.1)
    optimizer_torch = torch.optim.RMSprop([weights_torch], lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        optimizer_torch.zero_grad()
        (weights**4).sum().backward()
        (weights_torch**4).sum().backward()
        optimizer.step()
        optimizer_torch.step()
    np.testing.assert_allclose(weights.data, weights_torch.detach(), rtol=1e-6, atol=1e-9)
    assert np.abs(weights.data).max() < 0.8  # down from 2


def test_lion_moves_every_weight_by_the_learning_rate():
    weights = Value([3.0, -1.0])
    optimizer = Lion([weights], lr=0.5, weight_decay=0.1)
    (np.array([100.0, 1e-6]) * weights).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(weights.data, [3 - 0.5 * 1.3, -1 - 0.5 * 0.9])
    np.testing.assert_allclose(optimizer.state_dict()["mean.0"], [1.0, 1e-8])


# 9. Networks as plain functions, and small functions with closed forms


def ring_network(weights, x):
    hidden = np.tanh(x @ weights["hidden"]["weight"] + weights["hidden"]["bias"])
    return hidden @ weights["out"]["weight"] + weights["out"]["bias"]


def ring_loss(weights, x, y):
    return nn.binary_cross_entropy_with_logits(ring_network(weights, x), y)


def test_a_network_of_plain_functions_learns_what_is_inside_a_circle():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(700, 2))
    y = (x[:, :1] ** 2 + x[:, 1:] ** 2 < 0.6).astype(float)
    weights = {
        "hidden": {"weight": rng.normal(size=(2, 12)), "bias": np.zeros(12)},
        "out": {"weight": rng.normal(size=(12, 1)) * 0.3, "bias": 0.0},
    }
    for _ in range(300):
        _, gradient = value_and_grad(ring_loss)(weights, x[:400], y[:400])
        for layer, slopes in gradient.items():
            for name, slope in slopes.items():
                weights[layer][name] = weights[layer][name] - 2.0 * slope
    x_test = x[400:]
    y_test = y[400:]
    accuracy = np.mean((ring_network(weights, x_test) > 0) == y_test)
    share_of_the_larger_class = max(np.mean(y_test), 1 - np.mean(y_test))
    assert accuracy > share_of_the_larger_class + 0.25


def test_the_gradients_of_plain_functions_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2))
    y = rng.integers(2, size=(50, 1))
    weights = {
        "hidden": {"weight": rng.normal(size=(2, 4)), "bias": rng.normal(size=4)},
        "out": {"weight": rng.normal(size=(4, 1)), "bias": 0.5},
    }
    loss, gradient = value_and_grad(ring_loss)(weights, x, y)

    hidden = np.tanh(x @ weights["hidden"]["weight"] + weights["hidden"]["bias"])
    probabilities = 1 / (1 + np.exp(-ring_network(weights, x)))
    by_hand = -np.mean(np.log(np.where(y == 1, probabilities, 1 - probabilities)))
    assert loss == pytest.approx(by_hand, rel=1e-12)
    error = (probabilities - y) / 50
    error_hidden = error @ weights["out"]["weight"].T * (1 - hidden**2)
    assert gradient["out"]["bias"] == pytest.approx(error.sum(), rel=1e-10)
    np.testing.assert_allclose(gradient["out"]["weight"], hidden.T @ error, rtol=1e-10)
    np.testing.assert_allclose(gradient["hidden"]["bias"], error_hidden.sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(gradient["hidden"]["weight"], x.T @ error_hidden, rtol=1e-10)


def test_newtons_method_solves_least_squares_in_one_step():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    y = x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.normal(size=30)

    def loss(w):
        return nn.mse_loss(x @ w, y)

    start = np.array([10.0, 10.0, 10.0])
    curvature = hessian(loss)(start)
    np.testing.assert_allclose(curvature, 2 / 30 * x.T @ x, rtol=1e-12)
    solved = start - np.linalg.solve(curvature, grad(loss)(start))
    expected, *_ = np.linalg.lstsq(x, y)
    np.testing.assert_allclose(solved, expected, rtol=1e-10)
    assert np.linalg.norm(grad(loss)(solved)) < 1e-12
    assert loss(solved) < 0.02 < loss(start)


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def test_newtons_method_follows_a_curved_valley_with_the_hessian_of_the_formula():
    point = np.array([-1.2, 1.0])
    for _ in range(7):
        a, b = point
        slope = [-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)]
        curvature = [[2 - 400 * (b - 3 * a**2), -400 * a], [-400 * a, 200]]
        np.testing.assert_allclose(grad(rosenbrock)(point), slope, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(hessian(rosenbrock)(point), curvature, rtol=1e-12)
        point = point - np.linalg.solve(hessian(rosenbrock)(point), grad(rosenbrock)(point))
    np.testing.assert_allclose(point, [1, 1], atol=1e-8)


def test_the_jacobian_of_spherical_coordinates_is_that_of_the_formula():
    def cartesian(p):
        r, theta, phi = p
        return np.stack(
            [
                r * np.sin(theta) * np.cos(phi),
                r * np.sin(theta) * np.sin(phi),
                r * np.cos(theta),
            ]
        )

    r, theta, phi = 2.0, 0.7, -1.1
    st, ct = np.sin(theta), np.cos(theta)
    sp, cp = np.sin(phi), np.cos(phi)
    expected = [
        [st * cp, r * ct * cp, -r * st * sp],
        [st * sp, r * ct * sp, r * st * cp],
        [ct, -r * st, 0],
    ]
    matrix = jacobian(cartesian)([r, theta, phi])
    np.testing.assert_allclose(matrix, expected, rtol=1e-12, atol=1e-15)
    assert np.linalg.det(matrix) == pytest.approx(r**2 * st)


# 10. A data set in MNIST's format


def bars(n, rng):
    """Images of one bright row (0) or one bright column (1), with noise: (n, 9, 7) of bytes."""
    images = rng.integers(100, size=(n, 9, 7))
    labels = rng.integers(2, size=n)
    for image, label in zip(images, labels, strict=True):
        if label == 0:
            image[rng.integers(9)] = 255
        else:
            image[:, rng.integers(7)] = 255
    return images.astype(np.uint8), labels.astype(np.uint8)


def write_as_kaggle_packs_it(folder, name, magic, array):
    """An unzipped file within a folder of its own name; the header is big-endian."""
    inner = folder / name
    inner.mkdir()
    header = struct.pack(f">{1 + array.ndim}I", magic, *array.shape)
    (inner / name).write_bytes(header + array.tobytes())


def test_a_data_set_in_mnists_format_is_read_and_learned_in_one_epoch(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = bars(1500, rng)
    images_test, labels_test = bars(300, rng)
    write_as_kaggle_packs_it(tmp_path, "train-images-idx3-ubyte", 2051, images)
    write_as_kaggle_packs_it(tmp_path, "train-labels-idx1-ubyte", 2049, labels)
    write_as_kaggle_packs_it(tmp_path, "t10k-images-idx3-ubyte", 2051, images_test)
    write_as_kaggle_packs_it(tmp_path, "t10k-labels-idx1-ubyte", 2049, labels_test)

    (x, y), test = data.idx(tmp_path)
    np.testing.assert_allclose(x, images.reshape(1500, 63) / 255, rtol=1e-6)
    np.testing.assert_array_equal(y, labels)
    model = nn.Sequential(nn.Linear(63, 32, rng=rng), nn.ReLU(), nn.Linear(32, 2, rng=rng))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    (epoch,) = train.fit(model, nn.cross_entropy, optimizer, x, y, epochs=1, rng=rng, test=test)
    assert epoch.test_accuracy > 0.9  # chance is 0.5
