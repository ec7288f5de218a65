"""Means, spreads, intervals and Pareto fronts of the rows of a comparison."""

import statistics

# Two-sided 95 % quantiles of Student's t, by degrees of freedom.
QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
)  # fmt: skip
MEASURED = (
    "test_error_percent", "macs", "nonzero_macs", "params", "seconds", "processor_seconds",
    "file_kb", "file_gzip_kb", "lines",
)  # fmt: skip
TIMED = "latency_ms_1", "latency_ms_256"  # by the clock, which other programs only slow


def summarize(networks, peers=None):
    """A summary by network, budget and peer.

    Dense peers are in each budget. Times are shares of the dense run of the same framework
    and seed; `behind` is the test error less Nestrade's of the same seed, with a 95 %
    interval.
    """
    if peers is None:
        from benchmarks.compare.peers import PEERS as peers
    summary = {}
    for network, content in networks.items():
        rows = {(x["peer"], x["budget"], x["seed"]): x for x in content["rows"]}
        budgets = sorted({budget for _, budget, _ in rows if budget < 1}, reverse=True)
        summary[network] = {
            f"{100 * budget:g}%": {
                name: _summary(name, budget, rows, peers)
                for name in peers
                if any((name, b) == key[:2] for key in rows for b in (budget, 1.0))
            }
            for budget in budgets
        }
    return summary


def _summary(name, budget, rows, peers):
    peer = peers[name]
    own = {seed: row for (who, b, seed), row in rows.items()
           if who == name and b == (1.0 if peer.is_dense else budget)}  # fmt: skip
    pairs = {seed: rows.get((peer.pair, 1.0, seed)) for seed in own}
    dense = next((row for row in pairs.values() if row), None)
    result = {"label": peer.label, "seeds": sorted(own)}
    for figure in MEASURED:
        result[figure] = spread([row[figure] for row in own.values()])
    if own and all(row.get("memory_mb") for row in own.values()):
        result["memory_mb"] = spread([row["memory_mb"] for row in own.values()])
    for figure in TIMED:
        result[figure] = {"median": _median([row[figure] for row in own.values()])}
    for cost in ("macs", "nonzero_macs", "params"):
        if dense:
            base = dense[cost.removeprefix("nonzero_")]
            result[f"{cost}_percent"] = 100 * result[cost]["mean"] / base
    for time in ("seconds", "processor_seconds"):
        shares = [own[s][time] / pairs[s][time] for s in own if pairs[s]]
        result[f"{time}_share"] = spread(shares)
    result["is_plain"] = all(row["is_plain"] for row in own.values())
    moved = [row["largest_difference"] for row in own.values()]
    result["largest_difference"] = max(
        (x for x in moved if x is not None), default=None
    )
    result["behind"] = paired(own, {s: rows.get(("nestrade", budget, s)) for s in own})
    return result


def paired(rows, others):
    """Test error less that of others, seed by seed: mean, and a 95 % interval of it."""
    differences = [
        rows[seed]["test_error_percent"] - other["test_error_percent"]
        for seed, other in others.items()
        if other
    ]
    if not differences:
        return None
    mean, n = statistics.fmean(differences), len(differences)
    result = {"mean": mean, "pairs": n}
    if n > 1:
        t = QUANTILES[min(n - 1, len(QUANTILES)) - 1]
        half = t * statistics.stdev(differences) / n**0.5
        result |= {"low": mean - half, "high": mean + half}
    return result


def _median(values):
    """The median of some numbers; None without any."""
    return statistics.median(values) if values else None


def spread(values):
    """Mean and standard deviation of some numbers; None without any."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "sd": deviation}


def front(points):
    """Which of some points (cost, error) no other one beats: a Pareto front.

    >>> front({"a": (1, 5), "b": (2, 3), "c": (3, 4), "d": (4, 1)})
    ['a', 'b', 'd']
    """
    return [
        name
        for name, (cost, error) in points.items()
        if not any(
            c <= cost and e <= error and (c, e) != (cost, error)
            for c, e in points.values()
        )
    ]
