"""The epochs of one ``fit``, as Keras' own callbacks and history know them."""

import warnings

import keras

from nestrade_lib.checks import is_whole
from nestrade_lib.training.backup import Backup
from nestrade_lib.training.checkpoints import Checkpoints
from nestrade_lib.training.identity import identity_of
from nestrade_lib.training.run import Run

RATE_SETTERS = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
)


def train(trainer, source, epochs, callbacks, validate, frequency, backup_dir):
    """Train a network through its cuts, epoch by epoch.

    Parameters
    ----------
    trainer : nestrade_lib.Nestrade
        Its ``history`` is filled, its ``network`` is the last one in the end.
    source : nestrade_lib.training.data.Source
    epochs : range
        Numbers of the user's epochs.
    callbacks : keras.callbacks.CallbackList
    validate : callable or None
        Gives the logs of the validation data, and tells callbacks of it.
    frequency : int or collection of int
        Epochs from one validation to the next, or after which epochs, counted from 1.
    backup_dir : str, path or None
        Where the state is written after each epoch, and taken up from.
    """
    engine = trainer.engine
    sets_rate = any(isinstance(c, RATE_SETTERS) for c in callbacks.callbacks)
    anneal = trainer.anneal and not sets_rate and not trainer.met
    with_backup = backup_dir is not None
    if with_backup or engine.workers > 1:
        identity = identity_of(trainer, source, epochs, anneal)
        engine.assert_all_equal(
            {**identity, "whether there is a backup_dir": with_backup}
        )
    checkpoints = Checkpoints(backup_dir, engine) if with_backup else None
    run = Run(trainer, source, epochs, anneal, validate)
    logs = {}
    try:
        run.open(callbacks)
        backup = checkpoints and Backup(checkpoints, run, trainer.history, identity)
        done = backup.resume() if backup else None
        if done is not None:
            source.skip(done + 1 - epochs.start)
            callbacks.set_params({**callbacks.params, "steps": source.steps})
            callbacks.set_model(trainer.network)
            logs = {name: v[-1] for name, v in trainer.history.history.items()}
            epochs = range(epochs.stop if backup.stopped else done + 1, epochs.stop)
            if not epochs:
                warnings.warn(
                    f"backup_dir: {checkpoints.folder} holds this run to its end, which is "
                    "taken up: nothing is trained. To train again, take another folder.",
                    stacklevel=3,
                )
        for epoch in epochs:
            run.grow_if_done(callbacks)
            callbacks.on_epoch_begin(epoch)
            logs = run.epoch(epoch, callbacks)
            if validate is not None and _is_due(epoch + 1, frequency):
                logs |= validate(callbacks)
            callbacks.on_epoch_end(epoch, logs)
            stops = bool(engine.gather([trainer.network.stop_training]).any())
            if stops:
                run.take_turn_back()
            run.require_alike()
            if backup:
                backup.write(epoch, stops)
            if stops:
                break
        run.check_last_cut(callbacks)
        run.require_alike()
    finally:
        run.close()
    callbacks.on_train_end(logs)


def _is_due(epoch, frequency):
    if is_whole(frequency):
        return epoch % frequency == 0
    return epoch in frequency
