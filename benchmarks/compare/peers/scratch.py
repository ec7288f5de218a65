"""The widths that Nestrade ended with on the same seed, trained from scratch."""

from benchmarks.compare.with_keras import build, compiled, fit, of_widths


def train(work):
    network = of_widths(build(work.network), work.widths)
    return fit(compiled(network, work, work.epochs), work, work.epochs)
