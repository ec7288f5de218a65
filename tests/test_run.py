"""What a run holds to on its way, and what it refuses before it begins."""

import gc

import keras
import numpy as np
import pytest

from nestrade_lib import Budget, Nestrade, Schedule, create_loss
from nestrade_lib.surgery import UnsliceableOptimizer
from nestrade_lib.training.validation import Validation
from tests.support.small import SOON, X, Y, mlp

pytestmark = pytest.mark.any_backend


class Stop(keras.callbacks.Callback):
    """End the training when `when` (a function of the batches so far) says so."""

    def __init__(self, when):
        super().__init__()
        self.when, self.batches = when, 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.model.stop_training = self.when(self.batches)


@pytest.mark.parametrize(
    ("stop", "stops_after"),
    [(1.0, None), (0.6, 4), (0.9, None)],
    ids=["no check after it", "stopped before its check", "an epoch before its check"],
)
def test_the_last_cut_too_is_held_to_its_accuracy(monkeypatch, stop, stops_after):
    # The fourth cut is one too many.
    def logs(self, engine, network, callbacks=None):
        return {"val_accuracy": float(len(trainer.cuts) < 4)}

    monkeypatch.setattr(Validation, "logs", logs)
    schedule = Schedule(0.4, stop, 4, shrink=2)
    trainer = Nestrade(mlp(), Budget(max_accuracy_drop=0.5), schedule=schedule)
    # Upside down, so that the best weights are those of the cut that is taken back.
    stopping = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="min", patience=100, restore_best_weights=True
    )
    callbacks = [stopping]
    if stops_after:
        callbacks.append(Stop(lambda _: len(trainer.cuts) >= stops_after))
    trainer.fit(X, Y, epochs=10, verbose=0, validation_data=(X, Y), callbacks=callbacks)
    assert trainer.state.is_search_over and len(trainer.cuts) == 3
    assert trainer.widths == trainer.cuts[-1].widths
    assert isinstance(trainer.optimizer, keras.optimizers.Adam)


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


@pytest.mark.parametrize(
    ("compiled", "error", "message"),
    [
        ({"optimizer": "adafactor"}, UnsliceableOptimizer, "cannot be cut with it"),
    ],
)
def test_what_cannot_be_cut_is_refused_before_training(compiled, error, message):
    network = mlp()
    network.compile(**{"optimizer": "adam", "loss": create_loss(), **compiled})
    trainer = Nestrade(network, 0.4, schedule=SOON)
    before = [keras.ops.convert_to_numpy(v).copy() for v in network.variables]
    with pytest.raises(error, match=message):
        trainer.fit(X, Y, epochs=4, verbose=0)
    for old, variable in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable))


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


def test_after_a_cut_the_best_is_the_best_of_what_is_left(tmp_path):
    """Accuracies that fall: without a cut, the first network stays the best."""
    path = tmp_path / "best.keras"
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    values = iter(np.linspace(0.9, 0.1, 6))

    class Falling(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["watched"] = next(values)

    watched = {"monitor": "watched", "mode": "max"}
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_best_only=True, **watched)
    plateau = keras.callbacks.ReduceLROnPlateau(patience=9, **watched)
    stopping = keras.callbacks.EarlyStopping(patience=2, **watched)
    trainer.fit(
        X, Y, epochs=6, verbose=0, callbacks=[Falling(), checkpoint, plateau, stopping]
    )
    last_cut = int(trainer.cuts[-1].epoch)
    assert trainer.met and trainer.history.epoch == list(range(last_cut + 3))
    kept = keras.saving.load_model(path)
    assert kept.count_params() == trainer.network.count_params()
    expected = np.linspace(0.9, 0.1, 6)[last_cut]
    assert checkpoint.best == plateau.best == stopping.best == expected


def test_a_threshold_of_a_checkpoint_outlives_the_cuts(tmp_path):
    path = tmp_path / "best.keras"
    checkpoint = keras.callbacks.ModelCheckpoint(
        path, monitor="loss", save_best_only=True, initial_value_threshold=0.0
    )
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    trainer.fit(X, Y, epochs=4, verbose=0, callbacks=[checkpoint])
    assert trainer.met and not path.exists()


def test_keras_own_backup_is_refused_where_it_could_not_be_read_again(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(ValueError, match="backup_dir"):
        Nestrade(mlp(), 0.5).fit(X, Y, verbose=0, callbacks=[backup])
    Nestrade(mlp(), 1).fit(X, Y, verbose=0, callbacks=[backup])


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


class Record(keras.callbacks.Callback):
    """The weights after each batch, and the network that callbacks have at the end."""

    def on_train_begin(self, logs=None):
        self.weights = [self.model.get_weights()]

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())

    def on_train_end(self, logs=None):
        self.last = self.model


@pytest.mark.parametrize("how", ["callback", "interrupt"])
@pytest.mark.parametrize("stop", [5, 9, 10, 11])
def test_a_round_that_does_not_come_to_its_cut_is_taken_back(stop, how):
    def end(batches):
        if batches == stop and how == "interrupt":
            raise KeyboardInterrupt
        return batches == stop

    schedule = Schedule(start=1 / 6, stop=0.9, cuts=1, shrink=6)  # 30 steps: 5 to 11
    trainer = Nestrade(mlp(), 0.4, schedule=schedule)
    seen = Record()
    try:
        trainer.fit(X, Y, epochs=5, verbose=0, callbacks=[seen, Stop(end)])
    except KeyboardInterrupt:
        assert how == "interrupt"
    assert len(seen.weights) == stop + 1
    assert len(trainer.cuts) == (stop == 11 and how == "callback")
    if stop < 11:
        for ours, before in zip(trainer.network.get_weights(), seen.weights[5]):
            np.testing.assert_array_equal(ours, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("broken", ["restructure", "group_channels", "ChannelCosts"])
def test_a_cut_that_fails_takes_its_round_back(monkeypatch, broken, error):
    def fail(*arguments, **options):
        raise error

    schedule = Schedule(start=1 / 6, stop=0.9, cuts=1, shrink=6)  # 30 steps: 5 to 11
    trainer = Nestrade(mlp(run_eagerly=True), 0.4, schedule=schedule, distill=0.5)
    network = trainer.network
    monkeypatch.setattr(f"nestrade_lib.training.pruned_network.{broken}", fail)
    seen = Record()
    with pytest.raises(type(error)):
        trainer.fit(X, Y, epochs=5, verbose=0, callbacks=[seen])
    assert len(seen.weights) == 11 + 1 and not trainer.cuts
    assert trainer.network is network and "compute_loss" not in vars(network)
    for ours, before in zip(network.get_weights(), seen.weights[5]):
        np.testing.assert_array_equal(ours, before)
    optimizer = network.optimizer
    assert (
        type(optimizer) is type(keras.optimizers.Adam())
        and int(optimizer.iterations) == 5
    )
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)


def test_callbacks_end_with_the_network_that_is_left(monkeypatch):
    def logs(self, engine, network, callbacks=None):
        return {"val_accuracy": float(len(trainer.cuts) < 4)}

    monkeypatch.setattr(Validation, "logs", logs)
    schedule = Schedule(0.4, 0.6, 4, shrink=2)
    trainer = Nestrade(mlp(), Budget(max_accuracy_drop=0.5), schedule=schedule)
    callbacks = [seen := Record(), Stop(lambda _: len(trainer.cuts) >= 4)]
    options = {"verbose": 0, "validation_data": (X, Y), "callbacks": callbacks}
    trainer.fit(X, Y, epochs=10, **options)
    assert len(trainer.cuts) == 3
    assert seen.last is trainer.network is trainer.history.model


def test_a_search_that_finds_nothing_to_cut_takes_no_earlier_cut_back(monkeypatch):
    checks = []

    def logs(self, engine, network, callbacks=None):
        checks.append(len(trainer.cuts))
        return {"val_accuracy": float(checks[-1] == 0 or checks.count(checks[-1]) < 6)}

    monkeypatch.setattr(Validation, "logs", logs)
    schedule = Schedule(0.1, 0.9, cuts=16, round_to=8, max_pruning_ratio=1, shrink=1)
    trainer = Nestrade(mlp(), Budget(macs=0.5, max_accuracy_drop=1), schedule=schedule)
    trainer.fit(X, Y, epochs=10, verbose=0, validation_data=(X, Y))
    assert trainer.met and checks.count(checks[-1]) >= 6
    assert trainer.cuts and trainer.widths == trainer.cuts[-1].widths


def test_a_search_goes_on_from_the_accuracy_before_its_first_cut(monkeypatch):
    def logs(self, engine, network, callbacks=None):
        return {"val_accuracy": (0.9, 0.895, 0.887)[min(len(trainer.cuts), 2)]}

    monkeypatch.setattr(Validation, "logs", logs)
    schedule = Schedule(0.1, 0.9, cuts=8, shrink=1)
    trainer = Nestrade(mlp(), Budget(max_accuracy_drop=1), schedule=schedule)
    stop = Stop(lambda _: len(trainer.cuts) == 1)
    options = {"epochs": 10, "verbose": 0, "validation_data": (X, Y)}
    trainer.fit(X, Y, callbacks=[stop], **options)
    trainer.fit(X, Y, **options)
    assert len(trainer.cuts) == 1 and trainer.met


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

    for broken in ("group_channels", "ChannelCosts"):
        with monkeypatch.context() as patched:
            patched.setattr(f"nestrade_lib.training.pruned_network.{broken}", refuse)
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
