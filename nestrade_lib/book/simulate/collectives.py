"""What it takes to add gradients up over devices: a ring, or parameter servers."""

import numpy as np
from numpy.typing import ArrayLike


def ring_bytes(devices: ArrayLike, nbytes: float) -> np.ndarray:
    """Bytes that each device sends, and receives, in a ring all-reduce.

    The gradients are cut into P pieces. In P − 1 rounds each device passes a piece on,
    added up as it goes; in P − 1 more, the sums go around (Patarasuk & Yuan 2009).

    Parameters
    ----------
    devices : int or array of int
    nbytes : float
        Bytes of the gradients.

    Returns
    -------
    ndarray of float
        2 (P − 1) / P · `nbytes`: never twice the gradients, however many devices.

    Examples
    --------
    >>> ring_bytes([1, 2, 4, 1000], 100).tolist()
    [0.0, 100.0, 150.0, 199.8]
    """
    devices = as_counts(devices)
    return 2 * (devices - 1) / devices * nbytes


def ring_seconds(
    devices: ArrayLike, nbytes: float, bandwidth: float, latency: float = 0.0
) -> np.ndarray:
    """Seconds of a ring all-reduce: 2 (P − 1) α + 2 (P − 1) / P · S / B.

    Parameters
    ----------
    devices : int or array of int
    nbytes, bandwidth, latency : float
        S in bytes, B in bytes per second, α in seconds.

    Returns
    -------
    ndarray of float

    Examples
    --------
    >>> ring_seconds(4, nbytes=100e6, bandwidth=1e9, latency=1e-3).round(3).item()
    0.156
    """
    rounds = 2 * (as_counts(devices) - 1)
    return rounds * latency + ring_bytes(devices, nbytes) / bandwidth


def server_seconds(
    machines: ArrayLike,
    servers: ArrayLike,
    nbytes: float,
    bandwidth: float,
    latency: float = 0.0,
) -> np.ndarray:
    """Seconds in which parameter servers take gradients in, then give values out.

    The servers stand on the training machines. The busiest network card takes in its
    share of every other machine's gradients, then sends out as many bytes.

    Parameters
    ----------
    machines, servers : int or array of int
    nbytes, bandwidth, latency : float
        Bytes, bytes per second, seconds.

    Returns
    -------
    ndarray of float

    Examples
    --------
    >>> server_seconds(8, servers=[1, 4, 8], nbytes=100e6, bandwidth=1e9).tolist()
    [1.4, 0.35, 0.175]
    """
    machines, servers = as_counts(machines), as_counts(servers)
    share = -(-servers // machines) / servers
    moved = 2 * (machines - 1) * share * nbytes
    return moved / bandwidth + 2 * latency * (machines > 1)


def as_counts(values):
    """Check for whole numbers, at least 1; as floats, whose products do not overflow."""
    counts = np.asarray(values)
    if counts.dtype.kind not in "iuf" or not counts.size or not is_count(counts):
        raise ValueError(
            f"Expected whole numbers (devices, machines, servers, steps), at least 1, "
            f"got {values!r}."
        )
    return counts.astype(float)


def is_count(values):
    values = np.asarray(values, float)
    return bool(np.all(np.isfinite(values) & (values >= 1) & (values % 1 == 0)))
