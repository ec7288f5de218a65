"""Images: classified, segmented, enlarged, coded."""

import keras
from keras import layers as L
from keras import ops

from benchmarks.structures.examples.data import (
    classes,
    classifier,
    example,
    images,
    numbers,
)


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
