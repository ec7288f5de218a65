"""Calls of TensorFlow's functions, each on what one Dense layer gives out (``x``)."""

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    CALLS = {
        "activations": lambda x: (
            tf.nn.relu(x) + tf.nn.gelu(x) + tf.nn.leaky_relu(x, 0.1)
        ),
        "slope": lambda x: tf.nn.leaky_relu(features=x) + tf.nn.swish(x) + tf.tanh(x),
        "softmax": lambda x: tf.nn.softmax(x) + tf.nn.log_softmax(x, axis=1),
        "reductions": lambda x: x - tf.reduce_mean(x, axis=1, keepdims=True),
        "greatest": lambda x: x * tf.math.reduce_max(x, 1)[:, None],
        "spread": lambda x: (
            tf.math.reduce_std(x, [1], True) + tf.math.reduce_sum(x)[None]
        ),
        "shape": lambda x: tf.reshape(x, (tf.shape(x)[0], 2, 4)),
        "turned": lambda x: tf.transpose(tf.reshape(x, [-1, 2, 4]), perm=[0, 2, 1]),
        "product": lambda x: tf.matmul(
            tf.expand_dims(x, 2), tf.expand_dims(x, 2), transpose_b=True
        ),
        "einsum": lambda x: tf.einsum("bi,bj->bij", x, x),
        "parts": lambda x: tf.concat(tf.split(x, [3, 5], axis=-1)[::-1], axis=-1),
        "halves": lambda x: tf.stack(tf.split(x, 2, axis=1), axis=1),
        "unstacked": lambda x: tf.unstack(tf.reshape(x, (-1, 2, 4)), axis=1)[1],
        "choice": lambda x: tf.where(x > 0, x, tf.zeros_like(x)) + tf.maximum(x, 0.5),
        "numbers": lambda x: tf.cast(x > 0, tf.float32) * tf.abs(x) + tf.square(x),
        "bounds": lambda x: tf.clip_by_value(x, -0.5, 0.5) + tf.pow(x, 2.0),
        "looked up": lambda x: (
            x * tf.nn.embedding_lookup(tf.transpose(x), [0])[0][:, None]
        ),
        "taken": lambda x: tf.gather(x, [3, 1, 1], axis=1),
        "border": lambda x: tf.pad(x, [[0, 0], [1, 2]]),
        "repeated": lambda x: tf.tile(x, [1, 2]) + tf.repeat(x, 2, axis=1),
        "logarithm": lambda x: (
            tf.math.log(tf.math.softplus(x)) * tf.math.rsqrt(x * x + 1)
        ),
        "best": lambda x: tf.cast(tf.argmax(x, axis=1), "float32")[:, None] * x,
        "squeezed": lambda x: tf.squeeze(tf.identity(x)[:, :1], axis=1)[:, None],
        "pictures": lambda x: tf.image.resize(tf.reshape(x, (-1, 2, 2, 2)), [4, 4]),
        "broadcast": lambda x: (
            tf.broadcast_to(x[:, None], (tf.shape(x)[0], 3, 8)) + 0 * x[:, None]
        ),
    }
else:
    CALLS = {}

REFUSED = {
    "no operation of Keras": lambda x: tf.math.betainc(x, x, x),
    "another mode": lambda x: tf.pad(x, [[0, 0], [1, 2]], mode="REFLECT"),
}
