"""Engines: the same training on one device, on several, and on several machines.

Names are imported when they are first used: no backend is loaded before.

>>> from nestrade_lib import engines
>>> engines.start("single")
<single: 1 replica>
"""

from nestrade_lib.lazy import lazy_names

_HOME = {
    "start": "devices",
    "logical_devices": "devices",
    "Engine": "engine",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
