"""From return addresses to the lines that they are of.

A site is a call of the seam, or of a function that is nothing but a step of it
(STEPS): a line of the sources, and the lines that called it through such steps.
A site is named by file, function and the line's text, so that its name stays
when lines above it come and go.
"""

import collections
import dataclasses
import pathlib
import re
import subprocess
import sys

# Bazel links here from a folder of its own.
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tidy"))

import cpp_scanner

# Functions that flush, fence or sync and do nothing else: taking away a call of one is a
# mutation of its own.
STEPS = {
    ("alloc/heap/durability.cc", "Durability::Fence"),
    ("alloc/heap/durability.cc", "Durability::Flush"),
    ("alloc/heap/durability.cc", "Durability::FlushAllocations"),
    ("alloc/heap/durability.cc", "Durability::FlushAllocationsLocked"),
    ("alloc/heap/durability.cc", "Durability::FlushSegment"),
    ("alloc/heap/durability.cc", "Durability::FlushLater"),
    ("alloc/heap/durability.cc", "Durability::FlushAllFrees"),
    ("alloc/heap/heap.h", "Fence"),
    ("alloc/heap/heap.h", "Flush"),
    ("alloc/heap/threads/pending_lines.h", "Flush"),
    ("alloc/subtrees/subtree_map.cc", "SubtreeMap::Clean"),
    ("alloc/heap/segments/unit_map.cc", "UnitMap::FlushCleared"),
    ("alloc/heap/segments/unit_map.cc", "UnitMap::PersistCleared"),
    ("morsel/carved/carved_pool_superblock.cc", "EraseSuperblocks"),
    ("os/file/directory.cc", "Directory::Sync"),
    ("os/file/file.cc", "File::Sync"),
    ("pmem/media/medium.cc", "Medium::SyncSpace"),
    ("pmem/persist/journal.cc", "Journal::Apply"),
    ("pmem/persist/journal.cc", "Journal::FlushRecord"),
    ("pmem/persist/journal.cc", "Journal::Retire"),
}

# Under test are the layers' own sources, less what is the seam itself.
LAYERS = ("base/", "os/", "pmem/", "image/", "alloc/", "morsel/", "cli/")
SEAM = ("pmem/persist/persist.h", "tests/mutation/seam/mutation", "os/file/system_calls")


@dataclasses.dataclass(frozen=True)
class Line:
    path: str
    number: int


def is_under_test(path):
    name = pathlib.PurePosixPath(path).stem
    return (
        path.startswith(LAYERS)
        and not path.startswith(SEAM)
        and not name.endswith(("_test", "_testing"))
    )


_NAMED_LAMBDA = re.compile(r"\s*(?:const\s+)?auto\s+\w+\s*=\s*\[")


class Sources:
    """Lines and the functions that they are in."""

    def __init__(self, root=ROOT):
        self._root = pathlib.Path(root)
        self._files = {}

    def _file(self, path):
        if path not in self._files:
            text = (self._root / path).read_text(encoding="utf-8")
            self._files[path] = text.splitlines(), cpp_scanner.functions(text)
        return self._files[path]

    def _function(self, line):
        _, functions = self._file(line.path)
        around = [f for f in functions if f.line <= line.number < f.line + f.length]
        # The outermost: a lambda has no name.
        return max(around, key=lambda f: f.length, default=None)

    def function_name(self, line):
        function = self._function(line)
        return function.name if function else ""

    def opens_function(self, line):
        """A function of several lines, or a lambda that gets a name. Some builds count this line
        among those that call it: of a function whose end is a function of its own, or of which
        only the beginning is put into its caller."""
        texts, functions = self._file(line.path)
        opened = any(f.line == line.number and f.length > 1 for f in functions)
        return opened or _NAMED_LAMBDA.match(texts[line.number - 1]) is not None

    def name(self, line):
        """`path function: text`, with a number where the function has the text more than once."""
        texts, _ = self._file(line.path)
        text = texts[line.number - 1].strip()
        function = self._function(line)
        first = function.line if function else 1
        nth = sum(1 for other in texts[first - 1 : line.number] if other.strip() == text)
        place = f"{line.path} {function.name}" if function else line.path
        return f"{place}: {text}" + (f" [{nth}]" if nth > 1 else "")


class Symbols:
    """What the addresses in a program are of."""

    def __init__(self, program, root=ROOT):
        self._program = program
        self._root = str(root)
        self._lines = {}
        self._start = None

    def _base(self):
        # Addresses are counted from __executable_start, debug information from 0.
        if self._start is None:
            table = subprocess.run(
                ["nm", self._program], check=True, capture_output=True, text=True
            ).stdout
            found = [row for row in table.splitlines() if row.endswith(" __executable_start")]
            self._start = int(found[0].split()[0], 16)
        return self._start

    def look_up(self, addresses):
        """Learns of all of these at once."""
        wanted = sorted(set(addresses) - self._lines.keys())
        if not wanted:
            return
        # A return address is behind the call.
        query = "".join(f"{self._base() + address - 1:#x}\n" for address in wanted)
        answer = subprocess.run(
            ["addr2line", "-a", "-i", "-e", self._program],
            input=query,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        groups = []
        for row in answer.splitlines():
            if row.startswith("0x"):
                groups.append([])
            else:
                groups[-1].append(self._line(row))
        self._lines.update(zip(wanted, groups))

    def _line(self, row):
        path, _, number = row.split(" (discriminator")[0].rpartition(":")
        for prefix in ("/proc/self/cwd/", self._root + "/"):
            path = path.removeprefix(prefix)
        return Line(path.removeprefix("./"), int(number) if number.isdigit() else 0)

    def lines(self, address):
        """Innermost first: functions that the compiler put inside others have lines too."""
        self.look_up([address])
        return self._lines[address]


@dataclasses.dataclass
class Site:
    name: str
    kind: str
    chains: dict  # of each program: the beginnings of chains that lead here
    lines: list = dataclasses.field(default_factory=list)  # innermost first


class Ambiguous(Exception):
    """Two kinds of calls in one line, which has one name."""


def resolve(chain, symbols, sources):
    """The site's lines, innermost first, each with how much of the chain leads there; and whether
    the last of them was called by a test, which may do so to any step."""
    lines = []
    for count, address in enumerate(chain, 1):
        for line in symbols.lines(address):
            if line.path.startswith(SEAM) or line.path.startswith("/") or line.path == "??":
                continue
            if not is_under_test(line.path) or line.number == 0:
                return lines, True
            if sources.opens_function(line):
                continue
            lines.append((line, count))
            if (line.path, sources.function_name(line)) not in STEPS:
                return lines, False
    return lines, True


def sites_of(reached, symbols_of, sources):
    """All sites in `reached`: {program: {(kind, chain), ...}}. By name. A step that a test calls is
    misbehaving whoever calls it."""
    resolved = []
    for program, chains in reached.items():
        symbols = symbols_of(program)
        symbols.look_up(address for _, chain in chains for address in chain)
        for kind, chain in chains:
            counted, by_test = resolve(chain, symbols, sources)
            if counted:
                lines, counts = zip(*counted)
                resolved.append((program, kind, chain, lines, counts, by_test))
    found = {}
    for _, kind, _, lines, _, _ in resolved:
        if lines not in found:
            name = " < ".join(sources.name(line) for line in lines)
            found[lines] = Site(name, kind, collections.defaultdict(set), list(lines))
        if found[lines].kind != kind:
            raise Ambiguous(f"a {found[lines].kind} and a {kind} in one line: {found[lines].name}")
    called_by_tests = {lines for _, _, _, lines, _, by_test in resolved if by_test}
    for program, _, chain, lines, counts, _ in resolved:
        for length, count in enumerate(counts, 1):
            if length == len(lines) or lines[:length] in called_by_tests:
                found[lines[:length]].chains[program].add(chain[:count])
    return {site.name: site for site in found.values()}


# How the sources spell a call of the seam. Stores are many, and of interest only beside others.
_CALL = re.compile(
    r"\b(?:persist_?|persist\(\)|heap_)(?:\.|->)(?:Flush|Fence|Range|Publish|Zero)\("
    r"|\bF(?:Data)?Sync\([^)i]"
)


def calls_under_test(root=ROOT):
    """Every line that calls the seam, whether a test comes there or not."""
    for path in sorted(pathlib.Path(root).glob("*/**/*")):
        name = path.relative_to(root).as_posix()
        if path.suffix not in {".cc", ".h"} or not is_under_test(name):
            continue
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if _CALL.search(text.split("//")[0]):
                yield Line(name, number)


def never_reached(found, sources, root=ROOT):
    """The names of the calls that no test comes to: they may be missing, and nobody would know."""
    reached = {line for site in found.values() for line in site.lines}
    return [sources.name(line) for line in calls_under_test(root) if line not in reached]
