"""Batches of data sets and generators, as they come."""

import collections
import itertools
import math
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from nestrade_lib.arrays import arrays_of, map_arrays, rows_of
from nestrade_lib.cluster.digest import digest
from nestrade_lib.training.data.adapter import DataAdapter, as_numpy, one_by_one


class StreamAdapter(DataAdapter):
    """A `tf.data.Dataset`, `PyDataset`, `DataLoader` or generator.

    Parameters
    ----------
    x, steps_per_epoch, validation_split, **common
        As of :func:`nestrade_lib.training.data.data_adapter`.

    Examples
    --------
    >>> data = StreamAdapter(iter([(1, 2), (3, 4)]), steps_per_epoch=2)
    >>> data.start_epoch(0)
    >>> data.peek()
    (1, 2)
    """

    def __init__(self, x, steps_per_epoch=None, validation_split=0.0, **common):
        super().__init__(**common)
        if validation_split:
            raise ValueError(
                "validation_split: expected arrays, of which the last part is held out, "
                f"got {type(x).__name__}. Pass validation_data= instead."
            )
        self.x = x
        self._is_dataset = isinstance(x, keras.utils.PyDataset)
        is_iterator = not hasattr(x, "__iter__") or hasattr(x, "__next__")
        self._is_repeatable = self._is_dataset or not is_iterator
        count = self._count(ends=steps_per_epoch is None)
        self.steps = min(steps_per_epoch or math.inf, count or math.inf)
        self._goes_on = self.steps != count  # from one epoch into the next
        self._batches: Any = None  # an iterator
        self._passes = 0

    def _count(self, ends=False):
        """How many batches a pass has, or None where the data do not state it.

        A `tf.data.Dataset` that knows only that it ends, such as one of files of records,
        is gone through once to count them. (Keras' ``fit`` learns it in its first epoch,
        but the time of each cut has to be known before.)
        """
        if self._is_dataset:
            count = self.x.num_batches
        else:
            try:
                count = len(self.x)
            except TypeError:
                count = None
        if not ends:
            return count
        unknown = -2  # tf.data.UNKNOWN_CARDINALITY; endless data have another number
        if not count and getattr(self.x, "cardinality", lambda: None)() == unknown:
            count = int(self.x.reduce(np.int64(0), lambda total, _: total + 1))
        if not count or count < 0:
            raise ValueError(
                f"The training data ({type(self.x).__name__}) is empty or does not state "
                "how many batches it has. Pass steps_per_epoch=."
            )
        return count

    def sample(self, most=16):
        if not self._is_repeatable:
            return None
        batch = self.x[0] if self._is_dataset else next(iter(self.x))
        x, y = (*_unpacked(batch), None)[:2]
        return map_arrays(lambda a: as_numpy(_sliceable(a)[:most]), (x, y))

    def start_epoch(self, epoch):
        if self._batches is None:
            self._batches = self._endless() if self._goes_on else self._pass()
        elif not self._goes_on and self._is_repeatable:
            self._batches = self._pass()

    def _pass(self):
        """One pass over the data."""
        if not self._is_dataset:
            return iter(self.x)
        self.x.on_epoch_begin()
        number, self._passes = self._passes, self._passes + 1
        count = self._count()
        order = itertools.count() if count is None else self.order_of(number, count)
        return fetched(self.x, map(int, order))

    def _endless(self):
        """Pass after pass, as long as there are any."""
        again = True
        while again:
            again = False
            for batch in self._pass():
                again = self._is_repeatable
                yield batch

    def end_epoch(self):
        if self._is_dataset:
            self.x.on_epoch_end()

    def skip(self, epochs):
        for _ in range(epochs):
            self.start_epoch(0)
            if self._goes_on or not self._is_repeatable:
                self.advance(int(self.steps))
            elif not self._is_dataset:
                next(self._batches)  # a seeded shuffle draws its next order
            self.end_epoch()

    def advance(self, steps):
        for _ in itertools.islice(self._batches, steps):
            pass

    def fingerprint(self):
        return digest(self.peek()).hex()

    def peek(self):
        first = next(self._batches, None)
        if first is None:
            return None
        self._batches = itertools.chain([first], self._batches)
        return self._weighted(_unpacked(first))

    def preview(self, samples):
        batches, count = [], 0
        while count < samples and len(batches) < self.steps:
            if (batch := next(self._batches, None)) is None:
                break
            batches.append(batch)
            count += arrays_of(batch)[0].shape[0]
        self._batches = itertools.chain(batches, self._batches)
        return [part for batch in batches for part in self._by_replica(batch)]

    def _by_replica(self, batch):
        """A batch in parts of as many samples as a replica has; x, y and weights of each."""
        batch = map_arrays(_sliceable, self._weighted(_unpacked(batch)))
        x, y, weight, *_ = (*batch, None, None)
        count = arrays_of(x)[0].shape[0]
        size = max(1, -(-count // self.engine.replicas))
        for start in range(0, count, size):
            yield rows_of((x, y, weight), slice(start, start + size))

    def take(self, steps):
        first = next(self._batches, None)
        self.is_exhausted = first is None
        # Each worker takes its part of what it has made by itself.
        self.engine.assert_equal("a batch of the training data", first)
        if self.is_exhausted:
            return None
        return one_by_one(self._counted(first, steps), steps)

    def _counted(self, first, steps):
        # Must be a generator function: Keras checks the type.
        others = itertools.islice(self._batches, steps - 1)
        count = 0
        for batch in itertools.chain([first], others):
            count += 1
            yield self._part(self._weighted(_unpacked(batch)))
        self.is_exhausted = count < steps

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
        x, y, *weight = (*batch, None) if len(batch) == 1 else batch
        if y is None:
            raise ValueError(
                "class_weight: expected labels in each batch of the training data, got "
                "inputs alone."
            )
        return x, y, self.weights(y, *weight)


def fetched(dataset, order):
    """The batches of a `PyDataset` in this order, made ahead by its workers if it has any."""
    if dataset.workers < (1 if dataset.use_multiprocessing else 2):
        yield from map(dataset.__getitem__, order)
        return
    get, ahead = dataset.__getitem__, collections.deque()
    pool: Executor = ThreadPoolExecutor(dataset.workers)
    if dataset.use_multiprocessing:  # each process is given the data once
        pool = ProcessPoolExecutor(dataset.workers, None, _keep, (dataset,))
        get = _kept_batch
    try:
        for number in order:
            ahead.append(pool.submit(get, number))
            if len(ahead) >= max(dataset.max_queue_size, dataset.workers):
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _sliceable(array):
    """The array; a sparse tensor of TensorFlow, which has no slices, as a dense one."""
    return array if hasattr(array, "__getitem__") else as_numpy(array)


_kept: Any = None  # of a process of a pool: its data


def _keep(dataset):
    global _kept
    _kept = dataset


def _kept_batch(number):
    return _kept[number]


def _unpacked(batch):
    """A batch as a tuple: PyTorch's data loaders give lists."""
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
