"""What a rule works with: one call of one layer, and the words to describe it."""

from dataclasses import replace
from functools import cached_property
from typing import NoReturn

import keras
import numpy as np
from keras import tree

from nestrade_lib.arrays import in_order
from nestrade_lib.dependency.frozen import FROZEN
from nestrade_lib.dependency.labels import Axis, Channels, plain, without_channels
from nestrade_lib.dependency.record import Fold, Tag, term


class UnsupportedLayer(ValueError):
    """A layer whose channels cannot be followed, named with the way out."""


class WrongRule(UnsupportedLayer):
    """A rule that contradicts the layer that it was registered for."""


class Call:
    """One call of one layer: the argument of every rule.

    Attributes
    ----------
    layer : keras.Operation
    name : str
        What it is called in this network: no other layer is.
    args, kwargs
        As the layer was called, each tensor replaced by its ``Channels``.
    inputs : list of Channels
        The tensors among them, in the order of the layer's signature.
    """

    def __init__(self, walk, layer, path, args, kwargs, node=()):
        self.walk = walk
        self.record = walk.record
        self.layer = layer
        self.name = walk.name(layer)
        self.path = path
        self.args = args
        self.kwargs = kwargs
        self.node = node
        self.inputs = tensors_in(in_order(layer, args, kwargs))

    @cached_property
    def config(self) -> dict:
        """The layer's own configuration."""
        return self.walk.config(self)

    # Labels -----------------------------------------------------------------

    def fresh(self, length):
        """New channels."""
        return self.record.labels.fresh(length)

    def pin(self, axis, reason):
        """Never cut these channels, because ``reason``."""
        if axis is not None:
            labels = axis.labels[axis.labels >= 0]
            self.record.labels.pin(labels, self.name, reason)

    def pin_all(self, axes, reason):
        """Never cut any of these axes."""
        for axis in axes:
            self.pin(axis, reason)

    def merge(self, one, other):
        """Two axes of one length become the same channels; plain ones pin the other."""
        if one is None or other is None:
            self.pin(one, "joins it with an axis that is never cut")
            self.pin(other, "joins it with an axis that is never cut")
            return None
        fixed = (one.labels < 0) | (other.labels < 0)
        for axis in (one, other):
            self.pin(axis.take(fixed), "joins it with channels that are never cut")
        self.record.labels.merge(one.labels[~fixed], other.labels[~fixed])
        return one

    # Variables --------------------------------------------------------------

    def produces(self, variable, axes):
        """``variable``'s slices along ``{axis number: Axis}`` make those channels."""
        self._tag(variable, axes, "produce")

    def carries(self, variable, axes):
        """The slices belong to the channels but are not what makes them zero."""
        self._tag(variable, axes, "carry")

    def remembers(self, variable, axes):
        """The slices are a running mean or a state: zero once the channel is."""
        self._tag(variable, axes, "state")

    def consumes(self, variable, number, axis, bias=None):
        """``variable``'s slices along axis ``number`` read the channels of ``axis``.

        A fill value other than zero is folded into ``bias``; without one, or where the
        value is not known, the channels are never cut.
        """
        self.absorbs(axis, foldable=bias is not None)
        if axis is not None and bias is not None:
            kernel = self.walk.path(variable)
            fold = Fold(kernel, number, axis, self.walk.path(bias))
            first = self.record.folds.setdefault((kernel, number), fold)
            # The bias is one for all calls, and so has the constant to be.
            other = axis.take(first.source.fill != axis.fill)
            self.pin(other, "would miss constants that are unlike in each of its calls")
        self._tag(variable, {number: axis}, "consume")

    def absorbs(self, axis, foldable=False):
        """Channels end here: pin those whose fill value would be missed."""
        if axis is None:
            return
        missed = np.isnan(axis.fill) if foldable else axis.fill != 0
        self.pin(
            axis.take(missed),
            "would miss the constant that is left of a cut channel (the activation "
            "before it is not zero at zero)",
        )

    def readers_vanish(self, variable):
        """What reads a cut channel is zero too in what the cut is verified against."""
        tag = self.record.tags.get(self.walk.path(variable))
        if tag is not None:
            tag.roles = ["state" if role == "consume" else role for role in tag.roles]

    def axis_of(self, variable, number):
        """The channels along an axis of a variable that a rule has described, or ``None``."""
        tag = self.record.tags.get(self.walk.path(variable))
        labels = None if tag is None else tag.labels[number]
        return None if labels is None else Axis(labels, np.zeros(len(labels)))

    def scales(self, variable, factor):
        """Multiply ``variable`` by ``factor(kept)`` at each cut."""
        self.record.scales[self.walk.path(variable)] = factor

    @property
    def is_frozen(self):
        """Whether the layer has weights, and none that trains."""
        layer = self.layer
        is_layer = isinstance(layer, keras.layers.Layer)
        return is_layer and bool(layer.weights and not layer.trainable)

    def _tag(self, variable, axes, role):
        if role == "consume" and self.is_frozen:
            self.pin_all(axes.values(), FROZEN)
        rank = len(variable.shape)
        tag = self.record.tags.setdefault(
            self.walk.path(variable), Tag(self.name, [None] * rank, [None] * rank)
        )
        for number, axis in axes.items():
            number %= rank
            length = variable.shape[number]
            if axis is None:
                axis = plain(length)
            if len(axis) != length:
                raise WrongRule(
                    f"The rule of layer {self.name!r} gives {len(axis)} labels to "
                    f"axis {number} of {variable.path}, which has {length} positions."
                )
            if tag.labels[number] is None:
                tag.labels[number], tag.roles[number] = axis.labels, role
            else:
                self.merge(Axis(tag.labels[number], axis.fill), axis)

    # Costs ------------------------------------------------------------------

    def multiplies(self, variable, *positions):
        """One sample multiplies each element of ``variable`` once at every position.

        Positions are whole numbers, axes, and tensors with all their axes, which are
        multiplied: ``call.multiplies(kernel, call.inputs[0][1:-1])`` is once for each
        place along the axes between batch and features. With ``None`` for a variable,
        they count the products of two tensors.
        """
        path = None if variable is None else self.walk.path(variable)
        self.record.products.append(term(*positions, variable=path))

    def activates(self, *positions):
        """The layer holds a tensor of so many numbers beside its output."""
        each = bytes_per_number(self.layer)
        self.record.activations.append(term(each, *positions))

    # Configuration ----------------------------------------------------------

    def resize(self, key, axis):
        """The configuration value ``key`` is the number of channels of ``axis``."""
        if axis is not None:
            self.rewrite(key, lambda kept: kept(axis))

    def rewrite(self, key, value):
        """The configuration value ``key`` becomes ``value(kept)`` at each cut.

        ``kept(axis)`` is the number of channels of ``axis`` that stay. ``key`` may
        be a tuple of keys, for a configuration inside a configuration.
        """
        keys = key if isinstance(key, tuple) else (key,)

        def edit(stays, _):
            return value(lambda axis: int(stays(axis.labels).sum()))

        self.record.edits[self.path + keys] = edit

    def follows_cut(self, edit):
        """An entry of the call or the configuration changes as an ``Edit`` says."""
        where, *inside = edit.place
        if where == "config":
            place, inside = self.path + (inside[0],), inside[1:]
        else:
            place = self.node + (where,)
        edits = self.record.edits
        entry = (*place, *inside)
        first = self.record.entries.setdefault(entry, edit)
        if first is not edit:  # of another call of this layer: one entry is for both
            self.record.labels.merge(first.labels, edit.labels)
            return
        before = edits.get(place, lambda stays, value: value)
        edits[place] = lambda stays, value: edit.within(
            before(stays, value), inside, stays
        )

    # Results ----------------------------------------------------------------

    def refuse(self, reason: str) -> NoReturn:
        """Stop: no rule can follow the channels through this layer."""
        raise UnsupportedLayer(f"{self.name!r} ({type(self.layer).__name__}): {reason}")

    def inner(self, layer, keys, args, kwargs=None, times=1):
        """The outputs of a layer inside this one, configured at ``keys``, run ``times``.

        Its products count as this layer's; its outputs are no activations of their own.
        """
        record = self.record
        products, activations = len(record.products), len(record.activations)
        outputs = self.walk.apply(layer, self.path + keys, args, kwargs or {})
        for number in range(products, len(record.products)):
            record.products[number] = record.products[number].times(times)
        del record.activations[activations:]
        return outputs

    def outputs(self, axes=None):
        """The layer's output tensors with these axes; by default, without channels."""
        args, kwargs = tree.map_structure(
            lambda leaf: leaf.spec if isinstance(leaf, Channels) else leaf,
            (self.args, self.kwargs),
        )
        specs = self.layer.compute_output_spec(*args, **kwargs)
        if any(map(_is_open, tree.flatten(specs))) and not any(
            map(_is_open, self.inputs)
        ):
            # EinsumDense leaves sizes open that its inputs decide; its code does not.
            specs = keras.Operation.compute_output_spec(self.layer, *args, **kwargs)
        outputs = [without_channels(spec) for spec in tree.flatten(specs)]
        if axes is None:
            return outputs
        axes = axes if isinstance(axes, list) else [axes]
        if [len(x) for x in axes] != [len(x.shape) for x in outputs]:
            raise WrongRule(
                f"The rule of layer {self.name!r} gives outputs of {list(map(len, axes))} "
                f"axes; the layer's have the shapes {[x.shape for x in outputs]}."
            )
        return [replace(x, axes=tuple(y)) for x, y in zip(outputs, axes)]


def _is_open(tensor):
    return None in tensor.shape[1:]


def tensors_in(structure):
    """The tensors in nested arguments, in order."""
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, Channels)]


def bytes_per_number(layer):
    """Bytes that each number of a layer's output takes; none where it is a view."""
    if isinstance(layer, (keras.layers.Flatten, keras.layers.Reshape)):
        return 0
    dtype = getattr(layer, "compute_dtype", keras.config.floatx())
    return {"float64": 8, "float16": 2, "bfloat16": 2}.get(dtype, 4)
