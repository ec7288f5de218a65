"""What a self-check does with an answer of the wrong kind: it says so, in one sentence."""

import functools
import inspect
import textwrap
import traceback
import types
import typing
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn, ParamSpec

import keras
import numpy as np

Answer = ParamSpec("Answer")


def self_check(check: Callable[Answer, None]) -> Callable[Answer, None]:
    """Hold each answer to the kind that ``check`` states, and turn errors into sentences.

    A number comes to the check as a Python number, whatever array or tensor held it.
    """
    parameters = inspect.signature(check).parameters
    kinds = {name: parameter.annotation for name, parameter in parameters.items()}

    @functools.wraps(check)
    def checked(*args: Answer.args, **kwargs: Answer.kwargs) -> None:
        calls: list[Any] = []
        try:
            bound = inspect.signature(check).bind(*args, **kwargs)
            for name, answer in bound.arguments.items():
                bound.arguments[name] = _of_kind(kinds[name], answer, calls)
            check(*bound.args, **bound.kwargs)
        except AssertionError as error:
            sentence = str(error)
        except Exception as error:
            reason = f"{type(error).__name__}: {_in_short(error)}"
            if calls:
                reason = f"your function returned {shown(calls[-1])}"
            sentence = f"Not yet: {reason}. help(exercises.{check.__name__}) says what is expected."
        else:
            return
        refusal = AssertionError(sentence)
        # Jupyter shows what this returns, in place of a traceback.
        refusal._render_traceback_ = lambda: [sentence]  # type: ignore[attr-defined]
        raise refusal

    return checked


def _in_short(error: Exception) -> str:
    return textwrap.shorten(str(error), 100, placeholder=" ...").rstrip(".")


def shown(value: Any) -> str:
    """Return a value as a few words of one line."""
    if callable(value) and not isinstance(value, type):
        return "a function"
    if keras.ops.is_tensor(value) or isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _of_kind(kind: Any, answer: Any, calls: list[Any]) -> Any:
    """Return the answer as a check takes it, or refuse it."""
    origin = typing.get_origin(kind)
    if kind in (int, float):
        return _number(answer)
    if origin is Sequence:
        try:
            numbers = np.asarray(answer, float)
        except (TypeError, ValueError):
            numbers = np.zeros(())
        if numbers.ndim != 1:
            _refuse(f"expected some numbers in a row, got {shown(answer)}")
        return numbers.tolist()
    if origin is Callable:
        if not callable(answer):
            _refuse(f"expected a function, got {shown(answer)}")
        returned = typing.get_args(kind)[-1]
        may_be_none = types.NoneType in typing.get_args(returned)
        return _watched(answer, calls, may_be_none)
    if origin is type and not isinstance(answer, type):
        _refuse(f"expected a class, got {shown(answer)}")
    if kind is keras.Model and not hasattr(answer, "predict"):
        _refuse(f"expected a trained network, got {shown(answer)}")
    return answer


def _number(answer: Any) -> int | float:
    try:
        is_exact = isinstance(answer, (Fraction, Decimal))
        value = np.asarray(float(answer) if is_exact else answer)
        if value.size == 1 and value.dtype.kind in "iuf" and np.isfinite(value).all():
            number = value.item()
            return int(number) if number == int(number) else number
    except (TypeError, ValueError, OverflowError):
        pass
    _refuse(f"expected a number, got {shown(answer)}")


def _watched(function: Callable, calls: list[Any], may_be_none: bool) -> Callable:
    """Return the reader's function, which says what went wrong in it."""

    def watched(*args: Any) -> Any:
        args = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
        try:
            value = function(*args)
        except Exception as error:
            reason = f"your function raised {type(error).__name__}: {_in_short(error)}"
            line = traceback.extract_tb(error.__traceback__)[1:2]
            _refuse(
                reason + "".join(f", in line {at.lineno}: {at.line}" for at in line)
            )
        if value is None and not may_be_none:
            _refuse("your function returned None: write `return` before the result")
        calls.append(value)
        return value

    return watched


def _refuse(reason: str) -> NoReturn:
    raise AssertionError(f"Not yet: {reason}.")
