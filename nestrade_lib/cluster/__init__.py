"""The cluster: which workers take part, how they are launched, and how they meet.

>>> from nestrade_lib.cluster import Cluster
>>> Cluster.from_environment({}).workers
1
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
