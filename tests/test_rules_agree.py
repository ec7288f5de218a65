"""Rules of layers without weights, held to what running these layers shows."""

import numpy as np
import pytest

from nestrade_lib.dependency import group_channels, walk
from nestrade_lib.dependency.registry import find_rule
from tests.support.structure_cases import CASES as CASES_OF_NETWORKS

pytestmark = pytest.mark.any_backend


# What random numbers never meet, a mask, its rule keeps; running it shows nothing. And a
# rule follows one channel that becomes many, which running leaves alone.
APART = "masked_by_channels", "width_one"


AGREEING = [name for name in CASES_OF_NETWORKS if name not in APART]


@pytest.mark.parametrize("name", AGREEING[::7])
def test_rules_of_layers_without_weights_agree_with_running_them(name, monkeypatch):
    def of_weights(layer):
        return find_rule(layer) if getattr(layer, "weights", ()) else None

    network = CASES_OF_NETWORKS[name][0]()
    by_rules = group_channels(network)
    monkeypatch.setattr(walk, "find_rule", of_weights)
    observed = group_channels(network)
    assert by_rules.names == observed.names
    for path, axes in by_rules.labels.items():
        for one, other in zip(axes, observed.labels[path], strict=True):
            assert (one is None) == (other is None) and np.array_equal(one, other)
