#!/usr/bin/env python3
"""Compares our heap with other allocators: rates, flushes and fences.

Writes a table, a CSV file and a picture.
"""

import argparse
import fnmatch
import pathlib
import sys

sys.dont_write_bytecode = True

import picture
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, e.g. 1,2,16")
    parser.add_argument("--rounds", type=int, default=5, help="the median of them is shown")
    parser.add_argument("--only", default="*", help="workloads, e.g. threadtest-64,durable-*")
    parser.add_argument("--rivals", default="*", help="allocators, e.g. morsel,mimalloc")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each thread, in each run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shrink", type=int, default=1, help="divides the numbers of objects")
    parser.add_argument("--size", type=int, default=2 << 30, help="bytes that a file may have")
    parser.add_argument(
        "--folder", default="/dev/shm", help="for files: on (emulated) persistent memory"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default="bench-results", help="for compare.csv and .svg"
    )
    options = parser.parse_args(arguments)
    options.threads = [int(threads) for threads in options.threads.split(",")]
    return options


def chosen(names, patterns):
    return [name for name in names if any(fnmatch.fnmatch(name, p) for p in patterns.split(","))]


def contests(rivals, options):
    """(workload, threads, the rivals that can run it), in the order of the workloads."""
    can_run = {}
    for rival in rivals:
        for workload, threads_min in rival.workloads().items():
            can_run.setdefault(workload, (threads_min, []))[1].append(rival)
    return [
        (workload, threads, can_run[workload][1])
        for workload in chosen(can_run, options.only)
        for threads in options.threads
        # A pair of threads for each producer.
        if threads % can_run[workload][0] == 0
    ]


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
            ]
            return programs.run_json(command, preload=preload)

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
            # Nobody always follows the same other.
            shift = round_number % len(contestants)
            for rival in contestants[shift:] + contestants[:shift]:
                yield measurer.row(rival, workload, threads, round_number)


def main(arguments):
    options = parse(arguments)
    found = programs.rivals(programs.HERE / "rivals" / "compare")
    rivals = [found[name] for name in chosen(found, options.rivals)]
    with report.CsvFile(options.out / "compare.csv", COLUMNS) as file:
        print(" | ".join(file.facts.values()), f"| seed {options.seed}", flush=True)
        rows = file.write_all(measure(rivals, options))
    results = table.Results(rows)
    print(table.text(results))
    picture.draw(results, options.out / "compare.svg")
    print(f"{options.out}/compare.csv, {options.out}/compare.svg")
    return 0


if __name__ == "__main__":
    programs.end_with(main)
