"""An epoch in pieces: cuts fall anywhere, data and callbacks see whole epochs.

Keras trains by ``fit``. A cut needs a new network in the middle of an epoch, so the
trainer calls ``fit`` once a piece. :class:`Source` hands out each piece's batches,
so that an epoch sees every sample once whatever its pieces. Callbacks see whole epochs
by `relay`.
"""

import itertools
import math

import keras
import numpy as np

from nestrade_lib.arrays import map_arrays
from nestrade_lib.distillation import Taught
from nestrade_lib.fitting.inputs import (
    check_arrays,
    check_nothing_beside,
    count_batches,
    is_arrays,
    is_reiterable,
    require_length,
    unpacked,
)
from nestrade_lib.scaling.engine import Engine


class Source:
    """Training data of any kind that Keras' ``fit`` takes, in pieces.

    Parameters
    ----------
    x, y, sample_weight
        As for ``fit``: arrays (nested too), `tf.data`, `PyDataset`, PyTorch's
        `DataLoader`, a generator.
    batch_size : int, optional
        For arrays; 32 by default, as in Keras.
    shuffle : bool
        Draw a new order of the arrays each epoch.
    steps_per_epoch : int, optional
        Needed for data that do not tell their length. With fewer than the data have, each epoch
        goes on where the one before it ended, and the data begin again where they end.
    class_weight : dict of int to float, optional
        Loss weight of each class; 1 where one is missing.
    engine : nestrade_lib.scaling.Engine
        Replicas share each batch equally. Where there are several, an epoch of arrays
        has whole batches only: the samples left over come in other epochs, in whose
        order they stand elsewhere.

    Attributes
    ----------
    steps : int
        Batches an epoch.
    samples : int
        Of arrays.
    is_exhausted : bool
        Whether a generator has ended before its time.
    seed : int
        Of the orders in which arrays are shuffled, drawn from NumPy's global generator.
        The order of an epoch depends on it and on the epoch's number alone.

    Raises
    ------
    ValueError
        If the data are empty, their lengths differ or are unknown, or numbers in
        them are not finite.

    Examples
    --------
    >>> source = Source(np.arange(10.0), np.arange(10), batch_size=4, shuffle=False)
    >>> source.steps
    3
    >>> source.start_epoch(0)
    >>> [y.tolist() for x, y in source.take(2)["x"]]
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    >>> [y.tolist() for x, y in source.take(1)["x"]]
    [[8, 9]]
    """

    def __init__(
        self,
        x,
        y=None,
        sample_weight=None,
        batch_size=None,
        shuffle=True,
        steps_per_epoch=None,
        class_weight=None,
        engine=None,
    ):
        self.engine = engine or Engine()
        self.x, self.y, self.sample_weight = x, y, sample_weight
        self.is_arrays = is_arrays(x)
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.seed = int(self.engine.from_chief([np.random.randint(2**31 - 1)])[0])
        self.is_exhausted = False
        if self.is_arrays:
            batch_size = batch_size or 32
            self.samples = check_arrays(x, y, sample_weight)
            asked = (steps_per_epoch or math.inf) * batch_size
            self.rows = min(asked, self.samples)  # of an epoch
            self.batch_size = batch_size
        else:
            check_nothing_beside(x, y=y, sample_weight=sample_weight)
            self.batch_size = None
            count = count_batches(x) if steps_per_epoch else require_length(x)
            self.steps = min(steps_per_epoch or math.inf, count or math.inf)
            self._goes_on = self.steps != count  # from one epoch into the next
        self._batches = None
        self._passes = 0
        self._teacher = self._answers = None

    @property
    def batch_size(self):
        return self._batch_size

    @batch_size.setter
    def batch_size(self, size):
        if self.is_arrays:
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
        """Give inputs and labels of a few samples, or None if none can be spared.

        Parameters
        ----------
        most : int

        Returns
        -------
        (x, y) or None
            Of NumPy arrays; a plain generator would lose what is looked at.
        """
        if self.is_arrays:
            batch = self.x, self.y
        elif isinstance(self.x, keras.utils.PyDataset):
            batch = self.x[0]
        elif is_reiterable(self.x):
            batch = next(iter(self.x))
        else:
            return None
        x, y = (*unpacked(batch), None)[:2]
        return map_arrays(lambda a: _numpy(a[:most]), (x, y))

    def learn_from(self, teacher):
        """Let batches of arrays bring a teacher's answers along, beside their labels.

        Parameters
        ----------
        teacher : nestrade_lib.distillation.Teacher or None
            Asked once for all samples.
        """
        if (
            self.is_arrays
            and self.engine.replicas == 1
            and teacher is not self._teacher
        ):
            self._teacher = teacher
            self._answers = teacher and teacher.answers_to(self.x, self.batch_size)

    def start_epoch(self, epoch):
        """Begin an epoch: its order, or a new pass over the data.

        Parameters
        ----------
        epoch : int
        """
        if self.is_arrays:
            first, offset = divmod(epoch * self.rows, self.samples)
            last = first + -(-(offset + self.rows) // self.samples)
            orders = [self._order_of(n) for n in range(first, last)]
            self._order = np.concatenate(orders)[offset : offset + self.rows]
            self._position = 0
        elif self._batches is None:
            self._batches = self._endless() if self._goes_on else self._pass()
        elif not self._goes_on and is_reiterable(self.x):
            self._batches = self._pass()

    def _order_of(self, number):
        """The samples in the order of one pass over the arrays."""
        order = np.arange(self.samples)
        if self.shuffle:
            np.random.default_rng([self.seed, number]).shuffle(order)
        return order

    def _pass(self):
        """One pass over data that are no arrays."""
        if not isinstance(self.x, keras.utils.PyDataset):
            return iter(self.x)
        self.x.on_epoch_begin()
        number, self._passes = self._passes, self._passes + 1
        count = count_batches(self.x)
        if count is None:
            return map(self.x.__getitem__, itertools.count())
        order = np.arange(count)
        if self.shuffle:
            np.random.default_rng([self.seed, number]).shuffle(order)
        return map(self.x.__getitem__, order.tolist())

    def _endless(self):
        """Pass after pass, as long as there are any."""
        again = True
        while again:
            again = False
            for batch in self._pass():
                again = is_reiterable(self.x)
                yield batch

    def end_epoch(self):
        """Tell a `PyDataset` that its epoch is over."""
        if isinstance(self.x, keras.utils.PyDataset):
            self.x.on_epoch_end()

    def skip(self, epochs):
        """Pass over epochs that a run before this one has trained on."""
        if self.is_arrays:
            return  # an order needs nothing but the number of its epoch
        for _ in range(epochs):
            self.start_epoch(0)
            if self._goes_on or not is_reiterable(self.x):
                for _ in itertools.islice(self._batches, self.steps):
                    pass
            elif not isinstance(self.x, keras.utils.PyDataset):
                next(self._batches)  # a seeded shuffle draws its next order
            self.end_epoch()

    def peek(self):
        """Give the global batch that comes next, which stays where it is.

        Returns
        -------
        tuple or None
            ``(x, y, sample_weight)`` as far as given; None where the data have ended.
        """
        if self.is_arrays:
            return self._rows_at(
                self._order[self._position : self._position + self.batch_size]
            )
        first = next(self._batches, None)
        if first is None:
            return None
        self._batches = itertools.chain([first], self._batches)
        return self._weighted(unpacked(first))

    def _rows_at(self, rows):
        given = self.x, self.y, self.sample_weight, self._answers
        x, y, weight, answers = map_arrays(lambda a: _rows(a, rows), given)
        weight = self._weights(y, weight)
        return x, y if answers is None else Taught(y, answers), weight

    def take(self, steps):
        """Give the next batches as arguments for ``fit``.

        Parameters
        ----------
        steps : int

        Returns
        -------
        dict or None
            ``x``, ``y`` and what else ``fit`` needs to train exactly on these; None
            where a generator has ended.
        """
        if not self.is_arrays:
            first = next(self._batches, None)
            self.is_exhausted = first is None
            # Each worker takes its part of what it has made by itself.
            self.engine.agree("a batch of the training data", first)
            if self.is_exhausted:
                return None
            return self._one_by_one(self._counted(first, steps), steps)
        stop = self._position + steps * self.batch_size
        rows = self._order[self._position : stop]
        self._position = stop
        if self.engine.replicas == 1:
            return self._one_by_one(self._gathered(rows, self.batch_size), steps)
        if self.engine.workers > 1:
            batches = rows.reshape(-1, self.batch_size)
            rows = np.concatenate([self.engine.part(batch) for batch in batches])
        x, y, weight = self._rows_at(rows)
        return {
            "x": x,
            "y": y,
            "sample_weight": weight,
            "batch_size": self.batch_size,
            "shuffle": False,
        }

    def _one_by_one(self, batches, steps):
        return {"x": batches, "steps_per_epoch": steps, "shuffle": False}

    def _gathered(self, rows, size):
        """Batches of arrays, each made when its turn comes: a piece may be large."""
        for start in range(0, len(rows), size):
            x, y, weight = self._rows_at(rows[start : start + size])
            if keras.backend.backend() == "tensorflow":  # lists are arrays to tf.data
                x, y, weight = keras.tree.lists_to_tuples((x, y, weight))
            if weight is not None:
                yield x, y, weight
            else:
                yield (x,) if y is None else (x, y)

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
            return self.engine.part(rows)

        return map_arrays(part, batch)

    def _weighted(self, batch):
        if self.class_weight is None:
            return batch
        x, y, *weight = batch
        return x, y, self._weights(y, *weight)

    def _weights(self, y, sample_weight=None):
        """Class weights as weights of samples: not all loops of Keras take the former."""
        if self.class_weight is None:
            return sample_weight
        if len(keras.tree.flatten(y)) > 1:
            raise ValueError(
                "class_weight: expected a network with one output, got labels of "
                f"{len(keras.tree.flatten(y))}. Pass a sample_weight for each."
            )
        labels = _numpy(y)
        if labels.ndim > 1:
            labels = labels.argmax(axis=-1) if labels.shape[-1] > 1 else labels[:, 0]
        classes, which = np.unique(labels, return_inverse=True)
        of_class = [self.class_weight.get(int(c), 1.0) for c in classes]
        weights = np.array(of_class, "float32")[which]
        return weights if sample_weight is None else weights * _numpy(sample_weight)


def _numpy(x):
    return keras.ops.convert_to_numpy(x)


def _rows(array, rows):
    if isinstance(array, np.ndarray):
        return array[rows]
    return (
        keras.ops.take(array, rows, axis=0) if hasattr(array, "dtype") else array[rows]
    )
