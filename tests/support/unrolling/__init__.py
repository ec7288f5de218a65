"""Subclassed networks, as people write them, as cases of unrolling."""

from tests.support.unrolling import keras_io, others
from tests.support.unrolling.cases import NETWORKS

__all__ = ["NETWORKS", "keras_io", "others"]
