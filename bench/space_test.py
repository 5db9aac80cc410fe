#!/usr/bin/env python3
"""What an allocator takes is measured, and one that hands out overlapping blocks is noticed."""

import contextlib
import csv
import io
import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import machine
import programs
import space

TINY = ["--objects=1000", "--allocations=2000", "--churns=2", f"--live={8 << 20}"]
STAGES = {
    "equal": ["objects of 64 bytes"],
    "churn": ["churn 1", "churn 2", "all freed"],
    "full": ["full 1", "full 2"],
}


class Space(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_every_allocator_tells_every_stage(self):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            arguments = [*TINY, f"--folder={self.folder}", f"--out={self.folder}"]
            self.assertEqual(space.main([*arguments, "--rivals=morsel,mimalloc,jemalloc,glibc"]), 0)
        with open(pathlib.Path(self.folder, "space.csv"), newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), [*machine.facts(), *space.COLUMNS])
        told = [(row["rival"], row["workload"], row["stage"]) for row in rows]
        expected = [
            (rival, workload, stage)
            for rival in ("morsel", "mimalloc", "jemalloc", "glibc")
            for workload, stages in STAGES.items()
            if workload != "full" or rival == "morsel"
            for stage in stages
        ]
        self.assertEqual(told, expected)
        for row in rows:
            if row["rival"] == "morsel":
                self.assertGreater(int(row["taken_bytes"]), int(row["asked_bytes"]))
        self.assertRegex(printed.getvalue(), r"churn 2 +\d\.\d{3} +\d\.\d{3}")
        self.assertRegex(printed.getvalue(), r"each of \d+ size classes together")

    def test_overlapping_blocks_are_noticed(self):
        program = programs.HERE / "rivals" / "space" / "overlapping_testing"
        for workload in ("equal", "churn"):
            with self.assertRaisesRegex(programs.Failed, "another object's bytes are in it"):
                programs.run(
                    [program, f"--workload={workload}", f"--folder={self.folder}", "--objects=1000"]
                    + [f"--live={1 << 20}"]
                )


if __name__ == "__main__":
    unittest.main()
