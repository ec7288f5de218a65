"""Callbacks see whole epochs, whatever pieces they are trained in.

:class:`CallbackAdapter` passes batches on to the user's callbacks with the numbers that
they expect, and carries the metrics over from one piece to the next. :class:`Best` resets
those that compare epochs. :func:`require_finite` stops a training that has diverged.
"""

import keras
import numpy as np

from nestrade_lib.variables import assign


class CallbackAdapter(keras.callbacks.Callback):
    """Passes one piece of an epoch on to callbacks that know only the whole.

    The piece ends after a step, if ``is_to_end`` says so then. Where it goes on with one
    that has ended so, ``on_start`` is called just before its first step.
    """

    def __init__(
        self, callbacks, offset, steps, metrics=None, is_to_end=None, on_start=None
    ):
        super().__init__()
        self.callbacks = callbacks
        self.offset = offset
        self.last = offset + steps - 1
        self.metrics = metrics  # what they had gathered before this piece
        self.logs = {}
        self.done = 0  # batches of this piece
        self.is_to_end, self.on_start = is_to_end or (lambda: False), on_start
        self.is_ending = self.is_stopped = False  # the latter by the callbacks

    def on_epoch_begin(self, epoch, logs=None):
        # Keras has just reset the metrics.
        variables = self.model.metrics_variables
        if self.metrics is not None and len(self.metrics) == len(variables):
            assign(variables, self.metrics)

    def on_train_batch_begin(self, batch, logs=None):
        if self.on_start:
            self.on_start()
            self.on_start = None
        self.callbacks.on_train_batch_begin(self.offset + batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        # Several steps per execution may count beyond the end of a short piece.
        batch = min(self.offset + batch, self.last)
        self.done = batch + 1 - self.offset
        self.callbacks.on_train_batch_end(batch, logs)
        self.is_stopped = bool(self.model.stop_training)
        if self.is_to_end():
            self.is_ending = self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.logs = dict(logs or {})
        self.metrics = [
            keras.ops.convert_to_numpy(v) for v in self.model.metrics_variables
        ]


class Best:
    """The best epoch so far, as callbacks hold it: of one network, not of the next.

    Made just after ``on_train_begin``.

    >>> stopping = keras.callbacks.EarlyStopping("loss")
    >>> best = Best(keras.callbacks.CallbackList([stopping]))
    >>> stopping.best, stopping.wait = 0.1, 3
    >>> best.forget()
    >>> stopping.best, stopping.wait
    (None, 0)
    """

    KEEPERS = (
        keras.callbacks.EarlyStopping,
        keras.callbacks.ModelCheckpoint,
        keras.callbacks.ReduceLROnPlateau,
    )

    def __init__(self, callbacks):
        keepers = [c for c in callbacks.callbacks if isinstance(c, self.KEEPERS)]
        # Keras keeps a checkpoint's threshold nowhere else.
        checkpoint = keras.callbacks.ModelCheckpoint
        self.first = [
            (c, c.best if isinstance(c, checkpoint) else None) for c in keepers
        ]
        self.before = []

    def forget(self):
        """Begin anew: after a cut, the best is the best of what is left."""
        for callback, best in self.first:
            callback.best, callback.wait = best, 0
            if hasattr(callback, "best_weights"):
                callback.best_weights = None

    def remember(self):
        """Note what the weights to restore are, as a pruning round begins."""
        stopping = keras.callbacks.EarlyStopping
        self.before = [
            (c, dict(vars(c))) for c, _ in self.first if isinstance(c, stopping)
        ]

    def recall(self):
        """Restore no weights of a round that was taken back: they are half way to zero."""
        for callback, before in self.before:
            for name in ("best", "best_epoch", "best_weights"):
                setattr(callback, name, before[name])


def callback_list(callbacks, verbose, epochs, steps, network):
    """The user's callbacks, with Keras' progress bar and history (``network.history``)."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks  # each of which is looked at
    for callback in keras.tree.flatten(callbacks):
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError(
                "callbacks: keras.callbacks.BackupAndRestore knows one network, and would "
                "load the weights of a cut one into it. Pass fit(backup_dir=) instead: a "
                "killed run goes on from there, cuts included."
            )
    verbose = 1 if verbose == "auto" else verbose
    return keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=verbose != 0,
        verbose=verbose,
        epochs=epochs,
        steps=steps,
        model=network,
    )


def show_network(callbacks, network):
    """Let callbacks see another network; those with a method ``on_cut`` are given it."""
    network.history = callbacks.model.history
    set_model = keras.callbacks.Callback.set_model
    set_model(callbacks, network)
    for callback in callbacks.callbacks:
        if isinstance(callback, keras.callbacks.TensorBoard):
            set_model(callback, network)  # its own would begin new files
        else:
            callback.set_model(network)
        if hasattr(callback, "on_cut"):
            callback.on_cut(network)


def sets_learning_rate(callbacks):
    """Whether one of Keras' callbacks among them sets the learning rate."""
    setters = (
        keras.callbacks.LearningRateScheduler,
        keras.callbacks.ReduceLROnPlateau,
    )
    return any(isinstance(c, setters) for c in callbacks.callbacks)


def require_finite(pruned, logs, good, step, data):
    """Restore the last good values where losses or weights are not finite, and say so."""
    # A ReLU can hide NaN weights from the loss, so both are looked at.
    weights = {
        v.path: keras.ops.convert_to_numpy(v)
        for v in pruned.network.trainable_variables
    }
    spoilt = [path for path, value in weights.items() if not np.isfinite(value).all()]
    # A training step of the user's own may name its losses as it likes.
    losses = {k: v for k, v in logs.items() if k == "loss" or k.endswith("_loss")}
    if np.isfinite(list(losses.values())).all() and not spoilt:
        return
    pruned.values = good
    values = ", ".join(f"{name} {value}" for name, value in losses.items())
    where = f"; weights not finite: {', '.join(spoilt[:3])}" if spoilt else ""
    raise FloatingPointError(
        f"The training diverged after step {step}: {values}{where}. The network is back at "
        f"its last good state. {data.not_finite()}Lower the learning rate, clip gradients, "
        "or look for extreme values in the data."
    )
