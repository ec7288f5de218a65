"""Subclassed networks as the examples on keras.io have them."""

import keras
from keras import layers as L
from keras import ops

from tests.support.unrolling.cases import network


class TokenAndPosition(L.Layer):
    def __init__(self, length, words, width, **kwargs):
        super().__init__(**kwargs)
        self.token = L.Embedding(words, width)
        self.position = L.Embedding(length, width)

    def call(self, x):
        positions = ops.arange(start=0, stop=ops.shape(x)[-1], step=1)
        return self.token(x) + self.position(positions)


class TransformerBlock(L.Layer):
    def __init__(self, width, heads, hidden, rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.attention = L.MultiHeadAttention(heads, width)
        self.feed = keras.Sequential([L.Dense(hidden, "relu"), L.Dense(width)])
        self.norms = [L.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.drops = [L.Dropout(rate) for _ in range(2)]

    def call(self, x, training=False):
        y = self.drops[0](self.attention(x, x), training=training)
        x = self.norms[0](x + y)
        y = self.drops[1](self.feed(x), training=training)
        return self.norms[1](x + y)


class Classifier(keras.Model):
    def __init__(self):
        super().__init__(name="classifier")
        self.embed = TokenAndPosition(10, 20, 8)
        self.blocks = [TransformerBlock(8, 2, 12) for _ in range(2)]
        self.pool = L.GlobalAveragePooling1D()
        self.head = keras.Sequential([L.Dropout(0.0), L.Dense(3, "softmax")])

    def call(self, x, training=None):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(self.pool(x), training=training)


@network((10,), words=20)
def text_classifier():
    return Classifier()


@network((10,), words=20)
def text_classifier_of_composite_layers():
    x = keras.Input((10,), dtype="int32")
    y = TransformerBlock(8, 2, 12)(TokenAndPosition(10, 20, 8)(x))
    return keras.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(y)))


class PositionalEmbedding(L.Layer):
    """Its mask is its own: the sum of two embeddings has none."""

    def __init__(self, length, words, width):
        super().__init__()
        self.token = L.Embedding(words, width, mask_zero=True)
        self.position = L.Embedding(length, width)

    def call(self, x):
        return self.token(x) + self.position(ops.arange(0, x.shape[-1]))

    def compute_mask(self, x, mask=None):
        return self.token.compute_mask(x)


class Encoder(L.Layer):
    def __init__(self, width):
        super().__init__()
        self.attention = L.MultiHeadAttention(2, width)
        self.dense = L.Dense(width)
        self.supports_masking = True

    def call(self, x, mask=None):
        if mask is not None:
            mask = ops.cast(mask[:, None, :], "int32")
        return self.dense(x + self.attention(x, x, attention_mask=mask))


class Decoder(L.Layer):
    def __init__(self, width):
        super().__init__()
        self.attention = L.MultiHeadAttention(2, width)
        self.supports_masking = True

    def call(self, x, memory, memory_mask=None):
        if memory_mask is not None:
            memory_mask = ops.cast(memory_mask[:, None, :], "int32")
        return x + self.attention(x, memory, attention_mask=memory_mask)


class Translator(keras.Model):
    def __init__(self):
        super().__init__()
        self.sources, self.targets = (PositionalEmbedding(6, 12, 8) for _ in range(2))
        self.encode, self.decode = Encoder(8), Decoder(8)
        self.gist, self.words = L.LSTM(5), L.Dense(12)

    def call(self, inputs):
        memory = self.encode(self.sources(inputs["source"]))
        x = self.decode(self.targets(inputs["target"]), memory)
        return {"words": self.words(x), "gist": self.gist(x)}


@network(source=12, target=12)
def translator_with_masks():
    return Translator()


class Sampling(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(1)

    def call(self, inputs):
        mean, spread = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed)
        return mean + ops.exp(0.5 * spread) * noise


class AutoEncoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([L.Dense(7, "relu"), L.Dense(5, "relu")])
        self.mean, self.spread, self.sample = L.Dense(2), L.Dense(2), Sampling()
        self.outer = keras.Sequential([L.Dense(7, "relu"), L.Dense(4)])

    def call(self, x):
        x = self.inner(x)
        mean, spread = self.mean(x), self.spread(x)
        return mean, spread, self.outer(self.sample([mean, spread]))


@network((4,), whole=False)
def autoencoder():
    return AutoEncoder()


class Tower(keras.Model):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.hidden = L.Dense(width, "relu", name="hidden")
        self.out = L.Dense(width, name="out")

    def call(self, x):
        return self.out(self.hidden(x))


class Siamese(keras.Model):
    def __init__(self):
        super().__init__()
        self.tower, self.score = Tower(5), L.Dense(1, "sigmoid")

    def call(self, inputs):
        one, other = (self.tower(x) for x in inputs)
        return self.score(ops.abs(one - other))


@network((4,), (4,))
def siamese():
    return Siamese()


class Separable(L.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.steps = []
        for _ in range(2):
            conv = L.SeparableConv2D(filters, 3, padding="same", use_bias=False)
            self.steps += [L.BatchNormalization(), L.Activation("relu"), conv]
        self.pool = L.MaxPooling2D(3, strides=2, padding="same")
        self.shortcut = L.Conv2D(filters, 1, strides=2, padding="same")

    def call(self, x):
        y = x
        for step in self.steps:
            y = step(y)
        return L.add([self.pool(y), self.shortcut(x)])


@network((16, 16, 3))
def mini_xception():
    x = keras.Input((16, 16, 3))
    y = keras.Sequential([L.Rescaling(1 / 255), L.Conv2D(6, 5)])(x)
    for filters in (6, 8):
        y = Separable(filters)(y)
    y = L.Dropout(0.0)(L.GlobalAveragePooling2D()(y))
    return keras.Model(x, L.Dense(1)(y))
