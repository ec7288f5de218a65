"""The same lines on one device, on several, and on several machines.

Names are imported when they are first used: no backend is loaded before.

>>> from nestrade_lib import scaling
>>> scaling.start("single")
<single: 1 replica>
"""

from nestrade_lib.lazy import lazy_names

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

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
