"""Checks of the settings that jobs for Slurm and for Kubernetes share."""

import posixpath
import re

from nestrade_lib.checks import is_number, is_whole

BACKUP_DIR = "NESTRADE_BACKUP_DIR"
MOST = 65533  # what Slurm counts in 16 bits, of which it keeps two values for itself


def check(command, nodes, backup_dir, gpus, cpus, hours, restarts, name):
    """Raise a ValueError that names the argument which is out of range."""
    if (
        not isinstance(command, (list, tuple))
        or not command
        or not all(isinstance(part, str) and part.isprintable() for part in command)
        or not command[0]
    ):
        raise ValueError(
            "command: expected program and arguments, such as ['python', 'train.py'], "
            f"got {command!r}."
        )
    for what, value, least in (
        ("nodes", nodes, 1),
        ("gpus", gpus, 0),
        ("cpus", cpus, 1),
        ("restarts", restarts, 0),
    ):
        if not is_whole(value, least) or value > MOST:
            raise ValueError(
                f"{what}: expected a whole number from {least} to {MOST}, got {value!r}."
            )
    if not is_number(hours) or not 0.05 <= hours <= 24 * 365:
        raise ValueError(
            f"hours: expected a number from 0.05 to a year's 8760, got {hours!r}."
        )
    if (
        not isinstance(backup_dir, str)
        or not backup_dir.startswith("/")
        or not posixpath.normpath(backup_dir).strip("/")
        or not backup_dir.isprintable()
    ):
        raise ValueError(
            "backup_dir: expected the absolute path of a folder that all machines see, "
            f"such as '/shared/run-1', got {backup_dir!r}."
        )
    # Kubernetes takes 63 characters, with what it adds.
    require_form(
        "name",
        name,
        r"(?=.{1,40}\Z)[a-z]([-a-z0-9]*[a-z0-9])?",
        "at most 40 lower-case letters, digits and hyphens, a letter first and no hyphen "
        "last",
    )


def require_form(name, value, pattern, expected):
    """Refuse an argument that is no text of this form."""
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError(f"{name}: expected {expected}, got {value!r}.")
