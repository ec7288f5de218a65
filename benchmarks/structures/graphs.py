"""Random graphs: layers, operations and constants, shared and joined in all ways."""

import random

import keras
import numpy as np
from keras import layers as L
from keras import ops

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


@keras.saving.register_keras_serializable("benchmarks")
class Gated(L.Layer):
    """One half of the channels gates the other; of an odd number, all themselves."""

    def call(self, x):
        parts = ops.split(x, 2, axis=-1) if x.shape[-1] % 2 == 0 else [x, x]
        return parts[0] * ops.sigmoid(parts[1])

    def compute_output_spec(self, x):  # Keras takes x, times an array, to be sparse
        width = x.shape[-1] // 2 if x.shape[-1] % 2 == 0 else x.shape[-1]
        return keras.KerasTensor((*x.shape[:-1], width), x.dtype)


@keras.saving.register_keras_serializable("benchmarks")
class Rotated(L.Layer):
    """As rotary embeddings pair channels."""

    def call(self, x):
        if x.shape[-1] % 2:
            return ops.tanh(x)
        one, other = ops.split(x, 2, axis=-1)
        return ops.concatenate([one - 2 * other, other + 2 * one], axis=-1)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


class Builder:
    """Tensors made so far, all (batch, 4, 4, channels), and layers that may be shared.

    ``choose(options)`` gives one of them.
    """

    def __init__(self, choose):
        self.choose = choose
        inputs = [keras.Input((4, 4, n)) for n in choose([[2], [3, 2]])]
        self.inputs = inputs
        self.shared = []
        # One hidden layer that nothing else reads: something is always to be cut.
        hidden = [L.Conv2D(6, 1, activation="relu")(x) for x in inputs]
        self.entries = [L.Conv2D(2, 1)(x) for x in hidden]
        stems = [L.Conv2D(self.width(), 3, padding="same")(x) for x in self.entries]
        self.tensors = [*self.entries, *stems]

    def pick(self):
        """Any tensor, more often a late one."""
        late = self.tensors[-3:]
        return self.choose(late + self.tensors[len(self.inputs) :])

    def width(self):
        return self.choose([1, 2, 4, 4, 6, 6])

    def convolution(self):
        x = self.pick()
        groups = self.choose([1, 1, 2])
        groups = groups if x.shape[-1] % groups == 0 else 1
        layer = L.Conv2D(
            groups * self.width(),
            self.choose([1, 3]),
            padding="same",
            groups=groups,
            use_bias=self.choose([False, True]),
            activation=self.choose(ACTIVATIONS),
        )
        self.shared.append((x.shape[-1], layer))
        return layer(x)

    def reused(self):
        """A layer called once more, on another tensor of the width it reads."""
        x = self.pick()
        fits = [layer for width, layer in self.shared if width == x.shape[-1]]
        return self.choose(fits)(x) if fits else self.normalization()

    def normalization(self):
        x = self.pick()
        kind = self.choose(["batch"] * 3 + ["group", "layer", "rms"])
        if kind == "group":
            width = x.shape[-1]
            return L.GroupNormalization(width // 2 if width % 2 == 0 else 1)(x)
        if kind == "batch":
            scale, center = self.choose([False, True]), self.choose([False, True])
            return L.BatchNormalization(scale=scale, center=center)(x)
        return (L.LayerNormalization() if kind == "layer" else L.RMSNormalization())(x)

    def depthwise(self):
        name = self.choose(ACTIVATIONS)
        multiplier = self.choose([1, 2])
        return L.DepthwiseConv2D(
            3, padding="same", depth_multiplier=multiplier, activation=name
        )(self.pick())

    def separable(self):
        return L.SeparableConv2D(self.width(), 3, padding="same")(self.pick())

    def activation(self):
        return L.Activation(self.choose(ACTIVATIONS))(self.pick())

    def merge(self):
        """A sum, product, ... of two tensors, the second projected where it must be."""
        x, y = self.pick(), self.pick()
        if x.shape[-1] != y.shape[-1] and 1 not in (x.shape[-1], y.shape[-1]):
            y = L.Conv2D(x.shape[-1], 1)(y)
        kinds = [L.Add, L.Multiply, L.Maximum, L.Subtract, L.Average]
        return self.choose(kinds)()([x, y])

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
        return self.choose([first, second, x[..., at:], x[..., 1:]])

    def shuffle(self):
        x = self.pick()
        if x.shape[-1] % 2:
            return L.ReLU()(x)
        y = L.Reshape((4, 4, 2, x.shape[-1] // 2))(x)
        return L.Reshape((4, 4, x.shape[-1]))(L.Permute((1, 2, 4, 3))(y))

    def spatial(self):
        kinds = [L.MaxPooling2D(2, 1, "same"), L.AveragePooling2D(2, 1, "same")]
        kind = self.choose([*kinds, L.Dropout(0.2)])
        return kind(self.pick())

    def dense(self):
        return L.Dense(self.width(), activation=self.choose(ACTIVATIONS))(self.pick())

    def through_vector(self):
        """Flattened, mixed and laid out as an image again."""
        y = L.Dense(16 * 2, activation="relu")(L.Flatten()(self.pick()))
        return L.Reshape((4, 4, 2))(y)

    def operation(self):
        """A plain operation, no rule of which exists."""
        return self.choose(OPERATIONS)(self.pick())

    def constant(self):
        """An array of constants for each channel, or for each place."""
        x = self.pick()
        sizes = self.choose([x.shape[-1:], (4, 4, 1), x.shape[1:], (1,)])
        array = np.linspace(0.5, 1.5, int(np.prod(sizes)), dtype="float32")
        join = self.choose([ops.add, ops.multiply, ops.maximum])
        return join(x, array.reshape(sizes))

    def product(self):
        """Attention by hand over the places."""
        y = self.pick()
        x = ops.reshape(y, (-1, 16, y.shape[-1]))
        scores = ops.softmax(ops.einsum("btd,bsd->bts", x, x))
        return ops.reshape(ops.matmul(scores, x), (-1, 4, 4, y.shape[-1]))

    def composite(self):
        """A layer with code of its own, without weights."""
        return self.choose([Gated, Rotated])()(self.pick())

    def reread(self):
        """A layer on two tensors, of whose channels constants may be left."""
        reader = L.Dense(self.width(), activation=self.choose(ACTIVATIONS))
        x, units = self.pick(), self.width()
        names = self.choose(ACTIVATIONS), self.choose(ACTIVATIONS)
        one, other = (reader(L.Dense(units, activation=name)(x)) for name in names)
        return one + other

    STEPS = [
        "convolution", "convolution", "convolution", "reused", "normalization",
        "depthwise", "separable", "activation", "merge", "merge", "concatenation",
        "excitation", "part", "shuffle", "spatial", "dense", "through_vector",
        "operation", "operation", "constant", "product", "composite", "reread",
    ]  # fmt: skip

    def network(self):
        for _ in range(self.choose(range(2, 10))):
            step = self.choose(self.STEPS)
            self.tensors.append(getattr(self, step)())
        used = self.tensors[-1]
        for x in self.entries:  # every input has to reach an output
            used = L.Concatenate()([used, x])
        heads = [L.Dense(2)(L.Flatten()(used))]
        if self.choose([False, True]):
            heads.append(L.Dense(2)(L.GlobalAveragePooling2D()(self.pick())))
        if self.choose([False, True]):
            heads.append(self.tensors[2 * len(self.inputs)])
        return keras.Model(self.inputs, heads)


def graph(number):
    """The random graph of this number."""
    keras.backend.clear_session()
    return Builder(random.Random(number).choice).network()


NETWORKS = {
    f"graph {number}": lambda number=number: graph(number) for number in range(500)
}
