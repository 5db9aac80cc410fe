#!/usr/bin/env python3
"""How long a fine morsel takes to open after a clean close and after SIGKILL, by live objects."""

import argparse
import pathlib
import statistics
import sys

sys.dont_write_bytecode = True

import programs
import report

COLUMNS = [
    *("objects", "after", "round", "open_ms", "first_allocation_ms", "further_allocations_ms"),
    "unreached_bytes",
]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", default="100000,1000000,10000000", help="live, of 64 bytes")
    parser.add_argument("--new", type=int, default=100_000, help="to allocate after each opening")
    parser.add_argument("--rounds", type=int, default=5, help="the median of them is shown")
    parser.add_argument(
        "--folder", default="/dev/shm", help="for a pool: on (emulated) persistent memory"
    )
    parser.add_argument("--out", type=pathlib.Path, default="bench-results", help="for opening.csv")
    options = parser.parse_args(arguments)
    options.objects = [int(objects) for objects in options.objects.split(",")]
    return options


def measure(options):
    program = programs.HERE / "opening_program"
    # What a pool has to have: its objects, what is leaked by kills, and room to grow. One size for
    # all: to open a pool is to read its catalog, which has a place for each subtree.
    size = (max(options.objects) + options.new * (options.rounds + 1)) * 128 + (64 << 20)
    with programs.scratch_folder(options.folder) as folder:
        commands = {
            objects: [program, f"--pool={folder}/pool-{objects}", f"--new={options.new}"]
            for objects in options.objects
        }
        for objects, command in commands.items():
            programs.run([*command, f"--prepare={objects}", f"--size={size}"])
        for after in ("close", "kill"):
            kill = ["--kill"] if after == "kill" else []
            if kill:
                # The first process that is killed had found a clean close.
                for command in commands.values():
                    programs.run([*command, *kill], may_be_killed=True)
            for number in range(1, options.rounds + 1):
                for command in commands.values():
                    result = programs.run_json([*command, *kill], may_be_killed=bool(kill))
                    yield {
                        "objects": result["objects"],
                        "after": after,
                        "round": number,
                        "open_ms": result["open_ns"] / 1e6,
                        "first_allocation_ms": result["first_ns"] / 1e6,
                        "further_allocations_ms": result["all_ns"] / 1e6,
                        "unreached_bytes": result["unreached_bytes"],
                    }


def text(rows):
    lines = []
    for objects, after in dict.fromkeys((row["objects"], row["after"]) for row in rows):
        of = [row for row in rows if (row["objects"], row["after"]) == (objects, after)]
        median = {column: statistics.median(row[column] for row in of) for column in COLUMNS[3:]}
        lines.append(
            [
                *(str(objects), after, f"{median['open_ms']:.3f}"),
                f"{max(row['open_ms'] for row in of):.3f}",
                *(f"{median[column]:.3f}" for column in COLUMNS[4:6]),
                f"{of[-1]['unreached_bytes']}",
            ]
        )
    header = ["objects", "after", "open", "worst", "first", "further", "unreached bytes at last"]
    return report.aligned("open and root, and allocations afterwards: ms, median", header, lines)


def main(arguments):
    options = parse(arguments)
    with report.CsvFile(options.out / "opening.csv", COLUMNS) as file:
        rows = file.write_all(measure(options))
    print(text(rows))
    print("every object was whole after each opening, and overlapped by none of the new ones")
    print(f"{options.out}/opening.csv")
    return 0


if __name__ == "__main__":
    programs.end_with(main)
