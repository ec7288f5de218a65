"""The result of a trace: channel groups, and sums and sizes over them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Member:
    """The slices of one variable that belong to a group."""

    path: str
    axis: int
    positions: np.ndarray
    role: str


class ChannelGraph:
    """Which slices of which variables belong to which channel group.

    Made by :func:`nestrade_lib.trace`; it holds no weights and stays valid while
    the network keeps its structure.

    Attributes
    ----------
    count : int
        Number of channel groups. Cutting some leaves the order of the others.
    labels : dict of str to tuple
        For each variable path, one entry an axis: an int array with the group of
        each position (-1: never cut), or ``None`` where the whole axis is fixed.
    roles : dict of str to tuple
        Likewise: ``"produce"``, ``"consume"``, ``"carry"`` or ``None``.
    layers : ndarray of str, shape (count,)
        The first layer that produces each group.
    names : list of str
        ``"layer/position"`` of each group, such as ``"conv2d/3"``.
    widths : dict of str to list of ndarray
        For each layer, sets of groups of which at least one has to stay.
    fixed : dict of str to str
        Layers whose channels are never cut, with the reason.
    """

    def __init__(self, record, variables):
        components = record.labels.components()
        self._record = record
        self._number(record, components)
        self.labels = {}
        self.roles = {}
        self._shapes = {}
        for variable in variables:
            tag = record.tags.get(variable.path)
            rank = len(variable.shape)
            labels = tag.labels if tag else (None,) * rank
            self.labels[variable.path] = tuple(map(self._groups_or_none, labels))
            self.roles[variable.path] = tuple(tag.roles) if tag else (None,) * rank
            self._shapes[variable.path] = tuple(variable.shape)
        self.widths = self._collect_widths(record)

    # What the groups are ------------------------------------------------------

    def _number(self, record, components):
        pinned = np.zeros(record.labels.count, bool)
        reasons = {}
        for labels, reason in record.labels.pins:
            roots = components[labels]
            pinned[roots] = True
            for root in np.unique(roots).tolist():
                reasons.setdefault(root, reason)
        pinned = pinned[components]
        group = np.full(record.labels.count, -1)
        layers, names = [], []
        self.fixed = {}
        for tag in record.tags.values():
            for labels, role in zip(tag.labels, tag.roles):
                if role != "produce":
                    continue
                for position, label in enumerate(labels.tolist()):
                    root = components[label] if label >= 0 else -1
                    if root < 0 or pinned[root]:
                        self.fixed.setdefault(tag.layer, reasons.get(root, ""))
                    elif group[root] < 0:
                        group[root] = len(names)
                        layers.append(tag.layer)
                        names.append(f"{tag.layer}/{position}")
        self.count = len(names)
        self.names = names
        self.layers = np.array(layers, dtype=str)
        cuttable = set(layers)
        self.fixed = {k: v for k, v in self.fixed.items() if k not in cuttable}
        # One entry more, so that label -1 finds group -1.
        self._group_of_label = np.append(group[components], -1)

    def groups_of(self, axis):
        """The group of each position of a traced axis, -1 where it is never cut."""
        return self._group_of_label[axis.labels]

    def _groups_or_none(self, labels):
        if labels is None:
            return None
        groups = self._group_of_label[labels]
        return groups if (groups >= 0).any() else None

    def _collect_widths(self, record):
        widths, seen = {}, set()
        arrays = [
            (tag.layer, labels)
            for tag in record.tags.values()
            for labels in tag.labels
            if labels is not None
        ]
        arrays += [
            (name, axis.labels)
            for name, outputs in record.activations
            for axes in outputs
            for axis in axes
            if axis is not None
        ]
        for layer, labels in arrays:
            groups = np.unique(self._group_of_label[labels])
            key = groups.tobytes()
            if groups[0] >= 0 and key not in seen:
                seen.add(key)
                widths.setdefault(layer, []).append(groups)
        return widths

    def members(self, group):
        """Every slice that belongs to a group (a list of ``Member``)."""
        return [
            Member(path, axis, np.flatnonzero(groups == group), roles[axis])
            for path, labels in self.labels.items()
            for roles in [self.roles[path]]
            for axis, groups in enumerate(labels)
            if groups is not None and (groups == group).any()
        ]

    # Sums and sizes -----------------------------------------------------------

    def sums(self, arrays, roles=("produce",)):
        """Sum per-element values over the slices of each group.

        Parameters
        ----------
        arrays : dict of str to ndarray
            By variable path, each of its variable's shape; others are left out.
        roles : tuple of str
            Which slices to sum: ``"produce"`` (kernel column, bias, gamma, beta),
            ``"consume"`` (the weights that read the channel), ``"carry"``.

        Returns
        -------
        ndarray of float64, shape (count,)
        """
        total = np.zeros(self.count)
        for path, values in arrays.items():
            for axis, groups in enumerate(self.labels[path]):
                if groups is None or self.roles[path][axis] not in roles:
                    continue
                others = tuple(n for n in range(np.ndim(values)) if n != axis)
                slices = np.sum(values, axis=others, dtype=np.float64)
                cut = groups >= 0
                total += np.bincount(groups[cut], slices[cut], minlength=self.count)
        return total

    @cached_property
    def _axes(self):
        """Each distinct axis once: its fixed positions and (group, times) pairs."""
        index, fixed, segments, groups, times = {}, [], [], [], []
        for labels in self.labels.values():
            for array in labels:
                if array is None or array.tobytes() in index:
                    continue
                number = index[array.tobytes()] = len(index)
                unique, count = np.unique(array, return_counts=True)
                cut = unique >= 0
                fixed.append(count[~cut].sum())
                segments.append(np.full(cut.sum(), number))
                groups.append(unique[cut])
                times.append(count[cut])
        empty = [np.zeros(0, int)]
        return (
            index,
            np.array(fixed, float),
            *(np.concatenate(part or empty) for part in (segments, groups, times)),
        )

    @cached_property
    def _products(self):
        """For each variable: its fixed size and the distinct axes that vary."""
        index = self._axes[0]
        products = {}
        for path, labels in self.labels.items():
            shape = self._shapes[path]
            fixed = np.prod([n for n, a in zip(shape, labels) if a is None])
            varying = [index[a.tobytes()] for a in labels if a is not None]
            products[path] = (fixed, varying)
        return products

    def _lengths(self, keep):
        index, fixed, segments, groups, times = self._axes
        keep = self.mask(keep)
        return fixed + np.bincount(segments, keep[groups] * times, len(index))

    def kept_sizes(self, keep):
        """The number of elements each variable has left, nothing being built.

        Parameters
        ----------
        keep : array of bool, shape (count,)

        Returns
        -------
        dict of str to float
        """
        lengths = self._lengths(keep)
        return {
            path: fixed * np.prod(lengths[varying])
            for path, (fixed, varying) in self._products.items()
        }

    def cost(self, uses, keep):
        """``sum(uses[path] * size)`` over the variables, at the sizes kept.

        Parameters
        ----------
        uses : dict of str to float
            By variable path; variables left out cost nothing. Uses of 1 count the
            parameters, multiplications a sample count the MACs.
        keep : array of bool, shape (count,)

        Returns
        -------
        float
        """
        sizes = self.kept_sizes(keep)
        return float(sum(times * sizes[path] for path, times in uses.items()))

    def savings(self, uses, keep):
        """What cutting each group alone would take off :meth:`cost`.

        Exact for a group that lies along one axis of each variable, first order
        where it lies along two (a recurrent kernel, a residual convolution).

        Returns
        -------
        ndarray of float64, shape (count,)
        """
        index, _, segments, groups, times = self._axes
        lengths = self._lengths(keep)
        price = np.zeros(len(index))
        for path, count in uses.items():
            fixed, varying = self._products[path]
            for place, axis in enumerate(varying):
                others = varying[:place] + varying[place + 1 :]
                price[axis] += count * fixed * np.prod(lengths[others])
        return np.bincount(groups, price[segments] * times, self.count)

    def kept_outputs(self, keep):
        """The share of each layer's output elements that stays, by layer name."""
        keep = np.append(self.mask(keep), True)
        shares = {}
        for name, outputs in self._record.activations:
            for axes in outputs[:1]:
                cut = [keep[self.groups_of(axis)].mean() for axis in axes if axis]
                shares[name] = float(np.prod(cut))
        return shares

    @cached_property
    def cuttable(self):
        """Groups that are not the only one of a width (ndarray of bool)."""
        free = np.ones(self.count, bool)
        for sets in self.widths.values():
            for groups in sets:
                free[groups] &= len(groups) > 1
        return free

    # Checks -------------------------------------------------------------------

    def mask(self, keep):
        """``keep`` as a boolean array, or an error that says what it should be."""
        keep = np.asarray(keep)
        if keep.shape != (self.count,) or keep.dtype != bool:
            raise ValueError(
                f"keep is one boolean a channel group, shape ({self.count},); got "
                f"{keep.dtype} of shape {keep.shape}."
            )
        return keep

    def emptied(self, keep):
        """Layers that would have no channel left (a list of names)."""
        keep = self.mask(keep)
        return [
            layer
            for layer, sets in self.widths.items()
            if not all(keep[groups].any() for groups in sets)
        ]
