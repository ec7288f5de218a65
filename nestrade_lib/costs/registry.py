"""Which rule tells how often a layer type uses its weights."""

_RULES = {}


def register_macs(layer_class):
    """Teach the counter a layer of your own.

    The decorated function gets the layer, a list of its inputs' shapes and the shape
    of its output (with batch axis 1), and returns pairs ``(variable, uses)``. A pair
    ``(None, n)`` adds n MACs that go through no weight, as in attention. A cell of an
    `RNN` tells of one step.

    Parameters
    ----------
    layer_class : type
        A subclass of `keras.Layer`. Its subclasses inherit the rule.

    Examples
    --------
    >>> import keras
    >>> class Scale(keras.layers.Layer):
    ...     def build(self, shape):
    ...         self.factor = self.add_weight(shape=shape[-1:])
    ...     def call(self, x):
    ...         return x * self.factor
    >>> @register_macs(Scale)
    ... def scale(layer, inputs, output):
    ...     return [(layer.factor, 1)]
    >>> from nestrade_lib import weight_reuse
    >>> weight_reuse(keras.Sequential([keras.Input((4,)), Scale()])).values()
    dict_values([1])
    """

    def register(rule):
        _RULES[layer_class] = rule
        return rule

    return register


def find_rule(layer):
    """The rule of a layer's class, or of the nearest class that it inherits from.

    Examples
    --------
    >>> import keras
    >>> find_rule(keras.layers.Flatten()) is None
    True
    """
    return next((_RULES[c] for c in type(layer).__mro__ if c in _RULES), None)
