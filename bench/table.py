"""What was measured, as text."""

import statistics

from report import aligned, number

# What volatile workloads and durable ones are compared with.
BASELINES = ("mimalloc", "pmemobj")


def is_durable(workload):
    return workload.startswith("durable-")


class Results:
    """Medians of rows."""

    def __init__(self, rows):
        self.rows = rows
        self.rivals = _ours_first(row["rival"] for row in rows)
        self.contests = list(dict.fromkeys((row["workload"], row["threads"]) for row in rows))

    def values(self, workload, threads, rival, column):
        """Of each round; none where the rival did not run it, or has no such number."""
        key = (workload, threads, rival)
        return [
            float(row[column])
            for row in self.rows
            if (row["workload"], row["threads"], row["rival"]) == key and row[column] is not None
        ]

    def median(self, workload, threads, rival, column):
        """None where there are no values."""
        values = self.values(workload, threads, rival, column)
        return statistics.median(values) if values else None

    def ratio(self, workload, threads, rival, column):
        """To the baseline of the workload; None without one of the two."""
        baseline = self.median(workload, threads, BASELINES[is_durable(workload)], column)
        value = self.median(workload, threads, rival, column)
        return value / baseline if value and baseline else None


def _ours_first(names):
    return sorted(set(names), key=lambda name: (not name.startswith("morsel"), name))


def _rates(results, column):
    for workload, threads in results.contests:
        yield [workload, str(threads)] + [
            number(results.median(workload, threads, rival, column)) for rival in results.rivals
        ]


def _ratios(results, column):
    for workload, threads in results.contests:
        yield [workload, str(threads)] + [
            number(results.ratio(workload, threads, rival, column)) for rival in results.rivals
        ]


def _flushes(results, counted):
    for workload, threads in results.contests:
        pairs = []
        for rival in counted:
            lines = results.median(workload, threads, rival, "lines_per_operation")
            fences = results.median(workload, threads, rival, "fences_per_operation")
            pairs.append("" if lines is None else f"{lines:.2f} / {fences:.2f}")
        yield [workload, str(threads), *pairs]


def _spread(results, column):
    """How far to trust the medians."""
    spreads = []
    for workload, threads in results.contests:
        for rival in results.rivals:
            if values := results.values(workload, threads, rival, column):
                spreads.append((max(values) - min(values)) / statistics.median(values))
    spreads.sort()
    half, nine_tenths = (spreads[int(len(spreads) * part)] for part in (0.5, 0.9))
    return (
        f"rounds differ by {half:.0%} of their median in half of the cells, "
        f"by {nine_tenths:.0%} or more in a tenth (by processor time)"
    )


def text(results):
    head = ["", "threads"]
    cpu, wall = "mops_per_cpu_second", "mops_per_second"
    baselines = "{} (durable-*: {})".format(*BASELINES)
    counted = _ours_first(
        row["rival"] for row in results.rows if row["lines_per_operation"] is not None
    )
    parts = [
        ("million operations per second of processor time", results.rivals, _rates(results, cpu)),
        (f"the same, over that of {baselines}", results.rivals, _ratios(results, cpu)),
        ("million operations per second on the wall", results.rivals, _rates(results, wall)),
        (f"the same, over that of {baselines}", results.rivals, _ratios(results, wall)),
        ("lines flushed / fences, per operation", counted, _flushes(results, counted)),
    ]
    tables = [
        aligned(title, head + list(columns), list(rows))
        for title, columns, rows in parts
        if columns
    ]
    return "\n".join([*tables, "", _spread(results, cpu)])
