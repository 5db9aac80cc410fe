#!/usr/bin/env python3
"""The comparison as a whole, with tiny inputs: every rival runs, and the results are complete."""

import csv
import os
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True

import compare
import machine
import programs

RIVALS = {
    *("boost", "glibc", "jemalloc", "memkind", "mimalloc", "morsel", "pmemobj", "pmemobj_reserve"),
}
OF_ONE_THREAD = {
    *("threadtest-64", "threadtest-256", "threadtest-2k", "threadtest-64k", "pairs-64"),
    "mixed-64-1000",
}
OF_MANY_THREADS = {"larson", "producer-consumer"}
DURABLE = {"durable-link", "durable-link-16", "durable-unlink", "durable-unlink-16"}
LIMITED = {
    "morsel": OF_ONE_THREAD | OF_MANY_THREADS | DURABLE,
    "pmemobj": OF_ONE_THREAD | OF_MANY_THREADS | DURABLE,
    "pmemobj_reserve": OF_ONE_THREAD | DURABLE,
}


def expected_contests():
    for rival in RIVALS:
        for workload in LIMITED.get(rival, OF_ONE_THREAD | OF_MANY_THREADS):
            for threads in (1, 2):
                if (workload, threads) != ("producer-consumer", 1):
                    yield workload, threads, rival


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        cls.addClassCleanup(folder.cleanup)
        cls.out = pathlib.Path(folder.name, "out")
        cls.scratch = pathlib.Path(folder.name, "scratch")
        cls.scratch.mkdir()
        tiny = ["--rounds=2", "--seconds=0.001", "--shrink=500", f"--size={256 << 20}"]
        status = compare.main([*tiny, "--seed=7", f"--folder={cls.scratch}", f"--out={cls.out}"])
        assert status == 0, status
        with open(cls.out / "compare.csv", newline="", encoding="utf-8") as file:
            cls.rows = list(csv.DictReader(file))

    def test_every_rival_ran_every_workload_that_it_can_run_in_every_round(self):
        ran = sorted(
            (row["workload"], int(row["threads"]), row["rival"], int(row["round"]))
            for row in self.rows
        )
        expected = sorted(
            (*contest, number) for contest in expected_contests() for number in (1, 2)
        )
        self.assertEqual(ran, expected)

    def test_every_column_is_filled(self):
        self.assertEqual(list(self.rows[0]), [*machine.facts(), *compare.COLUMNS])
        may_be_empty = {"lines_per_operation", "fences_per_operation"}
        for row in self.rows:
            counted = row["rival"] in compare.COUNTED
            for column in row:
                empty = not row[column]
                if column == "version" and row["rival"] == "morsel":
                    self.assertTrue(empty)  # the commit says it
                elif empty:
                    self.assertIn(column, may_be_empty, row)
                    self.assertFalse(counted, row)
            self.assertEqual(row["seed"], "7")
            self.assertGreater(float(row["mops_per_cpu_second"]), 0)
            self.assertGreater(float(row["mops_per_second"]), 0)

    def flushes(self, rival, workload):
        for row in self.rows:
            if (row["rival"], row["workload"]) == (rival, workload):
                return float(row["lines_per_operation"]), float(row["fences_per_operation"])
        self.fail(f"{rival} did not run {workload}")

    def test_flushes_are_counted(self):
        # The object's line and the slot's, each with a fence of its own at least.
        lines, fences = self.flushes("morsel", "durable-link")
        self.assertGreaterEqual(lines, 2)
        self.assertGreaterEqual(fences, 2)
        self.assertLess(self.flushes("morsel", "durable-link-16")[1], 1)
        lines, fences = self.flushes("pmemobj", "durable-link")
        self.assertGreaterEqual(lines, 7)
        self.assertGreaterEqual(fences, 4)

    def test_the_picture_is_whole_and_names_everything(self):
        root = xml.etree.ElementTree.parse(self.out / "compare.svg").getroot()
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        words = {" ".join(text.split()) for text in root.itertext()}
        names = {rival.replace("_", "-") for rival in RIVALS}
        titles = {
            f"{kind}, {threads}"
            for kind in ("volatile", "durable")
            for threads in ("1 thread", "2 threads")
        }
        expected = names | OF_ONE_THREAD | OF_MANY_THREADS | DURABLE | titles
        self.assertEqual(expected - words, set())

    def test_nothing_is_left_behind(self):
        self.assertEqual(list(self.scratch.iterdir()), [])


class Choosing(unittest.TestCase):
    def test_only_what_is_asked_for(self):
        options = compare.parse(["--only=larson,durable-link*", "--threads=2,3"])
        found = programs.rivals(programs.HERE / "rivals" / "compare")
        planned = compare.contests([found["mimalloc"], found["morsel"]], options)
        self.assertEqual(
            [
                (workload, threads, [rival.name for rival in of])
                for workload, threads, of in planned
            ],
            [
                ("larson", 2, ["mimalloc", "morsel"]),
                ("larson", 3, ["mimalloc", "morsel"]),
                ("durable-link", 2, ["morsel"]),
                ("durable-link", 3, ["morsel"]),
                ("durable-link-16", 2, ["morsel"]),
                ("durable-link-16", 3, ["morsel"]),
            ],
        )

    def test_a_program_that_fails_is_named(self):
        program = programs.rivals(programs.HERE / "rivals" / "compare")["mimalloc"].program
        with self.assertRaisesRegex(programs.Failed, "mimalloc --workload=none: status 1: none"):
            programs.run([program, "--workload=none"])


if __name__ == "__main__":
    unittest.main()
