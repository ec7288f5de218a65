"""One operation run on arrays, with the arguments of its call in a network."""

import contextlib
import inspect
import itertools

import keras
import numpy as np

from nestrade_lib.dependency.observation.edits import edited
from nestrade_lib.seeds import seed_generators

# A function may hide its input at some values: a ReLU below zero, a shrinkage near it;
# and a logarithm makes no number of what is below zero.
DRAWS = (
    lambda rng, shape: rng.uniform(0.1, 0.9, shape),
    lambda rng, shape: rng.normal(size=shape),
    lambda rng, shape: rng.uniform(-3, -1, shape),
    lambda rng, shape: 30 * rng.normal(size=shape),
    lambda rng, shape: rng.uniform(1, 3, shape),
)
_LENGTHS = (4, 6, 8, 12, 32, 64)  # for axes of open length, the first two that run
_LARGE = 2**18  # elements of a tensor; above, long axes without channels are shortened


class Unobservable(Exception):
    """Why running an operation shows nothing: the reason ends the sentence "it ..."."""


class Probe:
    """An operation ready to be run on arrays in place of the tensors of its call.

    ``axes`` has a tuple for each tensor: an ``Axis`` or ``None`` for each dimension.
    ``sizes`` are one or two choices of the tensors' shapes.
    """

    def __init__(self, operation, args, kwargs, axes):
        self.operation = operation
        self.call = {"args": list(args), "kwargs": dict(kwargs), "config": {}}
        if isinstance(operation, keras.Operation):
            with contextlib.suppress(Exception):  # not every layer has one
                self.call["config"] = dict(operation.get_config())
        leaves = keras.tree.flatten((self.call["args"], self.call["kwargs"]))
        self.tensors = [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]
        self.axes = axes
        self.shortened = False
        self.training, self._states = False, []
        self.sizes = self._choose_mode()

    def _choose_mode(self):
        """In float64 where its code allows it, and with the largest whole numbers that it
        takes: they may be positions along an axis of channels."""
        has_numbers = any("int" in tensor.dtype for tensor in self.tensors)
        lengths = {len(a) for axes in self.axes for a in axes if a is not None}
        tops = sorted({*lengths, 2}, reverse=True) if has_numbers else [2]
        refusals = []
        for self.top, self.precise in itertools.product(tops, (True, False)):
            try:
                return self._choose_sizes()
            except Unobservable as refusal:
                refusals.append(refusal)
        raise refusals[-1]

    def draw(self, rng, draw, size=0):
        """Random values for its tensors (list of arrays)."""
        arrays = []
        for tensor, shape in zip(self.tensors, self.sizes[size]):
            if "float" in tensor.dtype:
                values = draw(rng, shape)
                arrays.append(values if self.precise else values.astype("float32"))
            elif tensor.dtype == "bool" or "int" in tensor.dtype:
                top = 2 if tensor.dtype == "bool" else self.top
                arrays.append(rng.integers(0, top, shape).astype(tensor.dtype))
            else:
                raise Unobservable(f"takes a tensor of {tensor.dtype}")
        return arrays

    @property
    def has_training_mode(self):
        """Whether the operation is a layer that takes ``training``."""
        if not isinstance(self.operation, keras.Layer):
            return False
        return "training" in inspect.signature(self.operation.call).parameters

    @contextlib.contextmanager
    def in_training(self):
        """Run it in training mode, in float32, with the same random numbers each time.

        Whether it draws some is what is given.
        """
        generators = seed_generators(self.operation)
        states = [keras.ops.convert_to_numpy(g.state.value) for g in generators]
        precise, self.precise = self.precise, False
        self.training, self._states = True, list(zip(generators, states))
        try:
            yield bool(generators)
        finally:
            self._draw_as_before()
            self.precise, self.training, self._states = precise, False, []

    def _draw_as_before(self):
        for generator, state in self._states:
            generator.state.assign(state)

    def run(self, arrays, edits=(), stays=None):
        """Its outputs (list of arrays), with entries of the call edited."""
        self._draw_as_before()
        try:
            call = edited(self.call, edits, stays)
            anew = any(edit.place[0] == "config" for edit in edits)
            with _double_precision():
                tensors = map(keras.ops.convert_to_tensor, arrays)
                args, kwargs = keras.tree.map_structure(
                    lambda x: next(tensors) if isinstance(x, keras.KerasTensor) else x,
                    (call["args"], call["kwargs"]),
                )
                function = self._function(call["config"] if anew else None)
                outputs = keras.tree.flatten(function(*args, **kwargs))
                return [_as_numbers(y) for y in outputs if y is not None]
        except Unobservable:
            raise
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            kind = type(error).__name__
            raise Unobservable(f"does not run ({kind}: {lines[0][:200]})") from error

    def _function(self, config):
        """The code itself, which casts nothing to float32; or a copy with other settings."""
        operation = self.operation
        if config is not None:
            if "dtype" in config:
                config = {**config, "dtype": "float64"}
            return type(operation).from_config(config)
        if not isinstance(operation, keras.Operation) or not getattr(
            operation, "built", True
        ):
            return operation
        if "training" not in inspect.signature(operation.call).parameters:
            return operation.call
        return lambda *args, **kwargs: operation.call(
            *args, **{**kwargs, "training": self.training}
        )

    # Sizes --------------------------------------------------------------------

    def _choose_sizes(self):
        found, refusals = [], []
        for length in _LENGTHS:
            self.sizes = [self._shapes(length, 2 + len(found))]
            try:
                self.require_repeatable()
            except Unobservable as refusal:
                refusals.append(refusal)
                continue
            if self.sizes[0] not in found:
                found.append(self.sizes[0])
            if len(found) == 2 or len(found[0]) and not self._is_open():
                break
        if not found:
            raise refusals[-1]
        return found

    def _is_open(self):
        return self.shortened or any(None in tensor.shape for tensor in self.tensors)

    def require_repeatable(self):
        """Refuse an operation that gives out other values for the same arrays."""
        arrays = self.draw(np.random.default_rng(0), DRAWS[0])
        for one, other in zip(self.run(arrays), self.run(arrays)):
            if one.shape != other.shape or not np.array_equal(
                one, other, equal_nan=True
            ):
                raise Unobservable("gives out other values each time")

    def _shapes(self, length, batch):
        """A shape for each tensor, with open lengths filled in and long ones shortened."""
        shapes = [
            [batch if (n, size) == (0, None) else size or length for n, size in enumerate(tensor.shape)]
            for tensor in self.tensors
        ]  # fmt: skip
        if max(map(np.prod, shapes), default=0) > _LARGE:
            self.shortened = True
            places = [
                (shape, n)
                for shape, axes in zip(shapes, self.axes)
                for n, axis in enumerate(axes)
                if axis is None and shape[n] > 16
            ]
            order = sorted({shape[n] for shape, n in places})
            for shape, n in places:  # equal ones alike
                shape[n] = length + 2 * order.index(shape[n])
        size = max(map(np.prod, shapes), default=0)
        if size > _LARGE:
            raise Unobservable("is too large to be observed")
        more = int(np.clip(4096 // max(size // batch, 1), 0, 14))
        for shape, tensor in zip(shapes, self.tensors):
            if tensor.shape and tensor.shape[0] is None:
                shape[0] += more
        return [tuple(shape) for shape in shapes]


def _as_numbers(tensor):
    array = keras.ops.convert_to_numpy(tensor)
    if array.dtype.kind not in "fiub":
        raise Unobservable(f"gives out a tensor of {array.dtype}")
    return array


@contextlib.contextmanager
def _double_precision():
    """Operations in float64, without gradients."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.enable_x64(True):
            yield
    elif keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            yield
    else:
        yield
