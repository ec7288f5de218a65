"""How the command line ends where it cannot: exit codes, one line, nothing half-written."""

import os
import shutil
import zipfile

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib.cli import main
from tests.support.commands import error_of, shrink
from tests.support.small import X, Y

pytestmark = pytest.mark.any_backend


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


def test_files_that_hold_no_network_are_refused(command_folder, capsys):
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
def test_budgets_that_say_nothing_are_refused(command_folder, capsys, budget, message):
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
def test_data_that_do_not_fit_are_refused(command_folder, capsys, arrays, message):
    np.savez("other.npz", **arrays)
    assert shrink(data="other.npz") == 2
    assert message in error_of(capsys)
    if "x" in arrays:
        assert shrink("--validation", "other.npz") == 2
        assert message in error_of(capsys)


def test_data_that_are_none_are_refused(command_folder, capsys):
    assert shrink(data="nothing.npz") == 2
    assert "nothing.npz: no such file" in error_of(capsys)
    assert shrink(data="dense.keras") == 2
    assert "dense.keras cannot be read: it is no .npz file" in error_of(capsys)
    np.savez_compressed("damaged.npz", x=X, y=Y)
    content = bytearray((command_folder / "damaged.npz").read_bytes())
    content[80] ^= 255
    (command_folder / "damaged.npz").write_bytes(content)
    assert shrink(data="damaged.npz") == 2
    assert "damaged.npz cannot be read: it is no .npz" in error_of(capsys)


@pytest.mark.parametrize("seed", ["-1", str(2**32), "1.5", ""])
def test_seeds_that_are_none_are_refused(seed, capsys):
    with pytest.raises(SystemExit) as error:
        main(["shrink", "a", "--data", "b", "--budget", "c", "--epochs", "1",
              "--out", "d", "--seed", seed])  # fmt: skip
    assert error.value.code == 2 and "--seed" in capsys.readouterr().err


def test_what_could_not_be_written_is_refused_before_training(
    command_folder, capsys, monkeypatch
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


def test_a_full_disk_leaves_nothing_behind(command_folder, capsys, monkeypatch):
    def save(self, path):
        open(path, "w").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", save)
    assert shrink() == 1
    assert "small.keras was not written: No space left" in error_of(capsys)
    assert sorted(os.listdir()) == ["data.npz", "dense.keras"]


def test_a_network_that_is_not_compiled_needs_a_loss(command_folder, capsys):
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
