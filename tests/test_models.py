"""The article's four functions do what they were meant to do, on any shape."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestrade_lib import (
    create_loss,
    create_model,
    create_nestrade_model,
    create_optimizer,
    create_resnet,
    restructure,
    trace,
)

pytestmark = pytest.mark.any_backend

images = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
vectors = st.tuples(st.integers(1, 50))


@settings(max_examples=15)
@given(shape=images | vectors, classes=st.integers(2, 12))
def test_any_shape_gives_logits(shape, classes):
    model = create_model(shape, classes)
    logits = model(np.zeros((2, *shape), "float32"))
    assert tuple(logits.shape) == (2, classes)


def test_on_mnist_it_is_lenet_5():
    model = create_model((28, 28, 1), 10)
    shapes = [layer.output.shape[-1] for layer in model.layers if layer.weights]
    assert shapes == [20, 50, 500, 10] and model.count_params() == 431_080


def test_the_penalty_is_there_while_the_article_would_have_none():
    x = np.zeros((1, 28, 28, 1), "float32")
    regularized = create_nestrade_model((28, 28, 1), 10, l1=0.5)
    kernel = keras.ops.convert_to_numpy(regularized.get_layer("dense1").kernel)
    regularized(x)
    penalty = float(keras.ops.convert_to_numpy(sum(regularized.losses)))
    assert math.isclose(penalty, 0.5 * np.abs(kernel).sum(), rel_tol=1e-4)

    late = create_model((28, 28, 1), 10)
    late.get_layer("dense1").kernel_regularizer = keras.regularizers.L1(0.5)
    late(x)
    assert late.losses == []


def test_dropout_is_active_in_training_alone():
    model = create_model((20,), 3, dropout=0.5)
    x = np.ones((1, 20), "float32")
    same = [keras.ops.convert_to_numpy(model(x)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    drops = [keras.ops.convert_to_numpy(model(x, training=True)) for _ in range(2)]
    assert np.abs(drops[0] - drops[1]).max() > 0


def test_it_learns():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = np.eye(3, dtype="float32")[y] + 0.1 * rng.random((300, 3), "float32")
    keras.utils.set_random_seed(0)
    model = create_nestrade_model((3,), 3)
    model.fit(x, y, epochs=5, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.95


def test_the_loss_is_cross_entropy_of_logits():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(50, 4)).astype("float32"), rng.integers(0, 4, 50)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(50), y]).mean()
    assert math.isclose(float(create_loss()(y, logits)), expected, rel_tol=1e-5)


def test_one_hot_labels_are_refused():
    model = create_nestrade_model((3,), 3)
    with pytest.raises(Exception, match="(?i)shape|target"):
        model.fit(np.ones((6, 3)), np.eye(3)[[0, 1, 2, 0, 1, 2]], verbose=0)


@pytest.mark.parametrize(
    "shape",
    [(28, 28), (), (28, -28, 1), (0,), (1, 2, 3, 4), (2.5, 3, 1), None, "ab", 28],
)
def test_bad_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="input_shape: expected"):
        create_model(shape, 10)


def test_a_grey_image_without_channels_gets_the_way_out():
    with pytest.raises(ValueError, match=r"\(28, 28, 1\).*np.newaxis"):
        create_nestrade_model((28, 28), 10)


@pytest.mark.parametrize("classes", [1, 0, -3, 2.5, None, True, "10"])
def test_bad_numbers_of_classes_are_refused(classes):
    with pytest.raises(ValueError, match="num_classes: expected"):
        create_model((28, 28, 1), classes)


@pytest.mark.parametrize("rate", [0, -1e-3, math.nan, math.inf, None, "0.1", True])
def test_bad_learning_rates_are_refused(rate):
    with pytest.raises(ValueError, match="learning_rate: expected"):
        create_optimizer(rate)


def test_a_schedule_is_a_learning_rate():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    assert math.isclose(
        float(create_optimizer(schedule).learning_rate), 0.1, rel_tol=1e-6
    )


@pytest.mark.parametrize("l1", [-1, math.nan, math.inf, "1"])
def test_bad_penalties_are_refused(l1):
    with pytest.raises(ValueError, match="l1: expected"):
        create_nestrade_model((3,), 3, l1=l1)


@pytest.mark.parametrize("dropout", [-0.1, 1, math.nan, "half"])
def test_bad_dropout_is_refused(dropout):
    with pytest.raises(ValueError, match="dropout: expected"):
        create_model((3,), 3, dropout=dropout)


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 8, 3)])
@pytest.mark.parametrize(("widths", "blocks"), [((4, 8), 2), ((3,), 1), ([5, 5, 7], 1)])
def test_a_residual_network_keeps_its_widths_and_can_be_cut(shape, widths, blocks):
    keras.utils.set_random_seed(2)
    network = create_resnet(shape, 3, widths=widths, blocks=blocks)
    assert network.output_shape == (None, 3)
    adds = [x for x in network.layers if isinstance(x, keras.layers.Add)]
    assert [x.output.shape[-1] for x in adds] == [
        w for w in widths for _ in range(blocks)
    ]
    smaller = restructure(network, np.arange(trace(network).count) % 3 > 0)
    assert smaller.count_params() < network.count_params()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((9,), 3), "residual network needs"),
        (((9, 9, 1), 1), "num_classes: expected"),
        (((9, 9, 1), 3, ()), "widths: expected"),
        (((9, 9, 1), 3, (4, 0)), "widths: expected"),
        (((9, 9, 1), 3, (4,), 0), "blocks: expected"),
    ],
)
def test_bad_residual_networks_are_refused(arguments, message):
    names = "input_shape", "num_classes", "widths", "blocks"
    with pytest.raises(ValueError, match=message):
        create_resnet(**dict(zip(names, arguments, strict=False)))
