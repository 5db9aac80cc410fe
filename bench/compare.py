#!/usr/bin/env python3
"""Compares our heap with other allocators: rates, flushes and fences.

Writes a table, a CSV file and a picture.
"""

import dataclasses
import sys

sys.dont_write_bytecode = True

import contest
import floors
import floors_picture
import picture
import prefix
import programs
import report
import table

COLUMNS = [
    *("seed", "workload", "threads", "rival", "version", "round"),
    *("operations", "cpu_seconds", "wall_seconds", "mops_per_cpu_second"),
    *("mops_per_second", "lines_per_operation", "fences_per_operation"),
]
# Whose flushes go through what libcount.so stands before.
COUNTED = {"morsel", "pmemobj", "pmemobj_reserve"}


def parse(arguments):
    parser = contest.parser(
        __doc__,
        only="workloads, e.g. threadtest-64,durable-*",
        rivals="allocators, e.g. morsel,mimalloc",
        out="for compare.csv and .svg",
    )
    parser.add_argument(
        "--threads",
        default="1,2",
        help="numbers, e.g. 1,2,16; a workload that needs more than all of these gets its least",
    )
    parser.add_argument("--seconds", type=float, default=0.3, help="of each thread, in each run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shrink", type=int, default=1, help="divides the numbers of objects")
    parser.add_argument(
        "--checkpoints", type=int, default=100, help="of the snapshot morsel before it is measured"
    )
    parser.add_argument("--size", type=int, default=2 << 30, help="bytes that a file may have")
    parser.add_argument(
        "--folder", default="/dev/shm", help="for files: on (emulated) persistent memory"
    )
    options = parser.parse_args(arguments)
    options.threads = [int(threads) for threads in options.threads.split(",")]
    return options


def contests(rivals, options):
    """(workload, threads, the rivals that can run it), in the order of the workloads.

    A workload of several threads runs on multiples of their number; on that number itself where
    none of those that were asked for is as large.
    """
    can_run = {}
    for rival in rivals:
        for workload, threads_min in rival.workloads().items():
            can_run.setdefault(workload, (threads_min, []))[1].append(rival)
    return [
        (workload, threads, can_run[workload][1])
        for workload in contest.chosen(can_run, options.only)
        for threads in fitting(options.threads, can_run[workload][0])
    ]


def fitting(asked, least):
    if max(asked) < least:
        return [least]
    return [threads for threads in asked if threads % least == 0]


def all_rivals(options):
    found = programs.rivals(programs.HERE / "rivals" / "compare")
    for name, library in prefix.found(options.prefix).items():
        found[name] = dataclasses.replace(found["glibc"], name=name, preload=library)
    return found


class Measurer:
    def __init__(self, options):
        self.options = options
        self.counts = {}  # of (rival, workload): (lines, fences) per operation

    def run(self, rival, workload, threads, seconds, preload=None):
        with programs.scratch_folder(self.options.folder) as folder:
            command = [
                *(rival.program, f"--workload={workload}", f"--threads={threads}"),
                *(f"--seconds={seconds}", f"--seed={self.options.seed}", f"--folder={folder}"),
                *(f"--shrink={self.options.shrink}", f"--size={self.options.size}"),
                f"--checkpoints={self.options.checkpoints}",
            ]
            return programs.run_json(command, preload=preload or rival.preload)

    def flushes(self, rival, workload, threads):
        """Counted once and in a run of its own, since counting takes time."""
        if rival.name not in COUNTED:
            return None, None
        if (rival, workload) not in self.counts:
            library = programs.HERE / "libcount.so"
            result = self.run(rival, workload, threads, self.options.seconds / 4, preload=library)
            per_operation = [result[what] / result["operations"] for what in ("lines", "fences")]
            self.counts[rival, workload] = [f"{number:.3f}" for number in per_operation]
        return self.counts[rival, workload]

    def row(self, rival, workload, threads, round_number):
        lines, fences = self.flushes(rival, workload, threads)
        result = self.run(rival, workload, threads, self.options.seconds)
        operations = result["operations"]
        return {
            "seed": self.options.seed,
            "workload": workload,
            "threads": threads,
            "rival": rival.name,
            "version": result["version"],
            "round": round_number,
            "operations": operations,
            "cpu_seconds": result["cpu_ns"] / 1e9,
            "wall_seconds": result["wall_ns"] / 1e9,
            "mops_per_cpu_second": operations * 1e3 / result["cpu_ns"],
            "mops_per_second": operations * 1e3 / result["wall_ns"],
            "lines_per_operation": lines,
            "fences_per_operation": fences,
        }


def measure(rivals, options):
    """Rows, round by round: what disturbs the machine for a while disturbs all rivals."""
    measurer = Measurer(options)
    planned = contests(rivals, options)
    for round_number in range(1, options.rounds + 1):
        for workload, threads, contestants in planned:
            for rival in contest.order(contestants, round_number):
                yield measurer.row(rival, workload, threads, round_number)


def report_floors(results, out):
    with report.CsvFile(out / "floors.csv", floors.COLUMNS) as file:
        rows = file.write_all(floors.rows(results))
    if rows:
        print(floors.text(rows))
        floors_picture.draw(rows, out / "floors.svg")
        print(f"{out}/floors.csv, {out}/floors.svg")


def main(arguments):
    options = parse(arguments)
    found = all_rivals(options)
    rivals = [found[name] for name in contest.chosen(found, options.rivals)]
    with report.CsvFile(options.out / "compare.csv", COLUMNS) as file:
        print(" | ".join(file.facts.values()), f"| seed {options.seed}")
        print(*prefix.missing(options.prefix), sep="\n", flush=True)
        rows = file.write_all(measure(rivals, options))
    results = table.Results(rows)
    print(table.text(results))
    picture.draw(results, options.out / "compare.svg")
    print(f"{options.out}/compare.csv, {options.out}/compare.svg")
    report_floors(results, options.out)
    return 0


if __name__ == "__main__":
    programs.end_with(main)
