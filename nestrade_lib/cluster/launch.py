"""Start the workers of a cluster on this machine, watch them, and start them again.

    python -m nestrade_lib.cluster.launch --workers 2 train.py --epochs 10

Each worker finds the addresses of all in its environment. Lines that it writes are
shown with its rank in front. When one of them dies, the others cannot go on without
it: the whole group is stopped and started again, and goes on from its last checkpoint
(``fit(..., backup_dir=)``). Workers end with their launcher, whatever ends it; SIGTERM,
SIGHUP and Ctrl-C give them 20 s together to end by themselves, a second one none. With a
backup they need the time of a step and of writing: they end with code 143, and go on from
that step. On a cluster, :mod:`nestrade_lib.cluster.jobs` writes the files with which Slurm
and Kubernetes do the same.
"""

import argparse
import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO

from nestrade_lib.checks import is_list_of, require, require_seconds, require_whole
from nestrade_lib.cluster.environment import ADDRESSES, RANK, SECRET
from nestrade_lib.cluster.processes import ProcessGroup

GRACE = 20.0  # seconds from the request to end to the order; clusters give 30


def launch(
    command: Sequence[str],
    workers: int,
    *,
    restarts: int = 3,
    limit: float | None = None,
    port: int = 0,
    out: TextIO | None = None,
) -> int:
    """Run a command in several processes, each a worker of one cluster, until all end.

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
    is_command = is_list_of(str, command) and not isinstance(command, (set, frozenset))
    expected = "a list of program and arguments, such as ['python', 'train.py']"
    require(is_command and len(command), "command", expected, command)
    require_whole("workers", workers)
    require_whole("restarts", restarts, 0)
    require_whole("port", port, 0)
    highest = 65536 - workers
    expected = f"at most {highest}, so that {workers} workers have ports up to 65535"
    require(port <= highest, "port", expected, port, "Give 0 for free ones.")
    if limit is not None:
        require_seconds("limit", limit)
    require(out is None or hasattr(out, "write"), "out", "a text file", out)
    end = None if limit is None else time.monotonic() + limit
    write = _Lines(sys.stdout if out is None else out)
    environment = os.environ | {"PYTHONUNBUFFERED": "1", SECRET: secrets.token_hex(32)}
    environment.pop("TF_CONFIG", None)
    for attempt in range(restarts + 1):
        environment[ADDRESSES] = ",".join(
            f"127.0.0.1:{p}" for p in _ports(workers, port)
        )
        group, grace = ProcessGroup(), GRACE
        readers = []
        try:
            for rank in range(workers):
                process = group.start(command, environment | {RANK: str(rank)})
                readers.append(_show(process, rank, write))
            rank, code, outcome = _watch(group.processes, end)
            # After a failure nothing is left to be saved: checkpoints are whole.
            grace = 0.0 if code else GRACE
        finally:
            group.stop(grace)
            latest = time.monotonic() + 5
            for reader in readers:
                reader.join(max(latest - time.monotonic(), 0))
        if outcome == "done":
            return 0
        if outcome == "late":
            write(f"The time limit of {limit:g} s is over.")
            return code
        signaled = f"was ended by signal {code - 128}"
        what = signaled if outcome == "killed" else f"failed, code {code}"
        then = "Starting all again" if attempt < restarts else "No restarts are left"
        write(f"Worker {rank} {what}. {then}.")
    return code


def _show(process, rank, write):
    """A thread that shows the lines of a worker."""
    reader = threading.Thread(
        target=lambda: [write(line, rank) for line in process.stdout], daemon=True
    )
    reader.start()
    return reader


def _watch(processes, end):
    """Wait until all are done or one has failed: its rank, its exit code, and the outcome.

    The outcome is not read off the code: a program may end with any by itself.
    """
    while True:
        codes = [process.poll() for process in processes]
        failed = [(rank, code) for rank, code in enumerate(codes) if code]
        # A killed worker is the cause of failures, not those that miss it.
        for rank, code in failed:
            if code < 0:
                return rank, 128 - code, "killed"
        for rank, code in failed:
            return rank, code, "failed"
        if all(code == 0 for code in codes):
            return 0, 0, "done"
        if end is not None and time.monotonic() > end:
            return 0, 124, "late"
        time.sleep(0.05)


def _ports(workers, first):
    """A port for each worker: free ones, or those that follow the first."""
    with contextlib.ExitStack() as listeners:
        ports = []
        for rank in range(workers):
            port = first + rank if first else 0
            try:  # which succeeds where an attempt before has left a port half closed
                listener = socket.create_server(("127.0.0.1", port))
            except OSError as error:
                raise OSError(
                    f"Port {port} is in use. Take another --port, or none: free ones are "
                    "found then."
                ) from error
            ports.append(listeners.enter_context(listener).getsockname()[1])
        return ports


class _Lines:
    """Whole lines of several workers into one file, each with its rank.

    Where the file takes no more, such as on a full disk, workers are still read, for
    they would wait; that their lines are lost is said once.
    """

    def __init__(self, file):
        self.file = file
        self.lock = threading.Lock()

    def __call__(self, text, rank=None):
        mark = "launch" if rank is None else rank
        with self.lock:
            if self.file is None:
                return
            try:
                print(f"[{mark}] {text.rstrip()}", file=self.file, flush=True)
            except (OSError, ValueError) as error:  # ValueError: it was closed
                self.file = None
                with contextlib.suppress(OSError, ValueError):
                    print(
                        f"[launch] Lines of workers are no longer shown: {error}. "
                        "Training goes on.",
                        file=sys.stderr,
                        flush=True,
                    )


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
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if options.workers > 1 and backend == "tensorflow":
        print(
            "[launch] TensorFlow's workers listen on all network interfaces, and obey "
            "whoever connects: launch them where only those can whom you trust.",
            file=sys.stderr,
        )
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
    finally:
        try:
            print(end="", flush=True)
        except (OSError, ValueError):
            sys.stdout = None  # Python would try again at its end, and fail with 120


def _end(number, _):
    sys.exit(128 + number)


if __name__ == "__main__":
    for name in ("SIGTERM", "SIGHUP"):  # a request to end reaches the workers, too
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _end)
    sys.exit(main())
