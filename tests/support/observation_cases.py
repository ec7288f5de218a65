"""Operations as cases of observation: each call with the groups that can be cut."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

# Features, a sequence, images.
V, S, P, W = (6,), (4, 6), (4, 4, 6), (4, 4, 8)


class Gated(L.Layer):
    """Half of the channels gate the other half."""

    def call(self, x):
        one, other = ops.split(x, 2, axis=-1)
        return one * ops.sigmoid(other)


class Rotated(L.Layer):
    """As rotary embeddings pair channels."""

    def call(self, x):
        one, other = ops.split(x, 2, axis=-1)
        return ops.concatenate([one - 2 * other, other + 2 * one], axis=-1)


class Shuffled(L.Layer):
    """The channel shuffle of ShuffleNet, for two groups."""

    def call(self, x):
        size = ops.shape(x)[1:3]
        x = ops.reshape(x, (-1, *size, 2, x.shape[-1] // 2))
        return ops.reshape(ops.swapaxes(x, -1, -2), (-1, *size, x.shape[-1] * 2))


class Composite(L.Layer):
    """Layers in a layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = [L.Dropout(0.5), L.Activation("gelu"), L.ZeroPadding1D(1)]

    def call(self, x, training=None):
        for step in self.steps:
            x = step(x, training=training) if step is self.steps[0] else step(x)
        return x


class Noisy(L.Layer):
    """Random in inference too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed)


class Standardized(L.Layer):
    """A layer normalization without weights."""

    def call(self, x):
        x = x - ops.mean(x, axis=-1, keepdims=True)
        return x / ops.sqrt(ops.var(x, axis=-1, keepdims=True) + 1e-3)


# Of each: a call, the shapes of its inputs (each with channels on its last axis), and how
# many groups can be cut where a channel that is cut leaves zeros.
CASES = {
    # Each element alone
    "relu": (ops.relu, [V], 6),
    "relu6": (ops.relu6, [P], 6),
    "sigmoid": (ops.sigmoid, [S], 6),
    "tanh": (ops.tanh, [V], 6),
    "gelu": (ops.gelu, [S], 6),
    "silu": (ops.silu, [P], 6),
    "softplus": (ops.softplus, [V], 6),
    "hard_sigmoid": (ops.hard_sigmoid, [V], 6),
    "hard_shrink": (ops.hard_shrink, [V], 6),
    "leaky_relu": (ops.leaky_relu, [S], 6),
    "threshold": (lambda x: ops.threshold(x, 1.0, 0.5), [V], 6),
    "abs": (ops.abs, [S], 6),
    "exp": (ops.exp, [S], 6),
    "log1p": (lambda x: ops.log1p(x), [S], 6),
    "log": (ops.log, [V], 6),
    "sqrt": (ops.sqrt, [V], 6),
    "arctanh": (ops.arctanh, [V], 6),
    "reciprocal": (ops.reciprocal, [V], 6),
    "square": (ops.square, [V], 6),
    "sign": (ops.sign, [V], 6),
    "floor": (ops.floor, [S], 6),
    "round": (ops.round, [S], 6),
    "clip": (lambda x: ops.clip(x, -0.5, 0.25), [S], 6),
    "negative": (ops.negative, [S], 6),
    "isnan": (ops.isnan, [S], 6),
    "nan_to_num": (ops.nan_to_num, [S], 6),
    "erf": (ops.erf, [V], 6),
    "cast": (lambda x: ops.cast(x, "float16"), [V], 6),
    "stop_gradient": (ops.stop_gradient, [V], 6),
    "ones_like": (ops.ones_like, [V], 6),
    # With a number or an array
    "plus_one": (lambda x: x + 1.0, [S], 6),
    "one_minus": (lambda x: 1.0 - x, [S], 6),
    "power": (lambda x: ops.power(x, 2), [V], 6),
    "two_to_the": (lambda x: 2.0**x, [V], 6),
    "floor_divide": (lambda x: x // 2.0, [V], 6),
    "mod": (lambda x: x % 2.0, [V], 6),
    "greater": (lambda x: x > 0.1, [V], 6),
    "equal": (lambda x: ops.equal(x, 0.0), [V], 6),
    "times_array": (lambda x: x * np.arange(6.0), [S], 6),
    "plus_array": (lambda x: x + np.arange(6.0), [V], 6),
    "plus_positions": (lambda x: x + np.arange(24.0).reshape(4, 6), [S], 6),
    "plus_one_row": (lambda x: x + np.arange(6.0).reshape(1, 1, 6), [S], 6),
    "plus_column": (lambda x: x + np.arange(9.0).reshape(9, 1), [(9, 6)], 6),
    "maximum_of_array": (lambda x: ops.maximum(x, np.arange(6.0) - 3), [V], 6),
    "matmul_array": (lambda x: ops.matmul(x, np.arange(12.0).reshape(6, 2)), [S], 6),
    "array_matmul": (lambda x: ops.matmul(np.arange(8.0).reshape(2, 4), x), [S], 6),
    "tensordot_array": (lambda x: ops.tensordot(x, np.ones((6, 6)), 1), [S], 6),
    # Two tensors
    "add": (lambda x, y: x + y, [S, S], 6),
    "subtract": (lambda x, y: x - y, [S, S], 6),
    "multiply": (lambda x, y: x * y, [P, (1, 1, 6)], 6),
    "divide": (lambda x, y: x / y, [V, V], 6),
    "maximum": (ops.maximum, [V, V], 6),
    "minimum": (ops.minimum, [S, S], 6),
    "power_of_two": (ops.power, [V, V], 6),
    "where": (lambda x, y: ops.where(np.array([[True], [False]] * 2), x, y), [S, S], 6),
    "logaddexp": (ops.logaddexp, [V, V], 6),
    "arctan2": (ops.arctan2, [V, V], 6),
    "squared_difference": (
        lambda x, y: L.Lambda(lambda both: ops.square(both[0] - both[1]))([x, y]),
        [V, V],
        6,
    ),
    "gated_by_one": (lambda x, y: x * y, [P, (4, 4, 1)], 7),
    "outer": (lambda x, y: ops.einsum("bi,bj->bij", x, y), [V, (5,)], 11),
    "scores": (lambda x, y: ops.einsum("bic,bjc->bij", x, y), [S, (5, 6)], 6),
    "weighted": (lambda x, y: ops.einsum("bij,bjc->bic", x, y), [(5, 4), S], 6),
    "vdot_batch": (lambda x, y: L.Dot(-1)([x, y]), [V, V], 6),
    "matmul": (lambda x, y: ops.matmul(x, y), [(5, 6), (6, 4)], 4),
    "matmul_transposed": (
        lambda x, y: L.Lambda(lambda both: both[0] @ ops.swapaxes(both[1], 1, 2))(
            [x, y]
        ),
        [S, S],
        6,
    ),
    "cross": (ops.cross, [(3,), (3,)], 0),
    "concatenate": (lambda x, y: ops.concatenate([x, y], -1), [S, (4, 3)], 9),
    "concatenate_time": (lambda x, y: ops.concatenate([x, y], 1), [S, (3, 6)], 6),
    "stack": (lambda x, y: ops.stack([x, y], 1), [V, V], 6),
    "stack_last": (lambda x, y: ops.stack([x, y], -1), [V, V], 6),
    "hstack": (lambda x, y: ops.hstack([x, y]), [V, (3,)], 9),
    "Add": (lambda x, y: L.Add()([x, y]), [S, S], 6),
    "Average": (lambda x, y: L.Average()([x, y]), [S, S], 6),
    "Multiply": (lambda x, y: L.Multiply()([x, y]), [S, S], 6),
    "Concatenate": (lambda x, y: L.Concatenate()([x, y]), [S, (4, 3)], 9),
    # Elements moved
    "pad": (lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0))), [S], 6),
    "pad_channels": (lambda x: ops.pad(x, ((0, 0), (0, 0), (1, 2))), [S], 6),
    "pad_reflect": (lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0)), "reflect"), [S], 6),
    "flip": (lambda x: ops.flip(x, axis=-1), [S], 6),
    "flip_time": (lambda x: ops.flip(x, axis=1), [S], 6),
    "rot90": (lambda x: ops.rot90(x, axes=(1, 2)), [P], 6),
    "roll": (lambda x: ops.roll(x, 2, axis=-1), [S], 6),
    "roll_time": (lambda x: ops.roll(x, 1, axis=1), [S], 6),
    "tile": (lambda x: ops.tile(x, (1, 2, 1)), [S], 6),
    "tile_channels": (lambda x: ops.tile(x, (1, 1, 2)), [S], 6),
    "repeat": (lambda x: ops.repeat(x, 2, axis=-1), [S], 6),
    "repeat_time": (lambda x: ops.repeat(x, 3, axis=1), [S], 6),
    "take": (lambda x: ops.take(x, [3, 1, 3], axis=-1), [S], 6),
    "take_time": (lambda x: ops.take(x, [0, 2], axis=1), [S], 6),
    "swapaxes": (lambda x: ops.swapaxes(x, 1, 2), [S], 6),
    "moveaxis": (lambda x: ops.moveaxis(x, -1, 1), [P], 6),
    "transpose": (lambda x: ops.transpose(x, (0, 3, 2, 1)), [P], 6),
    "einsum_transpose": (lambda x: ops.einsum("btc->bct", x), [S], 6),
    "expand_dims": (lambda x: ops.expand_dims(x, 1), [V], 6),
    "expand_last": (lambda x: ops.expand_dims(x, -1), [V], 6),
    "squeeze": (lambda x: ops.squeeze(x, 1), [(1, 6)], 6),
    "split": (lambda x: ops.split(x, [2, 5], axis=-1), [S], 6),
    "split_time": (lambda x: ops.split(x, 2, axis=1), [S], 6),
    "unstack_time": (lambda x: ops.unstack(x, axis=1), [S], 6),
    "slice": (lambda x: x[:, 1:3], [S], 6),
    "slice_channels": (lambda x: x[..., 1:4], [S], 6),
    "slice_last_channels": (lambda x: x[..., -2:], [S], 6),
    "every_second_place": (lambda x: x[:, ::2], [S], 6),
    "first_place": (lambda x: x[:, 0], [S], 6),
    "new_axis": (lambda x: x[:, None], [V], 6),
    "one_channel": (lambda x: x[..., 2], [S], 0),
    "flatten": (lambda x: ops.reshape(x, (-1, 24)), [S], 6),
    "flatten_images": (lambda x: ops.reshape(x, (-1, 96)), [P], 6),
    "split_heads": (lambda x: ops.reshape(x, (-1, 4, 2, 3)), [S], 3),
    "merge_heads": (lambda x: ops.reshape(x, (-1, 4, 8)), [(4, 2, 4)], 4),
    "into_the_batch": (lambda x: ops.reshape(x, (-1, 6)), [S], 6),
    "ravel": (lambda x: ops.ravel(x), [V], 0),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (7, 4, 6)), [(1, 6)], 0),
    "depth_to_space": (lambda x: ops.depth_to_space(x, 2), [W], 2),
    "space_to_depth": (lambda x: ops.space_to_depth(x, 2), [P], 6),
    "diagonal": (lambda x: ops.diagonal(x, axis1=1, axis2=2), [P], 6),
    "triu": (lambda x: ops.triu(x), [P], 0),
    "extract_patches": (lambda x: ops.image.extract_patches(x, 2), [P], 6),
    "resize_nearest": (lambda x: ops.image.resize(x, (6, 7), "nearest"), [P], 6),
    "resize_bilinear": (lambda x: ops.image.resize(x, (6, 7)), [P], 6),
    "crop_images": (lambda x: ops.image.crop_images(x, 1, 1, 1, 1), [P], 6),
    "rgb_to_grayscale": (lambda x: ops.image.rgb_to_grayscale(x), [(4, 4, 3)], 0),
    "Flatten": (L.Flatten(), [P], 6),
    "Reshape": (lambda x: L.Reshape((2, 2, 6))(x), [S], 6),
    "Permute": (L.Permute((2, 1)), [S], 6),
    "RepeatVector": (L.RepeatVector(3), [V], 6),
    "UpSampling2D": (L.UpSampling2D(), [P], 6),
    "UpSampling2D_bilinear": (L.UpSampling2D(interpolation="bilinear"), [P], 6),
    "ZeroPadding2D": (L.ZeroPadding2D(2), [P], 6),
    "Cropping2D": (L.Cropping2D(1), [P], 6),
    "Resizing": (L.Resizing(3, 5), [P], 6),
    # Taken together along other axes
    "sum_time": (lambda x: ops.sum(x, 1), [S], 6),
    "mean_time": (lambda x: ops.mean(x, 1, keepdims=True), [S], 6),
    "max_time": (lambda x: ops.max(x, 1), [S], 6),
    "var_time": (lambda x: ops.var(x, 1), [S], 6),
    "argmax_time": (lambda x: ops.argmax(x, 1), [S], 6),
    "sort_time": (lambda x: ops.sort(x, 1), [S], 6),
    "median_time": (lambda x: ops.median(x, 1), [S], 6),
    "cumsum_time": (lambda x: ops.cumsum(x, 1), [S], 6),
    "softmax_time": (lambda x: ops.softmax(x, 1), [S], 6),
    "logsumexp_time": (lambda x: ops.logsumexp(x, 1), [S], 6),
    "norm_time": (lambda x: ops.norm(x, axis=1), [S], 6),
    "diff_time": (lambda x: ops.diff(x, axis=1), [S], 6),
    "standardized_by_sample": (lambda x: ops.mean(x, 0), [S], 6),
    "average_pool": (lambda x: ops.average_pool(x, 2, 2), [P], 6),
    "max_pool": (lambda x: ops.max_pool(x, 2, 2, "same"), [P], 6),
    "GlobalAveragePooling2D": (L.GlobalAveragePooling2D(), [P], 6),
    "GlobalMaxPooling1D": (L.GlobalMaxPooling1D(keepdims=True), [S], 6),
    "AveragePooling2D": (L.AveragePooling2D(2, padding="same"), [P], 6),
    "MaxPooling1D": (L.MaxPooling1D(2), [S], 6),
    # Taken together over the channels
    "sum": (lambda x: ops.sum(x, -1), [S], 6),
    "norm": (lambda x: ops.norm(x, axis=-1), [S], 6),
    "sum_of_all": (lambda x: ops.sum(x, (1, 2)), [S], 6),
    "mean": (lambda x: ops.mean(x, -1), [S], 0),
    "max": (lambda x: ops.max(x, -1), [S], 0),
    "max_of_64": (lambda x: ops.max(x, -1), [(4, 64)], 0),
    "min": (lambda x: ops.min(x, -1), [S], 0),
    "prod": (lambda x: ops.prod(x, -1), [S], 0),
    "var": (lambda x: ops.var(x, -1), [S], 0),
    "any": (lambda x: ops.any(x, -1), [S], 6),
    "all": (lambda x: ops.all(x, -1), [S], 0),
    "argmax": (lambda x: ops.argmax(x, -1), [S], 0),
    "argsort": (lambda x: ops.argsort(x, -1), [S], 0),
    "sort": (lambda x: ops.sort(x, -1), [S], 0),
    "top_k": (lambda x: ops.top_k(x, 2)[0], [S], 0),
    "softmax": (lambda x: ops.softmax(x, -1), [S], 0),
    "log_softmax": (lambda x: ops.log_softmax(x, -1), [S], 0),
    "logsumexp": (lambda x: ops.logsumexp(x, -1), [S], 0),
    "normalize": (lambda x: ops.normalize(x, -1), [S], 6),
    "cumsum": (lambda x: ops.cumsum(x, -1), [S], 6),
    "cumprod": (lambda x: ops.cumprod(x, -1), [S], 0),
    "diff": (lambda x: ops.diff(x, axis=-1), [S], 0),
    "fft": (lambda x: ops.fft((x, x))[0], [S], 0),
    "Softmax": (L.Softmax(), [S], 0),
    "UnitNormalization": (L.UnitNormalization(), [V], 6),
    # One's own
    "Gated": (Gated(), [S], 3),
    "Rotated": (Rotated(), [S], 3),
    "Shuffled": (Shuffled(), [P], 3),
    "Composite": (Composite(), [S], 6),
    "Standardized": (Standardized(), [S], 0),
    "Noisy": (Noisy(), [S], 0),
    "Dropout": (L.Dropout(0.5), [S], 6),
    "Lambda": (L.Lambda(lambda x: ops.relu(x[:, 1:]) * 2), [S], 6),
    "Lambda_maxout": (
        L.Lambda(lambda x: ops.max(ops.reshape(x, (-1, 4, x.shape[-1] // 2, 2)), -1)),
        [S],
        3,
    ),
    "Lambda_sizes": (L.Lambda(lambda x: x * np.arange(6.0)), [S], 0),
    "Lambda_halves": (L.Lambda(lambda x: sum(ops.split(x, 2, -1))), [S], 3),
    "Lambda_float32": (
        L.Lambda(lambda x: x + ops.convert_to_tensor(np.ones((4, 1), "float32"))),
        [S],
        6,
    ),
    "split_in_halves": (lambda x: ops.split(x, 2, axis=-1), [S], 3),
    "Lambda_python": (L.Lambda(lambda x: x if x[0, 0] > 0 else -x, (6,)), [V], 0),
}
