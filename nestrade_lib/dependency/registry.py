"""Which rule speaks for which layer."""

import keras

from nestrade_lib.internals import operation_class

_RULES = {}
_ELEMENTWISE = set()


def rule(*kinds):
    """Bind a function to layer classes and to functions of ``keras.ops``."""

    def bind(function):
        for kind in kinds:
            kind = kind if isinstance(kind, type) else operation_class(kind)
            _RULES[kind] = function
        return function

    return bind


def register_rule(kind):
    """Teach the trace how channels pass through a layer of your own.

        Parameters
        ----------
        kind : type or callable
            A layer class; or an activation function, which is then taken to work on
            each element alone (no rule is needed for it, decorate the function itself).

        Returns
        -------
        callable
            A decorator for the rule ``rule(call)``, which reads ``call.layer`` and
            ``call.inputs`` (a list of ``Channels``: ``shape`` and ``axes``), says with
            ``call.produces``, ``call.consumes``, ``call.resize`` which slices and
            configuration values belong to which channels, and returns the axes of the
            output (a list of them for several outputs). Where a product costs less with
            fewer channels than its weight has, ``call.multiplies`` says so.

        Examples
        --------
        >>> import keras

    from nestrade_lib.internals import operation_class
        >>> from nestrade_lib import register_rule
        >>> @keras.saving.register_keras_serializable("doc")
        ... class Gain(keras.layers.Layer):
        ...     def build(self, shape):
        ...         self.gain = self.add_weight(shape=shape[-1:], initializer="ones")
        ...     def call(self, x):
        ...         return x * self.gain
        >>> @register_rule(Gain)
        ... def gain(call):
        ...     *others, channels = call.inputs[0].axes
        ...     call.produces(call.layer.gain, {0: channels})
        ...     return (*others, channels)
    """
    if isinstance(kind, type):
        return rule(kind)
    _ELEMENTWISE.add(kind)
    return kind


def find_rule(layer):
    """The rule of a layer, of its nearest base class that has one, or ``None``.

    A subclass that overrides ``call`` does something else than its base: its
    rule is not guessed from there.
    """
    for kind in type(layer).__mro__:
        if kind in _RULES:
            return _RULES[kind]
        if "call" in vars(kind) or kind is keras.layers.Layer:
            return None
    return None


def is_elementwise(function):
    """Whether an activation is registered to work on each element alone."""
    return function in _ELEMENTWISE
