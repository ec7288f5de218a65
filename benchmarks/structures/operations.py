"""Single operations and layers of Keras around a Dense: input, Dense, it, Dense, Dense."""

import functools

import keras
import numpy as np
from keras import layers as L
from keras import ops

V, S, P, W, D = (6,), (4, 6), (4, 4, 6), (4, 4, 8), (4, 4, 4, 6)
RGB = (8, 8, 3)

_EACH = """relu relu6 sigmoid sparse_sigmoid softplus softsign silu swish gelu leaky_relu elu
selu celu hard_sigmoid hard_silu hard_swish hard_tanh log_sigmoid tanh_shrink hard_shrink
soft_shrink squareplus sparse_plus abs absolute negative square exp exp2 expm1 tanh
sin cos sinh cosh tan arctan arcsinh erf erfc sign floor ceil round trunc sinc cbrt
nan_to_num deg2rad rad2deg real conj conjugate imag angle i0 signbit isnan isinf isfinite
isneginf isposinf isreal logical_not stop_gradient copy ones_like zeros_like fabs""".split()
_POSITIVE = """sqrt rsqrt reciprocal log log2 log10 log1p arccos arcsin arctanh
erfinv""".split()
_TWO = """add subtract multiply divide true_divide maximum minimum power arctan2 mod
floor_divide divide_no_nan hypot logaddexp logaddexp2 greater greater_equal less less_equal
logical_and logical_or logical_xor fmax fmin fmod heaviside isclose copysign nextafter
equal not_equal""".split()
_OVER = """sum mean max min prod std var any all argmax argmin median cumsum cumprod sort
argsort softmax log_softmax logsumexp norm count_nonzero flip ptp diff nansum nanmean nanmax
nanmin nanprod nanstd nanvar nancumsum nancumprod amax amin sparsemax normalize
nanmedian nanargmax nanargmin""".split()
_LAYERS = {
    V: """Identity ActivityRegularization ReLU LeakyReLU ELU PReLU Softmax Dropout
    GaussianDropout GaussianNoise AlphaDropout BatchNormalization LayerNormalization
    RMSNormalization UnitNormalization Flatten Masking Normalization""",
    S: """GlobalAveragePooling1D GlobalMaxPooling1D MaxPooling1D AveragePooling1D
    UpSampling1D ZeroPadding1D Cropping1D SpatialDropout1D""",
    P: """GlobalAveragePooling2D GlobalMaxPooling2D MaxPooling2D AveragePooling2D
    UpSampling2D ZeroPadding2D Cropping2D SpatialDropout2D""",
    D: """GlobalAveragePooling3D GlobalMaxPooling3D MaxPooling3D AveragePooling3D
    UpSampling3D ZeroPadding3D Cropping3D SpatialDropout3D""",
    RGB: """RandomBrightness RandomContrast RandomFlip RandomRotation RandomTranslation
    RandomZoom RandomGrayscale RandomHue RandomSaturation RandomInvert RandomSharpness
    RandomPosterization RandomShear RandomErasing Solarization AutoContrast""",
}
_CALLS = {
    # Elements moved
    "reshape": (lambda x: ops.reshape(x, (-1, 24)), S),
    "reshape_heads": (lambda x: ops.reshape(x, (-1, 4, 2, 3)), S),
    "reshape_into_batch": (lambda x: ops.reshape(x, (-1, 6)), S),
    "Reshape": (lambda x: L.Reshape((2, 2, 6))(x), S),
    "Reshape_channels_first": (
        lambda x: L.Permute((2, 3, 1))(L.Reshape((3, 1, 2))(x)), V
    ),
    "transpose": (lambda x: ops.transpose(x, (0, 3, 2, 1)), P),
    "Permute": (lambda x: L.Permute((2, 1))(x), S),
    "swapaxes": (lambda x: ops.swapaxes(x, 1, 2), S),
    "moveaxis": (lambda x: ops.moveaxis(x, -1, 1), P),
    "einsum_transpose": (lambda x: ops.einsum("btc->bct", x), S),
    "expand_dims": (lambda x: ops.expand_dims(x, 1), V),
    "expand_dims_last": (lambda x: ops.expand_dims(x, -1), V),
    "squeeze": (lambda x: ops.squeeze(ops.expand_dims(x, 1), 1), V),
    "ravel": (lambda x: ops.reshape(ops.ravel(x), (-1, 6)), V),
    "repeat": (lambda x: ops.repeat(x, 2, axis=-1), V),
    "repeat_time": (lambda x: ops.repeat(x, 2, axis=1), S),
    "RepeatVector": (lambda x: L.RepeatVector(3)(x), V),
    "tile": (lambda x: ops.tile(x, (1, 1, 2)), S),
    "tile_time": (lambda x: ops.tile(x, (1, 2, 1)), S),
    "pad": (lambda x: ops.pad(x, [[0, 0], [1, 1], [0, 0]]), S),
    "pad_channels": (lambda x: ops.pad(x, [[0, 0], [1, 2]]), V),
    "pad_constant": (
        lambda x: ops.pad(x, [[0, 0], [1, 1], [0, 0]], constant_values=2.0), S
    ),
    "roll": (lambda x: ops.roll(x, 1, axis=-1), V),
    "roll_time": (lambda x: ops.roll(x, 1, axis=1), S),
    "rot90": (lambda x: ops.rot90(x, axes=(1, 2)), P),
    "split": (lambda x: ops.split(x, 2, axis=-1)[0], S),
    "split_at": (lambda x: ops.split(x, [2, 5], axis=-1)[1], S),
    "split_with_an_empty_part": (lambda x: ops.split(x, [4, 6], axis=-1)[0], V),
    "split_time": (lambda x: ops.split(x, 2, axis=1)[0], S),
    "array_split": (lambda x: ops.array_split(x, 2, axis=-1)[0], S),
    "unstack": (lambda x: ops.unstack(x, axis=1)[0], S),
    "stack": (lambda x: ops.stack([x, x], axis=1), S),
    "stack_last": (lambda x: ops.stack([x, x], axis=-1), V),
    "concatenate": (lambda x: ops.concatenate([x, x], axis=-1), V),
    "concatenate_time": (lambda x: ops.concatenate([x, x], axis=1), S),
    "append": (lambda x: ops.append(x, x, axis=-1), V),
    "hstack": (lambda x: ops.hstack([x, x]), V),
    "dstack": (lambda x: ops.dstack([x, x]), S),
    "take": (lambda x: ops.take(x, [3, 1, 3], axis=-1), V),
    "take_time": (lambda x: ops.take(x, [0, 2], axis=1), S),
    "take_one": (lambda x: ops.take(x, 1, axis=1), S),
    "take_along_axis": (
        lambda x: ops.take_along_axis(x, np.zeros((1, 2, 1), "int32"), 1), S
    ),
    "slice_time": (lambda x: x[:, 1:3], S),
    "slice_channels": (lambda x: x[..., 1:4], S),
    "slice_from_the_end": (lambda x: x[..., -2:], S),
    "every_second_place": (lambda x: x[:, ::2], S),
    "every_second_channel": (lambda x: x[:, ::2], V),
    "backwards": (lambda x: x[..., ::-1], V),
    "one_place": (lambda x: x[:, 0], S),
    "one_channel": (lambda x: x[..., 2:3], S),
    "new_axis": (lambda x: x[:, None], V),
    "flip_channels": (lambda x: ops.flip(x, -1), V),
    "fliplr": (lambda x: ops.fliplr(x), P),
    "depth_to_space": (lambda x: ops.depth_to_space(x, 2), W),
    "space_to_depth": (lambda x: ops.space_to_depth(x, 2), P),
    "diagonal": (lambda x: ops.diagonal(x, axis1=1, axis2=2), P),
    "trace": (lambda x: ops.trace(x, axis1=1, axis2=2), P),
    "triu": (lambda x: ops.triu(x), S),
    "tril": (lambda x: ops.tril(x), S),
    "unfold": (lambda x: ops.unfold(ops.transpose(x, (0, 3, 1, 2)), 2), P),
    "extract_patches": (lambda x: ops.image.extract_patches(x, 2), P),
    "resize": (lambda x: ops.image.resize(x, (6, 7)), P),
    "resize_nearest": (lambda x: ops.image.resize(x, (6, 7), "nearest"), P),
    "crop_images": (lambda x: ops.image.crop_images(x, 1, 1, 1, 1), P),
    "pad_images": (lambda x: ops.image.pad_images(x, 1, 1, 1, 1), P),
    "gaussian_blur": (lambda x: ops.image.gaussian_blur(x), P),
    "sobel_edges": (lambda x: ops.image.sobel_edges(x), P),
    "rgb_to_grayscale": (lambda x: ops.image.rgb_to_grayscale(x), RGB),
    "rgb_to_hsv": (lambda x: ops.image.rgb_to_hsv(ops.sigmoid(x)), RGB),
    "Resizing": (lambda x: L.Resizing(3, 5)(x), P),
    "CenterCrop": (lambda x: L.CenterCrop(2, 2)(x), P),
    "UpSampling2D_bilinear": (lambda x: L.UpSampling2D(interpolation="bilinear")(x), P),
    "Rescaling": (lambda x: L.Rescaling(2.0, 1.0)(x), V),
    "Rescaling_each": (lambda x: L.Rescaling([1.0, 2, 3, 4, 5, 6])(x), V),
    "AdaptiveAveragePooling2D": (lambda x: L.AdaptiveAveragePooling2D(2)(x), P),
    "AdaptiveMaxPooling1D": (lambda x: L.AdaptiveMaxPooling1D(2)(x), S),
    "average_pool": (lambda x: ops.average_pool(x, 2, 2), P),
    "max_pool": (lambda x: ops.max_pool(x, 2, 2, "same"), P),
    "moments": (lambda x: ops.moments(x, [1])[0], S),
    # Settings
    "clip": (lambda x: ops.clip(x, -0.5, 0.5), V),
    "cast": (lambda x: ops.cast(x, "float16"), V),
    "saturate_cast": (lambda x: ops.saturate_cast(x, "float16"), V),
    "round_to_two": (lambda x: ops.round(x, 2), V),
    "leaky_relu_half": (lambda x: ops.leaky_relu(x, negative_slope=0.5), V),
    "polar": (lambda x: ops.real(ops.polar(ops.abs(x), x)), V),
    "glu": (lambda x: ops.glu(x), V),
    "where": (lambda x: ops.where(x > 0, x, -x), V),
    "select": (lambda x: ops.select([x > 0], [x], 0.5), V),
    "top_k": (lambda x: ops.top_k(x, 2)[0], V),
    "quantile": (lambda x: ops.quantile(x, 0.5, axis=1), S),
    "percentile": (lambda x: ops.percentile(x, 50, axis=1), S),
    "average": (lambda x: ops.average(x, axis=1), S),
    "trapezoid": (lambda x: ops.trapezoid(x, axis=1), S),
    "logsumexp_channels": (lambda x: ops.logsumexp(x, -1, keepdims=True), V),
    "fft": (lambda x: ops.fft((x, x))[0], S),
    "layer_normalization": (lambda x: ops.layer_normalization(x), V),
    "rms_normalization": (lambda x: ops.rms_normalization(x, np.ones(6, "float32")), V),
    # Constants
    "plus_one": (lambda x: x + 1.0, V),
    "one_minus": (lambda x: 1.0 - x, V),
    "squared": (lambda x: x**2, V),
    "times_an_array": (lambda x: x * np.arange(6.0), V),
    "plus_an_array": (lambda x: x + np.arange(6.0), V),
    "times_positions": (lambda x: x * np.arange(4.0)[:, None], S),
    "plus_positions": (lambda x: x + np.arange(24.0).reshape(4, 6), S),
    "times_a_tensor": (
        lambda x: x * ops.convert_to_tensor(np.arange(6, dtype="float32")), V
    ),
    "matmul_array": (lambda x: ops.matmul(x, np.ones((6, 3), "float32")), V),
    "einsum_array": (
        lambda x: ops.einsum("btd,de->bte", x, np.ones((6, 3), "float32")), S
    ),
    "concatenate_ones": (
        lambda x: ops.concatenate([x, ops.ones_like(x[:, :2])], -1), V
    ),
    # Products
    "matmul": (lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))), S),
    "einsum": (lambda x: ops.einsum("btd,bsd->bts", x, x), S),
    "einsum_outer": (lambda x: ops.einsum("bd,be->bde", x, x), V),
    "tensordot": (lambda x: ops.tensordot(x, np.ones((6, 3), "float32"), 1), S),
    "dot": (lambda x: ops.dot(x, np.ones((6, 3), "float32")), V),
    "inner": (lambda x: ops.inner(x, np.ones((3, 6), "float32")), V),
    "cross": (lambda x: ops.cross(x, x + 1), RGB),
    "Dot": (lambda x: L.Dot(2)([x, x]), S),
    "conv": (lambda x: ops.conv(x, np.ones((2, 2, 6, 3), "float32")), P),
    "depthwise_conv": (
        lambda x: ops.depthwise_conv(x, np.ones((2, 2, 6, 1), "float32")), P
    ),
    "dot_product_attention": (
        lambda x: ops.dot_product_attention(x[:, :, None], x[:, :, None], x[:, :, None]), S
    ),
    # Several inputs
    **{
        name: (lambda x, kind=name: getattr(L, kind)()([x, L.ReLU()(x)]), V)
        for name in "Add Subtract Multiply Average Maximum Minimum Concatenate".split()
    },
    # Layers with weights
    "Dense": (lambda x: L.Dense(5)(x), V),
    "EinsumDense": (lambda x: L.EinsumDense("btd,de->bte", (None, 5))(x), S),
    "EinsumDense_sum": (lambda x: L.EinsumDense("btd,de->be", (5,))(x), S),
    "Conv1D": (lambda x: L.Conv1D(5, 2)(x), S),
    "Conv2D": (lambda x: L.Conv2D(5, 2)(x), P),
    "Conv2D_grouped": (lambda x: L.Conv2D(4, 2, groups=2)(x), P),
    "Conv3D": (lambda x: L.Conv3D(5, 2)(x), D),
    "Conv1DTranspose": (lambda x: L.Conv1DTranspose(5, 2)(x), S),
    "Conv2DTranspose": (lambda x: L.Conv2DTranspose(5, 2)(x), P),
    "Conv3DTranspose": (lambda x: L.Conv3DTranspose(5, 2)(x), D),
    "DepthwiseConv1D": (lambda x: L.DepthwiseConv1D(2)(x), S),
    "DepthwiseConv2D": (lambda x: L.DepthwiseConv2D(2)(x), P),
    "SeparableConv1D": (lambda x: L.SeparableConv1D(5, 2)(x), S),
    "SeparableConv2D": (lambda x: L.SeparableConv2D(5, 2)(x), P),
    "GroupNormalization": (lambda x: L.GroupNormalization(3)(x), P),
    "SpectralNormalization": (lambda x: L.SpectralNormalization(L.Dense(5))(x), V),
    "LSTM": (lambda x: L.LSTM(5)(x), S),
    "GRU": (lambda x: L.GRU(5)(x), S),
    "SimpleRNN": (lambda x: L.SimpleRNN(5)(x), S),
    "RNN": (lambda x: L.RNN([L.LSTMCell(5), L.GRUCell(4)])(x), S),
    "LSTMCell": (lambda x: L.LSTMCell(6)(x, [x, x])[0], V),
    "GRUCell": (lambda x: L.GRUCell(6)(x, [x])[0], V),
    "SimpleRNNCell": (lambda x: L.SimpleRNNCell(6)(x, [x])[0], V),
    "Bidirectional": (lambda x: L.Bidirectional(L.GRU(5))(x), S),
    "TimeDistributed": (lambda x: L.TimeDistributed(L.Dense(5))(x), S),
    "ConvLSTM1D": (lambda x: L.ConvLSTM1D(4, 2)(x), P),
    "ConvLSTM2D": (lambda x: L.ConvLSTM2D(4, 2)(x), D),
    "ConvLSTM2D_channels_first": (
        lambda x: L.ConvLSTM2D(4, 2, data_format="channels_first")(
            L.Permute((1, 4, 2, 3))(x)
        ), D
    ),
    "MultiHeadAttention": (lambda x: L.MultiHeadAttention(2, 3)(x, x), S),
    "GroupQueryAttention": (lambda x: L.GroupQueryAttention(3, 4, 2)(x, x), S),
    "Attention": (lambda x: L.Attention()([x, x]), S),
    "AdditiveAttention": (lambda x: L.AdditiveAttention()([x, x]), S),
    # One's own code
    "Lambda": (lambda x: L.Lambda(lambda v: ops.relu(v[:, 1:]) * 2)(x), S),
    "Lambda_halves": (lambda x: L.Lambda(lambda v: sum(ops.split(v, 2, -1)))(x), S),
    "activation": (lambda x: L.Dense(5, activation=lambda v: v * ops.tanh(v) + 1)(x), V),
    "STFTSpectrogram": (
        lambda x: L.STFTSpectrogram(frame_length=4, frame_step=2, fft_length=4)(x), (16, 1)
    ),
}  # fmt: skip


def around(shape, call, activation=None):
    """A network with a call between Dense layers."""
    x = keras.Input(shape[:-1] + (5,))
    y = L.Dense(shape[-1], activation)(x)
    y = keras.tree.flatten(call(y))[0]
    if "float32" != y.dtype:
        y = ops.cast(y, "float32")
    if len(y.shape) == 1:
        y = ops.expand_dims(y, -1)
    return keras.Model(x, L.Dense(2)(L.Dense(6, "relu")(y)))


def _networks():
    calls = {
        name: (getattr(ops, name), V, None) for name in _EACH if hasattr(ops, name)
    }
    for name in _POSITIVE:
        calls[name] = getattr(ops, name), V, "sigmoid"
    for name in _TWO:
        if hasattr(ops, name):
            calls[name] = (
                functools.partial(_with_itself, getattr(ops, name)),
                V,
                "sigmoid",
            )
    for name in _OVER:
        calls[f"{name}_time"] = functools.partial(getattr(ops, name), axis=1), S, None
    for shape, names in _LAYERS.items():
        for name in names.split():
            if hasattr(L, name):
                calls[name] = functools.partial(_layer, name), shape, None
    for name, (call, shape) in _CALLS.items():
        calls[name] = call, shape, None
    return {
        name: functools.partial(around, shape, call, activation)
        for name, (call, shape, activation) in calls.items()
    }


def _with_itself(operation, x):
    return operation(x, ops.tanh(x) + 0.1)


def _layer(name, x):
    needs = {
        "RandomBrightness": (0.1,),
        "RandomContrast": (0.1,),
        "RandomRotation": (0.1,),
        "RandomTranslation": (0.1, 0.1),
        "RandomZoom": (0.1,),
        "RandomHue": (0.1,),
        "RandomSaturation": (0.1,),
        "RandomSharpness": (0.1,),
        "RandomPosterization": (4,),
        "GaussianNoise": (0.1,),
    }
    needs |= {f"AveragePooling{n}D": (2,) for n in (1, 2, 3)}
    needs |= dict.fromkeys(
        ("Dropout", "GaussianDropout", "AlphaDropout", *(f"SpatialDropout{n}D" for n in (1, 2, 3))),
        (0.1,),
    )  # fmt: skip
    return getattr(L, name)(*needs.get(name, ()))(x)


NETWORKS = _networks()
