"""The cluster: which workers take part, how they are launched, and how they meet.

>>> from nestrade_lib.cluster import Cluster
>>> Cluster.from_environment({}).workers
1
"""

from nestrade_lib.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
