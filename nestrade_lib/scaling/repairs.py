"""What ``tf.distribute`` with Keras computes otherwise than one device: refused or repaired."""

import keras
import tensorflow as tf

ADAPTIVE = ("Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Adadelta", "Adagrad")


def refuse(network):
    """What neither Keras nor this engine computes as one device would."""
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
            any(getattr(x, "_keras_mask", None) is not None for x in network.outputs),
            "masked outputs",
            "each replica would divide by the length of its own sequences",
            "Pass sample_weight in place of the mask",
        ),
    ):
        if holds:
            raise ValueError(
                f"Network {network.name!r} has {what}, which tf.distribute does not train "
                f"as one device would: {why}. {instead}, or train on the JAX backend."
            )


def draw_apart(generator):
    """Let each replica draw from a stream of its own."""
    if "next" in vars(generator):
        return
    draw = generator.next

    def draw_on_replica(ordered=True):
        seed = draw(ordered)
        context = tf.distribute.get_replica_context()
        if context is None:
            return seed
        replica = tf.cast(context.replica_id_in_sync_group, seed.dtype)
        return seed + tf.stack([replica * 1_000_003, tf.zeros_like(replica)])

    generator.next = draw_on_replica


def biased_sources(norm):
    """Layers with a bias whose output goes straight into a batch norm."""
    for node in norm._inbound_nodes:
        for tensor in keras.tree.flatten(node.input_tensors):
            source = tensor._keras_history.operation
            if getattr(source, "use_bias", False) and _is_linear(source):
                yield source


def _is_linear(layer):
    return getattr(layer, "activation", None) in (None, keras.activations.linear)


def clip_the_sum(optimizer, replicas):
    """Clip what the replicas add up to, and give each its share to add up again."""
    if "_clip_gradients" in vars(optimizer):
        return
    clip = optimizer._clip_gradients

    def clip_the_sum(gradients):
        context = tf.distribute.get_replica_context()
        if context is None:
            return clip(gradients)
        whole = [tf.convert_to_tensor(gradient) for gradient in gradients]
        summed = clip(context.all_reduce("SUM", whole))
        return [gradient / replicas for gradient in summed]

    optimizer._clip_gradients = clip_the_sum


def innermost(optimizer):
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def clips(optimizer):
    """Whether it clips gradients in any way."""
    ways = optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue
    return any(way is not None for way in ways)
