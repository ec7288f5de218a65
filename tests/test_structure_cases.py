"""Each case: outputs, gradients, one step, save and load, two cuts as one, no-op."""

import keras
import numpy as np
import pytest

from benchmarks.structures.rows import random_cut
from nestrade_lib import trace, verify
from nestrade_lib.dependency import group_channels
from nestrade_lib.surgery import cut
from nestrade_lib.surgery.probes import random_inputs
from tests.support.cuts import (
    OPTIMIZERS,
    assert_same,
    kept_size,
    outputs,
    randomize,
    trained,
    zero_channels,
)
from tests.support.structure_cases import CASES


def convolves_channels_first():
    """Whether this machine does: TensorFlow needs oneDNN, which older processors go without."""
    image, kernel = keras.ops.ones((1, 1, 3, 3)), keras.ops.ones((2, 2, 1, 1))
    try:
        keras.ops.conv(image, kernel, data_format="channels_first")
    except Exception as error:
        assert "NHWC" in str(error)
        return False
    return True


@pytest.mark.parametrize("name", CASES)
def test_case(name, tmp_path):
    build, count = CASES[name]
    if name == "convolutional_lstm_channels_first" and not convolves_channels_first():
        pytest.skip("this machine has no channels-first convolution")
    if name == "channels_first" and keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no channels-first convolution on CPUs")
    if name == "cross_attention" and keras.backend.backend() == "jax":
        pytest.skip("Keras on JAX has no attention with values wider than keys")
    network = build()
    randomize(network)
    probe = random_inputs(network)
    trained(network, OPTIMIZERS[len(name) % len(OPTIMIZERS)](), probe)
    graph = trace(network)
    assert graph.count == count
    before = outputs(network, probe)
    weights = [np.array(w) for w in network.get_weights()]

    mask = random_cut(graph)
    smaller = cut(network, mask, graph)
    errors = verify(network, smaller, mask, probe, graph)
    assert set(errors) == {"outputs", "gradients", "step"}
    assert max(errors.values()) <= 1e-5

    # The network is as it was, and the sizes were foreseen.
    assert all(np.array_equal(a, b) for a, b in zip(weights, network.get_weights()))
    assert all(
        kept_size(graph, v.path, mask) == np.prod(v.shape)
        for v in smaller.trainable_variables
    )

    # A plain model: it trains, and comes back from its file without this library.
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    assert_same(outputs(smaller, probe), outputs(loaded, probe), 1e-6)

    # Cutting all kept changes nothing; two cuts are one.
    whole = cut(network, np.ones(graph.count, bool), graph)
    assert_same(before, outputs(whole, probe), 1e-6)
    first = mask | (np.arange(graph.count) % 2 == 0)
    halfway = cut(network, first, graph)
    groups = group_channels(halfway, before=(graph, first))
    assert groups.count == first.sum()
    twice = cut(halfway, mask[first], groups)
    assert_same(outputs(smaller, probe), outputs(twice, probe))

    # An oracle without any of the library's arithmetic.
    zero_channels(network, graph, mask)
    assert_same(outputs(network, probe), outputs(smaller, probe))
