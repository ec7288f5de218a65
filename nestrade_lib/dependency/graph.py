"""The result of a trace: channel groups, and sums and sizes over them."""

import math
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from nestrade_lib.dependency.causes import in_short
from nestrade_lib.dependency.labels import Labels
from nestrade_lib.dependency.record import Record
from nestrade_lib.names import variable_paths


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
        For each variable path, one entry per axis: an int array with the group of
        each position (-1: never cut), or ``None`` where the whole axis is fixed. Of
        variables with equal paths, the second is ``"dense/kernel#2"``.
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
    causes : str
        The same in short: each reason, and the layers that give it.
    unsupported : dict of str to str
        Layers that nothing describes, with the reason: they stay as they are, and so do
        the channels that enter and leave them.
    outputs : dict of str to list
        For each layer, one entry per axis of its first output (of its last call): the
        group of each position, or ``None`` where the axis carries no channels.
    folds : list of Fold
        Where the constants that cut channels leave behind go.
    scales : dict of str to callable
        By variable path, ``factor(kept)``: what a cut multiplies the variable by.
    edits : dict of tuple to callable
        By place in the configuration, ``edit(kept, value)``: its value after a cut.
    products, activations, parameters : list of (int, list of ndarray)
        What makes up the MACs, the bytes of activations and the parameters of one
        sample: each a number, times the positions left along axes of these groups. In
        place of the pair, ``None`` where the number depends on an open shape.
    """

    def __init__(self, record, network):
        self.record = record
        self._number(record)
        self.scales, self.edits = record.scales, record.edits
        self.folds = [
            fold
            for fold in record.folds.values()
            if np.nan_to_num(fold.source.fill).any()
        ]
        self.unsupported = record.unsupported
        self.labels = {}
        self.roles = {}
        self._shapes = {}
        self._renamed = {}
        paths = variable_paths(network.variables)
        for variable in network.variables:
            path = paths[id(variable)]
            if path != variable.path:
                self._renamed[id(variable)] = weakref.ref(variable), path
            tag = record.tags.get(path)
            rank = len(variable.shape)
            labels = tag.labels if tag else (None,) * rank
            self.labels[path] = tuple(map(self._groups_or_none, labels))
            self.roles[path] = tuple(tag.roles) if tag else (None,) * rank
            self._shapes[path] = tuple(variable.shape)
        self.widths = self._collect_widths(record)
        self.outputs = {
            call.layer: [
                None if axis is None else self.groups_of(axis.labels)
                for axis in call.outputs[0].axes
            ]
            for call in record.applications
        }
        self.products = [self._factors_of(term) for term in record.products]
        self.activations = [self._factors_of(term) for term in record.activations]
        self.parameters = [self.factors(paths[id(v)]) for v in network.weights]

    def path(self, variable):
        """The key of a variable of the traced network: its path, made unlike others."""
        reference, path = self._renamed.get(id(variable), (lambda: None, None))
        return path if reference() is variable else variable.path

    # What the groups are ------------------------------------------------------

    def _number(self, record):
        components = record.labels.components()
        pinned = np.zeros(record.labels.count, bool)
        reasons = {}
        for labels, layer, reason in record.labels.pins:
            roots = components[labels]
            pinned[roots] = True
            for root in np.unique(roots).tolist():
                reasons.setdefault(root, (layer, reason))
        pinned = pinned[components]
        group = np.full(record.labels.count, -1)
        layers, names, fixed = [], [], {}
        for tag in record.tags.values():
            for labels, role in zip(tag.labels, tag.roles):
                if role != "produce":
                    continue
                for position, label in enumerate(labels.tolist()):
                    root = components[label] if label >= 0 else -1
                    if root < 0 or pinned[root]:
                        fixed.setdefault(
                            tag.layer, reasons.get(root, ("it", "is never cut"))
                        )
                    elif group[root] < 0:
                        group[root] = len(names)
                        layers.append(tag.layer)
                        names.append(f"{tag.layer}/{position}")
        self.count = len(names)
        self.names = names
        self.layers = np.array(layers, dtype=str)
        cuttable = set(layers)
        fixed = {k: v for k, v in fixed.items() if k not in cuttable}
        self.fixed = {layer: " ".join(cause) for layer, cause in fixed.items()}
        self.causes = in_short(fixed)
        # One entry more, so that label -1 finds group -1.
        self._group_of_label = np.append(group[components], -1)

    def groups_of(self, labels):
        """The group of each label of the trace, -1 where it is never cut."""
        return self._group_of_label[labels]

    @property
    def doubtful(self):
        """Calls whose channels may lie along another axis than one which pins them."""
        return [
            place
            for place, labels in self.record.ambiguous.items()
            if (self.groups_of(labels) < 0).all()
        ]

    def record_after(self, mask):
        """A record for the trace of the network cut by a mask: its groups are those left."""
        stays = np.append(self.require_mask(mask), True)
        earlier = [self.groups_of(labels) for labels in self.record.labels.made]
        earlier = [groups[stays[groups]] for groups in earlier]
        return Record(Labels(earlier=earlier), choices=self.record.choices)

    def _groups_or_none(self, labels):
        if labels is None:
            return None
        groups = self._group_of_label[labels]
        return groups if (groups >= 0).any() else None

    def _collect_widths(self, record):
        widths, collected = {}, set()
        arrays = [
            (tag.layer, labels)
            for tag in record.tags.values()
            for labels in tag.labels
            if labels is not None
        ]
        arrays += [
            (call.layer, axis.labels)
            for call in record.applications
            for tensor in call.outputs
            for axis in tensor.axes
            if axis is not None
        ]
        for layer, labels in arrays:
            groups = np.unique(self._group_of_label[labels])
            key = groups.tobytes()
            if groups[0] >= 0 and key not in collected:
                collected.add(key)
                widths.setdefault(layer, []).append(groups)
        return widths

    def members(self, group: int) -> list[Member]:
        """Every slice that belongs to a group (a list of ``Member``)."""
        return [
            Member(path, axis, np.flatnonzero(groups == group), roles[axis])
            for path, labels in self.labels.items()
            for roles in [self.roles[path]]
            for axis, groups in enumerate(labels)
            if groups is not None and (groups == group).any()
        ]

    # Sums and sizes -----------------------------------------------------------

    def sums(
        self, arrays: Mapping[str, np.ndarray], roles: Collection[str] = ("produce",)
    ) -> np.ndarray:
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
                slices = np.atleast_1d(np.sum(values, axis=others, dtype=np.float64))
                cut = groups >= 0
                total += np.bincount(groups[cut], slices[cut], minlength=self.count)
        return total

    def factors(self, path):
        """A variable's size along its fixed axes, and the groups along the others."""
        shape, labels = self._shapes[path], self.labels[path]
        fixed = math.prod(n for n, axis in zip(shape, labels) if axis is None)
        return fixed, [axis for axis in labels if axis is not None]

    def _factors_of(self, term):
        """The same of a term of a cost, ``None`` where an open shape leaves it unknown."""
        fixed, axes = (1, []) if term.variable is None else self.factors(term.variable)
        if term.number is None:
            return None
        for axis in term.axes:
            groups = self._groups_or_none(axis.labels)
            if groups is None:
                fixed *= len(axis)
            else:
                axes = [*axes, groups]
        return fixed * term.number, axes

    @cached_property
    def cuttable(self) -> np.ndarray:
        """Groups that are not the only one of a width (ndarray of bool)."""
        free = np.ones(self.count, bool)
        for sets in self.widths.values():
            for groups in sets:
                free[groups] &= len(groups) > 1
        return free

    # Checks -------------------------------------------------------------------

    def require_mask(self, mask: ArrayLike) -> np.ndarray:
        """``mask`` as a boolean array, or an error that says what it should be."""
        mask = np.asarray(mask)
        if mask.shape != (self.count,) or mask.dtype != bool:
            raise ValueError(
                f"mask: expected one boolean per channel group, shape ({self.count},); got "
                f"{mask.dtype} of shape {mask.shape}."
            )
        return mask

    def emptied(self, mask):
        """Layers that would have no channel left (a list of names)."""
        mask = self.require_mask(mask)
        return [
            layer
            for layer, sets in self.widths.items()
            if not all(mask[groups].any() for groups in sets)
        ]
