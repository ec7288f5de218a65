"""Operations that only move elements: each output element is an input element, or constant."""

import numpy as np

from nestrade_lib.dependency.observation.probe import DRAWS


def movement(probe, source):
    """As `reach`, exactly and in two runs; ``None`` where elements are not only moved."""
    rng = np.random.default_rng(0)
    arrays = probe.draw(rng, DRAWS[0])
    tensor = arrays[source.tensor]
    if tensor.dtype.kind != "f" or not tensor.size:
        return None
    runs = []
    for negative in (0, 0.5):  # a second time with numbers of both signs
        order = rng.permutation(tensor.size)
        values = ((1 + np.arange(tensor.size)) / (1 + tensor.size) - negative)[order]
        values = values.astype(tensor.dtype)
        arrays[source.tensor] = values.reshape(tensor.shape)
        outputs, ranks = probe.run(arrays), np.argsort(values)
        runs.append([(y, _origins(y, values, ranks)) for y in outputs])
    rows = []
    for (one, origins), (two, again) in zip(*runs):
        if one.shape != two.shape:
            return None
        constant = one == two
        if not ((origins == again) & (origins >= 0) | constant).all():
            return None
        rows.append(_rows(np.where(constant, -1, origins), tensor.shape, source))
    return rows


def _origins(array, values, ranks):
    """Which of some distinct values each element is, -1 where it is none of them."""
    place = np.searchsorted(values, array, sorter=ranks)
    place = ranks[np.minimum(place, len(values) - 1)]
    return np.where(values[place] == array, place, -1)


def _rows(origins, shape, source):
    """For each output axis, which of the source's positions lie at each of its own."""
    if not origins.ndim:
        return []
    moved = np.nonzero(origins >= 0)
    channels = np.unravel_index(origins[moved], shape)[source.number]
    rows = []
    for axis, length in enumerate(origins.shape):
        rows.append(np.zeros((length, len(source.nodes)), bool))
        rows[-1][moved[axis], channels] = True
    return rows
