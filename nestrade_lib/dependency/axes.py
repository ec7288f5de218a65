"""The lengths of many axes at once, some of whose positions are channels that may go."""

import numpy as np


class ChannelAxes:
    """Distinct axes, and how often each channel group lies along them.

    Axis 0 has length 1 and no groups: it stands where others have no axis.

    >>> axes = ChannelAxes([np.array([0, 1, 1, -1])], count=2)
    >>> axes.lengths(np.array([True, False])), axes.along(np.array([1]))
    (array([1., 2.]), array([0., 2.]))
    """

    def __init__(self, arrays, count):
        self.count = count
        self._index, never, parts = {}, [1], []
        for groups in arrays:
            key = groups.tobytes()
            if key not in self._index:
                number = self._index[key] = len(never)
                unique, times = np.unique(groups, return_counts=True)
                never.append(times[unique < 0].sum())
                pairs = unique[unique >= 0], times[unique >= 0]
                parts.append((*pairs, np.full(len(pairs[0]), number)))
        none = [np.zeros((3, 0), int)]
        groups, times, axes = np.concatenate(none + parts, axis=1)
        order = np.argsort(groups, kind="stable")
        self._never = np.array(never, float)
        self._groups, self._times, self._axes = groups[order], times[order], axes[order]
        self._starts = np.searchsorted(self._groups, np.arange(count + 1))

    def __len__(self):
        return len(self._never)

    def number(self, groups):
        """The number of an axis with these groups."""
        return self._index[groups.tobytes()]

    def lengths(self, mask):
        """The length that is left of each axis (ndarray of float)."""
        kept = mask[self._groups] * self._times
        return self._never + np.bincount(self._axes, kept, len(self))

    def along(self, groups):
        """How often some groups together lie along each axis (ndarray of float)."""
        starts, ends = self._starts[groups], self._starts[groups + 1]
        pairs = [slice(*bounds) for bounds in zip(starts.tolist(), ends.tolist())]
        axes = np.concatenate([self._axes[pair] for pair in pairs])
        times = np.concatenate([self._times[pair] for pair in pairs])
        return np.bincount(axes, times, len(self))

    def by_group(self, prices):
        """What each group is worth, at a price for each position of each axis."""
        worth = prices[self._axes] * self._times
        return np.bincount(self._groups, worth, self.count)
