"""Time series, tables, and pairs of inputs."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from benchmarks.structures.examples.data import (
    ROWS,
    classes,
    classifier,
    example,
    numbers,
)


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
    return network, data, np.zeros((ROWS, 2), "float32")


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
