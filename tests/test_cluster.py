"""Members are read right, refused clearly where malformed, and meet at the start."""

import contextlib
import json
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestrade_lib.cluster import (
    Absent,
    Cluster,
    Disagreement,
    handshake,
    messages,
    rendezvous,
)
from nestrade_lib.cluster.environment import members_of
from tests.support.ports import free_port
from tests.support.strangers import STRANGE, knock

HOST = st.from_regex(r"[a-z][a-z]{0,5}", fullmatch=True)


@given(
    prefix=HOST,
    first=st.integers(0, 98),
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    suffix=st.sampled_from(["", "-ib"]),
    job=st.integers(1, 10**6),
    turn=st.integers(0, 3),
    data=st.data(),
)
def test_slurm_names_every_task(prefix, first, counts, suffix, job, turn, data):
    nodes = [f"{prefix}{n:03}{suffix}" for n in range(first, first + len(counts))]
    listed = f"{prefix}[{first:03}-{first + len(counts) - 1:03}]{suffix}"
    expected, left = [], dict(zip(nodes, counts))
    while any(left.values()):  # a turn of each node, of all its tasks or of some
        for node in nodes:
            now = min(turn or left[node], left[node])
            expected += [node] * now
            left[node] -= now
    distributions = {0: "block:cyclic", 1: "cyclic:block"}
    rank = data.draw(st.integers(0, len(expected) - 1))
    cluster = Cluster.from_environment(
        {
            "SLURM_PROCID": str(rank),
            "SLURM_NTASKS": str(len(expected)),
            "SLURM_JOB_ID": str(job),
            "SLURM_STEP_NODELIST": data.draw(
                st.sampled_from([listed, ",".join(nodes)])
            ),
            "SLURM_STEP_TASKS_PER_NODE": ",".join(map(str, counts)),
            "SLURM_DISTRIBUTION": distributions.get(
                turn, data.draw(st.sampled_from(["plane", f"plane={turn}"]))
            ),
            "SLURM_DIST_PLANESIZE": str(turn),
        }
    )
    if len(expected) == 1:
        assert cluster == Cluster()
        return
    assert [address.split(":")[0] for address in cluster.addresses] == expected
    assert len(set(cluster.addresses)) == len(expected) and cluster.rank == rank


@given(st.lists(st.tuples(HOST, st.integers(1, 65535)), min_size=1, unique=True))
def test_tf_config_is_read_as_it_is_written(workers):
    addresses = tuple(f"{host}:{port}" for host, port in workers)
    for rank in range(len(addresses)):
        cluster = Cluster(addresses, rank)
        assert Cluster.from_environment({"TF_CONFIG": cluster.tf_config}) == cluster


def config(**changes):
    settings = {
        "cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]},
        "task": {"type": "worker", "index": 1},
    }
    return {"TF_CONFIG": json.dumps(settings | changes)}


def test_addresses_may_be_numbers_of_either_kind_and_an_index_a_text():
    addresses = ["10.0.0.1:1", "[fe80::1%eth0]:2"]
    environment = config(
        cluster={"worker": addresses}, task={"type": "worker", "index": "1"}
    )
    assert Cluster.from_environment(environment) == Cluster(tuple(addresses), 1)


def test_a_chief_comes_before_the_workers():
    assert Cluster.from_environment(config()) == Cluster(("a:1", "b:1", "c:1"), 2)


@pytest.mark.parametrize(
    "environment, message",
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG: expected JSON such as .* got '{'"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG: expected JSON"),
        (config(task={"type": "worker"}), "TF_CONFIG: expected JSON"),
        (config(task={"type": "worker", "index": 2}), "2 tasks 'worker', so no index 2"),
        (config(task={"type": "evaluator", "index": 0}), "'chief' and 'worker'"),
        (config(task={"type": ["worker"], "index": 0}), "a text for the task's type"),
        (config(task={"type": "worker", "index": 1.7}), "a whole number for its index"),
        (config(task={"type": "worker", "index": True}), "a whole number for its index"),
        (config(task={"type": "worker", "index": float("inf")}), "a whole number"),
        (config(task={"type": "worker", "index": "²"}), "a whole number for its index"),
        (config(task={"type": "worker", "index": -1}), "a whole number for its index"),
        (config(cluster={"worker": "a:1"}), "a list of addresses a task type"),
        (config(cluster={"worker": [["a:1"], "b:1"]}), "a list of addresses a task type"),
        (config(cluster={"worker": {"0": "a:1", "1": "b:1"}}), "a list of addresses"),
        (config(cluster={"worker": [1, 2]}), "a list of addresses a task type"),
        (config(cluster={"chief": ["a:1", "b:1"], "worker": ["c:1", "d:1"]}), "one chief"),
        (config(cluster={"worker": ["a:²", "b:1"]}), "host:port, .* got 'a:²'"),
        (config(cluster={"worker": ["a:0", "b:1"]}), "from 1 to 65535, got 'a:0'"),
        (config(cluster={"worker": ["http://a:1", "b:1"]}), "got 'http://a:1'"),
        (config(cluster={"worker": [" a:1", "b:1"]}), "got ' a:1'"),
        ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"},
         "JAX_COORDINATOR_ADDRESS: expected the chief's host:port, .* got ''"),
        ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0", "JAX_COORDINATOR_ADDRESS": "h"},
         "JAX_COORDINATOR_ADDRESS: .* JAX_COORDINATOR_PORT, got 'h'"),
        ({"JAX_NUM_PROCESSES": "²"}, "JAX_NUM_PROCESSES: expected a whole number, got '²'"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "a[1-x]"},
         r"SLURM_JOB_NODELIST: expected nodes .* got 'a\[1-x\]'"),
        (config(cluster={"ps": ["a:1"], "worker": ["b:1"]}), "parameter servers"),
        (config(cluster={"worker": ["a", "b:1"]}), "addresses host:port, .* got 'a'"),
        (config(cluster={"worker": ["a:1", "a:1"]}), "got a:1 more than once"),
        ({"NESTRADE_ADDRESSES": "a:1,b:1"}, "NESTRADE_RANK: expected a whole number, got ''"),
        ({"NESTRADE_ADDRESSES": "a:1,b:1", "NESTRADE_RANK": "2"}, "below .* 2, got 2"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "1"}, "with srun"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(environment, message):
    with pytest.raises(ValueError, match=message):
        Cluster.from_environment(environment)


# Rendezvous ------------------------------------------------------------------------------


def gathering(fingerprints, absent=(), limit=30.0):
    """What `rendezvous` raises on each of several workers, which run as threads."""
    port = free_port()
    addresses = tuple(f"127.0.0.1:{port + n}" for n in range(len(fingerprints)))
    raised = {}

    def come(rank):
        try:
            rendezvous(Cluster(addresses, rank), fingerprints[rank], limit)
        except Exception as error:
            raised[rank] = error

    present = [n for n in range(len(fingerprints)) if n not in absent]
    threads = [threading.Thread(target=come, args=(n,)) for n in reversed(present)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def test_those_who_are_alike_meet():
    assert gathering([{"Keras": "3.15"}] * 3) == {}


def test_who_does_not_come_is_named_to_all():
    raised = gathering([{"Keras": "3.15"}] * 3, absent=[1], limit=1.0)
    assert set(raised) == {0, 2}
    for error in raised.values():
        assert isinstance(error, Absent)
        assert "2 of 3 workers came. Absent: worker 1 (127.0.0.1:" in str(error)


def test_who_waits_for_no_chief_says_so():
    [error] = gathering([{}] * 2, absent=[0], limit=0.5).values()
    assert isinstance(error, Absent) and "for the chief at 127.0.0.1" in str(error)


@pytest.mark.parametrize("what", ["Keras", "script", "seed"])
def test_who_is_to_do_something_else_is_named_to_all(what):
    others = [{"Keras": "1", "script": "a", "seed": "x"} for _ in range(3)]
    others[2][what] = "other"
    raised = gathering(others)
    assert set(raised) == {0, 1, 2}
    for error in raised.values():
        assert isinstance(error, Disagreement)
        assert f"differ in {what}" in str(error) and "worker 2: other" in str(error)


def test_a_port_in_use():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(OSError, match=f"cannot listen on {address}.*in use"):
            rendezvous(Cluster((address, "127.0.0.1:1"), 0), {}, 1.0)


def test_no_stranger_and_no_odd_message_harms_the_chief(monkeypatch):
    monkeypatch.setenv("NESTRADE_SECRET", "known to the group")
    port = free_port()
    cluster = [Cluster((f"127.0.0.1:{port}", "127.0.0.1:1"), rank) for rank in (0, 1)]

    def all_come():
        for content in STRANGE.values():
            knock(port, content)
        rendezvous(cluster[1], {"Keras": "3.15"}, 30.0)

    others = threading.Thread(target=all_come, daemon=True)
    others.start()
    rendezvous(cluster[0], {"Keras": "3.15"}, 60.0)
    others.join(30)
    assert not others.is_alive()


def test_one_that_sends_slowly_has_one_deadline_for_its_line(monkeypatch):
    monkeypatch.setattr(messages, "LINE_LIMIT", 0.5)
    port = free_port()
    cluster = [Cluster((f"127.0.0.1:{port}", "127.0.0.1:1"), rank) for rank in (0, 1)]
    over = threading.Event()

    def drip():
        with socket.create_connection(("127.0.0.1", port), timeout=5) as chief:
            with contextlib.suppress(OSError):
                while not over.wait(0.1):  # it never ends by itself
                    chief.sendall(b"0")

    def both_come():
        time.sleep(0.3)
        slow.start()
        time.sleep(0.2)
        rendezvous(cluster[1], {}, 20.0)

    slow, others = threading.Thread(target=drip), threading.Thread(target=both_come)
    others.start()
    rendezvous(cluster[0], {}, 20.0)
    over.set()
    slow.join(20)
    others.join(20)


def test_a_message_shows_no_codes_of_a_terminal():
    raised = gathering([{"script": "a"}, {"script": "b\x1b[2J\n"}])
    for error in raised.values():
        assert isinstance(error, Disagreement) and str(error).isprintable()


def test_another_secret_is_no_member(monkeypatch):
    port = free_port()
    seal, mine = messages._seal, threading.get_ident()
    monkeypatch.setattr(
        messages,
        "_seal",
        lambda challenge, body: seal(
            challenge + bytes(threading.get_ident() == mine), body
        ),
    )
    addresses = f"127.0.0.1:{port}", "127.0.0.1:1"
    raised = []

    def come():
        try:
            rendezvous(Cluster(addresses, 1), {}, 0.5)
        except Absent as error:
            raised.append(str(error))

    other = threading.Thread(target=come)
    other.start()
    with pytest.raises(Absent, match="messages came without this group's NESTRADE_SEC"):
        rendezvous(Cluster(addresses, 0), {}, 1.0)
    other.join(20)
    assert "the same NESTRADE_SECRET" in raised[0]


def test_a_port_that_others_reach_without_a_secret_is_warned_of(monkeypatch):
    monkeypatch.delenv("NESTRADE_SECRET", raising=False)
    cluster = Cluster(("192.0.2.1:9", "192.0.2.2:9"), 0)  # of nobody's network
    with pytest.warns(UserWarning, match="reaches 192.0.2.1:9 can pass for a worker"):
        with pytest.raises(OSError, match="cannot listen"):
            rendezvous(cluster, {}, 0.1)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"environment": "cloud", "task": {"index": 0}}']
)
def test_a_tf_config_without_a_cluster_says_nothing(text):
    assert members_of({"TF_CONFIG": text}) is None
    slurm = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
    assert members_of({"TF_CONFIG": text, **slurm}) == (("127.0.0.1:0",), 0)


def test_a_script_that_sbatch_runs_itself_is_alone():
    job = {"SLURM_PROCID": "0", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n1"}
    assert members_of(job) == (("127.0.0.1:0",), 0)


def test_a_chief_whose_own_name_is_local_listens_for_other_machines(monkeypatch):
    port, look_up = free_port(), socket.getaddrinfo

    def as_in_debian(host, *args, **kwargs):  # /etc/hosts: 127.0.1.1 node1
        return look_up("127.0.1.1" if host == "node1" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", as_in_debian)
    for name in "node1", "127.0.0.1":
        cluster = Cluster((f"{name}:{port}", "node2:1"), 0)
        with handshake._listener(cluster, 0) as listener:
            is_open = listener.getsockname()[0] == "0.0.0.0"
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert is_open == (name == "node1")
        expected = f"0.0.0.0:{port}" if is_open else f"{name}:{port}"
        assert handshake.bind_address(cluster) == expected  # also of JAX's coordinator
