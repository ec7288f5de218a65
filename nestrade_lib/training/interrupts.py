"""What an interrupt leaves behind: a network whose variables have values, and no scopes.

Keras on JAX takes the values out of a network's variables while it trains or evaluates,
and puts them back at the end. An exception in between leaves variables without any.
"""

import contextlib
import signal
import threading

import keras

from nestrade_lib.internals import has_value, open_scopes
from nestrade_lib.variables import assign, values_of


@contextlib.contextmanager
def values_kept(variables, values=None):
    """Put back these values, or those of now, if an exception has lost any of them."""
    if keras.backend.backend() != "jax":
        yield
        return
    if values is None:
        values = values_of(variables)
    try:
        yield
    except BaseException as error:
        if not all(map(has_value, variables)):
            assign(variables, values)
        # Keras' own cleaning up may have failed on the lost values.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        raise


@contextlib.contextmanager
def name_scopes_closed():
    """Close the name scopes that an interrupt leaves open: they would rename later layers."""
    scopes = open_scopes()
    before = list(scopes)
    try:
        yield
    finally:
        scopes[:] = before


@contextlib.contextmanager
def interrupts_deferred():
    """Let Ctrl-C wait until the block has ended: what it cleans up is then clean."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    caught = []
    before = signal.signal(signal.SIGINT, lambda *received: caught.append(received))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if caught and callable(before):
            before(*caught[0])
