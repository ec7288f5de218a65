"""Laws of scaling: the speed-up of many devices, and the steps that a batch needs.

More devices make a step's batch larger, and a larger batch needs fewer steps, up to a
point. The gradient noise scale is that point: the batch at which a run needs twice the
fewest steps and twice the fewest samples (McCandlish et al. 2018).

>>> for batch in (1024, 8192, 65536):
...     steps = steps_to_loss(batch, fewest_steps=7000, noise_scale=8192)
...     print(f"{steps.item():6.0f} steps, {sample_efficiency(batch, 8192):.0%} of samples useful")
 63000 steps, 89% of samples useful
 14000 steps, 50% of samples useful
  7875 steps, 11% of samples useful
"""

import numpy as np
from numpy.typing import ArrayLike

from nestrade_lib.book.simulate.collectives import as_counts


def amdahl(devices: ArrayLike, serial: float) -> np.ndarray:
    """Speed-up of one and the same work, of which a share cannot be divided.

    Parameters
    ----------
    devices : int or array of int
    serial : float
        The share, from 0 to 1.

    Returns
    -------
    ndarray of float
        1 / (serial + (1 − serial) / P), at most 1 / serial (Amdahl 1967).

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> amdahl([1, 10, 1000], serial=0.1).round(2).tolist()
    [1.0, 5.26, 9.91]
    """
    _share("amdahl", serial)
    return 1 / (serial + (1 - serial) / as_counts(devices))


def gustafson(devices: ArrayLike, serial: float) -> np.ndarray:
    """Speed-up of work that grows with the devices.

    Parameters
    ----------
    devices : int or array of int
    serial : float
        Share of the time on the devices that is not divided, from 0 to 1.

    Returns
    -------
    ndarray of float
        P − serial (P − 1) (Gustafson 1988).

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> gustafson([1, 10, 1000], serial=0.1).round(1).tolist()
    [1.0, 9.1, 900.1]
    """
    _share("gustafson", serial)
    devices = as_counts(devices)
    return devices - serial * (devices - 1)


def steps_to_loss(
    batch: ArrayLike, fewest_steps: float, noise_scale: float
) -> np.ndarray:
    """Optimizer steps to a given loss, with the learning rate tuned to the batch.

    Parameters
    ----------
    batch : float or array of float
        Samples per step, of all devices together.
    fewest_steps : float
        Steps with an infinite batch.
    noise_scale : float
        Samples: tr Σ / \\|G\\|², the gradient's variance over its square.

    Returns
    -------
    ndarray of float
        fewest_steps · (1 + noise_scale / batch) (McCandlish et al. 2018, eq. 2.7).

    Raises
    ------
    ValueError
        If a number is not positive.

    Examples
    --------
    >>> steps_to_loss([100, 1000], fewest_steps=50, noise_scale=1000).tolist()
    [550.0, 100.0]
    """
    sizes = {"batch": batch, "fewest_steps": fewest_steps, "noise_scale": noise_scale}
    for name, value in sizes.items():
        if not np.all(np.asarray(value, float) > 0):
            raise ValueError(f"steps_to_loss: expected positive {name}, got {value!r}.")
    return fewest_steps * (1 + noise_scale / np.asarray(batch, float))


def sample_efficiency(batch: ArrayLike, noise_scale: ArrayLike) -> np.ndarray:
    """Share of a batch's samples that the smallest batch would have needed too.

    Parameters
    ----------
    batch, noise_scale : float or array of float
        Samples.

    Returns
    -------
    ndarray of float
        1 / (1 + batch / noise_scale).

    Examples
    --------
    >>> sample_efficiency(1000, noise_scale=1000).item()
    0.5
    """
    return 1 / (1 + np.asarray(batch, float) / noise_scale)


def _share(function, value):
    if not 0 <= value <= 1:
        raise ValueError(
            f"{function}: expected a serial share from 0 to 1, got {value!r}."
        )
