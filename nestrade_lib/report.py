"""Before and after, one row per layer: what a run removed."""

from dataclasses import dataclass, field
from html import escape

from nestrade_lib.costs import CostTable
from nestrade_lib.tables import html_table, text_table


@dataclass(frozen=True, repr=False)
class Report:
    """Two cost tables side by side. Print it, or show it in a notebook.

    Attributes
    ----------
    before, after : CostTable
    unsupported : dict of str to str
        Layers that stay as they are because they cannot be followed, with the reason.

    Examples
    --------
    >>> import keras
    >>> from nestrade_lib import count_costs
    >>> def network(units):
    ...     hidden = keras.layers.Dense(units, name="hidden")
    ...     out = keras.layers.Dense(2, name="out")
    ...     return keras.Sequential([keras.Input((4,)), hidden, out])
    >>> Report(count_costs(network(8)), count_costs(network(2)))
    layer   output          MACs        parameters
    hidden  8 → 2   32 → 8   25.0 %  40 → 10  25.0 %
    out     2       16 → 4   25.0 %  18 → 6   33.3 %
    total           48 → 12  25.0 %  58 → 16  27.6 %
    """

    before: CostTable
    after: CostTable
    unsupported: dict = field(default_factory=dict)

    def _cells(self):
        yield "layer", "output", "MACs", "", "parameters", ""
        for old, new in self._pairs():
            if old.params or old.macs or old.macs is None:
                shapes = _change(_shape(old), _shape(new))
                yield (
                    old.name,
                    shapes,
                    *(("?", "") if old.macs is None else _pair(old.macs, new.macs)),
                    *_pair(old.params, new.params),
                )
        macs = _pair(self.before.macs, self.after.macs)
        if self.before.unknown or self.after.unknown:  # at least those of the others
            macs = f"≥ {macs[0]}".replace("→ ", "→ ≥ "), ""
        yield "total", "", *macs, *_pair(self.before.params, self.after.params)

    def _pairs(self):
        """Each layer before and after, by name; by place where a name is new."""
        before, after = self.before.layers, self.after.layers
        named = {layer.name: layer for layer in after}
        if {layer.name for layer in before} != set(named):
            return zip(before, after, strict=True)
        return ((old, named[old.name]) for old in before)

    def __repr__(self):
        return "\n".join([text_table(self._cells(), "<<<<<<"), *self._kept()])

    def _kept(self):
        return [f"as it was: {reason}" for reason in self.unsupported.values()]

    def _repr_html_(self):
        _, *body = self._cells()
        head = "layer", "output", "MACs", "kept", "parameters", "kept"
        table = html_table([head, *body]).replace(" %", "\N{NO-BREAK SPACE}%")
        kept = "<br>".join(map(escape, self._kept()))
        return table + (kept and f"<p>{kept}</p>")


def _shape(layer):
    return "×".join(map(str, layer.output_shape))


def _change(old, new):
    return old if old == new else f"{old} → {new}"


def _pair(old, new):
    if not old or new is None:
        return "-", ""
    return _change(f"{old:,}", f"{new:,}"), f"{new / old:.1%}".replace("%", " %")
