"""What strangers, and members gone wrong, may send the chief of a group."""

import contextlib
import socket
import time

from nestrade_lib.cluster import messages


def sealed(body):
    """A member's line around any bytes."""
    return lambda challenge: messages._seal(challenge, body) + body + b"\n"


STRANGE = {
    "nothing": b"",
    "an empty line": b"\n",
    "a browser": b"GET / HTTP/1.1\r\n\r\n",
    "half a line": b"0" * 100,
    "a long line": b"0" * (1 << 17),
    "zeros": bytes(1000) + b"\n",
    "no text": bytes(range(256)) + b"\n",
    "a rank without a seal": b'[1, {}]\n',
    "a rank under another challenge": lambda _: sealed(b'[1, {"Keras": "evil"}]')(b"old"),
    "the challenge itself": lambda challenge: challenge + b"\n",
    "two lines": lambda challenge: sealed(b"[1, {}]")(challenge) * 2,
    "a terminal's codes": b"\x1b[2J\x1b]0;title\x07\n",
    # Even a member may have gone wrong.
    "no JSON": sealed(b"{"),
    "deep JSON": sealed(b"[" * 60_000),
    "a long number": sealed(b"9" * 60_000),
    "a number": sealed(b"1"),
    "no fingerprint": sealed(b"[1]"),
    "a list for a fingerprint": sealed(b"[1, []]"),
    "a fingerprint of numbers": sealed(b'[1, {"Keras": 3}]'),
    "a list for a rank": sealed(b"[[], {}]"),
    "a rank outside": sealed(b"[2, {}]"),
    "a negative rank": sealed(b"[-1, {}]"),
    "a truth value for a rank": sealed(b"[true, {}]"),
    "a rank that is none": sealed(b"[NaN, {}]"),
    "the chief's rank": sealed(b"[0, {}]"),
}  # fmt: skip


def knock(port, content):
    """Send the chief something odd, once it listens, and go away."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", port), timeout=2) as chief:
                challenge = chief.recv(100).strip()
                chief.sendall(content(challenge) if callable(content) else content)
                chief.shutdown(socket.SHUT_WR)
                return chief.recv(1)
        time.sleep(0.02)
