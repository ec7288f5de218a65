"""Plain operations, constants among them, cells alone, and calls that share a layer."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tests.support.structure_cases.registry import case, network


def around(call, units=6, shape=(4,), activation=None):
    x = keras.Input(shape)
    return network(x, L.Dense(2)(call(L.Dense(units, activation)(x))))


# Constants left by cut channels -----------------------------------------------------


def shared_reader(one, other):
    x, y, reader = keras.Input((4,)), keras.Input((4,)), L.Dense(8, "relu")
    made = reader(L.Dense(6, one)(x)) + reader(L.Dense(6, other)(y))
    return network([x, y], L.Dense(2)(made))


@case(14)
def constants_folded_once_for_two_calls():
    return shared_reader("sigmoid", "sigmoid")


@case(8)
def constants_unlike_in_two_calls():
    return shared_reader("sigmoid", "softplus")


@case(9)
def softplus_siamese():
    x, y = keras.Input((4,)), keras.Input((4,))
    tower = keras.Sequential([keras.Input((4,)), L.Dense(6, "softplus"), L.Dense(3)])
    return network([x, y], L.Dense(2)(abs(tower(x) - tower(y))))


@case(5)
def constants_summed_over_a_letter_that_a_kernel_lacks():
    layer = L.EinsumDense("btd,de->be", (5,))
    return around(lambda y: L.Activation("tanh")(layer(y)), 6, (3, 4), "sigmoid")


@case(5)
def zeros_summed_over_a_letter_that_a_kernel_lacks():
    layer = L.EinsumDense("btd,e->bte", (None, 5))
    return around(layer, 6, (3, 4), "sigmoid")


# Arrays and numbers in calls ----------------------------------------------------------


@case(6)
def times_an_array():
    return around(lambda y: y * np.arange(1.0, 7))


@case(6)
def multiplied_by_a_matrix():
    return around(lambda y: ops.matmul(y, np.arange(18.0).reshape(6, 3) / 9))


@case(5)
def channels_with_a_constant_each_are_kept():
    return around(lambda y: L.Dense(5)(y + np.arange(24.0).reshape(4, 6)), 6, (4, 3))


@case(6)
def decoded_boxes():
    """As YOLO does: slices, offsets that differ by place, and scales."""

    def decode(y):
        grid = np.arange(4.0, dtype="float32")[:, None]
        return ops.concatenate(
            [(ops.tanh(y[..., :3]) * grid), ops.exp(y[..., 3:]) - 1.0], axis=-1
        )

    return around(decode, 6, (4, 3))


# Elements moved -------------------------------------------------------------------------


@case(12)
def reshaped_into_the_batch():
    return around(lambda y: ops.reshape(y, (-1, 12)), 12, (4, 5))


@case(8)
def split_with_an_empty_part():
    return around(lambda y: ops.concatenate(ops.split(y, [4, 8], -1)[:2], -1), 8)


@case(7)
def channels_first_for_a_while():
    def torch_order(y):
        y = L.Permute((2, 3, 1))(L.Reshape((3, 4, 4))(y))
        return L.Flatten()(L.Conv2D(4, 3)(y))

    return around(torch_order, 48)


@case(3)
def reshaped_and_flattened():
    return around(lambda y: L.Flatten()(L.Reshape((2, 3))(y)), 6)


@case(6)
def turned_and_repeated():
    def turn(y):
        y = ops.tile(ops.roll(ops.flip(y, -1), 1, axis=1), (1, 1, 2))
        return ops.moveaxis(ops.pad(y, [[0, 0], [1, 1], [0, 0]]), -1, 1)[:, :, ::2]

    return around(lambda y: L.Flatten()(turn(y)), 6, (4, 3))


@case(4)
def several_axes_of_a_product():
    def attend(y):
        scores = ops.softmax(ops.einsum("btd,bsd->bts", y, y) / 2)
        return ops.einsum("bts,bsd->btd", scores, y)

    return around(attend, 4, (5, 3))


@case(9)
def open_model_called_at_two_sizes():
    h = keras.Input((None, None, 4))
    y = L.Conv2D(5, 3, padding="same", activation="relu")(h)
    head = keras.Model(h, L.GlobalAveragePooling2D()(y))
    x = keras.Input((8, 8, 3))
    a = L.Conv2D(4, 3, padding="same")(x)
    return network(x, [L.Dense(2)(head(t)) for t in (a, L.MaxPooling2D()(a))])


# Cells --------------------------------------------------------------------------------------


def lone(cell, states):
    x = keras.Input((4,))
    begin = [L.Dense(6, "tanh")(x) for _ in range(states)]
    return network(x, L.Dense(2)(cell(x, begin)[0]))


@case(6)
def lone_lstm_cell():
    return lone(L.LSTMCell(6), 2)


@case(6)
def lone_gru_cell():
    return lone(L.GRUCell(6), 1)


@case(6)
def lone_simple_cell():
    return lone(L.SimpleRNNCell(6), 1)


@case(4)
def convolutional_lstm_channels_first():
    x = keras.Input((3, 2, 6, 6))
    y = L.ConvLSTM2D(4, 3, data_format="channels_first")(x)
    return network(x, L.Dense(2)(L.Flatten()(y)))


@case(5)
def convolutional_lstm_with_states():
    x = keras.Input((3, 6, 6, 2))
    begin = [L.Conv2D(4, 3, activation="tanh")(x[:, n]) for n in range(2)]
    y = L.ConvLSTM2D(4, 3)(x, initial_state=begin)
    return network(x, L.Dense(2)(L.Dense(5)(L.Flatten()(y))))
