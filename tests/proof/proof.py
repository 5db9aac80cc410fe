#!/usr/bin/env python3
"""The long check that no crash loses anything: ./dev proof.

Runs the simulator's tests for as long as there is time, each with its fixed seed
and with a fresh one, then the mutation check, and prints one table. The
arguments: a file that lists the simulator's tests, the mutation check, and files
that list the programs that are for it.
"""

import concurrent.futures
import os
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile
import time

# Two programs at a time, each case of one after the other: together well below ten minutes.
SIMULATOR_SECONDS = 240
JOBS = 2

# What a test says of itself.
_TARGET = re.compile(
    r"^proof: (?P<name>.+?), (?P<states>\d+) states, (?P<again>\d+) crashes in recovery, "
    r"(?P<seconds>[\d.]+) s"
)
# What GoogleTest says of the case around it.
_BEGUN = re.compile(r"^\[ RUN      \] \w+\.(?P<case>\S+)")
_MUTANTS = re.compile(
    r"^proof: mutants, (?P<killed>\d+) of (?P<all>\d+) killed .*, (?P<seconds>\d+) s"
)


def targets_in(output):
    """[(name, states, crashes in recovery, seconds), ...]"""
    found, case = [], ""
    for row in output.splitlines():
        if match := _BEGUN.match(row):
            case = match["case"]
        elif match := _TARGET.match(row):
            name = f"{match['name']}, {case}"
            found.append((name, match["states"], match["again"], match["seconds"]))
    return found


def cases_in(program):
    rows = subprocess.run(
        [program, "--gtest_list_tests"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return sum(1 for row in rows if row.startswith("  "))


def simulate(program, seconds, seed):
    """The exit status and what it said. `seed`: None for the program's own."""
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        environment = {
            **os.environ,
            "TEST_TMPDIR": folder,
            "MORSEL_ADDRESSES": "",  # as in .bazelrc: the host's registry is none of the disk's
            "MORSEL_PROOF_SECONDS": f"{seconds:.1f}",
        }
        if seed is not None:
            environment["MORSEL_SEED"] = str(seed)
        done = subprocess.run(
            [program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    return done.returncode, done.stdout


def simulate_all(programs, seed):
    """[(program, seed, status, output)], each program with its own seed and with a fresh one."""
    runs = [(program, s) for program in programs for s in (None, seed)]
    cases = {program: cases_in(program) for program in programs}
    # Every case of a run gets the same time, and all of it is used.
    seconds = SIMULATOR_SECONDS * JOBS / max(1, sum(cases[program] for program, _ in runs))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        futures = [pool.submit(simulate, program, seconds, s) for program, s in runs]
        return [(program, s, *future.result()) for (program, s), future in zip(runs, futures)]


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def programs_named(path):
    return [str(pathlib.Path(name).resolve()) for name in pathlib.Path(path).read_text().split()]


def mutate(runner, listings):
    """The exit status, and the row of the table."""
    process = subprocess.Popen([runner, *listings], stdout=subprocess.PIPE, text=True)
    killed = "no score", "0"
    for row in process.stdout:
        print(row, end="", flush=True)
        if match := _MUTANTS.match(row):
            killed = f"{match['killed']} of {match['all']}", match["seconds"]
    return process.wait(), killed


def main():
    simulations, runner, *mutants = sys.argv[1:]
    started = time.monotonic()
    seed = secrets.randbits(32)
    print(f"the fresh seed: MORSEL_SEED={seed}", flush=True)
    programs = programs_named(simulations)
    rows = [("target", "states", "crashes in recovery", "mutants killed", "seconds")]
    bad = []
    for program, given, status, output in simulate_all(programs, seed):
        name = pathlib.PurePath(program).name
        which = "its seed" if given is None else "fresh seed"
        if status != 0:
            bad.append(f"{name} ({which})")
            print(output)
        rows += [
            (f"{target} ({which})", states, again, "", seconds)
            for target, states, again, seconds in targets_in(output)
        ]
    status, (killed, seconds) = mutate(runner, mutants)
    if status != 0:
        bad.append("the mutation check")
    rows.append(("mutation check", "", "", killed, seconds))
    rows.append(("all", "", "", "", f"{time.monotonic() - started:.0f}"))
    print(table(rows))
    if bad:
        print("FAILED: " + ", ".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
