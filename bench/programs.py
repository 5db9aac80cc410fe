"""The programs that run one allocator each, and the processes that they run in."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# Bazel leaves them beside the program that was called, a link to this tree.
HERE = pathlib.Path(os.path.abspath(sys.argv[0])).parent

# What lets a file that is not on persistent memory stand in for it.
_STAND_IN = {"PMEM_IS_PMEM_FORCE": "1", "PMEM2_FORCE_GRANULARITY": "CACHE_LINE"}


class Failed(Exception):
    """A program that did not do its work; its text says which and why."""


@dataclasses.dataclass(frozen=True)
class Rival:
    """An allocator that competes, ours included."""

    name: str
    program: pathlib.Path
    preload: pathlib.Path | None = None  # a library that serves the program's malloc

    def workloads(self):
        """{name: the fewest threads that it needs}, in the order that they are shown in."""
        lines = run([self.program, "--list"], preload=self.preload).splitlines()
        return {name: int(threads) for name, threads in (line.split() for line in lines)}


def rivals(folder):
    """The rivals that were built, by name."""
    found = sorted(path for path in folder.iterdir() if os.access(path, os.X_OK) and path.is_file())
    return {path.name: Rival(path.name, path) for path in found if "." not in path.name}


def run(command, preload=None, timeout_seconds=600, may_be_killed=False):
    environment = os.environ | _STAND_IN | ({"LD_PRELOAD": str(preload)} if preload else {})
    # Memory that others' settings tune is not what is compared.
    environment = {name: value for name, value in environment.items() if name != "MALLOC_CONF"}
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=timeout_seconds
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(words)}: not done after {timeout_seconds} s") from None
    if done.returncode != 0 and not (may_be_killed and done.returncode == -9):
        raise Failed(f"{' '.join(words)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def run_json(command, **options):
    return json.loads(run(command, **options))


@contextlib.contextmanager
def scratch_folder(parent):
    """An empty folder for files, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="morsel-bench-", dir=parent) as folder:
        yield folder


def end_with(main):
    """Ends the program with what main(arguments) answers, or with what failed."""
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as failure:
        sys.exit(str(failure))
