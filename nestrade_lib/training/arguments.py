"""What the arguments of a trainer and its ``fit`` are held to, before anything runs."""

import keras

from nestrade_lib.checks import is_number, is_whole, require_whole
from nestrade_lib.engines.engine import Engine
from nestrade_lib.schedule import Schedule


def check_trainer(schedule, importance, ignored_layers, growth, engine):
    """Refuse settings that cannot be meant.

    Parameters
    ----------
    schedule, importance, ignored_layers, growth, engine
        As for :class:`nestrade_lib.Nestrade`.

    Raises
    ------
    ValueError
        For the first that is not what it should be, with what was expected.

    Examples
    --------
    >>> check_trainer(Schedule(), None, ["stem"], "auto", None)
    >>> check_trainer(Schedule(), None, "stem", 2, None)
    Traceback (most recent call last):
        ...
    ValueError: ignored_layers: expected a list of layer names, got the string 'stem'. ...
    """
    if not isinstance(schedule, Schedule):
        raise ValueError(f"schedule: expected a Schedule, got {schedule!r}.")
    if importance is not None and not callable(importance):
        raise ValueError(
            "importance: expected a function (network, graph) -> scores, or None "
            f"for the Taylor importance, got {importance!r}."
        )
    if growth != "auto" and not is_whole(growth):
        raise ValueError(
            f'growth: expected a whole number of at least 1, or "auto", got {growth!r}.'
        )
    if isinstance(ignored_layers, str):
        raise ValueError(
            f"ignored_layers: expected a list of layer names, got the string {ignored_layers!r}. "
            f"Pass ignored_layers=[{ignored_layers!r}]."
        )
    if not isinstance(engine, (Engine, type(None))):
        raise ValueError(
            f"engine: expected what nestrade_lib.engines.start() gives, got {engine!r}."
        )


def check_fit(
    *,
    callbacks=None,
    batch_size=None,
    steps_per_epoch=None,
    epochs=1,
    initial_epoch=0,
    validation_split=0.0,
    validation_freq=1,
    class_weight=None,
):
    """Refuse arguments that cannot be meant.

    Parameters
    ----------
    callbacks, batch_size, steps_per_epoch, epochs, initial_epoch, validation_split, \
    validation_freq, class_weight
        As for Keras' ``fit``.

    Raises
    ------
    ValueError
        For the first that is out of range, with what was expected.

    Examples
    --------
    >>> check_fit(batch_size=32, epochs=2)
    >>> check_fit(batch_size=0)
    Traceback (most recent call last):
        ...
    ValueError: batch_size: expected a whole number of at least 1, got 0.
    """
    optional = {"batch_size": batch_size, "steps_per_epoch": steps_per_epoch}
    given = [(name, value, 1) for name, value in optional.items() if value is not None]
    given += [("epochs", epochs, 0), ("initial_epoch", initial_epoch, 0)]
    for name, value, least in given:
        require_whole(name, value, least)
    if not is_number(validation_split) or not 0 <= validation_split < 1:
        raise ValueError(
            "validation_split: expected a share of at least 0 and below 1, got "
            f"{validation_split!r}."
        )
    often = (
        validation_freq
        if isinstance(validation_freq, (list, tuple, set, range))
        else [validation_freq]
    )
    if not all(map(is_whole, often)):
        raise ValueError(
            "validation_freq: expected a whole number of at least 1, or a list of "
            f"epochs counted from 1, got {validation_freq!r}."
        )
    for callback in keras.tree.flatten(callbacks):
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError(
                "callbacks: keras.callbacks.BackupAndRestore knows one network, and would "
                "load the weights of a cut one into it. Pass fit(backup_dir=) instead: a "
                "killed run goes on from there, cuts included."
            )
    if class_weight is not None and not isinstance(class_weight, dict):
        raise ValueError(
            f"class_weight: expected a dict from class to weight, got {class_weight!r}."
        )
