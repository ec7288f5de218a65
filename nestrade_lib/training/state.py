"""What a run knows beside its variables: plain data, which a killed run reads again.

>>> state, other, arrays = RunState(mask=np.array([True, False])), RunState(), {}
>>> description = pack(state, arrays)
>>> other.restore(unpack(description, arrays))
>>> other.mask.tolist()
[True, False]
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nestrade_lib.training.rescale import Rescale
from nestrade_lib.training.timetable import Timetable


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
        For choosing, cutting and verifying, without the tracing of the next step.
    """

    epoch: float
    costs: dict
    widths: dict
    seconds: float


@dataclass
class PruningRound:
    """Channels on their way to zero, from their choice to their cut."""

    mask: np.ndarray  # of the network's groups: True stays
    cut_at: int  # step
    steps: int  # from the choice to the cut
    seconds: float  # that the choice took
    values: list  # of the network and its optimizer before the choice


@dataclass
class AcceptedNetwork:
    """The last network that held its accuracy, in a search for the smallest one."""

    mask: np.ndarray  # of the groups that the run began with
    values: list  # of the network and its optimizer
    cuts: int  # that led to it


@dataclass
class UnfinishedEpoch:
    """How far an epoch is that is not over."""

    fingerprint: str = ""  # of its first batch, where data may differ at the next start
    position: int = 0  # steps done
    metrics: list | None = None  # what they have gathered
    logs: dict = field(default_factory=dict)
    is_stopped: bool = False  # by a callback, after a step
    is_midway: bool = False  # between two steps of one piece


@dataclass
class RunState:
    """Where a trainer stands: what outlives a ``fit``, and where the present one is."""

    cuts: list = field(default_factory=list)
    reference_accuracy: float | None = None  # before the first cut, in a search
    is_search_over: bool = False
    rescale: Rescale | None = None
    # Of the present fit:
    seed: int | None = None  # of the order of the data
    timetable: Timetable | None = None
    mask: np.ndarray | None = None  # of the groups that it began with: True is left
    round: PruningRound | None = None
    accepted: AcceptedNetwork | None = None
    growth: int | None = None  # of the batch, once that is decided
    is_stopped: bool = False  # by a callback, before the last epoch
    within: UnfinishedEpoch | None = None  # the present epoch

    def begin_fit(self, groups, seed, timetable):
        """Forget the fit before this one, but not what outlives it."""
        kept = self.cuts, self.reference_accuracy, self.is_search_over, self.rescale
        fresh = RunState(*kept, seed, timetable, np.ones(groups, bool))
        vars(self).update(vars(fresh))

    def restore(self, values):
        """Become the state that these values are of, as :func:`unpack` gives them."""
        if (rescale := values["rescale"]) is not None:
            times = rescale["seconds_per_sample"].items()  # JSON has texts as keys
            rescale["seconds_per_sample"] = {int(size): time for size, time in times}
        for name, kind in {
            "rescale": Rescale,
            "timetable": Timetable,
            "round": PruningRound,
            "accepted": AcceptedNetwork,
            "within": UnfinishedEpoch,
        }.items():
            values[name] = values[name] and kind(**values[name])
        values["cuts"] = [Cut(**cut) for cut in values["cuts"]]
        vars(self).update(values)


def pack(value, arrays):
    """Describe nested dataclasses, dicts and lists as JSON takes them.

    Arrays go into the dict `arrays`; their keys in it stand in their places.
    """
    if dataclasses.is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {key: pack(part, arrays) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(part, arrays) for part in value]
    if not hasattr(value, "dtype"):
        return value
    value = np.asarray(value)
    if value.dtype.name == "bfloat16":  # which NumPy's files lack; float32 holds it
        value = value.astype("float32")
    if not value.shape:
        return value.item()
    key = f"array_{len(arrays)}"
    arrays[key] = value
    return {"array": key}


def unpack(value, arrays) -> Any:
    """Give back what :func:`pack` has described, dataclasses as dicts."""
    if isinstance(value, list):
        return [unpack(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["array"]:
        return arrays[value["array"]]
    return {key: unpack(part, arrays) for key, part in value.items()}
