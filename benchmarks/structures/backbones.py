"""Backbones of keras-hub, at small configurations.

They are subclasses of functional models with composite layers: each is unrolled first.
"""

import functools
import importlib.util

import numpy as np

from nestrade_lib import unroll

_TEXT = {"vocabulary_size": 20, "num_layers": 2, "num_heads": 2, "hidden_dim": 8}
_MASKED = {**_TEXT, "intermediate_dim": 16, "max_sequence_length": 8}
_GROUPED = {
    "vocabulary_size": 20, "num_layers": 2, "num_query_heads": 4,
    "num_key_value_heads": 2, "hidden_dim": 8, "intermediate_dim": 16,
}  # fmt: skip
_SHORT = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
_IMAGE = (16, 16, 3)

_CONFIGURATIONS = {
    "Albert": _MASKED | {"embedding_dim": 8, "num_groups": 1, "num_inner_repetitions": 1},
    "Bart": _MASKED,
    "Bert": _MASKED,
    "Bloom": _TEXT | {"intermediate_dim": 16},
    "DebertaV3": _MASKED,
    "DistilBert": _MASKED,
    "Electra": {
        **{k: v for k, v in _MASKED.items() if k != "vocabulary_size"},
        "vocab_size": 20, "embedding_dim": 8,
    },
    "FNet": {k: v for k, v in _MASKED.items() if k != "num_heads"},
    "Falcon": {
        "vocabulary_size": 20, "num_layers": 2, "num_attention_heads": 2,
        "hidden_dim": 8, "intermediate_dim": 16,
    },
    "GPT2": _MASKED,
    "GPTNeoX": _MASKED | {"hidden_dim": 16},
    "Gemma": _GROUPED | {"num_query_heads": 2, "num_key_value_heads": 1, "head_dim": 4},
    "Llama": _GROUPED,
    "Mistral": _GROUPED,
    "OPT": _MASKED,
    "Phi3": _GROUPED,
    "Qwen": _GROUPED,
    "Roberta": _MASKED,
    "T5": _TEXT | {"intermediate_dim": 16},
    "Whisper": _TEXT | {
        "intermediate_dim": 16, "num_mels": 5, "max_encoder_sequence_length": 8,
        "max_decoder_sequence_length": 8,
    },
    "XLMRoberta": _MASKED,
    "DeiT": {
        **_SHORT, "image_shape": _IMAGE, "patch_size": 4,
    },
    "DenseNet": {
        "stackwise_num_repeats": [2, 2], "growth_rate": 4, "image_shape": (32, 32, 3),
        "compression_ratio": 0.5,
    },
    "MiT": {
        "layerwise_depths": [1, 1], "num_layers": 2, "max_drop_path_rate": 0.0, "hidden_dims": [8, 8], "layerwise_num_heads": [1, 2],
        "layerwise_sr_ratios": [2, 1], "layerwise_patch_sizes": [7, 3],
        "layerwise_strides": [4, 2], "image_shape": (32, 32, 3),
    },
    "ResNet": {
        "input_conv_filters": [64], "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 64], "stackwise_num_blocks": [1, 1],
        "stackwise_num_strides": [1, 2], "block_type": "basic_block",
        "image_shape": (32, 32, 3),
    },
    "VGG": {
        "stackwise_num_repeats": [1, 2], "stackwise_num_filters": [8, 16],
        "image_shape": (32, 32, 3),
    },
    "ViT": {
        "image_shape": _IMAGE, "patch_size": 4, "num_layers": 2, "num_heads": 2,
        "hidden_dim": 8, "mlp_dim": 16,
    },
}  # fmt: skip


def build(name, options):
    """The backbone, unrolled on a batch of two."""
    import keras_hub

    backbone = getattr(keras_hub.models, f"{name}Backbone")(**options)
    symbols = backbone.input
    if not isinstance(symbols, dict):
        return unroll(backbone, np.zeros((2, *symbols.shape[1:]), "float32"))
    inputs = {}
    for key, symbol in symbols.items():
        shape = [8 if size is None else size for size in symbol.shape[1:]]
        inputs[key] = np.ones((2, *shape), symbol.dtype)
    return unroll(backbone, inputs)


NETWORKS = {
    f"{name}Backbone": functools.partial(build, name, options)
    for name, options in _CONFIGURATIONS.items()
    if importlib.util.find_spec("keras_hub")
}
