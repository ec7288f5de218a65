"""Files that survive: written whole or not at all, checked when read, two of them kept.

A checkpoint is arrays and a description in one file. It is written under another name,
flushed to the disk, and renamed, so that a process killed at any moment leaves either
the old files or the new one. Its first bytes are the SHA-256 of the rest: what was cut
short or changed on the way is not read but passed over, for the one before it.
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

from nestrade_lib.engines.engine import Engine
from nestrade_lib.training import folder as files

KEPT = 2
_NAME = re.compile(r"epoch-(\d{6})\.checkpoint")


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
        if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
            raise ValueError(
                f"backup_dir: expected the path of a folder, got {folder!r}. Give None for "
                "no checkpoints."
            )
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

    def write(self, epoch: int, arrays: dict, description: dict) -> None:
        """Write the state after an epoch, and remove all but the last two.

        Parameters
        ----------
        epoch : int
        arrays : dict of str to ndarray
        description : dict
            As JSON takes it.
        """
        if self._owner is None:  # of the chief alone
            return
        held = io.BytesIO()
        text = json.dumps({"epoch": epoch, "description": description})
        np.savez(held, __description__=np.frombuffer(text.encode(), np.uint8), **arrays)
        body = held.getvalue()
        path = self.folder / f"epoch-{epoch:06}.checkpoint"
        try:
            if not self._owner.is_owner():
                raise files.InUse("another run has taken it, or it was moved")
            files.write(path, hashlib.sha256(body).digest() + body)
            for old in self._paths()[:-KEPT]:
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

    def newest(self) -> tuple[int, dict[str, np.ndarray], dict] | None:
        """Read the newest checkpoint that is intact on every worker.

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
        for path in reversed(self._paths()):
            content = _read(path)
            if content is None:
                warnings.warn(
                    f"{path.name} in {self.folder} is damaged: its bytes cannot be read "
                    "or are not those that were written. The checkpoint before it is used, "
                    "if there is one.",
                    stacklevel=2,
                )
                continue
            intact[_epoch(path)] = content
        # None reads as -1; a worker knows at most two epochs.
        mine = (sorted(intact, reverse=True) + [-1] * KEPT)[:KEPT]
        epochs = [set(row.tolist()) for row in self.engine.gather(mine)]
        common = max(set.intersection(*epochs), default=-1)
        if self.engine.is_chief:  # all have read: what is not agreed on is in the way
            for path in self._paths():
                if _epoch(path) not in intact or _epoch(path) > common:
                    files.remove(path)
        return (common, *intact[common]) if common >= 0 else None

    def _paths(self):
        return sorted(p for p in self.folder.iterdir() if _NAME.fullmatch(p.name))

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


def _epoch(path):
    return int(path.stem.removeprefix("epoch-"))


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
        return (arrays, text["description"]) if text["epoch"] == _epoch(path) else None
    except Exception:  # what others may have written has no end of ways to be wrong
        return None
