"""Random graphs: every cut equals the original, or is refused by name; none is wrong.

``STRUCTURE_EXAMPLES=500`` draws as many; continuous integration draws fewer.
"""

import os

import keras
import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from keras import layers as L
from keras import ops

from benchmarks.structures.rows import random_cut
from nestrade_lib import UnsupportedLayer, trace
from nestrade_lib.surgery import cut, verify
from nestrade_lib.surgery.probes import random_inputs
from tests.support.cuts import assert_same, kept_size, outputs, randomize, zero_channels

EXAMPLES = int(os.environ.get("STRUCTURE_EXAMPLES", "20"))
ACTIVATIONS = ["relu"] * 3 + [
    "tanh",
    "swish",
    "sigmoid",
    "softplus",
    "linear",
    "softmax",
]
OPERATIONS = [
    lambda x: ops.flip(x, -1),
    lambda x: ops.roll(x, 1, axis=1),
    lambda x: ops.exp(x) - 1.0,
    lambda x: ops.where(x > 0, x, 0.1 * x),
    lambda x: ops.cumsum(x, axis=1),
    lambda x: ops.normalize(x, axis=-1),
    lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True),
    lambda x: x * ops.sum(x, axis=-1, keepdims=True),
    lambda x: ops.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]])[:, :4],
    lambda x: ops.repeat(x, 2, axis=-1),
    lambda x: ops.concatenate([x, ops.zeros_like(x)], axis=-1),
    lambda x: ops.swapaxes(x, 1, 2),
    lambda x: ops.stack([x, 2 * x], axis=-1)[..., 0],
    lambda x: ops.space_to_depth(ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2), 2),
    lambda x: ops.clip(x, -0.5, 0.5) ** 2,
    lambda x: ops.max(x, axis=-1, keepdims=True),
    lambda x: ops.sort(x, axis=2),
    lambda x: ops.tanh(x) * 2 + 1,
]


@keras.saving.register_keras_serializable("tests")
class Gated(L.Layer):
    """One half of the channels gates the other; of an odd number, all themselves."""

    def call(self, x):
        parts = ops.split(x, 2, axis=-1) if x.shape[-1] % 2 == 0 else [x, x]
        return parts[0] * ops.sigmoid(parts[1])


@keras.saving.register_keras_serializable("tests")
class Rotated(L.Layer):
    """As rotary embeddings pair channels."""

    def call(self, x):
        if x.shape[-1] % 2:
            return ops.tanh(x)
        one, other = ops.split(x, 2, axis=-1)
        return ops.concatenate([one - 2 * other, other + 2 * one], axis=-1)


class Builder:
    """Tensors made so far, all (batch, 4, 4, channels), and layers that may be shared."""

    def __init__(self, draw):
        self.draw = draw
        inputs = [keras.Input((4, 4, n)) for n in draw(st.sampled_from([[2], [3, 2]]))]
        self.inputs = inputs
        self.shared = []
        stems = [L.Conv2D(self.width(), 3, padding="same")(x) for x in inputs]
        self.tensors = [*inputs, *stems]

    def pick(self):
        """Any tensor, more often a late one."""
        late = self.tensors[-3:]
        return self.draw(st.sampled_from(late + self.tensors[len(self.inputs) :]))

    def width(self):
        return self.draw(st.sampled_from([1, 2, 4, 4, 6, 6]))

    def convolution(self):
        x = self.pick()
        groups = self.draw(st.sampled_from([1, 1, 2]))
        groups = groups if x.shape[-1] % groups == 0 else 1
        layer = L.Conv2D(
            groups * self.width(),
            self.draw(st.sampled_from([1, 3])),
            padding="same",
            groups=groups,
            use_bias=self.draw(st.booleans()),
            activation=self.draw(st.sampled_from(ACTIVATIONS)),
        )
        self.shared.append((x.shape[-1], layer))
        return layer(x)

    def reused(self):
        """A layer called once more, on another tensor of the width it reads."""
        x = self.pick()
        fits = [layer for width, layer in self.shared if width == x.shape[-1]]
        return self.draw(st.sampled_from(fits))(x) if fits else self.normalization()

    def normalization(self):
        x = self.pick()
        kind = self.draw(st.sampled_from(["batch"] * 3 + ["group", "layer", "rms"]))
        if kind == "group":
            width = x.shape[-1]
            return L.GroupNormalization(width // 2 if width % 2 == 0 else 1)(x)
        if kind == "batch":
            scale, center = self.draw(st.booleans()), self.draw(st.booleans())
            return L.BatchNormalization(scale=scale, center=center)(x)
        return (L.LayerNormalization() if kind == "layer" else L.RMSNormalization())(x)

    def depthwise(self):
        name = self.draw(st.sampled_from(ACTIVATIONS))
        multiplier = self.draw(st.sampled_from([1, 2]))
        return L.DepthwiseConv2D(
            3, padding="same", depth_multiplier=multiplier, activation=name
        )(self.pick())

    def separable(self):
        return L.SeparableConv2D(self.width(), 3, padding="same")(self.pick())

    def activation(self):
        return L.Activation(self.draw(st.sampled_from(ACTIVATIONS)))(self.pick())

    def merge(self):
        """A sum, product, ... of two tensors, the second projected where it must be."""
        x, y = self.pick(), self.pick()
        if x.shape[-1] != y.shape[-1] and 1 not in (x.shape[-1], y.shape[-1]):
            y = L.Conv2D(x.shape[-1], 1)(y)
        kinds = [L.Add, L.Multiply, L.Maximum, L.Subtract, L.Average]
        return self.draw(st.sampled_from(kinds))()([x, y])

    def concatenation(self):
        return L.Concatenate()([self.pick(), self.pick()])

    def excitation(self):
        x = self.pick()
        s = L.GlobalAveragePooling2D(keepdims=True)(x)
        s = L.Dense(self.width(), activation="relu")(s)
        return x * L.Dense(x.shape[-1], activation="sigmoid")(s)

    def part(self):
        x = self.pick()
        at = x.shape[-1] // 2
        if not at:
            return x * 2.0
        first, second = ops.split(x, [at], axis=-1)
        return self.draw(st.sampled_from([first, second, x[..., at:], x[..., 1:]]))

    def shuffle(self):
        x = self.pick()
        if x.shape[-1] % 2:
            return L.ReLU()(x)
        y = L.Reshape((4, 4, 2, x.shape[-1] // 2))(x)
        return L.Reshape((4, 4, x.shape[-1]))(L.Permute((1, 2, 4, 3))(y))

    def spatial(self):
        kinds = [L.MaxPooling2D(2, 1, "same"), L.AveragePooling2D(2, 1, "same")]
        kind = self.draw(st.sampled_from([*kinds, L.Dropout(0.2)]))
        return kind(self.pick())

    def dense(self):
        return L.Dense(
            self.width(), activation=self.draw(st.sampled_from(ACTIVATIONS))
        )(self.pick())

    def through_vector(self):
        """Flattened, mixed and laid out as an image again."""
        y = L.Dense(16 * 2, activation="relu")(L.Flatten()(self.pick()))
        return L.Reshape((4, 4, 2))(y)

    def operation(self):
        """A plain operation, no rule of which exists."""
        return self.draw(st.sampled_from(OPERATIONS))(self.pick())

    def constant(self):
        """An array of constants for each channel, or for each place."""
        x = self.pick()
        sizes = self.draw(st.sampled_from([x.shape[-1:], (4, 4, 1), x.shape[1:], (1,)]))
        array = np.linspace(0.5, 1.5, int(np.prod(sizes)), dtype="float32")
        join = self.draw(st.sampled_from([ops.add, ops.multiply, ops.maximum]))
        return join(x, array.reshape(sizes))

    def product(self):
        """Attention by hand over the places."""
        y = self.pick()
        x = ops.reshape(y, (-1, 16, y.shape[-1]))
        scores = ops.softmax(ops.einsum("btd,bsd->bts", x, x))
        return ops.reshape(ops.matmul(scores, x), (-1, 4, 4, y.shape[-1]))

    def composite(self):
        """A layer with code of its own, without weights."""
        return self.draw(st.sampled_from([Gated, Rotated]))()(self.pick())

    def reread(self):
        """A layer on two tensors, of whose channels constants may be left."""
        reader = L.Dense(
            self.width(), activation=self.draw(st.sampled_from(ACTIVATIONS))
        )
        x, units = self.pick(), self.width()
        names = self.draw(
            st.lists(st.sampled_from(ACTIVATIONS), min_size=2, max_size=2)
        )
        one, other = (reader(L.Dense(units, activation=name)(x)) for name in names)
        return one + other

    STEPS = [
        "convolution", "convolution", "convolution", "reused", "normalization",
        "depthwise", "separable", "activation", "merge", "merge", "concatenation",
        "excitation", "part", "shuffle", "spatial", "dense", "through_vector",
        "operation", "operation", "constant", "product", "composite", "reread",
    ]  # fmt: skip

    def network(self):
        for _ in range(self.draw(st.integers(2, 9))):
            step = self.draw(st.sampled_from(self.STEPS))
            self.tensors.append(getattr(self, step)())
        used = self.tensors[-1]
        for x in self.inputs:  # every input has to reach an output
            used = L.Concatenate()([used, x])
        heads = [L.Dense(2)(L.Flatten()(used))]
        if self.draw(st.booleans()):
            heads.append(L.Dense(2)(L.GlobalAveragePooling2D()(self.pick())))
        if self.draw(st.booleans()):
            heads.append(self.tensors[2 * len(self.inputs)])
        return keras.Model(self.inputs, heads)


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_cut_is_equal_or_refused_by_name(data):
    keras.backend.clear_session()
    network = Builder(data.draw).network()
    randomize(network, data.draw(st.integers(0, 3)))
    probe = random_inputs(network)
    try:
        graph = trace(network)
    except UnsupportedLayer as error:
        event("refused")
        assert any(repr(layer.name) in str(error) for layer in network.layers)
        return
    except ValueError as error:
        event("nothing to cut")
        assert "no layer that may be cut" in str(error)
        return
    mask = random_cut(graph, data.draw(st.integers(0, 9)))
    smaller = cut(network, mask, graph)
    event("cut" if smaller.count_params() < network.count_params() else "all kept")
    errors = verify(network, smaller, mask, probe, graph)
    assert max(errors.values()) <= 1e-5
    zero_channels(network, graph, mask)
    assert_same(outputs(network, probe), outputs(smaller, probe))
    assert len(graph.names) == graph.count == mask.size
    sizes = [kept_size(graph, v.path, mask) for v in network.trainable_variables]
    assert sizes == [np.prod(v.shape) for v in smaller.trainable_variables]
