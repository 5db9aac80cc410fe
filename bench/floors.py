"""How both contracts compare with what a user would take else, and with what is asked of them."""

import dataclasses
import statistics

import table
from report import aligned

CONTRACTS = {"fine": "morsel", "snapshot": "morsel_snapshot"}
DEBIANS = ("mimalloc", "jemalloc")

# Operations per second of processor time over the best of Debian's two, of durable workloads over
# libpmemobj.
FLOORS = {
    "threadtest-64": 1.0,
    "threadtest-256": 1.0,
    "threadtest-2k": 1.5,
    "threadtest-64k": 1.0,
    "pairs-64": 1.0,
    "mixed-64-1000": 1.0,
    "larson": 1.0,
    "producer-consumer": 1.5,
    "xmalloc-test": 1.0,
    "durable-link": 4.5,
    "durable-link-16": 25.0,
}
# Of each workload in which snapshot takes part.
SNAPSHOT_OVER_FINE = 0.95
COLUMNS = ["workload", "threads", "compared", "with", "ratio", "least", "most", "floor", "reached"]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Of two rivals, round by round: what disturbed the machine disturbed both."""

    other: str
    rounds: tuple

    @property
    def median(self):
        return statistics.median(self.rounds)


def ratio(results, workload, threads, ours, others):
    """To the best of the others; None where one of the two is not there."""
    column = "mops_per_cpu_second"
    own = results.values(workload, threads, ours, column)
    ratios = []
    for other in others:
        values = results.values(workload, threads, other, column)
        if own and values:
            ratios.append(Ratio(other, tuple(a / b for a, b in zip(own, values))))
    return min(ratios, key=lambda one: one.median, default=None)


def rows(results):
    """Of each workload that has a floor: both contracts over others, and over each other."""
    for workload, threads in results.contests:
        if workload not in FLOORS:
            continue
        others = ("pmemobj",) if table.is_durable(workload) else DEBIANS
        for contract, rival in CONTRACTS.items():
            if found := ratio(results, workload, threads, rival, others):
                yield _row(workload, threads, contract, found, FLOORS[workload])
        fine_and_snapshot = ratio(results, workload, threads, "morsel_snapshot", ("morsel",))
        if fine_and_snapshot:
            yield _row(workload, threads, "snapshot", fine_and_snapshot, SNAPSHOT_OVER_FINE)


def _row(workload, threads, contract, found, floor):
    values = [workload, threads, contract, found.other, found.median]
    values += [min(found.rounds), max(found.rounds), floor, found.median >= floor]
    return dict(zip(COLUMNS, values))


def text(floor_rows):
    """A line for each workload and number of threads."""
    lines = {}
    for row in floor_rows:
        cells = lines.setdefault((row["workload"], row["threads"]), {})
        if row["with"] == "morsel":
            cells["over fine"] = _cell(row)
            continue
        cells[row["compared"]] = _cell(row)
        cells.update({"floor": f"{row['floor']:g}", "with": row["with"]})
    header = ["", "threads", "floor", "fine", "snapshot", "with", "over fine"]
    body = [
        [workload, str(threads)] + [cells.get(column, "") for column in header[2:]]
        for (workload, threads), cells in lines.items()
    ]
    title = (
        "operations per second of processor time, over the best of Debian's mimalloc and jemalloc "
        "(durable-*: pmemobj),\nand of snapshot over fine; medians of the rounds' ratios; "
        f"!: below the floor (over fine: {SNAPSHOT_OVER_FINE:g})"
    )
    below = sum(not row["reached"] for row in floor_rows)
    return f"{aligned(title, header, body)}\n\n{below} of {len(floor_rows)} are below their floor"


def _cell(row):
    # So many digits that no rounding hides on which side of the floor it is.
    return f"{row['ratio']:.3f}" + ("  " if row["reached"] else " !")
