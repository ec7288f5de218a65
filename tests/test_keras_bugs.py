"""What Keras gets wrong under a strategy: when one of these passes, a workaround can go."""

import keras
import pytest
from keras import optimizers

from nestrade_lib.engines import start
from tests.support.replicas import (
    FLAT,
    X,
    Y,
    build,
    difference,
    normed,
    only_tensorflow,
    plain,
)

pytestmark = pytest.mark.any_backend


def with_keras_fit(
    count, stack=plain, optimizer=lambda: optimizers.SGD(0.05), **options
):
    """Weights that Keras' own fit gives under MirroredStrategy, and on one device."""
    found = []
    for engine in (start("single"), start(devices=count)):
        rows = options.get("rows", 96)
        network = build(engine, stack, optimizer, **options.get("compiled", {}))
        x = X if stack is normed else FLAT
        network.fit(
            x[:rows], Y[:rows], batch_size=32, epochs=3, shuffle=False, verbose=0
        )
        found.append(network.get_weights())
    return difference(*found)


def mean_by_itself(y, predicted):
    found = keras.losses.sparse_categorical_crossentropy(y, predicted, from_logits=True)
    return keras.ops.mean(found)


# Several steps an execution crashed once (keras#19246), and are right in Keras 3.15.
WRONG = {  # trained to other weights
    "batch norms take each replica's own statistics": {"stack": normed},
    "gradients are clipped before they are added up": {
        "optimizer": lambda: optimizers.SGD(0.05, global_clipnorm=0.01)
    },
    "replicas of unequal batches count alike": {"rows": 32 + 7},
    "a replica without rows counts as one with": {"rows": 32 + 1},
    "a loss that is one number is not divided": {"compiled": {"loss": mean_by_itself}},
}
CRASHES = {  # the error that means the bug, and no other
    "jit_compile (keras#20582)": (
        {"compiled": {"jit_compile": True}},
        "InvalidArgumentError",
        "known_issues#tfvariable_on_a_different_device",
    ),
    "gradient accumulation (keras#20582)": (
        {"optimizer": lambda: optimizers.SGD(0.05, gradient_accumulation_steps=2)},
        "RuntimeError",
        "`merge_call` called while defining a new graph",
    ),
    "averages that overwrite weights": (
        {
            "optimizer": lambda: optimizers.SGD(
                0.05, use_ema=True, ema_overwrite_frequency=2
            )
        },
        "RuntimeError",
        "`merge_call` called while defining a new graph",
    ),
}


@only_tensorflow
@pytest.mark.parametrize("bug", WRONG)
def test_keras_under_a_strategy(bug):
    if with_keras_fit(2, **WRONG[bug]) > 1e-6:
        pytest.xfail(bug)
    pytest.fail(f"Keras trains this as one device would: {bug}. Drop the workaround.")


@only_tensorflow
@pytest.mark.parametrize("bug", CRASHES)
def test_keras_crashes_under_a_strategy(bug):
    options, kind, message = CRASHES[bug]
    try:
        with_keras_fit(2, **options)
    except Exception as error:
        if type(error).__name__ != kind or message not in str(error):
            raise
        pytest.xfail(bug)
    pytest.fail(f"Keras trains this: {bug}. Drop the workaround, if it is right.")
