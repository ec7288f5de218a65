"""The command line: what it writes and prints, and how it ends where it cannot."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib import count_costs, create_loss, exports, load_export
from nestrade_lib.cli import FORMATS, commands, main
from tests.support.commands import CUSTOM, error_of, shrink
from tests.support.small import X

pytestmark = pytest.mark.any_backend

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def test_shrink_writes_a_network_within_the_budget(command_folder, capsys):
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


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(command_folder, capsys):
    assert shrink(out="whole.keras", epochs=12) == 0
    command = [sys.executable, "-m", "nestrade_lib", "shrink", "dense.keras"]
    command += [
        "--data=data.npz",
        "--budget=macs=0.5",
        "--epochs=12",
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
        if line.startswith("epoch 2/12"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130 and "Traceback" not in err
    assert err.splitlines()[-1].startswith("nestrade: stopped. backup holds its epochs")
    assert not os.path.exists("small.keras")
    capsys.readouterr()
    assert shrink("--backup-dir", "backup", epochs=12) == 0
    assert "epoch 1/12 " not in capsys.readouterr().out
    one, other = (keras.models.load_model(f) for f in ("whole.keras", "small.keras"))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@keras.saving.register_keras_serializable("commands")
class Own(keras.Model):
    """A network without a graph: a file of it has no inputs and outputs."""

    def __init__(self, **options):
        super().__init__(**options)
        self.hidden, self.last = kl.Dense(16, activation="relu"), kl.Dense(3)

    def call(self, x):
        return self.last(self.hidden(x))


def test_a_subclassed_network_is_shrunk_too(command_folder, capsys):
    network = Own()
    network(X[:2])
    network.compile("adam", create_loss(), metrics=["accuracy"])
    network.save("dense.keras")
    assert shrink("--validation", "data.npz") == 0
    small = keras.models.load_model("small.keras")
    assert small.count_params() < 0.6 * network.count_params()


def test_report_prints_the_costs_of_open_shapes_once_they_are_given(
    command_folder, capsys
):
    layers = [kl.Conv2D(4, 3, name="conv"), kl.GlobalAveragePooling2D(), kl.Dense(2)]
    keras.Sequential([keras.Input((None, None, 3)), *layers]).save("open.keras")
    assert main(["report", "open.keras", "--input-shape", "8,8,3"]) == 0
    assert "conv " in capsys.readouterr().out
    assert main(["report", "open.keras"]) == 2
    assert error_of(capsys).endswith("Pass --input-shape, such as 224,224,3.")
    assert main(["report", "open.keras", "--input-shape", "8,8,4"]) == 2
    assert "fits [(None, None, 3)], of one sample, got [(8, 8, 4)]" in error_of(capsys)


def test_objects_of_ones_own_are_named_and_taken_from_a_file(command_folder, capsys):
    (command_folder / "mine.py").write_text(CUSTOM)
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
    (command_folder / "wrong.py").write_text("import nothing_of_the_kind")
    assert main(["report", "own.keras", "--custom", "wrong.py"]) == 2
    assert "wrong.py cannot be imported: ModuleNotFoundError" in error_of(capsys)
    (command_folder / "ends.py").write_text("raise SystemExit(0)")
    assert main(["report", "own.keras", "--custom", "ends.py"]) == 2
    assert "ends.py cannot be imported: SystemExit" in error_of(capsys)


def test_a_budget_that_was_not_met_ends_with_one(command_folder, capsys, monkeypatch):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True

    monkeypatch.setattr(commands.Progress, "on_epoch_end", on_epoch_end)
    assert shrink(budget="macs=0.1") == 1
    out, err = capsys.readouterr()
    assert "warning: The run ended before the budget" in err
    assert out.endswith("wrote small.keras\n")


def test_several_inputs_and_outputs_are_named_in_the_data(command_folder, capsys):
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
def test_export_writes_a_file_that_answers_as_the_network(command_folder, capsys):
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


def test_the_module_is_the_command(command_folder):
    """Help needs no backend, and usage that is wrong ends with 2."""
    command = [sys.executable, "-m", "nestrade_lib"]
    done = subprocess.run(
        [*command, "shrink"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 2 and "required: model, --data" in done.stderr
