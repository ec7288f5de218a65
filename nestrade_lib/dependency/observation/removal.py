"""The decisive experiment: channels at their fill values against channels removed."""

import itertools

import numpy as np

from nestrade_lib.dependency.observation.probe import DRAWS, Unobservable
from nestrade_lib.dependency.observation.reach import codes, reach


class Removal:
    """Runs of a probe in which some channels are missing.

    ``nodes`` turns labels into the nodes of a suggestion.
    """

    def __init__(self, probe, sources, nodes):
        self.probe, self.sources, self.nodes = probe, sources, nodes

    def difference(self, suggestion, channels, edits=()):
        """Why removing any of these channels is no cut (``None``: it is one)."""
        finite = False
        for trial, draw in enumerate(DRAWS):  # in few shapes: JAX compiles for each
            size = trial % len(self.probe.sizes)
            rng = np.random.default_rng(trial // 2)  # each half, then the other
            order = rng.permutation(channels)[:: (1, -1)[trial % 2]]
            kept = self._mask(rng, suggestion, order[: (len(order) + 1) // 2])
            arrays = self._filled(rng, draw, size, kept)
            expected = self.probe.run(arrays)
            try:
                found = self.without(arrays, kept, edits)
            except Unobservable as reason:
                return f"{reason}, once some of them are removed"
            if not self._same(suggestion, kept, expected, found):
                return "gives other values for the rest once some are removed"
            finite |= np.array([np.isfinite(y).any() or not y.size for y in found])
        return None if np.all(finite) else "gives no finite number"

    def difference_in_training(self, suggestion, channels, edits=()):
        """Why it is no cut in training mode (``None``: it is one).

        A layer that draws a random number for each channel draws others for fewer: of its
        outputs only the shapes are compared, and what they depend on.
        """
        if not self.probe.has_training_mode:
            return None
        codings = [codes(len(source.nodes)) for source in self.sources]
        before = list(map(reach, itertools.repeat(self.probe), self.sources, codings))
        with self.probe.in_training() as is_random:
            try:
                self.probe.require_repeatable()
                if not is_random:
                    return self.difference(suggestion, channels, edits)
                for source, coding, one in zip(self.sources, codings, before):
                    for axes, others in zip(one, reach(self.probe, source, coding)):
                        if any((b & ~a).any() for a, b in zip(axes, others)):
                            return "mixes channels in training"
                return self._misfit(suggestion, channels, edits)
            except Unobservable as reason:
                return f"{reason} in training"

    def _misfit(self, suggestion, channels, edits):
        """Why the outputs on fewer channels have other shapes than expected."""
        rng = np.random.default_rng(0)
        kept = self._mask(rng, suggestion, channels[: (len(channels) + 1) // 2])
        arrays = self.probe.draw(rng, DRAWS[0])
        expected = _staying(suggestion, kept, self.probe.run(arrays))
        shapes = [y.shape for y in self.without(arrays, kept, edits)]
        if shapes != [y.shape for y in expected]:
            return "gives out other shapes in training once some are removed"
        return None

    def fills(self, suggestion, channels):
        """What each position of the output axes holds once its channel is cut.

        By (output, axis); NaN where that is no constant.
        """
        bounds = {
            place: np.full((2, ids.stop - ids.start), -np.inf)  # of -values and values
            for place, ids in suggestion.places.items()
        }
        for turn, half in enumerate(codes(len(channels))):
            kept = np.ones(len(suggestion.root), bool)
            kept[channels[half]] = False
            kept = kept[suggestion.root]
            for trial, draw in enumerate(DRAWS[:3]):
                size = trial % len(self.probe.sizes)
                rng = np.random.default_rng(100 * turn + trial)
                outputs = self.probe.run(self._filled(rng, draw, size, kept))
                for (output, axis), bound in bounds.items():
                    gone = ~kept[suggestion.places[output, axis]]
                    values = np.moveaxis(outputs[output], axis, 0)[gone].astype(float)
                    others = tuple(range(1, values.ndim))
                    for sign, row in zip((-1, 1), bound):
                        most = (sign * values).max(axis=others, initial=-np.inf)
                        row[gone] = np.maximum(row[gone], most)
        with np.errstate(invalid="ignore"):
            return {
                place: np.where(
                    low + high <= 1e-9 * np.maximum(1, abs(high)), high + 0.0, np.nan
                )
                for place, (low, high) in bounds.items()
            }

    def _mask(self, rng, suggestion, dropped):
        """Which nodes and output positions stay; some do on every axis."""
        axes = [suggestion.root[source.nodes] for source in self.sources]
        axes += [suggestion.root[place] for place in suggestion.places.values()]
        kept = np.ones(len(suggestion.root), bool)
        kept[dropped] = False
        for roots in axes:
            if not kept[roots].any():
                kept[rng.choice(roots)] = True
        return kept[suggestion.root]

    def _filled(self, rng, draw, size, kept):
        """Random inputs with the fill values of channels that do not stay, where known."""
        arrays = self.probe.draw(rng, draw, size)
        for source in self.sources:
            places = ~kept[source.nodes] & ~np.isnan(source.fill)
            array = np.moveaxis(arrays[source.tensor], source.number, -1)
            array[..., places] = source.fill[places]
        return arrays

    def without(self, arrays, kept, edits):
        """Its outputs on inputs without the channels that do not stay."""
        arrays = list(arrays)
        for source in self.sources:
            arrays[source.tensor] = np.compress(
                kept[source.nodes], arrays[source.tensor], source.number
            )
        return self.probe.run(arrays, edits, lambda labels: kept[self.nodes(labels)])

    def _same(self, suggestion, kept, expected, found):
        """Whether outputs on fewer channels are those on all, without those channels."""
        expected = _staying(suggestion, kept, expected)
        return len(expected) == len(found) and all(map(_equal, expected, found))


def _staying(suggestion, kept, outputs):
    """The outputs without the channels that do not stay."""
    outputs = list(outputs)
    for output, axis in suggestion.places:
        stays = kept[suggestion.places[output, axis]]
        outputs[output] = np.compress(stays, outputs[output], axis)
    return outputs


def _equal(one, other):
    if one.shape != other.shape:
        return False
    # Some operations compute in float32 whatever they are given (a mean on PyTorch).
    precision = 1e-6 if other.dtype == np.float64 else 1e-4
    with np.errstate(all="ignore"):
        scale = np.abs(one[np.isfinite(one)]).max(initial=0)
        return np.allclose(one, other, precision, precision * scale, equal_nan=True)
