"""Verification lets right cuts of deep, normed networks pass, and no wrong one."""

import functools

import keras
import numpy as np
import pytest

from benchmarks.structures.rows import random_cut
from nestrade_lib import create_loss, create_resnet, trace, verify
from nestrade_lib.surgery import cut
from nestrade_lib.surgery.rounding import tolerance

pytestmark = pytest.mark.any_backend


@functools.cache
def trained_resnet(seed):
    """A network and its samples, trained once for all cuts of it."""
    keras.utils.set_random_seed(seed)
    network = create_resnet((12, 12, 1), 3, widths=(8, 12, 16))
    network.compile("adam", create_loss(), run_eagerly=True)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(64, 12, 12, 1)).astype("float32")
    network.fit(x, rng.integers(0, 3, 64), epochs=1, verbose=0)
    return network, x


def swap_two_inputs(smaller, rng):
    kernels = [v for v in smaller.trainable_variables if v.name == "kernel"]
    kernels = [v for v in kernels if v.shape[-2] > 1]
    kernel = kernels[rng.integers(len(kernels))]
    value = keras.ops.convert_to_numpy(kernel).copy()
    a, b = rng.choice(value.shape[-2], 2, replace=False)
    value[..., [a, b], :] = value[..., [b, a], :]
    kernel.assign(value)


def take_another_mean(smaller, rng):
    means = [v for v in smaller.variables if v.name == "moving_mean"]
    mean = means[rng.integers(len(means))]
    mean.assign(np.roll(keras.ops.convert_to_numpy(mean), 1))


def lose_a_slot(smaller, rng):
    slots = [v for v in smaller.optimizer.variables if v.name.endswith("momentum")]
    slot = slots[rng.integers(len(slots))]
    slot.assign(keras.ops.zeros(slot.shape))


DRAWS = [(0, True), (2, False), (1, True)]
if keras.backend.backend() == "jax":
    DRAWS = DRAWS[:2]  # compiles each operation of each network anew


@pytest.mark.parametrize("seed, own_samples", DRAWS)
@pytest.mark.parametrize(
    "spoil", [None, swap_two_inputs, take_another_mean, lose_a_slot]
)
def test_deep_normed_networks(seed, own_samples, spoil):
    network, x = trained_resnet(seed)
    graph = trace(network)
    rng = np.random.default_rng(seed)
    mask = random_cut(graph, rng)
    smaller = cut(network, mask, graph)
    if spoil is not None:
        spoil(smaller, rng)
    probe = x[:16] if own_samples else None
    errors = verify(network, smaller, mask, probe, graph)
    verified = all(error <= tolerance(network) for error in errors.values())
    assert verified == (spoil is None), errors
