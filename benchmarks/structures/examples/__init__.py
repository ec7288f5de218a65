"""Networks as in the examples on keras.io, written anew and small, each trained to half its MACs.

Each is a script's network with its data: ``fit`` under Nestrade is all that is added.
"""

from benchmarks.structures.examples import images, own_weights, tables, text
from benchmarks.structures.examples.data import NETWORKS
from benchmarks.structures.examples.fit import train

__all__ = ["NETWORKS", "images", "own_weights", "tables", "text", "train"]
