"""What arguments are held to, wherever they come in."""

import numbers


def is_number(value):
    """Whether a value is a real number, and not a truth value.

    Examples
    --------
    >>> is_number(0.5), is_number(True), is_number("0.5")
    (True, False, False)
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
