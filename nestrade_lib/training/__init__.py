"""One call of `Nestrade.fit`: its arguments, data, epochs and cuts, and how it resumes.

`checks` looks at what a user passes, and `data` hands it out in pieces. `run` goes through
the epochs; `timetable` states when to choose and cut, `pruning` does it, on the network
that `pruned_network` holds, and `rescale` sizes the batches after the last cut. Every fact
of a run is in its `state`; `backup` writes it, and goes on from it. `callbacks` shows whole
epochs to the user's callbacks.

>>> from nestrade_lib.training import noise_scale
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
