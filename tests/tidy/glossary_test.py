#!/usr/bin/env python3
"""Words that the glossary has not are found in names, where it says so."""

import sys
import unittest

sys.dont_write_bytecode = True

import glossary
from rule_case import RuleCase


GLOSSARY = """\
# Glossary

| layers | word | means | not in names |
|---|---|---|---|
| all | image | a file | Dump, `Chunk` (of files) |
| alloc, morsel/open | segment: slab, extent | units | Run, TakeUp |
| alloc | block | what malloc returns | |
"""


class Glossary(RuleCase):
    rules = (glossary.check_glossary,)

    def files(self, text, name="alloc/heap/a.h"):
        return {"docs/glossary.md": GLOSSARY, name: f"\n{text}\n"}

    def assert_forbids(self, text, *what, name="alloc/heap/a.h"):
        self.assert_reports(self.files(text, name), f"{name}:2", *what)

    def assert_allows(self, text, name="alloc/heap/a.h"):
        self.assert_tidy(self.files(text, name))

    def test_names_of_types(self):
        self.assert_forbids("class RunTable {};", "RunTable", "'Run'", "segment: slab, extent")
        self.assert_forbids("enum class Runs : int { kA };", "Runs")
        self.assert_forbids("using Run = int;", "Run")
        self.assert_forbids("template <class T> struct alignas(8) ARun final : B<T> {};", "ARun")

    def test_names_of_functions(self):
        self.assert_forbids("int TakeRun(int a);", "TakeRun")
        self.assert_forbids("class A { virtual Result<Map<int, int>> Run() const = 0; };", "Run")
        self.assert_forbids("void A::TakeUpAll() {\n}", "TakeUpAll", "'TakeUp'")
        self.assert_forbids("int take_runs(void);", "take_runs")
        self.assert_forbids("void morsel_dump(int a);", "'Dump'", name="morsel/morsel.h")

    def test_parts_of_words_are_other_words(self):
        for name in ("Running", "Rerun", "TakeUpdate", "UpTake", "Trunk"):
            self.assert_allows(f"void {name}();")

    def test_what_is_no_name_of_the_code(self):
        self.assert_allows("TEST_F(RunTest, RunsOut) {\n}", name="alloc/heap/a_test.cc")
        self.assert_allows("// A Run is what Dump() returns.")
        self.assert_allows("void f() {\n  int run = 3;\n  std::Run(run);\n}")
        self.assert_allows("int run = Run(3);")
        self.assert_allows("class Run;")
        self.assert_allows("std::function<void(int)> run_;")

    def test_each_row_has_its_layers(self):
        self.assert_allows("class Run {};", name="morsel/pool/a.h")
        self.assert_forbids("class Run {};", "Run", name="morsel/open/a.h")
        self.assert_forbids("class Dump {};", "Dump", name="base/a.h")
        self.assert_forbids("class Chunk {};", "Chunk", name="cli/a.cc")
        self.assert_allows("class Dump {};", name="tests/a.h")

    def test_a_table_that_cannot_be_read(self):
        self.assert_reports({"base/a.h": ""}, "docs/glossary.md:1", "no glossary")
        for row, what in (("| attic | a | b | C |", "'attic'"), ("| all | a | b |", "3 columns")):
            page = {"docs/glossary.md": GLOSSARY + row + "\n"}
            self.assert_reports(page, "docs/glossary.md:8", what)


if __name__ == "__main__":
    unittest.main()
