"""The cluster: which workers take part, how they are launched, and how they meet.

>>> from nestrade_lib.cluster import Cluster
>>> Cluster.from_environment({}).workers
1
"""

from nestrade_lib.lazy import lazy_names

_HOME = {
    "Cluster": "members",
    "rendezvous": "handshake",
    "Absent": "handshake",
    "Disagreement": "handshake",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
