"""What arguments are held to, wherever they come in."""

import math
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
    expected = f"a whole number of at least {least}"
    require(is_whole(value, least), name, expected, value)


def require(holds, name, expected, value, advice=""):
    """Refuse an argument that is not as expected, and say what to do.

    >>> require(False, "limit", "a number", "1", "Leave the quotes away.")
    Traceback (most recent call last):
        ...
    ValueError: limit: expected a number, got '1'. Leave the quotes away.
    """
    if not holds:
        raise ValueError(
            f"{name}: expected {expected}, got {value!r}. {advice}".strip()
        )


def require_seconds(name, value):
    """Refuse an argument that is no time to wait.

    >>> require_seconds("limit", float("nan"))
    Traceback (most recent call last):
        ...
    ValueError: limit: expected a finite number of seconds, at least 0, got nan.
    """
    holds = is_number(value) and 0 <= value < math.inf
    require(holds, name, "a finite number of seconds, at least 0", value)


def is_list_of(kinds, value):
    """Whether a value is a list, tuple or set of such things, and no text.

    >>> is_list_of(str, ["a"]), is_list_of(str, "a"), is_list_of(int, (1, "a"))
    (True, False, False)
    """
    is_list = isinstance(value, (list, tuple, set, frozenset))
    return is_list and all(isinstance(part, kinds) for part in value)


def is_number(value):
    """Whether a value is a real number, and not a truth value.

    Examples
    --------
    >>> is_number(0.5), is_number(True), is_number("0.5")
    (True, False, False)
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
