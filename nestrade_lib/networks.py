"""The classic networks that the book measures: LeNets, and a small residual network.

Every network ends in logits, one per class, without a softmax: the loss takes the logits,
which is exact where a softmax would round to 0.
"""

import itertools
from collections.abc import Sequence

import keras

from nestrade_lib.checks import is_number, is_whole, require


def create_model(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    kernel_regularizer: keras.Regularizer | str | None = None,
    dropout: float = 0.0,
    name: str | None = None,
) -> keras.Model:
    """Build a classifier for images or vectors, not yet compiled.

    Images pass through stages of convolution and pooling until no side is longer
    than 7; then come a hidden layer of 500 units and the logits. On 28×28×1 this is
    LeNet-5 in the version of the pruning literature (20-50-800-500). Vectors go
    through two hidden layers of 300 and 100 units (LeNet-300-100).

    Parameters
    ----------
    input_shape : tuple of int
        ``(height, width, channels)`` or ``(features,)``, without the batch axis.
    num_classes : int
        At least 2.
    kernel_regularizer : keras.regularizers.Regularizer or str, optional
        Given to every hidden `Dense` layer while it is built. Set later, on a layer
        that has its weights, it would do nothing.
    dropout : float
        Share of the hidden units dropped at each training step, in [0, 1).
    name : str, optional
        The model's name.

    Returns
    -------
    keras.Model
        From ``(batch, *input_shape)`` to logits ``(batch, num_classes)``.

    Raises
    ------
    ValueError
        If a shape, number of classes or share is out of range.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to
    document recognition".

    Examples
    --------
    >>> create_model((28, 28, 1), 10).count_params()
    431080
    >>> create_model((784,), 10).count_params()
    266610
    """
    input_shape = _checked_shape(input_shape)
    _check_classes(num_classes)
    holds = is_number(dropout) and 0 <= dropout < 1
    require(holds, "dropout", "a share in [0, 1)", dropout)

    def hidden(x, units, name):
        x = keras.layers.Dense(
            units, activation="relu", kernel_regularizer=kernel_regularizer, name=name
        )(x)
        return keras.layers.Dropout(dropout)(x) if dropout else x

    inputs = keras.Input(input_shape)
    if len(input_shape) == 3:
        x = _convolutions(inputs)
        x = keras.layers.Flatten(name="flatten")(x)
        x = hidden(x, 500, "dense1")
    else:
        x = hidden(inputs, 300, "dense1")
        x = hidden(x, 100, "dense2")
    logits = keras.layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name=name)


def create_resnet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    widths: Sequence[int] = (32, 64, 128),
    blocks: int = 1,
    name: str | None = None,
) -> keras.Model:
    """Build a residual classifier for images, with batch norms, not yet compiled.

    There is one stage per width; each but the first halves the image's sides. Global
    pooling replaces the hidden layer, so that nearly all MACs are in convolutions whose
    channels the additions tie together.

    Parameters
    ----------
    input_shape : tuple of int
        ``(height, width, channels)``, without the batch axis.
    num_classes : int
        At least 2.
    widths : sequence of int
        Channels of each stage.
    blocks : int
        Residual blocks per stage, of two convolutions each.
    name : str, optional
        The model's name.

    Returns
    -------
    keras.Model
        From ``(batch, *input_shape)`` to logits ``(batch, num_classes)``.

    Raises
    ------
    ValueError
        If a shape or number is out of range.

    References
    ----------
    He, Zhang, Ren, Sun (2016), "Deep residual learning for image recognition".

    Examples
    --------
    >>> create_resnet((28, 28, 1), 10).count_params()
    309418
    """
    input_shape = _checked_shape(input_shape)
    if len(input_shape) != 3:
        raise ValueError(
            "input_shape: a residual network needs (height, width, channels), got "
            f"{input_shape!r}."
        )
    _check_classes(num_classes)
    for argument, sizes in (("widths", widths), ("blocks", (blocks,))):
        is_list = isinstance(sizes, (tuple, list)) and len(sizes)
        holds = is_list and all(is_whole(size) for size in sizes)
        require(holds, argument, "whole numbers above 0", sizes)
    inputs = keras.Input(input_shape)
    x = _normed_convolution(inputs, widths[0], "stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for stage, width in enumerate(widths, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _residual_block(x, width, stride, f"stage{stage}_block{block}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(
        inputs, keras.layers.Dense(num_classes, name="logits")(x), name=name
    )


def _convolutions(x):
    """Halve an image, stage by stage, until no side is longer than 7."""
    for stage in itertools.count(1):
        filters = min(20 if stage == 1 else 25 * 2 ** (stage - 1), 200)
        padding = "valid" if min(x.shape[1:3]) >= 8 else "same"
        x = keras.layers.Conv2D(
            filters, 5, padding=padding, activation="relu", name=f"conv{stage}"
        )(x)
        window = tuple(min(2, side) for side in x.shape[1:3])
        x = keras.layers.MaxPooling2D(window, name=f"pool{stage}")(x)
        if max(x.shape[1:3]) <= 7:
            return x


def _normed_convolution(x, filters, name, size=3, stride=1):
    x = keras.layers.Conv2D(
        filters, size, stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return keras.layers.BatchNormalization(name=f"{name}_norm")(x)


def _residual_block(x, width, stride, name):
    """Add two convolutions to their input, projected where its shape differs."""
    y = _normed_convolution(x, width, f"{name}_first", stride=stride)
    y = keras.layers.ReLU(name=f"{name}_relu")(y)
    y = _normed_convolution(y, width, f"{name}_second")
    if stride > 1 or x.shape[-1] != width:
        x = _normed_convolution(x, width, f"{name}_shortcut", size=1, stride=stride)
    return keras.layers.ReLU(name=f"{name}_out")(
        keras.layers.Add(name=f"{name}_add")([x, y])
    )


def _checked_shape(shape):
    expected = (
        "(height, width, channels) for images or (features,) for vectors, each a whole "
        "number above 0 and no batch axis"
    )
    require(isinstance(shape, (tuple, list)), "input_shape", expected, shape)
    shape, advice = tuple(shape), ""
    if len(shape) == 2:
        advice = (
            f"For grey images add the channel axis: {(*shape, 1)!r}, and "
            "x[..., np.newaxis] for the data."
        )
    holds = len(shape) in (1, 3) and all(map(is_whole, shape))
    require(holds, "input_shape", expected, shape, advice)
    return tuple(map(int, shape))


def _check_classes(num_classes):
    advice = "For a yes-or-no question use 2 classes."
    expected = "a whole number of at least 2"
    require(is_whole(num_classes, 2), "num_classes", expected, num_classes, advice)
