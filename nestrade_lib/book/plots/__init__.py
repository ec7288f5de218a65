"""The book's figures.

Every function draws on new axes and returns the figure; ``plt.show()`` ends the cell.
"""

from nestrade_lib.lazy import lazy_names

_HOME = {
    "plot_channels": "channels",
    "plot_widths": "channels",
    "plot_digits": "digits",
    "plot_answers": "digits",
    "timeline": "feeds",
    "plot_timelines": "feeds",
    "plot_rates": "feeds",
    "plot_shares": "feeds",
    "plot_busy": "feeds",
    "plot_split": "replicas",
    "plot_ring": "replicas",
    "plot_step": "replicas",
    "plot_efficiency": "replicas",
    "plot_rules": "replicas",
    "plot_costs": "training",
    "plot_history": "training",
    "plot_run": "training",
    "plot_curve": "training",
    "plot_kernels": "weights",
    "plot_steps": "weights",
    "plot_norms": "weights",
    "plot_lives": "workers",
    "plot_lost": "workers",
    "plot_published": "workers",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
