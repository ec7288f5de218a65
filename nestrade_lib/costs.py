"""What a network costs: parameters, MACs and activation bytes, layer by layer.

One multiply-accumulate (MAC) is one multiplication and the addition that follows it;
a FLOP count is twice that. The idea of this module is one number a weight: how often
a sample's forward pass *uses* it. A `Dense` kernel uses each weight once, a
convolution once at every output position, a recurrent layer once a time step. So

    MACs = sum over variables of  uses(variable) · size(variable)

and the same numbers tell what a network with fewer channels would cost before it is
built. :mod:`nestrade_lib.uses` finds them.

>>> import keras
>>> model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(4, 5)])
>>> count_costs(model).macs  # 24·24 positions, each weight of 5·5·1·4 used at each
57600
"""

import math
from dataclasses import dataclass

import keras

from nestrade_lib.dependency.sizes import Sizes
from nestrade_lib.names import layer_names, variable_paths
from nestrade_lib.uses import record_calls


@dataclass(frozen=True)
class LayerCost:
    """One layer's share of the costs, for one sample.

    Attributes
    ----------
    name, kind : str
        The layer's name, or its path where others have that name, and its class.
    output_shape : tuple of int
        Of its (last) call, without the batch axis.
    params : int
        Numbers in its variables, trained or not; counted once if called twice.
    macs : int or None
        Multiply-accumulates of all its calls. None where no rule knows the layer.
    activation_bytes : int
        Bytes of all its outputs. Zero for views: `Flatten` and `Reshape`.
    """

    name: str
    kind: str
    output_shape: tuple
    params: int
    macs: int | None
    activation_bytes: int


@dataclass(frozen=True, repr=False)
class CostTable:
    """The costs of a model: a row a layer, and their sums.

    Attributes
    ----------
    layers : tuple of LayerCost
        In the order in which they are first called.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="a")])
    >>> print(count_costs(model))
    layer  kind   output      parameters      MACs  activation bytes
    a      Dense  2                    8         6                 8
    total                              8         6                 8
    """

    layers: tuple

    @property
    def params(self):
        """Numbers in all variables."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self):
        """Multiply-accumulates a sample, of the layers whose rule is known."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def activation_bytes(self):
        """Bytes of all layers' outputs for a sample."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def unknown(self):
        """Names of the layers whose MACs no rule knows."""
        return [layer.name for layer in self.layers if layer.macs is None]

    def _cells(self):
        yield "layer", "kind", "output", "parameters", "MACs", "activation bytes"
        for row in self.layers:
            shape = "×".join(map(str, row.output_shape))
            macs = "?" if row.macs is None else f"{row.macs:,}"
            numbers = f"{row.params:,}", macs, f"{row.activation_bytes:,}"
            yield row.name, row.kind, shape, *numbers
        least = "≥ " if self.unknown else ""
        totals = f"{self.params:,}", f"{least}{self.macs:,}"
        yield "total", "", "", *totals, f"{self.activation_bytes:,}"

    def __repr__(self):
        rows = list(self._cells())
        text = [max(len(row[i]) for row in rows) for i in range(3)]
        least = [max(len(row[i]) for row in rows) for i in range(3, 6)]
        wide = [max(width, 8) for width in least]
        return "\n".join(
            "  ".join(
                [cell.ljust(width) for cell, width in zip(row[:3], text, strict=True)]
                + [cell.rjust(width) for cell, width in zip(row[3:], wide, strict=True)]
            ).rstrip()
            for row in rows
        )

    def _repr_html_(self):
        head, *body = self._cells()
        align = ["left"] * 3 + ["right"] * 3

        def line(tag, cells):
            return "<tr>" + "".join(
                f'<{tag} style="text-align:{side}">{cell}</{tag}>'
                for side, cell in zip(align, cells, strict=True)
            ) + "</tr>"  # fmt: skip

        rows = "".join(line("td", cells) for cells in body)
        return f"<table><thead>{line('th', head)}</thead><tbody>{rows}</tbody></table>"


def count_costs(model):
    """Count parameters, MACs and activation bytes of any built Keras model.

    Norms, activations, pooling and additions count no MACs, as is the custom.

    Parameters
    ----------
    model : keras.Model or Nestrade
        Functional, Sequential or subclassed; built. Of a trainer, its network.

    Returns
    -------
    CostTable
        Print it, show it in a notebook, or read ``.macs``, ``.params``,
        ``.activation_bytes`` and ``.layers``. Custom layers that own variables and
        have no rule (:func:`nestrade_lib.register_macs`) show "?", and the total says "≥".

    Raises
    ------
    ValueError
        If `model` is not a built Keras model, or an axis other than the batch is
        open, so that its cost depends on the data.

    Examples
    --------
    >>> from nestrade_lib import create_model
    >>> costs = count_costs(create_model((28, 28, 1), 10))
    >>> costs.macs, costs.params
    (2293000, 431080)
    """
    network = getattr(model, "network", model)
    rows = {}
    for call in record_calls(network):
        rows.setdefault(id(call.layer), []).append(call)
    names, counted, layers = layer_names(network), set(), []
    for calls in rows.values():
        layer = calls[0].layer
        macs = [call.macs for call in calls]
        own = [v for v in calls[0].variables if id(v) not in counted]
        counted.update(map(id, own))
        layers.append(
            LayerCost(
                name=names.get(id(layer), layer.name),
                kind=type(layer).__name__,
                output_shape=calls[-1].output_shape[1:],
                params=sum(math.prod(v.shape) for v in own),
                macs=None if None in macs else sum(macs),
                activation_bytes=sum(map(_activation_bytes, calls)),
            )
        )
    return CostTable(tuple(layers))


def _activation_bytes(call):
    if isinstance(call.layer, (keras.layers.Flatten, keras.layers.Reshape)):
        return 0
    return math.prod(call.output_shape[1:]) * _bytes_each(call.layer.compute_dtype)


def _bytes_each(dtype):
    return {"float64": 8, "float16": 2, "bfloat16": 2}.get(dtype, 4)


class ChannelCosts:
    """What a network would cost with some of its channel groups: not yet built.

    Parameters
    ----------
    network : keras.Model
        Built.
    graph : nestrade_lib.ChannelGraph
        Of `network`.
    latency : nestrade_lib.latency.Latency, optional
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
            count = _activation_bytes(call)
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
