"""Import Keras and its backend once, before autodoc does, without their greetings.

TensorFlow's compiled code writes start-up lines straight to the process' stderr, which
no Python setting reaches; among a book's warnings they would look like one.
"""

import contextlib
import os


@contextlib.contextmanager
def quiet_stderr():
    """Send what is written to file descriptor 2 to nowhere, for a while."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def setup(app):
    with quiet_stderr():
        import keras  # noqa: F401
    return {"parallel_read_safe": True, "parallel_write_safe": True}
