"""Subclassed models and composite layers, as functional networks of the same layers."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from nestrade_lib import unroll

pytestmark = pytest.mark.any_backend

NETWORKS = {}


def network(*shapes, whole=True, **classes):
    """A case: its builder, the shapes of its inputs or, for whole numbers, their classes.

    Not ``whole``: one of its layers stays as it is, and plain Keras does not know it.
    """

    def add(build):
        NETWORKS[build.__name__] = build, shapes or classes, whole
        return build

    return add


# As on keras.io -----------------------------------------------------------------


class TokenAndPosition(L.Layer):
    def __init__(self, length, words, width, **kwargs):
        super().__init__(**kwargs)
        self.token = L.Embedding(words, width)
        self.position = L.Embedding(length, width)

    def call(self, x):
        positions = ops.arange(start=0, stop=ops.shape(x)[-1], step=1)
        return self.token(x) + self.position(positions)


class TransformerBlock(L.Layer):
    def __init__(self, width, heads, hidden, rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.attention = L.MultiHeadAttention(heads, width)
        self.feed = keras.Sequential([L.Dense(hidden, "relu"), L.Dense(width)])
        self.norms = [L.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.drops = [L.Dropout(rate) for _ in range(2)]

    def call(self, x, training=False):
        y = self.drops[0](self.attention(x, x), training=training)
        x = self.norms[0](x + y)
        y = self.drops[1](self.feed(x), training=training)
        return self.norms[1](x + y)


class Classifier(keras.Model):
    def __init__(self):
        super().__init__(name="classifier")
        self.embed = TokenAndPosition(10, 20, 8)
        self.blocks = [TransformerBlock(8, 2, 12) for _ in range(2)]
        self.pool = L.GlobalAveragePooling1D()
        self.head = keras.Sequential([L.Dropout(0.0), L.Dense(3, "softmax")])

    def call(self, x, training=None):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(self.pool(x), training=training)


@network((10,), words=20)
def text_classifier():
    return Classifier()


@network((10,), words=20)
def text_classifier_of_composite_layers():
    x = keras.Input((10,), dtype="int32")
    y = TransformerBlock(8, 2, 12)(TokenAndPosition(10, 20, 8)(x))
    return keras.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(y)))


class PositionalEmbedding(L.Layer):
    """Its mask is its own: the sum of two embeddings has none."""

    def __init__(self, length, words, width):
        super().__init__()
        self.token = L.Embedding(words, width, mask_zero=True)
        self.position = L.Embedding(length, width)

    def call(self, x):
        return self.token(x) + self.position(ops.arange(0, x.shape[-1]))

    def compute_mask(self, x, mask=None):
        return self.token.compute_mask(x)


class Encoder(L.Layer):
    def __init__(self, width):
        super().__init__()
        self.attention = L.MultiHeadAttention(2, width)
        self.dense = L.Dense(width)
        self.supports_masking = True

    def call(self, x, mask=None):
        if mask is not None:
            mask = ops.cast(mask[:, None, :], "int32")
        return self.dense(x + self.attention(x, x, attention_mask=mask))


class Decoder(L.Layer):
    def __init__(self, width):
        super().__init__()
        self.attention = L.MultiHeadAttention(2, width)
        self.supports_masking = True

    def call(self, x, memory, memory_mask=None):
        if memory_mask is not None:
            memory_mask = ops.cast(memory_mask[:, None, :], "int32")
        return x + self.attention(x, memory, attention_mask=memory_mask)


class Translator(keras.Model):
    def __init__(self):
        super().__init__()
        self.sources, self.targets = (PositionalEmbedding(6, 12, 8) for _ in range(2))
        self.encode, self.decode = Encoder(8), Decoder(8)
        self.gist, self.words = L.LSTM(5), L.Dense(12)

    def call(self, inputs):
        memory = self.encode(self.sources(inputs["source"]))
        x = self.decode(self.targets(inputs["target"]), memory)
        return {"words": self.words(x), "gist": self.gist(x)}


@network(source=12, target=12)
def translator_with_masks():
    return Translator()


class Sampling(L.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(1)

    def call(self, inputs):
        mean, spread = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed)
        return mean + ops.exp(0.5 * spread) * noise


class AutoEncoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([L.Dense(7, "relu"), L.Dense(5, "relu")])
        self.mean, self.spread, self.sample = L.Dense(2), L.Dense(2), Sampling()
        self.outer = keras.Sequential([L.Dense(7, "relu"), L.Dense(4)])

    def call(self, x):
        x = self.inner(x)
        mean, spread = self.mean(x), self.spread(x)
        return mean, spread, self.outer(self.sample([mean, spread]))


@network((4,), whole=False)
def autoencoder():
    return AutoEncoder()


class Tower(keras.Model):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.hidden = L.Dense(width, "relu", name="hidden")
        self.out = L.Dense(width, name="out")

    def call(self, x):
        return self.out(self.hidden(x))


class Siamese(keras.Model):
    def __init__(self):
        super().__init__()
        self.tower, self.score = Tower(5), L.Dense(1, "sigmoid")

    def call(self, inputs):
        one, other = (self.tower(x) for x in inputs)
        return self.score(ops.abs(one - other))


@network((4,), (4,))
def siamese():
    return Siamese()


class Separable(L.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.steps = []
        for _ in range(2):
            conv = L.SeparableConv2D(filters, 3, padding="same", use_bias=False)
            self.steps += [L.BatchNormalization(), L.Activation("relu"), conv]
        self.pool = L.MaxPooling2D(3, strides=2, padding="same")
        self.shortcut = L.Conv2D(filters, 1, strides=2, padding="same")

    def call(self, x):
        y = x
        for step in self.steps:
            y = step(y)
        return L.add([self.pool(y), self.shortcut(x)])


@network((16, 16, 3))
def mini_xception():
    x = keras.Input((16, 16, 3))
    y = keras.Sequential([L.Rescaling(1 / 255), L.Conv2D(6, 5)])(x)
    for filters in (6, 8):
        y = Separable(filters)(y)
    y = L.Dropout(0.0)(L.GlobalAveragePooling2D()(y))
    return keras.Model(x, L.Dense(1)(y))


# In other ways --------------------------------------------------------------------


class Towers(keras.Model):
    """Layers of the same name in models within models."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.towers = [Tower(4, name="tower"), Tower(4, name="tower")]

    def call(self, x):
        return ops.concatenate([tower(x) for tower in self.towers], axis=-1)


class Deep(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.then = Towers(name="towers"), Towers(name="towers")
        self.graph = keras.Sequential([L.Dense(3), Tower(3), L.Dense(2)])

    def call(self, x):
        return self.graph(self.then(self.first(x)))


@network((4,))
def models_within_models():
    return Deep()


class TwoWays(L.Layer):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(4)

    def call(self, x, scale, flip=False):
        x = self.dense(x) * scale
        return (ops.flip(x, 1), None) if flip else (x, "straight")


class Several(keras.Model):
    """A layer of several arguments and outputs, called in two ways and on two shapes."""

    def __init__(self):
        super().__init__()
        self.both = TwoWays()

    def call(self, inputs):
        x, scale = inputs
        y, name = self.both(x, scale)
        z, nothing = self.both(y, scale=scale, flip=True)
        assert name == "straight" and nothing is None
        small, _ = self.both(x[:, :2], scale)
        return [y, (z, small)]


@network((6, 4), (1, 1))
def several_inputs_and_outputs():
    return Several()


class Heads(L.Layer):
    """Attention by hand, with the shape that it finds."""

    def __init__(self, heads):
        super().__init__()
        self.heads = heads
        self.parts, self.out = [L.Dense(8) for _ in range(3)], L.Dense(8)

    def split(self, x):
        batch, length = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, length, self.heads, -1))
        return ops.transpose(x, (0, 2, 1, 3))

    def call(self, x):
        query, key, value = (self.split(part(x)) for part in self.parts)
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / np.sqrt(4.0)
        x = ops.transpose(ops.matmul(ops.softmax(scores), value), (0, 2, 1, 3))
        return self.out(ops.reshape(x, (ops.shape(x)[0], -1, 8)))


@network((6, 8))
def attention_by_hand():
    return keras.Sequential([keras.Input((6, 8)), Heads(2), L.Dense(2)])


class Causal(L.Layer):
    """A mask of the size that it finds, for each sample."""

    def __init__(self):
        super().__init__()
        self.attention = L.MultiHeadAttention(2, 4)

    def call(self, x):
        batch, length, _ = ops.shape(x)
        steps = ops.arange(length)
        mask = ops.expand_dims(steps, 1) >= ops.expand_dims(steps, 0)
        mask = ops.broadcast_to(mask, (batch, length, length))
        return x + self.attention(x, x, attention_mask=mask)


@network((6, 8))
def causal_attention():
    x = keras.Input((6, 8))
    return keras.Model(x, Causal()(Causal()(x)))


class Scaled(L.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        return x * self.scale


class Normed(L.Layer):
    def __init__(self):
        super().__init__()
        self.norm, self.scale = L.BatchNormalization(), Scaled()

    def call(self, x, training=None):
        return self.scale(self.norm(x, training=training))


@network((5,), whole=False)
def layer_with_a_weight_in_a_layer():
    return keras.Sequential([keras.Input((5,)), L.Dense(4), Normed(), L.Dense(2)])


class Bank(L.Layer):
    """It looks words up in an embedding that others use as well."""

    def __init__(self, embedding, **kwargs):
        super().__init__(**kwargs)
        self.embedding, self.dense = embedding, L.Dense(3)

    def call(self, x):
        return self.dense(self.embedding(x))


class Shared(keras.Model):
    def __init__(self):
        super().__init__()
        embedding = L.Embedding(9, 4)
        self.banks = [Bank(embedding), Bank(embedding)]
        self.pool, self.head = L.GlobalAveragePooling1D(), L.Dense(2)

    def call(self, inputs):
        banks = zip(self.banks, (inputs["one"], inputs["other"]))
        return self.head(self.pool(L.add([bank(x) for bank, x in banks])))


@network(one=9, other=9)
def layer_in_two_layers():
    return Shared()


@network((4,))
def subclass_of_a_functional_model():
    class Named(keras.Model):
        def __init__(self, width, **kwargs):
            x = keras.Input((4,))
            super().__init__(x, Tower(width)(L.Dense(width)(x)), **kwargs)

    return Named(3)


# What holds of each -----------------------------------------------------------------


def sample(case):
    """Inputs as the network is called with, and the network, called once on them."""
    build, shapes, _ = NETWORKS[case]
    rng = np.random.default_rng(0)
    if isinstance(shapes, dict):
        inputs = {k: rng.integers(0, n, (3, 6)) for k, n in shapes.items()}
    else:
        inputs = [rng.normal(size=(3, *shape)).astype("float32") for shape in shapes]
        inputs = inputs[0] if len(inputs) == 1 else inputs
    return inputs, build()


def outputs_of(made, inputs, training):
    """Its outputs and what they leave in its variables, which are as before."""
    before = [ops.convert_to_numpy(v) for v in made.weights]
    keras.utils.set_random_seed(0)
    found = keras.tree.map_structure(
        ops.convert_to_numpy, made(inputs, training=training)
    )
    after = {id(v): ops.convert_to_numpy(v) for v in made.weights}
    for variable, value in zip(made.weights, before):
        variable.assign(value)
    return found, after


def layers_of(made):
    for layer in made.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)


@pytest.mark.parametrize("case", NETWORKS)
def test_layers_weights_and_outputs_are_the_same(case, tmp_path):
    inputs, original = sample(case)
    original(inputs)
    made = unroll(original, inputs)
    plain = "keras.src."
    assert type(made).__name__ == "Functional" and made.name == original.name
    foreign = {
        type(x) for x in layers_of(made) if not type(x).__module__.startswith(plain)
    }
    whole = NETWORKS[case][2]
    assert not foreign if whole else foreign <= {Sampling, Scaled}
    assert {id(v) for v in made.weights} == {id(v) for v in original.weights}
    if case != "autoencoder":
        for training in (False, True):
            one, other = (outputs_of(x, inputs, training) for x in (original, made))
            keras.tree.assert_same_structure(one[0], other[0])
            for x, y in zip(*map(keras.tree.flatten, (one[0], other[0]))):
                np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
            for key, value in one[1].items():
                np.testing.assert_allclose(value, other[1][key], rtol=1e-5, atol=1e-6)
    if whole:
        made.save(tmp_path / "made.keras")
        loaded = keras.models.load_model(tmp_path / "made.keras")
        for x, y in zip(*(keras.tree.flatten(m(inputs)) for m in (made, loaded))):
            np.testing.assert_allclose(*map(ops.convert_to_numpy, (x, y)), 1e-5, 1e-6)


# What is refused, or kept ------------------------------------------------------------


def model_of(call, **parts):
    """A subclassed model of that ``call``, with these layers."""

    class Mine(keras.Model):
        def __init__(self):
            super().__init__(name="mine")
            self.dense = L.Dense(4)
            vars(self).update(
                {k: v for k, v in parts.items() if not isinstance(v, L.Layer)}
            )
            for name, part in parts.items():
                setattr(self, name, part)

    Mine.call = call
    return Mine()


def values(self, x):
    x = self.dense(x)
    return x if ops.max(x) > 0 else -x


def phase(self, x, training=None):
    return self.dense(x) if training else self.dense(x) * 2


def fixed(self, x, training=None):
    return self.drop(self.dense(x), training=False)


def weight(self, x):
    return ops.matmul(x, ops.transpose(self.dense.kernel))


def loss(self, x):
    x = self.dense(x)
    self.add_loss(ops.mean(x))
    return x


def arrays(self, x):
    return self.dense(np.asarray(x) * 2)


def chance(self, x):
    return self.dense(x) * np.random.default_rng().normal()


def unused(self, x):
    return self.drop(x)


def text(self, x):
    return self.dense(x), "text"


@pytest.mark.parametrize(
    "call, words",
    [
        (values, "does not run"),
        (phase, "asks in Python whether it is training"),
        (fixed, "fixes training= of 'drop'"),
        (weight, "/kernel outside of a layer"),
        (loss, "adds a loss"),
        (arrays, "does not run"),
        (chance, "gives other values then"),
        (unused, "does not use the weights"),
        (text, "something else than tensors"),
    ],
)
def test_one_message_says_why_it_cannot_be(call, words):
    x = np.ones((2, 4), "float32")
    made = model_of(call, drop=L.Dropout(0.5, name="drop"))
    made.dense.build((None, 4))
    if call not in (phase, values):
        made.built = True
    weights = [ops.convert_to_numpy(v) for v in made.weights]
    with pytest.raises(ValueError, match="'mine'") as error:
        unroll(made, x)
    assert words in str(error.value)
    assert ops.convert_to_numpy(made.dense(x)).shape == (2, 4)  # as it was
    for variable, before in zip(made.weights, weights):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), before)
