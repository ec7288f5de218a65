"""Keras' side: networks, training and measuring. Also for Keras 2, in TFMOT's environment."""

import numpy as np

from benchmarks.compare.figures import file_sizes, latency

try:
    import tf_keras as keras  # where it is installed, TFMOT needs it
except ModuleNotFoundError:
    import keras

layers = keras.layers
VERSIONS = "keras", "tf_keras", "tensorflow", "jax", "torch", "numpy"


def seed(value):
    keras.backend.clear_session()
    keras.utils.set_random_seed(value)


# Networks ---------------------------------------------------------------------


def build(name, norms=False):
    """The network of this name; with `norms`, a batch norm before each activation."""
    if name == "resnet":
        from nestrade_lib import create_resnet

        return create_resnet((28, 28, 1), 10)
    inputs = keras.Input((28, 28, 1))
    x = {"lenet5": _lenet5, "mlp": _mlp, "separable": _separable}[name](inputs, norms)
    return keras.Model(inputs, layers.Dense(10, name="logits")(x), name=name)


def _lenet5(x, norms):
    x = _hidden(layers.Conv2D(20, 5, name="conv1"), x, norms)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = _hidden(layers.Conv2D(50, 5, name="conv2"), x, norms)
    x = layers.Flatten(name="flatten")(layers.MaxPooling2D(name="pool2")(x))
    return _hidden(layers.Dense(500, name="dense1"), x, norms)


def _mlp(x, norms):
    x = layers.Flatten(name="flatten")(x)
    x = _hidden(layers.Dense(500, name="dense1"), x, norms)
    return _hidden(layers.Dense(300, name="dense2"), x, norms)


def _separable(x, norms):
    """A small MobileNet: depthwise and pointwise convolutions, each with its norm."""

    def convolution(filters, name):
        return layers.Conv2D(filters, 1, use_bias=False, name=name)

    stem = layers.Conv2D(32, 3, padding="same", use_bias=False, name="stem")
    x = _hidden(stem, x, True)
    for n, (filters, strides) in enumerate(((64, 2), (128, 2), (128, 1)), start=1):
        depthwise = layers.DepthwiseConv2D(
            3, strides, padding="same", use_bias=False, name=f"depthwise{n}"
        )
        x = _hidden(depthwise, x, True)
        x = _hidden(convolution(filters, f"pointwise{n}"), x, True)
    return layers.GlobalAveragePooling2D(name="pool")(x)


def _hidden(layer, x, norms):
    x = layer(x)
    if norms:
        x = layers.BatchNormalization(name=f"{layer.name}_norm")(x)
    return layers.ReLU(name=f"{layer.name}_relu")(x)


def of_widths(network, widths):
    """A new network of the same layers, with these widths."""
    config = network.get_config()
    for layer in config["layers"]:
        layer.pop("build_config", None)  # shapes of the old widths
        settings = layer["config"]
        for key in {"filters", "units"} & set(settings):
            settings[key] = widths.get(settings["name"], settings[key])
    return type(network).from_config(config)


# Training ---------------------------------------------------------------------


def compiled(network, work, epochs=None):
    """With Adam; its rate falls along a cosine over so many epochs, or stays, by default."""
    rate = work.learning_rate
    if epochs:
        rate = keras.optimizers.schedules.CosineDecay(rate, work.steps(epochs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return network


def fit(network, work, epochs, callbacks=()):
    """Keras' `fit`, or that of a trainer with the same arguments."""
    network.fit(
        *work.train,
        batch_size=work.batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=[*callbacks, EachEpoch(work)],
    )
    return network


class EachEpoch(keras.callbacks.Callback):
    """Notes the test error after each epoch, and how far Nestrade's cuts move the outputs."""

    def __init__(self, work):
        super().__init__()
        self.work, self.shown = work, None

    def set_model(self, model):
        if self.shown not in (None, model):
            self.work.after_cut(outputs(self.shown), outputs(model))
        self.shown = model
        super().set_model(model)

    def on_epoch_end(self, epoch, logs=None):
        self.work.after_epoch(self.model.predict_on_batch)


def outputs(network):
    """A network as a function of images, which compiles nothing."""

    def predict(x):
        logits = network(x, training=False)
        return logits.detach().numpy() if hasattr(logits, "detach") else logits

    return predict


# Measuring --------------------------------------------------------------------


def measure(network, work):
    """Figures of a trained network, by their names in a row."""
    predict = inference(network)
    return {
        "test_error_percent": round(work.error(predict), 3),
        **costs(network),
        "is_plain": all(type(x).__module__.startswith(("keras.", "tf_keras."))
                        for x in (network, *network.layers)),
        "latency_ms_1": latency(predict, work.test[0][:1]),
        "latency_ms_256": latency(predict, work.test[0][:256]),
        **file_sizes(lambda path: np.savez(path, *network.get_weights()), ".npz"),
        "widths": {x.name: int(x.output.shape[-1]) for x in kernels(network)},
    }  # fmt: skip


def inference(network):
    """A network's compiled prediction. That of Keras 2 makes a data set of each batch."""
    if keras.__name__ != "tf_keras":
        return network.predict_on_batch
    import tensorflow as tf

    return tf.function(lambda x: network(x, training=False), reduce_retracing=True)


def kernels(network):
    """Layers that multiply, and their kernels."""
    found = {}
    for layer in network.layers:
        if isinstance(layer, layers.DepthwiseConv2D):
            name = "kernel" if hasattr(layer, "kernel") else "depthwise_kernel"
            found[layer] = getattr(layer, name).numpy()
        elif isinstance(layer, (layers.Conv2D, layers.Dense)):
            found[layer] = layer.kernel.numpy()
    return found


def costs(network):
    """MACs, of these the ones with a weight that is not zero, and parameters."""
    macs = nonzero = 0
    for layer, kernel in kernels(network).items():
        places = int(np.prod(layer.output.shape[1:-1]))
        macs += places * kernel.size
        nonzero += places * np.count_nonzero(kernel)
    parameters = int(network.count_params())
    return {"macs": int(macs), "nonzero_macs": int(nonzero), "params": parameters}
