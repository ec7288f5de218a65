"""A run's backup: written after each epoch, so that a killed run goes on as it was.

The user's script builds the first network again, so a mask is enough for the structure:
which of its channel groups are left. The run's state, the values of its variables and the
history follow. The order of the data needs no more than a seed and the epoch's number.
A run that is asked to end is written within its epoch, and goes on behind the batches that
it has seen, if the data give the same ones again.

A run may go on to more epochs than it began with. It ends as the longer run would have,
if nothing before depended on the number of epochs, and it says so where something did.
"""

import dataclasses
import warnings

import keras

from nestrade_lib.cluster.digest import digest
from nestrade_lib.internals import is_seeded
from nestrade_lib.training.checkpoints import Checkpoints
from nestrade_lib.training.identity import identity_of
from nestrade_lib.training.state import UnfinishedEpoch, pack, unpack
from nestrade_lib.training.timetable import Timetable

# Of what is written. Where a later version of the library writes something else, it has
# another number, and does not go on with the runs of this one.
FORMAT = "4"


class Backup:
    """The checkpoints of a run with this identity."""

    def __init__(self, checkpoints, identity):
        self.checkpoints = checkpoints
        self.folder = checkpoints.folder
        self.identity = identity | {"the format of checkpoints": FORMAT}
        del self.identity["the epochs"]  # which may become more

    def write(self, epoch, run):
        """Write a run after an epoch, or within it."""
        history, within = run.trainer.history, run.state.within
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
            if torch.cuda.is_available():
                states = torch.cuda.get_rng_state_all()
                parts["generators"] = [state.numpy() for state in states]
        arrays = {}
        description = pack(parts, arrays)
        step = None if within is None else within.position
        self.checkpoints.write(epoch, arrays, description, step)

    def resume(self, run):
        """Let a run go on from the newest checkpoint, if there is one: the epochs left."""
        parts, epochs = self._newest(run), run.epochs
        if parts is None:
            return epochs
        first, begun = epochs.start + len(parts["epochs"]), None
        run.data.seed = parts["run"]["state"]["seed"]
        run.data.skip(len(parts["epochs"]))
        within = parts["run"]["state"]["within"]
        if within is not None:
            run.data.start_epoch(first)
            begun = UnfinishedEpoch(run.data.fingerprint())
            is_other = [begun.fingerprint != within["fingerprint"]]
            if run.engine.gather(is_other).any():
                parts = self._begin_anew(run, first)
        if parts is not None:
            self._restore(run, parts, first)
        if begun is not None and run.state.within is None:
            run.state.within = begun
        if run.state.is_stopped or first >= epochs.stop:
            warnings.warn(
                f"backup_dir: {self.folder} holds this run to its end, which is taken up: "
                "nothing is trained. To train again, take another folder; to go on, ask "
                "for more epochs.",
                stacklevel=4,
            )
            return range(0)
        return range(first, epochs.stop)

    def _begin_anew(self, run, epoch):
        """What a run goes on from where an epoch's batches are not those of before."""
        warnings.warn(
            f"The run in {self.folder} was ended within epoch {epoch + 1}, but the data do "
            "not give its batches once more. That epoch begins anew, with others.",
            stacklevel=5,
        )
        parts = self._newest(run, is_whole=True)
        done = len(parts["epochs"]) if parts else 0
        if run.epochs.start + done != epoch:
            raise ValueError(
                f"backup_dir: {self.folder} has lost the state before epoch {epoch + 1}. "
                "Remove it, and train from the start."
            )
        return parts

    def _newest(self, run, is_whole=False):
        """The newest checkpoint, if there is one, and it is of this run."""
        newest = self.checkpoints.newest(is_whole)
        if newest is None:
            return None
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
        if doubts and not is_whole:
            warnings.warn(
                f"The run in {self.folder} goes on, but whether it is this one cannot be "
                f"said for {'; for '.join(f'{x}: {why}' for x, why in doubts.items())}.",
                stacklevel=5,
            )
        return parts

    def _restore(self, run, parts, epoch):
        start, stop = parts["range"]
        run.restore(parts["run"])
        if run.sample is None:  # of a generator, whose batches were unknown until here
            run.data.start_epoch(epoch)
            x, y, *_ = (*(run.data.peek() or ()), None, None)
            run.pruned.build_metrics(x is not None and (x, y))
        if run.epochs.stop > stop and not run.state.is_stopped:
            _extend(run, stop - start)
        history = run.trainer.history
        history.epoch, history.history = parts["epochs"], parts["history"]
        if "generator" in parts:
            import torch

            def draw_on():
                torch.set_rng_state(torch.from_numpy(parts["generator"]))
                states = [torch.from_numpy(x) for x in parts.get("generators", [])]
                if states and len(states) == torch.cuda.device_count():
                    torch.cuda.set_rng_state_all(states)

            draw_on()
            if run.state.within is not None and run.state.within.is_midway:
                run.on_start = draw_on  # beginning a piece draws a number, too


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
