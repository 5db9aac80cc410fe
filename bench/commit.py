#!/usr/bin/env python3
"""What a commit costs, over what its disk takes for a plain write, and beside databases."""

import argparse
import pathlib
import statistics
import sys

sys.dont_write_bytecode = True

import commit_measures
import commit_picture
import commit_redis
import programs
import report

COLUMNS = [
    *("measure", "case", "round", "ours", "unit", "over", "theirs", "ratio", "asked", "reached")
]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default=".", help="on the disk that is meant")
    parser.add_argument("--memory", default="/dev/shm", help="a folder on tmpfs")
    parser.add_argument("--rounds", type=int, default=3, help="the median of them is shown")
    parser.add_argument("--only", default="", help="names of measures, by commas")
    parser.add_argument("--large-mib", type=int, default=4096, help="that a large morsel has used")
    parser.add_argument(
        "--short", action="store_true", help="small sizes and few commits: says nothing of times"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default="bench-results", help="for commit.csv and commit.svg"
    )
    options = parser.parse_args(arguments)
    known = [*commit_measures.MEASURES, "redis"]
    options.only = [name for name in options.only.split(",") if name] or known
    for name in options.only:
        if name not in known:
            parser.error(f"there is no '{name}'; the measures are {', '.join(known)}")
    return options


def measure(options):
    """Rounds of all, so that what disturbs the machine does not meet one measure alone."""
    for number in range(1, options.rounds + 1):
        for name in options.only:
            rows = commit_redis.rows if name == "redis" else commit_measures.MEASURES[name]
            for row in rows(options):
                yield finished(row | {"measure": name, "round": number})


def finished(row):
    """With the ratio, and whether that is what is asked for."""
    row = dict.fromkeys(COLUMNS) | row
    if row["theirs"]:
        row["ratio"] = row["ours"] / row["theirs"]
    if row["asked"] is not None:
        value = row["ours"] if row["ratio"] is None else row["ratio"]
        least = row.pop("at_least", False)
        row["reached"] = value >= row["asked"] if least else value <= row["asked"]
    return row


def _median(rows, column):
    values = [row[column] for row in rows if row[column] is not None]
    return statistics.median(values) if values else None


def text(rows):
    cases = {}
    for row in rows:
        cases.setdefault((row["measure"], row["case"]), []).append(row)
    lines = []
    for (name, case), of in cases.items():
        reached = [row["reached"] for row in of if row["reached"] is not None]
        # A case is below what is asked where most rounds were.
        mark = " !" if reached and sum(reached) * 2 < len(reached) else ""
        lines.append(
            [
                name,
                case,
                *(report.number(_median(of, "ours")), of[0]["unit"], of[0]["over"] or ""),
                *(report.number(_median(of, "theirs")), report.number(_median(of, "ratio"))),
                report.number(_median(of, "asked")) + mark,
            ]
        )
    header = ["", "case", "ours", "unit", "over", "theirs", "ratio", "asked"]
    title = "commits; medians of the rounds, and of the rounds' ratios; !: not what is asked for"
    return report.aligned(title, header, lines)


def main(arguments):
    options = parse(arguments)
    for sentence in [*commit_measures.missing(options), *commit_redis.missing(options)]:
        print(sentence)
    with report.CsvFile(options.out / "commit.csv", COLUMNS) as file:
        rows = file.write_all(measure(options))
    print(text(rows))
    print(f"{options.out}/commit.csv")
    if commit_picture.draw(rows, options.out / "commit.svg"):
        print(f"{options.out}/commit.svg")
    return 0


if __name__ == "__main__":
    programs.end_with(main)
