"""What of a run is written after each epoch, so that a killed one goes on as it was.

The network that the run began with is made again by the user's script. So its structure
is a mask: which of its channel groups are left. Weights, the optimizer's slots, scores
and counters follow as arrays and numbers. The order of the data needs no more than the
seed and the number of the epoch.
"""

import dataclasses

import keras
import numpy as np

from nestrade_lib.surgery import cut
from nestrade_lib.surgery.slices import value
from nestrade_lib.training.cut import Cut
from nestrade_lib.training.rescale import Rescale

# Of what is written. Where a later version of the library writes something else, it has
# another number, and does not go on with the runs of this one.
FORMAT = "1"
# What a run knows beside its timetable.
PROGRESS = "has_grown", "spent"


class Backup:
    """Writes a run's state to checkpoints, and takes it up again.

    Parameters
    ----------
    checkpoints : nestrade_lib.training.checkpoints.Checkpoints
    run : nestrade_lib.training.run.Run
        At its beginning.
    history : keras.callbacks.History
    identity : dict of str to str
        What makes another run the same one.

    Raises
    ------
    ValueError
        If the folder holds the checkpoints of another run.
    """

    def __init__(self, checkpoints, run, history, identity):
        self.checkpoints = checkpoints
        self.run = run
        self.history = history
        self.stopped = False  # by a callback, before the last epoch
        self.identity = identity | {"the format of checkpoints": FORMAT}

    def write(self, epoch, stops):
        """Write the state after an epoch, and whether a callback ends the run there."""
        run, trainer = self.run, self.run.trainer
        arrays = {"kept": run.kept, **_values("network", trainer.network.variables)}
        arrays |= _values("optimizer", trainer.network.optimizer.variables)
        if keras.backend.backend() == "torch":
            # Random layers without a seed draw from PyTorch's own generator.
            import torch

            arrays["torch_generator"] = torch.get_rng_state().numpy()
        if run.chosen is not None:
            arrays["chosen"] = run.chosen
            arrays |= _numbered("turn", (array for _, array in run.before_turn))
        if trainer.teacher is not None:
            arrays |= _values("teacher", trainer.teacher.network.variables)
        if run.safe is not None:
            arrays["safe_kept"], _, state, _ = run.safe
            arrays |= _numbered("safe", (array for _, array in state))
        told = {
            "identity": self.identity,
            "counters": run.timetable.counters,
            "progress": {name: getattr(run, name) for name in PROGRESS},
            "wrapped": run.optimizer is not None,
            "seed": run.source.seed,
            "batch_size": run.source.batch_size,
            "reference": run.structure.reference,
            "settled": run.structure.settled,
            "timings": run.structure.timings,
            "safe_cuts": run.safe and run.safe[-1] - run.first_cut,
            "stopped": stops,
            "rescale": trainer.rescale and dataclasses.asdict(trainer.rescale),
            "cuts": [dataclasses.asdict(x) for x in trainer.cuts[run.first_cut :]],
            "epochs": self.history.epoch,
            "history": self.history.history,
        }
        self.checkpoints.write(epoch, arrays, _plain(told))

    def resume(self):
        """Take up the newest state, if there is one.

        Returns
        -------
        int or None
            The epoch after which it was written.
        """
        found = self.checkpoints.newest()
        if found is None:
            return None
        epoch, arrays, told = found
        known = told["identity"]
        known = known if isinstance(known, dict) else {}  # of another version
        others = [
            part for part in self.identity if known.get(part) != self.identity[part]
        ]
        if others:
            raise ValueError(
                f"backup_dir: {self.checkpoints.folder} holds checkpoints of another run, "
                f"which differs from this one in {', '.join(others)}. Take another folder, "
                "or remove it."
            )
        run, trainer = self.run, self.run.trainer
        run.source.seed = told["seed"]
        if told["batch_size"] is not None:
            run.source.batch_size = told["batch_size"]
        run.timetable.take_up(told["counters"])
        for name, number in told["progress"].items():
            setattr(run, name, number)
        run.chosen = arrays.get("chosen")
        if "teacher_0" in arrays:
            run.call_teacher()
            variables = trainer.teacher.network.variables
            trainer.teacher.load(arrays[f"teacher_{n}"] for n in range(len(variables)))
            run.source.learn_from(None)  # what it knew is another's
        self._take_structure(arrays["kept"], told["wrapped"])
        _assign(trainer.network.variables, arrays, "network")
        _assign(trainer.network.optimizer.variables, arrays, "optimizer")
        if "torch_generator" in arrays:
            import torch

            torch.set_rng_state(torch.from_numpy(arrays["torch_generator"]))
        if "safe_kept" in arrays:
            kept = arrays["safe_kept"]
            is_current = np.array_equal(kept, run.kept)
            network = trainer.network if is_current else self._rebuilt(kept)
            variables = run.variables_of(network)
            state = _paired(variables, arrays, "safe")
            run.safe = kept, network, state, run.first_cut + told["safe_cuts"]
        if run.chosen is not None:
            variables = run.variables_of(trainer.network)
            run.before_turn = _paired(variables, arrays, "turn")
        run.structure.take_up(told["timings"])
        run.structure.reference = told["reference"]
        run.structure.settled, self.stopped = told["settled"], told["stopped"]
        if told["rescale"]:
            times = told["rescale"].pop("seconds_per_sample")
            times = {int(size): seconds for size, seconds in times.items()}
            trainer.rescale = Rescale(**told["rescale"], seconds_per_sample=times)
        trainer.cuts[run.first_cut :] = [Cut(**each) for each in told["cuts"]]
        self.history.epoch = told["epochs"]
        self.history.history = told["history"]
        return epoch

    def _take_structure(self, kept, wrapped):
        """Go on with another part of the network that the run began with."""
        run = self.run
        if run.optimizer is not None:
            run.unwrap()
        run.kept = kept
        network = self._rebuilt(kept)
        if not kept.all():
            run.structure.adopt(network)
        if wrapped:
            run.wrap(np.zeros(run.structure.graph.count))
        run.teach()

    def _rebuilt(self, kept):
        """The network with these of its first groups; weights are yet to come."""
        network, graph = self.run.base
        if not kept.all():
            with self.run.engine.cut_scope():
                network = cut(network, kept, graph)
            self.run.engine.prepare(network)
        self.run.build_metrics(network)
        return network


def _values(name, variables):
    return _numbered(name, map(value, variables))


def _numbered(name, arrays):
    # NumPy's files do not know bfloat16; float32 holds it exactly.
    return {
        f"{name}_{n}": a.astype("float32") if a.dtype.name == "bfloat16" else a
        for n, a in enumerate(arrays)
    }


def _paired(variables, arrays, name):
    return [(variable, arrays[f"{name}_{n}"]) for n, variable in enumerate(variables)]


def _assign(variables, arrays, name):
    for n, variable in enumerate(variables):
        variable.assign(arrays[f"{name}_{n}"])


def _plain(told):
    """Numbers of NumPy as those of Python."""
    if isinstance(told, dict):
        return {key: _plain(value) for key, value in told.items()}
    if isinstance(told, (list, tuple)):
        return [_plain(value) for value in told]
    if hasattr(told, "dtype"):
        return np.asarray(told).tolist()
    return told
