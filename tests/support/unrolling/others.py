"""Subclassed networks that call their layers in ways of their own."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tests.support.unrolling.cases import network
from tests.support.unrolling.keras_io import Tower


class Towers(keras.Model):
    """Layers of the same name in models within models."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.towers = [Tower(4, name="tower"), Tower(4, name="tower")]

    def call(self, x):
        return ops.concatenate([tower(x) for tower in self.towers], axis=-1)


class Deep(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.then = Towers(name="towers"), Towers(name="towers")
        self.graph = keras.Sequential([L.Dense(3), Tower(3), L.Dense(2)])

    def call(self, x):
        return self.graph(self.then(self.first(x)))


@network((4,))
def models_within_models():
    return Deep()


class TwoWays(L.Layer):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(4)

    def call(self, x, scale, flip=False):
        x = self.dense(x) * scale
        return (ops.flip(x, 1), None) if flip else (x, "straight")


class Several(keras.Model):
    """A layer of several arguments and outputs, called in two ways and on two shapes."""

    def __init__(self):
        super().__init__()
        self.both = TwoWays()

    def call(self, inputs):
        x, scale = inputs
        y, name = self.both(x, scale)
        z, nothing = self.both(y, scale=scale, flip=True)
        assert name == "straight" and nothing is None
        small, _ = self.both(x[:, :2], scale)
        return [y, (z, small)]


@network((6, 4), (1, 1))
def several_inputs_and_outputs():
    return Several()


class Heads(L.Layer):
    """Attention by hand, with the shape that it finds."""

    def __init__(self, heads):
        super().__init__()
        self.heads = heads
        self.parts, self.out = [L.Dense(8) for _ in range(3)], L.Dense(8)

    def split(self, x):
        batch, length = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, length, self.heads, -1))
        return ops.transpose(x, (0, 2, 1, 3))

    def call(self, x):
        query, key, value = (self.split(part(x)) for part in self.parts)
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / np.sqrt(4.0)
        x = ops.transpose(ops.matmul(ops.softmax(scores), value), (0, 2, 1, 3))
        return self.out(ops.reshape(x, (ops.shape(x)[0], -1, 8)))


@network((6, 8))
def attention_by_hand():
    return keras.Sequential([keras.Input((6, 8)), Heads(2), L.Dense(2)])


class Causal(L.Layer):
    """A mask of the size that it finds, for each sample."""

    def __init__(self):
        super().__init__()
        self.attention = L.MultiHeadAttention(2, 4)

    def call(self, x):
        batch, length, _ = ops.shape(x)
        steps = ops.arange(length)
        mask = ops.expand_dims(steps, 1) >= ops.expand_dims(steps, 0)
        mask = ops.broadcast_to(mask, (batch, length, length))
        return x + self.attention(x, x, attention_mask=mask)


@network((6, 8))
def causal_attention():
    x = keras.Input((6, 8))
    return keras.Model(x, Causal()(Causal()(x)))


class Scaled(L.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        return x * self.scale


class Normed(L.Layer):
    def __init__(self):
        super().__init__()
        self.norm, self.scale = L.BatchNormalization(), Scaled()

    def call(self, x, training=None):
        return self.scale(self.norm(x, training=training))


@network((5,), whole=False)
def layer_with_a_weight_in_a_layer():
    return keras.Sequential([keras.Input((5,)), L.Dense(4), Normed(), L.Dense(2)])


class Gated(L.Layer):
    """A block that scales what it adds by a weight of its own."""

    def __init__(self, units):
        super().__init__()
        self.norm, self.hidden = L.LayerNormalization(), L.Dense(9, activation="gelu")
        self.out = L.Dense(units)
        self.gamma = self.add_weight(shape=(units,), initializer="ones", name="gamma")

    def call(self, x):
        return x + self.gamma * self.out(self.hidden(self.norm(x)))


class Tokens(keras.Model):
    """Class token, embedding of positions and a kernel are its own."""

    def __init__(self, join):
        super().__init__()
        self.join, self.embed = join, L.Dense(8)
        draw = {"initializer": "random_normal"}
        self.token = self.add_weight(shape=(1, 1, 8), name="token", **draw)
        self.places = self.add_weight(shape=(7, 8), name="places", **draw)
        self.blocks = [Gated(8), Gated(8)]
        self.kernels = [
            self.add_weight(shape=shape, name="kernel") for shape in ((8, 6), (6, 2))
        ]

    def call(self, x):
        token = self.join(self.token, ops.shape(x)[0])
        x = ops.concatenate([token, self.embed(x)], axis=1) + self.places
        for block in self.blocks:
            x = block(x)
        first, last = self.kernels
        return ops.matmul(ops.relu(x[:, 0] @ first), last)


@network((6, 4))
def weights_of_its_own():
    return Tokens(lambda token, batch: ops.broadcast_to(token, (batch, 1, 8)))


@network((6, 4))
def weights_of_its_own_in_tiles():
    return Tokens(lambda token, batch: ops.tile(token, (batch, 1, 1)))


@network((6, 4))
def weights_of_its_own_repeated():
    return Tokens(lambda token, batch: ops.repeat(token, batch, axis=0))


class Latents(keras.Model):
    """Weights of its own, once per sample, ask what it is called on."""

    def __init__(self):
        super().__init__()
        draw = {"initializer": "random_normal"}
        self.latents = self.add_weight(shape=(3, 8), name="latents", **draw)
        self.places = self.add_weight(shape=(9, 8), name="places", **draw)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.embed, self.out = L.Dense(8), L.Dense(2)
        self.attention = L.MultiHeadAttention(2, 4)

    def call(self, x):
        x = self.embed(x) + self.places[: x.shape[1]]
        latents = ops.broadcast_to(self.latents[None], (ops.shape(x)[0], 3, 8))
        first = ops.broadcast_to(x[:, :1], (ops.shape(x)[0], 3, 8))
        return self.out(self.attention(latents + first, x)) * ops.exp(self.scale)


@network((6, 4))
def latents_of_its_own():
    return Latents()


class Steps(keras.Model):
    """A loop over a cell, by hand."""

    def __init__(self):
        super().__init__()
        self.cell, self.out = L.LSTMCell(5), L.Dense(2)

    def call(self, x):
        states = [ops.zeros((ops.shape(x)[0], 5))] * 2
        for n in range(x.shape[1]):
            y, states = self.cell(x[:, n], states)
        return self.out(y)


@network((6, 4))
def cell_in_a_loop():
    return Steps()


class Padded(L.Layer):
    """It builds a chain for larger images than it calls it on."""

    def __init__(self):
        super().__init__()
        self.chain = keras.Sequential([L.Conv2D(4, 3), L.BatchNormalization()])

    def build(self, shape):
        self.chain.build((None, 10, 10, shape[-1]))

    def call(self, x, training=None):
        return ops.relu(self.chain(x, training=training))


@network((8, 8, 3))
def chain_built_for_other_shapes():
    return keras.Sequential([keras.Input((8, 8, 3)), Padded(), L.Flatten(), L.Dense(2)])


class Bank(L.Layer):
    """It looks words up in an embedding that others use as well."""

    def __init__(self, embedding, **kwargs):
        super().__init__(**kwargs)
        self.embedding, self.dense = embedding, L.Dense(3)

    def call(self, x):
        return self.dense(self.embedding(x))


class Shared(keras.Model):
    def __init__(self):
        super().__init__()
        embedding = L.Embedding(9, 4)
        self.banks = [Bank(embedding), Bank(embedding)]
        self.pool, self.head = L.GlobalAveragePooling1D(), L.Dense(2)

    def call(self, inputs):
        banks = zip(self.banks, (inputs["one"], inputs["other"]))
        return self.head(self.pool(L.add([bank(x) for bank, x in banks])))


@network(one=9, other=9)
def layer_in_two_layers():
    return Shared()


@network((4,))
def subclass_of_a_functional_model():
    class Named(keras.Model):
        def __init__(self, width, **kwargs):
            x = keras.Input((4,))
            super().__init__(x, Tower(width)(L.Dense(width)(x)), **kwargs)

    return Named(3)


@network((4,))
def layer_in_a_chain_and_beside_it():
    shared, x = L.Dense(4, "relu"), keras.Input((4,))
    chain = keras.Sequential([keras.Input((4,)), shared, L.Dense(4)])
    whole = keras.Model(chain.inputs, L.Dense(4)(chain(chain.inputs[0])))
    return keras.Model(x, L.Dense(2)(whole(x) + shared(x)))


class Penalized(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.out = L.Dense(6, "relu"), L.Dense(4)

    def call(self, x):
        x = self.dense(x)
        self.add_loss(0.1 * ops.sum(x**2))
        return self.out(x)


@network((4,))
def losses_in_calls():
    class Losses(keras.Model):
        def __init__(self):
            super().__init__()
            self.block = Penalized(activity_regularizer="l1")
            self.hidden, self.out = L.Dense(6, "relu"), L.Dense(2)

        def call(self, x):
            x = self.hidden(self.block(x))
            self.add_loss([ops.sum(x), ops.sum(ops.abs(x))])
            return self.out(x)

    return Losses()


class Tied(keras.Model):
    """Predicts words by the table that embeds them: ``turned`` makes a kernel of it."""

    def __init__(self, turned):
        super().__init__()
        self.backbone = Embedded()
        self.turned = turned

    def call(self, inputs):
        return self.turned(self.backbone(inputs["words"]), self.backbone.table)


class Embedded(L.Layer):
    def __init__(self):
        super().__init__()
        self.table, self.dense = L.Embedding(10, 8), L.Dense(8, activation="relu")

    def call(self, x):
        return self.dense(ops.mean(self.table(x), axis=1))


@network(words=10)
def tied_to_an_embedding():
    return Tied(lambda h, table: ops.matmul(h, ops.transpose(table.embeddings)))


@network(words=10)
def tied_by_einsum_and_of_unit_norm():
    def turned(h, table):
        norms = ops.sqrt(ops.sum(ops.square(table.embeddings), axis=-1))
        return ops.einsum("bd,vd->bv", h, table.embeddings) / norms

    return Tied(turned)


class Recurrent(keras.Model):
    """A recurrent network of dense layers, whose states begin with zeros."""

    def __init__(self):
        super().__init__()
        self.gates = [L.Dense(8) for _ in range(3)]
        self.out = L.Dense(2)

    def call(self, x):
        state = memory = ops.zeros((ops.shape(x)[0], 8))
        for step in range(x.shape[1]):
            read = ops.concatenate([x[:, step], state], axis=-1)
            forget, give, new = (gate(read) for gate in self.gates)
            memory = ops.sigmoid(forget) * memory + ops.tanh(new)
            state = ops.sigmoid(give) * ops.tanh(memory)
        return self.out(state)


@network((5, 3))
def recurrent_by_hand():
    return Recurrent()


class Filled(keras.Model):
    """A shortcut to more channels, filled with zeros."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.out = L.Dense(4), L.Dense(8), L.Dense(2)

    def call(self, x):
        x = ops.relu(self.first(x))
        more = ops.zeros((ops.shape(x)[0], 4))
        return self.out(ops.concatenate([x, more], axis=-1) + self.second(x))


@network((5,))
def shortcut_with_zeros():
    return Filled()


class Started(keras.Model):
    """Words after a first one of number zero."""

    def __init__(self):
        super().__init__()
        self.table, self.out = L.Embedding(10, 8), L.Dense(2)

    def call(self, inputs):
        words = ops.cast(inputs["words"], "int32")
        start = ops.zeros((ops.shape(words)[0], 1), dtype="int32")
        words = ops.concatenate([start, words], axis=1)
        return self.out(ops.mean(self.table(words), axis=1))


@network(words=10)
def words_after_a_start():
    return Started()
