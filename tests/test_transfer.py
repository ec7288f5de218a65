"""Transfer learning as the guides write it: frozen layers, frozen norms, few steps."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from benchmarks.structures.rows import random_cut
from nestrade_lib import (
    Budget,
    Nestrade,
    Schedule,
    create_loss,
    restructure,
    trace,
    verify,
)
from tests.support.cuts import randomize

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 256)
X = RNG.random((256, 8, 8, 1)).astype("float32")
X[np.arange(256), Y, Y] += 3

pytestmark = pytest.mark.any_backend


def transfer(thawed):
    """A base with norms inside a new head; its norms stay frozen when it is thawed."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((8, 8, 1))
    for width in (8, 12):
        x = kl.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = kl.ReLU()(kl.BatchNormalization()(x))
        x = kl.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = kl.ReLU()(kl.BatchNormalization()(x))
    base = keras.Model(inputs, x, name="base")
    randomize(base)
    base.trainable = thawed
    for layer in base.layers:
        if isinstance(layer, kl.BatchNormalization):
            layer.trainable = False
    inputs = keras.Input((8, 8, 1))
    x = base(kl.Rescaling(0.5)(inputs), training=False)
    network = keras.Model(inputs, kl.Dense(3)(kl.GlobalAveragePooling2D()(x)))
    network.compile(keras.optimizers.Adam(3e-3), create_loss(), metrics=["accuracy"])
    return network


def norms(network):
    """Scales and offsets of the norms inside the base."""
    layers = network.get_layer("base").layers
    norms = [layer for layer in layers if isinstance(layer, kl.BatchNormalization)]
    return [np.stack([keras.ops.convert_to_numpy(w) for w in x.weights]) for x in norms]


@pytest.mark.parametrize("thawed", [False, True])
def test_frozen_norms_are_cut_and_frozen_readers_are_not(thawed):
    network = transfer(thawed)
    graph = trace(network)
    assert graph.count == (8 + 12 if thawed else 12)
    mask = random_cut(graph)
    smaller = restructure(network, mask, graph)
    assert max(verify(network, smaller, mask, graph=graph).values()) < 1e-4
    assert len(smaller.trainable_variables) == len(network.trainable_variables)


@pytest.mark.parametrize("thawed, share", [(False, 0.8), (True, 0.4)])
def test_what_is_left_of_frozen_layers_is_as_it_was(thawed, share):
    network = transfer(thawed)
    before = norms(network)
    trainer = Nestrade(network, Budget(macs=share), schedule=Schedule(0.2, 0.7, cuts=2))
    trainer.fit(X, Y, batch_size=16, epochs=6, verbose=0)
    assert trainer.met and trainer.cuts
    for old, new in zip(before, norms(trainer.network), strict=True):
        assert {tuple(column) for column in new.T} <= {
            tuple(column) for column in old.T
        }
    assert trainer.network.get_layer("base").trainable == thawed


def test_a_chosen_frozen_channel_is_zero_when_it_is_cut(monkeypatch):
    from nestrade_lib.training.pruned_network import PrunedNetwork

    left = []

    def cut(self, mask, probe=None):
        for number, axis, chosen in self.frozen(mask):
            values = keras.ops.convert_to_numpy(self.network.variables[number])
            left.append(np.abs(np.compress(chosen, values, axis)).max())
        return whole(self, mask, probe)

    whole = PrunedNetwork.cut
    monkeypatch.setattr(PrunedNetwork, "cut", cut)
    trainer = Nestrade(transfer(True), 0.4, schedule=Schedule(0.2, 0.7, cuts=2))
    trainer.fit(X, Y, batch_size=16, epochs=4, verbose=0)
    assert left and not max(left)


def test_frozen_slices_come_back_where_a_round_is_not_ended():
    network = transfer(True)
    before = norms(network)
    trainer = Nestrade(network, 0.4, schedule=Schedule(0.5, 0.9, cuts=1))
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(
            trainer.network, "stop_training", batch >= 14
        )
    )
    with pytest.warns(UserWarning):
        trainer.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[stop])
    for old, new in zip(before, norms(trainer.network), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_a_frozen_base_blocks_is_said_in_two_lines():
    with pytest.raises(ValueError, match="frozen and reads them.*thaws") as refusal:
        Nestrade(transfer(False), Budget(macs=0.1))
    assert len(str(refusal.value)) < 350
