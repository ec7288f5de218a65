"""Processes that end together, and with the process that started them.

A guard, which does nothing, leads their process group. It waits at a pipe that this
process alone holds open, and where that closes, in whatever way this process has ended,
it kills the group, itself included. No pause between a start and a note of it is open to
accidents: a process is in the group before its program begins.
"""

import contextlib
import functools
import os
import signal
import subprocess
import time

_GUARD = "trap '' HUP INT TERM; read -r line; kill -KILL 0"


class ProcessGroup:
    """Processes that are started one by one, and stopped all at once."""

    def __init__(self):
        self.processes = []
        self.guard = subprocess.Popen(
            ["sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=functools.partial(os.setpgid, 0, 0),
        )

    def start(self, command, environment):
        """Start a process, whose output is read from the pipe ``stdout``."""
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # As process_group= of Python 3.11 does it.
            preexec_fn=functools.partial(os.setpgid, 0, self.guard.pid),
        )
        self.processes.append(process)
        return process

    def stop(self, grace):
        """End all that runs in the group: ask, wait for all up to one time, then kill."""
        end = time.monotonic() + grace
        try:
            if grace:
                self._signal(signal.SIGTERM)
                for process in self.processes:
                    process.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            pass
        finally:  # also where someone would not wait for it
            self._signal(signal.SIGKILL)
            for process in self.processes:
                process.wait()
            self.guard.communicate()

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all are gone
            os.killpg(self.guard.pid, number)
