"""One small rule a layer type, a module a family."""

from nestrade_lib.dependency.rules import (  # noqa: F401  (importing registers them)
    activation,
    attention,
    convolution,
    dense,
    merge,
    normalization,
    products,
    recurrent,
    reduction,
    shape,
)
