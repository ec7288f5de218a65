"""Start the workers of a cluster on this machine, watch them, and start them again.

    python -m nestrade_lib.cluster.launch --workers 2 train.py --epochs 10

Each worker is told by the environment who takes part. Lines that it writes are shown
with its rank in front. When one of them dies, the others cannot go on without it:
the whole group is stopped and started again, and goes on from its last checkpoint
(``fit(..., backup_dir=)``). On a cluster, :mod:`nestrade_lib.cluster.jobs` writes the
files with which Slurm and Kubernetes do the same.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from nestrade_lib.checks import require_whole
from nestrade_lib.cluster.members import ADDRESSES, RANK

GRACE = 5.0  # seconds from the request to end to the order


def launch(command, workers, *, restarts=3, limit=None, port=0, out=None):
    """Run a command in several processes that know of each other, until all are done.

    Parameters
    ----------
    command : list of str
        Program and arguments, the same for all.
    workers : int
    restarts : int
        How often the group is started again after one of it has failed.
    limit : float, optional
        Seconds for all attempts together.
    port : int
        Of the first worker; the others' follow. 0 takes free ones.
    out : text file, optional
        Where lines go; standard output by default.

    Returns
    -------
    int
        0, or the exit code of the worker that failed first in the last attempt: 124
        at the time limit, and 128 + n for one that was ended by signal n.

    Raises
    ------
    ValueError
        If a number is out of range.
    OSError
        If a port that was asked for is in use.

    Examples
    --------
    >>> program = "import os; print('rank', os.environ['NESTRADE_RANK'])"
    >>> launch([sys.executable, "-c", program], workers=1)
    [0] rank 0
    0
    """
    for name, value, least in (
        ("workers", workers, 1),
        ("restarts", restarts, 0),
        ("port", port, 0),
    ):
        require_whole(name, value, least)
    if port + workers - 1 > 65535:
        raise ValueError(
            f"port: expected at most {65536 - workers}, so that {workers} workers have "
            f"ports up to 65535, got {port}. Give 0 for free ones."
        )
    end = None if limit is None else time.monotonic() + limit
    write = _Lines(sys.stdout if out is None else out)
    for attempt in range(restarts + 1):
        addresses = ",".join(f"127.0.0.1:{p}" for p in _ports(workers, port))
        group = [_start(command, addresses, rank, write) for rank in range(workers)]
        try:
            rank, code, kind = _watch([process for process, _ in group], end)
            # After a failure nothing is left to be saved: checkpoints are whole.
            grace = 0.0 if code else GRACE
        except BaseException:
            grace = GRACE
            raise
        finally:
            for process, reader in group:
                _stop(process, grace)
                reader.join(GRACE)
        if kind == "done":
            return 0
        if kind == "late":
            write(f"The time limit of {limit:g} s is over.")
            return code
        what = (
            f"was ended by signal {code - 128}"
            if kind == "killed"
            else f"failed, code {code}"
        )
        left = restarts - attempt
        then = "Starting all again" if left else "No restarts are left"
        write(f"Worker {rank} {what}. {then}.")
    return code


def _start(command, addresses, rank, write):
    environment = {**os.environ, ADDRESSES: addresses, RANK: str(rank)}
    environment |= {"PYTHONUNBUFFERED": "1"}
    environment.pop("TF_CONFIG", None)
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # what the worker starts, ends with it
    )
    reader = threading.Thread(
        target=lambda: [write(line, rank) for line in process.stdout], daemon=True
    )
    reader.start()
    return process, reader


def _watch(processes, end):
    """Wait until all are done, or one has not: its rank, exit code, and what it did.

    A program may end with any code by itself, those of signals and limits included.
    """
    while True:
        codes = [process.poll() for process in processes]
        for rank, code in enumerate(codes):
            if code:  # of several, a killed one is the cause, not those that miss it
                killed = [n for n, c in enumerate(codes) if c is not None and c < 0]
                rank = killed[0] if killed else rank
                code = codes[rank]
                return (
                    (rank, 128 - code, "killed") if killed else (rank, code, "failed")
                )
        if all(code == 0 for code in codes):
            return 0, 0, "done"
        if end is not None and time.monotonic() > end:
            return 0, 124, "late"
        time.sleep(0.05)


def _stop(process, grace):
    """End a worker and all that it has started: ask first, then do."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # it is gone already
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def _ports(workers, first):
    """A port for each worker: free ones, or those that follow the first."""
    doors = []
    try:
        for rank in range(workers):
            door = socket.socket()
            doors.append(door)
            if first:  # an attempt before this one may have left lines half closed
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                door.bind(("127.0.0.1", first + rank if first else 0))
            except OSError as error:
                raise OSError(
                    f"Port {first + rank} is in use. Take another --port, or none: free "
                    "ones are found then."
                ) from error
        return [door.getsockname()[1] for door in doors]
    finally:
        for door in doors:
            door.close()


class _Lines:
    """Whole lines of several workers into one file, each with its rank."""

    def __init__(self, file):
        self.file = file
        self.lock = threading.Lock()

    def __call__(self, text, rank=None):
        mark = "launch" if rank is None else rank
        with self.lock:
            print(f"[{mark}] {text.rstrip()}", file=self.file, flush=True)


def main(arguments=None):
    """Read the command line, and run it."""
    parser = argparse.ArgumentParser(
        prog="python -m nestrade_lib.cluster.launch",
        description="Start the workers of a cluster on this machine.",
    )
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--limit", type=float, help="seconds for all attempts together")
    parser.add_argument("--port", type=int, default=0, help="of the first worker")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if not os.path.isfile(options.script):
        parser.error(f"{options.script}: no such file")
    try:
        return launch(
            [sys.executable, options.script, *options.arguments],
            options.workers,
            restarts=options.restarts,
            limit=options.limit,
            port=options.port,
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    # A request to end reaches the workers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
