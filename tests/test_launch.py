"""Workers that are launched here are watched, ended in time, and started again."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nestrade_lib.cluster.launch import launch
from nestrade_lib.cluster.processes import ProcessGroup
from tests.support.ports import free_port
from tests.support.stubborn import STUBBORN, is_alive

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


# However it ends -------------------------------------------------------------------------


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def stubborn(tmp_path):
    """A launcher, in a process of its own, of workers that ignore requests to end."""
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    program = [sys.executable, "-m", "nestrade_lib.cluster.launch", "--workers", "2"]
    launcher = subprocess.Popen(
        [*program, str(script), str(tmp_path)],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 4)
    yield launcher, [int(path.stem) for path in tmp_path.glob("*.pid")]
    launcher.kill()
    launcher.wait()


@pytest.mark.parametrize(
    "signals", [["KILL"], ["HUP", "HUP"], ["TERM", "TERM"], ["INT", "INT"], ["ABRT"]]
)
def test_no_worker_outlives_its_launcher(stubborn, signals):
    launcher, workers = stubborn
    for name in signals:
        assert all(map(is_alive, workers))  # the first is a request, which they ignore
        launcher.send_signal(getattr(signal, f"SIG{name}"))
        time.sleep(0.3)
    launcher.wait(60)
    wait_until(lambda: not any(map(is_alive, workers)))


def test_a_group_that_cannot_be_completed_is_ended(tmp_path, monkeypatch):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    start_one, pids = ProcessGroup.start, []

    def start(group, *arguments):
        if len(group.processes) < 2:
            return start_one(group, *arguments)
        wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 4)
        pids.extend(int(path.stem) for path in tmp_path.glob("*.pid"))
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ProcessGroup, "start", start)
    monkeypatch.setattr("nestrade_lib.cluster.launch.GRACE", 0.2)
    with pytest.raises(OSError, match="Too many open files"):
        launch([sys.executable, str(tmp_path / "stubborn.py"), str(tmp_path)], 3)
    wait_until(lambda: not any(map(is_alive, pids)))


def test_all_are_asked_to_end_at_once(tmp_path):
    program = """
import os, pathlib, signal, sys, time
mark = pathlib.Path(sys.argv[1]) / os.environ["NESTRADE_RANK"]
def end(*_):
    mark.with_suffix(".asked").touch()
    while len(list(mark.parent.glob("*.asked"))) < 4:
        time.sleep(0.01)
    mark.with_suffix(".ended").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
mark.with_suffix(".ready").touch()
time.sleep(600)
"""
    group = ProcessGroup()
    for rank in range(4):
        environment = os.environ | {"NESTRADE_RANK": str(rank)}
        command = [sys.executable, "-c", program, str(tmp_path)]
        group.start(command, environment)
    wait_until(lambda: len(list(tmp_path.glob("*.ready"))) == 4)
    group.stop(60)
    assert len(list(tmp_path.glob("*.ended"))) == 4
    assert [process.returncode for process in group.processes] == [0] * 4


TALKATIVE = "print('x' * 100_000)\nfor n in range(2000): print(n, 'x' * 100)"


@pytest.mark.parametrize("end", ["full", "closed pipe"])
def test_a_launcher_whose_output_ends_goes_on_and_says_so_once(end, tmp_path):
    (tmp_path / "talk.py").write_text(TALKATIVE)
    command = "-m nestrade_lib.cluster.launch --workers 2 talk.py".split()
    if end == "full" and not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    with open("/dev/full", "wb") if end == "full" else contextlib.nullcontext() as full:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=full or subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.getcwd()},
            text=True,
        )
        if process.stdout:
            process.stdout.close()
        _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    (line,) = said.splitlines()
    assert line.startswith("[launch] Lines of workers are no longer shown: [Errno ")


def test_a_file_that_was_closed_loses_its_lines_alone(capsys):
    out = io.StringIO()
    out.close()
    assert launch([sys.executable, "-c", TALKATIVE], 2, out=out) == 0
    assert (
        capsys.readouterr().err.count("no longer shown: I/O operation on closed") == 1
    )
