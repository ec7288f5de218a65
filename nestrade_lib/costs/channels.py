"""What a network would cost with some of its channel groups, before it is built."""

import numpy as np

from nestrade_lib.costs.latency import Latency
from nestrade_lib.costs.sizes import Sizes
from nestrade_lib.dependency import ChannelGraph


class ChannelCosts:
    """What a network would cost with some of its channel groups: not yet built.

    Parameters
    ----------
    graph : nestrade_lib.ChannelGraph
        Of the network.
    latency : nestrade_lib.costs.latency.Latency, optional
        Adds the cost "latency", in seconds.

    Raises
    ------
    ValueError
        If an axis other than the batch is open, so that costs depend on the data.

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2)]
    ... )
    >>> costs = ChannelCosts(trace(network))
    >>> costs.total(np.arange(6) < 3)["macs"]  # 4·3 + 3·2
    18.0
    """

    def __init__(self, graph: ChannelGraph, latency: Latency | None = None) -> None:
        self.graph = graph
        self.latency = latency
        terms = {
            "macs": graph.products,
            "params": graph.parameters,
            "activation_bytes": graph.activations,
        }
        if any(None in parts for parts in terms.values()):
            raise ValueError(
                "The network has an open shape, so its costs depend on the data. Build "
                "it with a fixed input shape."
            )
        self._sizes = {cost: Sizes(x, graph.count) for cost, x in terms.items()}

    def total(self, mask: np.ndarray) -> dict[str, float]:
        """Give each cost of the network with the groups kept.

        Parameters
        ----------
        mask : ndarray of bool, shape (graph.count,)

        Returns
        -------
        dict of str to float
        """
        mask = self.graph.require_mask(mask)
        total = {x: float(sizes.left(mask).sum()) for x, sizes in self._sizes.items()}
        if self.latency is not None:
            total["latency"] = self.latency.seconds(total["macs"])
        return total

    def savings(self, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Give what each cost would lose by each group alone.

        Returns
        -------
        dict of str to ndarray, shape (graph.count,)
        """
        mask = self.graph.require_mask(mask)
        saved: dict[str, np.ndarray] = {
            cost: sizes.savings(mask) for cost, sizes in self._sizes.items()
        }
        if self.latency is not None:
            saved["latency"] = self.latency.line.per_mac * saved["macs"]
        return saved
