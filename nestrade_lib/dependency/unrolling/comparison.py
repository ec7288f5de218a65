"""A made network held against its original, on samples."""

import contextlib
import functools
import inspect

import keras
import numpy as np
from keras import tree

from nestrade_lib import internals
from nestrade_lib.dependency.unrolling.calls import (
    CannotUnroll,
    code_of,
    reason_of,
    tensors_of,
    without_phase,
)

_LENGTHS = (8, 32)  # for open axes, the first that the original runs at


def require_equal(layer, args, kwargs, made, inputs, outputs, masks=()):
    """Run both on samples; of an original that is random, the other is only to be so too.

    ``made`` takes ``inputs`` where ``layer`` takes them among ``args`` and ``kwargs``;
    ``masks`` has pairs of them, a tensor and its mask. A ``call`` that may ask whether it
    is training is run in training as well.
    """
    phases: list = [{}]
    if "training" in inspect.signature(code_of(layer)).parameters:
        phases.append({"training": True})
    for length in _LENGTHS:
        draw = functools.partial(_sample, length)
        try:
            runs = [
                [
                    _run(layer, draw(inputs, (args, kwargs), masks), phase, outputs)
                    for _ in range(2)
                ]
                for phase in phases
            ]
        except Exception as refusal:
            error = refusal
            continue
        for phase, (once, again) in zip(phases, runs):
            is_same = _equal(once, again)
            arrays = [draw(inputs, inputs, masks) for _ in range(2)]
            found, again = (_run(made, ([_alone(x)], {}), phase) for x in arrays)
            found, again = found[: len(once)], again[: len(once)]
            if _equal(found, again) != is_same or is_same and not _equal(once, found):
                raise CannotUnroll(
                    f"gives other values then{' in training' * bool(phase)}"
                )
        return
    raise CannotUnroll(f"does not run on samples ({reason_of(error)})")


def _run(layer, arguments, phase, outputs=None):
    """What a layer gives out, in the places of symbolic tensors if these are given."""
    args, kwargs = arguments
    stateless = keras.StatelessScope() if phase else contextlib.nullcontext()
    with stateless:  # in training, no statistics move
        found = tree.flatten(layer(*args, **{**kwargs, **phase}))
    if outputs is None:
        return found
    pairs = zip(found, tree.flatten(outputs), strict=True)
    return [y for y, symbol in pairs if isinstance(symbol, keras.KerasTensor)]


def _alone(arrays):
    return arrays[0] if isinstance(arrays, list) and len(arrays) == 1 else arrays


def _sample(length, inputs, structure, masks):
    """The structure with arrays in place of the inputs, the same each time."""
    rng = np.random.default_rng(0)
    arrays = {id(x): _array(rng, length, x) for x in tensors_of(inputs)}
    for tensor, mask in masks:
        if id(mask) in arrays:
            internals.set_mask(arrays[id(tensor)], arrays[id(mask)])
    return tree.map_structure(lambda x: without_phase(arrays.get(id(x), x)), structure)


def _array(rng, length, tensor):
    """A batch of two, of numbers that are positions, classes and values alike."""
    shape = [2 if n == 0 else length for n in range(len(tensor.shape))]
    shape = [m if n is None else n for n, m in zip(tensor.shape, shape)]
    if "float" in tensor.dtype:
        values = rng.uniform(0, 1, shape)
    else:
        values = rng.integers(0, 2, shape)
    return keras.ops.convert_to_tensor(values, tensor.dtype)


def _equal(one, other):
    for x, y in zip(one, other, strict=True):
        precision = 1e-5 if x.dtype == y.dtype and "float32" in str(x.dtype) else 1e-2
        x, y = (
            keras.ops.convert_to_numpy(keras.ops.cast(z, "float32")) for z in (x, y)
        )
        if x.shape != y.shape or not np.allclose(
            x, y, precision, precision * np.abs(x).max(initial=0), equal_nan=True
        ):
            return False
    return True
