"""Files that are written completely or not at all; arrays in files, read without running code."""

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Mapping
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from microgd.arrays import Data, as_data, as_plain_array
from microgd.checks import check_type

StrPath: TypeAlias = str | os.PathLike[str]


def write_whole(path: StrPath, write: Callable[[IO[bytes]], object]) -> None:
    """Write the file `path`, completely or not at all, by giving `write` an open file.

    The content goes into a temporary file in the same folder, which is flushed to the disk and
    then renamed. A rename happens completely or not at all, so an interruption at any moment
    leaves either the old file or the new one. `OSError` if the file cannot be written.
    """
    from pathlib import Path

    # If `path` is a link, this is the file that it leads to: renaming would replace the link.
    target = Path(os.path.realpath(path))
    # Renaming would also replace /dev/null, say, with a regular file.
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(target))
    temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is None:
            raise
        # The caller knows this name, and not that of the temporary file.
        raise type(error)(error.errno, error.strerror, os.fspath(target)) from None
    finally:
        # This runs after Ctrl-C too, so no half-written temporary file is left behind.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    _flush_folder(target.parent)


def _flush_folder(folder: StrPath) -> None:
    """Flush a folder to the disk, if it can be opened: only then is a new name in it safe."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def save_arrays(path: StrPath, arrays: Mapping[str, Data]) -> None:
    """Write the arrays to `path` as `write_whole` does, in NumPy's .npz format.

    `numpy.load` reads such files, too.
    """
    import zipfile

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    write_whole(path, write)


def load_arrays(path: StrPath) -> dict[str, Any]:
    """Read the numbers that `save_arrays` or `numpy.savez` has written; never unpickles objects.

    `FileNotFoundError` if there is no such file, `ValueError` if it is broken or something else.
    """
    # `open` would take a number for a file that is open already; `fspath` refuses it.
    with open(os.fspath(path), "rb") as file:
        try:
            return _read_archive(file)
        except Exception as error:
            # For a broken file zipfile and NumPy raise a dozen kinds of errors, from EOFError to
            # TokenError. All become a ValueError that names the file and has the original as its
            # cause. Ctrl-C is not an Exception, so it passes through.
            raise ValueError(
                f"{os.fspath(path)} is not a complete .npz file of arrays: "
                f"{type(error).__name__}: {error}"
            ) from error


def _read_archive(file: IO[bytes]) -> dict[str, Any]:
    """The arrays in an open .npz file, by name."""
    import zipfile

    arrays: dict[str, Any] = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            with archive.open(member) as content:
                array = np.lib.format.read_array(content, allow_pickle=False)
                has_more = content.read(1)  # zipfile checks the CRC-32 when it reaches the end
                if has_more or name in arrays:
                    raise ValueError(f"{name} is not one array, but more")
            arrays[name] = array
    return arrays


def fitted(
    state: Mapping[str, ArrayLike],
    like: Mapping[str, Data],
    optional: Collection[str] = (),
    own_dtype: Collection[str] = (),
) -> dict[str, Any]:
    """A copy of `state`, in which each array fits the array of its name in `like`.

    It has the same shape, dtype and order in memory. Those named in `own_dtype` keep the dtype that
    they have in `state`. Unknown names, missing names that are not in `optional`, and other
    shapes are a `ValueError`. Anything that is not a number is a `TypeError`; in `own_dtype`,
    anything of another kind than in `like`, such as text instead of numbers.
    """
    check_type("arrays by name, such as a state_dict()", Mapping, state)
    _check_names(state, like, optional, own_dtype)
    new: dict[str, Any] = {}
    for name, data in state.items():
        target = like[name]
        array = as_plain_array(data) if name in own_dtype else as_data(data)
        if np.shape(array) != np.shape(target):
            raise ValueError(
                f"expected {name} to have shape {np.shape(target)}, but got shape {np.shape(array)}"
            )
        if name in own_dtype:
            if not hasattr(data, "dtype"):  # a list of numbers
                array = np.asarray(array, np.asarray(target).dtype)
            new[name] = _copy_of_same_kind(name, array, target)
        elif isinstance(array, float):
            new[name] = array
        else:
            new[name] = np.positive(array, np.empty_like(target), casting="same_kind")
    return new


def _check_names(
    state: Mapping[str, ArrayLike],
    like: Mapping[str, Data],
    optional: Collection[str],
    own_dtype: Collection[str],
) -> None:
    """Raise a `ValueError` if `state` has unknown names, or lacks names that are not optional."""
    missing = sorted(like.keys() - state.keys() - set(optional))
    unknown = sorted(map(str, state.keys() - like.keys()))
    if not missing and not unknown:
        return
    hint = ""
    if not unknown and set(missing) <= set(own_dtype):
        hint = (
            ". These are arrays of the module; a leading underscore in the name leaves an array out"
        )
    raise ValueError(f"the names do not match: missing {missing}, unknown {unknown}{hint}")


def _copy_of_same_kind(name: str, array: Any, like: Any) -> Any:
    """A copy, if both arrays hold numbers, or both text, and so on; otherwise a `TypeError`."""
    if _kind(array.dtype) != _kind(like.dtype) or array.dtype.hasobject:
        raise TypeError(f"expected {name} to be of dtype {like.dtype}, but got {array.dtype}")
    return np.array(array)


def _kind(dtype: np.dtype[Any]) -> str:
    """What a dtype is for: "number", or NumPy's letter for anything else, such as U for text."""
    return "number" if dtype.kind in "biufc" else dtype.kind
