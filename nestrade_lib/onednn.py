"""oneDNN on processors, and the gradient in which it writes past the end of its memory.

It is that of a 1×1 convolution with strides (oneDNN's issue 6035): the pixels that the
strides leave are copied to a workspace, a pixel takes as much of it as it has channels, and
is written a block further than the last: 16 channels with AVX-512, 8 with AVX2. With fewer
channels the process dies or hangs, or gradients are wrong. Sizes that the strides do not
divide are computed in another way, and so is all of JAX. Seen in TensorFlow 2.21 and
PyTorch 2.13.
"""

import contextlib
import functools
import os
import warnings
from pathlib import Path

import keras

from nestrade_lib.internals import all_layers, inputs_of, replaced_convolution

BLOCK = 16


def is_hit(inputs, kernel, strides, block=BLOCK):
    """Whether the gradient of a convolution is that one, from shapes; channels come last.

    >>> is_hit((None, 28, 28, 8), (1, 1, 8, 32), (2, 2))
    True
    >>> is_hit((None, 28, 28, 16), (1, 1, 16, 32), (2, 2))  # a whole block
    False
    >>> is_hit((None, 27, 27, 8), (1, 1, 8, 32), (2, 2))  # 2 does not divide 27
    False
    """
    sizes = inputs[1:-1]
    is_small = set(kernel[:-2]) == {1} and len(sizes) <= 2 and kernel[-2] < block
    is_whole = kernel[-2] == inputs[-1]  # not in groups
    divides = all(n is None or n % s == 0 for n, s in zip(sizes, strides))
    return is_small and is_whole and divides and max(strides) > 1


@contextlib.contextmanager
def safe_convolutions():
    """Within the context, those convolutions leave pixels out first, then have no strides.

    On every processor, so that all compute alike.

    >>> layer, x = keras.layers.Conv2D(1, 1, 2), keras.random.normal((1, 4, 4, 3))
    >>> plain = layer(x)
    >>> with safe_convolutions():
    ...     bool(abs(layer(x) - plain).numpy().max() < 1e-6)
    True
    """

    def made_safe(convolve):
        def convolution(
            inputs,
            kernel,
            strides=1,
            padding="valid",
            data_format=None,
            dilation_rate=1,
        ):
            steps = (strides,) if isinstance(strides, int) else tuple(strides)
            steps *= (len(inputs.shape) - 2) // len(steps)
            layout = data_format or keras.config.image_data_format()
            if layout == "channels_last" and is_hit(
                tuple(inputs.shape), tuple(kernel.shape), steps
            ):
                inputs = inputs[(slice(None), *(slice(None, None, s) for s in steps))]
                strides = 1
            return convolve(
                inputs, kernel, strides, padding, data_format, dilation_rate
            )

        return convolution

    if keras.backend.backend() == "jax":
        yield
        return
    with replaced_convolution(made_safe):
        yield


def layers_hit(network, block=BLOCK):
    """Names of the layers whose gradients are such."""
    kinds = keras.layers.Conv1D, keras.layers.Conv2D
    return [
        layer.name
        for layer in all_layers(network)
        if isinstance(layer, kinds)
        and layer.built
        and layer.data_format == "channels_last"
        and any(
            is_hit(shape, layer.kernel.shape, layer.strides, block)
            for shape in _shapes(layer)
        )
    ]


def _shapes(layer):
    """Of what enters a layer; in a subclassed model only the channels are known."""
    unknown = (*(None for _ in layer.kernel.shape[:-1]), layer.kernel.shape[-2])
    return [tuple(tensor.shape) for tensor in inputs_of(layer)] or [unknown]


def warn_if_hit(network):
    """Warn of layers whose gradients Keras itself would compute so, on this machine."""
    block = _block()
    names = layers_hit(network, block) if block else []
    if names:
        listed = ", ".join(map(repr, names[:3])) + (", …" if names[3:] else "")
        way_out = {
            "tensorflow": "Set TF_ENABLE_ONEDNN_OPTS=0 before TensorFlow is imported",
            "torch": "Set torch.backends.mkldnn.enabled = False",
        }[keras.backend.backend()]
        warnings.warn(
            f"Layers of network {network.name!r} are 1×1 convolutions with strides of fewer "
            f"than {block} channels: {listed}. Nestrade trains them safely. Outside of it, "
            "oneDNN writes past the end of its memory in their gradients: the process dies, "
            f"or they are wrong (oneDNN's issue 6035). {way_out} if you train the network "
            "on without Nestrade.",
            stacklevel=4,  # who calls fit, through its decorator
        )


def _block():
    """Channels of a block where oneDNN computes gradients on this machine, else 0."""
    backend, found = keras.backend.backend(), _processor()
    if backend == "tensorflow":
        import tensorflow as tf

        wish = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower()
        is_on = wish in ("1", "true") or not wish and found & BY_DEFAULT
        is_on = is_on and not tf.config.list_logical_devices("GPU")
    elif backend == "torch":
        import torch

        is_on = torch.backends.mkldnn.enabled and torch.backends.mkldnn.is_available()
        is_on = is_on and not torch.cuda.is_available()
    else:
        is_on = False
    if not is_on or "avx2" not in found:
        return 0
    least = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return 16 if "avx512bw" in found and not least.startswith(("SSE", "AVX2")) else 8


# With any of these TensorFlow computes with oneDNN unless told otherwise.
BY_DEFAULT = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile"}


@functools.cache
def _processor():
    """What the processor can do, by the names of Linux."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    return frozenset(lines[0].split()) if lines else frozenset()
