"""Layers called twice, layers in layers, several inputs and outputs, activations."""

import keras
from keras import layers as L

from tests.support.structure_cases.registry import case, image, network, sequence

# Sharing ---------------------------------------------------------------------------


@case(16)
def layer_called_twice():
    x = keras.Input((4,))
    shared = L.Dense(6, activation="relu")
    y = shared(L.Dense(6, activation="tanh")(shared(L.Dense(6)(L.Dense(4)(x)))))
    return network(x, L.Dense(2)(y))


@case(11)
def siamese():
    x, y = keras.Input((6, 6, 2)), keras.Input((6, 6, 2))
    tower = keras.Sequential(
        [keras.Input((6, 6, 2)), L.Conv2D(5, 3, activation="relu"), L.Flatten()]
    )
    z = L.Subtract()([tower(x), tower(y)])
    return network([x, y], L.Dense(2)(L.Dense(6, activation="relu")(z)))


@case(15)
def nested_models():
    inner_x = keras.Input((6, 6, 4))
    inner_y = L.Conv2D(5, 3, activation="relu")(inner_x)
    inner = network(inner_x, [inner_y, L.Conv2D(6, 3)(inner_x)])
    x = keras.Input((8, 8, 2))
    y, z = inner(L.Conv2D(4, 3)(x))
    return network(x, L.Dense(2)(L.Concatenate()([L.Flatten()(y), L.Flatten()(z)])))


@case(10)
def time_distributed():
    return sequence(
        L.TimeDistributed(L.Conv1D(4, 2, activation="relu")),
        L.TimeDistributed(L.Flatten()),
        L.TimeDistributed(L.Dense(6, activation="relu")),
        shape=(5, 4, 3),
    )


@case(9)
def time_distributed_model():
    tower = keras.Sequential([keras.Input((4, 3)), L.Conv1D(4, 2), L.Flatten()])
    return sequence(L.TimeDistributed(tower), L.LSTM(5), shape=(5, 4, 3))


# Inputs, outputs, activations --------------------------------------------------------


@case(10)
def several_inputs_and_outputs():
    x, y = keras.Input((4,), name="x"), keras.Input((3,), name="y")
    a, b = L.Dense(6, activation="relu")(x), L.Dense(6, activation="relu")(y)
    both = L.Add()([a, b])
    seen = L.Dense(5, name="seen")(both)
    last = L.Dense(2)(L.Dense(4, activation="relu")(L.ReLU()(seen)))
    return keras.Model({"x": x, "y": y}, {"seen": seen, "last": last})


@case(17)
def activation_not_zero_at_zero():
    """What a cut sigmoid or softplus leaves is a constant in the reader's bias."""
    return image(
        L.Conv2D(5, 3, activation="sigmoid"),
        L.Conv2D(6, 3, activation="softplus"),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(6, activation="hard_sigmoid"),
    )


@case(6)
def constant_into_recurrence():
    return sequence(L.Dense(3, activation="sigmoid"), L.GRU(3), shape=(5, 3))


@case(6)
def constant_that_would_be_missed_at_the_border():
    """Sigmoid before a ``same`` convolution is kept; the ReLU after it is cut."""
    return image(
        L.Conv2D(5, 3, activation="sigmoid"),
        L.Conv2D(6, 3, padding="same", activation="relu"),
    )


@case(5)
def prelu():
    return image(L.Conv2D(5, 3), L.PReLU(shared_axes=[1, 2]), L.PReLU())


@case(4)
def softmax_over_channels_is_kept():
    return image(L.Conv2D(4, 3), L.Conv2D(5, 3), L.Softmax())


@case(6)
def dropout_and_noise():
    return image(
        L.Conv2D(6, 3, activation="relu"), L.SpatialDropout2D(0.3), L.GaussianNoise(0.1)
    )


@case(7)
def width_one():
    return image(L.Conv2D(6, 3, activation="relu"), L.Conv2D(1, 3))


@case(4 + 5)
def frozen_layers_keep_what_they_read():
    frozen = L.Conv2D(4, 3, trainable=False)
    return image(L.Conv2D(6, 3), frozen, L.Conv2D(5, 3), L.ReLU())
