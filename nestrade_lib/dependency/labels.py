"""Integer channel labels: what every axis of every tensor carries.

An axis is either plain (``None``: batch, time, height, anything never cut)
or it carries one label a position. Labels that are merged live and die
together; labels that are pinned are never cut.
"""

from dataclasses import dataclass, field

import keras
import numpy as np

from nestrade_lib.checks import is_whole, require


@dataclass(frozen=True)
class Axis:
    """The labels along one axis, and what a slice holds once its channel is cut.

    Attributes
    ----------
    labels : ndarray of int, shape (length,)
    fill : ndarray of float, shape (length,)
        The constant that fills a slice when the slices that produce its channel
        are zero: 0 after a convolution, 0.5 after a sigmoid, NaN where it is
        not one constant.
    """

    labels: np.ndarray
    fill: np.ndarray

    def __len__(self):
        return len(self.labels)

    def with_fill(self, fill):
        """The same labels with other fill values; an infinite one is no constant."""
        fill = np.broadcast_to(fill, self.labels.shape)
        return Axis(self.labels, np.where(np.isfinite(fill), fill, np.nan))

    def take(self, positions):
        """The axis at some of its positions, in that order."""
        return Axis(self.labels[positions], self.fill[positions])


@dataclass(frozen=True)
class Channels:
    """A tensor as the rules see it: its shape and one ``Axis`` or ``None`` a dimension."""

    shape: tuple
    axes: tuple
    dtype: str = "float32"

    def __getitem__(self, dimensions):
        """Some of its dimensions, by a slice or by their numbers."""
        if isinstance(dimensions, slice):
            dimensions = range(len(self.shape))[dimensions]
        shape = tuple(self.shape[n] for n in dimensions)
        return Channels(shape, tuple(self.axes[n] for n in dimensions), self.dtype)

    @property
    def has_channels(self):
        """Whether any position of it may be cut."""
        return any(axis is not None and (axis.labels >= 0).any() for axis in self.axes)

    @property
    def spec(self):
        """The same tensor as Keras describes one."""
        return keras.KerasTensor(self.shape, self.dtype)


def without_channels(tensor):
    """A tensor of Keras or its backend as the rules see it, nothing of it to be cut."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return Channels(tuple(tensor.shape), (None,) * len(tensor.shape), dtype)


def sized(tensors, shapes=None):
    """Symbolic tensors, with the sizes that shapes of one sample give to open axes."""
    own = [tuple(x.shape[1:]) for x in tensors]
    shapes = own if shapes is None else shapes
    is_list = isinstance(shapes, (list, tuple)) and len(shapes) == len(own)
    fits = is_list and all(map(_fits, own, shapes))
    require(fits, "input_shape", f"what fits {own}, of one sample", shapes)
    return [
        keras.KerasTensor((x.shape[0], *shape), x.dtype, name=x.name)
        for x, shape in zip(tensors, shapes)
    ]


def _fits(own, shape):
    is_long = isinstance(shape, (list, tuple)) and len(own) == len(shape)
    return is_long and all(
        n == m or n is None and is_whole(m) for n, m in zip(own, shape)
    )


@dataclass
class Labels:
    """All labels of one trace, with the merges and pins met on the way.

    ``made`` lists those of each new axis. After a cut, ``earlier`` lists the group of each
    position of these axes: positions of one group have one label again.
    """

    count: int = 0
    pairs: list = field(default_factory=list)
    pins: list = field(default_factory=list)
    made: list = field(default_factory=list)
    earlier: list = field(default_factory=list)
    label_of_group: dict = field(default_factory=dict)

    def fresh(self, length):
        labels = np.arange(self.count, self.count + length)
        self.count += length
        earlier = self.earlier[len(self.made) :][:1]
        if earlier and len(earlier[0]) == length:
            labels = np.array(
                [
                    self.label_of_group.setdefault(group, label)
                    if group >= 0
                    else label
                    for group, label in zip(earlier[0].tolist(), labels.tolist())
                ]
            )
        self.made.append(labels)
        return Axis(labels, np.zeros(length))

    def merge(self, one, other):
        if one is not other:
            self.pairs.append((one, other))

    def pin(self, labels, layer, reason):
        if len(labels):
            self.pins.append((labels, layer, reason))

    def components(self):
        """Which labels are one channel: the least label of each merged set.

        Returns
        -------
        ndarray of int, shape (count,)
        """
        root = np.arange(self.count)
        if not self.pairs:
            return root
        left = np.concatenate([one for one, _ in self.pairs])
        right = np.concatenate([other for _, other in self.pairs])
        while True:
            least = np.minimum(root[left], root[right])
            np.minimum.at(root, root[left], least)
            np.minimum.at(root, root[right], least)
            while True:
                deeper = root[root]
                if np.array_equal(deeper, root):
                    break
                root = deeper
            if np.array_equal(root[left], root[right]):
                return root


def plain(length):
    """An axis never cut, spelled out: label -1, and no known fill value."""
    return Axis(np.full(length, -1), np.full(length, np.nan))


def refill(axis, fill):
    """The axis with the fill values ``fill(old values)``; a plain axis stays plain."""
    return None if axis is None else axis.with_fill(fill(axis.fill))


def refill_all(axes, fill):
    """Every axis of a tensor refilled."""
    return tuple(refill(axis, fill) for axis in axes)


def unknown(fill):
    """No value is constant any more."""
    return np.nan


def zero_or_unknown(fill):
    """Zero stays zero, and any other value is constant no more."""
    return np.where(fill == 0, 0.0, np.nan)


def repeat_each(axis, times):
    """The axis with every position repeated in place; a plain axis stays plain."""
    if axis is None:
        return None
    return axis.take(np.repeat(np.arange(len(axis)), times))


def join(axes, lengths):
    """Axes laid end to end, or ``None`` where all are plain or a length is unknown."""
    if all(axis is None for axis in axes) or None in lengths:
        return None
    parts = [
        plain(length) if axis is None else axis for axis, length in zip(axes, lengths)
    ]
    return Axis(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.fill for part in parts]),
    )
