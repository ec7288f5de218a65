"""Text and sequences: classified, translated, continued."""

import keras
from keras import layers as L
from keras import ops

from benchmarks.structures.examples.data import (
    classes,
    classifier,
    example,
    numbers,
    words,
)


class TransformerBlock(L.Layer):
    def __init__(self, width, heads, hidden, rate=0.1):
        super().__init__()
        self.attention = L.MultiHeadAttention(num_heads=heads, key_dim=width)
        self.feed = keras.Sequential(
            [L.Dense(hidden, activation="relu"), L.Dense(width)]
        )
        self.norms = [L.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.drops = [L.Dropout(rate) for _ in range(2)]

    def call(self, x):
        x = self.norms[0](x + self.drops[0](self.attention(x, x)))
        return self.norms[1](x + self.drops[1](self.feed(x)))


class TokenAndPosition(L.Layer):
    def __init__(self, length, count, width):
        super().__init__()
        self.token = L.Embedding(input_dim=count, output_dim=width)
        self.position = L.Embedding(input_dim=length, output_dim=width)

    def call(self, x):
        positions = ops.arange(start=0, stop=ops.shape(x)[-1], step=1)
        return self.token(x) + self.position(positions)


@example
def text_classification_with_transformer():
    x = keras.Input((8,))
    y = TransformerBlock(8, 2, 16)(TokenAndPosition(8, 20, 8)(x))
    y = L.Dropout(0.1)(L.GlobalAveragePooling1D()(y))
    y = L.Dropout(0.1)(L.Dense(12, activation="relu")(y))
    return (
        classifier(keras.Model(x, L.Dense(2, activation="softmax")(y))),
        words(),
        classes(2),
    )


class TextClassifier(keras.Model):
    def __init__(self):
        super().__init__()
        self.embed = TokenAndPosition(8, 20, 8)
        self.blocks = [TransformerBlock(8, 2, 16) for _ in range(2)]
        self.pool, self.head = L.GlobalAveragePooling1D(), L.Dense(2, "softmax")

    def call(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.pool(x))


@example
def subclassed_transformer():
    network = TextClassifier()
    network(words()[:2])
    return classifier(network), words(), classes(2)


@example
def bidirectional_lstm():
    x = keras.Input((8,), dtype="int32")
    y = L.Embedding(20, 12)(x)
    y = L.Bidirectional(L.LSTM(8, return_sequences=True))(y)
    y = L.Bidirectional(L.LSTM(8))(y)
    network = keras.Model(x, L.Dense(1, activation="sigmoid")(y))
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return network, words(), classes(2)


@example
def text_classification_from_scratch():
    x = keras.Input((16,), dtype="int64")
    y = L.Dropout(0.5)(L.Embedding(20, 12)(x))
    y = L.Conv1D(12, 3, padding="valid", activation="relu", strides=2)(y)
    y = L.Conv1D(12, 3, padding="valid", activation="relu", strides=2)(y)
    y = L.Dropout(0.5)(L.Dense(12, activation="relu")(L.GlobalMaxPooling1D()(y)))
    network = keras.Model(x, L.Dense(1, activation="sigmoid", name="predictions")(y))
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return network, words(16), classes(2)


@example
def fnet_for_text():
    x = keras.Input((8,), dtype="int32")
    y = TokenAndPosition(8, 20, 8)(x)
    for _ in range(2):
        mixed, _ = ops.fft2((y, ops.zeros_like(y)))
        y = L.LayerNormalization()(y + mixed)
        y = L.LayerNormalization()(y + L.Dense(8)(L.Dense(24, "relu")(y)))
    y = L.Dense(2, "softmax")(L.GlobalAveragePooling1D()(y))
    return classifier(keras.Model(x, y)), words(), classes(2)


@example
def seq2seq_lstm():
    source, target = keras.Input((6, 5)), keras.Input((7, 4))
    _, *states = L.LSTM(12, return_state=True)(source)
    y = L.LSTM(12, return_sequences=True)(target, initial_state=states)
    network = keras.Model([source, target], L.Dense(4, activation="softmax")(y))
    return classifier(network), [numbers(6, 5), numbers(7, 4)], classes(4, (7,))


@example
def addition_rnn():
    network = keras.Sequential(
        [
            keras.Input((7, 12)),
            L.LSTM(16),
            L.RepeatVector(4),
            L.LSTM(16, return_sequences=True),
            L.Dense(12, activation="softmax"),
        ]
    )
    return classifier(network), numbers(7, 12), classes(12, (4,))


class Decoder(L.Layer):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.attention = L.MultiHeadAttention(heads, width)
        self.feed = keras.Sequential([L.Dense(hidden, "relu"), L.Dense(width)])
        self.norms = [L.LayerNormalization() for _ in range(2)]

    def call(self, x):
        y = self.attention(x, x, use_causal_mask=True)
        x = self.norms[0](x + y)
        return self.norms[1](x + self.feed(x))


@example
def text_generation_miniature_gpt():
    x = keras.Input((8,), dtype="int32")
    y = Decoder(8, 2, 24)(TokenAndPosition(8, 20, 8)(x))
    network = keras.Model(x, L.Dense(20, "softmax")(y))
    return classifier(network), words(), classes(20, (8,))
