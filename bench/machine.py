"""What a result has to say about where it is from."""

import os
import pathlib
import platform
import subprocess

_THP = pathlib.Path("/sys/kernel/mm/transparent_hugepage")


def commit():
    """Of the tree that this file is in; "+" where it was changed since."""
    tree = pathlib.Path(__file__).resolve().parent
    command = ["git", "-C", tree, "describe", "--always", "--dirty=+", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def huge_pages():
    """The chosen setting of transparent huge pages, for process memory and for shared."""
    chosen = []
    for name in ("enabled", "shmem_enabled"):
        path = _THP / name
        text = path.read_text() if path.exists() else "[none]"
        chosen.append(text.partition("[")[2].partition("]")[0])
    return "/".join(chosen)


def facts():
    """Columns of every row of a CSV file."""
    return {
        "machine": f"{len(os.sched_getaffinity(0))} x {processor()}",
        "kernel": platform.release(),
        "huge_pages": huge_pages(),
        "commit": commit(),
    }
