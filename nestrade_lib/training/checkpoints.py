"""Files that survive: written whole or not at all, checked when read, two of them kept.

A checkpoint is arrays and a description in one file. It is written under another name,
flushed to the disk, and renamed, so that a process killed at any moment leaves either
the old files or the new one. Its first bytes are the SHA-256 of the rest: what was cut
short or changed on the way is not read but passed over, for the one before it.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import warnings
from pathlib import Path

import numpy as np

from nestrade_lib.engines.engine import Engine

KEPT = 2
_NAME = re.compile(r"epoch-(\d{6})\.checkpoint")


class Checkpoints:
    """The checkpoints of one run, in a folder that all its workers see.

    The chief alone writes: replicas hold the same. All workers read, and agree on the
    newest epoch that each of them finds intact.

    Parameters
    ----------
    folder : str or path
        Made where there is none.
    engine : nestrade_lib.engines.Engine

    Raises
    ------
    ValueError
        If the folder cannot be written, or workers do not see the same folder.

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
        self._require_shared()
        if self.engine.is_chief:
            for left in self.folder.glob("*.part"):
                left.unlink()

    def write(self, epoch: int, arrays: dict, description: dict) -> None:
        """Write the state after an epoch, and remove all but the last two.

        Parameters
        ----------
        epoch : int
        arrays : dict of str to ndarray
        description : dict
            As JSON takes it.
        """
        if not self.engine.is_chief:
            return
        held = io.BytesIO()
        text = np.frombuffer(json.dumps(description).encode(), np.uint8)
        np.savez(held, __description__=text, **arrays)
        body = held.getvalue()
        path = self.folder / f"epoch-{epoch:06}.checkpoint"
        fresh = path.with_suffix(".part")
        try:
            with open(fresh, "wb") as file:
                file.write(hashlib.sha256(body).digest() + body)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)
        except OSError as error:  # such as a full disk: the two before it still stand
            fresh.unlink(missing_ok=True)
            warnings.warn(
                f"No checkpoint of epoch {epoch}, {len(body) / 1e6:.1f} MB, could be written "
                f"to {self.folder}: {error.strerror}. Training goes on.",
                stacklevel=2,
            )
            return
        _flush_names(self.folder)
        for old in self._paths()[:-KEPT]:
            _remove(old)

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
                    _remove(path)
        return (common, *intact[common]) if common >= 0 else None

    def _paths(self):
        return sorted(p for p in self.folder.iterdir() if _NAME.fullmatch(p.name))

    def _require_shared(self):
        """The chief leaves a random number that all have to find."""
        token = self.engine.broadcast(np.frombuffer(os.urandom(8), "int32"))
        path, trouble = self.folder / "shared", ""
        if self.engine.is_chief:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                path.write_text(token.tobytes().hex(), encoding="ascii")
            except OSError as error:
                trouble = f"cannot be written: {error.strerror}"
        failed = self.engine.gather([bool(trouble)])  # and by now the file is there
        if not trouble and not failed.any():
            try:
                seen = path.read_text(encoding="ascii") == token.tobytes().hex()
            except OSError:
                seen = False
            trouble = "" if seen else "is not the one that the chief writes to"
        failed = failed | self.engine.gather([bool(trouble)])
        if failed.any():
            others = np.flatnonzero(failed[:, 0]).tolist()
            trouble = trouble or f"failed on worker {', '.join(map(str, others))}"
            raise ValueError(
                f"backup_dir: {self.folder} {trouble}. Give a folder that every worker can "
                "reach under this path and the chief can write to."
            )


def _epoch(path):
    return int(path.stem.removeprefix("epoch-"))


def _read(path):
    """Arrays and description of a file, or None if its bytes are not as written."""
    try:
        data = path.read_bytes()
    except OSError:  # a folder, a link to nothing, of another user
        return None
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    with np.load(io.BytesIO(data[32:])) as held:
        arrays = {name: held[name] for name in held.files}
    description = json.loads(arrays.pop("__description__").tobytes())
    return arrays, description


def _remove(path):
    """Take a checkpoint out of the way, be it what it may."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        with contextlib.suppress(OSError):
            path.rename(path.with_name(f"{path.name}.damaged"))


def _flush_names(folder):
    """Make the renaming itself survive a loss of power; not every system can."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        handle = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, handle)
        os.fsync(handle)
