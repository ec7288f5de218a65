"""Files that survive: written whole or not at all, checked when read, two of them kept.

A checkpoint is arrays and a description in one file. It is written under another name,
flushed to the disk, and renamed, so that a process killed at any moment leaves either
the old files or the new one. Its first bytes are the SHA-256 of the rest: what was cut
short or changed on the way is not read but passed over, for the one before it. A run that is
ended within an epoch leaves one more, named after its step.
The hash is no signature: whoever can write to the folder can write a checkpoint.
"""

import hashlib
import io
import json
import os
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np

from nestrade_lib.checks import require
from nestrade_lib.engines.engine import Engine
from nestrade_lib.training import folder as files

KEPT = 2  # of whole epochs; beside them, at most one within an epoch
WHOLE = 2**31 - 1  # in the place of its steps
_NAME = re.compile(r"epoch-(\d{6})(?:-step-(\d{9}))?\.checkpoint")


class Checkpoints:
    """The checkpoints of one run, in a folder that all its workers see.

    The chief alone writes: replicas hold the same. All workers read, and agree on the
    newest epoch that each of them finds intact. One run at a time has the folder: until
    :meth:`close`, or until its process ends.

    Parameters
    ----------
    folder : str or path
        Made where there is none.
    engine : nestrade_lib.engines.Engine

    Raises
    ------
    ValueError
        If the folder cannot be written, another run has it, or workers do not see the
        same folder.

    Examples
    --------
    >>> import tempfile
    >>> checkpoints = Checkpoints(tempfile.mkdtemp())
    >>> checkpoints.write(3, {"w": np.ones(2)}, {"steps": 40})
    >>> epoch, arrays, description = checkpoints.newest()
    >>> epoch, arrays["w"].tolist(), description
    (3, [1.0, 1.0], {'steps': 40})
    """

    def __init__(self, folder: str | os.PathLike, engine: Engine | None = None) -> None:
        is_path = isinstance(folder, (str, os.PathLike)) and os.fspath(folder)
        expected, advice = "the path of a folder", "Give None for no checkpoints."
        require(is_path, "backup_dir", expected, folder, advice)
        self.folder = Path(folder)
        self.engine = engine or Engine()
        self._owner = None
        self._is_warned = False
        self._require_shared()
        if self.engine.is_chief:
            for left in self.folder.glob("*.part"):
                files.remove(left)

    def close(self) -> None:
        """Let other runs have the folder."""
        if self._owner is not None:
            self._owner.close()

    def write(
        self, epoch: int, arrays: dict, description: dict, step: int | None = None
    ) -> None:
        """Write the state after an epoch, or within it, and remove what it replaces.

        Parameters
        ----------
        epoch : int
        arrays : dict of str to ndarray
        description : dict
            As JSON takes it.
        step : int, optional
            Of the epoch, after which the state is.
        """
        if self._owner is None:  # of the chief alone
            return
        held = io.BytesIO()
        moment = {"epoch": epoch, "step": step}
        text = json.dumps(moment | {"description": description})
        np.savez(held, __description__=np.frombuffer(text.encode(), np.uint8), **arrays)
        body = held.getvalue()
        within = "" if step is None else f"-step-{step:09}"
        path = self.folder / f"epoch-{epoch:06}{within}.checkpoint"
        try:
            if not self._owner.is_owner():
                raise files.InUse("another run has taken it, or it was moved")
            files.write(path, hashlib.sha256(body).digest() + body)
            whole = self._paths(is_whole=True)
            for old in self._paths():
                if old != path and old not in whole[-KEPT:]:
                    files.remove(old)
        except OSError as error:  # such as a full disk: the two before it still stand
            if not self._is_warned:
                warnings.warn(
                    f"No checkpoint of epoch {epoch}, {len(body) / 1e6:.1f} MB, could be "
                    f"written to {self.folder}: {error.strerror or error}. Training goes "
                    "on, and tries again after each epoch.",
                    stacklevel=2,
                )
            self._is_warned = True
        else:
            self._is_warned = False

    def newest(
        self, is_whole: bool = False
    ) -> tuple[int, dict[str, np.ndarray], dict] | None:
        """Read the newest checkpoint that is intact on every worker.

        Parameters
        ----------
        is_whole : bool
            Only after an epoch, and not within one.

        Returns
        -------
        (int, dict of str to ndarray, dict) or None
            Epoch, arrays and description; None where there is none.

        Warns
        -----
        UserWarning
            For each file that is damaged, by name.
        """
        intact = {}
        for path in reversed(self._paths(is_whole)):
            content = _read(path)
            if content is None:
                warnings.warn(
                    f"{path.name} in {self.folder} is damaged: its bytes cannot be read "
                    "or are not those that were written. The checkpoint before it is used, "
                    "if there is one.",
                    stacklevel=2,
                )
                continue
            intact[_moment(path)] = content
        none = -1, -1
        mine = (sorted(intact, reverse=True) + [none] * (KEPT + 1))[: KEPT + 1]
        known = self.engine.gather(np.ravel(mine)).reshape(-1, KEPT + 1, 2).tolist()
        moments = [set(map(tuple, each)) for each in known]  # of each worker
        common = max(set.intersection(*moments), default=none)
        if self.engine.is_chief:  # all have read: what is not agreed on is in the way
            for path in self._paths():
                if _moment(path) not in intact or _moment(path) > common:
                    files.remove(path)
        return (common[0], *intact[common]) if common != none else None

    def _paths(self, is_whole=False):
        paths = [p for p in self.folder.iterdir() if _NAME.fullmatch(p.name)]
        paths.sort(key=_moment)
        return [p for p in paths if _moment(p)[1] == WHOLE or not is_whole]

    def _require_shared(self):
        """The chief leaves a random number that all have to find."""
        token = self.engine.broadcast(np.frombuffer(os.urandom(8), "int32"))
        path, trouble = self.folder / "owner", ""
        if self.engine.is_chief:
            try:
                self._owner = files.Owner(self.folder, token.tobytes())
            except files.InUse as error:
                trouble = f"is {error}"
            except OSError as error:
                trouble = f"cannot be written: {error.strerror or error}"
        failed = self.engine.gather([bool(trouble)])  # and by now the file is there
        if not trouble and not failed.any():
            try:
                seen = files.read(path).startswith(token.tobytes().hex().encode())
            except OSError:
                seen = False
            trouble = "" if seen else "is not the one that the chief writes to"
        failed = failed | self.engine.gather([bool(trouble)])
        if failed.any():
            others = np.flatnonzero(failed[:, 0]).tolist()
            trouble = trouble or f"failed on worker {', '.join(map(str, others))}"
            raise ValueError(
                f"backup_dir: {self.folder} {trouble}. Give a folder of this run alone that "
                "every worker can reach under this path and the chief can write to."
            )


def _moment(path):
    """Epoch and step that a file is named after."""
    [(epoch, step)] = _NAME.findall(path.name)
    return int(epoch), int(step) if step else WHOLE


def _read(path):
    """Arrays and description of a file, or None if its bytes are not as written."""
    try:
        data = files.read(path)
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            return None
        with zipfile.ZipFile(io.BytesIO(data[32:])) as archive:
            if sum(part.file_size for part in archive.infolist()) > len(data):
                return None  # it would unpack to more than it is
        with np.load(io.BytesIO(data[32:])) as held:
            arrays = {name: held[name] for name in held.files}
        text = json.loads(arrays.pop("__description__").tobytes())
        step = WHOLE if text["step"] is None else text["step"]
        is_named = (text["epoch"], step) == _moment(path)
        return (arrays, text["description"]) if is_named else None
    except Exception:  # what others may have written has no end of ways to be wrong
        return None
