"""How often one sample's forward pass uses each weight."""

import keras

from nestrade_lib.dependency.calls import record_calls


def weight_reuse(
    model: keras.Model,
    input_shape: tuple[int, ...] | list[tuple[int, ...]] | None = None,
) -> dict[int, int]:
    """Count how often one sample's forward pass uses each weight.

    Parameters
    ----------
    model : keras.Model
        Built.
    input_shape : tuple of int, or a list of them, optional
        As in :func:`nestrade_lib.count_costs`.

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
    >>> model = keras.Sequential([keras.Input((9, 1)), keras.layers.Conv1D(2, 3)])
    >>> uses = weight_reuse(model)
    >>> [uses.get(id(v), 0) for v in model.variables]  # kernel: at 7 positions; bias
    [7, 0]
    """
    uses = {}
    for call in record_calls(model, input_shape):
        for variable, times in call.reuse.items():
            if variable is not None:
                uses[variable] = uses.get(variable, 0) + times
    return uses
