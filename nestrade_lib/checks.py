"""What arguments are held to, wherever they come in."""

import numbers


def is_whole(value, least=1):
    """Whether a value is a whole number, NumPy's included, of at least so much.

    Examples
    --------
    >>> is_whole(1), is_whole(0), is_whole(2.0), is_whole(True)
    (True, False, False, False)
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and int(value) >= least


def require_whole(name, value, least=1):
    """Refuse an argument that is no whole number of at least so much.

    >>> require_whole("workers", 0)
    Traceback (most recent call last):
        ...
    ValueError: workers: expected a whole number of at least 1, got 0.
    """
    if not is_whole(value, least):
        raise ValueError(
            f"{name}: expected a whole number of at least {least}, got {value!r}."
        )


def is_number(value):
    """Whether a value is a real number, and not a truth value.

    Examples
    --------
    >>> is_number(0.5), is_number(True), is_number("0.5")
    (True, False, False)
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
