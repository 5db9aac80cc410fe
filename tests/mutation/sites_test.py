#!/usr/bin/env python3
"""Chains of return addresses lead to lines under test, and lines have names that stay."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import sites

JOURNAL = """\
void Journal::FlushRecord() const {
  persist_.Flush(record, 64);
}

void Journal::Commit() {
  persist_.Fence();
  FlushRecord();
  persist_.Fence();
}

void Journal::Each() {
  const auto flush = [&](char* word) {
    persist_.Flush(word, 8);
  };
  flush(word);
}
"""


class KnownSymbols:
    """In place of a program."""

    def __init__(self, lines):
        self._lines = lines

    def look_up(self, addresses):
        pass

    def lines(self, address):
        return [sites.Line(path, number) for path, number in self._lines[address]]


class Sites(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        path = pathlib.Path(folder.name, "pmem/persist")
        path.mkdir(parents=True)
        (path / "journal.cc").write_text(JOURNAL)
        self.sources = sites.Sources(folder.name)
        self.symbols = KnownSymbols(
            {
                1: [("tests/mutation/seam/mutation_medium.h", 90)],
                # One address, of a function inside of another.
                2: [("pmem/persist/persist.h", 40), ("pmem/persist/journal.cc", 2)],
                3: [("pmem/persist/journal.cc", 7)],
                4: [("pmem/persist/journal.cc", 8)],
                5: [("morsel/carved/catalog_test.cc", 5)],
                6: [("/usr/include/c++/12/functional", 5)],
                7: [("pmem/persist/journal.cc", 13), ("pmem/persist/journal.cc", 15)],
                8: [
                    ("pmem/persist/journal.cc", 13),
                    ("pmem/persist/journal.cc", 12),
                    ("pmem/persist/journal.cc", 15),
                ],
                # The end of a function, which the compiler made one of its own.
                9: [
                    ("pmem/persist/persist.h", 40),
                    ("pmem/persist/journal.cc", 2),
                    ("pmem/persist/journal.cc", 1),
                ],
            }
        )

    def names(self, *chains):
        reached = {"p": {("flush", chain) for chain in chains}}
        return sites.sites_of(reached, lambda _: self.symbols, self.sources)

    def test_a_step_is_named_with_who_takes_it(self):
        found = self.names((1, 2, 3, 5))
        name = (
            "pmem/persist/journal.cc Journal::FlushRecord: persist_.Flush(record, 64);"
            " < pmem/persist/journal.cc Journal::Commit: FlushRecord();"
        )
        self.assertEqual(list(found), [name])
        self.assertEqual(found[name].chains, {"p": {(1, 2, 3)}})

    def test_a_text_that_a_function_has_twice_is_numbered(self):
        found = self.names((1, 4, 5))
        self.assertEqual(
            list(found), ["pmem/persist/journal.cc Journal::Commit: persist_.Fence(); [2]"]
        )

    def test_a_step_that_a_test_takes_is_a_site_of_its_own(self):
        found = self.names((1, 2, 5))
        self.assertEqual(
            list(found),
            ["pmem/persist/journal.cc Journal::FlushRecord: persist_.Flush(record, 64);"],
        )
        self.assertEqual(next(iter(found.values())).chains, {"p": {(1, 2)}})

    def test_such_a_step_misbehaves_whoever_takes_it(self):
        found = self.names((1, 2, 5), (1, 2, 3, 5))
        self.assertEqual(
            sorted((name.count("<"), site.chains["p"]) for name, site in found.items()),
            [(0, {(1, 2)}), (1, {(1, 2, 3)})],
        )

    def test_a_lambda_is_named_the_same_in_every_build(self):
        sites.STEPS.add(("pmem/persist/journal.cc", "Journal::Each"))
        self.addCleanup(sites.STEPS.remove, ("pmem/persist/journal.cc", "Journal::Each"))
        found = self.names((1, 7, 5), (1, 8, 5))
        name = (
            "pmem/persist/journal.cc Journal::Each: persist_.Flush(word, 8);"
            " < pmem/persist/journal.cc Journal::Each: flush(word);"
        )
        self.assertEqual(
            [(n, site.chains["p"]) for n, site in found.items()], [(name, {(1, 7), (1, 8)})]
        )

    def test_a_function_in_two_parts_is_named_as_one(self):
        whole, parts = self.names((1, 2, 3)), self.names((1, 9, 3))
        self.assertEqual(list(parts), list(whole))

    def test_two_calls_must_not_share_a_line(self):
        reached = {"p": {("flush", (1, 4)), ("fence", (1, 4))}}
        with self.assertRaises(sites.Ambiguous):
            sites.sites_of(reached, lambda _: self.symbols, self.sources)

    def test_the_library_of_the_language_is_looked_through(self):
        found = self.names((1, 6, 2, 6, 3))
        self.assertEqual([site.chains for site in found.values()], [{"p": {(1, 6, 2, 6, 3)}}])

    def test_what_a_test_does_itself_is_no_site(self):
        self.assertEqual(self.names((1, 5, 3)), {})

    def test_tests_and_the_seam_are_not_under_test(self):
        for path in (
            "pmem/persist/journal_test.cc",
            "alloc/heap/heap_crash_testing.cc",
            "tests/crash/churn.cc",
            "sim/stores/recorder.cc",
            "/usr/include/stdio.h",
        ):
            self.assertFalse(sites.is_under_test(path), path)
        self.assertTrue(sites.is_under_test("alloc/heap/segments/slab.h"))

    def test_calls_that_no_test_reaches_are_known(self):
        found = self.names((1, 2, 3, 5), (1, 4, 5), (1, 7, 5))
        missed = sites.never_reached(found, self.sources, self.root)
        self.assertEqual(missed, ["pmem/persist/journal.cc Journal::Commit: persist_.Fence();"])

    def test_every_step_is_there(self):
        real = sites.Sources()
        for path, name in sites.STEPS:
            lines = (sites.ROOT / path).read_text(encoding="utf-8").splitlines()
            names = {real.function_name(sites.Line(path, n)) for n in range(1, len(lines) + 1)}
            self.assertIn(name, names, path)


if __name__ == "__main__":
    unittest.main()
