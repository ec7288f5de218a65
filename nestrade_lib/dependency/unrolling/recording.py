"""Symbolic calls while they are followed: their operations, and what they may not do."""

import contextlib
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import tree

from nestrade_lib import internals
from nestrade_lib.dependency.unrolling.calls import (
    OPEN,
    CannotUnroll,
    as_followed,
    asks_for_batch,
    per_sample,
    require_description,
    tensors_of,
    zeros_per_sample,
)
from nestrade_lib.dependency.unrolling.tensorflow_functions import as_operations


@dataclass
class _Frame:
    """The call that is being followed, and the names in its network."""

    anchor: object  # a tensor, from which constants are made
    names: set = field(default_factory=set)
    operations: list = field(default_factory=list)
    losses: list = field(default_factory=list)

    def name(self, name):
        """That name, or one like it that nothing else has."""
        made, number = name, 0
        while made in self.names:
            number += 1
            made = f"{name}_{number}"
        self.names.add(made)
        return made


class Recording:
    """Watches every call of a layer, by ``called``, and of an operation."""

    def __init__(self, called):
        self.called = called
        self.frames = []
        self.is_paused = False

    @property
    def frame(self):
        """Of the call that is followed now."""
        return self.frames[-1]

    @contextlib.contextmanager
    def running(self):
        """Calls of layers and operations are followed, and no weight is read beside them."""
        with contextlib.ExitStack() as stack:
            for owner, name, make in (
                (keras.Layer, "__call__", self._calling),
                (keras.Operation, "symbolic_call", self._recording),
                (keras.Variable, "value", self._guarding),
                (keras.Layer, "add_loss", self._keeping_losses),
                (keras.ops, "shape", self._sizing),
                (keras.ops, "zeros", self._zeroing),
                (keras.layers.Embedding, "embeddings", self._tabling),
            ):
                stack.enter_context(internals.replaced(owner, name, make))
            stack.enter_context(as_operations())
            yield

    @contextlib.contextmanager
    def opened(self, inputs):
        numbers = (x for x in tensors_of(inputs) if x.dtype not in ("bool", "string"))
        self.frames.append(_Frame(next(numbers, None)))
        try:
            yield self.frame
        finally:
            self.frames.pop()

    @contextlib.contextmanager
    def paused(self):
        before, self.is_paused = self.is_paused, True
        try:
            yield
        finally:
            self.is_paused = before

    def _calling(self, call):
        return lambda layer, *args, **kwargs: self.called(call, layer, *args, **kwargs)

    def _recording(self, symbolic_call):
        def recorded(operation, *args, **kwargs):
            if not self.is_paused:
                for leaf in tree.flatten((args, kwargs)):
                    if isinstance(leaf, keras.Variable):
                        raise _beside_layers(leaf)
                operation, args = as_followed(operation, args)
                require_description(operation)
                if not internals.inputs_of(operation):  # it is new
                    self.frame.operations.append(operation)
            made = symbolic_call(operation, *args, **kwargs)
            if not self.is_paused and asks_for_batch(operation) and made.shape[0] == 1:
                made = per_sample(made, self.frame.anchor)
            return made

        return recorded

    def _sizing(self, shape):
        def sized(x):
            sizes = shape(x)
            if self.is_paused or not isinstance(x, keras.KerasTensor):
                return sizes
            return tuple(OPEN if n is None else n for n in sizes[:1]) + sizes[1:]

        return sized

    def _zeroing(self, zeros):
        def zeroed(shape, *args, **kwargs):
            made = zeros(shape, *args, **kwargs)
            is_state = isinstance(shape, (list, tuple)) and any(
                n is OPEN for n in shape[:1]
            )
            if self.is_paused or not is_state or self.frame.anchor is None:
                return made
            is_number = "float" in keras.utils.standardize_dtype(made.dtype)
            once_each = zeros_per_sample if is_number else per_sample
            return once_each(made, self.frame.anchor)

        return zeroed

    def _guarding(self, value):
        def guarded(variable):
            if not self.is_paused:
                raise _beside_layers(variable)
            return value.fget(variable)

        return property(guarded)

    def _tabling(self, embeddings):
        def table(layer):
            """The weights of an embedding, read beside it: what it gives for each index."""
            if self.is_paused:
                return embeddings.fget(layer)
            return layer(np.arange(layer.input_dim))

        return property(table)

    def _keeping_losses(self, add_loss):
        def kept(layer, loss):
            if self.is_paused:
                return add_loss(layer, loss)
            if len(tensors_of(loss)) < len(tree.flatten(loss)):
                raise CannotUnroll("adds a loss that its inputs do not decide")
            self.frame.losses += tree.flatten(loss)

        return kept

    def lifted(self, x):
        """A constant as a symbolic tensor: a layer with weights is called on it."""
        anchor = self.frame.anchor
        if anchor is None or not (keras.ops.is_tensor(x) or isinstance(x, np.ndarray)):
            return x
        zero = keras.ops.cast(
            keras.ops.sum(keras.ops.zeros_like(anchor)),
            keras.utils.standardize_dtype(x.dtype),
        )
        return keras.ops.add(zero, x)


def _beside_layers(variable):
    return CannotUnroll(
        f"reads {variable.path} outside of a layer (let a layer of its own, which is kept, "
        "hold that weight and apply it)"
    )
