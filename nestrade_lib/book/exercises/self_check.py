"""What a self-check does with an answer of the wrong kind: it says so, in one line."""

import functools
from collections.abc import Callable
from typing import ParamSpec

Answer = ParamSpec("Answer")


def self_check(check: Callable[Answer, None]) -> Callable[Answer, None]:
    """Turn every error that an answer causes into an `AssertionError` for the reader."""

    @functools.wraps(check)
    def checked(*args: Answer.args, **kwargs: Answer.kwargs) -> None:
        try:
            check(*args, **kwargs)
        except AssertionError:
            raise
        except Exception as error:
            reason = str(error).split("\n")[0].rstrip(".")
            raise AssertionError(
                f"Not yet: your answer led to {type(error).__name__}: {reason}. "
                f"help(exercises.{check.__name__}) says what is expected."
            ) from error

    return checked
