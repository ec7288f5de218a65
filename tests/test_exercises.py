"""The self-checks take any answer: a right one in any form, a wrong one with a hint."""

import hashlib
import inspect
import re
from decimal import Decimal
from fractions import Fraction

import keras
import numpy as np
import pytest

from nestrade_lib.book import exercises
from nestrade_lib.book.exercises.choices import CHOICES, RIGHT
from scripts.exercises import chapters, exercises_of

WRONG = {
    "None": None,
    "NaN": float("nan"),
    "text": "a",
    "nothing": [],
    "shape": np.zeros((2, 2)),
    "a network without input": keras.Sequential([keras.layers.Dense(3)]),
    "returns None": lambda *answer: None,
    "returns NaN": lambda *answer: float("nan"),
    "returns text": lambda *answer: "x",
    "returns another shape": lambda *answer: np.zeros((7, 7)),
    "raises": lambda *answer: {}["missing"],
    "takes nothing": lambda: 1,
}
# What Python says, and a reader should not have to read.
FROM_BELOW = re.compile(
    r"\b(object|operand|ufunc|ambiguous|unsupported|iterable|callable|dtype)\b|0x"
)


@pytest.mark.parametrize("name", exercises.__all__)
def test_a_wrong_answer_of_any_kind_gets_one_helpful_sentence(name):
    check = getattr(exercises, name)
    count = len(inspect.signature(check).parameters)
    for answer in WRONG.values():
        with pytest.raises(
            AssertionError, match="^(Not yet|There is no question)"
        ) as e:
            check(*[answer] * count)
        sentence = str(e.value)
        assert "\n" not in sentence and not FROM_BELOW.search(sentence), sentence
        # In place of a traceback, in Jupyter.
        assert e.value._render_traceback_() == [sentence]
    with pytest.raises(AssertionError, match="missing a required argument"):
        check()


def test_an_error_in_a_function_is_said_with_its_line():
    def penalty(kernel, strength):
        return kernel / strength.upper()

    with pytest.raises(AssertionError, match="AttributeError.*: return kernel / stre"):
        exercises.check_l1_penalty(penalty)


@pytest.mark.parametrize("question", CHOICES)
def test_one_choice_is_right_and_each_other_has_a_hint(question, capsys):
    feedback = CHOICES[question]
    (right,) = (letter for letter, text in feedback.items() if text.startswith(RIGHT))
    exercises.check_choice(question, f" {right.upper()} ")
    assert capsys.readouterr().out.startswith(RIGHT)
    for letter in feedback.keys() - {right}:
        with pytest.raises(AssertionError, match="^Not yet: "):
            exercises.check_choice(question, letter)


NUMBERS = {
    "check_budget_path": (34.375, 16.875),
    "check_channel_parameters": (1276,),
    "check_convolution_macs": (225_792,),
    "check_devices_for_deadline": (200,),
    "check_fixed_time": (3.0,),
    "check_hours_between_failures": (60,),
    "check_lighter_vgg": (0.5, 0.125),
    "check_needed_rate": (10_240,),
    "check_ring_traffic": (750,),
    "check_seeds_needed": (18,),
}
FORMS = {
    "float": float,
    "float32": np.float32,
    "array": np.array,
    "row": lambda value: np.array([value], "float32"),
    "tensor": lambda value: keras.ops.convert_to_tensor(value, "float32"),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_right_number_passes_in_any_form(name, form):
    getattr(exercises, name)(*map(FORMS[form], NUMBERS[name]))


def as_lists(value):
    """The same values in lists, with everything that is no text or bytes."""
    if isinstance(value, (tuple, list)):
        return [as_lists(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


def as_float32(value):
    if isinstance(value, tuple):
        return tuple(map(as_float32, value))
    is_float = (
        isinstance(value, (float, np.ndarray)) and np.asarray(value).dtype == float
    )
    return np.asarray(value, "float32") if is_float else value


FUNCTIONS = [
    task
    for chapter in chapters()
    for task in exercises_of(chapter)
    if task.grade == "Build" and "\ndef " in task.stub
]


@pytest.mark.parametrize("task", FUNCTIONS, ids=lambda task: task.name)
@pytest.mark.parametrize("form", [as_lists, as_float32])
def test_a_right_function_may_return_its_values_in_any_form(task, form):
    check = re.search(r"exercises\.(check_\w+)\((\w+)\)", task.check)
    definitions = {"np": np, "re": re, "hashlib": hashlib}
    source = "\n".join(
        cell.source
        for cell in task.worked
        if cell.source.startswith(("def ", "import"))
    )
    exec(source, definitions)
    function = definitions[check[2]]
    getattr(exercises, check[1])(lambda *given: form(function(*given)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, list])
def test_right_numbers_in_a_row_pass_in_any_form(dtype):
    values = [0.0, -0.7, 0.3]
    form = values if dtype is list else np.array(values, dtype)
    exercises.check_soft_threshold(form)
    with pytest.raises(AssertionError, match="expected three numbers, got 2"):
        exercises.check_soft_threshold(form[:2])


def test_right_answers_written_in_another_way_pass():
    def interval(errors, others):  # subtracts as arrays do, with t to seven digits
        differences = errors - others
        half = 4.302653 * differences.std(ddof=1) / 3**0.5
        return differences.mean() - half, differences.mean() + half

    def elastic_step(x, t, s):  # a number for the one that is asked for
        return float((x[0] - np.clip(x[0], -t, t)) / (1 + s))

    exercises.check_paired_interval(interval)
    exercises.check_elastic_step(elastic_step)
    exercises.check_choice("cp-masks", "(b)")


def test_a_front_is_without_the_points_that_cost_more_for_the_same_error():
    def front(points):
        pairs = points.values()
        return [
            name
            for name, (cost, error) in points.items()
            if not any(c <= cost and e < error for c, e in pairs)
        ]

    with pytest.raises(AssertionError, match="'b' errs as little as 'f'"):
        exercises.check_front(front)


def test_images_are_moved_all_at_once_however_that_is_written():
    def places(images, seed):
        n, height, width, _ = images.shape
        down, right = np.random.default_rng(seed).integers(0, 5, (2, n))
        padded = np.pad(images[..., 0], ((0, 0), (2, 2), (2, 2)))
        return padded, down, right, np.arange(height), np.arange(width)

    def with_keras(images, seed):
        padded, down, right, y, x = places(images, seed)
        flat = keras.ops.reshape(padded, (len(padded), -1))
        at = (down[:, None] + y)[:, :, None] * padded.shape[2]
        at = at + (right[:, None] + x)[:, None]
        moved = keras.ops.take_along_axis(flat, at.reshape(len(at), -1), axis=1)
        return keras.ops.convert_to_numpy(moved).reshape(images.shape)

    def with_slices(images, seed):
        padded, down, right, y, x = places(images, seed)
        moved = np.empty_like(images)
        i = 0
        while i < len(images):  # no call in it
            rows, columns = y + down[i], x + right[i]
            moved[i, ..., 0] = padded[i][rows[:, None], columns]
            i += 1
        return moved

    exercises.check_shifted(with_keras)
    with pytest.raises(AssertionError, match="one by one"):
        exercises.check_shifted(with_slices)


def test_answers_of_another_kind_are_told_apart():
    exercises.check_quantized_bytes(Fraction(8704))
    exercises.check_quantized_bytes(Decimal("8704"))
    with pytest.raises(AssertionError, match="ReLU is a layer of Keras"):
        exercises.check_layer_rule(keras.layers.ReLU)
    with pytest.raises(AssertionError, match="expected int8 from -127 to 127"):
        scales = np.ones((1, 1, 3))
        exercises.check_quantize(lambda kernel: (np.round(127 * kernel), scales))
