"""The same lines on one device, on several, and on several machines.

Names are imported when they are first used: no backend is loaded before.

>>> from nestrade_lib import scaling
>>> scaling.start("single")
<single: 1 replica>
"""

import importlib

_HOME = {
    "start": "devices",
    "logical_devices": "devices",
    "Engine": "engine",
    "Cluster": "cluster",
    "meet": "rendezvous",
    "Absent": "rendezvous",
    "Disagreement": "rendezvous",
    "Checkpoints": "checkpoints",
    "NoiseScale": "noise",
    "noise_scale": "noise",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(
            f"nestrade_lib.scaling has no {name!r}. It has: {', '.join(__all__)}."
        )
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
