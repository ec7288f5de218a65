"""What a run holds to on its way, and what it refuses before it begins."""

import gc

import keras
import numpy as np
import pytest

from nestrade_lib import Budget, Nestrade, Schedule, create_loss
from tests.support.small import SOON, Stop, X, Y, mlp

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]


def test_networks_of_before_a_cut_are_left_without_a_teacher():
    network = mlp()
    trainer = Nestrade(network, 0.4, schedule=SOON, distill=0.9)
    trainer.fit(X, Y, epochs=4, verbose=0)
    assert trainer.network is not network
    for each in (network, trainer.network):
        assert "compute_loss" not in vars(each)
    # It trains by the labels alone again: one batch, so one loss, that of before it.
    expected = network.evaluate(X, Y, batch_size=192, verbose=0)[0]
    history = network.fit(X, Y, batch_size=192, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-4)


def test_a_file_of_a_run_that_still_cuts_is_one_of_plain_keras(tmp_path):
    path = tmp_path / "network.keras"
    save = keras.callbacks.ModelCheckpoint(path, save_freq=2)
    late = Schedule(start=0.9, stop=1, cuts=1)
    trainer = Nestrade(mlp(), 0.4, schedule=late, anneal=None)
    trainer.fit(X, Y, epochs=2, verbose=0, callbacks=[Stop(lambda n: n == 4), save])
    loaded = keras.saving.load_model(path)
    assert int(loaded.optimizer.iterations) == int(trainer.optimizer.iterations) == 4
    for ours, theirs in zip(
        trainer.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_allclose(
            *(keras.ops.convert_to_numpy(v) for v in (ours, theirs)), rtol=1e-6
        )


@pytest.mark.parametrize("trainable", [False, True])
def test_layers_may_be_frozen_and_thawed_between_fits(trainable):
    network = mlp()
    network.layers[0].trainable = not trainable
    network.compile("adam", create_loss(), metrics=["accuracy"])
    trainer = Nestrade(network, 0.6, schedule=SOON)
    network.layers[0].trainable = trainable
    network.compile("adam", create_loss(), metrics=["accuracy"])
    kernel = keras.ops.convert_to_numpy(network.layers[0].kernel).copy()
    trainer.fit(X, Y, epochs=2, verbose=0)
    assert trainer.cuts
    if not trainable:
        left = keras.ops.convert_to_numpy(trainer.network.layers[0].kernel)
        assert {tuple(c) for c in left.T} < {tuple(c) for c in kernel.T}


def test_functions_as_metrics_are_taken_along():
    network = mlp()
    hits = keras.metrics.MeanMetricWrapper(
        lambda y, p: keras.metrics.sparse_categorical_accuracy(y, p), name="hits"
    )
    network.compile("adam", create_loss(), metrics=["accuracy", hits])
    trainer = Nestrade(network, 0.4, schedule=SOON)
    history = trainer.fit(X, Y, epochs=4, verbose=0).history
    np.testing.assert_allclose(history["hits"], history["accuracy"], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected a whole number of at least 1"),
        ({"batch_size": 3.5}, "batch_size: expected"),
        ({"steps_per_epoch": -1}, "steps_per_epoch: expected"),
        ({"epochs": 2.5}, "epochs: expected"),
        ({"validation_split": 1.5}, "validation_split: expected a share"),
        ({"validation_freq": 0}, "validation_freq: expected"),
        ({"class_weight": [1, 2, 3]}, "class_weight: expected a dict"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Nestrade(mlp(), 0.5).fit(X, Y, **{"epochs": 1, "verbose": 0, **options})


def test_validation_may_be_asked_for_at_single_epochs():
    class Watch(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_test_begin(self, logs=None):
            self.seen.append("begin")

        def on_test_batch_begin(self, batch, logs=None):
            self.seen.append(batch)

        def on_test_batch_end(self, batch, logs=None):
            self.seen.append((batch, *logs))

        def on_test_end(self, logs=None):
            self.seen.append(("end", *logs))

    told = []
    for trainer in (Nestrade(mlp(), 0.5, schedule=SOON), mlp()):
        watch = Watch()
        history = trainer.fit(
            X, Y, batch_size=64, epochs=4, verbose=0, validation_data=(X, Y),
            validation_freq=[1, 4], callbacks=[watch],
        )  # fmt: skip
        assert len(history.history["val_loss"]) == 2
        told.append(watch.seen)
    assert told[0] == told[1] and len(told[0]) > 4


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch executes step by step"
)
def test_batches_are_numbered_without_overlap_where_several_make_one_execution():
    spans, begun = [], []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            begun.append(batch)

        def on_train_batch_end(self, batch, logs=None):
            spans.append(range(begun[-1], batch + 1))

    network = mlp(steps_per_execution=4, run_eagerly=False)
    trainer = Nestrade(network, 0.5, schedule=SOON)
    trainer.fit(X, Y, batch_size=16, epochs=3, verbose=0, callbacks=[Watch()])
    assert [batch for span in spans for batch in span] == [*range(12)] * 3
    assert trainer.met and int(trainer.optimizer.iterations) == 3 * 12


class Renamed(keras.Model):
    """A training step of the user's own, whose logs know no "loss"."""

    def train_step(self, *args):
        return {"mine": super().train_step(*args)["loss"]}


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX gives its state, too")
def test_a_training_step_may_name_its_loss_as_it_likes():
    x = keras.Input((8,))
    network = Renamed(x, keras.layers.Dense(3)(keras.layers.Dense(16, "relu")(x)))
    network.compile("adam", create_loss())
    trainer = Nestrade(network, 0.5, schedule=SOON)
    history = trainer.fit(X, Y, epochs=4, verbose=0)
    assert trainer.met and len(history.history["mine"]) == 4


def test_a_schedule_of_the_optimizer_comes_to_its_end():
    epochs, steps = 6, 12
    falling = keras.optimizers.schedules.PolynomialDecay(1e-2, epochs * steps, 0.0)
    network = mlp(keras.optimizers.Adam(falling))
    trainer = Nestrade(network, 0.5, schedule=SOON)
    trainer.fit(X, Y, batch_size=16, epochs=epochs, verbose=0)
    assert trainer.met and int(trainer.optimizer.iterations) == epochs * steps
    assert float(trainer.optimizer.learning_rate) == 0


def test_labels_may_name_a_class_that_the_loss_ignores():
    loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=-1)
    labels = np.where(np.arange(len(Y)) % 5, Y, -1)
    network = mlp()
    network.compile("adam", loss)
    trainer = Nestrade(network, 0.5, schedule=SOON)
    trainer.fit(X, labels, epochs=4, verbose=0)
    assert trainer.met
    with pytest.raises(ValueError, match="got -2 to"):
        trainer.fit(X, labels - 1, verbose=0)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow keeps graphs"
)
def test_no_graph_of_a_network_of_before_a_cut_is_kept():
    def graphs():
        gc.collect()
        return sum(type(each).__name__ == "FuncGraph" for each in gc.get_objects())

    kept = {}

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if len(trainer.cuts) not in kept:
                kept[len(trainer.cuts)] = graphs()

    steadily = Schedule(start=0.1, stop=0.9, cuts=6, shrink=2)
    trainer = Nestrade(mlp(run_eagerly=False), 0.3, schedule=steadily)
    trainer.fit(X, Y, epochs=6, verbose=0, callbacks=[Count()])
    assert len(kept) >= 5
    *before, last = list(kept.values())[1:]
    assert last <= min(before) + 2


def test_settings_are_those_that_the_trainer_was_made_with():
    trainer = Nestrade(mlp(), 0.5)
    for name, other in {
        "budget": Budget(macs=0.2),
        "schedule": SOON,
        "ignored_layers": ("a",),
    }.items():
        with pytest.raises(AttributeError):
            setattr(trainer, name, other)


def test_a_layer_that_is_kept_as_an_object_is_kept_through_cuts():
    def tower(x, name):
        inputs = keras.Input(x.shape[1:])
        hidden = keras.layers.Dense(16, activation="relu", name="dense")(inputs)
        return keras.Model(inputs, hidden, name=name)(x)

    inputs = keras.Input((8,))
    between = keras.layers.Dense(8)(tower(inputs, "one"))
    outputs = keras.layers.Dense(3)(tower(between, "two"))
    network = keras.Model(inputs, outputs)
    network.compile("adam", create_loss())
    kept = network.get_layer("two").get_layer("dense")
    trainer = Nestrade(network, 0.6, schedule=SOON, ignored_layers=[kept])
    assert trainer.ignored_layers == ("two/dense",)
    trainer.fit(X, Y, epochs=4, verbose=0)
    assert trainer.cuts and trainer.network.layers[-1].input.shape[-1] == 16


def test_a_network_that_cannot_be_adopted_changes_nothing(monkeypatch):
    trainer = Nestrade(mlp(), 0.4)
    pruned = trainer.pruned
    before = dict(vars(pruned))
    smaller = keras.models.clone_model(trainer.network)

    def refuse(*arguments, **options):
        raise KeyboardInterrupt

    for broken in ("pruned_network.group_channels", "budgeted_costs.ChannelCosts"):
        with monkeypatch.context() as patched:
            patched.setattr(f"nestrade_lib.training.{broken}", refuse)
            with pytest.raises(KeyboardInterrupt):
                pruned.adopt(smaller)
        assert vars(pruned) == before
    pruned.adopt(smaller)
    assert pruned.network is smaller and pruned.graph is not before["graph"]


@pytest.mark.parametrize("verbose", [0, 2])
def test_a_short_run_makes_one_cut_and_says_so(verbose, capsys):
    trainer = Nestrade(mlp(), 0.4)
    trainer.fit(X, Y, epochs=4, verbose=verbose)
    assert trainer.met and len(trainer.cuts) == 1
    said = "24 steps: 1 cut between steps" in capsys.readouterr().out
    assert said == bool(verbose)
