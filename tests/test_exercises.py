"""The self-checks take any answer: a right one in any form, a wrong one with a hint."""

import inspect

import numpy as np
import pytest

from nestrade_lib.book import exercises
from nestrade_lib.book.exercises.choices import CHOICES, RIGHT

WRONG = {
    "None": None,
    "NaN": float("nan"),
    "text": "a",
    "nothing": [],
    "shape": np.zeros((2, 2)),
    "returns None": lambda *answer: None,
    "returns NaN": lambda *answer: float("nan"),
    "returns text": lambda *answer: "x",
    "returns another shape": lambda *answer: np.zeros((7, 7)),
}


@pytest.mark.parametrize("name", exercises.__all__)
def test_a_wrong_answer_of_any_kind_gets_a_hint(name):
    check = getattr(exercises, name)
    count = len(inspect.signature(check).parameters)
    for answer in WRONG.values():
        with pytest.raises(AssertionError, match="^(Not yet|There is no question)"):
            check(*[answer] * count)


@pytest.mark.parametrize("question", CHOICES)
def test_one_choice_is_right_and_each_other_has_a_hint(question, capsys):
    feedback = CHOICES[question]
    (right,) = (letter for letter, text in feedback.items() if text.startswith(RIGHT))
    exercises.check_choice(question, f" {right.upper()} ")
    assert capsys.readouterr().out.startswith(RIGHT)
    for letter in feedback.keys() - {right}:
        with pytest.raises(AssertionError, match="^Not yet: "):
            exercises.check_choice(question, letter)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, list])
def test_a_right_answer_passes_in_any_form(dtype):
    def form(values):
        return list(values) if dtype is list else np.array(values, dtype)

    exercises.check_soft_threshold(form([0.0, -0.7, 0.3]))
    exercises.check_convolution_macs(np.float32(225_792))
    exercises.check_kept_rows(
        lambda mask, positions: form(np.flatnonzero(np.tile(mask, positions)))
    )
    exercises.check_mean_and_spread(
        lambda errors: form([np.mean(errors), np.std(errors, ddof=1)])
    )
