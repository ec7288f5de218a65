"""Commands as tests give them, and what they print of errors."""

from nestrade_lib.cli import main

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


def shrink(*more, out="small.keras", budget="macs=0.5", epochs=3, data="data.npz"):
    command = ["shrink", "dense.keras", "--data", data, "--budget", budget]
    command += ["--epochs", str(epochs), "--out", out, "--batch-size", "16"]
    return main([*command, *more])


def error_of(capsys):
    """The one line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nestrade: error: ")
    return line.removeprefix("nestrade: error: ")
