"""Layers that two others hold: a configuration keeps one copy for each of them."""

import keras

from nestrade_lib.internals import inner_layers


def held_apart(network):
    """Layers with weights that several models or wrappers hold, and those (list of pairs).

    >>> dense = keras.layers.Dense(2, name="dense")
    >>> x = keras.Input((2,))
    >>> network = keras.Model(x, dense(keras.layers.TimeDistributed(dense)(x[:, None])))
    >>> [(layer.name, len(holders)) for layer, holders in held_apart(network)]
    [('dense', 2)]
    """
    holders, held = {}, [network]
    for holder in held:
        is_model = isinstance(holder, keras.Model)
        for layer in holder.layers if is_model else inner_layers(holder):
            if layer not in held:
                held.append(layer)
            some = holders.setdefault(id(layer), (layer, []))[1]
            if holder not in some:
                some.append(holder)
    return [
        (layer, some)
        for layer, some in holders.values()
        if len(some) > 1 and layer.weights
    ]


def require_held_once(network):
    """Refuse at the start what no cut could keep."""
    for layer, holders in held_apart(network):
        places = " and ".join(f"{x.name!r} ({type(x).__name__})" for x in holders)
        raise ValueError(
            f"Layer {layer.name!r} is in {places}: Keras' configuration does not keep that "
            "it is one layer, so the smaller network would have copies. Call the layer "
            "itself in all places, or a layer of its own in each."
        )
