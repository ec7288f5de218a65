"""The faults by name, in the order of the page, and what has to follow."""

TEXTS = {
    "kill-step": "SIGKILL within a step: goes on from the epoch before",
    "kill-cut": "SIGKILL within a cut: the same",
    "kill-write": "SIGKILL while a checkpoint is written: the same",
    "term": "SIGTERM at any of these moments: goes on within the epoch",
    "ctrl-c": "Ctrl-C at any of these moments: a usable network, goes on",
    "owners": "A second run in the folder of a first: refused, the first unharmed",
    "killed-worker": "SIGKILL to one of two workers: both are started again",
    "term-workers": "SIGTERM to one of two workers: both end, and go on within the epoch",
    "strangers": "An odd message to the chief: it meets its worker",
    "orphans": "A launcher ends, in one way of many: no worker is left",
}
