"""Exported files: they answer as their network does, or there is none and a reason."""

import errno
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from nestrade_lib import (
    create_model,
    export,
    exports,
    load_export,
    load_mnist,
    runtimes,
)

pytest.importorskip("tensorflow", reason="LiteRT's converter is part of TensorFlow")


@pytest.fixture(scope="module")
def lenet():
    """A LeNet, trained briefly, and images that it has not seen."""
    (x, y), (x_test, _) = load_mnist()
    keras.utils.set_random_seed(0)
    network = create_model((28, 28, 1), 10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss)
    network.fit(x[:6000], y[:6000], batch_size=64, verbose=0)
    return network, x, x_test[:1000]


def several():
    a, b = keras.Input((3,), name="a"), keras.Input((4,), name="b")
    return keras.Model([b, a], [kl.Dense(3)(b), kl.Dense(2)(a)])


def with_operation(function):
    x = keras.Input((8,), name="taken")
    return keras.Model(x, function(kl.Dense(8)(x)))


@pytest.mark.parametrize("to", ["litert", "onnx"])
def test_a_float_file_answers_as_its_network(lenet, to, tmp_path):
    network, _, x = lenet
    path = export(network, tmp_path / f"lenet{exports.SUFFIXES[to]}", to)
    run = load_export(path)
    for batch in (x[:1], x):  # any number of samples
        np.testing.assert_allclose(run(batch), network(batch), atol=1e-4)
    weights = 4 * network.count_params()
    assert weights < path.stat().st_size < 1.05 * weights
    assert os.listdir(tmp_path) == [path.name]


def test_an_int8_file_predicts_the_same_with_a_quarter_of_the_bytes(lenet, tmp_path):
    network, x_train, x = lenet
    path = export(network, tmp_path / "lenet.tflite", "litert-int8", x_train[:200])
    same = load_export(path)(x).argmax(-1) == ops.argmax(network(x), -1)
    assert np.mean(same) >= 0.99
    assert path.stat().st_size < 0.27 * 4 * network.count_params()


def test_a_file_of_a_fixed_batch_size_says_which(tmp_path):
    network = keras.Sequential([keras.Input(batch_shape=(2, 4)), keras.layers.Dense(3)])
    run = load_export(export(network, tmp_path / "fixed.onnx", to="onnx"))
    assert run(np.ones((2, 4), "float32")).shape == (2, 3)
    with pytest.raises(ValueError, match=r"shape \(2, 4\), got shape \(3, 4\)"):
        run(np.ones((3, 4), "float32"))


def test_several_inputs_are_calibrated_and_fed_by_their_names(tmp_path):
    network = several()
    b, a = np.random.default_rng(0).random((2, 6, 4), "float32")
    a = 100 * a[:, :3]  # ranges that must not be exchanged
    expected = network([b, a])
    for to, atol in {"litert": 1e-5, "onnx": 1e-5, "litert-int8": 2}.items():
        calibration = {"a": a, "b": b} if to == "litert-int8" else None
        path = export(network, tmp_path / f"x{exports.SUFFIXES[to]}", to, calibration)
        run = load_export(path)
        for got, want in zip(
            run({"a": a.astype("float64"), "b": b.tolist()}), expected
        ):
            np.testing.assert_allclose(got, want, atol=atol)
        for wrong, message in (
            (b, "x: expected a dict of arrays by the names"),
            ({"a": a}, r"by the names 'b', 'a'|by the names 'a', 'b'"),
            ({"a": a, "b": b, "c": b}, "by the names"),
            ({"a": a[:3], "b": b}, "as many samples for each input"),
            ({"a": a[:, :2], "b": b}, r"a: .* shape \(any, 3\), got shape \(6, 2\)"),
            ({"a": a[0], "b": b}, r"a: .* got shape \(3,\)"),
            ({"a": a, "b": "text"}, r"b: .* got shape \(\) of <U4"),
            ({"a": a, "b": None}, r"b: .* of object"),
            ({"a": a, "b": [[1], [1, 2]]}, "b: expected numbers"),
        ):
            with pytest.raises(ValueError, match=message):
                run(wrong)


def logarithm(x):
    return ops.log1p(ops.square(x))


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("activation", ["gelu", "celu", logarithm])
def test_what_tf2onnx_lacks_goes_to_onnx(activation, dtype, tmp_path):
    x = keras.Input((8,))
    hidden = kl.Dense(6, activation=activation, dtype=dtype)(x)
    network = keras.Model(x, kl.Dense(3)(ops.cast(hidden, "float32")))
    export(network, tmp_path / "x.onnx", "onnx")
    batch = np.random.default_rng(0).normal(size=(5, 8)).astype("float32")
    answers = load_export(tmp_path / "x.onnx")(batch), network.predict(batch, verbose=0)
    atol = 1e-5 if dtype == "float32" else 1e-2
    np.testing.assert_allclose(*answers, atol=atol)


@pytest.mark.parametrize(
    "function, to, operation, way_out",
    [
        (ops.erf, "litert", "Erf", "to='onnx'"),
        (ops.erf, "litert-int8", "Erf", "to='onnx', in float"),
        (lambda x: ops.svd(x[:, None], compute_uv=False), "onnx", "Svd", "to='litert'"),
        (
            lambda x: kl.LSTM(2)(x[..., None]),
            "litert",
            "TensorListReserve",
            "unroll=True",
        ),
    ],
)
def test_what_a_format_lacks_is_named(function, to, operation, way_out, tmp_path):
    network = with_operation(function)
    path = tmp_path / f"network{exports.SUFFIXES[to]}"
    path.write_bytes(b"before")
    calibration = np.ones((4, 8)) if to == "litert-int8" else None
    with pytest.raises(ValueError, match=operation) as error:
        export(network, path, to, calibration)
    assert way_out in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    "calibration, message",
    [
        (None, r"such as x_train\[:200\]"),
        (np.ones((5, 7)), r"shape \(samples, 8\) .* got \(5, 7\)"),
        (np.ones((0, 8)), r"got \(0, 8\)"),
        (np.full((5, 8), np.nan), "finite numbers"),
        (np.full((5, 8), "a"), "finite numbers"),
        (np.full((5, 8), 1e300), "none in float32"),  # a segmentation fault otherwise
        ({"other": np.ones((5, 8))}, r"by the names 'taken', got \['other'\]"),
        ([np.ones((5, 8))] * 2, "expected 1 arrays, one per input, got 2"),
    ],
)
def test_calibration_that_does_not_fit_is_refused(calibration, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        path = tmp_path / "x.tflite"
        export(with_operation(ops.relu), path, "litert-int8", calibration)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["x.tflite", "x.onnx"])
def test_files_that_a_runtime_cannot_read_are_refused(name, tmp_path):
    whole = export(with_operation(ops.relu), tmp_path / "whole.tflite").read_bytes()
    for content in (b"", b"junk" * 100, whole[:200]):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="path: expected a whole .* cannot read"):
            load_export(tmp_path / name)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"to": "tflite"}, "one of litert, litert-int8, onnx"),
        ({"path": "x.onnx"}, "ends in '.tflite'"),
        ({"path": "absent/x.tflite"}, "no folder"),
        ({"model": keras.Sequential([kl.Dense(2)])}, "Call it on a batch"),
        ({"model": "x.keras"}, "expected a keras.Model"),
        ({"calibration": np.ones((4, 8))}, "expected None for to='litert'"),
    ],
)
def test_other_wrong_arguments_are_refused(changed, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = {"model": with_operation(ops.relu), "path": "x.tflite"} | changed
    with pytest.raises(ValueError, match=message):
        export(**arguments)
    assert not os.listdir(tmp_path)


def test_a_full_disk_leaves_the_file_before_it(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "x.tflite"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="bytes cannot be written: No space left"):
        export(with_operation(ops.relu), path)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == [path.name]


def test_a_missing_package_and_a_missing_file_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="'onnx' is missing: pip install"):
        export(with_operation(ops.relu), tmp_path / "x.onnx", "onnx")
    with pytest.raises(ValueError, match="existing .tflite or .onnx file"):
        load_export(Path(tmp_path, "absent.onnx"))


@pytest.mark.parametrize("to, name", [("litert", "d.tflite"), ("onnx", "d.onnx")])
def test_outputs_come_in_the_order_of_keras(tmp_path, to, name):
    inputs = keras.Input((4,))
    outputs = {key: kl.Dense(2)(inputs) for key in ("zz", "aaa", "m")}
    network = keras.Model(inputs, outputs)
    x = np.ones((2, 4), "float32")
    answers = load_export(export(network, tmp_path / name, to))(x)
    expected = keras.tree.flatten(network(x))
    for ours, theirs in zip(answers, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("to", ["litert", "litert-int8"])
def test_what_litert_lacks_is_named(tmp_path, to):
    x = np.ones((4, 3), "float32")
    calibration = x if to == "litert-int8" else None
    inputs = keras.Input((3,), name="my input")
    spaced = keras.Model(inputs, kl.Dense(2)(inputs))
    with pytest.raises(ValueError, match="Name inputs with letters, digits and _"):
        export(spaced, tmp_path / "spaced.tflite", to, calibration)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        inputs = keras.Input((3,))
        low = keras.Model(inputs, kl.Dense(2)(inputs))
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match=f"{to} lacks float16.*policy 'float32'"):
        export(low, tmp_path / "low.tflite", to, calibration)
    assert not list(tmp_path.iterdir())
