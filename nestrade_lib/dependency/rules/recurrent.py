"""Recurrent layers, and the wrappers that carry a layer over time or both ways."""

import numpy as np
from keras import layers, ops, tree

from nestrade_lib.dependency.call import tensors_in
from nestrade_lib.dependency.labels import Channels, join
from nestrade_lib.dependency.observation.edits import Edit
from nestrade_lib.dependency.registry import rule
from nestrade_lib.dependency.rules.activation import apply_activation
from nestrade_lib.dependency.rules.convolution import image, places

_GATES = {layers.LSTMCell: 4, layers.GRUCell: 3, layers.SimpleRNNCell: 1}


def _sequence_and_states(call):
    """What a call runs over, and the states it is given to begin with.

    Keras adds the mask of an embedding to the call: it names steps, not channels.
    """
    names = ("sequences", "initial_state", "mask")
    arguments = {**dict(zip(names, call.args)), **call.kwargs}
    for mask in tensors_in(arguments.get("mask")):
        call.pin_all(mask.axes, "takes them for its mask")
    return arguments["sequences"], tensors_in(arguments.get("initial_state"))


def _begin(call, states, initial):
    """Channels of a state and of the tensor that it begins as are the same."""
    for state, tensor in zip(states, initial):
        call.absorbs(tensor.axes[-1])
        call.merge(state, tensor.axes[-1])


@rule(layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN)
def recurrent(call):
    layer = call.layer
    keys = ("cell", "config") if type(layer) is layers.RNN else ()
    sequence, initial = _sequence_and_states(call)
    batch, time, _ = sequence.axes
    call.pin(time, "runs over them")
    cells, places = [layer.cell], [keys]
    if isinstance(layer.cell, layers.StackedRNNCells):
        cells = layer.cell.cells
        places = [keys + ("cells", n, "config") for n in range(len(cells))]
    step, states = sequence[[0, 2]], []
    for cell, place in zip(cells, places):
        step, made = _run(call, cell, place, step, sequence.shape[1])
        states += made
    _begin(call, states, initial)
    features = step.axes[-1]
    output = (batch, None, features) if layer.return_sequences else (batch, features)
    if not layer.return_state:
        return output
    return [output] + [(None, state) for state in states]


def _run(call, cell, keys, step, times):
    """A cell's output at each of so many steps, and the channels of its states."""
    sizes = tree.flatten(cell.state_size)
    if type(cell) in _GATES:
        units = _cell(call, cell, keys, step.axes[-1], [times])
        return Channels((step.shape[0], cell.units), (None, units)), [units] * len(
            sizes
        )
    states = [Channels((step.shape[0], size), (None, None)) for size in sizes]
    output, *states = call.inner(cell, keys, [step, states], times=times)
    return output, [state.axes[-1] for state in states]


def _cell(call, cell, keys, features, positions):
    """One cell: the gates of a unit lie in blocks, and its state is the unit too."""
    key = "units" if type(cell) in _GATES else "filters"  # of images
    gates, size = _GATES.get(type(cell), 4), getattr(cell, key)
    units = call.fresh(size)
    blocks = join([units] * gates, [size] * gates)
    bias = cell.bias if cell.use_bias else None
    varies = cell.dropout or key == "filters"  # a constant, by dropout or at a border
    call.consumes(cell.kernel, -2, features, None if varies else bias)
    call.produces(cell.kernel, {-1: blocks})
    if bias is not None:
        call.produces(bias, {-1: blocks})
    if gates > 1:
        apply_activation(call, (blocks,), cell.recurrent_activation)
    # A cut unit stays at zero from its zero start if its activation is zero there.
    (after,) = apply_activation(call, (units,), cell.activation)
    call.absorbs(after)
    call.consumes(cell.recurrent_kernel, -2, units)
    call.produces(cell.recurrent_kernel, {-1: blocks})
    for kernel in (cell.kernel, cell.recurrent_kernel):
        call.multiplies(kernel, *positions)
    call.resize(keys + (key,), units)
    return units


@rule(*_GATES)
def lone_cell(call):
    """A cell that is called by itself, for one step, from states that may be constants."""
    step, *initial = call.inputs
    units = _cell(call, call.layer, (), step.axes[-1], [1])
    _begin(call, [units] * len(initial), initial)
    for place, x in tree.flatten_with_path({"args": call.args, "kwargs": call.kwargs}):
        if ops.is_tensor(x) or isinstance(x, np.ndarray):
            _begin_with_constant(call, units, place, ops.convert_to_numpy(x))
    return [(None, units)] * (1 + len(tree.flatten(call.layer.state_size)))


def _begin_with_constant(call, units, place, array):
    """A state of zeros has as many as there are units; another is never cut."""
    if np.any(array):
        call.pin(units, "begins with a constant that is not zero")
    call.follows_cut(Edit(place, units.labels, array.ndim - 1))


@rule(layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D)
def convolutional_lstm(call):
    layer, cell = call.layer, call.layer.cell
    sequence, initial = _sequence_and_states(call)
    first = layer.data_format == "channels_first"
    number = 2 if first else len(sequence.axes) - 1
    channels = sequence.axes[number]
    call.pin_all(
        sequence.axes[:number] + sequence.axes[number + 1 :], "moves over them"
    )
    made = layer.compute_output_shape(sequence.shape)
    made = made[0] if layer.return_state else made
    image_shape = made[:1] + made[-(cell.rank + 1) :]
    positions = sequence.shape[1], *places(layer, image_shape)
    filters = _cell(call, cell, (), channels, positions)
    state = image(cell.rank + 2, 1 if first else cell.rank + 1, filters)
    for tensor in initial:
        call.pin_all(tensor.axes, "begins with them")
        call.pin(filters, "begins with a state that is never cut")
    output = (None, *state) if layer.return_sequences else state
    if not layer.return_state:
        return output
    return [output, state, state]


@rule(layers.Bidirectional)
def bidirectional(call):
    layer = call.layer
    sequence, initial = _sequence_and_states(call)
    half = len(initial) // 2
    forward, backward = (
        call.inner(inner, (key, "config"), [sequence, states] if states else [sequence])
        for inner, key, states in (
            (layer.forward_layer, "layer", initial[:half]),
            (layer.backward_layer, "backward_layer", initial[half:]),
        )
    )
    one, other = forward[0].axes, backward[0].axes
    states = [state.axes for state in forward[1:] + backward[1:]]
    # Keras works out the output's shape from the forward width alone.
    both = call.merge(one[-1], other[-1])
    if layer.merge_mode is None:
        return [one, other, *states]
    if layer.merge_mode == "concat":
        width = forward[0].shape[-1], backward[0].shape[-1]
        last = join([one[-1], other[-1]], width)
    else:
        last = both
    return [(*one[:-1], last), *states]


@rule(layers.TimeDistributed)
def time_distributed(call):
    sequence = call.inputs[0]
    call.pin(sequence.axes[1], "runs over them")
    others = [n for n in range(len(sequence.shape)) if n != 1]
    outputs = call.inner(
        call.layer.layer,
        ("layer", "config"),
        [sequence[others]],
        times=sequence.shape[1],
    )
    return [(x.axes[0], None, *x.axes[1:]) for x in outputs]
