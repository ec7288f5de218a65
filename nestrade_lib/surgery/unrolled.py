"""A subclassed model, or one with composite layers, as a functional network to be cut."""

import keras

from nestrade_lib.dependency.unrolling import functional
from nestrade_lib.surgery.compiled import compile_with
from nestrade_lib.surgery.optimizer import in_order
from nestrade_lib.surgery.rebuild import strategy_scope


def unroll(network: keras.Model, inputs=None) -> keras.Model:
    """Make a functional network of the layers that a network's ``call`` calls.

    A subclassed model, and a layer made of others, run once on symbolic inputs; Keras'
    layers and operations write down what they are called on. The functional network has
    the same layers, and so the same weights: to train one is to train the other. It gives
    the same outputs (this is verified) and is compiled alike. :class:`nestrade_lib.Nestrade`
    does this itself; call it before :func:`nestrade_lib.trace` and
    :func:`nestrade_lib.restructure`.

    Weights that a model or composite layer holds itself (a class token, an embedding of
    positions, a table of offsets) are cut with what they meet. The functional network holds
    each in an ``EinsumDense`` that multiplies one by it, a number in a ``PReLU``; whole
    numbers become constants.

    A model with a ``train_step`` or other methods of training keeps these, and the
    attributes that they use. In a file it is a functional model like any other.

    Parameters
    ----------
    network : keras.Model
        Built, or called once on a batch.
    inputs : array, symbolic tensor or structure of them, optional
        What ``network`` is called with. By default, floats of the shapes with which it
        was built.

    Returns
    -------
    keras.Model
        ``network`` itself where it is functional or sequential, and of Keras' layers or
        of layers with a rule. A composite layer becomes a model of its name; one that
        does not run on symbolic inputs stays as it is.

    Raises
    ------
    ValueError
        If ``network`` is a subclassed model that is not built, does not run on symbolic
        inputs, or gives other outputs then.

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nestrade_lib import trace, unroll
    >>> class Classifier(keras.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = keras.layers.Dense(8, "relu", name="hidden")
    ...         self.classes = keras.layers.Dense(3, name="classes")
    ...     def call(self, x):
    ...         return self.classes(self.hidden(x))
    >>> network = Classifier()
    >>> outputs = network(np.ones((1, 4)))
    >>> graph = trace(unroll(network))
    >>> graph.count, graph.names[0]
    (8, 'hidden/0')
    """
    with strategy_scope(network):
        made = functional(network, inputs)
        if made is not network and network.compiled:
            optimizer = in_order(network.optimizer, made.trainable_variables)
            compile_with(network, made, optimizer=optimizer)
    return made
