"""The measures of commits, each a function of the options that answers rows."""


import programs

# A morsel, and what Debian has; each is there if it was when the program was built.
RIVALS = ("morsel", "lmdb", "sqlite", "rocksdb")
NAMES = {"lmdb": "LMDB", "sqlite": "SQLite", "rocksdb": "RocksDB"}
PACKAGES = {"lmdb": "liblmdb-dev", "sqlite": "libsqlite3-dev", "rocksdb": "librocksdb-dev"}
# Beside the disk's own write: for each GiB of huge frames that is scanned, and for all else.
SCAN_US_EACH_GIB = 30
OWN_US = 15


def run(options, measure, folder=None, **settings):
    command = [programs.HERE / "commits/measured", f"--measure={measure}"]
    for name, value in settings.items():
        word = f"--{name.replace('_', '-')}"
        command.append(word if value is True else f"{word}={value}")
    with programs.scratch_folder(folder or options.folder) as scratch:
        return programs.run_json([*command, f"--folder={scratch}"], timeout_seconds=3600)


def _small_mib(options):
    return 4 if options.short else 64


def _sizes(options):
    return (4,) if options.short else (64, options.large_mib)


def _name(size_mib):
    return f"{size_mib // 1024} GiB" if size_mib % 1024 == 0 else f"{size_mib} MiB"


def page(options):
    for size in _sizes(options):
        counts = {"warm": 20, "commits": 20} if options.short else {"warm": 1000, "commits": 1000}
        found = run(options, "page", size_mib=size, **counts)
        raw_us = found["raw_ns"] / 1000
        allowed_us = raw_us + SCAN_US_EACH_GIB * found["huge_bytes"] / 2**30 + OWN_US
        yield {
            "case": f"one page of {_name(size)}",
            "unit": "us",
            "ours": found["commit_ns"] / 1000,
            "over": "8 KiB overwrite, RWF_DSYNC",
            "theirs": raw_us,
            "asked": allowed_us / raw_us,
        }


def nothing(options):
    size = _sizes(options)[-1]
    found = run(options, "nothing", size_mib=size, commits=20 if options.short else 200)
    yield {
        "case": f"nothing of {_name(size)}",
        "unit": "us",
        "ours": found["commit_ns"] / 1000,
        "over": "a scan of the page tables",
        "theirs": found["scan_ns"] / 1000,
        "asked": 2,
    }
    writes = found["writes"] + found["syncs"]
    yield {"case": "calls that write or sync", "unit": "calls", "ours": writes, "asked": 0}


def scattered(options):
    size = 8 if options.short else 1024
    counts = {"warm": 20, "commits": 5} if options.short else {"warm": 400, "commits": 50}
    found = run(options, "scattered", size_mib=size, pages=100, **counts)
    for age, asked in (("first", 2), ("worn", 3.5)):
        yield {
            "case": f"100 pages of {_name(size)}, {age}",
            "unit": "us",
            "ours": found[f"{age}_ns"] / 1000,
            "over": "400 KiB, RWF_DSYNC",
            "theirs": found[f"{age}_raw_ns"] / 1000,
            "asked": asked,
        }


SYNCS = {1: 1, 4: 0.6, 16: 0.15, 64: 0.05}


def threads(options):
    rates = {}
    for same in (True, False):
        for count, asked in SYNCS.items():
            commits = (16 if options.short else 200) * count
            settings = {"same": True} if same else {}
            found = run(
                options,
                "threads",
                size_mib=_small_mib(options),
                threads=count,
                commits=commits,
                warm=commits // 4,
                **settings,
            )
            where = "of 64" if same else "anywhere"
            rates[same, count] = commits / (found["ns"] / 1e9)
            if not same:
                yield {
                    "case": f"syncs per commit, {count} threads",
                    "unit": "syncs",
                    "ours": found["syncs"],
                    "over": "commits",
                    "theirs": commits,
                    "asked": asked,
                }
        yield {
            "case": f"commits of 64 threads, pages {where}",
            "unit": "1/s",
            "ours": rates[same, 64],
            "over": "of one thread",
            "theirs": rates[same, 1],
            "asked": 10 if same else 4,
            "at_least": True,
        }


def settling(options):
    for pages, size in ((1, _small_mib(options)), (1024, 16 if options.short else 1024)):
        commits = {1: 100 if options.short else 6000, 1024: 3 if options.short else 200}[pages]
        found = run(options, "settling", size_mib=size, pages=pages, commits=commits, warm=10)
        yield {
            "case": f"p99 of {'one page' if pages == 1 else '4 MiB'} of {_name(size)}",
            "unit": "us",
            "ours": found["p99_ns"] / 1000,
            "over": "median",
            "theirs": found["median_ns"] / 1000,
            "asked": 10,
        }


def stall(options):
    for dirty_mib in (1, 2) if options.short else (16, 160):
        size = 8 if options.short else 1024
        found = run(
            options, "stall", size_mib=size, pages=dirty_mib * 256, commits=3, warm=1
        )
        stall_ms = found["stall_ns"] / 1e6
        row = {"case": f"others wait, {dirty_mib} MiB changed", "unit": "ms", "ours": stall_ms}
        if dirty_mib > 32:
            write_ms = found["raw_ns"] / 1e6
            row |= {"over": "its write", "theirs": write_ms, "asked": 1.1}
        else:
            row["asked"] = 10
        yield row


def wear(options):
    large, small = (8, 8) if options.short else (options.large_mib, 512)
    cases = (
        ("one page", large, {"pages": 1, "commits": 4096}, 3.7),
        ("4 MiB", large, {"pages": 1024, "commits": 32}, 2.4),
        ("one page, thin leaves", small, {"pages": 1, "commits": 4096, "thin": True}, 6),
    )
    for what, size, settings, asked in cases:
        if options.short:
            settings = settings | {"pages": min(settings["pages"], 16), "commits": 8, "batches": 6}
        found = run(options, "wear", size_mib=size, **settings)
        still = "" if found["steady"] or options.short else ", still changing"
        yield {
            "case": f"bytes written, {what} of {_name(size)}{still}",
            "unit": "x",
            "ours": found["last"],
            "over": "changed pages",
            "asked": asked,
        }
        yield {
            "case": f"file over used, {what} of {_name(size)}",
            "unit": "x",
            "ours": found["file_over_used"],
            "asked": None if "thin" in what else 1.2 + 16 / size,  # and the log
        }


def pair(options):
    found = run(options, "pairs", commits=10_000 if options.short else 10_000_000)
    yield {"case": "begin and end, C++", "unit": "ns", "ours": found["cpp_ns"], "asked": 5}
    yield {"case": "begin and end, C", "unit": "ns", "ours": found["c_ns"], "asked": 8}


def built():
    return programs.run([programs.HERE / "commits/updates", "--list"]).split()


def missing(options):
    """A sentence for each rival that is not there."""
    if not {"updates", "memory"} & set(options.only):
        return
    for name in RIVALS:
        if name not in built():
            yield f"left out: {NAMES[name]} ({PACKAGES[name]} was not there when this was built)"


def updates_by(options, folder, ways, **settings):
    """{way: what it answers}"""
    settings = settings | ({"records": 1000, "updates": 30, "warm": 5} if options.short else {})
    words = [f"--{name}={value}" for name, value in settings.items()]
    found = {}
    for way in ways:
        if way in built():
            with programs.scratch_folder(folder) as scratch:
                command = [programs.HERE / "commits/updates", f"--folder={scratch}"]
                found[way] = programs.run_json([*command, f"--way={way}", *words])
    return found


def _beside(found, case):
    for way, of in found.items():
        row = {"case": f"{case}, {NAMES.get(way, way)}", "unit": "us"}
        yield row | {
            "ours": of["median_ns"] / 1000,
            "over": "morsel",
            "theirs": found["morsel"]["median_ns"] / 1000,
        }


def updates(options):
    found = updates_by(options, options.folder, RIVALS, updates=2000)
    yield from _beside(found, "a small update")


def memory(options):
    # Neighbours of some 2 MiB, in 64 MiB.
    near = 500 if options.short else 15_000
    found = updates_by(options, options.memory, ("morsel", "lmdb"), near=near, updates=5000)
    row = {"case": "a small update on tmpfs", "unit": "us"}
    row["ours"] = found["morsel"]["median_ns"] / 1000
    if "lmdb" in found:
        row |= {"over": "LMDB", "theirs": found["lmdb"]["median_ns"] / 1000, "asked": 1.5}
    yield row


MEASURES = {
    "page": page,
    "nothing": nothing,
    "scattered": scattered,
    "threads": threads,
    "settling": settling,
    "stall": stall,
    "wear": wear,
    "pair": pair,
    "updates": updates,
    "memory": memory,
}
