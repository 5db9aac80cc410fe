"""One word, one meaning: docs/glossary.md says which words the names of a layer do not use.

Its table has four columns: the layers where names are held against the row (`all`, or folders),
the word, what it means, and the words that are not used for it. What stands in round brackets is
for readers. Held are the names of types and functions, by their parts: Run forbids RunTable,
take_runs and TakeRun, but not Running.
"""

import dataclasses
import re

import rooms

PAGE = "docs/glossary.md"

# TEST(Suite, Name) and the like define something that is no name of the code.
_TEST_MACRO = re.compile(r"[A-Z][A-Z_0-9]*\s*\(")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclasses.dataclass(frozen=True)
class Entry:
    layers: list  # folders
    word: str  # what to say
    forbidden: str  # what not to say
    parts: list  # of that, in lower case

    def holds_in(self, folder):
        return any(rooms.is_within(folder, layer) for layer in self.layers)

    def forbids(self, parts):
        wanted = self.parts
        for start in range(len(parts) - len(wanted) + 1):
            *first, last = parts[start : start + len(wanted)]
            if first == wanted[:-1] and last in (wanted[-1], wanted[-1] + "s"):
                return True
        return False


def parts_of(name):
    """ReadRunTable and read_run_table are both read, run, table."""
    return [part.lower() for part in _PART.findall(name)]


def _words(cell):
    without_remarks = re.sub(r"\([^)]*\)", "", cell)
    return [word for word in (word.strip(" `") for word in without_remarks.split(",")) if word]


def check_glossary(tree):
    page = next((page for page in tree.documents if str(page.path) == PAGE), None)
    if page is None:
        yield f"{PAGE}:1: there is no glossary"
        return
    entries = []
    for number, row in _rows(page):
        if len(row) != 4:
            yield page.violation(number, f"a row of {len(row)} columns: it has 4")
            continue
        layers = rooms.TOP_FOLDERS if row[0] == "all" else _words(row[0])
        for layer in layers:
            if not any(rooms.is_within(room.folder, layer) for room in rooms.ROOMS):
                yield page.violation(number, f"'{layer}' is no room of tests/tidy/rooms.py")
        entries += [Entry(layers, row[1], word, parts_of(word)) for word in _words(row[3])]
    for source in tree.cpp_sources:
        held = [entry for entry in entries if entry.holds_in(source.folder)]
        if held:
            yield from _violations(source, held)


def _rows(page):
    """(number, cells) of the lines below the table's head."""
    is_in_table = False
    for number, line in enumerate(page.lines, 1):
        if re.match(r"\|[\s|:-]+\|\s*$", line):
            is_in_table = True
        elif is_in_table and line.startswith("|"):
            yield number, [cell.strip() for cell in line.strip().strip("|").split("|")]
        else:
            is_in_table = False


def _violations(source, entries):
    seen = set()
    for declaration in source.declarations:
        name = declaration.name.rpartition("::")[2].lstrip("~")
        if name in seen or _TEST_MACRO.match(declaration.name):
            continue
        seen.add(name)
        parts = parts_of(name)
        for entry in entries:
            if entry.forbids(parts):
                text = f"{name} says '{entry.forbidden}'; {PAGE} says '{entry.word}'"
                yield source.violation(declaration.line, text)
