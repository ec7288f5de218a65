"""Batches of data sets and generators, as they come."""

import itertools
import math

import keras

from nestrade_lib.arrays import map_arrays
from nestrade_lib.training.data.adapter import Source, as_numpy
from nestrade_lib.training.inputs import (
    count_batches,
    is_reiterable,
    require_length,
    unpacked,
)


class StreamAdapter(Source):
    """A `tf.data.Dataset`, `PyDataset`, `DataLoader` or generator.

    Parameters
    ----------
    x, steps_per_epoch, **common
        As of :func:`nestrade_lib.training.data.data_adapter`.

    Examples
    --------
    >>> source = StreamAdapter(iter([(1, 2), (3, 4)]), steps_per_epoch=2)
    >>> source.start_epoch(0)
    >>> source.peek()
    (1, 2)
    """

    def __init__(self, x, steps_per_epoch=None, **common):
        super().__init__(**common)
        self.x = x
        count = count_batches(x) if steps_per_epoch else require_length(x)
        self.steps = min(steps_per_epoch or math.inf, count or math.inf)
        self._goes_on = self.steps != count  # from one epoch into the next
        self._batches = None
        self._passes = 0

    def sample(self, most=16):
        if isinstance(self.x, keras.utils.PyDataset):
            batch = self.x[0]
        elif is_reiterable(self.x):
            batch = next(iter(self.x))
        else:
            return None
        x, y = (*unpacked(batch), None)[:2]
        return map_arrays(lambda a: as_numpy(a[:most]), (x, y))

    def start_epoch(self, epoch):
        if self._batches is None:
            self._batches = self._endless() if self._goes_on else self._pass()
        elif not self._goes_on and is_reiterable(self.x):
            self._batches = self._pass()

    def _pass(self):
        """One pass over the data."""
        if not isinstance(self.x, keras.utils.PyDataset):
            return iter(self.x)
        self.x.on_epoch_begin()
        number, self._passes = self._passes, self._passes + 1
        count = count_batches(self.x)
        if count is None:
            return map(self.x.__getitem__, itertools.count())
        return map(self.x.__getitem__, self.order_of(number, count).tolist())

    def _endless(self):
        """Pass after pass, as long as there are any."""
        again = True
        while again:
            again = False
            for batch in self._pass():
                again = is_reiterable(self.x)
                yield batch

    def end_epoch(self):
        if isinstance(self.x, keras.utils.PyDataset):
            self.x.on_epoch_end()

    def skip(self, epochs):
        for _ in range(epochs):
            self.start_epoch(0)
            if self._goes_on or not is_reiterable(self.x):
                for _ in itertools.islice(self._batches, self.steps):
                    pass
            elif not isinstance(self.x, keras.utils.PyDataset):
                next(self._batches)  # a seeded shuffle draws its next order
            self.end_epoch()

    def peek(self):
        first = next(self._batches, None)
        if first is None:
            return None
        self._batches = itertools.chain([first], self._batches)
        return self._weighted(unpacked(first))

    def take(self, steps):
        first = next(self._batches, None)
        self.is_exhausted = first is None
        # Each worker takes its part of what it has made by itself.
        self.engine.assert_equal("a batch of the training data", first)
        if self.is_exhausted:
            return None
        return self.one_by_one(self._counted(first, steps), steps)

    def _counted(self, first, steps):
        # Keras knows a generator by its type.
        rest = itertools.islice(self._batches, steps - 1)
        given = 0
        for batch in itertools.chain([first], rest):
            given += 1
            yield self._part(self._weighted(unpacked(batch)))
        self.is_exhausted = given < steps

    def _part(self, batch):
        """This worker's part of a batch that all of them have made."""
        if self.engine.replicas == 1:
            return batch

        def part(rows):
            if len(rows) % self.engine.replicas:
                raise ValueError(
                    f"A batch of the training data has {len(rows)} rows, which "
                    f"{self.engine.replicas} replicas cannot share equally. Make all "
                    "batches a multiple of that, and leave a smaller last one out: "
                    "dataset.batch(size, drop_remainder=True)."
                )
            return self.engine.shard(rows)

        return map_arrays(part, batch)

    def _weighted(self, batch):
        if self.class_weight is None:
            return batch
        x, y, *weight = batch
        return x, y, self.weights(y, *weight)
