"""`help` shows every public name with a line about it, and signatures as they are written."""

import inspect
import pydoc
import re
from importlib.metadata import version

import pytest

import microgd
from microgd import data, nn, numpy_functions, operations, optim, plots, train

MODULES = [microgd, nn, optim, data, train, plots, operations, numpy_functions]
FOR_OTHER_MODULES = {
    "check_rng",
    "elementwise",
    "group_size",
    "reduction",
    "repeated",
    "shape_of",
}  # microgd's own use them
# How a class begins in a help text, and how a function does.
BEGINNINGS = {"CLASSES": r"    class (\w+)", "FUNCTIONS": r"    (\w+)"}


def help_text(x):
    """What `help(x)` prints."""
    return pydoc.render_doc(x, renderer=pydoc.plaintext)


def entries(text):
    """The classes and functions in the help text of a module: the lines about each, by name."""
    lines_by_name = {}
    beginning = None
    lines = []
    for line in text.splitlines():
        if re.match(r"[A-Z]", line):  # the title of a section
            beginning = BEGINNINGS.get(line)
        elif beginning and (match := re.match(beginning, line)):
            lines = lines_by_name[match[1]] = []
        else:
            lines.append(line.strip(" |"))
    return lines_by_name


def classes_and_functions(module):
    """The public classes and functions of a module, by name."""
    names = {name: getattr(module, name) for name in module.__all__}
    return {name: x for name, x in names.items() if not inspect.ismodule(x)}


PATHS = [
    f"{module.__name__}.{name}" for module in MODULES for name in classes_and_functions(module)
]


def is_defined_in(module, x):
    return getattr(x, "__module__", None) == module.__name__


def test_the_packages_documentation_has_a_line_about_each_public_name():
    lines = re.findall(r"^    (\w+)  +\w.{10,}$", microgd.__doc__, re.MULTILINE)
    assert sorted(lines) == sorted(microgd.__all__)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_a_module_defines_is_public_or_begins_with_an_underscore(module):
    defined = [name for name, x in vars(module).items() if is_defined_in(module, x)]
    names = {name for name in defined if not name.startswith("_")}
    assert names <= {*module.__all__, *FOR_OTHER_MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_help_of_a_module_lists_its_public_names_and_no_others(module):
    listed = {name for name in entries(help_text(module)) if not name.startswith("__")}
    assert listed == set(classes_and_functions(module))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_help_of_a_module_has_a_line_about_each_public_name(module):
    listed = entries(help_text(module))
    for name, x in classes_and_functions(module).items():
        first_line = (x.__doc__ or "").partition("\n")[0]
        assert first_line.endswith((".", ".)")), name
        assert first_line in listed[name], name


@pytest.mark.parametrize("name", PATHS)
def test_signatures_name_numpys_types_and_do_not_spell_them_out(name):
    text = help_text(name)
    spelled_out = ["_SupportsArray", "_NestedSequence", "Union[", "numpy.ndarray["]
    assert [part for part in spelled_out if part in text] == []


def test_the_version_is_that_of_the_installed_distribution():
    assert microgd.__version__ == version("microgd")


def test_help_of_the_package_shows_its_version():
    assert f"VERSION\n    {microgd.__version__}\n" in help_text(microgd)
