"""What a rule works with: one call of one layer, and the words to describe it."""

from dataclasses import dataclass, field

import keras
import numpy as np
from keras import activations

from nestrade_lib.arrays import in_order
from nestrade_lib.dependency.labels import Axis, Channels, Labels, plain


class UnsupportedLayer(ValueError):
    """A layer whose channels cannot be followed, named with the way out."""


@dataclass
class Tag:
    """A variable's layer and, for each of its axes, the labels and their role."""

    layer: str
    labels: list
    roles: list


@dataclass(frozen=True)
class Fold:
    """Where the constants left by cut channels go: into the consumer's bias."""

    kernel: str
    axis: int
    source: Axis
    bias: str


@dataclass(frozen=True)
class Application:
    """One call of one layer: its outputs' axes, and what its products repeat over.

    ``products`` has a pair for each product that costs MACs: the path of its weight,
    or ``None`` where two tensors meet, and the axes that it is done for each channel of.
    """

    layer: str
    outputs: list
    products: list


@dataclass
class Record:
    """Everything the rules of one trace write down, variables by their path,
    made unlike every other."""

    labels: Labels = field(default_factory=Labels)
    tags: dict = field(default_factory=dict)
    folds: list = field(default_factory=list)
    scales: dict = field(default_factory=dict)
    edits: dict = field(default_factory=dict)
    applications: list = field(default_factory=list)
    products: list = field(default_factory=list)
    custom_objects: dict = field(default_factory=dict)


class Call:
    """One call of one layer during a trace: the argument of every rule.

    Attributes
    ----------
    layer : keras.Operation
    name : str
        What it is called in this network: no other layer is.
    config : dict
        The layer's own configuration.
    args, kwargs
        As the layer was called, each tensor replaced by its ``Channels``.
    inputs : list of Channels
        The tensors among them, in the order of the layer's signature.
    """

    def __init__(self, walk, layer, config, path, args, kwargs, node=None):
        self.walk = walk
        self.record = walk.record
        self.layer = layer
        self.name = walk.name(layer)
        self.config = config
        self.path = path
        self.args = args
        self.kwargs = kwargs
        self.node = node
        self.inputs = [
            leaf
            for leaf in keras.tree.flatten(in_order(layer, args, kwargs))
            if isinstance(leaf, Channels)
        ]

    # Labels -----------------------------------------------------------------

    def fresh(self, length):
        """New channels."""
        return self.record.labels.fresh(length)

    def pin(self, axis, reason):
        """Never cut these channels, because ``reason``."""
        if axis is not None:
            labels = axis.labels[axis.labels >= 0]
            self.record.labels.pin(labels, f"{self.name} {reason}")

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
        plain = (one.labels < 0) | (other.labels < 0)
        for axis in (one, other):
            self.pin(axis.take(plain), "joins it with channels that are never cut")
        self.record.labels.merge(one.labels[~plain], other.labels[~plain])
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

        A fill value other than zero is folded into ``bias``;
        without one, or where the value is not known, the channels are never cut.
        """
        self.absorbs(axis, foldable=bias is not None)
        if axis is not None and bias is not None and np.nan_to_num(axis.fill).any():
            path = self.walk.path
            self.record.folds.append(Fold(path(variable), number, axis, path(bias)))
        self._tag(variable, {number: axis}, "consume")

    def absorbs(self, axis, foldable=False):
        """Channels end here: pin those whose fill value would be missed."""
        if axis is None:
            return
        lost = np.isnan(axis.fill) if foldable else axis.fill != 0
        self.pin(
            axis.take(lost),
            "would miss the constant that is left of a cut channel (the activation "
            "before it is not zero at zero)",
        )

    def scales(self, variable, factor):
        """Multiply ``variable`` by ``factor(kept)`` at each cut."""
        self.record.scales[self.walk.path(variable)] = factor

    def _tag(self, variable, axes, role):
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
                raise UnsupportedLayer(
                    f"The rule of layer {self.name!r} gives {len(axis)} labels to "
                    f"axis {number} of {variable.path}, which has {length} positions."
                )
            if tag.labels[number] is None:
                tag.labels[number], tag.roles[number] = axis.labels, role
            else:
                self.merge(Axis(tag.labels[number], axis.fill), axis)

    # Costs ------------------------------------------------------------------

    def multiplies(self, variable, *axes):
        """A product is done anew for each channel of ``axes``, and costs so much less.

        Of a weight: axes that are not its own. With ``None``, of two tensors: all axes
        of the pair ``(None, n)`` that :func:`nestrade_lib.register_macs` tells of, in
        the same order.
        """
        path = None if variable is None else self.walk.path(variable)
        self.record.products.append((path, axes))

    def activates(self, layer, axes):
        """A layer called inside this one, without weights, gives out those axes."""
        name = self.walk.name(layer)
        self.record.applications.append(Application(name, [axes], []))

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
        self.record.edits[self.path + keys] = lambda kept, _: value(kept)

    def keeps(self, key, function):
        """The configuration value ``key`` stays this very function.

        Keras' configuration has but its name: it gives back a function of its own by
        that name (``jax.nn.gelu`` is not ``keras.activations.gelu``), or none at all.
        """
        known = getattr(activations, getattr(function, "__name__", ""), None)
        if (
            not callable(function)
            or function is known
            or hasattr(function, "get_config")
        ):
            return
        keys = key if isinstance(key, tuple) else (key,)
        name = f"function of {'/'.join(map(str, self.path + keys))}"
        self.record.custom_objects[name] = function
        reference = {
            "module": "builtins",
            "class_name": "function",
            "config": name,
            "registered_name": name,
        }
        self.rewrite(keys, lambda kept: dict(reference))

    def rewrite_arguments(self, value):
        """The call's positional arguments become ``value(kept, arguments)``."""
        self.record.edits[self.node + ("args",)] = value

    # Results ----------------------------------------------------------------

    def refuse(self, reason):
        """Stop: no rule can follow the channels through this layer."""
        name = self.name
        raise UnsupportedLayer(
            f"Layer {name!r} ({type(self.layer).__name__}): {reason}. Keep it as it is "
            f"with ignored_layers=[{name!r}] (then the channels that enter and leave it are never "
            "cut), or describe it with nestrade_lib.register_rule."
        )

    def inner(self, layer, keys, args, kwargs=None):
        """Apply the rule of a layer that this one wraps, configured at ``keys``."""
        config = self.config
        for key in keys:
            config = config[key]
        return self.walk.apply(layer, config, self.path + keys, args, kwargs or {})
