"""What ``tf.distribute`` with Keras computes differently from one device, repaired or refused."""

import keras
import tensorflow as tf

from nestrade_lib.internals import (
    all_layers,
    inputs_of,
    is_masked,
    producer_of,
    replace_clipping,
    replace_draws,
)
from nestrade_lib.optimizers import averages_weights, innermost

ADAPTIVE = ("Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Adadelta", "Adagrad")


def refuse(network):
    """Refuse what neither Keras nor this engine computes as one device would."""
    optimizer = innermost(network.optimizer)
    reductions = [
        getattr(x, "reduction", None) for x in keras.tree.flatten(network.loss)
    ]
    for holds, what, why, instead in (
        (
            network.jit_compile is True,
            "jit_compile=True",
            "XLA cannot compile the exchange between replicas (keras#20582)",
            'Compile with jit_compile="auto"',
        ),
        (
            bool(optimizer.gradient_accumulation_steps),
            f"gradient_accumulation_steps={optimizer.gradient_accumulation_steps}",
            "Keras updates its accumulators inside a condition, where replicas cannot "
            "exchange gradients (keras#20582)",
            "Make the global batch larger instead",
        ),
        (
            averages_weights(optimizer) and optimizer.ema_overwrite_frequency,
            f"use_ema=True, ema_overwrite_frequency={optimizer.ema_overwrite_frequency}",
            "Keras overwrites weights with their averages inside a condition, where "
            "replicas cannot agree on them",
            "Leave ema_overwrite_frequency away: the averages become the weights when "
            "training ends",
        ),
        (
            type(network).train_step is not keras.Model.train_step,
            "a train_step of one's own",
            "the engine's loop would not run it, and Keras' would log its loss divided by "
            "the number of replicas",
            "Put what it does into the loss or a layer (add_loss)",
        ),
        (
            "mean_with_sample_weight" in reductions,
            'a loss with reduction="mean_with_sample_weight"',
            "each replica would divide by the sum of its own weights",
            'Use "sum_over_batch_size"',
        ),
        (
            any(map(is_masked, network.outputs)),
            "masked outputs",
            "each replica would divide by the length of its own sequences",
            "Pass sample_weight in place of the mask",
        ),
        (
            any(
                is_masked(tensor)
                for norm in batch_norms(network)
                for tensor in inputs_of(norm)
            ),
            "a batch norm of masked inputs",
            "Keras does not take the statistics of what a mask leaves over all replicas",
            "Normalize before the mask",
        ),
    ):
        if holds:
            raise ValueError(
                f"Network {network.name!r} has {what}, which tf.distribute does not train "
                f"as one device would: {why}. {instead}, or train on the JAX backend."
            )


def batch_norms(network):
    """Its batch norms, those of nested networks too."""
    norms = keras.layers.BatchNormalization
    return [x for x in all_layers(network) if isinstance(x, norms)]


def draw_apart(generator):
    """Let each replica draw from a stream of its own."""

    def drawing_apart(draw):
        def draw_on_replica(ordered=True):
            seed = draw(ordered)
            context = tf.distribute.get_replica_context()
            if context is None:
                return seed
            replica = tf.cast(context.replica_id_in_sync_group, seed.dtype)
            return seed + tf.stack([replica * 1_000_003, tf.zeros_like(replica)])

        return draw_on_replica

    replace_draws(generator, drawing_apart)


def biased_sources(norm):
    """Layers with a bias whose output goes straight into a batch norm."""
    for tensor in inputs_of(norm):
        source = producer_of(tensor)
        if getattr(source, "use_bias", False) and _is_linear(source):
            yield source


def _is_linear(layer):
    return getattr(layer, "activation", None) in (None, keras.activations.linear)


def clip_the_sum(optimizer, replicas):
    """Clip what the replicas add up to, and give each its share to add up again."""

    def clipping_the_sum(clip):
        def clip_on_replica(gradients):
            context = tf.distribute.get_replica_context()
            if context is None:
                return clip(gradients)
            whole = [tf.convert_to_tensor(gradient) for gradient in gradients]
            summed = clip(context.all_reduce("SUM", whole))
            return [gradient / replicas for gradient in summed]

        return clip_on_replica

    replace_clipping(optimizer, clipping_the_sum)


def clips(optimizer):
    """Whether it clips gradients in any way."""
    ways = optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue
    return any(way is not None for way in ways)
