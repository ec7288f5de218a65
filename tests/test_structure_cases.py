"""Each case: outputs, gradients, one step, save and load, two cuts as one, no-op."""

import keras
import numpy as np
import pytest
from structure_cases import CASES

from nestrade_lib import trace, verify
from nestrade_lib.surgery import cut
from nestrade_lib.surgery.verification import random_inputs

OPTIMIZERS = [
    lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    lambda: keras.optimizers.Adam(0.001),
    lambda: keras.optimizers.AdamW(0.001, weight_decay=0.01, global_clipnorm=1.0),
    lambda: keras.optimizers.RMSprop(0.001, momentum=0.5),
]


def randomize(network, seed=0):
    """Every weight random, no bias or offset at zero, variances positive."""
    rng = np.random.default_rng(seed)
    for variable in network.variables:
        if "float" in variable.dtype:
            value = rng.normal(size=variable.shape, scale=0.5)
            if "variance" in variable.path or "gamma" in variable.path:
                value = np.abs(value) + 0.5
            variable.assign(value)


def random_cut(graph, seed=1, share=0.5):
    """Half of the channels, at least one left wherever one has to be."""
    rng = np.random.default_rng(seed)
    mask = rng.random(graph.count) > share
    for sets in graph.widths.values():
        for groups in sets:
            if not mask[groups].any():
                mask[rng.choice(groups)] = True
    return mask


def zero_channels(network, graph, mask):
    """Set to zero, in place, the slices that produce the channels not kept."""
    for variable in network.variables:
        value = np.array(keras.ops.convert_to_numpy(variable.value))
        for axis, groups in enumerate(graph.labels[variable.path]):
            role = graph.roles[variable.path][axis]
            if groups is not None and role in ("produce", "state"):
                gone = (groups >= 0) & ~mask[groups]
                value[(slice(None),) * axis + (gone,)] = 0
        variable.assign(value)


def outputs(network, probe):
    found = network(probe, training=False)
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(found)]


def assert_same(one, other, tolerance=2e-5):
    assert len(one) == len(other)
    for a, b in zip(one, other):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= tolerance * max(np.abs(a).max(), 1e-3)


def trained(network, optimizer, probe):
    """Compiled, and two steps taken, so that every slot holds something."""
    network.compile(optimizer, loss="mse", run_eagerly=True)
    targets = keras.tree.map_structure(
        lambda y: np.random.default_rng(2).normal(size=y.shape), network(probe)
    )
    for _ in range(2):
        network.train_on_batch(probe, targets)


@pytest.mark.parametrize("name", CASES)
def test_case(name, tmp_path):
    build, count = CASES[name]
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
    sizes = graph.kept_sizes(mask)
    assert all(sizes[v.path] == np.prod(v.shape) for v in smaller.trainable_variables)

    # A plain model: it trains, and comes back from its file without this library.
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    assert_same(outputs(smaller, probe), outputs(loaded, probe), 1e-6)

    # Cutting all kept changes nothing; two cuts are one.
    whole = cut(network, np.ones(graph.count, bool), graph)
    assert_same(before, outputs(whole, probe), 1e-6)
    first = mask | (np.arange(graph.count) % 2 == 0)
    halfway = cut(network, first, graph)
    twice = cut(halfway, mask[first])
    assert_same(outputs(smaller, probe), outputs(twice, probe))

    # An oracle without any of the library's arithmetic.
    zero_channels(network, graph, mask)
    assert_same(outputs(network, probe), outputs(smaller, probe))
