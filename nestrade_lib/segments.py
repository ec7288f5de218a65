"""An epoch in pieces: cuts fall anywhere, data and callbacks see whole epochs.

Keras trains by ``fit``. A cut needs a new network in the middle of an epoch, so the
trainer calls ``fit`` once a piece. :class:`Source` hands out each piece's batches,
so that an epoch sees every sample once whatever its pieces. Callbacks see whole epochs
by ``relay.py``.
"""

import itertools
import math

import keras
import numpy as np

from nestrade_lib.arrays import map_arrays
from nestrade_lib.scaling.engine import Engine


class Source:
    """Training data of any kind that Keras' ``fit`` takes, in pieces.

    Parameters
    ----------
    x, y, sample_weight
        As for ``fit``: arrays (nested too), `tf.data`, `PyDataset`, a generator.
    batch_size : int, optional
        For arrays; 32 by default, as in Keras.
    shuffle : bool
        Draw a new order of the arrays each epoch.
    steps_per_epoch : int, optional
        Needed for data of unknown length.
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
    >>> source.take(2)["x"].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    >>> source.take(1)["x"].tolist()
    [8.0, 9.0]
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
        self.is_arrays = _is_arrays(x)
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.seed = int(self.engine.from_chief([np.random.randint(2**31 - 1)])[0])
        if self.is_arrays:
            self.samples = _check_arrays(x, y, sample_weight)
            self._asked = steps_per_epoch or math.inf
            self.batch_size = batch_size or 32
        else:
            self.batch_size = None
            self.steps = steps_per_epoch or _length(x)
        self._batches = None

    @property
    def batch_size(self):
        return self._batch_size

    @batch_size.setter
    def batch_size(self, size):
        if self.is_arrays:
            self.engine.check_batch(size)
            many = self.engine.replicas > 1
            steps = (math.floor if many else math.ceil)(self.samples / size)
            if steps == 0:
                raise ValueError(
                    f"{self.samples} samples are fewer than a global batch of {size}, "
                    f"which {self.engine.replicas} replicas share. Take a smaller "
                    "batch_size, or more samples."
                )
            self.steps = min(self._asked, steps)
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
        elif _is_reiterable(self.x):
            batch = next(iter(self.x))
        else:
            return None
        batch = batch if isinstance(batch, tuple) else (batch, None)
        return map_arrays(lambda a: _numpy(a[:most]), tuple(batch[:2]))

    def start_epoch(self, epoch):
        """Begin an epoch: its order, or a new pass over the data.

        Parameters
        ----------
        epoch : int
        """
        if self.is_arrays:
            self._order = np.arange(self.samples)
            if self.shuffle:
                np.random.default_rng([self.seed, epoch]).shuffle(self._order)
            self._position = 0
        elif isinstance(self.x, keras.utils.PyDataset):
            self._batches = (self.x[i] for i in range(len(self.x)))
        elif _is_reiterable(self.x):
            self._batches = iter(self.x)
        elif self._batches is None:
            self._batches = iter(self.x)

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
            if not _is_reiterable(self.x):
                for _ in itertools.islice(self._batches, self.steps):
                    pass
            elif not isinstance(self.x, keras.utils.PyDataset):
                next(self._batches)  # a seeded shuffle draws its next order
            self.end_epoch()

    def take(self, steps):
        """Give the next batches as arguments for ``fit``.

        Parameters
        ----------
        steps : int

        Returns
        -------
        dict
            ``x``, ``y`` and what else ``fit`` needs to train exactly on these.
        """
        if not self.is_arrays:
            batches = itertools.islice(self._batches, steps)
            # Keras knows a generator by its type.
            weighted = (self._part(self._weighted(batch)) for batch in batches)
            return {"x": weighted, "steps_per_epoch": steps}
        stop = self._position + steps * self.batch_size
        rows = self._order[self._position : stop]
        self._position = stop
        if self.engine.workers > 1:
            batches = rows.reshape(-1, self.batch_size)
            rows = np.concatenate([self.engine.part(batch) for batch in batches])

        given = self.x, self.y, self.sample_weight
        x, y, weight = map_arrays(lambda a: _rows(a, rows), given)
        return {
            "x": x,
            "y": y,
            "sample_weight": self._weights(y, weight),
            "batch_size": self.batch_size,
            "shuffle": False,
        }

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
            return batch if isinstance(batch, tuple) else (batch,)
        x, y, *weight = batch
        return x, y, self._weights(y, *weight)

    def _weights(self, y, sample_weight=None):
        """Class weights as weights of samples: not all loops of Keras take the former."""
        if self.class_weight is None:
            return sample_weight
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


def _is_arrays(x):
    leaves = keras.tree.flatten(x)
    return bool(leaves) and all(
        hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves
    )


def _is_reiterable(x):
    return hasattr(x, "__iter__") and not hasattr(x, "__next__")


def _length(x):
    try:
        length = len(x)
    except TypeError:
        length = -1
    if length <= 0:
        raise ValueError(
            f"The training data ({type(x).__name__}) is empty or does not tell how many "
            "batches it has. Pass steps_per_epoch=."
        )
    return length


def _check_arrays(x, y, sample_weight):
    named = {"x": x, "y": y, "sample_weight": sample_weight}
    lengths = {}
    for name, values in named.items():
        if values is None:
            continue
        for leaf in keras.tree.flatten(values):
            lengths.setdefault(name, len(leaf))
            if len(leaf) != lengths["x"] or len(leaf) == 0:
                shapes = {
                    key: [tuple(a.shape) for a in keras.tree.flatten(value)]
                    for key, value in named.items()
                    if value is not None
                }
                raise ValueError(
                    "Expected arrays of the same, non-zero number of samples, got "
                    f"shapes {shapes}."
                )
            values_array = _numpy(leaf)
            if values_array.dtype.kind == "f" and not np.isfinite(values_array).all():
                raise ValueError(
                    f"{name} holds {int((~np.isfinite(values_array)).sum())} numbers "
                    "that are not finite. Remove or replace them before training."
                )
    return lengths["x"]
