"""Branches that meet: sums, products, concatenations, slices."""

import keras
from keras import layers as L
from keras import ops

from tests.support.structure_cases.registry import case, image, network

# Merges -------------------------------------------------------------------------


@case(8)
def residual_identity_and_projection():
    x = keras.Input((6, 6, 2))
    y = L.Conv2D(5, 3, padding="same", activation="relu")(x)
    z = L.Conv2D(3, 3, padding="same", activation="relu")(y)
    z = L.Conv2D(5, 3, padding="same")(z)
    y = L.Add()([y, z, L.Conv2D(5, 1)(x)])
    return network(x, L.Dense(2)(L.Flatten()(y)))


@case(17)
def dense_block():
    x = keras.Input((6, 6, 2))
    y = L.Conv2D(5, 3, padding="same", activation="relu")(x)
    for _ in range(3):
        z = L.BatchNormalization()(y)
        z = L.Conv2D(4, 3, padding="same", activation="relu")(z)
        y = L.Concatenate()([y, z])
    return network(x, L.Dense(2)(L.GlobalAveragePooling2D()(y)))


@case(6)
def concatenated_with_itself():
    x = keras.Input((4,))
    y = L.Dense(6, activation="relu")(x)
    return network(x, L.Dense(2)(L.Concatenate()([y, y])))


@case(6)
def concatenated_with_the_input():
    x = keras.Input((4,))
    y = L.Dense(6, activation="relu")(x)
    return network(x, L.Dense(2)(L.Concatenate()([x, y, x])))


@case(18)
def arithmetic():
    x = keras.Input((4,))
    y, z, w = (L.Dense(6, activation=f)(x) for f in ("relu", "tanh", "relu"))
    y = L.Multiply()([L.Subtract()([y, z]), L.Maximum()([z, w])])
    a, b = L.Dense(6)(x), L.Dense(6)(x)
    y = L.Concatenate()([y, L.Average()([a, b]), L.Minimum()([a, L.Dense(6)(x)])])
    return network(x, L.Dense(2)(L.Dense(6)(y)))


@case(10)
def squeeze_and_excite():
    x = keras.Input((6, 6, 2))
    y = L.Conv2D(6, 3, activation="swish")(x)
    s = L.GlobalAveragePooling2D(keepdims=True)(y)
    s = L.Conv2D(4, 1, activation="relu")(s)
    s = L.Conv2D(6, 1, activation="sigmoid")(s)
    y = L.Multiply()([y, s])
    return network(x, L.Dense(2)(L.Flatten()(y)))


@case(7)
def spatial_attention():
    x = keras.Input((6, 6, 2))
    y = L.Conv2D(6, 3, activation="relu")(x)
    y = y * L.Conv2D(1, 1, activation="sigmoid")(y)
    return network(x, L.Dense(2)(L.Flatten()(y)))


@case(10)
def split_and_sliced():
    x = keras.Input((5, 5, 2))
    y = L.Conv2D(10, 3, activation="relu")(x)
    a, b = ops.split(y, [4], axis=-1)
    c, d = y[..., :3], y[..., 3:]
    y = ops.concatenate([b, L.Conv2D(3, 1)(a) + c, d], axis=-1)
    return network(x, L.Dense(2)(L.Flatten()(y)))


@case(3)
def split_in_halves_that_are_added():
    x = keras.Input((5,))
    a, b = ops.split(L.Dense(6, "relu")(x), 2, axis=-1)
    return network(x, L.Dense(2)(a + b))


@case(12)
def operations():
    x = keras.Input((6, 6, 2))
    y = ops.relu(L.Conv2D(6, 3)(x))
    z = L.ReLU(6.0)(y + 3.0) * (1.0 / 6.0)
    y = ops.reshape(y * z, (-1, 4 * 4 * 6))
    y = L.Dense(6)(y) / 2.0 - 0.0
    return network(x, L.Dense(2)(ops.expand_dims(ops.tanh(y), 1)))


@case(27)
def powers_and_logarithms():
    x = keras.Input((4,))
    a, b, c, d = (L.Dense(6)(x) for _ in "abcd")
    logarithm = ops.log(ops.square(d) + 2.0)
    y = ops.concatenate([a**2, 0.5**b, ops.power(c, 3), logarithm], axis=-1)
    return network(x, L.Dense(2)(L.Dense(3, "relu")(y)))


@case(9)
def infinite_at_zero():
    """What would be infinite once a channel is cut is never cut."""
    x = keras.Input((4,))
    y = L.Dense(6, activation="relu")(x)
    far = [ops.log(ops.abs(L.Dense(2)(y))), ops.power(L.Dense(2)(y), -1)]
    y = L.Dense(3)(ops.concatenate([*far, 1.0 / L.Dense(2)(y)], axis=-1))
    return network(x, L.Dense(2)(y))


@case(12)
def repeated():
    x = keras.Input((6, 3))
    y = ops.repeat(L.Dense(4, activation="relu")(x), 2, axis=-1)
    z = ops.repeat(L.Dense(8, activation="relu")(x), [1, 2, 1, 1, 3, 1], axis=1)
    return network(x, [L.Dense(2)(y), L.Dense(2)(z)])


@case(9)
def resized():
    return image(
        L.Conv2D(5, 3, activation="relu"),
        L.Resizing(5, 7),
        L.Conv2D(4, 3, activation="relu"),
        L.Resizing(4, 4, interpolation="nearest", pad_to_aspect_ratio=True),
    )


@case(4)
def resized_beside_a_border_of_ones():
    return image(
        L.Conv2D(5, 3, activation="relu"),
        L.Resizing(5, 7, pad_to_aspect_ratio=True, fill_value=1.0),
        L.Conv2D(4, 3, activation="relu"),
    )


@case(6)
def dotted():
    x = keras.Input((4,))
    y = L.Dot(-1)([L.Dense(6)(x), L.Dense(6, activation="relu")(x)])
    return network(x, L.Dense(2)(y))
