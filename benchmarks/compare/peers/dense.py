"""The network as it is, trained by Keras."""

from benchmarks.compare.with_keras import build, compiled, fit


def train(work):
    network = compiled(build(work.network), work, work.epochs)
    return fit(network, work, work.epochs)
