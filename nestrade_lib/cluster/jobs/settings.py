"""Checks of the settings that jobs for Slurm and for Kubernetes share."""

import posixpath
import re
from pathlib import Path

from nestrade_lib.checks import is_number, is_whole, require

BACKUP_DIR = "NESTRADE_BACKUP_DIR"
MOST = 65533  # what Slurm counts in 16 bits, of which it keeps two values for itself


def check(command, nodes, backup_dir, gpus, cpus, hours, restarts, name):
    """Raise a ValueError that names the argument which is out of range."""
    holds = isinstance(command, (list, tuple)) and len(command) and command[0]
    holds = holds and all(isinstance(x, str) and x.isprintable() for x in command)
    expected = "program and arguments, such as ['python', 'train.py']"
    require(holds, "command", expected, command)
    for what, value, least in (
        ("nodes", nodes, 1),
        ("gpus", gpus, 0),
        ("cpus", cpus, 1),
        ("restarts", restarts, 0),
    ):
        holds = is_whole(value, least) and value <= MOST
        require(holds, what, f"a whole number from {least} to {MOST}", value)
    holds = is_number(hours) and 0.05 <= hours <= 24 * 365
    require(holds, "hours", "a number from 0.05 to a year's 8760", hours)
    holds = isinstance(backup_dir, str) and backup_dir.isprintable()
    holds = (
        holds and backup_dir[:1] == "/" and posixpath.normpath(backup_dir).strip("/")
    )
    expected = (
        "the absolute path of a folder that all machines see, such as '/shared/run-1'"
    )
    require(holds, "backup_dir", expected, backup_dir)
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
    holds = isinstance(value, str) and re.fullmatch(pattern, value)
    require(holds, name, expected, value)


def template(name):
    """The text of a file, with the names of settings in braces."""
    return Path(__file__).with_name(f"{name}.template").read_text(encoding="utf-8")
