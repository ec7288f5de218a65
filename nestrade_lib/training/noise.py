"""When a larger batch pays: the noise scale of the gradient.

A batch is a sample, and its gradient an estimate. Where the noise of that estimate is
large against the gradient itself, a batch twice as large takes a step nearly twice as
good; where it is small, twice the work changes nothing. The batch at which the two are
equal is the *noise scale*, tr Σ / |G|² (McCandlish et al. 2018, "An empirical model of
large-batch training", appendix A). It can be read off two gradients that data-parallel
training has anyway: a replica's own, and the one that all of them have added up.

>>> estimate = NoiseScale(small=8, large=64)
>>> for _ in range(3):
...     estimate.add(small_norm2=3.0, large_norm2=1.25)
>>> round(estimate.value, 3)
16.0
"""

import math

import keras
import numpy as np

from nestrade_lib.arrays import require_arrays, require_inputs
from nestrade_lib.checks import require, require_whole
from nestrade_lib.gradients import gradient_of, loss_of
from nestrade_lib.variables import tensors_of


class NoiseScale:
    """A running estimate from pairs of squared norms.

    Parameters
    ----------
    small, large : int
        Samples behind each of the two gradients: those of one replica, and of all.
    memory : float
        Share of the running means that a pair keeps.

    Raises
    ------
    ValueError
        If `small` is not below `large`.

    Examples
    --------
    See the module's.
    """

    def __init__(self, small: int, large: int, memory: float = 0.9) -> None:
        if not 0 < small < large:
            raise ValueError(
                f"small and large: expected 0 < small < large, got {small}, {large}."
            )
        self.small, self.large, self.memory = small, large, memory
        self._signal = self._noise = self._weight = 0.0

    def add(self, small_norm2: float, large_norm2: float) -> None:
        """Take in the squared norms of a small batch's gradient and of a large one's.

        Parameters
        ----------
        small_norm2, large_norm2 : float
            The former may be a mean over replicas, which is less noisy.
        """
        small, large = self.small, self.large
        small_norm2, large_norm2 = float(small_norm2), float(large_norm2)
        signal = (large * large_norm2 - small * small_norm2) / (large - small)
        noise = (small_norm2 - large_norm2) / (1 / small - 1 / large)
        old, new = self.memory, 1 - self.memory
        self._signal = old * self._signal + new * signal
        self._noise = old * self._noise + new * noise
        self._weight = old * self._weight + new

    @property
    def value(self) -> float:
        """The noise scale in samples (float); infinite while noise drowns the gradient."""
        if self._weight == 0 or self._signal <= 0:
            return math.inf
        return max(self._noise, 0.0) / self._signal


def noise_scale(
    network: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    small: int = 32,
    large: int = 256,
    draws: int = 8,
    seed: int = 0,
) -> float:
    """Estimate the noise scale of a network's gradient at its present weights.

    Parameters
    ----------
    network : keras.Model
        Compiled. Nothing of it is changed.
    x, y : ndarray
        Samples to draw from, at least `large`.
    small, large : int
        Samples of a replica and of the global batch; `large` a multiple of `small`.
    draws : int
        Global batches.
    seed : int

    Returns
    -------
    float
        In samples.

    Raises
    ------
    ValueError
        If there are too few samples, or `large` is no multiple of `small`.

    Examples
    --------
    >>> from nestrade_lib import create_model, create_loss, load_mnist
    >>> (x, y), _ = load_mnist()
    >>> network = create_model((28, 28, 1), 10)
    >>> network.compile("adam", create_loss())
    >>> noise_scale(network, x[:512], y[:512], draws=2) > 0
    True
    """
    for name, number, least in (
        ("small", small, 1),
        ("large", large, 2),
        ("draws", draws, 1),
    ):
        require_whole(name, number, least)
    require_whole("seed", seed, 0)
    require(isinstance(network, keras.Model), "network", "a Keras model", network)
    require_inputs("x", x, network)
    require_arrays("y", y)
    expected = f"{len(x)} labels, as there are samples"
    require(len(x) == len(y), "y", expected, len(y))
    holds = large % small == 0 and large > small
    require(holds, "large", f"a multiple of small={small} above it", large)
    require(len(x) >= large, "x", f"at least large={large} samples", len(x))
    rng = np.random.default_rng(seed)
    gradient = _loss_gradient(network)
    estimate = NoiseScale(small, large, memory=1 - 1 / draws if draws > 1 else 0.0)
    for _ in range(draws):
        rows = rng.choice(len(x), large, replace=False)
        parts = [gradient(x[part], y[part]) for part in np.split(rows, large // small)]
        own = np.mean([part @ part for part in parts])
        summed = np.mean(parts, axis=0)
        estimate.add(float(own), float(summed @ summed))
    return estimate.value


def _loss_gradient(network):
    """The gradient of the loss in inference mode, as one vector of float64."""
    weights, others = tensors_of(network)

    def loss(weights, x, y):
        return loss_of(network, weights, others, (x, y, None))

    slope = gradient_of(loss)

    def gradient(x, y):
        found = slope(weights, *map(keras.ops.convert_to_tensor, (x, y)))
        present = [keras.ops.convert_to_numpy(g) for g in found if g is not None]
        return np.concatenate([g.ravel() for g in present]).astype("float64")

    return gradient
