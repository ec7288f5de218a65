"""The network as it is, trained by PyTorch."""

from benchmarks.compare.with_torch import build, fit


def train(work):
    return fit(build(work.network), work, work.epochs)
