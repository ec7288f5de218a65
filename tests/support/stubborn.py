"""Workers that ask not to be ended, and whether they were."""

import os
from pathlib import Path

# Each worker starts a child, and both leave their process ids. They ask not to be ended.
STUBBORN = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = pathlib.Path(sys.argv[1])
if len(sys.argv) == 2:
    subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "child"])
part = folder / f"{os.getpid()}.part"
part.touch()
part.rename(part.with_suffix(".pid"))
print("ready", flush=True)
time.sleep(600)
"""


def is_alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
