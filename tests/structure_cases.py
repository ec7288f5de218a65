"""Networks that a structure test has to hold, each with its number of channels.

Every function builds one network; ``@case(n)`` says how many channel groups it has,
so that a rule which quietly pins everything fails too.
"""

import keras
from keras import layers as L
from keras import ops

CASES = {}


def case(count):
    def add(build):
        CASES[build.__name__] = (build, count)
        return build

    return add


def network(inputs, outputs):
    return keras.Model(inputs, outputs)


def image(*layers, shape=(8, 8, 3), head=True):
    """A sequential network on images, ended by a classifier."""
    end = [L.Flatten(), L.Dense(3)] if head else []
    return keras.Sequential([keras.Input(shape), *layers, *end])


def sequence(*layers, shape=(5, 3)):
    return keras.Sequential([keras.Input(shape), *layers, L.Dense(2)])


# Linear ---------------------------------------------------------------------


@case(14)
def dense_chain():
    x = [L.Dense(8, activation="relu"), L.Dense(6, activation="tanh"), L.Dense(3)]
    return keras.Sequential([keras.Input((5,)), *x])


@case(14)
def dense_without_bias():
    x = [L.Dense(8, "relu", use_bias=False), L.Dense(6, use_bias=False), L.Dense(3)]
    return keras.Sequential([keras.Input((5,)), *x])


@case(10)
def convolution_1d():
    return image(
        L.Conv1D(6, 3, activation="relu"),
        L.MaxPooling1D(),
        L.Conv1D(4, 2),
        shape=(9, 2),
    )


@case(11)
def convolution_2d():
    return image(
        L.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
        L.Conv2D(5, 3, dilation_rate=2, padding="same", use_bias=False),
    )


@case(7)
def convolution_3d():
    return image(
        L.Conv3D(4, 2, activation="relu"), L.AveragePooling3D(2), L.Conv3D(3, 1),
        shape=(5, 5, 5, 2),
    )  # fmt: skip


@case(13)
def transposed():
    return image(
        L.Conv2D(4, 3, activation="relu"),
        L.Conv2DTranspose(5, 3, strides=2, activation="relu"),
        L.Conv2DTranspose(4, 2, padding="same"),
    )


@case(9)
def channels_first():
    first = {"data_format": "channels_first"}
    return image(
        L.Conv2D(4, 3, activation="relu", **first),
        L.BatchNormalization(axis=1),
        L.Conv2D(5, 3, **first),
        L.MaxPooling2D(**first),
        L.Flatten(**first),
        L.Dense(3),
        shape=(3, 8, 8),
        head=False,
    )


# Shapes ---------------------------------------------------------------------


@case(4)
def flatten_channels_last():
    return image(L.Conv2D(4, 3))


@case(6)
def dense_reshaped_to_image():
    x = [L.Dense(4 * 4 * 3, "relu"), L.Reshape((4, 4, 3)), L.Conv2DTranspose(3, 2)]
    return keras.Sequential([keras.Input((5,)), *x, L.Flatten(), L.Dense(2)])


@case(4)
def shuffled_channels():
    """Groups of channels interleaved: the same place in each group is one channel."""
    return image(
        L.Conv2D(8, 3, activation="relu"),
        L.Reshape((6, 6, 2, 4)),
        L.Permute((1, 2, 4, 3)),
        L.Reshape((6, 6, 8)),
    )


@case(4)
def permuted():
    x = [L.Conv1D(4, 2, activation="relu"), L.Permute((2, 1)), L.Flatten(), L.Dense(2)]
    return keras.Sequential([keras.Input((6, 3)), *x])


@case(10)
def global_pooling():
    x = keras.Input((6, 6, 2))
    y = L.Conv2D(4, 3, activation="relu")(x)
    z = L.Conv2D(6, 3, activation="relu")(x)
    merged = L.Concatenate()([L.GlobalAveragePooling2D()(y), L.GlobalMaxPooling2D()(z)])
    return network(x, L.Dense(3)(merged))


@case(5)
def padded_cropped_upsampled():
    return image(
        L.Conv2D(5, 3, activation="relu"),
        L.UpSampling2D(),
        L.ZeroPadding2D(),
        L.Cropping2D(2),
    )


@case(6)
def repeated_vector():
    x = keras.Input((4,))
    y = L.RepeatVector(3)(L.Dense(6, activation="relu")(x))
    return network(x, L.Dense(2)(y))


# Normalization ----------------------------------------------------------------


@case(11)
def batchnorm_after_convolution():
    return image(
        L.Conv2D(6, 3, use_bias=False), L.BatchNormalization(), L.ReLU(),
        L.Conv2D(5, 3), L.BatchNormalization(), L.Activation("swish"),
    )  # fmt: skip


@case(6)
def batchnorm_before_convolution():
    x = keras.Input((6, 6, 2))
    y = L.Conv2D(6, 3, padding="same")(x)
    for _ in range(2):
        z = L.ReLU()(L.BatchNormalization()(y))
        y = L.Add()([y, L.Conv2D(6, 3, padding="same")(z)])
    return network(x, L.Dense(2)(L.GlobalAveragePooling2D()(y)))


@case(10)
def batchnorm_without_scale_or_center():
    return image(
        L.Conv2D(6, 3), L.BatchNormalization(scale=False), L.ReLU(),
        L.Conv2D(4, 3), L.BatchNormalization(center=False),
    )  # fmt: skip


@case(4)
def group_normalization():
    return image(L.Conv2D(8, 3), L.GroupNormalization(4), L.ReLU())


@case(8)
def instance_normalization():
    return image(L.Conv2D(8, 3), L.GroupNormalization(-1), L.ReLU())


@case(6)
def layer_normalization_keeps_its_channels():
    return sequence(L.Dense(4), L.LayerNormalization(), L.Dense(6, "gelu"))


@case(14)
def rms_normalization():
    return sequence(L.Dense(8), L.RMSNormalization(), L.Dense(6, "gelu"))


@case(6)
def unit_normalization():
    return sequence(L.Dense(6), L.UnitNormalization())


# Convolutions by channel --------------------------------------------------------


@case(4)
def depthwise_multiplier():
    return image(L.Conv2D(4, 3), L.DepthwiseConv2D(3, depth_multiplier=2), L.ReLU())


@case(9)
def separable():
    return image(L.Conv2D(4, 3), L.SeparableConv2D(5, 3, depth_multiplier=2), L.ReLU())


@case(9)
def separable_1d_and_depthwise_1d():
    x = [L.SeparableConv1D(4, 3), L.DepthwiseConv1D(2), L.SeparableConv1D(5, 2)]
    return image(*x, shape=(9, 2))


@case(4)
def grouped_convolution():
    return image(L.Conv2D(8, 3, activation="relu"), L.Conv2D(12, 3, groups=4), L.ReLU())


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


@case(5)
def frozen_layers_are_kept():
    frozen = L.Conv2D(4, 3, trainable=False)
    return image(L.Conv2D(6, 3), frozen, L.Conv2D(5, 3), L.ReLU())
