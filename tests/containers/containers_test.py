#!/usr/bin/env python3
"""docs/containers.md says which containers can be stored in a morsel: here it is tried.

A process stores all containers of a library and is killed after a checkpoint. Of each another
process, at other addresses, reads the one that was filled, the one that was never filled and the
one that was cleared, puts elements in, takes some out and destroys it. Then the morsel gets another
address, and other processes do the same once more.

usage: containers_test.py DOCUMENT PROGRAM...
"""

import pathlib
import re
import subprocess
import sys
import tempfile

STATES = ("filled", "never filled", "cleared")
TITLES = {
    "std": "the standard's, `morsel::Allocator`",
    "pmr": "the standard's, `std::pmr` (`<morsel/containers.hpp>`)",
    "boost": "Boost 1.74, `morsel::Allocator`",
    "abseil": "Abseil 20220623, `morsel::Allocator`",
    "robin_map": "robin-map 1.2, `morsel::Allocator`",
    "json": "nlohmann::json 3.11, an allocator that finds its morsel by itself",
}
TABLE = re.compile(r"(?<=<!-- made by tests/containers -->\n).*?(?=<!-- end -->)", re.DOTALL)


class Family:
    def __init__(self, program, folder):
        self.program = program
        self.pool = str(pathlib.Path(folder, program.name))
        self.places = set()  # of the program in its processes

    def run(self, *arguments):
        return subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, timeout=300, check=False
        )

    def store(self):
        with subprocess.Popen(
            [self.program, self.pool, "make"], stdout=subprocess.PIPE, text=True
        ) as process:
            said = process.stdout.readline()
            process.kill()
        if not said.startswith("ready"):
            raise AssertionError(f"{self.program.name} stored nothing")
        self.places.add(said.split()[-1])

    def used(self, container, states):
        """How a process fares that uses the container in these states, one after the other."""
        done = self.run(self.pool, "use", container, *states)
        if done.returncode not in (0, 3) and done.returncode >= 0:
            raise AssertionError(f"{container}, {states}: {done.returncode}: {done.stderr}")
        if done.returncode == 0:
            self.places.add(done.stdout.split()[-1])
            return "good"
        return "wrong" if done.returncode == 3 else "crashes"

    def cells(self, container):
        if self.used(container, STATES) == "good":
            return ("good",) * len(STATES)
        return tuple(self.used(container, (state,)) for state in STATES)

    def move(self):
        """What the library said of it is returned."""
        done = self.run(self.pool, "move")
        if done.returncode != 0:
            raise AssertionError(f"{self.program.name} is not moved: {done.stderr}")
        self.places.add(done.stdout.split()[-1])
        return done.stdout

    def moved_cell(self, container, cells, said):
        """Whether what was good before is good at the other address."""
        good = [state for state, cell in zip(STATES, cells) if cell == "good"]
        cell = self.used(container, good) if good else "as before"
        told = [state for state in STATES if f"'{container} {state}'" in said]
        if bool(told) != (cell in ("wrong", "crashes")):
            raise AssertionError(f"{container} is {cell} after a move, which said of it: {told}")
        return f"{cell}, and it says so" if told else cell

    def rows(self):
        """A line of the table for all containers of one result."""
        self.store()
        found = {}
        for container in self.run("list").stdout.splitlines():
            found[container] = self.cells(container)
        said = self.move()
        by_result = {}
        for container, cells in found.items():
            result = (*cells, self.moved_cell(container, cells, said))
            by_result.setdefault(result, []).append(container)
        if len(self.places) < 2:
            raise AssertionError("all processes had the program at one address: no ASLR?")
        title = TITLES[self.program.name]
        return [
            f"| {title} | {'; '.join(names)} | {' | '.join(result)} |"
            for result, names in sorted(by_result.items(), reverse=True)
        ]


def main(document, programs):
    found = ["| of | containers | filled | never filled | cleared | moved |", "|" + "---|" * 6]
    with tempfile.TemporaryDirectory() as folder:
        for program in programs:
            found += Family(pathlib.Path(program).resolve(), folder).rows()
    found = "".join(f"{line}\n" for line in found)
    said = TABLE.search(pathlib.Path(document).read_text(encoding="utf-8"))
    if said is None or said.group() != found:
        return f"{document} has another table than this, which was found:\n\n{found}"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
