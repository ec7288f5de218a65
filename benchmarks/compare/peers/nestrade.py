"""Nestrade as a user gets it: a compiled network, a budget, and no other setting."""

from benchmarks.compare.with_keras import build, compiled, fit
from nestrade_lib import Nestrade


def train(work, **options):
    network = compiled(build(work.network), work)
    trainer = Nestrade(network, work.budget, **options)
    fit(trainer, work, work.epochs)
    return trainer.network
