"""What is kept of a cut: when it fell, and what was left."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """One cut, as it happened.

    Attributes
    ----------
    epoch : float
        Epochs trained before it.
    costs : dict of str to float
        After it.
    widths : dict of str to int
        Channels left of each layer, after it.
    seconds : float
        What choosing, cutting and verifying took, without the retrace of the step.
    """

    epoch: float
    costs: dict
    widths: dict
    seconds: float
