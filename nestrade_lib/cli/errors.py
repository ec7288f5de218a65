"""How a command ends: its exit codes, and the errors that lead to them."""

import re

LONGEST = 600  # characters of a message: some of Keras hold a whole configuration
DONE, FAILED, WRONG, STOPPED = 0, 1, 2, 130


class BadInput(Exception):
    """What was given cannot be used: exit code 2."""


class Failed(Exception):
    """What was given can be used, and yet it did not work out: exit code 1."""


def one_line(error):
    """The message of an error on one line, without colours and Keras' list of arguments.

    >>> one_line(ValueError("bad shape.\\n\\nArguments received by Dense:\\n  • x"))
    'bad shape.'
    >>> one_line(MemoryError())
    'MemoryError'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = " ".join(text.partition("Arguments received by")[0].split())
    return text[:LONGEST] or type(error).__name__


def describe(error):
    """What an error of any kind says, and its kind where it says nothing.

    >>> describe(OSError(28, "No space left on device", "a.keras"))
    'a.keras: No space left on device'
    """
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    return one_line(error)
