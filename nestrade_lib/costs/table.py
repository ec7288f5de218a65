"""Parameters, MACs and activation bytes of a network, a row per layer."""

import math
from dataclasses import dataclass
from typing import Any

import keras

from nestrade_lib.dependency.calls import record_calls
from nestrade_lib.names import layer_names
from nestrade_lib.tables import html_table, text_table

_COLUMNS = ("<", "<", "<", ">8", ">8", ">8")


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
        Multiply-accumulates of all its calls. None where no rule knows the layer, and its call does not show them.
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
    """The costs of a model: one row per layer, and their sums.

    A layer whose rule covers the layers inside it, such as attention, is one row.

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
    def params(self) -> int:
        """Numbers in all variables."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per sample, of the layers whose rule is known."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Bytes of all layers' outputs for a sample."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def unknown(self) -> list[str]:
        """Names of the layers whose MACs are not known."""
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
        return text_table(self._cells(), _COLUMNS)

    def _repr_html_(self):
        return html_table(self._cells(), _COLUMNS)


def count_costs(
    model: Any,
    input_shape: tuple[int, ...] | list[tuple[int, ...]] | None = None,
) -> CostTable:
    """Count parameters, MACs and activation bytes of any built Keras model.

    Norms, activations, pooling and additions count no MACs, as is the custom.

    Parameters
    ----------
    model : keras.Model or Nestrade
        Functional, Sequential or subclassed; built. Of a trainer, its network.
    input_shape : tuple of int, or a list of them, optional
        Of one sample, for each input: where the model leaves an axis open, as in
        ``Input((None, None, 3))``.

    Returns
    -------
    CostTable
        Print it, show it in a notebook, or read ``.macs``, ``.params``,
        ``.activation_bytes`` and ``.layers``. Of a custom layer without a rule
        (:func:`nestrade_lib.register_rule`), the products of ``keras.ops`` in its call are
        counted. Where the call does not run on symbolic tensors, it shows "?", and the
        total says "≥".

    Raises
    ------
    ValueError
        If `model` is not a built Keras model, or an axis other than the batch is
        open, so that its cost depends on the data, and `input_shape` is not given or
        does not fit.

    Examples
    --------
    >>> from nestrade_lib import create_model
    >>> costs = count_costs(create_model((28, 28, 1), 10))
    >>> costs.macs, costs.params
    (2293000, 431080)
    """
    is_keras = isinstance(model, keras.Model)  # whose attributes are the user's
    network = model if is_keras else getattr(model, "network", model)
    rows = {}
    for call in record_calls(network, input_shape):
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
                output_shape=calls[-1].output_shape,
                params=sum(math.prod(v.shape) for v in own),
                macs=None if None in macs else sum(macs),
                activation_bytes=sum(call.activation_bytes for call in calls),
            )
        )
    return CostTable(tuple(layers))
