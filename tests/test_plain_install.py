"""In an install without extras every public name works, or says in one line what to install.

It says so when it is used, not earlier.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import microgd
from microgd import data, nn, operations, optim, plots, train
from microgd.registry import OPERATIONS

PACKAGES = Path(np.__file__).parents[1]
PROJECT = Path(microgd.__file__).parents[1]

MATPLOTLIB = "microgd.plots needs Matplotlib: pip install matplotlib"
GET_POOCH = "pip install pooch tqdm, or give the folder that the files are in"
POOCH = f"downloading MNIST takes the package pooch: {GET_POOCH}"
PROGRAM = (
    "no program to lay out graphs was found: install Graphviz (https://graphviz.org/download) or, "
    "for SVG and PNG, `pip install graphviz-pure`"
)

SETUP = """
import os, tempfile
import numpy as np
from microgd import *

folder = tempfile.mkdtemp()
rng = np.random.default_rng(0)
x = Value(0.5, name="x")
y = x * x
examples, labels = np.ones((4, 3)), np.array([0, 1, 0, 1])
model = nn.Sequential(nn.Linear(3, 2, rng=rng))
optimizer = optim.SGD(model.parameters(), lr=0.1)

def fit():
    return list(train.fit(model, nn.cross_entropy, optimizer, examples, labels, epochs=1, rng=rng))

def saved():
    train.save_checkpoint(f"{folder}/run.npz", model, optimizer, rng, 1)
    return f"{folder}/run.npz"
"""

# A use of each public name, and what it says if it does not work; None if it works.
USES = {
    "GradientError": ("issubclass(GradientError, Exception)", None),
    "Value": ("Value(1.0) + 1", None),
    "check_gradients": ("check_gradients(lambda x: x * x, 3.0)", None),
    "compiled": ("compiled(lambda x: x * x)(x)", None),
    "draw": ("draw(y).source", None),
    "film": ("film(y, f'{folder}/film.html')", PROGRAM),
    "grad": ("grad(lambda x: x * x)(3.0)", None),
    "gradients": ("gradients(y, [x])", None),
    "hessian": ("hessian(lambda x: x * x)(3.0)", None),
    "hvp": ("hvp(y, [x], [1.0])", None),
    "jacobian": ("jacobian(lambda x: x * x)(3.0)", None),
    "no_grad": ("no_grad(lambda: x * x)()", None),
    "source": ("str(source(lambda x: x * x, x))", None),
    "operation": ("operation(lambda g, out, x: g, name='odd')(lambda x: x)(1.0)", None),
    "value_and_grad": ("value_and_grad(lambda x: x * x)(3.0)", None),
    "draw(…).render": ("draw(y).render(f'{folder}/graph')", PROGRAM),
    "draw(…).pipe": ("draw(y).pipe()", PROGRAM),
    "draw(…).view": ("draw(y).view(f'{folder}/graph')", PROGRAM),
    "draw(…) in Jupyter": ("draw(y)._repr_mimebundle_()['text/plain']", None),
    "nn.Module": ("nn.Module().parameters()", None),
    "nn.Linear": ("nn.Linear(3, 2)(examples)", None),
    "nn.Sequential": ("model(examples)", None),
    "nn.ReLU": ("nn.ReLU()(x)", None),
    "nn.Sigmoid": ("nn.Sigmoid()(x)", None),
    "nn.Tanh": ("nn.Tanh()(x)", None),
    "nn.Dropout": ("nn.Dropout(0.5)(x)", None),
    "nn.linear": ("nn.linear(examples, np.ones((2, 3)), np.ones(2))", None),
    "nn.mse_loss": ("nn.mse_loss(model(examples), np.ones((4, 2)))", None),
    "nn.cross_entropy": ("nn.cross_entropy(model(examples), labels)", None),
    "nn.binary_cross_entropy_with_logits": (
        "nn.binary_cross_entropy_with_logits(model(examples), np.eye(4, 2))",
        None,
    ),
    "nn.parameters_to_vector": ("nn.parameters_to_vector(model.parameters())", None),
    "nn.vector_to_parameters": ("nn.vector_to_parameters(np.ones(8), model.parameters())", None),
    "numpy_functions.std": ("numpy_functions.std(Value([1.0, 2.0]))", None),
    "optim.Adam": ("optim.Adam([Value(1.0)]).lr", None),
    "optim.AdamW": ("optim.AdamW([Value(1.0)]).lr", None),
    "optim.Optimizer": ("issubclass(optim.SGD, optim.Optimizer)", None),
    "optim.clip_grad_norm": ("optim.clip_grad_norm(model.parameters(), 1.0)", None),
    "optim.SGD": ("optim.SGD([Value(1.0)], lr=0.1).lr", None),
    "data.Examples": ("data.Examples(examples, labels)", None),
    "data.Digits": ("data.Digits((examples, labels), (examples, labels))", None),
    "data.Minibatches": ("list(data.Minibatches(examples, labels, 2, None))", None),
    "data.digits": ("data.digits()", None),
    "data.idx": ("data.idx(os.path.join(os.path.dirname(data.__file__), 'sample'))", None),
    "data.standardize": ("data.standardize(examples, examples)", None),
    "data.mnist": ("data.mnist()", POOCH),
    "data.minibatches": ("list(data.minibatches(examples, labels, 2, rng))", None),
    "data.check_rng": ("data.check_rng(rng)", None),
    "data.Encoded": ("data.Encoded(labels, ['a', 'b'])", None),
    "data.encode_labels": ("data.encode_labels(['cat', 'dog'])", None),
    "data.one_hot": ("data.one_hot(labels, 2)", None),
    "train.DivergedError": ("issubclass(train.DivergedError, ArithmeticError)", None),
    "train.Epoch": ("train.Epoch(1, 0.5, None, None, 0.1, 0.1)", None),
    "train.fit": ("fit()", None),
    "train.evaluate": ("train.evaluate(model, nn.cross_entropy, examples, labels)", None),
    "train.save_checkpoint": ("saved()", None),
    "train.load_checkpoint": ("train.load_checkpoint(saved(), model, optimizer, rng)", None),
    "train.has_converged": ("train.has_converged([1.0] * 9)", None),
    "plots.Figure": ("plots.Figure", MATPLOTLIB),
    "plots.panels": ("plots.panels()", MATPLOTLIB),
    "plots.curve": ("plots.curve(lambda x: x, [1.0])", MATPLOTLIB),
    "plots.contours": ("plots.contours(lambda x, y: x * y)", MATPLOTLIB),
    "plots.losses": ("plots.losses([1.0])", MATPLOTLIB),
    "plots.images": ("plots.images(np.ones((1, 4)))", MATPLOTLIB),
    "plots.confusion_matrix": ("plots.confusion_matrix(labels, labels)", MATPLOTLIB),
    "plots.landscape": (
        "plots.landscape(lambda: 1.0, model.parameters(), np.eye(2, 8))",
        MATPLOTLIB,
    ),
    "plots.random_direction": ("plots.random_direction(model.parameters(), rng)", None),
    "plots.principal_directions": ("plots.principal_directions(np.eye(3))", None),
}
# Most operations take one number for each of their rules. These take something else.
OPERANDS = {
    "arccosh": "Value(1.5)",
    "matmul": "np.ones(3), Value(np.ones(3))",
    "where": "True, x, x",
    "clip": "x, 0.0, 1.0",
    "reshape": "Value(np.ones(4)), (2, 2)",
    "broadcast_to": "x, (2, 2)",
    "astype": "Value(np.ones(4)), np.float32",
    "getitem": "Value(np.ones(4)), 1",
    "scatter": "x, 1, (4,)",
    "concatenate": "[Value(np.ones(2)), np.ones(3)]",
    "stack": "[x, x]",
}


def public(module):
    """The public names of this module of microgd."""
    names = ["Figure"] if module is plots else []
    names += getattr(module, "__all__", [])  # also those that another module defines
    for name, x in vars(module).items():
        if getattr(x, "__module__", "") == module.__name__ and not name.startswith("_"):
            names.append(name)
    return names


for name in public(operations):
    if name in OPERATIONS:
        operands = OPERANDS.get(name, ", ".join(["x"] * len(OPERATIONS[name].rules)))
        USES[f"operations.{name}"] = (f"operations.{name}({operands})", None)


def python(code, *, packages, given=""):
    """What the code prints in a Python with only the packages in this folder, and no programs."""
    paths = os.pathsep.join(map(str, (packages, PROJECT)))
    environment = {**os.environ, "PYTHONPATH": paths, "PATH": str(packages / "no programs")}
    command = [sys.executable, "-S", "-W", "error", "-c", code]
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def linked(folder, names):
    """Fill the folder with links to installed packages, and return it."""
    for name in names:
        if (PACKAGES / name).exists():
            (folder / name).symlink_to(PACKAGES / name)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder with only the packages that microgd requires."""
    return linked(tmp_path_factory.mktemp("plain"), ["numpy", "numpy.libs", "graphviz"])


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """A function that makes a folder with all installed packages except one."""

    def leave_out(name):
        names = [path.name for path in PACKAGES.iterdir() if path.name != name]
        return linked(tmp_path_factory.mktemp("without"), names)

    return leave_out


USE_ALL = f"""
import json, sys
uses = json.load(sys.stdin)
{SETUP}
said = {{}}
for name, code in uses.items():
    try:
        eval(code)
        said[name] = None
    except Exception as error:
        said[name] = str(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(plain):
    """What each public name says in a plain install, or None if it works."""
    uses = {name: code for name, (code, _) in USES.items()}
    return json.loads(python(USE_ALL, packages=plain, given=json.dumps(uses)))


@pytest.mark.parametrize("name", USES)
def test_a_public_name_works_or_says_what_to_install(name, said):
    assert said[name] == USES[name][1]


@pytest.mark.parametrize("module", [nn, optim, data, train, plots], ids=lambda x: x.__name__)
def test_every_public_name_of_a_module_is_tried(module):
    names = [f"{module.__name__.removeprefix('microgd.')}.{name}" for name in public(module)]
    assert [name for name in names if name not in USES] == []


def test_every_public_name_of_the_package_is_tried_or_is_a_module_that_is():
    modules = {name.partition(".")[0] for name in USES if "." in name}
    assert [name for name in microgd.__all__ if name not in USES and name not in modules] == []


def test_a_star_brings_all_public_names(plain):
    names = python("from microgd import *; print(*dir())", packages=plain).split()
    assert set(microgd.__all__) <= set(names)


@pytest.mark.parametrize("name", ["microgd", "microgd.plots", "microgd.nn", "microgd.data"])
def test_help_works_in_a_plain_install(name, plain):
    code = f"import pydoc; print(pydoc.render_doc({name!r}, renderer=pydoc.plaintext))"
    assert f"NAME\n    {name} - " in python(code, packages=plain)


def test_a_module_lists_no_figure_where_there_is_none(plain):
    names = python("from microgd import plots; print(*dir(plots))", packages=plain).split()
    assert "losses" in names
    assert "Figure" not in names


def test_an_unknown_name_of_plots_is_the_usual_error():
    with pytest.raises(AttributeError, match="no attribute 'loses'"):
        plots.loses


# ── With some of the extras ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("package", ["matplotlib", "graphviz", "pooch", "PIL", "tqdm"])
def test_what_is_there_is_not_loaded_before_it_is_used(package):
    if not find_spec(package):
        pytest.skip(f"{package} is not installed")
    code = f"import sys; from microgd import *; print({package!r} in sys.modules)"
    assert python(code, packages=PACKAGES) == "False\n"


TRY_LOSSES = """
from microgd import plots
try:
    plots.losses([1.0])
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("matplotlib", MATPLOTLIB),
        ("PIL", "microgd.plots needs Matplotlib, and that needs PIL: pip install matplotlib"),
        ("tqdm", ""),
        ("pooch", ""),
    ],
)
def test_plots_name_what_is_missing(package, message, without):
    if not find_spec("matplotlib"):
        pytest.skip("Matplotlib is not installed")
    assert python(TRY_LOSSES, packages=without(package)).strip() == message


DOWNLOAD = """
import pooch
from microgd import data

def retrieve(*arguments, progressbar):
    raise SystemExit(print(progressbar))

pooch.retrieve = retrieve
try:
    data.mnist()
except ImportError as error:
    print(error)
"""


def test_mnist_is_downloaded_without_a_progress_bar_where_tqdm_is_missing(without):
    if not find_spec("pooch"):
        pytest.skip("pooch is not installed")
    assert python(DOWNLOAD, packages=without("tqdm")) == "False\n"
