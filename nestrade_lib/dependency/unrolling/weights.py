"""Weights that a composite layer holds itself, each in a layer of the network made of it."""

import contextlib

import keras
from keras import tree

from nestrade_lib import internals
from nestrade_lib.dependency.unrolling.calls import CannotUnroll


class _Array(keras.layers.EinsumDense):
    """Multiplies one by a weight that is there already; a file has it as ``EinsumDense``."""

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

    def add_weight(self, *args, **kwargs):
        return self.given

    @classmethod
    def from_config(cls, config):
        return cls.__base__.from_config(config)


class _Scalar(keras.layers.PReLU):
    """Multiplies minus one by a weight that is there already; a file has it as ``PReLU``."""

    def __init__(self, weight, **options):
        super().__init__(
            alpha_regularizer=weight.regularizer,
            alpha_constraint=weight.constraint,
            **options,
        )
        self.given = weight

    def add_weight(self, *args, **kwargs):
        return self.given

    @classmethod
    def from_config(cls, config):
        return cls.__base__.from_config(config)


for kind in (_Array, _Scalar):
    kind.__name__, kind.__module__ = kind.__base__.__name__, kind.__base__.__module__


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
        shape = tuple(weight.shape)
        if id(weight) not in self.layers:
            options = {"name": frame.name(weight.name), "dtype": layer.dtype_policy}
            made = _Array(weight, **options) if shape else _Scalar(weight, **options)
            self.layers[id(weight)] = made
            made.trainable = weight.trainable
        zero = keras.ops.sum(keras.ops.zeros_like(frame.anchor))
        one = keras.ops.reshape(1 + zero if shape else zero - 1, (1,))
        found = self.layers[id(weight)](keras.ops.cast(one, layer.compute_dtype))
        return keras.ops.squeeze(found, 0) if shape else keras.ops.sum(-found)


def _is_weight(x):
    return isinstance(x, keras.Variable)
