"""The values of variables: read, kept, and given back."""

import keras


def value(variable):
    """A variable's value as a NumPy array."""
    held = variable.value
    if hasattr(held, "read_value"):  # TensorFlow's, which replicas may share
        held = held.read_value()
    return keras.ops.convert_to_numpy(held)


def values_of(variables):
    """Copies of the values of variables, as NumPy arrays."""
    return [keras.ops.convert_to_numpy(v).copy() for v in variables]


def assign(variables, values):
    """Give variables these values, in order."""
    for variable, array in zip(variables, values, strict=True):
        variable.assign(array)


def tensors_of(network):
    """The values of a network as tensors: of trained variables, and of the others."""
    parts = network.trainable_variables, network.non_trainable_variables
    return [[keras.ops.convert_to_tensor(value(v)) for v in part] for part in parts]
