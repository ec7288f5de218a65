"""Sizes of many arrays at once, some of whose axes are channels that may go."""

import numpy as np


class Sizes:
    """How many elements each array has left, as a function of the groups kept.

    Parameters
    ----------
    arrays : list of (float, list of ndarray)
        For each array, its size along all fixed axes, and for each other axis the
        group of each position (-1: never cut).
    count : int
        Number of channel groups.

    Examples
    --------
    >>> sizes = Sizes([(5, [np.array([0, 1, 1, -1])])], 2)
    >>> sizes.left(np.array([True, False])), sizes.savings(np.ones(2, bool))
    (array([10.]), array([ 5., 10.]))
    """

    def __init__(self, arrays, count):
        self.count = count
        self._fixed = np.array([fixed for fixed, _ in arrays], float)
        # Each distinct axis once: its positions never cut, and (group, times) pairs.
        # The first is of length one, for arrays with fewer axes than others.
        index, never, segments, groups, times = {}, [1], [], [], []
        rank = max((len(axes) for _, axes in arrays), default=0)
        self._places = np.zeros((len(arrays), rank), int)
        for row, (_, axes) in enumerate(arrays):
            for column, axis in enumerate(axes):
                key = axis.tobytes()
                if key not in index:
                    number = index[key] = len(never)
                    unique, counts = np.unique(axis, return_counts=True)
                    cut = unique >= 0
                    never.append(counts[~cut].sum())
                    segments.append(np.full(cut.sum(), number))
                    groups.append(unique[cut])
                    times.append(counts[cut])
                self._places[row, column] = index[key]
        none = [np.zeros(0, int)]
        self._never = np.array(never, float)
        self._segments, self._groups, self._times = (
            np.concatenate(part or none) for part in (segments, groups, times)
        )

    def _factors(self, mask):
        kept = mask[self._groups] * self._times
        left = np.bincount(self._segments, kept, len(self._never))
        return (self._never + left)[self._places]

    def left(self, mask):
        """The sizes that are left (ndarray of float, one an array)."""
        return self._fixed * self._factors(mask).prod(axis=1)

    def savings(self, mask, weights=1.0):
        """What each group alone would take off ``sum(weights * left)``.

        Exact for a group that lies along one axis of each array, first order where it
        lies along two (a recurrent kernel, a residual convolution).

        Returns
        -------
        ndarray of float64, shape (count,)
        """
        factors, price = self._factors(mask), np.zeros(len(self._never))
        for column in range(factors.shape[1]):
            others = np.delete(factors, column, axis=1).prod(axis=1)
            np.add.at(price, self._places[:, column], weights * self._fixed * others)
        saved = price[self._segments] * self._times
        return np.bincount(self._groups, saved, self.count)
