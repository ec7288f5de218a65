"""What replicas would compute differently is made right, or refused with the reason."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import optimizers

from nestrade_lib import Nestrade, create_loss
from nestrade_lib.engines import logical_devices, start
from tests.support.replicas import (
    FLAT,
    Y,
    batches,
    build,
    difference,
    masked,
    only_tensorflow,
    plain,
)

pytestmark = pytest.mark.any_backend


class OwnStep(keras.Sequential):
    def train_step(self, *args):
        return super().train_step(*args)


REFUSED = {
    "jit_compile=True": {"jit_compile": True},
    "gradient_accumulation_steps=2": {
        "optimizer": lambda: optimizers.Adam(gradient_accumulation_steps=2)
    },
}


@only_tensorflow
@pytest.mark.parametrize("what", REFUSED)
def test_what_tensorflow_gets_wrong_is_refused_with_the_reason(what):
    engine = start(devices=2)
    network = build(engine, **REFUSED[what])
    with pytest.raises(ValueError, match=f"{what}.*(keras#|XLA)"):
        Nestrade(network, 0.4, engine=engine).fit(FLAT, Y, batch_size=32, verbose=0)


@only_tensorflow
def test_losses_that_replicas_cannot_average_are_refused():
    engine = start(devices=2)
    keras.utils.set_random_seed(0)
    with engine.scope():
        network = keras.Sequential(plain())
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
        network.compile("adam", loss)
        own = OwnStep(plain())
        own.compile("adam", create_loss())
        words = keras.Sequential(masked())
        words.compile("adam", create_loss())
    for refused, message in (
        (network, "mean_with_sample_weight"),
        (own, "train_step"),
        (words, "masked outputs"),
    ):
        with pytest.raises(ValueError, match=message):
            engine.prepare(refused)


def own_loss(divide):
    class OwnLoss(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            found = keras.losses.categorical_crossentropy(y, y_pred)
            return keras.ops.mean(found) / (replicas_here() if divide else 1)

    return OwnLoss


def replicas_here():
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def scalar(y, predicted):
    return keras.ops.mean((y - predicted) ** 2)


def coupled(y, predicted):
    """One number a row, each divided by how many rows are of the first class."""
    rows = keras.ops.mean((y - predicted) ** 2, axis=-1)
    return rows / (1 + keras.ops.sum(y[:, 0]))


class Soft(L.Layer):
    """Draws random numbers in inference too: its losses cannot be compared."""

    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)


LOSSES = {  # what is refused and why, or None where all is well
    "scalar": (scalar, keras.Sequential, "2 times in all"),
    "compute_loss": (None, own_loss(divide=False), "2 times in all"),
    "divided": (None, own_loss(divide=True), None),
    "Dice": (keras.losses.Dice(), keras.Sequential, "2 times in all"),
    "Tversky": (keras.losses.Tversky(), keras.Sequential, "2 times in all"),
    "Dice of each row": (keras.losses.Dice(axis=-1), keras.Sequential, None),
    "coupled": (coupled, keras.Sequential, "depends on the others"),
    "sum": (keras.losses.MeanSquaredError("sum"), keras.Sequential, None),
}


@only_tensorflow
@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_do_not_add_up_over_replicas_are_refused(name):
    loss, kind, message = LOSSES[name]
    one_hot = np.eye(3, dtype="float32")[Y]
    found = []
    for engine in (start("single"), start(devices=2)):
        keras.utils.set_random_seed(0)
        with engine.scope():
            last = L.Dense(3, activation="softmax")
            network = kind([*plain()[:2], L.Dropout(0.0), last])
            network.compile(optimizers.SGD(0.001), loss)
        trainer = Nestrade(network, 1, engine=engine)
        before = [keras.ops.convert_to_numpy(v) for v in network.variables]
        if message and engine.replicas > 1:
            given = (
                (FLAT, one_hot),
                ((row for row in [(FLAT[:32], one_hot[:32])]), None),
            )
            for (x, y), how in zip(given, ({"batch_size": 32}, {"steps_per_epoch": 1})):
                with pytest.raises(
                    ValueError, match=f"32 rows .* 2 replicas; .*{message}"
                ):
                    trainer.fit(x, y, verbose=0, **how)
            after = [keras.ops.convert_to_numpy(v) for v in network.variables]
            assert difference(before, after) == 0
            return
        logs = trainer.fit(FLAT, one_hot, batch_size=32, epochs=2, verbose=0).history
        found.append([*network.get_weights(), np.array(logs["loss"])])
    assert difference(*found) < 1e-6


@only_tensorflow
def test_checking_a_loss_leaves_everything_as_it_was_and_random_ones_alone():
    engine = start(devices=2)
    with engine.scope():
        network = keras.Sequential([*plain()[:2], Soft(), L.Dense(3)])
        network.compile("sgd", create_loss(), weighted_metrics=["accuracy"])
    network.evaluate(FLAT[:32], Y[:32], verbose=0)
    held = [*network.variables, *network.metrics_variables]
    before = [keras.ops.convert_to_numpy(v) for v in held]
    engine.check_loss(network, (FLAT[:33], Y[:33], np.arange(33.0)))
    after = [keras.ops.convert_to_numpy(v) for v in held]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


@only_tensorflow
def test_weights_overwritten_by_their_averages_are_refused():
    engine = start(devices=2)
    often = {"use_ema": True, "ema_overwrite_frequency": 3}
    network = build(engine, optimizer=lambda: optimizers.SGD(0.1, **often))
    with pytest.raises(ValueError, match="ema_overwrite_frequency=3.*Leave .* away"):
        Nestrade(network, 0.4, engine=engine).fit(FLAT, Y, batch_size=32, verbose=0)


def test_networks_and_batches_that_do_not_fit_the_devices_are_refused():
    engine = start(devices=2)
    outside = build(start("single"))
    with pytest.raises(ValueError, match="outside this engine's scope"):
        Nestrade(outside, 0.4, engine=engine).fit(FLAT, Y, batch_size=32, verbose=0)
    with engine.scope():
        half = keras.Sequential(plain())
    half.compile("adam", create_loss())
    with pytest.raises(ValueError, match="compiled outside this engine's scope"):
        Nestrade(half, 0.4, engine=engine).fit(FLAT, Y, batch_size=32, verbose=0)
    trainer = Nestrade(build(engine), 0.4, engine=engine)
    before = trainer.network.get_weights()
    for x, y, size, message in (
        (FLAT, Y, 31, "batch_size: .* expected a multiple of 2, got 31. Take 30 or 32"),
        (FLAT[:9], Y[:9], 32, "9 samples are fewer than a global batch of 32"),
        (batches(drop=False), None, None, None),
    ):
        size = {} if size is None else {"batch_size": size}
        if message is None:  # the last batch has 20 rows: it is shared as well
            trainer.fit(x, epochs=1, verbose=0)
            continue
        with pytest.raises(ValueError, match=message):
            trainer.fit(x, y, verbose=0, **size)
        for a, b in zip(before, trainer.network.get_weights()):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"devices": 9}, ValueError, "9 were asked for, and the .* backend has 4"),
        (
            {"devices": 0},
            ValueError,
            "devices: expected a whole number of at least 1, got 0",
        ),
        ({"name": "horovod"}, ValueError, "expected 'auto' or one of 'single'"),
        ({"name": "single", "devices": 2}, ValueError, "'single' uses one, got 2"),
    ],
)
def test_devices_that_are_not_there_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        start(**given)


def test_devices_of_several_workers_are_not_counted(monkeypatch):
    monkeypatch.setenv("NESTRADE_ADDRESSES", "127.0.0.1:1,127.0.0.1:2")
    monkeypatch.setenv("NESTRADE_RANK", "1")
    with pytest.raises(
        ValueError, match="devices: .* names 2 workers, .* got 2. Leave"
    ):
        start(devices=2, limit=0.1)


def test_logical_devices_come_first():
    build(start("single"))
    with pytest.raises(RuntimeError, match="has started and has 4 CPU devices"):
        logical_devices(2)


# Made right ---------------------------------------------------------------------------


@only_tensorflow
def test_random_layers_draw_apart_on_each_replica_and_all_else_is_left():
    import tensorflow as tf

    engine = start(devices=2)
    with engine.scope():
        network = keras.Sequential([keras.Input((64,)), L.Dropout(0.5), L.Dense(3)])
        network.compile("adam", create_loss())
    dropped = lambda: tf.function(  # noqa: E731
        lambda: network.layers[0](tf.ones((1, 64)), training=True)
    )

    def masks():
        results = engine.strategy.run(dropped())
        return [m.numpy() for m in engine.strategy.experimental_local_results(results)]

    one, other = masks()
    np.testing.assert_array_equal(one, other)  # what Keras does
    engine.prepare(network)
    first, second = masks(), masks()
    assert (first[0] != first[1]).any() and (first[0] != second[0]).any()


@only_tensorflow
def test_a_bias_before_a_batch_norm_is_warned_of_where_it_matters():
    engine = start(devices=2)
    stack = lambda: [keras.Input((12,)), L.Dense(8, name="biased"),  # noqa: E731
                     L.BatchNormalization(), L.Dense(3)]  # fmt: skip
    with pytest.warns(
        UserWarning, match="'biased' has a bias in front of a batch norm"
    ):
        engine.prepare(build(engine, stack))
