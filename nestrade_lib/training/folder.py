"""A folder with one owner, whose files are private and whole, and no links.

The owner holds a lock, which ends with its process and with its machine. Where a file
system knows no locks, the token of who came last still says that a folder has changed hands.
"""

import contextlib
import os
import platform
import stat
import tempfile
import weakref

from nestrade_lib.cluster.messages import printable

try:
    import fcntl
except ImportError:  # Windows: the token alone
    fcntl = None

# No links, no waiting for what is at the other end of a pipe; not every system has them.
_FLAGS = sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "BINARY"))
_locked = weakref.WeakSet()
if hasattr(os, "register_at_fork"):  # or children would hold the lock longer
    os.register_at_fork(after_in_child=lambda: [file.close() for file in _locked])


class InUse(OSError):
    """A folder that another process owns."""


class Owner:
    """The right to write to a folder: until it is closed, or the process ends."""

    def __init__(self, folder, token):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.listdir(folder)
        self.path, self.token = folder / "owner", token.hex().encode()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        self._file = open(descriptor, "r+b", buffering=0)
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            name = self._file.read(200).partition(b"\n")[2].decode("ascii", "replace")
            self.close()
            raise InUse(f"in use by {printable(name) or 'another process'}") from None
        except OSError:  # no locks here
            pass
        _locked.add(self._file)
        self._file.truncate(0)
        name = f"process {os.getpid()} on {platform.node()}"
        self._file.write(self.token + b"\n" + name.encode("ascii", "replace"))

    def is_owner(self):
        """Whether nobody has come after."""
        try:
            return read(self.path).startswith(self.token + b"\n")
        except OSError:
            return False

    def close(self):
        """Let others have the folder."""
        self._file.close()


def read(path):
    """The bytes of a file, if it is one, and not a link or a pipe."""
    with open(path, "rb", opener=lambda p, flags: os.open(p, flags | _FLAGS)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("no regular file")
        return file.read()


def write(path, content):
    """Write a private file, whole or not at all, in place of what is there."""
    descriptor, fresh = tempfile.mkstemp(".part", path.stem + "-", path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        # The renaming itself is to survive a loss of power; not every system can.
        handle = os.open(path.parent, os.O_RDONLY)
        stack.callback(os.close, handle)
        os.fsync(handle)


def remove(path):
    """Take something out of the way, be it what it may."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        with contextlib.suppress(OSError):
            path.rename(path.with_name(f"{path.name}.damaged"))
