#!/usr/bin/env python3
"""How fast images are stored and loaded, and what a further checkpoint costs.

fio and other ways do the same beside it.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys

sys.dont_write_bytecode = True

import image_rivals
import programs
import report

KINDS = ("anonymous", "hugetlb-2m")
WAYS = tuple(f"{kind}-{way}" for kind in KINDS for way in ("scan", "fault", "compare"))
SPREADS = ("dense", "sparse")
COSTS = ("store_s", "track_s", "again_s", "load_s")
WORN = ("worn", "worn_whole")
WORN_COLUMNS = (
    "first_s", "again_s", "worst_s", "worst_written_bytes", "written_bytes", "file_bytes", "load_s"
)
COLUMNS = [
    *("round", "bytes", "fio_write_s", "store_s", "fio_read_s"),
    *(f"{kind}_{what}" for kind in KINDS for what in ("load_s", "frames_s")),
    *(
        f"{way}_{what}"
        for way in WAYS
        for what in ("track_s", "find_s", "compare_s", "store_s", "worst_s")
    ),
    *(
        f"{way}_{what}"
        for way in WAYS
        for what in ("worst_written_bytes", "written_bytes", "file_bytes")
    ),
    *(f"{spread}_{cost}" for spread in SPREADS for cost in COSTS),
    *(f"{worn}_{what}" for worn in WORN for what in WORN_COLUMNS),
]
CODEC_COLUMNS = ["round", "data", "codec", "bytes", "store_s", "load_s", "file_bytes"]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=4096, help="of the morsel, incompressible")
    parser.add_argument(
        "--pages", type=int, default=1000, help="written before each further checkpoint"
    )
    parser.add_argument("--checkpoints", type=int, default=100, help="further ones, by each way")
    parser.add_argument("--rounds", type=int, default=5, help="the median of them is shown")
    parser.add_argument("--folder", default=".", help="on the disk that is meant")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default="bench-results",
        help="for the CSV files and the pictures",
    )
    image_rivals.add_options(parser)
    return parser.parse_args(arguments)


@contextlib.contextmanager
def reserved(count):
    """So many pages of 2 MiB more, where this process may ask for them and the host has them.

    Else their rows are empty.
    """
    file = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    if not os.access(file, os.W_OK):
        yield
        return
    before = int(file.read_text())
    file.write_text(f"{before + count}")
    try:
        yield
    finally:
        file.write_text(f"{before}")


def fio(folder, size_mib, what):
    """Seconds for all of it, the sync at the end included."""
    command = [
        "fio", "--name=sequential", f"--filename={folder}/fio", f"--size={size_mib}m", "--bs=2m"
    ]
    command += [
        "--iodepth=8", "--ioengine=io_uring", "--direct=1", f"--rw={what}", "--output-format=json"
    ]
    command += ["--end_fsync=1"] if what == "write" else []
    result = json.loads(programs.run(command))
    return result["jobs"][0]["read" if what == "read" else "write"]["runtime"] / 1000


def measure(options, codecs):
    """The rows of image.csv; `codecs` gets those of image-codecs.csv."""
    program = programs.HERE / "image_program"
    for number in range(1, options.rounds + 1):
        with programs.scratch_folder(options.folder) as folder:
            row = {"round": number, "fio_write_s": fio(folder, options.size_mib, "write")}
            row["fio_read_s"] = fio(folder, options.size_mib, "read")
            pathlib.Path(f"{folder}/fio").unlink()
            command = [program, f"--folder={folder}", f"--size-mib={options.size_mib}"]
            command += [f"--pages={options.pages}", f"--checkpoints={options.checkpoints}"]
            with reserved(options.size_mib // 2):
                result = programs.run_json(command)
            codecs += [{"round": number} | found for found in result.pop("codecs")]
            row |= dict.fromkeys(
                f"{kind}_{what}" for kind in KINDS for what in ("load_s", "frames_s")
            )
            for way in WAYS:
                found = result.pop(way, {})
                row |= {
                    column: found.get(column.removeprefix(f"{way}_"))
                    for column in COLUMNS
                    if column.startswith(way)
                }
            for spread in SPREADS:
                row |= {f"{spread}_{cost}": seconds for cost, seconds in result.pop(spread).items()}
            for worn in WORN:
                row |= {f"{worn}_{what}": value for what, value in result.pop(worn).items()}
            yield row | result


def text(rows, options):
    def median(column):
        values = [row[column] for row in rows if row[column] is not None]
        return statistics.median(values) if values else None

    gib = rows[0]["bytes"] / 2**30
    lines = []
    loads = [(f"{kind}_load_s", "fio_read_s") for kind in KINDS if median(f"{kind}_load_s")]
    for ours, theirs in [("store_s", "fio_write_s"), *loads]:
        ratio = statistics.median(row[theirs] / row[ours] for row in rows if row[ours])
        lines.append(
            [
                ours[:-2].replace("_", " "),
                *(report.number(gib / median(column)) for column in (ours, theirs)),
                f"{ratio:.2f}",
            ]
        )
    touches = ", ".join(
        f"{kind} {median(f'{kind}_frames_s'):.2f} s" for kind in KINDS if median(f"{kind}_frames_s")
    )
    title = f"{gib:.3g} GiB, GiB/s, median; frames were there (their first touch: {touches})"
    answer = report.aligned(title, ["", "morsel", "fio", "ratio"], lines)
    lines = []
    for way in WAYS:
        if median(f"{way}_store_s") is None:
            continue
        seconds = median(f"{way}_find_s") + median(f"{way}_store_s")
        lines.append(
            [
                way,
                *(
                    f"{1000 * median(f'{way}_{what}'):.1f}"
                    for what in ("track_s", "find_s", "compare_s")
                ),
                *(f"{1000 * value:.1f}" for value in (seconds, median(f"{way}_worst_s"))),
                f"{median('store_s') / seconds:.1f}",
                *(
                    f"{median(f'{way}_{what}') / 2**20:.2f}"
                    for what in ("worst_written_bytes", "written_bytes")
                ),
                f"{median(f'{way}_file_bytes') / rows[0]['bytes']:.2f}",
            ]
        )
    header = [
        "way",
        "track ms",
        "find ms",
        "compare ms",
        "all ms",
        "worst ms",
        "of the store",
        "worst MiB",
        "mean MiB",
        "file/live",
    ]
    title = (
        f"further checkpoints, {options.pages} pages written before each, "
        f"mean of {options.checkpoints}"
    )
    answer += "\n" + report.aligned(title, header, lines)
    lines = []
    for cost in COSTS:
        dense, sparse = (median(f"{spread}_{cost}") for spread in SPREADS)
        ratio = report.number(sparse / dense) if dense else ""
        lines.append([cost[:-2], *(f"{1000 * seconds:.1f}" for seconds in (dense, sparse)), ratio])
    used = min(gib, 1)
    title = (
        f"{used:.3g} GiB used of a morsel of {64 * used:.3g} GiB, "
        f"beside one of {used:.3g} GiB, ms, median"
    )
    answer += "\n" + report.aligned(title, ["", "full", "sparse", "ratio"], lines)
    lines = []
    for worn, size in zip(WORN, (used, gib)):
        first, again, worst, worst_bytes, mean_bytes, file_bytes, load = (
            median(f"{worn}_{what}") for what in WORN_COLUMNS
        )
        line = [
            f"{size:.3g} GiB",
            *(f"{1000 * seconds:.1f}" for seconds in (first, again, worst)),
            f"{first / again:.1f}",
        ]
        line += [
            *(f"{value / 2**20:.2f}" for value in (worst_bytes, mean_bytes)),
            f"{file_bytes / 2**30 / size:.2f}",
        ]
        lines.append([*line, f"{1000 * load:.1f}"])
    title = (
        f"worn: {options.checkpoints} checkpoints of {options.pages} pages "
        f"after {4 * options.checkpoints} of them"
    )
    header = [
        "",
        "store ms",
        "checkpoint ms",
        "worst ms",
        "of the store",
        "worst MiB",
        "mean MiB",
        "file/live",
        "load ms",
    ]
    return answer + "\n" + report.aligned(title, header, lines)


def codecs_text(rows):
    lines = []
    for data, codec in dict.fromkeys((row["data"], row["codec"]) for row in rows):

        def of(what, name=codec, kind=data):
            return [row[what] for row in rows if (row["data"], row["codec"]) == (kind, name)]

        speeds = []
        for what in ("store_s", "load_s"):
            speeds.append(report.number(rows[0]["bytes"] / 2**30 / statistics.median(of(what))))
            ratios = [plain / ours for plain, ours in zip(of(what, "none"), of(what))]
            speeds.append(f"{statistics.median(ratios):.2f}")
        size = statistics.median(of("file_bytes")) / rows[0]["bytes"]
        lines.append([data, codec, *speeds, f"{size:.2f}"])
    title = f"codecs, {rows[0]['bytes'] / 2**30:.3g} GiB of memory, GiB/s of it, median"
    header = ["data", "codec", "store", "of none", "load", "of none", "file/memory"]
    return report.aligned(title, header, lines)


def main(arguments):
    options = parse(arguments)
    codecs = []
    with report.CsvFile(options.out / "image.csv", COLUMNS) as file:
        rows = file.write_all(measure(options, codecs))
    with report.CsvFile(options.out / "image-codecs.csv", CODEC_COLUMNS) as file:
        file.write_all(codecs)
    print(text(rows, options))
    print(codecs_text(codecs))
    for name in [
        options.out / "image.csv", options.out / "image-codecs.csv", *image_rivals.run(options)
    ]:
        print(name)
    return 0


if __name__ == "__main__":
    programs.end_with(main)
