"""Image networks of kimm, small ones of each family."""

import functools
import importlib.util

from nestrade_lib import unroll

_NAMES = """LCNet035 TinyNetE MobileNetV3W050Small MobileNetV2W050 RegNetX002 RegNetY002
VisionTransformerTiny32 ResNet18 ConvNeXtAtto MobileViTXXS RepVGGA0 GhostNetW050
MobileOneS0 MobileViTV2W050 EfficientNetLiteB0 HGNetV2B0 InceptionNeXtTiny EfficientNetB0
Xception"""


def build(name):
    """The network on small images, with random weights."""
    from kimm import models

    size = 96 if name == "Xception" else 64
    network = getattr(models, name)(
        input_shape=(size, size, 3), classes=5, weights=None, classifier_activation=None
    )
    return unroll(network)


NETWORKS = {
    name: functools.partial(build, name)
    for name in _NAMES.split()
    if importlib.util.find_spec("kimm")
}
