#!/usr/bin/env python3
"""Compares what programs of Debian cost whose malloc is a morsel, or another allocator.

Writes a table, a CSV file and a picture.
"""

import statistics
import sys

sys.dont_write_bytecode = True

import contest
import prefix
import preload_picture
import preload_programs
import programs
import report

COLUMNS = ["program", "version", "allocator", "round", "cpu_seconds", "peak_mib"]
# The loader finds those of the system by these names. The C library's is preloaded as well, since
# a program may be linked with another one, as Debian's redis-server is.
ALLOCATORS = {
    "morsel": "malloc/libpreload_malloc.so",
    "glibc": "libc.so.6",
    "mimalloc": "libmimalloc.so.2",
    "jemalloc": "libjemalloc.so.2",
}
OTHERS = [name for name in ALLOCATORS if name != "morsel"]


def parse(arguments):
    parser = contest.parser(
        __doc__,
        only="programs, e.g. sqlite3,g++",
        rivals="allocators, e.g. morsel,glibc",
        out="for preload.csv and .svg",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies what there is to do")
    parser.add_argument("--folder", default="/dev/shm", help="for temporary files and morsels")
    return parser.parse_args(arguments)


def allocators(options):
    """{name: what is to be preloaded}"""
    found = ALLOCATORS | {"morsel": programs.HERE / ALLOCATORS["morsel"]}
    found |= prefix.found(options.prefix)
    return {name: found[name] for name in contest.chosen(found, options.rivals)}


def measure(names, libraries, options):
    """Rows, round by round. All answers of a program have to be the same."""
    answers = {}
    versions = {name: preload_programs.PROGRAMS[name].version() for name in names}
    for round_number in range(1, options.rounds + 1):
        for name in names:
            for allocator in contest.order(list(libraries), round_number):
                with programs.scratch_folder(options.folder) as folder:
                    run = preload_programs.PROGRAMS[name].run
                    use = run(libraries[allocator], folder, options.scale)
                if answers.setdefault(name, use.answer) != use.answer:
                    raise programs.Failed(f"{name} answers something else with {allocator}")
                yield {
                    **{"program": name, "version": versions[name], "allocator": allocator},
                    **{"round": round_number, "cpu_seconds": use.cpu_seconds},
                    "peak_mib": use.peak_mib,
                }


class Results:
    """Medians of rows."""

    def __init__(self, rows):
        self.rows = rows
        self.programs = list(dict.fromkeys(row["program"] for row in rows))
        self.allocators = list(dict.fromkeys(row["allocator"] for row in rows))
        self.allocators.sort(key=list(ALLOCATORS | prefix.FILES).index)

    def values(self, program, allocator, column):
        key = (program, allocator)
        return [row[column] for row in self.rows if (row["program"], row["allocator"]) == key]

    def median(self, program, allocator, column):
        return statistics.median(self.values(program, allocator, column))

    def over(self, program, other, column):
        """The median of the rounds' ratios of morsel to another one; None without one of them."""
        pairs = zip(self.values(program, "morsel", column), self.values(program, other, column))
        ratios = [ours / theirs for ours, theirs in pairs]
        return statistics.median(ratios) if ratios else None


def text(results):
    others = [name for name in results.allocators if name != "morsel"]
    tables = []
    for column, title in (("cpu_seconds", "CPU seconds"), ("peak_mib", "peak memory, MiB")):
        header = ["", *results.allocators, *(f"over {other}" for other in others)]
        rows = [
            [program]
            + [report.number(results.median(program, name, column)) for name in results.allocators]
            + [report.number(results.over(program, other, column)) for other in others]
            for program in results.programs
        ]
        tables.append(report.aligned(f"{title}; medians; morsel's over others'", header, rows))
    return "\n".join(tables)


def left_out(options):
    for name in contest.chosen(preload_programs.PROGRAMS, options.only):
        program = preload_programs.PROGRAMS[name]
        if not program.is_installed():
            yield f"left out: {name} (there is no {program.file}; Debian: {program.package})"
    yield from prefix.missing(options.prefix)


def main(arguments):
    options = parse(arguments)
    asked = contest.chosen(preload_programs.PROGRAMS, options.only)
    names = [name for name in asked if preload_programs.PROGRAMS[name].is_installed()]
    with report.CsvFile(options.out / "preload.csv", COLUMNS) as file:
        print(" | ".join(file.facts.values()))
        print(*left_out(options), sep="\n", flush=True)
        rows = file.write_all(measure(names, allocators(options), options))
    results = Results(rows)
    print(text(results))
    preload_picture.draw(results, options.out / "preload.svg")
    print(f"{options.out}/preload.csv, {options.out}/preload.svg")
    return 0


if __name__ == "__main__":
    programs.end_with(main)
