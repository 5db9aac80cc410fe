"""Other ways of bringing memory onto a disk and back, beside an image: timed, told, and drawn."""

import pathlib
import resource
import statistics
import subprocess
import time

import programs
import report

# docs/benchmarks.md says what each does.
WAYS = ("morsel", "pages", "mmap", "boost", "cp")
MEASURES = {"store_s": "store", "load_s": "load", "again_s": "store again"}
# Before it was loaded nothing was in the page cache; then at least the file came from the disk.
COLUMNS = ["round", "way", "bytes", *MEASURES, "cached_bytes", "read_bytes"]

GRAPH_WAYS = {
    **{"morsel": "morsel", "morsel-lz4": "morsel, LZ4", "morsel-zstd": "morsel, zstd"},
    **{"boost": "Boost.Serialization", "json": "JSON"},
}
GRAPH_MEASURES = {"store_s": "store", "load_s": "load", "walk_s": "first walk"}
GRAPH_COLUMNS = ["round", "way", "nodes", "file_bytes", *GRAPH_MEASURES]

# Told apart by those who see few colors too: Okabe and Ito's palette.
_COLORS = ("#D55E00", "#56B4E9", "#009E73", "#0072B2", "#E69F00")


def add_options(parser):
    parser.add_argument(
        "--rivals-mib", type=int, default=1024, help="of memory that each way stores"
    )
    parser.add_argument("--rivals-rounds", type=int, default=3, help="the median of them is shown")
    parser.add_argument("--memory", default="/dev/shm", help="a folder in memory, for cp")
    parser.add_argument("--index", help="a Packages file for the graph; by default what apt knows")


def _seconds(*command):
    begin = time.monotonic()
    subprocess.run([str(word) for word in command], check=True)
    return time.monotonic() - begin


def _forget(path):
    """The page cache does, of a file that was synced; what it keeps, in bytes."""
    subprocess.run(["dd", f"if={path}", "iflag=nocache", "count=0", "status=none"], check=True)
    return int(programs.run(["fincore", "--bytes", "--noheadings", "--output=RES", str(path)]))


def _read_bytes():
    """What commands have had read from disks so far."""
    return 512 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock


def _check_cold(way, row, folder):
    """A load from the page cache says nothing about a disk. In memory there is none."""
    kind = programs.run(["stat", "--file-system", "--format=%T", str(folder)]).strip()
    if kind == "tmpfs":
        return
    if row["cached_bytes"] or row["read_bytes"] < row["bytes"]:
        raise programs.Failed(
            f"{way}: its load was not cold: {row['cached_bytes']} bytes were in the page cache, "
            f"{row['read_bytes']} of {row['bytes']} came from the disk"
        )


def _copied(folder, options):
    """cp knows nothing of what has changed: storing again is storing."""
    with programs.scratch_folder(options.memory) as memory:
        source = pathlib.Path(memory) / "source"
        subprocess.run(
            [
                "dd",
                "if=/dev/urandom",
                f"of={source}",
                "bs=1M",
                f"count={options.rivals_mib}",
                "status=none",
            ],
            check=True,
        )
        copy = f"{folder}/file"
        row = {
            name: _seconds("cp", source, copy) + _seconds("sync", copy)
            for name in ("store_s", "again_s")
        }
        row["cached_bytes"] = _forget(copy)
        source.unlink()
        before = _read_bytes()
        row["load_s"] = _seconds("cp", copy, source)
        return row | {"read_bytes": _read_bytes() - before}


def measure(options):
    for number in range(1, options.rivals_rounds + 1):
        for way in WAYS:
            with programs.scratch_folder(options.folder) as folder:
                if way == "cp":
                    result = _copied(folder, options)
                else:
                    command = [
                        programs.HERE / "image_rivals_program", f"--folder={folder}", f"--way={way}"
                    ]
                    command += [f"--size-mib={options.rivals_mib}", f"--pages={options.pages}"]
                    result = programs.run_json(command)
                row = {"round": number, "way": way, "bytes": options.rivals_mib << 20} | result
                _check_cold(way, row, folder)
            yield row


def measure_graph(options):
    program = programs.HERE / "graph_rivals_program"
    index = [f"--index={options.index}"] if options.index else []
    for number in range(1, options.rivals_rounds + 1):
        for way in GRAPH_WAYS:
            with programs.scratch_folder(options.folder) as folder:
                command = [program, f"--folder={folder}", f"--way={way}"]
                stored = programs.run_json(command + index)
                loaded = programs.run_json([*command, "--load"])
            if (stored["sum"], stored["nodes"]) != (loaded["sum"], loaded["nodes"]):
                raise programs.Failed(f"{way}: another graph came back than was stored")
            yield {
                "round": number,
                "way": way,
                "nodes": loaded["nodes"],
                "file_bytes": loaded["file_bytes"],
                "store_s": stored["seconds"],
                "load_s": loaded["seconds"],
                "walk_s": loaded["walk_s"],
            }


def _medians(rows, measures):
    """{way: {measure: seconds}}, in the order of the rows."""
    ways = dict.fromkeys(row["way"] for row in rows)
    return {
        way: {m: statistics.median(row[m] for row in rows if row["way"] == way) for m in measures}
        for way in ways
    }


def text(rows, options):
    gib = rows[0]["bytes"] / 2**30
    medians = _medians(rows, MEASURES)
    ours = medians["morsel"]
    lines = [
        [
            way,
            *(report.number(gib / of[m]) for m in ("store_s", "load_s")),
            f"{1000 * of['again_s']:.1f}",
            *(f"{of[m] / ours[m]:.1f}" for m in MEASURES),
        ]
        for way, of in medians.items()
    ]
    header = [
        "way",
        "store GiB/s",
        "load GiB/s",
        "again ms",
        *(f"{name}, of ours" for name in MEASURES.values()),
    ]
    title = (
        f"{gib:.3g} GiB of incompressible memory, durable; cold page cache; "
        f"again: {options.pages} random pages changed"
    )
    return report.aligned(title, header, lines)


def graph_text(rows):
    medians = _medians(rows, GRAPH_MEASURES)
    ours = medians["morsel"]
    bytes_of = {row["way"]: row["file_bytes"] for row in rows}
    lines = [
        [
            GRAPH_WAYS[way],
            *(f"{1000 * of[m]:.1f}" for m in GRAPH_MEASURES),
            *(f"{of[m] / ours[m]:.1f}" for m in ("store_s", "load_s")),
            f"{bytes_of[way] / 2**20:.1f}",
        ]
        for way, of in medians.items()
    ]
    header = [
        "way",
        *(f"{name} ms" for name in GRAPH_MEASURES.values()),
        "store, of ours",
        "load, of ours",
        "MiB",
    ]
    return report.aligned(
        f"the graph of {rows[0]['nodes']} packages and names; cold page cache, a new process",
        header,
        lines,
    )


def _script(rows, measures, titles, path, what):
    medians = _medians(rows, measures)
    data = [
        f'"{name}" ' + " ".join(f"{of[m]:.6f}" for of in medians.values())
        for m, name in measures.items()
    ]
    least = min(seconds for of in medians.values() for seconds in of.values())
    bars = [
        f'$data using {column}:xtic(1) title "{titles[way]}" linecolor rgb "{_COLORS[column - 2]}"'
        for column, way in enumerate(medians, 2)
    ]
    return "\n".join(
        [
            'set terminal svg size 900,480 font "sans,13" background rgb "white"',
            f'set output "{path}"',
            "set style data histograms",
            "set style histogram clustered gap 1.5",
            "set style fill solid 0.9 noborder",
            "set logscale y",
            f"set yrange [{least / 2:g}:*]",
            "set grid ytics",
            "set key outside bottom center horizontal",
            f'set title "{what}"',
            'set ylabel "seconds, the shorter the better"',
            "set format y '%g'",
            "set xtics scale 0",
            "$data << EOD",
            *data,
            "EOD",
            "plot " + ", \\\n     ".join(bars),
            "",
        ]
    )


def _draw(*arguments):
    subprocess.run(["gnuplot"], input=_script(*arguments), text=True, check=True)


def run(options):
    """Measures, prints, writes and draws all of it; answers the files."""
    out = options.out
    names = [
        out / name
        for name in ("image-rivals.csv", "image-rivals.svg", "image-graph.csv", "image-graph.svg")
    ]
    with report.CsvFile(names[0], COLUMNS) as file:
        rows = file.write_all(measure(options))
    print(text(rows, options))
    size = f"{options.rivals_mib} MiB of memory; again: {options.pages} pages changed"
    _draw(rows, MEASURES, {way: way for way in WAYS}, names[1], size)
    with report.CsvFile(names[2], GRAPH_COLUMNS) as file:
        rows = file.write_all(measure_graph(options))
    print(graph_text(rows))
    _draw(
        rows,
        GRAPH_MEASURES,
        GRAPH_WAYS,
        names[3],
        f"the graph of {rows[0]['nodes']} Debian packages and names",
    )
    return names
