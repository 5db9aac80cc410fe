#!/usr/bin/env python3
"""Takes away every flush, fence, persist, publish and sync, one at a time, and requires
that a test fails. Prints the list and the score.

What misbehaves is decided by a switch in the seam (tests/mutation/seam/mutation_switch.h), in
programs that are built with it (mutable_tests in rules.bzl). First each test runs
with nothing wrong and notes which sites it reaches; then, for each site and each
way to do it wrong, the tests that reach it run until one fails, the most promising
first. What survives is a missing test or a needless call, or stands in
equivalent.txt with the reason why nobody can tell the difference.
"""

import argparse
import pathlib
import sys
import time

sys.dont_write_bytecode = True

import baseline
import check
import equivalent
import mutants
import programs
import sites

# Tests of what things cost count flushes and fences: they would kill nearly all mutants, and show
# nothing of what a crash leaves.
COUNTS = "Cost"

# Some simulators go on for half a minute. The short check tries last what takes longer than this
# when nothing is wrong.
SHORT_SECONDS = 6

HERE = pathlib.Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("programs", nargs="+", help="tests, or a .txt that names some")
    parser.add_argument("--seconds", type=float, default=3600, help="stop by then")
    parser.add_argument("--test-seed", type=int, default=1, help="MORSEL_SEED of the tests")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--short", action="store_true", help="long tests last, and no equivalent mutants"
    )
    parser.add_argument("--only", default="", help="mutants of sites whose name has this in it")
    parser.add_argument("--list", action="store_true", help="only name the mutants")
    return parser.parse_args()


def programs_named(names):
    found = []
    for name in names:
        if name.endswith(".txt"):
            found += pathlib.Path(name).read_text(encoding="utf-8").split()
        else:
            found.append(name)
    return [str(pathlib.Path(name).resolve()) for name in found]


def show(verdict):
    mutant = verdict.mutant
    by = f"  by {verdict.by}" if verdict.by else f"  {verdict.tests} tests"
    print(f"{verdict.ending:10} {mutant.mutation:10} {mutant.site}{by}, {verdict.seconds:.1f} s")
    sys.stdout.flush()


def score(verdicts, seconds):
    count = {ending: 0 for ending in ("killed", "equivalent", "survived", "undecided")}
    for verdict in verdicts:
        count[verdict.ending] += 1
    late = sum(1 for verdict in verdicts if verdict.by.endswith("(timeout)"))
    return (
        f"proof: mutants, {count['killed']} of {len(verdicts)} killed ({late} by timeouts), "
        f"{count['equivalent']} equivalent, {count['survived']} survived, "
        f"{count['undecided']} undecided, {seconds:.0f} s"
    )


def main():
    options = arguments()
    started = time.monotonic()
    whole = not options.only
    equivalents = equivalent.parse((HERE / "equivalent.txt").read_text(encoding="utf-8"))
    cases = [
        case
        for program in programs_named(options.programs)
        for case in programs.cases_in(program)
        if COUNTS not in case.name
    ]
    print(f"MORSEL_SEED={options.test_seed}")
    slow = SHORT_SECONDS if options.short else 600
    reaches = baseline.measure(cases, options.jobs, slow, options.short, options.test_seed)
    deadline = started + options.seconds
    for reach in reaches:
        if reach.cut_short:
            print(f"{reach.case} takes longer than {slow:.0f} s: tried where no other helps")
    run = check.Check(reaches, equivalents, options.jobs, options.test_seed, deadline)
    everything = mutants.all_mutants(run.sites)
    chosen = [mutant for mutant in everything if options.only in mutant.site]
    if options.short:
        chosen = [mutant for mutant in chosen if mutant.key not in equivalents]
    print(
        f"{len(cases)} tests, {len(reaches)} reach {len(run.sites)} sites, "
        f"{len(chosen)} of {len(everything)} mutants, {time.monotonic() - started:.0f} s so far"
    )
    if options.list:
        for mutant in everything:
            print(f"{mutant.mutation:10} {mutant.site}")
        return 0
    verdicts = run.judge_all(chosen, show)
    # Long tests, which the short check ends early, alone come to some of the equivalent ones.
    known = {mutant.key for mutant in everything} if whole and not options.short else None
    missed = sites.never_reached(run.sites, sites.Sources()) if whole else []
    found = check.failures(verdicts, equivalents, known, missed)
    for failure in found:
        print(failure)
    print(score(verdicts, time.monotonic() - started))
    return 1 if found or not everything else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except baseline.Broken as error:
        sys.exit(str(error))
