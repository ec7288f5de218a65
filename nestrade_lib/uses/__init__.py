"""How often one sample's forward pass uses each weight of a network.

The model is traced once, abstractly, on its own backend, while every layer call is
watched: nothing is computed, shared layers are seen once a call, and nested models
and composite layers are seen inside. A small rule a layer type then says how often
such a call uses each of its weights.

>>> import keras
>>> model = keras.Sequential([keras.Input((9, 1)), keras.layers.Conv1D(2, 3)])
>>> uses = variable_uses(model)
>>> [uses.get(id(v), 0) for v in model.variables]  # kernel: at 7 positions; bias
[7, 0]
"""

from nestrade_lib.uses import rules  # noqa: F401  (registers them)
from nestrade_lib.uses.calls import record_calls
from nestrade_lib.uses.registry import register_macs

__all__ = ["record_calls", "register_macs", "variable_uses"]


def variable_uses(model):
    """Tell how often one sample's forward pass uses each weight.

    Parameters
    ----------
    model : keras.Model
        Built; as in :func:`nestrade_lib.count_costs`.

    Returns
    -------
    dict of int to int
        ``id(variable)`` to its uses, for each variable that is multiplied. Variables
        that cost no MACs by custom, such as biases and norms, are not in it.

    Raises
    ------
    ValueError
        As in :func:`nestrade_lib.count_costs`.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> list(variable_uses(model).values())
    [1]
    """
    uses = {}
    for call in record_calls(model):
        for variable, times in call.uses or ():
            if variable is not None:
                uses[id(variable)] = uses.get(id(variable), 0) + times
    return uses
