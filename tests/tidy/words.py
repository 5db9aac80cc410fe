"""Names and words that say nothing, and layouts that assert nothing."""

import re

import cpp_scanner

# In halves, since this file has to pass as well.
_MARKER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
_SWITCHED_OFF = re.compile(r"\b(?:GTEST_" r"SKIP|DIS" r"ABLED_\w*)")
_SLEEP = re.compile(r"\b(?:sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\(")
_EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "misc", "common"}


def check_layouts(tree):
    for source in tree.cpp_sources:
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
