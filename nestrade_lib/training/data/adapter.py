"""What adapters of arrays and of streams share."""

import keras
import numpy as np

from nestrade_lib.engines.engine import Engine


class DataAdapter:
    """Training data in pieces; made by :func:`nestrade_lib.training.data.data_adapter`.

    Attributes
    ----------
    steps : int
        Batches per epoch.
    batch_size : int or None
        Of arrays.
    held_out : tuple or None
        Validation data ``(x, y, sample_weight)``, with `validation_split`.
    is_exhausted : bool
        Whether a generator has ended before its time.
    seed : int
        Of the orders in which data are shuffled, drawn from NumPy's global generator.
        The order of a pass depends on it and on the pass's number alone.
    """

    is_arrays = False
    batch_size = held_out = None
    is_exhausted = False

    def __init__(self, shuffle=True, class_weight=None, engine=None):
        self.engine = engine or Engine()
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.seed = int(self.engine.broadcast([np.random.randint(2**31 - 1)])[0])

    # What each kind does in its own way ----------------------------------------

    def sample(self, most=16):
        """Inputs and labels of a few samples; None of a generator, which would lose them."""
        raise NotImplementedError

    def not_finite(self):
        """A sentence on numbers in the data that are not finite, where that is known."""
        return ""

    def start_epoch(self, epoch):
        """Begin an epoch: its order, or a new pass over the data."""
        raise NotImplementedError

    def take(self, steps):
        """The next batches as arguments for ``fit``; None where a generator has ended."""
        raise NotImplementedError

    def advance(self, steps):
        """Pass over the first batches of an epoch, as it starts."""
        raise NotImplementedError

    def fingerprint(self):
        """What tells whether an epoch that starts is one of before; empty if it must be."""
        return ""

    def peek(self):
        """The global batch that comes next, which stays where it is; None at the end."""
        raise NotImplementedError

    def preview(self, samples):
        """The first samples of an epoch, as it starts, in batches that one device can hold."""
        raise NotImplementedError

    def end_epoch(self):
        """Let the data know that their epoch is over."""

    def skip(self, epochs):
        """Pass over epochs that a run before this one has trained on."""

    def learn_from(self, teacher):
        """Let batches bring a teacher's answers along, where they are known ahead."""

    # What both do alike --------------------------------------------------------

    def order_of(self, number, count):
        """The places of one pass over the data, in its order."""
        order = np.arange(count)
        if self.shuffle:
            np.random.default_rng([self.seed, number]).shuffle(order)
        return order

    def weights(self, y, sample_weight=None):
        """Class weights as weights of samples: not all loops of Keras take the former."""
        if self.class_weight is None:
            return sample_weight
        if len(keras.tree.flatten(y)) > 1:
            raise ValueError(
                "class_weight: expected a network with one output, got labels of "
                f"{len(keras.tree.flatten(y))}. Pass a sample_weight for each."
            )
        labels = as_numpy(y)
        if labels.ndim > 1:
            is_one_hot = labels.shape[-1] > 1
            labels = labels.argmax(axis=-1) if is_one_hot else labels[..., 0]
        if labels.ndim != 1:
            raise ValueError(
                "class_weight: expected one label per sample, got labels of shape "
                f"{tuple(as_numpy(y).shape)}. Pass sample_weight, one per label, instead."
            )
        classes, which = np.unique(np.round(labels), return_inverse=True)
        of_class = [self.class_weight.get(int(c), 1.0) for c in classes]
        weights = np.array(of_class, "float32")[which]
        return weights if sample_weight is None else weights * as_numpy(sample_weight)


def one_by_one(batches, steps):
    """Batches of a generator as arguments for ``fit``."""
    return {"x": batches, "steps_per_epoch": steps, "shuffle": False}


def as_numpy(x):
    """An array of any backend as NumPy's."""
    return keras.ops.convert_to_numpy(x)
