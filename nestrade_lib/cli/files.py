"""The files of a command: data that are read, and results that are written whole or not at all."""

import contextlib
import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from nestrade_lib.cli.errors import BadInput, Failed, describe

# What NumPy raises for files that are none of its, damaged, or locked.
UNREADABLE = (
    *(ValueError, OSError, EOFError, TypeError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


def existing(path):
    """A file that is there."""
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path}: expected a file, got a folder.")
    if not path.is_file():
        raise BadInput(f"{path}: no such file.")
    return path


def require_writable(path, suffixes, size, force):
    """Refuse a result that could not be written, before anything runs.

    Its folder has to be there and to have room for so many bytes.
    """
    path = Path(path)
    if path.suffix not in suffixes:
        raise BadInput(f"--out {path}: expected a name that ends in {suffixes[0]}.")
    if not path.parent.is_dir():
        raise BadInput(f"--out {path}: the folder {path.parent} does not exist.")
    if path.is_dir():
        raise BadInput(f"--out {path}: expected the name of a file, got a folder.")
    if path.exists() and not force:
        raise BadInput(f"--out {path}: the file exists. Pass --force to replace it.")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-"):
            free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise BadInput(
            f"--out {path}: the folder {path.parent.absolute()} cannot be written to: "
            f"{error.strerror or error}."
        ) from None
    if free < size:
        raise BadInput(
            f"--out {path}: expected room for up to {size / 1e6:.1f} MB, got "
            f"{free / 1e6:.1f} MB on the disk of {path.parent.absolute()}."
        )
    return path


@contextlib.contextmanager
def written_whole(path):
    """Give the path of a file to write, and put it in its place when all has gone well."""
    try:
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=f".{path.stem}-", ignore_cleanup_errors=True
        ) as folder:
            part = Path(folder) / path.name
            yield part
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
    except OSError as error:
        raise Failed(f"{path} was not written: {describe(error)}.") from error


def read_data(path, network, with_labels=True):
    """Read x, y and sample_weight of an ``.npz`` file, as ``fit`` takes them.

    Of several inputs or outputs, each is an array of its own: ``x_NAME``, ``y_NAME``.
    """
    path = existing(path)
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("another kind of archive")
    except UNREADABLE as error:
        if "allow_pickle" in str(error):
            why = "it holds Python objects, which are not read, for they may run code"
        else:
            why = "it is no .npz file, or it is damaged"
        raise BadInput(
            f"{path} cannot be read: {why}. Write it with numpy.savez({path.name!r}, "
            "x=..., y=...), of numbers."
        ) from None
    data = {"x": _named(arrays, "x", getattr(network, "inputs", None), path)}
    if with_labels:
        names = getattr(network, "output_names", None) or []
        data["y"] = _named(arrays, "y", names, path)
        if "sample_weight" in arrays:
            data["sample_weight"] = arrays["sample_weight"]
    return data


def _named(arrays, key, parts, path):
    """One array, or a dict of those that belong to named inputs or outputs."""
    if key in arrays:
        return arrays[key]
    names = [getattr(part, "name", part) for part in parts or []]
    if len(names) > 1 and all(f"{key}_{name}" in arrays for name in names):
        return {name: arrays[f"{key}_{name}"] for name in names}
    several = ", ".join(f"{key}_{name}" for name in names if len(names) > 1)
    expected = f"an array {key!r}" + (f", or {several}" if several else "")
    found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    raise BadInput(
        f"{path}: expected {expected}, got {found or 'no arrays'}. Write it with "
        f"numpy.savez({path.name!r}, x=..., y=...)."
    )
