"""How a subclassed network becomes a case of unrolling."""

NETWORKS = {}


def network(*shapes, whole=True, **classes):
    """A case: its builder, the shapes of its inputs or, for whole numbers, their classes.

    Not ``whole``: one of its layers stays as it is, and plain Keras does not know it.
    """

    def add(build):
        NETWORKS[build.__name__] = build, shapes or classes, whole
        return build

    return add
