"""The handshake of workers, which compare what they are about to run.

An engine waits in silence for a worker that never comes, and workers that run different
code train different networks without a word. So each worker first sends the chief, over
TCP, its rank and a fingerprint of what it runs. The chief waits for all of them, up to a
time limit, and sends all the same verdict. Then the engine gets the port.

Who knows the group's secret takes part. What the engine does afterwards is as safe as its
network.
"""

import contextlib
import hashlib
import importlib.metadata
import ipaddress
import os
import platform
import socket
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nestrade_lib.checks import is_list_of, is_whole, require, require_seconds
from nestrade_lib.cluster import messages
from nestrade_lib.cluster.digest import digest
from nestrade_lib.cluster.environment import SECRET
from nestrade_lib.cluster.members import Cluster

LIMIT = 120.0  # seconds
_LOCAL = "127.", "localhost:", "[::1]:"


class Absent(TimeoutError):
    """A worker that did not come in time."""


class Disagreement(RuntimeError):
    """Workers that differ in what has to be the same on all of them."""


def rendezvous(
    cluster: Cluster, fingerprint: Mapping[str, str] | None = None, limit: float = LIMIT
) -> None:
    """Wait for all workers, and make sure that they are about to run the same.

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

    Warns
    -----
    UserWarning
        If there is no secret and the chief can be reached from other machines.

    Notes
    -----
    The environment variable ``NESTRADE_SECRET``, the same random text on all workers,
    keeps strangers out. :func:`~nestrade_lib.cluster.launch.launch` and the files of
    ``nestrade_lib.cluster.jobs`` set it.

    Examples
    --------
    >>> from nestrade_lib.cluster import Cluster
    >>> rendezvous(Cluster())  # alone: nobody to wait for
    """
    require(isinstance(cluster, Cluster), "cluster", "a Cluster", cluster)
    require(
        fingerprint is None or _is_fingerprint(fingerprint),
        "fingerprint",
        "a dict of str to str",
        fingerprint,
    )
    require_seconds("limit", limit)
    if cluster.workers == 1:
        return
    if not os.environ.get(SECRET) and not cluster.chief.startswith(_LOCAL):
        warnings.warn(
            f"Whoever reaches {cluster.chief} can pass for a worker: {SECRET} is not set. "
            "Set it to the same random text on all workers.",
            stacklevel=2,
        )
    own = process_fingerprint() if fingerprint is None else dict(fingerprint)
    handshake = _verdict_as_chief if cluster.rank == 0 else _verdict_as_worker
    kind, message = handshake(cluster, own, limit)
    if kind:
        raise {"absent": Absent, "disagreement": Disagreement}[kind](message)


def process_fingerprint():
    """What this process runs (dict of str): its script, versions and seed.

    >>> sorted(process_fingerprint())
    ['Keras', 'Python', 'backend', 'nestrade_lib', 'script', 'seed']
    """
    import keras

    import nestrade_lib

    script = Path(sys.argv[0] if sys.argv else "")
    code = script.read_bytes() if script.is_file() else b""
    backend = keras.backend.backend()
    try:
        version = importlib.metadata.version(backend)
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    return {
        "script": hashlib.sha256(code).hexdigest()[:12],
        "nestrade_lib": nestrade_lib.__version__,
        "Keras": keras.__version__,
        "backend": f"{backend} {version}",
        "Python": ".".join(platform.python_version_tuple()[:2]),
        # keras.utils.set_random_seed sets NumPy's generator with all others.
        "seed": digest(np.random.get_state(legacy=False)["state"]["key"]).hex()[:12],
    }


def _verdict_as_chief(cluster, own, limit):
    """Collect every worker's fingerprint, and send all the same verdict."""
    end = time.monotonic() + limit
    fingerprints, connections, strangers = {0: own}, [], 0
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(_listener(cluster, end))
        while len(fingerprints) < cluster.workers and time.monotonic() < end:
            listener.settimeout(max(end - time.monotonic(), 0.01))
            try:
                connection = sockets.enter_context(listener.accept()[0])
            except OSError:
                continue
            try:
                challenge = messages.challenge(connection)
                line_end = time.monotonic() + messages.LINE_LIMIT
                message = messages.receive(connection, challenge, line_end)
                rank, fingerprint = _checked_introduction(message, cluster.workers)
                if rank in fingerprints:
                    message = f"There are two workers of rank {rank}."
                    messages.send(connection, challenge, ["disagreement", message])
                else:
                    fingerprints[rank] = fingerprint
                    connections.append((connection, challenge))
            except messages.ERRORS as error:
                strangers += isinstance(error, messages.Stranger)
                connection.close()
        verdict = _compare(cluster, fingerprints, limit, strangers)
        for connection, challenge in connections:
            try:
                messages.send(connection, challenge, verdict)
            except OSError:
                if not verdict[0]:
                    verdict = "disagreement", "A worker ended during the handshake."
    return verdict


def _verdict_as_worker(cluster, own, limit):
    """Send the fingerprint to the chief, as soon as it listens, and receive the verdict."""
    end = time.monotonic() + limit
    while True:
        try:
            with socket.create_connection(_split(cluster.chief), timeout=2) as chief:
                latest = end + messages.LINE_LIMIT
                challenge = messages.receive_line(chief, latest)
                messages.send(chief, challenge, [cluster.rank, own])
                kind, message = messages.receive(chief, challenge, latest)
                if kind in (None, "absent", "disagreement"):
                    return kind, messages.printable(message)
        except messages.ERRORS:
            pass
        if time.monotonic() > end:
            return "absent", (
                f"Waited {limit:g} s as worker {cluster.rank} for the chief at "
                f"{cluster.chief}. Does it run, can it be reached from here, and has it "
                f"the same {SECRET}?"
            )
        time.sleep(0.1)


def _checked_introduction(message, workers):
    """A worker's rank and fingerprint, if the message is made of these."""
    rank, fingerprint = message
    if not (is_whole(rank, 0) and rank < workers and _is_fingerprint(fingerprint)):
        raise ValueError("no introduction")
    return rank, fingerprint


def _is_fingerprint(value):
    return isinstance(value, Mapping) and is_list_of(str, [*value, *value.values()])


def _compare(cluster, fingerprints, limit, strangers):
    """The verdict: a kind of error, or None, and its message."""
    absent = [rank for rank in range(cluster.workers) if rank not in fingerprints]
    if absent:
        named = ", ".join(f"{rank} ({cluster.addresses[rank]})" for rank in absent)
        return "absent", (
            f"Waited {limit:g} s, and {len(fingerprints)} of {cluster.workers} workers "
            f"came. Absent: worker {named}. Was it started (on Slurm, with srun)? Look "
            "into its log, or raise the limit."
            + f" {strangers} messages came without this group's {SECRET}."
            * bool(strangers)
        )
    for part in fingerprints[0]:
        values = {rank: fingerprints[rank].get(part) for rank in sorted(fingerprints)}
        if len(set(values.values())) > 1:
            each = ", ".join(
                f"worker {rank}: {messages.printable(str(x))}"
                for rank, x in values.items()
            )
            advice = (
                "Call keras.utils.set_random_seed with the same number on each of them, "
                "before anything else"
                if part == "seed"
                else "Start all of them alike"
            )
            return "disagreement", f"Workers differ in {part}: {each}. {advice}."
    return None, ""


def _listener(cluster, end):
    """A socket at the chief's address; the name of a new machine may be known late."""
    while True:
        try:
            host, port = _split(bind_address(cluster))
            break
        except socket.gaierror:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
    family = _look_up(host, port)[0]
    try:
        return socket.create_server(
            (host, port), family=family, backlog=cluster.workers
        )
    except OSError as error:
        raise OSError(
            f"The chief cannot listen on {cluster.chief}: {os.strerror(error.errno or 0)}. The "
            "port is in use by another process, or the host is not this machine. Give the "
            "workers another address."
        ) from error


def bind_address(cluster):
    """Where the chief listens: at its address, or on all interfaces.

    Some systems lead a machine's own name to 127.0.1.1, which no other machine reaches.
    """
    host, port = _split(cluster.chief)
    at = ipaddress.ip_address(_look_up(host, port)[4][0])
    if at.is_loopback and not cluster.chief.startswith(_LOCAL):
        return f"0.0.0.0:{port}"
    return cluster.chief


def _look_up(host, port):
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]


def _split(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
