"""One call of `Nestrade.fit`: what it is given, its epochs, its cuts, and how it resumes.

`arguments`, `inputs`, `labels` and `validation` check and take what a user passes;
`data` hands out the data in pieces. `loop` goes through the epochs, `run` decides
where to choose, cut and grow (`cut` records each cut), `callbacks` shows callbacks
whole epochs, `divergence` stops what is no longer finite, and `rescale` sizes batches
after the cuts. `backup` writes and resumes a run, and `identity` identifies it.

>>> from nestrade_lib.training import noise_scale
"""

from nestrade_lib.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
