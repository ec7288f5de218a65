"""One call of `Nestrade.fit`: what it is given, its epochs, its cuts, and how it goes on.

`arguments`, `inputs`, `labels` and `validation` check and take what a user passes;
`source` hands out the data in pieces. `loop` goes through the epochs, `run` decides
where to choose, cut and grow (what is kept of each `cut`), `relay` lets callbacks see
whole epochs, `divergence` stops what is no longer finite, and `rescale` sizes batches
after the cuts. `backup` lets a killed run go on, and `identity` tells whether it is the
same one.
"""
