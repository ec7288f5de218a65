"""Batches of arrays, looked up in the order of each epoch."""

import math
import warnings

import keras
import numpy as np

from nestrade_lib.arrays import arrays_of, map_arrays, require_arrays, rows_of
from nestrade_lib.distillation import DistillationTargets
from nestrade_lib.keras_data import array_inputs, batch_of
from nestrade_lib.training.data.adapter import DataAdapter, one_by_one


class ArrayAdapter(DataAdapter):
    """Arrays, nested or not, of any backend.

    Where an engine has several replicas, an epoch has whole batches only: the samples
    left over come in other epochs, in whose order they stand elsewhere.

    Parameters
    ----------
    x, y, sample_weight, batch_size, steps_per_epoch, validation_split, **common
        As of :func:`nestrade_lib.training.data.data_adapter`.

    Attributes
    ----------
    samples, rows : int
        In all, and of an epoch.

    Examples
    --------
    >>> data = ArrayAdapter(np.arange(3.0), np.arange(3), batch_size=2, shuffle=False)
    >>> data.start_epoch(0)
    >>> data.peek()[1].tolist()
    [0, 1]
    """

    is_arrays = True

    def __init__(
        self,
        x,
        y,
        sample_weight=None,
        batch_size=None,
        steps_per_epoch=None,
        validation_split=0.0,
        **common,
    ):
        super().__init__(**common)
        self.samples = count_samples(x, y, sample_weight)
        given = x, y, sample_weight
        if validation_split:
            every = self.samples
            self.samples = math.floor(every * (1 - validation_split))
            arrays = array_inputs(*given)
            self.held_out = rows_of(arrays, slice(self.samples, every))
            given = rows_of(arrays, slice(0, self.samples))
        self.x, self.y, self.sample_weight = given
        self._arrays = array_inputs(*given, class_weight=self.class_weight)
        if batch_size is None:  # as in Keras
            batch_size = -(-self.samples // steps_per_epoch) if steps_per_epoch else 32
        self.rows = min((steps_per_epoch or math.inf) * batch_size, self.samples)
        self.batch_size = batch_size
        self._teacher = self._answers = None
        left = self.rows % batch_size
        if left and self.engine.replicas > 1:
            warnings.warn(
                f"{self.rows} samples are no multiple of the global batch of {batch_size}, "
                f"which {self.engine.replicas} replicas share: each epoch leaves {left} "
                "of them out. Take a batch_size that divides their number to use all.",
                stacklevel=4,
            )

    @property
    def batch_size(self):
        """Of the global batch. With another one, an epoch has other steps."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, size):
        self.engine.check_batch(size)
        many = self.engine.replicas > 1
        self.steps = (math.floor if many else math.ceil)(self.rows / size)
        if self.steps == 0 or many and self.samples < size:
            raise ValueError(
                f"{self.samples} samples are fewer than a global batch of {size}, "
                f"which {self.engine.replicas} replicas share. Take a smaller "
                "batch_size, or more samples."
            )
        self._batch_size = size

    def sample(self, most=16):
        return map_arrays(lambda a: _dense(a, most), self._arrays[:2])

    def not_finite(self):
        for name, arrays in zip(("x", "y", "sample_weight"), self._arrays):
            for array in arrays_of(arrays):
                values = _dense(array, self.samples)
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    count = int((~np.isfinite(values)).sum())
                    return f"{name} holds {count} numbers that are not finite. "
        return ""

    def learn_from(self, teacher):
        if self.engine.replicas == 1 and teacher is not self._teacher:
            self._teacher = teacher
            self._answers = teacher.answers_to(self.x, self.batch_size)

    def start_epoch(self, epoch):
        first, offset = divmod(epoch * self.rows, self.samples)
        last = first + -(-(offset + self.rows) // self.samples)
        orders = [self.order_of(n, self.samples) for n in range(first, last)]
        self._order = np.concatenate(orders)[offset : offset + self.rows]
        self._position = 0

    def advance(self, steps):
        self._position += steps * self.batch_size

    def peek(self):
        stop = self._position + self.batch_size
        return self._at(self._order[self._position : stop])

    def preview(self, samples):
        rows, size = self._order[:samples], self.batch_size // self.engine.replicas
        return [self._at(rows[n : n + size]) for n in range(0, len(rows), size)]

    def take(self, steps):
        stop = self._position + steps * self.batch_size
        rows = self._order[self._position : stop]
        self._position = stop
        if self.engine.replicas == 1:
            return one_by_one(self._batches(rows), steps)
        if self.engine.workers > 1:
            batches = rows.reshape(-1, self.batch_size)
            rows = np.concatenate([self.engine.shard(batch) for batch in batches])
        names = "x", "y", "sample_weight"
        arrays = dict(zip(names, self._at(rows), strict=True))
        return arrays | {"batch_size": self.batch_size, "shuffle": False}

    def _batches(self, rows):
        """Each is made when its turn comes: a piece may be large."""
        for start in range(0, len(rows), self.batch_size):
            x, y, weight = self._at(rows[start : start + self.batch_size])
            if keras.backend.backend() == "tensorflow":  # lists are arrays to tf.data
                x, y, weight = keras.tree.lists_to_tuples((x, y, weight))
            if weight is not None:
                yield x, y, weight
            else:
                yield (x,) if y is None else (x, y)

    def _at(self, rows):
        """Inputs, labels and weights of these rows."""
        x, y, weight = map_arrays(lambda a: batch_of(a, rows), self._arrays)
        if self._answers is None:
            return x, y, weight
        answers = map_arrays(lambda a: a[rows], self._answers)
        return x, DistillationTargets(y, answers), weight


def count_samples(x, y, sample_weight):
    """The number of samples of arrays that are as long as each other."""
    named = {"x": x, "y": y, "sample_weight": sample_weight}
    for name, value in named.items():
        if value is not None:
            require_arrays(name, value)
    leaves = {n: keras.tree.flatten(a) for n, a in named.items() if a is not None}
    lengths = {int(a.shape[0]) for arrays in leaves.values() for a in arrays}
    if len(lengths) > 1 or 0 in lengths:
        shapes = {n: [tuple(a.shape) for a in arrays] for n, arrays in leaves.items()}
        raise ValueError(
            f"Expected arrays of the same, non-zero number of samples, got shapes {shapes}."
        )
    return lengths.pop()


def _dense(array, count):
    """The first rows as an array of NumPy."""
    return np.asarray(array.convert_to_numpy(array[slice(0, count)]))
