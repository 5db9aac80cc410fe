#!/usr/bin/env python3
"""Openings are timed, and what is not as it was left is noticed."""

import csv
import os
import pathlib
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import machine
import opening
import programs


class Opening(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"])
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_every_opening_is_told(self):
        arguments = ["--objects=100,2000", "--new=500", "--rounds=2"]
        arguments += [f"--folder={self.folder}", f"--out={self.folder}"]
        self.assertEqual(opening.main(arguments), 0)
        with open(self.folder / "opening.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), [*machine.facts(), *opening.COLUMNS])
        self.assertEqual(
            [(row["objects"], row["after"], row["round"]) for row in rows],
            [
                (objects, after, number)
                for after in ("close", "kill")
                for number in ("1", "2")
                for objects in ("100", "2000")
            ],
        )
        for row in rows:
            self.assertTrue(all(row.values()), row)
            self.assertGreater(float(row["open_ms"]), 0)
            if row["after"] == "close":
                self.assertEqual(row["unreached_bytes"], "0")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["opening.csv"])

    def test_an_object_that_was_overwritten_is_noticed(self):
        pool = self.folder / "pool"
        program = [programs.HERE / "opening_program", f"--pool={pool}"]
        programs.run([*program, "--prepare=100", f"--size={64 << 20}"])
        programs.run(program)
        word = struct.pack("<Q", 7 * 0x9E3779B97F4A7C15 % 2**64)  # the body of the 8th begins so
        with open(pool, "r+b") as file:
            offset = file.read().index(word)
            file.seek(offset)
            file.write(b"!")
        with self.assertRaisesRegex(programs.Failed, "checking what was there: it was overwritten"):
            programs.run(program)


if __name__ == "__main__":
    unittest.main()
