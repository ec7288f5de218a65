"""Layers that read channels, seen from outside: their kernels, what enters, what leaves.

A reader is a layer that multiplies channels by one kernel: dense layers and
convolutions of all kinds. While a network runs, its inputs can be watched, and its
outputs before the activation watched or changed.

>>> import keras
>>> from nestrade_lib import trace
>>> network = keras.Sequential(
...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2, name="last")]
... )
>>> [(reader.layer.name, reader.groups.tolist()) for reader in
...  readers_of(network, trace(network))]
[('last', [0, 1, 2, 3, 4, 5])]
"""

import contextlib

import keras
import numpy as np
from keras import layers, ops

from nestrade_lib.internals import replaced
from nestrade_lib.variables import value


class Reader:
    """A layer that reads channels, its kernel as (positions, offsets, outputs).

    Each position is a place of a slot: the slot of a channel group, or one for itself
    where it is never cut. A group has several places where Flatten lies between.
    """

    def __init__(self, layer, paths, kernel, positions):
        self.layer = layer
        self.paths = paths  # of the variables that the kernel is made of
        is_first = getattr(layer, "data_format", None) == "channels_first"
        self._axis = 1 if is_first else -1
        groups, slots = np.unique(positions, return_inverse=True)
        self.groups = groups[groups >= 0]  # of the first slots
        slots = slots - np.count_nonzero(groups < 0)
        is_fixed = slots < 0
        slots[is_fixed] = len(self.groups) + np.arange(is_fixed.sum())
        self.counts = np.bincount(slots)  # places of each slot
        order = np.argsort(slots, kind="stable")
        nth = np.arange(len(slots)) - np.repeat(
            np.cumsum(self.counts) - self.counts, self.counts
        )
        # Slots with fewer places are filled with a zero past the end.
        self._places = np.full((self.counts.max(), len(self.counts)), len(slots))
        self._places[nth, slots[order]] = order
        padded = np.concatenate([kernel, np.zeros_like(kernel[:1])], dtype="float64")
        self.weights = np.moveaxis(padded[self._places], 1, 0)  # slots first

    def read_rows(self, x):
        """What the layer reads, as (rows, slots): a row per place and position of the image."""
        x = ops.pad(self._rows(x), [[0, 0], [0, 1]])
        x = ops.take(x, self._places.ravel(), axis=1)
        return ops.reshape(x, (-1, len(self.counts)))

    def made_rows(self, x):
        """What the layer makes, as (rows, outputs)."""
        return self._rows(x)

    def _rows(self, x):
        x = ops.moveaxis(ops.cast(x, "float32"), self._axis, -1)
        return ops.reshape(x, (-1, x.shape[-1]))


def readers_of(network, graph):
    """Those layers of a network that read channels which may be cut (list of Reader)."""
    readers = {}  # a layer may be in several places
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            inside = readers_of(layer, graph)
            readers |= {reader.paths[0]: reader for reader in inside}
        elif _reads(layer, graph) and getattr(layer, "groups", 1) == 1:
            variables, kernel = _KERNELS[type(layer)](layer)
            paths = [graph.path(v) for v in variables]
            for axis, role in zip(graph.labels[paths[0]], graph.roles[paths[0]]):
                if role == "consume" and axis is not None:
                    readers[paths[0]] = Reader(layer, paths, kernel, axis)
    return list(readers.values())


def _reads(layer, graph):
    """Whether it is a reader: one that is kept as it is, as with LoRA, has no such role."""
    roles = (graph.roles[graph.path(variable)] for variable in layer.variables)
    return type(layer) in _KERNELS and any("consume" in each for each in roles)


@contextlib.contextmanager
def watched(readers, on_input, on_output):
    """Call ``on_input(reader, x)``, and let ``on_output(reader, z)`` stand for z.

    The outputs are those before the activation.
    """
    with contextlib.ExitStack() as stack:
        for reader in readers:
            stack.enter_context(_watched(reader, on_input, on_output))
        yield


@contextlib.contextmanager
def _watched(reader, on_input, on_output):
    def reading(call):
        def read(inputs, *args, **kwargs):
            on_input(reader, inputs)
            return call(inputs, *args, **kwargs)

        return read

    def making(activation):
        return lambda output: activation(on_output(reader, output))

    layer = reader.layer
    with replaced(layer, "call", reading), replaced(layer, "activation", making):
        yield


# The variables that read channels, and one kernel of them -------------------------


def _dense(layer):
    return [layer.kernel], value(layer.kernel)[:, None]


def _convolution(layer):
    kernel = np.moveaxis(value(layer.kernel), -2, 0)
    return [layer.kernel], kernel.reshape(len(kernel), -1, kernel.shape[-1])


def _transposed(layer):
    kernel = np.moveaxis(value(layer.kernel), -1, 0)
    return [layer.kernel], kernel.reshape(len(kernel), -1, kernel.shape[-1])


def _separable(layer):
    variables = [layer.depthwise_kernel, layer.pointwise_kernel]
    depthwise, pointwise = map(value, variables)
    *_, channels, multiplier = depthwise.shape
    depthwise = depthwise.reshape(-1, channels, multiplier)
    pointwise = pointwise.reshape(channels, multiplier, -1)
    return variables, np.einsum("kcm,cmo->cko", depthwise, pointwise)


_KERNELS = {
    layers.Dense: _dense,
    layers.Conv1D: _convolution,
    layers.Conv2D: _convolution,
    layers.Conv3D: _convolution,
    layers.Conv1DTranspose: _transposed,
    layers.Conv2DTranspose: _transposed,
    layers.Conv3DTranspose: _transposed,
    layers.SeparableConv1D: _separable,
    layers.SeparableConv2D: _separable,
}
