"""What a cut is refused for, in words."""

from nestrade_lib.surgery.rounding import tolerance


class RefusedCut(ValueError):
    """A cut whose smaller network does not equal the original."""


def require_equal(network, errors, coarse):
    """Refuse a cut of a network with these differences, and say what they come from."""
    allowed = tolerance(network)
    wrong = {name: error for name, error in errors.items() if not error <= allowed}
    if not wrong:
        return
    differences = ", ".join(f"{name} by {error:.1e}" for name, error in wrong.items())
    raise RefusedCut(
        f"The smaller {network.name!r} differs from the original with those channels "
        f"at zero: {differences} (relative; allowed {allowed:.0e}). The network is as it "
        f"was. {_reason(network, wrong, coarse)}"
    )


def _reason(network, wrong, coarse):
    if set(wrong) == {"step"}:
        return (
            f"Only the optimizer's step does: {type(network.optimizer).__name__} may "
            "treat the channels of a weight together, as Muon and Lamb do. Compile "
            "with one that takes each weight by itself (SGD, Adam, AdamW, Lion, ...)."
        )
    if set(wrong) <= set(coarse):
        moved = ", ".join(f"{name} by {share:.1g}" for name, share in coarse.items())
        return (
            "Rounding may be the cause: the last bits of inputs and weights alone move "
            f"{moved}. Scale the inputs, as with keras.layers.Normalization."
        )
    return (
        "A rule registered for one of its layers may be wrong, or a layer behaves "
        "differently in each call: keep it with ignored_layers=[...]."
    )
