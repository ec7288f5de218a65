"""Activations of the backend are known, and are kept as the very functions they are."""

import keras
import pytest
from keras import layers as L

from benchmarks.structures.rows import random_cut
from nestrade_lib import restructure, trace
from nestrade_lib.surgery.probes import random_inputs
from tests.support.cuts import randomize


def of_backend(name):
    """The backend's own function of this name."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return getattr(tf.nn, name)
    if backend == "jax":
        import jax

        return getattr(jax.nn, name)
    import torch

    return getattr(torch.nn.functional, name)


@pytest.mark.any_backend
def test_activations_of_the_backend_and_their_very_functions_are_kept():
    """Also where the backend's function of a name is another than Keras'."""
    relu, gelu, silu, leaky = map(of_backend, ("relu", "gelu", "silu", "leaky_relu"))
    sigmoid, softplus, tanh = map(of_backend, ("sigmoid", "softplus", "tanh"))
    x = keras.Input((5, 3))
    y = L.Conv1D(6, 1, activation=leaky, name="leaky")(x)
    y = L.LSTM(4, tanh, recurrent_activation=sigmoid, return_sequences=True)(y)
    y = L.RNN([L.GRUCell(4, activation=tanh), L.SimpleRNNCell(3, activation=relu)])(y)
    y = L.Dense(6, activation=gelu, name="gelu")(y)
    y = L.Activation(silu, name="silu")(L.Dense(6)(y))
    y = L.Dense(6, activation=softplus, name="softplus")(y)
    y = L.Dense(6, activation=keras.ops.elu, name="elu")(y)
    y = L.Dense(3, activation=silu, name="kept")(y)
    network = keras.Model(x, L.Dense(2)(y))
    randomize(network)
    graph = trace(network, ignored_layers=["kept"])
    assert graph.count == 6 + 4 + 4 + 3 + 6 + 6 + 6 + 6  # all but those of "kept"
    probe = random_inputs(network)
    once = restructure(network, random_cut(graph), graph, probe)
    again = trace(once, ignored_layers=["kept"])
    twice = restructure(once, random_cut(again, share=0.2), again, probe)
    for smaller in (once, twice):
        for name, function in {
            "leaky": leaky, "gelu": gelu, "silu": silu, "softplus": softplus,
            "kept": silu, "elu": keras.ops.elu,
        }.items():  # fmt: skip
            assert smaller.get_layer(name).activation is function


def test_softmax_of_the_backend_keeps_what_it_normalizes():
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch's softmax has to be told the axis")
    softmax = of_backend("softmax")
    network = keras.Sequential([
        keras.Input((4,)), L.Dense(6, "relu"), L.Dense(5, softmax), L.Dense(2, softmax),
    ])  # fmt: skip
    randomize(network)
    graph = trace(network)
    assert graph.count == 6
    smaller = restructure(network, random_cut(graph), graph)
    assert smaller.layers[-1].activation is softmax
