"""What the unit tests share."""

import gc

import keras
import matplotlib
import pytest
from hypothesis import settings

from nestrade_lib.engines import logical_devices

# Figures are drawn without a display. Set here, and not in the environment, so that
# the kernels of notebooks, which inherit the environment, still draw inline.
matplotlib.use("Agg")

# No test is timed: machines differ, and a first call traces and compiles.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Devices are fixed when a backend starts; all but the tests of scaling use the first.
if keras.backend.backend() != "torch":
    logical_devices(4)
else:
    import torch

    # PyTorch 2.13 crashed or hung in its gradients of convolutions (AMD, AVX2).
    torch.backends.mkldnn.enabled = False


@pytest.fixture(autouse=True, scope="module")
def left_alone_by_the_collector():
    """Freeze what earlier modules left, so that no collection walks through it again."""
    gc.collect()
    gc.freeze()
