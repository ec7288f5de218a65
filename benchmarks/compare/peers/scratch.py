"""The widths that Nestrade ended with on the same seed, trained from scratch."""

from benchmarks.compare.with_keras import build, compiled, fit, of_widths


def train(work):
    return fit(compiled(narrow(work), work, work.epochs), work, work.epochs)


def narrow(work):
    return of_widths(build(work.network), work.widths)
