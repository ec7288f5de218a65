"""Two data sets as arrays: MNIST, which ships inside the package, and Fashion-MNIST.

Images come as ``(samples, 28, 28, 1)``, labels as integers from 0 to 9. By default
pixels are ``float32`` from 0 to 1, ready for a network. With ``dtype="uint8"`` they
are the bytes as published, four times smaller: what :class:`nestrade_lib.Batches`
and :func:`nestrade_lib.tf_batches` like best, since they scale batch by batch.
"""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np

from nestrade_lib.checks import require

MNIST_FILE = Path(__file__).parent / "datasets" / "mnist.npz"
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
FASHION_SHA256 = "5b6d2c4c694a91887af8ab7d039c04f80af3c29378d731c93a538d2e831aa469"

Pair = tuple[np.ndarray, np.ndarray]  # images and labels
DataSet = tuple[Pair, Pair]  # for training, for testing


def load_mnist(dtype: str = "float32") -> DataSet:
    """Load the handwritten digits, from the file inside the package.

    Parameters
    ----------
    dtype : {"float32", "uint8"}
        ``"float32"`` scales pixels to [0, 1]; ``"uint8"`` gives the bytes, 0 to 255.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images ``(60000, 28, 28, 1)`` and ``(10000, 28, 28, 1)`` of `dtype`; labels
        ``(60000,)`` and ``(10000,)`` of ``int32``, 0 to 9.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, cut short or altered, or `dtype` is another.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to
    document recognition". Data under CC BY-SA 3.0.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_mnist()
    >>> x_train.shape, x_train.dtype.name, int(y_train[0])
    ((60000, 28, 28, 1), 'float32', 5)
    """
    _check_dtype(dtype)
    return _as_images(read_npz(MNIST_FILE, MNIST_SHA256), dtype)


def load_fashion_mnist(dtype: str = "float32") -> DataSet:
    """Load Fashion-MNIST: ten kinds of clothing in the format of MNIST, harder.

    The file ``fashion_mnist.npz`` is read from the folder that the environment
    variable ``NESTRADE_DATA`` names, where it is set. Otherwise Keras downloads the
    data once and keeps it.

    Parameters
    ----------
    dtype : {"float32", "uint8"}
        As in :func:`load_mnist`.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Shapes and types as in :func:`load_mnist`.

    Raises
    ------
    FileNotFoundError, ValueError
        If ``NESTRADE_DATA`` names no folder, or its file is missing or not the
        published one, or `dtype` is another.

    References
    ----------
    Xiao, Rasul, Vollgraf (2017), "Fashion-MNIST: a novel image dataset for
    benchmarking machine learning algorithms". Data under the MIT licence.

    Examples
    --------
    >>> (x_train, y_train), _ = load_fashion_mnist()  # doctest: +SKIP
    >>> x_train.shape  # doctest: +SKIP
    (60000, 28, 28, 1)
    """
    _check_dtype(dtype)
    folder = os.environ.get("NESTRADE_DATA")
    if folder is None:
        import keras

        (x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
        arrays = {
            "x_train": x_train,
            "y_train": y_train,
            "x_test": x_test,
            "y_test": y_test,
        }
    elif not Path(folder).is_dir():
        raise FileNotFoundError(
            f"NESTRADE_DATA names a folder that does not exist: {folder!r}. Point it "
            "at the folder that holds fashion_mnist.npz, or unset it to let Keras "
            "download the data."
        )
    else:
        arrays = read_npz(Path(folder) / "fashion_mnist.npz", FASHION_SHA256)
    return _as_images(arrays, dtype)


def read_npz(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Read the arrays of an ``.npz`` file, whose bytes must have the given hash."""
    if not path.is_file():
        raise FileNotFoundError(
            f"The data file {path} is missing. Install nestrade-lib again, or put the "
            f"file with SHA-256 {sha256} there."
        )
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        whole = zipfile.is_zipfile(io.BytesIO(content))
        raise ValueError(
            f"The data file {path} is {'altered' if whole else 'cut short or altered'}: "
            f"expected SHA-256 {sha256}, got {digest} ({len(content):,} bytes). Delete "
            "it and install or download it again."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _check_dtype(dtype):
    holds = isinstance(dtype, str) and dtype in ("float32", "uint8")
    expected = "'float32' (pixels from 0 to 1) or 'uint8' (bytes from 0 to 255)"
    require(holds, "dtype", expected, dtype)


def _as_images(arrays, dtype):
    def images(name):
        pixels = arrays[name][..., np.newaxis]
        return pixels if dtype == "uint8" else pixels * np.float32(1 / 255)

    return (
        (images("x_train"), arrays["y_train"].astype("int32")),
        (images("x_test"), arrays["y_test"].astype("int32")),
    )
