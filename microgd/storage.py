"""Files that are written whole or not at all; named arrays: in a file, read without running anything, and checked."""

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
    """Make the file `path` hold what `write`, given an open file, writes into it.

    That goes to a temporary file beside it, which is flushed to the disk and then renamed. A rename happens wholly or
    not at all, so whatever interrupts this leaves the old file or the new one. `OSError` where it cannot be written.
    """
    from pathlib import Path

    path = Path(
        os.path.realpath(path)
    )  # of a link, the file that it leads to: renaming would replace the link
    if path.exists() and not (
        path.is_file() or path.is_dir()
    ):  # /dev/null, say: renaming would put a file in its place
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(
            error.errno, error.strerror, os.fspath(path)
        ) from None  # the name that the caller knows
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    # The new name, too, is safe only when the folder has reached the disk. Not every folder can be opened for that.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def save_arrays(path: StrPath, arrays: Mapping[str, Data]) -> None:
    """Write the arrays to `path`, as `write_whole` does, in NumPy's .npz format, which `numpy.load` reads too."""
    import zipfile

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    write_whole(path, write)


def load_arrays(path: StrPath) -> dict[str, Any]:
    """Read the numbers that `save_arrays`, or `numpy.savez`, has written; pickled objects are never opened.

    `FileNotFoundError` where there is none, `ValueError` where the file is broken or something else.
    """
    import zipfile

    arrays = {}
    with open(os.fspath(path), "rb") as file:  # (a number would be a file that is open already)
        try:
            with zipfile.ZipFile(file) as archive:
                for member in archive.namelist():
                    name = member.removesuffix(".npy")
                    with archive.open(member) as content:
                        array = np.lib.format.read_array(content, allow_pickle=False)
                        if content.read(1) or name in arrays:  # (At the end its CRC-32 is checked.)
                            raise ValueError(f"{name} is not one array, but more")
                    arrays[name] = array
        except (
            Exception
        ) as error:  # zipfile and NumPy raise a dozen kinds, from EOFError to TokenError
            raise ValueError(
                f"{os.fspath(path)} is no whole .npz file of arrays: {type(error).__name__}: {error}"
            ) from error
    return arrays


def fitted(
    state: Mapping[str, ArrayLike],
    like: Mapping[str, Data],
    optional: Collection[str] = (),
    own_dtype: Collection[str] = (),
) -> dict[str, Any]:
    """A copy of what came by name, each part in the shape, the dtype and the order in memory of the one in `like`.

    Those in `own_dtype` keep the dtype that they came with. Unknown names, missing ones unless they
    are optional, and other shapes are a `ValueError`, what is no number a `TypeError`.
    """
    check_type("arrays by name, such as a state_dict()", Mapping, state)
    missing = sorted(like.keys() - state.keys() - set(optional))
    unknown = sorted(map(str, state.keys() - like.keys()))
    if missing or unknown:
        hint = ""
        if missing and not unknown and set(missing) <= set(own_dtype):
            hint = ". These are arrays of the module; a leading underscore in the name leaves an array out"
        raise ValueError(f"the names do not match: missing {missing}, unknown {unknown}{hint}")
    new: dict[str, Any] = {}
    for name, data in state.items():
        came = as_plain_array(data) if name in own_dtype else as_data(data)
        if np.shape(came) != np.shape(like[name]):
            raise ValueError(
                f"{name} has shape {np.shape(like[name])}, but shape {np.shape(came)} came"
            )
        if name in own_dtype:
            if not hasattr(data, "dtype"):  # a list of numbers
                came = np.asarray(came, np.asarray(like[name]).dtype)
            new[name] = _copy_of_its_kind(name, came, like[name])
        elif isinstance(came, float):
            new[name] = came
        else:
            new[name] = np.positive(came, np.empty_like(like[name]), casting="same_kind")
    return new


def _copy_of_its_kind(name: str, array: Any, like: Any) -> Any:
    """A copy, if both are numbers, or both text, and so on; else a `TypeError`."""
    kinds = ["n" if x.dtype.kind in "biufc" else x.dtype.kind for x in (array, like)]
    if kinds[0] != kinds[1] or array.dtype.hasobject:
        raise TypeError(f"expected {name} to be of dtype {like.dtype}, but got {array.dtype}")
    return np.array(array)
