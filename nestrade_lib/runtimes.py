"""Exported files in their runtimes, called as their network is: LiteRT and ONNX Runtime."""

import os
import warnings
from importlib.util import find_spec
from pathlib import Path

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
        several inputs, ``x`` is a dict of arrays by their names.

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
    if not path.is_file() or path.suffix not in (".tflite", ".onnx"):
        raise ValueError(
            f"path: expected an existing .tflite or .onnx file, got {str(path)!r}."
        )
    return _onnx_runner(path) if path.suffix == ".onnx" else _litert_runner(path)


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
    names = [put.name for put in session.get_inputs()]

    def run(x):
        fed = x if isinstance(x, dict) else {names[0]: x}
        outputs = session.run(None, fed)
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
    names = list(runner.get_input_details())

    def run(x):
        fed = x if isinstance(x, dict) else {names[0]: x}
        outputs = runner(**fed)
        order = sorted(outputs, key=lambda name: (len(name), name))
        return (
            [outputs[name] for name in order] if len(order) > 1 else outputs[order[0]]
        )

    return run
