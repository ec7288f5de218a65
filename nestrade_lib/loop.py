"""The epochs of one ``fit``, as Keras' own callbacks and history know them."""

import keras

from nestrade_lib.backup import Backup
from nestrade_lib.run import Run
from nestrade_lib.scaling.checkpoints import Checkpoints

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
    source : nestrade_lib.segments.Source
    epochs : range
        Numbers of the user's epochs.
    callbacks : keras.callbacks.CallbackList
    validate : callable or None
        Gives the logs of the validation data.
    frequency : int
        Epochs from one validation to the next.
    backup_dir : str, path or None
        Where the state is written after each epoch, and taken up from.
    """
    engine = trainer.engine
    checkpoints = backup_dir and Checkpoints(backup_dir, engine)
    if source.is_arrays:
        engine.agree("the training data", source.x, source.y, source.sample_weight)
    sets_rate = any(isinstance(c, RATE_SETTERS) for c in callbacks.callbacks)
    anneal = trainer.anneal and not sets_rate and not trainer.met
    run = Run(trainer, source, len(epochs), anneal, validate)
    logs = {}
    try:
        trainer.network.stop_training = False
        callbacks.on_train_begin()
        backup = checkpoints and Backup(checkpoints, run, trainer.history)
        done = backup.resume() if backup else None
        if done is not None:
            source.skip(done + 1 - epochs.start)
            callbacks.set_params({**callbacks.params, "steps": source.steps})
            callbacks.set_model(trainer.network)
            logs = {name: v[-1] for name, v in trainer.history.history.items()}
            epochs = range(epochs.stop if backup.stopped else done + 1, epochs.stop)
        for epoch in epochs:
            run.grow_if_done(callbacks)
            callbacks.on_epoch_begin(epoch)
            logs = run.epoch(epoch, callbacks)
            if validate is not None and (epoch + 1) % frequency == 0:
                logs |= validate()
            callbacks.on_epoch_end(epoch, logs)
            if backup:
                backup.write(epoch)
            if engine.gather([trainer.network.stop_training]).any():
                break
    finally:
        run.close()
    callbacks.on_train_end(logs)
