"""What running an operation says of channels, held against removing them."""

import keras
import numpy as np
import pytest
from keras import ops

from nestrade_lib.dependency.labels import Axis, Labels
from nestrade_lib.dependency.observation import observe
from nestrade_lib.dependency.observation.edits import edited
from tests.support.observation_cases import CASES

pytestmark = pytest.mark.any_backend


def call_of(build, shapes):
    """The operation that the call makes, with its arguments."""
    tensors = [keras.KerasTensor((None, *shape)) for shape in shapes]
    made = keras.tree.flatten(build(*tensors))[0]
    operation, number, _ = made._keras_history
    arguments = operation._inbound_nodes[number].arguments
    return operation, arguments.args, arguments.kwargs


def observed(case, fill):
    build, shapes, _ = CASES[case]
    operation, args, kwargs = call_of(build, shapes)
    axes, start = [], 0
    for shape in shapes:
        labels = np.arange(start, start := start + shape[-1])
        axes.append((None,) * len(shape) + (Axis(labels, fill(labels)),))
    return operation, args, kwargs, axes, observe(operation, args, kwargs, axes)


def groups(axes, found):
    """The group of each label, -1 where it is pinned."""
    count = 1 + max(each[-1].labels.max() for each in axes)
    root = Labels(count, list(found.merges)).components()
    for labels, _ in found.pins:
        root[np.isin(root, root[labels])] = -1
    return root


def zeros(labels):
    return np.zeros(len(labels))


def various(labels):
    return np.array([0.0, 0.5, np.nan])[labels % 3]


def outputs_of(operation, args, kwargs, arrays):
    """What the operation makes of arrays in place of its tensors, as Keras calls it."""
    given = iter(arrays)
    args, kwargs = keras.tree.map_structure(
        lambda x: (
            ops.convert_to_tensor(next(given))
            if isinstance(x, keras.KerasTensor)
            else x
        ),
        (args, kwargs),
    )
    made = keras.tree.flatten(operation(*args, **kwargs))
    return [ops.convert_to_numpy(y).astype("float64") for y in made]


# JAX compiles each of them for each shape.
FEW = list(CASES) if keras.backend.backend() == "tensorflow" else list(CASES)[::4]


@pytest.mark.parametrize("case", FEW)
def test_channels_can_be_removed_instead_of_filled(case):
    """Of what is said to be cuttable, on random masks; and how much of it there is."""
    rng = np.random.default_rng(0)
    for fill in (zeros, various):
        operation, args, kwargs, axes, found = observed(case, fill)
        group = np.append(groups(axes, found), -1)
        free = np.unique(group[group >= 0])
        if fill is zeros:
            assert len(free) == CASES[case][2], found
        for share in (0.3, 0.6):
            kept = ~np.isin(group, free[rng.random(len(free)) < share])
            check_removal(operation, args, kwargs, axes, found, kept.__getitem__, rng)


def check_removal(operation, args, kwargs, axes, found, stays, rng):
    traced = [tensor.axes for tensor in found.outputs or []]
    inner = [axis for each in [*axes, *traced] for axis in each if axis is not None]
    if all(stays(axis.labels).all() for axis in inner):
        return  # nothing is cut
    if not all(stays(axis.labels).any() for axis in inner):
        return  # nothing is left
    tensors = keras.tree.flatten((args, kwargs))
    tensors = [x for x in tensors if isinstance(x, keras.KerasTensor)]
    large = [
        rng.normal(size=(5, *tensor.shape[1:])).astype("float32") for tensor in tensors
    ]
    small = []
    for array, each in zip(large, axes):
        gone = ~stays(each[-1].labels) & ~np.isnan(each[-1].fill)
        array[..., gone] = each[-1].fill[gone]
        small.append(array[..., stays(each[-1].labels)])
    call = {"args": list(args), "kwargs": kwargs}
    if any(edit.place[0] == "config" for edit in found.edits):
        call["config"] = operation.get_config()
    call = edited(call, found.edits, stays)
    smaller = (
        type(operation).from_config(call["config"]) if "config" in call else operation
    )
    pairs = zip(
        outputs_of(operation, args, kwargs, large),
        outputs_of(smaller, call["args"], call["kwargs"], small),
        traced,
        strict=True,
    )
    for expected, got, each in pairs:
        for number, axis in enumerate(each):
            if axis is not None:
                kept = stays(axis.labels)
                for position in np.flatnonzero(~kept & ~np.isnan(axis.fill)):
                    filled = np.take(expected, position, number)
                    np.testing.assert_allclose(filled, axis.fill[position], atol=1e-6)
        for number, axis in enumerate(each):
            if axis is not None:
                expected = np.compress(stays(axis.labels), expected, number)
        assert got.shape == expected.shape
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=0)
        np.testing.assert_allclose(got, expected, 1e-4, 1e-5 * scale)


def axis(*labels):
    return Axis(np.array(labels), np.zeros(len(labels)))


def observe_on(function, *tensors):
    """Of a function of tensors, each given as a shape, axes and maybe a type."""
    symbols = [keras.KerasTensor(shape, *kind) for shape, _, *kind in tensors]
    return observe(function, symbols, {}, [axes for _, axes, *_ in tensors])


def labels_of(output):
    return [None if each is None else each.labels.tolist() for each in output.axes]


def test_open_lengths_stay_open_and_carry_nothing():
    found = observe_on(
        lambda x: ops.repeat(x, 2, axis=1),
        ((None, None, None, 3), (None, None, None, axis(4, 5, 6))),
    )
    assert found.outputs[0].shape == (None, None, None, 3)
    assert labels_of(found.outputs[0]) == [None, None, None, [4, 5, 6]]
    found = observe_on(
        lambda x: ops.reshape(x, (ops.shape(x)[0], -1)),
        ((None, None, 3), (None, None, axis(4, 5, 6))),
    )
    assert labels_of(found.outputs[0]) == [None, None]
    assert found.pins[0][0].tolist() == [4, 5, 6]


def test_channels_lie_along_several_axes():
    found = observe_on(
        lambda x, y: ops.matmul(x, y),
        ((None, 3, 4), (None, axis(0, 1, 2), axis(3, 4, 5, 6))),
        ((None, 4, 2), (None, axis(7, 8, 9, 10), axis(11, 12))),
    )
    assert labels_of(found.outputs[0]) == [None, [0, 1, 2], [11, 12]]
    assert not found.pins
    ((one, other),) = found.merges
    assert one.tolist() == [7, 8, 9, 10] and other.tolist() == [3, 4, 5, 6]


def test_what_joins_with_channels_that_are_never_cut_is_pinned():
    found = observe_on(
        ops.add,
        ((None, 4), (None, axis(0, 1, -1, 3))),
        ((None, 4), (None, axis(4, -1, 6, 7))),
    )
    assert labels_of(found.outputs[0]) == [None, [0, -1, -1, 3]]
    assert found.pins[0][0].tolist() == [1, 6]
    found = observe_on(
        ops.add, ((None, 2), (None, axis(0, 1))), ((None, 2), (None, None))
    )
    assert labels_of(found.outputs[0]) == [None, None]
    assert found.pins[0][0].tolist() == [0, 1]


def test_one_channel_in_several_places_is_one():
    found = observe_on(
        lambda x: ops.reshape(x, (-1, 2, x.shape[1] // 2)),
        ((None, 6), (None, axis(0, 1, 2, 0, 1, 2))),
    )
    assert labels_of(found.outputs[0]) == [None, None, [0, 1, 2]]
    assert not found.merges and not found.pins


def test_only_what_leaves_a_constant_behind_is_pinned():
    channels = Axis(np.arange(4), np.array([0.0, 0.5, 0.0, np.nan]))
    found = observe_on(lambda x: ops.sum(x, -1), ((None, 3, 4), (None, None, channels)))
    assert found.pins[0][0].tolist() == [1, 3]


def test_masks_and_positions_are_inputs_too():
    found = observe_on(
        lambda mask, x: ops.where(mask, x, 0.0),
        ((None, 5, 1), (None,) * 3, "bool"),
        ((None, 5, 2), (None, None, axis(0, 1))),
    )
    assert labels_of(found.outputs[0]) == [None, None, [0, 1]]
    found = observe_on(
        lambda x, places: ops.take_along_axis(x, places, 1),
        ((None, 5, 2), (None, None, axis(0, 1))),
        ((None, 3, 1), (None,) * 3, "int32"),
    )
    assert labels_of(found.outputs[0]) == [None, None, [0, 1]]


def test_large_images_are_observed_at_smaller_ones():
    images = (None, 512, 512, 4), (None, None, None, Axis(np.arange(4), np.ones(4)))
    found = observe_on(lambda x: ops.sum(x, (1, 2)), images)
    assert labels_of(found.outputs[0]) == [None, [0, 1, 2, 3]]
    assert np.isnan(found.outputs[0].axes[1].fill).all()  # it depends on their size
    found = observe_on(lambda x: ops.reshape(x, (-1, 512 * 512 * 4)), images)
    assert found.outputs is None and "run" in found.pins[0][1]


def test_a_reason_is_given_in_words():
    features = (None, 4), (None, axis(0, 1, 2, 3))
    for function, words in {
        lambda x: ops.softmax(x): "gives other values for the rest",
        lambda x: x * np.arange(4.0): "does not run",
        lambda x: x + keras.random.normal((4,)): "gives out other values each time",
        lambda x: ops.nonzero(x): "tensor",
    }.items():
        ((labels, reason),) = observe_on(function, features).pins
        assert labels.tolist() == [0, 1, 2, 3]
        assert words in reason or words == "tensor"


class InTraining(keras.Layer):
    """Computes something else in training, with or without a generator of its own."""

    def __init__(self, function, seed=None):
        super().__init__()
        self.function = function
        self.seed = seed and keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        return self.function(x, self.seed) if training else x


def noise(x, seed):
    return x + keras.random.normal(ops.shape(x), seed=seed)


def whole_sample(x, seed):
    shape = (ops.shape(x)[0], 1)
    return x * ops.cast(keras.random.uniform(shape, seed=seed) < 0.5, x.dtype)


@pytest.mark.parametrize(
    "layer, words",
    [
        (InTraining(noise, 1), None),
        (InTraining(whole_sample, 1), None),
        (InTraining(lambda x, _: x[:, :1] * x), "gives other values for the rest"),
        (
            InTraining(lambda x, _: ops.roll(x, 1, -1)),
            "gives other values for the rest",
        ),
        (InTraining(lambda x, s: noise(ops.roll(x, 1, -1), s), 1), "mixes channels"),
        (InTraining(lambda x, _: x - ops.mean(x, -1, keepdims=True)), "other values"),
        (InTraining(lambda x, _: x + np.ones(4)), "does not run"),
        (InTraining(noise), "other values each time in training"),
    ],
)
def test_what_holds_in_inference_has_to_hold_in_training(layer, words):
    state = layer.seed and np.array(ops.convert_to_numpy(layer.seed.state.value))
    found = observe_on(layer, ((None, 4), (None, axis(0, 1, 2, 3))))
    if words is None:
        assert labels_of(found.outputs[0]) == [None, [0, 1, 2, 3]] and not found.pins
        assert (ops.convert_to_numpy(layer.seed.state.value) == state).all()
    else:
        assert [labels.tolist() for labels, _ in found.pins] == [[0, 1, 2, 3]]
        assert words in found.pins[0][1]
