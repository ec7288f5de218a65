"""Operations of TensorFlow that tf2onnx does not know, made of those of ONNX."""

import functools

import numpy as np


@functools.cache
def register():
    """Teach tf2onnx, once, the operations below."""
    from tf2onnx.handler import tf_op

    tf_op("Erfc")(_Erfc)
    tf_op("Expm1")(_Expm1)
    tf_op("Log1p")(_Log1p)


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


class _Log1p:
    """The logarithm of one more, as in a sum of exponentials."""

    @classmethod
    def version_7(cls, graph, node, **kwargs):
        (x,) = node.input
        one = _one(graph, node, graph.get_dtype(x))
        node.type = "Log"
        more = graph.make_node("Add", [x, one], dtypes=[graph.get_dtype(x)])
        node.input[0] = more.output[0]


def _followed_by(graph, node, ordered):
    """Subtract the node's output and one, in the order that ``ordered`` gives them."""
    (made,) = node.output
    kind = graph.get_dtype(made)
    operands = ordered(_one(graph, node, kind), made)
    less = graph.make_node("Sub", operands, dtypes=[kind])
    graph.copy_shape(made, less.output[0])
    others = [each for each in graph.get_nodes() if each is not less]
    graph.replace_all_inputs(made, less.output[0], ops=others)


def _one(graph, node, kind):
    one = graph.make_const(f"{node.name}_one", np.ones((), "float32")).output[0]
    return graph.make_node("Cast", [one], attr={"to": kind}).output[0]
