"""What the rules write down during one trace, variables by their path."""

from dataclasses import dataclass, field

from nestrade_lib.dependency.labels import Axis, Channels, Labels


@dataclass
class Tag:
    """A variable's layer and, for each of its axes, the labels and their role."""

    layer: str
    labels: list
    roles: list


@dataclass(frozen=True)
class Fold:
    """Where the constants left by cut channels go: into the consumer's bias."""

    kernel: str
    axis: int
    source: Axis
    bias: str


@dataclass(frozen=True)
class Term:
    """A summand of a cost: a number, times the channels of each axis.

    Where it names a variable, it counts the uses of each element of that variable.
    The number is ``None`` where it depends on an open shape.
    """

    number: int | None
    axes: tuple
    variable: str | None = None

    def times(self, number):
        """The same term, that many times."""
        is_open = None in (number, self.number)
        total = None if is_open else self.number * number
        return Term(total, self.axes, self.variable)


def term(*positions, variable=None):
    """The product of positions: whole numbers, axes, and tensors with all their axes."""
    number, axes = 1, []
    for position in positions:
        if isinstance(position, Axis):
            position = Channels((len(position),), (position,))
        elif not isinstance(position, Channels):
            position = Channels((position,), (None,))
        for size, axis in zip(position.shape, position.axes):
            if axis is not None:
                axes.append(axis)
            else:
                number = None if None in (number, size) else number * size
    return Term(number, tuple(axes), variable)


@dataclass(frozen=True)
class Application:
    """One call of one layer."""

    layer: str
    outputs: list


@dataclass
class Record:
    """Everything that the rules of one trace write down."""

    labels: Labels = field(default_factory=Labels)
    tags: dict = field(default_factory=dict)
    folds: dict = field(default_factory=dict)
    scales: dict = field(default_factory=dict)
    edits: dict = field(default_factory=dict)
    entries: dict = field(default_factory=dict)
    observations: dict = field(default_factory=dict)
    choices: dict = field(default_factory=dict)
    ambiguous: dict = field(default_factory=dict)
    unsupported: dict = field(default_factory=dict)
    applications: list = field(default_factory=list)
    products: list = field(default_factory=list)
    activations: list = field(default_factory=list)
