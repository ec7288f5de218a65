"""Self-checks for the book's exercises: they work offline and say what is wrong.

Each takes the reader's answer and returns nothing but praise, or raises an
`AssertionError` with what was expected and what came, without the solution.
A file holds the checks of one subject; all are called from here.

>>> from nestrade_lib.book import exercises
>>> exercises.check_soft_threshold([0.0, -0.7, 0.3])
Right: half a unit closer to zero, and never past it.
"""

from nestrade_lib.book.exercises.choices import check_choice
from nestrade_lib.book.exercises.comparison import (
    check_fixed_time,
    check_front,
    check_paired_interval,
    check_seeds_needed,
)
from nestrade_lib.book.exercises.data_parallel import (
    check_lighter_vgg,
    check_merged_statistics,
    check_ring_traffic,
    check_weighted_average,
)
from nestrade_lib.book.exercises.deployment import (
    check_folded_norm,
    check_quantize,
    check_quantized_bytes,
    check_share_for_half,
)
from nestrade_lib.book.exercises.getting_started import (
    check_convolution_macs,
    check_l1_penalty,
    check_small_network,
    check_softmax,
)
from nestrade_lib.book.exercises.input_pipelines import (
    check_batch_costs,
    check_needed_rate,
    check_shifted,
    check_worker_rows,
)
from nestrade_lib.book.exercises.many_machines import (
    check_devices_for_deadline,
    check_hours_between_failures,
    check_node_names,
    check_read_newest,
)
from nestrade_lib.book.exercises.regularization import (
    check_dropout_variance,
    check_elastic_step,
    check_few_units,
    check_soft_threshold,
)
from nestrade_lib.book.exercises.structure import (
    check_channel_parameters,
    check_kept_rows,
    check_layer_rule,
    check_lenet_macs,
)
from nestrade_lib.book.exercises.training import (
    check_budget_path,
    check_mean_and_spread,
    check_reading_scores,
    check_two_budgets,
)

__all__ = [
    "check_batch_costs",
    "check_budget_path",
    "check_channel_parameters",
    "check_choice",
    "check_convolution_macs",
    "check_devices_for_deadline",
    "check_dropout_variance",
    "check_elastic_step",
    "check_few_units",
    "check_fixed_time",
    "check_folded_norm",
    "check_front",
    "check_hours_between_failures",
    "check_kept_rows",
    "check_l1_penalty",
    "check_layer_rule",
    "check_lenet_macs",
    "check_lighter_vgg",
    "check_mean_and_spread",
    "check_merged_statistics",
    "check_needed_rate",
    "check_node_names",
    "check_paired_interval",
    "check_read_newest",
    "check_quantize",
    "check_quantized_bytes",
    "check_reading_scores",
    "check_ring_traffic",
    "check_seeds_needed",
    "check_share_for_half",
    "check_shifted",
    "check_small_network",
    "check_soft_threshold",
    "check_softmax",
    "check_two_budgets",
    "check_weighted_average",
    "check_worker_rows",
]
