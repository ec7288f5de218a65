"""What a network would cost with some of its channel groups, before it is built."""

import math

from nestrade_lib.costs.calls import record_calls
from nestrade_lib.costs.sizes import Sizes
from nestrade_lib.costs.table import activation_bytes
from nestrade_lib.names import layer_names, variable_paths


class ChannelCosts:
    """What a network would cost with some of its channel groups: not yet built.

    Parameters
    ----------
    network : keras.Model
        Built.
    graph : nestrade_lib.ChannelGraph
        Of `network`.
    latency : nestrade_lib.costs.latency.Latency, optional
        Adds the cost "latency", in seconds.

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2)]
    ... )
    >>> costs = ChannelCosts(network, trace(network))
    >>> costs.total(np.arange(6) < 3)["macs"]  # 4·3 + 3·2
    18.0
    """

    def __init__(self, network, graph, latency=None):
        self.graph = graph
        self.latency = latency
        arrays = {cost: [] for cost in ("macs", "params", "activation_bytes")}
        names, applications = layer_names(network), graph.applications()
        paths = variable_paths(network.variables)
        for call in record_calls(network):
            name = names.get(id(call.layer), call.layer.name)
            seen = _take(applications.get(name, []), call.output_shape)
            axes = graph.along(seen.outputs[0]) if seen else self._made(call, paths)
            count = activation_bytes(call)
            arrays["activation_bytes"].append((count / _size(axes), axes))
            products = list(seen.products) if seen else []
            for variable, times in call.uses or ():
                path = None if variable is None else paths[id(variable)]
                fixed, own = (1, []) if path is None else graph.factors(path)
                more = graph.along(_repeats(products, path))
                arrays["macs"].append((times * fixed / _size(more), own + more))
        arrays["params"] = [graph.factors(paths[id(v)]) for v in network.weights]
        self._sizes = {cost: Sizes(x, graph.count) for cost, x in arrays.items()}

    def _made(self, call, paths):
        """Channels that a part of a composite layer gives out, read off its weights."""
        made = (self.graph.produced(paths[id(v)]) for v in call.variables)
        return next(filter(None, made), [])

    def total(self, mask):
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

    def savings(self, mask):
        """Give what each cost would lose by each group alone.

        Returns
        -------
        dict of str to ndarray, shape (graph.count,)
        """
        mask = self.graph.require_mask(mask)
        saved = {cost: sizes.savings(mask) for cost, sizes in self._sizes.items()}
        if self.latency is not None:
            saved["latency"] = self.latency.line.per_mac * saved["macs"]
        return saved


def _take(applications, shape):
    """The next application of a layer that gives out a shape, off its list."""
    for number, seen in enumerate(applications):
        axes = seen.outputs[0]
        if len(axes) == len(shape) and all(
            axis is None or len(axis) == n for axis, n in zip(axes, shape, strict=True)
        ):
            return applications.pop(number)
    return None


def _repeats(products, path):
    """The axes that the next product with a weight repeats over, off the list."""
    for number, (of, axes) in enumerate(products):
        if of == path:
            del products[number]
            return axes
    return ()


def _size(axes):
    return math.prod(map(len, axes))
