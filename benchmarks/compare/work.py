"""One piece of work, the same for every peer: what to train, on what, and how long.

No framework is imported here: each environment has its own.
"""

import contextlib
import json
import time
from dataclasses import dataclass, field

import numpy as np

from benchmarks.compare.figures import PeakMemory

LEVELS = {"mnist": (98.5, 99.0), "fashion_mnist": (90.0,)}  # % accuracy, to be reached
DATA = {
    "lenet5": "mnist",
    "mlp": "mnist",
    "resnet": "fashion_mnist",
    "separable": "fashion_mnist",
}  # by network
PROBES = 256  # images on which a network before a cut is compared with that after it


@dataclass
class Work:
    """What a peer's ``train(work)`` is given; it returns the network of the last epoch.

    `budget` is the share of the MACs to keep. `widths`, by layer, are those that
    Nestrade ended with on the same seed, for the peer that trains them from scratch.
    """

    network: str
    budget: float
    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    train: tuple
    test: tuple
    widths: dict | None = None
    epochs_seen: list = field(default_factory=list)
    differences: list = field(default_factory=list)

    def __post_init__(self):
        self._memory = PeakMemory()
        self._start = _clocks()
        self._aside = np.zeros(2)

    @classmethod
    def read(cls, job, data):
        """That of a row: plain values, and the arrays of an open .npz file."""
        names = "network", "budget", "seed", "epochs", "batch_size", "learning_rate"
        train = data["x_train"][: job["samples"]], data["y_train"][: job["samples"]]
        return cls(
            **{name: job[name] for name in names},
            train=train,
            test=(data["x_test"], data["y_test"]),
            widths=job.get("widths"),
        )

    def shorter(self, samples):
        """The same on few samples, for one epoch."""
        parts = (tuple(a[:samples] for a in part) for part in (self.train, self.test))
        names = "network", "budget", "seed", "batch_size", "learning_rate"
        same = {name: getattr(self, name) for name in names}
        return Work(
            **same, epochs=1, **dict(zip(("train", "test"), parts, strict=True))
        )

    def steps(self, epochs):
        """Optimizer steps in so many epochs."""
        return epochs * -(-len(self.train[0]) // self.batch_size)

    @property
    def halves(self):
        """Epochs before the cut and after it, of peers that cut once."""
        return self.epochs // 2, self.epochs - self.epochs // 2

    # Measured while it trains ---------------------------------------------------

    def seconds(self):
        """Since the work began, by the clock and of the processor; measuring left out."""
        return (_clocks() - self._start - self._aside).tolist()

    @contextlib.contextmanager
    def aside(self):
        """Time and memory for measuring, which are not the training's."""
        before = _clocks()
        self._memory.end()
        yield
        self._memory.begin()
        self._aside += _clocks() - before

    def after_epoch(self, predict):
        """Note the test error, by ``predict(images)``, and when it was reached."""
        with self.aside():
            error = self.error(predict)
        self.epochs_seen.append([round(error, 3), *np.round(self.seconds(), 3)])

    def error(self, predict):
        """Of the test images, in percent."""
        x, y = self.test
        wrong = [
            (np.asarray(predict(x[i : i + 1000])).argmax(-1) != y[i : i + 1000]).sum()
            for i in range(0, len(x), 1000)
        ]
        return 100 * float(sum(wrong)) / len(x)

    def after_cut(self, before, after):
        """Note how far a cut moved the outputs, by two functions of images."""
        with self.aside():
            x = self.test[0][:PROBES]
            difference = np.abs(np.asarray(before(x)) - np.asarray(after(x))).max()
            self.differences.append(float(difference))

    def figures(self):
        """What was noted, by the name that it has in a row."""
        seconds = np.round(self.seconds(), 3)
        self._memory.end()
        figures = {"seconds": seconds[0], "processor_seconds": seconds[1]}
        figures["memory_mb"] = self._memory.megabytes
        figures["epochs_seen"] = self.epochs_seen
        figures["largest_difference"] = max(self.differences, default=None)
        for level in LEVELS[DATA[self.network]]:
            reached = [row for row in self.epochs_seen if row[0] <= 100 - level]
            figures[f"seconds_to_{level}"] = reached[0][1] if reached else None
        return json.loads(json.dumps(figures, default=float))


def _clocks():
    return np.array([time.perf_counter(), time.process_time()])
