"""How a run comes on: a line per epoch, and where somebody watches, the step of the moment."""

import sys

import keras


class Progress(keras.callbacks.Callback):
    """Shows each epoch's losses and metrics, and what is left of the costs."""

    def __init__(self, trainer):
        super().__init__()
        self.trainer = trainer
        self.is_watched = sys.stdout.isatty()

    def on_train_begin(self, logs=None):
        if not self.trainer.met:
            print(self.trainer.state.timetable, flush=True)

    def on_epoch_begin(self, epoch, logs=None):
        self.head = f"epoch {epoch + 1}/{self.params['epochs']}"

    def on_train_batch_end(self, batch, logs=None):
        if self.is_watched:
            print(f"\r{self.head}  step {batch + 1}/{self.params['steps']}", end=" ")
            sys.stdout.flush()

    def on_epoch_end(self, epoch, logs=None):
        values = [f"{name} {value:.4g}" for name, value in (logs or {}).items()]
        costs, dense = self.trainer.costs, self.trainer.dense_costs
        for name, now, first in (
            ("MACs", costs.macs, dense.macs),
            ("parameters", costs.params, dense.params),
        ):
            if first:
                values.append(f"{name} {now / first:.1%}")
        start = "\r" if self.is_watched else ""
        print(f"{start}{self.head}  " + "  ".join(values), flush=True)
