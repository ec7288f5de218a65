"""Callbacks see whole epochs, whatever pieces they are trained in.

:class:`CallbackAdapter` passes batches on to the user's callbacks with the numbers that they
expect, and carries the metrics over from one piece to the next. :class:`Best` sees to
those that compare epochs.
"""

import keras


class CallbackAdapter(keras.callbacks.Callback):
    """Pass one piece of an epoch on to callbacks that know only the whole.

    Parameters
    ----------
    callbacks : keras.callbacks.CallbackList
    offset, steps : int
        Batches of the epoch before this piece, and in it.
    metrics : list of ndarray, optional
        What the metrics had gathered before this piece.
    """

    def __init__(self, callbacks, offset, steps, metrics=None):
        super().__init__()
        self.callbacks = callbacks
        self.offset = offset
        self.last = offset + steps - 1
        self.metrics = metrics
        self.logs = {}
        self.done = 0  # batches of this piece

    def on_epoch_begin(self, epoch, logs=None):
        # Keras has just reset the metrics.
        variables = self.model.metrics_variables
        if self.metrics is not None and len(self.metrics) == len(variables):
            for variable, value in zip(variables, self.metrics, strict=True):
                variable.assign(value)

    def on_train_batch_begin(self, batch, logs=None):
        self.callbacks.on_train_batch_begin(self.offset + batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        # Several steps an execution may count beyond the end of a short piece.
        batch = min(self.offset + batch, self.last)
        self.done = batch + 1 - self.offset
        self.callbacks.on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self.logs = dict(logs)
        self.metrics = [
            keras.ops.convert_to_numpy(v) for v in self.model.metrics_variables
        ]


class Best:
    """What callbacks hold for the best so far: of one network, not of the next.

    Parameters
    ----------
    callbacks : keras.callbacks.CallbackList
        Just after ``on_train_begin``.

    Examples
    --------
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
        found = [c for c in callbacks.callbacks if isinstance(c, self.KEEPERS)]
        self.first = [(c, self._initial(c)) for c in found]

    @staticmethod
    def _initial(callback):
        # Keras keeps a checkpoint's threshold nowhere else.
        is_checkpoint = isinstance(callback, keras.callbacks.ModelCheckpoint)
        return callback.best if is_checkpoint else None

    def forget(self):
        """Begin anew: after a cut, the best is the best of what is left."""
        for callback, best in self.first:
            callback.best, callback.wait = best, 0
            if hasattr(callback, "best_weights"):
                callback.best_weights = None
