"""Weights that a composite layer holds itself, each in a layer of the network made of it."""

import contextlib

import keras
from keras import tree

from nestrade_lib import internals
from nestrade_lib.dependency.unrolling.calls import CannotUnroll


def _given(kind):
    """A class whose weight is there already, in ``given``; a file has its base in its place."""
    base = kind.__base__
    kind.__name__, kind.__module__ = base.__name__, base.__module__
    kind.add_weight = lambda self, *args, **kwargs: self.given
    kind.from_config = classmethod(lambda _, config: base.from_config(config))
    return kind


@_given
class _Array(keras.layers.EinsumDense):
    """Multiplies one by the weight."""

    def __init__(self, weight, **options):
        letters = "abcdefghijkl"[: len(weight.shape)]
        super().__init__(
            f"z,{letters}->z{letters}",
            tuple(weight.shape),
            kernel_regularizer=weight.regularizer,
            kernel_constraint=weight.constraint,
            **options,
        )
        self.given = weight


@_given
class _Number(keras.layers.PReLU):
    """Multiplies minus one by the weight."""

    def __init__(self, weight, **options):
        super().__init__(
            alpha_regularizer=weight.regularizer,
            alpha_constraint=weight.constraint,
            **options,
        )
        self.given = weight


class OwnWeights:
    """The tensors of the weights that composite layers hold themselves."""

    def __init__(self, paused):
        self.paused = paused  # while so, nothing is followed
        self.layers = {}  # by the weight's identity, like the next
        self.constants = {}

    @contextlib.contextmanager
    def as_tensors(self, layer, frame):
        """While this layer is followed, its own weights are symbolic tensors.

        One without layers inside is left as it is: a rule may describe it.
        """
        if not (isinstance(layer, keras.Model) or internals.inner_layers(layer)):
            yield
            return
        held = vars(layer)
        before = {
            name: value
            for name, value in held.items()
            if not name.startswith("_") and any(map(_is_weight, tree.flatten(value)))
        }
        for name, value in before.items():
            held[name] = tree.map_structure(
                lambda x: self._tensor(x, layer, frame) if _is_weight(x) else x, value
            )
        try:
            yield
        finally:
            held.update(before)

    def _tensor(self, weight, layer, frame):
        """The weight in this frame; whole numbers, which nothing trains, stay as they are."""
        if "float" not in weight.dtype:
            with self.paused():
                numbers = keras.ops.convert_to_numpy(weight)
            return self.constants.setdefault(id(weight), numbers)
        if frame.anchor is None:
            raise CannotUnroll(f"reads {weight.path}, and no tensor of numbers")
        is_number = len(weight.shape) == 0
        if id(weight) not in self.layers:
            options = {"name": frame.name(weight.name), "dtype": layer.dtype_policy}
            kind = _Number if is_number else _Array
            self.layers[id(weight)] = kind(weight, **options)
            self.layers[id(weight)].trainable = weight.trainable
        zero = keras.ops.sum(keras.ops.zeros_like(frame.anchor))
        zero = keras.ops.reshape(keras.ops.cast(zero, layer.compute_dtype), (1,))
        held = self.layers[id(weight)]
        return (
            keras.ops.sum(-held(zero - 1))
            if is_number
            else keras.ops.squeeze(held(zero + 1), 0)
        )


def _is_weight(x):
    return isinstance(x, keras.Variable)
