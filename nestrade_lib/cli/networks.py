"""A network read from its file, and what is wrong where it cannot be read."""

import contextlib
import importlib
import importlib.util
import json
import re
import sys
import warnings
import zipfile

import keras

from nestrade_lib.cli.errors import BadInput, describe, one_line
from nestrade_lib.cli.files import existing

SUFFIXES = (".keras", ".h5", ".hdf5")


def import_custom(names):
    """Import modules or Python files, and give the classes and functions that they hold.

    What they register is registered then: objects with Keras, rules with the library.
    """
    found = {}
    for name in names:
        try:
            found |= _public(_import(name))
        except BadInput as error:
            raise BadInput(f"--custom {error}") from None
        except (Exception, SystemExit) as error:
            raise BadInput(
                f"--custom {name} cannot be imported: {type(error).__name__}: "
                f"{describe(error)}. Give a Python file, or a module's name."
            ) from error
    return found


def _import(name):
    if not name.endswith(".py"):
        with _first_on_path("."):
            return importlib.import_module(name)
    path = existing(name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    with _first_on_path(str(path.parent)):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _first_on_path(folder):
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _public(module):
    parts = {k: v for k, v in vars(module).items() if not k.startswith("_")}
    return {
        name: part
        for name, part in parts.items()
        if callable(part) and not str(part.__module__).startswith("keras")
    }


def load(path, custom, is_compiled=True):
    """Load a network; with what it was compiled with, if that is asked for and readable.

    Returns the network, and what is wrong with how it was compiled, if something is.
    """
    path = existing(path)
    _require_network(path)
    options = {"custom_objects": custom, "compile": is_compiled}
    try:
        with warnings.catch_warnings():  # files of networks that never trained
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return keras.models.load_model(path, **options), None
    except Exception as error:
        unknown, trouble = _unknown(path, custom, error), error
    if is_compiled and not unknown:  # the network itself may be readable
        try:
            network, _ = load(path, custom, is_compiled=False)
            return network, one_line(trouble)
        except BadInput:
            pass
    raise BadInput(f"{path}: {_reason(path, unknown, trouble)}") from trouble


def _require_network(path):
    content = "keras" if zipfile.is_zipfile(path) else None
    with open(path, "rb") as file:
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            content = "h5"
    if content == "keras":
        with zipfile.ZipFile(path) as archive:
            content = content if "config.json" in archive.namelist() else None
    if content is None:
        raise BadInput(
            f"{path}: expected a Keras network, got another kind of file. Write one with "
            "model.save('model.keras')."
        )
    if path.suffix not in (SUFFIXES[:1] if content == "keras" else SUFFIXES[1:]):
        raise BadInput(
            f"{path}: expected a name that ends in .{content}, as its content is; got "
            f"{path.suffix or 'none'}. Rename the file."
        )


def _reason(path, unknown, error):
    text = one_line(error)
    if unknown:
        return (
            f"expected objects that Keras knows, got {', '.join(map(repr, unknown))} of "
            "one's own. Pass the Python file or module that defines them: --custom FILE.py."
        )
    if "Lambda" in text or "lambda" in text:
        return (
            "it holds a Lambda layer or a lambda, whose code is not run unasked. If you "
            "trust the file, load it in Python with safe_mode=False, put a layer of its own "
            "class in its place, and save that."
        )
    if "No model config found" in text:
        return (
            "it holds weights alone. Save the whole network: model.save('model.keras')."
        )
    version = _version(path)
    if version and version != keras.__version__:
        return (
            f"it was written by Keras {version}, and Keras {keras.__version__} cannot read "
            f"it ({text[:200]}). Install that version, or save the network with this one."
        )
    return f"Keras cannot read it, it may be damaged: {text[:300]}"


def _version(path):
    """The version of Keras that has written a file, if it says so."""
    try:
        if path.suffix == ".keras":
            return _member(path, "metadata.json").get("keras_version")
        import h5py

        with h5py.File(path) as file:
            return str(file.attrs.get("keras_version", "")) or None
    except Exception:  # a damaged file says nothing
        return None


def _member(path, name):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(name))


def _unknown(path, custom, error):
    """Names of the objects of one's own that are neither given, registered nor importable."""
    named = re.findall(r"Unknown [\w ]+: '([^']+)'", str(error))  # in .h5 files
    names = [name.rpartition(">")[2] for name in named]
    if path.suffix == ".keras":
        try:
            names += _names(_member(path, "config.json"))
        except Exception:  # the error says what is wrong
            pass
    return [name for name in dict.fromkeys(names) if name not in custom]


def _names(config):
    """Names of all objects of one's own in a configuration that Keras would not find."""
    if isinstance(config, list):
        return [name for part in config for name in _names(part)]
    if not isinstance(config, dict):
        return []
    found = [name for part in config.values() for name in _names(part)]
    registered, module = config.get("registered_name"), str(config.get("module"))
    if registered and not module.startswith("keras"):
        is_function = config.get("class_name") == "function"
        name = config["config"] if is_function else config["class_name"]
        known = keras.saving.get_registered_object(registered)
        if known is None and not hasattr(sys.modules.get(module), str(name)):
            found.append(str(name))
    return found


def compile_network(network, path, trouble, options):
    """Compile a network that its file does not compile; refuse options where it does."""
    asked = {"--optimizer": options.optimizer, "--loss": options.loss}
    if network.compiled:
        given = [name for name, value in asked.items() if value is not None]
        if given:
            raise BadInput(
                f"{' and '.join(given)}: {path} is compiled already, with "
                f"{type(network.optimizer).__name__} and its own loss. Leave them out."
            )
    elif options.loss is None:
        why = f" ({trouble[:200]})" if trouble else ""
        raise BadInput(
            f"{path}: expected a compiled network, got one without a loss{why}. Say which: "
            "--loss sparse_categorical_crossentropy, for labels that are whole numbers."
        )
    else:
        metrics = ["accuracy"] if "crossentropy" in options.loss else None
        try:
            optimizer = "adam" if options.optimizer is None else options.optimizer
            network.compile(optimizer, options.loss, metrics=metrics)
            keras.losses.get(options.loss)
        except (ValueError, TypeError):
            raise BadInput(
                f"--optimizer {optimizer} --loss {options.loss}: expected "
                "names that Keras knows, such as adam and mse."
            ) from None
    if options.learning_rate is not None:
        try:
            network.optimizer.learning_rate = options.learning_rate
        except TypeError:
            raise BadInput(
                f"--learning-rate: the optimizer of {path} has a schedule of its own. Leave "
                "it out."
            ) from None
