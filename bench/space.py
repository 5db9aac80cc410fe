#!/usr/bin/env python3
"""Bytes taken from the medium over bytes asked for.

It measures our heap, and the resident memory of mimalloc beside it.
"""

import argparse
import json
import pathlib
import sys

sys.dont_write_bytecode = True

import programs
import report

COLUMNS = ["seed", "rival", "workload", "stage", "asked_bytes", "taken_bytes"]
# Memory of these ends where their file does.
BOUNDED = {"morsel"}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rivals", default="morsel,mimalloc", help="also glibc, jemalloc")
    parser.add_argument("--objects", type=int, default=10**6, help="of 64 bytes")
    parser.add_argument(
        "--allocations", type=int, default=10**7, help="of random sizes, in each churn"
    )
    parser.add_argument("--churns", type=int, default=10)
    parser.add_argument("--live", type=int, default=256 << 20, help="bytes in use during churns")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--folder", default="/dev/shm", help="for files: on (emulated) persistent memory"
    )
    parser.add_argument("--out", type=pathlib.Path, default="bench-results", help="for space.csv")
    return parser.parse_args(arguments)


def workloads(rival, options):
    """(name, further options)"""
    yield "equal", [f"--objects={options.objects}"]
    churns = [f"--churns={options.churns}", f"--live={options.live}"]
    yield "churn", [f"--objects={options.allocations}", *churns]
    if rival in BOUNDED:
        yield "full", [*churns, f"--size={options.live}"]


def measure(rivals, options):
    for rival in rivals:
        for workload, further in workloads(rival.name, options):
            with programs.scratch_folder(options.folder) as folder:
                command = [rival.program, f"--workload={workload}", f"--folder={folder}"]
                lines = programs.run([*command, f"--seed={options.seed}", *further]).splitlines()
            for stage in map(json.loads, lines):
                yield {"seed": options.seed, "rival": rival.name, "workload": workload} | stage


def text(rows):
    names = list(dict.fromkeys(row["rival"] for row in rows))
    ratios = {
        (row["stage"], row["rival"]): row["taken_bytes"] / row["asked_bytes"]
        for row in rows
        if row["asked_bytes"]
    }
    stages = list(dict.fromkeys(row["stage"] for row in rows if row["asked_bytes"]))
    lines = []
    for stage in stages:
        cells = [ratios.get((stage, name)) for name in names]
        lines.append([stage, *("" if cell is None else f"{cell:.3f}" for cell in cells)])
    return report.aligned("bytes taken over bytes asked for", ["", *names], lines)


def smallest(options):
    with programs.scratch_folder(options.folder) as folder:
        room = programs.run_json([programs.HERE / "smallest", folder])
    return (
        f"\na morsel of {room['size_bytes']} bytes has room for a block of each of "
        f"{room['classes']} size classes together,\n"
        f"or for {room['bytes_in_64']} bytes in blocks of 64, or for "
        f"{room['bytes_in_4096']} in blocks of 4096, or for one block of {room['largest_bytes']}"
    )


def main(arguments):
    options = parse(arguments)
    found = programs.rivals(programs.HERE / "rivals" / "space")
    rivals = [found[name] for name in options.rivals.split(",")]
    with report.CsvFile(options.out / "space.csv", COLUMNS) as file:
        rows = file.write_all(measure(rivals, options))
    print(text(rows))
    print(smallest(options))
    print(f"{options.out}/space.csv")
    return 0


if __name__ == "__main__":
    programs.end_with(main)
