"""Single operations and layers around a Dense: each is cut, and none is cut wrongly."""

import pytest

from benchmarks.structures.operations import NETWORKS
from benchmarks.structures.rows import measure

FEW = ["relu", "greater", "cumsum_time", "MaxPooling1D", "RandomFlip", "take", "glu",
       "rgb_to_grayscale", "tensordot", "SpectralNormalization", "Lambda_halves"]  # fmt: skip


def test_the_table_is_as_long_as_it_claims():
    assert len(NETWORKS) >= 284 and set(FEW) <= set(NETWORKS)


@pytest.mark.parametrize("name", FEW)
def test_operation_is_cut_and_equal(name):
    row = measure(name, "operations", NETWORKS[name])
    assert row.outcome == "cut", row
    assert row.cut_to < 1 or row.stays, row
