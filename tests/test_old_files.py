"""Networks of Keras 2 in their own files: an .h5 of before .keras."""

import keras
import numpy as np
from keras import layers as kl

from nestrade_lib import Budget, Nestrade, Schedule, count_costs


def mini_xception():
    """Faces of 64×64×1 in, 7 moods out: like the public network of 58,000 parameters."""
    regular = {"kernel_regularizer": keras.regularizers.L2(0.01), "use_bias": False}
    separable = {
        "depthwise_regularizer": keras.regularizers.L2(0.01),
        "pointwise_regularizer": keras.regularizers.L2(0.01),
        "padding": "same",
        "use_bias": False,
    }
    x = inputs = keras.Input((64, 64, 1))
    for _ in range(2):
        x = kl.ReLU()(kl.BatchNormalization()(kl.Conv2D(8, 3, **regular)(x)))
    for width in (16, 32, 64, 128):
        residual = kl.Conv2D(width, 1, strides=2, padding="same", use_bias=False)(x)
        residual = kl.BatchNormalization()(residual)
        x = kl.BatchNormalization()(kl.SeparableConv2D(width, 3, **separable)(x))
        x = kl.BatchNormalization()(
            kl.SeparableConv2D(width, 3, **separable)(kl.ReLU()(x))
        )
        x = kl.Add()([kl.MaxPooling2D(3, strides=2, padding="same")(x), residual])
    x = kl.GlobalAveragePooling2D()(kl.Conv2D(7, 3, padding="same")(x))
    return keras.Model(inputs, kl.Activation("softmax", name="predictions")(x))


def test_a_mini_xception_in_h5_is_halved_and_answers_alike_when_reloaded(tmp_path):
    keras.utils.set_random_seed(0)
    old = tmp_path / "emotions.hdf5"
    mini_xception().save(old)
    network = keras.models.load_model(old, compile=False)
    assert 50_000 < network.count_params() < 100_000
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    y = rng.integers(0, 7, 64)
    x = rng.random((64, 64, 64, 1), "float32") + y[:, None, None, None]
    way = Schedule(0.2, 0.8, cuts=1)
    trainer = Nestrade(network, Budget(macs=0.5), schedule=way)
    trainer.fit(x, y, batch_size=8, epochs=1, verbose=0)
    small = trainer.network
    dense = count_costs(mini_xception()).macs
    assert count_costs(small).macs <= dense / 2
    for name in ("small.keras", "small.h5"):
        small.save(tmp_path / name)
        again = keras.models.load_model(tmp_path / name, compile=False)
        np.testing.assert_allclose(
            again.predict(x[:8], verbose=0), small.predict(x[:8], verbose=0), atol=1e-6
        )
