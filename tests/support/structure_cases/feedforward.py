"""Dense layers, convolutions, shapes and norms in a row."""

import keras
from keras import layers as L

from tests.support.structure_cases.registry import case, image, network, sequence

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
    return sequence(L.Dense(8), L.RMSNormalization(epsilon=0.1), L.Dense(6, "gelu"))


@case(6)
def unit_normalization():
    return sequence(L.Dense(6), L.UnitNormalization())


@case(4 + 6 + 5)
def spectral_normalization():
    layers = [
        L.Conv2D(4, 3, activation="relu"),
        L.Conv2DTranspose(6, 3, activation="relu"),
        L.DepthwiseConv2D(2),
        L.Conv2D(5, 2, activation="relu", use_bias=False),
    ]
    return image(*(L.SpectralNormalization(x, power_iterations=2) for x in layers))


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


@case(4)
def grouped_convolution_of_the_input():
    return image(L.Conv2D(8, 3, groups=2, activation="relu"), shape=(6, 6, 2))


@case(4 + 5)
def grouped_convolution_of_what_stays():
    x = keras.Input((6, 6, 2))
    read = L.Conv2D(8, 1, activation="relu")(x)
    y = L.Conv2D(8, 3, groups=2, activation="relu")(read)
    y = L.Conv2D(5, 1)(y)
    return network(x, [L.Dense(2)(L.Flatten()(y)), read])


@case(4 + 3)
def grouped_convolution_to_what_stays():
    x = keras.Input((6, 6, 2))
    y = L.Conv2D(8, 1, activation="relu")(x)
    y = L.LayerNormalization()(L.Conv2D(6, 3, groups=2)(y))
    y = L.Conv2D(3, 1)(y)
    return network(x, L.Dense(2)(L.Flatten()(y)))
