"""Integer channel labels: what every axis of every tensor carries.

An axis is either plain (``None``: batch, time, height, anything never cut)
or it carries one label a position. Labels that are merged live and die
together; labels that are pinned are never cut.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Axis:
    """The labels along one axis, and what a slice holds once its channel is cut.

    Attributes
    ----------
    labels : ndarray of int, shape (length,)
    rest : ndarray of float, shape (length,)
        The constant that fills a slice when the slices that produce its channel
        are zero: 0 after a convolution, 0.5 after a sigmoid, NaN where it is
        not one constant.
    """

    labels: np.ndarray
    rest: np.ndarray

    def __len__(self):
        return len(self.labels)

    def resting(self, rest):
        """The same labels with other resting values; an infinite one is no constant."""
        rest = np.broadcast_to(rest, self.labels.shape)
        return Axis(self.labels, np.where(np.isfinite(rest), rest, np.nan))

    def take(self, positions):
        """The axis at some of its positions, in that order."""
        return Axis(self.labels[positions], self.rest[positions])


@dataclass(frozen=True)
class Channels:
    """A tensor as the rules see it: its shape and one ``Axis`` or ``None`` a dimension."""

    shape: tuple
    axes: tuple

    def plain(self):
        """The same tensor with no channels at all."""
        return Channels(self.shape, (None,) * len(self.shape))


@dataclass
class Labels:
    """All labels of one trace, with the merges and pins met on the way."""

    count: int = 0
    pairs: list = field(default_factory=list)
    pins: list = field(default_factory=list)

    def fresh(self, length):
        labels = np.arange(self.count, self.count + length)
        self.count += length
        return Axis(labels, np.zeros(length))

    def merge(self, one, other):
        if one is not other:
            self.pairs.append((one, other))

    def pin(self, labels, reason):
        if len(labels):
            self.pins.append((labels, reason))

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
    """An axis never cut, spelled out: label -1, and no resting value known."""
    return Axis(np.full(length, -1), np.full(length, np.nan))


def join(axes, lengths):
    """Axes laid end to end, or ``None`` where all are plain or a length is unknown."""
    if all(axis is None for axis in axes) or None in lengths:
        return None
    parts = [
        plain(length) if axis is None else axis for axis, length in zip(axes, lengths)
    ]
    return Axis(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.rest for part in parts]),
    )
