"""Exported files in their runtimes, called as their network is: LiteRT and ONNX Runtime."""

import os
import re
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nestrade_lib.checks import require


def load_export(path):
    """Open an exported file in its runtime.

    Parameters
    ----------
    path : str or path
        What :func:`nestrade_lib.export` has written.

    Returns
    -------
    callable
        ``run(x)`` gives the outputs as arrays, as the network does. Where a network has
        several inputs, ``x`` is a dict of arrays by their names. Numbers of other kinds
        than the file takes become those.

    Raises
    ------
    ValueError
        If there is no such file, or its runtime cannot read it; or, of ``run``, if arrays
        have other names or shapes than the inputs.
    ModuleNotFoundError
        If a package is missing, by name.

    Examples
    --------
    >>> import tempfile
    >>> import keras, numpy as np
    >>> from nestrade_lib import export
    >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> path = export(network, Path(tempfile.mkdtemp(), "small.tflite"))
    >>> load_export(path)(np.ones((3, 4), "float32")).shape
    (3, 2)
    """
    path = checked_path(path)
    holds = path.is_file() and path.suffix in (".tflite", ".onnx")
    require(holds, "path", "an existing .tflite or .onnx file", str(path))
    try:
        return _onnx_runner(path) if path.suffix == ".onnx" else _litert_runner(path)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # of the runtimes, of many kinds
        raise ValueError(
            f"path: expected a whole {path.suffix} file, got {str(path)!r}, which its "
            f"runtime cannot read: {' '.join(str(error).split())[:200]}"
        ) from error


def checked_path(path):
    """A path, from what names one."""
    holds = isinstance(path, (str, os.PathLike)) and "\0" not in os.fspath(path)
    require(holds, "path", "the name of a file", path)
    return Path(path)


def require_package(package):
    if find_spec(package) is None:
        raise ModuleNotFoundError(
            f"The package {package!r} is missing: pip install 'nestrade-lib[export]'.",
            name=package,
        )


def _onnx_runner(path):
    require_package("onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": "float32", "tensor(double)": "float64"}
    inputs = {
        put.name: (put.shape, kinds.get(put.type, put.type[7:-1]))
        for put in session.get_inputs()
    }

    def run(x):
        outputs = session.run(None, _fed(x, inputs))
        return outputs if len(outputs) > 1 else outputs[0]

    return run


def _litert_runner(path):
    if find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    else:
        require_package("tensorflow")
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter
    with warnings.catch_warnings():  # TensorFlow's copy says that it will move
        warnings.simplefilter("ignore")
        runner = Interpreter(str(path)).get_signature_runner()
    inputs = {}
    for name, each in runner.get_input_details().items():
        shape = each["shape_signature"].tolist()
        shape[:1] = [-1] * len(shape[:1])  # the runner resizes the first axis
        inputs[name] = shape, each["dtype"]

    def run(x):
        outputs = runner(**_fed(x, inputs))
        order = sorted(outputs)  # as Keras orders the outputs that a network names
        if all(re.fullmatch(r"output_\d+", name) for name in outputs):
            order.sort(key=len)  # numbered: output_2 comes before output_10
        return (
            [outputs[name] for name in order] if len(order) > 1 else outputs[order[0]]
        )

    return run


def _fed(x, inputs):
    """Arrays by the names of the inputs, of their kinds of numbers.

    >>> _fed([[1, 2]], {"x": ([-1, 2], "float32")})
    {'x': array([[1., 2.]], dtype=float32)}
    >>> _fed([[1, 2, 3]], {"x": ([-1, 2], "float32")})
    Traceback (most recent call last):
        ...
    ValueError: x: expected numbers of shape (any, 2), got shape (1, 3) of int64.
    """
    expected = "arrays by the names " + ", ".join(map(repr, inputs))
    is_dict = isinstance(x, dict)
    if not is_dict and len(inputs) > 1:  # a file does not tell the order of its inputs
        require(False, "x", f"a dict of {expected}", type(x).__name__)
    named = x if is_dict else {next(iter(inputs)): x}
    require(set(named) == set(inputs), "x", expected, list(named))
    fed = {name: _array(name, named[name], *inputs[name]) for name in inputs}
    counts = [len(array) for array in fed.values() if array.ndim]
    require(len(set(counts)) < 2, "x", "as many samples for each input", counts)
    return fed


def _array(name, values, shape, dtype):
    if dtype in ("string", np.object_, np.bytes_, np.str_):  # left to the runtime
        return values
    try:
        array = np.asarray(values)
    except ValueError:  # lists of unequal lengths
        array = np.asarray(None)
    sizes = [n if isinstance(n, int) and n >= 0 else None for n in shape]
    fits = array.dtype.kind in "biuf" and array.ndim == len(sizes)
    fits = fits and all(n in (None, m) for n, m in zip(sizes, array.shape))
    if not fits:
        listed = ", ".join("any" if n is None else str(n) for n in sizes)
        raise ValueError(
            f"{name}: expected numbers of shape ({listed}), got shape {array.shape} of "
            f"{array.dtype}."
        )
    return array.astype(dtype)
