"""Transformers of images that hold weights of their own: tokens, latents, offsets, scales."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from benchmarks.structures.examples.data import classes, classifier, example, images
from benchmarks.structures.examples.images import Patches


class Feedforward(L.Layer):
    """Two dense layers whose sum with the input is scaled by a weight per channel."""

    def __init__(self, width, hidden):
        super().__init__()
        self.norm = L.LayerNormalization(epsilon=1e-6)
        self.hidden, self.out = L.Dense(hidden, "gelu"), L.Dense(width)
        self.scale = self.add_weight(shape=(width,), initializer="ones", name="scale")

    def call(self, x):
        return x + self.scale * self.out(self.hidden(self.norm(x)))


class Perceiver(keras.Model):
    """A few latents ask all patches."""

    def __init__(self):
        super().__init__()
        draw = {"initializer": "random_normal"}
        self.latents = self.add_weight(shape=(4, 12), name="latents", **draw)
        self.places = self.add_weight(shape=(9, 12), name="places", **draw)
        self.patches, self.project = Patches(4), L.Dense(12)
        self.attention = L.MultiHeadAttention(2, 6)
        self.feedforward = [Feedforward(12, 24), Feedforward(12, 24)]
        self.out = L.Dense(3, "softmax")

    def call(self, x):
        x = self.project(self.patches(x)) + self.places
        shape = (ops.shape(x)[0], 4, 12)
        latents = ops.broadcast_to(ops.expand_dims(self.latents, 0), shape)
        for feedforward in self.feedforward:
            latents = feedforward(latents + self.attention(latents, x))
        return self.out(ops.mean(latents, axis=1))


@example
def perceiver():
    network, x = Perceiver(), images()
    network(x[:1])
    return classifier(network), x, classes()


class ClassToken(keras.Model):
    """A token of its own joins the patches, and answers for them."""

    def __init__(self):
        super().__init__()
        draw = {"initializer": "random_normal"}
        self.token = self.add_weight(shape=(1, 1, 12), name="token", **draw)
        self.patches, self.project = Patches(4), L.Dense(12)
        self.place = L.Embedding(10, 12)
        self.attention = [L.MultiHeadAttention(2, 6) for _ in range(2)]
        self.feedforward = [Feedforward(12, 24), Feedforward(12, 24)]
        self.out = L.Dense(3, "softmax")

    def call(self, x, training=False):
        x = self.project(self.patches(x))
        token = ops.tile(self.token, (ops.shape(x)[0], 1, 1))
        x = ops.concatenate([token, x], axis=1) + self.place(ops.arange(10))
        for attention, feedforward in zip(self.attention, self.feedforward):
            x = feedforward(x + attention(x, x, training=training))
        return self.out(x[:, 0])


@example
def class_attention():
    network, x = ClassToken(), images()
    network(x[:1])
    return classifier(network), x, classes()


class Windows(L.Layer):
    """Attention with a table of offsets between places, looked up by a constant index."""

    def __init__(self, places, width, heads):
        super().__init__()
        self.heads, self.width = heads, width
        self.project, self.out = L.Dense(3 * width), L.Dense(width)
        shape = (2 * places - 1, heads)
        self.table = self.add_weight(shape=shape, name="table")
        steps = np.arange(places)
        self.index = self.add_weight(
            shape=(places, places),
            initializer=lambda shape, dtype: steps[:, None] - steps + places - 1,
            dtype="int32",
            trainable=False,
            name="index",
        )

    def call(self, x):
        places = x.shape[1]
        x = ops.reshape(self.project(x), (-1, places, 3, self.heads, self.width // 2))
        query, key, value = ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)), 3, axis=0)
        offsets = ops.take(self.table, ops.reshape(self.index, (-1,)), axis=0)
        offsets = ops.reshape(offsets, (places, places, self.heads))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        scores = ops.softmax(scores + ops.transpose(offsets, (2, 0, 1))[None])
        x = ops.transpose(ops.matmul(scores, value), (0, 2, 1, 3))
        return self.out(ops.reshape(x, (-1, places, self.width)))


@example
def swin_windows():
    x = keras.Input((12, 12, 3))
    y = L.Dense(12)(Patches(4)(x))
    for _ in range(2):
        y = L.Add()([Windows(9, 12, 2)(L.LayerNormalization()(y)), y])
        y = Feedforward(12, 24)(y)
    y = L.Dense(3, "softmax")(L.GlobalAveragePooling1D()(y))
    return classifier(keras.Model(x, y)), images(), classes()
