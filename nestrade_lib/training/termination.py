"""SIGTERM, the request to end: a run with a backup follows it between two steps.

Schedulers send it to each process of a job, and kill what is left some 30 s later. Several
workers have to end after the same step, so they tell each other, about twice per second.
"""

import os
import signal
import threading
import time
import warnings

EXIT_CODE = 128 + signal.SIGTERM  # 143, as schedulers know it
PAUSE = 0.5  # seconds between two exchanges of workers, while they train


class Termination:
    """The request to end, if one comes while the block runs; the block's end obeys it.

    Only the main thread receives signals, and one that the script handles, or ignores, is
    left to it. Where nobody waits for a request, SIGTERM does what it always does.

    >>> from nestrade_lib.engines.engine import Engine
    >>> with Termination(Engine()) as termination:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     assert termination.is_agreed()
    Traceback (most recent call last):
    SystemExit: 143
    """

    def __init__(self, engine, is_awaited=True):
        self.engine, self.is_awaited = engine, is_awaited
        self.is_asked = False  # this worker
        self._process = os.getpid()
        self._last, self._steps = time.monotonic(), 0  # exchange, and steps since
        self._ahead = 1  # steps from it to the next

    def __enter__(self):
        is_main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM)
        self._is_handled = self.is_awaited and is_main and before is signal.SIG_DFL
        if self._is_handled:
            signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, kind, *_):
        if self._is_handled:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.is_asked and kind is None:
            raise SystemExit(EXIT_CODE)

    def _note(self, number, _):
        if os.getpid() == self._process:
            self.is_asked = True
        else:  # a child that was forked, which has nothing to save
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def is_agreed(self):
        """Whether any worker was asked; all workers call it at the same place."""
        if not self.is_awaited:
            return False
        if self.engine.workers == 1:
            return self.is_asked
        now = time.monotonic()
        per_step = (now - self._last) / max(1, self._steps)
        told = self.engine.gather([self.is_asked, int(1000 * min(per_step, 1e6))])
        self._last, self._steps = now, 0
        self._ahead = max(1, int(1000 * PAUSE) // max(1, told[:, 1].max()))
        return bool(told[:, 0].any())

    def is_agreed_after_step(self):
        """The same after a training step; of several workers only from time to time."""
        if not self.is_awaited or self.engine.workers == 1:
            return self.is_asked
        self._steps += 1
        return self._steps >= self._ahead and self.is_agreed()


def end_if_asked(run, epoch):
    """End the process if that was asked for, with what this epoch has trained on the disk."""
    if not run.termination.is_agreed():
        return
    within = run.state.within
    if within is not None and within.position:
        run.backup.write(epoch, run)
        warnings.warn(
            f"The run was asked to end (SIGTERM) and does, after {within.position} of "
            f"{run.data.steps} steps of epoch {epoch + 1}. The same script goes on from "
            f"there, with what is in {run.backup.folder}.",
            stacklevel=2,
        )
    run.engine.gather([0])  # nobody leaves before the chief has written
    raise SystemExit(EXIT_CODE)
