"""Checks of the settings that jobs for Slurm and for Kubernetes share."""

import re

from nestrade_lib.checks import is_number, require_whole

BACKUP_DIR = "NESTRADE_BACKUP_DIR"


def check(command, nodes, backup_dir, gpus, cpus, hours, restarts, name):
    """Raise a ValueError that names the argument which is out of range."""
    if (
        isinstance(command, str)
        or not command
        or not all(isinstance(part, str) and part.isprintable() for part in command)
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
        require_whole(what, value, least)
    if not is_number(hours) or not 0.05 <= hours <= 24 * 365:
        raise ValueError(
            f"hours: expected a number from 0.05 to a year's 8760, got {hours!r}."
        )
    if (
        not isinstance(backup_dir, str)
        or not re.match(r"/[^/]", backup_dir)
        or not backup_dir.isprintable()
    ):
        raise ValueError(
            "backup_dir: expected the absolute path of a folder that all machines see, "
            f"such as '/shared/run-1', got {backup_dir!r}."
        )
    fits = isinstance(name, str) and re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    if not fits or len(name) > 40:  # Kubernetes takes 63, with what it adds
        raise ValueError(
            "name: expected at most 40 lower-case letters, digits and hyphens, a letter "
            f"first and no hyphen last, got {name!r}."
        )
