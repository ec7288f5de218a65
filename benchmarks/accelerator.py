"""A residual network on one GPU, before and after its cuts, in bfloat16.

    KERAS_BACKEND=jax python -m benchmarks.accelerator           # minutes on an H200
    KERAS_BACKEND=jax python -m benchmarks.accelerator --quick   # a look, anywhere

Nestrade trains a small ResNet to a budget of 1, and twice to a quarter of its MACs: to
whichever widths are best, and to multiples of 8. Then a training step of each is timed
on a batch that lies on the device. ResNet-50 is cut at random, without training. Each
network has a process of its own, since the most memory that one ever held only grows.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import keras
import numpy as np

from benchmarks.record import RESULTS, Record, environment
from benchmarks.training import TUNED, compiled
from nestrade_lib import (
    Budget,
    Nestrade,
    Schedule,
    count_costs,
    create_resnet,
    load_mnist,
    trace,
)
from nestrade_lib.choice import choose
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.surgery import cut

BUDGET = Budget(macs=0.25, activation_bytes=0.5)
VARIANTS = {"dense": None, "free": 1, "eights": 8}


@dataclass(frozen=True)
class Case:
    """A network, the batch it trains with, and the way in which it is made smaller."""

    side: int
    batch: int
    build: object
    way: object
    steps: int  # that are timed together
    product: int = 8192  # side of the matrices that show the card's peak
    epochs: int = 0
    images: int = 0


def small_resnet(side):
    return create_resnet((side, side, 3), 10, widths=(128, 256, 512))


def tiny_resnet(side):
    return create_resnet((side, side, 3), 10, widths=(16, 24))


def resnet50(side):
    # Logits: the softmax would be in bfloat16.
    return keras.applications.ResNet50(
        weights=None,
        input_shape=(side, side, 3),
        classes=1000,
        classifier_activation=None,
    )


def by_training(case, multiple):
    """A whole fit, with a budget of 1 where there is no multiple."""
    x, y = digits(case.side, case.images)
    ends = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    schedule = Schedule(0.2, 0.6, 2, round_to=multiple or 1, max_pruning_ratio=0.35)
    budget = BUDGET if multiple else 1
    network = compiled(case.build(case.side))
    trainer = Nestrade(network, budget, **TUNED | {"schedule": schedule, "growth": 1})
    start = time.perf_counter()
    trainer.fit(x, y, case.batch, epochs=case.epochs, verbose=0, callbacks=[note])
    return trainer.network, {
        "fit_seconds": ends[-1] - start,
        "fit_last_epoch_images_per_second": case.images / (ends[-1] - ends[-2]),
        "seconds_of_cuts": [one.seconds for one in trainer.cuts],
    }


def at_random(case, multiple):
    """One cut, unproven: where it falls does not matter for how long a step takes."""
    network = case.build(case.side)
    if not multiple:
        return network, {}
    graph = trace(network)
    costs = ChannelCosts(graph)
    whole = costs.total(np.ones(graph.count, bool))
    allowed = {name: share * whole[name] for name, share in BUDGET.shares.items()}
    scores = np.random.default_rng(0).random(graph.count)
    mask = choose(graph, costs, scores, allowed, 0.6, round_to=multiple)
    start = time.perf_counter()
    smaller = cut(network, mask, graph)
    return smaller, {"seconds_of_cuts": [time.perf_counter() - start]}


def digits(side, images):
    """MNIST's digits with a border, in three equal channels."""
    (x, y), _ = load_mnist()
    border = (side - 28) // 2
    x = np.pad(x[:images], ((0, 0), (border, border), (border, border), (0, 0)))
    return np.repeat(x, 3, axis=-1), y[:images]


def steps_of(network, case, rounds=5):
    """Time training steps on one batch, which lies on the device, after a compilation."""
    import jax

    compiled(network)
    network.optimizer.build(network.trainable_variables)

    def loss_of(weights, others, x, y):
        answers, others = network.stateless_call(weights, others, x, training=True)
        return network.loss(y, answers), others

    def step(weights, others, slots, x, y):
        (_, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            weights, others, x, y
        )
        weights, slots = network.optimizer.stateless_apply(slots, gradients, weights)
        return weights, others, slots

    rng = np.random.default_rng(0)
    x = rng.random((case.batch, case.side, case.side, 3), np.float32)
    batch = jax.device_put((x, rng.integers(0, 10, case.batch)))
    variables = (
        network.trainable_variables,
        network.non_trainable_variables,
        network.optimizer.variables,
    )
    state = jax.device_put([[np.array(v.value) for v in part] for part in variables])
    start = time.perf_counter()
    step = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*state, *batch).compile()
    compilation = time.perf_counter() - start
    times = []
    for number in range(rounds + 1):
        start = time.perf_counter()
        for _ in range(case.steps):
            state = step(*state, *batch)
        jax.block_until_ready(state)
        if number:  # the first round warms up
            times.append((time.perf_counter() - start) / case.steps)
    memory = jax.local_devices()[0].memory_stats() or {}
    seconds = statistics.median(times)
    return {
        "step_ms": 1000 * seconds,
        "step_ms_sd": 1000 * statistics.stdev(times),
        "images_per_second": case.batch / seconds,
        # Forward once, and back once to the inputs and once to the weights.
        "tflops": 3 * 2 * count_costs(network).macs * case.batch / seconds / 1e12,
        "compile_seconds": compilation,
        "peak_memory_gb": memory.get("peak_bytes_in_use", 0) / 1e9,
    }


def best_tflops(size, rounds=5, products=20):
    """What products of large matrices reach in bfloat16: the card's peak, measured."""
    import jax

    keys = jax.random.split(jax.random.key(0))
    one, other = (jax.random.normal(key, (size, size), "bfloat16") for key in keys)
    multiply = jax.jit(lambda a, b: a @ b)
    times = []
    for number in range(rounds + 1):
        start = time.perf_counter()
        jax.block_until_ready([multiply(one, other) for _ in range(products)])
        if number:
            times.append((time.perf_counter() - start) / products)
    return 2 * size**3 / statistics.median(times) / 1e12


CASES = {
    "resnet-32px": Case(
        32, 1024, small_resnet, by_training, steps=30, epochs=10, images=40_960
    ),
    "resnet50-224px": Case(224, 256, resnet50, at_random, steps=10),
}
QUICK = {
    "trained": Case(
        32, 16, tiny_resnet, by_training, steps=2, product=256, epochs=5, images=160
    ),
    "random": Case(32, 16, tiny_resnet, at_random, steps=2, product=256),
}


def make_smaller(case, variant, file):
    """Of a process of its own: make the network smaller, and keep it in a file."""
    network, figures = case.way(case, VARIANTS[variant])
    network.save(file)
    return figures


def time_steps(case, variant, file):
    """Of a process of its own: the costs and times of the network in the file."""
    dense = case.build(case.side)
    network = keras.saving.load_model(file)
    whole, costs = count_costs(dense), count_costs(network)
    convolutions = [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]
    figures = steps_of(network, case)
    best = best_tflops(case.product)
    return {
        "macs_percent": 100 * costs.macs / whole.macs,
        "params_percent": 100 * costs.params / whole.params,
        "activations_percent": 100 * costs.activation_bytes / whole.activation_bytes,
        **figures,
        "product_tflops": best,
        "share_of_product_percent": 100 * figures["tflops"] / best,
        "widths": [layer.output.shape[-1] for layer in convolutions],
    }


def in_a_process(task, name, variant, file, quick):
    """What a task returns, run by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.accelerator", task, name, variant]
    command += [file, "--quick"] if quick else [file]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", nargs="*", help="of a process of its own; none to run")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if keras.backend.backend() != "jax":
        parser.error("expected the backend JAX: set KERAS_BACKEND=jax.")
    cases = QUICK if options.quick else CASES
    if options.task:
        task, name, variant, file = options.task
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        keras.utils.set_random_seed(0)
        work = {"make_smaller": make_smaller, "time_steps": time_steps}[task]
        print(json.dumps(work(cases[name], variant, file)))
        return
    if not options.quick and "accelerator" not in environment():
        parser.error("expected an NVIDIA GPU, found none. Use --quick for a look.")
    with tempfile.TemporaryDirectory() as scratch:
        for name in cases:
            record = Record(
                f"accelerator/{name}", scratch if options.quick else RESULTS
            )
            record.content["batch"] = cases[name].batch
            for variant in record.missing(VARIANTS):
                place = name, variant, f"{scratch}/{name}-{variant}.keras"
                told = in_a_process("make_smaller", *place, options.quick)
                figures = in_a_process("time_steps", *place, options.quick)
                told["widths"] = figures.pop("widths")
                record.add(variant, figures, told)
                print(name, variant, record.content["seeds"][variant], flush=True)


if __name__ == "__main__":
    main()
