"""Workers that are launched here are watched, ended in time, and started again."""

import socket
import sys
import time

import pytest

from nestrade_lib.cluster.launch import launch
from tests.support.ports import free_port

PROGRAM = """
import os, pathlib, signal, sys, time
rank, folder = int(os.environ["NESTRADE_RANK"]), pathlib.Path(sys.argv[1])
attempt = len(list(folder.glob(f"{rank}-*")))
(folder / f"{rank}-{attempt}").write_text(os.environ["NESTRADE_ADDRESSES"])
print("attempt", attempt)
if attempt < int(sys.argv[2]):
    if rank == 1:
        while len(list(folder.glob(f"*-{attempt}"))) < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(3600)  # as one that waits for a worker which is gone
"""


@pytest.mark.parametrize("deaths, restarts, code", [(0, 0, 0), (2, 2, 0), (2, 1, 137)])
def test_the_group_is_started_again_as_often_as_allowed(
    tmp_path, capsys, deaths, restarts, code
):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(deaths)]
    # Nobody waits for the dead, or the limit's code would come.
    assert launch(command, 3, restarts=restarts, limit=300) == code
    attempts = min(deaths, restarts) + 1
    assert len(list(tmp_path.iterdir())) == 3 * attempts
    addresses = (tmp_path / "0-0").read_text().split(",")
    assert len(set(addresses)) == 3
    lines = capsys.readouterr().out.splitlines()
    assert f"[2] attempt {attempts - 1}" in lines
    assert sum("Worker 1 was ended by signal 9" in line for line in lines) == (
        attempts if code else attempts - 1
    )


def test_the_time_limit_ends_all_that_was_started(tmp_path):
    child = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    )
    late = f"import time; time.sleep(4); open({str(tmp_path / 'late')!r}, 'w')"
    assert launch([sys.executable, "-c", child, late], 2, limit=1.0) == 124
    time.sleep(4)
    assert not (tmp_path / "late").exists()


REUSED = """
import os, pathlib, signal, socket, sys, time
first = os.environ["NESTRADE_ADDRESSES"].split(",")[0].split(":")
address, mark = (first[0], int(first[1])), pathlib.Path(sys.argv[1])
if os.environ["NESTRADE_RANK"] == "0":
    with socket.create_server(address) as listener:  # reuses it, as the engines do
        connection, _ = listener.accept()
    connection.close()  # first, so that this end is the one that lingers
    if not mark.exists():
        time.sleep(1)
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
else:
    for _ in range(300):
        try:
            socket.create_connection(address).recv(1)
            break
        except OSError:
            time.sleep(0.1)
"""


def test_a_group_is_started_again_on_the_ports_that_it_had(tmp_path, capsys):
    command = [sys.executable, "-c", REUSED, str(tmp_path / "mark")]
    assert launch(command, 2, restarts=1, limit=100, port=free_port()) == 0
    assert "Worker 0 was ended by signal 9. Starting all" in capsys.readouterr().out


@pytest.mark.parametrize("code", [124, 137, 255])
def test_a_program_may_end_with_any_code_by_itself(code, capsys):
    command = [sys.executable, "-c", f"raise SystemExit({code})"]
    assert launch(command, 1, restarts=1) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"[launch] Worker 0 failed, code {code}. Starting all again.",
        f"[launch] Worker 0 failed, code {code}. No restarts are left.",
    ]


def test_what_cannot_be_launched_is_refused():
    with pytest.raises(ValueError, match="workers: expected .* at least 1, got 0"):
        launch(["true"], 0)
    for port, message in (
        (-1, "at least 0, got -1"),
        (True, "at least 0, got True"),
        (65535, "at most 65534, so that 2 workers .* got 65535"),
    ):
        with pytest.raises(ValueError, match=f"port: expected .*{message}"):
            launch(["true"], 2, port=port)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=f"Port {port} is in use"):
            launch(["true"], 1, port=port)
