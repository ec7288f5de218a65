"""Which rule describes which layer."""

from collections.abc import Callable

import keras

from nestrade_lib.checks import require
from nestrade_lib.internals import operation_class

_RULES = {}
_PRODUCTS = {}
_ELEMENTWISE = set()


def rule(*kinds):
    """Bind a function to layer classes and to functions of ``keras.ops``."""

    def bind(function):
        for kind in kinds:
            kind = kind if isinstance(kind, type) else operation_class(kind)
            _RULES[kind] = function
        return function

    return bind


def products(*functions):
    """Bind what counts the products to functions of ``keras.ops``: ``(call, output)``."""

    def bind(count):
        _PRODUCTS.update(dict.fromkeys(map(operation_class, functions), count))
        return count

    return bind


def find_products(operation):
    """What counts the products of an operation, or ``None``: it has none."""
    return _PRODUCTS.get(type(operation))


def register_rule(kind: type | Callable) -> Callable:
    """Describe a layer of your own once: its channels and its MACs.

    The rule is all that :func:`nestrade_lib.trace`, :func:`nestrade_lib.count_costs`
    and a :class:`nestrade_lib.Budget` of MACs need to know of the layer.

    Parameters
    ----------
    kind : type or callable
        A layer class; or an activation function, which is then taken to work on
        each element alone (no rule is needed for it, decorate the function itself).

    Returns
    -------
    callable
        A decorator for the rule ``rule(call)``, which reads ``call.layer`` and
        ``call.inputs``, a list of tensors with a ``shape`` and, for each dimension, an
        axis of channels, or ``None`` where none of it is ever cut. The rule returns the
        axes of the output (a list of them for several outputs) and says on the way:

        - ``call.fresh(length)``: new channels;
        - ``call.produces(variable, {dimension: axis})`` and ``call.consumes(variable,
          dimension, axis, bias)``: which slices make channels and which read them;
        - ``call.resize(key, axis)``: a value of ``get_config`` is their number;
        - ``call.multiplies(variable, *positions)``: for one sample, each element of the
          variable is multiplied once at every position: numbers, axes, and tensors
          with all their axes (``call.inputs[0][1:-1]`` is what lies between batch and
          features). With ``None`` for the variable: a product of two tensors. Nothing
          else costs MACs; a matrix that a rule does not name here leaves them unknown
          (``call.multiplies(bias, 0)`` names one that is only added).

        A cell of an ``RNN`` describes one step, with states after its output. To count
        costs, the rule is called with channels that are never cut.

    Raises
    ------
    ValueError
        If it is neither, such as a layer's name.

    Examples
    --------
    A dense layer whose weights are divided by a norm:

    >>> import keras, numpy as np
    >>> from nestrade_lib import Budget, Nestrade, count_costs, register_rule, trace
    >>> @keras.saving.register_keras_serializable("doc")
    ... class Normed(keras.layers.Layer):
    ...     def __init__(self, units, **options):
    ...         super().__init__(**options)
    ...         self.units = units
    ...     def build(self, shape):
    ...         self.kernel = self.add_weight(shape=(shape[-1], self.units))
    ...     def call(self, x):
    ...         return x @ self.kernel / (1 + keras.ops.norm(self.kernel, axis=0))
    ...     def get_config(self):
    ...         return {**super().get_config(), "units": self.units}
    >>> @register_rule(Normed)
    ... def normed(call):
    ...     kernel, units = call.layer.kernel, call.fresh(call.layer.units)
    ...     *others, features = call.inputs[0].axes
    ...     call.consumes(kernel, 0, features)
    ...     call.produces(kernel, {1: units})
    ...     call.resize("units", units)
    ...     call.multiplies(kernel, call.inputs[0][1:-1])
    ...     return (*others, units)
    >>> network = keras.Sequential([keras.Input((5, 8)), Normed(6), Normed(2)])
    >>> trace(network).count, count_costs(network).macs  # at 5 positions
    (6, 300)
    >>> network.compile("sgd", "mse")
    >>> trainer = Nestrade(network, Budget(macs=0.5))
    """
    is_layer = isinstance(kind, type) and issubclass(kind, keras.layers.Layer)
    is_function = callable(kind) and not isinstance(kind, type)
    expected = "a layer class, such as keras.layers.Dense, or an activation function"
    require(is_layer or is_function, "kind", expected, kind)
    if is_layer:
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
