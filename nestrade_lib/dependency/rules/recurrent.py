"""Recurrent layers, and the wrappers that carry a layer over time or both ways."""

from keras import layers, tree

from nestrade_lib.dependency.labels import Channels, join
from nestrade_lib.dependency.registry import rule
from nestrade_lib.dependency.rules.activation import apply_activation
from nestrade_lib.dependency.rules.convolution import image, split_channels

_GATES = {layers.LSTMCell: 4, layers.GRUCell: 3, layers.SimpleRNNCell: 1}


def _sequence_and_states(call):
    """What a call runs over, and the states it is given to begin with.

    Keras adds the mask of an embedding to the call: it names steps, not channels.
    """
    names = ("sequences", "initial_state", "mask")
    arguments = {**dict(zip(names, call.args)), **call.kwargs}
    for mask in _channels(arguments.get("mask")):
        call.pin_all(mask.axes, "takes them for its mask")
    return arguments["sequences"], _channels(arguments.get("initial_state"))


def _channels(structure):
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, Channels)]


@rule(layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN)
def recurrent(call):
    layer = call.layer
    keys = ("cell", "config") if type(layer) is layers.RNN else ()
    sequence, initial = _sequence_and_states(call)
    batch, time, features = sequence.axes
    call.pin(time, "runs over them")
    cells, places = [layer.cell], [keys]
    if isinstance(layer.cell, layers.StackedRNNCells):
        cells = layer.cell.cells
        places = [keys + ("cells", n, "config") for n in range(len(cells))]
    states = []
    for cell, place in zip(cells, places):
        features = _cell(call, cell, place, features)
        states += [features] * len(tree.flatten(cell.state_size))
    for state, start in zip(states, initial):
        call.absorbs(start.axes[-1])
        call.merge(state, start.axes[-1])
    output = (batch, None, features) if layer.return_sequences else (batch, features)
    if not layer.return_state:
        return output
    return [output] + [(None, state) for state in states]


def _cell(call, cell, keys, features):
    """One cell: the gates of a unit lie in blocks, and its state is the unit too."""
    gates = _GATES.get(type(cell))
    if gates is None:
        call.refuse(f"its cell {type(cell).__name__} is not known")
    units = call.fresh(cell.units)
    blocks = join([units] * gates, [cell.units] * gates)
    bias = cell.bias if cell.use_bias else None
    folded = bias if not cell.dropout else None  # dropout makes a constant vary
    call.consumes(cell.kernel, 0, features, folded)
    call.produces(cell.kernel, {1: blocks})
    if bias is not None:
        call.produces(bias, {-1: blocks})
    if gates > 1:
        gate = keys + ("recurrent_activation",)
        apply_activation(call, (blocks,), cell.recurrent_activation, gate)
    # A cut unit stays at zero from its zero start if its activation is zero there.
    (after,) = apply_activation(call, (units,), cell.activation, keys + ("activation",))
    call.absorbs(after)
    call.consumes(cell.recurrent_kernel, 0, units)
    call.produces(cell.recurrent_kernel, {1: blocks})
    call.resize(keys + ("units",), units)
    return units


@rule(layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D)
def convolutional_lstm(call):
    layer, cell = call.layer, call.layer.cell
    sequence, initial = _sequence_and_states(call)
    if initial:
        call.refuse("its states are given")
    number, channels = split_channels(call, sequence)
    if layer.data_format == "channels_first":
        call.refuse("its channels come before the places") if number != 2 else None
    filters = call.fresh(cell.filters)
    blocks = join([filters] * 4, [cell.filters] * 4)
    call.consumes(cell.kernel, -2, channels)
    call.produces(cell.kernel, {-1: blocks})
    if cell.use_bias:
        call.produces(cell.bias, {0: blocks})
    gate = "recurrent_activation"
    apply_activation(call, (blocks,), cell.recurrent_activation, gate)
    (after,) = apply_activation(call, (filters,), cell.activation)
    call.absorbs(after)
    call.consumes(cell.recurrent_kernel, -2, filters)
    call.produces(cell.recurrent_kernel, {-1: blocks})
    call.resize("filters", filters)
    rank = len(sequence.axes) - (not layer.return_sequences)
    output = image(rank, rank - 1, filters)
    if not layer.return_state:
        return output
    state = image(len(sequence.axes) - 1, len(sequence.axes) - 2, filters)
    return [output, state, state]


@rule(layers.Bidirectional)
def bidirectional(call):
    layer = call.layer
    sequence, initial = _sequence_and_states(call)
    half = len(initial) // 2
    forward, backward = (
        call.inner(inner, (key, "config"), [sequence, states])
        for inner, key, states in (
            (layer.forward_layer, "layer", initial[:half]),
            (layer.backward_layer, "backward_layer", initial[half:]),
        )
    )
    if forward is None or backward is None:
        call.refuse("one of its directions is kept and the other not (keep the layer)")
    one, other = forward[0], backward[0]
    states = forward[1:] + backward[1:]
    # Keras works out the output's shape from the forward width alone.
    both = call.merge(one[-1], other[-1])
    if layer.merge_mode is None:
        return [one, other, *states]
    if layer.merge_mode == "concat":
        width = layer.forward_layer.cell.units, layer.backward_layer.cell.units
        last = join([one[-1], other[-1]], width)
    else:
        last = both
    return [(*one[:-1], last), *states]


@rule(layers.TimeDistributed)
def time_distributed(call):
    sequence = call.inputs[0]
    call.pin(sequence.axes[1], "runs over them")
    batch, _, *axes = sequence.axes
    inner = Channels((sequence.shape[0], *sequence.shape[2:]), (batch, *axes))
    outputs = call.inner(call.layer.layer, ("layer", "config"), [inner])
    if outputs is None:
        return None
    return [(axes[0], None, *axes[1:]) for axes in outputs]
