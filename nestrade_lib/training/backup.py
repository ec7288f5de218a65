"""A run's backup: written after each epoch, so that a killed run goes on as it was.

The user's script builds the first network again, so a mask is enough for the structure:
which of its channel groups are left. The run's state, the values of its variables and the
history follow. The order of the data needs no more than a seed and the epoch's number.

A run may go on to more epochs than it began with. It ends as the longer run would have,
if nothing before depended on the number of epochs, and it says so where something did.
"""

import dataclasses
import re
import warnings

import keras

from nestrade_lib.cluster.digest import digest
from nestrade_lib.internals import all_layers, is_seeded
from nestrade_lib.training.checkpoints import Checkpoints
from nestrade_lib.training.state import pack, unpack
from nestrade_lib.training.timetable import Timetable

# Of what is written. Where a later version of the library writes something else, it has
# another number, and does not go on with the runs of this one.
FORMAT = "3"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Backup:
    """The checkpoints of a run with this identity."""

    def __init__(self, checkpoints, identity):
        self.checkpoints = checkpoints
        self.folder = checkpoints.folder
        self.identity = identity | {"the format of checkpoints": FORMAT}
        del self.identity["the epochs"]  # which may become more

    def write(self, epoch, run, history):
        """Write a run and its history after an epoch."""
        parts = {
            "identity": self.identity,
            "run": run.saved(),
            "range": [run.epochs.start, run.epochs.stop],
            "epochs": history.epoch,
            "history": history.history,
        }
        if keras.backend.backend() == "torch":
            # Random layers without a seed draw from PyTorch's own generator.
            import torch

            parts["generator"] = torch.get_rng_state().numpy()
        arrays = {}
        description = pack(parts, arrays)
        self.checkpoints.write(epoch, arrays, description)

    def resume(self, run, history):
        """Let a run and its history go on from the newest checkpoint, if there is one."""
        newest = self.checkpoints.newest()
        if newest is None:
            return False
        _, arrays, description = newest
        parts = unpack(description, arrays)
        identity = parts["identity"]
        identity = identity if isinstance(identity, dict) else {}  # another version's
        others = [x for x in self.identity if identity.get(x) != self.identity[x]]
        doubts = _doubts(run, others)
        others = [x for x in others if x not in doubts]
        start, stop = parts.get("range", (-1, -1))
        if run.epochs.start != start or run.epochs.stop < stop:
            others.append("the epochs")
        if others:
            raise ValueError(
                f"backup_dir: {self.folder} holds checkpoints of another run, which "
                f"differs from this one in {', '.join(others)}. Take another folder, or "
                "remove it."
            )
        if doubts:
            warnings.warn(
                f"The run in {self.folder} goes on, but whether it is this one cannot be "
                f"said for {'; for '.join(f'{x}: {why}' for x, why in doubts.items())}.",
                stacklevel=5,
            )
        run.restore(parts["run"])
        if run.epochs.stop > stop and not run.state.is_stopped:
            _extend(run, stop - start)
        history.epoch, history.history = parts["epochs"], parts["history"]
        if "generator" in parts:
            import torch

            torch.set_rng_state(torch.from_numpy(parts["generator"]))
        return True


def _doubts(run, others):
    """What cannot be compared: parts of the identity, and why."""
    doubts = {}
    if "the initial weights" in others and not is_seeded():
        doubts["the initial weights"] = (
            "other ones are drawn each time. Call keras.utils.set_random_seed first"
        )
    if not run.data.is_arrays and run.sample is None:
        doubts["the training data"] = "a generator gives them only once"
    elif "the first batch" in others:
        doubts["the first batch"] = (
            "it is another one, as in random order, or from other data"
        )
    return doubts


def _extend(run, epochs):
    """Let a restored run of so many epochs go on to those that are now asked for."""
    state, steps = run.state, len(run.epochs) * run.data.steps
    longer = Timetable.of(run.trainer.schedule, steps)
    longer = dataclasses.replace(longer, step=state.timetable.step)
    is_alike = run.trainer.met and state.mask.all()  # nothing was ever to be cut
    if not is_alike and not state.timetable.rounds:
        is_alike = longer.step <= min(longer.start, state.timetable.start)
    if is_alike:
        state.timetable = longer
    else:
        state.timetable.steps = steps
    if run.anneals or not is_alike:
        what = [
            *(["learning rate"] if run.anneals else []),
            *([] if is_alike else ["cuts"]),
        ]
        warnings.warn(
            f"The run goes on from {epochs} epochs to {len(run.epochs)}. Its "
            f"{' and its '.join(what)} so far followed the shorter one, so that it does "
            "not end as a run would that had the longer one from the start.",
            stacklevel=6,
        )
    run.set_learning_rate()


def open_backup(run, folder):
    """The backup of a run that has not begun, if there is a folder for it.

    All workers have to have the same run, and the same wish for a backup.
    """
    if folder is None and run.engine.workers == 1:
        return None
    identity = identity_of(run.trainer, run.data, run.epochs, run.anneals)
    with_backup = {"whether there is a backup_dir": folder is not None}
    run.engine.assert_all_equal(identity | with_backup)
    if folder is None:
        return None
    beginning = {
        "the initial weights": digest(*run.network.variables).hex(),
        "the first batch": digest(run.sample).hex(),
    }
    return Backup(Checkpoints(folder, run.engine), identity | beginning)


def identity_of(trainer, data, epochs, anneal):
    """All that decides which weights a run ends with: digests by the parts' names.

    The network is as the user gave it, not yet prepared by an engine.

    >>> import numpy as np
    >>> from nestrade_lib import create_nestrade_model
    >>> from nestrade_lib.training.data import data_adapter
    >>> trainer = create_nestrade_model((8, 8, 1), 3)
    >>> data = data_adapter(np.ones((4, 8, 8, 1)), np.zeros(4))
    >>> one = identity_of(trainer, data, range(1), True)
    >>> other = identity_of(trainer, data, range(2), True)
    >>> [part for part in one if one[part] != other[part]]
    ['the epochs']
    """
    network, weights = trainer.network, data.class_weight or {}
    parts = {
        "the network": (
            [(type(x).__name__, _config_of(x)) for x in all_layers(network)],
            [tuple(v.shape) for v in network.variables],
        ),
        "the optimizer, loss or metrics": _compiled_with(network),
        "the budget": trainer.budget,
        "the schedule": trainer.schedule,
        "the importance": trainer.importance,
        "ignored_layers": trainer.ignored_layers,
        "growth": trainer.growth,
        "anneal": (trainer.anneal, anneal),
        "distill": (
            trainer.distill,
            _config_of(trainer.distill and trainer.distill.loss),
        ),
        "the epochs": epochs,
        "the steps of an epoch": data.steps,
        "batch_size": data.batch_size,
        "shuffle": bool(data.shuffle),
        "class_weight": sorted((str(k), float(w)) for k, w in weights.items()),
    }
    digests = {name: digest(described(part)).hex() for name, part in parts.items()}
    arrays = (data.x, data.y, data.sample_weight) if data.is_arrays else ()
    return digests | {"the training data": digest(*arrays).hex()}


def described(value):
    """Describe a value by what it is, and not by when and where it was made.

    Names that Keras counts on and addresses in memory are left out: a function is its
    name, one with arguments its name and arguments, another object its class.

    >>> import functools
    >>> described({"name": "dense_7", "units": 3})
    "{'units': '3'}"
    >>> described(functools.partial(described, value=1))
    'functools.partial(<function described>, value=1)'
    """
    return str(_nameless(value))


def _nameless(value):
    if isinstance(value, dict):
        return {k: _nameless(v) for k, v in value.items() if k != "name"}
    if isinstance(value, (set, frozenset)):  # in no order
        return sorted(described(part) for part in value)
    if isinstance(value, (list, tuple)):
        return [_nameless(part) for part in value]
    return _ADDRESS.sub("", repr(value))


def _compiled_with(network):
    try:
        return network.get_compile_config()
    except (TypeError, NotImplementedError):  # callables that cannot be saved
        return network.optimizer.get_config(), network.loss


def _config_of(part):
    try:
        return part.get_config()
    except (AttributeError, NotImplementedError):  # of one's own, that cannot be saved
        return None
