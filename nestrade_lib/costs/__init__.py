"""What a network costs: parameters, MACs, bytes of activations, latency.

One multiply-accumulate (MAC) is one multiplication and the addition that follows it;
a FLOP count is twice that. A weight counts once for each time that the forward pass
of one sample uses it: a `Dense` kernel once, a convolution once at every output
position, a recurrent layer once at every time step. So

    MACs = sum over weights of  reuse(weight) · size(weight)

and the same numbers say what a network with fewer channels would cost before it is
built.

>>> import keras
>>> model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(4, 5)])
>>> count_costs(model).macs  # 24·24 positions, each weight of 5·5·1·4 used at each
57600
"""

from nestrade_lib.costs.channels import ChannelCosts
from nestrade_lib.costs.reuse import weight_reuse
from nestrade_lib.costs.table import CostTable, count_costs

__all__ = ["ChannelCosts", "CostTable", "count_costs", "weight_reuse"]
