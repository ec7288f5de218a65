"""How channels pass through an operation that no rule describes: found by running it.

What each output position depends on is seen by changing half of the channels at a time.
This suggests which positions of which output axis belong to which channels. The suggestion
then has to hold: run on inputs whose cut channels have their fill values, and on inputs
without these channels, the operation must give the same values for all that stays. Channels
for which it does not are pinned.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np

from nestrade_lib.dependency.labels import Axis, Channels
from nestrade_lib.dependency.observation.edits import combinations
from nestrade_lib.dependency.observation.probe import DRAWS, Probe, Unobservable
from nestrade_lib.dependency.observation.reach import Source, coarser, suggestions
from nestrade_lib.dependency.observation.removal import Removal

__all__ = ["Observation", "observe"]

_TRIES = 60  # sets of edits tried for a cut


@dataclass
class Observation:
    """What an operation does with channels.

    ``outputs`` are its tensors (``None``: it did not run). The labels of each pair in
    ``merges`` live and die together, position by position. Those of ``pins`` are never
    cut; the reason ends the sentence "it ...". ``edits`` follow each cut.
    """

    outputs: list | None
    merges: list = field(default_factory=list)
    pins: list = field(default_factory=list)
    edits: list = field(default_factory=list)
    choices: int = 1


def observe(operation, args, kwargs, axes, choice=0):
    """Find out how channels pass through an operation without weights.

    ``args`` and ``kwargs`` are those of its call in a network, each tensor a
    ``keras.KerasTensor``; ``axes`` has a tuple for each of these, in the order of
    ``keras.tree.flatten((args, kwargs))``: an ``Axis`` or ``None`` for each dimension.
    Where channels may lie along one of several axes of an output (``choices`` of them), it
    is the one of number ``choice``. It runs in inference mode, in float64 where its code
    allows; what is found has to hold in training mode too.
    """
    labels = [axis.labels for each in axes for axis in each if axis is not None]
    known = np.unique(np.concatenate([np.array([], int), *labels]))
    known = known[known >= 0]
    try:
        return _Observer(Probe(operation, args, kwargs, axes), known).observe(choice)
    except Unobservable as reason:
        return Observation(None, pins=[(known, str(reason))] if len(known) else [])


class _Observer:
    """One observation under way; ``known`` are the labels that have nodes."""

    def __init__(self, probe, known):
        self.probe, self.known = probe, known
        self.sources = [
            Source(n, number, self._nodes_of(axis.labels), axis.fill)
            for n, axes in enumerate(probe.axes)
            for number, axis in enumerate(axes)
            if axis is not None and (axis.labels >= 0).any()
        ]
        self.shapes = self._output_shapes()
        self.removal = Removal(probe, self.sources, self._nodes_of)

    def observe(self, choice):
        """The reading under which most channels can be cut, and what it says."""
        if not self.sources:
            return Observation([self._plain(shape) for shape in self.shapes])
        readings = list(
            suggestions(self.probe, self.sources, len(self.known), self.shapes, choice)
        )
        reasons = []
        for reading in readings:
            reason, edits = self._removable(reading, reading.channels)
            if reason is None:
                return self._result(reading, reading.channels, edits, reason)
            reasons.append(reason)
        for reading in coarser(self.sources, readings[0]):
            if self._difference(reading, reading.channels) is None:
                return self._result(reading, reading.channels, [], None)
        parts = [self._removable_parts(reading) for reading in readings]
        sizes = [
            np.isin(reading.root[: len(self.known)], channels).sum()
            for reading, (channels, _) in zip(readings, parts)
        ]
        best = int(np.argmax(sizes))
        return self._result(readings[best], *parts[best], reasons[0])

    def _difference(self, reading, channels, edits=()):
        """Why removing any of these channels is no cut, in inference or in training."""
        reason = self.removal.difference(reading, channels, edits)
        if reason is None and len(channels):
            reason = self.removal.difference_in_training(reading, channels, edits)
        return reason

    def _removable(self, reading, channels):
        """Why these channels cannot be cut (``None``: they can), and the edits it takes."""
        reason = self._difference(reading, channels)
        if reason is None:
            return None, []
        axes = [self._labels(reading.root[source.nodes]) for source in self.sources]
        axes += [self._labels(reading.along(place)) for place in reading.places]
        tries = itertools.islice(combinations(self.probe.call, axes), _TRIES)
        for edits in tries:
            if self._difference(reading, channels, edits) is None:
                return None, edits
        return reason, []

    def _removable_parts(self, reading):
        """Channels of some sources, or those that fill with zero, where not all can go."""
        found, edits = [], []
        for source in self.sources:
            roots = reading.root[source.nodes]
            other = np.unique(roots[source.fill != 0])
            own = np.intersect1d(roots, reading.channels)
            for channels in (own, np.setdiff1d(own, other)):
                if len(channels) in (0, len(reading.channels)):
                    continue  # there are none, or they have failed
                reason, more = self._removable(reading, channels)
                if reason is None:
                    found.append(channels)
                    taken = {edit.place for edit in edits}
                    edits += [edit for edit in more if edit.place not in taken]
                    break
        channels = np.unique(np.concatenate([np.array([], int), *found]))
        if len(found) > 1 and self._difference(reading, channels, edits):
            return channels[:0], []
        return channels, edits

    def _result(self, reading, channels, edits, reason):
        roots = reading.root[: len(self.known)]
        cut = np.isin(roots, channels)
        never = roots == reading.root[len(self.known)]
        pins = []
        if never.any():
            pins.append(
                (self.known[never], "joins it with channels that are never cut")
            )
        if (~cut & ~never).any():
            pins.append((self.known[~cut & ~never], reason))
        joined = cut & (roots != np.arange(len(roots)))
        merges = [(self.known[joined], self.known[roots[joined]])]
        outputs = [self._plain(shape) for shape in self.shapes]
        if len(channels):
            fills = self.removal.fills(reading, channels)
            for output, axis in reading.places:
                roots = reading.along((output, axis))
                roots = np.where(np.isin(roots, channels), roots, -1)
                if (roots >= 0).any():
                    fill = np.where(roots >= 0, fills[output, axis], np.nan)
                    axes = list(outputs[output].axes)
                    axes[axis] = Axis(self._labels(roots), fill)
                    outputs[output] = Channels(outputs[output].shape, tuple(axes))
        merges = merges if joined.any() else []
        return Observation(outputs, merges, pins, edits, reading.choices)

    def _plain(self, shape):
        return Channels(shape, (None,) * len(shape))

    def _labels(self, roots):
        """The label that a root stands for, -1 for what is never cut."""
        labels = np.append(self.known, -1)
        return labels[np.where(roots < 0, len(self.known), roots)]

    def _nodes_of(self, labels):
        nodes = np.searchsorted(self.known, labels)
        return np.where(labels >= 0, nodes, len(self.known))

    def _output_shapes(self):
        """The length of each output axis, ``None`` where it is not the same at each size."""
        runs = []
        for size in range(len(self.probe.sizes)):
            arrays = self.probe.draw(np.random.default_rng(0), DRAWS[0], size)
            runs.append([y.shape for y in self.probe.run(arrays)])
        if any(list(map(len, shapes)) != list(map(len, runs[0])) for shapes in runs):
            raise Unobservable("gives out tensors of other ranks at other sizes")
        return [
            tuple(n[0] if len(set(n)) == 1 else None for n in zip(*shapes))
            for shapes in zip(*runs)
        ]
