"""Which channels each output position of an operation depends on, and what follows."""

import itertools
from dataclasses import dataclass

import numpy as np

from nestrade_lib.dependency.labels import Labels
from nestrade_lib.dependency.observation.movement import movement
from nestrade_lib.dependency.observation.probe import DRAWS, Unobservable


@dataclass(frozen=True)
class Source:
    """An axis of an input tensor that carries channels, with a node for each position."""

    tensor: int
    number: int
    nodes: np.ndarray
    fill: np.ndarray

    def at(self, positions):
        """The index of some of its positions in the tensor."""
        return (slice(None),) * self.number + (positions,)


class Suggestion:
    """Which channel each node and each position of an output axis may belong to.

    Nodes are the labels of the inputs, numbered anew, and one more for whatever is never
    cut. ``root`` is the first node of each channel, for nodes and then for the positions
    of output axes: those of axis ``a`` of output ``o`` at the slice ``places[o, a]``, of
    those axes that carry channels.
    """

    choices = 1

    def __init__(self, never, places, pairs, count):
        self.never, self.places, self.pairs, self.count = never, places, pairs, count
        self.root = Labels(count, pairs).components()
        roots = np.unique(self.root[:never])
        self.channels = roots[roots != self.root[never]]

    @classmethod
    def of(cls, never, sources, placements, pairs, shapes):
        """From the positions that each source reaches, by (output, axis)."""
        places, pairs, count = {}, list(pairs), never + 1
        for output, axis in sorted(
            {place for placed in placements for place in placed}
        ):
            length = shapes[output][axis]
            places[output, axis] = slice(count, count := count + length)
        ids = np.arange(count)
        for source, placed in zip(sources, placements):
            for place, rows in placed.items():
                position, channel = np.nonzero(rows)
                pairs.append((ids[places[place]][position], source.nodes[channel]))
        return cls(never, places, pairs, count)

    def with_pairs(self, pairs):
        """The same with more nodes that are one channel."""
        made = Suggestion(self.never, self.places, self.pairs + pairs, self.count)
        made.choices = self.choices
        return made

    def along(self, place):
        """The channel of each position of an output axis, -1 where it has none."""
        roots = self.root[self.places[place]]
        return np.where(roots < self.never, roots, -1)


def suggestions(probe, sources, never, shapes, choice=0):
    """Ways to read what the operation does, the most likely first.

    Where channels may lie along one of several axes, ``choice`` is the number of that one.
    """
    options, mixed, choices = [], [], 1
    for source in sources:
        likely, certain, mixes, several = _places(probe, source, shapes, choice)
        choices = max(choices, several)
        same = all(likely[place] is certain.get(place) for place in likely)
        options.append([likely] if same else [likely, certain])
        mixed += [source.nodes] if mixes else []
    pairs = itertools.combinations(mixed, 2)
    aligned = [pair for pair in pairs if len(pair[0]) == len(pair[1])]
    for some in [[], aligned] if aligned else [[]]:
        for placements in itertools.product(*options):
            made = Suggestion.of(never, sources, placements, some, shapes)
            made.choices = choices
            yield made


def coarser(sources, suggestion):
    """The same with channels in step: those at one place in each half of an axis, or in
    each third, quarter, eighth; or those next to each other."""
    for parts, apart in itertools.product((2, 3, 4, 8), (True, False)):
        pairs = []
        for nodes in (source.nodes for source in sources):
            if len(nodes) % parts == 0 and len(nodes) > parts:
                rows = nodes.reshape(parts, -1) if apart else nodes.reshape(-1, parts).T
                pairs.append((rows.ravel(), np.tile(rows[0], parts)))
        if pairs:
            yield suggestion.with_pairs(pairs)


def _places(probe, source, shapes, choice):
    """Where the channels of a source are: (output, axis) to which position has which.

    First with an axis of equal length, that has them one by one, in outputs which depend
    on all of them at once or hide some (a product with zero); then where they are seen.
    The third is whether an output depends on all of them at once, the fourth along how many
    axes of one output they may be said to lie: the last is the first to be chosen.
    """
    length = len(source.nodes)
    rows = movement(probe, source)
    if rows is None:
        rows = reach(probe, source, codes(length))
        if any(map(_is_unclear, rows)) and length > 2:
            rng = np.random.default_rng(0)
            halves = [codes(length), codes(length, rng), codes(length, rng)]
            rows = reach(probe, source, np.concatenate(halves))
    likely, certain, mixes, several = {}, {}, False, 1
    one_by_one = np.eye(length, dtype=bool)
    for output, (axes, shape) in enumerate(zip(rows, shapes)):
        candidates = [
            (axis == len(shape) - 1, _count(source.nodes, some), -some.sum(), axis)
            for axis, some in enumerate(axes)
            if shape[axis] is not None and some.any() and _tells_apart(some)
        ]
        least = len(np.unique(source.nodes)) > 1
        candidates = sorted((c for c in candidates if c[1] > least), reverse=True)
        several = max(several, len(candidates))
        if candidates:
            *_, axis = candidates[min(choice, len(candidates) - 1)]
            some = axes[axis]
            certain[output, axis] = likely[output, axis] = some
            if some.shape == one_by_one.shape and (some < one_by_one).any():
                if (some <= one_by_one).all():
                    likely[output, axis] = one_by_one
            continue
        mixes |= any(some.any() for some in axes)
        same = [axis for axis, size in enumerate(shape) if size == length]
        if same:
            at = source.number - len(probe.tensors[source.tensor].shape) + len(shape)
            likely[output, at if at in same else same[-1]] = one_by_one
    return likely, certain, mixes, several


def reach(probe, source, halves):
    """For each output and axis: which of the source's positions each may depend on.

    An array of bool of shape (length, source length) for each axis, in a list for each
    output. Excluded is what lies in a half that could be changed without consequence.
    """
    changed = []
    for seed, draw in enumerate(DRAWS):
        rng = np.random.default_rng(seed)
        arrays, fresh = probe.draw(rng, draw), probe.draw(rng, draw)[source.tensor]
        before = probe.run(arrays)
        if not changed:
            changed = [
                [np.zeros((len(halves), n), bool) for n in y.shape] for y in before
            ]
        for number, half in enumerate(halves):
            moved = list(arrays)
            moved[source.tensor] = arrays[source.tensor].copy()
            moved[source.tensor][source.at(half)] = fresh[source.at(half)]
            for y, z, seen in zip(before, probe.run(moved), changed, strict=True):
                if y.shape != z.shape:
                    raise Unobservable("gives out shapes that depend on values")
                other = _differs(y, z)
                for axis, positions in enumerate(seen):
                    others = tuple(n for n in range(y.ndim) if n != axis)
                    positions[number] |= other.any(axis=others)
    members = halves.astype(np.float32)
    return [
        [(~positions).T.astype(np.float32) @ members == 0 for positions in seen]
        for seen in changed
    ]


def codes(count, rng=None):
    """Halves of some items, each with its complement, that tell any two of them apart."""
    order = np.arange(count) if rng is None else rng.permutation(count)
    bits = np.arange(max(1, (count - 1).bit_length()))
    ones = (order >> bits[:, None]) % 2 == 1
    return np.concatenate([ones, ~ones])


def _differs(one, other):
    """Where two arrays differ by more than rounding."""
    precision = 1e-9 if one.dtype == np.float64 else 1e-5
    with np.errstate(all="ignore"):
        return ~np.isclose(one, other, rtol=precision, atol=0, equal_nan=True)


def _is_unclear(axes):
    """Whether no axis has at most one channel at each of its positions."""
    return all(some.sum(axis=1).max(initial=0) > 1 for some in axes)


def _tells_apart(rows):
    return len(rows) == 1 or (rows != rows[0]).any()


def _count(nodes, rows):
    """How many channels stay apart where those of a row become one."""
    several = rows.sum(axis=1) > 1
    position, channel = np.nonzero(rows[several])
    ids = nodes.max() + 1 + position
    root = Labels(nodes.max() + 2 + len(rows), [(ids, nodes[channel])]).components()
    return len(np.unique(root[nodes]))
