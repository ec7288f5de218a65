"""Operations of TensorFlow that tf2onnx does not know, made of those of ONNX."""

import functools

import numpy as np


@functools.cache
def register():
    """Teach tf2onnx, once, the operations below."""
    from tf2onnx.handler import tf_op

    tf_op("Erfc")(_Erfc)
    tf_op("Expm1")(_Expm1)


class _Erfc:
    """One less the error function: TensorFlow computes an exact GELU by it."""

    @classmethod
    def version_9(cls, graph, node, **kwargs):
        node.type = "Erf"
        _followed_by(graph, node, lambda one, y: [one, y])


class _Expm1:
    """An exponential less one, as in CELU."""

    @classmethod
    def version_7(cls, graph, node, **kwargs):
        node.type = "Exp"
        _followed_by(graph, node, lambda one, y: [y, one])


def _followed_by(graph, node, ordered):
    """Subtract the node's output and one, in the order that ``ordered`` gives them."""
    (made,) = node.output
    kind = graph.get_dtype(made)
    one = graph.make_const(f"{node.name}_one", np.ones((), "float32")).output[0]
    one = graph.make_node("Cast", [one], attr={"to": kind}).output[0]
    less = graph.make_node("Sub", ordered(one, made), dtypes=[kind])
    graph.copy_shape(made, less.output[0])
    others = [each for each in graph.get_nodes() if each is not less]
    graph.replace_all_inputs(made, less.output[0], ops=others)
