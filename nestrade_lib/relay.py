"""Callbacks see whole epochs, whatever pieces they are trained in.

:class:`Relay` passes batches on to the user's callbacks with the numbers that they
expect, and carries the metrics over from one piece to the next.
"""

import keras


class Relay(keras.callbacks.Callback):
    """Pass one piece of an epoch on to callbacks that know only the whole.

    Parameters
    ----------
    callbacks : keras.callbacks.CallbackList
    offset : int
        Batches of the epoch before this piece.
    metrics : list of ndarray, optional
        What the metrics had gathered before this piece.
    """

    def __init__(self, callbacks, offset, metrics=None):
        super().__init__()
        self.callbacks = callbacks
        self.offset = offset
        self.metrics = metrics
        self.logs = {}

    def on_epoch_begin(self, epoch, logs=None):
        # Keras has just reset the metrics.
        variables = self.model.metrics_variables
        if self.metrics is not None and len(self.metrics) == len(variables):
            for variable, value in zip(variables, self.metrics, strict=True):
                variable.assign(value)

    def on_train_batch_begin(self, batch, logs=None):
        self.callbacks.on_train_batch_begin(self.offset + batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        self.callbacks.on_train_batch_end(self.offset + batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self.logs = dict(logs)
        self.metrics = [
            keras.ops.convert_to_numpy(v) for v in self.model.metrics_variables
        ]


def forget_best_weights(callbacks):
    """EarlyStopping may keep weights, which after a cut are of another network."""
    for callback in callbacks.callbacks:
        if getattr(callback, "best_weights", None) is not None:
            callback.best, callback.best_weights, callback.wait = None, None, 0
