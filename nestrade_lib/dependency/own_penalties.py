"""Regularizers and constraints of one's own that run at one size alone: it is kept."""

import keras

from nestrade_lib.dependency.labels import Axis
from nestrade_lib.internals import from_keras

_REASON = "has a regularizer or constraint that does not run once some are removed"


def keep_what_they_need(call, outputs):
    """Never cut what a layer's own regularizers and constraints see, if they need all of it."""
    layer, tags = call.layer, call.record.tags
    seen = [(getattr(layer, "activity_regularizer", None), outputs[0])]
    seen = [(function, x.shape, x.axes) for function, x in seen]
    for variable in getattr(layer, "weights", ()):
        tag = tags.get(call.walk.path(variable))
        if tag is not None:
            axes = [x if x is None else Axis(x, x) for x in tag.labels]
            for function in (variable.regularizer, variable.constraint):
                seen.append((function, variable.shape, axes))
    for function, shape, axes in seen:
        is_own = function is not None and not from_keras(type(function))
        if is_own and not _runs(function, shape, axes):
            call.pin_all(axes, _REASON)


def _runs(function, shape, axes):
    """Whether a function runs on one channel along each axis that has channels."""
    pairs = zip(shape, axes, strict=True)
    sizes = [2 if size is None else 1 if axis else size for size, axis in pairs]
    try:
        function(keras.ops.zeros(sizes))
    except Exception:  # whatever it raises
        return False
    return True
