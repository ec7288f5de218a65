"""Workers meet before they start, and compare what they are about to do.

An engine that waits for a worker that never comes waits in silence, and workers that
run different code train different networks without a word. So each first says to the
chief, over TCP, who it is and what it runs. The chief waits for all of them, up to a
time limit, and answers all with one verdict. Then it gives the port to the engine.
"""

import hashlib
import importlib.metadata
import json
import platform
import socket
import sys
import time
from pathlib import Path

import numpy as np

from nestrade_lib.cluster.digest import digest

LIMIT = 120.0  # seconds


class Absent(TimeoutError):
    """A worker that did not come in time."""


class Disagreement(RuntimeError):
    """Workers that differ in what has to be the same on all of them."""


def rendezvous(cluster, fingerprint=None, limit=LIMIT):
    """Wait for all workers, and make sure that they are about to do the same.

    Parameters
    ----------
    cluster : Cluster
    fingerprint : dict of str to str, optional
        What has to be the same; by default the script, versions and seed.
    limit : float
        Seconds to wait for the last worker.

    Raises
    ------
    Absent
        If a worker does not come in time. The message names it.
    Disagreement
        If fingerprints differ. The message says in what, and on which workers.
    OSError
        If the chief's port is in use, or its host is not this machine.

    Examples
    --------
    >>> from nestrade_lib.cluster import Cluster
    >>> rendezvous(Cluster())  # alone: nobody to wait for
    """
    if cluster.workers == 1:
        return
    mine = here() if fingerprint is None else fingerprint
    verdict = (_preside if cluster.rank == 0 else _attend)(cluster, mine, limit)
    if verdict:
        kind = Absent if verdict.startswith("Waited") else Disagreement
        raise kind(verdict)


def here():
    """What this process runs: its script, and the versions that results depend on.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> sorted(here())
    ['Keras', 'Python', 'backend', 'nestrade_lib', 'script', 'seed']
    """
    import keras

    import nestrade_lib

    script = Path(sys.argv[0] if sys.argv else "")
    code = script.read_bytes() if script.is_file() else b""
    return {
        "script": hashlib.sha256(code).hexdigest()[:12],
        "nestrade_lib": nestrade_lib.__version__,
        "Keras": keras.__version__,
        "backend": f"{keras.backend.backend()} {_version(keras.backend.backend())}",
        "Python": ".".join(platform.python_version_tuple()[:2]),
        # keras.utils.set_random_seed sets NumPy's generator with all others.
        "seed": digest(np.random.get_state()[1]).hex()[:12],
    }


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _preside(cluster, mine, limit):
    """The chief's part: hear every worker, tell all the same."""
    end = time.monotonic() + limit
    host, port = _split(cluster.chief)
    heard, lines = {0: mine}, {}
    with socket.socket(_family(host, port, end)) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
        except OSError as error:
            raise OSError(
                f"The chief cannot listen on {cluster.chief}: {error.strerror}. The port is "
                "in use by another process, or the host is not this machine. Give the "
                "workers another address."
            ) from error
        door.listen(cluster.workers)
        while len(heard) < cluster.workers and time.monotonic() < end:
            door.settimeout(max(end - time.monotonic(), 0.01))
            try:
                line, _ = door.accept()
                line.settimeout(5)
                rank, told = json.loads(_read(line))
            except (TimeoutError, ValueError, TypeError, OSError):
                continue  # not one of us, or it went away
            if rank in heard:
                _write(line, f"There are two workers of rank {rank}.")
                line.close()
                continue
            heard[rank], lines[rank] = told, line
        verdict = _verdict(cluster, heard, limit)
        for line in lines.values():
            try:
                _write(line, verdict)
            except OSError:
                verdict = verdict or "A worker went away while all were meeting."
            line.close()
    return verdict


def _attend(cluster, mine, limit):
    """A worker's part: find the chief, tell, and hear what it says."""
    end = time.monotonic() + limit
    while True:
        try:
            with socket.create_connection(_split(cluster.chief), timeout=2) as line:
                _write(line, json.dumps([cluster.rank, mine]))
                line.settimeout(max(end - time.monotonic(), 0.01) + 5)
                return _read(line)
        except OSError:
            if time.monotonic() > end:
                return (
                    f"Waited {limit:g} s as worker {cluster.rank} for the chief at "
                    f"{cluster.chief}. Does it run, and can it be reached from here?"
                )
            time.sleep(0.1)


def _verdict(cluster, heard, limit):
    absent = [rank for rank in range(cluster.workers) if rank not in heard]
    if absent:
        named = ", ".join(f"{rank} ({cluster.addresses[rank]})" for rank in absent)
        return (
            f"Waited {limit:g} s, and {len(heard)} of {cluster.workers} workers came. "
            f"Absent: worker {named}. Was it started (on Slurm, with srun)? Look into its "
            "log, or raise the limit."
        )
    for what in heard[0]:
        told = {rank: heard[rank].get(what) for rank in sorted(heard)}
        if len(set(told.values())) > 1:
            each = ", ".join(f"worker {rank}: {value}" for rank, value in told.items())
            hint = (
                "Call keras.utils.set_random_seed with the same number on each of them, "
                "before anything else"
                if what == "seed"
                else "Start all of them alike"
            )
            return f"Workers differ in {what}: {each}. {hint}."
    return ""


def _split(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _family(host, port, end):
    """The kind of socket for an address; a new machine's name may be known late."""
    while True:
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        except socket.gaierror:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def _write(line, text):
    data = text.encode()
    line.sendall(len(data).to_bytes(4, "big") + data)


def _read(line):
    size = int.from_bytes(_exactly(line, 4), "big")
    if size > 1 << 20:
        raise ValueError("not one of us")
    return _exactly(line, size).decode()


def _exactly(line, size):
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data
