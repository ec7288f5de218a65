"""A network as a file for another runtime: LiteRT, in float or int8, and ONNX.

Keras writes the files: this module checks what is asked, reports what a format lacks in
one sentence, and leaves a whole file or none.
"""

import contextlib
import logging
import os
import re
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np

from nestrade_lib import onnx_operations
from nestrade_lib.arrays import input_structure
from nestrade_lib.checks import require
from nestrade_lib.internals import all_layers
from nestrade_lib.runtimes import checked_path, require_package

SUFFIXES = {"litert": ".tflite", "litert-int8": ".tflite", "onnx": ".onnx"}
_PACKAGES = {"litert": ["tensorflow"], "onnx": ["onnx", "tf2onnx"]}


def export(model, path, to="litert", calibration=None):
    """Write a network as a file that runs without Keras.

    The file takes and returns float numbers and batches of any size. In an int8 file
    every operation between is in int8 where LiteRT has it so: weights and activations take
    a quarter of the bytes, and their ranges are those of ``calibration``.

    Parameters
    ----------
    model : keras.Model or Nestrade
        Built.
    path : str or path
        Ends in ``.tflite`` or ``.onnx``. A file that is there is replaced, once
        the new one is whole.
    to : {"litert", "litert-int8", "onnx"}
        LiteRT (once TensorFlow Lite) needs TensorFlow, and ONNX the packages ``onnx`` and
        ``tf2onnx``: ``pip install 'nestrade-lib[export]'``.
    calibration : array, or a nested structure of arrays
        For int8: some 100 to 500 samples of what the network will see, as it takes them.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If an argument does not fit, or the format lacks an operation, which is named.
    ModuleNotFoundError
        If a package is missing, by name.
    OSError
        If the file cannot be written; what was at ``path`` stays.

    Examples
    --------
    >>> import tempfile
    >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> from nestrade_lib import load_export
    >>> path = export(network, Path(tempfile.mkdtemp(), "small.tflite"))
    >>> x = np.ones((3, 4), "float32")
    >>> bool(np.allclose(load_export(path)(x), network(x), atol=1e-5))
    True
    """
    if not isinstance(model, keras.Model):  # of a trainer
        model = getattr(model, "network", model)
    path = _checked(model, path, to)
    samples = _samples(model, to, calibration)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, f"export{path.suffix}")
        try:
            with _quiet():
                _write(model, draft, to, samples)
        except OSError:
            raise
        except Exception as error:
            raise ValueError(_reason(model, to, str(error))) from error
        _replace(path, draft.read_bytes())
    return path


# What is asked ------------------------------------------------------------------


def _checked(model, path, to):
    is_format = isinstance(to, str) and to in SUFFIXES
    require(is_format, "to", f"one of {', '.join(SUFFIXES)}", to)
    holds = isinstance(model, keras.Model) and model.built
    expected = "a keras.Model that is built"
    require(holds, "model", expected, model, "Call it on a batch first.")
    path = checked_path(path)
    expected = f"a name that ends in {SUFFIXES[to]!r} for to={to!r}"
    require(path.suffix == SUFFIXES[to], "path", expected, path.name)
    if not path.parent.is_dir():
        raise ValueError(
            f"path: there is no folder {str(path.parent)!r}. Make it first."
        )
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"to: {to!r} needs TensorFlow as Keras' backend, which is {backend!r} here. "
            "Save the network as .keras, and export it in a process that sets "
            "KERAS_BACKEND=tensorflow."
        )
    for package in _PACKAGES[to.partition("-")[0]]:
        require_package(package)
    return path


def _samples(model, to, calibration):
    """Arrays by the names of the inputs, or None where there is nothing to calibrate."""
    if to != "litert-int8":
        if calibration is not None:
            raise ValueError(
                f"calibration: expected None for to={to!r}, which has no ranges to find. "
                "to='litert-int8' takes samples."
            )
        return None
    require(
        calibration is not None,
        "calibration",
        "samples for to='litert-int8'",
        calibration,
        "Give some 100 to 500 of the training inputs, such as x_train[:200].",
    )
    if not _sample_inputs(model):
        raise ValueError(
            "model: int8 needs a functional or sequential model, whose inputs have names. "
            "nestrade_lib.unroll makes one of a subclassed model."
        )
    parts = keras.tree.flatten(_in_order(model, calibration))
    arrays = [np.asarray(part) for part in parts]
    expected = f"{len(model.inputs)} arrays, one per input"
    require(len(arrays) == len(model.inputs), "calibration", expected, len(arrays))
    for tensor, array in zip(model.inputs, arrays):
        _check_samples(tensor, array)
    if len({len(array) for array in arrays}) > 1:
        raise ValueError(
            "calibration: expected as many samples for each input, "
            f"got {', '.join(str(len(array)) for array in arrays)}."
        )
    return {t.name: a.astype(t.dtype) for t, a in zip(model.inputs, arrays)}


def _in_order(model, calibration):
    """Samples in the order of the inputs: a dict may name them, or be nested as they are."""
    names = [tensor.name for tensor in model.inputs]
    nested = input_structure(model)
    if not isinstance(calibration, dict):
        return calibration
    if isinstance(nested, dict) and set(nested) == set(calibration):
        return calibration
    expected = f"samples by the names {', '.join(map(repr, names))}"
    holds = set(calibration) == set(names)
    require(holds, "calibration", expected, list(calibration))
    return [calibration[name] for name in names]


def _check_samples(tensor, array):
    expected = ("samples", *tensor.shape[1:])
    fits = array.ndim == len(expected) and len(array)
    fits = fits and all(e in (None, a) for e, a in zip(expected[1:], array.shape[1:]))
    shape = ", ".join("any" if e is None else str(e) for e in expected)
    expected = f"an array of shape ({shape}) for the input {tensor.name!r}"
    require(fits, "calibration", expected, array.shape)
    holds = array.dtype.kind in "biuf"
    with np.errstate(over="ignore"):  # what the network cannot hold becomes infinite
        holds = holds and np.isfinite(array.astype(tensor.dtype)).all()
    if not holds:
        raise ValueError(
            f"calibration: expected finite numbers for the input {tensor.name!r}, "
            f"got {array.dtype} with values that are none in {tensor.dtype}."
        )


# What Keras writes ---------------------------------------------------------------


def _write(model, path, to, samples):
    if to == "onnx":
        import onnx

        if keras.backend.backend() == "tensorflow":
            onnx_operations.register()
        # Without it, Keras refuses a network that was loaded and never called.
        signature = (
            {"input_signature": _signature(model)} if _sample_inputs(model) else {}
        )
        model.export(str(path), format="onnx", verbose=False, **signature)
        onnx.checker.check_model(str(path))
        return
    import tensorflow as tf

    kinds = tf.lite.OpsSet
    options = {"target_spec": {"supported_ops": [kinds.TFLITE_BUILTINS]}}
    if samples is not None:
        rows = range(len(next(iter(samples.values()))))

        def representative():
            for row in rows:
                part = {name: array[row : row + 1] for name, array in samples.items()}
                yield "serving_default", part

        options = {
            "target_spec": {"supported_ops": [kinds.TFLITE_BUILTINS_INT8]},
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": representative,
        }
    model.export(str(path), format="litert", verbose=False, **options)


def _sample_inputs(model):
    """The inputs of a model that has them before it is called."""
    return getattr(model, "inputs", None) or []


def _signature(model):
    """What the network takes, as Keras' exports want it: one argument, as it is nested."""

    def spec(x):
        return keras.InputSpec(shape=x.shape, dtype=x.dtype, name=x.name)

    return [keras.tree.map_structure(spec, input_structure(model))]


@contextlib.contextmanager
def _quiet():
    """Neither warnings nor logs of the converters: errors are raised."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)


def _reason(model, to, text):
    """Why there is no file, in one sentence, and what to do."""
    if "argument names" in text:
        mend = "Name inputs with letters, digits and _: keras.Input(..., name=)."
        return f"{to} cannot take the names of the inputs. {mend} No file was written."
    unknown = re.findall(r"'tf\.(\w+)' op|No Op registered for (\w+)", text)
    names = {first or second for first, second in unknown}
    if names or to == "litert":  # unknown to LiteRT, in whatever numbers
        other = "to='litert'" if to == "onnx" else "to='onnx'"
    else:
        names = set(re.findall(r"'tfl\.(\w+)' op", text))
        other = "to='litert'"
    if to == "litert-int8":
        other = f"{other}, in float"
    if to != "onnx" and any("float16" in x.compute_dtype for x in all_layers(model)):
        mend = "Build the network with the dtype policy 'float32', with these weights"
        return f"{to} lacks float16. {mend}, or try {other}. No file was written."
    if not names:
        first = text.strip().partition("\n")[0][:200]
        return (
            f"{to} cannot take this network: {first} Try {other}. No file was written."
        )
    mend = "Use others in their place"
    if any(name.startswith("TensorList") for name in names):
        mend = "Make recurrent layers with unroll=True"
    return (
        f"{to} lacks these operations: {', '.join(sorted(names))}. {mend}, or try "
        f"{other}. No file was written."
    )


def _replace(path, content):
    """Write a file whole or not at all, in place of what is there."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            error.errno,
            f"{len(content):,} bytes cannot be written: {reason}",
            str(path),
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
