"""Engines: the same training on one device, on several, and on several machines.

Names are imported when they are first used: no backend is loaded before.

>>> from nestrade_lib import engines
>>> engines.start("single")
<single: 1 replica>
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
