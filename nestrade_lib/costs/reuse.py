"""How often one sample's forward pass uses each weight."""

from nestrade_lib.costs.calls import record_calls


def weight_reuse(model):
    """Count how often one sample's forward pass uses each weight.

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
    >>> list(weight_reuse(model).values())
    [1]
    """
    uses = {}
    for call in record_calls(model):
        for variable, times in call.uses or ():
            if variable is not None:
                uses[id(variable)] = uses.get(id(variable), 0) + times
    return uses
