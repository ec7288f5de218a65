"""Messages between workers: lines of JSON, which only those who know a secret can write.

Whoever listens opens each connection with a random challenge. Each message begins with
its HMAC under the secret, with the challenge, so that an old message is worth nothing.
"""

import hmac
import json
import os
import time

from nestrade_lib.cluster.environment import SECRET

LINE_LIMIT = 5.0  # seconds, for a whole line
_LONGEST_LINE = 1 << 16  # bytes
# What odd messages and broken connections raise.
ERRORS = OSError, ValueError, TypeError, RecursionError


class Stranger(ConnectionError):
    """A message without the group's secret."""


def challenge(connection):
    """Open a connection as the one who listens: the challenge that was sent."""
    text = os.urandom(16).hex().encode()
    connection.settimeout(LINE_LIMIT)
    connection.sendall(text + b"\n")
    return text


def send(connection, challenged, message):
    """Send a sealed line of JSON."""
    body = json.dumps(message).encode()
    connection.settimeout(LINE_LIMIT)
    connection.sendall(_seal(challenged, body) + body + b"\n")


def receive(connection, challenged, end):
    """Receive a sealed line of JSON."""
    line = receive_line(connection, end)
    if not hmac.compare_digest(line[:64], _seal(challenged, line[64:])):
        raise Stranger
    return json.loads(line[64:])


def receive_line(connection, end):
    """Receive a line before a time that holds for all of it."""
    line = b""
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or len(line) > _LONGEST_LINE:
            raise TimeoutError
        connection.settimeout(left)
        part = connection.recv(4096)
        if not part:
            raise ConnectionError
        line += part
    return line[:-1]


def printable(text):
    r"""Text without what a terminal would act on.

    >>> printable("a\x1b[2J")
    'a�[2J'
    """
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def _seal(challenged, body):
    key = os.environ.get(SECRET, "").encode()
    return hmac.new(key, challenged + body, "sha256").hexdigest().encode()
