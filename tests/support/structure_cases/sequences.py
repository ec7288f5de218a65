"""Attention and recurrence."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tests.support.structure_cases.registry import case, image, network, sequence

# Attention -----------------------------------------------------------------------


@case(7)
def self_attention():
    """Three heads of four dimensions; the features, added to the input, are kept."""
    x = keras.Input((5, 6))
    y = L.MultiHeadAttention(3, 4)(x, x)
    return network(x, L.Dense(2)(y + x))


@case(32)
def cross_attention():
    x, memory = keras.Input((5, 4)), keras.Input((7, 3))
    y, z = L.Dense(8)(x), L.Dense(6, activation="relu")(memory)
    y = L.MultiHeadAttention(3, 4, value_dim=5, output_shape=6)(y, z)
    return network([x, memory], L.Dense(2)(y))


@case(19)
def transformer_block():
    x = keras.Input((5,), dtype="int32")
    y = L.Embedding(2, 8)(x)
    y = y + L.MultiHeadAttention(2, 3)(y, y, use_causal_mask=True)
    z = L.Dense(6, activation="gelu")(L.RMSNormalization()(y))
    y = L.Add()([y, L.Dense(8)(z)])
    return network(x, L.Dense(2)(y))


@case(13)
def grouped_query_attention():
    x = keras.Input((5, 4))
    y = L.Dense(8)(x)
    y = y + L.GroupQueryAttention(3, num_query_heads=4, num_key_value_heads=2)(y, y)
    return network(x, L.Dense(2)(y))


@case(8)
def tied_softmax():
    x = keras.Input((5,), dtype="int32")
    embedding = L.ReversibleEmbedding(7, 8)
    y = embedding(x)
    return network(x, L.Softmax()(embedding(ops.tanh(y), reverse=True)))


@case(12)
def plain_attention():
    x = keras.Input((5, 4))
    q, v = L.Dense(6)(x), L.Dense(6)(x)
    return network(x, L.Dense(2)(L.Attention(use_scale=True)([q, v, L.Dense(6)(x)])))


@case(23)
def attention_by_hand():
    """Heads laid out by reshapes: a channel is one dimension of all heads."""
    x = keras.Input((5, 6))
    q, k, v = (
        ops.transpose(L.Reshape((5, 3, 4))(L.Dense(12)(x)), (0, 2, 1, 3)) for _ in "qkv"
    )
    scores = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / 2.0)
    y = ops.reshape(ops.transpose(ops.matmul(scores, v), (0, 2, 1, 3)), (-1, 5, 12))
    return network(x, L.Dense(2)(L.Dense(15, activation="relu")(y)))


@case(11)
def einsum():
    x = keras.Input((5, 4))
    y = L.EinsumDense("btd,dhk->bthk", (None, 3, 4), bias_axes="hk")(x)
    y = L.EinsumDense("bthk,hkd->btd", (None, 4), bias_axes="d", activation="relu")(y)
    return network(x, L.Dense(2)(y))


# Recurrence -----------------------------------------------------------------------


@case(11)
def lstm():
    return sequence(L.LSTM(6, return_sequences=True), L.LSTM(5))


@case(15)
def gru_both_ways_of_reset():
    return sequence(
        L.GRU(6, return_sequences=True),
        L.GRU(5, reset_after=False, return_sequences=True),
        L.SimpleRNN(4),
    )


@case(16)
def bidirectional():
    return sequence(
        L.Bidirectional(L.LSTM(5, return_sequences=True)),
        L.Bidirectional(L.GRU(5), merge_mode="sum"),
        L.Dense(6, activation="relu"),
    )


@case(9)
def stacked_cells():
    return sequence(L.RNN([L.LSTMCell(5), L.GRUCell(4)]))


@case(10)
def encoder_to_decoder():
    x, y = keras.Input((5, 3)), keras.Input((4, 2))
    _, h, c = L.LSTM(6, return_state=True)(x)
    z = L.LSTM(6, return_sequences=True)(y, initial_state=[h, c])
    return network([x, y], L.Dense(2)(L.Dense(4, activation="relu")(z)))


@case(4)
def convolutional_lstm():
    return image(L.ConvLSTM2D(4, 2), L.ReLU(), shape=(3, 5, 5, 2))


def tokens(length=5):
    """Embedded numbers of words, those of 0 masked: Keras adds the mask to each call."""
    x = keras.Input((length,), dtype="int32")
    return x, L.Embedding(3, 4, mask_zero=True)(x)


@case(15)
def masked_lstm():
    x, y = tokens()
    y = L.LSTM(5)(L.LSTM(6, return_sequences=True)(y))
    return network(x, L.Dense(2)(y))


@case(16)
def masked_gru_and_simple_rnn():
    x, y = tokens()
    y = L.SimpleRNN(4)(L.GRU(8, return_sequences=True)(y))
    return network(x, L.Dense(2)(y))


@case(13)
def masked_stacked_cells():
    x, y = tokens()
    return network(x, L.Dense(2)(L.RNN([L.LSTMCell(5), L.GRUCell(4)])(y)))


@case(11)
def masked_bidirectional():
    x, y = tokens()
    y = L.Bidirectional(L.LSTM(5, return_sequences=True), merge_mode="sum")(y)
    return network(x, L.Dense(2)(L.Bidirectional(L.GRU(2))(y)))


@case(18)
def masked_encoder_to_decoder():
    x, source = tokens()
    y, target = tokens(4)
    _, h, c = L.LSTM(6, return_state=True)(source)
    z = L.LSTM(6, return_sequences=True)(target, [h, c])
    return network([x, y], L.Dense(2)(L.Dense(4, activation="relu")(z)))


@case(14)
def masked_bidirectional_encoder_to_decoder():
    x, source = tokens()
    y, target = tokens(4)
    _, *states = L.Bidirectional(L.GRU(6, return_state=True))(source)
    z = L.Bidirectional(L.GRU(6))(target, initial_state=states)
    return network([x, y], L.Dense(2)(z))


@case(4)
def masked_convolutional_lstm():
    x = keras.Input((3, 5, 5, 2))
    kept = ops.any(ops.not_equal(x, 0.0), axis=(2, 3, 4))
    y = L.Flatten()(L.ConvLSTM2D(4, 2)(x, mask=kept))
    return network(x, L.Dense(2)(y))


@case(5)
def masked_by_channels():
    """What is compared to make the mask is kept; what reads it is cut."""
    x = keras.Input((5, 3))
    y = L.LSTM(5)(L.Masking()(L.Dense(4, activation="relu")(x)))
    return network(x, L.Dense(2)(y))


@case(10)
def masked_attention():
    x, y = tokens()
    kept = ops.not_equal(x, 0)
    y = L.Attention()([L.Dense(6)(y), L.Dense(6)(y)], mask=[kept, kept])
    return network(x, L.Dense(2)(y))


@case(5 + 3)
def cells_begun_by_constants():
    x = keras.Input((6, 4))
    cell, zeros = L.LSTMCell(5), np.zeros((1, 5), "float32")
    _, states = cell(x[:, 0], [zeros, zeros])
    y, _ = cell(x[:, 1], states)
    ones = L.GRUCell(3)(y, [np.ones((1, 3), "float32")])[0]
    return network(x, L.Dense(2)(L.Dense(3, activation="relu")(ones)))
