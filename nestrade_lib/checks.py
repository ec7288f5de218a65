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
    return whole and value >= least


def is_number(value):
    """Whether a value is a real number, and not a truth value.

    Examples
    --------
    >>> is_number(0.5), is_number(True), is_number("0.5")
    (True, False, False)
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
