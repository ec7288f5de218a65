"""Strided 1×1 convolutions, in whose gradients oneDNN writes past its memory."""

import subprocess
import sys
import textwrap
import warnings

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib import Nestrade, Schedule, create_loss, onednn

pytestmark = pytest.mark.any_backend
BACKEND = keras.backend.backend()
HIT = [  # what enters, kernel, strides
    ((None, 62, 62, 8), (1, 1, 8, 16), (2, 2)),
    ((32, 62, 62, 15), (1, 1, 15, 1), (2, 2)),
    ((1, 6, 9, 1), (1, 1, 1, 4), (3, 3)),
    ((1, 6, 9, 1), (1, 1, 1, 4), (1, 3)),
    ((None, 64, 3), (1, 3, 16), (2,)),
    ((None, None, None, 3), (1, 1, 3, 4), (2, 2)),
]
MISSED = {
    "a whole block": ((None, 62, 62, 16), (1, 1, 16, 16), (2, 2)),
    "no strides": ((None, 62, 62, 8), (1, 1, 8, 16), (1, 1)),
    "a larger kernel": ((None, 62, 62, 8), (2, 1, 8, 16), (2, 2)),
    "not divided": ((None, 62, 63, 8), (1, 1, 8, 16), (2, 2)),
    "groups": ((None, 62, 62, 8), (1, 1, 4, 16), (2, 2)),
    "volumes": ((None, 8, 8, 8, 3), (1, 1, 1, 3, 4), (2, 2, 2)),
}


def residual(channels=8, name="shortcut"):
    inputs = x = keras.Input((64, 64, 1))
    x = kl.Conv2D(channels, 3, padding="same", name="stem")(x)
    x = kl.Conv2D(16, 1, strides=2, padding="same", name=name)(x)
    outputs = kl.Dense(3)(kl.GlobalAveragePooling2D()(x))
    network = keras.Model(inputs, outputs, name="small")
    network.compile("adam", create_loss())
    return network


def test_what_is_hit():
    assert [case for case in HIT if not onednn.is_hit(*case)] == []
    assert [name for name, case in MISSED.items() if onednn.is_hit(*case)] == []
    assert not onednn.is_hit(*HIT[0], block=8)  # of AVX2


@pytest.mark.parametrize("shape, kernel, strides", HIT[1:-1])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_safe_convolutions_compute_the_same(shape, kernel, strides, padding):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *shape[1:])).astype("float32")
    w = rng.normal(size=kernel).astype("float32")
    plain = keras.ops.conv(x, w, strides, padding)
    with onednn.safe_convolutions():
        safe = keras.ops.conv(x, w, strides, padding)
    np.testing.assert_allclose(
        *map(keras.ops.convert_to_numpy, (safe, plain)), rtol=1e-5, atol=1e-5
    )


PROCESSORS = {  # flags, environment -> channels of a block
    "avx2 avx512bw avx512_vnni": ({}, 16),
    "avx2 avx512bw amx_tile": ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, 16),
    "avx2 avx512bw avx512_bf16": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, 8),
    "avx2 avx_vnni": ({}, 8),
    "avx2": ({}, 0),
    "avx2 avx512bw": ({"TF_ENABLE_ONEDNN_OPTS": "1"}, 16),
    "avx2 avx512bw avx512_vnni avx_vnni": ({"TF_ENABLE_ONEDNN_OPTS": "0"}, 0),
    "": ({"TF_ENABLE_ONEDNN_OPTS": "1"}, 0),
}


@pytest.mark.skipif(BACKEND != "tensorflow", reason="settings of TensorFlow")
@pytest.mark.parametrize("flags", PROCESSORS)
def test_the_block_of_a_processor(monkeypatch, flags):
    settings, block = PROCESSORS[flags]
    for name in ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(onednn, "_processor", lambda: frozenset(flags.split()))
    assert onednn._block() == block


@pytest.mark.parametrize("budget", [0.5, 1.0])
def test_a_run_is_safe_and_says_once_what_is_not(monkeypatch, budget):
    convolve = onednn.keras.ops.conv
    monkeypatch.setattr(onednn, "_block", lambda: 0 if BACKEND == "jax" else 16)
    trainer = Nestrade(residual(), budget, schedule=Schedule(0.2, 0.8, cuts=1))
    y = np.arange(12) % 3
    x = np.random.default_rng(0).random((12, 64, 64, 1), "float32")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(x, y, batch_size=4, epochs=2, verbose=0)
    said = [str(w.message) for w in caught if "oneDNN" in str(w.message)]
    assert len(said) == (BACKEND != "jax") and keras.ops.conv is convolve
    assert all("'shortcut'" in text and "channels: " in text for text in said)


def test_other_networks_say_nothing(monkeypatch, recwarn):
    monkeypatch.setattr(onednn, "_block", lambda: 16)
    onednn.warn_if_hit(residual(channels=16))
    assert not recwarn


CRASHING = """
    import numpy as np
    from tests.test_onednn import residual
    from nestrade_lib import Nestrade
    network, x = residual(), np.ones((64, 64, 64, 1), "float32")
    trainer = {trainer}
    trainer.fit(x, np.arange(64) % 3, batch_size=32, epochs=8, verbose=0)
"""


def run_in_a_process(trainer):
    command = [sys.executable, "-c", textwrap.dedent(CRASHING).format(trainer=trainer)]
    try:
        return subprocess.run(command, capture_output=True, timeout=300).returncode
    except subprocess.TimeoutExpired:  # which is an end of this fault, too
        return None


@pytest.mark.skipif(onednn._block() != 16, reason="oneDNN does not compute so here")
def test_a_network_on_which_keras_dies_is_trained():
    assert run_in_a_process("Nestrade(network, 1.0)") == 0
    if run_in_a_process("network") != 0:
        pytest.xfail("oneDNN's issue 6035")  # when this passes, the module can go
