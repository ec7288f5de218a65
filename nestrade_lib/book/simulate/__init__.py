"""Many devices, simulated: the time of a step, held to published figures, and of a run."""

from nestrade_lib.book.simulate.calibrate import (
    Measurement,
    errors_percent,
    fit_cluster,
    published,
)
from nestrade_lib.book.simulate.collectives import (
    ring_bytes,
    ring_seconds,
    server_seconds,
)
from nestrade_lib.book.simulate.laws import (
    amdahl,
    gustafson,
    sample_efficiency,
    steps_to_loss,
)
from nestrade_lib.book.simulate.plan import Plan, nestrade_seconds, plan
from nestrade_lib.book.simulate.step import (
    SimulatedCluster,
    Workload,
    efficiency,
    step_seconds,
    throughput,
)

__all__ = [
    "SimulatedCluster",
    "Measurement",
    "Plan",
    "Workload",
    "amdahl",
    "efficiency",
    "errors_percent",
    "fit_cluster",
    "gustafson",
    "nestrade_seconds",
    "plan",
    "published",
    "ring_bytes",
    "ring_seconds",
    "sample_efficiency",
    "server_seconds",
    "step_seconds",
    "steps_to_loss",
    "throughput",
]
