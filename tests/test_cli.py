"""The command line: what it writes and prints, and how it ends where it cannot."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib import count_costs, exports, load_export
from nestrade_lib.cli import FORMATS, commands, main
from tests.support.small import X, Y, mlp

pytestmark = pytest.mark.any_backend

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

CUSTOM = """
import keras

@keras.saving.register_keras_serializable("mine")
class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor

def halved(x):
    return x / 2
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a compiled network and its data, where commands run."""
    monkeypatch.chdir(tmp_path)
    network = mlp()
    network.save("dense.keras")
    np.savez("data.npz", x=X, y=Y)
    return tmp_path


def shrink(*more, out="small.keras", budget="macs=0.5", epochs=3, data="data.npz"):
    command = ["shrink", "dense.keras", "--data", data, "--budget", budget]
    command += ["--epochs", str(epochs), "--out", out, "--batch-size", "16"]
    return main([*command, *more])


def error_of(capsys):
    """The one line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nestrade: error: ")
    return line.removeprefix("nestrade: error: ")


def test_shrink_writes_a_network_within_the_budget(folder, capsys):
    assert shrink("--validation", "data.npz") == 0
    out, err = capsys.readouterr()
    assert not err
    lines = out.splitlines()
    assert "steps: 1 cut between steps" in lines[0]
    assert lines[3].startswith("epoch 3/3  ") and "MACs " in lines[3]
    assert any(line.startswith("val_accuracy") for line in lines)
    assert lines[-1] == "wrote small.keras"
    small = keras.models.load_model("small.keras")
    dense = keras.models.load_model("dense.keras")
    assert count_costs(small).macs <= 0.5 * count_costs(dense).macs
    assert sorted(os.listdir()) == ["data.npz", "dense.keras", "small.keras"]


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(folder, capsys):
    assert shrink(out="whole.keras", epochs=20) == 0
    command = [sys.executable, "-m", "nestrade_lib", "shrink", "dense.keras"]
    command += [
        "--data=data.npz",
        "--budget=macs=0.5",
        "--epochs=20",
        "--batch-size=16",
    ]
    command += ["--out=small.keras", "--backup-dir=backup"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    for line in process.stdout:
        if line.startswith("epoch 2/20"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130 and "Traceback" not in err
    assert err.splitlines()[-1].startswith("nestrade: stopped. backup holds its epochs")
    assert not os.path.exists("small.keras")
    capsys.readouterr()
    assert shrink("--backup-dir", "backup", epochs=20) == 0
    assert "epoch 1/20 " not in capsys.readouterr().out
    one, other = (keras.models.load_model(f) for f in ("whole.keras", "small.keras"))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_report_prints_the_costs_of_open_shapes_once_they_are_given(folder, capsys):
    layers = [kl.Conv2D(4, 3, name="conv"), kl.GlobalAveragePooling2D(), kl.Dense(2)]
    keras.Sequential([keras.Input((None, None, 3)), *layers]).save("open.keras")
    assert main(["report", "open.keras", "--input-shape", "8,8,3"]) == 0
    assert "conv " in capsys.readouterr().out
    assert main(["report", "open.keras"]) == 2
    assert error_of(capsys).endswith("Pass --input-shape, such as 224,224,3.")
    assert main(["report", "open.keras", "--input-shape", "8,8,4"]) == 2
    assert "fits [(None, None, 3)], of one sample, got [(8, 8, 4)]" in error_of(capsys)


def test_objects_of_ones_own_are_named_and_taken_from_a_file(folder, capsys):
    (folder / "mine.py").write_text(CUSTOM)
    scope = {}
    exec(CUSTOM, scope)
    for name in ("own.keras", "own.h5"):
        layers = [
            kl.Dense(8),
            scope["Scale"](),
            kl.Dense(3, activation=scope["halved"]),
        ]
        network = keras.Sequential([keras.Input((4,)), *layers])
        keras.saving.get_custom_objects().clear()
        network.save(name)
        assert main(["report", name]) == 2
        message = error_of(capsys)
        assert "'Scale'" in message and "--custom FILE.py" in message
        assert main(["report", name, "--custom", "mine.py"]) == 0
        assert "Scale" in capsys.readouterr().out
    keras.saving.get_custom_objects().clear()
    assert main(["report", "own.keras"]) == 2
    assert "got 'Scale', 'halved' of one's own" in error_of(capsys)
    (folder / "wrong.py").write_text("import nothing_of_the_kind")
    assert main(["report", "own.keras", "--custom", "wrong.py"]) == 2
    assert "wrong.py cannot be imported: ModuleNotFoundError" in error_of(capsys)
    (folder / "ends.py").write_text("raise SystemExit(0)")
    assert main(["report", "own.keras", "--custom", "ends.py"]) == 2
    assert "ends.py cannot be imported: SystemExit" in error_of(capsys)


def _wrong_files():
    """Names of files that hold no network, or none that can be read, and what is said."""
    layers = [keras.Input((2,)), kl.Dense(2)]
    keras.Sequential(layers).save("plain.keras")
    keras.Sequential([*layers, kl.Lambda(lambda x: x)]).save("lambda.keras")
    keras.Sequential(layers).save_weights("only.weights.h5")
    os.rename("only.weights.h5", "weights.h5")
    with open("text.keras", "w") as file:
        file.write("no network")
    os.mkdir("folder.keras")
    with zipfile.ZipFile("plain.keras") as source, open("cut.keras", "wb") as file:
        file.write(open("plain.keras", "rb").read()[:400])
        with zipfile.ZipFile("old.keras", "w") as old:
            for name in source.namelist():
                text = source.read(name)
                if name == "metadata.json":
                    text = b'{"keras_version": "2.15.0"}'
                if name == "config.json":
                    text = text.replace(b'"units"', b'"unit_count"')
                old.writestr(name, text)
    return {
        "nothing.keras": "no such file",
        "folder.keras": "expected a file, got a folder",
        "text.keras": "expected a Keras network, got another kind of file",
        "cut.keras": "expected a Keras network, got another kind of file",
        "data.npz": "expected a Keras network, got another kind of file",
        "weights.h5": "it holds weights alone",
        "lambda.keras": "whose code is not run unasked",
        "old.keras": "was written by Keras 2.15.0, and Keras",
    }


def test_files_that_hold_no_network_are_refused(folder, capsys):
    for name, message in _wrong_files().items():
        assert main(["report", name]) == 2, name
        assert message in error_of(capsys)


@pytest.mark.parametrize(
    "budget, message",
    [
        ("0.25", "expected COST=NUMBER with a cost of macs, parameters"),
        ("flops=0.25", "expected COST=NUMBER with a cost of macs, parameters"),
        ("macs=a", "expected a number, got 'a'"),
        ("macs=0.5,macs=0.2", "expected macs once"),
        ("macs=1.5", "expected macs to be a share in (0, 1], got 1.5"),
        ("max_accuracy_drop=1", "expected --validation"),
    ],
)
def test_budgets_that_say_nothing_are_refused(folder, capsys, budget, message):
    assert shrink(budget=budget) == 2
    assert message in error_of(capsys)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x_train": X, "y_train": Y}, "expected an array 'x', got x_train (192, 8)"),
        ({"x": X}, "expected an array 'y', got x (192, 8)"),
        ({"x": X[:, :5], "y": Y}, "x: expected samples of shape (8,), got (5,)"),
        ({"x": X, "y": Y[:90]}, "90"),
        ({"x": X, "y": Y + 1}, "expected integer labels from 0 to 2"),
        ({"x": X.astype(object), "y": Y}, "it holds Python objects"),
        ({"x": X.astype(str), "y": Y}, "x: expected numbers, got <U32"),
        (
            {"x": X, "y": Y, "sample_weight": -np.ones(192)},
            "sample_weight: expected fin",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused(folder, capsys, arrays, message):
    np.savez("other.npz", **arrays)
    assert shrink(data="other.npz") == 2
    assert message in error_of(capsys)
    if "x" in arrays:
        assert shrink("--validation", "other.npz") == 2
        assert message in error_of(capsys)


def test_data_that_are_none_are_refused(folder, capsys):
    assert shrink(data="nothing.npz") == 2
    assert "nothing.npz: no such file" in error_of(capsys)
    assert shrink(data="dense.keras") == 2
    assert "dense.keras cannot be read: it is no .npz file" in error_of(capsys)
    np.savez_compressed("damaged.npz", x=X, y=Y)
    content = bytearray((folder / "damaged.npz").read_bytes())
    content[80] ^= 255
    (folder / "damaged.npz").write_bytes(content)
    assert shrink(data="damaged.npz") == 2
    assert "damaged.npz cannot be read: it is no .npz" in error_of(capsys)


@pytest.mark.parametrize("seed", ["-1", str(2**32), "1.5", ""])
def test_seeds_that_are_none_are_refused(seed, capsys):
    with pytest.raises(SystemExit) as error:
        main(["shrink", "a", "--data", "b", "--budget", "c", "--epochs", "1",
              "--out", "d", "--seed", seed])  # fmt: skip
    assert error.value.code == 2 and "--seed" in capsys.readouterr().err


def test_what_could_not_be_written_is_refused_before_training(
    folder, capsys, monkeypatch
):
    for out, message in {
        "small.txt": "expected a name that ends in .keras",
        "nowhere/small.keras": "the folder nowhere does not exist",
        "dense.keras": "the file exists. Pass --force",
    }.items():
        assert shrink(out=out) == 2
        assert message in error_of(capsys)
    usage = shutil.disk_usage(".")._replace(free=10)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        assert shrink() == 2
        assert "expected room for up to" in error_of(capsys)


def test_a_full_disk_leaves_nothing_behind(folder, capsys, monkeypatch):
    def save(self, path):
        open(path, "w").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", save)
    assert shrink() == 1
    assert "small.keras was not written: No space left" in error_of(capsys)
    assert sorted(os.listdir()) == ["data.npz", "dense.keras"]


def test_a_network_that_is_not_compiled_needs_a_loss(folder, capsys):
    network = keras.models.load_model("dense.keras", compile=False)
    network.add(kl.Softmax())
    assert shrink("--loss", "mse") == 2
    assert "--loss: dense.keras is compiled already" in error_of(capsys)
    network.save("dense.keras")
    assert shrink() == 2
    assert "expected a compiled network, got one without a loss" in error_of(capsys)
    assert shrink("--loss", "unheard") == 2
    assert "expected names that Keras knows" in error_of(capsys)
    loss = "sparse_categorical_crossentropy"
    assert shrink("--loss", loss, "--learning-rate", "0.01", "--force") == 0
    assert "epoch 3/3  accuracy" in capsys.readouterr().out


def test_a_budget_that_was_not_met_ends_with_one(folder, capsys, monkeypatch):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True

    monkeypatch.setattr(commands.Progress, "on_epoch_end", on_epoch_end)
    assert shrink(budget="macs=0.1") == 1
    out, err = capsys.readouterr()
    assert "warning: The run ended before the budget" in err
    assert out.endswith("wrote small.keras\n")


def test_several_inputs_and_outputs_are_named_in_the_data(folder, capsys):
    left, right = (keras.Input((8,), name=name) for name in ("left", "right"))
    hidden = kl.Dense(16, activation="relu")(kl.Concatenate()([left, right]))
    outputs = [kl.Dense(1, name="sum")(hidden), kl.Dense(1, name="mean")(hidden)]
    network = keras.Model([left, right], outputs)
    network.compile("adam", ["mse", "mse"])
    network.save("dense.keras")
    sums = X.sum(1, keepdims=True)
    arrays = {"x_left": X, "x_right": X, "y_sum": sums}
    np.savez("data.npz", **arrays)
    assert shrink() == 2
    assert "expected an array 'y', or y_sum, y_mean, got" in error_of(capsys)
    np.savez("data.npz", y_mean=sums / 8, **arrays)
    assert shrink("--validation", "data.npz") == 0


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="LiteRT's converter is TensorFlow's"
)
def test_export_writes_a_file_that_answers_as_the_network(folder, capsys):
    to_int8 = ["export", "dense.keras", "--to", "litert-int8"]
    assert main(to_int8) == 2
    assert error_of(capsys).startswith("--calibrate: expected samples")
    assert main([*to_int8, "--calibrate", "data.npz"]) == 0
    assert capsys.readouterr().out.startswith("wrote dense.tflite, ")
    answers = load_export("dense.tflite")(X)
    np.testing.assert_allclose(
        answers, keras.models.load_model("dense.keras")(X), atol=0.1
    )
    assert main([*to_int8, "--calibrate", "data.npz"]) == 2
    assert "--out dense.tflite: the file exists" in error_of(capsys)
    assert set(FORMATS) == set(exports.SUFFIXES)


def test_the_module_is_the_command(folder):
    """Help needs no backend, and usage that is wrong ends with 2."""
    command = [sys.executable, "-m", "nestrade_lib"]
    done = subprocess.run(
        [*command, "shrink"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 2 and "required: model, --data" in done.stderr
