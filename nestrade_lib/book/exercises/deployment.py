"""Files for devices: what int8 keeps, what a folded norm is, and what a cut leaves of a time."""

from collections.abc import Callable

import numpy as np

from nestrade_lib.book.exercises.self_check import self_check


@self_check
def check_quantized_bytes(count: int) -> None:
    """Check the bytes of a pointwise convolution in int8: 64 channels in, 128 out, no bias.

    Parameters
    ----------
    count : int
        With a float32 scale per output channel.

    Examples
    --------
    >>> check_quantized_bytes(8192)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: these are the weights alone; each output channel has a scale.
    """
    assert count != 64 * 128, (
        "Not yet: these are the weights alone; each output channel has a scale."
    )
    assert count != 4 * 64 * 128, "Not yet: these are the bytes in float32."
    assert count != 64 * 128 + 128, "Not yet: a scale is a float32, of four bytes."
    assert count == 64 * 128 + 4 * 128, f"Not yet: {count:,} is not the sum."
    print("Right: a quarter of the bytes, and a little for the scales.")


@self_check
def check_quantize(
    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> None:
    """Check a function that rounds a kernel to int8, with a scale per output channel.

    Parameters
    ----------
    function : callable
        ``kernel -> (whole, scales)``: the last axis of the kernel are the output channels,
        ``whole`` is int8 from -127 to 127, and ``whole * scales`` is near the kernel.

    Examples
    --------
    >>> check_quantize(lambda kernel: (kernel.astype("int8"), np.ones(3)))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: the largest weight of each channel should become 127 or -127.
    """
    kernel = np.random.default_rng(0).normal(size=(5, 4, 3)) * [0.01, 1.0, 30.0]
    whole, scales = function(kernel)
    whole, scales = np.asarray(whole), np.asarray(scales)
    assert whole.dtype.kind == "i" and np.abs(whole.astype(int)).max() <= 127, (
        f"Not yet: expected int8 from -127 to 127, got {whole.dtype} from "
        f"{whole.min():g} to {whole.max():g}."
    )
    assert scales.size == 3, (
        f"Not yet: expected a scale per output channel, three, got {scales.size}."
    )
    largest = np.abs(whole.astype(int)).max(axis=(0, 1))
    assert (largest == 127).all(), (
        "Not yet: the largest weight of each channel should become 127 or -127."
    )
    error = np.abs(whole * scales.reshape(3) - kernel).max(axis=(0, 1))
    assert (error <= scales.reshape(3) * 0.501).all(), (
        "Not yet: some weight is off by more than half a step. Round, do not truncate."
    )
    print("Right: no weight moves by more than half a step of its own channel.")


@self_check
def check_folded_norm(
    function: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    """Check a function that folds a batch norm into the convolution before it.

    Parameters
    ----------
    function : callable
        ``(kernel, gamma, beta, mean, variance, epsilon) -> (kernel, bias)`` of a
        convolution that computes both; the kernel's last axis are the output channels.

    Examples
    --------
    >>> check_folded_norm(lambda kernel, gamma, beta, mean, variance, epsilon: (kernel, beta))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: the folded kernel gives other outputs than kernel and norm.
    """
    rng = np.random.default_rng(0)
    kernel, x = rng.normal(size=(4, 3)), rng.normal(size=(10, 4))
    gamma, beta, mean = rng.normal(size=(3, 3))
    variance = rng.random(3)
    folded, bias = function(kernel, gamma, beta, mean, variance, 1e-3)
    expected = gamma * (x @ kernel - mean) / np.sqrt(variance + 1e-3) + beta
    slope = expected - expected[0]
    assert np.allclose(x @ folded - x[0] @ folded, slope, atol=1e-3), (
        "Not yet: the folded kernel gives other outputs than kernel and norm."
    )
    assert np.allclose(x @ folded + bias, expected, atol=1e-3), (
        "Not yet: the kernel is right, the bias is not. What does an input of zeros give?"
    )
    print("Right: in inference a norm is a scale and an offset, and costs nothing.")


@self_check
def check_share_for_half(share: float) -> None:
    """Check the share of the MACs at which 0.30 ms become 0.15, if 0.06 of them are fixed.

    Parameters
    ----------
    share : float
        Between 0 and 1.

    Examples
    --------
    >>> check_share_for_half(0.5)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: at half of the MACs, the fixed part makes it 0.18 ms.
    """
    assert not np.isclose(share, 0.5), (
        "Not yet: at half of the MACs, the fixed part makes it 0.18 ms."
    )
    assert np.isclose(share, 0.375), (
        f"Not yet: at {share:g} of the MACs it takes {0.06 + 0.24 * share:.3g} ms."
    )
    print("Right: 0.06 ms stay, so the rest has to shrink by more than half.")
