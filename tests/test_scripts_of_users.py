"""What scripts do beside the usual: their own losses, steps, callbacks and data go on."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib import Nestrade, count_costs, create_loss, trace, verify
from nestrade_lib.distillation import Distillation
from nestrade_lib.surgery import restructure
from tests.support.small import EAGER, SOON, X, Y, mlp

pytestmark = pytest.mark.any_backend


class OwnLoss(keras.Model):
    """As the docstring of Keras' `Model.compute_loss` has it."""

    def compute_loss(self, x, y, y_pred, sample_weight):
        return super().compute_loss(x, y, y_pred, sample_weight)


class OwnMetrics(keras.Model):
    def compute_metrics(self, x, y, y_pred, sample_weight):
        return super().compute_metrics(x, y, y_pred, sample_weight)


def own(kind, optimizer="adam"):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8,))
    hidden = kl.Dense(24, activation="relu", name="first")(inputs)
    hidden = kl.Dense(16, activation="relu")(hidden)
    network = kind(inputs, kl.Dense(3)(hidden))
    network.compile(optimizer, create_loss(), metrics=["accuracy"], run_eagerly=EAGER)
    return network


@pytest.mark.parametrize("distill", [None, 0.5])
@pytest.mark.parametrize("kind", [OwnLoss, OwnMetrics])
def test_losses_and_metrics_that_take_fewer_arguments(kind, distill):
    trainer = Nestrade(own(kind), 0.4, schedule=SOON, distill=distill)
    history = trainer.fit(X, Y, epochs=4, verbose=0, validation_data=(X, Y)).history
    assert trainer.met
    loss = trainer.evaluate(X, Y, verbose=0)[0]
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-4)  # no teacher in it


class Partly(keras.Model):
    """Trains all but its first layer, in another order; those of the first stay."""

    def apply_some(self, gradients):
        pairs = zip(gradients, self.trainable_variables, strict=True)
        some = [(g, v) for g, v in pairs if "first" not in v.path]
        self.optimizer.apply_gradients(some[::-1])


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="has no such step")
def test_a_step_that_applies_only_some_gradients():
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True), None)
            self.apply_some(tape.gradient(loss, self.trainable_variables))
            return {"loss": loss}
    else:

        def train_step(self, data):
            x, y = data
            self.zero_grad()
            loss = self.compute_loss(x, y, self(x, training=True), None)
            loss.backward()
            self.apply_some([v.value.grad for v in self.trainable_variables])
            return {"loss": loss}

    kind = type("Partial", (Partly,), {"train_step": train_step})
    network = own(kind)
    kernel = keras.ops.convert_to_numpy(network.get_layer("first").kernel).copy()
    trainer = Nestrade(network, 0.4, schedule=SOON)
    trainer.fit(X, Y, epochs=4, verbose=0)
    assert trainer.met
    left = keras.ops.convert_to_numpy(trainer.network.get_layer("first").kernel)
    assert {tuple(c) for c in left.T} < {tuple(c) for c in kernel.T}


def test_callbacks_in_a_list_of_keras_are_seen():
    class Seen(keras.callbacks.Callback):
        cuts = 0

        def on_cut(self, network):
            self.cuts += 1

    seen = Seen()
    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=9, restore_best_weights=True
    )
    callbacks = keras.callbacks.CallbackList([stopping, seen])
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    trainer.fit(X, Y, epochs=4, verbose=0, callbacks=callbacks)
    assert trainer.met and seen.cuts == len(trainer.cuts)
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    backup = keras.callbacks.BackupAndRestore("backup")
    with pytest.raises(ValueError, match=r"Pass fit\(backup_dir=\) instead"):
        trainer.fit(X, Y, callbacks=keras.callbacks.CallbackList([backup]))


def test_averaged_weights_may_be_swapped_in_at_each_epoch():
    optimizer = keras.optimizers.SGD(0.05, use_ema=True)
    trainer = Nestrade(mlp(optimizer), 0.4, schedule=SOON)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    trainer.fit(X, Y, epochs=4, verbose=0, callbacks=[swap])
    assert trainer.met


@pytest.mark.parametrize("make", [
    lambda: kl.Bidirectional(kl.ConvLSTM2D(4, 3, padding="same")),
    lambda: kl.Bidirectional(kl.RNN([kl.LSTMCell(4), kl.LSTMCell(6)])),
])  # fmt: skip
def test_bidirectional_layers_of_any_cell_are_traced_and_keep_their_function(make):
    shape = (3, 6, 6, 2) if "Conv" in type(make().forward_layer).__name__ else (5, 7)
    inputs = keras.Input(shape)
    hidden = kl.Flatten()(make()(inputs))
    network = keras.Model(inputs, kl.Dense(2)(kl.Dense(6, activation="relu")(hidden)))
    graph = trace(network)
    assert count_costs(network).params == network.count_params()
    mask = np.arange(graph.count) % 2 == 0
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype("float32")
    smaller = restructure(network, mask, graph, probe=x)
    assert smaller.count_params() < network.count_params()
    assert verify(network, smaller, mask, x, graph=graph)


def test_a_model_with_an_attribute_called_network_is_counted_whole():
    class Wrapped(keras.Model):
        def __init__(self):
            super().__init__()
            self.network = keras.Sequential([keras.Input((8,)), kl.Dense(16)])
            self.head = kl.Dense(2)

        def call(self, x):
            return self.head(self.network(x))

    model = Wrapped()
    model(X[:2])
    assert count_costs(model).params == model.count_params() == 178


def test_a_refused_fit_leaves_the_history_of_the_one_before(tmp_path):
    trainer = Nestrade(mlp(), 1)
    trainer.fit(X, Y, epochs=2, verbose=0)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="backup_dir"):
        trainer.fit(X, Y, verbose=0, backup_dir=tmp_path / "file")
    assert trainer.history.epoch == [0, 1]


def test_growth_is_measured_and_used():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 8)).astype("float32")
    y = rng.integers(0, 3, 512)  # nothing to learn: the noise of gradients is large
    trainer = Nestrade(mlp(), 0.3, schedule=SOON, growth="auto")
    trainer.fit(x, y, batch_size=16, epochs=4, verbose=0)
    times = trainer.state.rescale.seconds_per_sample
    assert {16, 32} <= set(times) and all(time > 0 for time in times.values())
    few = Nestrade(mlp(), 0.3, schedule=SOON, growth="auto")
    few.fit(x[:24], y[:24], batch_size=32, epochs=30, verbose=0)
    assert few.met and few.state.rescale.factor == 1


def test_several_optimizers_in_one_are_refused_by_name():
    network = mlp()
    multi = keras.optimizers.MultiOptimizer
    which = keras.optimizers.OptimizerMap(keras.optimizers.Adam())
    which[network.layers[0].kernel.path] = keras.optimizers.SGD(0.1)
    optimizer = multi(which)
    network.compile(optimizer, create_loss())
    with pytest.raises(ValueError, match="MultiOptimizer"):
        Nestrade(network, 0.4, schedule=SOON).fit(X, Y, epochs=2, verbose=0)


def test_padded_places_do_not_count_in_what_a_teacher_says():
    inputs = keras.Input((4,), dtype="int32")
    embedded = kl.Embedding(5, 6, mask_zero=True)(inputs)
    network = keras.Model(
        inputs, kl.Dense(3)(kl.LSTM(5, return_sequences=True)(embedded))
    )
    network.compile("adam", create_loss())
    words = np.array([[1, 2, 0, 0], [3, 4, 1, 0]])
    predicted = network(words)
    answers = keras.ops.convert_to_numpy(predicted).copy()
    answers[words == 0] += [5.0, -5.0, 0.0]  # differs where nothing is said
    compare = Distillation(0.5).comparison(network)
    assert float(compare(answers, predicted)) == pytest.approx(0, abs=1e-6)


class Decay(keras.optimizers.schedules.LearningRateSchedule):
    """As tutorials write one: without `get_config`."""

    def __call__(self, step):
        return 0.01 / (1.0 + 0.1 * keras.ops.cast(step, "float32"))


@pytest.mark.parametrize("anneal", ["once", None])
@pytest.mark.parametrize("rate", [Decay(), lambda: 1e-3], ids=["schedule", "function"])
def test_rates_that_no_configuration_can_hold_go_on_through_cuts(rate, anneal):
    optimizer = keras.optimizers.Adam(rate)
    trainer = Nestrade(mlp(optimizer), 0.4, schedule=SOON, anneal=anneal)
    trainer.fit(X, Y, epochs=4, verbose=0)
    assert trainer.met
    optimizer = trainer.network.optimizer
    steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
    expected = rate(steps) if isinstance(rate, Decay) else rate()
    given = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    assert steps == 24 and given == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="its own step")
def test_a_step_that_alone_knows_its_loss():
    import tensorflow as tf

    class Encoder(keras.Model):
        def train_step(self, x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((x - self(x, training=True)) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
            return {"own": loss}

    inputs = keras.Input((8,))
    hidden = kl.Dense(24, activation="relu")(inputs)
    network = Encoder(inputs, kl.Dense(8)(hidden))
    network.compile("adam")
    trainer = Nestrade(network, 0.4, schedule=SOON)
    trainer.fit(X, epochs=4, verbose=0)
    assert trainer.met
