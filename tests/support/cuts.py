"""Random weights, random cuts, and the oracle that sets cut channels to zero."""

import keras
import numpy as np
from keras import layers as L

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


def kept_size(graph, path, mask):
    """The number of elements that a cut leaves of a variable."""
    fixed, axes = graph.factors(path)
    stays = np.append(mask, True)  # one more, for group -1, which is never cut
    return fixed * np.prod([stays[groups].sum() for groups in axes])


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


def small_network():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.Conv2D(6, 3, activation="sigmoid", name="conv"),
            L.Conv2D(8, 2, use_bias=False),
            L.BatchNormalization(),
            L.ReLU(),
            L.Flatten(),
            L.Dense(2),
        ]
    )


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
