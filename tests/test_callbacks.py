"""Keras' callbacks see one ``fit``, and the network of the moment."""

import keras
import numpy as np
import pytest

from nestrade_lib import Nestrade, Schedule
from tests.support.small import SOON, X, Y, mlp

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]


class Watch(keras.callbacks.Callback):
    """Which networks it was given, and by which method."""

    def __init__(self):
        super().__init__()
        self.models, self.cuts = [], []

    def set_model(self, model):
        super().set_model(model)
        self.models.append(model)

    def on_cut(self, network):
        assert self.model is network
        self.cuts.append(network)


def test_callbacks_are_given_each_network_once():
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    trainer.fit(X, Y, epochs=4, verbose=0, callbacks=[watch := Watch()])
    assert len(watch.cuts) == len(trainer.cuts) > 0
    assert watch.models[1:] == watch.cuts and watch.cuts[-1] is trainer.network
    assert trainer.network.history is trainer.history


class Board(keras.callbacks.TensorBoard):
    """Counts how often new files are begun; writes nothing."""

    begun = 0

    def set_model(self, model):
        super().set_model(model)
        self.begun += 1

    def nothing(self, *given, **options):
        pass

    on_train_begin = on_train_end = on_epoch_begin = on_epoch_end = nothing
    on_train_batch_begin = on_train_batch_end = on_test_begin = on_test_end = nothing


def test_a_board_goes_on_in_the_same_files_after_a_cut(tmp_path):
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    board = Board(tmp_path, write_graph=False)
    trainer.fit(X, Y, epochs=4, verbose=0, callbacks=[board])
    assert trainer.cuts and board.begun == 1 and board.model is trainer.network


@pytest.mark.parametrize("stops", [True, False])
def test_no_weights_of_a_round_without_its_cut_are_restored(stops):
    class Better(keras.callbacks.Callback):
        """Each epoch looks better than the one before it; the third may be the last."""

        def on_epoch_end(self, epoch, logs=None):
            logs["watched"] = epoch
            self.model.stop_training = stops and epoch == 2

    # Of 30 steps, the round begins with the 9th and ends with the 23rd.
    schedule = Schedule(start=0.3, stop=1, cuts=1, shrink=20)
    trainer = Nestrade(mlp(), 0.4, schedule=schedule)
    stopping = keras.callbacks.EarlyStopping(
        "watched", mode="max", restore_best_weights=True
    )
    before = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            before.append(self.model.get_weights())

    trainer.fit(X, Y, epochs=5, verbose=0, callbacks=[Better(), Note(), stopping])
    if stops:
        assert not trainer.cuts and stopping.best == 0
        for ours, theirs in zip(trainer.network.get_weights(), before[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    kernels = [layer.kernel for layer in trainer.network.layers]
    norms = [np.linalg.norm(keras.ops.convert_to_numpy(k), axis=0) for k in kernels]
    assert min(norm.min() for norm in norms) > 0.1


def averaging():
    return keras.optimizers.Adam(0.01, use_ema=True)


OPTIMIZERS = {
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam()
    ),
    "averages": averaging,
    "accumulation": lambda: keras.optimizers.Adam(gradient_accumulation_steps=2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_callbacks_of_keras_work_with_each_wrapper_of_optimizers(name, tmp_path):
    rates = []
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 / (epoch + 1)),
        keras.callbacks.ReduceLROnPlateau("loss", patience=1),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
        keras.callbacks.SwapEMAWeights() if name == "averages" else Watch(),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: rates.append(logs["learning_rate"])
        ),
        keras.callbacks.EarlyStopping(patience=9, restore_best_weights=True),
    ]
    trainer = Nestrade(mlp(OPTIMIZERS[name]()), 0.4, schedule=SOON)
    trainer.fit(X, Y, epochs=4, verbose=0, validation_data=(X, Y), callbacks=callbacks)
    assert trainer.met and len(trainer.history.epoch) == 4
    np.testing.assert_allclose(rates, [0.01 / n for n in range(1, 5)], rtol=1e-5)
    loaded = keras.saving.load_model(tmp_path / "best.keras")
    assert np.isfinite(loaded.predict(X, verbose=0)).all()
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 5


def test_train_on_batch_says_at_once_that_it_does_not_cut():
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    with pytest.raises(ValueError, match="train_on_batch: expected fit"):
        trainer.train_on_batch(X[:8], Y[:8])
    trainer.fit(X, Y, epochs=2, verbose=0)
    assert np.isfinite(trainer.train_on_batch(X[:8], Y[:8])).all()


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
