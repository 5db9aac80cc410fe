#!/usr/bin/env python3
"""Images are timed with tiny inputs, and what is written is told."""

import csv
import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import image
import machine


class Image(unittest.TestCase):
    def test_every_round_is_told(self):
        with tempfile.TemporaryDirectory(dir=os.environ["TEST_TMPDIR"]) as folder:
            arguments = ["--size-mib=16", "--pages=5", "--checkpoints=3", "--rounds=2"]
            arguments += [f"--folder={folder}", f"--out={folder}"]
            self.assertEqual(image.main(arguments), 0)
            with open(pathlib.Path(folder) / "image.csv", newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.assertEqual(list(rows[0]), [*machine.facts(), *image.COLUMNS])
            self.assertEqual([row["round"] for row in rows], ["1", "2"])
            for row in rows:
                for column in ("fio_write_s", "store_s", "fio_read_s", "load_s", "compare_store_s"):
                    self.assertGreater(float(row[column]), 0, column)
                self.assertGreater(int(row["compare_file_bytes"]), 16 << 20)
                self.assertLess(int(row["compare_file_bytes"]), 32 << 20)
            self.assertEqual(os.listdir(folder), ["image.csv"])


if __name__ == "__main__":
    unittest.main()
