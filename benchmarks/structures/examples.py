"""Networks as in the examples on keras.io, written anew and small, each trained to half its MACs.

Each is a script's network with its data: ``fit`` under Nestrade is all that is added.
"""

import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers as L
from keras import ops

from benchmarks.structures.rows import Row
from nestrade_lib import Nestrade, Schedule
from nestrade_lib.dependency import group_channels

NETWORKS = {}
_RNG = np.random.default_rng(0)
_ROWS = 64


def example(build):
    """Add a function that returns a compiled network, its inputs and its targets."""
    NETWORKS[build.__name__.replace("_", " ")] = build
    return build


def images(size=12, channels=3):
    return _RNG.random((_ROWS, size, size, channels), dtype="float32")


def words(length=8, count=20):
    return _RNG.integers(1, count, (_ROWS, length))


def classes(count=3, shape=()):
    return _RNG.integers(0, count, (_ROWS, *shape))


def numbers(*shape):
    return _RNG.normal(size=(_ROWS, *shape)).astype("float32")


def classifier(network):
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


# Images ---------------------------------------------------------------------------


@example
def simple_convnet():
    network = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            L.Conv2D(8, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(12, 3, activation="relu"),
            L.Flatten(),
            L.Dropout(0.5),
            L.Dense(3, activation="softmax"),
        ]
    )
    return classifier(network), images(channels=1), classes()


@example
def image_classification_from_scratch():
    x = keras.Input((16, 16, 3))
    y = L.Conv2D(8, 3, 2, padding="same")(L.Rescaling(1.0 / 255)(x))
    y = before = L.Activation("relu")(L.BatchNormalization()(y))
    for width in (12, 16):
        for _ in range(2):
            y = L.SeparableConv2D(width, 3, padding="same")(L.Activation("relu")(y))
            y = L.BatchNormalization()(y)
        y = L.MaxPooling2D(3, 2, padding="same")(y)
        y = before = L.add([y, L.Conv2D(width, 1, 2, padding="same")(before)])
    y = L.Dense(3, "softmax")(L.Dropout(0.2)(L.GlobalAveragePooling2D()(y)))
    return classifier(keras.Model(x, y)), images(16), classes()


class Patches(L.Layer):
    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, x):
        patches = ops.image.extract_patches(x, size=self.size)
        rows, columns, width = patches.shape[1:]
        return ops.reshape(patches, (-1, rows * columns, width))


class PatchEncoder(L.Layer):
    def __init__(self, count, width, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.projection = L.Dense(width)
        self.position = L.Embedding(count, width)

    def call(self, patches):
        places = ops.expand_dims(ops.arange(0, self.count, 1), 0)
        return self.projection(patches) + self.position(places)


@example
def vision_transformer():
    x = keras.Input((12, 12, 3))
    y = PatchEncoder(9, 12)(Patches(4)(x))
    for _ in range(2):
        normed = L.LayerNormalization(epsilon=1e-6)(y)
        y = L.Add()([L.MultiHeadAttention(2, 6, dropout=0.1)(normed, normed), y])
        hidden = L.LayerNormalization(epsilon=1e-6)(y)
        hidden = L.Dense(24, keras.activations.gelu)(hidden)
        y = L.Add()([L.Dense(12)(hidden), y])
    y = L.Dropout(0.5)(L.Flatten()(L.LayerNormalization(epsilon=1e-6)(y)))
    y = L.Dense(3, "softmax")(L.Dense(24, keras.activations.gelu)(y))
    return classifier(keras.Model(x, y)), images(), classes()


@example
def mlp_mixer():
    x = keras.Input((12, 12, 3))
    y = L.Dense(12)(Patches(4)(x))
    for _ in range(2):
        mixed = ops.transpose(L.LayerNormalization()(y), (0, 2, 1))
        mixed = L.Dense(9)(L.Dense(16, "gelu")(mixed))
        y = y + ops.transpose(mixed, (0, 2, 1))
        y = y + L.Dense(12)(L.Dense(24, "gelu")(L.LayerNormalization()(y)))
    y = L.Dense(3, "softmax")(L.GlobalAveragePooling1D()(y))
    return classifier(keras.Model(x, y)), images(), classes()


@example
def convmixer():
    x = keras.Input((12, 12, 3))
    y = L.BatchNormalization()(L.Activation("gelu")(L.Conv2D(12, 2, 2)(x)))
    for _ in range(2):
        mixed = L.DepthwiseConv2D(3, padding="same")(y)
        y = L.Add()([L.BatchNormalization()(L.Activation("gelu")(mixed)), y])
        y = L.BatchNormalization()(L.Activation("gelu")(L.Conv2D(12, 1)(y)))
    y = L.Dense(3, "softmax")(L.GlobalAveragePooling2D()(y))
    return classifier(keras.Model(x, y)), images(), classes()


@example
def image_segmentation():
    x = keras.Input((16, 16, 3))
    y = before = L.BatchNormalization()(L.Conv2D(8, 3, 2, padding="same")(x))
    for width in (12, 16):
        y = L.SeparableConv2D(width, 3, padding="same")(L.Activation("relu")(y))
        y = L.MaxPooling2D(3, 2, padding="same")(L.BatchNormalization()(y))
        y = before = L.add([y, L.Conv2D(width, 1, 2, padding="same")(before)])
    for width in (16, 12, 8):
        y = L.Conv2DTranspose(width, 3, padding="same")(L.Activation("relu")(y))
        y = L.UpSampling2D()(L.BatchNormalization()(y))
        shortcut = L.Conv2D(width, 1, padding="same")(L.UpSampling2D()(before))
        y = before = L.add([y, shortcut])
    y = L.Conv2D(3, 3, activation="softmax", padding="same")(y)
    return classifier(keras.Model(x, y)), images(16), classes(3, (16, 16))


@example
def unet_with_skips():
    x = keras.Input((16, 16, 3))
    first = L.Conv2D(8, 3, padding="same", activation="relu")(x)
    second = L.Conv2D(12, 3, padding="same", activation="relu")(L.MaxPooling2D()(first))
    y = L.Conv2DTranspose(8, 2, 2)(second)
    y = L.Conv2D(8, 3, padding="same", activation="relu")(L.concatenate([y, first]))
    return (
        classifier(keras.Model(x, L.Conv2D(3, 1, activation="softmax")(y))),
        images(16),
        classes(3, (16, 16)),
    )


@example
def super_resolution():
    x = keras.Input((8, 8, 1))
    y = L.Conv2D(16, 5, activation="relu", padding="same")(x)
    y = L.Conv2D(12, 3, activation="relu", padding="same")(y)
    y = L.Conv2D(4, 3, activation="relu", padding="same")(y)
    y = ops.reshape(y, (-1, 8, 8, 2, 2, 1))
    y = ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, 16, 16, 1))
    network = keras.Model(x, y)
    network.compile("adam", "mse")
    return network, images(8, 1), images(16, 1)


@example
def denoising_autoencoder():
    x = keras.Input((12, 12, 1))
    y = L.MaxPooling2D()(L.Conv2D(12, 3, activation="relu", padding="same")(x))
    y = L.MaxPooling2D()(L.Conv2D(12, 3, activation="relu", padding="same")(y))
    y = L.Conv2DTranspose(12, 3, 2, activation="relu", padding="same")(y)
    y = L.Conv2DTranspose(12, 3, 2, activation="relu", padding="same")(y)
    network = keras.Model(x, L.Conv2D(1, 3, activation="sigmoid", padding="same")(y))
    network.compile("adam", "binary_crossentropy")
    data = images(12, 1)
    return network, data, data


class Sampling(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        mean, spread = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * spread) * noise


class Vae(keras.Model):
    """With the loss of its latent code in ``compute_loss``."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([L.Dense(24, "relu"), L.Dense(12, "relu")])
        self.mean, self.spread, self.sample = L.Dense(2), L.Dense(2), Sampling()
        self.decoder = keras.Sequential([L.Dense(24, "relu"), L.Dense(8)])

    def call(self, x):
        code = self.encoder(x)
        mean, spread = self.mean(code), self.spread(code)
        return self.decoder(self.sample([mean, spread])), mean, spread

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **options):
        found, mean, spread = y_pred
        distance = ops.mean(ops.sum(ops.square(y - found), -1))
        code = -0.5 * (1 + spread - ops.square(mean) - ops.exp(spread))
        return distance + ops.mean(ops.sum(code, -1))


@example
def variational_autoencoder():
    network, data = Vae(), numbers(8)
    network(data[:2])
    network.compile("adam", loss="mse")
    return network, data, data


# Text -----------------------------------------------------------------------------


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


# Series, tables, pairs --------------------------------------------------------------


@example
def timeseries_classification_convnet():
    x = y = keras.Input((16, 1))
    for _ in range(3):
        y = L.ReLU()(L.BatchNormalization()(L.Conv1D(12, 3, padding="same")(y)))
    y = L.Dense(3, "softmax")(L.GlobalAveragePooling1D()(y))
    return classifier(keras.Model(x, y)), numbers(16, 1), classes()


@example
def timeseries_transformer():
    x = y = keras.Input((16, 1))
    for _ in range(2):
        z = L.Dropout(0.1)(L.MultiHeadAttention(key_dim=8, num_heads=2)(y, y))
        z = res = L.LayerNormalization(epsilon=1e-6)(z) + y
        z = L.Conv1D(8, 1, activation="relu")(z)
        y = L.LayerNormalization(epsilon=1e-6)(L.Conv1D(1, 1)(z)) + res
    y = L.GlobalAveragePooling1D(data_format="channels_last")(y)
    y = L.Dense(3, "softmax")(L.Dense(16, activation="relu")(y))
    return classifier(keras.Model(x, y)), numbers(16, 1), classes()


@example
def timeseries_anomaly_autoencoder():
    network = keras.Sequential(
        [
            keras.Input((16, 1)),
            L.Conv1D(12, 7, padding="same", strides=2, activation="relu"),
            L.Dropout(0.2),
            L.Conv1D(8, 7, padding="same", strides=2, activation="relu"),
            L.Conv1DTranspose(8, 7, padding="same", strides=2, activation="relu"),
            L.Conv1DTranspose(12, 7, padding="same", strides=2, activation="relu"),
            L.Conv1DTranspose(1, 7, padding="same"),
        ]
    )
    network.compile("adam", "mse")
    data = numbers(16, 1)
    return network, data, data


@example
def weather_forecasting_lstm():
    x = keras.Input((8, 5))
    network = keras.Model(x, L.Dense(1)(L.LSTM(16)(x)))
    network.compile("adam", "mse")
    return network, numbers(8, 5), numbers(1)


@example
def wide_deep_and_cross():
    x = keras.Input((8,))
    cross = x0 = L.BatchNormalization()(x)
    for _ in range(2):
        cross = x0 * L.Dense(8)(cross) + cross
    deep = x
    for width in (16, 12):
        deep = L.Dropout(0.1)(L.ReLU()(L.BatchNormalization()(L.Dense(width)(deep))))
    y = L.Dense(3, "softmax")(L.concatenate([cross, deep]))
    return classifier(keras.Model(x, y)), numbers(8), classes()


@example
def gated_residual_table():
    x = keras.Input((8,))
    y = L.Dense(12)(x)
    for _ in range(2):
        hidden = L.Dropout(0.1)(L.Dense(12)(L.Dense(12, "elu")(y)))
        gate = L.Dense(12, "sigmoid")(hidden) * L.Dense(12)(hidden)
        y = L.LayerNormalization()(y + gate)
    network = keras.Model(x, L.Dense(1, "sigmoid")(y))
    network.compile("adam", "binary_crossentropy")
    return network, numbers(8), classes(2)


class Siamese(keras.Model):
    """Triplets, with the loss and its metric in ``compute_loss``."""

    def __init__(self, margin=0.5):
        super().__init__()
        self.tower = keras.Sequential(
            [
                L.Dense(16, "relu"),
                L.BatchNormalization(),
                L.Dense(12, "relu"),
                L.Dense(4),
            ]
        )
        self.margin, self.tracker = margin, keras.metrics.Mean(name="far")

    def call(self, inputs):
        near, same, other = (self.tower(x) for x in inputs)
        pairs = [ops.sum(ops.square(near - x), -1) for x in (same, other)]
        return ops.stack(pairs, axis=-1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **options):
        self.tracker.update_state(y_pred[:, 1])
        return ops.mean(ops.maximum(y_pred[:, 0] - y_pred[:, 1] + self.margin, 0.0))

    @property
    def metrics(self):
        return [*super().metrics, self.tracker]


@example
def siamese_with_triplets():
    network, data = Siamese(), [numbers(8) for _ in range(3)]
    network([x[:2] for x in data])
    network.compile("adam", loss="mse")
    return network, data, np.zeros((_ROWS, 2), "float32")


@example
def siamese_contrastive():
    hidden = [L.Dense(16, "tanh"), L.Dense(6, "tanh")]
    tower = keras.Sequential([keras.Input((8,)), L.BatchNormalization(), *hidden])
    inputs = [keras.Input((8,)) for _ in range(2)]
    one, other = map(tower, inputs)
    squares = ops.sum(ops.square(one - other), axis=1, keepdims=True)
    y = ops.sqrt(ops.maximum(squares, keras.config.epsilon()))
    y = L.Dense(1, "sigmoid")(L.BatchNormalization()(y))
    network = keras.Model(inputs, y)
    network.compile("adam", "binary_crossentropy")
    return network, [numbers(8), numbers(8)], classes(2)


# What becomes of them ------------------------------------------------------------------


def train(name, kind, build, seed=1):
    """The row of an example: fitted to half of its MACs, saved, and loaded by Keras alone."""
    keras.utils.set_random_seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _trained(name, kind, *build())
    except Exception as error:  # whatever it is: the row names it
        message = str(error).strip().splitlines() or [""]
        return Row(name, kind, f"{type(error).__name__}: {message[0][:200]}")


def outputs(network, x):
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(network(x))]


def _trained(name, kind, network, x, y):
    network.run_eagerly = keras.backend.backend() == "tensorflow"
    schedule = Schedule(start=0.25, stop=0.5, cuts=1, shrink=2, max_pruning_ratio=1)
    trainer = Nestrade(network, 0.5, schedule=schedule)
    trainer.fit(x, y, batch_size=16, epochs=3, verbose=0)
    share = trainer.costs.macs / trainer.dense_costs.macs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "smaller.keras"
        trainer.save(path)
        loaded = keras.models.load_model(path, custom_objects={"Sampling": Sampling})
    before, again, after = (outputs(made, x) for made in (trainer, trainer, loaded))
    repeated = [n for n, y in enumerate(before) if np.array_equal(y, again[n])]
    scale = max(np.abs(before[n]).max() for n in repeated)
    difference = max(np.abs(before[n] - after[n]).max() for n in repeated) / scale
    graph = group_channels(trainer.network)
    stays = "; ".join(filter(None, [graph.causes, *graph.unsupported.values()]))
    outcome = "cut" if trainer.met else "budget missed"
    return Row(name, kind, outcome, round(share, 3), float(f"{difference:.1e}"), stays)
