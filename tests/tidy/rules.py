"""The rules that the tree keeps. Each takes a SourceTree and yields violations."""

import pathlib
import posixpath
import re

import cpp_scanner

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

# Lowest first. A file includes from its own layer and from those below it.
LAYERS = ["base", "os", "pmem", "sim", "image", "alloc", "morsel", "cli"]
# What a program outside the tree may include.
PUBLIC_HEADERS = {"morsel/morsel.h", "morsel/morsel.hpp", "morsel/sim.hpp"}

# In halves, since this file has to pass as well.
_MARKER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
_SWITCHED_OFF = re.compile(r"\b(?:GTEST_" r"SKIP|DIS" r"ABLED_\w*)")
_SLEEP = re.compile(r"\b(?:sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\(")
_EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "misc", "common"}

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">\n]+)[">]', re.MULTILINE)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def cpp_sources(tree):
    return (source for source in tree.sources if source.is_cpp)


def included_path(tree, source, name):
    """The path from the root of what `name` includes; it need not be in the tree."""
    beside = posixpath.normpath(f"{source.path.parent}/{name}")
    return beside if tree.exists(beside) else posixpath.normpath(name)


def check_layers(tree):
    places = tree.places | set(LAYERS)
    for source in cpp_sources(tree):
        layer = source.path.parts[0]
        for match in _INCLUDE.finditer(source.text):
            included = included_path(tree, source, match.group(2))
            place = included.partition("/")[0]
            line = line_of(source.text, match.start())
            if place == ".." or "/" not in included or place not in places:
                continue
            if place == "sim" and source.is_test:
                continue
            if layer in LAYERS and place not in LAYERS[: LAYERS.index(layer) + 1]:
                yield source.violation(line, f"{layer} includes {included}, which is not below it")
            elif layer == "examples" and not _example_may_include(source, match, included):
                yield source.violation(line, f"an example includes {included}, which is not public")


def _example_may_include(source, match, included):
    if match.group(1) == "<":
        return included in PUBLIC_HEADERS
    return pathlib.PurePosixPath(included).parts[:2] == source.path.parts[:2]


def check_file_lengths(tree):
    for source in tree.sources:
        length = len(source.lines)
        if length > FILE_LINES_MAX:
            yield source.violation(FILE_LINES_MAX + 1, f"{length} lines, more than {FILE_LINES_MAX}")


def check_function_lengths(tree):
    for source in cpp_sources(tree):
        try:
            functions = cpp_scanner.functions(source.text)
        except cpp_scanner.Unbalanced as error:
            yield source.violation(1, str(error))
            continue
        for function in functions:
            if function.length > FUNCTION_LINES_MAX:
                text = f"{function.name} has {function.length} lines, more than {FUNCTION_LINES_MAX}"
                yield source.violation(function.line, text)


def check_layouts(tree):
    for source in cpp_sources(tree):
        # Of sizes and offsets, or of shifts where the format is one word.
        if source.path.name.endswith("_layout.h") and "static_assert(" not in source.text:
            yield source.violation(1, "a layout that asserts nothing of itself")


def check_names(tree):
    for source in tree.sources:
        for part in source.path.parts:
            empty = _EMPTY_NAMES & set(re.split(r"[^a-z]+", part.lower()))
            if empty:
                yield source.violation(1, f"'{empty.pop()}' says nothing about what is in it")


def check_words(tree):
    for source in tree.sources:
        for number, line in enumerate(source.lines, 1):
            if match := _MARKER.search(line):
                yield source.violation(number, f"{match.group()}: do it, or file an issue")
            if source.is_cpp and source.is_test:
                if match := _SWITCHED_OFF.search(line):
                    yield source.violation(number, f"{match.group()}: every test runs")
                if match := _SLEEP.search(cpp_scanner.blank(line)):
                    yield source.violation(number, f"{match.group()}...): no order comes from time")
